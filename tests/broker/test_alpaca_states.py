"""Every state of Alpaca's orders and every recorded error body has its meaning; what has none is UNKNOWN or unmapped, aloud."""

import json
from decimal import Decimal

import pytest
from alpaca_wire import recorded

from marketbot_resources.broker import broker_json
from marketbot_resources.broker.alpaca_states import STATES, UNMAPPED, refusal_of, state_of
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import OrderState

# alpaca-py's OrderStatus, by hand: (filled of 10) -> our state
EXPECTED = {
    "new": {0: "ACKED", 4: "PARTIAL"},
    "partially_filled": {4: "PARTIAL"},
    "filled": {10: "FILLED", 4: "UNKNOWN"},
    "done_for_day": {0: "DONE_FOR_DAY", 4: "DONE_FOR_DAY"},
    "canceled": {0: "CANCELED", 4: "CANCELED"},
    "expired": {0: "EXPIRED", 4: "EXPIRED"},
    "replaced": {0: "REPLACED", 4: "REPLACED"},
    "pending_cancel": {0: "ACKED", 4: "PARTIAL"},
    "pending_replace": {0: "ACKED", 4: "PARTIAL"},
    "pending_review": {0: "ACKED"},
    "accepted": {0: "ACKED"},
    "pending_new": {0: "ACKED"},
    "accepted_for_bidding": {0: "ACKED"},
    "stopped": {0: "ACKED", 4: "PARTIAL"},
    "rejected": {0: "REJECTED"},
    "suspended": {0: "ACKED", 4: "PARTIAL"},
    "calculated": {10: "FILLED", 4: "DONE_FOR_DAY", 0: "DONE_FOR_DAY"},
    "held": {0: "ACKED"},
}


def test_there_are_eighteen_states() -> None:
    """P4: all 18 of alpaca-py are mapped, none besides."""
    assert len(EXPECTED) == 18
    assert set(STATES) == set(EXPECTED)


@pytest.mark.parametrize(
    ("status", "filled", "expected"), [(s, f, e) for s, table in EXPECTED.items() for f, e in table.items()]
)
def test_states(status: str, filled: int, expected: str) -> None:
    """P4: each state with what has filled."""
    state, reason = state_of({"status": status, "qty": "10", "filled_qty": str(filled)})
    assert state.value == expected
    assert bool(reason) == (expected not in ("ACKED", "PARTIAL", "FILLED"))


@pytest.mark.parametrize("status", ["levitating", "NEW", "", None, Decimal(1), [], "new "])
def test_what_is_not_a_state_is_unknown_and_says_so(status: object) -> None:
    """P4: an unmapped state is UNKNOWN with a reason that an alert can find."""
    state, reason = state_of({"status": status, "qty": "10", "filled_qty": "0"})
    assert state is OrderState.UNKNOWN
    assert reason.startswith(UNMAPPED)


@pytest.mark.parametrize(("qty", "filled"), [("10", "11"), ("10", "-1"), (None, "0"), ("10", None)])
def test_impossible_quantities_are_unknown(qty: str | None, filled: str | None) -> None:
    """More filled than ordered, or nothing said: nobody knows."""
    assert state_of({"status": "new", "qty": qty, "filled_qty": filled})[0] is OrderState.UNKNOWN


WORDS = [
    "BUYING_POWER",
    "QUANTITY_HELD",
    "WASH_TRADE",
    "SUSPENDED_BY_USER",
    "NO_SHORTS",
    "PATTERN_DAY_TRADER",
    "NOT_PERMITTED",
    "ORDER_TYPE",
    "STOP_PRICE",
    "MALFORMED",
]


def test_every_recorded_error_has_its_word() -> None:
    """P6: one code (40310000) covers many causes; each recorded body is told apart by code, message and fields."""
    assert [refusal_of(status, json.dumps(body).encode()).word for status, body in recorded()] == WORDS


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (404, {"code": 40410000, "message": "position does not exist"}, "NOT_FOUND"),
        (404, {"code": 40410000, "message": "order not found for mb1-x"}, "NOT_FOUND"),
        (429, {"code": 42910000, "message": "rate limit exceeded"}, "RATE_LIMIT"),
        (422, {"code": 40310000, "message": "client_order_id already exists"}, "DUPLICATE_ID"),
        (422, {"code": 40010001, "message": "client_order_id must be unique"}, "DUPLICATE_ID"),
        (422, {"code": 42210000, "message": "potential wash trade detected. use complex orders"}, "WASH_TRADE"),
        (401, {"message": "unauthorized."}, "UNAUTHORIZED"),
        (403, {"message": "forbidden."}, "UNAUTHORIZED"),
        (403, {"code": 40310000, "message": "the moon is in the wrong phase"}, UNMAPPED),
        (422, {"code": 49999999, "message": "insufficient buying power"}, UNMAPPED),
        (422, {"message": 5}, UNMAPPED),
    ],
)
def test_errors_beside_the_recorded_ones(status: int, body: dict, word: str) -> None:
    """The rest of what is known, and what is not."""
    found = refusal_of(status, json.dumps(body).encode())
    assert found.word == word
    assert found.text.startswith(word)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{", b'{"code":NaN}', b'{"a":1,"a":2}', b"\xff", b"null"])
def test_an_error_without_alpacas_form_decides_nothing(body: bytes) -> None:
    """A proxy's page is no refusal of Alpaca's."""
    with pytest.raises(BrokerError):
        refusal_of(403, body)


def test_an_error_is_bounded_and_printable() -> None:
    """What the outside says stays one short printable line."""
    text = refusal_of(403, json.dumps({"code": 40310000, "message": "x\u202e\n\x1b[31m" + "y" * 10_000}).encode()).text
    assert len(text) < 300
    assert text.isascii()
    assert text.isprintable()


NUMBERS = {"1.50": "1.50", "-23140.2": "-23140.2", "1e3": "1E+3"}


@pytest.mark.parametrize("written", NUMBERS)
def test_numbers_are_exact(written: str) -> None:
    """In quotes or not, a number is the decimal that was written."""
    row = broker_json.row_of("x", broker_json.read("x", f'{{"a":{written},"b":"{written}"}}'.encode()))
    assert broker_json.number(row, "a") == broker_json.number(row, "b") == Decimal(NUMBERS[written])


@pytest.mark.parametrize("value", ['"NaN"', '"Infinity"', '"1e30"', '""', "true", "[]", '"1,5"', '"\u0661"'])
def test_what_is_no_number_is_refused(value: str) -> None:
    """No NaN, no infinity, no insane size, no other alphabet's digits."""
    row = broker_json.row_of("x", broker_json.read("x", f'{{"a":{value}}}'.encode()))
    with pytest.raises(BrokerError):
        broker_json.number(row, "a")
