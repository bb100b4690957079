"""Small charts as SVG text: the same numbers give the same bytes, and a chart is light enough for an event row. Pure.

Four forms serve most plots of the reports: lines over sessions, horizontal bars, bars in pairs, and a heat map. Colours tell apart,
labels tell what. Not here: forms for risk alone (`risk_charts`), where a chart stands on a page (`report`, `pages`).
"""

import math
from collections.abc import Callable, Sequence
from html import escape

WIDTH, HEIGHT = 640, 240
PALETTE = ("#1f5fa8", "#c2571a", "#3b7d3a", "#8a3d8f", "#7a6a2b", "#2b7a78")
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 14, 36, 30
GRID, AXIS, INK, LIMIT, _BEFORE, NEGATIVE = "#e3e8ee", "#9aa5b1", "#39424e", "#b3261e", "#a9c1dc", "#c2571a"
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'
_TICKS, _DATES, _LABEL_CHARS = 5, 4, 26
BARS_LEFT, _BARS_RIGHT = 190, 126
_HEAT_TOP, _HEAT_STEP, _HEAT_RIGHT, _MARKS = 146, 19, 60, ("×", "!")
HEAT = ("#f0f2f4", "#cfe3d4", "#e8b54a", "#c2571a", "#8c1d18")


def inline(svg: str) -> str:
    """A chart for use inside an HTML page, where the namespace goes without saying."""
    return svg.replace(_NAMESPACE, "", 1)


def safe(text: object) -> str:
    """A text for HTML or SVG: escaped, characters that cannot be printed (control, direction) made blanks."""
    told = str(text)
    if not told.isprintable():
        told = "".join(c if c.isprintable() or c == "\u00a0" else " " for c in told)
    return escape(told, quote=True)


def svg_chart(title: str, body: Sequence[str], height: int = HEIGHT) -> str:
    """A chart of WIDTH x `height` pixels with its title, which screen readers read, and the parts of its body."""
    head = (
        f'<svg{_NAMESPACE} viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12.5" role="img" aria-label="{safe(title)}">'
    )
    name = f'<text x="4" y="15" font-size="14" font-weight="600" fill="{INK}">{safe(title)}</text>'
    return head + name + "".join(body) + "</svg>"


def value_text(value: float, unit: str, digits: int = 1) -> str:
    """A number as a chart tells it: `%` a fraction as percent, another unit whole numbers, none four digits."""
    if unit == "%":
        told = f"{100 * value:.{digits}f}"
        return f"{told if float(told) else told.removeprefix('-')} %"
    if unit:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def svg_text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> str:
    """Text at a place in pixels, escaped."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{safe(text)}</text>'


def short(label: str, chars: int = _LABEL_CHARS) -> str:
    """A label that fits beside a bar."""
    return label if len(label) <= chars else label[: chars - 1] + "…"


def svg_line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A line between two places in pixels; `style`: its attributes."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def ticks(low: float, high: float) -> tuple[float, list[float]]:
    """(step, round values within [low, high])."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= raw * (1.0 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return step, [step * number for number in range(first, last + 1)]


def tick_digits(step: float, unit: str) -> int:
    """Decimals of an axis in percent so that no two ticks read the same."""
    shown = 100 * step
    for digits in range(4):
        if abs(shown * 10**digits - round(shown * 10**digits)) < 1e-6:
            return digits if unit == "%" else 0
    return 4


def line_chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str = "",
    limit: float | None = None,
    marks: Sequence[tuple[str, float]] = (),
    invert: bool = False,
) -> str:
    """Lines over sessions. `labels` (T,) ascending; each series (T,), NaN leaves a gap.

    `limit` and `marks` (name, value) draw dashed lines; `invert` lets values grow downwards, as drawdowns are read.
    """
    named = [*marks, *([("limit", limit)] if limit is not None else [])]
    finite = [v for _, values in series for v in values if math.isfinite(v)]
    if not finite or not labels:
        return svg_chart(title, [svg_text(_LEFT, HEIGHT / 2, "no data yet")])
    finite += [value for _, value in named]
    low, high = min(finite), max(finite)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = (min(low, 0.0) if invert else low - margin), high + margin
    edge = WIDTH - _RIGHT

    def x(position: int) -> float:
        return _LEFT + (edge - _LEFT) * (position / max(len(labels) - 1, 1))

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (share if invert else 1.0 - share)

    step, values = ticks(low, high)
    body = []
    for value in values:
        body.append(svg_line(_LEFT, y(value), edge, y(value), f'stroke="{GRID}"'))
        body.append(svg_text(_LEFT - 8, y(value) + 4, value_text(value, unit, tick_digits(step, unit)), anchor="end"))
    body += _dates(labels, x)
    for name, value in named:
        body.append(svg_line(_LEFT, y(value), edge, y(value), f'stroke="{LIMIT}" stroke-dasharray="5 4"'))
        body.append(svg_text(edge - 2, y(value) - 4, f"{name} {value_text(value, unit)}", anchor="end", fill=LIMIT))
    for number, (_, points) in enumerate(series):
        places = [(x(n), y(v)) if math.isfinite(v) else None for n, v in enumerate(points)]
        body.append(_path(places, PALETTE[number % len(PALETTE)], dashed=number > 0))
    return svg_chart(title, body + _legend([name for name, _ in series]))


def _dates(labels: Sequence[str], x: Callable[[int], float]) -> list[str]:
    count = min(_DATES, len(labels))
    places = sorted({round(n * (len(labels) - 1) / max(count - 1, 1)) for n in range(count)})
    body = []
    for place in places:
        anchor = "start" if place == 0 else "end" if place == len(labels) - 1 else "middle"
        body.append(svg_text(x(place), HEIGHT - 8, labels[place], anchor=anchor))
    return body


def _legend(names: Sequence[str]) -> list[str]:
    """Names at the top right, each with the stroke of its line."""
    body, right = [], float(WIDTH - _RIGHT)
    for number, name in reversed(list(enumerate(names))):
        colour = PALETTE[number % len(PALETTE)]
        body.append(svg_text(right, 15, name, anchor="end"))
        right -= 6.2 * len(name) + 12
        dash = ' stroke-dasharray="6 3"' if number else ""
        body.append(svg_line(right - 18, 11, right, 11, f'stroke="{colour}" stroke-width="2.2"{dash}'))
        right -= 34
    return body


def _path(points: Sequence[tuple[float, float] | None], colour: str, *, dashed: bool) -> str:
    known = [point for point in points if point is not None]
    if len(known) == 1:
        return f'<circle cx="{known[0][0]:.1f}" cy="{known[0][1]:.1f}" r="3.5" fill="{colour}"/>'
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        steps.append(f"{pen}{point[0]:.1f},{point[1]:.1f}")
        pen = "L"
    dash = ' stroke-dasharray="6 3"' if dashed else ""
    return f'<path d="{" ".join(steps)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def bar_chart(
    title: str, rows: Sequence[tuple[str, float]], *, unit: str = "", limits: Sequence[float | None] | None = None
) -> str:
    """Horizontal bars, one per row (label, value); NaN counts as 0 with a question mark; `limits` mark each row's limit."""
    marks = list(limits) if limits is not None else [None] * len(rows)
    scale = bar_scale([v for _, v in rows], marks)
    if scale is None:
        return svg_chart(title, [svg_text(4, 42, "no data yet")], 60)
    step = 21
    body = [svg_line(scale(0.0), _TOP - 4, scale(0.0), _TOP + step * len(rows), f'stroke="{AXIS}"')]
    for number, ((label, value), mark) in enumerate(zip(rows, marks, strict=True)):
        top = _TOP + step * number
        over = mark is not None and math.isfinite(value) and value > mark
        colour = LIMIT if over else PALETTE[0] if not value < 0.0 else NEGATIVE
        body.append(svg_text(BARS_LEFT - 8, top + 12, short(label), anchor="end"))
        body.append(svg_bar(scale, value, top + 2, 13, colour))
        body += _bar_mark(scale, mark, top)
        text = (value_text(value, unit) if math.isfinite(value) else "?") + (" over limit" if over else "")
        edge = max(scale(0.0), scale(value) if math.isfinite(value) else 0.0)
        near = mark is not None and math.isfinite(mark) and edge - 2 < scale(mark) < edge + 42
        body.append(svg_text((scale(mark) if near and mark is not None else edge) + 5, top + 12, text))
    return svg_chart(title, body, _TOP + step * len(rows) + 8)


def heat_map(
    title: str, rows: Sequence[tuple[str, Sequence[int]]], columns: Sequence[str], levels: Sequence[str]
) -> str:
    """One cell per row and column. Each row (label, cells (columns,)): a cell is a place in `levels`, mildest first; the first
    two are unremarkable.

    A remarkable cell tells row, column and level when pointed at; the worst two levels carry a mark, for colours alone tell
    not everyone. Of a row only what differs from its commonest level is drawn by itself, so that a plot stays small.
    """
    if not rows or not columns:
        return svg_chart(title, [svg_text(4, 42, "nothing to show")], 60)
    wide = min((WIDTH - BARS_LEFT - _HEAT_RIGHT) / len(columns), 2.0 * _HEAT_STEP)
    body = _levels(levels)
    for place, column in enumerate(columns):
        x = BARS_LEFT + wide * (place + 0.5)
        turned = f'transform="rotate(-60 {x:.1f} {_HEAT_TOP - 6})" fill="{INK}" font-size="11"'
        body.append(f'<text x="{x:.1f}" y="{_HEAT_TOP - 6}" {turned}>{safe(short(column))}</text>')
    for number, (label, cells) in enumerate(rows):
        y = _HEAT_TOP + _HEAT_STEP * number
        common = max(sorted(set(cells)), key=list(cells).count)
        body.append(svg_text(BARS_LEFT - 8, y + 13, short(label), anchor="end"))
        body.append(_cell(BARS_LEFT, y, wide * len(columns), common, ""))
        for place, cell in enumerate(cells):
            x = BARS_LEFT + wide * place
            if cell > 1:
                body.append(_cell(x, y, wide, cell, f"{label}, {columns[place]}: {levels[cell]}"))
            elif cell != common:
                body.append(_cell(x, y, wide, cell, ""))
            if cell >= len(levels) - 2:
                body.append(svg_text(x + wide / 2, y + 13, _MARKS[cell - len(levels)], anchor="middle", fill="#ffffff"))
    return svg_chart(title, body, _HEAT_TOP + _HEAT_STEP * len(rows) + 8)


def _cell(x: float, y: float, wide: float, level: int, told: str) -> str:
    box = f'x="{x + 0.5:.1f}" y="{y + 1}" width="{wide - 1:.1f}" height="{_HEAT_STEP - 2}" fill="{HEAT[level]}"'
    return f"<rect {box}><title>{safe(told)}</title></rect>" if told else f"<rect {box}/>"


def _levels(names: Sequence[str]) -> list[str]:
    """What the colours of a heat map mean, in the line below the title."""
    body, left = [], 4.0
    for place, name in enumerate(names):
        body.append(f'<rect x="{left:.1f}" y="24" width="10" height="10" fill="{HEAT[place]}"/>')
        body.append(svg_text(left + 14, 33, name))
        left += 6.2 * len(name) + 34
    return body


def paired_bars(
    title: str,
    rows: Sequence[tuple[str, float, float, float | None]],
    *,
    names: tuple[str, str] = ("now", "target"),
    unit: str = "%",
) -> str:
    """Two bars per row (label, first, second, limit or None); NaN counts as 0 with a question mark."""
    scale = bar_scale([v for _, a, b, _ in rows for v in (a, b)], [limit for *_, limit in rows])
    if scale is None:
        return svg_chart(title, [svg_text(4, 42, "no data yet")], 60)
    step, top = 30, _TOP + 2
    body = [svg_line(scale(0.0), top - 4, scale(0.0), top + step * len(rows), f'stroke="{AXIS}"')]
    for label, first, second, limit in rows:
        body.append(svg_text(BARS_LEFT - 8, top + 15, short(label), anchor="end"))
        body.append(svg_bar(scale, first, top + 1, 10, _BEFORE))
        over = limit is not None and math.isfinite(second) and second > limit
        body.append(svg_bar(scale, second, top + 12, 10, LIMIT if over else PALETTE[0]))
        body += _bar_mark(scale, limit, top, 24)
        text = " → ".join(value_text(v, unit) if math.isfinite(v) else "?" for v in (first, second))
        body.append(svg_text(WIDTH - 4, top + 15, text + (" !" if over else ""), anchor="end"))
        top += step
    return svg_chart(title, body + _key(names, any(limit is not None for *_, limit in rows)), top + 6)


def _key(names: tuple[str, str], limits: bool) -> list[str]:
    """What the two bars and the red mark mean, at the top right."""
    body, right = [], WIDTH - 4.0
    entries = [(names[0], _BEFORE, 10), (names[1], PALETTE[0], 10), *([("limit", LIMIT, 2)] if limits else [])]
    for name, colour, width in reversed(entries):
        body.append(svg_text(right, 15, name, anchor="end"))
        right -= 6.2 * len(name) + 10
        body.append(f'<rect x="{right - width:.1f}" y="6" width="{width}" height="10" fill="{colour}"/>')
        right -= width + 14
    return body


class Scale:
    """A number's place on the horizontal axis, pixels."""

    def __init__(self, low: float, high: float, left: float, right: float) -> None:
        self._low, self._left = low, left
        self._factor = (right - left) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._left + (value - self._low) * self._factor


def bar_scale(values: Sequence[float], marks: Sequence[float | None]) -> Scale | None:
    """None when no number is known."""
    finite = [v for v in values if math.isfinite(v)] + [m for m in marks if m is not None and math.isfinite(m)]
    return Scale(min(0.0, *finite), max(0.0, *finite), BARS_LEFT, WIDTH - _BARS_RIGHT) if finite else None


def svg_bar(scale: Scale, value: float, top: float, height: int, colour: str) -> str:
    """A bar from zero to a value; NaN counts as 0."""
    at = scale(value if math.isfinite(value) else 0.0)
    start, width = min(at, scale(0.0)), abs(at - scale(0.0))
    return f'<rect x="{start:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}" rx="1.5" fill="{colour}"/>'


def _bar_mark(scale: Scale, mark: float | None, top: float, height: int = 17) -> list[str]:
    if mark is None or not math.isfinite(mark):
        return []
    return [svg_line(scale(mark), top, scale(mark), top + height, f'stroke="{LIMIT}" stroke-width="2"')]
