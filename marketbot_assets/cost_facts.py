"""What costs are measured on, from the reader and the ledger: orders that ended, auctions, rates. Not here: any arithmetic.

Of the ledger only recorded intents are read, which are written before an order is sent and never change.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from marketbot_assets.panels import MARKET_DEPS, market
from marketbot_assets.session_facts import NEAR_SESSIONS, open_orders, rates_of
from marketbot_resources.calendars import session_at
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import Kind, Order, order_from_record
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.execution.shortfall_frame import Prices
    from marketbot_assets.panels import Market
    from marketbot_resources.closures import Closed
    from marketbot_resources.model import Execution

CALIBRATION_DEPS = (*MARKET_DEPS, "account_snapshot", "fills", "factor_model")
SHORTFALL_DEPS = (*CALIBRATION_DEPS, "orders", "order_plan", "submissions")
HISTORY_SESSIONS, FIRST_SESSIONS = 60, 5
Auctions = dict[tuple[str, dt.date], tuple[float, float]]


def cost_calibration(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """COST_CALIBRATION: the measurements so far with those of this session's fills, and the factors that follow."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.portfolio import calibration

    known, environment, before = market(read, NEAR_SESSIONS), environment_told(read), read.previous("cost_calibration")
    fills = dated(executions_of(read.read("fills")), known, known.mandate.calendar.closed)
    orders = intents(ledger, {fill.client_order_id for fill, _ in fills})
    auctions = auctions_of(read, {(fill.instrument, day) for fill, day in fills})
    adv, sigma, funds = liquidity(read, known)
    seen = calibration.Market(auctions, adv, sigma, rates_of(read), funds)
    new = calibration.measured(fills, orders, seen, known.mandate, environment)
    return calibration.calibration_frame(before, new, known.mandate, environment)


def shortfall(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """SHORTFALL of the orders that ended since the session before; those still worked are carried on."""
    import pandas as pd

    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.book.rows import rows_frame
    from marketbot_assets.execution.schema import SHORTFALL, SUBMISSIONS
    from marketbot_assets.execution.shortfall_frame import WORKING, Traded, shortfall_frame
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.portfolio.schema import ORDER_PLAN

    known, before, last = market(read, NEAR_SESSIONS), read.previous("shortfall"), read.previous_session("shortfall")
    kept = [] if before is None else [row for row in before.itertuples(index=False) if row.state == WORKING]
    worked = {str(row.client_order_id): row.decided_on.date() for row in kept}
    first = None if last is None else min([*worked.values(), last])
    depth = FIRST_SESSIONS if first is None else read.sessions_since(known.mandate.calendar, first)
    orders = [
        order
        for day, frame in (read.each("orders", depth, with_session=False) if depth else [])
        for order in orders_from_frame(frame)
        if last is None or day >= last or order.client_order_id in worked
    ]
    if not orders:
        return rows_frame(SHORTFALL, [])
    told = [frame for _, frame in read.each("submissions", depth, with_session=False)]
    plans = [frame for _, frame in read.each("order_plan", depth, with_session=False)]
    fills = {fill.execution_id: fill for _, frame in read.each("fills", depth + 1) for fill in executions_of(frame)}
    states = pd.concat([*told, pd.DataFrame(columns=[column.name for column in SUBMISSIONS.columns])])
    traded = Traded(
        orders=orders,
        plans=pd.concat(plans, ignore_index=True)
        if plans
        else pd.DataFrame(columns=[c.name for c in ORDER_PLAN.columns]),
        states=dict(zip(states["client_order_id"], states["state"], strict=True)),
        fills=tuple(fills.values()),
        open_ids=frozenset(order.client_order_id for order in open_orders(read.read("account_snapshot"))),
        cutoff=read.cutoff,
        environment=environment_told(read),
    )
    return shortfall_frame(traded, _prices(read, known, orders, traded.fills), read.session, known.mandate)


def ended_before(read: Reader) -> "list[tuple[dt.date, pd.DataFrame]]":
    """(session, SHORTFALL) of the sessions before, oldest first, for pages."""
    return read.each("shortfall", HISTORY_SESSIONS, with_session=False)


def environment_told(read: Reader) -> str:
    """What the broker says its account is; empty when it does not say."""
    snapshot = read.read("account_snapshot")
    rows = snapshot.loc[snapshot["kind"] == "BROKER", "text"]
    return str(rows.iloc[0]) if len(rows) == 1 else ""


def intents(ledger: Ledger, names: Collection[str]) -> dict[str, Order]:
    """The orders whose intent the ledger holds."""
    found = {name: ledger.get("order_intent", name) for name in sorted(names)}
    return {name: order_from_record(entry.body) for name, entry in found.items() if entry is not None}


def dated(fills: "Sequence[Execution]", known: "Market", closed: "Closed") -> "list[tuple[Execution, dt.date]]":
    """Fills of shares with the session of their exchange; what was executed while it was closed is left out."""
    mics = dict(zip(known.instruments["instrument"], known.instruments["mic"], strict=True))
    shares = [fill for fill in fills if fill.kind is Kind.EQUITY and fill.instrument in mics]
    days = [session_at(mics[fill.instrument], fill.executed_at, closed) for fill in shares]
    return [(fill, day) for fill, day in zip(shares, days, strict=True) if day is not None]


def auctions_of(read: Reader, wanted: Collection[tuple[str, dt.date]]) -> Auctions:
    """(instrument, session) -> (open, close) of the bars known at the cutoff; the newest version of a bar counts."""
    import pandas as pd

    prices = read.as_of("prices")
    if not wanted:
        return {}
    days = [pd.Timestamp(day) for day in sorted({day for _, day in wanted})]
    rows = prices[prices["session"].isin(days) & prices["instrument"].isin({name for name, _ in wanted})]
    rows = rows.sort_values("known_at", kind="stable")
    return {
        (str(r.instrument), r.session.date()): (float(r.open), float(r.close)) for r in rows.itertuples(index=False)
    }


def liquidity(read: Reader, known: "Market") -> tuple[dict[str, float], dict[str, float], frozenset[str]]:
    """(value traded per session in base currency, volatility per session, which are funds), by instrument."""
    from marketbot_assets.features.factor_model import from_frame
    from marketbot_assets.features.liquidity import traded_value

    names, model = known.window.instruments, from_frame(read.read("factor_model"))
    adv = {name: float(x) for name, x in zip(names, traded_value(known.window)[0], strict=True)}
    sigma = {name: float(x) for name, x in zip(model.instruments, model.sigma_daily, strict=True)}
    rows = known.instruments
    return adv, sigma, frozenset(rows.loc[rows["kind"] == "FUND", "instrument"])


def _prices(read: Reader, known: "Market", orders: Sequence[Order], fills: "Sequence[Execution]") -> "Prices":
    from marketbot_assets.execution.shortfall_frame import Prices, last_day
    from marketbot_assets.risk.operation_build import split_ratio, splits_of

    closed, window = known.mandate.calendar.closed, known.window
    ends = {o.client_order_id: last_day(o, closed) for o in orders if o.kind is Kind.EQUITY}
    wanted = {(o.instrument, ends[o.client_order_id]) for o in orders if o.client_order_id in ends}
    wanted |= {(fill.instrument, day) for fill, day in dated(fills, known, closed)}
    adv, sigma, funds = liquidity(read, known)
    splits = splits_of(read.as_of("corporate_actions"))
    ratio = {
        o.client_order_id: split_ratio(splits, o.instrument, o.session, ends[o.client_order_id])
        for o in orders
        if o.client_order_id in ends
    }
    rates: dict[tuple[dt.date, str], float] = {}
    for row, day in enumerate(window.sessions):
        rates |= {(day, ccy): float(x) for ccy, x in zip(known.instruments["currency"], window.fx[row], strict=True)}
        rates[day, known.mandate.base_currency] = 1.0
    return Prices(auctions_of(read, wanted), rates, adv, sigma, funds, {n: Decimal(r) for n, r in ratio.items()})
