"""A problem of a few names whose answer is known by hand: no limits but those given, no costs unless given."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from marketbot_assets.portfolio.bounds import Bounds
from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.limit import Limit
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_assets.portfolio.target import Problem
from marketbot_resources.mandate import Mandate


def small_problem(
    mandate: Mandate,
    expected: ArrayLike,
    covariance: ArrayLike,
    *,
    limits: Sequence[Limit] = (),
    now: ArrayLike | None = None,
    lower: float = 0.0,
    upper: float = 1.0,
    cost: float = 0.0,
    returns: ArrayLike | None = None,
    benchmark: ArrayLike = (),
    **rule: object,
) -> Problem:
    """The covariance goes into the factor root whole; `rule`: keys of the mandate's section portfolio."""
    mu, matrix = np.asarray(expected, dtype=float), np.asarray(covariance, dtype=float)
    n = len(mu)
    weights = np.zeros(n) if now is None else np.asarray(now, dtype=float)
    scenarios = np.zeros((1, n)) if returns is None else np.asarray(returns, dtype=float)
    yes, no = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    facts = Facts(
        weights_now=weights,
        expected_return=mu,
        cost_buy=np.full(n, cost),
        cost_sell=np.full(n, cost),
        factor_root=np.linalg.cholesky(matrix).T,
        specific=np.zeros(n),
        vol_roots=(),
        returns=scenarios,
        scenario_returns=np.zeros((0, n)),
        scenario_factor_returns=np.zeros((0, n)),
        beta=np.ones(n),
        buyable=yes,
        sellable=yes,
        no_buys="",
        benchmark=np.asarray(benchmark, dtype=float),
    )
    bounds = Bounds(np.full(n, lower), np.full(n, upper), no, no)
    return Problem(facts, LimitSet(bounds, tuple(limits), weights), asking(mandate, **rule), (True,) * n)


def asking(mandate: Mandate, **rule: object) -> Mandate:
    """The mandate with other keys in its section portfolio; sections are given as mappings."""
    portfolio = mandate.portfolio
    changes = {
        name: getattr(portfolio, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in rule.items()
    }
    return mandate.model_copy(update={"portfolio": portfolio.model_copy(update=changes)})


def within(problem: Problem, lower: ArrayLike, upper: ArrayLike) -> Problem:
    """The problem with bounds of its own for each name."""
    bounds = replace(problem.limits.bounds, lower=np.asarray(lower, dtype=float), upper=np.asarray(upper, dtype=float))
    return replace(problem, limits=replace(problem.limits, bounds=bounds))
