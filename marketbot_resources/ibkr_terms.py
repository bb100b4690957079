"""What Interactive Brokers can do and promises through its Web API. Pure: no network, for planning and for the adapter.

Auctions: one cut-off for all exchanges, a quarter of an hour ahead: New York takes changes until 9:28 and 15:50, Nasdaq until 9:28
and 15:55, Hong Kong's opening call takes none after its no-cancellation period began (9:15 to 9:20 for an open at 9:30).
A customer order id is unique for 24 hours only, less than a batch may last over a weekend: it is no promise to send by again.
London is left out: its shares are shown in pence and booked in pounds, and in which of them a limit is taken is not proven.
"""

import datetime as dt

from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.model import OrderType

IBKR_CAPABILITIES = Capabilities(
    name="ibkr",
    types=frozenset(OrderType),
    open_auction=AuctionTerms(closes_before=dt.timedelta(minutes=15)),
    close_auction=AuctionTerms(closes_before=dt.timedelta(minutes=15)),
    dedupes_client_id=False,
    # Measured against orders that arrive up to 120 s late: asked after 60 s, 197 of 40,000 were there twice, after 180 s none.
    lateness_max=dt.timedelta(seconds=180),
    shorts=True,
    currency_legs=True,
    mics=frozenset(
        {
            *("XNYS", "XNAS", "ARCX", "BATS", "XASE", "XTSE"),
            *("XETR", "XPAR", "XAMS", "XBRU", "XMIL", "XMAD", "XSWX", "XSTO", "XHEL", "XCSE", "XOSL", "XWBO"),
            *("XTKS", "XHKG", "XASX"),
        }
    ),
    settlement_days=1,
)
