"""One session of a book against its benchmark, as every attribution of the excess reads it: a named type, how it is filled. Pure.

What was held at the start earned price, fx and dividend; fills against the close are `trading`, fees and taxes `costs`. Markets are
(sector, currency) pairs, cash is the sector CASH of its currency. Not here: the effects (`excess_models`), where rows are stored.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from marketbot_assets.audit.factor_effects import factor_effects
from marketbot_assets.book.schema import CASH
from marketbot_assets.features.factor_model import cross_section_weights
from marketbot_assets.features.factor_regression import cross_sections, sector_constraint
from marketbot_assets.features.model import FactorModel

Market = tuple[str, str]
SPECIFIC = "specific"
PARTS = ("price", "dividend", "trading", "fee", "tax")


@dataclass(frozen=True, slots=True)
class FactorMove:
    """What the factors did to the excess of one session: name -> (own exposure, active exposure, factor return), and the rest.

    `specific`: sum of active weights times what the factors leave of each return. Exposures are those of the session before.
    """

    factors: Mapping[str, tuple[float, float, float]]
    specific: float

    @property
    def total(self) -> float:
        """The excess of the names that the model knows."""
        return math.fsum([*(active * move for _, active, move in self.factors.values()), self.specific])


@dataclass(frozen=True, slots=True)
class Compared:
    """One session. Fractions of the NAV with which it began, simple returns.

    `weights`: market -> what was held at the start, cash aside but for that of foreign currencies; `local`: market -> what that
    earned but for its currency, at the rate before; `moves`: currency -> move of base per unit; `benchmark`: market -> (weight,
    local return), empty where it is not known; `factors`: None where it is not known; `cash`: currency -> what its cash earned,
    without those whose rate is not known.
    """

    returned: float
    benchmark_returned: float
    weights: Mapping[Market, float]
    local: Mapping[Market, float]
    moves: Mapping[str, float]
    trading: float
    costs: float
    benchmark: Mapping[Market, tuple[float, float]]
    base_currency: str
    factors: FactorMove | None = None
    cash: Mapping[str, float] = field(default_factory=dict)


def compared(
    returned: float,
    benchmark_returned: float,
    begun: float,
    rows: Iterable[Mapping[str, object]],
    values: Mapping[str, float],
    moves: Mapping[str, float],
    benchmark: Mapping[Market, tuple[float, float]],
    base_currency: str,
    factors: FactorMove | None = None,
    cash: Mapping[str, float] | None = None,
) -> Compared:
    """`rows`: rows of instruments and cash of ATTRIBUTION; `values`: instrument or CASH:currency -> value before, base currency;
    `begun`: NAV before and the owner's flow; `moves`: currency -> simple move of base per unit since the session before;
    `cash`: currency -> simple return of its cash, without those that are not known.
    """
    weights: dict[Market, list[float]] = {}
    local: dict[Market, list[float]] = {}
    trading, costs = [], []
    for row in rows:
        name, key = str(row["name"]), (str(row["sector"]), str(row["currency"]))
        price, dividend, traded, fee, tax = (_number(row[part]) / begun for part in PARTS)
        move = 0.0 if key[1] == base_currency else moves.get(key[1], math.nan)
        trading.append(traded)
        costs += [-fee, -tax]
        if key == (CASH, base_currency):
            continue
        weights.setdefault(key, []).append(values.get(name, 0.0) / begun)
        local.setdefault(key, []).append(price + (dividend / (1.0 + move) if dividend else 0.0))
    return Compared(
        returned=returned,
        benchmark_returned=benchmark_returned,
        weights={key: math.fsum(parts) for key, parts in sorted(weights.items())},
        local={key: math.fsum(parts) for key, parts in sorted(local.items())},
        moves={**moves, base_currency: 0.0},
        trading=math.fsum(trading),
        costs=math.fsum(costs),
        benchmark=benchmark,
        base_currency=base_currency,
        factors=factors,
        cash=dict(cash or {}),
    )


def factor_move(
    model: FactorModel,
    features: pd.DataFrame,
    held: Mapping[str, float],
    benchmark: Mapping[str, tuple[float, float]],
    returns: Mapping[str, float],
) -> FactorMove | None:
    """The session's factor returns and what they explain; None where the benchmark is not known.

    `model`, `features`: of the session before; `held`: instrument -> weight at the start; `benchmark`: instrument -> (weight,
    return); `returns`: instrument -> simple base-currency return of the session, NaN unknown. Factor returns: regression of all
    known returns on yesterday's exposures, weighted by the root of market value, sectors summing to zero (`factor_regression`).
    A name of unknown return or without exposures counts in neither part.
    """
    if not benchmark:
        return None
    moves = np.array([returns.get(name, math.nan) for name in model.instruments])
    roots = cross_section_weights(features)
    constraint = sector_constraint(model.factors, model.exposures, roots**2)
    found = cross_sections(moves[None, :], model.exposures, roots, constraint).factors[0]
    known = np.isfinite(moves) & np.isfinite(model.exposures).all(axis=1)
    own, theirs = (
        np.where(known, [side.get(name, 0.0) for name in model.instruments], 0.0)
        for side in (held, {name: weight for name, (weight, _) in benchmark.items()})
    )
    effects = factor_effects(own - theirs, model.exposures, found, moves)
    exposed = own @ np.where(known[:, None], model.exposures, 0.0)
    rows = zip(exposed.tolist(), effects.exposures.tolist(), found.tolist(), strict=True)
    return FactorMove(dict(zip(model.factors, rows, strict=True)), math.fsum(effects.specific))


def rate_moves(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Currency -> simple move of base per unit; NaN where one of the two is not known."""
    return {
        name: now / before[name] - 1.0 if before.get(name, math.nan) > 0.0 and now > 0.0 else math.nan
        for name, now in after.items()
    }


def held_weights(values: Mapping[str, float], begun: float) -> dict[str, float]:
    """Instrument -> value over NAV, unknown values and cash aside."""
    return {n: v / begun for n, v in values.items() if math.isfinite(v) and not n.startswith(f"{CASH}:")}


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
