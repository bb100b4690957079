"""The numbers of a backtest's report: one row per session and its details become a `Sheet`. Pure.

Fractions and simple returns per session; NaN where a number is not known. Not here: trades and capacity (`tear_sheet_trades`),
the page (`tear_sheet_page`), how the tables come about (`details`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pandas as pd

from marketbot_assets.audit import performance_ratios as ratios
from marketbot_assets.audit import series_ratios as more
from marketbot_assets.audit.compared import Compared, FactorMove, Market, compared
from marketbot_assets.audit.excess_models import by_factor, by_method, by_sector, is_comparable
from marketbot_assets.audit.performance import with_menchero
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research import details as kept
from marketbot_assets.research.return_measures import growth_per_year, losses, measures
from marketbot_resources.model import SESSIONS_PER_YEAR

NAN = math.nan
QUARTER, HALF = 63, 126
TAILS = (0.05, 0.025, 0.01)
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
TOLD = (
    "total_return", "return_per_year", "volatility", "sharpe", "sortino", "omega", "skewness", "tail_ratio", "stability",
)  # fmt: skip
BESIDE = {
    "return": "total_return", "return per year": "return_per_year", "volatility per year": "volatility", "Sharpe": "sharpe",
    "Sortino": "sortino", "deepest drawdown": "drawdown_max", "Calmar": "calmar", "best session": "best",
    "worst session": "worst", "value at risk 95 %": "var_95", "expected shortfall 95 %": "es_95", "hit rate": "hit_rate",
    "skewness": "skewness", "excess kurtosis": "excess_kurtosis",
}  # fmt: skip
RATIOS = frozenset({"Sharpe", "Sortino", "Calmar", "skewness", "excess kurtosis"})
Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """`labels` (T,): sessions, the first is where it starts; `nav` (T,); `returns`, `benchmark` (T - 1,).

    `frame`: BACKTEST rows; `tables`: the details; `sessions`: those that can be compared with the benchmark; `numbers`: the
    headline; `signals`: family -> (Shapley share of the return, return with all less that without it), empty where it was not
    asked for.
    """

    labels: tuple[str, ...]
    nav: Floats
    returns: Floats
    benchmark: Floats
    frame: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    sessions: tuple[Compared, ...]
    numbers: Mapping[str, float]
    base_currency: str
    signals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def excess(self) -> Rows:
        """`excess_models.by_market` with the total after Menchero beside that after Carino."""
        return with_menchero(self.sessions)

    def factors(self) -> Rows:
        """`excess_models.by_factor`."""
        return by_factor(self.sessions)

    def sectors(self) -> Rows:
        """`excess_models.by_sector`."""
        return by_sector(self.sessions)

    def methods(self) -> Rows:
        """`excess_models.by_method`."""
        return by_method(self.sessions)


def tear_sheet(
    frame: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    base_currency: str,
    signals: Mapping[str, tuple[float, float]] | None = None,
) -> Sheet:
    """The sheet of a backtest. `frame`: BACKTEST rows, ascending; `tables`: as `details` keeps them.

    Raises ValueError for fewer than two sessions or a NAV that is not positive.
    """
    nav = frame["nav"].to_numpy(dtype=np.float64)
    if len(nav) < 2 or not (np.isfinite(nav) & (nav > 0.0)).all():
        raise ValueError(f"tear sheet: expected at least two sessions with a positive NAV, found {len(nav)}")
    labels = tuple(str(day.date()) for day in frame["session"])
    returns = nav[1:] / nav[:-1] - 1.0
    market = tables[kept.MARKET]
    told = market[market["kind"] == kept.WHOLE].set_index("session")["returned"]
    benchmark = told.reindex(frame["session"].iloc[1:]).to_numpy(dtype=np.float64)
    sessions = tuple(
        one for one in compared_sessions(labels, returns, benchmark, tables, base_currency) if is_comparable(one)
    )
    numbers = {**_return_numbers(returns), **_benchmark_numbers(returns, benchmark), **_book_numbers(frame)}
    numbers["excess_sessions"] = float(len(sessions))
    return Sheet(labels, nav, returns, benchmark, frame, tables, sessions, numbers, base_currency, dict(signals or {}))


def compared_sessions(
    labels: tuple[str, ...],
    returns: Floats,
    benchmark: Floats,
    tables: Mapping[str, pd.DataFrame],
    base_currency: str,
) -> list[Compared]:
    """One `Compared` per session but the first; fractions of NAV, so that a session begins with 1."""
    held = _by_session(tables[kept.HOLDINGS])
    market = _by_session(tables[kept.MARKET])
    found = []
    for label, mine, theirs in zip(labels[1:], returns.tolist(), benchmark.tolist(), strict=True):
        rows, around = held.get(label, []), market.get(label, [])
        moves = {str(row["item"]): _number(row["returned"]) for row in around if row["kind"] == kept.RATE}
        weighed: dict[Market, tuple[float, float]] = {
            (str(row["item"]), str(row["currency"])): (_number(row["weight"]), _number(row["returned"]))
            for row in around
            if row["kind"] == kept.BENCHMARK
        }
        named = [{**row, "name": row["instrument"]} for row in rows]
        values = {str(row["instrument"]): _number(row["begun"]) for row in rows}
        cash = {str(row["item"]): _number(row["returned"]) for row in around if row["kind"] == kept.CASH_RATE}
        factors = _factors(around)
        found.append(compared(mine, theirs, 1.0, named, values, moves, weighed, base_currency, factors, cash))
    return found


def _factors(rows: Rows) -> FactorMove | None:
    moves = {
        str(row["item"]): (_number(row["weight"]), _number(row["active"]), _number(row["returned"]))
        for row in rows
        if row["kind"] == kept.FACTOR
    }
    rest = [_number(row["returned"]) for row in rows if row["kind"] == kept.SPECIFIC]
    return FactorMove(moves, rest[0]) if rest else None


def _by_session(table: pd.DataFrame) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    columns = [str(name) for name in table.columns if name != "session"]
    days = table["session"].dt.strftime("%Y-%m-%d").tolist()
    for day, values in zip(days, zip(*(table[name].tolist() for name in columns), strict=True), strict=True):
        found.setdefault(day, []).append(dict(zip(columns, values, strict=True)))
    return found


def _return_numbers(returns: Floats) -> dict[str, float]:
    found = {name: float(values[0]) for name, values in measures(returns[:, None]).items()}
    (_, sharpe_error), (_, sortino_error) = ratios.sharpe(returns), ratios.sortino(returns)
    fall, growth = found["max_drawdown"], float(growth_per_year(np.array([found["total_return"]]), len(returns))[0])
    tails: dict[str, float] = {}
    for tail in TAILS:
        at_risk, shortfall = losses(returns[:, None], tail)
        tails |= {f"var_{100 * (1 - tail):g}": float(at_risk[0]), f"es_{100 * (1 - tail):g}": float(shortfall[0])}
    gains, lost = returns[returns > 0.0], returns[returns < 0.0]
    return {
        "sessions": float(len(returns)),
        **{name: found[name] for name in TOLD},
        "sharpe_error": sharpe_error,
        "sortino_error": sortino_error,
        "drawdown_max": fall,
        "calmar": growth / fall if fall > 0.0 else NAN,
        "excess_kurtosis": found["kurtosis"],
        "best": float(returns.max()),
        "worst": float(returns.min()),
        "hit_rate": float((returns > 0.0).mean()),
        "gain_mean": float(gains.mean()) if len(gains) else NAN,
        "loss_mean": float(lost.mean()) if len(lost) else NAN,
        **tails,
    }


def _benchmark_numbers(returns: Floats, benchmark: Floats) -> dict[str, float]:
    known = np.isfinite(benchmark)
    mine, theirs = returns[known], benchmark[known]
    if len(theirs) < 2:
        names = ("benchmark_return", "excess", "tracking_error", "information_ratio", "beta", "alpha", "correlation")
        return {**dict.fromkeys((*names, "up_capture", "down_capture"), NAN), "benchmark_sessions": float(len(theirs))}
    found = {name: float(values[0]) for name, values in measures(mine[:, None], theirs).items()}
    spread = mine.std() * theirs.std()
    return {
        "benchmark_sessions": float(len(theirs)),
        "benchmark_return": ratios.linked(theirs),
        "excess": ratios.linked(mine) - ratios.linked(theirs),
        **{name: found[name] for name in ("tracking_error", "beta", "alpha")},
        "information_ratio": found["information_ratio"] * math.sqrt(SESSIONS_PER_YEAR),
        "correlation": float(np.corrcoef(mine, theirs)[0, 1]) if spread > 0.0 else NAN,
        "up_capture": more.capture(mine, theirs, up=True),
        "down_capture": more.capture(mine, theirs, up=False),
    }


def _book_numbers(frame: pd.DataFrame) -> dict[str, float]:
    turned = 0.5 * float((frame["buys"] + frame["sells"]).sum())
    return {
        "nav_first": float(frame["nav"].iloc[0]),
        "nav_last": float(frame["nav"].iloc[-1]),
        "invested": float(frame["invested"].mean()),
        "names": float(frame["names"].mean()),
        "turnover": turned,
        "turnover_per_year": turned * SESSIONS_PER_YEAR / len(frame),
        "costs_base": float(frame["costs_base"].sum()),
        "approved": float((frame["verdict"] == "APPROVED").sum()),
        "stops": float(frame["stops"].sum()),
    }


def beside(sheet: Sheet) -> list[tuple[str, float, float]]:
    """(measure of BESIDE, the backtest's, the benchmark's) over the sessions whose benchmark is known; empty below two of them."""
    known = np.isfinite(sheet.benchmark)
    if int(known.sum()) < 2:
        return []
    mine, theirs = (_return_numbers(returns[known]) for returns in (sheet.returns, sheet.benchmark))
    return [(told, mine[name], theirs[name]) for told, name in BESIDE.items()]


def periods(sheet: Sheet, length: int) -> dict[str, tuple[float, float]]:
    """Period -> (return, benchmark's), linked over its sessions. `length`: characters of the date that name it (4: year, 7: month).

    The benchmark's is NaN where one of the sessions does not know it.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(sheet.labels[1:]):
        places.setdefault(label[:length], []).append(place)
    return {
        name: (ratios.linked(sheet.returns[own]), ratios.linked(sheet.benchmark[own])) for name, own in places.items()
    }


def weeks(sheet: Sheet) -> list[float]:
    """Linked returns of calendar weeks (ISO)."""
    days = pd.DatetimeIndex(sheet.labels[1:]).isocalendar()
    keys = list(zip(days["year"].tolist(), days["week"].tolist(), strict=True))
    found: dict[tuple[int, int], list[float]] = {}
    for key, move in zip(keys, sheet.returns.tolist(), strict=True):
        found.setdefault(key, []).append(move)
    return [math.prod(1.0 + move for move in moves) - 1.0 for moves in found.values()]


def quantiles(sheet: Sheet) -> Rows:
    """Rows of period, count and the QUANTILES of its returns."""
    sets = {
        "session": sheet.returns.tolist(),
        "week": weeks(sheet),
        "month": [mine for mine, _ in periods(sheet, 7).values()],
        "year": [mine for mine, _ in periods(sheet, 4).values()],
    }
    return [
        {"period": name, "count": len(values), **{f"{q:g}": float(np.quantile(values, q)) for q in QUANTILES}}
        for name, values in sets.items()
    ]


def wealth(returns: Floats) -> Floats:
    """(T,) growth of 1; a session whose return is not known leaves it flat."""
    return np.concatenate([[1.0], np.cumprod(1.0 + np.where(np.isfinite(returns), returns, 0.0))])


def rolling(sheet: Sheet) -> dict[str, Floats]:
    """Name -> (T,) rolling volatility (a quarter), Sharpe ratio and beta (half a year); NaN at the start."""
    lead = np.array([NAN])
    return {
        "volatility": np.concatenate([lead, more.rolling(QUARTER, ratios.volatility, sheet.returns)]),
        "sharpe": np.concatenate([lead, more.rolling(HALF, lambda r: ratios.sharpe(r)[0], sheet.returns)]),
        "beta": np.concatenate([lead, more.rolling(HALF, more.beta, sheet.returns, sheet.benchmark)]),
    }


def _number(value: object) -> float:
    return float(cast("float", value))
