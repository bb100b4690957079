"""G9: every control with a number at its limit, one unit in the last place on either side, and just beyond the tolerance."""

import pytest
from control_edges import EDGES, Edge

from marketbot_assets.risk.control import TOLERANCE, worst
from marketbot_assets.risk.verdict import CONTROLS
from marketbot_resources.model import Status

# Controls that judge without a number of their own: yes or no.
WITHOUT_EDGE = {
    "RC-01", "RC-02", "RC-03", "RC-04", "RC-13", "RC-16", "RC-17", "RC-21", "RC-62", "RC-63", "RC-66", "RC-67", "RC-69",
    "RC-80", "RC-81", "RC-82", "RC-84", "RC-88", "RC-92",
}  # fmt: skip


def name(edge: Edge) -> str:
    return f"{edge.control} {edge.name}"


def test_the_table_is_whole() -> None:
    """Every control with a number stands in it; the tolerance is the house's."""
    assert {rule.id for rule, _ in CONTROLS} == {edge.control for edge in EDGES} | WITHOUT_EDGE
    assert len({name(edge) for edge in EDGES}) == len(EDGES)
    assert TOLERANCE == 1e-9


@pytest.mark.parametrize("edge", EDGES, ids=name)
def test_up_to_its_limit_a_control_is_quiet(edge: Edge) -> None:
    """At the limit, one unit in the last place beside it, half the tolerance beyond it: at most a note, and no failure."""
    for limit in edge.quiet:
        found = worst(tuple(edge.answer(limit).values()))
        assert found < edge.status, limit
        assert found <= Status.WARN, limit


@pytest.mark.parametrize("edge", EDGES, ids=name)
def test_beyond_its_limit_a_control_fails(edge: Edge) -> None:
    """Beyond the tolerance, and far beyond: exactly its status, with words, and what it saw."""
    for limit in edge.loud:
        found = edge.answer(limit)
        loud = [result for result in found.values() if result.status is edge.status]
        assert worst(tuple(found.values())) is edge.status, limit
        assert all(result.message and result.control == edge.control for result in loud), limit


@pytest.mark.parametrize("edge", [e for e in EDGES if e.status in (Status.SHRINK, Status.REJECT_ORDER)], ids=name)
def test_what_fails_names_the_orders_that_it_is_about(edge: Edge) -> None:
    """A control that makes orders smaller says which, and leaves them a share in [0, 1) of themselves."""
    for limit in edge.loud:
        loud = [result for result in edge.answer(limit).values() if result.status is edge.status]
        assert all(result.order_ids and 0.0 <= result.keep < 1.0 for result in loud), limit
