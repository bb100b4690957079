"""The macro provider of the sample world: real series where a package ships them, continued by a seeded simulation that is marked.

Real: S&P 500, VIX 2014-2018, WTI, core CPI, AAA and BAA yields and the one-month bill to the end of 2018. Simulated: VIX otherwise
(from realized volatility of the index), what follows the real ends, and the other Treasury yields. No cash rate but the dollar's.
"""

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from marketbot_resources import calendars
from marketbot_resources.market.listings import generator
from marketbot_resources.market.sample_world import FIRST, LAST, packaged, real_closes
from marketbot_resources.market.shelf import Shelf, Transform
from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.provider import Delivery, whole

Row = tuple[str, dt.date, float, str, dt.datetime, bool]
_DAILY_LAG = dt.timedelta(minutes=15)
_MEAN_REVERSION = 0.005


def _real(folder: str, file: str, column: str) -> dict[dt.date, float]:
    import pandas as pd

    frame = pd.read_csv(packaged("arch", f"data/{folder}/{file}.csv.gz"))
    days = pd.to_datetime(frame["Date"], format="%m/%d/%Y")
    pairs = zip(days, pd.to_numeric(frame[column], errors="coerce"), strict=True)
    return {day.date(): float(value) for day, value in pairs if np.isfinite(value) and FIRST <= day.date() <= LAST}


def _bill_rates() -> dict[dt.date, float]:
    """First day of a month -> percent per year of a one-month bill: its return over that month, of French's factors, times 12."""
    import pandas as pd

    frame = pd.read_csv(packaged("arch", "data/frenchdata/frenchdata.csv.gz"))
    months = [dt.date(month // 100, month % 100, 1) for month in frame["Date"].tolist()]
    pairs = zip(months, frame["RF"].tolist(), strict=True)
    return {day: round(12.0 * float(rate), 4) for day, rate in pairs if FIRST.replace(day=1) <= day <= LAST}


def _index_rows() -> list[Row]:
    _, index = real_closes()
    return [("SP500", s.date(), float(v), "points", _after_close(s.date()), False) for s, v in index.items()]


@lru_cache(maxsize=8192)
def _after_close(day: dt.date) -> dt.datetime:
    return calendars.close_at("XNYS", day) + _DAILY_LAG


def _vix_rows() -> list[Row]:
    _, index = real_closes()
    real = _real("vix", "vix", "vix")
    logs = np.diff(np.log(index.to_numpy(dtype=float)), prepend=np.log(index.iloc[0]))
    noise = generator("vix").standard_normal(len(logs))
    variance, rows = 0.0001, []
    for stamp, change, shock in zip(index.index, logs, noise, strict=True):
        variance = 0.94 * variance + 0.06 * float(change) ** 2
        implied = 100 * np.sqrt(SESSIONS_PER_YEAR * variance) * 1.05 + 2.5 + 0.4 * shock
        day = stamp.date()
        known = real.get(day)
        value = round(float(max(implied, 9.0)), 2) if known is None else known
        rows.append(("VIX", day, value, "percent per year", _after_close(day), known is None))
    return rows


def _walk(name: str, days: Sequence[dt.date], start: float, mean: float, step: float) -> NDArray[np.float64]:
    """A mean-reverting walk that cannot go below a hundredth of its mean."""
    draw, value, out = generator("macro", name).standard_normal(len(days)), start, np.empty(len(days))
    for n, shock in enumerate(draw):
        value = max(value + _MEAN_REVERSION * (mean - value) + step * float(shock), 0.01 * mean)
        out[n] = value
    return out


def _wti_rows() -> list[Row]:
    real = _real("wti", "wti", "DCOILWTICO")
    later = [day for day in calendars.sessions("XNYS", max(real), LAST) if day > max(real)]
    walked = _walk("WTI", later, real[max(real)], 62.0, 1.2)
    rows = [("WTI", day, value, "USD per barrel", _next_evening(day), False) for day, value in real.items()]
    return rows + [
        ("WTI", d, round(float(v), 2), "USD per barrel", _next_evening(d), True)
        for d, v in zip(later, walked, strict=True)
    ]


def _next_evening(day: dt.date) -> dt.datetime:
    following = day + dt.timedelta(days=1)
    while following.weekday() > 4:
        following += dt.timedelta(days=1)
    return dt.datetime(following.year, following.month, following.day, 21, tzinfo=dt.UTC)


def _monthly_rows(
    name: str, real: dict[dt.date, float], unit: str, release_day: int, monthly_growth: float, step: float
) -> list[Row]:
    rows = [(name, day, value, unit, _release(day, release_day), False) for day, value in real.items()]
    month, value = max(real), real[max(real)]
    draw = generator("macro", name)
    while (month := (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)) <= LAST:
        value = max(value * (1 + monthly_growth) + step * float(draw.standard_normal()), 0.1)
        rows.append((name, month, round(value, 3), unit, _release(month, release_day), True))
    return rows


def _release(month: dt.date, day: int) -> dt.datetime:
    """The given day of the following month, 13:30 UTC, or the Monday after."""
    following = (month.replace(day=28) + dt.timedelta(days=4)).replace(day=day)
    while following.weekday() > 4:
        following += dt.timedelta(days=1)
    return dt.datetime(following.year, following.month, following.day, 13, 30, tzinfo=dt.UTC)


def _yield_rows() -> list[Row]:
    days = calendars.sessions("XNYS", FIRST, LAST)
    long = _walk("US10Y", days, 5.5, 3.2, 0.045)
    spread = _walk("US2Y", days, 1.1, 1.0, 0.03) - 0.3
    rows: list[Row] = [
        ("US10Y", d, round(float(v), 3), "percent per year", _after_close(d), True)
        for d, v in zip(days, long, strict=True)
    ]
    return rows + [
        ("US2Y", d, round(float(a - b), 3), "percent per year", _after_close(d), True)
        for d, a, b in zip(days, long, spread, strict=True)
    ]


@lru_cache(maxsize=1)
def macro_shelf() -> Shelf:
    """All observations by release."""
    import pyarrow as pa

    rows = [*_index_rows(), *_vix_rows(), *_wti_rows(), *_yield_rows()]
    rows += _monthly_rows(
        "CORE_CPI", _real("core_cpi", "core-cpi", "CPILFESL"), "index 1982-84 = 100", 12, 0.0025, 0.05
    )
    rows += _monthly_rows("AAA", _real("default", "default", "AAA"), "percent per year", 4, 0.0, 0.12)
    rows += _monthly_rows("BAA", _real("default", "default", "BAA"), "percent per year", 4, 0.0, 0.13)
    rows += _monthly_rows("US1M", _bill_rates(), "percent per year", 4, 0.0, 0.1)
    names = ("series", "period", "value", "unit", "known_at", "synthetic")
    types = (pa.string(), pa.date32(), pa.float64(), pa.string(), pa.timestamp("us", tz="UTC"), pa.bool_())
    columns = list(zip(*rows, strict=True))
    return Shelf("series", pa.table({n: pa.array(c, type=t) for n, c, t in zip(names, columns, types, strict=True)}))


class SampleMacro:
    """Macro series of the sample world."""

    def __init__(self, transform: Transform | None = None) -> None:
        self._transform = transform

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Observations by release."""
        return whole(macro_shelf().body(since, until, self._transform))
