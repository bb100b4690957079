"""Trades and corporate actions written short, and slow ledgers that keep every single share, for tests of the tax lots."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from marketbot_assets.audit.tax_lots import LotBook
from marketbot_assets.audit.tax_moves import Happening, Rate, Trade
from marketbot_resources.model import Side

D = Decimal
START = dt.date(2024, 1, 1)
ONE = Rate(D(1), START)


def day(number: int) -> dt.date:
    return START + dt.timedelta(days=number)


def trade(
    name: str, side: str, on: dt.date, quantity: object, amount: object, costs: object = 0, *, rate: Rate = ONE
) -> Trade:
    numbers = (D(str(quantity)), D(str(amount)).quantize(D("0.01")), D(str(costs)).quantize(D("0.01")))
    return Trade("X", Side(side), on, *numbers, "USD", rate, (name,), (f"order-{name}",))


def action(kind: str, on: dt.date, held: object, **facts: object) -> Happening:
    return Happening(kind, "X", on, f"X|{on}|{kind}", D(str(held)), "USD", ONE, **facts)  # type: ignore[arg-type]


def told(book: LotBook) -> list[tuple[object, ...]]:
    """(execution bought, shares, proceeds, cost, gain) of each disposal."""
    rows = book.disposals
    return [(" ".join(r.lot.executions), r.lot.quantity, r.proceeds, r.lot.cost, r.gain) for r in rows]


@dataclass
class Share:
    """One share. Amounts in cents."""

    name: str
    on: dt.date
    cost: int
    carried: int = 0
    replaces: bool = False


@dataclass
class SoldShare:
    share: Share
    on: dt.date
    sale: str
    proceeds: int
    disallowed: int = 0
    open: bool = field(default=False)


def slow_fifo(moves: Sequence[tuple[str, str, int, int, int]], wash_days: int | None) -> list[SoldShare]:
    """Every share on its own: first in, first out; a loss is taken away by one share bought within the days around it.

    `moves`: (name, side, day, shares, price in cents), oldest first.
    """
    held: list[Share] = []
    sold: list[SoldShare] = []
    for n, (name, side, on, count, price) in enumerate(moves):
        if side == "BUY":
            bought = [Share(name, day(on), price) for _ in range(count)]
            held += bought
            if wash_days is not None:
                for loss in (s for s in sold if s.open and 0 < (day(on) - s.on).days <= wash_days):
                    _replace(loss, bought)
                _look_back([s for s in sold if s.on == day(on)], held, wash_days)
        else:
            for _ in range(count):
                share = held.pop(0)
                loss = price < share.cost + share.carried
                sold.append(SoldShare(share, day(on), name, price, open=loss))
        last_of_day = n + 1 == len(moves) or moves[n + 1][2] != on
        if last_of_day and wash_days is not None:
            _look_back([s for s in sold if s.on == day(on)], held, wash_days)
    return sold


def _look_back(losses: Iterable[SoldShare], held: Sequence[Share], wash_days: int) -> None:
    for loss in losses:
        if loss.open:
            near = [
                s for s in held if 0 <= (loss.on - s.on).days <= wash_days and s.name != loss.share.name
            ]  # fmt: skip
            _replace(loss, near)


def _replace(loss: SoldShare, found: Iterable[Share]) -> None:
    share = next((share for share in found if not share.replaces), None)
    if share is None or not loss.open:
        return
    loss.disallowed = loss.share.cost + loss.share.carried - loss.proceeds
    loss.open, share.replaces = False, True
    share.carried += loss.disallowed
