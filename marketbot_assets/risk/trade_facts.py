"""What the controls on single orders know beyond the book: listings, sessions, events, what was traded and sent. Named types.

Not here: how they come about (`trade_build`), the controls (`permission_controls`, `size_controls`, `account_controls`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_assets.normalization.near_events import NearEvent
from marketbot_assets.portfolio.inputs import Floats
from marketbot_resources.model import OpenOrder, Side


@dataclass(frozen=True, slots=True)
class NextSession:
    """The session of an exchange whose auction the orders are for; `opens_at`, `closes_at`: its hours."""

    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime


@dataclass(frozen=True, slots=True)
class SentOrder:
    """An order of this very session that the broker knows already: it is not decided once more."""

    client_order_id: str
    instrument: str
    side: Side
    leg: str
    batch_no: int


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of one earlier order in the last session.

    `quantity`: shares filled since; `planned`: shares of its recorded intent on the same side of every split, NaN when nobody
    planned it; `price`: mean price paid, base currency; `executed_at`: of the last fill.
    """

    client_order_id: str
    instrument: str
    side: Side
    quantity: float
    planned: float
    price: float
    executed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TradeFacts:
    """Facts about n sorted instruments, the account's trading and the exchanges, at `cutoff`.

    `listed_on`, `ticker`, `name`, `issuer` (n,): of the listing; a fund is its own issuer, empty = unknown. `ended`: no session of
    the listing is left; `ending`: an end is known. `price_level` (n,): unadjusted close; `history_sessions` (n,): own sessions with
    a bar; `move` (n,): total return of the newest session, events included. `target` (n,): weights that the orders are on the way
    to. `next_sessions`: per exchange. `price_difference`: instrument -> disagreement of two vendors on its close, fraction; who
    has one vendor, or two that agree to the digit, is not in there. `quotes`: instrument -> (bid, ask); who is not quoted is not in
    there. `events`: splits, renames and ends close to the next auction. `open_orders`: what the broker still works. `sent`: orders
    of this session that it has already. `fills`: what became of earlier orders since the session before, oldest first.
    `unsettled`: currency -> proceeds of sales that do not settle by the next session.
    """

    cutoff: dt.datetime
    listed_on: tuple[dt.date, ...]
    ticker: tuple[str, ...]
    name: tuple[str, ...]
    issuer: tuple[str, ...]
    ended: frozenset[str]
    ending: frozenset[str]
    price_level: Floats
    history_sessions: Floats
    move: Floats
    target: Floats
    next_sessions: Mapping[str, NextSession]
    price_difference: Mapping[str, float]
    quotes: Mapping[str, tuple[float, float]]
    events: tuple[NearEvent, ...]
    open_orders: tuple[OpenOrder, ...]
    sent: tuple[SentOrder, ...]
    fills: tuple[Filled, ...]
    unsettled: Mapping[str, Decimal]


def guarded(facts: TradeFacts) -> frozenset[str]:
    """Names in which an order would meet an event that prices and shares do not show yet (RC-24)."""
    if not isinstance(facts.events, tuple):
        raise TypeError("the events are missing")
    return frozenset(event.instrument for event in facts.events if event.applied is not True)
