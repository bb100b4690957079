"""One session's roll of the book: what was held + fills + corporate actions, valued at the session's closes. Pure.

Not here: the arithmetic of one move (`positions`), the ladder and the stops (`step`), comparison with the broker
(`reconciliation`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.book.frames import holdings_of, last_prices_of, last_rates_of
from marketbot_assets.book.positions import (
    Holdings,
    Valuation,
    carried_prices,
    effective_actions,
    roll_positions,
    session_closes,
    silent_delistings,
    value_positions,
)
from marketbot_assets.normalization.action_book import ActionBook, book_of
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.model import AccountEvent, Execution


@dataclass(frozen=True, slots=True)
class Held:
    """What the session before left: holdings, the last known price per name and base rate per currency."""

    holdings: Holdings
    prices: Mapping[str, float]
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rolled:
    """The book after a session: valued holdings, the events booked, the corporate actions applied."""

    valuation: Valuation
    events: tuple[AccountEvent, ...]
    actions: tuple[CorporateAction, ...]

    @property
    def held(self) -> Held:
        """What the next session starts from."""
        value = self.valuation
        return Held(value.holdings, value.prices, value.rates)


def held_of(positions: pd.DataFrame) -> Held:
    """A POSITIONS frame as the start of the next session."""
    return Held(holdings_of(positions), last_prices_of(positions), last_rates_of(positions))


def session_rates(window: MarketWindow, currencies: Sequence[str], base: str) -> dict[str, float]:
    """Base per unit of each listing currency at the window's last session; NaN when unknown. `currencies`: (n,)."""
    rates = {currency: float(rate) for currency, rate in zip(currencies, window.fx[-1], strict=True)}
    return {**rates, base: 1.0}


def roll(
    before: Held,
    fills: Sequence[Execution],
    actions: pd.DataFrame | ActionBook,
    window: MarketWindow,
    *,
    instruments: pd.DataFrame | Listings,
    base: str,
    after: dt.datetime,
    until: dt.datetime,
    off: Closed = NO_CLOSURES,
) -> Rolled:
    """The book at `until`, from the book at `after`. `actions`: CORPORATE_ACTIONS rows; `window` ends with the session;
    `off`: closures.

    `instruments`: INSTRUMENTS of the session. A held name whose bar did not land keeps its last price, after the actions that
    took effect since; of a delisted name whose final value is unknown, less the loss of the rule (`delisting_return`).
    """
    book, listed = book_of(actions), listings_of(instruments)
    mics, currencies = listed.mics, listed.currencies
    told = effective_actions(book, mics, after=after, until=until, off=off)
    silent = silent_delistings(book, listed, after=after, until=until, off=off)
    applied = tuple(sorted((*told, *silent), key=lambda action: action.order))
    holdings, events = roll_positions(before.holdings, fills, applied, base_currency=base, closes_before=before.prices)
    valuation = value_positions(
        holdings,
        session_closes(window),
        session_rates(window, [currencies[name] for name in window.instruments], base),
        {name: currencies[name] for name in holdings.shares},
        base_currency=base,
        last_prices=carried_prices(before.prices, applied),
        last_rates=before.rates,
    )
    return Rolled(valuation, events, applied)


def atr_levels(features: pd.DataFrame, window: MarketWindow) -> dict[str, float]:
    """ATR20 per name in price units: the feature (fraction of the close) times the last close; NaN when unknown."""
    found = dict(zip(features["instrument"].tolist(), features["atr_20d"].tolist(), strict=True))
    fraction = np.array([found.get(name, np.nan) for name in window.instruments], dtype=float)
    return dict(zip(window.instruments, (fraction * window.close[-1]).tolist(), strict=True))
