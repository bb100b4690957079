"""What a stored session's market did, for the attribution of the book's excess: read from the session's own objects, no arithmetic.

Not here: the comparison (`audit.compared`), what follows (`audit.excess_models`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marketbot_assets.panels import market
from marketbot_assets.session_facts import NEAR_SESSIONS
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.compared import FactorMove
    from marketbot_resources.store.lake import Lake

Market = tuple[str, str]


@dataclass(frozen=True, slots=True)
class MarketFacts:
    """`benchmark`: (sector, currency) -> (weight before, local return); `moves`: currency -> move of base per unit; `started`:
    instrument or CASH:currency -> value before, base currency; `factors`: None where they are not known; `cash`: currency -> what
    its cash earned, without those whose rate is not known.
    """

    base_currency: str
    started: Mapping[str, float]
    moves: Mapping[str, float]
    benchmark: Mapping[Market, tuple[float, float]] = field(default_factory=dict)
    factors: "FactorMove | None" = None
    cash: Mapping[str, float] = field(default_factory=dict)


def market_facts_of(lake: "Lake", before: str, part: str, begun: float) -> MarketFacts | None:
    """Of session `part`, `before` the session of the book before it; `begun`: NAV before and the owner's flow, base currency.

    None where an object that this needs was not stored.
    """
    from marketbot_assets.audit.benchmark import benchmark_markets, benchmark_weights
    from marketbot_assets.audit.cash_earned import cash_earned
    from marketbot_assets.audit.compared import factor_move, held_weights, rate_moves
    from marketbot_assets.features.factor_model import from_frame

    held, now = _stored(lake, "positions", before), _stored(lake, "positions", part)
    model, features = _stored(lake, "factor_model", before), _stored(lake, "features", before)
    if held is None or now is None:
        return None
    try:
        known = market(Reader(lake, dt.date.fromisoformat(part), allowed=None), NEAR_SESSIONS)
    except MarketbotError:  # a session without its market data can be compared with nothing
        return None
    window, base = known.window, known.mandate.base_currency
    if len(window.sessions) < 2 or window.sessions[-2].isoformat() != before:
        return None  # sessions between were skipped: the benchmark's window is shorter than the book's
    rates = dict(zip(known.instruments["currency"].astype(str), window.fx[-2:].T.tolist(), strict=True))
    moves = rate_moves({c: pair[0] for c, pair in rates.items()}, {c: pair[1] for c, pair in rates.items()})
    started = started_of(held)
    weights = benchmark_weights(window, known.instruments)
    returns = dict(zip(window.instruments, window.base_return[-1].tolist(), strict=True))
    factors = None
    if model is not None and features is not None and begun > 0.0:
        factors = factor_move(from_frame(model), features, held_weights(started, begun), weights, returns)
    cash = cash_earned(known.macro.series, known.macro.sessions, [base, *moves])
    return MarketFacts(base, started, moves, benchmark_markets(window, known.instruments), factors, cash)


def started_of(positions: "pd.DataFrame") -> dict[str, float]:
    """Instrument or CASH:currency -> value of a POSITIONS frame, base currency; unknown ones are left out."""
    rows = positions[positions["kind"].isin(["POSITION", "CASH"]) & positions["value_base"].notna()]
    names = rows["key"].astype(str).where(rows["kind"] == "POSITION", "CASH:" + rows["key"].astype(str))
    return dict(zip(names, rows["value_base"].astype(float), strict=True))


def _stored(lake: "Lake", asset: str, part: str) -> "pd.DataFrame | None":
    row = lake.index.newest(asset, part)
    return None if row is None else lake.load(row)
