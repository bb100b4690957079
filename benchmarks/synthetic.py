"""The synthetic world at size: everything that is served, made block by block and written as Parquet into a folder that goes.

Prints one JSON line: rows, bytes, wall and CPU seconds, rows per second, peak resident MiB. Not here: what a provider keeps.
"""

import argparse
import datetime as dt
import json
import resource
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from marketbot_resources.synthetic.spec import EventSpec, FaultSpec, WorldSpec
from marketbot_resources.synthetic.world import CHUNK, chunks

MICS = ("XNYS", "XNAS", "XLON", "XETR", "XTKS", "XHKG", "XASX", "XTSE")
LAST = dt.date(2025, 12, 31)
BYTES_PER_BAR = 120  # more than Parquet takes, for the check of the disk
TABLES = ("bars", "actions", "filings", "headlines")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--instruments", type=int, default=10_000)
    arguments.add_argument("--years", type=int, default=10)
    arguments.add_argument("--chunk", type=int, default=CHUNK)
    arguments.add_argument("--faults", type=float, default=0.0, help="of each kind, per instrument and year")
    asked = arguments.parse_args()
    bars = ("gap", "halt", "bad_tick", "unit_error", "stale", "missing_value", "no_volume", "late", "revision")
    spec = WorldSpec(
        asked.instruments,
        MICS,
        dt.date(LAST.year - asked.years + 1, 1, 1),
        LAST,
        seed=1,
        events=EventSpec(),
        faults=FaultSpec(**dict.fromkeys(bars, asked.faults)),
    )
    with tempfile.TemporaryDirectory(prefix="synthetic-") as folder:
        needed, free = asked.instruments * asked.years * 260 * BYTES_PER_BAR, shutil.disk_usage(folder).free
        if free < 2 * needed:
            sys.exit(f"expected {2 * needed >> 20} MiB free in {folder}, found {free >> 20}; name a bigger TMPDIR")
        begun, cpu = time.perf_counter(), time.process_time()
        rows = write(spec, Path(folder), asked.chunk)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    figures = {
        "instruments": asked.instruments,
        "years": asked.years,
        "exchanges": len(MICS),
        "chunk": asked.chunk,
        "rows": rows,
        "mib_written": round(size / 2**20, 1),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "bars_per_s": round(rows["bars"] / wall),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(figures))


def write(spec: WorldSpec, folder: Path, chunk: int) -> dict[str, int]:
    """Rows written, by table. One file per table, one row group per block."""
    rows = dict.fromkeys(TABLES, 0)
    with ExitStack() as stack:
        writers: dict[str, parquet.ParquetWriter] = {}
        for made in chunks(spec, chunk):
            for name in TABLES:
                table: pa.Table = getattr(made, name)
                if name not in writers:
                    file = folder / f"{name}.parquet"
                    writers[name] = stack.enter_context(parquet.ParquetWriter(file, table.schema, compression="zstd"))
                writers[name].write_table(table)
                rows[name] += table.num_rows
    return rows


if __name__ == "__main__":
    main()
