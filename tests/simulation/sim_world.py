"""A small market from one seed: prices with gaps, splits, dividends, halts and missing bars, one currency rate.

It tells the platform what it may know at a cutoff and the broker's twin what really traded; the two read the same paths and share
no code beyond them. Not here: the broker (`sim_twin`), the platform (`sim_platform`).
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from marketbot_assets.features.model import FactorModel
from marketbot_assets.normalization.near_events import near_events
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.eligibility import Market
from marketbot_resources.calendars import computed_cutoff, decision_sessions, open_at, sessions
from marketbot_resources.mandate import Mandate, parse_mandate

ROOT = Path(__file__).parents[2]
START, LAST = dt.date(2019, 3, 1), dt.date(2021, 12, 30)
PAST, WINDOW = 300, 45
#          mic,    currency, country, sector,      fund, lot,  tick,   first price
LISTINGS = {
    "MBA": ("XNYS", "USD", "US", "Technology", False, "1", "0.01", 52.0),
    "MBB": ("XNYS", "USD", "US", "Technology", False, "1", "0.01", 105.0),
    "MBC": ("XNYS", "USD", "US", "Health Care", False, "1", "0.01", 78.0),
    "MBD": ("XNYS", "USD", "US", "Energy", False, "1", "0.01", 34.0),
    "MBE": ("XNYS", "USD", "US", "Utilities", False, "1", "0.01", 61.0),
    "MBF": ("XETR", "EUR", "DE", "Industrials", False, "1", "0.01", 88.0),
    "MBG": ("XETR", "EUR", "DE", "Consumer Staples", False, "1", "0.01", 43.0),
    "MBH": ("XNYS", "USD", "US", "FUND", True, "1", "0.01", 150.0),
}
NAMES = tuple(sorted(LISTINGS))
SCORES = ("momentum_12_1", "low_volatility_126d", "reversal_5d")
CASH_DIVIDEND, SPLIT = "CASH_DIVIDEND", "SPLIT"


@lru_cache(maxsize=1)
def mandate() -> Mandate:
    """The default mandate over the eight names; every limit stands as the project ships it."""
    plain = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    listed: dict[str, list[str]] = {}
    for name, (mic, *_) in LISTINGS.items():
        listed.setdefault(mic, []).append(name[-1])
    plain["universe"]["listings"] = listed
    plain["calendar"] = {"mic": "XNYS", "go_live": START, "last_session": LAST}
    return parse_mandate(yaml.safe_dump(plain))


@dataclass(frozen=True, slots=True)
class Event:
    """A dividend (`amount` per share) or a split (`ratio` new per old) that takes effect at the open of `ex_session`."""

    instrument: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: int
    known_at: dt.datetime
    effective_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Shape:
    """How rough a world is: chance per session (and name) of each thing."""

    gap: float = 0.004
    missing: float = 0.004
    halt: float = 0.003
    split: float = 0.001
    dividend: float = 0.008


@lru_cache(maxsize=1)
def _instruments() -> pd.DataFrame:
    known = pd.Timestamp("2010-01-04T15:00:00Z").as_unit("us")
    rows = [
        {
            "instrument": name, "source": "simulation", "source_id": name, "ticker": name[-1], "name": f"Company {name[-1]}",
            "mic": mic, "currency": currency, "price_divisor": 1.0, "country": country, "sector": sector,
            "kind": "FUND" if fund else "EQUITY", "issuer": f"Issuer {name[-1]}", "quantity_step": Decimal(lot),
            "tick_size": Decimal(tick), "listed_on": pd.Timestamp("2010-01-04"), "delisted_on": pd.NaT,
            "shares_outstanding": 4e8, "named_as": name[-1], "in_universe": True, "known_at": known, "synthetic": True,
        }
        for name, (mic, currency, country, sector, fund, lot, tick, _) in LISTINGS.items()
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.astype({"delisted_on": "datetime64[ms]", "listed_on": "datetime64[ms]"})


class World:
    """One seed's market over `count` decision sessions from `START` on."""

    def __init__(self, seed: int, count: int, shape: Shape | None = None) -> None:
        self.mandate, self.instruments, self.shape = mandate(), _instruments(), shape or Shape()
        self.sessions = decision_sessions("XNYS", START, LAST)[: count + 1]
        assert len(self.sessions) == count + 1, "the calendar is shorter than the simulation"
        before = decision_sessions("XNYS", START - dt.timedelta(days=500), START - dt.timedelta(days=1))[-PAST:]
        self.days = (*before, *self.sessions)
        self.cutoffs = {day: computed_cutoff(self.mandate.schedule, day) for day in self.days}
        self._rng = np.random.default_rng([seed, 1])
        self.events: list[Event] = []
        self._paths()
        self._factor_model = self._estimate()
        self.actions = self._action_rows()
        self._markets: dict[dt.date, Market] = {}

    def bar(self, name: str, day: dt.date) -> tuple[float, float] | None:
        """(open, volume) of a session of the name's exchange; None when it did not trade."""
        row, column = self.days.index(day), NAMES.index(name)
        return (float(self._open[row, column]), float(self._volume[row, column])) if self._fresh[row, column] else None

    def rate(self, at: dt.datetime) -> Decimal:
        """USD per EUR known at an instant."""
        newest = max((day for day in self.days if self.cutoffs[day] <= at), default=self.days[0])
        return Decimal(repr(float(self._eur[self.days.index(newest)])))

    def eur(self, day: dt.date) -> Decimal:
        """USD per EUR at the cutoff of a session."""
        return Decimal(repr(float(self._eur[self.days.index(day)])))

    def close(self, name: str, day: dt.date) -> Decimal:
        """The last close known at the cutoff of a session, listing currency."""
        return Decimal(repr(float(self._close[self.days.index(day), NAMES.index(name)])))

    def _paths(self) -> None:
        """Prices per share of the day; a split divides them from its ex session on."""
        rng, shape, rows, n = self._rng, self.shape, len(self.days), len(NAMES)
        market = 0.007 * rng.standard_normal((rows, 1))
        own = 0.009 * rng.standard_normal((rows, n))
        overnight = rng.uniform(0.1, 0.5, (rows, n))
        moves = 0.0002 + np.linspace(0.7, 1.2, n) * market + own
        gaps = (
            (rng.random((rows, n)) < shape.gap)
            * rng.choice([-1.0, 1.0], (rows, n))
            * rng.uniform(0.05, 0.14, (rows, n))
        )
        fresh = rng.random((rows, n)) >= shape.missing
        halts = np.argwhere(rng.random((rows, n)) < shape.halt)
        for row, column in halts:
            fresh[row : row + 2, column] = False
        fresh[:PAST] = True
        for column, name in enumerate(NAMES):
            mic = LISTINGS[name][0]
            opens = set(sessions(mic, self.days[0], self.days[-1]))
            fresh[:, column] &= np.array([day in opens for day in self.days])
        self._eur = 1.12 * np.exp(np.cumsum(0.004 * rng.standard_normal(rows)))
        self._fresh, ratio, paid = fresh, np.ones((rows, n)), np.zeros((rows, n))
        self._draw_events(ratio, paid)
        self._open, self._close = np.empty((rows, n)), np.empty((rows, n))
        self._total = np.empty((rows, n))
        last = np.array([LISTINGS[name][7] for name in NAMES])
        for row in range(rows):
            split = last / ratio[row]
            opened = np.round((split - paid[row]) * (1.0 + gaps[row] + overnight[row] * moves[row]), 2)
            closed = np.round(np.maximum(opened * (1.0 + (1.0 - overnight[row]) * moves[row]), 1.0), 2)
            opened, closed = (np.where(fresh[row], x, split) for x in (opened, closed))
            self._open[row], self._close[row] = opened, closed
            self._total[row] = np.where(fresh[row], (closed * ratio[row] + paid[row] * ratio[row]) / last - 1.0, 0.0)
            last = closed
        self._volume = np.where(fresh, rng.uniform(1.5e6, 4e6, (rows, n)), 0.0)

    def _draw_events(self, ratio: np.ndarray, paid: np.ndarray) -> None:
        """Events happen on sessions on which the name trades, and are known a session before."""
        rng, shape = self._rng, self.shape
        for row in range(PAST + 2, len(self.days)):
            for column, name in enumerate(NAMES):
                split, dividend = rng.random() < shape.split, rng.random() < shape.dividend
                if not self._fresh[row, column] or not (split or dividend):
                    continue
                day, mic = self.days[row], LISTINGS[name][0]
                kind = SPLIT if split else CASH_DIVIDEND
                amount = 0.0 if split else round(float(rng.uniform(0.1, 0.6)), 4)
                ratio[row, column], paid[row, column] = (2.0, 0.0) if split else (1.0, amount)
                known = self.cutoffs[self.days[row - 2]] - dt.timedelta(hours=1)
                self.events.append(Event(name, day, kind, amount, 2 if split else 1, known, open_at(mic, day)))

    def _action_rows(self) -> pd.DataFrame:
        columns = ("instrument", "ex_session", "kind", "amount", "ratio", "currency", "other", "known_at", "synthetic")
        rows = [
            (e.instrument, pd.Timestamp(e.ex_session), e.kind, e.amount if e.kind != SPLIT else math.nan, float(e.ratio),
             LISTINGS[e.instrument][1], "", pd.Timestamp(e.known_at), True)
            for e in self.events
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=list(columns))
        return frame.astype({"ex_session": "datetime64[ms]", "known_at": "datetime64[us, UTC]"})

    def _estimate(self) -> FactorModel:
        """Moments of the past alone, once: what moves from day to day is the window, not the estimate."""
        returns = self._base_returns(PAST)
        n, market = len(NAMES), returns.mean(axis=1)
        beta = np.array([np.cov(returns[:, k], market)[0, 1] / market.var(ddof=1) for k in range(n)])
        specific = (returns - np.outer(market, beta)).var(axis=0, ddof=1) * 252
        crash = np.outer([-0.30, -0.45, -0.12], beta)
        return FactorModel(
            session=self.days[PAST - 1], instruments=NAMES, factors=("market",), exposures=beta[:, None],
            factor_covariance=np.array([[market.var(ddof=1) * 252]]), specific_variance=specific, returns=returns,
            observations=np.full(n, float(PAST)), beta=beta, sigma_daily=returns.std(axis=0, ddof=1), ewma_halflife=33,
            ledoit_wolf_sessions=252, shrinkage=0.1, shrink_variance=float(returns.var(axis=0).mean()), index_vol_20d=0.15,
            scenarios=("H2008L", "H2008", "WORST5"), scenario_kinds=("crash", "bear", "budget"), scenario_returns=crash,
            scenario_proxied=np.zeros((3, n), dtype=np.bool_), scenario_factor_returns=0.9 * crash,
            scenario_paths=np.stack([0.5 * crash, 1.05 * crash, crash], axis=1), scenario_years=np.array([0.19, 1.41, 0.02]),
        )  # fmt: skip

    def _base_returns(self, end: int) -> np.ndarray:
        rows = slice(max(0, end - PAST), end)
        moves = self._total[rows].copy()
        fx = np.concatenate([[0.0], np.diff(np.log(self._eur))])[rows]
        foreign = np.array([LISTINGS[name][1] == "EUR" for name in NAMES])
        moves[:, foreign] = (1.0 + moves[:, foreign]) * np.exp(fx)[:, None] - 1.0
        return moves

    # --- what the platform knows ---

    def window(self, day: dt.date) -> MarketWindow:
        """The last sessions up to one, as the normalization stage hands them on."""
        end = self.days.index(day) + 1
        rows = slice(end - WINDOW, end)
        rates = np.where([LISTINGS[name][1] == "EUR" for name in NAMES], self._eur[rows, None], 1.0)
        close, opened = self._close[rows], self._open[rows]
        return MarketWindow(
            sessions=self.days[rows], instruments=NAMES, open=opened, high=np.maximum(opened, close) * 1.004,
            low=np.minimum(opened, close) * 0.996, close=close, volume=self._volume[rows], price_level=close,
            total_return=self._total[rows], base_return=self._base_returns(end)[-WINDOW:], fx=rates, fresh=self._fresh[rows],
        )  # fmt: skip

    def factor_model(self, day: dt.date) -> FactorModel:
        """The estimate with the returns up to a session."""
        return replace(self._factor_model, session=day, returns=self._base_returns(self.days.index(day) + 1))

    def features(self, day: dt.date) -> pd.DataFrame:
        """The columns that a decision reads."""
        end = self.days.index(day) + 1
        past = self._total[end - 252 : end]
        volatility = past[-126:].std(axis=0) * math.sqrt(252)
        facts = {
            "momentum_12_1": past[:-21].sum(axis=0), "low_volatility_126d": -volatility, "reversal_5d": -past[-5:].sum(axis=0),
            "atr_20d": np.abs(past[-20:]).mean(axis=0) * 1.5, "log_market_value": np.log(self._close[end - 1] * 4e8),
        }  # fmt: skip
        return pd.DataFrame({"instrument": list(NAMES), "complete": True, **facts})

    def forecasts(self, day: dt.date) -> pd.DataFrame:
        """Expected excess returns that wander from session to session, so that there is something to trade."""
        row = self.days.index(day)
        phase = np.sin(row / 9.0 + np.arange(len(NAMES)))
        return pd.DataFrame(
            {"instrument": list(NAMES), "prior": 0.05, "score": phase, "tilt": 0.03 * phase,
             "expected_return": 0.06 + 0.04 * phase, "uncertainty": 0.05, "volatility": 0.18}
        )  # fmt: skip

    def market(self, day: dt.date) -> Market:
        """Everything that a decision knows of the market at the cutoff of a session."""
        if day not in self._markets:
            self._markets = {day: self._market(day)}
        return self._markets[day]

    def _market(self, day: dt.date) -> Market:
        cutoff, end = self.cutoffs[day], self.days.index(day)
        actions = self.actions
        near = near_events(actions, self.instruments, cutoff) if len(actions) else ()
        ages = [float(np.argmax(self._fresh[end::-1, column])) for column in range(len(NAMES))]
        own = np.array([self._own_age(name, day, age) for name, age in zip(NAMES, ages, strict=True)])
        return Market(
            instruments=self.instruments,
            window=self.window(day),
            features=self.features(day),
            forecasts=self.forecasts(day),
            factor_model=self.factor_model(day),
            quarantined=frozenset(),
            price_age=own,
            history_sessions=np.full(len(NAMES), 1000.0),
            fx_rates={"EUR": float(self._eur[end]), "USD": 1.0},
            stale_currencies=frozenset(),
            forecasts_before=self.forecasts(self.days[end - 1]),
            events=near,
        )

    def _own_age(self, name: str, day: dt.date, rows_back: float) -> float:
        """Own sessions since the last bar: a holiday of its exchange makes nothing stale."""
        mic, last = LISTINGS[name][0], self.days[self.days.index(day) - int(rows_back)]
        return float(len(sessions(mic, last + dt.timedelta(days=1), day)))
