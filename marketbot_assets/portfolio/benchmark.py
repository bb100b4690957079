"""The benchmark that the mandate names, as weights to hold: the universe by the newest market value. Pure.

Not here: its return in the report (`audit.benchmark`), the cap on the distance to it (`tracking_error`).
"""

import numpy as np
import pandas as pd

from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.inputs import Flags, Floats

UNKNOWN: Floats = np.zeros(0)


def market_weights(window: MarketWindow, instruments: pd.DataFrame | Listings) -> Floats:
    """(n,) weights that sum to 1: last close * rate * shares outstanding over names of the universe whose value is known.

    Empty when no value is known. `instruments`: INSTRUMENTS rows in the window's order.
    """
    listed = listings_of(instruments)
    value = window.close[-1] * window.fx[-1] * listed.shares_outstanding
    counted = listed.in_universe & np.isfinite(value) & (value > 0.0)
    value = np.where(counted, value, 0.0)
    return value / value.sum() if counted.any() else UNKNOWN


def of_known_risk(weights: Floats, risk_known: Flags, coverage: float) -> Floats:
    """The benchmark over names whose risk is known, sum 1; empty when these are less than `coverage` of it."""
    if weights.shape != risk_known.shape or not np.isfinite(weights).all():
        return UNKNOWN
    known = np.where(risk_known, weights, 0.0)
    return known / known.sum() if known.sum() >= coverage * weights.sum() > 0.0 else UNKNOWN
