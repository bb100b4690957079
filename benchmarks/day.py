"""A day, end to end: what one session's run costs, how much of it is Dagster's, and how it grows.

python benchmarks/day.py            at 65 and 500 listings, three repetitions, interleaved; writes benchmarks/RESULTS.md
python benchmarks/day.py --quick    one repetition at 65 listings; writes nothing
python benchmarks/day.py --profile  where the CPU of an ordinary session goes, at 65 listings (--size 500 for more)

Every row is a fresh process. Prints a table and one JSON line per row. Not here: how a child is measured (`measure`).
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import CHECKOUT, GROWTH, Sample, median_said, middle, run_child, say, section, table

STANDARD, LARGE = 65, 500
SESSION = "2018-11-28"
FIRSTS = {5: "2018-11-20", 41: "2018-10-01"}
NEAR, FAR = 5, 41
CPU_TARGET, SHARE_TARGET, PEAK_TARGET = 10.0, 0.60, 350.0
FLAT = 1.1
PREPARED_AT_ONCE = 2
RESULTS = Path(__file__).parent / "RESULTS.md"
FRAMES, LOOK_SECONDS = 150, 0.004
FIRST, WHOLE = "first session, with bootstrap, world simulated", "later session, world simulated"
LATER, BARE, IDLE = "later session", "the same without Dagster", "definitions and world alone"
DESCRIBED = (FIRST, WHOLE, IDLE)
FAR_LATER = f"later session after {FAR} sessions"


# --- children ---------------------------------------------------------------------------------------------------------


def ports_of(size: int | None, answers: str) -> Any:
    """The data providers: the sample world in this process, or answers from files when a folder is given."""
    import recorded

    from marketbot_resources.wiring import Ports

    if not answers:
        return Ports(size=size)

    class RecordedPorts(Ports):
        answers: str

        @property
        def market(self) -> Any:
            return recorded.market(Path(self.answers), self.size)

        @property
        def macro(self) -> Any:
            return recorded.macro(Path(self.answers))

        @property
        def fundamentals(self) -> Any:
            return recorded.fundamentals(Path(self.answers), self.size)

        @property
        def news(self) -> Any:
            return recorded.news(Path(self.answers), self.size)

    return RecordedPorts(size=size, answers=answers)


def run_job(first: str, last: str, size: int | None, answers: str) -> None:
    """The job `daily` for each session of a range, in this process, as `marketbot run` starts it."""
    import datetime as dt

    from marketbot_assets.commands.home import instance, load_mandate, prepare_environment, writable_home

    prepare_environment()
    writable_home()
    from marketbot_assets.commands.sessions import QUIET
    from marketbot_assets.definitions import build_definitions
    from marketbot_resources.calendars import decision_sessions

    job = build_definitions({"ports": ports_of(size, answers)}).resolve_job_def("daily")
    mic = load_mandate().calendar.mic
    seconds = []
    for day in decision_sessions(mic, dt.date.fromisoformat(first), dt.date.fromisoformat(last)):
        begun = time.process_time()
        with instance() as dagster:
            run = job.execute_in_process(
                partition_key=day.isoformat(), instance=dagster, raise_on_error=False, run_config=QUIET
            )
        seconds.append(time.process_time() - begun)
        assert run.success, f"session {day} failed"
    say({"cpu_of_each": seconds})


def run_bare(session: str, size: int | None, answers: str) -> None:
    """The same session by the same functions without Dagster."""
    import datetime as dt

    from bare_session import Bare

    from marketbot_resources import settings

    Bare(settings.home(), Path(answers), size, dt.date.fromisoformat(session)).run()
    assert "dagster" not in sys.modules, "the peer is without Dagster"
    say({})


def run_idle(size: int | None) -> None:
    """Nothing but: load the definitions, then build the sample world; CPU and peak after each."""
    import datetime as dt
    import resource

    from marketbot_assets.commands.home import prepare_environment

    def now() -> tuple[float, float]:
        return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    prepare_environment()
    from marketbot_assets.definitions import build_definitions
    from marketbot_resources.wiring import Ports

    build_definitions().resolve_job_def("daily")
    loaded = now()
    import pandas  # noqa: F401
    import pyarrow.csv  # noqa: F401

    before, at, ports = now(), dt.datetime(2018, 11, 28, tzinfo=dt.UTC), Ports(size=size)
    ports.market.instruments(at)
    for ask in (ports.market.prices, ports.market.corporate_actions, ports.market.fx, ports.macro.series):
        ask(at, at)
    ports.fundamentals.filings(at, at)
    ports.news.headlines(at, at)
    built = now()
    say({"definitions_cpu": loaded[0], "definitions_peak": loaded[1], "world_cpu": built[0] - before[0]})


def tell_facts(session: str) -> None:
    """What the session came to: verdict, orders, replay, eligible names, content of every asset."""
    import datetime as dt

    from marketbot_assets.commands.sessions import result_of
    from marketbot_assets.rebuild import inputs
    from marketbot_resources import settings
    from marketbot_resources.store.lake import open_lake
    from marketbot_resources.store.reader import Reader

    lake, day = open_lake(settings.home()), dt.date.fromisoformat(session)
    result, read = result_of(lake, day), Reader(open_lake(settings.home()), day, allowed=None)
    known, replay = inputs(read, lake.ledger), read.read("replay_check")
    say(
        {
            "instruments": len(read.read("instruments")),
            "eligible": int(known.can_buy.sum()),
            "verdict": result.verdict,
            "reason": result.reason,
            "orders": result.orders,
            "held": sum(quantity != 0 for quantity in known.positions),
            "method": str(read.read("target_portfolio")["method"].iloc[0]),
            "replay": f"{int(replay['same'].sum())}/{len(replay)}",
            "content": result.content,
        }
    )


def run_profile(session: str, size: int | None, answers: str) -> None:
    """An ordinary session, its stack looked at every few milliseconds of CPU; a tracing profiler makes calls look dear."""
    import signal
    from collections import Counter

    seen: Counter[str] = Counter()

    def look(number: int, frame: Any) -> None:
        names = {"ALL"}
        while frame is not None:
            code, frame = frame.f_code, frame.f_back
            place = code.co_filename.split("site-packages/")[-1].removeprefix(f"{CHECKOUT}/")
            names.add("importing modules" if code.co_name == "_find_and_load" else f"{place} {code.co_name}")
        seen.update(names)

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, LOOK_SECONDS, LOOK_SECONDS)
    run_job(session, session, size, answers)
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    for name, count in seen.most_common(FRAMES):
        print(f"{count / seen['ALL']:6.1%}  {name}")


# --- parent -----------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One line of the table: what runs, in a copy of which home, and what came of it."""

    name: str
    size: int
    mode: str
    home: str
    session: str
    recorded: bool
    samples: list[Sample]
    facts: dict[str, Any]


class Bench:
    """The folder of one benchmark: prepared homes, recorded answers, logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.lock = threading.Lock()

    def child(self, home: Path, *words: str) -> Sample:
        """One child on one home."""
        with self.lock:
            self.count += 1
            log = self.folder / f"{self.count}.log"
        environment = {
            "MARKETBOT_HOME": str(home),
            "MARKETBOT_MANDATE": str(CHECKOUT / "mandate.yaml"),
            "DAGSTER_HOME": str(home / "dagster"),
        }
        return run_child(
            [str(Path(__file__)), "--child", *words],
            log=log,
            environment=environment,
        )

    def home(self, size: int, history: int) -> Path:
        """Where a prepared home lies."""
        return self.folder / f"home-{size}-{history}"

    def answers(self, size: int) -> str:
        """Where the recorded answers lie."""
        return str(self.folder / f"answers-{size}")

    def prepare(self, size: int, history: int) -> list[float]:
        """Runs the sessions before; then, unmeasured, the session itself in a copy, which records the providers' answers."""
        home, given = self.home(size, history), listings(size)
        done = self.folder / f"prepared-{size}-{history}.json"
        if done.exists():
            return list(json.loads(done.read_text(encoding="utf-8")))
        sample = self.child(home, "job", FIRSTS[history], previous(SESSION), given, "")
        with Copied(home, self.folder / f"recording-{size}-{history}") as copy:
            self.child(copy, "job", SESSION, SESSION, given, self.answers(size))
        each = sample.said["cpu_of_each"]
        assert isinstance(each, list)
        done.write_text(json.dumps(each), encoding="utf-8")
        return each

    def measure(self, row: Row) -> None:
        """One repetition of one row; the first one also looks at what the session came to."""
        prepared = self.folder / (row.home or "nothing")
        prepared.mkdir(exist_ok=True)
        given, answers = listings(row.size), self.answers(row.size) if row.recorded else ""
        words = {
            "idle": ("idle", given),
            "bare": ("bare", row.session, given, answers),
        }.get(row.mode, ("job", row.session, row.session, given, answers))
        with Copied(prepared, self.folder / "measured") as copy:
            row.samples.append(self.child(copy, *words))
            if not row.facts and row.mode != "idle":
                row.facts = dict(self.child(copy, "facts", row.session).said)


class Copied:
    """A copy of a prepared home for one run, removed after it."""

    def __init__(self, home: Path, copy: Path) -> None:
        self._home, self._copy = home, copy

    def __enter__(self) -> Path:
        shutil.copytree(self._home, self._copy)
        return self._copy

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._copy)


def listings(size: int) -> str:
    """The argument for so many listings; the standard world has no number."""
    return "" if size == STANDARD else str(size)


def previous(day: str) -> str:
    """The calendar day before; a range may end on any day."""
    import datetime as dt

    return (dt.date.fromisoformat(day) - dt.timedelta(days=1)).isoformat()


def rows_of(size: int, *, far: bool) -> list[Row]:
    """The rows of one size, in the order in which each repetition runs them."""
    home = f"home-{size}-{NEAR}"
    rows = [
        Row(FIRST, size, "job", "", FIRSTS[NEAR], False, [], {}),
        Row(WHOLE, size, "job", home, SESSION, False, [], {}),
        Row(LATER, size, "job", home, SESSION, True, [], {}),
        Row(BARE, size, "bare", home, SESSION, True, [], {}),
        Row(IDLE, size, "idle", "", "", False, [], {}),
    ]
    if far:
        rows.insert(3, Row(FAR_LATER, size, "job", f"home-{size}-{FAR}", SESSION, True, [], {}))
    return rows


def find(rows: Sequence[Row], size: int, name: str) -> Row:
    """A row by size and name."""
    return next(row for row in rows if row.size == size and row.name == name)


HEAD = (
    "what", "listings", "runs", "CPU s", "wall s", "peak MiB", "verdict", "orders", "held", "eligible", "replay", "content",
)  # fmt: skip


def cells(row: Row, content: str) -> list[str]:
    """One line of the table."""
    m, f = middle(row.samples), row.facts
    numbers = [f"{m.cpu:.1f}", f"{m.wall:.1f}", f"{m.peak:.0f}"]
    known = [str(f.get(name, "-")) for name in ("verdict", "orders", "held", "eligible", "replay")]
    return [row.name, str(row.size), str(len(row.samples)), *numbers, *known, content]


def compared(row: Row, rows: Sequence[Row]) -> str:
    """How many assets have the same content as those of the later session of that size, started from the same home."""
    if row.session != SESSION or row.home != f"home-{row.size}-{NEAR}":
        return "-"
    ours, theirs = row.facts["content"], find(rows, row.size, LATER).facts["content"]
    names = {*ours, *theirs}
    different = sorted(name for name in names if ours.get(name) != theirs.get(name))
    return f"{len(names) - len(different)}/{len(names)}" + (f" not {', '.join(different)}" if different else "")


def judge(rows: Sequence[Row]) -> list[list[str]]:
    """The targets against what was measured."""
    lines, sizes = [], sorted({row.size for row in rows})
    for size in sizes:
        later, bare = (middle(find(rows, size, name).samples) for name in (LATER, BARE))
        lines += [
            against(f"Dagster's share of CPU, {size} listings", 1 - bare.cpu / later.cpu, SHARE_TARGET, "{:.0%}"),
            against(f"whole run, CPU s, {size} listings", later.cpu, CPU_TARGET, "{:.1f}"),
            against(f"the run's own peak, MiB, {size} listings", later.peak, PEAK_TARGET, "{:.0f}"),
        ]
    if len(sizes) > 1:
        small, large = (middle(find(rows, size, LATER).samples).cpu for size in sizes)
        times, power = sizes[1] / sizes[0], math.log(large / small) / math.log(sizes[1] / sizes[0])
        text = f"{large / small:.1f} x CPU for {times:.1f} x listings (power {power:.2f})"
        lines.append(["linear in instruments", text, "power <= 1", "met" if power <= 1 else "missed"])
    far = next((row for row in rows if row.name == FAR_LATER), None)
    if far is not None:
        ratio = middle(far.samples).cpu / middle(find(rows, STANDARD, LATER).samples).cpu
        lines.append(against(f"flat in history: {FAR} sessions before over {NEAR}", ratio, FLAT, "{:.2f} x CPU"))
    return lines


def against(name: str, value: float, limit: float, form: str) -> list[str]:
    """One target: value, limit, and by how much it is met or missed."""
    said = f"met, {value / limit:.2f} of it" if value <= limit else f"missed, {value / limit:.2f} x"
    return [name, form.format(value), "<= " + form.format(limit), said]


def of(samples: Sequence[Sample]) -> str:
    """How many runs a figure comes from."""
    return "1 run" if len(samples) == 1 else f"{len(samples)} runs"


def parts(rows: Sequence[Row]) -> list[list[str]]:
    """What of a run is not the platform's, and a check of the recorded answers by subtraction."""
    lines = []
    for size in sorted({row.size for row in rows}):
        idle, whole, later, bare = (find(rows, size, name).samples for name in (IDLE, WHOLE, LATER, BARE))
        world, mid = median_said(idle, "world_cpu"), middle(later).cpu
        rest = middle(whole).cpu - world
        loaded = median_said(idle, "definitions_cpu")
        lines += [
            [str(size), "importing Dagster and loading the definitions, CPU s", f"{loaded:.1f}"],
            [str(size), "the same, peak MiB", f"{median_said(idle, 'definitions_peak'):.0f}"],
            [str(size), "simulating the sample world, CPU s (the provider's, not the platform's)", f"{world:.1f}"],
            [
                str(size),
                f"run with the world simulated, less the world, CPU s ({of(idle)})",
                f"{rest:.1f} (recorded: {mid:.1f})",
            ],
            [str(size), "Dagster's CPU s beyond import and definitions", f"{mid - middle(bare).cpu - loaded:.1f}"],
        ]
    return lines


def written(rows: Sequence[Row], repetitions: int, described: int) -> str:
    """RESULTS.md."""
    command = "OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 .venv/bin/python benchmarks/day.py"
    refused = [row for row in rows if row.facts and row.facts["verdict"] != "APPROVED"]
    why = [f"- {row.name}, {row.size} listings: {row.facts['verdict']}: {row.facts['reason']}" for row in refused]
    return "\n".join(
        [
            "# Results",
            "",
            "Written by the benchmarks; absolute times belong to the machine and are not kept, ratios are what counts.",
            "",
            "## A day, end to end",
            "",
            f"`{command} --repetitions {repetitions} --described {described}`; "
            f"`--quick` for one repetition at {STANDARD} listings.",
            "",
            "Each row is a fresh process (user + system CPU and peak memory from the kernel), medians of "
            "interleaved repetitions (`runs`), thread pools pinned to one.",
            f"The standard sample world has {STANDARD} listings (it stands for the 60 of the target); the larger one has "
            f"{LARGE}, the default mandate takes all of its simulated exchanges.",
            f"The later session is {SESSION} after {NEAR} sessions of the same book (after {FAR} in the row that says so); "
            f"after {NEAR} the return model is fitted anew, which one of five sessions does, after {FAR} it is handed on.",
            "A row without `simulated` is served the providers' answers from files recorded before, as a real provider's "
            "bytes would come: the simulation of the market costs it nothing.",
            "Homes lie in the folder of TMPDIR; on a disk or in memory is a matter of wall seconds, hardly of CPU.",
            "`content`: assets whose values hash to the same as the later session's. `replay`: assets that the run "
            "rebuilt from their stored inputs with equal hashes.",
            "",
            table(HEAD, [cells(row, compared(row, rows)) for row in rows]),
            "",
            *why,
            *([""] if why else []),
            "Against the targets:",
            "",
            table(("target", "measured", "limit", "outcome"), judge(rows)),
            "",
            "Parts:",
            "",
            table(("listings", "part", "value"), parts(rows)),
            "",
        ]
    )


def lines_of(rows: Sequence[Row]) -> list[str]:
    """One JSON object per row."""
    found = []
    for row in rows:
        mid, facts = middle(row.samples), {k: v for k, v in row.facts.items() if k not in ("content", "reason")}
        numbers = {"cpu_s": round(mid.cpu, 2), "wall_s": round(mid.wall, 2), "peak_mib": round(mid.peak, 1)}
        every = [round(sample.cpu, 2) for sample in row.samples]
        record = {"benchmark": "day", "row": row.name, "listings": row.size, **numbers, "cpu_s_each": every, **facts}
        found.append(json.dumps(record))
    return found


def measured(folder: Path, sizes: Sequence[int], repetitions: int, described: int, far: bool) -> list[Row]:
    """Prepares the homes, then measures every row once per repetition; rows that no target compares `described` times."""
    bench, rows = Bench(folder), []
    for size in sizes:
        rows += rows_of(size, far=far and size == STANDARD)
    wanted = [(size, NEAR) for size in reversed(sizes)] + ([(STANDARD, FAR)] if far else [])
    with ThreadPoolExecutor(PREPARED_AT_ONCE) as pool:
        for (size, history), each in zip(wanted, pool.map(lambda w: bench.prepare(*w), wanted), strict=True):
            numbers = [round(seconds, 1) for seconds in each]
            print(f"prepared {size} listings, {history} sessions; CPU s of each: {numbers}", flush=True)
    for repetition in range(repetitions):
        for row in rows:
            if row.name in DESCRIBED and repetition >= described:
                continue
            bench.measure(row)
            print(f"{repetition + 1}/{repetitions} {row.size} {row.name}: {row.samples[-1].cpu:.1f} CPU s", flush=True)
    return rows


def main() -> None:
    """The command line; `--child` is how the benchmark calls itself."""
    if sys.argv[1:2] == ["--child"]:
        mode, *words = sys.argv[2:]
        CHILDREN[mode](*words)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--described", type=int, default=3, help="repetitions of the rows that no target compares")
    parser.add_argument("--size", type=int, default=STANDARD)
    parser.add_argument("--keep", type=Path, help="folder of homes and logs, kept; the default is removed")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="marketbot-day-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if given.profile:
            bench = Bench(folder)
            bench.prepare(given.size, NEAR)
            with Copied(bench.home(given.size, NEAR), folder / "measured") as copy:
                bench.child(copy, "profile", SESSION, listings(given.size), bench.answers(given.size))
            print((folder / f"{bench.count}.log").read_text(encoding="utf-8"))
            return
        sizes = (STANDARD,) if given.quick else (STANDARD, LARGE)
        repetitions = 1 if given.quick else given.repetitions
        rows = measured(folder, sizes, repetitions, given.described, far=not given.quick)
        text = written(rows, repetitions, min(repetitions, given.described))
        print(text, *lines_of(rows), sep="\n")
        if not given.quick:
            RESULTS.write_text("\n".join([text, section(RESULTS, GROWTH)]).rstrip() + "\n", encoding="utf-8")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _size(text: str) -> int | None:
    return int(text) if text else None


CHILDREN: dict[str, Callable[..., None]] = {
    "job": lambda first, last, size, answers: run_job(first, last, _size(size), answers),
    "bare": lambda session, size, answers: run_bare(session, _size(size), answers),
    "idle": lambda size: run_idle(_size(size)),
    "facts": tell_facts,
    "profile": lambda session, size, answers: run_profile(session, _size(size), answers),
}

if __name__ == "__main__":
    main()
