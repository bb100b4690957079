"""The tables beside a backtest as files in the store: kept under the hash of their bytes, which its manifest names, and read back.

Not here: what they hold (`research.details`).
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import utc_text
from marketbot_resources.store.index import BlobRow, IndexRow

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.pages import Shows
    from marketbot_assets.research.details import Details
    from marketbot_resources.store.lake import Lake

DETAILS, PROVIDER, KIND = "backtest_details", "marketbot", "application/vnd.apache.parquet"
FACT = "details"


def collected(mandate: Mandate) -> "Details":
    """What collects the tables while the loop runs."""
    from marketbot_assets.research.details import Details

    return Details(mandate)


def told(
    lake: "Lake", frame: "pd.DataFrame", details: "Details", mandate: Mandate, first: dt.date, last: dt.date
) -> "tuple[dict[str, Json], Shows]":
    """(facts for the manifest: mandate, range, files, whether a price is simulated; what the asset's page shows)."""
    from marketbot_assets import pages

    tables = details.frames()
    facts: dict[str, Json] = {"mandate_content_sha256": mandate.sha256, "synthetic": details.synthetic}
    facts |= {"first": first.isoformat(), "last": last.isoformat(), "described_later": details.described_later}
    facts[FACT] = keep_details(lake, tables, first, last)
    return facts, pages.backtest(frame, tables, mandate.base_currency)


def keep_details(lake: "Lake", frames: "Mapping[str, pd.DataFrame]", first: dt.date, last: dt.date) -> dict[str, Json]:
    """Stores each table as Parquet; name -> hash of its bytes, for the manifest."""
    import pyarrow as pa

    from marketbot_resources.store.content import encode, sha256

    part, kept = f"{first.isoformat()}_{last.isoformat()}", dict[str, Json]()
    known = {row.blob_sha256 for row in lake.index.blobs(DETAILS, part)}
    at = utc_text(dt.datetime(last.year, last.month, last.day, tzinfo=dt.UTC))
    for name, frame in sorted(frames.items()):
        data = encode(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None))
        digest = sha256(data)
        if digest not in known:
            lake.put_blob(data, BlobRow(digest, PROVIDER, name, 200, KIND, len(data), at, "", DETAILS, part))
        kept[name] = digest
    return kept


def details_of(lake: "Lake", row: IndexRow) -> "dict[str, pd.DataFrame]":
    """Name -> table of a stored backtest; empty for one that kept none. Raises StoreError when a file is missing or altered."""
    from marketbot_resources.store.content import decode

    named = named_details(lake, row)
    return {name: decode(lake.objects.get_blob(digest), None).to_pandas() for name, digest in named.items()}


def named_details(lake: "Lake", row: IndexRow) -> dict[str, str]:
    """Name -> hash of the file, as the manifest of a stored backtest says."""
    named = lake.manifest(row).get(FACT, {})
    return {str(name): str(digest) for name, digest in named.items()} if isinstance(named, Mapping) else {}
