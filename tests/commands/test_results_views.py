"""`drift` and `performance` on a real home of two sessions; expectations from the files by other means."""

import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from views_world import FIRST, LAST, Command, commit, one_line, table

from marketbot_assets.audit.schema import DAILY_REPORT
from marketbot_assets.book.schema import RECONCILIATION
from marketbot_assets.ingestion.schema import ACCOUNT_SNAPSHOT
from marketbot_resources.store.index import LAKE
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.seal import seal_index, seals

pytestmark = pytest.mark.graph
MOVED = Decimal("25000")


def test_drift_shows_the_newest_session_and_the_last_ones(finished: Path, marketbot: Command, tmp_path: Path) -> None:
    """Every measure of the table, with its numbers; counts per session as the table has them; the page is one file."""
    page = tmp_path / "drift.html"
    view = marketbot(finished, "drift", "--html", str(page), "--json").json
    frame = table(finished, "drift", LAST)
    stored = frame[frame["kind"].isin(["MEASURE", "FEATURE"])]
    shown = {(row["part"], row["name"]): row for row in view["measures"]}
    assert set(shown) == set(zip(stored["part"], stored["name"], strict=True))
    missing = shown["data", "features_missing"]
    features = table(finished, "features", LAST).drop(columns=["session", "instrument", "complete"])
    assert missing["observed"] == pytest.approx(features.isna().to_numpy().mean(), abs=1e-12)
    assert shown["features", "share_drifted"]["state"] == "unknown"  # one session to compare with, five are needed
    sent = pd.to_datetime(table(finished, "submissions", LAST)["submitted_at"]).dropna()
    assert shown["execution", "cutoff_to_sent_seconds"]["count"] == len(sent) > 0
    assert {one["session"]: one["ok"] for one in view["sessions"]} == {
        day: int((table(finished, "drift", day)["state"] == "ok").sum()) for day in (FIRST, LAST)
    }
    assert "share drifted" in page.read_text(encoding="utf-8")
    lines = marketbot(finished, "drift", "--last", "1").out
    assert lines.startswith(f"session {LAST}\n")


def test_performance_adds_up_to_the_change_of_nav(finished: Path, marketbot: Command, tmp_path: Path) -> None:
    """One session: its return is that of NAV, its profit that of the attribution; of the first there is nothing before."""
    page = tmp_path / "performance.html"
    view = marketbot(finished, "performance", "--html", str(page), "--json").json
    navs = [float(table(finished, "positions", day)["value_base"].sum()) for day in (FIRST, LAST)]
    numbers = view["numbers"]
    assert (view["first"], view["last"], view["environment"], view["synthetic"]) == (LAST, LAST, "paper", True)
    assert numbers["time_weighted_return"] == pytest.approx(navs[1] / navs[0] - 1.0, rel=1e-9)
    assert numbers["profit"] == pytest.approx(navs[1] - navs[0], abs=1e-6)
    assert numbers["unattributed"] == pytest.approx(0.0, abs=1e-6)
    for rows in view["by"].values():
        assert sum(row["total"] for row in rows) == pytest.approx(numbers["profit"], abs=1e-6)
    report = json.loads(table(finished, "daily_report", LAST)["summary_json"].iloc[0])
    assert numbers["benchmark_return"] == pytest.approx(report["benchmark_return"])
    excess = navs[1] / navs[0] - 1.0 - report["benchmark_return"]
    assert numbers["market_sessions"] == 1
    for rows in (view["markets"], view["factors"]):
        *parts, total = (row["total"] for row in rows)
        assert total == pytest.approx(excess, abs=1e-12)
        assert sum(parts) == pytest.approx(excess, abs=1e-12)
        assert abs(next(row["total"] for row in rows if row["name"] == "unexplained")) < 1e-4
    assert any("cash rates of USD as known at the session before" in note for note in view["notes"])
    assert len(view["methods"]) == 5
    told = page.read_text(encoding="utf-8")
    assert "Where it came from" in told
    assert "By factor" in told
    assert "not known: " in marketbot(finished, "performance", "--to", LAST).out


@pytest.mark.parametrize(
    "arguments", [("--to", FIRST), ("--from", "2019-02-01"), ("--from", "soon"), ("--from", LAST, "--to", FIRST)]
)
def test_a_period_without_a_return_is_refused(finished: Path, marketbot: Command, arguments: tuple[str, ...]) -> None:
    """One line and no number where there is nothing to tell."""
    said = marketbot(finished, "performance", *arguments)
    assert said.code == 2
    assert one_line(said)


def lower(frame: pd.DataFrame) -> pd.DataFrame:
    """The report with half of its NAV and one fill more."""
    told = json.loads(frame["summary_json"].iloc[0])
    return frame.assign(summary_json=json.dumps({**told, "nav": told["nav"] / 2.0, "fills": told["fills"] + 1}))


def test_a_report_made_again_with_other_numbers_is_told(home: Path, marketbot: Command) -> None:
    """Old, new, what it was made with, the entry that sealed it. Of a session outside the period nothing."""
    told = json.loads(table(home, "daily_report", LAST)["summary_json"].iloc[0])
    commit(home, DAILY_REPORT, LAST, lower)
    commit(home, DAILY_REPORT, FIRST, lower)
    lake = Lake(home)
    seal_index(lake.index, lake.ledger)
    rows = marketbot(home, "performance", "--json").json["restated"]
    assert [(row["session"], row["number"], row["old"], row["new"]) for row in rows] == [
        (LAST, "fills", told["fills"], told["fills"] + 1),
        (LAST, "nav", told["nav"], told["nav"] / 2.0),
    ]
    assert rows[0]["reason"].startswith("other code; other mandate; other content of ")
    assert {row["entry"] for row in rows} == {seals(lake.ledger, LAKE)[-1].seq}
    assert f"restated: {LAST} nav from " in marketbot(home, "performance").out


def put_in(frame: pd.DataFrame) -> pd.DataFrame:
    """The broker tells of cash that the owner sent."""
    row = (
        frame[frame["kind"] == "CASH"]
        .iloc[[0]]
        .assign(kind="EVENT", key="t1", order_kind="TRANSFER", currency="USD", amount=MOVED)
    )
    return pd.concat([frame, row], ignore_index=True)


def taken(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(outcome=frame["outcome"].mask((frame["kind"] == "CASH") & (frame["key"] == "USD"), "explained"))


def test_what_the_owner_sends_is_no_profit(home: Path, marketbot: Command) -> None:
    """A transfer that the reconciliation took in counts in the next session; one that it did not take is none."""
    navs = [float(table(home, "positions", day)["value_base"].sum()) for day in (FIRST, LAST)]
    commit(home, ACCOUNT_SNAPSHOT, FIRST, put_in)
    assert marketbot(home, "performance", "--json").json["numbers"]["flows"] == 0.0
    commit(home, RECONCILIATION, FIRST, taken)
    numbers = marketbot(home, "performance", "--json").json["numbers"]
    assert numbers["flows"] == float(MOVED)
    assert numbers["profit"] == pytest.approx(navs[1] - navs[0] - float(MOVED), abs=1e-6)
    assert numbers["time_weighted_return"] == pytest.approx(navs[1] / (navs[0] + float(MOVED)) - 1.0, rel=1e-9)
