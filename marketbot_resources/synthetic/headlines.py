"""Headlines of a block: invented texts whose sentiment is known, because a template has one. Pure.

Mostly they tell what the listing's own return of the session was: published after the close, crawled minutes later.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.synthetic.block import Block
from marketbot_resources.synthetic.streams import stream

POSITIVE = (
    "{name} beats expectations and raises its outlook",
    "{name} wins a large contract, shares gain",
    "{name} reports record growth in its main business",
    "{name} lifts its dividend after a strong quarter",
)
NEGATIVE = (
    "{name} warns of weaker demand in the coming quarter",
    "{name} cuts its outlook after a loss",
    "{name} faces a probe over its accounts",
    "{name} recalls a product, shares fall",
)
NEUTRAL = (
    "{name} names a new head of finance",
    "{name} holds its annual meeting",
    "{name} publishes the agenda of its capital markets day",
    "{name} moves its headquarters",
)
TEMPLATES = {1: POSITIVE, -1: NEGATIVE, 0: NEUTRAL}
PUBLISHERS = ("Synthetic Wire", "Synthetic Dispatch", "Synthetic Ledger")
AGREES, NEUTRAL_SHARE = 0.6, 0.25  # the rest says the opposite of what happened
_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline. `sentiment` 1, 0 or -1 is the truth and never served. Instants in microseconds, UTC."""

    headline_id: str
    source_id: str
    text: str
    publisher: str
    published: int
    known: int
    session: dt.date
    sentiment: int


def headlines_of(block: Block) -> list[Headline]:
    """Headlines by listing and session."""
    rows: list[Headline] = []
    rate, count = block.spec.events.headlines / SESSIONS_PER_YEAR, block.grid.count
    for column, life in enumerate(block.lives):
        draws = stream(block.spec.seed, "headlines", life.number).random((count, 6))
        own = block.returns.specific[:, column] + block.returns.jump[:, column] + block.returns.deal[:, column]
        for place in np.flatnonzero((draws[:, 0] < rate) & block.prices.alive[:, column]):
            _, mood, template, publisher, minutes, crawl = draws[place]
            happened = 1 if own[place] >= 0 else -1
            sentiment = happened if mood < AGREES else 0 if mood < AGREES + NEUTRAL_SHARE else -happened
            texts = TEMPLATES[sentiment]
            published = int(block.grid.closes[place]) + (5 + int(55 * minutes)) * _MINUTE
            rows.append(
                Headline(
                    headline_id=f"{life.source_id}-{block.grid.sessions[place]:%Y%m%d}",
                    source_id=life.source_id,
                    text=texts[int(template * len(texts))].format(name=life.name),
                    publisher=PUBLISHERS[int(publisher * len(PUBLISHERS))],
                    published=published,
                    known=published + (1 + int(9 * crawl)) * _MINUTE,
                    session=block.grid.sessions[place],
                    sentiment=sentiment,
                )
            )
    return rows
