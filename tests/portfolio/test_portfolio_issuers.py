"""RC-33 in the optimizer: the listings of one issuer share the position cap."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limits import linear_limits
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]


def wanted(inputs: PortfolioInputs, rows: tuple[int, ...]) -> PortfolioInputs:
    """The same, with such a return of some names that the optimizer wants as much of each as it may have."""
    mu = inputs.expected_return.copy()
    mu[list(rows)] = 2.0
    return replace(inputs, expected_return=mu)


@pytest.mark.parametrize("seed", range(3))
def test_two_listings_of_one_issuer_share_a_cap(build: Build, mandate: Mandate, seed: int) -> None:
    """Without a common issuer each name takes its day's 3 %; with one, both together take 4.75 %, the target of RC-30."""
    inputs = build(seed)
    equities = [k for k, sector in enumerate(inputs.sector) if sector != "FUND" and inputs.currency[k] == "USD"]
    pair = (equities[0], equities[1])
    apart = wanted(inputs, pair)
    alone = tuple(f"issuer {k}" for k in range(len(inputs.instruments)))
    shared = tuple("one" if k in pair else name for k, name in enumerate(alone))
    before = solve_target(replace(apart, issuer=alone), mandate)
    after = solve_target(replace(apart, issuer=shared), mandate)
    assert before.status == after.status == "optimal"
    assert sum(before.weights[list(pair)]) == pytest.approx(0.06, abs=1e-4)
    assert sum(after.weights[list(pair)]) == pytest.approx(0.0475, abs=1e-4)


def test_only_shared_issuers_make_a_row(build: Build, mandate: Mandate) -> None:
    """One row per issuer with two listings or more; unknown issuers are one; no issuers at all make none."""
    inputs = build(1)
    names = tuple("A" if k < 2 else "" if k < 5 else f"issuer {k}" for k in range(len(inputs.instruments)))
    rows = linear_limits(replace(inputs, issuer=names), facts_of(inputs, mandate), mandate)
    found = {row.name: row for row in rows if row.control == "RC-33"}
    assert sorted(found) == ["issuer A", "issuer UNKNOWN"]
    assert np.flatnonzero(found["issuer A"].row).tolist() == [0, 1]
    assert np.flatnonzero(found["issuer UNKNOWN"].row).tolist() == [2, 3, 4]
    assert {(row.bound, row.hard) for row in found.values()} == {(0.0475, 0.05)}
    assert not any(row.control == "RC-33" for row in linear_limits(inputs, facts_of(inputs, mandate), mandate))
