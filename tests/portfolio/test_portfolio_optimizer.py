"""The optimizer against closed forms, its own optimality conditions and books that break their limits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import problem_of, solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import ShortfallLimit
from marketbot_assets.portfolio.limits import limit_set
from marketbot_assets.portfolio.target import MEAN_VARIANCE, RISK_PARITY, TO_CASH
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]


def naive_covariance(inputs: PortfolioInputs) -> np.ndarray:
    model = inputs.factor_model
    return model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)


def test_two_assets_without_binding_limits_match_the_closed_form(build: Build, mandate: Mandate) -> None:
    """With free trading and no limit near, w = inverse(covariance) mu / risk aversion."""
    inputs = build(1, n=2)
    wanted = np.array([0.011, 0.017])
    mu = mandate.portfolio.risk_aversion * naive_covariance(inputs) @ wanted
    free = mandate.model_copy(update={"costs_bps": mandate.costs_bps.model_copy(update={"impact_coefficient": 1e-9})})
    zero = np.zeros(2)
    target = solve_target(replace(inputs, expected_return=mu, cost_buy=zero, cost_sell=zero), free)
    assert target.method == MEAN_VARIANCE
    np.testing.assert_allclose(target.weights, wanted, atol=2e-6)


def test_forces_add_up_at_the_optimum(build: Build, mandate: Mandate) -> None:
    """Karush-Kuhn-Tucker: return + risk + cost + priced limits vanish for every name that trades inside its own bounds."""
    inputs = build(3, invested=0.7)
    target = solve_target(inputs, mandate)
    limits = limit_set(inputs, facts_of(inputs, mandate), mandate)
    bounds, moved = limits.bounds, np.abs(target.weights - limits.weights_now) > 1e-4
    inside = (target.weights > bounds.lower + 1e-4) & (target.weights < bounds.upper - 1e-4) & moved
    forces = np.array([force.bound for force in explain(inputs, target, mandate)])
    assert inside.sum() >= 5
    np.testing.assert_allclose(forces[inside], 0.0, atol=1e-4)
    assert target.objective > 0.0


def test_no_feasible_neighbour_is_better(build: Build, mandate: Mandate) -> None:
    """Optimal means: no convex mix with another feasible book has a higher utility."""
    inputs = build(4, invested=0.5)
    problem = problem_of(inputs, facts_of(inputs, mandate), mandate)
    target, limits = solve_target(inputs, mandate), problem.limits
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = np.clip(
            limits.weights_now * rng.uniform(0, 1, len(target.weights)), limits.bounds.lower, limits.bounds.upper
        )
        mix = target.weights + rng.uniform(0, 1) * (other - target.weights)
        if limits.residual(mix) <= 1e-9:
            assert problem.utility(mix) <= target.objective + 1e-7


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    invested=st.sampled_from([0.0, 0.5, 0.97, 1.1]),
    wild=st.sampled_from([0.3, 1.0, 3.0]),
    drawdown=st.sampled_from([0.0, 0.07, 0.11]),
)
def test_limits_hold_for_any_covariance(
    build: Build, state: State, mandate: Mandate, seed: int, invested: float, wild: float, drawdown: float
) -> None:
    """Whatever the covariance and however broken the book: an optimal answer that keeps what liquid selling can reach."""
    inputs = build(seed, invested=invested, wild=wild)
    rung = Rung.FULL if drawdown < 0.05 else Rung.SCALED if drawdown < 0.10 else Rung.REDUCE_ONLY
    multiple = {Rung.FULL: 1.0, Rung.SCALED: 0.8, Rung.REDUCE_ONLY: 0.25}[rung]
    inputs = replace(inputs, book=state(rung=rung, multiple=multiple, drawdown=drawdown))
    target = solve_target(inputs, mandate)
    now, w = inputs.weights_now(), target.weights
    assert target.status == "optimal"
    assert target.method == MEAN_VARIANCE, target.failures
    assert target.residual <= mandate.limits.residual.hard
    capacity = np.where(now > 0.06, 0.10, 0.10 if drawdown >= 0.10 else 0.01) * inputs.adv / inputs.nav
    floor = np.maximum(now - np.minimum(capacity, 0.06), 0.0)
    assert (w >= floor - 1e-6).all()
    assert (w <= np.maximum(0.0475, floor) + 1e-6).all()
    assert np.maximum(w - now, 0.0).sum() <= (0.0 if drawdown >= 0.10 else 0.15) + 1e-6
    covariances = [r.T @ r * 252 for r in (inputs.factor_model.ewma_root(), inputs.factor_model.ledoit_wolf_root())]
    for covariance in covariances:
        reach = np.sqrt(floor @ covariance @ floor)
        kept = np.sqrt(
            np.minimum(now, np.maximum(floor, 0.0475)) @ covariance @ np.minimum(now, np.maximum(floor, 0.0475))
        )
        cap = 0.97 * 0.10 * multiple
        assert np.sqrt(w @ covariance @ w) <= (cap if reach < cap - 1e-6 else reach + 0.1 * (kept - reach)) + 1e-5
    for sector in set(inputs.sector):
        inside = np.array([s == sector for s in inputs.sector])
        assert w[inside].sum() <= max(0.19, now[inside].sum()) + 1e-6


def test_shortfall_enters_only_when_it_binds(build: Build, mandate: Mandate) -> None:
    """RC-44 as a linear program: the answer with a tight limit keeps it and touches it."""
    limits = mandate.limits
    tight = mandate.model_copy(
        update={"limits": limits.model_copy(update={"es": limits.es.model_copy(update={"target": 0.002})})}
    )
    inputs = build(5)
    target = solve_target(inputs, tight)
    tail = next(limit for limit in target.limits if limit.control == "RC-44")
    assert target.method == MEAN_VARIANCE
    assert tail.left == pytest.approx(0.002, abs=2e-6)
    assert tail.dual > 0.0


def test_shortfall_is_the_mean_of_the_tail() -> None:
    """RC-44: 2.5 % of 100 rows are two and a half: the third worst counts by half."""
    returns = np.linspace(-0.10, 0.10, 100)[:, None]
    limit = ShortfallLimit("RC-44", "x", returns, 0.025, 1.0, 1.0)
    worst = np.sort(-returns[:, 0])[::-1]
    assert limit.left(np.ones(1), np.zeros(1)) == pytest.approx((worst[0] + worst[1] + 0.5 * worst[2]) / 2.5)


def test_renaming_instruments_changes_nothing(build: Build, mandate: Mandate) -> None:
    """The order of instruments is a name, not a fact."""
    inputs = build(6, n=30, invested=0.5)
    order = np.random.default_rng(1).permutation(30)
    model = inputs.factor_model
    turned = replace(
        model, exposures=model.exposures[order], specific_variance=model.specific_variance[order],
        returns=model.returns[:, order], observations=model.observations[order], beta=model.beta[order],
        sigma_daily=model.sigma_daily[order], scenario_returns=model.scenario_returns[:, order],
        scenario_proxied=model.scenario_proxied[:, order], scenario_factor_returns=model.scenario_factor_returns[:, order],
    )  # fmt: skip
    lists = ("sector", "country", "currency", "mic", "quantity_step", "tick_size", "positions", "send_until")
    arrays = ("is_fund", "price", "fx", "adv", "sigma_daily", "cost_buy", "cost_sell", "expected_return")
    changes: dict[str, object] = {name: tuple(np.array(getattr(inputs, name), dtype=object)[order]) for name in lists}
    changes |= {name: getattr(inputs, name)[order] for name in arrays}
    other = solve_target(replace(inputs, factor_model=turned, **changes), mandate)  # type: ignore[arg-type]
    np.testing.assert_allclose(other.weights, solve_target(inputs, mandate).weights[order], atol=3e-6)


def test_the_same_inputs_give_the_same_bits(build: Build, mandate: Mandate) -> None:
    """Law: deterministic; weights lie on a grid of 1e-6."""
    inputs = build(7, invested=0.6)
    first, second = solve_target(inputs, mandate), solve_target(inputs, mandate)
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.limits == second.limits
    limits = limit_set(inputs, facts_of(inputs, mandate), mandate)
    free = (limits.bounds.upper - limits.bounds.lower > 1e-9) & (first.weights > limits.bounds.lower)
    free &= first.weights < limits.bounds.upper
    np.testing.assert_allclose(first.weights[free] * 1e6, np.round(first.weights[free] * 1e6), atol=1e-6)


def test_the_ladder_to_cash_sells_everything(build: Build, state: State, mandate: Mandate) -> None:
    """RC-60: at 12.5 % the target is cash, no solver decides about it."""
    inputs = replace(build(8, invested=0.5), book=state(rung=Rung.TO_CASH, multiple=0.0, drawdown=0.13))
    target = solve_target(inputs, mandate)
    now = inputs.weights_now()
    np.testing.assert_allclose(
        target.weights, np.maximum(now - np.minimum(0.06, 0.1 * inputs.adv / inputs.nav), 0.0), atol=1e-6
    )
    assert target.method == TO_CASH


def test_risk_parity_answers_when_the_mandate_asks_for_it(build: Build, mandate: Mandate) -> None:
    """portfolio.method names the first method of the chain."""
    asked = mandate.model_copy(update={"portfolio": mandate.portfolio.model_copy(update={"method": RISK_PARITY})})
    target = solve_target(build(9), asked)
    assert (target.method, target.failures) == (RISK_PARITY, ())
    assert target.weights.sum() == pytest.approx(0.15, abs=1e-3)
