"""What changed since the session before: each change of a target weight, split into what moved it. Pure.

Sequential attribution in a fixed order: the problem of the session before is solved again, then with today's forecasts (views of a
language model are part of them), then with
today's risk model (covariances, scenarios), then with today's limits (ladder, state of the book, stops, permissions, cadence); the
last step, to today's target, is holdings, cash, prices and costs. What the first solve does not reproduce of the target that was
stored is the rest: another mandate, liquidity, listings. The parts add up to the change; another order would split them in
another way, which is why it never varies. Not here: the inputs of the session before (`earlier`).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from marketbot_assets.portfolio.influence import solve_with_influence
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.target import Target
from marketbot_resources.mandate import Mandate

CAUSES = ("forecast", "risk", "limits", "holdings", "rest")
SHOWN = 5e-5
Decide = Callable[[PortfolioInputs, Mandate], Target]


@dataclass(frozen=True, slots=True)
class Change:
    """`before`: (n,) target weights of the session before. `parts`: per cause of CAUSES (n,), whose sum is the change.

    Weights that are unknown count as 0. `missing`: why there is nothing to compare with; then all numbers are NaN.
    """

    before: Floats
    parts: tuple[Floats, ...]
    missing: str = ""

    def words(self, row: int) -> str:
        """Like "+0.40 % since the session before: forecast +0.30 %, limits +0.10 %", parts of no size left out."""
        if self.missing:
            return self.missing
        found = [float(part[row]) for part in self.parts]
        told = [f"{name} {_percent(part)}" for name, part in zip(CAUSES, found, strict=True) if abs(part) >= SHOWN]
        if not told:
            return "as in the session before"
        return f"{_percent(sum(found))} since the session before: {', '.join(told)}"


def unknown_change(n: int, why: str) -> Change:
    """No comparison, and the reason."""
    return Change(np.full(n, np.nan), tuple(np.full(n, np.nan) for _ in CAUSES), why)


def change_of(
    before: PortfolioInputs,
    after: PortfolioInputs,
    mandate: Mandate,
    *,
    stored: Floats,
    target: Target,
    decide: Decide = solve_with_influence,
) -> Change:
    """The change from `stored` (n,), the target of the session before, to `target`; both inputs have the same instruments.

    Raises ValueError when they have not.
    """
    if before.instruments != after.instruments:
        raise ValueError(f"expected the same instruments, found {len(before.instruments)} and {len(after.instruments)}")
    steps = (before, *_steps(before, after))
    known = np.where(np.isfinite(stored), stored, 0.0)
    books = [known, *(_weights(decide(step, mandate)) for step in steps), _weights(target)]
    rest, *parts = (late - early for early, late in itertools.pairwise(books))
    return Change(known, (*parts, rest))


def _steps(before: PortfolioInputs, after: PortfolioInputs) -> tuple[PortfolioInputs, PortfolioInputs, PortfolioInputs]:
    """The session before with today's forecasts; with today's risk, too; with today's limits, too."""
    forecast = replace(before, expected_return=after.expected_return, llm_tilt=after.llm_tilt)
    risk = replace(forecast, factor_model=after.factor_model, sigma_daily=after.sigma_daily, benchmark=after.benchmark)
    limits = replace(
        risk,
        book=after.book,
        can_buy=after.can_buy,
        can_trade=after.can_trade,
        force_exit=after.force_exit,
        reasons=after.reasons,
        rebalance=after.rebalance,
    )
    return forecast, risk, limits


def _weights(target: Target) -> Floats:
    return np.where(np.isfinite(target.weights), target.weights, 0.0)


def _percent(weight: float) -> str:
    return f"{100.0 * weight:+.2f} %"
