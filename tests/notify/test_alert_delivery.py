"""Delivery over real servers and a real ledger on a clock that the test moves: once, in order, to the next channel, in a storm."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from alert_servers import HookServer, MailServer

from marketbot_resources.alert_codes import CODES, raised
from marketbot_resources.alert_detection import weekly_test
from marketbot_resources.alerts import FAILED, HEARTBEAT, SENT, Alert, told_in
from marketbot_resources.delivery import Delivery, record, standing
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate_notification import Channel, Heartbeat, Notification, QuietHours
from marketbot_resources.notifier import watcher_of
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.sessions import record_end

DAY = dt.date(2018, 12, 11)
NOON = dt.datetime(2018, 12, 11, 12, tzinfo=dt.UTC)
QUIET = QuietHours(begin="22:00", until="07:00", timezone="UTC")


@dataclass
class World:
    """A ledger, two channels in this order (a webhook, a mailbox), and a clock."""

    ledger: SqliteLedger
    hook: HookServer
    mail: MailServer
    now: dt.datetime = NOON
    waited: list[float] = field(default_factory=list)
    section: Notification | None = None

    def notification(self, **changes: object) -> Notification:
        mail = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": self.mail.port, "security": "plain",
                "from": "bot@example.org", "to": ["me@example.org"], "severity_min": "INFO"}  # fmt: skip
        told = {"channels": [{"name": "ops", "kind": "slack"}, mail], **changes}
        return Notification.model_validate(told)

    def delivery(self) -> Delivery:
        section = self.section or self.notification()
        given = {"MARKETBOT_SLACK_WEBHOOK": self.hook.address, "MARKETBOT_HEARTBEAT_URL": self.hook.address}
        transports = {c.name: open_channel(c, given, timeout=10.0) for c in section.channels}
        watcher = watcher_of(section.heartbeat, self.hook.address)
        return Delivery(self.ledger, section, transports, now=lambda: self.now, wait=self.pass_time, watcher=watcher)

    def pass_time(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += dt.timedelta(seconds=seconds)

    def run(self, minutes: float = 60.0) -> bool:
        return self.delivery().run(minutes * 60)

    def tell(self, *alerts: Alert) -> None:
        assert len(record(self.ledger, alerts)) == len(alerts)

    def acknowledged(self) -> list[tuple[str, str]]:
        return [(str(e.body["channel"]), key) for e in self.ledger.entries(SENT) for key in told_in(e)]


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, mail: MailServer) -> Iterator[World]:
    for kept in (mail.mails, mail.taken, mail.at, mail.faults):
        kept.clear()
    with HookServer() as hook:
        yield World(SqliteLedger(tmp_path / "ledger.sqlite"), hook, mail)


def alert(n: int = 1, code: str = "LIMIT_BREACH") -> Alert:
    return raised(code, f"RC-30 N{n:03d}", DAY.isoformat(), f"position {n}")


def test_every_kind_is_delivered_once_and_its_message_names_the_runbook(world: World) -> None:
    """RC-92: one message per alert, the most severe first; a second notifier finds nothing to do."""
    alerts = [raised(name, "x", DAY.isoformat(), f"message of {name}") for name in CODES if name != "WEEKLY_TEST"]
    for one in alerts:
        world.tell(one)
        assert world.run()
        world.pass_time(61)
    assert world.run()
    assert len(world.hook.posts) == len(alerts) == len(CODES) - 1
    for one, post in zip(alerts, world.hook.posts, strict=True):
        assert f"{one.severity.name} {one.code} x 2018-12-11" in post
        assert f"message of {one.code}" in post
        assert f"docs/runbook.md#{one.code.lower()}" in post
        assert "ledger: " in post
    assert sorted(world.acknowledged()) == sorted(("ops", one.key) for one in alerts)
    assert standing(world.ledger, world.notification()) == []


def test_the_worst_goes_first(world: World) -> None:
    world.tell(alert(1, "COST_DRIFT"), alert(2, "HALT_C"), alert(3))
    assert world.run()
    assert [post.split()[1] for post in world.hook.posts] == ["CRITICAL", "ERROR", "WARN"]


def test_what_a_channel_does_not_acknowledge_goes_to_the_next_after_five_minutes(world: World) -> None:
    """F43: tried again with growing pauses meanwhile; the ledger has every attempt."""
    world.hook.faults = ["503"] * 50
    world.tell(alert())
    assert world.run()
    assert (len(world.hook.posts), len(world.mail.mails)) == (0, 1)
    assert world.now - NOON == dt.timedelta(minutes=5)
    assert world.acknowledged() == [("mail", alert().key)]
    tries = [dt.datetime.fromisoformat(str(e.body["at"])) - NOON for e in world.ledger.entries(FAILED)]
    assert [t.total_seconds() for t in tries] == [0, 15, 45, 105, 225]
    assert world.mail.mails[0]["Subject"] == "[marketbot] ERROR LIMIT_BREACH RC-30 N001 2018-12-11"


def test_a_failure_that_lasts_is_not_waited_for(world: World) -> None:
    """A webhook that is gone (404): the next channel at once."""
    world.hook.faults = ["404"]
    world.tell(alert())
    assert world.run()
    assert (len(world.mail.mails), world.now) == (1, NOON)
    (failure,) = world.ledger.entries(FAILED)
    assert (failure.body["reason"], failure.body["lasting"]) == ("HTTP 404 invalid_payload", True)


def test_nothing_is_lost_while_no_channel_answers(world: World) -> None:
    """Both down: it stays due, and goes out when one is back; after a day it is not tried any more and stands unacknowledged."""
    world.hook.faults, world.mail.faults = ["500"] * 12, ["busy rcpt"] * 4
    world.tell(alert())
    assert not world.run(minutes=4)
    assert world.acknowledged() == []
    assert world.run(minutes=600)
    assert len(world.acknowledged()) == 1
    world.hook.faults, world.mail.faults = ["500"] * 999, ["busy rcpt"] * 999
    world.tell(alert(2))
    assert not world.run(minutes=20)
    begun, tried = world.now, len(world.ledger.entries(FAILED))
    world.now = begun + dt.timedelta(hours=23)
    assert not world.run(minutes=1)
    assert len(world.ledger.entries(FAILED)) > tried
    world.now = begun + dt.timedelta(hours=25)
    assert world.run()  # nothing is waited for any more
    assert [one.key for one in standing(world.ledger, world.notification())] == [alert(2).key]


def test_a_storm_is_one_digest(world: World) -> None:
    """Forty breaches in one check: one message that names all; what is critical comes first in it."""
    world.tell(*(alert(n) for n in range(40)), alert(99, "HALT_C"))
    assert world.run()
    (post,) = world.hook.posts
    assert post.startswith("[marketbot] CRITICAL 41 alerts, first HALT_C")
    assert all(f"N{n:03d}" in post for n in (*range(40), 99))
    assert len(world.acknowledged()) == 41


def test_a_storm_goes_on_in_digests_a_minute_apart_and_a_halt_does_not_wait(world: World) -> None:
    world.tell(*(alert(n) for n in range(20)))
    assert world.run()
    world.tell(*(alert(n) for n in range(20, 40)))
    assert not world.run(minutes=0.5)
    world.tell(alert(99, "HALT_A"))
    assert world.run(minutes=0.1)
    assert world.now == NOON
    assert [post.splitlines()[0] for post in world.hook.posts][1:] == ["[marketbot] CRITICAL 21 alerts, first HALT_A"]
    world.tell(*(alert(n) for n in range(100, 110)))
    assert world.run()
    assert world.now - NOON == dt.timedelta(minutes=1)  # after a digest the next one waits out its minute
    assert len({key for _, key in world.acknowledged()}) == 51


def test_ten_in_a_minute_are_ten_messages_eleven_are_one(world: World) -> None:
    world.tell(*(alert(n) for n in range(10)))
    assert world.run()
    assert len(world.hook.posts) == 10
    world.pass_time(61)
    world.tell(*(alert(n) for n in range(100, 111)))
    assert world.run()
    assert len(world.hook.posts) == 11


@pytest.mark.parametrize(
    ("at", "code", "sent_at"),
    [
        ("21:59", "STOP_HIT", "21:59"), ("22:00", "STOP_HIT", "07:00"), ("06:59", "STOP_HIT", "07:00"),
        ("23:00", "LIMIT_BREACH", "23:00"), ("03:00", "HALT_C", "03:00"), ("07:00", "STOP_HIT", "07:00"),
    ],
)  # fmt: skip
def test_warnings_wait_for_the_end_of_quiet_hours(world: World, at: str, code: str, sent_at: str) -> None:
    hour, minute = map(int, at.split(":"))
    world.now = NOON.replace(hour=hour, minute=minute)
    world.section = world.notification(quiet_hours=QUIET)
    world.tell(alert(1, code))
    assert world.run(minutes=24 * 60)
    assert f"{world.now:%H:%M}" == sent_at
    assert len(world.hook.posts) == 1


def test_an_alert_takes_only_channels_of_its_severity(world: World) -> None:
    """A warning does not wake the channel for halts; what no channel takes is recorded and not waited for."""
    world.section = world.notification(channels=[{"name": "ops", "kind": "slack", "severity_min": "CRITICAL"}])
    world.tell(alert(1, "STOP_HIT"), alert(2, "HALT_B"))
    assert world.run()
    assert world.acknowledged() == [("ops", alert(2, "HALT_B").key)]
    assert standing(world.ledger, world.section) == []


def test_the_weekly_test_takes_the_channel_that_it_tests(world: World) -> None:
    """Also the second one, and also during quiet hours."""
    world.now = NOON.replace(hour=23)
    world.section = world.notification(quiet_hours=QUIET)
    world.tell(weekly_test("mail", "2018-12-11"), weekly_test("ops", "2018-12-11"))
    assert world.run()
    assert (len(world.hook.posts), len(world.mail.mails)) == (1, 1)
    assert "channel mail" in world.mail.mails[0].get_content()


def test_an_answer_that_got_lost_is_one_repeat_with_the_same_name(world: World) -> None:
    """The mail server took the message and vanished: it is sent again; a reader shows it once by its Message-ID."""
    world.section = world.notification(channels=[world.notification().channels[1]])
    world.mail.faults = ["drop after data"]
    world.tell(alert())
    assert world.run()
    first, second = world.mail.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert len(world.mail.mails) == 1


def test_the_watcher_is_told_of_each_end_once(world: World) -> None:
    """RC-85: the newest session that ended, its state and nothing else; a failure is tried again and recorded."""
    world.section = world.notification(heartbeat=Heartbeat())
    assert world.run()
    assert world.hook.requests == []
    record_end(world.ledger, DAY, "sent", "")
    world.hook.faults = ["503"]
    assert world.run()
    assert world.run()
    assert world.hook.posts == [str({"session": "2018-12-11", "state": "sent"})]
    beats = world.ledger.entries(HEARTBEAT)
    assert [(e.key, e.body["acknowledged"]) for e in beats] == [("2018-12-11/1", False), ("2018-12-11/2", True)]


def test_recording_the_same_in_other_words_is_nothing_new(world: World) -> None:
    """Two who look at once: one entry."""
    other = raised("LIMIT_BREACH", "RC-30 N001", DAY.isoformat(), "said otherwise")
    assert record(world.ledger, [alert()]) == [alert()]
    assert record(world.ledger, [other]) == []
    assert record(world.ledger, [alert()]) == []


def test_a_channel_that_names_no_secret_says_which(world: World) -> None:
    """It never sends; the alert goes to the next one at once."""
    closed = open_channel(Channel(name="ops", kind="slack"), {})
    section = world.notification()
    delivery = Delivery(
        world.ledger, section, {"ops": closed, "mail": world.delivery()._transports["mail"]},
        now=lambda: world.now, wait=world.pass_time,
    )  # fmt: skip
    world.tell(alert())
    assert delivery.run(60)
    assert "MARKETBOT_SLACK_WEBHOOK" in str(world.ledger.entries(FAILED)[0].body["reason"])
    assert world.acknowledged() == [("mail", alert().key)]
