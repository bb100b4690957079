"""The code server holds what its sensors need, however often they look: a library that runs need is no business of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compose_runner import ROOT

from marketbot_assets.ingestion.parse_mandate import mandate_frame
from marketbot_assets.ingestion.schema import MANDATE
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.store.lake import Lake

TICKS, TICKS_LONG = 1, 400
WARM = 40  # ticks after which pools and caches of the libraries are filled
GROWTH_KIB = 4 * 1024
HEAVY = {
    "pandas",
    "scipy",
    "cvxpy",
    "numba",
    "litellm",
    "pandera",
    "exchange_calendars",
    "pyarrow.dataset",
    "pyarrow.compute",
}
TICKING = """
import json, sys
import dagster as dg
from marketbot_assets.definitions import defs

ports = {name: made for name, made in defs.resources.items() if name in ("store", "mandate_file", "clock", "ports")}
repository, sizes, said = defs.get_repository_def(), [], {}
sensors = sorted(repository.sensor_defs, key=lambda one: one.name)
def anonymous():
    told = dict(line.split(":") for line in open("/proc/self/smaps_rollup") if line.count(":") == 1)
    return int(told["Anonymous"].split()[0])
with dg.DagsterInstance.ephemeral() as instance:
    for tick in range(int(sys.argv[1])):
        for sensor in sensors:
            with dg.build_sensor_context(instance=instance, repository_def=repository, resources=dict(ports)) as context:
                found = sensor.evaluate_tick(context)
            said[sensor.name] = found.skip_message or "asks for a run"
        sizes.append(anonymous())
print(json.dumps({"loaded": sorted(sys.modules), "sizes": sizes, "said": said}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a mandate in force that names a channel, which has nobody to tell."""
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("notification:"))
    text = text.replace(line, "notification: {channels: [{name: ops, kind: slack}]}")
    (tmp_path / "mandate.yaml").write_text(text, encoding="utf-8")
    lake = Lake(tmp_path / "home")
    lake.commit(
        mandate_frame(parse_mandate(text)), MANDATE, STATIC, reads=[], blobs=[], origin=Origin("r", "x", "", {})
    )
    return tmp_path


def ticking(folder: Path, ticks: int) -> dict[str, object]:
    """What so many looks of every sensor leave in a fresh process."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    given |= {"MARKETBOT_HOME": str(folder / "home"), "MARKETBOT_MANDATE": str(folder / "mandate.yaml")}
    done = subprocess.run(
        [sys.executable, "-c", TICKING, str(ticks)], cwd=ROOT, env=given, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_tick_loads_no_library_of_the_runs(home: Path) -> None:
    """Every sensor looks, with a stored mandate and a channel: pandas alone would cost the code server 50 MiB for good."""
    told = ticking(home, TICKS)
    assert isinstance(told["loaded"], list)
    assert isinstance(told["said"], dict)
    assert {"daily_sensor", "alert_sensor", "order_sensor", "intraday_sensor"} <= set(told["said"])
    assert "alerts" in told["said"]["alert_sensor"]
    assert not HEAVY & set(told["loaded"])


@pytest.mark.long
def test_memory_does_not_grow_with_ticks(home: Path) -> None:
    """A day of ticks every minute would be 1,440; what each leaves must be nothing."""
    sizes = ticking(home, TICKS_LONG)["sizes"]
    assert isinstance(sizes, list)
    print(f"KiB after 1, {WARM} and {TICKS_LONG} ticks: {sizes[0]}, {sizes[WARM]}, {sizes[-1]}")
    assert sizes[-1] - sizes[WARM] <= GROWTH_KIB
