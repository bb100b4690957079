"""Every method of the mandate on whole problems: its answer keeps every limit, its failure hands on, unknown is never bought."""

from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from small_problem import asking

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.benchmark import market_weights, of_known_risk
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import DEFAULT_SOLVERS, problem_of, solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import AbsoluteLimit
from marketbot_assets.portfolio.long_short import long_short
from marketbot_assets.portfolio.methods import chain_of
from marketbot_assets.portfolio.order_plan import plan_orders
from marketbot_assets.portfolio.schema import METHODS as COLUMN_METHODS
from marketbot_assets.portfolio.target import (
    BLACK_LITTERMAN,
    LONG_SHORT,
    MEAN_VARIANCE,
    METHODS,
    MIN_VARIANCE,
    RISK_PARITY,
    SCALED_PREVIOUS,
    TRACKING_ERROR,
    VARIANTS,
    Answer,
    Problem,
)
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]
SELECTABLE = [method for method in VARIANTS if method != LONG_SHORT]
NAN = float("nan")


def with_benchmark(inputs: PortfolioInputs) -> PortfolioInputs:
    """A benchmark over all names."""
    weights = np.random.default_rng(99).dirichlet(np.ones(len(inputs.instruments)))
    return replace(inputs, benchmark=weights)


@pytest.mark.parametrize("method", SELECTABLE)
@pytest.mark.parametrize(("seed", "invested", "drawdown"), [(1, 0.0, 0.0), (2, 0.6, 0.07), (3, 1.1, 0.11)])
def test_every_method_keeps_every_limit(
    build: Build, state: State, mandate: Mandate, method: str, seed: int, invested: float, drawdown: float
) -> None:
    """From cash, in full swing, and overdrawn where nothing may be bought: the method answers and numpy finds no violation."""
    rung, multiple = {0.0: (Rung.FULL, 1.0), 0.07: (Rung.SCALED, 0.8), 0.11: (Rung.REDUCE_ONLY, 0.25)}[drawdown]
    inputs = replace(
        with_benchmark(build(seed, n=30, invested=invested)),
        book=state(rung=rung, multiple=multiple, drawdown=drawdown),
    )
    asked = asking(mandate, method=method)
    target = solve_target(inputs, asked)
    assert (target.method, target.status, target.failures) == (method, "optimal", ())
    problem = problem_of(inputs, facts_of(inputs, asked), asked)
    now, w = inputs.weights_now(), target.weights
    over = [x.left(w, now) - x.bound for x in problem.limits.limits]
    assert max(over) <= 1e-6
    assert np.maximum(w - now, 0.0).sum() <= (0.0 if drawdown >= 0.10 else 0.15) + 1e-6
    assert (w >= np.minimum(now, 0.0) - 1e-9).all()


@pytest.mark.long
@pytest.mark.parametrize("method", SELECTABLE)
def test_every_method_keeps_every_limit_of_many_books(
    build: Build, state: State, mandate: Mandate, method: str
) -> None:
    """Books of 2 to 60 names, calm and wild, broken and sound: an answer within every limit; nine of ten by the method itself."""
    rng, own, count = np.random.default_rng(17), 0, 40
    asked = asking(mandate, method=method)
    for seed in range(count):
        invested, wild, drawdown = rng.choice([0.0, 0.5, 0.97, 1.1]), rng.choice([0.3, 1.0, 3.0]), rng.choice([0, 0.07])
        inputs = build(seed, n=int(rng.integers(2, 60)), invested=float(invested), wild=float(wild))
        multiple = 1.0 if drawdown < 0.05 else 0.8
        inputs = replace(with_benchmark(inputs), book=state(multiple=multiple, drawdown=float(drawdown)))
        target = solve_target(inputs, asked)
        assert target.status == "optimal"
        assert target.residual <= mandate.limits.residual.hard
        own += target.method == method
    assert own >= 0.9 * count, own


@pytest.mark.parametrize("method", SELECTABLE)
def test_the_same_inputs_give_the_same_bits(build: Build, mandate: Mandate, method: str) -> None:
    """Law: deterministic."""
    inputs, asked = with_benchmark(build(7, n=20, invested=0.5)), asking(mandate, method=method)
    assert solve_target(inputs, asked).weights.tobytes() == solve_target(inputs, asked).weights.tobytes()


@pytest.mark.parametrize("method", SELECTABLE)
@pytest.mark.parametrize("field", ["price", "expected_return", "returns"])
def test_a_name_with_an_unknown_number_is_never_bought(build: Build, mandate: Mandate, method: str, field: str) -> None:
    """Fail closed under every method: the name that would be bought most is not bought; orders hold no NaN."""
    inputs, asked = with_benchmark(build(5, n=20)), asking(mandate, method=method)
    row, model = int(np.argmax(solve_target(inputs, asked).weights)), inputs.factor_model
    values = getattr(model if field == "returns" else inputs, field).copy()
    values[(-1, row) if field == "returns" else row] = NAN
    broken = (
        replace(inputs, factor_model=replace(model, **{field: values}))
        if field == "returns"
        else replace(inputs, **{field: values})
    )
    target = solve_target(broken, asked)
    assert target.weights[row] == 0.0
    assert all(o.instrument != inputs.instruments[row] or o.side == "SELL" for o in plan_orders(broken, target, asked))


def test_an_unknown_benchmark_hands_on_to_risk_parity(build: Build, mandate: Mandate) -> None:
    """The reason is kept; nothing is tracked that is not known."""
    target = solve_target(build(1, n=20), asking(mandate, method=TRACKING_ERROR))
    assert target.method == RISK_PARITY
    assert target.failures[0][0] == TRACKING_ERROR
    assert "benchmark" in target.failures[0][1]


def test_the_tracking_error_stands_among_the_limits(build: Build, mandate: Mandate) -> None:
    """The method's own limit is shown beside the mandate's, with its left side from plain numpy."""
    inputs = with_benchmark(build(2, n=20, invested=0.5))
    target = solve_target(inputs, asking(mandate, method=TRACKING_ERROR))
    model, gap = inputs.factor_model, target.weights - inputs.benchmark
    covariance = model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)
    shown = target.limits[-1]
    assert (shown.control, shown.name, shown.unit) == ("TE", "tracking error", "per year")
    assert shown.left == pytest.approx(np.sqrt(gap @ covariance @ gap), rel=1e-4)


@pytest.mark.parametrize("method", [MIN_VARIANCE, RISK_PARITY])
def test_what_reads_no_forecast_is_not_explained_by_one(build: Build, mandate: Mandate, method: str) -> None:
    """The reason of a buy names the method, not a return that played no part."""
    inputs, asked = build(2, n=20), asking(mandate, method=method)
    bought = [f.reason for f in explain(inputs, solve_target(inputs, asked), asked) if f.weight_after > f.weight_before]
    assert bought
    assert all(reason.startswith(f"{method.replace('_', ' ')} raises it to") for reason in bought)


def crash(problem: Problem) -> Answer:
    raise cp.SolverError("no progress; giving up")


def greedy(problem: Problem) -> Answer:
    return Answer(np.full(len(problem.facts.weights_now), 0.9), "optimal", (), "stub")


@pytest.mark.parametrize("stub", [crash, greedy])
def test_a_method_that_fails_hands_on(build: Build, mandate: Mandate, stub: Callable[[Problem], Answer]) -> None:
    """RC-53 asks the answer of every method: an error or a broken limit leads to risk parity, never to orders."""
    after = [pair for pair in DEFAULT_SOLVERS if pair[0] != MEAN_VARIANCE]
    asked = asking(mandate, method=MIN_VARIANCE)
    target = solve_target(build(1, n=20, invested=0.3), asked, solvers=((MIN_VARIANCE, stub), *after))
    assert target.method == RISK_PARITY
    assert [name for name, why in target.failures if why] == [MIN_VARIANCE]


def test_the_chain_of_every_method() -> None:
    """The method's solvers, then risk parity, then the scaled book; Black-Litterman asks every solver of mean variance."""
    two = ((MEAN_VARIANCE, crash), *DEFAULT_SOLVERS)
    tail = [RISK_PARITY, SCALED_PREVIOUS]
    assert [name for name, _ in chain_of(MEAN_VARIANCE, two)] == [name for name, _ in two]
    assert [name for name, _ in chain_of(RISK_PARITY, two)] == tail
    asked = sum(name == MEAN_VARIANCE for name, _ in two)
    assert [name for name, _ in chain_of(BLACK_LITTERMAN, two)] == [*[BLACK_LITTERMAN] * asked, *tail]
    for method in VARIANTS:
        assert [name for name, _ in chain_of(method, two)][-3:] == [method, *tail]


def test_methods_are_named_alike_everywhere() -> None:
    """The table, the named types and the mandate know the same methods."""
    from typing import get_args

    from marketbot_resources.mandate_portfolio import Method

    assert tuple(COLUMN_METHODS) == METHODS
    assert set(get_args(Method)) == {MEAN_VARIANCE, RISK_PARITY, *VARIANTS}


def test_long_short_keeps_the_whole_mandate(build: Build, mandate: Mandate) -> None:
    """The form on a real problem: shorts appear, sums over groups count them, every limit holds in numpy."""
    rule = {"enabled": True, "short_max": 0.02, "shorts_max": 0.10}
    asked = asking(mandate, method=LONG_SHORT, long_short=rule)
    inputs = build(4, n=30, invested=0.4)
    inputs = replace(inputs, expected_return=np.where(np.arange(30) % 3 == 0, -0.5, inputs.expected_return))
    problem = problem_of(inputs, facts_of(inputs, asked), asked)
    weights = long_short(problem).weights
    assert problem.limits.residual(weights) <= 1e-6
    target = solve_target(inputs, asked)
    assert (target.method, target.failures) == (LONG_SHORT, ())
    np.testing.assert_allclose(target.weights, weights, atol=2e-6)
    shorts = np.maximum(-weights, 0.0)
    assert 0.02 < shorts.sum() <= 0.10 + 1e-7
    assert shorts.max() <= 0.02 + 1e-7
    absolute = {x.control for x in problem.limits.limits if isinstance(x, AbsoluteLimit)}
    assert absolute == {"RC-32", "RC-34", "RC-35", "RC-36", "RC-38"}
    for sector in sorted(set(inputs.sector) - {"FUND"}):
        inside = np.array([s == sector for s in inputs.sector])
        assert np.abs(weights[inside]).sum() <= max(0.19, inputs.weights_now()[inside].sum()) + 1e-6


def window(close: list[float]) -> MarketWindow:
    import datetime as dt

    fields = dict.fromkeys(MarketWindow.__dataclass_fields__, np.zeros((1, len(close))))
    fields |= {"close": np.array([close]), "fx": np.array([[1.0, 0.5, 1.0, 1.0]])}
    fields |= {"sessions": (dt.date(2018, 12, 11),), "instruments": ("A", "B", "C", "D")}
    return MarketWindow(**fields)


@pytest.mark.parametrize(
    ("close", "shares", "member", "expected"),
    [
        ([10.0, 20.0, 10.0, 10.0], [100.0, 300.0, 100.0, 100.0], [True, True, True, False], [0.2, 0.6, 0.2, 0.0]),
        ([10.0, NAN, 10.0, 10.0], [100.0, 300.0, NAN, 300.0], [True] * 4, [0.25, 0.0, 0.0, 0.75]),
        ([10.0, 20.0, 10.0, 10.0], [NAN] * 4, [True] * 4, []),
        ([10.0, 20.0, 10.0, 10.0], [100.0] * 4, [False] * 4, []),
    ],
)
def test_the_benchmark_weighs_by_market_value(
    close: list[float], shares: list[float], member: list[bool], expected: list[float]
) -> None:
    """Close * rate * shares of the universe's names; unknown values and other names count nothing; nothing known is empty."""
    frame = pd.DataFrame({"shares_outstanding": shares, "in_universe": member})
    np.testing.assert_allclose(market_weights(window(close), frame), expected)


@pytest.mark.parametrize(
    ("known", "expected"),
    [([True, True, True], [0.5, 0.3, 0.2]), ([True, True, False], [0.625, 0.375, 0.0]), ([False, True, True], [])],
)
def test_a_benchmark_of_unknown_risk_is_unknown(known: list[bool], expected: list[float]) -> None:
    """Names of unknown risk leave the benchmark; when too much leaves it, there is none."""
    np.testing.assert_allclose(of_known_risk(np.array([0.5, 0.3, 0.2]), np.array(known), 0.75), expected)
    assert of_known_risk(np.array([NAN, 0.3, 0.7]), np.array(known), 0.75).size == 0
    assert of_known_risk(np.zeros(0), np.array(known), 0.75).size == 0
