"""All declared features in one fixed order: Alpha158 as Qlib has it, then our own. Pure facts, light to import.

Not here: their versions and lookbacks (`catalogue`), what they are worked out with (`plan`, `engine`).
"""

from functools import lru_cache

from marketbot_assets.features.alpha158 import alpha158
from marketbot_assets.features.bar_set import bar_set
from marketbot_assets.features.declaration import Declared
from marketbot_assets.features.filed_set import across_set, filed_set
from marketbot_assets.features.macro_set import macro_set
from marketbot_assets.features.price_set import adjusted_bars, landed_bars, price_set

QLIB = "Yang, Liu, Zhou, Bian and Liu 2020 (Qlib, Alpha158)"
_ALPHA_UNIT = "number"


@lru_cache(maxsize=1)
def declared() -> tuple[Declared, ...]:
    """Every declared feature: Alpha158 in Qlib's order, then our own."""
    alphas = (
        Declared(name, "alpha158", _ALPHA_UNIT, f"Alpha158 {name}", tree, (QLIB,))
        for name, tree in alpha158(adjusted_bars(), own=landed_bars()).items()
    )
    return (*alphas, *price_set(), *bar_set(), *filed_set(), *across_set(), *macro_set())
