"""Macro, rates, figures and headlines through the real chain and fetcher, from a vendor on this machine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fetch.harness import make_fetcher
from fetch.vendor_server import Answer, VendorServer
from vendor_suite import utc, window

from marketbot_resources.chain import Chain
from marketbot_resources.errors import ProviderError
from marketbot_resources.fundamentals.sec import SecCompanyFacts
from marketbot_resources.macro.fred import Fred
from marketbot_resources.market.ecb import EcbRates, EcbReferencePage
from marketbot_resources.news.alpaca import AlpacaNews
from marketbot_resources.provider import Columns, Delivery, Request, Response, Subject, Vendor, Window
from marketbot_resources.vendors import MODULES, parser_of, vendors, vendors_of

KEYS = {
    "FRED_API_KEY": "k" * 32,
    "SEC_USER_AGENT": "marketbot admin@example.com",
    "APCA_API_KEY_ID": "PK" + "x" * 18,
    "APCA_API_SECRET_KEY": "s" * 40,
}
DAY = window("2024-11-06 21:00", "2024-11-07 21:00")
AAPL = Subject("listing:XNAS:AAPL", "XNAS", "AAPL", more={"cik": "320193"})
MSFT = Subject("listing:XNAS:MSFT", "XNAS", "MSFT", more={"cik": "789019"})
XML = (
    b'<e:Envelope xmlns:e="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
    b'<Cube><Cube time="2024-11-07"><Cube currency="USD" rate="1.0785"/></Cube></Cube></e:Envelope>'
)


@dataclass
class Local:
    """A vendor whose requests go to the server of the test; all else is the vendor's own."""

    own: Vendor
    server: VendorServer

    def __post_init__(self) -> None:
        self.name, self.table, self.parser = self.own.name, self.own.table, self.own.parser

    def requests(self, subjects: Sequence[Subject], window: Window) -> list[tuple[tuple[Subject, ...], Request]]:
        found = self.own.requests(subjects, window)
        return [(served, replace(request, url=self.server.local(request.url))) for served, request in found]

    def following(self, request: Request, response: Response) -> Request | None:
        return self.own.following(request, response)

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        return self.own.parse(content, asked)


def deliver(
    home: Path,
    server: VendorServer,
    vendors: Sequence[Vendor],
    subjects: Sequence[Subject],
    keys: Mapping[str, str] = KEYS,
) -> Delivery:
    moved = [Local(one, server) for one in vendors]
    return Chain(moved[0].table, moved, make_fetcher(home, secrets=keys)).deliver(subjects, DAY)


def fred_body() -> bytes:
    """Two vintages of one day: the first day of the span, which is left out, and a new value."""
    rows = [("2024-11-05", "2024-11-04", "4.31"), ("2024-11-06", "2024-11-05", "4.26")]
    return json.dumps(
        {
            "realtime_start": "2024-11-05",
            "realtime_end": "9999-12-31",
            "units": "lin",
            "output_type": 1,
            "count": 2,
            "offset": 0,
            "limit": 100000,
            "observations": [
                {"realtime_start": first, "realtime_end": "9999-12-31", "date": date, "value": value}
                for first, date, value in rows
            ],
        }
    ).encode()


def test_a_quiet_day_is_an_answer(tmp_path: Path) -> None:
    """A batch of listings without any headline is served: no refusal, no failed session."""
    empty = b'{"news": [], "next_page_token": null}'
    with VendorServer({"https://data.alpaca.markets/v1beta1/news": empty}) as server:
        found = deliver(tmp_path, server, [AlpacaNews()], [AAPL, MSFT])
        assert server.requests[0].headers["apca-api-key-id"] == KEYS["APCA_API_KEY_ID"]
    assert (len(found.bodies), found.refused, found.refusals) == (1, (), ())
    assert AlpacaNews().parse(found.bodies[0].content, found.bodies[0].asked)["headline_id"] == []
    assert not any(key in str(found) for key in KEYS.values())


def test_rates_fall_back_to_the_second_service(tmp_path: Path) -> None:
    """A page with status 200 is no answer of the first service; it is kept as evidence and the second one serves."""
    routes = {
        "https://data-api.ecb.europa.eu/service/data/EXR/D..EUR.SP00.A": Answer(b"<html>Maintenance</html>"),
        "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml": Answer(XML, content_type="text/xml"),
    }
    with VendorServer(routes) as server:
        found = deliver(tmp_path, server, [EcbRates(), EcbReferencePage()], [Subject("EUR")])
    assert [body.provider for body in found.bodies] == ["eurofxref"]
    assert [body.provider for body in found.refused] == ["ecb"]
    assert ["Maintenance" in refusal.reason for refusal in found.refusals] == [True]
    columns = parser_of(found.bodies[0].parser)(found.bodies[0].content, found.bodies[0].asked)
    assert (columns["units_per_eur"], columns["known_at"]) == ([1.0785], [utc("2024-11-07 15:00")])


def test_a_throttled_series_is_asked_again(tmp_path: Path) -> None:
    """429, then the answer; what is stored can be read again by the parser's name alone."""
    with VendorServer({"https://api.stlouisfed.org/fred/series/observations": fred_body()}) as server:
        server.misbehave("429", times=1, argument="2")
        found = deliver(tmp_path, server, [Fred()], [Subject("US10Y")])
        assert [asked.query["series_id"] for asked in server.requests] == ["DGS10", "DGS10"]
        assert server.requests[0].query["api_key"] == KEYS["FRED_API_KEY"]
    body = found.bodies[0]
    assert KEYS["FRED_API_KEY"] not in body.url
    columns = parser_of(body.parser)(body.content, body.asked)
    assert (columns["value"], columns["known_at"]) == ([4.26], [utc("2024-11-07 05:00")])


def test_a_missing_contact_is_named(tmp_path: Path) -> None:
    """Without the line that the Commission asks for nothing is sent, and the message names its variable."""
    with VendorServer({}) as server:
        with pytest.raises(ProviderError, match="SEC_USER_AGENT"):
            deliver(tmp_path, server, [SecCompanyFacts()], [AAPL], keys={})
        assert server.requests == []


def test_one_issuer_without_facts_leaves_the_other(tmp_path: Path) -> None:
    """A 404 for one CIK refuses that listing alone."""
    row = {"end": "2024-09-30", "val": 5, "accn": "a-1", "form": "10-Q", "filed": "2024-11-07"}
    facts = {"cik": 789019, "facts": {"us-gaap": {"Assets": {"units": {"USD": [{**row, "filed": "2024-11-06"}]}}}}}
    address = "https://data.sec.gov/api/xbrl/companyfacts/CIK0000789019.json"
    with VendorServer({address: json.dumps(facts).encode()}) as server:
        found = deliver(tmp_path, server, [SecCompanyFacts()], [AAPL, MSFT])
        assert {asked.headers["user-agent"] for asked in server.requests} == {KEYS["SEC_USER_AGENT"]}
    assert [(refusal.subject, "404" in refusal.reason) for refusal in found.refusals] == [("listing:XNAS:AAPL", True)]
    columns = parser_of(found.bodies[0].parser)(found.bodies[0].content, found.bodies[0].asked)
    assert (columns["source_id"], columns["known_at"]) == (["listing:XNAS:MSFT"], [utc("2024-11-07 03:00")])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_stored_bodies_find_their_parsers(name: str) -> None:
    """Every table of a vendor is found by the vendor's name, and every parser by its own."""
    for one in vendors_of(name):
        assert parser_of(one.parser) == one.parse
        assert one in vendors(one.table, [one.name])
