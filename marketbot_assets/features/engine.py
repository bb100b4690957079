"""Doing the work of a plan: the full build of a block of instruments, the next session from what was kept, the work across. Pure.

Every column is worked on alone, so blocks in any division, and the next session after a build, give the same bits as one whole
build. Memory of a build is that of its block. Not here: the plan (`plan`), what is kept as bytes (`state_file`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.features.operators.rows import take_over
from marketbot_assets.features.operators.table import EACH
from marketbot_assets.features.plan import Plan, Step
from marketbot_assets.normalization.window import Floats

Groups = NDArray[np.int64]
SPARE_ROWS = 64  # sessions that a kept history grows by before its old rows are dropped


@dataclass(slots=True)
class State:
    """What the next session needs of `count` instruments (columns).

    `number`: absolute number of the newest session; `history`: place -> its newest rows; `carried`: place -> rows of sums.
    """

    version: str
    number: int
    count: int
    history: dict[int, Floats]
    carried: dict[int, Floats]


@dataclass(frozen=True, slots=True)
class Built:
    """`values` (k, T, n): one matrix per place of `plan.own`; the state after the last session."""

    values: Floats
    state: State


def build(plan: Plan, given: Mapping[str, Floats], number: int, out: Floats | None = None) -> Built:
    """All sessions of a block. `given`: name -> (T, m) of one instrument each, or (T, 1) of a series; `number`: of row 0.

    `out` (k, T, m) takes the answers when given, in its own precision. Infinite answers are unknown.
    """
    shape = _shape(plan, given)
    own = {place: k for k, place in enumerate(plan.own)}
    values = np.empty((len(own), *shape)) if out is None else out
    work = _Work(plan, shape, {name: np.ascontiguousarray(given[name], dtype=np.float64) for name in plan.inputs})
    state = State(plan.version, number + shape[0] - 1, shape[1], {}, {})
    with np.errstate(all="ignore"):
        for place in [*plan.inputs.values(), *plan.constants]:
            work.hand_over(place, own, values, state)
        for step in plan.steps:
            work.run(step, 0, number, state)
            work.hand_over(step.place, own, values, state)
            work.free(step)
    return Built(values, state)


def _shape(plan: Plan, given: Mapping[str, Floats]) -> tuple[int, int]:
    """(sessions, instruments). Raises ValueError for an input that is absent or of another shape."""
    absent = sorted(set(plan.inputs) - set(given))
    if absent:
        raise ValueError(f"inputs: expected {', '.join(absent)} as well")
    shapes = {given[name].shape for name, place in plan.inputs.items() if place not in plan.series}
    narrow = {given[name].shape for name, place in plan.inputs.items() if place in plan.series}
    rows = {shape[0] for shape in shapes | narrow}
    if len(shapes) > 1 or len(rows) != 1 or any(shape[1] != 1 for shape in narrow):
        raise ValueError(f"inputs: expected one shape, and one column per series, found {sorted(shapes | narrow)}")
    return next(iter(shapes)) if shapes else (rows.pop(), 1)


@dataclass(slots=True)
class _Work:
    """Matrices by place while a block is built; those that are free again are used for the next ones."""

    plan: Plan
    shape: tuple[int, int]
    inputs: dict[str, Floats]
    at: dict[int, Floats] = field(default_factory=dict)
    spare: dict[tuple[int, ...], list[Floats]] = field(default_factory=dict)
    of: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.at = {place: self.inputs[name] for name, place in self.plan.inputs.items()}
        self.at |= {place: np.full((1, 1), value) for place, value in self.plan.constants.items()}
        for place, (whole, _) in self.plan.parts.items():
            self.of.setdefault(whole, []).append(place)

    def run(self, step: Step, first: int, number: int, state: State) -> None:
        """One step over all sessions."""
        width = 1 if step.place in self.plan.series else self.shape[1]
        rows, operator = self.shape[0], step.operator
        shape = (operator.parts, rows, width) if operator.parts else (rows, width)
        free = self.spare.get(shape)
        out = free.pop() if free else np.empty(shape)
        if operator.kind == EACH:
            operator.run(*(self.at[place] for place in step.arguments), out=out)
        else:
            carried = np.zeros((operator.carried, width))
            wide = [_wide(self.at[place], rows, width) for place in step.arguments]
            operator.run(wide, first, number, carried, out, step.parameters)
            if operator.carried:
                state.carried[step.place] = carried
        self.at[step.place] = out
        for place in self.of.get(step.place, ()):
            self.at[place] = out[self.plan.parts[place][1]]

    def hand_over(self, place: int, own: Mapping[int, int], values: Floats, state: State) -> None:
        """Copies what is wanted of a place: answers, and the rows that the next session needs."""
        for one in (place, *self.of.get(place, ())):
            if one in own:
                take_over(self.at[one], values[own[one]])
            keep = self.plan.history.get(one, 0)
            if keep:
                state.history[one] = _wide(self.at[one], *self._whole(one))[-keep:].copy()

    def _whole(self, place: int) -> tuple[int, int]:
        return self.shape[0], 1 if place in self.plan.series else self.shape[1]

    def free(self, step: Step) -> None:
        """What nobody needs any more may be written over."""
        for place in step.unused_after:
            matrix = self.at.pop(place)
            for one in self.of.get(place, ()):
                self.at.pop(one)
            self.spare.setdefault(matrix.shape, []).append(matrix)


def _wide(matrix: Floats, rows: int, width: int) -> Floats:
    """A contiguous (rows, width) matrix; a series or a number is repeated."""
    return matrix if matrix.shape == (rows, width) else np.ascontiguousarray(np.broadcast_to(matrix, (rows, width)))


class Days:
    """The plan session after session from a state: each costs as much as there are instruments, whatever came before.

    `next` gives what `build` over all sessions would give for the newest one, to the bit.
    """

    def __init__(self, plan: Plan, state: State) -> None:
        assert state.version == plan.version, "the state is of another plan"
        self._plan, self._count, self.number = plan, state.count, state.number
        self._carried = {place: rows.copy() for place, rows in state.carried.items()}
        self._rows: dict[int, Floats] = {}
        self._used: dict[int, int] = {}
        for place, keep in plan.history.items():
            if keep:
                kept = state.history[place]
                self._rows[place] = np.empty((keep + SPARE_ROWS, kept.shape[1]))
                self._rows[place][: len(kept)] = kept
                self._used[place] = len(kept)
        self._at: dict[int, Floats] = {place: np.full((1, 1), value) for place, value in plan.constants.items()}
        self._of: dict[int, list[int]] = {}
        for place, (whole, _) in plan.parts.items():
            self._of.setdefault(whole, []).append(place)
        for step in plan.steps:
            parts, width = step.operator.parts, 1 if step.place in plan.series else state.count
            self._at[step.place] = np.empty((parts, 1, width) if parts else (1, width))
            for place in self._of.get(step.place, ()):
                self._at[place] = self._at[step.place][plan.parts[place][1]]
        self._none = np.zeros((0, state.count))

    def next(self, given: Mapping[str, Floats]) -> Floats:
        """(k, n): one row per place of `plan.own`. `given`: name -> (n,) values of the session, (1,) of a series."""
        self.number += 1
        for name, place in self._plan.inputs.items():
            width = 1 if place in self._plan.series else self._count
            self._at[place] = np.ascontiguousarray(given[name], dtype=np.float64).reshape(1, width)
            self._remember(place)
        with np.errstate(all="ignore"):
            for step in self._plan.steps:
                self._run(step)
                self._remember(step.place)
            values = np.empty((len(self._plan.own), self._count))
            for k, place in enumerate(self._plan.own):
                values[k] = self._at[place][0]
            values[~np.isfinite(values)] = np.nan
        return values

    def _run(self, step: Step) -> None:
        out, operator = self._at[step.place], step.operator
        if operator.kind == EACH:
            operator.run(*(self._at[place] for place in step.arguments), out=out)
            return
        reach = operator.reach(step.parameters)
        views = [self._window(place, reach) for place in step.arguments]
        rows, width = len(views[0]), out.shape[-1]
        wide = [_wide(view, rows, width) for view in views]
        carried = self._carried.get(step.place, self._none)
        operator.run(wide, rows - 1, self.number - rows + 1, carried, out, step.parameters)

    def _window(self, place: int, reach: int) -> Floats:
        """The newest row of a place and up to `reach` before it."""
        if not reach or place in self._plan.constants:
            return self._at[place]
        end = self._used[place]
        return self._rows[place][max(0, end - reach - 1) : end]

    def _remember(self, place: int) -> None:
        for one in (place, *self._of.get(place, ())):
            keep = self._plan.history.get(one, 0)
            if keep:
                rows, end = self._rows[one], self._used[one]
                if end == len(rows):
                    rows[:keep] = rows[end - keep : end].copy()
                    end = keep
                rows[end] = self._at[one][0]
                self._used[one] = end + 1

    def state(self) -> State:
        """What the session after the newest one needs."""
        history = {
            place: self._rows[place][max(0, self._used[place] - self._plan.history[place]) : self._used[place]].copy()
            for place in sorted(self._rows)
        }
        carried = {place: rows.copy() for place, rows in sorted(self._carried.items())}
        return State(self._plan.version, self.number, self._count, history, carried)


def joined(states: Sequence[State], plan: Plan) -> State:
    """The state of several blocks beside each other, in their order."""
    first = states[0]
    assert {(s.version, s.number) for s in states} == {(first.version, first.number)}, "states of different sessions"

    def beside(place: int, rows: Sequence[Floats]) -> Floats:
        return rows[0] if place in plan.series else np.concatenate(rows, axis=1)

    return State(
        first.version,
        first.number,
        sum(s.count for s in states),
        {place: beside(place, [s.history[place] for s in states]) for place in sorted(first.history)},
        {place: beside(place, [s.carried[place] for s in states]) for place in sorted(first.carried)},
    )


def features_of(plan: Plan, own: Floats, groups: Groups) -> Floats:
    """(k, T, n) features in their order from the matrices of `plan.own`, the work across instruments done. groups: (n,)."""
    at: dict[int, Floats] = {place: own[k] for k, place in enumerate(plan.own)}
    at |= {place: np.full((1, 1), value) for place, value in plan.constants.items()}
    shape = own.shape[1:]
    with np.errstate(all="ignore"):
        for step in plan.across:
            out = np.empty(shape)
            if step.operator.kind == EACH:
                step.operator.run(*(at[place] for place in step.arguments), out=out)
            else:
                wide = [_wide(at[place], *shape) for place in step.arguments]
                step.operator.run(wide, groups, out, step.parameters)
            at[step.place] = out
        values = np.empty((len(plan.outputs), *shape))
        for k, place in enumerate(plan.outputs):
            values[k] = at[place]
    values[~np.isfinite(values)] = np.nan
    return values
