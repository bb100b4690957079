"""Rounding repaired: leftover cash buys lots that pay, never a limit that the ideal weights keep, never more cash than there is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import Floats, PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.limits import all_limits, limit_set
from marketbot_assets.portfolio.order_plan import plan_orders
from marketbot_assets.portfolio.repair import tracking_of
from marketbot_assets.portfolio.target import Target, utility_of
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]
ROUNDING = 1e-12


def after(inputs: PortfolioInputs, planned: Sequence[PlannedOrder], *, at_limit: bool) -> Floats:
    """Weights after the plan: buys at their limit with costs or at the close, sells at the close. Written on its own."""
    weights = inputs.weights_now().copy()
    for order in planned:
        if order.kind == "FX":
            continue
        row = inputs.instruments.index(order.instrument)
        price = inputs.price[row]
        if at_limit and order.side == "BUY":
            assert order.limit_price is not None
            price = float(order.limit_price) * (1.0 + inputs.cost_buy[row])
        sign = 1.0 if order.side == "BUY" else -1.0
        weights[row] += sign * float(order.quantity) * price * inputs.fx[row] / inputs.nav
    return weights


def without_repair(inputs: PortfolioInputs, target: Target, mandate: Mandate) -> tuple[PlannedOrder, ...]:
    """The plan of a target that another method answered: the same weights, no lots bought back."""
    return plan_orders(inputs, replace(target, method="cvar"), mandate)


def without_margins(mandate: Mandate) -> Mandate:
    """The same mandate with every target at its hard limit: what is left of a limit at the closes is not left at limit prices."""
    limits = mandate.limits
    caps = {
        name: getattr(limits, name).model_copy(update={"target": getattr(limits, name).hard, "warn": None})
        for name in ("position", "sector", "currency", "non_base", "country_ex_home")
    }
    day, name = limits.turnover.buys_per_day, limits.turnover.name_buy_per_day
    sizes = {"buys_per_day": day.model_copy(update={"target": day.hard}),
             "name_buy_per_day": name.model_copy(update={"target": name.hard})}  # fmt: skip
    caps["turnover"] = limits.turnover.model_copy(update=sizes)
    return mandate.model_copy(update={"limits": limits.model_copy(update=caps)})


@settings(max_examples=25, deadline=None)
@given(
    tight=st.booleans(),
    seed=st.integers(0, 10_000),
    invested=st.sampled_from([0.0, 0.4, 0.8, 1.0]),
    nav=st.sampled_from([3e4, 1e5, 1e6, 3e7]),
    wild=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_the_repair_breaks_nothing(
    build: Build, mandate: Mandate, tight: bool, seed: int, invested: float, nav: float, wild: float
) -> None:
    """Every hard limit that the ideal weights keep holds at limit prices unless sells alone break it; the repair buys more, in
    whole lots, sells the same, keeps every name's cap and bound, never makes the utility smaller; twice gives the same plan.
    """
    mandate = without_margins(mandate) if tight else mandate
    inputs = build(seed, n=30, invested=invested, nav=nav, wild=wild)
    facts, target = facts_of(inputs, mandate), solve_target(inputs, mandate)
    planned, plain = plan_orders(inputs, target, mandate), without_repair(inputs, target, mandate)
    now, dear = inputs.weights_now(), after(inputs, planned, at_limit=True)
    sold = after(inputs, [o for o in planned if o.side == "SELL"], at_limit=True)
    for limit in all_limits(inputs, facts, mandate):
        if limit.left(target.weights, now) <= limit.hard:
            assert limit.left(dear, now) <= max(limit.hard, limit.left(sold, now)) + ROUNDING, limit.name
    assert (dear <= np.maximum(mandate.limits.position.hard, now) + ROUNDING).all()
    both = [{(o.instrument, o.side): o.quantity for o in orders if o.kind != "FX"} for orders in (planned, plain)]
    assert all(both[0].get(key, Decimal(0)) >= quantity for key, quantity in both[1].items())
    assert {k: q for k, q in both[0].items() if k[1] == "SELL"} == {k: q for k, q in both[1].items() if k[1] == "SELL"}
    utility = [utility_of(facts, mandate, after(inputs, orders, at_limit=False)) for orders in (planned, plain)]
    assert utility[0] >= utility[1] - ROUNDING
    kept, close = limit_set(inputs, facts, mandate), after(inputs, planned, at_limit=False)
    bought_back = [name for (name, side), q in both[0].items() if q != both[1].get((name, side))]
    day = mandate.limits.turnover.name_buy_per_day.hard
    for row in map(inputs.instruments.index, bought_back):
        wanted = target.weights[row] * nav / (inputs.price[row] * inputs.fx[row])
        quantity = float(both[0][inputs.instruments[row], "BUY"])
        assert quantity <= 1.5 * (wanted + float(inputs.positions[row])) + 1e-6, "RC-09"
        assert dear[row] - now[row] <= min(day, mandate.limits.order_value.hard) + ROUNDING
        assert close[row] <= kept.bounds.upper[row] + ROUNDING
        lot = float(inputs.quantity_step[row]) * inputs.price[row] * inputs.fx[row] / nav
        assert close[row] < target.weights[row] + lot
    if bought_back:
        for limit in kept.limits[:-1]:
            left = limit.left(after(inputs, plain, at_limit=False), now)
            assert limit.left(close, now) <= max(limit.bound, left) + ROUNDING, limit.name
    assert plan_orders(inputs, target, mandate) == planned


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), nav=st.sampled_from([2e4, 5e4, 2e5]), spare=st.sampled_from([0.02, 0.04, 0.1]))
def test_there_is_never_more_spent_than_there_is(
    build: Build, mandate: Mandate, seed: int, nav: float, spare: float
) -> None:
    """A cash account with little cash: buys at their limits with costs and legs with their fee stay within the cash."""
    mandate = mandate.model_copy(update={"account": mandate.account.model_copy(update={"type": "cash"})})
    inputs = build(seed, n=30, invested=0.6, nav=nav, wild=0.5)
    inputs = replace(inputs, cash={"USD": Decimal(repr(spare * nav))}, expected_return=inputs.expected_return + 0.1)
    planned = plan_orders(inputs, solve_target(inputs, mandate), mandate)
    spent = 0.0
    for order in planned:
        if order.side == "BUY" and order.currency == "USD":
            assert order.limit_price is not None
            cost = inputs.cost_buy[inputs.instruments.index(order.instrument)]
            spent += float(order.quantity * order.limit_price) * (1.0 + cost)
        elif order.side == "BUY" and order.kind == "FX":
            spent += float(order.quantity) * inputs.fx_rates[order.currency] * (1.0 + 1e-4 * mandate.costs_bps.fx)
    assert spent <= mandate.limits.cash.spendable * spare * nav + 1e-6
    for currency in ("GBP", "EUR", "JPY", "HKD"):
        legs = sum(float(o.quantity) for o in planned if o.kind == "FX" and o.currency == currency and o.side == "BUY")
        paid = sum(
            float(o.quantity * (o.limit_price or 0)) * (1.0 + inputs.cost_buy[inputs.instruments.index(o.instrument)])
            for o in planned
            if o.kind != "FX" and o.currency == currency and o.side == "BUY"
        )
        assert paid <= legs + 1e-6


def test_big_lots_are_bought_back(build: Build, mandate: Mandate) -> None:
    """A small book whose lots are 1 % of NAV: rounding down alone loses more than with the repair, which never loses more."""
    gained = []
    for seed in range(6):
        inputs = build(seed, n=25, nav=2e4)
        target = solve_target(inputs, mandate)
        losses = [
            tracking_of(inputs, target, orders, mandate)
            for orders in (plan_orders(inputs, target, mandate), without_repair(inputs, target, mandate))
        ]
        assert losses[0] is not None
        assert losses[1] is not None
        assert losses[0].utility_lost_bps <= losses[1].utility_lost_bps + 1e-9
        gained.append(losses[1].utility_lost_bps - losses[0].utility_lost_bps)
    assert sum(gain > 0.1 for gain in gained) >= 3


@pytest.mark.parametrize("step", ["0.001", "0.000001", "0.000000001"])
def test_fractional_shares_track_in_the_limit(build: Build, mandate: Mandate, step: str) -> None:
    """Without a smallest order and with fractions of shares the plan is the ideal: the loss falls with the step, to nothing."""
    portfolio = mandate.portfolio
    smallest = portfolio.min_order.model_copy(update={"usd": 0.0, "fraction": 0.0})
    free = mandate.model_copy(update={"portfolio": portfolio.model_copy(update={"min_order": smallest})})
    inputs = build(21, n=25, invested=0.2, nav=1e6)
    inputs = replace(inputs, quantity_step=(Decimal(step),) * 25)
    target = solve_target(inputs, free)
    loss = tracking_of(inputs, target, plan_orders(inputs, target, free), free)
    assert loss is not None
    size = (
        float(step) * 25.0 * float((inputs.price * inputs.fx).max()) / inputs.nav
    )  # a lot of every name, fraction of NAV
    assert abs(loss.utility_lost_bps) <= 1e4 * size + 2e-2  # the weights that move by less than a tick of the grid stay
    assert loss.active_risk_bps <= 1e4 * size + 2e-2


def test_tracking_by_hand(build: Build, mandate: Mandate) -> None:
    """No order at all: the loss is the utility of the target less that of the book, the risk that of the difference."""
    inputs = build(22, n=15, invested=0.4)
    target, model = solve_target(inputs, mandate), inputs.factor_model
    loss = tracking_of(inputs, target, (), mandate)
    covariance = model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)
    apart = target.weights - inputs.weights_now()
    assert loss is not None
    assert loss.active_risk_bps == pytest.approx(1e4 * np.sqrt(apart @ covariance @ apart), rel=1e-9)

    def utility(weights: Floats) -> float:
        facts, rule = facts_of(inputs, mandate), mandate.portfolio
        moved = weights - inputs.weights_now()
        paid = facts.cost_buy @ np.maximum(moved, 0.0) - facts.cost_sell @ np.minimum(moved, 0.0)
        risk = 0.5 * rule.risk_aversion * weights @ covariance @ weights
        return float(inputs.expected_return @ weights - risk - rule.cost_amortization_per_year * paid)

    lost = utility(target.weights) - utility(inputs.weights_now())
    assert loss.utility_lost_bps == pytest.approx(1e4 * lost, rel=1e-9)
    assert tracking_of(replace(inputs, nav=float("nan")), target, (), mandate) is None


def test_a_lot_that_does_not_pay_is_left(build: Build, mandate: Mandate) -> None:
    """Where cost outweighs what a lot brings, no lot is bought back; with ordinary costs the same books buy some."""
    changed = []
    for seed in range(6):
        inputs = build(seed, n=25, nav=2e4)
        target = solve_target(inputs, mandate)
        dear = replace(inputs, cost_buy=inputs.cost_buy + 0.5)
        for case in (inputs, dear):
            repaired, plain = (
                [(o.instrument, o.quantity) for o in orders]
                for orders in (plan_orders(case, target, mandate), without_repair(case, target, mandate))
            )
            changed.append(repaired != plain)
    assert any(changed[0::2])
    assert not any(changed[1::2])
