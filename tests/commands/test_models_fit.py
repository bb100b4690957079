"""`models fit` on a home: what it learns from, what it leaves on record, what it never touches."""

from pathlib import Path

import numpy as np
import pytest
from views_world import LAST, Command, table

from marketbot_assets.commands.models_fit import _panel
from marketbot_assets.insight.forecast_fit import forecast_of
from marketbot_assets.insight.price_panel import FEATURES, SCORES, feature_versions
from marketbot_assets.insight.training import TrainingRule, versions_of
from marketbot_assets.model_registry import ModelRegistry
from marketbot_assets.model_trials import trials
from marketbot_assets.research.promotion import evidence_of
from marketbot_resources.errors import StoreError
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import Reader


def test_ridge_is_fitted_tried_and_recorded_as_a_candidate(home: Path, marketbot: Command) -> None:
    """The panel ends with the features that the graph stored; the same again records nothing; the baseline still decides."""
    said = marketbot(home, "models", "fit", "ridge", "--json")
    view, lake = said.json, Lake(home)
    assert (said.code, view["accepted"], view["state"], view["fitted_on"]) == (0, True, "candidate", LAST)
    assert view["evidence"] == "kept"
    assert view["metrics"]["sessions"] >= 252
    assert view["metrics"]["interval_coverage"] == pytest.approx(0.8, abs=0.05)
    registry = ModelRegistry(lake, "return_model")
    assert registry.in_force()[1] is None
    spec, fit = registry.spec(view["spec"]), registry.fit(view["fit"])
    panel = _panel(Reader(lake, registry.events()[0].session, allowed=None), *_rules(lake))
    stored = table(home, "features", LAST).set_index("instrument").loc[list(panel.instruments), list(SCORES)].to_numpy()
    known = np.isfinite(stored).all(axis=1)
    z = np.clip((stored - np.nanmean(stored, axis=0)) / np.nanstd(stored, axis=0), -3.0, 3.0)
    np.testing.assert_allclose(panel.of(SCORES).values[-1][known], z[known], atol=1e-9)
    told = forecast_of(spec, fit, panel.of(SCORES).values[-1], feature_versions())
    weights = [fit.coefficients[name] for name in SCORES]
    np.testing.assert_allclose(told.expected[known], z[known] @ weights, atol=1e-9)
    assert fit.card.data_sha256 == panel.sha256
    evidence = evidence_of(lake.objects.get_blob(registry.state().standings[view["spec"]].evidence))
    assert (evidence.spec_sha256, len(evidence.returns)) == (view["spec"], view["metrics"]["sessions"])
    assert [trial.spec_sha256 for trial in trials(lake.ledger, "return_model")] == [view["spec"]]
    head = lake.ledger.size()
    again = marketbot(home, "models", "fit", "ridge")
    assert "fit accepted; it is on record already" in again.out
    assert [trial.number for trial in trials(Lake(home).ledger, "return_model")] == [1]
    assert (again.code, Lake(home).ledger.size() - head) == (0, 0), "the same fit is recorded once"
    path = home / "store" / blob_key(view["fit"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(StoreError):
        ModelRegistry(Lake(home), "return_model").fit(view["fit"])


def _rules(lake: Lake):  # type: ignore[no-untyped-def]
    read = Reader(lake, ModelRegistry(lake, "return_model").events()[0].session, allowed=None)
    return read.mandate(), TrainingRule()


@pytest.mark.long
@pytest.mark.parametrize("family", ["ewma_momentum", "boosting", "ensemble"])
def test_every_family_is_fitted_on_a_home(home: Path, marketbot: Command, family: str) -> None:
    view = marketbot(home, "models", "fit", family, "--window", "1000", "--seed", "3", "--json").json
    registry = ModelRegistry(Lake(home), "return_model")
    spec = registry.spec(view["spec"])
    assert (spec.family, spec.training["window_rows"], spec.training["seed"]) == (family, 1000, 3)
    assert set(versions_of(spec)) == set(spec.features) <= set(FEATURES)
    assert view["metrics"]["interval_coverage"] == pytest.approx(0.8, abs=0.05)
    other = marketbot(home, "models", "fit", "ridge", "--json").json
    counted = trials(Lake(home).ledger, "return_model")
    assert [trial.spec_sha256 for trial in counted] == [view["spec"], other["spec"]]
    assert len({trial.data_sha256 for trial in counted}) == 1, "so that overfitting can be told"
    assert view["evidence"] == "kept"
