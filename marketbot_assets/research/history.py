"""A past range as one panel: windows built once, then what was known at each session's cutoff as slices of them. Pure.

The same functions as the assets', on the same rows: a slice of a longer window gives the numbers of a window built for that
session alone. Not here: the loop over sessions (`loop`), the broker's market (`marketbot_resources.paper`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.features.build import build_features
from marketbot_assets.features.factor_model import estimate_factor_model, shrunk_beta
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.registry import LOOKBACK_SESSIONS
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.normalization.build_window import build_base_returns, build_macro, build_window
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

MODEL_SESSIONS, TRAINING_SESSIONS = 760, 1010


@dataclass(frozen=True, slots=True)
class Tables:
    """Normalized rows up to the end of a range, in the columns of the normalization stage's tables."""

    instruments: pd.DataFrame
    prices: pd.DataFrame
    corporate_actions: pd.DataFrame
    fx: pd.DataFrame
    macro: pd.DataFrame
    fundamentals: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Known:
    """What one session knows: its windows and the tables that every decision reads."""

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


class History:
    """The panel of `tables` for the sessions first..last of the mandate's decision calendar."""

    def __init__(self, tables: Tables, mandate: Mandate, first: dt.date, last: dt.date) -> None:
        self.tables, self.mandate = tables, mandate
        every = decision_sessions(mandate.calendar.mic, FIRST, last)
        self.sessions = tuple(day for day in every if day >= first)
        if not self.sessions:
            raise UsageError(f"expected sessions of {mandate.calendar.mic} in {first} .. {last}, found none")
        self.days = every
        self._cutoffs = cutoffs(mandate.calendar, mandate.schedule, every)
        self._start = max(0, len(every) - len(self.sessions) - TRAINING_SESSIONS)
        names = tuple(tables.instruments["instrument"])
        currencies = dict(zip(names, tables.instruments["currency"], strict=True))
        frames = (tables.prices, tables.corporate_actions, tables.fx)
        base = mandate.base_currency
        near, limits = every[self._start :], self._cutoffs[self._start :]
        self._window = build_window(
            *frames, instruments=names, currencies=currencies, base=base, sessions=near, cutoffs=limits
        )
        self._returns: Floats = build_base_returns(
            *frames, instruments=names, currencies=currencies, base=base, sessions=every, cutoffs=self._cutoffs
        )
        self._macro = build_macro(tables.macro, every, self._cutoffs)
        self.ages = BarAges(tables.prices, names, tuple(tables.instruments["mic"]))
        bad = tables.prices[tables.prices["quarantine"]]
        self._rejected = list(zip(bad["known_at"], bad["instrument"], strict=True))

    def days_to(self, session: dt.date) -> tuple[dt.date, ...]:
        """Decision sessions up to one, oldest first, as far back as the calendars reach."""
        return self.days[: self.days.index(session) + 1]

    def at(self, session: dt.date) -> Known:
        """What was known at a session's computed cutoff."""
        place = self.days.index(session)
        end, cutoff, before = place - self._start, self._cutoffs[place], self._cutoffs[place - 1]
        instruments = self._instruments(session)
        window = self._window.upto(end, MODEL_SESSIONS)
        recent, world = self._window.upto(end, LOOKBACK_SESSIONS), self._macro.upto(place, LOOKBACK_SESSIONS)
        filed = self.tables.fundamentals[self.tables.fundamentals["known_at"] <= cutoff]
        features = build_features(recent, world, filed, instruments, session)
        return Known(
            session=session,
            cutoff=cutoff,
            previous_cutoff=before,
            instruments=instruments,
            window=recent,
            macro=world,
            features=features,
            factor_model=self._model(window, place, features, instruments),
            training=self._window.upto(end, TRAINING_SESSIONS),
            fx=self.tables.fx[self.tables.fx["known_at"] <= cutoff],
            quarantined=frozenset(name for at, name in self._rejected if before < at <= cutoff),
        )

    def _model(
        self, window: MarketWindow, place: int, features: pd.DataFrame, instruments: pd.DataFrame
    ) -> FactorModel:
        macro = self._macro.upto(place, MODEL_SESSIONS)
        index = self._macro.series["SP500"][: place + 1]
        beta = shrunk_beta(window.base_return, macro.series["SP500"])
        past: Sequence[dt.date] = self.days[: place + 1]
        stress = scenario_returns(self._returns[: place + 1], past, index, beta, self.days[place])
        return estimate_factor_model(window, macro, features, list(instruments["sector"]), self.mandate, stress)

    def _instruments(self, session: dt.date) -> pd.DataFrame:
        """The listings as of a session: those that died later are alive, and nobody knows that they will."""
        rows, day = self.tables.instruments, pd.Timestamp(session)
        dead = (rows["delisted_on"] < day).to_numpy()
        named = (rows["named_as"] != "").to_numpy() & (rows["listed_on"] <= day).to_numpy()
        return rows.assign(in_universe=np.asarray(named & ~dead), delisted_on=rows["delisted_on"].where(dead))
