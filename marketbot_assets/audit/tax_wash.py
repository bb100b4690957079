"""Wash sales: a loss that a buy of the same instrument within some days before or after takes away (26 USC 1091). Pure.

Treasury regulation 1.1091-1: losses in the order of the sales, replaced by shares in the order in which they were bought, each
share once; the disallowed loss joins the basis of the replacement (1091(d)), whose holding period takes in the one of the shares
sold (26 USC 1223(3)). What is left of the very lot that was sold in part is no replacement (Revenue Ruling 56-602). Not here: other
accounts, a spouse's, options, other classes of the issuer, which this book does not know.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from marketbot_assets.audit.tax_holdings import Disposal, Lot
from marketbot_resources.model import to_money


@dataclass(slots=True)
class _Loss:
    """What of a loss no buy has taken away yet; `loss`: base currency, positive."""

    disposal: Disposal
    left: Decimal
    loss: Decimal
    looked_back: bool = False


class WashSales:
    """Watches one account's disposals and buys in the order of time."""

    def __init__(self, days: int, base: str) -> None:
        self._window, self._base = dt.timedelta(days=days), base
        self._losses: dict[str, list[_Loss]] = {}

    def sold(self, instrument: str, disposals: list[Disposal]) -> None:
        """Remembers the losses; one of unknown basis is none that we know."""
        for disposal in disposals:
            gain = disposal.gain_base
            if gain is not None and gain < 0:
                self._losses.setdefault(instrument, []).append(_Loss(disposal, disposal.lot.quantity, -gain))

    def before(self, instrument: str, on: dt.date, lots: list[Lot]) -> None:
        """Looks back from losses of earlier days: to be called before anything of a new day moves the lots."""
        for loss in self._losses.get(instrument, []):
            if loss.disposal.on < on:
                self._look_back(loss, lots)

    def bought(self, instrument: str, on: dt.date, lots: list[Lot]) -> None:
        """The newest lot replaces what was lost within the window before it, the oldest loss first."""
        for loss in self._losses.get(instrument, []):
            if loss.disposal.on == on:
                self._look_back(loss, lots)
                loss.looked_back = False  # the day is not over
            elif loss.left and on - loss.disposal.on <= self._window:
                self._replace(loss, [lot for lot in lots if lot.acquired_on == on and not lot.replaces], lots)

    def split(self, instrument: str, ratio: Decimal) -> None:
        """Shares that may still be replaced, in new shares."""
        for loss in self._losses.get(instrument, []):
            loss.left *= ratio

    def finish(self, lots: dict[str, list[Lot]]) -> None:
        """Looks back from the last day's losses."""
        for instrument in self._losses:
            self.before(instrument, dt.date.max, lots.get(instrument, []))

    def _look_back(self, loss: _Loss, lots: list[Lot]) -> None:
        if loss.looked_back:
            return
        loss.looked_back = True
        sold, first = loss.disposal.lot, loss.disposal.on - self._window
        found = [
            lot
            for lot in lots
            if lot.acquired_on is not None
            and first <= lot.acquired_on <= loss.disposal.on
            and not lot.replaces
            and (lot.orders, lot.acquired_on) != (sold.orders, sold.acquired_on)
        ]
        self._replace(loss, found, lots)

    def _replace(self, loss: _Loss, found: list[Lot], lots: list[Lot]) -> None:
        for lot in found:
            if not loss.left:
                return
            quantity = min(loss.left, lot.quantity)
            amount = loss.loss if quantity == loss.left else to_money(loss.loss * quantity / loss.left, self._base)
            if quantity < lot.quantity:
                piece = lot.take(quantity, self._base)
                lots.insert(lots.index(lot), piece)
                lot = piece
            self._join(loss.disposal, lot, amount)
            loss.left -= quantity
            loss.loss -= amount

    @staticmethod
    def _join(disposal: Disposal, lot: Lot, amount: Decimal) -> None:
        disposal.disallowed_base += amount
        disposal.replaced_by.append(lot.name)
        lot.carried_base += amount
        lot.replaces = True
        if disposal.lot.holding_from is not None and lot.holding_from is not None:
            lot.holding_from -= max(disposal.on - disposal.lot.holding_from, dt.timedelta(0))
