"""What Alpaca can do and promises, as its documentation of orders states. Pure: no network, for planning and for the adapter.

Source: Alpaca, "Placing orders": an opening order (opg) is taken from 19:00 of the day before until 9:28, a closing one (cls)
from 19:00 of the day before until 15:50, New York; parts of a share are day orders only; a client order id is taken once.
"""

import datetime as dt

from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.model import OrderType

ALPACA_CAPABILITIES = Capabilities(
    name="alpaca",
    types=frozenset(OrderType),
    open_auction=AuctionTerms(closes_before=dt.timedelta(minutes=2), opens_at=dt.time(19, 0)),
    close_auction=AuctionTerms(closes_before=dt.timedelta(minutes=10), opens_at=dt.time(19, 0)),
    dedupes_client_id=True,
    lateness_max=dt.timedelta(seconds=120),
    fractions=True,
    shorts=True,
    mics=frozenset({"XNYS", "XNAS", "ARCX", "BATS", "XASE"}),
    settlement_days=1,
    fraction_types=frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT}),
)
