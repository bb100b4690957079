"""What is held: previous holdings + fills + corporate actions, exact to the minor unit, and what it is worth.

Every amount is rounded as the paper broker rounds it (`fillmodel.cash_changes`, `to_money`), so that the two books
agree to the cent. Not here: the comparison with the broker (`reconciliation`), entry and extreme per lot (`stops`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import CASH, EVENT, POSITION, POSITIONS
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
    actions: pd.DataFrame,
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
    ex = actions["ex_session"]
    first = (after - dt.timedelta(days=CLOSED_DAYS_MAX)).date()
    near = (ex >= pd.Timestamp(first)) | actions["kind"].isin(sorted(ENDS))  # an end may become known late
    near &= ex <= pd.Timestamp(until.date() + dt.timedelta(days=1))
    told = []
    for row in actions[near & (actions["known_at"] <= until)].itertuples(index=False):
        if row.instrument not in mics:
            raise HaltError(f"corporate_actions: expected a known listing, found {row.instrument}")
        action = _action(row, mics, off)
        if action is not None:
            told.append((row.known_at.to_pydatetime(), action))
    return tuple(action for _, action in tellings(told) if after < action.effective_at <= until)


def silent_delistings(
    actions: pd.DataFrame,
    instruments: pd.DataFrame,
    *,
    after: dt.datetime,
    until: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> tuple[CorporateAction, ...]:
    """Delistings of unknown value that no action tells of: listings whose last session is over since (after, until].

    `actions`: CORPORATE_ACTIONS rows; `instruments`: INSTRUMENTS of the session.
    """
    told = set(actions.loc[actions["kind"].isin(sorted(ENDS)) & (actions["known_at"] <= until), "instrument"])
    found = []
    for row in instruments[instruments["delisted_on"].notna()].itertuples(index=False):
        if row.instrument in told:
            continue
        day = row.delisted_on.date() + dt.timedelta(days=1)
        at = first_open(row.mic, day, off) if (until.date() - day).days <= CLOSED_DAYS_MAX else None
        if at is not None and after < at <= until:
            numbers = (math.nan, 0.0, row.currency, at, UNKNOWN, row.mic)
            found.append(CorporateAction(row.instrument, day, DELISTING, *numbers))
    return tuple(sorted(found, key=lambda action: action.order))


def _action(row: Any, mics: Mapping[str, str], off: Closed) -> CorporateAction | None:
    mic = mics[row.instrument]
    at = first_open(mic, row.ex_session.date(), off)
    if at is None:
        return None  # beyond the end of the calendar, hence never effective
    other = row.other if row.kind in (DELISTING, RENAME) or row.other in mics else ""
    day, numbers = row.ex_session.date(), (float(row.amount), float(row.ratio), row.currency)
    return CorporateAction(row.instrument, day, row.kind, *numbers, at, other, mic)


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


def positions_frame(valuation: Valuation, events: Iterable[AccountEvent] = ()) -> pd.DataFrame:
    """A valuation as POSITIONS rows, with the events that the session booked."""
    rows: list[dict[str, object]] = []
    for name, quantity in valuation.holdings.shares.items():
        currency = valuation.currencies.get(name, "")
        row = {"kind": POSITION, "key": name, "instrument": name, "currency": currency, "quantity": quantity}
        fx = valuation.rates.get(currency, math.nan)
        price, value = valuation.prices[name], valuation.values[name]
        rows.append({**row, "amount": None, "price": price, "fx": fx, "value_base": value})
    for currency, amount in valuation.holdings.cash.items():
        fx = valuation.rates[currency]
        row = {"kind": CASH, "key": currency, "instrument": "", "currency": currency, "quantity": None}
        rows.append({**row, "amount": amount, "price": math.nan, "fx": fx, "value_base": float(amount) * fx})
    for event in events:
        row = {"kind": EVENT, "key": event.event_id, "instrument": event.instrument, "currency": event.currency}
        numbers = {"quantity": event.quantity, "amount": event.amount, "price": math.nan}
        rows.append({**row, **numbers, "fx": math.nan, "value_base": math.nan})
    return rows_frame(POSITIONS, rows)
