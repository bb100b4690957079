"""Why the target is what it is: per name the forces on its weight, per limit its price. Pure.

At the optimum the forces on a weight add up to nothing: expected return, risk, cost, the limits that count it, and what its own
bounds hold back. For a target of another method the same forces are shown, without prices of limits. Not here: its table
(`schema`, `target_frame`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from marketbot_assets.portfolio.bounds import Bounds, bounds_of, to_cash
from marketbot_assets.portfolio.contribution import contributions
from marketbot_assets.portfolio.facts import Facts, facts_of, nav_known
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limits import LimitSet, limit_set
from marketbot_assets.portfolio.target import MEAN_VARIANCE, MIN_VARIANCE, NO_ANSWER, RISK_PARITY, Target
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT

MOVED = 5e-6
WITHOUT_FORECAST = (MIN_VARIANCE, RISK_PARITY)
NO_DRIVERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Force:
    """What pulls one weight, utility per year and unit of weight: positive pulls up. `weight_before`, `weight_after` of NAV.

    `expected_return`: without views of a language model; `views`: what they add, 0 when the target leaves them out. `limits`: all
    priced limits together; `bound`: what the name's own bounds, or the cap on views, hold back, the sum of the others with its sign
    turned; `main_limit`: the limit that presses most, empty when none does. `return_contribution`, `risk_contribution` per year and
    `trade_cost` once: the name's parts of the book's sums (`contribution`). `reason`: one line for people. `cost_bps`: what a
    trade in the direction of the move is charged, basis points; `cost_multiple`: the calibration's factor in it.
    """

    instrument: str
    weight_before: float
    weight_after: float
    expected_return: float
    risk: float
    cost: float
    limits: float
    bound: float
    return_contribution: float
    risk_contribution: float
    trade_cost: float
    main_limit: str
    reason: str
    cost_bps: float = float("nan")
    cost_multiple: float = float("nan")
    views: float = 0.0


@dataclass(frozen=True, slots=True)
class _Case:
    """What every name's reason is read from: `after` and `moved` (n,) fractions of NAV, `pressure` (m, n) of the priced limits.

    `facts`: without views; `views`: (n,) what those that the target heard add per year.
    """

    inputs: PortfolioInputs
    target: Target
    mandate: Mandate
    facts: Facts
    views: Floats
    bounds: Bounds
    after: Floats
    moved: Floats
    pressure: Floats
    names: list[str]

    def main(self, i: int) -> str:
        """The limit that presses most on a name; empty when none does."""
        pressed = self.pressure[:, i]
        return self.names[int(np.argmax(pressed))] if self.names and pressed.max() > 0.0 else ""


def _case(inputs: PortfolioInputs, target: Target, mandate: Mandate, facts: Facts, limits: LimitSet | None) -> _Case:
    after = np.where(np.isfinite(target.weights), target.weights, 0.0)
    if limits is None and target.method == MEAN_VARIANCE and nav_known(inputs):
        limits = limit_set(inputs, facts, mandate)
    bounds = bounds_of(inputs, facts, mandate) if limits is None else limits.bounds
    pressure, names = _pressures(inputs, facts, target, after, limits)
    views = np.where(np.isfinite(inputs.expected_return), target.heard(inputs).views(), 0.0)
    return _Case(inputs, target, mandate, facts, views, bounds, after, after - facts.weights_now, pressure, names)


def reasons_of(
    inputs: PortfolioInputs,
    target: Target,
    mandate: Mandate,
    rows: Iterable[int],
    *,
    facts: Facts,
    limits: LimitSet | None = None,
    drivers: Mapping[str, str] = NO_DRIVERS,
) -> dict[int, str]:
    """Row -> the reason of its force row, of these rows alone. `facts`: without views; `limits`: None = worked out here."""
    case = _case(inputs, target, mandate, facts, limits)
    return {i: _reason(case, i, case.main(i), drivers.get(inputs.instruments[i], "")) for i in rows}


def explain(
    inputs: PortfolioInputs, target: Target, mandate: Mandate, *, drivers: Mapping[str, str] = NO_DRIVERS
) -> tuple[Force, ...]:
    """One force row per instrument, in their order. `drivers`: instrument -> what its forecast rests on, in words."""
    facts = facts_of(inputs.without_views(), mandate)
    case = _case(inputs, target, mandate, facts, None)
    after, moved, pressure, views = case.after, case.moved, case.pressure, case.views
    rule = mandate.portfolio
    reward = facts.expected_return
    risk = -rule.risk_aversion * (facts.factor_root.T @ (facts.factor_root @ after) + facts.specific * after)
    cost = np.where(moved > MOVED, -facts.cost_buy, np.where(moved < -MOVED, facts.cost_sell, 0.0))
    cost = rule.cost_amortization_per_year * cost
    pressed = -pressure.sum(axis=0)
    bound = -(reward + views + risk + cost + pressed)
    parts, multiples = contributions(facts, after), inputs.multiples()
    rows = []
    for i, name in enumerate(inputs.instruments):
        main, sells = case.main(i), bool(moved[i] < -MOVED)
        row = Force(
            instrument=name,
            weight_before=float(target.weights_now[i]),
            weight_after=float(target.weights[i]),
            expected_return=float(reward[i]),
            risk=float(risk[i]),
            cost=float(cost[i]),
            limits=float(pressed[i]),
            bound=float(bound[i]),
            return_contribution=float(parts.expected_return[i] + views[i] * after[i]),
            risk_contribution=float(parts.risk[i]),
            trade_cost=float(parts.cost[i]),
            main_limit=main,
            reason=_reason(case, i, main, drivers.get(name, "")),
            cost_bps=float((facts.cost_sell if sells else facts.cost_buy)[i]) / BASIS_POINT,
            cost_multiple=float(multiples[int(sells)][i]),
            views=float(views[i]),
        )
        rows.append(row)
    return tuple(rows)


def _pressures(
    inputs: PortfolioInputs, facts: Facts, target: Target, after: Floats, limits: LimitSet | None
) -> tuple[Floats, list[str]]:
    """(per priced limit its dual times its gradient: (m, n), names of these limits)."""
    if limits is None or target.method != MEAN_VARIANCE or not nav_known(inputs):
        return np.zeros((0, len(after))), []
    priced = [(x, s) for x, s in zip(limits.limits, target.limits, strict=True) if s.dual > 0.0 and s.binding]
    rows = [s.dual * x.gradient(after, facts.weights_now) for x, s in priced]
    return np.array(rows).reshape(len(rows), len(after)), [f"{s.control} {s.name}" for _, s in priced]


def _percent(weight: float) -> str:
    return f"{100.0 * weight:.2f} %"


def _reason(case: _Case, i: int, main: str, driver: str) -> str:
    inputs, target, facts, bounds, moved = case.inputs, case.target, case.facts, case.bounds, float(case.moved[i])
    after = _percent(float(target.weights[i])) if np.isfinite(target.weights[i]) else "unknown"
    if not facts.sellable[i]:
        return "no order: no usable price, an open order, or trading forbidden"
    if moved < -MOVED:
        return f"{_sell_cause(case, i, main)} lowers it to {after}"
    if moved > MOVED:
        if target.method in WITHOUT_FORECAST:
            driver = target.method.replace("_", " ")
        why = driver or _asked(case, i)
        verb = "raise" if " and " in driver else "raises"
        at_bound = target.weights[i] >= bounds.upper[i] - MOVED
        hold = f", held there by {'its own cap' if at_bound else main}" if at_bound or main else ""
        return f"{why} {verb} it to {after}{hold}"
    if not facts.buyable[i]:
        return f"not bought: {inputs.reasons[i] or facts.no_buys or 'a number is missing'}"
    return f"no change: {main}" if main else "no change: the gain does not pay for risk and cost"


def _sell_cause(case: _Case, i: int, main: str) -> str:
    """What makes the name smaller: stop, ladder, trim, cap, a fallback, the limit that presses, or too little return."""
    inputs, target, facts, bounds, mandate = case.inputs, case.target, case.facts, case.bounds, case.mandate
    name, book = inputs.instruments[i], inputs.book
    if inputs.force_exit[i]:
        return next((f"{hit.control} stop" for hit in book.stop_hits if hit.instrument == name), "a protective exit")
    if to_cash(inputs):
        return f"RC-60 {book.rung.value}"
    if bounds.trimmed[i]:
        return "RC-31 passive breach"
    if target.status == NO_ANSWER or target.method != MEAN_VARIANCE:
        return f"{target.method.replace('_', ' ')}"
    if facts.weights_now[i] > mandate.limits.position.constraint and target.weights[i] >= bounds.upper[i] - MOVED:
        return "RC-30 position cap"
    if main:
        ladder = f" (ladder {book.multiple:.2f} lowers the volatility target)"
        return main + (ladder if main.startswith("RC-42") and book.multiple < 1.0 else "")
    return f"{_asked(case, i)}, too little for its risk,"


def _asked(case: _Case, i: int) -> str:
    """The name's expected return in words, with what views of a language model add to it."""
    views = float(case.views[i])
    clamped = ", clamped by RC-52" if case.target.views_clamped else ""
    told = f" (views {100.0 * views:+.2f} %{clamped})" if views != 0.0 else ""
    return f"an expected return of {_percent(float(case.facts.expected_return[i]) + views)} a year{told}"
