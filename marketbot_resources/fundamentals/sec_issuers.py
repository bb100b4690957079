"""Who files with the US Securities and Exchange Commission: the CIK behind a ticker, and what a filer says about itself.

Sources: https://www.sec.gov/files/company_tickers.json and https://data.sec.gov/submissions/. Both describe today only, so a row is
known at the window's end. The User-Agent header as in `sec`.
"""

from collections.abc import Mapping, Sequence

from marketbot_resources.fundamentals.sec import CONTACT, cik_file, demand_cik
from marketbot_resources.fundamentals.sectors import sector_of
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, window_asked, window_of

TICKERS_URL = "https://www.sec.gov/files/company_tickers.json"
SUBMISSIONS_URL = "https://data.sec.gov/submissions/"
SEPARATOR = ", "


def edgar_ticker(ticker: str) -> str:
    """A ticker as EDGAR writes it: share classes by a hyphen (BRK-B)."""
    return ticker.upper().replace(".", "-").replace("/", "-")


class SecTickers:
    """Rows (ticker, cik, name, known_at): every ticker that EDGAR knows, one request for all subjects."""

    name, table, parser = "sec", "sec_tickers", "sec-tickers/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request for all subjects."""
        asked = window_asked(window)
        return [(tuple(subjects), Request(TICKERS_URL, asked=asked, secret_headers=CONTACT))] if subjects else []

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Ascending tickers; a ticker of two issuers is refused."""
        root = read_json(self.name, content)
        found: dict[str, tuple[str, str]] = {}
        for _, node in root.members():
            ticker, cik = node.get("ticker").text(20), node.get("cik_str")
            if ticker in found or not ticker:
                raise node.wrong("a ticker that stands once")
            if not 0 < cik.whole() < 10**10:
                raise cik.wrong("a CIK of at most ten digits")
            found[ticker] = (str(cik.whole()), node.get("title").text(300))
        if not found:
            raise root.wrong("at least one ticker")
        tickers = sorted(found)
        return {
            "ticker": tickers,
            "cik": [found[ticker][0] for ticker in tickers],
            "name": [found[ticker][1] for ticker in tickers],
            "known_at": [window_of(asked).until] * len(tickers),
        }


class SecSubmissions:
    """One row per issuer: source_id, cik, name, sic, sector, tickers, exchanges, former_names (oldest first), known_at."""

    name, table, parser = "sec", "sec_issuers", "sec-submissions/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per issuer; who has no CIK is left out."""
        out = []
        for subject in subjects:
            cik = subject.more.get("cik", "")
            if cik:
                asked = {"source_id": subject.source_id, "cik": cik, **window_asked(window)}
                url = f"{SUBMISSIONS_URL}{cik_file(cik)}.json"
                out.append(((subject,), Request(url, asked=asked, secret_headers=CONTACT)))
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page: what it says of filings is not read."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """The issuer as it stands now."""
        root = read_json(self.name, content)
        demand_cik(root.get("cik"), asked["cik"])
        former = sorted(_name_until(node) for node in root.get("formerNames").rows())
        sic = root.get("sic").text(4)
        return {
            "source_id": [asked["source_id"]],
            "cik": [asked["cik"].lstrip("0")],
            "name": [root.get("name").text(300)],
            "sic": [sic],
            "sector": [sector_of(sic)],
            "tickers": [SEPARATOR.join(node.text(20) for node in root.get("tickers").rows())],
            "exchanges": [SEPARATOR.join(_text_or_empty(node) for node in root.get("exchanges").rows())],
            "former_names": [SEPARATOR.join(f"{name} until {until}" for until, name in former)],
            "known_at": [window_of(asked).until],
        }


def _name_until(node: Json) -> tuple[str, str]:
    return node.get("to").instant().date().isoformat(), node.get("name").text(300)


def _text_or_empty(node: Json) -> str:
    return "" if node.value is None else node.text(40)


VENDORS = (SecTickers(), SecSubmissions())
