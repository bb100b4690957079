"""Declared features of the regime: curve, credit, volatility, currency, oil, inflation, index; one value for all. Pure facts."""

from collections.abc import Iterator

from marketbot_assets.features import expression as e
from marketbot_assets.features.declaration import DOLLAR, Declared
from marketbot_assets.features.expression import Node
from marketbot_assets.features.price_set import ANNUAL, FRACTION, INDEX_RETURN, MONTH, NUMBER, QUARTER, YEAR

POINTS = "percent"


def _change(x: Node, sessions: int) -> Node:
    return x - e.lag(x, sessions)


def _score(x: Node, sessions: int) -> Node:
    """How far from its own mean, in deviations; at least half of the window."""
    return (x - e.moment_mean(x, sessions, sessions // 2)) / e.deviation(x, sessions, sessions // 2)


def macro_set() -> Iterator[Declared]:
    """All of them, in a fixed order."""
    slope = e.given("US10Y") - e.given("US2Y")
    credit, vix = e.given("BAA") - e.given("AAA"), e.given("VIX")
    curve = "Estrella and Hardouvelis 1991"
    yield Declared(
        "term_slope_change_63d",
        "macro",
        POINTS,
        "change of ten-year less two-year yield",
        _change(slope, QUARTER),
        (curve,),
    )
    yield Declared(
        "term_slope_score_252d",
        "macro",
        NUMBER,
        "ten-year less two-year yield against its own year",
        _score(slope, YEAR),
        (curve,),
    )
    yield Declared(
        "yield_change_63d", "macro", POINTS, "change of the ten-year yield", _change(e.given("US10Y"), QUARTER)
    )
    spread = "Fama and French 1989"
    yield Declared(
        "credit_spread_change_63d", "macro", POINTS, "change of BAA less AAA yield", _change(credit, QUARTER), (spread,)
    )
    yield Declared(
        "credit_spread_score_252d",
        "macro",
        NUMBER,
        "BAA less AAA yield against its own year",
        _score(credit, YEAR),
        (spread,),
    )
    yield Declared("vix_change_21d", "macro", POINTS, "change of the VIX", _change(vix, MONTH))
    yield Declared("vix_score_252d", "macro", NUMBER, "VIX against its own year", _score(vix, YEAR))
    realized = e.deviation(INDEX_RETURN, MONTH) * (100 * ANNUAL)
    yield Declared(
        "variance_premium",
        "macro",
        POINTS,
        "VIX less the index's realized volatility",
        vix - realized,
        ("Bollerslev, Tauchen and Zhou 2009",),
    )
    yield from _price_regime()


def _price_regime() -> Iterator[Declared]:
    dollar = e.given(DOLLAR)
    yield Declared(
        "dollar_change_63d",
        "macro",
        FRACTION,
        "log change of the dollar against the other currencies",
        e.total(dollar, QUARTER),
    )
    yield Declared(
        "dollar_volatility_63d",
        "macro",
        "per year",
        "deviation of the dollar's changes",
        e.deviation(dollar, QUARTER) * ANNUAL,
    )
    oil = e.each("log", e.given("WTI"))
    yield Declared("oil_change_63d", "macro", FRACTION, "log change of oil", _change(oil, QUARTER))
    inflation = _change(e.each("log", e.given("CORE_CPI")), MONTH)
    yield Declared(
        "inflation_1y",
        "macro",
        FRACTION,
        "log change of core prices in a year",
        _change(e.each("log", e.given("CORE_CPI")), YEAR),
    )
    yield Declared(
        "inflation_surprise",
        "macro",
        NUMBER,
        "core prices' month against the mean of the year, in deviations",
        _score(inflation, YEAR),
        ("Chen, Roll and Ross 1986",),
    )
    index = e.given("SP500")
    yield Declared(
        "index_drawdown_252d",
        "macro",
        FRACTION,
        "the index's loss from its highest of a year",
        1 - index / e.highest(index, YEAR),
    )
    yield Declared(
        "index_momentum_252d",
        "macro",
        FRACTION,
        "the index's return over a year",
        index / e.lag(index, YEAR) - 1,
        ("Moskowitz, Ooi and Pedersen 2012",),
    )
