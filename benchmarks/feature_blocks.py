"""The declared features of many instruments: one block against many, in this process and on others. CPU seconds and peak memory.

python benchmarks/feature_blocks.py                                5,000 instruments over 1,000 sessions
python benchmarks/feature_blocks.py --names 500 --sessions 600     a short look
python benchmarks/feature_blocks.py --where whole blocks           some of the rows: whole, blocks, processes:N, dask:N

Every row is a fresh process that maps the same column bodies, by the product's own tasks; `whole` is one block of all names. The
answers of every row are compared by a hash. Not here: the cost of an operator (`features`), of a session (`scale`).
"""

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Sample, run_child, say, table

from marketbot_assets import feature_blocks
from marketbot_assets.features.declaration import INPUTS
from marketbot_assets.features.wide_features import BLOCK, blocks
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import open_pool

ROWS, PREPARE = ("whole", "blocks", "processes:2"), "prepare"
NUMBER, TOLD = 4864, ["made up"]


def made_up(sessions: int, columns: slice) -> dict[str, np.ndarray]:
    """Inputs near those of a market, a draw per instrument, so that the division into blocks changes none."""
    out = {name: np.empty((sessions, columns.stop - columns.start)) for name, x in INPUTS.items() if not x.series}
    for place, column in enumerate(range(columns.start, columns.stop)):
        draw = np.random.default_rng(column)
        close = 40 * np.exp(np.cumsum(0.02 * draw.standard_normal(sessions)))
        for name, values in out.items():
            values[:, place] = close * (1 + 0.01 * draw.random(sessions)) if name != "fresh" else 1.0
        for name in ("total_return", "base_return"):
            out[name][:, place] = np.append(np.nan, close[1:] / close[:-1] - 1)
    draw = np.random.default_rng(0)
    return out | {name: 50 + 0.1 * draw.random((sessions, 1)) for name, x in INPUTS.items() if x.series}


def prepare(folder: Path, names: int, sessions: int) -> None:
    """The columns of every division, and the list of tasks."""
    for kind, size in (("whole", names), ("blocks", BLOCK)):
        tasks: list[Json] = []
        for columns in blocks(names, size):
            bodies = feature_blocks.keep_columns(folder, made_up(sessions, columns), TOLD)
            listed = [f"I{n:05d}" for n in range(columns.start, columns.stop)]
            tasks.append(feature_blocks.task_of(folder, bodies, listed, feature_blocks.Told(TOLD, NUMBER, "s")))
        (folder / f"{kind}.json").write_text(json.dumps(tasks), encoding="utf-8")


def measure(folder: Path, where: str) -> None:
    """What one child does."""
    tasks = json.loads((folder / f"{'whole' if where == 'whole' else 'blocks'}.json").read_text(encoding="utf-8"))
    begun = time.process_time()
    if where == "whole":  # its state is more than a task may answer
        found = [feature_blocks.answer_of(feature_blocks.build_block(tasks[0]), TOLD)]
    else:
        with open_pool("local" if where == "blocks" else where) as pool:
            found = list(feature_blocks.built(pool, tasks, TOLD))
    digest, state = [own for own, _ in found], sum(len(body) for _, body in found)
    answers = hashlib.sha256(np.concatenate(digest, axis=1).tobytes()).hexdigest()
    own, worker = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    figures = {"own": own, "worker": worker, "seconds": time.process_time() - begun}
    say({"answers": answers, "state": state, "tasks": len(tasks), **figures})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=5_000)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--where", nargs="+", default=list(ROWS))
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "WHERE"))
    told = parser.parse_args()
    if told.child:
        folder, where = Path(told.child[0]), told.child[1]
        prepare(folder, told.names, told.sessions) if where == PREPARE else measure(folder, where)
        return
    with tempfile.TemporaryDirectory() as place:
        folder, size = Path(place), ["--names", str(told.names), "--sessions", str(told.sessions)]
        own = [str(Path(__file__)), *size, "--child", str(folder)]
        run_child([*own, PREPARE], log=folder / "log", environment={})  # a child's peak begins at its parent's size
        found: dict[str, Sample] = {}
        for where in told.where:
            arguments = [*own, where]
            found[where] = run_child(arguments, log=folder / "log", environment={"NUMBA_NUM_THREADS": "1"})
            sample = found[where]
            figures = {"cpu": sample.cpu, "wall": sample.wall, "peak": sample.peak, **sample.said}
            print(json.dumps({"where": where, "names": told.names, "sessions": told.sessions, **figures}), flush=True)
    if len({str(sample.said["answers"]) for sample in found.values()}) != 1:
        sys.exit("the answers differ")
    rows = [
        [
            where,
            str(x.said["tasks"]),
            f"{x.cpu:.1f}",
            *(f"{float(str(x.said[name])):,.0f}" for name in ("own", "worker")),
        ]
        for where, x in found.items()
    ]
    print(table(["where", "blocks", "CPU s", "peak MiB of the caller", "peak MiB of a worker"], rows))


if __name__ == "__main__":
    main()
