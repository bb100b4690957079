"""Figures as known after each filing day, from the facts of all filings: what a new filing changed becomes a row. Pure.

A fact is what one filing states for one tag, unit and period. Only the filing's own dates count: `fy`, `fp` and `frame` of the
source describe the filing or the newest statement, not the fact, and are not read. A filing speaks in one currency: the one of
most of its facts here (a translation for convenience covers fewer periods). Two values of one fact in one filing are no fact.
A later filing replaces a figure when it states it by the same or a better recipe, or in another currency. A trailing year may
join a restated year with parts that were never restated: nothing else was known on that day.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from marketbot_resources.fundamentals.sec_tags import FIGURES, FLOW, POINT, SHARES, Figure, Recipe
from marketbot_resources.fundamentals.trailing import DEPENDS_DAYS, trailing_year

Period = tuple[dt.date | None, dt.date]


@dataclass(frozen=True, slots=True)
class Fact:
    """One stated value. `start` is None for a state at `end`; `unit`: a currency or SHARES."""

    tag: str
    unit: str
    start: dt.date | None
    end: dt.date
    value: float
    accession: str
    form: str
    filed: dt.date


@dataclass(frozen=True, slots=True)
class Row:
    """One figure as a filing day left it. `currency` is empty for shares; flows are sums of the trailing year."""

    field: str
    period_end: dt.date
    value: float
    currency: str
    form: str
    filed: dt.date


@dataclass
class _Known:
    """What is known so far. `points`: (field, end) -> (rank of the recipe, value, currency)."""

    currency: str = ""
    points: dict[tuple[str, dt.date], tuple[int, float, str]] = field(default_factory=dict)
    flows: dict[tuple[str, str, int], dict[dt.date, dict[dt.date, float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    served: dict[tuple[str, dt.date], tuple[float, str]] = field(default_factory=dict)


def rows_by_filing(facts: Sequence[Fact]) -> list[Row]:
    """Every figure that is new or other than before, by filing day, field and period."""
    days: dict[dt.date, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        days[fact.filed][fact.accession].append(fact)
    known, out = _Known(), []
    for filed in sorted(days):
        day: dict[tuple[str, dt.date], tuple[float, str, str]] = {}
        for accession in sorted(days[filed]):
            stated = days[filed][accession]
            for name, end, value, currency in _take(known, stated):
                day[(name, end)] = (value, currency, stated[0].form)
        for (name, end), (value, currency, form) in sorted(day.items()):
            if known.served.get((name, end)) != (value, currency):
                known.served[(name, end)] = (value, currency)
                out.append(Row(name, end, value, currency, form, filed))
    return out


def _take(known: _Known, stated: Sequence[Fact]) -> Iterator[tuple[str, dt.date, float, str]]:
    """Adds one filing to what is known; gives the figures that it touched."""
    known.currency = _currency(stated, known.currency)
    for figure in FIGURES:
        unit = figure.unit or known.currency
        values = _values(stated, unit)
        if figure.kind == POINT:
            yield from _points(known, figure, unit, values)
        else:
            yield from _flows(known, figure, unit, values)


def _currency(stated: Sequence[Fact], before: str) -> str:
    """The currency of most facts; of equally many the one before, else the first by name."""
    counts = Counter(fact.unit for fact in stated if fact.unit != SHARES)
    return min(counts, key=lambda unit: (-counts[unit], unit != before, unit)) if counts else before


def _values(stated: Sequence[Fact], unit: str) -> dict[Period, dict[str, float]]:
    """Period -> tag -> value of one filing in one unit, without what it states in two ways."""
    found: dict[Period, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for fact in stated:
        if fact.unit == unit:
            found[(fact.start, fact.end)][fact.tag].add(fact.value)
    return {
        period: {tag: next(iter(values)) for tag, values in tags.items() if len(values) == 1}
        for period, tags in found.items()
    }


def _by_recipe(recipe: Recipe, values: dict[str, float]) -> float | None:
    if not all(tag in values for tag in (*recipe.plus, *recipe.minus)):
        return None
    total = sum(values[tag] for tag in recipe.plus) - sum(values[tag] for tag in recipe.minus)
    return total + sum(next((values[tag] for tag in group if tag in values), 0.0) for group in recipe.extra)


def _points(
    known: _Known, figure: Figure, unit: str, values: dict[Period, dict[str, float]]
) -> Iterator[tuple[str, dt.date, float, str]]:
    currency = "" if unit == SHARES else unit
    for (start, end), tags in values.items():
        rank, value = next(
            ((n, v) for n, r in enumerate(figure.recipes) if (v := _by_recipe(r, tags)) is not None), (0, None)
        )
        if start is not None or value is None:
            continue
        before = known.points.get((figure.field, end))
        if before is None or rank <= before[0] or currency != before[2]:
            known.points[(figure.field, end)] = (rank, value, currency)
            yield figure.field, end, value, currency


def _flows(
    known: _Known, figure: Figure, unit: str, values: dict[Period, dict[str, float]]
) -> Iterator[tuple[str, dt.date, float, str]]:
    assert figure.kind == FLOW
    changed: set[dt.date] = set()
    for (start, end), tags in values.items():
        for rank, recipe in enumerate(figure.recipes):
            value = None if start is None else _by_recipe(recipe, tags)
            if start is not None and value is not None:
                known.flows[(figure.field, unit, rank)][end][start] = value
                changed.add(end)
    ranks = [known.flows[(figure.field, unit, rank)] for rank in range(len(figure.recipes))] if changed else []
    ends = sorted({end for flows in ranks for end in flows})
    for end in ends:
        if any(0 <= (end - touched).days <= DEPENDS_DAYS for touched in changed):
            found = (trailing_year(flows, end) for flows in ranks)
            value = next((year for year in found if year is not None), None)
            if value is not None:
                yield figure.field, end, value, unit
