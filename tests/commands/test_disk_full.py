"""F32: a disk without room ends a run with one clear line before anything is sent, and with room the same command goes on."""

import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT, SESSION = Path(__file__).parents[2], "2018-12-12"
KIB, POINTS = 1024, 20
pytestmark = pytest.mark.graph


def run(home: Path, largest: int) -> subprocess.CompletedProcess[str]:
    """`marketbot run` where no file may grow past `largest` bytes, which is what a full disk says, too; 0: without limit."""

    def limit() -> None:
        if largest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    kept = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_", "NUMBA_"))}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "run", "--session", SESSION]
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), **kept}
    return subprocess.run(
        script, capture_output=True, text=True, env=environment, cwd=ROOT, check=False, preexec_fn=limit
    )


def sent(home: Path) -> int:
    """Orders that the paper broker has in its own file."""
    path = home / "broker.sqlite"
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("select count(*) from sqlite_master where name = 'orders'").fetchone()[0]
        return int(connection.execute("select count(*) from orders").fetchone()[0]) if tables else 0
    finally:
        connection.close()


def refused(home: Path, largest: int) -> bool:
    """Whether the run ended badly; then nothing was sent, and it says so in a few lines."""
    done = run(home, largest)
    if done.returncode == 0:
        return False
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout, done.stderr[-2000:]
    assert sent(home) == 0
    return True


def test_a_full_disk_is_one_clear_line_and_nothing_is_sent(tmp_path: Path) -> None:
    """At the first file that does not fit."""
    home = tmp_path / "home"
    done = run(home, 64 * KIB)
    assert done.returncode == 1
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("marketbot: ")]
    assert line.startswith(f"marketbot: expected room to write in {home}, found: ")
    assert line.endswith("; make room, then give the same command again")
    assert "Traceback" not in done.stderr
    assert sent(home) == 0


@pytest.mark.long
def test_at_no_size_of_the_disk_is_half_a_batch_sent(tmp_path: Path) -> None:
    """Twenty limits from 32 KiB on, each by three tenths higher; the home of the last that was refused goes on without limit."""
    limits = [int(32 * KIB * 1.3**point) for point in range(POINTS)]
    homes = [tmp_path / str(largest) for largest in limits]
    bad = [home for home, largest in zip(homes, limits, strict=True) if refused(home, largest)]
    assert len(bad) > 3
    done = run(bad[-1], 0)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    assert sent(bad[-1]) > 0
