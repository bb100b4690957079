"""How old a currency's rate is, in sessions of the decision calendar: what forbids to buy in it. Pure.

Not here: how rates are triangulated (`series`), whether a fixing is plausible (`table_rules`).
"""

import bisect
import datetime as dt
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd


def stale_currencies(
    fx: pd.DataFrame,
    currencies: Collection[str],
    session: dt.date,
    decision_sessions: Sequence[dt.date],
    limit: int,
) -> dict[str, int | None]:
    """Currencies without a rate that is at most `limit` sessions old, each with the age of its newest fixing.

    `fx`: FX rows known at the cutoff of `session`; a rate that is not finite and positive is no rate. The age counts decision
    sessions in (fixing, session]; None: no rate at all, or an older one than `decision_sessions` (ascending) can count, which
    must therefore hold more than `limit` sessions up to `session`. The base currency needs no rate: do not ask for it.
    """
    days = [day for day in decision_sessions if day <= session]
    assert len(days) > limit, f"expected more than {limit} decision sessions up to {session}, found {len(days)}"
    rate = fx["rate"].to_numpy(dtype=float)
    usable = fx[np.isfinite(rate) & (rate > 0.0) & (fx["session"] <= pd.Timestamp(session)).to_numpy()]
    newest = usable.groupby("currency")["session"].max().to_dict()
    stale: dict[str, int | None] = {}
    for currency in sorted(set(currencies)):
        age = len(days) - bisect.bisect_right(days, newest[currency].date()) if currency in newest else None
        if age is None or age == len(days):
            stale[currency] = None
        elif age > limit:
            stale[currency] = age
    return stale
