"""What the paper broker can do: every order type over daily bars, every exchange, currency legs; a sale settles at once. Pure."""

import datetime as dt

from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.model import OrderType

PAPER_CAPABILITIES = Capabilities(
    name="paper",
    types=frozenset(OrderType),
    open_auction=AuctionTerms(closes_before=dt.timedelta(0)),
    close_auction=AuctionTerms(closes_before=dt.timedelta(0)),
    dedupes_client_id=True,
    lateness_max=dt.timedelta(0),
    currency_legs=True,
    settlement_days=0,
    at_once=True,
)
