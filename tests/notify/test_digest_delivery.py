"""Digests over a real mail server, a real webhook and a real ledger: due once, sent once, kept by hash, dropped when too late."""

import datetime as dt
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from alert_servers import HookServer, MailServer
from pydantic import ValidationError

from marketbot_assets.alerting import tell
from marketbot_assets.digests import record_digests
from marketbot_resources.alert_codes import raised
from marketbot_resources.alerts import SENT, Alert, Severity
from marketbot_resources.delivery import Delivery, digests_standing, record
from marketbot_resources.delivery_digest import (
    DIGESTS,
    DROPPED,
    FAILED,
    digest_alert,
    message_from,
    sessions_due,
    stored_bytes,
    weeks_due,
)
from marketbot_resources.delivery_digest import SENT as DIGEST_SENT
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Calendar
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.model import utc_text
from marketbot_resources.notifier_process import start_notifier
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import Message
from marketbot_resources.sessions import record_cutoff, record_end, record_failure
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.lake import Lake

MANDATE = Path(__file__).parents[2] / "mandate.yaml"
NOON = dt.datetime(2018, 12, 11, 12, tzinfo=dt.UTC)
BLOCK: dict[str, Json] = {"type": "section", "text": {"type": "mrkdwn", "text": "NAV 1 &lt;2&gt;", "verbatim": True}}
STORED = Message("[marketbot] 2018-12-11", "NAV 1", "", "<p>NAV <b>1</b>" + "x" * 2000 + "</p>", (BLOCK,))
SECONDS_MAX = 60.0


def days(*texts: str) -> list[dt.date]:
    return [dt.date.fromisoformat(text) for text in texts]


@pytest.mark.parametrize(
    ("ended", "told", "due"),
    [
        ((), (), ()),
        (("2018-12-10", "2018-12-11"), (), ("2018-12-11",)),  # a home that begins to tell: not of what went before
        (("2018-12-10", "2018-12-11"), ("2018-12-10",), ("2018-12-11",)),
        (("2018-12-10", "2018-12-11"), ("2018-12-11",), ()),
        (("2018-12-10", "2018-12-11", "2018-12-12"), ("2018-12-10",), ("2018-12-11", "2018-12-12")),
        (
            tuple(f"2018-12-{n:02d}" for n in range(10, 19)),
            ("2018-12-10",),
            tuple(f"2018-12-{n}" for n in range(14, 19)),
        ),
    ],
)
def test_a_session_is_due_once_and_old_ones_are_not_told(
    ended: tuple[str, ...], told: tuple[str, ...], due: tuple[str, ...]
) -> None:
    assert sessions_due(days(*ended), told) == days(*due)


CALENDAR = Calendar(mic="XNYS", go_live=dt.date(2018, 10, 1), last_session=dt.date(2018, 12, 28))


@pytest.mark.parametrize(
    ("ended", "told", "begun", "due"),
    [
        (("2018-12-20",), (), None, ()),  # Thursday
        (("2018-12-20", "2018-12-21"), (), None, (("2018-W51", "2018-12-21"),)),
        (("2018-12-20", "2018-12-21"), ("2018-W51",), None, ()),
        # Friday never ended: the week is over once Monday has begun
        (("2018-12-20",), ("2018-W50",), "2018-12-24", (("2018-W51", "2018-12-20"),)),
        # the first digest of a home is not of a week that went before
        (("2018-12-21", "2018-12-24"), (), "2018-12-24", ()),
        # the week of Thanksgiving ends with Friday, that of 2018-12-28 with the calendar
        (("2018-11-21",), ("2018-W46",), None, ()),
        (("2018-11-23",), ("2018-W46",), None, (("2018-W47", "2018-11-23"),)),
        (("2018-12-28",), ("2018-W51",), None, (("2018-W52", "2018-12-28"),)),
        # Good Friday 2018-03-30 is no session: the week ends on Thursday
        (("2018-03-29",), ("2018-W12",), None, (("2018-W13", "2018-03-29"),)),
    ],
)
def test_a_week_is_due_with_its_last_session(
    ended: tuple[str, ...], told: tuple[str, ...], begun: str | None, due: tuple[tuple[str, str], ...]
) -> None:
    newest = dt.date.fromisoformat(begun) if begun else None
    found = weeks_due(days(*ended), CALENDAR, told, newest)
    assert found == [(week, dt.date.fromisoformat(day)) for week, day in due]


class World:
    """A ledger, a webhook, a mailbox, stored bodies, and a clock that the test moves."""

    def __init__(self, folder: Path, hook: HookServer, mail: MailServer) -> None:
        self.ledger, self.hook, self.mail, self.now = SqliteLedger(folder / "ledger.sqlite"), hook, mail, NOON
        self.bodies: dict[str, bytes] = {}
        self.rules: dict[str, object] = {}

    @property
    def section(self) -> Notification:
        mail = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": self.mail.port, "security": "plain",
                "from": "bot@example.org", "to": ["me@example.org"]}  # fmt: skip
        told = {"channels": [mail, {"name": "ops", "kind": "slack"}], "digest": {"channels": ["mail", "ops"]}}
        return Notification.model_validate(told | self.rules)

    def due(self, label: str, kind: str = "daily", message: Message = STORED) -> Alert:
        """Records a digest as the maker does."""
        body = stored_bytes(message)
        name = hashlib.sha256(body).hexdigest()
        self.bodies[name] = body
        alert = digest_alert(kind, label, message.title)
        self.ledger.append(DIGESTS.told, alert.key, {**alert.body(), "blob": name, "at": utc_text(self.now)})
        return alert

    def run(self, minutes: float = 60.0) -> bool:
        given = {"MARKETBOT_SLACK_WEBHOOK": self.hook.address}
        transports = {c.name: open_channel(c, given, timeout=10.0) for c in self.section.channels}
        now, wait = (lambda: self.now), self.pass_time
        delivery = Delivery(self.ledger, self.section, transports, now=now, wait=wait, bodies=self.stored)
        return delivery.run(minutes * 60)

    def stored(self, name: str) -> bytes:
        if name not in self.bodies:
            raise StoreError("the blob was altered")
        return self.bodies[name]

    def pass_time(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def ends(self, kind: str) -> list[tuple[str, object]]:
        return [(entry.key, entry.body.get("channel", entry.body.get("reason"))) for entry in self.ledger.entries(kind)]


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, mail: MailServer) -> Iterator[World]:
    for kept in (mail.mails, mail.taken, mail.at, mail.faults):
        kept.clear()
    with HookServer() as hook:
        yield World(tmp_path, hook, mail)


def test_a_mail_has_text_and_html_and_goes_once(world: World) -> None:
    """The stored message, byte for byte; a second notifier finds nothing; both name it alike for the mailbox."""
    alert = world.due("2018-12-11")
    assert world.run()
    assert world.run()
    (got,) = world.mail.mails
    assert got.get_content_type() == "multipart/alternative"
    text, html = got.iter_parts()
    assert (text.get_content_type(), text.get_content()) == ("text/plain", "NAV 1\r\n")
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", STORED.html)
    name = hashlib.sha256(stored_bytes(STORED)).hexdigest()
    assert got["Message-ID"] == f"<marketbot.digest.{name[:32]}@example.org>"
    assert got["Subject"] == STORED.title
    assert world.ends(DIGEST_SENT) == [(alert.key, "mail")]
    assert (world.hook.posts, world.ledger.entries(SENT)) == ([], [])  # no alert was acknowledged by it


def test_a_mail_of_many_alerts_arrives(world: World) -> None:
    """A mail of more than a thousand characters has lines that end as the protocol says: servers refuse it otherwise."""
    world.rules = {"digest": None}
    alerts = [raised("LIMIT_BREACH", f"RC-30 N{n:03d}", "2018-12-11", "x" * 300) for n in range(40)]
    record(world.ledger, alerts)
    assert world.run()
    (got,) = world.mail.mails
    assert got.get_content().count("x" * 190) == 40


def test_it_is_tried_again_and_then_takes_the_next_channel(world: World) -> None:
    """As an alert: growing pauses, the next channel after five minutes, there with its blocks."""
    world.mail.faults = ["busy rcpt"] * 50
    alert = world.due("2018-12-11")
    assert world.run()
    assert world.now - NOON == dt.timedelta(minutes=5)
    assert world.ends(DIGEST_SENT) == [(alert.key, "ops")]
    assert len(world.ends(FAILED)) == 5
    assert world.hook.posts == ["[marketbot] 2018-12-11\nNAV 1"]


def test_it_waits_for_the_end_of_quiet_hours(world: World) -> None:
    world.rules = {"quiet_hours": {"begin": "11:00", "until": "12:30", "timezone": "UTC"}}
    world.due("2018-12-11")
    assert world.run()
    assert (len(world.mail.mails), world.now - NOON) == (1, dt.timedelta(minutes=30))


def test_what_came_too_late_is_dropped_and_the_ledger_says_why(world: World) -> None:
    """Three days without an acknowledgement: never sent afterwards. One of today goes out."""
    world.mail.faults, world.hook.faults = ["busy rcpt"] * 99, ["500"] * 99
    old = world.due("2018-12-11")
    assert not world.run(minutes=10)
    tried = len(world.ends(FAILED))
    world.now = NOON + dt.timedelta(days=3, seconds=1)
    world.mail.faults, world.hook.faults = [], []
    new = world.due("2018-12-14")
    assert world.run()
    reason = f"no channel acknowledged it within 3 days; {tried} attempts failed"
    assert world.ends(DROPPED) == [(old.key, reason)]
    assert world.ends(DIGEST_SENT) == [(new.key, "mail")]
    assert len(world.mail.mails) == 1


def test_within_three_days_it_is_still_tried(world: World) -> None:
    """Longer than an alert: a mail server that was down over the weekend costs no digest."""
    world.mail.faults, world.hook.faults = ["busy rcpt"] * 99, ["500"] * 99
    world.due("2018-12-11")
    assert not world.run(minutes=10)
    world.now = NOON + dt.timedelta(days=3) - dt.timedelta(minutes=1)
    world.mail.faults, world.hook.faults = [], []
    assert world.run()
    assert len(world.mail.mails) == 1


def test_what_cannot_be_read_as_it_was_stored_is_not_sent(world: World) -> None:
    alert = world.due("2018-12-11")
    world.bodies.clear()
    assert world.run()
    assert world.ends(DROPPED) == [(alert.key, "its stored text cannot be sent: the blob was altered")]
    assert (world.mail.mails, world.hook.posts) == ([], [])
    with pytest.raises(StoreError, match="expected a stored message"):
        message_from(b"{}", "ab" * 32)


def test_without_the_rule_nothing_is_due_and_a_digest_is_no_alert(world: World) -> None:
    """Many digests are no storm: each is a message of its own, oldest first."""
    labels = [f"2018-12-{n:02d}" for n in range(1, 16)]
    for label in labels:
        world.due(label)
    world.rules = {"digest": None}
    assert digests_standing(world.ledger, world.section) == []
    assert world.run()
    assert world.mail.mails == []
    world.rules = {}
    assert world.run()
    assert len(world.mail.mails) == 15
    assert [key.split("/")[2] for key, _ in world.ends(DIGEST_SENT)] == labels


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"channels": ["pager"]}, "expected channels among mail"),
        ({"channels": []}, "at least 1"),
        ({"channels": ["mail", "mail"]}, "named twice"),
        ({"channels": ["mail"], "daily": False, "weekly": False}, "neither"),
        ({"channels": ["mail"], "address": "http://bot.example.org"}, "pattern"),
        ({"channels": ["mail"], "address": "https://bot.example.org/\"><script>"}, "pattern"),
    ],
)  # fmt: skip
def test_a_rule_that_tells_nobody_is_refused(rule: dict[str, object], why: str) -> None:
    told = {"channels": [{"name": "mail", "kind": "slack"}], "digest": rule}
    with pytest.raises(ValidationError, match=why):
        Notification.model_validate(told)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def lake(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A home whose sessions ended without a decision: nothing is stored of them, and still they are told."""
    plain = world.section.model_dump(mode="json", by_alias=True) | {"digest": {"channels": ["ops"], "weekly": False}}
    mandate = yaml.safe_load(MANDATE.read_text(encoding="utf-8")) | {"notification": plain}
    (tmp_path / "mandate.yaml").write_text(yaml.safe_dump(mandate), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(tmp_path / "mandate.yaml"))
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARKETBOT_SLACK_WEBHOOK", world.hook.address)
    return Lake(tmp_path / "home")


def skipped(ledger: Ledger, day: str, reason: str = "never started") -> None:
    session = dt.date.fromisoformat(day)
    record_cutoff(ledger, session, dt.datetime.combine(session, dt.time(23, 15), dt.UTC))
    record_end(ledger, session, "skipped", reason)


def test_a_session_is_told_by_the_notifier_that_was_killed_and_started_again(lake: Lake, world: World) -> None:
    """Killed after the webhook took it and before the record: once more, then silence; sent is what was stored."""
    skipped(lake.ledger, "2018-12-11", "the disk was full")
    section = Notification.model_validate(world.section.model_dump(by_alias=True) | {"digest": {"channels": ["ops"]}})
    (key,) = record_digests(lake, section)
    assert record_digests(lake, section) == []
    entry = lake.ledger.get(DIGESTS.told, key)
    assert entry is not None
    world.hook.faults = ["hang"]
    pid = start_notifier(lake.home, section)
    until(lambda: world.hook.requests)
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(pid))
    assert lake.ledger.entries(DIGEST_SENT) == []
    again = start_notifier(lake.home, section)
    until(lambda: ended(again))
    assert [one.key for one in lake.ledger.entries(DIGEST_SENT)] == [key] == ["DIGEST/daily/2018-12-11"]
    stored = message_from(lake.objects.get_blob(str(entry.body["blob"])), str(entry.body["blob"]))
    assert world.hook.posts == [f"{stored.title}\n{stored.text}"]
    assert "NAV not known, SKIPPED" in stored.title
    assert "ended skipped: the disk was full" in stored.text
    assert "It is not known whether these data are simulated." in stored.text.splitlines()[0]
    last = start_notifier(lake.home, section)
    until(lambda: ended(last))
    assert len(world.hook.posts) == 1


def test_the_run_records_it_and_starts_the_notifier(lake: Lake, world: World) -> None:
    """`tell`, as the hook of the last step calls it: the alert and the digest each arrive once."""
    skipped(lake.ledger, "2018-12-11")
    tell(lake)
    until(lambda: len(lake.ledger.entries(DIGEST_SENT)) == len(lake.ledger.entries(SENT)) == 1)
    assert tell(lake, again=True) == []
    (post,) = world.hook.posts
    assert "2018-12-11: NAV not known, SKIPPED" in post
    assert len(world.mail.mails) == 1  # the alert took the first channel, the digest the one that its rule names


def test_a_digest_that_cannot_be_made_stops_neither_alerts_nor_the_run(
    lake: Lake, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message cannot be stored. The error is logged; the alert goes out."""
    skipped(lake.ledger, "2018-12-11")
    (lake.home / "store" / "blobs").write_text("no folder", encoding="utf-8")
    (found,) = tell(lake)
    assert found.code == "SESSION_SKIPPED"
    assert found.severity is Severity.WARN
    assert "digest of 2018-12-11, daily: HomeError" in caplog.text
    assert lake.ledger.entries(DIGESTS.told) == []
    until(lambda: lake.ledger.entries(SENT))


def test_a_session_that_cannot_be_told_holds_up_no_later_one(
    lake: Lake, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What is stored of the 12th is no file of rows; the 11th and the 13th are told, and the 12th is not asked for again."""
    section = Notification.model_validate(
        world.section.model_dump(by_alias=True) | {"digest": {"channels": ["ops"], "weekly": False}}
    )
    skipped(lake.ledger, "2018-12-11")
    assert record_digests(lake, section) == ["DIGEST/daily/2018-12-11"]
    for day in ("2018-12-12", "2018-12-13"):
        skipped(lake.ledger, day)
    name = "0" * 64  # an object that is not there
    lake.index.add(
        IndexRow("risk_verdict", "2018-12-12", name, name, "gone", 1, 1, name, name, "run", "code", "2018-12-12")
    )
    assert record_digests(lake, section) == ["DIGEST/daily/2018-12-13"]
    assert "digest of 2018-12-12, daily: " in caplog.text
    assert record_digests(lake, section) == []


def test_a_session_whose_report_is_still_to_come_is_not_over(lake: Lake, world: World) -> None:
    """Sent, and its last step not stored: due once that failed, or once the next session has begun."""
    section = Notification.model_validate(
        world.section.model_dump(by_alias=True) | {"digest": {"channels": ["ops"], "weekly": False}}
    )
    session = dt.date(2018, 12, 11)
    record_failure(lake.ledger, session, "run-0", "raw_prices", "HTTP 503")  # an earlier try
    record_cutoff(lake.ledger, session, dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC))
    record_end(lake.ledger, session, "sent", "no orders")
    assert record_digests(lake, section) == []
    record_failure(lake.ledger, session, "run-1", "daily_report", "MemoryError")
    assert record_digests(lake, section) == ["DIGEST/daily/2018-12-11"]
    record_cutoff(lake.ledger, dt.date(2018, 12, 12), dt.datetime(2018, 12, 12, 23, 15, tzinfo=dt.UTC))
    record_end(lake.ledger, dt.date(2018, 12, 12), "rejected", "RC-42")
    assert record_digests(lake, section) == []
    record_cutoff(lake.ledger, dt.date(2018, 12, 13), dt.datetime(2018, 12, 13, 23, 15, tzinfo=dt.UTC))
    assert record_digests(lake, section) == ["DIGEST/daily/2018-12-12"]
