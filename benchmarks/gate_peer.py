"""The pre-trade checks of NautilusTrader's RiskEngine, timed in an environment that has it: `python gate_peer.py COUNT`.

Limit orders on one listing, each its own command; what passes is taken by an endpoint that does nothing. Not here: our gate, how
rows are compared (`gate`).
"""

import json
import sys
import time
from typing import Any

SAID = "figures: "


def engine() -> tuple[Any, Any, list[Any]]:
    """(risk engine, strategy, list that the passed commands end in)."""
    from nautilus_trader.cache.cache import Cache
    from nautilus_trader.common.component import MessageBus, TestClock
    from nautilus_trader.portfolio.portfolio import Portfolio
    from nautilus_trader.risk.config import RiskEngineConfig
    from nautilus_trader.risk.engine import RiskEngine
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.test_kit.stubs.identifiers import TestIdStubs
    from nautilus_trader.trading.strategy import Strategy

    clock, trader = TestClock(), TestIdStubs.trader_id()
    bus, cache = MessageBus(trader_id=trader, clock=clock), Cache()
    portfolio = Portfolio(msgbus=bus, cache=cache, clock=clock)
    config = RiskEngineConfig(max_order_submit_rate="1000000/00:00:01")
    risk = RiskEngine(portfolio=portfolio, msgbus=bus, cache=cache, clock=clock, config=config)
    passed: list[Any] = []
    bus.register("ExecEngine.execute", passed.append)
    bus.register("ExecEngine.process", lambda event: None)
    cache.add_instrument(TestInstrumentProvider.equity(symbol="AAPL", venue="XNAS"))
    strategy = Strategy()
    strategy.register(trader_id=trader, portfolio=portfolio, msgbus=bus, cache=cache, clock=clock)
    return risk, strategy, passed


def main() -> None:
    """Seconds inside `RiskEngine.execute`."""
    import nautilus_trader
    from nautilus_trader.core.uuid import UUID4
    from nautilus_trader.execution.messages import SubmitOrder
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.model.objects import Price, Quantity

    count = int(sys.argv[1])
    risk, strategy, passed = engine()
    listing = InstrumentId.from_str("AAPL.XNAS")
    commands = []
    for n in range(count):
        order = strategy.order_factory.limit(
            listing, OrderSide.BUY, Quantity.from_int(10 + n % 7), Price.from_str("100.25")
        )
        strategy.cache.add_order(order, None)
        names = {"trader_id": strategy.trader_id, "strategy_id": strategy.id, "position_id": None}
        commands.append(SubmitOrder(**names, order=order, command_id=UUID4(), ts_init=0))
    begun = time.process_time()
    for command in commands:
        risk.execute(command)
    spent = time.process_time() - begun
    assert len(passed) == count, len(passed)
    print(SAID + json.dumps({"seconds": spent, "orders": count, "version": nautilus_trader.__version__}))


if __name__ == "__main__":
    main()
