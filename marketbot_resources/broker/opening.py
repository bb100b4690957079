"""Which broker serves: the mandate's word, one function per adapter, imported when it is asked for.

Not here: what a broker does (its adapter), what may be sent to it (`execution.gate`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources.mandate import Mandate
from marketbot_resources.market.stored import StoredMarket
from marketbot_resources.model import BrokerPort
from marketbot_resources.provider import MarketProvider

if TYPE_CHECKING:
    from marketbot_resources.wiring import Ports


def open_broker(mandate: Mandate, ports: "Ports", home: Path) -> BrokerPort:
    """The broker of the mandate's account. Raises HomeError or BrokerError when it cannot be opened."""
    return _BROKERS[mandate.broker.name](mandate, ports, home)


def _paper(mandate: Mandate, ports: "Ports", home: Path) -> BrokerPort:
    from marketbot_resources.broker.paper import PaperBroker
    from marketbot_resources.broker.provider_market import provider_market

    market = _traded_in(mandate, ports, home)
    return PaperBroker(
        home / "broker.sqlite", mandate, lambda since, until: provider_market(market, mandate, since, until)
    )


def _alpaca(mandate: Mandate, ports: "Ports", home: Path) -> BrokerPort:
    from marketbot_resources.broker.alpaca import open_alpaca

    return open_alpaca(mandate, home)


def _ibkr(mandate: Mandate, ports: "Ports", home: Path) -> BrokerPort:
    from marketbot_resources.broker.ibkr import open_ibkr

    return open_ibkr(mandate, home)


_BROKERS: Mapping[str, Callable[[Mandate, "Ports", Path], BrokerPort]] = {
    "paper": _paper,
    "alpaca": _alpaca,
    "ibkr": _ibkr,
}


def _traded_in(mandate: Mandate, ports: "Ports", home: Path) -> MarketProvider:
    """The paper broker's market: the data provider's, or what was received of web services, which are not asked twice."""
    named = mandate.providers
    if isinstance(named.market, str) and not isinstance(named.fx, tuple):
        return ports.market
    from marketbot_resources.store.lake import open_lake

    return StoredMarket(open_lake(home))
