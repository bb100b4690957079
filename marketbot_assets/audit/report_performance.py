"""The performance of a period as one self-contained page without scripts. Pure. Not here: the numbers (`performance`)."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from marketbot_assets.audit.charts import bar_chart, inline, line_chart
from marketbot_assets.audit.performance import FLOWS, Performance
from marketbot_assets.audit.report_evidence import code
from marketbot_assets.audit.report_facts import named_by
from marketbot_assets.audit.report_parts import (
    NOT_KNOWN,
    Markup,
    badge,
    bullets,
    change,
    grid,
    joined,
    money,
    percent,
    plain_number,
    section,
    table,
    tag,
    tile,
)
from marketbot_assets.audit.report_style import STYLE
from marketbot_assets.audit.schema import COSTS, CURRENCY, INSTRUMENT, PARTS, SECTOR

NAMES_SHOWN = 8
TITLES = {INSTRUMENT: "name", SECTOR: "sector", CURRENCY: "currency"}
Named = Callable[[object], str]


def performance_page(found: Performance, view: Mapping[str, object], tickers: Mapping[str, str]) -> str:
    """The page. `view`: the numbers as the command gives them, whose hash the page shows; `tickers`: instrument -> ticker."""
    base = str(view["base_currency"])
    ledger = view["ledger"]
    assert isinstance(ledger, Mapping)
    told = {name: value for name, value in view.items() if name != "path"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    banner = tag(
        "p", tag("b", "Partly simulated data"), ": no evidence of what a strategy would have earned.", css="banner"
    )
    body = [
        tag("header", tag("div", tag("div", "marketbot performance", css="eyebrow"),
                          tag("h1", f"{found.first} to {found.last}"),
                          tag("div", f"{found.environment} account, {base}, {len(found.returns)} sessions; first session of the "
                              f"book {view['inception'] or NOT_KNOWN}, opened {view['opened'] or NOT_KNOWN}", css="soft"))),
        banner if found.synthetic else "",
        _tiles(found, base),
        _returns(found),
        _months(found, base),
        _drawdowns(found),
        _sources(found, base, tickers),
        _excess(found),
        _effects(found),
        _trading(found, base),
        _exposures(view, tickers),
        _restated(view["restated"]),
        section("unknown", "What this page does not know", "Read this before drawing conclusions.", bullets(found.notes)),
        section("evidence", "Evidence", "Every number is made of stored tables, which `marketbot verify` checks.",
                table(("what<", "hash"), [("numbers of this page", code(digest)),
                                          (f"ledger of {ledger['size']} entries, root", code(str(ledger["root"])))])),
        tag("footer", "Amounts are in ", base, ". No investment advice. Trading can lose money."),
    ]  # fmt: skip
    title = f"marketbot performance {found.first} to {found.last}"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def _tiles(found: Performance, base: str) -> Markup:
    n = found.numbers
    ratio = f"standard error {plain_number(n['sharpe_error'], 3)}"
    down = f"standard error {plain_number(n['sortino_error'], 3)}"
    return tag(
        "div",
        tile(
            "Time-weighted return",
            _signed(n["time_weighted_return"]),
            f"per year {percent(n['time_weighted_per_year'])}; before fees and taxes {percent(n['time_weighted_gross'])}",
        ),
        tile(
            "Money-weighted return", _signed(n["money_weighted_return"]), "of the period, what the owner's money earned"
        ),
        tile("Profit and loss", change(money(n["profit"]), n["profit"]), f"{base}; flows {money(n['flows'])}"),
        tile(
            "Volatility, per year",
            percent(n["volatility"]),
            f"{plain_number(n['sessions'])} sessions; of 36 months {percent(n['volatility_36_months'])}",
        ),
        tile("Sharpe", plain_number(n["sharpe"], 3), ratio),
        tile("Sortino", plain_number(n["sortino"], 3), down),
        tile("Deepest drawdown", percent(n["drawdown_max"]), "from a high within the period"),
        tile("Benchmark", _signed(n["benchmark_return"]), f"difference {percent(n['tracking_difference'])}"),
        tile(
            "Tracking error, per year",
            percent(n["tracking_error"]),
            f"{plain_number(n['benchmark_sessions'])} sessions compared",
        ),
        tile(
            "Hit rate", percent(n["hit_rate_sessions"], 0), f"of sessions; of names {percent(n['hit_rate_names'], 0)}"
        ),
        tile("Turnover, one way", percent(n["turnover"]), f"of NAV; per year {percent(n['turnover_per_year'], 0)}"),
        tile("Cost of fills", money(n["trading_cost"], 2), f"{base}, slippage, fees and taxes"),
        css="tiles",
    )


def _signed(value: float) -> Markup:
    return change(percent(value), value)


def _returns(found: Performance) -> Markup:
    book = np.concatenate([[0.0], np.cumprod(1.0 + np.array(found.returns)) - 1.0])
    moves = np.array(found.benchmark)
    known = np.where(np.isfinite(moves), moves, 0.0)
    theirs = np.concatenate([[0.0], np.cumprod(1.0 + known) - 1.0])
    series: list[tuple[str, Sequence[float]]] = [("book", book.tolist())]
    if np.isfinite(moves).any():
        series.append(("benchmark", theirs.tolist()))
    high = np.maximum.accumulate(1.0 + book)
    fall = (1.0 - (1.0 + book) / high).tolist()
    labels = list(found.sessions)
    lede = "Linked over sessions, cash flows taken out. A session whose benchmark is not known leaves its line flat."
    return section(
        "returns",
        "Return and drawdown",
        lede,
        grid(
            Markup(inline(line_chart("Time-weighted return since the start", labels, series, unit="%"))),
            Markup(inline(line_chart("Drawdown", labels, [("drawdown", fall)], unit="%", invert=True))),
        ),
    )


def _months(found: Performance, base: str) -> Markup:
    heads = (
        "month<",
        "sessions>",
        "return>",
        "benchmark>",
        f"profit, {base}>",
        f"flows, {base}>",
        f"NAV at the end, {base}>",
    )
    rows = [
        (row["month"], row["sessions"], _signed(_float(row["return"])), percent(_float(row["benchmark"])),
         change(money(_float(row["profit"]), 2), _float(row["profit"])), *(money(_float(row[n]), 2) for n in ("flows", "nav")))
        for row in found.months
    ]  # fmt: skip
    return section("months", "Months", "A month at either end may be part of one.", table(heads, rows, sums=0))


def _drawdowns(found: Performance) -> Markup:
    heads = ("depth>", "high<", "low<", "recovered<", "sessions>")
    rows = [(percent(d.depth), d.high, d.low, d.recovered or "not yet", d.sessions) for d in found.drawdowns]
    return section(
        "drawdowns",
        "Drawdowns",
        "The deepest falls from a high, with the sessions from high to recovery.",
        table(heads, rows),
    )


def _sources(found: Performance, base: str, tickers: Mapping[str, str]) -> Markup:
    lede = (
        "Adds up to the profit: price at the rate before, fx at the price after; fees and taxes are positive and subtracted; "
        "residual is rounding, interest and whatever the parts do not explain."
    )
    names = [row for row in found.by[INSTRUMENT] if row["name"] != FLOWS]
    chart = [(name, found.parts[name] * (-1.0 if name in COSTS else 1.0)) for name in (*PARTS, *COSTS)]
    bars = [Markup(inline(bar_chart(f"Profit by part, {base}", chart, unit=base)))]
    ends = names if len(names) <= 2 * NAMES_SHOWN else [*names[:NAMES_SHOWN], *names[-NAMES_SHOWN:]]
    shown = [(str(tickers.get(str(row["name"]), row["name"])), _float(row["total"])) for row in ends]
    bars.append(Markup(inline(bar_chart(f"Names that earned and lost most, {base}", shown, unit=base))))
    blocks = []
    whole = {"name": "book", **found.parts}
    for dimension in (SECTOR, CURRENCY, INSTRUMENT):
        rows = [*found.by[dimension], whole] if dimension != INSTRUMENT else found.by[dimension]
        told = [_parts_row(row, tickers) for row in rows]
        heads = (f"{TITLES[dimension]}<", *(f"{part}>" for part in (*PARTS, *COSTS)), "total>")
        block = table(heads, told, caption=f"By {TITLES[dimension]}, {base}", sums=0 if dimension == INSTRUMENT else 1)
        blocks.append(block)
    return section("sources", "Where it came from", lede, grid(*bars), *blocks)


def _excess(found: Performance) -> Markup:
    lede = (
        "Return of the book less that of the benchmark. Allocation: a sector weighed otherwise; selection: other names within "
        "it; both after Brinson and Fachler, linked over sessions after Carino. The rows add up to the last one."
    )
    heads = ("sector<", "weight>", "benchmark>", "allocation>", "selection>", "total>")
    columns = ("weight", "benchmark_weight", "allocation", "selection")
    rows = [
        (row["name"], *(percent(_float(row[c])) for c in columns), _signed(_float(row["total"])))
        for row in found.excess
    ]
    body = table(heads, rows, sums=1) if rows else tag("p", "No session could be compared.")
    return section("excess", "Excess over the benchmark", lede, body)


def _effects(found: Performance) -> Markup:
    """The excess by market and currency, by factor, and by method."""
    if not found.markets:
        return section("effects", "Excess by market, currency and factor", "No session could be compared.")
    columns = ("allocation", "selection", "currency")
    markets = [
        (row["kind"], row["name"], *(_effect(row[c]) for c in columns), *(_signed(_float(row[c])) for c in ("total", "menchero")))
        for row in found.markets
    ]  # fmt: skip
    factors = [
        (row["kind"], row["name"], *(_exposure(row[c]) for c in ("own", "active")), _signed(_float(row["total"])))
        for row in found.factors
    ]
    methods = [
        (row["method"], *(_signed(_float(row[c])) for c in ("allocation", "selection", "other", "total")))
        for row in found.methods
    ]
    lede = (
        "After Karnosky and Singer, with the cash rates that the notes name; factors are active exposures of the session before "
        "times factor returns. Linked over sessions after Carino and, beside it, Menchero. Rows add up to the last of their table."
    )
    heads = ("kind<", "name<", "allocation>", "selection>", "currency>", "total, Carino>", "total, Menchero>")
    names = ("kind<", "name<", "own exposure>", "active exposure>", "effect>")
    told_by = ("model and linking<", "allocation>", "selection>", "other>", "total>")
    return section(
        "effects",
        "Excess by market, currency and factor",
        lede,
        table(heads, markets, caption="By market and currency", sums=1),
        table(names, factors, caption="By factor", sums=1),
        table(told_by, methods, caption="How much the method matters"),
    )


def _effect(value: object) -> str:
    return percent(_float(value), 3) if math.isfinite(_float(value)) else ""


def _exposure(value: object) -> str:
    return plain_number(_float(value), 3) if math.isfinite(_float(value)) else ""


def _parts_row(row: Mapping[str, object], tickers: Mapping[str, str]) -> tuple[object, ...]:
    parts = (money(_float(row[part]), 2 if part == "residual" else 0) for part in (*PARTS, *COSTS))
    total = _float(row["total"])
    return (tickers.get(str(row["name"]), str(row["name"])), *parts, change(money(total, 2), total))


def _trading(found: Performance, base: str) -> Markup:
    n = found.numbers
    rows = [
        (f"fees, {base}", money(n["fees"], 2)),
        (f"taxes, {base}", money(n["taxes"], 2)),
        (f"cost of fills with slippage, {base}", money(n["trading_cost"], 2)),
        ("turnover, one way, fraction of NAV", percent(n["turnover"])),
        (f"profit that no attribution explains, {base}", money(n["unattributed"], 2)),
    ]
    lede = "Slippage is against the decision's price: it holds what the market did over night, both ways."
    return section("costs", "Turnover and costs", lede, table(("what<", "value>"), rows))


def _exposures(view: Mapping[str, object], tickers: Mapping[str, str]) -> Markup:
    found = view["exposures"]
    assert isinstance(found, Sequence)
    rows = [
        (row["control"], row["name"], named_by(tickers)(str(row["key"]).partition("|")[2]), badge(str(row["status"])),
         plain_number(_float(row["observed"])), plain_number(_float(row["limit"])), row["unit"], percent(_float(row["used"]), 0))
        for row in found
    ]  # fmt: skip
    heads = ("control<", "what", "of", "status<", "observed>", "limit>", "unit", "used>")
    return section(
        "limits",
        "Exposures against limits",
        "The limits used most, as the last session's verdict saw them.",
        table(heads, rows),
    )


def _restated(rows: object) -> Markup:
    """What reports of the period told otherwise at first."""
    assert isinstance(rows, Sequence)
    if not rows:
        return section("restated", "Restatements", "No report of these sessions was stored with other numbers later.")
    told = [
        (row["session"], row["number"], str(row["old"]), str(row["new"]), row["reason"],
         NOT_KNOWN if row["entry"] is None else plain_number(row["entry"]))
        for row in rows
    ]  # fmt: skip
    heads = ("session<", "number<", "old>", "new>", "reason<", "entry of the ledger>")
    lede = "A report that is made again and tells other numbers is stored beside the one before."
    return section("restated", "Restatements", lede, table(heads, told))


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
