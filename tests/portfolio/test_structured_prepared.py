"""A layout kept from day to day, an answer without its proof, the proof at once, and the small factorizations of the search."""

import math
from dataclasses import replace

import numpy as np
import pytest
from structured_reference import random_problem

from marketbot_assets.portfolio.structured import certificate
from marketbot_assets.portfolio.structured.adapter import answer_of
from marketbot_assets.portfolio.structured.linear_algebra import cholesky, risk_inverse, solve_factored, total
from marketbot_assets.portfolio.structured.prepared import prepare
from marketbot_assets.portfolio.structured.problem import OPTIMAL, UNPROVEN, StructuredProblem
from marketbot_assets.portfolio.structured.solve import solve

KINDS = ("", "gs", "gsb", "vhc", "tef", "gz", "gsbcvhtefod")


def tomorrow(problem: StructuredProblem) -> StructuredProblem:
    """New forecasts, book, costs and bounds; the risk model and the rows stay."""
    n = len(problem.now)
    held = np.clip(problem.now * np.linspace(0.9, 1.1, n), problem.lower, problem.upper)
    return replace(
        problem, mu=problem.mu + 0.003 * np.cos(np.arange(n)), now=held, cost_buy=1.1 * problem.cost_buy,
        row_bounds=problem.row_bounds + 0.001,
    )  # fmt: skip


@pytest.mark.parametrize("kinds", KINDS)
def test_a_kept_layout_changes_no_bit(kinds: str) -> None:
    """Law: deterministic. What was laid out yesterday, or for another problem, gives the answer of a fresh start."""
    for seed in range(4):
        first = random_problem(seed, kinds, 30)
        layout, start = prepare(first), solve(first).multipliers
        second, other = tomorrow(first), random_problem(seed + 50, kinds, 30)
        assert layout.fits(second)
        assert not layout.fits(other)
        for problem in (second, other):
            fresh, kept = solve(problem, start), solve(problem, start, prepared=layout)
            assert kept.status == fresh.status
            assert kept.weights.tobytes() == fresh.weights.tobytes()
            assert (kept.objective, kept.dual_value, kept.residual) == (
                fresh.objective,
                fresh.dual_value,
                fresh.residual,
            )


@pytest.mark.parametrize("name", ["root", "specific", "rows", "buy_rows", "risk_aversion", "cones"])
def test_a_layout_fits_only_its_own_arrays(name: str) -> None:
    """Equal numbers in another array are another problem: only the same object is known not to have changed."""
    problem = random_problem(4, "gsbv", 20)
    value = getattr(problem, name)
    changed = value + 1.0 if isinstance(value, float) else (*value, *value[:1]) if name == "cones" else value.copy()
    assert prepare(problem).fits(problem)
    assert not prepare(problem).fits(replace(problem, **{name: changed}))  # type: ignore[arg-type]
    assert not prepare(problem).fits(replace(problem, rows=problem.rows[:-1], row_bounds=problem.row_bounds[:-1]))


def test_a_wrong_layout_gives_no_answer() -> None:
    """Money law: the proof reads the problem, not the layout. The budget of 0.3 is laid out as one of 0.6."""
    problem = StructuredProblem(
        np.full(2, 0.05), np.zeros((0, 2)), np.full(2, 0.04), 5.0, np.zeros(2), np.zeros(2), np.zeros(2),
        np.zeros(2), np.ones(2), np.ones((1, 2)), np.array([0.3]),
    )  # fmt: skip
    layout = prepare(problem)
    assert solve(problem, prepared=layout).status == OPTIMAL
    assert solve(problem, prepared=replace(layout, up=0.5 * layout.up, down=0.5 * layout.down)).status != OPTIMAL


@pytest.mark.parametrize("kinds", ["gs", "gsbv", "tef"])
def test_without_its_proof_an_answer_is_refused(kinds: str) -> None:
    """The same weights, but no status under which anything may be traded."""
    problem = random_problem(7, kinds, 30)
    proven, bare = solve(problem), solve(problem, prove=False)
    assert (proven.status, bare.status) == (OPTIMAL, UNPROVEN)
    np.testing.assert_allclose(bare.weights, proven.weights, atol=1e-7)
    assert math.isnan(bare.objective)
    assert bare.gap == bare.residual == math.inf
    with pytest.raises(ArithmeticError, match="unproven"):
        answer_of(None, bare)  # type: ignore[arg-type]


@pytest.mark.parametrize("kinds", KINDS)
def test_the_proof_is_its_three_parts(kinds: str) -> None:
    """Computed together or one by one: the same residual, utility and bound, at the answer and away from it."""
    problem = random_problem(9, kinds, 30)
    found = solve(problem)
    for weights in (found.weights, problem.lower, 0.5 * (problem.lower + problem.upper)):
        with np.errstate(all="ignore"):
            residual, utility, bound = certificate.proof(problem, weights, found.multipliers)
        assert residual == certificate.residual(problem, weights)
        assert utility == certificate.utility(problem, weights)
        assert bound == certificate.upper_bound(problem, weights, found.multipliers)


def test_a_utility_by_hand() -> None:
    """0.3 of 0.05 and 0.1 of 0.02; variance 0.04 * 0.1; 0.1 bought at 0.01, 0.1 sold at 0.02; upper 0.25 is broken by 0.05."""
    problem = StructuredProblem(
        np.array([0.05, 0.02]), np.zeros((0, 2)), np.full(2, 0.04), 5.0, np.full(2, 0.01), np.full(2, 0.02), np.full(2, 0.2),
        np.zeros(2), np.full(2, 0.25),
    )  # fmt: skip
    weights = np.array([0.3, 0.1])
    assert certificate.utility(problem, weights) == pytest.approx(0.017 - 0.5 * 5.0 * 0.004 - 0.003, abs=1e-15)
    assert certificate.residual(problem, weights) == pytest.approx(0.05, abs=1e-15)
    assert certificate.residual(problem, np.array([np.nan, 0.1])) == math.inf
    assert certificate.residual(problem, np.array([-np.inf, 0.1])) == math.inf
    assert certificate.residual(problem, np.zeros(3)) == math.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1e-3])
@pytest.mark.parametrize("field", ["rows", "buys", "cones", "top", "waves"])
def test_a_price_that_is_none_proves_nothing(field: str, bad: float) -> None:
    """Money law: NaN, infinite and negative multipliers bound nothing, neither the utility nor what is feasible."""
    problem = random_problem(3, "gsbvtf", 30)
    prices = solve(problem).multipliers
    changed = getattr(prices, field).copy()
    assert len(changed) > 0
    changed[0] = bad
    for share in (0.0, 1.0):
        wrong = replace(prices, **{field: changed})
        assert certificate.upper_bound(problem, problem.lower, wrong, share=share) == math.inf


@pytest.mark.parametrize("size", range(1, 14))
def test_the_small_factorization(size: int) -> None:
    """Against LAPACK, for sizes around the blocks of four; a pivot of 0 takes its unknown out."""
    rng = np.random.default_rng(size)
    half, right = rng.standard_normal((size, size + 2)), rng.standard_normal(size)
    matrix = half @ half.T
    factor, x = matrix.copy(), right.copy()
    cholesky(factor, size)
    np.testing.assert_allclose(np.triu(factor), np.linalg.cholesky(matrix).T, atol=1e-12)
    solve_factored(factor, x, size)
    np.testing.assert_allclose(matrix @ x, right, atol=1e-9)
    matrix[0], matrix[:, 0] = 0.0, 0.0
    factor, x = matrix.copy(), right.copy()
    cholesky(factor, size)
    solve_factored(factor, x, size)
    np.testing.assert_allclose((matrix @ x)[1:], right[1:], atol=1e-9)
    assert x[0] == 0.0


@pytest.mark.parametrize(("k", "a"), [(0, 3), (3, 1), (5, 5), (6, 5), (5, 6), (2, 9), (7, 30), (9, 8)])
def test_the_inverse_of_the_risk(k: int, a: int) -> None:
    """Both ways (the names' matrix, the factors' matrix) against numpy; a factor that has no price counts for nothing."""
    rng = np.random.default_rng(k * 100 + a)
    roots, scale, slope = rng.standard_normal((k, a)), rng.random(k), 0.1 + rng.random(a)
    scale[:1] = 0.0
    columns = rng.standard_normal((3, a))
    matrix = np.diag(1.0 / slope) + roots.T @ np.diag(scale) @ roots
    expected = np.linalg.solve(matrix, columns.T).T
    risk_inverse(roots, scale, slope, columns)
    np.testing.assert_allclose(columns, expected, atol=1e-11)


@pytest.mark.parametrize("n", range(10))
def test_the_sum_in_four_chains(n: int) -> None:
    """Nothing is left out, whatever the remainder."""
    values = np.random.default_rng(n).standard_normal(n)
    assert total(values) == pytest.approx(math.fsum(values), abs=1e-14)
