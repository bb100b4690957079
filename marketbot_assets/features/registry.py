"""The feature registry: what each feature means, its unit, source and lookback. Facts only, no arithmetic.

A required feature is one that a decision reads: a name without it may not be bought. NaN means "cannot be computed from what
is known", never a filled value.
"""

from dataclasses import dataclass

LOOKBACK_SESSIONS = 320
PRICE, FILED, MACRO = "prices", "fundamentals", "macro"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature matrix."""

    name: str
    group: str
    unit: str
    description: str
    source: str
    lookback_sessions: int
    required: bool = False


def _returns(sessions: int) -> Feature:
    return Feature(
        f"return_{sessions}d",
        "return",
        "fraction",
        f"total return over {sessions} sessions, base currency",
        PRICE,
        sessions + 1,
    )


FEATURES = (
    *(_returns(n) for n in (1, 5, 21, 63, 126, 252)),
    Feature(
        "momentum_12_1", "momentum", "fraction", "total return over 252 sessions without the last 21", PRICE, 253, True
    ),
    Feature("reversal_5d", "reversal", "fraction", "minus the total return over 5 sessions", PRICE, 6, True),
    Feature("volatility_21d", "volatility", "per year", "standard deviation of returns over 21 sessions", PRICE, 22),
    Feature(
        "volatility_126d", "volatility", "per year", "standard deviation of returns over 126 sessions", PRICE, 127, True
    ),
    Feature("volatility_252d", "volatility", "per year", "standard deviation of returns over 252 sessions", PRICE, 253),
    Feature("low_volatility_126d", "volatility", "per year", "minus volatility_126d", PRICE, 127, True),
    Feature(
        "garman_klass_21d",
        "volatility",
        "per year",
        "range-based volatility of 21 sessions (Garman and Klass 1980)",
        PRICE,
        22,
    ),
    Feature(
        "atr_20d", "volatility", "fraction of close", "mean true range of 20 sessions over the close", PRICE, 21, True
    ),
    Feature(
        "drawdown_252d",
        "momentum",
        "fraction",
        "loss from the highest total-return level of 252 sessions, positive",
        PRICE,
        253,
    ),
    Feature(
        "range_position_252d",
        "momentum",
        "0 to 1",
        "place between the lowest and highest level of 252 sessions",
        PRICE,
        253,
    ),
    Feature("adv_20d", "liquidity", "base currency", "median value traded of 20 own sessions", PRICE, 40, True),
    Feature(
        "amihud_63d",
        "liquidity",
        "per million",
        "mean of |return| over value traded (Amihud 2002), 63 sessions",
        PRICE,
        64,
    ),
    Feature("quiet_share_63d", "liquidity", "fraction", "share of 63 sessions without a new bar", PRICE, 63),
    Feature(
        "beta_252d", "risk", "number", "beta to the index with one lag (Dimson 1979), 252 sessions", PRICE, 254, True
    ),
    Feature(
        "residual_volatility_252d", "risk", "per year", "standard deviation of what beta does not explain", PRICE, 254
    ),
    Feature(
        "index_correlation_126d", "risk", "-1 to 1", "correlation of two-session returns with the index", PRICE, 128
    ),
    Feature("skewness_63d", "risk", "number", "skewness of returns over 63 sessions", PRICE, 64),
    Feature(
        "sector_momentum_126d",
        "momentum",
        "fraction",
        "return over 126 sessions beyond the sector's median",
        PRICE,
        127,
    ),
    Feature(
        "sector_reversal_5d", "reversal", "fraction", "minus the 5-session return beyond the sector's median", PRICE, 6
    ),
    Feature("book_to_price", "value", "number", "equity as filed over market value", FILED, 1),
    Feature(
        "earnings_yield", "value", "fraction", "net income of the trailing year as filed over market value", FILED, 1
    ),
    Feature(
        "gross_profitability",
        "quality",
        "fraction",
        "gross profit over total assets as filed (Novy-Marx 2013)",
        FILED,
        1,
    ),
    Feature("debt_to_assets", "quality", "fraction", "total debt over total assets as filed", FILED, 1),
    Feature("log_market_value", "size", "log base currency", "logarithm of market value", FILED, 1),
    Feature("vix_level", "macro", "percent per year", "VIX at the cutoff, the same for every name", MACRO, 1),
    Feature("index_trend_200d", "macro", "fraction", "index over its mean of 200 sessions, less one", MACRO, 200),
    Feature("term_slope", "macro", "percent", "ten-year less two-year yield", MACRO, 1),
    Feature("credit_spread", "macro", "percent", "BAA less AAA yield", MACRO, 1),
)
NAMES = tuple(feature.name for feature in FEATURES)
REQUIRED = tuple(feature.name for feature in FEATURES if feature.required)
