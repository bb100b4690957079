"""The deployment's files: what a container may do, hold and reach is written down, and the start fails with one plain line."""

import ast
import ipaddress
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compose_runner import COMPOSE, ROOT, compose

from marketbot_resources.secrets import Process, read_file

DEPLOY = ROOT / "deploy"
SERVICES = compose()["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
DAGSTER, LEDGER, INDEX = "DAGSTER_POSTGRES_URL", "MARKETBOT_LEDGER", "MARKETBOT_INDEX"
# Who may hold which secret, in which file of its folder: written by hand, not read from the files under test.
HELD: dict[str, dict[str, set[str]]] = {
    "postgres": {"postgres_password": set()},
    "migrate": {
        "migrate.env": {"MARKETBOT_ADMIN_URL", DAGSTER, LEDGER, f"{LEDGER}_READER", INDEX, f"{INDEX}_READER"},
        "aws_config": set(),
    },
    "code": {
        "code.env": {DAGSTER},
        "run.env": {LEDGER, INDEX, "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "TIINGO_API_KEY", "FRED_API_KEY", "SEC_USER_AGENT"},
        "llm.env": {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"},
        "notifier.env": {"MARKETBOT_SLACK_WEBHOOK"},
        "aws_config": set(),
    },
    "webserver": {"webserver.env": {DAGSTER}},
    "daemon": {"daemon.env": {DAGSTER}},
    "api": {"api.env": {LEDGER, INDEX}, "aws_config": set()},
    "gate": {"htpasswd": set()},
    "relay": {},
    "s3": {"s3.json": set()},
}  # fmt: skip
MEBIBYTES = re.compile(r"(\d+)m")


@pytest.mark.parametrize("name", sorted(HELD))
def test_a_service_is_confined(name: str) -> None:
    """Memory limit, healthcheck, read-only root, no capabilities, no way to gain any; nothing of the host."""
    about = SERVICES[name]
    limit = MEBIBYTES.fullmatch(about["mem_limit"])
    assert limit is not None
    assert 16 <= int(limit[1]) <= 768
    assert about["read_only"] is True
    assert about["cap_drop"] == ["ALL"]
    assert about["security_opt"] == ["no-new-privileges:true"]
    assert about["pids_limit"] <= 400
    assert {"privileged", "network_mode", "pid", "ipc", "devices", "cap_add", "user", "env_file"} & set(about) == set()
    assert about["healthcheck"].get("test") or name == "migrate"
    folders = [
        volume for volume in about.get("volumes", []) if not re.fullmatch(r"(postgres|state|s3):/\w+(:ro)?", volume)
    ]
    assert folders == ([f"./secrets/{name}:/run/secrets:ro"] if HELD[name] else [])
    assert about["logging"]["options"]["max-size"]


def test_the_services_are_those_that_are_known() -> None:
    """A new service is added to the table above by hand."""
    assert set(SERVICES) == set(HELD)


@pytest.mark.parametrize("name", sorted(HELD))
def test_a_service_holds_its_own_secrets_alone(name: str, laid_out: Path) -> None:
    """Least privilege: each secret lies in the folder of the container that uses it, and stands in no environment."""
    folder = laid_out / "secrets" / name
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} if folder.exists() else {}
    named = {
        file: {line.partition("=")[0] for line in text.splitlines()} if file.endswith(".env") else set()
        for file, text in found.items()
    }
    assert named == HELD[name]
    for file in (one for one in named if one.endswith(".env")):
        read_file(folder / file, Process(file.removesuffix(".env")))  # the product refuses what is not its own
    told = SERVICES[name].get("environment", {})
    assert "secrets" not in SERVICES[name]
    assert not [key for key in told if re.search(r"KEY|SECRET|PASSWORD|TOKEN|(?<!ENDPOINT)_URL$|LEDGER|INDEX", key)]


def test_only_the_gate_publishes_and_on_this_machine_alone() -> None:
    """No port is open to the network; nobody mounts an engine's socket."""
    published = {name: about["ports"] for name, about in SERVICES.items() if "ports" in about}
    assert list(published) == ["gate"]
    assert all(port.startswith("127.0.0.1:") for port in published["gate"])
    assert "docker.sock" not in COMPOSE.read_text(encoding="utf-8")
    assert "podman.sock" not in COMPOSE.read_text(encoding="utf-8")


def test_only_gate_and_relay_have_a_route_out() -> None:
    """The network of everything that trades is internal."""
    file = compose()
    assert file["networks"]["inside"]["internal"] is True
    assert sorted(name for name, about in SERVICES.items() if "outside" in about["networks"]) == ["gate", "relay"]
    assert [name for name, about in SERVICES.items() if "inside" not in about["networks"]] == []


def test_an_address_that_is_named_is_given_to_nobody_else() -> None:
    """The engine gives others addresses of the range alone: gate and relay would not start when theirs is taken."""
    (given,) = compose()["networks"]["inside"]["ipam"]["config"]
    free, whole = ipaddress.ip_network(given["ip_range"]), ipaddress.ip_network(given["subnet"])
    named = [ipaddress.ip_address(SERVICES[name]["networks"]["inside"]["ipv4_address"]) for name in ("gate", "relay")]
    assert free.subnet_of(whole)
    assert all(one in whole and one not in free for one in named)
    assert free.num_addresses > 4 * len(SERVICES)


def test_names_that_lead_to_the_relay_are_those_that_it_passes_on() -> None:
    """A host of one list alone would be refused, or asked without a way."""
    passed = re.findall(r"^\s+([a-z][a-z0-9.-]+\.[a-z]+)\s+\$ssl_preread_server_name:443;", relay(), re.MULTILINE)
    assert sorted(passed) == sorted(SERVICES["relay"]["networks"]["inside"]["aliases"])
    assert len(passed) > 5
    assert "default                 127.0.0.1:9;" in relay()
    assert SERVICES["code"]["environment"]["MARKETBOT_RELAY"] == SERVICES["relay"]["networks"]["inside"]["ipv4_address"]


def relay() -> str:
    return (DEPLOY / "nginx" / "relay.conf").read_text(encoding="utf-8")


def test_images_are_built_from_a_digest_and_run_as_a_user() -> None:
    """No moving tag, no root, hashes for every package, no build tool in the last stage."""
    assert re.search(r"^ARG BASE=debian:bookworm-slim@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    assert "latest" not in DOCKERFILE
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))
    assert set(stages) == {"builder", "marketbot", "postgres", "edge", "seaweed-builder", "s3"}
    for name, text in stages.items():
        if "builder" in name:
            installs = re.findall(r"pip install.*", text)
            assert installs
            assert all("--require-hashes" in line for line in installs), name
        else:
            assert re.search(r"^USER marketbot$", text, re.MULTILINE), name
            assert "HEALTHCHECK" in text, name
            assert not re.search(r"pip|gcc|build-essential|curl|python3-venv", text), name
    assert "tini" in stages["marketbot"]
    assert not re.search(r"^(ADD|.*--privileged)", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", ["deploy/build.lock", "tools/services.lock", "requirements.lock"])
def test_what_is_installed_is_pinned_with_hashes(name: str) -> None:
    """Every requirement of a lock that the image uses has an exact version and a hash."""
    entries = re.split(r"\n(?=[a-zA-Z])", (ROOT / name).read_text(encoding="utf-8").strip())
    assert [entry.split("\n")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_nothing_of_a_checkout_goes_into_the_build_but_what_is_named() -> None:
    """Neither state, nor secrets, nor history are sent to the builder."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    assert {"deploy/secrets", "deploy/.env"} <= set(lines)
    for source in re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / one).exists() for one in source.split()), source


def test_the_start_uses_the_standard_library_until_it_has_the_secrets() -> None:
    """A broken package cannot hide why a container does not start."""
    for name in ("start.py", "setup.py"):
        top = ast.parse((DEPLOY / name).read_text(encoding="utf-8")).body
        imported = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module).split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
        assert imported <= sys.stdlib_module_names


def started(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], "MARKETBOT_SECRET_FILES": str(folder), "MARKETBOT_HOME": str(folder / "home")}
    command = [sys.executable, "-I", str(DEPLOY / "start.py"), *words]
    return subprocess.run(command, env=given | environment, capture_output=True, text=True, timeout=60)


URL = "postgresql+psycopg2://dagster:hunter2hunter2@127.0.0.1:9/dagster"
CASES: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, int]], str]] = {
    "no role": ((), {}, "expected one of code, webserver, daemon"),
    "unknown role": (("signer",), {}, "found 'signer'"),
    "no secret": (("code",), {}, "expected the secrets DAGSTER_POSTGRES_URL, MARKETBOT_LEDGER, found none"),
    "the run's is missing": (("code",), {"code.env": (f"{DAGSTER}={URL}\n", 0o600)}, "the secrets MARKETBOT_LEDGER, found none"),
    "an empty one": (("webserver",), {"webserver.env": (f"{DAGSTER}=\n", 0o600)}, "expected the secrets DAGSTER"),
    "another's file": (("webserver",), {"daemon.env": (f"{DAGSTER}={URL}\n", 0o600)}, "expected the secrets DAGSTER"),
    "another's secret": (("webserver",), {"webserver.env": (f"{LEDGER}=hunter2\n", 0o600)}, "a secret of webserver in line 1"),
    "others may read": (("webserver",), {"webserver.env": (f"{DAGSTER}=hunter2\n", 0o640)}, "with mode 0600, found 0640"),
    "too long": (("webserver",), {"webserver.env": ("w" * 70_000, 0o600)}, "at most 65536 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_start_that_cannot_succeed_says_so_in_one_line(tmp_path: Path, case: str) -> None:
    """Exit code 78, one line, and nothing of a secret in it."""
    words, files, expected = CASES[case]
    for name, (text, mode) in files.items():
        (tmp_path / name).write_text(text, encoding="ascii")
        (tmp_path / name).chmod(mode)
    done = started(tmp_path, *words)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert "hunter2" not in done.stderr


def test_a_link_is_no_secret(tmp_path: Path) -> None:
    """A link could lead to another's file."""
    (tmp_path / "target").write_text(f"{DAGSTER}={URL}\n", encoding="ascii")
    (tmp_path / "target").chmod(0o600)
    (tmp_path / "webserver.env").symlink_to(tmp_path / "target")
    done = started(tmp_path, "webserver")
    assert done.returncode == 78
    assert "expected a file of our own" in done.stderr


def test_a_database_that_does_not_come_is_named_without_its_password(tmp_path: Path) -> None:
    """After the time that it may take: who, where, why."""
    secret = tmp_path / "webserver.env"
    secret.write_text(f"{DAGSTER}={URL}\n", encoding="ascii")
    secret.chmod(0o600)
    done = started(tmp_path, "webserver", MARKETBOT_WAIT_SECONDS="0")
    assert done.returncode == 78
    assert "database dagster@127.0.0.1/dagster: expected it within 0 s" in done.stderr
    assert "has migrate ended?" in done.stderr
    assert "hunter2" not in done.stderr


PRINTING = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("start", sys.argv[1])
start = importlib.util.module_from_spec(spec)
sys.modules["start"] = start
spec.loader.exec_module(start)
start.wait_for, start.lay_out, start.lay_out_machine_code = (lambda *words: None,) * 3
start.ROLE_FILE, start.migrate, start.make_bucket = start.Path(sys.argv[3]), *(lambda *words: None,) * 2
start.os.execvpe = lambda command, words, environment: print(*sorted(environment), file=sys.stderr)
start.start(sys.argv[2], ["more"])
"""
# What each process finds in its environment beside what every one has: the keys of runs, models and chat are in none.
HANDED_ON = {
    "code": {DAGSTER},
    "webserver": {DAGSTER},
    "daemon": {DAGSTER},
    "together": {DAGSTER},
    "api": {LEDGER, INDEX},
    "migrate": {DAGSTER, LEDGER, INDEX},
    "command": {DAGSTER},
}  # fmt: skip


@pytest.mark.parametrize("role", sorted(HANDED_ON))
def test_a_process_is_given_its_own_secrets_and_no_key(role: str, laid_out: Path, tmp_path: Path) -> None:
    """The environment that the process would start with; keys that were filled in stay in their files."""
    folder = laid_out / "secrets" / {"command": "code", "together": "webserver"}.get(role, role)
    for name in ("run", "llm", "notifier") if folder.name == "code" else ():
        path = folder / f"{name}.env"
        path.write_text(
            path.read_text(encoding="ascii").replace("KEY=", "KEY=hunter2").replace("HOOK=", "HOOK=hunter2")
        )
    given = {"PATH": os.environ["PATH"], "MARKETBOT_SECRET_FILES": str(folder), "MARKETBOT_HOME": str(tmp_path)}
    command = [sys.executable, "-I", "-c", PRINTING, str(DEPLOY / "start.py"), role, str(tmp_path / "role")]
    done = subprocess.run(command, env=given, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stderr.split()) - set(given) - {"LC_CTYPE", "PWD"} == HANDED_ON[role]


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    """What deploy/setup.py makes."""
    command = [sys.executable, "-I", str(DEPLOY / "setup.py"), "--folder", str(tmp_path)]
    subprocess.run(command, capture_output=True, check=True, timeout=30)
    for path in (tmp_path / "secrets").rglob("*"):
        os.chown(path, os.geteuid(), -1)
    return tmp_path


def test_setup_makes_every_secret_once(tmp_path: Path) -> None:
    """0600 in folders of 0700, one folder per container, never changed by a second run, refused when only some are left."""
    command = [sys.executable, "-I", str(DEPLOY / "setup.py"), "--folder", str(tmp_path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    files = {path: path.read_bytes() for path in (tmp_path / "secrets").rglob("*") if path.is_file()}
    assert {(path.parent.name, path.name) for path in files} == {
        (who, file) for who, held in HELD.items() for file in held
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
    words = first.stdout.split()
    assert words[:2] == ["gate:", "http://127.0.0.1:8080"]
    assert len(words[-1]) == 48
    assert not any(words[-1].encode() in value for value in files.values())
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert again.stdout == ""
    assert {path: path.read_bytes() for path in files} == files
    (tmp_path / "secrets" / "postgres" / "postgres_password").unlink()
    torn = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert torn.returncode == 2
    assert "postgres_password" in torn.stderr


@pytest.mark.parametrize(("words", "server"), [((), True), (("--without-s3",), False)], ids=["with", "without"])
def test_the_laptop_has_an_s3_server_unless_told_otherwise(
    tmp_path: Path, words: tuple[str, ...], server: bool
) -> None:
    """`.env` switches on the server's profile and names its bucket, or neither; nobody but `migrate` may make a bucket."""
    command = [sys.executable, "-I", str(DEPLOY / "setup.py"), "--folder", str(tmp_path), *words]
    subprocess.run(command, capture_output=True, check=True, timeout=30)
    told = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text(encoding="ascii").splitlines())
    uid = told.pop("MARKETBOT_UID")
    assert uid.isdigit()
    assert int(uid) > 0
    profile = {
        "COMPOSE_PROFILES": "s3",
        "MARKETBOT_STORE": "s3://marketbot/store",
        "AWS_ENDPOINT_URL": "http://s3:8333",
    }
    assert told == (profile if server else {})
    for name in ("code", "migrate", "api"):
        given = compose(told)["services"][name]["environment"]
        assert (given["MARKETBOT_STORE"], given["AWS_ENDPOINT_URL"]) == (
            told.get("MARKETBOT_STORE", ""),
            told.get("AWS_ENDPOINT_URL", ""),
        )
    doors = {one["name"]: one for one in json.loads((tmp_path / "secrets/s3/s3.json").read_text())["identities"]}
    assert {name: "Admin" in door["actions"] for name, door in doors.items()} == {
        "migrate": True,
        "code": False,
        "api": False,
    }
    assert "Write" not in doors["api"]["actions"]
    for name, door in doors.items():
        text = (tmp_path / "secrets" / name / "aws_config").read_text(encoding="ascii")
        assert f"aws_secret_access_key = {door['credentials'][0]['secretKey']}\n" in text


def dagster_yaml(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_production_runs_as_one_machine_does() -> None:
    """Monitoring, retries, launcher and the one run at a time are those of the other instance; only storage differs."""
    one, production = (
        dagster_yaml(ROOT / "dagster_home" / "dagster.yaml"),
        dagster_yaml(DEPLOY / "dagster.postgres.yaml"),
    )
    same = ("telemetry", "nux", "concurrency", "run_queue", "run_monitoring", "run_retries", "run_launcher")
    assert {key: production[key] for key in same} == {key: one[key] for key in same}
    assert production["storage"]["custom"]["config"]["postgres_url"] == {"env": "DAGSTER_POSTGRES_URL"}
