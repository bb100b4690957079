"""The whole log with the evidence of some sessions, for an auditor: `export-audit`; and the check of such a parcel.

Not here: the files themselves (`signed_files`, `parcel`), the check (`auditor`), one order alone (`prove`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.order_names import orders_of
from marketbot_assets.commands.parcel import Parcel, parcel, unpacked
from marketbot_assets.commands.prove import uncovered_lines
from marketbot_assets.commands.signed_files import (
    UNSIGNED,
    Heads,
    evidence_of,
    heads_of,
    write_heads,
    write_store,
    write_summary,
)
from marketbot_resources.anchors.opening import open_anchors
from marketbot_resources.auditor import GROUPS, Audit, CannotCheck, report
from marketbot_resources.auditor_log import LOG
from marketbot_resources.errors import LedgerError, UsageError
from marketbot_resources.ledger.tiles import Tiles
from marketbot_resources.mandate_file import anchor_specs

if TYPE_CHECKING:
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.store.lake import Lake

View = dict[str, object]


def export_audit(first: str, last: str, out: str | None) -> View:
    """Writes the log and the evidence of the sessions from `first` to `last`, both ISO dates, and returns what it holds.

    Raises UsageError when no session in between was decided, LedgerError when none of them is signed yet.
    """
    _check_span(first, last)
    lake = existing_lake()
    heads = heads_of(lake, open_anchors(anchor_specs()))
    size = heads.head.size
    decided = [entry for entry in lake.ledger.entries("decision") if first <= entry.key <= last]
    if not decided:
        raise UsageError(f"sessions {first} to {last}: expected a decided session, found none in this home")
    decisions = [entry for entry in decided if entry.seq < size]
    if not decisions:
        raise LedgerError(f"sessions {first} to {last}: expected them under a signed head, found none; {UNSIGNED}")
    sessions = [entry.key for entry in decisions]
    evidence = evidence_of(lake, decisions, size)
    name = f"audit_{first}_{last}"
    target = Path(out).resolve() if out else lake.home / "exports" / f"{name}.tar"
    with parcel(target, name) as taker:
        write_heads(taker, lake, heads)
        _write_tiles(taker, lake, heads)
        write_store(taker, lake, evidence)
        orders = _orders(lake.ledger, sessions, size)
        told = write_summary(taker, heads, evidence, sessions=sessions, entries=size, orders=orders)
    late = lake.ledger.size() - size
    return {
        **told,
        "path": str(target),
        "not_covered": ([f"{late} newer entries"] if late else []) + [e.key for e in decided if e.seq >= size],
        "anchor_problems": dict(heads.problems),
    }


def _check_span(first: str, last: str) -> None:
    try:
        days = [dt.date.fromisoformat(text).isoformat() for text in (first, last)]
    except ValueError as error:
        raise UsageError(f"expected two sessions like 2018-12-24, found {first!r} and {last!r}") from error
    if days != [first, last] or first > last:
        raise UsageError(f"expected two sessions like 2018-12-24, the first one first, found {first!r} and {last!r}")


def _write_tiles(taker: Parcel, lake: "Lake", heads: Heads) -> None:
    tiles = Tiles()
    for path, data in tiles.files(lake.ledger.rows(0, heads.head.size)):
        taker.add(path, data)
    if (tiles.size, tiles.root) != (heads.head.size, heads.head.root):
        raise LedgerError(
            f"ledger: expected the {heads.head.size} entries that were signed, found others; run `marketbot verify`"
        )


def _orders(ledger: "Ledger", sessions: Sequence[str], size: int) -> int:
    """Number of signed orders of the sessions, by their batches: a long ledger's other orders are not read."""
    names = [name for b in ledger.entries("batch_frozen") if b.body["session"] in sessions for name in orders_of(b)]
    intents = (ledger.get("order_intent", name) for name in names)
    return sum(intent is not None and intent.seq < size for intent in intents)


def export_lines(view: View) -> list[str]:
    """Where the export is, what it holds, and how to check it."""
    counts, sessions = cast("Mapping[str, int]", view["counts"]), cast("Sequence[str]", view["sessions"])
    lines = [
        f"export      {len(sessions)} sessions, {sessions[0]} to {sessions[-1]}: {view['path']}",
        f"ledger      {view['origin']}, {view['size']} entries signed, root {view['root']}",
        f"holds       the whole log, {counts['orders']} orders of these sessions, {counts['objects']} objects, "
        f"{counts['bodies']} bodies, {counts['heads']} signed heads",
    ]
    how = (
        "its verify.py, or marketbot verify --export"
        if str(view["path"]).endswith(".tar")
        else "python verify.py in it"
    )
    return [*lines, *uncovered_lines(view), f"check it    {how}, with --key KEY"]


def verify_export(path: str, key: str | None) -> View:
    """Checks an export or a proof, a folder or a .tar archive, with the standalone verifier.

    Raises UsageError when it is neither, or when the key is malformed.
    """
    with unpacked(Path(path).resolve()) as folder:
        try:
            audit = Audit(folder, [] if key is None else [key])
        except CannotCheck as error:
            raise UsageError(f"{path}: {error}") from error
    faults = [{"code": fault.code, "where": fault.where, "message": fault.message} for fault in audit.faults]
    return {
        "path": path,
        "fine": not faults,
        "faults": faults,
        "downstream": audit.rests_on(audit.faults[0]) if faults else None,
        "checks": [{"name": name, "fine": name in audit.told, "found": audit.told.get(name, "")} for name in GROUPS],
        "key_source": "given" if any(known.kind == LOG for known in audit.given) else "folder",
        "lines": report(audit),
    }


def verify_export_lines(view: View) -> list[str]:
    """The same lines as the standalone verifier prints."""
    return list(cast("Sequence[str]", view["lines"]))
