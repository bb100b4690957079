"""Tables, targets and the picture of the backtest's benchmark. Not here: what is measured (`backtest`)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import table

HERE = Path(__file__).parent
FILE, PICTURE, RESULTS = HERE / "BACKTEST.md", HERE / "backtest-size.svg", HERE / "RESULTS.md"
OURS, PEER, AS_WRITTEN = "ours, in lots", "cvxportfolio", "cvxportfolio, as its examples"
CORE_TARGET = {20: 100.0, 500: 50.0}
NAV_TARGET, ANALYTICS_TARGET, WEIGHTS_TARGET, RATIOS_TARGET = 1e-6, 8.0, 1e-5, 1e-10
Row = Mapping[str, object]
Points = Sequence[tuple[float, float]]

HEAD = """# Backtest

Written by `python benchmarks/backtest.py`. One process per run, timed after a warm-up, medians of alternating rounds,
one thread each. Compare CPU: wall time is that of a shared machine. A busy machine slows those that allocate much
more than it slows ours, so ratios of a busy one flatter us.

**The task** (`backtest_task.py`): a seeded market, 20 and 500 names; every day a long-only mean-variance book is
chosen anew under a 20-factor risk model, caps on names and sectors, a cost of 10 bp of what is traded, and cash.
Everyone gets the same returns, forecasts, risk model, limits and costs.

**Three rows are ours, and they are three different things.** `ours` and `ours, in lots` are the array core: the
product's optimizer with its proof, rounding, every limit measured again, costs and book as plain arrays. That is
*less than a decision of the platform*. `run_days` is the decision itself, as live days and backtests make it:
features, factor model, forecasts, optimizer, whole lots, every control, the paper broker's fills. No peer does that
work; its ratio to cvxportfolio is told all the same, because it is the target. `bookkeeping` books given weights.
"""
WHY = """**Why cvxportfolio ends elsewhere.** Its `MarketSimulator` trades at the start of a day, takes costs from cash after
the trade and lets holdings earn the day's return; the optimizer's budget is before costs, so that cash may end a day
below zero by that day's cost. The array core keeps these conventions, so nothing is left but the solver: with the
objective per year, times a thousand and at a tolerance of 1e-10 (row `cvxportfolio`) the two agree as the table says.
As its examples write it (row `as its examples`: returns and risk per day, the solver's defaults) the objective is
near the solver's absolute tolerance, and NAV drifts off by what the table says. `ours, in lots` differs from `ours`
by the rounding alone. The platform's own convention is another one still: orders of a session fill on the next one,
at its open or close, with spread, fees, taxes and impact.

**Why bookkeepers end elsewhere.** vectorbt and bt report the value after a day's trade, ours before it, and neither
lends the cost of a trade: a book of 100 % is bought for 1 / 1.001 of it. zipline fills a day later and in whole
shares.
"""
LICENCES = """Peers live in environments of their own; the product imports none of them. cvxportfolio is under the GPL 3, vectorbt
under Apache 2.0 with the Commons Clause (no selling of it), skfolio and Riskfolio-Lib under BSD, bt under MIT,
zipline-reloaded, empyrical-reloaded and pyfolio-reloaded under Apache 2.0.
"""
GROWN = """The whole decision (`run_days`) in a synthetic world of two dollar exchanges, London and Tokyo, default limits. `world`
is the simulation of the market and its way into tables, `panel` what is laid out once. Decisions need calendars, which begin in
1998, and a year before the first; the world ends in June 2026: \"30 years\" are all that there are between. A day's windows (up to
1,010 sessions) are full from the fourth year on; after that ten more stress windows, 2000 to 2022, enter as they end."""


@dataclass(frozen=True)
class Growth:
    """A section of RESULTS.md and the picture that it shows."""

    text: str
    svg: str


def number(row: Row, name: str) -> float:
    return float(str(row.get(name, "nan")))


def shown(value: float) -> str:
    """Three digits; a dash for what is not known."""
    return f"{value:.3g}" if math.isfinite(value) else "-"


def of(rows: Sequence[Row], task: str) -> list[Row]:
    return [row for row in rows if row["task"] == task]


def told(rows: Sequence[Row], versions: Mapping[str, str]) -> str:
    """BACKTEST.md."""
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [
        HEAD, f"Peers: {named}.\n", LICENCES, "## Against the targets\n", targets(rows), "\n## Re-optimized daily\n",
        on_market(rows, "re-optimized daily", OURS), "\n" + WHY, "## Bookkeeping alone\n",
        on_market(rows, "bookkeeping", "bookkeeping"), "\n## The whole decision\n", decided(rows, "the whole decision"),
        "\n## Analytics, ten years\n", analysed(rows), "\n## Weights on problems that all can express\n", weighed(rows),
        "\nHow time and memory grow stands in `RESULTS.md`.\n",
    ]  # fmt: skip
    return "\n".join(parts)


def on_market(rows: Sequence[Row], task: str, base: str) -> str:
    own = {number(row, "names"): number(row, "cpu ms a day") for row in of(rows, task) if row["who"] == base}
    cells = []
    for row in of(rows, task):
        cpu = number(row, "cpu ms a day")
        cells.append(
            [
                f"{number(row, 'names'):.0f}", str(row["who"]), shown(cpu), shown(number(row, "wall ms a day")),
                shown(cpu / own.get(number(row, "names"), math.nan)), f"{number(row, 'days'):.0f}" if "days" in row else "-",
                shown(number(row, "nav apart")), shown(number(row, "nav apart at the end")),
                shown(number(row, "weights apart")), str(row.get("missing", "")),
            ]
        )  # fmt: skip
    head = (
        "names",
        "who",
        "CPU ms a day",
        "wall ms a day",
        "x ours",
        "days",
        "NAV apart",
        "at the end",
        "weights apart",
        "",
    )
    return table(head, cells)


def decided(rows: Sequence[Row], task: str) -> str:
    cells = [
        [
            f"{number(row, 'listings'):.0f}" if "listings" in row else str(row["asked"]), f"{number(row, 'sessions'):.0f}",
            shown(number(row, "cpu ms a day")), shown(number(row, "wall ms a day")),
            *(shown(number(row, name)) for name in ("world", "panel", "peak", "orders", "held")), str(row.get("missing", "")),
        ]
        for row in of(rows, task)
        if row["who"] == "run_days"
    ]  # fmt: skip
    head = (
        "listings", "sessions", "CPU ms a day", "wall ms a day", "world, CPU s", "panel, CPU s", "peak MiB", "orders", "held", "",
    )  # fmt: skip
    return table(head, cells)


def analysed(rows: Sequence[Row]) -> str:
    own = next((number(row, "cpu") for row in of(rows, "analytics") if row["who"] == "ours"), math.nan)
    cells = [
        [
            str(row["who"]), f"{number(row, 'portfolios'):.0f}", shown(number(row, "measures")), shown(number(row, "cpu")),
            shown(number(row, "wall")), shown(number(row, "cpu") / own), shown(number(row, "error")), str(row.get("missing", "")),
        ]
        for row in of(rows, "analytics")
    ]  # fmt: skip
    return table(("who", "portfolios", "measures", "CPU s", "wall s", "x ours", "largest error", ""), cells)


def weighed(rows: Sequence[Row]) -> str:
    kinds = ("minimum variance", "utility", "risk parity")
    cells = [
        [f"{number(row, 'names'):.0f}", str(row["who"]), *(shown(number(row, kind)) for kind in kinds), str(row.get("missing", ""))]
        for row in of(rows, "weights")
        if row["who"] != "ours"
    ]  # fmt: skip
    return table(("names", "peer", *(f"{kind}: largest difference" for kind in kinds), ""), cells)


def targets(rows: Sequence[Row]) -> str:
    """Each target of the specification, what was measured, and whether it was met."""
    daily, cells = of(rows, "re-optimized daily"), []

    def judged(what: str, value: float, target: float, text: str, *, least: bool) -> None:
        limit = f"{'>=' if least else '<='} {target:g}"
        if not math.isfinite(value):
            cells.append([what, "-", limit, "not measured"])
            return
        cells.append([what, text, limit, "met" if (value >= target if least else value <= target) else "missed"])

    whole = {number(row, "listings"): number(row, "cpu ms a day") for row in of(rows, "the whole decision")}
    for n, target in CORE_TARGET.items():
        by = {str(row["who"]): row for row in daily if number(row, "names") == n}
        ours = number(by.get(OURS, {}), "cpu ms a day")
        for peer in (PEER, AS_WRITTEN):
            times = number(by.get(peer, {}), "cpu ms a day") / ours
            judged(f"array core against {peer}, {n} names", times, target, f"{shown(times)} x", least=True)
        listings = min((size for size in whole if size >= n), default=math.nan)
        times = number(by.get(PEER, {}), "cpu ms a day") / whole.get(listings, math.nan)
        text = f"{shown(times)} x at {listings:.0f} listings"
        judged(f"whole decision against {PEER}, {n} names", times, target, text, least=True)
        for name in ("clarabel", "clarabel, in lots", PEER):
            apart = number(by.get(name, {}), "nav apart")
            judged(f"NAV apart from {name}, {n} names", apart, NAV_TARGET, shown(apart), least=False)
    by = {str(row["who"]): row for row in of(rows, "analytics")}
    times = number(by.get("empyrical", {}), "cpu") / number(by.get("ours", {}), "cpu")
    judged("analytics against empyrical", times, ANALYTICS_TARGET, f"{shown(times)} x", least=True)
    error = number(by.get("empyrical", {}), "error")
    judged("measures apart from empyrical's", error, RATIOS_TARGET, shown(error), least=False)
    kinds = ("minimum variance", "utility", "risk parity")
    known = [number(row, kind) for row in of(rows, "weights") for kind in kinds if kind in row]
    worst = max(known, default=math.nan)
    judged("weights apart from skfolio's and Riskfolio-Lib's", worst, WEIGHTS_TARGET, shown(worst), least=False)
    return table(("target", "measured", "limit", "outcome"), cells)


def growth(rows: Sequence[Row]) -> Growth:
    """How time and memory grow, as a section and a picture."""
    core, whole = ([row for row in of(rows, "size") if row["who"] == who] for who in ("array core", "run_days"))
    text = "\n".join(
        [
            "Written by `python benchmarks/backtest.py`; what the rows are stands in `BACKTEST.md`. A year has 252 sessions.",
            "",
            "The array core (optimizer, lots, limits, costs, book); all of the market's files are mapped and count as memory:",
            "",
            grown_core(core),
            "",
            GROWN,
            "",
            grown_decisions(whole),
            "",
            beyond(whole),
            "",
            f"![time and memory]({PICTURE.name})",
        ]
    )
    panels: list[tuple[str, Mapping[str, Points]]] = []
    for title, some, who in (("array core", core, "names"), ("the whole decision", whole, "asked")):
        for figure, unit in (("cpu", "CPU seconds"), ("peak", "peak MiB")):
            panels.append((f"{title}: {unit}", lines_of(some, who, figure)))
    return Growth(text, picture(panels))


def grown_core(rows: Sequence[Row]) -> str:
    cells = [
        [
            f"{number(row, 'names'):.0f}", f"{number(row, 'years'):.0f}", shown(number(row, "cpu")), shown(_daily(row)),
            shown(number(row, "peak")), shown(_data(row)), str(row.get("missing", "")),
        ]
        for row in rows
    ]  # fmt: skip
    head = ("names", "years", "CPU s", "CPU ms a day", "peak MiB", "of it the market's files, MiB", "")
    return table(head, cells)


def grown_decisions(rows: Sequence[Row]) -> str:
    """Every size of the whole decision: what a day costs in the run's years, what is made once, memory."""
    head = (
        "listings", "years", "sessions", "CPU ms a day", "in the first year", "in the fifth", "in the last", "CPU s",
        "world, CPU s", "panel, CPU s", "bars, M", "MiB before the first day", "peak MiB", "orders", "",
    )  # fmt: skip
    cells = []
    for row in sorted(rows, key=lambda row: (number(row, "asked"), _years(row))):
        said = row.get("ms by year")
        each = [float(str(x)) for x in said] if isinstance(said, list) else []
        some = [each[0], each[4] if len(each) > 4 else math.nan, each[-1]] if each else [math.nan] * 3
        cells.append(
            [
                f"{number(row, 'asked'):.0f}", f"{_years(row):.{2 if _years(row) < 1 else 3}g}", rounded(number(row, "days")),
                *(unrounded(x) for x in (number(row, "cpu ms a day"), *some)),
                *(shown(number(row, name)) for name in ("cpu", "world", "panel")), shown(number(row, "bars") / 1e6),
                *(rounded(number(row, name)) for name in ("laid out", "peak", "orders")), str(row.get("missing", "")),
            ]
        )  # fmt: skip
    return table(head, cells)


def beyond(rows: Sequence[Row]) -> str:
    """What so many listings over all years would take, from the largest run: memory per bar, time per day."""
    known = sorted((row for row in rows if "bars" in row), key=lambda row: number(row, "bars"))
    days = max((number(row, "days") for row in known), default=math.nan)
    large = [row for row in known if number(row, "asked") == LARGEST]
    if len(known) < 2 or not large or not days > YEAR * LONG:
        return "What is not in the table was not measured."
    small, big = known[0], known[-1]
    per_bar = (number(big, "peak") - number(small, "peak")) / (number(big, "bars") - number(small, "bars"))
    longest = max(known, key=lambda row: number(row, "days"))
    bars = number(longest, "bars") / number(longest, "asked") * LARGEST
    memory = (number(small, "peak") + per_bar * bars) / 1024
    hours = days * number(large[-1], "cpu ms a day") / 3.6e6
    return (
        f"Not run: {LARGEST:,} listings over all years. By the largest runs it would take {memory:.0f} GiB "
        f"({per_bar * 2**20:.0f} bytes per bar, {bars / 1e6:.0f} M bars) and {hours:.0f} hours of one core."
    )


def unrounded(value: float) -> str:
    """Three digits, and all digits before the point."""
    return rounded(value) if value >= 100.0 else shown(value)


def rounded(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def lines_of(rows: Sequence[Row], who: str, figure: str) -> dict[str, Points]:
    """One line per number of names over the years; a run of less than a year is no point."""
    good = [row for row in rows if "missing" not in row and number(row, "days") >= YEAR]
    return {
        f"{n:.0f} names": [(_years(row), number(row, figure)) for row in good if number(row, who) == n]
        for n in sorted({number(row, who) for row in good})
    }


def _years(row: Row) -> float:
    """Years as run: as asked, or less where the calendars hold no more."""
    return min(number(row, "years"), number(row, "days") / YEAR) if "days" in row else number(row, "years")


def _daily(row: Row) -> float:
    return 1e3 * number(row, "cpu") / number(row, "days")


def _data(row: Row) -> float:
    """Returns, forecasts and prices in 64 bits."""
    return 3.0 * 8.0 * number(row, "names") * number(row, "days") / 2**20


LARGEST, LONG, YEAR = 3000, 25, 252
COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#7a5195")
WIDE, HIGH, LEFT, TOP, GAP, BELOW, ACROSS = 300, 220, 60, 30, 90, 90, 2


def picture(panels: Sequence[tuple[str, Mapping[str, Points]]]) -> str:
    """Panels in rows of ACROSS, both axes logarithmic, one line per name; x is years."""
    height = -(-len(panels) // ACROSS) * (HIGH + BELOW)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{ACROSS * (WIDE + GAP) + 40}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (title, lines) in enumerate(panels):
        down, across = divmod(place, ACROSS)
        parts += panel(title, lines, LEFT + across * (WIDE + GAP), TOP + down * (HIGH + BELOW))
    return "\n".join([*parts, "</svg>", ""])


def years(count: float) -> str:
    return f"{count:g} year{'s' if count > 1 else ''}"


def panel(title: str, lines: Mapping[str, Points], left: float, top: float) -> list[str]:
    """One panel with decades as grid; a line of one point is a dot."""
    every = [point for points in lines.values() for point in points if point[1] > 0.0]
    if not every:
        return []
    x0, x1 = math.log10(min(x for x, _ in every)), math.log10(max(x for x, _ in every))
    y0, y1 = math.floor(math.log10(min(y for _, y in every))), math.ceil(math.log10(max(y for _, y in every)))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x0) / max(x1 - x0, 1e-9)
        up = (math.log10(y) - y0) / max(y1 - y0, 1)
        return left + WIDE * across, top + HIGH * (1.0 - up)

    parts = [f'<text x="{left}" y="{top - 12}" font-weight="bold">{title}</text>']
    for power in range(y0, y1 + 1):
        y = at(10.0**x0, 10.0**power)[1]
        parts.append(f'<line x1="{left}" x2="{left + WIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for x in sorted({round(x) for x, _ in every}):
        parts.append(f'<text x="{at(x, 10.0**y0)[0]:.1f}" y="{top + HIGH + 16}" text-anchor="middle">{years(x)}</text>')
    for number_of, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number_of % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points if point[1] > 0.0))
        if len(points) == 1:
            across, up = at(*points[0])
            parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 90 * number_of}" y="{top + HIGH + 40}" fill="{colour}">{name}</text>')
    return parts
