"""The mandate as a governed document: `mandate show`, `mandate approve`, `mandate diff`.

Not here: the rule that every run asks (`marketbot_resources.governance`), deciding again (`redecide`), text (`mandate_text`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_assets.commands.sessions import open_home
from marketbot_assets.commands.signing import sign
from marketbot_resources import governance, settings
from marketbot_resources.errors import LedgerError, MandateError, MarketbotError, UsageError
from marketbot_resources.governance import told_change
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import (
    Change,
    Direction,
    compare,
    compare_plain,
    overall,
    plain_of,
    previous_mandate,
)
from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from marketbot_assets.redecide import Outcome, Redecided
    from marketbot_resources.governance import InForce
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
SAME = "same"


def show() -> View:
    """What is in force and since when, what the file says, and every change so far. Raises MandateError for a wrong file."""
    mandate, lake = load_mandate(), open_home()
    standing = None if lake is None else governance.in_force(lake)
    changes = () if standing is None else compare_plain(previous_mandate(standing.text), plain_of(mandate))
    ledger = None if lake is None else lake.ledger
    same = standing is not None and standing.sha256 == mandate.sha256
    return {
        "path": str(settings.mandate_path()),
        "version": mandate.mandate_version,
        "file_sha256": mandate.sha256,
        "in_force_sha256": None if standing is None else standing.sha256,
        "since": None if standing is None else standing.since,
        "text": None if standing is None else standing.text,
        "file": governance.FIRST if standing is None else SAME if same else overall(changes).value,
        "changes": [told_change(change) for change in changes],
        "records": [] if ledger is None else [_told_record(entry) for entry in ledger.entries(governance.CHANGE)],
        "in_force": [] if ledger is None else [dict(entry.body) for entry in ledger.entries(governance.IN_FORCE)],
    }


def _told_record(entry: Entry) -> View:
    return {"entry": entry.seq, **entry.body}


def approve_now(reason: str | None) -> View:
    """Records, and has signed, that the file may loosen the mandate in force from the next session on.

    `needed` is false, and nothing is recorded, when the file loosens nothing. Raises UsageError without a reason or before the
    first session, LedgerError when the ledger does not hold or the record could not be signed: then it does not count.
    """
    text = redactor().text((reason or "").strip())
    if not text:
        raise UsageError("--reason: expected why the mandate is loosened, found nothing; it is kept in the ledger")
    lake, mandate = existing_lake(), load_mandate()
    fault = first_fault(lake.ledger)
    if fault:
        raise LedgerError(f"the ledger's chain does not hold: {fault}; restore it from its backup")
    standing = governance.in_force(lake)
    if standing is None:
        raise UsageError("mandate: nothing is in force yet; the first session takes the file as it is: marketbot run")
    changes = compare_plain(previous_mandate(standing.text), plain_of(mandate))
    told: View = {
        "old_sha256": standing.sha256,
        "new_sha256": mandate.sha256,
        "changes": [told_change(change) for change in changes],
        "reason": text,
    }
    if overall(changes) is not Direction.LOOSER:
        return {**told, "needed": False, "entry": None, "effective_session": None}
    entry = governance.approve(lake, standing, mandate, changes, text)
    sign(lake, _still_valid(standing) or mandate, entry, "approve")
    return {**told, "needed": True, "entry": entry.seq, "effective_session": entry.body["effective_session"]}


def _still_valid(standing: "InForce") -> Mandate | None:
    """The mandate in force; None when this version of the platform does not read it any more."""
    try:
        return parse_mandate(standing.text)
    except MandateError:
        return None


def diff(other: str | None, last: int, *, quiet: bool) -> View:
    """What another mandate changes, and which of the last decisions of this home would have differed under it.

    `other`: a mandate file; None: the one that a run would read. In a home it is compared with the mandate in force, without one
    with the file. `unread`: sessions that could not be decided again, with the reason.
    """
    lake = open_home()
    standing = None if lake is None else governance.in_force(lake)
    if other is None and standing is None:
        raise UsageError("mandate diff: expected another mandate file beside a home without decisions, found none")
    new = load_mandate() if other is None else _read(Path(other))
    if standing is None:
        base = load_mandate()
        old_sha256, changes = base.sha256, compare(base, new)
    else:
        old_sha256, changes = standing.sha256, compare_plain(previous_mandate(standing.text), plain_of(new))
    decisions = [] if lake is None else lake.ledger.entries("decision")
    found, unread = _decided(lake, decisions[-last:] if last else [], new, quiet=quiet) if lake else ([], [])
    return {
        "old_sha256": old_sha256,
        "new_sha256": new.sha256,
        "direction": overall(changes).value if changes else SAME,
        "changes": [told_change(change) for change in changes],
        "as_stored": _as_stored(changes),
        "decisions": len(decisions),
        "asked": last,
        "compared": len(found),
        "differ": sum(item.differs for item in found),
        "decided_again": sum(item.again for item in found),
        "sessions": [_told(item) for item in found if item.differs],
        "unread": unread,
    }


def _read(path: Path) -> Mandate:
    try:
        return parse_mandate(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MandateError(f"mandate: expected a readable file at {path}, found: {error}") from error


def _as_stored(changes: Sequence[Change]) -> list[str]:
    """Changed keys that act before the target is decided, so that what they do is not seen."""
    from marketbot_assets.redecide import AS_STORED

    return [c.path for c in changes if any(c.path == key or c.path.startswith(f"{key}.") for key in AS_STORED)]


def _decided(
    lake: "Lake", decisions: Sequence[Entry], new: Mandate, *, quiet: bool
) -> "tuple[list[Redecided], list[View]]":
    from tqdm import tqdm

    from marketbot_assets.redecide import redecide
    from marketbot_assets.source import versions_now

    versions = versions_now(lake)
    found: list[Redecided] = []
    unread: list[View] = []
    with tqdm(decisions, unit="session", disable=quiet or None) as bar:
        for entry in bar:
            bar.set_description(entry.key)
            try:
                found.append(redecide(lake, entry, new, versions))
            # A session that cannot be decided again is told with its reason; the others still are.
            except (MarketbotError, ArithmeticError, LookupError, TypeError, ValueError) as error:
                why = str(error).splitlines()[0] if str(error) else ""
                unread.append({"session": entry.key, "reason": redactor().text(f"{type(error).__name__}: {why}")})
    return found, unread


def _told(item: "Redecided") -> View:
    before, after = item.before, item.after
    return {
        "session": item.session,
        "mandate_sha256": item.mandate_sha256,
        "verdict": _pair(before.verdict, after.verdict),
        "orders_count": _pair(len(before.orders), len(after.orders)),
        "orders": [
            {"instrument": name, "side": side, **_pair(_order(before, key), _order(after, key))}
            for key in sorted({*before.orders, *after.orders})
            if before.orders.get(key) != after.orders.get(key)
            for name, side in (key,)
        ],
        "controls": [
            {"control": key, **_pair(before.controls.get(key, "PASS"), after.controls.get(key, "PASS"))}
            for key in sorted({*before.controls, *after.controls})
            if before.controls.get(key) != after.controls.get(key)
        ],
    }


def _pair(before: object, after: object) -> View:
    return {"before": before, "after": after}


def _order(outcome: "Outcome", key: tuple[str, str]) -> Mapping[str, str] | None:
    order = outcome.orders.get(key)
    return None if order is None else {"quantity": order[0], "limit_price": order[1]}
