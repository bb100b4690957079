"""200 backtests on a Dask cluster of two nodes to which something happens in the middle: `python tools/sweep_nodes.py`.

    python tools/sweep_nodes.py                              one process here, both nodes, both nodes of which one is killed
    python tools/sweep_nodes.py --only cut back scheduler    other faults, by the words of --help
    python tools/sweep_nodes.py --points 40                  fewer points

A node is a network namespace with an address of its own behind a bridge; the sender is a third host on it. Scheduler and a worker
run on the first node, a worker on the second. They see the store's folder and no other part of a home; with a bucket, nothing of
it. Every run starts from an empty home; each must give all points, the same rows to the bit, and write each once. Exit 1 when it
does not; 2 when no namespace can be made here.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from node_network import ADDRESSES, HERE, NODES, ROOT, USED, cut, end, lacking, mend, network, on_node

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

PORT, BACK_SECONDS = 8786, 45.0
SCHEDULER = f"tcp://{ADDRESSES[NODES[0]]}:{PORT}"
PERIODS = "[[2018-11-05, 2018-11-09], [2018-11-26, 2018-11-30]]"
US = {
    "XNYS": ["BAC", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "PFE", "PG", "XOM"],
    "XNAS": ["AAPL", "MSFT"],
    "BATS": ["MTUM", "QUAL", "SIZE", "USMV", "VLUE"],
}
Process = subprocess.Popen[bytes]
Act = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One sweep: point -> hash of its rows, wall seconds, CPU seconds of the sender and of all nodes."""

    hashes: dict[int, str]
    wall: float
    cpu: float
    nodes: float = 0.0


def grid_of(points: int) -> str:
    """Two periods, ten volatility targets, the rest risk aversions."""
    targets = [round(0.06 + 0.01 * n, 2) for n in range(10)]
    aversions = [round(2.0 + 0.5 * n, 1) for n in range(points // 20)]
    return f"periods: {PERIODS}\nchange:\n  volatility.target_per_year: {targets}\n  portfolio.risk_aversion: {aversions}\n"


def watched(home: Path, at: int, act: Act) -> "Lake":
    """A home's store, which calls `act` once, when so many backtests were stored by this process."""
    from marketbot_resources.store.lake import Lake

    class Watched(Lake):
        stored = 0

        def commit(self, frame, table, part, **more):  # type: ignore[no-untyped-def]
            row = super().commit(frame, table, part, **more)
            self.stored += table.asset == "backtest"
            if self.stored == at and table.asset == "backtest":
                act()
            return row

    return Watched(home)


def swept(where: str, points: int, home: Path, *, at: int = 0, act: Act = lambda: None) -> Run:
    """The whole sweep, or what of it is missing in this home. Asserts that each point was counted and stored once."""
    from marketbot_assets.model_trials import BACKTEST, trials
    from marketbot_assets.sweep import sweep
    from marketbot_resources.mandate import mandate_of, parse_mandate
    from marketbot_resources.wiring import Ports

    plain = json.loads(parse_mandate((ROOT / "mandate.yaml").read_text(encoding="utf-8")).canonical())
    plain["universe"]["listings"] = US
    base, lake = mandate_of(plain), watched(home, at, act)
    wall, cpu = time.monotonic(), time.process_time()
    made = sweep(lake, Ports(), base, grid_of(points), {}, where, run_id="nodes")
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    done = made.frame[made.frame["state"] == "done"]
    counted = trials(lake.ledger, BACKTEST)
    assert len(counted) == len({trial.spec_sha256 + trial.data_sha256 for trial in counted}) == points, len(counted)
    written = [row for _, row in lake.index.numbered() if row.asset == "backtest"]
    assert len(written) == len({row.part for row in written}) == len(done), len(written)
    return Run(dict(zip(done["point"], done["content_sha256"], strict=True)), wall, cpu)


@contextmanager
def cluster(*, more: Mapping[str, str] | None = None, hidden: Path | None = None) -> Iterator[list[Process]]:
    """Scheduler and two workers, one a node, in this order."""
    with ExitStack() as stack:
        host = ("--host", ADDRESSES[NODES[0]], "--port", str(PORT), "--no-dashboard")
        processes = [stack.enter_context(on_node(NODES[0], "Scheduler at:", "dask_scheduler", *host))]
        for node, address in ADDRESSES.items():
            words = (SCHEDULER, "--host", address, "--nthreads", "1", "--no-dashboard")
            worker = on_node(node, "Registered to:", "dask_worker", *words, more=more, hidden=hidden)
            processes.append(stack.enter_context(worker))
        yield processes


def says(text: str, act: Act) -> Act:
    """`act` that says so."""

    def both() -> None:
        print(f"  {text}", flush=True)
        act()

    return both


def undisturbed(points: int, home: Path) -> Run:
    """Both nodes."""
    with network(), cluster():
        return swept(SCHEDULER, points, home)


def killed(points: int, home: Path) -> Run:
    """Both nodes, of which the second is killed with all its processes when half of the points are there."""
    with network(), cluster() as processes:
        act = says(f"{points // 2} points are there: the second node is killed", lambda: end(processes[2]))
        return swept(SCHEDULER, points, home, at=points // 2, act=act)


def unplugged(points: int, home: Path) -> Run:
    """Both nodes; the cable of the second is cut when half of the points are there."""
    with network(), cluster():
        act = says(f"{points // 2} points are there: the second node's cable is cut", lambda: cut(NODES[1]))
        return swept(SCHEDULER, points, home, at=points // 2, act=act)


def plugged_in_again(points: int, home: Path) -> Run:
    """The same when a quarter is there, and the cable is back after BACK_SECONDS."""
    timer = threading.Timer(BACK_SECONDS, says("the cable is back", lambda: mend(NODES[1])))

    def act() -> None:
        cut(NODES[1])
        timer.start()

    with network(), cluster():
        try:
            text = f"{points // 4} points are there: the second node's cable is cut"
            return swept(SCHEDULER, points, home, at=points // 4, act=says(text, act))
        finally:
            timer.cancel()


def scheduler_killed(points: int, home: Path) -> Run:
    """The scheduler is killed when half of the points are there; a new cluster, the same command again."""
    from marketbot_resources.errors import WorkError

    begun = time.monotonic()
    with network():
        with cluster() as processes:
            act = says(f"{points // 2} points are there: the scheduler is killed", lambda: end(processes[0]))
            try:
                swept(SCHEDULER, points, home, at=points // 2, act=act)
                raise AssertionError("expected a line that says that the scheduler is gone")
            except WorkError as error:
                print(f"  {error}", flush=True)
        with cluster():
            run = swept(SCHEDULER, points, home)
    return replace(run, wall=time.monotonic() - begun)


def sender_killed(points: int, home: Path) -> Run:
    """The sender, a process of its own, is killed when half of the points are there; the same command again on this cluster."""
    begun = time.monotonic()
    with network(), cluster():
        words = ["--points", str(points), "--send", str(home)]
        ended = subprocess.run([sys.executable, __file__, *words], env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert ended.returncode == -signal.SIGKILL, ended.returncode
        print(f"  {points // 2} points are there: the sender is killed", flush=True)
        run = swept(SCHEDULER, points, home)
    return replace(run, wall=time.monotonic() - begun)


def in_a_bucket(points: int, home: Path) -> Run:
    """The store is a bucket; the nodes see nothing of the sender's disk but the program."""
    sys.path.append(str(ROOT / "tests"))
    from services import S3

    with network(), S3(HERE) as server:
        door = {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HERE,
        }
        kept = dict(os.environ)
        os.environ |= {**door, "MARKETBOT_STORE": f"s3://{server.bucket()}/home"}
        home.mkdir(parents=True)
        try:
            with cluster(more=door, hidden=home):
                return swept(SCHEDULER, points, home)
        finally:
            os.environ.clear()
            os.environ |= kept


CASES: Mapping[str, tuple[str, Callable[[int, Path], Run]]] = {
    "here": ("one process here", lambda points, home: swept("local", points, home)),
    "nodes": ("two nodes", undisturbed),
    "killed": ("two nodes, one killed", killed),
    "cut": ("one's cable cut", unplugged),
    "back": ("one's cable cut and back", plugged_in_again),
    "scheduler": ("scheduler killed", scheduler_killed),
    "sender": ("sender killed", sender_killed),
    "bucket": ("store in a bucket", in_a_bucket),
}


def table(runs: Mapping[str, Run], points: int) -> Iterator[str]:
    """One line per run, compared with the first."""
    one = next(iter(runs.values()))
    heads = ("points", "equal", "seconds", "times", "ms a point", "CPU s sender", "nodes")
    yield f"{'run':<24} {heads[0]:>8} {heads[1]:>8} {heads[2]:>8} {heads[3]:>6} {heads[4]:>11} {heads[5]:>13} {heads[6]:>6}"
    for name, run in runs.items():
        equal = sum(one.hashes.get(point) == found for point, found in run.hashes.items())
        yield (
            f"{name:<24} {len(run.hashes):>4}/{points} {equal:>4}/{points} {run.wall:>8.1f} "
            f"{one.wall / run.wall:>6.2f} {1000.0 * run.wall / points:>11.0f} {run.cpu:>13.1f} {run.nodes:>6.1f}"
        )


def compared(words: Sequence[str], points: int) -> bool:
    """Whether every run gave all points and the same rows as one process here."""
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(prefix="mbsweep-") as folder:
        for word in dict.fromkeys(["here", *words]):
            name, make = CASES[word]
            print(f"{name} ...", flush=True)
            USED.clear()
            run = make(points, Path(folder) / word)
            runs[name] = replace(run, nodes=sum(USED))
    print("", *table(runs, points), sep="\n")
    one = runs[CASES["here"][0]]
    return all(len(run.hashes) == points and run.hashes == one.hashes for run in runs.values())


def main() -> int:
    """0: every run gave all points and the same rows."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--points", type=int, default=200, help="a multiple of 20")
    told.add_argument(
        "--only", nargs="+", choices=list(CASES), default=["nodes", "killed"], help="beside one process here"
    )
    told.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    given = told.parse_args()
    sys.path.insert(0, str(ROOT))
    if given.send is not None:
        swept(
            SCHEDULER, given.points, given.send, at=given.points // 2, act=lambda: os.kill(os.getpid(), signal.SIGKILL)
        )
        return 1
    for word in (signal.SIGINT, signal.SIGTERM):  # so that nothing is left behind
        signal.signal(word, signal.default_int_handler)
    if (reason := lacking()) is not None:
        print(f"sweep on nodes: not run: {reason}")
        return 2
    return 0 if compared(given.only, given.points) else 1


if __name__ == "__main__":
    sys.exit(main())
