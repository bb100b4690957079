"""Cash and shares are exact: closed-form cases, a twin in integers, and conservation."""

import datetime as dt
import itertools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.frames import holdings_of, last_prices_of, last_rates_of
from marketbot_assets.book.positions import (
    Holdings,
    carried_prices,
    effective_actions,
    positions_frame,
    roll_positions,
    session_closes,
    value_positions,
)
from marketbot_assets.book.schema import POSITIONS
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.errors import HaltError
from marketbot_resources.model import Execution, Kind, Side
from marketbot_resources.store.content import canonical, decode, encode

OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
EX = dt.date(2018, 12, 11)


def D(text: str | int) -> Decimal:  # noqa: N802
    return Decimal(text)


def equity(
    side: Side, quantity: str, price: str, *, name: str = "A", currency: str = "USD", fee: str = "0", tax: str = "0",
    at: dt.datetime = OPEN, number: str = "1",
) -> Execution:  # fmt: skip
    numbers = (D(quantity), D(price), currency, D(fee), D(tax), at)
    return Execution(number, f"o{number}", Kind.EQUITY, name, side, *numbers)


def fx(side: Side, currency: str, quantity: str, rate: str, fee: str = "0", number: str = "9") -> Execution:
    numbers = (D(quantity), D(rate), currency, D(fee), D(0), OPEN)
    return Execution(number, f"o{number}", Kind.FX, f"FX:{currency}", side, *numbers)


def action(kind: str, *, amount: float = 0.0, ratio: float = 1.0, name: str = "A", currency: str = "USD",
           at: dt.datetime = OPEN) -> CorporateAction:  # fmt: skip
    return CorporateAction(name, EX, kind, amount, ratio, currency, at)


def roll(previous: Holdings, fills=(), actions=(), closes=None):  # type: ignore[no-untyped-def]
    return roll_positions(previous, fills, actions, base_currency="USD", closes_before=closes or {})


CASES = {
    "buy": ([equity(Side.BUY, "100", "12.345", fee="0.17", tax="0.62")], {"A": "150"}, {"USD": "8764.71"}),
    # 100 * 12.345 = 1234.50; 10000 - 1234.50 - 0.17 - 0.62
    "sell": ([equity(Side.SELL, "20", "10.01", fee="0.05", tax="0.02")], {"A": "30"}, {"USD": "10200.13"}),
    "sell all": ([equity(Side.SELL, "50", "10")], {}, {"USD": "10500"}),
    "half to even": ([equity(Side.BUY, "1", "0.125")], {"A": "51"}, {"USD": "9999.88"}),
    "buy pounds": ([fx(Side.BUY, "GBP", "1000", "1.2503", "0.25")], {"A": "50"}, {"GBP": "1000", "USD": "8749.45"}),
    "yen has no cents": (
        [equity(Side.BUY, "100", "1234.5675", name="T", currency="JPY")], {"A": "50", "T": "100"},
        {"JPY": "-123457", "USD": "10000"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_fills_move_cash_and_shares(name: str) -> None:
    """Each kind of fill moves cash exactly as written out by hand."""
    fills, shares, cash = CASES[name]
    after, events = roll(Holdings({"A": D(50)}, {"USD": D(10000)}), fills)
    assert after.shares == {k: D(v) for k, v in shares.items()}
    assert after.cash == {k: D(v) for k, v in cash.items()}
    assert events == ()


def test_a_currency_comes_back() -> None:
    """Selling a currency is the mirror of buying it; only the rate's difference and fees are lost."""
    bought, _ = roll(Holdings({}, {"USD": D(1000)}), [fx(Side.BUY, "GBP", "100", "1.3")])
    sold, _ = roll(bought, [fx(Side.SELL, "GBP", "100", "1.3", "0.11")])
    assert sold == Holdings({}, {"USD": D("999.89")})


def test_dividends_go_to_who_held_before_the_ex_session() -> None:
    """A buy in the opening auction of the ex session gets no dividend, a sell in it keeps it."""
    held = Holdings({"A": D(7)}, {"USD": D(1000)})
    paid = action("CASH_DIVIDEND", amount=0.335)
    after, events = roll(held, [equity(Side.BUY, "10", "1")], [paid])
    assert after.cash == {"USD": D("992.34")}  # 7 * 0.335 = 2.345 -> 2.34, half to even
    assert [(e.kind, e.amount, e.quantity) for e in events] == [("DIVIDEND", D("2.34"), D(0))]
    after, _ = roll(held, [equity(Side.SELL, "7", "1")], [paid])
    assert after == Holdings({}, {"USD": D("1009.34")})
    after, events = roll(Holdings({}, {"USD": D(1000)}), [equity(Side.BUY, "10", "1")], [paid])
    assert (after.cash, events) == ({"USD": D(990)}, ())


@pytest.mark.parametrize(
    ("ratio", "held", "whole", "cash"),
    [
        (4.0, 25, 100, "0"),
        (0.2, 100, 20, "0"),
        (0.2, 103, 20, "30.00"),  # 0.6 new shares at 10 / 0.2 = 50
        (1.5, 3, 4, "3.33"),  # 0.5 new shares at 10 / 1.5 = 6.67
    ],
)
def test_splits_pay_the_fraction_in_cash(ratio: float, held: int, whole: int, cash: str) -> None:
    """Whole shares remain; the fraction is paid at the last close in units of new shares."""
    after, events = roll(Holdings({"A": D(held)}, {}), (), [action("SPLIT", ratio=ratio)], {"A": 10.0})
    assert after.shares == {"A": D(whole)}
    assert after.cash.get("USD", D(0)) == D(cash)
    assert events[0].quantity == whole - held


def test_a_fraction_without_price_stops() -> None:
    """Cash of unknown size is not invented."""
    for closes in ({}, {"A": math.nan}):
        with pytest.raises(HaltError, match="close before the split"):
            roll(Holdings({"A": D(3)}, {}), (), [action("SPLIT", ratio=1.5)], closes)


def test_selling_more_than_held_stops() -> None:
    """The book is long only: an overfill is no short position."""
    with pytest.raises(HaltError, match="expected to hold 51"):
        roll(Holdings({"A": D(50)}, {}), [equity(Side.SELL, "51", "1")])


@st.composite
def histories(draw):  # type: ignore[no-untyped-def]
    count, fills, held = draw(st.integers(0, 12)), [], {"A": 500, "B": 500}
    for n in range(count):
        name = draw(st.sampled_from(["A", "B"]))
        side = draw(st.sampled_from([Side.BUY, Side.SELL]))
        quantity = draw(st.integers(1, max(1, min(held[name], 300))))
        if side is Side.SELL and quantity > held[name]:
            side = Side.BUY
        held[name] += side.sign * quantity
        price = Decimal(draw(st.integers(1, 10**6))).scaleb(-4)
        cents = [Decimal(draw(st.integers(0, 500))).scaleb(-2) for _ in range(2)]
        at = OPEN + dt.timedelta(minutes=n)
        numbers = (Decimal(quantity), price, "JPY" if name == "B" else "USD", *cents, at)
        fills.append(Execution(f"{n:03d}", f"o{n}", Kind.EQUITY, name, side, *numbers))
    return fills


def whole_units(value: Fraction) -> int:
    return round(value)  # Python rounds a Fraction half to even


@settings(max_examples=60, deadline=None)
@given(histories())
def test_cash_is_conserved(fills: list[Execution]) -> None:
    """A twin in integer minor units ends with the same cash and shares; no cent appears or is lost."""
    fills = [f if f.currency == "USD" else _yen(f) for f in fills]
    minor, shares = {"USD": 0, "JPY": 0}, {"A": 500, "B": 500}
    for f in fills:
        scale = 100 if f.currency == "USD" else 1
        notional = whole_units(Fraction(f.quantity) * Fraction(f.price) * scale)
        minor[f.currency] -= f.side.sign * notional + int((f.fee + f.tax) * scale)
        shares[f.instrument] += f.side.sign * int(f.quantity)
    after, _ = roll(Holdings({"A": D(500), "B": D(500)}, {}), reversed(fills))
    assert {n: after.shares.get(n, 0) for n in shares} == shares
    assert after.cash.get("USD", 0) * 100 == minor["USD"]
    assert after.cash.get("JPY", 0) == minor["JPY"]


def _yen(fill: Execution) -> Execution:
    costs = (fill.fee.to_integral_value(), fill.tax.to_integral_value())
    head = (fill.execution_id, fill.client_order_id, fill.kind, fill.instrument, fill.side, fill.quantity, fill.price)
    return Execution(*head, "JPY", *costs, fill.executed_at)


def actions_frame(rows: list[tuple[str, dt.date, str, float, float]], known: dt.datetime = OPEN) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["instrument", "ex_session", "kind", "amount", "ratio"])
    frame["ex_session"] = pd.to_datetime(frame["ex_session"]).astype("datetime64[ms]")
    frame["known_at"] = pd.Series([known] * len(rows), dtype="datetime64[us, UTC]")
    return frame.assign(currency="USD", other="")


def test_actions_take_effect_at_their_own_open() -> None:
    """Tokyo's Wednesday opens before New York's Tuesday cutoff ends; a closed ex date counts from the next open."""
    cutoffs = [dt.datetime(2018, 12, day, 23, 15, tzinfo=dt.UTC) for day in (10, 11, 12, 24, 26)]
    mics = {"N": "XNYS", "T": "XTKS"}
    rows = [
        ("N", dt.date(2018, 12, 11), "CASH_DIVIDEND", 1.0, 1.0),  # opens 14:30 UTC of its date
        ("T", dt.date(2018, 12, 12), "SPLIT", 0.0, 2.0),  # opens 00:00 UTC of its date, after the cutoff of the 11th
        ("N", dt.date(2018, 12, 25), "CASH_DIVIDEND", 2.0, 1.0),  # Christmas: counts from the 26th
    ]
    frame = actions_frame(rows)
    found = [
        [(a.instrument, a.effective_at) for a in effective_actions(frame, mics, after=a, until=b)]
        for a, b in itertools.pairwise(cutoffs)
    ]
    assert found[0] == [("N", OPEN)]
    assert found[1] == [("T", dt.datetime(2018, 12, 12, tzinfo=dt.UTC))]
    assert found[2] == []
    assert found[3] == [("N", dt.datetime(2018, 12, 26, 14, 30, tzinfo=dt.UTC))]


def test_an_action_not_known_yet_has_no_effect() -> None:
    """A row that became knowable after the cutoff is not read."""
    after, until = OPEN - dt.timedelta(days=1), OPEN + dt.timedelta(hours=9)
    frame = actions_frame([("N", EX, "SPLIT", 0.0, 2.0)], until + dt.timedelta(seconds=1))
    assert effective_actions(frame, {"N": "XNYS"}, after=after, until=until) == ()
    with pytest.raises(HaltError, match="known listing"):
        effective_actions(actions_frame([("X", EX, "SPLIT", 0.0, 2.0)]), {}, after=after, until=until)


HELD = Holdings({"A": D(10), "L": D(20)}, {"GBP": D("-5.5"), "USD": D(100)})
CURRENCIES = {"A": "USD", "L": "GBP"}


def value(close, fx_rates, **last):  # type: ignore[no-untyped-def]
    return value_positions(HELD, close, fx_rates, CURRENCIES, base_currency="USD", **last)


def test_nav_is_the_sum_of_all_values() -> None:
    """10 * 7 + 20 * 3 * 1.25 - 5.5 * 1.25 + 100 = 238.125."""
    got = value({"A": 7.0, "L": 3.0}, {"GBP": 1.25, "USD": 1.0})
    assert got.nav == 238.125
    assert got.unpriced == ()
    assert got.weights() == {"A": 70 / 238.125, "L": 75 / 238.125}


def test_a_missing_close_takes_the_last_known() -> None:
    """NaN, zero and absent closes and rates never become a value; the last known stands in."""
    for close, rates in (({"A": math.nan}, {}), ({"A": 0.0, "L": math.inf}, {"GBP": math.nan})):
        got = value(close, rates, last_prices={"A": 7.0, "L": 3.0}, last_rates={"GBP": 1.25})
        assert got.nav == 238.125


def test_what_was_never_priced_is_named() -> None:
    """A value that no one knows is NaN and named; NAV holds what is known."""
    got = value({"L": 3.0}, {"GBP": 1.25})
    assert (got.nav, got.unpriced) == (168.125, ("A",))
    assert math.isnan(got.weights()["A"])
    got = value({"A": 7.0, "L": 3.0}, {})
    assert (got.nav, got.unpriced) == (170.0, ("L", "CASH:GBP"))


def test_positions_survive_the_store() -> None:
    """The table passes its schema and gives holdings, prices and rates back."""
    for known in ({"A": 7.0, "L": 3.0}, {"A": 7.0}):
        frame = positions_frame(value(known, {"GBP": 1.25}))
        POSITIONS.pandera_schema.validate(frame)
        table = decode(encode(canonical(frame, POSITIONS)), POSITIONS.arrow_schema)
        assert holdings_of(table.to_pandas(date_as_object=False)) == holdings_of(frame) == HELD
        assert last_prices_of(frame)["A"] == 7.0
        assert last_rates_of(frame) == {"GBP": 1.25, "USD": 1.0}


def test_an_empty_book_has_an_empty_table() -> None:
    """No holdings: no rows, NAV 0."""
    got = value_positions(Holdings({}, {}), {}, {}, {}, base_currency="USD")
    POSITIONS.pandera_schema.validate(positions_frame(got))
    assert got.nav == 0.0


def test_carried_prices_follow_actions() -> None:
    """100, a dividend of 4, then 4:1: 24; a price that a dividend eats up is unknown."""
    moves = [action("SPLIT", ratio=4.0), action("CASH_DIVIDEND", amount=4.0)]
    assert carried_prices({"A": 100.0, "B": 5.0}, moves) == {"A": 24.0, "B": 5.0}
    assert math.isnan(carried_prices({"A": 4.0}, moves)["A"])


def test_only_fresh_closes_count() -> None:
    """A carried level is no close of the session."""
    shape = (2, 2)
    filled, fresh = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[True, True], [True, False]])
    days = (dt.date(2018, 12, 10), EX)
    window = MarketWindow(days, ("A", "B"), *([filled] * 3), filled, *([np.zeros(shape)] * 5), fresh)
    got = session_closes(window)
    assert got["A"] == 3.0
    assert math.isnan(got["B"])


def test_of_several_versions_of_an_action_the_last_known_takes_effect() -> None:
    """A corrected dividend is paid once and as corrected; a version of after the cutoff is not read."""
    after, until = OPEN - dt.timedelta(days=1), OPEN + dt.timedelta(hours=9)
    amounts = ((2.0, OPEN), (1.0, OPEN - dt.timedelta(days=3)), (3.0, until + dt.timedelta(seconds=1)))
    frame = pd.concat([actions_frame([("N", EX, "CASH_DIVIDEND", paid, 1.0)], known) for paid, known in amounts])
    assert [a.amount for a in effective_actions(frame, {"N": "XNYS"}, after=after, until=until)] == [2.0]
