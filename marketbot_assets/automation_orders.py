"""Orders after the run that decided them: an opt-in sensor that follows them and sends what waited for its window.

`orders_due` decides and is pure; it reads what the ledger says and asks no broker. Not here: following (`broker.following`),
sending (`submissions`), the daily run (`automation`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from marketbot_assets.automation import IN_PROGRESS, STARTED_BY_TAG, sessions_in_progress
from marketbot_assets.automation_switch import sensor_status
from marketbot_assets.jobs import later_window, order_following
from marketbot_assets.partitions import sessions
from marketbot_resources.broker.following import has_open_orders, quiet_since
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import Order, OrderState, order_from_record
from marketbot_resources.redaction import redacting
from marketbot_resources.sessions import cutoff_of, order_state
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import ClockResource, MandateResource

APPROVED = "APPROVED"
FOLLOW_MINUTES = ((dt.timedelta(minutes=10), 1), (dt.timedelta(hours=1), 2))
FOLLOW_MINUTES_MAX = 5
"""Minutes between two looks at the broker by how long nothing has changed: each is a process, and most see a closed exchange."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run to start now: its job, its key (of which one run is started), its session for `later_window`."""

    job: str
    key: str
    session: dt.date | None = None


def orders_due(
    *,
    now: dt.datetime | None,
    waiting: Mapping[dt.date, Sequence[Order]],
    is_open: bool,
    running: bool,
    quiet: dt.datetime | None = None,
) -> Due | str:
    """What to start now, or why nothing. `now` is None on the replay clock; `running`: a run of this book is in progress.

    `waiting`: approved orders that were never sent, of sessions without an end; one run per window that opens, and one when the
    last has closed, which ends them unsent and the session with it. `is_open`: orders at the broker have not ended. `quiet`: since
    when they are as they are; None, or an instant to come, follows each minute.
    """
    if now is None:
        return "orders are followed on the live clock only"
    if running:
        return "a run is in progress; one run at a time"
    for session in sorted(waiting):
        orders = waiting[session]
        opened = [order.send_from for order in orders if order.send_from <= now <= order.send_until]
        if opened:
            return Due(later_window.name, f"later-{session}-{max(opened).isoformat()}", session)
        if orders and all(now > order.send_until for order in orders):
            return Due(later_window.name, f"later-{session}-over", session)
    if is_open:
        minutes = follow_minutes(None if quiet is None else now - quiet)
        return Due(order_following.name, f"following-{int(now.timestamp()) // 60 // minutes * minutes}")
    return "no order is open and none waits for its window"


def follow_minutes(quiet: dt.timedelta | None) -> int:
    """Minutes between two looks at orders that have not changed for so long."""
    return next((n for below, n in FOLLOW_MINUTES if quiet is None or quiet < below), FOLLOW_MINUTES_MAX)


def waiting_orders(ledger: Ledger, account: str) -> dict[dt.date, tuple[Order, ...]]:
    """Approved orders that were never sent, by session, of sessions whose end is not recorded.

    Only orders whose window opens after the session's cutoff: what a run that died left unsent is not sent by itself.
    """
    found: dict[dt.date, tuple[Order, ...]] = {}
    for batch in ledger.entries("batch_frozen", f"{account}/")[-2:]:
        day = batch.key.split("/")[1]
        if ledger.get("session_end", day) is not None or batch.body.get("verdict") != APPROVED:
            continue
        told = batch.body["orders"]
        assert isinstance(told, Sequence)
        names = [str(order["client_order_id"]) for order in told if isinstance(order, Mapping)]
        unsent = [name for name in names if order_state(ledger, name) is OrderState.APPROVED]
        intents = [entry for name in unsent if (entry := ledger.get("order_intent", name)) is not None]
        orders = [order_from_record(entry.body) for entry in intents]
        session = dt.date.fromisoformat(day)
        cutoff = cutoff_of(ledger, session)
        found[session] = tuple(order for order in orders if cutoff is not None and order.send_from > cutoff)
    return found


@dg.sensor(
    jobs=[order_following, later_window],
    minimum_interval_seconds=60,
    default_status=sensor_status("orders"),
)
@redacting
def order_sensor(
    context: dg.SensorEvaluationContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.RunRequest | dg.SkipReason:
    """On the live clock: follows the orders until every one has ended, and sends those whose window opens later.

    It looks each minute; where nothing has changed for ten minutes every second, after an hour every fifth.
    """
    mandate, ticking, ledger = mandate_file.load(), clock.open(), store.lake.ledger
    account, busy = mandate.account.id, sessions_in_progress(context.instance)
    for name in (order_following.name, later_window.name):
        filters = dg.RunsFilter(job_name=name, statuses=IN_PROGRESS)
        busy |= {mandate.calendar.go_live} if context.instance.get_runs(filters=filters, limit=1) else set()
    found = orders_due(
        now=ticking.now(mandate.calendar.go_live) if ticking.live else None,
        waiting=waiting_orders(ledger, account),
        is_open=has_open_orders(ledger, account),
        running=bool(busy),
        quiet=quiet_since(ledger, account),
    )
    if isinstance(found, str):
        return dg.SkipReason(found)
    tags = {STARTED_BY_TAG: "order_sensor"}
    if found.session is None:
        return dg.RunRequest(run_key=found.key, job_name=found.job, tags=tags)
    partition = found.session.isoformat()
    if not sessions.has_partition_key(partition):
        return dg.SkipReason(
            f"{partition} is no partition of this code location; reload it after a change of the mandate"
        )
    return dg.RunRequest(run_key=found.key, job_name=found.job, partition_key=partition, tags=tags)
