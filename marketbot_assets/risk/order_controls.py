"""Controls on single orders: RC-01 identity, RC-05 freshness, RC-07 collar, RC-08 value, RC-10 participation, RC-13
duplicates, RC-16 tick and lot.

Risk-reducing orders do not bypass these. Not here: what the batch needs in cash (`funding`), what the book looks like after
it (`book_controls`), the state of the book or of the platform (`state_controls`, `system_controls`).
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from marketbot_assets.book.state import Rung
from marketbot_assets.risk.control import ControlResult, Rule, beyond, tightest, within
from marketbot_assets.risk.inputs import Flags, Floats
from marketbot_assets.risk.projection import (
    WITHOUT,
    Projection,
    base_rate,
    is_guard,
    is_unlimited,
    members,
    number,
    numbers,
    times,
)
from marketbot_resources.model import Kind, Order, Side, Status
from marketbot_resources.order_types import UNLIMITED, price_problem

IDENTITY = Rule(
    "RC-01",
    "schema and identity",
    Status.REJECT_BATCH,
    "problems",
    formula="name in the session's master; id, side, quantity, limit, exchange, currency, window readable; this mandate",
    answers="SEC 15c3-5(c)(1)(ii), (c)(2); FIA 2015",
)
FRESHNESS = Rule(
    "RC-05",
    "price and rate freshness",
    Status.REJECT_BATCH,
    formula="age of price and rate in sessions < stale_sessions; share of the held book without a fresh price <= book_stale_hard",
    answers="RTS 6 Art. 15(1); FIA 2015",
)
COLLAR = Rule(
    "RC-07",
    "price collar",
    Status.REJECT_ORDER,
    "fraction of the last close",
    formula="side * (limit / close - 1) <= min(max(floor, sigma_multiple * sigma_daily), ceiling), for funds fund_ceiling",
    answers="RTS 6 Art. 15(1) price collars; SEC 15c3-5(c)(1)(ii)",
)
ORDER_VALUE = Rule(
    "RC-08",
    "order value",
    Status.REJECT_BATCH,
    formula="quantity * price / NAV <= hard, buys at their limit",
    answers="RTS 6 Art. 15(1) order value; SEC 15c3-5(c)(1)(ii)",
)
PARTICIPATION = Rule(
    "RC-10",
    "participation",
    Status.SHRINK,
    "fraction of average daily value",
    formula="value of one name and side / average daily value <= hard (exits: exits_hard), at least min_observations sessions",
    answers="FIA 2015; house",
)
DUPLICATE = Rule(
    "RC-13",
    "duplicate orders",
    Status.HALT,
    "duplicates",
    formula="no client order id and no leg twice in the batch, open or sent this session",
    answers="SEC 15c3-5(c)(1)(ii) duplicative orders; FIA 2015",
)
TICK_LOT = Rule(
    "RC-16",
    "tick, lot and smallest order",
    Status.REJECT_ORDER,
    "orders off the grid",
    formula="limit % tick_size = 0, quantity % quantity_step = 0 (or sells all), value >= 1 unit of base currency",
    answers="exchange rules; FIA 2015",
)

MIN_NOTIONAL_BASE = 1.0
EXIT_RUNGS = (Rung.REDUCE_ONLY, Rung.TO_CASH, Rung.HALT)


def _positive(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and value > 0


def _order_problem(p: Projection, order: Order, row: int, known: Flags) -> str:
    inputs, base = p.inputs, p.mandate.base_currency
    common = (
        (not (isinstance(order.client_order_id, str) and order.client_order_id), "has no client order id"),
        (order.session != inputs.session, f"is of session {order.session}, not {inputs.session}"),
        (order.side not in (Side.BUY, Side.SELL), "has no side"),
        (not _positive(order.quantity), f"has quantity {order.quantity}"),
        (not order.send_from < order.send_until, "has an empty send window"),
    )
    wrong = price_problem(order)
    if order.kind is Kind.FX:
        special = (
            (order.currency == base or order.instrument != f"FX:{order.currency}", "is no conversion against the base"),
            (order.limit_price is not None, "is a conversion with a limit"),
            (bool(wrong), wrong),
            (
                order.currency not in inputs.currency and order.currency not in inputs.cash,
                "converts an unknown currency",
            ),
        )
    elif row < 0 or not known[row]:
        return "is of an unknown instrument"
    else:
        special = (
            (order.kind is not Kind.EQUITY, "has no kind"),
            (order.type not in UNLIMITED and not _positive(order.limit_price), f"has limit {order.limit_price}"),
            (bool(wrong), wrong),
            (
                order.mic != inputs.mic[row] or order.currency != inputs.currency[row],
                "has another exchange or currency",
            ),
        )
    return next((text for fails, text in (*common, *special) if fails), "")


def identity(p: Projection) -> tuple[ControlResult, ...]:
    """RC-01: every name is in the instrument master, every field is what it must be, the mandate is the pinned one."""
    master = members(p.inputs.known)
    known = np.array([name in master for name in p.inputs.instruments], dtype=bool)
    problems = [f"the broker holds unknown {name}" for name in members(p.inputs.unknown_broker_instruments)]
    if p.inputs.mandate_sha256 != p.mandate.sha256:
        problems.append("the inputs were built under another mandate")
    if list(p.inputs.instruments) != sorted(set(p.inputs.instruments)):
        problems.append("instruments are not sorted and unique")
    problems += [
        f"{name} is held and unknown"
        for name, is_known, shares in zip(p.inputs.instruments, known, p.pre, strict=True)
        if not is_known and shares != 0.0
    ]
    found = [(o, _order_problem(p, o, int(row), known)) for o, row in zip(p.orders, p.rows, strict=True)]
    problems += [f"{order.client_order_id} {text}" for order, text in found if text]
    ids = tuple(order.client_order_id for order, text in found if text)
    status = IDENTITY.fail if problems else Status.PASS
    text = "; ".join(problems[:3])
    return (IDENTITY.result(status, text, observed=len(problems), limit=0, order_ids=ids, keep=0.0),)


def _held_value(p: Projection) -> Floats:
    """(n,) fraction of NAV; a name without price counts at its entry price, NaN when that is unknown, too."""
    entry = {lot.instrument: number(lot.entry_price) for lot in members(p.inputs.book.lots)}
    paid = np.array([entry.get(name, np.nan) for name in p.inputs.instruments], dtype=float)
    return times(np.abs(p.positions), np.where(np.isfinite(p.price), p.price, paid) * p.rate) / p.nav


def freshness(p: Projection) -> tuple[ControlResult, ...]:
    """RC-05: no order on a stale or missing price or rate; a held name without price, or a stale rate, refuses every buy.

    More than `book_stale_hard` of NAV without a fresh price rejects the batch; once it holds risk-reducing orders alone, WARN.
    """
    limits, stale = p.mandate.limits.price_freshness, members(p.inputs.stale_currencies)
    fresh = (p.age >= 0) & (p.age < limits.stale_sessions) & np.isfinite(p.price)
    results = []
    for order, row in zip(p.orders, p.rows, strict=True):
        rate = base_rate(p.inputs, p.mandate, order.currency)
        if order.currency in stale or not np.isfinite(rate) or (row >= 0 and not fresh[row]):
            age = float(p.age[row]) if row >= 0 else None
            text = f"{order.instrument}: no order on a stale or missing price or rate of {order.currency}"
            ids = (order.client_order_id,)
            results.append(
                FRESHNESS.result(
                    Status.REJECT_ORDER, text, key=order.client_order_id, observed=age, limit=limits.stale_sessions - 1,
                    unit="sessions", order_ids=ids, keep=0.0,
                )
            )  # fmt: skip
    held = (p.pre != 0) | (p.positions != 0)
    unpriced = [p.inputs.instruments[row] for row in np.flatnonzero(held & ~np.isfinite(p.price))]
    rates = sorted(c for c in stale if c in p.inputs.cash or c in p.inputs.currency)
    for key, names in (("unpriced", unpriced), ("rates", rates)):
        if names:
            results.append(
                _no_buys(p, FRESHNESS, key, f"no buys while these are {key} or stale: {', '.join(names[:5])}")
            )
    return (*results, _stale_share(p, held & ~fresh, limits.book_stale_hard))


def _no_buys(p: Projection, rule: Rule, key: str, text: str) -> ControlResult:
    status = Status.SHRINK if p.increasing_ids else Status.WARN
    return rule.result(status, text, key=key, order_ids=p.increasing_ids, keep=0.0)


def _stale_share(p: Projection, stale: Flags, hard: float) -> ControlResult:
    share = float(_held_value(p)[stale].sum())
    if within(share, hard):
        return FRESHNESS.result(Status.PASS, key="book", observed=share, limit=hard)
    status = FRESHNESS.fail if p.increasing_ids else Status.WARN
    return FRESHNESS.result(status, f"stale share of the book {share:.6g}", key="book", observed=share, limit=hard)


def collar(p: Projection) -> tuple[ControlResult, ...]:
    """RC-07: a limit may lie at most c beyond the last close, c = min(max(2 %, 2.5 sigma), 5 %), for funds at most 3 %.

    An order of a type without limit has none to judge (WARN); whether it may be is RC-17's to say, where it fills badly RC-65's. A
    sell that reduces risk in a name without sigma gets the tightest collar; a buy without sigma is refused.
    """
    rules, sigma, fund = p.mandate.limits.collar, p.sigma_daily, p.fund
    results = []
    for j in np.flatnonzero(~p.is_fx & (p.rows >= 0)):
        row, sign = p.rows[j], p.signs[j]
        if is_unlimited(p.orders[j]):
            results.append(
                COLLAR.result(Status.WARN, f"{p.orders[j].instrument}: no limit", key=p.orders[j].client_order_id)
            )
            continue
        ceiling = rules.ceiling if fund[row] == 0.0 else rules.fund_ceiling
        width = min(max(rules.floor, rules.sigma_multiple * sigma[row]), ceiling)
        if not (0.0 <= sigma[row] < np.inf):
            width = min(rules.floor, ceiling) if p.reducing[j] else np.nan
        beyond = sign * (p.limit[j] / p.price[row] - 1.0)
        order_id = p.orders[j].client_order_id
        good = within(beyond, width) and sign != 0.0
        text = "" if good else f"{p.orders[j].instrument}: limit {beyond:.6g} beyond the close, collar {width:.6g}"
        status = Status.PASS if good else COLLAR.fail
        ids = () if good else (order_id,)
        results.append(
            COLLAR.result(status, text, key=order_id, observed=beyond, limit=width, order_ids=ids, keep=float(good))
        )
    return tightest(results, COLLAR.result(Status.PASS))


def order_value(p: Projection) -> tuple[ControlResult, ...]:
    """RC-08: an order's value, buys at limit, is at most 6 % of NAV; more is a size bug and rejects the batch. Slices count as one.

    A risk-reducing order cannot be one, it is bounded by the position: it is cut to the limit and goes on next session.
    """
    limit = p.mandate.limits.order_value
    results = []
    for j in np.flatnonzero(~p.is_fx):
        share, order_id = float(p.parent_value[j] / p.nav), p.orders[j].client_order_id
        status, keep = Status.PASS, 1.0
        if not np.isfinite(share):
            # Without a NAV no size means anything; without a price this one order has none (RC-05 drops it, too).
            status, keep = (ORDER_VALUE.fail if not np.isfinite(p.nav) else Status.REJECT_ORDER), 0.0
        elif not within(share, limit.hard):
            status, keep = (Status.SHRINK if p.reducing[j] else ORDER_VALUE.fail), limit.hard / share
        elif limit.warn is not None and not within(share, limit.warn):
            status = Status.WARN
        text = "" if status is Status.PASS else f"{p.orders[j].instrument}: order of {share:.6g} of NAV"
        ids = (order_id,) if status > Status.WARN else ()
        results.append(
            ORDER_VALUE.result(status, text, key=order_id, observed=share, limit=limit.hard, order_ids=ids, keep=keep)
        )
    return tightest(results, ORDER_VALUE.result(Status.PASS, limit=limit.hard))


def _exits(p: Projection) -> Flags:
    """(n,) names whose sells must happen: a stop is hit, the ladder empties the book, or it drifted beyond the trim line."""
    hit = {stop.instrument for stop in members(p.inputs.book.stop_hits)}
    trim = p.mandate.limits.passive_breach.trim
    everything = p.inputs.book.rung in EXIT_RUNGS
    stopped = np.array([name in hit for name in p.inputs.instruments], dtype=bool)
    return everything | beyond(np.abs(p.weights[:, WITHOUT]), trim) | stopped


def participation(p: Projection) -> tuple[ControlResult, ...]:
    """RC-10: the orders of one name and side against its average daily value; beyond hard they are cut to the target.

    Exits may take `exits_hard`. Too few observations: no buys, no ordinary sells; an exit passes with WARN.
    """
    limit, n, exits = p.mandate.limits.participation, len(p.price), _exits(p)
    adv, count = p.adv, numbers(p.inputs.adv_observations, n)
    known = (adv > 0) & np.isfinite(adv) & (count >= limit.min_observations) & np.isfinite(count)
    results = []
    for row, sign in sorted({(int(r), float(s)) for r, s in zip(p.rows, p.signs, strict=True) if r >= 0}):
        orders = (p.rows == row) & (p.signs == sign)
        share = float(p.value[orders].sum() / adv[row]) if known[row] else np.nan
        is_exit = bool(exits[row] and p.reducing[orders].all())
        hard = limit.exits_hard if is_exit else limit.hard
        goal = hard if is_exit else min(limit.target, hard)
        if within(share, goal):
            continue
        fails = not within(share, hard) and not (is_exit and not known[row])
        key = f"{p.inputs.instruments[row]} {'BUY' if sign > 0 else 'SELL'}"
        results.append(
            PARTICIPATION.result(
                PARTICIPATION.fail if fails else Status.WARN,
                f"{key}: {share:.6g} of the average daily value",
                key=key,
                observed=share,
                limit=hard,
                order_ids=p.ids(orders) if fails else (),
                keep=goal / share if np.isfinite(share) else 0.0,
            )
        )
    return tuple(results) or (PARTICIPATION.result(Status.PASS, limit=limit.hard),)


def duplicate(p: Projection) -> tuple[ControlResult, ...]:
    """RC-13: a client order id or a leg that exists twice, is open or was sent this session: upstream runs twice, HALT."""
    ids = Counter(order.client_order_id for order in p.orders)
    legs = Counter((order.batch_no, order.instrument, order.leg) for order in p.orders)
    used = {*members(p.inputs.sent_client_order_ids), *members(p.inputs.open_client_order_ids)}
    hits = sorted({i for i, count in ids.items() if count > 1 or i in used})
    hits += sorted(f"{instrument} leg {leg}" for (_, instrument, leg), count in legs.items() if count > 1)
    status = DUPLICATE.fail if hits else Status.PASS
    text = f"already sent or twice in the batch: {', '.join(hits[:3])}" if hits else ""
    return (DUPLICATE.result(status, text, observed=len(hits), limit=0),)


def _is_multiple(value: Decimal, step: object) -> bool:
    return isinstance(step, Decimal) and step.is_finite() and step > 0 and value % step == 0


def tick_lot(p: Projection) -> tuple[ControlResult, ...]:
    """RC-16: limits on the tick grid, whole lots (a remainder is cut off), at least one unit of base currency of value.

    A sell of everything that can be sold may be an odd lot: a split leaves them, and they could never be sold otherwise.
    """
    results = []
    for j in np.flatnonzero(~p.is_fx & (p.rows >= 0)):
        order, row = p.orders[j], p.rows[j]
        prices = [price for price in (order.limit_price, order.stop_price, order.take_profit) if price is not None]
        on_tick = (bool(prices) or order.type in UNLIMITED) and all(
            _is_multiple(price, p.inputs.tick_size[row]) for price in prices
        )
        sold = number(order.quantity) if is_guard(order) else p.parent_quantity[j]
        empties = bool(p.signs[j] < 0 and sold == p.available[row])
        on_lot = empties or _is_multiple(order.quantity, p.inputs.quantity_step[row])
        lot_known = _is_multiple(Decimal(0), p.inputs.quantity_step[row])
        worth = sold * p.price[row] * p.rate[row] if is_guard(order) else p.parent_value[j]
        big = bool((worth if p.spare[j] else p.value[j]) >= MIN_NOTIONAL_BASE)
        if on_tick and on_lot and big:
            continue
        cut = on_tick and big and lot_known
        status = Status.SHRINK if cut else TICK_LOT.fail
        what = "lot" if cut else "tick, lot or smallest value"
        text = f"{order.instrument}: {order.quantity} at {order.limit_price} is off {what}"
        ids = (order.client_order_id,)
        results.append(TICK_LOT.result(status, text, key=ids[0], observed=1, limit=0, order_ids=ids, keep=float(cut)))
    return tuple(results) or (TICK_LOT.result(Status.PASS, observed=0, limit=0),)


ORDER_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (IDENTITY, identity),
    (FRESHNESS, freshness),
    (COLLAR, collar),
    (ORDER_VALUE, order_value),
    (PARTICIPATION, participation),
    (DUPLICATE, duplicate),
    (TICK_LOT, tick_lot),
)
