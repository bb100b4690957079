"""The market that the paper broker trades in: listings, bars, reference rates, corporate actions, as far as they are known.

Facts only. Not here: what the broker makes of them (`paper_advance`), who builds them from stored tables (the caller).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.fillmodel import Bar


@dataclass(frozen=True, slots=True)
class PaperListing:
    """One listing. `sigma_daily` and `adv_shares` (shares per session) price the impact; None or NaN = not known."""

    instrument: str
    mic: str
    currency: str
    is_fund: bool
    quantity_step: Decimal
    tick_size: Decimal
    sigma_daily: float | None
    adv_shares: float | None


@dataclass(frozen=True, slots=True)
class ReferenceRate:
    """One published rate: base currency per unit of `currency`."""

    currency: str
    rate: float
    known_at: dt.datetime


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One event. `kind` CASH_DIVIDEND or SPLIT; `amount` per share held before the ex session, in `currency`.

    `ratio`: new shares per old share; `effective_at`: the open of the ex session on the listing's own exchange.
    """

    instrument: str
    ex_session: dt.date
    kind: str
    amount: float
    ratio: float
    currency: str
    effective_at: dt.datetime


@dataclass(frozen=True, slots=True)
class PaperMarket:
    """What is known at the instant up to which the broker advances. Bars and events of long ago do no harm."""

    listings: Mapping[str, PaperListing]
    bars: tuple[Bar, ...]
    rates: tuple[ReferenceRate, ...]
    actions: tuple[CorporateAction, ...]

    def bars_by_session(self) -> dict[tuple[str, dt.date], Bar]:
        """Bars by (instrument, own session)."""
        return {(bar.instrument, bar.session): bar for bar in self.bars}

    def rate(self, currency: str, at: dt.datetime) -> float | None:
        """The newest rate known at an instant, or None."""
        known = [rate for rate in self.rates if rate.currency == currency and rate.known_at <= at]
        return max(known, key=lambda rate: rate.known_at).rate if known else None

    def last_bars(self, until: dt.datetime) -> dict[str, Bar]:
        """The newest bar of each instrument that opened by the instant."""
        newest: dict[str, Bar] = {}
        for bar in self.bars:
            known = newest.get(bar.instrument)
            if bar.opened_at <= until and (known is None or bar.opened_at > known.opened_at):
                newest[bar.instrument] = bar
        return newest
