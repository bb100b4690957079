"""Declared features of figures as filed, and features across the instruments of a session. Pure facts; see `price_set`.

Figures are those of the newest period known at the cutoff, in the listing currency; growth compares with the same quarter one
year before. Unknown where a figure is unknown or a denominator is not positive.
"""

from collections.abc import Iterator

from marketbot_assets.features import expression as e
from marketbot_assets.features.declaration import BEFORE, SHARES, Declared
from marketbot_assets.features.expression import Node
from marketbot_assets.features.price_set import FRACTION, HALF, LEVEL, MONTH, NUMBER, QUARTER, RETURN, compound

VALUE = e.given("close") * e.given(SHARES)
EQUITY, INCOME, GROSS = e.given("EQUITY"), e.given("NET_INCOME"), e.given("GROSS_PROFIT")
ASSETS, DEBT = e.given("TOTAL_ASSETS"), e.given("TOTAL_DEBT")


def _positive(x: Node) -> Node:
    return e.each("only_where", x, x)


def _growth(name: str) -> Node:
    return e.given(name) / _positive(e.given(name + BEFORE)) - 1


def filed_set() -> Iterator[Declared]:
    """Value, quality and growth."""
    firm = VALUE + DEBT
    yield Declared(
        "gross_profit_to_firm_value",
        "value",
        FRACTION,
        "gross profit over market value and debt",
        GROSS / _positive(firm),
        ("Loughran and Wellman 2011",),
    )
    yield Declared(
        "debt_to_market", "value", NUMBER, "debt over market value", DEBT / _positive(VALUE), ("Bhandari 1988",)
    )
    yield Declared(
        "assets_to_market",
        "value",
        NUMBER,
        "assets over market value",
        ASSETS / _positive(VALUE),
        ("Fama and French 1992",),
    )
    yield Declared(
        "return_on_equity",
        "quality",
        FRACTION,
        "net income over equity",
        INCOME / _positive(EQUITY),
        ("Hou, Xue and Zhang 2015",),
    )
    yield Declared(
        "return_on_assets",
        "quality",
        FRACTION,
        "net income over assets",
        INCOME / _positive(ASSETS),
        ("Piotroski 2000",),
    )
    yield Declared(
        "income_to_gross_profit", "quality", FRACTION, "net income over gross profit", INCOME / _positive(GROSS)
    )
    yield Declared(
        "equity_to_assets", "quality", FRACTION, "equity over assets", EQUITY / _positive(ASSETS), ("Altman 1968",)
    )
    yield from _growth_set()


def _growth_set() -> Iterator[Declared]:
    yield Declared(
        "asset_growth_1y",
        "growth",
        FRACTION,
        "assets against a year before",
        _growth("TOTAL_ASSETS"),
        ("Cooper, Gulen and Schill 2008",),
    )
    yield Declared(
        "equity_growth_1y",
        "growth",
        FRACTION,
        "equity against a year before",
        _growth("EQUITY"),
        ("Richardson, Sloan, Soliman and Tuna 2005",),
    )
    yield Declared(
        "income_growth_1y",
        "growth",
        FRACTION,
        "net income against a year before",
        _growth("NET_INCOME"),
        ("Lakonishok, Shleifer and Vishny 1994",),
    )
    yield Declared(
        "gross_profit_growth_1y", "growth", FRACTION, "gross profit against a year before", _growth("GROSS_PROFIT")
    )
    before = e.given("NET_INCOME" + BEFORE) / _positive(e.given("TOTAL_ASSETS" + BEFORE))
    yield Declared(
        "return_on_assets_change_1y",
        "quality",
        FRACTION,
        "return on assets less that a year before",
        INCOME / _positive(ASSETS) - before,
        ("Piotroski 2000",),
    )
    geared = e.given("TOTAL_DEBT" + BEFORE) / _positive(e.given("TOTAL_ASSETS" + BEFORE))
    yield Declared(
        "leverage_change_1y",
        "quality",
        FRACTION,
        "debt over assets less that a year before",
        DEBT / _positive(ASSETS) - geared,
        ("Piotroski 2000",),
    )


def across_set() -> Iterator[Declared]:
    """What compares an instrument with its sector or with all, and the breadth of the universe."""
    half, month = compound(HALF), compound(MONTH)
    sector = e.across("group_mean", half)
    yield Declared(
        "sector_mean_momentum_126d",
        "momentum",
        FRACTION,
        "mean return of the sector, 126 sessions",
        sector,
        ("Moskowitz and Grinblatt 1999",),
    )
    yield Declared(
        "momentum_beyond_sector_126d",
        "momentum",
        FRACTION,
        "return less the sector's mean, 126 sessions",
        half - sector,
    )
    yield Declared(
        "reversal_beyond_sector_21d",
        "reversal",
        FRACTION,
        "minus the return less the sector's mean, 21 sessions",
        e.across("group_mean", month) - month,
        ("Da, Liu and Schaumburg 2014",),
    )
    yield Declared(
        "momentum_rank_126d",
        "momentum",
        "0 to 1",
        "rank of the return among all, 126 sessions",
        e.across("cross_rank", half),
    )
    risk = e.deviation(RETURN, HALF)
    yield Declared(
        "volatility_score_126d",
        "volatility",
        NUMBER,
        "z-score of volatility among all, 126 sessions, cut at 2 %",
        e.across("cross_score", e.across("cross_winsorize", risk, parameters=(0.02,))),
        ("Frazzini and Pedersen 2014",),
    )
    book = e.given("EQUITY") / _positive(VALUE)
    yield Declared(
        "value_score",
        "value",
        NUMBER,
        "z-score of book to price among all, cut at 2 %",
        e.across("cross_score", e.across("cross_winsorize", book, parameters=(0.02,))),
        ("Asness, Moskowitz and Pedersen 2013",),
    )
    yield Declared(
        "momentum_beyond_risk_126d",
        "momentum",
        FRACTION,
        "return that volatility does not explain across names",
        e.across("cross_neutralize", half, risk),
    )
    yield from _breadth_set()


def _breadth_set() -> Iterator[Declared]:
    month = compound(MONTH)
    over = LEVEL / e.mean(LEVEL, 200) > 1
    yield Declared(
        "breadth_200d",
        "breadth",
        FRACTION,
        "share of names above their mean of 200 sessions",
        e.across("cross_mean", over),
    )
    yield Declared(
        "sector_breadth_50d",
        "breadth",
        FRACTION,
        "the sector's share above the mean of 50 sessions",
        e.across("group_mean", LEVEL / e.mean(LEVEL, 50) > 1),
    )
    yield Declared(
        "breadth_of_highs_63d",
        "breadth",
        FRACTION,
        "share of names at their highest of 63 sessions",
        e.across("cross_mean", 1 - (LEVEL / e.highest(LEVEL, QUARTER) < 1)),
    )
    yield Declared(
        "dispersion_21d",
        "breadth",
        FRACTION,
        "deviation of returns across names, 21 sessions",
        e.across("cross_deviation", month),
        ("Stivers and Sun 2010",),
    )
