"""When the cash of a sale is there: sessions to settlement, and what has not settled by the session that orders are for. Pure.

Not here: what was sold lately (`marketbot_assets.book.trades`), whether buys wait for it (RC-19 in the risk stage).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal

from marketbot_assets.book.state import Sale
from marketbot_assets.normalization.near_events import LEAD
from marketbot_resources.calendars import next_open, session_at, sessions_between
from marketbot_resources.closures import NO_CLOSURES, Closed

US_EXCHANGES = frozenset({"XNYS", "XNAS", "XASE", "BATS", "ARCX"})
# First trade date -> sessions: SEC rule 15c6-1 as amended in 1995, 2017 and 2024; elsewhere the EU's CSDR and those who followed.
SETTLEMENT_US = ((dt.date(2024, 5, 28), 1), (dt.date(2017, 9, 5), 2), (dt.date.min, 3))
SETTLEMENT_ELSEWHERE = ((dt.date(2014, 10, 6), 2), (dt.date.min, 3))


def settlement_sessions(mic: str, traded: dt.date) -> int:
    """Sessions of the exchange from trade to settlement."""
    ladder = SETTLEMENT_US if mic in US_EXCHANGES else SETTLEMENT_ELSEWHERE
    return next(days for since, days in ladder if traded >= since)


def unsettled(
    sales: Iterable[Sale], mics: Mapping[str, str], cutoff: dt.datetime, off: Closed = NO_CLOSURES
) -> dict[str, Decimal]:
    """Currency -> proceeds of sales that have not settled by the next session of their exchange, sorted.

    `mics`: instrument -> exchange; a sale in a name that is no longer known counts as not settled. `off`: closures.
    """
    waiting: dict[str, Decimal] = {}
    for sale in sales:
        mic = mics.get(sale.instrument, "")
        if mic:
            traded = session_at(mic, sale.sold_at, off) or sale.sold_at.date()
            age = sessions_between(mic, traded, next_open(mic, cutoff + LEAD, off)[0], off)
            if age >= settlement_sessions(mic, traded):
                continue
        waiting[sale.currency] = waiting.get(sale.currency, Decimal(0)) + sale.amount
    return dict(sorted(waiting.items()))
