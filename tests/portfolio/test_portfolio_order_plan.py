"""The order plan: lots, limits, cash and reasons; caps and cash hold for whatever the market looks like."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.state import BookState, Rung, StopHit
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.groundwork import groundwork_of
from marketbot_assets.portfolio.influence import solve_with_influence
from marketbot_assets.portfolio.inputs import PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.order_frame import orders_frame, orders_from_frame
from marketbot_assets.portfolio.order_plan import plan_orders, to_orders
from marketbot_assets.portfolio.schema import ORDER_PLAN, TARGET_EXPLANATION, TARGET_PORTFOLIO
from marketbot_assets.portfolio.target import Target
from marketbot_assets.portfolio.target_frame import explanation_frame, plan_frame, target_frame, target_of
from marketbot_resources.errors import StoreError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import batch_sha256, client_order_id
from marketbot_resources.store.content import canonical, to_frame

Build = Callable[..., PortfolioInputs]
State = Callable[..., BookState]


def plan(inputs: PortfolioInputs, mandate: Mandate) -> tuple[Target, tuple[PlannedOrder, ...]]:
    target = solve_target(inputs, mandate)
    return target, plan_orders(inputs, target, mandate)


def cash_path(inputs: PortfolioInputs, mandate: Mandate, orders: Sequence[PlannedOrder]) -> list[dict[str, Decimal]]:
    """Cash after each auction if every order fills whole at its limit, all costs paid; legs first. Written on its own."""
    cash: dict[str, Decimal] = defaultdict(Decimal, inputs.cash)
    fx_bps = Decimal(repr(mandate.costs_bps.fx)) / 10000
    place = {name: i for i, name in enumerate(inputs.instruments)}
    paths = []
    for until in sorted({o.send_until for o in orders}):
        for o in (o for o in orders if o.send_until == until):
            sign = 1 if o.side == "BUY" else -1
            if o.kind == "FX":
                rate = Decimal(repr(inputs.fx_rates[o.currency]))
                cash[o.currency] += sign * o.quantity
                cash["USD"] -= sign * o.quantity * rate * (1 + sign * fx_bps)
            else:
                assert o.limit_price is not None
                side = inputs.cost_buy if sign > 0 else inputs.cost_sell
                fee = Decimal(repr(float(side[place[o.instrument]])))
                cash[o.currency] -= sign * o.quantity * o.limit_price * (1 + sign * fee)
        paths.append(dict(cash))
    return paths


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    invested=st.sampled_from([0.0, 0.6, 0.95, 1.02]),
    wild=st.sampled_from([0.3, 1.0, 2.5]),
    nav=st.sampled_from([1e5, 1e6, 5e7]),
    account=st.sampled_from(["margin", "cash"]),
    abroad=st.sampled_from([0, 20_000, -300]),
)
def test_orders_keep_caps_lots_and_cash(
    build: Build, mandate: Mandate, seed: int, invested: float, wild: float, nav: float, account: str, abroad: int
) -> None:
    """After rounding: hard caps at collar prices, whole lots on ticks, no short, cash of no currency newly negative."""
    mandate = mandate.model_copy(update={"account": mandate.account.model_copy(update={"type": account})})
    inputs = build(seed, invested=invested, wild=wild, nav=nav)
    inputs = replace(inputs, cash={**inputs.cash, "EUR": Decimal(abroad)})
    _, orders = plan(inputs, mandate)
    now, after = inputs.weights_now(), inputs.weights_now().copy()
    place = {name: i for i, name in enumerate(inputs.instruments)}
    bought = 0.0
    for o in orders:
        if o.kind == "FX":
            assert o.quantity % (Decimal(1) if o.currency == "JPY" else Decimal("0.01")) == 0
            continue
        i = place[o.instrument]
        assert o.limit_price is not None
        value = float(o.quantity * o.limit_price) * inputs.fx[i] / nav
        ceiling = 0.03 if inputs.is_fund[i] else 0.05
        collar = min(max(0.02, 2.5 * inputs.sigma_daily[i]), ceiling)
        assert abs(float(o.limit_price) / inputs.price[i] - 1) <= collar + 1e-12
        assert o.limit_price % inputs.tick_size[i] == 0
        if o.side == "BUY":
            assert o.quantity % inputs.quantity_step[i] == 0
            assert value <= 0.032
            assert float(o.quantity) * inputs.price[i] * inputs.fx[i] >= max(250, 0.0005 * nav)
            after[i], bought = after[i] + value, bought + value
            assert after[i] <= 0.05
        else:
            assert o.quantity <= inputs.positions[i]
            assert o.quantity == inputs.positions[i] or o.quantity % inputs.quantity_step[i] == 0
            after[i] -= float(o.quantity) * inputs.price[i] * inputs.fx[i] / nav
    assert bought <= 0.16
    groups = [([s == sector for s in inputs.sector], 0.20) for sector in sorted(set(inputs.sector))] + [
        ([c == currency for c in inputs.currency], 0.20) for currency in ("GBP", "EUR", "JPY", "HKD")
    ]
    for member, cap in [*groups, ([c != "USD" for c in inputs.currency], 0.40)]:
        inside = np.array(member)
        grows = (after[inside] > now[inside] + 1e-12).any()
        assert after[inside].sum() <= (cap if grows else max(cap, now[inside].sum())) + 1e-12
    assert len({o.instrument for o in orders}) == len(orders)
    for path in cash_path(inputs, mandate, orders):
        for currency, amount in path.items():
            assert amount >= min(Decimal(0), inputs.cash.get(currency, Decimal(0))), (currency, amount)


def test_a_stop_sells_the_whole_position_first(build: Build, state: State, mandate: Mandate) -> None:
    """RC-62: a protective exit comes first, sells odd lots, too, and names its control."""
    inputs = build(1, invested=0.5)
    row = int(np.argmax((inputs.weights_now() < 0.04) * inputs.weights_now()))
    name = inputs.instruments[row]
    held = inputs.positions[row] + Decimal(7)
    positions = tuple(held if i == row else q for i, q in enumerate(inputs.positions))
    hit = StopHit(name, "RC-62", 90.0, 95.0)
    inputs = replace(inputs, positions=positions, force_exit=np.arange(65) == row, book=state(stop_hits=(hit,)))
    _, orders = plan(inputs, mandate)
    assert (orders[0].instrument, orders[0].side, orders[0].quantity) == (name, "SELL", held)
    assert (orders[0].purpose, orders[0].leg) == ("PROTECTIVE", "P")
    assert orders[0].reason.startswith("RC-62 stop lowers it to 0.00 %")


def test_a_sell_above_the_hard_order_value_is_shrunk(build: Build, mandate: Mandate) -> None:
    """RC-08: an exit of 10 % of NAV sells 6 % today and the rest next session."""
    inputs = build(2, nav=1e6)
    row = inputs.currency.index("USD")
    shares = Decimal(int(100_000 / inputs.price[row]))
    positions = tuple(shares if i == row else Decimal(0) for i in range(65))
    inputs = replace(
        inputs,
        positions=positions,
        cash={"USD": Decimal(900_000)},
        force_exit=np.arange(65) == row,
        adv=np.full(65, 1e9),
    )
    order = next(o for o in plan(inputs, mandate)[1] if o.side == "SELL")
    value = float(order.quantity) * inputs.price[row]
    assert 60_000 - inputs.price[row] <= value <= 60_000 + 1e-6


def test_no_order_while_one_is_open(build: Build, mandate: Mandate) -> None:
    """A name with an open order at the broker gets none; the open order counts as filled."""
    inputs = build(3)
    row = int(np.argmax(solve_target(inputs, mandate).weights))
    opened = tuple(Decimal(100) if i == row else Decimal(0) for i in range(65))
    _, orders = plan(replace(inputs, open_quantity=opened), mandate)
    assert orders
    assert inputs.instruments[row] not in {o.instrument for o in orders}


def test_a_refused_name_is_not_bought(build: Build, mandate: Mandate) -> None:
    """can_buy False: no buy, and the reason reaches the explanation."""
    inputs = build(4)
    row = int(np.argmax(solve_target(inputs, mandate).weights))
    can_buy = np.arange(65) != row
    reasons = tuple("" if ok else "too young" for ok in can_buy)
    inputs = replace(inputs, can_buy=can_buy, reasons=reasons)
    target, orders = plan(inputs, mandate)
    assert inputs.instruments[row] not in {o.instrument for o in orders}
    assert explain(inputs, target, mandate)[row].reason == "not bought: too young"


def test_foreign_buys_bring_their_leg_and_spare_cash_goes_home(build: Build, mandate: Mandate) -> None:
    """RC-18: a currency without cash is bought for its buys; a currency that nothing needs is sold."""
    inputs = build(5)
    inputs = replace(inputs, cash={"USD": inputs.cash["USD"] - 100_000, "CHF": Decimal(100_000)},
                     fx_rates={**inputs.fx_rates, "CHF": 1.0})  # fmt: skip
    _, orders = plan(inputs, mandate)
    legs = {o.currency: o for o in orders if o.kind == "FX"}
    needed = {o.currency for o in orders if o.side == "BUY" and o.kind == "EQUITY"} - {"USD"}
    assert needed
    assert {c for c, leg in legs.items() if leg.side == "BUY"} == needed
    assert legs["CHF"].side == "SELL"
    assert legs["CHF"].quantity == Decimal(98_000 - 1_000)
    assert legs["CHF"].limit_price is None


def test_drivers_reach_the_reason(build: Build, mandate: Mandate) -> None:
    """The words of the forecast explain the order."""
    inputs = build(6)
    target = solve_target(inputs, mandate)
    row = int(np.argmax(target.weights))
    drivers = {inputs.instruments[row]: "momentum and low volatility"}
    reason = explain(inputs, target, mandate, drivers=drivers)[row].reason
    assert reason.startswith(f"momentum and low volatility raise it to {100 * target.weights[row]:.2f} %")


def test_the_ladder_names_itself_when_volatility_binds(build: Build, state: State, mandate: Mandate) -> None:
    """RC-60: a lowered volatility target shows in the reason."""
    inputs = replace(build(7, invested=0.7, wild=1.5), book=state(rung=Rung.SCALED, multiple=0.6, drawdown=0.08))
    target, orders = plan(inputs, mandate)
    assert any(x.control == "RC-42" and x.binding and x.dual > 0 for x in target.limits)
    assert any("(ladder 0.60 lowers the volatility target)" in o.reason for o in orders)


def test_ids_follow_from_place_and_leg(build: Build, mandate: Mandate) -> None:
    """P2: the client order id does not depend on quantity or price."""
    inputs = build(8, invested=0.3)
    _, planned = plan(inputs, mandate)
    orders = to_orders(planned, inputs)
    assert [o.client_order_id for o in orders] == sorted(o.client_order_id for o in orders)
    first = orders[0]
    assert first.client_order_id == client_order_id(
        environment="test",
        account="paper-1",
        session=inputs.session,
        batch_no=1,
        instrument=first.instrument,
        leg=first.leg,
    )


def test_tables_round_trip_through_the_store(build: Build, mandate: Mandate) -> None:
    """Target, explanation and plan are the same after writing and reading; orders hash the same."""
    inputs = build(9, invested=0.5)
    target, planned = plan(inputs, mandate)
    forces = explain(inputs, target, mandate)
    frames = []
    for frame, table in (
        (target_frame(inputs, target, forces), TARGET_PORTFOLIO),
        (explanation_frame(target, forces), TARGET_EXPLANATION),
        (plan_frame(planned, inputs), ORDER_PLAN),
    ):
        frames.append(to_frame(canonical(frame, table)))
        table.pandera_schema.validate(frames[-1])
    orders = to_orders(planned, inputs)
    assert {"EQUITY", "FX"} == {o.kind.value for o in orders}
    assert orders_from_frame(frames[2]) == orders
    assert batch_sha256(orders_from_frame(frames[2])) == batch_sha256(orders)
    again = target_of(frames[0], inputs.instruments)
    np.testing.assert_array_equal(again.weights, target.weights)
    assert (again.limits, again.method, again.residual) == (target.limits, target.method, target.residual)
    assert frames[0].set_index("instrument")["weight_target"].sum() == pytest.approx(1.0, abs=1e-6)


def test_an_unpriced_holding_has_no_weight(build: Build, mandate: Mandate) -> None:
    """A held name without price shows null, and the tables still hold."""
    inputs = build(10, invested=0.3)
    row = int(np.argmax(inputs.weights_now()))
    price = inputs.price.copy()
    price[row] = np.nan
    inputs = replace(inputs, price=price)
    target, planned = plan(inputs, mandate)
    assert np.isnan(target.weights[row])
    frame = to_frame(canonical(target_frame(inputs, target, explain(inputs, target, mandate)), TARGET_PORTFOLIO))
    TARGET_PORTFOLIO.pandera_schema.validate(frame)
    assert frame.set_index("instrument")["weight_target"].isna().sum() == 1
    assert inputs.instruments[row] not in {o.instrument for o in planned}


def test_an_empty_plan_round_trips(build: Build) -> None:
    """A plan without orders is a table without rows."""
    frame = to_frame(canonical(plan_frame((), build(1)), ORDER_PLAN))
    ORDER_PLAN.pandera_schema.validate(frame)
    assert orders_from_frame(frame) == ()


@pytest.mark.parametrize(
    ("column", "value"), [("quantity", None), ("quantity", Decimal(0)), ("limit_price", None), ("send_from", "soon")]
)
def test_a_broken_row_is_no_order(build: Build, mandate: Mandate, column: str, value: object) -> None:
    """An order that cannot be read raises instead of becoming another order."""
    inputs = build(11, n=20)
    frame = orders_frame(o for o in to_orders(plan(inputs, mandate)[1], inputs) if o.kind == "EQUITY")
    frame[column] = frame[column].astype(object)
    frame.at[0, column] = value
    with pytest.raises(StoreError):
        orders_from_frame(frame)


@pytest.mark.parametrize("tilt", [0.0, 0.02])
@pytest.mark.parametrize("change", [{}, {"rebalance": False}, {"nav": float("nan")}])
def test_a_groundwork_changes_no_order(build: Build, mandate: Mandate, tilt: float, change: dict[str, float]) -> None:
    """What target and plan share is what each would work out; that of other inputs is refused."""
    inputs = replace(build(3, n=20, invested=0.4), llm_tilt=np.full(20, tilt), **change)  # type: ignore[arg-type]
    ground = groundwork_of(inputs, mandate)
    alone, shared = solve_with_influence(inputs, mandate), solve_with_influence(inputs, mandate, ground=ground)
    assert repr(shared) == repr(alone)
    assert plan_orders(inputs, shared, mandate, ground=ground) == plan_orders(inputs, alone, mandate)
    with pytest.raises(AssertionError, match="of these inputs"):
        plan_orders(replace(inputs, batch_no=2), shared, mandate, ground=ground)
