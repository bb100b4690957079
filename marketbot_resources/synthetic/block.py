"""Some listings of one exchange with all their sessions: the unit in which a world is made, so that memory stays bounded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_resources.synthetic.factors import Factors
from marketbot_resources.synthetic.grid import Grid
from marketbot_resources.synthetic.life import Life, life_of
from marketbot_resources.synthetic.prices import Prices, Terms, prices_of
from marketbot_resources.synthetic.returns import Returns, returns_of
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.venues import VENUES

BAR_LAG = 15 * 60_000_000  # microseconds from an exchange's close to the instant at which its bars are known


@dataclass(frozen=True, slots=True)
class Block:
    """One block; arrays are (sessions, listings). `references`: first price of each listing's sister."""

    spec: WorldSpec
    grid: Grid
    lives: tuple[Life, ...]
    references: tuple[float, ...]
    returns: Returns
    prices: Prices
    terms: Terms

    @property
    def currency(self) -> str:
        """Quotation currency of the exchange."""
        return VENUES[self.grid.mic].currency

    @property
    def known(self) -> np.ndarray:
        """When the clean bars are known, (sessions,), microseconds UTC."""
        return self.grid.closes[: self.grid.count] + BAR_LAG


def block_of(spec: WorldSpec, factors: Factors, grid: Grid, numbers: Sequence[int]) -> Block:
    """The block of some instruments, all of the grid's exchange."""
    lives = tuple(life_of(spec, number) for number in numbers)
    assert all(life.mic == grid.mic for life in lives), "a block holds listings of one exchange"
    step = len(spec.mics)
    references = tuple(life_of(spec, life.number + step).start_price if life.sister else 1.0 for life in lives)
    returns = returns_of(spec, factors, grid, lives)
    prices, terms = prices_of(spec, grid, lives, references, returns)
    return Block(spec, grid, lives, references, returns, prices, terms)
