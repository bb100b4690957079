"""Every declared feature of a universe: in blocks of instruments, for all sessions or for the next one. Pure.

A block is built by `build_block` alone, so blocks can be handed to any map; the division changes no bit. Not here: the formulas
(`catalogue`), the inputs (`market_inputs`), who runs the map.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from marketbot_assets.features.engine import Built, Days, Groups, State, build, features_of, joined
from marketbot_assets.features.market_inputs import FeatureInputs
from marketbot_assets.features.operators.compiled import RESTART
from marketbot_assets.features.plan import Plan
from marketbot_assets.normalization.window import Floats
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Calendar

BLOCK = 256
Map = Callable[[Callable[[slice], Built], Sequence[slice]], Iterable[Built]]


def blocks(count: int, size: int = BLOCK) -> list[slice]:
    """Columns of the universe in blocks of instruments."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def build_block(plan: Plan, inputs: FeatureInputs, number: int, columns: slice) -> Built:
    """All sessions of one block. `number`: absolute number of the first session."""
    return build(plan, inputs.block(columns), number)


def in_order(work: Callable[[slice], Built], columns: Sequence[slice]) -> Iterator[Built]:
    """One block after the other."""
    return map(work, columns)


def build_features(
    plan: Plan, inputs: FeatureInputs, number: int, *, size: int = BLOCK, over: Map = in_order
) -> tuple[Floats, State]:
    """((k, T, n) features in the plan's order, the state after the last session). `over`: a map that keeps the order."""
    built = list(
        over(lambda columns: build_block(plan, inputs, number, columns), blocks(len(inputs.instruments), size))
    )
    own = np.concatenate([block.values for block in built], axis=2)
    return features_of(plan, own, inputs.groups), joined([block.state for block in built], plan)


def build_newest(plan: Plan, given: Mapping[str, Floats], number: int) -> tuple[Floats, State]:
    """((k, n) own matrices of the newest session, the state after it) of a block; `build` to the bit, without the other answers."""
    rows = len(next(iter(given.values())))
    if rows == 1:
        built = build(plan, given, number)
        return built.values[:, -1], built.state
    silent = replace(plan, outputs=(), stems=())
    before = build(silent, {name: values[:-1] for name, values in given.items()}, number).state
    return follow(plan, before, {name: values[-1:] for name, values in given.items()})


def follow(plan: Plan, state: State, given: Mapping[str, Floats]) -> tuple[Floats, State]:
    """The same from the state before the rows of `given`, at least one, which are worked on one after the other."""
    days = Days(plan, state)
    for row in range(len(next(iter(given.values())))):
        own = days.next({name: values[row] for name, values in given.items()})
    return own, days.state()


def frame_of(
    plan: Plan,
    own: Sequence[Floats],
    groups: Groups,
    session: dt.date,
    instruments: Sequence[str],
    names: Sequence[str],
) -> pd.DataFrame:
    """WIDE_FEATURES of a session. `own`: (k, n) matrices of the blocks, side by side; `names`: of the features, as in the plan."""
    values = features_of(plan, np.concatenate(own, axis=1)[:, None, :], groups)[:, 0]
    keys = {"session": pd.Timestamp(session), "instrument": list(instruments)}
    return pd.DataFrame({**keys, **dict(zip(names, values, strict=True))})


def next_session(plan: Plan, days: Days, inputs: FeatureInputs) -> Floats:
    """(k, n) features of the session that follows; `inputs`: of this session alone, one row."""
    own = days.next({name: rows[-1] for name, rows in inputs.given.items()})
    return features_of(plan, own[:, None, :], inputs.groups)[:, 0]


def number_of(calendar: Calendar, session: dt.date) -> int:
    """Absolute number of a session of the decision calendar, 0 where the calendars begin."""
    return len(decision_sessions(calendar, FIRST, session)) - 1


def first_number(number: int, lookback: int) -> int:
    """The session from which a build for session `number` begins: one at which sums begin anew, at least `lookback` before.

    So every build for a session begins at the same one, and its sums have the same bits.
    """
    return max(0, (number - lookback + 1) // RESTART * RESTART)
