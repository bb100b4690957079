"""One answer of a control compared field by field, and the small arrays that the cases need."""

from decimal import Decimal

import numpy as np
import pytest
from risk_world import NAMES

from marketbot_assets.risk.control import ControlResult
from marketbot_resources.model import Status

BUYS = ("mb1-mbd-buy", "mb1-mbh-buy", "mb1-mbl-buy")  # what adds risk in the ordinary batch


def of(name: str, value: float, others: float) -> np.ndarray:
    """(12,) one value for a name and another one for the rest."""
    return np.array([value if other == name else others for other in NAMES])


def holding(**shares: int) -> tuple[Decimal, ...]:
    """(12,) shares by name, none of the rest."""
    return tuple(Decimal(shares.get(name, 0)) for name in NAMES)


def shows(
    found: ControlResult,
    status: Status,
    observed: float | None,
    limit: float | None,
    ids: tuple[str, ...] = (),
    keep: float = 1.0,
) -> bool:
    """True when everything is as told, within 1e-9; what does not pass has to say why. Else an assertion."""
    assert found.status is status, found
    assert found.observed == (None if observed is None else pytest.approx(observed, rel=1e-9, abs=1e-12)), found
    assert found.limit == (None if limit is None else pytest.approx(limit, rel=1e-9, abs=1e-12)), found
    assert (found.order_ids, found.keep) == (ids, pytest.approx(keep, rel=1e-9)), found
    assert found.message or status is Status.PASS, found
    return True
