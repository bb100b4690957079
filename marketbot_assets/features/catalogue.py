"""The feature registry: every feature with its unit, lookback, inputs and version, in one fixed order. Pure.

Two kinds stand in it. Features that decisions read (`registry.FEATURES`) keep their own arithmetic (`build`), which is part of
what a decision proves. Declared features are formulas that the engine works out: Qlib's Alpha158 on bars of one split and
dividend basis, and our own of prices, filings, regime and breadth.
"""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass

from marketbot_assets.features import build, coverage, liquidity, price_features
from marketbot_assets.features.declaration import INPUTS, SERIES_INPUTS, Declared
from marketbot_assets.features.declared_set import declared as declared
from marketbot_assets.features.plan import Plan, inputs_of, operators_of, plan_of, reach_of, version_of
from marketbot_assets.features.registry import FEATURES, Feature


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature as the registry lists it. `formula` is empty for a feature with arithmetic of its own."""

    name: str
    group: str
    unit: str
    description: str
    formula: str
    inputs: tuple[str, ...]
    operators: tuple[str, ...]
    lookback_sessions: int
    known: tuple[str, ...]
    references: tuple[str, ...]
    version: str


def names() -> tuple[str, ...]:
    """Names of the declared features in order."""
    return tuple(feature.name for feature in declared())


def own_names() -> tuple[str, ...]:
    """Names of the declared features that are not Alpha158's."""
    return tuple(feature.name for feature in declared() if feature.group != "alpha158")


def declared_plan(inputs: Mapping[str, str] | None = None) -> Plan:
    """The plan of all declared features. `inputs`: versions of the inputs by name."""
    return plan_of([feature.tree for feature in declared()], SERIES_INPUTS, inputs)


def lookback_sessions() -> int:
    """Sessions that the declared feature with the longest memory reads, the newest one included."""
    return 1 + max(reach_of(feature.tree) for feature in declared())


def registry(inputs: Mapping[str, str] | None = None) -> tuple[Entry, ...]:
    """Every feature: those that decisions read first. `inputs`: versions of the inputs by name, part of each version."""
    return (*(_decision(feature) for feature in FEATURES), *(_entry(feature, inputs or {}) for feature in declared()))


def _entry(feature: Declared, versions: Mapping[str, str]) -> Entry:
    read = inputs_of(feature.tree)
    facts = [feature.name, feature.group, feature.unit, feature.description, list(feature.references)]
    return Entry(
        name=feature.name,
        group=feature.group,
        unit=feature.unit,
        description=feature.description,
        formula=str(feature.tree),
        inputs=read,
        operators=operators_of(feature.tree),
        lookback_sessions=1 + reach_of(feature.tree),
        known=tuple(sorted({INPUTS[name].known for name in read})),
        references=feature.references,
        version=_digest([*facts, version_of(feature.tree, versions)]),
    )


def _decision(feature: Feature) -> Entry:
    code = "".join(inspect.getsource(module) for module in (build, coverage, liquidity, price_features))
    facts = [feature.name, feature.group, feature.unit, feature.description, feature.source, feature.lookback_sessions]
    return Entry(
        name=feature.name,
        group=feature.group,
        unit=feature.unit,
        description=feature.description,
        formula="",
        inputs=(feature.source,),
        operators=(),
        lookback_sessions=feature.lookback_sessions,
        known=tuple(sorted({given.known for given in INPUTS.values() if given.source == feature.source})),
        references=(),
        version=_digest([*facts, hashlib.sha256(code.encode()).hexdigest()]),
    )


def _digest(facts: list[object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
