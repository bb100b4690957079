"""How far the models are trusted today, as one factor on the volatility target: RC-50, RC-71 and RC-72 as inputs. Pure.

What is unknown counts as the state that the rule guards against. Not here: the same judged by the verdict's own path
(`risk.model_state`).
"""

import math
from collections.abc import Sequence

import numpy as np

from marketbot_assets.book.state import RiskDay
from marketbot_assets.features.model import FactorModel
from marketbot_assets.portfolio.inputs import Flags, Floats, PortfolioInputs
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_model_limits import VarBacktest, VolatilityRatio

RATIO_MULTIPLE_MIN = 0.5


def volatility_multiple(inputs: PortfolioInputs, mandate: Mandate) -> float:
    """Factor in [0, 1] on the mandate's volatility target: the ladder's times what the models' own record leaves."""
    limits, days = mandate.limits, inputs.book.risk_days
    models = correlation_multiple(inputs.factor_model, mandate) * backtest_multiple(days, limits.var_backtest)
    return inputs.book.multiple * models * ratio_multiple(days, limits.vol_ratio)


def correlation_multiple(model: FactorModel, mandate: Mandate) -> float:
    """RC-50: 1, or the rule's multiple once correlations have risen or cannot be measured."""
    rule = mandate.limits.correlation
    mean, first = comovement(model.returns[-rule.sessions :], model.observations >= rule.sessions)
    calm = math.isfinite(mean) and math.isfinite(first) and mean <= rule.mean_pairwise and first <= rule.pc1_share
    return 1.0 if calm else rule.vol_multiple


def comovement(returns: Floats, old: Flags) -> tuple[float, float]:
    """(mean pairwise correlation, share of the first principal component) of the names `old` (n,) that move at all.

    `returns` (T, n). The eigenvalues of the correlation matrix are those of the small matrix ZZ' of standardized returns.
    A name alone moves with itself: (1, 1). NaN without any name.
    """
    moved = returns[:, old]
    centred = moved - moved.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    usable = spread != 0.0
    count = int(usable.sum())
    if count < 2 or not np.isfinite(spread).all():
        return (1.0, 1.0) if count == 1 else (math.nan, math.nan)
    unit = centred[:, usable] / spread[usable]
    mean = (float((unit.sum(axis=1) ** 2).sum()) - count) / (count * (count - 1))
    return mean, float(np.linalg.eigvalsh(unit @ unit.T)[-1]) / count


def backtest_multiple(days: Sequence[RiskDay], rule: VarBacktest) -> float:
    """RC-71: the rule's multiple in the red zone, else 1. A day whose loss or forecast is unknown is an exception."""
    exceptions = sum(not day.loss <= day.forecast.var_99 for day in days[-rule.sessions :])
    return rule.vol_multiple if exceptions >= rule.red else 1.0


def ratio_multiple(days: Sequence[RiskDay], rule: VolatilityRatio) -> float:
    """RC-72: 1 over realised to expected volatility when that is above the band, not below a half; 1 with too few days."""
    recent = days[-rule.sessions :]
    if len(recent) < rule.sessions:
        return 1.0
    known = all(day.forecast.volatility > 0.0 for day in recent)
    squares = [(day.loss / day.forecast.volatility) ** 2 for day in recent] if known else [math.nan]
    ratio = math.sqrt(math.fsum(squares) / len(recent))
    if ratio <= rule.high:
        return 1.0
    return max(RATIO_MULTIPLE_MIN, 1.0 / ratio) if math.isfinite(ratio) else RATIO_MULTIPLE_MIN
