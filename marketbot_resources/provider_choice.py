"""Which adapter serves each port, by the mandate's word; adapters are imported when they are asked for.

A list of vendors becomes a chain over the fetcher of the home; `import` serves from the home's own imports.
Not here: the ports themselves (`provider`), what a vendor asks and reads (`vendors`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources.mandate import Mandate
from marketbot_resources.provider import FundamentalsProvider, MacroProvider, MarketProvider, NewsProvider

if TYPE_CHECKING:
    from marketbot_resources.imports.provider import ImportProvider


def market_of(mandate: Mandate, home: Path, size: int | None) -> MarketProvider:
    """Listings, bars, corporate actions and rates."""
    named = mandate.providers
    if named.market == "sample":
        from marketbot_resources.market.sample import SampleMarket

        return SampleMarket(size=size)
    if named.market == "import":
        return imported(home)
    raise NotImplementedError(named.market)


def macro_of(mandate: Mandate, home: Path) -> MacroProvider:
    """Macro series."""
    if mandate.providers.macro == "sample":
        from marketbot_resources.macro.sample import SampleMacro

        return SampleMacro()
    if mandate.providers.macro == "import":
        return imported(home)
    raise NotImplementedError(mandate.providers.macro)


def fundamentals_of(mandate: Mandate, home: Path, size: int | None) -> FundamentalsProvider:
    """Figures as filed."""
    if mandate.providers.fundamentals == "sample":
        from marketbot_resources.fundamentals.sample import SampleFundamentals

        return SampleFundamentals(size=size)
    return imported(home)


def news_of(mandate: Mandate, home: Path, size: int | None) -> NewsProvider:
    """Headlines."""
    if mandate.providers.news == "sample":
        from marketbot_resources.news.sample import SampleNews

        return SampleNews(size=size)
    return imported(home)


def imported(home: Path) -> "ImportProvider":
    """What was imported into a home."""
    from marketbot_resources.imports.provider import ImportProvider
    from marketbot_resources.ledger.opening import open_ledger
    from marketbot_resources.store.objects import LocalObjects

    return ImportProvider(LocalObjects(home / "store"), open_ledger(home))
