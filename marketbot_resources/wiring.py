"""The ports as Dagster resources, one table of them. Which adapter serves is the mandate's word, read at run time.

Each resource has one method that returns a plain object which knows no Dagster; tests override a resource with a twin.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_resources import settings
from marketbot_resources.clock import Clock, LiveClock, ReplayClock
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.provider import (
    FundamentalsProvider,
    MacroProvider,
    MarketProvider,
    NewsProvider,
    QuoteProvider,
)
from marketbot_resources.store.resource import StoreResource

if TYPE_CHECKING:
    from marketbot_resources.broker.paper import PaperBroker
    from marketbot_resources.notary import NotaryPort
    from marketbot_resources.store.lake import Lake


class MandateResource(dg.ConfigurableResource):
    """The mandate file (MARKETBOT_MANDATE)."""

    def load(self) -> Mandate:
        """The parsed mandate."""
        return parse_mandate(read_mandate_text())


class ClockResource(dg.ConfigurableResource):
    """The clock that the mandate names."""

    def open(self) -> Clock:
        """The clock."""
        mandate = parse_mandate(read_mandate_text())
        return LiveClock() if mandate.providers.clock == "live" else ReplayClock(mandate.schedule)


class Ports(dg.ConfigurableResource):
    """The data providers that the mandate names. `size` serves load tests: so many listings in the sample world.

    `home`: where imports, and what is remembered of vendors, lie (default: MARKETBOT_HOME).
    """

    size: int | None = None
    home: str | None = None

    def _named(self) -> tuple[Mandate, Path]:
        return parse_mandate(read_mandate_text()), Path(self.home) if self.home else settings.home()

    @property
    def market(self) -> MarketProvider:
        """Listings, bars, corporate actions and reference rates."""
        from marketbot_resources.provider_choice import market_of

        return market_of(*self._named(), self.size)

    @property
    def macro(self) -> MacroProvider:
        """Macro series."""
        from marketbot_resources.provider_choice import macro_of

        return macro_of(*self._named())

    @property
    def fundamentals(self) -> FundamentalsProvider:
        """Figures as filed."""
        from marketbot_resources.provider_choice import fundamentals_of

        return fundamentals_of(*self._named(), self.size)

    @property
    def news(self) -> NewsProvider:
        """Headlines."""
        from marketbot_resources.provider_choice import news_of

        return news_of(*self._named(), self.size)

    @property
    def quotes(self) -> QuoteProvider:
        """Quotes while exchanges trade, for protective exits only."""
        from marketbot_resources.provider_choice import quotes_of

        return quotes_of(*self._named(), self.size)


class BrokerResource(dg.ConfigurableResource):
    """The broker that the mandate names. The paper broker keeps a file in the home."""

    home: str | None = None

    def open(self, mandate: Mandate, ports: Ports) -> "PaperBroker":
        """The broker of the mandate's account."""
        from marketbot_resources.broker.paper import PaperBroker
        from marketbot_resources.broker.provider_market import provider_market

        folder = Path(self.home) if self.home else settings.home()
        market = _traded_in(mandate, ports, folder)
        return PaperBroker(
            folder / "broker.sqlite", mandate, lambda since, until: provider_market(market, mandate, since, until)
        )


def _traded_in(mandate: Mandate, ports: Ports, home: Path) -> MarketProvider:
    """The paper broker's market: the data provider's, or what was received of web services, which are not asked twice."""
    named = mandate.providers
    if isinstance(named.market, str) and not isinstance(named.fx, tuple):
        return ports.market
    from marketbot_resources.market.stored import StoredMarket
    from marketbot_resources.store.lake import open_lake

    return StoredMarket(open_lake(home))


class NotaryResource(dg.ConfigurableResource):
    """Signs the ledger's head through the signer's own process and puts it into the mandate's anchors."""

    def open(self, lake: "Lake", mandate: Mandate) -> "NotaryPort":
        """The notary of a home; the signer's state lies where MARKETBOT_SIGNER says, by default in the home."""
        from marketbot_resources.anchors.opening import open_anchors
        from marketbot_resources.notary import Notary, origin_of
        from marketbot_resources.signer import SignerProcess

        signer = SignerProcess(settings.signer_home(), settings.signer_command())
        anchors = open_anchors(mandate.anchors)
        return Notary(lake.ledger, lake.index, signer, anchors, origin_of(mandate.account.id))


class HaltResource(dg.ConfigurableResource):
    """The halt flag of the home."""

    home: str | None = None

    def open(self) -> HaltSwitch:
        """The switch."""
        return HaltSwitch(Path(self.home) if self.home else settings.home())


def resources() -> dict[str, dg.ConfigurableResource]:
    """Every port by the name that assets use."""
    return {
        "store": StoreResource(),
        "mandate_file": MandateResource(),
        "clock": ClockResource(),
        "ports": Ports(),
        "broker": BrokerResource(),
        "halt": HaltResource(),
        "notary": NotaryResource(),
    }
