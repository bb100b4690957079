"""The panel of a market: the return model's scores, declared features of prices, momentum by exponential weights. Pure.

Not here: the formulas (`features.catalogue`), what is learnt (`families`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from marketbot_assets.features.catalogue import declared, registry
from marketbot_assets.features.declaration import SERIES_INPUTS
from marketbot_assets.features.market_inputs import feature_inputs
from marketbot_assets.features.plan import plan_of
from marketbot_assets.features.wide_features import build_features
from marketbot_assets.insight.forecast_panel import EWMA_HALF_LIFE, EWMA_MOMENTUM, Panel, ewma_momentum, panel_of
from marketbot_assets.insight.return_model import SCORE_LOOKBACK, raw_scores
from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow

SCORES = ("momentum_12_1", "low_volatility_126d", "reversal_5d")
DECLARED = (
    "momentum_6_1",
    "reversal_21d",
    "reversal_score_5d",
    "high_52w",
    "drawdown_126d",
    "trend_r2_63d",
    "beta_126d",
    "residual_volatility_63d",
    "serial_correlation_63d",
)
FEATURES = (*SCORES, *DECLARED, EWMA_MOMENTUM)


@lru_cache(maxsize=1)
def _versions() -> Mapping[str, str]:
    return {**{entry.name: entry.version for entry in registry()}, EWMA_MOMENTUM: f"half life {EWMA_HALF_LIFE}"}


def feature_versions(features: Sequence[str] = FEATURES) -> dict[str, str]:
    """Feature -> version, in this order: hash of declaration and code as the feature registry has it; unknown ones left out."""
    known = _versions()
    return {name: known[name] for name in features if name in known}


def price_panel(
    window: MarketWindow,
    macro: MacroWindow,
    filed: pd.DataFrame,
    instruments: pd.DataFrame,
    cutoffs: Sequence[dt.datetime],
    *,
    base: str,
    number: int,
    horizon_rows: int,
    features: tuple[str, ...] = FEATURES,
) -> Panel:
    """Features of a window's sessions from the first that any name knows all of; labels over `horizon_rows` sessions.

    Arguments but the last two as for `feature_inputs` and `build_features`; `features`: any of SCORES, declared ones and
    EWMA_MOMENTUM. Raises ValueError for another one, and when no session knows them all.
    """
    trees = {feature.name: feature.tree for feature in declared()}
    own = tuple(name for name in features if name not in (*SCORES, EWMA_MOMENTUM))
    unknown = sorted(set(own) - set(trees))
    if unknown:
        raise ValueError(f"panel: expected declared features, found {', '.join(unknown)}")
    columns: dict[str, Floats] = {}
    if own:
        plan = plan_of([trees[name] for name in own], SERIES_INPUTS)
        built, _ = build_features(plan, feature_inputs(window, macro, filed, instruments, cutoffs, base), number)
        columns |= zip(own, built, strict=True)
    if set(SCORES) & set(features):
        columns |= zip(SCORES, scores_of(window.base_return), strict=True)
    if EWMA_MOMENTUM in features:
        columns[EWMA_MOMENTUM] = ewma_momentum(window.base_return)
    values = np.stack([columns[name] for name in features], axis=2)
    whole = panel_of(window, features, values, horizon_rows)
    rows = np.flatnonzero(whole.known.any(axis=1))
    if not len(rows):
        raise ValueError("panel: expected a session that knows every feature of a name, found none")
    return whole.since(int(rows[0]))


def scores_of(returns: Floats) -> Floats:
    """(3, T, n) the return model's raw scores at each of T sessions; NaN before its lookback."""
    out = np.full((len(SCORES), *returns.shape), np.nan)
    for row in range(SCORE_LOOKBACK - 1, len(returns)):
        out[:, row] = raw_scores(returns[row + 1 - SCORE_LOOKBACK : row + 1], SCORES).T
    return out
