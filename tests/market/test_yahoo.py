"""Yahoo's chart: what recorded bodies say, by hand, and the rules of `yahoo_chart.py`."""

import datetime as dt
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import mul
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from market.price_bodies import ALL, SECONDS, SESSIONS, TEST, recorded, recorded_yahoo, yahoo_with

from marketbot_resources import calendars
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.yahoo import YahooActions, YahooInstruments, YahooPrices
from marketbot_resources.provider import Subject, Window

LATE = Window(None, dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))
LEAN = Path(__file__).parents[2] / "../shared/data/corporate_actions/daily"
DAY = 86_400


def parsed(
    vendor: YahooPrices | YahooActions | YahooInstruments, content: bytes, subject: Subject, window: Window = ALL
) -> Mapping[str, Sequence]:
    """Columns of a body for the listing asked."""
    ((_, request),) = vendor.requests([subject], window)
    return vendor.parse(content, request.asked)


def prices(change: Callable[[dict], object], subject: Subject = TEST, window: Window = ALL) -> Mapping[str, Sequence]:
    """Columns of the small body after a change."""
    return parsed(YahooPrices(), yahoo_with(change), subject, window)


def nothing(result: dict) -> None:
    """No change."""


def test_the_request_reaches_from_the_start_to_the_present() -> None:
    """Splits after the window are seen only when the request has no end: its second period lies in the year 2286."""
    ((subjects, request),) = YahooPrices().requests([Subject("m", "XNSE", "M&M", "INR")], ALL)
    assert request.url == "https://query2.finance.yahoo.com/v8/finance/chart/M%26M.NS"
    assert request.params == {
        "period1": "852057000",
        "period2": "9999999999",
        "interval": "1d",
        "includePrePost": "false",
        "events": "div,splits,capitalGains",
    }
    assert [one.source_id for one in subjects] == ["m"]
    same = [vendor.requests([TEST], ALL)[0][1] for vendor in (YahooPrices(), YahooActions(), YahooInstruments())]
    assert len({(request.url, tuple(request.params.items())) for request in same}) == 1


def test_a_split_of_the_body_is_undone() -> None:
    """Before the 2:1 split of 10 July prices are doubled and volumes halved; from the ex session on they stand."""
    found = prices(nothing)
    assert found["session"] == list(SESSIONS)
    assert found["close"] == [20.5, 22.5, 12.25, 13.25]
    assert found["open"] == [20.0, 22.0, 12.0, 13.0]
    assert found["volume"] == [500.0, 1000.0, 3000.0, 0.0]
    assert found["price_level"] == found["close"]
    assert found["close_adjusted_by_source"] == [False] * 4


def test_a_body_that_ends_before_the_last_trade_is_served_as_adjusted() -> None:
    """Splits after its end are unknown: nothing is undone, every row says so, and the level for price rules is missing."""
    found = prices(lambda result: result["meta"].update(regularMarketTime=SECONDS[3] + DAY))
    assert found["close"] == [10.25, 11.25, 12.25, 13.25]
    assert found["close_adjusted_by_source"] == [True] * 4
    assert all(math.isnan(level) for level in found["price_level"])


TRADED = st.tuples(st.floats(0.01, 1e4), st.integers(0, 10**9), st.sampled_from([None, (2, 1), (1, 8), (3, 2)]))
OPENS = [
    int(calendars.open_at("XNAS", day).timestamp())
    for day in calendars.sessions("XNAS", dt.date(2024, 5, 1), SESSIONS[3])
]


@given(st.lists(TRADED, min_size=1, max_size=30))
def test_undoing_gives_back_what_was_traded(days: list[tuple[float, int, tuple[int, int] | None]]) -> None:
    """A traded series, adjusted day by day for each split that comes later, is served as it was traded."""
    closes, volumes = [day[0] for day in days], [float(day[1]) for day in days]
    stamps = OPENS[-len(days) :]
    splits = {}
    adjusted, thinned = list(closes), list(volumes)
    for at, (_, _, split) in enumerate(days):
        if split is not None:
            splits[str(stamps[at])] = {"date": stamps[at], "numerator": split[0], "denominator": split[1]}
            for before in range(at):
                adjusted[before] *= split[1] / split[0]
                thinned[before] *= split[0] / split[1]

    def change(result: dict) -> None:
        result["timestamp"] = stamps
        result["events"] = {"splits": splits}
        prices = {name: adjusted for name in ("open", "high", "low", "close")}
        result["indicators"] = {"quote": [{**prices, "volume": thinned}]}
        result["meta"]["regularMarketTime"] = stamps[-1] + 7 * 3600

    ratios = accumulate((day[2][0] / day[2][1] for day in days if day[2]), mul)
    assume(all(1e-8 < ratio < 1e8 for ratio in ratios))  # beyond a billion at any time the body is refused
    assume(all(value <= 1e15 for value in adjusted + thinned))
    found = prices(change)
    assert found["close"] == pytest.approx(closes, rel=1e-9)
    assert found["volume"] == pytest.approx(volumes, rel=1e-9, abs=1e-6)
    assert found["close_adjusted_by_source"] == [False] * len(days)


def test_a_split_after_the_last_bar_is_refused() -> None:
    """On the morning of a split nobody can tell whether the older bars know of it."""
    future = {"date": SECONDS[3] + DAY, "numerator": 3, "denominator": 1}
    with pytest.raises(ProviderError, match="no split after the last bar"):
        prices(lambda result: result["events"]["splits"].update({"x": future}))


def test_null_bars_are_no_bars_and_single_nulls_stay_missing() -> None:
    """A missing value stays missing, for the quality rules; a bar without any price is left out; no volume is zero volume."""

    def change(result: dict) -> None:
        quote = result["indicators"]["quote"][0]
        for name in quote:
            quote[name][1] = None
        quote["high"][2] = None

    found = prices(change)
    assert found["session"] == [SESSIONS[0], SESSIONS[2], SESSIONS[3]]
    assert math.isnan(found["high"][1])
    assert found["close"][1] == 12.25
    assert found["volume"][2] == 0.0


@pytest.mark.parametrize(
    ("traded_at", "sessions"),
    [("2024-07-11T17:00:00+00:00", 3), ("2024-07-11T19:58:59+00:00", 3), ("2024-07-11T19:59:32+00:00", 4)],
)
def test_the_running_bar_is_not_served(traded_at: str, sessions: int) -> None:
    """While its session trades, today's bar is no bar; a closing auction may stamp the last trade within a minute of the close."""
    at = int(dt.datetime.fromisoformat(traded_at).timestamp())
    assert len(prices(lambda result: result["meta"].update(regularMarketTime=at))["session"]) == sessions


def test_on_a_half_day_the_early_close_counts() -> None:
    """On 3 July 2024 New York closed at 13:00, 17:00 UTC: a trade of 17:00:05 finishes the bar, one of 16:30 does not."""
    opened = int(dt.datetime(2024, 7, 3, 13, 30, tzinfo=dt.UTC).timestamp())
    for after, bars in ((3.5 * 3600 + 5, 4), (3 * 3600, 3)):

        def change(result: dict, after: float = after) -> None:
            result["timestamp"] = [opened - 5 * DAY, opened - 2 * DAY, opened - DAY, opened]
            result["meta"]["regularMarketTime"] = int(opened + after)
            del result["events"]

        found = prices(change)
        assert len(found["session"]) == bars
        if bars == 4:
            assert found["known_at"][-1].isoformat() == "2024-07-03T17:15:00+00:00"


def test_the_live_copy_of_the_last_bar_falls_away() -> None:
    """Yahoo may add the live quote as one more bar of the same session; the day's bar counts, unless it is empty."""

    def add(result: dict) -> None:
        result["timestamp"].append(result["meta"]["regularMarketTime"])
        for name, values in result["indicators"]["quote"][0].items():
            values.append(99.0 if name != "volume" else 7)
        result["indicators"]["adjclose"][0]["adjclose"].append(99.0)

    def add_beside_empty(result: dict) -> None:
        add(result)
        for values in result["indicators"]["quote"][0].values():
            values[3] = None

    assert prices(add)["close"] == [20.5, 22.5, 12.25, 13.25]
    assert prices(add_beside_empty)["close"] == [20.5, 22.5, 12.25, 99.0]


def test_sessions_that_do_not_ascend_are_refused() -> None:
    """Two bars of one session, or bars out of order, are no series."""
    for stamps in ([SECONDS[0], *SECONDS[:3]], [*SECONDS[:2], SECONDS[3], SECONDS[2]]):
        with pytest.raises(ProviderError, match=r"timestamp\[\d\]: expected a session after"):
            prices(lambda result, stamps=stamps: result.update(timestamp=stamps))


def test_sessions_are_labelled_by_the_exchanges_own_date() -> None:
    """Sydney opens at 23:00 UTC of the day before in January; New York's offset changes between two sessions in March."""

    def sydney(result: dict) -> None:
        result["meta"].update(symbol="TEST.AX", currency="AUD", exchangeTimezoneName="Australia/Sydney")
        first = int(dt.datetime(2024, 1, 8, 23, tzinfo=dt.UTC).timestamp())
        result["timestamp"] = [first + n * DAY for n in range(4)]
        result["meta"]["regularMarketTime"] = first + 3 * DAY + 7 * 3600
        del result["events"]

    found = prices(sydney, Subject("s", "XASX", "TEST", "AUD"))
    assert found["session"] == [dt.date(2024, 1, day) for day in (9, 10, 11, 12)]
    assert found["known_at"][0].isoformat() == "2024-01-09T05:15:00+00:00"

    def spring(result: dict) -> None:
        days = (("2024-03-07", 14), ("2024-03-08", 14), ("2024-03-11", 13), ("2024-03-12", 13))
        stamps = [int(dt.datetime.fromisoformat(f"{day}T{hour}:30:00+00:00").timestamp()) for day, hour in days]
        result.update(timestamp=stamps)
        result["meta"]["regularMarketTime"] = stamps[3] + 7 * 3600
        del result["events"]

    found = prices(spring)
    assert [at.isoformat() for at in found["known_at"][1:3]] == [
        "2024-03-08T21:15:00+00:00",
        "2024-03-11T20:15:00+00:00",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["meta"].update(currency="EUR"), "expected quotation in USD as asked, found EUR"),
        (lambda r: r["meta"].update(symbol="TSET"), "expected the symbol TEST as asked"),
        (lambda r: r["meta"].update(exchangeTimezoneName="Europe/Berlin"), "time zone America/New_York of XNAS"),
        (lambda r: r["meta"].update(dataGranularity="1h"), "expected daily bars, 1d"),
        (lambda r: r["indicators"]["quote"][0]["close"].pop(), r"quote\[0\].close: expected an array of 4, found 3"),
        (lambda r: r["indicators"]["quote"][0].pop("open"), r"quote\[0\]: expected the field open"),
        (lambda r: r["indicators"]["quote"][0]["low"].__setitem__(2, "9.5"), r"low\[2\]: expected a number or null"),
        (lambda r: r.pop("timestamp"), "expected an array of 0, found 4"),
        (lambda r: r["events"].update(spinOffs={}), "expected events among"),
        (lambda r: r["events"]["splits"][str(SECONDS[2])].update(denominator=0), "expected a number above zero"),
    ],
    ids=range(10),
)
def test_what_is_refused_names_field_and_row(change: Callable[[dict], object], said: str) -> None:
    """Units, symbol, zone and shape never switch silently; the message leads to the place."""
    with pytest.raises(ProviderError, match=r"^yahoo: .*" + said):
        prices(change)


def test_a_dividend_before_a_split_is_per_share_of_its_own_day() -> None:
    """0.5 per share of today, paid before a 2:1 split, was 1.0 per share; `adjclose` confirms the unit, or the body is refused."""

    def early(amount: float) -> Callable[[dict], object]:
        def change(result: dict) -> None:
            result["events"]["dividends"] = {"x": {"amount": amount, "date": SECONDS[1]}}
            factor = 1.0 - 0.5 / 10.25  # the ex session is the second, the close before it 10.25
            result["indicators"]["adjclose"][0]["adjclose"] = [10.25 * factor, 11.25, 12.25, 13.25]

        return change

    found = parsed(YahooActions(), yahoo_with(early(0.5)), TEST)
    assert list(zip(found["kind"], found["amount"], found["ex_session"], strict=True)) == [
        ("CASH_DIVIDEND", 1.0, SESSIONS[1]),
        ("SPLIT", 0.0, SESSIONS[2]),
    ]
    with pytest.raises(ProviderError, match=r"the dividend of 2024-07-09 to agree with adjclose, found 1\.0"):
        parsed(YahooActions(), yahoo_with(early(1.0)), TEST)


def test_payments_of_a_body_that_ends_early_are_refused() -> None:
    """A dividend in units of splits that the body does not hold has no known unit; splits alone are exact."""
    late = {"regularMarketTime": SECONDS[3] + DAY}
    with pytest.raises(ProviderError, match="the unit of the payment of 2024-07-11 is unclear"):
        parsed(YahooActions(), yahoo_with(lambda r: r["meta"].update(late)), TEST)

    def splits_only(result: dict) -> None:
        result["meta"].update(late)
        del result["events"]["dividends"]

    assert parsed(YahooActions(), yahoo_with(splits_only), TEST)["ratio"] == [2.0]


def test_capital_gains_and_a_dividends_own_currency() -> None:
    """A fund's capital gain is a special dividend beside the cash dividend of that day; an event's own currency is kept."""

    def change(result: dict) -> None:
        result["events"]["capitalGains"] = {"g": {"amount": 0.25, "date": SECONDS[3]}}
        result["events"]["dividends"][str(SECONDS[3])]["currency"] = "GBp"

    found = parsed(YahooActions(), yahoo_with(change), TEST)
    rows = list(zip(found["kind"], found["amount"], found["currency"], strict=True))
    assert rows == [("SPLIT", 0.0, "USD"), ("CASH_DIVIDEND", 0.5, "GBX"), ("SPECIAL_DIVIDEND", 0.25, "USD")]


def test_listings_are_described_and_lots_are_never_guessed() -> None:
    """Tokyo's lot is 100; Hong Kong's differ: such listings are served only when told; another exchange's code is refused."""
    tokyo, hong_kong = Subject("t", "XTKS", "7203", "JPY"), Subject("h", "XHKG", "700", "HKD")
    told = Subject("h", "XHKG", "700", "HKD", {"quantity_step": "100", "tick_size": "0.2"})
    assert [one[0][0].source_id for one in YahooInstruments().requests([tokyo, hong_kong], ALL)] == ["t"]

    def toyota(result: dict) -> None:
        result["meta"].update(symbol="7203.T", currency="JPY", exchangeName="JPX", exchangeTimezoneName="Asia/Tokyo")

    def tencent(result: dict) -> None:
        result["meta"].update(
            symbol="0700.HK", currency="HKD", exchangeName="HKG", exchangeTimezoneName="Asia/Hong_Kong"
        )

    found = parsed(YahooInstruments(), yahoo_with(toyota), tokyo)
    assert (str(found["quantity_step"][0]), str(found["tick_size"][0]), found["country"][0]) == ("100", "1", "JP")
    found = parsed(YahooInstruments(), yahoo_with(tencent), told)
    assert (str(found["quantity_step"][0]), str(found["tick_size"][0])) == ("100", "0.2")
    with pytest.raises(ProviderError, match="exchangeName: expected NMS or NGM or NCM for XNAS, found 'NYQ'"):
        parsed(YahooInstruments(), yahoo_with(lambda r: r["meta"].update(exchangeName="NYQ")), TEST)
    with pytest.raises(ProviderError, match="instrumentType"):
        parsed(YahooInstruments(), yahoo_with(lambda r: r["meta"].update(instrumentType="CRYPTOCURRENCY")), TEST)


RECORDED = {
    # file: (MIC, ticker, currency asked), (open, high, low, close, volume) of 2020-01-02, (currency served, known_at)
    "chart-AAPL-2020-01-01-to-2020-01-03": (
        ("XNAS", "AAPL", "USD"),
        (74.05999755859375, 75.1500015258789, 73.79750061035156, 75.0875015258789, 135480400),
        ("USD", "2020-01-02T21:15:00+00:00"),
    ),
    "chart-OCDO.L-2020-01-01-to-2020-01-03": (
        ("XLON", "OCDO", "GBX"),
        (1279.5, 1286.5699462890625, 1258, 1259.5, 728520),
        ("GBX", "2020-01-02T16:45:00+00:00"),
    ),
    "chart-AZT.OL-2020-01-01-to-2020-01-03": (
        ("XOSL", "AZT", ""),
        (4.940000057220459, 5.360000133514404, 4.880000114440918, 4.989999771118164, 151382),
        ("NOK", "2020-01-02T15:35:00+00:00"),
    ),
    "historical-via-chart-ORSTED.CO-2020-01-01-to-2020-01-03": (
        ("XCSE", "ORSTED", "DKK"),
        (685.7999877929688, 688.4000244140625, 677.2000122070312, 681, 340491),
        ("DKK", "2020-01-02T16:15:00+00:00"),
    ),
}


@pytest.mark.shared_data
@recorded
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recorded_bars(name: str) -> None:
    """One bar per recorded exchange, read by hand. The bodies end in 2020 and were recorded in 2025: they are adjusted."""
    (mic, ticker, currency), values, (served, known_at) = RECORDED[name]
    found = parsed(YahooPrices(), recorded_yahoo(name).body, Subject("x", mic, ticker, currency), LATE)
    assert found["session"] == [dt.date(2020, 1, 2)]
    assert tuple(found[field][0] for field in ("open", "high", "low", "close", "volume")) == values
    assert (found["currency"], found["close_adjusted_by_source"]) == ([served], [True])
    assert found["known_at"][0].isoformat() == known_at


@pytest.mark.shared_data
@recorded
def test_a_recorded_split_and_dividend() -> None:
    """AAPL: 4:1 on 2020-08-31, 0.205 dollars ex 2020-11-06; the body, cut off that evening, holds both."""
    tree = json.loads(recorded_yahoo("chart-AAPL-2020-08-31-to-2020-11-07").body)
    result = tree["chart"]["result"][0]
    result["meta"]["regularMarketTime"] = result["timestamp"][-1] + int(6.5 * 3600)  # as if asked that evening
    found = parsed(YahooActions(), json.dumps(tree).encode(), Subject("a", "XNAS", "AAPL", "USD"), LATE)
    assert list(zip(found["ex_session"], found["kind"], found["amount"], found["ratio"], strict=True)) == [
        (dt.date(2020, 8, 31), "SPLIT", 0.0, 4.0),
        (dt.date(2020, 11, 6), "CASH_DIVIDEND", 0.205, 1.0),
    ]
    assert [at.isoformat() for at in found["known_at"]] == ["2020-08-31T13:30:00+00:00", "2020-11-06T14:30:00+00:00"]


def raw_bars(ticker: str) -> dict[str, tuple[float, ...]]:
    """Unadjusted bars of another source: session as YYYYMMDD -> open, high, low, close."""
    with zipfile.ZipFile(LEAN / f"{ticker}.zip") as archive:
        lines = archive.read(f"{ticker}.csv").decode().split("\n")
    rows = [line.split(",") for line in lines if line]
    return {row[0][:8]: tuple(int(cell) / 1e4 for cell in row[1:5]) for row in rows}


@pytest.mark.shared_data
@recorded
def test_undone_bars_equal_what_was_traded() -> None:
    """Two recorded AAPL bodies joined into one that reaches its end: undone closes are another source's raw closes."""
    early = json.loads(recorded_yahoo("chart-AAPL-2020-01-01-to-2020-01-03").body)["chart"]["result"][0]
    tree = json.loads(recorded_yahoo("chart-AAPL-2020-08-31-to-2020-11-07").body)
    result = tree["chart"]["result"][0]
    result["timestamp"] = early["timestamp"] + result["timestamp"]
    for name, values in result["indicators"]["quote"][0].items():
        values[:0] = early["indicators"]["quote"][0][name]
    result["indicators"]["adjclose"][0]["adjclose"][:0] = early["indicators"]["adjclose"][0]["adjclose"]
    result["meta"]["regularMarketTime"] = result["timestamp"][-1] + int(6.5 * 3600)
    found = parsed(YahooPrices(), json.dumps(tree).encode(), Subject("a", "XNAS", "AAPL", "USD"), LATE)
    truth = raw_bars("aapl")
    assert len(found["session"]) == 50
    assert found["close_adjusted_by_source"] == [False] * 50
    for session, close in zip(found["session"], found["close"], strict=True):
        assert close == pytest.approx(truth[f"{session:%Y%m%d}"][3], abs=0.0101), session
    assert found["session"][0] == dt.date(2020, 1, 2)
    first = [found[field][0] for field in ("high", "low", "close")]
    assert first == pytest.approx([300.60, 295.19, 300.35], abs=1e-4)  # 75.15, 73.7975, 75.0875 as received
    assert found["volume"][0] == 33_870_100  # 135,480,400 as received


@pytest.mark.shared_data
@recorded
def test_every_recorded_chart_of_a_listing_is_served_or_refused_for_its_reason() -> None:
    """Funds without an exchange's ticker, currencies, coins, futures and minute bars are nobody's daily listing bars."""
    weird = ("chart-notimestamp-quotes-length.fake", "chart-notimestamp-weird-quote.fake")
    for name, said in [(one, "expected an array of 0, found 1") for one in weird] + [
        ("chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m", "expected daily bars, 1d"),
        ("chart-EURUSD=X-2020-01-01-to-2020-01-03", "expected the symbol AAPL as asked"),
        ("pageWith404andJson.fake", "expected a chart"),
        ("pageWithUnknownError", "Made Up Error: I'm made up"),
        ("weirdJsonResult.fake", "expected a chart"),
    ]:
        with pytest.raises(ProviderError, match=said):
            parsed(YahooPrices(), recorded_yahoo(name).body, Subject("a", "XNAS", "AAPL", "USD"), LATE)
    found = parsed(
        YahooPrices(),
        recorded_yahoo("historical-via-chart-MSFT-dividends-2021-02-01-to-2022-01-31.csv").body,
        Subject("m", "XNAS", "MSFT", "USD"),
        LATE,
    )
    assert (len(found["session"]), found["close"][0]) == (252, 239.64999389648438)


@pytest.mark.shared_data
@recorded
def test_recorded_descriptions() -> None:
    """Name, currency, kind and first trade of four recorded listings."""
    for name, mic, ticker, expected in [
        ("chart-AAPL", "XNAS", "AAPL", ("Apple Inc.", "USD", "EQUITY", "", "1980-12-12", "US")),
        (
            "chart-QQQ-2020-01-01-to-2020-01-03",
            "XNAS",
            "QQQ",
            ("Invesco QQQ Trust", "USD", "FUND", "FUND", "1999-03-10", "US"),
        ),
        (
            "chart-OCDO.L-2020-01-01-to-2020-01-03",
            "XLON",
            "OCDO",
            ("Ocado Group plc", "GBX", "EQUITY", "", "2010-07-21", "GB"),
        ),
        (
            "chart-WSU.DE-2023-08-04-to-2023-08-09",
            "XETR",
            "WSU",
            ("WashTec AG", "EUR", "EQUITY", "", "1998-11-09", "DE"),
        ),
    ]:
        found = parsed(YahooInstruments(), recorded_yahoo(name).body, Subject("x", mic, ticker), LATE)
        fields = ("name", "currency", "kind", "sector", "listed_on", "country")
        assert tuple(str(found[field][0]) for field in fields) == expected
        assert found["known_at"] == [LATE.until]
