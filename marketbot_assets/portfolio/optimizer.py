"""The readable optimizer: a convex problem in cvxpy, solved by Clarabel. Pure.

    maximize    mu'w - gamma/2 w'(G'G + D)w - amortization * (cost_buy'b + cost_sell's)
    over        w = weights now + b - s,  b, s >= 0
    subject to  lower <= w <= upper                    single names (RC-08, 10, 30, 31, 41, 60)
                A w <= a,  sum b <= c                  groups, gross, cash, buys, stress (RC-32 to 46)
                |R w| <= r                             volatility per estimator, concentration (RC-42, RC-39)
                sum of the ten largest w <= t          RC-40
                mean of the worst 2.5 % of losses <= e RC-44 (Rockafellar and Uryasev 2000)
                buys <= cash + legs + 95 % of sells    RC-18

Not here: the limits as constraints (`cone_program`), other objectives (`min_variance`, `cvar`, `tracking_error`, `multi_period`,
`long_short`), whether the answer may be used (`fallback` measures it again in plain numpy).
"""

import cvxpy as cp

from marketbot_assets.portfolio.cone_program import Program, cost, largest, reward, risk
from marketbot_assets.portfolio.target import Answer, Problem


def mean_variance(problem: Problem) -> Answer:
    """The optimal weights (n,) with the dual of every limit. Status other than `optimal` means: do not use.

    Raises cvxpy.SolverError when the solver gives up.
    """
    return largest(problem, utility)


def utility(program: Program, problem: Problem) -> cp.Expression:
    """Expected return - risk - cost, per year: `Problem.utility` up to the constants of names that cannot move."""
    return reward(program, problem) - risk(program, problem) - cost(program, problem)
