"""RC-17 and the controls that read an order's type and price: the mandate's list, orders without limit, slices as one order."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import CUTOFF, MANDATE, NAMES, NAV, OPENS, batch, inputs, leg, order, tweaked

from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.order_controls import PARTICIPATION
from marketbot_assets.risk.projection import WITH, project
from marketbot_assets.risk.verdict import judge, run_controls, shrink
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, OrderType, Side, Status

D, T = Decimal, OrderType
PRICE = np.asarray(inputs().price)
HOUR = dt.timedelta(hours=1)


def allowing(*kinds: OrderType) -> Mandate:
    return tweaked(MANDATE, "execution.allowed", tuple(kind.value.lower() for kind in kinds))


def found(control: str, orders: tuple[Order, ...], mandate: Mandate = MANDATE) -> list[ControlResult]:
    facts = inputs(mandate_sha256=mandate.sha256)
    return [result for result in run_controls(facts, orders, mandate) if result.control == control]


def status(control: str, orders: tuple[Order, ...], mandate: Mandate = MANDATE) -> Status:
    return max(result.status for result in found(control, orders, mandate))


def typed(kind: OrderType, name: str = "MBD", side: str = "BUY", **changes: object) -> Order:
    return order(name, side, 100, **{"type": kind, **changes})


TYPES = [
    # order, mandate, verdict of RC-17
    (typed(T.LIMIT_ON_OPEN), MANDATE, Status.PASS),
    (typed(T.LIMIT_ON_CLOSE), MANDATE, Status.PASS),
    (typed(T.LIMIT), MANDATE, Status.PASS),
    (typed(T.MARKET_ON_OPEN, limit_price=None), MANDATE, Status.REJECT_BATCH),
    (typed(T.MARKET_ON_OPEN, limit_price=None), allowing(T.MARKET_ON_OPEN), Status.PASS),
    (typed(T.LIMIT), allowing(T.LIMIT_ON_OPEN), Status.REJECT_BATCH),
    (typed(T.STOP, "MBA", "SELL", limit_price=None, stop_price=D(90), leg="P"), MANDATE, Status.REJECT_BATCH),
    (typed(T.STOP, "MBA", "SELL", limit_price=None, stop_price=D(90), leg="P"), allowing(T.STOP), Status.PASS),
    (typed(T.STOP, "MBA", "SELL", limit_price=None, stop_price=D(90), leg="T"), allowing(T.STOP), Status.REJECT_BATCH),
    (typed(T.STOP, limit_price=None, stop_price=D(90), leg="P"), allowing(T.STOP), Status.REJECT_BATCH),
    (typed(T.MARKET), allowing(T.MARKET), Status.REJECT_BATCH),
    (typed(T.LIMIT, stop_price=D(1)), MANDATE, Status.REJECT_BATCH),
    (leg("EUR", "BUY", 1, type=T.MARKET), allowing(T.MARKET, T.LIMIT_ON_OPEN), Status.REJECT_BATCH),
]


@pytest.mark.parametrize("case", range(len(TYPES)))
def test_the_mandate_names_what_may_be_sent(case: int) -> None:
    """RC-17: by default limits alone; a stop only protects; prices are those of the type."""
    sent, mandate, expected = TYPES[case]
    assert status("RC-17", (sent,), mandate) is expected


def test_an_order_without_limit_counts_at_the_close_and_four_percent() -> None:
    """Value, weights and cash of a buy; a sell counts at the close as ever."""
    mandate, row = allowing(T.MARKET_ON_OPEN), NAMES.index("MBD")
    price = float(PRICE[row])
    sent = typed(T.MARKET_ON_OPEN, limit_price=None)
    p = project(inputs(), (sent,), mandate)
    assert p.value[0] == pytest.approx(100 * price * 1.04)
    assert p.weights[row, WITH] == pytest.approx(float(p.pre[row]) * price * p.rate[row] / NAV + 104 * price / NAV)
    sold = project(inputs(), (typed(T.MARKET_ON_OPEN, "MBA", "SELL", limit_price=None),), mandate)
    assert sold.value[0] == pytest.approx(100 * float(PRICE[NAMES.index("MBA")]) * sold.rate[NAMES.index("MBA")])
    assert status("RC-07", (sent,), mandate) is Status.WARN
    assert status("RC-16", (sent,), mandate) is Status.PASS
    assert status("RC-01", (sent,), mandate) is Status.PASS
    assert judge(inputs(mandate_sha256=mandate.sha256), (sent,), mandate).approved == (sent,)


def test_a_missing_limit_is_not_a_market_order() -> None:
    """A limit order without its limit has no value: everything on it fails."""
    bare = typed(T.LIMIT, limit_price=None)
    assert not np.isfinite(project(inputs(), (bare,), MANDATE).value[0])
    assert status("RC-01", (bare,)) is Status.REJECT_BATCH


def slices(*shares: float, rest: float | None = None, name: str = "MBD") -> tuple[Order, ...]:
    close = OPENS["XNYS"] + 6 * HOUR
    made = [
        order(
            name, "BUY", q, client_order_id=f"mb1-{name}-T{k}", leg=f"T{k}", type=T.LIMIT,
            send_until=close - HOUR,
        )
        for k, q in enumerate(shares, 1)
    ]  # fmt: skip
    if rest is not None:
        made.append(
            order(
                name, "BUY", rest, client_order_id=f"mb1-{name}-TC", leg="TC", type=T.LIMIT_ON_CLOSE, send_from=CUTOFF,
                send_until=close,
            )
        )  # fmt: skip
    return tuple(made)


def test_slices_are_one_order_to_every_control() -> None:
    """The same answers as the whole order: projection, RC-08, 09, 10, 11, 14 per name, 18, 20, 26 and the book's."""
    whole, parts = (order("MBD", "BUY", 200),), slices(50, 50, 100, rest=200)
    one, many = (project(inputs(), orders, MANDATE) for orders in (whole, parts))
    np.testing.assert_allclose(many.weights, one.weights, rtol=1e-12)
    assert set(many.parent_value[~many.spare]) == {one.value[0]}
    assert many.value[many.spare].tolist() == [0.0]
    for control in ("RC-08", "RC-09", "RC-10", "RC-11", "RC-18", "RC-20", "RC-26", "RC-30", "RC-36", "RC-41"):
        assert status(control, parts) is status(control, whole), control
    names = {r.key: r.observed for r in found("RC-14", parts)}
    assert (names["names"], names["session"]) == (1, 4)
    assert judge(inputs(), parts, MANDATE).approved == tuple(sorted(parts, key=lambda o: o.client_order_id))


@pytest.mark.parametrize(("control", "hard"), [("RC-08", "order_value"), ("RC-09", "order_quantity")])
def test_cutting_an_order_into_slices_evades_no_limit(control: str, hard: str) -> None:
    """A limit just below the parent fails its slices, just at it passes: each of them alone would pass both."""
    price = float(PRICE[NAMES.index("MBD")])
    parts, value = slices(50, 50, 100), 200 * price / NAV
    for factor, fails in ((0.999, True), (1.0, False)):
        if hard == "order_value":
            limit = MANDATE.limits.order_value.model_copy(update={"hard": value * factor, "warn": None})
        else:
            p = project(inputs(), parts, MANDATE)
            row = NAMES.index("MBD")
            adv = float(np.asarray(inputs().adv)[row]) / price
            limit = MANDATE.limits.order_quantity.model_copy(update={"adv": 200 / adv * factor, "multiple": 1e9})
            assert p.parent_quantity.tolist() == [200.0] * 3
        assert (status(control, parts, tweaked(MANDATE, f"limits.{hard}", limit)) >= Status.SHRINK) is fails


def test_a_rest_takes_no_more_than_its_slices() -> None:
    """RC-17: 200 of 200 passes, 201 does not, nor one without slices or of another type."""
    assert status("RC-17", slices(100, 100, rest=200)) is Status.PASS
    assert status("RC-17", slices(100, 100, rest=201)) is Status.REJECT_BATCH
    assert status("RC-17", slices(100, 100, rest=200)[2:]) is Status.REJECT_BATCH
    early = replace(slices(100, 100, rest=200)[2], type=T.LIMIT)
    assert status("RC-17", (*slices(100, 100), early)) is Status.REJECT_BATCH


def test_slices_that_shrink_take_their_rest_along() -> None:
    """Cut to a quarter, all slices shrink alike and the rest is bounded by them; dropped, it goes, too."""
    parts = slices(100, 100, rest=200)
    ids = tuple(o.client_order_id for o in parts[:2])
    for keep, left in ((0.25, [25, 25, 50]), (0.0, [])):
        cut = PARTICIPATION.result(Status.SHRINK, "", order_ids=ids, keep=keep)
        orders, causes = shrink(inputs(), MANDATE, parts, (cut,))
        assert [int(o.quantity) for o in orders] == left
        assert causes["mb1-MBD-TC"] == "RC-17"


def test_an_ordinary_batch_is_as_before() -> None:
    """Every order is its own parent, nothing is spare."""
    p = project(inputs(), batch(), MANDATE)
    assert sorted(p.parents.tolist()) == list(range(len(batch())))
    assert not p.spare.any()
    np.testing.assert_array_equal(p.parent_value, p.value)
    np.testing.assert_array_equal(p.parent_quantity, p.quantity)
    assert {o.side for o in p.orders} == {Side.BUY, Side.SELL}
