"""`demo` as its user runs it: one object of JSON, a second run that is quick and changes nothing, and ways to get it wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.graph
ROOT = Path(__file__).parents[2]


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home)}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *arguments]
    return subprocess.run(script, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def told(home: Path, *arguments: str) -> dict[str, object]:
    result = command(home, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    home = tmp_path_factory.mktemp("demo") / "home"
    return home, told(home, "demo", "--sessions", "2")


def test_the_object_says_what_was_decided(demo: tuple[Path, dict[str, object]]) -> None:
    """Sessions, orders, fills, store, ledger and report, each as promised."""
    _, view = demo
    sessions, orders = view["sessions"], view["orders"]
    assert isinstance(sessions, list)
    assert isinstance(orders, list)
    assert [row["session"] for row in sessions] == ["2018-12-21", "2018-12-24"]
    for row in sessions:
        assert {"session", "orders", "nav", "drawdown", "verdict"} <= set(row)
        assert row["verdict"] == "APPROVED"
        assert 500_000 < row["nav"] < 1_100_000
        assert 0.0 < row["drawdown"] < 0.15
    assert orders
    assert all({"order_id", "session", "instrument", "side", "quantity", "status"} <= set(order) for order in orders)
    assert len(orders) == sum(row["orders"] for row in sessions)
    filled = [order for order in orders if order["status"] == "FILLED"]
    assert view["fills"] == len(filled) > 0
    assert set(view["ledger"]) == {"size", "root"}  # type: ignore[call-overload]
    assert Path(str(view["report"])).read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_again_is_the_same_and_orders_nothing(demo: tuple[Path, dict[str, object]]) -> None:
    """The same command again, and `run` of an ended session: not one new object, the same ledger root."""
    home, view = demo
    again = told(home, "demo", "--sessions", "2")
    assert again == view
    shown = told(home, "run", "--session", "2018-12-24")
    assert shown["store_objects"] == view["store_objects"]
    assert shown["ledger"] == view["ledger"]


def test_an_order_leads_back_to_the_raw_bytes(demo: tuple[Path, dict[str, object]]) -> None:
    """The chain reaches raw prices, raw rates, the mandate and the model, and names every object by both hashes."""
    home, view = demo
    order = view["orders"][0]["order_id"]  # type: ignore[index]
    explained = told(home, "explain", str(order))
    chain = explained["chain"]
    assert isinstance(chain, list)
    assert {"raw_prices", "raw_fx", "mandate", "return_model"} <= {link["asset"] for link in chain}
    for link in chain:
        assert set(link) == {"asset", "partition", "file_sha256", "content_sha256"}
        path = home / "store" / link["asset"] / link["partition"] / f"{link['file_sha256']}.parquet"
        assert path.exists()
    assert explained["order"]["client_order_id"] == order  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--sessions", "60"], "expected at most 59 sessions"),
        (["demo", "--sessions", "0"], "0 is not in the range"),
        (["demo", "--sessions", "x"], "is not a valid integer"),
        (["explain", "mb1-nothing"], "no book"),
        (["backtest", "2019-01-02", "2018-01-02"], "expected a range within"),
        (["report", "--session", "2018-12-24"], "no book"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Exit 2, one clear line, nothing written."""
    result = command(tmp_path / "home", *arguments)
    assert result.returncode == 2, result.stdout
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("old", "new"), [("XHKG: all", "XHKG: []"), pytest.param("XHKG: all", "XHKG: [NOSUCH]", marks=pytest.mark.long)]
)
def test_an_empty_universe_cannot_start(tmp_path: Path, old: str, new: str) -> None:
    """A list of no listings is refused before anything is written; a listing that nobody serves ends the run with its name."""
    mandate = tmp_path / "mandate.yaml"
    mandate.write_text((ROOT / "mandate.yaml").read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    home = tmp_path / "home"
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), "MARKETBOT_MANDATE": str(mandate)}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "run", "--session", "2018-12-24"]
    result = subprocess.run(script, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if new.endswith("[]"):
        assert result.returncode == 2
        assert "universe.listings.XHKG" in result.stderr
        assert not home.exists()
    else:
        assert result.returncode == 1
        assert "NOSUCH" in result.stdout
