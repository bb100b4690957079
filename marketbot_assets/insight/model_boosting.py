"""Gradient boosting: trees grown by scikit-learn on one thread from a fixed seed, kept and read as plain lists. Pure.

Source: Friedman (2001), Greedy function approximation; histograms as in LightGBM (Ke et al. 2017). Nothing of scikit-learn is in
a file, and none is needed to predict (`trees`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from marketbot_assets.insight.model_card import Json
from marketbot_assets.insight.training import Fitted, Sample, number, whole
from marketbot_assets.insight.trees import LEAF, Tree, forest, trees_of
from marketbot_assets.normalization.window import Floats

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

HYPER: Mapping[str, Json] = {"iterations": 60, "learning_rate": 0.05, "leaves": 8, "leaf_rows_min": 200, "l2": 10.0}


def fit_boosting(sample: Sample, hyper: Mapping[str, Json], seed: int) -> Fitted:
    """Trees on a sample's rows. Raises FloatingPointError when a prediction is not finite."""
    x, y = sample.stacked()
    base, trees = exported(grown(x, y, hyper, seed))
    if not np.isfinite(forest(base, trees, x)).all():
        raise FloatingPointError("boosting: expected finite predictions, found others")
    return Fitted({}, {"base": base, "trees": [tree.body() for tree in trees]})


def grown(x: Floats, y: Floats, hyper: Mapping[str, Json], seed: int) -> "HistGradientBoostingRegressor":
    """The regressor of scikit-learn on (m, k) finite rows and (m,) labels."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    made = HistGradientBoostingRegressor(
        max_iter=whole(hyper, "iterations", 1),
        learning_rate=number(hyper, "learning_rate"),
        max_leaf_nodes=whole(hyper, "leaves", 2),
        min_samples_leaf=whole(hyper, "leaf_rows_min", 1),
        l2_regularization=number(hyper, "l2"),
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):  # sums over threads would depend on how many there are
        return made.fit(x, y)


def exported(made: "HistGradientBoostingRegressor") -> tuple[float, tuple[Tree, ...]]:
    """(base, trees) of a regressor that was fitted on finite rows. Raises ValueError for a split that plain trees do not know."""
    base = float(np.ravel(made._baseline_prediction)[0])
    return base, tuple(_tree(stage[0].nodes) for stage in made._predictors)


def _tree(nodes: np.ndarray) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    if nodes["is_categorical"].any() or not np.isfinite(nodes["num_threshold"][~leaf]).all():
        raise ValueError("boosting: expected splits at finite thresholds, found others")
    return Tree(
        feature=np.where(leaf, LEAF, nodes["feature_idx"].astype(np.int64)),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=np.where(leaf, 0, nodes["left"].astype(np.int64)),
        right=np.where(leaf, 0, nodes["right"].astype(np.int64)),
        value=np.where(leaf, nodes["value"], 0.0),
    )


def predict_boosting(fitted: Fitted, x: Floats) -> Floats:
    """(m,) predictions for (m, k) finite rows. Raises ValueError for parameters that are no trees."""
    return forest(number(fitted.parameters, "base"), trees_of(fitted.parameters.get("trees"), x.shape[1]), x)
