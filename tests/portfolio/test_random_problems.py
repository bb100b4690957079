"""Random problems, most of them awkward: the structured solver against Clarabel, and the measures against hand-computed numbers."""

from dataclasses import replace

import numpy as np
import pytest
from clarabel_form import INFEASIBLE, OPTIMAL, reference
from plain_problem import Cone, Funding, PlainProblem, Tail, Wave
from random_campaign import DISAGREED, FALLBACK, UNJUDGED, campaign, summary
from random_problems import TWISTS, random_problem

SHORT, WHOLE, CHUNK = 150, 10_000, 500
FALLBACK_SHARE = UNJUDGED_SHARE = 0.02


def of_two(**changes: object) -> PlainProblem:
    """Two names of returns 10 % and 2 %, variances 0.04 and 0.01, free trading, half the book each, no limit but 0 <= w <= 1."""
    problem = PlainProblem(
        mu=np.array([0.10, 0.02]),
        root=np.zeros((0, 2)),
        specific=np.array([0.04, 0.01]),
        risk_aversion=5.0,
        cost_buy=np.zeros(2),
        cost_sell=np.zeros(2),
        now=np.array([0.5, 0.5]),
        lower=np.zeros(2),
        upper=np.ones(2),
        rows=np.zeros((0, 2)),
        row_bounds=np.zeros(0),
        buy_rows=np.zeros((0, 2)),
        buy_bounds=np.zeros(0),
    )
    return replace(problem, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [0.5, 0.4]),  # mu / (aversion * variance)
        ({"rows": np.ones((1, 2)), "row_bounds": np.array([0.65])}, [0.45, 0.2]),  # price 0.01: 0.09 / 0.2, 0.01 / 0.05
        ({"cost_sell": np.array([0.0, 0.01])}, [0.5, 0.5]),  # selling costs more than the 0.005 that it brings
        ({"buy_rows": np.ones((1, 2)), "buy_bounds": np.array([0.1]), "now": np.zeros(2)}, [0.1, 0.0]),
        (
            {"cones": (Cone(np.zeros((0, 2)), np.ones(2), 0.5),), "specific": np.array([1e-9, 1e-9])},
            [0.490290, 0.098058],
        ),
        ({"top": (1, 0.3)}, [0.3, 0.3]),
        ({"tails": (Tail(np.array([[-0.1, -0.1], [0.1, 0.1]]), 0.5, 0.065),)}, [0.45, 0.2]),
        # 1.25 * buys are paid by 0.05 of cash and half of the sells of the other name: 0.4 is sold from 0.5 to 0.4, 0.04 bought
        (
            {
                "now": np.array([0.0, 0.5]),
                "funding": Funding(
                    "USD", (Wave("USD", np.array([1.25, 1.25]), np.array([0.0, 0.0]), 0.0),), (), 0.05, 0.0
                ),
            },
            [0.04, 0.4],
        ),
    ],
)
def test_the_reference_solves_what_a_hand_can_solve(changes: dict[str, object], wanted: list[float]) -> None:
    """The independent form is itself checked by numbers found with a pencil."""
    problem = of_two(**changes)
    found = reference(problem)
    assert found.status == OPTIMAL
    np.testing.assert_allclose(found.weights, wanted, atol=2e-6)
    assert found.dual == pytest.approx(found.objective, abs=1e-8)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"upper": np.array([0.5, 0.5])}, 0.1),
        ({"lower": np.array([0.0, 0.45])}, 0.05),
        ({"rows": np.ones((1, 2)), "row_bounds": np.array([0.7])}, 0.3),
        ({"buy_rows": np.ones((1, 2)), "buy_bounds": np.array([0.04])}, 0.06),
        ({"cones": (Cone(np.eye(2), np.zeros(0), 0.5),)}, np.sqrt(0.52) - 0.5),
        ({"cones": (Cone(np.zeros((0, 2)), np.ones(2), 0.5),)}, np.sqrt(0.52) - 0.5),
        ({"top": (1, 0.55)}, 0.05),
        ({"tails": (Tail(np.array([[-0.1, 0.0], [0.0, -0.1], [0.1, 0.1]]), 0.5, 0.05),)}, 0.08 / 1.5 - 0.05),
        (
            {
                "funding": Funding(
                    "USD",
                    (
                        Wave("USD", np.array([1.0, 0.0]), np.zeros(2), 0.0),
                        Wave("EUR", np.array([0.0, 1.0]), np.array([0.0, 0.5]), 0.0),
                    ),
                    (("EUR", 0.01),),
                    0.1,
                    0.5,
                )
            },
            0.1 + 1.5 * 0.01 - 0.1,
        ),
    ],
)
def test_a_broken_limit_is_measured(changes: dict[str, object], broken: float) -> None:
    """At (0.6, 0.4), from (0.5, 0.5), each limit alone is broken by what a hand computes."""
    problem = of_two(**changes)
    assert problem.violation(np.array([0.6, 0.4])) == pytest.approx(broken, abs=1e-12)
    assert problem.violation(np.array([np.nan, 0.4])) == np.inf


def test_the_short_campaign_meets_every_twist() -> None:
    """Nothing that the generator can do is left to the long campaign alone; a seed gives the same problem twice."""
    drawn = [random_problem(seed) for seed in range(SHORT)]
    assert {name for problem in drawn for name in problem.twists} == set(TWISTS)
    np.testing.assert_array_equal(drawn[7].mu, random_problem(7).mu)
    sure = [problem for problem in drawn if problem.surely_infeasible]
    assert len(sure) >= 5
    assert all(reference(problem).status == INFEASIBLE for problem in sure)


@pytest.mark.parametrize("first", range(0, SHORT, 50))
def test_both_solvers_agree(first: int) -> None:
    """Status and objective to 1e-7, or the structured solver says that it has no answer; no limit is broken."""
    _check(range(first, first + 50))


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, WHOLE, CHUNK))
def test_both_solvers_agree_on_ten_thousand(first: int) -> None:
    """The same over 10,000 problems, in chunks."""
    _check(range(first, first + CHUNK))


def _check(seeds: range) -> None:
    found = campaign(seeds)
    text = summary(found)
    print(text)
    assert not [x for x in found if x.kind == DISAGREED], text
    assert sum(x.kind == FALLBACK for x in found) <= FALLBACK_SHARE * len(found), text
    assert sum(x.kind == UNJUDGED for x in found) <= UNJUDGED_SHARE * len(found), text
