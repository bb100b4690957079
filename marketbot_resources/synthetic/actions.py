"""Corporate actions of a block as rows: terms from the prices at their announcement, known from then on. Pure.

A row that is announced within the world is there even if its ex session comes after the world's end.
"""

import datetime as dt
from dataclasses import dataclass

from marketbot_resources.synthetic import spec as words
from marketbot_resources.synthetic.block import Block
from marketbot_resources.synthetic.life import LEAD, Event, Life
from marketbot_resources.synthetic.prices import AMOUNT_DIGITS, dividend_amount, spin_ratio, split_ratio

_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `amount` and `ratio` per old share: cash or value paid, new shares. `known` in microseconds, UTC.

    `other`: the new ticker of a rename, the sister of a spin-off, the reason of a delisting, else empty.
    SPIN_OFF: amount is the value of `ratio` shares of the sister at its reference price; MERGER and DELISTING: what a
    holder gets after the last session, ratio 0.
    """

    number: int
    source_id: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    currency: str
    known: int
    other: str


def actions_of(block: Block, *, announced: bool = False) -> list[Action]:
    """Every action of the block, by listing and ex session.

    `announced`: one with its ex session in a later year than its announcement has the terms that were announced, as if the
    world ended with the year of the announcement; they differ where a price fell so far that it could not bear them.
    """
    rows: list[Action] = []
    for column, life in enumerate(block.lives):
        found = [_priced(block, column, event, announced) for event in life.events]
        found += [_renamed(block, life), _ended(block, column, life)]
        rows += sorted((row for row in found if row is not None), key=lambda row: (row.ex_session, row.kind))
    return rows


def _row(
    block: Block, life: Life, place: int, kind: str, amount: float, ratio: float, known: int, other: str = ""
) -> Action | None:
    session = block.grid.session(place)
    if session is None:
        return None
    return Action(life.number, life.source_id, session, kind, amount, ratio, block.currency, known, other)


def _priced(block: Block, column: int, event: Event, as_announced: bool) -> Action | None:
    """A dividend, split or spin-off. Within the world its terms are those that moved the price."""
    life, place, count, days = block.lives[column], event.place, block.grid.count, block.grid.sessions
    if place - LEAD >= count:
        return None
    known = int(block.grid.closes[place - LEAD]) + _HOUR
    terms, inside = block.terms, place < count
    if inside and as_announced:
        inside = days[place].year == days[place - LEAD].year
    announced = float(block.prices.exact[place - LEAD, column])
    if event.kind == words.SPLIT:
        ratio = split_ratio(event.draw, announced, life.start_price)
        return _row(block, life, place, event.kind, 0.0, ratio, known)
    if event.kind == words.SPIN_OFF:
        reference = block.references[column]
        value = float(terms.spun[place, column]) if inside else spin_ratio(event.draw, announced, reference) * reference
        return _row(block, life, place, event.kind, value, value / reference, known, life.sister)
    special = event.kind == words.SPECIAL_DIVIDEND
    amount = float(terms.amount[place, column]) if inside else dividend_amount(event.draw, special, announced)
    return _row(block, life, place, event.kind, amount, 1.0, known)


def _renamed(block: Block, life: Life) -> Action | None:
    if life.renamed is None or life.renamed - LEAD >= block.grid.count:
        return None
    known = int(block.grid.closes[life.renamed - LEAD]) + _HOUR
    return _row(block, life, life.renamed, words.RENAME, 0.0, 1.0, known, life.new_ticker)


def _ended(block: Block, column: int, life: Life) -> Action | None:
    """A merger, known before the session on which the price jumps; a delisting, known after the last session."""
    grid, exact = block.grid, block.prices.exact
    if life.announced is not None and life.announced < grid.count:
        offer = round(float(exact[life.announced - 1, column]) * (1 + life.premium), AMOUNT_DIGITS)
        known = int(grid.opens[life.announced]) - _HOUR
        return _row(block, life, life.end + 1, words.MERGER, offer, 0.0, known)
    if life.announced is None and life.reason and life.end < grid.count:
        left = round(float(exact[life.end, column]) * (1 + life.final_return), AMOUNT_DIGITS)
        return _row(
            block, life, life.end + 1, words.DELISTING, left, 0.0, int(grid.closes[life.end]) + _HOUR, life.reason
        )
    return None
