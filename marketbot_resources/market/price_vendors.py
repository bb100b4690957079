"""Every vendor of listings, bars, corporate actions and quotes, found by table and name, or by the parser that a body names. Pure.

Not here: which of them are asked, and in what order (the mandate), and how (`marketbot_resources.chain`).
"""

from collections.abc import Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.alpaca import AlpacaPrices
from marketbot_resources.market.alpaca_actions import AlpacaActions
from marketbot_resources.market.alpaca_assets import AlpacaInstruments
from marketbot_resources.market.alpaca_quotes import AlpacaQuotes
from marketbot_resources.market.stooq import StooqPrices
from marketbot_resources.market.tiingo import TiingoActions, TiingoPrices
from marketbot_resources.market.tiingo_listings import TiingoFile, TiingoHead
from marketbot_resources.market.yahoo import YahooActions, YahooInstruments, YahooPrices
from marketbot_resources.provider import Vendor

PRICE_VENDORS: tuple[Vendor, ...] = (
    YahooInstruments(),
    YahooPrices(),
    YahooActions(),
    TiingoHead(),
    TiingoFile(),
    TiingoPrices(),
    TiingoActions(),
    AlpacaInstruments(),
    AlpacaPrices(),
    AlpacaActions(),
    AlpacaQuotes(),
    StooqPrices(),
)


def price_vendors(table: str, names: Sequence[str]) -> list[Vendor]:
    """The vendors of a table, in the order of the names; a name without a vendor of that table is left out."""
    return [vendor for name in names for vendor in PRICE_VENDORS if (vendor.name, vendor.table) == (name, table)]


def price_parser(parser: str) -> Vendor:
    """The vendor whose parser reads a body that was kept with this name and version."""
    for vendor in PRICE_VENDORS:
        if vendor.parser == parser:
            return vendor
    known = ", ".join(sorted(vendor.parser for vendor in PRICE_VENDORS))
    raise ProviderError(f"expected a body for one of the parsers {known}, found {parser}")
