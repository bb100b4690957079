"""Estimating the factor model: exposures of today, factor returns by weighted cross-sections, two covariance estimators. Pure.

Exposures are held constant over the estimation window: simple, and exact for the sectors; style exposures drift slowly.
Two estimators, by the mandate's `volatility.factor_model`: `minimum_norm` here, `constrained` in `factor_risk`.
Not here: the result type (`model`), stress windows (`scenarios`).
"""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd

from marketbot_assets.features.coverage import FILED_FEATURES, within_countries
from marketbot_assets.features.factor_bias import band, recent_bias
from marketbot_assets.features.factor_risk import Estimator, constrained_risk
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.price_features import beta_alone, index_returns
from marketbot_assets.features.scenarios import ScenarioReturns
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow
from marketbot_resources.mandate import Mandate, Volatility
from marketbot_resources.model import SESSIONS_PER_YEAR

RETURN_SESSIONS = 756
ESTIMATION_SESSIONS = 252
BETA_WEIGHT, BETA_PRIOR, BETA_MIN_OBSERVATIONS = 2.0 / 3.0, 1.0, 60
WINSOR = 3.0
SPECIFIC_FLOOR_PER_YEAR = 0.05**2
STYLES = (
    ("size", "log_market_value"),
    ("value", "book_to_price"),
    ("momentum", "momentum_12_1"),
    ("low_volatility", "low_volatility_126d"),
)


def estimate_factor_model(
    window: MarketWindow,
    macro: MacroWindow,
    features: pd.DataFrame,
    instruments: pd.DataFrame | Listings,
    mandate: Mandate,
    scenarios: ScenarioReturns,
    beta: Floats | None = None,
) -> FactorModel:
    """The model at the window's last session; `features` and `instruments` in the window's order.

    `beta` (n,): the `shrunk_beta` of the window, where the caller has it.
    """
    session = window.sessions[-1]
    raw = window.base_return[-RETURN_SESSIONS:]
    known = np.isfinite(raw)
    returns = np.where(known, raw, 0.0)
    names, exposures = exposures_of(features, instruments)
    covariance, specific = estimated_risk(raw, exposures, names, features, instruments, mandate.volatility)
    shrinkage, target = ledoit_wolf(returns[-mandate.volatility.ledoit_wolf_sessions :])
    model = FactorModel(
        session=session,
        instruments=window.instruments,
        factors=names,
        exposures=exposures,
        factor_covariance=covariance,
        specific_variance=specific,
        returns=returns,
        observations=known.sum(axis=0).astype(float),
        beta=shrunk_beta(window.base_return, macro.series["SP500"]) if beta is None else beta,
        sigma_daily=ewma_sigma(returns, mandate.volatility.ewma_halflife_sessions),
        ewma_halflife=mandate.volatility.ewma_halflife_sessions,
        ledoit_wolf_sessions=mandate.volatility.ledoit_wolf_sessions,
        shrinkage=shrinkage,
        shrink_variance=target,
        index_vol_20d=index_volatility(macro.series["SP500"], 20),
        scenarios=scenarios.names,
        scenario_kinds=scenarios.kinds,
        scenario_returns=scenarios.returns,
        scenario_proxied=scenarios.proxied,
        scenario_factor_returns=scenarios.factor_returns,
        scenario_paths=scenarios.paths,
        scenario_years=scenarios.years,
    )
    return laid_out_as_stored(model)


def laid_out_as_stored(model: FactorModel) -> FactorModel:
    """The model with its numbers in memory as `from_frame` lays them out.

    Sums over rows and over columns differ in their last bits: who has just estimated a model and who reads it get the same ones.
    """
    facts = np.column_stack(
        (model.specific_variance, model.observations, model.beta, model.sigma_daily, model.exposures)
    )
    by_factors = np.column_stack((model.scenario_years, model.scenario_factor_returns))
    return replace(
        model,
        exposures=facts[:, 4:],
        factor_covariance=np.ascontiguousarray(model.factor_covariance),
        specific_variance=facts[:, 0],
        observations=facts[:, 1],
        beta=facts[:, 2],
        sigma_daily=facts[:, 3],
        returns=np.ascontiguousarray(model.returns.T).T,
        scenario_returns=np.ascontiguousarray(model.scenario_returns),
        scenario_proxied=np.ascontiguousarray(model.scenario_proxied),
        scenario_factor_returns=by_factors[:, 1:],
        scenario_paths=np.ascontiguousarray(model.scenario_paths),
        scenario_years=by_factors[:, 0],
    )


def estimated_risk(
    returns: Floats,
    exposures: Floats,
    names: tuple[str, ...],
    features: pd.DataFrame,
    instruments: pd.DataFrame | Listings,
    chosen: Volatility,
) -> tuple[Floats, Floats]:
    """((k, k) factor covariance, (n,) specific variance), per year, by the estimator that the mandate names.

    returns: (T, n), NaN unknown. `minimum_norm` takes an unknown return for 0 and every sector alike; `constrained`: `factor_risk`.
    """
    weights, halflife = cross_section_weights(features), chosen.ewma_halflife_sessions
    if chosen.factor_model == "constrained":
        spec = Estimator(variance_halflife=halflife, specific_halflife=halflife)
        covariance, specific = constrained_risk(
            returns, exposures, weights, names, list(listings_of(instruments).texts("sector")), spec
        )
        return covariance, np.asarray(np.maximum(specific, SPECIFIC_FLOOR_PER_YEAR))
    newest = returns[-ESTIMATION_SESSIONS:]
    sample = np.where(np.isfinite(newest), newest, 0.0)
    return minimum_norm_risk(sample, exposures, weights, halflife)


def exposures_of(features: pd.DataFrame, instruments: pd.DataFrame | Listings) -> tuple[tuple[str, ...], Floats]:
    """(factor names, (n, k) exposures): market 1, styles as winsorised z-scores (0 where unknown), one column per sector.

    Styles from fundamentals are measured within countries where a country has none (`coverage`).
    """
    columns, listed = [np.ones(len(features))], listings_of(instruments)
    for _, source in STYLES:
        values = features[source].to_numpy(dtype=float)
        columns.append(standardized(within_countries(values, listed) if source in FILED_FEATURES else values))
    groups = listed.members("sector")
    columns += [own.astype(float) for own in groups.values()]
    return ("market", *(name for name, _ in STYLES), *(f"sector {group}" for group in groups)), np.column_stack(columns)


def standardized(values: Floats) -> Floats:
    """z-scores over known values, winsorised at 3, 0 where unknown or without spread."""
    known = np.isfinite(values)
    if known.sum() < 2:
        return np.zeros(len(values))
    spread = float(np.std(values[known]))
    z = (values - np.mean(values[known])) / spread if spread > 0 else np.zeros(len(values))
    return np.asarray(np.where(known, np.clip(z, -WINSOR, WINSOR), 0.0))


def cross_section_weights(features: pd.DataFrame) -> Floats:
    """Square roots of market values, the usual weights of cross-sections; the median where unknown."""
    size = features["log_market_value"].to_numpy(dtype=float)
    known = np.isfinite(size)
    middle = float(np.median(size[known])) if known.any() else 0.0
    root = np.exp(0.5 * (np.where(known, size, middle) - middle))
    return np.asarray(np.clip(root, 0.2, 5.0))


def minimum_norm_risk(returns: Floats, exposures: Floats, weights: Floats, halflife: int) -> tuple[Floats, Floats]:
    """((k, k) factor covariance, (n,) specific variance), per year.

    Factor returns by weighted least squares with minimum norm, which spreads the market over the sectors evenly and needs no
    dropped column; covariance by EWMA, hence positive semidefinite; specific variance from residuals with a floor.
    """
    root = np.sqrt(weights)[:, None]
    factors = (np.linalg.pinv(exposures * root) @ (root * returns.T)).T
    residual = returns - factors @ exposures.T
    age = np.arange(len(returns))[::-1]
    decay = 0.5 ** (age / halflife)
    decay = (decay / decay.sum())[:, None]
    covariance = (factors * decay).T @ factors * SESSIONS_PER_YEAR
    specific = (residual**2 * decay).sum(axis=0) * SESSIONS_PER_YEAR
    return (covariance + covariance.T) / 2.0, np.asarray(np.maximum(specific, SPECIFIC_FLOOR_PER_YEAR))


def ledoit_wolf(returns: Floats) -> tuple[float, float]:
    """(shrinkage, variance of the identity target) of Ledoit and Wolf (2004), mean taken as zero. returns: (T, n)."""
    count, size = returns.shape
    sample = returns.T @ returns
    sample /= count
    target = float(np.trace(sample)) / size
    apart = sample.copy()
    apart[np.diag_indices(size)] -= target
    distance = float(np.square(apart, out=apart).sum()) / size
    # Two arrays: the product of one with itself takes another way through BLAS and differs in its last bits.
    square, again = returns**2, returns**2
    squares = square.T @ again
    squares /= count
    squares -= np.square(sample, out=sample)
    noise = float(squares.sum()) / (count * size)
    if distance <= 0.0:
        return 1.0, target
    return float(min(noise, distance) / distance), target


def ewma_sigma(returns: Floats, halflife: int) -> Floats:
    """Standard deviation per session, mean zero, exponential weights, (n,)."""
    age = np.arange(len(returns))[::-1]
    weights = 0.5 ** (age / halflife)
    square = returns**2
    square *= (weights / weights.sum())[:, None]
    return np.asarray(np.sqrt(square.sum(axis=0)))


def shrunk_beta(base_returns: Floats, index: Floats) -> Floats:
    """Dimson beta of up to 252 sessions shrunk by a third towards 1; 1 with fewer than 60 observations, (n,)."""
    known = np.isfinite(base_returns[-ESTIMATION_SESSIONS:]).sum(axis=0)
    sessions = min(ESTIMATION_SESSIONS, len(base_returns) - 2)
    beta = beta_alone(np.nan_to_num(base_returns[-ESTIMATION_SESSIONS - 2 :]), index, sessions)
    shrunk = BETA_WEIGHT * beta + (1.0 - BETA_WEIGHT) * BETA_PRIOR
    return np.asarray(np.where((known >= BETA_MIN_OBSERVATIONS) & np.isfinite(shrunk), shrunk, BETA_PRIOR))


def index_volatility(index: Floats, sessions: int) -> float:
    """Annualized standard deviation of the index's last returns; NaN when it is too short."""
    tail = index_returns(index)[-sessions:]
    return float(np.std(tail, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)) if len(tail) == sessions else float("nan")


def bias_frame(
    window: MarketWindow, model: FactorModel, features: pd.DataFrame, instruments: pd.DataFrame, mandate: Mandate
) -> pd.DataFrame:
    """How the model's estimator did in the last 250 sessions: a row per family, values mean bias, its band, share inside it, count.

    Rows of the block "bias", which `from_frame` does not read: no decision depends on them.
    """

    def estimate(past: Floats) -> tuple[Floats, Floats]:
        risk = estimated_risk(past, model.exposures, model.factors, features, instruments, mandate.volatility)
        return risk[0] / SESSIONS_PER_YEAR, risk[1] / SESSIONS_PER_YEAR

    found = recent_bias(window.base_return[-RETURN_SESSIONS:], model.exposures, estimate)
    rows = [
        ("bias", n, one.family, [one.mean, *band(one.sessions), one.inside, float(one.sessions)])
        for n, one in enumerate(found)
    ]
    return pd.DataFrame(rows, columns=["block", "place", "key", "values"])


BLOCKS = ("session", "factor", "instrument", "return", "scenario", "proxied", "by factors", "path")


def to_frame(model: FactorModel) -> pd.DataFrame:
    """The model as rows (block, place, key, values); exact, see `from_frame`."""
    scalars = (
        model.ewma_halflife,
        model.ledoit_wolf_sessions,
        model.shrinkage,
        model.shrink_variance,
        model.index_vol_20d,
    )
    rows: list[tuple[str, int, str, list[float]]] = [
        ("session", 0, model.session.isoformat(), [float(v) for v in scalars])
    ]
    rows += [("factor", n, name, model.factor_covariance[n].tolist()) for n, name in enumerate(model.factors)]
    for n, name in enumerate(model.instruments):
        facts = [model.specific_variance[n], model.observations[n], model.beta[n], model.sigma_daily[n]]
        rows.append(("instrument", n, name, [float(v) for v in (*facts, *model.exposures[n])]))
        rows.append(("return", n, name, model.returns[:, n].tolist()))
    for n, name in enumerate(model.scenarios):
        rows.append(("scenario", n, f"{name}|{model.scenario_kinds[n]}", model.scenario_returns[n].tolist()))
        rows.append(("proxied", n, name, model.scenario_proxied[n].astype(float).tolist()))
        rows.append(
            ("by factors", n, name, [float(model.scenario_years[n]), *model.scenario_factor_returns[n].tolist()])
        )
        rows.append(("path", n, name, model.scenario_paths[n].ravel().tolist()))
    return pd.DataFrame(rows, columns=["block", "place", "key", "values"])


def from_frame(frame: pd.DataFrame) -> FactorModel:
    """The model from its rows."""
    blocks = {block: frame[frame["block"] == block].sort_values("place") for block in BLOCKS}

    def matrix(block: str) -> Floats:
        return np.array([np.asarray(values, dtype=float) for values in blocks[block]["values"]])

    halflife, window, shrinkage, target, vol = matrix("session")[0]
    instruments, facts = tuple(blocks["instrument"]["key"]), matrix("instrument")
    pairs = [str(key).split("|") for key in blocks["scenario"]["key"]]
    shape = (len(pairs), len(instruments))
    by_factors = matrix("by factors").reshape(shape[0], shape[1] + 1)
    return FactorModel(
        session=dt.date.fromisoformat(str(blocks["session"]["key"].iloc[0])),
        instruments=instruments,
        factors=tuple(blocks["factor"]["key"]),
        exposures=facts[:, 4:],
        factor_covariance=matrix("factor"),
        specific_variance=facts[:, 0],
        returns=matrix("return").T,
        observations=facts[:, 1],
        beta=facts[:, 2],
        sigma_daily=facts[:, 3],
        ewma_halflife=int(halflife),
        ledoit_wolf_sessions=int(window),
        shrinkage=float(shrinkage),
        shrink_variance=float(target),
        index_vol_20d=float(vol),
        scenarios=tuple(name for name, _ in pairs),
        scenario_kinds=tuple(kind for _, kind in pairs),
        scenario_returns=matrix("scenario").reshape(shape),
        scenario_proxied=matrix("proxied").reshape(shape).astype(bool),
        scenario_factor_returns=by_factors[:, 1:],
        scenario_paths=matrix("path").reshape(shape[0], -1, shape[1]) if pairs else np.empty((0, 1, shape[1])),
        scenario_years=by_factors[:, 0],
    )
