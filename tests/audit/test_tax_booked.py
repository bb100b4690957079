"""Corporate actions as the book books them, through the tax lots: shares and cash are the book's, and the rows say it."""

import csv
import datetime as dt
import io
import math
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tax_world import ONE, START, D, action, day, trade

from marketbot_assets.audit.tax_booked import happening
from marketbot_assets.audit.tax_check import Flow, check_cash, check_profit
from marketbot_assets.audit.tax_lots import LotBook
from marketbot_assets.audit.tax_moves import Move
from marketbot_assets.audit.tax_rows import (
    DIVIDEND_COLUMNS,
    LOT_COLUMNS,
    Listed,
    Withheld,
    csv_text,
    dividend_rows,
    lot_rows,
)
from marketbot_assets.tax_facts import Rates
from marketbot_resources.corporate_actions import CorporateAction, account_events

KINDS = ("CASH_DIVIDEND", "SPLIT", "SPIN_OFF", "SPIN_OFF_UNLISTED", "MERGER", "MERGER_CASH", "DELISTING")


@st.composite
def books(draw: st.DrawFn) -> tuple[list[Move], dict[str, Decimal], Decimal]:
    """(moves, shares, cash): buys, sells and actions of X, as `account_events` books them."""
    moves: list[Move] = []
    shares, cash = {"X": D(0), "Y": D(0)}, D(0)
    for n in range(draw(st.integers(2, 8))):
        kind = draw(st.sampled_from(("BUY", "BUY", "SELL", *KINDS)))
        if kind == "BUY" or (kind == "SELL" and shares["X"]):
            count = draw(st.integers(1, 50 if kind == "BUY" else int(shares["X"])))
            move = trade(f"t{n}", kind, day(n), count, D(draw(st.integers(count, 9999))) / 100, D("0.01"))
            moves.append(move)
            shares["X"] += count if kind == "BUY" else -count
            cash += move.net if kind == "SELL" else -move.net
        elif kind in KINDS:
            amount, ratio = draw(st.sampled_from([0.31, 2.5, 19.0])), draw(st.sampled_from([0.1, 0.75, 1.5, 3.0]))
            name, other = kind.removesuffix("_UNLISTED").removesuffix("_CASH"), "" if "_" in kind else "Y"
            other = "Y" if kind == "SPIN_OFF" else other
            at = dt.datetime.combine(day(n), dt.time(14, 30), tzinfo=dt.UTC)
            event = CorporateAction("X", day(n), name, amount, ratio, "USD", at, other, "XNYS")
            booked = {one.event_id: one for one in account_events(event, shares["X"], 20.0)}
            reference = f"X|{day(n)}|{name}"
            own, given_ = booked.get(reference), booked.get(f"{reference}|Y")
            pairs = [None if one is None else (one.quantity, one.amount) for one in (own, given_)]
            found = happening(event, reference, shares["X"], day(n), ONE, 20.0, *pairs)
            if found is not None:
                moves.append(found)
            for one in booked.values():
                shares[one.instrument] += one.quantity
                cash += one.amount
    return moves, shares, cash


@given(books(), st.sampled_from(["fifo", "average"]))
@settings(max_examples=80)
def test_lots_follow_the_book(found: tuple[list[Move], dict[str, Decimal], Decimal], method: str) -> None:
    """Shares are the book's; cash is proceeds and dividends less all costs, to the cent."""
    moves, shares, cash = found
    book = LotBook("USD", method).run(moves)
    assert book.held() == {name: held for name, held in shares.items() if held}
    checks = check_cash(book, moves)
    assert [(one.moved, one.difference) for one in checks] == ([(cash, 0)] if moves else [])
    assert all(one.gain is not None for one in book.disposals)


def spin(amount: float, close: float) -> object:
    event = CorporateAction(
        "X", START, "SPIN_OFF", amount, 0.5, "USD", dt.datetime(2024, 1, 1, 14, 30, tzinfo=dt.UTC), "Y", "XNYS"
    )
    found = happening(event, "r", D(10), START, ONE, close, None, (D(5), D(0)))
    assert found is not None
    return found.part_moved


@pytest.mark.parametrize(
    ("amount", "close", "part"),
    [(5.0, 20.0, D("0.25")), (math.nan, 20.0, None), (5.0, math.nan, None), (20.0, 20.0, None), (0.0, 20.0, None)],
    ids=["known", "no value", "no close", "all of it", "nothing"],
)
def test_part_of_a_spin_off(amount: float, close: float, part: Decimal | None) -> None:
    """Value over the last close; unknown, nothing or all of it is no part."""
    assert spin(amount, close) == part


def test_a_rename_and_an_end_of_unknown_value_move_nothing() -> None:
    """The shares stay open lots."""
    at = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    for kind, amount in (("RENAME", 0.0), ("DELISTING", math.nan), ("MERGER", math.nan)):
        event = CorporateAction("X", START, kind, amount, 0.0, "USD", at, "", "XNYS")
        assert happening(event, "r", D(10), START, ONE, 20.0, None, None) is None


def listed(name: str, on: dt.date) -> Listed:
    return Listed("=OLD" if on < day(50) else "NEW", "XNYS", "US0000000001")


def test_rows_and_file() -> None:
    """A loss, washed, by hand: every column that a reader adds up, both tickers, and a cell that is no formula."""
    moves: list[Move] = [
        trade("a", "BUY", START, 10, 100, 1),
        trade("b", "SELL", day(100), 10, 60, 2),
        trade("c", "BUY", day(110), 4, 20),
    ]
    book = LotBook("USD", "fifo", wash_days=30).run(moves)
    rows = lot_rows(
        book.disposals, listed, base="USD", terms=True, window=dt.timedelta(days=30), known_until=day(129)
    )  # fmt: skip
    text = csv_text(["head"], LOT_COLUMNS, rows)
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("# head\n")))
    told = {name: row[name] for name in ("proceeds", "disposal_costs", "cost", "acquisition_costs", "gain")}
    assert told == {
        "proceeds": "58.00",
        "disposal_costs": "2.00",
        "cost": "101.00",
        "acquisition_costs": "1.00",
        "gain": "-43.00",
    }
    assert (row["disallowed_base"], row["allowed_gain_base"], row["replaced_by"]) == ("17.20", "-25.80", "c")
    assert (row["term"], row["days_held"], row["may_change_until"]) == ("short", "100", day(130).isoformat())
    assert (row["ticker_acquired"], row["ticker_disposed"], row["quantity"]) == ("'=OLD", "NEW", "10")


def test_dividends_and_withheld() -> None:
    """One row each, by day; what was withheld is negative and has no shares."""
    book = LotBook("USD", "fifo").run([action("CASH_DIVIDEND", day(9), 10, cash=D("7.50"))])
    tax = Withheld("X", day(9), "USD", D("-1.13"), D("-1.13"), day(9), "tax-1")
    rows = dividend_rows(book.dividends, [tax], listed, base="USD")
    assert [(row["event"], row["shares"], row["amount"]) for row in rows] == [
        ("CASH_DIVIDEND", 10, D("7.50")),
        ("WITHHELD", None, D("-1.13")),
    ]
    assert csv_text([], DIVIDEND_COLUMNS, rows).splitlines()[2].endswith("USD,-1.13,USD,2024-01-10,-1.13,tax-1")


@pytest.mark.parametrize(
    ("attributed", "value", "meets", "names"),
    [(15.0, 60.0, True, 1), (15.5, 60.0, False, 1), (15.0, math.nan, True, 0), (math.nan, 60.0, True, 0)],
    ids=["same", "other profit", "no value", "no attribution"],
)
def test_profit_check(attributed: float, value: float, meets: bool, names: int) -> None:
    """10 bought for 100, 5 sold for 55, the rest worth 60: 5 + 10 earned. What is unknown is left out and named."""
    moves: list[Move] = [trade("a", "BUY", START, 10, 100), trade("b", "SELL", day(1), 5, 55)]
    book = LotBook("USD", "fifo").run(moves)
    flows = [Flow("X", "USD", D(-100), 1.0, 1.0), Flow("X", "USD", D(55), 1.0, 1.0)]
    check = check_profit(book, moves, flows, {"X": attributed}, {"X": value})
    assert (check.meets, check.names, check.left_out) == (meets, names, () if names else ("X",))


def test_profit_check_counts_the_rates() -> None:
    """The book turned the sale into base at 1.1, the row at 1.0: 5.50 of the profit are the rate's."""
    moves: list[Move] = [trade("a", "BUY", START, 10, 100), trade("b", "SELL", day(1), 10, 55)]
    book = LotBook("USD", "fifo").run(moves)
    flows = [Flow("X", "USD", D(-100), 1.0, 1.0), Flow("X", "USD", D(55), 1.1, 1.0)]
    check = check_profit(book, moves, flows, {"X": 60.5 - 100.0}, {})
    assert check.rates == pytest.approx(5.5)
    assert check.meets


def test_rates_by_day() -> None:
    """The day's fixing, on a day without one the newest before it; before the first there is none. The newest telling counts."""
    told = [("GBP", "2024-01-05", 1.27, 1), ("GBP", "2024-01-05", 1.28, 2), ("GBP", "2024-01-08", 1.3, 1)]
    told += [("GBP", "2024-01-09", math.nan, 1), ("EUR", "2024-01-05", 1.1, 1)]
    fx = pd.DataFrame(
        {
            "currency": [row[0] for row in told],
            "session": pd.to_datetime([row[1] for row in told]),
            "rate": [row[2] for row in told],
            "known_at": pd.to_datetime([f"2024-01-{9 + row[3]}" for row in told], utc=True),
        }
    )
    rates = Rates(fx, "USD")
    days = {4: (None, None), 5: (D("1.28"), 5), 7: (D("1.28"), 5), 8: (D("1.3"), 8), 9: (D("1.3"), 8)}
    for number, (rate, fixed) in days.items():
        found = rates.on("GBP", dt.date(2024, 1, number))
        assert (found.value, found.fixed_on and found.fixed_on.day) == (rate, fixed)
    assert rates.on("JPY", dt.date(2024, 1, 8)).value is None
    assert rates.on("USD", dt.date(2024, 1, 8)).value == 1
