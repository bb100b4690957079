"""Every twin of the paper broker keeps the contract of the port, and its own rules."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import broker_contract
import paper_contract
import pytest
from broker_contract import CASH, SHARES
from paper_world import OPENED, TUESDAY, HandMarket, mandate

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


TWINS = {"in_memory": in_memory, "persistent": persistent, "reopened": reopened}


class PaperWorld:
    """The paper broker as a World of the contract. Its time passes when it is asked."""

    can = frozenset({"dedupe", "partial", "dividends"})

    def __init__(self, twin: Callable[[Path, HandMarket], BrokerPort], path: Path) -> None:
        self._twin, self._path, self.market = twin, path, HandMarket()
        self.market.sigma = 0.0
        self.broker = twin(path, self.market)

    def price(self, price: float, volume: float = 1_000_000.0) -> None:
        self.market.trade("A", TUESDAY, price, volume)

    def pass_to(self, at: dt.datetime) -> None:
        self.broker.report(OPENED, at)

    def reopened(self) -> BrokerPort:
        return self.broker if self._twin is in_memory else ReopenedBroker(self._path, self.market)

    def requests(self) -> int:
        return 0

    def partial(self, quantity: str, price: str) -> None:
        self.price(float(price), volume=50 * (float(quantity) + 0.5))  # 2 % of the volume

    def dividend(self, per_share: str) -> None:
        self.market.happen("CASH_DIVIDEND", amount=float(per_share))

    def fault(self, name: str) -> None:
        raise NotImplementedError

    def foreign(self) -> BrokerPort:
        raise NotImplementedError

    def bust(self, execution_id: str, price: str | None) -> None:
        raise NotImplementedError

    def repeat(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("name", paper_contract.CASES)
def test_paper_rules(name: str, twin: str, tmp_path: Path) -> None:
    """A numbered case of paper_contract.py holds."""
    market = HandMarket()
    paper_contract.CASES[name](TWINS[twin](tmp_path, market), market)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("name", broker_contract.cases_of(PaperWorld.can))
def test_contract(name: str, twin: str, tmp_path: Path) -> None:
    """A numbered case of broker_contract.py holds."""
    broker_contract.CASES[name](PaperWorld(TWINS[twin], tmp_path))
