"""ACTIVE, REDUCE_ONLY, FLATTEN, HALT: the table of causes, the strictest wins, and never less strict for a deeper drawdown."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.book.ladder import rung_of
from marketbot_assets.book.state import BookState, Lot, Rung
from marketbot_assets.book.step import opening_state
from marketbot_assets.book.trading_state import STRICTNESS, TRANSITIONS, TradingState, strictest, trading_state
from marketbot_resources.mandate import parse_mandate

LADDER = parse_mandate(Path(__file__).parents[2].joinpath("mandate.yaml").read_text(encoding="utf-8")).ladder
DAY = dt.date(2018, 12, 11)
HELD = (Lot("MBA", Decimal(10), 100.0, 100.0, 0.0, DAY),)
WORDS = ("off", "no-new-runs", "reduce-only", "flatten", "on", "cancel-all", "unreadable", "?")
ACTIVE, REDUCE_ONLY, FLATTEN, HALT = STRICTNESS


def book(**changes: object) -> BookState:
    return replace(opening_state(DAY, 1e6), **{"lots": HELD, **changes})  # type: ignore[arg-type]


def state(word: str = "off", /, **changes: object) -> TradingState:
    return trading_state(book(**changes), LADDER, halt_word=word)


@pytest.mark.parametrize(
    ("drawdown", "expected"),
    [(0.0, ACTIVE), (0.0999, ACTIVE), (0.10, REDUCE_ONLY), (0.1249, REDUCE_ONLY), (0.125, FLATTEN), (0.15, FLATTEN)],
)
def test_the_drawdown_moves_it(drawdown: float, expected: TradingState) -> None:
    """RC-60: the rungs of the default ladder."""
    assert state(drawdown=drawdown, rung=rung_of(drawdown, LADDER)) is expected
    assert state(drawdown=drawdown) is expected, "a rung that lags behind its drawdown does not help"


@pytest.mark.parametrize(("held", "expected"), [(HELD, FLATTEN), ((), HALT)], ids=["holding", "flat"])
def test_at_the_bottom_it_sells_until_flat_then_sends_nothing(held: object, expected: TradingState) -> None:
    """DESIGN: sells to cash pass above 15 %, too; the absolute floor and level flatten do the same."""
    assert state(drawdown=0.16, rung=Rung.HALT, halt_class="C", lots=held) is expected
    assert state(drawdown_inception=0.25, lots=held) is expected
    assert state("flatten", lots=held) is expected


@pytest.mark.parametrize(
    ("halt_class", "rung", "expected"),
    [
        ("", Rung.SCALED, ACTIVE),
        ("B", Rung.FULL, HALT),
        ("B", Rung.REDUCE_ONLY, REDUCE_ONLY),
        ("B", Rung.TO_CASH, FLATTEN),
        ("C", Rung.FULL, HALT),
        ("C", Rung.HALT, FLATTEN),
        ("D", Rung.FULL, HALT),
        ("D", Rung.HALT, HALT),
    ],
)
def test_a_halt_class_moves_it(halt_class: str, rung: Rung, expected: TradingState) -> None:
    """G8: an unknown class is the strictest."""
    assert state(halt_class=halt_class, rung=rung) is expected


@pytest.mark.parametrize(
    ("word", "expected"),
    list(zip(WORDS, (ACTIVE, ACTIVE, REDUCE_ONLY, FLATTEN, HALT, HALT, HALT, HALT), strict=True)),
)
def test_a_halt_level_moves_it(word: str, expected: TradingState) -> None:
    """RC-80: what cannot be understood sends nothing."""
    assert state(word) is expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None], ids=repr)
@pytest.mark.parametrize("field", ["drawdown", "drawdown_inception", "nav"])
def test_what_is_no_number_is_the_strictest(field: str, value: object) -> None:
    """G3: also under every level."""
    assert {state(word, **{field: value}) for word in WORDS} == {HALT}
    assert state(nav=0.0) is HALT


DEPTH = st.floats(min_value=0.0, max_value=0.99)


@given(DEPTH, DEPTH, st.sampled_from(WORDS), st.booleans(), st.booleans(), st.sampled_from(list(Rung)))
def test_never_less_strict_for_a_deeper_drawdown(
    one: float, other: float, word: str, halting: bool, overdue: bool, rung: Rung
) -> None:
    """Monotone in drawdown, whatever else holds."""
    low, high = sorted((one, other))
    mild, hard = (
        trading_state(book(drawdown=x, rung=rung), LADDER, halt_word=word, halting=halting, overdue=overdue)
        for x in (low, high)
    )
    assert STRICTNESS.index(mild) <= STRICTNESS.index(hard)


@given(st.sampled_from(WORDS), st.booleans(), st.booleans(), st.sampled_from(["", "B", "C"]))
def test_a_second_cause_never_lets_more_go(word: str, halting: bool, overdue: bool, halt_class: str) -> None:
    """The strictest of all causes wins."""
    both = trading_state(book(halt_class=halt_class), LADDER, halt_word=word, halting=halting, overdue=overdue)
    alone = [
        trading_state(book(), LADDER, halt_word=word),
        trading_state(book(halt_class=halt_class), LADDER, halt_word="off"),
        trading_state(book(), LADDER, halt_word="off", halting=halting, overdue=overdue),
    ]
    assert both is strictest(alone)


def test_the_table_names_every_state_but_the_first_and_how_to_leave_it() -> None:
    """No cause without a way back; nothing at all is HALT."""
    assert {row.to for row in TRANSITIONS} == set(TradingState) - {TradingState.ACTIVE}
    assert all(row.cause and row.back for row in TRANSITIONS)
    assert strictest(()) is TradingState.HALT
