"""Whether the tax lots meet the book: shares, cash to the minor unit, and the profit and loss that attribution told. Pure.

Cash, per currency, exact: what the lots' moves brought = proceeds + dividends - cost of what was disposed of - cost of what is
still held. Profit, per name, in base currency: attribution's total over all sessions = gains before wash sales + dividends +
(value now - cost) of the open lots + the moves at the book's rates less the same at the rows' rates. Shares held before
the first session count here, and here alone, at their value then. Left out, and named: names with another unknown basis or
without a value or rate, and what gave them shares or took theirs. Not in either: interest, the broker's own fees, conversions, and
what cash earned by its rate.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_assets.audit.tax_lots import LotBook
from marketbot_assets.audit.tax_moves import ZERO, Happening, Move, Opening, Trade
from marketbot_resources.model import Side

CENTS = 0.01


@dataclass(frozen=True, slots=True)
class CashCheck:
    """One currency: cash that the moves brought less the value of the shares before them, and what rows and open lots say.

    `told` None: a basis is unknown.
    """

    currency: str
    moved: Decimal
    told: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """What the lots do not explain: 0 when they meet."""
        return None if self.told is None else self.moved - self.told


@dataclass(frozen=True, slots=True)
class ProfitCheck:
    """Base currency, over the names that can be compared. `tolerance`: a minor unit per move and row, for attribution's floats."""

    names: int
    left_out: tuple[str, ...]
    attributed: float
    told: float
    rates: float
    tolerance: float

    @property
    def difference(self) -> float:
        """Attribution less what the lots tell and what the rates explain."""
        return math.fsum([self.attributed, -self.told, -self.rates])

    @property
    def meets(self) -> bool:
        """Whether both agree but for rounding; not when anything is no number."""
        return math.isfinite(self.difference) and abs(self.difference) <= self.tolerance


@dataclass(frozen=True, slots=True)
class Flow:
    """Cash that one move brought, signed, and the rates at which book and rows turn it into base currency."""

    instrument: str
    currency: str
    amount: Decimal
    book_rate: float
    row_rate: float


def cash_of(move: Move) -> Decimal:
    """Cash in the move's currency, signed."""
    if isinstance(move, Trade):
        return -move.net if move.side is Side.BUY else move.net
    return move.cash + move.in_lieu if isinstance(move, Happening) else ZERO


def check_cash(book: LotBook, moves: Iterable[Move]) -> list[CashCheck]:
    """One check per currency, sorted."""
    moved: dict[str, Decimal] = {}
    for move in moves:
        moved[move.currency] = moved.get(move.currency, ZERO) + cash_of(move)
        if isinstance(move, Opening):
            moved[move.currency] -= move.value or ZERO
    told = dict.fromkeys(moved, ZERO)
    lots = [lot for own in book.lots.values() for lot in own]
    costs = [(lot.currency, lot.cost) for lot in (*lots, *(one.lot for one in book.disposals))]
    unknown = {currency for currency, cost in costs if cost is None}
    for currency, cost in costs:
        told[currency] = told.get(currency, ZERO) - (cost or ZERO)
    for one in book.disposals:
        told[one.currency] = told.get(one.currency, ZERO) + one.proceeds
    for paid in book.dividends:
        told[paid.happening.currency] += paid.happening.cash
    return [CashCheck(name, moved.get(name, ZERO), None if name in unknown else told[name]) for name in sorted(told)]


def check_profit(
    book: LotBook,
    moves: Sequence[Move],
    flows: Iterable[Flow],
    attributed: Mapping[str, float],
    values: Mapping[str, float],
) -> ProfitCheck:
    """`attributed`: name -> attribution's total of all sessions; `values`: held name -> its value in base currency now."""
    names = {name for move in moves for name in (move.instrument, getattr(move, "other", "")) if name}
    own = [flow for flow in flows if flow.instrument in names]
    lots = [lot for found in book.lots.values() for lot in found]
    out = {lot.instrument for lot in (*lots, *(one.lot for one in book.disposals)) if lot.cost_base is None}
    out |= {one.lot.instrument for one in book.disposals if one.proceeds_base is None}
    out |= {paid.happening.instrument for paid in book.dividends if paid.amount_base is None}
    out |= {flow.instrument for flow in own if not math.isfinite(flow.book_rate - flow.row_rate)}
    out |= {name for name in book.held() if not math.isfinite(values.get(name, math.nan))}
    out |= {name for name in names if not math.isfinite(attributed.get(name, math.nan))}
    given = [{move.instrument, move.other} for move in moves if isinstance(move, Happening) and move.other]
    for _ in given:  # a chain of exchanges is at most as long
        out |= {name for pair in given if pair & out for name in pair}
    kept = names - out
    told = [values[name] for name in book.held() if name in kept]
    told += [-float(lot.cost_base or 0) for lot in lots if lot.instrument in kept]
    told += [
        float((one.proceeds_base or ZERO) - (one.lot.cost_base or ZERO))
        for one in book.disposals
        if one.lot.instrument in kept
    ]
    told += [float(paid.amount_base or 0) for paid in book.dividends if paid.happening.instrument in kept]
    moved = [float(flow.amount) * (flow.book_rate - flow.row_rate) for flow in own if flow.instrument in kept]
    tolerance = CENTS * (1 + len(told) + len(moved))
    total = math.fsum(attributed[name] for name in sorted(kept))
    return ProfitCheck(len(kept), tuple(sorted(out & names)), total, math.fsum(told), math.fsum(moved), tolerance)
