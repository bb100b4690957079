"""Whole answers of the controls on the platform: RC-53, 67, 80, 84, 87. Every number is written out by hand."""

from dataclasses import replace

import pytest
from answer_rows import BUYS, DROP, HALT, NAN, PASS, REDUCE, WARN, D, row
from risk_world import answers, batch, inputs, order

from marketbot_assets.risk import system_controls as system
from marketbot_assets.risk.inputs import OptimizerAnswer, ReconciliationBreak, RiskInputs
from marketbot_resources.model import Order

SALE = (order("MBA", "SELL", 100),)


def solved(status: str = "optimal", method: str = "mean_variance", residual: float = 1e-9, *doubts: str) -> RiskInputs:
    return inputs(optimizer=OptimizerAnswer(status, method, residual, doubts))


@pytest.mark.parametrize(
    ("facts", "orders", "expected", "message"),
    [
        (solved(), batch(), (PASS, (), 0.0, 1e-9, 1e-6, 9.99e-7), ""),
        (solved(residual=1e-6), batch(), (PASS, (), 0.0, 1e-6, 1e-6, 0.0), ""),
        (solved(residual=1.0005e-6), batch(), (REDUCE, BUYS, 0.0, 1.0005e-6, 1e-6, -5e-10), "no usable answer"),
        (solved(residual=NAN), batch(), (REDUCE, BUYS, 0.0, None, 1e-6, None), "no usable answer"),
        (solved("infeasible"), batch(), (REDUCE, BUYS, 0.0, 1e-9, 1e-6, 9.99e-7), "no usable answer"),
        (solved("infeasible", "risk_parity", 1e-9, "d"), batch(), (REDUCE, BUYS, 0.0, 1e-9, 1e-6, 9.99e-7), "no usable answer"),
        (solved("infeasible"), SALE, (WARN, (), 0.0, 1e-9, 1e-6, 9.99e-7), "no usable answer"),
        (solved("optimal", "risk_parity"), batch(), (WARN, (), 0.0, 1e-9, 1e-6, 9.99e-7), "answered by the fallback risk_parity"),
        (solved("optimal", "mean_variance", 1e-9, "c", "d"), batch(), (WARN, (), 0.0, 1e-9, 1e-6, 9.99e-7), "c; d"),
        (solved("optimal", "risk_parity", 1e-9, "d"), batch(), (WARN, (), 0.0, 1e-9, 1e-6, 9.99e-7),
         "answered by the fallback risk_parity; d"),
    ],
)  # fmt: skip
def test_the_optimizers_answer(
    facts: RiskInputs, orders: tuple[Order, ...], expected: tuple[object, ...], message: str
) -> None:
    """RC-53: a residual to a billionth of its limit; a fallback and a doubt are noted, no answer stops buys."""
    found = answers(system.optimizer, facts, orders)
    assert row(found["answer"]) == expected
    assert found["answer"].message.startswith(message)
    assert bool(found["answer"].message) is bool(message)
    assert row(found["cadence"]) == (PASS, (), 0.0, None, None, None)


def test_off_the_rebalance_days_nothing_is_bought() -> None:
    """RC-53: only True is a rebalance day; an answer that is none raises."""
    for word in (False, None, 1):
        found = answers(system.optimizer, inputs(rebalance=word), batch())["cadence"]
        assert row(found) == (REDUCE, BUYS, 0.0, None, None, None)
        assert answers(system.optimizer, inputs(rebalance=word), SALE)["cadence"].status is WARN
    answer = inputs().optimizer
    for changes in ({"doubts": ["x"]}, {"method": ""}, {"method": None}):
        with pytest.raises(TypeError):
            answers(system.optimizer, inputs(optimizer=replace(answer, **changes)))


KNOWN, OPEN = ReconciliationBreak("MBA", "a dividend", True), ReconciliationBreak("MBB", "100 shares", False)


@pytest.mark.parametrize(
    ("breaks", "expected", "message"),
    [
        ((), (PASS, (), 1.0, 0.0, 0.0, 0.0), ""),
        ((KNOWN,), (WARN, (), 1.0, 0.0, 0.0, 0.0), "MBA: a dividend"),
        ((KNOWN, OPEN), (HALT, (), 1.0, 1.0, 0.0, -1.0), "MBB: 100 shares"),
        ((OPEN, replace(OPEN, explained=1)), (HALT, (), 1.0, 2.0, 0.0, -2.0), "MBB: 100 shares; MBB: 100 shares"),
    ],
)
def test_breaks(breaks: tuple[ReconciliationBreak, ...], expected: tuple[object, ...], message: str) -> None:
    """RC-67: explained ones are noted, one that is not halts."""
    found = answers(system.reconciliation, inputs(breaks=breaks))[""]
    assert (row(found), found.message) == (expected, message)
    with pytest.raises(TypeError):
        answers(system.reconciliation, inputs(breaks=list(breaks)))


@pytest.mark.parametrize(
    ("word", "orders", "expected"),
    [
        ("off", batch(), (PASS, (), 1.0, 0.0, 0.0, 0.0)), ("on", batch(), (HALT, (), 1.0, 1.0, 0.0, -1.0)),
        (None, SALE, (HALT, (), 1.0, 1.0, 0.0, -1.0)), ("no-new-runs", batch(), (WARN, (), 1.0, 1.0, 0.0, -1.0)),
        ("reduce-only", batch(), (REDUCE, BUYS, 0.0, 1.0, 0.0, -1.0)), ("reduce-only", SALE, (WARN, (), 0.0, 1.0, 0.0, -1.0)),
        ("flatten", batch(), (REDUCE, BUYS, 0.0, 1.0, 0.0, -1.0)), ("kill", batch(), (HALT, (), 1.0, 1.0, 0.0, -1.0)),
    ],
)  # fmt: skip
def test_the_halt_flag(word: object, orders: tuple[Order, ...], expected: tuple[object, ...]) -> None:
    """RC-80."""
    found = answers(system.halt_flag, inputs(halt_flag=word), orders)[""]
    assert row(found) == expected
    assert (found.message == "") is (word == "off")


@pytest.mark.parametrize("ready", [True, False, None, 1])
def test_the_ledger(ready: object) -> None:
    """RC-84: only True is ready."""
    found = answers(system.ledger, inputs(ledger_ready=ready), batch())[""]
    assert row(found) == ((PASS, (), 1.0, 0.0, 0.0, 0.0) if ready is True else (HALT, (), 1.0, 1.0, 0.0, -1.0))


def test_the_data_gate() -> None:
    """RC-87: floors of 98 and 99 %, more than all is none; rules that halt; no order on a bad bar, no buy without features."""
    found = answers(system.data_gate, inputs(coverage_universe=0.98, coverage_held=0.99), batch())
    assert {key: row(r) for key, r in found.items()} == {
        "universe": (PASS, (), 0.0, 0.98, 0.98, 0.0), "held": (PASS, (), 0.0, 0.99, 0.99, 0.0),
        "quality": (PASS, (), 0.0, 0.0, 0.0, 0.0), "quarantined": (PASS, (), 0.0, 0.0, 0.0, 0.0),
        "incomplete": (PASS, (), 0.0, 0.0, 0.0, 0.0),
    }  # fmt: skip
    for seen, status in ((1.0 + 9e-10, PASS), (1.0 + 1.1e-9, REDUCE), (0.97, REDUCE), (NAN, REDUCE)):
        held = answers(system.data_gate, inputs(coverage_held=seen), batch())["held"]
        assert (held.status, held.order_ids, held.keep) == (status, () if status is PASS else BUYS, 0.0)
    assert answers(system.data_gate, inputs(coverage_held=0.5), SALE)["held"].status is WARN
    facts = inputs(
        quality_halts=("b", "a"), quarantined=frozenset({"MBA", "MBD"}), incomplete=frozenset({"MBA", "MBD"})
    )
    found = answers(system.data_gate, facts, batch())
    assert (row(found["quality"]), found["quality"].message) == (
        (REDUCE, BUYS, 0.0, 2.0, 0.0, -2.0),
        "data quality: a; b",
    )
    assert row(found["quarantined"]) == (DROP, ("mb1-mba-sell", D), 0.0, 2.0, 0.0, -2.0)
    assert row(found["incomplete"]) == (DROP, (D,), 0.0, 1.0, 0.0, -1.0)
    units = {key: r.unit for key, r in found.items()}
    assert units == {
        "universe": "fraction of names", "held": "fraction of names", "quality": "rules", "quarantined": "orders",
        "incomplete": "orders",
    }  # fmt: skip
    legs = answers(system.data_gate, inputs(quarantined=frozenset({"FX:EUR"})), batch())["quarantined"]
    assert (legs.status, legs.order_ids) == (PASS, ())
