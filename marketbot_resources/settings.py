"""Where things lie: the environment variables and paths of an installation. The only reader of the environment.

MARKETBOT_HOME     all state of an installation (default: $DAGSTER_HOME/state)
MARKETBOT_MANDATE  the mandate file (default: mandate.yaml beside the code)
DAGSTER_HOME       Dagster's instance (default: dagster_home beside the code)

Values of variables whose names say secret (`redaction.environment_secrets`) are kept out of evidence and logs.
"""

import os
from functools import lru_cache
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


def secrets() -> list[str]:
    """The secrets among the environment's values, as they are now."""
    # os.environ decodes every value anew, which is too slow for each line of a log
    values = getattr(os.environ, "_data", os.environ)
    return list(_secrets_of(tuple(values.items())))


@lru_cache(maxsize=1)
def _secrets_of(variables: tuple[tuple[str | bytes, str | bytes], ...]) -> tuple[str, ...]:
    from marketbot_resources.redaction import environment_secrets

    return tuple(environment_secrets({os.fsdecode(name): os.fsdecode(value) for name, value in variables}))
