"""Macro series and reference rates of the world, by release, with vintages where the real ones have them. Pure.

SP500 is the world's own market factor, VIX its volatility. CORE_CPI is released the month after, revised in each of the two
months that follow, and once more with all of its year in the second February after: the last vintage is the truth.
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from marketbot_resources.currencies import major_unit
from marketbot_resources.synthetic.factors import factors_of
from marketbot_resources.synthetic.grid import PARTS, Grid, factor_days, grid_of
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import Floats, stream
from marketbot_resources.synthetic.tables import DAY, STAMP, TEXT
from marketbot_resources.synthetic.venues import UNITS_PER_USD, VENUES

DECISION_MIC = "XNYS"
_DAY, _LAG, _EPOCH = 86_400_000_000, 15 * 60_000_000, dt.date(1970, 1, 1)
_WALKS = {
    # series: unit, start, mean, step per session, speed
    "WTI": ("USD per barrel", 60.0, 62.0, 1.2, 0.005),
    "US10Y": ("percent per year", 3.0, 3.2, 0.045, 0.004),
    "US2Y": ("percent per year", 2.0, 2.2, 0.045, 0.004),
    "US1M": ("percent per year", 1.5, 1.8, 0.02, 0.004),
}
_MONTHLY = {"AAA": ("percent per year", 4.2, 0.12), "BAA": ("percent per year", 5.2, 0.13)}
_RELEASE_DAY, _RELEASE_TIME = 12, 13 * 3_600_000_000 + 30 * 60_000_000
_RATE_STEP, _FIXED_TIME = 0.005, 15 * 3_600_000_000
Row = tuple[str, dt.date, float, str, int]


def macro_table(spec: WorldSpec) -> pa.Table:
    """Every observation and vintage of the world's range, by series, period and release."""
    grid = grid_of(DECISION_MIC, spec.first, spec.last)
    rows = [*_market_rows(spec, grid), *_walk_rows(spec, grid), *_price_rows(spec), *_yield_rows(spec)]
    series, periods, values, units, known = zip(*rows, strict=True)
    return pa.table(
        {
            "series": pa.array(series, type=TEXT),
            "period": pa.array(periods, type=DAY),
            "value": pa.array(values, type=pa.float64()),
            "unit": pa.array(units, type=TEXT),
            "known_at": pa.array(known, type=pa.int64()).cast(STAMP),
            "synthetic": pa.array([True] * len(rows)),
        }
    )


def fx_table(spec: WorldSpec) -> pa.Table:
    """Units of each quoted currency (and the dollar) per euro, one fixing each weekday."""
    majors = {major_unit(VENUES[mic].currency)[0] for mic in spec.mics} | {"USD"}
    days = factor_days(spec.first, spec.last)
    rates, currencies = list[Floats](), sorted(majors - {"EUR"})
    for currency in currencies:
        shocks = stream(spec.seed, f"rate {currency}").standard_normal(len(days))
        start = UNITS_PER_USD[currency] / UNITS_PER_USD["EUR"]
        rates.append(np.round(start * np.exp(np.cumsum(_RATE_STEP * shocks)), 6))
    known = np.tile(days.astype(np.int64) * _DAY + _FIXED_TIME, len(currencies))
    return pa.table(
        {
            "currency": pa.array(np.repeat(np.array(currencies, dtype=object), len(days)), type=TEXT),
            "session": pa.array(np.tile(days, len(currencies)), type=pa.int32()).cast(DAY),
            "units_per_eur": pa.array(np.concatenate([np.empty(0), *rates])),
            "known_at": pa.array(known, type=pa.int64()).cast(STAMP),
            "synthetic": pa.array(np.ones(len(known), dtype=bool)),
        }
    )


def _daily(name: str, unit: str, grid: Grid, values: Floats, digits: int) -> list[Row]:
    known = grid.closes[: grid.count] + _LAG
    days = grid.sessions[: grid.count]
    return [(name, d, round(float(v), digits), unit, int(k)) for d, v, k in zip(days, values, known, strict=True)]


def _market_rows(spec: WorldSpec, grid: Grid) -> list[Row]:
    factors = factors_of(spec)
    level = 2000.0 * np.exp(factors.market[grid.ends])
    days = np.maximum((grid.ends - 1) // PARTS, 0)
    implied = np.maximum(100 * factors.market_vol[days] * 1.05 + 2.0, 5.0)
    return _daily("SP500", "points", grid, level, 2) + _daily("VIX", "percent per year", grid, implied, 2)


def _walk_rows(spec: WorldSpec, grid: Grid) -> list[Row]:
    rows: list[Row] = []
    for name, (unit, start, mean, step, speed) in _WALKS.items():
        value, values = start, np.empty(grid.count)
        for n, shock in enumerate(stream(spec.seed, f"macro {name}").standard_normal(grid.count)):
            value = max(value + speed * (mean - value) + step * float(shock), 0.01 * mean)
            values[n] = value
        rows += _daily(name, unit, grid, values, 3)
    return rows


def _months(spec: WorldSpec) -> list[dt.date]:
    """First days of the months that begin within the range, or the first one's month."""
    months, month = [], spec.first.replace(day=1)
    while month <= spec.last:
        months.append(month)
        month = _next(month)
    return months


def _next(month: dt.date, count: int = 1) -> dt.date:
    index = month.year * 12 + month.month - 1 + count
    return dt.date(index // 12, index % 12 + 1, 1)


def _release(month: dt.date) -> int:
    """The twelfth of the month or the Monday after, 13:30 UTC, microseconds."""
    day = month.replace(day=_RELEASE_DAY)
    day += dt.timedelta(days=(7 - day.weekday()) if day.weekday() > 4 else 0)
    return (day - _EPOCH).days * _DAY + _RELEASE_TIME


def _price_rows(spec: WorldSpec) -> list[Row]:
    """Vintages differ by a revision each, drawn for the month, so that no vintage repeats the one before."""
    months = _months(spec)
    draws = stream(spec.seed, "macro CORE_CPI").standard_normal((len(months), 4))
    truth = 100.0 * np.exp(np.cumsum(0.002 + 0.0008 * draws[:, 0]))
    rows: list[Row] = []
    for month, true, draw in zip(months, truth, draws, strict=True):
        errors = 0.15 * np.array([draw[1] + draw[2] + draw[3], draw[2] + draw[3], draw[3], 0.0])
        releases = [_next(month, n) for n in (1, 2, 3)] + [dt.date(month.year + 2, 2, 1)]
        seen = None
        for release, error in zip(releases, errors, strict=True):
            value = round(float(true + error), 3)
            if value != seen:
                rows.append(("CORE_CPI", month, value, "index 100 at the start", _release(release)))
            seen = value
    return rows


def _yield_rows(spec: WorldSpec) -> list[Row]:
    months = _months(spec)
    rows: list[Row] = []
    for name, (unit, mean, step) in _MONTHLY.items():
        value = mean
        for month, shock in zip(months, stream(spec.seed, f"macro {name}").standard_normal(len(months)), strict=True):
            value = max(value + 0.03 * (mean - value) + step * float(shock), 0.1)
            rows.append((name, month, round(value, 3), unit, _release(_next(month))))
    return rows


def known_between(table: pa.Table, after: int | None, until: int) -> pa.Table:
    """Rows with after < known_at <= until, instants in microseconds."""
    known = table["known_at"].cast(pa.int64()).to_numpy()
    wanted = known <= until
    if after is not None:
        wanted &= known > after
    places = np.flatnonzero(wanted)
    if len(places) and places[-1] - places[0] + 1 == len(
        places
    ):  # of a table by release they are in one piece: no copy
        return table.slice(int(places[0]), len(places))
    return table.filter(pa.array(wanted))


def sorted_by_release(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Rows by `known_at`, then by the key columns."""
    return table.sort_by([("known_at", "ascending"), *((key, "ascending") for key in keys)])
