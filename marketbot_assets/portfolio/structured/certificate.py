"""The proof of an answer in plain numpy: utility, largest violation, an upper bound of every utility, proof that none exists. Pure.

Nothing here is shared with the kernel. The upper bound is the dual function at multipliers >= 0 (Wolfe's form around the weights
themselves): whatever the multipliers, no feasible weights have a higher utility, so a small gap proves the answer.
"""

import math

import numpy as np

from marketbot_assets.portfolio.structured.problem import Cone, Floats, Multipliers, StructuredProblem

OBJECTIVE_FLOOR = 1e-3


def utility(problem: StructuredProblem, weights: Floats) -> float:
    """What the problem makes largest."""
    moved, factor = weights - problem.now, problem.root.dot(weights)
    bought = np.maximum(moved, np.zeros(len(moved)))
    variance = float(factor.dot(factor)) + float(problem.specific.dot(weights * weights))
    cost = float(problem.cost_buy.dot(bought)) + float(problem.cost_sell.dot(bought - moved))
    return float(problem.mu.dot(weights)) - 0.5 * problem.risk_aversion * variance - cost


def residual(problem: StructuredProblem, weights: Floats) -> float:
    """Largest violation of any limit in its own unit, 0 when all hold; infinite for weights that are not finite."""
    n, m = len(problem.now), len(problem.row_bounds)
    if weights.shape != problem.now.shape:
        return float("inf")
    over = np.empty(2 * n + m + 1)
    over[-1] = 0.0
    np.subtract(problem.lower, weights, over[:n])
    np.subtract(weights, problem.upper, over[n : 2 * n])
    if m:
        np.subtract(problem.rows.dot(weights), problem.row_bounds, over[2 * n : -1])
    worst = [float(over.max())]  # NaN when any is
    if len(problem.buy_bounds):
        worst.append(float((problem.buy_rows.dot(np.maximum(weights - problem.now, 0.0)) - problem.buy_bounds).max()))
    worst += [norm(cone, weights) - cone.radius for cone in problem.cones]
    if problem.top is not None:
        worst.append(float(np.sort(weights)[::-1][: problem.top.count].sum()) - problem.top.bound)
    for tail in problem.tails:
        profits = np.sort(tail.returns.dot(weights))
        shares = np.clip(tail.size - np.arange(len(profits)), 0.0, 1.0) / tail.size
        worst.append(-float(shares.dot(profits)) - tail.bound)
    if problem.funding is not None:
        worst.append(problem.funding.left(weights, problem.now) - problem.funding.bound)
    return max(worst) if all(map(math.isfinite, worst)) else float("inf")


def norm(cone: Cone, weights: Floats) -> float:
    """Left side of a cone."""
    seen = cone.root.dot(weights)
    own = float(cone.specific.dot(weights * weights)) if len(cone.specific) else 0.0
    return math.sqrt(float(seen.dot(seen)) + own)


def upper_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, *, share: float = 1.0) -> float:
    """An upper bound of share * utility over all feasible weights; infinite when the multipliers prove nothing.

    share 1: the dual value. share 0: a number below 0 proves that no weights keep all limits.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return quiet_bound(problem, weights, prices, share)


def quiet_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, share: float) -> float:
    """`upper_bound` for a caller that has silenced the warnings about divisions by 0."""
    bound = _upper_bound(problem, weights, prices, share) if _valid(problem, prices) else math.inf
    return bound if math.isfinite(bound) else math.inf


def _upper_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, share: float) -> float:
    now, aversion = problem.now, share * problem.risk_aversion
    factor = problem.root.dot(weights)
    curve = aversion * problem.specific
    worth = problem.mu if share == 1.0 else share * problem.mu
    worth = worth - (aversion * factor).dot(problem.root)
    value = 0.5 * aversion * float(factor.dot(factor))
    for cone, price in zip(problem.cones, prices.cones.tolist(), strict=True):
        if price == 0.0:
            continue
        seen = cone.root.dot(weights)
        own = cone.specific if len(cone.specific) else np.zeros_like(now)
        if share > 0.0:
            value += 0.5 * price * (float(seen.dot(seen)) + cone.radius * cone.radius)
            worth, curve = worth - (price * seen).dot(cone.root), curve + price * own
        else:
            size = math.sqrt(float(seen.dot(seen)) + float(own.dot(weights * weights)))
            value += price * size * cone.radius
            worth = worth - price * (seen.dot(cone.root) + own * weights)
    if len(problem.row_bounds):
        worth = worth - prices.rows.dot(problem.rows)
        value += float(prices.rows.dot(problem.row_bounds))
    if problem.top is not None:
        worth = worth - prices.top
        value += prices.top_price * problem.top.bound
    for tail, price in zip(problem.tails, prices.tails, strict=True):
        worth = worth + price.dot(tail.returns)
        value += float(price.sum()) * tail.bound
    buy, sell, paid = _moves(problem, prices, share)
    return value + paid + float(worth.dot(now)) + _best_of_names(problem, worth - buy, worth + sell, curve)


def _moves(problem: StructuredProblem, prices: Multipliers, share: float) -> tuple[Floats, Floats, float]:
    """Price per unit bought and per unit sold, (n,) each, and what the bounds on moves add to the value."""
    buy, sell, value = problem.cost_buy, problem.cost_sell, 0.0
    if share != 1.0:
        buy, sell = share * buy, share * sell
    if len(problem.buy_bounds):
        buy = buy + prices.buys.dot(problem.buy_rows)
        value += float(prices.buys.dot(problem.buy_bounds))
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
    """Whether the multipliers may be used: no NaN, >= 0, each aggregate within its price. Infinite ones give no finite bound."""
    parts = (prices.rows, prices.buys, prices.cones, prices.waves, *prices.tails)
    if not (0.0 <= prices.top_price < np.inf and 0.0 <= prices.funding < np.inf):
        return False
    for part in parts:
        if len(part) and not part.min() >= 0.0:
            return False
    if problem.top is not None and not prices.top.min(initial=0.0) >= 0.0:
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
    if np.count_nonzero(sell < buy):
        return math.inf
    best = np.fmax(buy / curve, np.fmin(sell / curve, now))
    best = np.minimum(np.maximum(best, problem.lower), problem.upper)
    moved = best - now
    bought = np.maximum(moved, np.zeros(len(now)))
    # sell * sold + buy * bought, where moved = bought - sold.
    return float(buy.dot(bought)) + float(sell.dot(moved - bought)) - 0.5 * float(curve.dot(best * best))
