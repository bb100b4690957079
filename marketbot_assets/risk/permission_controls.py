"""Controls on whether an order may exist: RC-02 tradability, RC-03 restricted list, RC-04 session, RC-06 cross-check, RC-12 spread,
RC-17 order type, RC-21 self-trade, RC-24 events, RC-25 floor of the universe.

Not here: how large it may be (`size_controls`), cash, tax and margin (`account_controls`), identity and price (`order_controls`).
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import numpy as np

from marketbot_assets.risk.control import ControlResult, Rule, tightest, within
from marketbot_assets.risk.guards import guard_problem
from marketbot_assets.risk.listing_classes import classes_of
from marketbot_assets.risk.order_answers import mapping, of_row, ordered_rows, passed, refused
from marketbot_assets.risk.projection import Projection, is_guard, members, number, numbers, texts
from marketbot_assets.risk.trade_facts import NextSession, guarded
from marketbot_resources.jurisdictions import Product, product_rule
from marketbot_resources.model import Kind, OpenOrder, Order, OrderType, Side, Status
from marketbot_resources.order_slices import CLOSE_LEG, siblings
from marketbot_resources.order_types import PROTECTIVE_LEGS, price_problem

TRADABLE = Rule(
    "RC-02",
    "tradability",
    Status.REJECT_ORDER,
    "orders",
    formula="listed on or before the session, a session left, not closed by a quality rule",
    answers="SEC 15c3-5(c)(2)",
)
RESTRICTED = Rule(
    "RC-03",
    "restricted list",
    Status.REJECT_BATCH,
    "orders",
    formula="no order in a named paper or issuer; no buy of a named class, of a young listing, of what the jurisdiction bars",
    answers="SEC 15c3-5(c)(2)",
)
SESSION = Rule(
    "RC-04",
    "session",
    Status.REJECT_ORDER,
    "orders",
    formula="cutoff <= send_from < send_until <= end of the next session of the order's own exchange",
    answers="SEC 15c3-5(c)(1)(ii); FIA 2015",
)
CROSS_CHECK = Rule(
    "RC-06",
    "price cross-check",
    Status.REJECT_ORDER,
    "fraction of the close",
    formula="|difference of two vendors' closes| <= hard, for funds fund_hard",
    answers="house; RTS 6 Art. 15(1)",
)
SPREAD = Rule(
    "RC-12",
    "spread",
    Status.REJECT_ORDER,
    "fraction of the mid price",
    formula="(ask - bid) / mid <= hard where a quote is used",
    answers="RTS 6 Art. 15(1); house",
)
ORDER_TYPE = Rule(
    "RC-17",
    "order type",
    Status.REJECT_BATCH,
    "orders",
    formula="type in execution.allowed, with the prices of its type; stops sell to protect; or a conversion; rest <= slices",
    answers="RTS 6 Art. 15(1); FIA 2015",
)
SELF_TRADE = Rule(
    "RC-21",
    "self-trade",
    Status.REJECT_ORDER,
    "orders",
    formula="no opposite open order in the name; of both sides in one batch the one that adds risk goes",
    answers="SEC 15c3-5(c)(2); FIA 2015",
)
EVENTS = Rule(
    "RC-24",
    "corporate action guard",
    Status.REJECT_ORDER,
    "return of the session",
    formula="no split, rename, merger or delisting that is not booked; |move without event| <= jump",
    answers="house; RTS 6 Art. 15(1)",
)
FLOOR = Rule(
    "RC-25",
    "floor of the universe",
    Status.REJECT_ORDER,
    "orders",
    formula="buys only at or above the floors of traded value, age, price (US listings) and at most the lot's share of NAV",
    answers="house",
)

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
US_LISTINGS = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS"})
# What an order of this house is made of. A field that is not named here may change what the order does at the broker.
ORDER_FIELDS = frozenset(
    "client_order_id session batch_no leg kind instrument mic side quantity limit_price currency send_from send_until "
    "reason type stop_price take_profit trail".split()
)


def tradable(p: Projection) -> tuple[ControlResult, ...]:
    """RC-02: the listing exists on this session, has a session left, no rule closed it; one known to end is only sold."""
    facts, results = p.inputs.trade, []
    ended, ending, closed = members(facts.ended), members(facts.ending), members(p.inputs.quarantined)
    for row in ordered_rows(p):
        name, listed = p.inputs.instruments[row], facts.listed_on[row]
        here = of_row(p, row)
        whole = (
            (not (isinstance(listed, dt.date) and listed <= p.inputs.session), f"is listed since {listed}"),
            (name in ended, "has no session left"),
            (name in closed, "is closed by data quality"),
        )
        why = next((text for fails, text in whole if fails), "")
        if why:
            results.append(refused(p, TRADABLE, name, f"{name} {why}", here))
        elif name in ending and (here & p.increasing).any():
            results.append(refused(p, TRADABLE, name, f"{name} is known to end: closing only", here & p.increasing))
    return tuple(results) or (passed(TRADABLE, "the broker's own flags (halted, closing only) are not checked"),)


def restricted(p: Projection) -> tuple[ControlResult, ...]:
    """RC-03: no order in what the list names; no buy of a restricted class, of a young listing, of what the jurisdiction bars.

    What may not be bought may still be sold: so it leaves the book. A list that cannot be read rejects the batch.
    """
    rules, facts = p.mandate.restricted, p.inputs.trade
    listed, classes = members(rules.names), members(rules.classes)
    fund = p.fund
    where, tax_mode = p.mandate.jurisdiction, p.mandate.account.tax_mode
    results = []
    for row in ordered_rows(p):
        name, mic, ticker = p.inputs.instruments[row], p.inputs.mic[row], facts.ticker[row]
        words = {name, ticker, f"{mic}:{ticker}", facts.issuer[row], facts.name[row]} - {""}
        if not all(isinstance(word, str) for word in (ticker, facts.issuer[row], facts.name[row])):
            raise TypeError(f"{name} has no readable listing")
        buys = of_row(p, row) & p.increasing
        found = sorted(classes_of(facts.name[row], mic, is_fund=fund[row] == 1.0) & set(classes))
        days = (p.inputs.session - facts.listed_on[row]).days
        product = Product(mic, p.inputs.country[row], facts.name[row], fund[row] != 0.0)
        rule = product_rule(where, product, p.inputs.session, tax_mode)
        if words & set(listed):
            results.append(refused(p, RESTRICTED, name, f"{name} is on the restricted list", of_row(p, row)))
        elif found and buys.any():
            results.append(refused(p, RESTRICTED, name, f"{name} is {', '.join(found)} by its name", buys))
        elif not days >= rules.min_days_listed and buys.any():
            results.append(refused(p, RESTRICTED, name, f"{name} is listed for {days} days", buys))
        elif rule is not None and rule.bars and buys.any():
            results.append(refused(p, RESTRICTED, name, f"{name} is not bought: {rule}", buys))
        elif rule is not None and buys.any():
            results.append(
                RESTRICTED.result(Status.WARN, f"{name}: {rule}", key=name, observed=0, limit=0, unit="orders")
            )
    return tuple(results) or (passed(RESTRICTED, "classes are told by names; no list of sanctions is read"),)


def _outside(p: Projection, order: Order, sessions: Mapping[str, NextSession]) -> str:
    cutoff, latest = p.inputs.trade.cutoff, max((x.closes_at for x in sessions.values()), default=None)
    if order.kind is Kind.FX:
        fits = latest is not None and cutoff <= order.send_from < order.send_until <= latest
        return "" if fits else f"{order.instrument}: its window ends after the last session"
    found = sessions.get(order.mic)
    if found is None:
        return f"{order.instrument}: no session of {order.mic} is known"
    if found.session in p.mandate.calendar.closed.get(order.mic, frozenset()):
        return f"{order.instrument}: {order.mic} is closed on {found.session}"
    if not cutoff <= order.send_from < order.send_until <= found.closes_at:
        return f"{order.instrument}: its window is not before the end of {order.mic}'s session of {found.session}"
    return ""


def session(p: Projection) -> tuple[ControlResult, ...]:
    """RC-04: an order's window begins after the cutoff and ends in the next session of its own exchange, on no closure.

    Outside of it the order is not sent; the next session plans anew. The broker's clock is the last-line gate's to ask.
    """
    sessions = mapping(p.inputs.trade.next_sessions)
    why = [_outside(p, order, sessions) for order in p.orders]
    results = [
        refused(p, SESSION, p.orders[j].client_order_id, why[j], np.arange(len(why)) == j)
        for j in range(len(why))
        if why[j]
    ]
    return tuple(results) or (passed(SESSION, "the broker's clock is asked when orders are sent"),)


def cross_check(p: Projection) -> tuple[ControlResult, ...]:
    """RC-06: where two vendors serve a close they agree within 2 %, of a fund within 1 %.

    A corporate action explains nothing here: both vendors tell the close as it was traded.
    """
    rules, differences = p.mandate.limits.price_cross_check, mapping(p.inputs.trade.price_difference)
    fund, results, told = p.fund, [], 0
    for row in ordered_rows(p):
        name = p.inputs.instruments[row]
        if name not in differences:
            continue
        told += 1
        apart, equity = number(differences[name]), fund[row] == 0.0
        warn, hard = (rules.warn, rules.hard) if equity else (rules.fund_warn, rules.fund_hard)
        noted, bad = not (within(apart, warn) and apart >= 0.0), not (within(apart, hard) and apart >= 0.0)
        text = f"{name}: two vendors are {apart:.6g} apart" if noted else ""
        ids = p.ids(of_row(p, row)) if bad else ()
        status = CROSS_CHECK.fail if bad else Status.WARN if noted else Status.PASS
        results.append(CROSS_CHECK.result(status, text, key=name, observed=apart, limit=hard, order_ids=ids, keep=0.0))
    unchecked = len(ordered_rows(p)) - told
    text = f"{unchecked} of the ordered names: no difference of two vendors is known, not checked" if unchecked else ""
    if all(result.status is Status.PASS for result in results):
        worst = max((result.observed or 0.0 for result in results), default=None)
        return (CROSS_CHECK.result(Status.PASS, text, observed=worst, limit=rules.hard),)
    return tightest(results, CROSS_CHECK.result(Status.PASS))


def spread(p: Projection) -> tuple[ControlResult, ...]:
    """RC-12: where a quote is used, its spread is at most 50 bp; wider, nothing is bought and an exit keeps its limit (WARN)."""
    rules, quotes, results = p.mandate.limits.spread, mapping(p.inputs.trade.quotes), []
    for row in ordered_rows(p):
        name = p.inputs.instruments[row]
        if name not in quotes:
            continue
        bid, ask = (number(x) for x in quotes[name])
        wide = (ask - bid) / (0.5 * (ask + bid)) if 0.0 < bid <= ask < np.inf else np.nan
        if within(wide, rules.warn):
            continue
        buys = of_row(p, row) & p.increasing
        bad = not within(wide, rules.hard) and buys.any()
        text, ids = f"{name}: spread {wide:.6g} of the mid price", p.ids(buys) if bad else ()
        status = SPREAD.fail if bad else Status.WARN
        results.append(SPREAD.result(status, text, key=name, observed=wide, limit=rules.hard, order_ids=ids, keep=0.0))
    text = "" if quotes else "no quote is used: not checked"
    return tuple(results) or (SPREAD.result(Status.PASS, text, limit=rules.hard),)


def _type_problem(p: Projection, order: Order) -> str:
    if order.kind not in (Kind.EQUITY, Kind.FX):
        return "is no limit order and no conversion"
    if problem := price_problem(order):
        return problem
    if order.kind is Kind.FX:
        return ""
    if order.type.value.lower() not in p.mandate.execution.allowed:
        return f"is {order.type.value}, which the mandate does not allow"
    if order.type in STOPS and not (order.side is Side.SELL and order.leg in PROTECTIVE_LEGS):
        return f"is {order.type.value} and protects nothing"
    if is_guard(order):
        return guard_problem(p, order)
    if order.leg == CLOSE_LEG:
        most = sum((child.quantity for child in siblings(order, p.orders)), Decimal(0))
        if not (order.type is OrderType.LIMIT_ON_CLOSE and order.quantity <= most):
            return f"takes {order.quantity} of {most} in slices"
    return ""


def order_type(p: Projection) -> tuple[ControlResult, ...]:
    """RC-17: shares in an order type that the mandate allows, with exactly its prices, or conversions of a currency.

    By default limits in the auctions or for the day. An order can be nothing else by its structure: it lives for one session. A
    stop only ever sells, and protects (legs P and S; S waits at the broker, alone in its name). What takes the rest of slices
    (leg TC) is no more than all of them.
    """
    strange = sorted({field.name for order in p.orders for field in dataclasses.fields(order)} ^ ORDER_FIELDS)
    told = [(order.client_order_id, _type_problem(p, order)) for order in p.orders]
    bad = [name for name, why in told if why]
    problems = [f"an order has or lacks the field {name}" for name in strange] if p.orders else []
    problems += [f"{name} {why}" for name, why in told if why]
    if p.mandate.schedule.execute != "next_open":
        problems.append(f"orders for {p.mandate.schedule.execute}")
    status, text = ORDER_TYPE.fail if problems else Status.PASS, "; ".join(problems[:3])
    return (ORDER_TYPE.result(status, text, observed=len(problems), limit=0, order_ids=tuple(bad), keep=0.0),)


def self_trade(p: Projection) -> tuple[ControlResult, ...]:
    """RC-21: no order while an opposite one in its name is open; of both sides in one batch the one that adds risk goes.

    Nothing is cancelled here: the order waits for the next session.
    """
    opened = p.inputs.trade.open_orders
    if not isinstance(opened, tuple) or not all(isinstance(order, OpenOrder) for order in opened):
        raise TypeError("the open orders are missing")
    waiting, batch = _sides((o.instrument, o.side) for o in opened), _sides((o.instrument, o.side) for o in p.orders)
    met = np.array(
        [bool(waiting.get(o.instrument, set()) - {o.side}) or o.side not in (Side.BUY, Side.SELL) for o in p.orders],
        dtype=bool,
    )
    met |= p.increasing & np.array([len(batch[o.instrument]) > 1 for o in p.orders], dtype=bool)
    results = [
        refused(
            p, SELF_TRADE, p.inputs.instruments[row], f"{p.inputs.instruments[row]}: an opposite order exists", here
        )
        for row, here in ((row, of_row(p, row) & met) for row in ordered_rows(p))
        if here.any()
    ]
    return tuple(results) or (passed(SELF_TRADE),)


def _sides(pairs: Iterable[tuple[str, object]]) -> dict[str, set[object]]:
    found: dict[str, set[object]] = {}
    for name, side in pairs:
        found.setdefault(name, set()).add(side)
    return found


def event_guard(p: Projection) -> tuple[ControlResult, ...]:
    """RC-24: no order across a split, rename, merger or delisting that is not booked; no buy after a jump without an event.

    The jump is a total return, so whatever paid or split is out of it. An exit after a jump goes on: whether its bar may be
    traded on is for the quality rules (RC-87). Booked means: the ex session has begun and the broker's shares agree.
    """
    rules, facts = p.mandate.limits.event_guard, p.inputs.trade
    due, n = guarded(facts), len(p.price)
    breaks = {found.subject for found in p.inputs.breaks if found.explained is not True}
    applied = {event.instrument for event in facts.events} & breaks
    move, results = numbers(facts.move, n), []
    for row in ordered_rows(p):
        name, here = p.inputs.instruments[row], of_row(p, row)
        size = abs(float(move[row]))
        if name in due or name in applied:
            text = f"{name}: {'an event takes effect before the order' if name in due else 'an event is not booked as told'}"
            results.append(refused(p, EVENTS, name, text, here))
        elif not within(size, rules.jump) and (here & p.increasing).any():
            text, ids = f"{name} moved {move[row]:+.6g} without an event", p.ids(here & p.increasing)
            results.append(
                EVENTS.result(EVENTS.fail, text, key=name, observed=size, limit=rules.jump, order_ids=ids, keep=0.0)
            )
        elif not within(size, rules.warn):
            text = f"{name} moved {move[row]:+.6g} without an event"
            results.append(EVENTS.result(Status.WARN, text, key=name, observed=size, limit=rules.jump))
        else:
            results.append(EVENTS.result(Status.PASS, key=name, observed=size, limit=rules.jump))
    return tightest(results, EVENTS.result(Status.PASS, limit=rules.jump))


def universe_floor(p: Projection) -> tuple[ControlResult, ...]:
    """RC-25: nothing is bought below the universe's floors of traded value, age, price (US listings) and lot; recomputed here."""
    floor, facts, n = p.mandate.universe.floor, p.inputs.trade, len(p.price)
    adv, age = p.adv, numbers(facts.history_sessions, n)
    level, lot = numbers(facts.price_level, n), numbers(p.inputs.quantity_step, n)
    mics, results = texts(p.inputs.mic, n), []
    for row in sorted({int(row) for row, adds in zip(p.rows, p.increasing, strict=True) if adds and row >= 0}):
        name, lot_value = p.inputs.instruments[row], float(lot[row] * p.price[row] * p.rate[row] / p.nav)
        tests = (
            (not within(floor.adv_usd, adv[row]), f"traded value {adv[row]:.6g}"),
            (not within(floor.age_sessions, age[row]), f"{age[row]:.6g} sessions of history"),
            (
                mics[row] in US_LISTINGS and not within(floor.min_price_usd_us_listings, level[row]),
                f"price {level[row]:.6g}",
            ),
            (not within(lot_value, floor.max_lot_value_fraction), f"a lot of {lot_value:.6g} of NAV"),
        )
        why = next((text for fails, text in tests if fails), "")
        if why:
            text = f"{name} is below the floor of the universe: {why}"
            results.append(refused(p, FLOOR, name, text, of_row(p, row) & p.increasing))
    return tuple(results) or (
        passed(FLOOR, "market value and a fund's assets have no floor in the mandate: not checked"),
    )


PERMISSION_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (TRADABLE, tradable),
    (RESTRICTED, restricted),
    (SESSION, session),
    (CROSS_CHECK, cross_check),
    (SPREAD, spread),
    (ORDER_TYPE, order_type),
    (SELF_TRADE, self_trade),
    (EVENTS, event_guard),
    (FLOOR, universe_floor),
)
