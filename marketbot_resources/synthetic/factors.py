"""Common factors of the world: market, sectors, countries, styles, with stochastic volatility and market jumps. Pure.

Paths are cumulative log returns at the end of each part of a factor day, so that a session takes what came since the last one.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from marketbot_resources.synthetic.grid import PARTS, Grid, factor_days
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import Floats, ar1, stream
from marketbot_resources.synthetic.venues import SECTOR_NAMES

WEEKDAYS_PER_YEAR = 261
STYLES = ("SIZE", "VALUE", "MOMENTUM")
PART_VARIANCE = (0.25, 0.35, 0.40)  # shares of a day's variance that Asia, Europe and America see arrive


@dataclass(frozen=True, slots=True)
class Factors:
    """Cumulative log paths, 0 first, one value per part of a day; and the market's log volatility, standardised, per day."""

    market: Floats
    sectors: Floats  # (parts, sectors)
    styles: Floats  # (parts, styles)
    countries: dict[str, Floats]
    log_vol: Floats  # (days,), unit variance
    market_vol: Floats  # (days,), annual fraction, jumps aside
    market_jumps: Floats  # (days,), log

    def moves(self, path: Floats, grid: Grid) -> Floats:
        """Log returns of the exchange's sessions, (sessions, ...); the first session takes the part of a day it stands in."""
        ended = path[grid.ends]
        before = path[np.maximum(grid.ends[:1] - 1, 0)]
        return np.diff(ended, axis=0, prepend=before)

    def log_vol_of(self, grid: Grid) -> Floats:
        """The market's standardised log volatility on the exchange's sessions."""
        return self.log_vol[np.maximum((grid.ends - 1) // PARTS, 0)]


def factors_of(spec: WorldSpec) -> Factors:
    """The paths of a world; they depend on first, last, seed, countries and risk alone."""
    return _factors(spec.seed, spec.first, spec.last, tuple(sorted(spec.mics)), spec)


@lru_cache(maxsize=8)
def _factors(seed: int, first: dt.date, last: dt.date, mics: tuple[str, ...], spec: WorldSpec) -> Factors:
    from marketbot_resources.synthetic.venues import VENUES

    risk, days = spec.risk, max(len(factor_days(first, last)), 1)
    shocks = stream(seed, "market").standard_normal((days, PARTS))
    total = shocks @ np.sqrt(np.array(PART_VARIANCE))
    own = stream(seed, "market volatility").standard_normal(days)
    log_vol = ar1(risk.leverage * total + np.sqrt(1 - risk.leverage**2) * own, risk.vol_persistence)
    # today's shock moves tomorrow's volatility: the return of a day is independent of its own volatility
    log_vol = np.concatenate([own[:1], log_vol[:-1]])
    scale = np.exp(risk.log_vol_sd * log_vol - risk.log_vol_sd**2)
    parts = np.repeat(scale, PARTS) * np.tile(np.sqrt(np.array(PART_VARIANCE) / WEEKDAYS_PER_YEAR), days)
    jumps, when = _jumps(spec, days)
    market = risk.market_vol * parts * shocks.ravel() + risk.drift / (WEEKDAYS_PER_YEAR * PARTS)
    market[np.arange(days) * PARTS + when] += jumps

    def path(purpose: str, vol: float, width: int) -> Floats:
        draws = stream(seed, purpose).standard_normal((days * PARTS, width))
        return _cumulative(vol * parts[:, None] * draws)

    countries = sorted({VENUES[mic].country for mic in mics})
    return Factors(
        _cumulative(market),
        path("sectors", risk.sector_vol, len(SECTOR_NAMES)),
        path("styles", risk.style_vol, len(STYLES)),
        {country: path(f"country {country}", risk.country_vol, 1)[:, 0] for country in countries},
        log_vol,
        risk.market_vol * scale,
        jumps,
    )


def _jumps(spec: WorldSpec, days: int) -> tuple[Floats, np.ndarray]:
    """(sum of the market's jumps per day, the part of the day in which they come)."""
    counts = stream(spec.seed, "market jumps").poisson(spec.risk.market_jumps_per_year / WEEKDAYS_PER_YEAR, days)
    sizes = spec.risk.market_jump_vol * stream(spec.seed, "market jump sizes").standard_normal(days)
    return np.sqrt(counts) * sizes, stream(spec.seed, "market jump parts").integers(0, PARTS, days)


def _cumulative(moves: Floats) -> Floats:
    return np.concatenate([np.zeros_like(moves[:1]), np.cumsum(moves, axis=0)])
