"""The image is built and the compose file's services are run for real: the demo inside, and each container killed during a run."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_runner import LIMITS, ROOT, Stack, no_containers, podman
from image_world import (
    API_PORT,
    CONFINED,
    IMAGE,
    LOOK,
    PORT,
    SERVICES,
    Desk,
    confined,
    ended,
    looked,
    make_images,
    patient,
    running,
    undisturbed,
)  # fmt: skip

pytestmark = [
    pytest.mark.long,
    pytest.mark.container,
    pytest.mark.skipif(no_containers() is not None, reason=str(no_containers())),
]
# One session each: which container is killed, once so many assets of the session are stored.
KILLS = (
    ("2018-10-01", "code", 16),
    ("2018-10-02", "postgres", 9),
    ("2018-10-03", "daemon", 5),
    ("2018-10-04", "webserver", 12),
    ("2018-10-05", "gate", 12),
    ("2018-10-08", "relay", 12),
    ("2018-10-09", "s3", 10),
    ("2018-10-10", "api", 12),
)
SESSION_SECONDS, START_SECONDS = 900, 180
DECIDED = ("target_portfolio", "order_plan", "risk_verdict")


@pytest.fixture(scope="module")
def images() -> None:
    """The four images."""
    make_images()


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
def test_the_demo_runs_in_the_image(tmp_path: Path) -> None:
    """Without a key, a network or a file system that it may write: orders and fills as outside, and a ledger that is whole."""
    volume, home = "mbtest-demo", tmp_path / "home"
    podman("volume", "rm", "-f", volume, check=False)
    try:
        state = (f"--volume={volume}:/state",)
        said = confined("command", "demo", options=state)
        print(said[-3000:])
        assert "2018-12-24" in said
        inside = json.loads(confined("-c", LOOK, options=(*state, "--entrypoint=/app/.venv/bin/python")))
        assert "whole" in confined("command", "verify", options=state)
    finally:
        podman("volume", "rm", "-f", volume, check=False)
    given = {**os.environ, "PYTHONPATH": str(ROOT), "MARKETBOT_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    command = [sys.executable, "-m", "marketbot_assets.cli", "demo"]
    subprocess.run(command, cwd=ROOT, env=given, stdout=subprocess.DEVNULL, check=True, timeout=900)
    looking = [sys.executable, "-c", LOOK.replace("/state", str(home))]
    outside = json.loads(
        subprocess.run(looking, cwd=ROOT, env=given, capture_output=True, check=True, timeout=120).stdout
    )
    print(f"orders {len(inside['orders'])}, executions {len(inside['executions'])}")
    assert len(inside["orders"]) > 50
    for what in ("orders", "executions", "account"):
        assert inside[what] == outside[what], what


@pytest.fixture(scope="module")
def desk_and_stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Stack]]:
    """The whole system, up and healthy."""
    with running("mbtest", tmp_path_factory.mktemp("deploy")) as made:
        yield made


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
    seen = {
        name: set(services.exec(name, "ls", "/run/secrets").split()) for name in ("webserver", "daemon", "api", "code")
    }
    assert seen == {
        "webserver": {"webserver.env"},
        "daemon": {"daemon.env"},
        "api": {"api.env", "aws_config"},
        "code": {"code.env", "run.env", "llm.env", "notifier.env", "aws_config"},
    }
    environments = (
        "import glob\nfor one in glob.glob('/proc/[0-9]*/environ'): print(open(one).read().replace(chr(0), chr(10)))"
    )
    held = services.exec("code", "python", "-c", environments)
    assert "postgresql+psycopg2://dagster" in held
    assert "ledger_writer" not in held


def test_the_interface_is_read_with_a_token_alone(desk_and_stack: tuple[Desk, Stack]) -> None:
    """Through the gate: 401 without a token and with another one, 200 with it; the server may write neither ledger nor home."""
    _, services = desk_and_stack
    token = json.loads(
        services.exec("code", "marketbot", "token", "create", "probe", "--scope", "read", "--days", "1", "--json")
    )
    for word, expected in ((None, 401), ("wrong" * 10, 401), (token["token"], 200)):
        headers = {"Authorization": f"Bearer {word}"} if word else {}
        request = urllib.request.Request(f"http://127.0.0.1:{API_PORT}/v1/status", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        assert status == expected, body
    assert "halt" in body.decode()
    refused = services.exec("api", "sh", "-c", "touch /state/x", check=False)
    assert "Read-only file system" in refused
    update = "import os, psycopg; psycopg.connect(os.environ['MARKETBOT_LEDGER']).execute('delete from ledger.entry')"
    told = services.exec(
        "api",
        "sh",
        "-c",
        f'MARKETBOT_LEDGER=$(sed -n s/^MARKETBOT_LEDGER=//p /run/secrets/api.env) python -c "{update}"',
        check=False,
    )
    assert "permission denied" in told


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
