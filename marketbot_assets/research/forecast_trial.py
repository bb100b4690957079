"""What a forecast specification is worth: out of fold, after costs, on paths, against shuffled labels, inside its intervals. Pure.

Everything is refitted where it is tested: walk-forward for record and intervals, every combinatorial split for the paths, and
the whole procedure once more on labels in another order. Not here: the gate (`promotion`), fits for use (`insight.forecast_fit`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from marketbot_assets.insight.ensemble import mean_error, session_ics
from marketbot_assets.insight.forecast_fit import predict, train
from marketbot_assets.insight.forecast_panel import Panel, Rows
from marketbot_assets.insight.intervals import LEVEL, covered, half_width
from marketbot_assets.insight.model_card import ModelSpec
from marketbot_assets.insight.training import TrainingRule, rule_of
from marketbot_assets.insight.walk_forward import Split, out_of_fold, walk_forward
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.cross_validation import combinatorial_splits, embargo_of, path_returns, path_sharpes
from marketbot_assets.research.null_tests import null_order
from marketbot_assets.research.promotion import COST_MULTIPLE, Evidence
from marketbot_assets.research.sharpe_statistics import moments, per_year
from marketbot_assets.research.signal_trial import GROUPS, TEST_GROUPS, book_of
from marketbot_resources.mandate import Mandate

CALIBRATION_ROWS = 252


@dataclass(frozen=True, slots=True)
class ForecastTrial:
    """`evidence`: for the gate; `expected`: (T, n) forecasts out of fold, NaN before the first test; `half_width`: of the interval
    for the session after the panel's last; `metrics`: for the card, None where one cannot be computed.
    """

    evidence: Evidence
    expected: Floats
    half_width: float
    metrics: Mapping[str, float | None]


def evaluate_forecasts(spec: ModelSpec, panel: Panel, *, cost_bps: float) -> ForecastTrial:
    """The trial of a specification on a panel, at `cost_bps` of what is traded. Deterministic.

    The data's digest is that of the whole panel: trials of other features over it are trials over the same data.

    Raises ValueError for a panel too short for its first test, FloatingPointError when a fit fails.
    """
    own = panel.of(spec.features)
    rule, rows = _ruled(spec, own), _judged(own)
    expected = _walked(spec, own, rule, rows)
    widths = interval_widths(own, expected, rule)
    inside, judged = covered(expected[:rows], widths[:rows, None], own.labels[:rows])
    first = rule.first_rows
    book = book_of(expected[first:rows], own.returns[first:rows])
    ahead = np.ones(rows - first)
    returns, costly = (book.after(ahead, times * cost_bps) for times in (1.0, COST_MULTIPLE))
    evidence = Evidence(
        spec_sha256=spec.sha256,
        data_sha256=panel.sha256,
        returns=returns,
        costly=costly,
        paths=_paths(spec, own, rule, rows, cost_bps),
        interval_level=LEVEL,
        interval_hits=inside,
        interval_count=judged,
        shuffled=_shuffled(spec, own, rule, rows),
        contaminated=False,
    )
    return ForecastTrial(
        evidence,
        expected,
        half_width((expected - own.labels)[-CALIBRATION_ROWS - rule.horizon_rows :]),
        _metrics(evidence, expected, own, rule),
    )


def cost_bps_of(mandate: Mandate) -> float:
    """What a trade costs at most by the mandate, without taxes and impact, in bps: one number for every name, the strict one."""
    return max(mandate.costs_bps.half_spread_and_fee.values()) + mandate.costs_bps.fx


def _ruled(spec: ModelSpec, panel: Panel) -> TrainingRule:
    """The specification's rule with an embargo of at least 1 % of the rows."""
    rule = rule_of(spec)
    return replace(rule, embargo_rows=max(rule.embargo_rows, embargo_of(len(panel.sessions))))


def _judged(panel: Panel) -> int:
    """Rows whose next return is known: all but the last."""
    known = np.flatnonzero(np.isfinite(panel.returns).any(axis=1))
    return int(known[-1]) + 1 if len(known) else 0


def _said(spec: ModelSpec, panel: Panel, train_rows: Rows, test_rows: Rows) -> Floats:
    return predict(spec, train(spec, panel, train_rows), panel.values[test_rows])


def _walked(spec: ModelSpec, panel: Panel, rule: TrainingRule, rows: int) -> Floats:
    """(T, n) forecasts of walk-forward fits."""
    splits: list[Split] = walk_forward(
        rows, rule.first_rows, rule.refit_rows, rule.horizon_rows, rule.embargo_rows, rule.window_rows
    )
    return out_of_fold(panel.labels.shape, splits, lambda one, other: _said(spec, panel, one, other))


def interval_widths(panel: Panel, expected: Floats, rule: TrainingRule) -> Floats:
    """(T,) half widths per tested row, from errors of the year whose labels had ended an embargo before its block of tests."""
    errors, out = expected - panel.labels, np.full(len(expected), np.nan)
    for start in range(rule.first_rows, len(expected), rule.refit_rows):
        end = start - rule.horizon_rows - rule.embargo_rows
        if end > rule.first_rows:
            out[start : start + rule.refit_rows] = half_width(
                errors[max(rule.first_rows, end - CALIBRATION_ROWS) : end]
            )
    return out


def _paths(spec: ModelSpec, panel: Panel, rule: TrainingRule, rows: int, cost_bps: float) -> Floats:
    tested = []
    splits = combinatorial_splits(rows, GROUPS, TEST_GROUPS, horizon=rule.horizon_rows, embargo=rule.embargo_rows)
    for split in splits:
        said = _said(spec, panel, split.train, split.test)
        book = book_of(said, panel.returns[split.test])
        tested.append(book.after(np.ones(len(split.test)), cost_bps))
    made = path_returns(rows, GROUPS, TEST_GROUPS, tested)
    return np.where((made == 0.0).all(axis=1), 0.0, path_sharpes(made))  # no position: it earned nothing


def _shuffled(spec: ModelSpec, panel: Panel, rule: TrainingRule, rows: int) -> float:
    """Ratio per year before costs of the whole procedure on sessions in another order, each turned round or not."""
    order, sign = null_order(rows, rule.seed)
    labels, returns = (np.full_like(part, np.nan) for part in (panel.labels, panel.returns))
    labels[:rows], returns[:rows] = sign * panel.labels[order], sign * panel.returns[order]
    mixed = replace(panel, labels=labels, returns=returns)
    said, after = _walked(spec, mixed, rule, rows)[rule.first_rows : rows], returns[rule.first_rows : rows]
    earned = book_of(np.where(np.isfinite(after), said, np.nan), after).earned  # a name may not have been listed there
    return (
        per_year(moments(earned).sharpe) if earned.any() else 0.0
    )  # it took no position: nothing was found, as it should be


def _metrics(evidence: Evidence, expected: Floats, panel: Panel, rule: TrainingRule) -> dict[str, float | None]:
    known = np.isfinite(expected) & np.isfinite(panel.labels)
    said, label = expected[known], panel.labels[known]
    total = float((label**2).sum())
    mean, error = mean_error(session_ics(expected, panel.labels), 1, rule.horizon_rows)
    count = evidence.interval_count
    told = {
        "information_coefficient": mean,
        "information_coefficient_error": error,
        "r2": 1.0 - float(((label - said) ** 2).sum()) / total if total > 0.0 else math.nan,
        "residual_deviation": float((label - said).std()) if len(label) else math.nan,
        "interval_level": evidence.interval_level,
        "interval_coverage": evidence.interval_hits / count if count else math.nan,
        "sharpe_per_year": per_year(moments(evidence.returns).sharpe),
        "sharpe_per_year_costs_doubled": per_year(moments(evidence.costly).sharpe),
        "sessions": float(len(evidence.returns)),
    }
    return {name: value if math.isfinite(value) else None for name, value in told.items()}
