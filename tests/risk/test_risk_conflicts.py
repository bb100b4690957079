"""RC-53 says which limits cannot be kept as the mandate states them."""

from dataclasses import replace

import numpy as np
from risk_world import MANDATE, batch, inputs

from marketbot_assets.portfolio.target import Target
from marketbot_assets.risk.build import answer_of
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.model import Status

CONFLICT = (
    "RC-32 sector IT (sum of w in sector IT <= 0.19) would have to give 0.07 NAV: no more of MBA can be sold today"
)
TARGET = Target(
    np.zeros(1), np.zeros(1), 1.0, "mean_variance", "optimal", 0.0, 0.0, (), (), "", "structured dual",
    doubts=("second opinion differs",), eased=("RC-32 sector IT: 0.19 -> 0.28 NAV",), conflicts=(CONFLICT,),
)  # fmt: skip


def test_a_conflict_warns_by_name() -> None:
    """The message names the limit and what it would have to give, after the doubts; it warns and stops nothing."""
    facts = inputs(optimizer=answer_of(TARGET))
    (found,) = [
        r for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-53" and r.status is not Status.PASS
    ]
    assert (found.status, found.message) == (Status.WARN, f"second opinion differs; {CONFLICT}")
    assert judge(facts, batch(), MANDATE).verdict == "APPROVED"


def test_without_a_conflict_there_is_no_warning() -> None:
    """An easing that no conflict needs (a hair of room) is on record in the target, not a warning."""
    facts = inputs(optimizer=answer_of(replace(TARGET, doubts=(), conflicts=())))
    assert {r.status for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-53"} == {Status.PASS}
