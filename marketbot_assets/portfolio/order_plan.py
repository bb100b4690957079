"""From target weights to orders that could be sent: whole lots, limit prices, currency legs, reasons. Pure.

Sells first: a protective exit sells everything, odd lots too, within liquidity and the hard order value; other sells round to
the nearest lot. Buys round down at the close and are valued at their limit with costs: whatever hard limit they would break is
kept by cutting the buys that count in it, least useful first; then cash decides (`cash_legs`); what rounding left over buys
single lots (`repair`), and a large order becomes slices (`slicing`). No name gets two orders, none gets one while an order is open
at the broker. Not here: arithmetic of lots (`rounding`), the verdict (the risk stage).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from marketbot_assets.portfolio.bounds import Bounds, bounds_of
from marketbot_assets.portfolio.cash_legs import currency_legs, funded, min_order
from marketbot_assets.portfolio.draft import EXITS, LIMIT_CURE, PROTECTIVE, TARGET, Desk, Draft, projected
from marketbot_assets.portfolio.explanation import NO_DRIVERS, reasons_of
from marketbot_assets.portfolio.facts import Facts, facts_of, nav_known
from marketbot_assets.portfolio.funding import Funding, collars
from marketbot_assets.portfolio.groundwork import Groundwork
from marketbot_assets.portfolio.inputs import Floats, PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.limit import Limit, LinearLimit
from marketbot_assets.portfolio.limits import limit_set
from marketbot_assets.portfolio.protection import protections
from marketbot_assets.portfolio.repair import name_room, with_leftover
from marketbot_assets.portfolio.rounding import buy_limit, exact, lots_down, lots_near, lots_up, sell_limit
from marketbot_assets.portfolio.slicing import sliced
from marketbot_assets.portfolio.target import CURES_ONLY, OPTIMAL, RISK_REDUCING_ONLY, Target
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, Kind, Order, Side, client_order_id
from marketbot_resources.order_types import UNLIMITED

GONE = 5e-7
UNMOVED = 1.5e-6
LEGS = {PROTECTIVE: "P", LIMIT_CURE: "P", TARGET: "T"}
FIRST = (PROTECTIVE, LIMIT_CURE, "FX", TARGET)


def plan_orders(
    inputs: PortfolioInputs,
    target: Target,
    mandate: Mandate,
    *,
    drivers: Mapping[str, str] = NO_DRIVERS,
    ground: Groundwork | None = None,
) -> tuple[PlannedOrder, ...]:
    """The plan: exits, cures, currency legs, target sells, target buys, protections, each group sorted by instrument.

    Without a NAV there is no order at all. A target that is not optimal, a session without rebalance or a reason against all
    buys leaves sells only. `drivers`: instrument -> what its forecast rests on, for the reasons. Which buys are cut first and which
    lots are bought back is decided without views of a language model: they reach orders through the target alone.
    `ground`: what was worked out of these inputs; None = it is worked out here.
    """
    assert ground is None or ground.inputs is inputs, "the groundwork must be of these inputs"
    if not nav_known(inputs):
        return ()
    facts = facts_of(inputs.without_views(), mandate) if ground is None else ground.facts
    exit_collar = collars(inputs, mandate, mandate.execution.exits)
    desk = Desk(inputs, facts, mandate, collars(inputs, mandate), buy_benefit(facts, mandate), exit_collar)
    sells = _sells(desk, target, bounds_of(inputs, facts, mandate, cures_only=not inputs.rebalance))
    buys, limits = list[Draft](), None
    if inputs.rebalance and target.status == OPTIMAL and not facts.no_buys:
        given = None if ground is None else ground.limits
        limits = limit_set(inputs, facts, mandate) if given is None else given
        measured = [x for x in limits.stated if not isinstance(x, Funding)]
        asked = facts.buyable & (target.weights > facts.weights_now)
        prices = [
            _limit(desk, row, Side.BUY, TARGET) if asks else Decimal(0) for row, asks in enumerate(asked.tolist())
        ]
        buys = within_limits(desk, funded(desk, _buys(desk, target, prices), sells), sells, measured)
        buys = [d for d in buys if _worthwhile(desk, d)]
        buys = with_leftover(desk, target, limits, buys, sells, prices)
    rows = [draft.row for draft in (*sells, *buys)]
    reasons = reasons_of(inputs, target, mandate, rows, facts=facts, limits=limits, drivers=drivers)
    planned = [_planned(desk, draft, reasons[draft.row]) for draft in (*sells, *buys)]
    planned += currency_legs(desk, buys, sells)
    planned.sort(key=lambda o: (FIRST.index(o.purpose), o.side == Side.BUY, o.instrument))
    orders = sliced(planned, inputs, mandate)
    return (*orders, *protections(desk, orders))


def buy_benefit(facts: Facts, mandate: Mandate) -> Floats:
    """(n,) utility per year of one more unit of weight at today's book, after costs."""
    rule, now = mandate.portfolio, facts.weights_now
    risk = facts.factor_root.T @ (facts.factor_root @ now) + facts.specific * now
    return np.asarray(
        facts.expected_return - rule.risk_aversion * risk - rule.cost_amortization_per_year * facts.cost_buy
    )


def _worthwhile(desk: Desk, draft: Draft) -> bool:
    value = float(draft.quantity) * float(desk.inputs.price[draft.row]) * float(desk.inputs.fx[draft.row])
    return value >= min_order(desk)


def _sells(desk: Desk, target: Target, bounds: Bounds) -> list[Draft]:
    drafts = []
    for row in range(len(desk.inputs.instruments)):
        wanted, now = float(target.weights[row]), float(desk.facts.weights_now[row])
        falls = wanted < now - UNMOVED or (bounds.must_go[row] and wanted < now)
        if not (desk.facts.sellable[row] and falls and desk.inputs.positions[row] > 0):
            continue
        draft = _sell(desk, target, bounds, row, wanted)
        if draft is not None:
            drafts.append(draft)
    return drafts


def _sell(desk: Desk, target: Target, bounds: Bounds, row: int, wanted: float) -> Draft | None:
    """The sell of one name; None when it is too small to be worth it. A full exit is never too small."""
    now, held, step = float(desk.facts.weights_now[row]), desk.inputs.positions[row], desk.step(row)
    cures = target.method in (CURES_ONLY, RISK_REDUCING_ONLY) or not desk.inputs.rebalance
    purpose = PROTECTIVE if bounds.must_go[row] else LIMIT_CURE if bounds.trimmed[row] or cures else TARGET
    most = desk.shares(row, now - float(bounds.lower[row]))
    if wanted <= GONE and bounds.lower[row] <= GONE:
        quantity = held
    else:
        rounded = lots_near if purpose == TARGET else lots_up
        quantity = rounded(desk.shares(row, now - wanted), step)
        quantity = min(quantity if quantity <= most else lots_down(most, step), held)
    if purpose == TARGET and desk.inputs.target_refusals and desk.inputs.target_refusals[row]:
        return None
    draft = Draft(row, Side.SELL, quantity, _limit(desk, row, Side.SELL, purpose), purpose)
    small = purpose == TARGET and quantity < held and not _worthwhile(desk, draft)
    return None if quantity <= 0 or draft.limit <= 0 or small else draft


def _buys(desk: Desk, target: Target, prices: Sequence[Decimal]) -> list[Draft]:
    """Buys rounded down, each within the hard limits of its own name at its limit price."""
    drafts = []
    for row in map(int, np.flatnonzero(desk.facts.buyable)):
        wanted, now = float(target.weights[row]), float(desk.facts.weights_now[row])
        price = prices[row]
        if not wanted > now or price <= 0:
            continue
        unit = desk.base_value(row, Decimal(1), price) * (1.0 + float(desk.inputs.cost_buy[row]))
        shares = min(desk.shares(row, wanted - now), exact(max(name_room(desk, row), 0.0) / unit))
        draft = Draft(row, Side.BUY, lots_down(shares, desk.step(row)), price, TARGET)
        if draft.quantity > 0 and _worthwhile(desk, draft):
            drafts.append(draft)
    return drafts


def _limit(desk: Desk, row: int, side: Side, purpose: str) -> Decimal:
    """The limit of an order, or what one without a limit is worth."""
    width = desk.exit_collar if purpose in EXITS else desk.collar
    price, collar, tick = float(desk.inputs.price[row]), float(width[row]), desk.inputs.tick_size[row]
    return buy_limit(price, collar, tick) if side is Side.BUY else sell_limit(price, collar, tick)


def within_limits(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft], limits: Sequence[Limit]) -> list[Draft]:
    """The buys that keep every hard limit at their limit prices, after rounding. `limits`: as the mandate states them.

    A limit that is broken without them, too, lets no buy pass that it counts; one on the book's shape counts every buy.
    """
    now, left = desk.facts.weights_now, list(buys)
    while left:
        weights = projected(desk, left, sells)
        rows = np.array([d.row for d in left])
        for limit in limits:
            excess = limit.left(weights, now) - limit.hard
            if excess <= 0.0:
                continue
            slope = limit.gradient(weights, now)
            counted = {int(row) for row in rows if not slope[row] <= 0.0}
            if not counted and not isinstance(limit, LinearLimit):
                counted = {int(row) for row in rows}
            if counted:
                place = desk.least_useful(left, counted)
                break
        else:
            return left
        draft = left[place]
        unit = (
            float(desk.paid(replace(draft, quantity=Decimal(1)))) * float(desk.inputs.fx[draft.row]) / desk.inputs.nav
        )
        missing = excess / (float(slope[draft.row]) * unit) if slope[draft.row] > 0.0 else np.inf
        quantity = desk.cut(
            draft, exact(min(missing, float(draft.quantity))) if np.isfinite(missing) else draft.quantity
        )
        left[place : place + 1] = [replace(draft, quantity=quantity)] if quantity > 0 else []
    return left


def _planned(desk: Desk, draft: Draft, reason: str) -> PlannedOrder:
    inputs, row = desk.inputs, draft.row
    kind, window = desk.type_of(draft.purpose), desk.window(draft)
    cost = inputs.cost_buy[row] if draft.side is Side.BUY else desk.facts.cost_sell[row]
    return PlannedOrder(
        instrument=inputs.instruments[row],
        kind=Kind.EQUITY.value,
        leg=LEGS[draft.purpose],
        side=draft.side.value,
        quantity=draft.quantity,
        limit_price=None if kind in UNLIMITED else draft.limit,
        reference_price=float(inputs.price[row]),
        currency=inputs.currency[row],
        mic=inputs.mic[row],
        value_base=float(draft.value) * float(inputs.fx[row]),
        cost_bps=float(cost) / BASIS_POINT,
        purpose=draft.purpose,
        reason=reason,
        send_from=window[0],
        send_until=window[1],
        type=kind,
    )


def to_orders(planned: Sequence[PlannedOrder], inputs: PortfolioInputs) -> tuple[Order, ...]:
    """The plan as orders, sorted by client order id, which follows from place and leg, not from size."""
    orders = [
        Order(
            client_order_id=client_order_id(
                environment=inputs.environment,
                account=inputs.account,
                session=inputs.session,
                batch_no=inputs.batch_no,
                instrument=p.instrument,
                leg=p.leg,
            ),
            session=inputs.session,
            batch_no=inputs.batch_no,
            leg=p.leg,
            kind=Kind(p.kind),
            instrument=p.instrument,
            mic=p.mic,
            side=Side(p.side),
            quantity=p.quantity,
            limit_price=p.limit_price,
            currency=p.currency,
            send_from=p.send_from,
            send_until=p.send_until,
            reason=p.reason,
            type=p.type,
            stop_price=p.stop_price,
            trail=p.trail,
        )
        for p in planned
    ]
    return tuple(sorted(orders, key=lambda order: order.client_order_id))
