"""How a control on single orders answers: refused or passed, and which orders are in one name. Pure.

Not here: the controls (`permission_controls`), the statuses and their combination (`control`).
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from marketbot_assets.risk.control import ControlResult, Rule
from marketbot_assets.risk.inputs import Flags
from marketbot_assets.risk.projection import Projection
from marketbot_resources.model import Status

T = TypeVar("T")


def mapping(values: Mapping[str, T]) -> Mapping[str, T]:
    """The mapping itself; raises TypeError for what is none and would look empty."""
    if not isinstance(values, Mapping):
        raise TypeError(f"expected a mapping, found {type(values).__name__}")
    return values


def refused(p: Projection, rule: Rule, key: str, text: str, flags: Flags) -> ControlResult:
    """The flagged orders (m,) are dropped."""
    ids = p.ids(flags)
    return rule.result(
        Status.REJECT_ORDER, text, key=key, observed=len(ids), limit=0, order_ids=ids, keep=0.0, unit="orders"
    )


def passed(rule: Rule, text: str = "") -> ControlResult:
    """Nothing to say, but perhaps what was not checked."""
    return rule.result(Status.PASS, text, observed=0, limit=0, unit="orders")


def of_row(p: Projection, row: int) -> Flags:
    """(m,) the orders in shares of one instrument."""
    return np.asarray(p.rows == row)


def ordered_rows(p: Projection) -> list[int]:
    """Rows of the instruments in which the batch holds an order, in order."""
    return p.once("ordered rows", lambda: sorted({row for row in p.rows.tolist() if row >= 0}))
