"""One session's decision with everything that its orders share, read once; and one order of it.

Not here: what is shown of an order (`explain`), the tree of evidence itself (`evidence`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.evidence import Entries, Evidence, gather
from marketbot_assets.commands.order_names import orders_of
from marketbot_assets.commands.own_rows import OwnRows, Records, Row
from marketbot_resources.errors import LedgerError, StoreError
from marketbot_resources.ledger.record import Entry, canonical_json
from marketbot_resources.model import batch_sha256, order_record
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    from marketbot_resources.model import Order
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

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


@dataclass(frozen=True, slots=True)
class Decided:
    """A session's decision: its entry, the versions that it names, what stands behind them, what became of its orders.

    `orders`: the stored batch by client order id; `batches`: order -> the frozen batch that names it. `fills`: (session,
    fills, costs by execution id) of the next sessions.
    """

    lake: "Lake"
    decision: Entry
    rows: "Mapping[str, IndexRow]"
    evidence: Evidence
    records: Records
    own: OwnRows
    orders: "Mapping[str, Order]"
    batches: Mapping[str, Entry]
    fills: Sequence[tuple[str, Sequence[Row], Mapping[str, Row]]]
    size: int
    root: str

    @property
    def part(self) -> str:
        """The session that decided."""
        return self.decision.key

    def table(self, asset: str) -> Sequence[Row]:
        """The rows of an output of the decision."""
        return self.records.of(self.rows[asset])

    def row(self, asset: str, column: str, key: str) -> Row | None:
        """The row of an output of the decision that has `key` in a column."""
        return self.records.by(self.rows[asset], column).get(key)


@dataclass(frozen=True, slots=True)
class Case:
    """One order with the decision that it belongs to."""

    decided: Decided
    intent: Entry

    @property
    def name(self) -> str:
        """The client order id."""
        return self.intent.key

    @property
    def instrument(self) -> str:
        """The internal id, or FX:<currency>."""
        return str(self.intent.body["instrument"])

    @property
    def batch(self) -> Entry | None:
        """The frozen batch that names the order."""
        return self.decided.batches.get(self.name)

    @property
    def entries(self) -> Entries:
        """What the ledger says of it."""
        decided = self.decided
        stored = batch_sha256(decided.orders.values())
        return Entries(self.intent, self.batch, decided.decision, stored, decided.size, decided.root)


def decided_session(lake: "Lake", part: str) -> Decided:
    """The decision of a session, with everything behind it read again.

    Raises LedgerError without a decision, StoreError when a version that it names or a manifest is missing or altered.
    """
    decision = lake.ledger.get("decision", part)
    if decision is None:
        raise LedgerError(f"session {part}: expected its decision in the ledger, found none")
    outputs = cast("Mapping[str, str]", decision.body["outputs"])
    manifests = cast("Mapping[str, str]", decision.body.get("manifests") or {})
    rows = {asset: _version(lake, asset, part, outputs.get(asset), manifests.get(asset)) for asset in EXPLAINED}
    evidence = gather(lake, decision, list(rows.values()))
    size, root = lake.ledger.head()
    records = Records(lake)
    return Decided(
        lake=lake,
        decision=decision,
        rows=rows,
        evidence=evidence,
        records=records,
        own=OwnRows(records, evidence),
        orders=_orders(lake, rows["orders"]),
        batches={name: entry for entry in lake.ledger.entries("batch_frozen") for name in orders_of(entry)},
        fills=_fills(lake, records, part),
        size=size,
        root=root,
    )


def case_of(decided: Decided, intent: Entry) -> Case:
    """One order of the decision. Raises StoreError when the stored batch does not hold the order that the ledger names."""
    order = decided.orders.get(intent.key)
    if order is None or canonical_json(order_record(order)) != canonical_json(intent.body):
        raise StoreError(
            f"order {intent.key}: the stored batch of {decided.part} does not hold the order that the ledger names"
        )
    return Case(decided, intent)


def _version(
    lake: "Lake", asset: str, part: str, content_sha256: str | None, manifest_sha256: str | None
) -> "IndexRow":
    """The version that the decision names, which need not be the newest; the newest where it names none."""
    if manifest_sha256 is not None:
        named = lake.index.by_manifest(asset, part, manifest_sha256)
        if named is None:
            raise StoreError(f"store: expected {asset} {part} with manifest {manifest_sha256[:12]}, found none")
        return named
    newest = lake.index.newest(asset, part)
    if newest is not None and content_sha256 in (None, newest.content_sha256):
        return newest
    for key in sorted(key for key, _ in lake.objects.listing(f"{asset}/{part}/")):
        row = lake.index.by_file(asset, part, PurePosixPath(key).stem)
        if row is not None and row.content_sha256 == content_sha256:
            return row
    raise StoreError(f"store: expected {asset} {part} with content {str(content_sha256)[:12]}, found none")


def _orders(lake: "Lake", row: "IndexRow") -> "dict[str, Order]":
    from marketbot_assets.portfolio.order_rows import orders_from_rows

    return {order.client_order_id: order for order in orders_from_rows(lake.records(row))}


def _fills(lake: "Lake", records: Records, part: str) -> list[tuple[str, Sequence[Row], Mapping[str, Row]]]:
    rows = [row for row in lake.index.up_to("fills", END_OF_TIME) if row.part > part][:FILL_SESSIONS]
    costs = [lake.index.newest("execution_costs", row.part) for row in rows]
    return [
        (row.part, records.of(row), {} if cost is None else records.by(cost, "execution_id"))
        for row, cost in zip(rows, costs, strict=True)
    ]
