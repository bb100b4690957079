"""Risk parity, equal and given budgets, against the libraries that solve it: python benchmarks/risk_parity.py

Every figure is a process of its own, competitors take turns (A B A B), thread pools are pinned to one; medians of CPU and wall time
of solving alone, the covariance given. Error: the largest |w_i (Sw)_i / w'Sw - b_i|, recomputed here. Riskfolio-Lib lives in an
environment in the folder of TMPDIR, built when it is not there. A table and one JSON line per row; a peer that cannot be
installed is reported as absent. Not here: how a competitor is asked (`parity_peers`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from pathlib import Path

import numpy as np
from measure import CHECKOUT, ONE_THREAD, SAID, table

HERE = Path(__file__).parent
SIZES, FACTORS = (100, 500, 2000), 20
LARGEST = {"marketbot": 2000, "cvxpy": 2000, "cvxpy, tight": 2000, "skfolio": 500, "riskfolio": 500}
TARGET, ERROR_TARGET = 200.0, 1e-8
LIMIT_SECONDS = 900
THREADS = {**ONE_THREAD, "NUMBA_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class Absent(Exception):
    """A peer that cannot be installed or run here; the message says why."""


def problem(n: int, budgets: str) -> dict[str, np.ndarray]:
    """A market factor and 19 others, seeded by the size; variances per year as of equities."""
    rng = np.random.default_rng(n)
    root = rng.normal(0.0, 0.05, (FACTORS, n))
    root[0] = rng.uniform(0.1, 0.25, n)
    given = rng.dirichlet(np.full(n, 3.0)) if budgets == "given" else np.full(n, 1.0 / n)
    return {"root": root, "specific": rng.uniform(0.01, 0.06, n), "budgets": given}


def error_of(weights: np.ndarray, data: dict[str, np.ndarray]) -> float:
    """Largest difference between a share of the risk and its budget."""
    root, own = data["root"], data["specific"]
    contributions = weights * (root.T @ (root @ weights) + own * weights)
    return float(np.max(np.abs(contributions / contributions.sum() - data["budgets"])))


def own_python(package: str, folder: Path) -> Path:
    """The Python of an environment with one package. Raises Absent when it cannot be installed."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", "--prefer-binary", package]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        raise Absent(f"{package} cannot be installed")
    return python


def ask(python: Path, name: str, file: Path, folder: Path) -> tuple[dict[str, float], np.ndarray]:
    """(what one process said, its weights). Raises Absent when it fails."""
    out = folder / f"{name}.npy"
    variables = {**os.environ, **THREADS, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{HERE}", "PYTHONHASHSEED": "0"}
    try:
        child = subprocess.run(
            [str(python), str(HERE / "parity_peers.py"), name, str(file), str(out)],
            capture_output=True, text=True, env=variables, cwd=CHECKOUT, check=False, timeout=LIMIT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Absent(f"no answer in {LIMIT_SECONDS} s") from error
    said = [line for line in child.stdout.splitlines() if line.startswith(SAID)]
    if child.returncode != 0 or not said:
        raise Absent(" ".join(child.stderr.split())[-200:])
    return json.loads(said[-1].removeprefix(SAID)), np.load(out)


def measured(n: int, budgets: str, repetitions: int, pythons: dict[str, Path | str], folder: Path) -> list[dict]:
    """One row per competitor of one problem."""
    data, file = problem(n, budgets), folder / f"{n}_{budgets}.npz"
    np.savez(file, **data)
    said: dict[str, list[dict[str, float]]] = defaultdict(list)
    errors, absent = dict.fromkeys(LARGEST, float("nan")), {}
    for _ in range(repetitions):
        for name in LARGEST:
            python = pythons[name]
            if name in absent or n > LARGEST[name]:
                absent.setdefault(name, f"not asked above n = {LARGEST[name]}")
                continue
            try:
                if isinstance(python, str):
                    raise Absent(python)
                figures, weights = ask(python, name, file, folder)
            except Absent as error:
                absent[name] = str(error)
                continue
            said[name].append(figures)
            errors[name] = error_of(weights, data)
    rows = []
    for name in LARGEST:
        row = {"benchmark": "risk parity", "n": n, "budgets": budgets, "solver": name, "absent": absent.get(name, "")}
        if said[name]:
            cpu, wall = (statistics.median(one[key] for one in said[name]) for key in ("cpu", "wall"))
            ratio = cpu / statistics.median(one["cpu"] for one in said["marketbot"])
            row |= {"cpu_ms": 1e3 * cpu, "wall_ms": 1e3 * wall, "cpu_ratio": ratio, "error": errors[name]}
        rows.append(row)
    return rows


def shown(rows: list[dict]) -> str:
    """The rows as a table; times belong to the machine, ratios are what counts."""
    cells = [
        [str(row["n"]), row["budgets"], row["solver"], *(
            [f"{row['cpu_ms']:.3g}", f"{row['wall_ms']:.3g}", f"{row['cpu_ratio']:.3g}", f"{row['error']:.1e}"]
            if "cpu_ms" in row else [row["absent"], "", "", ""]
        )]
        for row in rows
    ]  # fmt: skip
    return table(["n", "budgets", "solver", "CPU ms", "wall ms", "CPU against ours", "error"], cells)


def main() -> int:
    """Runs the competition; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="slow peers at every size, too")
    chosen = parser.parse_args()
    if chosen.whole:
        LARGEST.update(skfolio=max(SIZES), riskfolio=max(SIZES))
    pythons: dict[str, Path | str] = dict.fromkeys(LARGEST, Path(sys.executable))
    try:
        pythons["riskfolio"] = own_python("riskfolio-lib", Path(tempfile.gettempdir()) / "marketbot_riskfolio")
    except Absent as error:
        pythons["riskfolio"] = str(error)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in SIZES:
            for budgets in ("equal", "given"):
                found = measured(n, budgets, chosen.repetitions, pythons, Path(folder))
                rows += found
                print("\n".join(json.dumps(row) for row in found), flush=True)
    print(shown(rows))
    plain = [row["cpu_ratio"] for row in rows if row["solver"] == "cvxpy" and "cpu_ratio" in row]
    worst = max(row["error"] for row in rows if row["solver"] == "marketbot")
    met = bool(plain) and min(plain) >= TARGET and worst <= ERROR_TARGET
    print(f"least ratio to cvxpy {min(plain, default=0.0):.0f} (target {TARGET:.0f}), largest error {worst:.1e}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
