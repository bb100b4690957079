"""Importing a history of daily bars: file -> checked rows -> normalized table -> store, against pandas and Parquet written plainly.

python benchmarks/ingest.py            10,000 instruments x 10 years; writes benchmarks/INGEST.md
python benchmarks/ingest.py --quick    200 instruments x 2 years; writes nothing

Then one more day of bars on histories of growing length. Every row is a fresh process. What the plain way leaves out: checks of
types, days, contradictions and schema, the ledger entry, hashes, the manifest. Not here: how a child is measured (`measure`).
"""

import argparse
import datetime as dt
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Sample, median_said, middle, run_child, say, table

RESULTS = Path(__file__).parent / "INGEST.md"
LAST = dt.date(2025, 12, 31)
SEED = 20251231
CHUNK = 500


def sessions(years: int) -> list[dt.date]:
    """New York's sessions of the last `years` years."""
    from marketbot_resources import calendars

    return list(calendars.sessions("XNYS", dt.date(LAST.year - years + 1, 1, 1), LAST))


def write_bars(path: Path, instruments: int, days: list[dt.date]) -> int:
    """A Parquet file of made-up bars as a user may have it; returns the number of rows."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng, rows = np.random.default_rng(SEED), 0
    with parquet.ParquetWriter(path, _schema(), compression="zstd") as writer:
        for first in range(0, instruments, CHUNK):
            names = [f"T{n:05d}" for n in range(first, min(first + CHUNK, instruments))]
            steps = 0.01 * rng.standard_normal((len(names), len(days)))
            close = np.round(50 * np.exp(np.cumsum(steps, axis=1)), 4)
            wide = np.abs(0.005 * rng.standard_normal((2, *close.shape)))
            opened = np.round(close * np.exp(0.3 * steps), 4)
            high, low = np.maximum(opened, close) * (1 + wide[0]), np.minimum(opened, close) * (1 - wide[1])
            volume = np.round(1e6 * np.exp(0.3 * rng.standard_normal(close.shape)))
            columns = {
                "ticker": pa.array(np.repeat(np.array(names, dtype=object), len(days)), pa.string()),
                "session": pa.array(days * len(names), pa.date32()),
                **{
                    name: pa.array(values.ravel())
                    for name, values in zip(_NUMBERS, (opened, high, low, close, volume), strict=True)
                },
            }
            writer.write_table(pa.table(columns))
            rows += close.size
    return rows


_NUMBERS = ("open", "high", "low", "close", "volume")


def _schema() -> object:
    import pyarrow as pa

    return pa.schema([("ticker", pa.string()), ("session", pa.date32()), *((name, pa.float64()) for name in _NUMBERS)])


# --- children ---------------------------------------------------------------------------------------------------------


class Place:
    """One home, and the way from a file into it that the assets take."""

    def __init__(self, folder: str) -> None:
        from marketbot_resources.imports.provider import ImportProvider
        from marketbot_resources.store.lake import Lake

        self.lake = Lake(Path(folder))
        self.provider = ImportProvider(self.lake.objects, self.lake.ledger)

    def bring(self, path: Path, at: dt.datetime, *, listings: bool) -> int:
        """`marketbot import prices PATH`."""
        from marketbot_resources.imports.files import batches
        from marketbot_resources.imports.keep import import_file
        from marketbot_resources.imports.listings import listings_of
        from marketbot_resources.imports.shape import Reading

        how = Reading(constants={"mic": "XNYS", "currency": "USD"})
        ours = {"objects": self.lake.objects, "ledger": self.lake.ledger, "at": at}
        kept = import_file(path, "prices", how, **ours)
        if listings:
            import_file(path, "instruments", Reading(), rows=listings_of(batches(path), how), **ours)
        return kept.rows

    def normalized(self, since: dt.datetime | None, until: dt.datetime, asset: str, part: str) -> int:
        """The bars of a window, normalized and stored with their manifest."""
        import pandas as pd

        from marketbot_assets.checks import schema_problems
        from marketbot_assets.normalization import schema
        from marketbot_assets.normalization.identity import normalize_instruments
        from marketbot_assets.normalization.scan import flag_history
        from marketbot_assets.normalization.series import normalize_prices
        from marketbot_assets.rebuild_data import ReceivedBody, rows_of
        from marketbot_resources.store.content import to_frame
        from marketbot_resources.store.index import Origin

        def received(delivery: object) -> list[ReceivedBody]:
            return [ReceivedBody(b.content, b.provider, "0" * 64, b.parser, b.asked) for b in delivery.bodies]

        listed = rows_of("raw_instruments", received(self.provider.instruments(until)))
        instruments = normalize_instruments(listed, {"XNYS": "all"}, until)
        bodies = received(self.provider.prices(since, until))
        frames = [normalize_prices(rows_of("raw_prices", [body]), instruments) for body in bodies]
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        del frames, bodies
        if asset in schema.HISTORY:
            frame = flag_history(frame, to_frame(schema.CORPORATE_ACTIONS.arrow_schema.empty_table()))
        target = schema.HISTORY[asset] if asset in schema.HISTORY else schema.PRICES
        row = self.lake.commit(
            frame, target, part, reads=[], blobs=[], origin=Origin("benchmark", "0", "", {}),
            judge=lambda stored: schema_problems(stored, target),
        )  # fmt: skip
        assert not self.lake.schema_problems(row)
        return row.rows


def child_files(folder: str, instruments: str, years: str) -> None:
    """The files that the others read."""
    days = sessions(int(years))
    count = write_bars(Path(folder) / "bars.parquet", int(instruments), days[:-1])
    write_bars(Path(folder) / "day.parquet", int(instruments), days[-1:])
    say({"rows": count, "mib": (Path(folder) / "bars.parquet").stat().st_size / 2**20})


def child_ours(folder: str, file: str, years: str) -> None:
    """import -> normalize -> store; then one more day."""
    days, place = sessions(int(years)), Place(folder)
    begun = time.process_time()
    rows = place.bring(Path(file) / "bars.parquet", evening(days[-2]), listings=True)
    imported = time.process_time()
    assert place.normalized(None, evening(days[-2]), "price_history", "static") == rows
    stored = time.process_time()
    place.bring(Path(file) / "day.parquet", evening(days[-1]), listings=False)
    place.normalized(evening(days[-2]), evening(days[-1]), "prices", days[-1].isoformat())
    figures = {"import": imported - begun, "normalize": stored - imported, "day": time.process_time() - stored}
    say({"rows": rows, **figures, "cpu": stored - begun})


def evening(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 23, tzinfo=dt.UTC)


def child_plain(folder: str, file: str, years: str) -> None:
    """The same values by pandas: read, add the columns that the table has, sort, write one Parquet file."""
    import hashlib

    import pandas as pd

    from marketbot_resources import calendars

    begun = time.process_time()
    frame = pd.read_parquet(Path(file) / "bars.parquet")
    frame["session"] = pd.to_datetime(frame["session"])
    close = {
        day: calendars.close_at("XNYS", day.date()) + dt.timedelta(minutes=15) for day in frame["session"].unique()
    }
    frame["known_at"] = frame["session"].map(close)
    names = {t: "MB" + hashlib.sha256(t.encode()).hexdigest()[:10] for t in frame["ticker"].unique()}
    frame["instrument"] = frame["ticker"].map(names)
    frame["mic"], frame["currency"], frame["quarantine"], frame["synthetic"] = "XNYS", "USD", False, False
    frame["price_level"], frame["close_adjusted_by_source"], frame["synthetic_fields"] = frame["close"], False, ""
    frame = frame.drop(columns="ticker").sort_values(["session", "instrument"], ignore_index=True)
    frame.to_parquet(Path(folder) / "prices.parquet", compression="zstd", index=False)
    say({"rows": len(frame), "cpu": time.process_time() - begun})


# --- the benchmark ----------------------------------------------------------------------------------------------------


def measured(folder: Path, instruments: int, years: int, repetitions: int) -> dict[str, list[Sample]]:
    """Samples by row."""
    samples: dict[str, list[Sample]] = {}

    def child(row: str, mode: str, *words: str, keep: bool = False) -> None:
        where = folder / row.replace(" ", "-")
        where.mkdir()
        sample = run_child([__file__, "--child", mode, str(where), *words], log=folder / "log", environment={})
        samples.setdefault(row, []).append(sample)
        print(f"{row}: {sample.wall:.1f} s wall, {sample.cpu:.1f} s CPU, {sample.peak:.0f} MiB", flush=True)
        if not keep:
            shutil.rmtree(where)

    lengths = sorted({max(1, years // 10), max(1, years // 5), max(1, years // 2), years})
    for length in lengths:
        child(f"files {length}", "files", str(instruments), str(length), keep=True)
    for _ in range(repetitions):
        child("marketbot", "ours", str(folder / f"files-{years}"), str(years))
        child("pandas and Parquet", "plain", str(folder / f"files-{years}"), str(years))
    for length in lengths[:-1]:
        child(f"marketbot {length}", "ours", str(folder / f"files-{length}"), str(length))
    return samples


def written(samples: dict[str, list[Sample]], instruments: int, years: int, repetitions: int) -> str:
    """The page."""
    ours, plain = samples["marketbot"], samples["pandas and Parquet"]
    rows = int(str(ours[-1].said["rows"]))
    lines = []
    for name, each in (("marketbot", ours), ("pandas and Parquet", plain)):
        cpu, mid = median_said(each, "cpu"), middle(each)
        lines.append((name, f"{rows / cpu:,.0f}", f"{cpu:.1f} s", f"{mid.wall:.1f} s", f"{mid.peak:,.0f} MiB"))
    parts = ", ".join(f"{name} {median_said(ours, name):.1f} s" for name in ("import", "normalize"))
    ratio = median_said(ours, "cpu") / median_said(plain, "cpu")
    growing = [(name.split()[1], each) for name, each in samples.items() if name.startswith("marketbot ")]
    days = [(f"{length}", f"{median_said(each, 'day'):.2f} s") for length, each in [*growing, (str(years), ours)]]
    return "\n".join(
        [
            "# Importing a history",
            "",
            "Written by `.venv/bin/python benchmarks/ingest.py`; absolute times belong to the machine, ratios are what counts.",
            f"{instruments:,} instruments, {years} years of daily bars, {rows:,} rows of one file; medians of {repetitions}.",
            "",
            table(("", "rows per CPU second", "CPU", "wall", "peak memory"), lines),
            "",
            f"Of marketbot's CPU time: {parts}. It takes {ratio:.2f} x the plain way, and checks, hashes and records what it does.",
            "",
            f"One more day of {instruments:,} bars, import to store, by years of history before it:",
            "",
            table(("years", "CPU of the day"), days),
            "",
        ]
    )


def main() -> None:
    """The command line; `--child` is how the benchmark calls itself."""
    if sys.argv[1:2] == ["--child"]:
        mode, *words = sys.argv[2:]
        CHILDREN[mode](*words)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--instruments", type=int, default=10_000)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=1)
    given = parser.parse_args()
    instruments, years = (200, 2) if given.quick else (given.instruments, given.years)
    folder = Path(tempfile.mkdtemp(prefix="marketbot-ingest-"))
    try:
        samples = measured(folder, instruments, years, given.repetitions)
        text = written(samples, instruments, years, given.repetitions)
        print(text, *_lines(samples), sep="\n")
        if not given.quick:
            RESULTS.write_text(text, encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lines(samples: dict[str, list[Sample]]) -> Sequence[str]:
    """One JSON line per row."""
    found = []
    for name, each in samples.items():
        mid = middle(each)
        facts = {"cpu_s": round(mid.cpu, 2), "wall_s": round(mid.wall, 2), "peak_mib": round(mid.peak, 1)}
        found.append(json.dumps({"benchmark": "ingest", "row": name, **facts, **dict(mid.said)}))
    return found


CHILDREN: dict[str, Callable[..., None]] = {"files": child_files, "ours": child_ours, "plain": child_plain}

if __name__ == "__main__":
    main()
