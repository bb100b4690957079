"""Which adapter serves each port, by the mandate's word; adapters are imported when they are asked for.

A list of vendors becomes a chain over the fetcher of the home; `import` serves from the home's own imports, `none` nothing.
Not here: the ports themselves (`provider`), what a vendor asks and reads (`vendors`).
"""

import datetime as dt
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources.errors import ProviderError
from marketbot_resources.mandate import Mandate
from marketbot_resources.provider import (
    Body,
    Delivery,
    FundamentalsProvider,
    MacroProvider,
    MarketProvider,
    NewsProvider,
    QuoteProvider,
    Subject,
    whole,
)
from marketbot_resources.vendors import vendors

if TYPE_CHECKING:
    from marketbot_resources.fetch.fetcher import Fetcher
    from marketbot_resources.imports.provider import ImportProvider
    from marketbot_resources.mandate import SyntheticWorld as SyntheticSection
    from marketbot_resources.synthetic.provider import SyntheticWorld
    from marketbot_resources.vendor_ports import Asked, Rates

SEED_OF_JITTER = 20181001
KNOWN_OF_LISTINGS = ("kind", "name", "quantity_step")
_FETCHERS: dict[Path, tuple[tuple[tuple[str, int], ...], "Fetcher"]] = {}


def market_of(mandate: Mandate, home: Path, size: int | None) -> MarketProvider:
    """Listings, bars, corporate actions and rates."""
    from marketbot_resources.vendor_ports import RatesFrom, VendorMarket, listings

    named, rates = mandate.providers, _rates_of(mandate, home, size)
    if isinstance(named.market, str):
        market = _whole_market(mandate, home, size)
        return market if rates is None else RatesFrom(market, rates)
    listed_by = imported(home) if named.instruments == "import" else None
    return VendorMarket(_asked(mandate, home), mandate, listings(mandate, known_listings(home)), listed_by, rates)


def _whole_market(mandate: Mandate, home: Path, size: int | None) -> MarketProvider:
    if mandate.providers.market == "sample":
        from marketbot_resources.market.sample import SampleMarket

        return SampleMarket(size=size)
    if mandate.providers.market == "import":
        return imported(home)
    return synthetic(mandate.providers.synthetic).market


def _rates_of(mandate: Mandate, home: Path, size: int | None) -> "Rates | None":
    """Where the rates come from when it is not the market itself."""
    chain = mandate.providers.fx
    if chain is None or chain == mandate.providers.market:
        return None
    if chain == "import":
        return imported(home).fx
    if chain == "sample":
        from marketbot_resources.market.sample import SampleMarket

        return SampleMarket(size=size).fx
    from marketbot_resources.vendor_ports import rates_of_vendors

    return rates_of_vendors(_asked(mandate, home), chain)


def macro_of(mandate: Mandate, home: Path) -> MacroProvider:
    """Macro series."""
    named = mandate.providers.macro
    if named == "sample":
        from marketbot_resources.macro.sample import SampleMacro

        return SampleMacro()
    if named == "import":
        return imported(home)
    if named == "synthetic":
        return synthetic(mandate.providers.synthetic).macro
    from marketbot_resources.macro.fred import SERIES
    from marketbot_resources.vendor_ports import VendorMacro

    return VendorMacro(_asked(mandate, home), named, tuple(SERIES))


def fundamentals_of(mandate: Mandate, home: Path, size: int | None) -> FundamentalsProvider:
    """Figures as filed."""
    named = mandate.providers.fundamentals
    if named == "sample":
        from marketbot_resources.fundamentals.sample import SampleFundamentals

        return SampleFundamentals(size=size)
    if named == "none":
        return Nothing()
    if named == "import":
        return imported(home)
    if named == "synthetic":
        return synthetic(mandate.providers.synthetic).fundamentals
    from marketbot_resources.vendor_ports import VendorFundamentals, listings

    return VendorFundamentals(_asked(mandate, home), named, listings(mandate))


def news_of(mandate: Mandate, home: Path, size: int | None) -> NewsProvider:
    """Headlines."""
    named = mandate.providers.news
    if named == "sample":
        from marketbot_resources.news.sample import SampleNews

        return SampleNews(size=size)
    if named == "none":
        return Nothing()
    if named == "import":
        return imported(home)
    if named == "synthetic":
        return synthetic(mandate.providers.synthetic).news
    from marketbot_resources.model import listing_id
    from marketbot_resources.vendor_ports import VendorNews, listings

    feeds = [
        Subject(feed.address, more={"feed": feed.address, "listing": listing_id(feed.mic, feed.ticker)})
        for feed in mandate.providers.feeds
    ]
    return VendorNews(_asked(mandate, home), named, listings(mandate), feeds)


def known_listings(home: Path) -> dict[str, dict[str, str]]:
    """What a home knows of its listings, by source id, as strings: some vendors cannot describe a listing without it."""
    from marketbot_resources.store.index import STATIC
    from marketbot_resources.store.index_opening import has_index
    from marketbot_resources.store.lake import open_lake

    if not has_index(home):
        return {}
    lake = open_lake(home)
    rows = [lake.index.newest("instrument_history", STATIC), *lake.index.up_to("instruments", "9999")]
    newest = rows[-1]
    if newest is None:
        return {}
    return {
        str(row["source_id"]): {name: str(row[name]) for name in KNOWN_OF_LISTINGS if row[name] not in (None, "")}
        | {"listed_on": str(row["listed_on"])[:10]}
        for row in lake.records(newest)
    }


@lru_cache(maxsize=2)
def synthetic(given: "SyntheticSection") -> "SyntheticWorld":
    """The synthetic world of the mandate, made once per process. Raises UsageError for a size or range that it cannot have."""
    from marketbot_resources.synthetic.provider import SyntheticWorld
    from marketbot_resources.synthetic.spec import WorldSpec

    return SyntheticWorld(WorldSpec(given.instruments, given.exchanges, given.first, given.last, given.seed))


class Nothing:
    """No figures and no headlines, because the mandate asks for none: tables without rows."""

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """No figures."""
        return _empty("fundamentals")

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """No headlines."""
        return _empty("news")


def _empty(kind: str) -> Delivery:
    from marketbot_resources.imports.forms import FORMS

    return whole(Body("none", f"none://{kind}", "text/csv", 200, (",".join(FORMS[kind].types) + "\n").encode()))


def quotes_of(mandate: Mandate, home: Path, size: int | None) -> QuoteProvider:
    """Quotes while exchanges trade. Raises ProviderError when no adapter of the market's provider serves any."""
    named = mandate.providers.market
    if mandate.providers.market == "sample":
        from marketbot_resources.market.sample_quotes import SampleQuotes

        return SampleQuotes(size=size)
    if isinstance(named, tuple) and vendors("raw_quotes", named):
        from marketbot_resources.vendor_ports import VendorQuotes, listings

        return VendorQuotes(_asked(mandate, home), named, listings(mandate))
    raise ProviderError(
        f"intraday: expected a market provider that serves quotes (sample, alpaca), found {mandate.providers.market!r}; "
        "take the key `intraday` out of the mandate"
    )


def imported(home: Path) -> "ImportProvider":
    """What was imported into a home."""
    from marketbot_resources.imports.provider import ImportProvider
    from marketbot_resources.ledger.opening import open_ledger
    from marketbot_resources.store.opening import open_objects

    return ImportProvider(open_objects(home), open_ledger(home))


def _asked(mandate: Mandate, home: Path) -> "Asked":
    """Chains over the fetcher of a home, which lasts as long as the process: equal requests of a run are sent once."""
    from marketbot_resources.vendor_ports import Asked

    limits = tuple(sorted(mandate.providers.daily_requests.items()))
    known = _FETCHERS.get(home)
    if known is None or known[0] != limits:
        known = _FETCHERS[home] = (limits, _fetcher(home, dict(limits)))
    return Asked(known[1], lambda: _fetcher(home, dict(limits)))


def _fetcher(home: Path, daily_requests: dict[str, int]) -> "Fetcher":
    import random
    from dataclasses import replace

    from marketbot_resources import settings
    from marketbot_resources.fetch.fetcher import Fetcher
    from marketbot_resources.fetch.policy import FEED_TERMS, Policy, Terms
    from marketbot_resources.fetch.states import ProviderStates

    terms = {"feeds": FEED_TERMS, **{name: Terms(per_day=count) for name, count in daily_requests.items()}}
    if "feeds" in daily_requests:
        terms["feeds"] = replace(FEED_TERMS, per_day=daily_requests["feeds"])
    return Fetcher(
        Policy(terms=terms), ProviderStates(home), secret=settings.variable, rng=random.Random(SEED_OF_JITTER)
    )
