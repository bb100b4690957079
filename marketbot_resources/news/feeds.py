"""Headlines of news feeds (RSS 2.0 and Atom) whose addresses the user names, each for one listing.

`Subject.source_id` names the feed, `more["feed"]` is its address (https only; the fetcher guards where it leads), `more["listing"]`
the listing's source id. Identifiers begin with a digest of the address, since two feeds may call two entries the same.
Known at: the window's end, when we read the feed: a feed proves nothing about earlier instants. A feed shows an entry for days
and does not say when it appeared, so entries published before SEEN_LATE ahead of the window are left out as seen before, and an
entry of that margin may come in two windows under one identifier. An entry dated after the window comes in a later one.
Undated entries are left out; a feed without any dated entry is refused.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import Element

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.vendor_json import Json, shown
from marketbot_resources.news.linked import HEADLINE_MAX, ID_MAX, PUBLISHER_MAX, Headline, columns
from marketbot_resources.provider import Columns, Request, Response, Subject, Window
from marketbot_resources.vendor_body import demand_ok, read_xml, window_asked, window_of

ATOM = "{http://www.w3.org/2005/Atom}"
ACCEPT = {"Accept": "application/rss+xml, application/atom+xml, application/xml, text/xml"}
SEEN_LATE = dt.timedelta(days=1)
ENTRIES_MAX = 2000


class Feeds:
    """Entries of a listing's feed."""

    name, table, parser = "feeds", "raw_news", "feeds/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per listing that has a feed with an https address."""
        out = []
        for subject in subjects:
            address = subject.more.get("feed", "")
            if address.startswith("https://"):
                listing = subject.more.get("listing", subject.source_id)
                asked = {"source_id": listing, "feed": address, **window_asked(window)}
                out.append(((subject,), Request(address, headers=ACCEPT, asked=asked)))
        return out

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        demand_ok(self.name, response)
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Entries published in the window or shortly before it."""
        root, window = read_xml(self.name, content), window_of(asked)
        entries, publisher = _entries(root)
        feed = hashlib.sha256(asked["feed"].encode()).hexdigest()[:8]
        rows: dict[str, Headline] = {}
        dated = 0
        for number, entry in enumerate(entries):
            published = _published(entry, number)
            dated += published is not None
            if published is None or not _wanted(published, window):
                continue
            title = _text(entry, "title", f"{ATOM}title")
            headline_id = f"{feed}:{_identifier(entry, title, published)}"
            same = rows.get(headline_id)
            if same is not None and (same.headline, same.published_at) != (title[:HEADLINE_MAX], published):
                headline_id += "#" + _digest(title, published)
            rows[headline_id] = Headline(
                headline_id, asked["source_id"], title[:HEADLINE_MAX], publisher, published, window.until
            )
        if entries and not dated:
            raise ProviderError(f"{self.name}: expected dated entries in {shown(asked['feed'])}, found none")
        return columns(rows.values())


def _wanted(published: dt.datetime, window: Window) -> bool:
    return (window.since is None or published > window.since - SEEN_LATE) and published <= window.until


def _entries(root: Element) -> tuple[list[Element], str]:
    """Entries and the feed's own title."""
    if root.tag == "rss" and (channel := root.find("channel")) is not None:
        entries, feed = channel.findall("item"), channel
    elif root.tag == f"{ATOM}feed":
        entries, feed = root.findall(f"{ATOM}entry"), root
    else:
        raise ProviderError(f"feeds: expected RSS 2.0 or Atom, found the element {shown(root.tag)}")
    if len(entries) > ENTRIES_MAX:
        raise ProviderError(f"feeds: expected at most {ENTRIES_MAX} entries, found {len(entries)}")
    return entries, _text(feed, "title", f"{ATOM}title")[:PUBLISHER_MAX]


def _text(element: Element, *names: str) -> str:
    """Text of the first child of these names, with what stands in elements inside of it; empty when there is none."""
    child = next((found for name in names if (found := element.find(name)) is not None), None)
    return "" if child is None else "".join(child.itertext()).strip()


def _published(entry: Element, number: int) -> dt.datetime | None:
    """The publisher's stamp in UTC, None for an entry without one. Raises ProviderError for a stamp that cannot be read."""
    stamp = _text(entry, "pubDate")
    iso = _text(entry, f"{ATOM}published", f"{ATOM}updated")
    if not stamp and not iso:
        return None
    place = f"entry {number}"
    return _rfc822(Json(stamp, "feeds", place)) if stamp else Json(iso, "feeds", place).instant()


def _rfc822(stamp: Json) -> dt.datetime:
    """An instant as e-mail writes it, UTC; -0000 and no zone are UTC by RFC 2822."""
    try:
        at = parsedate_to_datetime(stamp.text(100))
        return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise stamp.wrong("a date as in RFC 822") from error


def _identifier(entry: Element, title: str, published: dt.datetime) -> str:
    """The entry's own identifier, else its link, else a digest of what it says; a long one by its digest."""
    link = entry.find(f"{ATOM}link")
    own = _text(entry, "guid", f"{ATOM}id") or _text(entry, "link") or ("" if link is None else link.get("href", ""))
    if not own:
        return _digest(title, published)
    return own if len(own) <= ID_MAX else hashlib.sha256(own.encode()).hexdigest()


def _digest(title: str, published: dt.datetime) -> str:
    return hashlib.sha256(f"{published.isoformat()} {title}".encode()).hexdigest()[:24]


VENDORS = (Feeds(),)
