"""The proof of one order as a folder or an archive that anyone can check alone: `prove`.

It holds the order's entries of the ledger with their proofs of inclusion, and everything that its session's decision rests on.
Not here: the files themselves (`signed_files`, `parcel`), checking one (`auditor`), whole sessions (`export`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.order_names import intent_of, orders_of
from marketbot_assets.commands.parcel import parcel
from marketbot_assets.commands.signed_files import (
    UNSIGNED,
    Evidence,
    Heads,
    evidence_of,
    heads_of,
    write_entries,
    write_heads,
    write_store,
    write_summary,
)
from marketbot_assets.llm_budget import CALL
from marketbot_resources.anchors.opening import open_anchors
from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate_file import anchor_specs
from marketbot_resources.notary import LOG_KEY
from marketbot_resources.store.seal import KIND

View = dict[str, object]


def prove(order: str, out: str | None) -> View:
    """Writes the proof of an order and returns what it holds.

    Raises UsageError for an unknown order or a place that is not ours to replace, LedgerError when the order is not signed yet.
    """
    lake = existing_lake()
    ledger = lake.ledger
    intent = intent_of(ledger, order)
    session, events = str(intent.body["session"]), ledger.entries("order_event", intent.key + "/")
    heads = _around(heads_of(lake, open_anchors(anchor_specs())), intent)
    story = [intent, *_decided(ledger, session, intent.key), *events, *_final(ledger, intent.key)]
    late = [entry for entry in story if entry.seq >= heads.head.size]
    decision = next(entry for entry in story if entry.kind == "decision")
    evidence = evidence_of(lake, [decision], heads.head.size)
    kept = {entry.seq: entry for entry in story if entry not in late}
    kept |= {entry.seq: entry for entry in ledger.entries(LOG_KEY) if entry.seq < heads.head.size}
    kept |= {entry.seq: entry for entry in _answered(ledger, evidence, decision)}
    kept |= {entry.seq: entry for entry in ledger.entries(KIND) if entry.seq in evidence.seals}
    kept |= {row.seq: row.entry() for size in heads.sizes for row in ledger.rows(size - 1, size)}
    target = Path(out).resolve() if out else lake.home / "proofs" / intent.key
    with parcel(target, intent.key) as taker:
        write_heads(taker, lake, heads)
        write_entries(taker, lake, heads, [kept[seq] for seq in sorted(kept)])
        write_store(taker, lake, evidence)
        orders = sum(e.kind == "order_intent" and e.body["session"] == session for e in kept.values())
        told = write_summary(
            taker, heads, evidence, sessions=[session], entries=len(kept), orders=orders, order=intent.key
        )
    first, sent = min(heads.own), events[0].seq if events else None
    return {
        **told,
        "path": str(target),
        "intent": intent.seq,
        "first_signed": first,
        "signed_before_sending": None if sent is None else first <= sent,
        "not_covered": [f"{entry.kind} {entry.key}" for entry in late],
        "anchor_problems": dict(heads.problems),
    }


def _around(heads: Heads, intent: Entry) -> Heads:
    if intent.seq >= heads.head.size:
        raise LedgerError(
            f"order {intent.key}: expected it under a signed head, found entry {intent.seq} after the newest one, which"
            f" covers {heads.head.size}; {UNSIGNED}"
        )
    return heads.around(intent.seq)


def _decided(ledger: Ledger, session: str, name: str) -> list[Entry]:
    """Cutoff, decision, the batch that names the order, and the other orders of the batch, which its hash is over."""
    cutoff, decision = ledger.get("session_cutoff", session), ledger.get("decision", session)
    batches = [(b, orders_of(b)) for b in ledger.entries("batch_frozen") if b.body["session"] == session]
    found = next(((batch, names) for batch, names in batches if name in names), None)
    if cutoff is None or decision is None or found is None:
        raise LedgerError(
            f"order {name}: expected cutoff, decision and batch of {session} in the ledger, found not all"
        )
    batch, names = found
    others = [ledger.get("order_intent", other) for other in names if other != name]
    return [cutoff, decision, batch, *(entry for entry in others if entry is not None)]


def _answered(ledger: Ledger, evidence: Evidence, decision: Entry) -> list[Entry]:
    """What language models answered, as the log knew it before the decision that rests on it."""
    sessions = {link.row.part for link in evidence.links if link.row.asset == "llm_answers"}
    bodies = set(evidence.bodies)
    calls = [entry for entry in ledger.entries(CALL) if entry.seq < decision.seq and entry.body["purpose"] == "views"]
    return [entry for entry in calls if entry.body["session"] in sessions or entry.body["answer_sha256"] in bodies]


def _final(ledger: Ledger, name: str) -> list[Entry]:
    final = ledger.get("order_final", name)
    return [] if final is None else [final]


def prove_lines(view: View) -> list[str]:
    """Where the proof is, what it holds, and how to check it."""
    counts = cast("Mapping[str, int]", view["counts"])
    sent = view["signed_before_sending"]
    when = "" if sent is None else ", before it was sent" if sent else ", after it was sent"
    lines = [
        f"proof       order {view['order']}: {view['path']}",
        f"ledger      {view['origin']}, {view['size']} entries signed, root {view['root']}",
        f"order       entry {view['intent']}, first signed with {view['first_signed']} entries{when}",
        f"holds       {counts['entries']} entries with proofs, {counts['objects']} objects, {counts['bodies']} bodies, "
        f"{counts['heads']} signed heads",
    ]
    return [*lines, *uncovered_lines(view), f"check it    python {view['path']}/verify.py --key KEY"]


def uncovered_lines(view: View) -> list[str]:
    """What no signed head covers yet, and which anchor could not be read."""
    late = cast("Sequence[str]", view["not_covered"])
    lines = [f"not signed  {', '.join(late)}; {UNSIGNED}"] if late else []
    problems = cast("Mapping[str, str]", view["anchor_problems"])
    return lines + [f"anchor      {name}: {problem}" for name, problem in problems.items()]
