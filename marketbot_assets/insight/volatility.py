"""Volatility forecasts of one series: exponential weights, GARCH(1,1), HAR on daily ranges, and their mean. Pure.

Every function takes what was known and gives variances of the sessions after; none sees the session that it forecasts. The fit
is plain numbers that go to JSON. Not here: how good they are (`volatility_score`), volatilities of the decision (`forecasts`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from marketbot_assets.normalization.window import Floats

LAMBDA = 0.94  # RiskMetrics (1996), daily
BACKCAST_SESSIONS = 75
PERCENT = 100.0  # the likelihood is fitted in percent: its numbers are near 1 then
PERSISTENCE_MAX, ALPHA_MAX = 0.9999, 0.5
STARTS = ((0.05, 0.90), (0.10, 0.85), (0.03, 0.95), (0.15, 0.70))
GARCH_MIN, HAR_MIN = 250, 250
WEEK, MONTH = 5, 22
VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True, slots=True)
class Garch:
    """s2[t+1] = omega + alpha r[t]^2 + beta s2[t], mean zero; `omega` per session. Bollerslev (1986)."""

    omega: float
    alpha: float
    beta: float
    log_likelihood: float

    def __post_init__(self) -> None:
        numbers = (self.omega, self.alpha, self.beta, self.log_likelihood)
        assert np.isfinite(numbers).all(), "a fit must be finite"
        assert self.omega > 0.0
        assert min(self.alpha, self.beta) >= 0.0
        assert self.alpha + self.beta < 1.0


@dataclass(frozen=True, slots=True)
class Har:
    """ln v = c[0] + c[1] ln day + c[2] ln week + c[3] ln month, times `scale`; for `horizon` sessions. Corsi (2009).

    `scale` makes the mean forecast the mean squared return: ranges miss what happens before the open.
    """

    coefficients: tuple[float, float, float, float]
    scale: float
    horizon: int

    def __post_init__(self) -> None:
        assert np.isfinite([*self.coefficients, self.scale]).all(), "a fit must be finite"
        assert self.scale > 0.0


def ewma_variances(returns: Floats, decay: float = LAMBDA) -> Floats:
    """(T + 1,) variance forecasts: entry t uses returns before t. returns: (T,), simple, mean taken as zero."""
    start = backcast(returns)
    out, _ = lfilter([1.0 - decay], [1.0, -decay], returns**2, zi=[decay * start])
    return np.concatenate([[start], out])


def backcast(returns: Floats) -> float:
    """Variance before the first return: exponential mean of the first 75 squares, the first one heaviest."""
    head = returns[:BACKCAST_SESSIONS] ** 2
    weights = LAMBDA ** np.arange(len(head))
    return float(max(VARIANCE_FLOOR, (head * weights).sum() / weights.sum()))


def garch_variances(returns: Floats, omega: float, alpha: float, beta: float) -> Floats:
    """(T + 1,) variances of the recursion from the backcast on: entry t uses returns before t."""
    start = backcast(returns)
    first = omega + (alpha + beta) * start
    inputs = omega + alpha * returns**2
    out, _ = lfilter([1.0], [1.0, -beta], inputs, zi=[beta * first])
    return np.concatenate([[first], out])


def fit_garch(returns: Floats) -> Garch:
    """Normal quasi-maximum likelihood. returns: (T,), at least 250, simple. Raises FloatingPointError when no start converges."""
    if len(returns) < GARCH_MIN or not np.isfinite(returns).all():
        raise FloatingPointError(f"GARCH: expected {GARCH_MIN} or more finite returns, found {len(returns)}")
    scaled = PERCENT * returns
    level = float(np.mean(scaled**2))
    if not level > 0.0:
        raise FloatingPointError("GARCH: the returns do not move")

    def loss(at: Floats) -> float:
        share, alpha, beta = at
        omega = share * level
        variance = garch_variances(scaled, omega, alpha, beta)[:-1]
        return float(0.5 * np.sum(np.log(2.0 * np.pi * variance) + scaled**2 / variance)) / len(scaled)

    best = None
    for alpha, beta in STARTS:
        found = minimize(
            loss,
            np.array([1.0 - alpha - beta, alpha, beta]),
            method="SLSQP",
            bounds=[(1e-6, 2.0), (0.0, ALPHA_MAX), (0.0, PERSISTENCE_MAX)],
            constraints=[{"type": "ineq", "fun": lambda at: PERSISTENCE_MAX - at[1] - at[2]}],
            options={"ftol": 1e-10, "maxiter": 200},
        )
        if np.isfinite(found.fun) and (best is None or found.fun < best.fun):
            best = found
    if best is None:
        raise FloatingPointError("GARCH: no start converged")
    share, alpha, beta = (float(value) for value in best.x)
    alpha, beta = max(alpha, 0.0), min(max(beta, 0.0), PERSISTENCE_MAX - max(alpha, 0.0))
    likelihood = -float(best.fun) * len(scaled) + len(scaled) * float(np.log(PERCENT))
    return Garch(max(share, 1e-6) * level / PERCENT**2, alpha, beta, likelihood)


def garch_forecast(fit: Garch, returns: Floats, horizon: int) -> float:
    """Mean variance per session of the next `horizon` sessions, after the last return."""
    now = float(garch_variances(returns, fit.omega, fit.alpha, fit.beta)[-1])
    persistence = fit.alpha + fit.beta
    level = fit.omega / (1.0 - persistence)
    steps = (1.0 - persistence**horizon) / (horizon * (1.0 - persistence))
    return level + (now - level) * steps


def range_variances(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> Floats:
    """(T,) Garman and Klass (1980) variances per session, overnight included: (ln open/close before)^2 + range part; first NaN.

    NaN where a price is missing or not positive; floored at 1e-10.
    """
    prices = np.array([opens, highs, lows, closes])
    known = (np.isfinite(prices) & (prices > 0.0)).all(axis=0)
    o, h, low, c = np.log(np.where(known, prices, 1.0))
    inside = 0.5 * (h - low) ** 2 - (2.0 * np.log(2.0) - 1.0) * (c - o) ** 2
    out = np.full(len(known), np.nan)
    both = known[1:] & known[:-1]
    out[1:] = np.where(both, np.maximum((o[1:] - c[:-1]) ** 2 + inside[1:], VARIANCE_FLOOR), np.nan)
    return out


def har_rows(variances: Floats) -> Floats:
    """(T, 4): 1 and logs of the mean variance of the last 1, 5 and 22 sessions; NaN before 22 or where one is unknown."""
    out = np.full((len(variances), 4), np.nan)
    out[:, 0] = 1.0
    for column, span in enumerate((1, WEEK, MONTH), start=1):
        if len(variances) >= span:
            views = np.lib.stride_tricks.sliding_window_view(variances, span)
            out[span - 1 :, column] = np.log(views.mean(axis=1))
    return out


def fit_har(variances: Floats, returns: Floats, horizon: int) -> Har:
    """Least squares of the log mean variance of the next `horizon` sessions. variances, returns: (T,), aligned.

    Raises FloatingPointError with fewer than 250 known rows.
    """
    rows, ahead = har_rows(variances)[:-horizon], _ahead(variances, horizon)
    squares = _ahead(returns**2, horizon)
    known = np.isfinite(rows).all(axis=1) & np.isfinite(ahead) & np.isfinite(squares)
    if known.sum() < HAR_MIN:
        raise FloatingPointError(f"HAR: expected {HAR_MIN} or more known sessions, found {int(known.sum())}")
    x, y = rows[known], np.log(ahead[known])
    found, *_ = np.linalg.lstsq(x, y, rcond=None)
    scale = float(np.mean(squares[known]) / np.mean(np.exp(x @ found)))
    day, week, month = (float(value) for value in found[1:])
    return Har((float(found[0]), day, week, month), max(scale, VARIANCE_FLOOR), horizon)


def _ahead(values: Floats, horizon: int) -> Floats:
    """(T - horizon,) means of the `horizon` values after each row."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values[1:], horizon).mean(axis=1))


def har_forecast(fit: Har, variances: Floats) -> float:
    """Mean variance per session of the next `fit.horizon` sessions; NaN when one of the last 22 ranges is unknown."""
    row = har_rows(variances[-MONTH:])[-1]
    return float(fit.scale * np.exp(row @ np.array(fit.coefficients)))


def combined(forecasts: Mapping[str, float]) -> float:
    """Geometric mean of variances that are finite and positive; NaN when there are none."""
    usable = [forecasts[name] for name in sorted(forecasts) if np.isfinite(forecasts[name]) and forecasts[name] > 0.0]
    return float(np.exp(np.mean(np.log(usable)))) if usable else float("nan")


def to_json(fit: Garch | Har) -> str:
    """The fit as one line of JSON; exact, see `from_json`."""
    if isinstance(fit, Garch):
        body = {"omega": fit.omega, "alpha": fit.alpha, "beta": fit.beta, "log_likelihood": fit.log_likelihood}
        return json.dumps({"family": "garch-1-1", "version": 1, **body}, sort_keys=True)
    numbers = {"coefficients": list(fit.coefficients), "scale": fit.scale, "horizon": fit.horizon}
    return json.dumps({"family": "har-range", "version": 1, **numbers}, sort_keys=True)


def from_json(text: str) -> Garch | Har:
    """The fit from its JSON. Raises ValueError on another family or version."""
    body = json.loads(text)
    match (body.pop("family", None), body.pop("version", None)):
        case ("garch-1-1", 1):
            return Garch(**body)
        case ("har-range", 1):
            day, week, month = body["coefficients"][1:]
            return Har((body["coefficients"][0], day, week, month), body["scale"], body["horizon"])
        case found:
            raise ValueError(f"expected a fit of garch-1-1 or har-range in version 1, found {found}")
