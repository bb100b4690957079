"""FRED: vintages become rows that were known when FRED first showed them, and nothing else is taken for one."""

import datetime as dt
import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from vendor_suite import TABLES, campaign, cassette, demand_contract, demand_refused, rows, utc, window

from marketbot_resources.cash_rates import CASH_SERIES
from marketbot_resources.errors import ProviderError
from marketbot_resources.macro.fred import SERIES, Fred, known_at, spans
from marketbot_resources.provider import Request, Response, Subject

FRED = Fred()
UNTIL = "2024-12-01 00:00"


def request(series: str, since: str | None, until: str, more: dict[str, str] | None = None) -> Request:
    [(_, first), *_] = FRED.requests([Subject(series, more=more or {})], window(since, until))
    return first


def asked(series: str, begin: str | None, end: str, **changed: str) -> dict[str, str]:
    return {**request(series, begin, end).asked, **changed}


def body(observations: list[tuple[str, str, str, object]], **changed: object) -> bytes:
    found = {
        "realtime_start": "2024-10-09",
        "realtime_end": "9999-12-31",
        "observation_start": "1600-01-01",
        "units": "lin",
        "output_type": 1,
        "count": len(observations),
        "offset": 0,
        "limit": 100000,
        "observations": [
            {"realtime_start": first, "realtime_end": last, "date": date, "value": value}
            for first, last, date, value in observations
        ],
    }
    return json.dumps({**found, **changed}).encode()


VINTAGES = [
    (
        "2024-10-09",
        "9999-12-31",
        "2024-08-01",
        "319.768",
    ),  # shown on the day before: cut to what was asked, hence older
    ("2024-10-09", "2024-10-20", "2024-07-01", "318.872"),
    ("2024-10-21", "9999-12-31", "2024-07-01", "318.9"),  # a revision
    ("2024-10-10", "9999-12-31", "2024-09-01", "320.767"),
    ("2024-10-22", "9999-12-31", "2024-06-01", "."),  # withdrawn
    ("2024-11-13", "9999-12-31", "2024-10-01", "321.666"),
]
ASKED = asked("CORE_CPI", "2024-10-10 12:00", "2024-11-13 13:29")


def test_revisions_are_rows_of_their_own_and_older_vintages_are_not_served_again() -> None:
    """Law 3: a value counts from the release on which FRED first showed it; what was known before the window is no news."""
    found = FRED.parse(body(VINTAGES), ASKED)
    demand_contract(TABLES["raw_macro"], found, ASKED)
    assert rows(found, "series", "period", "unit", "known_at", "synthetic") == [
        ("CORE_CPI", dt.date(2024, 6, 1), "index 1982-84 = 100", utc("2024-10-22 13:30"), False),
        ("CORE_CPI", dt.date(2024, 7, 1), "index 1982-84 = 100", utc("2024-10-21 13:30"), False),
        ("CORE_CPI", dt.date(2024, 9, 1), "index 1982-84 = 100", utc("2024-10-10 13:30"), False),
    ]
    assert math.isnan(found["value"][0])
    assert found["value"][1:] == [318.9, 320.767]


def test_nothing_of_the_future_is_served() -> None:
    """Law 3: a release one minute after the window's end belongs to the next window."""
    later = {**ASKED, "until": utc("2024-11-13 13:30").isoformat()}
    assert FRED.parse(body(VINTAGES), later)["value"][-1] == 321.666
    assert 321.666 not in FRED.parse(body(VINTAGES), ASKED)["value"]


@pytest.mark.parametrize(
    ("series", "begins", "expected"),
    [
        ("CORE_CPI", dt.date(2024, 7, 11), "2024-07-11 13:30"),
        ("US10Y", dt.date(2024, 7, 11), "2024-07-12 04:00"),  # midnight in New York, summer
        ("VIX", dt.date(2024, 1, 11), "2024-01-12 05:00"),  # winter
    ],
)
def test_without_a_known_hour_a_release_counts_from_the_end_of_its_day(
    series: str, begins: dt.date, expected: str
) -> None:
    """FRED gives dates; a date without an hour is known when the day is over in New York."""
    assert known_at(series, begins) == utc(expected)


def vintage_dates(days: list[str], **changed: object) -> bytes:
    return json.dumps({"count": len(days), "offset": 0, "limit": 10000, "vintage_dates": days, **changed}).encode()


def test_a_long_window_asks_for_the_dates_of_vintages_first() -> None:
    """FRED answers at most 2,000 vintages and none before the first: spans follow the dates that it names, each vintage comes once.

    The answers are made as FRED makes them: what began before a span is cut to the span's first day.
    """
    first = request("US10Y", None, "2024-10-12 20:00")
    assert first.url == "https://api.stlouisfed.org/fred/series/vintagedates"
    days = [(dt.date(2005, 6, 28) + dt.timedelta(days=n)).isoformat() for n in range(3200)]
    dates = vintage_dates(days)
    assert FRED.parse(dates, first.asked)["value"] == []
    found: list[tuple] = []
    page, pages = FRED.following(first, Response(200, {}, dates)), 0
    while page is not None:
        start, end = page.params["realtime_start"], page.params["realtime_end"]
        seen = [(day, end, day, str(n)) for n, day in enumerate(days) if start <= day <= end]
        older = [(start, end, day, str(n)) for n, day in enumerate(days) if day < start]
        answer = body([*older, *seen], realtime_start=start, realtime_end=end)
        assert len({begins for begins, *_ in [*older, *seen]}) <= 2000
        found += rows(FRED.parse(answer, page.asked), "value", "period", "known_at")
        page, pages = FRED.following(page, Response(200, {}, answer)), pages + 1
    assert pages == 3
    assert [(value, period.isoformat()) for value, period, _ in found] == [
        (float(n), day) for n, day in enumerate(days)
    ]
    assert all(
        at - utc(f"{period} 00:00") in (dt.timedelta(hours=28), dt.timedelta(hours=29)) for _, period, at in found
    )


def test_spans_cover_every_vintage_once() -> None:
    """Of 4,000 dates: three spans of at most 1,501; up to a day in the past the last span ends with its last vintage."""
    days = [dt.date(2005, 1, 1) + dt.timedelta(days=n) for n in range(4000)]
    found = spans(days, days[-1])
    assert [start for start, _ in found] == [str(days[0]), str(days[1499]), str(days[2999])]
    assert [end for _, end in found] == [str(days[1499]), str(days[2999]), "9999-12-31"]
    assert spans(days, days[99]) == [(str(days[0]), str(days[99]))]
    assert spans(days, dt.date(2004, 1, 1)) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (vintage_dates([]), "at least one"),
        (vintage_dates(["2024-10-10"], count=10001), "all vintages at once"),
        (vintage_dates(["2024-10-10"], offset=1), "all vintages at once"),
        (vintage_dates(["2024-10-11", "2024-10-10"]), "ascending"),
        (vintage_dates(["2024-10-10", "2024-10-10"]), "ascending"),
        (vintage_dates(["10.10.2024"]), "a date"),
        (b'{"count": 1, "offset": 0, "dates": []}', "field vintage_dates"),
        (b'{"error_code": 400, "error_message": "The series does not exist in ALFRED"}', "ALFRED"),
    ],
)
def test_dates_of_vintages_are_read_strictly(content: bytes, says: str) -> None:
    """F24: an incomplete, unordered or other list is refused."""
    demand_refused(FRED, content, request("US10Y", None, UNTIL).asked, says)


def latest(rows: list[tuple[str, str]], **changed: object) -> bytes:
    today = "2024-10-11"
    dated = {"realtime_start": today, "realtime_end": today, **changed}
    return body([(today, today, date, value) for date, value in rows], **dated)


def test_a_series_without_vintages_is_known_when_its_day_is_over() -> None:
    """SP500 has no vintages: a close counts from the end of its day in New York; seen again or late from the window's end."""
    assert request("SP500", None, UNTIL).params.get("observation_start") is None
    asked_now = request("SP500", "2024-10-10 20:45", "2024-10-11 20:45")
    assert asked_now.params["observation_start"] == "2024-09-30"
    assert "realtime_start" not in asked_now.params
    content = latest(
        [("2024-10-08", "5751.13"), ("2024-10-09", "5792.04"), ("2024-10-10", "5780.05"), ("2024-10-11", "5815.03")]
    )
    found = FRED.parse(content, asked_now.asked)
    demand_contract(TABLES["raw_macro"], found, asked_now.asked)
    assert rows(found, "period", "value", "known_at") == [
        (dt.date(2024, 10, 8), 5751.13, utc("2024-10-11 20:45")),
        (dt.date(2024, 10, 9), 5792.04, utc("2024-10-11 20:45")),
        (dt.date(2024, 10, 10), 5780.05, utc("2024-10-11 04:00")),
    ]
    whole = FRED.parse(content, request("SP500", None, "2024-10-11 20:45").asked)
    assert whole["known_at"] == [utc("2024-10-09 04:00"), utc("2024-10-10 04:00"), utc("2024-10-11 04:00")]
    demand_refused(FRED, latest([], realtime_end="9999-12-31"), asked_now.asked, "realtime_end")
    demand_refused(FRED, latest([("2024-10-08", "1"), ("2024-10-08", "2")]), asked_now.asked, "one value of")


def test_requests_name_series_and_key_variable_but_no_key() -> None:
    """S2: the key is added by name when a request is sent."""
    found = request("VIX", "2024-10-10 02:00", UNTIL)  # still the 9th in New York
    assert found.url == "https://api.stlouisfed.org/fred/series/observations"
    assert found.params["series_id"] == "VIXCLS"
    assert (found.params["realtime_start"], found.params["realtime_end"]) == ("2024-10-08", "9999-12-31")
    assert found.secret_params == {"api_key": "FRED_API_KEY"}
    assert "api_key" not in found.params
    assert request("VIX", None, UNTIL, {"fred": "VXVCLS"}).params["series_id"] == "VXVCLS"
    assert FRED.requests([Subject("NO_SUCH_SERIES")], window(None, UNTIL)) == []
    assert set(SERIES) == {"SP500", "VIX", "WTI", "CORE_CPI", "AAA", "BAA", "US10Y", "US2Y"} | CASH_SERIES


def test_pages_follow_by_offset_and_a_changed_count_is_refused() -> None:
    """A long answer is read to its last row, and not across two states of the series."""
    first = request("CORE_CPI", "2024-10-10 12:00", "2024-11-13 13:29")
    page = Response(200, {}, body(VINTAGES[:4], count=6, limit=4))
    second = FRED.following(first, page)
    assert second is not None
    assert second.params["offset"] == "4"
    rest = body(VINTAGES[4:], count=6, limit=4, offset=4)
    assert FRED.following(second, Response(200, {}, rest)) is None
    assert len(FRED.parse(page.content, first.asked)["period"]) + len(FRED.parse(rest, second.asked)["period"]) == 3
    with pytest.raises(ProviderError, match="rows as on the first page"):
        FRED.parse(body(VINTAGES[4:], count=7, limit=4, offset=4), second.asked)
    with pytest.raises(ProviderError, match="fred: expected status 200, found 400"):
        FRED.following(first, replace(page, status=400))


CHANGES: list[tuple[str, Callable[[dict], object], str]] = [
    ("error body", lambda b: {"error_code": 400, "error_message": "Bad Request. The series does not exist."}, "exist"),
    ("another span", lambda b: {**b, "realtime_start": "2024-10-08"}, "realtime_start"),
    ("another end", lambda b: {**b, "realtime_end": "2024-12-31"}, "realtime_end"),
    ("other units", lambda b: {**b, "units": "pch"}, "units"),
    ("units gone", lambda b: {k: v for k, v in b.items() if k != "units"}, "units"),
    ("other output", lambda b: {**b, "output_type": 2}, "output_type"),
    ("output as flag", lambda b: {**b, "output_type": True}, "output_type"),
    ("rows missing", lambda b: {**b, "observations": b["observations"][:-1]}, "6 observations"),
    ("count as text", lambda b: {**b, "count": "6"}, "count"),
    ("count negative", lambda b: {**b, "count": -1}, "a page"),
    ("limit zero", lambda b: {**b, "limit": 0}, "a page"),
    ("offset of another page", lambda b: {**b, "offset": 4}, "a page"),
    ("observations renamed", lambda b: {**{k: v for k, v in b.items() if k != "observations"}, "obs": []}, "obs"),
    ("observations an object", lambda b: {**b, "observations": {}}, "an array"),
    ("value a number", lambda b: _row(b, value=1.0), r"observations\[3\].value"),
    ("value empty", lambda b: _row(b, value=""), r"observations\[3\].value"),
    ("value NaN as text", lambda b: _row(b, value="NaN"), r"observations\[3\].value"),
    ("value with a comma", lambda b: _row(b, value="1,234.5"), r"observations\[3\].value"),
    ("value in other digits", lambda b: _row(b, value="\u0661\u0662"), r"observations\[3\].value"),
    ("date with time", lambda b: _row(b, date="2024-09-01T00:00"), r"observations\[3\].date"),
    ("no such date", lambda b: _row(b, date="2024-09-31"), r"observations\[3\].date"),
    ("vintage before the span", lambda b: _row(b, realtime_start="2024-10-01"), "a vintage within"),
    ("vintage that ends first", lambda b: _row(b, realtime_end="2024-10-01"), "a vintage within"),
    ("the same vintage twice", lambda b: _row(b, realtime_start="2024-10-21", date="2024-07-01"), "one value of"),
]


def _row(found: dict, **changed: object) -> dict:
    observations = list(found["observations"])
    observations[3] = {**observations[3], **changed}
    return {**found, "observations": observations}


@pytest.mark.parametrize(("name", "change", "says"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_changed_schemas_are_refused_by_place(name: str, change: Callable[[dict], object], says: str) -> None:
    """F24: a field that is gone, renamed, of another type or about something else is an error that names it."""
    demand_refused(FRED, json.dumps(change(json.loads(body(VINTAGES)))).encode(), ASKED, says)


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="utf-8" ?><error code="400" message="Bad Request."/>',
        b"<html><body>Too many requests</body></html>",
        b"",
        b'{"count": 1, "count": 2}',
        b'{"count": NaN}',
        b"[" * 100_000,
        "\ufeff{}".encode(),
        b"\xff\xfe{}",
    ],
)
def test_what_is_no_strict_json_is_refused(content: bytes) -> None:
    """F24: pages, empty bodies, duplicate keys, NaN, deep nesting and other encodings are no answer."""
    demand_refused(FRED, content, ASKED, "expected")


@pytest.mark.shared_data
def test_recorded_vintages_of_gdp() -> None:
    """The recorded answer (3,199 vintages): first print, withdrawal and re-issue of 1946 Q1, first print of 1991 Q4."""
    first = request("CORE_CPI", None, UNTIL, {"fred": "GDP"})
    page = FRED.following(first, Response(200, {}, cassette("fred/test_get_series_vintagedates.yaml")))
    assert page is not None
    assert (page.params["realtime_start"], page.params["realtime_end"]) == ("1991-12-04", "9999-12-31")  # 393 vintages
    content = cassette("fred/test_get_series_all_releases[json].yaml")
    question = {**page.asked, "realtime_start": "1776-07-04"}  # what was asked when it was recorded
    found = FRED.parse(content, question)
    demand_contract(TABLES["raw_macro"], found, question)
    assert len(found["value"]) == 3199
    by_key = {(p, k): v for p, k, v in rows(found, "period", "known_at", "value")}
    start = dt.date(1946, 1, 1)
    assert by_key[(start, utc("1992-12-22 13:30"))] == 199.7
    assert math.isnan(by_key[(start, utc("1996-01-19 13:30"))])
    assert by_key[(start, utc("1997-05-07 13:30"))] == 210.4
    assert by_key[(dt.date(1991, 10, 1), utc("1992-01-29 13:30"))] == 5736.6
    part = FRED.parse(content, {**question, "since": "1997-05-07T13:29:00+00:00"})
    naive = [o for o in json.loads(content)["observations"] if o["realtime_start"] >= "1997-05-07"]
    assert len(part["value"]) == len(naive) < 3199


@pytest.mark.shared_data
def test_recorded_answer_without_vintages_is_refused() -> None:
    """An answer as of today stamps every value with today: it answers another question and proves no release."""
    demand_refused(FRED, cassette("fred/test_get_series[json].yaml"), ASKED, "realtime_start")


def test_mutated_bodies_are_refused_or_typed() -> None:
    """F24: no mutation raises anything else or gives untyped rows."""
    outcomes = campaign(FRED, body(VINTAGES), ASKED, seed=1, count=150)
    assert min(outcomes["refused"], outcomes["accepted"]) > 5


@pytest.mark.long
def test_ten_thousand_mutated_bodies() -> None:
    """F24, the whole campaign."""
    assert sum(campaign(FRED, body(VINTAGES), ASKED, seed=2, count=10_000).values()) == 10_000
