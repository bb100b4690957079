"""The beginning of an adapter for the next broker: it refuses everything, and says at each place what belongs there.

Copy it, fill it in from top to bottom, and let the contract suite say when it is done (docs/brokers.md has the steps). What is not
filled in stays refused: an order that cannot be sent is REJECTED without a request, a question that cannot be answered is a
BrokerError. Not here: HTTP (`http`), tickers of instruments (`symbols`), evidence of what went over the wire (`wire_log`).
"""

import datetime as dt
from typing import NoReturn

from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import AccountReport, Acknowledgement, Order, OrderState

# In a module of its own, `<name>_terms.py`, and in `broker_table`: the plan asks it without asking the broker.
SKELETON_CAPABILITIES = Capabilities(
    name="skeleton",
    types=frozenset(),  # only what the adapter sends and the broker's documentation promises
    open_auction=None,  # until when it takes orders for an auction
    close_auction=None,
    dedupes_client_id=False,  # True only when the broker promises for good to take one id once
    lateness_max=dt.timedelta(days=1),  # how long after silence an order may still appear; too long is safe
    mics=frozenset(),  # exchanges, by MIC
)


class SkeletonBroker:
    """A BrokerPort that does nothing."""

    capabilities = SKELETON_CAPABILITIES

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """One order, one POST, never a second one.

        First what needs no request: the instant has a time zone (else BrokerError), the window is open, the prices fit the type
        (`order_types.price_problem`), the capabilities name it: else REJECTED. Then the session and the account, then the POST.
        The answer: taken, and what the broker says of the order is what was asked: ACKED. A refusal in so many words: REJECTED.
        Anything else, silence above all: BrokerError. An id that is taken: find it, compare it, answer its state.
        """
        if at.tzinfo is None:
            raise BrokerError(f"skeleton: expected an instant with a time zone, found {at}")
        return Acknowledgement(
            order.client_order_id, OrderState.REJECTED, "", "the skeleton of an adapter sends nothing"
        )

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """The broker's view of an order by our id. None only when the broker says that it does not know it.

        Every word that the broker has for a state is in one table; another word is UNKNOWN, its reason begins with "unmapped".
        """
        _unwritten("where an order is looked up")

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """One request for an order's end, then the state that the broker shows: CANCELED only when it says so."""
        _unwritten("where an order is canceled")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """Cash per currency, shares per instrument, open orders, executions by id, what was corrected, income and costs.

        Of the mandate's account alone, all pages of it; a holding that is none of our instruments is told under a foreign name.
        """
        _unwritten("where the account is read")


def _unwritten(what: str) -> NoReturn:
    raise BrokerError(f"skeleton: {what} is not written yet")
