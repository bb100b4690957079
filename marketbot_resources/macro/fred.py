"""Macro series of FRED with their vintages (ALFRED): every value as first or later published, each revision a row of its own.

Source: https://fred.stlouisfed.org/docs/api/fred/ (`series/observations`, `series/vintagedates`; key: environment variable
FRED_API_KEY).

Known at: `realtime_start`, the date on which FRED began to show the value, at the series' hour in SERIES; where no hour is known,
at the end of that day in New York. FRED cuts `realtime_start` to the start of what was asked, so a row that begins on that very
day may be older: requests start a day before the first day wanted, and rows of their own first day are left out.

A request may span 2,000 vintages at most and none that lies before the first one, so a long window first asks for the dates of the
vintages and then for spans of VINTAGES_PER_SPAN; a day's window asks at once. A value that FRED withdrew (".") is a row without a
value. A series that FRED keeps without vintages (SP500; ten years of it, never revised) is known at the end of the day that it
describes; what is seen again or late is known at the window's end.
"""

import datetime as dt
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marketbot_resources import calendars
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, in_window, window_asked, window_of

URL = "https://api.stlouisfed.org/fred/series/observations"
VINTAGES_URL = "https://api.stlouisfed.org/fred/series/vintagedates"
KEY_VARIABLE = "FRED_API_KEY"
NEW_YORK = "America/New_York"
LAST_DAY = "9999-12-31"
VINTAGES_PER_SPAN, LONG_WINDOW_DAYS = 1500, 1500
PAGE_ROWS, VINTAGES_MAX = 100_000, 10_000
OVERLAP_DAYS = 10
MISSING = "."
VINTAGES, SPAN, LATEST = "vintage dates", "vintages", "latest values"


@dataclass(frozen=True, slots=True)
class FredSeries:
    """What FRED calls a series, the unit in which it states it, the hour (UTC) of a release (None when it varies), and whether
    FRED keeps vintages of it.
    """

    series_id: str
    unit: str
    released: dt.time | None = None
    vintages: bool = True


SERIES: Mapping[str, FredSeries] = {
    "SP500": FredSeries("SP500", "points", vintages=False),
    "VIX": FredSeries("VIXCLS", "percent per year"),
    "WTI": FredSeries("DCOILWTICO", "USD per barrel"),
    "CORE_CPI": FredSeries("CPILFESL", "index 1982-84 = 100", dt.time(13, 30)),  # 08:30 New York, in winter and summer
    "AAA": FredSeries("AAA", "percent per year"),
    "BAA": FredSeries("BAA", "percent per year"),
    "US10Y": FredSeries("DGS10", "percent per year"),
    "US2Y": FredSeries("DGS2", "percent per year"),
    "US1M": FredSeries("DGS1MO", "percent per year"),  # this and what follows: rates of cash (`cash_rates`)
    "ESTR": FredSeries("ECBESTRVOLWGTTRMDMNRT", "percent per year"),
    "SONIA": FredSeries("IUDSOIA", "percent per year"),
    "JPY_CALL": FredSeries("IRSTCI01JPM156N", "percent per year"),
}


def known_at(series: str, begins: dt.date) -> dt.datetime:
    """When a value that FRED shows from that date on became known, UTC."""
    hour = SERIES[series].released
    if hour is not None:
        return dt.datetime.combine(begins, hour, tzinfo=dt.UTC)
    return calendars.wall_clock_at(begins + dt.timedelta(days=1), dt.time(), NEW_YORK)


class Fred:
    """Observations of the series in SERIES. `Subject.more["fred"]` names the FRED series when it is not the one of the table."""

    name, table, parser = "fred", "raw_macro", "fred/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per series; a series that is not in the table is left out."""
        known = [subject for subject in subjects if subject.source_id in SERIES]
        return [((subject,), _first(subject, window)) for subject in known]

    def following(self, request: Request, response: Response) -> Request | None:
        """The next page, or the next span of vintages."""
        demand_ok(self.name, response)
        root, asked = read_json(self.name, response.content), request.asked
        left = json.loads(asked["spans"])
        if asked["kind"] == VINTAGES:
            left = spans(_vintages(root, asked), calendars.local_date(window_of(asked).until, NEW_YORK))
        else:
            page = _page(root, asked)
            if page.offset + page.limit < page.count:
                moved = {"offset": str(page.offset + page.limit), "count": str(page.count)}
                params = {**request.params, "offset": moved["offset"]}
                return replace(request, params=params, asked={**asked, **moved})
        return _span(asked, left[0], left[1:], whole=asked["kind"] == VINTAGES) if left else None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Vintages that became known in the window; no rows from a list of vintage dates."""
        root = read_json(self.name, content)
        found: dict[tuple[dt.date, dt.datetime], float] = {}
        if asked["kind"] == VINTAGES:
            _vintages(root, asked)
        else:
            found = _rows(root, asked)
        keys, series = sorted(found), asked["source_id"]
        return {
            "series": [series] * len(keys),
            "period": [period for period, _ in keys],
            "value": [found[key] for key in keys],
            "unit": [SERIES[series].unit] * len(keys),
            "known_at": [at for _, at in keys],
            "synthetic": [False] * len(keys),
        }


def spans(vintages: Sequence[dt.date], last: dt.date) -> list[tuple[str, str]]:
    """(first, last) day of each request for the vintages up to a day; a span shares its first day with the span before."""
    known = [day.isoformat() for day in vintages if day <= last]
    ends = [known[n - 1] for n in range(VINTAGES_PER_SPAN, len(known), VINTAGES_PER_SPAN)]
    final = known[-1:] if len(known) < len(vintages) else [LAST_DAY]
    return list(zip([known[0], *ends], [*ends, *final], strict=True)) if known else []


def _first(subject: Subject, window: Window) -> Request:
    own = SERIES[subject.source_id]
    series_id = subject.more.get("fred", own.series_id)
    asked = {
        "source_id": subject.source_id,
        "series_id": series_id,
        "spans": "[]",
        "offset": "0",
        **window_asked(window),
    }
    if not own.vintages:
        begins = {} if window.since is None else {"observation_start": _days_before(window.since, OVERLAP_DAYS)}
        return _request(URL, {**_paged(series_id), **begins}, {**asked, "kind": LATEST})
    if window.since is None or (window.until - window.since).days > LONG_WINDOW_DAYS:
        params = {"series_id": series_id, "file_type": "json", "limit": str(VINTAGES_MAX)}
        return _request(VINTAGES_URL, params, {**asked, "kind": VINTAGES})
    return _span(asked, (_days_before(window.since, 1), LAST_DAY), [], whole=False)


def _days_before(at: dt.datetime, days: int) -> str:
    return (calendars.local_date(at, NEW_YORK) - dt.timedelta(days=days)).isoformat()


def _paged(series_id: str) -> dict[str, str]:
    return {"series_id": series_id, "file_type": "json", "limit": str(PAGE_ROWS), "offset": "0"}


def _span(asked: Mapping[str, str], span: Sequence[str], left: Sequence[Sequence[str]], *, whole: bool) -> Request:
    """Observations of a span of vintages; `whole`: rows of its first day count, because nothing was before."""
    bounds = {"realtime_start": span[0], "realtime_end": span[1]}
    kept = {name: value for name, value in asked.items() if name != "count"}
    told = {"kind": SPAN, "spans": json.dumps(list(left)), "offset": "0", "whole": "1" if whole else "0"}
    return _request(URL, {**_paged(asked["series_id"]), **bounds}, {**kept, **told, **bounds})


def _request(url: str, params: Mapping[str, str], asked: Mapping[str, str]) -> Request:
    return Request(url, params, asked=asked, secret_params={"api_key": KEY_VARIABLE})


def _said(root: Json, asked: Mapping[str, str]) -> None:
    if root.has("error_message"):
        raise root.get("error_message").wrong(f"{asked['kind']} of {asked['series_id']} instead of this message")


def _vintages(root: Json, asked: Mapping[str, str]) -> list[dt.date]:
    """Ascending dates of all vintages."""
    _said(root, asked)
    days = [node.day() for node in root.get("vintage_dates").rows()]
    if root.get("offset").whole() != 0 or root.get("count").whole() != len(days) or not days:
        raise root.get("count").wrong(f"all vintages at once, at least one and at most {VINTAGES_MAX}")
    if any(after <= before for before, after in itertools.pairwise(days)):
        raise ProviderError(f"fred: body.vintage_dates: expected ascending dates of {asked['series_id']}, found others")
    return days


def _rows(root: Json, asked: Mapping[str, str]) -> dict[tuple[dt.date, dt.datetime], float]:
    """(period, known at) -> value of one page."""
    page, window, found = _page(root, asked), window_of(asked), {}
    observations = root.get("observations").rows()
    expected = min(page.limit, page.count - page.offset)
    if len(observations) != expected:
        raise root.get("observations").wrong(f"{expected} observations as announced")
    seen = set()
    for node in observations:
        begins, period, value = _observation(node, asked)
        if asked["kind"] == SPAN and begins == asked["realtime_start"] and asked["whole"] == "0":
            continue
        at = known_at(asked["source_id"], period if asked["kind"] == LATEST else dt.date.fromisoformat(begins))
        if (period, at) in seen:
            raise node.wrong(f"one value of {period} known at {at}")
        seen.add((period, at))
        if asked["kind"] == LATEST and window.since is not None and at <= window.since:
            at = window.until
        if in_window(at, window):
            found[(period, at)] = value
    return found


@dataclass(frozen=True, slots=True)
class _Page:
    count: int
    offset: int
    limit: int


def _page(root: Json, asked: Mapping[str, str]) -> _Page:
    """Checks that the body answers the question: the same span, page, unit transformation and order of rows."""
    _said(root, asked)
    for name in ("realtime_start", "realtime_end") if asked["kind"] == SPAN else ():
        root.get(name).demand(asked[name])
    if asked["kind"] == LATEST and root.get("realtime_start").day() != root.get("realtime_end").day():
        raise root.get("realtime_end").wrong("one day: the latest values")
    root.get("units").demand("lin")
    root.get("output_type").demand(1)
    page = _Page(*(root.get(name).whole() for name in ("count", "offset", "limit")))
    if page.limit <= 0 or page.count < 0 or page.offset != int(asked["offset"]):
        raise root.wrong(f"a page from row {asked['offset']} on with a limit above 0")
    if page.offset > page.count or str(page.count) != asked.get("count", str(page.count)):
        raise root.get("count").wrong(f"{asked.get('count', 'at least the offset')} rows as on the first page")
    return page


def _observation(node: Json, asked: Mapping[str, str]) -> tuple[str, dt.date, float]:
    begins, ends = node.get("realtime_start").day().isoformat(), node.get("realtime_end").text(10)
    if asked["kind"] == SPAN and not asked["realtime_start"] <= begins <= ends <= asked["realtime_end"]:
        raise node.wrong(f"a vintage within {asked['realtime_start']} and {asked['realtime_end']}")
    value = node.get("value")
    if not isinstance(value.value, str):
        raise value.wrong("a number as text")
    return begins, node.get("date").day(), math.nan if value.value == MISSING else value.number(texts=True)


VENDORS = (Fred(),)
