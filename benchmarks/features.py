"""Features against their peers: fourteen expressions of Alpha158 from files to arrays, all of Alpha158, the next session, size.

python benchmarks/features.py                  all rows; writes benchmarks/FEATURES.md
python benchmarks/features.py --quick          forty names, five hundred sessions, no peers; writes nothing
python benchmarks/features.py --peers FOLDER   takes or builds the peers' environment there; the default is a temporary one

Every run is one fresh process that times its work alone; rounds alternate between the competitors. Thread pools are pinned to
one, and to two for the rows that say so. Prints a table and one JSON line per row. Qlib's disk caches need a Redis server: without
one their rows say so.
Not here: the task and its files (`feature_task`), how each competitor computes (`feature_peers`, `features_own`).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from feature_peers import REDIS_PORT
from feature_task import SET14, THREADS_OF_TASK, write
from measure import CHECKOUT, SAID, table
from peers import THREADS, Environment, environment

HERE = Path(__file__).parent
RESULTS = HERE / "FEATURES.md"
PACKAGES = ("pyqlib", "polars", "duckdb", "bottleneck", "pyarrow", "tables")  # Qlib's dataset cache needs tables
PEERS = ("bottleneck", "polars", "duckdb", "pandas")
TWO = "two: "
TWICE = (f"{TWO}ours", f"{TWO}ours columns", f"{TWO}polars", f"{TWO}duckdb")
QLIB = ("qlib dataset cache", "qlib expression cache", "qlib")
TASK, WIDE, NEXT, SIZE = "fourteen expressions", "all of Alpha158, 100 names", "next session, 800 names", "size"
BOTH = "fourteen expressions, two threads each"
SECONDS = 900
Figures = dict[str, float]


def run(python: Path, script: str, name: str, folder: Path) -> Figures | str:
    """What one process said about itself; a text when it failed."""
    answers, threads = folder / f"{name}.npy", 2 if name.startswith(TWO) else 1
    variables = {
        **os.environ,
        **THREADS,
        "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{HERE}",
        "POLARS_MAX_THREADS": str(threads),
        THREADS_OF_TASK: str(threads),
    }
    command = [str(python), str(HERE / script), name.removeprefix(TWO), str(folder), str(answers)]
    try:
        done = subprocess.run(
            command, env=variables, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} s"
    said = [line for line in done.stdout.splitlines() if line.startswith(SAID)]
    if done.returncode or not said:
        told_last = [line for line in done.stderr.splitlines() if "Error" in line and not line.startswith(" ")]
        return (told_last or ["ended without an answer"])[-1][:120]
    return dict(json.loads(said[-1].removeprefix(SAID)))


@contextmanager
def redis(folder: Path) -> Iterator[bool]:
    """A Redis server of our own while Qlib needs one; False where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        yield False
        return
    words = [program, "--port", str(REDIS_PORT), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.0)
        yield server.poll() is None
    finally:
        server.terminate()
        server.wait(30)


def middle(rounds: Sequence[Figures | str]) -> Figures | str:
    """Medians over the rounds that answered; else what the last one said."""
    good = [one for one in rounds if not isinstance(one, str)]
    if not good:
        return rounds[-1] if rounds else "not run"
    names = [name for name, value in good[0].items() if isinstance(value, int | float)]
    return {name: statistics.median(one[name] for one in good) for name in names}


def error_of(folder: Path, name: str, reference: str, share: float) -> float:
    """Error of a sample of answers against the reference, relative to 1 + |reference|: the given quantile, the worst feature."""
    one, other = (np.load(folder / f"{which}.npy")[:, :, 60:] for which in (name, reference))
    error = np.abs(one - other) / (1.0 + np.abs(other))
    return float(max(np.nanquantile(feature, share) for feature in error))


def measure(folder: Path, peers: Environment | None, rounds: int) -> list[dict[str, object]]:
    """One row per competitor and task."""
    own, found = Path(sys.executable), dict[str, list[Figures | str]]()
    ours = (
        "ours",
        "ours columns",
        "ours wide",
        "ours next day",
        "ours wide next day",
        "ours 500",
        "ours 5000",
        "ours 20000",
    )
    names = ours if peers else ours[:5]
    for number in range(rounds):
        for name in names if number == 0 else names[:5]:
            found.setdefault(name, []).append(run(own, "features_own.py", name, folder))
        for name in (*PEERS, *TWICE) if peers else ():
            mine = "ours" in name
            python, script = (own, "features_own.py") if mine else (peers.python, "feature_peers.py")
            found.setdefault(name, []).append(run(python, script, name, folder))
    if peers:
        found["pandas float64"] = [run(peers.python, "feature_peers.py", "pandas float64", folder)]
        with redis(folder) as there:
            for name in ("qlib wide", *QLIB):
                cached = "cache" in name
                said = run(peers.python, "feature_peers.py", name, folder) if there or not cached else "no Redis server"
                found[name] = [said]
    return [row(name, middle(rounds_of), folder) for name, rounds_of in found.items()]


def row(name: str, figures: Figures | str, folder: Path) -> dict[str, object]:
    wide = "wide" in name
    task = NEXT if "next day" in name else WIDE if wide else SIZE if name.split()[-1].isdigit() else TASK
    task = BOTH if name.startswith(TWO) else task
    out: dict[str, object] = {"task": task, "who": name.removeprefix(TWO)}
    if isinstance(figures, str):
        return {**out, "failed": figures}
    out |= {key: figures[key] for key in sorted(figures)}
    if task in (TASK, BOTH) and (folder / "pandas float64.npy").exists():
        out["error"] = error_of(folder, name, "pandas float64", 1.0 if "ours" in name else 0.999)
    if name == "ours wide" and (folder / "qlib wide.npy").exists():
        out["error"] = error_of(folder, name, "qlib wide", 0.999)
    return out


def number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def told(rows: Sequence[dict[str, object]]) -> str:
    """The rows as tables, with the ratios to ours."""
    by = {str(one["who"]): one for one in rows if one["task"] != BOTH}
    parts = []
    for task, base in ((TASK, "ours"), (BOTH, "ours"), (WIDE, "ours wide")):
        own = next(float(str(one.get("cpu", "nan"))) for one in rows if one["task"] == task and one["who"] == base)
        cells = [
            [
                str(one["who"]),
                *(number(one.get(key, "-")) for key in ("cpu", "wall")),
                number(float(str(one["cpu"])) / own) if "cpu" in one else str(one["failed"]),
                *(number(one.get(key, "-")) for key in ("peak", "error")),
            ]
            for one in rows
            if one["task"] == task
        ]
        parts.append(
            f"## {task[0].upper()}{task[1:]}\n\n"
            + table(("who", "CPU s", "wall s", "CPU over ours", "peak MiB", "error"), cells)
        )
    for name, place in (("ours", "the store's objects"), ("ours columns", "columns kept from them")):
        if "failed" not in by[name]:
            read, kernel, least = (number(by[name][key]) for key in ("read cpu", "kernel cpu", "limit cpu"))
            parts[0] += (
                f"\n\nFrom {place}: reading {read} CPU s; the operators once more, into memory that is there already, {kernel} "
                f"CPU s; the rest is the first touch of the answers' memory. Summing inputs and filling answers: {least} CPU s."
            )
    days = [
        [
            str(one["who"]),
            *(number(1000 * float(str(one[key]))) for key in ("cpu", "wall", "opened")),
            number(one["state MiB"]),
            number(one["error"]),
        ]
        for one in rows
        if one["task"] == NEXT and "failed" not in one
    ]
    head = (
        "who",
        "CPU ms",
        "wall ms",
        "state read and checked, CPU ms",
        "state MiB",
        "largest difference from the build",
    )
    parts.append(f"## {NEXT[0].upper()}{NEXT[1:]}\n\n" + table(head, days))
    sizes = [
        [
            str(count := int(str(one["who"]).split()[-1])),
            number(float(str(one["cpu"]))),
            number(1e6 * float(str(one["cpu"])) / count / 1000),
            number(one["peak build"]),
            number(1000 * float(str(one["next"]))),
            number(1e6 * float(str(one["next"])) / count),
        ]
        for one in rows
        if one["task"] == SIZE and "failed" not in one
    ]
    head = (
        "instruments",
        "build, CPU s",
        "CPU us per instrument and session",
        "peak MiB",
        "next session, CPU ms",
        "us per instrument",
    )
    parts.append("## Size: all of Alpha158, 1,000 sessions, in blocks of 256\n\n" + table(head, sizes))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--peers", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="features-") as place:
        folder = Path(place)
        write(folder, *((120, 500) if asked.quick else (800, 3400)))
        peers = None if asked.quick else environment(asked.peers or folder / "peers", PACKAGES)
        rows = measure(folder, peers, 1 if asked.quick else asked.rounds)
    for one in rows:
        print(json.dumps(one))
    if asked.quick or peers is None:
        return
    versions = ", ".join(f"{name} {peers.versions.get(name.lower(), 'absent')}" for name in PACKAGES)
    text = told(rows)
    print(text)
    RESULTS.write_text(f"{HEAD}\nPeers: {versions}; Python {sys.version.split()[0]}.\n\n{text}", encoding="utf-8")


HEAD = f"""# Features

Written by `python benchmarks/features.py`. 800 names, 3,400 sessions (2.7 M rows); {len(SET14)} expressions of Alpha158.
From files to arrays in memory, one thread each unless said. `ours` reads the Parquet of the store (64 bits, by session); `ours
columns` reads matrices kept from it (32 bits, which these inputs survive to the bit), mapped, their SHA-256 checked. The peers read
a Parquet of 32 bits sorted by symbol, Qlib its own binary files. All answers have 32 bits. Compare CPU seconds: wall seconds are
those of a shared machine. numpy asks for huge pages for all, as is its default; where none are at hand, first touch costs more.
Error: against pandas in 64 bits over a sample of names from session 60 on, |difference| / (1 + |value|); of ours the largest, of
the peers the 99.9 % quantile (their inputs and answers have 32 bits). All of Alpha158: ours against Qlib, the 99.9 % quantile.
"""


if __name__ == "__main__":
    main()
