"""A corporate action and what the book booked for it as a move of tax lots. Pure. Not here: what it does to them (`tax_lots`)."""

import datetime as dt
import math
from decimal import Decimal

from marketbot_assets.audit.tax_moves import ZERO, Happening, Rate
from marketbot_resources.corporate_actions import DELISTING, DIVIDENDS, MERGER, SPIN_OFF, SPLIT, CorporateAction

Booked = tuple[Decimal, Decimal]


def happening(
    action: CorporateAction,
    reference: str,
    held: Decimal,
    on: dt.date,
    rate: Rate,
    close: float,
    own: Booked | None,
    other: Booked | None,
) -> Happening | None:
    """The move of one action; None when it moves no lot of ours.

    `held`: shares before it; `close`: the last before it, per old share; `own`, `other`: change in shares and cash that the book
    booked for the instrument, and for the shares of another one that it gave. A spin-off of unknown value leaves both bases
    unknown.
    """
    facts = (action.kind, action.instrument, on, reference, held, action.currency, rate)
    if not held:
        return None
    if action.kind in DIVIDENDS and own is not None:
        return Happening(*facts, cash=own[1])
    if action.kind == SPLIT and own is not None:
        ratio = _exact(action.ratio)
        return Happening(*facts, in_lieu=own[1], ratio=ratio, received=held + own[0])
    if action.kind == DELISTING and own is not None:
        return Happening(*facts, cash=own[1])
    if action.kind == SPIN_OFF:
        part = _part(action.amount, close)
        if other is None:
            return Happening(*facts, cash=ZERO if own is None else own[1], part_moved=part)
        cash = ZERO if own is None else own[1]
        return Happening(*facts, cash, other[1], _exact(action.ratio), other[0], action.other, part)
    if action.kind == MERGER and own is not None:
        if other is None:
            return Happening(*facts, cash=own[1])
        part = _part(close - (action.amount if action.amount > 0.0 else 0.0), close) if own[1] else Decimal(1)
        return Happening(*facts, own[1], other[1], _exact(action.ratio), other[0], action.other, part)
    return None


def _part(value: float, whole: float) -> Decimal | None:
    """A value as a fraction of another, None unless it is one."""
    known = math.isfinite(value) and math.isfinite(whole) and 0.0 < value < whole
    return _exact(value) / _exact(whole) if known else None


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)))
