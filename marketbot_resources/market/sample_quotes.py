"""Quotes of the sample world while its exchanges trade: a seeded path through the session's own bar. All of them are simulated."""

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from marketbot_resources import calendars
from marketbot_resources.market.listings import generator
from marketbot_resources.market.sample_world import Bars, world
from marketbot_resources.market.shelf import Transform, csv_bytes
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body, Delivery, whole

HALF_SPREAD = 2e-4
AGE_SECONDS_MAX = 30
COLUMNS = ("source_id", "currency", "bid", "ask", "last", "quoted_at", "known_at", "synthetic")


class SampleQuotes:
    """The quote provider of the sample world; `transform` corrupts what it serves, for tests."""

    def __init__(self, size: int | None = None, transform: Transform | None = None) -> None:
        self._bars = {bars.listing.source_id: bars for bars in world(size).bars}
        self._transform = transform

    def quotes(self, source_ids: Sequence[str], at: dt.datetime) -> Delivery:
        """One quote per listing whose exchange trades at the instant and has a bar of that session."""
        import pyarrow as pa

        rows = [row for name in sorted(source_ids) if name in self._bars for row in _quote(self._bars[name], at)]
        instant = pa.timestamp("us", tz="UTC")
        kinds = [pa.string(), pa.string(), *[pa.float64()] * 3, instant, instant, pa.bool_()]
        schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
        content = csv_bytes(pa.Table.from_pylist(rows, schema=schema))
        content = self._transform("quotes", content) if self._transform else content
        return whole(Body("sample", f"sample://quotes?at={utc_text(at)}", "text/csv", 200, content))


def _quote(bars: Bars, at: dt.datetime) -> list[dict[str, object]]:
    listing = bars.listing
    session = calendars.session_at(listing.mic, at)
    place = _places(listing.source_id, bars.sessions).get(session) if session is not None else None
    if session is None or place is None:
        return []
    draw = generator("quotes", listing.source_id, utc_text(at))
    quoted_at = at - dt.timedelta(seconds=int(draw.integers(0, AGE_SECONDS_MAX)))
    opens, closes = calendars.open_at(listing.mic, session), calendars.close_at(listing.mic, session)
    share = min(max((quoted_at - opens) / (closes - opens), 0.0), 1.0)
    corners = [float(getattr(bars, name)[place]) for name in ("open", "high", "low", "close")]
    if generator("path", listing.source_id, session.isoformat()).random() < 0.5:
        corners[1], corners[2] = corners[2], corners[1]
    last = float(np.interp(share, [0.0, 0.3, 0.7, 1.0], corners))
    bid, ask = (float(round(last * factor, 6)) for factor in (1.0 - HALF_SPREAD, 1.0 + HALF_SPREAD))
    values = (listing.source_id, listing.currency, bid, ask, round(last, 6), max(quoted_at, opens), at, True)
    return [dict(zip(COLUMNS, values, strict=True))]


@lru_cache(maxsize=256)
def _places(source_id: str, sessions: tuple[dt.date, ...]) -> dict[dt.date, int]:
    return {day: place for place, day in enumerate(sessions)}
