"""Controls on the state of the book and of the platform: rungs, losses, stops, breaks, halt flag, data gate."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, NAV, SESSION, batch, book_state, drawn_down, inputs, order

from marketbot_assets.book.state import BookState, Rung, StopHit
from marketbot_assets.risk.inputs import OptimizerAnswer, ReconciliationBreak, RiskInputs
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.model import Order, Status


def status(facts: RiskInputs, orders: tuple[Order, ...], control: str) -> Status:
    return max(r.status for r in run_controls(facts, orders, MANDATE) if r.control == control)


def sent(facts: RiskInputs, orders: tuple[Order, ...]) -> tuple[str, list[str]]:
    judged = judge(facts, orders, MANDATE)
    return judged.verdict, sorted(f"{o.instrument} {o.side.value}" for o in judged.approved)


SELLS = ["MBA SELL"]
EXITS_ALL = tuple(order(name, "SELL", 200 if name != "MBI" else 2000) for name in ("MBA", "MBB"))
EVERYTHING = ["FX:EUR BUY", "MBA SELL", "MBD BUY", "MBH BUY", "MBL BUY"]

LADDER = [
    (0.0, Rung.FULL, Status.PASS, "APPROVED", EVERYTHING),
    (0.07, Rung.SCALED, Status.WARN, "APPROVED", EVERYTHING),
    (0.0999, Rung.SCALED, Status.WARN, "APPROVED", EVERYTHING),
    (0.10, Rung.REDUCE_ONLY, Status.REDUCE_ONLY, "APPROVED", SELLS),
    (0.125, Rung.TO_CASH, Status.REDUCE_ONLY, "APPROVED", SELLS),
    (0.1499, Rung.TO_CASH, Status.REDUCE_ONLY, "APPROVED", SELLS),
    (0.15, Rung.HALT, Status.REDUCE_ONLY, "APPROVED", SELLS),
    (0.40, Rung.HALT, Status.REDUCE_ONLY, "APPROVED", SELLS),
    (0.05, Rung.HALT, Status.HALT, "HALT", []),
]


@pytest.mark.parametrize(("depth", "rung", "expected", "verdict", "names"), LADDER)
def test_the_ladder_says_what_may_go(
    depth: float, rung: Rung, expected: Status, verdict: str, names: list[str]
) -> None:
    """RC-60: no buys from 10 %, sells to cash from 12.5 % on also above 15 %, HALT without such a drawdown sends nothing."""
    multiple = 1.0 if rung in (Rung.FULL, Rung.SCALED) else 0.0
    facts = inputs(book=drawn_down(depth, rung, multiple=multiple))
    assert status(facts, batch(), "RC-60") is expected
    assert sent(facts, batch()) == (verdict, names)


def test_the_ladder_counts_its_own_drawdown() -> None:
    """RC-60: a book state that calls itself FULL at 11 % below its reference is not believed."""
    assert sent(inputs(book=drawn_down(0.11, Rung.FULL, multiple=1.0)), batch()) == ("APPROVED", SELLS)


def test_a_flat_book_beyond_15_percent_halts() -> None:
    """RC-60: HALT once flat."""
    flat = inputs(positions=(Decimal(0),) * 12, cash={"USD": Decimal(1_000_000)}, book=drawn_down(0.16, Rung.HALT))
    assert sent(flat, ()) == ("HALT", [])
    assert sent(flat, (order("MBD", "BUY", 10),)) == ("HALT", [])


def test_the_absolute_floor_halts_whatever_the_ladder_says() -> None:
    """RC-60: 25 % below the inception high no re-arm forgives; the book sells to cash and stops."""
    lost = book_state(inception_high=NAV / 0.75, drawdown_inception=0.25)
    assert sent(inputs(book=lost), batch()) == ("APPROVED", SELLS)
    assert sent(inputs(book=lost), (order("MBD", "BUY", 10),)) == ("HALT", [])


def history(day: float, week: float) -> BookState:
    """A NAV history that ends at NAV with these losses."""
    before = NAV / (1.0 - day)
    return book_state(nav_history=(NAV / (1.0 - week), before, before, before, before, NAV))


LOSSES = [(0.0199, 0.0399, EVERYTHING), (0.02, 0.0, SELLS), (0.0, 0.04, SELLS), (0.0399, 0.0, SELLS)]


@pytest.mark.parametrize(("day", "week", "names"), LOSSES)
def test_losses_of_the_day_and_week_stop_buying(day: float, week: float, names: list[str]) -> None:
    """RC-61: -2 % on the day or -4 % in the week: no new buys."""
    assert sent(inputs(book=history(day, week)), batch()) == ("APPROVED", names)


def test_a_heavy_day_halts_but_not_the_way_to_cash() -> None:
    """RC-61 and DESIGN: -4 % on the day sends nothing, except that from 12.5 % drawdown on sells to cash pass."""
    assert sent(inputs(book=history(0.04, 0.04)), batch()) == ("HALT", [])
    deep = replace(history(0.04, 0.04), reference_high=NAV / 0.87, drawdown=0.13, rung=Rung.TO_CASH)
    assert sent(inputs(book=deep), batch()) == ("APPROVED", SELLS)


@pytest.mark.parametrize(
    "changes", [{"no_buys": "week"}, {"rung": Rung.REDUCE_ONLY}, {"rung": Rung.REDUCE_ONLY, "halt_class": "B"}], ids=str
)
def test_the_book_may_be_stricter(changes: dict[str, object]) -> None:
    """RC-60 and RC-61: what the book's own state forbids stays forbidden."""
    assert sent(inputs(book=book_state(**changes)), batch()) == ("APPROVED", SELLS)


@pytest.mark.parametrize("halt_class", ["B", "C"])
def test_a_halted_book_sends_nothing(halt_class: str) -> None:
    """RC-60 and RC-61: class B and C without a deep drawdown."""
    assert sent(inputs(book=book_state(halt_class=halt_class)), batch()) == ("HALT", [])


@pytest.mark.parametrize("control", ["RC-62", "RC-63"])
def test_a_hit_stop_is_sold_before_anything_is_bought(control: str) -> None:
    """RC-62, RC-63: no buy in the name; without its exit in the plan no buy at all; an untradeable name is excused."""
    facts = inputs(book=book_state(stop_hits=(StopHit("MBB", control, 80.0, 85.0),)))
    exit_ = order("MBB", "SELL", 200)
    assert sent(facts, (*batch(), exit_))[1] == sorted([*EVERYTHING, "MBB SELL"])
    assert sent(facts, batch())[1] == SELLS
    assert status(facts, batch(), control) is Status.SHRINK
    assert sent(facts, (exit_,)) == ("APPROVED", ["MBB SELL"])
    stale = replace(facts, price_age_sessions=np.array([float(name == "MBB") for name in NAMES]))
    assert sent(stale, batch())[1] == EVERYTHING
    bought = inputs(book=book_state(stop_hits=(StopHit("MBD", control, 80.0, 85.0),)))
    assert "MBD BUY" not in sent(bought, batch())[1]


@pytest.mark.parametrize(("days", "bought"), [(1, False), (0, True), (-1, True)])
def test_a_stopped_name_waits_until_its_session(days: int, bought: bool) -> None:
    """RC-64: blocked until the first session on which it may be bought again."""
    facts = inputs(book=book_state(blocked=(("MBD", SESSION + dt.timedelta(days=days)),)))
    assert ("MBD BUY" in sent(facts, batch())[1]) == bought
    assert status(facts, batch(), "RC-64") is (Status.PASS if bought else Status.REJECT_ORDER)


@pytest.mark.parametrize(("shares", "sessions", "names"), [(500, 0, 5), (501, 9, 4), (610, 2, 4), (610, 3, 1)])
def test_a_drifted_name_is_not_bought_and_must_be_trimmed(shares: int, sessions: int, names: int) -> None:
    """RC-31: beyond 5 % no buy in it; beyond 6 % for more than two sessions without a trim no buy at all."""
    held = tuple(Decimal(shares) if name == "MBD" else p for name, p in zip(NAMES, inputs().positions, strict=True))
    facts = inputs(positions=held, book=book_state(passive=(("MBD", sessions),)))
    loose = MANDATE.model_copy(
        update={
            "limits": MANDATE.limits.model_copy(
                update={"position": MANDATE.limits.position.model_copy(update={"hard": 0.2})}
            )
        }
    )
    judged = judge(replace(facts, mandate_sha256=loose.sha256), batch(), loose)
    assert (judged.verdict, len(judged.approved)) == ("APPROVED", names)
    trimmed = (order("MBD", "SELL", 120), *batch()[1:])
    assert len(judge(replace(facts, mandate_sha256=loose.sha256), trimmed, loose).approved) == 5


ANSWERS = [
    (OptimizerAnswer("optimal", "mean_variance", 1e-6), True, Status.PASS),
    (OptimizerAnswer("optimal", "mean_variance", 1.01e-6), True, Status.REDUCE_ONLY),
    (OptimizerAnswer("optimal", "risk_parity", 0.0), True, Status.WARN),
    (OptimizerAnswer("optimal", "mean_variance", 0.0, ("second opinion differs",)), True, Status.WARN),
    (OptimizerAnswer("optimal_inaccurate", "mean_variance", 0.0), True, Status.REDUCE_ONLY),
    (OptimizerAnswer("no_answer", "risk_reducing", float("nan")), True, Status.REDUCE_ONLY),
    (OptimizerAnswer("optimal", "mean_variance", 0.0), False, Status.REDUCE_ONLY),
]


@pytest.mark.parametrize(("answer", "rebalance", "expected"), ANSWERS)
def test_without_an_answer_only_risk_is_reduced(answer: OptimizerAnswer, rebalance: bool, expected: Status) -> None:
    """RC-53: no optimal answer, a residual beyond 1e-6, or a day off the cadence: reductions only."""
    facts = inputs(optimizer=answer, rebalance=rebalance)
    assert status(facts, batch(), "RC-53") is expected
    assert sent(facts, batch()) == ("APPROVED", EVERYTHING if expected <= Status.WARN else SELLS)
    assert status(facts, (order("MBA", "SELL", 100),), "RC-53") <= Status.WARN


HALTS = [
    {"breaks": (ReconciliationBreak("MBA", "10 shares", False),)},
    {"breaks": (ReconciliationBreak("CASH:USD", "3.00", False), ReconciliationBreak("MBA", "split", True))},
    {"breaks": (ReconciliationBreak("MBA", "?", None),)},  # type: ignore[arg-type]
    {"halt_flag": "on"},
    {"halt_flag": "unreadable"},
    {"halt_flag": ""},
    {"ledger_ready": False},
]


@pytest.mark.parametrize("changes", HALTS, ids=str)
def test_a_broken_platform_sends_nothing(changes: dict[str, object]) -> None:
    """RC-67, RC-80, RC-84: HALT, without exception for sells in a deep drawdown."""
    assert sent(inputs(**changes), batch()) == ("HALT", [])
    assert sent(inputs(**changes, book=drawn_down(0.13, Rung.TO_CASH)), EXITS_ALL) == ("HALT", [])
    assert sent(inputs(**changes), ()) == ("HALT", [])


def test_an_explained_break_is_noted() -> None:
    """RC-67: a known event that accounts for the difference does not stop the book."""
    facts = inputs(breaks=(ReconciliationBreak("MBA", "split 2:1", True),))
    assert status(facts, batch(), "RC-67") is Status.WARN
    assert sent(facts, batch()) == ("APPROVED", EVERYTHING)


GATES = [
    ({"coverage_universe": 0.98}, EVERYTHING), ({"coverage_universe": 0.98 - 1e-6}, SELLS), ({"coverage_held": 0.99}, EVERYTHING),
    ({"coverage_held": 0.99 - 1e-6}, SELLS), ({"quality_halts": ("bars have no gaps",)}, SELLS),
    ({"quarantined": frozenset({"MBA", "MBD"})}, ["FX:EUR BUY", "MBH BUY", "MBL BUY"]),
    ({"incomplete": frozenset({"MBA", "MBD"})}, ["FX:EUR BUY", "MBA SELL", "MBH BUY", "MBL BUY"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "names"), GATES, ids=range(len(GATES)))
def test_poor_data_let_only_exits_through(changes: dict[str, object], names: list[str]) -> None:
    """RC-87: coverage and halting rules; no order on a quarantined bar; no buy with a missing feature."""
    facts = inputs(**changes)
    assert sent(facts, batch()) == ("APPROVED", names)
    if names == SELLS:
        assert status(facts, batch(), "RC-87") is Status.REDUCE_ONLY
        assert status(facts, (order("MBA", "SELL", 100),), "RC-87") is Status.WARN


def test_a_buy_that_covers_a_short_reduces_risk() -> None:
    """G5: |post| < |pre| with the same sign, also from below."""
    short = tuple(Decimal(-50) if name == "MBD" else p for name, p in zip(NAMES, inputs().positions, strict=True))
    facts = inputs(positions=short, quality_halts=("x",))
    assert sent(facts, (order("MBD", "BUY", 50),)) == ("APPROVED", ["MBD BUY"])
    assert sent(facts, (order("MBD", "BUY", 51),))[1] == []
