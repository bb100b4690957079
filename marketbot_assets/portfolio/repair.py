"""What rounding left over: whole lots bought back, and how far the plan stays from the ideal weights. Pure.

Buys are rounded down. With the cash that is left the plan buys single lots of names that the target buys, in the order of the
largest utility gain per unit of NAV, as long as the gain is positive, and never more than one lot beyond the target. A lot is
bought only when, after it, cash and legs pay for every buy, the name keeps its own hard limits and its target bound, every hard
limit holds at limit prices with costs, and every target bound holds at the closes; a limit that is broken without the lot must
not get worse by it. So the repair cannot break a cap. Only for mean variance: other methods have another aim than this utility.
Not here: rounding down and the cuts that keep limits and cash (`order_plan`, `cash_legs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from marketbot_assets.portfolio.cash_legs import min_order, rate_of, shortage
from marketbot_assets.portfolio.draft import TARGET, Desk, Draft, projected
from marketbot_assets.portfolio.facts import facts_of, nav_known
from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.inputs import Floats, PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.limit import WEIGHT_GRID, Limit, LinearLimit
from marketbot_assets.portfolio.limits import LimitSet
from marketbot_assets.portfolio.rounding import exact, lots_up
from marketbot_assets.portfolio.target import MEAN_VARIANCE, Target, utility_of
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, Kind, Side
from marketbot_resources.order_types import STOP_LEG

UNMOVED = 1.5e-6
LOTS_PER_NAME = 2
SLACK = Decimal("0.02")


def name_room(desk: Desk, row: int) -> float:
    """Fraction of NAV, at the limit with costs, by which the hard limits of a name let it grow today."""
    limits, inputs = desk.mandate.limits, desk.inputs
    return min(
        limits.position.hard - float(desk.facts.weights_now[row]),
        limits.turnover.name_buy_per_day.hard,
        limits.order_value.hard,
        limits.participation.hard * float(inputs.adv[row]) / inputs.nav,
    )


def with_leftover(
    desk: Desk,
    target: Target,
    limits: LimitSet,
    buys: Sequence[Draft],
    sells: Sequence[Draft],
    prices: Sequence[Decimal],
) -> list[Draft]:
    """The buys and the lots that the leftover cash adds, sorted by row. `prices`: limit price of a buy per row, 0 where none."""
    if target.method != MEAN_VARIANCE:
        return list(buys)
    plan = _Plan(desk, limits, {d.row: d for d in buys}, sells)
    open_rows = _candidates(desk, target, plan, prices)
    for _ in range(LOTS_PER_NAME * len(open_rows)):
        row = _best(plan, open_rows)
        if row is None:
            break
        if not plan.bought(row, prices[row], open_rows[row]):
            del open_rows[row]
    return [plan.drafts[row] for row in sorted(plan.drafts)]


def _candidates(desk: Desk, target: Target, plan: "_Plan", prices: Sequence[Decimal]) -> dict[int, Decimal]:
    """Row -> the most shares that may be bought of it: the target's buy rounded up, RC-09 kept."""
    rule, inputs, found = desk.mandate.limits.order_quantity, desk.inputs, {}
    for row in map(int, np.flatnonzero(desk.facts.buyable)):
        wanted, now = float(target.weights[row]), float(desk.facts.weights_now[row])
        if not wanted > now + UNMOVED or prices[row] <= 0:
            continue
        lot = desk.base_value(row, desk.step(row), exact(inputs.price[row]))
        first = row not in plan.drafts and lot * inputs.nav < min_order(desk)
        if lot < WEIGHT_GRID or first:
            continue
        unit = inputs.nav / (float(inputs.price[row]) * float(inputs.fx[row]))
        adv = float(inputs.adv[row]) / (float(inputs.price[row]) * float(inputs.fx[row]))
        most = min(rule.multiple * (abs(wanted) * unit + abs(float(inputs.positions[row]))), rule.adv * adv)
        found[row] = min(lots_up(desk.shares(row, wanted - now), desk.step(row)), exact(most))
    return found


def _best(plan: "_Plan", rows: dict[int, Decimal]) -> int | None:
    """The row whose next lot gains most per unit of NAV, ties by row; None when no lot gains."""
    gains = plan.gains(sorted(rows))
    best = max(gains, key=lambda row: (gains[row], -row), default=None)
    return best if best is not None and gains[best] > 0.0 else None


class _Plan:
    """Buys so far with what they do to weights, limits and cash."""

    def __init__(self, desk: Desk, limits: LimitSet, drafts: dict[int, Draft], sells: Sequence[Draft]) -> None:
        self.desk, self.drafts, self.sells, self.upper = desk, drafts, sells, limits.bounds.upper
        self.dear = projected(desk, list(drafts.values()), sells)
        self.plain = at_closes(desk, list(drafts.values()), sells)
        self.measure = _Measure(limits, desk.facts.weights_now)
        self.left_dear, self.left_plain = self.measure.left(self.dear), self.measure.left(self.plain)
        self.free = -shortage(desk, list(drafts.values()), sells)[0]
        facts = desk.facts
        self.variance = (facts.factor_root**2).sum(axis=0) + facts.specific

    def lot(self, row: int) -> float:
        """One lot at the close, fraction of NAV."""
        return self.desk.base_value(row, self.desk.step(row), exact(self.desk.inputs.price[row]))

    def gains(self, rows: Sequence[int]) -> dict[int, float]:
        """Row -> utility per year that one more lot gains, per unit of NAV."""
        seen = self.desk.facts.factor_root @ self.plain
        return {row: self._gain(row, seen) for row in rows}

    def _gain(self, row: int, seen: Floats) -> float:
        facts, rule = self.desk.facts, self.desk.mandate.portfolio
        slope = float(facts.factor_root[:, row] @ seen) + float(facts.specific[row] * self.plain[row])
        curve = 0.5 * float(self.variance[row]) * self.lot(row)
        cost = rule.cost_amortization_per_year * float(facts.cost_buy[row])
        return float(facts.expected_return[row]) - rule.risk_aversion * (slope + curve) - cost

    def bought(self, row: int, price: Decimal, most: Decimal) -> bool:
        """Buys one more lot when everything still holds; says whether it did."""
        desk = self.desk
        before = self.drafts.get(row, Draft(row, Side.BUY, Decimal(0), price, TARGET))
        after = replace(before, quantity=before.quantity + desk.step(row))
        dear, plain = self.dear.copy(), self.plain.copy()
        cost = desk.paid(after) - desk.paid(before)
        dear[row] += float(cost) * float(desk.inputs.fx[row]) / desk.inputs.nav
        plain[row] += self.lot(row)
        name_kept = (
            after.quantity <= most
            and dear[row] - desk.facts.weights_now[row] <= name_room(desk, row)
            and plain[row] <= self.upper[row]
        )
        if not name_kept:
            return False
        left_plain = self.measure.kept(plain, np.maximum(self.measure.bound, self.left_plain))
        if left_plain is None:
            return False
        left_dear = self.measure.kept(dear, np.maximum(self.measure.hard, self.left_dear))
        if left_dear is None or not self._paid_for(row, after, cost):
            return False
        self.drafts[row] = after
        self.dear, self.plain, self.left_dear, self.left_plain = dear, plain, left_dear, left_plain
        return True

    def _paid_for(self, row: int, after: Draft, cost: Decimal) -> bool:
        """Whether cash and legs pay for it; first by a bound on what the lot can cost, then exactly."""
        desk = self.desk
        rate = rate_of(desk, desk.inputs.currency[row])
        if rate is None:
            return False
        free = (
            self.free
            - cost * rate * (1 + exact(desk.mandate.costs_bps.fx * BASIS_POINT))
            - SLACK * max(rate, Decimal(1))
        )
        if free < 0:
            free = -shortage(desk, list({**self.drafts, row: after}.values()), self.sells)[0]
        if free < 0:
            return False
        self.free = free
        return True


class _Measure:
    """Left sides of all limits but the funding at some weights, rows stacked; `hard` as stated and `bound` as the target keeps."""

    def __init__(self, limits: LimitSet, weights_now: Floats) -> None:
        pairs = [(a, b) for a, b in zip(limits.stated, limits.limits, strict=True) if not isinstance(a, Funding)]
        rows = [p for p in pairs if isinstance(p[0], LinearLimit) and not p[0].on_buys]
        buys = [p for p in pairs if isinstance(p[0], LinearLimit) and p[0].on_buys]
        others = [p for p in pairs if not isinstance(p[0], LinearLimit)]
        self.now = weights_now
        self.rows, self.buys = _stacked(rows, len(weights_now)), _stacked(buys, len(weights_now))
        self.others = [a for a, _ in others]
        ordered = [*rows, *buys, *others]
        self.hard = np.array([a.hard for a, _ in ordered])
        self.bound = np.array([b.bound for _, b in ordered])

    def left(self, weights: Floats) -> Floats:
        """(m,) left sides."""
        return np.concatenate([self._linear(weights), [x.left(weights, self.now) for x in self.others]])

    def kept(self, weights: Floats, most: Floats) -> Floats | None:
        """The left sides (m,) when none is above `most` (m,), else None: a sum that is needs no look at the curved ones."""
        linear = self._linear(weights)
        if not (linear <= most[: len(linear)]).all():
            return None
        left = np.concatenate([linear, [x.left(weights, self.now) for x in self.others]])
        return left if (left <= most).all() else None

    def _linear(self, weights: Floats) -> Floats:
        return np.concatenate([self.rows @ weights, self.buys @ np.maximum(weights - self.now, 0.0)])


def _stacked(pairs: Sequence[tuple[Limit, Limit]], n: int) -> Floats:
    rows = [a.row for a, _ in pairs if isinstance(a, LinearLimit)]
    return np.array(rows).reshape(len(rows), n)


def at_closes(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> Floats:
    """(n,) weights after all orders at the last closes, without costs."""
    weights = desk.facts.weights_now.copy()
    for draft in (*buys, *sells):
        weights[draft.row] += draft.side.sign * desk.base_value(
            draft.row, draft.quantity, exact(desk.inputs.price[draft.row])
        )
    return np.asarray(weights)


@dataclass(frozen=True, slots=True)
class Tracking:
    """How far the plan's weights, at the closes, are from the target's: basis points of NAV per year.

    `utility_lost_bps`: utility of the target less that of the plan (negative when the plan happens to be better);
    `active_risk_bps`: volatility of the difference by the factor model.
    """

    utility_lost_bps: float
    active_risk_bps: float


def tracking_of(
    inputs: PortfolioInputs, target: Target, planned: Sequence[PlannedOrder], mandate: Mandate
) -> Tracking | None:
    """The tracking loss of a plan; None without a NAV. Names of unknown weight count as they are."""
    if not nav_known(inputs):
        return None
    facts = facts_of(target.heard(inputs), mandate)
    ideal = np.where(np.isfinite(target.weights), target.weights, facts.weights_now)
    rounded, place = facts.weights_now.copy(), {name: row for row, name in enumerate(inputs.instruments)}
    for order in planned:
        if order.kind == Kind.EQUITY.value and order.leg != STOP_LEG:
            row = place[order.instrument]
            value = float(order.quantity) * order.reference_price * float(inputs.fx[row]) / inputs.nav
            rounded[row] += Side(order.side).sign * value
    apart = rounded - ideal
    spread = facts.factor_root @ apart
    risk = float(np.sqrt(spread @ spread + facts.specific @ (apart * apart)))
    lost = utility_of(facts, mandate, ideal) - utility_of(facts, mandate, rounded)
    return Tracking(lost / BASIS_POINT, risk / BASIS_POINT)
