"""Secrets of a process: the environment first, then AWS SSM, then a file of mode 0600. Loaded once, each process its own alone.

MARKETBOT_SECRET_FILES a folder with one file per process: code.env, run.env, llm.env, notifier.env, webserver.env, daemon.env,
                       api.env, migrate.env, each NAME=value lines; or more folders with `:` between, a later one's value wins
MARKETBOT_SECRETS_SSM  the beginning of the parameters' names, like /marketbot/paper: .../<group>/<NAME>, SecureString

A file must belong to this process's user (or root), be 0600 or 0400, and be no link. A parameter is asked for by its exact name,
never by its path. What is set but cannot be read raises HomeError: a half-read set of secrets is none. A process holds the names
of OWN; what a child needs is read when the child is started, handed to it in its environment, and not kept. A change in the
environment needs a new process; a changed file or parameter is seen by the next session, since `renew` begins each of them.
What Dagster itself and the interface must have in their environment, deploy/start.py puts there when it starts them.
Not here: which variable a provider names (`vendors`), who hands what to which child (`settings`), masking (`redaction`).
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from marketbot_resources.errors import HomeError

FOLDER, PREFIX = "MARKETBOT_SECRET_FILES", "MARKETBOT_SECRETS_SSM"
FILE_BYTES_MAX, NAMES_PER_CALL, KNOWN_MAX = 65_536, 10, 256
SSM_SECONDS, SSM_ATTEMPTS = 5, 3
_MODES = (0o600, 0o400)


class Process(StrEnum):
    """Who holds secrets. The signer holds none here: its key lies in its own folder. `code` starts the runs."""

    RUN = "run"
    LLM = "llm"
    NOTIFIER = "notifier"
    SIGNER = "signer"
    CODE = "code"
    WEBSERVER = "webserver"
    DAEMON = "daemon"
    API = "api"
    MIGRATE = "migrate"


DATA = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "FRED_API_KEY", "SEC_USER_AGENT", "TIINGO_API_KEY")
BROKER = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
DATABASE = ("MARKETBOT_LEDGER",)
STORED = ("MARKETBOT_LEDGER", "MARKETBOT_INDEX")
DAGSTER = ("DAGSTER_POSTGRES_URL",)
OWNERS = ("MARKETBOT_ADMIN_URL", "MARKETBOT_LEDGER_READER", "MARKETBOT_INDEX_READER")
LLM = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MARKETBOT_LLM_LOCAL_KEY",
    "MARKETBOT_LLM_CACHE",
)
NOTIFY = (
    "MARKETBOT_SMTP_USER",
    "MARKETBOT_SMTP_PASSWORD",
    "MARKETBOT_SLACK_WEBHOOK",
    "MARKETBOT_APPRISE_URLS",
    "MARKETBOT_HEARTBEAT_URL",
)
# process -> (group of parameters, names) in order: a later group's value replaces an earlier one's of the same name
OWN: Mapping[Process, tuple[tuple[str, tuple[str, ...]], ...]] = {
    Process.RUN: (("data", DATA), ("broker", BROKER), ("database", STORED)),
    Process.LLM: (("llm", LLM),),
    Process.NOTIFIER: (("notify", NOTIFY), ("database", DATABASE)),
    Process.SIGNER: (),
    Process.CODE: (("database", DAGSTER),),
    Process.WEBSERVER: (("database", DAGSTER),),
    Process.DAEMON: (("database", DAGSTER),),
    Process.API: (("database", STORED),),
    Process.MIGRATE: (("database", (*DAGSTER, *STORED, *OWNERS)),),
}
# A channel's own secret has its name behind the variable's: MARKETBOT_SLACK_WEBHOOK_OPS. Such names stand in files alone.
_LONGER = ("MARKETBOT_SMTP_USER_", "MARKETBOT_SMTP_PASSWORD_", "MARKETBOT_SLACK_WEBHOOK_", "MARKETBOT_APPRISE_URLS_")


def owns(process: Process, name: str) -> bool:
    """Whether a name is a secret of this process."""
    if any(name in names for _, names in OWN[process]):
        return True
    return process is Process.NOTIFIER and name.startswith(_LONGER)


def found(process: Process) -> dict[str, str]:
    """The secrets of a process outside of the environment, read now: parameters before its files. Raises HomeError."""
    folders, prefix = (os.environ.get(name, "").strip() for name in (FOLDER, PREFIX))
    values: dict[str, str] = {}
    for folder in filter(None, folders.split(os.pathsep)):
        values |= read_file(Path(folder) / f"{process}.env", process)
    return values | (read_parameters(prefix.rstrip("/"), process) if prefix else {})


def read_file(path: Path, process: Process) -> dict[str, str]:
    """NAME=value lines of one process; {} when there is no file. `#` begins a line of remarks. Raises HomeError.

    The mode is that of the opened file, so nobody can change files between the look and the reading.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HomeError(f"secrets: expected a file of our own at {path}, found: {error.strerror}") from error
    try:
        _closed(path, os.fstat(handle))
        text = os.read(handle, FILE_BYTES_MAX + 1).decode()
    except UnicodeDecodeError as error:
        raise HomeError(f"secrets: expected UTF-8 text in {path}, found none") from error
    except OSError as error:
        raise HomeError(f"secrets: expected to read {path}, found: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(text.encode()) > FILE_BYTES_MAX:
        raise HomeError(f"secrets: expected at most {FILE_BYTES_MAX} bytes in {path}, found more")
    return _of_lines(text, path, process)


def _closed(path: Path, about: os.stat_result) -> None:
    mode = stat.S_IMODE(about.st_mode)
    if not stat.S_ISREG(about.st_mode):
        raise HomeError(f"secrets: expected a plain file at {path}, found another kind")
    if about.st_uid not in (os.geteuid(), 0):
        raise HomeError(f"secrets: expected {path} to be owned by uid {os.geteuid()} or root, found {about.st_uid}")
    if mode not in _MODES:
        raise HomeError(
            f"secrets: expected {path} with mode 0600, found {mode:04o}; chmod 600 it, and change what others could read"
        )


def _of_lines(text: str, path: Path, process: Process) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, mark, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not mark or not owns(process, name) or name in values:
            what = "NAME=value" if not mark else "each name once" if name in values else f"a secret of {process}"
            raise HomeError(f"secrets: expected {what} in line {number} of {path}, found something else")
        values[name] = value
    return {name: value for name, value in values.items() if value}


def read_parameters(prefix: str, process: Process) -> dict[str, str]:
    """The parameters of one process; those that do not exist are left out. Raises HomeError when AWS refuses or is silent.

    Region, endpoint and credentials are those that boto3 finds.
    """
    values: dict[str, str] = {}
    if not OWN[process]:
        return values
    try:
        client = _client()
        for group, names in OWN[process]:
            for begin in range(0, len(names), NAMES_PER_CALL):
                asked = {f"{prefix}/{group}/{name}": name for name in names[begin : begin + NAMES_PER_CALL]}
                answer = client.get_parameters(Names=list(asked), WithDecryption=True)
                values |= {asked[one["Name"]]: str(one["Value"]).strip() for one in answer["Parameters"]}
    except ImportError as error:
        raise HomeError(f"secrets: expected boto3 for {PREFIX}, found none; install the extra s3") from error
    except Exception as error:  # whatever a client of AWS raises; its text may name what was asked, never a value
        raise HomeError(f"secrets: expected the parameters under {prefix}, found: {type(error).__name__}") from error
    return {name: value for name, value in values.items() if value}


def _client() -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=SSM_SECONDS, read_timeout=SSM_SECONDS, retries={"total_max_attempts": SSM_ATTEMPTS})
    return boto3.session.Session().client("ssm", config=limits)


@dataclass
class Secrets:
    """What this process holds, read at the first question. `read`: where from; `known`: (name, value) of all ever read, to mask."""

    process: Process = Process.RUN
    read: Callable[[Process], Mapping[str, str]] = found
    known: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    _held: Mapping[str, str] | None = field(default=None, repr=False)

    def value(self, name: str) -> str | None:
        """The value of a secret of this process: the environment's, else the one that was loaded; None without one.

        A name that is no secret of this process is looked for in the environment alone. Raises HomeError.
        """
        given = os.environ.get(name, "").strip()
        if given or not owns(self.process, name) or not elsewhere():
            return given or None
        if self._held is None:
            self._held = self._remembered(self.read(self.process))
        return self._held.get(name)

    def for_child(self, process: Process) -> dict[str, str]:
        """The secrets of a child from files or parameters, as they are now; they are masked from here on and not kept."""
        return dict(self._remembered(self.read(process))) if elsewhere() else {}

    def renew(self) -> None:
        """Forgets what was loaded: the next question reads anew. Every session begins with it."""
        self._held = None

    def _remembered(self, values: Mapping[str, str]) -> Mapping[str, str]:
        fresh = [pair for pair in sorted(values.items()) if pair not in self.known]
        self.known = (*self.known, *fresh)[-KNOWN_MAX:]
        return values


def elsewhere() -> bool:
    """Whether secrets may stand anywhere but in the environment."""
    return any(os.environ.get(name, "").strip() for name in (FOLDER, PREFIX))
