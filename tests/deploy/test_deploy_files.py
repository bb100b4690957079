"""The deployment's files: what a container may do, hold and reach is written down, and the start fails with one plain line."""

import ast
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compose_runner import COMPOSE, ROOT, compose

DEPLOY = ROOT / "deploy"
SERVICES = compose()["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
# Who may hold which secret: written by hand, not read from the file under test.
KEYS = {
    "APCA_API_KEY_ID",
    "APCA_API_SECRET_KEY",
    "TIINGO_API_KEY",
    "FRED_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
}
HELD = {
    "postgres": {"postgres_password"},
    "migrate": {"MARKETBOT_ADMIN_URL", "DAGSTER_POSTGRES_URL", "MARKETBOT_LEDGER", "MARKETBOT_LEDGER_READER"},
    "code": {"DAGSTER_POSTGRES_URL", "MARKETBOT_LEDGER", "MARKETBOT_SLACK_WEBHOOK", *KEYS},
    "webserver": {"DAGSTER_POSTGRES_URL"},
    "daemon": {"DAGSTER_POSTGRES_URL"},
    "api": {"MARKETBOT_LEDGER_READER"},
    "gate": {"htpasswd"},
    "relay": set(),
    "s3": {"s3.json"},
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
    assert all(re.fullmatch(r"(postgres|state|s3):/\w+(:ro)?", volume) for volume in about.get("volumes", []))
    assert about["logging"]["options"]["max-size"]


def test_the_services_are_those_that_are_known() -> None:
    """A new service is added to the table above by hand."""
    assert set(SERVICES) == set(HELD)


@pytest.mark.parametrize("name", sorted(HELD))
def test_a_service_holds_its_own_secrets_alone(name: str) -> None:
    """Least privilege: each secret is mounted where it is used, and stands in no environment."""
    found = {one if isinstance(one, str) else one["source"] for one in SERVICES[name].get("secrets", [])}
    assert found == HELD[name]
    told = SERVICES[name].get("environment", {})
    assert not [key for key in told if re.search(r"KEY|SECRET|PASSWORD|TOKEN|_URL$|LEDGER", key)]


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
    given = {"PATH": os.environ["PATH"], "MARKETBOT_SECRETS": str(folder), "MARKETBOT_HOME": str(folder / "home")}
    command = [sys.executable, "-I", str(DEPLOY / "start.py"), *words]
    return subprocess.run(command, env=given | environment, capture_output=True, text=True, timeout=60)


CASES: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, int]], str]] = {
    "no role": ((), {}, "expected one of code, webserver, daemon"),
    "unknown role": (("signer",), {}, "found 'signer'"),
    "no secret": (("code",), {}, "expected the secrets DAGSTER_POSTGRES_URL, MARKETBOT_LEDGER, found none"),
    "an empty one": (("webserver",), {"DAGSTER_POSTGRES_URL": ("\n", 0o600)}, "expected the secrets DAGSTER"),
    "others may read": (("webserver",), {"DAGSTER_POSTGRES_URL": ("word", 0o640)}, "its owner alone may read"),
    "too long": (("webserver",), {"DAGSTER_POSTGRES_URL": ("w" * 70_000, 0o600)}, "at most 65536 bytes"),
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
    assert "word" not in done.stderr


def test_a_link_is_no_secret(tmp_path: Path) -> None:
    """A link could lead to another's file."""
    (tmp_path / "target").write_text("word", encoding="ascii")
    (tmp_path / "target").chmod(0o600)
    (tmp_path / "DAGSTER_POSTGRES_URL").symlink_to(tmp_path / "target")
    done = started(tmp_path, "webserver")
    assert done.returncode == 78
    assert "plain file" in done.stderr


def test_a_database_that_does_not_come_is_named_without_its_password(tmp_path: Path) -> None:
    """After the time that it may take: who, where, why."""
    secret = tmp_path / "DAGSTER_POSTGRES_URL"
    secret.write_text("postgresql+psycopg2://dagster:hunter2hunter2@127.0.0.1:9/dagster", encoding="ascii")
    secret.chmod(0o600)
    done = started(tmp_path, "webserver", MARKETBOT_WAIT_SECONDS="0")
    assert done.returncode == 78
    assert "database dagster@127.0.0.1/dagster: expected it within 0 s" in done.stderr
    assert "has migrate ended?" in done.stderr
    assert "hunter2" not in done.stderr


def test_setup_makes_every_secret_once(tmp_path: Path) -> None:
    """0600, one per name of the compose file, never changed by a second run, refused when only some are left."""
    command = [sys.executable, "-I", str(DEPLOY / "setup.py"), "--folder", str(tmp_path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    files = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert set(files) == set(compose()["secrets"])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o600}
    words = first.stdout.split()
    assert words[:2] == ["gate:", "http://127.0.0.1:8080"]
    assert len(words[-1]) == 48
    assert not any(words[-1].encode() in value for value in files.values())
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert again.stdout == ""
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == files
    (tmp_path / "secrets" / "postgres_password").unlink()
    torn = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert torn.returncode == 2
    assert "postgres_password" in torn.stderr


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
