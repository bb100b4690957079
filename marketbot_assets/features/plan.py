"""From formulas to an order of work: every shared part once, what the next day needs, what depends on what. Pure.

Work on one instrument alone comes first (`steps`), work across the instruments after it (`across`), because the first can be
done in blocks. Not here: what operators do (`operators`), doing the work (`engine`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from marketbot_assets.features.expression import CONSTANT, INPUT, PART, Node
from marketbot_assets.features.operators.table import ACROSS, OPERATORS, WINDOW, Operator, code_of_operator


@dataclass(frozen=True, slots=True)
class Step:
    """One operator, its result's place, the places of its arguments, and places that nobody needs after it."""

    operator: Operator
    place: int
    arguments: tuple[int, ...]
    parameters: tuple[float, ...]
    unused_after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`inputs`: name -> place; `constants`: place -> number; `parts`: place -> (place of the many, which).

    `series`: places of which all instruments share one value; `history`: place -> sessions that the next day needs;
    `stems`: places that the work across instruments starts from; `outputs`: place per feature, in the features' order.
    """

    inputs: Mapping[str, int]
    constants: Mapping[int, float]
    parts: Mapping[int, tuple[int, int]]
    series: frozenset[int]
    steps: tuple[Step, ...]
    across: tuple[Step, ...]
    history: Mapping[int, int]
    stems: tuple[int, ...]
    outputs: tuple[int, ...]
    version: str

    @property
    def own(self) -> tuple[int, ...]:
        """Places whose matrices the blocks must hand over: outputs that need one instrument alone, and stems."""
        later = {step.place for step in self.across}
        return tuple(dict.fromkeys([*(place for place in self.outputs if place not in later), *self.stems]))


def reach_of(tree: Node) -> int:
    """Sessions before the newest one that a formula reads."""
    return _reach(tree)


@cache
def _reach(tree: Node) -> int:
    below = max((_reach(argument) for argument in tree.arguments), default=0)
    if tree.operator in (INPUT, CONSTANT, PART):
        return below
    operator = OPERATORS[tree.operator]
    if operator.kind != WINDOW:
        return below
    span = operator.reach(_numbers(tree))
    return below + (span if tree.operator == "lag" else max(span - 1, 0))


def inputs_of(tree: Node) -> tuple[str, ...]:
    """Names of the inputs that a formula reads, sorted."""
    return tuple(sorted(_inputs(tree)))


@cache
def _inputs(tree: Node) -> frozenset[str]:
    if tree.operator == INPUT:
        return frozenset({str(tree.parameters[0])})
    return frozenset().union(*(_inputs(argument) for argument in tree.arguments))


def operators_of(tree: Node) -> tuple[str, ...]:
    """Names of the operators in a formula, sorted."""
    found = {tree.operator} - {INPUT, CONSTANT, PART}
    return tuple(sorted(found.union(*(operators_of(argument) for argument in tree.arguments))))


def version_of(tree: Node, inputs: Mapping[str, str]) -> str:
    """SHA-256 of a formula, of the code of its operators and of the versions of its inputs."""
    code = {name: code_of_operator(name) for name in operators_of(tree)}
    read = {name: inputs.get(name, "") for name in inputs_of(tree)}
    body = json.dumps([str(tree), code, read], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def _numbers(tree: Node) -> tuple[float, ...]:
    return tuple(float(value) for value in tree.parameters)


class _Places:
    """Numbers every different node once, arguments before what uses them."""

    def __init__(self) -> None:
        self.place: dict[Node, int] = {}
        self.order: list[Node] = []

    def add(self, tree: Node) -> int:
        if tree not in self.place:
            for argument in tree.arguments:
                self.add(argument)
            self.place[tree] = len(self.order)
            self.order.append(tree)
        return self.place[tree]


def plan_of(trees: Sequence[Node], series: frozenset[str], inputs: Mapping[str, str] | None = None) -> Plan:
    """The plan of formulas in their order. `series`: inputs that are one value per session; `inputs`: their versions.

    Raises ValueError for an unknown operator, a wrong number of arguments, a window that does not look back or is over something
    across instruments.
    """
    places = _Places()
    outputs = tuple(places.add(tree) for tree in _without_unused(trees))
    crossed, shared = _across_and_series(places.order, places.place, series)
    after = _last_uses(places, crossed)
    steps: list[Step] = []
    across: list[Step] = []
    history: dict[int, int] = {}
    for place, tree in enumerate(places.order):
        if tree.operator in (INPUT, CONSTANT, PART):
            continue
        operator = OPERATORS[tree.operator]
        numbers, arguments = _numbers(tree), tuple(places.place[argument] for argument in tree.arguments)
        step = Step(operator, place, arguments, numbers, after.get(place, ()))
        (across if place in crossed else steps).append(step)
        if operator.kind == WINDOW:
            for argument in arguments:
                history[argument] = max(history.get(argument, 0), operator.reach(numbers))
    stems = {argument for step in across for argument in step.arguments if argument not in crossed}
    versions = [version_of(tree, inputs or {}) for tree in trees]
    return Plan(
        inputs={str(t.parameters[0]): n for n, t in enumerate(places.order) if t.operator == INPUT},
        constants={n: float(t.parameters[0]) for n, t in enumerate(places.order) if t.operator == CONSTANT},
        parts={
            n: (places.place[t.arguments[0]], int(t.parameters[0]))
            for n, t in enumerate(places.order)
            if t.operator == PART
        },
        series=frozenset(shared),
        steps=tuple(steps),
        across=tuple(across),
        history=history,
        stems=tuple(sorted(stem for stem in stems if places.order[stem].operator != CONSTANT)),
        outputs=outputs,
        version=hashlib.sha256("\n".join(versions).encode()).hexdigest(),
    )


def _without_unused(trees: Sequence[Node]) -> list[Node]:
    """The same formulas, where `moments` of which only the mean is asked for is the mean: it has the same bits."""
    asked: set[tuple[Node, int]] = set()
    seen: set[Node] = set()

    def look(tree: Node) -> None:
        if tree not in seen:
            seen.add(tree)
            if tree.operator == PART:
                asked.add((tree.arguments[0], int(tree.parameters[0])))
            for argument in tree.arguments:
                look(argument)

    for tree in trees:
        look(tree)
    done: dict[Node, Node] = {}

    def leaner(tree: Node) -> Node:
        if tree not in done:
            arguments = tuple(leaner(argument) for argument in tree.arguments)
            only_mean = tree.operator == PART and tree.arguments[0].operator == "moments"
            if only_mean and (tree.arguments[0], 1) not in asked:
                done[tree] = Node("mean", arguments[0].arguments, arguments[0].parameters)
            else:
                done[tree] = Node(tree.operator, arguments, tree.parameters)
        return done[tree]

    return [leaner(tree) for tree in trees]


def _across_and_series(
    order: Sequence[Node], place: Mapping[Node, int], series: frozenset[str]
) -> tuple[set[int], set[int]]:
    """(places that need all instruments, places of which all instruments share the value)."""
    crossed: set[int] = set()
    shared: set[int] = set()
    for n, tree in enumerate(order):
        arguments = [place[argument] for argument in tree.arguments]
        if tree.operator == INPUT:
            if tree.parameters[0] in series:
                shared.add(n)
            continue
        if tree.operator == CONSTANT:
            shared.add(n)
            continue
        if tree.operator != PART:
            operator = OPERATORS.get(tree.operator)
            if operator is None or operator.arguments != len(arguments):
                raise ValueError(f"{tree}: expected a known operator with its number of arguments")
            if operator.kind == ACROSS or crossed.intersection(arguments):
                crossed.add(n)
            if operator.kind == WINDOW and not _looks_back(tree):
                raise ValueError(f"{tree}: expected a window of one or more whole sessions that looks back")
            if operator.kind == WINDOW and n in crossed:
                raise ValueError(f"{tree}: expected no window over a value that needs all instruments")
            if operator.kind == ACROSS:
                continue
        if arguments and all(argument in shared for argument in arguments):
            shared.add(n)
    return crossed, shared


def _looks_back(tree: Node) -> bool:
    """Whether an operator over sessions reads the past alone: no formula may ask for a session that is still to come."""
    span = float(tree.parameters[0]) if tree.parameters else 0.0
    return span.is_integer() and span >= 1.0


def _last_uses(places: _Places, crossed: set[int]) -> dict[int, tuple[int, ...]]:
    """Step -> places whose matrices nobody needs after it. A part is a view of its whole, so it counts as a use of that."""
    whole = {n: places.place[tree.arguments[0]] for n, tree in enumerate(places.order) if tree.operator == PART}
    last: dict[int, int] = {}
    for n, tree in enumerate(places.order):
        if tree.operator in (INPUT, CONSTANT, PART) or n in crossed:
            continue
        last[n] = max(n, last.get(n, n))
        for argument in tree.arguments:
            at = places.place[argument]
            last[whole.get(at, at)] = n
    freed: dict[int, list[int]] = {}
    for at, n in last.items():
        if places.order[at].operator not in (INPUT, CONSTANT):
            freed.setdefault(n, []).append(at)
    return {n: tuple(sorted(found)) for n, found in freed.items()}
