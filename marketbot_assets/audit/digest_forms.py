"""A digest as HTML for a mailbox or a browser, and as Slack blocks. Pure; nothing is loaded from elsewhere.

Names, reasons and messages are untrusted: HTML and Slack's markup are escaped here. Mail clients drop SVG and style sheets, so a
mail has tables with styles of their own, and the plots stand on the page alone. Not here: the words (`digest`), who gets them
(`marketbot_assets.digests`).
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

from marketbot_assets.audit.charts import bar_chart, inline, line_chart
from marketbot_assets.audit.digest import WEEKLY, Digest, Section, line
from marketbot_assets.audit.report_parts import Markup, html, joined, money, percent

Block = dict[str, object]
HTML_BYTES_MAX = 90_000  # Gmail cuts a mail at 102 kB
SLACK_BLOCKS, SLACK_CHARS, SLACK_TITLE, SLACK_SECTION_LINES = 50, 3000, 150, 12
BARS_SHOWN, HISTORY_SHOWN = 10, 60
_FONT = "font-family:Segoe UI,Helvetica,Arial,sans-serif"
_BODY = f"margin:0;padding:16px;background:#f3f5f8;color:#1b2430;{_FONT};font-size:14px;line-height:1.5"
_CARD = "max-width:680px;margin:0 auto;background:#ffffff;border:1px solid #e1e6ec;border-radius:8px;padding:18px 22px"
_BANNER = "background:#fdf1d8;border-left:5px solid #c98a00;color:#5c3a00;padding:8px 14px;margin:0 0 14px"
_H1, _H2 = "font-size:20px;margin:0 0 8px", "font-size:14px;margin:16px 0 4px;color:#39424e"
_CELL, _RIGHT = "padding:3px 10px 3px 0;font-size:13px", "padding:3px 10px 3px 0;font-size:13px;text-align:right"
_LIST, _SOFT = "margin:0;padding:0 0 0 18px", "color:#5b6877;font-size:12px;margin:16px 0 0"
_GAIN, _LOSS = "#1f5fa8", "#c2571a"


def as_html(digest: Digest, *, plots: bool) -> str:
    """The whole page as HTML with styles in its elements. `plots`: with SVG charts, for a browser; False for a mail."""
    text = _page(digest, plots, len(digest.sections[0].lines) + 100)
    lines = 25
    while len(text.encode()) > HTML_BYTES_MAX and lines > 1:
        lines //= 2
        text = _page(digest, plots, lines)
    return text


def as_slack(digest: Digest) -> list[Block]:
    """Block Kit: a header, the first lines, a section each. Nothing in it mentions anybody or becomes a link.

    At most SLACK_BLOCKS blocks of at most SLACK_CHARS characters each.
    """
    head = [*([digest.banner] if digest.banner else []), *digest.lede]
    blocks: list[Block] = [
        {"type": "header", "text": {"type": "plain_text", "text": _slack(digest.headline, SLACK_TITLE), "emoji": False}}
    ]
    blocks += _slack_sections("", head, len(head))
    for section in digest.sections:
        blocks += _slack_sections(section.title, section.lines, SLACK_SECTION_LINES)
    return blocks[:SLACK_BLOCKS]


def _slack(text: str, most: int) -> str:
    """Text that Slack shows as it is: escaped, and no longer than `most` with its escapes."""
    told = line(text, most)
    while len(found := _escaped(told)) > most:
        told = line(told, len(told) - max(1, (len(found) - most) // 4))
    return found


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_sections(title: str, lines: Sequence[str], most: int) -> list[Block]:
    """One block, or several when its lines do not fit into one. `verbatim`: Slack makes no links or mentions of what it finds."""
    left = len(lines) - most
    shown = [_slack(text, 400) for text in lines[:most]] + ([f"and {left} more"] if left > 0 else [])
    parts, now = [], f"*{title}*" if title else ""
    for text in shown:
        joined_up = f"{now}\n{text}" if now else text
        if len(joined_up) > SLACK_CHARS:
            parts.append(now)
            joined_up = text
        now = joined_up
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
        for text in [*parts, now]
        if text
    ]


def _page(digest: Digest, plots: bool, most: int) -> str:
    body = [
        _element("p", _BANNER, digest.banner) if digest.banner else "",
        _element("h1", _H1, digest.headline),
        *(_element("p", "margin:0 0 6px", text) for text in digest.lede),
        _plots(digest) if plots else _bars(digest),
        _days(digest) if digest.kind == WEEKLY else "",
        *(_section(one, most) for one in digest.sections if not (digest.kind == WEEKLY and one.title == "Sessions")),
        _element(
            "p",
            _SOFT,
            "No investment advice. Trading can lose money. What this says can be proven: `marketbot verify`.",
        ),
    ]
    head = f'<head><meta charset="utf-8"><title>{html(digest.title)}</title></head>'
    card = _element("div", _CARD, joined(body, "\n"))
    return f'<!doctype html>\n<html lang="en">{head}\n<body style="{_BODY}">{card}</body></html>\n'


def _element(name: str, style: str, *content: object) -> Markup:
    return Markup(f'<{name} style="{escape(style, quote=True)}">{joined(content)}</{name}>')


def _section(section: Section, most: int) -> Markup:
    left = len(section.lines) - most
    lines = [*section.lines[:most], *([f"and {left} more"] if left > 0 else [])]
    if len(lines) == 1:
        return joined([_element("h2", _H2, section.title), _element("p", "margin:0", lines[0])])
    items = [_element("li", "margin:0 0 2px", text) for text in lines]
    return joined([_element("h2", _H2, section.title), _element("ul", _LIST, *items)])


def _plots(digest: Digest) -> Markup:
    points = digest.history[-HISTORY_SHOWN:]
    labels, values = [day for day, _ in points], [nav for _, nav in points]
    charts = [line_chart(f"NAV, {digest.base}", labels, [("NAV", values)])] if len(points) > 1 else []
    moves = _moves(digest)
    charts += [bar_chart("Profit and loss by session, of NAV before", moves, unit="%")] if moves else []
    narrow = '<svg style="max-width:100%;height:auto" '  # there is no style sheet that would say so
    drawn = (inline(chart).replace("<svg ", narrow, 1) for chart in charts)
    return Markup("".join(f'<div style="margin:12px 0">{chart}</div>' for chart in drawn))


def _moves(digest: Digest) -> list[tuple[str, float]]:
    """(session, change of NAV) of the last sessions, where both NAVs are known."""
    points = digest.history[-BARS_SHOWN - 1 :]
    pairs = pairwise(points)
    return [(day, nav / before - 1.0) for (_, before), (day, nav) in pairs if before > 0.0 and math.isfinite(nav)]


def _bars(digest: Digest) -> Markup:
    """The same as cells whose width is the move, which every mail client shows."""
    moves = _moves(digest)
    most = max((abs(move) for _, move in moves), default=0.0)
    if not most > 0.0:
        return Markup("")
    rows = []
    for day, move in moves:
        width, colour = max(2, round(220 * abs(move) / most)), _GAIN if move >= 0.0 else _LOSS
        bar = Markup(f'<div style="width:{width}px;height:11px;background:{colour}"></div>')
        told = percent(move) if move <= 0.0 else f"+{percent(move)}"
        rows.append(_row([(_CELL, day), (_RIGHT, told), (_CELL, bar)]))
    return joined([_element("h2", _H2, "Change of NAV by session"), _table(rows)])


def _days(digest: Digest) -> Markup:
    heads = [(_CELL, "session"), (_CELL, "verdict"), (_CELL, "ended"), (_RIGHT, f"NAV {digest.base}"), (_RIGHT, "P&L")]
    heads += [(_RIGHT, "of NAV"), (_RIGHT, "orders"), (_RIGHT, "fills"), (_RIGHT, "cost")]
    rows: list[Markup] = [_row([(f"{style};color:#5b6877", text) for style, text in heads])]
    for day in digest.days:
        orders = f"{day.approved} / {len(day.orders)}"
        cells: list[tuple[str, object]] = [(_CELL, day.session), (_CELL, day.verdict or "none"), (_CELL, day.state)]
        cells += [(_RIGHT, money(day.nav)), (_RIGHT, money(day.pnl)), (_RIGHT, percent(day.pnl_fraction))]
        cells += [(_RIGHT, orders), (_RIGHT, day.fills), (_RIGHT, money(day.cost, 2))]
        rows.append(_row(cells))
    return joined([_element("h2", _H2, "Sessions"), _table(rows)])


def _row(cells: Sequence[tuple[str, object]]) -> Markup:
    return Markup(f"<tr>{joined(_element('td', style, text) for style, text in cells)}</tr>")


def _table(rows: Sequence[Markup]) -> Markup:
    return Markup(f'<table cellspacing="0" cellpadding="0" style="border-collapse:collapse">{joined(rows)}</table>')


def as_json(digest: Digest) -> Block:
    """The digest for programs: words and the numbers of each session; null where one is not known."""
    return {
        "kind": digest.kind,
        "label": digest.label,
        "title": digest.title,
        "banner": digest.banner,
        "lines": list(digest.lede),
        "sections": [{"title": one.title, "lines": list(one.lines)} for one in digest.sections],
        "days": [
            {
                "session": day.session,
                "state": day.state,
                "verdict": day.verdict,
                "nav": _json(day.nav),
                "pnl": _json(day.pnl),
                "pnl_fraction": _json(day.pnl_fraction),
                "cost_base": _json(day.cost),
                "orders_planned": len(day.orders),
                "orders_approved": day.approved,
                "fills": day.fills,
                "breaches": list(day.breaches),
                "halts": list(day.halts),
                "synthetic": day.synthetic,
            }
            for day in digest.days
        ],
    }


def _json(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
