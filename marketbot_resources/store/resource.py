"""The store as a Dagster resource: hands a step its reader and takes its result. It is no IO manager, so it knows what was read."""

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from marketbot_resources import settings
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import parse_calendar
from marketbot_resources.store.index import Read
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

_READERS: dict[tuple[str, str], list[Reader]] = {}


class StoreResource(dg.ConfigurableResource):
    """The write-once store, its index and the ledger of one home (default: MARKETBOT_HOME)."""

    home: str | None = None

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Names the run's process in Dagster's instance: this is what every run opens first. A sensor's tick is no run."""
        if context.run is not None and context.instance is not None:
            from marketbot_resources.run_launcher import name_process

            name_process(context.instance, context.run)

    @property
    def lake(self) -> "Lake":
        """The store without Dagster."""
        from marketbot_resources.store.lake import open_lake

        return open_lake(Path(self.home) if self.home else settings.home())

    def reader(self, context: dg.AssetExecutionContext) -> Reader:
        """A reader for the running step: it may read what the asset declares in deps, and its own earlier partitions."""
        key = context.asset_key
        allowed = {dep.to_user_string() for dep in context.assets_def.asset_deps[key]}
        reader = Reader(self.lake, session_of(context), allowed=allowed)
        _READERS.setdefault((context.run.run_id, key.to_user_string()), []).append(reader)
        return reader

    def reads(self, context: dg.AssetExecutionContext) -> list[Read]:
        """What the running step has read so far."""
        readers = _READERS.get((context.run.run_id, context.asset_key.to_user_string()), [])
        return [read for reader in readers for read in reader.reads]

    def forget(self, context: dg.AssetExecutionContext) -> None:
        """Drops the read list of a finished step."""
        _READERS.pop((context.run.run_id, context.asset_key.to_user_string()), None)


def session_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> dt.date:
    """The session of the run, also for unpartitioned steps of a session's run. Raises UsageError without one."""
    run = context.run
    key = run.tags.get("dagster/partition")
    if key is None and "dagster/asset_partition_range_start" in run.tags:
        first, last = (run.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        key = first if first == last else None
    if key is None:
        key = _last_of_config(run.run_config)
    if key is None:
        raise UsageError("expected a run of one session, found none; launch job `daily` with a partition")
    return _session_of_run(run.run_id, key)


@lru_cache(maxsize=64)
def _session_of_run(run_id: str, key: str) -> dt.date:
    """The session as the run's first step read it: an edit of the mandate during the run changes nothing."""
    return session_from_key(key)


def _last_of_config(config: Mapping[str, Any]) -> str | None:
    """The end of the range that the run's one op was configured with (a backtest); None without one."""
    for op in config.get("ops", {}).values():
        last = op.get("config", {}).get("last")
        if isinstance(last, str):
            return last
    return None


def session_from_key(key: str) -> dt.date:
    """A partition key as a session of the decision calendar. Raises UsageError for anything else."""
    from marketbot_resources.calendars import decision_sessions

    try:
        day = dt.date.fromisoformat(key)
    except ValueError as error:
        raise UsageError(f"expected a session like 2018-12-24, found {key!r}") from error
    calendar, _ = parse_calendar(settings.mandate_path().read_text(encoding="utf-8"))
    if not calendar.go_live <= day <= calendar.last_session:
        raise UsageError(f"expected a session from {calendar.go_live} to {calendar.last_session}, found {day}")
    if not decision_sessions(calendar, day, day):
        raise UsageError(f"expected a session of {calendar.mic}, found {day}, a day without trading")
    return day
