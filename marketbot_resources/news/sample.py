"""The news provider of the sample world: invented headlines from templates, a few a session, some repeated."""

import datetime as dt
from functools import lru_cache

from marketbot_resources import calendars
from marketbot_resources.market.listings import generator, real_listings, simulated_listings
from marketbot_resources.market.shelf import Shelf, Transform
from marketbot_resources.provider import Delivery, whole

FIRST, LAST = dt.date(2014, 1, 2), dt.date(2022, 12, 28)
PER_SESSION_MAX, REPEATED_SHARE = 3, 0.15
PUBLISHERS = ("Sample Wire", "Demo Dispatch", "Example Ledger")
TEMPLATES = (
    "{name} beats expectations and raises its outlook",
    "{name} wins a large contract, shares gain",
    "{name} reports record growth in its main business",
    "{name} warns of weaker demand in the coming quarter",
    "{name} cuts its outlook after a loss",
    "{name} faces a probe over its accounts",
    "{name} names a new head of finance",
    "{name} holds its annual meeting",
)


@lru_cache(maxsize=4)
def headline_shelf(size: int | None) -> Shelf:
    """All headlines by crawl time."""
    import pyarrow as pa

    draw, rows = generator("news"), []
    listings = [x for x in [*real_listings(), *simulated_listings(size)] if x.kind == "EQUITY"]
    for day in calendars.sessions("XNYS", FIRST, LAST):
        for number in range(int(draw.integers(1, PER_SESSION_MAX + 1))):
            listing = listings[int(draw.integers(len(listings)))]
            text = TEMPLATES[int(draw.integers(len(TEMPLATES)))].format(name=listing.name)
            seconds = int(draw.integers(6 * 3600, 20 * 3600))
            published = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
            first = int(draw.integers(len(PUBLISHERS)))
            for copy in range(1 + int(draw.random() < REPEATED_SHARE)):
                name = f"{day:%Y%m%d}-{number}-{copy}"
                crawled = published + dt.timedelta(minutes=4 + 11 * copy)
                publisher = PUBLISHERS[(first + copy) % len(PUBLISHERS)]
                rows.append((name, listing.source_id, text, publisher, published, crawled, True))
    names = ("headline_id", "source_id", "headline", "publisher", "published_at", "known_at", "synthetic")
    stamp = pa.timestamp("us", tz="UTC")
    types = (pa.string(), pa.string(), pa.string(), pa.string(), stamp, stamp, pa.bool_())
    columns = list(zip(*rows, strict=True))
    return Shelf("headlines", pa.table({n: pa.array(c, type=t) for n, c, t in zip(names, columns, types, strict=True)}))


class SampleNews:
    """Headlines of the sample world."""

    def __init__(self, size: int | None = None, transform: Transform | None = None) -> None:
        self._size = size
        self._transform = transform

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Headlines by crawl time."""
        return whole(headline_shelf(self._size).body(since, until, self._transform))
