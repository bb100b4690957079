"""What the broker told of executions, events and busts, each once, in the ledger (P8), and which session it belongs to.

Ingest is at least once: a broker is asked over days that overlap, and an id that is known changes nothing. A fact belongs to
the first decided session that was taken after it was heard and whose cutoff lies at or after it; so what is told late is booked
by the next session, once, and what a skipped session heard is heard again. Kinds: heard_since, order_fill, account_event,
fill_bust, account_taken. Not here: the orders' states (`following`), booking (the book stage).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from marketbot_resources.broker.records import (
    COSTS,
    bust_from_record,
    bust_record,
    event_from_record,
    event_record,
    execution_from_record,
    execution_record,
)
from marketbot_resources.errors import HaltError
from marketbot_resources.heard import Heard
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.model import AccountReport, Execution, utc_text
from marketbot_resources.sessions import book_cutoff_before, book_open, cutoff_of, decided_before, is_skipped

FILL, EVENT, BUST = "order_fill", "account_event", "fill_bust"
SINCE, TAKEN = "heard_since", "account_taken"
OVERLAP_SESSIONS = 5
_DAY = dt.timedelta(days=1)
_T = TypeVar("_T")


def begin_hearing(ledger: Ledger, since: dt.datetime) -> dt.datetime:
    """The instant after which this home keeps what it hears, recorded at the first call; what lies before is booked."""
    known = ledger.get(SINCE, "book")
    if known is None:
        ledger.append(SINCE, "book", {"since_at": utc_text(since)})
        return since
    return dt.datetime.fromisoformat(str(known.body["since_at"]))


def hear_since(ledger: Ledger) -> dt.datetime | None:
    """From when on the broker is asked: the cutoff some decided sessions back; None before the book is open."""
    newest_first = sorted(ledger.entries("session_cutoff"), key=lambda entry: entry.key, reverse=True)
    decided = islice((entry for entry in newest_first if not is_skipped(ledger, entry.key)), OVERLAP_SESSIONS)
    instants = [dt.datetime.fromisoformat(str(entry.body["cutoff_at"])) for entry in decided]
    opened = book_open(ledger)
    if not instants and opened is None:
        return None
    newest = instants[0] if instants else opened.history_until if opened else None
    assert newest is not None, "one of the two is there"
    begun = begin_hearing(ledger, newest)
    return max(begun, instants[-1]) if len(instants) == OVERLAP_SESSIONS else begun


def hear(ledger: Ledger, report: AccountReport, since: dt.datetime) -> tuple[str, ...]:
    """Records what is new of (since, now]; returns the ids of new executions, in order.

    Raises HaltError when a known id is told with other facts.

    A fee or tax that comes later does not change the execution: the difference shows in cash.
    """
    new: list[tuple[str, str, Mapping[str, Json]]] = []
    named: list[str] = []
    told: list[tuple[str, str, dt.datetime, dict[str, Json]]] = [
        (FILL, fill.execution_id, fill.executed_at, execution_record(fill)) for fill in report.executions
    ]
    told += [(EVENT, event.event_id, event.effective_at, event_record(event)) for event in report.events]
    told += [(BUST, bust.execution_id, bust.told_at, bust_record(bust)) for bust in report.busts]
    told = sorted((fact for fact in told if fact[2] > since), key=lambda fact: (fact[2], fact[0], fact[1]))
    until = max(report.as_of_at, *(fact[2] for fact in told)) if told else report.as_of_at
    bodies: dict[tuple[str, str], Mapping[str, Json]] = {
        (kind, _name(entry)): entry.body for kind in (FILL, EVENT, BUST) for entry in _days(ledger, kind, since, until)
    }
    for kind, name, at, body in told:
        before = bodies.get((kind, name))
        if before is None:
            new.append((kind, f"{at.astimezone(dt.UTC).date().isoformat()}/{name}", body))
            bodies[kind, name] = body
            named += [name] if kind == FILL else []
        elif _essence(kind, before) != _essence(kind, body):
            raise HaltError(
                f"{kind} {name}: expected what the broker told of it before, found other facts; ask the broker"
            )
    if new:
        ledger.append_all(new)
    return tuple(named)


def _essence(kind: str, body: Mapping[str, Json]) -> dict[str, Json]:
    """What may never change; of a bust only what stands instead: its instant may be when we asked."""
    if kind == BUST:
        return {"replaced_by": body["replaced_by"]}
    return {name: value for name, value in body.items() if name not in COSTS}


def _name(entry: Entry) -> str:
    return entry.key.split("/", 1)[1]


def _days(ledger: Ledger, kind: str, since: dt.datetime, until: dt.datetime) -> list[Entry]:
    first, last = since.astimezone(dt.UTC).date(), until.astimezone(dt.UTC).date()
    days = [first + n * _DAY for n in range((last - first).days + 1)]
    return [entry for day in days for entry in ledger.entries(kind, f"{day.isoformat()}/")]


def fills_heard(ledger: Ledger, since: dt.datetime, until: dt.datetime) -> tuple[Execution, ...]:
    """Executions of these days that are not taken back, by instant and id."""
    gone = {_name(entry) for entry in _days(ledger, BUST, since, until + _DAY)}
    found = [execution_from_record(entry.body) for entry in _days(ledger, FILL, since, until)]
    return tuple(
        sorted((f for f in found if f.execution_id not in gone), key=lambda f: (f.executed_at, f.execution_id))
    )


def take(ledger: Ledger, session: dt.date, report: AccountReport, since: dt.datetime) -> Heard:
    """What belongs to a session whose cutoff is recorded; a second call gives the same facts, whatever was heard since."""
    ledger.append(TAKEN, session.isoformat(), {"session": session.isoformat()})
    own, cutoff = ledger.get(TAKEN, session.isoformat()), cutoff_of(ledger, session)
    assert own is not None, "it was appended"
    assert cutoff is not None, "the cutoff is recorded first"
    before, covered = decided_before(ledger, session), book_cutoff_before(ledger, session)
    earlier = None if before is None else ledger.get(TAKEN, before.key) or before
    seen = -1 if earlier is None else earlier.seq

    def belongs(entry: Entry, at: dt.datetime) -> bool:
        if not (entry.seq < own.seq and at <= cutoff):
            return False
        return not (entry.seq < seen and at <= covered)

    executions = _of(ledger, FILL, since, cutoff, belongs, execution_from_record, lambda fill: fill.executed_at)
    events = _of(ledger, EVENT, since, cutoff, belongs, event_from_record, lambda event: event.effective_at)
    busts = _of(ledger, BUST, since, cutoff, belongs, bust_from_record, lambda bust: bust.told_at)
    named = {fill.execution_id for fill in report.executions}
    gone = {bust.execution_id for bust in report.busts}
    known = {
        fill.execution_id: fill
        for fill in map(execution_from_record, (e.body for e in _days(ledger, FILL, since, cutoff)))
    }
    return Heard(
        executions=tuple(sorted(executions, key=lambda fill: (fill.executed_at, fill.execution_id))),
        events=tuple(sorted(events, key=lambda event: (event.effective_at, event.event_id))),
        busts=tuple(sorted(busts, key=lambda bust: (bust.told_at, bust.execution_id))),
        busted={bust.execution_id: known[bust.execution_id] for bust in busts if bust.execution_id in known},
        late=frozenset(fill.execution_id for fill in executions if fill.executed_at <= covered),
        withdrawn=frozenset(fill.execution_id for fill in executions) - named - gone,
    )


def heard_after(ledger: Ledger, session: dt.date, since: dt.datetime, until: dt.datetime) -> Heard:
    """What was heard up to an instant and belongs to no session up to this one: the next session will book it."""
    cutoff, taken = cutoff_of(ledger, session), ledger.get(TAKEN, session.isoformat())
    seen = -1 if taken is None else taken.seq

    def belongs(entry: Entry, at: dt.datetime) -> bool:
        return at <= until and not (cutoff is not None and at <= cutoff and entry.seq < seen)

    executions = _of(ledger, FILL, since, until, belongs, execution_from_record, lambda fill: fill.executed_at)
    events = _of(ledger, EVENT, since, until, belongs, event_from_record, lambda event: event.effective_at)
    busts = _of(ledger, BUST, since, until, belongs, bust_from_record, lambda bust: bust.told_at)
    known = {
        fill.execution_id: fill
        for fill in map(execution_from_record, (e.body for e in _days(ledger, FILL, since, until)))
    }
    busted = {bust.execution_id: known[bust.execution_id] for bust in busts if bust.execution_id in known}
    return Heard(tuple(executions), tuple(events), tuple(busts), busted, frozenset(), frozenset())


def _of(
    ledger: Ledger,
    kind: str,
    since: dt.datetime,
    cutoff: dt.datetime,
    belongs: Callable[[Entry, dt.datetime], bool],
    read: Callable[[Mapping[str, Json]], _T],
    at: Callable[[_T], dt.datetime],
) -> Sequence[_T]:
    facts = [(entry, read(entry.body)) for entry in _days(ledger, kind, since, cutoff)]
    return [fact for entry, fact in facts if belongs(entry, at(fact))]
