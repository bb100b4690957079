"""What declared features read, as matrices: bars as they landed, returns, figures as filed, macro series, sectors. Pure.

Not here: the market window (`normalization.build_window`), the formulas (`catalogue`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.features.declaration import BEFORE, DOLLAR, FIGURES, SERIES, SHARES
from marketbot_assets.features.operators.as_of import as_of
from marketbot_assets.normalization.build_window import cutoff_micros, days, micros
from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow

YEAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class FeatureInputs:
    """`given`: input -> (T, n) of instruments or (T, 1) of a series; `groups` (n,): number of the sector. As of the cutoffs."""

    instruments: tuple[str, ...]
    given: dict[str, Floats]
    groups: NDArray[np.int64]

    def block(self, columns: slice) -> dict[str, Floats]:
        """The inputs of some instruments; a series belongs to each."""
        return {n: v if v.shape[1] == 1 else np.ascontiguousarray(v[:, columns]) for n, v in self.given.items()}


def feature_inputs(
    window: MarketWindow,
    macro: MacroWindow,
    fundamentals: pd.DataFrame,
    instruments: pd.DataFrame,
    cutoffs: Sequence[dt.datetime],
    base: str,
) -> FeatureInputs:
    """All inputs. `cutoffs`: one per session of the window; frames as known at the last of them, instruments in its order.

    Shares and sectors are those known at the last cutoff, for every session of the window.
    """
    assert tuple(instruments["instrument"]) == window.instruments, "instruments must be the window's, in its order"
    assert len(cutoffs) == len(window.sessions), "one cutoff per session"
    names = ("open", "high", "low", "close", "volume")
    given = {name: np.where(window.fresh, getattr(window, name), np.nan) for name in names}
    given |= {"fresh": window.fresh.astype(float), "last_close": window.close, "fx": window.fx}
    given |= {"total_return": window.total_return, "base_return": window.base_return}
    shares = instruments["shares_outstanding"].to_numpy(dtype=float)
    given[SHARES] = np.ascontiguousarray(np.broadcast_to(shares, window.close.shape))
    given |= filed_matrices(fundamentals, instruments, cutoffs)
    unknown = np.full(len(window.sessions), np.nan)
    given |= {name: macro.series.get(name, unknown)[:, None] for name in SERIES}
    given[DOLLAR] = strength(window.fx, list(instruments["currency"]), base)[:, None]
    return FeatureInputs(window.instruments, given, sector_numbers(instruments))


def block_inputs(
    window: MarketWindow,
    macro: MacroWindow,
    fundamentals: pd.DataFrame,
    instruments: pd.DataFrame,
    cutoffs: Sequence[dt.datetime],
    base: str,
    *,
    columns: slice,
) -> dict[str, Floats]:
    """What `feature_inputs(...).block(columns)` gives, to the bit, without the matrices of the other instruments.

    `fundamentals` may be those of the block's instruments alone.
    """
    own, listed = window.of(columns), instruments.iloc[columns].reset_index(drop=True)
    given = feature_inputs(own, macro, fundamentals, listed, cutoffs, base).given
    given[DOLLAR] = strength(window.fx, list(instruments["currency"]), base)[:, None]
    return given


def sector_numbers(instruments: pd.DataFrame) -> NDArray[np.int64]:
    """(n,): the place of each instrument's sector among those that there are, sorted."""
    sectors = list(instruments["sector"])
    number = {sector: n for n, sector in enumerate(sorted(set(sectors)))}
    return np.array([number[s] for s in sectors], dtype=np.int64)


def filed_matrices(
    fundamentals: pd.DataFrame, instruments: pd.DataFrame, cutoffs: Sequence[dt.datetime]
) -> dict[str, Floats]:
    """Each figure of the newest period known, and of the same quarter a year before; NaN in another currency than the listing."""
    place = pd.Series(np.arange(len(instruments)), index=list(instruments["instrument"]))
    currency = instruments.set_index("instrument")["currency"]
    own = fundamentals[fundamentals["instrument"].isin(place.index)]
    own = own[own["currency"].to_numpy() == own["instrument"].map(currency).to_numpy()]
    limits, out = cutoff_micros(cutoffs), {}
    for name in FIGURES:
        rows = own[own["field"] == name]
        facts = (
            micros(rows["known_at"]),
            rows["instrument"].map(place).to_numpy(dtype=np.int64),
            days(rows["period_end"]),
        )
        value = rows["value"].to_numpy(dtype=float)
        out[name] = as_of(limits, *facts, value, len(instruments))
        out[name + BEFORE] = as_of(limits, *facts, value, len(instruments), YEAR_DAYS)
    return out


def strength(fx: Floats, currencies: Sequence[str], base: str) -> Floats:
    """(T,) log change of the base currency against the mean of the listings' other currencies; NaN without one."""
    first = {currency: n for n, currency in reversed(list(enumerate(currencies))) if currency != base}
    if not first:
        return np.full(len(fx), np.nan)
    rates = fx[:, [first[currency] for currency in sorted(first)]]
    out = np.full(len(fx), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.log(rates[1:] / rates[:-1])
    known = np.isfinite(moves)
    count = known.sum(axis=1)
    total = np.where(known, moves, 0.0).sum(axis=1)
    out[1:] = -np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return out
