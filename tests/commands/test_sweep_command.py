"""`marketbot sweep` and `backtest --tests` as a user meets them: a grid file in, lines, JSON and a page out, one line per error."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from views_world import Command

from marketbot_assets.model_trials import trials
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.lake import Lake

ROOT = Path(__file__).parents[2]
WORLD = {"instruments": 8, "exchanges": ["XNYS"], "first": "2016-01-04", "last": "2018-12-28", "seed": 7}
GRID = (
    "periods: [[2018-10-08, 2018-10-10]]\nmandates: {mine: mine.yaml}\nchange: {portfolio.risk_aversion: [2.0, 5.0]}\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A grid, the mandate file beside it that it names, and a home."""
    folder = tmp_path_factory.mktemp("sweep")
    plain = yaml.safe_load((ROOT / "examples" / "synthetic" / "mandate.yaml").read_text(encoding="utf-8"))
    plain["providers"]["synthetic"], plain["universe"]["listings"] = WORLD, {"XNYS": "all"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    (folder / "grid.yaml").write_text(GRID, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_MANDATE", str(folder / "mine.yaml"))
        yield folder


def test_what_cannot_be_is_one_line_per_error_before_anything_runs(folder: Path, marketbot: Command) -> None:
    home, bad = folder / "none", folder / "bad.yaml"
    bad.write_text("periods: [[2018-10-08, 2018-10-09]]\nchange: {a.b: [1], llm.x: [1]}\n", encoding="utf-8")
    for words, line in (
        (["sweep"], "no book yet in"),
        (["sweep", str(folder / "missing.yaml")], "grid: expected a readable file at"),
        (["sweep", str(bad)], "grid: change.llm.x: expected a key that a backtest reads"),
        (["sweep", str(folder / "grid.yaml"), "--workers", "2", "--dask", "tcp://127.0.0.1:1"], "found both"),
        (
            ["sweep", str(folder / "grid.yaml"), "--dask", "http://x"],
            "--dask: expected tcp://HOST:PORT or tls://HOST:PORT",
        ),
    ):
        said = marketbot(home, *words)
        assert (said.code, said.out) == (2, ""), said
        assert line in said.err
    assert not (home / "store").exists()


def test_a_sweep_is_stored_shown_and_run_once(folder: Path, marketbot: Command) -> None:
    """The asset through Dagster: the table and its manifest; the same command again runs nothing, and shows the same."""
    home, page = folder / "home", folder / "page.html"
    said = marketbot(home, "sweep", str(folder / "grid.yaml"), "--json")
    assert said.code == 0, said
    view = json.loads(said.out)
    assert [point["name"] for point in view["points"]] == [
        "mandate=mine, portfolio.risk_aversion=2.0",
        "mandate=mine, portfolio.risk_aversion=5.0",
    ]
    assert (view["done"], view["trials"]) == (2, 2)
    assert view["first_line"].startswith("FAILED ")
    lake = Lake(home)
    row = lake.index.newest("sweep", STATIC)
    assert row is not None
    inputs = lake.manifest(row)["inputs"]
    assert isinstance(inputs, list)
    assert {one["partition"] for one in inputs} == {point["backtest"] for point in view["points"]}  # type: ignore[call-overload, index]
    again = marketbot(home, "sweep", str(folder / "grid.yaml"), "--html", str(page))
    assert again.code == 0
    assert again.out.startswith("best point: FAILED ")
    assert len(trials(lake.ledger, "backtest")) == 2
    assert page.read_text(encoding="utf-8").count("mandate=mine, portfolio.risk_aversion=5.0") >= 1
    newest = lake.index.newest("sweep", STATIC)
    assert newest is not None
    assert newest.content_sha256 == row.content_sha256


@pytest.mark.long
def test_a_backtest_says_first_whether_it_was_tested(folder: Path, marketbot: Command) -> None:
    home = folder / "tested"
    plain = marketbot(home, "backtest", "2018-10-08", "2018-10-09")
    assert plain.out.startswith("NOT TESTED against overfitting")
    told = marketbot(home, "backtest", "2018-10-08", "2018-10-09", "--tests", "--random", "1", "--workers", "2")
    assert told.code == 0, told
    assert told.out.startswith("FAILED ")
    assert "random signal" in told.out
    later = json.loads(marketbot(home, "backtest", "2018-10-08", "2018-10-09", "--json").out)
    assert (later["first_line"], len(later["tests"])) == (told.out.splitlines()[0], 11)
    whole = marketbot(home, "verify")
    assert whole.code == 0, whole
