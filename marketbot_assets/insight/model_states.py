"""Which model is in force: the fold of a slot's events, candidate -> shadow -> champion -> retired. Pure.

A slot is a place that one model fills, like `return_model`. Events are appended and never changed; the state is what they add up
to, so a process that dies leaves the state of the last whole event. A promotion to champion retires the champion before it in the
same event; a rollback points to an earlier champion and one of its accepted fits. Not here: the rule that promotes
(`research.promotion`), the ledger and the files (`model_registry`).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from marketbot_assets.insight.model_drift import DriftState, Trust, after


class State(StrEnum):
    """Where a specification stands."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CHAMPION = "champion"
    RETIRED = "retired"


class What(StrEnum):
    """Kinds of events."""

    REGISTERED = "registered"
    EVIDENCE = "evidence"
    TRACKED = "tracked"
    MOVED = "moved"
    REFUSED = "refused"
    FIT = "fit"
    DRIFT = "drift"
    ROLLED_BACK = "rolled_back"


MOVES = frozenset(
    {
        (State.CANDIDATE, State.SHADOW),
        (State.SHADOW, State.CHAMPION),
        (State.CANDIDATE, State.RETIRED),
        (State.SHADOW, State.RETIRED),
        (State.CHAMPION, State.RETIRED),
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a slot, numbered from 1. `session`: of the decision calendar; `spec`: hash; `to`: of a move; `blob`: file of a
    fit or of evidence; `accepted`: of a fit; `trust`: of a session's drift; `reasons`: in words.
    """

    number: int
    what: What
    session: dt.date
    spec: str
    to: State | None = None
    blob: str = ""
    accepted: bool = False
    trust: Trust | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a specification stands. `fit`: hash of the fit that it would be used with, empty without; `fits`: (hash, accepted) of
    all, oldest first, one that was rolled back from is not accepted; `evidence`, `tracked`: files of the newest evidence and of
    what the shadow did; `drift`: since it became champion; `drift_on`: its last session.
    """

    spec: str
    state: State
    since: dt.date
    reasons: tuple[str, ...]
    fit: str = ""
    fits: tuple[tuple[str, bool], ...] = ()
    evidence: str = ""
    tracked: str = ""
    drift: DriftState = field(default_factory=DriftState)
    drift_on: dt.date | None = None

    @property
    def accepted(self) -> tuple[str, ...]:
        """Accepted fits, oldest first."""
        return tuple(name for name, good in self.fits if good)


@dataclass(frozen=True, slots=True)
class Slot:
    """All specifications of a slot. `number`: of the last event; `champions`: every one that ever was, oldest first."""

    number: int = 0
    standings: Mapping[str, Standing] = field(default_factory=dict)
    champions: tuple[str, ...] = ()

    @property
    def champion(self) -> Standing | None:
        """The specification in force, if there is one."""
        found = [one for one in self.standings.values() if one.state is State.CHAMPION]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides. `spec`, `fit`: hashes, empty for the baseline; `weight`: of the model's forecasts; `why`, in words."""

    spec: str
    fit: str
    weight: float
    why: str


def fold(events: Iterable[Event]) -> Slot:
    """The state after all events, in their order. Raises ValueError for a number out of turn or an event that is not allowed."""
    slot = Slot()
    for event in events:
        slot = applied(slot, event)
    return slot


def applied(slot: Slot, event: Event) -> Slot:
    """The state after one more event. Raises ValueError, with what was expected, when the event is not allowed."""
    if event.number != slot.number + 1:
        raise ValueError(f"expected event {slot.number + 1}, found {event.number}")
    known = slot.standings.get(event.spec)
    if event.what is What.REGISTERED:
        if known is not None:
            raise ValueError(f"specification {event.spec[:12]} is registered already")
        new = Standing(event.spec, State.CANDIDATE, event.session, event.reasons)
        return _with(slot, event, new)
    if known is None:
        raise ValueError(f"expected a registered specification, found {event.spec[:12]}")
    if event.what is What.MOVED:
        return _moved(slot, event, known)
    if event.what is What.ROLLED_BACK:
        return _rolled_back(slot, event, known)
    return _with(slot, event, _noted(known, event))


def _noted(known: Standing, event: Event) -> Standing:
    if event.what is What.FIT:
        if not event.blob or event.blob in dict(known.fits):
            raise ValueError(f"expected a new fit, found {event.blob[:12] or 'none'}")
        fits = (*known.fits, (event.blob, event.accepted))
        return replace(known, fits=fits, fit=event.blob if event.accepted else known.fit)
    if event.what in (What.EVIDENCE, What.TRACKED):
        if not event.blob:
            raise ValueError("expected a file of evidence, found none")
        shadow = event.what is What.TRACKED
        return replace(known, tracked=event.blob) if shadow else replace(known, evidence=event.blob)
    if event.what is What.DRIFT:
        if known.state is not State.CHAMPION or event.trust is None:
            raise ValueError(f"expected the drift of a champion, found that of a {known.state.value}")
        if known.drift_on is not None and event.session <= known.drift_on:
            raise ValueError(f"expected drift of a session after {known.drift_on}, found {event.session}")
        return replace(known, drift=after(known.drift, event.trust), drift_on=event.session)
    return known  # refused: only told


def _moved(slot: Slot, event: Event, known: Standing) -> Slot:
    if event.to is None or (known.state, event.to) not in MOVES:
        raise ValueError(f"a {known.state.value} does not become {event.to.value if event.to else 'nothing'}")
    if event.to is State.CHAMPION and not known.fit:
        raise ValueError("expected an accepted fit of what becomes champion, found none")
    moved = replace(known, state=event.to, since=event.session, reasons=event.reasons)
    return _with(slot, event, moved) if event.to is not State.CHAMPION else _crowned(slot, event, moved)


def _rolled_back(slot: Slot, event: Event, known: Standing) -> Slot:
    if event.spec not in slot.champions:
        raise ValueError(f"expected a specification that was champion, found {event.spec[:12]}")
    if event.blob not in known.accepted:
        raise ValueError(f"expected an accepted fit of {event.spec[:12]}, found {event.blob[:12] or 'none'}")
    place = [name for name, _ in known.fits].index(event.blob)
    fits = tuple((name, good and number <= place) for number, (name, good) in enumerate(known.fits))
    back = replace(known, state=State.CHAMPION, since=event.session, reasons=event.reasons, fit=event.blob, fits=fits)
    return _crowned(slot, event, back)


def _crowned(slot: Slot, event: Event, new: Standing) -> Slot:
    """A new champion is watched from anew; the one before is retired in the same event."""
    new = replace(new, drift=DriftState(), drift_on=None)
    before = slot.champion
    standings = dict(slot.standings)
    if before is not None and before.spec != new.spec:
        told = (f"replaced by {new.spec[:12]}",)
        standings[before.spec] = replace(before, state=State.RETIRED, since=event.session, reasons=told)
    champions = (*slot.champions, new.spec)
    return _with(replace(slot, standings=standings, champions=champions), event, new)


def _with(slot: Slot, event: Event, standing: Standing) -> Slot:
    return replace(slot, number=event.number, standings={**slot.standings, event.spec: standing})


def in_force(slot: Slot) -> InForce:
    """The champion with its fit, as far as it is trusted; the baseline where there is none, or no trust."""
    champion = slot.champion
    if champion is None:
        return InForce("", "", 0.0, "no champion: the baseline decides")
    if not champion.fit:
        return InForce("", "", 0.0, "the champion has no accepted fit: the baseline decides")
    trust = champion.drift.trust
    if trust is Trust.FALLBACK:
        return InForce("", "", 0.0, "the champion has drifted: the baseline decides")
    told = "champion" if trust is Trust.NORMAL else "champion, shrunk to the baseline by drift"
    return InForce(champion.spec, champion.fit, trust.weight, told)
