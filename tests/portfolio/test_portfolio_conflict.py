"""Nothing is eased unseen, in one stated order; limits that exclude each other are named, and no other."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from marketbot_assets.portfolio.bounds import Bounds
from marketbot_assets.portfolio.conflict import Conflict, conflicts_of
from marketbot_assets.portfolio.easing import eased, feasible
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.funding import Funding, Wave
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import ConeLimit, Limit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.limits import all_limits, limit_set
from marketbot_assets.portfolio.target_frame import target_frame, target_of
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]


def bounds(lower: Sequence[float], upper: Sequence[float]) -> Bounds:
    no = np.zeros(len(lower), dtype=np.bool_)
    return Bounds(np.array(lower, dtype=float), np.array(upper, dtype=float), no, no)


def row(name: str, values: Sequence[float], bound: float, hard: float | None = None) -> LinearLimit:
    return LinearLimit("RC-32", name, np.array(values, dtype=float), bound, bound if hard is None else hard)


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (0.10, (0.20, 0.25)),  # selling reaches the target: as stated
        (0.20 - 2e-6, (0.20, 0.25)),
        (0.21, (0.239, 0.25)),  # nine tenths of the selling from 0.5 to 0.21
        (0.24, (0.25, 0.25)),  # nine tenths would be 0.266: the hard limit, which can be reached
        (0.30, (0.32, 0.32)),  # the hard limit is out of reach, too
        (0.50, (0.500001, 0.500001)),  # nothing can be sold
    ],
)
def test_the_order_of_easing(reach: float, expected: tuple[float, float]) -> None:
    """Stated bound, then nine tenths of the selling but not beyond the hard limit, then beyond it. By hand."""
    limit, box, now = row("one name", [1.0], 0.20, 0.25), bounds([reach], [0.5]), np.array([0.5])
    kept = feasible(limit, box, now)
    assert (kept.bound, kept.hard) == pytest.approx(expected, abs=1e-12)
    found = eased([limit], [kept], box, now)
    assert len(found) == ((kept.bound, kept.hard) != (0.20, 0.25))
    if found:
        assert (found[0].bound_stated, found[0].hard_stated, found[0].reach) == (0.20, 0.25, reach)
        assert (", hard limit" in found[0].message) is (kept.hard != 0.25)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), invested=st.sampled_from([0.3, 0.9, 1.2]), nav=st.sampled_from([1e6, 3e7, 2e8]))
def test_nothing_is_eased_unseen(build: Build, mandate: Mandate, seed: int, invested: float, nav: float) -> None:
    """Every bound that differs from the mandate's is named in the target, no other one is; no bound gets tighter."""
    inputs = build(seed, n=24, invested=invested, nav=nav)
    facts = facts_of(inputs, mandate)
    kept, stated = limit_set(inputs, facts, mandate), all_limits(inputs, facts, mandate)
    differs = [
        f"{a.control} {a.name}:"
        for a, b in zip(stated, kept.limits, strict=False)
        if (a.bound, a.hard) != (b.bound, b.hard)
    ]
    target = solve_target(inputs, mandate)
    assert [text for text in target.eased if not text.startswith(tuple(differs))] == []
    assert len(target.eased) == len(differs)
    for a, b in zip(stated, kept.limits, strict=False):
        reached = a.left(kept.bounds.lower, facts.weights_now)
        assert b.bound >= a.bound
        assert b.hard >= a.hard
        assert b.bound <= max(a.hard, a.bound) or reached + 2e-5 > a.hard
    assert bool(target.conflicts) <= bool(target.eased)


def test_a_conflict_is_shown_and_stored(build: Build, mandate: Mandate) -> None:
    """A sector at 26 % of which nothing can be sold breaks RC-32: named with what it would have to give; it survives the table."""
    inputs = build(3, n=20, invested=0.2)
    sector = np.array([s == inputs.sector[0] for s in inputs.sector])
    shares = list(inputs.positions)
    unit = inputs.nav / (inputs.price[0] * inputs.fx[0])
    shares[0] = inputs.quantity_step[0] * int(0.26 * unit / float(inputs.quantity_step[0]))
    inputs = replace(inputs, positions=tuple(shares), can_trade=~sector)
    held = float(inputs.weights_now()[sector].sum())
    target = solve_target(inputs, mandate)
    name = f"RC-32 sector {inputs.sector[0]}"
    (text,) = [text for text in target.conflicts if text.startswith(name)]
    assert f"would have to give {held - 0.19:.3g} NAV" in text
    assert inputs.instruments[0] in text
    assert any(text.startswith(name + ": 0.19 ->") for text in target.eased)
    again = target_of(target_frame(inputs, target, explain(inputs, target, mandate)), inputs.instruments)
    assert (again.eased, again.conflicts) == (target.eased, target.conflicts)


def gives(conflict: Conflict) -> dict[str, float]:
    return {member.name: member.give for member in conflict.members}


HEDGED = (row("hedged", [1, -1], 0.1), bounds([0.3, 0.0], [0.3, 1.0]), np.array([0.3, 0.0]))
WAVE = Wave("USD", np.ones(2), np.zeros(2), 0.0)
RETURNS = np.vstack([[-0.1, 0.1], np.zeros((39, 2))])
CASES: dict[str, tuple[list[Limit], Bounds, Floats, list[dict[str, float]]]] = {
    "none": ([HEDGED[0]], *HEDGED[1:], []),
    "alone": ([row("low", [1, 1], 0.2)], *HEDGED[1:], [{"low": 0.1}]),
    "two rows": ([HEDGED[0], row("no hedge", [0, 1], 0.1)], *HEDGED[1:], [{"hedged": 0.1, "no hedge": 0.1}]),
    "two that share nothing": (
        [HEDGED[0], row("no hedge", [0, 1], 0.1), row("low", [1, 0], 0.2), row("idle", [1, 1], 2.0)],
        *HEDGED[1:],
        [{"low": 0.1}, {"hedged": 0.1, "no hedge": 0.1}],
    ),
    "cone alone, squared": (
        [ConeLimit("RC-39", "squares", np.eye(2), 0.04, 0.04, "1", squared=True)],
        *HEDGED[1:],
        [{"squares": 0.05}],
    ),
    "cone and row": (
        [ConeLimit("RC-42", "cone", np.array([[1.0, -1.0]]), 0.1, 0.1, "per year"), row("no hedge", [0, 1], 0.1)],
        *HEDGED[1:],
        [{"cone": 0.1, "no hedge": 0.1}],
    ),
    "largest": ([TopLimit("RC-40", "top", 1, 0.25, 0.25)], *HEDGED[1:], [{"top": 0.05}]),
    "shortfall and row": (  # the worst of 40 rows loses 0.1 (w1 - w2): the hedge must be 0.2, but may be 0.1
        [ShortfallLimit("RC-44", "tail", RETURNS, 0.025, 0.01, 0.01), row("no hedge", [0, 1], 0.1)],
        *HEDGED[1:],
        [{"tail": 0.01, "no hedge": 0.1}],
    ),
    "no cash for the hedge": (  # 0.2 of the hedge are needed, cash pays for 0.05
        [HEDGED[0], Funding("USD", (WAVE,), (), 0.05, 0.0)],
        *HEDGED[1:],
        [{"hedged": 0.15, "funding": 0.15}],
    ),
    "no buys for the hedge": (
        [HEDGED[0], replace(row("buys", [1, 1], 0.05), on_buys=True)],
        *HEDGED[1:],
        [{"hedged": 0.15, "buys": 0.15}],
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_conflicts_by_hand(name: str) -> None:
    """One case per shape: the names in the set, and by how much each would have to give alone."""
    limits, box, now, expected = CASES[name]
    found = conflicts_of(limits, box, now)
    assert [set(gives(conflict)) for conflict in found] == [set(case) for case in expected]
    for conflict, case in zip(found, expected, strict=True):
        assert gives(conflict) == pytest.approx(case, abs=2e-6)
        assert conflict.pinned == (0,)


def test_a_conflict_in_words() -> None:
    """Control, name, formula, amount, and the names that cannot be sold."""
    limits, box, now, _ = CASES["alone"]
    (conflict,) = conflicts_of(limits, box, now)
    assert conflict.message(("MB1", "MB2")) == (
        "RC-32 low (sum of w <= 0.2) would have to give 0.1 NAV: no more of MB1 can be sold today"
    )


def by_linear_program(rows: Sequence[LinearLimit], box: Bounds, aim: Floats | None = None) -> float | None:
    """The smallest aim'w, or of 0; None when the rows exclude each other. HiGHS, on its own."""
    n = len(box.lower)
    matrix = np.array([x.row for x in rows]).reshape(len(rows), n)
    answer = linprog(
        np.zeros(n) if aim is None else aim,
        A_ub=matrix if len(rows) else None,
        b_ub=[x.bound for x in rows] if len(rows) else None,
        bounds=list(zip(box.lower, box.upper, strict=True)),
    )
    return float(answer.fun) if answer.status == 0 else None


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_conflicts_are_irreducible_and_complete(seed: int) -> None:
    """Random rows against a linear program on every subset: each set is infeasible, no smaller part of it is, what is left is."""
    rng = np.random.default_rng(seed)
    lower = np.round(rng.uniform(0.0, 0.3, 4), 2) * rng.integers(0, 2, 4)
    box = bounds(lower.tolist(), (lower + np.round(rng.uniform(0.0, 0.4, 4), 2)).tolist())
    limits = [
        row(f"row {k}", rng.integers(-2, 3, 4).tolist(), round(float(rng.uniform(-0.4, 0.6)), 2)) for k in range(5)
    ]
    for size in range(1, 6):  # no set on the very edge of what can be kept
        for some in itertools.combinations(limits, size):
            tight = [replace(x, bound=x.bound - 1e-4) for x in some]
            assume((by_linear_program(tight, box) is None) is (by_linear_program(some, box) is None))
    found = conflicts_of(limits, box, lower)
    assert bool(found) is (by_linear_program(limits, box) is None)
    place = {x.name: x for x in limits}
    for conflict in found:
        members = [place[member.name] for member in conflict.members]
        assert by_linear_program(members, box) is None
        for member in conflict.members:
            others = [x for x in members if x.name != member.name]
            least = by_linear_program(others, box, place[member.name].row)
            assert least is not None
            assert member.give == pytest.approx(least - member.bound, abs=1e-6)
    named = {member.name for conflict in found for member in conflict.members}
    assert by_linear_program([x for x in limits if x.name not in named], box) is not None


def test_a_bound_that_is_no_number_is_no_silence(build: Build, mandate: Mandate) -> None:
    """Limits that cannot be measured end the search with an error, which the decision turns into words."""
    limits, box, now, _ = CASES["two rows"]
    with pytest.raises((ArithmeticError, ValueError)):
        conflicts_of([*limits, row("unknown", [1, 1], float("nan"))], box, now)
