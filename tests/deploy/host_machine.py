"""A machine of AWS as a container here: systemd is its first process, a metadata service that wants a token its only identity.

The scripts of deploy/aws/host run in it unchanged. Two programs are stand-ins that only note their words: `dnf` (boto3 is this
environment's, since only a newer one can be led to another address) and `swapon` (it would reach the kernel that we share). AWS is
moto's server on 127.0.0.1.
"""

import importlib.util
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from compose_runner import BASE, LIMITS, podman

IMAGE, TOKEN = "localhost/marketbot-aws-host:test", "a-token-of-the-metadata-service"
PACKAGES = "systemd systemd-sysv dbus python3 cloud-init"
BOTO3 = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
PYTHON = "/usr/local/lib/python3.11/dist-packages"
DOCKERFILE = f"""FROM {BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {PACKAGES} \\
  && apt-get clean && rm -rf /var/lib/apt/lists/* && systemctl mask cloud-init cloud-init-local cloud-config cloud-final
"""
NOTER = '#!/bin/sh\necho "$(basename "$0") $*" >> /notes/words\n'
# What `docker compose` would do, noted; `exec` ends as the file /notes/status says, and takes as long as /notes/seconds.
COMPOSE = """#!/bin/sh
echo "compose $*" >> /notes/words
case "$*" in *" exec "*) sleep "$(cat /notes/seconds)"; exit "$(cat /notes/status)";; esac
"""


class Metadata(BaseHTTPRequestHandler):
    """EC2's metadata service, version 2 alone: nothing without a token that was asked for by PUT."""

    refused: ClassVar[list[str]] = []
    served: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        """A token for whoever says how long it shall live."""
        good = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
        self._answer(200 if good else 400, TOKEN if good else "")

    def do_GET(self) -> None:
        """The role and its credentials, for the token."""
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.refused.append(self.path)
            self._answer(401, "")
            return
        self.served.append(self.path)
        roles = "/latest/meta-data/iam/security-credentials/"
        key = {"Code": "Success", "AccessKeyId": "machine", "SecretAccessKey": "machine", "Token": "machine"}
        about = {**key, "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z"}
        pages = {roles: "machine", f"{roles}machine": json.dumps(about)}
        self._answer(200 if self.path in pages else 404, pages.get(self.path, ""))

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "600")
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def metadata_service() -> Iterator[str]:
    """Its address on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def build_machine(folder: Path) -> None:
    """The image, from the base and Debian's packages. Raises RuntimeError where they cannot be had."""
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="ascii")
    podman("build", *LIMITS[1], "--network", "host", "--format", "docker", "-t", IMAGE, str(folder), seconds=900)


def origin(package: str) -> Path:
    """The folder or file of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    return path.parent if path.name == "__init__.py" else path


class Machine:
    """One machine; `folder` is shared with it as /notes."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(exist_ok=True)
        for program, text in (("dnf", NOTER), ("swapon", NOTER), ("compose", COMPOSE)):
            (folder / program).write_text(text, encoding="ascii")
            (folder / program).chmod(0o755)
        for program, value in (("words", ""), ("status", "0"), ("seconds", "0")):
            (folder / program).write_text(value, encoding="ascii")
        told = " ".join(f'"{key}={value}"' for key, value in environment.items())
        (folder / "environment.conf").write_text(f"[Manager]\nDefaultEnvironment={told}\n", encoding="ascii")
        podman("rm", "-f", "-t", "0", name, check=False)
        mounts = [f"-v={folder}:/notes", f"-v={folder}/environment.conf:/etc/systemd/system.conf.d/aws.conf:ro"]
        mounts += [f"-v={folder}/{one}:/usr/local/sbin/{one}:ro" for one in ("dnf", "swapon", "compose")]
        mounts += [f"-v={origin(one)}:{PYTHON}/{origin(one).name}:ro" for one in BOTO3]
        given = [f"--env={key}={value}" for key, value in environment.items()]
        words = ["--systemd=always", "--network=host", "--cap-add=SYS_ADMIN", *LIMITS[1]]
        podman("run", "-d", "--name", name, *words, *mounts, *given, IMAGE, "/lib/systemd/systemd", seconds=120)

    def run(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """A command in it."""
        command = ["podman", *LIMITS[0], "exec", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds)

    def say(self, script: str) -> str:
        """What a line of shell says; raises when it fails."""
        done = self.run("sh", "-ec", script)
        if done.returncode != 0:
            raise RuntimeError(f"{script}: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def words(self) -> list[str]:
        """What the stand-ins were told."""
        return (self.folder / "words").read_text(encoding="utf-8").splitlines()

    @property
    def running(self) -> bool:
        """Whether it is not powered off."""
        return podman("inspect", "-f", "{{.State.Running}}", self.name, check=False).strip() == "true"

    def start(self) -> None:
        """Power on."""
        podman("start", self.name, seconds=120)

    def remove(self) -> None:
        """Gone."""
        podman("rm", "-f", "-t", "0", self.name, check=False)
