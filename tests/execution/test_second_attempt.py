"""A second attempt that is refused while the first one may still arrive is no end of the order."""

import datetime as dt
from pathlib import Path

import pytest
from sending_world import NOW, REJECTED, UNKNOWN, Twin, frozen, order, send

from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Acknowledgement, Order, OrderState


class RefusesTheSecond(Twin):
    """Loses what it gets first, refuses what it gets again, and knows of neither."""

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        self.submitted.append(order.client_order_id)
        if len(self.submitted) == 1:
            raise BrokerError("connection reset")
        return Acknowledgement(order.client_order_id, REJECTED, "B", "market closed")


@pytest.mark.parametrize(("minutes_late", "state"), [(5, UNKNOWN), (-1, REJECTED)])
def test_a_refusal_counts_when_nothing_earlier_can_arrive(tmp_path: Path, minutes_late: int, state: OrderState) -> None:
    """P7: within the broker's lateness the first attempt may become live after the second was refused: its fate is unknown."""
    orders = (order("a"),)
    ledger = frozen(tmp_path, orders)
    broker = RefusesTheSecond(ledger, True, lateness_max=dt.timedelta(minutes=minutes_late))
    assert send(ledger, broker, orders, now=lambda: NOW).states["mb1-a"] is state
    assert broker.submitted == ["mb1-a", "mb1-a"]
