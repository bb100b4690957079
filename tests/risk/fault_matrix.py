"""The fail-closed matrix, generated: worlds in which one control refuses a buy, and every input field made unreadable in each.

A fault is (path, what, value). `what`: missing, NaN, inf, -inf, empty, stale, x100, x1e-4, swapped. Paths are walked from the real
dataclasses, so that a new field is in the matrix the day it is added. Not here: what must hold (`test_risk_matrix`).
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

import numpy as np
from control_edges import EDGES, World
from risk_world import (
    MANDATE,
    NAMES,
    SESSION,
    batch,
    book_state,
    inputs,
    operations,
    order,
    trade,
    tweaked,
)

from marketbot_assets.book.state import StopHit
from marketbot_assets.risk.inputs import ReconciliationBreak, RiskInputs
from marketbot_resources.model import OpenOrder, Order, Side, Status

WRONG_UNITS = {"x100": 100.0, "x1e-4": 1e-4}
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Fault:
    """One field of the inputs with another value."""

    path: str
    what: str
    value: object

    def put(self, facts: RiskInputs) -> RiskInputs:
        """The inputs with the fault. Raises what the types raise when they refuse to exist."""
        head, _, rest = self.path.partition(".")
        if not rest:
            return replace(facts, **{head: self.value})  # type: ignore[arg-type]
        return replace(facts, **{head: replace(getattr(facts, head), **{rest: self.value})})  # type: ignore[arg-type]


def fields(facts: RiskInputs) -> Iterator[tuple[str, object]]:
    """(dotted path, value) of every field of the inputs and of the facts inside of them."""
    for field in dataclasses.fields(facts):
        value = getattr(facts, field.name)
        yield field.name, value
        if dataclasses.is_dataclass(value):
            yield from (
                (f"{field.name}.{inner.name}", getattr(value, inner.name)) for inner in dataclasses.fields(value)
            )


def _empty(value: object) -> list[object]:
    """Nothing of the same kind, or of a kind that looks like nothing."""
    if isinstance(value, np.ndarray):
        return [np.array([])]
    if isinstance(value, Mapping):
        return [{}]
    if isinstance(value, frozenset):
        return [frozenset(), ""]
    if isinstance(value, tuple):
        return [(), ""]
    return [""]


def _scaled(value: object, factor: float) -> object | None:
    """The same number in another unit; None where there is none."""
    if isinstance(value, bool | Enum) or value is None:
        return None
    if isinstance(value, int | float):
        return value * factor
    if isinstance(value, Decimal):
        return value * Decimal(repr(factor))
    if isinstance(value, np.ndarray):
        return None if value.dtype == bool else value * factor
    if isinstance(value, Mapping):
        inner = {key: _scaled(item, factor) for key, item in value.items()}
        return inner if inner and None not in inner.values() else None
    if isinstance(value, tuple):
        items = tuple(_scaled(item, factor) for item in value)
        return items if items and not any(item is None for item in items) else None
    return None


def faults(facts: RiskInputs) -> Iterator[Fault]:
    """Every fault of one world."""
    for path, value in fields(facts):
        if value is not None:
            yield Fault(path, "missing", None)
        for number in (float("nan"), float("inf"), float("-inf")):
            yield Fault(path, repr(number), number)
            if isinstance(value, np.ndarray):
                yield Fault(path, f"all {number!r}", np.full(value.shape, number))
        yield from (Fault(path, "empty", nothing) for nothing in _empty(value) if not _same(nothing, value))
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            yield Fault(path, "stale", value - DAY)
        for what, factor in WRONG_UNITS.items():
            scaled = _scaled(value, factor)
            if scaled is not None:
                yield Fault(path, what, scaled)
    yield Fault("currency", "swapped", tuple({"USD": "EUR", "EUR": "USD"}.get(c, c) for c in facts.currency))
    yield Fault("fx_rates", "swapped", {**facts.fx_rates, "EUR": facts.fx_rates["JPY"], "JPY": facts.fx_rates["EUR"]})
    yield Fault("price_age_sessions", "stale", facts.price_age_sessions + 1.0)


def _same(nothing: object, value: object) -> bool:
    return type(nothing) is type(value) and not isinstance(value, np.ndarray) and nothing == value


def _with(facts: RiskInputs, orders: tuple[Order, ...] | None = None) -> World:
    return facts, batch() if orders is None else orders, MANDATE


def _open(side: Side) -> OpenOrder:
    return OpenOrder(
        client_order_id="mb1-open",
        instrument="MBD",
        side=side,
        remaining=Decimal(10),
        limit_price=Decimal(100),
        currency="USD",
    )


def _loss_sold() -> World:
    mandate = tweaked(MANDATE, "account.tax_mode", "avoid")
    return inputs(mandate, book=book_state(sold_at_loss=(("MBD", SESSION - 5 * DAY),))), batch(), mandate


HIT = StopHit("MBD", "RC-62", 80.0, 85.0)
YES_OR_NO: Mapping[str, World] = {
    "RC-01": _with(inputs(known=frozenset(NAMES) - {"MBD"})),
    "RC-02": _with(inputs(trade=trade(ended=frozenset({"MBD"})))),
    "RC-03": _with(
        inputs(trade=trade(listed_on=tuple(SESSION - 5 * DAY if n == "MBD" else dt.date(2000, 1, 3) for n in NAMES)))
    ),
    "RC-04": _with(inputs(trade=trade(next_sessions={k: v for k, v in trade().next_sessions.items() if k != "XNYS"}))),
    "RC-13": _with(inputs(sent_client_order_ids=frozenset({"mb1-mbd-buy"}))),
    "RC-16": _with(inputs(), (order("MBD", "BUY", 200, "100.005"),)),
    "RC-17": _with(inputs(), (replace(order("MBD", "BUY", 200), limit_price=None), *batch()[1:])),
    "RC-21": _with(inputs(trade=trade(open_orders=(_open(Side.SELL),)))),
    "RC-22": _loss_sold(),
    "RC-62": _with(inputs(book=book_state(stop_hits=(HIT,)))),
    "RC-63": _with(inputs(book=book_state(stop_hits=(replace(HIT, control="RC-63"),)))),
    "RC-66": _with(inputs(operations=operations(overfills=("e9 beyond its order",)))),
    "RC-67": _with(inputs(breaks=(ReconciliationBreak("MBA", "ten shares are missing", explained=False),))),
    "RC-69": _with(inputs(operations=operations(overdue_orders=("mb1-old",)))),
    "RC-80": _with(inputs(halt_flag="on")),
    "RC-81": _with(inputs(operations=operations(other_sessions=("2018-12-10",)))),
    "RC-82": _with(inputs(operations=operations(environment="live"))),
    "RC-84": _with(inputs(ledger_ready=False)),
    "RC-88": _with(inputs(operations=operations(model_spec="b" * 64))),
}


def firing() -> dict[str, World]:
    """Name -> a world in which this control refuses a buy or more; edges at which it refuses a sale are none."""
    found = {f"{control} yes or no": world for control, world in YES_OR_NO.items()}
    for edge in EDGES:
        world = edge.build(edge.loud[-1])
        if (
            edge.status >= Status.SHRINK
            and any(order.side is Side.BUY for order in world[1])
            and edge.control != "RC-22"
        ):
            found[f"{edge.control} {edge.name}"] = world
    return found
