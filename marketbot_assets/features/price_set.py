"""Declared features of returns and levels, and the formulas that others share. Pure facts; trees of operators (`expression`).

NaN rule: features of returns need every return of their window; features of bars need bars in half of it. Returns are simple,
total, in the base currency, 0 in a session without a bar; logarithms are taken where they are added up over time.
Not here: volatility, ranges and liquidity (`bar_set`).
"""

from collections.abc import Iterator

from marketbot_assets.features import expression as e
from marketbot_assets.features.alpha158 import Bars
from marketbot_assets.features.declaration import Declared
from marketbot_assets.features.expression import Node
from marketbot_resources.model import SESSIONS_PER_YEAR

MONTH, QUARTER, HALF, YEAR = 21, 63, 126, 252
PAUSE = 260  # sessions without a basis after an unknown return: more than the longest window
ANNUAL = float(SESSIONS_PER_YEAR) ** 0.5
FRACTION, PER_YEAR, NUMBER = "fraction", "per year", "number"

RETURN = e.given("base_return")
LOG_RETURN = e.each("log1p", RETURN)
FRESH = e.given("fresh")
INDEX_RETURN = e.given("SP500") / e.lag(e.given("SP500"), 1) - 1
NO_BAR_NO_RETURN = e.each("only_where", FRESH, 1 - FRESH)
BASIS = e.basis(e.each("known_or", e.given("total_return"), NO_BAR_NO_RETURN), e.given("last_close"), PAUSE)
LEVEL = e.given("last_close") * BASIS
VALUE = e.given("close") * e.given("volume") * e.given("fx")


def landed_bars() -> Bars:
    """Bars as they landed. What reads one bar alone has the same bits on them whatever session its basis begins with."""
    o, h, low, close, v = (e.given(name) for name in ("open", "high", "low", "close", "volume"))
    return Bars(o, h, low, close, v, (h + low + close) / 3, e.each("log", v + 1), 0.0)


def adjusted_bars() -> Bars:
    """Bars on one split and dividend basis, unknown where none landed; no volume where none was traded.

    vwap is (high + low + close) / 3. The unit of the basis is that of its first bar, so no formula may depend on it: volumes
    are logged before they are brought to the basis, and any spread is spread enough. A close that fell by its dividend alone has
    not moved, whatever bits the basis has; beside no close of the session before it has not moved either.
    """
    close, high, low = (e.given(name) * BASIS for name in ("close", "high", "low"))
    volume = e.each("only_where", e.given("volume"), e.given("volume"))
    log_volume = e.each("log", volume + 1) - e.each("log", BASIS)
    both = e.each("only_where", e.each("only_where", e.given("total_return"), close), e.lag(close, 1))
    move = e.each("known_or", both, 0 * close)
    return Bars(
        e.given("open") * BASIS, high, low, close, volume / BASIS, (high + low + close) / 3, log_volume, 0.0, move
    )


def compound(sessions: int, skip: int = 0) -> Node:
    """Simple return over so many sessions that ended `skip` sessions ago."""
    summed = e.each("expm1", e.total(LOG_RETURN, sessions))
    return e.lag(summed, skip) if skip else summed


def price_set() -> Iterator[Declared]:
    """All of them, in a fixed order."""
    yield from _returns()
    yield from _path()
    yield from _consistency()
    yield from _risk()


def _returns() -> Iterator[Declared]:
    for n in (10, 42, 189):
        yield Declared(f"return_{n}d_log", "return", FRACTION, f"log return over {n} sessions", e.total(LOG_RETURN, n))
    momentum = "Jegadeesh and Titman 1993"
    yield Declared(
        "momentum_6_1", "momentum", FRACTION, "126 sessions without the last 21", compound(105, MONTH), (momentum,)
    )
    yield Declared(
        "momentum_3_1", "momentum", FRACTION, "63 sessions without the last 21", compound(42, MONTH), (momentum,)
    )
    yield Declared(
        "momentum_12_7", "momentum", FRACTION, "252 to 127 sessions ago", compound(126, HALF), ("Novy-Marx 2012",)
    )
    scaled = compound(231, MONTH) / (e.deviation(RETURN, HALF) * ANNUAL)
    yield Declared(
        "momentum_per_risk",
        "momentum",
        NUMBER,
        "momentum 12-1 over volatility of 126 sessions",
        scaled,
        ("Barroso and Santa-Clara 2015",),
    )
    yield Declared(
        "reversal_21d", "reversal", FRACTION, "minus the return of 21 sessions", -compound(MONTH), ("Jegadeesh 1990",)
    )
    yield Declared("reversal_1d", "reversal", FRACTION, "minus the return of one session", -RETURN, ("Lehmann 1990",))
    score = compound(5) / (e.deviation(RETURN, QUARTER) * 5.0**0.5)
    yield Declared(
        "reversal_score_5d",
        "reversal",
        NUMBER,
        "minus 5 sessions' return over its deviation",
        -score,
        ("Lehmann 1990",),
    )


def _path() -> Iterator[Declared]:
    high = e.highest(LEVEL, YEAR)
    yield Declared(
        "high_52w",
        "momentum",
        "0 to 1",
        "level over the highest of 252 sessions",
        LEVEL / high,
        ("George and Hwang 2004",),
    )
    age = YEAR - e.place_of_highest(LEVEL, YEAR)
    yield Declared("sessions_since_high_252d", "momentum", "sessions", "sessions since the highest level", age)
    yield Declared(
        "drawdown_126d",
        "risk",
        FRACTION,
        "loss from the highest level of 126 sessions",
        1 - LEVEL / e.highest(LEVEL, HALF),
    )
    fall = 1 - LEVEL / e.highest(LEVEL, QUARTER)
    yield Declared(
        "ulcer_63d",
        "risk",
        FRACTION,
        "root mean square drawdown of 63 sessions",
        e.each("sqrt", e.mean(fall * fall, QUARTER)),
        ("Martin and McCann 1989",),
    )
    log_level = e.each("log", LEVEL)
    yield Declared(
        "trend_slope_63d", "momentum", "per session", "slope of the log level on time", e.slope(log_level, QUARTER)
    )
    yield Declared("trend_r2_63d", "momentum", "0 to 1", "R2 of the log level on time", e.rsquare(log_level, QUARTER))


def _consistency() -> Iterator[Declared]:
    ups, downs = e.mean(RETURN > 0, YEAR), e.mean(RETURN < 0, YEAR)
    yield Declared(
        "rising_share_252d",
        "momentum",
        FRACTION,
        "share of sessions with a gain",
        ups,
        ("Grinblatt and Moskowitz 2004",),
    )
    discrete = e.each("sign", compound(YEAR)) * (downs - ups)
    yield Declared(
        "discreteness_252d",
        "momentum",
        "-1 to 1",
        "share of falls less rises, signed by the return",
        discrete,
        ("Da, Gurun and Warachka 2014",),
    )
    yield Declared(
        "over_mean_200d",
        "momentum",
        FRACTION,
        "level over its mean of 200 sessions, less one",
        LEVEL / e.mean(LEVEL, 200) - 1,
        ("Brock, Lakonishok and LeBaron 1992",),
    )
    yield Declared(
        "over_mean_20d",
        "reversal",
        FRACTION,
        "level over its mean of 20 sessions, less one",
        LEVEL / e.mean(LEVEL, 20) - 1,
    )
    yield Declared(
        "best_return_21d",
        "reversal",
        FRACTION,
        "largest return of 21 sessions",
        e.highest(RETURN, MONTH),
        ("Bali, Cakici and Whitelaw 2011",),
    )
    yield Declared("worst_return_21d", "risk", FRACTION, "smallest return of 21 sessions", e.lowest(RETURN, MONTH))
    inside = e.each("log", e.given("close") / e.given("open"))
    yield Declared(
        "intraday_return_21d",
        "return",
        FRACTION,
        "log return from open to close, summed",
        e.total(inside, MONTH, 10),
        ("Lou, Polk and Skouras 2019",),
    )
    overnight = e.each("log1p", e.given("total_return")) - inside
    yield Declared(
        "overnight_return_21d",
        "return",
        FRACTION,
        "log return from close to open, summed",
        e.total(overnight, MONTH, 10),
        ("Lou, Polk and Skouras 2019",),
    )


def _risk() -> Iterator[Declared]:
    for n in (QUARTER, HALF):
        yield Declared(
            f"beta_{n}d",
            "risk",
            NUMBER,
            f"slope on the index, {n} sessions",
            e.beta(RETURN, INDEX_RETURN, n),
            ("Sharpe 1964",),
        )
    yield Declared(
        "residual_volatility_63d",
        "risk",
        PER_YEAR,
        "deviation of what beta leaves",
        e.residual_deviation(RETURN, INDEX_RETURN, QUARTER) * ANNUAL,
        ("Ang, Hodrick, Xing and Zhang 2006",),
    )
    yield Declared(
        "index_correlation_63d", "risk", "-1 to 1", "correlation with the index", e.corr(RETURN, INDEX_RETURN, QUARTER)
    )
    falls = e.each("only_where", INDEX_RETURN, -INDEX_RETURN)
    yield Declared(
        "downside_beta_252d",
        "risk",
        NUMBER,
        "slope on the index in its falls",
        e.beta(RETURN, falls, YEAR, 60),
        ("Ang, Chen and Xing 2006",),
    )
    yield Declared(
        "beta_change",
        "risk",
        NUMBER,
        "beta of 63 less that of 252 sessions",
        e.beta(RETURN, INDEX_RETURN, QUARTER) - e.beta(RETURN, INDEX_RETURN, YEAR),
    )
    yield Declared(
        "serial_correlation_63d",
        "reversal",
        "-1 to 1",
        "correlation of returns with those before",
        e.corr(RETURN, e.lag(RETURN, 1), QUARTER),
        ("Lo and MacKinlay 1990",),
    )
    rates = e.given("US10Y") - e.lag(e.given("US10Y"), 1)
    oil = e.each("log", e.given("WTI") / e.lag(e.given("WTI"), 1))
    yield Declared(
        "rate_beta_252d",
        "risk",
        "fraction per point",
        "slope on changes of the ten-year yield",
        e.beta(RETURN, rates, YEAR, 200),
    )
    yield Declared(
        "oil_beta_252d",
        "risk",
        NUMBER,
        "slope on log changes of oil",
        e.beta(RETURN, oil, YEAR, 200),
        ("Chen, Roll and Ross 1986",),
    )
    yield Declared(
        "dollar_beta_252d",
        "risk",
        NUMBER,
        "slope on changes of the dollar",
        e.beta(RETURN, e.given("DOLLAR"), YEAR, 200),
    )
