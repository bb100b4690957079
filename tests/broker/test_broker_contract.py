"""Every twin of the paper broker keeps the contract of the port."""

from collections.abc import Callable
from pathlib import Path

import pytest
from broker_contract import CASES, CASH, SHARES
from paper_world import OPENED, HandMarket, mandate

from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.model import BrokerPort
from marketbot_resources.paper import PaperAccount


class ReopenedBroker:
    """A PaperBroker that is opened anew for each call: nothing may live in the process alone."""

    def __init__(self, path: Path, market: HandMarket) -> None:
        self._path, self._market = path, market
        persistent(path, market)

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(PaperBroker(self._path / "paper.sqlite", mandate(), lambda since, until: self._market), name)


def in_memory(path: Path, market: HandMarket) -> BrokerPort:
    return PaperAccount(mandate(), market, cash=CASH, shares=SHARES, opened_at=OPENED)


def persistent(path: Path, market: HandMarket) -> BrokerPort:
    broker = PaperBroker(path / "paper.sqlite", mandate(), lambda since, until: market)
    broker.seed(CASH, SHARES, OPENED)
    return broker


def reopened(path: Path, market: HandMarket) -> BrokerPort:
    return ReopenedBroker(path, market)


@pytest.mark.parametrize("twin", [in_memory, persistent, reopened], ids=lambda twin: twin.__name__)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, twin: Callable[[Path, HandMarket], BrokerPort], tmp_path: Path) -> None:
    """A numbered case of broker_contract.py holds."""
    market = HandMarket()
    CASES[name](twin(tmp_path, market), market)
