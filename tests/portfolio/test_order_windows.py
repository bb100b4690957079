"""Windows of orders: the broker's terms x the session of the exchange, half days and closures included, to the second."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from marketbot_assets.portfolio.windows import refusal_of, window_of, windows_of
from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES as ALPACA
from marketbot_resources.broker_table import BROKERS
from marketbot_resources.closures import expanded
from marketbot_resources.ibkr_terms import IBKR_CAPABILITIES as IBKR
from marketbot_resources.model import OrderType as T
from marketbot_resources.paper_terms import PAPER_CAPABILITIES as PAPER

ONE = Decimal(1)


def at(day: int, hour: int, minute: int, second: int = 0) -> dt.datetime:
    """An instant of December 2018, UTC; New York is five hours behind."""
    return dt.datetime(2018, 12, day, hour, minute, second, tzinfo=dt.UTC)


EVENING = at(10, 23, 15)  # Monday, 18:15 in New York
WINDOWS = [
    # what, type, mic, cutoff, broker, from, until
    ("paper, as ever", T.LIMIT_ON_OPEN, "XNYS", EVENING, PAPER, EVENING, at(11, 14, 25)),
    ("paper takes a closing order at once", T.MARKET_ON_CLOSE, "XNYS", EVENING, PAPER, EVENING, at(11, 20, 55)),
    ("paper takes a day order at once", T.LIMIT, "XNYS", EVENING, PAPER, EVENING, at(11, 20, 45)),
    # 19:00 in New York is midnight UTC; the cut-offs are 9:28 and 15:50, five minutes are ours
    ("Alpaca, opening", T.LIMIT_ON_OPEN, "XNYS", EVENING, ALPACA, at(11, 0, 0), at(11, 14, 23)),
    ("Alpaca, closing", T.LIMIT_ON_CLOSE, "XNAS", EVENING, ALPACA, at(11, 0, 0), at(11, 20, 45)),
    ("Alpaca, late cutoff", T.MARKET_ON_OPEN, "XNYS", at(11, 2, 0), ALPACA, at(11, 2, 0), at(11, 14, 23)),
    ("Alpaca, day", T.LIMIT, "ARCX", EVENING, ALPACA, at(11, 14, 30), at(11, 20, 45)),
    # Friday's orders are for Monday: taken from Sunday evening
    ("Alpaca, weekend", T.LIMIT_ON_OPEN, "XNYS", at(7, 23, 15), ALPACA, at(10, 0, 0), at(10, 14, 23)),
    # Christmas Eve closes at 13:00: the closing order ends at 12:45
    ("Alpaca, half day", T.LIMIT_ON_CLOSE, "XNYS", at(21, 23, 15), ALPACA, at(24, 0, 0), at(24, 17, 45)),
    ("half day, day order", T.LIMIT, "XNYS", at(21, 23, 15), ALPACA, at(24, 14, 30), at(24, 17, 45)),
    ("IBKR, London", T.LIMIT_ON_OPEN, "XLON", EVENING, IBKR, EVENING, at(11, 7, 40)),
    ("IBKR, half day", T.MARKET_ON_CLOSE, "XNYS", at(21, 23, 15), IBKR, at(21, 23, 15), at(24, 17, 40)),
    # 20:00 UTC on Monday: New York still trades; an order for Tuesday's auctions goes when that session has ended
    ("IBKR, before the close", T.LIMIT_ON_OPEN, "XNYS", at(10, 20, 0), IBKR, at(10, 21, 0), at(11, 14, 10)),
    # the cutoff leaves exactly five minutes of the window, then a second less
    ("Alpaca, barely", T.LIMIT_ON_OPEN, "XNYS", at(11, 14, 17, 59), ALPACA, at(11, 14, 17, 59), at(11, 14, 23)),
    ("Alpaca, missed", T.LIMIT_ON_OPEN, "XNYS", at(11, 14, 18), ALPACA, at(12, 0, 0), at(12, 14, 23)),
]


@pytest.mark.parametrize("case", WINDOWS, ids=[case[0] for case in WINDOWS])
def test_windows(case: tuple[object, ...]) -> None:
    """[send_from, send_until] worked out by hand."""
    _, kind, mic, after, terms, begin, end = case
    found = window_of(kind, mic, after, terms)  # type: ignore[arg-type]
    assert (found.send_from, found.send_until) == (begin, end)


def test_a_closure_moves_the_window() -> None:
    """The mandate closes New York on Tuesday: the order is for Wednesday."""
    off = expanded({"XNYS": [dt.date(2018, 12, 11)]})
    assert window_of(T.LIMIT_ON_OPEN, "XNAS", EVENING, ALPACA, off).send_until == at(12, 14, 23)


REFUSALS = [
    (T.LIMIT_ON_OPEN, "XNYS", ONE, ALPACA, ""),
    (T.LIMIT_ON_OPEN, "XTKS", ONE, ALPACA, "does not reach XTKS"),
    (T.LIMIT_ON_OPEN, "XTKS", ONE, PAPER, ""),
    (T.LIMIT_ON_CLOSE, "XNYS", ONE, replace(ALPACA, close_auction=None), "has no LIMIT_ON_CLOSE"),
    (T.LIMIT, "XNYS", ONE, replace(ALPACA, close_auction=None, open_auction=None), ""),
    (T.LIMIT, "XNYS", ONE, replace(ALPACA, types=frozenset({T.LIMIT_ON_OPEN})), "has no LIMIT"),
    (T.LIMIT, "XNYS", Decimal("0.01"), ALPACA, ""),
    (T.LIMIT_ON_OPEN, "XNYS", Decimal("0.01"), ALPACA, "takes no parts of a share"),
    (T.LIMIT, "XNYS", Decimal("0.01"), IBKR, "takes no parts of a share"),
]


@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_a_broker_that_cannot_says_why(case: int) -> None:
    """Exchange, type, auction and parts of a share; there is no other type instead."""
    kind, mic, step, terms, text = REFUSALS[case]
    found = refusal_of(kind, mic, step, terms)
    assert text in found
    assert bool(found) is bool(text)


def test_windows_of_many_keep_their_order() -> None:
    """One window and one reason per instrument."""
    found = windows_of(T.LIMIT_ON_OPEN, ("XTKS", "XNYS", "XTKS"), (ONE,) * 3, EVENING, ALPACA)
    assert [bool(why) for why in found.refusal] == [True, False, True]
    assert found.send_until[1] == at(11, 14, 23)


def test_every_broker_of_the_mandate_has_a_row() -> None:
    """The table names the brokers that a mandate can, each by its own name."""
    assert sorted(BROKERS) == ["alpaca", "ibkr", "paper"]
    assert all(name == row.name for name, row in BROKERS.items())
    assert [name for name, row in BROKERS.items() if row.at_once] == ["paper"]
