"""The example with 482 US names: imported, two sessions of the main job on real bars, as its README says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from graph_world import ROOT, command

BARS = ROOT / "../shared/data/prices/us_equities_2015_2020.parquet"
EXAMPLE = ROOT / "examples/us_equities"
FIRST, LAST = "2019-10-01", "2019-10-02"

pytestmark = [
    pytest.mark.graph,
    pytest.mark.long,
    pytest.mark.shared_data,
    pytest.mark.skipif(not BARS.exists(), reason="needs ../shared/data/prices beside the project"),
]


def marketbot(home: Path, *arguments: str) -> dict:
    """What a command says as an object."""
    done = command(home, *arguments, mandate=EXAMPLE / "mandate.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported, nothing run; contradicting rows are left out and counted."""
    folder = tmp_path_factory.mktemp("us_equities")
    home, macro = folder / "home", folder / "macro.csv"
    script = [sys.executable, str(EXAMPLE / "index_of_prices.py"), str(BARS), str(macro)]
    subprocess.run(script, check=True, capture_output=True)
    words = [
        *("--column", "ticker=symbol", "--column", "session=date", "--column", "price_level=close"),
        *("--set", "mic=XNYS", "--set", "currency=USD", "--set", "close_adjusted_by_source=true"),
        *("--with-listings", "--drop-contradicting", "--json"),
    ]
    prices, listings = marketbot(home, "import", "prices", str(BARS), *words)["imports"]
    assert (prices["rows"], prices["contradicting_rows_dropped"], listings["rows"]) == (592_352, 6, 482)
    marketbot(home, "import", "macro", str(macro), "--json")
    return home


def test_the_main_job_on_real_bars(home: Path) -> None:
    """Two sessions, orders that fill at real opens."""
    first, second = marketbot(home, "backfill", FIRST, LAST, "--json")["sessions"]
    assert (first["state"], second["state"]) == ("sent", "sent")
    assert first["orders"] > 0
    assert 0 < second["fills"] <= first["orders"]


def test_a_session_on_real_bars_is_rebuilt(home: Path) -> None:
    """Every asset of the second session, bit for bit."""
    marketbot(home, "backfill", FIRST, LAST, "--json")
    assert marketbot(home, "replay", "--session", LAST, "--json")["fine"]
