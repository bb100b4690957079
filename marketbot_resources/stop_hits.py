"""Stops that quotes broke while the market was open, in the ledger: told by `intraday_exits`, heard by the next account snapshot.

Nothing is sent because of them during the day: an exit needs a plan, a verdict and a frozen batch, and a session has one. They
enter the book's state of the next decision as any other hit, and leave as protective exits. Not here: judging them.
"""

import datetime as dt
from collections.abc import Iterable

from marketbot_resources.errors import SessionRefused
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import QuotedHit
from marketbot_resources.sessions import decided_before

KIND = "intraday_exit"


def refuse_decided(ledger: Ledger, session: dt.date) -> None:
    """Raises SessionRefused once the session's cutoff is recorded: what is quoted later belongs to the next session."""
    if ledger.get("session_cutoff", session.isoformat()) is not None:
        raise SessionRefused(
            f"session {session}: expected quotes before its cutoff, found it recorded; ask for the next session"
        )


def record_hits(ledger: Ledger, session: dt.date, hits: Iterable[QuotedHit]) -> None:
    """Writes each name's first hit of a session once; a later one of the same name changes nothing."""
    for hit in hits:
        key = f"{session.isoformat()}/{hit.instrument}"
        if ledger.get(KIND, key) is None:
            ledger.append(KIND, key, {"control": hit.control, "price": hit.price, "level": hit.level})


def hits_before(ledger: Ledger, session: dt.date) -> tuple[QuotedHit, ...]:
    """The first hit per name between the cutoff of the last decided session and this one's, sorted by instrument."""
    seen, own = decided_before(ledger, session), ledger.get("session_cutoff", session.isoformat())
    after = -1 if seen is None else seen.seq
    found: dict[str, QuotedHit] = {}
    for entry in ledger.entries(KIND):
        if entry.seq > after and (own is None or entry.seq < own.seq):
            name, body = entry.key.split("/")[1], entry.body
            hit = QuotedHit(name, str(body["control"]), str(body["price"]), str(body["level"]))
            found.setdefault(name, hit)
    return tuple(found[name] for name in sorted(found))
