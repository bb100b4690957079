"""A home of two finished sessions, the command line on it, and readers of its files that use nothing of the product."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Table

FIRST, LAST, NEXT = "2018-12-12", "2018-12-13", "2018-12-14"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
BODY = "json_extract(cast(record as text), '$.body')"  # of an entry of the ledger


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


def query(path: Path, text: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def table(home: Path, asset: str, part: str) -> pd.DataFrame:
    """A stored table, read without the store."""
    (path,) = (home / "store" / asset / part).glob("*.parquet")
    return pq.read_table(path).to_pandas()


def intents(home: Path, kind: str = "EQUITY", session: str = FIRST) -> list[dict[str, Any]]:
    rows = query(home / "ledger.sqlite", f"select {BODY} from entry where kind = 'order_intent' order by seq")
    bodies = [json.loads(row[0]) for row in rows]
    return [body for body in bodies if body["kind"] == kind and body["session"] == session]


def commit(home: Path, schema: Table, part: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Adds a changed version of a stored table to a home."""
    lake = Lake(home)
    row = lake.index.newest(schema.asset, part)
    assert row is not None
    lake.commit(change(lake.load(row).copy()), schema, part, reads=[], blobs=[], origin=Origin("test", "test", "", {}))


def one_line(said: Said) -> bool:
    return said.out == "" and len(said.err.strip().splitlines()) == 1


def flip(path: Path) -> None:
    """Changes one bit in the middle of a stored file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def leaf(record: bytes) -> bytes:
    """RFC 6962: the hash of a leaf."""
    return hashlib.sha256(b"\x00" + record).digest()


def tree_root(records: list[bytes]) -> bytes:
    """RFC 6962: the root over records, by its definition."""
    if len(records) == 1:
        return leaf(records[0])
    half = 1
    while half * 2 < len(records):
        half *= 2
    return hashlib.sha256(b"\x01" + tree_root(records[:half]) + tree_root(records[half:])).digest()


def manifests(home: Path) -> dict[str, dict[str, Any]]:
    """Every manifest on the disk by the hash of its bytes."""
    found = {}
    for path in sorted((home / "store" / "manifests").rglob("*.json")):
        data = path.read_bytes()
        found[hashlib.sha256(data).hexdigest()] = json.loads(data)
    return found


def sources(manifest: dict[str, Any]) -> set[str]:
    """The manifests and bodies that an object was made from."""
    return {item["manifest_sha256"] for item in manifest["inputs"]} | set(manifest["blobs"])


def naive_dependents(home: Path, starts: Iterable[str]) -> set[str]:
    """Manifests of everything made from the starts: asks every manifest again until nothing new is found."""
    known, every = set(starts), manifests(home)
    while True:
        more = {name for name, manifest in every.items() if name not in known and sources(manifest) & known}
        if not more:
            return known - set(starts)
        known |= more
