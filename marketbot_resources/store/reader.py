"""The one way to read: bound to a session, its cutoff and the assets that the reader's asset declared.

Every read is recorded, so the manifest says what was really read. A bootstrap asset (`price_history`) is joined with the
daily partitions of its asset (`prices`). Not here: writing (`lake`), cutoffs (the ledger writes them).
"""

import datetime as dt
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Calendar, Mandate, parse_mandate
from marketbot_resources.sessions import is_skipped
from marketbot_resources.store.index import STATIC, IndexRow, Read, read_of
from marketbot_resources.store.scratch import joined

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.closure import Link

T = TypeVar("T")
HISTORY_OF = {
    "instruments": "instrument_history",
    "prices": "price_history",
    "corporate_actions": "corporate_action_history",
    "fx": "fx_history",
    "macro": "macro_history",
    "fundamentals": "fundamentals_history",
    "news": "news_history",
}
OF_THE_BOOK = frozenset({"account_snapshot", "positions", "reconciliation", "book_state", "risk_verdict"})
UNPARTITIONED = frozenset(
    {"mandate", "opening_balance", "backtest", "factor_evaluation", "sweep", *HISTORY_OF.values()}
)


class IndexPort(Protocol):
    """What a reader asks the index."""

    def newest(self, asset: str, part: str) -> IndexRow | None:
        """The newest version of one partition."""
        ...

    def up_to(self, asset: str, part: str, *, inclusive: bool = True) -> list[IndexRow]:
        """The newest version of every partition up to a key, ascending."""
        ...

    def by_manifest(self, asset: str, part: str, manifest_sha256: str) -> IndexRow | None:
        """The version with this manifest."""
        ...


class Versions(Protocol):
    """What a reader reads from: the lake, or one in which a replay puts right what was altered."""

    @property
    def index(self) -> IndexPort:
        """Which version of which partition there is."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Cutoffs and ends of sessions."""
        ...

    def load(self, row: IndexRow) -> "pd.DataFrame":
        """The frame of one version. Raises StoreError when it is missing or altered."""
        ...

    def ahead(self, rows: Sequence[IndexRow]) -> None:
        """Fetches together what `load` will be asked for, where that is quicker."""
        ...

    def manifest(self, row: IndexRow) -> dict[str, Json]:
        """The manifest of one version. Raises StoreError when it is missing or altered."""
        ...

    def blob(self, name: str) -> bytes:
        """The body with this hash. Raises StoreError when it is missing or altered."""
        ...

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives for a key that names all its inputs."""
        ...


class Reader:
    """Reads as of one session. `allowed` None means any asset (audit and the command line).

    `pins`: (asset, partition) -> manifest of the only version that may be read; what is not named there does not exist.
    """

    def __init__(
        self,
        lake: Versions,
        session: dt.date,
        *,
        allowed: Collection[str] | None,
        pins: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._lake = lake
        self._allowed = None if allowed is None else frozenset(allowed)
        self._pins = pins
        self.session = session
        self.part = session.isoformat()
        self.reads: list[Read] = []

    @property
    def is_pinned(self) -> bool:
        """Whether only the versions that a manifest names may be read."""
        return self._pins is not None

    @property
    def cutoff(self) -> dt.datetime:
        """The session's recorded cutoff. Raises StoreError before it is recorded."""
        entry = self._lake.ledger.get("session_cutoff", self.part)
        if entry is None:
            raise StoreError(
                f"session {self.part}: expected a recorded cutoff, found none; account_snapshot records it"
            )
        return dt.datetime.fromisoformat(str(entry.body["cutoff_at"]))

    def read(self, asset: str) -> "pd.DataFrame":
        """The rows of this session, or of an unpartitioned asset. Raises StoreError when there is no object."""
        return self._load(self._version(asset))

    def behind(self, asset: str) -> "list[Link]":
        """Every object behind the version that `read` gives, itself included (see `closure`)."""
        from marketbot_resources.store.closure import closure

        return closure(self._lake, self._version(asset))

    def _version(self, asset: str) -> IndexRow:
        part = STATIC if asset in UNPARTITIONED else self.part
        row = self._find(asset, part)
        if row is None:
            raise StoreError(f"{asset} {part}: expected a stored object, found none; materialize it first")
        return row

    def has(self, asset: str) -> bool:
        """Whether an object of this session exists."""
        self._check(asset)
        return self._find(asset, STATIC if asset in UNPARTITIONED else self.part) is not None

    def previous(self, asset: str) -> "pd.DataFrame | None":
        """The newest object before this session, of the book's assets that of the last decided one; None in the first."""
        row = self._before(asset)
        return None if row is None else self._load(row)

    def previous_session(self, asset: str) -> dt.date | None:
        """The session of the object that `previous` gives."""
        row = self._before(asset)
        return None if row is None else dt.date.fromisoformat(row.part)

    def _before(self, asset: str) -> IndexRow | None:
        """What a skipped session stored of the book was overtaken: its fills count from the last decided session on."""
        self._check(asset)
        rows = self._rows_up_to(asset, inclusive=False)
        ledger = self._lake.ledger
        return next((row for row in rows[::-1] if asset not in OF_THE_BOOK or not is_skipped(ledger, row.part)), None)

    def panel(self, asset: str, lookback_sessions: int | None = None, *, with_session: bool = True) -> "pd.DataFrame":
        """Bootstrap rows and the rows of all partitions up to this session, at least those of the last `lookback_sessions`.

        `with_session` False leaves this session's own partition out: what an asset may know of its own past.
        """
        self._check(asset)
        rows = self._rows_up_to(asset, inclusive=with_session)
        recent = rows if lookback_sessions is None else rows[-lookback_sessions:]
        history = HISTORY_OF.get(asset)
        if history is not None and (lookback_sessions is None or len(recent) < lookback_sessions):
            first = self._find(history, STATIC)
            if first is None:
                raise StoreError(f"{history} {STATIC}: expected a stored object, found none; materialize it first")
            recent = [first, *recent]
        if not recent:
            raise StoreError(f"{asset}: expected objects up to {self.part}, found none; materialize it first")
        self.reads += [read_of(row) for row in recent]
        key = ("panel", *(row.file_sha256 for row in recent))
        return self._lake.remember(key, lambda: _joined(self._loaded(recent))).copy(deep=False)

    def _loaded(self, rows: Sequence[IndexRow]) -> "list[pd.DataFrame]":
        self._lake.ahead(rows)
        return [self._lake.load(row) for row in rows]

    def each(
        self, asset: str, lookback_sessions: int, *, with_session: bool = True
    ) -> "list[tuple[dt.date, pd.DataFrame]]":
        """(session, frame) of the last partitions up to this session, oldest first; bootstrap rows are left out."""
        self._check(asset)
        rows = self._rows_up_to(asset, inclusive=with_session)[-lookback_sessions:]
        self._lake.ahead(rows)
        return [(dt.date.fromisoformat(row.part), self._load(row)) for row in rows]

    def as_of(self, asset: str) -> "pd.DataFrame":
        """All rows known at the cutoff: bootstrap and partitions up to this session with known_at <= cutoff."""
        rows = self.panel(asset)
        known = rows["known_at"] <= self.cutoff
        return rows if bool(known.all()) else rows[known]

    def remember(self, name: str, since: int, make: "Callable[[], T]") -> "T":
        """`make()`, computed once per run for the same `name`, cutoff and everything read since `reads[since:]`."""
        versions = tuple((read.asset, read.part, read.file_sha256) for read in self.reads[since:])
        return self._lake.remember((name, self.part, self.cutoff, versions), make)

    def blob(self, name: str) -> bytes:
        """A body by its hash, which an entry of the ledger from before the cutoff names; whoever reads it names it in `blobs`.

        Raises StoreError when it is missing or altered.
        """
        return self._lake.blob(name)

    def mandate(self) -> Mandate:
        """The mandate as materialized."""
        return parse_mandate(str(self.read("mandate")["canonical_json"].iloc[0]))

    def sessions_since(self, calendar: Calendar, day: dt.date) -> int:
        """Sessions of the decision calendar after a day, up to this one."""
        return len(decision_sessions(calendar, day, self.session)) - 1

    def _check(self, asset: str) -> None:
        if self._allowed is not None and asset not in self._allowed:
            raise StoreError(f"{asset} is not declared in deps; expected one of {', '.join(sorted(self._allowed))}")

    def _find(self, asset: str, part: str) -> IndexRow | None:
        self._check(asset)
        if self._pins is not None:
            pinned = self._pins.get((asset, part))
            return None if pinned is None else self._pinned(asset, part, pinned)
        return self._lake.index.newest(asset, part)

    def _pinned(self, asset: str, part: str, manifest_sha256: str) -> IndexRow:
        row = self._lake.index.by_manifest(asset, part, manifest_sha256)
        if row is None:
            raise StoreError(f"{asset} {part}: expected version {manifest_sha256[:12]} in the index, found none")
        return row

    def _rows_up_to(self, asset: str, *, inclusive: bool) -> list[IndexRow]:
        if self._pins is None:
            return self._lake.index.up_to(asset, self.part, inclusive=inclusive)
        parts = sorted(p for a, p in self._pins if a == asset and (p < self.part or (inclusive and p == self.part)))
        found = (self._find(asset, part) for part in parts)
        return [row for row in found if row is not None]

    def _load(self, row: IndexRow) -> "pd.DataFrame":
        self._check(row.asset)
        self.reads.append(read_of(row))
        return self._lake.load(row)


def _joined(frames: "list[pd.DataFrame]") -> "pd.DataFrame":
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return joined(filled) if len(filled) > 1 else filled[0]
