"""How the registry's champion moves the forecasts: its row of RETURN_MODEL, its scores, its weight beside the baseline. Pure.

Not here: how the row comes about (`champion`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.insight.return_model import NAME, TYPICAL_IC, standardize
from marketbot_assets.normalization.window import Floats

ROW = "champion"


@dataclass(frozen=True, slots=True)
class Lead:
    """The champion's row as others read it. `fit`: hash, empty without one; `residual_sd`: what they leave of a label."""

    spec: str
    fit: str
    weight: float
    why: str
    expected: Mapping[str, float]
    residual_sd: float

    @property
    def decides(self) -> bool:
        """Whether it moves the forecasts."""
        return math.isfinite(self.weight) and 0.0 < self.weight <= 1.0

    def scores(self, instruments: Sequence[str], complete: np.ndarray) -> Floats:
        """(n,) z-scores of its forecasts over complete names, winsorised at 3; NaN where it says nothing.

        Forecasts that differ less among names than a typical model's count less, in proportion; those that differ more do not
        count more: the mandate's tilt stays the most that a score moves.
        """
        known = np.array([self.expected.get(name, math.nan) for name in instruments], dtype=float)
        known = np.where(complete, known, np.nan)
        finite = known[np.isfinite(known)]
        strength = min(1.0, float(finite.std()) / TYPICAL_IC) if len(finite) else 0.0
        return np.asarray(standardize(known[:, None])[:, 0] * strength)

    def mixed(self, baseline: Floats, instruments: Sequence[str], complete: np.ndarray) -> Floats:
        """(n,) the baseline's scores and its own by its weight; the baseline's alone where it says nothing of a name."""
        if not self.decides:
            return baseline
        own = self.scores(instruments, complete)
        return np.asarray(np.where(np.isfinite(own), self.weight * own + (1.0 - self.weight) * baseline, baseline))

    def residual(self, baseline: float) -> float:
        """The deviation that both leave, by its weight."""
        return self.weight * self.residual_sd + (1.0 - self.weight) * baseline if self.decides else baseline


def lead_of(frame: pd.DataFrame) -> Lead | None:
    """The champion of RETURN_MODEL rows; None without one."""
    rows = frame[frame["name"] == ROW]
    if not len(rows):
        return None
    row, body, card = rows.iloc[0], json.loads(rows["model_json"].iloc[0]), json.loads(rows["card_json"].iloc[0])
    left = card.get("metrics", {}).get("residual_deviation")
    known = isinstance(left, float) and math.isfinite(left) and left > 0.0
    return Lead(
        spec=str(row["spec_sha256"]),
        fit=str(body["fit_sha256"]),
        weight=float(body["weight"]),
        why=str(body["why"]),
        expected=body["expected"],
        residual_sd=left if known else 1.0,
    )


def baseline_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """RETURN_MODEL rows without the champion's."""
    return frame if len(frame) == 1 else frame[frame["name"] == NAME].reset_index(drop=True)
