"""Protective orders that wait at the broker: they count in nothing until they are hit, and may be nothing else (RC-17)."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import HELD, MANDATE, NAMES, batch, inputs, order, tweaked

from marketbot_assets.risk.projection import WITH, project
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, OrderType, Status

D, T = Decimal, OrderType
ALLOWED: Mandate = tweaked(MANDATE, "execution.allowed", ("limit_on_open", "stop", "trailing_stop", "limit"))
FACTS = inputs(mandate_sha256=ALLOWED.sha256)


def guard(name: str = "MBB", quantity: object = None, **changes: object) -> Order:
    """Everything that is held of a name, a stop far below."""
    shares = D(HELD[name]) if quantity is None else D(str(quantity))
    made = order(name, "SELL", 1, leg="S", type=T.STOP, limit_price=None, stop_price=D(1), quantity=shares)
    return replace(made, **changes)  # type: ignore[arg-type]


def rc17(*orders: Order) -> Status:
    return max(r.status for r in run_controls(FACTS, orders, ALLOWED) if r.control == "RC-17")


HELD_NAMES = [name for name in NAMES if HELD.get(name, 0)]
FREE = [name for name in HELD_NAMES if name not in {o.instrument for o in batch()}]


def test_it_changes_no_weight_and_no_cash() -> None:
    """The book after the batch is the same with and without; each of them only reduces risk."""
    guards = tuple(guard(name) for name in FREE)
    alone, both = project(FACTS, batch(), ALLOWED), project(FACTS, (*batch(), *guards), ALLOWED)
    np.testing.assert_array_equal(alone.weights, both.weights)
    assert alone.increasing_ids == both.increasing_ids
    assert alone.weights[:, WITH].sum() > 0
    verdict = judge(FACTS, (*batch(), *guards), ALLOWED)
    approved = {o.client_order_id: o for o in verdict.approved}
    plain = judge(FACTS, batch(), ALLOWED).approved
    assert {**{o.client_order_id: o for o in plain}, **{o.client_order_id: o for o in guards}} == approved


def test_trailing_stops_are_the_same() -> None:
    guards = tuple(guard(name, type=T.TRAILING_STOP, stop_price=None, trail=D("0.1")) for name in FREE)
    assert judge(FACTS, guards, ALLOWED).approved == tuple(sorted(guards, key=lambda o: o.client_order_id))


def test_while_risk_is_only_reduced_they_stay() -> None:
    """Buys go, protection does not."""
    facts = replace(FACTS, halt_flag="reduce-only")
    orders = (*batch(), guard(FREE[0]))
    left = {o.instrument for o in judge(facts, orders, ALLOWED).approved}
    assert FREE[0] in left or not left  # a flag that lets nothing go lets no stop go either
    p = project(facts, orders, ALLOWED)
    assert p.reducing[[o.leg == "S" for o in p.orders]].all()


@pytest.mark.parametrize(
    ("orders", "status"),
    [
        ((guard(),), Status.PASS),
        ((guard(quantity=HELD["MBB"] - 1),), Status.PASS),
        ((guard(quantity=HELD["MBB"] + 1),), Status.REJECT_BATCH),
        ((guard(quantity="NaN"),), Status.REJECT_BATCH),
        ((guard(), order("MBB", "SELL", 1)), Status.REJECT_BATCH),
        ((guard(), order("MBB", "BUY", 1)), Status.REJECT_BATCH),
        ((guard(), guard(client_order_id="mb1-again", leg="S")), Status.REJECT_BATCH),
        ((guard(type=T.LIMIT, limit_price=D(90), stop_price=None),), Status.REJECT_BATCH),
        ((replace(order("MBD", "SELL", 1), leg="S", type=T.STOP, limit_price=None, stop_price=D(1)),), Status.REJECT_BATCH),
    ],
    ids=["whole", "part", "more", "NaN", "beside a sell", "beside a buy", "twice", "a limit", "not held"],
)  # fmt: skip
def test_what_it_may_be(orders: tuple[Order, ...], status: Status) -> None:
    """A stop of free shares, alone in its name."""
    assert rc17(*orders) is status


def test_its_value_is_that_of_one_order() -> None:
    """At the hard value of an order and beyond it: the projection counts it as nothing, so RC-17 looks."""
    row = NAMES.index("MBB")
    price, rate = float(FACTS.price[row]), FACTS.fx_rates[FACTS.currency[row]]
    most = int(ALLOWED.limits.order_value.hard * FACTS.nav / (price * rate))
    shares = list(FACTS.positions)
    shares[row] = D(most + 1)
    facts = replace(FACTS, positions=tuple(shares))

    def status(quantity: int) -> Status:
        found = run_controls(facts, (guard(quantity=quantity),), ALLOWED)
        return max(r.status for r in found if r.control == "RC-17")

    assert (status(most), status(most + 1)) == (Status.PASS, Status.REJECT_BATCH)
