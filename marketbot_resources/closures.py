"""Closures that no calendar library knows: the user's own, and those that a broker's calendar or clock tells of. Pure.

The rule (RC-04): what any of the two says is closed, is closed; what only the broker says is open, is unknown. In both cases
nothing is sent and no bar is missed. Not here: asking a broker, the sessions themselves (`calendars`).
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from marketbot_resources.errors import BrokerError
from marketbot_resources.exchange_library import SAME_HOURS

Closed = Mapping[str, frozenset[dt.date]]
"""Exchange -> dates on which it does not trade although the library says so."""
NO_CLOSURES: Closed = MappingProxyType({})


def expanded(closures: Mapping[str, Iterable[dt.date]]) -> Closed:
    """Closures per exchange; one of an exchange also closes those that trade its sessions (XNYS closes XNAS)."""
    closed = {mic: frozenset(days) for mic, days in closures.items()}
    for mic, main in SAME_HOURS.items():
        if main in closures:
            closed[mic] = closed.get(mic, frozenset()) | closed[main]
    return closed


class Standing(StrEnum):
    """Whether an exchange trades: OPEN when all who know say so, CLOSED when one says no, UNKNOWN otherwise."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"


def standing(library_open: bool, broker_open: bool | None) -> Standing:
    """Of one day, or of one instant by a broker's clock. `broker_open` is None when the broker did not say. Only OPEN sends."""
    if broker_open is False or (broker_open is None and not library_open):
        return Standing.CLOSED
    return Standing.OPEN if library_open and broker_open else Standing.UNKNOWN


@dataclass(frozen=True, slots=True)
class Hours:
    """One session: its date and the instants between which it trades."""

    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Merged:
    """What library and broker agree on.

    `sessions`: trading in both, in the hours that both name. `closed`: the broker knows of a closure that the library does not;
    to be treated as `calendar.closures` of the mandate. `unknown`: only the broker trades, or the hours do not overlap: hold.
    """

    sessions: tuple[Hours, ...]
    closed: frozenset[dt.date]
    unknown: frozenset[dt.date]


def merge(library: Sequence[Hours], broker: Sequence[Hours], first: dt.date, last: dt.date) -> Merged:
    """Both calendars over [first, last], which both must cover. A session that a calendar names twice raises BrokerError."""
    ours, theirs = (_by_session(hours, first, last) for hours in (library, broker))
    common = [
        Hours(day, max(ours[day].opens_at, theirs[day].opens_at), min(ours[day].closes_at, theirs[day].closes_at))
        for day in sorted(ours.keys() & theirs.keys())
    ]
    apart = {hours.session for hours in common if not hours.opens_at < hours.closes_at}
    return Merged(
        sessions=tuple(hours for hours in common if hours.session not in apart),
        closed=frozenset(ours.keys() - theirs.keys()),
        unknown=frozenset((theirs.keys() - ours.keys()) | apart),
    )


def _by_session(hours: Sequence[Hours], first: dt.date, last: dt.date) -> dict[dt.date, Hours]:
    within = [one for one in hours if first <= one.session <= last]
    found = {one.session: one for one in within}
    if len(found) != len(within):
        raise BrokerError(f"calendar from {first} to {last}: expected each session once, found one twice")
    return found


def calendar_of(body: bytes, timezone: str) -> tuple[Hours, ...]:
    """Sessions of a broker's calendar: a JSON list of `date`, `open` and `close` (HH:MM, or HHMM) in the exchange's local time.

    The shape is Alpaca's `/v2/calendar`. Raises BrokerError for anything else.
    """
    zone = ZoneInfo(timezone)
    try:
        return tuple(
            Hours(day, _instant(day, row["open"], zone), _instant(day, row["close"], zone))
            for row in _rows(body)
            for day in (dt.date.fromisoformat(row["date"]),)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"calendar: expected rows of date, open and close, found: {error!r}") from error


def _instant(day: dt.date, text: str, zone: ZoneInfo) -> dt.datetime:
    digits = text.replace(":", "")
    if len(digits) != 4 or not digits.isdigit():
        raise ValueError(text)
    return dt.datetime.combine(day, dt.time(int(digits[:2]), int(digits[2:])), zone).astimezone(dt.UTC)


def clock_of(body: bytes) -> tuple[dt.datetime, bool]:
    """(instant, whether the market is open at it) of a broker's clock: Alpaca's `/v2/clock`. Raises BrokerError."""
    try:
        row = json.loads(body)
        at, is_open = dt.datetime.fromisoformat(row["timestamp"]), row["is_open"]
        if at.tzinfo is None or not isinstance(is_open, bool):
            raise ValueError(f"{row['timestamp']}, {is_open!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerError(f"clock: expected a timestamp with zone and is_open, found: {error!r}") from error
    return at.astimezone(dt.UTC), is_open


def _rows(body: bytes) -> list[dict[str, str]]:
    found = json.loads(body)
    if not isinstance(found, list):
        raise TypeError(f"{type(found).__name__} instead of a list")
    return found
