"""What a session costs on a folder and on a bucket, with a warm and with a cold cache: CPU, wall time, requests.

python benchmarks/store.py             once; python benchmarks/store.py --times 3

The bucket is SeaweedFS on this machine (`make services`): a request takes less time than to AWS, their number is the same. Each
row is `marketbot run` of a home's second session in a process of its own; the first one, with the bootstrap, is made once per
place and copied. The cold row puts what the warm one has put already, which adds a HEAD per object. Prints one JSON line per row.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "tests" / "store")]
FIRST, SECOND = "2018-12-12", "2018-12-13"
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "NUMBA")}
Row = dict[str, object]


def session(home: Path, day: str, more: Mapping[str, str]) -> tuple[float, float]:
    """(CPU s, wall s) of one run of a session."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "MARKETBOT_HOME": str(home),
        **THREADS,
        **more,
    }
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "run", "--session", day]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment, cwd=CHECKOUT, check=True, capture_output=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def on_folder(folder: Path) -> Row:
    """A second session in a folder."""
    home = folder / "local"
    session(home, FIRST, {})
    cpu, wall = session(home, SECOND, {})
    return {"store": "folder", "cpu_s": round(cpu, 1), "wall_s": round(wall, 1), "requests": {}}


def on_bucket(folder: Path) -> list[Row]:
    """A first session in a bucket, then second ones of two copies of the home: with its cache, and without."""
    from s3_world import FaultProxy, seaweed
    from services import S3

    with S3() as server:
        door = seaweed(server)
        bucket, rows, home = door.bucket(), list[Row](), folder / "bucket"
        for name in ("bucket, first session", "bucket, warm cache", "bucket, cold cache"):
            mine, day = folder / name, FIRST if name.endswith("first session") else SECOND
            if day == FIRST:
                mine = home
            else:
                shutil.copytree(home, mine)
            if name.endswith("cold cache"):
                shutil.rmtree(mine / "store-cache")
            with FaultProxy(door.endpoint) as proxy:
                given = {"MARKETBOT_STORE": f"s3://{bucket}/home", **door.environment(proxy.endpoint)}
                cpu, wall = session(mine, day, given)
                requests = proxy.methods()
            rows.append({"store": name, "cpu_s": round(cpu, 1), "wall_s": round(wall, 1), "requests": requests})
    return rows


def main() -> None:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    for _ in range(parser.parse_args().times):
        with tempfile.TemporaryDirectory(prefix="store-") as name:
            for row in (on_folder(Path(name)), *on_bucket(Path(name))):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
