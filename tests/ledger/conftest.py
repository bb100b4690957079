"""Both kinds of database, for every test that asks for a shelf."""

from pathlib import Path

import pytest
from ledger_shelves import PostgresShelf, Shelf, SqliteShelf
from services import Postgres


@pytest.fixture(scope="session")
def postgres_shelf(postgres: Postgres) -> PostgresShelf:
    """One database for all that only need an empty ledger."""
    return PostgresShelf(postgres)


@pytest.fixture
def sqlite_shelf(tmp_path: Path) -> SqliteShelf:
    return SqliteShelf(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """SQLite, then PostgreSQL."""
    found: Shelf = request.getfixturevalue(f"{request.param}_shelf")
    return found
