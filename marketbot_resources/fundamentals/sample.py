"""The fundamentals provider of the sample world: invented figures, filed 45 days after each quarter, now and then restated."""

import datetime as dt
from functools import lru_cache

import numpy as np

from marketbot_resources.currencies import major_unit
from marketbot_resources.market.listings import SampleListing, generator, real_listings, simulated_listings
from marketbot_resources.market.shelf import Shelf, Transform
from marketbot_resources.provider import Delivery, whole

FIRST_YEAR, LAST_YEAR = 2013, 2022
FILED_AFTER = dt.timedelta(days=45)
RESTATED_SHARE = 0.03
USD_RATES = {"USD": 1.0, "GBP": 1.30, "EUR": 1.15, "JPY": 0.0091, "HKD": 0.128}
Row = tuple[str, str, dt.date, float, str, str, dt.datetime, bool]


def _quarter_ends() -> list[dt.date]:
    ends = [
        dt.date(y, m, d) for y in range(FIRST_YEAR, LAST_YEAR + 1) for m, d in ((3, 31), (6, 30), (9, 30), (12, 31))
    ]
    return ends[:-1]


def _rows(listing: SampleListing) -> list[Row]:
    """Quarterly figures that grow slowly and agree with the market capitalisation at the end of 2018."""
    draw = generator("fundamentals", listing.source_id)
    currency = major_unit(listing.currency)[0]
    cap = listing.cap_usd / USD_RATES[currency]
    book, earn = float(draw.uniform(0.15, 1.1)), float(draw.uniform(0.02, 0.095))
    gross, lever, growth = (
        float(draw.uniform(0.12, 0.45)),
        float(draw.uniform(0.2, 1.4)),
        float(draw.uniform(-0.01, 0.025)),
    )
    rows: list[Row] = []
    for number, end in enumerate(_quarter_ends()):
        scale = cap * float(np.exp(growth * (number - 23) / 4 * 4 / 4 + 0.02 * draw.standard_normal()))
        equity, debt = book * scale, lever * book * scale
        income = earn * scale * (1 + 0.1 * float(draw.standard_normal()))
        figures = {
            "EQUITY": equity,
            "NET_INCOME": income,
            "GROSS_PROFIT": gross * (equity + debt),
            "TOTAL_ASSETS": equity + debt,
            "TOTAL_DEBT": debt,
        }
        filed = dt.datetime(end.year, end.month, end.day, 21, 30, tzinfo=dt.UTC) + FILED_AFTER
        form = "10-Q" if end.month != 12 else "10-K"
        rows += [(listing.source_id, f, end, float(round(v)), currency, form, filed, True) for f, v in figures.items()]
        if draw.random() < RESTATED_SHARE:
            again = filed + dt.timedelta(days=60)
            rows.append(
                (listing.source_id, "NET_INCOME", end, float(round(0.93 * income)), currency, form + "/A", again, True)
            )
    return rows


@lru_cache(maxsize=4)
def filing_shelf(size: int | None) -> Shelf:
    """All figures by filing."""
    import pyarrow as pa

    listings = [x for x in [*real_listings(), *simulated_listings(size)] if x.kind == "EQUITY"]
    columns = list(zip(*(row for listing in listings for row in _rows(listing)), strict=True))
    names = ("source_id", "field", "period_end", "value", "currency", "form", "known_at", "synthetic")
    types = (
        pa.string(),
        pa.string(),
        pa.date32(),
        pa.float64(),
        pa.string(),
        pa.string(),
        pa.timestamp("us", tz="UTC"),
        pa.bool_(),
    )
    return Shelf("filings", pa.table({n: pa.array(c, type=t) for n, c, t in zip(names, columns, types, strict=True)}))


class SampleFundamentals:
    """Figures of the sample world."""

    def __init__(self, size: int | None = None, transform: Transform | None = None) -> None:
        self._size = size
        self._transform = transform

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Figures by filing instant."""
        return whole(filing_shelf(self._size).body(since, until, self._transform))
