"""Which vendors exist: name -> the modules that describe their tables. Each module has `VENDORS`; nothing else is imported.

A parser is named `<vendor>-<what>/<version>`; the parsers of old versions stay in their module's `VENDORS` or `OLD_PARSERS`, so
bodies stored years ago can be read again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module

from marketbot_resources.errors import ProviderError
from marketbot_resources.provider import Columns, Vendor

Parser = Callable[[bytes, Mapping[str, str]], Columns]
MODULES: Mapping[str, tuple[str, ...]] = {
    "yahoo": ("market.yahoo", "market.yahoo_index"),
    "tiingo": ("market.tiingo", "market.tiingo_listings", "news.tiingo"),
    "alpaca": ("market.alpaca", "market.alpaca_actions", "market.alpaca_assets", "market.alpaca_quotes", "news.alpaca"),
    "stooq": ("market.stooq",),
    "ecb": ("market.ecb",),
    "eurofxref": ("market.ecb",),
    "fred": ("macro.fred",),
    "sec": ("fundamentals.sec", "fundamentals.sec_issuers"),
    "feeds": ("news.feeds",),
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "yahoo": (),
    "tiingo": ("TIINGO_API_KEY",),
    "alpaca": ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"),
    "stooq": (),
    "ecb": (),
    "eurofxref": (),
    "fred": ("FRED_API_KEY",),
    "sec": ("SEC_USER_AGENT",),
    "feeds": (),
}  # environment variables that a vendor cannot do without; a test compares them with what its requests name


@lru_cache(maxsize=32)
def vendors_of(name: str) -> tuple[Vendor, ...]:
    """Everything that one vendor offers, a table each. Raises ProviderError for a vendor that no module describes."""
    if name not in MODULES:
        raise ProviderError(f"vendor: expected one of {', '.join(sorted(MODULES)) or 'none yet'}, found {name!r}")
    found: list[Vendor] = []
    for module in MODULES[name]:
        found += import_module(f"marketbot_resources.{module}").VENDORS
    return tuple(found)


def vendors(table: str, names: Sequence[str]) -> list[Vendor]:
    """The descriptions of a table, in the order of the names; a name without that table is left out."""
    return [one for name in names for one in vendors_of(name) if (one.name, one.table) == (name, table)]


@lru_cache(maxsize=64)
def parser_of(parser: str) -> Parser:
    """The function behind a parser's name and version. Raises ProviderError for one that is not known."""
    name = parser.split("-")[0].split("/")[0]
    for one in vendors_of(name):
        if one.parser == parser:
            return one.parse
    for module in MODULES[name]:
        old: Mapping[str, Parser] = getattr(import_module(f"marketbot_resources.{module}"), "OLD_PARSERS", {})
        if parser in old:
            return old[parser]
    raise ProviderError(f"parser: expected one of vendor {name}, found {parser!r}")
