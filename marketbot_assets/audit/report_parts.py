"""Building blocks of a report page: escaped text, numbers, tables, badges, tiles, sections. Pure.

Text is untrusted (headlines, names, reasons): everything that is not `Markup` is escaped here, at one place. Colour is
never the only signal: a badge has a word and a sign, a change its sign. Not here: what is shown (`report_*`).
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from marketbot_assets.audit.charts import safe
from marketbot_resources.currencies import MINOR_DIGITS

NOT_KNOWN = "n/a"
NO_BREAK = "\u00a0"
ROWS_SHOWN = 15


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def html(value: object) -> Markup:
    """A value as HTML: markup as it is, everything else escaped, characters that cannot be printed made blanks."""
    if isinstance(value, Markup):
        return value
    return Markup(safe(value))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """The parts as one piece of HTML."""
    return Markup(between.join(html(part) for part in parts))


def tag(name: str, *content: object, css: str = "") -> Markup:
    """An element with its content."""
    attribute = f' class="{escape(css, quote=True)}"' if css else ""
    return Markup(f"<{name}{attribute}>{joined(content)}</{name}>")


def money(value: float, digits: int = 0) -> str:
    """1,012,345; n/a for NaN."""
    return _signless(f"{value:,.{digits}f}") if math.isfinite(value) else NOT_KNOWN


def percent(value: float, digits: int = 2) -> str:
    """A fraction as 1.25 %; n/a for NaN."""
    return _signless(f"{100 * value:.{digits}f}{NO_BREAK}%") if math.isfinite(value) else NOT_KNOWN


def plain_number(value: float, digits: int = 4) -> str:
    """Up to `digits` significant digits; n/a for NaN."""
    if not math.isfinite(value):
        return NOT_KNOWN
    return money(value) if abs(value) >= 10_000 else _signless(f"{value:.{digits}g}")


def in_unit(value: float, unit: object) -> str:
    """A number of a control in its unit: fractions as percent."""
    return percent(value) if str(unit).startswith("fraction") or unit == "NAV" else plain_number(value)


def price(value: float) -> str:
    """A price or rate with at least two decimals and up to six significant digits; n/a for NaN."""
    if not math.isfinite(value):
        return NOT_KNOWN
    places = 5 - math.floor(math.log10(abs(value))) if value else 2
    whole, _, decimals = f"{value:,.{max(places, 2)}f}".partition(".")
    return _signless(f"{whole}.{decimals.rstrip('0').ljust(2, '0')}")


def minor_digits(currency: object) -> int:
    """Decimals of a currency's amounts; two for text that is no currency, which a page shows as it is."""
    return MINOR_DIGITS.get(str(currency), 2)


def count(value: float) -> str:
    """Shares or units: whole numbers with separators, fractions as they are; n/a for NaN."""
    if not math.isfinite(value):
        return NOT_KNOWN
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}".rstrip("0")


def _signless(text: str) -> str:
    """A true minus sign, and none before a zero."""
    if text.startswith("-"):
        return text[1:] if not any(c in "123456789" for c in text) else "−" + text[1:]
    return text


def change(text: str, value: float) -> Markup:
    """A number with its sign, coloured by it; `text` is the number formatted."""
    if not math.isfinite(value) or text.strip(f"0.,%{NO_BREAK}") == "":
        return html(text)
    return tag("span", text if value < 0 else f"+{text}", css="down" if value < 0 else "up")


_BADGES = {
    "PASS": ("good", "✓"),
    "ACTIVE": ("good", "✓"),
    "FLATTEN": ("bad", "↓"),
    "APPROVED": ("good", "✓"),
    "pass": ("good", "✓"),
    "ok": ("good", "✓"),
    "watch": ("warn", "!"),
    "drifted": ("bad", "×"),
    "WARN": ("warn", "!"),
    "warn": ("warn", "!"),
    "SHRINK": ("warn", "↓"),
    "quarantine": ("bad", "×"),
    "REDUCE_ONLY": ("bad", "↓"),
    "REJECT_ORDER": ("bad", "×"),
    "REJECT_BATCH": ("bad", "×"),
    "REJECTED": ("bad", "×"),
    "HALT": ("bad", "■"),
    "halt": ("bad", "■"),
}


def look(word: str) -> tuple[str, str]:
    """(css class, sign) of a status, verdict or outcome."""
    return _BADGES.get(word, ("calm", "•"))


def badge(word: str) -> Markup:
    """A status as a coloured word with a sign."""
    css, sign = look(word)
    return tag("span", f"{sign} {word.replace('_', ' ')}", css=f"badge {css}")


def tile(name: str, value: object, note: object = "") -> Markup:
    """One headline number with its name and one line below."""
    return tag("div", tag("span", name, css="name"), tag("b", value), tag("span", note), css="tile")


def meter(used: float) -> Markup:
    """A bar filled to the share `used` of a limit; empty text for NaN."""
    if not math.isfinite(used):
        return Markup("")
    css = "meter over" if used > 1.0 + 1e-9 else "meter tight" if used > 0.9 else "meter"
    return Markup(f'<span class="{css}"><i style="width:{100 * min(max(used, 0.0), 1.0):.0f}%"></i></span>')


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "", sums: int = 0) -> Markup:
    """A table. A head that ends in `>` is a column of numbers, in `<` one that does not wrap, in `~` one of long text.

    The last `sums` rows are set apart. Rows beyond ROWS_SHOWN fold into details.
    """
    if not rows:
        return tag("p", f"{caption}: none" if caption else "none", css="soft")
    kinds = [{">": "r", "<": "n", "~": "wrap"}.get(head[-1:], "") for head in heads]
    names = [head.rstrip("<>~") for head in heads]
    cells = [tag("th", name, css=kind if kind == "r" else "") for name, kind in zip(names, kinds, strict=True)]
    head = tag("thead", tag("tr", *cells))
    shown, folded = (rows, []) if len(rows) <= ROWS_SHOWN + 3 or sums else (rows[:ROWS_SHOWN], rows[ROWS_SHOWN:])
    first = tag("table", tag("caption", caption) if caption else "", head, _body(shown, kinds, sums))
    blocks = [tag("div", first, css="scroll")]
    if folded:
        more = tag("div", tag("table", head, _body(folded, kinds, 0)), css="scroll")
        blocks.append(tag("details", tag("summary", f"{len(folded)} more rows"), more))
    return joined(blocks)


def _body(rows: Sequence[Sequence[object]], kinds: Sequence[str], sums: int) -> Markup:
    lines = []
    for place, row in enumerate(rows):
        cells = [tag("td", cell, css=kind) for cell, kind in zip(row, kinds, strict=True)]
        lines.append(tag("tr", *cells, css="sum" if place >= len(rows) - sums else ""))
    return tag("tbody", *lines)


def bullets(lines: Sequence[object]) -> Markup:
    """A list of statements."""
    return tag("ul", *(tag("li", line) for line in lines))


def section(key: str, title: str, lede: str, *content: object) -> Markup:
    """One card of the page with its anchor `key`, its title and one line that says how to read it."""
    body = joined([tag("h2", title), tag("p", lede, css="lede"), *content])
    return Markup(f'<section id="{escape(key, quote=True)}">{body}</section>')


def grid(*content: object) -> Markup:
    """Blocks side by side where the screen is wide enough."""
    return tag("div", *(tag("div", block) for block in content), css="grid")
