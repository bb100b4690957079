"""Headlines of Alpaca's news service (Benzinga), US listings.

Source: https://docs.alpaca.markets/reference/news-3 (keys: environment variables APCA_API_KEY_ID and APCA_API_SECRET_KEY).
Known at: the later of `created_at` and `updated_at`, for what is served is the updated text. An article that was changed is a
headline of its own: its identifier carries the instant of the change. Published at: `created_at`. Articles known before the
window are left out, but for the last minutes (`linked`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from marketbot_resources.market.symbols import alpaca_symbol
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.news.linked import (
    HEADLINE_MAX,
    PUBLISHER_MAX,
    SEEN_LATE,
    Headline,
    batches,
    columns,
    known_at,
    symbols_asked,
    symbols_of,
)
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, window_asked, window_of

URL = "https://data.alpaca.markets/v1beta1/news"
KEYS = {"APCA-API-KEY-ID": "APCA_API_KEY_ID", "APCA-API-SECRET-KEY": "APCA_API_SECRET_KEY"}
PAGE_ARTICLES = "50"
TITLE_MAX = 5000


class AlpacaNews:
    """Articles that name a listing, by symbol."""

    name, table, parser = "alpaca", "raw_news", "alpaca-news/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per batch of US listings."""
        out = []
        for batch, symbols in batches(subjects, alpaca_symbol):
            params = {
                "symbols": ",".join(sorted(symbols)),
                "end": window.until.isoformat(),
                "sort": "asc",
                "limit": PAGE_ARTICLES,
                "include_content": "false",
            }
            if window.since is not None:
                params["start"] = (window.since - SEEN_LATE).isoformat()
            asked = {**symbols_asked(symbols), **window_asked(window)}
            out.append((batch, Request(URL, params, asked=asked, secret_headers=KEYS)))
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """The page that `next_page_token` names."""
        demand_ok(self.name, response)
        token = read_json(self.name, response.content).get("next_page_token")
        if token.value is None:
            return None
        if not token.text(500) or token.value == request.params.get("page_token"):
            raise token.wrong("a token of another page, or null")
        return replace(request, params={**request.params, "page_token": token.text(500)})

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Articles that became known in the window."""
        root, window, symbols = read_json(self.name, content), window_of(asked), symbols_of(asked)
        if root.has("message") and not root.has("news"):
            raise root.get("message").wrong("news instead of this message")
        found: dict[tuple[str, str], Headline] = {}
        for node in root.get("news").rows():
            for row in _headlines(node, symbols, window):
                if (row.headline_id, row.source_id) in found:
                    raise node.wrong("an article that stands once")
                found[(row.headline_id, row.source_id)] = row
        return columns(found.values())


def _headlines(node: Json, symbols: Mapping[str, str], window: Window) -> list[Headline]:
    created, updated = node.get("created_at").instant(), node.get("updated_at").instant()
    number, publisher = node.get("id").whole(), node.get("source").prose(PUBLISHER_MAX)
    headline_id = str(number) if updated <= created else f"{number}@{updated.isoformat()}"
    title = node.get("headline").prose(TITLE_MAX)[:HEADLINE_MAX]
    linked = sorted({symbol.text(40) for symbol in node.get("symbols").rows()} & set(symbols))
    at = known_at(max(created, updated), window)
    return [Headline(headline_id, symbols[s], title, publisher, created, at) for s in linked if at is not None]


VENDORS = (AlpacaNews(),)
