"""The ledger in PostgreSQL: for several machines, with roles that cannot change it. The schema stands in `migrations`.

The database itself hashes, numbers and refuses; this adapter calls its functions and reads. Not here: connections
(`postgres_link`).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from marketbot_resources.errors import LedgerError, MarketbotError
from marketbot_resources.ledger.port import Ledger, prefix_end
from marketbot_resources.ledger.postgres_link import SCHEMA_NUMBER, Link
from marketbot_resources.ledger.record import Fence, Receipt, Row
from marketbot_resources.migrations.migrate import install, status

_ROW = "seq, kind, key, record, leaf"
_PAGE = 1_000
_APPEND = "select seq, leaf, added from ledger.append_all(%s::text[], %s::text[], %s::bytea[])"
_FENCED = "select seq, leaf, added from ledger.append_fenced(%s::text, %s::bigint, %s::text[], %s::text[], %s::bytea[])"


class PostgresLedger(Ledger):
    """The ledger behind an address of libpq. Opens nothing before it is used; then raises LedgerError when it cannot."""

    def __init__(self, url: str) -> None:
        self._link = Link(url)

    @property
    def where(self) -> str:
        """Database and host, for people."""
        return self._link.where

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        self._link.close()

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """By an advisory lock, which ends with a connection of its own."""
        with self._link.lock(name) as held:
            yield held

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        kinds, keys, datas = ([record[column] for record in records] for column in range(3))
        if fence is None:
            rows = self._link.rows(_APPEND, (kinds, keys, datas))
        else:
            rows = self._link.rows(_FENCED, (fence.account, fence.number, kinds, keys, datas))
        assert len(rows) == len(records)
        return [Receipt(seq, leaf.hex(), added) for seq, leaf, added in rows]

    def _get(self, kind: str, key: str) -> Row | None:
        rows = self._select("where kind = %s and key = %s", kind, key)
        return rows[0] if rows else None

    def _entries(self, kind: str, prefix: str) -> list[Row]:
        beyond = prefix_end(prefix)
        if beyond is None:
            return self._select("where kind = %s and key >= %s order by seq", kind, prefix)
        return self._select("where kind = %s and key >= %s and key < %s order by seq", kind, prefix, beyond)

    def size(self) -> int:
        return int(self._link.rows("select size from ledger.head")[0][0])

    def node(self, level: int, place: int) -> bytes:
        if level == 0:
            rows = self._link.rows("select leaf from ledger.entry where seq = %s", (place,))
        else:
            rows = self._link.rows("select hash from ledger.node where level = %s and place = %s", (level, place))
        if not rows:
            raise LedgerError(f"ledger: expected node {place} of level {level}, found none; run `marketbot verify`")
        return bytes(rows[0][0])

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[Row]:
        after = first - 1
        while True:
            page = self._select(f"where seq > %s order by seq limit {_PAGE}", after)
            for row in page:
                if last is not None and row.seq >= last:
                    return
                yield row
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def nodes(self) -> Iterator[tuple[int, int, bytes]]:
        query = f"select level, place, hash from ledger.node where (level, place) > (%s, %s) order by level, place limit {_PAGE}"
        after = (0, 0)
        while True:
            page = self._link.rows(query, after)
            for level, place, digest in page:
                yield level, place, bytes(digest)
            if len(page) < _PAGE:
                return
            after = page[-1][:2]

    def keep_checkpoint(self, size: int, note: str) -> None:
        self._link.rows("select ledger.keep_checkpoint(%s, %s)", (size, note))

    def checkpoints(self) -> list[tuple[int, str]]:
        return [
            (size, note) for size, note in self._link.rows("select size, note from ledger.checkpoint order by size")
        ]

    def _select(self, where: str, *values: object) -> list[Row]:
        rows = self._link.rows(f"select {_ROW} from ledger.entry {where}", values)
        return [Row(seq, kind, key, bytes(record), bytes(leaf)) for seq, kind, key, record, leaf in rows]


def main(arguments: Sequence[str]) -> int:
    """`python -m marketbot_resources.ledger.postgres [--status] URL`: brings a database's schemas up to date, or tells of them.

    0, or 1 when --status finds something to do, or 2 with one line.
    """
    only_look = len(arguments) == 2 and arguments[0] == "--status"
    if len(arguments) != 1 + only_look:
        print("usage: python -m marketbot_resources.ledger.postgres [--status] ADMIN_URL", file=sys.stderr)
        return 2
    try:
        if only_look:
            lines, fine = status(arguments[1])
            print("\n".join(lines))
            return 0 if fine else 1
        done = install(arguments[0])
    except MarketbotError as error:
        print(f"marketbot: {error}", file=sys.stderr)
        return 2
    new = ", ".join(done.applied) or "none"
    print(
        f"database: schema {SCHEMA_NUMBER} in {done.where}, applied now: {new}; give ledger_writer and index_writer a way to log in"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
