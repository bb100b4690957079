"""Which index a home has: a file in it, or the database that MARKETBOT_INDEX names.

A home keeps the index that it began with: another one would know nothing of what was stored. The ledger's database is not taken by
itself, because the ledger's role must not be able to write the index nor the index's role the ledger, so each has an address of
its own; and a home that has its ledger in a database today keeps the index file that it has. Not here: the adapters.
"""

from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.database_choice import note_database, refuse_another
from marketbot_resources.store.index import Index
from marketbot_resources.store.index_postgres import PostgresIndex
from marketbot_resources.store.index_sqlite import SqliteIndex

FILE, MARK = "index.sqlite", "index.postgres"


def has_index(home: Path) -> bool:
    """Whether something was ever stored in a home; a database named by MARKETBOT_INDEX counts."""
    return (home / FILE).exists() or (home / MARK).exists() or settings.index_url() is not None


def open_index(home: Path, *, read_only: bool = False) -> Index:
    """The index of a home, whose folder exists; a home without one gets it, and keeps it.

    A database is not asked before the first use. Raises HomeError when the home began with another index.
    """
    url = settings.index_url()
    refuse_another("index", "MARKETBOT_INDEX", url, home / FILE, home / MARK)
    if url is None:
        return SqliteIndex(home / FILE, read_only=read_only)
    index = PostgresIndex(url, read_only=read_only)
    if not read_only:
        note_database(home / MARK, index.where)
    return index
