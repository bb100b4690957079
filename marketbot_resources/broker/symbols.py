"""Our instrument ids and a broker's names: exchange, ticker and currency of each listing. Pure but for `symbols_of`.

Not here: a broker's own way to write a ticker (its adapter).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_resources.errors import BrokerError

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake


@dataclass(frozen=True, slots=True)
class Symbol:
    """One listing as brokers name it. `currency`: ISO 4217, major unit."""

    instrument: str
    mic: str
    ticker: str
    currency: str


class Symbols:
    """The listings of a session, both ways round."""

    def __init__(self, listed: Iterable[Symbol]) -> None:
        self._by_id: Mapping[str, Symbol] = {symbol.instrument: symbol for symbol in listed}
        self._by_place = {(symbol.mic, symbol.ticker): symbol for symbol in self._by_id.values()}

    def of(self, instrument: str) -> Symbol:
        """The listing of an instrument. Raises BrokerError when it is not listed."""
        found = self._by_id.get(instrument)
        if found is None:
            raise BrokerError(f"instrument {instrument}: expected a listing that the broker can be told, found none")
        return found

    def __iter__(self) -> Iterator[Symbol]:
        """Every listing."""
        return iter(self._by_id.values())

    def at(self, ticker: str, mics: Iterable[str]) -> Symbol | None:
        """The one listing with this ticker on these exchanges; None when there is none or more than one."""
        found = [self._by_place[mic, ticker] for mic in sorted(set(mics)) if (mic, ticker) in self._by_place]
        return found[0] if len(found) == 1 else None


def symbols_of(lake: "Lake") -> Symbols:
    """The listings of the newest `instruments` of a home, before its first session of its bootstrap; none in a new one.

    A ticker that was used again means the listing that lives, or the one that ended last.
    """
    from marketbot_resources.store.index import END_OF_TIME, STATIC

    rows = lake.index.up_to("instruments", END_OF_TIME)
    newest = rows[-1] if rows else lake.index.newest("instrument_history", STATIC)
    if newest is None:
        return Symbols(())
    frame = lake.load(newest).sort_values(["delisted_on", "instrument"], na_position="last")
    frame = frame.drop_duplicates(["mic", "ticker"], keep="last")
    columns = (frame[name].astype(str) for name in ("instrument", "mic", "ticker", "currency"))
    return Symbols(Symbol(*row) for row in zip(*columns, strict=True))
