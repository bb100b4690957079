"""RC-46 stress losses of the projected book, and the table that shows them. Pure.

Historical windows come from the factor model, one return per instrument and scenario (crash, bear, budget). The rest are formulas:
- FED: Federal Reserve 2026 severely adverse, equity_loss * beta + 2.33 * sqrt(sum w^2 * specific variance * 0.75 years);
- Y1: -30 % of the market times beta; Y3: each sector -40 %; Y5: the five largest names -50 % each;
- Y6: volatilities doubled, every correlation 0.9, one session at 99 %: 2.33 * sqrt(0.1 sum (2 w s)^2 + 0.9 (sum 2 w s)^2);
- Y7: the base currency 15 % up or down against all others, on holdings and cash.
Not here: how windows are chosen and proxied (`features.factor_model`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.risk.book_controls import aligned
from marketbot_assets.risk.control import ControlResult, Rule, cap
from marketbot_assets.risk.inputs import Floats, RiskInputs
from marketbot_assets.risk.projection import WITH, Projection, base_rate, number, numbers, project, texts
from marketbot_assets.risk.schema import STRESS_RESULTS
from marketbot_assets.risk.state_controls import drawdown
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

STRESS = Rule("RC-46", "stress loss", Status.SHRINK)

NORMAL_99 = 2.33
FED_YEARS = 0.75
MARKET_SHOCK, SECTOR_SHOCK, NAME_SHOCK, CURRENCY_SHOCK = 0.30, 0.40, 0.50, 0.15
SHOCKED_NAMES = 5
STRESSED_CORRELATION, STRESSED_VOLATILITY = 0.9, 2.0
BUDGET = "budget"
CONTRIBUTORS = 5


@dataclass(frozen=True, slots=True)
class Scenario:
    """One stress: `losses` (3,) fractions of NAV with the batch, without it, with its reductions; positive is a loss.

    `contributions` (n,): each instrument's part of the loss with the batch; `proxied`: share of the gross book whose return
    in this window is a stand-in (beta times the index).
    """

    name: str
    kind: str
    losses: Floats
    contributions: Floats
    hard: float
    warn: float | None
    proxied: float


def _limits(p: Projection, kind: str) -> tuple[float, float | None]:
    limits = p.mandate.limits
    if kind == BUDGET:
        rule, lost = limits.drawdown_budget, drawdown(p)
        return max(rule.hard - lost, rule.floor), max(rule.warn - lost, rule.floor)
    caps = {
        "crash": limits.crash_replay,
        "bear": limits.bear_replay,
        "fed": limits.fed_severe,
        "instant": limits.instant,
    }
    if kind not in caps:
        raise ValueError(f"unknown kind of scenario {kind!r}")
    return caps[kind].hard, caps[kind].warn


def _spread(p: Projection, rows: Floats, values: Floats) -> Floats:
    whole = np.zeros(len(p.price))
    whole[rows.astype(int)] = values
    return whole


def historical(p: Projection) -> list[Scenario]:
    """Replays of past windows with frozen weights. Raises ValueError without a drawdown budget scenario."""
    model, (columns, weights) = p.inputs.factor_model, aligned(p)
    if BUDGET not in model.scenario_kinds:
        raise ValueError("no scenario for the drawdown budget")
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1)).astype(float)
    moves = model.scenario_returns[:, columns]
    losses = -(moves @ weights)
    size = np.abs(weights[:, WITH])
    stand_in = model.scenario_proxied[:, columns].astype(float) @ size / max(float(size.sum()), np.finfo(float).tiny)
    found = []
    limits = {kind: _limits(p, kind) for kind in sorted(set(model.scenario_kinds))}
    for s, (name, kind) in enumerate(zip(model.scenarios, model.scenario_kinds, strict=True)):
        hard, warn = limits[kind]
        parts = _spread(p, rows, -moves[s] * weights[:, WITH])
        found.append(Scenario(name, kind, losses[s], parts, hard, warn, float(stand_in[s])))
    return found


def _formula(p: Projection, name: str, kind: str, losses: Floats, contributions: Floats) -> Scenario:
    hard, warn = _limits(p, kind)
    return Scenario(name, kind, np.asarray(losses, dtype=float), contributions, hard, warn, 0.0)


def _market(p: Projection) -> list[Scenario]:
    columns, weights = aligned(p)
    model = p.inputs.factor_model
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1)).astype(float)
    beta, variance = model.beta[columns], model.specific_variance[columns]
    if not (variance >= 0.0).all():
        raise ValueError("specific variances are missing or negative")
    equity = p.mandate.limits.fed_severe.equity_loss
    own = NORMAL_99 * np.sqrt((weights**2 * variance[:, None]).sum(axis=0) * FED_YEARS)
    fed = _formula(p, "FED", "fed", equity * (beta @ weights) + own, _spread(p, rows, equity * beta * weights[:, WITH]))
    shock = MARKET_SHOCK * (beta @ weights)
    return [fed, _formula(p, "Y1", "instant", shock, _spread(p, rows, MARKET_SHOCK * beta * weights[:, WITH]))]


def _names(p: Projection) -> list[Scenario]:
    n, size = len(p.price), np.abs(p.weights)
    sectors = np.array(texts(p.inputs.sector, n), dtype=str)
    found = []
    for sector in sorted(set(sectors.tolist())):
        part = np.where(sectors == sector, SECTOR_SHOCK, 0.0)
        found.append(_formula(p, f"Y3 {sector}", "instant", part @ size, part * size[:, WITH]))
    largest = np.sort(size, axis=0)[-SHOCKED_NAMES:].sum(axis=0)
    edge = np.sort(size[:, WITH])[-SHOCKED_NAMES:].min(initial=np.inf)
    top = np.where(size[:, WITH] >= edge, NAME_SHOCK * size[:, WITH], 0.0)
    found.append(_formula(p, "Y5", "instant", NAME_SHOCK * largest, top))
    sigma = numbers(p.inputs.sigma_daily, n)
    risk = np.where(p.weights == 0.0, 0.0, STRESSED_VOLATILITY * p.weights * sigma[:, None])
    variance = (1.0 - STRESSED_CORRELATION) * (risk**2).sum(axis=0) + STRESSED_CORRELATION * risk.sum(axis=0) ** 2
    found.append(_formula(p, "Y6", "instant", NORMAL_99 * np.sqrt(variance), NORMAL_99 * risk[:, WITH]))
    return found


def _currencies(p: Projection) -> list[Scenario]:
    n, base = len(p.price), p.mandate.base_currency
    foreign = np.array([c != base for c in texts(p.inputs.currency, n)], dtype=bool)
    held = {c: number(a) * base_rate(p.inputs, p.mandate, c) for c, a in p.inputs.cash.items() if c != base and a != 0}
    start = sum(held.values())
    moved = np.where(p.is_fx, p.signs * p.value, -p.signs * p.value)
    abroad = np.array([order.currency != base for order in p.orders], dtype=bool)
    cash = np.array([moved[abroad].sum(), 0.0, moved[abroad & p.reducing].sum()]) + start
    exposure = p.weights[foreign].sum(axis=0) + cash / p.nav
    parts = np.where(foreign, CURRENCY_SHOCK * p.weights[:, WITH], 0.0)
    return [_formula(p, "Y7", "instant", CURRENCY_SHOCK * np.abs(exposure), parts)]


def scenarios(p: Projection) -> list[Scenario]:
    """Every stress of the library on one projected book. Raises when one of them cannot be computed."""
    return [scenario for family in FAMILIES.values() for scenario in family(p)]


FAMILIES: dict[str, Callable[[Projection], list[Scenario]]] = {
    "historical windows": historical,
    "market and FED": _market,
    "sectors and names": _names,
    "currencies": _currencies,
}


def stress(p: Projection) -> tuple[ControlResult, ...]:
    """RC-46: one answer per scenario."""
    return tuple(cap(STRESS, p, s.losses, hard=s.hard, warn=s.warn, key=s.name) for s in scenarios(p))


def _worst(names: Sequence[str], contributions: Floats) -> str:
    order = np.argsort(-contributions, kind="stable")[:CONTRIBUTORS]
    return ", ".join(f"{names[row]} {contributions[row]:.4f}" for row in order if contributions[row] > 0.0)


def _family_rows(p: Projection, name: str, family: Callable[[Projection], list[Scenario]]) -> list[dict[str, object]]:
    try:
        found = family(p)
    # The table says what could not be computed; the verdict refuses every buy for the same reason.
    except Exception as error:
        text = f"cannot be computed: {type(error).__name__}: {error}"
        return [
            {"scenario": name, "kind": "unknown", "worst_contributors": text, "status": STRESS.fail.name}
        ]  # fmt: skip
    return [
        {
            "scenario": s.name,
            "kind": s.kind,
            "loss": float(s.losses[WITH]) if np.isfinite(s.losses[WITH]) else None,
            "limit": s.hard,
            "proxied_share": s.proxied if np.isfinite(s.proxied) else None,
            "worst_contributors": _worst(p.inputs.instruments, s.contributions),
            "status": cap(STRESS, p, s.losses, hard=s.hard, warn=s.warn, key=s.name).status.name,
        }
        for s in found
    ]


def stress_results(inputs: RiskInputs, orders: Sequence[Order], mandate: Mandate) -> pd.DataFrame:
    """STRESS_RESULTS: one row per scenario on the book after `orders` (buys at limit), sorted by name.

    A loss that is no number is null; a family of scenarios that cannot be computed is one row of kind `unknown`.
    """
    with np.errstate(all="ignore"):
        p = project(inputs, orders, mandate)
        rows = [row for name, family in FAMILIES.items() for row in _family_rows(p, name, family)]
    frame = pd.DataFrame(rows, columns=[column.name for column in STRESS_RESULTS.columns])
    frame = frame.astype({"loss": float, "limit": float, "proxied_share": float})
    return frame.sort_values("scenario", kind="stable", ignore_index=True)


STRESS_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = ((STRESS, stress),)
