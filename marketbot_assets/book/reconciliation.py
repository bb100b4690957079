"""Our holdings against the broker's, over everything that either of them names (RC-66, RC-67, RC-68).

Every difference gets a class (`delta`). Only what the broker proves with an id is booked: a fill that came late, cash that its
events brought and nothing else explains. Shares are never explained by an event: a split that we do not know would leave entry,
extreme and prices in another unit. What is not proven halts trading (`break`); what cannot move money locks its name (`locked`):
a mean price that differs, an order of ours that vanished, a foreign order in a name that we do not trade. Too many locks halt, too.
Not here: orders and fills (`reconciliation_orders`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from typing import Protocol

import pandas as pd

from marketbot_assets.book.average_price import average_prices
from marketbot_assets.book.positions import Holdings, without_zeros
from marketbot_assets.book.reconciliation_orders import Row, difference_row, fill_rows, order_rows
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import (
    AMBIGUOUS,
    BREAK,
    BY_EVENT,
    CASH,
    CASH_BREAK,
    EXPLAINED,
    LOCKED,
    MATCH,
    MISSED_FILL,
    POSITION,
    PRICE,
    PRICE_BREAK,
    RECONCILIATION,
    UNEXPLAINED_POSITION,
    VANISHED_POSITION,
)
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import BASIS_POINT, Execution, Kind, Order, plain

SHARES_TOLERANCE = Decimal("1e-9")
CASH_TOLERANCE_UNITS = Decimal(1)
CASH_TOLERANCE_NAV = 0.5 * BASIS_POINT
PRICE_TOLERANCE = Decimal("0.01")  # brokers put fees into the mean, and some sell the oldest shares first
LOCKED_NAMES_MAX = 5
LOCKED_NAV_MAX = 0.10
EVENTS_COMBINED_MAX = 10
Event = tuple[str, str, str, Decimal, Decimal]


class Booked(Protocol):
    """What an event brought into our book."""

    @property
    def instrument(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def quantity(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Record:
    """What we know beside the holdings. `orders`: recorded intents by client order id; `earlier`: fills that the sessions before

    booked; `fills`: those booked in this one; `unbooked`: executions of our orders that the book does not hold yet; `averages`:
    mean prices of the session before; `traded`: names that may be bought (held ones count anyway); `values`: base value per name.
    """

    orders: Mapping[str, Order] = field(default_factory=dict)
    earlier: Sequence[Execution] = ()
    fills: Sequence[Execution] = ()
    unbooked: Sequence[Execution] = ()
    averages: Mapping[str, Decimal] = field(default_factory=dict)
    traded: Collection[str] = frozenset()
    values: Mapping[str, float] = field(default_factory=dict)


NOTHING = Record()


def reconcile(
    ours: Holdings,
    snapshot: pd.DataFrame,
    *,
    nav: float,
    fx: Mapping[str, float],
    known_instruments: Collection[str],
    booked: Iterable[Booked] = (),
    record: Record = NOTHING,
) -> pd.DataFrame:
    """RECONCILIATION rows over the union of instruments, currencies, orders and fills.

    `snapshot`: ACCOUNT_SNAPSHOT rows; `nav` base currency; `fx` base per unit (an unknown rate leaves the tolerance at
    one unit); `booked`: the events that `roll_positions` booked; `record`: without it every order and fill is a foreign one. An
    instrument outside `known_instruments` is a break.
    """
    shares, cash = broker_holdings(snapshot)
    events, booked = _events(snapshot), tuple(booked)
    split = {name for _, name, _, _, quantity in events if quantity != 0}
    split |= {event.instrument for event in booked if event.quantity != 0}
    rows = [
        _position(
            name, ours.shares.get(name, Decimal(0)), shares.get(name, Decimal(0)), known_instruments, events, record
        )
        for name in sorted({*ours.shares, *shares})
    ]
    agreed = {str(row["key"]) for row in rows if row["outcome"] == MATCH}
    rows += _prices(rows, average_prices(record.averages, record.fills, ours.shares, changed=split), snapshot)
    surplus = _surplus(events, booked)
    for currency in sorted({*ours.cash, *cash}):
        tolerance = cash_tolerance(nav, fx.get(currency, float("nan")))
        mine, theirs = ours.cash.get(currency, Decimal(0)), cash.get(currency, Decimal(0))
        rows.append(_cash(currency, mine, theirs, tolerance, surplus.get(currency, ())))
    traded = {*ours.shares, *record.traded}
    rows += order_rows(snapshot, record.orders, traded=traded, split=split)
    told = {*ours.shares, *shares}
    rows += fill_rows(
        snapshot, record.orders, record.earlier, split=split, agrees=lambda name: name in agreed or name not in told
    )
    return rows_frame(RECONCILIATION, _with_ceiling(rows, nav, record.values))


def broker_holdings(snapshot: pd.DataFrame) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """(shares per instrument, cash per currency) that a snapshot reports. Raises BrokerError for a missing amount."""
    held = snapshot[snapshot["kind"] == POSITION]
    money = snapshot[snapshot["kind"] == CASH]
    shares = {name: _amount(name, value) for name, value in zip(held["instrument"], held["quantity"], strict=True)}
    cash = {name: _amount(name, value) for name, value in zip(money["currency"], money["amount"], strict=True)}
    return shares, cash


def _amount(name: str, value: object) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise BrokerError(f"account_snapshot: expected an amount of {name}, found {value}")
    return value


def _events(snapshot: pd.DataFrame) -> list[Event]:
    """(kind, instrument, currency, amount, quantity) of the broker's events."""
    rows = snapshot[snapshot["kind"] == "EVENT"]
    return [
        (row.order_kind, row.instrument, row.currency, _amount(row.key, row.amount), _amount(row.key, row.quantity))
        for row in rows.itertuples(index=False)
    ]


def _surplus(events: Iterable[Event], booked: Iterable[Booked]) -> dict[str, tuple[Decimal, ...]]:
    """Per currency: what the broker's events brought beyond those that we booked, name by name, zeros left out."""
    surplus: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for _, name, currency, amount, _ in events:
        surplus[currency, name] += amount
    for event in booked:
        surplus[event.currency, event.instrument] -= event.amount
    found: dict[str, tuple[Decimal, ...]] = {}
    for (currency, _), amount in sorted(surplus.items()):
        found[currency] = (*found.get(currency, ()), *([amount] if amount != 0 else []))
    return found


def cash_tolerance(nav: float, fx: float) -> Decimal:
    """The cash difference that counts as none: one unit or half a basis point of NAV, the larger; in the currency."""
    in_currency = CASH_TOLERANCE_NAV * nav / fx if fx > 0.0 else float("nan")
    known = in_currency > 0.0 and in_currency != float("inf")
    return max(CASH_TOLERANCE_UNITS, Decimal(repr(in_currency))) if known else CASH_TOLERANCE_UNITS


def _position(
    name: str, ours: Decimal, broker: Decimal, known: Collection[str], events: Iterable[Event], record: Record
) -> Row:
    told = f"{name}: we hold {plain(ours)} shares, the broker {plain(broker)}"

    def said(delta: str, outcome: str, message: str) -> Row:
        return difference_row(POSITION, name, name, ours, broker, delta, outcome, message)

    if name not in known:
        return said(UNEXPLAINED_POSITION, BREAK, f"{told}; the instrument is not in our master")
    missing = broker - ours
    if abs(missing) <= SHARES_TOLERANCE:
        return said(MATCH, MATCH, "")
    fills = [
        (fill.execution_id, fill.side.sign * fill.quantity)
        for fill in record.unbooked
        if fill.instrument == name and fill.kind is Kind.EQUITY
    ]
    changes = [(kind, quantity) for kind, other, _, _, quantity in events if other == name and quantity != 0]
    ways = _ways([quantity for _, quantity in (*fills, *changes)], missing, SHARES_TOLERANCE)
    splits = [plain(quantity) for kind, quantity in changes if kind == "SPLIT"]
    text = f"; the broker booked a split of {' and '.join(splits)} shares" if splits else ""
    if ways > 1:
        return said(AMBIGUOUS, BREAK, f"{told}; more than one explanation fits{text}")
    if ways == 1 and _ways([quantity for _, quantity in fills], missing, SHARES_TOLERANCE) == 1:
        ids = ", ".join(identity for identity, _ in fills[:3])
        return said(MISSED_FILL, EXPLAINED, f"{told}; fills {ids} are not booked yet")
    if ways == 1:
        return said(BY_EVENT, BREAK, told + (text or "; an event of the broker changed the shares, none of ours did"))
    return said(VANISHED_POSITION if missing < 0 else UNEXPLAINED_POSITION, BREAK, told + text)


def _ways(amounts: Sequence[Decimal], missing: Decimal, tolerance: Decimal) -> int:
    """In how many ways some of the amounts close a difference, at most two are counted; none for too many amounts."""
    if len(amounts) > EVENTS_COMBINED_MAX:
        return int(abs(sum(amounts) - missing) <= tolerance)
    found = 0
    for size in range(1, len(amounts) + 1):
        for some in combinations(amounts, size):
            found += abs(sum(some) - missing) <= tolerance
            if found > 1:
                return found
    return found


def _prices(rows: Sequence[Row], averages: Mapping[str, Decimal], snapshot: pd.DataFrame) -> list[Row]:
    """Rows PRICE where the broker's mean price differs from ours; writes ours into the rows of the positions."""
    held = snapshot[snapshot["kind"] == POSITION]
    told = {
        str(name): price
        for name, price in zip(held["instrument"], held["price"], strict=True)
        if isinstance(price, Decimal) and price.is_finite()
    }
    found = []
    for row in rows:
        name = str(row["key"])
        row["average"] = averages.get(name)
        ours, broker = averages.get(name), told.get(name)
        if ours is None or broker is None or abs(ours - broker) <= PRICE_TOLERANCE * ours:
            continue
        text = f"{name}: we paid {plain(ours)} per share, the broker says {plain(broker)}"
        found.append(difference_row(PRICE, name, name, ours, broker, PRICE_BREAK, LOCKED, text))
    return found


def _cash(currency: str, ours: Decimal, broker: Decimal, tolerance: Decimal, surplus: Sequence[Decimal]) -> Row:
    missing, total = broker - ours, sum(surplus, Decimal(0))

    def said(delta: str, outcome: str, message: str) -> Row:
        return difference_row(CASH, currency, "", ours, broker, delta, outcome, message)

    told = f"{currency}: we have {plain(ours)}, the broker {plain(broker)}"
    if missing == total != 0:  # to the cent: also where the difference alone would be small enough
        return said(BY_EVENT, EXPLAINED, f"{told}; its events brought {plain(total)} more than ours")
    if abs(missing) <= tolerance:
        return said(MATCH, MATCH, "")
    if total != 0 and abs(total - missing) <= tolerance:
        return said(BY_EVENT, EXPLAINED, f"{told}; its events brought {plain(total)} more than ours")
    apart = f"{told}, more than {float(tolerance):.2f} apart"
    if _ways(surplus, missing, tolerance):
        return said(AMBIGUOUS, BREAK, f"{apart}; a part of its events would explain it, all of them do not")
    return said(CASH_BREAK, BREAK, apart)


def _with_ceiling(rows: Sequence[Row], nav: float, values: Mapping[str, float]) -> list[Row]:
    """The rows, their locks turned into breaks when more names or more value are locked than one may look away from."""
    locked = sorted({str(row["instrument"]) for row in rows if row["outcome"] == LOCKED})
    share = sum(abs(values.get(name, 0.0)) for name in locked) / nav if locked and nav > 0.0 else float("nan")
    if not locked or (len(locked) <= LOCKED_NAMES_MAX and share <= LOCKED_NAV_MAX):
        return list(rows)
    why = f"{len(locked)} names are locked, {share:.4g} of NAV; limits {LOCKED_NAMES_MAX} and {LOCKED_NAV_MAX}"
    return [
        {**row, "outcome": BREAK, "message": f"{row['message']}; {why}"} if row["outcome"] == LOCKED else row
        for row in rows
    ]


def is_clean(reconciliation: pd.DataFrame) -> bool:
    """Whether nothing is unexplained; a locked name is none of the whole account's."""
    return not bool((reconciliation["outcome"] == BREAK).any())


def locked_names(reconciliation: pd.DataFrame) -> dict[str, str]:
    """Instrument -> why no order in it may be sent, sorted."""
    rows = reconciliation[reconciliation["outcome"] == LOCKED]
    return {row.instrument: row.message for row in sorted(rows.itertuples(index=False), key=lambda row: row.instrument)}


def averages_of(reconciliation: pd.DataFrame) -> dict[str, Decimal]:
    """Our mean prices as a RECONCILIATION frame keeps them; nothing from one that is older than the column."""
    if "average" not in reconciliation.columns:
        return {}
    rows = reconciliation[reconciliation["kind"] == POSITION]
    pairs = zip(rows["key"], rows["average"], strict=True)
    return {str(name): price for name, price in pairs if isinstance(price, Decimal) and price.is_finite()}


def adopt_explained(ours: Holdings, reconciliation: pd.DataFrame) -> Holdings:
    """Our holdings with the broker's cash wherever its events explain the difference; the start of the next session."""
    cash = dict(ours.cash)
    rows = reconciliation[(reconciliation["outcome"] == EXPLAINED) & (reconciliation["kind"] == CASH)]
    for row in rows.itertuples(index=False):
        cash[row.key] = row.broker
    return without_zeros(ours.shares, cash)
