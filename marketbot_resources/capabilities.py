"""What a broker can do and promises: order types, auctions and their cut-offs, fractions, shorts, settlement. Pure.

Not here: a broker's own row of the matrix (its adapter), what of it a mandate uses (the portfolio stage).
"""

import datetime as dt
from dataclasses import dataclass

from marketbot_resources.model import OrderType


@dataclass(frozen=True, slots=True)
class AuctionTerms:
    """When a broker takes orders for an auction: until `closes_before` ahead of it, on half days, too.

    `opens_at`: wall time of `timezone` on the day before from which it takes them; None = as soon as the session before ended.
    """

    closes_before: dt.timedelta
    opens_at: dt.time | None = None
    timezone: str = "America/New_York"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do and promises; what is not named here is not sent to it.

    `mics`: exchanges that it reaches, None = all; `currency_legs`: conversions as orders; `fractions`: parts of a share, in orders
    of `fraction_types` alone;
    `dedupes_client_id`: it takes one client order id at most once, so that it may be sent again; `lateness_max`: how long after
    an attempt without an answer an order may still become live; `settlement_days`: trading days until cash of a sale settles;
    `at_once`: it takes every order as soon as it is decided, whenever its window opens, so that one wave sends a whole batch.
    """

    name: str
    types: frozenset[OrderType]
    open_auction: AuctionTerms | None
    close_auction: AuctionTerms | None
    dedupes_client_id: bool
    lateness_max: dt.timedelta
    fractions: bool = False
    shorts: bool = False
    currency_legs: bool = False
    mics: frozenset[str] | None = None
    settlement_days: int = 1
    fraction_types: frozenset[OrderType] = frozenset()
    at_once: bool = False
