"""Target, explanation and plan as frames, and the target back from its frame. Pure. Not here: the columns (`schema`)."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from marketbot_assets.portfolio.change import CAUSES, Change, unknown_change
from marketbot_assets.portfolio.explanation import Force
from marketbot_assets.portfolio.inputs import Floats, PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.limit_price import NO_PRICE, LimitPrice
from marketbot_assets.portfolio.order_frame import orders_frame
from marketbot_assets.portfolio.order_plan import to_orders
from marketbot_assets.portfolio.repair import Tracking
from marketbot_assets.portfolio.schema import CASH, ORDER_PLAN, TARGET_EXPLANATION, TARGET_PORTFOLIO
from marketbot_assets.portfolio.target import LimitState, Target
from marketbot_resources.errors import StoreError
from marketbot_resources.store.table import Table

NOT_COMPARED = "not compared with the session before"
FORCE_NUMBERS = ("weight_before", "weight_after", "expected_return", "views", "risk", "cost", "limits", "bound",
                 "return_contribution", "risk_contribution", "trade_cost", "cost_bps", "cost_multiple")  # fmt: skip


def _frame(rows: Sequence[dict[str, object]], table: Table) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[column.name for column in table.columns])
    kinds = {"number": "float64", "integer": "int64", "flag": "bool"}
    return frame.astype({c.name: kinds[c.kind] for c in table.columns if c.kind in kinds})


def target_frame(inputs: PortfolioInputs, target: Target, forces: Sequence[Force]) -> pd.DataFrame:
    """TARGET_PORTFOLIO: one row per instrument in the inputs' order and one for CASH, sorted by instrument."""
    shared: dict[str, object] = {
        "method": target.method,
        "status": target.status,
        "objective": target.objective,
        "residual": target.residual if np.isfinite(target.residual) else np.nan,
        "failures": "; ".join(f"{method}: {why}" for method, why in target.failures),
        "doubts": "; ".join(target.doubts),
        "eased": "; ".join(target.eased),
        "conflicts": "; ".join(target.conflicts),
        "no_buys": target.no_buys,
        "solver": target.solver,
        "llm_note": target.llm_note,
    }
    without, cash_without = _without(target)
    rows: list[dict[str, object]] = [
        {
            "instrument": name,
            "weight_now": target.weights_now[i],
            "weight_target": target.weights[i],
            "weight_without_llm": without[i],
            "llm_influence": target.llm_influence[i],
            "can_buy": bool(inputs.can_buy[i]),
            "can_trade": bool(inputs.can_trade[i]),
            "force_exit": bool(inputs.force_exit[i]),
            "reason": forces[i].reason,
            "limits_json": "",
            **shared,
        }
        for i, name in enumerate(inputs.instruments)
    ]
    cash: dict[str, object] = {
        "instrument": CASH,
        "weight_now": 1.0 - float(np.nansum(target.weights_now)),
        "weight_target": target.cash_weight,
        "weight_without_llm": cash_without,
        "llm_influence": 0.0 if np.isnan(cash_without) else target.cash_weight - cash_without,
        "can_buy": True,
        "can_trade": True,
        "force_exit": False,
        "reason": "what is not invested",
        "limits_json": limits_json(target.limits),
        **shared,
    }
    return _frame([*rows, cash], TARGET_PORTFOLIO).sort_values("instrument", ignore_index=True)


def _without(target: Target) -> tuple[Floats, float]:
    """(weights without views, cash without views); NaN when no view tilts the forecasts, so that there was one solve."""
    if not len(target.without_llm):
        return np.full(len(target.weights), np.nan), float("nan")
    return target.without_llm, round(1.0 - float(np.nansum(target.without_llm)), 6)


def explanation_frame(
    target: Target,
    forces: Sequence[Force],
    *,
    prices: Sequence[LimitPrice] = (),
    change: Change | None = None,
) -> pd.DataFrame:
    """TARGET_EXPLANATION: the forces per instrument, then the limits with their prices.

    `prices`: one per limit of the target, or empty when none is known. `change`: since the session before, None without.
    """
    since = unknown_change(len(forces), NOT_COMPARED) if change is None else change
    priced = prices if len(prices) == len(target.limits) else (NO_PRICE,) * len(target.limits)
    rows: list[dict[str, object]] = [
        {
            "kind": "INSTRUMENT",
            "place": place,
            "subject": force.instrument,
            "name": force.main_limit,
            **{name: getattr(force, name) for name in FORCE_NUMBERS},
            "weight_yesterday": float(since.before[place]),
            **{f"change_{cause}": float(part[place]) for cause, part in zip(CAUSES, since.parts, strict=True)},
            "change": since.words(place),
            "binding": False,
            "unit": "",
            "reason": force.reason,
        }
        for place, force in enumerate(forces)
    ]
    rows += [
        {
            "kind": "LIMIT",
            "place": place,
            "subject": state.control,
            "name": state.name,
            "left": state.left,
            "limit": state.bound,
            "hard": state.hard,
            "slack": state.slack,
            "dual": state.dual,
            "price": priced[place].utility,
            "price_by_dual": priced[place].by_dual,
            "price_return": priced[place].expected_return,
            "change": "",
            "binding": state.binding,
            "unit": state.unit,
            "reason": "",
        }
        for place, state in enumerate(target.limits)
    ]
    return _frame(rows, TARGET_EXPLANATION).sort_values(["kind", "place"], ignore_index=True)


def target_of(frame: pd.DataFrame, instruments: Sequence[str]) -> Target:
    """The target that `target_frame` holds, weights in the order of `instruments`. Frames older than views have none.

    Raises StoreError when the frame holds other instruments.
    """
    rows = frame.set_index("instrument")
    if set(rows.index) != {*instruments, CASH}:
        raise StoreError(
            f"target_portfolio: expected {len(instruments)} instruments and {CASH}, found {len(rows)} rows"
        )
    first = rows.iloc[0]
    residual = float(first["residual"])
    return Target(
        weights=_column(rows, "weight_target", instruments),
        weights_now=_column(rows, "weight_now", instruments),
        cash_weight=float(rows.loc[CASH, "weight_target"]),
        method=str(first["method"]),
        status=str(first["status"]),
        objective=float(first["objective"]),
        residual=residual if np.isfinite(residual) else float("inf"),
        limits=limits_of(str(rows.loc[CASH, "limits_json"])),
        failures=_failures(str(first["failures"])),
        no_buys=str(first["no_buys"]),
        solver=str(first["solver"]),
        doubts=_texts(first["doubts"]),
        eased=_texts(first["eased"]),
        conflicts=_texts(first["conflicts"]),
        without_llm=_without_of(rows, instruments),
        llm_note=str(first.get("llm_note", "")),
    )


def limits_json(limits: Sequence[LimitState]) -> str:
    """The limits at the target as JSON, exact; a number that is none is null."""
    rows = [[x.control, x.name, x.unit, *(_or_none(v) for v in (x.left, x.bound, x.hard, x.dual))] for x in limits]
    return json.dumps(rows, separators=(",", ":"))


def limits_of(text: str) -> tuple[LimitState, ...]:
    """The inverse of `limits_json`."""
    return tuple(
        LimitState(row[0], row[1], row[2], *(float("nan") if v is None else float(v) for v in row[3:]))
        for row in json.loads(text)
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _column(rows: pd.DataFrame, name: str, instruments: Sequence[str]) -> Floats:
    return rows.loc[list(instruments), name].to_numpy(dtype=float)


def _without_of(rows: pd.DataFrame, instruments: Sequence[str]) -> Floats:
    """Weights without views; empty when none is known."""
    if "weight_without_llm" not in rows:
        return np.zeros(0)
    found = _column(rows, "weight_without_llm", instruments)
    return np.zeros(0) if np.isnan(found).all() else found


def _texts(joined: object) -> tuple[str, ...]:
    return tuple(part for part in str(joined).split("; ") if part)


def _failures(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition(": ") for part in text.split("; ") if part)
    return tuple((method, why) for method, _, why in pairs)


def plan_frame(
    planned: Sequence[PlannedOrder], inputs: PortfolioInputs, tracking: Tracking | None = None
) -> pd.DataFrame:
    """ORDER_PLAN: every planned order with all fields of its order, sorted by client order id. `tracking`: of the whole plan."""
    orders = to_orders(planned, inputs)
    frame = orders_frame(orders)
    extra = {(p.instrument, p.leg): p for p in planned}
    found = [extra[(order.instrument, order.leg)] for order in orders]
    frame["reference_price"] = np.array([p.reference_price for p in found], dtype=float)
    frame["value_base"] = np.array([p.value_base for p in found], dtype=float)
    frame["cost_bps"] = np.array([p.cost_bps for p in found], dtype=float)
    frame["utility_lost_bps"] = np.nan if tracking is None else tracking.utility_lost_bps
    frame["active_risk_bps"] = np.nan if tracking is None else tracking.active_risk_bps
    frame["purpose"] = [p.purpose for p in found]
    return frame[[column.name for column in ORDER_PLAN.columns]]
