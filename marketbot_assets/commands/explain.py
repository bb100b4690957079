"""Why an order exists and what became of it, with the tree of evidence behind it, re-hashed on the way: `explain`.

Not here: how it is told to people (`explain_text`, `evidence_text`, `audit.dossier`), what is read (`decided`, `evidence`),
views of language models (`explain_views`), proofs of inclusion (`prove`), the rebuilt decision (`replay`).
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketbot_assets.commands.decided import Case, case_of, decided_session
from marketbot_assets.commands.evidence import MANDATE, order_tree
from marketbot_assets.commands.evidence_tree import count_faults, first_fault
from marketbot_assets.commands.explain_views import views_of
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.order_names import intent_of
from marketbot_resources.ledger.record import Entry
from marketbot_resources.order_types import in_words

if TYPE_CHECKING:
    from marketbot_resources.store.index import IndexRow

View = dict[str, object]
FORCES = ("expected_return", "views", "risk", "cost", "limits", "bound")
CONTRIBUTIONS = ("return_contribution", "risk_contribution", "trade_cost")
PRICES = ("price", "price_by_dual", "price_return")


def explain(order: str) -> View:
    """Everything that `explain` shows of one order.

    Raises UsageError for an unknown order, StoreError when what it tells of is missing or altered.
    """
    lake = existing_lake()
    intent = intent_of(lake.ledger, order)
    return order_view(case_of(decided_session(lake, str(intent.body["session"])), intent))


def order_view(case: Case) -> View:
    """One order as plain values. `tree` leads from the order down to the bytes; `fault` is its first fault, empty when whole."""
    decided = case.decided
    listing, told = _listing(case), {**case.intent.body}
    state = _state(case)
    rows = decided.own.of(case.intent.body)
    tree = order_tree(decided.lake, decided.evidence, case.entries, told=_in_words(case, listing), rows=rows)
    fault = first_fault(tree)
    links = decided.evidence.links
    return {
        "order": {**told, **listing, "state": state},
        "plan": decided.row("order_plan", "client_order_id", case.name),
        "target": None if case.instrument.startswith("FX:") else _target(case),
        "verdict": _verdict(case),
        "fills": _fills(case),
        "ledger": _ledger(case),
        "synthetic": _synthetic(case),
        **_mandate(case),
        "chain": [_link(link.row) for link in links],
        "blobs": sorted({name for link in links for name in link.blobs}),
        "tree": tree.view(),
        "faults": count_faults(tree),
        "fault": f"{' > '.join(fault[0])}: {fault[1]}" if fault else "",
    }


def _link(row: "IndexRow") -> View:
    hashes = {"file_sha256": row.file_sha256, "content_sha256": row.content_sha256}
    return {"asset": row.asset, "partition": row.part, **hashes}


def _listing(case: Case) -> View:
    found = case.decided.own.listing(case.instrument)
    return {"ticker": found["ticker"] if found else "", "name": found["name"] if found else ""}


def _in_words(case: Case, listing: View) -> str:
    body = case.intent.body
    limit = in_words(body).removesuffix(" or better")
    called = " ".join(str(x) for x in (body["mic"], listing["ticker"]) if x) or body["instrument"]
    return f"{body['side']} {body['quantity']} {called} {limit}"


def _synthetic(case: Case) -> bool:
    """Whether any bar or listing that the session learned of is simulated."""
    found = (case.decided.evidence.row(asset) for asset in ("prices", "instruments"))
    return any(bool(bar["synthetic"]) for row in found if row is not None for bar in case.decided.records.of(row))


def _mandate(case: Case) -> View:
    """What of the mandate a reader has to know: the base currency and which broker."""
    row = case.decided.evidence.row(MANDATE)
    found = {} if row is None else json.loads(str(case.decided.records.of(row)[0]["canonical_json"]))
    return {"base_currency": found.get("base_currency", ""), "broker": found.get("broker", {}).get("name", "")}


def _state(case: Case) -> str:
    """How it ended at the broker, else the newest state that the ledger knows."""
    ledger = case.decided.lake.ledger
    final = ledger.get("order_final", case.name)
    events = ledger.entries("order_event", case.name + "/")
    return str((final or (events[-1] if events else None) or _NO_EVENT).body["state"])


_NO_EVENT = Entry(0, "order_event", "", {"state": "APPROVED"}, "")


def _target(case: Case) -> View | None:
    """Weights before and after, the forces on the weight, what it brings, what moved it since the session before, its forecast, and
    the limits that bound the whole target with their prices.
    """
    decided = case.decided
    found = decided.row("target_portfolio", "instrument", case.instrument)
    if found is None:
        return None
    own = decided.row("target_explanation", "subject", case.instrument) or {}
    bound = [row for row in decided.table("target_explanation") if row["kind"] == "LIMIT" and row["binding"]]
    names = ("name", "left", "limit", "hard", "dual", *PRICES, "unit")
    limits = [{"control": row["subject"], **{name: row.get(name) for name in names}} for row in bound]
    kept = ("weight_now", "weight_target", "reason", "method", "status", "force_exit", "no_buys", "eased", "conflicts")
    return {
        "instrument": case.instrument,
        **{name: found.get(name, "") for name in kept},
        "forces": {name: own.get(name) for name in FORCES},
        "contributions": {name: own.get(name) for name in CONTRIBUTIONS},
        "change": own.get("change", ""),
        "pressed_by": own.get("name", ""),
        "forecast": decided.row("forecasts", "instrument", case.instrument),
        "limits": limits,
        "views": views_of(case),
    }


def _verdict(case: Case) -> View:
    """The verdict on the batch, what it did to the order and why, and every control that did not simply pass."""
    answers = case.decided.table("risk_verdict")
    batch = next(row for row in answers if row["kind"] == "BATCH")
    own = case.decided.row("risk_verdict", "key", case.name) or {}
    controls = [row for row in answers if row["kind"] == "CONTROL"]
    names = ("control", "key", "name", "observed", "limit", "headroom", "unit", "status", "message")
    hashes = ("batch_seen_sha256", "batch_approved_sha256", "mandate_sha256")
    return {
        "verdict": batch["verdict"],
        "rounds": batch["rounds"],
        "controls": len(controls),
        "planned_quantity": own.get("planned_quantity"),
        "approved_quantity": own.get("approved_quantity"),
        "changed_by": own.get("control", ""),
        "message": own.get("message", ""),
        **{name: batch[name] for name in hashes},
        "not_passed": [{name: row[name] for name in names} for row in controls if row["status"] != "PASS"],
    }


def _fills(case: Case) -> list[View]:
    """The order's fills of the next sessions, each with what it cost."""
    found: list[View] = []
    for session, fills, costs in case.decided.fills:
        own = [fill for fill in fills if fill["client_order_id"] == case.name]
        found += [{"session": session, **fill, "cost": costs.get(str(fill["execution_id"]))} for fill in own]
    return found


def _ledger(case: Case) -> View:
    decided, batch = case.decided, case.batch
    ledger, body = decided.lake.ledger, decided.decision.body
    cutoff, final = ledger.get("session_cutoff", decided.part), ledger.get("order_final", case.name)
    events = ledger.entries("order_event", case.name + "/")
    return {
        "cutoff_at": cutoff.body["cutoff_at"] if cutoff else None,
        "intent": _entry(case.intent),
        "decision": {**_entry(decided.decision), "record_sha256": body["record_sha256"], "facts": body["facts"]}
        | {"versions": body.get("versions")},
        "batch": {**_entry(batch), "batch_sha256": batch.body["batch_sha256"]} if batch else None,
        "events": [{**_entry(event), **event.body} for event in events],
        "final": {**_entry(final), **final.body} if final else None,
        "size": decided.size,
        "root": decided.root,
    }


def _entry(entry: Entry) -> Mapping[str, object]:
    return {"seq": entry.seq, "hash": entry.hash}
