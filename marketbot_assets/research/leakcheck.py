"""Proves that no output at a session depends on data that became known after its cutoff: cuts, other futures, canaries. Pure.

The engine takes any function from a world to outputs. It computes the outputs of some sessions twice, on two worlds that may
not differ in them, and measures the largest difference: on all data and on what was known by the cutoff (truncation), on
another future and on second versions that came later (perturbation), on absurd values (canary), on less history (warm-up),
on rows in another order (order), without some instruments (removal). What was never compared on a value is unverified.
Not here: worlds and cuts (`worlds`), the functions that are checked (`layers`), how it is told (`commands.leakcheck`).
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.research.worlds import (
    CANARY,
    CANARY_TEXT,
    World,
    known_by,
    perturbed,
    reordered,
    with_canaries,
    without,
)
from marketbot_resources.errors import MarketbotError

Key = tuple[dt.date, str]
Outputs = Mapping[Key, pd.DataFrame]
Make = Callable[[World, Sequence[dt.date]], Outputs]
Feature = Callable[[World], pd.DataFrame]
Warm = Callable[[World, dt.date, int], pd.DataFrame]
TRUNCATION, PERTURBATION, CANARY_CHECK = "truncation", "perturbation", "canary"
WARM_UP, ORDER, REMOVAL = "warm-up", "order", "removal"
ROWS, REVISIONS = 5, 200
TOLERANCE = {
    WARM_UP: 1e-4,
    REMOVAL: 1e-12,
}  # products of matrices of another width round otherwise; all else is equal bit for bit
ROUNDING = 5e4 * float(np.finfo(float).eps)
"""Of a feature's own size, about 1e-11: what rounding leaves where the terms of its sum cancel.

60 roundings of a price, each eps of it at most, beside a feature of the size of a thousandth of a price: 6e4 eps. It is 1e-7 of
what WARM_UP allows a value of the feature's own size.
"""
ABSURD = 1e-4 * CANARY
FAILURES = (MarketbotError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one output. `worst`: largest relative difference, inf where only one side has a value.

    `compared`: values that both sides knew; `cut` and `key` (an instrument, series or currency): where the worst stands.
    `raised`: what the function said instead of an answer.
    """

    check: str
    output: str
    cuts: int
    compared: int
    worst: float
    cut: dt.date | None
    key: str
    tolerance: float = 0.0
    raised: str = ""

    @property
    def leaks(self) -> bool:
        """Whether the outputs differ beyond the tolerance."""
        return bool(self.raised) or not self.worst <= self.tolerance

    @property
    def status(self) -> str:
        """leaks, ok, or unverified: nothing known was ever compared."""
        return "leaks" if self.leaks else "ok" if self.compared else "unverified"


@dataclass(slots=True)
class _Worst:
    cuts: int = 0
    compared: int = 0
    worst: float = 0.0
    cut: dt.date | None = None
    key: str = ""
    raised: str = ""


@dataclass(slots=True)
class Tally:
    """Collects differences per check and output."""

    _found: dict[tuple[str, str], _Worst] = field(default_factory=dict)

    def _of(self, check: str, output: str) -> _Worst:
        return self._found.setdefault((check, output), _Worst())

    def compare(self, check: str, cut: dt.date, whole: Outputs, part: Outputs, *, rounding: float = 0.0) -> None:
        """Two sets of outputs that may not differ; an output that only one of them has differs without bound.

        `rounding`: as in `disagreement`.
        """
        empty = pd.DataFrame()
        seen = set()
        for key in sorted({*whole, *part}):
            one, other = whole.get(key, empty), part.get(key, empty)
            for column, (worst, place, compared) in disagreement(one, other, rounding).items():
                found = self._of(check, f"{key[1]}.{column}")
                seen.add(f"{key[1]}.{column}")
                found.compared += compared
                if worst > found.worst:
                    found.worst, found.cut, found.key = worst, cut, place
        for output in seen:
            self._of(check, output).cuts += 1

    def absurd(self, cut: dt.date, outputs: Outputs) -> None:
        """Outputs in which no canary may be seen."""
        for (_, group), frame in sorted(outputs.items()):
            for column in frame.columns:
                found, values = self._of(CANARY_CHECK, f"{group}.{column}"), frame[column]
                bad = _canaries(values)
                found.cuts += 1
                found.compared += int(_known(values.to_numpy()).sum())
                if bad.any():
                    found.worst, found.cut, found.key = np.inf, cut, str(frame.index[int(np.argmax(bad))])

    def failed(self, check: str, output: str, cut: dt.date, why: str) -> None:
        """A function that has no answer on a world that may make no difference to it."""
        found = self._of(check, output)
        found.worst, found.cut, found.raised = np.inf, cut, why

    def results(self) -> list[Result]:
        """One result per check and output."""
        return [
            Result(check, output, w.cuts, w.compared, w.worst, w.cut, w.key, TOLERANCE.get(check, 0.0), w.raised)
            for (check, output), w in self._found.items()
        ]


def disagreement(whole: pd.DataFrame, part: pd.DataFrame, rounding: float = 0.0) -> dict[str, tuple[float, str, int]]:
    """Per column (largest relative difference, key of that row, values compared); inf where only one side has a value or row.

    Numbers that differ by at most `rounding` times the column's own size (`size_of` the whole) are measured against that size.
    """
    if whole.index.equals(part.index):
        keys, lonely = whole.index, np.zeros(len(whole), dtype=bool)
    else:
        keys = whole.index.union(part.index)
        lonely = np.asarray(~(keys.isin(whole.index) & keys.isin(part.index)))
        whole, part = whole.reindex(keys), part.reindex(keys)
    out = {}
    for column in dict.fromkeys([*whole.columns, *part.columns]):
        if column not in whole or column not in part:
            out[str(column)] = (np.inf, str(keys[0]) if len(keys) else "", 0)
            continue
        one, other = whole[column].to_numpy(), part[column].to_numpy()
        difference = np.where(lonely, np.inf, _difference(one, other, rounding))
        place = int(np.argmax(difference)) if len(difference) else 0
        worst = float(difference[place]) if len(difference) else 0.0
        out[str(column)] = (worst, str(keys[place]) if worst > 0 else "", int((_known(one) & _known(other)).sum()))
    return out


def size_of(values: NDArray) -> float:
    """The median magnitude of the known numbers, 0 without any: few values of another size do not move it, zeros make it 0."""
    known = np.abs(values[np.isfinite(values)])
    return float(np.median(known)) if len(known) else 0.0


def _difference(one: NDArray, other: NDArray, rounding: float) -> NDArray[np.float64]:
    if one.dtype.kind in "fiub" and other.dtype.kind in "fiub":
        a, b = one.astype(float), other.astype(float)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            same, apart, size = (a == b) | (np.isnan(a) & np.isnan(b)), np.abs(a - b), size_of(a) if rounding else 0.0
            within = apart <= rounding * size
            relative = apart / np.where(within, size, np.maximum(np.abs(a), np.abs(b)))
        return np.where(same, 0.0, np.where(np.isfinite(relative), relative, np.inf))
    both = zip(one.tolist(), other.tolist(), strict=True)
    return np.array([0.0 if a == b or (pd.isna(a) and pd.isna(b)) else np.inf for a, b in both], dtype=float)


def _known(values: NDArray) -> NDArray[np.bool_]:
    return np.isfinite(values.astype(float)) if values.dtype.kind in "fiub" else np.asarray(~pd.isna(values))


def _canaries(values: pd.Series) -> NDArray[np.bool_]:
    if values.dtype.kind in "fiub":
        return np.asarray(np.abs(values.to_numpy(dtype=float)) >= ABSURD)
    return np.array([CANARY_TEXT in str(value) for value in values], dtype=bool)


@dataclass(frozen=True, slots=True)
class Ground:
    """A world with its sessions and their cutoffs, and the sessions at which it is cut.

    `joint`: the outputs on all data are computed once for all cuts; not so where one session's output rests on the ones before.
    `futures`: other futures are tried at every so many cuts, at none when 0; `seen` is called after each cut (a progress bar).
    """

    world: World
    cutoffs: Mapping[dt.date, dt.datetime]
    cuts: Sequence[dt.date]
    rows: int = ROWS
    joint: bool = True
    seed: int = 0
    revisions: int = REVISIONS
    futures: int = 1
    seen: Callable[[], None] = lambda: None

    def last(self, cut: dt.date) -> list[dt.date]:
        """The sessions up to a cut that are compared."""
        days = [day for day in self.cutoffs if day <= cut]
        return days[-self.rows :]


def panel(functions: Mapping[str, Feature], group: str = "feature") -> Make:
    """Outputs of functions from a world to a frame (sessions, instruments)."""

    def make(world: World, sessions: Sequence[dt.date]) -> Outputs:
        made = {name: function(world) for name, function in functions.items()}
        return {
            (day, group): pd.DataFrame({n: f.loc[day] for n, f in made.items() if day in f.index}) for day in sessions
        }

    return make


def check_future(ground: Ground, tally: Tally, *, make: Make, group: str) -> None:
    """Truncation, perturbation and canary at every cut. `group` names the outputs when the function has no answer."""
    needed = sorted({day for cut in ground.cuts for day in ground.last(cut)})
    once = make(ground.world, needed) if ground.joint else {}
    for number, cut in enumerate(ground.cuts):
        at, days = ground.cutoffs[cut], ground.last(cut)
        every = once if ground.joint else make(ground.world, days)
        whole = {key: frame for key, frame in every.items() if key[0] in set(days)}
        checks = {TRUNCATION: known_by(ground.world, at)}
        if ground.futures and number % ground.futures == 0:
            told = {"seed": ground.seed + number, "revisions": ground.revisions}
            checks |= {
                PERTURBATION: perturbed(ground.world, at, **told),
                CANARY_CHECK: with_canaries(ground.world, at, **told),
            }
        for check, world in checks.items():
            made = _answer(make, world, days, tally, check, group, cut)
            if made is not None and check == CANARY_CHECK:
                tally.absurd(cut, made)
            elif made is not None:
                tally.compare(check, cut, whole, made)
        ground.seen()


def _answer(
    make: Make, world: World, days: Sequence[dt.date], tally: Tally, check: str, group: str, cut: dt.date
) -> Outputs | None:
    try:
        return make(world, days)
    except FAILURES as error:  # the same call answers on the other world
        tally.failed(check, group, cut, f"{type(error).__name__}: {error}")
        return None


def check_order(ground: Ground, tally: Tally, *, make: Make, group: str) -> None:
    """The rows of every table in random order give the same bits."""
    for number, cut in enumerate(ground.cuts):
        days = ground.last(cut)
        made = _answer(make, reordered(ground.world, ground.seed + number), days, tally, ORDER, group, cut)
        if made is not None:
            tally.compare(ORDER, cut, make(ground.world, days), made)
        ground.seen()


def check_removal(
    ground: Ground,
    tally: Tally,
    *,
    make: Make,
    group: str,
    column: str,
    own: Callable[[str], bool],
    share: float = 0.25,
) -> None:
    """Without a share of the instruments, the outputs that concern one name alone (`own`) stay the same for the rest."""
    names = sorted(set().union(*(frame[column] for frame in ground.world.values() if column in frame)))
    for number, cut in enumerate(ground.cuts):
        draw, days = np.random.default_rng(ground.seed + number), ground.last(cut)
        gone = set(draw.choice(names, size=max(1, int(share * len(names))), replace=False))
        made = _answer(make, without(ground.world, column, gone), days, tally, REMOVAL, group, cut)
        if made is not None:
            whole, part = (_own(outputs, own, gone) for outputs in (make(ground.world, days), made))
            tally.compare(REMOVAL, cut, whole, part)
        ground.seen()


def _own(outputs: Outputs, own: Callable[[str], bool], gone: Collection[str]) -> Outputs:
    chosen = {key: [column for column in frame if own(f"{key[1]}.{column}")] for key, frame in outputs.items()}
    return {key: frame.loc[~frame.index.isin(gone), chosen[key]] for key, frame in outputs.items() if chosen[key]}


def check_warm_up(
    ground: Ground, tally: Tally, *, make: Warm, group: str, lookbacks: Mapping[str, int], rounding: float = 0.0
) -> None:
    """The value at a cut from N, 2 N and 4 N sessions of history is the same within the tolerance; N: the declared lookback.

    `rounding`: ROUNDING for features whose inputs are rounded otherwise when history begins elsewhere, see `disagreement`.
    """
    for cut in ground.cuts:
        for sessions in sorted(set(lookbacks.values())):
            columns = [name for name, declared in lookbacks.items() if declared == sessions]
            short, twice, long = (make(ground.world, cut, n * sessions)[columns] for n in (1, 2, 4))
            for one in (short, twice):
                tally.compare(WARM_UP, cut, {(cut, group): long}, {(cut, group): one}, rounding=rounding)
        ground.seen()
