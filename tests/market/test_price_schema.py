"""F24: twenty changes of schema per price vendor. Each is refused, or harmless: the rows are those of the unchanged body."""

import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from market.price_bodies import SECONDS, STOOQ, Case, small_cases

from marketbot_resources.errors import ProviderError

CASES = {case.label: case for case in small_cases()}
REFUSED, SAME = "refused", "same"
Change = Callable[[dict], object]


def _result(change: Change) -> Change:
    return lambda tree: change(tree["chart"]["result"][0])


def _quote(change: Change) -> Change:
    return _result(lambda result: change(result["indicators"]["quote"][0]))


def _meta(change: Change) -> Change:
    return _result(lambda result: change(result["meta"]))


def _renamed(old: str, new: str) -> Change:
    return lambda found: found.__setitem__(new, found.pop(old))


def _each(name: str, change: Callable[[object], object]) -> Change:
    """Another form of one field of a row, or of every item of an array."""

    def apply(found: dict) -> None:
        value = found[name]
        found[name] = [change(item) for item in value] if isinstance(value, list) else change(value)

    return apply


YAHOO: dict[str, tuple[Change, str]] = {
    "chart renamed": (_renamed("chart", "chartV2"), REFUSED),
    "result is an object": (lambda t: t["chart"].update(result=t["chart"]["result"][0]), REFUSED),
    "two results": (lambda t: t["chart"]["result"].append(t["chart"]["result"][0]), REFUSED),
    "meta gone": (_result(lambda r: r.pop("meta")), REFUSED),
    "currency gone": (_meta(lambda m: m.pop("currency")), REFUSED),
    "currency renamed": (_meta(_renamed("currency", "quoteCurrency")), REFUSED),
    "symbol in lower case": (_meta(lambda m: m.update(symbol="test")), REFUSED),
    "zone renamed": (_meta(_renamed("exchangeTimezoneName", "timeZone")), REFUSED),
    "zone abbreviated": (_meta(lambda m: m.update(exchangeTimezoneName="EST")), REFUSED),
    "last trade in milliseconds": (_meta(_each("regularMarketTime", lambda t: t * 1000)), REFUSED),
    "granularity gone": (_meta(lambda m: m.pop("dataGranularity")), REFUSED),
    "timestamps in milliseconds": (_result(_each("timestamp", lambda t: t * 1000)), REFUSED),
    "timestamps as texts": (_result(_each("timestamp", str)), REFUSED),
    "timestamp renamed": (_result(_renamed("timestamp", "timestamps")), REFUSED),
    "close renamed": (_quote(_renamed("close", "Close")), REFUSED),
    "open as texts": (_quote(_each("open", str)), REFUSED),
    "prices as objects": (_quote(_each("low", lambda v: {"raw": v, "fmt": str(v)})), REFUSED),
    "one array short": (_quote(lambda q: q["volume"].pop()), REFUSED),
    "splits as a list": (_result(lambda r: r["events"].update(splits=list(r["events"]["splits"].values()))), REFUSED),
    "split ratio as text only": (
        _result(lambda r: r["events"]["splits"].update({str(SECONDS[2]): {"date": SECONDS[2], "splitRatio": "2:1"}})),
        REFUSED,
    ),
    "a field more": (_meta(lambda m: m.update(hasPrePostMarketData=True, range="")), SAME),
    "an array more": (_quote(lambda q: q.update(turnover=[1, 2, 3, 4])), SAME),
    "adjclose gone": (_result(lambda r: r["indicators"].pop("adjclose")), SAME),
}


def _row(change: Change) -> Change:
    return lambda rows: change(rows[2])


TIINGO: dict[str, tuple[Change, str]] = {
    "date renamed": (_row(_renamed("date", "datetime")), REFUSED),
    "date without time": (_row(lambda r: r.update(date=r["date"][:10])), REFUSED),
    "date in seconds": (_row(lambda r: r.update(date=SECONDS[2])), REFUSED),
    "date American": (_row(lambda r: r.update(date="7/10/2024")), REFUSED),
    "date at the close": (_row(lambda r: r.update(date="2024-07-10T20:00:00.000Z")), REFUSED),
    "close renamed": (_row(_renamed("close", "last")), REFUSED),
    "open gone": (_row(lambda r: r.pop("open")), REFUSED),
    "high as text": (_row(_each("high", str)), REFUSED),
    "low as object": (_row(_each("low", lambda v: {"value": v})), REFUSED),
    "volume gone": (_row(lambda r: r.pop("volume")), REFUSED),
    "volume as flag": (_row(lambda r: r.update(volume=True)), REFUSED),
    "volume abbreviated": (_row(lambda r: r.update(volume="1.2M")), REFUSED),
    "adjusted close gone": (_row(lambda r: r.pop("adjClose")), REFUSED),
    "adjusted close renamed": (_row(_renamed("adjClose", "adj_close")), REFUSED),
    "row as a list": (lambda rows: rows.__setitem__(2, list(rows[2].values())), REFUSED),
    "row null": (lambda rows: rows.__setitem__(2, None), REFUSED),
    "row twice": (lambda rows: rows.append(rows[3]), REFUSED),
    "newest first": (lambda rows: rows.reverse(), REFUSED),
    "no rows": (lambda rows: rows.clear(), REFUSED),
    "rows nested": (lambda rows: rows.__setitem__(slice(None), [list(rows)]), REFUSED),
    "a field more": (_row(lambda r: r.update(currency="USD")), SAME),
    "offset for Z": (_row(lambda r: r.update(date="2024-07-10T00:00:00+00:00")), SAME),
}


def _bar(change: Change) -> Change:
    return lambda tree: change(tree["bars"]["TEST"][1])


ALPACA: dict[str, tuple[Change, str]] = {
    "bars renamed": (_renamed("bars", "data"), REFUSED),
    "bars null": (lambda t: t.update(bars=None), REFUSED),
    "bars as a list": (lambda t: t.update(bars=t["bars"]["TEST"]), REFUSED),
    "bars of a stranger": (lambda t: t["bars"].update(ELSE=t["bars"]["OTHR"]), REFUSED),
    "symbol in lower case": (lambda t: t["bars"].update(test=t["bars"].pop("TEST")), REFUSED),
    "bars of a symbol null": (lambda t: t["bars"].update(TEST=None), REFUSED),
    "token gone": (lambda t: t.pop("next_page_token"), REFUSED),
    "token renamed": (_renamed("next_page_token", "nextPageToken"), REFUSED),
    "time renamed": (_bar(_renamed("t", "timestamp")), REFUSED),
    "time in nanoseconds": (_bar(lambda b: b.update(t=1720497600000000000)), REFUSED),
    "time without offset": (_bar(lambda b: b.update(t="2024-07-09T04:00:00")), REFUSED),
    "time at the open": (_bar(lambda b: b.update(t="2024-07-09T13:30:00Z")), REFUSED),
    "time of UTC midnight": (_bar(lambda b: b.update(t="2024-07-09T00:00:00Z")), REFUSED),
    "long names": (_bar(_renamed("c", "close")), REFUSED),
    "open gone": (_bar(lambda b: b.pop("o")), REFUSED),
    "volume gone": (_bar(lambda b: b.pop("v")), REFUSED),
    "high with a comma": (_bar(lambda b: b.update(h="1,234.5")), REFUSED),
    "low as flag": (_bar(lambda b: b.update(l=False)), REFUSED),
    "close as object": (_bar(lambda b: b.update(c={"raw": 1.0})), REFUSED),
    "bar twice": (lambda t: t["bars"]["TEST"].append(t["bars"]["TEST"][3]), REFUSED),
    "newest first": (lambda t: t["bars"]["TEST"].reverse(), REFUSED),
    "message beside data": (
        lambda t: t.update(message="subscription does not permit querying recent SIP data"),
        REFUSED,
    ),
    "numbers as texts": (_bar(lambda b: b.update({name: str(b[name]) for name in "ohlcv"})), SAME),
    "a field more": (_bar(lambda b: b.update(x=1)), SAME),
    "currency beside data": (lambda t: t.update(currency="USD"), SAME),
}
STOOQ_CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "header gone": (lambda c: c.partition(b"\n")[2], REFUSED),
    "header in Polish": (
        lambda c: c.replace(b"Date,Open,High,Low,Close", b"Data,Otwarcie,Maks,Min,Zamkniecie"),
        REFUSED,
    ),
    "header in lower case": (lambda c: c.replace(b"Close", b"close"), REFUSED),
    "columns in another order": (lambda c: c.replace(b"Low,Close", b"Close,Low"), REFUSED),
    "a column more": (lambda c: c.replace(b"\r\n", b",0\r\n").replace(b"Volume,0", b"Volume,OpenInt"), REFUSED),
    "close gone": (lambda c: b"\n".join(b",".join(x.split(b",")[:4]) for x in c.split()), REFUSED),
    "semicolons": (lambda c: c.replace(b",", b";"), REFUSED),
    "tabs": (lambda c: c.replace(b",", b"\t"), REFUSED),
    "decimal commas": (lambda c: c.replace(b".", b","), REFUSED),
    "dates without hyphens": (lambda c: c.replace(b"2024-07-", b"202407"), REFUSED),
    "dates German": (lambda c: c.replace(b"2024-07-08", b"08.07.2024"), REFUSED),
    "dates with a time": (lambda c: c.replace(b"2024-07-08", b"2024-07-08 22:00"), REFUSED),
    "a date that is none": (lambda c: c.replace(b"2024-07-08", b"2024-02-30"), REFUSED),
    "newest first": (lambda c: b"\r\n".join([c.split()[0], c.split()[2], c.split()[1]]), REFUSED),
    "a row twice": (lambda c: c + c.split()[-1] + b"\r\n", REFUSED),
    "a currency sign": (lambda c: c.replace(b"10.25", b"$10.25"), REFUSED),
    "N/D for missing": (lambda c: c.replace(b"10.5,", b"N/D,", 1), REFUSED),
    "a note at the end": (lambda c: c + b"Data delayed by 15 minutes\r\n", REFUSED),
    "a note at the start": (lambda c: b"# stooq\r\n" + c, REFUSED),
    "an empty line between": (lambda c: c.replace(b"1000\r\n", b"1000\r\n\r\n"), REFUSED),
    "a page": (lambda c: b"<pre>" + c + b"</pre>", REFUSED),
    "everything quoted": (lambda c: b'"' + c.strip().replace(b",", b'","').replace(b"\r\n", b'"\r\n"') + b'"', SAME),
    "other line ends": (lambda c: c.replace(b"\r\n", b"\n"), SAME),
}


def test_twenty_changes_per_vendor() -> None:
    """F24 asks for twenty refused-or-harmless changes of each."""
    for table in (YAHOO, TIINGO, ALPACA, STOOQ_CHANGES):
        assert len(table) >= 20


def check(case: Case, content: bytes, expected: str) -> None:
    """The outcome of a changed body."""
    if expected == REFUSED:
        with pytest.raises(ProviderError, match=rf"^{case.vendor.name}: "):
            case.vendor.parse(content, case.asked)
    else:
        assert as_text(case.vendor.parse(content, case.asked)) == as_text(case.vendor.parse(case.content, case.asked))


def as_text(found: Mapping[str, Sequence[object]]) -> str:
    """Columns as text: two missing numbers are alike."""
    return str(dict(found))


@pytest.mark.parametrize("label", ["yahoo-prices", "tiingo-prices", "alpaca-prices"])
def test_changes_of_json_bodies(label: str) -> None:
    """Every listed change is refused, or leaves the rows as they were."""
    case = CASES[label]
    for name, (change, expected) in {"yahoo": YAHOO, "tiingo": TIINGO, "alpaca": ALPACA}[case.vendor.name].items():
        tree = json.loads(case.content)
        change(tree)
        content = json.dumps(tree).encode()
        assert content != case.content, name
        try:
            check(case, content, expected)
        except (AssertionError, pytest.fail.Exception) as error:
            error.add_note(f"{label}: {name}")
            raise


@pytest.mark.parametrize("name", sorted(STOOQ_CHANGES))
def test_changes_of_stooqs_table(name: str) -> None:
    """Every listed change is refused, or leaves the rows as they were."""
    change, expected = STOOQ_CHANGES[name]
    content = change(STOOQ)
    assert content != STOOQ
    check(CASES["stooq-prices"], content, expected)
