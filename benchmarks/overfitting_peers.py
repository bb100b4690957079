"""What other libraries say of the statistics against overfitting: python benchmarks/overfitting_peers.py ANSWERS.json

Runs in an environment with holdout-backtest (deflated ratio, track record, overfitting) and purgedcv (minimum backtest, overfitting
with trials that tie or do not vary, purged splits). The cases stand here, so that whoever compares takes the same. Not here: ours
(`marketbot_assets.research`).
"""

import json
import random
import sys
from pathlib import Path

import numpy as np

PACKAGES = ("holdout-backtest==0.1.0", "purgedcv==0.1.11")
# ratio, observations, skewness, kurtosis, trials, variance of their ratios; all per period
DEFLATED = (
    (0.1, 1000, 0.0, 3.0, 1, 0.001),
    (0.08, 500, -1.2, 6.5, 7, 0.0021),
    (0.158113883, 1250, -3.0, 10.0, 100, 0.002),
    (0.02, 252, 0.4, 3.3, 2, 0.004),
    (-0.05, 700, 0.0, 4.0, 1000, 0.0009),
)
# ratio, benchmark, confidence, skewness, kurtosis
RECORDS = ((0.1, 0.0, 0.95, 0.0, 3.0), (0.08, 0.05, 0.99, -1.2, 6.5), (0.03, -0.01, 0.9, 0.5, 4.0))
BACKTESTS = ((1, 1.0), (2, 1.0), (10, 1.0), (45, 1.0), (1000, 2.5))  # trials, ratio per year
# seed, sessions, trials, how many of them come twice, whether two that do not vary are added, blocks
MATRICES = (
    (1, 200, 6, 0, False, 8),
    (2, 203, 7, 0, False, 10),
    (3, 120, 5, 5, False, 6),
    (4, 150, 4, 2, True, 6),
    (5, 97, 3, 1, False, 4),
)
SPLITS = (
    (40, 5, 2, 3, 2),
    (60, 6, 2, 1, 1),
    (50, 4, 1, 0, 5),
    (37, 6, 3, 5, 0),
)  # rows, blocks, tested, horizon, embargo


def matrix(seed: int, sessions: int, trials: int, twice: int, idle: bool) -> np.ndarray:
    """(sessions, trials and more) returns that every Python makes alike."""
    draw = random.Random(seed)
    rows = [[0.01 * (sum(draw.random() for _ in range(6)) - 3.0) for _ in range(trials)] for _ in range(sessions)]
    found = np.array(rows)
    found = np.column_stack([found, found[:, :twice]])
    return np.column_stack([found, np.zeros(sessions), np.full(sessions, 0.001)]) if idle else found


def asked() -> dict[str, list[object]]:
    """Statistic -> answers in the order of the cases. Of a matrix: share of logits <= 0, their mean, slope, share that lost."""
    import holdout.deflated as holdout
    import pandas as pd
    import purgedcv

    overfitting, splits = list[object](), list[object]()
    for *made, blocks in MATRICES:
        found = purgedcv.probability_of_backtest_overfitting(matrix(*made).T, blocks)
        lost = float(np.mean(found.is_oos_performance[:, 1] < 0.0))
        overfitting.append([float(np.mean(found.logits <= 0.0)), float(np.mean(found.logits)), found.slope, lost])
    for rows, blocks, tested, horizon, embargo in SPLITS:
        at, day = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows), unit="D"), pd.Timedelta(days=1)
        times = {"prediction_times": pd.Series(at), "evaluation_times": pd.Series(at + horizon * day)}
        splitter = purgedcv.CombinatorialPurgedCV(blocks, tested, embargo=embargo * day, **times)
        splits.append([train.tolist() for train, _ in splitter.split(np.empty((rows, 1)))])
    return {
        "deflated": [
            holdout.deflated_sharpe_ratio(s, n, n_trials=trials, trials_variance=v, skewness=skew, kurtosis=kurt)
            for s, n, skew, kurt, trials, v in DEFLATED
        ],
        "track_record": [
            holdout.minimum_track_record_length(s, benchmark=b, confidence=c, skewness=skew, kurtosis=kurt)
            for s, b, c, skew, kurt in RECORDS
        ],
        "backtest_years": [purgedcv.minimum_backtest_length(trials, ratio) for trials, ratio in BACKTESTS],
        "overfitting": overfitting,
        "trained": splits,
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asked(), sort_keys=True) + "\n", encoding="utf-8")
