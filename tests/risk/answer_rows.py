"""Whole answers as rows that a table of cases can hold, and books whose numbers add up by hand."""

from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, batch, factor_model, inputs, tweaked

from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import Projection, project
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

PASS, WARN, SHRINK, BATCH = Status.PASS, Status.WARN, Status.SHRINK, Status.REJECT_BATCH
REDUCE, HALT, DROP = Status.REDUCE_ONLY, Status.HALT, Status.REJECT_ORDER
D, H, L = "mb1-mbd-buy", "mb1-mbh-buy", "mb1-mbl-buy"
BUYS = (D, H, L)
NAN = float("nan")
N = len(NAMES)


def row(found: ControlResult) -> tuple[object, ...]:
    """(status, orders, keep, observed, limit, headroom), numbers to 1e-9."""
    numbers = [x if x is None else pytest.approx(x, abs=1e-9) for x in (found.observed, found.limit, found.headroom)]
    return (found.status, found.order_ids, pytest.approx(found.keep, abs=1e-9), *numbers)


def limits(*pairs: tuple[str, object]) -> Mandate:
    """The mandate with some fields replaced."""
    mandate = MANDATE
    for path, value in pairs:
        mandate = tweaked(mandate, path, value)
    return mandate


def projected(
    facts: RiskInputs | None = None, mandate: Mandate = MANDATE, orders: tuple[Order, ...] | None = None
) -> Projection:
    """The book after the ordinary batch or other orders."""
    with np.errstate(all="ignore"):
        return project(facts or inputs(), batch() if orders is None else orders, mandate)


def holding(**shares: int) -> tuple[Decimal, ...]:
    """Positions of these shares alone."""
    return tuple(Decimal(shares.get(name, 0)) for name in NAMES)


def swings(size: float = 0.01, **changes: object) -> FactorModel:
    """Every name moves by +-size, in eight orthogonal patterns (MBI on as MBA); equal weights over time, no shrinkage."""
    t = np.arange(256)
    patterns = [(-1.0) ** (t >> k) for k in range(8)]
    returns = np.column_stack([size * patterns[k % 8] for k in range(N)])
    facts = {"ewma_halflife": 1e9, "shrinkage": 0.0, "ledoit_wolf_sessions": 256, "returns": returns}
    return factor_model(**{**facts, **changes})
