"""Alpaca's market data for US listings: daily bars of many listings per request. Pure.

Bars are asked unadjusted (`adjustment=raw`) and stamped midnight New York in UTC. The feed is part of what is asked and never
switches: `sip` has all exchanges, `iex` one exchange's prices and a few percent of the volume. Units: US dollars, shares;
numbers may come as texts. known_at: DELAY after the session's close; nothing younger than DELAY is asked, as the free plan
demands. Corporate actions: `alpaca_actions.py`; descriptions: `alpaca_assets.py`; windows: `question.py`.
"""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Question, first_date, listing_of
from marketbot_resources.market.symbols import alpaca_symbol
from marketbot_resources.market.vendor_json import Json, read_json, shown
from marketbot_resources.market.vendor_rows import BarRow, bar_row, columns
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

NAME = "alpaca"
DELAY = dt.timedelta(minutes=15)
ADDRESS = "https://data.alpaca.markets/v2/stocks/bars"
CURRENCY = "USD"
BATCH = 100
HEADERS = {"APCA-API-KEY-ID": "APCA_API_KEY_ID", "APCA-API-SECRET-KEY": "APCA_API_SECRET_KEY"}
NEW_YORK = ZoneInfo("America/New_York")
FEEDS = ("sip", "iex")
_FIELDS = ("o", "h", "l", "c", "v")  # in the order of BAR_FIELDS


def covered(subject: Subject) -> str | None:
    """Alpaca's symbol of a listing, None when it is not one of the US or not quoted in dollars."""
    return alpaca_symbol(subject.mic, subject.ticker) if subject.currency in ("", CURRENCY) else None


def read_body(content: bytes) -> Json:
    """The JSON body. Raises ProviderError for Alpaca's error form (`message`, sometimes with `code`)."""
    body = read_json(NAME, content)
    said = body.maybe("message") if isinstance(body.value, dict) else None
    if said is not None:
        raise said.wrong("data instead of this message")
    return body


def next_page(request: Request, response: Response) -> Request | None:
    """The request with the token that the page names, None after the last page."""
    token = read_body(response.content).get("next_page_token")
    if token.value is None:
        return None
    if not token.text():
        raise token.wrong("a page token or null")
    return dataclasses.replace(request, params={**request.params, "page_token": token.text()})


class AlpacaPrices:
    """raw_prices: unadjusted bars of one feed."""

    name = NAME
    table = "raw_prices"
    parser = "alpaca-bars/1"

    def __init__(self, feed: str = "sip") -> None:
        if feed not in FEEDS:
            raise ProviderError(f"{NAME}: expected a feed among {', '.join(FEEDS)}, found {shown(feed)}")
        self._feed = feed

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per BATCH listings, from the overlap to DELAY before the end of the window."""
        pairs = [(subject, covered(subject)) for subject in subjects]
        served = sorted(
            ((symbol, subject) for subject, symbol in pairs if symbol is not None), key=lambda pair: pair[0]
        )
        found = []
        for start in range(0, len(served), BATCH):
            batch = served[start : start + BATCH]
            listings = tuple(listing_of(subject, symbol) for symbol, subject in batch)
            params = {
                "symbols": ",".join(symbol for symbol, _ in batch),
                "timeframe": "1Day",
                "start": first_date(window, [listing.mic for listing in listings]).isoformat(),
                "end": utc_text((window.until - DELAY).replace(microsecond=0)),
                "adjustment": "raw",
                "feed": self._feed,
                "limit": "10000",
                "sort": "asc",
            }
            asked = Question(NAME, listings, window.since, window.until).asked() | {"feed": self._feed}
            request = Request(ADDRESS, params, asked=asked, secret_headers=HEADERS)
            found.append((tuple(subject for _, subject in batch), request))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """The next page: a page may end in the middle of a listing."""
        return next_page(request, response)

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Bars of the page, which may be of some of the listings only."""
        question = Question.read(NAME, asked)
        body = read_body(content)
        body.get("next_page_token")
        listings = {listing.symbol: listing for listing in question.listings}
        rows = []
        for symbol, bars in body.get("bars").members():
            if symbol not in listings:
                raise bars.wrong("bars of the symbols asked")
            listing = listings[symbol]
            before: dt.date | None = None
            for bar in bars.rows():
                session = _session(bar.get("t"))
                if before is not None and not session > before:
                    raise bar.get("t").wrong(f"a session after {before}")
                before = session
                values = [bar.get(name).number_or_missing(texts=True) for name in _FIELDS]
                known_at = question.known_at(listing.close_at(session) + DELAY)
                if known_at is not None:
                    rows.append(
                        bar_row(
                            listing.source_id, session, values, currency=CURRENCY, adjusted=False, known_at=known_at
                        )
                    )
        return columns(NAME, BarRow, rows)


def _session(node: Json) -> dt.date:
    local = node.instant().astimezone(NEW_YORK)
    if local.time() != dt.time():
        raise node.wrong("midnight in New York, as daily bars are stamped")
    return local.date()


VENDORS = (AlpacaPrices(),)
