"""Which ledger a home has: a file in it, or the database that MARKETBOT_LEDGER names.

A home keeps the ledger that it began with: another one would know nothing of what was sent. Not here: the adapters.
"""

from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.database_choice import note_database, refuse_another
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger

FILE, MARK = "ledger.sqlite", "ledger.postgres"


def open_ledger(home: Path) -> Ledger:
    """The ledger of a home, whose folder exists; a home without one gets it, and keeps it.

    A database is not asked before the first use. Raises HomeError when the home began with another ledger.
    """
    ledger = _ledger(home)
    if isinstance(ledger, PostgresLedger):
        note_database(home / MARK, ledger.where)
    return ledger


def read_ledger(home: Path) -> Ledger:
    """The ledger of a home, to be read: a file is opened so that SQLite refuses writes, a database as its user's rights say.

    Raises HomeError when there is none.
    """
    return _ledger(home, read_only=True)


def existing_ledger(home: Path) -> Ledger | None:
    """The ledger of a home that has one, else None: nothing is made. A database named by MARKETBOT_LEDGER is one."""
    known = (home / FILE).exists() or (home / MARK).exists()
    return _ledger(home) if known or settings.ledger_url() is not None else None


def _ledger(home: Path, *, read_only: bool = False) -> Ledger:
    url = settings.ledger_url()
    refuse_another("ledger", "MARKETBOT_LEDGER", url, home / FILE, home / MARK)
    return SqliteLedger(home / FILE, read_only=read_only) if url is None else PostgresLedger(url)
