"""Plants an incident of each kind in a real home and prints how it was found and how fast it was delivered: docs/alerts.md.

Usage: python tools/incidents.py [--kept FOLDER] [NAME ...]. `--kept`: where the first home is, or will be, kept. It needs the right
to mount a small disk. Exit 1 when an alert did not arrive once.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "notify"))
HEAD = "| alert | planted | detected by | seconds from check to arrival |\n|---|---|---|---|"


def main(kept: Path | None, names: list[str]) -> int:
    """Prints one row per alert that a plant was made for, and what failed."""
    from incident_world import open_world

    # isort: split
    from incident_plants import PLANTS
    from incident_seen import seen

    failed = 0
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder), kept) as world:
        for name in names or list(PLANTS):
            plant, begun = PLANTS[name], time.monotonic()
            try:
                found = seen(world, plant)
            except Exception as error:
                failed += 1
                print(f"| FAILED {name} | {type(error).__name__}: {error}", flush=True)
                continue
            for code in plant.codes:
                print(f"| {code} | {plant.how} | {plant.by} | {found.seconds[code]:.1f} |", flush=True)
            also = ", ".join(found.others) or "nothing"
            spent = time.monotonic() - begun
            print(
                f"{name}: also told: {also}; {spent:.0f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True
            )
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kept", type=Path)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    sys.exit(main(given.kept, given.names))
