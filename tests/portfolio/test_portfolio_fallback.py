"""The chain of methods: a solver is checked, never trusted; what is unknown is never bought."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import cvxpy as cp
import numpy as np
import pytest

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.portfolio.fallback import DEFAULT_SOLVERS, solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.order_plan import plan_orders
from marketbot_assets.portfolio.target import (
    CURES_ONLY,
    MEAN_VARIANCE,
    RISK_PARITY,
    RISK_REDUCING_ONLY,
    SCALED_PREVIOUS,
    Answer,
    Problem,
)
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]
NAN = float("nan")


def n_of(problem: Problem) -> int:
    return len(problem.facts.weights_now)


def infeasible(problem: Problem) -> Answer:
    return Answer(np.zeros(n_of(problem)), "infeasible", (), "stub")


def inaccurate(problem: Problem) -> Answer:
    return Answer(problem.limits.bounds.lower, "optimal_inaccurate", (), "stub")


def garbage(problem: Problem) -> Answer:
    return Answer(np.full(n_of(problem), 0.9), "optimal", (), "stub")


def not_finite(problem: Problem) -> Answer:
    return Answer(np.full(n_of(problem), np.nan), "optimal", (), "stub")


def short_answer(problem: Problem) -> Answer:
    return Answer(np.zeros(3), "optimal", (), "stub")


def crash(problem: Problem) -> Answer:
    raise cp.SolverError("no progress; giving up")


def wasteful(problem: Problem) -> Answer:
    """Feasible, claimed optimal, but throws the whole book away."""
    return Answer(problem.limits.bounds.lower, "optimal", (), "stub")


@pytest.mark.parametrize("stub", [infeasible, inaccurate, garbage, not_finite, short_answer, crash])
def test_a_bad_answer_hands_on_to_the_next_method(
    build: Build, mandate: Mandate, stub: Callable[[Problem], Answer]
) -> None:
    """RC-53: only an optimal, finite answer that keeps every limit is used; the reason is kept."""
    target = solve_target(build(1, invested=0.3), mandate, solvers=((MEAN_VARIANCE, stub), *DEFAULT_SOLVERS[2:]))
    assert target.method == RISK_PARITY
    assert [method for method, why in target.failures if why] == [MEAN_VARIANCE]
    assert target.residual <= 1e-6


def test_an_answer_worse_than_the_old_book_is_not_used(build: Build, mandate: Mandate) -> None:
    """RC-53: objective >= the fallback's."""
    inputs = replace(build(2, invested=0.3), expected_return=np.full(65, 0.10))
    target = solve_target(inputs, mandate, solvers=((MEAN_VARIANCE, wasteful), *DEFAULT_SOLVERS[2:]))
    assert target.method == RISK_PARITY
    assert "worse" in target.failures[0][1]


def test_a_solver_that_fails_does_not_sell_the_book_for_want_of_buys(build: Build, mandate: Mandate) -> None:
    """The buys of 21 sessions are used up: risk parity could hold next to nothing, so the book goes on, scaled to its limits."""
    inputs = build(2, invested=0.5)
    inputs = replace(inputs, book=replace(inputs.book, turnover=(0.04,) * 20, sessions_since_build=99))
    target = solve_target(inputs, mandate, solvers=((MEAN_VARIANCE, crash), *DEFAULT_SOLVERS[2:]))
    assert target.method == SCALED_PREVIOUS
    assert target.failures[1] == (RISK_PARITY, "holds less than half of the previous book scaled down")
    assert float(target.weights.sum()) > 0.4
    asked = mandate.model_copy(
        update={"portfolio": mandate.portfolio.model_copy(update={"method": RISK_PARITY})}
    )  # who asked for it gets it
    assert solve_target(inputs, asked, solvers=DEFAULT_SOLVERS[2:]).method == RISK_PARITY


def test_the_scaled_book_comes_third_and_never_buys(build: Build, mandate: Mandate) -> None:
    """The previous book is scaled by one factor wherever liquidity allows it."""
    inputs = build(3, invested=0.9)
    solvers = ((MEAN_VARIANCE, crash), (RISK_PARITY, garbage), DEFAULT_SOLVERS[3])
    target = solve_target(inputs, mandate, solvers=solvers)
    now = inputs.weights_now()
    assert target.method == SCALED_PREVIOUS
    assert (target.weights <= now + 1e-9).all()
    inside = (target.weights < 0.047) & (now > 0.001) & (now < 0.05)
    ratio = target.weights[inside] / now[inside]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)


def test_without_any_answer_only_risk_is_reduced(build: Build, mandate: Mandate) -> None:
    """All methods fail: no buys at all, what must go goes, status no_answer."""
    inputs = build(4, invested=0.6)
    row = int(np.argmax(inputs.weights_now()))
    inputs = replace(inputs, force_exit=np.arange(65) == row)
    solvers = ((MEAN_VARIANCE, crash), (RISK_PARITY, garbage), (SCALED_PREVIOUS, not_finite))
    target = solve_target(inputs, mandate, solvers=solvers)
    orders = plan_orders(inputs, target, mandate)
    assert (target.method, target.status, len(target.failures)) == (RISK_REDUCING_ONLY, "no_answer", 3)
    assert {o.side for o in orders if o.kind == "EQUITY"} == {"SELL"}
    assert any(o.instrument == inputs.instruments[row] and o.purpose == "PROTECTIVE" for o in orders)


def with_nan(inputs: PortfolioInputs, field: str, row: int) -> PortfolioInputs:
    model = inputs.factor_model
    if field in ("exposures", "specific_variance", "beta"):
        values = getattr(model, field).copy()
        values[row] = NAN
        return replace(inputs, factor_model=replace(model, **{field: values}))
    if field in ("returns", "scenario_returns", "scenario_factor_returns"):
        values = getattr(model, field).copy()
        values[-1, row] = NAN
        return replace(inputs, factor_model=replace(model, **{field: values}))
    values = getattr(inputs, field).copy()
    values[row] = NAN
    return replace(inputs, **{field: values})


FIELDS = ("price", "fx", "adv", "sigma_daily", "cost_buy", "cost_sell", "expected_return")
RISK_FIELDS = ("exposures", "specific_variance", "beta", "returns", "scenario_returns", "scenario_factor_returns")


@pytest.fixture(scope="module")
def favourite(build: Build, mandate: Mandate) -> tuple[PortfolioInputs, int]:
    """Inputs and the row of the name that is bought most."""
    inputs = build(5, n=40)
    return inputs, int(np.argmax(solve_target(inputs, mandate).weights))


@pytest.mark.parametrize("field", [*FIELDS, *RISK_FIELDS])
def test_nan_in_a_name_is_never_bought(favourite: tuple[PortfolioInputs, int], mandate: Mandate, field: str) -> None:
    """Fail closed: the name that would be bought most is not bought once any number of it is unknown; others are."""
    inputs, row = favourite
    broken = with_nan(inputs, field, row)
    target = solve_target(broken, mandate)
    bought = {o.instrument for o in plan_orders(broken, target, mandate) if o.side == "BUY" and o.kind == "EQUITY"}
    assert target.weights[row] == 0.0
    assert bought
    assert inputs.instruments[row] not in bought


@pytest.mark.parametrize("field", ["price", "fx", *RISK_FIELDS])
def test_nan_in_a_held_name_stops_all_buys(build: Build, mandate: Mandate, field: str) -> None:
    """A held name of unknown value or risk: nothing is bought."""
    inputs = build(6, n=40, invested=0.4)
    row = int(np.argmax(inputs.weights_now()))
    broken = with_nan(inputs, field, row)
    target = solve_target(broken, mandate)
    assert target.no_buys
    assert all(o.side == "SELL" for o in plan_orders(broken, target, mandate))


@pytest.mark.parametrize(
    "change",
    [
        {"nav": NAN},
        {"nav": 0.0},
        {"nav": float("inf")},
        {"cash": {"USD": Decimal("NaN")}},
        {"cash": {"USD": Decimal(1000000), "CHF": Decimal(5)}},
        {"can_buy": np.zeros(65, dtype=np.bool_)},
        {"can_trade": np.zeros(65, dtype=np.bool_)},
    ],
    ids=lambda change: f"{change}"[:30],
)
def test_unknown_account_buys_nothing(build: Build, mandate: Mandate, change: dict[str, object]) -> None:
    """NAV, cash or permission unknown or refused: no buy."""
    inputs = replace(build(7, invested=0.4), **change)  # type: ignore[arg-type]
    target = solve_target(inputs, mandate)
    assert all(o.side == "SELL" for o in plan_orders(inputs, target, mandate))


@pytest.mark.parametrize(
    "change",
    [
        {"multiple": NAN},
        {"drawdown": NAN},
        {"turnover": (NAN,)},
        {"no_buys": "RC-61 loss of the day"},
        {"halt_class": "C"},
        {"rung": Rung.REDUCE_ONLY},
        {"rung": Rung.HALT},
    ],
    ids=str,
)
def test_state_of_the_book_forbids_buys(
    build: Build, state: State, mandate: Mandate, change: dict[str, object]
) -> None:
    """An unknown or forbidding state: no buy."""
    inputs = replace(build(8, invested=0.4), book=state(**change))
    target = solve_target(inputs, mandate)
    assert all(o.side == "SELL" for o in plan_orders(inputs, target, mandate))


def test_off_the_rebalance_days_only_breaches_are_mended(build: Build, state: State, mandate: Mandate) -> None:
    """Cadence: a sound book gets no order; a name above the trim level is cut to the cap."""
    inputs = replace(build(10, invested=0.5), rebalance=False)
    weights = inputs.weights_now()
    target = solve_target(inputs, mandate)
    assert target.method == CURES_ONLY
    above = {name for name, w in zip(inputs.instruments, weights, strict=True) if w > 0.06}
    orders = plan_orders(inputs, target, mandate)
    assert {o.instrument for o in orders} == above
    assert {o.purpose for o in orders} == {"LIMIT_CURE"}
    kept = np.array([name not in above for name in inputs.instruments])
    np.testing.assert_allclose(target.weights[kept], weights[kept], atol=1e-6)


def test_a_held_name_without_forecast_is_kept(build: Build, mandate: Mandate) -> None:
    """A forecast that is missing for a day is no reason to sell."""
    inputs = build(10, invested=0.2)
    held = inputs.weights_now() > 0.0
    inputs = replace(inputs, expected_return=np.where(held, np.nan, -1.0))
    target = solve_target(inputs, mandate)
    np.testing.assert_allclose(target.weights, inputs.weights_now(), atol=2e-6)
