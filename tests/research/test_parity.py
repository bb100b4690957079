"""A live session against its backtest: which fields differ, which cause is proven, how both track. By hand, no world."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.research import parity
from marketbot_assets.research.parity import (
    CODE,
    DATA,
    ENVIRONMENT,
    FIELDS,
    FILL,
    MANDATE,
    UNEXPLAINED,
    Changes,
    Row,
    Side,
    causes_of,
    frame_of,
    rows_of,
    tracking_of,
)
from marketbot_assets.research.schema import PARITY_CHECK
from marketbot_resources.model import Execution, Kind, Order, OrderType
from marketbot_resources.model import Side as Way
from marketbot_resources.store.content import canonical

DAY = dt.date(2018, 12, 20)
AT = dt.datetime(2018, 12, 20, 14, 30, tzinfo=dt.UTC)


def fill(price: str, name: str = "mb1-a") -> Execution:
    return Execution(
        execution_id=f"{name}-1", client_order_id=name, instrument="MBA", kind=Kind.EQUITY, side=Way.BUY,
        quantity=Decimal(10), price=Decimal(price), currency="USD", fee=Decimal("0.5"), tax=Decimal(0), executed_at=AT,
    )  # fmt: skip


def order(quantity: int, name: str = "mb1-b") -> Order:
    return Order(
        client_order_id=name, session=DAY, batch_no=1, leg="T", kind=Kind.EQUITY, instrument="MBA", mic="XNYS",
        side=Way.BUY, quantity=Decimal(quantity), limit_price=Decimal("10.5"), currency="USD", send_from=AT,
        send_until=AT + dt.timedelta(days=1), reason="", type=OrderType.LIMIT_ON_OPEN,
    )  # fmt: skip


LIVE = Side(dict.fromkeys(FIELDS, "same"), (fill("10"),), (order(5),), 0.01)


def changed(*names: str, fills: tuple[Execution, ...] = LIVE.fills, orders: tuple[Order, ...] = LIVE.orders) -> Side:
    return Side({name: "other" if name in names else "same" for name in FIELDS}, fills, orders, 0.01)


def never(restored: frozenset[str]) -> Side:
    raise AssertionError(f"nothing differs, and {restored} was decided again")


def test_equal_sides_need_no_cause() -> None:
    """Nothing is decided again where nothing differs, and every field has its row."""
    assert causes_of(LIVE, changed(), Changes(), never) == {}
    rows = rows_of(DAY, LIVE, changed(), {})
    assert [row.field for row in rows] == list(FIELDS)
    assert all(row.same and row.cause == "" for row in rows)


# what cures the field `orders`, what changed, whether the broker is the model -> the cause that is named
BOTH = Changes(data="prices changed", mandate="a key changed", code="a.py", environment="numpy 1 -> 2")
CASES = [
    ({DATA}, BOTH, DATA),
    ({MANDATE}, BOTH, MANDATE),
    ({DATA, MANDATE}, BOTH, DATA),
    (None, BOTH, CODE),
    (None, replace(BOTH, code=""), ENVIRONMENT),
    (None, Changes(), UNEXPLAINED),
    (None, Changes(data="prices changed", mandate="a key changed"), UNEXPLAINED),
    ({DATA}, Changes(), UNEXPLAINED),  # nothing changed: it read what came later
    ({DATA, MANDATE}, Changes(mandate="a key changed"), UNEXPLAINED),
    (set(), BOTH, UNEXPLAINED),  # from the live book it is right: the loop carried something else over
    ({MANDATE}, Changes(), UNEXPLAINED),
    (None, Changes(modelled=False), UNEXPLAINED),
]


@pytest.mark.parametrize(("cure", "changes", "cause"), CASES, ids=range(len(CASES)))
def test_a_cause_is_what_cures(cure: set[str] | None, changes: Changes, cause: str) -> None:
    """A change explains nothing unless putting it back gives the live result; code and environment come after these."""

    def again(restored: frozenset[str]) -> Side:
        return changed() if cure is not None and cure <= restored else changed("orders")

    found = causes_of(LIVE, changed("orders"), changes, again)
    assert {name: cause for name, (cause, _) in found.items()} == {"orders": cause}
    reason = found["orders"][1]
    if cure == {DATA, MANDATE} and changes == BOTH:
        assert "prices changed" in reason
        assert "a key changed" in reason


def test_every_field_has_its_own_cause() -> None:
    """One field is cured by data, another by the mandate, a third by nothing."""

    def again(restored: frozenset[str]) -> Side:
        left = {"features", "orders", "risk_verdict"} - {name for key, name in CURES.items() if key in restored}
        return changed(*left)

    found = causes_of(
        LIVE, changed("features", "orders", "risk_verdict"), replace(BOTH, code="", environment=""), again
    )
    assert {name: cause for name, (cause, _) in found.items()} == {
        "features": DATA,
        "orders": MANDATE,
        "risk_verdict": UNEXPLAINED,
    }


CURES = {DATA: "features", MANDATE: "orders"}


@pytest.mark.parametrize(
    ("modelled", "cause"), [(False, FILL), (True, UNEXPLAINED)], ids=["a real broker", "the model"]
)
def test_another_fill(modelled: bool, cause: str) -> None:
    """A real broker fills as it does; where the broker is the model, a fill that nothing changed explains is a fault."""
    apart = changed("fills", "return", fills=(fill("10.25"),))
    found = causes_of(LIVE, apart, Changes(modelled=modelled), lambda restored: apart)
    assert {cause for cause, _ in found.values()} == {cause}
    assert all(
        "live BUY 10 MBA at 10 USD fee 0.5 tax 0, model BUY 10 MBA at 10.25 USD" in why for _, why in found.values()
    )


def test_a_fill_of_a_real_broker_explains_no_decision() -> None:
    """With the fills taken as data the orders must still be equal."""
    found = causes_of(
        LIVE, changed("fills", "orders"), Changes(modelled=False), lambda restored: changed("fills", "orders")
    )
    assert found["fills"][0] == FILL
    assert found["orders"][0] == UNEXPLAINED


def test_orders_that_differ_have_a_row_each() -> None:
    """Another quantity, an order that only one side has; equal ones have none."""
    live, theirs = (order(5), order(7, "mb1-c"), order(1, "mb1-e")), (order(5), order(8, "mb1-c"), order(2, "mb1-d"))
    other = changed("orders", orders=theirs)
    rows = rows_of(DAY, replace(LIVE, orders=live), other, {"orders": (DATA, "prices changed")})
    told = [(row.item, row.live, row.backtest, row.cause) for row in rows if row.field == "order"]
    assert told == [
        ("MBA T mb1-c", "BUY 7 at 10.5 LIMIT_ON_OPEN", "BUY 8 at 10.5 LIMIT_ON_OPEN", DATA),
        ("MBA T mb1-d", "none", "BUY 2 at 10.5 LIMIT_ON_OPEN", DATA),
        ("MBA T mb1-e", "BUY 1 at 10.5 LIMIT_ON_OPEN", "none", DATA),
    ]
    assert canonical(frame_of(rows), PARITY_CHECK).num_rows == len(FIELDS) + 3


@pytest.mark.parametrize("field", ["price", "quantity", "fee", "tax", "executed_at", "execution_id", "side"])
def test_every_field_of_a_fill_counts(field: str) -> None:
    """No part of an execution can differ unseen."""
    other = {
        "price": Decimal("10.01"), "quantity": Decimal(9), "fee": Decimal("0.51"), "tax": Decimal("0.01"),
        "executed_at": AT + dt.timedelta(microseconds=1), "execution_id": "x", "side": Way.SELL,
    }  # fmt: skip
    assert parity.fill_lines([fill("10")]) != parity.fill_lines([replace(fill("10"), **{field: other[field]})])
    assert parity.fill_lines([fill("10")]) == parity.fill_lines([fill("10.00")])


def returns(*pairs: tuple[float, float]) -> list[Row]:
    days = (DAY + dt.timedelta(days=n) for n in range(len(pairs)))
    return [
        Row(day, "return", "", repr(a), repr(b), a == b, value_live=a, value_backtest=b)
        for day, (a, b) in zip(days, pairs, strict=True)
    ]


def test_tracking_by_hand() -> None:
    """Differences 1, 2, 3 basis points: mean 2, deviation 1, error 1 / sqrt 3, hence 3.46 errors."""
    found = tracking_of(frame_of(returns((0.0101, 0.01), (0.0002, 0.0), (-0.0097, -0.01))))
    assert found.sessions == 3
    assert found.mean == pytest.approx(2e-4)
    assert found.error == pytest.approx(1e-4 / math.sqrt(3))
    assert found.errors == pytest.approx(2 * math.sqrt(3))
    assert not found.within


TRACKS = {
    "no difference": ([(0.01, 0.01)] * 3, 0.0, True),
    "always the same difference": ([(0.02, 0.01)] * 3, math.inf, False),
    "both ways": ([(0.02, 0.01), (0.01, 0.02)], 0.0, True),
    "one session": ([(0.01, 0.01)], math.nan, False),
    "not known": ([(math.nan, 0.01), (0.01, 0.01)], math.nan, False),
    "none": ([], math.nan, False),
}


@pytest.mark.parametrize("name", TRACKS)
def test_tracking_at_its_edges(name: str) -> None:
    """What is not known is not within."""
    pairs, errors, within = TRACKS[name]
    found = tracking_of(frame_of(returns(*pairs)))
    assert found.errors == pytest.approx(errors, abs=1e-9, nan_ok=True)
    assert found.within is within


@given(st.sets(st.sampled_from(FIELDS)), st.sets(st.sampled_from([DATA, MANDATE])))
def test_every_difference_has_one_cause_and_one_reason(names: set[str], cured: set[str]) -> None:
    """Whatever differs and whatever helps: a cause for exactly the fields that differ, with words."""

    def again(restored: frozenset[str]) -> Side:
        return changed() if cured and cured <= restored else changed(*names)

    found = causes_of(LIVE, changed(*names), replace(BOTH, code="", environment=""), again)
    assert set(found) == names
    assert all(
        reason and cause in (DATA if DATA in cured else MANDATE if cured else UNEXPLAINED)
        for cause, reason in found.values()
    )
