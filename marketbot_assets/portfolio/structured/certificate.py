"""The proof of an answer in plain numpy: utility, largest violation, an upper bound of every utility, proof that none exists. Pure.

Nothing here is shared with the kernel. The upper bound is the dual function at multipliers >= 0 (Wolfe's form around the weights
themselves): whatever the multipliers, no feasible weights have a higher utility, so a small gap proves the answer.
"""

import numpy as np

from marketbot_assets.portfolio.structured.problem import Floats, Multipliers, StructuredProblem

OBJECTIVE_FLOOR = 1e-3


def utility(problem: StructuredProblem, weights: Floats) -> float:
    """What the problem makes largest."""
    moved, factor = weights - problem.now, problem.root @ weights
    variance = float(factor @ factor + problem.specific @ (weights * weights))
    cost = float(problem.cost_buy @ np.maximum(moved, 0.0) + problem.cost_sell @ np.maximum(-moved, 0.0))
    return float(problem.mu @ weights) - 0.5 * problem.risk_aversion * variance - cost


def residual(problem: StructuredProblem, weights: Floats) -> float:
    """Largest violation of any limit in its own unit, 0 when all hold; infinite for weights that are not finite."""
    if weights.shape != problem.now.shape or not np.isfinite(weights).all():
        return float("inf")
    over = [0.0, np.max(problem.lower - weights, initial=0.0), np.max(weights - problem.upper, initial=0.0)]
    if len(problem.row_bounds):
        over.append(np.max(problem.rows @ weights - problem.row_bounds))
    if len(problem.buy_bounds):
        over.append(np.max(problem.buy_rows @ np.maximum(weights - problem.now, 0.0) - problem.buy_bounds))
    for cone in problem.cones:
        seen = cone.root @ weights
        own = float(cone.specific @ (weights * weights)) if len(cone.specific) else 0.0
        over.append(np.sqrt(float(seen @ seen) + own) - cone.radius)
    if problem.top is not None:
        over.append(np.sort(weights)[::-1][: problem.top.count].sum() - problem.top.bound)
    for tail in problem.tails:
        profits = np.sort(tail.returns @ weights)
        shares = np.clip(tail.size - np.arange(len(profits)), 0.0, 1.0) / tail.size
        over.append(-(shares @ profits) - tail.bound)
    if problem.funding is not None:
        over.append(problem.funding.left(weights, problem.now) - problem.funding.bound)
    return float(max(over)) if np.isfinite(over).all() else float("inf")


def upper_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, *, share: float = 1.0) -> float:
    """An upper bound of share * utility over all feasible weights; infinite when the multipliers prove nothing.

    share 1: the dual value. share 0: a number below 0 proves that no weights keep all limits.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _upper_bound(problem, weights, prices, share) if _valid(problem, prices) else float("inf")


def _upper_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, share: float) -> float:
    now, aversion = problem.now, share * problem.risk_aversion
    factor = problem.root @ weights
    curve, worth = aversion * problem.specific, share * problem.mu - aversion * (problem.root.T @ factor)
    value = 0.5 * aversion * float(factor @ factor)
    for cone, price in zip(problem.cones, prices.cones, strict=True):
        if price == 0.0:
            continue
        seen = cone.root @ weights
        own = cone.specific if len(cone.specific) else np.zeros_like(now)
        if share > 0.0:
            value += 0.5 * price * (float(seen @ seen) + cone.radius * cone.radius)
            worth, curve = worth - price * (cone.root.T @ seen), curve + price * own
        else:
            norm = np.sqrt(float(seen @ seen) + float(own @ (weights * weights)))
            value += price * norm * cone.radius
            worth = worth - price * (cone.root.T @ seen + own * weights)
    if len(problem.row_bounds):
        worth = worth - prices.rows @ problem.rows
        value += float(prices.rows @ problem.row_bounds)
    if problem.top is not None:
        worth = worth - prices.top
        value += prices.top_price * problem.top.bound
    for tail, price in zip(problem.tails, prices.tails, strict=True):
        worth = worth + price @ tail.returns
        value += float(price.sum()) * tail.bound
    buy, sell, paid = _moves(problem, prices, share)
    return value + paid + float(worth @ now) + _best_of_names(problem, worth - buy, worth + sell, curve)


def _moves(problem: StructuredProblem, prices: Multipliers, share: float) -> tuple[Floats, Floats, float]:
    """Price per unit bought and per unit sold, (n,) each, and what the bounds on moves add to the value."""
    buy, sell, value = share * problem.cost_buy, share * problem.cost_sell, 0.0
    if len(problem.buy_bounds):
        buy = buy + prices.buys @ problem.buy_rows
        value += float(prices.buys @ problem.buy_bounds)
    funding = problem.funding
    if funding is None:
        return buy, sell, value
    owed = dict.fromkeys((currency for currency, _ in funding.debts), (1.0 + funding.leg_cost) * prices.funding)
    for wave, price in zip(funding.waves, prices.waves, strict=True):
        buy, sell = buy + price * wave.buys, sell - price * wave.sells
        value += float(price) * wave.cash
        if wave.currency in owed:
            owed[wave.currency] -= float(price)
    value += prices.funding * funding.bound - sum(owed[currency] * debt for currency, debt in funding.debts)
    return buy, sell, value


def _valid(problem: StructuredProblem, prices: Multipliers) -> bool:
    """Whether the multipliers may be used: finite, >= 0, each aggregate within its price."""
    parts = [prices.rows, prices.buys, prices.cones, prices.waves, *prices.tails]
    if not (0.0 <= prices.top_price < np.inf and 0.0 <= prices.funding < np.inf):
        return False
    if problem.top is not None:
        parts.append(prices.top)
    if not all(part.size == 0 or (part.min() >= 0.0 and part.max() < np.inf) for part in parts):
        return False
    if problem.top is not None and prices.top_price > 0.0:
        count = min(problem.top.count, len(problem.now))
        if (
            prices.top.max(initial=0.0) > prices.top_price * (1.0 + 1e-9)
            or abs(prices.top.sum() / prices.top_price - count) > 1e-9
        ):
            return False
    for tail, price in zip(problem.tails, prices.tails, strict=True):
        if price.max(initial=0.0) * tail.size > price.sum() * (1.0 + 1e-9):
            return False
    return _valid_waves(problem, prices)


def _valid_waves(problem: StructuredProblem, prices: Multipliers) -> bool:
    funding = problem.funding
    if funding is None:
        return True
    rates = {funding.base: 1.0} | {currency: 1.0 + funding.leg_cost for currency, _ in funding.debts}
    for currency in {wave.currency for wave in funding.waves}:
        spent = sum(float(p) for w, p in zip(funding.waves, prices.waves, strict=True) if w.currency == currency)
        if spent > rates.get(currency, 0.0) * prices.funding * (1.0 + 1e-9):
            return False
    return True


def _best_of_names(problem: StructuredProblem, buy: Floats, sell: Floats, curve: Floats) -> float:
    """Sum over names of the largest buy (w - now)+ - sell (now - w)+ - curve w^2 / 2 over its bounds; infinite if not concave.

    Concave: the largest value is at the unbounded maximizer, or at the bound that is nearest to it.
    """
    now = problem.now
    if (sell < buy).any():
        return float("inf")
    above, below = buy / curve, sell / curve
    best = np.where(above > now, above, np.fmin(below, now))
    best = np.minimum(np.maximum(best, problem.lower), problem.upper)
    moved = best - now
    value = buy @ np.maximum(moved, 0.0) + sell @ np.minimum(moved, 0.0) - 0.5 * (curve @ (best * best))
    return float(value)
