"""The US names of the sample world as two web services on this machine tell them, each in its own format."""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from fetch.harness import PatientTime, make_fetcher
from fetch.vendor_server import VendorServer
from market.test_price_chain import Local

from marketbot_resources import calendars
from marketbot_resources.chain import Chain
from marketbot_resources.fetch.fetcher import Fetcher
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.market.sample_world import Bars, world
from marketbot_resources.provider import Delivery, MarketProvider, Subject, Window
from marketbot_resources.provider_choice import known_listings
from marketbot_resources.vendor_ports import Asked, VendorMarket, listings, serving
from marketbot_resources.wiring import Ports

ROOT = Path(__file__).parents[2]
LAST = dt.date(2018, 12, 31)
CHART, TIINGO = "https://query2.finance.yahoo.com/v8/finance/chart/", "https://api.tiingo.com/tiingo/daily/"
KEY = "canary-51d0c2a9-77aa"


def vendor_mandate(folder: Path) -> Path:
    """The default mandate, of which two web services serve the US equities."""
    plain = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    plain["providers"] |= {"market": ["yahoo", "tiingo"], "fx": "sample", "fundamentals": "none", "news": "none"}
    plain["schedule"]["decide_at"] = "20:30"  # Tiingo's bars of a day are there from 20:00 on
    named = plain["universe"]["listings"]
    plain["universe"]["listings"] = {mic: named[mic] for mic in ("XNYS", "XNAS")}
    path = folder / "mandate.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def us_bars() -> list[Bars]:
    """Bars of the twenty real names."""
    return [bars for bars in world().bars if bars.listing.real and bars.listing.kind == "EQUITY"]


def routes() -> dict[str, bytes]:
    """What both services answer, whatever they are asked: everything up to the end of 2018."""
    found = {}
    for bars in us_bars():
        found[CHART + bars.listing.ticker] = chart(bars)
        found[f"{TIINGO}{bars.listing.ticker}/prices"] = tiingo(bars)
        found[f"{TIINGO}{bars.listing.ticker}"] = head(bars)
    return found


def _rows(bars: Bars, last: dt.date = LAST) -> Sequence[tuple[Any, ...]]:
    columns = (bars.sessions, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [row for row in zip(*columns, strict=True) if dt.date(2014, 1, 2) <= row[0] <= last]


def chart(bars: Bars, last: dt.date = LAST) -> bytes:
    """Yahoo's chart of one listing up to a day."""
    rows = _rows(bars, last)
    days = [row[0] for row in rows]
    meta = {
        "currency": "USD",
        "symbol": bars.listing.ticker,
        "exchangeName": "NMS" if bars.listing.mic == "XNAS" else "NYQ",
        "instrumentType": "EQUITY",
        "firstTradeDate": int(calendars.open_at(bars.listing.mic, days[0]).timestamp()),
        "regularMarketTime": int(calendars.close_at(bars.listing.mic, days[-1]).timestamp()) + 1,
        "exchangeTimezoneName": "America/New_York",
        "longName": bars.listing.name,
        "shortName": bars.listing.name,
        "dataGranularity": "1d",
    }
    names = ("open", "high", "low", "close", "volume")
    quote = {name: [float(row[1 + n]) for row in rows] for n, name in enumerate(names)}
    stamps = [int(calendars.open_at(bars.listing.mic, day).timestamp()) for day in days]
    indicators = {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]}
    result = {"meta": meta, "timestamp": stamps, "indicators": indicators}
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def head(bars: Bars) -> bytes:
    """Tiingo's description of one listing."""
    told = {
        "ticker": bars.listing.ticker,
        "name": bars.listing.name,
        "exchangeCode": "NASDAQ" if bars.listing.mic == "XNAS" else "NYSE",
        "startDate": "2014-01-02",
        "endDate": str(LAST),
        "description": "",
    }
    return json.dumps(told).encode()


def tiingo(bars: Bars) -> bytes:
    """Tiingo's daily prices of one listing."""
    names = ("open", "high", "low", "close", "volume")
    rows = []
    for row in _rows(bars):
        raw = {name: float(row[1 + n]) for n, name in enumerate(names)}
        adjusted = {f"adj{name.capitalize()}": value for name, value in raw.items()}
        rows.append({"date": f"{row[0]}T00:00:00.000Z", **raw, **adjusted, "divCash": 0.0, "splitFactor": 1.0})
    return json.dumps(rows).encode()


@dataclass
class Services:
    """Both services, and a fetcher whose time passes when somebody waits."""

    server: VendorServer
    home: Path
    time: PatientTime

    def down(self, address: str) -> None:
        """A service answers 503 to everything until `up`."""
        for bars in us_bars():
            for ending in ("", "/prices") if address == TIINGO else ("",):
                self.server.misbehave("503", route=f"{address}{bars.listing.ticker}{ending}")

    def up(self) -> None:
        """All services answer again, and their breakers have rested."""
        self.server.behave()
        self.time.pass_by(3600)


class _LocalAsked(Asked):
    """Chains whose vendors are led to the server on this machine."""

    def __init__(self, fetcher: Fetcher, make: Callable[[], Fetcher], services: Services | None = None) -> None:
        super().__init__(fetcher, make)
        self.services = services or VendorPorts.services

    def ask(
        self,
        table: str,
        names: Sequence[str],
        subjects: Sequence[Subject],
        since: dt.datetime | None,
        until: dt.datetime,
    ) -> Delivery:
        vendors = [Local(vendor, self.services.server) for vendor in serving(table, names)]
        return Chain(table, vendors, self._fetcher).deliver(subjects, Window(since, until))


def asked(services: Services) -> Asked:
    """Chains over the services, with a fetcher that remembers answers as the product's does."""

    def make() -> Fetcher:
        return make_fetcher(services.home, services.time, secrets={"TIINGO_API_KEY": KEY})

    return _LocalAsked(make(), make, services)


class VendorPorts(Ports):
    """Ports whose market asks the services of the test."""

    services: ClassVar[Services]

    @property
    def market(self) -> MarketProvider:
        mandate: Mandate = parse_mandate((self.services.home.parent / "mandate.yaml").read_text(encoding="utf-8"))
        return VendorMarket(
            asked(self.services),
            mandate,
            listings(mandate, known_listings(self.services.home)),
            rates=SampleMarket().fx,
        )
