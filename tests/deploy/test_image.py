"""The image is built and the compose file's services are run for real: the demo inside, and each container killed during a run."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from compose_runner import LIMITS, ROOT, Stack, build, no_containers, podman, stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.container,
    pytest.mark.skipif(no_containers() is not None, reason=str(no_containers())),
]
TAG, PORT, API_PORT = "test", 18080, 18081
IMAGE = f"localhost/marketbot:{TAG}"
SERVICES = ("postgres", "migrate", "code", "webserver", "daemon", "gate", "relay")
# One session each: which container is killed, once so many assets of the session are stored.
KILLS = (
    ("2018-10-01", "code", 16),
    ("2018-10-02", "postgres", 9),
    ("2018-10-03", "daemon", 5),
    ("2018-10-04", "webserver", 12),
    ("2018-10-05", "gate", 12),
    ("2018-10-08", "relay", 12),
)
OPEN = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}
SESSION_SECONDS, START_SECONDS = 900, 180
CONFINED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp:mode=1777,size=64m"]
DECIDED = ("target_portfolio", "order_plan", "risk_verdict")
# What is on disk, read by sqlite3 alone. The broker's own numbers are kept, our ids of entries and times of the machine are not.
LOOK = """
import json, sqlite3, sys
def rows(name, query):
    with sqlite3.connect(f"/state/{name}", timeout=30) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []
stored = {}
for asset, part, digest in rows("index.sqlite", "select asset, part, content_sha256 from lake_index order by seq"):
    stored.setdefault(part, {})[asset] = digest
broker = {name: json.loads(body) for name, body in rows("broker.sqlite", "select client_order_id, body from orders")}
executions = {name: json.loads(body) for name, body in rows("broker.sqlite", "select execution_id, body from executions")}
state = rows("broker.sqlite", "select body from state order by seq desc limit 1")
account = json.loads(state[0][0]) if state else None
print(json.dumps({"stored": stored, "orders": broker, "executions": executions, "account": account}))
"""


@pytest.fixture(scope="module")
def images() -> None:
    """The three images; with MARKETBOT_IMAGES=there those that were built before, as they are."""
    if os.environ.get("MARKETBOT_IMAGES") == "there":
        return
    code = subprocess.run(
        [sys.executable, "-c", "from marketbot_assets.source import source_body; print(source_body()[0])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    build("marketbot", IMAGE, {"CODE_SHA256": code.stdout.strip()})
    for target in ("postgres", "edge"):
        build(target, f"localhost/marketbot-{target}:{TAG}", {})
    for name in ("marketbot", "marketbot-postgres", "marketbot-edge"):
        size = int(json.loads(podman("image", "inspect", f"localhost/{name}:{TAG}"))[0]["Size"])
        print(f"{name}: {size / 2**20:.0f} MiB")


def confined(*words: str, options: tuple[str, ...] = (), seconds: float = 900) -> str:
    """A process in a new container as the compose file would run it, without network."""
    limits = [*LIMITS[1], "--memory=1500m", "--memory-swap=1500m", "--network=none"]
    return podman("run", "--rm", *limits, *CONFINED, *options, IMAGE, *words, seconds=seconds)


@pytest.mark.usefixtures("images")
def test_the_image_holds_what_runs_and_no_tool_to_build_with() -> None:
    """User, labels, healthcheck and list of parts; neither compiler nor installer; the code is that of this tree."""
    about = json.loads(podman("image", "inspect", IMAGE))[0]
    assert about["User"] == "marketbot"
    assert about["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert about["Labels"]["marketbot.sbom"] == "/app/sbom.cdx.json"
    assert about["Healthcheck"]["Test"][-1] == "health"
    shell = ("--entrypoint=/bin/sh",)
    looked = "id -u; for tool in gcc cc make pip pip3 uv curl git; do command -v $tool; done; cat /app/code.sha256"
    said = confined("-c", looked, options=shell).split()
    assert said == ["10001", about["Labels"]["marketbot.code.sha256"]]
    parts = json.loads(confined("-c", "cat /app/sbom.cdx.json", options=shell))
    assert parts["bomFormat"] == "CycloneDX"
    names = {part["name"] for part in parts["components"]}
    assert {"numpy", "dagster", "psycopg", "numba"} <= names
    assert not {"pytest", "moto", "ruff", "mypy"} & names
    refused = subprocess.run(
        ["podman", *LIMITS[0], "run", "--rm", *LIMITS[1], *CONFINED, *shell, IMAGE, "-c", "touch /app/x"],
        capture_output=True,
        text=True,
    )
    assert "Read-only file system" in refused.stderr


@pytest.mark.usefixtures("images")
def test_the_demo_runs_in_the_image() -> None:
    """Without a key, a network or a file system that it may write; then the ledger is whole."""
    volume = "mbtest-demo"
    podman("volume", "rm", "-f", volume, check=False)
    try:
        state = (f"--volume={volume}:/state",)
        said = confined("command", "demo", options=state)
        print(said[-3000:])
        assert "2018-12-24" in said
        assert "whole" in confined("command", "verify", options=state)
    finally:
        podman("volume", "rm", "-f", volume, check=False)


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


@pytest.fixture(scope="module")
def desk_and_stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Stack]]:
    """The whole system, up and healthy, with secrets of its own."""
    folder = tmp_path_factory.mktemp("deploy")
    command = [sys.executable, str(ROOT / "deploy" / "setup.py"), "--folder", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    variables = {"MARKETBOT_VERSION": TAG, "MARKETBOT_PORT": str(PORT), "MARKETBOT_API_PORT": str(API_PORT)}
    with stack("mbtest", folder / "secrets", variables, SERVICES) as made:
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


def test_nobody_gets_in_without_the_password_or_out_of_it(desk_and_stack: tuple[Desk, Stack]) -> None:
    """401 without a word; no container that trades has a route out, but for the relay's hosts."""
    desk, services = desk_and_stack
    for headers in ({}, {"Authorization": "Basic ZGVzazpndWVzcw=="}):
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/server_info", headers=headers)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=30)
    assert desk.ask("{ version }")["version"]
    out = "import socket\nfor place in (('1.1.1.1', 443), ('169.254.169.254', 80), ('api.openai.com', 443)):\n"
    out += " try: socket.create_connection(place, 5); print('open')\n except OSError as error: print('closed')"
    assert services.exec("code", "python", "-c", out).split() == ["closed", "closed", "open"]
    named = services.exec("code", "python", "-c", "import socket; print(socket.gethostbyname('api.openai.com'))")
    assert named.strip() == "172.30.57.11"
    environment = services.exec(
        "webserver", "sh", "-c", "cat /run/secrets/MARKETBOT_LEDGER; ls /run/secrets", check=False
    )
    assert "DAGSTER_POSTGRES_URL" in environment
    assert "ledger_writer" not in environment


def test_the_solvers_machine_code_comes_with_the_image(desk_and_stack: tuple[Desk, Stack]) -> None:
    """What the start laid out is read: no process compiles anew."""
    _, services = desk_and_stack
    told = "NUMBA_CACHE_DIR=/tmp/numba NUMBA_DEBUG_CACHE=1 python -m marketbot_assets.portfolio.machine_code"
    said = services.exec("code", "sh", "-c", told)
    assert "data loaded from" in said
    assert "data saved to" not in said


def test_each_container_is_killed_during_a_run_and_nothing_is_lost(desk_and_stack: tuple[Desk, Stack]) -> None:
    """kill -9 of the first process in each: it comes back, the session ends once, the book is that of an undisturbed home."""
    desk, services = desk_and_stack
    lines = []
    for session, victim, assets in KILLS:
        patient(lambda day=session: desk.launch(day) or True, START_SECONDS, "launch")
        patient(
            lambda day=session, least=assets: len(looked(services)["stored"].get(day, {})) >= least,
            SESSION_SECONDS,
            f"{assets} assets of {session}",
        )
        used, peak = services.memory(victim)
        before = services.state(victim)["State"]["Pid"]
        services.kill(victim)
        begun = time.monotonic()
        patient(
            lambda one=victim, old=before: services.state(one)["State"]["Pid"] not in (0, old), 60, f"{victim} back"
        )
        back = time.monotonic() - begun
        services.healthy(victim, 300)
        patient(lambda day=session: ended(desk, services, day), SESSION_SECONDS, f"end of {session}")
        limit = services.file["services"][victim]["mem_limit"]
        lines.append((victim, limit, used >> 20, peak >> 20, f"{back:.0f}", ", ".join(desk.runs(session))))
        print(*lines[-1], flush=True)
    table = [
        "| container | limit | used MiB | peak MiB with cache | back after s | runs of the session |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join([*table, *("| " + " | ".join(map(str, line)) + " |" for line in lines)]))
    for service in (name for name in SERVICES if name != "migrate"):
        used, peak = services.memory(service)
        print(f"{service}: {used >> 20} MiB used, {peak >> 20} MiB peak")
    assert "whole" in services.exec("code", "marketbot", "verify")
    assert_same_book(looked(services), undisturbed([session for session, _, _ in KILLS]))


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


def assert_same_book(found: dict[str, Any], twin: dict[str, Any]) -> None:
    """Decisions, orders, executions and account, session by session."""
    assert twin["orders"]
    for session, _, _ in KILLS:
        mine, other = found["stored"][session], twin["stored"][session]
        assert set(other) <= set(mine)
        assert {asset: mine[asset] for asset in DECIDED} == {asset: other[asset] for asset in DECIDED}, session
    assert found["orders"].keys() == twin["orders"].keys()
    assert found["executions"] == twin["executions"]
    assert found["account"] == twin["account"]
