"""Implementation shortfall: published and hand-computed vectors, and identities for any order."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.execution.impact import almgren, square_root
from marketbot_assets.execution.shortfall import Part, Shortfall, in_base, shortfall
from marketbot_resources.model import Side

D = Decimal


def test_a_bought_order_in_parts() -> None:
    """BUY 1000 at 50.00: 600 @ 50.20 and 200 @ 50.30, arrival 50.10, close 50.60, .005 a share: 304 = 60.8 bp."""
    fills = [Part(D(600), D("50.20"), fee=D(3)), Part(D(200), D("50.30"), fee=D(1))]
    found = shortfall(Side.BUY, D(1000), fills, decision=D("50.00"), arrival=D("50.10"), close=D("50.60"))
    assert (found.delay, found.trading, found.opportunity) == (D(80), D(100), D(120))
    assert (found.fees, found.taxes, found.total, found.bps) == (D(4), D(0), D(304), D("60.8"))
    assert found.average == D("50.225")


def test_the_vector_of_the_cfa_curriculum() -> None:
    """1000 at 40.00, next close 40.04, 700 @ 40.05, canceled at 40.08, fee 17: .0425 + .07 + .0175 + .06 = .19 % of 40,000."""
    found = shortfall(
        Side.BUY, D(1000), [Part(D(700), D("40.05"), fee=D(17))], decision=D(40), arrival=D("40.04"), close=D("40.08")
    )
    parts = [found.fees, found.delay, found.trading, found.opportunity, found.total]
    assert [100 * part / D(40_000) for part in parts if part is not None] == [
        D("0.0425"), D("0.07"), D("0.0175"), D("0.06"), D("0.19"),
    ]  # fmt: skip


def test_a_sale_is_a_purchase_with_its_sign_turned() -> None:
    """SELL 100 at 10.00: arrival 9.90, 60 @ 9.80, close 9.50, fee 1, tax 2: delay 6, trading 6, opportunity 20: 35 = 350 bp."""
    found = shortfall(
        Side.SELL, D(100), [Part(D(60), D("9.8"), D(1), D(2))], decision=D(10), arrival=D("9.9"), close=D("9.5")
    )
    assert (found.delay, found.trading, found.opportunity, found.total, found.bps) == (D(6), D(6), D(20), D(35), D(350))


def test_an_order_that_never_filled_costs_its_opportunity() -> None:
    """BUY 10 at 20, close 21: all 10 of it is opportunity; delay and trading are zero without any arrival price."""
    found = shortfall(Side.BUY, D(10), [], decision=D(20), arrival=None, close=D(21))
    assert (found.delay, found.trading, found.opportunity, found.total) == (D(0), D(0), D(10), D(10))
    assert found.average is None
    assert found.bps == D(500)


UNKNOWN = [
    # filled, arrival, close -> delay, trading, price, opportunity, total
    (D(10), None, None, (None, None, D(10), D(0), D(10))),
    (D(4), None, D(22), (None, None, D(4), D(12), D(16))),
    (D(4), D("20.5"), None, (D(2), D(2), D(4), None, None)),
    (D(0), D("20.5"), None, (D(0), D(0), D(0), None, None)),
]


@pytest.mark.parametrize(("filled", "arrival", "close", "expected"), UNKNOWN)
def test_an_unknown_price_makes_only_what_needs_it_unknown(
    filled: Decimal, arrival: Decimal | None, close: Decimal | None, expected: tuple[Decimal | None, ...]
) -> None:
    """Of BUY 10 at 20 filled at 21."""
    fills = [Part(filled, D(21))] if filled else []
    found = shortfall(Side.BUY, D(10), fills, decision=D(20), arrival=arrival, close=close)
    assert (found.delay, found.trading, found.price, found.opportunity, found.total) == expected


@pytest.mark.parametrize(
    ("quantity", "decision", "filled"),
    [(D(0), D(1), D(0)), (D(1), D(0), D(0)), (D(1), D(1), D(2)), (D(-1), D(1), D(0))],
)
def test_no_shortfall_of_what_is_no_order(quantity: Decimal, decision: Decimal, filled: Decimal) -> None:
    """More filled than asked, or no price to measure from."""
    with pytest.raises(ValueError, match="expected 0 <= filled"):
        shortfall(Side.BUY, quantity, [Part(filled, D(1))], decision=decision, arrival=None, close=None)


def test_in_base_currency_the_rate_stands_apart() -> None:
    """BUY 100 at 10.00 GBP: 60 @ 10.10, close 10.30, fee 2, tax 3; rate 1.30 -> 1.40. Local 6 + 12 + 5 = 23, 29.90 at 1.30.

    The rate: .10 * (60 * 10.10 + 40 * 10.30 + 5) = .10 * 1023 = 102.30.
    """
    found = shortfall(
        Side.BUY, D(100), [Part(D(60), D("10.1"), D(2), D(3))], decision=D(10), arrival=D(10), close=D("10.3")
    )
    told = in_base(Side.BUY, D(100), found, close=D("10.3"), then=D("1.3"), now=D("1.4"))
    assert (found.total, told.total, told.currency) == (D(23), D("29.9"), D("102.3"))
    assert in_base(Side.BUY, D(100), found, close=D("10.3"), then=None, now=D(1)).total is None
    half = in_base(Side.BUY, D(100), found, close=D("10.3"), then=D("1.3"), now=None)
    assert (half.total, half.currency) == (D("29.9"), None)


money = st.decimals("0.01", "5000", places=4)
cost = st.decimals("0", "50", places=2)
part = st.builds(Part, st.integers(1, 10_000).map(Decimal), money, cost, cost)
orders = st.tuples(st.lists(part, max_size=5), st.integers(0, 10_000).map(Decimal), money, money, money)
rates = st.decimals("0.005", "3", places=5)


def of(order: tuple[list[Part], Decimal, Decimal, Decimal, Decimal], side: Side) -> tuple[Decimal, Shortfall]:
    fills, left, decision, arrival, close = order
    quantity = sum((fill.quantity for fill in fills), left) or D(1)
    return quantity, shortfall(side, quantity, fills, decision=decision, arrival=arrival, close=close)


@given(orders, st.sampled_from(Side), rates, rates)
def test_the_parts_are_all_of_it(
    order: tuple[list[Part], Decimal, Decimal, Decimal, Decimal], side: Side, then: Decimal, now: Decimal
) -> None:
    """Parts add up; total and rate effect are the real portfolio less the paper one, straight from the definition."""
    quantity, found = of(order, side)
    fills, _, decision, _, close = order
    assert found.delay is not None
    assert found.trading is not None
    assert found.opportunity is not None
    assert found.total is not None
    parts = found.delay + found.trading + found.opportunity + found.fees + found.taxes
    assert abs(parts - found.total) <= D("1e-9")
    paid = sum(fill.quantity * fill.price for fill in fills)
    left = quantity - sum(fill.quantity for fill in fills)
    beside = sum(fill.fee + fill.tax for fill in fills)
    real = side.sign * (paid + left * close) + beside
    assert abs(found.total - (real - side.sign * quantity * decision)) <= D("1e-9")
    told = in_base(side, quantity, found, close=close, then=then, now=now)
    assert told.total is not None
    assert told.currency is not None
    whole = real * now - side.sign * quantity * decision * then
    assert abs(told.total + told.currency - whole) <= D("1e-9")


@given(orders)
def test_prices_cost_a_seller_what_they_give_a_buyer(
    order: tuple[list[Part], Decimal, Decimal, Decimal, Decimal],
) -> None:
    """Sign symmetry of every part that follows from prices; fees and taxes cost both."""
    bought, sold = of(order, Side.BUY)[1], of(order, Side.SELL)[1]
    for name in ("delay", "trading", "price", "opportunity"):
        assert getattr(bought, name) == -getattr(sold, name)
    assert (bought.fees, bought.taxes) == (sold.fees, sold.taxes)


@given(orders, st.sampled_from(Side), st.integers(2, 7))
def test_splitting_fills_changes_nothing(
    order: tuple[list[Part], Decimal, Decimal, Decimal, Decimal], side: Side, pieces: int
) -> None:
    """One fill told as several of the same price is the same order."""
    fills, *rest = order
    split = []
    for fill in fills:
        step = (fill.quantity / pieces).quantize(D("1e-6"))
        split += [Part(step, fill.price)] * (pieces - 1)
        split += [Part(fill.quantity - step * (pieces - 1), fill.price, fill.fee, fill.tax)]
    whole, cut = of(order, side)[1], of((split, *rest), side)[1]  # type: ignore[arg-type]
    assert whole == cut


SQUARE_ROOT = [(0.001, 6.3), (0.005, 14.1), (0.01, 20.0), (0.02, 28.3), (0.05, 44.7), (0.10, 63.2)]


@pytest.mark.parametrize(("share", "bps"), SQUARE_ROOT)
def test_square_root_law(share: float, bps: float) -> None:
    """sigma 2 %, Y = 1: basis points at a share of the daily volume."""
    assert round(square_root(share, 1.0, 0.02) * 1e4, 1) == bps


ALMGREN = [
    # volume, shares outstanding (millions), sigma, I, {T: J}; the paper prints whole basis points: 20; 32 25 18; 22; 43 32 23
    (6.561, 1728.0, 0.0157, 19.9, {0.1: 32.2, 0.2: 24.6, 0.5: 18.4}),
    (1.929, 168.0, 0.0226, 21.7, {0.1: 42.9, 0.2: 32.0, 0.5: 23.1}),
]


@pytest.mark.parametrize(("volume", "theta", "sigma", "permanent", "realised"), ALMGREN, ids=["IBM", "DRI"])
def test_almgren_2005(
    volume: float, theta: float, sigma: float, permanent: float, realised: dict[float, float]
) -> None:
    """A tenth of the daily volume of IBM and DRI, worked over T days: table 3 of the paper."""
    for days, expected in realised.items():
        found = almgren(0.1 * volume, volume, theta, sigma, days)
        assert round(found.permanent * 1e4, 1) == permanent
        assert round(found.realised * 1e4, 1) == expected


@pytest.mark.parametrize("days", [0.0, float("nan"), -1.0])
def test_no_impact_without_time(days: float) -> None:
    """A trade takes time; NaN is no time."""
    with pytest.raises(ValueError, match="positive"):
        almgren(1.0, 10.0, 100.0, 0.02, days)
