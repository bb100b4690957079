"""Every operator by name: how many arguments, how far it looks back, what it carries from session to session, how it is run.

Not here: the kernels themselves, how expressions are written (`expression`), in which order they are run (`plan`).
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from marketbot_assets.features.operators import (
    compiled,
    cross_section,
    elementwise,
    rolling_order,
    rolling_pairs,
    rolling_rank,
    rolling_shape,
    rolling_sums,
    rolling_trend,
    rows,
)
from marketbot_assets.normalization.window import Floats

Parameters = tuple[float, ...]
Run = Callable[[Sequence[Floats], int, int, Floats, Floats, Parameters], None]
EACH, WINDOW, ACROSS = "each", "window", "across"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    `reach`: sessions before the newest that are read; `carried`: rows of state; `parts`: matrices it gives (0: one);
    `run(arguments, first, number, state, out, parameters)` of a window; `module`: where its code stands.
    `room`: rows of memory that save work from call to call, handed over as the state where there is none, zeros at first.
    """

    name: str
    kind: str
    arguments: int
    module: str
    run: Callable[..., object]
    reach: Callable[[Parameters], int] = lambda p: 0
    carried: int = 0
    parts: int = 0
    room: Callable[[Parameters], int] = lambda p: 0


def _window(parameters: Parameters) -> int:
    return int(parameters[0])


def _room(rows: Callable[[int], int]) -> Callable[[Parameters], int]:
    return lambda parameters: rows(_window(parameters))


def _sums(what: int) -> Run:
    def run(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
        whole = out if out.ndim == 3 else out[None]
        rolling_sums.rolling_sums(xs[0], first, number, state, whole, int(p[0]), int(p[1]), what)

    return run


def _count(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_sums.rolling_count(xs[0], first, number, state, out, int(p[0]))


def _ewma(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_sums.rolling_ewma(xs[0], first, number, state, out, int(p[0]), float(p[2]), int(p[1]))


def _pair(what: int) -> Run:
    def run(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
        spread = float(p[2]) if len(p) > 2 else 0.0
        rolling_pairs.rolling_pair(xs[0], xs[1], first, number, state, out, int(p[0]), int(p[1]), what, spread)

    return run


def _trend(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_trend.rolling_trend(xs[0], first, number, state, out, int(p[0]), int(p[1]), float(p[2]))


def _extreme(sign: float) -> Run:
    def run(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
        rolling_order.rolling_extreme(xs[0], first, out, int(p[0]), int(p[1]), sign)

    return run


def _place(sign: float) -> Run:
    def run(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
        rolling_order.rolling_place(xs[0], first, out, int(p[0]), int(p[1]), sign)

    return run


def _rank(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_rank.rolling_rank(xs[0], first, out, int(p[0]), int(p[1]))


def _quantiles(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_rank.rolling_quantiles(xs[0], first, out, int(p[0]), int(p[1]), float(p[2]), float(p[3]))


def _shape(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rolling_shape.rolling_shape(xs[0], first, out, int(p[0]), int(p[1]))


def _lag(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rows.lag(xs[0], first, out, int(p[0]))


def _basis(xs: Sequence[Floats], first: int, number: int, state: Floats, out: Floats, p: Parameters) -> None:
    rows.basis(xs[0], xs[1], first, state, out, int(p[0]))


def _windows() -> list[Operator]:
    sums, pairs = rolling_sums.__name__, rolling_pairs.__name__
    order, ranks, shape = rolling_order.__name__, rolling_rank.__name__, rolling_shape.__name__
    return [
        Operator("mean", WINDOW, 1, sums, _sums(rolling_sums.MEAN), _window, room=_room(rolling_sums.sums_room)),
        Operator("sum", WINDOW, 1, sums, _sums(rolling_sums.SUM), _window, room=_room(rolling_sums.sums_room)),
        Operator("count", WINDOW, 1, sums, _count, _window, rolling_sums.COUNT_STATE),
        Operator("moments", WINDOW, 1, sums, _sums(rolling_sums.MOMENTS), _window, 0, 2, _room(rolling_sums.sums_room)),
        Operator("ewma", WINDOW, 1, sums, _ewma, _window, rolling_sums.EWMA_STATE),
        Operator(
            "corr", WINDOW, 2, pairs, _pair(rolling_pairs.CORRELATION), _window, room=_room(rolling_pairs.pair_room)
        ),
        Operator("beta", WINDOW, 2, pairs, _pair(rolling_pairs.SLOPE), _window, room=_room(rolling_pairs.pair_room)),
        Operator(
            "residual_std",
            WINDOW,
            2,
            pairs,
            _pair(rolling_pairs.RESIDUAL),
            _window,
            room=_room(rolling_pairs.pair_room),
        ),
        Operator(
            "trend",
            WINDOW,
            1,
            rolling_trend.__name__,
            _trend,
            _window,
            0,
            rolling_trend.TREND_PARTS,
            _room(rolling_trend.trend_room),
        ),
        Operator("max", WINDOW, 1, order, _extreme(1.0), _window),
        Operator("min", WINDOW, 1, order, _extreme(-1.0), _window),
        Operator("argmax", WINDOW, 1, order, _place(1.0), _window),
        Operator("argmin", WINDOW, 1, order, _place(-1.0), _window),
        Operator("rank", WINDOW, 1, ranks, _rank, _window),
        Operator("quantiles", WINDOW, 1, ranks, _quantiles, _window, 0, 2),
        Operator("shape", WINDOW, 1, shape, _shape, _window, 0, 2),
        Operator("lag", WINDOW, 1, rows.__name__, _lag, _window),
        Operator("basis", WINDOW, 2, rows.__name__, _basis, lambda p: 0, rows.BASIS_STATE),
    ]


def _across() -> list[Operator]:
    own = cross_section.__name__
    return [
        Operator("cross_rank", ACROSS, 1, own, lambda xs, groups, out, p: cross_section.cross_rank(xs[0], out)),
        Operator("cross_score", ACROSS, 1, own, lambda xs, groups, out, p: cross_section.cross_score(xs[0], out)),
        Operator(
            "cross_winsorize",
            ACROSS,
            1,
            own,
            lambda xs, groups, out, p: cross_section.cross_winsorize(xs[0], out, float(p[0])),
        ),
        Operator("cross_mean", ACROSS, 1, own, lambda xs, groups, out, p: cross_section.cross_mean(xs[0], out)),
        Operator(
            "cross_deviation", ACROSS, 1, own, lambda xs, groups, out, p: cross_section.cross_deviation(xs[0], out)
        ),
        Operator(
            "cross_neutralize",
            ACROSS,
            2,
            own,
            lambda xs, groups, out, p: cross_section.cross_neutralize(xs[0], xs[1], out),
        ),
        Operator("group_mean", ACROSS, 1, own, lambda xs, groups, out, p: cross_section.group_mean(xs[0], groups, out)),
    ]


OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        *(Operator(name, EACH, many, elementwise.__name__, run) for name, (many, run) in elementwise.EACH.items()),
        *_windows(),
        *_across(),
    )
}


@lru_cache
def code_of_operator(name: str) -> str:
    """SHA-256 of the module in which the operator's kernel stands and of the rules that all kernels share."""
    modules = [OPERATORS[name].module, compiled.__name__]
    if OPERATORS[name].module != elementwise.__name__:
        modules.append(rolling_sums.__name__)
    text = "\0".join(inspect.getsource(sys.modules[module]) for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()
