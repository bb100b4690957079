"""Large orders as slices, and the types of a mandate: the parent is never exceeded, caps hold, windows lie in the session."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.order_frame import ORDER_NAMES, orders_frame, orders_from_frame
from marketbot_assets.portfolio.order_plan import plan_orders, to_orders
from marketbot_assets.portfolio.schema import ORDER_PLAN
from marketbot_assets.portfolio.slicing import slice_windows, sliced
from marketbot_assets.portfolio.target_frame import plan_frame
from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.errors import StoreError
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_execution import ExecutionRules
from marketbot_resources.model import OrderType, Side, batch_sha256
from marketbot_resources.order_slices import CLOSE_LEG, is_slice, parent_leg, volume_until
from marketbot_resources.paper_terms import PAPER_CAPABILITIES
from marketbot_resources.store.content import canonical, to_frame

Build = Callable[..., PortfolioInputs]
CUTOFF = dt.datetime(2018, 12, 11, 22, 45, tzinfo=dt.UTC)
OPENS, CLOSES = dt.datetime(2018, 12, 12, 14, 30, tzinfo=dt.UTC), dt.datetime(2018, 12, 12, 21, 0, tzinfo=dt.UTC)


def ruled(mandate: Mandate, **rules: object) -> Mandate:
    return mandate.model_copy(update={"execution": ExecutionRules.model_validate(rules)})


def slicing(mandate: Mandate, *, remainder: str = "cancel", **slices: object) -> Mandate:
    rules = {"algorithm": "twap", "from_value": 10_000, **slices}
    return ruled(mandate, targets="limit", exits="limit_on_open", slices=rules, remainder=remainder)


def windowed(inputs: PortfolioInputs, mandate: Mandate) -> PortfolioInputs:
    found = slice_windows(inputs.mic, CUTOFF, mandate, ALPACA_CAPABILITIES)
    return replace(inputs, slice_windows=found)


def planned(inputs: PortfolioInputs, mandate: Mandate) -> tuple[PlannedOrder, ...]:
    return plan_orders(inputs, solve_target(inputs, mandate), mandate)


def test_windows_of_slices_lie_in_the_session(mandate: Mandate) -> None:
    """Six half hours from the open, volumes by the profile; on a half day what fits; the paper broker takes all at once."""
    rules = slicing(mandate)
    found = slice_windows(("XNYS",), CUTOFF, rules, ALPACA_CAPABILITIES)["XNYS"]
    assert [(w.send_from, w.send_until) for w in found] == [
        (OPENS + k * dt.timedelta(minutes=30), OPENS + (k + 1) * dt.timedelta(minutes=30)) for k in range(6)
    ]
    assert [w.volume for w in found] == [
        volume_until(Fraction(k + 1, 13)) - volume_until(Fraction(k, 13)) for k in range(6)
    ]
    paper = slice_windows(("XNYS",), CUTOFF, rules, PAPER_CAPABILITIES)["XNYS"]
    assert {w.send_from for w in paper} == {CUTOFF}
    eve = dt.datetime(2018, 12, 21, 22, 45, tzinfo=dt.UTC)  # before a session of three and a half hours
    assert len(slice_windows(("XNYS",), eve, slicing(mandate, count=12), ALPACA_CAPABILITIES)["XNYS"]) == 6
    assert slice_windows(("XNYS",), CUTOFF, mandate, ALPACA_CAPABILITIES) == {}


def test_the_rest_has_a_window_after_the_last_slice(mandate: Mandate) -> None:
    """From the end of the last slice until ten and five minutes before the close, on a half day, too."""
    rules = slicing(mandate, remainder="close_auction", count=24)
    for after, close in (
        (CUTOFF, CLOSES),
        (dt.datetime(2018, 12, 21, 22, 45, tzinfo=dt.UTC), dt.datetime(2018, 12, 24, 18, 0, tzinfo=dt.UTC)),
    ):
        *slices, last = slice_windows(("XNYS",), after, rules, ALPACA_CAPABILITIES)["XNYS"]
        assert last.send_from == slices[-1].send_until
        assert last.send_until == close - dt.timedelta(minutes=15)
        assert last.send_until - last.send_from >= dt.timedelta(minutes=5)


@pytest.mark.parametrize("algorithm", ["twap", "vwap", "pov"])
@pytest.mark.parametrize("remainder", ["cancel", "close_auction"])
def test_slices_are_the_parent_and_keep_the_caps(
    build: Build, mandate: Mandate, algorithm: str, remainder: str
) -> None:
    """Against the same plan unsliced: per name the same side, limit and at most the quantity; whole lots; each cap recomputed."""
    rules = slicing(mandate, algorithm=algorithm, remainder=remainder)
    inputs = windowed(build(3, invested=0.5, nav=1e7), rules)
    whole = {o.instrument: o for o in planned(replace(inputs, slice_windows={}), rules) if o.kind == "EQUITY"}
    children = defaultdict(list)
    for o in planned(inputs, rules):
        if parent_leg(o.leg) != o.leg:
            children[o.instrument].append(o)
    assert len(children) > 5
    row_of = {name: row for row, name in enumerate(inputs.instruments)}
    for name, found in children.items():
        parent, row = whole[name], row_of[name]
        slices = [o for o in found if is_slice(o.leg)]
        adv = inputs.adv[row] / (inputs.price[row] * inputs.fx[row])
        total = sum(float(o.quantity) for o in slices)
        assert total <= float(parent.quantity)
        assert total <= 0.05 * adv
        volumes = {f"T{k}": w.volume for k, w in enumerate(inputs.slice_windows[parent.mic], 1)}
        assert all(float(o.quantity) <= 0.10 * adv * float(volumes[o.leg]) * (1 + 1e-12) for o in slices)
        odd = sum(1 for o in slices if o.quantity % inputs.quantity_step[row])
        assert odd <= (parent.side == "SELL")
        assert {(o.side, o.limit_price, o.type) for o in slices} == {(parent.side, parent.limit_price, OrderType.LIMIT)}
        assert sum(o.value_base for o in slices) == pytest.approx(parent.value_base * total / float(parent.quantity))
        rest = [o for o in found if o.leg == CLOSE_LEG]
        assert len(rest) == (remainder == "close_auction")
        assert all(float(o.quantity) == total and o.type is OrderType.LIMIT_ON_CLOSE for o in rest)


def test_a_twap_that_fits_is_the_parent_exactly(build: Build, mandate: Mandate) -> None:
    """Where no cap binds, slices sum to the parent and differ by at most one lot and the odd rest."""
    rules = slicing(mandate)
    inputs = windowed(replace(build(4, invested=0.2), adv=np.full(65, 1e9)), rules)
    whole = {o.instrument: o for o in planned(replace(inputs, slice_windows={}), rules) if o.kind == "EQUITY"}
    parts = defaultdict(list)
    for o in planned(inputs, rules):
        if is_slice(o.leg):
            parts[o.instrument].append(o.quantity)
    assert parts
    for name, found in parts.items():
        assert sum(found) == whole[name].quantity
        step = inputs.quantity_step[inputs.instruments.index(name)]
        assert max(found) - min(found) < 2 * step or len(found) < 6


def test_exits_small_orders_and_unknown_volumes_stay_whole(build: Build, mandate: Mandate) -> None:
    """Only large orders of the target with a known volume are sliced."""
    rules = slicing(mandate, from_value=20_000)
    inputs = windowed(build(5, invested=0.6), rules)
    for change in (
        inputs,
        replace(inputs, adv=np.full(65, np.nan)),
        replace(inputs, force_exit=np.ones(65, dtype=np.bool_)),
    ):
        for o in planned(change, rules):
            small = o.value_base < 20_000
            assert not (is_slice(o.leg) and o.purpose != "TARGET")
            assert parent_leg(o.leg) in ("T", "P", "F")
            assert small or o.purpose != "TARGET" or is_slice(o.leg) or not np.isfinite(change.adv).all()


def test_a_batch_of_slices_stays_within_the_count_of_a_session(build: Build, mandate: Mandate) -> None:
    """RC-14: 80 % of 200 orders; every large order gets as many slices as the others."""
    rules = slicing(mandate, count=24, minutes=15, from_value=1_000)
    inputs = windowed(build(6, invested=0.5, nav=1e7), rules)
    found = planned(inputs, rules)
    assert 100 < len(found) <= 160
    assert len({(o.instrument, o.leg) for o in found}) == len(found)


STYLES = [
    ("limit_on_close", OrderType.LIMIT_ON_CLOSE, True),
    ("market_on_close", OrderType.MARKET_ON_CLOSE, False),
    ("market_on_open", OrderType.MARKET_ON_OPEN, False),
    ("limit", OrderType.LIMIT, True),
    ("marketable_limit", OrderType.LIMIT, True),
]


@pytest.mark.parametrize(("style", "kind", "limited"), STYLES)
def test_the_plan_has_the_types_of_the_mandate(
    build: Build, mandate: Mandate, style: str, kind: OrderType, limited: bool
) -> None:
    """Targets in their type, cures and exits in theirs; without a limit an order is worth the close and 4 %."""
    rules = ruled(mandate, targets=style, allowed=[kind.value.lower(), "limit_on_open"])
    inputs = build(8, invested=0.4)
    orders = [o for o in planned(inputs, rules) if o.purpose == "TARGET"]
    assert {o.type for o in orders} == {kind}
    assert {o.side for o in orders} == {"BUY", "SELL"}
    for o in orders:
        row = inputs.instruments.index(o.instrument)
        close, tick = Decimal(repr(float(inputs.price[row]))), inputs.tick_size[row]
        assert (o.limit_price is not None) is limited
        if style == "limit":
            assert o.limit_price == close
        if not limited and o.side == "BUY":
            worth = float(o.quantity * close) * inputs.fx[row] * 1.04
            assert worth - float(o.quantity * tick) * inputs.fx[row] <= o.value_base <= worth * (1 + 1e-9)
    frame = to_frame(canonical(plan_frame(planned(inputs, rules), inputs), ORDER_PLAN))
    ORDER_PLAN.pandera_schema.validate(frame)
    made = to_orders(planned(inputs, rules), inputs)
    assert orders_from_frame(frame) == made
    assert batch_sha256(orders_from_frame(frame)) == batch_sha256(made)


def test_a_name_that_the_broker_cannot_trade_gets_no_target_order(build: Build, mandate: Mandate) -> None:
    """A refusal of the target's type: nothing bought (eligibility), nothing sold but exits; never another type."""
    inputs = build(8, invested=0.4)
    refused = replace(
        inputs, target_refusals=("the broker has no LIMIT_ON_OPEN",) * 65, can_buy=np.zeros(65, dtype=np.bool_)
    )
    assert any(o.purpose == "TARGET" for o in planned(inputs, mandate))
    assert not any(o.purpose == "TARGET" for o in planned(refused, mandate))


def test_an_old_table_of_orders_is_read_as_limits_on_open(build: Build, mandate: Mandate) -> None:
    """A table that was written before types existed has the same orders and the same hash."""
    inputs = build(9, invested=0.3)
    orders = to_orders(planned(inputs, mandate), inputs)
    frame = orders_frame(orders)
    old = frame.drop(columns=["type", "stop_price", "take_profit", "trail"])
    assert list(frame.columns) == list(ORDER_NAMES)
    assert orders_from_frame(old) == orders
    assert batch_sha256(orders_from_frame(old)) == batch_sha256(orders)


@pytest.mark.parametrize(
    ("column", "value"), [("type", "MARKET"), ("stop_price", Decimal(3)), ("trail", Decimal("0.1"))]
)
def test_a_row_with_prices_of_another_type_is_no_order(
    build: Build, mandate: Mandate, column: str, value: object
) -> None:
    """A limit on a market order, a stop on a limit: it raises."""
    inputs = build(9, invested=0.3)
    frame = orders_frame(o for o in to_orders(planned(inputs, mandate), inputs) if o.side is Side.BUY and o.limit_price)
    frame[column] = frame[column].astype(object)
    frame.at[0, column] = value
    with pytest.raises(StoreError, match="prices of its type"):
        orders_from_frame(frame)


def test_a_plan_without_slices_is_the_plan(build: Build, mandate: Mandate) -> None:
    """By default nothing is sliced, and the plan is the same object by object."""
    inputs = build(10, invested=0.3)
    found = planned(inputs, mandate)
    assert sliced(found, inputs, mandate) == found
