"""Macro series of FRED with their vintages (ALFRED): every value as first or later published, each revision a row of its own.

Source: https://fred.stlouisfed.org/docs/api/fred/series_observations.html (key: environment variable FRED_API_KEY).

Known at: `realtime_start`, the date on which FRED began to show the value, at the series' hour in SERIES; where no hour is known,
at the end of that day in New York. FRED cuts `realtime_start` to the start of what was asked, so a row that begins on that very
day may be older: every request starts a day before the first day wanted, and rows of its own first day are left out.

A request may span 2,000 vintages at most and a daily series has about 250 a year, so the bootstrap asks in spans of five years.
A value that FRED withdrew (".") is a row without a value.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marketbot_resources import calendars
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, in_window, window_asked, window_of

URL = "https://api.stlouisfed.org/fred/series/observations"
KEY_VARIABLE = "FRED_API_KEY"
NEW_YORK = "America/New_York"
FIRST_DAY, LAST_DAY = "1776-07-04", "9999-12-31"
FIRST_SPAN_ENDS, SPAN_YEARS = 1999, 5
PAGE_ROWS = 100_000
MISSING = "."


@dataclass(frozen=True, slots=True)
class FredSeries:
    """What FRED calls a series, the unit in which it states it, and the hour (UTC) of a release; None when it varies."""

    series_id: str
    unit: str
    released: dt.time | None = None


SERIES: Mapping[str, FredSeries] = {
    "SP500": FredSeries("SP500", "points"),
    "VIX": FredSeries("VIXCLS", "percent per year"),
    "WTI": FredSeries("DCOILWTICO", "USD per barrel"),
    "CORE_CPI": FredSeries("CPILFESL", "index 1982-84 = 100", dt.time(13, 30)),  # 08:30 New York, in winter and summer
    "AAA": FredSeries("AAA", "percent per year"),
    "BAA": FredSeries("BAA", "percent per year"),
    "US10Y": FredSeries("DGS10", "percent per year"),
    "US2Y": FredSeries("DGS2", "percent per year"),
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
        """One request per series and span of vintages; a series of another unit than the table's is left out."""
        out = []
        for subject in subjects:
            own = SERIES.get(subject.source_id)
            if own is not None:
                series_id = subject.more.get("fred", own.series_id)
                out += [((subject,), _request(subject.source_id, series_id, window, span)) for span in spans(window)]
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """The page after this one, by offset."""
        demand_ok(self.name, response)
        page = _page(read_json(self.name, response.content), request.asked)
        if page.offset + page.limit >= page.count:
            return None
        moved = {"offset": str(page.offset + page.limit), "count": str(page.count)}
        params = {**request.params, "offset": moved["offset"]}
        return replace(request, params=params, asked={**request.asked, **moved})

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Vintages that became known in the window."""
        root = read_json(self.name, content)
        page, window = _page(root, asked), window_of(asked)
        observations = root.get("observations").rows()
        expected = min(page.limit, page.count - page.offset)
        if len(observations) != expected:
            raise root.get("observations").wrong(f"{expected} observations as announced")
        series, first = asked["source_id"], asked["realtime_start"]
        seen: dict[tuple[dt.date, dt.datetime], float] = {}
        for node in observations:
            begins, period, value = _observation(node, asked)
            if begins == first and first != FIRST_DAY:
                continue
            at = known_at(series, dt.date.fromisoformat(begins))
            if (period, at) in seen:
                raise node.wrong(f"one value of {period} known at {at}")
            if in_window(at, window):
                seen[(period, at)] = value
        keys = sorted(seen)
        return {
            "series": [series] * len(keys),
            "period": [period for period, _ in keys],
            "value": [seen[key] for key in keys],
            "unit": [SERIES[series].unit] * len(keys),
            "known_at": [at for _, at in keys],
            "synthetic": [False] * len(keys),
        }


def spans(window: Window) -> list[tuple[str, str]]:
    """(first, last) day of vintages per request; a span shares its first day with the last of the span before."""
    last_year = window.until.year
    if window.since is not None:
        start = calendars.local_date(window.since, NEW_YORK) - dt.timedelta(days=1)
        first_end = start.year + SPAN_YEARS
        starts = [start.isoformat()]
    else:
        first_end = FIRST_SPAN_ENDS
        starts = [FIRST_DAY]
    ends = [dt.date(year, 12, 31).isoformat() for year in range(first_end, last_year, SPAN_YEARS)]
    return list(zip([*starts, *ends], [*ends, LAST_DAY], strict=True))


def _request(series: str, series_id: str, window: Window, span: tuple[str, str]) -> Request:
    params = {
        "series_id": series_id,
        "file_type": "json",
        "realtime_start": span[0],
        "realtime_end": span[1],
        "limit": str(PAGE_ROWS),
        "offset": "0",
    }
    asked = {
        "source_id": series,
        "series_id": series_id,
        "realtime_start": span[0],
        "realtime_end": span[1],
        "offset": "0",
        **window_asked(window),
    }
    return Request(URL, params, asked=asked, secret_params={"api_key": KEY_VARIABLE})


@dataclass(frozen=True, slots=True)
class _Page:
    count: int
    offset: int
    limit: int


def _page(root: Json, asked: Mapping[str, str]) -> _Page:
    """Checks that the body answers the question: the same span, page, unit transformation and order of rows."""
    if root.has("error_message"):
        raise root.get("error_message").wrong(f"observations of {asked['series_id']} instead of this message")
    for name in ("realtime_start", "realtime_end"):
        root.get(name).demand(asked[name])
    root.get("units").demand("lin")
    root.get("output_type").demand(1)
    page = _Page(*(root.get(name).whole() for name in ("count", "offset", "limit")))
    if page.limit <= 0 or page.count < 0 or page.offset != int(asked["offset"]):
        raise root.wrong(f"a page from row {asked['offset']} on with a limit above 0")
    if page.offset > page.count or str(page.count) != asked.get("count", str(page.count)):
        raise root.get("count").wrong(f"{asked.get('count', 'at least the offset')} rows as on the first page")
    return page


def _observation(node: Json, asked: Mapping[str, str]) -> tuple[str, dt.date, float]:
    begins, ends = node.get("realtime_start"), node.get("realtime_end")
    first = begins.day().isoformat()
    if not asked["realtime_start"] <= first <= ends.text(10) <= asked["realtime_end"]:
        raise node.wrong(f"a vintage within {asked['realtime_start']} and {asked['realtime_end']}")
    value = node.get("value")
    if not isinstance(value.value, str):
        raise value.wrong("a number as text")
    return first, node.get("date").day(), math.nan if value.value == MISSING else value.number(texts=True)


VENDORS = (Fred(),)
