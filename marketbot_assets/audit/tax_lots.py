"""Tax lots: which shares a disposal disposed of, at which cost, first in first out, at the average, or under section 104. Pure.

`LotBook` takes moves in the order in which they happened. Amounts are decimals in the trade currency and in base currency; an
unknown cost stays unknown (None), it is never 0, and every split of an amount adds up to it exactly.
Not here: the facts (`tax_moves`), wash sales (`tax_wash`), the table (`tax_rows`). No advice: `docs/tax-lots.md`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from marketbot_assets.audit.tax_holdings import Disposal, Dividend, Lot, spread, total
from marketbot_assets.audit.tax_moves import ZERO, Happening, Move, Opening, Trade, shared
from marketbot_assets.audit.tax_wash import WashSales
from marketbot_resources.corporate_actions import DELISTING, DIVIDENDS, MERGER, SPIN_OFF, SPLIT
from marketbot_resources.errors import HaltError
from marketbot_resources.model import Side, to_money

FIFO, AVERAGE, SECTION_104 = METHODS = ("fifo", "average", "section-104")
SALE, IN_LIEU = "SALE", "CASH_IN_LIEU"
BEFORE = "held before the book's first session"
POOL, FIRST = "average of the pool", "first in, first out"


@dataclass(frozen=True, slots=True)
class Match:
    """Shares of a sale that section 104's first rules match with a buy: `quantity` in the sale's shares, `bought` in the buy's."""

    buy: tuple[str, ...]
    quantity: Decimal
    bought: Decimal
    rule: str


Matches = Mapping[tuple[str, ...], Sequence[Match]]
NO_MATCHES: Matches = {}


class LotBook:
    """Open lots, disposals and dividends of one account, moved in the order of time.

    `wash_days`: days before and after a loss within which a buy of the same instrument takes it away (26 USC 1091); None: no rule.
    `at_value`: shares held before the first session cost what they were worth then (`tax_check`), else their cost is unknown.
    `matches`: of each sale, by its executions, what is matched before the pool (`tax_matching`).
    """

    def __init__(
        self,
        base: str,
        method: str,
        *,
        wash_days: int | None = None,
        matches: Matches = NO_MATCHES,
        at_value: bool = False,
    ) -> None:
        if method not in METHODS or (wash_days is not None and method != FIFO):
            raise ValueError(f"expected a method of {METHODS}, wash sales with fifo alone, found {method}, {wash_days}")
        self.base, self.method = base, method
        self.lots: dict[str, list[Lot]] = {}
        self.disposals: list[Disposal] = []
        self.dividends: list[Dividend] = []
        self._matches, self._at_value = matches, at_value
        self._wanted = {match.buy for found in matches.values() for match in found}
        self._bought: dict[tuple[str, ...], Lot] = {}
        self._reserved: dict[tuple[str, ...], list[Lot]] = {}
        self._wash = None if wash_days is None else WashSales(wash_days, base)

    def run(self, moves: Sequence[Move]) -> "LotBook":
        """Applies the moves, oldest first. Raises HaltError when more is disposed of than is held."""
        for move in moves:
            if isinstance(move, Trade) and move.executions in self._wanted:
                self._bought[move.executions] = self._lot_of(move)
        for sale, found in self._matches.items():  # taken out at once: no split of the pool reaches them
            self._reserved[sale] = [self._bought[match.buy].take(match.bought, self.base) for match in found]
        for move in moves:
            if self._wash is not None:
                self._wash.before(move.instrument, move.on, self.lots.get(move.instrument, []))
            if isinstance(move, Trade):
                self._buy(move) if move.side is Side.BUY else self._sell(move)
            elif isinstance(move, Opening):
                self._add(self._opening(move))
            else:
                self._happen(move)
        if self._wash is not None:
            self._wash.finish(self.lots)
        return self

    def held(self) -> dict[str, Decimal]:
        """Shares per instrument in the open lots, zeros left out."""
        sums = {name: sum((lot.quantity for lot in lots), ZERO) for name, lots in self.lots.items()}
        return {name: sums[name] for name in sorted(sums) if sums[name]}

    def _add(self, lot: Lot) -> None:
        if lot.quantity:
            self.lots.setdefault(lot.instrument, []).append(lot)

    def _opening(self, held: Opening) -> Lot:
        cost, cost_base = (held.value, held.value_base) if self._at_value else (None, None)
        lot = Lot(held.instrument, held.quantity, held.currency, cost, ZERO, cost_base, None, None, None, (), ())
        return replace(lot, note=BEFORE)

    def _lot_of(self, trade: Trade) -> Lot:
        cost_base = trade.rate.in_base(trade.net, self.base)
        numbers = (trade.quantity, trade.currency, trade.net, trade.costs, cost_base)
        return Lot(trade.instrument, *numbers, trade.on, trade.on, trade.rate.fixed_on, trade.executions, trade.orders)

    def _buy(self, trade: Trade) -> None:
        lot = self._bought.get(trade.executions) or self._lot_of(trade)
        self._add(lot)
        if self._wash is not None:
            self._wash.bought(trade.instrument, trade.on, self.lots[trade.instrument])

    def _sell(self, trade: Trade) -> None:
        pieces, rules = [], []
        left = trade.quantity
        reserved = self._reserved.get(trade.executions, [])
        for match, piece in zip(self._matches.get(trade.executions, ()), reserved, strict=True):
            piece.quantity = match.quantity
            pieces.append(piece)
            rules.append(match.rule)
            left -= match.quantity
        rest = self._taken(trade.instrument, left)
        pieces += rest
        rules += [FIRST if self.method == FIFO else POOL] * len(rest)
        proceeds_base = trade.rate.in_base(trade.net, self.base)
        found = self._dispose(SALE, pieces, trade.on, trade.net, trade.costs, trade.currency, proceeds_base)
        for disposal, rule in zip(found, rules, strict=True):
            disposal.matched, disposal.rate_on = rule, trade.rate.fixed_on
            disposal.references, disposal.orders = trade.executions, trade.orders
        if self._wash is not None:
            self._wash.sold(trade.instrument, found)

    def _taken(self, instrument: str, quantity: Decimal) -> list[Lot]:
        """Shares out of the open lots: first in first out, or out of the pool. Raises HaltError when there are too few."""
        lots, pieces, left = self.lots.get(instrument, []), [], quantity
        if left > sum((lot.quantity for lot in lots), ZERO):
            raise HaltError(f"{instrument}: expected lots of {quantity} shares, found fewer; run `marketbot reconcile`")
        if self.method != FIFO and left:
            self._pool(instrument)
        while left > 0:
            first = lots[0]
            pieces.append(first.take(min(left, first.quantity), self.base))
            left -= pieces[-1].quantity
            if not first.quantity:
                lots.pop(0)
        return pieces

    def _pool(self, instrument: str) -> None:
        """Spreads the cost of all open lots over their shares; section 104 makes them one, without a date."""
        lots = self.lots[instrument]
        quantities, currency = [lot.quantity for lot in lots], lots[0].currency
        cost = total([lot.cost if lot.currency == currency else None for lot in lots])
        cost_base = total([lot.cost_base for lot in lots])
        costs = sum((lot.costs for lot in lots), ZERO)
        if self.method == SECTION_104:
            note = "section 104 holding"
            pooled = Lot(instrument, sum(quantities, ZERO), currency, cost, costs, cost_base, None, None, None, (), ())
            lots[:] = [replace(pooled, note=note)]
            return
        numbers = [spread(cost, quantities, currency), spread(cost_base, quantities, self.base)]
        for lot, own, own_base, fees in zip(lots, *numbers, shared(costs, quantities, currency), strict=True):
            lot.cost, lot.cost_base, lot.costs = own, own_base, fees

    def _dispose(
        self,
        event: str,
        pieces: Sequence[Lot],
        on: dt.date,
        net: Decimal,
        costs: Decimal,
        currency: str,
        net_base: Decimal | None,
    ) -> list[Disposal]:
        weights = [piece.quantity for piece in pieces]
        bases = spread(net_base, weights, self.base)
        amounts = zip(pieces, shared(net, weights, currency), shared(costs, weights, currency), bases, strict=True)
        found = [
            Disposal(event, lot, on, currency, own, fees, in_base, None, "", (), ())
            for lot, own, fees, in_base in amounts
        ]
        self.disposals += found
        return found

    def _happen(self, action: Happening) -> None:
        if action.kind in DIVIDENDS:
            self.dividends.append(Dividend(action, action.rate.in_base(action.cash, self.base)))
        elif action.kind == SPLIT:
            self._split(action)
        elif action.kind == SPIN_OFF:
            self._spin_off(action)
        elif action.kind == MERGER and action.other:
            self._exchange(action)
        elif action.kind in (MERGER, DELISTING):
            self._paid(action, action.kind, self._taken(action.instrument, action.held), action.cash)

    def _paid(self, action: Happening, event: str, pieces: Sequence[Lot], cash: Decimal) -> None:
        """Shares, or what is left of a share, that went for cash."""
        base = action.rate.in_base(cash, self.base)
        found = self._dispose(event, pieces, action.on, cash, ZERO, action.currency, base)
        for disposal in found:
            disposal.matched = FIRST if self.method == FIFO else POOL
            disposal.rate_on, disposal.references = action.rate.fixed_on, (action.reference,)
        if self._wash is not None:
            self._wash.sold(action.instrument, found)

    def _split(self, action: Happening) -> None:
        for lot in self.lots.get(action.instrument, []):
            lot.quantity *= action.ratio
        if self._wash is not None:
            self._wash.split(action.instrument, action.ratio)
        fraction = action.held * action.ratio - action.received
        if fraction > 0:
            self._paid(action, IN_LIEU, self._taken(action.instrument, fraction), action.in_lieu)

    def _spin_off(self, action: Happening) -> None:
        """The basis goes over by value (26 USC 358(b)); shares that are not listed with us count as received and sold at once."""
        moved = [self._moved(lot, action) for lot in self.lots.get(action.instrument, [])]
        if action.other:
            self._received(action, moved)
        else:
            self._paid(action, SPIN_OFF, moved, action.cash)

    def _exchange(self, action: Happening) -> None:
        """Shares for shares: cost and dates go over; a cash part disposes of its part of the basis by value."""
        pieces = self._taken(action.instrument, action.held)
        moved = [self._moved(piece, action) for piece in pieces]
        if action.cash:
            self._paid(action, MERGER, pieces, action.cash)
        self._received(action, moved)

    def _moved(self, lot: Lot, action: Happening) -> Lot:
        """The part of a lot's basis that goes over to the shares received; both are unknown where the values are."""
        part, scale = action.part_moved, action.ratio if action.other else Decimal(1)
        if part is None:
            lot.cost = lot.cost_base = None
        new = replace(
            lot,
            instrument=action.other or lot.instrument,
            quantity=lot.quantity * scale,
            cost=_times(lot.cost, part, lot.currency),
            cost_base=_times(lot.cost_base, part, self.base),
            costs=_times(lot.costs, part, lot.currency) or ZERO,
            carried_base=_times(lot.carried_base, part, self.base) or ZERO,
            note=f"from {action.reference}",
        )
        lot.cost = None if lot.cost is None or new.cost is None else lot.cost - new.cost
        lot.cost_base = None if lot.cost_base is None or new.cost_base is None else lot.cost_base - new.cost_base
        lot.costs -= new.costs
        lot.carried_base -= new.carried_base
        return new

    def _received(self, action: Happening, lots: Sequence[Lot]) -> None:
        """Lots of the shares received, by their dates; the fraction of a share that was paid in cash is disposed of."""
        for lot in lots:
            self._add(lot)
        self.lots.get(action.other, []).sort(key=lambda lot: lot.acquired_on or dt.date.min)
        fraction = sum((lot.quantity for lot in lots), ZERO) - action.received
        if fraction > 0:
            self._paid(action, IN_LIEU, self._taken(action.other, fraction), action.in_lieu)


def _times(amount: Decimal | None, part: Decimal | None, currency: str) -> Decimal | None:
    return None if amount is None or part is None else to_money(amount * part, currency)
