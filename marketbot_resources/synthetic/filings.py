"""Figures that the issuers of a block file: quarterly, weeks after the quarter, some of them restated later. Pure."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from marketbot_resources.currencies import major_unit
from marketbot_resources.synthetic.block import Block
from marketbot_resources.synthetic.life import Life
from marketbot_resources.synthetic.streams import Floats, stream

_DAY, _FILED_TIME = 86_400_000_000, 21 * 3_600_000_000 + 1_800_000_000
_FILED_DAYS, _RESTATED_DAYS = (25, 60), (40, 200)
_EPOCH = dt.date(1970, 1, 1)
_QUARTER_ENDS = ((3, 31), (6, 30), (9, 30), (12, 31))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. Money in the reporting currency (major units), SHARES in shares without a currency. `known` in microseconds.

    The last one of (source_id, field, period_end) is the truth; the ones before are what was believed.
    """

    source_id: str
    field: str
    period_end: dt.date
    value: float
    currency: str
    form: str
    known: int


def filings_of(block: Block) -> list[Figure]:
    """Figures by listing, period and filing, of the quarters that ended while the listing traded."""
    ends = [
        dt.date(year, month, day)
        for year in range(block.spec.first.year, block.spec.last.year + 1)
        for month, day in _QUARTER_ENDS
        if block.spec.first <= dt.date(year, month, day) <= block.spec.last
    ]
    places = np.searchsorted(block.grid.days, [(end - _EPOCH).days for end in ends], side="right") - 1
    rows: list[Figure] = []
    for column, life in enumerate(block.lives):
        if len(ends):
            rows += _figures(block, life, column, ends, places)
    return rows


def _figures(block: Block, life: Life, column: int, ends: list[dt.date], places: np.ndarray) -> list[Figure]:
    steady = stream(block.spec.seed, "issuer", life.number).random(6)
    normals = stream(block.spec.seed, "figures", life.number).standard_normal((len(ends), 3))
    draws = stream(block.spec.seed, "filing", life.number).random((len(ends), 4))
    trend = np.cumsum(-0.003 + 0.012 * steady[0] + 0.02 * normals[:, 0])
    currency, divisor = major_unit(block.currency)
    cap = life.shares * life.start_price / float(divisor)
    shares = life.shares * np.cumprod(block.terms.ratio[:, column])
    rows: list[Figure] = []
    for n, (end, place) in enumerate(zip(ends, places, strict=True)):
        if not life.born <= place <= life.end:
            continue
        values = _values(cap * float(np.exp(trend[n])), steady, normals[n])
        form = "10-K" if end.month == 12 else "10-Q"
        filed = _at(end, _FILED_DAYS, float(draws[n, 0]))
        rows += [Figure(life.source_id, name, end, v, currency, form, filed) for name, v in values.items()]
        rows.append(Figure(life.source_id, "SHARES", end, float(round(float(shares[place]))), "", form, filed))
        if draws[n, 1] < block.spec.events.restated:
            again = filed + int(_DAY * (_RESTATED_DAYS[0] + int(draws[n, 2] * _RESTATED_DAYS[1])))
            value = float(round(values["NET_INCOME"] * (0.7 + 0.25 * float(draws[n, 3]))))
            rows.append(Figure(life.source_id, "NET_INCOME", end, value, currency, form + "/A", again))
    return rows


def _values(scale: float, steady: Floats, normals: Floats) -> dict[str, float]:
    equity = (0.15 + 0.95 * float(steady[1])) * scale
    debt = (0.2 + 1.2 * float(steady[2])) * equity
    income = (0.02 + 0.075 * float(steady[3])) * scale * (1 + 0.15 * float(normals[1]))
    gross = (0.12 + 0.33 * float(steady[4])) * (equity + debt) * (1 + 0.03 * float(normals[2]))
    figures = {
        "EQUITY": equity,
        "NET_INCOME": income,
        "GROSS_PROFIT": gross,
        "TOTAL_ASSETS": equity + debt,
        "TOTAL_DEBT": debt,
    }
    return {name: float(round(value)) for name, value in figures.items()}


def _at(end: dt.date, days: tuple[int, int], draw: float) -> int:
    return ((end - _EPOCH).days + days[0] + int(draw * (days[1] - days[0]))) * _DAY + _FILED_TIME
