"""What moves tax lots: trades, corporate actions and the shares a book opens with, as exact facts. Pure.

Not here: what they do to the lots (`tax_lots`), where they are read (`tax_facts` of the package), the table (`tax_rows`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from marketbot_resources.model import Side, to_money

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """Base currency per unit of a currency, and the date of its fixing; None where no rate is known."""

    value: Decimal | None
    fixed_on: dt.date | None

    def in_base(self, amount: Decimal | None, base: str) -> Decimal | None:
        """An amount in base currency, rounded to its minor unit; None when the amount or the rate is unknown."""
        return None if amount is None or self.value is None else to_money(amount * self.value, base)


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, or under section 104 all of one day and side. Amounts in `currency`, positive.

    `on`: trade date on the exchange's own calendar; `amount`: price times quantity, rounded; `costs`: fees and transaction
    taxes; `executions`, `orders`: their ids.
    """

    instrument: str
    side: Side
    on: dt.date
    quantity: Decimal
    amount: Decimal
    costs: Decimal
    currency: str
    rate: Rate
    executions: tuple[str, ...]
    orders: tuple[str, ...]

    @property
    def net(self) -> Decimal:
        """What the buy cost with its costs, or the sale brought after them."""
        return self.amount + self.costs if self.side is Side.BUY else self.amount - self.costs


@dataclass(frozen=True, slots=True)
class Opening:
    """Shares that the book held before its first session: since when and at which cost is not known.

    `value`, `value_base`: what they were worth then, in `currency` and in base currency, for checks alone; None when unknown.
    """

    instrument: str
    on: dt.date
    quantity: Decimal
    currency: str
    value: Decimal | None = None
    value_base: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """A corporate action as the book booked it; amounts in `currency`.

    `held`: shares before it; `cash`: what it paid for them; `in_lieu`: what it paid for a fraction of a share; `ratio`: new shares
    per old one (SPLIT), or shares of `other` per share held; `received`: whole shares of `other`, or of a split the shares held
    after it. `other` is empty where no shares came. `part_moved`: the part of the basis that goes over to the shares received, by
    value; None when a value is unknown.
    """

    kind: str
    instrument: str
    on: dt.date
    reference: str
    held: Decimal
    currency: str
    rate: Rate
    cash: Decimal = ZERO
    in_lieu: Decimal = ZERO
    ratio: Decimal = ZERO
    received: Decimal = ZERO
    other: str = ""
    part_moved: Decimal | None = None


Move = Trade | Opening | Happening


def by_day(moves: Sequence[Move]) -> list[Move]:
    """The same moves with all trades of one instrument, day and side made one, in the place of the first of them.

    A corporate action between them keeps them apart. Taxation of Chargeable Gains Act 1992, section 105(1)(a): what is bought on
    one day is one acquisition, what is sold one disposal.
    """
    groups: dict[tuple[str, dt.date, Side, int], list[Trade]] = {}
    actions: dict[str, int] = {}
    found: list[Move | list[Trade]] = []
    for move in moves:
        if not isinstance(move, Trade):
            actions[move.instrument] = actions.get(move.instrument, 0) + 1
            found.append(move)
            continue
        key = (move.instrument, move.on, move.side, actions.get(move.instrument, 0))
        if key not in groups:
            groups[key] = []
            found.append(groups[key])
        groups[key].append(move)
    return [_joined(move) if isinstance(move, list) else move for move in found]


def _joined(trades: Sequence[Trade]) -> Trade:
    return replace(
        trades[0],
        quantity=sum((trade.quantity for trade in trades), ZERO),
        amount=sum((trade.amount for trade in trades), ZERO),
        costs=sum((trade.costs for trade in trades), ZERO),
        executions=tuple(name for trade in trades for name in trade.executions),
        orders=tuple(dict.fromkeys(name for trade in trades for name in trade.orders)),
    )


def shared(amount: Decimal, parts: Iterable[Decimal], currency: str) -> list[Decimal]:
    """An amount over parts in proportion, each rounded to the minor unit; the shares add up to the amount exactly."""
    weights = list(parts)
    left, weight = amount, sum(weights, ZERO)
    found = []
    for part in weights:
        piece = left if part == weight else to_money(left * part / weight, currency)
        found.append(piece)
        left, weight = left - piece, weight - part
    return found
