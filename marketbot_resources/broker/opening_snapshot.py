"""What a real broker holds when the book of a home is opened: told once to the ledger, from which the opening balance is made.

Not here: the balance as a table (`research.opening`), the snapshot of a session (`account`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.errors import BrokerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import BrokerPort, plain, utc_text

KIND = "opening_snapshot"


@dataclass(frozen=True, slots=True)
class OpeningSnapshot:
    """Cash per currency, shares and average cost per instrument; a cost may be missing."""

    cash: Mapping[str, Decimal]
    shares: Mapping[str, Decimal]
    costs: Mapping[str, Decimal]


def record_opening(ledger: Ledger, broker: BrokerPort, account: str, at: dt.datetime) -> None:
    """Writes down once what the broker holds at instant `at`, before the first session.

    Raises BrokerError when it cannot tell, or still works orders: the book would open with trades that nobody decided.
    """
    if ledger.get(KIND, account) is not None:
        return
    report = broker.report(at, at)
    if report.open_orders:
        names = ", ".join(order.client_order_id for order in report.open_orders[:3])
        raise BrokerError(
            f"account {account}: expected no open orders when the book is opened, found {names}; cancel them"
        )
    body: dict[str, Json] = {
        "at": utc_text(at),
        "environment": report.environment,
        "cash": _texts(report.cash),
        "shares": _texts(report.positions),
        "costs": _texts({name: price for name, price in report.average_price.items() if name in report.positions}),
    }
    ledger.append(KIND, account, body)


def opening_snapshot(ledger: Ledger, account: str) -> OpeningSnapshot | None:
    """What was written down; None for a home whose broker is the paper broker."""
    entry = ledger.get(KIND, account)
    return None if entry is None else OpeningSnapshot(*(_decimals(entry.body[x]) for x in ("cash", "shares", "costs")))


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, Json]:
    return {name: plain(amounts[name]) for name in sorted(amounts)}


def _decimals(body: Json) -> dict[str, Decimal]:
    assert isinstance(body, Mapping)
    return {name: Decimal(str(value)) for name, value in body.items()}
