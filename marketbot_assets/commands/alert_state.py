"""Whether people hear of alerts: what nobody acknowledged, when each channel last answered, the heartbeat, the weekly test.

For `status` and `doctor`; it only reads. Not here: the alerts themselves (`alerts`).
"""

import datetime as dt
from typing import TYPE_CHECKING, cast

from marketbot_assets.alerting import RECENT_SESSIONS, notification_of
from marketbot_assets.commands.finding import Finding
from marketbot_resources import settings
from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT, told_in
from marketbot_resources.delivery_plan import WEEKLY_TEST, pending
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import Closed
from marketbot_resources.unrecorded import Unrecorded, WithUnrecorded

if TYPE_CHECKING:
    from marketbot_resources.ledger.record import Entry
    from marketbot_resources.mandate_notification import Notification
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
NOBODY = "no channel: the mandate has no section notification; nobody is told"
WEEK = dt.timedelta(days=8)  # a week, and a day for a machine that was off


def alert_state(lake: "Lake") -> View | None:
    """None without channels. `unacknowledged`: keys of the newest sessions' alerts that no channel took yet.

    `failing`: those of them that a channel was asked to take and did not; `not_recorded`: how many entries the ledger did not
    take. `answered` and `failed` of a channel: instant and words of its newest answer of that kind, null where there is none.
    """
    section = notification_of(lake)
    return None if section is None else state_of(lake, section)


def state_of(lake: "Lake", section: "Notification") -> View:
    """The same for a section."""
    beside = Unrecorded(lake.home)
    records = WithUnrecorded(lake.ledger, beside)
    begun = sorted(entry.seq for entry in lake.ledger.entries("session_cutoff"))
    first = begun[-RECENT_SESSIONS] if len(begun) >= RECENT_SESSIONS else 0
    sent, failed = records.entries(SENT), records.entries(FAILED)
    recent = [entry for entry in records.entries(KIND) if entry.seq >= first]
    known = {entry.key for entry in recent}
    open_ = [one for one in pending([*recent, *sent, *failed], section) if one.alert.key in known]
    beats = records.entries(HEARTBEAT)
    tests = [e for e in sent if any(key.startswith(f"{WEEKLY_TEST}/") for key in told_in(e))]
    return {
        "unacknowledged": [one.alert.key for one in open_],
        "failing": [one.alert.key for one in open_ if one.failures],
        "not_recorded": len(beside.lines()),
        "channels": [
            {"name": c.name, "answered": _newest(sent, c.name, "answer"), "failed": _newest(failed, c.name, "reason")}
            for c in section.channels
        ],
        "heartbeat": None if section.heartbeat is None else _beat(beats),
        "weekly_test": None if section.weekly_test is None else {"at": str(tests[-1].body["at"]) if tests else None},
    }


def _newest(entries: "list[Entry]", channel: str, word: str) -> View | None:
    own = [entry for entry in entries if entry.body["channel"] == channel]
    return {"at": str(own[-1].body["at"]), "said": str(own[-1].body[word])} if own else None


def _beat(beats: "list[Entry]") -> View:
    if not beats:
        return {"session": None, "at": None, "acknowledged": None, "answer": "no session has ended yet"}
    newest = beats[-1]
    return {"session": newest.key.partition("/")[0], **newest.body}


def alert_lines(state: View | None, now: dt.datetime) -> list[str]:
    """The state for people, one fact per line."""
    if state is None:
        return [NOBODY]
    unheard, failing = cast("list[str]", state["unacknowledged"]), cast("list[str]", state["failing"])
    lines = [f"{len(unheard)} not acknowledged{_shown(unheard)}" if unheard else "all acknowledged"]
    lines += [f"{len(failing)} of them were tried in vain; marketbot alerts list"] if failing else []
    lines += [f"{state['not_recorded']} entries that the ledger did not take"] if state["not_recorded"] else []
    for channel in cast("list[View]", state["channels"]):
        lines.append(f"{channel['name']}: {_channel(channel, now)}")
    beat, test = cast("View | None", state["heartbeat"]), cast("View | None", state["weekly_test"])
    if beat is not None:
        when = f" {_ago(beat['at'], now)}" if beat["at"] else ""
        lines.append(f"heartbeat: {beat['session'] or ''} {beat['answer']}{when}".replace("  ", " "))
    if test is not None:
        lines.append(f"weekly test: {_ago(test['at'], now) if test['at'] else 'never acknowledged'}")
    return lines


def _shown(keys: list[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f": {', '.join(keys[:3])}{more}"


def _channel(channel: View, now: dt.datetime) -> str:
    answered, failed = cast("View | None", channel["answered"]), cast("View | None", channel["failed"])
    told = [f"acknowledged {_ago(answered['at'], now)} ({answered['said']})" if answered else "never acknowledged"]
    if failed is not None and (answered is None or str(failed["at"]) > str(answered["at"])):
        told.append(f"failed {_ago(failed['at'], now)}: {failed['said']}")
    return ", ".join(told)


def _ago(at: object, now: dt.datetime) -> str:
    """An age in the largest unit that fits."""
    seconds = max((now - dt.datetime.fromisoformat(str(at))).total_seconds(), 0.0)
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} seconds ago"


def alert_findings(lake: "Lake | None", section: "Notification | None", now: dt.datetime) -> list[Finding]:
    """For `doctor`: a channel without its secret, alerts nobody heard, a heartbeat not taken, a weekly test overdue."""
    if section is None:
        return [Finding("alerts", True, NOBODY, "")]
    found = []
    for channel in section.channels:
        opened = open_channel(channel, settings.notifier_variables())
        lacking = opened.reason if isinstance(opened, Closed) else ""
        found.append(Finding(f"channel {channel.name}", not lacking, lacking or channel.kind, "see docs/alerts.md"))
    return found if lake is None else found + _heard(state_of(lake, section), section, now)


def _heard(state: View, section: "Notification", now: dt.datetime) -> list[Finding]:
    failing = cast("list[str]", state["failing"])
    told = f"{len(failing)} tried in vain{_shown(failing)}" if failing else "every one that was sent is acknowledged"
    found = [Finding("alerts", not failing, told, "mend the channel: marketbot alerts test")]
    beat, test = cast("View | None", state["heartbeat"]), cast("View | None", state["weekly_test"])
    if beat is not None:
        age = f", {_ago(beat['at'], now)}" if beat["at"] else ""
        said = f"{beat['answer']}{age}"
        found.append(Finding("heartbeat", beat["acknowledged"] is not False, said, "see the watcher and its address"))
    if section.weekly_test is not None and test is not None:
        fresh = test["at"] is not None and now - dt.datetime.fromisoformat(str(test["at"])) <= WEEK
        said = _ago(test["at"], now) if test["at"] else "never acknowledged"
        rule = section.weekly_test
        mend = (
            f"switch alert_sensor on: it tests on {rule.weekday} from {rule.at} {rule.timezone}; `marketbot alerts test` tries "
            "the channels now and does not count"
        )
        found.append(Finding("weekly test", fresh, said, mend))
    return found
