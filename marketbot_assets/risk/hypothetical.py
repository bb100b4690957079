"""Stresses that are formulas of today's book, each a loss now, not over time. Pure.

- FED: Federal Reserve 2026 severely adverse, equity_loss * beta + 2.33 * sqrt(sum w^2 * specific variance * 0.75 years);
- Y1: -10, -20 and -30 % of the market times beta; Y3: each sector -40 %; Y5: the five largest names -50 % each;
- Y6: volatilities doubled, every correlation 0.9, one session at 99 %: 2.33 * sqrt(0.1 sum (2 w s)^2 + 0.9 (sum 2 w s)^2);
- Y7: the base currency 15 % up or down against all others, on holdings and cash;
- Y8: selling everything at a quarter of the usual volume and five times the usual spread: per name tax + 5 * (half-spread and
  fee) + impact coefficient * s * sqrt(value / (ADV / 4)), at most all of it; all of it where volume or volatility is unknown.
Y2 (rates), Y4 (momentum) and Y9 (broker down) are one return per name and come with the factor model (`stress.historical`).
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.book_controls import aligned
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.projection import WITH, Projection, base_rate, number, trading_cost
from marketbot_assets.risk.scenario import INSTANT, NORMAL_99, Scenario, formula, spread
from marketbot_resources.model import BASIS_POINT

FED, FED_YEARS = "FED", 0.75
MARKET_SHOCKS = (("Y1", 0.30), ("Y1 -10 %", 0.10), ("Y1 -20 %", 0.20))
SECTOR_SHOCK, NAME_SHOCK, CURRENCY_SHOCK = 0.40, 0.50, 0.15
SHOCKED_NAMES = 5
STRESSED_CORRELATION, STRESSED_VOLATILITY = 0.9, 2.0
VOLUME_LEFT, SPREAD_MULTIPLE = 0.25, 5.0


def kinds_of(model: FactorModel, names: Sequence[str]) -> dict[str, str]:
    """Kind of each scenario by its name: those of the factor model have theirs, a formula is FED or a loss now."""
    own = dict(zip(model.scenarios, model.scenario_kinds, strict=True))
    return {name: own.get(name, "fed" if name == FED else INSTANT) for name in names}


def market(p: Projection) -> list[Scenario]:
    """FED and Y1."""
    columns, weights = aligned(p)
    model = p.inputs.factor_model
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1)).astype(float)
    beta, variance = model.beta[columns], model.specific_variance[columns]
    if not (variance >= 0.0).all():
        raise ValueError("specific variances are missing or negative")
    equity = p.mandate.limits.fed_severe.equity_loss
    own = NORMAL_99 * np.sqrt((weights**2 * variance[:, None]).sum(axis=0) * FED_YEARS)
    lost = beta @ weights

    def parts(shock: float) -> Floats:
        return shock * spread(p, rows, beta * weights[:, WITH])

    return [
        formula(p, FED, "fed", equity * lost + own, partial(parts, equity)),
        *(formula(p, name, INSTANT, shock * lost, partial(parts, shock)) for name, shock in MARKET_SHOCKS),
    ]


def names(p: Projection) -> list[Scenario]:
    """Y3, Y5 and Y6."""
    size, codes = np.abs(p.weights), {sector: code for code, sector in enumerate(sorted({*p.sectors}))}
    group = np.array([codes[sector] for sector in p.sectors], dtype=np.int64)
    found = []
    for sector, code in codes.items():
        part = np.where(group == code, SECTOR_SHOCK, 0.0)
        found.append(formula(p, f"Y3 {sector}", INSTANT, part @ size, partial(np.multiply, part, size[:, WITH])))
    largest = np.sort(size, axis=0)[-SHOCKED_NAMES:].sum(axis=0)
    found.append(formula(p, "Y5", INSTANT, NAME_SHOCK * largest, partial(_largest_parts, size[:, WITH])))
    risk = np.where(p.weights == 0.0, 0.0, STRESSED_VOLATILITY * p.weights * p.sigma_daily[:, None])
    variance = (1.0 - STRESSED_CORRELATION) * (risk**2).sum(axis=0) + STRESSED_CORRELATION * risk.sum(axis=0) ** 2
    found.append(formula(p, "Y6", INSTANT, NORMAL_99 * np.sqrt(variance), lambda: NORMAL_99 * risk[:, WITH]))
    return found


def _largest_parts(size: Floats) -> Floats:
    """(n,) losses of the largest names; size: (n,) absolute weights."""
    edge = np.sort(size)[-SHOCKED_NAMES:].min(initial=np.inf)
    return np.asarray(np.where(size >= edge, NAME_SHOCK * size, 0.0))


def currencies(p: Projection) -> list[Scenario]:
    """Y7."""
    base = p.mandate.base_currency
    foreign = np.array([c != base for c in p.currencies], dtype=bool)
    held = {c: number(a) * base_rate(p.inputs, p.mandate, c) for c, a in p.inputs.cash.items() if c != base and a != 0}
    start = sum(held.values())
    moved = np.where(p.is_fx, p.signs * p.value, -p.signs * p.value)
    abroad = np.array([order.currency != base for order in p.orders], dtype=bool)
    cash = np.array([moved[abroad].sum(), 0.0, moved[abroad & p.reducing].sum()]) + start
    exposure = p.weights[foreign].sum(axis=0) + cash / p.nav
    return [
        formula(
            p,
            "Y7",
            INSTANT,
            CURRENCY_SHOCK * np.abs(exposure),
            lambda: np.where(foreign, CURRENCY_SHOCK * p.weights[:, WITH], 0.0),
        )
    ]


def liquidation(p: Projection) -> list[Scenario]:
    """Y8."""
    costs, kinds = p.mandate.costs_bps, list(zip(p.currencies, (p.fund == 1.0).tolist(), strict=True))
    fee = {kind: _fee(p, kind[0], is_fund=kind[1]) for kind in {*kinds}}
    fees = np.array([fee[kind] for kind in kinds])
    tax = np.array([costs.tax_sell.get(name, 0.0) * BASIS_POINT for name in p.currencies])
    size = np.abs(p.weights)
    impact = costs.impact_coefficient * p.sigma_daily[:, None] * np.sqrt(size * p.nav / (VOLUME_LEFT * p.adv[:, None]))
    cost = tax[:, None] + SPREAD_MULTIPLE * fees[:, None] + impact
    parts = np.where(size == 0.0, 0.0, size * np.where(np.isfinite(cost), np.clip(cost, 0.0, 1.0), 1.0))
    return [formula(p, "Y8 liquidation", INSTANT, parts.sum(axis=0), lambda: parts[:, WITH])]


def _fee(p: Projection, currency: str, *, is_fund: bool) -> float:
    """Half-spread and fee of a sale, without tax, as a fraction."""
    tax = p.mandate.costs_bps.tax_sell.get(currency, 0.0) * BASIS_POINT
    return trading_cost(p.mandate, currency, is_fund=is_fund, sign=-1.0) - tax


HYPOTHETICAL: dict[str, Callable[[Projection], list[Scenario]]] = {
    "market and FED": market,
    "sectors and names": names,
    "currencies": currencies,
    "liquidation": liquidation,
}
