"""Controls on the platform: RC-53 optimizer, RC-67 reconciliation, RC-80 halt flag, RC-84 ledger first, RC-87 data gate.

Not here: where the facts come from (halt switch, ledger, quality rules): they arrive in `RiskInputs`.
"""

from collections.abc import Callable

import numpy as np

from marketbot_assets.risk.control import TOLERANCE, ControlResult, Rule, within
from marketbot_assets.risk.inputs import HALT_FLAG_OFF, OPTIMAL
from marketbot_assets.risk.projection import Projection, members, number
from marketbot_resources.model import SELLING_LEVELS, HaltLevel, Status

OPTIMIZER = Rule(
    "RC-53",
    "optimizer integrity",
    Status.REDUCE_ONLY,
    "largest violation, fraction of NAV",
    formula="status optimal and recomputed violation of every constraint <= hard; off rebalance days reductions alone",
    answers="SR 26-2; RTS 6 Art. 8",
)
RECONCILIATION = Rule(
    "RC-67",
    "reconciliation",
    Status.HALT,
    "unexplained breaks",
    formula="shares and cash of book and broker equal, or a known event explains all of it",
    answers="RTS 6 Art. 17; FIA 2015",
)
HALT_FLAG = Rule(
    "RC-80",
    "halt flag",
    Status.HALT,
    "flags not off",
    formula="the halt flag is off; unreadable counts as on",
    answers="RTS 6 Art. 12; SEC on Knight 2012",
)
LEDGER = Rule(
    "RC-84",
    "ledger first",
    Status.HALT,
    "ledgers not ready",
    formula="the ledger can take the decision's record before anything is sent",
    answers="SEC 17a-4(f)",
)
DATA = Rule(
    "RC-87",
    "data gate",
    Status.REDUCE_ONLY,
    "fraction of names",
    formula="share of names with complete data >= universe and held, no halting quality rule, no order on a rejected bar",
    answers="RTS 6 Art. 15(1); FIA 2015",
)


def _reduce_only(p: Projection, rule: Rule, text: str) -> tuple[Status, tuple[str, ...]]:
    ids = p.increasing_ids if text else ()
    return (rule.fail if ids else Status.WARN if text else Status.PASS), ids


def optimizer(p: Projection) -> tuple[ControlResult, ...]:
    """RC-53: without an optimal answer and a small residual only risk is reduced; the same off the rebalance days.

    The answer of a fallback, a solver that failed and a second opinion that differs warn.
    """
    answer, hard = p.inputs.optimizer, p.mandate.limits.residual.hard
    if not isinstance(answer.doubts, tuple) or not (isinstance(answer.method, str) and answer.method):
        raise TypeError("the optimizer's method or the doubts about its answer are missing")
    residual = number(answer.residual)
    solved = answer.status == OPTIMAL and within(residual, hard) and residual <= hard * (1.0 + TOLERANCE)
    text = "" if solved else f"no usable answer: {answer.status}, {answer.method}, residual {residual:.3g}"
    status, ids = _reduce_only(p, OPTIMIZER, text)
    if solved and answer.method != p.mandate.portfolio.method:
        status, text = Status.WARN, f"answered by the fallback {answer.method}"
    if solved and answer.doubts:
        status, text = Status.WARN, "; ".join([text, *answer.doubts] if text else answer.doubts)
    first = OPTIMIZER.result(status, text, key="answer", observed=residual, limit=hard, order_ids=ids, keep=0.0)
    idle = "" if p.inputs.rebalance is True else "the cadence allows exits and cures only"
    status, ids = _reduce_only(p, OPTIMIZER, idle)
    return (first, OPTIMIZER.result(status, idle, key="cadence", order_ids=ids, keep=0.0))


def reconciliation(p: Projection) -> tuple[ControlResult, ...]:
    """RC-67: book and broker agree on every share and all cash, or a known event explains the whole difference.

    No order in a name that the reconciliation locked: what differs there cannot move money, so the others trade on.
    """
    if not isinstance(p.inputs.breaks, tuple):
        raise TypeError("the reconciliation's breaks are missing")
    open_ = [found for found in p.inputs.breaks if found.explained is not True]
    status = RECONCILIATION.fail if open_ else Status.WARN if p.inputs.breaks else Status.PASS
    text = "; ".join(f"{found.subject}: {found.message}" for found in (open_ or p.inputs.breaks)[:3])
    first = RECONCILIATION.result(status, text, observed=len(open_), limit=0)
    locked = members(p.inputs.locked)
    if not locked:
        return (first,)
    ids = p.ids(np.array([order.instrument in locked for order in p.orders], dtype=bool))
    text, seen = f"locked: {', '.join(sorted(locked)[:3])}", len(ids)
    status = Status.REJECT_ORDER if ids else Status.WARN
    return (
        first,
        RECONCILIATION.result(
            status, text, key="locked", observed=seen, limit=0, unit="orders", order_ids=ids, keep=0.0
        ),
    )


def halt_flag(p: Projection) -> tuple[ControlResult, ...]:
    """RC-80: reduce-only and flatten let reductions go, no-new-runs a session that was begun; all else but `off` halts."""
    word = p.inputs.halt_flag
    off = word == HALT_FLAG_OFF
    text = "" if off else f"the halt flag is {word}"
    if isinstance(word, str) and word in SELLING_LEVELS:
        status, ids = _reduce_only(p, HALT_FLAG, text)
        status = Status.REDUCE_ONLY if ids else status
        return (HALT_FLAG.result(status, text, observed=1.0, limit=0, order_ids=ids, keep=0.0),)
    begun = isinstance(word, str) and word == HaltLevel.NO_NEW_RUNS.value
    status = Status.PASS if off else Status.WARN if begun else HALT_FLAG.fail
    return (HALT_FLAG.result(status, text, observed=float(not off), limit=0),)


def ledger(p: Projection) -> tuple[ControlResult, ...]:
    """RC-84: no order without a ledger that can take its record."""
    ready = p.inputs.ledger_ready is True
    text = "" if ready else "the ledger cannot take the decision record"
    return (LEDGER.result(Status.PASS if ready else LEDGER.fail, text, observed=float(not ready), limit=0),)


def data_gate(p: Projection) -> tuple[ControlResult, ...]:
    """RC-87: coverage and no halting quality rule, else only exits; no order on a quarantined bar, no buy without features."""
    limits = p.mandate.limits.coverage
    results = []
    for key, seen, floor in (
        ("universe", number(p.inputs.coverage_universe), limits.universe),
        ("held", number(p.inputs.coverage_held), limits.held),
    ):
        text = (
            "" if within(floor, seen) and seen <= 1.0 + TOLERANCE else f"coverage {key} {seen:.6g}, floor {floor:.6g}"
        )
        status, ids = _reduce_only(p, DATA, text)
        results.append(
            DATA.result(status, text, key=key, observed=seen, limit=floor, is_floor=True, order_ids=ids, keep=0.0)
        )
    halts = sorted(members(p.inputs.quality_halts))
    text = f"data quality: {'; '.join(halts[:3])}" if halts else ""
    status, ids = _reduce_only(p, DATA, text)
    results.append(
        DATA.result(status, text, key="quality", observed=len(halts), limit=0, unit="rules", order_ids=ids, keep=0.0)
    )
    for key, names, side in (
        ("quarantined", p.inputs.quarantined, ~p.is_fx),
        ("incomplete", p.inputs.incomplete, p.increasing),
    ):
        bad = members(names)
        ids = p.ids(side & np.array([order.instrument in bad for order in p.orders], dtype=bool))
        status = Status.REJECT_ORDER if ids else Status.PASS
        text = f"orders in names that are {key}" if ids else ""
        results.append(
            DATA.result(status, text, key=key, observed=len(ids), limit=0, unit="orders", order_ids=ids, keep=0.0)
        )
    return tuple(results)


SYSTEM_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (OPTIMIZER, optimizer),
    (RECONCILIATION, reconciliation),
    (HALT_FLAG, halt_flag),
    (LEDGER, ledger),
    (DATA, data_gate),
)
