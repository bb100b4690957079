"""What each family of signals brought over a past range: the backtest decided anew with every subset of them, Shapley's shares.

A family is one score of the mandate's `portfolio.score_weights`. Without it the model is fitted on the others alone; without any
the forecasts are those of the prior. Every run rests on the inputs of the stored backtest and counts among the trials: it was
tried. Not here: the shares themselves (`audit.signal_effects`), running backtests (`backtest_points`).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_assets.backtest_points import frames, run_points, stored_work
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate, parse_mandate

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake


def signal_shares(
    lake: "Lake", row: "IndexRow", mandate: Mandate, where: str, *, run_id: str
) -> dict[str, tuple[float, float]]:
    """Family -> (its share of the total return, the return with all less that without it alone).

    The shares add up to the return with all families less that with none; the second numbers do not where families overlap.
    `row`: the stored backtest with all of them, which is not run again; `where`: a word of `open_pool`.

    2^n - 1 backtests for n families. Raises UsageError for more than six, when the backtest is not that of this mandate, and when
    a run ends before the last session; WorkError for lost workers. What was finished is kept.
    """
    from marketbot_assets.audit.signal_effects import shapley, subsets, without_each

    families = families_of(mandate)
    work, whole = stored_work(lake, row, mandate, "signals"), lake.load(row)
    fewer = [subset for subset in subsets(families) if len(subset) < len(families)]
    works = [replace(work, mandate=with_families(mandate, one).canonical().decode()) for one in fewer]
    outcomes = run_points(lake, works, where, run_id=run_id)
    results = {}
    for subset, outcome, frame in zip(fewer, outcomes, frames(lake, outcomes), strict=True):
        named = ", ".join(subset) or "no family"
        if frame is None:
            raise UsageError(f"signals: the run with {named} could not be run: {outcome}")
        if frame["session"].iloc[-1].date() < work.last:
            raise UsageError(f"signals: the run with {named} halted early: shares would not compare")
        results[subset] = _total(frame)
    results |= {subset: _total(whole) for subset in subsets(families) if len(subset) == len(families)}
    shares, alone = shapley(families, results), without_each(families, results)
    return {name: (shares[name], alone[name]) for name in families}


def families_of(mandate: Mandate) -> list[str]:
    """The scores of a mandate, sorted. Raises UsageError for none and for more than six: their subsets are too many."""
    from marketbot_assets.audit.signal_effects import MOST_FAMILIES

    families = sorted(mandate.portfolio.score_weights)
    if not 1 <= len(families) <= MOST_FAMILIES:
        raise UsageError(f"signals: expected 1 to {MOST_FAMILIES} score weights in the mandate, found {len(families)}")
    return families


def _total(frame: "pd.DataFrame") -> float:
    return float(frame["nav"].iloc[-1] / frame["nav"].iloc[0] - 1.0)


def with_families(mandate: Mandate, families: Sequence[str]) -> Mandate:
    """The mandate with these score weights alone; with none of them the forecasts do not tilt the prior."""
    plain = json.loads(mandate.canonical())
    rules = plain["portfolio"]
    if families:
        rules["score_weights"] = {name: rules["score_weights"][name] for name in families}
    else:
        rules["forecast_tilt_per_sd_per_year"] = 0.0
    return parse_mandate(json.dumps(plain))
