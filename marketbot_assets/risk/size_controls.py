"""Controls on how much is ordered and how often: RC-09 quantity, RC-11 days to liquidate, RC-14 order count, RC-15 repeated
execution, RC-20 oversell, RC-26 expected cost, RC-33 issuers.

Not here: whether an order may exist (`permission_controls`), cash, tax and margin (`account_controls`), value and participation
(`order_controls`).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from marketbot_assets.risk.control import ControlResult, Rule, cap, tightest, within
from marketbot_assets.risk.inputs import Flags, Floats
from marketbot_assets.risk.projection import WITH, WITHOUT, Projection, number, numbers, times
from marketbot_assets.risk.trade_facts import Filled, SentOrder
from marketbot_resources.model import BASIS_POINT, Side, Status
from marketbot_resources.order_slices import parent_leg

QUANTITY = Rule(
    "RC-09",
    "order quantity",
    Status.REJECT_BATCH,
    "fraction of the limit",
    formula="quantity <= multiple * (|held| + |wanted|) shares; of what adds risk <= adv * average daily volume",
    answers="RTS 6 Art. 15(1) order volume; SEC 15c3-5(c)(1)(ii)",
)
LIQUIDATION = Rule(
    "RC-11",
    "days to liquidate",
    Status.SHRINK,
    "days",
    formula="|w| * NAV / (participation * ADV) <= name_days; left after a day <= 1 - book_first_day, after book_days 0",
    answers="RTS 6 Art. 15(4); house",
)
COUNT = Rule(
    "RC-14",
    "order count",
    Status.HALT,
    "orders",
    formula="orders of the session <= per_name * names, and with legs <= per_session",
    answers="RTS 6 Art. 15(1) messages; SEC on Knight 2012",
)
REPEATS = Rule(
    "RC-15",
    "repeated execution",
    Status.HALT,
    "batches",
    formula="batches a session, protective legs per name, changes of direction, value filled / planned",
    answers="RTS 6 Art. 15(3); SEC on Knight 2012",
)
OVERSELL = Rule(
    "RC-20",
    "oversell",
    Status.REJECT_BATCH,
    "shares left",
    formula="shares held - open sells - proposed sells >= 0",
    answers="SEC 15c3-5(c)(2); house: long only",
)
COST = Rule(
    "RC-26",
    "expected cost",
    Status.SHRINK,
    "basis points of the order",
    formula="half-spread + fee + conversion + Y * sigma_daily * sqrt(value / ADV) <= hard, buys",
    answers="FINRA 5310; house",
)
ISSUER = Rule(
    "RC-33",
    "issuer aggregation",
    Status.SHRINK,
    formula="sum |w_i| of one issuer's listings <= hard of RC-30; those of unknown issuer count as one",
    answers="house; RTS 6 Art. 15(4)",
)

PROTECTIVE_LEG = "P"
UNKNOWN_ISSUER = "UNKNOWN"


def quantity(p: Projection) -> tuple[ControlResult, ...]:
    """RC-09: an order is at most 1.5 times what is held plus what is wanted, and what adds risk at most 5 % of daily volume.

    More is a size bug. Slices count as one. An order whose measure is not known is dropped. Sales are bounded by the shares
    that are there and by RC-10.
    """
    rules, n = p.mandate.limits.order_quantity, len(p.price)
    unit = p.price * p.rate
    wanted = np.abs(numbers(p.inputs.trade.target, n)) * p.nav / unit
    adv = p.adv / unit
    results = []
    for j in np.flatnonzero(~p.is_fx & (p.rows >= 0)):
        row, order_id, shares = int(p.rows[j]), p.orders[j].client_order_id, float(p.parent_quantity[j])
        aim = wanted[row] if p.signs[j] > 0 or np.isfinite(wanted[row]) else 0.0
        most = rules.multiple * (aim + abs(float(p.pre[row])))
        limits = [("held and wanted", most)]
        if p.increasing[j]:
            limits.append(("the average daily volume", float(rules.adv * adv[row])))
        for what, limit in limits:
            share = float(shares / limit) if 0.0 < limit < np.inf else np.nan
            good = within(share, 1.0)
            status = Status.PASS if good else QUANTITY.fail if np.isfinite(share) else Status.REJECT_ORDER
            text = "" if good else f"{p.orders[j].instrument}: {shares:g} shares, {limit:.6g} by {what}"
            results.append(
                QUANTITY.result(
                    status, text, key=f"{order_id} {what}", observed=share, limit=1.0,
                    order_ids=() if good else (order_id,), keep=float(good),
                )
            )  # fmt: skip
    return tightest(results, QUANTITY.result(Status.PASS, limit=1.0))


def _for_buys(p: Projection, result: ControlResult) -> ControlResult:
    """A rule on buys says WARN once the batch holds none: what is held can only be sold."""
    if result.status <= Status.WARN or p.increasing_ids:
        return result
    return replace(result, status=Status.WARN, message=f"passive, no buys: {result.message}")


def _sold_in(p: Projection, adv: Floats, waiting: Flags, days: float) -> Floats:
    """(3,) fraction of NAV that cannot be sold within some days."""
    share = p.mandate.limits.liquidation.participation
    most = (days * share * adv / p.nav)[:, None]
    left = np.where(p.weights == 0.0, 0.0, np.maximum(np.abs(p.weights) - most, 0.0))
    return np.asarray(left[~waiting].sum(axis=0))


def liquidation(p: Projection) -> tuple[ControlResult, ...]:
    """RC-11: at a tenth of the daily value each name is sold within a day, 95 % of NAV too, and everything within three.

    Shares of a listing that has ended wait for their payment and count in none of it.
    """
    rules, n = p.mandate.limits.liquidation, len(p.price)
    adv = p.adv
    waiting = np.array([name in p.inputs.trade.ended for name in p.inputs.instruments], dtype=bool)
    days = times(np.abs(p.weights), (p.nav / (rules.participation * adv))[:, None])
    results = [
        cap(LIQUIDATION, p, days[row], hard=rules.name_days, warn=rules.name_days_warn, key=p.inputs.instruments[row],
            counted=p.increasing_in(np.arange(n) == row))
        for row in map(int, np.flatnonzero(~waiting & ~(days[:, WITH] <= rules.name_days_warn)))
    ]  # fmt: skip
    if not results:
        results = [
            LIQUIDATION.result(
                Status.PASS, observed=float(days[~waiting, WITH].max(initial=0.0)), limit=rules.name_days
            )
        ]
    for key, left, most in (
        ("book in one day", _sold_in(p, adv, waiting, 1.0), 1.0 - rules.book_first_day),
        ("whole book", _sold_in(p, adv, waiting, rules.book_days), 0.0),
    ):
        results.append(cap(LIQUIDATION, p, left, hard=most, key=key, unit="fraction of NAV"))
    return tuple(_for_buys(p, result) for result in results)


def _sent(p: Projection) -> tuple[SentOrder, ...]:
    sent = p.inputs.trade.sent
    if not isinstance(sent, tuple) or not all(isinstance(order, SentOrder) for order in sent):
        raise TypeError("the orders that were sent are missing")
    return sent


def _parents_sent(sent: tuple[SentOrder, ...]) -> int:
    sliced = {(o.instrument, o.side) for o in sent if parent_leg(o.leg) != o.leg}
    return len(sliced) + sum(parent_leg(o.leg) == o.leg for o in sent)


def order_count(p: Projection) -> tuple[ControlResult, ...]:
    """RC-14: at most two orders per name that is known, and 200 in a session with its legs and what was sent already.

    Per name the slices of one order count as one; in the session each is an order.
    How fast they leave is not judged here: one wave of at most so many.
    """
    rules, sent = p.mandate.limits.order_count, _sent(p)
    legs = int(p.is_fx.sum())
    results = []
    for key, seen, limit in (
        (
            "names",
            len(set(p.parents.tolist())) - legs + _parents_sent(sent),
            rules.per_name * len(p.inputs.instruments),
        ),
        ("session", len(p.orders) + len(sent), rules.per_session),
    ):
        status = Status.PASS if seen <= rules.warn * limit else Status.WARN if seen <= limit else COUNT.fail
        text = f"{seen} orders, limit {limit}" if status else ""
        results.append(COUNT.result(status, text, key=key, observed=seen, limit=limit))
    return tuple(results)


def _flips(p: Projection, fills: tuple[Filled, ...]) -> list[str]:
    """Names that change direction more often than allowed, counting the fills since the session before and this batch."""
    sides: dict[str, list[Side]] = {}
    for fill in fills:
        sides.setdefault(fill.instrument, []).append(fill.side)
    for order, is_fx in zip(p.orders, p.is_fx, strict=True):
        if not is_fx:
            sides.setdefault(order.instrument, []).append(order.side)
    most = p.mandate.limits.repeats.flips
    turns = {name: sum(a is not b for a, b in pairwise(row)) for name, row in sides.items()}
    return sorted(name for name, count in turns.items() if count > most)


def _beyond_plan(p: Projection, fills: tuple[Filled, ...]) -> ControlResult:
    """Value filled against value planned, at the prices paid."""
    limit = p.mandate.limits.repeats.filled_of_planned
    done = sum(number(fill.quantity) * number(fill.price) for fill in fills)
    meant = sum(number(fill.planned) * number(fill.price) for fill in fills)
    share = done / meant if meant > 0 else np.nan if fills else 0.0
    bad = not within(share, limit)
    text = f"filled {share:.6g} of what was planned; class C" if bad else ""
    return REPEATS.result(
        REPEATS.fail if bad else Status.PASS, text, key="filled of planned", observed=share, limit=limit, unit="ratio"
    )


def repeats(p: Projection) -> tuple[ControlResult, ...]:
    """RC-15: one batch a session, few protective legs per name, one change of direction, fills about as large as planned."""
    rules, sent, fills = p.mandate.limits.repeats, _sent(p), p.inputs.trade.fills
    if not isinstance(fills, tuple) or not all(isinstance(fill, Filled) for fill in fills):
        raise TypeError("the fills are missing")
    batches = {o.batch_no for o in p.orders if o.leg != PROTECTIVE_LEG} | {
        o.batch_no for o in sent if o.leg != PROTECTIVE_LEG
    }
    exits = [o.instrument for o in p.orders if o.leg == PROTECTIVE_LEG]
    legs = Counter([*exits, *(o.instrument for o in sent if o.leg == PROTECTIVE_LEG)])
    worst = max(legs.values(), default=0)
    flips = _flips(p, fills)
    # Judging a batch of which a part was sent is a repetition, whatever its number.
    renewed = any(o.leg != PROTECTIVE_LEG for o in p.orders) and any(o.leg != PROTECTIVE_LEG for o in sent)
    again = len(batches) + int(renewed)
    results = [
        REPEATS.result(
            REPEATS.fail if seen > limit else Status.PASS, text if seen > limit else "",
            key=key, observed=seen, limit=limit, unit=unit,
        )
        for key, seen, limit, text, unit in (
            ("batches", again, rules.batches, "the session was rebalanced already; class C", "batches"),
            ("exit legs", worst, rules.exit_legs_per_name, f"{worst} exit legs in one name; class C", "orders"),
            ("flips", len(flips), 0, f"direction turns again: {', '.join(flips[:3])}; class C", "names"),
        )
    ]  # fmt: skip
    return (*results, _beyond_plan(p, fills))


def oversell(p: Projection) -> tuple[ControlResult, ...]:
    """RC-20: long only; no name is sold beyond its shares less the open sells. Borrowed shares are not known to this house."""
    sold = np.zeros(len(p.price) + 1)
    np.add.at(sold, p.rows, np.where(p.signs < 0, p.quantity, 0.0))
    left = p.available - sold[:-1]
    results = []
    for row in map(int, np.flatnonzero(~(left >= 0.0))):
        selling = (p.rows == row) & (p.signs < 0)
        name, status = p.inputs.instruments[row], OVERSELL.fail if selling.any() else Status.WARN
        text = f"{name}: {left[row]:g} shares would be left"
        results.append(OVERSELL.result(status, text, key=name, observed=float(left[row]), limit=0.0, is_floor=True))
    least = float(left[sold[:-1] > 0].min(initial=np.inf))
    return tuple(results) or (OVERSELL.result(Status.PASS, observed=least, limit=0.0, is_floor=True),)


def expected_cost(p: Projection) -> tuple[ControlResult, ...]:
    """RC-26: half-spread, fee, conversion and Y * sigma * sqrt(q / ADV) of a buy are at most 30 basis points; tax stays out.

    Slices count as one order. A buy is cut to what costs so much; one whose linear part alone costs more is dropped. Sales
    are measured, never held back.
    Whether the trade earns it is for the optimizer, whose objective has the same costs.
    """
    rules, costs = p.mandate.limits.expected_cost_bps, p.mandate.costs_bps
    adv, sigma, fund = p.adv, p.sigma_daily, p.fund
    dearest, results = max(costs.half_spread_and_fee.values()), []
    for j in np.flatnonzero(~p.is_fx & (p.rows >= 0)):
        row, order = int(p.rows[j]), p.orders[j]
        label = "FUND" if fund[row] == 1.0 else order.currency
        factor = p.inputs.cost_multiples.get((label, order.side), 1.0)  # what live fills ask for
        linear = factor * costs.half_spread_and_fee.get(label, dearest)
        linear += costs.fx if order.currency != p.mandate.base_currency else 0.0
        share = float(p.parent_value[j] / adv[row]) if adv[row] > 0 else np.nan
        known = sigma[row] >= 0.0 and share >= 0.0
        impact = factor * costs.impact_coefficient * sigma[row] * np.sqrt(share) / BASIS_POINT if known else np.nan
        total = linear + float(impact)
        noted = not within(total, rules.warn)
        bad = bool(p.increasing[j]) and not within(total, rules.hard)
        room = max(rules.hard - linear, 0.0)
        keep = min(1.0, (room / impact) ** 2) if bad and np.isfinite(impact) and impact > 0.0 else 0.0
        text = f"{order.instrument}: {total:.6g} basis points expected" if noted else ""
        results.append(
            COST.result(
                COST.fail if bad else Status.WARN if noted else Status.PASS, text, key=order.client_order_id, observed=total,
                limit=rules.hard, order_ids=(order.client_order_id,) if bad else (), keep=float(keep) if bad else 1.0,
            )
        )  # fmt: skip
    return tightest(results, COST.result(Status.PASS, limit=rules.hard))


def issuer(p: Projection) -> tuple[ControlResult, ...]:
    """RC-33: the listings of one issuer obey the position cap together; those of unknown issuer count as one, a fund as its own."""
    names, n, limit = p.inputs.trade.issuer, len(p.price), p.mandate.limits.position
    if not isinstance(names, tuple) or len(names) != n or not all(isinstance(name, str) for name in names):
        raise TypeError("the issuers are missing")
    label, sizes, results = np.array(names, dtype=object), np.abs(p.weights), []
    for key in sorted(name for name, count in Counter(names).items() if count > 1 or name == ""):
        inside = np.array(label == key, dtype=bool)
        total = sizes[inside].sum(axis=0)
        if total[WITH] != 0.0 or total[WITHOUT] != 0.0:
            counted = p.increasing_in(inside)
            shown = key or UNKNOWN_ISSUER
            results.append(cap(ISSUER, p, total, hard=limit.hard, warn=limit.warn, key=shown, counted=counted))
    return tightest(results, ISSUER.result(Status.PASS, observed=0.0, limit=limit.hard))


SIZE_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (QUANTITY, quantity),
    (LIQUIDATION, liquidation),
    (COUNT, order_count),
    (REPEATS, repeats),
    (OVERSELL, oversell),
    (COST, expected_cost),
    (ISSUER, issuer),
)
