"""The panel that scores are judged on: each session's own knowledge, and the command that stores and shows the result."""

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from research_world import ROOT, sessions

from marketbot_assets.features.build import build_features
from marketbot_assets.features.catalogue import declared
from marketbot_assets.research.factor_evaluation_panel import (
    DECISION_FEATURES,
    FORECASTS,
    book_returns,
    chosen,
    dated,
    panel_of,
)
from marketbot_assets.research.history import NORMALIZED, History, Tables
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate

DAYS = sessions(dt.date(2019, 6, 3), 8)
MORE = ("KLEN", "CORR5", "momentum_12_7")


def known_by(tables: Tables, at: dt.datetime) -> Tables:
    """What was known at an instant, of every table."""
    return replace(
        tables,
        **{name: (f := getattr(tables, name))[f["known_at"] <= at].reset_index(drop=True) for name in NORMALIZED},
    )


def test_no_score_knows_what_came_after_its_cutoff(world: Tables, mandate: Mandate) -> None:
    """Scores of the first sessions have the same bits on the tables of their last cutoff alone; outcomes come from later ones."""
    whole = panel_of(History(world, mandate, DAYS[0], DAYS[-1]), mandate, more=MORE)
    cut = known_by(world, computed_cutoff(mandate.schedule, DAYS[3]))
    part = panel_of(History(cut, mandate, DAYS[0], DAYS[3]), mandate, more=MORE)
    assert set(whole.scores) == {*DECISION_FEATURES, *FORECASTS, *MORE}
    columns = [whole.instruments.index(name) for name in part.instruments]
    for name, scores in part.scores.items():
        np.testing.assert_array_equal(scores, whole.scores[name][:4, columns], err_msg=name)
        assert np.isfinite(scores).any(), name
    np.testing.assert_array_equal(part.stormy, whole.stormy[:4])
    assert np.isfinite(whole.stormy).all()
    known = History(world, mandate, DAYS[5], DAYS[5]).at(DAYS[5])
    frame = build_features(known.window, known.macro, world.fundamentals.iloc[:0], known.instruments, DAYS[5])
    own = [whole.instruments.index(str(name)) for name in frame["instrument"]]
    np.testing.assert_array_equal(whole.scores["momentum_12_1"][5, own], frame["momentum_12_1"].to_numpy())
    np.testing.assert_array_equal(whole.returns[5, own], known.window.base_return[-1])
    earned = np.prod(1.0 + known.window.base_return[-252:-126], axis=0) - 1.0
    np.testing.assert_allclose(whole.scores["momentum_12_7"][5, own], earned, rtol=1e-9)


def test_declared_features_are_chosen_by_name_or_group_and_undated_ones_refused() -> None:
    """One by name, a group, all that can be judged; one that reads today's shares is refused by name and left out of a group."""
    undated = [feature for feature in declared() if not dated(feature)]
    assert undated
    assert [feature.name for feature in chosen(["KLEN"])] == ["KLEN"]
    assert len(chosen(["alpha158"])) == 158
    assert len(chosen(["declared"])) == len(declared()) - len(undated)
    with pytest.raises(UsageError, match="shares outstanding"):
        chosen([undated[0].name])
    with pytest.raises(UsageError, match="found NOTHING"):
        chosen(["NOTHING"])


def test_returns_of_a_book_count_from_one_session_to_the_next() -> None:
    """100 -> 110 -> hole -> 99 -> 99: a tenth, then nothing is known until two sessions follow one another."""
    days = DAYS[:5]
    book = pd.DataFrame(
        {"session": pd.to_datetime([days[0], days[1], days[3], days[4]]), "nav": [100.0, 110.0, 99.0, 99.0]}
    )
    np.testing.assert_allclose(book_returns(book, days), [np.nan, 0.1, np.nan, np.nan, 0.0], atol=1e-15)
    assert np.isnan(book_returns(None, days)).all()


@pytest.mark.long
def test_the_command_stores_an_evaluation_and_writes_the_page(tmp_path: Path) -> None:
    """A range is judged with the backtest of the same range as its book; without a range the stored one is shown."""
    told = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    told |= {"DAGSTER_HOME": str(tmp_path / "home" / "dagster"), "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *arguments]
        return subprocess.run(command, env=told, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    period = ("2018-10-01", "2019-01-15")
    assert run("backtest", *period, "--json").returncode == 0
    page = tmp_path / "factors.html"
    done = run("factors", *period, "--declared", "KLEN", "--html", str(page), "--json")
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert view["sessions"] == 73
    assert len(view["scores"]) == len(DECISION_FEATURES) + len(FORECASTS) + 1
    assert page.read_text(encoding="utf-8").count("<summary>") >= len(view["scores"])
    assert all(0.0 <= one["variance_share"] <= 1.0 for one in view["scores"] if one["score"] in ("beta_252d", "KLEN"))
    again = json.loads(run("factors", "--json").stdout)
    assert {**again, "path": view["path"]} == view
    half = run("factors", "2018-10-01")
    assert (half.returncode, "whole range" in half.stderr) == (2, True)
    empty = {**told, "MARKETBOT_HOME": str(tmp_path / "other")}
    told.update(empty)
    assert run("factors").returncode == 2
