"""The generated holidays as dates: which exchanges there are and on which weekdays they are closed. Pure, and quick to import.

Not here: how the table is made (`make_holidays`), sessions and instants (`calendars`).
"""

import datetime as dt
from functools import lru_cache

from marketbot_resources import holidays
from marketbot_resources.errors import UsageError
from marketbot_resources.exchange_library import NO_EXCHANGE, SAME_HOURS


def decision_mics() -> tuple[str, ...]:
    """Exchanges whose sessions can be those of decisions: their week is Monday to Friday. Ascending."""
    return tuple(sorted({*_blocks(), *SAME_HOURS}))


def refusal(mic: str) -> str:
    """Why no share can be listed there as far as we know; empty for an exchange whose sessions are known."""
    if mic in _blocks() or mic in SAME_HOURS or mic in holidays.OTHER_WEEKS:
        return ""
    if mic in NO_EXCHANGE:
        return f"expected the MIC of an exchange that lists shares, found {mic}, which {NO_EXCHANGE[mic]}"
    return f"expected the MIC (ISO 10383) of an exchange whose calendar is known, found {mic}"


@lru_cache(maxsize=1)
def _blocks() -> dict[str, str]:
    return dict(block.replace("\n", "").split(":") for block in holidays.TEXT.split("\n\n"))


@lru_cache(maxsize=16)
def weekday_holidays(mic: str) -> tuple[dt.date, dt.date, frozenset[dt.date]]:
    """(first, last) date that the generated table knows of an exchange, and the weekdays between them without a session.

    Raises UsageError for an exchange that cannot be a decision calendar. `make_holidays.encoded` says how it is written.
    """
    text = _blocks().get(SAME_HOURS.get(mic, mic))
    if text is None:
        why = "which has sessions on Sundays" if mic in holidays.OTHER_WEEKS else "which is not among them"
        raise UsageError(f"expected a decision calendar among {', '.join(decision_mics())}, found {mic!r}, {why}")
    text = _blocks()[text[1:]] if text.startswith("=") else text
    first, last = (dt.date.fromisoformat(text[at : at + 8]) for at in (0, 8))
    monday, number, found = first - dt.timedelta(days=first.weekday()), 0, set()
    for character in text[16:]:
        number += len(holidays.DIGITS) if character == "-" else holidays.DIGITS.index(character)
        if character != "-":
            weeks, rest = divmod(number, 5)
            found.add(monday + dt.timedelta(days=7 * weeks + rest))
    return first, last, frozenset(found)
