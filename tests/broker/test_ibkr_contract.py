"""Interactive Brokers' adapter keeps the contract of the port, over HTTP, before a gateway that misbehaves."""

from pathlib import Path

import broker_contract
import pytest
from ibkr_world import IbkrWorld, ibkr_world


@pytest.mark.parametrize("name", broker_contract.cases_of(IbkrWorld.can))
def test_contract(name: str, tmp_path: Path) -> None:
    """A numbered case of broker_contract.py holds."""
    with ibkr_world(tmp_path) as world:
        broker_contract.CASES[name](world)
