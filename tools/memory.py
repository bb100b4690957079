"""Everything in one memory cgroup without swap, while sessions of 500 instruments run: `python tools/memory.py`.

    python tools/memory.py                       with the webserver in 800 MiB, twice, then without it in 640 MiB
    python tools/memory.py --limit 800 --times 1 one measurement with the webserver
    python tools/memory.py --apart --limit 900   webserver and daemon as two processes
    python tools/memory.py --no-web --limit 640  one without the webserver
    python tools/memory.py NAME=VALUE ...        with these variables in the environment of the processes

Each measurement starts an empty installation: PostgreSQL, code server, webserver and daemon (`deploy/together.py`). The machine
code of the solvers is made before, as an installation makes it: the compiler needs 150 MiB. The daemon starts two sessions (the
first loads the history, too), in which a language model is asked; the page is open all the time. Exit 1 when a run does not
succeed or a process is killed for memory; 2 when no limit can be set here.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("tests", "tests/memory", "tests/graph", "tests/llm")
IDLE_SECONDS = 12.0
WITH, WITHOUT = 800, 640


def main() -> int:
    """0: every run succeeded within the limits."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--limit", type=int, help="MiB; one kind of measurement only")
    told.add_argument("--no-web", action="store_true")
    told.add_argument("--apart", action="store_true")
    told.add_argument("--times", type=int, default=1)
    told.add_argument("--sessions", type=int, default=2)
    told.add_argument("--instruments", type=int, default=500)
    told.add_argument("variables", nargs="*", help="NAME=VALUE")
    given = told.parse_args()
    sys.path[:0] = [str(ROOT), *(str(ROOT / part) for part in PARTS)]
    for word in (signal.SIGINT, signal.SIGTERM):  # so that nothing is left behind
        signal.signal(word, signal.default_int_handler)
    from cgroup import lacking

    if (reason := lacking()) is not None:
        print(f"memory: not measured: {reason}")
        return 2
    variables = dict(word.split("=", 1) for word in given.variables)
    subprocess.run([sys.executable, "-m", "marketbot_assets.portfolio.machine_code"], cwd=ROOT, check=True)
    plan = [(WITH, "together"), (WITH, "together"), (WITHOUT, "no webserver")]
    if given.limit:
        kind = "no webserver" if given.no_web else "apart" if given.apart else "together"
        plan = [(given.limit, kind)] * given.times
    fine = [
        measured(limit, kind, given.instruments, given.sessions, variables, number + 1)
        for number, (limit, kind) in enumerate(plan)
    ]
    return 0 if all(fine) else 1


def measured(limit: int, kind: str, instruments: int, sessions: int, variables: dict[str, str], number: int) -> bool:
    """One measurement, printed; whether all went well."""
    from memory_world import CODE, DAEMON, TOGETHER, WEB, Reader, Watch, installed

    shape = {"together": (CODE, TOGETHER), "apart": (CODE, WEB, DAEMON), "no webserver": (CODE, DAEMON)}[kind]
    print(f"\n## {number}: {limit} MiB, {kind}, {instruments} instruments", flush=True)
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        with installed(Path(name), limit, shape=shape, instruments=instruments, variables=variables) as made:
            with Watch(made.group) as watch, Reader(made.address) as reader:
                fine = watched(made, watch, sessions)
            print(
                f"page: {reader.answers} answers, {reader.failures} failed; killed for memory: {made.group.kills()};"
                f" limit reached {made.group.number('memory.failcnt')} times (the kernel then drops cached files)",
                flush=True,
            )
            return fine and not made.group.kills() and not reader.failures


def watched(made, watch, sessions: int) -> bool:  # type: ignore[no-untyped-def]
    """The idle table, then one table per session."""
    from memory_world import RUN_SECONDS

    time.sleep(IDLE_SECONDS)
    table("idle", {**watch.now()}, 0)
    fine, begun = True, time.monotonic()
    watch.fresh()
    for number in range(sessions):
        end = time.monotonic() + RUN_SECONDS
        while len(done := [row for row in made.statuses() if row[1] in ("SUCCESS", "FAILURE", "CANCELED")]) <= number:
            if time.monotonic() > end:
                print(f"session {number + 1} did not end in {RUN_SECONDS:.0f} s: {made.statuses()}")
                return False
            time.sleep(0.5)
        seen, (day, status) = watch.fresh(), done[number]
        took, begun = time.monotonic() - begun, time.monotonic()
        print(f"session {day}: {status}, {took:.0f} s since the one before")
        table("at the highest", seen.parts, seen.kernel)
        own = sorted(seen.peak.items(), key=lambda row: -row[1][1])
        told = ", ".join(f"{name} {size >> 20} ({bare >> 20})" for name, (size, bare) in own)
        print(f"most of each, MiB (in no file): {told}", flush=True)
        if status != "SUCCESS":
            print(f"its last step: {made.last_step()}")
        fine = fine and status == "SUCCESS"
    return fine


def table(head: str, sizes: dict[str, tuple[int, int]], kernel: int) -> None:
    """Processes and MiB, largest first."""
    print(f"| {head} | MiB (PSS) | in no file |\n|---|---|---|")
    for name, (size, bare) in sorted(sizes.items(), key=lambda row: -row[1][1]):
        print(f"| {name} | {size >> 20} | {bare >> 20} |")
    together, bare = (sum(column) >> 20 for column in zip(*sizes.values(), strict=True))
    more = f" anonymous, shared and mapped by the kernel's count {kernel >> 20}" if kernel else ""
    print(f"| together | {together} | {bare} |{more}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
