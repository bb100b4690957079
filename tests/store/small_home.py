"""A home with some objects that no run made: seven versions with manifests, three bodies. No statement about the product."""

import datetime as dt
from pathlib import Path

import pandas as pd

from marketbot_resources.store import lake as lakes
from marketbot_resources.store.index import BlobRow, Origin
from marketbot_resources.store.lake import Lake, open_lake
from marketbot_resources.store.table import Column, Table

TABLE = Table("prices", "row", ("name",), (Column("name", "text", "n"), Column("value", "number", "v")))
VERSIONS, BODIES = 7, 3


def filled(home: Path) -> Lake:
    """Seven versions with manifests, three bodies."""
    lake = open_lake(home)
    for number in range(BODIES):
        body = f"body {number}".encode() * 50
        name = lake.objects.put_blob(body)
        described = BlobRow(name, "p", f"u{number}", 200, "text/plain", len(body), "t", "run", "raw", "static")
        lake.index.add_blobs([described])
    for number in range(VERSIONS):
        frame = pd.DataFrame({"name": ["a"], "value": [float(number)]})
        part = (dt.date(2018, 1, 1) + dt.timedelta(number)).isoformat()
        lake.commit(frame, TABLE, part, reads=[], blobs=[], origin=Origin("run", "code", "t", {}))
    return lake


def forget() -> None:
    """The next command opens the home as another process would."""
    lakes._LAKES.clear()


def files(home: Path) -> dict[str, Path]:
    """Every file of the store in a home, by key."""
    root = home / "store"
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
