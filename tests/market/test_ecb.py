"""ECB reference rates: two services, one rule of when a fixing was known, and nothing but daily spot rates per euro."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from vendor_suite import TABLES, campaign, demand_contract, demand_refused, rows, utc, window, wire

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.ecb import EcbRates, EcbReferencePage
from marketbot_resources.provider import Response, Subject

RATES, PAGE = EcbRates(), EcbReferencePage()
SUBJECTS = [Subject("fx")]


def asked(since: str | None, until: str, vendor: EcbRates | EcbReferencePage = RATES) -> dict[str, str]:
    [(_, request)] = vendor.requests(SUBJECTS, window(since, until))
    return dict(request.asked)


def sdmx(observations: dict[str, dict[str, list[object]]] | None = None) -> dict:
    """Today's shape: every dimension in the series key. RUB ended on 2022-03-01; TARGET was closed on 2024-03-29."""
    series = {
        "FREQ": ["D"],
        "CURRENCY": ["JPY", "RUB", "USD"],
        "CURRENCY_DENOM": ["EUR"],
        "EXR_TYPE": ["SP00"],
        "EXR_SUFFIX": ["A"],
    }
    found = observations or {
        "0:0:0:0:0": {"1": [163.24], "2": [163.45]},
        "0:1:0:0:0": {"0": [117.201]},
        "0:2:0:0:0": {"1": [1.0816], "2": [1.0811], "3": [None]},
    }
    days = ["2022-03-01", "2024-03-27", "2024-03-28", "2024-03-29"]
    return {
        "header": {"id": "x", "test": False, "sender": {"id": "ECB"}},
        "dataSets": [{"action": "Replace", "series": {key: {"observations": obs} for key, obs in found.items()}}],
        "structure": {
            "dimensions": {
                "series": [{"id": name, "values": [{"id": v} for v in values]} for name, values in series.items()],
                "observation": [{"id": "TIME_PERIOD", "values": [{"id": day} for day in days]}],
            }
        },
    }


XML = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<gesmes:subject>Reference rates</gesmes:subject>
<Cube>
<Cube time="2024-03-28">
<Cube currency="USD" rate="1.0811"/>
<Cube currency="JPY" rate="163.45"/>
</Cube>
<Cube time="2024-03-27">
<Cube currency="USD" rate="1.0816"/>
</Cube>
</Cube>
</gesmes:Envelope>
"""


def test_fixings_are_known_at_fifteen_hours_utc() -> None:
    """Law 3: a fixing counts from 15:00 UTC of its date; a missing one is no row; a discontinued currency keeps its history."""
    question = asked(None, "2024-03-28 15:00")
    found = RATES.parse(json.dumps(sdmx()).encode(), question)
    demand_contract(TABLES["raw_fx"], found, question)
    assert rows(found, "currency", "session", "units_per_eur", "known_at", "synthetic") == [
        ("JPY", dt.date(2024, 3, 27), 163.24, utc("2024-03-27 15:00"), False),
        ("JPY", dt.date(2024, 3, 28), 163.45, utc("2024-03-28 15:00"), False),
        ("RUB", dt.date(2022, 3, 1), 117.201, utc("2022-03-01 15:00"), False),
        ("USD", dt.date(2024, 3, 27), 1.0816, utc("2024-03-27 15:00"), False),
        ("USD", dt.date(2024, 3, 28), 1.0811, utc("2024-03-28 15:00"), False),
    ]


@pytest.mark.parametrize(("vendor", "content"), [(RATES, json.dumps(sdmx()).encode()), (PAGE, XML)])
def test_a_fixing_that_was_due_before_the_window_is_known_at_its_end(
    vendor: EcbRates | EcbReferencePage, content: bytes
) -> None:
    """Law 3: what is seen late or again was not known to us before; what is not out yet is not served."""
    found = vendor.parse(content, asked("2024-03-27 20:00", "2024-03-28 20:00", vendor))
    times = {(c, s): at for c, s, at in rows(found, "currency", "session", "known_at")}
    assert times[("USD", dt.date(2024, 3, 28))] == utc("2024-03-28 15:00")
    assert times[("USD", dt.date(2024, 3, 27))] == utc("2024-03-28 20:00")
    early = vendor.parse(content, asked("2024-03-27 20:00", "2024-03-28 14:59", vendor))
    assert dt.date(2024, 3, 28) not in early["session"]


def test_both_services_say_the_same() -> None:
    """The second way to a fixing gives the same rows as the first."""
    one = RATES.parse(json.dumps(sdmx()).encode(), asked("2024-03-27 20:00", "2024-03-28 20:00"))
    other = PAGE.parse(XML, asked("2024-03-27 20:00", "2024-03-28 20:00", PAGE))
    wanted = ("currency", "session", "units_per_eur", "known_at")
    assert set(rows(other, *wanted)) < set(rows(one, *wanted))
    assert len(other["session"]) == 3


def test_requests_overlap_the_window_before() -> None:
    """Fixings are asked for again for ten days, so that a late one is not lost."""
    [(served, request)] = RATES.requests(SUBJECTS, window("2024-03-27 20:00", "2024-03-28 20:00"))
    assert served == tuple(SUBJECTS)
    assert request.url == "https://data-api.ecb.europa.eu/service/data/EXR/D..EUR.SP00.A"
    assert request.params == {
        "format": "jsondata",
        "detail": "dataonly",
        "startPeriod": "2024-03-17",
        "endPeriod": "2024-03-28",
    }
    assert "startPeriod" not in RATES.requests(SUBJECTS, window(None, "2024-03-28 20:00"))[0][1].params
    files = [
        PAGE.requests(SUBJECTS, window(since, "2024-03-28 20:00"))[0][1].url.rpartition("/")[2]
        for since in ("2024-03-27 20:00", "2023-12-01 20:00", None)
    ]
    assert files == ["eurofxref-hist-90d.xml", "eurofxref-hist.xml", "eurofxref-hist.xml"]
    assert RATES.requests([], window(None, "2024-03-28 20:00")) == []
    with pytest.raises(ProviderError, match="503"):
        RATES.following(request, Response(503, {}, b"<html>down</html>"))


def changed(**parts: object) -> Callable[[dict], dict]:
    return lambda found: {**found, **parts}


def dimensions(change: Callable[[list], object], level: str = "series") -> Callable[[dict], dict]:
    def apply(found: dict) -> dict:
        held = found["structure"]["dimensions"]
        return {**found, "structure": {"dimensions": {**held, level: change(held[level])}}}

    return apply


def observed(key: str, observations: object, action: str = "Replace") -> Callable[[dict], dict]:
    return lambda found: {**found, "dataSets": [{"action": action, "series": {key: {"observations": observations}}}]}


CHANGES: list[tuple[str, Callable[[dict], dict], str]] = [
    ("monthly", dimensions(lambda d: [{**d[0], "values": [{"id": "M"}]}, *d[1:]]), "FREQ D alone"),
    ("daily and monthly", dimensions(lambda d: [{**d[0], "values": [{"id": "D"}, {"id": "M"}]}, *d[1:]]), "FREQ D"),
    (
        "against the dollar",
        dimensions(lambda d: [*d[:2], {**d[2], "values": [{"id": "USD"}]}, *d[3:]]),
        "CURRENCY_DENOM",
    ),
    ("end of month", dimensions(lambda d: [*d[:4], {**d[4], "values": [{"id": "E"}]}]), "EXR_SUFFIX"),
    ("a dimension gone", dimensions(lambda d: d[:4]), "the dimensions"),
    ("a dimension more", dimensions(lambda d: [*d, {"id": "AREA", "values": [{"id": "U2"}]}]), "the dimensions"),
    ("a dimension twice", dimensions(lambda d: [*d, d[0]]), "stands once"),
    ("values renamed", dimensions(lambda d: [{"id": "FREQ", "codes": []}, *d[1:]]), "field values"),
    ("no time", dimensions(lambda d: [{**d[0], "id": "TIME"}], "observation"), "TIME_PERIOD"),
    ("a month as time", dimensions(lambda d: [{**d[0], "values": [{"id": "2024-03"}]}], "observation"), "a date"),
    ("structure gone", lambda b: {"dataSets": b["dataSets"]}, "field structure"),
    ("data gone", lambda b: {"structure": b["structure"]}, "field dataSets"),
    ("two data sets", lambda b: {**b, "dataSets": b["dataSets"] * 2}, "one data set"),
    ("deletion", observed("0:2:0:0:0", {"1": [1.1]}, "Delete"), "one data set"),
    ("short key", observed("0:2:0", {"1": [1.1]}), "a key of 5 parts"),
    ("currency out of range", observed("0:9:0:0:0", {"1": [1.1]}), "below 3"),
    ("day out of range", observed("0:2:0:0:0", {"9": [1.1]}), "below 4"),
    ("negative day", observed("0:2:0:0:0", {"-1": [1.1]}), "below 4"),
    ("rate as text", observed("0:2:0:0:0", {"1": ["1.1"]}), "a number"),
    ("rate zero", observed("0:2:0:0:0", {"1": [0]}), "above 0"),
    ("rate negative", observed("0:2:0:0:0", {"1": [-1.1]}), "above 0"),
    ("rate beyond all numbers", observed("0:2:0:0:0", {"1": [10**400]}), "strict JSON"),
    ("no rate", observed("0:2:0:0:0", {"1": []}), "a value"),
    ("observations a list", observed("0:2:0:0:0", [[1.1]]), "an object"),
]


@pytest.mark.parametrize(("name", "change", "says"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_changed_schemas_are_refused_by_place(name: str, change: Callable[[dict], dict], says: str) -> None:
    """F24: other frequency, denominator or variation, fields gone or renamed, rates that are none."""
    demand_refused(RATES, json.dumps(change(sdmx())).encode(), asked(None, "2024-03-28 15:00"), says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'rate="1.0811"', b'rate="N/A"', "currency and rate"),
        (b'rate="1.0811"', b'rate="-1"', "above 0"),
        (b'rate="1.0811"', b'value="1.0811"', "currency and rate"),
        (b'currency="USD"', b'currency="US dollar"', "three letters"),
        (b'currency="JPY"', b'currency="USD"', "a second one"),
        (b"2024-03-27", b"27.03.2024", "rates of a date"),
        (b"2024-03-27", b"2024-03-28", "a second one"),
        (b"time=", b"date=", "dated Cube"),
        (b"/2002-08-01/eurofxref", b"/2030/eurofxref", "dated Cube"),
        (b"<Cube>\n<Cube time", b"<Cube>\n<Cube/><Cube time", ""),
        (b"</gesmes:Envelope>", b"", "expected XML"),
        (b"<gesmes:Envelope", b"<!DOCTYPE x [<!ENTITY a 'b'>]><gesmes:Envelope", "DOCTYPE"),
        (XML, b"<html><body>Service Unavailable", "expected XML"),
    ],
)
def test_changed_files_are_refused_by_place(old: bytes, new: bytes, says: str) -> None:
    """F24 and S8: the page's file in another form; an empty element is harmless."""
    question = asked(None, "2024-03-28 15:00", PAGE)
    assert old in XML
    if says:
        demand_refused(PAGE, XML.replace(old, new), question, says)
    else:
        assert PAGE.parse(XML.replace(old, new), question) == PAGE.parse(XML, question)


@pytest.mark.shared_data
def test_recorded_time_series() -> None:
    """The recorded SDMX-JSON message of 2013: NZD 1.5931 and 1.5925, RUB 40.3426 and 40.3."""
    question = asked(None, "2013-02-01 00:00")
    found = RATES.parse(wire("ecb-sdmx/ECB_EXR/ts.json").read_bytes(), question)
    demand_contract(TABLES["raw_fx"], found, question)
    assert rows(found, "currency", "session", "units_per_eur", "known_at") == [
        ("NZD", dt.date(2013, 1, 18), 1.5931, utc("2013-01-18 15:00")),
        ("NZD", dt.date(2013, 1, 21), 1.5925, utc("2013-01-21 15:00")),
        ("RUB", dt.date(2013, 1, 18), 40.3426, utc("2013-01-18 15:00")),
        ("RUB", dt.date(2013, 1, 21), 40.3, utc("2013-01-21 15:00")),
    ]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["flat.json", "xs.json", "action-delete.json", "ng-ts.xml", "1/M.USD.EUR.SP00.A.xml"])
def test_recorded_messages_of_another_form_are_refused(name: str) -> None:
    """Other layouts, deletions and monthly averages are no daily fixings."""
    content = wire(f"ecb-sdmx/ECB_EXR/{name}").read_bytes()
    demand_refused(RATES, content, asked(None, "2024-03-28 15:00"), "expected")
    demand_refused(PAGE, content, asked(None, "2024-03-28 15:00", PAGE), "expected")


BODIES = [(RATES, json.dumps(sdmx()).encode()), (PAGE, XML)]


@pytest.mark.parametrize(("vendor", "content"), BODIES, ids=["ecb", "eurofxref"])
def test_mutated_bodies_are_refused_or_typed(vendor: EcbRates | EcbReferencePage, content: bytes) -> None:
    """F24: no mutation raises anything else or gives untyped rows."""
    outcomes = campaign(vendor, content, asked("2024-03-26 20:00", "2024-03-28 20:00", vendor), seed=3, count=150)
    assert min(outcomes["refused"], outcomes["accepted"]) > 5


@pytest.mark.long
@pytest.mark.parametrize(("vendor", "content"), BODIES, ids=["ecb", "eurofxref"])
def test_ten_thousand_mutated_bodies(vendor: EcbRates | EcbReferencePage, content: bytes) -> None:
    """F24, the whole campaign."""
    question = asked("2024-03-26 20:00", "2024-03-28 20:00", vendor)
    assert sum(campaign(vendor, content, question, seed=4, count=10_000).values()) == 10_000
