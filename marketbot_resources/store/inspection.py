"""Whether the store is what was sealed: every index row against the ledger, every object, manifest and body against its name.

Nothing is believed: bytes are read again, contents hashed again, references followed. Not here: the ledger itself
(`ledger.examine`), what depends on a fault (`dependents`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

from marketbot_resources.errors import MissingObject, StoreError
from marketbot_resources.imports.keep import ENTRY, import_key
from marketbot_resources.ledger.examine import Fault
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.content import content_sha256, decode
from marketbot_resources.store.index import BlobRow, Index, IndexRow
from marketbot_resources.store.lake import Lake, manifest_key
from marketbot_resources.store.objects import BLOBS, blob_key
from marketbot_resources.store.port import Objects
from marketbot_resources.store.seal import TABLES, Seal, numbered, row_sha256, sealed_up_to, seals

T = TypeVar("T")
AT_ONCE = 64
INDEX_ROW, INDEX_MISSING, INDEX_SEAL = "INDEX_ROW", "INDEX_MISSING", "INDEX_SEAL"
OBJECT, OBJECT_MISSING, CONTENT = "OBJECT", "OBJECT_MISSING", "CONTENT"
MANIFEST, MANIFEST_MISSING, MANIFEST_OTHER = "MANIFEST", "MANIFEST_MISSING", "MANIFEST_OTHER"
INPUT_MISSING, BODY, BODY_MISSING = "INPUT_MISSING", "BODY", "BODY_MISSING"
_OF_ROW = ("asset", "file_sha256", "content_sha256", "rows", "schema_sha256", "code_version", "run_id", "written_at")


def index_faults(lake: Lake) -> Iterator[Fault]:
    """Index rows that are not those that the ledger sealed: altered, gone, or sealed with holes."""
    for table in TABLES:
        rows = dict(numbered(lake.index, table))
        after = 0
        for seal in seals(lake.ledger, table):
            if seal.first <= after:
                yield Fault(INDEX_SEAL, f"entry {seal.seq}", f"{table}: rows from {seal.first} on were sealed twice")
            after = seal.last
            yield from _seal_faults(table, seal, rows)


def _seal_faults(table: str, seal: Seal, rows: Mapping[int, IndexRow | BlobRow]) -> Iterator[Fault]:
    numbers = [number for number in range(seal.first, seal.last + 1) if number in rows]
    hashes = [row_sha256(number, rows[number]) for number in numbers]
    missing = len(seal.rows) - len(hashes)
    if missing > 0:
        yield Fault(INDEX_MISSING, f"{table} {seal.first}-{seal.last}", f"{missing} of {len(seal.rows)} rows are gone")
    for number, digest in zip(numbers, hashes, strict=True):
        if digest not in seal.rows:
            row = rows[number]
            what = f"{row.asset} {row.part}"
            yield Fault(INDEX_ROW, f"{table} row {number}", f"{what} is not the row that was sealed", touches_of(row))
    known = [digest for digest in hashes if digest in seal.rows]
    if missing <= 0 and len(known) == len(hashes) and tuple(known) != seal.rows:
        yield Fault(INDEX_ROW, f"{table} {seal.first}-{seal.last}", "the rows stand in another order than sealed")


def unsealed_rows(lake: Lake, ledger: Ledger) -> int:
    """Rows that no entry covers yet: those since the last checkpoint."""
    return sum(len(numbered(lake.index, table, sealed_up_to(ledger, table))) for table in TABLES)


def touches_of(row: IndexRow | BlobRow) -> tuple[str, ...]:
    """The hash by which others refer to what a row describes."""
    return (row.manifest_sha256,) if isinstance(row, IndexRow) else (row.blob_sha256,)


def store_faults(lake: Lake, *, contents: bool = True) -> Iterator[Fault]:
    """Objects, manifests and bodies that are gone or not what their names say. `contents`: hash the values, too."""
    rows, objects = [row for _, row in lake.index.numbered()], lake.objects.at_source()
    known = {(row.asset, row.part, row.manifest_sha256, row.file_sha256) for row in rows}
    checked: dict[str, Fault | None] = {}
    bodies = {key for key, _ in objects.listing(BLOBS)}
    for some in _at_once(rows):
        manifests = [(manifest_key(row.asset, row.part, row.manifest_sha256), row.manifest_sha256) for row in some]
        objects.ahead([*((row.uri, row.file_sha256) for row in some if row.uri not in checked), *manifests])
        for row in some:
            yield from _object_faults(objects, row, checked, contents=contents)
            yield from _manifest_faults(objects, row, known, bodies)
    for names in _at_once(sorted({row.blob_sha256 for _, row in lake.index.numbered_blobs()})):
        objects.ahead([(blob_key(name), name) for name in names])
        found = (_body_fault(objects, name) for name in names)
        yield from (fault for fault in found if fault is not None)


def _at_once(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Some items at a time: as many as are fetched together."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def _object_faults(
    objects: Objects, row: IndexRow, checked: dict[str, Fault | None], *, contents: bool
) -> Iterator[Fault]:
    touches = touches_of(row)
    if row.uri not in checked:
        checked[row.uri] = _object_fault(objects, row, contents=contents)
    fault = checked[row.uri]
    if fault is not None:
        yield Fault(fault.code, fault.where, fault.message, touches)


def _object_fault(objects: Objects, row: IndexRow, *, contents: bool) -> Fault | None:
    where = f"{row.asset} {row.part}"
    try:
        data = objects.get(row.uri, row.file_sha256)
    except MissingObject:
        return Fault(OBJECT_MISSING, where, f"object {row.uri} is gone")
    except StoreError as error:
        return Fault(OBJECT, where, str(error))
    if contents and content_sha256(decode(data, None)) != row.content_sha256:
        return Fault(CONTENT, where, "the values do not have the content hash that the index names")
    return None


def _manifest_faults(
    objects: Objects, row: IndexRow, known: set[tuple[str, str, str, str]], bodies: set[str]
) -> Iterator[Fault]:
    where, touches = f"{row.asset} {row.part}", touches_of(row)
    key = manifest_key(row.asset, row.part, row.manifest_sha256)
    try:
        manifest = json.loads(objects.get(key, row.manifest_sha256))
    except MissingObject:
        yield Fault(MANIFEST_MISSING, where, f"manifest {key} is gone", touches)
        return
    except (StoreError, ValueError) as error:
        yield Fault(MANIFEST, where, str(error), touches)
        return
    told = {name: manifest.get(name) for name in _OF_ROW} | {"partition": manifest.get("partition")}
    held = {name: getattr(row, name) for name in _OF_ROW} | {"partition": row.part}
    other = sorted(name for name in told if told[name] != held[name])
    if other:
        yield Fault(MANIFEST_OTHER, where, f"the manifest is about another version: {', '.join(other)} differ", touches)
    for item in cast("Sequence[Mapping[str, str]]", manifest["inputs"]):
        named = (item["asset"], item["partition"], item["manifest_sha256"], item["file_sha256"])
        if named not in known:
            yield Fault(INPUT_MISSING, where, f"its input {named[0]} {named[1]} is not in the index", touches)
    for name in cast("Sequence[str]", manifest["blobs"]):
        if blob_key(name) not in bodies:
            yield Fault(BODY_MISSING, where, f"body {name} is gone", (name,))


def _body_fault(objects: Objects, name: str) -> Fault | None:
    """What is wrong with a body as received; None when it is whole."""
    try:
        objects.check_blob(name)
    except MissingObject:
        return Fault(BODY_MISSING, f"body {name[:16]}", "the body is gone", (name,))
    except StoreError as error:
        return Fault(BODY, f"body {name[:16]}", str(error), (name,))
    return None


def unreferenced(lake: Lake) -> list[str]:
    """Objects, manifests and bodies of the store that nothing names: what a crash between two writes leaves."""
    return sorted({key for key, _ in lake.objects.listing()} - named(lake))


def named(lake: Lake) -> set[str]:
    """Keys of everything that the index, a decision (its code and environment) or an import names."""
    return named_by(lake.index, lake.ledger)


def named_by(index: Index, ledger: Ledger) -> set[str]:
    """The same, of an index and a ledger wherever they lie."""
    rows = [row for _, row in index.numbered()]
    keys = {row.uri for row in rows} | {manifest_key(row.asset, row.part, row.manifest_sha256) for row in rows}
    keys |= {blob_key(row.blob_sha256) for _, row in index.numbered_blobs()}
    versions = [entry.body.get("versions") for entry in ledger.entries("decision")]
    keys |= {blob_key(str(name)) for found in versions if isinstance(found, Mapping) for name in found.values()}
    for entry in ledger.entries(ENTRY):
        objects = cast("Sequence[Mapping[str, str]]", entry.body["objects"])
        keys |= {import_key(str(entry.body["kind"]), one["sha256"]) for one in objects}
    return keys
