"""Price vendors behind the real fetcher and chain, against a real server that misbehaves: who serves, and what is kept."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest
from fetch.harness import make_fetcher
from fetch.vendor_server import VendorServer
from market.price_bodies import (
    ALL,
    OTHER,
    STOOQ,
    TEST,
    alpaca_bars,
    recorded,
    recorded_yahoo,
    tiingo_rows,
    yahoo_tree,
)

from marketbot_resources.chain import Chain
from marketbot_resources.errors import ProviderError
from marketbot_resources.fetch.fetcher import Fetcher
from marketbot_resources.market.alpaca import AlpacaPrices
from marketbot_resources.market.stooq import StooqPrices
from marketbot_resources.market.tiingo import TiingoPrices
from marketbot_resources.market.yahoo import YahooActions, YahooPrices
from marketbot_resources.provider import Columns, Delivery, Request, Response, Subject, Vendor, Window

CANARY = "canary-7f3a9b2c-1d4e"
YAHOO, TIINGO, STOOQ_ROUTE, ALPACA = (
    "https://query2.finance.yahoo.com/v8/finance/chart/TEST",
    "https://api.tiingo.com/tiingo/daily/TEST/prices",
    "https://stooq.com/q/d/l/",
    "https://data.alpaca.markets/v2/stocks/bars",
)


class Local:
    """A vendor whose requests are led to the server on this machine; everything else is its own."""

    def __init__(self, vendor: Vendor, server: VendorServer) -> None:
        self.name, self.table, self.parser = vendor.name, vendor.table, vendor.parser
        self._vendor, self._server = vendor, server

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        found = self._vendor.requests(subjects, window)
        return [(served, dataclasses.replace(one, url=self._server.local(one.url))) for served, one in found]

    def following(self, request: Request, response: Response) -> Request | None:
        return self._vendor.following(request, response)

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        return self._vendor.parse(content, asked)


def fetcher_of(home: Path) -> Fetcher:
    """A fetcher with a key for every vendor."""
    keys = ("TIINGO_API_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
    return make_fetcher(home, secrets={key: CANARY for key in keys})


def good_routes() -> dict[str, bytes]:
    """Every vendor answers well."""
    return {
        YAHOO: json.dumps(yahoo_tree()).encode(),
        TIINGO: json.dumps(tiingo_rows()).encode(),
        STOOQ_ROUTE: STOOQ,
        ALPACA: json.dumps(alpaca_bars()).encode(),
    }


def deliver(home: Path, server: VendorServer, *vendors: Vendor, subjects: Sequence[Subject] = (TEST,)) -> Delivery:
    """What the chain delivers for these vendors in this order."""
    return Chain("raw_prices", [Local(vendor, server) for vendor in vendors], fetcher_of(home)).deliver(subjects, ALL)


def test_the_first_vendor_serves_and_its_body_parses_again(tmp_path: Path) -> None:
    """What is delivered is all that a later parse needs: bytes, parser and what was asked."""
    with VendorServer(good_routes()) as server:
        delivery = deliver(tmp_path, server, YahooPrices(), TiingoPrices(), StooqPrices())
        (body,) = delivery.bodies
        assert (body.provider, body.parser, body.content) == ("yahoo", "yahoo-chart-prices/1", good_routes()[YAHOO])
        assert YahooPrices().parse(body.content, body.asked)["close"] == [20.5, 22.5, 12.25, 13.25]
        assert len(server.requests) == 1
        assert server.requests[0].query["period2"] == "9999999999"


def test_a_429_is_waited_out(tmp_path: Path) -> None:
    """A busy vendor is asked again, not given up."""
    with VendorServer(good_routes()) as server:
        server.misbehave("429", times=2)
        delivery = deliver(tmp_path, server, YahooPrices(), TiingoPrices())
        assert [body.provider for body in delivery.bodies] == ["yahoo"]
        assert len(server.requests) == 3


def test_a_page_with_status_200_falls_back_to_the_next_vendor(tmp_path: Path) -> None:
    """The page is kept as evidence, the refusal quotes it, the next vendor's body serves; no key is in anything."""
    with VendorServer(good_routes()) as server:
        server.misbehave("html", route=YAHOO)
        delivery = deliver(tmp_path, server, YahooPrices(), TiingoPrices())
        assert [(body.provider, body.parser) for body in delivery.bodies] == [("tiingo", "tiingo-daily-prices/1")]
        assert [body.provider for body in delivery.refused] == ["yahoo"]
        ((provider, subject, reason),) = [(one.provider, one.subject, one.reason) for one in delivery.refusals]
        assert (provider, subject) == ("yahoo", TEST.source_id)
        assert "found a page that says: Attention Required! Please enable cookies." in reason
        assert server.requests[-1].query["token"] == CANARY
        assert CANARY not in repr(delivery)


@pytest.mark.parametrize(
    "trouble", ["503", "404", "reset", "truncated", "empty", "html", "wrong-type", "gzip-truncated"]
)
def test_when_all_are_down_there_is_no_answer(tmp_path: Path, trouble: str) -> None:
    """ProviderError with one reason per vendor; never old or half data. A wrong content type alone is no reason."""
    with VendorServer(good_routes()) as server:
        server.misbehave(trouble)
        vendors = (YahooPrices(), TiingoPrices(), StooqPrices())
        if trouble == "wrong-type":
            assert len(deliver(tmp_path, server, *vendors).bodies) == 1
            return
        with pytest.raises(ProviderError) as refusal:
            deliver(tmp_path, server, *vendors)
        assert all(f"{vendor.name} {TEST.source_id}: " in str(refusal.value) for vendor in vendors)
        assert CANARY not in str(refusal.value)


def test_quota_messages_fall_through_to_whoever_has_data(tmp_path: Path) -> None:
    """Three vendors say no in their own words with status 200; the fourth serves."""
    routes = good_routes() | {
        STOOQ_ROUTE: b"Exceeded the daily hits limit",
        TIINGO: b'{"detail":"Error: You have run over your hourly request allocation."}',
        YAHOO: b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}',
    }
    vendors = (StooqPrices(), TiingoPrices(), YahooPrices(), AlpacaPrices())
    with VendorServer(routes) as server:
        with pytest.raises(ProviderError) as refusal:  # Alpaca's answer holds a listing that was not asked
            deliver(tmp_path, server, *vendors)
        for said in ("daily hits limit", "hourly request allocation", "Invalid Crumb", "bars of the symbols asked"):
            assert said in str(refusal.value)
        page = alpaca_bars()
        del page["bars"]["OTHR"]
        server.serve(ALPACA, json.dumps(page).encode())
        delivery = deliver(tmp_path, server, *vendors)
        assert [body.provider for body in delivery.bodies] == ["alpaca"]
        assert [one.provider for one in delivery.refusals] == ["stooq", "tiingo", "yahoo"]
        assert [body.provider for body in delivery.refused] == ["stooq", "tiingo", "yahoo"]


def test_pages_of_many_listings_and_the_rest_from_the_next_vendor(tmp_path: Path) -> None:
    """Two pages serve two listings; a third, which Alpaca does not mention, comes from Yahoo."""
    third = Subject("listing:XNYS:THRD", "XNYS", "THRD", "USD")
    first = alpaca_bars()
    second = {"bars": {"OTHR": first["bars"].pop("OTHR")}, "next_page_token": None}
    tree = yahoo_tree()
    tree["chart"]["result"][0]["meta"]["symbol"] = "THRD"
    ((_, request),) = AlpacaPrices().requests((third, OTHER, TEST), ALL)
    routes = {
        ALPACA: json.dumps(first | {"next_page_token": "T0k="}).encode(),
        f"{ALPACA}?{urlencode({**request.params, 'page_token': 'T0k='})}": json.dumps(second).encode(),
        YAHOO.replace("TEST", "THRD"): json.dumps(tree).encode(),
    }
    with VendorServer(routes) as server:
        delivery = deliver(tmp_path, server, AlpacaPrices(), YahooPrices(), subjects=(third, OTHER, TEST))
        assert [body.provider for body in delivery.bodies] == ["alpaca", "alpaca", "yahoo"]
        assert server.requests[0].headers["apca-api-key-id"] == CANARY
        served = [AlpacaPrices().parse(body.content, body.asked)["source_id"] for body in delivery.bodies[:2]]
        assert [sorted(set(names)) for names in served] == [[TEST.source_id], [OTHER.source_id]]


def test_prices_and_actions_of_yahoo_share_one_answer(tmp_path: Path) -> None:
    """One GET per listing and run: the second table reads the same bytes."""
    with VendorServer(good_routes()) as server:
        fetcher = fetcher_of(tmp_path)
        prices = Chain("raw_prices", [Local(YahooPrices(), server)], fetcher).deliver([TEST], ALL)
        actions = Chain("raw_corporate_actions", [Local(YahooActions(), server)], fetcher).deliver([TEST], ALL)
        assert prices.bodies[0].content == actions.bodies[0].content
        assert len(server.requests) == 1


@pytest.mark.shared_data
@recorded
def test_a_recorded_answer_travels_the_whole_way(tmp_path: Path) -> None:
    """A recorded body of London, served over the wire, arrives as the bytes that were recorded."""
    found = recorded_yahoo("chart-OCDO.L-2020-01-01-to-2020-01-03")
    subject = Subject("listing:XLON:OCDO", "XLON", "OCDO", "GBX")
    with VendorServer({found.url.partition("?")[0]: found.body}) as server:
        delivery = deliver(tmp_path, server, YahooPrices(), subjects=(subject,))
        columns = YahooPrices().parse(delivery.bodies[0].content, delivery.bodies[0].asked)
        assert (columns["close"], columns["currency"]) == ([1259.5], ["GBX"])
