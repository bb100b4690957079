"""The return model: ridge of forward returns on cross-sectional scores, shrunk towards the mandate's weights. Pure.

Training rows are sessions of the past whose labels had ended EMBARGO sessions before the fit: purged by construction.
With little data, or without any, the coefficients are the mandate's: the model never starts from nothing.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Floats, MarketWindow
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_section import SCORES

NAME = "ridge-to-mandate"
HORIZON_SESSIONS, SAMPLE_EVERY, EMBARGO_SESSIONS = 21, 5, 5
REFIT_SESSIONS = 5
KEPT_SESSIONS_MAX = 20  # a month: how long a fit stands in for one that fails
FIT_FAILURES = (ArithmeticError, np.linalg.LinAlgError)
TYPICAL_IC = 0.05
PRIOR_SAMPLES = 320.0  # what the mandate's weights count for, in sampled sessions; `fit_return_model` says why
MIN_SAMPLES = 20
SCORE_LOOKBACK = 253
WINSOR = 3.0


# (session, instruments, scores) -> (standardized scores, labels) of its names; None where too little is known.
Samples: TypeAlias = dict[tuple[dt.date, tuple[str, ...], tuple[str, ...]], tuple[Floats, Floats] | None]


@dataclass(frozen=True, slots=True)
class ReturnModel:
    """Coefficients on standardized scores, and what is known about their worth.

    `residual_sd`: cross-sectional standard deviation of the 21-session label that the score leaves, in its own units (1 = all).
    `card`: purpose, data, method, limits, metrics.
    """

    fitted_on: dt.date
    spec_sha256: str
    scores: tuple[str, ...]
    coefficients: tuple[float, ...]
    residual_sd: float
    card: Mapping[str, str | int | float | None]


def spec_sha256(mandate: Mandate) -> str:
    """Hash of everything that defines the model but the data."""
    spec = {
        "name": NAME,
        "scores": mandate.portfolio.score_weights,
        "numbers": [HORIZON_SESSIONS, SAMPLE_EVERY, EMBARGO_SESSIONS, PRIOR_SAMPLES, TYPICAL_IC, MIN_SAMPLES],
    }
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def needs_refit(previous: ReturnModel | None, *, sessions_since_fit: int, spec: str) -> bool:
    """Whether the newest fit is five or more sessions old, of another specification, or missing."""
    return previous is None or sessions_since_fit >= REFIT_SESSIONS or previous.spec_sha256 != spec


def model_in_force(
    previous: ReturnModel | None, fit: Callable[[], ReturnModel], *, sessions_since_fit: int, spec: str
) -> ReturnModel:
    """The previous model, or a new fit when that is due (`needs_refit`); the age counts sessions, also those that were skipped.

    A fit that fails leaves the previous one in force while that is of the same specification and at most KEPT_SESSIONS_MAX
    sessions old, and is tried again in the next session. Else it raises what the fit raised: without a model nothing is decided.
    """
    if previous is not None and not needs_refit(previous, sessions_since_fit=sessions_since_fit, spec=spec):
        return previous
    try:
        return fit()
    except FIT_FAILURES:
        if previous is None or previous.spec_sha256 != spec or not sessions_since_fit <= KEPT_SESSIONS_MAX:
            raise
        return previous


def refit_word(sessions_since_fit: int) -> str:
    """What became of the refit, for people: by the age of the model in force after the session."""
    if sessions_since_fit == 0:
        return "fitted in this session"
    if sessions_since_fit < REFIT_SESSIONS:
        return f"not due: every {REFIT_SESSIONS} sessions"
    return f"due and failed: the previous fit stays in force, until it is {KEPT_SESSIONS_MAX} sessions old"


def raw_scores(returns: Floats, names: tuple[str, ...]) -> Floats:
    """(n, s) raw scores after the last row of `returns`; NaN where a return in the lookback is unknown."""
    makers = {
        "momentum_12_1": lambda r: np.prod(1 + r[-252:-21], axis=0) - 1,
        "low_volatility_126d": lambda r: -np.std(r[-126:], axis=0, ddof=1),
        "reversal_5d": lambda r: 1 - np.prod(1 + r[-5:], axis=0),
    }
    unknown = sorted(set(names) - set(SCORES))
    if unknown:
        raise ValueError(f"expected scores among {list(SCORES)}, found {unknown}")
    return np.column_stack([makers[name](returns) for name in names])


def standardize(values: Floats) -> Floats:
    """Cross-sectional z-scores per column over rows known in every column, winsorised at 3; NaN rows stay NaN."""
    known = np.isfinite(values).all(axis=1)
    out = np.full(values.shape, np.nan)
    if known.sum() >= 3:
        part = values[known]
        spread = part.std(axis=0)
        out[known] = np.clip((part - part.mean(axis=0)) / np.where(spread > 0, spread, 1.0), -WINSOR, WINSOR)
    return out


def fit_return_model(window: MarketWindow, mandate: Mandate, kept: Samples | None = None) -> ReturnModel:
    """Fits at the window's last session. `kept`: samples of the fit before, of the same past; they are replaced by this one's.

    A label is explained as TYPICAL_IC times the combined score. About twenty independent names in a cross-section and labels
    that overlap fourfold leave one sampled session a variance near 80 on a coefficient; against a prior variance of 0.25 the
    prior counts as 320 sessions, so that weights move slowly. Raises one of FIT_FAILURES when a number is not finite.
    """
    names = tuple(sorted(mandate.portfolio.score_weights))
    prior = np.array([mandate.portfolio.score_weights[name] for name in names])
    samples = _samples(window, names, {} if kept is None else kept)
    session, spec = window.sessions[-1], spec_sha256(mandate)
    if len(samples) < MIN_SAMPLES:
        card = _card(window, len(samples), None, None, "too few samples: the mandate's weights stand")
        return ReturnModel(session, spec, names, tuple(float(v) for v in prior), 1.0, card)
    solved = ridge_to_prior(samples, prior)
    half = len(samples) // 2
    inside, outside = (_mean_ic(part, solved) for part in (samples, samples[half:]))
    if not np.isfinite([*solved, inside, outside]).all():
        raise FloatingPointError(f"return model {session}: expected finite coefficients, found {solved.tolist()}")
    card = _card(window, len(samples), inside, outside, "ridge towards the mandate's weights")
    rounded = tuple(round(float(v), 6) for v in solved)
    return ReturnModel(session, spec, names, rounded, float(np.sqrt(max(0.0, 1.0 - inside**2))), card)


def ridge_to_prior(samples: Sequence[tuple[Floats, Floats]], prior: Floats) -> Floats:
    """(k,) coefficients from (scores, labels) per session: every session counts once, the prior PRIOR_SAMPLES times."""
    gram = sum((x.T @ x / len(x) for x, _ in samples), start=np.zeros((len(prior), len(prior))))
    moment = sum((x.T @ y / len(x) for x, y in samples), start=np.zeros(len(prior)))
    weighted = gram + PRIOR_SAMPLES * np.eye(len(prior))
    return np.asarray(np.linalg.solve(weighted, moment / TYPICAL_IC + PRIOR_SAMPLES * prior), dtype=np.float64)


def _samples(window: MarketWindow, names: tuple[str, ...], kept: Samples) -> list[tuple[Floats, Floats]]:
    """(scores, labels) of past sessions: labels are forward returns over 21 sessions, demeaned and scaled per session."""
    returns = window.base_return
    last = len(returns) - 1 - HORIZON_SESSIONS - EMBARGO_SESSIONS
    made: Samples = {}
    for end in range(last, SCORE_LOOKBACK - 1, -SAMPLE_EVERY):
        key = (window.sessions[end], window.instruments, names)
        made[key] = kept[key] if key in kept else _sample(returns, end, names)
    kept.clear()
    kept.update(made)
    return [sample for sample in made.values() if sample is not None][::-1]


def _sample(returns: Floats, end: int, names: tuple[str, ...]) -> tuple[Floats, Floats] | None:
    """(scores, label) after row `end`; None where too little is known."""
    scores = standardize(raw_scores(returns[end + 1 - SCORE_LOOKBACK : end + 1], names))
    forward = np.prod(1 + returns[end + 1 : end + 1 + HORIZON_SESSIONS], axis=0) - 1
    known = np.isfinite(scores).all(axis=1) & np.isfinite(forward)
    if known.sum() >= 10 and (spread := float(np.std(forward[known]))) > 0:
        return scores[known], (forward[known] - forward[known].mean()) / spread
    return None


def _mean_ic(samples: list[tuple[Floats, Floats]], coefficients: Floats) -> float:
    """Mean correlation of combined score and label."""
    found = (_correlation(x @ coefficients, y) for x, y in samples)
    ics = [ic for ic in found if ic is not None]
    return float(np.mean(ics)) if ics else 0.0


def _correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's correlation of two samples (m,), the bits of numpy's `corrcoef` at a fraction of its time.

    None where the first one does not vary.
    """
    both = np.array([one, other])
    both -= (np.add.reduce(both, axis=1) / both.shape[1])[:, None]
    if not both[0].any():
        return None
    moments = both @ both.T * np.true_divide(1, both.shape[1] - 1)
    ratio = moments[0, 1] / np.sqrt(moments[0, 0]) / np.sqrt(moments[1, 1])
    return float(min(max(ratio, -1.0), 1.0)) if ratio == ratio else float("nan")


def _card(
    window: MarketWindow, samples: int, inside: float | None, recent: float | None, method: str
) -> dict[str, str | int | float | None]:
    return {
        "purpose": "tilts the equilibrium prior; never sizes a position by itself",
        "data": f"base-currency total returns of {len(window.instruments)} instruments to {window.sessions[-1]}",
        "method": method,
        "horizon_sessions": HORIZON_SESSIONS,
        "embargo_sessions": EMBARGO_SESSIONS,
        "samples": samples,
        "information_coefficient_in_sample": None if inside is None else round(inside, 6),
        "information_coefficient_newer_half_in_sample": None if recent is None else round(recent, 6),
        "limits": "few names, overlapping labels, one world; the in-sample figures flatter it",
    }


def to_frame(model: ReturnModel) -> pd.DataFrame:
    """One row of RETURN_MODEL."""
    body = {
        "scores": model.scores,
        "coefficients": model.coefficients,
        "residual_sd": model.residual_sd,
    }
    return pd.DataFrame(
        {
            "name": [NAME],
            "fitted_on": [pd.Timestamp(model.fitted_on)],
            "spec_sha256": [model.spec_sha256],
            "model_json": [json.dumps(body, sort_keys=True)],
            "card_json": [json.dumps(dict(model.card), sort_keys=True)],
        }
    )


def from_frame(frame: pd.DataFrame) -> ReturnModel:
    """The mandate's model from RETURN_MODEL rows; a champion of the registry has a row of its own (`champion`)."""
    row = frame[frame["name"] == NAME].iloc[0]
    body = json.loads(row["model_json"])
    return ReturnModel(
        fitted_on=row["fitted_on"].date(),
        spec_sha256=str(row["spec_sha256"]),
        scores=tuple(body["scores"]),
        coefficients=tuple(body["coefficients"]),
        residual_sd=float(body["residual_sd"]),
        card=json.loads(row["card_json"]),
    )
