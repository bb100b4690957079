"""Where the language models of the mandate stand after the newest session: one line of `status`. It only reads."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.reconcile import newest_row
from marketbot_resources.model import plain

if TYPE_CHECKING:
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
INCIDENT = "llm_incident"
NOT_NAMED = "the mandate names no language model"


def llm_state(lake: "Lake", mandate: "Mandate") -> View | None:
    """Whose views the newest session has, their weight, what its tries cost, and the last incident; None without models.

    `weight` and `weight_reason`: as the newest forecasts record them, null where they do not.
    """
    from marketbot_assets.audit.llm_numbers import standing, tries

    if mandate.llm is None:
        return None
    context, answers, forecasts = (newest_row(lake, name) for name in ("llm_context", "llm_answers", "forecasts"))
    made = {} if forecasts is None else lake.manifest(forecasts)
    done = None if answers is None else tries(lake.records(answers))
    incidents = lake.ledger.entries(INCIDENT)
    newest = max(incidents, key=lambda entry: entry.seq, default=None)
    return {
        "session": None if answers is None else answers.part,
        "chain": [f"{model.provider}:{model.model}" for model in mandate.llm.chain],
        "views": None if context is None else standing(lake.records(context)).sentence,
        "weight": made.get("llm_weight"),
        "weight_reason": made.get("llm_weight_reason"),
        "tries": None if done is None else done.asked,
        "accepted": None if done is None else done.accepted,
        "cost_usd": None if done is None else plain(done.cost_usd),
        "usd_per_day": mandate.llm.usd_per_day,
        **_spent(lake, mandate.llm.usd_per_day),
        "incident": None if newest is None else {"session": newest.key.partition("/")[0], **newest.body},
    }


def _spent(lake: "Lake", usd_per_day: float) -> View:
    """The UTC day of the newest cutoff and what it used up, open reservations in full; null before there is one."""
    from marketbot_assets.llm_budget import Budget

    cutoff = max((str(entry.body["cutoff_at"]) for entry in lake.ledger.entries("session_cutoff")), default=None)
    if cutoff is None:
        return {"day": None, "spent_usd": None}
    day = dt.datetime.fromisoformat(cutoff).astimezone(dt.UTC).date()
    spent = Budget(lake.ledger, day, Decimal(repr(usd_per_day))).spent().total
    return {"day": day.isoformat(), "spent_usd": plain(spent)}


def llm_line(found: View | None) -> str:
    """The same for people."""
    if found is None:
        return NOT_NAMED
    chain = ", then ".join(cast("list[str]", found["chain"]))
    if found["session"] is None:
        return f"{chain}: no session has asked yet"
    weight = "weight not known" if found["weight"] is None else f"weight {cast('float', found['weight']):.2f}"
    why = f" ({found['weight_reason']})" if found["weight_reason"] else ""
    cost = f"{found['accepted']} of {found['tries']} tries accepted for {found['cost_usd']} US dollars"
    cost += f", {found['spent_usd']} of {found['usd_per_day']:g} used up on {found['day']}" if found["day"] else ""
    incident = cast("Mapping[str, object] | None", found["incident"])
    last = f"; last incident {incident['session']} {incident['code']}: {incident['reason']}" if incident else ""
    told = f"{chain}: {weight}{why}; session {found['session']}: {cost}{last}"
    return "".join(c if c.isprintable() else " " for c in told)
