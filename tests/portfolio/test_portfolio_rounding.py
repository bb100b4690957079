"""Lots, ticks and money: every rounding has one direction, and it is the safe one."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.portfolio.rounding import (
    buy_limit,
    exact,
    lots_down,
    lots_near,
    lots_up,
    money_down,
    money_up,
    sell_limit,
)

D = Decimal
STEPS = st.sampled_from([D(1), D(100), D("0.01"), D(500)])


@pytest.mark.parametrize(
    ("rounded", "shares", "step", "expected"),
    [
        (lots_down, "199.9", "100", "100"),
        (lots_down, "99.9999999999", "100", "100"),
        (lots_down, "-5", "1", "0"),
        (lots_up, "100.1", "100", "200"),
        (lots_up, "100.0000000001", "100", "100"),
        (lots_near, "149.9", "100", "100"),
        (lots_near, "150", "100", "200"),
    ],
)
def test_lots(rounded: Callable[[Decimal, Decimal], Decimal], shares: str, step: str, expected: str) -> None:
    """Down, up and nearest whole lots; a billionth of a lot is noise."""
    assert rounded(D(shares), D(step)) == D(expected)


@given(shares=st.decimals(0, 10**7, places=4), step=STEPS)
def test_lots_bracket_the_wish(shares: Decimal, step: Decimal) -> None:
    """down <= wish <= up, both whole lots, one lot apart at most."""
    down, up = lots_down(shares, step), lots_up(shares, step)
    assert down - step * D("1e-9") <= shares <= up + step * D("1e-9")
    assert down % step == up % step == 0
    assert up - down <= step


@pytest.mark.parametrize(
    ("price", "collar", "tick", "buy", "sell"),
    [
        (100.0, 0.02, "0.01", "102.00", "98.00"),
        (33.33, 0.03, "0.01", "34.32", "32.34"),
        (1234.0, 0.05, "1", "1295", "1173"),
        (0.5, 0.02, "0.05", "0.50", "0.50"),
    ],
)
def test_limits_stay_inside_the_collar(price: float, collar: float, tick: str, buy: str, sell: str) -> None:
    """RC-07: a buy limit rounds down, a sell limit up; worked by hand."""
    assert buy_limit(price, collar, D(tick)) == D(buy)
    assert sell_limit(price, collar, D(tick)) == D(sell)


def test_money_rounds_for_its_purpose() -> None:
    """A leg covers what it pays for; a sweep takes no more than is there; yen have no cents."""
    assert (money_up(D("10.001"), "EUR"), money_down(D("10.009"), "EUR")) == (D("10.01"), D("10.00"))
    assert (money_up(D("10.1"), "JPY"), money_down(D("10.9"), "JPY")) == (D(11), D(10))


def test_no_decimal_comes_from_nan() -> None:
    """NaN never becomes money."""
    with pytest.raises(ValueError, match="finite"):
        exact(float("nan"))
