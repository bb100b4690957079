"""Facts of operation from fills, orders and books: every expected number is worked out by hand."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.book.positions import Holdings, positions_frame, value_positions
from marketbot_assets.book.roll import Held
from marketbot_assets.risk.feature_drift import Section, compared_features, population_stability, section_of
from marketbot_assets.risk.operation_build import (
    Traded,
    bars_of,
    cash_differences,
    fill_breaks,
    fill_qualities,
    overdue_orders,
    pnl_unexplained,
    refusals,
    splits_of,
    trade_costs,
)
from marketbot_assets.risk.operation_facts import FillQuality, TradeCost
from marketbot_resources.closures import NO_CLOSURES
from marketbot_resources.model import AccountEvent, Execution, Kind, OpenOrder, Order, Side

D = Decimal
MONDAY, TUESDAY = dt.date(2018, 12, 10), dt.date(2018, 12, 11)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
CUTOFF = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def order(name: str = "a", side: Side = Side.BUY, **changes: object) -> Order:
    made = Order(
        client_order_id=name, session=MONDAY, batch_no=1, leg="T", kind=Kind.EQUITY, instrument="MBA", mic="XNYS", side=side,
        quantity=D(100), limit_price=D("10.5"), currency="USD", send_from=OPEN - 15 * HOUR, send_until=OPEN - HOUR / 12, reason="",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def fill(
    name: str = "a", quantity: str = "100", price: str = "10.02", side: Side = Side.BUY, **changes: object
) -> Execution:
    made = Execution(
        execution_id=f"{name}-1", client_order_id=name, kind=Kind.EQUITY, instrument="MBA", side=side, quantity=D(quantity),
        price=D(price), currency="USD", fee=D("0.30"), tax=D("0.20"), executed_at=OPEN,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


ACTIONS = pd.DataFrame(
    {"instrument": ["MBA"], "kind": ["SPLIT"], "ex_session": [pd.Timestamp(TUESDAY)], "ratio": [4.0]}
)
SPLITS = splits_of(ACTIONS)
BARS = pd.DataFrame(
    {
        "session": [pd.Timestamp(TUESDAY)],
        "instrument": ["MBA"],
        "open": [10.0],
        "low": [9.9],
        "high": [10.01],
        "close": [10.0],
    }
)


def traded(*fills: Execution, orders: tuple[Order, ...] = (order(),), **changes: object) -> Traded:
    made = Traded(
        fills=fills, recent=fills, orders={o.client_order_id: o for o in orders}, expected_bps={"a": 12.0},
        splits={}, bars=bars_of(BARS, fills, {o.client_order_id: o for o in orders}, NO_CLOSURES), closed=NO_CLOSURES,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fills", "split", "over", "unknown"),
    [
        ((fill(),), False, 0, 0),
        ((fill(quantity="60"), fill(quantity="40", execution_id="a-2")), False, 0, 0),
        ((fill(quantity="60"), fill(quantity="41", execution_id="a-2")), False, 1, 0),
        ((fill(quantity="100.000000001"),), False, 0, 0),
        ((fill(quantity="100.0000000011"),), False, 1, 0),
        ((fill(quantity="400"),), True, 0, 0),
        ((fill(quantity="401"),), True, 1, 0),
        ((fill("b"),), False, 0, 1),
        ((fill(side=Side.SELL),), False, 0, 1),
        ((fill(instrument="MBB"),), False, 0, 1),
        ((), False, 0, 0),
    ],
    ids=str,
)
def test_overfills_and_strangers(fills: tuple[Execution, ...], split: bool, over: int, unknown: int) -> None:
    """RC-66: the sum of fills is at most the order, after a 4:1 split four times it; a fill is of an order of ours."""
    found = fill_breaks(traded(*fills, splits=SPLITS if split else {}))
    assert tuple(map(len, found)) == (over, unknown)


def test_earlier_fills_count_for_an_order_that_fills_again_and_are_not_told_twice() -> None:
    """RC-66: 60 yesterday and 41 today are too many; a stranger's fill of yesterday is the register's, not today's."""
    old = (fill(quantity="60", execution_id="a-0"), fill("x", execution_id="x-0"))
    today = fill(quantity="41")
    assert tuple(map(len, fill_breaks(traded(today, recent=(*old, today))))) == (1, 0)
    assert fill_breaks(traded(recent=old)) == ((), ())


def test_a_fill_against_limit_auction_and_range() -> None:
    """RC-65: bought at 10.02: 20 bps above the open of 10, 0.48 below the limit of 10.5, 0.01 above the high of 10.01."""
    (seen,) = fill_qualities(traded(fill()))
    assert seen.slippage_bps == pytest.approx(20.0)
    assert seen.beyond_limit == pytest.approx(-0.48 / 10.5)
    assert seen.beyond_range == pytest.approx(0.01 / 10.02)
    sold = order(side=Side.SELL, limit_price=D("9.8"))
    (seen,) = fill_qualities(traded(fill(price="9.79", side=Side.SELL), orders=(sold,)))
    assert seen.slippage_bps == pytest.approx(210.0)
    assert seen.beyond_limit == pytest.approx(0.01 / 9.8)
    assert seen.beyond_range == pytest.approx(0.11 / 9.79)


def test_a_split_makes_the_limit_one_of_new_shares() -> None:
    """RC-65: a limit of 42 before a 4:1 split is 10.5 after it."""
    (seen,) = fill_qualities(traded(fill(), orders=(order(limit_price=D(42)),), splits=SPLITS))
    assert seen.beyond_limit == pytest.approx(-0.48 / 10.5)


def test_without_order_or_bar_nothing_is_known() -> None:
    """G3: NaN, which the control does not let buy."""
    (lost,) = fill_qualities(traded(fill("b")))
    assert all(map(math.isnan, (lost.slippage_bps, lost.beyond_limit, lost.beyond_range)))
    (bare,) = fill_qualities(traded(fill(), bars={}))
    assert math.isnan(bare.slippage_bps)
    assert math.isfinite(bare.beyond_limit)
    assert fill_qualities(traded(fill(kind=Kind.FX, instrument="FX:EUR"))) == ()


def test_costs_are_kept_once_and_the_newest_stay() -> None:
    """RC-73: 20 bps of slippage and 0.50 of fee and tax on 1002, 4.990020 bps."""
    quality = FillQuality("a-1", "MBA", 20.0, -0.01, 0.0)
    old = tuple(TradeCost(f"o{n}", "MBA", 1.0, 1.0) for n in range(3))
    kept = trade_costs(traded(fill()), [quality], old, 3)
    assert [one.execution_id for one in kept] == ["o1", "o2", "a-1"]
    assert kept[-1].shortfall_bps == pytest.approx(20.0 + 0.5 / 1002 * 1e4)
    assert kept[-1].expected_bps == 12.0
    assert trade_costs(traded(fill()), [quality], kept, 3) == kept, "told again, counted once"
    assert trade_costs(traded(fill(), expected_bps={}), [quality], old, 3) == old
    assert trade_costs(traded(fill()), [replace(quality, slippage_bps=math.nan)], old, 3) == old


# --- earnings ---

BEFORE = Held(
    Holdings({"MBA": D(100), "MBG": D(10)}, {"USD": D(5000), "EUR": D(200)}),
    {"MBA": 10.0, "MBG": 80.0},
    {"USD": 1.0, "EUR": 1.25},
)
FX = {"USD": 1.0, "EUR": 1.20}


def book(shares: dict[str, Decimal], cash: dict[str, Decimal], *events: AccountEvent) -> pd.DataFrame:
    value = value_positions(
        Holdings(shares, cash), {"MBA": 11.0, "MBG": 82.0}, FX, {"MBA": "USD", "MBG": "EUR"}, base_currency="USD"
    )
    return positions_frame(value, events)


def test_prices_rates_fills_and_income_explain_the_nav() -> None:
    """RC-70: buy 100 MBA at 10.02 with 0.50 of costs, sell all MBG at 81 (810 EUR, costs 0.50), 20 USD of dividend,

    100 EUR sold at 1.22 less a fee of 0.02: cash 5000 - 1002.50 + 20 + 121.98 = 4139.48 USD, 200 + 809.50 - 100 = 909.50 EUR.
    """
    fills = [
        fill(),
        fill("b", "10", "81", Side.SELL, instrument="MBG", currency="EUR"),
        fill("c", "100", "1.22", Side.SELL, kind=Kind.FX, instrument="FX:EUR", currency="EUR", fee=D("0.02"), tax=D(0)),
    ]
    paid = AccountEvent("d1", "DIVIDEND", "MBA", "USD", D(20), D(0), OPEN)
    now = book({"MBA": D(200)}, {"USD": D("4139.48"), "EUR": D("909.50")}, paid)
    assert pnl_unexplained(BEFORE, fills, now, "USD") == pytest.approx(0.0, abs=1e-9)
    lost = book({"MBA": D(200)}, {"USD": D("4100.00"), "EUR": D("909.50")}, paid)
    assert pnl_unexplained(BEFORE, fills, lost, "USD") == pytest.approx(-39.48)
    more = book({"MBA": D(203)}, {"USD": D("4139.48"), "EUR": D("909.50")}, paid)
    assert pnl_unexplained(BEFORE, fills, more, "USD") == pytest.approx(33.0)
    unbooked = book({"MBA": D(200)}, {"USD": D("4139.48"), "EUR": D("909.50")})
    assert pnl_unexplained(BEFORE, fills, unbooked, "USD") == pytest.approx(20.0)


def test_cash_that_has_no_row_any_more_is_missed() -> None:
    """RC-70: 200 EUR at 1.25 are 250 USD; less than a unit of a currency without a rate is rounding."""
    fine = book({"MBA": D(100), "MBG": D(10)}, {"USD": D(5000)})
    assert pnl_unexplained(BEFORE, [], fine, "USD") == pytest.approx(-200 * 1.20)
    odd = Held(Holdings({}, {"USD": D(5000), "CHF": D("0.4")}), {}, {"USD": 1.0})
    assert pnl_unexplained(odd, [], book({}, {"USD": D(5000)}), "USD") == 0.0
    worth = Held(Holdings({}, {"USD": D(5000), "CHF": D(40)}), {}, {"USD": 1.0})
    assert math.isnan(pnl_unexplained(worth, [], book({}, {"USD": D(5000)}), "USD"))


def test_shares_that_have_no_row_any_more_are_unknown() -> None:
    """G3: no price says what they were worth."""
    assert math.isnan(pnl_unexplained(BEFORE, [], book({"MBA": D(100)}, {"USD": D(5000), "EUR": D(200)}), "USD"))


# --- the rest ---


def test_open_orders_are_overdue_once_their_exchange_has_closed() -> None:
    """RC-69: New York closes at 21:00 UTC, its bar may take 15 minutes; a stranger's order is always told."""
    opened = [OpenOrder(name, "MBA", Side.BUY, D(1), D(10), "USD") for name in ("a", "x")]
    orders = {"a": order()}
    close = dt.datetime(2018, 12, 11, 21, 15, tzinfo=dt.UTC)
    assert overdue_orders(opened, orders, close - dt.timedelta(seconds=1)) == ("x",)
    assert overdue_orders(opened, orders, close) == ("a", "x")
    assert overdue_orders([], orders, CUTOFF) == ()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([], (0, 0, 0)), ([False, True, True, False, True], (2, 3, 5)), ([True] * 3, (3, 3, 3)), ([False] * 4, (0, 0, 4))],
    ids=str,
)
def test_refusals_are_counted_in_the_order_of_sending(answers: list[bool], expected: tuple[int, int, int]) -> None:
    """RC-90."""
    assert refusals(answers) == expected


def test_unexplained_cash_in_base_currency() -> None:
    """RC-68: breaks of cash alone; without a rate it is not known."""
    frame = pd.DataFrame(
        {
            "kind": ["CASH", "CASH", "CASH", "POSITION"],
            "key": ["EUR", "JPY", "USD", "MBA"],
            "outcome": ["break", "break", "explained", "break"],
            "difference": [D(40), D(-7), D(99), D(5)],
        }
    )
    (eur, jpy) = cash_differences(frame, {"EUR": 1.25, "USD": 1.0})
    assert eur == ("EUR", 50.0)
    assert jpy[0] == "JPY"
    assert math.isnan(jpy[1])


# --- drift ---


def test_psi_by_hand() -> None:
    """Before: 1..10, bins of two each; now: five in the lowest bin. With half a name added to each of the five bins:

    q = 2.5/12.5 = 0.2 each, p = 5.5/7.5 and four times 0.5/7.5: PSI = (p1-q) ln(p1/q) + 4 (p2-q) ln(p2/q).
    """
    now, before = np.zeros(5), np.arange(1.0, 11.0)
    p1, p2 = 5.5 / 7.5, 0.5 / 7.5
    expected = (p1 - 0.2) * math.log(p1 / 0.2) + 4 * (p2 - 0.2) * math.log(p2 / 0.2)
    assert population_stability(now, before) == pytest.approx(expected)
    assert population_stability(before, before) == pytest.approx(0.0)


def features(values: np.ndarray, **columns: object) -> Section:
    frame = pd.DataFrame(
        {
            "session": pd.Timestamp(TUESDAY),
            "instrument": [f"MB{n:03d}" for n in range(len(values))],
            "x": values,
            "complete": True,
            **columns,
        }
    )
    return section_of(frame)


def test_drift_sees_shape_and_not_the_markets_move() -> None:
    """RC-89: everything shifted and doubled is the same; half of the names in another unit, or a feature that is gone, is not."""
    rng = np.random.default_rng(5)
    past = [features(rng.standard_normal(60), macro=2.5) for _ in range(10)]
    calm = rng.standard_normal(60)
    (same,) = compared_features(features(calm, macro=2.5), past)
    (moved,) = compared_features(features(3.0 + 2.0 * calm, macro=9.0), past)
    assert (same.feature, moved.psi, moved.ks_p) == ("x", pytest.approx(same.psi), pytest.approx(same.ks_p))
    assert same.psi < 0.25
    assert same.ks_p > 0.001
    wrong = np.where(np.arange(60) < 20, 100.0 * calm, calm)
    (broken,) = compared_features(features(wrong, macro=2.5), past)
    assert broken.psi > 0.25 or broken.ks_p < 0.001
    for gone in (np.full(60, np.nan), np.full(60, 7.0)):
        (vanished,) = compared_features(features(gone, macro=2.5), past)
        assert vanished.ks_p == 0.0
    assert compared_features(features(calm), []) == ()
