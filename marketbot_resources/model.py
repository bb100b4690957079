"""The nouns at the border to the outside world: orders, executions, what a broker reports. Pure.

Quantities, prices and money are `Decimal`; every instant is an aware UTC datetime ending in `_at`; an instrument is our
internal id; currencies are ISO 4217 (pence never appear here). Not here: tables of a stage (`schema.py` of the stage).
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Protocol

from marketbot_resources.currencies import minor_digits
from marketbot_resources.errors import MarketbotError

if TYPE_CHECKING:
    from marketbot_resources.capabilities import Capabilities

SESSIONS_PER_YEAR = 252
BASIS_POINT = 1e-4
LISTING = "listing:"


class Side(StrEnum):
    """Direction of an order; buying is positive."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Kind(StrEnum):
    """What an order trades: shares, or one currency against the base currency."""

    EQUITY = "EQUITY"
    FX = "FX"


class Status(IntEnum):
    """The verdict lattice; statuses combine by max, so the order of controls never matters."""

    PASS = 0
    WARN = 1
    SHRINK = 2
    REJECT_ORDER = 3
    REJECT_BATCH = 4
    REDUCE_ONLY = 5
    HALT = 6


class OrderType(StrEnum):
    """How an order executes. Auctions are the exchange's own; all else trades continuously and ends with the session's day.

    STOP sells or buys at the market once the stop trades, STOP_LIMIT at its limit; TRAILING_STOP follows the best price at a
    distance; BRACKET is an entry at its limit that leaves a take-profit and a stop behind, of which one cancels the other.
    """

    LIMIT_ON_OPEN = "LIMIT_ON_OPEN"
    MARKET_ON_OPEN = "MARKET_ON_OPEN"
    LIMIT_ON_CLOSE = "LIMIT_ON_CLOSE"
    MARKET_ON_CLOSE = "MARKET_ON_CLOSE"
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"
    BRACKET = "BRACKET"


class OrderState(StrEnum):
    """States of an order; UNKNOWN is a real state: the broker may or may not have it."""

    APPROVED = "APPROVED"
    SENDING = "SENDING"
    ACKED = "ACKED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    REPLACED = "REPLACED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class HaltLevel(StrEnum):
    """How much a halt stops (RC-80). HALT: nothing is sent; CANCEL_ALL: the same, and open orders are canceled.

    NO_NEW_RUNS lets a run in progress end; REDUCE_ONLY lets risk be reduced alone; FLATTEN sells everything, then sends nothing.
    """

    NO_NEW_RUNS = "no-new-runs"
    REDUCE_ONLY = "reduce-only"
    FLATTEN = "flatten"
    HALT = "halt"
    CANCEL_ALL = "cancel-all"


SELLING_LEVELS = frozenset({HaltLevel.REDUCE_ONLY.value, HaltLevel.FLATTEN.value})
PAPER = "paper"
LATER_PRICES = ("stop_price", "take_profit", "trail")

TERMINAL_STATES = frozenset(
    {
        *(OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED),
        *(OrderState.DONE_FOR_DAY, OrderState.REPLACED),
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """One order as frozen in a batch. `quantity` > 0 in shares, or units of `currency` for an FX leg.

    `limit_price` is per share in `currency`; None only for FX legs, which convert `currency` against the base currency.
    An FX leg's `instrument` is `FX:<currency>`; BUY buys `currency` with base, at the market whatever `type` says.
    `stop_price`: of STOP, STOP_LIMIT and a bracket's protection; `take_profit`: of a bracket; `trail`: distance of a trailing
    stop as a fraction of the best price.
    """

    client_order_id: str
    session: dt.date
    batch_no: int
    leg: str
    kind: Kind
    instrument: str
    mic: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    currency: str
    send_from: dt.datetime
    send_until: dt.datetime
    reason: str
    type: OrderType = OrderType.LIMIT_ON_OPEN
    stop_price: Decimal | None = None
    take_profit: Decimal | None = None
    trail: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill. `price` per share in `currency` (for FX: base per unit of `currency`); costs in `currency`, positive.

    For FX, `fee` is in the base currency. `quantity` > 0; `side` says the direction.
    """

    execution_id: str
    client_order_id: str
    kind: Kind
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    currency: str
    fee: Decimal
    tax: Decimal
    executed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Bust:
    """The broker took an execution back; `replaced_by` is the execution that stands instead, empty when none does."""

    execution_id: str
    replaced_by: str
    reason: str
    told_at: dt.datetime


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that the broker still works; `remaining` shares are not filled yet."""

    client_order_id: str
    instrument: str
    side: Side
    remaining: Decimal
    limit_price: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """Income, cost or a change of shares that no order caused.

    `kind`: DIVIDEND, SPLIT, SPIN_OFF, MERGER or DELISTING; of a broker also FEE, INTEREST, TAX, TRANSFER or OTHER.

    `amount`: cash in `currency`, `quantity`: change in shares; both signed, zero when they do not apply.
    """

    event_id: str
    kind: str
    instrument: str
    currency: str
    amount: Decimal
    quantity: Decimal
    effective_at: dt.datetime


@dataclass(frozen=True, slots=True)
class QuotedHit:
    """A stop (RC-62) or trail (RC-63) that two quotes in a row broke. `price` and `level`: listing currency, as written."""

    instrument: str
    control: str
    price: str
    level: str


@dataclass(frozen=True, slots=True)
class AccountReport:
    """What the broker says at one instant: cash per currency, shares per instrument, open orders, and what happened since.

    `environment`: whose money it is, PAPER or another word; empty when the broker does not say. `broker_at`: the broker's own
    clock when it answered, None when it has none but ours. `average_price`: instrument -> mean price paid for the shares held,
    listing currency, where the broker tells it.
    """

    as_of_at: dt.datetime
    cash: Mapping[str, Decimal]
    positions: Mapping[str, Decimal]
    open_orders: tuple[OpenOrder, ...]
    executions: tuple[Execution, ...]
    events: tuple[AccountEvent, ...]
    environment: str = ""
    broker_at: dt.datetime | None = None
    busts: tuple[Bust, ...] = ()
    average_price: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The broker's answer about one order: its state there, the broker's own id, and a reason when refused.

    The next fields are what the broker says the order is, in our words; the sender compares them with what it sent. None: the
    adapter has compared the field itself, or the broker does not tell it. `filled`: shares of it that are filled, where told.
    """

    client_order_id: str
    state: OrderState
    broker_order_id: str
    reason: str
    instrument: str | None = None
    side: Side | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    filled: Decimal | None = None


class BrokerPort(Protocol):
    """What a broker adapter offers. Only `submissions` calls `submit`; no method retries by itself.

    `capabilities` says what the broker can do and what it promises; an adapter refuses what they do not name.
    """

    @property
    def capabilities(self) -> "Capabilities":
        """What the broker can do."""
        ...

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Sends one order at instant `at`. A refusal is an Acknowledgement REJECTED; silence raises BrokerError."""
        ...

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """The broker's view of an order by our id; None when it does not know it."""
        ...

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """Asks at instant `at` for the end of an open order; its state then: CANCELED, or what it was too late to change.

        None when the broker does not know the order.
        """
        ...

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """The account at `until` with executions and events in (since, until]."""
        ...


def client_order_id(
    *, environment: str, account: str, session: dt.date, batch_no: int, instrument: str, leg: str
) -> str:
    """The id of an order follows from its place, not from its size: a recomputed decision collides instead of doubling."""
    text = "|".join((environment, account, session.isoformat(), str(batch_no), instrument, leg))
    digest = base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()
    return "mb1-" + digest[:26]


def instrument_id(source: str, source_id: str) -> str:
    """Our own id of an instrument: follows from where it was first seen, is never reused and survives a change of ticker.

    Sources that know listings by exchange and ticker (`listing_id`) speak of one instrument, whichever of them serves it.
    """
    if source_id.startswith(LISTING):
        source, source_id = "listing", source_id.removeprefix(LISTING)
    digest = base64.b32encode(hashlib.sha256(f"{source}|{source_id}".encode()).digest()).decode()
    return "MB" + digest[:10]


def listing_id(mic: str, ticker: str) -> str:
    """The `source_id` of a listing that is known by its exchange and the ticker under which it was first seen."""
    return f"{LISTING}{mic}:{ticker}"


def plain(value: Decimal) -> str:
    """A decimal as its shortest plain text: 100, 0.5, never 1E+2."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "") else text


def to_money(value: float | Decimal, currency: str) -> Decimal:
    """Rounds to the currency's minor unit, half to even: the one place where a float becomes money.

    Raises MarketbotError for an amount that is not finite and for what is no currency.
    """
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        raise MarketbotError(f"expected a finite amount in {currency}, found {value}")
    return number.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_EVEN)


def order_record(order: Order) -> dict[str, str | int | None]:
    """An order as JSON values; what batches hash and the ledger keeps. Money is text, instants are RFC 3339.

    A field that came later stands in it only where it differs from what every order was before, so that old hashes hold.
    """
    later: dict[str, str | int | None] = {} if order.type is OrderType.LIMIT_ON_OPEN else {"type": order.type.value}
    for name in LATER_PRICES:
        value: Decimal | None = getattr(order, name)
        if value is not None:
            later[name] = plain(value)
    return {
        "client_order_id": order.client_order_id,
        "session": order.session.isoformat(),
        "batch_no": order.batch_no,
        "leg": order.leg,
        "kind": order.kind.value,
        "instrument": order.instrument,
        "mic": order.mic,
        "side": order.side.value,
        "quantity": plain(order.quantity),
        "limit_price": None if order.limit_price is None else plain(order.limit_price),
        "currency": order.currency,
        "send_from": utc_text(order.send_from),
        "send_until": utc_text(order.send_until),
        "reason": order.reason,
        **later,
    }


def order_from_record(record: Mapping[str, object]) -> Order:
    """The inverse of `order_record`. Raises MarketbotError when a field is missing or unreadable."""
    try:
        limit = record["limit_price"]
        return Order(
            client_order_id=str(record["client_order_id"]),
            session=dt.date.fromisoformat(str(record["session"])),
            batch_no=int(str(record["batch_no"])),
            leg=str(record["leg"]),
            kind=Kind(str(record["kind"])),
            instrument=str(record["instrument"]),
            mic=str(record["mic"]),
            side=Side(str(record["side"])),
            quantity=Decimal(str(record["quantity"])),
            limit_price=None if limit is None else Decimal(str(limit)),
            currency=str(record["currency"]),
            send_from=dt.datetime.fromisoformat(str(record["send_from"])),
            send_until=dt.datetime.fromisoformat(str(record["send_until"])),
            reason=str(record["reason"]),
            type=OrderType(str(record.get("type", OrderType.LIMIT_ON_OPEN.value))),
            **{name: Decimal(str(record[name])) for name in LATER_PRICES if record.get(name) is not None},
        )
    except (KeyError, ValueError, ArithmeticError) as error:
        raise MarketbotError(f"expected an order's record, found {error!r} in {record}") from error


def batch_sha256(orders: Iterable[Order]) -> str:
    """Hash of a batch: canonical JSON of its orders, sorted by client order id."""
    records = sorted((order_record(order) for order in orders), key=lambda r: str(r["client_order_id"]))
    return hashlib.sha256(json.dumps(records, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def utc_text(at: dt.datetime) -> str:
    """RFC 3339 in UTC. A naive datetime is refused."""
    if at.tzinfo is None:
        raise MarketbotError(f"expected an instant with a time zone, found {at}")
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
