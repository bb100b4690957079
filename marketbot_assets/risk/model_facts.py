"""What the controls on models judge on: scores, the benchmark, what language-model features moved, the plan. Named result type.

Not here: the record of forecasts (it is the book's: `book.state`), the controls (`model_controls`, `exposure_controls`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.portfolio.eligibility import Market
from marketbot_assets.portfolio.target import Target
from marketbot_resources.model import Order


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about n instruments, in the order of `RiskInputs.instruments`.

    `scores`, `scores_before`: cross-sectional scores of this session and of the newest one before, NaN where a name has none;
    `scores_before` is None when there was no session before. `llm_tilt`: expected return per year that language-model
    features add; `llm_influence`: weight with them less weight without them, from two solves, None when only one was made.
    `benchmark`: weights of the mandate's benchmark, sum 1, NaN when unknown. `planned`: quantity of each order of the plan.
    """

    scores: np.ndarray
    scores_before: np.ndarray | None
    llm_tilt: np.ndarray
    llm_influence: np.ndarray | None
    benchmark: np.ndarray
    planned: Mapping[str, Decimal] = field(default_factory=dict)

    def with_plan(self, orders: Sequence[Order]) -> "ModelFacts":
        """The same facts, with the batch that was planned."""
        return replace(self, planned={str(order.client_order_id): order.quantity for order in orders})


def scores_of(forecasts: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """(n,) scores of FORECASTS rows; NaN for a name without one."""
    found = dict(zip(forecasts["instrument"].tolist(), forecasts["score"].tolist(), strict=True))
    return np.array([float(found.get(name, np.nan)) for name in names], dtype=float)


def benchmark_weights(features: pd.DataFrame, instruments: pd.DataFrame | Listings) -> np.ndarray:
    """(n,) the universe weighted by market value, sum 1; NaN when no market value is known. Frames in the same order."""
    value = np.exp(features["log_market_value"].to_numpy(dtype=float))
    counted = listings_of(instruments).in_universe & np.isfinite(value)
    if not counted.any():
        return np.full(len(value), np.nan)
    weights = np.where(counted, value, 0.0)
    return np.asarray(weights / weights.sum())


def tilts_of(forecasts: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """(n,) what language-model features add per year in FORECASTS rows; 0 for a name without a row, and without such a column."""
    if "llm_tilt" not in forecasts:
        return np.zeros(len(names))
    found = dict(zip(forecasts["instrument"].tolist(), forecasts["llm_tilt"].tolist(), strict=True))
    return np.array([float(found.get(name, 0.0)) for name in names], dtype=float)


def moved_by_views(target: Target) -> np.ndarray | None:
    """(n,) the target's weights less those without views, from the two as stored; None when only one was made.

    0 for a name whose weight neither knows: it gets no order. NaN where only one knows it.
    """
    with_views, without = (np.asarray(weights, dtype=float) for weights in (target.weights, target.without_llm))
    if with_views.shape != without.shape:
        return None
    return np.where(np.isnan(with_views) & np.isnan(without), 0.0, with_views - without)


def model_facts(market: Market, target: Target) -> ModelFacts:
    """The facts of one session: what the forecasts say of views, and what became of the weights by them."""
    names, before = market.window.instruments, market.forecasts_before
    return ModelFacts(
        scores=scores_of(market.forecasts, names),
        scores_before=None if before is None else scores_of(before, names),
        llm_tilt=tilts_of(market.forecasts, names),
        llm_influence=moved_by_views(target),
        benchmark=benchmark_weights(market.features, market.listed),
    )
