"""Figures that issuers report to the US Securities and Exchange Commission, from EDGAR's companyfacts: us-gaap and ifrs-full.

Source: https://www.sec.gov/search-filings/edgar-application-programming-interfaces. The Commission asks every program to name
itself and a contact in the User-Agent header: the environment variable SEC_USER_AGENT holds that line.

Known at: 22:00 New York of the day of filing. The source tells the date only, and EDGAR accepts filings until 22:00.
One row per figure whenever a filing states it anew or otherwise (`filings`); a repeated statement is no row. NET_INCOME and
GROSS_PROFIT are sums of the trailing year (`trailing`), made only of facts filed by then.
Forms: annual and interim reports and what amends or recasts them; proxy statements are left out, for they state figures in
other scales. A fact about a day after its filing is left out.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from marketbot_resources import calendars
from marketbot_resources.errors import ProviderError
from marketbot_resources.fundamentals.filings import Fact, rows_by_filing
from marketbot_resources.fundamentals.sec_tags import SHARES, TAGS
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, window_asked, window_of

URL = "https://data.sec.gov/api/xbrl/companyfacts/"
CONTACT_VARIABLE = "SEC_USER_AGENT"
CONTACT = {"User-Agent": CONTACT_VARIABLE}
EMBARGO_UNTIL, NEW_YORK = dt.time(22, 0), "America/New_York"
FORMS = frozenset(
    f"{form}{suffix}"
    for form in ("10-K", "10-Q", "10-KT", "10-QT", "20-F", "40-F", "6-K", "8-K")
    for suffix in ("", "/A")
)
NUMBER_MAX = 1e18  # derivatives of large banks in yen or won have notional amounts beyond 1e15
_CURRENCY = re.compile(r"[A-Z]{3}")


def cik_file(cik: str) -> str:
    """The name under which EDGAR keeps an issuer: CIK0000320193. Raises ProviderError when `cik` is no number."""
    if not re.fullmatch(r"\d{1,10}", cik, re.ASCII):
        raise ProviderError(f"sec: expected a CIK of at most ten digits, found {cik!r}; correct it in the universe")
    return f"CIK{int(cik):010d}"


def known_at(filed: dt.date) -> dt.datetime:
    """When a filing of that date became known."""
    return calendars.wall_clock_at(filed, EMBARGO_UNTIL, NEW_YORK)


class SecCompanyFacts:
    """Figures of issuers whose CIK stands in `Subject.more["cik"]`."""

    name, table, parser = "sec", "raw_fundamentals", "sec-companyfacts/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per issuer; who has no CIK is left out."""
        out = []
        for subject in subjects:
            cik = subject.more.get("cik", "")
            if cik:
                asked = {"source_id": subject.source_id, "cik": cik, **window_asked(window)}
                out.append(((subject,), Request(f"{URL}{cik_file(cik)}.json", asked=asked, secret_headers=CONTACT)))
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Figures that became known in the window."""
        root, window = read_json(self.name, content, number_max=NUMBER_MAX), window_of(asked)
        demand_cik(root.get("cik"), asked["cik"])
        facts = [fact for fact in _facts(root.get("facts")) if known_at(fact.filed) <= window.until]
        rows = [row for row in rows_by_filing(facts) if window.since is None or known_at(row.filed) > window.since]
        return {
            "source_id": [asked["source_id"]] * len(rows),
            "field": [row.field for row in rows],
            "period_end": [row.period_end for row in rows],
            "value": [row.value for row in rows],
            "currency": [row.currency for row in rows],
            "form": [row.form for row in rows],
            "known_at": [known_at(row.filed) for row in rows],
            "synthetic": [False] * len(rows),
        }


def demand_cik(node: Json, asked: str) -> None:
    """The body must be about the issuer that was asked for. EDGAR writes the CIK as a number or as digits."""
    found = node.whole() if isinstance(node.value, int) else node.text(10)
    if str(found).lstrip("0") != asked.lstrip("0"):
        raise node.wrong(f"CIK {asked}")


def _facts(taxonomies: Json) -> list[Fact]:
    """Facts of the tags that any recipe reads. Raises ProviderError when the body has none of these tags."""
    out: list[Fact] = []
    found = False
    for name in TAGS:
        taxonomy, tag = name.split(":")
        if not taxonomies.has(taxonomy) or not taxonomies.get(taxonomy).has(tag):
            continue
        found = True
        for unit, rows in taxonomies.get(taxonomy).get(tag).get("units").members():
            if unit == SHARES or _CURRENCY.fullmatch(unit):
                out += [fact for row in rows.rows() if (fact := _fact(name, unit, row)) is not None]
    if not found:
        raise taxonomies.wrong(f"at least one of the tags {TAGS[0]} ... {TAGS[-1]}")
    return out


def _fact(tag: str, unit: str, row: Json) -> Fact | None:
    form, end, filed = row.get("form").text(20), row.get("end").day(), row.get("filed").day()
    start = row.get("start").day() if row.has("start") else None
    value, accession = row.get("val").number(), row.get("accn").text(30)
    if form not in FORMS or end > filed or (start is not None and start > end):
        return None
    return Fact(tag, unit, start, end, value, accession, form, filed)


VENDORS = (SecCompanyFacts(),)
