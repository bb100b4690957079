"""Which sensors and schedules an environment switches on by itself: MARKETBOT_AUTOMATION, read when definitions are loaded.

Unset, every one is off until somebody starts it. Somebody's word in the UI or on Dagster's command line outlives it: Dagster keeps
that in its instance. Not here: permission to trade live money (RC-82), which this neither gives nor replaces.
"""

import dagster as dg

from marketbot_resources import settings
from marketbot_resources.errors import HomeError

ALL = "all"
WORDS = ("alerts", "daily", "declared", "intraday", "orders", "parity")
"""`daily` is daily_sensor and daily_schedule, the others the sensor of that name."""


def words_of(text: str) -> frozenset[str]:
    """The words of MARKETBOT_AUTOMATION. Raises HomeError for any that is not one of WORDS or `all`."""
    given = [word.strip() for word in text.split(",") if word.strip()]
    unknown = sorted(set(given) - {*WORDS, ALL})
    if unknown:
        raise HomeError(
            f"MARKETBOT_AUTOMATION: expected {', '.join(WORDS)} or {ALL}, separated by commas, found {', '.join(unknown)}"
        )
    return frozenset(WORDS if ALL in given else given)


def is_on(word: str) -> bool:
    """Whether this environment switches the word's sensor on."""
    assert word in WORDS, word
    return word in words_of(settings.automation())


def sensor_status(word: str) -> dg.DefaultSensorStatus:
    """What a sensor starts as."""
    return dg.DefaultSensorStatus.RUNNING if is_on(word) else dg.DefaultSensorStatus.STOPPED


def schedule_status(word: str) -> dg.DefaultScheduleStatus:
    """What a schedule starts as."""
    return dg.DefaultScheduleStatus.RUNNING if is_on(word) else dg.DefaultScheduleStatus.STOPPED
