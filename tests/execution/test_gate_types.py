"""The last-line gate on order types and slices: every rule at its boundary; slices are one order to every ceiling."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from test_gate import NOW, SECOND, facts, held, open_order, order, sell

from marketbot_assets.execution.gate import faults
from marketbot_resources.model import Order, OrderType, Side, batch_sha256

D, T = Decimal, OrderType
ULP = D("1e-20")


def typed(kind: OrderType, side: Side = Side.BUY, **prices: str | None) -> Order:
    found = {name: None if text is None else D(text) for name, text in prices.items()}
    return order(type=kind, side=side, **{"limit_price": None, **found})


def ask(*orders: Order, **changes: Any) -> tuple[str, ...]:
    return faults(orders, facts(*orders, **changes))


PRICES: list[tuple[Order, bool]] = [
    (typed(T.LIMIT_ON_OPEN, limit_price="101"), True),
    (typed(T.LIMIT_ON_CLOSE, limit_price="101"), True),
    (typed(T.LIMIT, limit_price="101"), True),
    (typed(T.LIMIT), False),
    (typed(T.LIMIT, limit_price="101", stop_price="99"), False),
    (typed(T.MARKET), True),
    (typed(T.MARKET_ON_OPEN), True),
    (typed(T.MARKET_ON_CLOSE), True),
    (typed(T.MARKET, limit_price="101"), False),
    (typed(T.MARKET, trail="0.1"), False),
    (typed(T.STOP, Side.SELL, stop_price="95"), True),
    (typed(T.STOP, Side.BUY, stop_price="105"), False),
    (typed(T.STOP, Side.SELL), False),
    (typed(T.STOP_LIMIT, Side.SELL, stop_price="95", limit_price="94"), True),
    (typed(T.STOP_LIMIT, Side.SELL, stop_price="95"), False),
    (typed(T.TRAILING_STOP, Side.SELL, trail="0.1"), True),
    (typed(T.TRAILING_STOP, Side.SELL, trail="0.9999"), True),
    (typed(T.TRAILING_STOP, Side.SELL, trail="1"), False),
    (replace(typed(T.STOP, Side.SELL, stop_price="95"), leg="S"), True),
    (replace(typed(T.TRAILING_STOP, Side.SELL, trail="0.1"), leg="S"), True),
    (replace(typed(T.STOP_LIMIT, Side.SELL, stop_price="95", limit_price="94"), leg="S"), False),
    (replace(typed(T.LIMIT, Side.SELL, limit_price="99"), leg="S"), False),
    (replace(typed(T.MARKET, Side.SELL), leg="S"), False),
    (typed(T.TRAILING_STOP, Side.SELL, trail="0"), False),
    (typed(T.TRAILING_STOP, Side.SELL, trail="NaN"), False),
    (typed(T.BRACKET, limit_price="101", stop_price="95", take_profit="110"), True),
    (typed(T.BRACKET, limit_price="101", stop_price="101", take_profit="110"), False),
    (typed(T.BRACKET, limit_price="101", stop_price="95", take_profit="101"), False),
    (typed(T.BRACKET, Side.SELL, limit_price="99", stop_price="95", take_profit="110"), False),
    (typed(T.BRACKET, limit_price="101", stop_price="95"), False),
    (order(type="LIMIT"), False),
    (order(type=None), False),
    (order(stop_price=D(-1)), False),
    (order(take_profit=D("Infinity")), False),
]


@pytest.mark.parametrize("case", range(len(PRICES)))
def test_an_order_has_exactly_the_prices_of_its_type(case: int) -> None:
    """Stops only sell, brackets only buy; a price too many, too few or senseless is a fault."""
    sent, sound = PRICES[case]
    assert (ask(sent) == ()) is sound


def test_an_order_without_a_limit_is_worth_four_percent_more() -> None:
    """672 shares at 104 are 6.9888 % of NAV, 673 are 6.9992 %, 674 are 7.0096 %."""
    assert ask(replace(typed(T.MARKET), quantity=D(673))) == ()
    assert "value of 0.07009" in " ".join(ask(replace(typed(T.MARKET), quantity=D(674))))
    most = D(70_000) / D(104)
    assert ask(replace(typed(T.MARKET), quantity=most.quantize(ULP, rounding="ROUND_FLOOR"))) == ()
    assert ask(replace(typed(T.MARKET), quantity=most.quantize(ULP, rounding="ROUND_CEILING"))) != ()


def slices(*shares: str, rest: str | None = None, side: Side = Side.BUY, name: int = 1) -> tuple[Order, ...]:
    """Slices of one parent in the name, limit 100; and what takes their rest."""
    limit = D(100)
    made = [
        order(
            name,
            client_order_id=f"mb1-{name}-T{k}",
            leg=f"T{k}",
            quantity=D(q),
            side=side,
            limit_price=limit,
            type=T.LIMIT,
        )
        for k, q in enumerate(shares, 1)
    ]
    if rest is not None:
        last = replace(made[0], client_order_id=f"mb1-{name}-TC", leg="TC", quantity=D(rest), type=T.LIMIT_ON_CLOSE)
        made.append(last)
    return tuple(made)


def wave(batch: tuple[Order, ...], *sent: Order, **changes: Any) -> tuple[str, ...]:
    """The gate on a part of a batch, all of which was approved and frozen."""
    digest = batch_sha256(batch)
    known = facts(*sent, **{"batch": batch, "approved_sha256": digest, "frozen_sha256": digest, **changes})
    return faults(sent, known)


def working(child: Order, remaining: str) -> Any:
    return open_order(
        client_order_id=child.client_order_id, instrument=child.instrument, side=child.side, remaining=D(remaining)
    )


def test_slices_of_one_parent_are_one_order() -> None:
    """Three slices of a name pass together; two parents of it do not, nor a slice beside a whole order, nor a leg twice."""
    parts = slices("100", "100", "100", rest="300")
    assert wave(parts, *parts[:3]) == ()
    assert ask(*slices("100", "100")) == ()
    assert "MB1 2 times" in " ".join(ask(*slices("100"), sell(1)))
    assert ask(*slices("100"), order(1, client_order_id="other")) != ()
    twice = replace(parts[1], client_order_id="mb1-again")
    assert "MB1 leg T2 2 times" in " ".join(ask(*parts[:2], twice))


def test_the_value_of_slices_is_that_of_their_parent() -> None:
    """7 % of NAV for all of them: 350 + 350 shares at 100 pass, one hundred-millionth more does not, in whatever wave."""
    assert ask(*slices("350", "350")) == ()
    beyond = slices("350", "350.00000001")
    assert "value of 0.07" in " ".join(ask(*beyond))
    assert "value of 0.07" in " ".join(wave(beyond, beyond[0]))


def test_the_rest_is_in_its_slices_already() -> None:
    """Buys of 25 % of NAV with a rest for all of them pass; a rest of more than its slices is a fault."""
    batch = tuple(part for n in range(5) for part in slices("250", "250", rest="500", name=n))
    assert wave(batch, *(part for part in batch if part.leg != "TC")) == ()
    greedy = slices("250", "250", rest="500.0000000001")
    assert "found a rest of 500.0000000001 shares of MB1, limit 500" in " ".join(wave(greedy, greedy[0]))


RESTS: list[tuple[str, str, str, bool]] = [
    # filled of 600, still open, sent as the rest, passes
    ("420", "0", "180", True),
    ("420", "0", "180.0000000001", False),
    ("420", "0", "100", True),
    ("420", "80", "100", True),
    ("420", "80", "100.0000000001", False),
    ("600", "0", "0.0000000001", False),
    ("0", "0", "600", True),
    ("0", "0", "0", False),
    ("0", "0", "-1", False),
    ("0", "600", "600", False),
]


@pytest.mark.parametrize("case", range(len(RESTS)))
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_the_rest_is_never_more_than_the_slices_left(case: int, side: Side) -> None:
    """Our own fills and what still works count against it; a smaller quantity than approved is the same order."""
    filled, waiting, sent, passes = RESTS[case]
    batch = slices("300", "300", rest="600", side=side)
    signed = side.sign * D(filled)
    positions = {"broker_positions": {"MB1": 2000 + signed}, "decided_positions": {"MB1": D(2000)}}
    opened = (working(batch[1], waiting),) if waiting != "0" else ()
    last = replace(batch[2], quantity=D(sent))
    found = wave(batch, last, open_orders=opened, own_fills={"MB1": signed} if signed else {}, **positions)
    assert (found == ()) is passes


def test_only_the_rest_may_be_sent_for_less() -> None:
    """A slice of another quantity than approved, or a rest with another limit, is no approved order."""
    batch = slices("300", "300", rest="600")
    assert "approved orders" in " ".join(wave(batch, replace(batch[0], quantity=D(299))))
    assert "approved orders" in " ".join(wave(batch, replace(batch[2], limit_price=D(99))))
    assert "approved orders" in " ".join(wave(batch, replace(batch[2], quantity=D(601))))


def test_a_slice_may_follow_its_open_siblings_alone() -> None:
    """An open slice of the same parent keeps the next one not back; any other order in the name does."""
    batch = slices("300", "300")
    assert wave(batch, batch[1], open_orders=(working(batch[0], "300"),)) == ()
    assert "open or sent" in " ".join(wave(batch, batch[1], open_orders=(working(batch[1], "300"),)))
    stranger = open_order(client_order_id="mb1-x", instrument="MB1", side=Side.BUY)
    assert "open or sent" in " ".join(wave(batch, batch[1], open_orders=(stranger,)))
    assert "open or sent" in " ".join(wave(batch, batch[1], already_sent=frozenset({"MB1|BUY"})))


def test_slices_that_sell_stay_within_what_is_free() -> None:
    """600 held, 300 open: the second 300 go, 301 do not."""
    batch = slices("300", "300", side=Side.SELL)
    assert wave(batch, batch[1], open_orders=(working(batch[0], "300"),), **held(MB1=600)) == ()
    assert "limit 299" in " ".join(wave(batch, batch[1], open_orders=(working(batch[0], "300"),), **held(MB1=599)))


def test_a_slice_keeps_its_own_window() -> None:
    """Every child waits for its own time."""
    early = replace(slices("300")[0], send_from=NOW + SECOND)
    assert "window" in " ".join(ask(early))
    assert ask(replace(early, send_from=NOW)) == ()
