"""The ports as Dagster resources, one table of them. Which adapter serves is the mandate's word, read at run time.

Each resource has one method that returns a plain object which knows no Dagster; tests override a resource with a twin.
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, cast

import dagster as dg
from pydantic import PrivateAttr

from marketbot_resources import settings
from marketbot_resources.clock import Clock, open_clock
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.llm import LlmPort
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.model import BrokerPort
from marketbot_resources.provider import (
    FundamentalsProvider,
    MacroProvider,
    MarketProvider,
    NewsProvider,
    QuoteProvider,
)
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.resource import StoreResource

if TYPE_CHECKING:
    from marketbot_resources.broker.paper import PaperBroker
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.notary import NotaryPort
    from marketbot_resources.store.lake import Lake


SESSION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")


class MandateResource(dg.ConfigurableResource):
    """The mandate file (MARKETBOT_MANDATE)."""

    def load(self) -> Mandate:
        """The parsed mandate."""
        return parse_mandate(read_mandate_text())


class Governed(dg.ConfigurableResource):
    """A resource that does as the mandate says: in a session's run the stored one, which its first step admitted.

    An edit of the file during a run, or a run without the step `mandate`, changes nothing here. `home`: default MARKETBOT_HOME.
    """

    home: str | None = None
    _of_a_session: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Notes whether this is the run of a session; a backtest and a sensor read the file."""
        tags = context.run.tags if context.run else {}
        self._of_a_session = any(name in tags for name in SESSION_TAGS)

    @property
    def folder(self) -> Path:
        """The home."""
        return Path(self.home) if self.home else settings.home()

    def mandate(self) -> Mandate:
        """The mandate that counts here and now; the file's in a home that has stored none."""
        from marketbot_resources.store.lake import open_lake

        lake = open_lake(self.folder) if self._of_a_session else None
        stored = lake.index.newest("mandate", STATIC) if lake else None
        if lake is None or stored is None:
            return parse_mandate(read_mandate_text())
        return parse_mandate(str(lake.load(stored)["canonical_json"].iloc[0]))


class ClockResource(Governed):
    """The clock that the mandate names."""

    def open(self) -> Clock:
        """The clock."""
        mandate = self.mandate()
        return open_clock(mandate.providers.clock, mandate.schedule)


class Ports(Governed):
    """The data providers that the mandate names. `size` serves load tests: so many listings in the sample world.

    `home`: where imports, and what is remembered of vendors, lie (default: MARKETBOT_HOME).
    """

    size: int | None = None

    def _named(self) -> tuple[Mandate, Path]:
        return self.mandate(), self.folder

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

    def open(self, mandate: Mandate, ports: Ports) -> BrokerPort:
        """The broker of the mandate's account."""
        from marketbot_resources.broker.opening import open_broker

        return open_broker(mandate, ports, Path(self.home) if self.home else settings.home())

    def seed(
        self,
        mandate: Mandate,
        ports: Ports,
        cash: Mapping[str, Decimal],
        shares: Mapping[str, Decimal],
        at: dt.datetime,
    ) -> None:
        """Opens the paper account once; a real broker holds what it holds."""
        if mandate.broker.name == "paper":
            cast("PaperBroker", self.open(mandate, ports)).seed(cash, shares, at)

    def record_opening(self, mandate: Mandate, ports: Ports, ledger: "Ledger", at: dt.datetime) -> None:
        """Tells the ledger once what a real broker holds; the paper broker holds nothing before it is seeded."""
        from marketbot_resources.broker.opening_snapshot import record_opening

        if mandate.broker.name != "paper":
            record_opening(ledger, self.open(mandate, ports), mandate.account.id, at)


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


class LlmResource(Governed):
    """The language models that the mandate names, each call in a process of its own; none are asked when it names none."""

    def open(self) -> LlmPort:
        """The port."""
        from marketbot_resources.llm_process import LlmProcess

        named = self.mandate().llm
        return LlmProcess(self.folder, cache=named is not None and named.cache == "redis")


class HaltResource(dg.ConfigurableResource):
    """The halt flag of the home, with the sources beside its file."""

    home: str | None = None

    def open(self) -> HaltSwitch:
        """The switch."""
        from marketbot_resources.halt_sources import open_halt

        return open_halt(Path(self.home) if self.home else settings.home(), keep=True)


def resources() -> dict[str, dg.ConfigurableResource]:
    """Every port by the name that assets use."""
    return {
        "store": StoreResource(),
        "mandate_file": MandateResource(),
        "clock": ClockResource(),
        "ports": Ports(),
        "broker": BrokerResource(),
        "halt": HaltResource(),
        "llm": LlmResource(),
        "notary": NotaryResource(),
    }
