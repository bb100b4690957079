"""The table of risk numbers: value at risk and shortfall by method, volatility by estimator and what it is made of, the record.

Of the book after a batch, buys at their limits. A family of numbers that cannot be computed is one row with the reason. Pure. Not
here: limits on these numbers (`*_controls`), the methods (`value_at_risk`, `var_backtest`).
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.risk.book_controls import aligned
from marketbot_assets.risk.control import FRACTION
from marketbot_assets.risk.exposure_controls import risk_shares
from marketbot_assets.risk.forecasting import variances
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.model_state import (
    comovement,
    exceptions,
    model_multiple,
    record,
    var_multiple,
    volatility_ratio,
    zone_of,
)
from marketbot_assets.risk.projection import WITH, Projection, project
from marketbot_assets.risk.schema import RISK_REPORT
from marketbot_assets.risk.state_controls import ladder_multiple
from marketbot_assets.risk.tail_controls import scenarios
from marketbot_assets.risk.value_at_risk import (
    cornish_fisher_var,
    historical_es,
    historical_var,
    is_monotone,
    moments,
    normal_es_factor,
    normal_var,
)
from marketbot_assets.risk.var_backtest import christoffersen, kupiec
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import SESSIONS_PER_YEAR, Order

LEVELS = (0.95, 0.975, 0.99)
YEARLY, SESSION = "fraction of NAV per year", FRACTION
Row = dict[str, object]


def _row(kind: str, key: str, value: float, *, unit: str, share: float = math.nan, text: str = "") -> Row:
    return {
        "kind": kind,
        "key": key,
        "value": float(value) if math.isfinite(value) else None,
        "share": float(share) if math.isfinite(share) else None,
        "unit": unit,
        "text": text,
    }


def _sigma(p: Projection) -> dict[str, float]:
    """Standard deviation per session by estimator."""
    columns, weights = aligned(p)
    moves = p.inputs.factor_model.returns[:, columns] @ weights
    found = variances(p.inputs.factor_model, moves, weights)
    return {name: math.sqrt(float(values[WITH])) for name, values in found.items()}


def tails(p: Projection) -> Iterable[Row]:
    """VAR and ES: one session, before any multiple; Cornish-Fisher says when its quantile map does not rise."""
    weights, returns, rescaled = scenarios(p)
    book, sigma = weights[:, WITH], max(_sigma(p).values())
    simulated = {"historical": -(returns @ book)[:, None], "filtered": -(rescaled @ book)[:, None]}
    of = moments(returns @ book)
    rises = is_monotone(of.skew, of.kurtosis)
    told = f"skewness {of.skew:.3g}, excess kurtosis {of.kurtosis:.3g}"
    for level in LEVELS:
        for name, losses in simulated.items():
            yield _row("VAR", f"{name} {level:g}", float(historical_var(losses, level)[0]), unit=SESSION)
        yield _row("VAR", f"normal {level:g}", normal_var(sigma, level), unit=SESSION)
        value = cornish_fisher_var(of, level) if rises else math.nan
        text = told if rises else f"not used, its quantile map does not rise: {told}"
        yield _row("VAR", f"cornish-fisher {level:g}", value, unit=SESSION, text=text)
    for level in LEVELS:
        for name, losses in simulated.items():
            yield _row("ES", f"{name} {level:g}", float(historical_es(losses, level)[0]), unit=SESSION)
        yield _row("ES", f"normal {level:g}", normal_es_factor(level) * sigma, unit=SESSION)


def volatilities(p: Projection) -> Iterable[Row]:
    """VOLATILITY by estimator, per year, and the target in force."""
    year = math.sqrt(SESSIONS_PER_YEAR)
    for name, sigma in _sigma(p).items():
        yield _row("VOLATILITY", name.replace("_", "-"), sigma * year, unit=YEARLY)
    model, (columns, weights) = p.inputs.factor_model, aligned(p)
    held = weights[:, WITH]
    exposure = held @ model.exposures[columns]
    variance = exposure @ model.factor_covariance @ exposure + held**2 @ model.specific_variance[columns]
    yield _row("VOLATILITY", "factor model", math.sqrt(float(variance)), unit=YEARLY)
    target = p.mandate.volatility.target_per_year * ladder_multiple(p) * model_multiple(p)
    yield _row("VOLATILITY", "target in force", target, unit=YEARLY)


def parts(p: Projection) -> Iterable[Row]:
    """NAME and CURRENCY: contributions to the volatility under the larger estimator; each kind adds up to it."""
    shares, sigma = risk_shares(p)
    yearly = float(sigma[WITH]) * math.sqrt(SESSIONS_PER_YEAR)
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1))
    currencies: dict[str, list[float]] = {}
    for row, share in zip(rows, shares[:, WITH], strict=True):
        name, text = p.inputs.instruments[row], f"weight {p.weights[row, WITH]:.6g}"
        currencies.setdefault(p.inputs.currency[row], []).append(float(share))
        yield _row("NAME", name, float(share) * yearly, share=float(share), unit=YEARLY, text=text)
    for currency, found in sorted(currencies.items()):
        share = math.fsum(found)
        yield _row("CURRENCY", currency, share * yearly, share=share, unit=YEARLY)


def factor_parts(p: Projection) -> Iterable[Row]:
    """FACTOR: contributions x_k (F x)_k / sigma under the factor model, and what is specific to names."""
    model, (columns, weights) = p.inputs.factor_model, aligned(p)
    held = weights[:, WITH]
    exposure = held @ model.exposures[columns]
    common = exposure * (model.factor_covariance @ exposure)
    specific = float(held**2 @ model.specific_variance[columns])
    variance = float(common.sum()) + specific
    sigma = math.sqrt(variance) if variance > 0.0 else math.nan
    for name, own, part in zip(model.factors, exposure, common, strict=True):
        text = f"exposure {float(own):.6g}"
        yield _row("FACTOR", name, float(part) / sigma, share=float(part) / variance, unit=YEARLY, text=text)
    yield _row("FACTOR", "specific", specific / sigma, share=specific / variance, unit=YEARLY)


def backtest(p: Projection) -> Iterable[Row]:
    """BACKTEST of the recorded forecasts: exceptions, zone, tests, realised over expected volatility."""
    rules, days = p.mandate.limits, record(p)
    hits = exceptions(days, rules.var_backtest.sessions)
    zone = zone_of(sum(hits), rules.var_backtest).value
    yield _row("BACKTEST", "sessions", len(hits), unit="sessions", text=f"of {rules.var_backtest.sessions}")
    yield _row("BACKTEST", "exceptions", sum(hits), unit="sessions", text=zone)
    tests = {
        "kupiec": kupiec(sum(hits), len(hits)) if hits else (math.nan, math.nan),
        "christoffersen": christoffersen(hits),
    }
    for name, (statistic, tail) in tests.items():
        yield _row("BACKTEST", f"{name} ratio", statistic, unit="likelihood ratio")
        yield _row("BACKTEST", f"{name} p-value", tail, unit="probability")
    ratio = volatility_ratio(days, rules.vol_ratio)
    text = f"{min(len(days), rules.vol_ratio.sessions)} of {rules.vol_ratio.sessions} sessions"
    yield _row("BACKTEST", "volatility ratio", math.nan if ratio is None else ratio, unit="ratio", text=text)


def models(p: Projection) -> Iterable[Row]:
    """MODEL: comovement of the universe and the multiples in force."""
    found = comovement(p.inputs.factor_model, p.mandate.limits.correlation)
    yield _row("MODEL", "mean pairwise correlation", found.mean, unit="fraction", text=f"{found.names} names")
    yield _row("MODEL", "first component", found.first, unit="fraction", text=f"{found.names} names")
    yield _row("MODEL", "volatility multiple", model_multiple(p), unit="multiple")
    yield _row("MODEL", "value-at-risk multiple", var_multiple(p), unit="multiple")


FAMILIES: tuple[tuple[str, Callable[[Projection], Iterable[Row]]], ...] = (
    ("VAR", tails),
    ("VOLATILITY", volatilities),
    ("NAME", parts),
    ("FACTOR", factor_parts),
    ("BACKTEST", backtest),
    ("MODEL", models),
)


def _family(kind: str, family: Callable[[Projection], Iterable[Row]], p: Projection) -> list[Row]:
    try:
        return list(family(p))
    # The table says what could not be computed; the verdict refuses every buy for the same reason.
    except Exception as error:
        return [_row(kind, "", math.nan, unit="", text=f"cannot be computed: {type(error).__name__}: {error}")]


def risk_report(inputs: RiskInputs, orders: Sequence[Order], mandate: Mandate) -> pd.DataFrame:
    """RISK_REPORT: one row per number of the book after `orders`, sorted by kind and key. Raises when no book can be projected."""
    with np.errstate(all="ignore"):
        p = project(inputs, orders, mandate)
        rows = [row for kind, family in FAMILIES for row in _family(kind, family, p)]
    frame = pd.DataFrame(rows, columns=[column.name for column in RISK_REPORT.columns])
    frame = frame.astype({"value": float, "share": float})
    return frame.sort_values(["kind", "key"], kind="stable", ignore_index=True)
