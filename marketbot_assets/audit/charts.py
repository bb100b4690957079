"""Small charts as SVG text: the same numbers give the same bytes, and a chart is light enough for an event row. Pure.

Two forms serve every plot of the reports: lines over sessions and horizontal bars. Colours tell apart, labels tell what.
"""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 26, 28
PALETTE = ("#1f5fa8", "#c2571a", "#3b7d3a", "#8a3d8f", "#7a6a2b", "#2b7a78")
_GRID, _TEXT, _LIMIT = "#d9dee5", "#39424e", "#b3261e"
_TICKS = 4


def _svg(title: str, body: Sequence[str], height: int = HEIGHT) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title, quote=True)}">'
    )
    name = f'<text x="4" y="14" font-size="13" font-weight="600" fill="{_TEXT}">{escape(title)}</text>'
    return head + name + "".join(body) + "</svg>"


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def line_chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str = "",
    limit: float | None = None,
) -> str:
    """Lines over sessions. `labels` (T,) ascending; each series (T,), NaN leaves a gap; `limit` draws a dashed line."""
    finite = [v for _, values in series for v in values if math.isfinite(v)] + ([limit] if limit is not None else [])
    if not finite:
        return _svg(title, [f'<text x="{_LEFT}" y="{HEIGHT // 2}" fill="{_TEXT}">no data yet</text>'])
    low, high = min(finite), max(finite)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def x(position: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (position / max(len(labels) - 1, 1))

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    body = []
    for tick in range(_TICKS + 1):
        value = low + (high - low) * tick / _TICKS
        body.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{_GRID}"/>'
        )
        text = _number(value, unit)
        body.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="{_TEXT}">{text}</text>')
    for place, anchor in ((0, "start"), (len(labels) - 1, "end")):
        label = f'<text x="{x(place):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}" fill="{_TEXT}">{escape(labels[place])}</text>'
        body.append(label)
    if limit is not None:
        body.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" '
            f'stroke="{_LIMIT}" stroke-dasharray="5 4"/>'
        )
    for number, (name, values) in enumerate(series):
        colour = PALETTE[number % len(PALETTE)]
        body.append(_path([(x(n), y(v)) for n, v in enumerate(values) if math.isfinite(v)], colour))
        left = WIDTH - _RIGHT - 110 * (len(series) - number)
        body.append(f'<text x="{left}" y="14" fill="{colour}">{escape(name)}</text>')
    return _svg(title, body)


def _path(points: Sequence[tuple[float, float]], colour: str) -> str:
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3" fill="{colour}"/>'
    text = " ".join(f"{'L' if n else 'M'}{px:.1f},{py:.1f}" for n, (px, py) in enumerate(points))
    return f'<path d="{text}" fill="none" stroke="{colour}" stroke-width="1.8"/>'


def bar_chart(
    title: str, rows: Sequence[tuple[str, float]], *, unit: str = "", limits: Sequence[float | None] | None = None
) -> str:
    """Horizontal bars, one per row (label, value); NaN counts as 0 with a question mark; `limits` mark each row's limit."""
    marks = list(limits) if limits is not None else [None] * len(rows)
    finite = [v for _, v in rows if math.isfinite(v)] + [m for m in marks if m is not None and math.isfinite(m)]
    if not finite:
        return _svg(title, [f'<text x="{_LEFT}" y="40" fill="{_TEXT}">no data yet</text>'], 60)
    low, high = min(0.0, *finite), max(0.0, *finite)
    span = (high - low) or 1.0
    left, step = 170, 20
    height = _TOP + step * len(rows) + 10
    scale = (WIDTH - left - 80) / span
    zero = left - low * scale
    body = []
    for number, ((label, value), mark) in enumerate(zip(rows, marks, strict=True)):
        top = _TOP + step * number
        known = math.isfinite(value)
        size = value if known else 0.0
        start = min(zero, zero + size * scale)
        colour = _LIMIT if mark is not None and known and value > mark else PALETTE[0]
        body.append(f'<text x="{left - 6}" y="{top + 13}" text-anchor="end" fill="{_TEXT}">{escape(label[:28])}</text>')
        body.append(
            f'<rect x="{start:.1f}" y="{top + 3}" width="{abs(size) * scale:.1f}" height="13" fill="{colour}"/>'
        )
        text = _number(value, unit) if known else "?"
        body.append(f'<text x="{max(zero, zero + size * scale) + 4:.1f}" y="{top + 13}" fill="{_TEXT}">{text}</text>')
        if mark is not None and math.isfinite(mark):
            at = zero + mark * scale
            body.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 1}" y2="{top + 18}" stroke="{_LIMIT}" stroke-width="2"/>'
            )
    return _svg(title, body, height)
