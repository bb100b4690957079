"""The structured dual solver against hand-solved problems, cvxpy with Clarabel at 1e-10, and its own proof."""

from dataclasses import replace

import numpy as np
import pytest
from structured_reference import random_problem, reference

from marketbot_assets.portfolio.structured import certificate
from marketbot_assets.portfolio.structured.problem import Cone, Multipliers, StructuredProblem, Tail, Top
from marketbot_assets.portfolio.structured.solve import solve

KINDS = (
    "", "g", "gs", "b", "gsb", "v", "h", "c", "vh", "vhc", "t", "te", "e", "f", "bf", "z", "gz", "gztf", "o", "go", "d",
    "gd", "gsbcvhtef", "gsbtefzod", "gsbcvhtefzod",
)  # fmt: skip


def plain(n: int = 2, **changes: object) -> StructuredProblem:
    """n names without factors, costs, rows: variance 0.04, risk aversion 5, bounds [0, 1], nothing held."""
    base = StructuredProblem(
        np.full(n, 0.05), np.zeros((0, n)), np.full(n, 0.04), 5.0, np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
        np.ones(n),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def ones(n: int = 2, bound: float = 1.0) -> dict[str, object]:
    return {"rows": np.ones((1, n)), "row_bounds": np.array([bound])}


# (what is changed, the weights by hand). Unconstrained: w = mu / (5 * 0.04).
BY_HAND = [
    ({}, [0.25, 0.25]),
    ({"mu": np.array([0.02, -0.01])}, [0.1, 0.0]),
    ({"upper": np.array([0.2, 1.0])}, [0.2, 0.25]),
    # A budget of 0.3 costs p: (0.05 - p) / 0.2 * 2 = 0.3, p = 0.02.
    (ones(2, 0.3), [0.15, 0.15]),
    # Buying costs 0.01: (0.05 - 0.01) / 0.2.
    ({"cost_buy": np.full(2, 0.01)}, [0.2, 0.2]),
    # Held 0.24 and 0.3: no trade pays within costs of 0.01 (wanted 0.2 to 0.3).
    ({"cost_buy": np.full(2, 0.01), "cost_sell": np.full(2, 0.01), "now": np.array([0.24, 0.3])}, [0.24, 0.3]),
    # Held 0.5: sold to (0.05 + 0.01) / 0.2.
    ({"cost_sell": np.full(2, 0.01), "now": np.array([0.5, 0.25])}, [0.3, 0.25]),
    # Buys of 0.1 in all: both from 0.1 to 0.15.
    ({"now": np.full(2, 0.1), "buy_rows": np.ones((1, 2)), "buy_bounds": np.array([0.1])}, [0.15, 0.15]),
    # |w| * 0.2 <= 0.02: w = 0.1 / sqrt(2) each.
    ({"cones": (Cone(0.2 * np.eye(2), 0.02),)}, [0.1 / np.sqrt(2)] * 2),
    ({"cones": (Cone(np.zeros((0, 2)), 0.1, np.ones(2)),)}, [0.1 / np.sqrt(2)] * 2),
    # Each single weight at most 0.1: the largest one counts.
    ({"top": Top(1, 0.1)}, [0.1, 0.1]),
    # The worst of two rows loses 0.1 * (w1 + w2) at most 0.01.
    ({"tails": (Tail(np.array([[-0.1, -0.1], [0.2, 0.2]]), 1.0, 0.01),)}, [0.05, 0.05]),
    # Present weight above the cap: sold to the cap.
    ({"now": np.array([0.4, 0.0]), "upper": np.array([0.05, 1.0])}, [0.05, 0.25]),
    # All names fixed.
    ({"lower": np.array([0.1, 0.3]), "upper": np.array([0.1, 0.3])}, [0.1, 0.3]),
    # One common factor of 0.2: variance of the sum alone. p = 0.05 - 5 * 0.04 * (w1 + w2) - 5 * 0.04 w = 0: w = 0.25 / 3.
    ({"root": np.full((1, 2), 0.2)}, [0.25 / 3] * 2),
    # No variance at all: the better name takes the budget up to its cap, the other the rest.
    (
        {"specific": np.zeros(2), "mu": np.array([0.05, 0.04]), "upper": np.array([0.6, 1.0]), **ones()},
        [0.6, 0.4],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "weights"), BY_HAND)
def test_problems_solved_by_hand(changes: dict[str, object], weights: list[float]) -> None:
    """Karush-Kuhn-Tucker on paper, one case per limit."""
    solution = solve(plain(**changes))
    assert solution.status == "optimal"
    np.testing.assert_allclose(solution.weights, weights, atol=1e-9)


@pytest.mark.parametrize("kinds", KINDS)
def test_it_agrees_with_clarabel(kinds: str) -> None:
    """Every kind of limit, alone and together, n from 1 to 120: the same utility to 1e-7 relative, every limit kept."""
    solved = 0
    for seed in range(8):
        problem = random_problem(seed, kinds)
        solution = solve(problem)
        status, _, utility = reference(problem)
        assert solution.status == "optimal", (kinds, seed)
        assert solution.residual <= 1e-9
        assert abs(solution.gap) <= 2e-8
        if status.startswith("optimal"):
            assert abs(solution.objective - utility) <= 1e-7 * (1e-3 + abs(utility)), (kinds, seed)
            solved += 1
    assert solved >= 6


@pytest.mark.long
@pytest.mark.parametrize("kinds", KINDS)
def test_it_agrees_with_clarabel_at_length(kinds: str) -> None:
    """The same on 400 problems per kind."""
    for seed in range(1000, 1400):
        problem = random_problem(seed, kinds)
        solution = solve(problem)
        status, _, utility = reference(problem)
        assert solution.status == "optimal", (kinds, seed)
        assert not status.startswith("optimal") or abs(solution.objective - utility) <= 1e-7 * (1e-3 + abs(utility))


@pytest.mark.parametrize("kinds", ["gs", "gsbf", "vhc", "te", "gsbcvhtefzod"])
def test_a_warm_start_changes_nothing(kinds: str) -> None:
    """From the multipliers of yesterday, of another problem, or of nothing: the same utility, weights within 1e-6."""
    for seed in range(6):
        problem = random_problem(seed, kinds, 40)
        cold = solve(problem)
        moved = replace(problem, mu=problem.mu + 0.002 * np.sin(np.arange(40.0)))
        for start in (cold.multipliers, solve(moved).multipliers):
            warm = solve(problem, start)
            assert warm.status == "optimal"
            assert abs(warm.objective - cold.objective) <= 4e-8 * (1e-3 + abs(cold.objective))
            if "z" not in kinds:
                np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-6)
    assert warm.steps <= cold.steps or cold.steps < 60


def test_the_same_problem_gives_the_same_bits() -> None:
    """Law: deterministic."""
    problem = random_problem(3, "gsbcvhtef", 65)
    assert solve(problem).weights.tobytes() == solve(problem).weights.tobytes()


def test_renaming_changes_nothing() -> None:
    """The order of names is no fact."""
    problem = random_problem(5, "gsvhb", 30)
    order = np.random.default_rng(0).permutation(30)
    fields = ("mu", "specific", "cost_buy", "cost_sell", "now", "lower", "upper")

    def columns(matrix: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(matrix[:, order])  # another layout would be compiled anew

    turned = replace(
        problem, **{name: getattr(problem, name)[order] for name in fields}, root=columns(problem.root),
        rows=columns(problem.rows), buy_rows=columns(problem.buy_rows),
        cones=tuple(Cone(columns(c.root), c.radius, c.specific[order]) for c in problem.cones),
    )  # fmt: skip
    np.testing.assert_allclose(solve(turned).weights, solve(problem).weights[order], atol=1e-9)


# Why no weights exist.
INFEASIBLE = [
    {"rows": np.array([[-1.0, -1.0]]), "row_bounds": np.array([-0.9]), "upper": np.full(2, 0.4)},
    {"rows": np.array([[1.0, 0.0], [-1.0, 0.0]]), "row_bounds": np.array([0.2, -0.3])},
    {"rows": np.array([[1.0, 1.0], [-1.0, -1.0]]), "row_bounds": np.array([0.5, -0.5 - 1e-6])},
    {"lower": np.array([0.5, 0.0]), "buy_rows": np.ones((1, 2)), "buy_bounds": np.array([0.4])},
    {"rows": np.array([[-1.0, -1.0]]), "row_bounds": np.array([-0.5]), "cones": (Cone(np.eye(2), 0.2),)},
    {"lower": np.full(2, 0.3), "top": Top(1, 0.2)},
    {"lower": np.full(2, 0.3), "tails": (Tail(np.array([[-0.1, -0.1], [0.2, 0.2]]), 1.0, 0.01),)},
    {"lower": np.array([0.3, 0.2]), "upper": np.array([0.2, 0.3])},
]


@pytest.mark.parametrize("changes", INFEASIBLE)
def test_what_cannot_be_is_proven(changes: dict[str, object]) -> None:
    """Infeasible is said with a proof that numpy has checked."""
    problem = plain(**changes)
    solution = solve(problem)
    assert solution.status == "infeasible"
    if (problem.lower <= problem.upper).all():
        assert certificate.upper_bound(problem, solution.weights, solution.multipliers, share=0.0) < 0.0


@pytest.mark.parametrize("kinds", ["g", "gsb", "gsvh", "gst"])
def test_random_problems_without_an_answer(kinds: str) -> None:
    """A demand for more than all caps allow, next to every kind of limit."""
    for seed in range(6):
        problem = random_problem(seed, kinds, 30)
        most = float(problem.upper.sum()) + 0.01
        asked = replace(
            problem, rows=np.vstack([problem.rows, -np.ones(30)]), row_bounds=np.append(problem.row_bounds, -most)
        )
        assert solve(asked).status == "infeasible"


def test_no_names_and_equal_names() -> None:
    """Edges: an empty universe; names that are one and the same share the weight in any way, at the same utility."""
    empty = StructuredProblem(*(np.zeros(s) for s in (0, (0, 0), 0)), 5.0, *(np.zeros(0) for _ in range(5)))  # type: ignore[arg-type]
    assert solve(empty).status == "optimal"
    twins = solve(plain(specific=np.zeros(2), root=np.full((1, 2), 0.2)))
    assert twins.status == "optimal"
    assert twins.weights.sum() == pytest.approx(0.25, abs=1e-7)


def corrupted(problem: StructuredProblem) -> list[tuple[np.ndarray, Multipliers]]:
    """A right answer made wrong in one place each."""
    good = solve(problem)
    weights, prices = good.weights, good.multipliers
    better = int(np.argmax(problem.upper - weights))
    moved = weights + 1e-3 * (np.arange(len(weights)) == better)
    return [
        (moved, prices),
        (problem.lower, prices),
        (weights, replace(prices, rows=-prices.rows - 1e-3)),
        (weights, replace(prices, rows=prices.rows + 1e-3)),
        (weights, replace(prices, rows=np.full_like(prices.rows, np.nan))),
        (weights, replace(prices, cones=prices.cones + 0.5)),
        (weights, replace(prices, top=prices.top + 1.0, top_price=0.5)),
    ]


def test_the_proof_catches_what_is_wrong() -> None:
    """Corrupted weights or multipliers leave a gap or a violation; a bound below a feasible utility never comes out."""
    problem = random_problem(11, "gsvht", 65)
    good = solve(problem)
    for weights, prices in corrupted(problem):
        gap = certificate.upper_bound(problem, weights, prices) - certificate.utility(problem, weights)
        broken = certificate.residual(problem, weights)
        assert gap > 2e-8 * (1e-3 + abs(good.objective)) or broken > 1e-9 or not np.isfinite(gap)
        assert certificate.upper_bound(problem, weights, prices) >= good.objective - 1e-12


def test_any_multipliers_bound_every_feasible_utility() -> None:
    """Weak duality: random prices never prove less than a feasible book has."""
    rng = np.random.default_rng(1)
    problem = random_problem(12, "gsbvhf", 30)
    best = solve(problem)
    zero = best.multipliers
    for _ in range(100):
        waves = rng.random(len(zero.waves)) * 0.01
        prices = replace(
            zero, rows=rng.random(len(zero.rows)) * 0.05, buys=rng.random(len(zero.buys)) * 0.05,
            cones=rng.random(len(zero.cones)), waves=waves, funding=float(waves.sum()) * 3,
        )  # fmt: skip
        around = problem.lower + rng.random(30) * (problem.upper - problem.lower)
        assert certificate.upper_bound(problem, around, prices) >= best.objective - 1e-12


@pytest.mark.parametrize("field", ["mu", "specific", "cost_buy", "now"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_gives_no_answer(field: str, value: float) -> None:
    """Money law: NaN and infinite inputs are never optimal."""
    problem = random_problem(2, "gs", 30)
    array = getattr(problem, field).copy()
    array[3] = value
    assert solve(replace(problem, **{field: array})).status != "optimal"
