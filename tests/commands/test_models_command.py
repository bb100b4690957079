"""`models`: what a home with two models shows, promotes, refuses and rolls back."""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from views_world import Command

from marketbot_assets.insight.fit_gate import FitJudgement
from marketbot_assets.insight.model_card import Fit, ModelCard, ModelSpec
from marketbot_assets.model_registry import KIND, ModelRegistry
from marketbot_assets.model_trials import BACKTEST, record_backtest, trials
from marketbot_assets.research.promotion import Evidence, Shadow
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import blob_key

MANDATE = Path(__file__).parents[2] / "mandate.yaml"
DAY, AT = dt.date(2018, 12, 3), dt.datetime(2018, 12, 3, 22, tzinfo=dt.UTC)
GOOD_SPEC = ModelSpec("ridge", ("momentum_12_1",), {"penalty": 320.0}, {"horizon_sessions": 21})
POOR_SPEC = replace(GOOD_SPEC, family="lasso")
CARD = ModelCard("tilts", "d" * 64, 1.0, 200, GOOD_SPEC.features, 0, "c" * 16, {"ic": 0.05}, "one world")
FITS = [
    Fit(GOOD_SPEC.sha256, DAY + dt.timedelta(n), {"momentum_12_1": 0.4 + 0.01 * n}, {}, replace(CARD, seed=n))
    for n in range(2)
]


def record(ratio: float, sessions: int = 1008) -> np.ndarray:
    """Normal returns, deviation 1 %, with exactly this ratio per year."""
    drawn = np.random.default_rng(5).standard_normal(sessions)
    return 0.01 * ((drawn - drawn.mean()) / drawn.std(ddof=1) + ratio / math.sqrt(252))


def evidence(spec: ModelSpec, ratio: float, data: str) -> Evidence:
    made = record(ratio)
    return Evidence(spec.sha256, data, made, record(ratio - 0.3), np.full(5, ratio), 0.8, 800, 1000, 0.0, False)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A session was run; one model has a good record and a shadow's, the other a poor one over other data."""
    lake = Lake(tmp_path / "home")
    lake.ledger.append("session_cutoff", DAY.isoformat(), {"cutoff_at": "2018-12-03T22:00:00Z"})
    registry = ModelRegistry(lake, "return_model")
    registry.register(GOOD_SPEC, DAY)
    registry.submit(evidence(GOOD_SPEC, 2.5, "d" * 64), code_version="c", session=DAY, at=AT)
    for fit in FITS:
        registry.record_fit(fit, FitJudgement(()), session=DAY, at=AT)
    shadow = record(1.0, 80)
    registry.track(GOOD_SPEC.sha256, Shadow(shadow, shadow + record(0.0, 80) / 10), session=DAY, at=AT)
    return lake


def test_a_model_is_promoted_shown_and_rolled_back(lake: Lake, marketbot: Command) -> None:
    """From candidate to champion by two promotions; the check records nothing; the rollback points to the fit before."""
    good, head = GOOD_SPEC.sha256[:10], lake.ledger.size()
    check = marketbot(lake.home, "models", "promote", good, "--check")
    assert (check.code, lake.ledger.size()) == (0, head)
    assert f"{GOOD_SPEC.sha256[:12]} would be shadow" in check.out
    assert "pass  deflated Sharpe" in check.out
    for to in ("shadow", "champion"):
        said = marketbot(lake.home, "models", "promote", good, "--json")
        assert (said.code, said.json["to"], said.json["promoted"], said.json["recorded"]) == (0, to, True, True)
    slot = marketbot(lake.home, "models", "list", "--json").json["slots"][0]
    assert (slot["trials"], slot["in_force"]["fit"], slot["in_force"]["weight"]) == (1, FITS[1].sha256, 1.0)
    assert [(row["family"], row["state"], row["trust"]) for row in slot["models"]] == [("ridge", "champion", "normal")]
    said = marketbot(lake.home, "models", "rollback", "--reason", "worse than before")
    assert (said.code, FITS[0].sha256[:12] in said.out) == (0, True)
    shown = marketbot(lake.home, "models", "show", good, "--json").json
    assert (shown["fit"], shown["card"]["seed"]) == (FITS[0].sha256, 0)
    assert shown["events"][-1]["reasons"] == ["worse than before"]
    assert "rolled_back" in marketbot(lake.home, "models", "show", good).out
    again = marketbot(lake.home, "models", "promote", good)
    assert (again.code, "found" in again.err) == (2, True)


def test_a_poor_record_is_refused_by_name(lake: Lake, marketbot: Command) -> None:
    """Exit 1, each failed test named, the refusal on record, the state as before."""
    registry = ModelRegistry(lake, "return_model")
    registry.register(POOR_SPEC, DAY)
    registry.submit(evidence(POOR_SPEC, 0.2, "e" * 64), code_version="c", session=DAY, at=AT)
    said = marketbot(lake.home, "models", "promote", POOR_SPEC.sha256)
    assert said.code == 1
    assert [line.partition(":")[0] for line in said.out.splitlines() if line.startswith("FAIL")] == [
        "FAIL  deflated Sharpe",
        "FAIL  length",
        "FAIL  overfitting",
        "FAIL  doubled costs",
        "FAIL  block bootstrap",
    ]
    assert lake.ledger.entries(KIND)[-1].body["what"] == "refused"
    assert "lasso            candidate" in marketbot(lake.home, "models", "list").out


def test_a_fit_that_was_altered_shows(lake: Lake, marketbot: Command) -> None:
    """`show` exits 1 and names it; `list` says that the baseline decides."""
    for _ in range(2):
        marketbot(lake.home, "models", "promote", GOOD_SPEC.sha256)
    path = lake.home / "store" / blob_key(FITS[1].sha256)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    said = marketbot(lake.home, "models", "show", GOOD_SPEC.sha256)
    assert (said.code, "FAULT" in said.out) == (1, True)
    force: Mapping[str, object] = marketbot(lake.home, "models", "list", "--json").json["slots"][0]["in_force"]
    assert (force["fit"], force["weight"]) == ("", 0.0)


def test_one_clear_line(lake: Lake, tmp_path: Path, marketbot: Command) -> None:
    """No home, no such model, an ambiguous name, nothing to roll back to, no session yet: exit 2."""
    for words, told in (
        (("show", "ffff"), "expected one specification"),
        (("show", ""), "found 2"),
        (("promote", "--slot", "UPPER", "a"), "slot"),
        (("rollback", "--reason", "x"), "earlier"),
    ):
        ModelRegistry(lake, "return_model").register(POOR_SPEC, DAY)
        said = marketbot(lake.home, "models", *words)
        assert (said.code, told in said.err, said.err.count("\n")) == (2, True, 1), said.err
    assert "no book yet" in marketbot(tmp_path / "none", "models", "list").err
    empty = Lake(tmp_path / "empty")
    assert "the mandate's own" in marketbot(empty.home, "models", "list").out
    assert "marketbot run" in marketbot(empty.home, "models", "rollback", "--reason", "x").err


def test_backtests_are_counted(lake: Lake, marketbot: Command) -> None:
    """Each once: NAV 100, 101, 99.99 returns 0, 1 %, -1 %; another mandate, or a range that begins elsewhere, is one more."""
    sessions = pd.to_datetime(["2018-10-01", "2018-10-02", "2018-10-03", "2018-10-04"])
    frame = pd.DataFrame({"session": sessions, "nav": [100.0, 101.0, 99.99, 99.99]})
    text = MANDATE.read_text(encoding="utf-8")
    mine, other = parse_mandate(text), parse_mandate(text.replace("risk_aversion: 5.0", "risk_aversion: 6.0"))
    assert record_backtest(lake, frame, ["b", "a"], mine, code_version="c")
    assert not record_backtest(lake, frame, ["a", "b", "a"], mine, code_version="c")
    assert record_backtest(lake, frame, ["a", "b"], other, code_version="c")
    assert record_backtest(lake, frame[1:], ["a", "b"], mine, code_version="c")
    first = trials(lake.ledger, BACKTEST)[0]
    returns = np.array([0.0, 0.01, -0.01, 0.0])
    assert first.observations == 4
    assert first.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), abs=1e-9)
    assert "backtest: 3 trials" in marketbot(lake.home, "models", "list").out
