"""The S&P 500 from Yahoo: closes known a quarter of an hour after New York's, before the session's decision."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from market.mutations import mutations
from market.price_bodies import SESSIONS, UNTIL, yahoo_tree

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.yahoo_index import YahooIndex
from marketbot_resources.provider import Columns, Subject, Window

SHORT, LONG = 100, 10_000
EVENING = dt.datetime(2024, 7, 11, 21, 45, tzinfo=dt.UTC)  # 17:45 New York


def body(change: Callable[[dict], object] = lambda result: None) -> bytes:
    """Four closes of the index, without events; volume as it may be."""
    tree = yahoo_tree()
    result = tree["chart"]["result"][0]
    result["meta"] |= {"symbol": "^GSPC", "instrumentType": "INDEX", "exchangeName": "SNP"}
    del result["events"]
    change(result)
    return json.dumps(tree).encode()


def parsed(content: bytes, since: dt.datetime | None = None, until: dt.datetime = UNTIL) -> Columns:
    ((_, request),) = YahooIndex().requests([Subject("VIX"), Subject("SP500")], Window(since, until))
    return YahooIndex().parse(content, request.asked)


def test_one_request_for_the_index_and_none_for_other_series() -> None:
    """The rest of the chain has them."""
    ((subjects, request),) = YahooIndex().requests([Subject("VIX"), Subject("SP500")], Window(None, UNTIL))
    assert [one.source_id for one in subjects] == ["SP500"]
    assert request.url.endswith("/v8/finance/chart/%5EGSPC")
    assert YahooIndex().requests([Subject("VIX")], Window(None, UNTIL)) == []


def test_a_close_is_known_before_the_evening_of_its_day() -> None:
    """20:15 UTC in July; at 17:45 New York the day's own close is there."""
    rows = parsed(body(), dt.datetime(2024, 7, 10, 21, 45, tzinfo=dt.UTC), EVENING)
    assert (rows["series"], rows["period"], rows["value"]) == (["SP500"], [SESSIONS[3]], [13.25])
    assert rows["known_at"] == [dt.datetime(2024, 7, 11, 20, 15, tzinfo=dt.UTC)]
    assert parsed(body())["value"] == [10.25, 11.25, 12.25, 13.25]
    assert parsed(body(), EVENING, UNTIL)["value"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["meta"].update(symbol="^DJI"), "the symbol"),
        (lambda r: r["meta"].update(currency="EUR"), "USD"),
        (lambda r: r["meta"].update(exchangeTimezoneName="Europe/London"), "time zone"),
        (lambda r: r["indicators"]["quote"][0].update(close=[10.25, None, 12.25, 13.25]), "positive close"),
        (lambda r: r["indicators"]["quote"][0].update(close=[10.25, 0.0, 12.25, 13.25]), "positive close"),
        (lambda r: r["meta"].update(regularMarketTime=1), "found none|expected"),
    ],
)
def test_what_is_not_the_index_is_refused(change: Callable[[dict], object], message: str) -> None:
    """Another index, currency or place, a close that is missing or no price, a body without a finished day."""
    with pytest.raises(ProviderError, match=message):
        parsed(body(change))


def campaign(count: int) -> tuple[int, int]:
    """(refused, accepted) of mutated bodies; accepted ones hold positive closes of ascending sessions."""
    refused = accepted = 0
    for _, content in mutations(body(), 20240711, count):
        try:
            rows = parsed(content)
        except ProviderError:
            refused += 1
            continue
        accepted += 1
        assert all(isinstance(value, float) and 0.0 < value < float("inf") for value in rows["value"])
        assert list(rows["period"]) == sorted(set(rows["period"]))
        assert all(at <= UNTIL for at in rows["known_at"])
    return refused, accepted


def test_mutated_bodies_are_refused_or_harmless() -> None:
    """No other exception."""
    assert min(campaign(SHORT)) > 0


@pytest.mark.long
def test_ten_thousand_mutated_bodies() -> None:
    """The same as a campaign."""
    refused, accepted = campaign(LONG)
    assert refused + accepted == LONG
