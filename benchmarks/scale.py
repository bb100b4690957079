"""What grows how: a session against the number of instruments, and a home against its years.

python benchmarks/scale.py                       65, 500, 1,000 and 2,000 instruments, then 1, 5 and 10 years
python benchmarks/scale.py --sizes 65 --years 1  a short look
python benchmarks/scale.py --folder F            keeps homes and figures in F; what is there already is not measured again

Each row is a fresh process over a synthetic world with so many listings, whose history begins in 2015. CPU seconds and peak memory
are the kernel's; the asset that CPU went to is asked of the stack every 20 ms of CPU. Prints tables and one JSON line per row.
Not here: how a child is measured (`measure`), the day of the sample world (`day`), S3 (`store`).
"""

import argparse
import datetime as dt
import json
import re
import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import CHECKOUT, Sample, run_child, say, table

SESSIONS = ("2018-12-12", "2018-12-13")
SIZES, YEARS = (65, 500, 1_000, 2_000), (1, 5, 10)
BOTH_MAX = 500  # of more instruments the first session alone is measured
PER_YEAR, ROWS, LISTINGS = 252, 60, 500
LOOK_SECONDS = 0.02
WORLD, REST = "the simulated world", "Dagster, imports, the rest"
EXCHANGES = "XNYS, XLON, XETR, XTKS"
Facts = dict[str, Any]


# --- children ---------------------------------------------------------------------------------------------------------


class Look:
    """CPU seconds by asset and by our innermost function, highest memory by asset, asked at every tick of the CPU clock."""

    def __init__(self) -> None:
        self.cpu: Counter[str] = Counter()
        self.inner: Counter[str] = Counter()
        self.peak: dict[str, float] = {}
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, LOOK_SECONDS, LOOK_SECONDS)

    def _look(self, number: int, frame: Any) -> None:
        now, name, inner = time.process_time(), REST, ""
        while frame is not None:
            file = frame.f_code.co_filename
            if not inner and ("/marketbot_assets/" in file or "/marketbot_resources/" in file):
                inner = f"{file.rpartition('/')[2]} {frame.f_code.co_name}"
            if "/marketbot_resources/synthetic/" in file:
                name = WORLD
                break
            if file.endswith("/assets.py") and "/marketbot_assets/" in file:
                name = frame.f_code.co_name
                break
            frame = frame.f_back
        self.cpu[name] += now - self._last
        self.inner[inner or REST] += now - self._last
        self._last = now
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
        self.peak[name] = max(self.peak.get(name, 0.0), held)

    def end(self) -> None:
        """No more looks."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def run_session(day: str) -> None:
    """One session as `marketbot run` starts it."""
    from marketbot_assets.commands.home import prepare_environment, writable_home

    prepare_environment()
    writable_home()
    look = Look()
    from marketbot_assets.commands.sessions import run_session as run

    result = run(dt.date.fromisoformat(day))
    look.end()
    cpu = {name: round(seconds, 2) for name, seconds in look.cpu.most_common()}
    inner = {name: round(seconds, 1) for name, seconds in look.inner.most_common(20)}
    told = {"verdict": result.verdict, "state": result.state, "orders": result.orders}
    say({**told, "cpu": cpu, "inner": inner, "peak": look.peak})


def fill_index(years: int) -> None:
    """So many years of rows in an index, then the questions of a session to it: CPU milliseconds each."""
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.index_sqlite import SqliteIndex

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "index.sqlite"
        index, days = SqliteIndex(file), [day.isoformat() for day in weekdays(years * PER_YEAR)]
        for day in days:
            digest = f"{abs(hash(day)):064x}"[:64]
            index.add_all(
                [
                    IndexRow(f"asset_{n:02}", day, digest, digest, f"asset_{n:02}/{day}/{digest}.parquet", 500, 30_000,
                             digest, digest, "0" * 36, "0" * 16, f"{day}T22:00:00Z")
                    for n in range(ROWS)
                ]
            )  # fmt: skip
        last, figures = days[-1], {}
        for name, ask in (
            ("newest", lambda: index.newest("asset_30", last)),
            ("before", lambda: index.before("asset_30", last)),
            ("up_to", lambda: index.up_to("asset_30", last)),
            ("of_part", lambda: index.of_part(last)),
            ("all_newest", lambda: index.all_newest()),
        ):
            ask()
            begun = time.process_time()
            ask()
            figures[name] = round((time.process_time() - begun) * 1000, 2)
        say({"rows": len(days) * ROWS, "mib": round(file.stat().st_size / 2**20, 1), "ms": figures})


def read_panel(years: int) -> None:
    """So many years of daily price partitions in a store, then what one asset of a session reads of them."""
    import numpy as np
    import pandas as pd

    from marketbot_assets.normalization.schema import PRICES
    from marketbot_resources.store.index import Origin
    from marketbot_resources.store.lake import Lake
    from marketbot_resources.store.reader import Reader
    from marketbot_resources.store.table import Table

    days = weekdays(years * PER_YEAR)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))

        def frame(day: dt.date) -> pd.DataFrame:
            made: dict[str, Any] = {}
            for column in PRICES.columns:
                at = pd.Timestamp(day)
                made[column.name] = {
                    "number": rng.lognormal(4.0, 1.0, LISTINGS),
                    "integer": 1_000,
                    "flag": False,
                    "date": at,
                    "instant": at.tz_localize("UTC") + pd.Timedelta(hours=22),
                    "text": "USD",
                }[column.kind]
            rows = pd.DataFrame(made, index=range(LISTINGS))
            return rows.assign(instrument=[f"I{n:06}" for n in range(LISTINGS)])

        origin = Origin("0" * 36, "0" * 16, "2026-01-01T00:00:00Z", {})
        history = Table("price_history", PRICES.row, PRICES.key, PRICES.columns)
        lake.commit(frame(days[0] - dt.timedelta(days=1)), history, "static", reads=(), blobs=(), origin=origin)
        begun = time.process_time()
        for day in days:
            lake.commit(frame(day), PRICES, day.isoformat(), reads=(), blobs=(), origin=origin)
        commit = (time.process_time() - begun) / len(days)
        stored = lake.index.up_to("prices", days[-1].isoformat())
        fresh = Lake(Path(folder))
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time()
        rows = len(Reader(fresh, days[-1], allowed=None).panel("prices"))
        say(
            {
                "partitions": len(stored),
                "rows": rows,
                "commit_ms": round(commit * 1000, 2),
                "panel_s": round(time.process_time() - begun, 2),
                "panel_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before, 0),
                "store_mib": round(sum(row.bytes for row in stored) / 2**20, 1),
            }
        )


def weekdays(count: int) -> list[dt.date]:
    """So many days, oldest first, none of them on a weekend."""
    found, day = list[dt.date](), dt.date(2018, 12, 31)
    while len(found) < count:
        if day.weekday() < 5:
            found.append(day)
        day -= dt.timedelta(days=1)
    return found[::-1]


# --- parent -----------------------------------------------------------------------------------------------------------


def sizes_of(home: Path) -> Facts:
    """What lies in a home: bytes and numbers of what grows."""

    def count(file: Path, query: str) -> int:
        if not file.exists():
            return 0
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            return int(connection.execute(query).fetchone()[0])

    def held(*folders: Path) -> int:
        return sum(f.stat().st_size for top in folders for f in top.rglob("*") if f.is_file())

    events = home / "dagster" / "history" / "event_log.db"
    return {
        "store": held(home / "store"),
        "objects": sum(1 for f in (home / "store").rglob("*") if f.is_file()),
        "index": count(home / "index.sqlite", "select count(*) from lake_index"),
        "ledger": count(home / "ledger.sqlite", "select count(*) from entry"),
        "index_bytes": (home / "index.sqlite").stat().st_size,
        "ledger_bytes": (home / "ledger.sqlite").stat().st_size,
        "events": count(events, "select count(*) from event_logs"),
        "dagster_bytes": sum(f.stat().st_size for f in (home / "dagster").rglob("*.db")),
        "broker_bytes": (home / "broker.sqlite").stat().st_size if (home / "broker.sqlite").exists() else 0,
    }


def mandate_of(size: int) -> str:
    """The mandate of the synthetic example with so many instruments and a shorter history."""
    text = (CHECKOUT / "examples" / "synthetic" / "mandate.yaml").read_text(encoding="utf-8")
    world = f"{{instruments: {size}, exchanges: [{EXCHANGES}], first: 2015-01-02, last: 2018-12-28, seed: 7}}"
    text, found = re.subn(r"synthetic: \{instruments[^}]*\}", f"synthetic: {world}", text)
    assert found == 1, "the example names its world once"
    return text


def measured(folder: Path, size: int) -> list[Facts]:
    """First and second session of a new home over so many instruments, the first alone where they are very many."""
    home, mandate, rows = folder / f"home-{size}", folder / f"mandate-{size}.yaml", list[Facts]()
    shutil.rmtree(home, ignore_errors=True)
    mandate.write_text(mandate_of(size), encoding="utf-8")
    environment = {
        "MARKETBOT_HOME": str(home),
        "MARKETBOT_MANDATE": str(mandate),
        "DAGSTER_HOME": str(home / "dagster"),
        "NUMBA_NUM_THREADS": "1",
    }
    for day in SESSIONS if size <= BOTH_MAX else SESSIONS[:1]:
        words = [str(Path(__file__)), "--child", "session", day]
        sample = run_child(words, log=folder / f"{size}-{day}.log", environment=environment)
        rows.append({"size": size, "session": day, **numbers(sample), **sizes_of(home), **sample.said})
        print(json.dumps({"benchmark": "scale", **rows[-1]}), flush=True)
    shutil.rmtree(home)
    return rows


def numbers(sample: Sample) -> Facts:
    """CPU, wall and peak, rounded."""
    return {"cpu_s": round(sample.cpu, 1), "wall_s": round(sample.wall, 1), "peak_mib": round(sample.peak)}


def kept(folder: Path, name: str, make: Any) -> Any:
    """What a file of an earlier run says, else what `make` gives, kept there."""
    file = folder / f"{name}.json"
    if not file.exists():
        file.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def by_size(rows: Sequence[Facts]) -> str:
    """One line per session: what it cost and what the home holds after it."""
    head = ("instruments", "session", "CPU s", "of it world", "peak MiB", "verdict", "orders", "store MiB", "index rows",
            "ledger entries", "events", "Dagster MiB")  # fmt: skip
    lines = []
    for place, row in enumerate(rows):
        before = rows[place - 1] if place and rows[place - 1]["size"] == row["size"] else None
        grown = [row[name] - (before[name] if before else 0) for name in ("store", "index", "ledger", "events")]
        lines.append(
            [
                f"{row['size']:,}",
                "later" if before else "first",
                f"{row['cpu_s']:.1f}",
                f"{row['cpu'].get(WORLD, 0.0):.1f}",
                f"{row['peak_mib']:,}",
                str(row["verdict"]),
                str(row["orders"]),
                f"{grown[0] / 2**20:.1f}",
                *(str(n) for n in grown[1:]),
                f"{(row['dagster_bytes'] - (before['dagster_bytes'] if before else 0)) / 2**20:.1f}",
            ]
        )
    return table(head, lines)


def by_asset(rows: Sequence[Facts], most: int = 14) -> str:
    """CPU seconds of the first session by asset, the dearest of the largest world first."""
    first = [row for row in rows if row["session"] == SESSIONS[0]]
    names = [name for name, _ in Counter(first[-1]["cpu"]).most_common(most)]
    head = ("asset", *(f"{row['size']:,}" for row in first), "highest MiB while it ran")
    return table(
        head,
        [
            [n, *(f"{row['cpu'].get(n, 0.0):.1f}" for row in first), f"{first[-1]['peak'].get(n, 0):,.0f}"]
            for n in names
        ],
    )


def by_years(rows: Sequence[Facts], session: Facts, first: Facts) -> str:
    """What grows with years: measured questions, and sizes of a home from one session's growth."""
    head = ("years", "index rows", "index MiB", "newest ms", "up_to ms", "of_part ms", "all_newest ms", "panel CPU s",
            "panel MiB", "ledger MiB", "Dagster MiB", "store MiB")  # fmt: skip
    lines = []
    for row in rows:
        days, ms = row["years"] * PER_YEAR, row["index"]["ms"]
        grown = [(session[n] - first[n]) * days / 2**20 for n in ("ledger_bytes", "dagster_bytes", "store")]
        asked = [f"{ms[name]:.1f}" for name in ("newest", "up_to", "of_part", "all_newest")]
        panel = [f"{row['panel']['panel_s']:.1f}", f"{row['panel']['panel_mib']:.0f}"]
        size = [f"{row['index']['rows']:,}", f"{row['index']['mib']:.0f}"]
        lines.append([str(row["years"]), *size, *asked, *panel, *(f"{n:,.0f}" for n in grown)])
    return table(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--years", default=",".join(map(str, YEARS)))
    parser.add_argument("--folder")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        mode, word = asked.child
        {"session": run_session, "index": lambda y: fill_index(int(y)), "panel": lambda y: read_panel(int(y))}[mode](
            word
        )
        return
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = Path(asked.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for n in asked.sizes.split(",")
            for row in kept(folder, f"size-{n}", lambda n=n: measured(folder, int(n)))
        ]
        grown = []
        for years in map(int, filter(None, asked.years.split(","))):

            def child(mode: str, years: int = years) -> Facts:
                words = [str(Path(__file__)), "--child", mode, str(years)]
                sample = run_child(words, log=folder / f"{mode}-{years}.log", environment={})
                return {**sample.said, **numbers(sample)}

            both = {mode: kept(folder, f"{mode}-{years}", lambda mode=mode: child(mode)) for mode in ("index", "panel")}
            grown.append({"years": years, **both})
            print(json.dumps({"benchmark": "scale", **grown[-1]}), flush=True)
    print("", by_size(rows), "", by_asset(rows), sep="\n")
    if len(rows) > 1 and rows[1]["size"] == rows[0]["size"]:
        print("", by_years(grown, rows[1], rows[0]), sep="\n")


if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT))
    main()
