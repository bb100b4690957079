"""What a period earned, where it came from and what it cost: rows of stored sessions become one `Performance`. Pure.

A cash flow of the owner counts from the start of the session whose NAV first holds it: r = NAV / (NAV before + flow) - 1, linked
over sessions. Profit and loss is NAV less NAV before less flows, and the rows of ATTRIBUTION add up to it. Not here: ratios
(`performance_ratios`), reading (`commands.performance`), the page (`report_performance`).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from marketbot_assets.audit import performance_ratios as ratios
from marketbot_assets.audit.compared import Compared, FactorMove, Market, compared
from marketbot_assets.audit.excess import BenchmarkSectors, Session, excess, is_known, session_of
from marketbot_assets.audit.excess_models import by_factor, by_market, by_method, cash_rates_told, is_comparable
from marketbot_assets.audit.schema import COSTS, CURRENCY, INSTRUMENT, PARTS, SECTOR
from marketbot_resources.errors import UsageError
from marketbot_resources.model import SESSIONS_PER_YEAR

NAN = math.nan
DIMENSIONS = (INSTRUMENT, SECTOR, CURRENCY)
COLUMNS = (*PARTS, *COSTS)
FLOWS = "owner's cash flows"
DRAWDOWNS_SHOWN = 5
Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Point:
    """One session of the book. `flow`: owner's cash in base currency that its NAV holds for the first time, positive is put in.

    `attribution`: ATTRIBUTION rows, None where the session stored none. `traded`: value of the fills in shares, `cost`: what all
    fills cost with slippage, both in base currency; `benchmark`: its return, NaN when not known, and by sector; `held_before`:
    sector -> value at the start, base currency, cash aside. The rest is for `audit.compared`: instrument or CASH:currency -> value
    at the start, moves of rates, the benchmark by (sector, currency), factors, what cash earned; empty where they are not known.
    """

    session: dt.date
    nav: float
    environment: str
    synthetic: bool
    flow: float = 0.0
    attribution: pd.DataFrame | None = None
    traded: float = 0.0
    cost: float = 0.0
    benchmark: float = NAN
    benchmark_sectors: BenchmarkSectors = field(default_factory=dict)
    held_before: Mapping[str, float] = field(default_factory=dict)
    base_currency: str = ""
    started: Mapping[str, float] = field(default_factory=dict)
    moves: Mapping[str, float] = field(default_factory=dict)
    markets: Mapping[Market, tuple[float, float]] = field(default_factory=dict)
    factors: FactorMove | None = None
    cash: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Performance:
    """A period's numbers: fractions, base currency, counts; NaN where one is not known. `numbers` holds those with one value.

    `parts`: what was earned by part; `by`: dimension -> rows of name and parts, largest total first; `excess`: rows of
    `audit.excess`; `markets`, `factors`, `methods`: those of `audit.excess_models`. `notes`: what limits them.
    """

    first: dt.date
    last: dt.date
    environment: str
    synthetic: bool
    sessions: tuple[str, ...]
    returns: tuple[float, ...]
    benchmark: tuple[float, ...]
    numbers: dict[str, float]
    parts: dict[str, float]
    by: dict[str, Rows]
    months: Rows
    drawdowns: list[ratios.Drawdown]
    excess: Rows = field(default_factory=list)
    markets: Rows = field(default_factory=list)
    factors: Rows = field(default_factory=list)
    methods: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def performance(points: Sequence[Point]) -> Performance:
    """The performance from the first point (whose NAV is where it starts) to the last, ascending.

    Raises UsageError for fewer than two points, a NAV that is not positive, or points of more than one environment: live, paper
    and back-test never form one series.
    """
    environments = sorted({point.environment or "not told" for point in points})
    if len(environments) > 1:
        raise UsageError(
            f"performance: expected sessions of one environment, found {' and '.join(environments)}, which never form one "
            "series; choose a period of one of them"
        )
    if len(points) < 2:
        raise UsageError(f"performance: expected a session before the period and one in it, found {len(points)} in all")
    bad = [point.session.isoformat() for point in points if not (math.isfinite(point.nav) and point.nav > 0.0)]
    if bad or not all(math.isfinite(point.flow) for point in points):
        raise UsageError(
            f"performance: expected a positive NAV and known flows, found none at {', '.join(bad) or 'a flow'}"
        )
    pairs = list(pairwise(points))
    begun = np.array([before.nav + point.flow for before, point in pairs])
    if not (begun > 0.0).all():
        raise UsageError("performance: expected a positive NAV after each cash flow, found none")
    returns = np.array([point.nav for _, point in pairs]) / begun - 1.0
    labels = [point.session.isoformat() for point in points]
    earned = [point.nav - before.nav - point.flow for before, point in pairs]
    benchmark = np.array([point.benchmark for _, point in pairs])
    by, parts = attributed(points[1:])
    months = _months(points, returns, earned)
    numbers = {
        **_returns(points, returns, earned, begun),
        **_risk(labels, returns),
        "volatility_36_months": ratios.three_year_deviation(_whole_months(points, months)),
        **_trading(points[1:], begun, parts),
        **_against(returns, benchmark),
        **_hits(returns, by),
    }
    by_sector, by_markets = _compared(points, returns, begun), _by_market(points, returns, begun)
    numbers["excess_sessions"] = float(sum(map(is_known, by_sector)))
    numbers["market_sessions"] = float(len(by_markets))
    numbers["unattributed"] = numbers["profit"] - parts.get("total", 0.0)
    return Performance(
        first=points[1].session,
        last=points[-1].session,
        environment=environments[0],
        synthetic=any(point.synthetic for point in points),
        sessions=tuple(labels),
        returns=tuple(returns.tolist()),
        benchmark=tuple(benchmark.tolist()),
        numbers=numbers,
        parts=parts,
        by=by,
        months=months,
        drawdowns=ratios.drawdowns(labels, returns)[:DRAWDOWNS_SHOWN],
        excess=excess(by_sector),
        markets=with_menchero(by_markets),
        factors=by_factor(by_markets),
        methods=by_method(by_markets),
        notes=_notes(points, numbers, by_markets),
    )


def attributed(points: Sequence[Point]) -> tuple[dict[str, Rows], dict[str, float]]:
    """(dimension -> one row per name with its parts summed, largest total first; the parts of the whole).

    An owner's flow stands in the residual of that session's cash; it is taken out as a row of its own in each dimension, so that
    each adds up to the profit.
    """
    counted = [(p, p.attribution) for p in points if p.attribution is not None and p.attribution["total"].notna().all()]
    flow = math.fsum(point.flow for point, _ in counted)
    by: dict[str, Rows] = {}
    for dimension in DIMENSIONS:
        sums: dict[str, list[list[float]]] = {}
        for _, frame in counted:
            rows = frame[frame["dimension"] == dimension]
            for name, *values in zip(rows["name"], *(rows[c].tolist() for c in (*COLUMNS, "total")), strict=True):
                sums.setdefault(str(name), []).append(values)
        by[dimension] = [_summed(name, values) for name, values in sums.items()]
        if flow != 0.0:
            by[dimension].append({"name": FLOWS, **dict.fromkeys(COLUMNS, 0.0), "residual": -flow, "total": -flow})
        by[dimension].sort(key=lambda row: (-float(str(row["total"])), str(row["name"])))
    rows = by[INSTRUMENT]
    parts = {column: math.fsum(float(str(row[column])) for row in rows) for column in (*COLUMNS, "total")}
    return by, parts


def _summed(name: str, values: list[list[float]]) -> dict[str, object]:
    sums = [math.fsum(column) for column in zip(*values, strict=True)]
    return {"name": name, **dict(zip((*COLUMNS, "total"), sums, strict=True))}


def _returns(
    points: Sequence[Point], returns: np.ndarray, earned: Sequence[float], begun: np.ndarray
) -> dict[str, float]:
    total, n = ratios.linked(returns), len(returns)
    paid = np.array([_fees_and_taxes(point) for point in points[1:]])
    flows = [(points[0].session, -points[0].nav)]
    flows += [(before.session, -p.flow) for before, p in pairwise(points) if p.flow != 0.0]
    flows.append((points[-1].session, points[-1].nav))
    return {
        "nav_first": points[0].nav,
        "nav_last": points[-1].nav,
        "flows": math.fsum(point.flow for point in points[1:]),
        "profit": math.fsum(earned),
        "time_weighted_return": total,
        "time_weighted_gross": ratios.linked(returns + paid / begun),
        "time_weighted_per_year": ratios.annualized(total, n),
        "money_weighted_return": ratios.money_weighted(flows),
    }


def _fees_and_taxes(point: Point) -> float:
    """What the session's fills paid, base currency; NaN where its profit is not attributed."""
    if point.attribution is None:
        return NAN
    rows = point.attribution[point.attribution["dimension"] == INSTRUMENT]
    return math.fsum(value for column in COSTS for value in rows[column].astype(float))


def _risk(labels: Sequence[str], returns: np.ndarray) -> dict[str, float]:
    (sharpe, sharpe_error), (sortino, sortino_error) = ratios.sharpe(returns), ratios.sortino(returns)
    falls = ratios.drawdowns(labels, returns)
    return {
        "sessions": float(len(returns)),
        "volatility": ratios.volatility(returns),
        "sharpe": sharpe,
        "sharpe_error": sharpe_error,
        "sortino": sortino,
        "sortino_error": sortino_error,
        "drawdown_max": falls[0].depth if falls else 0.0,
    }


def _trading(points: Sequence[Point], begun: np.ndarray, parts: dict[str, float]) -> dict[str, float]:
    turned = math.fsum(0.5 * point.traded / nav for point, nav in zip(points, begun.tolist(), strict=True))
    return {
        "turnover": turned,
        "turnover_per_year": turned * SESSIONS_PER_YEAR / len(points),
        "fees": parts.get("fee", NAN),
        "taxes": parts.get("tax", NAN),
        "trading_cost": math.fsum(point.cost for point in points),
    }


def _against(returns: np.ndarray, benchmark: np.ndarray) -> dict[str, float]:
    """The book less the benchmark over the sessions of which both are known."""
    known = np.isfinite(benchmark)
    n = int(known.sum())
    if not n:
        return dict.fromkeys(("benchmark_return", "tracking_difference", "tracking_error"), NAN) | {
            "benchmark_sessions": 0.0
        }
    theirs = ratios.linked(benchmark[known])
    return {
        "benchmark_return": theirs,
        "tracking_difference": ratios.linked(returns[known]) - theirs,
        "tracking_error": ratios.volatility(returns[known] - benchmark[known]),
        "benchmark_sessions": float(n),
    }


def _compared(points: Sequence[Point], returns: np.ndarray, begun: np.ndarray) -> list[Session]:
    """The sessions whose profit has been attributed, against the benchmark by sector."""
    return [
        session_of(mine, point.benchmark, start, point.attribution, point.held_before, point.benchmark_sectors)
        for point, mine, start in zip(points[1:], returns.tolist(), begun.tolist(), strict=True)
        if point.attribution is not None
    ]


def _by_market(points: Sequence[Point], returns: np.ndarray, begun: np.ndarray) -> list[Compared]:
    """The sessions that can be compared by market and currency."""
    found = []
    for point, mine, start in zip(points[1:], returns.tolist(), begun.tolist(), strict=True):
        if point.attribution is None or not point.markets:
            continue
        own = point.attribution[point.attribution["dimension"] == INSTRUMENT]
        rows: Rows = [{str(name): value for name, value in row.items()} for row in own.to_dict("records")]
        values = (point.started, point.moves, point.markets, point.base_currency, point.factors, point.cash)
        found.append(compared(mine, point.benchmark, start, rows, *values))
    return [one for one in found if is_comparable(one)]


def with_menchero(sessions: Sequence[Compared]) -> Rows:
    """`excess_models.by_market` after Carino, with the total after Menchero as `menchero`."""
    other = {(row["kind"], row["name"]): row["total"] for row in by_market(sessions, "Menchero")}
    return [{**row, "menchero": other[row["kind"], row["name"]]} for row in by_market(sessions)]


def _hits(returns: np.ndarray, by: dict[str, Rows]) -> dict[str, float]:
    names = [
        float(str(row["total"]))
        for row in by[INSTRUMENT]
        if not str(row["name"]).startswith("CASH:") and row["name"] != FLOWS
    ]
    moved = [value for value in names if value != 0.0]
    return {
        "hit_rate_sessions": float((returns > 0.0).mean()),
        "hit_rate_names": sum(value > 0.0 for value in moved) / len(moved) if moved else NAN,
    }


def _months(points: Sequence[Point], returns: np.ndarray, earned: Sequence[float]) -> Rows:
    """One row per calendar month: sessions, linked return, that of the benchmark where every session knows it, profit, NAV."""
    months: dict[str, list[int]] = {}
    for place, point in enumerate(points[1:]):
        months.setdefault(point.session.isoformat()[:7], []).append(place)
    return [
        {
            "month": month,
            "sessions": len(places),
            "return": ratios.linked(returns[places]),
            "benchmark": ratios.linked(np.array([points[place + 1].benchmark for place in places])),
            "profit": math.fsum(earned[place] for place in places),
            "flows": math.fsum(points[place + 1].flow for place in places),
            "nav": points[places[-1] + 1].nav,
        }
        for month, places in months.items()
    ]


def _whole_months(points: Sequence[Point], months: Rows) -> list[float]:
    """Returns of the calendar months of which no session is missing at either end of the period, ascending."""
    since = 0 if points[0].session.isoformat()[:7] < points[1].session.isoformat()[:7] else 1
    until = len(months) if ratios.is_last_of_month(points[-1].session) else len(months) - 1
    return [float(str(row["return"])) for row in months[since:until]]


def _notes(points: Sequence[Point], numbers: dict[str, float], by_markets: Sequence[Compared]) -> list[str]:
    """What the numbers do not say."""
    count = len(points) - 1
    missing = sum(point.attribution is None for point in points[1:])
    told = count - int(numbers["benchmark_sessions"])
    lines = [
        "Sharpe and Sortino take no rate of cash off.",
        "Errors of the ratios take returns as independent; trends and reversals make them too small or too large.",
        "Value is that of the last known closes; interest that a broker pays stands in the residual of cash.",
    ]
    if count < SESSIONS_PER_YEAR:
        lines.append(f"{count} sessions are less than a year: no return per year is told.")
    if not math.isfinite(numbers["volatility_36_months"]):
        lines.append("Less than 36 whole months: the deviation over three years that GIPS asks for is not known.")
    if told:
        lines.append(
            f"The benchmark's return of {told} of {count} sessions is not known; the comparison leaves them out."
        )
    if untold := count - int(numbers["excess_sessions"]):
        lines.append(
            f"The benchmark by sector of {untold} of {count} sessions is not known; the excess leaves them out."
        )
    if by_markets:
        lines.append(f"Split by currency (Karnosky and Singer): {cash_rates_told(by_markets)}")
    if missing:
        lines.append(f"{missing} sessions stored no attribution: their profit stands under unattributed.")
    if not math.isfinite(numbers["money_weighted_return"]):
        lines.append("The money-weighted return has no single solution over this period.")
    if any(point.synthetic for point in points):
        lines.append("Some prices are simulated: these results say nothing about what a strategy would have earned.")
    if points[-1].environment != "live":
        lines.append("Paper fills follow a model of costs: they are no evidence that real orders would have filled so.")
    return lines
