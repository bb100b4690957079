"""What the asset `parity_check` compares, from its reader: sessions that no check has compared yet, or a range.

Not here: the comparison (`parity_runs`), its page (`parity_pages`).
"""

import datetime as dt
from typing import TYPE_CHECKING

from marketbot_assets.parity_reads import PARITY_DEPS, decided_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.sessions import end_state
from marketbot_resources.store.index import END_OF_TIME
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

ASSET, KIND = "parity_check", "parity_difference"
SESSIONS_MAX = 130  # half a year at once; what is older is compared when it is asked for
WHY_MAX = 400


def due(lake: "Lake", until: dt.date, first: dt.date | None) -> list[dt.date]:
    """Ended, decided sessions up to one: from `first` on, else those that no check before has compared, the newest of them."""
    before = lake.index.up_to(ASSET, until.isoformat(), inclusive=False)
    start = first or (dt.date.fromisoformat(before[-1].part) + dt.timedelta(days=1) if before else dt.date.min)
    ended = [day for day in decided_sessions(lake.ledger) if start <= day <= until and end_state(lake.ledger, day)]
    return ended[-SESSIONS_MAX:]


def compared(read: Reader, lake: "Lake", first: dt.date | None = None) -> "pd.DataFrame":
    """PARITY_CHECK of the sessions that are due up to the reader's. Raises UsageError when there is none."""
    from marketbot_assets.parity_runs import Parity
    from marketbot_assets.research.parity import frame_of

    days = due(lake, read.session, first)
    if not days:
        raise UsageError(f"parity: expected decided sessions up to {read.session}, found none; run `marketbot run`")
    run = Parity(lake, PARITY_DEPS)
    rows = [row for found in run.rows(days) for row in found]
    read.reads += run.seen.values()
    return frame_of(rows)


def tell_unexplained(frame: "pd.DataFrame", ledger: Ledger) -> int:
    """Writes what nothing explains into the ledger, once per session; whoever looks for alerts finds it. How many sessions."""
    from marketbot_assets.research.parity import unexplained

    found = unexplained(frame)
    days = sorted(set(found["session"].dt.date))
    for day in days:
        rows = found[found["session"].dt.date == day]
        first, fields = rows.iloc[0], [str(name) for name in dict.fromkeys(rows["field"])]
        why = f"{first['field']}: live {first['live']}, backtest {first['backtest']}; {first['reason']}"[:WHY_MAX]
        body: dict[str, Json] = {"session": day.isoformat(), "why": why, "fields": [*fields]}
        if not any(entry.body == body for entry in ledger.entries(KIND, f"{day.isoformat()}/")):
            number = len(ledger.entries(KIND, f"{day.isoformat()}/")) + 1
            ledger.append(KIND, f"{day.isoformat()}/{number}", body)
    return len(days)


def every_check(lake: "Lake") -> "pd.DataFrame | None":
    """PARITY_CHECK of every session that was ever compared, as its newest check found it; None before there is one."""
    frames = [lake.load(row) for row in lake.index.up_to(ASSET, END_OF_TIME)]
    return _newest(frames) if frames else None


def with_earlier(lake: "Lake", frame: "pd.DataFrame") -> "pd.DataFrame":
    """A check's own rows with those of the sessions that other checks compared."""
    return _newest([*(lake.load(row) for row in lake.index.up_to(ASSET, END_OF_TIME)), frame])


def _newest(frames: "list[pd.DataFrame]") -> "pd.DataFrame":
    """Rows of several checks; of a session those of the last one."""
    import pandas as pd

    kept: list[pd.DataFrame] = []
    for frame in frames:
        kept = [old[~old["session"].isin(frame["session"])] for old in kept]
        kept.append(frame)
    return pd.concat([part for part in kept if len(part)], ignore_index=True)
