"""What a model is: its specification, a fit of it, and the card that says what the fit is worth. Plain JSON, exact. Pure.

A specification (family, features, hyper-parameters, training rule) is what is promoted; a fit is its numbers on one day's data. A
fit's file is canonical JSON, named by the SHA-256 of its bytes: one byte more or less is another file, and is refused. Not here:
which one is in force (`model_states`), whether a fit may be used (`fit_gate`), where files lie (`model_registry`).
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical_bytes(value: Json) -> bytes:
    """UTF-8 JSON with sorted keys and no blanks. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def parse_canonical(data: bytes) -> Mapping[str, Json]:
    """The object of canonical bytes. Raises ValueError when they are not exactly what `canonical_bytes` makes of one."""
    try:
        found = json.loads(data)
        same = isinstance(found, dict) and canonical_bytes(found) == data
    except (ValueError, RecursionError) as error:
        raise ValueError(f"model file: expected canonical JSON, found: {error}") from error
    if not same:
        raise ValueError("model file: expected canonical JSON of one object, found another form")
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The unit that is promoted. `features` in the order in which the model reads them; `hyper`: hyper-parameters; `training`: the
    rule by which it is fitted (window, horizon, embargo, refit interval), which includes the seed of anything drawn.
    """

    family: str
    features: tuple[str, ...]
    hyper: Mapping[str, Json]
    training: Mapping[str, Json]

    def body(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "family": self.family,
            "features": list(self.features),
            "hyper": dict(self.hyper),
            "training": dict(self.training),
        }

    @property
    def sha256(self) -> str:
        """Its name: hash of everything that defines the model but the data."""
        return hashlib.sha256(canonical_bytes(self.body())).hexdigest()


def spec_of(body: Mapping[str, Json]) -> ModelSpec:
    """The inverse of `ModelSpec.body`. Raises ValueError when something is missing, extra or of another kind."""
    family, features, hyper, training = (body.get(name) for name in ("family", "features", "hyper", "training"))
    good = (
        len(body) == 4
        and isinstance(family, str)
        and family != ""
        and isinstance(features, list)
        and all(isinstance(name, str) for name in features)
        and isinstance(hyper, Mapping)
        and isinstance(training, Mapping)
    )
    if not good:
        raise ValueError("specification: expected family, features, hyper and training, found another object")
    assert isinstance(family, str)
    assert isinstance(features, list)
    assert isinstance(hyper, Mapping)
    assert isinstance(training, Mapping)
    return ModelSpec(family, tuple(str(name) for name in features), hyper, training)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a fit. `data_sha256`: digest of the training data; `coverage`: known share of what the training asked for,
    0 to 1; `seed`: of anything drawn, 0 without; `metrics`: name -> number, None where it cannot be computed; `limits`: in words.
    """

    purpose: str
    data_sha256: str
    coverage: float
    observations: int
    features: tuple[str, ...]
    seed: int
    code_version: str
    metrics: Mapping[str, float | None]
    limits: str

    def body(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "purpose": self.purpose,
            "data_sha256": self.data_sha256,
            "coverage": float(self.coverage),
            "observations": self.observations,
            "features": list(self.features),
            "seed": self.seed,
            "code_version": self.code_version,
            "metrics": {name: None if value is None else float(value) for name, value in self.metrics.items()},
            "limits": self.limits,
        }


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit of a specification. `coefficients`: name -> number, what the fit gate compares, empty for a family without;
    `parameters`: everything else that the family needs to predict, as plain JSON.
    """

    spec_sha256: str
    fitted_on: dt.date
    coefficients: Mapping[str, float]
    parameters: Mapping[str, Json]
    card: ModelCard

    def to_bytes(self) -> bytes:
        """Its file. Raises ValueError for a number that is not finite."""
        return canonical_bytes(
            {
                "spec_sha256": self.spec_sha256,
                "fitted_on": self.fitted_on.isoformat(),
                "coefficients": {name: float(value) for name, value in self.coefficients.items()},
                "parameters": dict(self.parameters),
                "card": self.card.body(),
            }
        )

    @property
    def sha256(self) -> str:
        """Hash of its file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def fit_of(data: bytes, expected_sha256: str) -> Fit:
    """A fit from its file. Raises ValueError when the bytes are not those that the name says, or hold no fit."""
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise ValueError(f"model file: expected {expected_sha256[:12]}, found {found[:12]}: it was altered")
    body = parse_canonical(data)
    try:
        fit = _fit(body)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"model file {expected_sha256[:12]}: expected a fit, found: {error!r}") from error
    if fit.to_bytes() != data:
        raise ValueError(f"model file {expected_sha256[:12]}: expected a fit and nothing else, found more")
    return fit


def _fit(body: Mapping[str, Json]) -> Fit:
    card, coefficients, parameters = body["card"], body["coefficients"], body["parameters"]
    if not (isinstance(card, dict) and isinstance(coefficients, dict) and isinstance(parameters, dict)):
        raise ValueError("expected objects: card, coefficients, parameters")
    metrics, features = card["metrics"], card["features"]
    if not (isinstance(metrics, dict) and isinstance(features, list)):
        raise ValueError("expected metrics and features in the card")
    return Fit(
        spec_sha256=str(body["spec_sha256"]),
        fitted_on=dt.date.fromisoformat(str(body["fitted_on"])),
        coefficients={name: _number(value) for name, value in coefficients.items()},
        parameters=parameters,
        card=ModelCard(
            purpose=str(card["purpose"]),
            data_sha256=str(card["data_sha256"]),
            coverage=_number(card["coverage"]),
            observations=_whole(card["observations"]),
            features=tuple(str(name) for name in features),
            seed=_whole(card["seed"]),
            code_version=str(card["code_version"]),
            metrics={name: None if value is None else _number(value) for name, value in metrics.items()},
            limits=str(card["limits"]),
        ),
    )


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return float(value)


def _whole(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, found {value!r}")
    return value
