"""What pages show of tests against overfitting: the line that stands first, and the table. Pure. Not here: the tests (`tested`)."""

from collections.abc import Sequence

from marketbot_assets.audit.report_parts import Markup, table, tag
from marketbot_assets.research.tested import OUT_OF_DATE, Told


def verdict(line: str, rows: Sequence[Told]) -> Markup:
    """The first line of a page; red unless every test passed, by the trials of today. `line`: as `tested.first_line` says it."""
    proven = OUT_OF_DATE not in line and bool(rows) and all(passed for *_, passed in rows)
    words, subject, rest = line.partition("against overfitting")
    return tag("p", tag("b", f"{words}{subject}"), rest, css="banner" if proven else "banner bad")


def table_of_tests(rows: Sequence[Told], caption: str = "") -> Markup:
    """The tests of one backtest."""
    told = [(name, _mark(passed), value, rule) for name, value, rule, passed in rows]
    return table(("test<", "result<", "value~", "passes when~"), told, caption=caption)


def _mark(passed: bool | None) -> Markup:
    """A badge: passed, failed, or not tested."""
    css, text = {True: ("good", "✓ passed"), False: ("bad", "× failed"), None: ("calm", "• not tested")}[passed]
    return tag("span", text, css=f"badge {css}")
