"""What the last-line gate knows at one wave of one batch. Named type; nothing here judges (`gate`)."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from marketbot_resources.model import OpenOrder, Order

_MAPPINGS = ("reference_price", "fx", "price_age", "decided_positions", "broker_positions", "own_fills")
_SETS = dict.fromkeys(("already_sent", "known_instruments"), frozenset)
COLLECTIONS: Mapping[str, type] = {"open_orders": tuple, **_SETS, **dict.fromkeys(_MAPPINGS, Mapping)}


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gate knows at one wave of one batch.

    `nav` in base currency; `reference_price`: instrument -> last close, listing currency; `fx`: currency -> base per unit, with
    the base currency itself; `price_age`: an order's instrument, `FX:<currency>` for a leg -> sessions since that price. Positions
    in shares: as decided upon, as the broker reports them, and `own_fills`, our signed fills in between. `already_sent`: client
    order ids and `place`s that other batches of the session sent. `batch`: the approved batch, whose hash, count and totals are
    judged, when the orders asked about are only what is left of it to send; None = they are all of it. `environment`: the broker's,
    which must be `permitted_environment`; `broker_at`: the broker's clock, ours where it has none.
    """

    session: dt.date
    now: dt.datetime
    verdict: str
    approved_sha256: str
    frozen_sha256: str
    halt_status: str
    nav: float
    reference_price: Mapping[str, float]
    fx: Mapping[str, float]
    price_age: Mapping[str, float]
    decided_positions: Mapping[str, Decimal]
    broker_positions: Mapping[str, Decimal]
    open_orders: tuple[OpenOrder, ...]
    already_sent: frozenset[str]
    known_instruments: frozenset[str]
    own_fills: Mapping[str, Decimal] = field(default_factory=dict)
    batch: tuple[Order, ...] | None = None
    environment: str = ""
    permitted_environment: str = "paper"
    broker_at: dt.datetime | None = None
