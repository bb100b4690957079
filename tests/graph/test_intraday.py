"""Quotes of the day: recorded by job `intraday`, sold by the next decision, rebuilt by the replay; never an order by themselves."""

import datetime as dt

import dagster as dg
import pytest
from graph_world import AFTER, NEXT, ROOT, SECOND, Home, edited

from marketbot_assets.automation_intraday import intraday_sensor, next_decision, quotes_due
from marketbot_assets.jobs import QUOTED
from marketbot_assets.replay import Outcome, Replay
from marketbot_resources.clock import Clock
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.market.sample_quotes import SampleQuotes
from marketbot_resources.provider import QuoteProvider
from marketbot_resources.wiring import ClockResource, Ports, resources

pytestmark = pytest.mark.graph
TEXT = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
QUOTING = parse_mandate(TEXT.replace("intraday: null", "intraday: {minutes: 5}"))
OPENED = dt.date(2018, 12, 12)


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


class At(ClockResource):
    """The clock of a minute in the session's day."""

    minute: int

    def open(self) -> Clock:
        return Minute(self.minute)


class Minute:
    """Stands at a minute after 15:00 UTC of the session's date."""

    live = True

    def __init__(self, minute: int) -> None:
        self._minute = dt.timedelta(hours=15, minutes=minute)

    def now(self, session: dt.date) -> dt.datetime:
        return dt.datetime(session.year, session.month, session.day, tzinfo=dt.UTC) + self._minute

    def sending(self, session: dt.date) -> dt.datetime:
        return self.now(session)


class Crash(Ports):
    """Merck is quoted 17 % lower: below its stop, 15 % under what it was bought at."""

    @property
    def quotes(self) -> QuoteProvider:
        falls = [["US-MRK", "*", column, "*0.83"] for column in ("bid", "ask", "last")]
        return SampleQuotes(transform=lambda kind, content: edited(content, falls))


def test_a_stop_broken_during_the_day_is_sold_by_the_next_decision(home: Home) -> None:
    """One low quote does nothing, two record the exit and send nothing; the next session sells, though the close is fine."""
    before, merck = home.sent(NEXT), home.instrument("US-MRK")
    assert home.run(NEXT, {"ports": Crash(), "clock": At(minute=0)}, job="intraday")
    assert home.frame("intraday_exits", NEXT).empty
    assert home.run(NEXT, {"ports": Crash(), "clock": At(minute=5)}, job="intraday")
    (row,) = home.frame("intraday_exits", NEXT).to_dict("records")
    assert (row["instrument"], row["control"]) == (merck, "RC-62")
    quotes = home.frame("intraday_quotes", NEXT)
    assert quotes["known_at"].nunique() == 2
    held = home.frame("positions", SECOND)
    assert set(quotes["instrument"]) <= set(held.loc[held["kind"] == "POSITION", "instrument"])
    assert home.sent(NEXT) == before == {}

    assert home.run(NEXT)
    due = home.frame("protective_exits", NEXT)
    assert due["instrument"].tolist() == [merck]
    assert due["close"].iloc[0] == pytest.approx(row["bid"])
    assert ("US-MRK", "SELL") in home.trades(NEXT)
    replayed = Replay(home.lake).some(NEXT, (*QUOTED, "book_state", "protective_exits", "orders"))
    assert {item.outcome for item in replayed} == {Outcome.EQUAL}
    assert {item.version.asset for item in replayed} >= {"book_state", "protective_exits", "orders"}

    assert not home.run(NEXT, {"ports": Crash(), "clock": At(minute=10)}, job="intraday"), "its cutoff is recorded"
    assert home.run(AFTER)
    assert merck not in set(home.frame("positions", AFTER)["instrument"])


def test_the_daily_run_asks_for_no_quotes(undisturbed: Home) -> None:
    """Without job `intraday` there is no quote, no hit, no row of one."""
    assert not any(undisturbed.has(name, NEXT) for name in QUOTED)
    assert "STOP_HIT" not in set(undisturbed.frame("account_snapshot", NEXT)["kind"])


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2018-12-13T15:00", "2018-12-13"), ("2018-12-13T23:15", "2018-12-13"), ("2018-12-13T23:16", "2018-12-14"),
        ("2018-12-15T12:00", "2018-12-17"), ("2018-12-25T02:00", "2018-12-26"), ("2022-12-28T23:16", None),
    ],
)  # fmt: skip
def test_quotes_belong_to_the_next_decision(now: str, session: str | None) -> None:
    """Until a session's deadline they are its own, then the next one's; after the last session nobody's."""
    found = next_decision(QUOTING, instant(now))
    assert found == (dt.date.fromisoformat(session) if session else None)


@pytest.mark.parametrize(
    ("now", "opened", "ended", "running", "mandate", "said"),
    [
        ("2018-12-14T15:00", OPENED, (), False, parse_mandate(TEXT), "has no key `intraday`"),
        (None, OPENED, (), False, QUOTING, "on the live clock only"),
        ("2018-12-14T15:00", None, (), False, QUOTING, "nothing is held"),
        ("2018-12-14T15:00", dt.date(2018, 12, 14), (), False, QUOTING, "nothing is held"),
        ("2018-12-14T22:45", OPENED, (), False, QUOTING, "its run has begun"),
        ("2018-12-14T15:00", OPENED, (dt.date(2018, 12, 14),), False, QUOTING, "its run has begun"),
        ("2018-12-14T15:00", OPENED, (), True, QUOTING, "one run at a time"),
        ("2018-12-14T21:30", OPENED, (), False, QUOTING, "no exchange of the universe trades"),
        ("2018-12-15T15:00", OPENED, (), False, QUOTING, "no exchange of the universe trades"),
    ],
)  # fmt: skip
def test_quotes_are_not_asked_for(
    now: str | None, opened: dt.date | None, ended: tuple[dt.date, ...], running: bool, mandate: Mandate, said: str
) -> None:
    """Off, replayed, nothing held, decided, busy or closed: the sensor says which."""
    at = instant(now) if now else None
    found = quotes_due(mandate=mandate, now=at, opened=opened, ended=ended, running=running)
    assert isinstance(found, str)
    assert said in found


def test_quotes_are_asked_for_once_per_interval() -> None:
    """Two ticks within five minutes name the same run, the third another one; Tokyo's morning counts for New York's evening."""
    keys = []
    for now in ("2018-12-14T15:00:00", "2018-12-14T15:04:59", "2018-12-14T15:05:00", "2018-12-14T01:00:00"):
        found = quotes_due(mandate=QUOTING, now=instant(now), opened=OPENED, ended=(), running=False)
        assert not isinstance(found, str)
        assert found[0] == dt.date(2018, 12, 14)
        keys.append(found[1])
    assert keys[0] == keys[1] != keys[2]
    assert len(set(keys)) == 3


def test_the_sensor_is_off_and_silent_by_default(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped until someone starts it; on the default mandate it says why it asks for nothing."""
    assert intraday_sensor.default_status is dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    with dg.DagsterInstance.ephemeral() as instance:
        names = ("store", "mandate_file", "clock")
        context = dg.build_sensor_context(instance=instance, resources={name: resources()[name] for name in names})
        skipped = intraday_sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "no key `intraday`" in str(skipped.skip_message)
