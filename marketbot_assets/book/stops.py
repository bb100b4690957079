"""Lots and their stops: entry and extreme per held name, RC-62, RC-63, names blocked (RC-64), passive breaches (RC-31).

A lot's prices stand on a total-return scale: dividends per share received since the first entry (spun-off shares at their
value) are added to every later price (close or fill), splits divide everything, and a merger for shares goes on as a lot of the
acquirer's. So neither an ex date nor a split looks like a loss. Not here: cash and shares of the account (`positions`), the
exit orders (`protective_exits`).
"""

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

from marketbot_assets.book.positions import timeline
from marketbot_assets.book.schema import STOP_LOSS, TRAILING
from marketbot_assets.book.state import Lot, StopHit
from marketbot_resources.corporate_actions import DIVIDENDS, MERGER, SPIN_OFF, SPLIT, CorporateAction
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate_limits import PassiveBreach, Stops
from marketbot_resources.model import Execution, Kind, Side


def roll_lots(
    lots: Iterable[Lot], fills: Iterable[Execution], actions: Iterable[CorporateAction], *, session: dt.date
) -> tuple[Lot, ...]:
    """Lots after the session's fills and actions, sorted by instrument; sold ones are gone.

    A buy averages its price, dividends received so far added, into the entry by quantity; a sell changes the quantity
    alone. Raises HaltError when a fill sells more than the lot holds.
    """
    held = {lot.instrument: lot for lot in lots}
    for move in timeline(fills, actions):
        if isinstance(move, CorporateAction):
            if move.instrument in held:
                _act(held, move, session)
        elif move.kind is Kind.EQUITY:
            lot = _after_fill(held.pop(move.instrument, None), move, session)
            if lot.quantity > 0:
                held[move.instrument] = lot
    return tuple(held[name] for name in sorted(held) if held[name].quantity > 0)


def _act(held: dict[str, Lot], action: CorporateAction, session: dt.date) -> None:
    """Applies one action to the lots that it concerns. Quantities as `account_events` books them."""
    lot = held[action.instrument]
    if action.kind in DIVIDENDS:
        held[lot.instrument] = _paid(lot, action.amount)
    elif action.kind == SPLIT:
        held[lot.instrument] = _scaled(lot, action.ratio)
    elif action.kind == SPIN_OFF:
        held[lot.instrument] = _paid(lot, action.amount)
        if action.other and action.ratio > 0.0:
            value = action.amount / action.ratio if action.amount > 0.0 else math.nan
            received = Lot(action.other, _whole(lot, action.ratio), value, value, 0.0, session)
            held[action.other] = _joined(held.get(action.other), received)
    elif action.settles:
        del held[lot.instrument]
        if action.kind == MERGER and action.other and action.ratio > 0.0:
            moved = replace(_scaled(_paid(lot, action.amount), action.ratio), instrument=action.other)
            held[action.other] = _joined(held.get(action.other), moved)


def _whole(lot: Lot, ratio: float) -> Decimal:
    return (lot.quantity * Decimal(repr(ratio))).to_integral_value(ROUND_FLOOR)


def _paid(lot: Lot, amount: float) -> Lot:
    return replace(lot, dividends=lot.dividends + amount) if math.isfinite(amount) else lot


def _scaled(lot: Lot, ratio: float) -> Lot:
    return replace(
        lot,
        quantity=_whole(lot, ratio),
        entry_price=lot.entry_price / ratio,
        extreme=lot.extreme / ratio,
        dividends=lot.dividends / ratio,
    )


def _joined(own: Lot | None, received: Lot) -> Lot:
    """One lot of shares held and shares received: entries averaged by quantity, the higher extreme, on the scale of `own`."""
    if own is None or not own.quantity or not received.quantity:
        return received if own is None or not own.quantity else own
    shift = own.dividends - received.dividends
    before, added = float(own.quantity), float(received.quantity)
    known = math.isfinite(received.entry_price)
    entry = (before * own.entry_price + added * (received.entry_price + shift)) / (before + added)
    return replace(
        own,
        quantity=own.quantity + received.quantity,
        entry_price=entry if known else own.entry_price,
        extreme=max(own.extreme, received.extreme + shift) if known else own.extreme,
        entered_on=min(own.entered_on, received.entered_on),
    )


def _after_fill(lot: Lot | None, fill: Execution, session: dt.date) -> Lot:
    price = float(fill.price)
    if lot is None:
        lot = Lot(fill.instrument, Decimal(0), price, price, 0.0, session)
    if fill.side is Side.SELL:
        if fill.quantity > lot.quantity:
            raise HaltError(
                f"execution {fill.execution_id}: expected to hold {fill.quantity} of {fill.instrument}, "
                f"found {lot.quantity}"
            )
        return replace(lot, quantity=lot.quantity - fill.quantity)
    before, added = float(lot.quantity), float(fill.quantity)
    entry = (before * lot.entry_price + added * (price + lot.dividends)) / (before + added)
    return replace(lot, quantity=lot.quantity + fill.quantity, entry_price=entry)


def with_extremes(lots: Iterable[Lot], close: Mapping[str, float]) -> tuple[Lot, ...]:
    """Lots whose extreme took this session's close in. The extreme of a new lot starts at its entry price.

    `close`: of bars that landed this session, listing currency; NaN or absent changes nothing. Shares that were received
    without a known value enter at their first close.
    """
    raised = []
    for lot in lots:
        total = close.get(lot.instrument, math.nan) + lot.dividends
        entered = replace(lot, entry_price=total, extreme=total) if math.isnan(lot.entry_price) else lot
        raised.append(replace(entered, extreme=total) if total > entered.extreme else entered)
    return tuple(raised)


def stop_levels(lot: Lot, atr20: float, rules: Stops) -> tuple[float, float]:
    """(stop loss, trailing stop) as closing prices, listing currency, dividends taken off; NaN when ATR is unknown.

    RC-62: entry * (1 - max(min_fraction, multiple * ATR20 / entry)); RC-63: extreme - max(min_fraction * extreme,
    multiple * ATR20).
    """
    if not (math.isfinite(atr20) and atr20 >= 0.0):
        return math.nan, math.nan
    loss, trail = rules.stop_loss, rules.trailing
    below_entry = max(loss.min_fraction * lot.entry_price, loss.atr20_multiple * atr20)
    below_extreme = max(trail.min_fraction * lot.extreme, trail.atr20_multiple * atr20)
    return lot.entry_price - below_entry - lot.dividends, lot.extreme - below_extreme - lot.dividends


def judge_stops(
    lots: Iterable[Lot],
    close: Mapping[str, float],
    atr20: Mapping[str, float],
    rules: Stops,
    *,
    previous: Iterable[StopHit] = (),
) -> tuple[StopHit, ...]:
    """At most one hit per lot, sorted as the lots are; the stop loss comes before the trail.

    `close` and `atr20`: this session's, listing currency; where one is NaN or absent nothing new is hit
    (`unjudged_lots`). A hit of an earlier session stays until its lot is sold whole: an exit that filled in part is not
    called off by a bounce.
    """
    pending = {hit.instrument: hit for hit in previous}
    hits = []
    for lot in lots:
        price = close.get(lot.instrument, math.nan)
        levels = stop_levels(lot, atr20.get(lot.instrument, math.nan), rules)
        broken = [(name, level) for name, level in zip((STOP_LOSS, TRAILING), levels, strict=True) if price < level]
        if lot.instrument in pending:
            hits.append(pending[lot.instrument])
        elif broken:
            hits.append(StopHit(lot.instrument, broken[0][0], price, broken[0][1]))
    return tuple(hits)


def unjudged_lots(lots: Iterable[Lot], close: Mapping[str, float], atr20: Mapping[str, float]) -> dict[str, str]:
    """Instrument -> why its stops could not be judged this session; reported, other rules keep such names from buys."""
    found = {}
    for lot in lots:
        price, atr = close.get(lot.instrument, math.nan), atr20.get(lot.instrument, math.nan)
        if not math.isfinite(price):
            found[lot.instrument] = "no close this session"
        elif not (math.isfinite(atr) and atr >= 0.0):
            found[lot.instrument] = "ATR20 is unknown"
    return found


def blocked_names(
    previous: Iterable[tuple[str, dt.date]],
    hits: Iterable[StopHit],
    *,
    session: dt.date,
    decision_sessions: Sequence[dt.date],
    block_sessions: int,
    stopped: Iterable[str] = (),
) -> tuple[tuple[str, dt.date], ...]:
    """RC-64: instrument -> first session on which it may be bought again, `block_sessions` after it was last hit.

    `decision_sessions` ascend; where they end too early the name stays blocked for good (date.max). Past blocks are
    dropped. `stopped`: names that a protective order at the broker sold.
    """
    ahead = bisect_right(decision_sessions, session) - 1 + block_sessions
    until = decision_sessions[ahead] if ahead < len(decision_sessions) else dt.date.max
    blocked = {name: day for name, day in previous if day > session}
    again = {*(hit.instrument for hit in hits), *stopped}
    blocked |= {name: max(until, blocked.get(name, until)) for name in sorted(again)}
    return tuple(sorted(blocked.items()))


def passive_breaches(
    previous: Iterable[tuple[str, int]], weights: Mapping[str, float], rule: PassiveBreach
) -> tuple[tuple[str, int], ...]:
    """RC-31: instrument -> consecutive sessions with a weight above the trim level, this one counted.

    A weight of NaN leaves the count as it was: an unknown weight neither cures nor ages a breach.
    """
    before = dict(previous)
    counts = {name: before.get(name, 0) + 1 for name, weight in weights.items() if weight > rule.trim}
    unknown = {name: before[name] for name, weight in weights.items() if math.isnan(weight) and name in before}
    return tuple(sorted((counts | unknown).items()))
