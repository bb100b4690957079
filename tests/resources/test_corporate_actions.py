"""What each kind of action does to shares, cash and a last price: written out by hand, and worth what it was worth before."""

import datetime as dt
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.corporate_actions import (
    ENDS,
    KINDS,
    CorporateAction,
    account_events,
    delisting_return,
    price_after,
    tellings,
    value_received,
)
from marketbot_resources.errors import HaltError

D = Decimal
EX = dt.date(2018, 12, 11)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
NAN = math.nan


def action(kind: str, amount: float = 0.0, ratio: float = 1.0, other: str = "", mic: str = "XNYS") -> CorporateAction:
    return CorporateAction("A", EX, kind, amount, ratio, "USD", OPEN, other, mic)


# 103 shares held, last close 10: kind, amount, ratio, other -> (instrument, shares, cash) of each event
CASES = {
    "dividend": (("CASH_DIVIDEND", 0.335), [("A", "0", "34.50")]),  # 34.505, half to even
    "special dividend": (("SPECIAL_DIVIDEND", 2.0), [("A", "0", "206.00")]),
    "split": (("SPLIT", 0.0, 4.0), [("A", "309", "0")]),
    "reverse split": (("SPLIT", 0.0, 0.2), [("A", "-83", "30.00")]),  # 20.6 shares, 0.6 at 10 / 0.2
    "spin-off": (("SPIN_OFF", 1.5, 0.5, "B"), [("B", "51", "1.50")]),  # 51.5 shares at 1.5 / 0.5
    "spin-off, not listed": (("SPIN_OFF", 1.5, 0.5), [("A", "0", "154.50")]),
    "spin-off, value unknown": (("SPIN_OFF", NAN, 0.5, "B"), [("B", "51", "0")]),
    "spin-off, nothing known": (("SPIN_OFF", NAN, 0.5), []),
    "merger for cash": (("MERGER", 11.25, 0.0, "B"), [("A", "-103", "1158.75")]),
    "merger for shares": (
        ("MERGER", 0.0, 0.3, "B"),
        [("A", "-103", "0"), ("B", "30", "30.00")],
    ),  # 30.9, 0.9 at 10 / 0.3
    "merger for both": (("MERGER", 4.0, 0.3, "B"), [("A", "-103", "412.00"), ("B", "30", "18.00")]),  # 0.9 at 6 / 0.3
    "merger, not listed": (("MERGER", 4.0, 0.3), [("A", "-103", "1030.00")]),  # 412 + 103 * 6
    "merger, unknown": (("MERGER", NAN, 0.0, "B"), []),
    "rename": (("RENAME", 0.0, 1.0, "NEW"), []),
    "delisting, paid": (("DELISTING", 0.07, 0.0, "BANKRUPTCY"), [("A", "-103", "7.21")]),
    "delisting, worthless": (("DELISTING", 0.0, 0.0, "BANKRUPTCY"), [("A", "-103", "0")]),
    "delisting, unknown": (("DELISTING", NAN, 0.0, "UNKNOWN"), []),
    "delisting, transfer": (("DELISTING", 0.0, 0.0, "TRANSFER"), []),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_action_books(name: str) -> None:
    """Whole shares, cash to the cent, an id of its own for each event, nothing for what is not known."""
    told, expected = CASES[name]
    made = account_events(action(*told), D(103), 10.0)
    assert [(e.instrument, e.quantity, e.amount) for e in made] == [(n, D(q), D(c)) for n, q, c in expected]
    assert len({e.event_id for e in made}) == len(made)
    assert account_events(action(*told), D(0), 10.0) == ()


@pytest.mark.parametrize(
    ("told", "price"),
    [
        (("CASH_DIVIDEND", 0.5), 9.5),
        (("SPECIAL_DIVIDEND", 12.0), NAN),
        (("SPLIT", 0.0, 4.0), 2.5),
        (("SPIN_OFF", 1.5, 0.5, "B"), 8.5),
        (("SPIN_OFF", NAN, 0.5, "B"), 10.0),
        (("RENAME", 0.0, 1.0, "NEW"), 10.0),
        (("DELISTING", NAN, 0.0, "UNKNOWN"), 7.0),  # Shumway 1997: -30 % in New York
        (("DELISTING", NAN, 0.0, "BANKRUPTCY", "XNAS"), 4.5),  # Shumway and Warther 1999: -55 % at Nasdaq
        (("DELISTING", NAN, 0.0, "VOLUNTARY", "XTKS"), 4.5),  # elsewhere the harsher of the two
        (("DELISTING", NAN, 0.0, "ACQUIRED"), 10.0),
        (("DELISTING", NAN, 0.0, "TRANSFER"), 10.0),
    ],
)
def test_a_last_price_after_an_action(told: tuple, price: float) -> None:
    """What a share is worth while no bar says it; a delisting of unknown value costs what delistings cost on average."""
    assert price_after(action(*told), 10.0) == pytest.approx(price, nan_ok=True)


def test_a_reason_that_nobody_told_counts_as_performance() -> None:
    """Only an acquisition and a transfer are no loss."""
    assert {reason: delisting_return("XNYS", reason) for reason in ("", "UNKNOWN", "ACQUIRED", "TRANSFER")} == {
        "": -0.30, "UNKNOWN": -0.30, "ACQUIRED": 0.0, "TRANSFER": 0.0,
    }  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([k for k in KINDS if k != "DELISTING"]), st.integers(1, 5000), st.floats(5.0, 500.0),
    st.floats(0.01, 0.9), st.floats(0.05, 20.0), st.sampled_from(["B", ""]),
)  # fmt: skip
def test_an_action_neither_makes_nor_destroys_value(
    kind: str, held: int, close: float, paid: float, ratio: float, other: str
) -> None:
    """Shares at the price after, shares received at their worth and cash add up to what the shares were worth before."""
    amount = close * paid if kind in ("CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPIN_OFF", "MERGER") else 0.0
    told = action(kind, amount, ratio, "NEW" if kind == "RENAME" else other)
    shares, cash = {"A": D(held)}, D(0)
    for event in account_events(told, D(held), close):
        shares[event.instrument] = shares.get(event.instrument, D(0)) + event.quantity
        cash += event.amount
    prices = {"A": price_after(told, close), "B": value_received(told, close) / ratio}
    after = math.fsum(float(q) * prices[name] for name, q in shares.items() if q) + float(cash)
    assert after == pytest.approx(held * close, abs=0.011 + 1e-9 * held * close)


def test_a_fraction_of_a_split_needs_a_price() -> None:
    """Cash of unknown size is not invented; a merger without a close moves the shares and pays no fraction."""
    for close in (None, NAN, 0.0):
        with pytest.raises(HaltError, match="close before the split"):
            account_events(action("SPLIT", 0.0, 1.5), D(3), close)
        moved = account_events(action("MERGER", 0.0, 0.3, "B"), D(103), close)
        assert [(e.instrument, e.quantity, e.amount) for e in moved] == [("A", D(-103), D(0)), ("B", D(30), D(0))]


def test_which_version_of_an_action_counts() -> None:
    """The last known by the ex open; else the first; an end whose value was unknown once more when it became known."""
    day = dt.timedelta(days=1)
    early, later, late = OPEN - 3 * day, OPEN - day, OPEN + 2 * day
    paid = [
        (early, action("CASH_DIVIDEND", 1.0)),
        (later, action("CASH_DIVIDEND", 2.0)),
        (late, action("CASH_DIVIDEND", 3.0)),
    ]
    assert [a.amount for _, a in tellings(paid[::-1])] == [2.0]
    assert [a.amount for _, a in tellings(paid[2:])] == [3.0]
    ends = [(early, action("DELISTING", NAN, 0.0, "UNKNOWN")), (late, action("DELISTING", 0.4, 0.0, "BANKRUPTCY")),
            (late + day, action("DELISTING", 0.5, 0.0, "BANKRUPTCY"))]  # fmt: skip
    found = [(a.effective_at, a.amount) for _, a in tellings(ends)]
    assert found[0][0] == OPEN
    assert math.isnan(found[0][1])
    assert found[1:] == [(late, 0.4)]
    assert [(a.effective_at, a.amount) for _, a in tellings(ends[2:])] == [(late + day, 0.5)]


def test_dividends_of_an_ex_session_come_before_its_split_and_its_end() -> None:
    """A dividend is per old share, and who held until the end still gets it."""
    kinds = [a.kind for _, a in tellings((OPEN, action(k, 1.0, 1.0, "UNKNOWN")) for k in reversed(KINDS))]
    assert kinds == list(KINDS)
    assert set(kinds[-2:]) == ENDS
