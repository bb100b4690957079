"""The store of one home, without Dagster: objects, index and ledger together; commit and load.

Write order: encode, put the object, put the manifest, add the index row. The manifest names what was really read and is
the lineage that proves something. A commit that changes nothing (same bytes, same inputs, same code) adds nothing.
"""

import json
import platform
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from marketbot_resources.errors import HomeError
from marketbot_resources.ledger.opening import open_ledger, read_ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.libraries import versions
from marketbot_resources.store.content import canonical, content_sha256, decode, encode, sha256, to_records
from marketbot_resources.store.index import BlobRow, IndexRow, Origin, Read
from marketbot_resources.store.index_opening import has_index, open_index
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.opening import open_objects
from marketbot_resources.store.scratch import frame_of, held, kept, lie_in, parquet_frame, side_by_side
from marketbot_resources.store.table import Table

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
SCHEMA_PROBLEMS = "schema_problems"
_CACHE_OBJECTS = 4096
_CACHE_BYTES = 64 * 1024 * 1024
_MEMO_ENTRIES = 24


def _no_problems(frame: "pd.DataFrame") -> Sequence[str]:
    return ()


class Lake:
    """Objects, index and ledger under one folder. Raises HomeError when the folder cannot be used.

    `read_only`: nothing is made or changed, not even a missing file; its databases refuse every write.
    """

    def __init__(self, home: Path, *, read_only: bool = False) -> None:
        self.home = home
        try:
            if not read_only:
                home.mkdir(parents=True, exist_ok=True)
                lie_in(home)
        except OSError as error:
            raise HomeError(f"home: expected to write {home}, found: {error.strerror}") from error
        self.objects = open_objects(home, read_only=read_only)
        self.index = open_index(home, read_only=read_only)
        self.ledger = read_ledger(home) if read_only else open_ledger(home)
        self._frames: OrderedDict[str, pd.DataFrame] = OrderedDict()
        self._cached_bytes = 0
        self._memo: OrderedDict[object, object] = OrderedDict()

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives for a key that names all its inputs by hash; kept for the next steps of the run, never changed."""
        if key not in self._memo:
            self._memo[key] = kept(make())
            while len(self._memo) > _MEMO_ENTRIES:
                self._memo.popitem(last=False)
        self._memo.move_to_end(key)
        return cast("T", self._memo[key])

    def forget(self) -> None:
        """Gives back the frames that are kept for speed; who asks again has them read again."""
        self._frames.clear()
        self._cached_bytes = 0

    def commit(
        self,
        frame: "pd.DataFrame",
        table: Table,
        part: str,
        *,
        reads: Sequence[Read],
        blobs: Sequence[str],
        origin: Origin,
        judge: "Callable[[pd.DataFrame], Sequence[str]]" = _no_problems,
    ) -> IndexRow:
        """Stores one partition of one asset and returns its index row; the newest row when nothing changed.

        `judge` says what breaks the table's schema in the frame as readers get it; the manifest keeps the answer.
        """
        rows = canonical(frame, table, side_by_side)
        data = encode(rows)
        file_hash, content_hash = sha256(data), content_sha256(rows)
        known = self.index.newest(table.asset, part)
        if known is not None and self._unchanged(known, file_hash, reads, blobs, origin.code_version):
            return known
        read_back = frame_of(rows)
        origin = replace(origin, extra={**origin.extra, SCHEMA_PROBLEMS: list(judge(read_back))})
        uri = f"{table.asset}/{part}/{file_hash}.parquet"
        self.objects.put(uri, data)
        schema_hash = sha256(str(rows.schema).encode())
        manifest = _manifest(table.asset, part, file_hash, content_hash, len(frame), schema_hash, reads, blobs, origin)
        manifest_hash = sha256(manifest)
        self.objects.put(manifest_key(table.asset, part, manifest_hash), manifest)
        row = IndexRow(
            table.asset,
            part,
            file_hash,
            content_hash,
            uri,
            len(frame),
            len(data),
            schema_hash,
            manifest_hash,
            origin.run_id,
            origin.code_version,
            origin.written_at,
        )
        self.index.add(row)
        self._remember(row, read_back)
        return row

    def schema_problems(self, row: IndexRow) -> list[str]:
        """What broke the schema of a version when it was stored; empty when nothing did."""
        found = self.manifest(row)[SCHEMA_PROBLEMS]
        assert isinstance(found, list)
        return [str(problem) for problem in found]

    def _unchanged(
        self, known: IndexRow, file_hash: str, reads: Sequence[Read], blobs: Sequence[str], code: str
    ) -> bool:
        if known.file_sha256 != file_hash or known.code_version != code:
            return False
        manifest = self.manifest(known)
        return manifest["inputs"] == _input_records(reads) and manifest["blobs"] == sorted(set(blobs))

    def load(self, row: IndexRow) -> "pd.DataFrame":
        """The frame of one version, verified against its name; callers get their own lazily copied frame."""
        cached = self._frames.get(row.file_sha256)
        if cached is None:
            cached = parquet_frame(self.objects.get(row.uri, row.file_sha256))
            self._remember(row, cached)
        else:
            self._frames.move_to_end(row.file_sha256)
        return cached.copy(deep=False)

    def ahead(self, rows: Sequence[IndexRow]) -> None:
        """Fetches together what `load` will be asked for. Raises HomeError when the store does not answer."""
        self.objects.ahead([(row.uri, row.file_sha256) for row in rows if row.file_sha256 not in self._frames])

    def stored(self) -> int:
        """Number of stored objects, manifests and bodies; where listing them costs requests, those that the index names."""
        return self.objects.count() if isinstance(self.objects, LocalObjects) else self.index.named()

    def records(self, row: IndexRow) -> "list[dict[str, object]]":
        """The rows of one version without a frame, verified against its name: what a command that tells of a few rows reads.

        As in a frame: an unknown number is NaN, a date is midnight without zone; any other null is None.
        """
        table = decode(self.objects.get(row.uri, row.file_sha256), None)
        return to_records(table)

    def _remember(self, row: IndexRow, frame: "pd.DataFrame") -> None:
        self._frames[row.file_sha256] = frame
        self._cached_bytes += held(frame)
        while self._frames and (len(self._frames) > _CACHE_OBJECTS or self._cached_bytes > _CACHE_BYTES):
            _, dropped = self._frames.popitem(last=False)
            self._cached_bytes -= held(dropped)

    def manifest(self, row: IndexRow) -> dict[str, Json]:
        """The manifest of one version, verified against its name."""
        data = self.objects.get(manifest_key(row.asset, row.part, row.manifest_sha256), row.manifest_sha256)
        parsed = json.loads(data)
        assert isinstance(parsed, dict)
        return parsed

    def blob(self, name: str) -> bytes:
        """The body with this hash. Raises StoreError when it is missing or altered."""
        return self.objects.get_blob(name)

    def environment_body(self) -> bytes:
        """The versions that may change floats, as JSON; its hash stands in the ledger beside a decision."""
        return json.dumps(environment(), sort_keys=True).encode()

    def put_blob(self, body: bytes, row: BlobRow) -> None:
        """Stores a body as received and describes it."""
        self.objects.put_blob(body)
        self.index.add_blobs([row])


def manifest_key(asset: str, part: str, digest: str) -> str:
    """Where a manifest lies."""
    return f"manifests/{asset}/{part}/{digest}.json"


def _input_records(reads: Sequence[Read]) -> list[dict[str, str]]:
    unique = sorted({(r.asset, r.part, r.file_sha256, r.content_sha256, r.manifest_sha256) for r in reads})
    return [
        {"asset": a, "partition": p, "file_sha256": f, "content_sha256": c, "manifest_sha256": m}
        for a, p, f, c, m in unique
    ]


def _manifest(
    asset: str,
    part: str,
    file_hash: str,
    content_hash: str,
    rows: int,
    schema_hash: str,
    reads: Sequence[Read],
    blobs: Sequence[str],
    origin: Origin,
) -> bytes:
    record = {
        "asset": asset,
        "partition": part,
        "file_sha256": file_hash,
        "content_sha256": content_hash,
        "rows": rows,
        "schema_sha256": schema_hash,
        "inputs": _input_records(reads),
        "blobs": sorted(set(blobs)),
        "code_version": origin.code_version,
        "run_id": origin.run_id,
        "written_at": origin.written_at,
        "environment": environment(),
        **origin.extra,
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """What may change floats: interpreter, machine, numeric libraries, the kernels that BLAS chose; and the lock file's hash."""
    lock = Path(__file__).parents[2] / "requirements.lock"
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "lock_sha256": sha256(lock.read_bytes()) if lock.exists() else "",
        "blas": _blas_kernels(),
        **versions(),
    }


def _blas_kernels() -> str:
    """The BLAS behind numpy, the processor kernels that it runs here and its threads: others add up in another order."""
    from threadpoolctl import threadpool_info

    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in str(pool["filepath"])]
    told = (
        f"{p['internal_api']} {p['version']} {p.get('architecture', '')}, threads {p['num_threads']}" for p in found
    )
    return "; ".join(sorted(told))


_LAKES: dict[Path, Lake] = {}


def open_lake(home: Path) -> Lake:
    """The store of a home; one object per process and home, so that decoded objects are shared by the steps of a run."""
    key = home.resolve()
    if key not in _LAKES or not has_index(key):
        _LAKES[key] = Lake(key)
    return _LAKES[key]
