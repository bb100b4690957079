"""What the models' record says, by the verdict's own path: comovement (RC-50), VaR back-test (RC-71), volatility (RC-72). Pure.

Not here: answers and limits (`model_controls`), what the optimizer makes of the same facts (`portfolio.model_state`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_assets.book.state import RiskDay
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.projection import Projection, number
from marketbot_assets.risk.var_backtest import Zone
from marketbot_resources.mandate_model_limits import Correlation, VarBacktest, VolatilityRatio

RATIO_MULTIPLE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Comovement:
    """Mean pairwise correlation and share of the first principal component of `names` names, as fractions."""

    mean: float
    first: float
    names: int


def comovement(model: FactorModel, rule: Correlation) -> Comovement:
    """Over the last sessions, of names with a full history that move. Raises ValueError when there is none or a NaN."""
    observed = np.asarray(model.observations, dtype=float)
    returns = model.returns[-rule.sessions :][:, observed >= rule.sessions]
    spread = returns.std(axis=0)
    if not (np.isfinite(spread).all() and np.isfinite(observed).all()) or len(returns) < rule.sessions:
        raise ValueError("the correlations cannot be measured")
    moving = returns[:, spread > 0.0]
    count = moving.shape[1]
    if count == 0:
        raise ValueError("no name has a history long enough for correlations")
    standard = (moving - moving.mean(axis=0)) / spread[spread > 0.0]
    singular = np.linalg.svd(standard, compute_uv=False)
    first = float(singular[0] ** 2 / (singular**2).sum())
    whole = float(np.var(standard.sum(axis=1)))
    return Comovement((whole - count) / (count * (count - 1)) if count > 1 else 1.0, first, count)


def collapsed(found: Comovement, rule: Correlation) -> bool:
    """Whether diversification is lost; NaN counts as lost."""
    return not (found.mean <= rule.mean_pairwise and found.first <= rule.pc1_share)


def exceptions(days: Sequence[RiskDay], sessions: int) -> tuple[bool, ...]:
    """Of each of the last sessions, oldest first, whether its loss went beyond the forecast; unknown ones did."""
    counted = days[-sessions:]
    return tuple(not number(day.loss) <= number(day.forecast.var_99) for day in counted)


def zone_of(count: int, rule: VarBacktest) -> Zone:
    """The traffic light of a number of exceptions. More sessions can only add to it, so a short record counts, too."""
    return Zone.RED if count >= rule.red else Zone.YELLOW if count >= rule.yellow else Zone.GREEN


def volatility_ratio(days: Sequence[RiskDay], rule: VolatilityRatio) -> float | None:
    """Root mean square of the losses, each over its own forecast (the bias statistic of risk models); None with too few days.

    Each day counts alike, however large the book was. Raises ValueError when a number of these days is unknown or not positive.
    """
    recent = days[-rule.sessions :]
    if len(recent) < rule.sessions:
        return None
    losses: Floats = np.array([number(day.loss) for day in recent])
    expected: Floats = np.array([number(day.forecast.volatility) for day in recent])
    if not (np.isfinite(losses).all() and np.isfinite(expected).all() and (expected > 0.0).all()):
        raise ValueError(f"losses or forecasts of the last {rule.sessions} sessions are unknown")
    return math.sqrt(float(((losses / expected) ** 2).mean()))


def record(p: Projection) -> tuple[RiskDay, ...]:
    """The book's record. Raises ValueError when a book that holds something has no usable forecast of today."""
    return p.once("record", lambda: _record(p))


def _record(p: Projection) -> tuple[RiskDay, ...]:
    book, now = p.inputs.book, p.inputs.book.forecast
    if not isinstance(book.risk_days, tuple):
        raise TypeError("the record of forecasts is missing")
    told = now is not None and math.isfinite(number(now.var_99)) and math.isfinite(number(now.volatility))
    if any(number(quantity) != 0.0 for quantity in p.inputs.positions) and not told:
        raise ValueError("the risk of the book as held is unknown")
    return book.risk_days


def comovement_of(p: Projection) -> Comovement:
    """What RC-50 and the volatility target read."""
    return p.once("comovement", lambda: comovement(p.inputs.factor_model, p.mandate.limits.correlation))


def exceptions_of(p: Projection) -> tuple[bool, ...]:
    """What the back-test reads of the record."""
    return p.once("exceptions", lambda: exceptions(record(p), p.mandate.limits.var_backtest.sessions))


def model_multiple(p: Projection) -> float:
    """Factor on the volatility target in [0, 1]: RC-50 times RC-71 times RC-72. Raises what they raise."""
    limits, days = p.mandate.limits, record(p)
    lost = collapsed(comovement_of(p), limits.correlation)
    red = zone_of(sum(exceptions_of(p)), limits.var_backtest) is Zone.RED
    ratio = volatility_ratio(days, limits.vol_ratio)
    wide = ratio is not None and not ratio <= limits.vol_ratio.high
    scale = max(RATIO_MULTIPLE_MIN, 1.0 / ratio) if wide and ratio is not None else 1.0
    return (
        (limits.correlation.vol_multiple if lost else 1.0) * (limits.var_backtest.vol_multiple if red else 1.0) * scale
    )


def var_multiple(p: Projection) -> float:
    """Factor on value at risk: the back-test's in the yellow and the red zone, else 1."""
    rule = p.mandate.limits.var_backtest
    return 1.0 if zone_of(sum(exceptions_of(p)), rule) is Zone.GREEN else rule.var_multiple
