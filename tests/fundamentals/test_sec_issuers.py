"""Who files: tickers to CIK, what a filer says about itself, and sectors from SIC codes."""

import json

import pytest
from vendor_suite import cassette, demand_refused, rows, utc, window, wire

from marketbot_resources.fundamentals.sec_issuers import SecSubmissions, SecTickers, edgar_ticker
from marketbot_resources.fundamentals.sectors import RANGES, UNKNOWN, sector_of
from marketbot_resources.provider import Subject

TICKERS, SUBMISSIONS = SecTickers(), SecSubmissions()
NOW = window(None, "2026-03-21 00:00")
ISSUER = Subject("listing:XNAS:AAPL", more={"cik": "320193"})


def tickers(**changed: object) -> bytes:
    rows = [
        {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."},
        {"cik_str": 1067983, "ticker": "BRK-B", "title": "BERKSHIRE HATHAWAY INC"},
        {"cik_str": 1067983, "ticker": "BRK-A", "title": "BERKSHIRE HATHAWAY INC", **changed},
    ]
    return json.dumps({str(n): row for n, row in enumerate(rows)}).encode()


def test_a_ticker_leads_to_one_issuer_and_an_issuer_may_have_several() -> None:
    """Share classes share a CIK; a ticker of two issuers is ambiguous and refused."""
    [(served, request)] = TICKERS.requests([ISSUER], NOW)
    assert (served, request.secret_headers) == ((ISSUER,), {"User-Agent": "SEC_USER_AGENT"})
    found = TICKERS.parse(tickers(), request.asked)
    assert rows(found, "ticker", "cik") == [("AAPL", "320193"), ("BRK-A", "1067983"), ("BRK-B", "1067983")]
    assert found["known_at"] == [utc("2026-03-21 00:00")] * 3
    assert [edgar_ticker(ticker) for ticker in ("brk.b", "BRK/B", "AAPL")] == ["BRK-B", "BRK-B", "AAPL"]
    for changed, says in (
        ({"ticker": "AAPL"}, "stands once"),
        ({"cik_str": "1067983"}, "cik_str"),
        ({"cik_str": 0}, "ten digits"),
        ({"title": None}, "title"),
    ):
        demand_refused(TICKERS, tickers(**changed), request.asked, says)
    demand_refused(TICKERS, b"{}", request.asked, "at least one ticker")
    demand_refused(TICKERS, b"<html>Undeclared Automated Tool", request.asked, "Undeclared Automated Tool")


def test_an_issuer_describes_itself() -> None:
    """Names by their end, the sector from the SIC code; missing exchanges are empty, a body of another issuer is refused."""
    body = {
        "cik": "0000320193",
        "name": "Apple Inc.",
        "sic": "3571",
        "tickers": ["AAPL", "AAPLX"],
        "exchanges": ["Nasdaq", None],
        "formerNames": [
            {"name": "APPLE INC", "from": "2007-01-10T00:00:00.000Z", "to": "2019-08-05T00:00:00.000Z"},
            {"name": "APPLE COMPUTER INC", "from": "1994-01-26T00:00:00.000Z", "to": "2007-01-04T00:00:00.000Z"},
        ],
    }
    [(_, request)] = SUBMISSIONS.requests([ISSUER, Subject("none")], NOW)
    assert request.url == "https://data.sec.gov/submissions/CIK0000320193.json"
    found = SUBMISSIONS.parse(json.dumps(body).encode(), request.asked)
    wanted = ("source_id", "cik", "sic", "sector", "tickers", "exchanges", "former_names")
    assert rows(found, *wanted) == [
        (
            "listing:XNAS:AAPL",
            "320193",
            "3571",
            "Information Technology",
            "AAPL, AAPLX",
            "Nasdaq, ",
            "APPLE COMPUTER INC until 2007-01-04, APPLE INC until 2019-08-05",
        )
    ]
    demand_refused(SUBMISSIONS, json.dumps({**body, "cik": "0000320194"}).encode(), request.asked, "CIK 320193")
    demand_refused(SUBMISSIONS, json.dumps({**body, "sic": 3571}).encode(), request.asked, "sic")


@pytest.mark.shared_data
def test_recorded_answers() -> None:
    """The recorded files: Apple's CIK is 320193, its SIC 3571, its first former name in the list ends in 1997."""
    [(_, request)] = TICKERS.requests([ISSUER], NOW)
    found = TICKERS.parse(wire("sec-edgar/company_tickers.json").read_bytes(), request.asked)
    ciks = dict(zip(found["ticker"], found["cik"], strict=True))
    assert (ciks["AAPL"], ciks["BRK-B"], ciks["TSM"]) == ("320193", "1067983", "1046179")
    [(_, request)] = SUBMISSIONS.requests([ISSUER], NOW)
    found = SUBMISSIONS.parse(cassette("sec-edgar/submissions_and_tickers_aapl.yaml"), request.asked)
    assert rows(found, "sic", "sector", "exchanges") == [("3571", "Information Technology", "Nasdaq")]
    assert str(found["former_names"][0]).startswith(
        "APPLE COMPUTER INC/ FA until 1997-07-28, APPLE COMPUTER INC until 2007"
    )


@pytest.mark.parametrize(
    ("sic", "sector"),
    [
        ("3571", "Information Technology"),
        ("2834", "Health Care"),
        ("2844", "Consumer Staples"),
        ("2860", "Materials"),
        ("1311", "Energy"),
        ("1040", "Materials"),
        ("3711", "Consumer Discretionary"),
        ("3721", "Industrials"),
        ("4813", "Communication Services"),
        ("4911", "Utilities"),
        ("4953", "Industrials"),
        ("5912", "Consumer Staples"),
        ("5651", "Consumer Discretionary"),
        ("6021", "Financials"),
        ("6324", "Health Care"),
        ("6798", "Real Estate"),
        ("7372", "Information Technology"),
        ("8200", "Consumer Discretionary"),
        ("8711", "Industrials"),
        ("0100", "Consumer Staples"),
        ("9995", UNKNOWN),
        ("", UNKNOWN),
        ("35a1", UNKNOWN),
    ],
)
def test_sectors_of_known_industries(sic: str, sector: str) -> None:
    """The name of each industry in the Commission's list says which sector it belongs to; what is no industry has none."""
    assert sector_of(sic) == sector


def test_no_range_hides_another_and_there_are_eleven_sectors() -> None:
    """Every range decides for at least one code, and the names are the eleven of GICS."""
    first = {next((n for n, (low, high, _) in enumerate(RANGES) if low <= code <= high), -1) for code in range(10_000)}
    assert first - {-1} == set(range(len(RANGES)))
    assert len({sector for *_, sector in RANGES}) == 11
