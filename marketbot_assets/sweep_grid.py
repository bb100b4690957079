"""A grid file: which mandates, features, models and periods a sweep compares, and the backtests that follow from it.

Every point is the base mandate with some keys changed, validated as a mandate file is. All errors of a grid come at once, one line
each. Not here: running the points (`sweep`), what became of them (`research.sweep_table`).
"""

import copy
import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import yaml
from pydantic import Field, JsonValue, ValidationError

from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import MandateError, UsageError
from marketbot_resources.mandate import Mandate, mandate_of, parse_mandate
from marketbot_resources.mandate_section import Section

POINTS_MAX, ERRORS_SHOWN = 10_000, 20
INPUTS = ("providers", "calendar", "schedule", "base_currency", "mandate_version")
NO_PART = ("anchors", "intraday", "notification", "llm", "broker")
MANDATE, FEATURES, MODEL = "mandate", "features", "model"
Json = JsonValue
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.+-]{0,39}$")]
Values = Annotated[list[Json], Field(min_length=1, max_length=POINTS_MAX)]


class Grid(Section):
    """The keys of a grid file. `change`: key of the mandate by path -> values; `features`: name -> score weights; `models`: name ->
    keys by path; `mandates`: name -> file; `periods`: pairs of days. A point takes one of each.
    """

    periods: Annotated[list[tuple[dt.date, dt.date]], Field(min_length=1)]
    mandates: dict[Name, str] = Field(default_factory=dict)
    features: dict[Name, Annotated[dict[str, float], Field(min_length=1)]] = Field(default_factory=dict)
    models: dict[Name, Annotated[dict[str, Json], Field(min_length=1)]] = Field(default_factory=dict)
    change: dict[str, Values] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One backtest of a grid. `number`: from 1; `choices`: (axis, value) as the grid gives them; `mandate`: with these changes."""

    number: int
    choices: tuple[tuple[str, Json], ...]
    mandate: Mandate
    first: dt.date
    last: dt.date

    @property
    def name(self) -> str:
        """Its choices for people; the base mandate where it has none."""
        return ", ".join(f"{axis}={told(value)}" for axis, value in self.choices) or "base"


def told(value: Json) -> str:
    """A value of a grid for people."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def parse_grid(text: str) -> Grid:
    """A grid file. Raises UsageError with one line per error."""
    try:
        data = yaml.load(text, Loader=_Loader)
        return Grid.model_validate(data if data is not None else {})
    except yaml.YAMLError as error:
        raise UsageError(f"grid: expected YAML, found: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        lines = []
        for problem in error.errors()[:ERRORS_SHOWN]:
            where = ".".join(str(part) for part in problem["loc"]) or "file"
            lines.append(f"grid: {where}: {problem['msg'].lower()}, found {problem['input']!r:.60}")
        raise UsageError("\n".join(lines)) from error


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and knows no dates."""


def _unique(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = [key for place, key in enumerate(keys) if key in keys[:place]]
    if twice:
        raise yaml.YAMLError(f"key {twice[0]!r} is given twice (line {node.start_mark.line + 1} and below)")
    found: dict[object, object] = loader.construct_mapping(node, deep=True)
    return found


_Loader.yaml_implicit_resolvers = {  # a day stays text, as in the canonical mandate
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique)


def points_of(grid: Grid, base: Mandate, texts: Mapping[str, str]) -> list[Point]:
    """Every combination, period by period, in the order of the file. `texts`: name -> text of the mandate files.

    Raises UsageError with one line per error: a key that is not the mandate's, one that a backtest's inputs rest on, a mandate
    that says something impossible, the same backtest twice, more than POINTS_MAX.
    """
    axes = _axes(grid)
    count = math.prod(len(values) for _, values in axes) * len(grid.periods)
    if count > POINTS_MAX:
        raise UsageError(f"grid: expected at most {POINTS_MAX} points, found {count}")
    periods, bases, errors = _periods(grid, base), dict[str, Mandate](), list[str]()
    for name in grid.mandates:
        try:
            bases[name] = _of_same_inputs(name, parse_mandate(texts[name]), base)
        except MandateError as error:
            errors.append(f"grid: mandates.{name}: {error}")
    errors += _unusable(grid)
    _raise(errors)
    points, seen = list[Point](), dict[tuple[str, dt.date, dt.date], int]()
    for chosen in product(*(values for _, values in axes)):
        choices = tuple((axis, value) for (axis, _), value in zip(axes, chosen, strict=True))
        try:
            mandate = _changed(grid, bases, base, choices)
        except MandateError as error:
            errors.append(f"grid: {', '.join(f'{axis}={told(value)}' for axis, value in choices)}: {error}")
            continue
        points += [Point(0, choices, mandate, *days) for days in periods]
    _raise(errors)
    points.sort(key=lambda point: periods.index((point.first, point.last)))
    numbered = [Point(n, p.choices, p.mandate, p.first, p.last) for n, p in enumerate(points, start=1)]
    for point in numbered:
        before = seen.setdefault((point.mandate.sha256, point.first, point.last), point.number)
        if before != point.number:
            errors.append(f"grid: points {before} and {point.number} ({point.name}) are the same backtest")
    _raise(errors)
    return numbered


def _axes(grid: Grid) -> list[tuple[str, Sequence[Json]]]:
    axes: list[tuple[str, Sequence[Json]]] = []
    for axis, named in ((MANDATE, grid.mandates), (FEATURES, grid.features), (MODEL, grid.models)):
        axes += [(axis, list(named))] if named else []
    return [*axes, *grid.change.items()]


def _periods(grid: Grid, base: Mandate) -> list[tuple[dt.date, dt.date]]:
    """First and last session of each period."""
    span, found, errors = base.calendar, list[tuple[dt.date, dt.date]](), list[str]()
    for first, last in grid.periods:
        days = decision_sessions(span, first, last) if span.go_live <= first <= last <= span.last_session else ()
        if not days:
            errors.append(
                f"grid: periods: expected sessions of {span.mic} from {span.go_live} to {span.last_session}, "
                f"found {first} to {last}"
            )
        elif (days[0], days[-1]) in found:
            errors.append(f"grid: periods: {days[0]} to {days[-1]} is given twice")
        else:
            found.append((days[0], days[-1]))
    _raise(errors)
    return found


def _of_same_inputs(name: str, mandate: Mandate, base: Mandate) -> Mandate:
    other = [key for key in INPUTS if getattr(mandate, key) != getattr(base, key)]
    if other:
        raise MandateError(f"{other[0]}: expected the base mandate's: all points rest on the same inputs")
    return mandate


def _unusable(grid: Grid) -> Iterator[str]:
    """Changes of keys on which the inputs rest, or that decide nothing in a backtest."""
    where = [("change", path) for path in grid.change]
    where += [(f"models.{name}", path) for name, changes in grid.models.items() for path in changes]
    for place, path in where:
        top = path.partition(".")[0]
        if top in INPUTS:
            yield f"grid: {place}.{path}: expected a key that leaves the inputs alone, found {top}"
        if top in NO_PART:
            yield f"grid: {place}.{path}: expected a key that a backtest reads, found {top}"
        if grid.features and path.startswith("portfolio.score_weights"):
            yield f"grid: {place}.{path}: expected it under features alone"
        if place != "change" and any(path == other or path.startswith(f"{other}.") for other in grid.change):
            yield f"grid: {place}.{path}: expected it there or under change, found both"
    for path in grid.change:
        if any(path.startswith(f"{other}.") for other in grid.change):
            yield f"grid: change.{path}: expected one of two keys, found a key and its section"


def _changed(grid: Grid, bases: Mapping[str, Mandate], base: Mandate, choices: Sequence[tuple[str, Json]]) -> Mandate:
    chosen = dict(choices)
    start = bases[str(chosen.pop(MANDATE))] if grid.mandates else base
    plain: dict[str, object] = json.loads(start.canonical())
    if grid.features:
        _put(plain, "portfolio.score_weights", dict(grid.features[str(chosen.pop(FEATURES))]))
    if grid.models:
        for path, value in grid.models[str(chosen.pop(MODEL))].items():
            _put(plain, path, value)
    for path, value in chosen.items():
        _put(plain, path, value)
    return _within(mandate_of(plain), start)


def _put(plain: dict[str, object], path: str, value: object) -> None:
    """Replaces the value of a key that is there. Raises MandateError for one that is not."""
    *sections, last = path.split(".")
    inner: object = plain
    for place, name in enumerate((*sections, last)):
        if not isinstance(inner, dict) or name not in inner:
            known = ", ".join(sorted(inner)[:12]) if isinstance(inner, dict) else "no keys"
            above = ".".join(sections[:place]) or "the mandate"
            raise MandateError(f"{path}: expected a key of {above} ({known}), found {name!r}")
        if place < len(sections):
            inner = inner[name]
        else:
            inner[name] = copy.deepcopy(value)


def _within(mandate: Mandate, base: Mandate) -> Mandate:
    """Where web services are asked by ticker, the inputs hold the base mandate's tickers and no others."""
    if isinstance(base.providers.market, tuple):
        known = base.universe.listings
        for mic, tickers in mandate.universe.listings.items():
            more = sorted(set(tickers) - set(known.get(mic, ())))
            if more:
                raise MandateError(f"universe.listings.{mic}: expected tickers of the base mandate, found {more[0]}")
    return mandate


def _raise(errors: Sequence[str]) -> None:
    if errors:
        hidden = len(errors) - ERRORS_SHOWN
        more = [f"grid: and {hidden} more errors"] if hidden > 0 else []
        raise UsageError("\n".join([*errors[:ERRORS_SHOWN], *more]))
