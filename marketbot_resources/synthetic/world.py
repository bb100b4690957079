"""A synthetic world: its blocks, one after another, its truth, and its providers. Knows no disk and no network.

Memory holds one block and what a provider keeps of a year; a consumer that wants all bars takes them block by block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from marketbot_resources.synthetic import tables
from marketbot_resources.synthetic.actions import Action, actions_of
from marketbot_resources.synthetic.block import Block, block_of
from marketbot_resources.synthetic.factors import factors_of
from marketbot_resources.synthetic.faults import serve, serve_actions
from marketbot_resources.synthetic.filings import filings_of
from marketbot_resources.synthetic.grid import grid_of
from marketbot_resources.synthetic.headlines import headlines_of
from marketbot_resources.synthetic.life import Life, life_of
from marketbot_resources.synthetic.macro import macro_table
from marketbot_resources.synthetic.spec import WorldSpec

CHUNK = 60


@dataclass(frozen=True, slots=True)
class Chunk:
    """What some listings of one exchange contribute to the tables that are served, faults and all."""

    mic: str
    bars: pa.Table
    actions: pa.Table
    filings: pa.Table
    headlines: pa.Table
    true_actions: tuple[Action, ...]


def blocks(spec: WorldSpec, numbers: Sequence[int] | None = None, chunk: int = CHUNK) -> Iterator[Block]:
    """Blocks of at most `chunk` listings, by exchange, then number. `numbers`: only these, ascending."""
    wanted = range(spec.instruments) if numbers is None else sorted(set(numbers))
    factors = factors_of(spec)
    for position, mic in enumerate(spec.mics):
        members = [number for number in wanted if number % len(spec.mics) == position]
        for begin in range(0, len(members), chunk):
            yield block_of(spec, factors, grid_of(mic, spec.first, spec.last), members[begin : begin + chunk])


def bars(spec: WorldSpec, numbers: Sequence[int] | None = None, chunk: int = CHUNK) -> Iterator[pa.Table]:
    """Served bars, a table per block."""
    for block in blocks(spec, numbers, chunk):
        yield tables.served_bars(block, serve(block))


def chunks(spec: WorldSpec, chunk: int = CHUNK, *, announced: bool = False) -> Iterator[Chunk]:
    """Everything that is served, block by block. `announced`: of actions, `actions_of`."""
    for block in blocks(spec, None, chunk):
        yield chunk_of(block, announced=announced)


def chunk_of(block: Block, *, announced: bool = False) -> Chunk:
    """Everything that one block serves."""
    actions = actions_of(block, announced=announced)
    return Chunk(
        mic=block.grid.mic,
        bars=tables.served_bars(block, serve(block)),
        actions=tables.action_table(serve_actions(block.spec, actions)[0]),
        filings=tables.filing_table(filings_of(block)),
        headlines=tables.headline_table(headlines_of(block)),
        true_actions=tuple(actions),
    )


class Truth:
    """What nobody in the world knows. Tables by instrument; `numbers` None means all, in one table: mind the memory."""

    def __init__(self, spec: WorldSpec) -> None:
        self._spec = spec

    def bars(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """Clean bars, exact closes, returns by origin."""
        return pa.concat_tables(tables.true_bars(block) for block in blocks(self._spec, numbers)).unify_dictionaries()

    def actions(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """All corporate actions, also those that are not served."""
        return tables.action_table([row for block in blocks(self._spec, numbers) for row in actions_of(block)])

    def faults(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """One row for each value that is served otherwise than it is."""
        rows = []
        for block in blocks(self._spec, numbers):
            rows += [*serve(block).faults, *serve_actions(self._spec, actions_of(block))[1]]
        return tables.fault_table(rows)

    def sentiment(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """What each headline says about its instrument."""
        return tables.sentiment_table([row for block in blocks(self._spec, numbers) for row in headlines_of(block)])

    def exposures(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """Loadings on the factors."""
        return tables.exposure_table(self._lives(numbers))

    def listings(self, numbers: Sequence[int] | None = None) -> pa.Table:
        """First and last session (null beyond the range), tickers, relatives and ends."""
        lives = self._lives(numbers)
        spec = self._spec
        grids = [grid_of(life.mic, spec.first, spec.last) for life in lives]
        first = [
            grid.sessions[life.born] if life.born < grid.count else None
            for life, grid in zip(lives, grids, strict=True)
        ]
        last = [
            grid.sessions[life.end] if life.end < grid.count else None for life, grid in zip(lives, grids, strict=True)
        ]
        return tables.life_table(lives, first, last)

    def macro(self) -> pa.Table:
        """Every vintage; the last of a period is the truth about it."""
        return macro_table(self._spec)

    def _lives(self, numbers: Sequence[int] | None) -> list[Life]:
        wanted = range(self._spec.instruments) if numbers is None else sorted(set(numbers))
        return [life_of(self._spec, number) for number in wanted]
