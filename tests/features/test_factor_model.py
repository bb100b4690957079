"""The factor model agrees with independent estimators, is positive semidefinite, and replays only what is over."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as published_ledoit_wolf
from test_features import DAYS, FILED, INSTRUMENTS, N, world

from marketbot_assets.features.build import build_features
from marketbot_assets.features.factor_model import estimate_factor_model, from_frame, ledoit_wolf, shrunk_beta, to_frame
from marketbot_assets.features.past import past_of
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.features.stress_windows import WINDOWS
from marketbot_resources.mandate import parse_mandate

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))


def model():  # type: ignore[no-untyped-def]
    window, macro = world()
    frame = build_features(window, macro, FILED, INSTRUMENTS, DAYS[-1])
    stress = scenario_returns(past_of(DAYS, window.base_return, macro.series["SP500"]), np.ones(N), DAYS[-1])
    return estimate_factor_model(window, macro, frame, INSTRUMENTS, MANDATE, stress)


@pytest.mark.parametrize("shape", [(252, 10), (60, 40), (30, 5)])
def test_ledoit_wolf_equals_the_published_estimator(shape: tuple[int, int]) -> None:
    """Against scikit-learn's implementation of the same paper, mean taken as zero."""
    returns = 0.01 * np.random.default_rng(4).standard_normal(shape)
    shrinkage, target = ledoit_wolf(returns)
    expected, weight = published_ledoit_wolf(returns, assume_centered=True)
    ours = (1 - shrinkage) * returns.T @ returns / len(returns) + shrinkage * target * np.eye(shape[1])
    assert shrinkage == pytest.approx(weight, rel=1e-9)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-15)


def test_roots_are_square_roots_of_the_estimators() -> None:
    """R'R is the covariance that the docstring promises, by explicit sums."""
    made = model()
    age = np.arange(len(made.returns))[::-1]
    weights = 0.5 ** (age / 33)
    ewma = sum(w * np.outer(r, r) for w, r in zip(weights / weights.sum(), made.returns, strict=True))
    np.testing.assert_allclose(made.ewma_root().T @ made.ewma_root(), ewma, atol=1e-15)
    sample = made.returns[-252:].T @ made.returns[-252:] / 252
    expected = (1 - made.shrinkage) * sample + made.shrinkage * made.shrink_variance * np.eye(N)
    np.testing.assert_allclose(made.ledoit_wolf_root().T @ made.ledoit_wolf_root(), expected, atol=1e-15)


def test_factor_covariance_is_positive_semidefinite_and_explains_the_book() -> None:
    """No negative variance; the factor form and the plain sample agree on an equal-weight book within a fifth."""
    made = model()
    assert np.linalg.eigvalsh(made.factor_covariance).min() > -1e-12
    equal = np.full(N, 1 / N)
    sigma = made.exposures @ made.factor_covariance @ made.exposures.T + np.diag(made.specific_variance)
    plain = np.linalg.norm(made.ewma_root() @ equal) * np.sqrt(252)
    assert np.sqrt(equal @ sigma @ equal) == pytest.approx(plain, rel=0.2)


def test_a_name_without_history_has_the_markets_beta() -> None:
    """Fewer than sixty observations: beta one."""
    window, macro = world()
    window.base_return[:-40, 3] = np.nan
    assert shrunk_beta(window.base_return, macro.series["SP500"])[3] == 1.0


def test_round_trip_is_exact() -> None:
    """What is stored is the model, bit for bit."""
    made = model()
    again = from_frame(to_frame(made))
    for name in made.__slots__:
        np.testing.assert_array_equal(getattr(made, name), getattr(again, name), err_msg=name)


def flat_history(last: dt.date) -> tuple[list[dt.date], np.ndarray, np.ndarray]:
    days = [dt.date(1998, 1, 1) + dt.timedelta(days=n) for n in range((last - dt.date(1998, 1, 1)).days + 1)]
    return days, np.full((len(days), 2), 0.0), np.full(len(days), 100.0)


def test_a_window_counts_only_after_its_end() -> None:
    """On the last day of a crash it is no scenario yet; on the next session it is."""
    window = next(w for w in WINDOWS if w.name == "H2018Q4")
    for session, there in ((window.end, False), (window.end + dt.timedelta(days=1), True)):
        days, returns, index = flat_history(session)
        assert ("H2018Q4" in scenario_returns(past_of(days, returns, index), np.ones(2), session).names) is there


def test_replay_compounds_and_gaps_are_proxied_by_beta() -> None:
    """A name with data replays its own returns, one without takes beta times the index, marked."""
    days, returns, index = flat_history(dt.date(2012, 1, 3))
    window = next(w for w in WINDOWS if w.name == "H2011")
    inside = np.array([window.start < day <= window.end for day in days])
    returns[inside, 0] = -0.01
    returns[:, 1] = np.nan
    index[np.array(days) > window.start] = 80.0
    made = scenario_returns(past_of(days, returns, index), np.array([1.0, 1.5]), dt.date(2012, 1, 3))
    row = made.names.index("H2011")
    assert made.returns[row, 0] == pytest.approx(0.99 ** inside.sum() - 1, rel=1e-12)
    assert made.returns[row, 1] == pytest.approx(1.5 * -0.2)
    assert made.proxied[row].tolist() == [False, True]


def test_windows_before_our_own_history_are_proxied_by_the_published_loss() -> None:
    """A history that begins in 2015 still faces 2008: beta times the index's published loss, floored, marked; never left out."""
    days = [dt.date(2015, 1, 1) + dt.timedelta(days=n) for n in range(400)]
    returns, index = np.zeros((len(days), 2)), np.full(len(days), 100.0)
    made = scenario_returns(past_of(days, returns, index), np.array([1.2, 3.0]), days[-1])
    row = made.names.index("H2008")
    assert made.returns[row] == pytest.approx([1.2 * -0.568, -0.95])
    assert made.proxied[row].tolist() == [True, True]
    inside = made.names.index("H2015")
    assert made.returns[inside].tolist() == [0.0, 0.0]
    assert not made.proxied[inside].any()
    silent = scenario_returns(past_of(days, returns, np.full(len(days), np.nan)), np.ones(2), days[-1])
    assert silent.returns[silent.names.index("H1998")] == pytest.approx([-0.193] * 2)


def test_published_index_losses_of_the_windows() -> None:
    """Losses of the S&P 500 in the stress library, as published there, from the packaged index."""
    from marketbot_resources.market.sample_world import real_closes

    _, series = real_closes()
    days = [stamp.date() for stamp in series.index]
    published = {"H1998": -0.193, "H2000": -0.491, "H2008": -0.568, "H2008L": -0.399, "H2010": -0.160, "H2011": -0.168}
    published |= {"H2015": -0.112, "H2018F": -0.102, "H2018Q4": -0.198, "H2020": -0.339, "H2022": -0.254}
    index = series.to_numpy(dtype=float)
    made = scenario_returns(past_of(days, np.full((len(days), 1), np.nan), index), np.ones(1), dt.date(2022, 12, 28))
    found = dict(zip(made.names, made.returns[:, 0], strict=True))
    for name, loss in published.items():
        assert found[name] == pytest.approx(loss, abs=0.0006), name
