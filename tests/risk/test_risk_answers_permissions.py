"""What the controls on permission answer, field by field: RC-02, 03, 04, 06, 12, 17, 21, 24, 25. Numbers by hand."""

import datetime as dt
from collections.abc import Callable

import pytest
from risk_world import CUTOFF, MANDATE, OPENS, SESSION, answers, batch, inputs, leg, order, trade, tweaked
from whole_answers import of, shows

from marketbot_assets.normalization.near_events import NearEvent
from marketbot_assets.risk import permission_controls as permission
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import Projection
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Status

LATE = OPENS["XNYS"]
SALE = (order("MBA", "SELL", 100),)
BUY = (order("MBD", "BUY", 200),)
BOTH = (order("MBA", "BUY", 10), *SALE, *BUY)
Control = Callable[[Projection], tuple[ControlResult, ...]]
ONE_BUY, TWO = ("mb1-mba-buy",), ("mb1-mba-buy", "mb1-mba-sell")


def dropped(
    test: Control, facts: RiskInputs, ids: tuple[str, ...], key: str = "MBA", mandate: Mandate = MANDATE
) -> bool:
    """Of a buy and a sale of the first name and a buy of another one, these orders go, and nothing else is said."""
    found = answers(test, facts, BOTH, mandate)
    assert {k: r.unit for k, r in found.items()} == {key: "orders"}
    return shows(found[key], Status.REJECT_ORDER, float(len(ids)), 0.0, ids, 0.0)


def test_what_is_dropped_is_named() -> None:
    """RC-02, 03, 25, 24, 21: the whole name, or what adds risk in it."""
    first = (SESSION + dt.timedelta(days=1), *trade().listed_on[1:])
    assert dropped(permission.tradable, inputs(trade=trade(listed_on=first)), TWO)
    assert dropped(permission.tradable, inputs(trade=trade(ended=frozenset({"MBA"}))), TWO)
    assert dropped(permission.tradable, inputs(quarantined=frozenset({"MBA"})), TWO)
    assert dropped(permission.tradable, inputs(trade=trade(ending=frozenset({"MBA"}))), ONE_BUY)
    assert dropped(permission.restricted, inputs(), TWO, mandate=tweaked(MANDATE, "restricted.names", ("A",)))
    young = (SESSION - dt.timedelta(days=89), *trade().listed_on[1:])
    assert dropped(permission.restricted, inputs(trade=trade(listed_on=young)), ONE_BUY)
    etn = ("Something ETN", *trade().name[1:])
    assert dropped(permission.restricted, inputs(trade=trade(name=etn), is_fund=of("MBA", 1.0, 0.0)), ONE_BUY)
    assert dropped(permission.universe_floor, inputs(adv=of("MBA", 4e6, 5e7)), ONE_BUY)
    due = (NearEvent("MBA", "SPLIT", SESSION, 2.0, False),)
    assert dropped(permission.event_guard, inputs(trade=trade(events=due)), TWO)
    assert dropped(permission.self_trade, inputs(), ONE_BUY)


def test_an_ordinary_batch_is_permitted() -> None:
    """Nothing observed of a limit of nothing."""
    for test in (
        permission.tradable,
        permission.restricted,
        permission.session,
        permission.self_trade,
        permission.universe_floor,
    ):
        (found,) = answers(test, inputs(), batch()).values()
        assert (shows(found, Status.PASS, 0.0, 0.0), found.unit) == (True, "orders")
    (found,) = answers(permission.order_type, inputs(), batch()).values()
    assert shows(found, Status.PASS, 0.0, 0.0, (), 0.0)


@pytest.mark.parametrize(
    ("window", "good"),
    [((CUTOFF, LATE), True), ((CUTOFF, CUTOFF), False), ((CUTOFF - dt.timedelta(seconds=1), LATE), False),
     ((CUTOFF, LATE + dt.timedelta(hours=6)), True), ((CUTOFF, LATE + dt.timedelta(hours=6, seconds=1)), False)],
)  # fmt: skip
def test_a_window_is_inside(window: tuple[dt.datetime, dt.datetime], good: bool) -> None:
    """RC-04: of an order inside its exchange's hours, of a leg inside the last exchange's; the others go on."""
    times = {"send_from": window[0], "send_until": window[1]}
    for bad in (order("MBA", "BUY", 1, **times), leg("EUR", "BUY", 1, **times)):
        found = answers(permission.session, inputs(), (bad, *BUY))
        if good:
            assert set(found) == {""}
        else:
            assert set(found) == {bad.client_order_id}
            assert shows(found[bad.client_order_id], Status.REJECT_ORDER, 1.0, 0.0, (bad.client_order_id,), 0.0)
    assert set(answers(permission.session, inputs(trade=trade(next_sessions={})), (leg("EUR", "BUY", 1),))) == {
        "mb1-fx-eur-buy"
    }


@pytest.mark.parametrize(
    ("name", "apart", "status", "limit"),
    [("MBA", 0.015, Status.WARN, 0.02), ("MBA", 0.021, Status.REJECT_ORDER, 0.02), ("MBK", 0.007, Status.WARN, 0.01),
     ("MBK", 0.011, Status.REJECT_ORDER, 0.01), ("MBA", -0.001, Status.REJECT_ORDER, 0.02)],
)  # fmt: skip
def test_two_vendors_apart(name: str, apart: float, status: Status, limit: float) -> None:
    """RC-06: noted from 1 %, of a fund from half a percent; the orders of that name alone go."""
    orders = (order(name, "SELL", 10), order("MBD", "BUY", 10))
    found = answers(permission.cross_check, inputs(trade=trade(price_difference={name: apart, "MBD": 0.0})), orders)
    assert set(found) == {name}
    ids = (f"mb1-{name.lower()}-sell",) if status is Status.REJECT_ORDER else ()
    assert shows(found[name], status, apart, limit, ids, 0.0)


def test_two_vendors_together() -> None:
    """RC-06: the largest difference is told, and how many names have none; two that agree to the digit are fine."""
    facts = inputs(trade=trade(price_difference={"MBA": 0.002, "MBD": 0.004}))
    (found,) = answers(permission.cross_check, facts, (*SALE, *BUY)).values()
    assert (shows(found, Status.PASS, 0.004, 0.02), found.message) == (True, "")
    (found,) = answers(permission.cross_check, facts, (*SALE, *BUY, order("MBB", "SELL", 1))).values()
    assert found.message.startswith("1 of the ordered names")
    (found,) = answers(permission.cross_check, inputs(trade=trade(price_difference={"MBA": 0.0})), SALE).values()
    assert shows(found, Status.PASS, 0.0, 0.02)


@pytest.mark.parametrize(
    ("quote", "observed", "buy", "sale"),
    [((99.8, 100.2), 0.004, Status.WARN, Status.WARN), ((99.0, 101.0), 0.02, Status.REJECT_ORDER, Status.WARN),
     ((100.0, 100.0), None, Status.PASS, Status.PASS), ((0.0, 100.0), None, Status.REJECT_ORDER, Status.WARN),
     ((100.2, 99.8), None, Status.REJECT_ORDER, Status.WARN), ((100.0, float("inf")), None, Status.REJECT_ORDER, Status.WARN)],
)  # fmt: skip
def test_a_quote(quote: tuple[float, float], observed: float | None, buy: Status, sale: Status) -> None:
    """RC-12: the width over the mid price; a bid of nothing, a crossed one and an endless one are none."""
    for orders, status in (((order("MBA", "BUY", 10), *BUY), buy), ((*SALE, *BUY), sale)):
        (found,) = answers(permission.spread, inputs(trade=trade(quotes={"MBA": quote})), orders).values()
        ids = ("mb1-mba-buy",) if status is Status.REJECT_ORDER else ()
        assert shows(found, status, observed, 0.005, ids, 1.0 if status is Status.PASS else 0.0)


def test_an_order_of_another_type_is_named() -> None:
    """RC-17: shares without a limit; of a name whose side nobody can read, RC-21 lets nothing go."""
    orders = (order("MBA", "BUY", 1, limit_price=None), *BUY)
    assert shows(
        answers(permission.order_type, inputs(), orders)[""], Status.REJECT_BATCH, 1.0, 0.0, ("mb1-mba-buy",), 0.0
    )
    strange = (order("MBA", "BUY", 1, side=None), *BUY)
    found = answers(permission.self_trade, inputs(), strange)
    assert shows(found["MBA"], Status.REJECT_ORDER, 1.0, 0.0, ("mb1-mba-buy",), 0.0)


@pytest.mark.parametrize(
    ("move", "status"),
    [(0.01, Status.PASS), (-0.16, Status.WARN), (-0.21, Status.REJECT_ORDER), (0.21, Status.REJECT_ORDER)],
)
def test_a_jump(move: float, status: Status) -> None:
    """RC-24: the size of the move; the buy of that name goes, its sale and other names do not."""
    found = answers(permission.event_guard, inputs(trade=trade(move=of("MBA", move, 0.0))), BOTH)["MBA"]
    refused = status is Status.REJECT_ORDER
    assert shows(found, status, abs(move), 0.20, ONE_BUY if refused else (), 0.0 if refused else 1.0)
    sale = answers(permission.event_guard, inputs(trade=trade(move=of("MBA", move, 0.0))), SALE)["MBA"]
    assert shows(sale, min(status, Status.WARN), abs(move), 0.20)
