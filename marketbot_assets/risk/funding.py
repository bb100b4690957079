"""RC-18: is every buy paid for, per currency and wave of exchanges, with its FX legs? Pure.

A wave is an order's `send_until`, shortly before its exchange opens. Spendable: 98 % of the base cash on hand, other cash in
full, conversions, and on a margin account 95 % of planned sells that open no later. Not here: how legs shrink (`verdict`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from marketbot_assets.risk.control import TOLERANCE, ControlResult, Rule
from marketbot_assets.risk.inputs import Flags
from marketbot_assets.risk.projection import NAN, Projection, base_rate, number, times, trading_cost
from marketbot_resources.model import Status

CASH = Rule(
    "RC-18",
    "cash and buying power",
    Status.SHRINK,
    formula="per currency and wave: buys with costs <= spendable * cash + conversions + planned_sells_fund * sells (margin)",
    answers="SEC 15c3-5(c)(1)(i); RTS 6 Art. 15(5)",
)

# A leg may exceed what it pays for by this share: the planner's own rounding and buffer for costs.
LEG_SLACK = 0.05


@dataclass(frozen=True, slots=True)
class Flow:
    """One order's money in one currency: `amount` base currency, positive in, negative out, at the wave `at`."""

    at: dt.datetime
    amount: float
    order_id: str


def _sweep_at(p: Projection, j: int) -> dt.datetime:
    """When a SELL leg takes its currency: not before the last planned sell whose proceeds it converts."""
    leg = p.orders[j]
    sells = [
        order.send_until
        for order, sign, is_fx in zip(p.orders, p.signs, p.is_fx, strict=True)
        if order.currency == leg.currency and sign < 0 and not is_fx
    ]
    return max([leg.send_until, *sells])


def flows(p: Projection, currency: str) -> list[Flow]:
    """All money in and out of one currency, in base currency: buys at limit with costs, sells with the planned haircut."""
    base = p.mandate.base_currency
    sells_fund = p.mandate.limits.cash.planned_sells_fund if p.mandate.account.type == "margin" else 0.0
    found = []
    for j, order in enumerate(p.orders):
        sign, value = float(p.signs[j]), float(p.value[j])
        if p.is_fx[j]:
            at = _sweep_at(p, j) if sign < 0 else order.send_until
            if order.currency == currency:
                found.append(Flow(at, sign * value, order.client_order_id))
            elif currency == base:
                found.append(Flow(at, -sign * value * (1.0 + sign * float(p.cost[j])), order.client_order_id))
        elif order.currency == currency:
            amount = -value * (1.0 + float(p.cost[j])) if sign > 0 else sells_fund * value
            found.append(Flow(order.send_until, amount if sign != 0.0 else NAN, order.client_order_id))
    return found


def _on_hand(p: Projection, currency: str) -> float:
    """Spendable cash in base currency less what the open buys of this currency may still cost."""
    cash = number(p.inputs.cash.get(currency, 0))
    whole = currency != p.mandate.base_currency and p.mandate.account.type == "margin"
    share = 1.0 if whole or cash < 0 else p.mandate.limits.cash.spendable
    hand = share * cash * base_rate(p.inputs, p.mandate, currency) if cash != 0.0 else 0.0
    # np.maximum hands NaN on. A reserve takes what is there; it is no debt of its own.
    return float(np.maximum(hand - _reserved(p, currency), np.minimum(hand, 0.0)))


def _reserved(p: Projection, currency: str) -> float:
    """What the open buys of a currency may still cost, base currency: at their limits with costs; NaN when unknown."""
    if not isinstance(p.inputs.open_buys, Mapping):
        raise TypeError("the open buys are missing")
    buying = np.maximum(p.opened, 0.0)
    if not (buying != 0.0).any():
        return 0.0
    own = np.array([c == currency for c in p.currencies], dtype=bool)
    buys = np.where(own, buying, 0.0)
    if not (buys != 0.0).any():
        return 0.0
    cost = 1.0 + trading_cost(p.mandate, currency, is_fund=False, sign=1.0)
    if currency in p.inputs.open_buys:
        return number(p.inputs.open_buys[currency]) * base_rate(p.inputs, p.mandate, currency) * cost
    bound = times(buys, p.price * p.rate) * (1.0 + p.mandate.limits.collar.ceiling)
    return float(np.where(np.isfinite(p.fund), bound, NAN).sum()) * cost


def _currency(p: Projection, currency: str) -> ControlResult:
    moves, hand = flows(p, currency), _on_hand(p, currency)
    outs = [flow for flow in moves if not flow.amount >= 0.0]
    if not outs:
        status = Status.PASS if hand >= 0 else Status.WARN
        return CASH.result(
            status, "" if hand >= 0 else f"{currency} is overdrawn", key=currency, observed=0.0, limit=hand / p.nav
        )
    worst = (-np.inf, 0.0, 0.0, outs[0].at)
    for at in sorted({flow.at for flow in outs}):
        need = -sum(flow.amount for flow in outs if flow.at <= at)
        have = hand + sum(flow.amount for flow in moves if flow.amount >= 0 and flow.at <= at)
        gap = need - have if np.isfinite(need) and np.isfinite(have) else np.inf
        if gap > worst[0]:
            worst = (gap, need, have, at)
    gap, need, have, at = worst
    if gap <= TOLERANCE * p.nav:
        return CASH.result(Status.PASS, key=currency, observed=need / p.nav, limit=have / p.nav)
    spending = {flow.order_id for flow in outs if flow.at <= at}
    legs = {o.currency for o in p.orders if o.client_order_id in spending and o.currency != currency}
    flags = np.array(
        [
            o.client_order_id in spending or (o.currency in legs and s > 0)
            for o, s in zip(p.orders, p.signs, strict=True)
        ]
    )
    keep = min(1.0, max(0.0, have / need)) if np.isfinite(gap) and need > 0 else 0.0
    text = f"{currency}: {need:.6g} needed by {at.isoformat()}, {have:.6g} there"
    ids = p.ids(flags)
    return CASH.result(
        CASH.fail, text, key=currency, observed=need / p.nav, limit=have / p.nav, order_ids=ids, keep=keep
    )


def _leg(p: Projection, j: int) -> ControlResult:
    """A BUY leg pays for buys and debts of its currency, no more; a conversion for its own sake is a bet nobody made."""
    leg = p.orders[j]
    same = np.array([o.currency == leg.currency for o in p.orders]) & ~p.is_fx & (p.signs > 0)
    cash = number(p.inputs.cash.get(leg.currency, 0)) * base_rate(p.inputs, p.mandate, leg.currency)
    need = max(0.0, -cash) + float((p.value * (1.0 + p.cost))[same].sum())
    allowed = need * (1.0 + LEG_SLACK)
    value, ids = float(p.value[j]), (leg.client_order_id,)
    good = np.isfinite(value) and np.isfinite(allowed) and value <= allowed + TOLERANCE * p.nav
    keep = allowed / value if np.isfinite(allowed) and value > allowed else 0.0
    text = "" if good else f"{leg.instrument}: converts {value:.6g}, needed {need:.6g}"
    status = Status.PASS if good else CASH.fail
    return CASH.result(
        status, text, key=f"{leg.client_order_id}", observed=value / p.nav, limit=allowed / p.nav,
        order_ids=() if good else ids, keep=1.0 if good else keep,
    )  # fmt: skip


def cash(p: Projection) -> tuple[ControlResult, ...]:
    """RC-18: one answer per currency, and one per BUY leg."""
    if not np.isfinite(p.nav):
        raise ValueError("no NAV")
    currencies = sorted({p.mandate.base_currency, *p.inputs.cash, *(order.currency for order in p.orders)})
    legs: Flags = p.is_fx & (p.signs > 0)
    return (*(_currency(p, c) for c in currencies), *(_leg(p, int(j)) for j in np.flatnonzero(legs)))
