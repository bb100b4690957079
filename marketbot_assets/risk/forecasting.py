"""Risk of one book over the next session: volatility by both estimators, value at risk, and the record of both. Pure.

The loop of the backtest and the assets call `with_record` alike. Not here: the methods (`value_at_risk`), the record's rules
(`book.forecast_record`), limits (`model_controls`).
"""

import math
from collections.abc import Mapping

import numpy as np

from marketbot_assets.book.forecast_record import held_loss, held_weights, recorded
from marketbot_assets.book.roll import Held, Rolled
from marketbot_assets.book.state import BookState, Forecast
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.value_at_risk import ewma_weights, filtered, historical_var
from marketbot_resources.mandate import Mandate

LEVEL = 0.99


def variances(model: FactorModel, moves: Floats, weights: Floats) -> dict[str, Floats]:
    """Variance per session of c books by estimator, (c,) each. `moves`: (T, c) their returns; `weights`: (k, c).

    EWMA: sum of lambda_t r_t^2; Ledoit and Wolf (2004): (1 - s) mean r_t^2 + s m |w|^2 over its window; means are zero.
    Raises ValueError when the estimators' parameters are not usable.
    """
    facts = (model.ewma_halflife, model.shrinkage, model.shrink_variance, model.ledoit_wolf_sessions)
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in facts):
        raise ValueError("the parameters of the covariance estimators are not numbers")
    if not (facts[0] > 0 and 0.0 <= facts[1] <= 1.0 and facts[2] >= 0.0 and facts[3] > 0):
        raise ValueError("the parameters of the covariance estimators are not usable")
    shrunk = (1.0 - model.shrinkage) * (moves[-model.ledoit_wolf_sessions :] ** 2).mean(axis=0)
    return {
        "ewma": np.asarray(ewma_weights(len(moves), model.ewma_halflife) @ moves**2),
        "ledoit_wolf": np.asarray(shrunk + model.shrinkage * model.shrink_variance * (weights**2).sum(axis=0)),
    }


def forecast_of(weights: Mapping[str, float], model: FactorModel, scenarios: int) -> Forecast:
    """Forecast of a book of these weights: the larger of historical and filtered value at risk, and of both volatilities.

    NaN when a name or a number of it is unknown; 0 for a book without names.
    """
    if not weights:
        return Forecast(0.0, 0.0)
    place, names = {name: column for column, name in enumerate(model.instruments)}, sorted(weights)
    if any(name not in place for name in names):
        return Forecast(math.nan, math.nan)
    columns, held = [place[name] for name in names], np.array([[weights[name]] for name in names])
    returns = model.returns[:, columns]
    both = [-(part[-scenarios:] @ held) for part in (returns, filtered(returns, model.ewma_halflife))]
    var = np.maximum(*(historical_var(losses, LEVEL) for losses in both))
    found = variances(model, returns @ held, held)
    volatility = np.sqrt(np.maximum(found["ewma"], found["ledoit_wolf"]))
    return Forecast(float(var[0]), float(volatility[0]))


def with_record(
    state: BookState,
    previous: BookState,
    *,
    before: Held,
    rolled: Rolled,
    model: FactorModel,
    currencies: Mapping[str, str],
    follows: bool,
    mandate: Mandate,
) -> BookState:
    """The stepped state with its forecast and record. `before`: what `previous` held; `currencies`: of every instrument.

    `follows`: whether no session lies between the two states; otherwise the older forecast proves nothing.
    """
    limits = mandate.limits
    with np.errstate(all="ignore"):
        moves = dict(zip(model.instruments, model.returns[-1].tolist(), strict=True))
        loss = held_loss(held_weights(before, currencies, previous.nav), moves) if follows else None
        forecast = forecast_of(rolled.valuation.weights(), model, limits.var.scenarios)
    return recorded(state, previous, loss=loss, forecast=forecast, sessions=limits.var_backtest.sessions)
