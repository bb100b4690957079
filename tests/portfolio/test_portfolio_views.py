"""Views of a language model: solved without and with them, the difference capped; whatever goes wrong, the book without them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilted_world import EXACT, asking, drawn, tilted

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import DEFAULT_SOLVERS, problem_of, solve_target
from marketbot_assets.portfolio.influence import kept, largest_share, on_the_way, solve_with_influence
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.target import MEAN_VARIANCE, OPTIMAL, Answer, Problem
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_model_limits import LlmInfluence

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]
GRID = 1e-6


# The blend


def test_the_largest_share_by_hand() -> None:
    """Moves of +3 % and -3 %: a cap of 1 % per name gives a third, 1.5 % in the book a quarter, both wide caps all of it."""
    moved = np.array([0.03, -0.03, 0.0])
    for name, book, share in (
        (0.01, 0.05, 1 / 3),
        (0.01, 0.015, 0.25),
        (0.03, 0.06, 1.0),
        (0.0, 0.05, 0.0),
        (0.5, 0.0, 0.0),
    ):
        assert largest_share(moved, LlmInfluence(name=name, book=book)) == pytest.approx(share, abs=1e-15)
    assert largest_share(np.zeros(3), LlmInfluence(name=0.0, book=0.0)) == 1.0


def test_the_way_is_rounded_towards_the_book_without_views() -> None:
    """Half of +10.0015 and -10.0015 thousandths is 5.00075: 5.000 thousandths of the grid, rising and falling, down: -5.001."""
    base, wanted = np.array([0.02, 0.02, 0.1234565]), np.array([0.0300015, 0.0099985, 0.1234565])
    np.testing.assert_allclose(on_the_way(base, wanted, 0.5), [0.025, 0.015, 0.1234565], atol=1e-15)
    np.testing.assert_allclose(on_the_way(base, wanted, 0.5, down=True), [0.025, 0.014999, 0.1234565], atol=1e-15)
    np.testing.assert_array_equal(on_the_way(base, wanted, 0.0), base)


def test_what_is_no_number_is_not_kept() -> None:
    """NaN and infinite moves are beyond every cap."""
    rule = LlmInfluence(name=0.01, book=0.015)
    cases = (([0.01, -0.005], True), ([0.01 + 1e-9, 0.0], False), ([0.008, 0.008], False), ([np.nan, 0.0], False),
             ([0.0, np.inf], False), ([-0.01, 0.0], True), ([-0.010001, 0.0], False))  # fmt: skip
    for moved, answer in cases:
        assert kept(np.array(moved), rule) is answer, moved


@pytest.mark.parametrize(("seed", "name", "book"), [(3, 0.01, 0.05), (4, 0.004, 0.05), (5, 0.02, 0.01), (6, 1.0, 1.0)])
def test_two_solves_of_cvxpy_and_a_blend_by_hand(
    build: Build, mandate: Mandate, seed: int, name: float, book: float
) -> None:
    """The readable solver without and with the tilt, and the largest step between its two answers, give the same book."""
    inputs, rules = drawn(build(seed, n=20, invested=0.4), 0.03, seed), asking(mandate, name, book)
    plain = replace(inputs, expected_return=inputs.expected_return - inputs.llm_tilt, llm_tilt=np.zeros(0))
    base, wanted = (mean_variance(problem_of(x, facts_of(x, rules), rules)).weights for x in (plain, inputs))
    way = wanted - base
    share = min(1.0, name / np.abs(way).max(), book / np.abs(way).sum())
    target = solve_with_influence(inputs, rules)
    np.testing.assert_allclose(target.without_llm, base, atol=3e-6)
    np.testing.assert_allclose(target.weights, base + share * way, atol=5e-6)
    assert target.views_clamped == (share < 1.0)
    assert target.residual <= 1e-6
    assert target.cash_weight == pytest.approx(1.0 - target.weights.sum(), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-4, 0.02, 0.5, 1e3]),
    name=st.sampled_from([0.0, 1e-6, 0.0025, 0.01, 1.0]),
    book=st.sampled_from([0.0, 1.5e-6, 0.01, 0.05, 1.0]),
    invested=st.sampled_from([0.0, 0.4, 0.9, 1.05]),
)
def test_no_tilt_moves_more_than_its_caps(
    build: Build, mandate: Mandate, seed: int, scale: float, name: float, book: float, invested: float
) -> None:
    """Whatever the tilt: both caps, every limit of the session, the grid; and never less of a book than without a model."""
    inputs, rules = drawn(build(seed, n=14, invested=invested), scale, seed), asking(mandate, name, book)
    target = solve_with_influence(inputs, rules)
    moved = np.abs(target.weights - target.without_llm)
    assert moved.max() <= name + EXACT
    assert moved.sum() <= book + EXACT
    plain = inputs.without_views()
    assert target.without_llm.tobytes() == solve_target(plain, rules).weights.tobytes()
    bounds = problem_of(plain, facts_of(plain, rules), rules).limits
    over = [x.left(target.weights, bounds.weights_now) - x.bound for x in bounds.limits]
    assert max(over) <= rules.limits.residual.hard
    assert (target.weights >= bounds.bounds.lower - 1e-9).all()
    assert (target.weights <= bounds.bounds.upper + 1e-9).all()
    steps = moved / GRID
    if target.views_clamped:
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert (moved == 0.0).all() or not target.views_left_out


def test_rounding_that_breaks_a_limit_is_drawn_to_less(build: Build, mandate: Mandate) -> None:
    """Both ends fill the ten largest; rises rounded down and falls rounded up break it by 1.3e-6: all is rounded down instead."""
    inputs = build(338, n=60, invested=0.9)
    inputs, rules = drawn(replace(inputs, expected_return=inputs.expected_return + 0.1), 0.05, 338), asking(mandate)
    target = solve_with_influence(inputs, rules)
    base, full = target.without_llm, solve_target(inputs, rules).weights
    way = full - base
    share = min(1.0, 0.01 / np.abs(way).max(), 0.05 / np.abs(way).sum())
    limits = problem_of(inputs, facts_of(inputs, rules), rules).limits
    first = on_the_way(base, full, share)
    broken = [x for x in limits.limits if x.left(first, limits.weights_now) > x.bound + 1e-6]
    assert [x.name for x in broken] == ["top ten"]
    assert all(x.left(target.weights, limits.weights_now) <= x.bound + 1e-6 for x in limits.limits)
    assert target.views_clamped
    moved = np.abs(target.weights - base)
    assert 0.0499 < moved.sum() <= 0.05 + EXACT
    assert moved.max() <= 0.01 + EXACT


def test_with_caps_of_nothing_the_target_is_the_one_without(build: Build, mandate: Mandate) -> None:
    """A cap of zero, per name or in the book, leaves every bit of the book without views."""
    inputs = drawn(build(2, n=20, invested=0.4), 0.05)
    plain = solve_target(inputs.without_views(), mandate)
    for name, book in ((0.0, 0.05), (0.01, 0.0)):
        target = solve_with_influence(inputs, asking(mandate, name, book))
        assert target.weights.tobytes() == target.without_llm.tobytes() == plain.weights.tobytes()
        assert target.llm_note == "left out: RC-52 allows them nothing"


# Without views


@pytest.mark.parametrize("tilt", ["none", "zero"])
def test_without_a_tilt_nothing_changes(build: Build, mandate: Mandate, tilt: str) -> None:
    """One solve, every bit as ever, nothing to say; with and without a language model in the mandate."""
    inputs = build(7, n=30, invested=0.5)
    given_ = inputs if tilt == "none" else replace(inputs, llm_tilt=np.zeros(30))
    plain = solve_target(inputs, mandate, second_opinion=True)
    for rules in (mandate, asking(mandate)):
        target = solve_with_influence(given_, rules, second_opinion=True)
        assert target.weights.tobytes() == plain.weights.tobytes()
        assert (target.limits, target.objective, target.doubts) == (plain.limits, plain.objective, plain.doubts)
        assert (len(target.without_llm), target.llm_note) == (0, "")
        assert not target.llm_influence.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e17])
def test_a_tilt_that_is_no_number_leaves_all_views_out(build: Build, mandate: Mandate, bad: float) -> None:
    """The others' tilts count for nothing, and the name itself, whose own forecast is lost in it, is not bought."""
    inputs = drawn(build(8, n=20), 0.05)
    tilt = inputs.llm_tilt.copy()
    own = inputs.expected_return - tilt
    row = int(np.argmax(solve_target(inputs.without_views(), mandate).weights))
    tilt[row] = bad
    target = solve_with_influence(tilted(replace(inputs, expected_return=own), tilt), asking(mandate))
    own[row] = np.nan
    expected = solve_target(replace(inputs, expected_return=own, llm_tilt=np.zeros(0)), mandate)
    np.testing.assert_allclose(target.weights, expected.weights, atol=2e-6)
    assert target.weights[row] == 0.0
    assert target.llm_note == "left out: a tilt is not a usable number"
    assert not target.llm_influence.any()


def fails_on(answer: Callable[[Problem], Answer]) -> Callable[[Problem], Answer]:
    """A solver that answers without views and does something else with them."""
    first: list[bytes] = []

    def solver(problem: Problem) -> Answer:
        first.append(problem.facts.expected_return.tobytes())
        return mean_variance(problem) if first[0] == first[-1] else answer(problem)

    return solver


def raises(problem: Problem) -> Answer:
    raise ArithmeticError("not certified")


def beyond(problem: Problem) -> Answer:
    return Answer(np.full(len(problem.facts.weights_now), 0.5), OPTIMAL, (), "planted")


@pytest.mark.parametrize("answer", [raises, beyond])
def test_another_method_with_views_is_no_answer(
    build: Build, mandate: Mandate, answer: Callable[[Problem], Answer]
) -> None:
    """When the solver fails with the views, or breaks a limit, the next method of the chain does not answer in its place."""
    inputs = drawn(build(9, n=20, invested=0.3), 0.05)
    solvers = ((MEAN_VARIANCE, fails_on(answer)), *DEFAULT_SOLVERS[2:])
    target = solve_with_influence(inputs, asking(mandate), solvers=solvers)
    assert target.method == MEAN_VARIANCE
    assert target.weights.tobytes() == target.without_llm.tobytes()
    assert target.llm_note == "left out: with them risk_parity answered, optimal"


def test_a_solver_that_stops_with_views_stops_nothing(build: Build, mandate: Mandate) -> None:
    """Every method fails with the views: the book without them, and why."""
    inputs = drawn(build(9, n=20, invested=0.3), 0.05)
    solvers = ((MEAN_VARIANCE, fails_on(raises)),)
    target = solve_with_influence(inputs, asking(mandate), solvers=solvers)
    assert (target.status, target.method) == (OPTIMAL, MEAN_VARIANCE)
    assert target.llm_note == "left out: with them risk_reducing_only answered, no_answer"


def test_sessions_that_optimize_nothing_hear_no_views(build: Build, state: State, mandate: Mandate) -> None:
    """No rebalance, the ladder in cash, no NAV, and a mandate without a language model."""
    inputs, rules = drawn(build(10, n=20, invested=0.5), 0.05), asking(mandate)
    cash = state(rung=Rung.TO_CASH, multiple=0.0, drawdown=0.13)
    nothing = "left out: nothing is optimized in this session"
    cases = (
        (replace(inputs, rebalance=False), rules, nothing),
        (replace(inputs, book=cash), rules, nothing),
        (replace(inputs, nav=float("nan")), rules, "left out: no method answered without them"),
        (inputs, mandate, "left out: the mandate asks no language model"),
    )
    for given_, asked, note in cases:
        target = solve_with_influence(given_, asked)
        plain = solve_target(given_.without_views(), asked)
        assert target.llm_note == note
        assert target.weights.tobytes() == target.without_llm.tobytes() == plain.weights.tobytes()


def test_a_held_name_without_price_is_unknown_in_both(build: Build, mandate: Mandate) -> None:
    """Its weight is NaN with and without views; that is no influence, and everything else is measured."""
    inputs = drawn(build(11, n=20, invested=0.5), 0.05)
    row = next(k for k, shares in enumerate(inputs.positions) if shares)
    price = np.where(np.arange(20) == row, np.nan, inputs.price)
    target = solve_with_influence(replace(inputs, price=price), asking(mandate))
    assert np.isnan(target.weights[row])
    assert np.isnan(target.without_llm[row])
    assert target.llm_influence[row] == 0.0
    assert np.isfinite(target.llm_influence).all()
