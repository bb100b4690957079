"""Good bodies of every price vendor: small ones written here, and recorded ones from the test data folder.

The small ones hold made-up prices of 2024: sessions 8 to 11 July, a 2:1 split on the 10th, cash on the 11th.
"""

import copy
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fetch.vendor_server import Recorded, cassette, yahoo

from marketbot_resources.market.alpaca import AlpacaPrices
from marketbot_resources.market.alpaca_actions import AlpacaActions
from marketbot_resources.market.alpaca_assets import AlpacaInstruments
from marketbot_resources.market.stooq import StooqPrices
from marketbot_resources.market.tiingo import TiingoActions, TiingoPrices
from marketbot_resources.market.tiingo_listings import TiingoFile, TiingoHead
from marketbot_resources.market.yahoo import YahooActions, YahooInstruments, YahooPrices
from marketbot_resources.provider import Subject, Vendor, Window

WIRE = Path(__file__).parents[2] / "../shared/data/wire"
recorded = pytest.mark.skipif(not WIRE.is_dir(), reason="needs ../shared/data/wire beside the project")
UNTIL = dt.datetime(2024, 7, 12, 7, tzinfo=dt.UTC)
ALL = Window(None, UNTIL)
TEST = Subject(
    "listing:XNAS:TEST", "XNAS", "TEST", "USD", {"kind": "EQUITY", "listed_on": "2001-05-04", "name": "Test"}
)
OTHER = Subject("listing:XNYS:OTHR", "XNYS", "OTHR", "USD")
SESSIONS = tuple(dt.date(2024, 7, day) for day in (8, 9, 10, 11))
SECONDS = tuple(int(dt.datetime(2024, 7, day, 13, 30, tzinfo=dt.UTC).timestamp()) for day in (8, 9, 10, 11))
AFTER_CLOSE = int(dt.datetime(2024, 7, 11, 20, 0, 1, tzinfo=dt.UTC).timestamp())


def yahoo_tree() -> dict:
    """A chart body that reaches its last trade, as a tree to change."""
    meta = {
        "currency": "USD",
        "symbol": "TEST",
        "exchangeName": "NMS",
        "instrumentType": "EQUITY",
        "firstTradeDate": SECONDS[0] - 86_400 * 3_000,
        "regularMarketTime": AFTER_CLOSE,
        "exchangeTimezoneName": "America/New_York",
        "longName": "Test Corp.",
        "shortName": "Test",
        "dataGranularity": "1d",
    }
    quote = {
        "open": [10.0, 11.0, 12.0, 13.0],
        "high": [10.5, 11.5, 12.5, 13.5],
        "low": [9.5, 10.5, 11.5, 12.5],
        "close": [10.25, 11.25, 12.25, 13.25],
        "volume": [1000, 2000, 3000, 0],
    }
    events = {
        "splits": {str(SECONDS[2]): {"date": SECONDS[2], "numerator": 2, "denominator": 1, "splitRatio": "2:1"}},
        "dividends": {str(SECONDS[3]): {"amount": 0.5, "date": SECONDS[3]}},
    }
    indicators = {"quote": [quote], "adjclose": [{"adjclose": [9.83, 10.79, 11.75, 13.25]}]}
    result = {"meta": meta, "timestamp": list(SECONDS), "events": events, "indicators": indicators}
    return {"chart": {"result": [result], "error": None}}


def yahoo_with(change: Callable[[dict], object]) -> bytes:
    """The chart body after a change of its one result."""
    tree = yahoo_tree()
    change(tree["chart"]["result"][0])
    return json.dumps(tree).encode()


def tiingo_rows() -> list[dict]:
    """Tiingo's prices of the same sessions, raw."""
    closes, factors, cash = (20.5, 22.5, 12.25, 13.25), (1.0, 1.0, 2.0, 1.0), (0.0, 0.0, 0.0, 0.5)
    return [
        {
            "date": f"{day}T00:00:00.000Z",
            "close": closes[n],
            "high": closes[n] + 0.25,
            "low": closes[n] - 0.75,
            "open": closes[n] - 0.25,
            "volume": 1000 * n,
            "adjClose": 1.0,
            "adjHigh": 1.0,
            "adjLow": 1.0,
            "adjOpen": 1.0,
            "adjVolume": 1,
            "divCash": cash[n],
            "splitFactor": factors[n],
        }
        for n, day in enumerate(SESSIONS)
    ]


TIINGO_HEAD = {
    "ticker": "TEST",
    "name": "Test Corp.",
    "exchangeCode": "NASDAQ",
    "startDate": "2001-05-04",
    "endDate": "2024-07-11",
    "description": "Makes tests.",
}
TICKERS = (
    "ticker,exchange,assetType,priceCurrency,startDate,endDate\r\n"
    "TEST,NASDAQ,Stock,USD,1990-01-02,1995-01-03\r\n"
    "TEST,NASDAQ,ETF,USD,2001-05-04,2024-07-11\r\n"
    "TEST,NYSE,Stock,USD,2002-05-04,2024-07-11\r\n"
    "ZZZ,SHE,Stock,CNY,,\r\n"
)


def zipped(text: str | bytes, name: str = "supported_tickers.csv") -> bytes:
    """A zip of one member with a fixed date."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 7, 12, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def alpaca_bars() -> dict:
    """A page with bars of two listings; a number as text, as Alpaca's may be."""
    bars = [
        {"t": f"{day}T04:00:00Z", "o": 1.0 + n, "h": "1.5", "l": 0.5, "c": 1.25 + n, "v": 100 * n, "n": 3, "vw": 1.1}
        for n, day in enumerate(SESSIONS)
    ]
    return {"bars": {"TEST": bars, "OTHR": bars[:2]}, "next_page_token": None}


def alpaca_actions() -> dict:
    """One page with a split, two dividends and a rename of the listing asked."""
    dates = {"process_date": "2024-07-10", "record_date": "2024-07-10", "payable_date": "2024-07-09"}
    return {
        "corporate_actions": {
            "forward_splits": [
                {"id": "a", "symbol": "TEST", "ex_date": "2024-07-10", "new_rate": 2, "old_rate": 1, **dates}
            ],
            "cash_dividends": [
                {"id": "b", "symbol": "TEST", "ex_date": "2024-07-11", "rate": 0.5, "special": False, "foreign": False}
                | {"process_date": "2024-07-25"},
                {"id": "c", "symbol": "TEST", "ex_date": "2024-07-11", "rate": "1.5", "special": True, "foreign": False}
                | {"process_date": "2024-07-25"},
            ],
            "name_changes": [{"id": "d", "old_symbol": "TEST", "new_symbol": "NEWT", "process_date": "2024-07-11"}],
        },
        "next_page_token": None,
    }


ALPACA_ASSET = {
    "id": "904837e3-3b76-47ec-b432-046db621571b",
    "class": "us_equity",
    "exchange": "NASDAQ",
    "symbol": "TEST",
    "name": "Test Corp. Common Stock",
    "status": "active",
    "tradable": True,
}
STOOQ = b"Date,Open,High,Low,Close,Volume\r\n2024-07-08,10,10.5,9.5,10.25,1000\r\n2024-07-09,11,11.5,10.5,11.25,\r\n"


@dataclass(frozen=True)
class Case:
    """A vendor, one good body, and what was asked."""

    label: str
    vendor: Vendor
    content: bytes
    subjects: Sequence[Subject] = (TEST,)
    window: Window = ALL
    asked: Mapping[str, str] = field(default_factory=dict)


def _case(label: str, vendor: Vendor, content: object, subjects: Sequence[Subject] = (TEST,)) -> Case:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    ((_, request),) = vendor.requests(subjects, ALL)
    return Case(label, vendor, body, subjects, ALL, request.asked)


def small_cases() -> list[Case]:
    """Every vendor with a body of this file."""
    return [
        _case("yahoo-prices", YahooPrices(), yahoo_tree()),
        _case("yahoo-actions", YahooActions(), yahoo_tree()),
        _case("yahoo-instruments", YahooInstruments(), yahoo_tree()),
        _case("tiingo-prices", TiingoPrices(), tiingo_rows()),
        _case("tiingo-actions", TiingoActions(), tiingo_rows()),
        _case("tiingo-head", TiingoHead(), TIINGO_HEAD),
        _case("tiingo-file", TiingoFile(), zipped(TICKERS)),
        _case("alpaca-prices", AlpacaPrices(), alpaca_bars(), (TEST, OTHER)),
        _case("alpaca-actions", AlpacaActions(), alpaca_actions()),
        _case("alpaca-instruments", AlpacaInstruments(), ALPACA_ASSET),
        _case("stooq-prices", StooqPrices(), STOOQ),
    ]


def recorded_yahoo(name: str) -> Recorded:
    """One recorded answer of Yahoo."""
    return yahoo(WIRE / "yahoo" / f"{name}.json")


def recorded_tiingo(name: str) -> Recorded:
    """The first exchange of one of Tiingo's cassettes."""
    return cassette(WIRE / "tiingo" / f"{name}.yaml")[0]


def recorded_alpaca(test: str) -> list[dict]:
    """Bodies of one of alpaca-py's test functions, stocks only."""
    found = json.loads((WIRE / "alpaca-py" / "exchanges.json").read_text(encoding="utf-8"))
    wanted = ("/v2/stocks/", "/v1/corporate", "/v2/assets")
    return [
        copy.deepcopy(one["body"])
        for one in found
        if one["test"] == test and any(w in one["url_template"] for w in wanted)
    ]
