"""A past range as one panel: windows built once, then what was known at each session's cutoff as slices of them. Pure.

The same functions as the assets', on the same rows: a slice of a longer window gives the numbers of a window built for that
session alone. Not here: the loop over sessions (`loop`), the broker's market (`marketbot_resources.paper`).
"""

import datetime as dt
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from marketbot_assets.features.build import Figures, build_features, filed_figures
from marketbot_assets.features.factor_model import estimate_factor_model, shrunk_beta
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.past import INDEX_SERIES, RATES_SERIES, Past, universe_of
from marketbot_assets.features.registry import LOOKBACK_SESSIONS
from marketbot_assets.features.scenario_memory import ScenarioMemory
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.features.shares import with_filed_shares
from marketbot_assets.insight.return_model import Samples
from marketbot_assets.normalization.action_book import ActionBook
from marketbot_assets.normalization.bar_index import BarIndex
from marketbot_assets.normalization.build_window import (
    build_base_returns,
    build_macro,
    build_rates,
    build_window,
    cutoff_micros,
    micros,
)
from marketbot_assets.normalization.currencies import Fixings
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.normalization.listings import Listings
from marketbot_assets.normalization.window import Flags, Floats, MacroWindow, MarketWindow
from marketbot_assets.research.filings import Filings
from marketbot_assets.risk.feature_drift import Section, section_of
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

MODEL_SESSIONS, TRAINING_SESSIONS = 760, 1010
NORMALIZED = ("instruments", "prices", "corporate_actions", "fx", "macro", "fundamentals")
Value = TypeVar("Value")


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
    fx: Fixings
    quarantined: frozenset[str]
    ages: BarAges
    listings: Listings
    section: Section


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
        self._places = {day: place for place, day in enumerate(every)}
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
        self._ends, self._begins = (self._listings[name].to_numpy() for name in ("delisted_on", "listed_on"))
        self._named = (self._listings["named_as"] != "").to_numpy(dtype=bool)
        self.actions, self.bars, self._fixings = (
            ActionBook(tables.corporate_actions),
            BarIndex(tables.prices),
            Fixings(tables.fx),
        )
        self.samples: Samples = {}
        self._kept: dict[object, tuple[Hashable, object]] = {}
        self._listed_at = micros(self._listings["known_at"])
        self._filings = Filings(tables.fundamentals)
        bad = tables.prices[tables.prices["quarantine"]].sort_values("known_at", kind="stable")
        self._rejected, self._rejected_at = bad["instrument"].tolist(), micros(bad["known_at"])

    def days_to(self, session: dt.date) -> tuple[dt.date, ...]:
        """Decision sessions up to one, oldest first, as far back as the calendars reach."""
        return self.days[: self._places[session] + 1]

    def place(self, session: dt.date) -> int:
        """Place of a session among those of the range."""
        return self._places[session] - len(self.days) + len(self.sessions)

    @property
    def described_later(self) -> int:
        """How many listings become known after the first session: they are absent until then, whatever befell them."""
        first = self._cutoffs[self._places[self.sessions[0]]]
        return 0 if self.tables.listings is not None else int((self._listed_at > cutoff_micros([first])[0]).sum())

    def outcomes(self) -> tuple[tuple[str, ...], Floats]:
        """(instruments of the whole range, (sessions, n) simple returns in base currency): what came, for judging afterwards."""
        return self._window.instruments, self._window.base_return[-len(self.sessions) :]

    def at(self, session: dt.date) -> Known:
        """What was known at a session's computed cutoff."""
        place = self._places[session]
        end, cutoff, before = place - self._start, self._cutoffs[place], self._after or self._cutoffs[place - 1]
        listings, kept = self._instruments(session, cutoff)
        instruments = listings.rows
        training = _only(self._window.upto(end, TRAINING_SESSIONS), kept)
        last = len(training.sessions) - 1
        window, recent = training.upto(last, MODEL_SESSIONS), training.upto(last, LOOKBACK_SESSIONS)
        world = self._macro.upto(place, LOOKBACK_SESSIONS)
        features = build_features(recent, world, *self._filed(listings, kept, cutoff, session), session)
        return Known(
            session=session,
            cutoff=cutoff,
            previous_cutoff=before,
            instruments=instruments,
            window=recent,
            macro=world,
            features=features,
            factor_model=self._model(window, place, features, listings, kept),
            training=training,
            fx=self._fixings.known_by(cutoff),
            quarantined=frozenset(self._rejected[slice(*self._rejections([before, cutoff]))]),
            ages=self._ages_of(listings),
            listings=listings,
            section=section_of(features),
        )

    def actions_of(self, listings: Listings) -> ActionBook:
        """The actions of the listings that a session knows: one of a listing of the future does not exist, whatever befell it."""
        if len(listings.instrument) == len(self._listings):
            return self.actions
        rows = self.tables.corporate_actions
        return self._newest(
            ActionBook, listings.instrument, lambda: ActionBook(rows[rows["instrument"].isin(listings.instrument)])
        )

    def _rejections(self, instants: list[dt.datetime]) -> list[int]:
        """How many bars had been rejected by each instant."""
        found: list[int] = np.searchsorted(self._rejected_at, cutoff_micros(instants), side="right").tolist()
        return found

    def _model(
        self, window: MarketWindow, place: int, features: pd.DataFrame, instruments: Listings, kept: Flags
    ) -> FactorModel:
        macro = self._macro.upto(place, MODEL_SESSIONS)
        beta = shrunk_beta(window.base_return, macro.series[INDEX_SERIES])
        universe = universe_of(features, instruments, self.mandate.base_currency)
        past = self._past(place, kept, instruments)
        memory = self._newest(ScenarioMemory, kept.tobytes(), ScenarioMemory)
        stress = scenario_returns(past, beta, self.days[place], universe, memory)
        return estimate_factor_model(window, macro, features, instruments, self.mandate, stress, beta)

    def _past(self, place: int, kept: Flags, instruments: Listings) -> Past:
        """Every session up to one; yields and rates of the currencies of the instruments known by then."""
        until, series, used = slice(place + 1), self._macro.series, set(instruments.texts("currency"))
        return Past(
            sessions=self.days[until],
            base_returns=_columns(self._returns[until], kept),
            index=series[INDEX_SERIES][until],
            rates=series[RATES_SERIES][until] if RATES_SERIES in series else np.full(place + 1, np.nan),
            fx=_columns(self._rates[until], np.array([name in used for name in self._foreign], dtype=bool)),
        )

    def _newest(self, what: object, key: Hashable, make: Callable[[], Value]) -> Value:
        """What was made for the newest key; the sessions of a range change keys rarely, and never back."""
        if what not in self._kept or self._kept[what][0] != key:
            self._kept[what] = key, make()
        return self._kept[what][1]  # type: ignore[return-value]

    def _instruments(self, session: dt.date, cutoff: dt.datetime) -> tuple[Listings, Flags]:
        """(the listings as of a session: those that died later are alive, and nobody knows that they will; (n,) which of all)."""
        if self.tables.listings is not None:
            told = self.tables.listings[session].sort_values("instrument", ignore_index=True)
            kept = self._listings["instrument"].isin(told["instrument"]).to_numpy()
            return self._newest(Listings, session, lambda: Listings(told)), kept
        kept, day = self._listed_at <= int(cutoff_micros([cutoff])[0]), np.datetime64(session)
        dead = np.asarray(self._ends < day)
        named = self._named & np.asarray(self._begins <= day) & ~dead

        def made() -> Listings:
            rows = self._listings[kept].reset_index(drop=True)
            over = pd.Series(dead[kept])
            return Listings(rows.assign(in_universe=named[kept], delisted_on=rows["delisted_on"].where(over)))

        return self._newest(Listings, (kept.tobytes(), dead.tobytes(), named.tobytes()), made), kept

    def _filed(
        self, listings: Listings, kept: Flags, cutoff: dt.datetime, session: dt.date
    ) -> tuple[Figures, Listings]:
        """(newest filed figures, listings with filed shares where their source tells none)."""
        limit = int(cutoff_micros([cutoff])[0])
        told_on = session if self.tables.listings is not None else None
        key = (kept.tobytes(), self._filings.count(limit), told_on)
        figures = self._newest(filed_figures, key, lambda: filed_figures(self._filings.newest(limit), listings))
        if np.isfinite(listings.shares_outstanding).all():
            return figures, listings
        told, filed = self.tables.corporate_actions, self._filings.newest(limit)
        return figures, Listings(with_filed_shares(listings.rows, filed, told[told["known_at"] <= cutoff], session))

    def _ages_of(self, listings: Listings) -> BarAges:
        names, mics = listings.instrument, listings.texts("mic")

        def made() -> BarAges:
            bars = self.tables.prices
            own = bars if len(names) == len(self._listings) else bars[bars["instrument"].isin(names)]
            return BarAges(own, names, mics, self.mandate.calendar.closed)

        return self._newest(BarAges, (names, mics), made)


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
