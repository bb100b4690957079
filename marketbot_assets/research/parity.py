"""A live session against its backtest, field by field, and why a field differs. Pure.

A reason is not guessed: the session is decided again with one thing put back to what it was then, and where that alone gives
the live result, it is the reason. What is left is explained by code, environment or a broker that is no model; else it is
unexplained. Not here: what is read and run (`parity_reads`, `parity_runs`), the plot (`parity_chart`).
"""

import datetime as dt
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from marketbot_assets.research.schema import PARITY_CHECK
from marketbot_resources.model import Execution, Kind, Order, plain

DATA, MANDATE, CODE, ENVIRONMENT, FILL, UNEXPLAINED = "data", "mandate", "code", "environment", "fill", "unexplained"
FIELDS = (
    *("fills", "positions", "book_state", "features", "return_model", "forecasts"),
    *("target_portfolio", "risk_verdict", "orders", "return"),
)
NOTHING: frozenset[str] = frozenset()
RESTORED = (frozenset({DATA}), frozenset({MANDATE}), frozenset({DATA, MANDATE}))
FILLS, ORDER, RETURN = "fills", "order", "return"
ERRORS_MAX = 2.0  # the promotion of a model asks for no more, too


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a session: what stands for each field (a hash or a number), its fills, its orders, its return."""

    fields: Mapping[str, str]
    fills: tuple[Execution, ...]
    orders: tuple[Order, ...]
    session_return: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What is not what it was, in words; empty where nothing changed. `modelled`: whether the broker is the model itself."""

    data: str = ""
    mandate: str = ""
    code: str = ""
    environment: str = ""
    modelled: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One PARITY_CHECK row."""

    session: dt.date
    field: str
    item: str
    live: str
    backtest: str
    same: bool
    cause: str = ""
    reason: str = ""
    value_live: float = math.nan
    value_backtest: float = math.nan


def digest_of(lines: Iterable[str]) -> str:
    """A short name of some lines: their count and hash."""
    told = list(lines)
    return f"{len(told)}:{hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:16]}"


def fill_lines(fills: Iterable[Execution]) -> list[str]:
    """Fills as texts, every field of them, sorted."""
    return sorted(f"{f.client_order_id} {f.execution_id} {f.executed_at.isoformat()} {_filled(f)}" for f in fills)


def _filled(fill: Execution) -> str:
    costs = f"fee {plain(fill.fee)} tax {plain(fill.tax)}"
    return f"{fill.side.value} {plain(fill.quantity)} {fill.instrument} at {plain(fill.price)} {fill.currency} {costs}"


def _ordered(order: Order) -> str:
    limit = "" if order.limit_price is None else f" at {plain(order.limit_price)}"
    return f"{order.side.value} {plain(order.quantity)}{limit} {order.type.value}"


def differing(live: Side, backtest: Side) -> list[str]:
    """Fields that differ, in the order of the pipeline."""
    return [name for name in FIELDS if live.fields[name] != backtest.fields[name]]


def causes_of(
    live: Side, backtest: Side, changes: Changes, again: Callable[[frozenset[str]], Side]
) -> dict[str, tuple[str, str]]:
    """Differing field -> (cause, reason). `again`: the backtest, from the live book, with these put back to what was read then."""
    left, found = differing(live, backtest), dict[str, tuple[str, str]]()
    for restored in (NOTHING, *RESTORED):
        if not left:
            break
        if MANDATE in restored and not changes.mandate:
            continue
        still = set(differing(live, again(restored)))
        found |= {name: _cured(restored, changes) for name in left if name not in still}
        left = [name for name in left if name in still]
    return found | {name: _rest(name, live, backtest, changes) for name in left}


def _cured(restored: frozenset[str], changes: Changes) -> tuple[str, str]:
    """Why putting these back gives the live result. What never changed is no reason: then the backtest is at fault."""
    if not restored:
        return (
            UNEXPLAINED,
            "started again from the live book it gives the live result: the loop carried something else over",
        )
    if DATA in restored and not changes.data:
        return (
            UNEXPLAINED,
            "with the data of then it gives the live result, though none of them changed: what came later was read",
        )
    # "data" stands for both where only both together give the live result; the reason names each
    told = "; ".join(_told(name, changes) for name in (DATA, MANDATE) if name in restored)
    return DATA if DATA in restored else MANDATE, told


def _told(name: str, changes: Changes) -> str:
    return f"{name} changed: {changes.data if name == DATA else changes.mandate}"


def _rest(name: str, live: Side, backtest: Side, changes: Changes) -> tuple[str, str]:
    if name in (FILLS, RETURN) and not changes.modelled:
        return FILL, _fills_apart(live, backtest)
    if changes.code:
        return CODE, f"code changed: {changes.code}; not proven, the code of then is not run"
    if changes.environment:
        return ENVIRONMENT, f"environment changed: {changes.environment}; not proven"
    if name in (FILLS, RETURN) and live.fields[FILLS] != backtest.fields[FILLS]:
        return UNEXPLAINED, f"the broker is the model and filled otherwise: {_fills_apart(live, backtest)}"
    return UNEXPLAINED, "same data, mandate, code and environment, another result"


def _fills_apart(live: Side, backtest: Side) -> str:
    ours, theirs = (_by_order(side.fills) for side in (live, backtest))
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    apart = [f"{name}: live {ours.get(name, 'none')}, model {theirs.get(name, 'none')}" for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "fill other than modelled: " + ("; ".join(apart) + more if names else "the same fills, told otherwise")


def _by_order(fills: Iterable[Execution]) -> dict[str, str]:
    found: dict[str, str] = {}
    for fill in sorted(fills, key=lambda fill: fill.execution_id):
        known = found.get(fill.client_order_id)
        found[fill.client_order_id] = _filled(fill) if known is None else f"{known}, {_filled(fill)}"
    return found


def rows_of(session: dt.date, live: Side, backtest: Side, causes: Mapping[str, tuple[str, str]]) -> list[Row]:
    """A row per field, and one per order that only one side has or that differs."""
    rows = []
    for name in FIELDS:
        cause, reason = causes.get(name, ("", ""))
        same = live.fields[name] == backtest.fields[name]
        row = Row(session, name, "", live.fields[name], backtest.fields[name], same, cause, reason)
        if name == RETURN:
            row = replace(row, value_live=live.session_return, value_backtest=backtest.session_return)
        rows.append(row)
    ours, theirs = ({order.client_order_id: order for order in side.orders} for side in (live, backtest))
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one != other:
            known = one or other
            assert known is not None
            item = f"{known.instrument} {known.leg}".strip() if known.kind is Kind.EQUITY else known.instrument
            ours_told, theirs_told = ("none" if order is None else _ordered(order) for order in (one, other))
            cause, reason = causes.get("orders", ("", ""))
            rows.append(Row(session, ORDER, f"{item} {name}", ours_told, theirs_told, False, cause, reason))
    return rows


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """PARITY_CHECK rows."""
    names = [column.name for column in PARITY_CHECK.columns]
    frame = pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names)
    kinds = {"number": "float64", "flag": "bool", "text": "str"}
    frame["session"] = pd.to_datetime(frame["session"]).astype("datetime64[ms]")
    return frame.astype({column.name: kinds[column.kind] for column in PARITY_CHECK.columns if column.kind in kinds})


@dataclass(frozen=True, slots=True)
class Tracking:
    """Live less backtest, return per session: sessions, mean, its standard error (nan below two), mean over error."""

    sessions: int
    mean: float
    error: float
    errors: float

    @property
    def within(self) -> bool:
        """Whether the mean is at most ERRORS_MAX standard errors from 0; not known counts as no."""
        return math.isfinite(self.errors) and abs(self.errors) <= ERRORS_MAX


def tracking_of(frame: pd.DataFrame) -> Tracking:
    """Of PARITY_CHECK rows. Without any difference the error is 0 and the mean 0 errors away."""
    rows = frame[frame["field"] == RETURN].sort_values("session")
    apart = (rows["value_live"] - rows["value_backtest"]).to_numpy(dtype=float)
    n = len(apart)
    if n < 2 or not np.isfinite(apart).all():
        return Tracking(n, math.nan, math.nan, math.nan)
    mean, error = math.fsum(apart) / n, float(apart.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return Tracking(n, mean, error, 0.0 if mean == 0.0 else math.inf)
    return Tracking(n, mean, error, mean / error)


def unexplained(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that nothing explains."""
    return frame[frame["cause"] == UNEXPLAINED]
