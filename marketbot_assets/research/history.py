"""A past range as one panel: windows built once, then what was known at each session's cutoff as slices of them. Pure.

The same functions as the assets', on the same rows: a slice of a longer window gives the numbers of a window built for that
session alone. Not here: the loop over sessions (`loop`), the broker's market (`marketbot_resources.paper`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.features.build import build_features
from marketbot_assets.features.factor_model import estimate_factor_model, shrunk_beta
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.past import INDEX_SERIES, RATES_SERIES, Past, universe_of
from marketbot_assets.features.registry import LOOKBACK_SESSIONS
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.features.shares import with_filed_shares
from marketbot_assets.normalization.build_window import build_base_returns, build_macro, build_rates, build_window
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.normalization.window import Flags, Floats, MacroWindow, MarketWindow
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

MODEL_SESSIONS, TRAINING_SESSIONS = 760, 1010


@dataclass(frozen=True, slots=True)
class Tables:
    """Normalized rows up to the end of a range, in the columns of the normalization stage's tables.

    `listings`: session -> INSTRUMENTS as they were described then, of every session that is asked for; None where only the newest
    description is known, which then counts from the day on which it became known.
    """

    instruments: pd.DataFrame
    prices: pd.DataFrame
    corporate_actions: pd.DataFrame
    fx: pd.DataFrame
    macro: pd.DataFrame
    fundamentals: pd.DataFrame
    listings: Mapping[dt.date, pd.DataFrame] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What one session knows: its windows and the tables that every decision reads, of the instruments known by then."""

    session: dt.date
    cutoff: dt.datetime
    previous_cutoff: dt.datetime
    instruments: pd.DataFrame
    window: MarketWindow
    macro: MacroWindow
    features: pd.DataFrame
    factor_model: FactorModel
    training: MarketWindow
    fx: pd.DataFrame
    quarantined: frozenset[str]
    ages: BarAges


class History:
    """The panel of `tables` for the sessions first..last of the mandate's decision calendar.

    `recorded`: of a range of one session, the instants at which the book's session before and this one were really cut off.
    """

    def __init__(
        self,
        tables: Tables,
        mandate: Mandate,
        first: dt.date,
        last: dt.date,
        recorded: tuple[dt.datetime, dt.datetime] | None = None,
    ) -> None:
        self.tables, self.mandate = tables, mandate
        every = decision_sessions(mandate.calendar, FIRST, last)
        self.sessions = tuple(day for day in every if day >= first)
        if not self.sessions:
            raise UsageError(f"expected sessions of {mandate.calendar.mic} in {first} .. {last}, found none")
        self.days = every
        if recorded is not None and first != last:
            raise UsageError(f"expected one session beside recorded cutoffs, found {first} .. {last}")
        self._cutoffs = cutoffs(mandate.calendar, mandate.schedule, every)
        self._after = None if recorded is None else recorded[0]
        self._cutoffs = self._cutoffs if recorded is None else (*self._cutoffs[:-1], recorded[1])
        self._start = max(0, len(every) - len(self.sessions) - TRAINING_SESSIONS)
        self._listings = tables.instruments.sort_values("instrument", ignore_index=True)
        names = tuple(self._listings["instrument"])
        currencies = dict(zip(names, self._listings["currency"], strict=True))
        frames = (tables.prices, tables.corporate_actions, tables.fx)
        base = mandate.base_currency
        near, limits = every[self._start :], self._cutoffs[self._start :]
        self._window = build_window(
            *frames, instruments=names, currencies=currencies, base=base, sessions=near, cutoffs=limits
        )
        self._returns: Floats = build_base_returns(
            *frames, instruments=names, currencies=currencies, base=base, sessions=every, cutoffs=self._cutoffs
        )
        self._foreign = sorted(set(currencies.values()) - {base})
        self._rates: Floats = build_rates(tables.fx, self._foreign, base, self._cutoffs)
        self._macro = build_macro(tables.macro, every, self._cutoffs)
        self._ages: dict[tuple[str, ...], BarAges] = {}
        bad = tables.prices[tables.prices["quarantine"]]
        self._rejected = list(zip(bad["known_at"], bad["instrument"], strict=True))

    def days_to(self, session: dt.date) -> tuple[dt.date, ...]:
        """Decision sessions up to one, oldest first, as far back as the calendars reach."""
        return self.days[: self.days.index(session) + 1]

    def outcomes(self) -> tuple[tuple[str, ...], Floats]:
        """(instruments of the whole range, (sessions, n) simple returns in base currency): what came, for judging afterwards."""
        return self._window.instruments, self._window.base_return[-len(self.sessions) :]

    def at(self, session: dt.date) -> Known:
        """What was known at a session's computed cutoff."""
        place = self.days.index(session)
        end, cutoff, before = place - self._start, self._cutoffs[place], self._after or self._cutoffs[place - 1]
        instruments, kept = self._instruments(session, cutoff)
        training = _only(self._window.upto(end, TRAINING_SESSIONS), kept)
        last = len(training.sessions) - 1
        window, recent = training.upto(last, MODEL_SESSIONS), training.upto(last, LOOKBACK_SESSIONS)
        world = self._macro.upto(place, LOOKBACK_SESSIONS)
        filed = self.tables.fundamentals[self.tables.fundamentals["known_at"] <= cutoff]
        told = self.tables.corporate_actions
        listed = with_filed_shares(instruments, filed, told[told["known_at"] <= cutoff], session)
        features = build_features(recent, world, filed, listed, session)
        return Known(
            session=session,
            cutoff=cutoff,
            previous_cutoff=before,
            instruments=instruments,
            window=recent,
            macro=world,
            features=features,
            factor_model=self._model(window, place, features, instruments, kept),
            training=training,
            fx=self.tables.fx[self.tables.fx["known_at"] <= cutoff],
            quarantined=frozenset(name for at, name in self._rejected if before < at <= cutoff),
            ages=self._ages_of(instruments),
        )

    def _model(
        self, window: MarketWindow, place: int, features: pd.DataFrame, instruments: pd.DataFrame, kept: Flags
    ) -> FactorModel:
        macro = self._macro.upto(place, MODEL_SESSIONS)
        beta = shrunk_beta(window.base_return, macro.series[INDEX_SERIES])
        universe = universe_of(features, instruments, self.mandate.base_currency)
        stress = scenario_returns(self._past(place, kept, instruments), beta, self.days[place], universe)
        return estimate_factor_model(window, macro, features, instruments, self.mandate, stress)

    def _past(self, place: int, kept: Flags, instruments: pd.DataFrame) -> Past:
        """Every session up to one; yields and rates of the currencies of the instruments known by then."""
        until, series, used = slice(place + 1), self._macro.series, set(instruments["currency"])
        return Past(
            sessions=self.days[until],
            base_returns=_columns(self._returns[until], kept),
            index=series[INDEX_SERIES][until],
            rates=series[RATES_SERIES][until] if RATES_SERIES in series else np.full(place + 1, np.nan),
            fx=_columns(self._rates[until], np.array([name in used for name in self._foreign], dtype=bool)),
        )

    def _instruments(self, session: dt.date, cutoff: dt.datetime) -> tuple[pd.DataFrame, Flags]:
        """(the listings as of a session: those that died later are alive, and nobody knows that they will; (n,) which of all)."""
        if self.tables.listings is not None:
            told = self.tables.listings[session].sort_values("instrument", ignore_index=True)
            return told, self._listings["instrument"].isin(told["instrument"]).to_numpy()
        kept = (self._listings["known_at"] <= cutoff).to_numpy()
        rows, day = self._listings[kept].reset_index(drop=True), pd.Timestamp(session)
        dead = (rows["delisted_on"] < day).to_numpy()
        named = (rows["named_as"] != "").to_numpy() & (rows["listed_on"] <= day).to_numpy()
        found = rows.assign(in_universe=np.asarray(named & ~dead), delisted_on=rows["delisted_on"].where(dead))
        return found, kept

    def _ages_of(self, instruments: pd.DataFrame) -> BarAges:
        names = tuple(instruments["instrument"])
        if names not in self._ages:
            bars = self.tables.prices
            own = bars if len(names) == len(self._listings) else bars[bars["instrument"].isin(names)]
            self._ages[names] = BarAges(own, names, tuple(instruments["mic"]), self.mandate.calendar.closed)
        return self._ages[names]


def _columns(values: Floats, kept: Flags) -> Floats:
    """The columns of some instruments, laid out as if there were no others: sums over them have the same bits."""
    return values if kept.all() else np.compress(kept, values, axis=1)


def _only(window: MarketWindow, kept: Flags) -> MarketWindow:
    """A window of the instruments that are known; a listing of the future is no name without prices, it does not exist."""
    if kept.all():
        return window
    return MarketWindow(
        sessions=window.sessions,
        instruments=tuple(name for name, known in zip(window.instruments, kept, strict=True) if known),
        open=_columns(window.open, kept),
        high=_columns(window.high, kept),
        low=_columns(window.low, kept),
        close=_columns(window.close, kept),
        volume=_columns(window.volume, kept),
        price_level=_columns(window.price_level, kept),
        total_return=_columns(window.total_return, kept),
        base_return=_columns(window.base_return, kept),
        fx=_columns(window.fx, kept),
        fresh=np.compress(kept, window.fresh, axis=1),
    )
