"""What can be looked at, as plain values: positions, decisions, orders, limits, proofs, a search through the audit trail.

Each takes a lake that is only read. Not here: status, controls and explanations, which the commands make (`commands`), how
they leave (`routes`, `pages`).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.order_names import intent_of, orders_of
from marketbot_assets.commands.reconcile import newest_row
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.note import parse_checkpoint, split_note
from marketbot_resources.ledger.record import Entry, record_bytes

if TYPE_CHECKING:
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
SEARCHED_MAX, FOUND_MAX = 50_000, 100
_PAGE = 5_000
_HASH = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
LIMIT_NAMES = ("control", "key", "name", "observed", "limit", "headroom", "unit", "status", "message")


def status_view(lake: "Lake") -> View:
    """What `status` shows, without the folder's name; the broker is not asked."""
    from marketbot_assets.commands.status import status

    view = status(ask_broker=False)
    return {name: value for name, value in view.items() if name not in ("home", "anchors")}


def controls_view(lake: "Lake") -> View:
    """What `controls` shows of the newest 250 verdicts. Raises UsageError before the first verdict."""
    from marketbot_assets.commands.controls import controls_now

    return controls_now(250)


def positions_view(lake: "Lake") -> View:
    """The newest book: one row per position and per currency's cash. Raises UsageError before there is one."""
    row = newest_row(lake, "positions")
    if row is None:
        raise UsageError("no positions yet; run `marketbot run` first")
    listed, records = listings(lake, row.part), lake.records(row)
    held = [one for one in records if one["kind"] == "POSITION"]
    cash = [one for one in records if one["kind"] == "CASH"]
    values = [float(cast("float", one["value_base"])) for one in held + cash]
    nav = math.fsum(values)  # NaN as soon as one value is unknown: no weight is guessed then
    names = ("instrument", "currency", "quantity", "price", "fx", "value_base")
    told = [
        {name: one[name] for name in names} | _listing(listed, one["instrument"]) | {"weight": _share(one, nav)}
        for one in held
    ]
    told.sort(key=lambda one: (-_size(one["value_base"]), str(one["instrument"])))
    return {
        "session": row.part,
        "nav": nav,
        "positions": told,
        "cash": [{name: one[name] for name in ("currency", "amount", "value_base")} for one in cash],
    }


def _size(value: object) -> float:
    number = float(cast("float", value))
    return number if math.isfinite(number) else 0.0


def _share(row: Mapping[str, object], nav: float) -> float:
    return float(cast("float", row["value_base"])) / nav if math.isfinite(nav) and nav else math.nan


def listings(lake: "Lake", part: str) -> Mapping[str, Mapping[str, object]]:
    """Instrument -> its listing, as the session knew it."""
    row = lake.index.newest("instruments", part)
    return {} if row is None else {str(one["instrument"]): one for one in lake.records(row)}


def _listing(listed: Mapping[str, Mapping[str, object]], instrument: object) -> View:
    found = listed.get(str(instrument), {})
    return {"ticker": str(found.get("ticker", "")), "name": str(found.get("name", ""))}


def decisions_view(lake: "Lake", most: int, before: str | None) -> View:
    """The newest decisions, newest first; `before`: only sessions before this one."""
    found = [entry for entry in lake.ledger.entries("decision") if before is None or entry.key < before]
    chosen = sorted(found, key=lambda entry: entry.key, reverse=True)[:most]
    more = len(found) > len(chosen)
    return {"decisions": [_decision(lake.ledger, entry) for entry in chosen], "more": more}


def _decision(ledger: "Ledger", entry: Entry) -> View:
    cutoff, end = ledger.get("session_cutoff", entry.key), ledger.get("session_end", entry.key)
    return {
        "session": entry.key,
        "seq": entry.seq,
        "hash": entry.hash,
        "record_sha256": entry.body["record_sha256"],
        "cutoff_at": cutoff.body["cutoff_at"] if cutoff else None,
        "end_state": str(end.body["state"]) if end else "open",
        "end_reason": str(end.body.get("reason", "")) if end else "",
    }


def decision_view(lake: "Lake", session: str) -> View:
    """One session's decision: its entry, verdict, batch, orders and the versions that it names. Raises UsageError without one."""
    entry = lake.ledger.get("decision", session)
    if entry is None:
        raise UsageError(f"session {session}: expected a decision, found none")
    verdict = lake.index.newest("risk_verdict", session)
    batch = next((row for row in lake.records(verdict) if row["kind"] == "BATCH"), None) if verdict else None
    orders = orders_view(lake, session)
    return {
        **_decision(lake.ledger, entry),
        "verdict": batch["verdict"] if batch else None,
        "rounds": batch["rounds"] if batch else None,
        "batch_sha256": batch["batch_approved_sha256"] if batch else None,
        "mandate_sha256": batch["mandate_sha256"] if batch else None,
        "facts": entry.body.get("facts"),
        "versions": entry.body.get("versions"),
        "orders": orders["orders"],
        "report": lake.index.newest("daily_report", session) is not None,
    }


def orders_view(lake: "Lake", session: str) -> View:
    """The orders of a session's frozen batches with their newest state; none where the session froze no batch."""
    ledger = lake.ledger
    batches = [entry for entry in ledger.entries("batch_frozen") if entry.body["session"] == session]
    listed = listings(lake, session)
    names = sorted({name for batch in batches for name in orders_of(batch)})
    return {"session": session, "orders": [_order(ledger, listed, name) for name in names]}


def _order(ledger: "Ledger", listed: Mapping[str, Mapping[str, object]], name: str) -> View:
    intent, final = ledger.get("order_intent", name), ledger.get("order_final", name)
    events = ledger.entries("order_event", name + "/")
    last = final or (events[-1] if events else None)
    body = intent.body if intent else {}
    told = {key: body.get(key) for key in ("session", "instrument", "mic", "side", "quantity", "currency")}
    state = str(last.body["state"]) if last else "APPROVED"
    return {"client_order_id": name, **told, **_listing(listed, body.get("instrument", "")), "state": state}


def alerts_view(lake: "Lake", most: int) -> View:
    """The newest recorded alerts, newest first, with the channel that took each; and what is so now without a record.

    Without channels in the mandate nothing is recorded: all that was found in the newest sessions stands under `found`.
    """
    from marketbot_assets.alerting import found_now
    from marketbot_assets.commands.alerts import told_alerts
    from marketbot_resources.alerts import KIND

    recorded = told_alerts(lake.ledger, lake.ledger.entries(KIND)[-most:])
    found = [{**alert.body(), "key": alert.key} for alert in found_now(lake)[:most]]
    return {"alerts": [_alert(one) for one in reversed(recorded)], "found": [_alert(one) for one in found]}


def _alert(one: Mapping[str, object]) -> View:
    from marketbot_resources.alert_codes import CODES

    code = CODES.get(str(one["code"]))
    told = {name: one[name] for name in ("key", "code", "severity", "subject", "session", "message")}
    heard = {name: one.get(name) for name in ("channel", "at", "answer", "last_failure")}
    failures = one.get("failures", 0)
    return {
        **told,
        "do": code.do if code else "",
        **heard,
        "failures": failures,
        "acknowledged": one.get("at") is not None,
    }


def limits_view(lake: "Lake", session: str | None) -> View:
    """Every control's answers in a session's verdict (default: the newest). Raises UsageError without one."""
    row = lake.index.newest("risk_verdict", session) if session else newest_row(lake, "risk_verdict")
    if row is None:
        raise UsageError(f"session {session}: expected a verdict, found none" if session else "no verdict yet")
    records = lake.records(row)
    batch = next(one for one in records if one["kind"] == "BATCH")
    return {
        "session": row.part,
        "verdict": batch["verdict"],
        "controls": [{name: one[name] for name in LIMIT_NAMES} for one in records if one["kind"] == "CONTROL"],
    }


def explain_view(lake: "Lake", order: str) -> View:
    """What `explain` shows of an order, re-hashed on the way, and every ticker of its session. Raises UsageError, StoreError."""
    from marketbot_assets.commands.explain import explain

    view = explain(order)
    told = cast("View", view["order"])
    listed = listings(lake, str(told["session"]))
    return {**view, "tickers": {name: str(one["ticker"]) for name, one in listed.items()}}


def proof_view(lake: "Lake", order: str, explained: View) -> View:
    """What proves an order: its intent's record, the way from its leaf to a signed head, and the hashes of all behind it."""
    ledger, intent = lake.ledger, intent_of(lake.ledger, order)
    signed = [(size, note) for size, note in ledger.checkpoints() if size > intent.seq]
    size, note = signed[-1] if signed else (ledger.size(), None)
    head = parse_checkpoint(split_note(note)[0]).root.hex() if note else ledger.root(size).hex()
    path = merkle.inclusion_proof(intent.seq, size, ledger.node)
    return {
        "order": intent.key,
        "session": intent.body["session"],
        "seq": intent.seq,
        "leaf_sha256": intent.hash,
        "record": record_bytes(intent.kind, intent.key, intent.body).decode(),
        "size": size,
        "root": head,
        "signed_note": note,
        "path": [step.hex() for step in path],
        "objects": explained["chain"],
        "bodies": explained["blobs"],
        "faults": explained["faults"],
        "fault": explained["fault"],
    }


def reports_view(lake: "Lake") -> View:
    """The sessions that have a report, newest first."""
    from marketbot_resources.store.index import END_OF_TIME

    rows = lake.index.up_to("daily_report", END_OF_TIME)
    return {"sessions": [row.part for row in reversed(rows)]}


def report_page(lake: "Lake", session: str) -> str:
    """The stored page of a session. Raises UsageError without one."""
    row = lake.index.newest("daily_report", session)
    if row is None:
        raise UsageError(f"session {session}: expected a report, found none")
    return str(lake.records(row)[0]["html"])


def search_view(lake: "Lake", text: str, before: int | None, shown: Callable[[str], str]) -> View:
    """Entries of the ledger whose kind, key or hash has the text, newest first, and what the store has under a hash.

    A text of 8 or more hex digits is looked for at the beginning of hashes, too. `shown`: kind and key as the caller may see
    them; nothing else is searched, or hits would tell what is masked. `next_before`: where to go on, None at the end.
    """
    wanted = text.strip().lower()
    digest = wanted if _HASH.fullmatch(wanted) else None
    end = lake.ledger.size() if before is None else min(before, lake.ledger.size())
    entries, last = _entries(lake.ledger, wanted, digest, end, shown)
    objects, bodies = lake.index.begins(digest, FOUND_MAX) if digest and before is None else ([], [])
    return {
        "query": text,
        "entries": entries,
        "objects": [_object(row) for row in objects],
        "bodies": [
            {"blob_sha256": row.blob_sha256, "asset": row.asset, "partition": row.part, "fetched_at": row.fetched_at}
            for row in bodies
        ],
        "next_before": last if last > 0 else None,
    }


def _entries(
    ledger: "Ledger", wanted: str, digest: str | None, end: int, shown: Callable[[str], str]
) -> tuple[Sequence[View], int]:
    """(what was found, the number before which nothing was looked at), from `end` down."""
    found: list[View] = []
    last, stop = end, max(0, end - SEARCHED_MAX)
    while last > stop:
        first = max(stop, last - _PAGE)
        for row in reversed(list(ledger.rows(first, last))):
            leaf = row.leaf.hex()
            if wanted in shown(f"{row.kind} {row.key}").lower() or (digest and leaf.startswith(digest)):
                found.append({"seq": row.seq, "kind": row.kind, "key": row.key, "hash": leaf})
                if len(found) == FOUND_MAX:
                    return found, row.seq
        last = first
    return found, last


def _object(row: "IndexRow") -> View:
    hashes = {name: getattr(row, name) for name in ("file_sha256", "content_sha256", "manifest_sha256")}
    return {"asset": row.asset, "partition": row.part, **hashes, "written_at": row.written_at}
