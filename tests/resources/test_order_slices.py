"""Slices of an order: whole lots that sum exactly, caps that hold, a profile that sums to one, a rest that is never too much."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.model import Kind, Order, OrderState, OrderType, Side
from marketbot_resources.order_slices import (
    in_lots,
    in_turn,
    interval_volumes,
    is_slice,
    left_of,
    parent_leg,
    volume_until,
)

D, F = Decimal, Fraction
AT = dt.datetime(2018, 12, 11, 15, tzinfo=dt.UTC)


def child(leg: str, quantity: str, **changes: object) -> Order:
    made = Order(
        client_order_id=f"mb1-{leg}", session=AT.date(), batch_no=1, leg=leg, kind=Kind.EQUITY, instrument="MB1", mic="XNYS",
        side=Side.BUY, quantity=D(quantity), limit_price=D(10), currency="USD", send_from=AT, send_until=AT, reason="",
        type=OrderType.LIMIT,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_legs() -> None:
    """T1, T2, ... and TC count as T; others as themselves."""
    assert [leg for leg in ("T", "T1", "T24", "TC", "P", "F", "P1", "") if is_slice(leg)] == ["T1", "T24"]
    assert [parent_leg(leg) for leg in ("T", "T1", "TC", "P", "F")] == ["T", "T", "T", "P", "F"]


def test_the_profile_is_the_parabola_that_it_says() -> None:
    """By hand: u = 0.6 (1 + 2 (2x - 1)^2); U(1/4) = 0.6 (1/4 + (1 - 1/8) / 3) = 0.325; symmetric; ends at 1."""
    assert volume_until(F(1, 4)) == F(13, 40)
    assert volume_until(F(1, 2)) == F(1, 2)
    assert (volume_until(F(0)), volume_until(F(1)), volume_until(F(2)), volume_until(F(-1))) == (0, 1, 1, 0)
    edges = [F(k, 13) for k in range(14)]
    volumes = interval_volumes(edges)
    assert sum(volumes) == 1
    assert volumes == volumes[::-1]
    assert volumes[6] < F(1, 13) < volumes[0]


def test_lots_by_hand() -> None:
    """1,000 in three: 333, 333, 334; in lots of 100: 300, 300, 400; a cap of 300 on the last moves 34 to the first with room."""
    even, free = [F(1, 3)] * 3, [D(10_000)] * 3
    assert in_lots(D(1000), D(1), even, free) == (D(333), D(333), D(334))
    assert in_lots(D(1000), D(100), even, free) == (D(300), D(300), D(400))
    assert in_lots(D(1000), D(1), even, [D(400), D(400), D(300)]) == (D(367), D(333), D(300))
    assert in_lots(D(1000), D(1), even, [D(100), D(400), D(400)]) == (D(100), D(400), D(400))
    assert in_lots(D(1050), D(100), even, free) == (D(300), D(300), D(450))
    assert in_turn(D(1000), D(100), [D(250), D(450), D(5000)]) == (D(200), D(400), D(400))
    assert in_turn(D(1000), D(100), [D(250), D(450)]) == (D(200), D(400))


CAPS = st.lists(st.integers(0, 5000), min_size=1, max_size=24)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 20_000), st.sampled_from([1, 7, 100]), CAPS, st.lists(st.integers(1, 100), min_size=24, max_size=24)
)
def test_slices_never_sum_to_more_and_keep_every_cap(lots: int, step: int, caps: list[int], weights: list[int]) -> None:
    """Whole lots, each within its cap, together exactly the order or all that the caps allow."""
    quantity, size = D(lots * step), D(step)
    total = sum(weights[: len(caps)])
    shares = [F(w, total) for w in weights[: len(caps)]]
    most = sum(D(cap // step * step) for cap in caps)
    for parts in (in_lots(quantity, size, shares, [D(c) for c in caps]), in_turn(quantity, size, [D(c) for c in caps])):
        assert sum(parts) == min(quantity, most)
        assert all(0 <= part <= cap and part % size == 0 for part, cap in zip(parts, caps, strict=True))


SLICES = (child("T1", "300"), child("T2", "300"))
REST = child("TC", "600")
BATCH = (*SLICES, REST, child("T1", "900", instrument="MB2", client_order_id="x"))
ENDED = {"mb1-T1": OrderState.FILLED, "mb1-T2": OrderState.CANCELED}
CASES = [
    # states, filled, what is left of 600
    (ENDED, {"mb1-T1": D(300), "mb1-T2": D(120)}, 180),
    (ENDED, {"mb1-T1": D(300)}, 300),
    (ENDED, {"mb1-T1": D(300), "mb1-T2": D(300)}, 0),
    ({**ENDED, "mb1-T2": OrderState.ACKED}, {"mb1-T1": D(300), "mb1-T2": D(120)}, 0),
    ({**ENDED, "mb1-T2": OrderState.UNKNOWN}, {"mb1-T1": D(100)}, 200),
    ({"mb1-T1": OrderState.EXPIRED}, {}, 300),
    ({}, {}, 0),
    (ENDED, {"mb1-T1": D(700)}, 0),
    (ENDED, {"mb1-T1": D("NaN")}, 0),
    (ENDED, {"mb1-T1": D(-1)}, 0),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_rest_is_what_slices_cannot_fill_any_more(case: int) -> None:
    """A slice that has not ended, is in doubt or is not known may still fill: it counts whole. A senseless fill leaves nothing."""
    states, filled, left = CASES[case]
    assert left_of(REST, BATCH, states, filled) == left


def test_the_rest_is_bounded_by_its_own_quantity_and_by_its_slices() -> None:
    """A cut rest takes no more than it was cut to; without slices there is nothing."""
    assert left_of(replace(REST, quantity=D(50)), BATCH, ENDED, {}) == 50
    assert left_of(replace(REST, quantity=D(900)), BATCH, ENDED, {}) == 600
    assert left_of(REST, (REST,), ENDED, {}) == 0
