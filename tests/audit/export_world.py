"""A small home with a true history of three sessions, its exports, and tools to forge them. Not here: any statement about them.

Objects, index, ledger and notary are the real ones; the tables are small and the signer is a key in this process, so that a
forger can have it, too.
"""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketbot_resources.ledger.merkle import Tree
from marketbot_resources.ledger.note import Checkpoint, SignKey, VerifyKey, new_key, sign_checkpoint
from marketbot_resources.ledger.record import Row, canonical_json, record_leaf
from marketbot_resources.ledger.tiles import Tiles
from marketbot_resources.notary import Notary
from marketbot_resources.store.index import BlobRow, IndexRow, Origin, Read, read_of
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Column, Table

ORIGIN, ACCOUNT = "marketbot.paper-1/ledger", "paper-1"
SESSIONS = ("2018-12-12", "2018-12-13", "2018-12-14")
OUTPUTS = {
    "forecasts": ("features",),
    "book_state": (),
    "target_portfolio": ("forecasts", "book_state", "mandate"),
    "target_explanation": ("target_portfolio",),
    "order_plan": ("target_portfolio", "mandate"),
    "stress_results": ("order_plan",),
    "risk_verdict": ("order_plan", "stress_results", "mandate"),
    "orders": ("order_plan", "risk_verdict"),
}
FILLER = 300
Record = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@contextmanager
def in_home(home: Path) -> Iterator[None]:
    """The installation is that of a home, for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home))
        yield


@dataclass
class KeySigner:
    """The signer's port around a key."""

    key: SignKey

    def create(self, origin: str) -> VerifyKey:
        return self.key.public

    def verify_keys(self) -> list[VerifyKey]:
        return [self.key.public]

    def sign(self, checkpoint: Checkpoint, prove: Callable[[int], list[bytes]], **_: object) -> str:
        return sign_checkpoint(checkpoint, self.key)


@dataclass
class World:
    """The home and who signs for it."""

    home: Path
    key: SignKey
    orders: list[str] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(self.home)

    def notary(self, lake: Lake) -> Notary:
        return Notary(lake.ledger, lake.index, KeySigner(self.key), [], ORIGIN)


def make_world(home: Path) -> World:
    """Three sessions with two orders each, signed before sending and after; more entries than one tile holds."""
    world = World(home, new_key(ORIGIN))
    lake = world.lake
    mandate = _received(lake, "mandate", "static", b"caps: 0.05")
    lake.ledger.append_all([("operator_action", f"{number:04d}", {"n": number}) for number in range(FILLER)])
    seen: list[IndexRow] = []
    for session in SESSIONS:
        lake.ledger.append("session_cutoff", session, {"session": session, "cutoff_at": f"{session}T23:15:00Z"})
        raw = _received(lake, "raw_prices", session, f"AAPL {session} 100".encode())
        seen.append(_made(lake, "prices", session, [raw]))
        made = {"mandate": mandate, "features": _made(lake, "features", session, seen)}
        before = lake.index.up_to("book_state", session, inclusive=False)
        for asset, sources in OUTPUTS.items():
            made[asset] = _made(
                lake, asset, session, [*(made[name] for name in sources), *(before if not sources else ())]
            )
        _decide(world, lake, session, {asset: made[asset] for asset in OUTPUTS})
    return world


def _decide(world: World, lake: Lake, session: str, made: dict[str, IndexRow]) -> None:
    orders = [intent(session, place) for place in range(2)]
    names = [str(order["client_order_id"]) for order in orders]
    digest = hashlib.sha256(json.dumps(orders, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    versions = {name: lake.objects.put_blob(f"{name} of marketbot".encode()) for name in ("code", "environment")}
    body = {
        "session": session,
        "facts": {"verdict": "APPROVED", "batch_sha256": digest},
        "outputs": {asset: row.content_sha256 for asset, row in made.items()},
        "manifests": {asset: row.manifest_sha256 for asset, row in made.items()},
        "versions": versions,
    }
    lake.ledger.append("decision", session, body)
    batch = {"session": session, "verdict": "APPROVED", "why": "", "batch_sha256": digest, "count": 2}
    batch |= {"orders": [{"client_order_id": name} for name in names]}
    lake.ledger.append("batch_frozen", f"{ACCOUNT}/{session}/1", batch)
    lake.ledger.append_all([("order_intent", str(order["client_order_id"]), order) for order in orders])
    world.notary(lake).checkpoint()
    for name in names:
        lake.ledger.append("order_event", f"{name}/1", {"state": "SENDING"})
        lake.ledger.append("order_event", f"{name}/2", {"state": "ACKED"})
        lake.ledger.append("order_final", name, {"state": "FILLED"})
    _made(lake, "proof", session, [made["orders"]])
    world.notary(lake).checkpoint()
    world.orders += names


def intent(session: str, place: int) -> dict[str, Any]:
    """The body of an order's intent; the first of a session has a name before that of the second."""
    digest = base64.b32encode(hashlib.sha256(session.encode()).digest()).decode().lower()[:25]
    name, quantity = f"mb1-{'ab'[place]}{digest}", str(5 + place)
    body = {"client_order_id": name, "session": session, "batch_no": 1, "instrument": "MBAAAAAAAAAA", "side": "BUY"}
    return {**body, "quantity": quantity, "limit_price": "100.5", "currency": "USD", "kind": "EQUITY"}


def _received(lake: Lake, asset: str, part: str, body: bytes) -> IndexRow:
    name = hashlib.sha256(body).hexdigest()
    told = BlobRow(name, "sample", "sample:x", 200, "text/csv", len(body), "2018-12-12T00:00:00Z", "run-1", asset, part)
    lake.put_blob(body, told)
    return _made(lake, asset, part, [], blobs=[name])


def _made(lake: Lake, asset: str, part: str, reads: Sequence[IndexRow], *, blobs: Sequence[str] = ()) -> IndexRow:
    columns = (Column("key", "text", "key"), Column("value", "text", "value"))
    frame = pd.DataFrame({"key": ["a", "b"], "value": [asset, part]})
    inputs: list[Read] = [read_of(row) for row in reads]
    origin = Origin("run-1", "code-1", f"{SESSIONS[0]}T00:00:00Z", {})
    return lake.commit(frame, Table(asset, "row", ("key",), columns), part, reads=inputs, blobs=blobs, origin=origin)


def refresh_sums(folder: Path) -> None:
    """What a forger does last: the list of hashes fits the files again."""
    names = sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS"
    )
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def records_of(folder: Path) -> list[bytes]:
    """The entries in the bundles of an export."""
    found: list[bytes] = []
    for path in sorted((folder / "tile" / "entries").rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        while data:
            size = int.from_bytes(data[:2], "big")
            found.append(data[2 : 2 + size])
            data = data[2 + size :]
    return found


def parsed(records: Iterable[bytes]) -> list[Record]:
    """The entries as kind, key and body."""
    loaded = [json.loads(record) for record in records]
    return [(found["kind"], found["key"], found["body"]) for found in loaded]


def record(kind: str, key: str, body: dict[str, Any]) -> bytes:
    """An entry as bytes."""
    return canonical_json({"kind": kind, "key": key, "body": body})


def forge(folder: Path, records: Sequence[bytes], key: SignKey, *, sizes: Iterable[int] = ()) -> None:
    """Puts another history into an export, with everything that its signer can make fit: tiles, heads, summary, hashes."""
    shutil.rmtree(folder / "tile")
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    tiles, tree = Tiles(), Tree()
    rows = [Row(seq, "", "", data, record_leaf(data)) for seq, data in enumerate(records)]
    for name, data in tiles.files(rows):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for row in rows:
        tree.append(row.leaf)
    for size in {*sizes, len(records)}:
        note = sign_checkpoint(Checkpoint(ORIGIN, size, tree.root(size)), key)
        (folder / "checkpoints" / f"{size}.txt").write_text(note, encoding="utf-8")
    (folder / "checkpoint").write_text(note_of(folder, len(records)), encoding="utf-8")
    summary = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    summary |= {"size": len(records), "root": tree.root().hex()}
    kinds = parsed(records)
    summary["counts"] |= {
        "entries": len({(kind, name) for kind, name, _ in kinds}),
        "orders": sum(k == "order_intent" and body["session"] in summary["sessions"] for k, _, body in kinds),
        "heads": len(list((folder / "checkpoints").iterdir())),
    }
    write_summary(folder, summary)
    refresh_sums(folder)


def note_of(folder: Path, size: int) -> str:
    """A signed head of an export."""
    return (folder / "checkpoints" / f"{size}.txt").read_text(encoding="utf-8")


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """export.json in its one form."""
    text = json.dumps(summary, sort_keys=True, indent=2) + "\n"
    (folder / "export.json").write_text(text, encoding="utf-8")
