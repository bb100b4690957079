"""Every convex limit of the mandate for one session: what the optimizer keeps and what is measured again afterwards. Pure.

All are upper bounds that hold for an empty book, and sells are limited by liquidity alone. Where the book breaks a limit
passively (prices moved) and selling all that liquidity allows does not mend it today, the bound is eased in a stated order and on
record (`easing`), so that a feasible book always exists; otherwise the bound stands and the breach is mended today. Not here:
shapes of limits (`limit`), single names (`bounds`), cash (`funding`), limits that only the verdict knows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from marketbot_assets.portfolio.bounds import Bounds, bounds_of
from marketbot_assets.portfolio.easing import ROOM, Eased, Shape, eased, feasible
from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.funding import funding_of
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import WEIGHT_GRID, ConeLimit, Limit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.model_state import volatility_multiple
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_section import Cap
from marketbot_resources.model import SESSIONS_PER_YEAR

FUND_BUCKET, UNKNOWN_SECTOR = "FUND", "UNKNOWN"
INSTANT_MARKET, INSTANT_SECTOR, INSTANT_USD = 0.30, 0.40, 0.15
TOP_COUNT = 10
SETTLED = 1e-9  # of the largest entry of a row: far above the rounding of a sum of weights
SHOWN = "history"  # a kind of scenario without a limit
SHORTFALL_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Bounds of single names and all other limits, in one fixed order, for the book `weights_now` (n,).

    `eased`: which of the limits are not as the mandate states them; `stated`: all of them as stated, where that is known.
    """

    bounds: Bounds
    limits: tuple[Limit, ...]
    weights_now: Floats
    eased: tuple[Eased, ...] = ()
    stated: tuple[Limit, ...] = ()
    _stack: "list[Stack]" = field(default_factory=list, init=False, repr=False, compare=False)
    _newest: dict[bytes, tuple[float, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def residual(self, weights: Floats) -> float:
        """Largest violation in plain numpy, 0 when all hold; infinite for weights that are not finite."""
        if weights.shape != self.weights_now.shape or not np.isfinite(weights).all():
            return float("inf")
        stack = self.stack()
        unsettled = stack.unsettled(stack.excess(weights))
        over = [limit.left(weights, self.weights_now) - limit.bound for limit in unsettled]
        over += [left - limit.bound for left, limit in zip(self.others_left(weights), stack.others, strict=True)]
        over += [
            float(np.max(self.bounds.lower - weights, initial=0.0)),
            float(np.max(weights - self.bounds.upper, initial=0.0)),
        ]
        worst = max(over, default=0.0)
        return max(worst, 0.0) if np.isfinite(over).all() else float("inf")

    def stack(self) -> "Stack":
        """The limits with their rows stacked, put together once."""
        if not self._stack:
            self._stack.append(stacked(self.limits, len(self.weights_now)))
        return self._stack[0]

    def others_left(self, weights: Floats) -> tuple[float, ...]:
        """Left sides of the stack's other limits, in its order; those of the newest weights are remembered."""
        key = weights.tobytes()
        if key not in self._newest:
            self._newest.clear()
            self._newest[key] = tuple(x.left(weights, self.weights_now) for x in self.stack().others)
        return self._newest[key]

    def tester(self) -> Callable[[Floats], bool]:
        """Whether `residual` is 0, for many weights: what broke last is asked first."""
        stack = self.stack()
        others = list(stack.others)

        def kept(limit: Limit, weights: Floats) -> bool:
            over = limit.left(weights, self.weights_now) - limit.bound
            return bool(np.isfinite(over) and over <= 0.0)

        def test(weights: Floats) -> bool:
            if weights.shape != self.weights_now.shape or not np.isfinite(weights).all():
                return False
            if not ((weights >= self.bounds.lower) & (weights <= self.bounds.upper)).all():
                return False
            over = stack.excess(weights)
            if not (np.isfinite(over) & (over <= stack.near)).all():
                return False
            if not all(kept(limit, weights) for limit in stack.unsettled(over)):
                return False
            for place, limit in enumerate(others):
                if not kept(limit, weights):
                    others.insert(0, others.pop(place))
                    return False
            return True

        return test


@dataclass(frozen=True, slots=True)
class Stack:
    """Limits of which those on plain sums of weights are one matrix: most are settled by one product.

    `rows` (m, n) and `bounds` (m,) of `plain`; `others`: all other limits. The product may differ in its last bits from each
    row's own, so what lies within `near` of a bound, or above it, is measured by itself.
    """

    plain: tuple[LinearLimit, ...]
    others: tuple[Limit, ...]
    rows: Floats
    bounds: Floats
    near: float

    def excess(self, weights: Floats) -> Floats:
        """(m,) left side less bound, but for its last bits."""
        return np.asarray(self.rows @ weights - self.bounds)

    def unsettled(self, over: Floats) -> list[LinearLimit]:
        """The plain limits that such an excess (m,) does not settle: near their bound, above it or unknown."""
        return [self.plain[place] for place in np.flatnonzero(~(np.isfinite(over) & (over < -self.near)))]


def stacked(limits: Sequence[Limit], n: int) -> Stack:
    """The limits as a stack, each kind in its order."""
    plain = tuple(x for x in limits if isinstance(x, LinearLimit) and not x.on_buys)
    others = tuple(x for x in limits if not isinstance(x, LinearLimit) or x.on_buys)
    rows = np.array([x.row for x in plain]).reshape(len(plain), n)
    bounds = np.array([x.bound for x in plain])
    return Stack(plain, others, rows, bounds, SETTLED * float(np.abs(rows).max(initial=1.0)))


def limit_set(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> LimitSet:
    """What a target of this session must keep, every bound at the mandate's target."""
    bounds, stated = bounds_of(inputs, facts, mandate), all_limits(inputs, facts, mandate)
    return _kept(stated, bounds, funding_of(inputs, facts, mandate), facts.weights_now)


def cure_set(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> LimitSet:
    """What must be mended even when nothing is rebalanced: the verdict's hard limits, no buys."""
    bounds = bounds_of(inputs, facts, mandate, cures_only=True)
    stated = tuple(replace(limit, bound=limit.hard) for limit in all_limits(inputs, facts, mandate))
    return _kept(stated, bounds, None, facts.weights_now)


def _kept(stated: tuple[Shape, ...], bounds: Bounds, funding: Limit | None, weights_now: Floats) -> LimitSet:
    """The limits, eased where selling cannot reach them, then the funding."""
    inside = np.clip(weights_now, bounds.lower, bounds.upper)
    doubtful = _doubtful(stacked(stated, len(weights_now)), bounds)
    kept = tuple(feasible(x, bounds, weights_now, inside) if id(x) in doubtful else x for x in stated)
    last = () if funding is None else (funding,)
    found = eased(stated, kept, bounds, weights_now)
    return LimitSet(bounds, (*kept, *last), weights_now, found, (*stated, *last))


def _doubtful(stack: Stack, bounds: Bounds) -> set[int]:
    """Ids of the limits that selling may not reach: all but those that the smallest book clearly keeps with room to spare."""
    hard = np.array([x.hard for x in stack.plain])
    room = ROOM - WEIGHT_GRID * np.minimum(stack.rows, 0.0).sum(axis=1)
    over = stack.rows @ bounds.lower + room - np.minimum(stack.bounds, hard)
    return {id(x) for x in (*stack.unsettled(over), *stack.others)}


def all_limits(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> tuple[Shape, ...]:
    """Every limit but cash, as the mandate has it."""
    return (
        *linear_limits(inputs, facts, mandate),
        *curved_limits(facts, mandate, volatility_multiple(inputs, mandate)),
    )


def linear_limits(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> tuple[LinearLimit, ...]:
    """Rows over weights or buys in a fixed order: groups, issuers, gross and cash, buys, stress scenarios; not relaxed."""
    rows = (
        *_groups(inputs, mandate),
        *_issuers(inputs, mandate),
        *_totals(inputs, mandate),
        *_stress(inputs, facts, mandate),
    )
    return tuple(rows)


def _group(control: str, name: str, member: Floats, cap: Cap) -> LinearLimit:
    return LinearLimit(control, name, member, cap.constraint, cap.hard)


def _groups(inputs: PortfolioInputs, mandate: Mandate) -> Iterator[LinearLimit]:
    limits, universe = mandate.limits, mandate.universe
    unknown = Cap(hard=universe.unknown_sector_cap)
    for sector, member in members(inputs.sector).items():
        if sector == FUND_BUCKET:
            yield _group("RC-34", "fund bucket", member, universe.fund_bucket)
        else:
            known = sector not in ("", UNKNOWN_SECTOR)
            yield _group("RC-32", f"sector {sector or UNKNOWN_SECTOR}", member, limits.sector if known else unknown)
    for currency, member in members(inputs.currency).items():
        if currency != mandate.base_currency:
            yield _group("RC-35", f"currency {currency}", member, limits.currency)
    yield _group("RC-35", "non-base currencies", _foreign(inputs, mandate), limits.non_base)
    for country, member in members(inputs.country).items():
        if country != mandate.home_country:
            yield _group("RC-35", f"country {country}", member, limits.country_ex_home)


@lru_cache(maxsize=16)
def members(values: tuple[str, ...]) -> Mapping[str, Floats]:
    """Value -> (n,) 1.0 where it stands, else 0.0; sorted by value. The values are the same for many sessions."""
    return _rows(values, sorted(set(values)))


def _rows(values: tuple[str, ...], wanted: Iterable[str]) -> Mapping[str, Floats]:
    found = {one: np.array([float(value == one) for value in values]) for one in wanted}
    for row in found.values():
        row.setflags(write=False)
    return found


def _foreign(inputs: PortfolioInputs, mandate: Mandate) -> Floats:
    """(n,) 1.0 for listings in another than the base currency."""
    return 1.0 - members(inputs.currency).get(mandate.base_currency, np.zeros(len(inputs.currency)))


def _issuers(inputs: PortfolioInputs, mandate: Mandate) -> Iterator[LinearLimit]:
    """RC-33: the listings of one issuer share the position cap; names of unknown issuer count as one."""
    for issuer, member in _shared(inputs.issuer).items():
        yield _group("RC-33", f"issuer {issuer or UNKNOWN_SECTOR}", member, mandate.limits.position)


@lru_cache(maxsize=16)
def _shared(values: tuple[str, ...]) -> Mapping[str, Floats]:
    """The `members` of the values that stand more than once."""
    return _rows(values, sorted(one for one, count in Counter(values).items() if count > 1))


def _totals(inputs: PortfolioInputs, mandate: Mandate) -> Iterator[LinearLimit]:
    limits, book, ones = mandate.limits, inputs.book, np.ones(len(inputs.instruments))
    gross, cash, turnover = limits.gross, limits.cash_floor, limits.turnover
    # The account's leverage lowers both: buys count at their limits in the verdict, so the target stays below hard.
    hard = min(gross.hard, mandate.account.leverage)
    yield LinearLimit("RC-36", "gross", ones, gross.constraint * (hard / gross.hard) if hard > 0.0 else 0.0, hard)
    yield LinearLimit("RC-38", "invested, cash floor kept", ones, 1.0 - cash.target, 1.0 - cash.hard)
    day = turnover.buys_per_day
    yield LinearLimit("RC-41", "buys of the day", ones, day.constraint, day.hard, on_buys=True)
    month = turnover.one_way_21_sessions
    if book.sessions_since_build >= turnover.build_up_sessions:
        used = float(np.sum(book.turnover))
        left, most = (
            max(bound - used, 0.0) for bound in (month.constraint, month.hard or month.warn or month.constraint)
        )
        yield LinearLimit("RC-41", "buys of 21 sessions", ones, left, most, on_buys=True)


def _stress(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> Iterator[LinearLimit]:
    """RC-46: one row per scenario and version; a budget scenario may cost what the drawdown leaves of the hard budget."""
    limits, model = mandate.limits, inputs.factor_model
    budget = limits.drawdown_budget
    drawdown = inputs.book.drawdown if np.isfinite(inputs.book.drawdown) else budget.hard
    left = max(budget.hard - drawdown, 0.0)
    bounds = {
        "crash": (limits.crash_replay.constraint, limits.crash_replay.hard),
        "bear": (limits.bear_replay.constraint, limits.bear_replay.hard),
        "instant": (limits.instant.constraint, limits.instant.hard),
        "budget": (max(budget.floor, budget.target_margin * left), max(budget.floor, left)),
    }
    replays, by_factors = -facts.scenario_returns, -facts.scenario_factor_returns
    differ = (replays != by_factors).any(axis=1).tolist()
    for number in sorted(range(len(model.scenarios)), key=lambda k: model.scenarios[k]):
        kind, name = model.scenario_kinds[number], model.scenarios[number]
        if kind == SHOWN:
            continue
        bound, hard = bounds[kind]
        yield LinearLimit("RC-46", f"{kind} {name}", replays[number], bound, hard)
        if differ[number]:
            yield LinearLimit("RC-46", f"{kind} {name} by factors", by_factors[number], bound, hard)
    fed = limits.fed_severe
    yield LinearLimit("RC-46", "fed severe", fed.equity_loss * facts.beta, fed.constraint, fed.hard)
    yield from _instant(inputs, facts, mandate)


def _instant(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> Iterator[LinearLimit]:
    """RC-46, the instantaneous set: Y1 market, Y3 each sector, Y7 the dollar against everything foreign."""
    cap = mandate.limits.instant
    yield LinearLimit("RC-46", "instant Y1 market", INSTANT_MARKET * facts.beta, cap.constraint, cap.hard)
    for sector, member in members(inputs.sector).items():
        if sector != FUND_BUCKET:
            name = f"instant Y3 sector {sector or UNKNOWN_SECTOR}"
            yield LinearLimit("RC-46", name, INSTANT_SECTOR * member, cap.constraint, cap.hard)
    row = INSTANT_USD * _foreign(inputs, mandate)
    yield LinearLimit("RC-46", "instant Y7 currencies", row, cap.constraint, cap.hard)


def curved_limits(facts: Facts, mandate: Mandate, multiple: float) -> tuple[ConeLimit | TopLimit | ShortfallLimit, ...]:
    """Volatility (RC-42, one cone per estimator), concentration (RC-39), top ten (RC-40), expected shortfall (RC-44)."""
    limits, vol = mandate.limits, mandate.limits.ex_ante_vol
    target = mandate.volatility.target_per_year * (multiple if np.isfinite(multiple) else 0.0)
    year = np.sqrt(SESSIONS_PER_YEAR)
    cones = [
        ConeLimit(
            "RC-42",
            f"volatility {name}",
            root * year,
            vol.target_multiple * target,
            vol.hard_multiple * target,
            "per year",
        )
        for name, root in facts.vol_roots
    ]
    eye = np.eye(len(facts.weights_now))
    cones.append(
        ConeLimit("RC-39", "sum of squares", eye, limits.hhi.constraint, limits.hhi.hard, "1", True, identity=True)
    )
    top = TopLimit("RC-40", "top ten", TOP_COUNT, limits.top10.constraint, limits.top10.hard)
    rows = facts.returns[-limits.es.scenarios :]
    tail = ShortfallLimit(
        "RC-44", "expected shortfall 97.5 %", rows, SHORTFALL_TAIL, limits.es.constraint, limits.es.hard
    )
    return (*cones, top, tail)
