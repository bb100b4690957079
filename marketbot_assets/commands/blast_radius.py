"""What used an object, a body or a row, directly or through others: objects by kind, orders, and what these earned or lost.

Lineage is by object: whoever read an object may have used any of its rows, so everything here is an upper bound. Not here:
finding the start (`blast_start`), the walk (`store.dependents`), how it is told (`blast_text`).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.blast_start import CURRENCY_LEG, Start, find_start
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.own_rows import Records, Row
from marketbot_resources.store.dependents import all_dependents
from marketbot_resources.store.index import END_OF_TIME, STATIC

if TYPE_CHECKING:
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
GROUPS = {
    "data": ("ingestion", "normalization"),
    "features": ("features",),
    "forecasts": ("insight",),
    "books": ("book",),
    "targets": ("portfolio",),
    "verdicts": ("risk",),
    "orders": ("execution",),
    "reports": ("audit", "research"),
}
IN_THE_BOOK = {"opening_balance": "books"}
NOT_FROZEN = "NOT FROZEN"
UPPER_BOUND = (
    "Lineage is by object: an object counts as used when any of its rows was read, so this is an upper bound of what the"
    " start can have moved."
)
PROFIT_OF = (
    "Profit and loss of the whole positions in the instruments of these orders since their first such session, in base"
    " currency; not what the start caused."
)


def blast_radius(text: str) -> View:
    """Everything that `blast-radius` shows. Raises UsageError when the text names nothing or several things."""
    lake = existing_lake()
    start = find_start(lake, text)
    found = all_dependents(lake, start.hashes)
    records = Records(lake)
    orders = _orders(lake, records, found.rows, start)
    return {
        "start": {
            "told": start.told,
            "objects": [_version(row) for row in start.objects],
            "bodies": [_body(name, start) for name in sorted({blob.blob_sha256 for blob in start.bodies})],
            "rows": list(start.rows),
            "instruments": sorted(start.instruments),
            "currency": start.currency,
        },
        "used_by": len(found.rows),
        "unreadable": [_version(row) for row in found.unreadable],
        "groups": _groups(lake, found.rows),
        "orders": orders,
        "profit": _profit(lake, records, orders, start),
        "bound": UPPER_BOUND,
    }


def _version(row: "IndexRow") -> View:
    hashes = {name: getattr(row, name) for name in ("file_sha256", "content_sha256", "manifest_sha256")}
    return {"asset": row.asset, "partition": row.part, **hashes}


def _body(name: str, start: Start) -> View:
    rows = [blob for blob in start.bodies if blob.blob_sha256 == name]
    received = [{"asset": b.asset, "partition": b.part, "url": b.url, "fetched_at": b.fetched_at} for b in rows]
    return {"blob_sha256": name, "received": received}


def group_of() -> dict[str, str]:
    """Asset -> the group under which it is shown, by the stage whose table it has."""
    stages = {stage: group for group, names in GROUPS.items() for stage in names}
    found = {
        str(table.asset): group
        for stage, group in stages.items()
        for table in import_module(f"marketbot_assets.{stage}.schema").TABLES
    }
    return {**found, **IN_THE_BOOK}


def _groups(lake: "Lake", rows: "Sequence[IndexRow]") -> dict[str, list[View]]:
    """Group -> its versions, each with whether a newer one stands in its place. Assets that no stage knows are data."""
    known, newest = group_of(), {row.manifest_sha256 for row in lake.index.all_newest()}
    groups: dict[str, list[View]] = {name: [] for name in GROUPS}
    for row in rows:
        told = {**_version(row), "superseded": row.manifest_sha256 not in newest}
        groups[known.get(row.asset, "data")].append(told)
    return groups


def _orders(lake: "Lake", records: Records, rows: "Sequence[IndexRow]", start: Start) -> list[View]:
    """Every order of a batch that used the start, with its state and fills.

    `frozen`: whether that batch is the one that the ledger froze; a version made later than it is evidence, no reason to send.
    """
    batches = [row for row in [*start.objects, *rows] if row.asset == "orders"]
    found: dict[str, View] = {}
    for version in batches:
        frozen = _is_frozen(lake.ledger, version)
        for order in records.of(version):
            name = str(order["client_order_id"])
            if name not in found or (frozen and not found[name]["frozen"]):
                found[name] = _order(lake.ledger, order, version.part, frozen, start)
    sessions = {str(order["session"]) for order in found.values()}
    fills, listed = _fills(lake, records, sessions), {part: _listings(lake, records, part) for part in sessions}
    for name, order in found.items():
        order["listing"] = listed[str(order["session"])].get(str(order["instrument"]), "")
        order["fills"] = fills.get(name, []) if order["frozen"] else []
    return sorted(found.values(), key=lambda order: (str(order["session"]), str(order["client_order_id"])))


def _order(ledger: "Ledger", order: Mapping[str, object], part: str, frozen: bool, start: Start) -> View:
    name, instrument = str(order["client_order_id"]), str(order["instrument"])
    about = instrument in start.instruments or (bool(start.currency) and order["currency"] == start.currency)
    told = {key: order[key] for key in ("instrument", "mic", "side", "quantity", "currency", "reason")}
    state = _state(ledger, name) if frozen else NOT_FROZEN
    return {"client_order_id": name, "session": part, **told, "frozen": frozen, "state": state, "direct": about}


def _listings(lake: "Lake", records: Records, part: str) -> dict[str, str]:
    row = lake.index.newest("instruments", part)
    return {} if row is None else {str(x["instrument"]): f"{x['mic']}:{x['ticker']}" for x in records.of(row)}


def _is_frozen(ledger: "Ledger", version: "IndexRow") -> bool:
    """Whether a version of `orders` is the one that its session's decision names, by manifest where it names manifests."""
    decision = ledger.get("decision", version.part)
    if decision is None:
        return False
    manifests = cast("Mapping[str, str]", decision.body.get("manifests") or {})
    if version.asset in manifests:
        return manifests[version.asset] == version.manifest_sha256
    return cast("Mapping[str, str]", decision.body["outputs"]).get(version.asset) == version.content_sha256


def _state(ledger: "Ledger", name: str) -> str:
    final, events = ledger.get("order_final", name), ledger.entries("order_event", name + "/")
    newest = final or (events[-1] if events else None)
    return "APPROVED" if newest is None else str(newest.body["state"])


def _fills(lake: "Lake", records: Records, sessions: Iterable[str]) -> dict[str, list[View]]:
    """Order -> its fills, as the sessions after the first of `sessions` learned of them."""
    first = min(sessions, default=END_OF_TIME)
    found: dict[str, list[View]] = {}
    for row in lake.index.up_to("fills", END_OF_TIME):
        for fill in records.of(row) if row.part > first else ():
            told = {name: fill[name] for name in ("execution_id", "quantity", "price", "currency", "executed_at")}
            found.setdefault(str(fill["client_order_id"]), []).append({"session": row.part, **told})
    return found


def _profit(lake: "Lake", records: Records, orders: Sequence[View], start: Start) -> View:
    """Attribution of the instruments of the frozen orders, summed over the sessions after each one's first such order."""
    since: dict[str, str] = {}
    listings: dict[str, object] = {}
    for order in orders:
        if order["frozen"]:
            name = attributed_as(str(order["instrument"]))
            since[name] = min(str(order["session"]), since.get(name, END_OF_TIME))
            listings[name] = order["listing"]
    lines = _attributed(lake, records, since)
    about = {attributed_as(str(order["instrument"])) for order in orders if order["frozen"] and order["direct"]}
    rows: list[View] = []
    for name in sorted(since):
        own = [cast("float", line["total"]) for _, line in lines if line["name"] == name]
        told = {"instrument": name, "listing": listings[name], "since": since[name], "sessions": len(own)}
        rows.append({**told, "total": math.fsum(own), "direct": name in about})
    return {
        "meaning": PROFIT_OF,
        "base_currency": _base_currency(lake, records),
        "by_instrument": rows,
        "total": math.fsum(cast("float", row["total"]) for row in rows),
        "direct": math.fsum(cast("float", row["total"]) for row in rows if row["direct"]) if start.rows else None,
        "last_session": max((part for part, _ in lines), default=""),
        "without_price": sum(bool(line["note"]) for _, line in lines),
    }


def _base_currency(lake: "Lake", records: Records) -> str:
    row = lake.index.newest("mandate", STATIC)
    return "" if row is None else str(json.loads(str(records.of(row)[0]["canonical_json"]))["base_currency"])


def _attributed(lake: "Lake", records: Records, since: Mapping[str, str]) -> list[tuple[str, Row]]:
    """(session, row of ATTRIBUTION) of each name for the sessions after the one that `since` says."""
    first = min(since.values(), default=END_OF_TIME)
    versions = [row for row in lake.index.up_to("attribution", END_OF_TIME) if row.part > first]
    lines = [(row.part, line) for row in versions for line in records.of(row) if line["dimension"] == "INSTRUMENT"]
    return [(part, line) for part, line in lines if part > since.get(str(line["name"]), END_OF_TIME)]


def attributed_as(instrument: str) -> str:
    """The name under which the attribution counts what an order traded: a currency leg moves the cash of its currency."""
    return f"CASH:{instrument.removeprefix(CURRENCY_LEG)}" if instrument.startswith(CURRENCY_LEG) else instrument
