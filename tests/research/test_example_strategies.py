"""The example strategies decide, each by its own method and within its own volatility target; 482 names and more: `long`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from research_world import loop

from marketbot_assets.research.history import Tables
from marketbot_assets.research.outcomes import outcomes
from marketbot_resources.mandate import parse_mandate

ROOT = Path(__file__).parents[2]
BARS = ROOT.parent / "shared/data/prices/us_equities_2015_2020.parquet"
METHODS = {
    "low_vol_multi_factor": "mean_variance",
    "momentum_vol_target": "mean_variance",
    "risk_parity": "risk_parity",
}
SHORT, LONG = 3, 60


def run(world: Tables, name: str, count: int) -> None:
    """Sessions of a strategy: its method answers, the verdict lets it through, the book is invested within the volatility limit."""
    mandate = parse_mandate((ROOT / "examples" / name / "mandate.yaml").read_text(encoding="utf-8"))
    days = list(loop(world, mandate, count)[0])
    frame = outcomes(days)
    assert set(frame["method"]) == {METHODS[name]}
    assert set(frame["verdict"]) == {"APPROVED"}
    assert frame["invested"].iloc[-1] > 0.05
    hard = mandate.volatility.target_per_year * mandate.limits.ex_ante_vol.hard_multiple
    seen = [
        r.observed for day in days for r in day.decision.judgement.results if r.control == "RC-42" and r.key != "lower"
    ]
    assert seen
    assert all(value is not None and value <= hard + 1e-9 for value in seen)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_strategy_decides(world: Tables, name: str) -> None:
    """A few sessions of the sample world."""
    run(world, name, SHORT)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_strategy_decides_for_long(world: Tables, name: str) -> None:
    """A quarter of a year."""
    run(world, name, LONG)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the bars of 482 names and the index made of them."""
    home = tmp_path_factory.mktemp("names482")
    macro = home / "macro.csv"
    script = ROOT / "examples/us_equities/index_of_prices.py"
    subprocess.run([sys.executable, str(script), str(BARS), str(macro)], check=True, timeout=300, cwd=ROOT)
    columns = ["--column", "ticker=symbol", "--column", "session=date", "--column", "price_level=close"]
    sets = ["--set", "mic=XNYS", "--set", "currency=USD", "--set", "close_adjusted_by_source=true"]
    command(
        home, "risk_parity", "import", "prices", str(BARS), *columns, *sets, "--with-listings", "--drop-contradicting"
    )
    command(home, "risk_parity", "import", "macro", str(macro))
    return home


def command(home: Path, name: str, *words: str) -> str:
    """A command in a home with a strategy's mandate for the 482 names; what it printed."""
    mandate = ROOT / "examples" / name / "mandate-482.yaml"
    places = {"MARKETBOT_HOME": str(home), "DAGSTER_HOME": str(home), "MARKETBOT_MANDATE": str(mandate)}
    words = ("-m", "marketbot_assets.cli", *words)
    found = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | places | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    return found.stdout


@pytest.mark.long
@pytest.mark.skipif(not BARS.exists(), reason="the shared price file is not here")
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_strategy_on_482_names(imported: Path, tmp_path: Path, name: str) -> None:
    """A week of real names from the command line, with its page; what is not known is said."""
    page = tmp_path / "out.html"
    view = json.loads(command(imported, name, "backtest", "2019-10-01", "2019-10-08", "--html", str(page), "--json"))
    assert {row["method"] for row in view["sessions"]} == {METHODS[name]}
    assert any(row["orders"] for row in view["sessions"])
    assert view["numbers"]["benchmark_return"] is None  # no share counts, no market values
    assert view["excess"] == []
    assert not view["synthetic"]
    assert "NOT TESTED against overfitting" in page.read_text(encoding="utf-8")
