"""Sections of a tear sheet on where the result came from: parts of the profit, excess by sector, currency, factor, signal. Pure."""

import math
from collections.abc import Mapping

import numpy as np

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.compared import SPECIFIC
from marketbot_assets.audit.excess_models import FACTOR, cash_rates_told
from marketbot_assets.audit.factor_effects import FactorEffects
from marketbot_assets.audit.report_parts import Markup, change, grid, money, percent, plain_number, section, table
from marketbot_assets.research.details import PARTS
from marketbot_assets.research.tear_sheet import Sheet
from marketbot_assets.research.tear_sheet_trades import profit_parts

COSTS = ("fee", "tax")


def profit(sheet: Sheet) -> Markup:
    """Profit by part, by sector and by currency."""
    base, whole = sheet.base_currency, profit_parts(sheet)["book"]
    bars = [(part, whole[part] * (-1.0 if part in COSTS else 1.0)) for part in PARTS[:-1]]
    tables = []
    for column in ("sector", "currency"):
        rows = [*profit_parts(sheet, column).items(), ("book", whole)]
        told = [(name, *(_amount(parts, part) for part in PARTS)) for name, parts in rows]
        tables.append(
            table((f"{column}<", *(f"{part}>" for part in PARTS)), told, caption=f"By {column}, {base}", sums=1)
        )
    lede = (
        "Price at the rate before, fx at the price after, so that no cross term is left; trading is fills against the close; fees "
        "and taxes are subtracted. The rows add up to the last NAV less the first."
    )
    chart = Markup(inline(bar_chart(f"Profit by part, {base}", bars, unit=base)))
    return section("profit", "Where the profit came from", lede, chart, *tables)


def excess(sheet: Sheet) -> Markup:
    """The excess over the benchmark by sector and currency, in base currency, and by method."""
    if not sheet.sessions:
        return section("excess", "Excess over the benchmark", "No session could be compared.")
    heads = ("kind<", "name<", "allocation>", "selection>", "currency>", "total, Carino>", "total, Menchero>")
    columns = ("allocation", "selection", "currency")
    rows = [
        (row["kind"], row["name"], *(_blank(row[c]) for c in columns), _signed(row["total"]), _signed(row["menchero"]))
        for row in sheet.excess()
    ]
    sectors = [
        (row["name"], *(_blank(row[c]) for c in ("weight", "benchmark", "allocation", "hood", "selection", "interaction")),
         _signed(row["total"]))
        for row in sheet.sectors()
    ]  # fmt: skip
    names = ("sector<", "weight>", "benchmark>", "allocation>", "same, BHB>", "selection>", "interaction>", "total>")
    told_by = ("model and linking<", "allocation>", "selection>", "other>", "total>")
    methods = [
        (row["method"], *(_signed(row[c]) for c in ("allocation", "selection", "other", "total")))
        for row in sheet.methods()
    ]
    told = f"{len(sheet.sessions)} of {len(sheet.returns)} sessions could be compared"
    lede = (
        f"{told}; the last row is the excess over these and the rows add up to it. By market and currency: Karnosky and Singer, "
        f"{cash_rates_told(sheet.sessions)} Without one a market holds its local rate of cash and a currency its exchange rate "
        "alone. Linked over sessions after Carino and, beside it, Menchero."
    )
    return section(
        "excess",
        "Excess over the benchmark",
        lede,
        table(heads, rows, caption="By market and currency", sums=1),
        table(
            names, sectors, caption="By sector in base currency: Brinson-Fachler (BHB: Brinson-Hood-Beebower)", sums=1
        ),
        table(told_by, methods, caption="How much the method matters"),
    )


def factors(sheet: Sheet) -> Markup:
    """The excess by factor of the risk model."""
    rows = sheet.factors()
    if not rows:
        return section("factors", "Excess by factor", "No session's factors are known.")
    told = [
        (row["kind"], row["name"], _number(row["own"]), _number(row["active"]), _signed(row["total"])) for row in rows
    ]
    bars = [(str(row["name"]), _float(row["total"])) for row in rows[:-1]]
    moved = np.array([_float(row["total"]) for row in rows if row["kind"] == FACTOR])
    left = np.array([_float(row["total"]) for row in rows if row["name"] == SPECIFIC])
    share = FactorEffects(np.zeros(len(moved)), moved, left).unexplained
    lede = (
        "Active exposures of the session before times factor returns: regressions of the universe on its exposures, weighted by "
        "the root of market value, sectors summing to zero. The row specific is what factors leave of each name: "
        f"{percent(share, 0)} of the absolute effects. Linked after Carino."
    )
    heads = ("kind<", "name<", "own exposure>", "active exposure>", "effect>")
    chart = Markup(inline(bar_chart("Excess by factor", bars, unit="%")))
    return section("factors", "Excess by factor", lede, grid(chart, table(heads, told, sums=1)))


def signals(sheet: Sheet) -> Markup:
    """What each family of signals brought, where it was asked for."""
    if not sheet.signals:
        lede = "Not computed: it decides the range anew without each family. marketbot backtest A B --signals does."
        return section("signals", "What the signals brought", lede)
    total = math.fsum(share for share, _ in sheet.signals.values())
    rows = [(name, _signed(share), _signed(alone)) for name, (share, alone) in sorted(sheet.signals.items())]
    lede = (
        "Every set of signal families decided the whole range anew, with the model fitted on that set alone. A family's share is "
        "the mean over all orders of adding it (Shapley); the shares add up to the return with all less that with none. "
        "Beside it: the return with all less that without this one."
    )
    heads = ("family<", "share of the return>", "lost without it>")
    body = table(heads, [*rows, ("all less none", _signed(total), "")], sums=1)
    return section("signals", "What the signals brought", lede, body)


def _amount(parts: Mapping[str, float], part: str) -> object:
    digits = 2 if part == "residual" else 0
    return change(money(parts[part]), parts[part]) if part == "total" else money(parts[part], digits)


def _blank(value: object) -> str:
    number = _float(value)
    return percent(number, 3) if math.isfinite(number) else ""


def _number(value: object) -> str:
    number = _float(value)
    return plain_number(number, 3) if math.isfinite(number) else ""


def _signed(value: object) -> Markup:
    return change(percent(_float(value), 3), _float(value))


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
