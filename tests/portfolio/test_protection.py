"""Protective orders at the broker: one per held name that the plan leaves alone, at the book's level, never beside another."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from marketbot_assets.book.state import Lot
from marketbot_assets.portfolio.eligibility import Account, stop_level
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import PlannedOrder, PortfolioInputs, ProtectiveWindow
from marketbot_assets.portfolio.order_frame import orders_from_frame
from marketbot_assets.portfolio.order_plan import plan_orders, to_orders
from marketbot_assets.portfolio.repair import tracking_of
from marketbot_assets.portfolio.target_frame import plan_frame
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_execution import ExecutionRules
from marketbot_resources.model import OrderType
from marketbot_resources.order_types import price_problem

Build = Callable[..., PortfolioInputs]
D = Decimal
OPENS, ENDS = dt.datetime(2018, 12, 12, 14, 30, tzinfo=dt.UTC), dt.datetime(2018, 12, 12, 20, 45, tzinfo=dt.UTC)
WINDOW = ProtectiveWindow(OPENS, ENDS, "")
KINDS = {"stop": OrderType.STOP, "trailing": OrderType.TRAILING_STOP}


def protecting(mandate: Mandate, word: str = "stop") -> Mandate:
    rules = ExecutionRules(protective=word, allowed=("limit_on_open", "stop", "trailing_stop"))  # type: ignore[arg-type]
    return mandate.model_copy(update={"execution": rules})


def guarded(build: Build, seed: int = 3, **changes: object) -> PortfolioInputs:
    """Half invested, every level ten percent below the close."""
    inputs = build(seed, invested=0.5)
    n = len(inputs.instruments)
    facts = {"protective_windows": (WINDOW,) * n, "stop_level": np.asarray(inputs.price) * 0.9, **changes}
    return replace(inputs, **facts)  # type: ignore[arg-type]


def planned(inputs: PortfolioInputs, mandate: Mandate) -> tuple[list[PlannedOrder], dict[str, PlannedOrder]]:
    """(every other order, the protective ones by name)."""
    found = plan_orders(inputs, solve_target(inputs, mandate), mandate)
    stops = {order.instrument: order for order in found if order.leg == "S"}
    assert len(stops) == sum(order.leg == "S" for order in found)
    return [order for order in found if order.leg != "S"], stops


@pytest.mark.parametrize("word", ["stop", "trailing"])
def test_what_the_plan_leaves_alone_is_protected(build: Build, mandate: Mandate, word: str) -> None:
    """Every such name, whole or by the hard order value; the other orders are those of a plan without protection."""
    inputs, rules = guarded(build), protecting(mandate, word)
    others, stops = planned(inputs, rules)
    assert others == planned(inputs, mandate)[0]
    touched = {order.instrument for order in others}
    held = {name for name, shares in zip(inputs.instruments, inputs.positions, strict=True) if shares > 0}
    assert stops.keys() == held - touched
    assert stops
    for name, order in stops.items():
        row = inputs.instruments.index(name)
        tick, price = inputs.tick_size[row], D(repr(float(inputs.price[row])))
        assert (order.side, order.type, order.limit_price) == ("SELL", KINDS[word], None)
        assert (order.send_from, order.send_until, order.purpose) == (OPENS, ENDS, "PROTECTION")
        value = float(order.quantity) * inputs.price[row] * inputs.fx[row] / inputs.nav
        assert order.quantity == inputs.positions[row] or value <= mandate.limits.order_value.hard
        if word == "stop":
            assert order.stop_price is not None
            assert order.stop_price % tick == 0
            assert price * D("0.9") - tick < order.stop_price <= price * D("0.9")
            assert order.trail is None
        else:
            assert (order.stop_price, order.trail) == (None, D("0.1"))
    orders = to_orders((*others, *stops.values()), inputs)
    assert not any(price_problem(order) for order in orders)
    assert len({order.client_order_id for order in orders}) == len(orders)


def test_a_frame_keeps_them(build: Build, mandate: Mandate) -> None:
    """Prices come back from the stored plan; what a plan loses against its target is measured without them."""
    inputs, rules = guarded(build), protecting(mandate)
    target = solve_target(inputs, rules)
    found = plan_orders(inputs, target, rules)
    assert orders_from_frame(plan_frame(found, inputs)) == to_orders(found, inputs)
    bare = [order for order in found if order.leg != "S"]
    assert len(bare) < len(found)
    assert tracking_of(inputs, target, found, rules) == tracking_of(inputs, target, bare, rules)


def test_by_default_there_are_none(build: Build, mandate: Mandate) -> None:
    """The mandate that ships does not ask for them, whatever is known."""
    assert planned(guarded(build), mandate)[1] == {}


@pytest.mark.parametrize(
    "case",
    ["NaN level", "level 0", "level at the close", "level above", "open order", "no window", "refused", "closed"],
)
def test_a_name_without_a_level_or_a_way_gets_none(build: Build, mandate: Mandate, case: str) -> None:
    """That name alone; an unknown level sells nothing by guess."""
    rules = protecting(mandate)
    _, before = planned(guarded(build), rules)
    name = min(before)
    inputs = guarded(build)
    row = inputs.instruments.index(name)
    level, windows = inputs.stop_level.copy(), list(inputs.protective_windows)
    opened, can = list(inputs.open_quantity), inputs.can_trade.copy()
    if case in ("NaN level", "level 0", "level at the close", "level above"):
        level[row] = {"NaN level": np.nan, "level 0": 0.0, "level at the close": inputs.price[row]}.get(
            case, inputs.price[row] + 1
        )
    elif case == "open order":
        opened[row] = D(-1)
    elif case == "closed":
        can[row] = False
    elif case == "refused":
        windows[row] = replace(WINDOW, refusal="the broker x has no STOP")
    if case == "no window":
        windows = []
    changed = replace(
        inputs, stop_level=level, protective_windows=tuple(windows), open_quantity=tuple(opened), can_trade=can
    )
    assert name not in planned(changed, rules)[1]


def test_the_largest_holdings_are_protected_where_the_count_ends(build: Build, mandate: Mandate) -> None:
    """RC-14 keeps room for the orders themselves: of 200 and a warning at that share, one place is left."""
    rules = protecting(mandate)
    inputs = guarded(build)
    others, stops = planned(inputs, rules)
    count = rules.limits.order_count.model_copy(update={"warn": 1.0, "per_session": len(others) + 1})
    tight = rules.model_copy(update={"limits": rules.limits.model_copy(update={"order_count": count})})
    _, kept = planned(inputs, tight)
    worth = {name: order.value_base for name, order in stops.items()}
    weight = dict(zip(inputs.instruments, inputs.weights_now(), strict=True))
    assert list(kept) == [max(worth, key=lambda name: weight[name])]


def test_a_trail_is_never_tighter_than_the_level(build: Build, mandate: Mandate) -> None:
    """12.345 % below the close becomes 12.35 %: in hundredths of a percent, away from the price."""
    inputs = guarded(build)
    inputs = replace(inputs, stop_level=np.asarray(inputs.price) * (1 - 0.12345))
    _, stops = planned(inputs, protecting(mandate, "trailing"))
    assert {order.trail for order in stops.values()} == {D("0.1235")}


def test_the_level_is_the_higher_of_both_rules(mandate: Mandate) -> None:
    """Bought at 100, best close 150, ATR 1: the loss lies at 85, the trail at 127.50; without ATR there is none."""
    from types import SimpleNamespace

    import pandas as pd

    lots = (
        Lot("A", D(10), 100.0, 150.0, 0.0, dt.date(2018, 12, 3)),
        Lot("B", D(10), 100.0, 100.0, 0.0, dt.date(2018, 12, 3)),
        Lot("C", D(10), 100.0, 100.0, 0.0, dt.date(2018, 12, 3)),
    )
    window = SimpleNamespace(instruments=("A", "B", "C", "D"), close=np.array([[140.0, 100.0, 100.0, 50.0]]))
    features = pd.DataFrame({"instrument": ["A", "B", "C"], "atr_20d": [1 / 140, 0.01, np.nan]})
    market = SimpleNamespace(features=features, window=window)
    book = SimpleNamespace(lots=lots)
    account = Account({}, {}, {}, 1.0, book, {})  # type: ignore[arg-type]
    found = stop_level(market, account, mandate)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [127.5, 85.0, np.nan, np.nan])
