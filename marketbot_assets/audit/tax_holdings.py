"""Open tax lots, and the disposals and dividends that came of them, as facts that can be split without losing a cent. Pure.

Not here: what moves them (`tax_moves`), in which order lots are disposed of (`tax_lots`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from marketbot_assets.audit.tax_moves import ZERO, Happening, shared
from marketbot_resources.errors import HaltError


@dataclass(slots=True)
class Lot:
    """Shares of one acquisition that are still held. `cost`: with `costs` in it; None: basis unknown.

    `carried_base`: disallowed losses added to the basis (wash sales); `holding_from`: first day of the holding period less one.
    """

    instrument: str
    quantity: Decimal
    currency: str
    cost: Decimal | None
    costs: Decimal
    cost_base: Decimal | None
    acquired_on: dt.date | None
    holding_from: dt.date | None
    rate_on: dt.date | None
    executions: tuple[str, ...]
    orders: tuple[str, ...]
    carried_base: Decimal = ZERO
    replaces: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """What a row calls this lot: its executions, or how it came."""
        return " ".join(self.executions) or self.note

    def take(self, quantity: Decimal, base: str) -> "Lot":
        """Splits `quantity` shares off with their part of every amount; this lot keeps the rest."""
        if not 0 < quantity <= self.quantity:
            raise HaltError(
                f"{self.instrument}: expected to take up to {self.quantity} shares of a lot, found {quantity}"
            )
        rest = self.quantity - quantity
        piece = replace(
            self,
            quantity=quantity,
            cost=spread(self.cost, (quantity, rest), self.currency)[0],
            costs=shared(self.costs, (quantity, rest), self.currency)[0],
            cost_base=spread(self.cost_base, (quantity, rest), base)[0],
            carried_base=shared(self.carried_base, (quantity, rest), base)[0],
        )
        self.quantity = rest
        self.cost = None if self.cost is None or piece.cost is None else self.cost - piece.cost
        self.cost_base = None if self.cost_base is None or piece.cost_base is None else self.cost_base - piece.cost_base
        self.costs -= piece.costs
        self.carried_base -= piece.carried_base
        return piece


@dataclass(slots=True)
class Disposal:
    """One disposal out of one lot (under section 104: out of one match or the pool). Amounts as in `Lot`.

    `proceeds`: after `costs`; `disallowed_base`: the part of a loss that a wash sale takes away, positive; `replaced_by`: the lots
    that it went to.
    """

    event: str
    lot: Lot
    on: dt.date
    currency: str
    proceeds: Decimal
    costs: Decimal
    proceeds_base: Decimal | None
    rate_on: dt.date | None
    matched: str
    references: tuple[str, ...]
    orders: tuple[str, ...]
    disallowed_base: Decimal = ZERO
    replaced_by: list[str] = field(default_factory=list)

    @property
    def gain(self) -> Decimal | None:
        """Proceeds less cost in the trade currency; None when the basis is unknown or was paid in another currency."""
        known = self.lot.cost is not None and self.lot.currency == self.currency
        return self.proceeds - self.lot.cost if known and self.lot.cost is not None else None

    @property
    def gain_base(self) -> Decimal | None:
        """Proceeds less cost and carried losses in base currency, before what a wash sale disallows; None when unknown."""
        if self.proceeds_base is None or self.lot.cost_base is None:
            return None
        return self.proceeds_base - self.lot.cost_base - self.lot.carried_base


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash that shares paid, before any tax withheld; `amount_base` None when no rate is known."""

    happening: Happening
    amount_base: Decimal | None


def spread(amount: Decimal | None, weights: Sequence[Decimal], currency: str) -> Sequence[Decimal | None]:
    """`shared` of an amount that may be unknown."""
    return [None] * len(weights) if amount is None else shared(amount, weights, currency)


def total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """The sum, None when one of them is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None
