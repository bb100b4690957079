"""RC-46 in the optimizer: one row per scenario and version, at the limit of its kind, for every scenario that has one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import LinearLimit
from marketbot_assets.portfolio.limits import linear_limits
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]


def stress_rows(inputs: PortfolioInputs, mandate: Mandate) -> dict[str, LinearLimit]:
    rows = linear_limits(inputs, facts_of(inputs, mandate), mandate)
    return {row.name: row for row in rows if row.control == "RC-46"}


def with_kinds(inputs: PortfolioInputs, *kinds: str) -> PortfolioInputs:
    return replace(inputs, factor_model=replace(inputs.factor_model, scenario_kinds=kinds))


def test_every_kind_has_its_limit_and_history_has_none(build: Build, mandate: Mandate) -> None:
    """Bounds are the mandate's targets, 95 % of hard where none is given; what has no limit is no row."""
    inputs = with_kinds(build(2, n=20), "crash", "instant", "history", "bear", "budget")
    rows = stress_rows(inputs, mandate)
    expected = {
        "crash H1998": (0.24, 0.25), "instant H2008L": (0.2375, 0.25), "bear H2008": (0.43, 0.45),
        "budget WORST5": (0.96 * 0.18, 0.18),
    }  # fmt: skip
    for name, (bound, hard) in expected.items():
        for version in (name, f"{name} by factors"):
            assert (rows[version].bound, rows[version].hard) == pytest.approx((bound, hard)), version
    assert not [name for name in rows if "H2020" in name]
    model = inputs.factor_model
    np.testing.assert_array_equal(rows["crash H1998"].row, -model.scenario_returns[0])
    np.testing.assert_array_equal(rows["crash H1998 by factors"].row, -model.scenario_factor_returns[0])


def test_equal_versions_are_one_row(build: Build, mandate: Mandate) -> None:
    """A shock that is one return per name is not asked twice."""
    inputs = build(2, n=20)
    model = inputs.factor_model
    factors = model.scenario_factor_returns.copy()
    factors[1] = model.scenario_returns[1]
    rows = stress_rows(replace(inputs, factor_model=replace(model, scenario_factor_returns=factors)), mandate)
    assert "crash H2008L" in rows
    assert "crash H2008L by factors" not in rows


def test_a_book_keeps_the_worse_version(build: Build, mandate: Mandate) -> None:
    """Where the factors lose three times as much as the replay, it is the factor row that binds, and it holds."""
    inputs = build(3, n=40, invested=0.7)
    model = inputs.factor_model
    factors = model.scenario_factor_returns.copy()
    factors[:3] = 3.0 * model.scenario_returns[:3]
    free = solve_target(inputs, mandate).weights
    harsh = replace(inputs, factor_model=replace(model, scenario_factor_returns=factors))
    assert max(-factors[:3] @ free) > 0.25
    assert max(-factors[:3] @ solve_target(harsh, mandate).weights) == pytest.approx(0.24, abs=2e-5)
