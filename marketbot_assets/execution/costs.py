"""What the session's fills cost against the plans that led to them: slippage, fees, taxes. Pure.

Slippage is measured from the plan's reference price (the last close, for a currency leg the rate) and positive when worse.
Not here: which fills there are (`book.fills`), what a plan expected them to cost (the portfolio stage).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from marketbot_assets.book.fills import executions_of
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.execution.schema import EXECUTION_COSTS
from marketbot_resources.model import BASIS_POINT, Execution, Kind

UNPLANNED = "no plan names this order"
AMBIGUOUS = "the plans name this order more than once"
OTHER_ORDER = "the plan of this order names another instrument or side"
UNPRICED = "the plan of this order holds no usable reference price"
UNCOSTED = "the plan of this order holds no expected cost"


class _Plan(NamedTuple):
    decision_price: float
    expected_bps: float
    reason: str


def execution_costs(fills: pd.DataFrame, plans: pd.DataFrame, rates: Mapping[str, float]) -> pd.DataFrame:
    """EXECUTION_COSTS of FILLS rows, sorted by execution id.

    `plans`: ORDER_PLAN rows of earlier sessions. `rates`: currency -> base currency per unit, with the base currency at 1; a
    fill in shares needs its currency's rate, a currency leg only for a tax. `client_order_id`, `instrument`, `side`,
    `reference_price` and `cost_bps` of the plans are read. A number that cannot be known is null, with a reason.
    """
    planned = {str(name): rows for name, rows in plans.groupby("client_order_id")} if len(plans) else {}
    rows = [_row(fill, _plan(fill, planned.get(fill.client_order_id)), rates) for fill in executions_of(fills)]
    return rows_frame(EXECUTION_COSTS, rows)


def _row(fill: Execution, plan: _Plan, rates: Mapping[str, float]) -> dict[str, object]:
    """NaN spreads from what is unknown to what needs it; a cost of zero is zero at any rate."""
    rate = _positive(rates.get(fill.currency))
    price, quantity = float(fill.price), float(fill.quantity)
    price_rate = 1.0 if fill.kind is Kind.FX else rate
    fee = float(fill.fee) * price_rate if fill.fee else 0.0
    tax = float(fill.tax) * rate if fill.tax else 0.0
    worse = fill.side.sign * (price - plan.decision_price)
    missing = f"no rate of {fill.currency}" if math.isnan(price_rate + fee + tax) else ""
    return {
        "execution_id": fill.execution_id,
        "client_order_id": fill.client_order_id,
        "instrument": fill.instrument,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "decision_price": plan.decision_price,
        "fill_price": price,
        "value_base": float(fill.quantity * fill.price) * price_rate,
        "slippage_bps": worse / plan.decision_price / BASIS_POINT,
        "fee_base": fee,
        "tax_base": tax,
        "total_base": worse * quantity * price_rate + fee + tax,
        "expected_bps": plan.expected_bps,
        "reason": "; ".join(text for text in (plan.reason, missing) if text),
    }


def _plan(fill: Execution, planned: pd.DataFrame | None) -> _Plan:
    if planned is None:
        return _Plan(math.nan, math.nan, UNPLANNED)
    if len(planned) != 1:
        return _Plan(math.nan, math.nan, AMBIGUOUS)
    row = planned.iloc[0]
    if (row["instrument"], row["side"]) != (fill.instrument, fill.side.value):
        return _Plan(math.nan, math.nan, OTHER_ORDER)
    price, cost = _positive(row["reference_price"]), row["cost_bps"]
    known = isinstance(cost, float) and math.isfinite(cost)
    return _Plan(price, cost if known else math.nan, UNPRICED if math.isnan(price) else "" if known else UNCOSTED)


def _positive(value: object) -> float:
    """The number, or NaN when it is missing, not finite or not positive."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if math.isfinite(value) and value > 0 else math.nan
