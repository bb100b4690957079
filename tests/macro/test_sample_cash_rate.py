"""The dollar's rate of cash in the sample world: real to the end of 2018, known a month later, like the bills of the time."""

import csv
import datetime as dt
import io
import statistics

import pytest
from vendor_suite import wire

from marketbot_resources.cash_rates import CASH_RATES
from marketbot_resources.macro.sample import SampleMacro

Row = dict[str, str]


@pytest.fixture(scope="module")
def bills() -> dict[str, Row]:
    """First day of the month -> row."""
    (body,) = SampleMacro().series(None, dt.datetime(2022, 12, 31, tzinfo=dt.UTC)).bodies
    rows = csv.DictReader(io.StringIO(body.content.decode()))
    return {row["period"]: row for row in rows if row["series"] == CASH_RATES["USD"].series}


def test_a_month_by_hand(bills: dict[str, Row]) -> None:
    """French's file says 0.19 % for October 2018, 2.28 % a year; released on the Monday after the 4th of November, a Sunday."""
    row = bills["2018-10-01"]
    assert (float(row["value"]), row["unit"]) == (2.28, "percent per year")
    assert row["known_at"].startswith("2018-11-05")


def test_what_follows_the_real_end_says_so(bills: dict[str, Row]) -> None:
    """One value a month, positive, real to November 2018."""
    assert [month for month in bills if bills[month]["synthetic"].lower() == "false"][-1] == "2018-11-01"
    assert all(float(row["value"]) > 0.0 for month, row in bills.items() if month > "2018-11-01")
    assert len(bills) == 25 * 12 - 1  # January 1998 to November 2022: December's is not out


@pytest.mark.shared_data
def test_it_is_the_rate_of_the_treasurys_curve(bills: dict[str, Row]) -> None:
    """The one-month yield of each month's first day, 2002 to 2017: on average within a tenth of a percent."""
    (file,) = wire("../macro/us-treasury-curve").glob("*.csv")
    apart, seen = [], set()
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            month = row["Time Period"][:7] + "-01"
            if row["1month"] and month not in seen:
                seen.add(month)
                apart.append(abs(float(bills[month]["value"]) - 100.0 * float(row["1month"])))
    assert len(apart) > 180
    assert statistics.mean(apart) < 0.1
