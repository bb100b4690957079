"""Controls on the tail of the projected book: RC-43 value at risk 99 %, RC-45 the largest of four methods.

Both are homogeneous in the weights but not convex in the buys, so the share of the buys that may stay is searched, not
interpolated. Not here: the methods (`value_at_risk`), expected shortfall (`book_controls`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from marketbot_assets.risk.book_controls import active_returns, aligned
from marketbot_assets.risk.control import ControlResult, Rule, cap
from marketbot_assets.risk.forecasting import LEVEL, variances
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.model_state import var_multiple
from marketbot_assets.risk.projection import REDUCTIONS, WITH, WITHOUT, Projection
from marketbot_assets.risk.value_at_risk import filtered, historical_var, var_by_method
from marketbot_resources.model import Status

VALUE_AT_RISK = Rule(
    "RC-43",
    "value at risk 99 %, one session",
    Status.SHRINK,
    formula="var_multiple in force * max(historical, filtered) value at risk 99 % <= hard",
    answers="house; Basel back-test multiple",
)
ALL_METHODS = Rule(
    "RC-45",
    "value at risk 99 % by all methods",
    Status.SHRINK,
    formula="max(historical, filtered, normal, Cornish-Fisher where monotone) against hard of RC-43",
    answers="house; SR 26-2 (model comparison)",
)

STEPS, HALVINGS = 64, 40


def scenarios(p: Projection) -> tuple[Floats, Floats, Floats]:
    """(weights (k, 3), returns (T, k), filtered returns (T, k)) of every name with any weight."""
    return p.once("scenarios", lambda: _scenarios(p))


def _scenarios(p: Projection) -> tuple[Floats, Floats, Floats]:
    (_, weights), returns = aligned(p), active_returns(p)
    model, size = p.inputs.factor_model, p.mandate.limits.var.scenarios
    return weights, returns[-size:], filtered(returns, model.ewma_halflife)[-size:]


def largest_share(observed: Callable[[float], float], limit: float) -> float:
    """The largest share s of the buys such that every share up to it keeps the limit, to a millionth of a millionth.

    `observed`: left side at a share; it need not rise steadily. 0 when even no buys break the limit or a number is unknown.
    """

    def kept(share: float) -> bool:
        seen = observed(share)
        return bool(np.isfinite(seen) and seen <= limit)

    if not kept(0.0):
        return 0.0
    low, high = 0.0, 1.0
    for step in range(1, STEPS + 1):
        high = step / STEPS
        if not kept(high):
            break
        low = high
    else:
        return 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low


def _capped(rule: Rule, p: Projection, left: Callable[[Floats], float], now: float) -> ControlResult:
    """The cap on a left side of weights (k,), `now` with the batch, with the searched share where it fails.

    A book within the limit passes whatever it was before: only another one is asked without the batch and with its reductions.
    """
    limit, weights = p.mandate.limits.var, aligned(p)[1]
    result = cap(rule, p, [now, now, now], hard=limit.hard, warn=limit.warn)
    if result.status is Status.PASS:
        return result
    observed = [now, *(left(weights[:, column]) for column in (WITHOUT, REDUCTIONS))]
    result = cap(rule, p, observed, hard=limit.hard, warn=limit.warn)
    if result.status is not rule.fail:
        return result
    start, buys = weights[:, REDUCTIONS], weights[:, WITH] - weights[:, REDUCTIONS]
    return replace(result, keep=largest_share(lambda share: left(start + share * buys), limit.hard))


def value_at_risk(p: Projection) -> tuple[ControlResult, ...]:
    """RC-43: the larger of historical and filtered simulation, times the back-test's multiple."""
    weights, returns, rescaled = scenarios(p)
    multiple = var_multiple(p)

    def left(book: Floats) -> float:
        losses = np.column_stack([-(returns @ book), -(rescaled @ book)])
        return multiple * float(np.max(historical_var(losses, LEVEL)))

    return (_capped(VALUE_AT_RISK, p, left, left(weights[:, WITH])),)


def all_methods(p: Projection) -> tuple[ControlResult, ...]:
    """RC-45: the largest of historical, filtered, normal and Cornish-Fisher, against the limit of RC-43.

    Where the mandate only warns, a number that is unknown still refuses every buy.
    """
    weights, returns, rescaled = scenarios(p)
    multiple = var_multiple(p)

    def largest(named: Mapping[str, float]) -> float:
        return multiple * float(np.max(list(named.values())))

    named = methods(p, weights[:, WITH], returns, rescaled)
    most = max(sorted(named), key=named.__getitem__)
    result = _capped(ALL_METHODS, p, lambda book: largest(methods(p, book, returns, rescaled)), largest(named))
    if (
        result.status is ALL_METHODS.fail
        and result.observed is not None
        and p.mandate.limits.var_all_methods.on_fail == "warn"
    ):
        result = replace(result, status=Status.WARN, order_ids=(), keep=1.0)
    return (replace(result, message=f"{result.message} ({most.replace('_', '-')})" if result.message else ""),)


def methods(p: Projection, book: Floats, returns: Floats, rescaled: Floats) -> dict[str, float]:
    """Value at risk of weights (k,) by method; the normal one uses the larger of both volatility estimators."""
    both = variances(p.inputs.factor_model, (active_returns(p) @ book)[:, None], book[:, None])
    sigma = float(np.sqrt(np.maximum(both["ewma"], both["ledoit_wolf"]))[0])
    return var_by_method(returns @ book, rescaled @ book, sigma, LEVEL)


TAIL_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (VALUE_AT_RISK, value_at_risk),
    (ALL_METHODS, all_methods),
)
