"""What orders cost, put together for pages and the report: by group, by name, by session. Pure.

Not here: the shortfall of one order (`execution.shortfall`), how it looks (`cost_charts`, `report_costs`, `cost_pages`).
"""

import datetime as dt
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

WORKING = "WORKING"
PARTS = (
    ("delay", "delay"),
    ("spread", "spread (model)"),
    ("impact", "impact (model)"),
    ("residual", "rest of trading"),
    ("opportunity", "opportunity"),
    ("fees", "fees"),
    ("taxes", "taxes"),
)
PAPER_SAYS = (
    "Paper fills follow the model: they are no evidence about the model. They show that plan, fill and books use the same costs, "
    "what waiting for the auction costs (delay), and what orders that did not fill missed (opportunity)."
)
LIVE_SAYS = (
    "Realised against model: a mean off the line by more than two standard errors speaks against the model. An auction's own price "
    "holds our impact on it, so that the realised cost of orders in auctions is a lower bound."
)
MIXED_SAYS = "Paper and live orders are told apart; they never form one series."


@dataclass(frozen=True, slots=True)
class Group:
    """Orders that ended, of one label. `realised`, `model`, `difference`: means over those with both, basis points of the value at
    arrival; `error`: standard error of the difference, NaN below two. `total_base`: shortfall, base currency, of those known.
    """

    label: tuple[str, ...]
    environment: str
    orders: int
    unfilled: int
    compared: int
    realised: float
    model: float
    difference: float
    error: float
    total_base: float


def ended(frames: Iterable[pd.DataFrame]) -> list[dict[Hashable, object]]:
    """Rows of SHORTFALL frames that are over, in their order; the last told of an order counts."""
    rows: dict[str, dict[Hashable, object]] = {}
    for frame in frames:
        for row in frame[frame["state"] != WORKING].to_dict("records"):
            rows[str(row["client_order_id"])] = row
    return list(rows.values())


def groups(
    rows: Sequence[dict[Hashable, object]], label: Callable[[dict[Hashable, object]], tuple[str, ...]]
) -> list[Group]:
    """One group per label and environment, sorted by both."""
    found: dict[tuple[str, tuple[str, ...]], list[dict[Hashable, object]]] = {}
    for row in rows:
        found.setdefault((str(row["environment"]), label(row)), []).append(row)
    return [
        _group(name, environment, own) for (environment, name), own in sorted(found.items(), key=lambda pair: pair[0])
    ]


def by_kind(row: dict[Hashable, object]) -> tuple[str, ...]:
    """Currency, side and order type."""
    return (str(row["currency"]), str(row["side"]), str(row["order_type"]))


def by_name(row: dict[Hashable, object]) -> tuple[str, ...]:
    """Instrument."""
    return (str(row["instrument"]),)


def _group(label: tuple[str, ...], environment: str, rows: Sequence[dict[Hashable, object]]) -> Group:
    pairs = [(value_of(row, "realised_bps"), value_of(row, "model_bps")) for row in rows]
    pairs = [pair for pair in pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]
    gaps, n = [realised - model for realised, model in pairs], len(pairs)
    mean = math.fsum(gaps) / n if n else math.nan
    error = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / (n - 1) / n) if n > 1 else math.nan
    return Group(
        label=label,
        environment=environment,
        orders=len(rows),
        unfilled=sum(not value_of(row, "filled") > 0.0 for row in rows),
        compared=n,
        realised=math.fsum(pair[0] for pair in pairs) / n if n else math.nan,
        model=math.fsum(pair[1] for pair in pairs) / n if n else math.nan,
        difference=mean,
        error=error,
        total_base=math.fsum(x for x in (value_of(row, "total_base") for row in rows) if math.isfinite(x)),
    )


def parts_by_session(frames: Sequence[tuple[dt.date, pd.DataFrame]]) -> tuple[list[str], list[tuple[str, list[float]]]]:
    """(sessions, (part, its sum per session in base currency)); what is not known counts as nothing."""
    days = [day.isoformat() for day, _ in frames]
    rows = [[row for row in frame.to_dict("records") if row["state"] != WORKING] for _, frame in frames]
    series = []
    for name, told in PARTS:
        sums = [[value_of(row, name) * value_of(row, "rate") for row in own] for own in rows]
        series.append((told, [math.fsum(x for x in own if math.isfinite(x)) for own in sums]))
    return days, series


def words(environments: Iterable[str]) -> str:
    """What these numbers can say and what they cannot."""
    known = set(environments)
    if known <= {"paper", ""}:
        return PAPER_SAYS
    return LIVE_SAYS if "paper" not in known else f"{MIXED_SAYS} {PAPER_SAYS} {LIVE_SAYS}"


def value_of(row: dict[Hashable, object], name: str) -> float:
    """A number of a row; NaN for what is none."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else math.nan
