"""Our side of the features task: from an object of the store to arrays, all of Alpha158, the next session, and many instruments.

python features_own.py NAME FOLDER ANSWERS; run by `features`. Imports and compiled code are not timed.
"""

import json
import mmap
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from feature_peers import Timer
from feature_task import FIELDS, SAMPLE, SET14, THREADS_OF_TASK, made_up
from pyarrow import parquet

from marketbot_assets.features import column_file
from marketbot_assets.features.alpha158 import alpha158, plain_bars
from marketbot_assets.features.columns import panel_of
from marketbot_assets.features.engine import Built, Days, State, build, joined
from marketbot_assets.features.in_threads import in_threads
from marketbot_assets.features.plan import Plan, plan_of
from marketbot_assets.features.state_file import decode, encode
from marketbot_assets.features.wide_features import BLOCK, blocks

NUMBER, DAYS = 1000, 40
MADE_FROM = "store.parquet"
THREADS = int(os.environ.get(THREADS_OF_TASK, "1"))


def plan_for(names: list[str]) -> Plan:
    every = alpha158(plain_bars())
    return plan_of([every[name] for name in names], frozenset())


def over_blocks(plan: Plan, given: Mapping[str, np.ndarray], out: np.ndarray, size: int = BLOCK) -> State:
    def work(columns: slice) -> Built:
        block = {name: given[name][:, columns] for name in plan.inputs}
        return build(plan, block, NUMBER, out[:, :, columns])

    every = blocks(out.shape[2], -(-size // THREADS))
    return joined([one.state for one in (in_threads(THREADS)(work, every) if THREADS > 1 else map(work, every))], plan)


def warm(plan: Plan) -> None:
    given = made_up(3, 300)
    out = np.empty((len(plan.own), 300, 3), dtype=np.float32)
    Days(plan, over_blocks(plan, given, out)).next({name: values[-1] for name, values in given.items()})
    small = {"session": pa.array([0], pa.int32()), "instrument": ["A"], "close": [1.0]}
    panel_of([pa.table(small)], 1, ["close"])  # pyarrow imports pandas when it first makes an array


def from_objects(folder: Path) -> dict[str, np.ndarray]:
    """The store's object, row group by row group."""
    with parquet.ParquetFile(folder / "store.parquet", read_dictionary=["instrument"]) as file:
        columns = ["session", "instrument", *FIELDS[:5]]
        pieces = (file.read_row_group(n, columns=columns, use_threads=THREADS > 1) for n in range(file.num_row_groups))
        return panel_of(pieces, file.metadata.num_rows, FIELDS[:5]).given


def from_columns(folder: Path) -> dict[str, np.ndarray]:
    """Matrices made from that object before, each mapped and its hash checked."""

    def column(name: str) -> np.ndarray:
        with (folder / f"{name}.column").open("rb") as file:
            body = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return column_file.decode(memoryview(body), [MADE_FROM])

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(FIELDS[:5], pool.map(column, FIELDS[:5]), strict=True))


def fourteen(folder: Path, answers: Path, columns: bool) -> dict[str, float]:
    """The store's object, or the columns kept from it, to fourteen matrices of 32 bits (sums are of 64)."""
    plan = plan_for(list(SET14))
    warm(plan)
    if columns:
        for name, values in from_objects(folder).items():
            (folder / f"{name}.column").write_bytes(column_file.encode(values, [MADE_FROM]))
    timer = Timer()
    given = from_columns(folder) if columns else from_objects(folder)
    read = timer.figures()
    shape = given["close"].shape
    out = np.empty((len(SET14), *shape), dtype=np.float32)
    over_blocks(plan, given, out, shape[1])
    figures = timer.figures()
    again = Timer()
    over_blocks(plan, given, out, shape[1])
    kernel = again.figures()
    limit = Timer()
    for name in FIELDS[:5]:
        given[name].sum()
    out.fill(1.0)
    least = limit.figures()
    exact = np.empty((len(SET14), *shape))
    over_blocks(plan, given, exact, shape[1])
    np.save(answers, exact[:, :, ::SAMPLE].transpose(0, 2, 1))
    return {**figures, "read cpu": read["cpu"], "kernel cpu": kernel["cpu"], "limit cpu": least["cpu"]}


def wide(folder: Path, answers: Path) -> dict[str, float]:
    """All of Alpha158 for a hundred names."""
    names = list(alpha158(plain_bars()))
    plan, count = plan_for(names), len((folder / "qlib" / "calendars" / "day.txt").read_text().split())
    warm(plan)
    whole = made_up(len((folder / "qlib" / "instruments" / "all.txt").read_text().splitlines()), count)
    given = {name: values[:, :100] for name, values in whole.items()}
    out = np.empty((len(names), count, 100), dtype=np.float32)
    timer = Timer()
    over_blocks(plan, given, out)
    figures = timer.figures()
    np.save(answers, out[:, :, ::10].transpose(0, 2, 1).astype(np.float64))
    return figures


def next_day(names: list[str], count: int) -> dict[str, float]:
    """Milliseconds of one session more, from a state and with the state's file read and checked first; against the build."""
    plan, sessions = plan_for(names), 400
    warm(plan)
    given = made_up(count, sessions)
    whole = np.empty((len(plan.own), sessions, count))
    over_blocks(plan, given, whole)
    early = np.empty((len(plan.own), sessions - DAYS, count))
    state = over_blocks(plan, {name: values[:-DAYS] for name, values in given.items()}, early)
    body = encode(state, tuple(f"I{n:05}" for n in range(count)))
    timer = Timer()
    days = Days(plan, decode(body, plan.version)[0])
    opened = timer.figures()["cpu"]
    spent, wall, error = [], [], 0.0
    for t in range(sessions - DAYS, sessions):
        row = {name: values[t] for name, values in given.items()}
        begun, used = time.perf_counter(), time.process_time()
        found = days.next(row)
        spent.append(time.process_time() - used)
        wall.append(time.perf_counter() - begun)
        error = max(error, float(np.nanmax(np.abs(found - whole[:, t]))))
    figures = {"cpu": float(np.median(spent)), "wall": float(np.median(wall)), "opened": opened}
    return {**figures, "state MiB": len(body) / 2**20, "error": error}


def many(count: int) -> dict[str, float]:
    """All of Alpha158 for so many instruments over 1,000 sessions, block by block, each block given away; then one day more."""
    plan, sessions = plan_for(list(alpha158(plain_bars()))), 1000
    warm(plan)
    states, spent = [], 0.0
    row = {name: np.empty(count) for name in FIELDS}
    for columns in blocks(count):
        width = columns.stop - columns.start
        given = made_up(width, sessions, seed=columns.start)
        out = np.empty((len(plan.own), sessions, width), dtype=np.float32)
        used = time.process_time()
        states.append(build(plan, given, NUMBER, out).state)
        spent += time.process_time() - used
        for name in FIELDS:
            row[name][columns] = given[name][-1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    days = Days(plan, joined(states, plan))
    del states
    times = []
    for _ in range(9):
        used = time.process_time()
        days.next(row)
        times.append(time.process_time() - used)
    return {"cpu": spent, "wall": spent, "peak build": peak, "next": float(np.median(times))}


def main() -> None:
    name, folder, answers = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    runs: dict[str, Callable[[], dict[str, float]]] = {
        "ours": lambda: fourteen(folder, answers, False),
        "ours columns": lambda: fourteen(folder, answers, True),
        "ours wide": lambda: wide(folder, answers),
        "ours next day": lambda: next_day(list(SET14), 800),
        "ours wide next day": lambda: next_day(list(alpha158(plain_bars())), 800),
        **{f"ours {count}": (lambda count=count: many(count)) for count in (500, 5000, 20000)},
    }
    pa.set_cpu_count(THREADS)
    figures = runs[name]()
    figures["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("figures: " + json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
