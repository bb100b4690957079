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
    return _utility(problem, weights, problem.root.dot(weights), weights * weights)


def residual(problem: StructuredProblem, weights: Floats) -> float:
    """Largest violation of any limit in its own unit, 0 when all hold; infinite for weights that are not finite."""
    if weights.shape != problem.now.shape:
        return math.inf
    return _residual(problem, weights, [cone.root.dot(weights) for cone in problem.cones], weights * weights)


def upper_bound(problem: StructuredProblem, weights: Floats, prices: Multipliers, *, share: float = 1.0) -> float:
    """An upper bound of share * utility over all feasible weights; infinite when the multipliers prove nothing.

    share 1: the dual value. share 0: a number below 0 proves that no weights keep all limits.
    """
    seen = [cone.root.dot(weights) for cone in problem.cones]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _upper_bound(problem, weights, prices, share, problem.root.dot(weights), seen, weights * weights)


def proof(problem: StructuredProblem, weights: Floats, prices: Multipliers) -> tuple[float, float, float]:
    """(`residual`, `utility`, `upper_bound`) with products computed once; weights (n,). The caller silences divisions by 0."""
    root, squares = problem.root, weights * weights
    factor = root.dot(weights)
    seen = [factor if cone.root is root else cone.root.dot(weights) for cone in problem.cones] if problem.cones else []
    return (
        _residual(problem, weights, seen, squares),
        _utility(problem, weights, factor, squares),
        _upper_bound(problem, weights, prices, 1.0, factor, seen, squares),
    )


def _utility(problem: StructuredProblem, weights: Floats, factor: Floats, squares: Floats) -> float:
    moved = weights - problem.now
    bought = np.maximum(moved, np.zeros(len(moved)))
    variance = float(factor.dot(factor)) + float(problem.specific.dot(squares))
    cost = float(problem.cost_buy.dot(bought)) + float(problem.cost_sell.dot(bought - moved))
    return float(problem.mu.dot(weights)) - 0.5 * problem.risk_aversion * variance - cost


def _residual(problem: StructuredProblem, weights: Floats, seen: list[Floats], squares: Floats) -> float:
    n, bounds = len(weights), problem.row_bounds
    over = np.empty(2 * n + len(bounds))
    np.subtract(problem.lower, weights, over[:n])
    np.subtract(weights, problem.upper, over[n : 2 * n])
    if len(bounds):
        np.subtract(problem.rows.dot(weights), bounds, over[2 * n :])
    worst = [0.0, float(over.max(initial=0.0)) if n == 0 else float(over.max())]  # NaN when any is
    if len(problem.buy_bounds):
        bought = np.maximum(weights - problem.now, 0.0)
        worst.append(float((problem.buy_rows.dot(bought) - problem.buy_bounds).max()))
    for cone, factor in zip(problem.cones, seen, strict=True):
        worst.append(_size(cone, factor, squares) - cone.radius)
    if problem.top is not None:
        worst.append(float(np.sort(weights)[::-1][: problem.top.count].sum()) - problem.top.bound)
    for tail in problem.tails:
        profits = np.sort(tail.returns.dot(weights))
        shares = np.clip(tail.size - np.arange(len(profits)), 0.0, 1.0) / tail.size
        worst.append(-float(shares.dot(profits)) - tail.bound)
    if problem.funding is not None:
        worst.append(problem.funding.left(weights, problem.now) - problem.funding.bound)
    return max(worst) if all(map(math.isfinite, worst)) else math.inf


def _size(cone: Cone, seen: Floats, squares: Floats) -> float:
    own = float(cone.specific.dot(squares)) if len(cone.specific) else 0.0
    return math.sqrt(float(seen.dot(seen)) + own)


def norm(cone: Cone, weights: Floats) -> float:
    """Left side of a cone."""
    return _size(cone, cone.root.dot(weights), weights * weights)


def _upper_bound(
    problem: StructuredProblem, weights: Floats, prices: Multipliers, share: float, factor: Floats, seen: list[Floats],
    squares: Floats,
) -> float:  # fmt: skip
    if not _valid(problem, prices):
        return math.inf
    now, aversion = problem.now, share * problem.risk_aversion
    curve = aversion * problem.specific
    worth = (problem.mu if share == 1.0 else share * problem.mu) - (aversion * factor).dot(problem.root)
    value = 0.5 * aversion * float(factor.dot(factor))
    for cone, price, part in zip(problem.cones, prices.cones.tolist(), seen, strict=True):
        if price == 0.0:
            continue
        own = cone.specific if len(cone.specific) else np.zeros_like(now)
        if share > 0.0:
            value += 0.5 * price * (float(part.dot(part)) + cone.radius * cone.radius)
            worth, curve = worth - (price * part).dot(cone.root), curve + price * own
        else:
            value += price * _size(cone, part, squares) * cone.radius
            worth = worth - price * (part.dot(cone.root) + own * weights)
    if len(problem.row_bounds):
        worth = worth - prices.rows.dot(problem.rows)
        value += float(prices.rows.dot(problem.row_bounds))
    if problem.top is not None:
        worth = worth - prices.top
        value += prices.top_price * problem.top.bound
    for tail, losses in zip(problem.tails, prices.tails, strict=True):
        worth = worth + losses.dot(tail.returns)
        value += float(losses.sum()) * tail.bound
    buy, sell, paid = _moves(problem, prices, share)
    bound = value + paid + float(worth.dot(now)) + _best_of_names(problem, worth - buy, worth + sell, curve)
    return bound if math.isfinite(bound) else math.inf


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
    if not (0.0 <= prices.top_price < math.inf and 0.0 <= prices.funding < math.inf):
        return False
    for few in (prices.rows, prices.buys, prices.cones, prices.waves):
        if len(few) and not all(price >= 0.0 for price in few.tolist()):
            return False
    for many in (prices.top, *prices.tails) if problem.top is not None else prices.tails:
        if len(many) and not many.min() >= 0.0:
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
