"""Charts that only a tear sheet needs: a map of monthly returns and a histogram, as SVG text. Pure. Not here: lines and bars
(`audit.charts`).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from marketbot_assets.audit.charts import (
    AXIS,
    INK,
    LIMIT,
    PALETTE,
    WIDTH,
    line_chart,
    safe,
    svg_chart,
    svg_line,
    svg_text,
)
from marketbot_assets.normalization.window import Floats

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
POINTS_MAX = 360
_LEFT, _TOP, _STEP, _CELL = 46.0, 46.0, 22.0, 44.5
_GAIN, _LOSS = (29, 107, 53), (156, 28, 22)
_HIST_LEFT, _HIST_BOTTOM, _HIST_TOP = 30.0, 206.0, 36.0


def thinned(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Floats],
    *,
    unit: str = "%",
    invert: bool = False,
    marks: Sequence[tuple[str, float]] = (),
) -> str:
    """A line chart of at most POINTS_MAX sessions, evenly spaced, the last one among them; `marks`: dashed lines (name, value)."""
    step = max(1, math.ceil(len(labels) / POINTS_MAX))
    places = list(range(len(labels) - 1, -1, -step))[::-1]
    shown = [(name, [float(values[n]) for n in places]) for name, values in series.items()]
    return line_chart(title, [labels[n] for n in places], shown, unit=unit, invert=invert, marks=marks)


def month_map(title: str, months: Mapping[str, float], years: Mapping[str, float]) -> str:
    """One row per year, a cell per month with its return, and the year's. `months`: YYYY-MM -> return; `years`: YYYY -> return."""
    if not years:
        return svg_chart(title, [svg_text(4, 42, "no data yet")], 60)
    largest = max((abs(value) for value in months.values()), default=0.0) or 1.0
    body = [
        svg_text(_LEFT + _CELL * (n + 0.5), _TOP - 8, name, anchor="middle") for n, name in enumerate((*MONTHS, "year"))
    ]
    for row, year in enumerate(sorted(years)):
        y = _TOP + _STEP * row
        body.append(svg_text(_LEFT - 6, y + 15, year, anchor="end"))
        for n in range(12):
            value = months.get(f"{year}-{n + 1:02d}", math.nan)
            if math.isfinite(value):
                body.append(_cell(_LEFT + _CELL * n, y, value, largest, f"{MONTHS[n]} {year}"))
        body.append(_cell(_LEFT + _CELL * 12, y, years[year], largest, year))
    return svg_chart(title, body, int(_TOP + _STEP * len(years) + 8))


def _cell(x: float, y: float, value: float, largest: float, told: str) -> str:
    share = min(1.0, abs(value) / largest)
    ink = _GAIN if value >= 0.0 else _LOSS
    fill = "#" + "".join(f"{round(255 + (part - 255) * (0.08 + 0.72 * share)):02x}" for part in ink)
    text = f"{100 * value:.1f}"
    text = (text if float(text) else text.removeprefix("-")).replace("-", "−")
    box = f'<rect x="{x + 0.5:.1f}" y="{y + 1:.1f}" width="{_CELL - 1:.1f}" height="{_STEP - 2:.1f}" fill="{fill}">'
    name = f"<title>{safe(told)}: {text} %</title></rect>"
    return box + name + svg_text(x + _CELL / 2, y + 15, text, anchor="middle", fill="#ffffff" if share > 0.6 else INK)


def histogram(title: str, values: Floats, marks: Sequence[tuple[str, float]] = ()) -> str:
    """Counts of returns in bars of equal width, the normal curve of the same mean and deviation, and marked losses (name, loss)."""
    if len(values) < 3 or not float(np.ptp(values)) > 0.0:
        return svg_chart(title, [svg_text(4, 42, "too few sessions")], 60)
    counts, edges = np.histogram(values, bins=min(40, max(8, int(math.sqrt(len(values)) * 1.5))))
    low, high = float(edges[0]), float(edges[-1])
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    middles, width = 0.5 * (edges[1:] + edges[:-1]), float(edges[1] - edges[0])
    normal = np.exp(-0.5 * ((middles - mean) / spread) ** 2) / (spread * math.sqrt(2.0 * math.pi)) * len(values) * width
    most = max(float(counts.max()), float(normal.max()))

    def x(value: float) -> float:
        return _HIST_LEFT + (WIDTH - _HIST_LEFT - 14.0) * (value - low) / (high - low)

    def y(count: float) -> float:
        return _HIST_BOTTOM - (_HIST_BOTTOM - _HIST_TOP) * count / most

    body = [svg_text(_HIST_LEFT - 5, y(n) + 4, f"{n:.0f}", anchor="end") for n in (0.0, float(counts.max()))]
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        box = f'x="{x(left) + 0.5:.1f}" y="{y(count):.1f}" width="{max(x(right) - x(left) - 1, 0.5):.1f}"'
        told = f"<title>{100 * left:.2f} to {100 * right:.2f} %: {count}</title>"
        body.append(f'<rect {box} height="{_HIST_BOTTOM - y(count):.1f}" fill="{PALETTE[0]}">{told}</rect>')
    steps = " ".join(
        f"{'M' if n == 0 else 'L'}{x(m):.1f},{y(v):.1f}" for n, (m, v) in enumerate(zip(middles, normal, strict=True))
    )
    body.append(f'<path d="{steps}" fill="none" stroke="{PALETTE[1]}" stroke-width="2"/>')
    for row, (name, loss) in enumerate(marks):
        if math.isfinite(loss) and low <= -loss <= high:
            body.append(
                svg_line(x(-loss), _HIST_TOP, x(-loss), _HIST_BOTTOM, f'stroke="{LIMIT}" stroke-dasharray="5 4"')
            )
            body.append(svg_text(x(-loss) + 3, _HIST_TOP + 10 + 14 * row, name, fill=LIMIT))
    body.append(svg_line(_HIST_LEFT, _HIST_BOTTOM, WIDTH - 14.0, _HIST_BOTTOM, f'stroke="{AXIS}"'))
    for n in range(5):
        value = low + (high - low) * n / 4.0
        anchor = "start" if n == 0 else "end" if n == 4 else "middle"
        body.append(svg_text(x(value), _HIST_BOTTOM + 16, f"{100 * value:.1f} %", anchor=anchor))
    return svg_chart(title, body, 232)
