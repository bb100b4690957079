"""Currencies have their own minor units, vendors' quotation units are not currencies, and TARGET days are the ECB's own."""

import csv
import datetime as dt
import io
import zipfile
from decimal import Decimal

import pytest
from dateutil.easter import easter
from hypothesis import given
from hypothesis import strategies as st

from marketbot_resources import currencies
from marketbot_resources.currencies import ECB_REFERENCE_RATES, MINOR_DIGITS, MINOR_UNITS
from marketbot_resources.errors import MarketbotError
from marketbot_resources.market.sample_world import fx_shelf, packaged
from marketbot_resources.model import to_money

DAY = dt.date


@pytest.fixture(scope="module")
def published() -> dict[str, list[dt.date]]:
    """Currency -> ascending dates with a rate in the ECB's own file."""
    with zipfile.ZipFile(packaged("currency_converter", "eurofxref-hist.zip")) as file:
        rows = list(csv.DictReader(io.StringIO(file.read(file.namelist()[0]).decode())))
    names = [name for name in rows[0] if name and name != "Date"]
    dates: dict[str, list[dt.date]] = {name: [] for name in names}
    for row in reversed(rows):
        for name in names:
            if row[name] not in ("", "N/A"):
                dates[name].append(DAY.fromisoformat(row["Date"]))
    return dates


@pytest.mark.parametrize(
    ("currency", "money"),
    [
        ("USD", "1234.57"), ("JPY", "1235"), ("KRW", "1235"), ("ISK", "1235"), ("CLP", "1235"), ("VND", "1235"),
        ("HUF", "1234.57"), ("IDR", "1234.57"), ("TWD", "1234.57"), ("KWD", "1234.568"), ("BHD", "1234.568"),
        ("CLF", "1234.5678"),
    ],
)  # fmt: skip
def test_money_has_the_minor_unit_of_iso_4217(currency: str, money: str) -> None:
    """The exponent is the standard's, also where cash is rounded coarser (HUF, IDR)."""
    assert to_money(1234.5678, currency) == Decimal(money)


@pytest.mark.parametrize("code", ["GBX", "GBp", "EURO", "usd", "", "XXX"])
def test_what_is_no_currency_has_no_money(code: str) -> None:
    """An unknown code or a quotation unit is refused, not rounded to cents."""
    with pytest.raises(MarketbotError, match="expected a currency of ISO 4217"):
        to_money(1.0, code)


def test_every_quotation_unit_is_a_fraction_of_a_currency_and_no_currency() -> None:
    """No vendor code hides a currency of the same letters; each divides by as much as its currency has minor units."""
    assert not set(MINOR_UNITS) & set(MINOR_DIGITS)
    for major, divisor in MINOR_UNITS.values():
        assert divisor == 10 ** MINOR_DIGITS[major]
    assert currencies.major_unit("GBp") == ("GBP", 100) != currencies.major_unit("GBP")
    assert currencies.major_unit("KWF") == ("KWD", 1000)


def test_every_currency_of_the_ecb_is_known_with_its_dates(published: dict[str, list[dt.date]]) -> None:
    """First and last dates are those of the ECB's file; only the drachma is not in it any more."""
    assert set(ECB_REFERENCE_RATES) - set(published) == {"GRD"}
    assert set(published) <= set(ECB_REFERENCE_RATES)
    newest = max(days[-1] for days in published.values())
    for name, days in published.items():
        first, last = ECB_REFERENCE_RATES[name]
        assert (days[0], days[-1]) == (first, last or newest), name
    assert set(ECB_REFERENCE_RATES) <= set(MINOR_DIGITS)


def test_the_sample_world_serves_every_currency_of_the_file(published: dict[str, list[dt.date]]) -> None:
    """Nothing of the ECB's file within the world's years is left out, nothing of it is later than its date's 15:00 UTC."""
    until = dt.datetime(2022, 12, 27, 14, 59, 59, tzinfo=dt.UTC)
    rows = list(csv.DictReader(io.StringIO(fx_shelf().body(None, until).content.decode())))
    served = {(row["currency"], DAY.fromisoformat(row["session"])) for row in rows}
    expected = {(name, day) for name, days in published.items() for day in days if day < DAY(2022, 12, 27)}
    assert served == expected


def test_target_is_open_exactly_when_the_ecb_fixes_rates(published: dict[str, list[dt.date]]) -> None:
    """27 years of reference rates have a date on every TARGET day and on no other."""
    days = published["USD"]
    span = (DAY.fromordinal(n) for n in range(days[0].toordinal(), days[-1].toordinal() + 1))
    assert [day for day in span if currencies.is_target_day(day)] == days


def test_easter_is_the_gregorian_one() -> None:
    """Another implementation gives the same Sunday for every year that the calendar covers."""
    assert [currencies.easter_sunday(year) for year in range(1990, 2101)] == [
        easter(year) for year in range(1990, 2101)
    ]


@pytest.mark.parametrize(
    ("first", "last", "age"),
    [
        (DAY(2018, 12, 24), DAY(2018, 12, 27), 1),  # 25 and 26 December are closed
        (DAY(2018, 3, 29), DAY(2018, 4, 3), 1),  # Easter
        (DAY(2022, 3, 1), DAY(2022, 3, 4), 3),  # the last rouble
        (DAY(2018, 12, 21), DAY(2018, 12, 23), 0),  # a weekend
        (DAY(2018, 12, 27), DAY(2018, 12, 24), 0),
    ],
)
def test_ages_count_target_days(first: dt.date, last: dt.date, age: int) -> None:
    """Only a day on which a rate could have been fixed makes one older."""
    assert currencies.target_days(first, last) == age


@given(st.dates(DAY(1997, 1, 1), DAY(2100, 1, 1)), st.integers(0, 700))
def test_ages_equal_a_count_day_by_day(first: dt.date, span: int) -> None:
    """The closed form equals walking the days."""
    days = (first + dt.timedelta(days=n) for n in range(1, span + 1))
    expected = sum(currencies.is_target_day(day) for day in days)
    assert currencies.target_days(first, first + dt.timedelta(days=span)) == expected
