"""Charts of risk as SVG text: limits by the share that is used, a loss put together from its parts, forecasts against losses. Pure.

Not here: the forms that every report shares (`charts`), what the numbers are (`risk_numbers`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketbot_assets.audit.charts import (
    AXIS,
    GRID,
    HEIGHT,
    INK,
    LIMIT,
    NEGATIVE,
    PALETTE,
    WIDTH,
    Scale,
    short,
    svg_chart,
    svg_line,
    svg_text,
    tick_digits,
    ticks,
    value_text,
)

WARN, TARGET, CALM = "#b97700", "#2b7a78", "#7d8894"
_STEP, _TOP, _RIGHT, _BARS_LEFT, _LABEL_CHARS = 20, 60, 156, 226, 34
_USED_SHOWN = 1.25
_LEFT, _BOTTOM, _EDGE = 62, 30, 14
_BAR_MAX = 14.0


@dataclass(frozen=True, slots=True)
class UsedLimit:
    """One limit as a bar. `used`: share of the hard limit that is taken, 1 at the limit; NaN when it is not known.

    `target`, `warn`: where the optimizer stops and where a WARN begins, as such shares; None where there is none. `told`: the
    numbers in their unit. `failed`: whether its control did not pass; one that passed beyond its limit was not in force.
    """

    label: str
    used: float
    target: float | None
    warn: float | None
    told: str
    failed: bool = False


def _known(mark: float | None) -> bool:
    return mark is not None and math.isfinite(mark)


def limit_bars(title: str, rows: Sequence[UsedLimit]) -> str:
    """One bar per limit, all on one scale: its hard limit stands at 100 %. A bar that runs on ends in an arrow.

    A grey bar with (!) is beyond a limit that is not in force, say because the book is being built up.
    """
    if not rows:
        return svg_chart(title, [svg_text(4, 42, "no limit with a number")], 60)
    scale = Scale(0.0, _USED_SHOWN, _BARS_LEFT, WIDTH - _RIGHT)
    bottom = _TOP + _STEP * len(rows)
    body = [svg_line(scale(0.0), _TOP - 4, scale(0.0), bottom, f'stroke="{AXIS}"')]
    for share in (0.0, 0.5, 1.0):
        body.append(
            svg_text(scale(share), _TOP - 9, f"{share:.0%}", anchor="middle", fill=LIMIT if share == 1.0 else INK)
        )
    body.append(svg_line(scale(0.5), _TOP - 4, scale(0.5), bottom, f'stroke="{GRID}"'))
    for place, row in enumerate(rows):
        body += _limit_row(row, scale, _TOP + _STEP * place)
    body += _marks(rows, scale)
    body.append(svg_line(scale(1.0), _TOP - 4, scale(1.0), bottom, f'stroke="{LIMIT}" stroke-width="2"'))
    return svg_chart(title, [*body, *_marks_key()], bottom + 8)


def _limit_row(row: UsedLimit, scale: Scale, top: float) -> list[str]:
    body = [svg_text(_BARS_LEFT - 8, top + 13, short(row.label, _LABEL_CHARS), anchor="end")]
    told = row.told
    if math.isfinite(row.used):
        shown = min(max(row.used, 0.0), _USED_SHOWN)
        warned = row.warn is not None and row.used > row.warn + 1e-9
        beyond = row.used > 1.0 + 1e-9
        colour = (LIMIT if row.failed else CALM) if beyond else WARN if warned or row.failed else PALETTE[0]
        width = scale(shown) - scale(0.0)
        body.append(f'<rect x="{scale(0.0):.1f}" y="{top + 3:.1f}" width="{width:.1f}" height="12" fill="{colour}"/>')
        if row.used > _USED_SHOWN:
            body.append(svg_text(scale(shown) - 3, top + 13, "»", anchor="end", fill="#ffffff"))
        told += (" over" if row.failed else " (!)") if beyond else " !" if warned or row.failed else ""
    else:
        told = "" if not row.failed else told
        text, colour = ("? not known", LIMIT) if row.failed else ("no number in this session", CALM)
        body.append(svg_text(scale(0.0) + 4, top + 13, text, fill=colour))
    return [*body, svg_text(WIDTH - 4, top + 13, told, anchor="end")]


def _marks(rows: Sequence[UsedLimit], scale: Scale) -> list[str]:
    """The marks of all rows, one path for each kind, on a white ground that sets them off from a bar."""

    def strokes(marks: Sequence[float | None]) -> str:
        places = [(mark, _TOP + _STEP * place + 1) for place, mark in enumerate(marks) if mark is not None]
        return "".join(f"M{scale(mark):.1f},{top}v16" for mark, top in places if 0.0 <= mark <= _USED_SHOWN)

    targets, warnings = strokes([row.target for row in rows]), strokes([row.warn for row in rows])
    paths = (
        (targets + warnings, 'stroke="#ffffff" stroke-width="5"'),
        (targets, f'stroke="{TARGET}" stroke-width="2" stroke-dasharray="2 2"'),
        (warnings, f'stroke="{WARN}" stroke-width="2"'),
    )
    return [f'<path d="{drawn}" fill="none" {style}/>' for drawn, style in paths if drawn]


def _marks_key() -> list[str]:
    """What the three marks mean, in the line below the title."""
    body, left = [], 4.0
    marks = (
        ("target of the optimizer", TARGET, ' stroke-dasharray="2 2"'),
        ("warning from", WARN, ""),
        ("hard limit", LIMIT, ""),
    )
    for name, colour, dash in marks:
        body.append(svg_line(left, 22, left, 36, f'stroke="{colour}" stroke-width="2"{dash}'))
        body.append(svg_text(left + 6, 33, name))
        left += 6.4 * len(name) + 28
    return body


def waterfall(title: str, parts: Sequence[tuple[str, float]], whole: float, *, limit: float | None = None) -> str:
    """A loss from zero to `whole`, one part (label, fraction) per row on top of the parts before; the last bar is the whole.

    What the parts leave of the whole is the caller's to name as a part. NaN in any part or the whole: no bars, and it says so.
    """
    numbers = [value for _, value in parts]
    if not all(map(math.isfinite, (*numbers, whole))):
        return svg_chart(title, [svg_text(4, 42, "a part of the loss is not known")], 60)
    ends = [math.fsum(numbers[:place]) for place in range(len(numbers) + 1)]
    edges = [*ends, whole, 0.0, *([limit] if limit is not None and _known(limit) else [])]
    scale = Scale(min(edges), max(edges) or 1.0, _BARS_LEFT, WIDTH - 84)
    top = 42
    bottom = top + _STEP * (len(parts) + 1)
    body = [svg_line(scale(0.0), top - 4, scale(0.0), bottom, f'stroke="{AXIS}"')]
    for place, (label, value) in enumerate(parts):
        y, first, last = top + _STEP * place, ends[place], ends[place + 1]
        body.append(_span(scale, first, last, y, NEGATIVE if value > 0.0 else TARGET))
        body.append(svg_line(scale(last), y + 15, scale(last), y + _STEP + 3, f'stroke="{AXIS}"'))
        body.append(svg_text(_BARS_LEFT - 8, y + 13, short(label, _LABEL_CHARS), anchor="end"))
        edge = _beside(scale, max(first, last), limit)
        body.append(svg_text(edge, y + 13, value_text(value, "%", 2)))
    y = top + _STEP * len(parts)
    over = limit is not None and _known(limit) and whole > limit
    body.append(_span(scale, 0.0, whole, y, LIMIT if over else PALETTE[0]))
    body.append(svg_text(_BARS_LEFT - 8, y + 13, "whole loss", anchor="end"))
    if limit is not None and _known(limit):
        body.append(svg_line(scale(limit), top - 4, scale(limit), bottom, f'stroke="{LIMIT}" stroke-width="2"'))
        body.append(svg_text(scale(limit), top - 8, f"limit {value_text(limit, '%')}", anchor="end", fill=LIMIT))
    told = value_text(whole, "%", 2) + (" over limit" if over else "")
    return svg_chart(title, [*body, svg_text(_beside(scale, max(whole, 0.0), limit), y + 13, told)], bottom + 8)


def _beside(scale: Scale, end: float, limit: float | None) -> float:
    """Where the number of a bar that ends at `end` begins: beside the bar, or beyond a limit line that would cross it."""
    left = scale(end) + 5
    crossed = limit is not None and _known(limit) and left - 7 < scale(limit) < left + 46
    return scale(limit) + 5 if crossed and limit is not None else left


def _span(scale: Scale, first: float, last: float, top: float, colour: str) -> str:
    left, width = min(scale(first), scale(last)), max(abs(scale(last) - scale(first)), 0.8)
    return f'<rect x="{left:.1f}" y="{top + 3:.1f}" width="{width:.1f}" height="12" fill="{colour}"/>'


def exceptions_chart(title: str, losses: Sequence[float], forecasts: Sequence[float]) -> str:
    """Profit and loss of each session as a bar, minus the value at risk forecast for it as a line; exceptions carry a cross.

    `losses`, `forecasts`: (T,) fractions of NAV, positive is a loss, oldest first. A loss that is not at most its forecast is an
    exception, NaN included: of such a session only the cross is drawn.
    """
    pairs = [(-loss, -var) for loss, var in zip(losses, forecasts, strict=True)]
    finite = [value for pair in pairs for value in pair if math.isfinite(value)]
    if not pairs:
        return svg_chart(title, [svg_text(4, 42, "no session was forecast and judged yet")], 60)
    low, high = min([0.0, *finite]), max([0.0, *finite])
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin
    slot = (WIDTH - _EDGE - _LEFT) / len(pairs)

    def y(value: float) -> float:
        return 44 + (HEIGHT - 44 - _BOTTOM) * (high - value) / (high - low)

    step, marks = ticks(low, high)
    body = []
    for mark in marks:
        colour = AXIS if abs(mark) < step / 2 else GRID
        body.append(svg_line(_LEFT, y(mark), WIDTH - _EDGE, y(mark), f'stroke="{colour}"'))
        body.append(svg_text(_LEFT - 8, y(mark) + 4, value_text(mark, "%", tick_digits(step, "%")), anchor="end"))
    line: list[str] = []
    for place, (gain, floor) in enumerate(pairs):
        middle = _LEFT + slot * (place + 0.5)
        body += _session_bar(gain, floor, middle, min(0.7 * slot, _BAR_MAX), y)
        if math.isfinite(floor):
            line += [
                f"{'L' if line else 'M'}{middle - slot / 2:.1f},{y(floor):.1f}",
                f"L{middle + slot / 2:.1f},{y(floor):.1f}",
            ]
    if line:
        body.append(f'<path d="{" ".join(line)}" fill="none" stroke="{INK}" stroke-width="1.6"/>')
    last = "newest session" if len(pairs) > 1 else "one session"
    body.append(svg_text(WIDTH - _EDGE, HEIGHT - 8, last, anchor="end"))
    if len(pairs) > 1:
        body.append(svg_text(_LEFT, HEIGHT - 8, f"{len(pairs) - 1} sessions before"))
    return svg_chart(title, [*body, *_exceptions_key()])


def _session_bar(gain: float, floor: float, middle: float, width: float, y: Callable[[float], float]) -> list[str]:
    body, fine = [], math.isfinite(gain) and math.isfinite(floor) and gain >= floor
    if math.isfinite(gain):
        top, height = min(y(gain), y(0.0)), max(abs(y(gain) - y(0.0)), 0.6)
        colour = PALETTE[0] if fine else LIMIT
        box = f'x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        body.append(f'<rect {box} fill="{colour}"/>')
    if not fine:
        edge = y(min(gain, 0.0)) + 11 if math.isfinite(gain) else y(0.0) - 4
        body.append(svg_text(middle, min(edge, HEIGHT - _BOTTOM + 9), "×", anchor="middle", fill=LIMIT))
    return body


def _exceptions_key() -> list[str]:
    """What bar, line and cross mean, in the line below the title."""
    return [
        f'<rect x="4" y="24" width="10" height="10" fill="{PALETTE[0]}"/>',
        svg_text(18, 33, "profit and loss, book held unchanged"),
        svg_line(236, 29, 258, 29, f'stroke="{INK}" stroke-width="1.6"'),
        svg_text(264, 33, "minus value at risk 99 %"),
        svg_text(428, 33, "× exception", fill=LIMIT),
    ]
