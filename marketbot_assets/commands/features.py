"""`features build`: the declared features of sessions whose data a home holds, oldest first. Not here: how they are made."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance
from marketbot_assets.commands.run_failure import why
from marketbot_assets.commands.sessions import QUIET
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.parallel import open_pool

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

ASSET, JOB, LISTINGS = "wide_features", "declared", "instruments"
CLUSTERS = ("dask", "tcp", "tls")  # these are opened by the run that uses them
View = dict[str, object]


def build_range(days: Sequence[dt.date], workers: str, *, quiet: bool) -> View:
    """One run of job `declared` per session. Raises UsageError for a session without data, MarketbotError when a run fails."""
    from tqdm import tqdm

    from marketbot_assets.definitions import defs

    if workers.partition(":")[0] not in CLUSTERS:
        open_pool(workers)  # a word that names no place is refused before anything runs
    lake = existing_lake()
    bare = [day for day in days if lake.index.newest(LISTINGS, day.isoformat()) is None]
    if bare:
        raise UsageError(
            f"session {bare[0]}: expected its data in {lake.home}, found none; "
            f"give `marketbot backfill {bare[0]} {days[-1]} --data`"
        )
    config, told = {"ops": {ASSET: {"config": {"workers": workers}}}, **QUIET}, []
    job = defs.resolve_job_def(JOB)
    with instance() as dagster, tqdm(days, unit="session", disable=quiet or None) as bar:
        for day in bar:
            bar.set_description(day.isoformat())
            run = job.execute_in_process(
                partition_key=day.isoformat(), instance=dagster, raise_on_error=False, run_config=config
            )
            if not run.success:
                raise MarketbotError(f"features of {day}: {why(run.all_events)}")
            told.append(_built(lake, day))
    return {"sessions": told, "home": str(lake.home)}


def _built(lake: "Lake", day: dt.date) -> View:
    row = lake.index.newest(ASSET, day.isoformat())
    assert row is not None, "the run stored it"
    frame = lake.load(row).drop(columns=["session", "instrument"])
    return {
        "session": day.isoformat(),
        "made": lake.manifest(row)["made"],
        "instruments": row.rows,
        "features": frame.shape[1],
        "known": round(float(frame.notna().to_numpy().mean()), 4) if frame.size else None,
        "content_sha256": row.content_sha256,
    }


def build_lines(view: View) -> list[str]:
    """One line per session for people."""
    sessions = view["sessions"]
    assert isinstance(sessions, list)
    return [
        f"{one['session']}  {one['features']} features of {one['instruments']} instruments,"
        f" {'n/a' if one['known'] is None else format(one['known'], '.1%')} known; {one['made']}"
        for one in sessions
    ]
