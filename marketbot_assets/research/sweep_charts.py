"""A measure of a sweep over its parameters, as SVG: a plane of two axes, a line over one. Pure. Not here: pages (`sweep_page`)."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.audit.charts import INK, WIDTH, bar_chart, line_chart, safe, short, svg_chart, svg_text
from marketbot_assets.research.sweep_table import axes_of

_LEFT, _TOP, _STEP, _RIGHT, _ACROSS_MAX = 150, 64, 26, 14, 24
_LOW, _MIDDLE, _HIGH = (194, 87, 26), (244, 246, 248), (31, 95, 168)
PERCENT = ("return_per_year", "drawdown_max")
NAMES = {
    "sharpe_per_year": "Ratio per year",
    "return_per_year": "Return per year",
    "drawdown_max": "Worst drawdown",
    "turnover_per_year": "Turnover per year",
}


def surfaces(frame: pd.DataFrame, measure: str) -> list[str]:
    """One picture per period: a plane over each pair of axes, a line over one axis of numbers, bars over one of names.

    Where there are more axes than a picture shows, a cell is the median over the rest.
    """
    found = []
    for (first, last), rows in frame.groupby(["first", "last"], sort=True):
        when = f"{first.date()} to {last.date()}"
        found += [chart for chart in _of_period(rows, axes_of(frame), measure, when)]
    return found


def _of_period(rows: pd.DataFrame, axes: dict[str, list[object]], measure: str, when: str) -> list[str]:
    title = f"{NAMES.get(measure, measure)}, {when}"
    names = list(axes)
    if not names:
        return []
    if len(names) == 1:
        labels = [_label(value) for value in axes[names[0]]]
        values = _medians(rows, names, axes, measure)
        if all(isinstance(value, int | float) for value in axes[names[0]]):
            return [line_chart(f"{title} over {names[0]}", labels, [(measure, [float(v) for v in values])])]
        bars = [(label, float(v)) for label, v in zip(labels, values, strict=True) if math.isfinite(v)]
        return [bar_chart(f"{title} by {names[0]}", bars)]
    form = ".1%" if measure in PERCENT else ".3g"
    pairs = [(names[i], names[j]) for i in range(len(names)) for j in range(i + 1, len(names))]
    return [plane(f"{title}", pair, axes, _medians(rows, list(pair), axes, measure), form) for pair in pairs[:6]]


def _medians(rows: pd.DataFrame, names: Sequence[str], axes: dict[str, list[object]], measure: str) -> "np.ndarray":
    """(values of the first axis, ... of the last) medians of a measure; NaN without a number."""
    cells: dict[tuple[int, ...], list[float]] = {}
    for text, value in zip(rows["parameters"], rows[measure], strict=True):
        chosen = json.loads(text)
        if math.isfinite(value):
            cells.setdefault(tuple(axes[n].index(chosen[n]) for n in names), []).append(float(value))
    out = np.full([len(axes[n]) for n in names], np.nan)
    for place, values in cells.items():
        out[place] = float(np.median(values))
    return out


def plane(title: str, pair: tuple[str, str], axes: dict[str, list[object]], values: "np.ndarray", form: str) -> str:
    """(down, across) values as coloured cells with their numbers in this form: blue above 0, brown below, paler the nearer."""
    down, across = pair
    columns = axes[across][:_ACROSS_MAX]
    wide = min((WIDTH - _LEFT - _RIGHT) / len(columns), 90.0)
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size and finite.max() > 0.0 else 1.0
    body = [svg_text(4, 36, f"{short(down)} down, {short(across)} across")]
    for place, column in enumerate(columns):
        body.append(svg_text(_LEFT + wide * (place + 0.5), _TOP - 6, short(_label(column), 12), anchor="middle"))
    for row, label in enumerate(axes[down]):
        y = _TOP + _STEP * row
        body.append(svg_text(_LEFT - 8, y + 17, short(_label(label), 20), anchor="end"))
        for place, column in enumerate(columns):
            value, x = float(values[row, place]), _LEFT + wide * place
            told = f"{value:{form}}" if math.isfinite(value) else "-"
            name = f"{down} {_label(label)}, {across} {_label(column)}: {told}"
            box = f'x="{x + 0.5:.1f}" y="{y + 1}" width="{wide - 1:.1f}" height="{_STEP - 2}"'
            body.append(f'<rect {box} fill="{_colour(value / largest)}"><title>{safe(name)}</title></rect>')
            dark = math.isfinite(value) and abs(value) > 0.6 * largest
            if wide >= 34:
                fill = "#ffffff" if dark else INK
                body.append(svg_text(x + wide / 2, y + 17, told, anchor="middle", fill=fill))
    return svg_chart(title, body, _TOP + _STEP * len(axes[down]) + 8)


def _colour(share: float) -> str:
    """Of a value between -1 and 1."""
    if not math.isfinite(share):
        return "#ffffff"
    end, weight = (_HIGH if share > 0 else _LOW), min(abs(share), 1.0)
    mixed = (round(m + (e - m) * weight) for m, e in zip(_MIDDLE, end, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _label(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
