"""The mandate's problems in the structured form against the readable one, and what happens when the two differ or one fails."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import DEFAULT_SOLVERS, problem_of, solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.second_opinion import asked, doubts_about, second_opinion
from marketbot_assets.portfolio.structured import kernel, linear_algebra
from marketbot_assets.portfolio.structured.adapter import SOLVER, answer_of, structured, structured_mean_variance
from marketbot_assets.portfolio.structured.fingerprint import fingerprint
from marketbot_assets.portfolio.structured.problem import NOT_CONVERGED
from marketbot_assets.portfolio.structured.solve import solve
from marketbot_assets.portfolio.target import MEAN_VARIANCE, Answer, Problem
from marketbot_assets.portfolio.target_frame import target_frame, target_of
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]
RUNGS = ((0.0, Rung.FULL, 1.0), (0.07, Rung.SCALED, 0.8), (0.11, Rung.REDUCE_ONLY, 0.25))


def case(build: Build, state: State, mandate: Mandate, number: int, n: int = 65) -> Problem:
    """One of 36 kinds of books: empty, half, full and overdrawn; calm, usual and wild; on three rungs."""
    drawdown, rung, multiple = RUNGS[(number // 12) % 3]
    inputs = build(number, n=n, invested=(0.0, 0.5, 0.97, 1.1)[number % 4], wild=(0.3, 1.0, 3.0)[(number // 4) % 3])
    inputs = replace(inputs, book=state(rung=rung, multiple=multiple, drawdown=drawdown))
    return problem_of(inputs, facts_of(inputs, mandate), mandate)


def tightened(mandate: Mandate, number: int) -> Mandate:
    """Limits that seldom bind made to bind: expected shortfall, ten largest, sum of squares."""
    limits = mandate.limits
    changes = (
        {"es": limits.es.model_copy(update={"target": 0.002})},
        {"top10": limits.top10.model_copy(update={"target": 0.10})},
        {"hhi": limits.hhi.model_copy(update={"target": 0.002})},
    )
    return mandate.model_copy(update={"limits": limits.model_copy(update=changes[number])})


@pytest.mark.parametrize("number", range(0, 36, 3))
def test_both_solvers_agree_on_the_mandate(build: Build, state: State, mandate: Mandate, number: int) -> None:
    """Every limit of the default mandate: the same utility to 1e-7 relative, no limit broken by more than 1e-9, like prices."""
    problem = case(build, state, mandate, number)
    fast, slow = structured_mean_variance(problem), mean_variance(problem)
    mine, other = problem.utility(fast.weights), problem.utility(slow.weights)
    assert fast.solver == SOLVER
    assert slow.status == "optimal"
    assert abs(mine - other) <= 1e-7 * (1e-3 + abs(mine))
    assert problem.limits.residual(fast.weights) <= 1e-9
    assert len(fast.duals) == len(problem.limits.limits)
    prices = np.array(fast.duals)
    assert (prices >= 0.0).all()
    slack = np.array([x.bound - x.left(fast.weights, problem.limits.weights_now) for x in problem.limits.limits])
    rounding = np.array([getattr(x, "rounding", 0.0) for x in problem.limits.limits])
    np.testing.assert_allclose(prices * (slack - rounding), 0.0, atol=1e-9)


@pytest.mark.parametrize("number", range(3))
def test_limits_that_seldom_bind(build: Build, mandate: Mandate, number: int) -> None:
    """Expected shortfall, ten largest and sum of squares at work: both solvers agree, and on the price, too."""
    tight = tightened(mandate, number)
    inputs = build(5 + number)
    problem = problem_of(inputs, facts_of(inputs, tight), tight)
    fast, slow = structured_mean_variance(problem), mean_variance(problem)
    assert abs(problem.utility(fast.weights) - problem.utility(slow.weights)) <= 1e-7
    place = next(k for k, x in enumerate(problem.limits.limits) if x.control == ("RC-44", "RC-40", "RC-39")[number])
    limit = problem.limits.limits[place]
    assert limit.left(fast.weights, problem.limits.weights_now) == pytest.approx(limit.bound, abs=1e-8)
    assert fast.duals[place] > 0.0
    if number < 2:  # the price of a squared norm is told in another unit
        assert fast.duals[place] == pytest.approx(slow.duals[place], rel=2e-3)


@pytest.mark.long
@pytest.mark.parametrize("n", [5, 20, 65, 200])
def test_both_solvers_agree_at_length(build: Build, state: State, mandate: Mandate, n: int) -> None:
    """250 books of each size."""
    for number in range(250):
        problem = case(build, state, mandate, number, n)
        fast = structured_mean_variance(problem)
        assert problem.limits.residual(fast.weights) <= 1e-9
        assert second_opinion(problem, fast) <= 1e-6, (n, number)


def test_the_fast_solver_answers_first(build: Build, mandate: Mandate) -> None:
    """The chain: the structured dual decides, its name is stored, nothing is doubted."""
    target = solve_target(build(1, invested=0.5), mandate, second_opinion=True)
    assert (target.method, target.solver, target.failures, target.doubts) == (MEAN_VARIANCE, SOLVER, (), ())


def failing(problem: Problem) -> Answer:
    """The structured solver at the moment when it cannot certify."""
    return answer_of(problem, replace(solve(structured(problem)), status=NOT_CONVERGED))


def test_without_a_certificate_cvxpy_answers_and_it_is_said(build: Build, mandate: Mandate) -> None:
    """RC-53: the second solver takes over; that the first one failed is a doubt, not silence."""
    inputs = build(2, invested=0.5)
    target = solve_target(inputs, mandate, solvers=((MEAN_VARIANCE, failing), *DEFAULT_SOLVERS[1:]))
    assert target.method == MEAN_VARIANCE
    assert target.solver.startswith("clarabel")
    assert target.failures == ((MEAN_VARIANCE, "ArithmeticError: structured dual not_converged"),)
    assert len(target.doubts) == 1
    fast = solve_target(inputs, mandate)
    np.testing.assert_allclose(target.weights, fast.weights, atol=3e-6)


def timid(problem: Problem) -> Answer:
    """Feasible, claimed optimal, but a tenth of the way short of it."""
    best, lower = structured_mean_variance(problem), problem.limits.bounds.lower
    return replace(best, weights=lower + 0.9 * (best.weights - lower))


def test_a_worse_answer_is_doubted(build: Build, mandate: Mandate) -> None:
    """The second opinion finds what keeps every limit but is not optimal; the doubt survives storage."""
    inputs = build(3)
    target = solve_target(inputs, mandate, solvers=((MEAN_VARIANCE, timid),), second_opinion=True)
    assert target.method == MEAN_VARIANCE
    assert len(target.doubts) == 1
    assert "second opinion differs" in target.doubts[0]
    assert solve_target(inputs, mandate, solvers=((MEAN_VARIANCE, timid),)).doubts == ()
    frame = target_frame(inputs, target, explain(inputs, target, mandate))
    assert target_of(frame, inputs.instruments).doubts == target.doubts


def test_a_second_opinion_that_cannot_be_had_is_a_doubt(build: Build, mandate: Mandate) -> None:
    """Unknown is not agreement."""
    inputs = build(4)
    problem = problem_of(inputs, facts_of(inputs, mandate), mandate)
    answer = structured_mean_variance(problem)

    def gives_up(_: Problem) -> Answer:
        raise cp.SolverError("no progress")

    for other in (gives_up, lambda _: replace(answer, status="optimal_inaccurate")):
        assert len(doubts_about(problem, answer, other=other)) == 1
    nan = replace(answer, weights=np.full(len(answer.weights), np.nan))
    assert len(doubts_about(problem, nan)) == 1


def test_a_backtest_asks_on_one_day_in_a_hundred() -> None:
    """The calendar day decides, so every run asks on the same sessions."""
    days = [dt.date(2014, 1, 1) + dt.timedelta(days=k) for k in range(3000)]
    assert sum(asked(day) for day in days) == 30


def test_a_warm_start_answers_alike(build: Build, state: State, mandate: Mandate) -> None:
    """Yesterday's multipliers shorten the way and move no weight by more than half the grid."""
    for number in (1, 2, 5, 14):
        problem = case(build, state, mandate, number)
        cold = solve(structured(problem))
        warm = solve(structured(problem), cold.multipliers)
        assert warm.steps <= cold.steps
        np.testing.assert_allclose(warm.weights, cold.weights, atol=5e-7)


def test_changed_code_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler's cache looks at one file; the fingerprint sees a number in any of them."""
    before = fingerprint(linear_algebra, kernel)
    assert fingerprint(linear_algebra, kernel) == before
    monkeypatch.setattr(kernel, "DAMPING", 2e-11)
    assert fingerprint(linear_algebra, kernel) != before
