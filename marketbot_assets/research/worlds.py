"""Worlds: tables of rows that each say when they became known; what was known at an instant, and worlds whose future is another.

Also the instants at which a look into the future shows itself: drawn at random, and around every gap, release and event.
Pure. Not here: what is computed on a world (`layers`), the comparison (`leakcheck`).
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.build_window import cutoff_micros, micros

World = Mapping[str, pd.DataFrame]
Floats = NDArray[np.float64]
CANARY, CANARY_TEXT = 1.0e21, "CANARY"
WALK_STEP, WALK_MAX = 0.03, 3.0
RECENT_ROWS = 400


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of one table are told apart and disturbed.

    `entity`: columns that name whose row it is; `values`: its numbers, the one that makes it a row first; `texts`: its words;
    `daily`: a row per session is expected, so a session without one is a gap; `revised`: whether the table may hold a second
    version of a row.
    """

    entity: tuple[str, ...]
    values: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    daily: bool = False
    revised: bool = True


BAR = ("close", "open", "high", "low", "volume", "price_level")
TIDY = {
    "instruments": Shape(("instrument",), ("shares_outstanding",), ("sector",), revised=False),
    "prices": Shape(("instrument",), BAR, daily=True),
    "corporate_actions": Shape(("instrument", "kind"), ("amount", "ratio")),
    "fx": Shape(("currency",), ("rate",), daily=True),
    "macro": Shape(("series",), ("value",)),
    "fundamentals": Shape(("instrument", "field"), ("value",)),
    "news": Shape(("instrument",), (), ("headline",)),
}
RAW = {
    "raw_instruments": Shape(("source_id",), ("shares_outstanding",), ("sector",), revised=False),
    "raw_prices": Shape(("source_id",), BAR, daily=True),
    "raw_corporate_actions": Shape(("source_id", "kind"), ("amount", "ratio")),
    "raw_fx": Shape(("currency",), ("units_per_eur",), daily=True, revised=False),
    "raw_macro": Shape(("series",), ("value",)),
    "raw_fundamentals": Shape(("source_id", "field"), ("value",)),
    "raw_news": Shape(("source_id",), (), ("headline",)),
}
SHAPES: Mapping[str, Shape] = {**TIDY, **RAW}


def known_by(world: World, at: dt.datetime) -> World:
    """The rows that were known at an instant."""
    return {name: frame[frame["known_at"] <= at].reset_index(drop=True) for name, frame in world.items()}


def reordered(world: World, seed: int) -> World:
    """The same rows in random order."""
    return {name: frame.sample(frac=1.0, random_state=seed, ignore_index=True) for name, frame in world.items()}


def without(world: World, column: str, names: Collection[str]) -> World:
    """The world without some instruments; `column`: what the tables call them. Tables without that column stay."""
    gone = {name: frame for name, frame in world.items() if column in frame}
    return {**world, **{name: frame[~frame[column].isin(names)].reset_index(drop=True) for name, frame in gone.items()}}


def perturbed(world: World, at: dt.datetime, *, seed: int, revisions: int) -> World:
    """Numbers that became known after `at` times a random walk, and `revisions` rows per table that were known told anew later."""
    draw = np.random.default_rng(seed)

    def walk(values: Floats) -> Floats:
        steps = np.clip(np.cumsum(WALK_STEP * draw.standard_normal(len(values))), -WALK_MAX, WALK_MAX)
        return np.asarray(values * np.exp(steps + WALK_STEP))

    return _with_future(world, at, walk, lambda text: f"{text} after all", draw, revisions)


def with_canaries(world: World, at: dt.datetime, *, seed: int, revisions: int) -> World:
    """Every number that became known after `at` is CANARY, every text CANARY_TEXT; and so are revisions of what was known."""
    draw = np.random.default_rng(seed)
    return _with_future(world, at, lambda v: np.full(len(v), CANARY), lambda text: CANARY_TEXT, draw, revisions)


def _with_future(
    world: World,
    at: dt.datetime,
    number: Callable[[Floats], Floats],
    text: Callable[[str], str],
    draw: np.random.Generator,
    revisions: int,
) -> World:
    out = {}
    for name, frame in world.items():
        shape = SHAPES[name]
        rows = frame.sort_values("known_at", kind="stable", ignore_index=True)
        past = int((rows["known_at"] <= at).sum())
        future = pd.concat([rows.iloc[past:], _revised(rows.iloc[:past], at, shape, draw, revisions)])
        for column in shape.values:
            future[column] = number(future[column].to_numpy(dtype=float))
        for column in shape.texts:
            future[column] = pd.Series([text(str(v)) for v in future[column]], future.index, dtype=rows[column].dtype)
        out[name] = pd.concat([rows.iloc[:past], future], ignore_index=True) if len(future) else rows
    return out


def _revised(past: pd.DataFrame, at: dt.datetime, shape: Shape, draw: np.random.Generator, count: int) -> pd.DataFrame:
    """Second versions of rows, half of them recent ones; the first is known a microsecond too late, the others up to a week."""
    if not shape.revised or past.empty or not count:
        return past.iloc[:0]
    recent = max(0, len(past) - RECENT_ROWS)
    places = np.concatenate(
        [draw.integers(recent, len(past), count - count // 2), draw.integers(0, len(past), count // 2)]
    )
    rows = past.iloc[np.unique(places)].copy()
    late = np.concatenate([[1], draw.integers(1, 7 * 86_400_000_000, len(rows) - 1)])
    known = pd.Series(pd.Timestamp(at).as_unit("us") + pd.to_timedelta(late, unit="us"), index=rows.index)
    rows["known_at"] = known.astype(past["known_at"].dtype)
    return rows


def random_cuts(days: Sequence[dt.date], count: int, seed: int) -> list[dt.date]:
    """`count` of the sessions, or all when there are no more, ascending."""
    chosen = np.random.default_rng(seed).choice(len(days), size=min(count, len(days)), replace=False)
    return [days[n] for n in sorted(chosen)]


def event_cuts(
    world: World, days: Sequence[dt.date], cutoffs: Sequence[dt.datetime], *, first: dt.date, most: int, seed: int
) -> list[dt.date]:
    """Sessions from `first` on at which a gap is open, has just closed, or a release, event or revision has just become known.

    At most `most` of them; every table has an equal share of these. `days` and their `cutoffs` ascend.
    """
    limits, start = cutoff_micros(cutoffs), list(days).index(first)
    draw = np.random.default_rng(seed)
    found = [_event_places(frame, SHAPES[name], limits) for name, frame in sorted(world.items())]
    usable = [places[(places >= start) & (places < len(days))] for places in found]
    usable = [places for places in usable if len(places)]
    share = -(-most // max(1, len(usable)))
    chosen = [draw.choice(places, size=min(share, len(places)), replace=False) for places in usable]
    every = np.unique(np.concatenate(chosen)) if chosen else np.array([], dtype=np.int64)
    return [days[n] for n in sorted(draw.choice(every, size=min(most, len(every)), replace=False))]


def _event_places(frame: pd.DataFrame, shape: Shape, limits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of `limits` at which something of the table begins or ends."""
    at = np.searchsorted(limits, micros(frame["known_at"]), side="left")
    inside = at < len(limits)
    if not shape.daily:
        seen = np.unique(at[inside])
        return np.union1d(seen, np.maximum(seen - 1, 0))
    entity = frame.groupby(list(shape.entity)).ngroup().to_numpy()
    whole = np.isfinite(frame[shape.values[0]].to_numpy(dtype=float)) & inside
    present = np.zeros((len(limits), int(entity.max(initial=0)) + 1), dtype=bool)
    present[at[whole], entity[whole]] = True
    began = np.maximum.accumulate(present, axis=0)
    ends = np.maximum.accumulate(present[::-1], axis=0)[::-1]
    gaps = np.flatnonzero((~present & began & ends).any(axis=1))
    return np.union1d(gaps, gaps + 1)
