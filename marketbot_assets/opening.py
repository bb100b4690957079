"""The opening balance of a home from its bootstrap tables. Not here: the warm-up itself (`research.warm_up`)."""

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from marketbot_resources.calendars import previous_session
from marketbot_resources.sessions import WARM_UP, BookOpen
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.loop import Day


def opening_of(read: Reader, opened: BookOpen) -> "pd.DataFrame":
    """OPENING_BALANCE rows: from cash, or warmed up when the book was opened so and there are sessions before it."""
    from tqdm import tqdm

    from marketbot_assets.research.opening import from_cash
    from marketbot_resources.calendars import decision_sessions

    mandate = read.mandate()
    calendar, before = mandate.calendar, previous_session(mandate.calendar, opened.session)
    days = decision_sessions(calendar, calendar.go_live, before) if before >= calendar.go_live else ()
    if opened.opening != WARM_UP or not days:
        return from_cash(mandate, before)
    from marketbot_assets.research.history import Tables
    from marketbot_assets.research.warm_up import warm_up

    tables = Tables(
        instruments=read.read("instrument_history"),
        prices=read.read("price_history"),
        corporate_actions=read.read("corporate_action_history"),
        fx=read.read("fx_history"),
        macro=read.read("macro_history"),
        fundamentals=read.read("fundamentals_history"),
    )
    with tqdm(total=len(days), unit="session", desc="opening book", disable=not sys.stderr.isatty()) as bar:

        def seen(day: "Day") -> None:
            bar.update()

        return warm_up(tables, mandate, days[0], days[-1], seen=seen)


def opening_at_broker(
    read: Reader,
    opened: BookOpen,
    cash: Mapping[str, Decimal],
    shares: Mapping[str, Decimal],
    costs: Mapping[str, Decimal],
) -> "pd.DataFrame":
    """OPENING_BALANCE rows of what a real broker holds, priced by the bootstrap's last closes and rates."""
    from marketbot_assets.research.opening import from_broker

    mandate = read.mandate()
    listed, bars, fx = (read.read(name) for name in ("instrument_history", "price_history", "fx_history"))
    bars = bars[bars["instrument"].isin(sorted(shares)) & bars["close"].notna()].sort_values("session")
    closes = bars.groupby("instrument", sort=True)["close"].last()
    rates = fx.sort_values("session").groupby("currency", sort=True)["rate"].last()
    return from_broker(
        mandate,
        previous_session(mandate.calendar, opened.session),
        cash=cash,
        shares=shares,
        costs=costs,
        closes={str(name): float(price) for name, price in closes.items()},
        rates={str(name): float(rate) for name, rate in rates.items()},
        currencies=dict(zip(listed["instrument"], listed["currency"], strict=True)),
    )
