"""Where things lie: the environment variables and paths of an installation. The only reader of the environment.

MARKETBOT_HOME     all state of an installation (default: $DAGSTER_HOME/state)
MARKETBOT_MANDATE  the mandate file (default: mandate.yaml beside the code)
MARKETBOT_LEDGER   a postgresql:// address of the ledger (default: a file in the home)
DAGSTER_HOME       Dagster's instance (default: dagster_home beside the code)
"""

import os
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def dagster_home() -> Path:
    """Dagster's instance folder."""
    return Path(os.environ.get("DAGSTER_HOME") or CHECKOUT / "dagster_home").resolve()


def home() -> Path:
    """The installation's folder."""
    given = os.environ.get("MARKETBOT_HOME")
    return Path(given).resolve() if given else dagster_home() / "state"


def mandate_path() -> Path:
    """The mandate file."""
    return Path(os.environ.get("MARKETBOT_MANDATE") or CHECKOUT / "mandate.yaml").resolve()


def ledger_url() -> str | None:
    """Address of the ledger's database, which may hold a password: never shown. None: the ledger is a file in the home."""
    return os.environ.get("MARKETBOT_LEDGER") or None
