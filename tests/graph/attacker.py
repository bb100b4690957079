"""Someone with all rights on the ledger's database, the index and the store; with `forge`, on the signer, too.

Every attack works on the files and tables themselves, past triggers and constraints. Not here: any statement about the product.
"""

import gzip
import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from marketbot_resources.ledger.merkle import Tree, leaf_hash
from marketbot_resources.ledger.note import Checkpoint, parse_sign_key, sign_checkpoint


class Attacker:
    """The attacker at one home. `postgres`: a superuser's connection to the ledger's database, None for SQLite."""

    def __init__(self, home: Path, postgres: Any = None) -> None:
        self.home, self._postgres = home, postgres
        self._prefix = "" if postgres is None else "ledger."
        if postgres is None:
            self._sqlite = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
        else:
            for table in ("entry", "node", "checkpoint", "head"):
                postgres.execute(f"alter table ledger.{table} disable trigger user")
                query = "select conname from pg_constraint where conrelid = %s::regclass and contype = 'c'"
                for (name,) in postgres.execute(query, (f"ledger.{table}",)).fetchall():
                    postgres.execute(f'alter table ledger.{table} drop constraint "{name}"')
        self.index = sqlite3.connect(home / "index.sqlite", isolation_level=None)
        for table in ("lake_index", "blob_index"):
            for name in ("keeps", "stays"):
                self.index.execute(f"drop trigger if exists {table}_{name}")

    def close(self) -> None:
        """Lets go of the files."""
        self.index.close()
        if self._postgres is None:
            self._sqlite.close()

    # --- the ledger ---

    def sql(self, query: str, values: Iterable[Any] = ()) -> list[Any]:
        """Runs a statement on the ledger; `{t}` is the prefix of its tables, `?` a value."""
        text = query.replace("{t}", self._prefix)
        if self._postgres is None:
            self._disarm()  # whoever opens the ledger sets its triggers again
            return self._sqlite.execute(text, tuple(values)).fetchall()
        cursor = self._postgres.execute(text.replace("?", "%s"), tuple(values))
        return cursor.fetchall() if cursor.description else []

    def _disarm(self) -> None:
        for table in ("entry", "node", "checkpoint"):
            for name in ("keeps", "stays"):
                self._sqlite.execute(f"drop trigger if exists {table}_{name}")

    def records(self) -> list[bytes]:
        """Records in the order of their numbers."""
        return [bytes(row[0]) for row in self.sql("select record from {t}entry order by seq")]

    def number_of(self, kind: str) -> int:
        """Number of the first entry of a kind."""
        return int(self.sql("select min(seq) from {t}entry where kind = ?", (kind,))[0][0])

    def size(self) -> int:
        """Number of entries."""
        return int(self.sql("select count(*) from {t}entry")[0][0])

    def edit(self, seq: int, *, leaf: bool) -> None:
        """Changes what an entry says, in canonical form; `leaf`: and its leaf hash with it."""
        (record,) = self.sql("select record from {t}entry where seq = ?", (seq,))[0]
        said = json.loads(bytes(record))
        said["body"]["reason"] = "nothing to see here"
        data = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        self.sql("update {t}entry set record = ? where seq = ?", (data, seq))
        if leaf:
            self.sql("update {t}entry set leaf = ? where seq = ?", (leaf_hash(data), seq))

    def rebuild_nodes(self) -> None:
        """Makes every stored node, and the head, fit the records."""
        tree = self.tree()
        self.sql("delete from {t}node")
        level = 1
        while tree.nodes(level):
            for place, digest in enumerate(tree.nodes(level)):
                self.sql("insert into {t}node(level, place, hash) values (?,?,?)", (level, place, digest))
            level += 1
        if self._postgres is not None:
            self.sql("update {t}head set size = ?", (tree.size,))

    def tree(self) -> Tree:
        """The tree over the records as they are now."""
        tree = Tree()
        for record in self.records():
            tree.append(leaf_hash(record))
        return tree

    def forge(self) -> None:
        """With the signer's key and state: all kept checkpoints and the signer's own head are signed anew over what is there."""
        tree, folder = self.tree(), self.home / "signer"
        key = parse_sign_key((folder / "key").read_text().splitlines()[0])
        for (size,) in self.sql("select size from {t}checkpoint order by size"):
            if size > tree.size:
                self.sql("delete from {t}checkpoint where size = ?", (size,))
                continue
            note = sign_checkpoint(Checkpoint(key.name, size, tree.root(size)), key)
            self.sql("update {t}checkpoint set note = ? where size = ?", (note, size))
        last = self.sql("select note from {t}checkpoint order by size desc limit 1")[0][0]
        (folder / "head").chmod(0o600)
        (folder / "head").write_text(last)

    # --- the store ---

    def row(self, asset: str, part: str) -> dict[str, Any]:
        """The newest index row of an object."""
        self.index.row_factory = sqlite3.Row
        found = self.index.execute(
            "select * from lake_index where asset = ? and part = ? order by seq desc limit 1", (asset, part)
        ).fetchone()
        return dict(found)

    def object_path(self, asset: str, part: str) -> Path:
        """Where an object lies."""
        return self.home / "store" / str(self.row(asset, part)["uri"])

    def manifest_path(self, asset: str, part: str) -> Path:
        """Where its manifest lies."""
        digest = self.row(asset, part)["manifest_sha256"]
        return self.home / "store" / "manifests" / asset / part / f"{digest}.json"

    def body_path(self, asset: str) -> Path:
        """Where the first body as received of an asset lies."""
        (name,) = self.index.execute(
            "select blob_sha256 from blob_index where asset = ? order by seq", (asset,)
        ).fetchone()
        return self.home / "store" / "blobs" / name[:2] / f"{name}.gz"

    @staticmethod
    def overwrite(path: Path, data: bytes) -> None:
        """Other bytes under the same name."""
        path.chmod(0o644)
        path.write_bytes(data)

    def alter_body(self, asset: str) -> None:
        """Another text under the name of a body as received."""
        path = self.body_path(asset)
        self.overwrite(path, gzip.compress(gzip.decompress(path.read_bytes()).replace(b"1", b"2", 1), mtime=0))

    def replace_consistently(self, asset: str, part: str, data: bytes) -> None:
        """Another object under its right name, with a manifest of its right name, and an index row that names both."""
        row, manifest = self.row(asset, part), json.loads(self.manifest_path(asset, part).read_bytes())
        name = hashlib.sha256(data).hexdigest()
        manifest["file_sha256"] = name
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(text).hexdigest()
        uri = f"{asset}/{part}/{name}.parquet"
        (self.home / "store" / uri).write_bytes(data)
        (self.home / "store" / "manifests" / asset / part / f"{digest}.json").write_bytes(text)
        self.index.execute(
            "update lake_index set file_sha256 = ?, uri = ?, bytes = ?, manifest_sha256 = ? where seq = ?",
            (name, uri, len(data), digest, row["seq"]),
        )
