"""Whether a specification earned the next state, by rule: every test with its number, its limit and its reason. Pure.

Candidate to shadow asks the record; shadow to champion asks the record again and what the shadow did since. One failed test
refuses; a number that is not known is a failed test. The number of trials comes from the trials registry, never from whoever asks.
The thresholds are constants, because a gate that can be turned down for one model is no gate; docs/models.md says why each stands
where it does. Not here: states (`insight.model_states`), how evidence is made (`signal_trial`), where it lies (`model_registry`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.insight.model_card import Json, canonical_bytes, parse_canonical
from marketbot_assets.research.null_tests import bootstrap_p, sharpe_interval
from marketbot_assets.research.overfitting import BLOCKS, median_overfitting
from marketbot_assets.research.sharpe_statistics import (
    deflated_sharpe,
    minimum_backtest_years,
    moments,
    per_year,
)
from marketbot_assets.risk.control import within
from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
SESSIONS_MIN = SESSIONS_PER_YEAR
DEFLATED_MIN = 0.95
OVERFITTING_MAX = 0.20
PATHS_MIN, PATH_QUANTILE, PATH_SHARPE_MIN = 5, 0.05, 0.0
COST_MULTIPLE, COSTLY_SHARPE_MIN = 2.0, 0.0
CALIBRATION_MIN, CALIBRATION_ERROR_MAX = 100, 0.05
BOOTSTRAP_P_MAX, BOOTSTRAP_SEED = 0.05, 20_140_811
SHUFFLED_CONFIDENCE = 0.999
SHADOW_SESSIONS_MIN, SHADOW_ERRORS_MAX = 60, 2.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one specification showed out of sample, session by session, after costs.

    `returns`, `costly`: (T,) at the mandate's costs and at COST_MULTIPLE times them; `paths`: ratio per year of each path of
    combinatorial purged cross-validation; `interval_level`, `interval_hits`, `interval_count`: how many outcomes lay inside of
    prediction intervals of that level; `shuffled`: ratio per year before costs against labels shuffled in time; `contaminated`:
    whether a model behind it may have known the outcomes.
    """

    spec_sha256: str
    data_sha256: str
    returns: Floats
    costly: Floats
    paths: Floats
    interval_level: float
    interval_hits: int
    interval_count: int
    shuffled: float
    contaminated: bool

    def to_bytes(self) -> bytes:
        """Its file. Raises ValueError for a number that is not finite."""
        return canonical_bytes(
            {
                "spec_sha256": self.spec_sha256,
                "data_sha256": self.data_sha256,
                "returns": [float(x) for x in self.returns],
                "costly": [float(x) for x in self.costly],
                "paths": [float(x) for x in self.paths],
                "interval": [float(self.interval_level), self.interval_hits, self.interval_count],
                "shuffled": float(self.shuffled),
                "contaminated": self.contaminated,
            }
        )


def evidence_of(data: bytes) -> Evidence:
    """The inverse of `Evidence.to_bytes`. Raises ValueError when the bytes hold no evidence."""
    body = parse_canonical(data)
    try:
        level, hits, count = body["interval"]  # type: ignore[misc, str-unpack, union-attr]
        found = Evidence(
            spec_sha256=str(body["spec_sha256"]),
            data_sha256=str(body["data_sha256"]),
            returns=np.array(body["returns"], dtype=np.float64),
            costly=np.array(body["costly"], dtype=np.float64),
            paths=np.array(body["paths"], dtype=np.float64),
            interval_level=float(level),  # type: ignore[arg-type]
            interval_hits=int(hits),  # type: ignore[arg-type]
            interval_count=int(count),  # type: ignore[arg-type]
            shuffled=float(body["shuffled"]),  # type: ignore[arg-type]
            contaminated=body["contaminated"] is not False,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"evidence: expected numbers and their names, found: {error!r}") from error
    if found.to_bytes() != data:
        raise ValueError("evidence: expected evidence and nothing else, found another form")
    return found


@dataclass(frozen=True, slots=True)
class Search:
    """All trials of a slot. `count`: from the registry; `variance`: of their ratios per session; `overfitting`: probability of it
    among those over the data of the evidence, NaN when it is not known; `includes`: whether the specification itself is among
    them; `records`: how many different records the trials left: the same again by newer code is no other one.
    """

    count: int
    variance: float
    overfitting: float
    includes: bool
    records: int


def searched(count: int, variance: float, returns: Floats | None, *, includes: bool, records: int) -> Search:
    """A search from (T, N) returns of its trials over the data of the evidence, each record once; None without any."""
    known = returns is not None and returns.shape[1] > 1 and len(returns) >= 2 * max(BLOCKS)
    whole = returns is not None and known and bool(np.isfinite(returns).all())
    probability = median_overfitting(returns) if whole and returns is not None else math.nan
    return Search(count, variance, probability, includes, records)


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the specification did beside the champion. `returns`: (n,) as recorded; `expected`: (n,) the same sessions as the
    backtest makes them.
    """

    returns: Floats
    expected: Floats

    def to_bytes(self) -> bytes:
        """Its file. Raises ValueError for a number that is not finite."""
        return canonical_bytes(
            {"returns": [float(x) for x in self.returns], "expected": [float(x) for x in self.expected]}
        )


def shadow_of(data: bytes) -> Shadow:
    """The inverse of `Shadow.to_bytes`. Raises ValueError when the bytes hold no such thing."""
    body = parse_canonical(data)
    try:
        returns, expected = (np.array(body[name], dtype=np.float64) for name in ("returns", "expected"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"shadow: expected numbers and their names, found: {error!r}") from error
    return Shadow(returns, expected)


@dataclass(frozen=True, slots=True)
class Hurdle:
    """One test. `told`: number, limit and what they mean, in one line."""

    name: str
    passed: bool
    told: str


@dataclass(frozen=True, slots=True)
class Decision:
    """All tests, also those after the first that failed."""

    tests: tuple[Hurdle, ...]

    @property
    def promoted(self) -> bool:
        """Whether every test passed, and there were any."""
        return bool(self.tests) and all(test.passed for test in self.tests)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What refused, or, when nothing did, what it passed."""
        failed = tuple(f"{test.name}: {test.told}" for test in self.tests if not test.passed)
        return failed or tuple(f"{test.name}: {test.told}" for test in self.tests)

    def facts(self) -> Mapping[str, Json]:
        """As JSON."""
        return {
            "promoted": self.promoted,
            "tests": [{"name": test.name, "passed": test.passed, "told": test.told} for test in self.tests],
        }


def _least(name: str, value: float, limit: float, unit: str, *, strict: bool = False) -> Hurdle:
    good = math.isfinite(value) and (value > limit if strict else value >= limit)
    return Hurdle(name, good, f"{value:.4g} {unit}, {'more than' if strict else 'at least'} {limit:.4g} needed")


def _most(name: str, value: float, limit: float, unit: str) -> Hurdle:
    return Hurdle(name, within(value, limit), f"{value:.4g} {unit}, at most {limit:.4g} allowed")


def judge_record(evidence: Evidence, search: Search) -> Decision:
    """Candidate to shadow: everything that a record can show."""
    found, n = moments(evidence.returns), len(evidence.returns)
    ratio = per_year(found.sharpe)
    floor = (
        1.0 / (n - 1) if n > 1 else math.nan
    )  # worthless ratios vary by that much; trials that hardly differ set no lower bar
    variance = max(search.variance, floor) if math.isfinite(search.variance) else math.nan
    deflated = deflated_sharpe(found, search.count, variance)
    short = minimum_backtest_years(search.count, ratio)
    return Decision(
        (
            Hurdle("trials", search.includes and search.count >= 1, _counted(search)),
            Hurdle("clean", not evidence.contaminated, "contaminated" if evidence.contaminated else "not contaminated"),
            _least("sessions", float(n), SESSIONS_MIN, "sessions out of sample"),
            _least("deflated Sharpe", deflated, DEFLATED_MIN, f"probability at ratio {ratio:.3g} per year"),
            _least("length", n / SESSIONS_PER_YEAR, short, "years against the best of as many worthless trials"),
            _overfitting(search),
            _paths(evidence),
            _costly(evidence),
            _calibrated(evidence),
            _most("block bootstrap", bootstrap_p(evidence.returns, BOOTSTRAP_SEED), BOOTSTRAP_P_MAX, "p"),
            _most(
                "shuffled labels",
                abs(evidence.shuffled),
                sharpe_interval(n, SHUFFLED_CONFIDENCE) if n else math.nan,
                "ratio per year against labels shuffled in time",
            ),
        )
    )


def judge_shadow(evidence: Evidence, search: Search, shadow: Shadow) -> Decision:
    """Shadow to champion: the record with today's count of trials, and live sessions that agree with the backtest."""
    apart = shadow.returns - shadow.expected if shadow.returns.shape == shadow.expected.shape else np.array([math.nan])
    n = len(shadow.returns)
    known = n > 1 and bool(np.isfinite(apart).all())
    mean = abs(float(apart.mean())) if known else math.nan
    error = float(apart.std(ddof=1)) / math.sqrt(n) if known else math.nan
    return Decision(
        (
            *judge_record(evidence, search).tests,
            _least("shadow", float(n), SHADOW_SESSIONS_MIN, "sessions in shadow"),
            _most("tracking", mean, SHADOW_ERRORS_MAX * error, "mean difference per session from the backtest"),
        )
    )


def _counted(search: Search) -> str:
    own = "this one among them" if search.includes else "this one is not among them: it was never counted"
    return f"{search.count} trials on record, {own}"


def _overfitting(search: Search) -> Hurdle:
    if search.records == 1 and search.includes:
        return Hurdle("overfitting", True, "one record: nothing was picked")
    if not math.isfinite(search.overfitting):
        needed = 2 * max(BLOCKS)
        return Hurdle("overfitting", False, f"not known: two records over the same {needed} sessions are needed")
    unit = "probability (median over numbers of blocks)"
    return _most("overfitting", search.overfitting, OVERFITTING_MAX, unit)


def _paths(evidence: Evidence) -> Hurdle:
    if len(evidence.paths) < PATHS_MIN or not np.isfinite(evidence.paths).all():
        return Hurdle(
            "paths", False, f"not known: {PATHS_MIN} paths with a ratio are needed, {len(evidence.paths)} given"
        )
    low = float(np.quantile(evidence.paths, PATH_QUANTILE))
    return _least("paths", low, PATH_SHARPE_MIN, "ratio per year, 5th percentile of paths", strict=True)


def _costly(evidence: Evidence) -> Hurdle:
    same = len(evidence.costly) == len(evidence.returns)
    ratio = per_year(moments(evidence.costly).sharpe) if same else math.nan
    return _least("doubled costs", ratio, COSTLY_SHARPE_MIN, "ratio per year", strict=True)


def _calibrated(evidence: Evidence) -> Hurdle:
    level, hits, count = evidence.interval_level, evidence.interval_hits, evidence.interval_count
    if not (0.0 < level < 1.0 and count >= CALIBRATION_MIN and 0 <= hits <= count):
        return Hurdle(
            "calibration", False, f"not known: {CALIBRATION_MIN} prediction intervals are needed, {count} given"
        )
    return _most(
        "calibration", abs(hits / count - level), CALIBRATION_ERROR_MAX, f"off the {level:.0%} of outcomes inside"
    )
