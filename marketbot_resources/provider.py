"""The port of every data provider: it hands over bodies as received, parsing happens later and elsewhere.

A provider never repairs, converts or drops anything. `since` and `until` bound `known_at`: since < known_at <= until;
`since` None means everything that the provider has. A failing answer raises ProviderError.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Body:
    """One body as received. `url` carries no secret; `content` is what the blob store hashes."""

    provider: str
    url: str
    content_type: str
    status: int
    content: bytes


class MarketProvider(Protocol):
    """Listings, bars, corporate actions, reference rates."""

    def instruments(self, as_of: dt.datetime) -> Body:
        """The listings as described at the instant."""
        ...

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Daily bars."""
        ...

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Corporate actions by announcement."""
        ...

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Reference rates against the euro."""
        ...


class MacroProvider(Protocol):
    """Macro series with vintages."""

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Observations by release."""
        ...


class FundamentalsProvider(Protocol):
    """Reported figures by filing."""

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Figures by filing instant."""
        ...


class NewsProvider(Protocol):
    """Headlines by crawl time."""

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Body:
        """Headlines."""
        ...
