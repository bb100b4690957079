"""Reference rates of the European Central Bank, units of each currency per euro, from two of its services.

`EcbRates`: the statistical service (SDMX-JSON, https://data.ecb.europa.eu/help/api/data), all currencies in one request,
discontinued ones included. `EcbReferencePage`: the file behind the bank's page of reference rates (XML,
https://www.ecb.europa.eu/stats/eurofxref/), a second way to the same fixing. No key.

Known at: 15:00 UTC of the fixing date (published around 16:00 in Frankfurt) when that lies in the window; a fixing that was due
before the window began and is seen again or late: the window's end. Requests go back OVERLAP_DAYS before the window.
A date without a fixing (holiday, currency discontinued) is no row.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.vendor_json import Json, decimal_number, read_json, shown, words
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import day, demand_ok, read_xml, window_asked, window_of

SDMX_URL = "https://data-api.ecb.europa.eu/service/data/EXR/D..EUR.SP00.A"
PAGE_URL = "https://www.ecb.europa.eu/stats/eurofxref/"
RECENT_FILE, WHOLE_FILE, RECENT_DAYS = "eurofxref-hist-90d.xml", "eurofxref-hist.xml", 80
PUBLISHED = dt.time(15, 0, tzinfo=dt.UTC)
OVERLAP_DAYS = 10
SERIES_KEY = {"FREQ": "D", "CURRENCY_DENOM": "EUR", "EXR_TYPE": "SP00", "EXR_SUFFIX": "A"}
ACTIONS = ("Information", "Replace", "Append")
CUBE = "{http://www.ecb.int/vocabulary/2002-08-01/eurofxref}Cube"
_CURRENCY = re.compile(r"[A-Z]{3}")
Fixings = dict[tuple[str, dt.date], float]


class EcbRates:
    """All daily reference rates from the statistical service."""

    name, table, parser = "ecb", "raw_fx", "ecb-sdmx-json/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request for all currencies."""
        params = {"format": "jsondata", "detail": "dataonly", "endPeriod": window.until.date().isoformat()}
        if window.since is not None:
            params["startPeriod"] = _overlap(window.since).isoformat()
        return [(tuple(subjects), Request(SDMX_URL, params, asked=window_asked(window)))] if subjects else []

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Fixings that became known in the window."""
        root = read_json(self.name, content)
        structure = root.get("structure").get("dimensions")
        fixed, series = _values(structure, "dataSet"), _values(structure, "series")
        _demand_series({**fixed, **series}, structure)
        moments = _values(structure, "observation")
        if list(moments) != ["TIME_PERIOD"]:
            raise structure.wrong("TIME_PERIOD as the only dimension of observations")
        days = [node.day() for node in moments["TIME_PERIOD"]]
        fixings: Fixings = {}
        sets = root.get("dataSets").rows()
        if len(sets) != 1 or sets[0].get("action").value not in ACTIONS:
            raise root.get("dataSets").wrong(f"one data set with an action among {', '.join(ACTIONS)}")
        for key, node in sets[0].get("series").members():
            currency = _picked(node, key, series, fixed)
            for number, observation in node.get("observations").members():
                rate = _rate(observation)
                session = days[_index(observation, number, len(days))]
                if rate is not None:
                    _add(fixings, self.name, currency, session, rate)
        return _columns(fixings, window_of(asked))


class EcbReferencePage:
    """All current reference rates from the file that the bank's page offers."""

    name, table, parser = "eurofxref", "raw_fx", "ecb-eurofxref/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """The file of the last 90 days, or the whole history."""
        recent = window.since is not None and (window.until.date() - _overlap(window.since)).days <= RECENT_DAYS
        url = PAGE_URL + (RECENT_FILE if recent else WHOLE_FILE)
        return [(tuple(subjects), Request(url, asked=window_asked(window)))] if subjects else []

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Fixings that became known in the window."""
        root = read_xml(self.name, content)
        dated = [cube for cube in root.iter(CUBE) if "time" in cube.attrib]
        if not dated:
            raise ProviderError(f"{self.name}: expected dated Cube elements, found {words(content)}")
        fixings: Fixings = {}
        window = window_of(asked)
        oldest = dt.date.min if window.since is None else _overlap(window.since)
        for cube in dated:
            session = day(cube.attrib["time"])
            if session is None or not len(cube):
                raise ProviderError(f"{self.name}: expected rates of a date in Cube, found {shown(str(cube.attrib))}")
            for rate in cube if session >= oldest else ():
                value = decimal_number(rate.attrib.get("rate", ""))
                if rate.tag != CUBE or value is None:
                    place = f"Cube of {session}"
                    raise ProviderError(
                        f"{self.name}: expected currency and rate in {place}, found {shown(str(rate.attrib))}"
                    )
                _add(fixings, self.name, rate.attrib.get("currency", ""), session, value)
        return _columns(fixings, window)


def _overlap(since: dt.datetime) -> dt.date:
    return since.date() - dt.timedelta(days=OVERLAP_DAYS)


def _add(fixings: Fixings, provider: str, currency: str, session: dt.date, rate: float) -> None:
    place = f"the rate of {shown(currency)} on {session}"
    if not _CURRENCY.fullmatch(currency):
        raise ProviderError(f"{provider}: expected a currency of three letters, found {place}")
    if not rate > 0:
        raise ProviderError(f"{provider}: expected a rate above 0, found {rate} as {place}")
    if (currency, session) in fixings:
        raise ProviderError(f"{provider}: expected one fixing per currency and date, found a second one for {place}")
    fixings[(currency, session)] = rate


def _columns(fixings: Fixings, window: Window) -> Columns:
    rows = []
    for (currency, session), rate in sorted(fixings.items()):
        published = dt.datetime.combine(session, PUBLISHED)
        if published <= window.until:
            fresh = window.since is None or published > window.since
            rows.append((currency, session, rate, published if fresh else window.until))
    return {
        "currency": [row[0] for row in rows],
        "session": [row[1] for row in rows],
        "units_per_eur": [row[2] for row in rows],
        "known_at": [row[3] for row in rows],
        "synthetic": [False] * len(rows),
    }


def _values(structure: Json, level: str) -> dict[str, list[Json]]:
    """Dimension -> nodes of its value ids, in the order of the key."""
    if not structure.has(level):
        return {}
    found: dict[str, list[Json]] = {}
    for dimension in structure.get(level).rows():
        name = dimension.get("id").text(40)
        if name in found:
            raise dimension.wrong("a dimension that stands once")
        found[name] = [value.get("id") for value in dimension.get("values").rows()]
    return found


def _demand_series(found: Mapping[str, list[Json]], structure: Json) -> None:
    """The body must be about daily spot rates against the euro and nothing else."""
    if set(found) != {*SERIES_KEY, "CURRENCY"}:
        raise structure.wrong(f"the dimensions {', '.join([*SERIES_KEY, 'CURRENCY'])}")
    for name, expected in SERIES_KEY.items():
        if [node.value for node in found[name]] != [expected]:
            raise structure.wrong(f"{name} {expected} alone")


def _picked(node: Json, key: str, series: Mapping[str, list[Json]], fixed: Mapping[str, list[Json]]) -> str:
    """The currency of one series, from its key such as 0:3:0:0:0."""
    parts = key.split(":")
    if len(parts) != len(series):
        raise node.wrong(f"a key of {len(series)} parts")
    place = {
        name: values[_index(node, part, len(values))]
        for (name, values), part in zip(series.items(), parts, strict=True)
    }
    return (place.get("CURRENCY") or fixed["CURRENCY"][0]).text(10)


def _index(node: Json, text: str, count: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else count
    if number >= count:
        raise node.wrong(f"a number below {count} as its name")
    return number


def _rate(node: Json) -> float | None:
    """The value of an observation; None when it says that there is none."""
    parts = node.rows()
    if not parts:
        raise node.wrong("a value")
    return None if parts[0].value is None or parts[0].value == "NaN" else parts[0].number()


VENDORS = (EcbRates(), EcbReferencePage())
