"""What was traded lately, as far as a later order depends on it: last buys, last sales at a loss, sales not settled. Pure.

A day is the UTC date of the execution. Not here: what follows from it (the risk stage), turnover (`step`), lots (`stops`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from marketbot_assets.book.state import Sale
from marketbot_resources.fillmodel import cash_changes
from marketbot_resources.model import Execution, Kind, Side

MEMORY, SETTLEMENT_MEMORY = dt.timedelta(days=31), dt.timedelta(days=14)
Days = tuple[tuple[str, dt.date], ...]


def last_days(previous: Days, days: Mapping[str, dt.date], session: dt.date) -> Days:
    """Instrument -> the newer of both days, without what is more than 31 days old; sorted by instrument."""
    known = dict(previous)
    known |= {name: max(day, known.get(name, day)) for name, day in days.items()}
    return tuple(sorted((name, day) for name, day in known.items() if session - day <= MEMORY))


def buy_days(fills: Iterable[Execution]) -> dict[str, dt.date]:
    """Instrument -> day of its last buy among the fills."""
    return _days(fill for fill in fills if fill.kind is Kind.EQUITY and fill.side is Side.BUY)


def loss_days(fills: Iterable[Execution], entries: Mapping[str, float]) -> dict[str, dt.date]:
    """Instrument -> day of its last sale below its entry price; a sale of unknown entry counts as one.

    `entries`: instrument -> entry price of its lot, listing currency, splits applied. It has the dividends received before later
    buys added, so that a small gain on such a lot may count as a loss, never the other way round.
    """
    sold = (fill for fill in fills if fill.kind is Kind.EQUITY and fill.side is Side.SELL)
    return _days(fill for fill in sold if not float(fill.price) >= entries.get(fill.instrument, math.nan))


def _days(fills: Iterable[Execution]) -> dict[str, dt.date]:
    found: dict[str, dt.date] = {}
    for fill in fills:
        day = fill.executed_at.astimezone(dt.UTC).date()
        found[fill.instrument] = max(day, found.get(fill.instrument, day))
    return found


def sales(
    previous: Iterable[Sale], fills: Iterable[Execution], session: dt.date, base_currency: str
) -> tuple[Sale, ...]:
    """Proceeds after costs of the sells of the last two weeks, one row per name and instant, sorted."""
    kept = {(sale.instrument, sale.sold_at): sale for sale in previous}
    for fill in fills:
        if fill.kind is not Kind.EQUITY or fill.side is not Side.SELL:
            continue
        amount = sum((amount for _, _, amount in cash_changes(fill, base_currency)), Decimal(0))
        key = (fill.instrument, fill.executed_at)
        before = kept[key].amount if key in kept else Decimal(0)
        kept[key] = Sale(fill.instrument, fill.executed_at, fill.currency, before + amount)
    recent = [sale for sale in kept.values() if session - sale.sold_at.date() <= SETTLEMENT_MEMORY]
    return tuple(sorted(recent, key=lambda sale: (sale.instrument, sale.sold_at)))
