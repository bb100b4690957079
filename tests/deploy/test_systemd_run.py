"""The units of deploy/systemd run: systemd is the first process of a container, PostgreSQL beside them, one session is done."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_runner import LIMITS, ROOT, no_containers, podman
from image_world import IMAGE, make_images, patient
from setup_files import files_of_setup

pytestmark = [
    pytest.mark.long,
    pytest.mark.container,
    pytest.mark.skipif(no_containers() is not None, reason=str(no_containers())),
]
MACHINE, TAG = "mbtest-systemd", "localhost/marketbot-systemd:test"
UNITS = ("marketbot-code", "marketbot-webserver", "marketbot-daemon")
SESSION = "2018-10-01"
# The image's own tree stands where the units look for it; the server is Debian's, made and started by its package.
PACKAGES = "systemd systemd-sysv dbus postgresql-15"
DOCKERFILE = f"""FROM {IMAGE}
USER root
ENV PATH=/app/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {PACKAGES} \\
  && apt-get clean && rm -rf /var/lib/apt/lists/* && for one in code webserver daemon; do useradd --system marketbot-$one; done \\
  && mv /app/numba_cache /numba_cache && ln -s /app /opt/marketbot
COPY *.service /etc/systemd/system/
COPY workspace.local.yaml /app/deploy/
ENTRYPOINT []
CMD ["/lib/systemd/systemd"]
"""
ASKING = """
import json, sys, urllib.request
body = json.dumps({"query": sys.argv[1], "variables": json.loads(sys.argv[2])}).encode()
request = urllib.request.Request("http://127.0.0.1:3000/graphql", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""
LAUNCH = (
    "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename ... on PythonError { message } } }"
)
STATES = "query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results { status } } } }"


def say(*words: str, seconds: float = 300) -> str:
    """What a command in the machine says."""
    return podman("exec", MACHINE, *words, seconds=seconds)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[None]:
    """Users, secrets of each unit, databases; the units are not started."""
    make_images()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE, encoding="ascii")
    for unit in UNITS:
        text = (ROOT / "deploy" / "systemd" / f"{unit}.service").read_text(encoding="utf-8")
        (tmp_path / f"{unit}.service").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "deploy" / "workspace.local.yaml", tmp_path)
    podman("build", *LIMITS[1], "--network", "host", "--format", "docker", "-t", TAG, str(tmp_path), seconds=900)
    podman("rm", "-f", "-t", "0", MACHINE, check=False)
    try:
        podman(
            "run", "-d", "--name", MACHINE, "--systemd=always", "--cap-add=SYS_ADMIN", "--network=none", *LIMITS[1], TAG
        )
        patient(lambda: "running" in say("systemctl", "is-system-running", "--wait"), 120, "systemd")
        files = files_of_setup(tmp_path / "deploy", lambda text: text.replace("@postgres:", "@127.0.0.1:"))
        for unit in ("code", "webserver", "daemon", "migrate"):
            owner = "root" if unit == "migrate" else f"marketbot-{unit}"
            say("install", "-d", "-m", "700", "-o", owner, f"/etc/marketbot/{unit}")
            for name, text in files[unit].items():
                script = f"umask 077; cat > /etc/marketbot/{unit}/{name} <<'E'\n{text}E\nchown {owner} /etc/marketbot/{unit}/{name}"
                say("sh", "-ec", script)
        password = files["postgres"]["postgres_password"]
        say("su", "postgres", "-s", "/bin/sh", "-c", f"psql -qc \"alter role postgres password '{password}'\"")
        migrate = "MARKETBOT_SECRET_FILES=/etc/marketbot/migrate python /opt/marketbot/deploy/start.py migrate"
        say("sh", "-ec", migrate)
        yield
    finally:
        podman("rm", "-f", "-t", "2", MACHINE, check=False)


@pytest.mark.usefixtures("machine")
def test_the_units_run_a_session_as_three_users() -> None:
    """systemd starts them with their users, secrets and closed file system; a session asked for on the page succeeds."""
    say("systemctl", "start", *UNITS, seconds=600)
    patient(lambda: '"version"' in say("python", "-c", ASKING, "{ version }", "{}"), 240, "webserver")
    place = {"repositoryLocationName": "marketbot", "repositoryName": "__repository__", "jobName": "daily"}
    tags = [{"key": "dagster/partition", "value": SESSION}]
    given = {"p": {"selector": place, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": tags}}}
    patient(lambda: "LaunchRunSuccess" in say("python", "-c", ASKING, LAUNCH, json.dumps(given)), 240, "launch")

    def ended() -> list[str]:
        told = json.loads(say("python", "-c", ASKING, STATES, json.dumps({"f": {"tags": tags}})))
        states = [run["status"] for run in told["data"]["runsOrError"]["results"]]
        return states if set(states) <= {"SUCCESS", "FAILURE", "CANCELED"} else []

    states = patient(ended, 1200, "session")
    assert states == ["SUCCESS"], say("journalctl", "-u", "marketbot-code", "-n", "40", "--no-pager")
    for unit in UNITS:
        told = say("systemctl", "show", unit, "-p", "ActiveState,User,NRestarts,MainPID")
        shown = dict(line.split("=", 1) for line in told.split())
        assert (shown["ActiveState"], shown["User"], shown["NRestarts"]) == ("active", unit, "0")
        print(unit, say("sh", "-c", f"grep -E 'VmRSS|^Uid' /proc/{shown['MainPID']}/status").split())
    assert "ledger.sqlite" not in say("ls", "/var/lib/marketbot")
    looking = (
        "su marketbot-webserver -s /bin/sh -c 'cat /etc/marketbot/code/run.env; ls /var/lib/marketbot' 2>&1 || true"
    )
    assert say("sh", "-c", looking).count("Permission denied") == 2
