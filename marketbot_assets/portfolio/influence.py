"""The target with the views of a language model, and what they move: solved without and with them, the difference capped (RC-52).

No tilt: one solve, the same target as ever. Else both problems are solved, and where any weight, or all together, moved by more
than `limits.RC-52_llm_influence`, the target is without + share * (with - without) with the largest share that keeps both caps.
The limits are convex and both ends keep them, so every point between keeps them; rounding to the grid goes towards the side without
views, and the result is measured again in plain numpy. Views are left out, with the reason, when a tilt is no usable number, the
mandate asks no model, the session optimizes nothing, the solve with them fails or another method answers it.

Orders: the plan cuts and fills up without views (`order_plan`), so they reach orders through the target alone. In whole lots a name
then mostly differs by at most the cap and one lot; orders below the smallest one and cuts for cash or a hard limit can add to
that: of 960 random books four differed in a name by up to 0.12 % of NAV more. Pure.
Not here: what views are worth (`insight.evidence`), the verdict on what they moved (`risk.model_controls`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import DEFAULT_SOLVERS, SOLVER_FAILURES, problem_of, solve_target
from marketbot_assets.portfolio.groundwork import Groundwork
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import WEIGHT_GRID
from marketbot_assets.portfolio.methods import Solver
from marketbot_assets.portfolio.target import (
    CLAMPED,
    CURES_ONLY,
    LEFT_OUT,
    OPTIMAL,
    RISK_REDUCING_ONLY,
    TO_CASH,
    LimitState,
    Target,
    limit_states,
)
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_model_limits import LlmInfluence

NOT_OPTIMIZED = (TO_CASH, CURES_ONLY, RISK_REDUCING_ONLY)
EXACT = 1e-12
HAIR = 1e-9
TOLD_MAX = 1e-4


def solve_with_influence(
    inputs: PortfolioInputs,
    mandate: Mandate,
    *,
    solvers: Sequence[tuple[str, Solver]] = DEFAULT_SOLVERS,
    second_opinion: bool = False,
    ground: Groundwork | None = None,
) -> Target:
    """The target of the session with what views of a language model may move of it. Parameters and promises of `solve_target`.

    The target without views is the answer to everything that goes wrong with them. It alone gets the second opinion: what views add
    to it is capped, whichever solver they were given to.
    """
    assert ground is None or ground.inputs is inputs, "the groundwork must be of these inputs"
    plain = solve_target(inputs.without_views(), mandate, solvers=solvers, second_opinion=second_opinion, ground=ground)
    if not inputs.tilted:
        return plain
    refusal = _refusal(inputs, plain, mandate)
    if refusal:
        return _without(plain, refusal)
    try:
        viewed = solve_target(inputs, mandate, solvers=solvers)
    except SOLVER_FAILURES as error:
        return _without(plain, f"the solve with them failed, {type(error).__name__}")
    if (viewed.status, viewed.method) != (plain.status, plain.method):
        return _without(plain, f"with them {viewed.method} answered, {viewed.status}")
    return _capped(inputs, plain, viewed, mandate)


def is_target_without(inputs: PortfolioInputs, told: Floats, mandate: Mandate) -> bool:
    """Whether weights (n,) are the target that these inputs give without views, solved anew, within TOLD_MAX of NAV per name.

    The verdict asks it before it believes what a stored target says that views moved.
    """
    own = solve_target(inputs.without_views(), mandate).weights
    return own.shape == told.shape and bool(np.allclose(told, own, rtol=0.0, atol=TOLD_MAX, equal_nan=True))


def _refusal(inputs: PortfolioInputs, plain: Target, mandate: Mandate) -> str:
    """Why the views are not even tried; empty when they are."""
    rule = mandate.limits.llm_influence
    tests = (
        (not inputs.tilt_usable, "a tilt is not a usable number"),
        (mandate.llm is None, "the mandate asks no language model"),
        (not (rule.name > 0.0 and rule.book > 0.0), "RC-52 allows them nothing"),
        (plain.status != OPTIMAL, "no method answered without them"),
        (plain.method in NOT_OPTIMIZED, "nothing is optimized in this session"),
    )
    return next((text for fails, text in tests if fails), "")


def _without(plain: Target, why: str) -> Target:
    return replace(plain, without_llm=plain.weights, llm_note=f"{LEFT_OUT}: {why}")


def _capped(inputs: PortfolioInputs, plain: Target, viewed: Target, mandate: Mandate) -> Target:
    """The target with views when it keeps the caps, else the nearest point to it on the way from the one without that does."""
    rule = mandate.limits.llm_influence
    if not np.array_equal(np.isnan(plain.weights), np.isnan(viewed.weights)):
        return _without(plain, "with them other weights are unknown")
    unknown = np.isnan(plain.weights)
    base, wanted = (np.where(unknown, 0.0, target.weights) for target in (plain, viewed))
    doubts = tuple(dict.fromkeys((*plain.doubts, *viewed.doubts)))
    if kept(wanted - base, rule):
        return replace(viewed, without_llm=plain.weights, doubts=doubts)
    problem = problem_of(inputs, facts_of(inputs, mandate), mandate)
    for share, weights in _candidates(base, wanted, rule):
        residual = problem.limits.residual(weights)
        if kept(weights - base, rule) and residual <= mandate.limits.residual.hard:
            shown = np.where(unknown, np.nan, weights)
            return replace(
                viewed,
                weights=shown,
                cash_weight=round(1.0 - float(weights.sum()), 6),
                objective=problem.utility(weights),
                residual=residual,
                limits=(
                    *limit_states(problem.limits, weights, ()),
                    *_own(plain, viewed, share, len(problem.limits.limits)),
                ),
                doubts=doubts,
                without_llm=plain.weights,
                llm_note=f"{CLAMPED} by RC-52 to {share:.2f} of the way from the target without views to the one with them",
            )
    return _without(plain, "no point of the grid keeps both RC-52 and the limits")


def kept(moved: Floats, rule: LlmInfluence) -> bool:
    """Whether what moved, (n,) fractions of NAV, is within both caps; what is not finite is not."""
    size = np.abs(moved)
    return bool(size.max(initial=0.0) <= rule.name + EXACT and size.sum() <= rule.book + EXACT)


def largest_share(moved: Floats, rule: LlmInfluence) -> float:
    """The largest share, 0 to 1, of a move (n,) that keeps both caps: exact, as both sides are linear in it."""
    size = np.abs(moved)
    pairs = ((rule.name, float(size.max(initial=0.0))), (rule.book, float(size.sum())))
    return min(1.0, *(cap / side for cap, side in pairs if side > 0.0), 1.0)


def on_the_way(base: Floats, wanted: Floats, share: float, *, down: bool = False) -> Floats:
    """Base + share * (wanted - base) on the grid counted from `base`: each weight rounded towards it, or with `down` to less."""
    steps = share * (wanted - base) / WEIGHT_GRID
    whole = np.floor(steps + HAIR) if down else np.sign(steps) * np.floor(np.abs(steps) + HAIR)
    weights = np.where(whole == 0.0, base, np.round(base + whole * WEIGHT_GRID, 9))
    return np.asarray(np.clip(weights, np.minimum(base, wanted), np.maximum(base, wanted)))


def _candidates(base: Floats, wanted: Floats, rule: LlmInfluence) -> Iterator[tuple[float, Floats]]:
    """(share, weights): the largest share rounded towards `base`; should that break a limit, one that leaves room to round down."""
    moved = wanted - base
    falls = float(np.count_nonzero(moved < 0.0))
    room = rule.model_copy(
        update={"name": max(rule.name - WEIGHT_GRID, 0.0), "book": max(rule.book - WEIGHT_GRID * falls, 0.0)}
    )
    share, less = largest_share(moved, rule), largest_share(moved, room)
    yield share, on_the_way(base, wanted, share)
    yield less, on_the_way(base, wanted, less, down=True)


def _own(plain: Target, viewed: Target, share: float, first: int) -> tuple[LimitState, ...]:
    """Limits of the method itself: between the two answers their left side is at most the mix of both, as they are convex."""
    pairs = zip(plain.limits[first:], viewed.limits[first:], strict=False)
    return tuple(replace(b, left=(1.0 - share) * a.left + share * b.left, dual=0.0) for a, b in pairs)
