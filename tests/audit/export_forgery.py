"""Ways to change an export, each a function of its folder. A name says what was done; the tests say what must be found."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_world import ORIGIN, SESSIONS, World, forge, parsed, record, records_of, refresh_sums, write_summary

from marketbot_resources.ledger.merkle import leaf_hash
from marketbot_resources.ledger.note import Checkpoint, SignKey, new_key, parse_checkpoint, sign_checkpoint, split_note

FULL, PARTIAL, ABOVE = "tile/0/000", "tile/0/001.p/87", "tile/1/000.p/1"
BUNDLE, LAST_BUNDLE = "tile/entries/000", "tile/entries/001.p/87"
SIZE, FIRST_SIZE = 343, 308


@dataclass(frozen=True)
class Folder:
    """An export that is being forged."""

    path: Path
    world: World

    def first(self, pattern: str) -> Path:
        """The first file of a pattern."""
        return sorted(self.path.glob(pattern))[0]

    def edit(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Changes a file's bytes, which must then differ."""
        path = next(iter(sorted(self.path.glob(name))))
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before, name

    def head(self, size: int = SIZE) -> Checkpoint:
        text = (self.path / "checkpoints" / f"{size}.txt").read_text(encoding="utf-8")
        return parse_checkpoint(split_note(text)[0])

    def put_note(self, name: str, note: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(note, encoding="utf-8")

    def put_newest(self, note: str) -> None:
        self.put_note("checkpoint", note)
        self.put_note(f"checkpoints/{SIZE}.txt", note)

    def retell(self, change: Callable[[list[tuple[str, str, dict[str, Any]]]], object]) -> None:
        """Another history, signed by the one who signed the first: entries changed, everything that can be made to fit fits."""
        told = parsed(records_of(self.path))
        change(told)
        forge(self.path, [record(*entry) for entry in told], self.world.key)


def flip(at: int) -> Callable[[bytes], bytes]:
    """One bit of the byte at a place."""
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swap(data: bytes, a: slice, b: slice) -> bytes:
    return data[: a.start] + data[b] + data[a.stop : b.start] + data[a] + data[b.stop :]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


def delete(name: str) -> Callable[[Folder], None]:
    return lambda folder: folder.first(name).unlink()


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Folder], None]:
    return lambda folder: folder.edit(name, change)


def swap_files(pattern: str, other: str = "") -> Callable[[Folder], None]:
    """Each of two files gets the other's bytes."""

    def do(folder: Folder) -> None:
        one, two = (folder.first(pattern), folder.first(other)) if other else sorted(folder.path.glob(pattern))[:2]
        first, second = one.read_bytes(), two.read_bytes()
        assert first != second
        one.write_bytes(second)
        two.write_bytes(first)

    return do


def entry_with_leaf(folder: Folder) -> None:
    """An entry is changed in its bundle, and its hash in the tile."""
    folder.edit(LAST_BUNDLE, replaced(b'"quantity":"5"', b'"quantity":"9"'))
    records = records_of(folder.path)
    (folder.path / PARTIAL).write_bytes(b"".join(leaf_hash(data) for data in records[256:]))


def tail_cut(folder: Folder) -> None:
    """The newest head is kept, the entries end before it."""
    records = records_of(folder.path)[:-5]
    shutil.rmtree(folder.path / "tile/entries")
    width = len(records) - 256
    for name, part in (("000", records[:256]), (f"001.p/{width}", records[256:])):
        path = folder.path / "tile/entries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(len(data).to_bytes(2, "big") + data for data in part))


def signed_by_another(folder: Folder) -> None:
    folder.put_newest(sign_checkpoint(folder.head(), new_key(ORIGIN)))


def signed_by_another_who_says_so(folder: Folder) -> None:
    """The forger's key stands in vkey.txt, too."""
    key = new_key(ORIGIN)
    folder.put_newest(sign_checkpoint(folder.head(), key))
    folder.edit("vkey.txt", lambda _: f"{key.public.text}\n".encode())


def of_another_origin(folder: Folder) -> None:
    head = folder.head()
    folder.put_newest(sign_checkpoint(Checkpoint("marketbot.other/ledger", head.size, head.root), folder.world.key))


def earlier_head_of_another_history(folder: Folder) -> None:
    """The signer signed another root for an earlier size: a fork."""
    fork = sign_checkpoint(Checkpoint(ORIGIN, FIRST_SIZE, bytes(32)), folder.world.key)
    folder.put_note(f"checkpoints/{FIRST_SIZE}.txt", fork)


def anchored(size: int) -> Callable[[Folder], None]:
    """An anchor keeps another root for a size, signed by the log's key."""

    def do(folder: Folder) -> None:
        note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), folder.world.key)
        folder.put_note(f"anchors/01-file/{size}.txt", note)

    return do


def unsigned_anchor(folder: Folder) -> None:
    folder.put_note(f"anchors/01-file/{SIZE}.txt", sign_checkpoint(folder.head(), new_key(ORIGIN)))


def body_with_other_content(folder: Folder) -> None:
    folder.edit("store/blobs/*/*.gz", lambda data: gzip.compress(gzip.decompress(data) + b" more", mtime=0))


def body_with_a_tail(folder: Folder) -> None:
    folder.edit("store/blobs/*/*.gz", lambda data: data + b"more")


def without_bodies_row(folder: Folder) -> None:
    """No row of the index describes the bodies any more."""
    folder.edit("index.jsonl", lambda data: b"".join(x for x in data.splitlines(True) if b"blob_index" not in x))


def manifest_input_renamed(folder: Folder) -> None:
    folder.edit("store/manifests/risk_verdict/*/*.json", replaced(b'"asset":"order_plan"', b'"asset":"other_plan"'))


def manifest_input_renamed_with_its_name(folder: Folder) -> None:
    """The changed manifest lies under its own hash."""
    manifest_input_renamed(folder)
    path = folder.first("store/manifests/risk_verdict/*/*.json")
    path.rename(path.with_name(f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json"))


def manifest_and_row_renamed(folder: Folder) -> None:
    """The row of the index names the changed manifest, too."""
    old = folder.first("store/manifests/risk_verdict/*/*.json").stem
    manifest_input_renamed_with_its_name(folder)
    new = next(p.stem for p in folder.path.glob("store/manifests/risk_verdict/*/*.json") if p.stem != old)
    folder.edit("index.jsonl", replaced(old.encode(), new.encode()))


def code_is_gone(folder: Folder) -> None:
    name = hashlib.sha256(b"code of marketbot").hexdigest()
    (folder.path / "store/blobs" / name[:2] / f"{name}.gz").unlink()


def summary(change: Callable[[dict[str, Any]], object]) -> Callable[[Folder], None]:
    def do(folder: Folder) -> None:
        told = json.loads((folder.path / "export.json").read_text(encoding="utf-8"))
        change(told)
        write_summary(folder.path, told)

    return do


def story(kind: str, key: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Folder], None]:
    """The first entry of a kind whose key begins like this says something else, and the log's signer signs it."""

    def do(folder: Folder) -> None:
        def tell(entries: list[tuple[str, str, dict[str, Any]]]) -> None:
            change(next(body for k, name, body in entries if k == kind and name.startswith(key)))

        folder.retell(tell)

    return do


def retold(change: Callable[[list[tuple[str, str, dict[str, Any]]]], object]) -> Callable[[Folder], None]:
    return lambda folder: folder.retell(change)


def moved(kind: str, key: str, last: bool = True) -> Callable[[Folder], None]:
    """An entry of a kind stands at the end of the log."""

    def change(entries: list[tuple[str, str, dict[str, Any]]]) -> None:
        place = next(n for n, (k, name, _) in enumerate(entries) if k == kind and name.startswith(key))
        entries.append(entries.pop(place))

    return retold(change)


def added(kind: str, key: str, body: dict[str, Any]) -> Callable[[Folder], None]:
    return retold(lambda entries: entries.append((kind, key, body)))


def twice(folder: Folder) -> None:
    """One key, two bodies."""
    folder.retell(lambda entries: entries.append(("order_final", folder.world.orders[0], {"state": "CANCELED"})))


def not_canonical(folder: Folder) -> None:
    records = records_of(folder.path)
    records[5] = records[5].replace(b":", b": ", 1)
    forge(folder.path, records, folder.world.key)


def rotated(folder: Folder, first: SignKey, then: SignKey) -> None:
    """The log names a second key; a head of all entries up to there is signed by `first`, one of an entry more by `then`."""
    entries = [(kind, key, body) for kind, key, body in parsed(records_of(folder.path))[:SIZE]]
    entries.append(("log_key", then.public.key_id.hex(), {"vkey": then.public.text}))
    entries.append(("operator_action", "after", {"n": 0}))
    records = [record(*entry) for entry in entries]
    forge(folder.path, records[:-1], first)
    note = (folder.path / "checkpoint").read_text(encoding="utf-8")
    forge(folder.path, records, then)
    folder.put_note(f"checkpoints/{len(records) - 1}.txt", note)
    keys = [body["vkey"] for kind, _, body in entries if kind == "log_key"]
    folder.put_note("vkey.txt", "".join(f"{key}\n" for key in reversed(keys)))
    summary(lambda told: told["counts"].update(heads=2))(folder)
    refresh_sums(folder.path)


def only_forecasts(body: dict[str, Any]) -> None:
    body["manifests"] = {"forecasts": body["manifests"]["forecasts"]}


def other_output(body: dict[str, Any]) -> None:
    body["outputs"]["risk_verdict"] = body["outputs"]["orders"]


LAST = SESSIONS[-1]
FORGERIES: dict[str, tuple[Callable[[Folder], None], str]] = {
    "full tile: edited": (edit(FULL, flip(40)), "TILE"),
    "full tile: deleted": (delete(FULL), "TILE"),
    "full tile: truncated": (edit(FULL, lambda data: data[:-32]), "TILE"),
    "full tile: longer": (edit(FULL, lambda data: data + bytes(32)), "TILE"),
    "full tile: two hashes swapped": (edit(FULL, lambda d: swap(d, slice(0, 32), slice(64, 96))), "TILE"),
    "partial tile: edited": (edit(PARTIAL, flip(1)), "TILE"),
    "tile of level 1: edited": (edit(ABOVE, flip(31)), "TILE"),
    "tile of level 1: deleted": (delete(ABOVE), "TILE"),
    "entry: edited": (edit(LAST_BUNDLE, replaced(b'"quantity":"5"', b'"quantity":"9"')), "LEAF"),
    "entry: edited with its leaf": (entry_with_leaf, "ROOT"),
    "entries: two swapped": (
        edit(BUNDLE, replaced(b'"n":7},"key":"0007"', b'"n":8},"key":"0008"')),
        "LEAF",
    ),
    "bundle: truncated": (edit(BUNDLE, lambda data: data[:-3]), "ENTRIES"),
    "bundle: longer": (edit(BUNDLE, lambda data: data + b"\0\2{}"), "ENTRIES"),
    "bundle: deleted": (delete(BUNDLE), "ENTRIES"),
    "bundles: swapped": (swap_files(BUNDLE, LAST_BUNDLE), "ENTRIES"),
    "log: the tail is cut": (tail_cut, "ENTRIES"),
    "head: edited": (edit("checkpoint", flip(30)), "NOTE"),
    "head: deleted": (delete("checkpoint"), "NOTE"),
    "head: truncated": (edit("checkpoint", lambda data: data[:-20]), "NOTE"),
    "heads: swapped": (swap_files("checkpoints/*.txt"), "NOTE"),
    "heads: all deleted": (lambda folder: shutil.rmtree(folder.path / "checkpoints"), "NOTE"),
    "head: of another key": (signed_by_another, "SIGNATURE"),
    "head: of another key, which is listed": (signed_by_another_who_says_so, "KEY"),
    "head: of another origin": (of_another_origin, "ORIGIN"),
    "head: an earlier one of a fork": (earlier_head_of_another_history, "ROOT"),
    "anchor: another root of the same size": (anchored(SIZE), "ROOT"),
    "anchor: another root of a size between": (anchored(320), "ROOT"),
    "anchor: it knows more entries": (anchored(SIZE + 7), "TRUNCATED"),
    "anchor: a head without the log's signature": (unsigned_anchor, "SIGNATURE"),
    "keys: edited": (edit("vkey.txt", flip(60)), "KEY"),
    "keys: deleted": (delete("vkey.txt"), "MISSING"),
    "index: edited": (edit("index.jsonl", replaced(b"code-1", b"code-2")), "INDEX_ROW"),
    "index: truncated": (edit("index.jsonl", lambda data: data[:-9]), "INDEX_ROW"),
    "index: a row less": (edit("index.jsonl", lambda data: data[data.index(b"\n") + 1 :]), "INPUT_MISSING"),
    "index: rows swapped": (
        edit("index.jsonl", lambda d: b"".join(d.splitlines(True)[1::-1] + d.splitlines(True)[2:])),
        "INDEX_ROW",
    ),
    "index: no row of the bodies": (without_bodies_row, "BODY_MISSING"),
    "index: deleted": (delete("index.jsonl"), "MISSING"),
    "object: edited": (edit("store/orders/*/*.parquet", flip(100)), "OBJECT"),
    "object: truncated": (edit("store/orders/*/*.parquet", lambda data: data[:-1]), "OBJECT"),
    "object: deleted": (delete("store/orders/*/*.parquet"), "OBJECT_MISSING"),
    "objects: swapped": (swap_files("store/orders/*/*.parquet", "store/forecasts/*/*.parquet"), "OBJECT"),
    "manifest: edited": (edit("store/manifests/orders/*/*.json", flip(20)), "MANIFEST"),
    "manifest: truncated": (edit("store/manifests/orders/*/*.json", lambda data: data[:-1]), "MANIFEST"),
    "manifest: deleted": (delete("store/manifests/orders/*/*.json"), "MANIFEST_MISSING"),
    "manifests: swapped": (swap_files("store/manifests/orders/*/*.json"), "MANIFEST"),
    "manifest: an input renamed": (manifest_input_renamed, "MANIFEST"),
    "manifest: an input renamed, under its hash": (manifest_input_renamed_with_its_name, "MANIFEST_MISSING"),
    "manifest: an input renamed, with its row": (manifest_and_row_renamed, "INDEX_ROW"),
    "body: other content, compressed again": (body_with_other_content, "BODY"),
    "body: something behind it": (body_with_a_tail, "BODY"),
    "body: truncated": (edit("store/blobs/*/*.gz", lambda data: data[:-4]), "BODY"),
    "body: deleted": (delete("store/blobs/*/*.gz"), "BODY_MISSING"),
    "bodies: swapped": (swap_files("store/blobs/*/*.gz"), "BODY"),
    "code: deleted": (code_is_gone, "BODY_MISSING"),
    "export.json: another size": (summary(lambda told: told.update(size=SIZE - 1)), "SUMMARY"),
    "export.json: another origin": (summary(lambda told: told.update(origin="marketbot.x/ledger")), "ORIGIN"),
    "export.json: a session more": (summary(lambda told: told["sessions"].append("2018-12-17")), "SUMMARY"),
    "export.json: another format": (summary(lambda told: told.update(format=2)), "SUMMARY"),
    "export.json: another count": (summary(lambda told: told["counts"].update(orders=5)), "SUMMARY"),
    "export.json: a word more": (summary(lambda told: told.update(note="trust me")), "SUMMARY"),
    "export.json: called a proof": (summary(lambda told: told.update(kind="proof")), "ROOT"),
    "a file more": (lambda folder: folder.put_note("store/orders/more.parquet", "x"), "EXTRA"),
    "a tile more": (lambda folder: folder.put_note("tile/0/001", "x"), "EXTRA"),
    "story: a quantity in an intent": (story("order_intent", "mb1-", lambda b: b.update(quantity="9")), "BATCH"),
    "story: the verdict was REJECTED": (
        story("decision", LAST, lambda body: body["facts"].update(verdict="REJECTED")),
        "BATCH",
    ),
    "story: the batch says HALT": (story("batch_frozen", "", lambda body: body.update(verdict="HALT")), "BATCH"),
    "story: an event of an unknown order": (added("order_event", "mb1-unknown/1", {"state": "SENDING"}), "EVENT"),
    "story: an order without a batch": (
        added("order_intent", "mb1-extra", {"client_order_id": "mb1-extra", "session": LAST}),
        "ORDER",
    ),
    "story: an order in two batches": (
        retold(
            lambda entries: entries.append(next(("batch_frozen", "x", e[2]) for e in entries if e[0] == "batch_frozen"))
        ),
        "BATCH",
    ),
    "story: an intent after its events": (moved("order_intent", "mb1-"), "EVENT"),
    "story: a batch after its intents": (moved("batch_frozen", ""), "BATCH"),
    "story: a decision after its batch": (moved("decision", LAST), "BATCH"),
    "story: a cutoff after its decision": (moved("session_cutoff", LAST), "CUTOFF"),
    "story: a decision with other values": (story("decision", LAST, other_output), "DECISION"),
    "story: a decision that rests on little": (story("decision", LAST, only_forecasts), "CHAIN"),
    "story: code unknown": (story("decision", LAST, lambda body: body["versions"].pop("code")), "CHAIN"),
    "story: rows sealed twice": (
        added("index_rows", "lake_index/x", {"table": "lake_index", "first": 1, "last": 1, "rows": []}),
        "INDEX_SEAL",
    ),
    "story: one key, two bodies": (twice, "DOUBLE"),
    "story: not canonical": (not_canonical, "RECORD"),
}
