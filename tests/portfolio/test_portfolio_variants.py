"""Each form of the portfolio problem against closed forms and slow independent searches."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from small_problem import small_problem, within

from marketbot_assets.portfolio.cvar import cvar
from marketbot_assets.portfolio.limit import LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.long_short import long_short, with_shorts
from marketbot_assets.portfolio.min_variance import min_variance
from marketbot_assets.portfolio.multi_period import forecasts, multi_period
from marketbot_assets.portfolio.optimizer import mean_variance
from marketbot_assets.portfolio.target import OPTIMAL, Answer, Problem
from marketbot_assets.portfolio.tracking_error import tracking_error, tracking_limit
from marketbot_resources.mandate import Mandate

TWO = np.array([[0.04, 0.018], [0.018, 0.09]])
THREE = np.array([[0.04, 0.01, 0.0], [0.01, 0.09, -0.02], [0.0, -0.02, 0.0625]])


def solved(answer: Answer) -> np.ndarray:
    assert answer.status == OPTIMAL
    return answer.weights


# Minimum variance


@pytest.mark.parametrize("budget", [0.2, 0.8, 1.0])
def test_min_variance_of_two_assets(mandate: Mandate, budget: float) -> None:
    """w1 = (s2^2 - c) / (s1^2 + s2^2 - 2 c) of the budget, whatever the forecasts."""
    share = (0.09 - 0.018) / (0.04 + 0.09 - 0.036)
    problem = small_problem(mandate, [-0.5, 0.9], TWO, invested_target=budget)
    np.testing.assert_allclose(solved(min_variance(problem)), [budget * share, budget * (1 - share)], atol=3e-6)


def test_min_variance_without_correlation_is_inverse_variance(mandate: Mandate) -> None:
    """Weights proportional to 1 / variance."""
    inverse = 1 / np.array([0.01, 0.04, 0.16])
    problem = small_problem(mandate, [0, 0, 0], np.diag(1 / inverse), invested_target=0.9)
    np.testing.assert_allclose(solved(min_variance(problem)), 0.9 * inverse / inverse.sum(), atol=3e-6)


def test_min_variance_invests_as_much_as_limits_allow(mandate: Mandate) -> None:
    """A row allows 0.5, caps of 0.2 allow 0.4: that is the budget."""
    row = LinearLimit("RC-36", "gross", np.ones(2), 0.5, 1.0)
    capped = small_problem(mandate, [0, 0], TWO, limits=(row,))
    assert solved(min_variance(capped)).sum() == pytest.approx(0.5, abs=1.1e-4)
    np.testing.assert_allclose(solved(min_variance(small_problem(mandate, [0, 0], TWO, upper=0.2))), 0.2, atol=1.1e-4)


def test_min_variance_of_a_book_that_cannot_be_sold(mandate: Mandate) -> None:
    """More is held than asked for and only one name can be sold: the other stays."""
    problem = small_problem(mandate, [0, 0], TWO, now=[0.7, 0.3], invested_target=0.5)
    weights = solved(min_variance(within(problem, [0.7, 0.0], [0.7, 0.3])))
    np.testing.assert_allclose(weights, [0.7, 0.0], atol=3e-6)


# A limit that all forms share


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_the_largest_weights_are_capped_in_books_of_few_names(mandate: Mandate, count: int) -> None:
    """RC-40 with as many names as it counts, or fewer, is a cap on their sum; it is not left out."""
    top = TopLimit("RC-40", "top", count, 0.2, 0.3)
    problem = small_problem(mandate, [0.5, 0.5], TWO, limits=(top,))
    weights = solved(mean_variance(problem))
    assert np.sort(weights)[::-1][:count].sum() == pytest.approx(0.2, abs=1e-7)


# CVaR


def naive_objective(problem: Problem, weights: np.ndarray) -> float:
    """Reward - price * mean of the worst losses - cost, by sorting; the tail is a whole number of rows here."""
    rule, facts = problem.mandate.portfolio.cvar, problem.facts
    losses = sorted((-(facts.returns @ weights)).tolist(), reverse=True)
    worst = round(rule.tail * len(losses))
    price = rule.aversion * np.sqrt(252)
    moved = np.abs(weights - facts.weights_now)
    paid = problem.mandate.portfolio.cost_amortization_per_year * float(facts.cost_buy @ moved)
    return float(facts.expected_return @ weights) - price * sum(losses[:worst]) / worst - paid


@pytest.mark.parametrize(("seed", "tail", "cost"), [(0, 0.1, 0.0), (1, 0.05, 0.001), (2, 0.25, 0.0), (3, 0.1, 0.004)])
def test_cvar_against_brute_force(mandate: Mandate, seed: int, tail: float, cost: float) -> None:
    """No point of a fine grid over two names is better, and the best of the grid is as good to the grid's width."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(4, (40, 2)) * [0.01, 0.015]
    returns -= returns.mean(axis=0)
    problem = small_problem(
        mandate, [0.08, 0.10], TWO, returns=returns, cost=cost, now=[0.3, 0.1], upper=0.6,
        cvar={"tail": tail, "aversion": 0.15},
    )  # fmt: skip
    ours = naive_objective(problem, solved(cvar(problem)))
    grid = np.linspace(0, 0.6, 121)
    best = max(naive_objective(problem, np.array(point)) for point in product(grid, grid))
    assert ours >= best - 1e-8
    assert ours - best <= 2e-3


def test_cvar_keeps_a_limit_on_the_tail(mandate: Mandate) -> None:
    """RC-44 enters here, too, when it is broken without."""
    returns = np.random.default_rng(5).normal(0, 0.01, (80, 2))
    limit = ShortfallLimit("RC-44", "x", returns, 0.025, 0.004, 0.005)
    problem = small_problem(mandate, [0.3, 0.3], TWO, returns=returns, limits=(limit,))
    assert limit.left(solved(cvar(problem)), np.zeros(2)) == pytest.approx(0.004, abs=1e-8)


def test_cvar_without_scenarios_has_no_answer(mandate: Mandate) -> None:
    """Fail closed: an empty history is no risk of zero."""
    with pytest.raises(ArithmeticError, match="no history"):
        cvar(small_problem(mandate, [0.1, 0.1], TWO, returns=np.zeros((0, 2))))


# Tracking error

BOOK = np.array([0.5, 0.3, 0.2])


def test_a_tracking_error_of_nothing_is_the_benchmark(mandate: Mandate) -> None:
    """Forecasts cannot pull the book away."""
    problem = small_problem(mandate, [0.2, -0.1, 0.1], THREE, benchmark=BOOK, tracking_error_per_year=1e-6)
    np.testing.assert_allclose(solved(tracking_error(problem)), BOOK, atol=2e-5)


def test_a_binding_tracking_error_has_a_closed_form(mandate: Mandate) -> None:
    """Without risk aversion the active book is proportional to inverse(S) mu, as large as the cap allows."""
    mu, cap = np.array([0.02, -0.01, 0.015]), 0.02
    problem = small_problem(
        mandate, mu, THREE, benchmark=BOOK, tracking_error_per_year=cap, risk_aversion=1e-9, lower=-1.0
    )
    direction = np.linalg.solve(THREE, mu)
    expected = BOOK + cap * direction / np.sqrt(mu @ direction)
    answer = tracking_error(problem)
    np.testing.assert_allclose(solved(answer), expected, atol=1e-6)
    assert answer.own[0].dual == pytest.approx(np.sqrt(mu @ direction), rel=1e-4)
    assert answer.own[0].binding


def test_a_loose_tracking_error_changes_nothing(mandate: Mandate) -> None:
    """Mean variance is the answer when it is near enough."""
    problem = small_problem(mandate, [0.1, 0.05, 0.08], THREE, benchmark=BOOK, tracking_error_per_year=5.0)
    np.testing.assert_allclose(solved(tracking_error(problem)), mean_variance(problem).weights, atol=1e-6)


def test_a_tracking_error_out_of_reach_comes_as_near_as_limits_allow(mandate: Mandate) -> None:
    """From cash with small buys: within 5 % of the least active risk, found by another minimizer; the cap shows as broken."""
    buys = LinearLimit("RC-41", "buys", np.ones(3), 0.15, 0.16, on_buys=True)
    problem = small_problem(mandate, [0.1, 0.0, 0.3], THREE, limits=(buys,), benchmark=BOOK)
    least = minimize(
        lambda w: (w - BOOK) @ THREE @ (w - BOOK), np.full(3, 0.04), bounds=[(0, 1)] * 3, tol=1e-14,
        constraints=[{"type": "ineq", "fun": lambda w: 0.15 - w.sum()}], method="SLSQP",
    )  # fmt: skip
    answer = tracking_error(problem)
    left = tracking_limit(problem).left(solved(answer), np.zeros(3))
    assert np.sqrt(least.fun) * (1 - 1e-6) <= left <= 1.05 * np.sqrt(least.fun) + 2e-6
    assert buys.left(answer.weights, np.zeros(3)) <= 0.15 + 1e-8
    assert (answer.own[0].bound, answer.own[0].slack < 0.0) == (0.06, True)
    assert "out of reach" in answer.solver


def test_an_unknown_benchmark_has_no_answer(mandate: Mandate) -> None:
    """Fail closed: without market values there is no distance."""
    with pytest.raises(ArithmeticError, match="benchmark"):
        tracking_error(small_problem(mandate, [0.1, 0.1, 0.1], THREE))


# Several periods

MU, NOW = np.array([0.10, 0.02, 0.08]), np.array([0.1, 0.4, 0.2])


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_without_costs_each_period_is_on_its_own(mandate: Mandate, steps: int) -> None:
    """The first book is the single-period one, however fast the forecasts fade."""
    problem = small_problem(mandate, MU, THREE, now=NOW, multi_period={"steps": steps, "decay_per_step": 0.3})
    np.testing.assert_allclose(solved(multi_period(problem)), solved(mean_variance(problem)), atol=2e-6)


@pytest.mark.parametrize("steps", [2, 4])
def test_forecasts_that_last_are_one_period(mandate: Mandate, steps: int) -> None:
    """Without fading it is best to trade at once and to hold: the single-period answer with its costs."""
    problem = small_problem(
        mandate, MU, THREE, now=NOW, cost=0.002, multi_period={"steps": steps, "decay_per_step": 1.0}
    )
    single = solved(mean_variance(problem))
    assert np.abs(single - NOW).max() > 0.01
    np.testing.assert_allclose(solved(multi_period(problem)), single, atol=5e-6)


def test_what_fades_is_chased_less(mandate: Mandate) -> None:
    """One name, two steps, a grid over both books: the same first book, and a smaller one than a single period buys."""
    cost, gamma, amortization = 0.004, mandate.portfolio.risk_aversion, mandate.portfolio.cost_amortization_per_year
    problem = small_problem(
        mandate, [0.30], [[0.04]], cost=cost, upper=1.5, multi_period={"steps": 2, "decay_per_step": 0.2}
    )
    first, second = np.meshgrid(np.linspace(0, 1.5, 1501), np.linspace(0, 1.5, 1501), indexing="ij")
    later = 0.04 + 0.2 * (0.30 - 0.04)  # the only name is the reference book: its prior is 4 %
    risk = 0.5 * gamma * 0.04
    value = 0.5 * (0.30 * first - risk * first**2 + later * second - risk * second**2)
    value -= amortization * cost * (first + np.abs(second - first))
    best = first[np.unravel_index(np.argmax(value), value.shape)]
    ours = solved(multi_period(problem))
    assert ours[0] == pytest.approx(best, abs=1.1e-3)
    assert ours[0] < solved(mean_variance(problem))[0] - 0.05


def test_forecasts_fade_to_the_equilibrium(mandate: Mandate) -> None:
    """Tilt of 6 % beside a prior of 4 %: half, then a quarter of it is left."""
    problem = small_problem(mandate, [0.10], [[0.04]])
    np.testing.assert_allclose(np.array(forecasts(problem))[:, 0], [0.10, 0.07, 0.055])


def test_limits_hold_for_the_first_book(mandate: Mandate) -> None:
    """A cap on buys binds today; later steps know it is a rule of single sessions."""
    buys = LinearLimit("RC-41", "buys", np.ones(3), 0.05, 0.06, on_buys=True)
    problem = small_problem(mandate, MU, THREE, limits=(buys,))
    answer = multi_period(problem)
    assert solved(answer).sum() == pytest.approx(0.05, abs=1e-7)
    assert answer.duals[0] > 0.0


# Long-short

SHORTS = {"enabled": True, "short_max": 0.4, "shorts_max": 0.5, "borrow_cost_per_year": 0.03}


def short_problem(mandate: Mandate, mu: list[float], **changes: float) -> Problem:
    row = LinearLimit("RC-36", "gross", np.ones(len(mu)), 0.98, 1.0)
    problem = small_problem(
        mandate, mu, np.diag([0.04] * len(mu)), limits=(row,), long_short={**SHORTS, **changes}, risk_aversion=10.0
    )
    return replace(problem, limits=with_shorts(problem.limits, problem.facts, problem.mandate.portfolio.long_short))


def test_a_short_pays_its_borrow_cost(mandate: Mandate) -> None:
    """Without limits near: w = mu / (gamma s^2) for a long, (mu + borrow) / (gamma s^2) for a short."""
    weights = solved(long_short(short_problem(mandate, [0.08, -0.07])))
    np.testing.assert_allclose(weights, [0.08 / 0.4, -(0.07 - 0.03) / 0.4], atol=1e-6)


def test_a_short_that_does_not_pay_is_not_sold(mandate: Mandate) -> None:
    """Expected fall below the borrow cost."""
    assert solved(long_short(short_problem(mandate, [0.08, -0.02])))[1] == pytest.approx(0.0, abs=1e-7)


def test_shorts_count_in_the_gross_limit(mandate: Mandate) -> None:
    """Longs and shorts together take 0.98 less a hair for rounding; a net sum would have allowed more."""
    problem = short_problem(mandate, [0.5, -0.5])
    weights = solved(long_short(problem))
    assert np.abs(weights).sum() == pytest.approx(0.98 - 2e-6, abs=1e-7)
    assert weights[1] < -0.3
    assert problem.limits.residual(weights) <= 1e-9
    assert problem.limits.residual(np.array([0.9, -0.2])) == pytest.approx(1.1 - 0.98)


def test_shorts_have_a_size_each_and_together(mandate: Mandate) -> None:
    """0.4 for one name, 0.5 for all of them."""
    one = solved(long_short(short_problem(mandate, [0.08, -1.0])))
    both = solved(long_short(short_problem(mandate, [-1.0, -1.0])))
    np.testing.assert_allclose(one, [0.2, -0.4], atol=1e-6)
    assert both.sum() == pytest.approx(-0.5, abs=1e-6)


def test_no_shorts_unless_enabled(mandate: Mandate) -> None:
    """Off by default: the limits stay what they are and nothing is sold short."""
    problem = small_problem(mandate, [0.08, -0.9], np.diag([0.04, 0.04]))
    assert with_shorts(problem.limits, problem.facts, mandate.portfolio.long_short) is problem.limits
    assert (solved(long_short(problem)) >= -1e-9).all()
