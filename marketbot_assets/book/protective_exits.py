"""The exits that the book's state demands: everything held of each name whose stop was hit (RC-62, RC-63).

Not here: limit price and send window (`portfolio`), whether a stop is hit (`stops`).
"""

import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import PROTECTIVE_EXITS, STOP_LOSS
from marketbot_assets.book.state import BookState, StopHit
from marketbot_resources.errors import HaltError


def exits_due(state: BookState) -> pd.DataFrame:
    """PROTECTIVE_EXITS rows of a state, sorted by instrument. Raises HaltError for a hit on a name that is not held."""
    held = {lot.instrument: lot.quantity for lot in state.lots}
    rows = []
    for hit in state.stop_hits:
        if hit.instrument not in held:
            raise HaltError(f"{state.session}: expected a lot of {hit.instrument}, whose stop was hit, found none")
        rows.append(
            {
                "instrument": hit.instrument,
                "quantity": held[hit.instrument],
                "control": hit.control,
                "close": hit.close,
                "level": hit.level,
                "reason": _reason(hit),
            }
        )
    return rows_frame(PROTECTIVE_EXITS, rows)


def _reason(hit: StopHit) -> str:
    name = "stop loss" if hit.control == STOP_LOSS else "trailing stop"
    return f"{hit.control} {name}: close {hit.close:.6g} below {hit.level:.6g}"
