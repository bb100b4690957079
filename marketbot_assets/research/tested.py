"""What a backtest has been through: every statistic against overfitting with its value, its rule, and whether it passed. Pure.

The thresholds are those of the promotion gate (`promotion`), the number of trials is the ledger's. What was not computed stands
there as not tested, and a number that is not known has not passed. A backtest fits nothing, so cross-validation is of the choice:
on each combinatorial split the trial with the best ratio on the purged training rows is taken, and its returns on the tested rows
are put together into paths. Not here: the further backtests that some rows need (`tested_runs`), the statistics themselves.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.insight.model_card import Json
from marketbot_assets.research.cross_validation import combinatorial_splits, embargo_of, path_returns, path_sharpes
from marketbot_assets.research.null_tests import bootstrap_p
from marketbot_assets.research.overfitting import BLOCKS
from marketbot_assets.research.promotion import (
    BOOTSTRAP_P_MAX,
    BOOTSTRAP_SEED,
    COSTLY_SHARPE_MIN,
    DEFLATED_MIN,
    OVERFITTING_MAX,
    PATH_QUANTILE,
    PATH_SHARPE_MIN,
    SESSIONS_MIN,
    Search,
)
from marketbot_assets.research.sharpe_statistics import (
    OBSERVATIONS_MIN,
    clustered_trials,
    deflated_sharpe,
    effective_trials,
    minimum_backtest_years,
    minimum_track_record,
    moments,
    per_year,
)
from marketbot_assets.research.signal_trial import GROUPS, TEST_GROUPS
from marketbot_assets.risk.control import within
from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
Told = tuple[str, str, str, bool | None]
NOT_TESTED, OUT_OF_DATE = "not tested", "OUT OF DATE"
CAPACITY_MULTIPLE, CAPACITY_SHARE_MIN = 10, 0.5
RANDOM_P_MAX = 0.05
NONE_ASKED = ("none", "decided without ")


@dataclass(frozen=True, slots=True)
class Row:
    """One statistic. `value`, `rule`: in words with their numbers; `passed`: None where it was not tested."""

    name: str
    value: str
    rule: str
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Size:
    """The same rule with `multiple` times the opening cash: (T,) returns after costs."""

    multiple: int
    returns: Floats


@dataclass(frozen=True, slots=True)
class Runs:
    """Further backtests of the same rule over the same range, as far as they were run. `costly`: (T,) returns in a market twice as
    dear; `sizes`: with more cash; `random`: ratios per session with scores that changed hands.
    """

    costly: Floats | None = None
    sizes: Sequence[Size] = ()
    random: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Tested:
    """What a backtest has been through. `backtest`: content hash of its rows; `trials`: how many were on record then."""

    backtest: str
    trials: int
    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the rows that did not pass."""
        return tuple(row.name for row in self.rows if row.passed is False)

    @property
    def open(self) -> tuple[str, ...]:
        """Names of the rows that were not tested."""
        return tuple(row.name for row in self.rows if row.passed is None)

    def told(self) -> list[Told]:
        """(name, value, rule, whether it passed, None: not tested) per row, for reports."""
        return [(row.name, row.value, row.rule, row.passed) for row in self.rows]

    def facts(self) -> dict[str, Json]:
        """As JSON, with the line that reports show first."""
        rows: list[Json] = [{"name": r.name, "value": r.value, "rule": r.rule, "passed": r.passed} for r in self.rows]
        return {"backtest": self.backtest, "trials": self.trials, "rows": rows, "first_line": first_line(self)}


def tested_of(facts: Mapping[str, object]) -> Tested:
    """The inverse of `Tested.facts`. Raises ValueError for anything else."""
    try:
        rows = tuple(
            Row(str(r["name"]), str(r["value"]), str(r["rule"]), None if r["passed"] is None else r["passed"] is True)
            for r in facts["rows"]  # type: ignore[attr-defined]
        )
        found = Tested(str(facts["backtest"]), int(str(facts["trials"])), rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"tested: expected rows with name, value, rule and passed, found: {error!r}") from error
    if json.dumps(found.facts(), sort_keys=True) != json.dumps(dict(facts), sort_keys=True):
        raise ValueError("tested: expected such a record and nothing else, found another form")
    return found


def first_line(tested: Tested | None, on_record: int = 0) -> str:
    """The first line of a report: whether its numbers have been through the tests against overfitting, and what came of it.

    `on_record`: how many trials there are now. Where more were tried since the tests, their answer holds no longer: the bar that
    the best of them has to take rises with each.
    """
    if tested is not None and on_record > tested.trials:
        return (
            f"{OUT_OF_DATE}: tested against overfitting when {_on_record(tested.trials)}, and now there are {on_record}; "
            f"marketbot backtest A B --tests tests it anew. Then: {first_line(tested)}"
        )
    if tested is None:
        return (
            "NOT TESTED against overfitting: no deflated Sharpe ratio, no cross-validation, no doubled costs, no capacity; "
            "nothing below is evidence."
        )
    count, rows = f"{tested.trials} trial{'s' if tested.trials != 1 else ''} on record", len(tested.rows)
    left = f"; not tested: {', '.join(tested.open)}" if tested.open else ""
    if tested.failed:
        return f"FAILED {len(tested.failed)} of {rows} tests against overfitting: {', '.join(tested.failed)}{left} ({count})."
    if tested.open:
        return f"TESTED IN PART against overfitting: {rows - len(tested.open)} of {rows} passed{left} ({count})."
    return f"PASSED all {rows} tests against overfitting ({count})."


def _on_record(count: int) -> str:
    return "1 trial was on record" if count == 1 else f"{count} trials were on record"


def judge(
    returns: Floats, search: Search, columns: Floats | None, *, backtest: str, llm: str, runs: Runs | None = None
) -> Tested:
    """All rows for (T,) returns after costs. `columns`: (T, N) returns of all trials over the same data, its own among them;
    `llm`: what the backtest says of language models.
    """
    further = runs or Runs()
    usable = columns is not None and columns.shape[1] > 0 and bool(np.isfinite(columns).all())
    known = columns if usable else None
    return Tested(
        backtest,
        search.count,
        (
            _trials(search, known),
            _language_models(llm),
            _sessions(returns),
            _deflated(returns, search),
            _minimum_length(returns, search),
            _overfitting(search),
            _paths(known),
            _bootstrap(returns),
            _costly(returns, further.costly),
            _capacity(returns, further.sizes),
            _random(returns, further.random),
        ),
    )


def deflated_of(returns: Floats, search: Search) -> float:
    """Deflated Sharpe ratio with the true count. Trials that hardly differ set no lower bar than worthless ones of this length."""
    n = len(returns)
    if n < 2 or not math.isfinite(search.variance):
        return math.nan
    return deflated_sharpe(moments(returns), search.count, max(search.variance, 1.0 / (n - 1)))


def picked_paths(columns: Floats) -> Floats:
    """(paths,) ratios per year of choosing the best of (T, N) trials on one part of the past and holding it on the other.

    Labels reach one session ahead; 1 % of the rows are an embargo. Raises ValueError for fewer rows than groups.
    """
    observations = len(columns)
    splits = combinatorial_splits(observations, GROUPS, TEST_GROUPS, horizon=1, embargo=embargo_of(observations))
    tested = []
    for split in splits:
        ratios = [moments(column).sharpe for column in columns[split.train].T]
        best = int(np.argmax([ratio if math.isfinite(ratio) else -math.inf for ratio in ratios]))
        tested.append(columns[split.test, best])
    return path_sharpes(path_returns(observations, GROUPS, TEST_GROUPS, tested))


def _least(value: float, limit: float) -> bool:
    return math.isfinite(value) and value >= limit


def _more(value: float, limit: float) -> bool:
    return math.isfinite(value) and value > limit


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not known"


def _trials(search: Search, columns: Floats | None) -> Row:
    known = columns is not None and len(columns) >= OBSERVATIONS_MIN
    groups = ""
    if columns is not None and known:
        groups = f"; over these data {clustered_trials(columns)} unlike by clusters, {effective_trials(columns):.1f} by correlation"
    told = f"{search.count}{groups}"
    return Row("trials", told, "this one is among those on record", search.includes and search.count >= 1)


def _sessions(returns: Floats) -> Row:
    needed = minimum_track_record(moments(returns), 0.0, 1.0 - BOOTSTRAP_P_MAX)
    told = (
        "no number of them shows"
        if needed == math.inf
        else f"{math.ceil(needed)} show"
        if math.isfinite(needed)
        else ""
    )
    note = f"; {told} a ratio like this one to be above 0" if told else ""
    return Row("sessions", f"{len(returns)}{note}", f"at least {SESSIONS_MIN}", len(returns) >= SESSIONS_MIN)


def _language_models(llm: str) -> Row:
    clean = llm == NONE_ASKED[0] or llm.startswith(NONE_ASKED[1])
    return Row("language models", llm, "none that may know what came after", clean)


def _deflated(returns: Floats, search: Search) -> Row:
    value, ratio, rule = deflated_of(returns, search), per_year(moments(returns).sharpe), f"at least {DEFLATED_MIN}"
    if not math.isfinite(ratio):
        return Row("deflated Sharpe", f"not known: {_without_ratio(returns)}", rule, False)
    note = "" if math.isfinite(search.variance) else ": the ratios of the trials on record are not all known"
    told = f"{_number(value)} at a ratio of {_number(ratio)} per year{note}"
    return Row("deflated Sharpe", told, rule, _least(value, DEFLATED_MIN))


def _without_ratio(returns: Floats) -> str:
    """Why returns have no ratio."""
    if len(returns) < OBSERVATIONS_MIN:
        return f"{len(returns)} returns, {OBSERVATIONS_MIN} are needed"
    return "returns that do not vary" if np.isfinite(returns).all() else "a return that is no number"


def _minimum_length(returns: Floats, search: Search) -> Row:
    years, ratio = len(returns) / SESSIONS_PER_YEAR, per_year(moments(returns).sharpe)
    short = minimum_backtest_years(search.count, ratio)
    rule = f"at least {_number(short)} years: below, the best of as many worthless trials looks as good"
    rule = (
        rule if math.isfinite(short) else "a ratio above 0, and longer than the best of worthless trials needs for it"
    )
    return Row("minimum length", f"{years:.2f} years", rule, _least(years, short))


def _overfitting(search: Search) -> Row:
    rule = f"at most {OVERFITTING_MAX}"
    if search.records == 1 and search.includes:
        return Row("backtest overfitting", "one record: nothing was picked", rule, True)
    if not math.isfinite(search.overfitting):
        told = f"not known: known returns of two records over the same {2 * max(BLOCKS)} sessions are needed"
        return Row("backtest overfitting", told, rule, False)
    value = search.overfitting
    return Row("backtest overfitting", f"probability {value:.3g}", rule, within(value, OVERFITTING_MAX))


def _paths(columns: Floats | None) -> Row:
    rule = f"5th percentile more than {PATH_SHARPE_MIN:g} per year"
    if columns is None or len(columns) < 2 * GROUPS:
        told = f"not known: known returns of all trials over the same {2 * GROUPS} sessions are needed"
        return Row("cross-validation", told, rule, False)
    paths = picked_paths(columns)
    low = float(np.quantile(paths, PATH_QUANTILE)) if np.isfinite(paths).all() else math.nan
    told = f"{_number(low)} over {len(paths)} paths, the best of {columns.shape[1]} chosen anew on each split"
    return Row("cross-validation", told, rule, _more(low, PATH_SHARPE_MIN))


def _bootstrap(returns: Floats) -> Row:
    value = bootstrap_p(returns, BOOTSTRAP_SEED)
    return Row("block bootstrap", f"p {_number(value)}", f"at most {BOOTSTRAP_P_MAX}", within(value, BOOTSTRAP_P_MAX))


def _costly(returns: Floats, costly: Floats | None) -> Row:
    rule = f"ratio more than {COSTLY_SHARPE_MIN:g} per year over the same sessions"
    if costly is None:
        return Row("doubled costs", NOT_TESTED, rule, None)
    ratio = per_year(moments(costly).sharpe)
    return Row(
        "doubled costs",
        f"{_number(ratio)} per year, {_number(per_year(moments(returns).sharpe))} at the mandate's costs",
        rule,
        len(costly) == len(returns) and _more(ratio, COSTLY_SHARPE_MIN),
    )


def _capacity(returns: Floats, sizes: Sequence[Size]) -> Row:
    rule = f"at {CAPACITY_MULTIPLE}x the ratio is above 0 and at least {CAPACITY_SHARE_MIN:g} of that at 1x"
    if not sizes:
        return Row("capacity", NOT_TESTED, rule, None)
    own = per_year(moments(returns).sharpe)
    ratios = {size.multiple: per_year(moments(size.returns).sharpe) for size in sizes}
    told = ", ".join(f"{multiple}x: {_number(ratio)}" for multiple, ratio in sorted({**ratios, 1: own}.items()))
    reached = ratios.get(CAPACITY_MULTIPLE, math.nan)
    passed = _more(reached, 0.0) and _least(reached, CAPACITY_SHARE_MIN * own)
    return Row("capacity", f"ratio per year {told}", rule, passed)


def _random(returns: Floats, ratios: Sequence[float]) -> Row:
    rule = f"p at most {RANDOM_P_MAX:g}: as good with the scores of other names"
    if not ratios:
        return Row("random signal", NOT_TESTED, rule, None)
    own = moments(returns).sharpe
    good = math.isfinite(own) and all(math.isfinite(ratio) for ratio in ratios)
    value = (1 + sum(ratio >= own for ratio in ratios)) / (len(ratios) + 1) if good else math.nan
    return Row("random signal", f"p {_number(value)} of {len(ratios)} runs", rule, within(value, RANDOM_P_MAX))
