"""Controls after trading: RC-65 execution quality, RC-66 overfill, RC-68 cash, RC-69 end of day, RC-70 earnings explained,
RC-73 cost drift, RC-74 register of breaches, RC-90 refused orders.

A control that only alerts answers WARN, and no buys when its facts cannot be read. Not here: where the facts come from
(`operation_facts`, `operation_build`), the reconciliation of shares (RC-67, `system_controls`), the register itself (`breaches`).
"""

import math
from collections.abc import Callable

import numpy as np

from marketbot_assets.book.trading_state import may_rearm
from marketbot_assets.risk.control import ControlResult, Rule, within
from marketbot_assets.risk.operation_facts import Breach, OperationFacts, TradeCost
from marketbot_assets.risk.projection import Projection, members, number
from marketbot_resources.model import BASIS_POINT, Status

EXECUTION = Rule(
    "RC-65",
    "execution quality",
    Status.SHRINK,
    "bps",
    formula="fill against the auction's price <= slippage_bps, within its limit, within range of the session's prices",
    answers="FINRA 5310; RTS 6 Art. 17",
)
OVERFILL = Rule(
    "RC-66",
    "overfill",
    Status.HALT,
    "fills",
    formula="sum of fills <= quantity of every order; no fill without an order of ours",
    answers="RTS 6 Art. 17; FIA 2015; SEC on Knight 2012",
)
CASH_DIFFERENCE = Rule(
    "RC-68",
    "cash reconciliation",
    Status.HALT,
    "base currency",
    formula="|cash of book - cash of broker| <= max(units, nav_bps), HALT above halt_bps",
    answers="RTS 6 Art. 17; FIA 2015",
)
END_OF_DAY = Rule(
    "RC-69",
    "end of day",
    Status.REDUCE_ONLY,
    "open orders",
    formula="no order open after its auction, none that is not ours",
    answers="RTS 6 Art. 12, 17",
)
EARNINGS = Rule(
    "RC-70",
    "earnings explained",
    Status.SHRINK,
    "fraction of NAV",
    formula="|change of NAV - prices, rates, fills, income, fees| / NAV <= nav_bps",
    answers="RTS 6 Art. 17; GIPS 2020",
)
COST_DRIFT = Rule(
    "RC-73",
    "cost drift",
    Status.SHRINK,
    "bps",
    formula="mean of shortfall - expected <= max(standard_errors * its error, least_bps), else buys take half the volume",
    answers="FINRA 5310",
)
BREACHES = Rule(
    "RC-74",
    "register of breaches",
    Status.HALT,
    "breaches",
    formula="no breach beyond its deadline; one that halts ends by its re-arm class",
    answers="RTS 6 Art. 9, 16; SEC 17a-4(f)",
)
REFUSALS = Rule(
    "RC-90",
    "refused orders",
    Status.HALT,
    "orders",
    formula="orders refused in a row < in_a_row, refused / sent <= share",
    answers="RTS 6 Art. 16; SEC on Knight 2012",
)

SHOWN = 3
FILLS_MIN = 2


def operations_of(p: Projection) -> OperationFacts:
    """The session's facts. Raises ValueError when they are missing or of another session."""
    facts = p.inputs.operations
    if facts is None or facts.session != p.inputs.session:
        raise ValueError(f"facts of operation of {getattr(facts, 'session', None)}, expected {p.inputs.session}")
    return facts


def finite(value: object, what: str) -> float:
    """The number. Raises ValueError when it is none."""
    found = number(value)
    if not math.isfinite(found):
        raise ValueError(f"{what} is not known")
    return found


def whole(value: object, what: str) -> int:
    """The count. Raises ValueError when it is negative or no whole number."""
    found = finite(value, what)
    if found < 0 or found != int(found):
        raise ValueError(f"{what} is {found}")
    return int(found)


def execution_quality(p: Projection) -> tuple[ControlResult, ...]:
    """RC-65: no fill worse than its limit, far from the auction's price or outside of its session's range; else a vendor check."""
    rules, fills = p.mandate.limits.execution_quality, tuple(members(operations_of(p).fills))
    results = []
    for key, limit, seen, unit in (
        ("slippage", rules.slippage_bps, [(f.execution_id, f.slippage_bps) for f in fills], "bps"),
        ("limit", 0.0, [(f.execution_id, f.beyond_limit) for f in fills], "fraction of the limit"),
        ("range", rules.range, [(f.execution_id, f.beyond_range) for f in fills], "fraction of the price"),
    ):
        values = {name: finite(value, f"{key} of {name}") for name, value in seen}
        bad = sorted(name for name, value in values.items() if not within(value, limit))
        most = max(values.values(), default=0.0)
        text = f"{key} of {', '.join(bad[:SHOWN])}: {most:.6g} against {limit:.6g}" if bad else ""
        status = Status.WARN if bad else Status.PASS
        results.append(EXECUTION.result(status, text, key=key, observed=most, limit=limit, unit=unit))
    return tuple(results)


def overfill(p: Projection) -> tuple[ControlResult, ...]:
    """RC-66: no order filled beyond its quantity, no fill without an order of ours."""
    facts = operations_of(p)
    bad = sorted({*members(facts.overfills), *members(facts.unknown_fills)})
    status = OVERFILL.fail if bad else Status.PASS
    return (OVERFILL.result(status, "; ".join(bad[:SHOWN]), observed=len(bad), limit=0),)


def cash_difference(p: Projection) -> tuple[ControlResult, ...]:
    """RC-68: what no event explains, per currency: a small one is none, a larger one is a break, a large one halts (class B)."""
    rules, nav = p.mandate.limits.cash_difference, finite(p.nav, "the NAV")
    small, large = max(rules.units, rules.nav_bps * BASIS_POINT * nav), rules.halt_bps * BASIS_POINT * nav
    results = []
    for currency, difference in members(operations_of(p).cash_differences):
        seen = abs(finite(difference, f"the difference in {currency}"))
        # A small book has its whole units inside of what would halt.
        fine, edge = within(seen, small), max(small, large)
        status = Status.PASS if fine else Status.WARN if within(seen, edge) else CASH_DIFFERENCE.fail
        text = "" if fine else f"cash in {currency} differs by {seen:.2f}, none is up to {small:.2f}"
        results.append(CASH_DIFFERENCE.result(status, text, key=str(currency), observed=seen, limit=edge))
    return tuple(results) or (CASH_DIFFERENCE.result(Status.PASS, observed=0.0, limit=small),)


def end_of_day(p: Projection) -> tuple[ControlResult, ...]:
    """RC-69: every order has ended once its auction is over, and every open order is ours; else nothing is bought."""
    late = sorted(members(operations_of(p).overdue_orders))
    ids = p.increasing_ids if late else ()
    status = END_OF_DAY.fail if ids else Status.WARN if late else Status.PASS
    text = f"open and overdue, or not ours: {', '.join(late[:SHOWN])}" if late else ""
    return (END_OF_DAY.result(status, text, observed=len(late), limit=0, order_ids=ids, keep=0.0),)


def earnings(p: Projection) -> tuple[ControlResult, ...]:
    """RC-70: prices, rates, fills, income and fees explain the session's change of NAV."""
    limit, nav = p.mandate.limits.earnings.nav_bps * BASIS_POINT, finite(p.nav, "the NAV")
    seen = abs(finite(operations_of(p).pnl_unexplained, "the unexplained part")) / nav
    fine = within(seen, limit)
    text = "" if fine else f"{seen * nav:.2f} of the change of NAV is not explained"
    return (EARNINGS.result(Status.PASS if fine else Status.WARN, text, observed=seen, limit=limit),)


def excess_shortfall(trades: tuple[TradeCost, ...]) -> tuple[float, float]:
    """(mean, its standard error) of shortfall less what was expected, bps; Student (1908): sd with ddof 1 over the root of n."""
    values = np.array(
        [finite(t.shortfall_bps, t.execution_id) - finite(t.expected_bps, t.execution_id) for t in trades]
    )
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def cost_drift(p: Projection) -> tuple[ControlResult, ...]:
    """RC-73: once the newest fills cost more than the model, beyond chance and by enough to matter, buys take half the volume."""
    rules, trades = p.mandate.limits.cost_drift, tuple(members(operations_of(p).trades))
    if len(trades) < max(rules.fills, FILLS_MIN):
        for trade in trades:
            finite(trade.shortfall_bps, trade.execution_id)
        return (COST_DRIFT.result(Status.PASS, f"{len(trades)} of {rules.fills} fills seen"),)
    mean, error = excess_shortfall(trades[-max(rules.fills, FILLS_MIN) :])
    limit = max(rules.standard_errors * error, rules.least_bps)
    if within(mean, limit):
        return (COST_DRIFT.result(Status.PASS, observed=mean, limit=limit),)
    share = p.mandate.limits.participation.target * rules.participation_multiple
    text = f"fills cost {mean:.4g} bps more than expected, limit {limit:.4g}; participation of buys up to {share:.4g}"
    results = [COST_DRIFT.result(Status.WARN, text, observed=mean, limit=limit)]
    for column, order in enumerate(p.orders):
        row = int(p.rows[column])
        if not p.increasing[column] or row < 0:
            continue
        adv = number(p.inputs.adv[row])
        taken = float(p.value[column]) / adv if adv > 0 else math.nan
        if within(taken, share):
            continue
        keep = share / taken if math.isfinite(taken) and taken > 0 else 0.0
        name = order.instrument
        results.append(
            COST_DRIFT.result(
                COST_DRIFT.fail, f"{name} takes {taken:.4g} of the volume", key=name, observed=taken, limit=share,
                order_ids=(order.client_order_id,), keep=keep, unit="fraction of the average daily value",
            )
        )  # fmt: skip
    return tuple(results)


def register(p: Projection) -> tuple[ControlResult, ...]:
    """RC-74: a breach that halts goes on halting until its class lets it end; one that is overdue lets no risk be added."""
    facts, rules = operations_of(p), p.mandate.limits.breaches
    if not isinstance(facts.operator, bool):
        raise TypeError("it is not known whether an operator re-armed")
    reconciled = all(found.explained is True for found in members(p.inputs.breaks))
    open_ = sorted(members(facts.breaches), key=lambda breach: (breach.control, breach.key))
    halting, late = [], []
    for breach in open_:
        assert isinstance(breach, Breach), "the register holds something else"
        sessions, clean = whole(breach.sessions, "its age"), whole(breach.clean, "its clean checks")
        ends = may_rearm(
            breach.halt_class,
            clean_checks=clean + 1,
            clean_checks_needed=rules.clean_checks,
            reconciled=reconciled,
            operator=facts.operator,
        )
        if breach.halt_class != "" and not ends:
            halting.append(breach)
        elif breach.cure_sessions is not None and not sessions < whole(breach.cure_sessions, "its deadline"):
            late.append(breach)
    told = "; ".join(f"{b.control} {b.key} of {b.opened}".replace("  ", " ") for b in (*halting, *late)[:SHOWN])
    if halting:
        classes = ", ".join(sorted({breach.halt_class for breach in halting}))
        return (BREACHES.result(BREACHES.fail, f"halted, class {classes}: {told}", observed=len(halting), limit=0),)
    ids = p.increasing_ids if late else ()
    status = Status.REDUCE_ONLY if ids else Status.WARN if late else Status.PASS
    text = f"not cured in time: {told}" if late else f"{len(open_)} open" if open_ else ""
    return (BREACHES.result(status, text, observed=len(late), limit=0, order_ids=ids, keep=0.0),)


def refusals(p: Projection) -> tuple[ControlResult, ...]:
    """RC-90: the broker took the batch before, but for a few orders; else its answer is looked into first (class B)."""
    facts, rules = operations_of(p), p.mandate.limits.refusals
    row, refused, sent = (
        whole(value, name)
        for value, name in (
            (facts.refused_in_a_row, "refusals in a row"),
            (facts.refused, "refusals"),
            (facts.sent, "orders sent"),
        )
    )
    if not row <= refused <= sent:
        raise ValueError(f"{row} in a row, {refused} refused of {sent} sent")
    storm, share = row >= rules.in_a_row, refused / sent if sent else 0.0
    results = [
        REFUSALS.result(
            REFUSALS.fail if storm else Status.PASS,
            f"{row} orders in a row were refused" if storm else "",
            key="in a row",
            observed=row,
            limit=rules.in_a_row - 1,
        )
    ]
    fine = within(share, rules.share)
    text = "" if fine else f"{refused} of {sent} orders were refused"
    results.append(
        REFUSALS.result(
            Status.PASS if fine else REFUSALS.fail, text, key="share", observed=share, limit=rules.share,
            unit="fraction of the batch",
        )
    )  # fmt: skip
    return tuple(results)


POST_TRADE_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (EXECUTION, execution_quality),
    (OVERFILL, overfill),
    (CASH_DIFFERENCE, cash_difference),
    (END_OF_DAY, end_of_day),
    (EARNINGS, earnings),
    (COST_DRIFT, cost_drift),
    (BREACHES, register),
    (REFUSALS, refusals),
)
