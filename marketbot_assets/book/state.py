"""The book's state between sessions as frozen facts: rung of the ladder, lots, stops, blocked names.

Not here: how it moves from one session to the next (`ladder`, `stops`), how it is stored (`schema`).
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Rung(StrEnum):
    """Where the drawdown ladder (RC-60) stands; every rung is input to the optimizer."""

    FULL = "FULL"
    SCALED = "SCALED"
    REDUCE_ONLY = "REDUCE_ONLY"
    TO_CASH = "TO_CASH"
    HALT = "HALT"


@dataclass(frozen=True, slots=True)
class Lot:
    """One held name. Prices are in the listing currency, split-adjusted, with dividends added (total return).

    `extreme` is the highest total-return close since entry; `dividends` per share received since entry.
    """

    instrument: str
    quantity: Decimal
    entry_price: float
    extreme: float
    dividends: float
    entered_on: dt.date


@dataclass(frozen=True, slots=True)
class StopHit:
    """A stop (RC-62) or trail (RC-63) that the session's close broke: an exit is due at the next open."""

    instrument: str
    control: str
    close: float
    level: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Risk of the held book over the next session: value at risk at 99 % (before any multiple) and standard deviation.

    Fractions of NAV; NaN when it could not be measured, 0 for a book in cash.
    """

    var_99: float
    volatility: float


@dataclass(frozen=True, slots=True)
class RiskDay:
    """One session that was forecast: the loss of the book as it was held at the close before, and that close's forecast.

    Fractions of NAV, a loss is positive; NaN when unknown, which counts against the forecast.
    """

    loss: float
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Sale:
    """What the sells of one name brought at one instant, after costs, in `currency`."""

    instrument: str
    sold_at: dt.datetime
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class BookState:
    """State of the book after session `session`, in base currency and fractions.

    `multiple`: factor on the volatility target (0 to 1); `drawdown` from `reference_high` (ladder), `drawdown_inception` from
    `inception_high` (reports, absolute floor). `no_buys` is empty or the reason why no name may be bought (RC-61, RC-64 excluded).
    `nav_history`: NAV of the last sessions, oldest first, this session last (at most 6). `turnover`: discretionary one-way
    turnover of the last 20 sessions, oldest first. `sessions_since_build`: sessions since the book last started from cash.
    `blocked`: instrument -> first session on which it may be bought again. `passive`: instrument -> sessions above 6 %.
    `rearms`: sessions on which the ladder re-armed. `halt_class` is empty, B or C. `forecast`: risk of the book as held now,
    None before it was measured; `risk_days`: the last sessions that were forecast, oldest first (`forecast_record`).
    `bought`, `sold_at_loss`: instrument -> day of its last buy, of its last sale below the entry price (RC-22), as long as that
    matters. `unsettled`: sales of the last days, whose cash a cash account may not spend yet (RC-19).
    """

    session: dt.date
    nav: float
    inception_high: float
    reference_high: float
    drawdown: float
    drawdown_inception: float
    rung: Rung
    multiple: float
    sessions_in_rung: int
    sessions_since_step: int
    rearms: tuple[dt.date, ...]
    halt_class: str
    no_buys: str
    sessions_since_build: int
    nav_history: tuple[float, ...]
    turnover: tuple[float, ...]
    lots: tuple[Lot, ...]
    stop_hits: tuple[StopHit, ...]
    blocked: tuple[tuple[str, dt.date], ...]
    passive: tuple[tuple[str, int], ...]
    forecast: Forecast | None = None
    risk_days: tuple[RiskDay, ...] = ()
    bought: tuple[tuple[str, dt.date], ...] = ()
    sold_at_loss: tuple[tuple[str, dt.date], ...] = ()
    unsettled: tuple[Sale, ...] = ()

    @property
    def risk_reducing_only(self) -> bool:
        """Whether the rung forbids every buy."""
        return self.rung in (Rung.REDUCE_ONLY, Rung.TO_CASH, Rung.HALT)
