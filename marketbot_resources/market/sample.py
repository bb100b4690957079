"""The market provider of the sample world. `transform` corrupts what it serves, for tests: a failing twin at the port."""

import datetime as dt

from marketbot_resources import calendars
from marketbot_resources.market.listings import real_listings, simulated_listings
from marketbot_resources.market.sample_world import (
    FIRST,
    SIMULATED_FIRST,
    YOUNG_FIRST,
    action_shelf,
    fx_shelf,
    price_shelf,
    world,
)
from marketbot_resources.market.shelf import Transform, csv_bytes
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body, Delivery, whole

USD_PER_UNIT = {
    "USD": 1.0,
    "GBX": 0.0127,
    "EUR": 1.14,
    "JPY": 0.0090,
    "HKD": 0.1277,
}  # end of 2018, for share counts only


class SampleMarket:
    """Listings, bars, corporate actions and rates of the sample world with `size` listings (None: the standard world)."""

    def __init__(self, size: int | None = None, transform: Transform | None = None) -> None:
        self._size = size
        self._transform = transform

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """Listings that had begun to trade at the instant."""
        import pyarrow as pa

        rows = []
        closes = {
            bars.listing.source_id: float(bars.close[min(len(bars.close) - 1, -1)]) for bars in world(self._size).bars
        }
        for listing in [*real_listings(), *simulated_listings(self._size)]:
            first = FIRST if listing.real else SIMULATED_FIRST
            first = YOUNG_FIRST if listing.young else first
            first = dt.date(2014, 1, 2) if listing.kind == "FUND" else first
            begins = calendars.open_at(
                listing.mic, calendars.sessions(listing.mic, first, first + dt.timedelta(days=14))[0]
            )
            if begins > as_of:
                continue
            price = closes[listing.source_id] * USD_PER_UNIT[listing.currency]
            rows.append(
                {
                    "source_id": listing.source_id,
                    "ticker": listing.ticker,
                    "name": listing.name,
                    "mic": listing.mic,
                    "currency": listing.currency,
                    "country": listing.country,
                    "sector": listing.sector,
                    "kind": listing.kind,
                    "issuer": listing.name,
                    "quantity_step": str(listing.lot),
                    "tick_size": str(listing.tick),
                    "listed_on": first,
                    "delisted_on": None,
                    "shares_outstanding": round(listing.cap_usd / price),
                    "known_at": begins,
                    "synthetic": True,
                }
            )
        schema = pa.schema(
            [
                *(
                    (name, pa.string())
                    for name in ("source_id", "ticker", "name", "mic", "currency", "country", "sector")
                ),
                *((name, pa.string()) for name in ("kind", "issuer", "quantity_step", "tick_size")),
                ("listed_on", pa.date32()),
                ("delisted_on", pa.date32()),
                ("shares_outstanding", pa.float64()),
                ("known_at", pa.timestamp("us", tz="UTC")),
                ("synthetic", pa.bool_()),
            ]
        )
        content = csv_bytes(pa.Table.from_pylist(rows, schema=schema))
        content = self._transform("instruments", content) if self._transform else content
        return whole(Body("sample", f"sample://instruments?as_of={utc_text(as_of)}", "text/csv", 200, content))

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Daily bars."""
        return whole(price_shelf(self._size).body(since, until, self._transform))

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Splits and dividends by announcement."""
        return whole(action_shelf(self._size).body(since, until, self._transform))

    def probe(self, mic: str) -> "SampleMarket":
        """Itself: asking costs nothing."""
        return self

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates."""
        return whole(fx_shelf().body(since, until, self._transform))
