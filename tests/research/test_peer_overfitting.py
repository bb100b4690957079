"""Statistics against overfitting are those of other libraries: kept answers, which the long test asks for again."""

import json
import subprocess
from pathlib import Path

import pytest
from peer_series import BENCHMARKS, peers_folder

from marketbot_assets.research import sharpe_statistics as ss
from marketbot_assets.research.cross_validation import combinatorial_splits
from marketbot_assets.research.overfitting import backtest_overfitting

KEPT = json.loads((Path(__file__).parent / "golden" / "overfitting.json").read_text(encoding="utf-8"))


def same(told: dict[str, list]) -> None:  # type: ignore[type-arg]
    """Ours against what the libraries told, in the order of the cases."""
    from overfitting_peers import BACKTESTS, DEFLATED, MATRICES, RECORDS, SPLITS, matrix

    ours = [ss.deflated_sharpe(ss.Moments(s, skew, kurt, n), trials, v) for s, n, skew, kurt, trials, v in DEFLATED]
    assert ours == pytest.approx(told["deflated"], abs=1e-12)
    ours = [ss.minimum_track_record(ss.Moments(s, skew, kurt, 9), b, c) for s, b, c, skew, kurt in RECORDS]
    assert ours == pytest.approx(told["track_record"], rel=1e-12)
    ours = [ss.minimum_backtest_years(trials, ratio) for trials, ratio in BACKTESTS]
    assert ours == pytest.approx(told["backtest_years"], abs=1e-12)
    for (*made, blocks), answer in zip(MATRICES, told["overfitting"], strict=True):
        found = backtest_overfitting(matrix(*made), blocks)
        mean = float(found.logits.mean())
        assert [found.probability, mean, found.slope, found.loss] == pytest.approx(answer, abs=1e-10)
    for (rows, groups, tested, horizon, embargo), trained in zip(SPLITS, told["trained"], strict=True):
        splits = combinatorial_splits(rows, groups, tested, horizon=horizon, embargo=embargo)
        for split, theirs in zip(splits, trained, strict=True):
            # they keep a row whose label meets a tested one in a single instant; we do not
            touching = {int(row) + away for row in split.test for away in (-horizon, horizon)}
            assert set(theirs) - touching <= set(split.train.tolist()) <= set(theirs)


def test_other_libraries_say_the_same() -> None:
    """holdout-backtest 0.1.0: deflated ratio, track record; purgedcv 0.1.11: minimum backtest, overfitting, purged splits.

    Among the matrices are trials that tie and trials that do not vary.
    """
    same(KEPT)


@pytest.mark.long
def test_they_say_so_still(tmp_path: Path) -> None:
    """Asked in an environment of their own; skipped where they cannot be installed."""
    from overfitting_peers import PACKAGES
    from peers import environment

    made = environment(peers_folder(tmp_path) / "overfitting", PACKAGES)
    if not (made.has("purgedcv") and made.has("holdout-backtest")):
        pytest.skip("purgedcv and holdout-backtest cannot be installed here")
    answers = tmp_path / "answers.json"
    command = [str(made.python), str(BENCHMARKS / "overfitting_peers.py"), str(answers)]
    subprocess.run(command, check=True, capture_output=True)
    told = json.loads(answers.read_text(encoding="utf-8"))
    same(told)
    assert {name: len(rows) for name, rows in told.items()} == {name: len(rows) for name, rows in KEPT.items()}
