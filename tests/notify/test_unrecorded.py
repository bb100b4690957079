"""What no ledger takes is told all the same: from a file beside the home, once, and stands in the ledger when it writes again."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from alert_servers import HookServer, MailServer
from click.testing import CliRunner

from marketbot_assets import alerting
from marketbot_assets.automation_alerts import alert_sensor, machine_facts
from marketbot_assets.cli import commands
from marketbot_assets.commands.alert_state import alert_findings, alert_lines, alert_state
from marketbot_resources import notifier_process
from marketbot_resources.alert_codes import raised
from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT
from marketbot_resources.clock import open_clock
from marketbot_resources.delivery import Delivery, record
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.sessions import record_cutoff
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.unrecorded import NO_HEAD, Unrecorded, WithUnrecorded, handed
from marketbot_resources.wiring import ClockResource, MandateResource

MANDATE = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
NOON = dt.datetime(2018, 12, 11, 12, tzinfo=dt.UTC)
ALERT = raised("LEDGER_FAULT", "storage", "2018-12-11", "ledger: the disk is read-only")
CHANNELS: list[dict[str, object]] = [{"name": "ops", "kind": "slack"}]


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


@pytest.fixture
def lake(tmp_path: Path, hook: HookServer, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A home whose mandate names one webhook, a heartbeat and a weekly test."""
    told = {"channels": CHANNELS, "heartbeat": {"method": "POST"}, "weekly_test": {"weekday": "monday", "at": "09:00"}}
    path = tmp_path / "mandate.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(MANDATE) | {"notification": told}), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARKETBOT_SLACK_WEBHOOK", hook.address)
    monkeypatch.setattr(alerting, "_beside", {})
    return Lake(tmp_path / "home")


def refusing(folder: Path) -> SqliteLedger:
    """A ledger that can be read and not written: SQLite itself refuses."""
    SqliteLedger(folder / "ledger.sqlite").append("session_cutoff", "2018-12-11", {"at": "x"})
    return SqliteLedger(folder / "ledger.sqlite", read_only=True)


def deliver(records: WithUnrecorded, address: str, mail_port: int | None = None, minutes: float = 5.0) -> bool:
    """One delivery on a clock that waits by moving."""
    mail = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": mail_port, "security": "plain",
            "from": "bot@example.org", "to": ["me@example.org"]}  # fmt: skip
    channels = CHANNELS if mail_port is None else [*CHANNELS, mail]
    section = Notification.model_validate({"channels": channels})
    transports = {c.name: open_channel(c, {"MARKETBOT_SLACK_WEBHOOK": address}) for c in section.channels}
    now = [NOON]

    def wait(seconds: float) -> None:
        now[0] += dt.timedelta(seconds=seconds)

    return Delivery(records, section, transports, now=lambda: now[0], wait=wait).run(minutes * 60)


def test_it_is_sent_once_and_moves_into_the_ledger(tmp_path: Path, hook: HookServer) -> None:
    """A second delivery finds the acknowledgement in the file; then the ledger takes both, and the file is gone."""
    beside = Unrecorded(tmp_path / "home")
    assert beside.add_alerts([ALERT, ALERT]) == [ALERT]
    assert Unrecorded(tmp_path / "home").add_alerts([ALERT]) == []  # another process knows it, too
    assert deliver(WithUnrecorded(refusing(tmp_path), beside), hook.address)
    assert deliver(WithUnrecorded(refusing(tmp_path), Unrecorded(tmp_path / "home")), hook.address)
    assert len(hook.posts) == 1
    assert "the disk is read-only" in hook.posts[0]
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    Unrecorded(tmp_path / "home").move_into(ledger)
    assert [entry.key for entry in ledger.entries(KIND)] == [ALERT.key]
    assert [entry.body["answer"] for entry in ledger.entries(SENT)] == ["HTTP 200 ok"]
    assert not beside.path.exists()
    assert deliver(WithUnrecorded(ledger, Unrecorded(tmp_path / "home")), hook.address)
    assert len(hook.posts) == 1


def test_an_acknowledgement_that_the_ledger_refuses_is_not_forgotten(tmp_path: Path, hook: HookServer) -> None:
    """Recorded while there was room, sent when there is none: told once, whoever delivers again."""
    record(SqliteLedger(tmp_path / "ledger.sqlite"), [ALERT])
    for _ in range(2):
        assert deliver(WithUnrecorded(refusing(tmp_path), Unrecorded(tmp_path / "home")), hook.address)
    assert len(hook.posts) == 1
    assert [kind for kind, _, _ in Unrecorded(tmp_path / "home").lines()] == [SENT]


def test_a_failing_channel_is_not_asked_without_a_pause(tmp_path: Path, hook: HookServer) -> None:
    """F43 without a ledger: the webhook fails at minute 0, 0:15, 0:45 and 1:45, the mailbox gets it at minute 5."""
    hook.faults = ["500"] * 20
    beside = Unrecorded(tmp_path / "home")
    beside.add_alerts([ALERT])
    with MailServer() as mail:
        assert deliver(WithUnrecorded(None, beside), hook.address, mail.port, minutes=20)
        assert len(mail.mails) == 1
        assert f"ledger: {NO_HEAD[0]} entries, root {NO_HEAD[1]}" in mail.mails[0].get_content()
    assert len(hook.requests) in (4, 5)


def test_without_any_file_it_is_on_stderr_and_still_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The place beside the home is no folder: the process remembers, and hands it on."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    beside = Unrecorded(tmp_path / "file" / "home")
    assert beside.add_alerts([ALERT]) == [ALERT]
    assert beside.add_alerts([ALERT]) == []
    assert "LEDGER_FAULT/storage/2018-12-11" in capsys.readouterr().err
    (entry,) = WithUnrecorded(None, Unrecorded(tmp_path / "home", beside.lines())).entries(KIND)
    assert entry.key == ALERT.key


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '["alert", "k"]', '["alert", "k", 1]', '["alert", "k", {"code": 1}]', '["alert_sent", "k", {}]',
             '["alert_failed", "k", {"at": "x"}]', '"x"', "null"],
)  # fmt: skip
def test_a_line_that_is_none_harms_nothing(tmp_path: Path, hook: HookServer, line: str) -> None:
    """Anyone can write beside the home: what is no entry is left out, the rest is told."""
    beside = Unrecorded(tmp_path / "home")
    beside.path.write_text(f"{line}\n", encoding="utf-8")
    beside.add_alerts([ALERT])
    assert deliver(WithUnrecorded(None, beside), hook.address)
    assert len(hook.posts) == 1


def test_what_is_handed_on_is_checked() -> None:
    assert handed(json.loads('[["alert", "k", {"a": 1}], ["alert", "k"], 3, ["alert", "k", 4]]')) == [
        ("alert", "k", {"a": 1})
    ]
    assert handed(None) == []
    assert len(handed([["alert", str(n), {}] for n in range(50)])) == 20


def ended() -> None:
    for one in notifier_process._started:
        one.wait(60)


def test_the_sensor_tells_of_a_ledger_that_is_none(lake: Lake, hook: HookServer) -> None:
    """A file that is no database: one message by the mandate file's channel, at the second tick nothing new."""
    (lake.home / "ledger.sqlite").write_bytes(b"garbage" * 1000)
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"store": StoreResource(), "mandate_file": MandateResource(), "clock": ClockResource()}
        for count in (1, 0):
            found = alert_sensor(dg.build_sensor_context(instance=instance, resources=resources))
            assert isinstance(found, dg.SkipReason)
            assert f"; {count} new alerts told without it" in str(found.skip_message)
            ended()
    (post,) = hook.posts
    assert "CRITICAL LEDGER_FAULT storage" in post
    assert "file is not a database" in post


def test_the_ledger_is_examined_when_asked(lake: Lake) -> None:
    """A row whose leaf is another one: found by the examination, not without it."""
    lake.ledger.append("session_cutoff", "2018-12-11", {"at": "x"})
    mandate = parse_mandate(MANDATE)
    clock = open_clock("replay", mandate.schedule)
    assert machine_facts(lake, mandate, clock, NOON, examine=True).ledger_fault == ""
    import sqlite3

    connection = sqlite3.connect(lake.home / "ledger.sqlite")
    with connection:
        for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute("update entry set leaf = zeroblob(32)")
    connection.close()
    assert "entry 0" in machine_facts(lake, mandate, clock, NOON, examine=True).ledger_fault
    assert machine_facts(lake, mandate, clock, NOON).ledger_fault == ""


def test_status_says_that_nobody_heard_and_exits_1(lake: Lake) -> None:
    """F43, both down: an alert that was tried in vain; acknowledged, nothing stands against going on."""
    record_cutoff(lake.ledger, dt.date(2018, 12, 11), NOON)
    record(lake.ledger, [ALERT])
    fine = CliRunner().invoke(commands, ["status"], standalone_mode=False)
    assert "alerts        1 not acknowledged: LEDGER_FAULT/storage/2018-12-11" in fine.output
    assert fine.return_value == 0  # it may be on its way
    at = {"alerts": [ALERT.key], "channel": "ops", "at": "2018-12-11T12:00:00+00:00"}
    lake.ledger.append(FAILED, f"{ALERT.key}/1", {**at, "reason": "HTTP 500", "lasting": False})
    bad = CliRunner().invoke(commands, ["status"], standalone_mode=False)
    assert bad.return_value == 1
    assert f"nobody has heard of {ALERT.key}" in bad.output
    assert "ops: never acknowledged, failed " in bad.output
    lake.ledger.append(SENT, ALERT.key, {**at, "answer": "HTTP 200 ok"})
    good = CliRunner().invoke(commands, ["status"], standalone_mode=False)
    assert (good.return_value, "all acknowledged" in good.output) == (0, True)


def test_doctor_and_status_know_ages(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channel without a secret, heartbeat not taken, weekly test of nine days ago: each is a thing to mend."""
    section = alerting.notification_of(lake)
    assert section is not None
    test = {"alerts": ["WEEKLY_TEST/ops/2018-12-03"], "channel": "ops", "answer": "HTTP 200 ok"}
    lake.ledger.append(SENT, "WEEKLY_TEST/ops/2018-12-03", {**test, "at": "2018-12-02T12:00:00+00:00"})
    beat = {"acknowledged": False, "answer": "HTTP 500", "at": "2018-12-11T09:00:00+00:00"}
    lake.ledger.append(HEARTBEAT, "2018-12-10/1", {**beat})
    found = {one.name: one for one in alert_findings(lake, section, NOON)}
    assert {name: one.good for name, one in found.items()} == {
        "channel ops": True, "alerts": True, "heartbeat": False, "weekly test": False,
    }  # fmt: skip
    assert found["heartbeat"].found == "HTTP 500, 3 hours ago"
    assert found["weekly test"].found == "9 days ago"
    lines = alert_lines(alert_state(lake), NOON)
    assert lines[0] == "all acknowledged"
    assert lines[1:] == [
        "ops: acknowledged 9 days ago (HTTP 200 ok)",
        "heartbeat: 2018-12-10 HTTP 500 3 hours ago",
        "weekly test: 9 days ago",
    ]
    monkeypatch.delenv("MARKETBOT_SLACK_WEBHOOK")
    assert not alert_findings(lake, section, NOON)[0].good
    assert [one.good for one in alert_findings(None, None, NOON)] == [True]


def test_a_long_mail_has_the_line_ends_of_the_protocol() -> None:
    """RFC 5321 2.3.8: CR and LF together, and no line of the text beyond 998; servers refuse the rest."""
    from marketbot_resources.notify.port import Acknowledged
    from marketbot_resources.notify.text import message_of

    with MailServer() as mail:
        channel = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": mail.port, "security": "plain",
                   "from": "bot@example.org", "to": ["me@example.org"]}  # fmt: skip
        section = Notification.model_validate({"channels": [channel]})
        text = " ".join(["session 2018-12-14: expected the mandate in force"] * 11)
        message = message_of([raised("SESSION_FAILED", "mandate", "2018-12-14", text)], (107, "a" * 64))
        assert isinstance(open_channel(section.channels[0], {}).send(message), Acknowledged)
        assert text in mail.mails[0].get_content()
