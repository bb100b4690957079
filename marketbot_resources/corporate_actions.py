"""What a corporate action does to shares, prices and cash: one rule for our book and for the paper broker. Pure.

An end (merger, delisting) whose value is not known yet leaves the shares in the book, valued by rule, until it is. The rule is
the mean return of delistings for performance: Shumway (1997) -30 % for New York, Shumway and Warther (1999) -55 % for Nasdaq;
elsewhere the harsher of the two, and a reason that nobody told counts as performance.
Not here: where actions come from (providers), whether the price agrees with them (quality rules), lots and stops (the book).
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache

from marketbot_resources import calendars
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.errors import HaltError
from marketbot_resources.model import AccountEvent, to_money

CASH_DIVIDEND, SPECIAL_DIVIDEND, SPIN_OFF, SPLIT = "CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPIN_OFF", "SPLIT"
RENAME, MERGER, DELISTING = "RENAME", "MERGER", "DELISTING"
KINDS = (CASH_DIVIDEND, SPECIAL_DIVIDEND, SPIN_OFF, SPLIT, RENAME, MERGER, DELISTING)  # in this order on one ex session
DIVIDENDS, ENDS = frozenset({CASH_DIVIDEND, SPECIAL_DIVIDEND}), frozenset({MERGER, DELISTING})
BANKRUPTCY, ACQUIRED, VOLUNTARY, TRANSFER, UNKNOWN = REASONS = (
    "BANKRUPTCY",
    "ACQUIRED",
    "VOLUNTARY",
    "TRANSFER",
    "UNKNOWN",
)
DIVIDEND = "DIVIDEND"  # how an account calls what a dividend of either kind pays
NEW_YORK = frozenset({"XNYS", "XASE", "ARCX"})
RETURN_NEW_YORK, RETURN_ELSEWHERE = -0.30, -0.55
CLOSED_DAYS_MAX = 15


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One event of one instrument; `amount` per share held before the ex session, in `currency`.

    SPLIT: `ratio` new shares per old one. SPIN_OFF: `ratio` shares of `other` per share, worth `amount` (NaN: unknown). MERGER:
    `amount` in cash and `ratio` shares of `other` per share. DELISTING: `amount` paid at the end (NaN: unknown), `other` its
    reason. `other` is empty where its shares are not listed with us. `effective_at`: the open of the ex session on the own
    exchange `mic`; of an end that became known later, that instant.
    """

    instrument: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    currency: str
    effective_at: dt.datetime
    other: str = ""
    mic: str = ""

    @property
    def order(self) -> tuple[dt.datetime, str, int]:
        """When it happens among others: dividends of an ex session are per old share, an end comes last."""
        return self.effective_at, self.instrument, KINDS.index(self.kind)

    @property
    def settles(self) -> bool:
        """Whether it takes the shares out of the book: an end whose value is known; a transfer takes nothing."""
        if self.kind == MERGER:
            return self.ratio > 0.0 or math.isfinite(self.amount)
        return self.kind == DELISTING and self.other != TRANSFER and math.isfinite(self.amount)


def first_open(mic: str, day: dt.date, off: Closed = NO_CLOSURES) -> dt.datetime | None:
    """The open of an exchange's first session on or after a day; None beyond the end of its calendar. `off`: closures."""
    return _first_open(mic, day, off.get(mic, frozenset()))


@lru_cache(maxsize=1 << 12)
def _first_open(mic: str, day: dt.date, closed: frozenset[dt.date]) -> dt.datetime | None:
    opens = calendars.sessions(mic, day, day + dt.timedelta(days=CLOSED_DAYS_MAX), {mic: closed})
    return calendars.open_at(mic, opens[0]) if opens else None


def tellings(told: Iterable[tuple[dt.datetime, CorporateAction]]) -> list[tuple[dt.datetime, CorporateAction]]:
    """(known_at, action) of the versions that count, in the order of effect. `told`: any versions, effective at their ex open.

    Of several versions of one event the last that was known by the ex open, else the first. An end counts from when it was
    known, and once more when its value became known.
    """
    events: dict[tuple[str, dt.date, str], list[tuple[dt.datetime, CorporateAction]]] = defaultdict(list)
    for known_at, action in told:
        events[action.instrument, action.ex_session, action.kind].append((known_at, action))
    found = []
    for versions in events.values():
        versions.sort(key=lambda pair: (pair[0], repr(pair[1].amount), pair[1].ratio))
        early = [pair for pair in versions if pair[0] <= pair[1].effective_at]
        chosen = early[-1] if early else versions[0]
        counted = [chosen]
        if chosen[1].kind in ENDS and not chosen[1].settles:
            counted += [pair for pair in versions if pair[0] > chosen[0] and pair[1].settles][:1]
        found += [(known_at, _when_known(known_at, action)) for known_at, action in counted]
    return sorted(found, key=lambda pair: (pair[1].order, pair[0]))


def _when_known(known_at: dt.datetime, action: CorporateAction) -> CorporateAction:
    late = action.kind in ENDS and known_at > action.effective_at
    return replace(action, effective_at=known_at) if late else action


def delisting_return(mic: str, reason: str) -> float:
    """The return from the last price to the unknown final value, simple: 0 for an acquired or transferred name, else by rule."""
    if reason in (ACQUIRED, TRANSFER):
        return 0.0
    return RETURN_NEW_YORK if mic in NEW_YORK else RETURN_ELSEWHERE


def price_after(action: CorporateAction, price: float) -> float:
    """A last price per old share as one per new share after the action, listing currency; NaN when nothing is left."""
    if action.kind in DIVIDENDS or (action.kind == SPIN_OFF and math.isfinite(action.amount)):
        price -= action.amount
    elif action.kind == SPLIT:
        price /= action.ratio
    elif action.kind == DELISTING and not action.settles:
        price *= 1.0 + delisting_return(action.mic, action.other)
    return price if price > 0.0 else math.nan


def value_received(action: CorporateAction, close: float) -> float:
    """What the shares of `other` received per old share are worth, listing currency; NaN when unknown or when there are none.

    `close`: the last one before the ex session. A merger's shares are worth what the close leaves beyond the cash.
    """
    if action.kind == SPIN_OFF:
        return action.amount if action.amount > 0.0 else math.nan
    value = close - (action.amount if action.amount > 0.0 else 0.0)
    return value if action.kind == MERGER and action.ratio > 0.0 and value > 0.0 else math.nan


def account_events(action: CorporateAction, held: Decimal, close: float | None) -> tuple[AccountEvent, ...]:
    """What an action does to the shares held before it: whole shares move, a fraction is paid in cash; nothing for a rename.

    `close`: the last one before the ex session, per old share, listing currency; None or NaN when unknown. Shares of `other` are
    worth what the action says, in a merger what the close leaves beyond the cash; shares that are not listed with us are paid
    at that value. What has no known value brings no cash. Raises HaltError when the fraction of a split has no price.
    """
    if held == 0 or action.kind == RENAME:
        return ()
    last = close if close is not None and close > 0.0 else math.nan
    if action.kind in DIVIDENDS:
        return (_event(action, DIVIDEND, amount=held * _exact(action.amount)),)
    if action.kind == SPLIT:
        return (_split(action, held, last),)
    if action.kind == SPIN_OFF:
        return _received(action, held, value_received(action, last))
    if not action.settles:
        return ()
    cash = held * _exact(action.amount)
    if action.kind == DELISTING:
        return (_event(action, DELISTING, quantity=-held, amount=cash),)
    shares = _received(action, held, value_received(action, last))
    in_lieu = sum((event.amount for event in shares if event.instrument == action.instrument), Decimal(0))
    gone = _event(action, MERGER, quantity=-held, amount=cash + in_lieu)
    return (gone, *(event for event in shares if event.instrument != action.instrument))


def _split(action: CorporateAction, held: Decimal, last: float) -> AccountEvent:
    exact = held * _exact(action.ratio)
    whole = exact.to_integral_value(ROUND_FLOOR)
    if exact != whole and not last > 0.0:
        raise HaltError(
            f"{action.instrument}: expected a close before the split of {action.ex_session}, found {last}; "
            "a fraction of a share has no price"
        )
    fraction = (exact - whole) * _exact(last) / _exact(action.ratio)
    return _event(action, SPLIT, quantity=whole - held, amount=fraction)


def _received(action: CorporateAction, held: Decimal, value: float) -> tuple[AccountEvent, ...]:
    """Shares of `other`, or cash for them; `value` per old share. No event when there is nothing to book."""
    worth = _exact(value if value > 0.0 else 0.0)
    if not action.ratio > 0.0 or not action.other:
        return (_event(action, action.kind, amount=held * worth),) if worth and held else ()
    exact = held * _exact(action.ratio)
    whole = exact.to_integral_value(ROUND_FLOOR)
    fraction = (exact - whole) * worth / _exact(action.ratio)
    return (_event(action, action.kind, instrument=action.other, quantity=whole, amount=fraction),)


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value))) if math.isfinite(value) else Decimal(0)


def _event(
    action: CorporateAction, kind: str, *, instrument: str = "", quantity: Decimal = Decimal(0), amount: Decimal
) -> AccountEvent:
    name = f"{action.instrument}|{action.ex_session.isoformat()}|{action.kind}"
    other = instrument not in ("", action.instrument)
    return AccountEvent(
        event_id=f"{name}|{instrument}" if other else name,
        kind=kind,
        instrument=instrument or action.instrument,
        currency=action.currency,
        amount=to_money(amount, action.currency),
        quantity=quantity,
        effective_at=action.effective_at,
    )
