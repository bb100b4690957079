"""What the controls on models judge on: scores, the benchmark, what language-model features moved, the plan. Named result type.

Not here: the record of forecasts (it is the book's: `book.state`), the controls (`model_controls`, `exposure_controls`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.portfolio.eligibility import Market
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
    found = dict(zip(forecasts["instrument"], forecasts["score"], strict=True))
    return np.array([float(found.get(name, np.nan)) for name in names], dtype=float)


def benchmark_weights(features: pd.DataFrame, instruments: pd.DataFrame) -> np.ndarray:
    """(n,) the universe weighted by market value, sum 1; NaN when no market value is known. Frames in the same order."""
    value = np.exp(features["log_market_value"].to_numpy(dtype=float))
    counted = instruments["in_universe"].to_numpy(dtype=bool) & np.isfinite(value)
    if not counted.any():
        return np.full(len(value), np.nan)
    weights = np.where(counted, value, 0.0)
    return np.asarray(weights / weights.sum())


def model_facts(market: Market) -> ModelFacts:
    """The facts of one session. No language-model feature moves a weight today, so the tilt is zero everywhere."""
    names, before = market.window.instruments, market.forecasts_before
    return ModelFacts(
        scores=scores_of(market.forecasts, names),
        scores_before=None if before is None else scores_of(before, names),
        llm_tilt=np.zeros(len(names)),
        llm_influence=None,
        benchmark=benchmark_weights(market.features, market.instruments),
    )
