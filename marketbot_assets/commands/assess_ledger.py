"""What the ledger tells of a period's people, mandates and alerts, for `marketbot assess`.

An operator's act has no date of its own: it is placed after the session whose cutoff stands before it.
"""

import bisect
import datetime as dt
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from marketbot_assets.audit.assessment_facts import Act, AlertFacts, ChangeFact
from marketbot_assets.audit.assessment_limits import controls_of
from marketbot_resources.alerts import FAILED, HEARTBEAT, KIND, SENT, told_in
from marketbot_resources.delivery_plan import WEEKLY_TEST
from marketbot_resources.errors import StoreError
from marketbot_resources.governance import CHANGE, IN_FORCE, in_force, is_signed
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.live_permission import KIND as LIVE
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.lake import Lake

# A halt for practice says so at the beginning of its reason: "not a drill" is none.
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DRILL = re.compile(r"\W*(?:an? |fire |planned )?drill\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Taken:
    """A mandate and the first session that took it; `plain`: as JSON under the keys of the file."""

    session: str
    sha256: str
    plain: Mapping[str, object]


def mandates_of(lake: Lake, first: str, last: str) -> tuple[Taken, ...]:
    """The mandates in force in a period, oldest first. Raises StoreError when a text is lost."""
    taken = [(str(e.body["session"]), str(e.body["mandate_sha256"]), e) for e in lake.ledger.entries(IN_FORCE)]
    begun = [one for one in taken if one[0] <= first][-1:]
    wanted = begun + [one for one in taken if first < one[0] <= last]
    if not wanted:
        now = in_force(lake)
        return () if now is None else (Taken(now.since, now.sha256, json.loads(now.text)),)
    return tuple(Taken(session, digest, _plain(lake, entry)) for session, digest, entry in wanted)


def _plain(lake: Lake, entry: Entry) -> Mapping[str, object]:
    row = lake.index.by_manifest("mandate", STATIC, str(entry.body["manifest_sha256"]))
    if row is None:
        raise StoreError(f"mandate of session {entry.body['session']}: expected its version in the store, found none")
    found: Mapping[str, object] = json.loads(str(lake.records(row)[0]["canonical_json"]))
    return found


def changes_of(ledger: Ledger, first: str, last: str) -> tuple[ChangeFact, ...]:
    """Changes of the mandate that take effect in a period."""
    took = {e.body["change"]: str(e.body["session"]) for e in ledger.entries(IN_FORCE)}
    found = []
    for entry in ledger.entries(CHANGE):
        body = entry.body
        if not first <= str(body["effective_session"]) <= last:
            continue
        told = body["changes"]
        assert isinstance(told, Sequence)
        paths = tuple(_path(one) for one in told if isinstance(one, Mapping))
        found.append(
            ChangeFact(
                n=_count(body["n"]),
                by=str(body["operator"]),
                direction=str(body["direction"]),
                reason=str(body["reason"]),
                effective=str(body["effective_session"]),
                taken=took.get(body["n"], ""),
                signed=is_signed(ledger, entry),
                paths=paths,
                count=_count(body["changes_count"]),
                controls=tuple(sorted({control for path in paths for control in controls_of(path[0])})),
            )
        )
    return tuple(found)


def _path(change: Mapping[str, Json]) -> tuple[str, str, str, str]:
    return str(change["path"]), str(change["old"]), str(change["new"]), str(change["direction"])


def _count(value: Json) -> int:
    return int(value) if isinstance(value, int | float) else 0


class Places:
    """After which session an entry stands: by the numbers of the cutoffs in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        cutoffs = sorted((entry.seq, entry.key) for entry in ledger.entries("session_cutoff"))
        self._numbers, self._sessions = [seq for seq, _ in cutoffs], [key for _, key in cutoffs]

    def after(self, seq: int) -> str:
        """The session of the last cutoff before this number; empty before the first."""
        place = bisect.bisect_right(self._numbers, seq)
        return self._sessions[place - 1] if place else ""


def acts_of(ledger: Ledger, places: Places, first: str, last: str) -> tuple[Act, ...]:
    """What operators did after sessions of a period."""
    found = []
    for entry in ledger.entries("operator_action"):
        after, body = places.after(entry.seq), entry.body
        if first <= after <= last:
            reason = str(body["reason"])
            found.append(
                Act(
                    n=_count(body["n"]),
                    after=after,
                    action=str(body["action"]),
                    level=str(body.get("level", "")),
                    by=str(body.get("user") or body["operator"]),
                    reason=reason,
                    drill=DRILL.match(reason) is not None,
                )
            )
    return tuple(found)


def permissions_of(ledger: Ledger, places: Places, first: str, last: str) -> tuple[tuple[int, str, str], ...]:
    """(number, action, the session after which it stands) of permissions to trade live."""
    found = []
    for entry in ledger.entries(LIVE):
        after = places.after(entry.seq)
        if first <= after <= last:
            found.append((_count(entry.body["n"]), str(entry.body["action"]), after))
    return tuple(found)


def alerts_of(
    ledger: Ledger, mandate: Mapping[str, object], sessions: Collection[str], first: str, last: str
) -> AlertFacts:
    """Alerts that are about sessions or days of a period, and what became of them.

    One that names no day (an operator's halt, an order left open, a head that was not kept) counts where it stands in the ledger.
    """
    heard = {key for entry in ledger.entries(SENT) for key in told_in(entry)}
    raised: dict[str, list[bool]] = {}
    tested, places, days = set(), Places(ledger), {}
    for entry in ledger.entries(KIND):
        told, code = str(entry.body["session"]), str(entry.body["code"])
        day = days[entry.key] = told if DAY.fullmatch(told) else places.after(entry.seq)
        if not first <= day <= last:
            continue
        if code == WEEKLY_TEST:
            tested |= {_week(day)} if entry.key in heard else set()
        else:
            raised.setdefault(code, []).append(entry.key in heard)
    beats = {e.key.partition("/")[0] for e in ledger.entries(HEARTBEAT) if e.body.get("acknowledged") is True}
    failures = [key for entry in ledger.entries(FAILED) for key in told_in(entry)]
    section = mandate.get("notification")
    channels = section.get("channels") if isinstance(section, Mapping) else ()
    return AlertFacts(
        channels=tuple(str(one["name"]) for one in channels) if isinstance(channels, Sequence) else (),
        by_code={code: (len(all_), sum(all_)) for code, all_ in sorted(raised.items())},
        weeks=tuple(sorted({_week(session) for session in sessions})),
        tested=tuple(sorted(tested)),
        beats=len(beats & set(sessions)),
        failures=sum(first <= days.get(key, "") <= last for key in failures),
    )


def _week(day: str) -> str:
    year, week, _ = dt.date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"


def run_failures_of(ledger: Ledger, first: str, last: str) -> tuple[tuple[str, int], ...]:
    """(session, runs that ended before their orders) of sessions that had such runs."""
    runs: dict[str, set[str]] = {}
    for entry in ledger.entries("run_failed"):
        session, run, *_ = entry.key.split("/")
        if first <= session <= last:
            runs.setdefault(session, set()).add(run)
    return tuple((session, len(runs[session])) for session in sorted(runs))


def replay_breaches_of(ledger: Ledger, first: str, last: str) -> tuple[tuple[str, str], ...]:
    """(session, why) of decisions that could not be rebuilt as they were stored."""
    found = []
    for entry in ledger.entries("breach", "replay/"):
        session = entry.key.split("/")[1]
        if first <= session <= last:
            found.append((session, str(entry.body["why"])))
    return tuple(sorted(found))
