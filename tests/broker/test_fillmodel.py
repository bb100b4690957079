"""What an auction does to an order: tables worked out by hand, and properties that no order may violate."""

import datetime as dt
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import OPEN, TUESDAY, D, currency_order, mandate, order

from marketbot_resources.errors import MarketbotError
from marketbot_resources.fillmodel import (
    Bar,
    FillTerms,
    cash_changes,
    fill_terms,
    fx_fill,
    order_fill,
    unfilled_reason,
)
from marketbot_resources.model import Side, to_money


def bar(price: float = 10.0, *, volume: float = 1e6, high: float | None = None, low: float | None = None) -> Bar:
    return Bar("A", TUESDAY, price, high or price, low or price, price, volume, OPEN)


def terms(*, bps: float = 10.0, sigma: float | None = 0.0, adv: float | None = 1e6, tax_buy: float = 0.0,
          tax_sell: float = 0.0, lot: str = "1", tick: str = "0.01", participation: float = 0.02) -> FillTerms:  # fmt: skip
    return FillTerms(bps, tax_buy, tax_sell, 1.0, participation, sigma, adv, D(lot), D(tick))


PRICES = {
    # spread share 0.6 * 10 bps = 6 bps: 10.006 -> 10.01; 9.994 -> 9.99
    "buy": (order(), bar(), terms(), "10.01"),
    "sell": (order(Side.SELL, limit="9.50"), bar(), terms(), "9.99"),
    # impact 0.02 * sqrt(100 / 10000) = 0.002: 10 * 1.0026 = 10.026 -> 10.03
    "impact": (order(), bar(), terms(sigma=0.02, adv=10_000.0), "10.03"),
    # adv unknown: the bar's volume 1e6: 0.02 * sqrt(1e-4) = 0.0002: 10.008 -> 10.01
    "adv unknown": (order(), bar(), terms(sigma=0.02, adv=None), "10.01"),
    "adv nan": (order(), bar(), terms(sigma=0.02, adv=math.nan), "10.01"),
    # sigma from the range: ln(11 / 10) / 1.66511 = 0.05724; * sqrt(100 / 10000) = 0.005724: 10 * 1.006324 -> 10.06
    "sigma from the range": (order(), bar(high=11.0, low=10.0), terms(sigma=None, adv=10_000.0), "10.06"),
    "never above the limit": (order(limit="10.00"), bar(), terms(), "10.00"),
    "never below the limit": (order(Side.SELL, limit="10.00"), bar(), terms(), "10.00"),
    "half to even, down": (order(limit="11"), bar(10.005), terms(bps=0.0), "10.00"),
    "half to even, up": (order(limit="11"), bar(10.015), terms(bps=0.0), "10.02"),
}


@pytest.mark.parametrize("name", PRICES)
def test_prices(name: str) -> None:
    """The open moved against us by spread and impact, to the tick, never beyond the limit."""
    sent, traded, costs, expected = PRICES[name]
    fill = order_fill(sent, traded, costs)
    assert fill is not None
    assert (fill.execution.price, fill.execution.quantity, fill.remaining, fill.reason) == (D(expected), D(100), 0, "")
    assert (fill.execution.execution_id, fill.execution.executed_at) == ("o1-1", OPEN)
    assert unfilled_reason(sent, traded, costs) == ""


UNFILLED = {
    "buy above": (order(limit="9.99"), bar(), terms(), "auction price 10.0 is beyond the limit 9.99"),
    "sell below": (order(Side.SELL, limit="10.01"), bar(), terms(), "auction price 10.0 is beyond the limit 10.01"),
    "no open": (order(), bar(math.nan), terms(), "no auction price"),
    "open is zero": (order(), bar(0.0), terms(), "no auction price"),
    "no volume": (order(), bar(volume=0.0), terms(), "no volume"),
    "volume unknown": (order(), bar(volume=math.nan), terms(), "no volume"),
    "no volatility": (order(), bar(high=math.nan), terms(sigma=None), "no volatility to price the impact with"),
    "thin": (order(), bar(volume=49.0), terms(), "participation limit: 0.02 of 49 shares is less than one lot"),
}


@pytest.mark.parametrize("name", UNFILLED)
def test_reasons(name: str) -> None:
    """Nothing fills, and the reason says why."""
    sent, traded, costs, expected = UNFILLED[name]
    assert order_fill(sent, traded, costs) is None
    assert unfilled_reason(sent, traded, costs) == expected


@pytest.mark.parametrize(
    ("wanted", "lot", "volume", "filled"),
    [
        ("100", "1", 5000.0, "100"),
        ("101", "1", 5000.0, "100"),
        ("1000", "100", 49_999.0, "900"),
        ("150", "100", 7500.0, "150"),
    ],
)
def test_participation(wanted: str, lot: str, volume: float, filled: str) -> None:
    """At most 2 % of the volume, floored to the lot; what fits is filled whole, odd lots included."""
    fill = order_fill(order(quantity=wanted), bar(volume=volume), terms(lot=lot))
    assert fill is not None
    assert (fill.execution.quantity, fill.remaining) == (D(filled), D(wanted) - D(filled))
    assert bool(fill.reason) == bool(fill.remaining)


def test_fees_and_taxes() -> None:
    """40 % of the 10 bps are a fee, the duty depends on the side; each is rounded on its own."""
    bought = order_fill(order(), bar(), terms(tax_buy=50.0, tax_sell=10.0))
    sold = order_fill(order(Side.SELL, limit="9"), bar(), terms(tax_buy=50.0, tax_sell=10.0))
    assert bought is not None
    assert sold is not None
    assert (bought.execution.fee, bought.execution.tax) == (
        D("0.40"),
        D("5.00"),
    )  # of 1001: 0.4004 and 5.005, half to even
    assert (sold.execution.fee, sold.execution.tax) == (D("0.40"), D("1.00"))  # of 999: 0.3996 and 0.999
    assert cash_changes(bought.execution, "USD") == (
        ("USD", "TRADE", D("-1001.00")), ("USD", "FEE", D("-0.40")), ("USD", "TAX", D("-5.00")),
    )  # fmt: skip


def test_terms_follow_the_mandate() -> None:
    """Funds have their own cost, other currencies their own and their duties; an unnamed currency is an error."""
    facts = dict(sigma_daily=0.01, adv_shares=1.0, quantity_step=D(1), tick_size=D("0.01"))
    fund = fill_terms(mandate(), "USD", is_fund=True, **facts)  # type: ignore[arg-type]
    pounds = fill_terms(mandate(), "GBP", is_fund=False, **facts)  # type: ignore[arg-type]
    assert (fund.half_spread_and_fee_bps, fund.participation_max) == (2.5, 0.02)
    assert (pounds.half_spread_and_fee_bps, pounds.tax_buy_bps, pounds.tax_sell_bps) == (7.5, 50.0, 0.0)
    with pytest.raises(MarketbotError, match="CHF"):
        fill_terms(mandate(), "CHF", is_fund=False, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "price", "cash"), [(Side.BUY, "1.25025", "-1250.25"), (Side.SELL, "1.24975", "1249.75")]
)
def test_currency_legs(side: Side, price: str, cash: str) -> None:
    """The rate moves against us by 2 bps; the leg is whole."""
    fill = fx_fill(currency_order(side), 1.25, 2.0, OPEN)
    assert (fill.price, fill.quantity, fill.fee, fill.tax) == (D(price), D(1000), 0, 0)
    assert cash_changes(fill, "USD") == (("GBP", "TRADE", side.sign * D(1000)), ("USD", "TRADE", D(cash)))


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_an_error(rate: float) -> None:
    """No leg fills at an impossible rate."""
    with pytest.raises(MarketbotError, match="rate"):
        fx_fill(currency_order(), rate, 2.0, OPEN)


@settings(max_examples=300, deadline=None)
@given(
    side=st.sampled_from(list(Side)),
    ticks=st.integers(100, 50_000),
    away=st.integers(-200, 200),
    quantity=st.integers(1, 100_000),
    volume=st.floats(0, 1e7),
    sigma=st.none() | st.floats(0, 0.2),
    adv=st.none() | st.floats(1, 1e7),
    bps=st.floats(0, 50),
    tax=st.floats(0, 60),
    lot=st.sampled_from([1, 10, 100]),
)
def test_no_fill_is_beyond_what_was_ordered(
    side: Side, ticks: int, away: int, quantity: int, volume: float, sigma: float | None, adv: float | None, bps: float,
    tax: float, lot: int,
) -> None:  # fmt: skip
    """Never beyond the limit or better than the open's nearest tick, never more than ordered or than the volume allows."""
    limit = (ticks + away) * D("0.01")
    if limit <= 0:
        return
    sent = order(side, str(quantity), str(limit))
    traded = bar(ticks / 100, volume=volume, high=ticks / 100 * 1.01, low=ticks / 100)
    fill = order_fill(sent, traded, terms(bps=bps, sigma=sigma, adv=adv, tax_buy=tax, tax_sell=tax, lot=str(lot)))
    if fill is None:
        return
    done = fill.execution
    assert side.sign * (done.price - limit) <= 0
    assert side.sign * (done.price - ticks * D("0.01")) >= 0
    assert done.price % D("0.01") == 0
    assert 0 < done.quantity <= quantity
    assert done.quantity + fill.remaining == quantity
    assert float(done.quantity) <= 0.02 * volume * (1 + 1e-12)
    assert done.quantity % lot == 0 or done.quantity == quantity
    assert done.fee >= 0
    assert done.tax >= 0
    paid = sum((amount for _, _, amount in cash_changes(done, "USD")), Decimal(0))
    assert paid == -side.sign * to_money(done.price * done.quantity, "USD") - done.fee - done.tax


@settings(max_examples=100, deadline=None)
@given(side=st.sampled_from(list(Side)), cents=st.integers(1, 10**9), rate=st.floats(1e-3, 100), bps=st.floats(0, 100))
def test_a_round_trip_of_currency_never_gains(side: Side, cents: int, rate: float, bps: float) -> None:
    """Buying and selling the same amount at one rate cannot earn more than the rounding of two amounts."""
    legs = [fx_fill(currency_order(way, str(D(cents) / 100)), rate, bps, OPEN) for way in Side]
    total = sum((amount for leg in legs for c, _, amount in cash_changes(leg, "USD") if c == "USD"), Decimal(0))
    assert total <= D("0.01")
    assert legs[0].executed_at == OPEN.astimezone(dt.UTC)
