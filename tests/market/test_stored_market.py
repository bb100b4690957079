"""The market of what a home received: each stored version is read once in a process, and memory stays bounded."""

import datetime as dt
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from marketbot_resources.errors import MarketbotError
from marketbot_resources.market.stored import TABLE_BYTES, StoredMarket, _Shelf
from marketbot_resources.rows import CSV
from marketbot_resources.store.content import sha256
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Column, Table

RAW = Table("raw_fx", "a body", ("blob_sha256",), (Column("blob_sha256", "text", "hash of the body"),))
FIRST = dt.date(2018, 1, 1)
SINCE, UNTIL = dt.datetime(2017, 12, 31, tzinfo=dt.UTC), dt.datetime(2018, 12, 31, tzinfo=dt.UTC)
HEAD = "currency,session,units_per_eur,known_at,synthetic"


def receive(lake: Lake, day: dt.date, rate: float) -> str:
    """One stored version with one fixing; the hash of its body."""
    body = f"{HEAD}\nUSD,{day},{rate},{day} 15:00:00.000000Z,false\n".encode()
    name, part = sha256(body), day.isoformat()
    lake.objects.put_blob(body)
    used = {"blob_sha256": name, "parser": CSV, "asked": {}}
    frame = pd.DataFrame({"blob_sha256": [name]})
    lake.commit(frame, RAW, part, reads=[], blobs=[name], origin=Origin("run", "code", part, {"received": [used]}))
    return name


def rates(home: Path) -> list[float]:
    """What a broker that is opened now is told."""
    delivery = StoredMarket(Lake(home)).fx(SINCE, UNTIL)
    return list(parquet.read_table(io.BytesIO(delivery.bodies[0].content))["units_per_eur"].to_pylist())


def test_a_version_is_read_once_in_a_process(tmp_path: Path) -> None:
    """Of forty sessions no body is read again by the next broker; one that was received since is, and one never read is checked."""
    home, days = tmp_path / "home", [FIRST + dt.timedelta(days=n) for n in range(40)]
    told = [1.1 + n / 1000 for n in range(40)]
    lake = Lake(home)
    names = [receive(lake, day, rate) for day, rate in zip(days, told, strict=True)]
    assert rates(home) == told
    for name in names:
        (path,) = home.rglob(f"*{name}*")
        path.unlink()
    assert rates(home) == told
    receive(lake, days[-1] + dt.timedelta(days=1), 2.0)
    assert rates(home) == [*told, 2.0]
    lost = receive(lake, days[-1] + dt.timedelta(days=2), 3.0)
    next(home.rglob(f"*{lost}*")).unlink()
    with pytest.raises(MarketbotError):
        rates(home)


def test_what_is_kept_is_bounded_and_a_failure_is_not_kept() -> None:
    """The least recently used table goes first; who failed is asked again."""
    cells = pa.table({"x": pa.array(range(128), type=pa.int64())})  # 1,024 bytes of cells
    shelf, made = _Shelf(2 * (TABLE_BYTES + 1024)), []

    def ask(name: str) -> None:
        assert shelf.get(("fx", name), lambda: made.append(name) or cells).equals(cells)  # type: ignore[func-returns-value]

    for name in ("a", "b", "a", "c", "a", "b"):  # c pushes b out, then b pushes c out
        ask(name)
    assert made == ["a", "b", "c", "b"]
    with pytest.raises(ZeroDivisionError):
        shelf.get(("fx", "d"), lambda: [cells][1 // 0])
    ask("d")
    ask("a")
    assert made[4:] == ["d", "a"]
