"""Whether the signer knows more than the ledger: a backup was put back, so it signs nothing. Told by `doctor` and `restore`."""

from marketbot_assets.commands.finding import Finding
from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError
from marketbot_resources.ledger.note import parse_checkpoint, split_note
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.redaction import redactor
from marketbot_resources.signer import SignerProcess

MEND = (
    "the ledger was put back to an older state: find the newest one (another backup, the database's own log) and restore that; "
    "is it lost, open a new home on the same account; never put an older signer beside it (docs/operations.md, Restore)"
)


def signer_beyond(ledger: Ledger) -> str:
    """Why the signer will refuse this ledger, "" when it will not: it has signed more, or something else."""
    own = SignerProcess(settings.signer_home(), settings.signer_command()).head()
    head = parse_checkpoint(split_note(own)[0]) if own is not None else None
    size = ledger.size()
    if head is None or (head.size <= size and ledger.root(head.size) == head.root):
        return ""
    if head.size > size:
        return f"it has signed {head.size} entries, this ledger holds {size}: an older state of it"
    return f"it has signed another root for {head.size} entries: this ledger is not the one that it knows"


def signer_finding() -> Finding:
    """The signer's head against the ledger."""
    try:
        ledger = existing_ledger(settings.home())
        why = signer_beyond(ledger) if ledger is not None else ""
    except MarketbotError as error:
        return Finding(
            "signer", False, redactor().text(str(error)), "restore the signer's folder; it is never made anew"
        )
    return Finding("signer", not why, why or "has signed nothing that this ledger does not hold", MEND)
