"""Tiingo, Alpaca and Stooq: what recorded bodies say, by hand, and the rules of each file."""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence

import pytest
from market.price_bodies import (
    ALL,
    ALPACA_ASSET,
    OTHER,
    SESSIONS,
    STOOQ,
    TEST,
    TICKERS,
    TIINGO_HEAD,
    UNTIL,
    alpaca_actions,
    alpaca_bars,
    recorded,
    recorded_alpaca,
    recorded_tiingo,
    tiingo_rows,
    zipped,
)

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.alpaca import AlpacaPrices
from marketbot_resources.market.alpaca_actions import GROUPS, AlpacaActions
from marketbot_resources.market.alpaca_assets import AlpacaInstruments
from marketbot_resources.market.stooq import StooqPrices
from marketbot_resources.market.tiingo import TiingoActions, TiingoPrices
from marketbot_resources.market.tiingo_listings import TiingoFile, TiingoHead
from marketbot_resources.provider import Subject, Vendor, Window

LATE = Window(None, dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))
SINCE = Window(dt.datetime(2024, 7, 9, 22, tzinfo=dt.UTC), UNTIL)
GOOGL = Subject("listing:XNAS:GOOGL", "XNAS", "GOOGL", "USD", {"kind": "EQUITY", "name": "Alphabet Inc."})


def parsed(vendor: Vendor, content: object, *subjects: Subject, window: Window = ALL) -> Mapping[str, Sequence]:
    """Columns of a body for the listings asked."""
    ((_, request),) = vendor.requests(subjects, window)
    return vendor.parse(content if isinstance(content, bytes) else json.dumps(content).encode(), request.asked)


def rows(found: Mapping[str, Sequence], *names: str) -> list[tuple]:
    """Some columns as rows."""
    return list(zip(*(found[name] for name in names), strict=True))


def test_tiingo_asks_for_raw_daily_prices_and_names_its_key() -> None:
    """The address holds the symbol, the key is named, listings in other currencies are not asked for."""
    euro = Subject("e", "XNAS", "EURO", "EUR")
    ((subjects, request),) = TiingoPrices().requests([euro, Subject("b", "XNYS", "BRK.B", "USD")], SINCE)
    assert [one.source_id for one in subjects] == ["b"]
    assert request.url == "https://api.tiingo.com/tiingo/daily/BRK-B/prices"
    assert request.params == {
        "startDate": "2024-07-02",
        "endDate": "2024-07-12",
        "format": "json",
        "resampleFreq": "daily",
    }
    assert request.secret_params == {"token": "TIINGO_API_KEY"}


def test_tiingo_serves_raw_fields_and_keeps_what_is_missing() -> None:
    """`close`, never `adjClose`, on both sides of a split; null stays missing; fractional volume is as reported."""
    body = tiingo_rows()
    body[1]["high"] = None
    found = parsed(TiingoPrices(), body, TEST)
    assert found["close"] == [20.5, 22.5, 12.25, 13.25] == found["price_level"]
    assert found["close_adjusted_by_source"] == [False] * 4
    assert math.isnan(found["high"][1])
    assert set(found["currency"]) == {"USD"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r[2].pop("adjClose"), r"body\[2\]: expected the field adjClose"),
        (lambda r: r[0].pop("close"), r"body\[0\]: expected the field close"),
        (lambda r: r[3].update(volume="12"), r"body\[3\].volume: expected a number"),
        (lambda r: r[1].update(date="2024-07-09"), r"body\[1\].date: expected a date at midnight UTC"),
        (lambda r: r[1].update(date="2024-07-09T16:00:00.000Z"), "midnight UTC"),
        (lambda r: r.reverse(), r"body\[1\].date: expected a session after 2024-07-11"),
        (lambda r: r.clear(), "expected daily prices, found none"),
    ],
    ids=range(7),
)
def test_tiingo_refuses_naming_field_and_row(change: object, said: str) -> None:
    """A field that moved, a type that changed or a row out of order is an error with its place."""
    body = tiingo_rows()
    change(body)
    with pytest.raises(ProviderError, match=r"^tiingo: .*" + said):
        parsed(TiingoPrices(), body, TEST)


def test_tiingo_refuses_negative_cash_and_factors() -> None:
    """A dividend is not negative, a split factor above zero."""
    for name, value in (("divCash", -0.1), ("splitFactor", 0.0), ("splitFactor", None)):
        body = tiingo_rows()
        body[3][name] = value
        with pytest.raises(ProviderError, match=rf"body\[3\].{name}"):
            parsed(TiingoActions(), body, TEST)


def test_tiingo_describes_listings_whose_missing_half_was_told() -> None:
    """The head has no kind, the file no name: each serves what was told the rest; of a re-used ticker the living line counts."""
    nothing = Subject("n", "XNAS", "TEST", "USD")
    assert [vendor.requests([nothing], ALL) for vendor in (TiingoHead(), TiingoFile())] == [[], []]
    head = parsed(TiingoHead(), TIINGO_HEAD, TEST)
    assert rows(head, "name", "kind", "listed_on", "mic", "delisted_on") == [
        ("Test Corp.", "EQUITY", dt.date(2001, 5, 4), "XNAS", None)
    ]
    listed = parsed(TiingoFile(), zipped(TICKERS), TEST)
    assert rows(listed, "name", "kind", "sector", "listed_on", "mic") == [
        ("Test", "FUND", "FUND", dt.date(2001, 5, 4), "XNAS")
    ]
    with pytest.raises(ProviderError, match="exchangeCode: expected the exchange XNAS as asked, found 'NYSE'"):
        parsed(TiingoHead(), TIINGO_HEAD | {"exchangeCode": "NYSE"}, TEST)


def test_tiingo_opens_no_odd_archive() -> None:
    """A zip of other names, of another header, or of more than the cap is refused."""
    for content, said in (
        (zipped(TICKERS, "../evil.csv"), "expected a zip of supported_tickers.csv"),
        (zipped(TICKERS.replace("assetType", "type")), "expected the columns"),
        (
            zipped("ticker" + "0" * 25_000_000),
            "expected at most 20000000 bytes, found 20000001",
        ),  # no more was unpacked
        (zipped(TICKERS)[:-30], "expected a readable zip"),
        (TICKERS.encode(), "expected a readable zip"),
        (zipped(TICKERS + "TEST,NASDAQ\r\n"), "row 5: expected 6 cells, found 2"),
        (zipped(TICKERS.replace("NASDAQ,ETF,USD", "NASDAQ,ETF,CAD")), "expected quotation in USD as asked, found CAD"),
        (zipped(TICKERS.replace("NASDAQ,ETF", "NASDAQ,Warrant")), "expected kind and units of TEST"),
    ):
        with pytest.raises(ProviderError, match=r"^tiingo: .*" + said):
            parsed(TiingoFile(), content, TEST)


@pytest.mark.shared_data
@recorded
def test_recorded_tiingo_bodies() -> None:
    """GOOGL by hand: 2015-01-02 and 2015-01-05, 2018-04-12, the description of 2017, and the bodies that are no raw bars."""
    found = parsed(TiingoPrices(), recorded_tiingo("ticker_price_with_date").body, GOOGL, window=LATE)
    assert rows(found, "session", "open", "high", "low", "close", "volume") == [
        (dt.date(2015, 1, 2), 532.6, 535.8, 527.88, 529.55, 1327870.0),
        (dt.date(2015, 1, 5), 527.15, 527.9899, 517.75, 519.46, 2059119.0),
    ]
    assert [at.isoformat() for at in found["known_at"]] == ["2015-01-03T01:00:00+00:00", "2015-01-06T01:00:00+00:00"]
    assert parsed(TiingoActions(), recorded_tiingo("ticker_price_with_date").body, GOOGL, window=LATE)["kind"] == []
    found = parsed(TiingoPrices(), recorded_tiingo("ticker_price").body, GOOGL, window=LATE)
    assert rows(found, "session", "close", "volume") == [(dt.date(2018, 4, 12), 1037.29, 1644794.0)]
    found = parsed(TiingoHead(), recorded_tiingo("ticker_metadata").body, GOOGL, window=LATE)
    assert rows(found, "name", "listed_on") == [('Alphabet Inc.("Google") - Class A', dt.date(2004, 8, 19))]
    found = parsed(TiingoFile(), recorded_tiingo("list_stock_tickers").body, GOOGL, window=LATE)
    assert rows(found, "name", "kind", "listed_on") == [("Alphabet Inc.", "EQUITY", dt.date(2004, 8, 19))]
    for name, said in (
        ("ticker_price_with_multiple_columns", r"body\[0\]: expected the field open|expected the field adjClose"),
        ("ticker_price_with_date_csv", "expected JSON"),
        ("news_bulk", "You do not have permission to access the News API"),
        ("invalid_url", "found a page that says: Error 404"),
    ):
        with pytest.raises(ProviderError, match=said):
            parsed(TiingoPrices(), recorded_tiingo(name).body, GOOGL, window=LATE)


def test_alpaca_asks_for_a_hundred_listings_at_once() -> None:
    """Batches of at most 100, in the order of symbols; raw bars of one feed; nothing younger than 15 minutes."""
    subjects = [Subject(f"s{n:03d}", "XNAS", f"T{n:03d}", "USD") for n in range(250)]
    found = AlpacaPrices("iex").requests(subjects[::-1], SINCE)
    assert [len(served) for served, _ in found] == [100, 100, 50]
    assert [one.source_id for served, _ in found for one in served] == [one.source_id for one in subjects]
    request = found[0][1]
    assert request.params == {
        "symbols": ",".join(f"T{n:03d}" for n in range(100)),
        "timeframe": "1Day",
        "start": "2024-07-02",
        "end": "2024-07-12T06:45:00Z",
        "adjustment": "raw",
        "feed": "iex",
        "limit": "10000",
        "sort": "asc",
    }
    assert request.asked["feed"] == "iex"
    assert request.secret_headers == {
        "APCA-API-KEY-ID": "APCA_API_KEY_ID",
        "APCA-API-SECRET-KEY": "APCA_API_SECRET_KEY",
    }
    with pytest.raises(ProviderError, match="expected a feed among sip, iex, found 'otc'"):
        AlpacaPrices("otc")


def test_alpaca_pages_hold_several_listings_or_none() -> None:
    """Texts are numbers where they are; a page may miss a listing; a listing that was not asked is refused."""
    found = parsed(AlpacaPrices(), alpaca_bars(), TEST, OTHER)
    assert rows(found, "source_id", "session", "high")[:2] == [
        ("listing:XNAS:TEST", SESSIONS[0], 1.5),
        ("listing:XNAS:TEST", SESSIONS[1], 1.5),
    ]
    assert found["source_id"].count("listing:XNYS:OTHR") == 2
    empty = parsed(AlpacaPrices(), {"bars": {}, "next_page_token": None}, TEST)
    assert empty["session"] == []
    with pytest.raises(ProviderError, match="expected bars of the symbols asked"):
        parsed(AlpacaPrices(), alpaca_bars(), TEST)


@pytest.mark.parametrize("stamp", ["2024-07-08T05:00:00Z", "2024-07-08T13:30:00Z", "2024-07-08", "2024-07-08T04:00:00"])
def test_alpaca_daily_bars_are_stamped_midnight_new_york(stamp: str) -> None:
    """04:00 UTC in summer, 05:00 in winter; anything else is no daily bar, or a local time without its offset."""
    body = alpaca_bars()
    body["bars"] = {"TEST": [body["bars"]["TEST"][0] | {"t": stamp}]}
    with pytest.raises(ProviderError, match=r"bars\.'TEST'\[0\]\.t"):
        parsed(AlpacaPrices(), body, TEST, OTHER)


@pytest.mark.shared_data
@recorded
def test_recorded_alpaca_bars_and_assets() -> None:
    """Two sessions of AAPL in February 2022, two listings in March, descending order refused, one asset."""
    aapl = Subject("a", "XNAS", "AAPL", "USD", {"kind": "EQUITY", "listed_on": "1980-12-12"})
    tsla = Subject("t", "XNAS", "TSLA", "USD")
    found = parsed(AlpacaPrices(), recorded_alpaca("test_get_bars")[0], aapl, window=LATE)
    assert rows(found, "session", "open", "high", "low", "close", "volume") == [
        (dt.date(2022, 2, 1), 174.0, 174.84, 172.31, 174.61, 85998033.0),
        (dt.date(2022, 2, 2), 174.64, 175.88, 173.33, 175.84, 84817432.0),
    ]
    assert found["known_at"][0].isoformat() == "2022-02-01T21:15:00+00:00"
    found = parsed(AlpacaPrices(), recorded_alpaca("test_multisymbol_get_bars")[0], aapl, tsla, window=LATE)
    assert rows(found, "source_id", "close") == [("a", 162.95), ("t", 858.97)]
    with pytest.raises(ProviderError, match="expected a session after 2023-09-27"):
        parsed(AlpacaPrices(), recorded_alpaca("test_get_bars_desc")[0], tsla, window=LATE)
    found = parsed(AlpacaInstruments(), recorded_alpaca("test_get_asset")[0], aapl, window=LATE)
    assert rows(found, "name", "kind", "listed_on", "country") == [
        ("Apple Inc. Common Stock", "EQUITY", dt.date(1980, 12, 12), "US")
    ]


def test_alpaca_describes_active_us_shares_only() -> None:
    """Another class, state or exchange is refused; without kind and first session there is no request."""
    assert AlpacaInstruments().requests([OTHER], ALL) == []
    for field, value in (("class", "crypto"), ("status", "inactive"), ("exchange", "OTC"), ("symbol", "TSET")):
        with pytest.raises(ProviderError, match=rf"body.{field}"):
            parsed(AlpacaInstruments(), ALPACA_ASSET | {field: value}, TEST)


ACTIONS = {
    # symbol: ex session, kind, amount, ratio, other, known_at; from the recorded body of every kind, by hand
    "MNTS": ("2023-08-24", "SPLIT", 0.0, 1 / 50, "", "2023-08-24T13:30:00+00:00"),
    "SRE": ("2023-08-22", "SPLIT", 0.0, 2.0, "", "2023-08-22T13:30:00+00:00"),
    "MSBC": ("2023-05-19", "SPLIT", 0.0, 1.05, "", "2023-05-19T13:30:00+00:00"),
    "FCF": ("2023-05-04", "CASH_DIVIDEND", 0.125, 1.0, "", "2023-05-04T13:30:00+00:00"),
    "JUPW": ("2023-08-15", "SPIN_OFF", math.nan, 1 / 19.35, "SRM", "2023-08-15T13:30:00+00:00"),
    "IFN": ("2024-04-17", "SPIN_OFF", math.nan, 1.0, "IFN.RTWI", "2024-04-17T13:30:00+00:00"),
    "GLOP": ("2023-07-17", "MERGER", 5.37, 0.0, "", "2023-07-17T13:30:00+00:00"),
    "LSI": ("2023-07-20", "MERGER", 0.0, 0.895, "EXR", "2023-07-20T13:30:00+00:00"),
    "MLVF": ("2023-07-18", "MERGER", 7.8, 0.7733, "FRBA", "2023-07-18T13:30:00+00:00"),
    "TPBAU": ("2023-03-01", "MERGER", math.nan, 1.0, "LVRO", "2023-03-01T14:30:00+00:00"),
    "BSAQ": ("2023-08-15", "RENAME", 0.0, 1.0, "VFS", "2023-08-15T13:30:00+00:00"),
    "VFS": ("2023-08-15", "RENAME", 0.0, 1.0, "VFS", "2023-08-15T13:30:00+00:00"),
    "ORPHY": ("2023-06-13", "DELISTING", 0.141134, 0.0, "VOLUNTARY", "2023-06-13T13:30:00+00:00"),
    "ATNXQ": ("2023-10-11", "DELISTING", 0.0, 0.0, "BANKRUPTCY", "2023-10-11T13:30:00+00:00"),
}


@pytest.mark.shared_data
@recorded
@pytest.mark.parametrize("symbol", sorted(ACTIONS))
def test_recorded_alpaca_actions(symbol: str) -> None:
    """Every kind of event, as the listing's own request would answer: entries that name the symbol."""
    body = recorded_alpaca("test_get_corporate_actions")[0]["corporate_actions"]
    assert set(body) == set(GROUPS)
    named = {group: [one for one in entries if symbol in one.values()] for group, entries in body.items()}
    answer = {"corporate_actions": {group: found for group, found in named.items() if found}, "next_page_token": None}
    found = parsed(AlpacaActions(), answer, Subject("x", "XNAS", symbol, "USD"), window=LATE)
    ((session, kind, amount, ratio, other, known_at),) = rows(
        found, "ex_session", "kind", "amount", "ratio", "other", "known_at"
    )
    expected = ACTIONS[symbol]
    assert (str(session), kind, other, known_at.isoformat()) == (expected[0], expected[1], expected[4], expected[5])
    assert [amount, ratio] == pytest.approx(list(expected[2:4]), rel=1e-12, nan_ok=True)


def test_alpaca_asks_per_listing_and_beyond_the_window() -> None:
    """No events must be an answer for a listing, so it has its own request; dividends are dated by their day of payment."""
    found = AlpacaActions().requests([TEST, OTHER], SINCE)
    assert [served for served, _ in found] == [(TEST,), (OTHER,)]
    params = found[0][1].params
    assert (params["start"], params["end"], params["symbols"]) == ("2024-07-02", "2024-10-10", "TEST")
    assert len(params["types"].split(",")) == len(GROUPS)
    nothing = parsed(AlpacaActions(), {"corporate_actions": {}, "next_page_token": None}, TEST)
    assert nothing["kind"] == []


def test_alpaca_events_are_known_when_declared_or_processed_and_at_the_open_at_the_latest() -> None:
    """A declaration of 1 July is known at its end in New York; a process date before the ex date counts; one after it does not."""
    for dates, expected in (
        ({"declaration_date": "2024-07-01", "process_date": "2024-07-25"}, "2024-07-02T04:00:00+00:00"),
        ({"process_date": "2024-07-08"}, "2024-07-09T04:00:00+00:00"),
        ({"process_date": "2024-07-25"}, "2024-07-11T13:30:00+00:00"),
    ):
        entry = alpaca_actions()["corporate_actions"]["cash_dividends"][0] | dates
        body = {"corporate_actions": {"cash_dividends": [entry]}, "next_page_token": None}
        assert parsed(AlpacaActions(), body, TEST)["known_at"][0].isoformat() == expected
    future = entry | {"ex_date": "2024-08-01", "process_date": "2024-08-15"}
    body = {"corporate_actions": {"cash_dividends": [future]}, "next_page_token": None}
    assert parsed(AlpacaActions(), body, TEST)["kind"] == []


def test_alpaca_dividends_of_one_day_add_up_and_other_doubles_are_refused() -> None:
    """Two cash dividends of one ex date are one amount; the same entry on two pages counts once; two splits are one too many."""
    entry = alpaca_actions()["corporate_actions"]["cash_dividends"][0]
    split = alpaca_actions()["corporate_actions"]["forward_splits"][0]

    def answer(group: str, *entries: dict) -> dict:
        return {"corporate_actions": {group: list(entries)}, "next_page_token": None}

    twice = answer("cash_dividends", entry, entry | {"id": "x", "rate": 0.25}, entry)
    assert parsed(AlpacaActions(), twice, TEST)["amount"] == [0.75]
    with pytest.raises(ProviderError, match="expected one SPLIT per listing and session"):
        parsed(AlpacaActions(), answer("forward_splits", split, split | {"id": "y"}), TEST)
    with pytest.raises(ProviderError, match="expected a group among"):
        parsed(AlpacaActions(), answer("contract_adjustments", split), TEST)
    with pytest.raises(ProviderError, match="expected events of OTHR"):
        parsed(AlpacaActions(), answer("forward_splits", split), OTHER)


def test_an_event_on_a_closed_day_counts_for_the_next_session() -> None:
    """A rename processed on Saturday 6 July 2024 is in force on Monday."""
    entry = {"id": "d", "old_symbol": "TEST", "new_symbol": "NEWT", "process_date": "2024-07-06"}
    body = {"corporate_actions": {"name_changes": [entry]}, "next_page_token": None}
    found = parsed(AlpacaActions(), body, TEST)
    assert rows(found, "ex_session", "known_at") == [(dt.date(2024, 7, 8), dt.datetime(2024, 7, 7, 4, tzinfo=dt.UTC))]


def test_stooq_needs_to_know_the_currency_and_marks_every_bar() -> None:
    """The table names no currency: a listing without one is not asked for; every bar counts as adjusted by the source."""
    assert StooqPrices().requests([Subject("n", "XNAS", "TEST")], ALL) == []
    ((_, request),) = StooqPrices().requests([Subject("b", "XLON", "BP.", "GBX")], SINCE)
    assert (request.url, request.params) == (
        "https://stooq.com/q/d/l/",
        {"s": "bp.uk", "d1": "20240703", "d2": "20240712", "i": "d"},
    )
    found = parsed(StooqPrices(), STOOQ, Subject("b", "XLON", "BP.", "GBX"))
    assert rows(found, "session", "open", "high", "low", "close", "currency", "close_adjusted_by_source") == [
        (SESSIONS[0], 10.0, 10.5, 9.5, 10.25, "GBX", True),
        (SESSIONS[1], 11.0, 11.5, 10.5, 11.25, "GBX", True),
    ]
    assert found["volume"][0] == 1000.0
    assert math.isnan(found["volume"][1])
    assert all(math.isnan(level) for level in found["price_level"])
    short = b"Date,Open,High,Low,Close\n2024-07-08,10,10.5,9.5,10.25\n"
    assert math.isnan(parsed(StooqPrices(), short, TEST)["volume"][0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Exceeded the daily hits limit", "Exceeded the daily hits limit"),
        (b"No data", "No data"),
        (
            b"Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=aapl.us&get_apikey\n2. Enter the captcha code.",
            "Get your apikey",
        ),
        (b"Date,Open,High,Low,Close,Volume\r\n", "found only the header"),
        (b"Date,Open,High,Low,Volume,Close\n2024-07-08,1,1,1,1,1\n", "expected the columns"),
        (STOOQ.replace(b"10.25", b"N/D"), "row 1: Close: expected a number, found 'N/D'"),
        (STOOQ.replace(b"2024-07-09", b"2024-07-08"), "row 2: Date: expected a session after 2024-07-08"),
        (STOOQ.replace(b"2024-07-09", b"09.07.2024"), "row 2: Date: expected a date YYYY-MM-DD"),
        (STOOQ.replace(b"11,11.5", b"11,11.5,1"), "row 2: expected 6 cells, found 7"),
    ],
    ids=range(9),
)
def test_stooq_refuses_what_is_no_table(content: bytes, said: str) -> None:
    """Quota, key and no-data messages arrive with status 200."""
    with pytest.raises(ProviderError, match=r"^stooq: .*" + said):
        parsed(StooqPrices(), content, TEST)
