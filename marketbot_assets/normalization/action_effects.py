"""What corporate actions do to prices and total returns: ratios, amounts paid, the last return of a listing that ended. Pure.

Not here: bars and rows of the window (`build_window`), shares and cash (`marketbot_resources.corporate_actions`), whether a price
agrees with an action (`action_rules`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_resources.corporate_actions import (
    ACQUIRED,
    DELISTING,
    DIVIDENDS,
    ENDS,
    SPIN_OFF,
    SPLIT,
    TRANSFER,
    delisting_return,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEFT_MIN = 1e-6  # a worthless end leaves this fraction, so that ratios and logarithms of returns stay finite


def price_effects(actions: pd.DataFrame) -> tuple[Floats, Floats]:
    """((m,) new shares per old share, (m,) paid per old share in its listing currency) that explain a price on the ex session.

    Dividends of both kinds and the value of spun-off shares are paid, an unknown value as 0; only a split changes the shares.
    """
    kind = actions["kind"].to_numpy(dtype=object)
    amount, ratio = (actions[name].to_numpy(dtype=float) for name in ("amount", "ratio"))
    pays = np.isin(kind, [*sorted(DIVIDENDS), SPIN_OFF]) & np.isfinite(amount)
    return np.where(kind == SPLIT, ratio, 1.0), np.where(pays, amount, 0.0)


@dataclass(frozen=True, slots=True)
class End:
    """One version of an end, as of the row in which it counts. `paid` per share, NaN unknown; `ratio` shares of column `heir`."""

    row: int
    column: int
    kind: str
    paid: float
    ratio: float
    heir: int
    loss: float
    reason: str


def ends_of(
    actions: pd.DataFrame,
    *,
    known: Ints,
    ex: Ints,
    limits: Ints,
    instruments: Sequence[str],
    currencies: Mapping[str, str],
    mics: Mapping[str, str],
) -> list[End]:
    """Ends by row. `known`, `ex` (m,) and `limits` (T,): microseconds; an end counts in the first row by which it was known and
    its ex session had begun. `mics`: exchange per instrument, for the rule of an unknown value; '' counts as any other exchange.
    """
    columns = {name: n for n, name in enumerate(instruments)}
    chosen = np.flatnonzero(
        actions["kind"].isin(sorted(ENDS)).to_numpy() & actions["instrument"].isin(columns).to_numpy()
    )
    rows = np.searchsorted(limits, np.maximum(known, ex)[chosen], side="left")
    found = []
    for row, at in zip(rows, chosen, strict=True):
        told = actions.iloc[at]
        name, other = str(told["instrument"]), str(told["other"])
        same = other in columns and currencies[other] == currencies[name]
        kind, reason = str(told["kind"]), other if told["kind"] == DELISTING else ACQUIRED
        loss = delisting_return(mics.get(name, ""), reason)
        numbers = (float(told["amount"]), float(told["ratio"]), columns[other] if same else -1, loss)
        if row < len(limits) and reason != TRANSFER:
            found.append((int(known[at]), End(int(row), columns[name], kind, *numbers, reason)))
    return [end for _, end in sorted(found, key=lambda pair: (pair[1].row, pair[1].column, -pair[0]))]


def with_ends(total: Floats, close: Floats, ends: Sequence[End]) -> tuple[Floats, Floats]:
    """(total returns, levels) with the last return of every listing that ended; (T, n) both, levels carried.

    Known value: cash and the acquirer's shares at their close of that session over the last level. Unknown: the loss of the rule
    and a level lowered by it, until a later version tells the value. Of the versions of one row the last known comes first.
    """
    if not ends:
        return total, close
    returns, levels = total.copy(), close.copy()
    settled: set[int] = set()
    marked: dict[int, float] = {}
    for end in ends:
        last = levels[end.row, end.column]
        if end.column in settled or not last > 0.0:
            continue
        final = _final(end, levels)
        if np.isfinite(final):
            settled.add(end.column)
            kept = max(final / last, LEFT_MIN)
        elif end.column not in marked:
            kept = marked[end.column] = 1.0 + end.loss
            levels[end.row :, end.column] *= kept
        else:
            continue
        if end.row:
            returns[end.row, end.column] = (1.0 + returns[end.row, end.column]) * kept - 1.0
    return returns, levels


def _final(end: End, levels: Floats) -> float:
    """Value per share, listing currency; NaN when unknown. Shares of an acquirer that has no price here: the last level stands."""
    if end.kind == DELISTING or not end.ratio > 0.0:
        return end.paid
    cash = end.paid if np.isfinite(end.paid) else 0.0
    price = levels[end.row, end.heir] if end.heir >= 0 else np.nan
    return float(cash + end.ratio * price if price > 0.0 else levels[end.row, end.column])
