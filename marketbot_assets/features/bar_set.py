"""Declared features of volatility, of bars' ranges and of liquidity. Pure facts; see `price_set` for the NaN rule."""

from collections.abc import Iterator

from marketbot_assets.features import expression as e
from marketbot_assets.features.declaration import Declared
from marketbot_assets.features.expression import Node
from marketbot_assets.features.price_set import (
    ANNUAL,
    FRACTION,
    HALF,
    MONTH,
    NUMBER,
    PER_YEAR,
    QUARTER,
    RETURN,
    VALUE,
    YEAR,
    adjusted_bars,
)

LAMBDA_HALFLIFE = 11.2  # RiskMetrics' 0.94 per session
PER_MILLION = 1e-6
TRADED = e.each("only_where", VALUE, VALUE)


def bar_set() -> Iterator[Declared]:
    """All of them, in a fixed order."""
    yield from _volatility()
    yield from _ranges()
    yield from _liquidity()
    yield from _spreads()


def _volatility() -> Iterator[Declared]:
    for n in (10, QUARTER):
        yield Declared(
            f"volatility_{n}d",
            "volatility",
            PER_YEAR,
            f"standard deviation of returns, {n} sessions",
            e.deviation(RETURN, n) * ANNUAL,
        )
    smooth = e.each("sqrt", e.ewma(RETURN * RETURN, QUARTER, LAMBDA_HALFLIFE)) * ANNUAL
    yield Declared(
        "ewma_volatility",
        "volatility",
        PER_YEAR,
        "exponential weights, 0.94 per session",
        smooth,
        ("RiskMetrics 1996",),
    )
    slow = e.each("sqrt", e.ewma(RETURN * RETURN, YEAR, 42.0)) * ANNUAL
    yield Declared("ewma_volatility_42", "volatility", PER_YEAR, "exponential weights, half-life 42 sessions", slow)
    change = e.each("log", e.deviation(RETURN, MONTH) / e.deviation(RETURN, HALF))
    yield Declared("volatility_change", "volatility", NUMBER, "log of 21 over 126 sessions' deviation", change)
    losses = e.each("smaller", RETURN, 0.0)
    down = e.each("sqrt", e.mean(losses * losses, QUARTER)) * ANNUAL
    yield Declared(
        "downside_deviation_63d",
        "volatility",
        PER_YEAR,
        "root mean square of losses",
        down,
        ("Sortino and Price 1994",),
    )
    yield Declared("skewness_126d", "risk", NUMBER, "unbiased skewness of returns", e.skewness(RETURN, HALF))
    yield Declared("kurtosis_126d", "risk", NUMBER, "unbiased excess kurtosis of returns", e.kurtosis(RETURN, HALF))
    low, high = e.quantiles(RETURN, YEAR, 0.05, 0.95)
    yield Declared("value_at_risk_252d", "risk", FRACTION, "minus the 5 % quantile of returns", -low)
    yield Declared("tail_ratio_252d", "risk", NUMBER, "95 % over minus the 5 % quantile of returns", high / -low)
    unsteady = e.deviation(e.deviation(RETURN, 10), QUARTER) * ANNUAL
    yield Declared(
        "volatility_of_volatility_63d",
        "volatility",
        PER_YEAR,
        "deviation of the 10-session volatility",
        unsteady,
        ("Baltussen, van Bekkum and van der Grient 2018",),
    )


def _ranges() -> Iterator[Declared]:
    o, h, low, c = (e.given(name) for name in ("open", "high", "low", "close"))
    up, down, inside, span = e.each("log", h / o), e.each("log", low / o), e.each("log", c / o), e.each("log", h / low)
    yield Declared(
        "parkinson_21d",
        "volatility",
        PER_YEAR,
        "from highs and lows",
        e.each("sqrt", e.mean(span * span, MONTH, 10) / 2.772588722239781) * ANNUAL,
        ("Parkinson 1980",),
    )
    gk = 0.5 * span * span - 0.38629436111989057 * inside * inside
    yield Declared(
        "garman_klass_63d",
        "volatility",
        PER_YEAR,
        "from open, high, low, close",
        e.each("sqrt", e.each("larger", e.mean(gk, QUARTER, 31), 0.0)) * ANNUAL,
        ("Garman and Klass 1980",),
    )
    rs = up * (up - inside) + down * (down - inside)
    yield Declared(
        "rogers_satchell_21d",
        "volatility",
        PER_YEAR,
        "from open, high, low, close, with drift",
        e.each("sqrt", e.each("larger", e.mean(rs, MONTH, 10), 0.0)) * ANNUAL,
        ("Rogers and Satchell 1991",),
    )
    overnight = e.each("log1p", e.given("total_return")) - inside
    share = 0.34 / (1.34 + (MONTH + 1) / (MONTH - 1))
    night, day = e.deviation(overnight, MONTH, 10), e.deviation(inside, MONTH, 10)
    yz = night * night + share * day * day + (1 - share) * e.mean(rs, MONTH, 10)
    yield Declared(
        "yang_zhang_21d",
        "volatility",
        PER_YEAR,
        "overnight, open to close and range",
        e.each("sqrt", e.each("larger", yz, 0.0)) * ANNUAL,
        ("Yang and Zhang 2000",),
    )
    place = e.each("only_where", (c - low) / (h - low), h - low)
    yield Declared(
        "close_in_range_21d",
        "momentum",
        "0 to 1",
        "mean place of the close between low and high",
        e.mean(place, MONTH, 10),
    )


def _liquidity() -> Iterator[Declared]:
    impact = e.each("absolute", RETURN) / (TRADED * PER_MILLION)
    for n in (MONTH, YEAR):
        yield Declared(
            f"amihud_{n}d",
            "liquidity",
            "per million",
            "mean of |return| over value traded",
            e.mean(impact, n, n // 2),
            ("Amihud 2002",),
        )
    yield Declared(
        "log_value_traded_63d",
        "liquidity",
        "log base currency",
        "log of the mean value traded",
        e.each("log", e.mean(TRADED, QUARTER, 31)),
    )
    yield Declared(
        "turnover_63d",
        "liquidity",
        FRACTION,
        "mean of volume over shares",
        e.mean(e.given("volume") / e.given("shares"), QUARTER, 31),
        ("Datar, Naik and Radcliffe 1998",),
    )
    unsteady = e.deviation(TRADED, QUARTER, 31) / e.mean(TRADED, QUARTER, 31)
    yield Declared(
        "value_traded_variation_63d",
        "liquidity",
        NUMBER,
        "deviation over mean of value traded",
        unsteady,
        ("Chordia, Subrahmanyam and Anshuman 2001",),
    )
    yield Declared(
        "value_traded_trend",
        "liquidity",
        NUMBER,
        "log of 5 over 63 sessions' mean value traded",
        e.each("log", e.mean(TRADED, 5, 3) / e.mean(TRADED, QUARTER, 31)),
        ("Gervais, Kaniel and Mingelgrin 2001",),
    )


def _spreads() -> Iterator[Declared]:
    still = 1 - e.mean(e.each("sign", e.each("absolute", RETURN)), QUARTER)
    yield Declared(
        "zero_return_share_63d",
        "liquidity",
        FRACTION,
        "share of sessions with no return",
        still,
        ("Lesmond, Ogden and Trzcinka 1999",),
    )
    serial = e.mean(RETURN * e.lag(RETURN, 1), QUARTER) - e.mean(RETURN, QUARTER) * e.mean(e.lag(RETURN, 1), QUARTER)
    yield Declared(
        "roll_spread_63d",
        "liquidity",
        FRACTION,
        "spread from the serial covariance of returns",
        2 * e.each("sqrt", e.each("larger", -serial, 0.0)),
        ("Roll 1984",),
    )
    yield Declared(
        "corwin_schultz_21d",
        "liquidity",
        FRACTION,
        "spread from highs and lows of two sessions",
        e.mean(_high_low_spread(), MONTH, 10),
        ("Corwin and Schultz 2012",),
    )
    yield Declared(
        "volume_return_corr_63d",
        "liquidity",
        "-1 to 1",
        "correlation of |return| and value traded",
        e.corr(e.each("absolute", RETURN), TRADED, QUARTER, 31),
        ("Karpoff 1987",),
    )


def _high_low_spread() -> Node:
    """Corwin and Schultz (2012), formulas 14 and 18; negative spreads count as zero."""
    bars = adjusted_bars()
    high, low = bars.high, bars.low
    one = e.each("log", high / low)
    both = e.each("log", e.highest(high, 2) / e.lowest(low, 2))
    beta, gamma, k = one * one + e.lag(one * one, 1), both * both, 3 - 2 * 2**0.5
    alpha = e.each("sqrt", beta) * ((2**0.5 - 1) / k) - e.each("sqrt", gamma / k)
    grown = e.each("exp", alpha)
    return e.each("larger", 2 * (grown - 1) / (1 + grown), 0.0)
