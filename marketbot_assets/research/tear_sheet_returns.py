"""Sections of a tear sheet on returns: growth, calendar, rolling measures, distribution, drawdowns. Pure."""

import math

import numpy as np

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.performance_ratios import drawdowns
from marketbot_assets.audit.report_parts import Markup, change, grid, percent, plain_number, section, table
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.tear_sheet import (
    HALF,
    QUANTILES,
    QUARTER,
    RATIOS,
    Sheet,
    beside,
    periods,
    quantiles,
    rolling,
    wealth,
)
from marketbot_assets.research.tear_sheet_charts import histogram, month_map, thinned

DRAWDOWNS_SHOWN, EXTREMES_SHOWN = 10, 5


def growth(sheet: Sheet) -> Markup:
    """Cumulative return, its logarithm, the excess and the fall below the last high."""
    mine, theirs = wealth(sheet.returns), wealth(sheet.benchmark)
    known = bool(np.isfinite(sheet.benchmark).any())
    grown = {"benchmark": theirs - 1.0} if known else {}
    logs = {"benchmark": np.log(theirs)} if known else {}
    under = {"backtest": _fall(mine), **({"benchmark": _fall(theirs)} if known else {})}
    charts = [
        thinned("Return since the start", sheet.labels, {"backtest": mine - 1.0, **grown}),
        thinned("Logarithm of growth", sheet.labels, {"backtest": np.log(mine), **logs}, unit=""),
        thinned("Fall below the last high", sheet.labels, under, invert=True),
    ]
    if known:
        charts.append(thinned("Growth over the benchmark's, less 1", sheet.labels, {"relative": mine / theirs - 1.0}))
    lede = (
        "From cash, with fees, taxes, spread and impact. The benchmark is the universe by market value, without costs, always "
        "invested; a session on which it is not known leaves its line flat."
    )
    rows = [(name, *(_told(name, value) for value in values)) for name, *values in beside(sheet)]
    heads, caption = ("measure<", "backtest>", "benchmark>"), "Over the sessions whose benchmark is known"
    compared = [table(heads, rows, caption=caption)] if rows else []
    return section("returns", "Returns", lede, grid(*(Markup(inline(chart)) for chart in charts)), *compared)


def _fall(wealth: Floats) -> Floats:
    return np.asarray(1.0 - wealth / np.maximum.accumulate(wealth))


def _told(name: str, value: float) -> str:
    return plain_number(value, 3) if name in RATIOS else percent(value)


def calendar(sheet: Sheet) -> Markup:
    """Months and years as a map and as tables."""
    months, years = periods(sheet, 7), periods(sheet, 4)
    shown = month_map(
        "Monthly returns, percent",
        {name: mine for name, (mine, _) in months.items()},
        {name: mine for name, (mine, _) in years.items()},
    )
    heads = ("year<", "return>", "benchmark>", "excess>")
    rows = [
        (name, _signed(mine), percent(theirs), _signed(mine - theirs)) for name, (mine, theirs) in sorted(years.items())
    ]
    months_rows = [
        (name, _signed(mine), percent(theirs), _signed(mine - theirs))
        for name, (mine, theirs) in sorted(months.items(), reverse=True)
    ]
    return section(
        "calendar",
        "Years and months",
        "The first and the last may be parts. Pointing at a cell names its month.",
        Markup(inline(shown)),
        grid(table(heads, rows, caption="Years"), table(("month<", *heads[1:]), months_rows, caption="Months")),
    )


def rolled(sheet: Sheet, volatility_target: float) -> Markup:
    """Volatility against the mandate's target, Sharpe ratio and beta over rolling windows."""
    found = rolling(sheet)
    charts = [
        thinned(
            f"Volatility per year, {QUARTER} sessions",
            sheet.labels,
            {"volatility": found["volatility"]},
            marks=[("target", volatility_target)],
        ),
        thinned(f"Sharpe ratio, {HALF} sessions", sheet.labels, {"Sharpe": found["sharpe"]}, unit=""),
        thinned(f"Beta to the benchmark, {HALF} sessions", sheet.labels, {"beta": found["beta"]}, unit=""),
    ]
    lede = "The dashed line is the mandate's target, which the drawdown ladder lowers. Windows that are too short show nothing."
    return section("rolling", "Rolling measures", lede, grid(*(Markup(inline(chart)) for chart in charts)))


def distribution(sheet: Sheet) -> Markup:
    """Histogram, quantiles by length of period, best and worst sessions, value at risk and expected shortfall."""
    n = sheet.numbers
    chart = histogram(
        "Returns: how many sessions, and the normal curve of their deviation",
        sheet.returns,
        [("VaR 95 %", n["var_95"]), ("VaR 99 %", n["var_99"])],
    )
    heads = ("of a<", "count>", *("lowest>" if q == 0 else "highest>" if q == 1 else f"{q:.0%}>" for q in QUANTILES))
    rows = [
        (row["period"], row["count"], *(percent(_float(row[f"{q:g}"])) for q in QUANTILES)) for row in quantiles(sheet)
    ]
    order = np.argsort(sheet.returns, kind="stable")
    ends = [
        (sheet.labels[1 + low], _signed(float(sheet.returns[low])), sheet.labels[1 + high], _signed(float(sheet.returns[high])))
        for low, high in zip(order[:EXTREMES_SHOWN].tolist(), order[::-1][:EXTREMES_SHOWN].tolist(), strict=True)
    ]  # fmt: skip
    tails = [(f"{level} %", percent(n[f"var_{level}"]), percent(n[f"es_{level}"])) for level in ("95", "97.5", "99")]
    shape = [
        ("skewness", plain_number(n["skewness"], 3)),
        ("excess kurtosis", plain_number(n["excess_kurtosis"], 3)),
        ("tail ratio", plain_number(n["tail_ratio"], 3)),
        ("mean of gains", percent(n["gain_mean"])),
        ("mean of losses", percent(n["loss_mean"])),
        ("stability (R²)", plain_number(n["stability"], 3)),
    ]
    lede = "Value at risk and expected shortfall are those of the realized returns, positive losses of one session."
    return section(
        "distribution",
        "Distribution",
        lede,
        Markup(inline(chart)),
        table(heads, rows, caption="Quantiles of returns"),
        grid(
            table(("worst<", "return>", "best<", "return>"), ends, caption="Worst and best sessions"),
            table(("level<", "value at risk>", "expected shortfall>"), tails, caption="Tail of one session"),
            table(("shape<", "value>"), shape),
        ),
    )


def falls(sheet: Sheet) -> Markup:
    """The worst drawdowns."""
    heads = ("depth>", "high<", "low<", "recovered<", "sessions>")
    found = drawdowns(sheet.labels, sheet.returns)[:DRAWDOWNS_SHOWN]
    rows = [(percent(d.depth), d.high, d.low, d.recovered or "not yet", d.sessions) for d in found]
    return section("drawdowns", "Worst drawdowns", "From a high to the next time it is reached.", table(heads, rows))


def _signed(value: float) -> Markup:
    return change(percent(value), value)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
