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

    mandate, instruments = read.mandate(), read.read("instruments")
    days = last_sessions(mandate, read.session, lookback_sessions)
    limits = (*cutoffs(mandate.calendar, mandate.schedule, days[:-1]), read.cutoff)
    currencies: Mapping[str, str] = dict(zip(instruments["instrument"], instruments["currency"], strict=True))
    window = build_window(
        read.as_of("prices"),
        read.as_of("corporate_actions"),
        read.as_of("fx"),
        instruments=list(instruments["instrument"]),
        currencies=currencies,
        base=mandate.base_currency,
        sessions=days,
        cutoffs=limits,
    )
    return Market(mandate, instruments, window, build_macro(read.as_of("macro"), days, limits))


def last_sessions(mandate: Mandate, session: "dt.date", count: int) -> "tuple[dt.date, ...]":
    """The last `count` sessions of the decision calendar up to one, this one included, as far back as the calendars reach."""
    import datetime as dt

    from marketbot_resources.holidays import FIRST

    start = max(FIRST, session - dt.timedelta(days=int(count * DAYS_PER_SESSION) + 15))
    return decision_sessions(mandate.calendar.mic, start, session)[-count:]
