"""Dagster's event log for one machine: its own consolidated SQLite log with connections that stay open.

Dagster's SQLite storages build an engine and open a file per query; a session makes thousands of them, and that was most of
its time. Here one engine serves the process, and `synchronous=normal` saves a disk flush per event. The event log proves
nothing (it can be wiped; the ledger is the record and stays at `full`), so what a power failure may take is the view of a run.
Watching a run polls the database, because with an open connection the main file does not change on every event.
`dagster.yaml` names this class; production uses Postgres instead. Not here: runs and schedules, which keep Dagster's storage.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqlPollingEventWatcher
from dagster._serdes import ConfigurableClassData
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from marketbot_resources import settings

POOL_SIZE, WAIT_SECONDS = 4, 60
FOLDER = "history"


class QuickEventLog(ConsolidatedSqliteEventLogStorage):
    """The event log of the instance at DAGSTER_HOME, in its folder `history`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine: Engine | None = None
        self._watcher: SqlPollingEventWatcher | None = None
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, object]:
        """Nothing to configure: the place follows from the instance."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """The log of the instance in the environment."""
        return cls(str(settings.dagster_home() / FOLDER), inst_data)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._opened().connect() as connection, connection.begin():
            yield connection

    def _opened(self) -> Engine:
        if self._engine is None:
            engine = create_engine(
                self._conn_string,
                poolclass=QueuePool,
                pool_size=POOL_SIZE,
                connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False},
            )

            @event.listens_for(engine, "connect")
            def relax(connection: Any, record: object) -> None:
                connection.execute("pragma synchronous=normal")

            self._engine = engine
        return self._engine

    def has_table(self, table_name: str) -> bool:
        """Whether a table exists; one that was seen stays (Dagster asks for every event)."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def watch(self, run_id: str, cursor: str | None, callback: Callable[[EventLogEntry, str], None]) -> None:
        """Calls back on new events of a run, by polling."""
        if self._watcher is None:
            self._watcher = SqlPollingEventWatcher(self)
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: Callable[[EventLogEntry, str], None]) -> None:
        """Stops calling back."""
        if self._watcher is not None:
            self._watcher.unwatch_run(run_id, handler)

    def dispose(self) -> None:
        """Ends the watchers and closes the file."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        super().dispose()  # type: ignore[no-untyped-call]
