"""Our mean price paid per share, carried from session to session, to be compared with the broker's. Pure.

A buy mixes its price in by shares, a sell leaves the mean as it is. Not here: entry and extreme per lot (`stops`).
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from marketbot_resources.model import Execution, Kind, Side

ZERO = Decimal(0)
_STEP = Decimal("1e-10")


def average_prices(
    before: Mapping[str, Decimal],
    fills: Iterable[Execution],
    shares: Mapping[str, Decimal],
    *,
    changed: Collection[str] = frozenset(),
) -> dict[str, Decimal]:
    """Mean price per held name, listing currency; a name is missing while it is unknown.

    `before`: of the session before; `fills`: of this session in their order; `shares`: held after them; `changed`: names whose
    shares an event changed: unknown until they are bought anew from nothing.
    """
    bought = [fill for fill in fills if fill.kind is Kind.EQUITY]
    held = dict(shares)
    for fill in bought:
        held[fill.instrument] = held.get(fill.instrument, ZERO) - fill.side.sign * fill.quantity
    mean = dict(before)
    for fill in bought:
        name, had = fill.instrument, held[fill.instrument]
        if fill.side is Side.BUY and had <= 0:
            mean[name] = fill.price
        elif fill.side is Side.BUY and name in mean:
            mean[name] = (mean[name] * had + fill.price * fill.quantity) / (had + fill.quantity)
        held[name] = had + fill.side.sign * fill.quantity
    return {
        name: mean[name].quantize(_STEP) for name in sorted(mean) if shares.get(name, ZERO) > 0 and name not in changed
    }
