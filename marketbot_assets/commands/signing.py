"""Having an operator's record signed: it counts once a signed head covers it. Not here: what the records say."""

from typing import TYPE_CHECKING

from marketbot_resources import governance
from marketbot_resources.errors import LedgerError, MarketbotError

if TYPE_CHECKING:
    from marketbot_resources.ledger.record import Entry
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake


def sign(lake: "Lake", mandate: "Mandate", entry: "Entry", again: str) -> None:
    """Has the head over the record signed and put into a mandate's anchors. `again`: what to do anew. Raises LedgerError."""
    from marketbot_resources.wiring import NotaryResource

    try:
        NotaryResource().open(lake, mandate).checkpoint()
    except MarketbotError as error:
        raise LedgerError(
            f"entry {entry.seq} was recorded but not signed, so it does not count: {error}; mend that, then {again} again"
        ) from error
    if not governance.is_signed(lake.ledger, entry):
        raise LedgerError(f"entry {entry.seq}: expected a signed head over it, found none; {again} again")
