"""Reads the versions of daily reports that were stored more than once. Not here: what differs (`audit.restated`)."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_resources.store.index import LAKE
from marketbot_resources.store.seal import seals

if TYPE_CHECKING:
    from marketbot_assets.audit.restated import Version
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

REPORT = "daily_report"
MANDATE = "mandate_content_sha256"


def restatements_of(lake: "Lake", first: dt.date, last: dt.date) -> list[dict[str, object]]:
    """Rows of `audit.restated.restated` of the sessions first..last, ascending."""
    from marketbot_assets.audit.restated import restated

    versions: dict[str, list[Version]] = {}
    rows = [pair for pair in lake.index.restated(REPORT) if first.isoformat() <= pair[1].part <= last.isoformat()]
    sealed = seals(lake.ledger, LAKE) if rows else []
    for number, row in rows:
        entry = next((seal.seq for seal in sealed if seal.first <= number <= seal.last), None)
        versions.setdefault(row.part, []).append(_version(lake, row, entry))
    return [told for session, made in sorted(versions.items()) for told in restated(session, made)]


def _version(lake: "Lake", row: "IndexRow", entry: int | None) -> "Version":
    from marketbot_assets.audit.restated import Version

    manifest, contents = lake.manifest(row), dict[str, set[str]]()
    for one in cast("Sequence[Mapping[str, str]]", manifest["inputs"]):
        contents.setdefault(one["asset"], set()).add(one["content_sha256"])
    made_with = {
        "code": row.code_version,
        "mandate": str(manifest.get(MANDATE, "")),
        "environment": json.dumps(manifest.get("environment"), sort_keys=True),
    }
    summary = json.loads(str(lake.load(row)["summary_json"].iloc[0]))
    return Version(summary, made_with, {name: frozenset(hashes) for name, hashes in contents.items()}, entry)
