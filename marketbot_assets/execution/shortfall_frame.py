"""SHORTFALL rows: each approved order that is over, or still worked, with its prices, its parts and what the model said. Pure.

Arrival is the official open of the auction's session for an order on the open, its close for one on the close, the reference rate
for a currency leg; of any other order it is not known: no quote of the instant of sending is stored. Not here: the arithmetic
(`shortfall`), fill by fill against the plan (`costs`), what is made of it (`portfolio.calibration`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.execution.schema import SHORTFALL
from marketbot_assets.execution.shortfall import Part, Shortfall, in_base, shortfall
from marketbot_resources.calendars import close_at, next_open, session_at
from marketbot_resources.closures import Closed
from marketbot_resources.fillmodel import FUND_COSTS, SPREAD_SHARE, square_root_impact
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, Execution, Kind, Order, OrderState, OrderType
from marketbot_resources.order_slices import CLOSE_LEG
from marketbot_resources.order_types import STOP_LEG

WORKING, FILLED, PARTIAL, UNFILLED = "WORKING", "FILLED", "PARTIAL", "UNFILLED"
OPEN, CLOSE, RATE = "opening auction", "closing auction", "reference rate"
ARRIVALS = {
    **dict.fromkeys((OrderType.LIMIT_ON_OPEN, OrderType.MARKET_ON_OPEN), OPEN),
    **dict.fromkeys((OrderType.LIMIT_ON_CLOSE, OrderType.MARKET_ON_CLOSE), CLOSE),
}
NO_QUOTE, NO_BAR = "no quote of the instant of sending is stored", "no bar of the order's session"
NO_PLAN, NO_RATE, OVERFILLED = "no plan prices this order", "no rate of its currency", "more filled than ordered"
TOLD = {OrderState.REJECTED: "REJECTED", OrderState.APPROVED: "NOT_SENT", OrderState.UNKNOWN: "UNKNOWN"}
NAN = math.nan
_PARTS = ("filled", "average_price", "delay", "spread", "impact", "residual", "opportunity", "fees", "taxes", "total",
          "total_bps", "rate", "total_base", "fx_base", "realised_bps", "model_bps")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prices:
    """What the market was, as known at the cutoff. All mappings answer NaN or nothing for what is not known.

    `bars`: (instrument, session of its exchange) -> (open, close). `rates`: (decision session, currency) -> base per unit, the base
    itself at 1. `adv`: instrument -> base currency per session; `sigma_daily`: instrument -> per session. `funds`: instruments that
    are funds. `ratio`: client order id -> new shares per old one from splits between its decision and its end.
    """

    bars: Mapping[tuple[str, dt.date], tuple[float, float]]
    rates: Mapping[tuple[dt.date, str], float]
    adv: Mapping[str, float]
    sigma_daily: Mapping[str, float]
    funds: frozenset[str]
    ratio: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Traded:
    """What became of orders. `plans`: ORDER_PLAN rows; `states`: client order id -> the last state that the broker told.

    `fills`: all executions since the oldest of the orders; `open_ids`: what the broker works at `cutoff`.
    """

    orders: Sequence[Order]
    plans: pd.DataFrame
    states: Mapping[str, str]
    fills: Sequence[Execution]
    open_ids: frozenset[str]
    cutoff: dt.datetime
    environment: str


BOUNDS = frozenset({STOP_LEG, CLOSE_LEG})


def last_day(order: Order, closed: Closed) -> dt.date:
    """The session of the order's exchange that trades at the end of its window, or opens next after it."""
    return session_at(order.mic, order.send_until, closed) or next_open(order.mic, order.send_until, closed)[0]


def is_over(order: Order, open_ids: frozenset[str], cutoff: dt.datetime, closed: Closed) -> bool:
    """Whether nothing more can become of it: the broker does not work it and its last session has closed."""
    ends = order.send_until if order.kind is Kind.FX else close_at(order.mic, last_day(order, closed), closed)
    return order.client_order_id not in open_ids and ends <= cutoff


def shortfall_frame(traded: Traded, prices: Prices, session: dt.date, mandate: Mandate) -> pd.DataFrame:
    """One row per order, sorted by client order id; what is not known is null, with a reason.

    A protection that was not hit and a rest of slices that filled nothing missed nothing: they have no row.
    """
    plans = {str(name): rows for name, rows in traded.plans.groupby("client_order_id")} if len(traded.plans) else {}
    fills: dict[str, list[Execution]] = {}
    for fill in traded.fills:
        fills.setdefault(fill.client_order_id, []).append(fill)
    rows = []
    for order in traded.orders:
        planned = plans.get(order.client_order_id)
        plan = planned.iloc[0] if planned is not None and len(planned) == 1 else None
        own = [
            f for f in fills.get(order.client_order_id, []) if (f.instrument, f.side) == (order.instrument, order.side)
        ]
        if order.leg in BOUNDS and not own:
            continue
        rows.append(_row(order, plan, own, traded, prices, session, mandate))
    return rows_frame(SHORTFALL, rows)


def _row(
    order: Order,
    plan: "pd.Series | None",
    fills: Sequence[Execution],
    traded: Traded,
    prices: Prices,
    session: dt.date,
    mandate: Mandate,
) -> dict[str, object]:
    closed = mandate.calendar.closed
    row: dict[str, object] = {
        "client_order_id": order.client_order_id,
        "decided_on": pd.Timestamp(order.session),
        "environment": traded.environment,
        "instrument": order.instrument,
        "currency": order.currency,
        "side": order.side.value,
        "order_type": "FX" if order.kind is Kind.FX else order.type.value,
        "state": WORKING,
        "quantity": order.quantity,
        "decision_price": NAN,
        "arrival_price": NAN,
        "arrival": "",
        "close_price": NAN,
        "expected_bps": NAN if plan is None else _finite(plan["cost_bps"]),
        "reason": "",
        **dict.fromkeys(_PARTS, NAN),
    }
    if not is_over(order, traded.open_ids, traded.cutoff, closed):
        return {**row, "reason": "still worked, or its last session has not closed"}
    ratio = prices.ratio.get(order.client_order_id, Decimal(1))
    quantity, filled = order.quantity * ratio, sum((fill.quantity for fill in fills), Decimal(0))
    row |= {"quantity": quantity, "state": _state(order, filled, quantity, traded.states)}
    reference = NAN if plan is None else _finite(plan["reference_price"]) / float(ratio)
    arrival, kind, close, why = _market(order, fills, reference, prices, session, closed)
    row |= {"decision_price": reference, "arrival_price": arrival, "arrival": kind, "close_price": close}
    if not reference > 0.0 or filled > quantity:
        return {**row, "filled": float(filled), "reason": OVERFILLED if filled > quantity else NO_PLAN}
    parts = [Part(fill.quantity, fill.price, fill.fee, _tax(fill, prices, session)) for fill in fills]
    exact = [_decimal(price) for price in (reference, arrival, close)]
    assert exact[0] is not None
    found = shortfall(order.side, quantity, parts, decision=exact[0], arrival=exact[1], close=exact[2])
    rate = (Decimal(1),) * 2 if order.kind is Kind.FX else _rates(order, prices, session)
    base = in_base(order.side, quantity, found, close=exact[2], then=rate[0], now=rate[1])
    needs = (
        bool(filled) and exact[1] is None,
        filled < quantity and exact[2] is None,
        rate[0] is None or rate[1] is None,
    )
    reasons = [text for text, due in zip((why, NO_BAR, NO_RATE), needs, strict=True) if due]
    return {
        **row,
        **_amounts(found, base.total, base.currency),
        "rate": NAN if rate[0] is None else float(rate[0]),
        **_model(order, found, arrival, rate[0], prices, mandate),
        "reason": "; ".join(dict.fromkeys(reasons)),
    }


def _state(order: Order, filled: Decimal, quantity: Decimal, states: Mapping[str, str]) -> str:
    if filled >= quantity:
        return FILLED
    if filled > 0:
        return PARTIAL
    told = states.get(order.client_order_id)
    return next((word for state, word in TOLD.items() if told == state.value), UNFILLED)


def _market(
    order: Order,
    fills: Sequence[Execution],
    reference: float,
    prices: Prices,
    session: dt.date,
    closed: Closed,
) -> tuple[float, str, float, str]:
    """(arrival price, which one that is, close when the order ended, why there is no arrival)."""
    if order.kind is Kind.FX:
        return reference, RATE, prices.rates.get((session, order.currency), NAN), ""
    day = last_day(order, closed)
    traded = [session_at(order.mic, fill.executed_at, closed) or day for fill in fills]
    close = prices.bars.get((order.instrument, max([day, *traded])), (NAN, NAN))[1]
    kind = ARRIVALS.get(order.type, "")
    if not kind:
        return NAN, "", close, NO_QUOTE
    opened, ended = prices.bars.get((order.instrument, day), (NAN, NAN))
    return opened if kind == OPEN else ended, kind, close, NO_BAR


def _rates(order: Order, prices: Prices, session: dt.date) -> tuple[Decimal | None, Decimal | None]:
    return (
        _decimal(prices.rates.get((order.session, order.currency), NAN)),
        _decimal(prices.rates.get((session, order.currency), NAN)),
    )


def _tax(fill: Execution, prices: Prices, session: dt.date) -> Decimal:
    """A leg's tax is in the currency itself, its price and fee in base."""
    if fill.kind is not Kind.FX or not fill.tax:
        return fill.tax
    return fill.tax * (_decimal(prices.rates.get((session, fill.currency), NAN)) or Decimal(1))


def _amounts(found: Shortfall, total: Decimal | None, currency: Decimal | None) -> dict[str, object]:
    told = {
        "filled": found.filled,
        "average_price": found.average,
        "delay": found.delay,
        "opportunity": found.opportunity,
        "fees": found.fees,
        "taxes": found.taxes,
        "total": found.total,
        "total_bps": found.bps,
        "total_base": total,
        "fx_base": currency,
    }
    return {name: NAN if value is None else float(value) for name, value in told.items()}


def _model(
    order: Order, found: Shortfall, arrival: float, rate: Decimal | None, prices: Prices, mandate: Mandate
) -> dict[str, object]:
    """Trading cost split into the model's spread and impact and the rest; realised and model cost of what was filled, bps."""
    nothing: dict[str, object] = {"spread": 0.0, "impact": 0.0, "residual": 0.0}
    if not found.filled:
        return nothing
    if found.trading is None or not arrival > 0.0:
        return dict.fromkeys(nothing, NAN)
    costs, value = mandate.costs_bps, float(found.filled) * arrival
    if order.kind is Kind.FX:
        half, tax, share, impact = costs.fx, 0.0, 1.0, 0.0
    else:
        dearest = max(costs.half_spread_and_fee.values())
        label = FUND_COSTS if order.instrument in prices.funds else order.currency
        half, share = costs.half_spread_and_fee.get(label, dearest), float(SPREAD_SHARE)
        taxes = costs.tax_buy if order.side.sign > 0 else costs.tax_sell
        tax = taxes.get(order.currency, 0.0)
        adv, sigma = prices.adv.get(order.instrument, NAN), prices.sigma_daily.get(order.instrument, NAN)
        known = rate is not None and adv > 0.0 and sigma >= 0.0
        impact = square_root_impact(value * float(rate or 0), adv, sigma, costs.impact_coefficient) if known else NAN
    spread = value * half * share * BASIS_POINT
    paid = float(found.trading + found.fees + found.taxes)
    return {
        "spread": spread,
        "impact": value * impact,
        "residual": float(found.trading) - spread - value * impact,
        "realised_bps": paid / value / BASIS_POINT,
        "model_bps": half + tax + impact / BASIS_POINT,
    }


def _finite(value: object) -> float:
    known = isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else NAN  # type: ignore[arg-type]


def _decimal(value: float) -> Decimal | None:
    return Decimal(repr(float(value))) if math.isfinite(value) and value > 0.0 else None
