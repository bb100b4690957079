"""Days of the sample world with protective orders at the broker: they fill, block their names and stand beside no other order."""

from collections import Counter

import pytest
from research_world import loop, mandate_with

from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OrderType, Side

COUNT = 14
TIGHT = {
    "RC-62_stop_loss": {"atr20_multiple": 0.5, "min_fraction": 0.01},
    "RC-63_trailing": {"atr20_multiple": 0.5, "min_fraction": 0.01},
}


def rules(word: str) -> Mandate:
    allowed = ["limit_on_open", "stop", "trailing_stop"]
    return mandate_with(execution={"protective": word, "allowed": allowed}, stops=TIGHT)


@pytest.mark.parametrize("word", ["stop", "trailing"])
def test_days_with_protection(world: Tables, word: str) -> None:
    """Every verdict lets them go, each is alone in its name and of what is held, a fill blocks the name (RC-64)."""
    days: list[Day] = list(loop(world, rules(word), COUNT)[0])
    sent, filled = {}, 0
    for number, day in enumerate(days):
        for fill in day.fills:
            order = sent.get(fill.client_order_id)
            if order is not None:
                filled += 1
                assert fill.side is Side.SELL
                assert dict(day.state.blocked)[fill.instrument] > day.known.session
        names = Counter(order.instrument for order in day.decision.batch)
        guards = [order for order in day.decision.batch if order.leg == "S"]
        held = day.rolled.valuation.holdings.shares
        assert all(names[order.instrument] == 1 for order in guards)
        assert all(order.quantity <= held[order.instrument] for order in guards)
        assert all(order.type is (OrderType.STOP if word == "stop" else OrderType.TRAILING_STOP) for order in guards)
        assert guards or number < 3 or not held
        assert day.refused == 0
        sent |= {order.client_order_id: order for order in guards}
    assert sent
    assert filled > 0
