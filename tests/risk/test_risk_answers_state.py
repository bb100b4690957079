"""Whole answers of the controls on the state of the book: RC-31, 60 to 64. Every number is written out by hand."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from answer_rows import BUYS, DROP, HALT, NAN, PASS, REDUCE, SHRINK, WARN, D, holding, limits, projected, row
from risk_world import NAMES, NAV, SESSION, answers, batch, book_state, drawn_down, inputs, order

from marketbot_assets.book.state import Rung, StopHit
from marketbot_assets.risk import state_controls as state
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_resources.model import Order

SALE = (order("MBA", "SELL", 100),)
TRADES = (order("MBB", "BUY", 100), order("MBA", "SELL", 100))
B = "mb1-mbb-buy"


def booked(**changes: object) -> RiskInputs:
    return inputs(book=book_state(**changes))


def deep(depth: float, rung: Rung = Rung.FULL, **changes: object) -> RiskInputs:
    return inputs(book=drawn_down(depth, rung, **{"multiple": 1.0, **changes}))


# RC-31


@pytest.mark.parametrize(
    ("no_buys", "trim", "passive", "expected"),
    [
        (0.02, 0.03, (("MBC", 9),), {"": (PASS, (), 1.0, None, 0.02, None)}),
        (0.015, 0.03, (("MBC", 9),),
         {"MBB": (SHRINK, (B,), 0.0, 0.02, 0.015, -0.005), "MBC": (WARN, (), 0.0, 0.02, 0.015, -0.005)}),
        (0.015, 0.018, (("MBC", 2), ("MBA", 9)),
         {"MBC": (WARN, (), 0.0, 0.02, 0.015, -0.005), "MBA": (WARN, (), 0.0, 0.02, 0.015, -0.005)}),
        (0.015, 0.018, (("MBC", 3),), {"MBC": (SHRINK, (B,), 0.0, 0.02, 0.018, -0.002)}),
        (0.015, 0.02, (("MBC", 3),), {"MBC": (WARN, (), 0.0, 0.02, 0.015, -0.005)}),
    ],
)  # fmt: skip
def test_names_that_drifted_too_far(
    no_buys: float, trim: float, passive: tuple[tuple[str, int], ...], expected: dict[str, tuple[object, ...]]
) -> None:
    """RC-31: 2 % each; nothing at the limit, the name alone beyond it, everything when a trim is overdue; a sale is a trim."""
    mandate = limits(("limits.passive_breach.no_buys", no_buys), ("limits.passive_breach.trim", trim))
    found = answers(state.passive, booked(passive=passive), TRADES, mandate)
    assert {key: row(found[key]) for key in expected} == expected
    assert len(found) == (1 if "" in expected else 7)


def test_a_name_of_unknown_weight_stops_every_buy() -> None:
    """RC-31: no price; and a short name counts by its size."""
    price = inputs().price.copy()
    price[NAMES.index("MBC")] = NAN
    found = answers(state.passive, inputs(price=price), TRADES)
    assert {key: row(r) for key, r in found.items()} == {"MBC": (SHRINK, (B,), 0.0, None, 0.05, None)}
    short = answers(state.passive, inputs(positions=holding(MBB=-600)), TRADES)
    assert row(short["MBB"]) == (WARN, (), 0.0, 0.06, 0.05, -0.01)


# RC-60


def test_the_drawdown_is_the_worse_of_two() -> None:
    """The book's and the one from this NAV, never below zero; unknown numbers and other sessions raise."""
    for told, high, expected in (
        (0.05, NAV, 0.05),
        (0.01, NAV / 0.93, 0.07),
        (0.0, NAV / 1.2, 0.0),
        (-0.1, NAV / 1.2, 0.0),
    ):
        p = projected(booked(drawdown=told, reference_high=high))
        assert state.drawdown(p) == pytest.approx(expected, abs=1e-12)
    small = projected(inputs(nav=0.45, book=book_state(drawdown=0.0, reference_high=0.5)))
    assert state.drawdown(small) == pytest.approx(0.1)
    for changes in ({"drawdown": NAN}, {"reference_high": 0.0}, {"reference_high": NAN}, {"nav": NAN}):
        with pytest.raises(ValueError, match="unknown"):
            state.drawdown(projected(booked(**changes)))
    with pytest.raises(ValueError, match="expected"):
        state.drawdown(projected(booked(session=SESSION - dt.timedelta(1))))


@pytest.mark.parametrize(
    ("seen", "at", "expected"),
    [
        (0.1, 0.1, True), (0.1 - 9e-10, 0.1, True), (0.1 - 1.1e-9, 0.1, False), (0.2, 0.1, True), (0.0, NAN, True),
        (0.0, math.inf, True), (NAN, 0.1, True),
    ],
)  # fmt: skip
def test_a_step_is_reached_within_the_tolerance_and_when_unknown(seen: float, at: float, expected: bool) -> None:
    """RC-60, RC-61."""
    assert state.reached(seen, at) is expected


STEPS = [
    (0.0, Rung.FULL, 1.0, Rung.FULL, 1.0), (0.0499, Rung.FULL, 1.0, Rung.FULL, 1.0), (0.05, Rung.FULL, 1.0, Rung.SCALED, 1.0),
    (0.075, Rung.FULL, 1.0, Rung.SCALED, 0.75), (0.075, Rung.FULL, 0.6, Rung.SCALED, 0.6),
    (0.02, Rung.SCALED, 1.0, Rung.SCALED, 1.0),
    (0.1, Rung.FULL, 1.0, Rung.REDUCE_ONLY, 0.25), (0.1, Rung.FULL, 0.2, Rung.REDUCE_ONLY, 0.2),
    (0.02, Rung.REDUCE_ONLY, 1.0, Rung.REDUCE_ONLY, 0.25), (0.125, Rung.SCALED, 1.0, Rung.TO_CASH, 0.0),
    (0.02, Rung.TO_CASH, 1.0, Rung.TO_CASH, 0.0), (0.15, Rung.FULL, 1.0, Rung.HALT, 0.0), (0.0, Rung.HALT, 1.0, Rung.HALT, 0.0),
    (0.0, Rung.FULL, 0.0, Rung.FULL, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "rung", "own", "expected", "multiple"), STEPS)
def test_the_rung_and_its_factor(depth: float, rung: Rung, own: float, expected: Rung, multiple: float) -> None:
    """RC-60: the stricter of both; from 5 to 10 % the factor falls in a straight line from 1 to 0.5."""
    p = projected(deep(depth, rung, multiple=own))
    assert state.rung(p) is expected
    assert state.ladder_multiple(p) == pytest.approx(multiple, abs=1e-12)


def test_the_factor_at_odd_settings() -> None:
    """RC-60: beyond the end of the scale its end; a scale without length is at its end; a factor outside of [0, 1] raises."""
    assert state.ladder_multiple(projected(deep(0.11), limits(("ladder.reduce_only.at", 0.12)))) == pytest.approx(0.5)
    assert state.ladder_multiple(projected(deep(0.06), limits(("ladder.scale.to", 0.05)))) == pytest.approx(0.5)
    for own in (1.001, -0.001, NAN):
        with pytest.raises(ValueError, match="multiple"):
            state.ladder_multiple(projected(deep(0.0, multiple=own)))


@pytest.mark.parametrize(
    ("lost", "high", "floor", "expected"),
    [
        (0.25, NAV, 0.25, True), (0.25 - 9e-10, NAV, 0.25, True), (0.25 - 1.1e-9, NAV, 0.25, False), (0.0, NAV / 0.75, 0.25, True),
        (0.0, NAV / 0.76, 0.25, False), (0.0, 0.0, 0.25, True), (NAN, NAV, 0.25, True), (0.0, NAV, NAN, True),
        (0.0, NAV, math.inf, True), (-math.inf, NAV, 0.25, True),
    ],
)  # fmt: skip
def test_the_absolute_floor(lost: float, high: float, floor: float, expected: bool) -> None:
    """RC-60: 25 % below the high since inception by either count; unknown counts, and the rung is HALT."""
    mandate = limits(("ladder.absolute_floor.drawdown_from_inception_high", floor))
    p = projected(booked(drawdown_inception=lost, inception_high=high), mandate)
    assert state.below_floor(p) is expected
    assert (state.rung(p) is Rung.HALT) is expected


COVER = (order("MBA", "BUY", 100),)
LADDER = [
    (deep(0.0), batch(), (PASS, (), 1.0, 0.0, 0.05, 0.05)),
    (deep(0.07), batch(), (WARN, (), 1.0, 0.07, 0.05, -0.02)),
    (deep(0.1), batch(), (REDUCE, BUYS, 0.0, 0.1, 0.1, 0.0)),
    (deep(0.1), SALE, (WARN, (), 0.0, 0.1, 0.1, 0.0)),
    (deep(0.02, Rung.TO_CASH), batch(), (REDUCE, BUYS, 0.0, 0.02, 0.125, 0.105)),
    (deep(0.15), batch(), (REDUCE, BUYS, 0.0, 0.15, 0.15, 0.0)),
    (deep(0.15), SALE, (WARN, (), 0.0, 0.15, 0.15, 0.0)),
    (deep(0.15), batch()[:3], (HALT, (), 0.0, 0.15, 0.15, 0.0)),
    (deep(0.05, Rung.HALT), batch(), (HALT, (), 0.0, 0.05, 0.15, 0.1)),
    (deep(0.0, halt_class="B"), batch(), (PASS, (), 1.0, 0.0, 0.05, 0.05)),
    (deep(0.0, halt_class="C"), batch(), (HALT, (), 0.0, 0.0, 0.05, 0.05)),
    (deep(0.125, halt_class="C"), batch(), (REDUCE, BUYS, 0.0, 0.125, 0.125, 0.0)),
    (booked(drawdown_inception=0.25), batch(), (REDUCE, BUYS, 0.0, 0.0, 0.15, 0.15)),
    (replace(deep(0.15), positions=holding(MBA=-300)), COVER, (HALT, (), 0.0, 0.15, 0.15, 0.0)),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "orders", "expected"), LADDER, ids=range(len(LADDER)))
def test_the_ladder_answers(facts: RiskInputs, orders: tuple[Order, ...], expected: tuple[object, ...]) -> None:
    """RC-60: noted, no risk added, sells to cash, HALT; buying back a short is no sale."""
    (found,) = answers(state.ladder, facts, orders).values()
    assert row(found) == expected
    assert (found.message == "") is (expected[0] is PASS)
    with pytest.raises(ValueError, match="halt class"):
        answers(state.ladder, booked(halt_class="D"))


# RC-61


def lost(*history: float, nav: float = NAV, **changes: object) -> RiskInputs:
    return inputs(nav=nav, book=book_state(nav_history=history, **changes))


HISTORY = (5e6, 1.02e6, 1e6, 1e6, 1e6, 1.01e6)
DAY, WEEK = 1.0 - 1.0 / 1.01, 1.0 - 1.0 / 1.02


@pytest.mark.parametrize(
    ("facts", "day", "week"),
    [
        (lost(*HISTORY, NAV), DAY, WEEK), (lost(*HISTORY, 0.999e6), 1 - 0.999 / 1.01, 1 - 0.999 / 1.02),
        (lost(*HISTORY, 1.1e6, nav=0.999e6), 1 - 0.999 / 1.01, 1 - 0.999 / 1.02), (lost(NAV), 0.0, 0.0),
        (lost(1.01e6, NAV), DAY, DAY),
    ],
)  # fmt: skip
def test_losses_of_the_day_and_of_five_sessions(facts: RiskInputs, day: float, week: float) -> None:
    """RC-61: against the close before and the sixth last one, from the worse of both NAVs."""
    found = answers(state.loss, facts, batch())
    assert row(found["day"]) == (PASS, (), 0.0, day, 0.02, 0.02 - day)
    assert row(found["week"]) == (PASS, (), 0.0, week, 0.04, 0.04 - week)
    assert row(found["rest of the period"]) == (PASS, (), 0.0, None, None, None)
    assert {(r.message, r.unit) for r in found.values()} == {("", "fraction of NAV")}


def test_a_unit_of_money_is_a_book_too() -> None:
    """RC-60, RC-61: half a unit is a positive NAV."""
    tiny = lost(0.5, 0.495, nav=0.495, inception_high=0.5)
    assert row(answers(state.loss, tiny)["day"]) == (PASS, (), 0.0, 0.01, 0.02, 0.01)
    assert not state.below_floor(projected(tiny))


def test_losses_that_stop_buying_or_halt() -> None:
    """RC-61: at 2 % of the day, 4 % of the week, a note of the book, 4 % of the day, class B outside of the ladder's rungs."""
    day, week, halt = lost(NAV / 0.98, NAV), lost(NAV / 0.96, NAV, NAV, NAV, NAV, NAV), lost(NAV / 0.96, NAV)
    assert row(answers(state.loss, day, batch())["day"]) == (REDUCE, BUYS, 0.0, 0.02, 0.02, 0.0)
    assert row(answers(state.loss, day, SALE)["day"]) == (WARN, (), 0.0, 0.02, 0.02, 0.0)
    found = answers(state.loss, week, batch())
    assert (row(found["week"]), found["day"].status) == ((REDUCE, BUYS, 0.0, 0.04, 0.04, 0.0), PASS)
    noted = answers(state.loss, booked(no_buys="week"), batch())["rest of the period"]
    assert (row(noted), noted.message) == ((REDUCE, BUYS, 0.0, None, None, None), "no buys: week")
    assert {k: row(r) for k, r in answers(state.loss, halt, batch()).items()} == {
        "halt": (HALT, (), 0.0, 0.04, 0.04, 0.0)
    }
    for rung, key in (
        (Rung.FULL, True),
        (Rung.SCALED, True),
        (Rung.HALT, True),
        (Rung.REDUCE_ONLY, False),
        (Rung.TO_CASH, False),
    ):
        assert ("halt" in answers(state.loss, booked(halt_class="B", rung=rung), batch())) is key
    assert "halt" not in answers(state.loss, booked(halt_class="C"), batch())


@pytest.mark.parametrize("history", [(), (NAN,), (NAV, 0.0), (-1.0, NAV), (math.inf, NAV)])
def test_an_unreadable_history_raises(history: tuple[float, ...]) -> None:
    """RC-61: so do an unknown NAV and a note that is no text."""
    with pytest.raises(ValueError, match="history"):
        answers(state.loss, lost(*history))
    with pytest.raises(ValueError, match="NAV"):
        answers(state.loss, inputs(nav=NAN))
    with pytest.raises(TypeError):
        answers(state.loss, booked(no_buys=None))


# RC-62, RC-63, RC-64


def hits(name: str, control: str = "RC-62", **changes: object) -> RiskInputs:
    facts = inputs(**changes)
    return replace(facts, book=replace(facts.book, stop_hits=(StopHit(name, control, 90.0, 95.0),)))


def opened(name: str, quantity: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(quantity if other == name else 0) for other in NAMES)


AGES = np.where(np.array(NAMES) == "MBC", 1.0, 0.0)
STOPS = [
    (hits("MBC"), batch(), (SHRINK, BUYS, 0.0, 1.0, 0.0, -1.0)),
    (hits("MBC"), SALE, (WARN, (), 0.0, 1.0, 0.0, -1.0)),
    (hits("MBA"), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBD"), batch(), (SHRINK, (D,), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBC", open_quantity=opened("MBC", -1)), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBC", open_quantity=opened("MBC", 1)), batch(), (SHRINK, BUYS, 0.0, 1.0, 0.0, -1.0)),
    (hits("MBC", open_quantity=opened("MBC", -200)), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBC", price_age_sessions=AGES), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBF"), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBC"), (order("MBC", "BUY", 1),), (SHRINK, ("mb1-mbc-buy",), 0.0, 1.0, 0.0, -1.0)),
    (hits("ZZZ"), batch(), (WARN, (), 0.0, 0.0, 0.0, 0.0)),
    (hits("MBC", positions=holding(MBC=1)), batch()[:1], (SHRINK, (D,), 0.0, 1.0, 0.0, -1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "orders", "expected"), STOPS, ids=range(len(STOPS)))
def test_a_stop_wants_its_exit_first(
    facts: RiskInputs, orders: tuple[Order, ...], expected: tuple[object, ...]
) -> None:
    """RC-62 and RC-63 alike, each its own hits: nothing is bought while an exit that could go is missing; the name never."""
    (found,) = answers(state.stop, facts, orders).values()
    assert row(found) == expected
    assert found.message.endswith("missing") is (expected[3] == 1.0)
    (hit,) = facts.book.stop_hits
    trailing = replace(facts, book=replace(facts.book, stop_hits=(replace(hit, control="RC-63"),)))
    assert row(answers(state.trail, trailing, orders)[hit.instrument]) == expected
    assert row(answers(state.stop, trailing, orders)[""]) == (PASS, (), 1.0, 0.0, 0.0, 0.0)
    assert row(answers(state.trail, facts, orders)[""]) == (PASS, (), 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "days", "key", "expected"),
    [
        ("MBD", 1, "MBD", (DROP, (D,), 0.0, 1.0, 0.0, -1.0)), ("MBC", 1, "MBC", (WARN, (), 0.0, 0.0, 0.0, 0.0)),
        ("MBD", 0, "", (PASS, (), 1.0, 0.0, 0.0, 0.0)), ("MBD", -1, "", (PASS, (), 1.0, 0.0, 0.0, 0.0)),
    ],
)  # fmt: skip
def test_a_blocked_name_waits_for_its_session(name: str, days: int, key: str, expected: tuple[object, ...]) -> None:
    """RC-64: from that session on it may be bought."""
    found = answers(state.blocked, booked(blocked=((name, SESSION + dt.timedelta(days)),)), batch())
    assert {k: row(r) for k, r in found.items()} == {key: expected}
