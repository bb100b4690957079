"""Controls of the account: RC-19 settlement, RC-22 wash sales, RC-23 intraday margin and round trips.

Not here: whether buys are paid at all (`funding`), what was traded lately (`marketbot_assets.book.trades`).
"""

import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np

from marketbot_assets.risk.control import TOLERANCE, ControlResult, Rule, within
from marketbot_assets.risk.funding import flows
from marketbot_assets.risk.inputs import Flags
from marketbot_assets.risk.projection import WITH, Projection, base_rate, members, number
from marketbot_assets.risk.size_controls import PROTECTIVE_LEG
from marketbot_resources.model import Kind, OpenOrder, Side, Status
from marketbot_resources.order_types import PROTECTIVE_LEGS

SETTLEMENT = Rule(
    "RC-19",
    "settlement",
    Status.SHRINK,
    formula="cash account: buys with costs <= settled cash + conversions; a margin account passes",
    answers="12 CFR 220.8 (free-riding); house",
)
WASH_SALE = Rule(
    "RC-22",
    "wash sale",
    Status.REJECT_ORDER,
    "orders",
    formula="no sale at a loss within days of a buy of the same issuer, before or after it",
    answers="26 USC 1091",
)
MARGIN = Rule(
    "RC-23",
    "intraday margin",
    Status.REJECT_ORDER,
    "fraction of NAV",
    formula="1 - maintenance * sum |w| >= 0; no name opened and closed in one session",
    answers="FINRA 4210",
)

MARGIN_ACCOUNT, CASH_ACCOUNT = "margin", "cash"
USD = "USD"


def settlement(p: Projection) -> tuple[ControlResult, ...]:
    """RC-19: on a cash account no buy is paid by sales that have not settled by its session; conversions count as settled."""
    waiting = p.inputs.trade.unsettled
    if not isinstance(waiting, Mapping) or not all(np.isfinite(number(amount)) for amount in waiting.values()):
        raise TypeError("the unsettled sales are missing")
    if p.mandate.account.type == MARGIN_ACCOUNT:
        return (SETTLEMENT.result(Status.PASS, "a margin account: the broker lends until sales settle"),)
    results = []
    for currency in sorted({p.mandate.base_currency, *p.inputs.cash, *(order.currency for order in p.orders)}):
        rate = base_rate(p.inputs, p.mandate, currency)
        settled = number(p.inputs.cash.get(currency, 0)) - number(waiting.get(currency, 0))
        moves = flows(p, currency)
        sold = {o.client_order_id for o in p.orders if o.kind is not Kind.FX and o.side is Side.SELL}
        need = -sum(flow.amount for flow in moves if not flow.amount >= 0.0)
        have = max(settled, 0.0) * rate + sum(
            flow.amount for flow in moves if flow.amount >= 0.0 and flow.order_id not in sold
        )
        gap = need - have
        if need == 0.0 or (np.isfinite(gap) and gap <= TOLERANCE * p.nav):
            continue
        spending = {flow.order_id for flow in moves if not flow.amount >= 0.0}
        ids = tuple(o.client_order_id for o in p.orders if o.client_order_id in spending)
        keep = min(1.0, max(0.0, have / need)) if np.isfinite(gap) and need > 0 else 0.0
        text = f"{currency}: {need:.6g} needed, {have:.6g} settled"
        results.append(
            SETTLEMENT.result(
                SETTLEMENT.fail, text, key=currency, observed=need / p.nav, limit=have / p.nav, order_ids=ids, keep=keep
            )
        )
    return tuple(results) or (SETTLEMENT.result(Status.PASS),)


def _recent(pairs: object, p: Projection) -> dict[str, dt.date]:
    """Issuer -> newest day within the window; a name that is no longer known stands for itself."""
    if not isinstance(pairs, tuple):
        raise TypeError("what was traded lately is missing")
    issuers = dict(zip(p.inputs.instruments, p.inputs.trade.issuer, strict=True))
    found: dict[str, dt.date] = {}
    for name, day in pairs:
        if (p.inputs.session - day).days <= p.mandate.limits.wash_sale.days:
            key = issuers.get(name) or name
            found[key] = max(day, found.get(key, day))
    return found


def wash_sale(p: Projection) -> tuple[ControlResult, ...]:
    """RC-22 (26 USC 1091): a sale at a loss within 30 days of a buy of the same issuer, before or after it.

    `tax_mode` ignore counts it, note warns, avoid refuses the buy, or the sale unless it is an exit. A sale loses when the close
    is below its lot's entry price; other papers that are "substantially identical" are not known.
    """
    book, avoid = p.inputs.book, p.mandate.account.tax_mode == "avoid"
    if not p.increasing_ids and not (isinstance(book.bought, tuple) and isinstance(book.sold_at_loss, tuple)):
        return (WASH_SALE.result(Status.WARN, "what was traded lately is not known; sales alone go on"),)
    bought, lost = _recent(book.bought, p), _recent(book.sold_at_loss, p)
    entry = {lot.instrument: number(lot.entry_price) for lot in members(book.lots)}
    issuers = dict(zip(p.inputs.instruments, p.inputs.trade.issuer, strict=True))
    exits = {hit.instrument for hit in members(book.stop_hits)}
    shares = list(zip(p.orders, p.is_fx, p.limit, p.price[p.rows], strict=True))
    buying = {issuers.get(o.instrument) or o.instrument for o, fx, _, _ in shares if not fx and o.side is Side.BUY}
    met = []
    for order, is_fx, _, close in shares:
        issuer = issuers.get(order.instrument) or order.instrument
        forced = order.leg in PROTECTIVE_LEGS or order.instrument in exits
        loses = not close >= entry.get(order.instrument, np.nan)
        washes = issuer in lost if order.side is Side.BUY else loses and (issuer in bought or issuer in buying)
        if washes and not is_fx:
            met.append((order, avoid and not (forced and order.side is Side.SELL)))
    refused = tuple(order.client_order_id for order, stopped in met if stopped)
    loud = met and p.mandate.account.tax_mode != "ignore"
    status = WASH_SALE.fail if refused else Status.WARN if loud else Status.PASS
    names = sorted({order.instrument for order, _ in met})
    text = f"losses that the tax office may not count: {', '.join(names[:5])}" if met else ""
    return (WASH_SALE.result(status, text, observed=len(met), limit=0, order_ids=refused, keep=0.0),)


def _round_trips(p: Projection) -> tuple[Flags, Flags]:
    """((m,) buys of what the batch sells, (m,) sells of what an open order still buys): nothing was filled yet in their session."""
    opened = p.inputs.trade.open_orders
    if not isinstance(opened, tuple) or not all(isinstance(order, OpenOrder) for order in opened):
        raise TypeError("the open orders are missing")
    buying = {o.instrument for o in opened if o.side is Side.BUY}
    selling = {o.instrument for o in p.orders if o.side is Side.SELL and o.kind is not Kind.FX}
    opens = [o.side is Side.BUY and o.kind is not Kind.FX and o.instrument in selling for o in p.orders]
    closes = [o.side is Side.SELL and o.kind is not Kind.FX and o.instrument in buying for o in p.orders]
    return np.array(opens, dtype=bool), np.array(closes, dtype=bool)


def intraday_margin(p: Projection) -> tuple[ControlResult, ...]:
    """RC-23: what the orders leave keeps a maintenance margin of 25 % of the shares; nothing is opened and closed in one session.

    An exit may close it (a stop must), but under the old day-trade rule (`pdt_legacy`) below 25,000 USD only a stop's.
    """
    rules, regime = p.mandate.limits.round_trips, p.mandate.account.margin_regime
    excess = 1.0 - rules.maintenance * np.abs(p.weights).sum(axis=0)
    bad = not within(0.0, float(excess[WITH])) and bool(p.increasing_ids)
    text = f"excess margin {excess[WITH]:.6g}" if bad else ""
    results = [
        MARGIN.result(
            MARGIN.fail if bad else Status.PASS, text, key="excess", observed=float(excess[WITH]), limit=0.0, is_floor=True,
            order_ids=p.increasing_ids if bad else (), keep=0.0,
        )
    ]  # fmt: skip
    stops = {hit.instrument for hit in members(p.inputs.book.stop_hits)}
    equity = p.nav / base_rate(p.inputs, p.mandate, USD)
    small = regime == "pdt_legacy" and not within(rules.pdt_equity_usd, equity)
    opens, closes = _round_trips(p)
    trips = opens | closes
    free = np.array([o.instrument in stops or (o.leg == PROTECTIVE_LEG and not small) for o in p.orders], dtype=bool)
    held_back = p.ids(opens | (closes & ~free))
    status = MARGIN.fail if held_back else Status.WARN if trips.any() else Status.PASS
    text = f"{int(trips.sum())} orders open and close a name in one session, regime {regime}" if trips.any() else ""
    results.append(
        MARGIN.result(
            status,
            text,
            key="round trips",
            observed=int(trips.sum()),
            limit=0,
            order_ids=held_back,
            keep=0.0,
            unit="orders",
        )
    )
    return tuple(results)


ACCOUNT_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (SETTLEMENT, settlement),
    (WASH_SALE, wash_sale),
    (MARGIN, intraday_margin),
)
