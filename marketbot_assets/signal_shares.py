"""What each family of signals brought over a past range: the backtest decided anew with every subset of them, Shapley's shares.

A family is one score of the mandate's `portfolio.score_weights`. Without it the model is fitted on the others alone; without any
the forecasts are those of the prior. Every run counts among the trials of a backtest: it was tried. Not here: the shares
themselves (`audit.signal_effects`), the loop (`research.loop`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_assets.backtest import tables_until
from marketbot_assets.lineage import code_of
from marketbot_assets.model_trials import record_backtest
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.provider import Body
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.history import Tables
    from marketbot_resources.store.lake import Lake


def signal_shares(
    lake: "Lake", ports: Ports, mandate: Mandate, first: dt.date, last: dt.date
) -> dict[str, tuple[float, float]]:
    """Family -> (its share of the total return, the return with all less that without it alone).

    The shares add up to the return with all families less that with none; the second numbers do not where families overlap.

    2^n backtests for n families. Raises UsageError for more than six, and when a run ends before the last session.
    """
    from marketbot_assets.audit.signal_effects import MOST_FAMILIES, shapley, subsets, without_each

    families = sorted(mandate.portfolio.score_weights)
    if not 1 <= len(families) <= MOST_FAMILIES:
        raise UsageError(f"signals: expected 1 to {MOST_FAMILIES} score weights in the mandate, found {len(families)}")
    bodies: list[str] = []

    def keep(body: Body) -> str:
        bodies.append(hashlib.sha256(body.content).hexdigest())
        return bodies[-1]

    tables = tables_until(ports, mandate, computed_cutoff(mandate.schedule, last), keep)
    results = {}
    for subset in subsets(families):
        varied = with_families(mandate, subset)
        frame = played(tables, varied, first, last)
        if frame["session"].iloc[-1].date() < last and len(subset) < len(families):
            raise UsageError(
                f"signals: the run with {', '.join(subset) or 'no family'} halted early: shares would not compare"
            )
        record_backtest(lake, frame, bodies, varied, code_version=code_of("research"))
        results[subset] = float(frame["nav"].iloc[-1] / frame["nav"].iloc[0] - 1.0)
    shares, alone = shapley(families, results), without_each(families, results)
    return {name: (shares[name], alone[name]) for name in families}


def played(tables: "Tables", mandate: Mandate, first: dt.date, last: dt.date) -> "pd.DataFrame":
    """BACKTEST rows of a mandate over tables that are there already."""
    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_assets.research.outcomes import mark_of, outcomes

    history = History(tables, mandate, first, last)
    return outcomes(run_days(history, mandate, opening_account(mandate, history)), mark_of(mandate))


def with_families(mandate: Mandate, families: Sequence[str]) -> Mandate:
    """The mandate with these score weights alone; with none of them the forecasts do not tilt the prior."""
    plain = json.loads(mandate.canonical())
    rules = plain["portfolio"]
    if families:
        rules["score_weights"] = {name: rules["score_weights"][name] for name in families}
    else:
        rules["forecast_tilt_per_sd_per_year"] = 0.0
    return parse_mandate(json.dumps(plain))
