"""The model registry: events `model_event` in the ledger, files of fits and evidence in the store, one slot per place of a model.

An event is written after the file that it names is durable, so a process that dies leaves at most a file that nothing names.
Events are numbered per slot: two writers at once cannot both write one number, the second decides again on what the first left. A
method does nothing when what it would record stands there already. Not here: the fold (`insight.model_states`), the rules
(`research.promotion`, `insight.fit_gate`, `insight.model_drift`), trials (`model_trials`).
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from marketbot_assets.insight.fit_gate import FITS_COMPARED, FitJudgement, judge_fit
from marketbot_assets.insight.model_card import Fit, ModelSpec, canonical_bytes, fit_of, parse_canonical, spec_of
from marketbot_assets.insight.model_drift import DriftNumbers, Trust, judge_drift
from marketbot_assets.insight.model_states import Event, InForce, Slot, Standing, State, What, applied, fold, in_force
from marketbot_assets.model_trials import keep_file, record_trial, search
from marketbot_resources.errors import Equivocation, LedgerError, StoreError, UsageError
from marketbot_resources.ledger.record import Entry, Json

if TYPE_CHECKING:
    from marketbot_assets.normalization.window import Floats
    from marketbot_assets.research.promotion import Decision, Evidence, Shadow
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.store.lake import Lake

KIND = "model_event"
RETURN_MODEL = "return_model"
SLOT = re.compile(r"[a-z][a-z0-9_]{0,39}")
TRIES = 20
SINCE = "the registry changed after the cutoff of its session"
NEXT = {State.CANDIDATE: State.SHADOW, State.SHADOW: State.CHAMPION}


def slots(ledger: "Ledger") -> list[str]:
    """Names of all slots that have an event, sorted."""
    return sorted({entry.key.partition("/")[0] for entry in ledger.entries(KIND)})


def events(entries: Sequence[Entry]) -> list[Event]:
    """Events from their entries. Raises LedgerError for one that is none."""
    return [_event(entry) for entry in entries]


def state_of(entries: Sequence[Entry], spec_sha256: str) -> str:
    """Where a specification stands after these events of a slot; empty when it is not registered."""
    standing = _folded(events(entries)).standings.get(spec_sha256)
    return "" if standing is None else standing.state.value


def definition(entries: Sequence[Entry], spec_sha256: str) -> ModelSpec:
    """A specification as it was registered among these entries. Raises UsageError for one that was not."""
    for entry in entries:
        if entry.body["what"] == What.REGISTERED.value and entry.body["spec"] == spec_sha256:
            return _defined(entry, spec_sha256)
    raise UsageError(f"specification: expected a registered one, found {spec_sha256[:12]}")


class ModelRegistry:
    """One slot of one home. Raises LedgerError for entries that do not fit together, UsageError for what is not allowed now."""

    def __init__(self, lake: "Lake", slot: str) -> None:
        if not SLOT.fullmatch(slot):
            raise UsageError(f"slot: expected small letters, digits and underscores, found {slot[:60]!r}")
        self.lake, self.slot = lake, slot

    def events(self) -> list[Event]:
        """All events, oldest first."""
        return events(self._entries())

    def state(self) -> Slot:
        """The fold of all events."""
        return _folded(self.events())

    def spec(self, spec_sha256: str) -> ModelSpec:
        """A registered specification."""
        return definition(self._entries(), spec_sha256)

    def register(self, spec: ModelSpec, session: dt.date) -> None:
        """Makes a specification a candidate."""
        if spec.sha256 in self.state().standings:
            return
        event = Event(0, What.REGISTERED, session, spec.sha256)
        self._append(
            event, {"definition": canonical_bytes(spec.body()).decode()}, lambda slot: spec.sha256 in slot.standings
        )

    def submit(self, evidence: "Evidence", *, code_version: str, session: dt.date, at: dt.datetime) -> None:
        """Counts a registered specification's trial, then keeps its evidence. `at`: instant, for the files' description.

        Raises ValueError for evidence with a number that is not finite, after it was counted.
        """
        self._known(evidence.spec_sha256)
        record_trial(
            self.lake,
            self.slot,
            spec_sha256=evidence.spec_sha256,
            data_sha256=evidence.data_sha256,
            code_version=code_version,
            returns=evidence.returns,
            at=at,
        )
        self._file(What.EVIDENCE, evidence.spec_sha256, evidence.to_bytes(), session, at)

    def track(self, spec_sha256: str, shadow: "Shadow", *, session: dt.date, at: dt.datetime) -> None:
        """Keeps what a shadow did beside the champion."""
        self._file(What.TRACKED, spec_sha256, shadow.to_bytes(), session, at)

    def decide(self, spec_sha256: str) -> "tuple[State, Decision]":
        """(the state it would get, every test of the rule). UsageError without evidence, or for a state without a next one."""
        from marketbot_assets.research.promotion import evidence_of, judge_record, judge_shadow, shadow_of

        known = self._known(spec_sha256)
        to = NEXT.get(known.state)
        if to is None:
            raise UsageError(
                f"promote: expected a candidate or a shadow, found {spec_sha256[:12]} as {known.state.value}"
            )
        if not known.evidence:
            raise UsageError(f"promote: expected evidence of {spec_sha256[:12]}, found none: it was never evaluated")
        try:
            evidence = evidence_of(self.lake.objects.get_blob(known.evidence))
            shadow = shadow_of(self.lake.objects.get_blob(known.tracked)) if known.tracked else None
        except ValueError as error:
            raise StoreError(f"store: {known.evidence[:12]}: {error}") from error
        if evidence.spec_sha256 != spec_sha256:
            raise StoreError(f"store: the evidence of {spec_sha256[:12]} is that of {evidence.spec_sha256[:12]}")
        found = search(self.lake, self.slot, spec_sha256=spec_sha256, data_sha256=evidence.data_sha256)
        if to is State.SHADOW:
            return to, judge_record(evidence, found)
        if shadow is None:
            raise UsageError(f"promote: expected a record of the shadow {spec_sha256[:12]}, found none")
        return to, judge_shadow(evidence, found, shadow)

    def promote(self, spec_sha256: str, session: dt.date) -> "tuple[State, Decision]":
        """Decides and records the move, or the refusal with its reasons."""
        to, decision = self.decide(spec_sha256)
        facts: dict[str, Json] = {"decision": cast("Json", decision.facts())}
        what = What.MOVED if decision.promoted else What.REFUSED
        event = Event(0, what, session, spec_sha256, to, reasons=decision.reasons)
        self._append(event, facts, lambda slot: decision.promoted and slot.standings[spec_sha256].state is to)
        return to, decision

    def record_fit(self, fit: Fit, judgement: FitJudgement, *, session: dt.date, at: dt.datetime) -> str:
        """Keeps a fit and whether the gate took it; returns its hash. An accepted one is used from now on."""
        name = self._kept(fit, at)
        event = _fitted(fit, name, judgement, session)
        self._append(event, {}, lambda slot: name in dict(slot.standings[fit.spec_sha256].fits))
        return name

    def record_refit(
        self, fit: Fit, judgement: FitJudgement, then: Standing, *, session: dt.date, at: dt.datetime
    ) -> None:
        """Keeps a fit that a session made and judged by what stood there at its cutoff: `then`.

        When the specification was refitted, moved or rolled back since, the fit is recorded as refused: what came later stands.
        """
        name = self._kept(fit, at)

        def event(slot: Slot) -> Event:
            now = slot.standings[fit.spec_sha256]
            same = (now.fits, now.state) == (then.fits, then.state)
            late = judgement if same else replace(judgement, refusals=(*judgement.refusals, SINCE))
            return _fitted(fit, name, late, session)

        self._append(event, {}, lambda slot: name in dict(slot.standings[fit.spec_sha256].fits))

    def _kept(self, fit: Fit, at: dt.datetime) -> str:
        self._known(fit.spec_sha256)
        if not set(fit.card.features) <= set(self.spec(fit.spec_sha256).features):
            raise UsageError("fit: expected features of the specification alone, found others in its card")
        return keep_file(self.lake, fit.to_bytes(), at)

    def refit(self, fit: Fit, scores: "Callable[[Fit], Floats]", *, session: dt.date, at: dt.datetime) -> FitJudgement:
        """Judges a new fit against the accepted ones, records it, and uses it when it is accepted.

        `scores`: what a fit says of today's names, (n,).
        """
        past = self.accepted_fits(fit.spec_sha256, FITS_COMPARED)
        judgement = judge_fit(fit, past, scores(fit), scores(past[-1]) if past else None)
        self.record_fit(fit, judgement, session=session, at=at)
        return judgement

    def fit(self, name: str) -> Fit:
        """A fit by its hash. Raises StoreError when its file is missing or differs by a byte."""
        try:
            return fit_of(self.lake.objects.get_blob(name), name)
        except ValueError as error:
            raise StoreError(f"store: {error}") from error

    def accepted_fits(self, spec_sha256: str, most: int) -> list[Fit]:
        """The newest accepted fits of a specification, oldest first: what the next one is compared with."""
        return [self.fit(name) for name in self._known(spec_sha256).accepted[-most:]]

    def in_force(self) -> tuple[InForce, Fit | None]:
        """What decides, with its fit; the baseline when the champion's file is missing, altered or of another specification."""
        found = in_force(self.state())
        if not found.fit:
            return found, None
        try:
            fit = self.fit(found.fit)
        except StoreError as error:
            return InForce("", "", 0.0, f"the champion's file is refused: {error}"), None
        if fit.spec_sha256 != found.spec:
            return InForce("", "", 0.0, "the champion's file is that of another specification"), None
        return found, fit

    def note_drift(self, numbers: DriftNumbers, session: dt.date) -> Trust:
        """Records a session's drift of the champion once; retires it when it was without trust too long. Returns the trust."""
        champion = self.state().champion
        if champion is None:
            raise UsageError("drift: expected a champion, found none")
        if champion.drift_on is None or session > champion.drift_on:
            spec, (level, why) = champion.spec, judge_drift(numbers)
            event = Event(0, What.DRIFT, session, spec, trust=level, reasons=why)
            champion = self._append(event, {}, lambda slot: _noted_drift(slot, spec, session)).champion
        if champion is None:
            return Trust.FALLBACK
        if champion.drift.spent:
            self.retire(champion.spec, session, "without trust for too long")
        return champion.drift.trust

    def retire(self, spec_sha256: str, session: dt.date, reason: str) -> None:
        """Takes a specification out of use; a champion's place is the baseline's then."""
        if self._known(spec_sha256).state is not State.RETIRED:
            event = Event(0, What.MOVED, session, spec_sha256, State.RETIRED, reasons=(reason,))
            self._append(event, {}, lambda slot: slot.standings[spec_sha256].state is State.RETIRED)

    def rollback(self, session: dt.date, reason: str, fit: str = "") -> InForce:
        """Points to an earlier fit: the one named, else the champion's accepted fit before this one, else the champion before it.

        Raises UsageError when there is none, StoreError when its file is not whole.
        """
        slot = self.state()
        spec, name = _earlier(slot, fit)
        if self.fit(name).spec_sha256 != spec:
            raise StoreError(f"store: fit {name[:12]} is not one of {spec[:12]}")
        event = Event(0, What.ROLLED_BACK, session, spec, blob=name, reasons=(reason,))
        before = slot.number
        return in_force(self._append(event, {}, lambda now: now.number != before and _points_to(now, spec, name)))

    def _entries(self) -> list[Entry]:
        return self.lake.ledger.entries(KIND, f"{self.slot}/")

    def _known(self, spec_sha256: str) -> Standing:
        found = self.state().standings.get(spec_sha256)
        if found is None:
            raise UsageError(f"specification: expected a registered one, found {spec_sha256[:12]}")
        return found

    def _file(self, what: What, spec_sha256: str, data: bytes, session: dt.date, at: dt.datetime) -> None:
        self._known(spec_sha256)
        name = keep_file(self.lake, data, at)

        def there(slot: Slot) -> bool:
            standing = slot.standings[spec_sha256]
            return name == (standing.evidence if what is What.EVIDENCE else standing.tracked)

        self._append(Event(0, what, session, spec_sha256, blob=name), {}, there)

    def _append(
        self, event: Event | Callable[[Slot], Event], facts: Mapping[str, Json], there: Callable[[Slot], bool]
    ) -> Slot:
        """Appends an event, or what is made of the state before it, with the next number, unless `there` says that it stands
        there; returns the state after it.
        """
        for _ in range(TRIES):
            slot = self.state()
            if there(slot):
                return slot
            numbered = replace(event if isinstance(event, Event) else event(slot), number=slot.number + 1)
            try:
                made = applied(slot, numbered)
            except ValueError as error:
                raise UsageError(f"models: {self.slot}: {error}") from error
            try:
                self.lake.ledger.append(
                    KIND, f"{self.slot}/{numbered.number:06d}", {**_body(self.slot, numbered), **facts}
                )
            except Equivocation:
                continue  # another process wrote this number: decide again on what it left
            return made
        raise LedgerError(f"ledger: {self.slot}: expected to append an event, found other writers {TRIES} times")


def _defined(entry: Entry, spec_sha256: str) -> ModelSpec:
    """The definition is kept as text: the ledger's own numbers do not tell 1 from 1.0."""
    try:
        found = spec_of(parse_canonical(str(entry.body.get("definition")).encode()))
    except ValueError as error:
        raise LedgerError(f"ledger: expected a definition under {entry.key}, found: {error}") from error
    if found.sha256 != spec_sha256:
        raise LedgerError(f"ledger: expected the definition of {spec_sha256[:12]} under {entry.key}, found another")
    return found


def _fitted(fit: Fit, name: str, judgement: FitJudgement, session: dt.date) -> Event:
    told = (*judgement.refusals, *judgement.notes)
    return Event(0, What.FIT, session, fit.spec_sha256, blob=name, accepted=judgement.accepted, reasons=told)


def _noted_drift(slot: Slot, spec: str, session: dt.date) -> bool:
    on = slot.standings[spec].drift_on
    return slot.standings[spec].state is not State.CHAMPION or (on is not None and on >= session)


def _points_to(slot: Slot, spec: str, fit: str) -> bool:
    return slot.champion is not None and (slot.champion.spec, slot.champion.fit) == (spec, fit)


def _earlier(slot: Slot, fit: str) -> tuple[str, str]:
    if fit:
        found = [
            (spec, name) for spec in slot.champions for name in slot.standings[spec].accepted if name.startswith(fit)
        ]
        if len(set(found)) != 1:
            raise UsageError(
                f"rollback: expected one accepted fit of a champion that begins with {fit}, found {len(set(found))}"
            )
        return found[0]
    champion = slot.champion
    if champion is not None and champion.fit in champion.accepted:
        place = champion.accepted.index(champion.fit)
        if place > 0:
            return champion.spec, champion.accepted[place - 1]
    now = None if champion is None else champion.spec
    for spec in reversed(slot.champions):
        if spec != now and slot.standings[spec].fit:
            return spec, slot.standings[spec].fit
    raise UsageError("rollback: expected an earlier fit or an earlier champion, found none")


def _folded(found: Sequence[Event]) -> Slot:
    try:
        return fold(found)
    except ValueError as error:
        raise LedgerError(f"ledger: expected events of models that follow from each other, found: {error}") from error


def _body(slot: str, event: Event) -> dict[str, Json]:
    return {
        "slot": slot,
        "number": event.number,
        "what": event.what.value,
        "session": event.session.isoformat(),
        "spec": event.spec,
        "to": None if event.to is None else event.to.value,
        "blob": event.blob,
        "accepted": event.accepted,
        "trust": None if event.trust is None else int(event.trust),
        "reasons": list(event.reasons),
    }


def _event(entry: Entry) -> Event:
    body = entry.body
    try:
        to, trust = body["to"], body["trust"]
        return Event(
            number=int(cast("int", body["number"])),
            what=What(str(body["what"])),
            session=dt.date.fromisoformat(str(body["session"])),
            spec=str(body["spec"]),
            to=None if to is None else State(str(to)),
            blob=str(body["blob"]),
            accepted=body["accepted"] is True,
            trust=None if trust is None else Trust(int(cast("int", trust))),
            reasons=tuple(str(reason) for reason in cast("Sequence[Json]", body["reasons"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"ledger: expected an event of a model under {entry.key}, found: {error!r}") from error
