"""Why an order exists and what became of it, with the chain of evidence behind it, re-hashed on the way: `explain`.

Not here: how it is told to people (`explain_text`), proofs of inclusion (`prove`), the rebuilt decision (`replay`).
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.reconcile import END_OF_TIME
from marketbot_resources.errors import LedgerError, StoreError, UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, canonical_json
from marketbot_resources.model import order_record
from marketbot_resources.store.closure import Link, closure

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
PREFIX, PREFIX_LENGTH_MIN = "mb1-", 6
FILL_SESSIONS = 10
EXPLAINED = (
    "orders",
    "order_plan",
    "risk_verdict",
    "target_portfolio",
    "target_explanation",
    "forecasts",
    "stress_results",
)
FORCES = ("expected_return", "risk", "cost", "limits", "bound")


@dataclass(frozen=True, slots=True)
class Case:
    """One order with what its session decided: the intent, the decision's entry, the versions that the decision names."""

    lake: "Lake"
    intent: Entry
    decision: Entry
    rows: Mapping[str, "IndexRow"]

    @property
    def name(self) -> str:
        """The client order id."""
        return self.intent.key

    @property
    def part(self) -> str:
        """The session that decided."""
        return str(self.intent.body["session"])

    @property
    def instrument(self) -> str:
        """The internal id, or FX:<currency>."""
        return str(self.intent.body["instrument"])

    def frame(self, asset: str) -> "pd.DataFrame":
        """The rows of an output of the decision."""
        return self.lake.load(self.rows[asset])


def explain(order: str) -> View:
    """Everything that `explain` shows of one order.

    Raises UsageError for an unknown order, StoreError when an object on its chain is missing or altered.
    """
    lake = existing_lake()
    case = _case(lake, _intent(lake.ledger, order))
    links = _chain(case)
    blobs = sorted({name for link in links for name in link.blobs})
    _rehash(lake, links, blobs)
    _check_intent(case)
    listing = _listing(lake, links, case)
    return {
        "order": {**case.intent.body, **listing, "state": _state(case)},
        "plan": _row(case.frame("order_plan"), "client_order_id", case.name),
        "target": None if case.instrument.startswith("FX:") else _target(case),
        "verdict": _verdict(case),
        "fills": _fills(case),
        "ledger": _ledger(case),
        "chain": [_link(link.row) for link in links],
        "blobs": blobs,
    }


def _intent(ledger: Ledger, text: str) -> Entry:
    wanted = text.strip().lower()
    if not wanted.startswith(PREFIX) or len(wanted) < len(PREFIX) + PREFIX_LENGTH_MIN:
        raise UsageError(
            f"order {text!r}: expected an order id or at least {PREFIX_LENGTH_MIN} characters after {PREFIX};"
            " `marketbot report` lists the orders of a session"
        )
    found = [entry for entry in ledger.entries("order_intent", wanted) if entry.key.startswith(wanted)]
    if not found:
        raise UsageError(f"order {text}: no such order in this book; `marketbot report` lists the orders of a session")
    if len(found) > 1:
        names = ", ".join(entry.key for entry in found[:3])
        raise UsageError(f"order {text}: {len(found)} orders begin like this ({names}); give more characters")
    return found[0]


def _case(lake: "Lake", intent: Entry) -> Case:
    part = str(intent.body["session"])
    decision = lake.ledger.get("decision", part)
    if decision is None:
        raise LedgerError(f"order {intent.key}: expected the decision of session {part} in the ledger, found none")
    outputs = cast("Mapping[str, str]", decision.body["outputs"])
    rows = {asset: _version(lake, asset, part, outputs.get(asset)) for asset in EXPLAINED}
    return Case(lake, intent, decision, rows)


def _version(lake: "Lake", asset: str, part: str, content_sha256: str | None) -> "IndexRow":
    """The version that the decision names, which need not be the newest; the newest where it names none."""
    newest = lake.index.newest(asset, part)
    if newest is not None and content_sha256 in (None, newest.content_sha256):
        return newest
    for path in sorted((lake.objects.root / asset / part).glob("*.parquet")):
        row = lake.index.by_file(asset, part, path.stem)
        if row is not None and row.content_sha256 == content_sha256:
            return row
    raise StoreError(f"store: expected {asset} {part} with content {str(content_sha256)[:12]}, found none")


def _chain(case: Case) -> list[Link]:
    """Everything behind the outputs of the decision, each object once, sorted by asset and partition."""
    found = {
        (link.row.asset, link.row.part, link.row.file_sha256): link
        for row in case.rows.values()
        for link in closure(case.lake, row)
    }
    return [found[key] for key in sorted(found)]


def _rehash(lake: "Lake", links: Iterable[Link], blobs: Iterable[str]) -> None:
    """Reads every object and body on the chain again and compares it with its name. Raises StoreError for the first fault."""
    for link in links:
        lake.manifest(link.row)
        lake.objects.get(link.row.uri, link.row.file_sha256)
    for name in blobs:
        try:
            lake.objects.get_blob(name)
        except zlib.error as error:
            raise StoreError(f"store: blob {name} was altered: {error}") from error


def _check_intent(case: Case) -> None:
    from marketbot_assets.portfolio.order_frame import orders_from_frame

    stored = {order.client_order_id: order for order in orders_from_frame(case.frame("orders"))}
    order = stored.get(case.name)
    if order is None or canonical_json(order_record(order)) != canonical_json(case.intent.body):
        raise StoreError(
            f"order {case.name}: the stored batch of {case.part} does not hold the order that the ledger names"
        )


def _link(row: "IndexRow") -> View:
    hashes = {"file_sha256": row.file_sha256, "content_sha256": row.content_sha256}
    return {"asset": row.asset, "partition": row.part, **hashes}


def _listing(lake: "Lake", links: Iterable[Link], case: Case) -> View:
    row = next((link.row for link in links if (link.row.asset, link.row.part) == ("instruments", case.part)), None)
    found = None if row is None else _row(lake.load(row), "instrument", case.instrument)
    return {"ticker": found["ticker"] if found else "", "name": found["name"] if found else ""}


def _row(frame: "pd.DataFrame", column: str, key: str) -> View | None:
    rows = frame[frame[column] == key].to_dict("records")
    return cast("View", rows[0]) if rows else None


def _state(case: Case) -> str:
    """How it ended at the broker, else the newest state that the ledger knows."""
    final = case.lake.ledger.get("order_final", case.name)
    events = case.lake.ledger.entries("order_event", case.name + "/")
    return str((final or (events[-1] if events else None) or _NO_EVENT).body["state"])


_NO_EVENT = Entry(0, "order_event", "", {"state": "APPROVED"}, "")


def _target(case: Case) -> View | None:
    """Weights before and after, the forces on the weight, its forecast, and the limits that bound the whole target."""
    found = _row(case.frame("target_portfolio"), "instrument", case.instrument)
    if found is None:
        return None
    told = case.frame("target_explanation")
    own = _row(told[told["kind"] == "INSTRUMENT"], "subject", case.instrument) or {}
    bound = told[(told["kind"] == "LIMIT") & told["binding"]]
    names = ["subject", "name", "left", "limit", "hard", "dual", "unit"]
    limits = bound[names].rename(columns={"subject": "control"}).to_dict("records")
    kept = ("weight_now", "weight_target", "reason", "method", "status", "force_exit", "no_buys")
    return {
        "instrument": case.instrument,
        **{name: found[name] for name in kept},
        "forces": {name: own.get(name) for name in FORCES},
        "pressed_by": own.get("name", ""),
        "forecast": _row(case.frame("forecasts"), "instrument", case.instrument),
        "limits": limits,
    }


def _verdict(case: Case) -> View:
    """The verdict on the batch, what it did to the order and why, and every control that did not simply pass."""
    frame = case.frame("risk_verdict")
    batch = frame[frame["kind"] == "BATCH"].iloc[0]
    own = _row(frame[frame["kind"] == "ORDER"], "key", case.name) or {}
    loud = frame[(frame["kind"] == "CONTROL") & (frame["status"] != "PASS")]
    names = ["control", "key", "name", "observed", "limit", "headroom", "unit", "status", "message"]
    hashes = ("batch_seen_sha256", "batch_approved_sha256", "mandate_sha256")
    return {
        "verdict": batch["verdict"],
        "rounds": int(batch["rounds"]),
        "controls": int((frame["kind"] == "CONTROL").sum()),
        "planned_quantity": own.get("planned_quantity"),
        "approved_quantity": own.get("approved_quantity"),
        "changed_by": own.get("control", ""),
        "message": own.get("message", ""),
        **{name: batch[name] for name in hashes},
        "not_passed": loud[names].to_dict("records"),
    }


def _fills(case: Case) -> list[View]:
    """The order's fills of the next sessions, each with what it cost."""
    rows = [row for row in case.lake.index.up_to("fills", END_OF_TIME) if row.part > case.part][:FILL_SESSIONS]
    found: list[View] = []
    for row in rows:
        frame = case.lake.load(row)
        fills = frame[frame["client_order_id"] == case.name].to_dict("records")
        if not fills:
            continue
        costs = case.lake.index.newest("execution_costs", row.part)
        measured = None if costs is None else case.lake.load(costs)
        for fill in fills:
            cost = None if measured is None else _row(measured, "execution_id", str(fill["execution_id"]))
            found.append({"session": row.part, **cast("View", fill), "cost": cost})
    return found


def _ledger(case: Case) -> View:
    ledger, body = case.lake.ledger, case.decision.body
    cutoff, final = ledger.get("session_cutoff", case.part), ledger.get("order_final", case.name)
    events = ledger.entries("order_event", case.name + "/")
    batches = [e for e in ledger.entries("batch_frozen") if case.name in _names(e.body["orders"])]
    size, root = ledger.head()
    return {
        "cutoff_at": cutoff.body["cutoff_at"] if cutoff else None,
        "intent": _entry(case.intent),
        "decision": {**_entry(case.decision), "record_sha256": body["record_sha256"], "facts": body["facts"]}
        | {"versions": body.get("versions")},
        "batch": {**_entry(batches[0]), "batch_sha256": batches[0].body["batch_sha256"]} if batches else None,
        "events": [{**_entry(event), **event.body} for event in events],
        "final": {**_entry(final), **final.body} if final else None,
        "size": size,
        "root": root,
    }


def _entry(entry: Entry) -> View:
    return {"seq": entry.seq, "hash": entry.hash}


def _names(orders: object) -> Sequence[str]:
    return [str(order["client_order_id"]) for order in cast("Sequence[Mapping[str, str]]", orders)]
