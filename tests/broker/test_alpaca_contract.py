"""Alpaca's adapter keeps the contract of the broker port, whether Alpaca refuses ids that it has taken or not."""

from pathlib import Path

import broker_contract
import pytest
from alpaca_world import AlpacaWorld


@pytest.mark.parametrize("name", broker_contract.cases_of(AlpacaWorld.can))
def test_contract(name: str, tmp_path: Path) -> None:
    """A numbered case of broker_contract.py holds over HTTP; the server takes the same id as often as it comes."""
    world = AlpacaWorld(tmp_path)
    try:
        broker_contract.CASES[name](world)
    finally:
        world.close()


@pytest.mark.parametrize("name", broker_contract.cases_of(AlpacaWorld.can | {"dedupe"}))
def test_contract_with_ids_taken_once(name: str, tmp_path: Path) -> None:
    """The same, and the cases of a broker that takes an id once."""
    world = AlpacaWorld(tmp_path, dedupes=True)
    try:
        broker_contract.CASES[name](world)
    finally:
        world.close()
