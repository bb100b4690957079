"""A decision explained: parts that add up, prices of limits that a second solve confirms, changes split without a rest."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import small_problem

from marketbot_assets.book.positions import Holdings, Valuation
from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.portfolio.change import CAUSES, change_of, unknown_change
from marketbot_assets.portfolio.contribution import contributions
from marketbot_assets.portfolio.earlier import Earlier, aligned, earlier_inputs
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import problem_of, solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import ConeLimit, LinearLimit
from marketbot_assets.portfolio.limit_price import limit_prices, looser, prices_of_target
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.schema import TARGET_EXPLANATION
from marketbot_assets.portfolio.structured.adapter import structured_mean_variance
from marketbot_assets.portfolio.target import MEAN_VARIANCE, OPTIMAL, Answer, LimitState, Problem, Target
from marketbot_assets.portfolio.target_frame import explanation_frame, target_frame
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.content import canonical, to_frame

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]


def test_contributions_by_hand(mandate: Mandate) -> None:
    """w = (0.6, 0.3), S = [[0.04, 0.01], [0.01, 0.09]]: Sw = (0.027, 0.033), variance 0.0261, sigma 0.161555."""
    problem = small_problem(mandate, [0.05, 0.08], [[0.04, 0.01], [0.01, 0.09]], now=[0.7, 0.1], cost=0.002)
    parts = contributions(problem.facts, np.array([0.6, 0.3]))
    np.testing.assert_allclose(parts.expected_return, [0.03, 0.024], atol=1e-15)
    np.testing.assert_allclose(parts.risk, [0.0162 / 0.1615549442, 0.0099 / 0.1615549442], atol=1e-10)
    np.testing.assert_allclose(parts.cost, [0.0002, 0.0004], atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.sampled_from([0.0, 0.01, 1.0, 5.0]))
def test_contributions_add_up(build: Build, mandate: Mandate, seed: int, wild: float) -> None:
    """Risk parts sum to the factor model's volatility within 1e-12, measured from the dense covariance; return parts to mu'w."""
    inputs = build(seed, n=12, invested=0.5, wild=wild)
    facts, weights = facts_of(inputs, mandate), np.random.default_rng(seed).dirichlet(np.ones(12))
    model = inputs.factor_model
    covariance = model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)
    parts = contributions(facts, weights)
    assert parts.risk.sum() == pytest.approx(np.sqrt(weights @ covariance @ weights), abs=1e-12)
    assert parts.expected_return.sum() == pytest.approx(facts.expected_return @ weights, abs=1e-12)
    assert not contributions(facts, np.zeros(12)).risk.any()


def target_at(problem: Problem, answer: Answer, method: str = MEAN_VARIANCE) -> Target:
    now = problem.limits.weights_now
    states = tuple(
        LimitState(x.control, x.name, x.unit, x.left(answer.weights, now), x.bound, x.hard, dual)
        for x, dual in zip(problem.limits.limits, answer.duals, strict=True)
    )
    return Target(answer.weights, now, 0.0, method, OPTIMAL, 0.0, 0.0, states, (), "", answer.solver)


def test_prices_by_hand(mandate: Mandate) -> None:
    """One name, mu 0.2, variance 0.04, aversion 4: utility 0.2 w - 0.08 w^2. At w <= 0.5 the dual is 0.12; 1 % more gains
    0.005 * 0.12 - 0.08 * 0.005^2 = 0.000598, and 0.001 of return. The same with w^2 <= 0.25, where w rises to 0.5 * sqrt(1.01).
    """
    row = LinearLimit("RC-36", "gross", np.ones(1), 0.5, 0.5)
    cone = ConeLimit("RC-39", "squares", np.eye(1), 0.25, 0.25, "1", squared=True)
    idle = LinearLimit("RC-38", "idle", np.ones(1), 0.9, 0.9)
    step = 0.5 * (np.sqrt(1.01) - 1.0)
    for limit, gain in ((row, 0.005), (cone, step)):
        problem = small_problem(mandate, [0.2], [[0.04]], limits=[limit, idle], risk_aversion=4.0)
        answer = structured_mean_variance(problem)
        first, second = limit_prices(problem, target_at(problem, answer), structured_mean_variance)
        assert first.utility == pytest.approx(0.12 * gain - 0.08 * gain**2, abs=1e-8)
        assert first.by_dual == pytest.approx(0.12 * gain, abs=1e-7)
        assert first.expected_return == pytest.approx(0.2 * gain, abs=1e-7)
        assert (second.utility, second.by_dual, second.expected_return) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", [1, 7, 13])
def test_prices_agree_with_the_other_solver(build: Build, mandate: Mandate, seed: int) -> None:
    """The stored price is what cvxpy gains with that one bound 1 % looser; the first order is never below it."""
    inputs = build(seed, n=25, invested=0.5)
    inputs = replace(inputs, expected_return=inputs.expected_return + 0.1)
    target = solve_target(inputs, mandate)
    problem = problem_of(inputs, facts_of(inputs, mandate), mandate)
    prices = prices_of_target(inputs, target, mandate)
    base = problem.utility(mean_variance(problem).weights)
    binding = [k for k, price in enumerate(prices) if price.by_dual > 1e-7]
    assert len(prices) == len(target.limits)
    assert binding
    for k in binding:
        again = problem.utility(mean_variance(looser(problem, k)).weights) - base
        assert prices[k].utility == pytest.approx(again, abs=2e-8)
        assert prices[k].utility <= prices[k].by_dual + 2e-8


def test_without_an_answer_there_is_no_price(mandate: Mandate) -> None:
    """Another method has no prices; a second solve that fails leaves an unknown price, never a zero."""
    problem = small_problem(
        mandate, [0.2], [[0.04]], limits=[LinearLimit("RC-36", "gross", np.ones(1), 0.5, 0.5)], risk_aversion=4.0
    )
    answer = structured_mean_variance(problem)

    def fails(asked: Problem) -> Answer:
        raise ArithmeticError("not certified")

    assert limit_prices(problem, target_at(problem, answer, "cvar"), structured_mean_variance) == ()
    (price,) = limit_prices(problem, target_at(problem, answer), fails)
    assert np.isnan(price.utility)
    assert price.by_dual == pytest.approx(0.0006, abs=1e-6)


def moved(inputs: PortfolioInputs, cause: str, state: State) -> PortfolioInputs:
    """Tomorrow with one group of inputs changed."""
    if cause == "forecast":
        return replace(inputs, expected_return=inputs.expected_return[::-1].copy())
    if cause == "risk":
        model = inputs.factor_model
        return replace(inputs, factor_model=replace(model, specific_variance=3.0 * model.specific_variance))
    if cause == "limits":
        return replace(inputs, book=state(rung=Rung.SCALED, multiple=0.5, drawdown=0.08), can_buy=np.arange(30) % 3 > 0)
    return replace(inputs, positions=tuple(2 * q for q in inputs.positions), cost_buy=2.0 * inputs.cost_buy)


@pytest.mark.parametrize("cause", ["forecast", "risk", "limits", "holdings"])
def test_one_cause_is_the_whole_change(build: Build, state: State, mandate: Mandate, cause: str) -> None:
    """When one group of inputs moves, its part is the change and every other part is zero."""
    before = build(5, n=30, invested=0.3, wild=1.5)
    after = moved(before, cause, state)
    old, new = solve_target(before, mandate), solve_target(after, mandate)
    change = change_of(before, after, mandate, stored=old.weights, target=new)
    for name, part in zip(CAUSES, change.parts, strict=True):
        np.testing.assert_array_equal(part, new.weights - old.weights if name == cause else np.zeros(30))
    row = int(np.argmax(np.abs(new.weights - old.weights)))
    assert f"since the session before: {cause} " in change.words(row)
    assert abs(new.weights - old.weights)[row] > 1e-3


def test_parts_of_a_change_add_up(build: Build, state: State, mandate: Mandate) -> None:
    """All groups move, and the stored target is another one than the first solve gives: the sum is the change, with its rest."""
    before = build(6, n=30, invested=0.3, wild=1.5)
    after = before
    for cause in ("forecast", "risk", "limits", "holdings"):
        after = moved(after, cause, state)
    stored = solve_target(before, mandate).weights + np.where(np.arange(30) == 4, 0.01, 0.0)
    new = solve_target(after, mandate)
    change = change_of(before, after, mandate, stored=stored, target=new)
    np.testing.assert_allclose(sum(change.parts), new.weights - stored, atol=1e-15)
    parts = dict(zip(CAUSES, change.parts, strict=True))
    np.testing.assert_allclose(parts["rest"], np.where(np.arange(30) == 4, -0.01, 0.0), atol=1e-15)
    assert all(np.abs(part).max() > 1e-4 for part in change.parts)
    with pytest.raises(ValueError, match="same instruments"):
        change_of(build(6, n=29), after, mandate, stored=stored, target=new)


def test_no_session_before_says_so(build: Build, mandate: Mandate) -> None:
    """Without anything to compare with, numbers are null and every name says why; the table holds."""
    inputs = build(8, n=20, invested=0.3)
    target = solve_target(inputs, mandate)
    change = unknown_change(20, "no decision before this session")
    frame = explanation_frame(
        target, explain(inputs, target, mandate), prices=prices_of_target(inputs, target, mandate), change=change
    )
    frame = to_frame(canonical(frame, TARGET_EXPLANATION))
    TARGET_EXPLANATION.pandera_schema.validate(frame)
    names = frame[frame["kind"] == "INSTRUMENT"]
    assert set(names["change"]) == {"no decision before this session"}
    assert names[["weight_yesterday", *(f"change_{cause}" for cause in CAUSES)]].isna().all(axis=None)
    assert frame.loc[frame["kind"] == "LIMIT", "price"].notna().all()


def earlier_of(inputs: PortfolioInputs, target: Target, mandate: Mandate, session: dt.date) -> Earlier:
    """What a session would have stored."""
    frame = target_frame(inputs, target, explain(inputs, target, mandate))
    held = {n: q for n, q in zip(inputs.instruments, inputs.positions, strict=True) if q}
    valuation = Valuation(Holdings(held, dict(inputs.cash)), {}, inputs.nav, {}, {}, inputs.fx_rates, ())
    expected = dict(zip(inputs.instruments, inputs.expected_return.tolist(), strict=True))
    return Earlier(session, frame, expected, inputs.factor_model, inputs.book, valuation)


def test_the_inputs_of_the_session_before_come_back(build: Build, state: State, mandate: Mandate) -> None:
    """From what a session stored, its decision is solved again to the grid: the rest of the change is nothing."""
    before = build(9, n=30, invested=0.4)
    old = solve_target(before, mandate)
    after = before
    for cause in ("forecast", "risk", "limits", "holdings"):
        after = moved(after, cause, state)
    earlier = earlier_of(before, old, mandate, before.session - dt.timedelta(days=1))
    again = earlier_inputs(replace(after, cost_buy=before.cost_buy), earlier, mandate)
    np.testing.assert_allclose(again.weights_now(), before.weights_now(), atol=1e-15)
    assert again.cash["USD"] == before.cash["USD"].quantize(Decimal("0.01"))
    assert (again.book, again.factor_model, again.rebalance) == (before.book, before.factor_model, True)
    np.testing.assert_allclose(solve_target(again, mandate).weights, old.weights, atol=2e-6)


def test_a_new_listing_is_unknown_to_the_session_before(build: Build, mandate: Mandate) -> None:
    """Names that come or go: the model is NaN for the new one, which is not bought; the others keep their numbers and order."""
    inputs = build(10, n=20, invested=0.3)
    model, names = inputs.factor_model, ("MB0003", "MB0001", "MB9999")
    fitted = aligned(model, tuple(sorted(names)))
    np.testing.assert_array_equal(fitted.exposures[:2], model.exposures[[1, 3]])
    np.testing.assert_array_equal(fitted.returns[:, :2], model.returns[:, [1, 3]])
    np.testing.assert_array_equal(fitted.scenario_paths[..., :2], model.scenario_paths[..., [1, 3]])
    for values in (fitted.exposures[2], fitted.returns[:, 2], fitted.scenario_returns[:, 2], fitted.beta[2:]):
        assert np.isnan(values).all()
    small = aligned(model, model.instruments[:-1])  # the session before did not know the last name
    free = replace(inputs, positions=(*inputs.positions[:-1], Decimal(0)))
    earlier = replace(earlier_of(free, solve_target(free, mandate), mandate, free.session), factor_model=small)
    then = earlier_inputs(free, earlier, mandate)
    assert np.isnan(then.factor_model.beta[-1])
    answer = solve_target(then, mandate)
    assert answer.weights[-1] == 0.0
    assert answer.status == OPTIMAL
