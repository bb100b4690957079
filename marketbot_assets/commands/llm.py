"""`marketbot llm status` and `llm probe`: what the language models said and cost, and a baseline of what they say.

Not here: who is asked in a session (`llm_calls`), what a probe is (`llm_probe`), the asset pages.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, cast

from marketbot_assets import llm_incidents, llm_probe
from marketbot_assets.commands.home import existing_lake, load_mandate, writable_home
from marketbot_assets.llm_budget import Budget
from marketbot_assets.llm_desk import desk_of
from marketbot_assets.llm_golden import COUNT
from marketbot_assets.llm_versions import changes, name_of
from marketbot_resources import settings
from marketbot_resources.errors import UsageError
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    from marketbot_resources.mandate_llm import Llm, LlmModel
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
INCIDENTS_SHOWN = 10
NOBODY = "no model is asked: the mandate has no section llm; the rules give the views"
COUNTED = ("tries", "accepted", "repaired", "refused", "failed", "tokens_in", "tokens_out", "cost_usd")


def status_now(last: int) -> View:
    """What the newest `last` sessions asked and were told, and where the budget stands. Keys are named, never shown.

    The budget is that of the newest session's day, by the mandate file. Raises UsageError where nothing was ever run.
    """
    lake, llm = existing_lake(), load_mandate().llm
    sessions = [_session(lake, row.part) for row in lake.index.up_to("llm_answers", END_OF_TIME)[-last:]]
    incidents = [dict(entry.body) for entry in lake.ledger.entries(llm_incidents.KIND)[-INCIDENTS_SHOWN:]]
    return {
        "asks": llm is not None,
        "chain": [_model(lake, model) for model in (llm.chain if llm is not None else ())],
        "budget": None if llm is None else _budget(lake, llm),
        "sessions": sessions,
        "rates": _rates(sessions),
        "incidents": incidents,
    }


def _model(lake: "Lake", model: "LlmModel") -> View:
    known = changes(lake.ledger, name_of(model))
    version = str(known[-1].body["version"]) if known else None
    record = str(known[-1].body["record"]) if known else None
    baseline = None if record is None else llm_probe.baseline_of(lake.ledger, name_of(model), record)
    return {
        "provider": model.provider,
        "model": model.model,
        "address": model.address,
        "knowledge_cutoff": model.knowledge_cutoff,
        "key": settings.llm_key_names(model.provider),
        "key_present": settings.llm_environment(model.provider, cache=False) is not None,
        "version": version,
        "version_of_record": record,
        "baseline": baseline is not None,
    }


def _budget(lake: "Lake", llm: "Llm") -> View | None:
    newest = _newest(lake)
    if newest is None:
        return None
    limit = Decimal(repr(llm.usd_per_day))
    spent = Budget(lake.ledger, newest[1].date(), limit).spent()
    left = limit - spent.total
    return {"day": newest[1].date(), "usd_per_day": limit, "spent": spent.calls, "reserved": spent.open, "left": left}


def _newest(lake: "Lake") -> tuple[dt.date, dt.datetime] | None:
    """(session, cutoff in UTC) of the newest recorded cutoff."""
    cutoffs = lake.ledger.entries("session_cutoff")
    if not cutoffs:
        return None
    entry = max(cutoffs, key=lambda one: one.key)
    at = dt.datetime.fromisoformat(str(entry.body["cutoff_at"])).astimezone(dt.UTC)
    return dt.date.fromisoformat(entry.key), at


def _session(lake: "Lake", part: str) -> View:
    row, views = lake.index.newest("llm_answers", part), lake.index.newest("llm_context", part)
    assert row is not None, "the index names its own versions"
    tries = lake.records(row)
    context = [] if views is None else lake.records(views)
    by = {name: [one for one in tries if one["outcome"] == name] for name in ("ACCEPTED", "REFUSED", "FAILED")}
    return {
        "session": part,
        "tries": len(tries),
        "accepted": len(by["ACCEPTED"]),
        "repaired": sum(bool(one["repair"]) for one in by["ACCEPTED"]),
        "refused": len(by["REFUSED"]),
        "failed": len(by["FAILED"]),
        "tokens_in": sum(cast("int", one["tokens_in"]) for one in tries),
        "tokens_out": sum(cast("int", one["tokens_out"]) for one in tries),
        "cost_usd": sum((cast("Decimal", one["cost_usd"]) for one in tries), Decimal(0)),
        "drifted": any(bool(one["drifted"]) for one in tries),
        "source": str(context[0]["source"]) if context else None,
        "version": str(context[0]["version"]) if context else None,
    }


def _rates(sessions: Sequence[View]) -> View:
    """Shares of answers, of accepted answers and of sessions that asked; None where there is nothing to divide by."""
    asked = [one for one in sessions if one["tries"]]
    total = {name: sum(cast("int", one[name]) for one in asked) for name in COUNTED[:5]}
    answers = total["accepted"] + total["refused"]
    fallback = sum(one["source"] == "fallback" for one in asked)
    return {
        "accepted": _share(total["accepted"], answers),
        "refused": _share(total["refused"], answers),
        "failed": _share(total["failed"], total["tries"]),
        "repaired": _share(total["repaired"], total["accepted"]),
        "fallback": _share(fallback, len(asked)),
        "sessions": len(asked),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def status_lines(view: View) -> list[str]:
    """The view for people."""
    lines = [] if view["asks"] else [NOBODY]
    for one in cast("list[View]", view["chain"]):
        key = "key present" if one["key_present"] else f"no key: set {one['key']}"
        key = key if one["key"] else "needs no key"
        version = one["version"] or "never answered"
        same = f", counts as {one['version_of_record']}" if one["version_of_record"] != one["version"] else ""
        probe = "baseline recorded" if one["baseline"] else "no baseline: marketbot llm probe"
        named = f"{one['provider']} {one['model']} {one['address']}".strip()
        lines.append(f"{named}: {key}; knows until {one['knowledge_cutoff']}; {version}{same}; {probe}")
    budget = cast("View | None", view["budget"])
    if budget is not None:
        lines.append(
            f"budget of {budget['day']}: {budget['usd_per_day']} US dollars, {budget['spent']} spent, "
            f"{budget['reserved']} reserved without an end, {budget['left']} left"
        )
    asked = [one for one in cast("list[View]", view["sessions"]) if one["tries"]]
    lines += [_line(one) for one in asked]
    rates = cast("View", view["rates"])
    if asked:
        told = ", ".join(f"{name} {_percent(rates[name])}" for name in ("accepted", "refused", "failed"))
        rest = f"repaired {_percent(rates['repaired'])} of the accepted, rules stood in {_percent(rates['fallback'])}"
        lines.append(f"{rates['sessions']} sessions that asked: {told}, {rest}")
    lines += [f"{one['session']} {one['code']}: {one['reason']}" for one in cast("list[View]", view["incidents"])]
    return lines


def _line(one: View) -> str:
    tries = ", ".join(f"{one[name]} {name}" for name in ("accepted", "repaired", "refused", "failed"))
    drifted = ", another model" if one["drifted"] else ""
    return (
        f"{one['session']}: {one['tries']} tries ({tries}){drifted}; {one['tokens_in']} + {one['tokens_out']} tokens, "
        f"{one['cost_usd']:.6f} US dollars; views: {one['source']} {one['version']}"
    )


def _percent(share: object) -> str:
    return "-" if share is None else f"{cast('float', share):.0%}"


def probe_now(name: str | None) -> View:
    """Asks the golden packs of every model of the chain, or of one, and records each baseline that has no fault.

    It is paid from what the newest session's day has left. Raises UsageError without a model, a session, or one of that name.
    """
    from marketbot_assets.lineage import keep_in
    from marketbot_resources.wiring import LlmResource

    lake, llm = existing_lake(), load_mandate().llm
    if llm is None:
        raise UsageError(f"llm: expected a section llm in the mandate, found none; {NOBODY}")
    chosen = [model for model in llm.chain if name in (None, model.model)]
    if not chosen:
        raise UsageError(f"--model: expected one of {', '.join(model.model for model in llm.chain)}, found {name}")
    newest = _newest(lake)
    if newest is None:
        raise UsageError("llm probe: expected a session whose day pays for it, found none; run `marketbot run` first")
    writable_home()
    session, cutoff = newest
    keep = partial(keep_in, lake, asset="llm_probe", part=session.isoformat(), run_id="llm probe", fetched_at=cutoff)
    port = LlmResource().open()
    desk = desk_of(
        lake.ledger, lake.objects.get_blob, keep, port, session=session, cutoff=cutoff, llm=llm, bounded=False
    )
    found: list[View] = []
    for model in chosen:
        probed = llm_probe.record_baseline(desk, model, llm.answer_tokens_max)
        told: View = {"accepted": len(probed.scores), "of": COUNT, "cost_usd": probed.cost, "fault": probed.fault}
        found.append({"model": name_of(model), "version": probed.version or None, **told})
    return {"models": found, "fine": not any(one["fault"] for one in found)}


def probe_lines(view: View) -> list[str]:
    """One line per model."""
    return [
        f"{one['model']}: nothing recorded: {one['fault']}; {one['cost_usd']} US dollars"
        if one["fault"]
        else f"{one['model']}: baseline of {one['version']}, {one['accepted']} of {one['of']} answers passed the gate; "
        f"{one['cost_usd']} US dollars"
        for one in cast("list[View]", view["models"])
    ]
