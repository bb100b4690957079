"""Limits that are a maximum of many rows (ten largest, expected shortfall, funding): their rows enter as they bind. Pure.

Each function finds the row that is steepest at some weights; the maximum is never below any of its rows, so a row never cuts
off weights that keep the limit. Prices of the rows add up to the multipliers of the limit.
Not here: plain rows (`solve`), the kernel that prices all rows alike (`kernel`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.structured.problem import Floats, Multipliers, StructuredProblem, Tail, Top

TOP, TAIL, FUNDING = "top", "tail", "funding"


@dataclass(frozen=True, slots=True)
class Cut:
    """up (w - now)+ - down (now - w)+ <= bound, (n,) each. `shares`: how the limit's parts are mixed in this row.

    `shares`: top (n,), tail (T,), funding (waves,). `number`: which tail.
    """

    kind: str
    number: int
    shares: Floats
    up: Floats
    down: Floats
    bound: float


def broken(problem: StructuredProblem, weights: Floats, tolerance: float) -> Iterator[Cut]:
    """The steepest row of every such limit that is broken by more than `tolerance`."""
    now = problem.now
    if problem.top is not None:
        shares = np.zeros_like(now)
        shares[np.argsort(-weights, kind="stable")[: problem.top.count]] = 1.0
        if shares @ weights > problem.top.bound + tolerance:
            yield top_cut(problem.top, shares, now)
    for number, tail in enumerate(problem.tails):
        profits = tail.returns @ weights
        order = np.argsort(profits, kind="stable")
        rows = np.zeros(len(order))
        rows[order] = np.clip(tail.size - np.arange(len(order)), 0.0, 1.0) / tail.size
        if -(rows @ profits) > tail.bound + tolerance:
            yield tail_cut(tail, number, rows, now)
    funding = problem.funding
    if funding is not None and funding.left(weights, now) > funding.bound + tolerance:
        yield funding_cut(funding, steepest_waves(funding, weights, now))


def top_cut(top: Top, shares: Floats, now: Floats) -> Cut:
    """Row of a mix of sets of names."""
    return Cut(TOP, 0, shares, shares, shares, top.bound - float(shares @ now))


def tail_cut(tail: Tail, number: int, shares: Floats, now: Floats) -> Cut:
    """Row of a mix of tails."""
    row = -(shares @ tail.returns)
    return Cut(TAIL, number, shares, row, row, tail.bound - float(row @ now))


def steepest_waves(funding: Funding, weights: Floats, now: Floats) -> Floats:
    """(waves,) rate of each wave in the largest need."""
    rates = np.zeros(len(funding.waves))
    for currency, rate in ((funding.base, 1.0), *((c, 1.0 + funding.leg_cost) for c, _ in funding.debts)):
        wave = funding.worst(currency, weights, now)[1]
        if wave is not None:
            rates[next(k for k, other in enumerate(funding.waves) if other is wave)] = rate
    return rates


def funding_cut(funding: Funding, rates: Floats) -> Cut:
    """Row of a mix of waves; what a currency's waves do not take up counts as its debt."""
    up, down, bound = np.zeros_like(funding.waves[0].buys), np.zeros_like(funding.waves[0].buys), funding.bound
    owed = {currency: (1.0 + funding.leg_cost) for currency, _ in funding.debts}
    for wave, rate in zip(funding.waves, rates, strict=True):
        up, down, bound = up + rate * wave.buys, down + rate * wave.sells, bound + float(rate) * wave.cash
        if wave.currency in owed:
            owed[wave.currency] -= float(rate)
    return Cut(FUNDING, 0, rates, up, down, bound - sum(owed[c] * debt for c, debt in funding.debts))


def restart(problem: StructuredProblem, start: Multipliers) -> list[tuple[Cut, float]]:
    """One row per such limit that had a price, with that price."""
    found = []
    if problem.top is not None and start.top_price > 0.0:
        found.append((top_cut(problem.top, start.top / start.top_price, problem.now), start.top_price))
    for number, (tail, price) in enumerate(zip(problem.tails, start.tails, strict=False)):
        total = float(price.sum())
        if total > 0.0 and len(price) == len(tail.returns):
            found.append((tail_cut(tail, number, price / total, problem.now), total))
    funding = problem.funding
    if funding is not None and start.funding > 0.0 and len(start.waves) == len(funding.waves):
        found.append((funding_cut(funding, start.waves / start.funding), start.funding))
    return found


def mixed(cuts: Sequence[Cut], prices: Floats, kind: str, number: int, size: int) -> tuple[Floats, float]:
    """(price of each part, price of the limit): the rows of one limit added up."""
    total, parts = 0.0, np.zeros(size)
    for cut, price in zip(cuts, prices, strict=True):
        if cut.kind == kind and cut.number == number and price > 0.0:
            parts, total = parts + price * cut.shares, total + float(price)
    return parts, total
