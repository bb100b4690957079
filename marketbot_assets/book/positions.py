"""What is held: previous holdings + fills + corporate actions, exact to the minor unit, and what it is worth.

Every amount is rounded as the paper broker rounds it (`fillmodel.cash_changes`, `to_money`), so that the two books
agree to the cent. Not here: the comparison with the broker (`reconciliation`), entry and extreme per lot (`stops`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import CASH, EVENT, POSITION, POSITIONS
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.calendars import open_at, sessions
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.errors import HaltError
from marketbot_resources.fillmodel import cash_changes
from marketbot_resources.model import AccountEvent, Execution, Kind, to_money

DIVIDEND, SPLIT = "CASH_DIVIDEND", "SPLIT"
_CLOSED_DAYS_MAX = 15


@dataclass(frozen=True, slots=True)
class Holdings:
    """Shares per instrument and cash per currency; a zero is left out. Shares are never negative, cash may be."""

    shares: dict[str, Decimal]
    cash: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One event that took effect. `kind` CASH_DIVIDEND or SPLIT.

    `amount` per share held before the ex session, in `currency`. `ratio`: new shares per old share. `effective_at`: the
    open of the ex session on the listing's own exchange.
    """

    instrument: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    currency: str
    effective_at: dt.datetime


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
    """Rows of CORPORATE_ACTIONS known at `until` whose ex session opened in (after, until], in that order; of several
    versions of one event the last one known.

    An ex date on which the exchange is closed counts from the next session on; `off`: closures. `mics`: instrument
    -> exchange; a missing one raises HaltError.
    """
    ex = actions["ex_session"]
    first = (after - dt.timedelta(days=_CLOSED_DAYS_MAX)).date()
    near = (ex >= pd.Timestamp(first)) & (ex <= pd.Timestamp(until.date() + dt.timedelta(days=1)))
    found = []
    versions = actions[near & (actions["known_at"] <= until)].sort_values("known_at", kind="stable")
    for row in versions.drop_duplicates(["instrument", "ex_session", "kind"], keep="last").itertuples(index=False):
        if row.instrument not in mics:
            raise HaltError(f"corporate_actions: expected a known listing, found {row.instrument}")
        at = _first_open(mics[row.instrument], row.ex_session.date(), off)
        if after < at <= until:
            found.append(
                CorporateAction(
                    instrument=row.instrument,
                    ex_session=row.ex_session.date(),
                    kind=row.kind,
                    amount=float(row.amount),
                    ratio=float(row.ratio),
                    currency=row.currency,
                    effective_at=at,
                )
            )
    return tuple(sorted(found, key=_action_order))


def _action_order(action: CorporateAction) -> tuple[dt.datetime, str, str]:
    # CASH_DIVIDEND sorts before SPLIT: a dividend of the same ex session is per old share.
    return action.effective_at, action.instrument, action.kind


def _first_open(mic: str, day: dt.date, off: Closed) -> dt.datetime:
    return open_at(mic, sessions(mic, day, day + dt.timedelta(days=_CLOSED_DAYS_MAX), off)[0])


def timeline(fills: Iterable[Execution], actions: Iterable[CorporateAction]) -> list[Execution | CorporateAction]:
    """Everything in the order in which it happened; at one instant corporate actions come first.

    Who buys in the opening auction of the ex session buys without the right.
    """
    moves: list[tuple[tuple[dt.datetime, int, str, str], Execution | CorporateAction]] = [
        ((fill.executed_at, 1, fill.execution_id, ""), fill) for fill in fills
    ]
    moves += [((action.effective_at, 0, action.instrument, action.kind), action) for action in actions]
    return [move for _, move in sorted(moves, key=lambda pair: pair[0])]


def roll_positions(
    previous: Holdings,
    fills: Iterable[Execution],
    actions: Iterable[CorporateAction],
    *,
    base_currency: str,
    closes_before: Mapping[str, float],
) -> tuple[Holdings, tuple[AccountEvent, ...]]:
    """(holdings after the fills and actions, the dividends and splits booked), exact.

    Dividend: to_money(shares held before the ex session * amount). Split: shares * ratio, the fraction of a share is
    paid at `closes_before` / ratio (`closes_before`: last close before the ex session, per old share, listing
    currency). Raises HaltError when a fill sells more than is held or a fraction has no price. Whole shares only.
    """
    shares, cash = dict(previous.shares), dict(previous.cash)
    events = []
    for move in timeline(fills, actions):
        if isinstance(move, Execution):
            _book_fill(move, shares, cash, base_currency)
            continue
        held = shares.get(move.instrument, Decimal(0))
        if held == 0:
            continue
        event = _event(move, held, closes_before)
        shares[move.instrument] = held + event.quantity
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


def _event(action: CorporateAction, held: Decimal, closes_before: Mapping[str, float]) -> AccountEvent:
    quantity, amount = Decimal(0), Decimal(0)
    if action.kind == DIVIDEND:
        amount = to_money(held * Decimal(repr(action.amount)), action.currency)
    elif action.kind == SPLIT:
        exact = held * Decimal(repr(action.ratio))
        whole = exact.to_integral_value(ROUND_FLOOR)
        quantity = whole - held
        if exact != whole:
            amount = _fraction_cash(action, exact - whole, closes_before)
    else:
        raise HaltError(f"corporate_actions: expected {DIVIDEND} or {SPLIT}, found {action.kind}")
    return AccountEvent(
        event_id=f"{action.instrument}|{action.ex_session.isoformat()}|{action.kind}",
        kind="DIVIDEND" if action.kind == DIVIDEND else SPLIT,
        instrument=action.instrument,
        currency=action.currency,
        amount=amount,
        quantity=quantity,
        effective_at=action.effective_at,
    )


def _fraction_cash(action: CorporateAction, fraction: Decimal, closes_before: Mapping[str, float]) -> Decimal:
    close = closes_before.get(action.instrument, math.nan)
    if not close > 0.0:
        raise HaltError(f"{action.instrument}: expected a close before the split of {action.ex_session}, found {close}")
    return to_money(fraction * Decimal(repr(float(close))) / Decimal(repr(action.ratio)), action.currency)


def session_closes(window: MarketWindow) -> dict[str, float]:
    """Close per instrument of the bar of the window's last session; NaN when none landed, nothing is carried."""
    close = np.where(window.fresh[-1], window.close[-1], np.nan)
    return {name: float(value) for name, value in zip(window.instruments, close, strict=True)}


def carried_prices(last: Mapping[str, float], actions: Sequence[CorporateAction]) -> dict[str, float]:
    """Last known prices after the actions: less the dividend, by the split's ratio; NaN when nothing is left."""
    prices = dict(last)
    for action in sorted(actions, key=_action_order):
        if action.instrument in prices:
            price = prices[action.instrument]
            price = price - action.amount if action.kind == DIVIDEND else price / action.ratio
            prices[action.instrument] = price if price > 0.0 else math.nan
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
    """A valuation as POSITIONS rows, with the dividends and splits that the session booked."""
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
