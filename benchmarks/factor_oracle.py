"""Our numbers of what a score is worth against alphalens-reloaded's on the same simulated names, printed one beside the other.

python benchmarks/factor_oracle.py PYTHON      PYTHON: an interpreter with alphalens-reloaded (a venv of its own)

500 sessions, 60 names, one score that knows a little. Outcomes begin at the close of the score's session (delay 0), as alphalens
counts them; sessions whose longest outcome has not come are left out on both sides, as alphalens does. Nothing is written but a
temporary folder. Not here: how either computes (`research.factor_evaluation_measures`, `alphalens.performance`).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

SEED, SESSIONS, NAMES, SHARPE = 11, 500, 60, 1.5
HORIZONS = (1, 5, 10, 21)
TOLERANCE = 1e-9
FILES = ("prices", "scores")
Numbers = dict[str, float]


def theirs(folder: Path) -> Numbers:
    """Alphalens' numbers; run by the peer's interpreter."""
    from alphalens import performance, utils

    prices, scores = (pd.read_json(folder / f"{name}.json", orient="split", precise_float=True) for name in FILES)
    begin = time.process_time()
    factor = scores.stack().rename_axis(["date", "asset"])
    made = utils.get_clean_factor_and_forward_returns(factor, prices, quantiles=5, periods=HORIZONS, max_loss=1.0)
    ics = performance.factor_information_coefficient(made)
    earned, _ = performance.mean_return_by_quantile(made, by_date=True, demeaned=True)
    found: Numbers = {}
    for horizon in HORIZONS:
        label = f"{horizon}D"
        found[f"rank IC, {horizon}"] = float(ics[label].mean())
        found[f"rank IC sd, {horizon}"] = float(ics[label].std(ddof=1))
        means = earned[label].groupby(level="factor_quantile", observed=True).mean()
        found |= {f"Q{place} return, {horizon}": float(means.loc[place]) for place in (1, 3, 5)}
        found[f"spread, {horizon}"] = float(means.loc[5] - means.loc[1])
        for place in (1, 5):
            turned = performance.quantile_turnover(made["factor_quantile"], place, horizon)
            found[f"turnover Q{place}, {horizon}"] = float(turned.mean())
        found[f"autocorrelation, {horizon}"] = float(performance.factor_rank_autocorrelation(made, horizon).mean())
    return found | {"CPU seconds": time.process_time() - begin}


def ours(scores: np.ndarray, returns: np.ndarray) -> Numbers:
    """Our numbers of the same."""
    from marketbot_assets.research import factor_evaluation_measures as measures

    begin = time.process_time()
    kept = scores[: -max(HORIZONS)]
    numbers = measures.quantile_numbers(kept)
    found: Numbers = {}
    for horizon in HORIZONS:
        ahead = measures.forward_returns(returns, horizon, 0)[: len(kept)]
        ic = measures.estimate(measures.rank_correlations(kept, ahead), horizon)
        found |= {f"rank IC, {horizon}": ic.mean, f"rank IC sd, {horizon}": ic.sd}
        means = measures.quantile_returns(numbers, ahead).mean(axis=0)
        found |= {f"Q{place} return, {horizon}": float(means[place - 1]) for place in (1, 3, 5)}
        found[f"spread, {horizon}"] = float(means[4] - means[0])
        for place in (1, 5):
            turned = measures.quantile_turnover(numbers, place, horizon)
            found[f"turnover Q{place}, {horizon}"] = float(np.nanmean(turned))
        found[f"autocorrelation, {horizon}"] = float(np.nanmean(measures.rank_autocorrelation(kept, horizon)))
    return found | {"CPU seconds": time.process_time() - begin}


def compared(python: str) -> int:
    """Prints both; 1 when one number differs by more than TOLERANCE."""
    from marketbot_assets.research.null_campaign import world

    made = world(SEED, SESSIONS, NAMES, SHARPE)
    days = pd.bdate_range("2018-01-02", periods=SESSIONS + 1)
    names = [f"I{place:03d}" for place in range(NAMES)]
    prices = pd.DataFrame(
        np.cumprod(np.vstack([np.ones(NAMES), 1.0 + made.returns]), axis=0), index=days, columns=names
    )
    hidden = made.hidden  # known before the returns of its row: at the close before
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scores = pd.DataFrame(hidden, index=days[:-1], columns=names)
        for file, frame in zip(FILES, (prices, scores), strict=True):
            frame.to_json(folder / f"{file}.json", orient="split", double_precision=15, date_format="iso")
        told = subprocess.run(
            [python, "-W", "ignore", __file__, "--peer", name], capture_output=True, text=True, check=True
        )
    peer: Numbers = json.loads(told.stdout.splitlines()[-1])
    # Scores stand at the closes 0 to T - 1, so the return of row t is the first one after score t.
    own = ours(np.vstack([hidden, np.full(NAMES, np.nan)]), np.vstack([np.full(NAMES, np.nan), made.returns]))
    worst = 0.0
    print("| number, sessions | marketbot | alphalens | difference |\n|---|---|---|---|")
    for key, value in own.items():
        apart = abs(value - peer[key])
        worst = worst if key == "CPU seconds" else max(worst, apart)
        print(f"| {key} | {value:.10g} | {peer[key]:.10g} | {apart:.1e} |")
    print(f"largest difference: {worst:.1e} (expected at most {TOLERANCE:.0e})")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        print(json.dumps(theirs(Path(sys.argv[2]))))
    elif len(sys.argv) == 2:
        sys.exit(compared(sys.argv[1]))
    else:
        sys.exit(str(__doc__))
