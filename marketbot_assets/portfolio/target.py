"""The answer of the decision: target weights with their proof, and what a solver hands back. Named result types and exact measures.

Not here: how an answer is found (`optimizer`, `risk_parity`, `fallback`), how it is stored (`schema`, `explanation`).
"""

from dataclasses import dataclass, field

import numpy as np

from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import WEIGHT_GRID
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_resources.mandate import Mandate

BINDING_SLACK = 1e-5
MEAN_VARIANCE, RISK_PARITY, SCALED_PREVIOUS = "mean_variance", "risk_parity", "scaled_previous"
MIN_VARIANCE, BLACK_LITTERMAN, CVAR = "min_variance", "black_litterman", "cvar"
TRACKING_ERROR, MULTI_PERIOD, LONG_SHORT = "tracking_error", "multi_period", "long_short"
TO_CASH, CURES_ONLY, RISK_REDUCING_ONLY = "to_cash", "cures_only", "risk_reducing_only"
VARIANTS = (MIN_VARIANCE, BLACK_LITTERMAN, CVAR, TRACKING_ERROR, MULTI_PERIOD, LONG_SHORT)
METHODS = (MEAN_VARIANCE, RISK_PARITY, SCALED_PREVIOUS, TO_CASH, CURES_ONLY, RISK_REDUCING_ONLY, *VARIANTS)
OPTIMAL, NO_ANSWER = "optimal", "no_answer"
LEFT_OUT, CLAMPED = "left out", "clamped"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a solver gets: cleaned numbers, limits, and the mandate. The names are sorted; all arrays are (n,)."""

    facts: Facts
    limits: LimitSet
    mandate: Mandate
    is_base: tuple[bool, ...]

    def utility(self, weights: Floats) -> float:
        """Expected return - risk aversion / 2 * variance - amortized cost, per year: what the optimizer makes largest."""
        return utility_of(self.facts, self.mandate, weights)


def utility_of(facts: Facts, mandate: Mandate, weights: Floats) -> float:
    """Expected return - risk aversion / 2 * variance - amortized cost, per year, of weights (n,)."""
    moved = weights - facts.weights_now
    factor = facts.factor_root @ weights
    variance = float(factor @ factor + facts.specific @ (weights * weights))
    cost = float(facts.cost_buy @ np.maximum(moved, 0.0) + facts.cost_sell @ np.maximum(-moved, 0.0))
    rule = mandate.portfolio
    reward = float(facts.expected_return @ weights)
    return reward - 0.5 * rule.risk_aversion * variance - rule.cost_amortization_per_year * cost


@dataclass(frozen=True, slots=True)
class Answer:
    """A solver's claim: weights (n,) unrounded, its status, and per limit the dual value (utility per unit of bound).

    `own`: limits of the method beside those of the mandate, measured at the weights.
    """

    weights: Floats
    status: str
    duals: tuple[float, ...]
    solver: str
    own: "tuple[LimitState, ...]" = ()


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit at the target. `dual`: utility per year gained per unit of bound, 0 when unknown or slack."""

    control: str
    name: str
    unit: str
    left: float
    bound: float
    hard: float
    dual: float

    @property
    def slack(self) -> float:
        """Bound - left."""
        return self.bound - self.left

    @property
    def binding(self) -> bool:
        """Whether the left side touches the bound."""
        return self.slack <= BINDING_SLACK * max(1.0, abs(self.bound))


@dataclass(frozen=True, slots=True)
class Target:
    """Weights for the next auctions. `weights` (n,): fractions of NAV on a grid of 1e-6, NaN for a held name without price.

    `status`: optimal, or no_answer when every method failed. `failures`: (method, why it was not used). `residual`: largest
    violation, recomputed in plain numpy. `objective`: utility per year. `no_buys`: empty or why nothing may be bought.
    `doubts`: why the answer deserves a look although it keeps every limit: the first solver failed, or the second one differs.
    `eased`: every limit that is not kept as the mandate states it, and why (`easing`); `conflicts`: sets of limits that cannot all
    be kept as stated (`conflict`); one line for people each. `without_llm`: (n,) the weights without views of a language model,
    empty when none tilt the forecasts and one solve was enough; `llm_note`: why the views were left out or clamped, else empty.
    """

    weights: Floats
    weights_now: Floats
    cash_weight: float
    method: str
    status: str
    objective: float
    residual: float
    limits: tuple[LimitState, ...]
    failures: tuple[tuple[str, str], ...]
    no_buys: str
    solver: str
    doubts: tuple[str, ...] = ()
    eased: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    without_llm: Floats = field(default_factory=lambda: np.zeros(0))
    llm_note: str = ""

    @property
    def views_left_out(self) -> bool:
        """Whether the forecasts are tilted by views and the weights are those without them."""
        return self.llm_note.startswith(LEFT_OUT)

    @property
    def views_clamped(self) -> bool:
        """Whether the weights lie between the answers with and without views: no optimum, so that no limit has a price."""
        return self.llm_note.startswith(CLAMPED)

    @property
    def llm_influence(self) -> Floats:
        """(n,) weights less those without views, 0 without any; 0, too, for a name whose weight is unknown in both."""
        if not len(self.without_llm):
            return np.zeros(len(self.weights))
        unknown = np.isnan(self.weights) & np.isnan(self.without_llm)
        return np.asarray(np.where(unknown, 0.0, self.weights - self.without_llm))

    def heard(self, inputs: PortfolioInputs) -> PortfolioInputs:
        """The inputs whose expected returns the target was made for: without the views that it leaves out."""
        return inputs.without_views() if self.views_left_out else inputs

    @property
    def duals(self) -> tuple[tuple[str, str, float, float], ...]:
        """(control, name, dual, slack) per limit."""
        return tuple((limit.control, limit.name, limit.dual, limit.slack) for limit in self.limits)


def on_grid(weights: Floats, limits: LimitSet) -> Floats:
    """Weights rounded down to the grid of 1e-6, a hair below a grid point up to it, kept within the bounds of each name.

    Rounding down sells a little more and buys a little less, so no cap of positive weights can break.
    """
    hair = 0.5 / max(len(weights), 50)
    down = np.round(np.floor(weights / WEIGHT_GRID + hair) * WEIGHT_GRID, 6)
    return np.asarray(np.clip(down, np.round(limits.bounds.lower, 9), np.round(limits.bounds.upper, 9)))


def limit_states(limits: LimitSet, weights: Floats, duals: tuple[float, ...]) -> tuple[LimitState, ...]:
    """Every limit measured at the weights; without duals all prices are 0."""
    prices = duals if len(duals) == len(limits.limits) else (0.0,) * len(limits.limits)
    curved = dict(zip(map(id, limits.stack().others), limits.others_left(weights), strict=True))
    lefts = (curved[id(x)] if id(x) in curved else x.left(weights, limits.weights_now) for x in limits.limits)
    return tuple(
        LimitState(x.control, x.name, x.unit, left, x.bound, x.hard, price)
        for x, left, price in zip(limits.limits, lefts, prices, strict=True)
    )
