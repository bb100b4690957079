"""Which session or week is due a digest, which recorded digest is still to be sent, and which came too late. Pure.

A digest is an entry of the ledger that names its stored message by hash; it is delivered as an alert of severity INFO is. Not here:
what it says (`marketbot_assets.audit.digest`), where it is made (`marketbot_assets.digests`), sending (`delivery`).
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence

from marketbot_resources.alerts import Alert, Severity
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.delivery_plan import DIGEST, Kinds
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.mandate import Calendar
from marketbot_resources.notify.port import Message

DAILY, WEEKLY = "daily", "weekly"
SENT, FAILED, DROPPED = "digest_sent", "digest_failed", "digest_dropped"
DIGESTS = Kinds("digest", (SENT, DROPPED), FAILED)
LATE = dt.timedelta(days=3)
CATCH_UP = 5  # sessions told of at once after a time without digests; older ones stay in the ledger and the reports


def week_of(session: dt.date) -> str:
    """The ISO week of a session: 2018-W51."""
    year, week, _ = session.isocalendar()
    return f"{year}-W{week:02d}"


def digest_alert(kind: str, label: str, title: str) -> Alert:
    """The digest of a session or week as what is delivered; its key is DIGEST/kind/label."""
    return Alert(DIGEST, Severity.INFO, kind, label, title)


def sessions_due(complete: Sequence[dt.date], told: Iterable[str]) -> list[dt.date]:
    """Sessions without a digest, oldest first. `complete`: those that are over, ascending; `told`: sessions that have one.

    The first digest of a home is of its newest session: nobody is told of years that went before.
    """
    newest = max(told, default=None)
    if newest is None:
        return list(complete[-1:])
    return [day for day in complete if day.isoformat() > newest][-CATCH_UP:]


def weeks_due(
    complete: Sequence[dt.date], calendar: Calendar, told: Iterable[str], begun: dt.date | None = None
) -> list[tuple[str, dt.date]]:
    """(week, its newest session that is over) of weeks that are over and have no digest, oldest first.

    A week is over with its last session of the decision calendar, or once one of a later week has begun (`begun`: the newest).
    """
    newest = max(told, default=None)
    last: dict[str, dt.date] = {}
    for day in complete:
        last[week_of(day)] = day
    over = [(week, day) for week, day in sorted(last.items()) if _is_over(day, calendar, begun)]
    if newest is None:
        return [pair for pair in over if pair[1] == complete[-1]]
    return [pair for pair in over if pair[0] > newest][-1:]


def _is_over(day: dt.date, calendar: Calendar, begun: dt.date | None) -> bool:
    sunday = day + dt.timedelta(days=7 - day.isoweekday())
    rest = decision_sessions(calendar, day + dt.timedelta(days=1), sunday)
    return not rest or day == calendar.last_session or (begun is not None and begun > sunday)


def late(entry: Entry, now: dt.datetime) -> bool:
    """Whether a recorded digest is too old to be sent."""
    return now - dt.datetime.fromisoformat(str(entry.body["at"])) > LATE


def stored_bytes(message: Message) -> bytes:
    """The message as it is kept: the same message gives the same bytes. Its name follows from their hash."""
    told = {"title": message.title, "text": message.text, "html": message.html, "blocks": list(message.blocks)}
    return json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def message_from(body: bytes, digest: str) -> Message:
    """The message of stored bytes with this SHA-256. Raises StoreError when they are none."""
    try:
        told: Mapping[str, Json] = json.loads(body)
        blocks = told["blocks"]
        assert isinstance(blocks, list)
        return Message(
            str(told["title"]), str(told["text"]), f"marketbot.digest.{digest[:32]}", str(told["html"]), tuple(blocks)
        )
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise StoreError(f"digest {digest[:12]}: expected a stored message, found {type(error).__name__}") from error
