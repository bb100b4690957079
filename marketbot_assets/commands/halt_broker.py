"""What `halt` and `resume` ask of the broker: cancel, what is open and held before and after, how far a flatten has come.

Not here: the flag and its entries (`halt`), the loop that cancels (`broker.cancelling`).
"""

import datetime as dt
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import load_mandate
from marketbot_assets.commands.reconcile import unsettled_orders
from marketbot_resources import settings
from marketbot_resources.clock import Clock
from marketbot_resources.errors import MarketbotError
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    BrokerPort,
    HaltLevel,
    OpenOrder,
    Side,
    plain,
    utc_text,
)
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import order_state

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

TOLD_MAX = 300  # names in one entry of the ledger, whose size is bounded
SHOWN = 3
BY_HAND = "end them at the broker's own desk, or try again: marketbot halt --level cancel-all"


@dataclass(frozen=True, slots=True)
class Counter:
    """The broker's counter: whom to ask, and the instant of sending of the newest session."""

    lake: "Lake"
    broker: BrokerPort
    clock: Clock
    session: dt.date

    def report(self) -> AccountReport:
        """The account now: a moment after what was sent, where the clock stands still."""
        from marketbot_resources.broker.cancelling import LATER

        at = self.clock.sending(self.session) + LATER
        return self.broker.report(at, at)

    def wait(self, seconds: float) -> dt.datetime:
        """Lets time pass; the instant after."""
        self.clock.wait(seconds)
        return self.clock.sending(self.session)


def counter(lake: "Lake") -> Counter | None:
    """The counter of a home; None where nothing can have been sent: no session, or a paper broker without its file.

    Raises MarketbotError when the broker cannot be opened.
    """
    from marketbot_resources.wiring import BrokerResource, ClockResource, Ports

    mandate, cutoffs = load_mandate(), lake.ledger.entries("session_cutoff")
    if not cutoffs or (mandate.broker.name == "paper" and not (settings.home() / "broker.sqlite").exists()):
        return None
    last = max(dt.date.fromisoformat(entry.key) for entry in cutoffs)
    return Counter(lake, BrokerResource().open(mandate, Ports()), ClockResource().open(), last)


@dataclass(frozen=True, slots=True)
class Canceled:
    """What a cancel did. `facts`: for the ledger; `problem`: what may be left and what to do, or empty."""

    canceled: tuple[str, ...]
    left: tuple[str, ...]
    in_doubt: tuple[str, ...]
    facts: dict[str, Json] | None
    problem: str


NOTHING = Canceled((), (), (), None, "")


def cancel(lake: "Lake", level: HaltLevel) -> Canceled:
    """Cancels what the level cancels, every order or the buys, for at most a minute; never raises what the platform raises."""
    from marketbot_resources.broker.cancelling import BOTH, BUYS, CancelReport, cancel_open

    sides = BOTH if level is HaltLevel.CANCEL_ALL else BUYS
    before: dict[str, Json] | None = None
    try:
        desk = counter(lake)
        if desk is None:
            return NOTHING
        before = told(desk)
        at = desk.clock.sending(desk.session)
        report: CancelReport = cancel_open(lake.ledger, desk.broker, at, sides, wait=desk.wait)
        lost = _lost(desk)
        facts: dict[str, Json] = {
            "before": before,
            "after": told(desk),
            "canceled": list(report.canceled[:TOLD_MAX]),
            "ended": list(report.ended[:TOLD_MAX]),
            "left": list(report.left[:TOLD_MAX]),
            "in_doubt": list(lost[:TOLD_MAX]),
        }
        return Canceled(report.canceled, report.left, lost, facts, _left(report.left, lost, report.untold))
    except (MarketbotError, sqlite3.Error) as error:
        why = redactor().text(f"open orders may be left: {error}")
        return Canceled((), (), (), {"before": before, "problem": why[:500]}, f"{why}; {BY_HAND}")


def _left(left: tuple[str, ...], lost: tuple[str, ...], untold: str) -> str:
    problems = []
    if left:
        problems.append(f"open orders may be left: the broker still works {', '.join(left[:SHOWN])}; {BY_HAND}")
    if lost:
        problems.append(
            f"order {', '.join(lost[:SHOWN])} was sent without an answer and may still arrive; ask again in some minutes: "
            "marketbot halt --level cancel-all"
        )
    if untold:
        problems.append(f"the ledger was not told how an order ended: {redactor().text(untold)[:300]}")
    return "; ".join(problems)


def _lost(desk: Counter) -> tuple[str, ...]:
    """Orders in doubt that the broker does not know: it may take them up later."""
    names = [str(row["client_order_id"]) for row in unsettled_orders(desk.lake.ledger) if row["in_doubt"]]
    return tuple(name for name in names if desk.broker.find(name) is None)


def told(desk: Counter) -> dict[str, Json]:
    """What the broker says now, for an entry: ids of open orders, shares held, and when it was asked. Raises BrokerError."""
    report = desk.report()
    orders = sorted(order.client_order_id for order in report.open_orders)
    held = {name: plain(shares) for name, shares in sorted(report.positions.items()) if shares}
    return {
        "asked_at": utc_text(report.as_of_at),
        "open_orders": list(orders[:TOLD_MAX]),
        "open_orders_count": len(orders),
        "positions": dict(list(held.items())[:TOLD_MAX]),
        "positions_count": len(held),
    }


def obstacle_at(desk: Counter, level: HaltLevel | None) -> str:
    """Why the broker's open orders forbid to go on; empty when they do not. `level`: of the halt that stands. Raises BrokerError.

    An order that is not ours, or that the ledger says has ended, always does; after cancel-all any, after flatten a buy.
    """
    ledger, orders = desk.lake.ledger, sorted(desk.report().open_orders, key=lambda order: order.client_order_id)

    def named(found: list[OpenOrder]) -> str:
        return ", ".join(order.client_order_id for order in found[:SHOWN])

    unknown = [order for order in orders if ledger.get("order_intent", order.client_order_id) is None]
    if unknown:
        return f"the broker works order {named(unknown)}, which is none of ours; end it at the broker's own desk"
    ended = [order for order in orders if _has_ended(desk, order.client_order_id)]
    if ended:
        return (
            f"the broker works order {named(ended)}, which the ledger says has ended; compare with its statement first"
        )
    buys = [order for order in orders if order.side is Side.BUY]
    left = {HaltLevel.CANCEL_ALL: orders, HaltLevel.FLATTEN: buys}.get(level, []) if level else []
    return f"the broker still works order {named(left)}; {BY_HAND}" if left else ""


def _has_ended(desk: Counter, name: str) -> bool:
    state = order_state(desk.lake.ledger, name)
    return state in TERMINAL_STATES or desk.lake.ledger.get("order_final", name) is not None


def progress(lake: "Lake") -> dict[str, object]:
    """How far a flatten or a cancel-all has come by the broker's own word: what is held and open; `flat`: nothing of either."""
    try:
        desk = counter(lake)
        found = None if desk is None else told(desk)
    except (MarketbotError, sqlite3.Error) as error:
        return {"positions": None, "open_orders": None, "flat": False, "problem": redactor().text(str(error))}
    held, open_ = (found["positions_count"], found["open_orders_count"]) if found else (0, 0)
    return {"positions": held, "open_orders": open_, "flat": held == 0 and open_ == 0, "problem": ""}
