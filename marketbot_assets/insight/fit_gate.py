"""Whether a new fit of a specification in force may be used: else the previous one stays, then the baseline. Pure.

A fit is used at once when its data are complete, its coefficients lie within three robust deviations of those of the last ten
fits, and it ranks names as the fit before it does. Anything that is not known refuses it. Not here: whether the specification
earned its place (`research.promotion`), drift afterwards (`model_drift`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_assets.insight.model_card import Fit
from marketbot_assets.normalization.window import Floats

COVERAGE_MIN = 0.98  # what RC-87 asks of the universe's data
FITS_COMPARED, FITS_MIN = 10, 3
DEVIATIONS_MAX = 3.0
NORMAL_MAD = 1.482602218505602  # a normal sample's standard deviation over its median absolute deviation
SPREAD_FLOOR = 0.02  # of the largest median coefficient: fits that hardly differed leave the next one some room
RANK_CORRELATION_MIN = 0.8
SCORES_MIN = 5
KEPT_SESSIONS_MAX = 20


@dataclass(frozen=True, slots=True)
class FitJudgement:
    """`refusals`: why the fit may not be used, in words, empty when it may; `notes`: what could not be compared yet."""

    refusals: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether it may be used."""
        return not self.refusals


def judge_fit(fit: Fit, past: Sequence[Fit], scores: Floats, scores_before: Floats | None) -> FitJudgement:
    """Of a fit against accepted fits of the same specification, oldest first.

    `scores`, `scores_before`: (n,) what the new fit and the one before it say of the same names; None without one before.
    """
    refusals, notes = [], []
    if any(one.spec_sha256 != fit.spec_sha256 for one in past):
        refusals.append("it is compared with fits of another specification")
    if past and not fit.fitted_on > past[-1].fitted_on:
        refusals.append(f"it is not newer than the fit of {past[-1].fitted_on}")
    if not (math.isfinite(fit.card.coverage) and COVERAGE_MIN <= fit.card.coverage <= 1.0):
        refusals.append(f"its data are not complete: {fit.card.coverage:.4g} of them, {COVERAGE_MIN:g} are needed")
    refusals += _strange(fit, past[-FITS_COMPARED:])
    if len(past) < FITS_MIN:
        notes.append(f"{len(past)} earlier fits, {FITS_MIN} are needed to compare coefficients")
    if past and scores_before is None:
        refusals.append("the scores of the fit before it are not known")
    if not np.isfinite(scores).any():
        refusals.append("it gives no score")
    if scores_before is not None:
        alike = rank_correlation(scores, scores_before)
        if not (math.isfinite(alike) and alike >= RANK_CORRELATION_MIN):
            refusals.append(
                f"it ranks names otherwise than the fit before it: {alike:.3f}, {RANK_CORRELATION_MIN:g} is needed"
            )
    return FitJudgement(tuple(refusals), tuple(notes))


def _strange(fit: Fit, past: Sequence[Fit]) -> list[str]:
    unknown = sorted(name for name, value in fit.coefficients.items() if not math.isfinite(value))
    if unknown:
        return [f"coefficients are not finite: {', '.join(unknown)}"]
    if past and any(set(one.coefficients) != set(fit.coefficients) for one in past):
        return ["its coefficients have other names than those of earlier fits"]
    if len(past) < FITS_MIN or not fit.coefficients:
        return []
    names = sorted(fit.coefficients)
    known = np.array([[one.coefficients[name] for name in names] for one in past], dtype=np.float64)
    middle = np.median(known, axis=0)
    spread = NORMAL_MAD * np.median(np.abs(known - middle), axis=0)
    spread = np.maximum(spread, SPREAD_FLOOR * float(np.abs(middle).max()))
    told = []
    for name, centre, one in zip(names, middle.tolist(), spread.tolist(), strict=True):
        off = abs(fit.coefficients[name] - centre)
        if not (math.isfinite(off) and off <= DEVIATIONS_MAX * one):
            told.append(
                f"coefficient {name} {fit.coefficients[name]:.6g} is more than {DEVIATIONS_MAX:g} robust deviations "
                f"({one:.3g} each) from {centre:.6g}"
            )
    return told


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, over names that both score; NaN with fewer than five, or when one of them tells no names apart."""
    from scipy.stats import rankdata

    if one.shape != other.shape:
        return math.nan
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < SCORES_MIN:
        return math.nan
    x, y = (np.asarray(rankdata(part[known])) for part in (one, other))
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size > 0.0 else math.nan


def stands_in(previous: Fit | None, spec_sha256: str, sessions_since_fit: int) -> bool:
    """Whether the previous fit stays in force for one that was refused: of the same specification and at most a month old.

    Else the baseline decides.
    """
    return previous is not None and previous.spec_sha256 == spec_sha256 and 0 <= sessions_since_fit <= KEPT_SESSIONS_MAX
