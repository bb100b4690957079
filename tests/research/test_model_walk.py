"""A planted model all the way: candidate, shadow, champion, drift, baseline, rollback, an altered file, retired; by itself."""

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import registry_writer as writer
from model_walk_world import DAYS, NAMES, RULES, Walk
from scipy.stats import spearmanr
from test_promotion import GOOD, record

from marketbot_assets import model_watch_facts
from marketbot_assets.insight.model_states import State, What
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import Reader

START = 700
COST_BPS = 13.5  # of the dearest market and of a currency


def states(walk: Walk, spec: str) -> list[str]:
    """Every state that it came to, in order."""
    moved = [event for event in walk.registry.events() if event.spec == spec and event.what is What.MOVED]
    return [str(event.to) for event in moved]


def flip(home: Path, fit: str) -> None:
    path = home / "store" / blob_key(fit)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_model_earns_its_place_loses_trust_and_is_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody promotes it: the rule does, after 60 sessions whose shadow agrees; each loss of trust moves the next session."""
    walk = Walk.begin(tmp_path / "home", monkeypatch, START)
    assert walk.session() is None, "nothing registered: nothing in the table"
    assert walk.watch().empty
    spec = walk.register()
    assert walk.session() is None
    assert states(walk, spec.sha256) == ["shadow"], "by the first session's end"
    for _ in range(61):
        assert walk.session() is None, "a shadow moves nothing"
    _shadow_by_hand(walk, spec.sha256)
    assert states(walk, spec.sha256) == ["shadow", "champion"]
    lead = walk.session()
    assert lead is not None
    assert (lead.spec, lead.weight, lead.why) == (spec.sha256, 1.0, "champion")
    assert lead.fit == walk.registry.state().standings[spec.sha256].fit
    assert len(lead.expected) == NAMES
    walk.share = 0.3
    assert walk.session().weight == 1.0, "measured after the decision"  # type: ignore[union-attr]
    walk.share = 0.5
    assert walk.session().weight == 0.5, "half trust since the session before"  # type: ignore[union-attr]
    fallen = walk.session()
    assert fallen is not None
    assert (fallen.weight, fallen.why) == (0.0, "the champion has drifted: the baseline decides")
    assert fallen.fit, "it is watched all the same"
    fits = walk.registry.state().standings[spec.sha256].accepted
    walk.registry.rollback(DAYS[walk.at - 1], "drifted")
    walk.share = 0.05
    back = walk.session()
    assert back is not None
    assert (back.weight, back.fit) == (1.0, fits[-2])
    flip(walk.lake.home, back.fit)
    refused = walk.session()
    assert refused is not None
    assert (refused.weight, refused.fit) == (0.0, "")
    assert "its file is refused" in refused.why
    drift = [event for event in walk.registry.events() if event.what is What.DRIFT]
    assert [int(event.trust or 0) for event in drift] == [0, 1, 2, 2, 0, 2]
    assert "residuals against those of the training: not known" in drift[-1].reasons


def _shadow_by_hand(walk: Walk, spec: str) -> None:
    """Earnings, labels and ranks of the stored forecasts, worked out from the world alone."""
    frame = walk.watch()
    days = frame[frame["kind"] == "DAY"].set_index("session")
    assert set(days["state"]) == {"shadow"}
    said = frame[frame["kind"] == "FORECAST"].pivot(index="session", columns="instrument", values="expected")
    day, then = (stamp for stamp in sorted(said.index)[-2:][::-1])
    row = DAYS.index(then.date())
    before = sorted(said.index)[-3]
    weights = [_weights(said.loc[one].to_numpy()) for one in (before, then)]
    cost = np.abs(weights[1] - weights[0]).sum() * COST_BPS / 1e4
    assert days.loc[then, "earned"] == pytest.approx(float(weights[1] @ walk.panel.returns[row]) - cost, abs=1e-12)
    assert days.loc[then, "remade"] == days.loc[then, "earned"], "nothing was revised"
    assert math.isnan(days.loc[day, "earned"]), "not known yet"
    judged = days[days["squared_error"].notna()]
    assert len(judged) == len(days) - 21, "a horizon later"
    assert days["earned"].notna().sum() == len(days) - 1
    tracked = [event for event in walk.registry.events() if event.spec == spec and event.what is What.TRACKED]
    assert len(tracked) == len(days) - 1
    oldest = sorted(said.index)[0]
    label, score = walk.panel.labels[DAYS.index(oldest.date())], said.loc[oldest].to_numpy()
    if not math.isnan(days.loc[oldest, "squared_error"]):
        assert days.loc[oldest, "ic"] == pytest.approx(spearmanr(score, label).statistic)
        assert days.loc[oldest, "squared_error"] == pytest.approx(((label - score) ** 2).mean())


def _weights(scores: np.ndarray) -> np.ndarray:
    apart = np.argsort(np.argsort(scores)) - (len(scores) - 1) / 2
    return np.asarray(apart / np.abs(apart).sum())


def test_a_worthless_model_is_refused_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for its evidence, again for new evidence; a session that is not the newest leaves nothing in the ledger."""
    walk = Walk.begin(tmp_path / "home", monkeypatch, START)
    day, at = DAYS[START - 1], computed_cutoff(RULES.schedule, DAYS[START - 1])
    walk.registry.register(writer.SPEC, day)
    assert walk.session() is None
    assert [event.what for event in walk.registry.events()] == [What.REGISTERED], "without evidence it is not judged"
    for seed, refused in ((3, 1), (4, 2)):
        poor = replace(GOOD, spec_sha256=writer.SPEC.sha256, returns=record(0.1, seed), costly=record(0.1, seed))
        walk.registry.submit(poor, code_version="c", session=day, at=at)
        for _ in range(2):
            walk.session()
        assert [event.what for event in walk.registry.events()].count(What.REFUSED) == refused
    walk.registry.submit(replace(poor, contaminated=True), code_version="c", session=day, at=at)
    head, old = walk.lake.ledger.size(), Reader(walk.lake, DAYS[walk.at - 2], allowed=None)
    frame, watched = model_watch_facts.watched(old, walk.lake.ledger)
    assert model_watch_facts.record(old, walk.lake, frame, watched) == ["not the newest session: nothing recorded"]
    assert walk.lake.ledger.size() == head


@pytest.mark.long
def test_a_model_whose_world_turns_is_retired_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it learnt turns round after it became champion: trust is lost by its own record, and after 60 sessions its place."""
    walk = Walk.begin(tmp_path / "home", monkeypatch, START, turns_at=START + 64)
    spec = walk.register()
    weights: list[float] = []
    retired: dt.date | None = None
    for _ in range(260):
        lead = walk.session()
        weights.append(math.nan if lead is None else lead.weight)
        if walk.registry.state().standings[spec.sha256].state is State.RETIRED:
            retired = DAYS[walk.at - 1]
            break
    led = [weight for weight in weights if not math.isnan(weight)]
    assert led[0] == 1.0
    assert led[-1] == 0.0
    assert retired is not None
    assert states(walk, spec.sha256) == ["shadow", "champion", "retired"]
    assert walk.session() is None
    drift = [e for e in walk.registry.events() if e.what is What.DRIFT and e.trust]
    first = next(place for place, weight in enumerate(led) if weight < 1.0)
    print(f"{len(led)} sessions as champion, first doubt after {first}: {drift[0].reasons}")
