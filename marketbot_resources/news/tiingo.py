"""Headlines of Tiingo's news service, US listings.

Source: https://www.tiingo.com/documentation/news (key: environment variable TIINGO_API_KEY).
Known at: `crawlDate`, when Tiingo saw the article; published at: `publishedDate`, which the publisher states. The service
filters by the publisher's stamp, so requests go back CRAWLED_LATE_DAYS before the window; articles crawled before the window are
left out, but for the last minutes (`linked`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from marketbot_resources.market.symbols import tiingo_symbol
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.news.linked import (
    HEADLINE_MAX,
    PUBLISHER_MAX,
    Headline,
    batches,
    columns,
    known_at,
    symbols_asked,
    symbols_of,
)
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, window_asked, window_of

URL = "https://api.tiingo.com/tiingo/news"
KEY_VARIABLE = "TIINGO_API_KEY"
PAGE_ARTICLES = 1000
CRAWLED_LATE_DAYS = 3
TITLE_MAX = 5000


class TiingoNews:
    """Articles that name a listing, by ticker."""

    name, table, parser = "tiingo", "raw_news", "tiingo-news/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per batch of US listings."""
        out = []
        for batch, symbols in batches(subjects, tiingo_symbol):
            params = {
                "tickers": ",".join(sorted(symbol.lower() for symbol in symbols)),
                "endDate": (window.until.date() + dt.timedelta(days=1)).isoformat(),
                "sortBy": "crawlDate",
                "limit": str(PAGE_ARTICLES),
                "offset": "0",
            }
            if window.since is not None:
                params["startDate"] = (window.since.date() - dt.timedelta(days=CRAWLED_LATE_DAYS)).isoformat()
            asked = {**symbols_asked(symbols), **window_asked(window)}
            out.append((batch, Request(URL, params, asked=asked, secret_params={"token": KEY_VARIABLE})))
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """The next page by offset while pages are full."""
        demand_ok(self.name, response)
        if len(_articles(read_json(self.name, response.content))) < PAGE_ARTICLES:
            return None
        return replace(request, params={**request.params, "offset": str(int(request.params["offset"]) + PAGE_ARTICLES)})

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Articles that were crawled in the window."""
        window, symbols = window_of(asked), {s.lower(): own for s, own in symbols_of(asked).items()}
        found: dict[tuple[str, str], Headline] = {}
        for node in _articles(read_json(self.name, content)):
            for row in _headlines(node, symbols, window):
                if (row.headline_id, row.source_id) in found:
                    raise node.wrong("an article that stands once")
                found[(row.headline_id, row.source_id)] = row
        return columns(found.values())


def _articles(root: Json) -> list[Json]:
    if root.has("detail"):
        raise root.get("detail").wrong("articles instead of this message")
    return root.rows()


def _headlines(node: Json, symbols: Mapping[str, str], window: Window) -> list[Headline]:
    published, crawled = node.get("publishedDate").instant(), node.get("crawlDate").instant()
    headline_id, publisher = str(node.get("id").whole()), node.get("source").prose(PUBLISHER_MAX)
    title = node.get("title").prose(TITLE_MAX)[:HEADLINE_MAX]
    linked = sorted({ticker.text(40).lower() for ticker in node.get("tickers").rows()} & set(symbols))
    at = known_at(crawled, window)
    return [Headline(headline_id, symbols[t], title, publisher, published, at) for t in linked if at is not None]


VENDORS = (TiingoNews(),)
