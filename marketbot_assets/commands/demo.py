"""`demo`: a home that starts in the middle of a real fall of markets, and what its last sessions decided.

The book opens warmed up: with what the decision alone makes of the sessions since go-live, so that ladder and stops have work
to do. Not here: running a session (`sessions`), the warm-up (`research.warm_up`).
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, load_mandate, writable_home
from marketbot_assets.commands.report import write_report
from marketbot_assets.commands.sessions import SessionResult, is_done, open_home, run_range
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import plain
from marketbot_resources.sessions import WARM_UP, book_open, open_book, order_state
from marketbot_resources.store.lake import open_lake

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

DEMO_END = dt.date(2018, 12, 24)  # the trough of the fall of late 2018
View = dict[str, object]


def demo(count: int, *, quiet: bool) -> View:
    """Runs what is missing of the last `count` sessions and returns everything that `demo` shows."""
    mandate, lake = load_mandate(), open_home()
    opened = book_open(lake.ledger) if lake is not None else None
    first = opened.session if opened else _first(mandate, count)
    writable_home()
    if opened is None:
        from marketbot_resources import settings

        ledger = open_lake(settings.home()).ledger
        open_book(ledger, first, mandate.calendar, mandate.schedule, WARM_UP)
    lake = existing_lake()
    days = _days(lake, mandate, first)
    results = run_range(days, quiet=quiet, whatever=True)[-count:]
    return _view(lake, results, len(days))


def _first(mandate: Mandate, count: int) -> dt.date:
    """The first session of a new home: the last of `count` is DEMO_END."""
    calendar = mandate.calendar
    if not calendar.go_live <= DEMO_END <= calendar.last_session:
        raise UsageError(f"demo: expected a mandate whose calendar holds {DEMO_END}, found {calendar.go_live} on")
    days = decision_sessions(calendar, calendar.go_live, DEMO_END)
    if count > len(days):
        raise UsageError(f"demo: expected at most {len(days)} sessions since go-live {calendar.go_live}, found {count}")
    return days[-count]


def _days(lake: "Lake", mandate: Mandate, first: dt.date) -> list[dt.date]:
    """Sessions of the book up to DEMO_END or the last one that is done, whichever is later."""
    ends = [dt.date.fromisoformat(entry.key) for entry in lake.ledger.entries("session_end")]
    last = max([DEMO_END, *ends]) if first <= DEMO_END else max([first, *ends])
    return list(decision_sessions(mandate.calendar, first, last))


def _view(lake: "Lake", results: Sequence[SessionResult], expected: int) -> View:
    size, root = lake.ledger.head()
    done = [r for r in results if is_done(lake, dt.date.fromisoformat(r.session))]
    report: Path | None = write_report(lake, dt.date.fromisoformat(done[-1].session)) if done else None
    return {
        "sessions": [
            {
                "session": r.session,
                "orders": r.orders,
                "nav": r.nav,
                "drawdown": r.drawdown,
                "verdict": r.verdict,
                "state": r.state,
                "reason": r.reason,
                "rung": r.rung,
                "turnover": r.turnover,
                "fills": r.fills,
                "bound": list(r.bound),
                "failed": list(r.failed),
            }
            for r in results
        ],
        "orders": [order for r in results for order in orders_of(lake, r.session)],
        "fills": sum(r.fills for r in results),
        "store_objects": lake.stored(),
        "ledger": {"size": size, "root": root},
        "report": None if report is None else str(report),
        "home": str(lake.home),
        "complete": len(results) > 0 and all(r.ended for r in results),
        "synthetic": True,
    }


def orders_of(lake: "Lake", part: str) -> list[View]:
    """The approved orders of a session with what became of them so far."""
    row = lake.index.newest("orders", part)
    if row is None:
        return []
    frame = lake.load(row)
    found: list[View] = []
    for order in frame.itertuples(index=False):
        final = lake.ledger.get("order_final", order.client_order_id)
        state = order_state(lake.ledger, order.client_order_id)
        status = str(final.body["state"]) if final else state.value if state else "APPROVED"
        found.append(
            {
                "order_id": order.client_order_id,
                "session": part,
                "instrument": order.instrument,
                "side": order.side,
                "quantity": plain(order.quantity),
                "status": status,
            }
        )
    return found
