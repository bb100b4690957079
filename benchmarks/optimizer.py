"""The optimizer against its peers: cold, and on the days after; with a volatility cap; with every limit of the mandate.

python benchmarks/optimizer.py                 all rows; writes benchmarks/OPTIMIZER.md
python benchmarks/optimizer.py --quick         one hundred names, one round; writes nothing
python benchmarks/optimizer.py --peers FOLDER  takes or builds the peers' environment there; the default is a temporary one

Every competitor is a long-lived process that times itself; rounds alternate between them (A B A B). Thread pools are pinned to
one. Prints a table and one JSON line per row. Risk parity has a benchmark of its own, `risk_parity`, which runs at the end.
Not here: the problems (`mean_variance`, `whole_days`), how each competitor solves (`solvers_*`), processes (`peers`).
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made_by
from pathlib import Path

import numpy as np
from mean_variance import Floats, MeanVariance, first_day, next_day
from measure import CHECKOUT, run_child
from optimizer_report import written
from peers import Absent, Environment, Worker, environment, own_environment
from solvers_raw import EXACT, RawClarabel

sys.path.insert(0, str(CHECKOUT / "tests" / "portfolio"))
HERE = Path(__file__).parent
RESULTS = HERE / "OPTIMIZER.md"
PACKAGES = ("clarabel", "piqp", "osqp", "cvxpy", "skfolio", "PyPortfolioOpt", "Riskfolio-Lib", "cvxportfolio")
SIZES, DAYS, ROUNDS = (100, 500, 2000, 5000), 6, 3
BLOCK_SECONDS, SLOW_SECONDS = 0.5, 0.1
VOL_SHARE = 0.85
HOME_SESSIONS = ("2018-11-20", "2018-11-29")
STORED = ("2018-11-26", "2018-11-27", "2018-11-28", "2018-11-29")
MADE_UP_DAYS = 4
COLD, WARM = "cold", "next day"
STANDARD, CAPPED, WHOLE = "mean-variance", "with a volatility cap", "every limit of the mandate"
Measure = Callable[[int, Floats], tuple[float, float]]


@dataclass(frozen=True)
class Entry:
    """A competitor: where its class is, the package it needs (empty: ours), largest sizes without and with a cap, its modes."""

    name: str
    module: str
    cls: str
    package: str
    most: int = 5000
    most_capped: int = 5000
    modes: tuple[str, ...] = (COLD, WARM)
    leaves_out: str = ""


OURS = Entry("structured (ours)", "solvers_own", "Structured", "")
STANDARD_ENTRIES = (
    OURS,
    Entry("structured, proof left out", "solvers_own", "Unproven", ""),
    Entry("Clarabel", "solvers_raw", "RawClarabel", "clarabel"),
    Entry("PIQP", "solvers_raw", "RawPiqp", "piqp", most_capped=0),
    Entry("OSQP", "solvers_raw", "RawOsqp", "osqp", most_capped=0),
    Entry("cvxpy with parameters", "solvers_raw", "Cvxpy", "cvxpy"),
    Entry("skfolio", "solvers_library", "Skfolio", "skfolio", 2000, 2000, (COLD,)),
    Entry("PyPortfolioOpt", "solvers_library", "PyPortfolioOpt", "pyportfolioopt", 500, 500, (COLD,)),
    Entry("Riskfolio-Lib", "solvers_library", "Riskfolio", "riskfolio-lib", 500, 500, (COLD,), "cost of trades"),
    Entry("cvxportfolio", "solvers_library", "Cvxportfolio", "cvxportfolio", 5000, 500),
)
WHOLE_ENTRIES = (
    Entry("structured (ours)", "solvers_own_whole", "WholeStructured", ""),
    Entry("Clarabel", "solvers_whole", "WholeClarabel", "clarabel"),
    Entry("Clarabel, cones once broken", "solvers_whole", "LazyClarabel", "clarabel"),
    Entry("cvxpy with parameters", "solvers_whole", "WholeCvxpy", "cvxpy"),
    Entry("structured, from the mandate's limits", "solvers_own_whole", "Platform", "", modes=(COLD,)),
    Entry("readable form, from the mandate's limits", "solvers_own_whole", "Readable", "", modes=(COLD,)),
)


@dataclass
class Row:
    """What one competitor did in one group: samples in seconds, worst gap and violation over all answers, why it is missing."""

    group: str
    size: int
    mode: str
    name: str
    leaves_out: str = ""
    cpu: list[float] = made_by(default_factory=list)
    wall: list[float] = made_by(default_factory=list)
    pace: float = 0.0
    peak: float = 0.0
    gap: float = 0.0
    violation: float = 0.0
    note: str = ""
    missing: str = ""

    def middle(self, name: str) -> float:
        return statistics.median(getattr(self, name)) if getattr(self, name) else float("nan")

    def record(self) -> dict[str, object]:
        """One JSON line."""
        figures = {"cpu_ms": 1e3 * self.middle("cpu"), "wall_ms": 1e3 * self.middle("wall"), "peak_mib": self.peak}
        plain = {
            name: getattr(self, name) for name in ("group", "size", "mode", "name", "leaves_out", "note", "missing")
        }
        accuracy = {"gap": self.gap, "violation": self.violation, "samples": len(self.cpu)}
        return {"benchmark": "optimizer", **plain, **figures, **accuracy}


@dataclass(frozen=True)
class Group:
    """One problem on some days: files, competitors, and how answers of a day are measured."""

    title: str
    size: int
    days: tuple[Path, ...]
    entries: tuple[Entry, ...]
    measure: Measure
    costless: Measure | None = None
    binds: str = ""


def standard_group(n: int, folder: Path, days: int, *, capped: bool) -> Group:
    """Days in a row: each begins with the best book of the day before."""
    solver, made, best, costless = RawClarabel(EXACT), [], [], []

    def solved(day: MeanVariance) -> Floats:
        return solver.cold(solver.prepare(day))

    day = first_day(n)
    vol = VOL_SHARE * day.volatility(solved(day)) if capped else None
    day = replace(day, vol=vol)
    for number in range(days + 1):
        path = folder / f"standard-{n}-{'capped' if capped else 'free'}-{number}.npz"
        day.save(path)
        weights = solved(day)
        made.append((path, day))
        best.append(day.utility(weights))
        free = replace(day, cost=np.zeros(n))
        costless.append(free.utility(solved(free)))
        day = next_day(day, weights, number)

    def measure(number: int, weights: Floats) -> tuple[float, float]:
        one = made[number][1]
        return (best[number] - one.utility(weights)) / (1e-3 + abs(best[number])), one.violation(weights)

    def without_cost(number: int, weights: Floats) -> tuple[float, float]:
        one = replace(made[number][1], cost=np.zeros(n))
        return (costless[number] - one.utility(weights)) / (1e-3 + abs(costless[number])), one.violation(weights)

    entries = tuple(e for e in STANDARD_ENTRIES if (e.most_capped if capped else e.most) > 0)
    title = CAPPED if capped else STANDARD
    return Group(title, n, tuple(path for path, _ in made), entries, measure, without_cost)


def whole_group(paths: Sequence[Path]) -> Group:
    """Days of the default mandate; the best answer is Clarabel's most exact one."""
    import whole_mandate
    from clarabel_form import OPTIMAL, reference

    problems = [whole_mandate.load(path) for path in paths]
    found = [reference(problem) for problem in problems]
    assert all(one.status == OPTIMAL for one in found)
    best = [one.objective for one in found]

    def measure(number: int, weights: Floats) -> tuple[float, float]:
        gap = (best[number] - problems[number].objective(weights)) / (1e-3 + abs(best[number]))
        return gap, problems[number].violation(weights)

    binding = Counter(name for one, book in zip(problems, found, strict=True) for name in one.binding(book.weights))
    binds = ", ".join(f"{name} {count}/{len(found)}" for name, count in binding.items())
    return Group(WHOLE, problems[0].size, tuple(paths), WHOLE_ENTRIES, measure, binds=binds)


def whole_days(folder: Path, home: Path) -> list[list[Path]]:
    """Runs the sample world's sessions, then writes its days and those of the made-up world."""
    log = folder / "whole.log"
    variables = {
        "MARKETBOT_HOME": str(home),
        "MARKETBOT_MANDATE": str(CHECKOUT / "mandate.yaml"),
        "DAGSTER_HOME": str(home / "dagster"),
        "PYTHONPATH": ":".join(str(path) for path in (CHECKOUT, HERE, CHECKOUT / "tests" / "portfolio")),
    }
    if not (home / "ledger.sqlite").exists():
        run_child([str(HERE / "day.py"), "--child", "job", *HOME_SESSIONS, "", ""], log=log, environment=variables)
    made = str(HERE / "whole_days.py")
    run_child([made, "stored", str(home), str(folder), *STORED], log=log, environment=variables)
    run_child([made, "made-up", str(MADE_UP_DAYS), str(folder)], log=log, environment=variables)
    return [
        [folder / f"stored-{session}.npz" for session in STORED],
        sorted(folder.glob("made-up-*.npz")),
    ]


class Field:
    """The competitors' processes: each starts when it is first needed and lives to the end of the benchmark."""

    def __init__(self, peers: Environment, folder: Path) -> None:
        self._peers, self._folder = peers, folder
        self._workers: dict[str, Worker] = {}
        self._absent: dict[str, str] = {}

    def worker(self, entry: Entry) -> Worker:
        """The process of a competitor. Raises Absent when there is none."""
        if entry.cls in self._absent:
            raise Absent(self._absent[entry.cls])
        if entry.cls not in self._workers:
            if entry.package and not self._peers.has(entry.package):
                raise Absent("cannot be installed here")
            python = self._peers.python if entry.package else own_environment().python
            try:
                self._workers[entry.cls] = Worker(python, entry.module, entry.cls, self._folder / f"{entry.cls}.log")
            except Absent as error:
                self._absent[entry.cls] = str(error)
                raise
        return self._workers[entry.cls]

    def close(self) -> None:
        """Ends all processes."""
        for worker in self._workers.values():
            worker.close()


def run_group(group: Group, field: Field, folder: Path, rounds: int) -> list[Row]:
    """Every competitor of a group, in alternation; a round is every mode of everyone once."""
    rows = [Row(group.title, group.size, mode, e.name, e.leaves_out) for e in group.entries for mode in e.modes]
    entries = {entry.name: entry for entry in group.entries}
    for row in rows:
        entry = entries[row.name]
        most = entry.most_capped if group.title == CAPPED else entry.most
        if group.size > most:
            row.missing = f"not run above {most} names: too slow or too much memory"
    if group.binds:
        print(f"{group.title} {group.size}, days on which a limit binds: {group.binds}", flush=True)
    for round_number in range(rounds):
        for mode in (COLD, WARM):
            for row in rows:
                if row.mode == mode and not row.missing:
                    try:
                        worker = field.worker(entries[row.name])
                    except Absent as error:
                        row.missing = str(error)
                    else:
                        ask(group, entries[row.name], worker, row, folder, round_number)
    return rows


def ask(group: Group, entry: Entry, worker: Worker, row: Row, folder: Path, round_number: int) -> None:
    """One block of days of one competitor; a slow one gets fewer days."""
    days = int(np.clip(BLOCK_SECONDS / row.pace, 1, len(group.days) - 1)) if row.pace else 1
    out = folder / "answer.npy"
    mode = "cold" if row.mode == COLD else "warm"
    files = [str(path) for path in group.days[: days + 1]]
    said = worker.ask({"mode": mode, "days": files, "out": str(out), "warmed": row.pace > SLOW_SECONDS})
    if "error" in said:
        row.missing = said["error"]
        print(f"{group.title} {group.size} {row.mode} {entry.name}: {row.missing}", file=sys.stderr, flush=True)
        return
    cpu, wall = ([statistics.median(samples) for samples in said[name]] for name in ("cpu", "wall"))
    row.pace = statistics.median(cpu)
    if round_number > 0:  # the first block only shows how slow it is, and loads what is loaded once
        row.cpu, row.wall = row.cpu + cpu, row.wall + wall
    row.peak = max(row.peak, said["peak"])
    row.note = "; ".join(
        text
        for text in (said["note"], f"binding: {group.binds}" if entry.name == OURS.name and group.binds else "")
        if text
    )
    measure = group.costless if entry.leaves_out and group.costless is not None else group.measure
    for number, weights in enumerate(np.load(out), start=1):
        gap, violation = measure(number, weights)
        row.gap, row.violation = max(row.gap, abs(gap)), max(row.violation, violation)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--peers", type=Path, help="folder of the peers' environment, kept")
    parser.add_argument("--home", type=Path, help="folder of the sample world's sessions, kept")
    parser.add_argument("--no-whole", action="store_true", help="without the rows of the whole mandate")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="marketbot-optimizer-"))
    peers = environment(given.peers or folder / "peers", PACKAGES)
    field = Field(peers, folder)
    try:
        rows: list[Row] = []
        sizes, rounds = ([100], 2) if given.quick else (given.sizes, given.rounds + 1)
        for n in sizes:
            for capped in (False, True):
                rows += shown(run_group(standard_group(n, folder, DAYS, capped=capped), field, folder, rounds))
        if not given.quick and not given.no_whole:
            for paths in whole_days(folder, given.home or folder / "home"):
                rows += shown(run_group(whole_group(paths), field, folder, rounds))
        rows.sort(key=lambda row: (row.group != STANDARD) + (row.group == WHOLE))
        text = written(rows, peers.versions, given.rounds)
        print(text, *(json.dumps(row.record()) for row in rows), sep="\n")
        if not given.quick:
            RESULTS.write_text(text, encoding="utf-8")
            RESULTS.write_text(text + risk_parity(), encoding="utf-8")
    finally:
        field.close()
        shutil.rmtree(folder, ignore_errors=True)


def risk_parity() -> str:
    """The tables of the risk parity benchmark as a section; empty where there is none."""
    script = HERE / "risk_parity.py"
    if not script.exists():
        return ""
    said = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True).stdout
    print(said, flush=True)
    kept = "\n".join(line for line in said.splitlines() if not line.startswith("{"))
    return f"\n## Risk parity\n\nWritten by `benchmarks/risk_parity.py`, run after the rows above.\n\n{kept.strip()}\n"


def shown(rows: list[Row]) -> list[Row]:
    """The rows, told as they come."""
    for row in rows:
        figures = (
            row.missing
            or f"{1e3 * row.middle('cpu'):.3f} ms, gap {row.gap:.1e}, violation {row.violation:.1e} {row.note}"
        )
        print(f"{row.group} {row.size} {row.mode} {row.name}: {figures}", flush=True)
    return rows


if __name__ == "__main__":
    main()
