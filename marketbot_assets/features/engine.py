"""Doing the work of a plan: the full build of a block of instruments, the next session from what was kept, the work across. Pure.

Every column is worked on alone, so blocks in any division, and the next session after a build, give the same bits as one whole
build. Memory of a build is that of its block. Not here: the plan (`plan`), what is kept as bytes (`state_file`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.features.operators.rows import RESULTS, take_over, take_over_result
from marketbot_assets.features.operators.table import EACH
from marketbot_assets.features.plan import Plan, Step
from marketbot_assets.normalization.window import Floats

Groups = NDArray[np.int64]
CHUNK_CELLS = 2**16  # numbers of a matrix that are worked on together: what fits the processor's caches
CHUNK_LEAST, CHUNK_MOST = 32, 1024  # sessions
NOTHING = np.zeros((0, 0))
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
    values = np.empty((len(plan.own), *shape)) if out is None else out
    work = _Work(plan, shape[1], number, values)
    with np.errstate(all="ignore"):
        for start in range(0, shape[0], work.most):
            work.begin(start, min(work.most, shape[0] - start))
            for name, place in plan.inputs.items():
                work.put(place, given[name][start : start + work.rows])
            for place in (*plan.inputs.values(), *plan.constants):
                work.hand_over(place)
            for step in plan.steps:
                if not work.handed_over_at_once(step):
                    work.run(step)
                    work.hand_over(step.place)
                work.free(step)
    return Built(values, work.state())


def _in_one_row(matrix: Floats) -> Floats:
    """The memory from the first to the last number of (T, n); what lies between its rows is never touched."""
    size, (rows, n) = matrix.itemsize, matrix.shape
    assert rows < 2 or (matrix.strides[0] % size == 0 and (n < 2 or matrix.strides[1] == size)), "rows of numbers"
    stride = matrix.strides[0] // size
    return np.lib.stride_tricks.as_strided(matrix, ((rows - 1) * stride + n,), (size,)) if rows else matrix.ravel()


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


class _Work:
    """Matrices by place for a run of sessions that fits the processor's caches; what is free again is used for the next.

    A place whose past is needed (`plan.history`) has its rows before the run in front of it, as many as there are.
    """

    def __init__(self, plan: Plan, count: int, number: int, values: Floats) -> None:
        self.plan, self.count, self.number = plan, count, number
        self.most = min(max(CHUNK_CELLS // max(count, 1), CHUNK_LEAST), CHUNK_MOST)
        self.start = self.rows = 0
        self.own = {place: _in_one_row(values[k]) for k, place in enumerate(plan.own)}
        self.stride = values.strides[1] // values.itemsize
        self.lent: set[int] = set()
        self.at_once = {
            step.place: RESULTS[step.operator.name]
            for step in plan.steps
            if step.operator.name in RESULTS and step.place in self.own and step.place in step.unused_after
        }
        self.at: dict[int, Floats] = {place: np.full((1, 1), value) for place, value in plan.constants.items()}
        self.spare: dict[tuple[int, ...], list[Floats]] = {}
        self.of = _parts_of(plan)
        self.wanted = {
            place: [one for one in (place, *self.of.get(place, ())) if one in self.own] for place in self._all()
        }
        self.past = {
            place: np.full((keep + self.most, 1 if place in plan.series else count), np.nan)
            for place, keep in plan.history.items()
            if keep and place not in plan.constants
        }
        self.carried = {
            step.place: np.zeros((step.operator.carried, self._width(step.place)))
            for step in plan.steps
            if step.operator.carried
        }
        self.room = {
            step.place: np.zeros((step.operator.room(step.parameters), self._width(step.place)))
            for step in _roomy(plan)
        }

    def _all(self) -> list[int]:
        return [*self.plan.inputs.values(), *self.plan.constants, *(step.place for step in self.plan.steps)]

    def _width(self, place: int) -> int:
        return 1 if place in self.plan.series else self.count

    def begin(self, start: int, rows: int) -> None:
        """The next run of sessions: the newest rows of the one before move to the front."""
        for place, held in self.past.items():
            keep = self.plan.history[place]
            if start:
                held[:keep] = held[self.rows : self.rows + keep]
        self.start, self.rows = start, rows

    def put(self, place: int, found: Floats) -> None:
        """An input's rows, of any precision."""
        if place in self.past:
            out = self._now(place)
            np.copyto(out, found)
            self.at[place] = out
        else:
            self.at[place] = np.ascontiguousarray(found, dtype=np.float64)

    def _now(self, place: int) -> Floats:
        keep = self.plan.history[place]
        return self.past[place][keep : keep + self.rows]

    def _window(self, place: int, reach: int) -> Floats:
        """The rows of this run and up to `reach` before it, of every instrument."""
        before = min(reach, self.start)
        rows, width = before + self.rows, self._width(place)
        if place in self.past:
            keep = self.plan.history[place]
            return self.past[place][keep - before : keep + self.rows]
        return _wide(self.at[place], rows, width)

    def run(self, step: Step) -> None:
        """One step over the sessions of this run."""
        operator, width = step.operator, self._width(step.place)
        if operator.name == "lag" and step.arguments[0] in self.past and step.place not in self.past:
            at = self.plan.history[step.arguments[0]] - int(step.parameters[0])
            self.at[step.place] = self.past[step.arguments[0]][at : at + self.rows]
            self.lent.add(step.place)
            return
        shape = (operator.parts, self.rows, width) if operator.parts else (self.rows, width)
        if step.place in self.past:
            out = self._now(step.place)
        else:
            free = self.spare.get(shape)
            out = free.pop() if free else np.empty(shape)
        if operator.kind == EACH:
            operator.run(*(self.at[place] for place in step.arguments), out=out)
        else:
            before = min(operator.reach(step.parameters), self.start)
            wide = [_wide(self._window(place, before), before + self.rows, width) for place in step.arguments]
            carried = self.carried.get(step.place, self.room.get(step.place, NOTHING))
            operator.run(wide, before, self.number + self.start - before, carried, out, step.parameters)
        self.at[step.place] = out
        for place in self.of.get(step.place, ()):
            self.at[place] = out[self.plan.parts[place][1]]
            if place in self.past:
                self._now(place)[:] = self.at[place]

    def hand_over(self, place: int) -> None:
        """Copies the answers that are wanted of a place."""
        for one in self.wanted[place]:
            take_over(self.at[one], self.own[one], self.start * self.stride, self.stride, self.rows, self.count)

    def handed_over_at_once(self, step: Step) -> bool:
        """Works out a step whose result is an answer that nothing else needs, right into the answers' memory."""
        if step.place not in self.at_once:
            return False
        x, y = (self.at[place] for place in step.arguments)
        if x.shape != (self.rows, self.count) or y.shape not in (x.shape, (1, 1)):
            return False
        own, what = self.own[step.place], self.at_once[step.place]
        take_over_result(x, y, what, own, self.start * self.stride, self.stride, self.rows, self.count)
        return True

    def free(self, step: Step) -> None:
        """What nobody needs any more may be written over."""
        for place in step.unused_after:
            matrix = self.at.pop(place, None)
            for one in self.of.get(place, ()):
                self.at.pop(one)
            if matrix is not None and place not in self.past and place not in self.lent:
                self.spare.setdefault(matrix.shape, []).append(matrix)

    def state(self) -> State:
        """What the session after the newest one needs."""
        end, history = self.start + self.rows, dict[int, Floats]()
        for place, keep in self.plan.history.items():
            if place in self.past:
                history[place] = self.past[place][keep + self.rows - min(keep, end) : keep + self.rows].copy()
            elif keep:
                history[place] = _wide(self.at[place], min(keep, end), self._width(place)).copy()
        return State(self.plan.version, self.number + end - 1, self.count, history, self.carried)


def _parts_of(plan: Plan) -> dict[int, list[int]]:
    """Place of the many -> places of its parts."""
    found: dict[int, list[int]] = {}
    for place, (whole, _) in plan.parts.items():
        found.setdefault(whole, []).append(place)
    return found


def _roomy(plan: Plan) -> list[Step]:
    """Steps that save work by memory of their own."""
    return [step for step in plan.steps if step.operator.kind != EACH and step.operator.room(step.parameters)]


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
        self._of = _parts_of(plan)
        for step in plan.steps:
            parts, width = step.operator.parts, 1 if step.place in plan.series else state.count
            self._at[step.place] = np.empty((parts, 1, width) if parts else (1, width))
            for place in self._of.get(step.place, ()):
                self._at[place] = self._at[step.place][plan.parts[place][1]]
        rooms = [step.operator.room(step.parameters) for step in _roomy(plan)]
        self._room = np.zeros((max(rooms, default=0), state.count))
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
        if operator.room(step.parameters) and width == self._count:
            carried = self._room[: operator.room(step.parameters)]
            carried[:1] = 0.0  # of no session: sums begin anew from the rows, in memory that all share
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
