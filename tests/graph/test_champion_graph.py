"""The registry's champion in the graph: it decides a session that replays, an altered file hands the next one to the baseline."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest
from graph_world import AFTER, NEXT, SECOND, Home, command

from marketbot_assets.champion_facts import panel
from marketbot_assets.insight.families import boosting_spec, ridge_spec
from marketbot_assets.insight.fit_gate import FitJudgement
from marketbot_assets.insight.forecast_fit import fit_model
from marketbot_assets.insight.lead import lead_of
from marketbot_assets.insight.model_card import ModelSpec
from marketbot_assets.insight.price_panel import SCORES, feature_versions
from marketbot_assets.insight.training import TrainingRule
from marketbot_assets.model_registry import RETURN_MODEL, ModelRegistry
from marketbot_assets.research.promotion import Evidence, Shadow
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import Reader

DAY = dt.date.fromisoformat(SECOND)
DECLARED = ("momentum_6_1", "drawdown_126d")  # declared features, which no decision reads by itself
METRICS = {"information_coefficient": 0.03, "residual_deviation": 0.95}


def record(ratio: float, sessions: int = 1008) -> np.ndarray:
    drawn = np.random.default_rng(5).standard_normal(sessions)
    return 0.01 * ((drawn - drawn.mean()) / drawn.std(ddof=1) + ratio / np.sqrt(252))


def spec_of(family: str) -> ModelSpec:
    versions = feature_versions((*SCORES, *DECLARED))
    if family == "ridge":
        return ridge_spec(versions, {SCORES[0]: 0.4, DECLARED[0]: 0.4}, TrainingRule())
    return boosting_spec(versions, TrainingRule())


def crown(home: Home, family: str) -> tuple[ModelSpec, str]:
    """A specification with a record by hand is champion before the next session; its fit is nine sessions old."""
    lake, spec = home.lake, spec_of(family)
    read = Reader(lake, DAY, allowed=None)
    registry = ModelRegistry(lake, RETURN_MODEL)
    made = fit_model(spec, panel(read, spec, spec.features, 2520), half_width=1.2, metrics=METRICS, code_version="c")
    fit = replace(made, fitted_on=dt.date(2018, 12, 3))
    registry.register(spec, DAY)
    proof = Evidence(spec.sha256, "d" * 64, record(3.0), record(2.5), np.full(5, 2.0), 0.8, 800, 1000, 0.0, False)
    registry.submit(proof, code_version="c", session=DAY, at=read.cutoff)
    registry.record_fit(fit, FitJudgement(()), session=DAY, at=read.cutoff)
    registry.promote(spec.sha256, DAY)
    registry.track(spec.sha256, Shadow(record(1.0, 80), record(1.0, 80)), session=DAY, at=read.cutoff)
    assert registry.promote(spec.sha256, DAY)[1].promoted
    return spec, fit.sha256


def flip(home: Home, name: str) -> None:
    path = home.path / "store" / blob_key(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.long
def test_a_champion_decides_a_session(home: Home, undisturbed: Home) -> None:
    """Its refit is used at once, forecasts are the prior and its scores, the run replays itself, and an order leads to its file."""
    spec, first = crown(home, "ridge")
    assert home.run(NEXT)
    lead = lead_of(home.frame("return_model", NEXT))
    assert lead is not None
    registry = ModelRegistry(home.lake, RETURN_MODEL)
    assert (lead.spec, lead.weight, lead.why) == (spec.sha256, 1.0, "champion")
    assert [name for name, good in registry.state().standings[spec.sha256].fits if good] == [first, lead.fit]
    fit, read = registry.fit(lead.fit), Reader(home.lake, dt.date.fromisoformat(NEXT), allowed=None)
    stored = home.frame("features", NEXT).set_index("instrument")[list(SCORES)]
    told = panel(read, spec, spec.features, 1010)
    z = told.values[-1]
    known = np.isfinite(z).all(axis=1)
    own = stored.loc[list(told.instruments)].to_numpy()[known]
    every = stored.loc[list(told.instruments)].to_numpy()
    by_hand = np.clip((own - np.nanmean(every, axis=0)) / np.nanstd(every, axis=0), -3, 3)
    np.testing.assert_allclose(z[known][:, :3], by_hand, atol=1e-9)
    expected = z[known] @ [fit.coefficients[name] for name in spec.features]
    names = [name for name, good in zip(told.instruments, known, strict=True) if good]
    assert lead.expected == pytest.approx(dict(zip(names, expected.tolist(), strict=True)), abs=2e-9)
    frame = home.frame("forecasts", NEXT).set_index("instrument")
    said = np.array([lead.expected[name] for name in names])
    scores = np.clip((said - said.mean()) / said.std(), -3, 3) * min(1.0, said.std() / 0.05)
    assert set(frame.index[frame["score"].notna()]) == set(names)
    np.testing.assert_allclose(frame.loc[names, "score"], scores, atol=1e-6)
    base = undisturbed.frame("forecasts", NEXT).set_index("instrument")
    assert undisturbed.frame("return_model", NEXT)["name"].tolist() == ["ridge-to-mandate"]
    assert undisturbed.frame("model_watch", NEXT).empty
    assert (frame["prior"].dropna() == base["prior"].dropna()).all()
    assert not np.allclose(frame.loc[names, "score"], base.loc[names, "score"])
    checked = home.frame("replay_check", NEXT).set_index("asset")
    assert checked["same"].all()
    assert {"return_model", "forecasts", "orders"} <= set(checked.index)
    assert home.said(NEXT, "RC-88") == ""
    assert home.lake.manifest(_row(home, "return_model"))["blobs"] == [lead.fit]
    days = home.frame("model_watch", NEXT)
    assert set(days.loc[days["kind"] == "DAY", "fit_sha256"]) == {lead.fit}
    facts = home.frame("decision_record", NEXT).set_index("asset")["text"]
    assert (facts["champion_spec_sha256"], facts["champion_fit_sha256"]) == (spec.sha256, lead.fit)


def _row(home: Home, asset: str):  # type: ignore[no-untyped-def]
    row = home.lake.index.newest(asset, NEXT)
    assert row is not None
    return row


@pytest.mark.long
@pytest.mark.parametrize("family", ["ridge", "boosting"])
def test_an_altered_file_and_a_rollback(home: Home, undisturbed: Home, family: str) -> None:
    """One byte: the baseline decides the next session and RC-88 says so; the replay of the session before names the file."""
    _, first = crown(home, family)
    assert home.run(NEXT)
    lead = lead_of(home.frame("return_model", NEXT))
    assert lead is not None
    assert lead.weight == 1.0
    replayed = command(home.path, "replay", "--session", NEXT)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    told = command(home.path, "explain", sorted(home.sent(NEXT))[0])
    assert (told.returncode, lead.fit[:12] in told.stdout) == (0, True), told.stderr
    flip(home, lead.fit)
    assert home.run(AFTER)
    silent = lead_of(home.frame("return_model", AFTER))
    assert silent is not None
    assert (silent.weight, silent.fit) == (0.0, "")
    assert "its file is refused" in silent.why
    assert "WARN the champion moves nothing: its file is refused" in home.said(AFTER, "RC-88")
    assert home.verdict(AFTER) == "APPROVED"
    other = undisturbed.copy(home.path.parent / "other")
    assert other.run(AFTER)
    for column in ("score", "uncertainty"):
        assert home.frame("forecasts", AFTER)[column].equals(other.frame("forecasts", AFTER)[column]), (
            "the baseline's, bit for bit"
        )
    assert command(home.path, "verify").returncode != 0
    broken = command(home.path, "replay", "--session", NEXT, "--json")
    assert broken.returncode == 1
    assert "return_model" in broken.stdout
    flip(home, lead.fit)
    assert command(home.path, "replay", "--session", NEXT).returncode == 0
    back = command(home.path, "models", "rollback", "--reason", "worse", "--json")
    if lead.fit == first:  # the gate refused the refit: there is no fit before
        assert back.returncode == 2
    else:
        assert (back.returncode, json.loads(back.stdout)["fit"]) == (0, first)
    assert home.run("2018-12-18")
    rolled = lead_of(home.frame("return_model", "2018-12-18"))
    assert rolled is not None
    assert rolled.weight == (0.0 if lead.fit == first else 1.0), (
        "what could not be watched has no trust; a rollback begins anew"
    )
