"""How old a currency's rate is, in TARGET days: what forbids to buy in it. Pure.

Not here: how rates are triangulated (`series`), whether a fixing is plausible (`table_rules`).
"""

import datetime as dt
from collections.abc import Collection

import numpy as np
import pandas as pd

from marketbot_resources.currencies import target_days


def newest_fixings(fx: pd.DataFrame, last: dt.date) -> dict[str, dt.date]:
    """Currency -> date of its newest usable fixing up to `last`; a rate that is not finite and positive is no rate."""
    rate = fx["rate"].to_numpy(dtype=float)
    usable = fx[np.isfinite(rate) & (rate > 0.0) & (fx["session"] <= pd.Timestamp(last)).to_numpy()]
    return {str(name): day.date() for name, day in usable.groupby("currency")["session"].max().items()}


def stale_currencies(
    fx: pd.DataFrame, currencies: Collection[str], session: dt.date, limit: int
) -> dict[str, int | None]:
    """Currencies without a rate that is at most `limit` TARGET days old, each with the age of its newest fixing.

    `fx`: FX rows known at the cutoff of `session`. The age counts the days on which the ECB fixes rates in (fixing,
    session], so that Easter and Christmas make nothing stale; None: there is no rate at all. The base currency needs no
    rate: do not ask for it.
    """
    newest = newest_fixings(fx, session)
    ages = {name: target_days(newest[name], session) if name in newest else None for name in sorted(set(currencies))}
    return {name: age for name, age in ages.items() if age is None or age > limit}
