"""The notifier as its own process: started by what finds an alert, alone, with its secrets only, and killed at the worst moment."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from alert_servers import HookServer
from click.testing import CliRunner

from marketbot_assets.alerting import found_now, notification_of, tell
from marketbot_assets.cli import commands
from marketbot_resources.alert_codes import raised
from marketbot_resources.alerts import KIND, SENT
from marketbot_resources.delivery import record
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.notifier_process import start_notifier
from marketbot_resources.sessions import record_cutoff, record_failure
from marketbot_resources.store.lake import Lake

MANDATE = Path(__file__).parents[2] / "mandate.yaml"
DAY = dt.date(2018, 12, 11)
CUTOFF = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
SECTION = {"channels": [{"name": "ops", "kind": "slack"}], "escalate_minutes": 1}
SLACK = Notification.model_validate(SECTION)
ALERT = raised("HALT_C", "RC-66", DAY.isoformat(), "a fill that nobody ordered")
SECONDS_MAX = 60.0  # of a busy machine; what is promised is asserted by instants


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


@pytest.fixture
def lake(tmp_path: Path, hook: HookServer, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A home whose mandate names one channel."""
    mandate = yaml.safe_load(MANDATE.read_text(encoding="utf-8")) | {"notification": SECTION}
    (tmp_path / "mandate.yaml").write_text(yaml.safe_dump(mandate), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(tmp_path / "mandate.yaml"))
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MARKETBOT_SLACK_WEBHOOK", hook.address)
    monkeypatch.setenv("APCA_API_SECRET_KEY", "a-brokers-secret-key")
    return Lake(tmp_path / "home")


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def ended(pid: int) -> bool:
    """Gone, or a zombie that is reaped by the next start."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def acknowledged(ledger: Ledger) -> bool:
    return len(ledger.entries(SENT)) > 0


def test_a_failure_is_told_from_the_run_that_failed_within_seconds(lake: Lake, hook: HookServer) -> None:
    """Recorded by the run, sent beside it; the message has the reason; a second look and a second notifier tell nothing more."""
    record_cutoff(lake.ledger, DAY, CUTOFF)
    record_failure(lake.ledger, DAY, "run-1", "raw_prices", "yahoo: HTTP 503")
    begun = time.time()
    (found,) = tell(lake)
    assert time.time() - begun < 2.0  # whoever trades goes on
    until(lambda: acknowledged(lake.ledger))
    assert hook.at[0] - begun < 5.0 or os.getloadavg()[0] > 4  # the promise, on a machine that is not overloaded
    assert (found.code, len(hook.posts)) == ("PROVIDER_FAILURE", 1)
    assert "run ended at raw_prices: yahoo: HTTP 503" in hook.posts[0]
    assert tell(lake) == []
    assert [entry.key for entry in lake.ledger.entries(KIND)] == [found.key]
    assert hook.address not in str([row.record for row in lake.ledger.rows()])


def test_it_knows_its_secrets_and_no_others_and_dies_without_loss(lake: Lake, hook: HookServer) -> None:
    """Killed after the channel took the message and before the record: one repeat, with an acknowledgement; then silence."""
    record(lake.ledger, [ALERT])
    hook.faults = ["hang"]
    pid = start_notifier(lake.home, SLACK)
    until(lambda: hook.requests)
    told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = {one.partition(b"=")[0].decode() for one in told if one}
    assert names - {"LC_CTYPE"} <= {"PATH", "MARKETBOT_SLACK_WEBHOOK", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(pid))
    assert not acknowledged(lake.ledger)
    again = start_notifier(lake.home, SLACK)
    until(lambda: ended(again))
    assert len(hook.posts) == 1
    assert len(hook.requests) == 2
    assert acknowledged(lake.ledger)


def test_two_at_once_tell_once(lake: Lake, hook: HookServer) -> None:
    """The second waits for the first, and finds nothing left."""
    record(lake.ledger, [ALERT])
    pids = [start_notifier(lake.home, SLACK) for _ in range(2)]
    until(lambda: all(map(ended, pids)))
    assert (len(hook.posts), len(lake.ledger.entries(SENT))) == (1, 1)


def test_without_channels_nothing_is_recorded_and_nobody_started(
    lake: Lake, hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default: `alerts list` shows what would have been told."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(MANDATE))
    record_cutoff(lake.ledger, DAY, CUTOFF)
    record_failure(lake.ledger, DAY, "run-1", "features", "ValueError")
    assert notification_of(lake) is None
    assert tell(lake) == []
    assert lake.ledger.entries(KIND) == []
    assert [alert.code for alert in found_now(lake)] == ["SESSION_FAILED"]
    shown = CliRunner().invoke(commands, ["alerts", "list"], standalone_mode=False)
    assert "nobody is told" in shown.output
    assert "SESSION_FAILED features 2018-12-11" in shown.output


def test_commands_list_and_test(lake: Lake, hook: HookServer) -> None:
    """`alerts test` sends now and tells the answer; `alerts list` is not fine while something is not acknowledged."""
    fine = CliRunner().invoke(commands, ["alerts", "test", "--channel", "ops"], standalone_mode=False)
    assert (fine.return_value, fine.output) == (0, "ok   ops: HTTP 200 ok\n")
    assert "a test of channel ops" in hook.posts[0]
    hook.faults = ["403"]
    bad = CliRunner().invoke(commands, ["alerts", "test"], standalone_mode=False)
    assert (bad.return_value, bad.output) == (1, "FAIL ops: HTTP 403 invalid_payload\n")
    record(lake.ledger, [ALERT])
    shown = CliRunner().invoke(commands, ["alerts", "list"], standalone_mode=False)
    assert shown.return_value == 1
    assert "NOT ACKNOWLEDGED" in shown.output
    assert hook.address not in shown.output


def test_entries_of_long_ago_are_not_told(lake: Lake) -> None:
    """Whoever adds a channel to an old home is not told of years: the newest three sessions count."""
    for n in range(6):
        day = DAY + dt.timedelta(days=n)
        record_cutoff(lake.ledger, day, CUTOFF + dt.timedelta(days=n))
        record_failure(lake.ledger, day, "run-1", "features", "ValueError")
    assert sorted(alert.session for alert in found_now(lake)) == ["2018-12-14", "2018-12-15", "2018-12-16"]
