"""Frames of bars, actions and rates become aligned matrices (`MarketWindow`, `MacroWindow`). Pure, vectorized.

Numbered as it runs: 1 drop bars that are quarantined or without a close; 2 assign each bar to the first decision session
whose cutoff is not before its `known_at`; 3 drop a bar that came after a newer one was already used, and a repeat of a
session that was: a closed history is not rewritten, but an overlay corrects the newest level from the row that learned of
it, as a return of that row without volume; 4 growth of each own session against the bar before, with the splits
and dividends between them as they were known at that row's cutoff, unknown above GROWTH_MAX (the ticker stood for another
company, or nobody told of a reverse split; a fall and what an overlay mends are believed); 5 compound several bars of one
session; 6 carry levels forward, give every listing that ended its last return; 7 add rates. Every number depends only on
rows known by its row's cutoff, in whatever order they are given.
Not here: what a bar must look like to be used (`quality`), what is computed on the window (`features`).
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.action_effects import End, ends_of, price_effects, with_ends
from marketbot_assets.normalization.window import Flags, Floats, MacroWindow, MarketWindow
from marketbot_resources.corporate_actions import ENDS

Ints = NDArray[np.int64]
Shape = tuple[int, int]
BLOCK = 100
GROWTH_MAX = 10.0
LEVELS = ("open", "high", "low", "close", "price_level")
_SPAN = 1 << 20  # more days than any calendar holds: (column, day) and (cell, day) become one sortable integer
_DAY_ZERO = 1 << 19  # keeps days before 1970 positive
_DAY_MICROS = 86_400_000_000
_NEVER = np.iinfo(np.int64).max


def micros(values: pd.Series) -> Ints:
    """Instants as microseconds since 1970; a missing instant is never known."""
    known = values.dt.as_unit("us").astype("int64").to_numpy()
    return np.where(values.isna().to_numpy(), _NEVER, known)


def cutoff_micros(cutoffs: Sequence[dt.datetime]) -> Ints:
    """Cutoffs as microseconds since 1970, exactly."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return np.array([(at - epoch) // dt.timedelta(microseconds=1) for at in cutoffs], dtype=np.int64)


def days(values: pd.Series) -> Ints:
    """Dates as non-negative day numbers."""
    return values.to_numpy().astype("datetime64[D]").astype(np.int64) + _DAY_ZERO


@dataclass(frozen=True, slots=True)
class _Landed:
    """Bars that count, sorted by instrument and own session; `cell` = column * rows + row ascends, so groups are runs.

    `growth`: total-return factor against the bar before, NaN for an instrument's first bar and in row 0. `fresh`: the bar
    landed in its row; false in row 0 for a bar of an own session before the window, which only sets the level.
    """

    column: Ints
    row: Ints
    cell: Ints
    growth: Floats
    fresh: Flags
    fields: dict[str, Floats]


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
    """The window of `sessions` (T) over sorted `instruments` (n) from PRICES, CORPORATE_ACTIONS and FX rows.

    Row 0 shows the last bar known at the first cutoff, that bar's range included; its returns are NaN, for what they
    would span is not in the window, and it is `fresh` (with volume) only if that bar is of the first session or
    later. An action that became known after the cutoff of the bar that it explains is left out of it: that return was
    decided upon. Prices that are not finite or not positive count as absent.
    """
    names, limits = _axes(instruments, sessions, cutoffs)
    shape = (len(limits), len(names))
    out = {name: np.empty(shape) for name in (*LEVELS, "volume", "total_return")}
    fresh = np.zeros(shape, dtype=bool)
    for columns, landed in _blocks(prices, actions, names, limits, sessions, (*LEVELS, "volume")):
        own = (len(limits), columns.stop - columns.start)
        fresh[landed.row[landed.fresh], columns.start + landed.column[landed.fresh]] = True
        for name, values in _folded(landed, own).items():
            out[name][:, columns] = values
        out["total_return"][:, columns] = _total_return(landed, own)
    ended = _ends(prices, actions, names, limits, currencies)
    out["total_return"], out["close"] = with_ends(out["total_return"], out["close"], ended)
    rates = _rates(fx, [currencies[name] for name in names], base, limits)
    return MarketWindow(
        sessions=tuple(sessions),
        instruments=tuple(names),
        base_return=_in_base(out["total_return"], rates),
        fx=rates,
        fresh=fresh,
        **out,
    )


def build_base_returns(
    prices: pd.DataFrame,
    actions: pd.DataFrame,
    fx: pd.DataFrame,
    *,
    instruments: Sequence[str],
    currencies: Mapping[str, str],
    base: str,
    sessions: Sequence[dt.date],
    cutoffs: Sequence[dt.datetime],
) -> Floats:
    """`build_window(...).base_return` alone, bit for bit: (T, n), simple, fraction per session; for long histories."""
    names, limits = _axes(instruments, sessions, cutoffs)
    ended = _ends(prices, actions, names, limits, currencies)
    total, close = np.empty((len(limits), len(names))), np.empty((len(limits), len(names) if ended else 0))
    for columns, landed in _blocks(prices, actions, names, limits, sessions, ("close",)):
        shape = (len(limits), columns.stop - columns.start)
        total[:, columns] = _total_return(landed, shape)
        if ended:
            _, last = _runs(landed.cell)
            at = (landed.row[last], landed.column[last])
            close[:, columns] = _carry(_scatter(landed.fields["close"][last], at, shape, np.nan))
    total, _ = with_ends(total, close, ended)
    del close
    for first in range(0, len(names), BLOCK):
        columns = slice(first, min(first + BLOCK, len(names)))
        rates = _rates(fx, [currencies[name] for name in names[columns]], base, limits)
        total[:, columns] = _in_base(total[:, columns], rates)
    return total


def _axes(
    instruments: Sequence[str], sessions: Sequence[dt.date], cutoffs: Sequence[dt.datetime]
) -> tuple[list[str], Ints]:
    limits = cutoff_micros(cutoffs)
    assert len(sessions) == len(cutoffs), f"expected a cutoff per session, found {len(cutoffs)} for {len(sessions)}"
    assert (np.diff(limits) > 0).all(), "cutoffs must ascend"
    return sorted(instruments), limits


def _blocks(
    prices: pd.DataFrame,
    actions: pd.DataFrame,
    names: Sequence[str],
    limits: Ints,
    sessions: Sequence[dt.date],
    fields: Sequence[str],
) -> Iterator[tuple[slice, _Landed]]:
    """Steps 1 to 4, BLOCK instruments at a time, so that what is temporary stays small; a block counts its columns from 0."""
    column = columns_of(prices["instrument"], names)
    needed = dict.fromkeys(("session", "known_at", "quarantine", "overlay", *fields))
    for first in range(0, len(names), BLOCK):
        columns = slice(first, min(first + BLOCK, len(names)))
        rows = np.flatnonzero((column >= columns.start) & (column < columns.stop))
        own = pd.DataFrame({name: prices[name].array.take(rows) for name in needed if name in prices}, copy=False)
        numbers = partial(_numbers, prices, rows)
        yield columns, _land(own, numbers, column[rows] - first, actions, names[columns], limits, sessions, fields)


def _numbers(prices: pd.DataFrame, rows: NDArray[np.intp]) -> list[Floats]:
    """What orders repeats of a bar, the least first."""
    return [prices[name].to_numpy(dtype=float)[rows] for name in ("volume", "open", "low", "high", "close")]


def _land(
    prices: pd.DataFrame,
    numbers: Callable[[], Sequence[Floats]],
    column: Ints,
    actions: pd.DataFrame,
    names: Sequence[str],
    limits: Ints,
    sessions: Sequence[dt.date],
    fields: Sequence[str],
) -> _Landed:
    """Steps 1 to 4 of bars of the instruments `names`; `column`: the place of each bar's instrument; `numbers`: see `_order`."""
    known = micros(prices["known_at"])
    row = np.searchsorted(limits, known, side="left")
    close = prices["close"].to_numpy(dtype=float)
    quarantined = prices["quarantine"].to_numpy(dtype=bool)
    usable = np.flatnonzero((row < len(limits)) & ~quarantined & np.isfinite(close) & (close > 0.0))
    day = days(prices["session"])[usable]
    cell = column[usable] * len(limits) + row[usable]
    order = _order(numbers, usable, cell * _SPAN + day, known[usable])
    place = column[usable[order]] * _SPAN + day[order]  # ascends within an instrument where history goes forward
    newest = np.concatenate([[-1], np.maximum.accumulate(place)[:-1]])[: len(place)]
    overlay = prices["overlay"].to_numpy() > 0 if "overlay" in prices else np.zeros(len(prices), dtype=bool)
    mends = overlay[usable[order]] & (place == newest)
    kept = (place > newest) | mends
    chosen, place, cell, mends = usable[order][kept], place[kept], cell[order][kept], mends[kept]
    growth = _growth(close[chosen], place, row[chosen], actions, names, limits)
    growth[(growth > GROWTH_MAX) & ~mends] = np.nan
    # of the bars up to the first cutoff only the last one stays, as the level to start from
    in_first = row[chosen] == 0
    last = np.concatenate([cell[1:] != cell[:-1], [True]])[: len(cell)]
    stays = ~in_first | last
    opening = np.datetime64(sessions[0], "D").astype(np.int64) + _DAY_ZERO if sessions else 0
    return _Landed(
        column=column[chosen][stays],
        row=row[chosen][stays],
        cell=cell[stays],
        growth=np.where(in_first, np.nan, growth)[stays],
        fresh=((~in_first | (place % _SPAN >= opening)) & ~mends)[stays],
        fields={name: prices[name].to_numpy(dtype=float)[chosen[stays]] for name in fields},
    )


def columns_of(instruments: pd.Series, names: Sequence[str]) -> Ints:
    """Column of each row's instrument, -1 for one that is not asked for."""
    codes, found = pd.factorize(instruments)
    places = {name: n for n, name in enumerate(names)}
    table = np.array([places.get(str(name), -1) for name in found] + [-1], dtype=np.int64)
    return table[codes]


def _order(
    numbers: Callable[[], Sequence[Floats]], usable: NDArray[np.intp], key: Ints, known: Ints
) -> NDArray[np.intp]:
    """Positions by cell and own session; of repeats of one session the first known comes first, then the smaller numbers."""
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) > 0).all():
        return order
    return np.lexsort((*(values[usable] for values in numbers()), known, key))


def _growth(close: Floats, place: Ints, row: Ints, actions: pd.DataFrame, names: Sequence[str], limits: Ints) -> Floats:
    """(close * ratio + dividends) / close before, per bar; NaN for an instrument's first bar.

    An event counts on the first bar on or after its ex session, if it was known by the cutoff of that bar's row; of several
    versions of one event the last one known by then counts.
    """
    before = np.concatenate([[np.nan], close[:-1]])[: len(close)]
    before[np.concatenate([[True], place[1:] // _SPAN != place[:-1] // _SPAN])[: len(place)]] = np.nan
    ratio, paid = np.ones(len(close)), np.zeros(len(close))
    column = columns_of(actions["instrument"], names)
    event = column * _SPAN + days(actions["ex_session"])
    bar = np.searchsorted(place, event, side="left")
    reach = np.append(place, -_SPAN)[bar] // _SPAN == column
    known = micros(actions["known_at"])
    due = np.append(limits, -1)[np.append(row, len(limits))[bar]]  # the cutoff of that bar's row
    counted = np.flatnonzero((column >= 0) & reach & (known <= due))
    kind = pd.factorize(actions["kind"], sort=True)[0]
    ratios, amounts = price_effects(actions)
    order = counted[np.lexsort([v[counted] for v in (amounts, ratios, known, kind, event)])]
    final = np.append((event[order][1:] != event[order][:-1]) | (kind[order][1:] != kind[order][:-1]), True)
    chosen = order[final[: len(order)]]
    np.multiply.at(ratio, bar[chosen], ratios[chosen])
    np.add.at(paid, bar[chosen], amounts[chosen])
    return np.asarray((close * ratio + paid) / before)


def _ends(
    prices: pd.DataFrame, actions: pd.DataFrame, names: Sequence[str], limits: Ints, currencies: Mapping[str, str]
) -> list[End]:
    """Listings that ended, by row; each at the exchange of its bars."""
    ending = actions[actions["kind"].isin(sorted(ENDS))]
    if ending.empty:
        return []
    own = prices["instrument"].isin(set(ending["instrument"]))
    mics = zip(prices.loc[own, "instrument"], prices.loc[own, "mic"], strict=True)
    return ends_of(
        ending,
        known=micros(ending["known_at"]),
        ex=(days(ending["ex_session"]) - _DAY_ZERO) * _DAY_MICROS,
        limits=limits,
        instruments=names,
        currencies=currencies,
        mics=dict(mics),
    )


def _runs(cell: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last positions of each run of equal cells."""
    change = cell[1:] != cell[:-1]
    starts = np.flatnonzero(np.concatenate([[True], change])[: len(cell)])
    ends = np.flatnonzero(np.concatenate([change, [True]])[: len(cell)])
    return starts, ends


def _folded(landed: _Landed, shape: Shape) -> dict[str, Floats]:
    """(T, n) levels, carried forward, and the volume of what landed."""
    starts, ends = _runs(landed.cell)
    at, fields = (landed.row[starts], landed.column[starts]), landed.fields
    folded = {
        "open": fields["open"][starts],
        "high": _fold(np.fmax, fields["high"], starts),
        "low": _fold(np.fmin, fields["low"], starts),
        "close": fields["close"][ends],
        "price_level": fields["price_level"][ends],
    }
    traded = np.where(landed.fresh, np.nan_to_num(fields["volume"], posinf=0.0, neginf=0.0), 0.0)
    levels = {name: _carry(_scatter(values, at, shape, np.nan)) for name, values in folded.items()}
    return levels | {"volume": _scatter(_fold(np.add, traded, starts), at, shape, 0.0)}


def _total_return(landed: _Landed, shape: Shape) -> Floats:
    """(T, n): growth compounded per session; 0 where nothing landed after an instrument's first bar, else NaN."""
    starts, _ = _runs(landed.cell)
    at = (landed.row[starts], landed.column[starts])
    measured = np.isfinite(landed.growth)
    compound = _fold(np.multiply, np.where(measured, landed.growth, 1.0), starts)
    any_measured = _fold(np.logical_or, measured, starts)
    made = _scatter(np.where(any_measured, compound - 1.0, np.nan), at, shape, np.nan)
    seen = np.zeros(shape, dtype=bool)
    seen[at] = True
    began = np.zeros(shape, dtype=bool)
    began[1:] = np.maximum.accumulate(seen, axis=0)[:-1]
    return np.where(~seen & began, 0.0, made)


def _in_base(total: Floats, rates: Floats) -> Floats:
    """Return in the base currency: price and rate multiply."""
    out = np.concatenate([rates[:1], rates[:-1]])
    np.divide(rates, out, out=out)
    out *= 1.0 + total
    out -= 1.0
    return out


def _fold(ufunc: np.ufunc, values: NDArray[np.generic], starts: NDArray[np.intp]) -> Floats:
    return np.asarray(ufunc.reduceat(values, starts) if len(starts) else values)


def _scatter(values: Floats, at: tuple[Ints, Ints], shape: Shape, empty: float) -> Floats:
    out = np.full(shape, empty)
    out[at] = values
    return out


def _carry(values: Floats) -> Floats:
    """Forward fill down the rows."""
    known = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    return np.asarray(np.take_along_axis(values, np.maximum.accumulate(known, axis=0), axis=0))


def build_rates(fx: pd.DataFrame, currencies: Sequence[str], base: str, cutoffs: Sequence[dt.datetime]) -> Floats:
    """(T, c) base per unit of each currency: the newest fixing known at each cutoff; NaN when there is none."""
    return _rates(fx, currencies, base, cutoff_micros(cutoffs))


def _rates(fx: pd.DataFrame, currencies: Sequence[str], base: str, limits: Ints) -> Floats:
    """(T, n) base per unit of each instrument's currency: the newest fixing known at each cutoff; NaN when there is none."""
    out = np.ones((len(limits), len(currencies)))
    for currency in sorted(set(currencies) - {base}):
        own = fx[fx["currency"] == currency]
        values = _known_at(micros(own["known_at"]), days(own["session"]), own["rate"].to_numpy(dtype=float), limits)
        out[:, [n for n, name in enumerate(currencies) if name == currency]] = values[:, None]
    return out


def build_macro(macro: pd.DataFrame, sessions: Sequence[dt.date], cutoffs: Sequence[dt.datetime]) -> MacroWindow:
    """For each series the value of the newest period known at each cutoff; a revision counts from its own release."""
    limits = cutoff_micros(cutoffs)
    series = {}
    for name, group in macro.groupby("series", sort=True):
        known, period = micros(group["known_at"]), days(group["period"])
        series[str(name)] = _known_at(known, period, group["value"].to_numpy(dtype=float), limits)
    return MacroWindow(tuple(sessions), series)


def _known_at(known: Ints, period: Ints, values: Floats, limits: Ints) -> Floats:
    """(T,): at each limit, of the rows known by then, the value of the newest period in its last known version."""
    if not len(values):
        return np.full(len(limits), np.nan)
    order = np.lexsort((values, period, known))
    known, period, values = known[order], period[order], values[order]
    newest = np.maximum.accumulate(period)
    current = np.maximum.accumulate(np.where(period >= newest, np.arange(len(period)), 0))
    at = np.searchsorted(known, limits, side="right") - 1
    return np.where(at >= 0, values[current[np.maximum(at, 0)]], np.nan)
