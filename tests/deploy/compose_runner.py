"""Runs the services of deploy/compose.yaml with podman alone: the same images, limits, networks, volumes and secrets.

For machines where containers need runc and lowered limits of open files, and where no compose program is. Not here: what is asked
of the services (`test_image`).
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
BASE = "localhost/base:bookworm"
LIMITS = ("--runtime", "runc"), ("--ulimit", "nofile=10000:10000", "--ulimit", "nproc=4000:4000")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def podman(*words: str, seconds: float = 120, check: bool = True) -> str:
    """What `podman` says on stdout; its words on stderr when it fails."""
    done = subprocess.run(["podman", *LIMITS[0], *words], capture_output=True, text=True, timeout=seconds)
    if check and done.returncode != 0:
        raise RuntimeError(f"podman {' '.join(words[:6])}: {done.stderr.strip()[-1500:]}")
    return done.stdout if check else done.stdout + done.stderr


@lru_cache
def no_containers() -> str | None:
    """Why containers cannot be built and run here; None if they can."""
    if shutil.which("podman") is None or shutil.which("runc") is None:
        return "no podman with runc here; install podman, buildah and runc"
    if os.getuid() != 0:
        return "podman needs root here"
    if subprocess.run(["podman", "image", "exists", BASE], capture_output=True).returncode != 0:
        return f"no image {BASE} here; make it by debootstrap --variant=minbase bookworm, and podman import"
    return None


def build(target: str, tag: str, arguments: Mapping[str, str], seconds: float = 1800) -> None:
    """Builds one target of deploy/Dockerfile."""
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    words = ["build", *LIMITS[1], "--network", "host", "--format", "docker", "--layers"]
    words += ["-v", f"{CERTIFICATES}:/run/ca.crt:ro", "--build-arg", "SSL_CERT_FILE=/run/ca.crt"]
    words += ["--build-arg", f"BASE={BASE}", "-f", str(ROOT / "deploy" / "Dockerfile"), "--target", target]
    podman(*words, "-t", tag, *given, str(ROOT), seconds=seconds)


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The file with ${NAME:-default} replaced, as compose does."""
    return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2] or "", text)


def compose(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The compose file, variables and anchors resolved."""
    return yaml.safe_load(filled(COMPOSE.read_text(encoding="utf-8"), variables or {}))


class Stack:
    """The services under a prefix of their own. `secrets`: the folder that deploy/setup.py made."""

    def __init__(self, prefix: str, secrets: Path, variables: Mapping[str, str]) -> None:
        self.prefix, self.secrets, self.file = prefix, secrets, compose(variables)

    def name(self, service: str) -> str:
        """The container's."""
        return f"{self.prefix}-{service}"

    def make_networks(self) -> None:
        """As the file says."""
        for name, about in self.file["networks"].items():
            words = ["--internal"] if about.get("internal") else []
            for one in about.get("ipam", {}).get("config", []):
                words += ["--subnet", one["subnet"], "--ip-range", one["ip_range"]]
            podman("network", "create", *words, self.name(name))

    def run(self, service: str, wait: bool = False) -> str:
        """Starts a service; `wait`: until it ends, and what it said."""
        about = self.file["services"][service]
        words = ["run", "--name", self.name(service), *(() if wait else ("-d",)), *self._words(service, about)]
        return podman(*words, about["image"], *about.get("command", []), seconds=600)

    def _words(self, service: str, about: dict[str, Any]) -> list[str]:
        words = [*LIMITS[1], "--memory", about["mem_limit"], "--memory-swap", about["mem_limit"], "--hostname", service]
        words += ["--read-only"] if about["read_only"] else []
        words += [f"--cap-drop={cap}" for cap in about["cap_drop"]]
        words += [f"--security-opt={option.replace(':true', '')}" for option in about["security_opt"]]
        words += [f"--tmpfs={one}" for one in about.get("tmpfs", [])]
        words += [f"--sysctl={name}={value}" for name, value in about.get("sysctls", {}).items()]
        words += [f"--env={name}={value}" for name, value in about.get("environment", {}).items()]
        words += [f"--publish={port}" for port in about.get("ports", [])]
        words += [f"--volume={self._volume(volume)}" for volume in about.get("volumes", [])]
        if about["restart"] != "on-failure":
            words += ["--restart", "always"]
        networks = about["networks"]
        for network in networks:
            more = networks[network] if isinstance(networks, dict) else {}
            parts = [f"alias={name}" for name in (service, *more.get("aliases", []))]
            parts += [f"ip={more['ipv4_address']}"] if "ipv4_address" in more else []
            words += ["--network", f"{self.name(network)}:{','.join(parts)}"]
        return words

    def _volume(self, volume: str) -> str:
        """A folder of secrets, or a volume of this prefix."""
        folder = volume.removeprefix("./secrets/")
        return f"{self.secrets}/{folder}" if folder != volume else f"{self.prefix}-{volume}"

    def exec(self, service: str, *words: str, seconds: float = 600, check: bool = True) -> str:
        """What a command in the container says."""
        return podman("exec", self.name(service), *words, seconds=seconds, check=check)

    def state(self, service: str) -> dict[str, Any]:
        """What podman knows of the container."""
        return json.loads(podman("inspect", self.name(service)))[0]

    def healthy(self, service: str, seconds: float) -> float:
        """Asks the container's own healthcheck until it says yes; after how many seconds it did."""
        test = self.file["services"][service]["healthcheck"]["test"][1:]
        begun = time.monotonic()
        while True:
            done = subprocess.run(
                ["podman", *LIMITS[0], "exec", self.name(service), *test], capture_output=True, text=True
            )
            if done.returncode == 0:
                return time.monotonic() - begun
            if time.monotonic() - begun > seconds:
                log = podman("logs", "--tail", "15", self.name(service), check=False)
                raise RuntimeError(f"{service} is not healthy after {seconds:.0f} s: {done.stderr[-500:]}\n{log}")
            time.sleep(1)

    def kill(self, service: str) -> None:
        """kill -9 of the container's first process, as the kernel would; the engine starts it again."""
        os.kill(int(self.state(service)["State"]["Pid"]), 9)

    def memory(self, service: str) -> tuple[int, int]:
        """(bytes without what may be dropped, peak with it) of the container's own group."""
        folder = Path(f"/proc/{self.state(service)['State']['Pid']}/cgroup").read_text(encoding="ascii")
        found = next(line.split(":", 2)[2] for line in folder.splitlines() if ":memory:" in line)
        group = Path(f"/sys/fs/cgroup/memory{found}")
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(stat["rss"]), int((group / "memory.max_usage_in_bytes").read_text(encoding="ascii"))

    def remove(self) -> None:
        """Containers, volumes and networks of this prefix; nothing else."""
        for service in self.file["services"]:
            podman("rm", "-f", "-t", "2", self.name(service), check=False)
        for volume in self.file["volumes"]:
            podman("volume", "rm", "-f", self.name(volume), check=False)
        for network in self.file["networks"]:
            podman("network", "rm", "-f", self.name(network), check=False)


@contextmanager
def stack(prefix: str, secrets: Path, variables: Mapping[str, str], services: Sequence[str]) -> Iterator[Stack]:
    """The services, up and healthy; all of it is gone afterwards."""
    made = Stack(prefix, secrets, variables)
    made.remove()
    try:
        made.make_networks()
        for service in services:
            made.run(service, wait=service == "migrate")
        for service in services:
            if service != "migrate":
                made.healthy(service, 300)
        yield made
    finally:
        made.remove()
