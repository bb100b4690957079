"""What every vendor's tests share: recorded bodies, the contract of parsed columns, and the campaign of mutated bodies.

Recorded bodies lie beside the project (mark `shared_data`); every suite also has small bodies of its own.
"""

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from market.mutations import mutations

from marketbot_assets.ingestion import schema
from marketbot_assets.ingestion.parse import ADDED
from marketbot_resources.errors import ProviderError
from marketbot_resources.provider import Columns, Vendor, Window
from marketbot_resources.store.table import Table
from marketbot_resources.vendor_body import window_of

WIRE = Path(__file__).parents[1] / "../shared/data/wire"
TABLES = {table.asset: table for table in schema.TABLES}
MESSAGE_MAX = 900


def wire(name: str) -> Path:
    """A recorded file; the test is skipped with a clear line when the folder is not there."""
    path = WIRE / name
    if not path.exists():
        pytest.skip(f"needs the test data folder beside the project: {path} is not there")
    return path


def cassette(name: str) -> bytes:
    """The body of the first answer of a recorded cassette."""
    loaded = yaml.load(wire(name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    body = loaded["interactions"][0]["response"]["body"]["string"]
    return body.encode() if isinstance(body, str) else body


def utc(text: str) -> dt.datetime:
    """`2024-01-31 13:30` as an instant."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def window(since: str | None, until: str) -> Window:
    """A window of two such texts."""
    return Window(None if since is None else utc(since), utc(until))


def rows(columns: Columns, *names: str) -> list[tuple]:
    """Rows of some columns, as parsed."""
    return list(zip(*(columns[name] for name in names), strict=True))


def demand_contract(table: Table, columns: Columns, asked: Mapping[str, str]) -> None:
    """Columns of a raw table, typed, equally long, keys unique, instants inside of the window, numbers finite or missing."""
    served = [column for column in table.columns if column.name not in ADDED]
    assert list(columns) == [column.name for column in served] or set(columns) == {c.name for c in served}
    assert len({len(values) for values in columns.values()}) == 1
    bounds = window_of(asked)
    for column in served:
        values = columns[column.name]
        array = pa.array(values, type=table.arrow_schema.field(column.name).type, from_pandas=False)
        assert array.null_count == 0 or column.nullable, column.name
        if column.kind == "number":
            assert all(type(value) is float for value in values)
            assert all(math.isfinite(value) or (column.nullable and math.isnan(value)) for value in values)
        if column.kind == "instant":
            assert all(value.tzinfo is dt.UTC for value in values)
        if column.kind == "text":
            assert all(len(value.encode()) < 10_000 for value in values)
    assert all((bounds.since is None or bounds.since < at) and at <= bounds.until for at in columns["known_at"])
    keys = Counter(zip(*(columns[name] for name in table.key if name not in ADDED), strict=True))
    assert [key for key, count in keys.items() if count > 1] == []


def campaign(vendor: Vendor, body: bytes, asked: Mapping[str, str], *, seed: int, count: int) -> Counter[str]:
    """Parses mutated bodies: whatever is not refused by a ProviderError of one line must fulfil the contract."""
    table = TABLES[vendor.table]
    outcomes: Counter[str] = Counter()
    for name, mutated in mutations(body, seed, count):
        try:
            columns = vendor.parse(mutated, asked)
        except ProviderError as error:
            message = str(error)
            assert message.startswith(f"{vendor.name}: "), f"{name}: {message}"
            assert len(message) <= MESSAGE_MAX, name
            assert message.isprintable(), name
            outcomes["refused"] += 1
        else:
            demand_contract(table, columns, asked)
            if "source_id" in columns:
                ours = {asked["source_id"]} if "source_id" in asked else set(json.loads(asked["symbols"]).values())
                assert set(columns["source_id"]) <= ours
            outcomes["accepted"] += 1
    return outcomes


def demand_refused(vendor: Vendor, body: bytes, asked: Mapping[str, str], says: str) -> None:
    """The body is refused with a message that names the vendor and the place."""
    with pytest.raises(ProviderError, match=says) as caught:
        vendor.parse(body, asked)
    assert str(caught.value).startswith(f"{vendor.name}: ")
