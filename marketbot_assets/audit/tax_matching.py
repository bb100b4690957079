"""Section 104, the rules before the pool: which shares of a sale are matched with which buy of the same instrument. Pure.

Taxation of Chargeable Gains Act 1992: shares bought on the day of the sale (section 105(1)(b)), then shares bought within the
30 days after it, the earliest first (section 106A(5)); earlier sales have the first choice. The rest comes out of the pool. Trades
are those of `by_day`. A split between sale and buy counts; a merger does not match across instruments.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from marketbot_assets.audit.tax_lots import Match
from marketbot_assets.audit.tax_moves import Happening, Move, Trade
from marketbot_resources.corporate_actions import SPLIT
from marketbot_resources.model import Side

WINDOW = dt.timedelta(days=30)
SAME_DAY, THIRTY_DAYS = "bought the same day", "bought within 30 days after"


@dataclass(slots=True)
class _Left:
    """A trade's shares that are not matched yet. `scale`: shares of the first day per share of its own day."""

    trade: Trade
    left: Fraction
    scale: Fraction
    matched: Decimal = Decimal(0)

    def take(self, shares: Fraction) -> Decimal:
        """Some of the shares that are left, in shares of the trade's own day; the last take leaves nothing, not even a rounding."""
        self.left -= shares
        found = _decimal(shares / self.scale) if self.left else self.trade.quantity - self.matched
        self.matched += found
        return found


def matches(moves: Sequence[Move]) -> dict[tuple[str, ...], list[Match]]:
    """Executions of a sale -> its matches, the same day first. `moves`: of `by_day`, oldest first."""
    scale: dict[str, Fraction] = {}
    sales: dict[str, list[_Left]] = {}
    buys: dict[str, list[_Left]] = {}
    for move in moves:
        if isinstance(move, Happening) and move.kind == SPLIT:
            scale[move.instrument] = scale.get(move.instrument, Fraction(1)) / Fraction(move.ratio)
        elif isinstance(move, Trade):
            side = buys if move.side is Side.BUY else sales
            own = scale.get(move.instrument, Fraction(1))
            side.setdefault(move.instrument, []).append(_Left(move, Fraction(move.quantity) * own, own))
    found: dict[tuple[str, ...], list[Match]] = {}
    for instrument in sorted(sales):
        for rule in (SAME_DAY, THIRTY_DAYS):
            for sale in sales[instrument]:
                for buy in buys.get(instrument, []):
                    _match(sale, buy, rule, found)
    return found


def _match(sale: _Left, buy: _Left, rule: str, found: dict[tuple[str, ...], list[Match]]) -> None:
    after = buy.trade.on - sale.trade.on
    meets = after == dt.timedelta(0) if rule == SAME_DAY else dt.timedelta(0) < after <= WINDOW
    shares = min(sale.left, buy.left)
    if not meets or not shares:
        return
    match = Match(buy.trade.executions, sale.take(shares), buy.take(shares), rule)
    found.setdefault(sale.trade.executions, []).append(match)


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)
