"""`marketbot alerts list` and `alerts test`: what went wrong, who was told, whether the channels work. No secret is shown.

Not here: what calls for an alert (`marketbot_resources.alert_detection`), when it is sent (`alerting`).
"""

from collections.abc import Sequence

from marketbot_assets.alerting import found_now, notification_of
from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_resources import settings
from marketbot_resources.alert_codes import CODES
from marketbot_resources.alert_detection import weekly_test
from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT, Alert, told_in
from marketbot_resources.clock import machine_now
from marketbot_resources.delivery import sent, standing
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate_notification import Channel, Notification
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import Acknowledged, Closed
from marketbot_resources.notify.text import message_of

View = dict[str, object]
NO_CHANNEL = "no channel: the mandate has no section notification; nobody is told"


def alerts_now(last: int) -> View:
    """The newest `last` recorded alerts and what is not recorded yet. `fine`: everything that a channel takes is acknowledged.

    Without channels nothing is recorded: `found` says what the newest sessions would have told. Raises UsageError where nothing was
    ever run.
    """
    lake = existing_lake()
    section, ledger = notification_of(lake), lake.ledger
    unheard = [alert.key for alert in standing(ledger, section)] if section is not None else []
    beats = ledger.entries(HEARTBEAT)
    return {
        "channels": [_channel(channel) for channel in (section.channels if section is not None else ())],
        "alerts": told_alerts(ledger, ledger.entries(KIND)[-last:]),
        "found": [_shown(alert) for alert in found_now(lake)][:last],
        "unacknowledged": unheard,
        "heartbeat": {"session": beats[-1].key.partition("/")[0], **beats[-1].body} if beats else None,
        "fine": not unheard,
    }


def _channel(channel: Channel) -> View:
    opened = open_channel(channel, settings.notifier_variables())
    lacking = opened.reason if isinstance(opened, Closed) else ""
    return {"name": channel.name, "kind": channel.kind, "severity_min": channel.severity_min, "lacking": lacking}


def _shown(alert: Alert) -> View:
    return {**alert.body(), "key": alert.key, "do": CODES[alert.code].do}


def told_alerts(ledger: Ledger, entries: Sequence[Entry]) -> list[View]:
    """Each alert with the channel that took it, or how often none did and why last."""
    heard = {key: entry for entry in ledger.entries(SENT) for key in told_in(entry)}
    failed: dict[str, list[Entry]] = {}
    for entry in ledger.entries(FAILED):
        for key in told_in(entry):
            failed.setdefault(key, []).append(entry)
    found: list[View] = []
    for entry in entries:
        ack, tries = heard.get(entry.key), failed.get(entry.key, [])
        found.append(
            {
                **entry.body,
                "key": entry.key,
                "channel": None if ack is None else ack.body["channel"],
                "at": None if ack is None else ack.body["at"],
                "answer": None if ack is None else ack.body["answer"],
                "failures": len(tries),
                "last_failure": f"{tries[-1].body['channel']}: {tries[-1].body['reason']}" if tries else None,
            }
        )
    return found


def test_channels(name: str | None) -> View:
    """Sends a test by each channel of the mandate file, or by one. Nothing is recorded. Raises UsageError for an unknown one."""
    section = load_mandate().notification
    if section is None:
        raise UsageError(f"alerts test: {NO_CHANNEL}")
    names = [channel.name for channel in section.channels]
    if name is not None and name not in names:
        raise UsageError(f"alerts test: expected one of {', '.join(names)}, found {name!r}")
    ledger, day = existing_ledger(settings.home()), machine_now().date().isoformat()
    head = (0, "none yet") if ledger is None else ledger.head()
    results = [_tested(c, section, day, head) for c in section.channels if name in (None, c.name)]
    return {"channels": results, "fine": all(one["acknowledged"] for one in results)}


def _tested(channel: Channel, section: Notification, day: str, head: tuple[int, str]) -> View:
    message = message_of([weekly_test(channel.name, day)], head)
    told = sent(open_channel(channel, settings.notifier_variables()), message)
    fine = isinstance(told, Acknowledged)
    answer = told.answer if isinstance(told, Acknowledged) else told.reason
    return {"name": channel.name, "kind": channel.kind, "acknowledged": fine, "answer": answer}


def alert_lines(view: View) -> list[str]:
    """The view for people."""
    channels, alerts, found = (view[name] for name in ("channels", "alerts", "found"))
    assert isinstance(channels, list)
    assert isinstance(alerts, list)
    assert isinstance(found, list)
    lines = [f"channel {c['name']} ({c['kind']}, from {c['severity_min']}){_but(c['lacking'])}" for c in channels]
    lines = lines or [NO_CHANNEL]
    for one in alerts:
        heard = f"{one['channel']} at {one['at']}" if one["channel"] else f"NOT ACKNOWLEDGED{_but(one['last_failure'])}"
        lines += [
            f"{one['severity']:<9}{one['code']} {one['subject']} {one['session']}: {one['message']}",
            f"  {heard}",
        ]
    for one in found:
        lines += [
            f"{one['severity']:<9}{one['code']} {one['subject']} {one['session']}: {one['message']}",
            "  not sent",
        ]
    if not alerts and not found:
        lines.append("no alert")
    beat = view["heartbeat"]
    if isinstance(beat, dict):
        lines.append(f"heartbeat of session {beat['session']}: {beat['answer']}")
    return lines


def _but(why: object) -> str:
    return f": {why}" if why else ""


def test_lines(view: View) -> list[str]:
    """The view for people."""
    channels = view["channels"]
    assert isinstance(channels, list)
    return [f"{'ok  ' if one['acknowledged'] else 'FAIL'} {one['name']}: {one['answer']}" for one in channels]
