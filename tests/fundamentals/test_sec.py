"""SEC company facts: figures as each filing left them, trailing years from what was filed by then, one currency at a time."""

import datetime as dt
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor_suite import TABLES, campaign, cassette, demand_contract, demand_refused, rows, utc, window, wire

from marketbot_resources.errors import ProviderError
from marketbot_resources.fundamentals.sec import SecCompanyFacts, known_at
from marketbot_resources.fundamentals.trailing import trailing_year
from marketbot_resources.provider import Response, Subject

SEC = SecCompanyFacts()
ISSUER = Subject("listing:XNAS:TEST", more={"cik": "0000000042"})
Stated = tuple[str, str, str | None, str, float, str, str, str]


def asked(since: str | None, until: str, subject: Subject = ISSUER) -> dict[str, str]:
    [(_, request)] = SEC.requests([subject], window(since, until))
    return dict(request.asked)


def facts(*stated: Stated) -> dict:
    """A body from (tag, unit, start, end, value, accession, form, filed)."""
    found: dict = {"cik": 42, "entityName": "Test", "facts": {"dei": {}, "us-gaap": {}, "ifrs-full": {}}}
    for name, unit, start, end, value, accession, form, filed in stated:
        taxonomy, tag = name.split(":")
        units = found["facts"][taxonomy].setdefault(tag, {"label": tag, "description": tag, "units": {}})["units"]
        row = {"end": end, "val": value, "accn": accession, "fy": 2099, "fp": "Q9", "form": form, "filed": filed}
        units.setdefault(unit, []).append(row if start is None else {"start": start, **row})
    return found


def parsed(*stated: Stated, since: str | None = None, until: str = "2030-01-01 00:00") -> list[tuple]:
    question = asked(since, until)
    found = SEC.parse(json.dumps(facts(*stated)).encode(), question)
    demand_contract(TABLES["raw_fundamentals"], found, question)
    return rows(found, "field", "period_end", "value", "currency", "form", "known_at")


NET = "us-gaap:NetIncomeLoss"
EQUITY = "us-gaap:StockholdersEquity"


def test_a_fact_is_known_when_it_was_filed_not_when_its_period_ended() -> None:
    """Law 3: a balance of December filed on February 1st is known at 22:00 New York of that day, in any season."""
    found = parsed((EQUITY, "USD", None, "2023-12-31", 100, "a-1", "10-K", "2024-02-01"))
    assert found == [("EQUITY", dt.date(2023, 12, 31), 100.0, "USD", "10-K", utc("2024-02-02 03:00"))]
    assert known_at(dt.date(2024, 7, 1)) == utc("2024-07-02 02:00")
    assert parsed((EQUITY, "USD", None, "2023-12-31", 100, "a-1", "10-K", "2024-02-01"), until="2024-02-02 02:59") == []


def test_restatements_are_rows_and_repetitions_are_none() -> None:
    """A later filing repeats the balance of December twice; the second time it is another one, and only that is news."""
    stated = [
        (EQUITY, "USD", None, "2023-12-31", 100, "a-1", "10-K", "2024-02-01"),
        (EQUITY, "USD", None, "2023-12-31", 100, "a-2", "10-Q", "2024-05-01"),
        (EQUITY, "USD", None, "2023-12-31", 90, "a-3", "10-K/A", "2024-06-03"),
    ]
    assert [(value, form) for _, _, value, _, form, _ in parsed(*stated)] == [(100.0, "10-K"), (90.0, "10-K/A")]
    assert parsed(*stated, since="2024-06-04 01:59") == [
        ("EQUITY", dt.date(2023, 12, 31), 90.0, "USD", "10-K/A", utc("2024-06-04 02:00"))
    ]
    assert parsed(*stated, since="2024-06-04 02:00") == []


def test_trailing_years_by_year_to_date_with_weeks_of_52_and_53() -> None:
    """Year to date plus the year before less its year to date: 30 + 100 - 20 = 110; the year of 53 weeks counts as a year."""
    stated = [
        (NET, "USD", "2022-09-25", "2022-12-31", 20, "a-1", "10-Q", "2023-02-02"),
        (NET, "USD", "2022-09-25", "2023-09-30", 100, "a-2", "10-K", "2023-11-02"),
        (NET, "USD", "2023-10-01", "2023-12-30", 30, "a-3", "10-Q", "2024-02-01"),
    ]
    assert [(end, value) for _, end, value, *_ in parsed(*stated)] == [
        (dt.date(2023, 9, 30), 100.0),
        (dt.date(2023, 12, 30), 110.0),
    ]


def test_trailing_years_by_four_quarters_and_not_by_three() -> None:
    """Without a stated year four adjacent quarters make one; a gap leaves it unknown."""
    quarters = [("2023-01-01", "2023-03-31"), ("2023-04-01", "2023-06-30"), ("2023-07-01", "2023-09-30")]
    last = ("2023-10-01", "2023-12-31")
    stated = [
        (NET, "USD", s, e, 5, f"a-{n}", "10-Q", f"2024-0{n + 1}-01") for n, (s, e) in enumerate([*quarters, last])
    ]
    assert [(end, value) for _, end, value, *_ in parsed(*stated)] == [(dt.date(2023, 12, 31), 20.0)]
    assert parsed(*stated[:1], *stated[2:]) == []


def test_a_trailing_year_uses_only_what_was_filed_by_then() -> None:
    """The year before is restated from 100 to 80 in May: the figure of March becomes 90 then, and was 110 until then."""
    stated = [
        (NET, "USD", "2022-01-01", "2022-03-31", 20, "a-1", "10-Q", "2022-05-02"),
        (NET, "USD", "2022-01-01", "2022-12-31", 100, "a-2", "10-K", "2023-02-01"),
        (NET, "USD", "2023-01-01", "2023-03-31", 30, "a-3", "10-Q", "2023-05-01"),
        (NET, "USD", "2022-01-01", "2022-12-31", 80, "a-4", "10-K/A", "2023-05-15"),
    ]
    march = [(value, at) for _, end, value, _, _, at in parsed(*stated) if end == dt.date(2023, 3, 31)]
    assert march == [(110.0, utc("2023-05-02 02:00")), (90.0, utc("2023-05-16 02:00"))]


def test_currencies_are_never_mixed() -> None:
    """A foreign filer states three years in CNY and the last one in USD for convenience: only CNY counts; nothing adds up both."""
    year = ("2023-01-01", "2023-12-31")
    stated = [
        ("us-gaap:NetIncomeLoss", "CNY", "2022-01-01", "2022-12-31", 700, "a-1", "20-F", "2024-04-20"),
        ("us-gaap:NetIncomeLoss", "CNY", *year, 800, "a-1", "20-F", "2024-04-20"),
        ("us-gaap:NetIncomeLoss", "USD", *year, 110, "a-1", "20-F", "2024-04-20"),
        (EQUITY, "CNY", None, "2023-12-31", 5000, "a-1", "20-F", "2024-04-20"),
        (EQUITY, "USD", None, "2023-12-31", 690, "a-1", "20-F", "2024-04-20"),
    ]
    assert {(name, value, currency) for name, _, value, currency, *_ in parsed(*stated)} == {
        ("NET_INCOME", 700.0, "CNY"),
        ("NET_INCOME", 800.0, "CNY"),
        ("EQUITY", 5000.0, "CNY"),
    }
    mixed = [
        (NET, "EUR", "2022-01-01", "2022-03-31", 20, "a-1", "6-K", "2022-05-02"),
        (NET, "EUR", "2022-01-01", "2022-12-31", 100, "a-2", "20-F", "2023-02-01"),
        (NET, "USD", "2023-01-01", "2023-03-31", 30, "a-3", "6-K", "2023-05-01"),
    ]
    assert [(value, currency) for _, _, value, currency, *_ in parsed(*mixed)] == [(100.0, "EUR")]


def test_parts_of_a_figure_come_from_one_filing_and_the_better_recipe_stays() -> None:
    """Debt: long-term plus current plus commercial paper of one filing; a later comparison that names less replaces nothing."""
    stated = [
        ("us-gaap:LongTermDebtNoncurrent", "USD", None, "2023-12-31", 70, "a-1", "10-K", "2024-02-01"),
        ("us-gaap:LongTermDebtCurrent", "USD", None, "2023-12-31", 20, "a-1", "10-K", "2024-02-01"),
        ("us-gaap:CommercialPaper", "USD", None, "2023-12-31", 5, "a-1", "10-K", "2024-02-01"),
        ("us-gaap:LongTermDebtNoncurrent", "USD", None, "2023-12-31", 70, "a-2", "10-Q", "2024-05-01"),
        ("us-gaap:LongTermDebtCurrent", "USD", None, "2024-03-31", 9, "a-2", "10-Q", "2024-05-01"),
    ]
    assert [(end, value) for _, end, value, *_ in parsed(*stated)] == [(dt.date(2023, 12, 31), 95.0)]


def test_gross_profit_is_revenue_less_cost_where_it_is_not_stated() -> None:
    """A filer that states revenue 300 and cost 180 has a gross profit of 120."""
    year = ("2023-01-01", "2023-12-31")
    stated = [
        ("us-gaap:Revenues", "USD", *year, 300, "a-1", "10-K", "2024-02-01"),
        ("us-gaap:CostOfRevenue", "USD", *year, 180, "a-1", "10-K", "2024-02-01"),
    ]
    assert [(name, value) for name, _, value, *_ in parsed(*stated)] == [("GROSS_PROFIT", 120.0)]


def test_international_filers_and_shares() -> None:
    """ifrs-full tags fill the same fields; shares have no currency; the cover page counts as a date of its own."""
    stated = [
        ("ifrs-full:EquityAttributableToOwnersOfParent", "EUR", None, "2023-12-31", 50, "a-1", "20-F", "2024-03-01"),
        ("ifrs-full:Equity", "EUR", None, "2023-12-31", 55, "a-1", "20-F", "2024-03-01"),
        ("ifrs-full:Borrowings", "EUR", None, "2023-12-31", 12, "a-1", "20-F", "2024-03-01"),
        ("dei:EntityCommonStockSharesOutstanding", "shares", None, "2024-02-15", 7, "a-1", "20-F", "2024-03-01"),
    ]
    assert [(name, value, currency) for name, _, value, currency, *_ in parsed(*stated)] == [
        ("EQUITY", 50.0, "EUR"),
        ("SHARES", 7.0, ""),
        ("TOTAL_DEBT", 12.0, "EUR"),
    ]


def test_what_is_no_fact_is_left_out() -> None:
    """Proxy statements, days after the filing, two values of one fact in one filing, and values per share do not count."""
    stated = [
        (EQUITY, "USD", None, "2023-12-31", 1, "a-1", "DEF 14A", "2024-02-01"),
        (EQUITY, "USD", None, "2205-12-31", 2, "a-2", "10-K", "2024-02-01"),
        ("us-gaap:Assets", "USD", None, "2023-12-31", 3, "a-3", "10-K", "2024-02-01"),
        ("us-gaap:Assets", "USD", None, "2023-12-31", 4, "a-3", "10-K", "2024-02-01"),
        (NET, "USD/shares", "2023-01-01", "2023-12-31", 5, "a-3", "10-K", "2024-02-01"),
    ]
    assert parsed(*stated) == []


@given(st.lists(st.integers(-1000, 1000), min_size=8, max_size=8), st.integers(4, 7))
def test_year_to_date_and_quarters_agree(quarters: list[int], last: int) -> None:
    """Whatever way a year is put together, it is the sum of its four quarters."""
    first = [(2022 + n // 4, 3 * (n % 4) + 1) for n in range(8)]
    starts = [dt.date(year, month, 1) for year, month in first]
    ends = [start - dt.timedelta(days=1) for start in [*starts[1:], dt.date(2024, 1, 1)]]
    by_quarter: dict = {}
    to_date: dict = {}
    for n, (start, end, value) in enumerate(zip(starts, ends, quarters, strict=True)):
        by_quarter[end] = {start: float(value)}
        to_date[end] = {starts[n - n % 4]: float(sum(quarters[n - n % 4 : n + 1]))}
    expected = float(sum(quarters[last - 3 : last + 1]))
    assert trailing_year(by_quarter, ends[last]) == expected
    assert trailing_year(to_date, ends[last]) == expected


def test_requests_name_the_issuer_and_ask_for_a_contact() -> None:
    """The Commission wants a User-Agent with a contact; it comes from the environment, never from the address."""
    [(served, request)] = SEC.requests([ISSUER, Subject("no cik")], window(None, "2024-02-02 00:00"))
    assert served == (ISSUER,)
    assert request.url == "https://data.sec.gov/api/xbrl/companyfacts/CIK0000000042.json"
    assert request.secret_headers == {"User-Agent": "SEC_USER_AGENT"}
    for bad in ("../x", "12345678901", "4 2", "\u0661"):
        with pytest.raises(ProviderError, match="CIK"):
            SEC.requests([Subject("x", more={"cik": bad})], window(None, "2024-02-02 00:00"))
    assert SEC.following(request, Response(200, {}, b"")) is None
    with pytest.raises(ProviderError, match="sec: expected status 200, found 404: NoSuchKey"):
        SEC.following(request, Response(404, {}, b"<Error><Code>NoSuchKey</Code></Error>"))


BODY = facts(
    (EQUITY, "USD", None, "2023-12-31", 100, "a-1", "10-K", "2024-02-01"),
    (EQUITY, "USD", None, "2023-12-31", 90, "a-2", "10-K/A", "2024-06-03"),
    (NET, "USD", "2022-01-01", "2022-12-31", 80, "a-1", "10-K", "2024-02-01"),
    (NET, "USD", "2023-01-01", "2023-12-31", 85, "a-1", "10-K", "2024-02-01"),
    ("dei:EntityCommonStockSharesOutstanding", "shares", None, "2024-01-15", 7, "a-1", "10-K", "2024-02-01"),
)


def _row(change: Callable[[dict], dict]) -> Callable[[dict], dict]:
    def apply(found: dict) -> dict:
        units = found["facts"]["us-gaap"]["NetIncomeLoss"]["units"]
        units["USD"][1] = change(units["USD"][1])
        return found

    return apply


def _without(name: str) -> Callable[[dict], dict]:
    return _row(lambda row: {key: value for key, value in row.items() if key != name})


CHANGES: list[tuple[str, Callable[[dict], object], str]] = [
    ("another issuer", lambda b: {**b, "cik": 43}, "CIK 0000000042"),
    ("issuer as flag", lambda b: {**b, "cik": True}, "cik"),
    ("issuer gone", lambda b: {"facts": b["facts"]}, "field cik"),
    ("facts gone", lambda b: {"cik": 42}, "field facts"),
    ("facts a list", lambda b: {**b, "facts": []}, "at least one of the tags"),
    ("other taxonomies", lambda b: {**b, "facts": {"us-gaap-2030": b["facts"]["us-gaap"]}}, "at least one of the tags"),
    ("no known tag", lambda b: {**b, "facts": {"us-gaap": {"Goodwill": {}}}}, "at least one of the tags"),
    ("units gone", lambda b: {**b, "facts": {"us-gaap": {"Assets": {"label": "x"}}}}, "field units"),
    ("units a list", lambda b: {**b, "facts": {"us-gaap": {"Assets": {"units": []}}}}, "an object"),
    ("rows an object", lambda b: {**b, "facts": {"us-gaap": {"Assets": {"units": {"USD": {}}}}}}, "an array"),
    ("end gone", _without("end"), "field end"),
    ("filed gone", _without("filed"), "field filed"),
    ("form gone", _without("form"), "field form"),
    ("value gone", _without("val"), "field val"),
    ("accession gone", _without("accn"), "field accn"),
    ("value as text", _row(lambda r: {**r, "val": "85"}), r"\[1\].val"),
    ("value null", _row(lambda r: {**r, "val": None}), r"\[1\].val"),
    ("value a flag", _row(lambda r: {**r, "val": True}), r"\[1\].val"),
    ("filed with time", _row(lambda r: {**r, "filed": "2024-02-01T10:00"}), r"\[1\].filed"),
    ("end in another order", _row(lambda r: {**r, "end": "31-12-2023"}), r"\[1\].end"),
    ("start null", _row(lambda r: {**r, "start": None}), r"\[1\].start"),
]


@pytest.mark.parametrize(("name", "change", "says"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_changed_schemas_are_refused_by_place(name: str, change: Callable[[dict], object], says: str) -> None:
    """F24: fields gone, renamed, of another type, or another issuer's facts."""
    body = json.dumps(change(json.loads(json.dumps(BODY)))).encode()
    demand_refused(SEC, body, asked(None, "2025-01-01 00:00"), says)


def test_fiscal_labels_and_frames_change_nothing() -> None:
    """`fy`, `fp` and `frame` describe the filing or its newest statement: they may say anything."""
    other = json.dumps(BODY).replace('"fp": "Q9"', '"fp": "FY", "frame": "CY1999"').replace("2099", "1999").encode()
    question = asked(None, "2025-01-01 00:00")
    assert SEC.parse(other, question) == SEC.parse(json.dumps(BODY).encode(), question)


@pytest.mark.shared_data
def test_recorded_facts_of_apple() -> None:
    """Millions of dollars from the recorded facts: trailing years 97,294 (61,110 + 93,736 - 57,552) at March and 117,777
    (42,097 + 112,010 - 36,330) at December 2025; debt 90,509 (76,685 + 11,827 + 1,997); the restatement of January 2010.
    """
    content = cassette("sec-edgar/companyfacts_aapl.yaml")
    question = asked(None, "2026-03-21 01:00", Subject("x", more={"cik": "320193"}))
    found = SEC.parse(content, question)
    demand_contract(TABLES["raw_fundamentals"], found, question)
    by_key = {(f, e, k): v / 1e6 for f, e, k, v in rows(found, "field", "period_end", "known_at", "value")}
    assert by_key[("NET_INCOME", dt.date(2025, 3, 29), utc("2025-05-03 02:00"))] == 97_294
    assert by_key[("NET_INCOME", dt.date(2025, 12, 27), utc("2026-01-31 03:00"))] == 117_777
    assert by_key[("TOTAL_DEBT", dt.date(2025, 12, 27), utc("2026-01-31 03:00"))] == 90_509
    assert by_key[("EQUITY", dt.date(2025, 12, 27), utc("2026-01-31 03:00"))] == 88_190
    assert by_key[("TOTAL_ASSETS", dt.date(2025, 12, 27), utc("2026-01-31 03:00"))] == 379_297
    year = ("NET_INCOME", dt.date(2009, 9, 26))
    assert by_key[(*year, utc("2009-10-28 02:00"))] == 5_704
    assert by_key[(*year, utc("2010-01-26 03:00"))] == 8_235
    assert by_key[("NET_INCOME", dt.date(2009, 12, 26), utc("2010-01-26 03:00"))] == 9_358  # 3,378 + 8,235 - 2,255


@pytest.mark.shared_data
@pytest.mark.parametrize("cut", ["2012-06-30 00:00", "2019-01-15 00:00", "2024-11-10 00:00"])
def test_later_filings_change_nothing_that_was_served(cut: str) -> None:
    """Law 3 (truncation): facts filed later do not touch rows known before, and two windows together give one."""
    content = cassette("sec-edgar/companyfacts_aapl.yaml")
    subject = Subject("x", more={"cik": "320193"})
    names = ("field", "period_end", "value", "currency", "form", "known_at")
    whole = rows(SEC.parse(content, asked(None, "2026-03-21 01:00", subject)), *names)
    early = rows(SEC.parse(content, asked(None, cut, subject)), *names)
    late = rows(SEC.parse(content, asked(cut, "2026-03-21 01:00", subject)), *names)
    assert early == [row for row in whole if row[-1] <= utc(cut)]
    assert early + late == whole


@pytest.mark.shared_data
def test_recorded_facts_of_a_filer_with_a_fiscal_year_to_january() -> None:
    """Thousands of dollars: the year to January 2021 lost 539,102; convertible notes of 2,273,600 at April 2025 are its debt."""
    content = wire("sec-edgar/snow_facts.json").read_bytes()
    question = asked(None, "2025-06-30 00:00", Subject("x", more={"cik": "1640147"}))
    found = SEC.parse(content, question)
    demand_contract(TABLES["raw_fundamentals"], found, question)
    by_key = {(f, e): v / 1e3 for f, e, v in rows(found, "field", "period_end", "value")}
    assert by_key[("NET_INCOME", dt.date(2021, 1, 31))] == -539_102
    assert by_key[("TOTAL_DEBT", dt.date(2025, 4, 30))] == 2_273_600
    assert by_key[("EQUITY", dt.date(2025, 4, 30))] == 2_408_000


def test_mutated_bodies_are_refused_or_typed() -> None:
    """F24: no mutation raises anything else or gives untyped rows."""
    outcomes = campaign(SEC, json.dumps(BODY).encode(), asked(None, "2025-01-01 00:00"), seed=5, count=150)
    assert min(outcomes["refused"], outcomes["accepted"]) > 5


@pytest.mark.long
def test_ten_thousand_mutated_bodies() -> None:
    """F24, the whole campaign."""
    question = asked(None, "2025-01-01 00:00")
    assert sum(campaign(SEC, json.dumps(BODY).encode(), question, seed=6, count=10_000).values()) == 10_000
