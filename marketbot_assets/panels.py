"""What several assets read together: the aligned market up to the session, from the reader. Not here: any arithmetic on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow

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


def market(read: Reader, lookback_sessions: int) -> Market:
    """The last `lookback_sessions` decision sessions (fewer at the start of the data) as known at the session's cutoff."""
    from marketbot_assets.normalization.build_window import build_macro, build_window

    since, mandate, instruments = len(read.reads), read.mandate(), read.read("instruments")
    days = last_sessions(mandate, read.session, lookback_sessions)
    limits = (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff)
    currencies: Mapping[str, str] = dict(zip(instruments["instrument"], instruments["currency"], strict=True))
    frames = [read.as_of(name) for name in ("prices", "corporate_actions", "fx", "macro")]

    def build() -> Market:
        window = build_window(
            *frames[:3],
            instruments=list(instruments["instrument"]),
            currencies=currencies,
            base=mandate.base_currency,
            sessions=days,
            cutoffs=limits,
        )
        return Market(mandate, instruments, window, build_macro(frames[3], days, limits))

    return read.remember(f"market {lookback_sessions}", since, build)


@dataclass(frozen=True, slots=True)
class LongReturns:
    """Base-currency returns (T, n) and the index (T,) of every session that the calendars reach, for replays of the past."""

    sessions: "tuple[dt.date, ...]"
    base_returns: "Floats"
    index: "Floats"


def long_returns(read: Reader) -> LongReturns:
    """Returns of all instruments as known at the session's cutoff, as far back as there are data."""
    from marketbot_assets.normalization.build_window import build_base_returns, build_macro

    since, mandate, instruments = len(read.reads), read.mandate(), read.read("instruments")
    days = last_sessions(mandate, read.session, ALL_SESSIONS)
    limits = (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff)
    currencies: Mapping[str, str] = dict(zip(instruments["instrument"], instruments["currency"], strict=True))
    frames = [read.as_of(name) for name in ("prices", "corporate_actions", "fx", "macro")]

    def build() -> LongReturns:
        returns = build_base_returns(
            *frames[:3],
            instruments=list(instruments["instrument"]),
            currencies=currencies,
            base=mandate.base_currency,
            sessions=days,
            cutoffs=limits,
        )
        return LongReturns(days, returns, build_macro(frames[3], days, limits).series["SP500"])

    return read.remember("long returns", since, build)


def last_sessions(mandate: Mandate, session: "dt.date", count: int) -> "tuple[dt.date, ...]":
    """The last `count` sessions of the decision calendar up to one, this one included, as far back as the calendars reach."""
    import datetime as dt

    from marketbot_resources.holidays import FIRST

    start = max(FIRST, session - dt.timedelta(days=int(count * DAYS_PER_SESSION) + 15))
    return decision_sessions(mandate.calendar.mic, start, session)[-count:]
