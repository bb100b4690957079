"""A month of sessions in real Dagster processes with a fast clock, while they are killed in turn: `python tools/month.py`.

Prints a line per session and what the month used; exit 1 when a statement of docs/month.md does not hold.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("tests", "tests/daemon", "tests/notify", "tests/graph")


def main() -> int:
    """0: every statement holds."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--sessions", type=int, default=21)
    told.add_argument("--speed", type=float, default=6000.0, help="simulated seconds per second between sessions")
    told.add_argument("--pace", type=float, default=8.0, help="the same within a session's window")
    told.add_argument("--seed", type=int, default=1)
    told.add_argument("--begin", type=int, default=0, help="place in the script of the first session")
    told.add_argument("--minutes-max", type=float, default=120.0, help="the month ends early after so many minutes")
    told.add_argument("--folder", type=Path, help="keep everything here (it must be empty)")
    given = told.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in a shell's background, and then TERM is in Dagster, too
    sys.path[:0] = [str(ROOT), *(str(ROOT / part) for part in PARTS)]
    from month_report import lived

    with tempfile.TemporaryDirectory() as aside:
        folder = (given.folder or Path(aside)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return lived(folder, given.sessions, given.seed, given.speed, given.pace, given.minutes_max, given.begin)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
