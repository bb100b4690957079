"""What fills of the live account say of the mandate's costs: a factor per bucket and side on half-spread, fee and impact. Pure.

A bucket is a currency, or FUND. The factor is the ratio of realised to modelled cost, outliers cut, shrunk towards 1 by the number
of orders, and kept within the mandate's bounds; taxes and conversion are known and stay as they are. Fills of a paper account never
count: a simulated fill follows a model and is no evidence about it. Backtests use the mandate's costs as written.
Not here: the shortfall of an order and its parts (the execution stage), which fills are read (`cost_facts`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.portfolio.inputs import Flags, Floats
from marketbot_assets.portfolio.schema import COST_CALIBRATION
from marketbot_resources.fillmodel import FUND_COSTS, square_root_impact
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_portfolio import Calibration
from marketbot_resources.model import BASIS_POINT, Execution, Kind, Order, OrderType, Side

LIVE = "live"
ORDER, BUCKET = "ORDER", "BUCKET"
ORDERS_KEPT, CUT_DEVIATIONS, DEVIATION_MIN_BPS = 250, 5.0, 1.0
NORMAL_MAD = 1.4826
ON_OPEN = frozenset({OrderType.LIMIT_ON_OPEN, OrderType.MARKET_ON_OPEN})
ON_CLOSE = frozenset({OrderType.LIMIT_ON_CLOSE, OrderType.MARKET_ON_CLOSE})
OFF, FEW, UNREAL = "calibration is off", "too few orders", "fills of this account are no evidence: it is not live"
USED, BOUNDED = "used", "used, at its bound"


@dataclass(frozen=True, slots=True)
class Measured:
    """One order's fills of one session of its exchange: cost against the auction's price and what the model said, bps, no tax."""

    key: str
    bucket: str
    side: Side
    environment: str
    executed_on: dt.date
    realised_bps: float
    model_bps: float


@dataclass(frozen=True, slots=True)
class Market:
    """`auctions`: (instrument, session) -> (open, close). `adv`: base per session; `sigma_daily`: per session.

    `rates`: base currency per unit; `funds`: instruments that are funds.
    """

    auctions: Mapping[tuple[str, dt.date], tuple[float, float]]
    adv: Mapping[str, float]
    sigma_daily: Mapping[str, float]
    rates: Mapping[str, float]
    funds: frozenset[str]


@dataclass(frozen=True, slots=True)
class CostMultiples:
    """(bucket, side) -> factor on half-spread, fee and impact; a pair that is not named has 1."""

    factors: Mapping[tuple[str, Side], float] = field(default_factory=dict)

    def arrays(self, currencies: Sequence[str], is_fund: Flags) -> tuple[Floats, Floats]:
        """(buy, sell), (n,) each."""
        names = [FUND_COSTS if fund else currency for currency, fund in zip(currencies, is_fund, strict=True)]
        buy, sell = (
            np.array([self.factors.get((name, side), 1.0) for name in names], dtype=float)
            for side in (Side.BUY, Side.SELL)
        )
        return buy, sell


NO_MULTIPLES = CostMultiples()


def measured(
    fills: Sequence[tuple[Execution, dt.date]],
    orders: Mapping[str, Order],
    market: Market,
    mandate: Mandate,
    environment: str,
) -> tuple[Measured, ...]:
    """The fills of shares as measurements, sorted by key. `fills`: with the session of the exchange that each belongs to.

    Fills of one order in one session count as one, so that splitting them changes nothing. Left out is what has no auction price:
    orders that trade continuously (no quote of the instant of sending is stored) and fills without an order of ours or a bar.
    """
    groups: dict[tuple[str, dt.date], list[Execution]] = {}
    for fill, day in fills:
        if fill.kind is Kind.EQUITY:
            groups.setdefault((fill.client_order_id, day), []).append(fill)
    found = []
    for (name, day), group in sorted(groups.items()):
        order = orders.get(name)
        bar = market.auctions.get((group[0].instrument, day), (math.nan, math.nan))
        if order is None or any((f.instrument, f.side) != (order.instrument, order.side) for f in group):
            continue
        arrival = bar[0] if order.type in ON_OPEN else bar[1] if order.type in ON_CLOSE else math.nan
        bucket = FUND_COSTS if order.instrument in market.funds else order.currency
        realised, model = _costs(order, group, arrival, bucket, market, mandate)
        if math.isfinite(realised) and math.isfinite(model) and model > 0.0:
            key = f"{name}/{day.isoformat()}"
            found.append(Measured(key, bucket, order.side, environment, day, realised, model))
    return tuple(found)


def _costs(
    order: Order, group: Sequence[Execution], arrival: float, bucket: str, market: Market, mandate: Mandate
) -> tuple[float, float]:
    """(realised, modelled) cost, basis points of the value at arrival; NaN when unknown."""
    quantity = float(sum(fill.quantity for fill in group))
    paid = float(sum(fill.quantity * fill.price for fill in group))
    fees = float(sum(fill.fee for fill in group))
    value = quantity * arrival
    costs, name = mandate.costs_bps, order.instrument
    adv, sigma, rate = (
        market.adv.get(name, math.nan),
        market.sigma_daily.get(name, math.nan),
        market.rates.get(order.currency),
    )
    if not (value > 0.0 and adv > 0.0 and sigma >= 0.0 and rate is not None and rate > 0.0):
        return math.nan, math.nan
    linear = costs.half_spread_and_fee.get(bucket, max(costs.half_spread_and_fee.values()))
    impact = square_root_impact(value * rate, adv, sigma, costs.impact_coefficient)
    return (order.side.sign * (paid - value) + fees) / value / BASIS_POINT, linear + impact / BASIS_POINT


@dataclass(frozen=True, slots=True)
class Factor:
    """What one bucket and side came to. `ratio` realised to modelled with its `standard_error`; `multiple`: what is charged."""

    orders: int
    realised_bps: float
    model_bps: float
    ratio: float
    standard_error: float
    multiple: float
    reason: str


def factor(realised: Floats, model: Floats, rule: Calibration, *, live: bool) -> Factor:
    """The factor of one bucket: (n,), (n,) basis points, in any order.

    Differences beyond 5 robust deviations (1.4826 MAD, at least 1 bp) of their median are cut to there; ratio = sum realised / sum
    model; shrunk (n ratio + shrink) / (n + shrink); 1 below `fills_min` orders, when it is off, or when the account is not live.
    """
    n = len(realised)
    if n == 0:
        return Factor(0, math.nan, math.nan, math.nan, math.nan, 1.0, OFF if not rule.enabled else FEW)
    order = np.lexsort((realised, model))
    realised, model = realised[order], model[order]
    gap = realised - model
    middle = float(np.median(gap))
    width = CUT_DEVIATIONS * max(NORMAL_MAD * float(np.median(np.abs(gap - middle))), DEVIATION_MIN_BPS)
    cut = model + np.clip(gap, middle - width, middle + width)
    mean = float(model.mean())
    ratio = float(cut.mean()) / mean
    error = float(np.std(cut - ratio * model, ddof=1)) / math.sqrt(n) / mean if n > 1 else math.nan
    facts = (n, float(realised.mean()), mean, ratio, error)
    if not rule.enabled:
        return Factor(*facts, 1.0, OFF)
    if not live:
        return Factor(*facts, 1.0, UNREAL)
    if n < rule.fills_min:
        return Factor(*facts, 1.0, FEW)
    shrunk = (n * ratio + rule.shrink) / (n + rule.shrink)
    multiple = min(max(shrunk, rule.floor), rule.ceiling)
    return Factor(*facts, multiple, USED if multiple == shrunk else BOUNDED)


def calibration_frame(
    before: pd.DataFrame | None, new: Sequence[Measured], mandate: Mandate, environment: str
) -> pd.DataFrame:
    """COST_CALIBRATION: the newest measurements of each environment, bucket and side, and factors of this environment.

    `before`: the frame of the session before. A measurement that was told twice counts once, as it was told first.
    """
    known = {} if before is None else {row.key: row for row in _orders_of(before)}
    for row in new:
        known.setdefault(row.key, row)
    series: dict[tuple[str, str, Side], list[Measured]] = {}
    for row in sorted(known.values(), key=lambda row: (row.executed_on, row.key)):
        series.setdefault((row.environment, row.bucket, row.side), []).append(row)
    rows = []
    for rest in series.values():
        rows += [_order_row(row) for row in rest[-ORDERS_KEPT:]]
    buckets = sorted(
        {*mandate.costs_bps.half_spread_and_fee, *(bucket for env, bucket, _ in series if env == environment)}
    )
    for bucket in buckets:
        for side in Side:
            own = series.get((environment, bucket, side), [])[-ORDERS_KEPT:]
            pair = (np.array([row.realised_bps for row in own]), np.array([row.model_bps for row in own]))
            found = factor(*pair, mandate.costs_bps.calibration, live=environment == LIVE)
            rows.append(_bucket_row(bucket, side, environment, found))
    return rows_frame(COST_CALIBRATION, rows)


def multiples_of(frame: pd.DataFrame) -> CostMultiples:
    """The factors in force that a COST_CALIBRATION frame holds."""
    rows = frame[frame["kind"] == BUCKET].itertuples(index=False)
    return CostMultiples({(str(row.bucket), Side(row.side)): float(row.multiple) for row in rows})


def _orders_of(frame: pd.DataFrame) -> list[Measured]:
    return [
        Measured(
            str(row.key),
            str(row.bucket),
            Side(row.side),
            str(row.environment),
            row.executed_on.date(),
            float(row.realised_bps),
            float(row.model_bps),
        )
        for row in frame[frame["kind"] == ORDER].itertuples(index=False)
    ]


def _order_row(row: Measured) -> dict[str, object]:
    return {
        "kind": ORDER,
        "key": row.key,
        "bucket": row.bucket,
        "side": row.side.value,
        "environment": row.environment,
        "executed_on": pd.Timestamp(row.executed_on),
        "orders": 1,
        "realised_bps": row.realised_bps,
        "model_bps": row.model_bps,
        "ratio": math.nan,
        "standard_error": math.nan,
        "multiple": math.nan,
        "reason": "",
    }


def _bucket_row(bucket: str, side: Side, environment: str, found: Factor) -> dict[str, object]:
    return {
        "kind": BUCKET,
        "key": f"{bucket}/{side.value}",
        "bucket": bucket,
        "side": side.value,
        "environment": environment,
        "executed_on": pd.NaT,
        "orders": found.orders,
        "realised_bps": found.realised_bps,
        "model_bps": found.model_bps,
        "ratio": found.ratio,
        "standard_error": found.standard_error,
        "multiple": found.multiple,
        "reason": found.reason,
    }
