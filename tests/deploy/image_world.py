"""The system of deploy/compose.yaml as a person at its gate sees it, and what lies on its disk; and a home nobody disturbed.

Not here: how containers are started (`compose_runner`), what is expected of them (`test_image`).
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compose_runner import LIMITS, ROOT, Stack, build, podman, stack

TAG, PORT, API_PORT = "test", 18080, 18081
IMAGE = f"localhost/marketbot:{TAG}"
SERVICES = ("postgres", "s3", "migrate", "code", "webserver", "daemon", "api", "gate", "relay")
OPEN = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}
CONFINED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp:mode=1777,size=64m"]
# What is on disk, read beside the platform: its index through its own door, the broker's file by sqlite3 alone. The broker's
# own numbers are kept, our ids of entries and times of the machine are not.
LOOK = """
import json, sqlite3
from pathlib import Path
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.index_opening import open_index
def rows(name, query):
    with sqlite3.connect(f"/state/{name}", timeout=30) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []
stored = {}
try:
    for row in open_index(Path("/state"), read_only=True).all_newest():
        stored.setdefault(row.part, {})[row.asset] = row.content_sha256
except MarketbotError:
    pass
broker = {name: json.loads(body) for name, body in rows("broker.sqlite", "select client_order_id, body from orders")}
executions = {name: json.loads(body) for name, body in rows("broker.sqlite", "select execution_id, body from executions")}
state = rows("broker.sqlite", "select body from state order by seq desc limit 1")
account = json.loads(state[0][0]) if state else None
print(json.dumps({"stored": stored, "orders": broker, "executions": executions, "account": account}))
"""


def make_images() -> None:
    """All four; with MARKETBOT_IMAGES=there those that were built before, as they are."""
    if os.environ.get("MARKETBOT_IMAGES") != "there":
        command = [sys.executable, "-c", "from marketbot_assets.source import source_body; print(source_body()[0])"]
        code = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        build("marketbot", IMAGE, {"CODE_SHA256": code.stdout.strip()})
        for target in ("postgres", "edge", "s3"):
            build(target, f"localhost/marketbot-{target}:{TAG}", {})
    for name in ("marketbot", "marketbot-postgres", "marketbot-edge", "marketbot-s3"):
        size = int(json.loads(podman("image", "inspect", f"localhost/{name}:{TAG}"))[0]["Size"])
        print(f"{name}: {size / 2**20:.0f} MiB")


def confined(*words: str, options: tuple[str, ...] = (), seconds: float = 900) -> str:
    """A process in a new container as the compose file would run it, without network."""
    limits = [*LIMITS[1], "--memory=1500m", "--memory-swap=1500m", "--network=none"]
    return podman("run", "--rm", *limits, *CONFINED, *options, IMAGE, *words, seconds=seconds)


class Desk:
    """What a person does at the gate: name, password, and Dagster's own questions."""

    def __init__(self, password: str) -> None:
        word = base64.b64encode(f"desk:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The answer of GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/graphql", body, self._headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    def launch(self, session: str) -> None:
        """Job daily for one session."""
        place = {"repositoryLocationName": "marketbot", "repositoryName": "__repository__", "jobName": "daily"}
        given = {
            "selector": place,
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": session}]},
        }
        query = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename ... on PythonError { message } } }"
        told = self.ask(query, p=given)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told

    def runs(self, session: str) -> list[str]:
        """The states of a session's runs, newest first."""
        query = "query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results { status } } } }"
        tags = {"tags": [{"key": "dagster/partition", "value": session}]}
        return [run["status"] for run in self.ask(query, f=tags)["runsOrError"]["results"]]


@contextmanager
def running(
    prefix: str, folder: Path, services: Sequence[str] = SERVICES, **variables: str
) -> Iterator[tuple[Desk, Stack]]:
    """The whole system, up and healthy, with the secrets and the settings that deploy/setup.py makes in a new folder."""
    command = [sys.executable, str(ROOT / "deploy" / "setup.py"), "--folder", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    given = dict(line.split("=", 1) for line in (folder / ".env").read_text(encoding="ascii").splitlines())
    given |= {"MARKETBOT_VERSION": TAG, "MARKETBOT_PORT": str(PORT), "MARKETBOT_API_PORT": str(API_PORT)}
    with stack(prefix, folder / "secrets", given | variables, services) as made:
        yield Desk(told.stdout.split()[-1]), made


def looked(services: Stack) -> dict[str, Any]:
    """What is on the disk of the stack; nothing while its container starts again."""
    try:
        return json.loads(services.exec("code", "python", "-c", LOOK, seconds=60))
    except (RuntimeError, json.JSONDecodeError):
        return {"stored": {}, "orders": {}, "executions": {}, "account": None}


def patient(ask: Any, seconds: float, what: str) -> Any:
    """What `ask` says once it says something; a container that starts again is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except (OSError, RuntimeError, KeyError, TypeError, json.JSONDecodeError, urllib.error.URLError):
            pass
        time.sleep(2)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def ended(desk: Desk, services: Stack, session: str) -> bool:
    """Whether a session is done; asked for again, as its sensor would, when every run of it is over and it is not."""
    if OPEN & set(desk.runs(session)):
        return False
    if "proof" in looked(services)["stored"].get(session, {}):
        return True
    if looked(services)["account"] is not None:  # the container answers, so the session really has not ended
        desk.launch(session)
    return False


def undisturbed(sessions: list[str]) -> dict[str, Any]:
    """The same sessions, one after the other, in a container of the same image with a ledger of its own."""
    volume = "mbtest-twin"
    podman("volume", "rm", "-f", volume, check=False)
    try:
        state = (f"--volume={volume}:/state",)
        days = " && ".join(f"marketbot run --session {day} > /dev/null" for day in sessions)
        confined("-c", days, options=(*state, "--entrypoint=/bin/sh"), seconds=1800)
        return json.loads(confined("-c", LOOK, options=(*state, "--entrypoint=/app/.venv/bin/python")))
    finally:
        podman("volume", "rm", "-f", volume, check=False)
