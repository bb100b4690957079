"""What `doctor` says of Dagster's instance: where it lies, and whether its `dagster.yaml` says what this version relies on."""

import os
from collections.abc import Iterator, Mapping

import yaml

from marketbot_assets.commands.finding import Finding
from marketbot_resources import settings

NAME, FILE = "dagster instance", "dagster.yaml"
RELIED_ON = ("concurrency", "run_queue", "run_monitoring", "run_retries", "run_launcher")
MEND = (
    "stop the daemon, copy {source} over it (keep your own storage, launcher and times), start the daemon: without these "
    "keys a run whose process died may not be seen, or may be started when it must not"
)


def instance_finding() -> Finding:
    """Good when every key on which runs rely is there; what it says is the operator's own choice. Nothing is changed."""
    folder = os.environ.get("DAGSTER_HOME", "")
    if not folder:
        return Finding(NAME, False, "temporary: nothing is kept", "export DAGSTER_HOME=<checkout>/dagster_home")
    path = settings.dagster_home() / FILE
    shipped = settings.CHECKOUT / "dagster_home" / FILE
    if not path.exists() or not shipped.exists():
        return Finding(NAME, True, folder, "")
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = next(iter(str(error).splitlines()), "unreadable")
        return Finding(NAME, False, f"{path}: {told}", f"copy {shipped} over it")
    wanted = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    own = own if isinstance(own, Mapping) else {}
    lacks = [key for part in RELIED_ON for key in _lacking(part, wanted[part], own.get(part))]
    if not lacks:
        return Finding(NAME, True, folder, "")
    source = "deploy/dagster.postgres.yaml" if "storage" in own else "dagster_home/dagster.yaml"
    found = f"{path} is of an older version: it lacks {', '.join(lacks)}"
    return Finding(NAME, False, found, MEND.format(source=settings.CHECKOUT / source))


def _lacking(name: str, wanted: object, own: object) -> Iterator[str]:
    """Names of what is not said at all; a launcher is a whole, so another one lacks nothing."""
    if own is None:
        yield name
    elif isinstance(wanted, Mapping) and isinstance(own, Mapping) and name != "run_launcher":
        for key, value in wanted.items():
            yield from _lacking(f"{name}.{key}", value, own.get(key))
