"""From the market, the account and the broker's record to `TradeFacts`. Pure.

Not here: what the controls make of them (`permission_controls`, `size_controls`, `account_controls`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.normalization.near_events import LEAD
from marketbot_assets.portfolio.eligibility import Account, Market, newest_moves
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.settlement import unsettled
from marketbot_assets.risk.trade_facts import Filled, NextSession, SentOrder, TradeFacts
from marketbot_resources.calendars import close_at, next_open
from marketbot_resources.closures import Closed
from marketbot_resources.corporate_actions import SPLIT
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, Execution, Kind, OpenOrder, Order

NAN = float("nan")
AGREEMENT = "providers_agree"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the broker and the ledger say of orders, at the cutoff.

    `fills`: executions since the session before; `planned`: client order id -> quantity of the recorded intent; `sent`: orders of
    this session that the broker knows; `price_difference`: instrument -> disagreement of two vendors, fraction.
    """

    fills: tuple[Execution, ...] = ()
    planned: Mapping[str, Decimal] = field(default_factory=dict)
    sent: tuple[SentOrder, ...] = ()
    price_difference: Mapping[str, float] = field(default_factory=dict)


def trade_facts(
    market: Market,
    account: Account,
    traffic: Traffic,
    open_orders: Sequence[OpenOrder],
    target: Floats,
    mandate: Mandate,
    cutoff: dt.datetime,
) -> TradeFacts:
    """The facts of one judgement. `target` (n,): weights, NaN for a held name without price."""
    listed, off = market.listed, mandate.calendar.closed
    following = {mic: next_session(mic, cutoff, off) for mic in sorted(set(listed.texts("mic")))}
    return TradeFacts(
        cutoff=cutoff,
        listed_on=listed.listed_on,
        ticker=listed.texts("ticker"),
        name=listed.texts("name"),
        issuer=listed.issuers,
        ended=frozenset(market.ends.ended),
        ending=frozenset(market.ends.ending),
        price_level=np.asarray(market.window.price_level[-1]),
        history_sessions=np.asarray(market.history_sessions, dtype=float),
        move=newest_moves(market.window),
        target=np.asarray(target, dtype=float),
        next_sessions=following,
        price_difference=dict(sorted(traffic.price_difference.items())),
        quotes={},
        events=market.events,
        open_orders=tuple(open_orders),
        sent=traffic.sent,
        fills=filled(traffic, market),
        unsettled=unsettled(account.book.unsettled, listed.mics, cutoff, off),
    )


def next_session(mic: str, cutoff: dt.datetime, off: Closed) -> NextSession:
    """The first session of an exchange whose auction can still be reached."""
    day, opens_at = next_open(mic, cutoff + LEAD, off)
    return NextSession(day, opens_at, close_at(mic, day, off))


def differences(quality: pd.DataFrame) -> dict[str, float]:
    """Instrument -> disagreement of two vendors on its newest close, fraction; NaN when it cannot be measured.

    `quality`: DATA_QUALITY, whose rule measures in basis points; 0 is left out, it does not tell agreement from a single vendor.
    """
    rows = quality[(quality["rule"] == AGREEMENT) & (quality["observed"] != 0.0)]
    return {
        str(name): abs(float(bps)) * BASIS_POINT for name, bps in zip(rows["subject"], rows["observed"], strict=True)
    }


def filled(traffic: Traffic, market: Market) -> tuple[Filled, ...]:
    """Fills of shares per order, by the instant of the last one. Legs of currencies have no part in it."""
    by_order: dict[str, list[Execution]] = {}
    for fill in traffic.fills:
        if fill.kind is Kind.EQUITY:
            by_order.setdefault(fill.client_order_id, []).append(fill)
    split = {e.instrument: e.ratio for e in market.events if e.kind == SPLIT and e.applied and e.ratio > 0.0}
    found = []
    for order_id, fills in by_order.items():
        first, shares = fills[0], float(sum(fill.quantity for fill in fills))
        paid = float(sum(fill.quantity * fill.price for fill in fills))
        planned = float(traffic.planned.get(order_id, NAN)) * max(1.0, split.get(first.instrument, 1.0))
        price = paid / shares * float(market.fx_rates.get(first.currency, NAN))
        last = max(fill.executed_at for fill in fills)
        found.append(Filled(order_id, first.instrument, first.side, shares, planned, price, last))
    return tuple(sorted(found, key=lambda x: (x.executed_at, x.client_order_id)))


def sent_order(order: Order) -> SentOrder:
    """An order as one that was sent."""
    return SentOrder(order.client_order_id, order.instrument, order.side, order.leg, order.batch_no)
