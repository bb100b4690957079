"""What the pages of the risk stage say, as plain texts: value at risk, parts of the risk, stresses, the record. Pure.

The same rows stand in the daily report (HTML) and on the asset pages (Markdown): a head that ends in `>` is a column of numbers,
in `<` one that does not wrap, in `~` one of long text. Not here: what may be sent (`risk_state`), how the numbers come about
(`risk.risk_report`, `risk.stress`), how they are drawn (`risk_charts`).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.audit.report_facts import Row, number, rows_of, total
from marketbot_assets.audit.report_parts import percent, plain_number
from marketbot_assets.audit.scenario_words import scenario_words
from marketbot_assets.book.schema import CASH, POSITION
from marketbot_assets.book.state import RiskDay
from marketbot_assets.risk.currency_risk import currency_risk
from marketbot_assets.risk.hypothetical import CURRENCY_SHOCK
from marketbot_assets.risk.schema import REVERSE, UNKNOWN
from marketbot_resources.mandate import Mandate

Named = Callable[[object], str]
METHODS = (
    ("historical", "historical"),
    ("filtered", "filtered historical (Hull and White)"),
    ("normal", "normal"),
    ("cornish-fisher", "Cornish-Fisher"),
)
LEVELS = ("0.95", "0.975", "0.99")
SPECIFIC, NOTHING = "specific", 5e-4
REST = "all other parts"
_PART = re.compile(r"(.+?) (-?\d+\.\d+)(?:, |$)")


@dataclass(frozen=True, slots=True)
class Table:
    """Heads and rows of one table; `why`: what it says when it holds no row."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    why: str = ""
    note: str = ""


def missing(report: pd.DataFrame, kind: str) -> str:
    """Why the numbers of a kind are not there; empty when they are."""
    told = [str(row["text"]) for row in rows_of(report) if row["kind"] == kind and row["key"] == ""]
    there = any(row["kind"] == kind for row in rows_of(report))
    return told[0] if told else "" if there else "not measured in this session"


def value_of(report: pd.DataFrame, kind: str, key: str) -> float:
    """A number of RISK_REPORT; NaN when it is not there."""
    return next((number(r["value"]) for r in rows_of(report) if r["kind"] == kind and r["key"] == key), math.nan)


def text_of(report: pd.DataFrame, kind: str, key: str) -> str:
    """The words beside a number of RISK_REPORT; empty when it is not there."""
    return next((str(r["text"]) for r in rows_of(report) if r["kind"] == kind and r["key"] == key), "")


def tails(report: pd.DataFrame) -> Table:
    """Value at risk and expected shortfall of one session by method and level; why a number is missing stands beside it."""
    why, rows = missing(report, "VAR"), []
    for kind, name in (("VAR", "value at risk"), ("ES", "expected shortfall")):
        for method, told in METHODS:
            values = [percent(value_of(report, kind, f"{method} {level}")) for level in LEVELS]
            note = text_of(report, kind, f"{method} {LEVELS[-1]}")
            if kind == "ES" and method == "cornish-fisher":
                note = "not measured: the map gives quantiles, no mean beyond them"
            rows.append((name, told, *values, note))
    heads = ("measure", "method", "95 %>", "97.5 %>", "99 %>", "note~")
    caption = "Loss of one session that is exceeded with a probability of 5, 2.5 and 1 %, and the mean beyond it"
    return Table(heads, () if why else tuple(rows), caption, why)


def parts_of(report: pd.DataFrame, kind: str) -> list[Row]:
    """Parts of the volatility of one kind (NAME, CURRENCY, FACTOR), largest share first; unknown ones before all.

    Names and factors that would show as 0.0 % are left out.
    """
    least = 0.0 if kind == "CURRENCY" else NOTHING
    rows = [row for row in rows_of(report) if row["kind"] == kind and row["key"] != ""]
    return sorted(
        (row for row in rows if _size(number(row["share"])) >= least),
        key=lambda row: (-_size(number(row["share"])), str(row["key"])),
    )


def factor_name(row: Row) -> str:
    """A factor in words."""
    return str(row["key"]).replace("_", " ")


def _size(value: float) -> float:
    return abs(value) if math.isfinite(value) else math.inf


def _beside(row: Row) -> float:
    """The weight or exposure that a part's text tells."""
    return number(str(row["text"]).rpartition(" ")[2])


def names(report: pd.DataFrame, named: Named, shown: int) -> Table:
    """The largest contributions by name."""
    rows = [
        (named(row["key"]), percent(_beside(row)), percent(number(row["share"]), 1), percent(number(row["value"])))
        for row in parts_of(report, "NAME")[:shown]
    ]
    heads = ("name", "weight>", "of the volatility>", "per year>")
    caption = f"Contributions to the volatility by name, the largest {len(rows)} of {len(parts_of(report, 'NAME'))}"
    return Table(heads, tuple(rows), caption, missing(report, "NAME") or "the book holds nothing")


def factors(report: pd.DataFrame) -> Table:
    """Every factor's share of the variance, and what is specific to names."""
    rows = [
        (
            factor_name(row),
            "" if row["key"] == SPECIFIC else plain_number(_beside(row), 3),
            percent(number(row["share"]), 1),
            percent(number(row["value"])),
        )
        for row in parts_of(report, "FACTOR")
    ]
    heads = ("factor", "exposure>", "of the variance>", "per year>")
    note = "Sectors stand beside the market that all names share; a part is negative where it offsets the others."
    return Table(heads, tuple(rows), "Factor risk", missing(report, "FACTOR"), note)


def currencies(
    report: pd.DataFrame, positions: pd.DataFrame, moves: Mapping[str, Sequence[float]], mandate: Mandate
) -> Table:
    """Per currency: the share of the volatility of names listed in it, what is held in it with cash, and what its rate does.

    `moves`: currency -> (T,) simple moves of its rate per session, oldest first.
    """
    base, shares = mandate.base_currency, {str(row["key"]): row for row in parts_of(report, "CURRENCY")}
    held, cash = _by_currency(positions, POSITION), _by_currency(positions, CASH)
    nav = total([number(row["value_base"]) for row in rows_of(positions)])
    every = sorted({*shares, *held, *cash}, key=lambda key: (key != base, key))
    own, money = (
        {name: found.get(name, 0.0) / nav if nav > 0.0 else math.nan for name in every} for found in (held, cash)
    )
    whole = {name: own[name] + money[name] for name in every}
    abroad = {name: whole[name] for name in every if name != base}
    alone = currency_risk(abroad, moves, mandate.volatility.ewma_halflife_sessions)
    rows = []
    for name in every:
        share = percent(number(shares[name].get("share")), 1) if name in shares else "no names"
        moved = ["", "", ""]
        if name != base:
            moved = [percent(x) for x in (alone.rates[name], alone.parts[name], CURRENCY_SHOCK * whole[name])]
        rows.append((name, share, percent(own[name]), percent(money[name]), percent(whole[name]), *moved))
    heads = ("currency", "of the volatility>", "names held>", "cash held>", "together>", "rate, per year>")
    heads_moved = ("moves NAV, per year>", f"if it falls {CURRENCY_SHOCK:.0%}>")
    note = (
        f"Of the volatility: names listed in the currency, after the batch, in {base}, their own risk included. The last three "
        f"columns let rates move alone on names and cash as held: together {percent(alone.volatility)} of NAV a year, to which "
        f"the parts add up, measured on {alone.sessions} sessions."
    )
    why = missing(report, "CURRENCY") or "nothing is held"
    return Table((*heads, *heads_moved), tuple(rows), "Currency risk", why, note)


def _by_currency(positions: pd.DataFrame, kind: str) -> dict[str, float]:
    """Currency -> value in base currency of what is held; NaN when a value is not known."""
    found: dict[str, float] = {}
    for row in rows_of(positions):
        if row["kind"] == kind:
            found[str(row["currency"])] = found.get(str(row["currency"]), 0.0) + number(row["value_base"])
    return found


def contributions(text: object) -> list[tuple[str, float]]:
    """What a text of contributors tells: `A 0.0181, B 0.0160` as pairs; none where it tells none."""
    return [(name, float(value)) for name, value in _PART.findall(str(text))]


def stresses(frame: pd.DataFrame) -> list[Row]:
    """The stresses without the reverse ones, largest loss first, unknown ones before all."""
    rows = [row for row in rows_of(frame) if row["kind"] != REVERSE]
    return sorted(rows, key=lambda row: (-_loss(row), str(row["scenario"])))


def _loss(row: Row) -> float:
    return number(row["loss"]) if math.isfinite(number(row["loss"])) else math.inf


def stress_name(row: Row) -> str:
    """A scenario in words."""
    return scenario_words(str(row["scenario"]))


def stress_table(frame: pd.DataFrame, named: Named) -> Table:
    """Every stress with its limit and what stands beside the loss, largest loss first."""
    rows = [
        (
            stress_name(row),
            str(row["kind"]),
            percent(number(row["loss"])),
            *(
                _if_known(row[column])
                for column in ("limit", "replay_loss", "factor_loss", "path_drawdown", "idiosyncratic")
            ),
            percent(number(row["proxied_share"]), 0),
            str(row["status"]),
            _contributors(row, named),
        )
        for row in stresses(frame)
    ]
    heads = ("scenario", "kind<", "loss>", "limit>", "replay>", "factors>", "on the way>", "single names>", "by proxy>")
    note = (
        "The loss is the larger of replay and factors, weights frozen; on the way = deepest fall within the window; single "
        "names = 99 % of what they may add; by proxy = share of the book replayed by peers or by beta times the index."
    )
    told = (*heads, "status<", "worst contributors~")
    return Table(told, tuple(rows), "Stress scenarios", "not computed in this session", note)


def _contributors(row: Row, named: Named) -> str:
    """The names that lose most, in percent of NAV; why a loss is not known."""
    found = [] if row["kind"] == UNKNOWN else contributions(row["worst_contributors"])
    return ", ".join(f"{named(name)} {percent(part)}" for name, part in found) or named(row["worst_contributors"])


def _if_known(value: object) -> str:
    """A fraction as percent; empty where a row has none."""
    return percent(number(value), 1) if math.isfinite(number(value)) else ""


def nearest_stress(frame: pd.DataFrame) -> Row | None:
    """The stress that takes the largest share of its limit; the largest loss where none has a limit; None without a loss."""
    known = [row for row in stresses(frame) if math.isfinite(number(row["loss"]))]
    limited = [row for row in known if number(row["limit"]) > 0.0]
    if limited:
        return max(limited, key=lambda row: (number(row["loss"]) / number(row["limit"]), str(row["scenario"])))
    return known[0] if known else None


def pieces(row: Row, column: str, named: Named, rest: str = REST) -> list[tuple[str, float]]:
    """The parts of a stress loss that a column tells, and what they leave of the whole."""
    found = [(named(name), value) for name, value in contributions(row[column])]
    left = number(row["loss"]) - math.fsum(value for _, value in found)
    return [*found, (rest, left)] if not abs(left) < 5e-5 else found


def reverse(frame: pd.DataFrame, named: Named) -> Table:
    """The smallest shocks that carry the book to the halt."""
    rows = []
    for row in rows_of(frame):
        if row["kind"] == REVERSE:
            size, sigmas = number(row["shock"]), str(row["scenario"]).startswith("R2")
            told = f"{plain_number(size, 2)} standard deviations" if sigmas else percent(size, 1)
            loss, text = number(row["loss"]), named(row["worst_contributors"])
            rows.append((str(row["scenario"]), percent(loss), told if math.isfinite(size) else "n/a", text))
    heads = ("shock", "loses>", "size>", "of what~")
    caption = (
        "Reverse stress: the smallest shock of each kind that carries the book to the halt; factors over 21 sessions"
    )
    return Table(heads, tuple(rows), caption, "not computed in this session")


def record(report: pd.DataFrame, days: Sequence[RiskDay], mandate: Mandate) -> Table:
    """The back-test of value at risk: how much of it there is, its zone, its tests, and the volatility that came."""
    rules, told = mandate.limits.var_backtest, []
    count, hits = value_of(report, "BACKTEST", "sessions"), value_of(report, "BACKTEST", "exceptions")
    zone = text_of(report, "BACKTEST", "exceptions")
    told.append(("sessions judged", f"{plain_number(count)} of {rules.sessions}", _how_full(count, rules.sessions)))
    told.append(("exceptions", plain_number(hits), f"1 % of the sessions expected: {plain_number(0.01 * count, 3)}"))
    edges = f"yellow from {rules.yellow}, red from {rules.red} exceptions"
    told.append(("Basel zone", zone or "n/a", edges))
    for key, name, what in (
        ("kupiec", "Kupiec", "that exceptions come as often as forecast"),
        ("christoffersen", "Christoffersen", "that they do not follow each other"),
    ):
        tail, ratio = (value_of(report, "BACKTEST", f"{key} {of}") for of in ("p-value", "ratio"))
        said = f"p-value of the test {what}; likelihood ratio {plain_number(ratio, 3)}"
        told.append(
            (f"{name} p-value", plain_number(tail, 3), said if math.isfinite(tail) else "no session was judged yet")
        )
    ratio = value_of(report, "BACKTEST", "volatility ratio")
    told.append(
        ("volatility, realised over forecast", plain_number(ratio, 3), text_of(report, "BACKTEST", "volatility ratio"))
    )
    worst = max((day.loss for day in days if math.isfinite(day.loss)), default=math.nan)
    told.append(("largest loss judged", percent(worst), "of the book held unchanged"))
    why = missing(report, "BACKTEST")
    return Table(
        ("number", "value>", "what it says~"), () if why else tuple(told), "Back-test of value at risk at 99 %", why
    )


def _how_full(count: float, needed: int) -> str:
    if not math.isfinite(count):
        return "not known"
    return (
        "a full record"
        if count >= needed
        else "a short record: the tests have little power, the zone counts what there is"
    )
