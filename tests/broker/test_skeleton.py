"""The skeleton of an adapter fails closed: whatever a case asks of it, no order gets out and nothing is told."""

import datetime as dt
from pathlib import Path

import broker_contract
import pytest
from paper_world import SENT, order

from marketbot_resources.broker.skeleton import SkeletonBroker
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import AccountReport, Acknowledgement, Order, OrderState


class Watched(SkeletonBroker):
    """Keeps every answer."""

    def __init__(self) -> None:
        self.answers: list[Acknowledgement] = []
        self.told: list[object] = []

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        self.answers.append(super().submit(order, at))
        return self.answers[-1]

    def find(self, client_order_id: str) -> Acknowledgement | None:
        self.told.append(super().find(client_order_id))
        return None

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        self.told.append(super().cancel(client_order_id, at))
        return None

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        self.told.append(super().report(since, until))
        raise AssertionError("it told an account")


class SkeletonWorld:
    """A broker behind which there is nothing: whatever moves it does nothing."""

    def __init__(self) -> None:
        self.broker = Watched()

    def reopened(self) -> Watched:
        return self.broker

    def foreign(self) -> Watched:
        return self.broker

    def requests(self) -> int:
        return 0

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return lambda *given, **named: None


@pytest.mark.parametrize("name", broker_contract.CASES)
def test_the_skeleton_fails_closed(name: str, tmp_path: Path) -> None:
    """Every answer to an order is REJECTED, every question an error; a case that passes asked for no more than that."""
    world = SkeletonWorld()
    try:
        broker_contract.CASES[name](world)  # type: ignore[arg-type]
    except (BrokerError, AssertionError, pytest.fail.Exception):
        pass  # a case may be unhappy; what got out is judged below
    assert {answer.state for answer in world.broker.answers} <= {OrderState.REJECTED}
    assert world.broker.told == []


def test_it_sends_nothing_and_knows_nothing() -> None:
    broker = SkeletonBroker()
    assert broker.submit(order(), SENT).state is OrderState.REJECTED
    with pytest.raises(BrokerError, match="time zone"):
        broker.submit(order(), SENT.replace(tzinfo=None))
    for ask in (lambda: broker.find("o1"), lambda: broker.cancel("o1", SENT), lambda: broker.report(SENT, SENT)):
        with pytest.raises(BrokerError, match="not written yet"):
            ask()
    assert (broker.capabilities.types, broker.capabilities.mics) == (frozenset(), frozenset())
