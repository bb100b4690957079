"""Jobs: `daily` runs one session through the whole graph in one process, `data` its data alone, `backtest_range` and `factor_range`
a past range, `parity` compares live sessions with their backtest, `declared` the declared features of a session that has its data.

`intraday` asks for quotes of held names while exchanges trade, `order_following` what became of the orders, `later_window` sends
what waited for its window.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from marketbot_resources.alert_detection import JOB_FAILED, failed_job, failed_step
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import record_failure
from marketbot_resources.store.resource import session_from_key
from marketbot_resources.unrecorded import REFUSED

REASON_MAX = 2000
BOOK_TAGS = {"marketbot/book": "paper-1", "dagster/retry_on_asset_or_op_failure": "false"}
RUN_TAGS = {**BOOK_TAGS, "dagster/max_retries": "0", "dagster/max_runtime_seconds": "900"}
SENDING_TAGS = {**RUN_TAGS, "dagster/max_runtime_seconds": "3600"}
CRASH_TAGS = {
    **BOOK_TAGS,
    "dagster/max_retries": "1",
    "dagster/retry_strategy": "ALL_STEPS",
    "dagster/max_runtime_seconds": "3600",
}
"""A run whose process died is started once more by Dagster, from its first step, as by `marketbot run`: what is stored is served.

A step that failed is not: it would fail again, or it refused on purpose. Sending is safe to repeat by protocol: an order has one
client order id, its intent is in the ledger before it leaves, what is in doubt is asked for, and one run sends at a time.
"""


@dg.failure_hook(name="note_failure", required_resource_keys={"store"})
def note_failure(context: dg.HookContext) -> None:
    """Writes to the ledger at which step and why a session's run ended, and tells it."""
    from marketbot_assets.alerting import tell_failure, tell_safely

    run = context.instance.get_run_by_id(context.run_id)
    key = run.tags.get("dagster/partition") if run else None
    if key is None:
        return
    lake, step, reason = context.resources.store.lake, context.step_key, _reason(context)
    try:
        record_failure(lake.ledger, session_from_key(key), context.run_id, step, reason)
    except REFUSED as refused:
        context.log.error(f"the failure of {step} is not recorded: {refused}")
        tell_failure(lake, context.log, failed_step(step, key, reason), refused)
        return
    tell_safely(lake, context.log)


@dg.failure_hook(name="note_job_failure", required_resource_keys={"store"})
def note_job_failure(context: dg.HookContext) -> None:
    """The same for a job beside the session, whose own end it does not touch."""
    from marketbot_assets.alerting import tell_failure, tell_safely

    run = context.instance.get_run_by_id(context.run_id)
    key = run.tags.get("dagster/partition") if run else None
    if run is None or key is None:
        return
    lake, reason = context.resources.store.lake, f"{context.step_key}: {_reason(context)}"
    try:
        lake.ledger.append(JOB_FAILED, f"{key}/{context.run_id}", {"job": run.job_name, "reason": reason})
    except REFUSED as refused:
        context.log.error(f"the failure of {run.job_name} is not recorded: {refused}")
        tell_failure(lake, context.log, failed_job(run.job_name, key, reason), refused)
        return
    tell_safely(lake, context.log)


def _reason(context: dg.HookContext) -> str:
    """The first line of what a step raised, without secrets."""
    error = context.op_exception
    said = redactor().text(str(error or "").strip())  # before it is cut: half a secret is not recognised
    return (said.splitlines()[0] if said else type(error).__name__)[:REASON_MAX]


BESIDE = ("declared", "parity", "intraday")  # jobs that no decision waits for
TRADING = ["book", "portfolio", "risk", "execution", "audit"]
QUOTED = ("intraday_quotes", "intraday_exits")
RANGES = ("backtest", "factor_evaluation", "sweep", "parity_check")
DECLARED = ("wide_features",)
everything = dg.AssetSelection.all() - dg.AssetSelection.assets(*RANGES, *QUOTED, *DECLARED)

daily = dg.define_asset_job(
    "daily",
    selection=everything,
    executor_def=dg.in_process_executor,
    hooks={note_failure},
    tags=CRASH_TAGS,
    description="One session: data as received, features, forecasts, book, target, verdict, orders, records, report.",
)
data = dg.define_asset_job(
    "data",
    selection=everything - dg.AssetSelection.groups(*TRADING),
    executor_def=dg.in_process_executor,
    hooks={note_failure},
    tags=CRASH_TAGS,
    description="One session's data, features and forecasts; nothing is decided, the next session records it as skipped.",
)
backtest_range = dg.define_asset_job(
    "backtest_range",
    selection=dg.AssetSelection.assets("backtest"),
    executor_def=dg.in_process_executor,
    description="The decision over a past range, from cash, with the paper broker's fills.",
)
sweep_grid = dg.define_asset_job(
    "sweep_grid",
    selection=dg.AssetSelection.assets("sweep"),
    executor_def=dg.in_process_executor,
    description="The backtests of a grid, side by side. Nothing is decided.",
)
factor_range = dg.define_asset_job(
    "factor_range",
    selection=dg.AssetSelection.assets("factor_evaluation"),
    executor_def=dg.in_process_executor,
    description="What every score was worth over a past range. Nothing is decided.",
)
parity = dg.define_asset_job(
    "parity",
    selection=dg.AssetSelection.assets("parity_check"),
    executor_def=dg.in_process_executor,
    hooks={note_job_failure},
    description="Live sessions against their backtest on the data as known now. Nothing is decided.",
)
declared = dg.define_asset_job(
    "declared",
    selection=dg.AssetSelection.assets(*DECLARED),
    executor_def=dg.in_process_executor,
    hooks={note_job_failure},
    description="The declared features of a session whose data are there. Nothing of a decision waits for it.",
)
intraday = dg.define_asset_job(
    "intraday",
    selection=dg.AssetSelection.assets(*QUOTED),
    executor_def=dg.in_process_executor,
    hooks={note_job_failure},
    tags=RUN_TAGS,
    description="Quotes of held names while exchanges trade, and the stops that they broke. Nothing is sent.",
)
later_window = dg.define_asset_job(
    "later_window",
    selection=dg.AssetSelection.assets("submissions"),
    executor_def=dg.in_process_executor,
    hooks={note_failure},
    tags=SENDING_TAGS,
    description="Submissions alone: orders of a frozen batch whose window opened after its run, or is over for good.",
)


@dg.op(required_resource_keys={"store", "mandate_file", "clock", "broker", "ports", "halt"})
def follow_orders(context: dg.OpExecutionContext) -> None:
    """Asks the broker for every order that has not ended and writes down what is new; strays halt (class C)."""
    from marketbot_resources.broker.following import follow

    ports = context.resources
    mandate, ledger = ports.mandate_file.load(), ports.store.lake.ledger
    at = ports.clock.open().now(mandate.calendar.go_live)
    broker, halt = ports.broker.open(mandate, ports.ports), ports.halt.open()
    found = follow(ledger, broker, mandate.account.id, at, halt=halt, closed=mandate.calendar.closed)
    for name, state in found.changed.items():
        context.log.info(f"order {name}: {state.value}")
    for text in (*found.strays, *(f"order {name}: open after its session" for name in found.overdue)):
        context.log.error(text)
    context.log.info(f"{len(found.fills)} new executions, {len(found.working)} orders have not ended")


@dg.job(
    name="order_following",
    executor_def=dg.in_process_executor,
    tags=RUN_TAGS,
    description="What became of the orders that were sent. Nothing is sent or canceled.",
)
def order_following() -> None:
    """Follows the orders once."""
    follow_orders()


JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [
    daily,
    data,
    backtest_range,
    sweep_grid,
    factor_range,
    parity,
    declared,
    intraday,
    later_window,
    order_following,
]
