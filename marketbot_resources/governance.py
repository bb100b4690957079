"""Which mandate is in force, and which change of it may take effect: every session's run asks at its first step.

What tightens takes effect at once and is recorded; what loosens takes effect from the next session on, and only with a signed
change record; the first mandate of a home is taken as it is. Kinds: mandate_change (what may take effect, and from when) and
mandate_in_force (what a run took). Not here: what makes a mandate tighter (`mandate_directions`), commands (`commands.mandate`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_resources.errors import Equivocation, LedgerError, MandateError, StoreError, UsageError
from marketbot_resources.ledger.note import Checkpoint, open_note
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_directions import (
    Change,
    Direction,
    compare_plain,
    overall,
    plain_of,
    previous_mandate,
)
from marketbot_resources.notary import log_keys
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

CHANGE, IN_FORCE = "mandate_change", "mandate_in_force"
FIRST, RUN, OPERATOR = "first", "run", "cli"
CHANGES_TOLD, VALUE_CHARACTERS, KEYS_NAMED = 100, 120, 4
HOW_TO_APPROVE = "record it: marketbot mandate approve --reason TEXT"
HOW_TO_RESTORE = "put back the one in force: marketbot mandate show --text > mandate.yaml"


@dataclass(frozen=True, slots=True)
class InForce:
    """The mandate in force. `since`: the first session that took it (ISO date); `seq`: its entry, -1 before there is one."""

    sha256: str
    text: str
    since: str
    seq: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What a run may take: the file's mandate, what became of it, and the record of the change that allows it."""

    mandate: Mandate
    session: dt.date
    before: InForce | None
    direction: str
    changes: tuple[Change, ...]
    record: Entry | None

    @property
    def same(self) -> bool:
        """Whether it is in force already."""
        return self.before is not None and self.before.seq >= 0 and self.before.sha256 == self.mandate.sha256


def in_force(lake: "Lake") -> InForce | None:
    """The mandate in force; None in a home in which nothing was decided. Raises StoreError when its text is lost or altered.

    In a home that decided before such entries were written it is the newest stored one.
    """
    entries = lake.ledger.entries(IN_FORCE)
    if entries:
        body = entries[-1].body
        row = lake.index.by_manifest("mandate", STATIC, str(body["manifest_sha256"]))
        return _stored(lake, row, str(body["mandate_sha256"]), str(body["session"]), entries[-1].seq)
    decisions = lake.ledger.entries("decision")
    newest = lake.index.newest("mandate", STATIC) if decisions else None
    if newest is None:
        return None
    text = str(lake.load(newest)["canonical_json"].iloc[0])
    return _stored(lake, newest, hashlib.sha256(text.encode()).hexdigest(), decisions[0].key, -1)


def _stored(lake: "Lake", row: "IndexRow | None", digest: str, since: str, seq: int) -> InForce:
    if row is None:
        raise StoreError(
            f"mandate in force {digest[:12]}: expected its version in the store, found none; restore the home"
        )
    text = str(lake.load(row)["canonical_json"].iloc[0])
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise StoreError(f"mandate in force {digest[:12]}: expected its text in the store, found another one")
    return InForce(digest, text, since, seq)


def admit(lake: "Lake", session: dt.date, mandate: Mandate) -> Admission:
    """What the run of a session may take of this mandate. Raises MandateError for a loosening that no record allows."""
    before = in_force(lake)
    if before is None:
        return Admission(mandate, session, None, FIRST, (), None)
    if before.sha256 == mandate.sha256:
        return Admission(mandate, session, before, Direction.NEUTRAL.value, (), None)
    changes = compare_plain(previous_mandate(before.text), plain_of(mandate))
    direction = overall(changes)
    if direction is not Direction.LOOSER:
        return Admission(mandate, session, before, direction.value, changes, None)
    record = _record_of(lake.ledger, before, mandate)
    problem = _missing(lake.ledger, record, session)
    if problem:
        keys = [change.path for change in changes if change.loosens]
        more = f" and {len(keys) - KEYS_NAMED} more" if len(keys) > KEYS_NAMED else ""
        raise MandateError(
            f"mandate: session {session}: expected the mandate in force ({before.sha256[:12]}) or a tighter one, found one that "
            f"loosens {', '.join(keys[:KEYS_NAMED])}{more} {problem}"
        )
    return Admission(mandate, session, before, direction.value, changes, record)


def _record_of(ledger: Ledger, before: InForce, mandate: Mandate) -> Entry | None:
    """The newest record of exactly this change, written since the mandate in force was taken: a record serves once."""
    found = [
        entry
        for entry in ledger.entries(CHANGE)
        if entry.seq > before.seq
        and (entry.body["old_sha256"], entry.body["new_sha256"]) == (before.sha256, mandate.sha256)
    ]
    return found[-1] if found else None


def _missing(ledger: Ledger, record: Entry | None, session: dt.date) -> str:
    """What stands against a loosening, and what to do; empty when nothing does."""
    if record is None:
        return f"without a change record; {HOW_TO_APPROVE}, or {HOW_TO_RESTORE}"
    effective = str(record.body["effective_session"])
    if not effective <= session.isoformat():
        return f"by a record that counts from session {effective} on; until then {HOW_TO_RESTORE}"
    if not is_signed(ledger, record):
        return f"by a record that was not signed; {HOW_TO_APPROVE}"
    return ""


def is_signed(ledger: Ledger, entry: Entry) -> bool:
    """Whether a kept checkpoint over this entry carries a good signature of the log's key and the root that the ledger has."""
    keys = log_keys(ledger)
    for size, note in ledger.checkpoints():
        if size > entry.seq:
            text, good = open_note(note, keys)
            return bool(good) and Checkpoint(good[0].name, size, ledger.root(size)).text == text
    return False


def take(lake: "Lake", admission: Admission) -> None:
    """Records that a run took the mandate that was just stored, with the change when no record of it exists."""
    if admission.same:
        return
    row, ledger = lake.index.newest("mandate", STATIC), lake.ledger
    assert row is not None, "the mandate is stored before it is in force"
    old = "" if admission.before is None else admission.before.sha256
    record, entries = admission.record, []
    if record is None:
        body = _change_body(
            ledger,
            RUN,
            admission.direction,
            old,
            admission.mandate,
            admission.changes,
            "taken by the run",
            admission.session,
        )
        entries.append((CHANGE, f"{body['n']:06d}", body))
    n = len(ledger.entries(IN_FORCE)) + 1
    taken: dict[str, Json] = {
        "n": n,
        "session": admission.session.isoformat(),
        "mandate_sha256": admission.mandate.sha256,
        "previous_sha256": old,
        "manifest_sha256": row.manifest_sha256,
        "change": (entries[0][2] if record is None else record.body)["n"],
    }
    ledger.append_all([*entries, (IN_FORCE, f"{n:06d}", taken)])


def approve(lake: "Lake", before: InForce, mandate: Mandate, changes: Sequence[Change], reason: str) -> Entry:
    """Appends the record that lets a loosening take effect from the next session on. It counts once its entry is signed."""
    ledger, effective = lake.ledger, effective_session(lake.ledger, mandate)
    body = _change_body(ledger, OPERATOR, overall(changes).value, before.sha256, mandate, changes, reason, effective)
    key = f"{body['n']:06d}"
    try:
        ledger.append(CHANGE, key, body)
    except Equivocation as error:
        raise LedgerError(f"ledger: expected number {key} free, found another change record; try again") from error
    entry = ledger.get(CHANGE, key)
    assert entry is not None
    return entry


def effective_session(ledger: Ledger, mandate: Mandate) -> dt.date:
    """The first session whose cutoff is not recorded yet. Raises UsageError when the calendar has none left."""
    from marketbot_resources.calendars import decision_sessions
    from marketbot_resources.sessions import book_open

    calendar, opened = mandate.calendar, book_open(ledger)
    cutoffs = [entry.key for entry in ledger.entries("session_cutoff")]
    if cutoffs:
        start = dt.date.fromisoformat(max(cutoffs)) + dt.timedelta(days=1)
    else:
        start = opened.session if opened else calendar.go_live
    if max(start, calendar.go_live) <= calendar.last_session:
        days = decision_sessions(calendar, max(start, calendar.go_live), calendar.last_session)
        if days:
            return days[0]
    raise UsageError(
        f"mandate: expected a session after {start} in its calendar, found none up to {calendar.last_session}"
    )


def _change_body(
    ledger: Ledger,
    operator: str,
    direction: str,
    old: str,
    mandate: Mandate,
    changes: Iterable[Change],
    reason: str,
    effective: dt.date,
) -> dict[str, Json]:
    told = list(changes)
    return {
        "n": len(ledger.entries(CHANGE)) + 1,
        "operator": operator,
        "direction": direction,
        "old_sha256": old,
        "new_sha256": mandate.sha256,
        "changes": [told_change(change) for change in told[:CHANGES_TOLD]],
        "changes_count": len(told),
        "reason": reason,
        "effective_session": effective.isoformat(),
    }


def told_change(change: Change) -> dict[str, Json]:
    """One change as it is told: values as JSON text, long ones cut; the hashes of both mandates pin the rest."""
    return {
        "path": change.path,
        "old": _told(change.old),
        "new": _told(change.new),
        "direction": change.direction.value,
    }


def _told(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."
