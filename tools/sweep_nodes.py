"""200 backtests on a Dask cluster of two nodes, one of which is killed in the middle: `python tools/sweep_nodes.py`.

    python tools/sweep_nodes.py                 three runs: one process here, both nodes, both nodes of which one is killed
    python tools/sweep_nodes.py --points 40     fewer points

A node is a network namespace with an address of its own behind a bridge; the sender is a third host on it. Scheduler and a worker
run on the first node, a worker on the second. They see the store's folder and no other part of a home. Every run starts from an
empty home; each must give all points, and the same rows to the bit. Exit 1 when it does not; 2 when no namespace can be made here.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRIDGE, NODES, PORT = "mbsweep0", ("mbsweep1", "mbsweep2"), 8786
NET, START_SECONDS_MAX = "10.253.77", 60.0
PERIODS = "[[2018-11-05, 2018-11-09], [2018-11-26, 2018-11-30]]"
US = {
    "XNYS": ["BAC", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "PFE", "PG", "XOM"],
    "XNAS": ["AAPL", "MSFT"],
    "BATS": ["MTUM", "QUAL", "SIZE", "USMV", "VLUE"],
}


@dataclass(frozen=True, slots=True)
class Run:
    """One sweep: point -> hash of its rows, wall seconds, CPU seconds of the sender and of all nodes."""

    hashes: dict[int, str]
    wall: float
    cpu: float
    nodes: float = 0.0


def lacking() -> str | None:
    """Why no namespaces can be made here; None when they can."""
    if os.geteuid() != 0:
        return "expected root, which may make network namespaces"
    if shutil.which("ip") is None:
        return "expected the program ip (iproute2)"
    tried = subprocess.run(["ip", "netns", "add", "mbsweepx"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", "mbsweepx"], capture_output=True)
    return None if tried.returncode == 0 else f"no network namespace: {tried.stderr.strip()}"


def ip(*words: str) -> None:
    """The program `ip`."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def network() -> Iterator[None]:
    """A bridge with the sender at .1 and a namespace each at .11 and .12, taken away at the end."""
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, node in enumerate(NODES, start=11):
            ip("netns", "add", node)
            ip("link", "add", f"v{node}", "type", "veth", "peer", "name", "eth0", "netns", node)
            ip("link", "set", f"v{node}", "master", BRIDGE, "up")
            ip("-n", node, "addr", "add", f"{NET}.{number}/24", "dev", "eth0")
            ip("-n", node, "link", "set", "eth0", "up")
            ip("-n", node, "link", "set", "lo", "up")
        yield
    finally:
        for node in NODES:  # a link that its namespace takes along goes later than the next run begins
            subprocess.run(["ip", "link", "del", f"v{node}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", node], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


@contextmanager
def on_node(node: str, ready: str, module: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process group on a node, up when its log says `ready`; it is ended with all its children."""
    keep = ("PATH", "HOME", "LANG", "MARKETBOT_MANDATE")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT)}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="mbnode-") as folder, (Path(folder) / "log").open("wb") as log:
        command = ["ip", "netns", "exec", node, sys.executable, "-m", f"distributed.cli.{module}", *words]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            until = time.monotonic() + START_SECONDS_MAX
            while ready not in (Path(folder) / "log").read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((Path(folder) / "log").read_text(errors="replace")[-2000:])
                time.sleep(0.1)
            yield process
        finally:
            end(process)


USED: list[float] = []  # CPU seconds of the nodes' processes that ended


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kills a process group that we started, and notes what it used."""
    import psutil

    try:
        whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        USED.append(sum(sum(one.cpu_times()[:4]) for one in whole if one.is_running()))
    except psutil.Error:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(timeout=30)


def grid_of(points: int) -> str:
    """Two periods, ten volatility targets, the rest risk aversions."""
    targets = [round(0.06 + 0.01 * n, 2) for n in range(10)]
    aversions = [round(2.0 + 0.5 * n, 1) for n in range(points // 20)]
    return f"periods: {PERIODS}\nchange:\n  volatility.target_per_year: {targets}\n  portfolio.risk_aversion: {aversions}\n"


def swept(where: str, points: int, home: Path) -> Run:
    """The whole sweep into an empty home."""
    import json

    from marketbot_assets.sweep import sweep
    from marketbot_resources.mandate import mandate_of, parse_mandate
    from marketbot_resources.store.lake import Lake
    from marketbot_resources.wiring import Ports

    plain = json.loads(parse_mandate((ROOT / "mandate.yaml").read_text(encoding="utf-8")).canonical())
    plain["universe"]["listings"] = US
    base, lake = mandate_of(plain), Lake(home)
    wall, cpu = time.monotonic(), time.process_time()
    made = sweep(lake, Ports(), base, grid_of(points), {}, where, run_id="nodes")
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    done = made.frame[made.frame["state"] == "done"]
    assert int(made.frame["trials"].max()) == len(made.frame), "each point is one trial on record"
    return Run(dict(zip(done["point"], done["content_sha256"], strict=True)), wall, cpu)


def in_the_middle(home: Path, points: int, act: Callable[[], None], told: list[float]) -> None:
    """Calls `act` once half of the points are stored."""
    folder = home / "store" / "backtest"
    while not told:
        if folder.is_dir() and len(list(folder.iterdir())) >= points // 2:
            act()
            told.append(time.monotonic())
            return
        time.sleep(0.05)


def clustered(points: int, home: Path, *, kill: bool) -> Run:
    """The sweep on both nodes. `kill`: all processes of the second one, in the middle."""
    scheduler = f"tcp://{NET}.11:{PORT}"
    USED.clear()
    host = ("--host", f"{NET}.11", "--port", str(PORT), "--no-dashboard")
    with ExitStack() as stack:
        stack.enter_context(network())
        stack.enter_context(on_node(NODES[0], "Scheduler at:", "dask_scheduler", *host))
        workers = []
        for number, node in enumerate(NODES, start=11):
            words = (scheduler, "--host", f"{NET}.{number}", "--nthreads", "1", "--no-dashboard")
            workers.append(stack.enter_context(on_node(node, "Registered to:", "dask_worker", *words)))
        told: list[float] = [] if kill else [0.0]

        def act() -> None:
            print(f"  {points // 2} points are there: the second node is killed", flush=True)
            end(workers[1])

        watcher = threading.Thread(target=in_the_middle, args=(home, points, act, told), daemon=True)
        watcher.start()
        try:
            run = swept(scheduler, points, home)
        finally:
            told.append(0.0)
            watcher.join()
    return replace(run, nodes=sum(USED))


def main() -> int:
    """0: every run gave all points and the same rows."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--points", type=int, default=200, help="a multiple of 20")
    given = told.parse_args()
    sys.path.insert(0, str(ROOT))
    for word in (signal.SIGINT, signal.SIGTERM):  # so that nothing is left behind
        signal.signal(word, signal.default_int_handler)
    if (reason := lacking()) is not None:
        print(f"sweep on nodes: not run: {reason}")
        return 2
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(prefix="mbsweep-") as folder:
        for name, make in (
            ("one process here", lambda home: swept("local", given.points, home)),
            ("two nodes", lambda home: clustered(given.points, home, kill=False)),
            ("two nodes, one killed", lambda home: clustered(given.points, home, kill=True)),
        ):
            print(f"{name} ...", flush=True)
            runs[name] = make(Path(folder) / name.replace(" ", "-"))
    one = runs["one process here"]
    print(
        f"\n{'run':<22} {'points':>8} {'equal':>8} {'seconds':>8} {'times':>6} {'ms a point':>11} {'CPU s sender':>13} {'nodes':>6}"
    )
    for name, run in runs.items():
        equal = sum(one.hashes.get(point) == found for point, found in run.hashes.items())
        each = 1000.0 * run.wall / given.points
        print(
            f"{name:<22} {len(run.hashes):>4}/{given.points} {equal:>4}/{given.points} {run.wall:>8.1f} "
            f"{one.wall / run.wall:>6.2f} {each:>11.0f} {run.cpu:>13.1f} {run.nodes:>6.1f}"
        )
    return 0 if all(len(run.hashes) == given.points and run.hashes == one.hashes for run in runs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
