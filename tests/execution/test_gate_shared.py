"""What the last-line gate works out once for all orders says of each order what a plain second look at it alone would say.

The second look here is a few lines that scan everything for every order; the gate indexes. And the gate's cost: no fact is asked
for once per pair of orders.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from test_gate import facts, held, open_order, order, sell
from test_gate_types import slices

from marketbot_assets.execution.gate import faults
from marketbot_resources.model import OpenOrder, Order, Side, batch_sha256

NAMES = 4


@st.composite
def worlds(draw: st.DrawFn) -> tuple[tuple[Order, ...], tuple[Order, ...], tuple[OpenOrder, ...], frozenset[str]]:
    """(batch, the part that is sent, open orders, what was sent already) in a few names, so that they meet."""
    batch: list[Order] = []
    for name in draw(st.lists(st.integers(1, NAMES), min_size=1, max_size=NAMES, unique=True)):
        side = draw(st.sampled_from(Side))
        shares = draw(st.lists(st.sampled_from(["100", "250", "350"]), min_size=1, max_size=3))
        whole = sell(name, shares[0]) if side is Side.SELL else order(name, quantity=Decimal(shares[0]))
        batch += slices(*shares, side=side, name=name) if draw(st.booleans()) else [whole]
    sent = [one for one in batch if draw(st.booleans())]
    ids = [one.client_order_id for one in batch]
    working = draw(
        st.lists(
            st.builds(
                open_order,
                client_order_id=st.sampled_from([*ids, "mb1-stranger"]),
                instrument=st.sampled_from([f"MB{n}" for n in range(1, NAMES + 2)]),
                side=st.sampled_from(Side),
                remaining=st.sampled_from([Decimal(0), Decimal(30), Decimal(200)]),
            ),
            max_size=4,
        )
    )
    keys = [*ids, *(f"{one.instrument}|{side}" for one in batch for side in ("BUY", "SELL"))]
    return tuple(batch), tuple(sent), tuple(working), draw(st.frozensets(st.sampled_from(keys), max_size=2))


def is_slice(one: Order) -> bool:
    return one.leg not in ("T", "F")


def family(one: Order, batch: tuple[Order, ...]) -> list[Order]:
    """The slices of an order's parent."""
    same = [o for o in batch if (o.instrument, o.side) == (one.instrument, one.side)]
    return [o for o in same if is_slice(o)] if is_slice(one) else []


def taken(one: Order, batch: tuple[Order, ...], working: tuple[OpenOrder, ...], before: frozenset[str]) -> bool:
    """Whether an open order or an earlier batch holds the order's id or its place."""
    mine = {o.client_order_id for o in family(one, batch)} - {one.client_order_id}
    for other in working:
        if other.client_order_id not in mine and (
            other.client_order_id == one.client_order_id or other.instrument == one.instrument
        ):
            return True
    return one.client_order_id in before or f"{one.instrument}|{one.side.value}" in before


def too_large(one: Order, batch: tuple[Order, ...]) -> bool:
    """Whether the order, or all slices of its parent, are worth more than 7 % of a million at a last close of 100."""
    worth = [Fraction(o.quantity) * max(Fraction(100), Fraction(o.limit_price or 0)) for o in [one]]
    parent = [Fraction(o.quantity) * max(Fraction(100), Fraction(o.limit_price or 0)) for o in family(one, batch)]
    return max(sum(worth), sum(parent)) > 70_000


@settings(max_examples=150, deadline=None)
@given(world=worlds(), free=st.sampled_from([100, 450, 10_000]))
def test_every_order_is_judged_as_if_alone(
    world: tuple[tuple[Order, ...], tuple[Order, ...], tuple[OpenOrder, ...], frozenset[str]], free: int
) -> None:
    """Ids and places that are taken, values of parents, shares that are free: for every order what a full scan finds."""
    batch, sent, working, before = world
    digest = batch_sha256(batch)
    shares = held(**{f"MB{n}": free for n in range(1, NAMES + 2)})
    known = facts(*sent, batch=batch, open_orders=working, already_sent=before, **shares)
    found = faults(sent, replace(known, approved_sha256=digest, frozen_sha256=digest))
    for one in sent:
        own = [text for text in found if text.startswith(f"batch: order {one.client_order_id}: ")]
        assert any("open or sent" in text for text in own) is taken(one, batch, working, before)
        assert any("value of" in text for text in own) is too_large(one, batch)
    for name in {one.instrument for one in sent if one.side is Side.SELL}:
        asked = sum(one.quantity for one in sent if one.instrument == name)
        left = free - sum(o.remaining for o in working if o.instrument == name and o.side is Side.SELL)
        assert any(f"shares of {name}, limit {left}" in text for text in found) is (asked > left)


class Counting(Mapping[str, float]):
    """A mapping that counts how often it is asked."""

    def __init__(self, known: Mapping[str, float]) -> None:
        self.known, self.asked = known, 0

    def __getitem__(self, key: str) -> float:
        self.asked += 1
        return self.known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def test_a_fact_is_not_asked_for_once_per_pair_of_orders() -> None:
    """200 orders, among them a parent of 100 slices: prices and rates are asked for a few times an order, not a hundred times."""
    batch = (*slices(*["1"] * 100, side=Side.SELL), *(sell(number, "1") for number in range(100, 200)))
    known = facts(*batch)
    price, rate = Counting(known.reference_price), Counting(known.fx)
    assert faults(batch, replace(known, reference_price=price, fx=rate)) == ()
    assert 0 < price.asked <= 3 * len(batch)
    assert 0 < rate.asked <= 2 * len(batch)


def test_equal_orders_that_are_other_objects_are_the_approved_ones() -> None:
    """What counts is what an order says, not which object says it."""
    batch = (order(1), sell(2), *slices("10", "20", name=3))
    copies = tuple(replace(one) for one in batch)
    assert faults(copies, replace(facts(*batch), batch=batch)) == ()
    assert faults(copies[2:], replace(facts(*batch), batch=batch)) == ()
    other = (replace(copies[0], reason="another"), *copies[1:])
    assert any("approved orders" in text for text in faults(other, replace(facts(*batch), batch=batch)))
