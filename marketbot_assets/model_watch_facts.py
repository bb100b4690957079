"""Watching the registry's models by themselves: what `model_watch` reads, and the entries that it leaves in the ledger.

The frame follows from what was known at the cutoff. Entries are written by the newest session alone, each once: refits of shadows,
what a shadow did, the champion's drift, and the moves that the rule allows. They count from the next cutoff on. Not here: the
arithmetic (`audit.model_watch`), the rules (`research.promotion`, `insight.model_drift`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_assets.champion_facts import Held, chosen, held_at_cutoff, live_panel, record_refits, registered
from marketbot_assets.panels import MARKET_DEPS
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.model_watch import Watched
    from marketbot_assets.insight.champion import Chosen
    from marketbot_assets.insight.model_card import Fit
    from marketbot_assets.insight.model_states import Event, Standing
    from marketbot_assets.model_registry import ModelRegistry
    from marketbot_resources.store.lake import Lake

WATCH_DEPS = (*MARKET_DEPS, "fundamentals", "fundamentals_history", "return_model", "risk_verdict")
JUDGED_AGAIN_SESSIONS = 21  # a shadow that was refused waits for a month of new sessions


def watched(read: Reader, ledger: Ledger) -> "tuple[pd.DataFrame, tuple[Watched, ...]]":
    """(MODEL_WATCH, the models watched): shadows and the champion as the registry held them at the cutoff."""
    from marketbot_assets.audit.model_watch import watched_frame
    from marketbot_assets.audit.schema import MODEL_WATCH
    from marketbot_assets.book.rows import rows_frame
    from marketbot_assets.insight.model_states import State

    held = held_at_cutoff(read, ledger)
    standings = [] if held is None else [held.slot.standings[name] for name in sorted(held.slot.standings)]
    kept = [one for one in standings if one.state in (State.SHADOW, State.CHAMPION)]
    if held is None or not kept:
        return rows_frame(MODEL_WATCH, []), ()
    from marketbot_assets.research.forecast_trial import cost_bps_of

    before = read.previous("model_watch")
    models = tuple(_watched(read, held, one, before) for one in kept)
    return watched_frame(before, read.session, models, cost_bps_of(read.mandate())), models


def _watched(read: Reader, held: Held, standing: "Standing", before: "pd.DataFrame | None") -> "Watched":
    from marketbot_assets.audit.model_watch import Watched
    from marketbot_assets.insight.champion import UNUSABLE
    from marketbot_assets.insight.model_states import State
    from marketbot_assets.insight.price_panel import feature_versions
    from marketbot_assets.model_registry import definition

    spec = definition(held.entries, standing.spec)
    made = (
        _in_force(read, standing.spec)
        if standing.state is State.CHAMPION
        else chosen(read, registered(read, held, standing, 1.0, standing.state.value), standing.spec)
    )
    try:
        panel = live_panel(read, spec)
    except UNUSABLE:
        panel = None
    names = [] if before is None else before.loc[before["spec_sha256"] == spec.sha256, "fit_sha256"].unique()
    fits = {name: fit for name in map(str, names) if name and (fit := _fit(read, name)) is not None}
    return Watched(spec, standing.state.value, made, panel, fits, feature_versions(spec.features))


def _in_force(read: Reader, spec_sha256: str) -> "Chosen":
    """The champion as the session's forecasts took it from RETURN_MODEL."""
    from marketbot_assets.insight.champion import Chosen
    from marketbot_assets.insight.lead import lead_of

    lead = lead_of(read.read("return_model"))
    if lead is None or lead.spec != spec_sha256:
        return Chosen(spec_sha256, None, 0.0, "the session decided without it", {})
    return Chosen(lead.spec, _fit(read, lead.fit) if lead.fit else None, lead.weight, lead.why, lead.expected)


def _fit(read: Reader, name: str) -> "Fit | None":
    from marketbot_assets.insight.model_card import fit_of

    try:
        return fit_of(read.blob(name), name)
    except (StoreError, ValueError):
        return None


def record(read: Reader, lake: "Lake", frame: "pd.DataFrame", models: "Sequence[Watched]") -> list[str]:
    """Leaves in the ledger what the session says of the registry's models; what it did, in words. Done again, it does nothing.

    A session that is not the newest records nothing: what it says of today is old.
    """
    from marketbot_assets.insight.model_states import State
    from marketbot_assets.model_registry import RETURN_MODEL, ModelRegistry

    if not lake.ledger.entries("model_event", f"{RETURN_MODEL}/"):
        return []
    if max(entry.key for entry in lake.ledger.entries("session_cutoff")) != read.part:
        return ["not the newest session: nothing recorded"]
    registry = ModelRegistry(lake, RETURN_MODEL)
    record_refits(read, lake, [one.chosen for one in models if one.state == State.SHADOW.value])
    told = []
    for one in models:
        told += _noted(read, registry, frame, one)
    return [*told, *promoted(read, registry)]


def _noted(read: Reader, registry: "ModelRegistry", frame: "pd.DataFrame", one: "Watched") -> list[str]:
    """A shadow's record so far, or the champion's drift."""
    from marketbot_assets.audit.model_watch import drift_numbers, feature_share_of, shadow_of
    from marketbot_assets.insight.model_states import State

    spec, slot = one.spec.sha256, registry.state()
    standing = slot.standings[spec]
    if standing.state.value != one.state:
        return [f"{spec[:12]} is {standing.state.value} by now: not noted"]
    if standing.state is State.SHADOW:
        shadow = shadow_of(frame, spec)
        if shadow is not None:
            registry.track(spec, shadow, session=read.session, at=read.cutoff)
        return [f"{spec[:12]} shadow, {0 if shadow is None else len(shadow.returns)} sessions"]
    share = feature_share_of(read.read("risk_verdict"))
    trust = registry.note_drift(drift_numbers(frame, one, share), read.session)
    return [f"{spec[:12]} champion, trust {trust.name.lower()}"]


def promoted(read: Reader, registry: "ModelRegistry") -> list[str]:
    """Moves every candidate and shadow whose tests pass, by the rule alone; a refusal is recorded, too, with its reasons.

    A candidate is judged once for its evidence, a shadow from SHADOW_SESSIONS_MIN sessions on, a month after it was refused.
    """
    from marketbot_assets.insight.model_states import State
    from marketbot_assets.research.promotion import SHADOW_SESSIONS_MIN

    told, events = [], registry.events()
    for spec, standing in sorted(registry.state().standings.items()):
        if standing.state is State.CANDIDATE:
            due = bool(standing.evidence) and not _refused_since_evidence(events, spec)
        elif standing.state is State.SHADOW:
            due = (
                bool(standing.fit)
                and _tracked(registry, standing) >= SHADOW_SESSIONS_MIN
                and _waited(read, events, spec)
            )
        else:
            continue
        if not due:
            continue
        try:
            to, decision = registry.promote(spec, read.session)
        except (UsageError, StoreError) as error:
            told.append(f"{spec[:12]} not judged: {error}")
            continue
        word = "becomes" if decision.promoted else "does not become"
        told.append(f"{spec[:12]} {word} {to.value}: {decision.reasons[0]}")
    return told


def _refused_since_evidence(events: "Sequence[Event]", spec: str) -> bool:
    from marketbot_assets.insight.model_states import What

    own = [event.what for event in events if event.spec == spec and event.what in (What.EVIDENCE, What.REFUSED)]
    return bool(own) and own[-1] is What.REFUSED


def _waited(read: Reader, events: "Sequence[Event]", spec: str) -> bool:
    """Whether a shadow was not refused in the last month of sessions."""
    from marketbot_assets.insight.model_states import State, What

    refused = [e.session for e in events if e.spec == spec and e.what is What.REFUSED and e.to is State.CHAMPION]
    return not refused or read.sessions_since(read.mandate().calendar, refused[-1]) >= JUDGED_AGAIN_SESSIONS


def _tracked(registry: "ModelRegistry", standing: "Standing") -> int:
    from marketbot_assets.research.promotion import shadow_of

    try:
        return len(shadow_of(registry.lake.blob(standing.tracked)).returns) if standing.tracked else 0
    except (StoreError, ValueError):
        return 0
