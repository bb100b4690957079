"""Controls on the models themselves: RC-50 diversification, RC-52 language-model influence, RC-54 plausibility of scores,
RC-71 value-at-risk back-test, RC-72 realised against expected volatility.

RC-50, 71 and 72 act before: they lower the volatility target that the optimizer and RC-42 keep, and raise value at risk in
RC-43 and 45; here they say so. Not here: what they measure (`model_state`, `var_backtest`).
"""

from collections.abc import Callable

import numpy as np

from marketbot_assets.risk.control import ControlResult, Rule, cap, within
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.model_state import (
    collapsed,
    comovement_of,
    exceptions_of,
    record,
    volatility_ratio,
    zone_of,
)
from marketbot_assets.risk.projection import Projection, number, numbers
from marketbot_assets.risk.var_backtest import Zone, christoffersen, kupiec
from marketbot_resources.model import Status

CORRELATION = Rule(
    "RC-50",
    "diversification",
    Status.SHRINK,
    "fraction",
    formula="mean correlation <= mean_pairwise, first component's share <= pc1_share; else volatility target * vol_multiple",
    answers="house",
)
INFLUENCE = Rule(
    "RC-52",
    "influence of language-model features",
    Status.SHRINK,
    formula="|w with - w without language-model features| per name <= name, in sum <= book",
    answers="house; SR 26-2 (effective challenge)",
)
PLAUSIBILITY = Rule(
    "RC-54",
    "plausibility of scores",
    Status.SHRINK,
    "rank correlation",
    formula="rank correlation of scores with the session before >= rank_corr, else buys go keep of their way; no buy without score",
    answers="SR 26-2 (ongoing monitoring); house",
)
BACKTEST = Rule(
    "RC-71",
    "value-at-risk back-test",
    Status.SHRINK,
    "exceptions",
    formula="exceptions of value at risk 99 % < yellow; from red on volatility target * vol_multiple",
    answers="Basel zones; SR 26-2 (outcomes analysis)",
)
RATIO = Rule(
    "RC-72",
    "realised over expected volatility",
    Status.SHRINK,
    "ratio",
    formula="low <= realised / expected volatility <= high",
    answers="SR 26-2 (outcomes analysis)",
)

SCORED_MIN = 10
HALF_LOT = 1e-9


def correlation(p: Projection) -> tuple[ControlResult, ...]:
    """RC-50: mean pairwise correlation and the first component's share; beyond a limit the volatility target is lowered."""
    rule = p.mandate.limits.correlation
    found = comovement_of(p)
    told = f"; volatility target times {rule.vol_multiple:g}" if collapsed(found, rule) else ""
    pairs = (("mean pairwise", found.mean, rule.mean_pairwise), ("first component", found.first, rule.pc1_share))
    return tuple(
        CORRELATION.result(
            Status.PASS if within(seen, limit) else Status.WARN,
            "" if within(seen, limit) else f"{key} {seen:.4g} of {found.names} names above {limit:.4g}{told}",
            key=key,
            observed=seen,
            limit=limit,
        )
        for key, seen, limit in pairs
    )


def influence(p: Projection) -> tuple[ControlResult, ...]:
    """RC-52: what language-model features move, per name and in the book; without a second solve a tilt allows no buys."""
    rule, facts, n = p.mandate.limits.llm_influence, p.inputs.models, len(p.price)
    tilt = numbers(facts.llm_tilt, n)
    moved: Floats = np.zeros(n)
    if not (tilt == 0.0).all():
        if facts.llm_influence is None or not np.isfinite(tilt).all():
            text = "language-model features tilt the forecasts, and what they move was not measured"
            status = INFLUENCE.fail if p.increasing_ids else Status.WARN
            return (INFLUENCE.result(status, text, key="book", limit=rule.book, order_ids=p.increasing_ids, keep=0.0),)
        moved = np.abs(numbers(facts.llm_influence, n))
    book = float(moved.sum())
    results = [cap(INFLUENCE, p, [book, 0.0, 0.0], hard=rule.book, key="book")]
    for row in np.flatnonzero(~(moved <= rule.name)):
        here, name = np.arange(n) == row, p.inputs.instruments[row]
        values = [float(moved[row]), 0.0, 0.0]
        results.append(cap(INFLUENCE, p, values, hard=rule.name, key=name, counted=p.increasing_in(here)))
    return tuple(results)


def ranks(values: Floats) -> Floats:
    """Ranks 1..n, ties share their mean rank."""
    ordered = np.sort(values)
    first, last = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((first + last + 1) / 2.0)


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation; NaN when one side has no spread."""
    a, b = (ranks(side) - (len(side) + 1) / 2.0 for side in (one, other))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else float("nan")


def plausibility(p: Projection) -> tuple[ControlResult, ...]:
    """RC-54: scores that turn over in a session are doubted: each planned buy goes half its way; names without score none."""
    rule, facts, n = p.mandate.limits.plausibility, p.inputs.models, len(p.price)
    now = numbers(facts.scores, n)
    results = [_unscored(p, now)]
    if facts.scores_before is None:
        text = "no session before to compare scores with"
        return (*results, PLAUSIBILITY.result(Status.PASS, text, key="scores", limit=rule.rank_corr))
    before = numbers(facts.scores_before, n)
    both = np.isfinite(now) & np.isfinite(before)
    if int(np.isfinite(now).sum()) < SCORED_MIN:
        text = f"fewer than {SCORED_MIN} names have a score"
        return (*results, PLAUSIBILITY.result(Status.PASS, text, key="scores", limit=rule.rank_corr))
    seen = rank_correlation(now[both], before[both]) if both.sum() >= SCORED_MIN else np.nan
    results.append(_judged(p, seen))
    return tuple(results)


def _judged(p: Projection, seen: float) -> ControlResult:
    rule = p.mandate.limits.plausibility
    if within(rule.rank_corr, seen):
        return PLAUSIBILITY.result(Status.PASS, key="scores", observed=seen, limit=rule.rank_corr, is_floor=True)
    ids, keep = _beyond_half(p, rule.keep)
    status = PLAUSIBILITY.fail if ids else Status.WARN
    text = f"scores: rank correlation with the session before {seen:.3g}; buys go {rule.keep:g} of their way"
    return PLAUSIBILITY.result(
        status, text, key="scores", observed=seen, limit=rule.rank_corr, is_floor=True, order_ids=ids, keep=keep
    )


def _unscored(p: Projection, scores: Floats) -> ControlResult:
    ids = p.increasing_in(~np.isfinite(scores))
    text = "bought without a score" if ids else ""
    status = PLAUSIBILITY.fail if ids else Status.PASS
    return PLAUSIBILITY.result(
        status, text, key="unscored", observed=len(ids), limit=0, unit="orders", order_ids=ids, keep=0.0
    )


def _beyond_half(p: Projection, share: float) -> tuple[tuple[str, ...], float]:
    """(orders that add risk and are above `share` of what was planned, the share of them that may stay)."""
    ids, keep = [], 1.0
    for j, order in enumerate(p.orders):
        planned = number(p.inputs.models.planned.get(order.client_order_id, order.quantity))
        allowed, quantity = share * planned, float(p.quantity[j])
        if p.increasing[j] and not quantity <= allowed * (1.0 + HALF_LOT):
            ids.append(order.client_order_id)
            keep = min(keep, allowed / quantity if quantity > 0.0 and np.isfinite(allowed) else 0.0)
    return tuple(ids), keep


def backtest(p: Projection) -> tuple[ControlResult, ...]:
    """RC-71: exceptions of the record at 99 % and their zone; Kupiec's and Christoffersen's tests are told with it."""
    rule = p.mandate.limits.var_backtest
    hits = exceptions_of(p)
    zone = zone_of(sum(hits), rule)
    parts = []
    if len(hits) < rule.sessions:
        parts.append(f"{len(hits)} of {rule.sessions} sessions")
    if zone is not Zone.GREEN:
        multiple = f"value at risk times {rule.var_multiple:g}"
        red = f", volatility target times {rule.vol_multiple:g}" if zone is Zone.RED else ""
        often, apart = kupiec(sum(hits), len(hits))[1], christoffersen(hits)[1]
        parts.append(f"{zone.value} zone, {multiple}{red}; Kupiec p {often:.3g}, Christoffersen p {apart:.3g}")
    status = Status.PASS if zone is Zone.GREEN else Status.WARN
    return (BACKTEST.result(status, "; ".join(parts), observed=sum(hits), limit=rule.yellow - 1),)


def ratio(p: Projection) -> tuple[ControlResult, ...]:
    """RC-72: outside its band the estimators are doubted; above it the volatility target is divided by the ratio."""
    rule, days = p.mandate.limits.vol_ratio, record(p)
    seen = volatility_ratio(days, rule)
    if seen is None:
        return (RATIO.result(Status.PASS, f"{len(days)} of {rule.sessions} sessions", limit=rule.high),)
    high, low = not within(seen, rule.high), not within(rule.low, seen)
    text = f"realised volatility is {seen:.3g} times the expected one" if high or low else ""
    told = f"{text}; the volatility target is divided by it" if high else text
    return (RATIO.result(Status.WARN if text else Status.PASS, told, observed=seen, limit=rule.high),)


MODEL_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (CORRELATION, correlation),
    (INFLUENCE, influence),
    (PLAUSIBILITY, plausibility),
    (BACKTEST, backtest),
    (RATIO, ratio),
)
