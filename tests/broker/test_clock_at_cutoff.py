"""RC-83: a run that died between its cutoff and its snapshot and is begun again later finds no fault in the broker's clock."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from told_account import DAYS, ToldBroker, ToldHome, cutoff

from marketbot_resources.clock import ReplayClock
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import AccountReport

SECOND = dt.timedelta(seconds=1)


class HandClock(ReplayClock):
    """A live clock that a test sets."""

    live = True
    at = cutoff(DAYS[0])

    def now(self, session: dt.date) -> dt.datetime:
        return self.at


@dataclass
class ClockedBroker(ToldBroker):
    """Tells its own clock, or with None the instant that it is asked for, as a broker that keeps the session's clock."""

    clock: Callable[[], dt.datetime] | None = None

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told = super().report(since, until)
        return replace(told, broker_at=until if self.clock is None else self.clock())


@pytest.mark.parametrize("seconds", [0, 31, 300, 12 * 3600])
@pytest.mark.parametrize("ahead", [None, 0, 45, -3600])
def test_the_clock_is_judged_as_it_was_at_the_cutoff(tmp_path: Path, seconds: int, ahead: int | None) -> None:
    """However late the second start is; a clock that is wrong stays as wrong."""
    broker = ClockedBroker(silent=True)
    home = ToldHome(tmp_path, broker)
    clock = home.clock = HandClock(home.mandate.schedule)
    if ahead is not None:
        broker.clock = lambda: clock.at + ahead * SECOND
    with pytest.raises(BrokerError):
        home.snapshot(DAYS[0])
    assert home.covered(DAYS[0]) == cutoff(DAYS[0]), "it died after its cutoff was recorded"

    broker.silent, clock.at = False, cutoff(DAYS[0]) + seconds * SECOND
    snapshot = home.snapshot(DAYS[0])

    told = snapshot.loc[snapshot["kind"] == "BROKER", "at"].iloc[0].to_pydatetime()
    assert told - cutoff(DAYS[0]) == (ahead or 0) * SECOND
