"""Backtests of a sweep as rows of SWEEP: what each point showed, and what that is worth among all trials. Pure.

Not here: the points (`sweep_grid`), running them (`sweep`), pictures (`sweep_page`).
"""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.research.promotion import Search
from marketbot_assets.research.return_measures import growth_per_year, measures
from marketbot_assets.research.schema import SWEEP
from marketbot_assets.research.sharpe_statistics import moments, per_year
from marketbot_assets.research.tested import deflated_of
from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
DONE, FAILED = "done", "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """One point. `choices`: axis -> value; `key`: partition of its rows among the backtests, `content`: their hash, empty without;
    `frame`: BACKTEST rows, None where it failed for the reason `why`.
    """

    number: int
    name: str
    choices: Mapping[str, object]
    first: dt.date
    last: dt.date
    mandate_sha256: str
    inputs_sha256: str
    key: str
    content: str
    frame: pd.DataFrame | None
    why: str = ""


def returns_of(frame: pd.DataFrame) -> Floats:
    """(T,) simple returns per session of BACKTEST rows; the first row's is 0."""
    nav = frame["nav"].to_numpy(dtype=np.float64)
    return np.concatenate([[0.0], nav[1:] / nav[:-1] - 1.0])


def sweep_rows(points: Sequence[Told], searches: Mapping[str, Search]) -> pd.DataFrame:
    """SWEEP rows. `searches`: what the trials over the data of a point's inputs say, by `inputs_sha256` and first session."""
    rows = [_row(point, searches.get(search_key(point))) for point in points]
    frame = pd.DataFrame(rows, columns=[column.name for column in SWEEP.columns])
    kinds = {"number": "float64", "integer": "int64"}
    return frame.astype({column.name: kinds[column.kind] for column in SWEEP.columns if column.kind in kinds})


def search_key(point: Told) -> str:
    """Names the data of a point: what the trials that may be compared have in common."""
    return f"{point.inputs_sha256}/{point.first}"


def _row(point: Told, search: Search | None) -> dict[str, object]:
    head: dict[str, object] = {
        "point": point.number,
        "name": point.name,
        "parameters": json.dumps(dict(point.choices), sort_keys=True),
        "first": pd.Timestamp(point.first),
        "last": pd.Timestamp(point.last),
        "state": FAILED if point.frame is None else DONE,
        "message": point.why,
        "mandate_sha256": point.mandate_sha256,
        "inputs_sha256": point.inputs_sha256,
        "backtest": point.key if point.content else "",
        "content_sha256": point.content,
        "trials": search.count if search else 0,
        "overfitting": search.overfitting if search else math.nan,
    }
    return {**head, **(_nothing() if point.frame is None else _numbers(point.frame, search))}


MEASURES = (
    "sharpe_per_year",
    "return_per_year",
    "volatility_per_year",
    "drawdown_max",
    "turnover_per_year",
    "costs_per_year",
    "invested",
    "approved",
    "deflated_sharpe",
)


def _nothing() -> dict[str, object]:
    return {"sessions": 0, **dict.fromkeys(MEASURES, math.nan)}


def _numbers(frame: pd.DataFrame, search: Search | None) -> dict[str, object]:
    returns, nav = returns_of(frame), frame["nav"].to_numpy(dtype=np.float64)
    n = len(frame)
    years = n / SESSIONS_PER_YEAR
    found = {name: float(values[0]) for name, values in measures(returns[:, None]).items()}
    traded = float((frame["buys"] + frame["sells"]).sum()) / 2.0
    return {
        "sessions": n,
        "sharpe_per_year": per_year(moments(returns).sharpe),
        "return_per_year": float(growth_per_year(np.array([found["total_return"]]), n)[0]),
        "volatility_per_year": found["volatility"],
        "drawdown_max": float(frame["drawdown"].max()),
        "turnover_per_year": traded / years,
        "costs_per_year": float(frame["costs_base"].sum()) / float(nav.mean()) / years,
        "invested": float(frame["invested"].mean()),
        "approved": float((frame["verdict"] == "APPROVED").mean()),
        "deflated_sharpe": deflated_of(returns, search) if search else math.nan,
    }


def best_of(frame: pd.DataFrame) -> "pd.Series | None":
    """The point with the highest ratio per year, the first of equals; None when no point has one."""
    known = frame[np.isfinite(frame["sharpe_per_year"].to_numpy(dtype=float))]
    return None if known.empty else known.loc[known["sharpe_per_year"].idxmax()]


def axes_of(frame: pd.DataFrame) -> dict[str, list[object]]:
    """Axis -> its values in the grid's order, of those that have several; the period is no axis."""
    found: dict[str, list[object]] = {}
    for text in frame["parameters"]:
        for axis, value in json.loads(text).items():
            values = found.setdefault(str(axis), [])
            if value not in values:
                values.append(value)
    return {axis: values for axis, values in found.items() if len(values) > 1}


def neighbours(frame: pd.DataFrame, point: int) -> list[int]:
    """Points of the same period that differ from one in one axis: there by one step of numbers, or by another name."""
    axes = axes_of(frame)
    chosen = {int(row["point"]): json.loads(row["parameters"]) for row in frame.to_dict("records")}
    period = {int(row["point"]): (row["first"], row["last"]) for row in frame.to_dict("records")}

    def apart(axis: str, one: object, other: object) -> int:
        values = axes[axis]
        numbers = all(isinstance(value, int | float) for value in values)
        return abs(values.index(one) - values.index(other)) if numbers else int(one != other)

    own = chosen[point]
    return [
        number
        for number, other in chosen.items()
        if period[number] == period[point] and sum(apart(axis, own[axis], other[axis]) for axis in axes) == 1
    ]
