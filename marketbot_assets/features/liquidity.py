"""How much of a name is traded: the median value of its own newest sessions. Pure.

Counted in the listing's own sessions, so ten days of holidays in Tokyo are no loss of liquidity; at most SPAN decision sessions
back, so a name that stopped trading loses its figure. Not here: what may be traded of it (`portfolio`, `risk`).
"""

import numpy as np

from marketbot_assets.normalization.window import Floats, MarketWindow

OWN_SESSIONS, SPAN = 20, 40


def traded_value(window: MarketWindow) -> tuple[Floats, Floats]:
    """((n,) median value traded, base currency, of up to 20 own sessions with volume; (n,) how many there were)."""
    close, volume, fx, fresh = (a[-SPAN:] for a in (window.close, window.volume, window.fx, window.fresh))
    value = np.where(fresh & np.isfinite(volume) & (volume > 0.0), close * volume * fx, np.nan)
    newest = [column[np.isfinite(column)][-OWN_SESSIONS:] for column in value.T]
    medians = np.array([np.median(own) if len(own) else np.nan for own in newest])
    return medians, np.array([float(len(own)) for own in newest])
