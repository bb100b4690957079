"""The mean-variance problem as arrays, the multipliers of its limits, and a solver's answer. Named types, no arithmetic.

    maximize    mu'w - gamma/2 w'(root'root + diag(specific))w - cost_buy'(w - now)+ - cost_sell'(now - w)+
    over        lower <= w <= upper                          w (n,), fractions of NAV
    subject to  rows w <= row_bounds                         groups, gross, cash, stress scenarios, factor bands
                buy_rows (w - now)+ <= buy_bounds            turnover
                |[R; diag(sqrt(s))] w| <= radius             per cone: volatility, concentration
                sum of the `count` largest w <= bound        top
                mean loss of the worst `size` rows <= bound  per tail: expected shortfall
                funding                                      `portfolio/funding.py`

Not here: how it is solved (`solve`, `kernel`), what proves the answer (`certificate`), the mandate's limits (`adapter`).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.portfolio.funding import Funding

Floats = NDArray[np.float64]
OPTIMAL, INFEASIBLE, NOT_CONVERGED, UNPROVEN = "optimal", "infeasible", "not_converged", "unproven"


def _none() -> Floats:
    return np.zeros(0)


def _no_rows() -> Floats:
    return np.zeros((0, 0))


@dataclass(frozen=True, slots=True)
class Cone:
    """sqrt(|root w|^2 + specific (w * w)) <= radius; root (r, n), `specific` (n,) or empty for none.

    A cone whose `root` is the very array of the problem's `root` costs nothing more than the objective alone.
    """

    root: Floats
    radius: float
    specific: Floats = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Top:
    """Sum of the `count` largest weights <= bound."""

    count: int
    bound: float


@dataclass(frozen=True, slots=True)
class Tail:
    """Mean loss in the worst `size` rows (not an integer in general) of `returns` (T, n) <= bound."""

    returns: Floats
    size: float
    bound: float


@dataclass(frozen=True, slots=True)
class StructuredProblem:
    """See the head of this file. All names (n,); `root` (k, n); `rows`, `buy_rows` (m, n), or empty without rows."""

    mu: Floats
    root: Floats
    specific: Floats
    risk_aversion: float
    cost_buy: Floats
    cost_sell: Floats
    now: Floats
    lower: Floats
    upper: Floats
    rows: Floats = field(default_factory=_no_rows)
    row_bounds: Floats = field(default_factory=_none)
    buy_rows: Floats = field(default_factory=_no_rows)
    buy_bounds: Floats = field(default_factory=_none)
    cones: tuple[Cone, ...] = ()
    top: Top | None = None
    tails: tuple[Tail, ...] = ()
    funding: Funding | None = None


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Prices of the limits, utility per unit of bound, all >= 0; where a solve may start and what its proof rests on.

    `rows` (m,), `buys` (m,). `cones` (c,): of half the squared norm. `top` (n,): price on each of the largest weights, at most
    `top_price`, their sum at most count * top_price. `tails`: per tail (T,) the price on each row. `waves`: price on each wave's
    need, `funding` the price of the whole. `factors` (k,): exposures of the objective's factors where the solve ended.
    """

    rows: Floats
    buys: Floats
    cones: Floats
    top: Floats
    top_price: float
    tails: tuple[Floats, ...]
    waves: Floats
    funding: float
    factors: Floats


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights (n,) with their proof. `status`: optimal, infeasible (proven), not_converged or unproven (do not use).

    `objective`: utility of the weights; `dual_value`: no feasible weights have more; `gap`: (dual value - objective) /
    (1e-3 + |objective|); `residual`: largest violation. The last four are recomputed in plain numpy by `certificate`.
    """

    weights: Floats
    multipliers: Multipliers
    status: str
    objective: float
    dual_value: float
    gap: float
    residual: float
    steps: int
