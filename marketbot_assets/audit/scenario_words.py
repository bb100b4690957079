"""What each stress scenario is, in a few words. Pure. Not here: what it does to a book (`risk.stress`, `features.scenarios`)."""

from marketbot_assets.features.scenarios import WORST
from marketbot_assets.features.stress_windows import WINDOWS
from marketbot_assets.risk.hypothetical import (
    CURRENCY_SHOCK,
    FED,
    MARKET_SHOCKS,
    NAME_SHOCK,
    SECTOR_SHOCK,
    SHOCKED_NAMES,
    STRESSED_CORRELATION,
    STRESSED_VOLATILITY,
)

SECTOR = "Y3 "
_WORDS = {
    **{window.name: f"{window.start:%Y-%m} to {window.end:%Y-%m}" for window in WINDOWS},
    **{name: f"market -{shock:.0%}" for name, shock in MARKET_SHOCKS},
    FED: "severely adverse",
    WORST: "worst in 20 years",
    "Y5": f"{SHOCKED_NAMES} largest names -{NAME_SHOCK:.0%}",
    "Y6": f"volatility x{STRESSED_VOLATILITY:.0f}, all at {STRESSED_CORRELATION}",
    "Y7": f"base currency ±{CURRENCY_SHOCK:.0%}",
}
SPEAKING = frozenset({"Y9 broker down", "Y1 -10 %", "Y1 -20 %"})


def scenario_words(name: str) -> str:
    """`H2008: 2007-10 to 2009-03`; a name that says it all, or that is not known here, stays as it is."""
    if name.startswith(SECTOR):
        return f"{name} -{SECTOR_SHOCK:.0%}"
    plain = name.replace("_", " ")
    return f"{plain}: {_WORDS[name]}" if name in _WORDS and name not in SPEAKING else plain
