"""Charts of trading costs as SVG text: realised against model with the line on which they agree, parts per session. Pure.

Not here: the forms that every report shares (`charts`), what the numbers are (`cost_numbers`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marketbot_assets.audit.charts import (
    AXIS,
    GRID,
    INK,
    LIMIT,
    PALETTE,
    WIDTH,
    Scale,
    svg_chart,
    svg_line,
    svg_text,
    ticks,
)

_LEFT, _RIGHT, _TOP, _BOTTOM, _TALL = 62, 170, 44, 46, 360
_PARTS_TALL, _BAR_MAX = 360, 26.0
ORDERS_MIN = 20
COLOURS = (*PALETTE[:1], "#2b7a78", "#b97700", "#7d8894", "#a23b72", "#5a9bd4", "#444444")


@dataclass(frozen=True, slots=True)
class Mean:
    """One group: mean model and realised cost, basis points, and the standard error of their difference, NaN when unknown.

    `orders`: how many it is the mean of; fewer than ORDERS_MIN are not called off the line.
    """

    label: str
    model: float
    realised: float
    error: float
    orders: int


def against_model(title: str, dots: Sequence[tuple[float, float]], means: Sequence[Mean]) -> str:
    """Orders as dots (model, realised), groups as marks with two standard errors either way, and the line of agreement."""
    shown = [dot for dot in dots if all(map(math.isfinite, dot))]
    marks = [mean for mean in means if math.isfinite(mean.model) and math.isfinite(mean.realised)]
    if not shown and not marks:
        return svg_chart(title, [svg_text(4, 42, "no filled order with a known arrival price")], 60)
    edges = [0.0, *(value for dot in shown for value in dot)]
    for mean in marks:
        reach = 2 * mean.error if math.isfinite(mean.error) else 0.0
        edges += [mean.model, mean.realised - reach, mean.realised + reach]
    low, high = min(edges), max(edges)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    across, up = Scale(low, high, _LEFT, WIDTH - _RIGHT), Scale(low, high, _TALL - _BOTTOM, _TOP)
    body = _frame(low, high, across, up)
    style = f'stroke="{INK}" stroke-dasharray="5 4"'
    body.append(svg_line(across(low), up(low), across(high), up(high), style))
    body += [
        f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.5" fill="{PALETTE[0]}" fill-opacity="0.45"/>'
        for x, y in shown
    ]
    for place, mean in enumerate(marks):
        body += _mean(mean, across, up, COLOURS[place % len(COLOURS)], _TOP + 20 + 17 * place)
    key = [
        svg_line(WIDTH - _RIGHT + 12, _TOP + 4, WIDTH - _RIGHT + 32, _TOP + 4, style),
        svg_text(WIDTH - _RIGHT + 38, _TOP + 8, "realised = model"),
    ]
    return svg_chart(title, [*body, *key], max(_TALL, _TOP + 40 + 17 * len(marks)))


def _frame(low: float, high: float, across: Scale, up: Scale) -> list[str]:
    body = []
    for mark in ticks(low, high)[1]:
        colour = AXIS if mark == 0.0 else GRID
        body.append(svg_line(_LEFT, up(mark), WIDTH - _RIGHT, up(mark), f'stroke="{colour}"'))
        body.append(svg_line(across(mark), _TOP, across(mark), _TALL - _BOTTOM, f'stroke="{colour}"'))
        body.append(svg_text(_LEFT - 8, up(mark) + 4, f"{mark:g}", anchor="end"))
        body.append(svg_text(across(mark), _TALL - _BOTTOM + 16, f"{mark:g}", anchor="middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    body.append(svg_text(middle, _TALL - 8, "cost of the model, bp", anchor="middle"))
    body.append(svg_text(4, _TOP - 10, "realised, bp"))
    return body


def _mean(mean: Mean, across: Scale, up: Scale, colour: str, key: float) -> list[str]:
    x, y, body = across(mean.model), up(mean.realised), []
    if math.isfinite(mean.error):
        ends = (up(mean.realised - 2 * mean.error), up(mean.realised + 2 * mean.error))
        body.append(svg_line(x, ends[0], x, ends[1], f'stroke="{colour}" stroke-width="1.6"'))
        body += [svg_line(x - 5, end, x + 5, end, f'stroke="{colour}" stroke-width="1.6"') for end in ends]
    judged = mean.orders >= ORDERS_MIN and math.isfinite(mean.error)
    off = judged and abs(mean.realised - mean.model) > 2 * mean.error + 1e-9
    edge = f' stroke="{LIMIT}" stroke-width="2"' if off else ""
    body.append(f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{colour}"{edge}/>')
    left = WIDTH - _RIGHT + 12
    body.append(f'<rect x="{left + 5:.1f}" y="{key - 5:.1f}" width="9" height="9" fill="{colour}"{edge}/>')
    return [*body, svg_text(left + 26, key + 4, mean.label + (" (off)" if off else ""))]


def parts_chart(title: str, days: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], unit: str) -> str:
    """One stacked bar per session: costs upwards, gains downwards. `series`: (part, its sum per session)."""
    if not days or not any(value for _, values in series for value in values):
        return svg_chart(title, [svg_text(4, 42, "no order ended in these sessions")], 60)
    ups = [math.fsum(values[n] for _, values in series if values[n] > 0.0) for n in range(len(days))]
    downs = [math.fsum(values[n] for _, values in series if values[n] < 0.0) for n in range(len(days))]
    low, high = min(downs), max(ups)
    margin = 0.06 * (high - low)
    up = Scale(low - margin, high + margin, _PARTS_TALL - _BOTTOM, _TOP)
    slot = (WIDTH - _RIGHT - _LEFT) / len(days)
    width = min(0.7 * slot, _BAR_MAX)
    body = []
    for mark in ticks(low - margin, high + margin)[1]:
        body.append(svg_line(_LEFT, up(mark), WIDTH - _RIGHT, up(mark), f'stroke="{AXIS if mark == 0.0 else GRID}"'))
        body.append(svg_text(_LEFT - 8, up(mark) + 4, f"{mark:,.0f}", anchor="end"))
    for n in range(len(days)):
        base = {True: 0.0, False: 0.0}
        for place, (_, values) in enumerate(series):
            value = values[n]
            if value == 0.0:
                continue
            start = base[value > 0.0]
            base[value > 0.0] = end = start + value
            top, height = min(up(start), up(end)), abs(up(end) - up(start))
            left = _LEFT + slot * (n + 0.5) - width / 2
            colour = COLOURS[place % len(COLOURS)]
            body.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
            )
    for place, (name, _) in enumerate(series):
        top = _TOP + 17 * place
        body.append(
            f'<rect x="{WIDTH - _RIGHT + 12}" y="{top}" width="10" height="10" fill="{COLOURS[place % len(COLOURS)]}"/>'
        )
        body.append(svg_text(WIDTH - _RIGHT + 28, top + 9, name))
    body.append(svg_text(_LEFT, _PARTS_TALL - 22, days[0]))
    if len(days) > 1:
        body.append(svg_text(WIDTH - _RIGHT, _PARTS_TALL - 22, days[-1], anchor="end"))
    body.append(svg_text(4, _TOP - 10, f"{unit}, costs up, gains down"))
    return svg_chart(title, body, _PARTS_TALL)
