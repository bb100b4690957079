"""What a declared feature is: name, formula, unit and references; lookback, inputs and version follow from the formula. Pure facts.

Not here: the features (`alpha158`, `price_set`, `filed_set`, `macro_set`), all of them together (`catalogue`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marketbot_assets.features.expression import Node

PRICE, FILED, MACRO = "prices", "fundamentals", "macro"


@dataclass(frozen=True, slots=True)
class Given:
    """One input. `series`: one value per session for all instruments; `known`: when a value may be read for the first time."""

    name: str
    source: str
    unit: str
    known: str
    series: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """One feature as a formula. `references`: papers or books that define it; empty for plain facts."""

    name: str
    group: str
    unit: str
    description: str
    tree: Node
    references: tuple[str, ...] = ()


_BAR = "exchange close plus the provider's lag"
_FILED = "instant of the filing"
_RELEASED = "instant of the release"
FIGURES = ("EQUITY", "NET_INCOME", "GROSS_PROFIT", "TOTAL_ASSETS", "TOTAL_DEBT")
BEFORE = "_YEAR_BEFORE"
SERIES = ("SP500", "VIX", "WTI", "US10Y", "US2Y", "CORE_CPI", "AAA", "BAA")
DOLLAR = "DOLLAR"
SHARES = "shares"
INPUTS: Mapping[str, Given] = {
    given.name: given
    for given in (
        *(Given(name, PRICE, "listing currency", _BAR) for name in ("open", "high", "low", "close")),
        Given("volume", PRICE, "shares", _BAR),
        Given("fresh", PRICE, "1 where a bar landed, else 0", _BAR),
        Given("last_close", PRICE, "listing currency, of the newest bar known", _BAR),
        Given("total_return", PRICE, "fraction per session, listing currency", _BAR),
        Given("base_return", PRICE, "fraction per session, base currency", _BAR),
        Given("fx", PRICE, "base per unit of the listing currency", "fixing plus the provider's lag"),
        Given(SHARES, FILED, "shares", _FILED),
        *(Given(name, FILED, "listing currency", _FILED) for name in FIGURES),
        *(Given(name + BEFORE, FILED, "listing currency", _FILED) for name in FIGURES),
        *(Given(name, MACRO, "as released", _RELEASED, series=True) for name in SERIES),
        Given(DOLLAR, PRICE, "fraction per session", "fixing plus the provider's lag", series=True),
    )
}
SERIES_INPUTS = frozenset(name for name, given in INPUTS.items() if given.series)
