"""How far a champion is trusted when the world moves away from it: whole, half, or not at all, by itself. Pure.

Each session measures four things: features that are distributed otherwise than before (PSI, Kolmogorov-Smirnov; the share that
RC-89 judges), the size of the residuals against that of the training, and what the scores have been worth lately (information
coefficient) against what the card promised. The worst of them is the session's level. A worse level counts at once; a better one
after CLEAN_SESSIONS in a row, one step at a time. Not here: how the numbers are measured (`risk.feature_drift`, `audit.drift`).
"""

import math
from dataclasses import dataclass
from enum import IntEnum

FEATURE_SHARE = (0.20, 0.40)  # shrink, fall back: RC-89's share, and twice that
RESIDUAL_RATIO = (1.25, 1.50)
IC_SESSIONS_MIN = 20
IC_KEPT = 0.5  # of what the card promised
ERRORS = 1.645  # one-sided 95 %
CLEAN_SESSIONS = 20
FALLBACK_SESSIONS_MAX = 60


class Trust(IntEnum):
    """How far a model is trusted; a higher number is less."""

    NORMAL = 0
    SHRINK = 1
    FALLBACK = 2

    @property
    def weight(self) -> float:
        """What its forecasts count; the rest is the baseline's."""
        return {Trust.NORMAL: 1.0, Trust.SHRINK: 0.5, Trust.FALLBACK: 0.0}[self]


@dataclass(frozen=True, slots=True)
class DriftNumbers:
    """One session's measures. `feature_share`: 0 to 1; `residual_ratio`: recent residual deviation over that of the training;
    `ic`, `ic_error`, `ic_sessions`: mean information coefficient of the newest judged sessions, its standard error (Newey-West),
    how many they are; `ic_promised`: the card's, out of sample.
    """

    feature_share: float
    residual_ratio: float
    ic: float
    ic_error: float
    ic_sessions: int
    ic_promised: float


@dataclass(frozen=True, slots=True)
class DriftState:
    """`trust`: in force; `clean`: sessions in a row that were better than it; `fallen`: sessions in a row without trust."""

    trust: Trust = Trust.NORMAL
    clean: int = 0
    fallen: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has been without trust for so long that it is retired."""
        return self.fallen >= FALLBACK_SESSIONS_MAX


def judge_drift(numbers: DriftNumbers) -> tuple[Trust, tuple[str, ...]]:
    """(level, why, in words). A number that is not known is a reason to fall back: what cannot be watched is not used.

    Fewer than IC_SESSIONS_MIN judged sessions say nothing about the information coefficient.
    """
    found = [
        _above(numbers.feature_share, FEATURE_SHARE, "share of features that drifted"),
        _above(numbers.residual_ratio, RESIDUAL_RATIO, "residuals against those of the training"),
        *((_faded(numbers),) if numbers.ic_sessions >= IC_SESSIONS_MIN else ()),
    ]
    level = max(trust for trust, _ in found)
    return level, tuple(why for trust, why in found if trust is not Trust.NORMAL)


def _above(value: float, limits: tuple[float, float], name: str) -> tuple[Trust, str]:
    if not (math.isfinite(value) and value >= 0.0):
        return Trust.FALLBACK, f"{name}: not known"
    shrink, fall = limits
    if value <= shrink:
        return Trust.NORMAL, ""
    trust = Trust.SHRINK if value <= fall else Trust.FALLBACK
    return trust, f"{name}: {value:.3g}, beyond {shrink if trust is Trust.SHRINK else fall:g}"


def _faded(numbers: DriftNumbers) -> tuple[Trust, str]:
    high = numbers.ic + ERRORS * numbers.ic_error
    promised = IC_KEPT * numbers.ic_promised
    if not (math.isfinite(high) and math.isfinite(promised) and numbers.ic_error > 0.0):
        return Trust.FALLBACK, "information coefficient: not known"
    told = f"information coefficient {numbers.ic:.4f}, at most {high:.4f}"
    if high < 0.0:
        return Trust.FALLBACK, f"{told}: below zero"
    if high < promised:
        return Trust.SHRINK, f"{told}: below half of the promised {numbers.ic_promised:.4f}"
    return Trust.NORMAL, ""


def after(state: DriftState, level: Trust) -> DriftState:
    """The state after one more session of this level."""
    if level >= state.trust:
        trust, clean = level, 0
    elif state.clean + 1 >= CLEAN_SESSIONS:
        trust, clean = Trust(state.trust - 1), 0
    else:
        trust, clean = state.trust, state.clean + 1
    return DriftState(trust, clean, state.fallen + 1 if trust is Trust.FALLBACK else 0)
