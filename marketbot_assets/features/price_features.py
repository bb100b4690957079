"""Features of prices: (T, n) matrices in, (n,) vectors of the last session out. Pure; only the rows of each lookback count.

NaN rule: a feature is NaN unless every return in its window is known. The window's own first return is unknown by definition.
"""

import numpy as np

from marketbot_assets.features.liquidity import traded_value
from marketbot_assets.normalization.window import Floats, MarketWindow
from marketbot_resources.model import SESSIONS_PER_YEAR

ADV_MIN = 15
LAST_MONTH, YEAR = 21, 252


def price_features(window: MarketWindow, index: Floats) -> dict[str, Floats]:
    """Every price feature by name. `index`: (T,) levels of the index aligned with the window."""
    returns = window.base_return
    out = {f"return_{n}d": compound(returns, n) for n in (1, 5, 21, 63, 126, 252)}
    out["momentum_12_1"] = compound(returns[:-LAST_MONTH], YEAR - LAST_MONTH) if len(returns) > YEAR else _nan(returns)
    out["reversal_5d"] = -out["return_5d"]
    for n in (21, 126, 252):
        out[f"volatility_{n}d"] = volatility(returns, n)
    out["low_volatility_126d"] = -out["volatility_126d"]
    out["garman_klass_21d"] = garman_klass(window, 21)
    out["atr_20d"] = true_range(window, 20)
    out["drawdown_252d"], out["range_position_252d"] = range_features(returns, YEAR)
    out["adv_20d"] = adv(window)
    out["amihud_63d"] = amihud(window, 63)
    out["quiet_share_63d"] = 1.0 - window.fresh[-63:].mean(axis=0) if len(returns) >= 63 else _nan(returns)
    out["beta_252d"], out["residual_volatility_252d"] = dimson_beta(returns, index, YEAR)
    out["index_correlation_126d"] = index_correlation(returns, index, 126)
    out["skewness_63d"] = skewness(returns, 63)
    return out


def _nan(values: Floats) -> Floats:
    return np.full(values.shape[1], np.nan)


def _tail(values: Floats, sessions: int) -> Floats | None:
    return values[-sessions:] if len(values) >= sessions else None


def compound(returns: Floats, sessions: int) -> Floats:
    """Compound simple return over the last sessions, (n,)."""
    tail = _tail(returns, sessions)
    return _nan(returns) if tail is None else np.asarray(np.prod(1.0 + tail, axis=0) - 1.0)


def volatility(returns: Floats, sessions: int) -> Floats:
    """Annualized standard deviation, ddof 1, (n,)."""
    tail = _tail(returns, sessions)
    return _nan(returns) if tail is None else np.asarray(np.std(tail, axis=0, ddof=1) * np.sqrt(SESSIONS_PER_YEAR))


def garman_klass(window: MarketWindow, sessions: int) -> Floats:
    """Annualized Garman-Klass volatility over sessions with a fresh bar, at least half of them, (n,)."""
    o, h, low, c = (np.log(a[-sessions:]) for a in (window.open, window.high, window.low, window.close))
    daily = 0.5 * (h - low) ** 2 - (2 * np.log(2) - 1) * (c - o) ** 2
    fresh = window.fresh[-sessions:] & np.isfinite(daily)
    count = fresh.sum(axis=0)
    total = np.where(fresh, daily, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count >= sessions // 2)
    return np.asarray(np.sqrt(np.maximum(mean, 0.0) * SESSIONS_PER_YEAR))


def true_range(window: MarketWindow, sessions: int) -> Floats:
    """Mean true range over fresh bars as a fraction of the close before it, (n,). Event days use the total return instead."""
    if len(window.close) < sessions + 1:
        return _nan(window.close)
    close, high, low = (a[-sessions - 1 :] for a in (window.close, window.high, window.low))
    implied = close[1:] / (
        1.0 + window.total_return[-sessions:]
    )  # the close before, on today's split and dividend basis
    span = np.maximum(high[1:], implied) - np.minimum(low[1:], implied)
    fraction = span / implied
    fresh = window.fresh[-sessions:] & np.isfinite(fraction)
    count = fresh.sum(axis=0)
    total = np.where(fresh, fraction, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count >= sessions // 2)


def range_features(returns: Floats, sessions: int) -> tuple[Floats, Floats]:
    """(loss from the highest level, place between lowest and highest level) over the last sessions, (n,) each."""
    tail = _tail(returns, sessions)
    if tail is None:
        return _nan(returns), _nan(returns)
    level = np.cumprod(1.0 + tail, axis=0)
    high, low = level.max(axis=0), level.min(axis=0)
    place = np.divide(level[-1] - low, high - low, out=np.full(len(high), np.nan), where=high > low)
    return np.asarray(1.0 - level[-1] / high), place


def adv(window: MarketWindow) -> Floats:
    """Median value traded over 20 own sessions, base currency; NaN with fewer than 15, (n,)."""
    median, count = traded_value(window)
    return np.where(count >= ADV_MIN, median, np.nan)


def amihud(window: MarketWindow, sessions: int) -> Floats:
    """Mean |return| per million of base currency traded, over fresh sessions with volume, at least half, (n,)."""
    tail = _tail(window.base_return, sessions)
    if tail is None:
        return _nan(window.base_return)
    traded = (window.close * window.volume * window.fx)[-sessions:] / 1e6
    known = window.fresh[-sessions:] & (traded > 0) & np.isfinite(tail)
    ratio = np.divide(np.abs(tail), traded, out=np.zeros_like(tail), where=known)
    count = known.sum(axis=0)
    return np.divide(ratio.sum(axis=0), count, out=np.full(len(count), np.nan), where=count >= sessions // 2)


def index_returns(index: Floats) -> Floats:
    """(T,) simple returns of the index, the first one NaN."""
    return np.concatenate([[np.nan], index[1:] / index[:-1] - 1.0])


def dimson_beta(returns: Floats, index: Floats, sessions: int) -> tuple[Floats, Floats]:
    """(sum of the betas to the index today and the session before, annualized residual volatility), (n,) each."""
    found = _dimson(returns, index, sessions)
    if found is None:
        return _nan(returns), _nan(returns)
    design, coefficients = found
    residual = returns[-sessions:] - design @ coefficients
    sd = np.sqrt((residual**2).sum(axis=0) / (sessions - 3) * SESSIONS_PER_YEAR)
    return np.asarray(coefficients[1] + coefficients[2]), np.asarray(sd)


def beta_alone(returns: Floats, index: Floats, sessions: int) -> Floats:
    """The first of `dimson_beta`, (n,)."""
    found = _dimson(returns, index, sessions)
    return _nan(returns) if found is None else np.asarray(found[1][1] + found[1][2])


def _dimson(returns: Floats, index: Floats, sessions: int) -> tuple[Floats, Floats] | None:
    """((T, 3) one, index return, the one before; (3, n) coefficients on them); None where the index is not known throughout."""
    market = index_returns(index)
    if len(returns) < sessions + 1:
        return None
    now, lag, y = market[-sessions:], market[-sessions - 1 : -1], returns[-sessions:]
    design = np.column_stack([np.ones(sessions), now, lag])
    if not np.isfinite(design).all():
        return None
    inverse = np.linalg.inv(design.T @ design)
    return design, inverse @ (design.T @ y)


def index_correlation(returns: Floats, index: Floats, sessions: int) -> Floats:
    """Correlation of overlapping two-session returns with the index, which allows for other closing times, (n,)."""
    tail, market = _tail(returns, sessions + 1), index_returns(index)[-sessions - 1 :]
    if tail is None or len(market) < sessions + 1:
        return _nan(returns)
    y, x = tail[1:] + tail[:-1], market[1:] + market[:-1]
    y, x = y - y.mean(axis=0), x - x.mean()
    scale = np.sqrt((y**2).sum(axis=0) * (x**2).sum())
    return np.divide(x @ y, scale, out=np.full(len(scale), np.nan), where=scale > 0)


def skewness(returns: Floats, sessions: int) -> Floats:
    """Skewness (third standardized moment), (n,)."""
    tail = _tail(returns, sessions)
    if tail is None:
        return _nan(returns)
    deviation = tail - tail.mean(axis=0)
    sd = np.sqrt((deviation**2).mean(axis=0))
    return np.divide((deviation**3).mean(axis=0), sd**3, out=np.full(len(sd), np.nan), where=sd > 0)
