"""`models`: what the model registry holds, in words; promotion and rollback. The rules stand elsewhere (`model_registry`)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import StoreError, UsageError

if TYPE_CHECKING:
    from marketbot_assets.insight.model_states import Event
    from marketbot_assets.model_registry import ModelRegistry

View = dict[str, object]
Rows = Sequence[Mapping[str, object]]
SHORT = 12
NONE = "no model is registered: the mandate's own return model decides"


def list_now() -> View:
    """Every slot, sorted."""
    from marketbot_assets.model_registry import ModelRegistry, slots
    from marketbot_assets.model_trials import KIND, trials

    lake, found = existing_lake(), []
    counted = {entry.key.partition("/")[0] for entry in lake.ledger.entries(KIND)}
    for name in sorted({*slots(lake.ledger), *counted}):
        registry = ModelRegistry(lake, name)
        slot, (force, _) = registry.state(), registry.in_force()
        rows = [
            {
                "spec": one.spec,
                "family": registry.spec(one.spec).family,
                "state": one.state.value,
                "since": one.since.isoformat(),
                "fit": one.fit,
                "fits": len(one.fits),
                "refused_fits": sum(not good for _, good in one.fits),
                "trust": one.drift.trust.name.lower(),
            }
            for one in slot.standings.values()
        ]
        told = {"spec": force.spec, "fit": force.fit, "weight": force.weight, "why": force.why}
        found.append({"slot": name, "trials": len(trials(lake.ledger, name)), "in_force": told, "models": rows})
    return {"slots": found}


def list_lines(view: View) -> list[str]:
    """The same for people."""
    lines = []
    for slot in cast("Rows", view["slots"]):
        force = cast("Mapping[str, object]", slot["in_force"])
        decides = f"; in force: {force['why']}" if slot["models"] else ""
        lines.append(f"{slot['slot']}: {slot['trials']} trials{decides}")
        for row in cast("Rows", slot["models"]):
            fits = f"{row['fits']} fits, {row['refused_fits']} of them refused, fit {str(row['fit'])[:SHORT] or 'none'}"
            name = f"  {str(row['spec'])[:SHORT]}  {row['family']:<16} {row['state']:<9} since {row['since']}"
            lines.append(f"{name}  {fits}" + (f"  trust {row['trust']}" if row["state"] == "champion" else ""))
    return lines or [NONE]


def show_now(slot: str, beginning: str) -> View:
    """One specification. `fine`: whether the file of its fit is whole."""
    registry, spec = _found(slot, beginning)
    standing, fault = registry.state().standings[spec], ""
    card: Mapping[str, object] | None = None
    if standing.fit:
        try:
            card = registry.fit(standing.fit).card.body()
        except StoreError as error:
            fault = str(error)
    return {
        "slot": slot,
        "spec": spec,
        "definition": registry.spec(spec).body(),
        "state": standing.state.value,
        "fit": standing.fit,
        "card": card,
        "events": [_told(event) for event in registry.events() if event.spec == spec],
        "fault": fault,
        "fine": not fault,
    }


def _told(event: "Event") -> View:
    return {
        "number": event.number,
        "session": event.session.isoformat(),
        "what": event.what.value,
        "to": None if event.to is None else event.to.value,
        "file": event.blob,
        "accepted": event.accepted,
        "reasons": list(event.reasons),
    }


def show_lines(view: View) -> list[str]:
    """The same for people."""
    definition = cast("Mapping[str, object]", view["definition"])
    lines = [f"{view['spec']}  {definition['family']}  {view['state']}  slot {view['slot']}"]
    lines += [f"  {name:<9} {definition[name]}" for name in ("features", "hyper", "training")]
    card = cast("Mapping[str, object] | None", view["card"])
    lines += [f"fit {view['fit']}"] if card else []
    lines += [f"  {name:<13} {value}" for name, value in (card or {}).items()]
    lines += [f"FAULT {view['fault']}"] if view["fault"] else []
    for event in cast("Rows", view["events"]):
        to = f" -> {event['to']}" if event["to"] else ""
        fit = (" accepted" if event["accepted"] else " refused") if event["what"] == "fit" else ""
        lines.append(
            f"{event['number']:>5}  {event['session']}  {event['what']}{to}{fit}  {str(event['file'])[:SHORT]}"
        )
        lines += [f"         {reason}" for reason in cast("Sequence[str]", event["reasons"])]
    return lines


def promote_now(slot: str, beginning: str, *, check: bool) -> View:
    """Every test; recorded, as a move or as a refusal, unless it is only a check."""
    registry, spec = _found(slot, beginning)
    to, decision = registry.decide(spec) if check else registry.promote(spec, newest_session())
    return {"slot": slot, "spec": spec, "to": to.value, "recorded": not check, **decision.facts()}


def promote_lines(view: View) -> list[str]:
    """The same for people."""
    tests = cast("Rows", view["tests"])
    lines = [f"{'pass' if test['passed'] else 'FAIL'}  {test['name']}: {test['told']}" for test in tests]
    would = "would be" if not view["recorded"] else "is"
    lines.append(f"{str(view['spec'])[:SHORT]} {would} {'' if view['promoted'] else 'not '}{view['to']}")
    return lines


def rollback_now(slot: str, fit: str, reason: str) -> View:
    """Points to the earlier fit and says what is in force then."""
    from marketbot_assets.model_registry import ModelRegistry

    force = ModelRegistry(existing_lake(), slot).rollback(newest_session(), reason, fit)
    return {"slot": slot, "spec": force.spec, "fit": force.fit, "weight": force.weight, "why": force.why}


def rollback_lines(view: View) -> list[str]:
    """The same for people."""
    return [
        f"{view['slot']}: {str(view['spec'])[:SHORT]} with fit {str(view['fit'])[:SHORT]} decides from the next session on"
    ]


def newest_session() -> dt.date:
    """The newest session with a cutoff: events are dated by sessions, never by a clock. Raises UsageError before the first."""
    keys = [entry.key for entry in existing_lake().ledger.entries("session_cutoff")]
    if not keys:
        raise UsageError("models: expected a session that was run, found none; run `marketbot run` first")
    return dt.date.fromisoformat(max(keys))


def _found(slot: str, beginning: str) -> "tuple[ModelRegistry, str]":
    from marketbot_assets.model_registry import ModelRegistry

    registry = ModelRegistry(existing_lake(), slot)
    names = [name for name in registry.state().standings if name.startswith(beginning)]
    if len(names) != 1:
        raise UsageError(f"{slot}: expected one specification that begins with {beginning[:64]!r}, found {len(names)}")
    return registry, names[0]
