"""Our holdings against the broker's, over everything that either of them names (RC-67, RC-68).

Shares must agree exactly. Cash may differ by a tolerance, or by events that the broker names and our corporate actions
did not know or knew otherwise: that is explained, and `adopt_explained` takes the broker's amount over. Shares are
never explained this way: a split that we do not know would leave entry, extreme and prices in another unit.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

import pandas as pd

from marketbot_assets.book.positions import Holdings, without_zeros
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import BREAK, CASH, EXPLAINED, MATCH, POSITION, RECONCILIATION
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import BASIS_POINT, plain

SHARES_TOLERANCE = Decimal("1e-9")
CASH_TOLERANCE_UNITS = Decimal(1)
CASH_TOLERANCE_NAV = 0.5 * BASIS_POINT


class Booked(Protocol):
    """Cash that an event brought into our book."""

    @property
    def currency(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...


def reconcile(
    ours: Holdings,
    snapshot: pd.DataFrame,
    *,
    nav: float,
    fx: Mapping[str, float],
    known_instruments: Collection[str],
    booked: Iterable[Booked] = (),
) -> pd.DataFrame:
    """RECONCILIATION rows over the union of instruments and currencies.

    `snapshot`: ACCOUNT_SNAPSHOT rows; `nav` base currency; `fx` base per unit (an unknown rate leaves the tolerance at
    one unit); `booked`: the events that `roll_positions` booked. An instrument outside `known_instruments` is a break.
    """
    shares, cash = broker_holdings(snapshot)
    events = _events(snapshot)
    rows = [
        _position(name, ours.shares.get(name, Decimal(0)), shares.get(name, Decimal(0)), known_instruments, events)
        for name in sorted({*ours.shares, *shares})
    ]
    surplus = _surplus(events, booked)
    for currency in sorted({*ours.cash, *cash}):
        tolerance = cash_tolerance(nav, fx.get(currency, float("nan")))
        mine, theirs = ours.cash.get(currency, Decimal(0)), cash.get(currency, Decimal(0))
        rows.append(_cash(currency, mine, theirs, tolerance, surplus.get(currency, Decimal(0))))
    return rows_frame(RECONCILIATION, rows)


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


def _events(snapshot: pd.DataFrame) -> list[tuple[str, str, str, Decimal, Decimal]]:
    """(kind, instrument, currency, amount, quantity) of the broker's events."""
    rows = snapshot[snapshot["kind"] == "EVENT"]
    return [
        (row.order_kind, row.instrument, row.currency, _amount(row.key, row.amount), _amount(row.key, row.quantity))
        for row in rows.itertuples(index=False)
    ]


def _surplus(events: Iterable[tuple[str, str, str, Decimal, Decimal]], booked: Iterable[Booked]) -> dict[str, Decimal]:
    """Per currency: what the broker's events brought beyond those that we booked."""
    surplus: dict[str, Decimal] = defaultdict(Decimal)
    for _, _, currency, amount, _ in events:
        surplus[currency] += amount
    for event in booked:
        surplus[event.currency] -= event.amount
    return surplus


def cash_tolerance(nav: float, fx: float) -> Decimal:
    """The cash difference that counts as none: one unit or half a basis point of NAV, the larger; in the currency."""
    in_currency = CASH_TOLERANCE_NAV * nav / fx if fx > 0.0 else float("nan")
    known = in_currency > 0.0 and in_currency != float("inf")
    return max(CASH_TOLERANCE_UNITS, Decimal(repr(in_currency))) if known else CASH_TOLERANCE_UNITS


def _row(kind: str, key: str, ours: Decimal, broker: Decimal, outcome: str, message: str) -> dict[str, object]:
    row: dict[str, object] = {"kind": kind, "key": key, "ours": ours, "broker": broker, "difference": ours - broker}
    return {**row, "outcome": outcome, "message": message}


def _position(
    name: str,
    ours: Decimal,
    broker: Decimal,
    known: Collection[str],
    events: Iterable[tuple[str, str, str, Decimal, Decimal]],
) -> dict[str, object]:
    told = f"{name}: we hold {plain(ours)} shares, the broker {plain(broker)}"
    if name not in known:
        return _row(POSITION, name, ours, broker, BREAK, f"{told}; the instrument is not in our master")
    if abs(ours - broker) <= SHARES_TOLERANCE:
        return _row(POSITION, name, ours, broker, MATCH, "")
    changes = [plain(quantity) for kind, other, _, _, quantity in events if kind == "SPLIT" and other == name]
    text = f"; the broker booked a split of {' and '.join(changes)} shares" if changes else ""
    return _row(POSITION, name, ours, broker, BREAK, told + text)


def _cash(currency: str, ours: Decimal, broker: Decimal, tolerance: Decimal, surplus: Decimal) -> dict[str, object]:
    difference = ours - broker
    if abs(difference) <= tolerance:
        return _row(CASH, currency, ours, broker, MATCH, "")
    told = f"{currency}: we have {plain(ours)}, the broker {plain(broker)}"
    if surplus != 0 and abs(difference + surplus) <= tolerance:
        text = f"{told}; its events brought {plain(surplus)} more than ours"
        return _row(CASH, currency, ours, broker, EXPLAINED, text)
    return _row(CASH, currency, ours, broker, BREAK, f"{told}, more than {float(tolerance):.2f} apart")


def is_clean(reconciliation: pd.DataFrame) -> bool:
    """Whether nothing is unexplained."""
    return not bool((reconciliation["outcome"] == BREAK).any())


def adopt_explained(ours: Holdings, reconciliation: pd.DataFrame) -> Holdings:
    """Our holdings with the broker's amount wherever the difference is explained; the start of the next session."""
    cash = dict(ours.cash)
    for row in reconciliation[reconciliation["outcome"] == EXPLAINED].itertuples(index=False):
        assert row.kind == CASH, "only cash can be explained"
        cash[row.key] = row.broker
    return without_zeros(ours.shares, cash)
