"""Profit and loss adds up to the change of NAV: cases by hand, and random books kept by a naive twin."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.audit.attribution import FIRST_SESSION, NO_PRICE, attribute, exchanges
from marketbot_assets.audit.schema import ATTRIBUTION
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import FILLS, POSITIONS
from marketbot_resources.corporate_actions import CorporateAction, account_events

AT = pd.Timestamp("2018-12-11T14:30:00Z")
SECTORS = {"A": ("Tech", "USD"), "B": ("Health", "GBP"), "C": ("Tech", "JPY"), "D": ("Tech", "USD")}
INSTRUMENTS = pd.DataFrame([{"instrument": n, "sector": s, "currency": c} for n, (s, c) in SECTORS.items()])
PARTS = ("price", "fx", "dividend", "trading", "fee", "tax", "residual", "total")


def book(shares: Mapping[str, tuple], cash: Mapping[str, object], rates: Mapping[str, float] = {}) -> pd.DataFrame:
    """POSITIONS of shares {name: (quantity, price)} and cash {currency: amount}."""
    fx = {"USD": 1.0, **rates}
    rows: list[dict[str, object]] = []
    for name, (quantity, price) in shares.items():
        currency = SECTORS[name][1]
        value = quantity * price * fx[currency]
        rows.append(
            {"kind": "POSITION", "key": name, "instrument": name, "currency": currency, "quantity": Decimal(quantity),
             "amount": None, "price": price, "fx": fx[currency], "value_base": value}
        )  # fmt: skip
    for currency, amount in cash.items():
        exact = Decimal(str(amount))
        rows.append(
            {"kind": "CASH", "key": currency, "instrument": "", "currency": currency, "quantity": None,
             "amount": exact, "price": math.nan, "fx": fx[currency], "value_base": float(exact) * fx[currency]}
        )  # fmt: skip
    return rows_frame(POSITIONS, rows)


def fill(name: str, side: str, quantity: int, price: str, fee: str = "0", tax: str = "0", number: int = 1) -> dict:
    currency = name[3:] if name.startswith("FX:") else SECTORS[name][1]
    return {
        "execution_id": f"x{number}", "client_order_id": f"o{number}", "instrument": name, "side": side,
        "order_kind": "FX" if name.startswith("FX:") else "EQUITY", "quantity": Decimal(quantity),
        "price": Decimal(price), "currency": currency, "fee": Decimal(fee), "tax": Decimal(tax), "executed_at": AT,
    }  # fmt: skip


def split_up(
    before: pd.DataFrame | None, after: pd.DataFrame, fills: Sequence[dict] = (), **more: object
) -> pd.DataFrame:
    given = {"dividends": {}, "splits": {}, "instruments": INSTRUMENTS, "base_currency": "USD", **more}
    frame = attribute(before, after, rows_frame(FILLS, list(fills)), **given)  # type: ignore[arg-type]
    ATTRIBUTION.pandera_schema.validate(frame)
    return frame


def parts(frame: pd.DataFrame, name: str, dimension: str = "INSTRUMENT") -> dict[str, float]:
    row = frame[(frame["dimension"] == dimension) & (frame["name"] == name)].iloc[0]
    return {part: round(float(row[part]), 9) for part in PARTS if abs(row[part]) > 1e-9}


def act(kind: str, amount: float, ratio: float, other: str = "D") -> tuple[CorporateAction, ...]:
    return (CorporateAction("A", AT.date(), kind, amount, ratio, "USD", AT.to_pydatetime(), other, "XNYS"),)


# 100 of A at 10 before; what is held after (A at its close, D at 9), cash beside 500, parts of A and of D
ACTIONS = {
    "spin-off": (act("SPIN_OFF", 4.0, 0.5), {"A": (100, 6.5), "D": (50, 9.0)}, 0,
                 {"price": -350.0, "dividend": 400.0, "total": 50.0}, {"trading": 50.0, "total": 50.0}),
    "spin-off with a fraction": (act("SPIN_OFF", 4.0, 0.505), {"A": (100, 6.0), "D": (50, 9.0)}, "3.96",
                 {"price": -400.0, "dividend": 400.0}, {"trading": 50 * (9 - 4 / 0.505), "total": 50 * (9 - 4 / 0.505)}),
    "merger for cash": (act("MERGER", 11.0, 0.0), {}, 1100, {"price": 100.0, "total": 100.0}, {}),
    "merger for shares": (act("MERGER", 2.0, 1.0), {"D": (100, 9.0)}, 200, {}, {"trading": 100.0, "total": 100.0}),
    "worthless": (act("DELISTING", 0.0, 0.0, "BANKRUPTCY"), {}, 0, {"price": -1000.0, "total": -1000.0}, {}),
    "pennies": (act("DELISTING", 0.5, 0.0, "BANKRUPTCY"), {}, 50, {"price": -950.0, "total": -950.0}, {}),
    "unknown": (act("DELISTING", math.nan, 0.0, "UNKNOWN"), {"A": (100, 7.0)}, 0, {"price": -300.0, "total": -300.0}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIONS)
def test_corporate_actions_are_explained(name: str) -> None:
    """What went in kind, what came, what an end cost: by hand, nothing left over, and the sum is the change of the NAV."""
    actions, held, cash, of_a, of_d = ACTIONS[name]
    events = account_events(actions[0], Decimal(100), 10.0)
    frame = split_up(
        book({"A": (100, 10.0)}, {"USD": 500}), book(held, {"USD": Decimal(500) + Decimal(cash)}),
        dividends={n: sum(float(e.amount) for e in events if e.instrument == n) for n in ("A", "D")},
        exchanged=exchanges(actions, events, {"A": 10.0}),
    )  # fmt: skip
    assert {"total": 0.0, **parts(frame, "A")} == pytest.approx(
        {"total": 0.0, **of_a}, abs=0.005
    )  # a fraction is paid to the cent
    if of_d:
        got = parts(frame, "D")
        assert got["total"] == pytest.approx(of_d["total"])
        assert got["trading"] + got.get("dividend", 0.0) == pytest.approx(of_d["trading"])
    total = frame[frame["dimension"] == "TOTAL"].iloc[0]
    assert abs(total["residual"]) < 1e-9
    change = sum(q * p for q, p in held.values()) + float(cash) - 1000.0
    assert total["total"] == pytest.approx(change)


def test_price_alone() -> None:
    """100 shares from 10 to 11 earn 100; contribution is of NAV before (6000)."""
    frame = split_up(book({"A": (100, 10.0)}, {"USD": 5000}), book({"A": (100, 11.0)}, {"USD": 5000}))
    assert parts(frame, "A") == {"price": 100.0, "total": 100.0}
    assert parts(frame, "CASH:USD") == {}
    total = frame[frame["dimension"] == "TOTAL"].iloc[0]
    assert (total["total"], total["residual"]) == (100.0, 0.0)
    assert total["contribution"] == pytest.approx(100.0 / 6000.0, rel=1e-15)


def test_rate_alone_moves_holding_and_cash() -> None:
    """100 shares at 20 GBP and 300 GBP of cash, the pound from 1.25 to 1.30: 100 and 15 USD."""
    before = book({"B": (100, 20.0)}, {"USD": 1000, "GBP": 300}, {"GBP": 1.25})
    frame = split_up(before, book({"B": (100, 20.0)}, {"USD": 1000, "GBP": 300}, {"GBP": 1.30}))
    assert parts(frame, "B") == {"fx": 100.0, "total": 100.0}
    assert parts(frame, "CASH:GBP") == {"fx": 15.0, "total": 15.0}
    assert parts(frame, "GBP", "CURRENCY") == {"fx": 115.0, "total": 115.0}


def test_price_and_rate_leave_no_cross_term() -> None:
    """Price at the old rate, rate at the new price: 100 * 2 * 1.25 = 250 and 100 * 22 * 0.05 = 110; 2860 - 2500 = 360."""
    before = book({"B": (100, 20.0)}, {}, {"GBP": 1.25})
    frame = split_up(before, book({"B": (100, 22.0)}, {}, {"GBP": 1.30}))
    assert parts(frame, "B") == {"price": 250.0, "fx": 110.0, "total": 360.0}


def test_dividend() -> None:
    """0.50 a share on 100 shares; the close falls by it: nothing gained."""
    after = book({"A": (100, 9.5)}, {"USD": 550})
    frame = split_up(book({"A": (100, 10.0)}, {"USD": 500}), after, dividends={"A": Decimal("50.00")})
    assert parts(frame, "A") == {"price": -50.0, "dividend": 50.0}
    assert parts(frame, "CASH:USD") == {}


def test_split_is_no_gain() -> None:
    """1 for 2 at 30 -> 15.5: 40 new shares earn 0.5 each."""
    frame = split_up(book({"A": (20, 30.0)}, {}), book({"A": (40, 15.5)}, {}), splits={"A": 2.0})
    assert parts(frame, "A") == {"price": 20.0, "total": 20.0}


def test_fraction_paid_in_cash_at_a_split() -> None:
    """3 for 2 of 7 shares at 30: 10 new at 20 and half a share in cash at 20: nothing gained, no residual."""
    frame = split_up(
        book({"A": (7, 30.0)}, {"USD": 0}), book({"A": (10, 20.0)}, {"USD": 10}), splits={"A": 1.5}, dividends={"A": 10.0}
    )  # fmt: skip
    assert parts(frame, "A") == {}


def test_split_with_a_fill_before_and_after() -> None:
    """10 bought at 30 before a 1-for-2 split (now 20 at 16: +20), or 10 bought at 15 after it (+10)."""
    old = split_up(
        book({"A": (20, 30.0)}, {"USD": 400}), book({"A": (60, 16.0)}, {"USD": 100}),
        [fill("A", "BUY", 10, "30")], splits={"A": 2.0},
    )  # fmt: skip
    assert parts(old, "A") == {"price": 40.0, "trading": 20.0, "total": 60.0}
    new = split_up(
        book({"A": (20, 30.0)}, {"USD": 400}), book({"A": (50, 16.0)}, {"USD": 250}),
        [fill("A", "BUY", 10, "15")], splits={"A": 2.0},
    )  # fmt: skip
    assert parts(new, "A") == {"price": 40.0, "trading": 10.0, "total": 50.0}


def test_buy_and_sell_against_the_close() -> None:
    """Held 100 at 10, close 11. Bought 50 at 10.40 (+30), sold 30 at 11.20 (+6), fee 2, tax 1: 100 + 36 - 3."""
    fills = [fill("A", "BUY", 50, "10.40", "1.5", "1"), fill("A", "SELL", 30, "11.20", "0.5", number=2)]
    after = book({"A": (120, 11.0)}, {"USD": "813.00"})  # 1000 - 520 + 336 - 3
    frame = split_up(book({"A": (100, 10.0)}, {"USD": 1000}), after, fills)
    assert parts(frame, "A") == {"price": 100.0, "trading": 36.0, "fee": 2.0, "tax": 1.0, "total": 133.0}
    assert parts(frame, "CASH:USD") == {}
    assert parts(frame, "TOTAL", "TOTAL")["total"] == 133.0


def test_sold_whole_with_and_without_its_close() -> None:
    """100 at 10 sold at 10.50. Without a close all 50 are price; with a close of 11 it is 100 of price and -50 of trading."""
    sides = book({"A": (100, 10.0)}, {"USD": 0}), book({}, {"USD": 1050}), [fill("A", "SELL", 100, "10.50")]
    assert parts(split_up(*sides), "A") == {"price": 50.0, "total": 50.0}
    assert parts(split_up(*sides, closes={"A": 11.0}), "A") == {"price": 100.0, "trading": -50.0, "total": 50.0}


def test_conversion() -> None:
    """1000 GBP bought at 1.2503 (fee 0.25), rate after 1.26: +9.70, fee 0.25; 0.004 of rounding stands in the dollars."""
    before = book({}, {"USD": 5000, "GBP": 100}, {"GBP": 1.25})
    after = book({}, {"USD": "3749.45", "GBP": 1100}, {"GBP": 1.26})
    frame = split_up(before, after, [fill("FX:GBP", "BUY", 1000, "1.250304", "0.25")])
    assert parts(frame, "CASH:GBP") == {"fx": 1.0, "trading": 9.696, "fee": 0.25, "total": 10.446}
    assert parts(frame, "CASH:USD") == {"residual": 0.004, "total": 0.004}
    # 3749.45 + 1100 * 1.26 - 5000 - 100 * 1.25 = 10.45
    assert parts(frame, "TOTAL", "TOTAL") == {
        "fx": 1.0, "trading": 9.696, "fee": 0.25, "residual": 0.004, "total": 10.45,
    }  # fmt: skip


def test_yen_stock_bought_with_a_conversion() -> None:
    """100 at 1234.5 JPY, close 1240, rate 0.0089 -> 0.0090: 550 JPY at 0.0090 = 4.95 USD."""
    before = book({}, {"USD": 2000}, {})
    after = book({"C": (100, 1240.0)}, {"USD": "898.75"}, {"JPY": 0.0090})
    fills = [fill("FX:JPY", "BUY", 123_450, "0.00892062"), fill("C", "BUY", 100, "1234.5", number=2)]
    frame = split_up(before, after, fills)
    assert parts(frame, "C") == {"trading": 4.95, "total": 4.95}
    assert parts(frame, "CASH:JPY") == {"trading": 9.799461, "total": 9.799461}  # 123450 * (0.0090 - 0.00892062)


def test_unknown_price_stands_in_residual() -> None:
    """NAV does not count a name without price, so its value leaves through residual and is named."""
    after = book({"A": (100, math.nan)}, {"USD": 500})
    frame = split_up(book({"A": (100, 10.0)}, {"USD": 500}), after)
    assert parts(frame, "A") == {"residual": -1000.0, "total": -1000.0}
    assert list(frame.loc[frame["name"] == "A", "note"]) == [NO_PRICE]


def test_unexplained_cash_is_seen() -> None:
    """Money that no fill explains is a residual of its currency."""
    frame = split_up(book({}, {"USD": 500}), book({}, {"USD": 700}))
    assert parts(frame, "CASH:USD") == {"residual": 200.0, "total": 200.0}


def test_first_session_has_nothing_to_attribute() -> None:
    """Without a session before there is no profit and no contribution, and the row says so."""
    frame = split_up(None, book({}, {"USD": 500}))
    assert len(frame) == 1
    assert parts(frame, "TOTAL", "TOTAL") == {}
    assert frame["note"][0] == FIRST_SESSION
    assert math.isnan(frame["contribution"][0])


prices = st.integers(100, 50_000).map(lambda n: n / 100)
counts = st.integers(1, 5_000)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, list[dict], dict[str, float], dict[str, float]]:
    """A random book, what happened to it, and the book after it by plain sums rounded to cents."""
    names = list(SECTORS)
    rates = [{"GBP": draw(st.floats(1.1, 1.5)), "JPY": draw(st.floats(0.008, 0.01))} for _ in range(2)]
    held = {name: draw(st.integers(0, 5_000)) for name in names}
    cash = {"USD": Decimal(draw(st.integers(100_000, 10_000_000))), "GBP": Decimal(draw(st.integers(0, 9_999)))}
    start = {name: draw(prices) for name in names}
    end = {name: draw(prices) for name in names}
    before = book({n: (q, start[n]) for n, q in held.items() if q}, cash, rates[0])
    fills: list[dict] = []
    for name in names:
        side = draw(st.sampled_from(("BUY", "SELL", "NONE")))
        most = held[name] if side == "SELL" else 2_000
        if side == "NONE" or most < 1:
            continue
        quantity = draw(st.integers(1, most))
        cost = str(draw(st.integers(0, 900)))
        fills.append(fill(name, side, quantity, str(draw(prices)), cost, cost, number=len(fills)))
        held[name] += quantity if side == "BUY" else -quantity
    if draw(st.booleans()):
        fills.append(fill("FX:GBP", "BUY", draw(counts), str(round(draw(st.floats(1.1, 1.5)), 6)), "0.3", number=9))
    paid = {name: float(draw(st.integers(0, 500))) for name in names}
    for row in fills:
        sign = 1 if row["side"] == "BUY" else -1
        value, fee, currency = sign * row["quantity"] * row["price"], row["fee"] + row["tax"], row["currency"]
        if row["order_kind"] == "FX":
            cash["USD"] -= round(value + fee, 2)
            cash["GBP"] += sign * row["quantity"]
        else:
            cash[currency] = cash.get(currency, Decimal(0)) - round(value + fee, 0 if currency == "JPY" else 2)
    for name, amount in paid.items():
        cash[SECTORS[name][1]] = cash.get(SECTORS[name][1], Decimal(0)) + Decimal(amount)
    after = book({n: (q, end[n]) for n, q in held.items() if q}, cash, rates[1])
    return before, after, fills, paid, rates[1]


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_random_books_add_up(world: tuple) -> None:
    """TOTAL is the change of NAV to the bit, every grouping adds up to it, and parts explain all but rounding."""
    before, after, fills, paid, rates = world
    frame = split_up(before, after, fills, dividends=paid, rates=rates)
    nav = [math.fsum(side["value_base"]) for side in (before, after)]
    total = frame[frame["dimension"] == "TOTAL"].iloc[0]
    assert total["total"] == nav[1] - nav[0]
    assert abs(total["residual"]) < max(1e-6 * nav[0], 0.05)
    for dimension in ("INSTRUMENT", "SECTOR", "CURRENCY"):
        rows = frame[frame["dimension"] == dimension]
        assert math.fsum(rows["total"]) == pytest.approx(total["total"], abs=1e-12 * nav[0])
        signed = rows[["price", "fx", "dividend", "trading", "residual"]].sum(axis=1) - rows["fee"] - rows["tax"]
        assert signed.to_list() == pytest.approx(rows["total"].to_list(), abs=1e-11 * nav[0])
