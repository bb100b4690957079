"""Alpaca's newest quotes and trades of US listings, for protective exits while the market is open. Pure.

One row per listing with its newest quote: bid, ask, the price of the newest trade, and when it was quoted. Units: US dollars.
A side without a quote arrives as 0 and is missing. known_at: the end of the window, the instant at which was asked; a quote
may be younger than that by the time an answer takes, but by no more than AHEAD_MAX. Whether a quote is fresh, two-sided and
plausible is judged by whoever uses it. Yahoo has no such vendor: its chart tells a last price without bid and ask.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.alpaca import BATCH, CURRENCY, FEEDS, HEADERS, NAME, covered, read_body
from marketbot_resources.market.question import Question, listing_of
from marketbot_resources.market.vendor_json import Json, shown
from marketbot_resources.market.vendor_rows import QuoteRow, columns
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

ADDRESS = "https://data.alpaca.markets/v2/stocks/snapshots"
AHEAD_MAX = dt.timedelta(minutes=2)


class AlpacaQuotes:
    """raw_quotes of one feed."""

    name = NAME
    table = "raw_quotes"
    parser = "alpaca-snapshots/1"

    def __init__(self, feed: str = "iex") -> None:
        if feed not in FEEDS:
            raise ProviderError(f"{NAME}: expected a feed among {', '.join(FEEDS)}, found {shown(feed)}")
        self._feed = feed

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per BATCH listings, in the order of their symbols."""
        pairs = [(subject, covered(subject)) for subject in subjects]
        served = sorted(
            ((symbol, subject) for subject, symbol in pairs if symbol is not None), key=lambda pair: pair[0]
        )
        found = []
        for start in range(0, len(served), BATCH):
            batch = served[start : start + BATCH]
            listings = tuple(listing_of(subject, symbol) for symbol, subject in batch)
            params = {"symbols": ",".join(symbol for symbol, _ in batch), "feed": self._feed}
            asked = Question(NAME, listings, window.since, window.until).asked() | {"feed": self._feed}
            request = Request(ADDRESS, params, asked=asked, secret_headers=HEADERS)
            found.append((tuple(subject for _, subject in batch), request))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Quotes of the listings that the answer mentions."""
        question = Question.read(NAME, asked)
        listings = {listing.symbol: listing for listing in question.listings}
        rows = []
        for symbol, node in read_body(content).members():
            if symbol not in listings:
                raise node.wrong("quotes of the symbols asked")
            if node.value is None or node.maybe("latestQuote") is None:
                continue
            quote, trade = node.get("latestQuote"), node.maybe("latestTrade")
            quoted_at = quote.get("t").instant()
            if quoted_at > question.until + AHEAD_MAX:
                raise quote.get("t").wrong(f"a quote of {question.until} at the latest")
            rows.append(
                QuoteRow(
                    source_id=listings[symbol].source_id,
                    currency=CURRENCY,
                    bid=_price(quote.get("bp")),
                    ask=_price(quote.get("ap")),
                    last=math.nan if trade is None else _price(trade.get("p")),
                    quoted_at=quoted_at,
                    known_at=question.until,
                )
            )
        return columns(NAME, QuoteRow, rows)


def _price(node: Json) -> float:
    value = node.number(texts=True)
    if value < 0:
        raise node.wrong("a price, or 0 for none")
    return value if value > 0 else math.nan


VENDORS = (AlpacaQuotes(),)
