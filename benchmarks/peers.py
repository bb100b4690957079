"""Peers that need packages of their own: an environment in a folder, and long-lived processes that answer over pipes.

Not here: what they are asked (`optimizer`), how they solve (`solvers_raw`, `solvers_library`, `solvers_whole`).
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from measure import CHECKOUT, ONE_THREAD

HERE = Path(__file__).parent
THREADS = {**ONE_THREAD, "NUMBA_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
PATHS = os.pathsep.join(str(path) for path in (CHECKOUT, HERE, CHECKOUT / "tests" / "portfolio"))


class Absent(Exception):
    """A peer that cannot be installed or started here; the message says why."""


@dataclass(frozen=True)
class Environment:
    """A Python and the versions of what was installed for the peers."""

    python: Path
    versions: dict[str, str]

    def has(self, package: str) -> bool:
        return package.lower() in self.versions


def environment(folder: Path, packages: Sequence[str]) -> Environment:
    """A virtual environment with these packages; one that exists is taken as it is. What cannot be installed is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        if _install(python, packages) != 0:
            for package in packages:
                _install(python, [package])
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format", "json"], capture_output=True, check=True)
    versions = {one["name"].lower(): one["version"] for one in json.loads(listed.stdout)}
    return Environment(python, versions)


def _install(python: Path, packages: Sequence[str]) -> int:
    command = [str(python), "-m", "pip", "install", "-q", "--prefer-binary", *packages]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def own_environment() -> Environment:
    """The project's own."""
    return Environment(Path(sys.executable), {})


class Worker:
    """One competitor's process. Raises Absent when it does not start; `ask` returns what it said, errors included."""

    def __init__(self, python: Path, module: str, name: str, log: Path) -> None:
        variables = {**os.environ, **THREADS, "PYTHONPATH": PATHS, "PYTHONHASHSEED": "0"}
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "solver_process.py"), module, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=variables,
            cwd=CHECKOUT,
            text=True,
        )
        if not self._line().get("ready"):
            self.close()
            raise Absent(f"{name} does not start: {log.read_text(encoding='utf-8', errors='replace')[-300:]}")

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        return dict(json.loads(text)) if text else {"error": "the process ended"}

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """One block of days."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._line()

    def close(self) -> None:
        """Ends the process by the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
