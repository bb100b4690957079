"""What several assets read together: the aligned market up to the session, from the reader. Not here: any arithmetic on it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from marketbot_assets.features.past import Past
    from marketbot_assets.normalization.window import MacroWindow, MarketWindow

MARKET_DEPS = (
    "mandate",
    "instruments",
    "prices",
    "price_history",
    "corporate_actions",
    "corporate_action_history",
    "fx",
    "fx_history",
    "macro",
    "macro_history",
)
DAYS_PER_SESSION = 1.5
ALL_SESSIONS = 7000


@dataclass(frozen=True, slots=True)
class Market:
    """The market up to one session: mandate, listings and the two windows, all in the order of `instruments`."""

    mandate: Mandate
    instruments: "pd.DataFrame"
    window: "MarketWindow"
    macro: "MacroWindow"


@dataclass(frozen=True, slots=True)
class Known:
    """Rows known at the session's cutoff and the grid of sessions that they are aligned on."""

    since: int
    mandate: Mandate
    instruments: "pd.DataFrame"
    frames: "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]"
    macro: "pd.DataFrame"
    days: "tuple[dt.date, ...]"
    limits: "tuple[dt.datetime, ...]"

    @property
    def names(self) -> list[str]:
        """Instruments, sorted."""
        return list(self.instruments["instrument"])

    @property
    def currencies(self) -> dict[str, str]:
        """Instrument -> listing currency."""
        return dict(zip(self.instruments["instrument"], self.instruments["currency"], strict=True))


def known_rows(read: Reader, lookback_sessions: int) -> Known:
    """What `market` is made of: rows known at the cutoff, and the last `lookback_sessions` sessions with their cutoffs."""
    since, mandate, instruments = len(read.reads), read.mandate(), read.read("instruments")
    days = last_sessions(mandate, read.session, lookback_sessions)
    limits = (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff)
    frames = (read.as_of("prices"), read.as_of("corporate_actions"), read.as_of("fx"))
    return Known(since, mandate, instruments, frames, read.as_of("macro"), days, limits)


def market(read: Reader, lookback_sessions: int) -> Market:
    """The last `lookback_sessions` decision sessions (fewer at the start of the data) as known at the session's cutoff."""
    from marketbot_assets.normalization.build_window import build_macro, build_window

    known = known_rows(read, lookback_sessions)

    def build() -> Market:
        window = build_window(
            *known.frames,
            instruments=known.names,
            currencies=known.currencies,
            base=known.mandate.base_currency,
            sessions=known.days,
            cutoffs=known.limits,
        )
        return Market(known.mandate, known.instruments, window, build_macro(known.macro, known.days, known.limits))

    return read.remember(f"market {lookback_sessions}", known.since, build)


def rate_moves(known: Market) -> dict[str, list[float]]:
    """Currency -> simple moves of base per unit from session to session of the window, oldest first; NaN where unknown."""
    found: dict[str, list[float]] = {}
    for column, currency in enumerate(known.instruments["currency"]):
        if currency != known.mandate.base_currency and currency not in found:
            rate = known.window.fx[:, column]
            found[str(currency)] = [float(move) for move in rate[1:] / rate[:-1] - 1.0]
    return found


def long_past(read: Reader) -> "Past":
    """Returns, index, yields and rates of every session that the calendars reach, as known at the session's cutoff."""
    import numpy as np

    from marketbot_assets.features.past import INDEX_SERIES, RATES_SERIES, Past
    from marketbot_assets.normalization.build_window import build_base_returns, build_macro, build_rates

    known = known_rows(read, ALL_SESSIONS)

    def build() -> Past:
        base = known.mandate.base_currency
        returns = build_base_returns(
            *known.frames,
            instruments=known.names,
            currencies=known.currencies,
            base=base,
            sessions=known.days,
            cutoffs=known.limits,
        )
        series = build_macro(known.macro, known.days, known.limits).series
        foreign = sorted(set(known.currencies.values()) - {base})
        return Past(
            sessions=known.days,
            base_returns=returns,
            index=series[INDEX_SERIES],
            rates=series.get(RATES_SERIES, np.full(len(known.days), np.nan)),
            fx=build_rates(known.frames[2], foreign, base, known.limits),
        )

    return read.remember("long past", known.since, build)


def last_sessions(mandate: Mandate, session: "dt.date", count: int) -> "tuple[dt.date, ...]":
    """The last `count` sessions of the decision calendar up to one, this one included, as far back as the calendars reach."""
    import datetime as dt

    from marketbot_resources.holidays import FIRST

    start = max(FIRST, session - dt.timedelta(days=int(count * DAYS_PER_SESSION) + 15))
    return decision_sessions(mandate.calendar, start, session)[-count:]
