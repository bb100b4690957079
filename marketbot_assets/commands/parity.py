"""`parity`: live sessions against their backtest. Not here: the comparison (`parity_runs`), the asset (`research.assets`)."""

import datetime as dt
from typing import TYPE_CHECKING

from marketbot_assets.commands.drift import write_page
from marketbot_assets.commands.home import existing_lake, instance
from marketbot_assets.commands.run_failure import why
from marketbot_assets.commands.sessions import QUIET
from marketbot_assets.parity_facts import ASSET, due, every_check
from marketbot_assets.parity_pages import SHOWN, told
from marketbot_assets.parity_reads import decided_sessions
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.sessions import end_state

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.parity import Tracking

JOB = "parity"
LINES_SHOWN = 30
View = dict[str, object]


def parity_now(first: dt.date | None, last: dt.date | None, page: str | None) -> View:
    """Compares a range, or what was never compared, and tells what is known of it; without a range of every session.

    `page`: a file for the HTML page. Raises UsageError when there is nothing to compare.
    """
    from marketbot_assets.research.parity import tracking_of, unexplained
    from marketbot_assets.research.parity_report import parity_page

    lake = existing_lake()
    ended = [day for day in decided_sessions(lake.ledger) if end_state(lake.ledger, day)]
    until = max((day for day in ended if last is None or day <= last), default=None)
    if until is None or (first is not None and not due(lake, until, first)):
        raise UsageError(f"no decided session to compare in {lake.home}; run `marketbot run` first")
    if due(lake, until, first):
        _materialize(until, first)
    frame = every_check(existing_lake())
    assert frame is not None, "one check has just been stored, or there was one"
    if first is not None:
        frame = frame[(frame["session"].dt.date >= first) & (frame["session"].dt.date <= until)]
    apart, tracking = frame[~frame["same"]], tracking_of(frame)
    view: View = {
        "first": str(frame["session"].min().date()),
        "last": str(frame["session"].max().date()),
        "sessions": int(frame["session"].nunique()),
        "differ": int(apart["session"].nunique()),
        "causes": causes(apart),
        "unexplained": int(unexplained(frame)["session"].nunique()),
        "tracking": _tracking(tracking),
        "differences": [dict(zip(SHOWN, map(told, SHOWN, row), strict=True)) for row in _rows(apart)],
        "path": None,
    }
    if page is not None:
        view["path"] = str(write_page(page, parity_page(frame)))
    return view


def _rows(apart: "pd.DataFrame") -> list[tuple[object, ...]]:
    return list(zip(*(apart[name] for name in SHOWN), strict=True))


def causes(apart: "pd.DataFrame") -> dict[str, int]:
    """Cause -> sessions in which something differs for it."""
    counts = apart.drop_duplicates(["session", "cause"])["cause"].value_counts()
    return {str(name): int(counts[name]) for name in sorted(counts.index)}


def _tracking(tracking: "Tracking") -> View:
    return {
        "sessions": tracking.sessions,
        "mean": tracking.mean,
        "error": tracking.error,
        "errors": tracking.errors,
        "within": tracking.within,
    }


def _materialize(until: dt.date, first: dt.date | None) -> None:
    from marketbot_assets.definitions import defs

    config = {"ops": {ASSET: {"config": {"since": "" if first is None else first.isoformat()}}}, **QUIET}
    job = defs.resolve_job_def(JOB)
    with instance() as dagster:
        run = job.execute_in_process(
            instance=dagster, raise_on_error=False, run_config=config, partition_key=until.isoformat()
        )
    if not run.success:
        raise MarketbotError(f"parity: {why(run.all_events)}")


def parity_lines(view: View) -> list[str]:
    """What was found for people."""
    tracking, differences, found = view["tracking"], view["differences"], view["causes"]
    assert isinstance(tracking, dict)
    assert isinstance(differences, list)
    assert isinstance(found, dict)
    lines = [
        f"{view['first']} to {view['last']}: {view['sessions']} live sessions, {view['differ']} differ from their backtest"
    ]
    lines += [f"  {count} for {name}" for name, count in found.items()]
    for row in differences[:LINES_SHOWN]:
        lines.append(f"{row['session']} {row['field']} {row['item']}: live {row['live']}, backtest {row['backtest']}")
        lines.append(f"    {row['cause']}: {row['reason']}")
    if len(differences) > LINES_SHOWN:
        lines.append(f"and {len(differences) - LINES_SHOWN} more (--json, --html)")
    if tracking["sessions"] >= 2:
        mean, error = (f"{10_000 * tracking[name]:.4f}" for name in ("mean", "error"))
        lines.append(
            f"live less backtest: {mean} basis points a session, standard error {error}: {tracking['errors']:.2f} errors"
        )
    if view["path"]:
        lines.append(f"page: {view['path']}")
    return lines
