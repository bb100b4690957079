"""Dagster's storage in PostgreSQL with connections that stay open, as `event_log` has them for SQLite. `dagster.yaml` names it.

Dagster opens a connection per query, thousands in a session, and with TLS and a password each costs more than its query. Here a
small pool serves each process; a connection is asked whether it still lives before it is used, so that a server that was restarted
costs nothing. Not here: what Dagster stores, which proves nothing (the ledger is the record).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

if TYPE_CHECKING:
    from dagster_postgres.auth import PgTokenProvider

POOL_SIZE, OVERFLOW, RECYCLE_SECONDS = 1, 8, 1_800


class PooledPostgresStorage(DagsterPostgresStorage):
    """Runs, events and schedules of an instance, as Dagster stores them; configured as `storage.postgres` is."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: "PgTokenProvider | None" = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        engine = create_pg_engine(
            postgres_url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=POOL_SIZE,
            max_overflow=OVERFLOW,
            pool_recycle=RECYCLE_SECONDS,
            pool_pre_ping=True,
        )
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        """The storage that a `dagster.yaml` describes."""
        return cls(
            pg_url_from_config(config_value),  # type: ignore[arg-type]
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),  # type: ignore[arg-type]
        )
