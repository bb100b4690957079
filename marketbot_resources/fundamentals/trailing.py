"""Flows of the trailing year from what filings state: years, year-to-date sums and quarters. Pure.

The value of a year that ends on a date is, in this order: a stated year; the year to date plus the fiscal year before less the
year to date of then; four adjacent quarters. Anything else is unknown. Days are counted inclusively; a year has 350 to 380 days,
which takes 52 and 53 weeks and no transition period.
"""

import datetime as dt
from collections.abc import Iterator, Mapping

YEAR_DAYS = range(350, 381)
QUARTER_DAYS = range(75, 121)
QUARTERS = 4
SAME_LENGTH_DAYS = 7
DEPENDS_DAYS = 380
ONE_DAY = dt.timedelta(days=1)
Flows = Mapping[dt.date, Mapping[dt.date, float]]


def trailing_year(flows: Flows, end: dt.date) -> float | None:
    """The flow over the year to `end`. `flows`: end -> start -> value, all of one figure, recipe and currency."""
    for start, value in sorted(flows.get(end, {}).items()):
        if length(start, end) in YEAR_DAYS:
            return value
    for start, value in sorted(flows.get(end, {}).items()):
        rest = _rest_of_year(flows, start, end)
        if rest is not None:
            return value + rest
    quarters = list(_quarters(flows, end))
    total = sum(length(start, at) for start, at, _ in quarters)
    return sum(value for *_, value in quarters) if len(quarters) == QUARTERS and total in YEAR_DAYS else None


def length(start: dt.date, end: dt.date) -> int:
    """Days from start to end, both counted."""
    return (end - start).days + 1


def _rest_of_year(flows: Flows, start: dt.date, end: dt.date) -> float | None:
    """What the fiscal year before earned after the same part of it: that year less its own year to date."""
    own = length(start, end)
    for first, year in sorted(flows.get(start - ONE_DAY, {}).items()):
        if length(first, start - ONE_DAY) not in YEAR_DAYS or own >= YEAR_DAYS.start:
            continue
        for shift in sorted(range(-SAME_LENGTH_DAYS, SAME_LENGTH_DAYS + 1), key=lambda days: (abs(days), days)):
            same = flows.get(first + dt.timedelta(days=own - 1 + shift), {}).get(first)
            if same is not None:
                return year - same
    return None


def _quarters(flows: Flows, end: dt.date) -> Iterator[tuple[dt.date, dt.date, float]]:
    """(start, end, value) of at most four adjacent quarters, newest first."""
    for _ in range(QUARTERS):
        found = [start for start in flows.get(end, {}) if length(start, end) in QUARTER_DAYS]
        if not found:
            return
        start = max(found)
        yield start, end, flows[end][start]
        end = start - ONE_DAY
