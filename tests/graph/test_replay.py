"""Sessions rebuilt from stored bytes: bit for bit in a cold process, after a revision of history, by another processor's kernels;
and whoever changes a stored number is named.
"""

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import pytest
from graph_world import FIRST, NEXT, ROOT, SECOND, EditedPorts, Home, command
from replay_world import Attack, body, cell, index_row, lost, lost_object, lost_row, manifest, newest, version

from marketbot_assets.commands.replay_text import replay_lines
from marketbot_assets.jobs import DECLARED, QUOTED, RANGES
from marketbot_assets.replay import Replay, Replayed, tables

pytestmark = pytest.mark.graph
RECORDS = {"mandate", "account_snapshot", "submissions", "replay_check", "proof"}
READ_SNAPSHOT = {
    "fills",
    "cost_calibration",
    "shortfall",
    "reconciliation",
    "book_state",
    "target_portfolio",
    "target_explanation",
    "order_plan",
    "stress_results",
    "risk_verdict",
    "risk_report",
    "drift",
}


def told(home: Path, *arguments: str, code: int = 0, **how: Any) -> dict[str, Any]:
    """What `marketbot replay --json` says in a process of its own."""
    result = command(home, "replay", "--json", *arguments, **how)
    assert result.returncode == code, result.stdout + result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def outcomes(session: dict[str, Any], *names: str) -> set[str]:
    return {row["asset"] for row in session["assets"] if row["outcome"] in names}


def test_every_asset_of_every_session_is_rebuilt_bit_for_bit(base: Home) -> None:
    """In a process that decided nothing: all assets of the graph, records of the outside world excepted, each after its inputs."""
    from marketbot_assets.definitions import defs

    view = told(base.path)
    assert (view["fine"], view["proved"], view["first"]) == (True, "bits", None)
    assert [session["session"] for session in view["sessions"]] == [FIRST, SECOND]
    every = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()} - {
        *RANGES,
        *QUOTED,
        *DECLARED,
    }
    for session in view["sessions"]:
        assert outcomes(session, "record") == RECORDS
        unread = set() if session["session"] == FIRST else {"opening_balance"}
        assert outcomes(session, "equal") == every - RECORDS - unread
        assert session["environment"] == []
        assert session["code"]["same"]
        assert all(
            row["stored_content_sha256"] == row["rebuilt_content_sha256"]
            for row in session["assets"]
            if row["outcome"] == "equal"
        )
        assert_inputs_first(base, session)
    assert replay_lines(view)[-1] == (
        "result: every asset of the 2 sessions is rebuilt bit for bit, in the environment that made them"
    )


def assert_inputs_first(home: Home, session: dict[str, Any]) -> None:
    """The order of the report is one in which the graph can be built."""
    place = {row["manifest_sha256"]: n for n, row in enumerate(session["assets"])}
    lake = home.lake
    for row in session["assets"]:
        found = lake.index.by_manifest(row["asset"], row["partition"], row["manifest_sha256"])
        assert found is not None
        for item in lake.manifest(found)["inputs"]:  # type: ignore[union-attr]
            assert place.get(item["manifest_sha256"], -1) < place[row["manifest_sha256"]]  # type: ignore[index, call-overload, arg-type]


def test_an_unknown_session_is_one_line(base: Home, tmp_path: Path) -> None:
    """Exit 2 for a session that is not stored, for what is no session, and for a home without a book."""
    for home, name in ((base.path, NEXT), (base.path, "yesterday"), (tmp_path, FIRST)):
        result = command(home, "replay", "--session", name)
        assert result.returncode == 2
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.long
def test_a_revision_of_history_changes_no_old_decision(home: Home, undisturbed: Home) -> None:
    """F16: past prices are revised and fetched again; the old session still replays bit for bit, later ones use the new prices."""
    decided = newest(home, "price_history", SECOND)
    revised = {"ports": EditedPorts(kind="prices", edits=[["US-AAPL", "2018-11-20", "close", "*1.01"]])}
    assert home.run(SECOND, revised, job="data", refetch=True)
    assert home.run(NEXT, revised)
    assert newest(home, "price_history", SECOND).content_sha256 != decided.content_sha256
    assert home.frame("features", NEXT).equals(undisturbed.frame("features", NEXT)) is False
    view = told(home.path)
    assert (view["fine"], view["proved"]) == (True, "bits")
    first, second, third = view["sessions"]
    assert histories(first) == {decided.manifest_sha256}
    assert {row["asset"] for row in second["assets"] if row["later"]} >= {"price_history", "features", "forecasts"}
    assert histories(third) == {newest(home, "price_history", NEXT).manifest_sha256}


def histories(session: dict[str, Any]) -> set[str]:
    """Versions of the price history that a session's decision rests on."""
    rows = session["assets"]
    return {row["manifest_sha256"] for row in rows if row["asset"] == "price_history" and row["decided"]}


def replayed(home: Home) -> list[Replayed]:
    """SECOND with everything that the session itself stored, cold."""
    return Replay(home.lake).some(SECOND, set(tables()))


def differing(found: list[Replayed]) -> list[str]:
    return [item.version.asset for item in found if item.outcome == "differs"]


RAW = [
    "raw_instruments",
    "raw_prices",
    "raw_corporate_actions",
    "raw_fx",
    "raw_macro",
    "raw_fundamentals",
    "raw_news",
]


@pytest.mark.parametrize("asset", RAW)
@pytest.mark.parametrize("attack", [cell, body], ids=["cell", "byte"])
def test_a_changed_raw_object_or_body_is_named(home: Home, asset: str, attack: Attack) -> None:
    """One cell of a stored raw table, or one byte of what was received: exactly that asset differs."""
    attack(home, asset, SECOND)
    found = Replay(home.lake).some(SECOND, RAW)
    assert differing(found) == [asset]
    assert {item.outcome for item in found} == {"equal", "differs"}


@pytest.mark.parametrize(
    ("attack", "asset", "said", "blocked"),
    [
        (cell, "raw_prices", "it can be rebuilt as it was", set()),
        pytest.param(cell, "prices", "it can be rebuilt as it was", set(), marks=pytest.mark.long),
        pytest.param(cell, "features", "it can be rebuilt as it was", set(), marks=pytest.mark.long),
        (cell, "target_portfolio", "it can be rebuilt as it was", set()),
        (cell, "account_snapshot", "its object is not what it was", READ_SNAPSHOT),
        (manifest, "features", "its manifest is not what it was", {"decision_record"}),
        (lost_object, "factor_model", "it can be rebuilt as it was", set()),
        (index_row, "prices", "its row in the index is about another version", set()),
        (lost_row, "forecasts", "its row in the index is gone", set()),
        (
            lost,
            "protective_exits",
            "nothing is left of this version",
            {"target_portfolio", "target_explanation", "order_plan", "decision_record"},
        ),
        (version, "execution_costs", "the rebuilt values differ", set()),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (value if isinstance(value, str) else "")[:20],
)
def test_what_was_changed_is_the_first_that_differs(
    home: Home, attack: Attack, asset: str, said: str, blocked: set[str]
) -> None:
    """Exactly the asset that was changed differs. What cannot be judged without it says so; all else is rebuilt equal."""
    attack(home, asset, SECOND)
    found = replayed(home)
    assert differing(found) == [asset]
    assert said in next(item.message for item in found if item.version.asset == asset and not item.good)
    waiting = [item for item in found if item.outcome == "not rebuilt"]
    assert {item.version.asset for item in waiting} == blocked
    assert all(item.message == f"its input {asset} {SECOND} is altered" for item in waiting)


@pytest.mark.long
def test_the_changed_cell_is_shown(home: Home) -> None:
    """The report says which column and key, what is stored and what it was."""
    before = home.frame("prices", SECOND).sort_values(["session", "instrument"]).iloc[0]
    cell(home, "prices", SECOND)
    view = told(home.path, "--session", SECOND, code=1)
    assert view["first"]["asset"] == "prices"
    assert outcomes(view["sessions"][0], "differs") == {"prices"}
    row = next(row for row in view["sessions"][0]["assets"] if row["asset"] == "prices")
    shown = row["difference"]["first"]
    assert (row["difference"]["cells"], shown["column"]) == (1, "open")
    assert shown["key"] == (f"session {before['session'].date()}, instrument {before['instrument']}")
    assert float(shown["stored"]) == pytest.approx(float(shown["rebuilt"]) * 1.001)
    assert float(shown["rebuilt"]) == before["open"]
    assert replay_lines(view)[-1].startswith(f"FIRST DIFFERENCE: prices {SECOND}: its object is not what it was")


def test_a_version_forged_after_the_decision_is_told_apart_from_it(home: Home) -> None:
    """A consistent forgery of a decision's input: the decided version is still there and equal, the forged one differs."""
    version(home, "prices", SECOND)
    found = Replay(home.lake).session(SECOND)
    assert [(x.version.asset, x.version.decided, x.version.later) for x in found if not x.good] == [
        ("prices", False, True)
    ]
    assert [x.outcome for x in found if x.version.asset == "prices"] == ["equal", "differs"]


def test_what_was_changed_in_an_earlier_session_is_named_there(home: Home) -> None:
    """A session that reads it is rebuilt from what it was, and names it before its own assets."""
    cell(home, "positions", FIRST)
    found = Replay(home.lake).session(SECOND)
    assert [(x.version.asset, x.version.part) for x in found if not x.good] == [("positions", FIRST)]
    assert found[0].version.asset == "positions"


def test_the_daily_check_covers_the_way_from_raw_tables_to_orders(base: Home) -> None:
    """Every partitioned asset of the stages that a decision rests on; what the outside world reported is no part of it."""
    from marketbot_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    stages = {"ingestion", "normalization", "features", "insight", "book", "portfolio", "risk"}
    keys = [
        key
        for key in graph.get_all_asset_keys()
        if graph.get(key).group_name in stages and graph.get(key).is_partitioned
    ]
    check = base.frame("replay_check", SECOND)
    assert set(check["asset"]) == {key.to_user_string() for key in keys} - RECORDS - {*QUOTED, *DECLARED} | {"orders"}
    assert (check["stored_content_sha256"] == check["rebuilt_content_sha256"]).all()
    assert check["same"].all()


def test_a_changed_number_stops_trading_on_the_day(home: Home) -> None:
    """The session's own check names the asset that was changed, and sets the halt flag."""
    cell(home, "features", SECOND)
    assert home.run(SECOND, only="replay_check")
    check = home.frame("replay_check", SECOND)
    assert check.loc[~check["same"], "asset"].tolist() == ["features"]
    assert f"replay of {SECOND}: features differs first" in (home.path / "HALT").read_text(encoding="utf-8")


def test_another_processor_gives_equal_orders(base: Home) -> None:
    """Kernels of an older processor add up in another order: the replay says what it proved, and what has changed."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("no second set of BLAS kernels is known for this machine")
    view = told(base.path, "--session", SECOND, more={"OPENBLAS_CORETYPE": "Nehalem"})
    (session,) = view["sessions"]
    (changed,) = session["environment"]
    assert changed.startswith("blas ")
    assert changed.split(", threads")[1].endswith("Nehalem")
    assert outcomes(session, "equal", "record") >= {"raw_prices", "prices", "orders", "submissions"}
    rounded = [row for row in session["assets"] if row["outcome"] == "within"]
    assert view["proved"] == ("rounding" if rounded else "bits")
    assert all(0 < row["difference"]["float_largest"] <= 1e-9 for row in rounded)
    how = "with equal orders and floats within 1e-9" if rounded else "bit for bit"
    assert (
        replay_lines(view)[-1]
        == f"result: every asset of the session is rebuilt {how}, in another environment: {changed}"
    )


def test_changed_code_is_named_with_what_it_changes(base: Home, tmp_path: Path) -> None:
    """One constant edited: the file, the first asset that comes out different, the cell; the rest is equal."""
    for name in ("marketbot_assets", "marketbot_resources", "mandate.yaml", "requirements.lock"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    path = tmp_path / "marketbot_assets" / "insight" / "forecasts.py"
    text = path.read_text(encoding="utf-8")
    assert text.count("0.1 * volatility") == 1
    path.write_text(text.replace("0.1 * volatility", "0.11 * volatility"), encoding="utf-8")
    view = told(base.path, "--session", SECOND, code=1, checkout=tmp_path)
    (session,) = view["sessions"]
    (file,) = session["code"]["files"]
    assert file == {"path": "marketbot_assets/insight/forecasts.py", "state": "changed", "added": 1, "removed": 1}
    assert view["first"]["asset"] == "forecasts"
    assert outcomes(session, "differs") == {"forecasts"}
    assert outcomes(session, "equal") >= {"features", "factor_model", "target_portfolio", "orders"}
    changed = next(row["difference"] for row in session["assets"] if row["outcome"] == "differs")
    assert changed["columns"] == ["uncertainty"]
    assert changed["first"]["stored"] != changed["first"]["rebuilt"]
    lines = replay_lines(view)
    assert "    marketbot_assets/insight/forecasts.py: changed, 1 lines added, 1 removed" in lines
    assert lines[-1] == (
        f"FIRST DIFFERENCE under another code: forecasts {SECOND}: the rebuilt values differ from the stored ones"
    )
