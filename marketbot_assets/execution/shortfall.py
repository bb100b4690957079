"""Implementation shortfall of one order, exact: paper portfolio less real one (Perold 1988), in the parts of Kissell. Pure.

All amounts are in the order's price currency, positive when they cost. Not here: which orders there are and their prices
(`shortfall_frame`), models of impact (`impact`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from marketbot_resources.model import Side

DIGITS = 60
ZERO, TEN_THOUSAND = Decimal(0), Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Part:
    """One execution of the order: shares, price, and what was paid beside it."""

    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    tax: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The parts; None where a price that one needs is not known.

    `delay`: from decision to arrival, on what was filled; `trading`: fills against arrival; `opportunity`: from decision to close,
    on what was not filled; `price`: delay and trading together, known without an arrival. `total` of price, opportunity, fees and
    taxes; `bps`: total as basis points of quantity * decision price. `average`: mean price of the fills, None without one.
    """

    filled: Decimal
    average: Decimal | None
    delay: Decimal | None
    trading: Decimal | None
    price: Decimal
    opportunity: Decimal | None
    fees: Decimal
    taxes: Decimal
    total: Decimal | None
    bps: Decimal | None


def shortfall(
    side: Side,
    quantity: Decimal,
    fills: Iterable[Part],
    *,
    decision: Decimal,
    arrival: Decimal | None,
    close: Decimal | None,
) -> Shortfall:
    """Shortfall of an order of `quantity` at `decision`; `close` is the price when it ended, for what was not filled.

    delay Q_f (A - D), trading sum q (p - A), opportunity (Q - Q_f)(C - D), each signed by the side: for a sale the same with the
    sign turned. What is not filled has no delay: all of its cost is opportunity. Raises ValueError for a quantity or decision price
    that is not positive, or for more fills than the order asked for.
    """
    with localcontext(Context(prec=DIGITS)):
        parts, sign = tuple(fills), side.sign
        filled = sum((part.quantity for part in parts), ZERO)
        if not (quantity > 0 and decision > 0 and 0 <= filled <= quantity):
            raise ValueError(f"expected 0 <= filled <= quantity and a price, found {filled}, {quantity}, {decision}")
        paid = sum((part.quantity * part.price for part in parts), ZERO)
        price = sign * (paid - filled * decision)
        delay = ZERO if filled == 0 else None if arrival is None else sign * filled * (arrival - decision)
        left = quantity - filled
        opportunity = ZERO if left == 0 else None if close is None else sign * left * (close - decision)
        fees, taxes = sum((part.fee for part in parts), ZERO), sum((part.tax for part in parts), ZERO)
        total = None if opportunity is None else price + opportunity + fees + taxes
        return Shortfall(
            filled=filled,
            average=paid / filled if filled else None,
            delay=delay,
            trading=None if delay is None else price - delay,
            price=price,
            opportunity=opportunity,
            fees=fees,
            taxes=taxes,
            total=total,
            bps=None if total is None else total / (quantity * decision) * TEN_THOUSAND,
        )


@dataclass(frozen=True, slots=True)
class InBase:
    """A shortfall in base currency: `total` at the rate of the decision, and `currency`, what the rate did since.

    total + currency = what was paid, or would have been paid at the close, at the rate of the end, less the decision's value.
    """

    total: Decimal | None
    currency: Decimal | None


def in_base(
    side: Side, quantity: Decimal, found: Shortfall, *, close: Decimal | None, then: Decimal | None, now: Decimal | None
) -> InBase:
    """`then`, `now`: base currency per unit of the price currency at the decision and at the end; None = not known.

    The effect of the rate is on everything that changes hands: fills, what would be bought at the close, fees and taxes.
    """
    if then is None or found.total is None:
        return InBase(None, None)
    with localcontext(Context(prec=DIGITS)):
        total, left = found.total * then, quantity - found.filled
        if now is None or (left and close is None):
            return InBase(total, None)
        paid = found.filled * (found.average or ZERO) + left * (close or ZERO)
        return InBase(total, (now - then) * (side.sign * paid + found.fees + found.taxes))
