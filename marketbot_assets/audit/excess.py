"""The excess over the benchmark of a period, by sector: allocation and selection, then trading, costs, and what is left. Pure.

A session's holdings at its start earn what ATTRIBUTION calls price, fx and dividend; `brinson` compares them with the benchmark.
Fills against the close are `trading`, fees and taxes `costs`, and the difference to the linked return `unexplained` (rounding,
interest, unknown prices). Sessions are linked after Carino, so that all rows add up to the excess. Not here: `performance`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from marketbot_assets.audit.brinson import Sectors, brinson_fachler
from marketbot_assets.audit.linking import carino, linked_effects, total_excess
from marketbot_assets.audit.schema import SECTOR
from marketbot_assets.book.schema import CASH

if TYPE_CHECKING:
    import pandas as pd

NO_WEIGHT = 1e-6
TRADING, COSTS_ROW, UNEXPLAINED, TOTAL_ROW = "trading", "fees and taxes", "unexplained", "total"
BenchmarkSectors = Mapping[str, tuple[float, float]]
Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Session:
    """One session that can be compared. Fractions of the NAV with which it began.

    `weights`: sector -> what was held, cash aside; `held`: sector -> what that earned, cash included under CASH; `benchmark`:
    sector -> (weight, return), empty where it is not known.
    """

    returned: float
    benchmark_returned: float
    weights: Mapping[str, float]
    held: Mapping[str, float]
    trading: float
    costs: float
    benchmark: BenchmarkSectors


def session_of(
    returned: float,
    benchmark_returned: float,
    begun: float,
    attribution: "pd.DataFrame",
    values: Mapping[str, float],
    benchmark: BenchmarkSectors,
) -> Session:
    """`begun`: NAV before and the owner's flow, base currency; `values`: sector -> value held before, base currency."""
    rows = attribution[attribution["dimension"] == SECTOR]
    parts = {
        column: rows[column].astype(float).to_numpy() / begun
        for column in ("price", "fx", "dividend", "trading", "fee", "tax")
    }
    held = (parts["price"] + parts["fx"] + parts["dividend"]).tolist()
    return Session(
        returned=returned,
        benchmark_returned=benchmark_returned,
        weights={name: value / begun for name, value in values.items()},
        held=dict(zip(map(str, rows["name"]), held, strict=True)),
        trading=math.fsum(parts["trading"]),
        costs=-math.fsum([*parts["fee"], *parts["tax"]]),
        benchmark=benchmark,
    )


def is_known(session: Session) -> bool:
    """Whether the session can be compared: a benchmark by sector, and finite numbers throughout."""
    numbers = [session.returned, session.benchmark_returned, session.trading, session.costs]
    numbers += [*session.weights.values(), *session.held.values()]
    numbers += [number for pair in session.benchmark.values() for number in pair]
    return bool(session.benchmark) and all(map(math.isfinite, numbers)) and session.returned > -1.0


def excess(sessions: Sequence[Session]) -> Rows:
    """Rows of name, weight, benchmark_weight (means), allocation, selection, total: sectors by name, then what is no sector's.

    The last row is the arithmetic excess of the sessions, each counted; rows add up to it. Empty without a session that is known.
    """
    counted = [session for session in sessions if is_known(session)]
    if not counted:
        return []
    names = sorted({CASH}.union(*({*s.weights, *s.held, *s.benchmark} for s in counted)))
    mine, theirs = [s.returned for s in counted], [s.benchmark_returned for s in counted]
    effects = linked_effects([_effects(session, names) for session in counted], carino(mine, theirs))
    count, size = len(counted), len(names)
    weights = np.array(
        [[_weights(session, names), [session.benchmark.get(n, (0.0, 0.0))[0] for n in names]] for session in counted]
    )
    rows: Rows = []
    for place, name in enumerate(names):
        allocation, selection = float(effects[place]), float(effects[size + place])
        mean = [math.fsum(weights[:, side, place]) / count for side in (0, 1)]
        rows.append(_row(name, mean[0], mean[1], allocation, selection, allocation + selection))
    for name, value in zip((TRADING, COSTS_ROW), effects[2 * size : 2 * size + 2].tolist(), strict=True):
        rows.append(_row(name, math.nan, math.nan, math.nan, math.nan, value))
    total = total_excess(mine, theirs)
    rest = math.fsum([total, *(-float(str(row["total"])) for row in rows)])
    rows.append(_row(UNEXPLAINED, math.nan, math.nan, math.nan, math.nan, rest))
    sums = [math.fsum(effects[:size]), math.fsum(effects[size : 2 * size])]
    rows.append(_row(TOTAL_ROW, 1.0, 1.0, sums[0], sums[1], total))
    return rows


def _row(
    name: str, weight: float, benchmark_weight: float, allocation: float, selection: float, total: float
) -> dict[str, object]:
    return {
        "name": name,
        "weight": weight,
        "benchmark_weight": benchmark_weight,
        "allocation": allocation,
        "selection": selection,
        "total": total,
    }


def _weights(session: Session, names: Sequence[str]) -> list[float]:
    """Per name; what is too small to earn a return counts as cash, which is what is left."""
    sizes = {name: weight for name, weight in session.weights.items() if abs(weight) > NO_WEIGHT and name != CASH}
    sizes[CASH] = math.fsum([1.0, *(-weight for weight in sizes.values())])
    return [sizes.get(name, 0.0) for name in names]


def _effects(session: Session, names: Sequence[str]) -> list[float]:
    """Allocation per name, selection per name, trading, costs; what a sector without a weight earned was traded."""
    weights = _weights(session, names)
    earned = [session.held.get(name, 0.0) for name in names]
    pairs = list(zip(weights, earned, strict=True))
    returned = [gain / weight if weight != 0.0 else math.nan for weight, gain in pairs]
    theirs = [session.benchmark.get(name, (0.0, math.nan)) for name in names]
    known = Sectors.of(weights, [weight for weight, _ in theirs], returned, [move for _, move in theirs])
    effects = brinson_fachler(known)
    traded = math.fsum([session.trading, *(gain for weight, gain in pairs if weight == 0.0)])
    return [*effects.allocation.tolist(), *effects.selected.tolist(), traded, session.costs]
