"""A backtest's report as one self-contained page: no scripts, no fonts or pictures from elsewhere. Pure.

Its first line says whether the result went through the tests against overfitting. Not here: the numbers (`tear_sheet`), the
sections (`tear_sheet_returns`, `tear_sheet_book`, `tear_sheet_excess`), where the facts come from (`commands.backtest`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marketbot_assets.audit.report_evidence import code
from marketbot_assets.audit.report_parts import (
    NOT_KNOWN,
    Markup,
    bullets,
    change,
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
from marketbot_assets.research.tear_sheet import Sheet
from marketbot_assets.research.tear_sheet_book import (
    controls,
    exposures,
    holdings,
    room,
    trading,
    trips,
    used_limits,
)
from marketbot_assets.research.tear_sheet_excess import excess, factors, profit, signals
from marketbot_assets.research.tear_sheet_returns import calendar, distribution, falls, growth, rolled
from marketbot_assets.research.tested import Told
from marketbot_assets.research.tested_parts import table_of_tests, verdict

NAVIGATION = (
    ("returns", "Returns"), ("calendar", "Months"), ("rolling", "Rolling"), ("distribution", "Distribution"),
    ("drawdowns", "Drawdowns"), ("positions", "Positions"), ("exposures", "Exposures"), ("trading", "Costs"),
    ("trips", "Round trips"), ("capacity", "Capacity"), ("profit", "Profit"), ("excess", "Excess"), ("factors", "Factors"),
    ("signals", "Signals"), ("limits", "Limits"), ("controls", "Controls"), ("tested", "Tests"), ("evidence", "Evidence"),
    ("unknown", "Not known"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    """Where a backtest came from. `first_line`: whether it was tested against overfitting, as `research.tested` says it;
    `hashes`: (what, hash), shown whole; `trials`: how many specifications were ever tried here; `names`: instrument -> ticker;
    `controls`: id -> what it limits; `ended`: why it stopped before the end, empty when it did not; `described_later`: how many
    listings became known after the first session.
    """

    first_line: str
    mandate: str
    synthetic: bool
    llm: str
    volatility_target: float
    participation: float
    trials: int
    hashes: Sequence[tuple[str, str]]
    names: Mapping[str, str]
    controls: Mapping[str, str] = field(default_factory=dict)
    ended: str = ""
    described_later: int = 0


def tear_sheet_page(sheet: Sheet, about: About, tested: Sequence[Told] = ()) -> str:
    """The page. `tested`: rows of test, value, rule, and whether it passed (None: not tested); empty: none was made."""
    first, last = sheet.labels[0], sheet.labels[-1]
    body = [
        verdict(about.first_line, tested),
        _banner(about),
        tag("header", tag("div", tag("div", "marketbot backtest", css="eyebrow"), tag("h1", f"{first} to {last}"),
                          tag("div", f"{about.mandate}; {sheet.base_currency}, {len(sheet.labels)} sessions, from cash, filled by "
                              "the paper broker's rules", css="soft"))),
        Markup("<nav>" + joined(Markup(f'<a href="#{key}">{name}</a>') for key, name in NAVIGATION) + "</nav>"),
        _tiles(sheet),
        growth(sheet),
        calendar(sheet),
        rolled(sheet, about.volatility_target),
        distribution(sheet),
        falls(sheet),
        holdings(sheet, about.names),
        exposures(sheet),
        trading(sheet),
        trips(sheet, about.names),
        room(sheet, about.participation),
        profit(sheet),
        excess(sheet),
        factors(sheet),
        signals(sheet),
        used_limits(sheet, about.names, about.controls),
        controls(sheet, about.controls),
        _tests(tested, about),
        section("evidence", "Evidence", "What this page was made of; marketbot verify recomputes the hashes of what is stored.",
                table(("what", "hash~"), [(what, code(value)) for what, value in about.hashes])),
        section("unknown", "What this page does not know", "Read this before drawing conclusions.", bullets(_notes(sheet, about))),
        tag("footer", "Amounts are in ", sheet.base_currency, ". No investment advice. Trading can lose money."),
    ]  # fmt: skip
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>marketbot backtest {first} to {last}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def _banner(about: About) -> Markup:
    lines = []
    if about.synthetic:
        lines.append(
            tag("p", tag("b", "Partly simulated data and survivors"), ": no evidence of returns.", css="banner")
        )
    if about.described_later:
        why = "their provider described them only after the first session; until then they are absent, so the choice is biased."
        lines.append(tag("p", tag("b", f"{about.described_later} listings"), f": {why}", css="banner bad"))
    if about.ended:
        lines.append(tag("p", tag("b", "Stopped early"), f": {about.ended}", css="banner bad"))
    return joined(lines)


def _tiles(sheet: Sheet) -> Markup:
    n, base = sheet.numbers, sheet.base_currency
    ratio = plain_number(n["information_ratio"], 3)
    return tag(
        "div",
        tile("Return", _signed(n["total_return"]), f"per year {percent(n['return_per_year'])}"),
        tile("Benchmark", _signed(n["benchmark_return"]), f"excess {percent(n['excess'])}"),
        tile("NAV at the end", money(n["nav_last"]), f"{base}, from {money(n['nav_first'])}"),
        tile("Volatility, per year", percent(n["volatility"]), f"{plain_number(n['sessions'])} sessions"),
        tile("Sharpe", plain_number(n["sharpe"], 3), f"standard error {plain_number(n['sharpe_error'], 3)}"),
        tile("Sortino", plain_number(n["sortino"], 3), f"standard error {plain_number(n['sortino_error'], 3)}"),
        tile("Deepest drawdown", percent(n["drawdown_max"]), f"Calmar {plain_number(n['calmar'], 3)}"),
        tile("Beta", plain_number(n["beta"], 3), f"alpha per year {percent(n['alpha'])}"),
        tile("Tracking error, per year", percent(n["tracking_error"]), f"information ratio {ratio}"),
        tile("Capture", percent(n["up_capture"], 0), f"of rises; of falls {percent(n['down_capture'], 0)}"),
        tile("Hit rate", percent(n["hit_rate"], 0), f"of sessions; omega {plain_number(n['omega'], 3)}"),
        tile("Invested", percent(n["invested"], 0), f"on average, {plain_number(n['names'], 3)} names"),
        tile("Turnover, one way", percent(n["turnover_per_year"], 0), "of NAV per year"),
        tile("Fees and taxes", money(n["costs_base"]), f"{base}; spread and impact are in the prices"),
        tile("Verdicts", f"{plain_number(n['approved'])} approved", f"of {len(sheet.labels)}; {int(n['stops'])} stops hit"),
        css="tiles",
    )  # fmt: skip


def _tests(tested: Sequence[Told], about: About) -> Markup:
    many = "s of a backtest were" if about.trials != 1 else " of a backtest was"
    tried = f"{about.trials} specification{many} ever tried in this home"
    lede = f"{tried}: the best of many looks good by chance. Every run counts, also of an older mandate."
    if not tested:
        words = "None was made of this result. marketbot backtest A B --tests makes them."
        return section("tested", "Tests against overfitting", lede, tag("p", words))
    return section("tested", "Tests against overfitting", lede, table_of_tests(tested))


def _notes(sheet: Sheet, about: About) -> list[str]:
    n = sheet.numbers
    lines = [
        "Fills follow a model of spread and impact on daily bars: no evidence that real orders would have filled so.",
        "Sharpe and Sortino take no rate of cash off, and the book's cash earns nothing.",
        "Errors of the ratios take returns as independent.",
    ]
    if math.isnan(n["return_per_year"]):
        lines.append("Less than a year: no return per year is told; Calmar and alpha are blown up from what there is.")
    unknown = len(sheet.returns) - int(n["benchmark_sessions"])
    if unknown:
        lines.append(f"The benchmark's return of {unknown} sessions is not known; comparisons leave them out.")
    left = len(sheet.returns) - len(sheet.sessions)
    if left:
        lines.append(f"{left} sessions could not be attributed to sectors and currencies; the excess leaves them out.")
    if about.synthetic:
        lines.append("The universe is of names that lived to the end, and some of their prices are simulated.")
    if about.llm != "none":
        lines.append(f"The mandate names language models; the backtest was {about.llm}.")
    return lines


def _signed(value: float) -> Markup:
    return change(percent(value), value) if math.isfinite(value) else Markup(NOT_KNOWN)
