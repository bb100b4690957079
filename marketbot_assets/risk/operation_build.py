"""Fills, orders, cash and earnings of a session become `OperationFacts`. Pure.

Each function recomputes its number from what others recorded: fills and orders from the ledger and the plans, earnings from the
book before. Not here: where the inputs are read (`operations`, the backtest's loop), the answers (`*_controls`).
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import pandas as pd

from marketbot_assets.book.fills import is_bust
from marketbot_assets.book.positions import PositionRow
from marketbot_assets.book.roll import Held
from marketbot_assets.book.schema import BREAK, CASH, EVENT
from marketbot_assets.insight.lead import Lead
from marketbot_assets.normalization.action_book import ActionBook, book_of
from marketbot_assets.normalization.bar_index import Bar, BarIndex
from marketbot_assets.risk.feature_drift import Section, compared_features
from marketbot_assets.risk.operation_facts import (
    NO_CHAMPION,
    UNREGISTERED,
    Breach,
    ChampionFacts,
    FillQuality,
    OperationFacts,
    TradeCost,
)
from marketbot_resources.calendars import close_at, next_open, session_at
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import SPLIT
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, PAPER, Execution, Kind, OpenOrder, Order, plain
from marketbot_resources.order_slices import beyond_parents
from marketbot_resources.order_types import UNLIMITED, Phase, phase_of

SHARES_TOLERANCE = Decimal("1e-9")
BAR_GRACE = dt.timedelta(minutes=15)
NAN = math.nan
NO_BAR = (NAN, NAN, NAN, NAN)
SPLITS = frozenset({SPLIT})
Splits: TypeAlias = Mapping[str, Sequence[tuple[dt.date, Decimal]]]
Bars: TypeAlias = Mapping[tuple[str, dt.date], Bar] | BarIndex
Positions: TypeAlias = pd.DataFrame | Sequence[PositionRow]


@dataclass(frozen=True, slots=True)
class Traded:
    """What was filled and what had been ordered. `recent`: fills of the last sessions with this one; `fills`: this session's.

    `orders`: client order id -> the order as recorded before it was sent; `expected_bps`: id -> cost that its plan expected, NaN
    when unknown. `splits` and `bars`: as known at the cutoff, see `splits_of` and `bars_of`.
    """

    fills: tuple[Execution, ...]
    recent: tuple[Execution, ...]
    orders: Mapping[str, Order]
    expected_bps: Mapping[str, float]
    splits: Splits
    bars: Bars
    closed: Closed


def auction_session(order: Order, closed: Closed) -> dt.date:
    """The session of the order's exchange in which it trades: its window closes shortly before the open, or within it."""
    within = None if phase_of(order.type) is Phase.OPEN else session_at(order.mic, order.send_until, closed)
    return within or next_open(order.mic, order.send_until, closed)[0]


def splits_of(actions: pd.DataFrame | ActionBook, until: dt.datetime | None = None) -> Splits:
    """Instrument -> (ex session, new shares per old one) of every split in CORPORATE_ACTIONS rows, those known at `until`."""
    found: dict[str, list[tuple[dt.date, Decimal]]] = {}
    for row in book_of(actions).of(SPLITS):
        if until is None or row.known_at <= until:
            found.setdefault(row.instrument, []).append((row.ex_session, Decimal(repr(row.ratio))))
    return found


def split_ratio(splits: Splits, instrument: str, after: dt.date, until: dt.date) -> Decimal:
    """New shares per old one from splits with ex session in (after, until]."""
    return math.prod((ratio for day, ratio in splits.get(instrument, ()) if after < day <= until), start=Decimal(1))


def fill_breaks(traded: Traded) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(messages of orders filled beyond their quantity, after splits; messages of fills without such an order), sorted.

    Of this session's fills, with earlier ones of the same order: what was found before stands in the register.
    """
    filled: dict[str, Decimal] = {}
    over, unknown = [], []
    for fill in traded.recent:
        quantity = -fill.quantity if is_bust(fill.execution_id) else fill.quantity
        filled[fill.client_order_id] = filled.get(fill.client_order_id, Decimal(0)) + quantity
    for fill in traded.fills:
        order = traded.orders.get(fill.client_order_id)
        if is_bust(fill.execution_id):
            unknown.append(f"{fill.execution_id} of {fill.client_order_id}: the broker took the execution back")
            continue
        if order is None or (order.instrument, order.side, order.kind) != (fill.instrument, fill.side, fill.kind):
            what = (
                "no order of ours has this id" if order is None else f"the order is to {order.side} {order.instrument}"
            )
            unknown.append(f"fill {fill.execution_id} of {fill.client_order_id}: {what}")
    for name in {fill.client_order_id for fill in traded.fills}:
        order, quantity = traded.orders.get(name), filled[name]
        if order is None:
            continue
        allowed = order.quantity
        if order.kind is Kind.EQUITY:
            day = auction_session(order, traded.closed)
            allowed *= split_ratio(traded.splits, order.instrument, order.session, day)
        if not quantity <= allowed + SHARES_TOLERANCE:
            over.append(f"order {name}: filled {plain(quantity)} of {plain(allowed)}")
    for name, (order, total) in beyond_parents(traded.orders, filled).items():
        if name != order.client_order_id:
            continue
        ratio = split_ratio(traded.splits, order.instrument, order.session, auction_session(order, traded.closed))
        if not total <= order.quantity * ratio + SHARES_TOLERANCE:
            over.append(f"order {name}: with its slices filled {plain(total)} of {plain(order.quantity)}")
    return tuple(sorted(over)), tuple(sorted(unknown))


def fill_qualities(traded: Traded) -> tuple[FillQuality, ...]:
    """Each fill in shares of this session against its order's limit and the bar of its auction's session, sorted by id."""
    found = []
    for fill in traded.fills:
        if fill.kind is not Kind.EQUITY or is_bust(fill.execution_id):
            continue
        order = traded.orders.get(fill.client_order_id)
        price, sign, limit = float(fill.price), fill.side.sign, NAN
        opened, low, high = NAN, NAN, NAN
        if order is not None and (order.limit_price is not None or order.type in UNLIMITED):
            day = auction_session(order, traded.closed)
            ratio = float(split_ratio(traded.splits, fill.instrument, order.session, day))
            limit = float(fill.price) if order.limit_price is None else float(order.limit_price) / ratio
            opened, low, high, closing = traded.bars.get((fill.instrument, day), NO_BAR)
            opened = closing if phase_of(order.type) is Phase.CLOSE else opened
        found.append(
            FillQuality(
                execution_id=fill.execution_id,
                instrument=fill.instrument,
                slippage_bps=sign * (price - opened) / opened / BASIS_POINT if opened > 0 else NAN,
                beyond_limit=sign * (price - limit) / limit,
                beyond_range=max(low - price, price - high) / price,
            )
        )
    return tuple(sorted(found, key=lambda quality: quality.execution_id))


def bars_of(
    prices: pd.DataFrame, fills: Sequence[Execution], orders: Mapping[str, Order], closed: Closed
) -> dict[tuple[str, dt.date], Bar]:
    """(instrument, session) -> (open, low, high, close) of the auctions of a session's fills, from PRICES rows."""
    names = {fill.instrument for fill in fills if fill.kind is Kind.EQUITY}
    if not names:
        return {}
    asked = [orders[f.client_order_id] for f in fills if f.client_order_id in orders]
    days = {auction_session(order, closed) for order in asked if order.kind is Kind.EQUITY}
    rows = prices[prices["session"].isin([pd.Timestamp(day) for day in sorted(days)])]
    rows = rows[rows["instrument"].isin(names)]
    return {
        (str(row.instrument), row.session.date()): (
            *(float(row.open), float(row.low), float(row.high), float(row.close)),
        )
        for row in rows.itertuples(index=False)
    }


def trade_costs(
    traded: Traded, qualities: Sequence[FillQuality], before: Sequence[TradeCost], most: int
) -> tuple[TradeCost, ...]:
    """The newest fills in shares whose shortfall and expectation are known, at most `most`, oldest first, each once.

    Shortfall: slippage against the auction's price plus fee and tax over value, basis points.
    """
    known = {quality.execution_id: quality.slippage_bps for quality in qualities}
    seen = {trade.execution_id for trade in before}
    new = []
    for fill in traded.fills:
        slippage, expected = known.get(fill.execution_id, NAN), traded.expected_bps.get(fill.client_order_id, NAN)
        costs = float((fill.fee + fill.tax) / (fill.quantity * fill.price)) / BASIS_POINT
        if fill.execution_id not in seen and math.isfinite(slippage + costs) and math.isfinite(expected):
            new.append(TradeCost(fill.execution_id, fill.instrument, slippage + costs, expected))
    return (*before, *new)[-most:]


def pnl_unexplained(before: Held, fills: Iterable[Execution], positions: Positions, base: str) -> float:
    """NAV of POSITIONS rows less what the book before, fills and booked events make of it at its prices and rates; base currency.

    A value that is not known counts as none on both sides. NaN when shares that should be there have no row at all.
    """
    rows: list[Any] = list(positions.itertuples(index=False) if isinstance(positions, pd.DataFrame) else positions)
    shares, cash = _flowed(before, fills, [row for row in rows if row.kind == EVENT], base)
    rates, parts = {base: 1.0, **before.rates}, []
    for row in rows:
        if row.kind == EVENT:
            continue
        rates[row.currency] = float(row.fx)
        amount = (cash if row.kind == CASH else shares).pop(row.key, Decimal(0))
        if math.isfinite(row.value_base):
            unit = float(row.fx) if row.kind == CASH else float(row.price) * float(row.fx)
            parts.append(float(row.value_base) - float(amount) * unit)
    if any(amount != 0 for amount in shares.values()):
        return NAN
    # Cash that rounds to nothing has no row; less than a unit of a currency without a rate is such cash.
    gone = {name: amount for name, amount in sorted(cash.items()) if amount != 0}
    for name, amount in gone.items():
        rate = rates.get(name, NAN)
        parts.append(0.0 if math.isnan(rate) and abs(amount) < 1 else -float(amount) * rate)
    return math.fsum(parts)


def _flowed(
    before: Held, fills: Iterable[Execution], events: Iterable[Any], base: str
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """(shares, cash) of the book before after fills and booked events, amounts as they come, not rounded."""
    shares, cash = defaultdict(Decimal, before.holdings.shares), defaultdict(Decimal, before.holdings.cash)
    for fill in fills:
        signed = fill.side.sign * fill.quantity
        if fill.kind is Kind.EQUITY:
            shares[fill.instrument] += signed
            cash[fill.currency] -= signed * fill.price + fill.fee + fill.tax
        else:
            cash[fill.currency] += signed - fill.tax
            cash[base] -= signed * fill.price + fill.fee
    for row in events:
        shares[row.instrument] += row.quantity or Decimal(0)
        cash[row.currency] += row.amount or Decimal(0)
    return shares, cash


def cash_differences(reconciliation: pd.DataFrame, rates: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """(currency, difference in base currency) of the cash that no event explains; NaN without a rate. Sorted."""
    rows = reconciliation[(reconciliation["kind"] == CASH) & (reconciliation["outcome"] == BREAK)]
    return tuple(
        sorted(
            (str(row.key), float(row.difference) * rates.get(str(row.key), NAN)) for row in rows.itertuples(index=False)
        )
    )


def overdue_orders(
    open_orders: Iterable[OpenOrder], orders: Mapping[str, Order], cutoff: dt.datetime, closed: Closed = NO_CLOSURES
) -> tuple[str, ...]:
    """Client order ids of open orders that are not ours, or whose exchange has closed the session of their auction."""
    late = []
    for open_order in open_orders:
        order = orders.get(open_order.client_order_id)
        if order is None or order.kind is not Kind.EQUITY:
            late.append(open_order.client_order_id)
        elif cutoff >= close_at(order.mic, auction_session(order, closed), closed) + BAR_GRACE:
            late.append(open_order.client_order_id)
    return tuple(sorted(late))


def refusals(answers: Sequence[bool]) -> tuple[int, int, int]:
    """(most refusals in a row, refusals, orders sent) of the broker's answers in the order of sending; True = refused."""
    most = row = 0
    for refused in answers:
        row = row + 1 if refused else 0
        most = max(most, row)
    return most, sum(answers), len(answers)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything else that the facts need. `before`: the book of the session before; `positions`, `rates`: this session's.

    `reconciliation`: None where book and broker are compared exactly elsewhere. `previous`: what the verdict before carries.
    `broker_at`: the broker's clock at the cutoff, None = not told. `answers`: refusals of the batch before, in order of sending.
    `features`, `past_features`: of this session and of those before.
    `permitted_environment`: whose money may be moved, PAPER or another word. `llm`: (answers of language models in this run,
    those that the gate refused). `alerts_unheard`, `beats_unheard`: see the facts.
    `lead`: the registry's champion in RETURN_MODEL; `champion_state`: where the registry had it.
    """

    session: dt.date
    cutoff: dt.datetime
    environment: str
    broker_at: dt.datetime | None
    before: Held
    positions: Positions
    rates: Mapping[str, float]
    reconciliation: pd.DataFrame | None
    open_orders: tuple[OpenOrder, ...]
    breaches: tuple[Breach, ...]
    trades: tuple[TradeCost, ...]
    operator: bool
    other_sessions: tuple[str, ...]
    heartbeat_sessions: int
    answers: Sequence[bool]
    model_spec: str
    model_scores: tuple[str, ...]
    features: Section
    past_features: Sequence[Section]
    permitted_environment: str = PAPER
    llm: tuple[int, int] = (0, 0)
    alerts_unheard: tuple[str, ...] = ()
    beats_unheard: tuple[str, ...] = ()
    model_state: str = UNREGISTERED
    lead: Lead | None = None
    champion_state: str = UNREGISTERED


def operation_facts(known: Sources, traded: Traded, mandate: Mandate, mandate_spec: str) -> OperationFacts:
    """The facts of one session. `mandate_spec`: hash of the model that the mandate asks for."""
    over, unknown = fill_breaks(traded)
    qualities, most = fill_qualities(traded), mandate.limits.cost_drift.fills
    skew = NAN if known.broker_at is None else (known.broker_at - known.cutoff).total_seconds()
    row, refused, sent = refusals(known.answers)
    compared = known.reconciliation
    return OperationFacts(
        session=known.session,
        environment=known.environment,
        clock_skew_seconds=skew,
        fills=qualities,
        overfills=over,
        unknown_fills=unknown,
        cash_differences=() if compared is None else cash_differences(compared, known.rates),
        overdue_orders=overdue_orders(known.open_orders, traded.orders, known.cutoff, traded.closed),
        pnl_unexplained=pnl_unexplained(known.before, traded.fills, known.positions, mandate.base_currency),
        trades=trade_costs(traded, qualities, known.trades, most),
        breaches=known.breaches,
        operator=known.operator,
        other_sessions=known.other_sessions,
        heartbeat_sessions=known.heartbeat_sessions,
        refused_in_a_row=row,
        refused=refused,
        sent=sent,
        model_spec=known.model_spec,
        mandate_spec=mandate_spec,
        model_scores=known.model_scores,
        features=known.features.columns,
        drift=compared_features(known.features, known.past_features),
        drift_sessions=len(known.past_features),
        permitted_environment=known.permitted_environment,
        llm_answers=known.llm[0],
        llm_refused=known.llm[1],
        alert_channels=0 if mandate.notification is None else len(mandate.notification.channels),
        alerts_unheard=known.alerts_unheard,
        watched=mandate.notification is not None and mandate.notification.heartbeat is not None,
        beats_unheard=known.beats_unheard,
        model_state=known.model_state,
        champion=_champion(known.lead, known.champion_state),
    )


def _champion(lead: Lead | None, state: str) -> ChampionFacts:
    if lead is None:
        return NO_CHAMPION
    return (
        ChampionFacts("", 0.0, state, lead.why)
        if lead.weight == 0.0
        else ChampionFacts(lead.spec, lead.weight, state, "")
    )
