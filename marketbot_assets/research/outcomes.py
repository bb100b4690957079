"""Days of the loop as rows of BACKTEST, and how often each control spoke. Pure. Not here: the loop (`loop`)."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from marketbot_assets.research.loop import Day
from marketbot_assets.research.schema import BACKTEST
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Order, Side, Status
from marketbot_resources.order_slices import CLOSE_LEG
from marketbot_resources.order_types import STOP_LEG

SPOKE = ("warned", "shrank", "rejected")
NAN = float("nan")
NO_MODELS = "none"
UNCOUNTED = (CLOSE_LEG, STOP_LEG)
_WHEN = {
    Status.WARN: "warned",
    Status.SHRINK: "shrank",
    Status.REJECT_ORDER: "shrank",
    Status.REJECT_BATCH: "rejected",
    Status.REDUCE_ONLY: "rejected",
    Status.HALT: "rejected",
}


def spoken(day: Day) -> dict[str, str]:
    """Control ids per column of SPOKE, of any round, sorted and separated by blanks."""
    found: dict[str, set[str]] = {column: set() for column in SPOKE}
    for results in day.decision.judgement.rounds:
        for result in results:
            if result.status in _WHEN:
                found[_WHEN[result.status]].add(result.control)
    return {column: " ".join(sorted(controls)) for column, controls in found.items()}


def traded(day: Day, side: Side) -> float:
    """Value of the approved orders of one side, fraction of NAV. Neither currency legs count, nor protective stops, which wait for
    their price, nor what takes the rest of slices, which is counted with them.
    """
    orders = [o for o in day.decision.batch if o.kind is Kind.EQUITY and o.side is side and o.leg not in UNCOUNTED]
    return float(sum(float(o.quantity) * share_value(o, day) for o in orders) / day.state.nav)


def share_value(order: Order, day: Day) -> float:
    """What one share of an equity order is worth in base currency: at its limit, or at the last close where it has none."""
    inputs, limit = day.decision.inputs, order.limit_price
    price = float(inputs.price[inputs.instruments.index(order.instrument)]) if limit is None else float(limit)
    return price * day.decision.risk.fx_rates.get(order.currency, NAN)


def costs_base(day: Day) -> float:
    """Fees and taxes of the session's fills, base currency."""
    rates, total = day.rolled.valuation.rates, 0.0
    for fill in day.fills:
        rate = 1.0 if fill.kind is Kind.FX else rates[fill.currency]
        total += float(fill.fee) * rate + float(fill.tax) * rates[fill.currency]
    return total


def mark_of(mandate: Mandate) -> str:
    """What a back-test says of language models: it asks none and reads no stored views, so none can have known its future."""
    if mandate.llm is None:
        return NO_MODELS
    return f"decided without {', '.join(f'{model.provider}:{model.model}' for model in mandate.llm.chain)}"


def row_of(day: Day, llm: str = NO_MODELS) -> dict[str, object]:
    """One BACKTEST row. `llm`: see `mark_of`."""
    value, judgement = day.rolled.valuation, day.decision.judgement
    binding = [f"{x.control} {x.name}" for x in day.decision.target.limits if x.binding]
    return {
        "session": pd.Timestamp(day.state.session),
        "nav": value.nav,
        "drawdown": day.state.drawdown_inception,
        "rung": day.state.rung.value,
        "multiple": day.state.multiple,
        "invested": float(np.nansum(list(value.values.values()))) / value.nav,
        "names": len(value.holdings.shares),
        "orders": len(judgement.approved),
        "planned": len(judgement.planned),
        "buys": traded(day, Side.BUY),
        "sells": traded(day, Side.SELL),
        "fills": len(day.fills),
        "costs_base": costs_base(day),
        "stops": len(day.state.stop_hits),
        "method": day.decision.target.method,
        "verdict": judgement.verdict,
        "binding": "; ".join(binding),
        **spoken(day),
        "llm": llm,
    }


def outcomes(days: Iterable[Day], llm: str = NO_MODELS) -> pd.DataFrame:
    """BACKTEST rows of the days."""
    frame = pd.DataFrame([row_of(day, llm) for day in days], columns=[column.name for column in BACKTEST.columns])
    kinds = {"number": "float64", "integer": "int64"}
    return frame.astype({column.name: kinds[column.kind] for column in BACKTEST.columns if column.kind in kinds})


def how_often(frame: pd.DataFrame) -> pd.DataFrame:
    """Per control the number of sessions in which it warned, shrank an order, rejected; sorted by control."""
    counts: dict[str, dict[str, int]] = {}
    for column in SPOKE:
        for controls in frame[column]:
            for control in str(controls).split():
                row = counts.setdefault(control, dict.fromkeys(SPOKE, 0))
                row[column] += 1
    rows = [{"control": control, **counts[control]} for control in sorted(counts)]
    return pd.DataFrame(rows, columns=["control", *SPOKE])
