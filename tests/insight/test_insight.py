"""The return model finds what is there and otherwise keeps the mandate's weights; forecasts leave out what is unknown."""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
from test_factor_model import model as factor_model
from test_features import DAYS, FILED, INSTRUMENTS, world

from marketbot_assets.features.build import build_features
from marketbot_assets.insight.forecasts import annual_volatility, forecast
from marketbot_assets.insight.heuristic import heuristic_context
from marketbot_assets.insight.return_model import (
    ReturnModel,
    fit_return_model,
    from_frame,
    model_in_force,
    needs_refit,
    refit_word,
    spec_sha256,
    standardize,
    to_frame,
)
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.mandate import parse_mandate

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))


def window_of(returns: np.ndarray) -> MarketWindow:
    days = tuple(dt.date(2010, 1, 1) + dt.timedelta(days=n) for n in range(len(returns)))
    ones = np.ones_like(returns)
    ids = tuple(f"I{n:02d}" for n in range(returns.shape[1]))
    return MarketWindow(days, ids, ones, ones, ones, ones, ones, ones, returns, returns, ones, ones.astype(bool))


def trending(sign: float) -> MarketWindow:
    """Names whose drift persists (+1) and noise."""
    draw = np.random.default_rng(5)
    drift = sign * np.linspace(-0.002, 0.002, 30)
    return window_of(drift + 0.01 * draw.standard_normal((1000, 30)))


def test_without_data_the_mandates_weights_stand() -> None:
    """Too short a history: exactly the prior, and the card says so."""
    made = fit_return_model(window_of(np.zeros((260, 30))), MANDATE)
    assert dict(zip(made.scores, made.coefficients, strict=True)) == MANDATE.portfolio.score_weights
    assert "mandate's weights stand" in str(made.card["method"])


def test_persistent_drift_raises_momentum() -> None:
    """Where winners keep winning, momentum's coefficient rises above the prior."""
    made = fit_return_model(trending(1.0), MANDATE)
    assert dict(zip(made.scores, made.coefficients, strict=True))["momentum_12_1"] > 0.45
    assert float(made.card["information_coefficient_in_sample"]) > 0.2  # type: ignore[arg-type]


def test_labels_end_before_the_fit() -> None:
    """Changing the returns of the last five sessions changes nothing: labels are purged with an embargo."""
    window = trending(1.0)
    before = fit_return_model(window, MANDATE)
    window.base_return[-5:] = 0.5
    assert fit_return_model(window, MANDATE) == before


def test_round_trip_and_refit_rule() -> None:
    """Stored and read it is the same model; it refits after five sessions or with another specification."""
    made = fit_return_model(trending(1.0), MANDATE)
    assert from_frame(to_frame(made)) == made
    spec = spec_sha256(MANDATE)
    cases = [(made, 4, spec, False), (made, 5, spec, True), (made, 0, "other", True), (None, 0, spec, True)]
    for known, age, wanted, refit in cases:
        assert needs_refit(known, sessions_since_fit=age, spec=wanted) is refit


def broken() -> ReturnModel:
    raise np.linalg.LinAlgError("singular")


def overflowing() -> ReturnModel:
    """One return that no float can be squared with: the fit itself says that its numbers are not finite."""
    window = trending(1.0)
    window.base_return[600, 3] = 1e300
    with np.errstate(all="ignore"):
        return fit_return_model(window, MANDATE)


@pytest.mark.parametrize("fails", [broken, overflowing])
@pytest.mark.parametrize(("age", "stands"), [(4, True), (5, True), (20, True), (21, False)])
def test_a_refit_that_fails_leaves_the_fit_before_it_for_a_month(
    fails: Callable[[], ReturnModel], age: int, stands: bool
) -> None:
    """Then, with another specification, or without a model before, the failure is raised: nothing is decided."""
    made, spec = fit_return_model(trending(1.0), MANDATE), spec_sha256(MANDATE)
    if stands:
        assert model_in_force(made, fails, sessions_since_fit=age, spec=spec) is made
    for known, wanted in [(None, spec), (made, "other"), *([] if stands else [(made, spec)])]:
        with pytest.raises((np.linalg.LinAlgError, FloatingPointError)):
            model_in_force(known, fails, sessions_since_fit=age, spec=wanted)


def test_a_bug_is_no_failed_refit() -> None:
    """What is not a numerical failure is raised, however fresh the model before is."""
    made = fit_return_model(trending(1.0), MANDATE)
    with pytest.raises(KeyError):
        model_in_force(made, lambda: {}["x"], sessions_since_fit=5, spec=spec_sha256(MANDATE))


def test_the_page_says_what_became_of_the_refit() -> None:
    assert [refit_word(age).split(":")[0] for age in (0, 1, 4, 5, 20)] == [
        "fitted in this session", "not due", "not due", "due and failed", "due and failed",
    ]  # fmt: skip


def test_scores_are_standardized_over_known_names_only() -> None:
    """Mean zero, deviation one over the known; a name with one unknown score has none."""
    z = standardize(np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [np.nan, 8.0]]))
    np.testing.assert_allclose(z[:3].mean(axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(z[:3].std(axis=0), 1.0)
    assert np.isnan(z[3]).all()


def features() -> pd.DataFrame:
    window, macro = world()
    return build_features(window, macro, FILED, INSTRUMENTS, DAYS[-1])


def test_the_inverse_volatility_book_earns_the_prior() -> None:
    """The equilibrium is scaled so that this book's prior return is the mandate's."""
    window, _ = world()
    risk, frame = factor_model(), features()
    made = forecast(fit_return_model(window, MANDATE), frame, risk, MANDATE)
    weights = 1 / annual_volatility(risk.ewma_root(), risk.ledoit_wolf_root())
    assert made["prior"].to_numpy() @ (weights / weights.sum()) == pytest.approx(0.04, rel=1e-12)
    np.testing.assert_allclose(made["expected_return"], made["prior"] + made["tilt"])
    assert (made["uncertainty"] > 0).all()


def test_a_name_without_a_required_feature_has_no_forecast() -> None:
    """Unknown in, unknown out, and the others are standardized without it."""
    window, _ = world()
    frame = features()
    frame.loc[1, "momentum_12_1"] = np.nan
    frame.loc[1, "complete"] = False
    made = forecast(fit_return_model(window, MANDATE), frame, factor_model(), MANDATE)
    assert np.isnan(made.loc[1, "expected_return"])
    assert np.isfinite(made.drop(index=1)["expected_return"]).all()


def test_context_is_bounded_marked_and_cites_what_it_read() -> None:
    """Every view lies in [-1, 1], names its evidence, and says that rules made it; news from the future is not read."""
    cutoff = dt.datetime(2017, 2, 3, 22, tzinfo=dt.UTC)
    news = pd.DataFrame(
        {
            "headline_id": ["n1", "n2"],
            "instrument": ["I0", "I1"],
            "headline": ["A beats expectations and raises its outlook", "B warns of weaker demand"],
            "publisher": ["p", "p"],
            "known_at": [cutoff - dt.timedelta(days=1), cutoff + dt.timedelta(hours=1)],
            "synthetic": [True, True],
        }
    )
    made = heuristic_context(features(), INSTRUMENTS, news, cutoff).set_index("subject")
    assert made["score"].between(-1, 1).all()
    assert set(made["source"]) == {"fallback"}
    assert made.loc["I0", "score"] > 0
    assert made.loc["I0", "evidence"] == "n1"
    assert "I1" not in made.index
