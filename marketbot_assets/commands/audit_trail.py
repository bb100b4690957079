"""Whether decisions, batches, orders and their events in the ledger tell one story that the stored objects confirm.

Not here: the ledger's own hashes (`ledger.examine`), objects against their names (`store.inspection`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.examine import Fault

if TYPE_CHECKING:
    from marketbot_resources.ledger.record import Entry
    from marketbot_resources.store.lake import Lake

DECISION, BATCH, ORDER, EVENT = "DECISION", "BATCH", "ORDER", "EVENT"


def decision_faults(lake: "Lake") -> Iterator[Fault]:
    """Decisions whose outputs are not stored, batches that are not those decided, orders and events without them."""
    try:
        yield from _all_faults(lake)
    except (LedgerError, KeyError, TypeError, ValueError) as error:
        yield Fault(DECISION, "ledger", f"the entries cannot be followed: {type(error).__name__}: {error}")


def _all_faults(lake: "Lake") -> Iterator[Fault]:
    ledger = lake.ledger
    intents = {entry.key: entry for entry in ledger.entries("order_intent")}
    decisions = {entry.key: entry for entry in ledger.entries("decision")}
    named: set[str] = set()
    for batch in ledger.entries("batch_frozen"):
        names = [str(order["client_order_id"]) for order in cast("Sequence[Mapping[str, str]]", batch.body["orders"])]
        named |= set(names)
        yield from _batch_faults(batch, names, intents, decisions.get(str(batch.body["session"])))
    for name in sorted(set(intents) - named):
        yield Fault(ORDER, f"entry {intents[name].seq}", f"order {name} belongs to no frozen batch")
    for event in [*ledger.entries("order_event"), *ledger.entries("order_final")]:
        if event.key.partition("/")[0] not in intents:
            yield Fault(EVENT, f"entry {event.seq}", f"{event.kind} {event.key} is about an order without intent")
    for decision in decisions.values():
        yield from _output_faults(lake, decision)


def _batch_faults(
    batch: "Entry", names: Sequence[str], intents: "Mapping[str, Entry]", decision: "Entry | None"
) -> Iterator[Fault]:
    where = f"entry {batch.seq}"
    missing = [name for name in names if name not in intents]
    if missing:
        yield Fault(BATCH, where, f"batch {batch.key}: order {missing[0]} has no intent")
        return
    if decision is None:
        yield Fault(BATCH, where, f"batch {batch.key}: session {batch.body['session']} has no decision")
        return
    digest = batch_digest([intents[name].body for name in names])
    facts = cast("Mapping[str, str]", decision.body["facts"])
    if digest != batch.body["batch_sha256"] or (names and digest != facts["batch_sha256"]):
        yield Fault(BATCH, where, f"batch {batch.key}: its orders are not those that were approved")
    if names and facts["verdict"] != "APPROVED":
        yield Fault(BATCH, where, f"batch {batch.key}: {len(names)} orders under the verdict {facts['verdict']}")


def batch_digest(bodies: Iterable[Mapping[str, object]]) -> str:
    """Hash of a batch from its intents, worked out here a second time: JSON of the orders, sorted by id."""
    records = sorted((dict(body) for body in bodies), key=lambda record: str(record["client_order_id"]))
    return hashlib.sha256(json.dumps(records, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _output_faults(lake: "Lake", decision: "Entry") -> Iterator[Fault]:
    """Every output that the decision names must be stored with that manifest and those values."""
    where, part = f"entry {decision.seq}", decision.key
    outputs = cast("Mapping[str, str]", decision.body["outputs"])
    for asset, digest in cast("Mapping[str, str]", decision.body["manifests"]).items():
        row = lake.index.by_manifest(asset, part, digest)
        if row is None:
            yield Fault(DECISION, where, f"decision {part}: its {asset} is not in the index", (digest,))
        elif row.content_sha256 != outputs[asset]:
            yield Fault(DECISION, where, f"decision {part}: its {asset} has other values", (digest,))


def orders_of_sessions(lake: "Lake", sessions: Iterable[str]) -> list[str]:
    """Client order ids of the intents of some sessions, sorted."""
    wanted = set(sessions)
    return sorted(e.key for e in lake.ledger.entries("order_intent") if str(e.body["session"]) in wanted)
