"""What is held: previous holdings + fills + corporate actions, exact to the minor unit, and what it is worth.

Every amount is rounded as the paper broker rounds it (`fillmodel.cash_changes`, `to_money`), so that the two books
agree to the cent. Not here: the comparison with the broker (`reconciliation`), entry and extreme per lot (`stops`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import CASH, EVENT, POSITION, POSITIONS
from marketbot_assets.normalization.action_book import ActionBook, ToldAction, book_of
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import (
    CLOSED_DAYS_MAX,
    DELISTING,
    ENDS,
    RENAME,
    UNKNOWN,
    CorporateAction,
    account_events,
    first_open,
    price_after,
    tellings,
    value_received,
)
from marketbot_resources.errors import HaltError
from marketbot_resources.fillmodel import cash_changes
from marketbot_resources.model import AccountEvent, Execution, Kind


@dataclass(frozen=True, slots=True)
class Holdings:
    """Shares per instrument and cash per currency; a zero is left out. Shares are never negative, cash may be."""

    shares: dict[str, Decimal]
    cash: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Valuation:
    """Holdings in base currency. `nav`: sum of everything whose value is known.

    `values`: instrument -> base value, NaN when unknown. `prices`, `rates`: what was used, last known ones included.
    `unpriced`: sorted instruments (no price or rate ever) and currencies as `CASH:<currency>` (no rate ever); while it
    is not empty `nav` is too low and nothing may be bought.
    """

    holdings: Holdings
    currencies: Mapping[str, str]
    nav: float
    values: Mapping[str, float]
    prices: Mapping[str, float]
    rates: Mapping[str, float]
    unpriced: tuple[str, ...]

    def weights(self) -> dict[str, float]:
        """Fraction of NAV per held instrument; NaN where the value is unknown."""
        return {name: value / self.nav for name, value in self.values.items()}


def effective_actions(
    actions: pd.DataFrame | ActionBook,
    mics: Mapping[str, str],
    *,
    after: dt.datetime,
    until: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> tuple[CorporateAction, ...]:
    """Actions of CORPORATE_ACTIONS rows known at `until` that took effect in (after, until], in that order.

    An ex date on which the exchange is closed counts from the next session on (`off`: closures); which version counts: `tellings`.
    `mics`: instrument -> exchange; a missing one raises HaltError.
    """
    book, last = book_of(actions), until.date() + dt.timedelta(days=1)
    near = book.near((after - dt.timedelta(days=CLOSED_DAYS_MAX)).date(), last)
    ends = [row for row in book.of(ENDS) if row.ex_session <= last]  # an end may become known late
    told = []
    for row in sorted({*near, *ends}) if ends else near:
        if row.known_at > until:
            continue
        if row.instrument not in mics:
            raise HaltError(f"corporate_actions: expected a known listing, found {row.instrument}")
        action = _action(row, mics, off)
        if action is not None:
            told.append((row.known_at, action))
    return tuple(action for _, action in tellings(told) if after < action.effective_at <= until)


def silent_delistings(
    actions: pd.DataFrame | ActionBook,
    instruments: pd.DataFrame | Listings,
    *,
    after: dt.datetime,
    until: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> tuple[CorporateAction, ...]:
    """Delistings of unknown value that no action tells of: listings whose last session is over since (after, until].

    `actions`: CORPORATE_ACTIONS rows; `instruments`: INSTRUMENTS of the session.
    """
    listed = listings_of(instruments)
    if not listed.ends:
        return ()
    told = {row.instrument for row in book_of(actions).of(ENDS) if row.known_at <= until}
    found = []
    for name, last in listed.ends:
        if name in told:
            continue
        day, mic = last + dt.timedelta(days=1), listed.mics[name]
        at = first_open(mic, day, off) if (until.date() - day).days <= CLOSED_DAYS_MAX else None
        if at is not None and after < at <= until:
            numbers = (math.nan, 0.0, listed.currencies[name], at, UNKNOWN, mic)
            found.append(CorporateAction(name, day, DELISTING, *numbers))
    return tuple(sorted(found, key=lambda action: action.order))


def _action(row: ToldAction, mics: Mapping[str, str], off: Closed) -> CorporateAction | None:
    mic = mics[row.instrument]
    at = first_open(mic, row.ex_session, off)
    if at is None:
        return None  # beyond the end of the calendar, hence never effective
    other = row.other if row.kind in (DELISTING, RENAME) or row.other in mics else ""
    numbers = (row.amount, row.ratio, row.currency)
    return CorporateAction(row.instrument, row.ex_session, row.kind, *numbers, at, other, mic)


def timeline(fills: Iterable[Execution], actions: Iterable[CorporateAction]) -> list[Execution | CorporateAction]:
    """Everything in the order in which it happened; at one instant corporate actions come first.

    Who buys in the opening auction of the ex session buys without the right.
    """
    moves: list[tuple[tuple[dt.datetime, int, str, int], Execution | CorporateAction]] = [
        ((fill.executed_at, 1, fill.execution_id, 0), fill) for fill in fills
    ]
    moves += [((at, 0, name, rank), action) for action in actions for at, name, rank in [action.order]]
    return [move for _, move in sorted(moves, key=lambda pair: pair[0])]


def roll_positions(
    previous: Holdings,
    fills: Iterable[Execution],
    actions: Iterable[CorporateAction],
    *,
    base_currency: str,
    closes_before: Mapping[str, float],
) -> tuple[Holdings, tuple[AccountEvent, ...]]:
    """(holdings after the fills and actions, the events booked), exact. Whole shares only.

    What an action does: `account_events`. `closes_before`: last close before the ex session, per old share, listing
    currency. Raises HaltError when a fill sells more than is held or the fraction of a split has no price.
    """
    shares, cash = dict(previous.shares), dict(previous.cash)
    events = []
    for move in timeline(fills, actions):
        if isinstance(move, Execution):
            _book_fill(move, shares, cash, base_currency)
            continue
        held = shares.get(move.instrument, Decimal(0))
        for event in account_events(move, held, closes_before.get(move.instrument)):
            shares[event.instrument] = shares.get(event.instrument, Decimal(0)) + event.quantity
            cash[event.currency] = cash.get(event.currency, Decimal(0)) + event.amount
            events.append(event)
    return without_zeros(shares, cash), tuple(events)


def without_zeros(shares: Mapping[str, Decimal], cash: Mapping[str, Decimal]) -> Holdings:
    """Holdings in sorted order, zeros left out."""
    kept = ({key: book[key] for key in sorted(book) if book[key] != 0} for book in (shares, cash))
    return Holdings(*kept)


def _book_fill(fill: Execution, shares: dict[str, Decimal], cash: dict[str, Decimal], base_currency: str) -> None:
    if fill.kind is Kind.EQUITY:
        after = shares.get(fill.instrument, Decimal(0)) + fill.side.sign * fill.quantity
        if after < 0:
            raise HaltError(
                f"execution {fill.execution_id}: expected to hold {fill.quantity} of {fill.instrument}, "
                f"found {shares.get(fill.instrument, 0)}; reconcile with the broker"
            )
        shares[fill.instrument] = after
    for currency, _, amount in cash_changes(fill, base_currency):
        cash[currency] = cash.get(currency, Decimal(0)) + amount


def session_closes(window: MarketWindow) -> dict[str, float]:
    """Close per instrument of the bar of the window's last session; NaN when none landed, nothing is carried."""
    close = np.where(window.fresh[-1], window.close[-1], np.nan)
    return {name: float(value) for name, value in zip(window.instruments, close, strict=True)}


def carried_prices(last: Mapping[str, float], actions: Sequence[CorporateAction]) -> dict[str, float]:
    """Last known prices after the actions (`price_after`); shares received get what they were worth, if it is known."""
    prices = dict(last)
    for action in sorted(actions, key=lambda action: action.order):
        if action.instrument not in prices:
            continue
        price = prices[action.instrument]
        worth = value_received(action, price)
        if action.other and worth > 0.0 and action.ratio > 0.0 and not prices.get(action.other, math.nan) > 0.0:
            prices[action.other] = worth / action.ratio
        prices[action.instrument] = price_after(action, price)
    return prices


def value_positions(
    holdings: Holdings,
    close: Mapping[str, float],
    fx: Mapping[str, float],
    currencies: Mapping[str, str],
    *,
    base_currency: str,
    last_prices: Mapping[str, float] | None = None,
    last_rates: Mapping[str, float] | None = None,
) -> Valuation:
    """Values the holdings at this session's closes and rates; where one is missing or NaN, at the last known.

    `close` per instrument in its listing currency, `currencies` its currency, `fx` base per unit (base is 1).
    `last_prices` must be split-adjusted (`carried_prices`). What was never priced has value NaN, is named and not
    counted.
    """
    wanted = {*currencies.values(), *holdings.cash, *fx}  # also of what was sold today
    rates = {c: 1.0 if c == base_currency else _known(c, fx, last_rates) for c in sorted(wanted)}
    prices = {name: _known(name, close, last_prices) for name in sorted(holdings.shares)}
    values = {
        name: float(holdings.shares[name]) * price * rates.get(currencies.get(name, ""), math.nan)
        for name, price in prices.items()
    }
    money = {currency: float(holdings.cash[currency]) * rates[currency] for currency in sorted(holdings.cash)}
    unpriced = [name for name, value in values.items() if math.isnan(value)]
    unpriced += [f"{CASH}:{currency}" for currency, value in money.items() if math.isnan(value)]
    nav = math.fsum(value for value in (*values.values(), *money.values()) if not math.isnan(value))
    return Valuation(holdings, dict(currencies), nav, values, prices, rates, tuple(unpriced))


def _known(key: str, now: Mapping[str, float], last: Mapping[str, float] | None) -> float:
    for source in (now, last or {}):
        value = float(source.get(key, math.nan))
        if math.isfinite(value) and value > 0.0:
            return value
    return math.nan


class PositionRow(NamedTuple):
    """One POSITIONS row without its frame. `quantity` shares, `amount` cash; None where a kind has none of it."""

    kind: str
    key: str
    instrument: str
    currency: str
    quantity: Decimal | None
    amount: Decimal | None
    price: float
    fx: float
    value_base: float


def position_rows(valuation: Valuation, events: Iterable[AccountEvent] = ()) -> list[PositionRow]:
    """A valuation as POSITIONS rows, with the events that the session booked."""
    nan, rows = math.nan, list[PositionRow]()
    for name, quantity in valuation.holdings.shares.items():
        currency = valuation.currencies.get(name, "")
        fx, price, value = valuation.rates.get(currency, nan), valuation.prices[name], valuation.values[name]
        rows.append(PositionRow(POSITION, name, name, currency, quantity, None, price, fx, value))
    for currency, amount in valuation.holdings.cash.items():
        fx = valuation.rates[currency]
        rows.append(PositionRow(CASH, currency, "", currency, None, amount, nan, fx, float(amount) * fx))
    for event in events:
        place, moved = (event.event_id, event.instrument, event.currency), (event.quantity, event.amount)
        rows.append(PositionRow(EVENT, *place, *moved, nan, nan, nan))
    return rows


def positions_frame(valuation: Valuation, events: Iterable[AccountEvent] = ()) -> pd.DataFrame:
    """`position_rows` as a POSITIONS frame."""
    return rows_frame(POSITIONS, [row._asdict() for row in position_rows(valuation, events)])
