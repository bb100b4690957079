"""The register of breaches: how it moves from verdict to verdict, that class C needs an operator, and its way through the table."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_world import MANDATE, SESSION, batch, book_state, buys, inputs, operations

from marketbot_assets.book.state import Lot
from marketbot_assets.book.trading_state import TradingState, may_rearm, trading_state
from marketbot_assets.risk.breaches import Register, breaches_of, found_by, next_register
from marketbot_assets.risk.control import ControlResult, Rule
from marketbot_assets.risk.inputs import ReconciliationBreak
from marketbot_assets.risk.operation_facts import Breach, TradeCost
from marketbot_assets.risk.schema import RISK_VERDICT
from marketbot_assets.risk.verdict import judge
from marketbot_assets.risk.verdict_frame import trades_of, verdict_frame
from marketbot_resources.model import Status

SHARES = ReconciliationBreak("MBA", "7 shares differ", explained=False)
MONEY = ReconciliationBreak("CASH:EUR", "60 differ", explained=False)
KNOWN = ReconciliationBreak("CASH:EUR", "a dividend", explained=True)


def result(control: str, status: Status, message: str = "", /, observed: float | None = 1.0) -> ControlResult:
    return Rule(control, "a rule", Status.HALT).result(status, message, observed=observed, limit=0.0)


def after(
    previous: tuple[Breach, ...] = (),
    *results: ControlResult,
    day: int = 11,
    breaks: tuple[ReconciliationBreak, ...] = (),
    operator: bool = False,
    cure: int = 2,
    clean: int = 1,
) -> Register:
    session = dt.date(2018, 12, day)
    return next_register(
        previous, results, session=session, breaks=breaks, operator=operator, cure_sessions=cure, clean_checks=clean
    )


@pytest.mark.parametrize(
    ("answer", "breaks", "expected"),
    [
        (result("RC-66", Status.HALT, "x"), (), ("active", "C", None)),
        (result("RC-13", Status.HALT, "x"), (), ("active", "C", None)),
        (result("RC-13", Status.HALT, "cannot be computed", observed=None), (), ("active", "A", None)),
        (result("RC-67", Status.HALT, "x"), (SHARES,), ("active", "C", None)),
        (result("RC-67", Status.HALT, "x"), (MONEY,), ("active", "B", None)),
        (result("RC-67", Status.HALT, "x"), (MONEY, SHARES), ("active", "C", None)),
        (result("RC-83", Status.HALT, "x"), (), ("active", "A", None)),
        (result("RC-90", Status.HALT, "x"), (), ("active", "B", None)),
        (result("RC-30", Status.WARN, "passive: position cap"), (), ("passive", "", 2)),
        (result("RC-42", Status.WARN, "passive, only risk-reducing orders: x"), (), ("passive", "", 2)),
        (result("RC-31", Status.WARN, "stands at 0.06"), (), ("passive", "", None)),
        (result("RC-65", Status.WARN, "x"), (), ("active", "", None)),
        (result("RC-30", Status.WARN, "position cap"), (), None),
        (result("RC-60", Status.HALT, "x"), (), None),
        (result("RC-80", Status.HALT, "x"), (), None),
        (result("RC-74", Status.HALT, "x"), (), None),
        (result("RC-30", Status.SHRINK, "x"), (), None),
        (result("RC-66", Status.PASS), (), None),
    ],
    ids=lambda value: str(getattr(value, "message", value))[:40],
)
def test_what_counts_as_a_breach(
    answer: ControlResult, breaks: tuple[ReconciliationBreak, ...], expected: tuple[str, str, int | None] | None
) -> None:
    """RC-74: halts but for those that carry their own state, drift beyond a limit, incidents; no note, nothing prevented."""
    found = found_by([answer], session=SESSION, breaks=breaks, cure_sessions=2)
    told = [(one.cause, one.halt_class, one.cure_sessions) for one in found.values()]
    assert told == ([] if expected is None else [expected])


def test_a_breach_opens_ages_and_closes() -> None:
    """RC-74: the date stays that of the first verdict, the age counts verdicts, and what is no longer found closes."""
    drifted = result("RC-30", Status.WARN, "passive: position cap")
    first = after((), drifted, day=11)
    second = after(first.open, drifted, day=12)
    third = after(second.open, drifted, day=13)
    fourth = after(third.open, drifted, day=14)
    ages = [(one.opened.day, one.sessions, one.overdue) for r in (first, second, third, fourth) for one in r.open]
    assert ages == [(11, 0, False), (11, 1, False), (11, 2, False), (11, 3, True)]
    cured = after(fourth.open, day=17)
    assert cured.open == ()
    assert [(one.control, one.opened.day, one.sessions, one.clean) for one in cured.closed] == [("RC-30", 11, 4, 1)]


def test_a_class_c_breach_stays_until_an_operator_and_a_clean_reconciliation() -> None:
    """G8: clean verdicts alone do not close it, neither does an operator while shares differ."""
    halted = after((), result("RC-66", Status.HALT, "overfill"), day=11).open
    later = after(after(halted, day=12).open, day=13)
    assert [(one.halt_class, one.clean, one.sessions) for one in later.open] == [("C", 2, 2)]
    assert after(later.open, day=14, operator=True, breaks=(SHARES,)).open != ()
    assert after(later.open, result("RC-66", Status.HALT, "again"), day=14, operator=True).open[0].halt_class == "C"
    closed = after(later.open, day=14, operator=True, breaks=(KNOWN,))
    assert (closed.open, [one.control for one in closed.closed]) == ((), ["RC-66"])


def test_a_found_again_breach_keeps_its_stricter_class() -> None:
    """A break of shares (C) that is a break of cash alone next day stays class C."""
    first = after((), result("RC-67", Status.HALT, "shares"), breaks=(SHARES,)).open
    second = after(first, result("RC-67", Status.HALT, "cash"), breaks=(MONEY,), day=12).open
    assert [(one.halt_class, one.clean, one.message) for one in second] == [("C", 0, "cash")]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["none", "overfill", "clock", "storm", "drift"]),
        st.booleans(),
        st.sampled_from([(), (SHARES,), (KNOWN,)]),
    ),
    max_size=12,
)
ANSWERS = {
    "none": (),
    "overfill": (result("RC-66", Status.HALT, "x"),),
    "clock": (result("RC-83", Status.HALT, "x"),),
    "storm": (result("RC-90", Status.HALT, "x"),),
    "drift": (result("RC-30", Status.WARN, "passive: x"),),
}


@given(EVENTS)
def test_no_path_from_class_c_to_trading_without_an_operator(
    events: list[tuple[str, bool, tuple[ReconciliationBreak, ...]]],
) -> None:
    """G8: whatever happens after an overfill, class C stands in the register until a session with an operator's action,

    a clean reconciliation and no overfill.
    """
    open_ = after((), *ANSWERS["overfill"], day=3).open
    lifted = False
    for n, (event, operator, breaks) in enumerate(events):
        open_ = after(open_, *ANSWERS[event], day=4 + n, operator=operator, breaks=breaks).open
        if event == "overfill":
            lifted = False
        elif operator and breaks != (SHARES,):
            lifted = True
        assert ("C" in {one.halt_class for one in open_}) is not lifted


@settings(max_examples=20)
@given(EVENTS)
def test_without_an_operator_nothing_is_bought_after_class_c(
    events: list[tuple[str, bool, tuple[ReconciliationBreak, ...]]],
) -> None:
    """The same through the verdict itself: no approved order at all, in every later session."""
    open_ = after((), *ANSWERS["overfill"], day=3).open
    for n, (event, _, breaks) in enumerate(events[:3]):
        facts = inputs(operations=operations(breaches=open_, operator=False), breaks=breaks)
        judged = judge(facts, batch(), MANDATE)
        assert (judged.verdict, judged.approved) == ("HALT", ())
        open_ = after(open_, *judged.results, *ANSWERS[event], day=4 + n, breaks=breaks).open


def test_the_register_and_the_costs_travel_through_the_table() -> None:
    """RISK_VERDICT carries both to the next session: written, stored by its schema, read, the same."""
    costs = tuple(TradeCost(f"e{n}", "MBA", n / 3.0, 3.5) for n in range(12))
    old = (
        Breach("RC-30", "MBA", "passive", dt.date(2018, 12, 6), 3, 2, "", 0, "passive: position cap MBA"),
        Breach("RC-66", "", "active", dt.date(2018, 12, 7), 2, None, "C", 2, "order a: filled 11 of 10"),
    )
    facts = inputs(operations=operations(breaches=old, trades=costs))
    judged = judge(facts, batch(), MANDATE)
    frame = verdict_frame(judged, facts, MANDATE)
    stored = pa.Table.from_pandas(frame, schema=RISK_VERDICT.arrow_schema, preserve_index=False).to_pandas()
    (still,) = breaches_of(stored)
    assert still == replace(old[1], sessions=3, clean=3)
    assert trades_of(stored) == costs
    (gone,) = stored[(stored["kind"] == "BREACH") & (stored["status"] == "PASS")].to_dict("records")
    assert (gone["control"], gone["name"], gone["opened"], gone["observed"]) == ("RC-30", "MBA", "2018-12-06", 4.0)
    assert breaches_of(verdict_frame(judge(inputs(), batch(), MANDATE), inputs(), MANDATE)) == ()


@pytest.mark.parametrize(
    "word", ["off", "no-new-runs", "reduce-only", "flatten", "cancel-all", "on", "unreadable", "x", ""]
)
@pytest.mark.parametrize("breaches", [(), "late", "halting"], ids=str)
def test_the_verdict_never_sends_more_than_the_state_lets_go(word: str, breaches: object) -> None:
    """RC-80: the noun and the controls agree: HALT sends nothing, REDUCE_ONLY and FLATTEN buy nothing."""
    late = Breach("RC-30", "", "passive", dt.date(2018, 12, 5), 4, 2, "", 0, "x")
    found = {"late": (late,), "halting": (replace(late, halt_class="C", cause="active"),)}.get(str(breaches), ())
    held = book_state(lots=(Lot("MBA", Decimal(200), 100.0, 100.0, 0.0, SESSION),))
    facts = inputs(halt_flag=word, operations=operations(breaches=found), book=held)
    judged = judge(facts, batch(), MANDATE)
    state = trading_state(
        facts.book, MANDATE.ladder, halt_word=word, halting=breaches == "halting", overdue=breaches == "late"
    )
    if state is TradingState.HALT:
        assert judged.approved == ()
    if state in (TradingState.REDUCE_ONLY, TradingState.FLATTEN):
        assert buys(judged.approved) == ()
        assert judged.approved != ()
    if state is TradingState.ACTIVE:
        assert buys(judged.approved) != ()


def test_an_unknown_class_never_ends_by_itself() -> None:
    """G8: fail closed."""
    for name in ("", "D", "c"):
        assert not may_rearm(name, clean_checks=99, clean_checks_needed=1, reconciled=True, operator=True)
