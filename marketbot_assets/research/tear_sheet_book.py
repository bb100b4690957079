"""Sections of a tear sheet on the book: positions, exposures, trading, round trips, capacity, limits, controls. Pure."""

import math
from collections.abc import Mapping

import numpy as np

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.report_parts import (
    Markup,
    change,
    grid,
    meter,
    money,
    percent,
    plain_number,
    section,
    table,
)
from marketbot_assets.research.outcomes import how_often
from marketbot_assets.research.tear_sheet import Sheet
from marketbot_assets.research.tear_sheet_charts import thinned
from marketbot_assets.research.tear_sheet_trades import (
    bound_limits,
    capacity,
    concentration,
    costs_by_kind,
    factors_over_time,
    limits,
    over_time,
    positions,
    prevented,
    round_trips,
    trip_numbers,
)
from marketbot_resources.model import SESSIONS_PER_YEAR

MONTH = 21
TRIPS_SHOWN, BOUND_SHOWN, SERIES_CHARS = 5, 15, 14
CLIENT_ID = "mb1-"  # how ids of orders begin


def holdings(sheet: Sheet, names: Mapping[str, str]) -> Markup:
    """What was held, how concentrated it was, and what each name earned."""
    labels, spread = sheet.labels, concentration(sheet)
    count = sheet.frame["names"].to_numpy(dtype=np.float64)
    charts = [
        thinned(
            "Largest weight and the ten largest, of NAV", labels, {k: spread[k] for k in ("ten largest", "largest")}
        ),
        thinned("Sum of squared weights (HHI)", labels, {"HHI": spread["HHI"]}, unit=""),
        thinned("Names held", labels, {"names": count}, unit=" "),
    ]
    base = sheet.base_currency
    heads = ("name<", "sector<", "currency<", "sessions>", "mean weight>", "largest>", "last>", f"profit, {base}>")
    rows = [
        (names.get(str(row["instrument"]), row["instrument"]), row["sector"], row["currency"], row["held"],
         *(percent(_float(row[c])) for c in ("mean", "largest", "last")), _money(_float(row["profit"])))
        for row in positions(sheet)
    ]  # fmt: skip
    lede = "Weights are of NAV at the end of a session. Profit is after fees and taxes, largest first, gains and losses alike."
    return section("positions", "Positions", lede, grid(*_drawn(charts)), table(heads, rows))


def exposures(sheet: Sheet) -> Markup:
    """Invested share, sectors, currencies and style factors over time."""
    invested = sheet.frame["invested"].to_numpy(dtype=np.float64)
    styles = factors_over_time(sheet)
    styles.pop("market", None)
    charts = [
        thinned("Invested, of NAV", sheet.labels, {"invested": invested}),
        thinned("Sectors, of NAV", sheet.labels, _short(over_time(sheet, "sector", 4))),
        thinned("Currencies of the shares, of NAV", sheet.labels, over_time(sheet, "currency", 5)),
        *([thinned("Style factors, deviations times weight", sheet.labels, styles, unit="")] if styles else []),
    ]
    multiple = sheet.frame["multiple"].to_numpy(dtype=np.float64)
    charts.append(thinned("Factor of the drawdown ladder", sheet.labels, {"multiple": multiple}, unit=""))
    lede = "Long only and without leverage: what is not invested is cash. Factor exposures are those of the risk model."
    return section("exposures", "Exposures over time", lede, grid(*_drawn(charts)))


def trading(sheet: Sheet) -> Markup:
    """Turnover over time and costs by kind, with the return without them."""
    base, n = sheet.base_currency, sheet.numbers
    turned = 0.5 * (sheet.frame["buys"] + sheet.frame["sells"]).to_numpy(dtype=np.float64)
    month = np.convolve(turned, np.ones(MONTH))[: len(turned)]
    costs = costs_by_kind(sheet)
    paid = costs["fees"] + costs["taxes"] + costs["spread and impact"]
    mean = float(sheet.nav.mean())
    years = len(sheet.returns) / SESSIONS_PER_YEAR
    told = [(name, value) for name, value in costs.items() if name != "delay"]
    rows = [(name, money(value, 2), percent(value / mean / years, 3)) for name, value in told]
    rows.append(("fees, taxes, spread and impact", money(paid, 2), percent(paid / mean / years, 3)))
    charts = [
        thinned(f"One-way turnover of the last {MONTH} sessions, of NAV", sheet.labels, {"turnover": month}),
        bar_chart(f"Costs by kind, {base}", told, unit=base),
    ]
    lede = (
        f"One-way turnover {percent(n['turnover'], 0)} of NAV, {percent(n['turnover_per_year'], 0)} per year. The move from the "
        f"decision's close to the auction took {money(costs['delay'], 2)} {base}: both ways, and no cost that was paid."
    )
    heads = ("kind<", f"{base}>", "of mean NAV, per year>")
    return section("trading", "Turnover and costs", lede, grid(*_drawn(charts)), table(heads, rows, sums=1))


def trips(sheet: Sheet, names: Mapping[str, str]) -> Markup:
    """Round trips: how many gained, how long they took, the best and the worst."""
    base, found = sheet.base_currency, round_trips(sheet)
    told = []
    for name, value in trip_numbers(found).items():
        shown = (
            money(value, 2) if name.startswith("mean ") and name.split()[1] in ("gain", "loss") else plain_number(value)
        )
        told.append((name, percent(value) if name in ("share that gained", "mean return") else shown))
    order = sorted(found, key=lambda trip: (-trip.gain, trip.instrument, trip.closed))
    ends = order if len(order) <= 2 * TRIPS_SHOWN else [*order[:TRIPS_SHOWN], *order[-TRIPS_SHOWN:]]
    rows = [
        (names.get(trip.instrument, trip.instrument), str(trip.opened.date()), str(trip.closed.date()), money(trip.paid),
         _money(trip.gain), percent(trip.fraction))
        for trip in ends
    ]  # fmt: skip
    heads = ("name<", "bought<", "sold<", f"paid, {base}>", f"gain, {base}>", "return>")
    lede = "Shares bought and sold again, first in first out, before fees, taxes and dividends. What is still held is not in it."
    first = table(("what<", "value>"), told)
    return section("trips", "Round trips", lede, grid(first, table(heads, rows, caption="Best and worst", sums=0)))


def room(sheet: Sheet, participation: float) -> Markup:
    """Capacity: days to exit and shares of the usual value traded."""
    rows = []
    for name, value in capacity(sheet, participation).items():
        shown = plain_number(value, 3) if name.startswith("days") else percent(value, 3)
        rows.append((name, f"{money(value)} {sheet.base_currency}" if name.startswith("NAV") else shown))
    lede = (
        f"Orders may be {percent(participation, 1)} of a day's usual value (RC-10), exits take the participation of RC-11. With "
        "NAV every order grows, and impact with the root of its share."
    )
    return section("capacity", "Capacity", lede, table(("what<", "value>"), rows))


def used_limits(sheet: Sheet, names: Mapping[str, str], controls: Mapping[str, str]) -> Markup:
    """Every limit: how much of it was used, and how often it bound the target. `controls`: id -> what it limits."""
    rows = [
        (row["control"], controls.get(str(row["control"]), ""), percent(_float(row["mean"]), 0), meter(_float(row["mean"])),
         percent(_float(row["largest"]), 0), _item(str(row["item"]), names), row["when"], row["near"], row["bound"])
        for row in limits(sheet)
    ]  # fmt: skip
    heads = ("control<", "limits<", "mean use>", "", "largest>", "of<", "on<", "above 90 %>", "bound>")
    found = bound_limits(sheet)[:BOUND_SHOWN]
    bound = [(row["control"], row["item"], row["sessions"]) for row in found]
    lede = (
        f"Use is of the verdict's limit, 100 % is at it; floors and counts are among them. The last columns count, of "
        f"{len(sheet.frame)} sessions, those with more than 90 %, and those in which the limit decided weights of the target."
    )
    second = table(("control<", "limit~", "sessions>"), bound, caption="Limits that bound the target")
    return section("limits", "Limits", lede, table(heads, rows), second)


def controls(sheet: Sheet, named: Mapping[str, str]) -> Markup:
    """What the controls said and what they kept from being sent. `named`: id -> what it limits."""
    spoke = [
        (row["control"], named.get(str(row["control"]), ""), row["warned"], row["shrank"], row["rejected"])
        for row in how_often(sheet.frame).to_dict("records")
    ]
    stopped = [
        (row["control"], row["sessions"], row["orders"], *(percent(_float(row[c])) for c in ("planned", "approved", "prevented")))
        for row in prevented(sheet)
    ]  # fmt: skip
    verdicts = sheet.frame["verdict"].value_counts()
    told = ", ".join(f"{int(verdicts[name])} {name}" for name in sorted(verdicts.index))
    lede = (
        f"Verdicts: {told}. Planned and approved are sums of order values over NAV. Most limits are constraints of the optimizer "
        "already and stop nothing here."
    )
    first = table(
        ("control<", "limits", "warned>", "made smaller>", "rejected>"),
        spoke,
        caption="Sessions in which a control spoke",
    )
    heads = ("control<", "sessions>", "orders>", "planned>", "approved>", "prevented>")
    second = table(heads, stopped, caption="Orders made smaller or not sent")
    return section("controls", "What the controls prevented", lede, grid(first, second))


def _item(item: str, names: Mapping[str, str]) -> str:
    """What an answer is about: the ticker of an instrument, one order of many for its id."""
    return "one order" if item.startswith(CLIENT_ID) else names.get(item, item)


def _drawn(charts: list[str]) -> list[Markup]:
    return [Markup(inline(chart)) for chart in charts]


def _short(series: Mapping[str, "np.ndarray"]) -> "dict[str, np.ndarray]":
    return {
        name if len(name) <= SERIES_CHARS else f"{name[: SERIES_CHARS - 1]}…": values for name, values in series.items()
    }


def _money(value: float) -> Markup:
    return change(money(value), value)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
