"""The mandate chooses the estimator: the older one keeps its numbers, the constrained one its constraint; both are stored alike."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from test_factor_model import model as default_model
from test_features import DAYS, FILED, INSTRUMENTS, N, world

from marketbot_assets.features.build import build_features
from marketbot_assets.features.factor_model import (
    bias_frame,
    cross_section_weights,
    estimate_factor_model,
    from_frame,
    to_frame,
)
from marketbot_assets.features.factor_regression import sector_constraint
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.past import past_of
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import Mandate, parse_mandate

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")


def mandate(estimator: str | None) -> Mandate:
    plain = yaml.safe_load(TEXT)
    plain["volatility"].pop("factor_model")
    if estimator:
        plain["volatility"]["factor_model"] = estimator
    return parse_mandate(yaml.safe_dump(plain))


def made(estimator: str | None) -> tuple[FactorModel, pd.DataFrame, pd.DataFrame]:
    window, macro = world()
    features = build_features(window, macro, FILED, INSTRUMENTS, DAYS[-1])
    stress = scenario_returns(past_of(DAYS, window.base_return, macro.series["SP500"]), np.ones(N), DAYS[-1])
    model = estimate_factor_model(window, macro, features, INSTRUMENTS, mandate(estimator), stress)
    return model, features, bias_frame(window, model, features, INSTRUMENTS, mandate(estimator))


def test_an_older_mandate_means_the_older_estimator() -> None:
    """Stored mandates without the key decide as they did: minimum norm by plain least squares, exponential sums, the floor."""
    model, features, _ = made(None)
    root = np.sqrt(cross_section_weights(features))
    sample = model.returns[-252:]
    factors = np.array([np.linalg.lstsq(model.exposures * root[:, None], r * root, rcond=1e-12)[0] for r in sample])
    weights = 0.5 ** (np.arange(252)[::-1] / 33)
    weights /= weights.sum()
    covariance = 252 * sum(w * np.outer(f, f) for w, f in zip(weights, factors, strict=True))
    residual = sample - factors @ model.exposures.T
    specific = np.maximum(252 * (weights[:, None] * residual**2).sum(axis=0), 0.0025)
    np.testing.assert_allclose(model.factor_covariance, covariance, atol=1e-12)
    np.testing.assert_allclose(model.specific_variance, specific, atol=1e-12)


def test_the_constrained_model_has_the_same_factors_and_keeps_its_constraint() -> None:
    """Names, exposures, returns and scenarios are the same; the weighted sum of sector returns has no variance."""
    old, features, _ = made("minimum_norm")
    new, _, _ = made("constrained")
    assert new.factors == old.factors
    for name in ("exposures", "returns", "beta", "sigma_daily", "scenario_returns"):
        np.testing.assert_array_equal(getattr(new, name), getattr(old, name), err_msg=name)
    c = sector_constraint(new.factors, new.exposures, cross_section_weights(features) ** 2)
    assert abs(c @ new.factor_covariance @ c) < 1e-12
    assert np.linalg.eigvalsh(new.factor_covariance).min() > -1e-12
    assert (new.specific_variance >= 0.0025).all()
    assert not np.allclose(new.factor_covariance, old.factor_covariance, rtol=0.01)


@pytest.mark.parametrize("estimator", ["minimum_norm", "constrained"])
def test_rows_about_bias_change_nothing_that_is_decided(estimator: str) -> None:
    """The stored frame with them gives the model bit for bit; three families, a band of 0.8 to 1.2."""
    model, _, told = made(estimator)
    again = from_frame(pd.concat([to_frame(model), told], ignore_index=True))
    for name in model.__slots__:
        np.testing.assert_array_equal(getattr(model, name), getattr(again, name), err_msg=name)
    assert list(told["key"]) == ["factor", "random", "optimized"]
    for values in told["values"]:
        assert values[1:3] == pytest.approx([0.8, 1.2])
        assert np.isfinite(values).all()


def test_another_word_is_refused() -> None:
    """The mandate names one of the two."""
    with pytest.raises(MandateError):
        mandate("best")


def test_the_default_mandates_model_is_the_one_it_names() -> None:
    """What the other tests call the model is the file's."""
    expected, _, _ = made(str(yaml.safe_load(TEXT)["volatility"]["factor_model"]))
    np.testing.assert_array_equal(default_model().factor_covariance, expected.factor_covariance)
