"""Sweeps on processes and on nodes: whatever is killed or cut in the middle, nothing is lost, written twice or another bit."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from marketbot_assets.sweep import sweep
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.store.lake import Lake
from marketbot_resources.wiring import Ports

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parents[2]
GRID = (
    "periods: [[2018-10-08, 2018-10-10]]\nchange: {portfolio.risk_aversion: [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]}\n"
)
WORLD = {"instruments": 12, "exchanges": ["XNYS"], "first": "2016-01-04", "last": "2018-12-28", "seed": 7}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mandate]:
    plain = yaml.safe_load((ROOT / "examples" / "synthetic" / "mandate.yaml").read_text(encoding="utf-8"))
    plain["providers"]["synthetic"], plain["universe"]["listings"] = WORLD, {"XNYS": "all"}
    path = tmp_path_factory.mktemp("nodes") / "mandate.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_MANDATE", str(path))
        yield parse_mandate(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(base: Mandate, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Hashes of the points' rows, run one after the other in this process."""
    lake = Lake(tmp_path_factory.mktemp("nodes") / "alone")
    return list(sweep(lake, Ports(), base, GRID, {}, "local", run_id="x").frame["content_sha256"])


def kill_a_worker(home: Path) -> None:
    """Kills one of this process's own children that run tasks, once the first point is stored."""
    import psutil

    folder = home / "store" / "backtest"
    until = time.monotonic() + 120.0
    while time.monotonic() < until and not (folder.is_dir() and list(folder.iterdir())):
        time.sleep(0.02)
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
            return


def test_a_killed_process_loses_nothing_and_changes_no_bit(base: Mandate, alone: list[str], tmp_path: Path) -> None:
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path,), daemon=True)
    killer.start()
    made = sweep(Lake(tmp_path), Ports(), base, GRID, {}, "processes:2", run_id="x")
    killer.join()
    assert list(made.frame["content_sha256"]) == alone
    assert list(made.frame["trials"]) == [8] * 8


@pytest.mark.parametrize(
    "words",
    [
        ("nodes", "killed"),
        ("cut", "scheduler", "sender"),
        pytest.param(("bucket",), marks=pytest.mark.s3),
    ],
    ids=["killed", "cut", "bucket"],
)
def test_what_happens_in_the_middle_loses_nothing_and_changes_no_bit(words: tuple[str, ...]) -> None:
    """The tool's own check: every run has all points, each once, and the rows of one process here; 2: no namespaces here."""
    pytest.importorskip("distributed")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("expected root and the program ip, for network namespaces")
    program = [sys.executable, str(ROOT / "tools" / "sweep_nodes.py"), "--points", "20", "--only", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MARKETBOT_MANDATE", None)
    ended = subprocess.run(program, capture_output=True, text=True, timeout=1500, env=environment, cwd=ROOT)
    if ended.returncode == 2:
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("20/20   20/20") == 1 + len(words)
