"""One run at a time sends an account's orders (RC-81): a lock that ends with its holder, and a token that outranks it.

The lock tells runs apart that know of each other. A run that cannot have it, because its holder hangs, takes over once that
one has given no sign of life for a while; each taking over is the next token in the ledger (`sending_fence`), and whatever a
sender appends, the ledger takes under the newest token alone. Not here: what is sent (`sending`), the ledger's side of it.
"""

import datetime as dt
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from marketbot_resources.errors import AlreadySending, Equivocation
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import SENDING_FENCE, Entry, Fence, Json
from marketbot_resources.model import utc_text

TIME_TO_LIVE = dt.timedelta(seconds=60)
SIGN = "machine_at"


@contextmanager
def single_flight(
    ledger: Ledger,
    account: str,
    session: dt.date,
    *,
    machine_now: Callable[[], dt.datetime],
    time_to_live: dt.timedelta = TIME_TO_LIVE,
    batch_no: int = 1,
) -> Iterator[Fence]:
    """The right to send this account's orders, for the batch of a session. Raises AlreadySending while another run has it.

    A holder that the system knows to be gone is followed at once; one that it does not, when it gave no sign of life for
    `time_to_live`. `machine_now`: the machine's clock, by which signs of life are dated, also where sessions are replayed.
    """
    with ledger.alone(f"sending/{account}") as alone:
        newest = newest_token(ledger, account)
        if newest is not None and not (alone and newest.body["locked"] is True):
            _check_silent(ledger, account, newest, machine_now(), time_to_live)
        fence = Fence(account, 1 + (0 if newest is None else _number(newest)))
        body: dict[str, Json] = {
            "session": session.isoformat(),
            "batch_no": batch_no,
            "holder": f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}",
            "locked": alone,
            SIGN: utc_text(machine_now()),
        }
        try:
            ledger.append(SENDING_FENCE, fence.key, body)
        except Equivocation as error:
            raise AlreadySending(f"account {account}: another run took over its sending at this moment") from error
        yield fence


def newest_token(ledger: Ledger, account: str) -> Entry | None:
    """The newest token of an account, found by halving, because tokens have no gaps; None before the first."""
    found, missing = 0, 1
    newest: Entry | None = None
    while (entry := ledger.get(SENDING_FENCE, Fence(account, missing).key)) is not None:
        newest, found, missing = entry, missing, 2 * missing
    while missing - found > 1:
        middle = (found + missing) // 2
        entry = ledger.get(SENDING_FENCE, Fence(account, middle).key)
        if entry is None:
            missing = middle
        else:
            newest, found = entry, middle
    return newest


def last_sign_of_life(ledger: Ledger, account: str, token: Entry) -> dt.datetime:
    """When the holder of a token last appended something, by its machine's clock."""
    signs = [str(token.body[SIGN])]
    batch = ledger.get("batch_frozen", f"{account}/{token.body['session']}/{token.body['batch_no']}")
    orders = batch.body["orders"] if batch is not None else []
    assert isinstance(orders, Sequence)
    for order in orders:
        assert isinstance(order, Mapping)
        for kind in ("order_event", "order_lookup"):
            events = ledger.entries(kind, f"{order['client_order_id']}/")
            signs += [str(event.body[SIGN]) for event in events if event.body.get("fence") == _number(token)]
    return max(dt.datetime.fromisoformat(sign) for sign in signs)


def _check_silent(ledger: Ledger, account: str, newest: Entry, now: dt.datetime, time_to_live: dt.timedelta) -> None:
    """A holder whose clock is ahead of ours counts as alive."""
    sign = last_sign_of_life(ledger, account, newest)
    if now - sign < time_to_live:
        raise AlreadySending(
            f"account {account}: another run is sending, since {newest.body[SIGN]} (session {newest.body['session']}, "
            f"{newest.body['holder']}, last heard of at {utc_text(sign)}); leave it to that one"
        )


def _number(token: Entry) -> int:
    return int(token.key.rsplit("/", 1)[1])
