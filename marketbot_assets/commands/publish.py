"""`publish`: the newest version of every partition as Delta tables beside the store, and a table of the sessions' cutoffs.

What a table holds is what the index calls newest; the store is read, verified, and never written. Not here: Delta (`publication`).
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.publication import Piece, Place, Published, open_target
from marketbot_resources.store.content import canonical, encode, sha256
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

View = dict[str, object]
SESSIONS = Table(
    "sessions",
    "one session of the book",
    ("session",),
    (
        Column("session", "date", "the session: its partitions hold what became known up to its cutoff"),
        Column(
            "cutoff_at",
            "instant",
            "the instant up to which its decision knows anything; null when none was recorded",
            True,
        ),
        Column("state", "text", "how it ended: sent, rejected, halted, skipped; empty while it has not"),
        Column("reason", "text", "why it ended so"),
    ),
)


def publish(to: str, assets: Sequence[str] = (), *, link: bool = False) -> View:
    """Brings the tables at `to` up to date: all, or those named. Raises SetupError; a table that cannot be published is a fault."""
    lake = existing_lake()
    stored: dict[str, list[IndexRow]] = defaultdict(list)
    for row in lake.index.all_newest():
        stored[row.asset].append(row)
    unknown = sorted(set(assets) - {*stored, SESSIONS.asset})
    if unknown:
        raise UsageError(f"--assets: expected assets that this home has stored, found {', '.join(unknown)}")
    place = open_target(to, lake.objects, link=link)
    opened = lake.ledger.get("book_open", "book")
    home = opened.hash if opened else ""
    done, faults = list[Published](), list[str]()
    for name in sorted(set(assets) or {*stored, SESSIONS.asset}):
        try:
            done.append(
                _sessions(lake, place, home) if name == SESSIONS.asset else _asset(lake, place, stored[name], home)
            )
        except StoreError as error:
            faults.append(str(error))
    return {
        "fine": not faults,
        "place": place.root,
        "tables": [_shown(one) for one in done],
        "added": sum(one.added for one in done),
        "replaced": sum(one.replaced for one in done),
        "faults": faults,
    }


def _shown(one: Published) -> View:
    return {
        "table": one.table,
        "version": one.version,
        "added": one.added,
        "replaced": one.replaced,
        "new_columns": list(one.columns),
    }


def _asset(lake: "Lake", place: Place, rows: Sequence[IndexRow], home: str) -> Published:
    from marketbot_assets.replay import tables

    name, by_hash = rows[0].asset, {row.file_sha256: row for row in rows}
    table = tables().get(name)
    pieces = [Piece(row.part, row.file_sha256, row.rows, row.written_at) for row in rows]
    return place.publish(
        name,
        pieces,
        lambda piece: lake.objects.get(by_hash[piece.file_sha256].uri, piece.file_sha256),
        home=home,
        number=lake.index.size(),
        about=f"One row: {table.row}. Key: {', '.join(table.key)}." if table else "",
        comments={column.name: column.description for column in table.columns} if table else {},
    )


def _sessions(lake: "Lake", place: Place, home: str) -> Published:
    frame = sessions(lake)
    data = encode(canonical(frame, SESSIONS))
    cutoffs = [str(entry.body["cutoff_at"]) for entry in lake.ledger.entries("session_cutoff")]
    at = max(cutoffs, default="1970-01-01T00:00:00Z")
    unlinked = Place(place.objects, place.root, place.options)
    return unlinked.publish(
        SESSIONS.asset,
        [Piece(STATIC, sha256(data), len(frame), at)],
        lambda _: data,
        home=home,
        number=lake.ledger.size(),
        about=f"One row: {SESSIONS.row}. Key: session.",
        comments={column.name: column.description for column in SESSIONS.columns},
    )


def sessions(lake: "Lake") -> "pd.DataFrame":
    """SESSIONS of a home, from its ledger."""
    import pandas as pd

    cutoffs = {entry.key: str(entry.body["cutoff_at"]) for entry in lake.ledger.entries("session_cutoff")}
    ends = {entry.key: entry.body for entry in lake.ledger.entries("session_end")}
    days = sorted({*cutoffs, *ends})
    return pd.DataFrame(
        {
            "session": pd.to_datetime(days),
            "cutoff_at": pd.to_datetime([cutoffs.get(day) for day in days], utc=True, format="ISO8601"),
            "state": [str(ends[day]["state"]) if day in ends else "" for day in days],
            "reason": [str(ends[day]["reason"]) if day in ends else "" for day in days],
        }
    )


def publish_lines(view: View) -> list[str]:
    """The same for people."""
    tables, faults = view["tables"], view["faults"]
    assert isinstance(tables, list)
    assert isinstance(faults, list)
    changed = [one for one in tables if one["added"]]
    lines = [
        f"{one['table']:<24}version {one['version']}: {one['added']} files, {one['replaced']} of them replace one"
        + (f"; new columns {', '.join(one['new_columns'])}" if one["new_columns"] else "")
        for one in changed
    ]
    lines.append(f"{view['place']}: {len(tables)} tables, {len(changed)} of them changed, {view['added']} files added")
    return lines + [f"not published: {fault}" for fault in faults]
