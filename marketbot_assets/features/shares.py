"""Shares outstanding where the source of a listing does not tell them: the newest filed number, after the splits since. Pure."""

import datetime as dt

import numpy as np
import pandas as pd

FILED, SPLIT = "SHARES", "SPLIT"


def with_filed_shares(
    instruments: pd.DataFrame, fundamentals: pd.DataFrame, actions: pd.DataFrame, session: dt.date
) -> pd.DataFrame:
    """INSTRUMENTS rows whose unknown `shares_outstanding` are those of the newest filing; unknown stays what nobody filed.

    `fundamentals`, `actions`: FUNDAMENTALS and CORPORATE_ACTIONS rows known by then. A number counts shares at the end of its
    period, so every split with an ex session in (period_end, session] multiplies it; of a split's versions the last known counts.
    """
    told = instruments["shares_outstanding"].to_numpy(dtype=float)
    missing = set(instruments.loc[~np.isfinite(told), "instrument"])
    filed = fundamentals[(fundamentals["field"] == FILED) & fundamentals["instrument"].isin(missing)]
    if filed.empty:
        return instruments
    newest = filed.sort_values(["instrument", "period_end", "known_at"]).drop_duplicates("instrument", keep="last")
    splits = actions[(actions["kind"] == SPLIT) & (actions["ex_session"] <= pd.Timestamp(session))]
    splits = splits.sort_values("known_at").drop_duplicates(["instrument", "ex_session"], keep="last")
    shares = {}
    for row in newest.itertuples(index=False):
        later = splits[(splits["instrument"] == row.instrument) & (splits["ex_session"] > row.period_end)]
        shares[row.instrument] = float(row.value) * float(np.prod(later["ratio"].to_numpy(dtype=float)))
    found = instruments["instrument"].map(shares).to_numpy(dtype=float)
    return instruments.assign(shares_outstanding=np.where(np.isfinite(told), told, found))
