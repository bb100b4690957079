"""Which countries have which fundamentals, and what a z-score may say where a whole country has none. Pure.

A source that covers one country only (the SEC covers filers in the US) would otherwise turn "no data" into "average of those with
data", and a difference between countries into a bet. So where a country has equities and none with a value, every value is measured
against its own country first; then 0 means "like its country" for all names, and that is what a name without a value gets.
"""

import numpy as np
import pandas as pd

from marketbot_assets.features.registry import FEATURES, FILED
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import Floats

FILED_FEATURES = tuple(feature.name for feature in FEATURES if feature.source == FILED)
EQUITY = "EQUITY"


def coverage(features: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """One row per country, ascending: number of equities, and for each fundamental feature the share of them with a value.

    `features` and `instruments` in the same order; funds have no fundamentals and are not counted.
    """
    equity = (instruments["kind"] == EQUITY).to_numpy()
    known = features.loc[equity, list(FILED_FEATURES)].apply(np.isfinite)
    by_country = known.groupby(instruments.loc[equity, "country"].to_numpy())
    shares: pd.DataFrame = by_country.mean()
    shares.insert(0, "equities", by_country.size())
    return shares.rename_axis("country").reset_index()


def within_countries(values: Floats, instruments: pd.DataFrame | Listings) -> Floats:
    """(n,) values less the mean of their country, when some country has equities and none with a value; else as they are."""
    listed, known = listings_of(instruments), np.isfinite(values)
    told = list(zip(listed.texts("country"), listed.texts("kind"), known.tolist(), strict=True))
    if {where for where, kind, _ in told if kind == EQUITY} <= {where for where, _, is_known in told if is_known}:
        return values
    country, out = np.array(listed.texts("country"), dtype=object), values.copy()
    for name in sorted(set(country)):
        own = known & (country == name)
        if own.any():
            out[own] -= values[own].mean()
    return out
