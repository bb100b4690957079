"""News of Alpaca and Tiingo: known when the vendor saw it, linked by the vendor's own symbols, text as received."""

import json
from collections.abc import Callable

import pytest
from vendor_suite import TABLES, campaign, cassette, demand_contract, demand_refused, rows, utc, window, wire

from marketbot_resources.errors import ProviderError
from marketbot_resources.news.alpaca import AlpacaNews
from marketbot_resources.news.linked import SYMBOLS_PER_REQUEST
from marketbot_resources.news.tiingo import PAGE_ARTICLES, TiingoNews
from marketbot_resources.provider import Request, Response, Subject

ALPACA, TIINGO = AlpacaNews(), TiingoNews()
NAMES = ("headline_id", "source_id", "headline", "publisher", "published_at", "known_at")
LISTINGS = [
    Subject("listing:XNAS:AAPL", "XNAS", "AAPL"),
    Subject("listing:XNYS:BRK.B", "XNYS", "BRK.B"),
    Subject("listing:XLON:BP", "XLON", "BP."),
]
SINCE, UNTIL = "2024-11-06 21:00", "2024-11-07 21:00"


def request(vendor: AlpacaNews | TiingoNews, since: str | None = SINCE, until: str = UNTIL) -> Request:
    [(_, found)] = vendor.requests(LISTINGS, window(since, until))
    return found


def alpaca(**changed: object) -> dict:
    """One article of a window, one that was updated in it, one from before; `changed`: fields of the first."""
    first = {
        "id": 41799100,
        "created_at": "2024-11-07T09:16:41Z",
        "updated_at": "2024-11-07T09:16:42Z",
        "headline": "Apple &amp; Berkshire\u202e <b>gain</b>",
        "source": "benzinga",
        "summary": "",
        "symbols": ["AAPL", "BRK.B", "MSFT", "AAPL"],
        "url": "https://example.com",
    }
    updated = {**first, "id": 2, "created_at": "2024-11-05T10:00:00Z", "updated_at": "2024-11-07T20:59:59.123456789Z"}
    old = {**first, "id": 3, "created_at": "2024-11-06T20:00:00Z", "updated_at": "2024-11-06T20:45:00Z"}
    later = {**first, "id": 4, "created_at": "2024-11-07T21:00:01Z", "updated_at": "2024-11-07T21:00:01Z"}
    news = [{**first, **changed}, {**updated, "symbols": ["AAPL"]}, old, later]
    return {"news": news, "next_page_token": None}


def tiingo(**changed: object) -> list[dict]:
    first = {
        "id": 29484963,
        "publishedDate": "2024-11-04T16:45:48Z",
        "crawlDate": "2024-11-07T17:57:59.290788+00:00",
        "title": "Apple\u200b reports",
        "source": "example.com",
        "tickers": ["aapl", "brk-b", "goog"],
        "tags": ["Technology"],
        "description": "...",
        "url": "https://example.com",
    }
    copy = {**first, "id": 29484964, "tickers": ["AAPL"]}
    old = {**first, "id": 5, "crawlDate": "2024-11-06T20:45:00Z"}
    return [{**first, **changed}, copy, old]


def test_alpaca_knows_an_article_when_it_was_last_changed() -> None:
    """Law 3: the updated text is known from the update on; what was known before or is not out yet is no row; text as received."""
    asked = dict(request(ALPACA).asked)
    found = ALPACA.parse(json.dumps(alpaca()).encode(), asked)
    demand_contract(TABLES["raw_news"], found, asked)
    text = "Apple &amp; Berkshire\u202e <b>gain</b>"
    at, created = utc("2024-11-07 09:16:42"), utc("2024-11-07 09:16:41")
    first = "41799100@2024-11-07T09:16:42+00:00"
    assert rows(found, *NAMES)[:2] == [
        (first, "listing:XNAS:AAPL", text, "benzinga", created, at),
        (first, "listing:XNYS:BRK.B", text, "benzinga", created, at),
    ]
    assert rows(found, "headline_id", "source_id", "published_at", "known_at")[2:] == [
        (
            "2@2024-11-07T20:59:59.123456+00:00",
            "listing:XNAS:AAPL",
            utc("2024-11-05 10:00"),
            utc("2024-11-07 20:59:59.123456"),
        )
    ]


def test_a_changed_article_is_a_headline_of_its_own() -> None:
    """One article before and after a change, on two pages of one window: two rows that do not share a key."""
    asked = request(ALPACA).asked
    at = [("2024-11-07T09:16:41Z", "before"), ("2024-11-07T09:30:00Z", "after")]
    news = [
        {**alpaca()["news"][0], "updated_at": changed, "headline": text, "symbols": ["AAPL"]} for changed, text in at
    ]
    found = ALPACA.parse(json.dumps({"news": news}).encode(), asked)
    assert rows(found, "headline_id", "headline", "known_at") == [
        ("41799100", "before", utc("2024-11-07 09:16:41")),
        ("41799100@2024-11-07T09:30:00+00:00", "after", utc("2024-11-07 09:30")),
    ]


def test_tiingo_knows_an_article_when_it_was_crawled() -> None:
    """Law 3: crawl time, not the publisher's stamp three days before; the same text under two identifiers stays twice."""
    asked = dict(request(TIINGO).asked)
    found = TIINGO.parse(json.dumps(tiingo()).encode(), asked)
    demand_contract(TABLES["raw_news"], found, asked)
    published, crawled = utc("2024-11-04 16:45:48"), utc("2024-11-07 17:57:59.290788")
    assert rows(found, *NAMES) == [
        ("29484963", "listing:XNAS:AAPL", "Apple\u200b reports", "example.com", published, crawled),
        ("29484963", "listing:XNYS:BRK.B", "Apple\u200b reports", "example.com", published, crawled),
        ("29484964", "listing:XNAS:AAPL", "Apple\u200b reports", "example.com", published, crawled),
    ]


@pytest.mark.parametrize("seen", ["2024-11-06T20:45:01Z", "2024-11-06T21:00:00Z"])
@pytest.mark.parametrize("vendor", [ALPACA, TIINGO], ids=["alpaca", "tiingo"])
def test_an_article_of_the_last_minutes_before_the_window_is_news_seen_late(
    vendor: AlpacaNews | TiingoNews, seen: str
) -> None:
    """Law 3: it may have come after we had read the page, so we know it at the end of this window and not before."""
    body = alpaca(created_at=seen, updated_at=seen) if vendor is ALPACA else tiingo(crawlDate=seen)
    found = vendor.parse(json.dumps(body).encode(), request(vendor).asked)
    first = "41799100" if vendor is ALPACA else "29484963"
    assert {at for name, at in rows(found, "headline_id", "known_at") if name == first} == {utc(UNTIL)}


def test_requests_name_listings_in_the_vendors_symbols_and_no_key() -> None:
    """US listings only, share classes as each vendor writes them, keys by the names of their variables."""
    one, other = request(ALPACA), request(TIINGO)
    assert one.params["symbols"] == "AAPL,BRK.B"
    assert (one.params["start"], one.params["end"]) == ("2024-11-06T20:45:00+00:00", "2024-11-07T21:00:00+00:00")
    assert set(one.secret_headers.values()) == {"APCA_API_KEY_ID", "APCA_API_SECRET_KEY"}
    assert other.params["tickers"] == "aapl,brk-b"
    assert (other.params["startDate"], other.params["endDate"]) == ("2024-11-03", "2024-11-08")
    assert other.secret_params == {"token": "TIINGO_API_KEY"}
    many = [Subject(f"listing:XNAS:T{n:03}", "XNAS", f"T{n:03}") for n in range(SYMBOLS_PER_REQUEST + 1)]
    assert [len(served) for served, _ in ALPACA.requests(many, window(SINCE, UNTIL))] == [SYMBOLS_PER_REQUEST, 1]
    assert "start" not in request(ALPACA, None).params


def test_pages_follow_and_a_repeated_page_is_refused() -> None:
    """Alpaca by token, Tiingo by offset while pages are full."""
    first = request(ALPACA)
    page = {**alpaca(), "next_page_token": "MTcz"}
    second = ALPACA.following(first, Response(200, {}, json.dumps(page).encode()))
    assert second is not None
    assert second.params["page_token"] == "MTcz"
    assert ALPACA.following(second, Response(200, {}, json.dumps(alpaca()).encode())) is None
    with pytest.raises(ProviderError, match="another page"):
        ALPACA.following(second, Response(200, {}, json.dumps(page).encode()))
    with pytest.raises(ProviderError, match=r"alpaca: expected status 200, found 401: .*unauthorized"):
        ALPACA.following(first, Response(401, {}, b'{"message": "unauthorized."}'))
    full = json.dumps([tiingo()[0]] * PAGE_ARTICLES).encode()
    following = TIINGO.following(request(TIINGO), Response(200, {}, full))
    assert following is not None
    assert following.params["offset"] == str(PAGE_ARTICLES)
    assert TIINGO.following(following, Response(200, {}, b"[]")) is None


def without(name: str, whole: dict) -> dict:
    return {key: value for key, value in whole.items() if key != name}


ALPACA_CHANGES: list[tuple[str, Callable[[], object], str]] = [
    ("error body", lambda: {"message": "too many requests."}, "too many requests"),
    ("news renamed", lambda: {"articles": []}, "field news"),
    ("news an object", lambda: {"news": {}}, "an array"),
    ("identifier as text", lambda: alpaca(id="41799100"), r"news\[0\].id"),
    ("identifier a flag", lambda: alpaca(id=True), r"news\[0\].id"),
    ("no offset", lambda: alpaca(created_at="2024-11-07T09:16:41"), r"news\[0\].created_at"),
    ("seconds since 1970", lambda: alpaca(updated_at=1730971001), r"news\[0\].updated_at"),
    ("no such day", lambda: alpaca(updated_at="2024-11-31T09:16:41Z"), r"news\[0\].updated_at"),
    ("headline null", lambda: alpaca(headline=None), r"news\[0\].headline"),
    ("headline without end", lambda: alpaca(headline="x" * 5001), r"news\[0\].headline"),
    ("headline unstorable", lambda: alpaca(headline="\ud800"), "lone surrogates"),
    ("source a list", lambda: alpaca(source=["benzinga"]), r"news\[0\].source"),
    ("symbols as text", lambda: alpaca(symbols="AAPL"), r"news\[0\].symbols"),
    ("symbol a number", lambda: alpaca(symbols=[1]), r"news\[0\].symbols"),
    ("the same article twice", lambda: {"news": [alpaca()["news"][0]] * 2}, "stands once"),
    ("symbols gone", lambda: {"news": [without("symbols", alpaca()["news"][0])]}, "field symbols"),
    ("created renamed", lambda: {"news": [without("created_at", alpaca()["news"][0])]}, "field created_at"),
]
TIINGO_CHANGES: list[tuple[str, Callable[[], object], str]] = [
    (
        "no permission",
        lambda: {"detail": "You do not have permission to access the News API"},
        "do not have permission",
    ),
    ("quota", lambda: {"detail": "Error: You have run over your hourly request allocation."}, "hourly request"),
    ("an object", lambda: {"news": tiingo()}, "an array"),
    ("text rows", lambda: ["x"], "an object"),
    ("crawl gone", lambda: [without("crawlDate", tiingo()[0])], "field crawlDate"),
    ("crawl null", lambda: tiingo(crawlDate=None), r"\[0\].crawlDate"),
    ("crawl a date", lambda: tiingo(crawlDate="2024-11-07"), r"\[0\].crawlDate"),
    ("published gone", lambda: [without("publishedDate", tiingo()[0])], "field publishedDate"),
    ("title gone", lambda: [without("title", tiingo()[0])], "field title"),
    ("tickers null", lambda: tiingo(tickers=None), r"\[0\].tickers"),
    ("identifier a fraction", lambda: tiingo(id=1.5), r"\[0\].id"),
    ("the same article twice", lambda: [tiingo()[0]] * 2, "stands once"),
]


@pytest.mark.parametrize(("name", "body", "says"), ALPACA_CHANGES, ids=[name for name, *_ in ALPACA_CHANGES])
def test_changed_schemas_of_alpaca_are_refused_by_place(name: str, body: Callable[[], object], says: str) -> None:
    """F24: fields gone, renamed or of another type."""
    demand_refused(ALPACA, json.dumps(body()).encode(), request(ALPACA).asked, says)


@pytest.mark.parametrize(("name", "body", "says"), TIINGO_CHANGES, ids=[name for name, *_ in TIINGO_CHANGES])
def test_changed_schemas_of_tiingo_are_refused_by_place(name: str, body: Callable[[], object], says: str) -> None:
    """F24: fields gone, renamed or of another type, and refusals that come with status 200."""
    demand_refused(TIINGO, json.dumps(body()).encode(), request(TIINGO).asked, says)


@pytest.mark.parametrize("vendor", [ALPACA, TIINGO], ids=["alpaca", "tiingo"])
def test_long_headlines_are_cut(vendor: AlpacaNews | TiingoNews) -> None:
    """S7: a bound per article; 1,000 characters are kept."""
    body = alpaca(headline="x" * 4000) if vendor is ALPACA else tiingo(title="x" * 4000)
    assert len(str(vendor.parse(json.dumps(body).encode(), request(vendor).asked)["headline"][0])) == 1000


@pytest.mark.shared_data
def test_recorded_articles_of_tiingo() -> None:
    """The cassettes: published 2016-01-11 23:13, crawled 22 hours later; published 16:45:48, crawled 17:57:59 in 2020."""
    google = [Subject("G", "XNAS", "GOOGL"), Subject("A", "XNAS", "AAPL")]
    [(_, question)] = TIINGO.requests(google, window(None, "2021-01-01 00:00"))
    found = TIINGO.parse(cassette("tiingo/news.yaml"), question.asked)
    at = utc("2016-01-12 21:07:28.073309")
    assert rows(found, "headline_id", "source_id", "publisher", "published_at", "known_at") == [
        ("0", "A", "cnbc.com", utc("2016-01-11 23:13"), at),
        ("0", "G", "cnbc.com", utc("2016-01-11 23:13"), at),
    ]
    found = TIINGO.parse(cassette("tiingo/news_empty_sources.yaml"), question.asked)
    assert rows(found, "headline_id", "source_id", "known_at") == [("29484963", "G", utc("2020-10-12 17:57:59.290788"))]
    assert found["headline"] == ["Blockchain Bites: Bitcoin on Ethereum \u2013 The Whos, Whats and Whys"]
    demand_refused(TIINGO, cassette("tiingo/news_bulk.yaml"), question.asked, "do not have permission")


@pytest.mark.shared_data
def test_vendor_written_pages_of_alpaca() -> None:
    """The vendor's own fixtures: article 40432158 of two symbols, then 41799100 of one."""
    pages = [
        e["body"] for e in json.loads(wire("alpaca-py/exchanges.json").read_text()) if e["test"] == "test_get_news"
    ]
    listed = [Subject("A", "XNAS", "AAPL"), Subject("C", "XNYS", "CWAN")]
    [(_, first)] = ALPACA.requests(listed, window(None, "2025-01-01 00:00"))
    bodies = [json.dumps(page).encode() for page in pages]
    found = [rows(ALPACA.parse(body, first.asked), "headline_id", "source_id", "known_at") for body in bodies]
    assert found == [
        [("40432158", "A", utc("2024-08-18 20:15:44"))],
        [("41799100", "C", utc("2024-11-07 09:16:41"))],
    ]
    second = ALPACA.following(first, Response(200, {}, bodies[0]))
    assert second is not None
    assert ALPACA.following(second, Response(200, {}, bodies[1])) is None


BODIES = [(ALPACA, json.dumps(alpaca()).encode()), (TIINGO, json.dumps(tiingo()).encode())]


@pytest.mark.parametrize(("vendor", "content"), BODIES, ids=["alpaca", "tiingo"])
def test_mutated_bodies_are_refused_or_typed(vendor: AlpacaNews | TiingoNews, content: bytes) -> None:
    """F24: no mutation raises anything else or gives untyped rows."""
    outcomes = campaign(vendor, content, request(vendor).asked, seed=7, count=150)
    assert min(outcomes["refused"], outcomes["accepted"]) > 5


@pytest.mark.long
@pytest.mark.parametrize(("vendor", "content"), BODIES, ids=["alpaca", "tiingo"])
def test_ten_thousand_mutated_bodies(vendor: AlpacaNews | TiingoNews, content: bytes) -> None:
    """F24, the whole campaign."""
    assert sum(campaign(vendor, content, request(vendor).asked, seed=8, count=10_000).values()) == 10_000
