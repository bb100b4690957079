"""Load on the HTTP interface on this machine, and what it costs a run beside it: `python benchmarks/api.py --home HOME`.

HOME has a book; it is copied, never changed. Pairs of runs of the next session, alone and beside a server under load, take turns;
a pair's ratio is of the run's own wall time. `--pairs 0`: ten seconds of load without a run. The load: keep-alive connections
that ask one route after the other without a pause.
"""

import argparse
import http.client
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from marketbot_resources.clock import machine_now
from marketbot_resources.tokens import Scope, Tokens

ROOT = Path(__file__).parents[1]
ROUTES = (
    "/v1/status",
    "/v1/positions",
    "/v1/decisions",
    "/v1/controls",
    "/v1/metrics",
    "/v1/reports",
    "/v1/audit?q=order",
)
CLI = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli"]


def environment(home: Path) -> dict[str, str]:
    quiet = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), "PYTHONPATH": str(ROOT), **quiet}


class Load:
    """A server on a home and callers that ask it until told to stop."""

    def __init__(self, home: Path, callers: int, per_second: float) -> None:
        token = Tokens(home).create(f"load{time.time_ns()}", Scope.READ, 1, machine_now())[1]
        command = [*CLI, "serve", "--port", "0", "--rate", "10000", "--json"]
        self.process = subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.host = json.loads(self.process.stdout.readline())["address"].removeprefix("http://")
        self.headers = {"Authorization": f"Bearer {token}"}
        self.pause, self.stop = callers / per_second if per_second else 0.0, threading.Event()
        self.seconds: list[float] = []
        self.failed: list[int] = []
        self.began = time.perf_counter()
        self.threads = [threading.Thread(target=self._call, args=(n,)) for n in range(callers)]
        for thread in self.threads:
            thread.start()

    def _call(self, first: int) -> None:
        connection, n = http.client.HTTPConnection(self.host, timeout=60), first
        while not self.stop.is_set():
            began = time.perf_counter()
            connection.request("GET", ROUTES[n % len(ROUTES)], headers=self.headers)
            answer = connection.getresponse()
            answer.read()
            took = time.perf_counter() - began
            self.seconds.append(took)
            if answer.status != 200:
                self.failed.append(answer.status)
            n += 1
            time.sleep(max(0.0, self.pause - took))
        connection.close()

    def end(self) -> dict[str, object]:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        whole = time.perf_counter() - self.began
        peak = next(
            line for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if "VmHWM" in line
        )
        self.process.terminate()
        self.process.wait()
        ordered = sorted(self.seconds)
        at = {f"p{share}_ms": round(1000 * ordered[int(len(ordered) * share / 100)], 1) for share in (50, 95, 99)}
        told = {"requests": len(ordered), "per_second": round(len(ordered) / whole, 1), **at}
        return {
            **told,
            "max_ms": round(1000 * ordered[-1], 1),
            "not_200": len(self.failed),
            "peak_mib": int(peak.split()[1]) // 1024,
        }


def run_once(home: Path) -> tuple[float, float]:
    """(wall, processor) seconds of the next session's run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*CLI, "run", "--json"], env=environment(home), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(source: Path, pairs: int, callers: int, per_second: float) -> dict[str, object]:
    alone, beside, loads = [], [], []
    for _ in range(pairs):
        for loaded in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                home = Path(folder) / "home"
                shutil.copytree(source, home)
                load = Load(home, callers, per_second) if loaded else None
                if load:
                    time.sleep(3.0)
                taken = run_once(home)
                (beside if loaded else alone).append(taken)
                loads += [load.end()] if load else []
                print(loaded, taken, loads[-1:] if loaded else "", os.getloadavg(), file=sys.stderr, flush=True)
    if not pairs:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(source, Path(folder) / "home")
            load = Load(Path(folder) / "home", callers, per_second)
            time.sleep(10.0)
            return load.end()
    ratios = [b[0] / a[0] for a, b in zip(alone, beside, strict=True)]
    return {
        "alone_seconds": [round(a[0], 2) for a in alone],
        "beside_seconds": [round(b[0], 2) for b in beside],
        "cpu_alone": [round(a[1], 2) for a in alone],
        "cpu_beside": [round(b[1], 2) for b in beside],
        "median_ratio": round(statistics.median(ratios), 3),
        "loads": loads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--per-second", type=float, default=0.0, help="of all callers together; 0: as fast as it goes")
    given = parser.parse_args()
    print(json.dumps(measure(given.home, given.pairs, given.callers, given.per_second), indent=1))


if __name__ == "__main__":
    main()
