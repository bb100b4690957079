"""Feeds of strangers: RSS and Atom entries known when we read them, and XML that can do nothing."""

import hashlib

import pytest
from vendor_suite import TABLES, campaign, demand_contract, demand_refused, rows, utc, window

from marketbot_resources.errors import ProviderError
from marketbot_resources.news.feeds import Feeds
from marketbot_resources.provider import Response, Subject

FEEDS = Feeds()
ADDRESS = "https://example.com/rss"
LISTING = Subject(ADDRESS, more={"feed": ADDRESS, "listing": "listing:XNAS:AAPL"})
FEED = hashlib.sha256(ADDRESS.encode()).hexdigest()[:8] + ":"
SINCE, UNTIL = "2024-11-06 21:00", "2024-11-07 21:00"
NAMES = ("headline_id", "headline", "publisher", "published_at", "known_at")

RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0">
<channel>
<title>Example Wire</title>
<item>
<title>Apple &amp;amp; &lt;b&gt;friends&lt;/b&gt; gain</title>
<link>https://example.com/1</link>
<guid isPermaLink="false">wire-1</guid>
<pubDate>Thu, 07 Nov 2024 10:30:00 -0500</pubDate>
</item>
<item>
<title><![CDATA[Apple <i>loses</i>]]></title>
<link>https://example.com/2</link>
<pubDate>Wed, 06 Nov 2024 20:00:00 GMT</pubDate>
</item>
<item>
<title>Too old to be news</title>
<guid>wire-0</guid>
<pubDate>Tue, 05 Nov 2024 20:59:59 GMT</pubDate>
</item>
<item>
<title>From tomorrow</title>
<guid>wire-9</guid>
<pubDate>Fri, 08 Nov 2024 00:00:00 GMT</pubDate>
</item>
<item>
<title>Undated</title>
<guid>wire-8</guid>
</item>
</channel>
</rss>
"""
ATOM = b"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom">
<title>Filings</title>
<entry>
<title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">8-K <b>Apple</b></div></title>
<link href="https://example.com/8k"/>
<id>urn:1</id>
<updated>2024-11-07T12:00:00+01:00</updated>
</entry>
<entry>
<title>No identifier</title>
<published>2024-11-07T13:00:00Z</published>
</entry>
</feed>
"""


def asked(since: str | None = SINCE, until: str = UNTIL) -> dict[str, str]:
    [(_, request)] = FEEDS.requests([LISTING], window(since, until))
    return dict(request.asked)


def test_entries_are_known_when_the_feed_was_read() -> None:
    """Law 3: a feed proves nothing about earlier instants; text stays as received; old, future and undated entries wait or go."""
    found = FEEDS.parse(RSS, asked())
    demand_contract(TABLES["raw_news"], found, asked())
    assert rows(found, *NAMES) == [
        (FEED + "https://example.com/2", "Apple <i>loses</i>", "Example Wire", utc("2024-11-06 20:00"), utc(UNTIL)),
        (FEED + "wire-1", "Apple &amp; <b>friends</b> gain", "Example Wire", utc("2024-11-07 15:30"), utc(UNTIL)),
    ]
    assert set(found["source_id"]) == {"listing:XNAS:AAPL"}
    assert len(FEEDS.parse(RSS, asked(None))["headline"]) == 3


def test_atom_entries_have_the_same_columns() -> None:
    """Markup inside of a title is text; an entry without identifier gets one from what it says, the same every time."""
    found = FEEDS.parse(ATOM, asked())
    demand_contract(TABLES["raw_news"], found, asked())
    digest = hashlib.sha256(b"2024-11-07T13:00:00+00:00 No identifier").hexdigest()[:24]
    assert sorted(rows(found, "headline_id", "headline", "publisher", "published_at")) == sorted(
        [
            (FEED + "urn:1", "8-K Apple", "Filings", utc("2024-11-07 11:00")),
            (FEED + digest, "No identifier", "Filings", utc("2024-11-07 13:00")),
        ]
    )


def test_identifiers_are_stable_unique_and_short() -> None:
    """An entry that stands twice is one row; another text under its identifier is another row; a long identifier is a digest."""
    item = b"<item><title>%s</title><guid>%s</guid><pubDate>Thu, 07 Nov 2024 10:00:00 GMT</pubDate></item>"
    items = [item % (b"a", b"same"), item % (b"a", b"same"), item % (b"b", b"same"), item % (b"c", b"x" * 500)]
    body = b"<rss><channel><title>t</title>" + b"".join(items) + b"</channel></rss>"
    found = FEEDS.parse(body, asked())
    other = hashlib.sha256(b"2024-11-07T10:00:00+00:00 b").hexdigest()[:24]
    assert sorted(rows(found, "headline_id", "headline")) == sorted(
        [(f"{FEED}same", "a"), (f"{FEED}same#{other}", "b"), (FEED + hashlib.sha256(b"x" * 500).hexdigest(), "c")]
    )
    assert FEEDS.parse(body, asked()) == found
    elsewhere = FEEDS.parse(body, {**asked(), "feed": "https://example.com/other"})
    assert not set(elsewhere["headline_id"]) & set(found["headline_id"])


def test_only_https_addresses_are_asked() -> None:
    """S8: other schemes never become a request; the contact of the address is the fetcher's business."""
    bad = [Subject(str(n), more={"feed": a}) for n, a in enumerate(("http://example.com", "file:///etc/passwd", ""))]
    [(served, request)] = FEEDS.requests([*bad, LISTING, Subject("none")], window(SINCE, UNTIL))
    assert served == (LISTING,)
    assert request.url == "https://example.com/rss"
    assert FEEDS.following(request, Response(200, {}, RSS)) is None
    with pytest.raises(ProviderError, match="feeds: expected status 200, found 404"):
        FEEDS.following(request, Response(404, {}, b""))


BOMB = b"<!DOCTYPE rss [" + b"".join(
    b"<!ENTITY e%d '%s'>" % (n, b"ha" if n == 0 else b"&e%d;" % (n - 1) * 10) for n in range(10)
)


@pytest.mark.parametrize(
    "content",
    [
        RSS.replace(b"<rss", BOMB + b"]><rss").replace(b"Undated", b"&e9;"),
        RSS.replace(b"<rss", b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss').replace(
            b"Undated", b"&x;"
        ),
        RSS.replace(b"<rss", b'<!DOCTYPE rss SYSTEM "https://example.com/x.dtd"><rss'),
        RSS.replace(b"<rss", b'<!DOCTYPE rss [<!ENTITY % p SYSTEM "https://example.com/p"> %p;]><rss'),
        RSS.decode()
        .replace("UTF-8", "UTF-16")
        .replace("<rss", "<!DOCTYPE rss [<!ENTITY a 'b'>]><rss")
        .encode("utf-16"),
    ],
    ids=["billion laughs", "file", "dtd", "parameter entity", "utf-16"],
)
def test_declarations_are_refused(content: bytes) -> None:
    """S8: no DOCTYPE and no entity, in whatever encoding, is ever expanded or looked up."""
    demand_refused(FEEDS, content, asked(), "DOCTYPE")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html><body><p>Down for maintenance</body></html>", "expected XML"),
        (b"<html><body/></html>", "RSS 2.0 or Atom"),
        (b"", "expected XML"),
        (b'{"items": []}', "expected XML"),
        (RSS.replace(b"</rss>", b""), "expected XML"),
        (RSS.replace(b"<channel>", b"<chanel>").replace(b"</channel>", b"</chanel>"), "RSS 2.0 or Atom"),
        (RSS.replace(b"pubDate", b"date"), "dated entries"),
        (RSS.replace(b"Thu, 07 Nov 2024 10:30:00 -0500", b"yesterday"), "entry 0"),
        (RSS.replace(b"Thu, 07 Nov 2024 10:30:00 -0500", b"Thu, 47 Nov 2024 10:30:00 -0500"), "entry 0"),
        (ATOM.replace(b"+01:00", b""), "entry 0"),
        (RSS.replace(b"gain", b"&unknown;"), "expected XML"),
        (RSS.replace(b"gain", b"&#xD800;"), "expected XML"),
        (b"<rss>" + b"<a>" * 100 + b"</a>" * 100 + b"</rss>", "deep"),
        (b"<rss><channel>" + b"<item/>" * 2001 + b"</channel></rss>", "at most 2000 entries"),
    ],
)
def test_what_is_no_feed_is_refused(content: bytes, says: str) -> None:
    """F24: pages, other data, half a feed, dates that are none, references to nothing, depth and length without end."""
    demand_refused(FEEDS, content, asked(), says)


def test_an_empty_feed_is_no_error() -> None:
    """A listing without entries has no news; that is an answer."""
    found = FEEDS.parse(b"<rss><channel><title>t</title></channel></rss>", asked())
    assert {len(values) for values in found.values()} == {0}


def test_mutated_bodies_are_refused_or_typed() -> None:
    """F24: no mutation raises anything else or gives untyped rows."""
    outcomes = campaign(FEEDS, RSS, asked(), seed=9, count=150)
    assert min(outcomes["refused"], outcomes["accepted"]) > 5


@pytest.mark.long
@pytest.mark.parametrize("content", [RSS, ATOM], ids=["rss", "atom"])
def test_ten_thousand_mutated_bodies(content: bytes) -> None:
    """F24, the whole campaign."""
    assert sum(campaign(FEEDS, content, asked(), seed=10, count=10_000).values()) == 10_000
