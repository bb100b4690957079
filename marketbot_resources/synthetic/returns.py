"""Log returns of a block of listings on one exchange: common factors, specific part, jumps, and the calm of a done deal. Pure.

Arrays are (sessions, listings). A listing's draws come from its own streams, session by session.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.synthetic.factors import STYLES, Factors
from marketbot_resources.synthetic.grid import Grid
from marketbot_resources.synthetic.life import Life
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import Floats, ar1, stream
from marketbot_resources.synthetic.venues import VENUES

LOG_RETURN_MAX = 1.0
_MARKET_SHARE = 0.5  # of the variance of a listing's log volatility
_DEAL_SPREAD = 0.02
SHOCKS = ("volatility", "open", "high", "low", "volume")


@dataclass(frozen=True, slots=True)
class Returns:
    """Log returns by origin; their sum is the log of one plus the total return. Zero up to and on the first session."""

    common: Floats
    specific: Floats
    jump: Floats
    deal: Floats
    sigma: Floats  # standard deviation of the specific part, per session
    market_log_vol: Floats  # (sessions,)
    shocks: dict[str, Floats]  # standard normals for what is not a return

    def log_total(self) -> Floats:
        """Log of one plus the total return."""
        return self.common + self.specific + self.jump + self.deal


def returns_of(spec: WorldSpec, factors: Factors, grid: Grid, lives: Sequence[Life]) -> Returns:
    """The returns of some listings of one exchange; each column is the same whatever stands beside it."""
    sessions, risk = grid.count, spec.risk
    normals, tails, jumps = (np.empty((len(lives), sessions, n)) for n in (len(SHOCKS), 1, 1))
    unit = np.sqrt((risk.tail_degrees - 2) / risk.tail_degrees)
    for row, life in enumerate(lives):
        normals[row] = stream(spec.seed, "shocks", life.number).standard_normal((sessions, len(SHOCKS)))
        tails[row, :, 0] = unit * stream(spec.seed, "specific", life.number).standard_t(risk.tail_degrees, sessions)
        jumps[row, :, 0] = _jumps(spec, life.number, sessions)
    shocks = {name: np.ascontiguousarray(normals[:, :, n].T) for n, name in enumerate(SHOCKS)}
    market_log_vol = factors.log_vol_of(grid)
    own = ar1(shocks["volatility"], risk.vol_persistence)
    log_vol = np.sqrt(_MARKET_SHARE) * market_log_vol[:, None] + np.sqrt(1 - _MARKET_SHARE) * own
    daily = risk.specific_vol / np.sqrt(SESSIONS_PER_YEAR)
    sigma = daily * np.exp(risk.log_vol_sd * log_vol - risk.log_vol_sd**2)
    specific = sigma * np.ascontiguousarray(tails[:, :, 0].T)
    jump = np.ascontiguousarray(jumps[:, :, 0].T)
    common = _common(factors, grid, lives)
    deal = np.zeros_like(common)
    for column, life in enumerate(lives):
        _begin_and_deal(life, column, common, specific, jump, deal)
    total = common + specific + jump + deal
    specific += np.clip(total, -LOG_RETURN_MAX, LOG_RETURN_MAX) - total
    return Returns(common, specific, jump, deal, sigma, market_log_vol, shocks)


def _jumps(spec: WorldSpec, number: int, sessions: int) -> Floats:
    """Sum of a listing's own jumps per session: Poisson counts, normal sizes."""
    risk = spec.risk
    counts = stream(spec.seed, "jumps", number).poisson(risk.jumps_per_year / SESSIONS_PER_YEAR, sessions)
    out = np.zeros(sessions)
    hit = np.flatnonzero(counts)
    out[hit] = np.sqrt(counts[hit]) * risk.jump_vol * stream(spec.seed, "jump sizes", number).standard_normal(len(hit))
    return out


def _common(factors: Factors, grid: Grid, lives: Sequence[Life]) -> Floats:
    """Exposures times factor moves, term by term: a matrix product would depend on how many listings stand together."""
    market, sectors = factors.moves(factors.market, grid), factors.moves(factors.sectors, grid)
    country = factors.moves(factors.countries[VENUES[grid.mic].country], grid)
    styles = factors.moves(factors.styles, grid)
    common = market[:, None] * np.array([life.beta for life in lives])
    common += sectors[:, [life.sector for life in lives]] * np.array([life.sector_exposure for life in lives])
    common += country[:, None] * np.array([life.country_exposure for life in lives])
    for n in range(len(STYLES)):
        common += styles[:, n : n + 1] * np.array([life.styles[n] for life in lives])
    return common


def _begin_and_deal(life: Life, column: int, common: Floats, specific: Floats, jump: Floats, deal: Floats) -> None:
    """No return up to the first session; from the announcement of a merger on, only the deal: a premium, then its spread closes."""
    for part in (common, specific, jump):
        part[: life.born + 1, column] = 0.0
    if life.announced is None or life.announced >= len(common):
        return
    begin, end = life.announced, min(life.end, len(common) - 1)
    for part in (common, specific, jump):
        part[begin:, column] = 0.0
    spread = _DEAL_SPREAD * (life.end - np.arange(begin, end + 1)) / (life.end - begin)
    level = np.concatenate([[0.0], np.log(1 + life.premium) + np.log(1 - spread)])
    deal[begin : end + 1, column] = np.diff(level)
