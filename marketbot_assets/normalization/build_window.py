"""Frames of bars, actions and rates become aligned matrices (`MarketWindow`, `MacroWindow`). Pure, vectorized.

Numbered as it runs: 1 drop quarantined and missing closes; 2 total return of each own session against the bar before;
3 assign each bar to the first decision session whose cutoff is not before its `known_at`; 4 compound several bars of one
session; 5 carry levels forward; 6 add rates. Every number depends only on rows known by its row's cutoff.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow

EPOCH = np.datetime64("1970-01-01T00:00:00", "us")
_LEVELS = ("open", "high", "low", "close", "price_level")


def micros(values: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Instants as microseconds since 1970."""
    return values.dt.tz_convert(None).to_numpy().astype("datetime64[us]").astype(np.int64)


def cutoff_micros(cutoffs: Sequence[dt.datetime]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Cutoffs as microseconds since 1970."""
    return np.array([round(at.timestamp() * 1_000_000) for at in cutoffs], dtype=np.int64)


def build_window(
    prices: pd.DataFrame,
    actions: pd.DataFrame,
    fx: pd.DataFrame,
    *,
    instruments: Sequence[str],
    currencies: Mapping[str, str],
    base: str,
    sessions: Sequence[dt.date],
    cutoffs: Sequence[dt.datetime],
) -> MarketWindow:
    """The window of `sessions` (T) over sorted `instruments` (n).

    Row 0 shows the last bar known at the first cutoff; its returns are NaN, for what they would span is not in the window.
    """
    names = np.array(sorted(instruments), dtype=object)
    limits = cutoff_micros(cutoffs)
    bars = _bars(prices, names, limits)
    returns = _own_returns(bars, actions, names)
    bars, returns = _start(bars, returns)
    rows, columns = bars["row"].to_numpy(), bars["column"].to_numpy()
    shape = (len(limits), len(names))
    compound = np.ones(shape)
    known = np.isfinite(returns)
    np.multiply.at(compound, (rows[known], columns[known]), 1.0 + returns[known])
    counted = np.zeros(shape, dtype=int)
    np.add.at(counted, (rows[known], columns[known]), 1)
    fresh = np.zeros(shape, dtype=bool)
    fresh[rows, columns] = True
    levels = {name: _last(bars[name].to_numpy(dtype=float), rows, columns, shape) for name in ("close", "price_level")}
    levels["open"] = _first(bars["open"].to_numpy(dtype=float), rows, columns, shape)
    levels["high"] = _fold(np.fmax, bars["high"].to_numpy(dtype=float), rows, columns, shape)
    levels["low"] = _fold(np.fmin, bars["low"].to_numpy(dtype=float), rows, columns, shape)
    volume = np.zeros(shape)
    np.add.at(volume, (rows, columns), np.nan_to_num(bars["volume"].to_numpy(dtype=float)))
    filled = {name: _carry(values) for name, values in levels.items()}
    seen = np.maximum.accumulate(fresh, axis=0)
    began = np.vstack([np.zeros((1, len(names)), dtype=bool), seen[:-1]])
    total = np.where(counted > 0, compound - 1.0, np.where(began, 0.0, np.nan))
    rates = _rates(fx, [currencies[name] for name in names], base, limits)
    before = np.vstack([rates[:1], rates[:-1]])
    return MarketWindow(
        sessions=tuple(sessions),
        instruments=tuple(str(name) for name in names),
        volume=volume,
        total_return=total,
        base_return=(1.0 + total) * (rates / before) - 1.0,
        fx=rates,
        fresh=fresh,
        **filled,
    )


def _bars(prices: pd.DataFrame, names: np.ndarray, limits: np.ndarray) -> pd.DataFrame:
    """Usable bars, sorted by instrument and own session, with their row and column."""
    column = pd.Index(names).get_indexer(prices["instrument"].to_numpy(dtype=object))
    row = np.searchsorted(limits, micros(prices["known_at"]), side="left")
    usable = (
        (column >= 0) & (row < len(limits)) & ~prices["quarantine"].to_numpy() & np.isfinite(prices["close"].to_numpy())
    )
    frame = prices.loc[usable, ["session", *_LEVELS, "volume"]].assign(column=column[usable], row=row[usable])
    return frame.sort_values(["column", "session"], ignore_index=True)


def _start(bars: pd.DataFrame, returns: Floats) -> tuple[pd.DataFrame, Floats]:
    """Of the bars up to the first cutoff only each instrument's last one stays, without a return."""
    column, row = bars["column"].to_numpy(), bars["row"].to_numpy()
    following = np.concatenate([(column[1:] == column[:-1]) & (row[1:] == 0), [False]])[: len(bars)]
    keep = ~((row == 0) & following)
    return bars[keep].reset_index(drop=True), np.where(row == 0, np.nan, returns)[keep]


def _own_returns(bars: pd.DataFrame, actions: pd.DataFrame, names: np.ndarray) -> Floats:
    """Total return of each bar against the instrument's bar before; NaN for its first one."""
    column, close = bars["column"].to_numpy(), bars["close"].to_numpy(dtype=float)
    day = bars["session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    ratio, paid = np.ones(len(bars)), np.zeros(len(bars))
    place = pd.Index(names).get_indexer(actions["instrument"].to_numpy(dtype=object))
    ex = actions["ex_session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    span = 1_000_000
    keys = column.astype(np.int64) * span + day
    at = np.searchsorted(keys, place.astype(np.int64) * span + ex, side="left")  # first bar on or after the ex session
    for event, position in enumerate(at):
        if place[event] >= 0 and position < len(bars) and column[position] == place[event]:
            ratio[position] *= float(actions["ratio"].iloc[event])
            paid[position] += float(actions["amount"].iloc[event])
    before = np.concatenate([[np.nan], close[:-1]])
    before[np.concatenate([[True], column[1:] != column[:-1]])] = np.nan
    return np.asarray((close * ratio + paid) / before - 1.0)


def _last(values: Floats, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Floats:
    out = np.full(shape, np.nan)
    out[rows, columns] = values  # bars ascend within an instrument: the last one wins
    return out


def _first(values: Floats, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Floats:
    out = np.full(shape, np.nan)
    out[rows[::-1], columns[::-1]] = values[::-1]
    return out


def _fold(ufunc: np.ufunc, values: Floats, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Floats:
    out = np.full(shape, np.nan)
    ufunc.at(out, (rows, columns), values)
    return out


def _carry(values: Floats) -> Floats:
    """Forward fill down the rows."""
    known = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    return np.asarray(np.take_along_axis(values, np.maximum.accumulate(known, axis=0), axis=0))


def _rates(fx: pd.DataFrame, currencies: Sequence[str], base: str, limits: np.ndarray) -> Floats:
    """(T, n) base per unit of each instrument's currency: the last fixing known at each cutoff; NaN when there is none."""
    out = np.ones((len(limits), len(currencies)))
    for currency in sorted(set(currencies) - {base}):
        own = fx[fx["currency"] == currency].sort_values(["known_at", "session"])
        known, rate = micros(own["known_at"]), own["rate"].to_numpy(dtype=float)
        at = np.searchsorted(known, limits, side="right") - 1
        values = np.where(at >= 0, rate[np.maximum(at, 0)], np.nan) if len(rate) else np.full(len(limits), np.nan)
        out[:, [n for n, name in enumerate(currencies) if name == currency]] = values[:, None]
    return out


def build_macro(macro: pd.DataFrame, sessions: Sequence[dt.date], cutoffs: Sequence[dt.datetime]) -> MacroWindow:
    """For each series the value of the newest period known at each cutoff; a revision counts from its own release."""
    limits = cutoff_micros(cutoffs)
    series = {}
    for name, group in macro.groupby("series"):
        ordered = group.sort_values(["known_at", "period"])
        known = micros(ordered["known_at"])
        period = ordered["period"].to_numpy().astype("datetime64[D]").astype(np.int64)
        newest = np.maximum.accumulate(period) if len(period) else period
        current = np.where(period >= newest, np.arange(len(period)), 0)
        current = np.maximum.accumulate(current)
        at = np.searchsorted(known, limits, side="right") - 1
        values = ordered["value"].to_numpy(dtype=float)
        series[str(name)] = np.where(at >= 0, values[current[np.maximum(at, 0)]], np.nan)
    return MacroWindow(tuple(sessions), series)
