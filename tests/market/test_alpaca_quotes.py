"""Alpaca's quotes: recorded numbers by hand, missing sides, and mutated bodies."""

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from market.mutations import mutations
from market.price_bodies import recorded, recorded_alpaca

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.alpaca_quotes import AlpacaQuotes
from marketbot_resources.provider import Subject, Window

AT = dt.datetime(2024, 7, 11, 15, 0, tzinfo=dt.UTC)
NOW = Window(AT - dt.timedelta(minutes=5), AT)
TEST, OTHER = Subject("t", "XNAS", "TEST", "USD"), Subject("o", "XNYS", "OTHR", "USD")
COLUMNS = ("source_id", "currency", "bid", "ask", "last", "quoted_at", "known_at", "synthetic")


def snapshots() -> dict:
    """Two listings; the second has no ask and has not traded."""
    quote = {"t": "2024-07-11T14:59:58.651613184Z", "bp": 10.0, "ap": "10.02", "bs": 1, "as": 2, "c": ["R"], "z": "C"}
    return {
        "TEST": {"latestQuote": quote, "latestTrade": {"t": "2024-07-11T14:59:57Z", "p": 10.01}, "dailyBar": {}},
        "OTHR": {"latestQuote": quote | {"ap": 0}, "latestTrade": None},
    }


def parsed(body: object, *subjects: Subject, window: Window = NOW) -> Mapping[str, Sequence]:
    """Columns of a body for the listings asked."""
    ((_, request),) = AlpacaQuotes().requests(subjects, window)
    return AlpacaQuotes().parse(body if isinstance(body, bytes) else json.dumps(body).encode(), request.asked)


def test_quotes_have_two_sides_or_a_missing_one() -> None:
    """0 is no price but no quote; a listing without a trade has no last price; known when asked, quoted when stamped."""
    found = parsed(snapshots(), TEST, OTHER)
    assert tuple(found) == COLUMNS
    assert found["source_id"] == ["o", "t"]
    assert found["bid"] == [10.0, 10.0]
    assert [math.isnan(found["ask"][0]), found["ask"][1]] == [True, 10.02]
    assert [math.isnan(found["last"][0]), found["last"][1]] == [True, 10.01]
    assert found["quoted_at"][1] == dt.datetime(2024, 7, 11, 14, 59, 58, 651613, tzinfo=dt.UTC)
    assert found["known_at"] == [AT, AT]


def test_the_request_names_feed_symbols_and_keys() -> None:
    """Only US listings in dollars, in the order of symbols; the feed is part of what was asked."""
    ((served, request),) = AlpacaQuotes().requests([TEST, OTHER, Subject("l", "XLON", "BP.", "GBX")], NOW)
    assert [one.source_id for one in served] == ["o", "t"]
    assert request.url == "https://data.alpaca.markets/v2/stocks/snapshots"
    assert request.params == {"symbols": "OTHR,TEST", "feed": "iex"}
    assert request.asked["feed"] == "iex"
    with pytest.raises(ProviderError, match="expected a feed among sip, iex"):
        AlpacaQuotes("delayed")


def test_strangers_quotes_of_tomorrow_and_negative_prices_are_refused() -> None:
    """A quote two minutes ahead of the question is a wrong clock somewhere."""
    with pytest.raises(ProviderError, match="expected quotes of the symbols asked"):
        parsed(snapshots(), TEST)
    for field, value, said in (
        ("t", "2024-07-11T15:02:01Z", "a quote of 2024-07-11"),
        ("bp", -1, "a price, or 0 for none"),
        ("ap", None, "a number"),
        ("t", "2024-07-11T15:00:00", "an instant with its offset"),
    ):
        body = snapshots()
        body["TEST"]["latestQuote"][field] = value
        with pytest.raises(ProviderError, match=rf"'TEST'\.latestQuote\.{field}: expected {said}"):
            parsed(body, TEST, OTHER)


def test_a_listing_without_a_quote_is_not_mentioned() -> None:
    """No quote is no row, so that the listing counts as not served."""
    body = snapshots()
    body["OTHR"] = None
    assert parsed(body, TEST, OTHER)["source_id"] == ["t"]
    assert parsed({}, TEST, OTHER)["source_id"] == []


@pytest.mark.shared_data
@recorded
def test_a_recorded_snapshot() -> None:
    """AAPL on 2022-03-18: 161.19 to 161.20, last 161.1998."""
    window = Window(None, dt.datetime(2022, 3, 18, 14, 34, tzinfo=dt.UTC))
    found = parsed(recorded_alpaca("test_get_snapshot")[0], Subject("a", "XNAS", "AAPL", "USD"), window=window)
    assert [found[name][0] for name in ("bid", "ask", "last")] == [161.19, 161.2, 161.1998]
    assert found["quoted_at"][0].isoformat() == "2022-03-18T14:33:58.547942+00:00"


def test_mutated_quotes_are_refused_or_harmless() -> None:
    """Rows of what was asked with finite or missing prices above zero, or a ProviderError."""
    outcomes: Counter[str] = Counter()
    for _, body in mutations(json.dumps(snapshots()).encode(), 11, 150):
        try:
            found = parsed(body, TEST, OTHER)
        except ProviderError:
            outcomes["refused"] += 1
            continue
        outcomes["accepted"] += 1
        assert set(found["source_id"]) <= {"t", "o"}
        prices = [price for name in ("bid", "ask", "last") for price in found[name] if not math.isnan(price)]
        assert all(0 < price < math.inf for price in prices)
    assert min(outcomes["refused"], outcomes["accepted"]) > 0
