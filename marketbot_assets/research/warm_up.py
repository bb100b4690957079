"""The book that the decision alone makes of the sessions before the first one. Pure.

It needs everything that a decision needs; other opening balances (`opening`) do without. Not here: which one counts.
"""

import datetime as dt
from collections.abc import Callable

import pandas as pd

from marketbot_assets.research.history import History, Tables
from marketbot_assets.research.loop import Day, opening_account, run_days
from marketbot_assets.research.opening import balance_frame
from marketbot_resources.mandate import Mandate


def warm_up(
    tables: Tables, mandate: Mandate, first: dt.date, last: dt.date, seen: Callable[[Day], None] = lambda day: None
) -> pd.DataFrame:
    """The book after the sessions first..last, decided one by one from the mandate's opening cash."""
    history = History(tables, mandate, first, last)
    *_, last_day = run_days(history, mandate, opening_account(mandate, history), seen=seen)
    return balance_frame(last_day.rolled.valuation, last_day.state)
