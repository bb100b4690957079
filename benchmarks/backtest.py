"""The backtest against its peers: re-optimized daily, bookkeeping alone, the whole decision; analytics; equal weights; size.

python benchmarks/backtest.py                 all rows, about an hour; writes BACKTEST.md and a section of RESULTS.md
python benchmarks/backtest.py --quick         twenty names, no peers, a few sessions; writes nothing
python benchmarks/backtest.py --peers FOLDER  takes or builds the peers' environments there; the default is a temporary folder
python benchmarks/backtest.py --rows FILE     goes on where an earlier run with this file ended
python benchmarks/backtest.py --only WORD     the steps with this word in their name (`decision: 500`); writes rows alone, no tables

Every run is one fresh process that times its work alone, after a warm-up; rounds alternate between the competitors; thread pools
are pinned to one. A peer that cannot be installed is a row that says so. Prints one JSON line per row. Not here: the market
(`backtest_task`), how each competitor plays it (`backtest_core`, `backtest_peers`, `backtest_decision`), tables
(`backtest_report`).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from backtest_report import FILE, PICTURE, RESULTS, growth, told
from backtest_task import market
from measure import CHECKOUT, GROWTH, SAID, with_section
from peers import THREADS, Environment, environment, own_environment
from weights_peers import problem

HERE = Path(__file__).parent
SECONDS = 600
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "cvxportfolio": ("cvxportfolio", "skfolio", "Riskfolio-Lib", "clarabel"),
    "bt": ("bt",),
    "vectorbt": ("vectorbt",),
    "zipline": ("zipline-reloaded",),
    "empyrical": ("empyrical-reloaded", "pyfolio-reloaded"),
}
OPTIMIZED, BOOKED, DECIDED = "re-optimized daily", "bookkeeping", "the whole decision"
ANALYTICS, WEIGHTS, SIZE = "analytics", "weights", "size"
YEAR = 252


@dataclass(frozen=True)
class Entry:
    """A competitor: script, environment (empty: ours), package that must be there, days by number of names."""

    name: str
    script: str
    where: str = ""
    package: str = ""
    days: Mapping[int, int] = field(default_factory=lambda: {20: 500, 500: 500})


OPTIMIZERS = (
    Entry("ours, in lots", "backtest_core.py"),
    Entry("ours", "backtest_core.py"),
    Entry("clarabel", "backtest_core.py"),
    Entry("clarabel, in lots", "backtest_core.py"),
    Entry("cvxportfolio", "backtest_peers.py", "cvxportfolio", "cvxportfolio", {20: 500, 500: 250}),
    Entry("cvxportfolio, as its examples", "backtest_peers.py", "cvxportfolio", "cvxportfolio", {20: 500, 500: 250}),
    Entry("skfolio", "backtest_peers.py", "cvxportfolio", "skfolio", {20: 250, 500: 60}),
)
BOOKS = (
    Entry("bookkeeping", "backtest_core.py"),
    Entry("vectorbt", "backtest_peers.py", "vectorbt", "vectorbt"),
    Entry("bt", "backtest_peers.py", "bt", "bt", {20: 500, 500: 250}),
    Entry("zipline", "backtest_peers.py", "zipline", "zipline-reloaded", {20: 250, 500: 40}),
)
DECISIONS = ((0, 60), (500, 20))
GROWN = tuple((n, years) for n in (20, 500, 3000) for years in (1, 10, 30))
GROWN_DECISIONS, LARGE = tuple((n, years) for n in (20, 65, 500) for years in (1, 10, 30)), (3000, 1)
FEW, FEW_SESSIONS, HOURS = 3000, 5, 6 * 3600  # of so many listings only a few sessions, unless --large
Row = dict[str, object]


class Bench:
    """A folder, the environments, and the children that run in them."""

    def __init__(self, folder: Path, peers: Path | None, *, alone: bool) -> None:
        self.folder = folder
        self._own = own_environment()
        self._peers: dict[str, Environment] = {}
        for name, packages in ({} if alone else LIBRARIES).items():
            self._peers[name] = environment((peers or folder / "peers") / name, packages)

    def versions(self) -> dict[str, str]:
        """Package -> version, of every peer that is there."""
        found = {p: self._peers[name].versions.get(p.lower(), "") for name in self._peers for p in LIBRARIES[name]}
        return {package: version or "absent" for package, version in found.items()}

    def ask(self, entry: Entry, *words: str, seconds: float = SECONDS) -> Row:
        """What one process said of itself; `missing` says why there are no figures."""
        if entry.where and not (entry.where in self._peers and self._peers[entry.where].has(entry.package)):
            return {"missing": "not asked" if not self._peers else "cannot be installed here"}
        python = self._peers[entry.where].python if entry.where else self._own.python
        paths = os.pathsep.join(str(path) for path in (CHECKOUT, HERE))
        variables = {**os.environ, **THREADS, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "HOME": str(self.folder)}
        command = [str(python), str(HERE / entry.script), *words]
        try:
            done = subprocess.run(
                command, env=variables, cwd=self.folder, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return {"missing": f"no answer within {seconds:g} s"}
        said = [line for line in done.stdout.splitlines() if line.startswith(SAID)]
        if done.returncode or not said:
            last = [line for line in done.stderr.splitlines() if line.strip()]
            return {"missing": (last or ["ended without an answer"])[-1][:120]}
        return dict(json.loads(said[-1].removeprefix(SAID)))

    def rounds(self, entries: Sequence[Entry], rounds: int, words: Mapping[str, Sequence[str]]) -> dict[str, Row]:
        """Medians over the rounds, which alternate between the competitors; one that failed is not asked again."""
        found: dict[str, list[Row]] = {entry.name: [] for entry in entries}
        for _ in range(rounds):
            for entry in entries:
                if not any("missing" in row for row in found[entry.name]):
                    found[entry.name].append(self.ask(entry, *words[entry.name]))
        return {name: middle(rows) for name, rows in found.items()}


def middle(rows: Sequence[Row]) -> Row:
    """The medians of what was said; a failure counts."""
    bad = [row for row in rows if "missing" in row]
    if bad or not rows:
        return bad[-1] if bad else {"missing": "not run"}
    return {name: statistics.median(float(str(row[name])) for row in rows) for name in rows[0]}


def on_market(bench: Bench, task: str, entries: Sequence[Entry], n: int, rounds: int, days: int | None) -> list[Row]:
    """Rows of one task on one market: milliseconds per day, and how far NAV and weights are from ours."""
    place = bench.folder / f"market-{n}"
    words = {}
    for entry in entries:
        count = min(entry.days[n], days or entry.days[n])
        words[entry.name] = (entry.name, str(place), str(place / f"{entry.name}.npz"), str(count))
    rows = []
    for name, figures in bench.rounds(entries, rounds, words).items():
        row: Row = {"task": task, "names": n, "who": name, **figures}
        if "missing" not in row:
            count = float(str(row["days"]))
            row |= {f"{clock} ms a day": 1e3 * float(str(row[clock])) / count for clock in ("cpu", "wall")}
            row |= apart(place, name, "ours, in lots" if name.endswith("lots") else "ours")
        rows.append(row)
        print(json.dumps({"benchmark": "backtest", **row}), flush=True)
    return rows


def apart(place: Path, name: str, reference: str) -> Row:
    """Largest relative difference in NAV over the days, that of the last day, largest difference in weights."""
    if not (place / f"{reference}.npz").exists():
        return {}
    with np.load(place / f"{name}.npz") as theirs, np.load(place / f"{reference}.npz") as ours:
        length = len(theirs["nav"])
        difference = np.abs(theirs["nav"] / ours["nav"][:length] - 1.0)
        out: Row = {"nav apart": float(difference.max()), "nav apart at the end": float(difference[-1])}
        if "weights" in theirs.files:
            mine, other = ours["weights"][: length - 1], theirs["weights"][: length - 1]
            out["weights apart"] = float(np.abs(mine - other).max())
        return out


def decisions(bench: Bench, task: str, cells: Sequence[tuple[int, int]]) -> list[Row]:
    """The platform's own loop in the sample world: listings (0: as it stands) and sessions."""
    return [decision(bench, task, (str(listings), str(days)), listings, days) for listings, days in cells]


def grown_decision(bench: Bench, listings: int, years: int, days: int | None = None) -> list[Row]:
    """The platform's own loop in the synthetic world; fewer sessions than `years` have when the calendars hold no more."""
    count = days or years * YEAR
    row = decision(bench, SIZE, ("grown", str(listings), str(count)), listings, count, years=years)
    return [row]


def decision(bench: Bench, task: str, words: Sequence[str], listings: int, days: int, **more: object) -> Row:
    """One run of the loop, with milliseconds a day."""
    entry = Entry("run_days", "backtest_decision.py")
    row: Row = {"task": task, "who": entry.name, "asked": listings, "sessions": days, **more}
    row |= bench.ask(entry, *words, seconds=HOURS)
    if "missing" not in row:
        count = float(str(row["days"]))
        row |= {f"{clock} ms a day": 1e3 * float(str(row[clock])) / count for clock in ("cpu", "wall")}
    print(json.dumps({"benchmark": "backtest", **row}), flush=True)
    return row


def analytics(bench: Bench, portfolios: int, rounds: int) -> list[Row]:
    """Ten years of so many portfolios; errors are relative to 1 + |value|."""
    rng, place = np.random.default_rng(3), bench.folder / "analytics"
    place.mkdir(exist_ok=True)
    benchmark = rng.standard_t(5, 10 * YEAR) * 0.008 + 0.0003
    returns = benchmark[:, None] * rng.uniform(0.5, 1.3, portfolios)
    np.save(place / "benchmark.npy", benchmark)
    np.save(place / "returns.npy", returns + rng.standard_t(4, returns.shape) * 0.006)
    names = ("ours", "empyrical", "pyfolio")
    entries = [Entry(x, "analytics_peers.py", "" if x == "ours" else "empyrical", f"{x}-reloaded") for x in names]
    words = {name: (name, str(place), str(place / f"{name}.npz")) for name in names}
    rows = []
    for name, figures in bench.rounds(entries, rounds, words).items():
        row: Row = {"task": ANALYTICS, "portfolios": portfolios, "who": name, **figures}
        if "missing" not in row:
            with np.load(place / f"{name}.npz") as theirs, np.load(place / "ours.npz") as ours:
                row["error"] = max(
                    float((np.abs(ours[k] - theirs[k]) / (1 + np.abs(theirs[k]))).max()) for k in theirs.files
                )
                row["measures"] = len(theirs.files)
        rows.append(row)
        print(json.dumps({"benchmark": "backtest", **row}), flush=True)
    return rows


def weights(bench: Bench, sizes: Sequence[int]) -> list[Row]:
    """Largest difference of a weight from ours, by problem."""
    rows = []
    for n in sizes:
        source = bench.folder / f"weights-{n}.npz"
        np.savez(source, **problem(n))
        for name, package in (("ours", ""), ("skfolio", "skfolio"), ("riskfolio", "riskfolio-lib")):
            answers = bench.folder / f"weights-{n}-{name}.npz"
            said = bench.ask(
                Entry(name, "weights_peers.py", "cvxportfolio" if package else "", package),
                name,
                str(source),
                str(answers),
            )
            row: Row = {"task": WEIGHTS, "names": n, "who": name, **said}
            if name != "ours" and "missing" not in said:
                with np.load(answers) as theirs, np.load(bench.folder / f"weights-{n}-ours.npz") as ours:
                    row |= {kind: float(np.abs(theirs[kind] - ours[kind]).max()) for kind in theirs.files}
            rows.append(row)
            print(json.dumps({"benchmark": "backtest", **row}), flush=True)
    return rows


def sizes(bench: Bench, cells: Sequence[tuple[int, int]]) -> list[Row]:
    """The array core as instruments and years grow; the market is made once per number of names."""
    rows, made = [], {n: max(years for m, years in cells if m == n) for n, _ in cells}
    for n, years in cells:
        place = bench.folder / f"grown-{n}"
        if not place.exists():
            maker = Entry("market", "backtest_task.py")
            bench.ask(maker, str(n), str(made[n] * YEAR), str(place))
        row: Row = {"task": SIZE, "who": "array core", "names": n, "years": years}
        row |= bench.ask(
            Entry("size", "backtest_core.py"), "size", str(place), str(place / "size.npz"), str(years * YEAR)
        )
        rows.append(row)
        print(json.dumps({"benchmark": "backtest", **row}), flush=True)
        if years == made[n]:
            shutil.rmtree(place, ignore_errors=True)
    return rows


def steps(bench: Bench, *, quick: bool, large: bool, rounds: int) -> dict[str, Callable[[], list[Row]]]:
    """What is measured, by name, in the order of the report."""
    days, times = (60, 1) if quick else (None, rounds)
    found: dict[str, Callable[[], list[Row]]] = {}
    for n in (20,) if quick else (20, 500):
        found[f"{n} names"] = partial(both, bench, n, times, days)
    found[DECIDED] = partial(decisions, bench, DECIDED, ((0, 5),) if quick else DECISIONS)
    found[ANALYTICS] = partial(analytics, bench, 50 if quick else 1000, times)
    found[WEIGHTS] = partial(weights, bench, (20,) if quick else (20, 200))
    found["size of the core"] = partial(sizes, bench, ((20, 1),) if quick else GROWN)
    if quick:
        return found | {"size of the decision: 20 listings": partial(grown_decision, bench, 20, 1, 5)}
    for n, years in (*GROWN_DECISIONS, *((LARGE,) if large else ())):
        found[f"size of the decision: {n} listings, {years} years"] = partial(grown_decision, bench, n, years)
    if not large:
        found[f"size of the decision: {FEW} listings, a few sessions"] = partial(
            grown_decision, bench, FEW, 1, FEW_SESSIONS
        )
    return found


def both(bench: Bench, n: int, rounds: int, days: int | None) -> list[Row]:
    """Optimizers and bookkeepers on one market; what ours chose is what the bookkeepers book."""
    place = bench.folder / f"market-{n}"
    market(n, days or 500).save(place)
    rows = on_market(bench, OPTIMIZED, OPTIMIZERS, n, rounds, days)
    with np.load(place / "ours.npz") as ours:
        np.save(place / "weights.npy", ours["weights"])
    return rows + on_market(bench, BOOKED, BOOKS, n, rounds, days)


def every(bench: Bench, wanted: Mapping[str, Callable[[], list[Row]]], file: Path | None) -> list[Row]:
    """All steps; one that is in the file of rows already is not measured again, and each is added to it once it is done."""
    kept = file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []
    known = {str(one["step"]): list(one["rows"]) for one in map(json.loads, kept)}
    rows: list[Row] = []
    for name, measure in wanted.items():
        if name not in known:
            known[name] = measure()
            if file is not None:
                with file.open("a", encoding="utf-8") as sink:
                    sink.write(json.dumps({"step": name, "rows": known[name]}) + "\n")
        rows += known[name]
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments, kept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rows", type=Path, help="a file of rows: what it holds is not measured again, what is new is added"
    )
    parser.add_argument("--only", default="", help="only the steps with this in their name; writes no tables")
    parser.add_argument("--large", action="store_true", help="a year of whole decisions of 3,000 listings, too")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="marketbot-backtest-"))
    try:
        bench = Bench(folder, given.peers and given.peers.resolve(), alone=given.quick or bool(given.only))
        wanted = steps(bench, quick=given.quick, large=given.large, rounds=given.rounds)
        rows = every(bench, {name: wanted[name] for name in wanted if given.only in name}, given.rows)
        if not given.quick and not given.only:
            text, picture = told(rows, bench.versions()), growth(rows)
            print(text)
            FILE.write_text(text, encoding="utf-8")
            PICTURE.write_text(picture.svg, encoding="utf-8")
            with_section(RESULTS, GROWTH, picture.text)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
