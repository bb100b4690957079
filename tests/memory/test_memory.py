"""How much memory processes may take. The figures are what was measured plus 15 percent; docs/memory.md has the whole table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFINITIONS_MIB, RUN_MIB = 90, 710
# VmHWM is of this program alone; getrusage would also tell the most of the process that started it.
PEAK = """
import pathlib
line = next(one for one in pathlib.Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
print("peak", int(line.split()[1]) // 1024)
"""
RUN = """
import sys
sys.path.insert(0, "benchmarks")
import day
day.run_job("2018-11-20", "2018-11-20", None, "")
"""


def peak(script: str, **more: str) -> int:
    """MiB at the highest of a fresh process that runs this."""
    kernels = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **kernels, **more}
    told = subprocess.run(
        [sys.executable, "-c", script + PEAK], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    return int(told.stdout.rpartition("peak ")[2])


def test_definitions_are_small() -> None:
    """Code server, webserver's checks and every command load them; a library at import costs each of them its size."""
    assert peak("import marketbot_assets.definitions\n") <= DEFINITIONS_MIB


def test_the_model_is_asked_before_the_optimizer_is_there() -> None:
    """Opening a book from cash needs no decision: solvers beside the language model's child would not fit a small machine."""
    script = "import sys\nimport marketbot_assets.research.opening\n"
    told = subprocess.run(
        [sys.executable, "-c", script + 'print({"cvxpy", "scipy", "numba"} & set(sys.modules))'],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "set()"


def test_opening_the_store_loads_no_arrays() -> None:
    """Every tick of a sensor opens it and reads no table: pyarrow and numpy would cost the code server 12 MiB for good."""
    script = "import sys\nimport marketbot_resources.store.lake\n"
    told = subprocess.run(
        [sys.executable, "-c", script + 'print({"pyarrow", "numpy", "pandas"} & set(sys.modules))'],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "set()"


@pytest.mark.long
def test_a_run_is_bounded(tmp_path: Path) -> None:
    """The first session of the sample world, which loads the history and simulates the world too; its machine code is there."""
    subprocess.run([sys.executable, "-m", "marketbot_assets.portfolio.machine_code"], cwd=ROOT, check=True)
    home = {"MARKETBOT_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    assert peak(RUN, MARKETBOT_MANDATE=str(ROOT / "mandate.yaml"), **home) <= RUN_MIB
