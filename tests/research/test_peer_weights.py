"""Weights are those of other libraries on problems that all can express, and NAV is that of other solvers and simulators."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from peer_series import BENCHMARKS, CHECKOUT, peers_folder

from marketbot_assets.portfolio.risk_parity import parity_weights

LIBRARIES = ("cvxportfolio", "skfolio", "Riskfolio-Lib", "clarabel")
ONE = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")}


def asked(python: Path, script: str, *words: object) -> None:
    """Runs a script of the benchmark in a process of its own."""
    variables = {**os.environ, **ONE, "PYTHONPATH": f"{CHECKOUT}:{BENCHMARKS}"}
    command = [str(python), str(BENCHMARKS / script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def stored(path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the peers; skips where one cannot be installed."""
    from peers import environment

    made = environment(peers_folder(tmp_path_factory.mktemp("peers")) / "cvxportfolio", LIBRARIES)
    if not all(made.has(name) for name in LIBRARIES):
        pytest.skip("the peers cannot be installed here")
    return made.python


def test_the_array_core_earns_what_it_earns_with_raw_clarabel() -> None:
    """NAV to 1e-6 on every day, with fractions and with whole shares: the solver is not what a backtest depends on."""
    from backtest_core import clarabel, play, structured
    from backtest_task import market

    world = market(20, 60)
    for lots in (False, True):
        ours, theirs = (play(world, make(world), lots=lots) for make in (structured, clarabel))
        assert np.abs(ours.nav / theirs.nav - 1.0).max() <= 1e-6
        assert np.abs(ours.weights - theirs.weights).max() <= 1e-5
        assert ours.refused == theirs.refused == 0
        assert ours.traded.sum() > 1.0  # the days do trade


def test_the_book_of_the_array_core_by_hand() -> None:
    """Half of 10 million in a name that gains 10 %, then nothing: 10 bp of 5 million, +500,000, 10 bp of 5.5 million."""
    from backtest_core import bookkeeping, play
    from backtest_task import Market

    returns, nothing = np.array([[0.10, 0.0], [0.0, 0.5]]), np.zeros((2, 2))
    prices = np.array([[100.0, 7.0], [110.0, 7.0], [110.0, 10.5]])
    world = Market(returns, nothing, prices, np.zeros((1, 2)), np.ones(2), np.array([0, 1]), 0.6, 0.6)
    aims = np.array([[0.5, 0.0], [0.0, 0.0]])
    days = iter(aims)
    expected = [10_000_000.0, 10_495_000.0, 10_489_500.0]
    assert play(world, lambda mu, now: next(days), lots=True).nav == pytest.approx(expected)
    assert bookkeeping(world, aims) == pytest.approx(expected)


@pytest.mark.parametrize("aim", [0.7, np.nan], ids=["above the cap", "unknown"])
def test_the_array_core_buys_nothing_that_breaks_a_limit(aim: float) -> None:
    """Above the cap or unknown: no buy, and NAV stays."""
    from backtest_core import play
    from backtest_task import Market

    ones = np.ones((3, 2))
    world = Market(0.1 * ones, ones, 100.0 * np.ones((4, 2)), np.zeros((1, 2)), np.ones(2), np.array([0, 1]), 0.6, 0.9)
    found = play(world, lambda mu, now: np.array([aim, 0.1]), lots=False)
    assert found.refused == 3
    assert found.nav.tolist() == [1e7] * 4


def test_risk_parity_of_uncorrelated_names_is_that_of_inverse_volatility() -> None:
    """The closed form that the libraries agree on."""
    specific = np.array([0.01, 0.04, 0.09])
    weights = parity_weights(np.zeros((1, 3)), specific, np.full(3, 1 / 3))
    assert weights == pytest.approx(np.array([6.0, 3.0, 2.0]) / 11.0, abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("names", [20, 200])
@pytest.mark.parametrize("library", ["skfolio", "riskfolio"])
def test_weights_are_those_of_other_libraries(library: str, names: int, peer: Path, tmp_path: Path) -> None:
    """Minimum variance, utility with a cap, risk parity: to 1e-5."""
    from weights_peers import problem

    np.savez(tmp_path / "problem.npz", **problem(names))
    asked(Path(sys.executable), "weights_peers.py", "ours", tmp_path / "problem.npz", tmp_path / "ours.npz")
    asked(peer, "weights_peers.py", library, tmp_path / "problem.npz", tmp_path / "theirs.npz")
    ours, theirs = stored(tmp_path / "ours.npz"), stored(tmp_path / "theirs.npz")
    assert set(ours) == set(theirs) == {"minimum variance", "utility", "risk parity"}
    for kind, weights in ours.items():
        assert weights == pytest.approx(theirs[kind], abs=1e-5), kind
        assert weights.sum() == pytest.approx(1.0, abs=1e-8)


@pytest.mark.long
def test_nav_is_that_of_cvxportfolio(peer: Path, tmp_path: Path) -> None:
    """Same conventions, scaled objective: to 1e-6 over 120 days; as its examples write it, it drifts off by more."""
    from backtest_core import play, structured
    from backtest_task import market

    days = 120
    world = market(20, days)
    world.save(tmp_path)
    ours = play(world, structured(world), lots=False)
    apart = {}
    for name in ("cvxportfolio", "cvxportfolio, as its examples"):
        asked(peer, "backtest_peers.py", name, tmp_path, tmp_path / "theirs.npz", days)
        apart[name] = float(np.abs(stored(tmp_path / "theirs.npz")["nav"] / ours.nav - 1.0).max())
    assert apart["cvxportfolio"] <= 1e-6 < apart["cvxportfolio, as its examples"]
