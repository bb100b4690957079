"""Faults put into a clean block on request, each with the truth: what was, what is served. Pure.

Nothing else changes: a bar without a row in the truth is served as it was. A bar has at most one fault, the first session
of a listing none. The draws are the faults' own, so that a world with faults is the clean world, disturbed.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.synthetic import spec as words
from marketbot_resources.synthetic.actions import Action
from marketbot_resources.synthetic.block import Block
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import Floats, stream

PRICE_FIELDS = ("open", "high", "low", "close")
FIELDS = (*PRICE_FIELDS, "volume")
HALT_SESSIONS = (2, 10)
_DAY = 86_400_000_000
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One altered value. `field`: a column, `bar` or `action` for a row that is not served (then the close, amount or ratio).

    Values are numbers: prices, shares, ratios, and seconds since 1970 for `known_at`. None: nothing was served.
    """

    kind: str
    source_id: str
    session: dt.date
    field: str
    true_value: float
    served_value: float | None


@dataclass(frozen=True, slots=True)
class Served:
    """Bars of a block as served: (sessions, listings), NaN where a value is missing. `again`: rows of revisions, clean."""

    fields: dict[str, Floats]
    mask: np.ndarray  # whether a bar is served
    known: np.ndarray  # microseconds, UTC
    again: np.ndarray  # whether the clean bar follows one day after the served one
    faults: tuple[Fault, ...]


def serve(block: Block) -> Served:
    """The bars of a block with its spec's faults."""
    prices, grid = block.prices, block.grid
    fields = {name: getattr(prices, name) for name in FIELDS}
    known = np.broadcast_to(block.known[:, None], prices.close.shape)
    kinds = tuple(block.spec.faults.of_bars())
    if not any(block.spec.faults.of_bars().values()):
        return Served(fields, prices.alive, known, np.zeros_like(prices.alive), ())
    fields, known, mask = {name: values.copy() for name, values in fields.items()}, known.copy(), prices.alive.copy()
    again, found = np.zeros_like(mask), list[tuple[int, int, Fault]]()
    for column, life in enumerate(block.lives):
        chosen, draws = _chosen(block.spec, life.number, life.born, min(life.end + 1, grid.count))
        for place in np.flatnonzero(chosen >= 0).tolist():
            kind, draw = kinds[chosen[place]], draws[place]
            changes = _changes(kind, prices, place, column, draw, int(block.known[place]))
            for field, value in changes.items():
                true = (
                    float(block.known[place] // _MICROS) if field == "known_at" else _true(prices, field, place, column)
                )
                if value is None or value != true:
                    fault = Fault(kind, life.source_id, grid.sessions[place], field, true, value)
                    found.append((column, place, fault))
                if field == "known_at":
                    known[place, column] = int(value or 0) * _MICROS
                elif field != "bar":
                    fields[field][place, column] = np.nan if value is None else value
            mask[place, column] &= "bar" not in changes
            again[place, column] = kind == "REVISION"
    return Served(fields, mask, known, again, tuple(fault for _, _, fault in found))


def _true(prices: object, field: str, place: int, column: int) -> float:
    return float(getattr(prices, "close" if field == "bar" else field)[place, column])


def _chosen(spec: WorldSpec, number: int, born: int, stop: int) -> tuple[np.ndarray, Floats]:
    """(number of the fault's kind per session, -1 for none; the draws in [0, 1) that decide its size)."""
    rates = spec.faults.of_bars()
    edges = np.cumsum(np.array(list(rates.values()))) / SESSIONS_PER_YEAR
    draws = stream(spec.seed, "faults", number).random((max(stop, 0), 3))
    chosen = np.searchsorted(edges, draws[:, 0], side="right")
    chosen = np.where(chosen < len(rates), chosen, -1)
    halt = list(rates).index("HALT")
    least, most = HALT_SESSIONS
    for place in np.flatnonzero(chosen == halt):
        if place > born:
            chosen[place : place + least + int(draws[place, 1] * (most - least + 1))] = halt
    chosen[: born + 1] = -1
    return chosen, draws[:, 1:]


def _changes(kind: str, prices: object, place: int, column: int, draw: Floats, known: int) -> dict[str, float | None]:
    """Field -> the value served instead."""
    now = {name: _true(prices, name, place, column) for name in FIELDS}
    first, second = float(draw[0]), float(draw[1])
    if kind in ("GAP", "HALT"):
        return {"bar": None}
    if kind == "BAD_TICK":
        field = PRICE_FIELDS[int(first * len(PRICE_FIELDS))]
        factor = 1.3 + second if second < 0.5 else 0.2 + second / 2
        return {field: round(now[field] * factor, 6)}
    if kind == "UNIT_ERROR":
        factor = 100.0 if first < 0.5 else 0.01
        return {name: round(now[name] * factor, 6) for name in PRICE_FIELDS}
    if kind == "STALE":
        return {name: _true(prices, name, place - 1, column) for name in FIELDS}
    if kind == "MISSING_VALUE":
        return {"close": None}
    if kind == "NO_VOLUME":
        return {"volume": 0.0}
    if kind == "LATE":
        return {"known_at": float(known // _MICROS + (1 + int(3 * first)) * 86_400)}
    assert kind == "REVISION", kind
    return {"close": round(now["close"] * (1.02 + 0.03 * first), 6)}


def serve_actions(spec: WorldSpec, actions: Sequence[Action]) -> tuple[list[Action], list[Fault]]:
    """The actions that are served, and a row for each that is not."""
    shares = {
        words.SPLIT: ("UNANNOUNCED_SPLIT", spec.faults.unannounced_split),
        words.CASH_DIVIDEND: ("MISSING_DIVIDEND", spec.faults.missing_dividend),
        words.SPECIAL_DIVIDEND: ("MISSING_DIVIDEND", spec.faults.missing_dividend),
    }
    served, faults = list[Action](), list[Fault]()
    for action in actions:
        kind, share = shares.get(action.kind, ("", 0.0))
        day = action.ex_session.toordinal()
        if share > 0 and stream(spec.seed, "action faults", action.number, day).random() < share:
            value = action.ratio if action.kind == words.SPLIT else action.amount
            faults.append(Fault(kind, action.source_id, action.ex_session, "action", value, None))
        else:
            served.append(action)
    return served, faults


def revised_at(known: np.ndarray) -> np.ndarray:
    """When the right bar of a revision is known, microseconds: a day after the wrong one."""
    return known + _DAY
