"""From weights to lots and from closes to limit prices: exact steps with their direction of rounding named. Pure.

Not here: which orders there are (`order_plan`), cash and currency legs (`cash_legs`).
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import isfinite

from marketbot_resources.currencies import minor_digits

LOT_TOLERANCE = Decimal("1e-9")


def exact(value: float) -> Decimal:
    """A finite float as the decimal that it prints as. Raises ValueError for NaN and infinity."""
    if not isfinite(value):
        raise ValueError(f"expected a finite number, found {value}")
    return Decimal(repr(float(value)))


def lots_down(shares: Decimal, step: Decimal) -> Decimal:
    """The largest whole number of lots that is not more than `shares` (1e-9 of a lot forgiven); never negative."""
    return max((shares / step + LOT_TOLERANCE).to_integral_value(rounding=ROUND_FLOOR), Decimal(0)) * step


def lots_up(shares: Decimal, step: Decimal) -> Decimal:
    """The smallest whole number of lots that is not less than `shares` (1e-9 of a lot forgiven)."""
    return max((shares / step - LOT_TOLERANCE).to_integral_value(rounding=ROUND_CEILING), Decimal(0)) * step


def lots_near(shares: Decimal, step: Decimal) -> Decimal:
    """The nearest whole number of lots, half a lot counts as one."""
    return max((shares / step).to_integral_value(rounding=ROUND_HALF_UP), Decimal(0)) * step


def buy_limit(price: float, collar: float, tick: Decimal) -> Decimal:
    """RC-07: close * (1 + collar), down to the tick: never beyond the collar. Zero when not even one tick fits."""
    return lots_down_exact(exact(price) * (1 + exact(collar)), tick)


def sell_limit(price: float, collar: float, tick: Decimal) -> Decimal:
    """RC-07: close * (1 - collar), up to the tick: never below the collar."""
    return (exact(price) * (1 - exact(collar)) / tick).to_integral_value(rounding=ROUND_CEILING) * tick


def lots_down_exact(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value`, nothing forgiven."""
    return (value / step).to_integral_value(rounding=ROUND_FLOOR) * step


def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency: 0.01, or 1 for yen."""
    return Decimal(1).scaleb(-minor_digits(currency))


def money_up(amount: Decimal, currency: str) -> Decimal:
    """An amount rounded up to the currency's minor unit: a leg always covers what it is for."""
    return (amount / minor_unit(currency)).to_integral_value(rounding=ROUND_CEILING) * minor_unit(currency)


def money_down(amount: Decimal, currency: str) -> Decimal:
    """An amount rounded down to the currency's minor unit: never more than is there."""
    return lots_down_exact(amount, minor_unit(currency))
