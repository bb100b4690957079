"""A home's rows for `leakcheck`, and its graph: every asset rebuilt by the readers of the assets, with and without a later world.

`Before` is the home as it was: no partition after a session, no row that became known after its cutoff. Not here: the checks on
rows (`research.leakcheck`).
"""

import datetime as dt
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from marketbot_assets import rebuild, rebuild_data
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.reader import HISTORY_OF, UNPARTITIONED, Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.leakcheck import Result
    from marketbot_assets.research.worlds import World
    from marketbot_resources.store.lake import Lake

T = TypeVar("T")
SESSIONS_MAX = 3
GRAPH = "graph"
RAW_OF = {"raw_" + asset: (asset, history) for asset, history in HISTORY_OF.items()}
ASSETS = [name for name in (*rebuild_data.REBUILDS, *rebuild.REBUILDS) if name not in UNPARTITIONED]


@dataclass(frozen=True, slots=True)
class Before:
    """A lake without what came after a session's cutoff: the versions that a reader may see (see `store.reader.Versions`)."""

    lake: "Lake"
    part: str
    cutoff: dt.datetime

    @property
    def index(self) -> "Before":
        """Itself: it answers for the index, too."""
        return self

    @property
    def ledger(self) -> Ledger:
        """The ledger of the home; entries are asked for by session."""
        return self.lake.ledger

    def newest(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of a partition that is not later than the session."""
        return self.lake.index.newest(asset, part) if part == STATIC or part <= self.part else None

    def up_to(self, asset: str, part: str, *, inclusive: bool = True) -> list[IndexRow]:
        """The newest versions of the partitions up to a key, none later than the session."""
        return [row for row in self.lake.index.up_to(asset, part, inclusive=inclusive) if row.part <= self.part]

    def by_manifest(self, asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
        """The version with this manifest, if it is not later."""
        return (
            self.lake.index.by_manifest(asset, part, manifest_sha256) if part == STATIC or part <= self.part else None
        )

    def ahead(self, rows: Sequence[IndexRow]) -> None:
        """As the lake."""
        self.lake.ahead(rows)

    def load(self, row: IndexRow) -> "pd.DataFrame":
        """The rows of a version that were known by the cutoff."""
        frame = self.lake.load(row)
        return frame[frame["known_at"] <= self.cutoff].reset_index(drop=True) if "known_at" in frame else frame

    def manifest(self, row: IndexRow) -> dict[str, Json]:
        """The manifest of a version."""
        return self.lake.manifest(row)

    def blob(self, name: str) -> bytes:
        """The body with this hash."""
        return self.lake.blob(name)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """Nothing is remembered: what the whole home has computed must not answer for this one."""
        return make()


def home_rows(lake: "Lake") -> "tuple[World, World, Mandate, dt.date] | None":
    """(rows as received, tidy rows, mandate, last session) of a home; None while it holds no session with data."""
    parts = sorted({row.part for row in lake.index.all_newest() if row.asset == "data_quality"})
    if not parts:
        return None
    last = dt.date.fromisoformat(parts[-1])
    read = Reader(lake, last, allowed=None)
    tidy = {name: read.as_of(name) for name in HISTORY_OF if name != "instruments"}
    tidy["instruments"] = read.read("instruments")
    return {raw: _received(lake, read, raw, *RAW_OF[raw]) for raw in RAW_OF}, tidy, read.mandate(), last


def _received(lake: "Lake", read: Reader, raw: str, asset: str, history: str) -> "pd.DataFrame":
    """Raw rows of all partitions; before them the rows of the bodies that the bootstrap received."""
    import pandas as pd

    if asset == "instruments":
        return read.read(raw)
    row = lake.index.newest(history, STATIC)
    assert row is not None, f"{history} is in every home that holds a session"
    bodies = [
        rebuild_data.ReceivedBody(
            lake.objects.get_blob(str(used["blob_sha256"])),
            str(used["provider"]),
            str(used["blob_sha256"]),
            str(used["parser"]),
            cast("Mapping[str, str]", used["asked"]),
        )
        for used in cast("Sequence[Mapping[str, object]]", lake.manifest(row)["received"])
    ]
    first = rebuild_data.rows_of(raw, bodies)
    frames = [first, *(lake.load(part) for part in lake.index.up_to(raw, read.part))]
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def graph_results(lake: "Lake", session: dt.date | None) -> "list[Result]":
    """Every asset of the newest decided sessions that have a later one, rebuilt on the whole home and on the home before."""
    from marketbot_assets.replay import tables
    from marketbot_assets.research.layers import by_key
    from marketbot_assets.research.leakcheck import FAILURES, TRUNCATION, Result, Tally

    tally, parts = Tally(), sorted({row.part for row in lake.index.all_newest() if row.asset == "orders"})
    chosen = (
        parts[:-1][-SESSIONS_MAX:] if session is None else [part for part in parts[:-1] if part == session.isoformat()]
    )
    for part in chosen:
        day = dt.date.fromisoformat(part)
        before = Before(lake, part, Reader(lake, day, allowed=None).cutoff)
        for asset in ASSETS:
            if lake.index.newest(asset, part) is None:  # made on some sessions only
                continue
            make = rebuild_data.REBUILDS.get(asset) or rebuild.REBUILDS[asset]
            key = (day, f"{GRAPH}.{asset}")
            whole = by_key(make(Reader(lake, day, allowed=None), lake.ledger), tables()[asset].key)
            try:
                cut = by_key(make(Reader(before, day, allowed=None), lake.ledger), tables()[asset].key)
            except FAILURES as error:  # the same call answers on the whole home
                tally.failed(TRUNCATION, key[1], day, f"{type(error).__name__}: {error}")
                continue
            tally.compare(TRUNCATION, day, {key: whole}, {key: cut})
    results = tally.results()
    checked = {result.output.split(".")[1] for result in results}
    return results + [Result(TRUNCATION, f"{GRAPH}.{x}.*", 0, 0, 0.0, None, "") for x in ASSETS if x not in checked]
