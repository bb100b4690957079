"""Checks an audit export or the proof of an order on its own: `python verify.py [FOLDER] [--key VKEY]...`.

Python 3.11 or later and the package cryptography are enough; nothing of marketbot is needed. FOLDER is by default the one in
which this file lies. `--key` is a public key that you have from elsewhere: that of the log, that of a witness.

Exit 0: everything that was checked holds. 1: a fault was found; it is named with its code and what rests on it. 2: no check.
"""

import argparse
import hashlib
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marketbot_resources.auditor_log import BROKEN, EXPORT, LOG, PROOF, SUMMARY, Fault, LogCheck, plain, sha256

FORMAT, BODY_BYTES_MAX, SHOWN = 1, 1 << 30, 12
GROUPS = ("heads", "log", "keys", "index", "store", "decisions", "answers", "contents")
ROWS, SUMS = "index.jsonl", "SHA256SUMS"
LAKE = "seq asset partition file_sha256 content_sha256 uri rows bytes schema_sha256 manifest_sha256".split()
LAKE += ["run_id", "code_version", "written_at"]
BLOB = "seq blob_sha256 provider url status content_type bytes fetched_at run_id asset partition".split()
TABLES = {"lake_index": (LAKE, "manifest_sha256"), "blob_index": (BLOB, "blob_sha256")}
IN_MANIFEST = [name for name in LAKE if name not in ("seq", "uri", "bytes", "manifest_sha256")]
INPUT = ("asset", "partition", "file_sha256", "content_sha256", "manifest_sha256")
ASKED = "llm_answers"
CHAIN = {"mandate", "target_portfolio", "order_plan", "risk_verdict", "orders"}
OWN_KEYS = "taken from the folder itself, so they prove nothing about where it comes from; give --key"
LIMITS = (
    "that data was right when it came in; what was never written down; the values inside Parquet files,",
    "which the platform itself recomputes (`marketbot verify`, `marketbot replay`)",
)


class CannotCheck(Exception):
    """There is nothing to check, or nothing to check it with."""


class Audit(LogCheck):
    """One check of one folder, made with it: `faults` in the order in which they were looked for, `told` is what holds."""

    def __init__(self, folder: Path, keys: Iterable[str] = ()) -> None:
        try:
            import cryptography  # noqa: F401

            super().__init__(folder, keys)
        except (ImportError, *BROKEN) as error:
            raise CannotCheck(f"expected whole keys and the package cryptography, found: {error}") from error
        if SUMMARY not in self.files:
            raise CannotCheck(f"expected an export or a proof in {folder}, found no {SUMMARY}")
        self.used |= {SUMS, "README.txt", "verify.py"}
        self.lake: dict[str, dict[str, Any]] = {}  # manifest -> its row of the index
        self.described: set[str] = set()  # bodies that have a row of the index
        self.sources: dict[str, list[str]] = {}  # manifest -> the manifests and bodies that it was made from
        self.run(self.what)
        if not self.faults:
            self.run(*(getattr(self, name) for name in GROUPS))

    def what(self) -> Iterator[Fault]:
        """The folder says what it is."""
        try:
            self.summary = dict(json.loads(self.read(SUMMARY)))
            known = self.summary["kind"] in (EXPORT, PROOF) and all(
                self.summary[name] for name in ("origin", "sessions")
            )
        except BROKEN as error:
            yield Fault("SUMMARY", SUMMARY, f"it cannot be read: {error}")
            return
        if not known:
            yield Fault("SUMMARY", SUMMARY, "it does not say what this is")

    def index(self) -> Iterator[Fault]:
        """Every row of the index was sealed by an entry of the log."""
        sealed: dict[str, set[str]] = {table: set() for table in TABLES}
        last = dict.fromkeys(TABLES, 0)
        for body in sorted(
            (body for _, body in self.entries["index_rows"].values()), key=lambda body: int(body["first"])
        ):
            if body["first"] <= last[body["table"]]:
                yield Fault("INDEX_SEAL", f"{body['table']} {body['first']}", "rows were sealed twice")
            last[body["table"]] = body["last"]
            sealed[body["table"]] |= set(body["rows"])
        text = self.read(ROWS).decode()
        lines, order = text.removesuffix("\n").split("\n"), list[tuple[str, int]]()
        for line in lines:
            try:
                table, values = json.loads(line)
                columns, name = TABLES[table]
                row = dict(zip(columns, values, strict=True))
            except BROKEN as error:
                yield Fault("INDEX_ROW", ROWS, f"{line[:40]} is no row: {error}")
                continue
            order.append((table, -row["seq"]))
            if sha256(plain(values).encode()).hex() not in sealed[table] or line != plain([table, values]):
                yield Fault("INDEX_ROW", f"{table} {row['seq']}", "the log has not sealed this row", (row[name],))
            elif table == "lake_index":
                self.lake[row[name]] = row
            else:
                self.described.add(row[name])
        if order != sorted(set(order), reverse=True) or not text.endswith("\n"):
            yield Fault("INDEX_ROW", ROWS, "the rows do not stand in their order, each once")
        self.told["index"] = f"{len(lines)} rows, each sealed by the log"

    def store(self) -> Iterator[Fault]:
        """Objects, manifests and bodies have the bytes that their names say, and what they were made from is here."""
        bodies: set[str] = set()
        for _, body in self.entries["decision"].values():
            bodies |= set(body["versions"].values()) if body["session"] in self.summary["sessions"] else set()
        known = {tuple(row[name] for name in INPUT) for row in self.lake.values()}
        for digest, row in self.lake.items():
            yield from self._file("OBJECT", row["uri"], row["file_sha256"], digest)
            name = f"manifests/{row['asset']}/{row['partition']}/{digest}.json"
            faults = list(self._file("MANIFEST", name, digest, digest))
            yield from faults
            if not faults:
                manifest = json.loads(self.read(f"store/{name}"))
                yield from self._manifest(digest, row, manifest, known)
                bodies |= set(manifest["blobs"])
        for digest in sorted(bodies):
            yield from self._file("BODY", f"blobs/{digest[:2]}/{digest}.gz", digest, digest)
        self.told["store"] = f"{len(self.lake)} objects, {len(bodies)} bodies, and all that they were made from"

    def _manifest(
        self, digest: str, row: dict[str, Any], manifest: Any, known: set[tuple[Any, ...]]
    ) -> Iterator[Fault]:
        where, inputs = f"{row['asset']} {row['partition']}", manifest["inputs"]
        self.sources[digest] = [item["manifest_sha256"] for item in inputs] + manifest["blobs"]
        other = [name for name in IN_MANIFEST if manifest[name] != row[name]]
        if other:
            yield Fault("MANIFEST_OTHER", where, f"its manifest differs from its row: {', '.join(other)}", (digest,))
        for item in inputs:
            if tuple(item[name] for name in INPUT) not in known:
                yield Fault(
                    "INPUT_MISSING", where, f"its input {item['asset']} {item['partition']} is not here", (digest,)
                )
        for name in sorted(set(manifest["blobs"]) - self.described):
            yield Fault("BODY_MISSING", where, f"no row describes the body {name}", (digest,))

    def _file(self, code: str, name: str, digest: str, touches: str) -> Iterator[Fault]:
        if f"store/{name}" not in self.files:
            yield Fault(f"{code}_MISSING", name, "it is not here", (touches,))
            return
        data = self.read(f"store/{name}")
        if sha256(_unpacked(data) if code == "BODY" else data).hex() != digest:
            yield Fault(code, name, "it was altered", (touches,))

    def decisions(self) -> Iterator[Fault]:
        """Every order was approved: cutoff, decision, verdict, frozen batch, intent, events, in this order and of one content."""
        intents, decisions = self.entries["order_intent"], self.entries["decision"]
        named: set[str] = set()
        for key, (seq, batch) in self.entries["batch_frozen"].items():
            if self._judged(batch["session"]):
                names = sorted(order["client_order_id"] for order in batch["orders"])
                problem = _batch_problem(
                    seq, batch, decisions.get(batch["session"]), [intents.get(name) for name in names]
                )
                if problem or named & set(names):
                    yield Fault(
                        "BATCH", f"entry {seq}", f"batch {key}: {problem or 'an order is in two batches'}", entry=seq
                    )
                named |= set(names)
        for name, (seq, intent) in intents.items():
            if self._judged(intent["session"]) and (name not in named or intent["client_order_id"] != name):
                yield Fault("ORDER", f"entry {seq}", f"order {name} belongs to no frozen batch", entry=seq)
        for kind in ("order_event", "order_final"):
            for key, (seq, _) in self.entries[kind].items():
                order = key.partition("/")[0]
                if intents.get(order, (seq,))[0] >= seq and self.summary.get("order", order) == order:
                    yield Fault("EVENT", f"entry {seq}", f"{kind} {key} is about an order without intent", entry=seq)
        for key, (seq, decision) in decisions.items():
            if self._judged(key) and self.entries["session_cutoff"].get(key, (seq,))[0] >= seq:
                yield Fault(
                    "CUTOFF", f"entry {seq}", f"decision {key} was made before its cutoff was recorded", entry=seq
                )
            if key in self.summary["sessions"]:
                yield from self._chain(f"decision {key}", key, decision)
        self.told["decisions"] = f"{len(decisions)} of sessions, {len(intents)} orders, each approved as it was frozen"

    def _judged(self, session: str) -> bool:
        return self.summary["kind"] == EXPORT or session in self.summary["sessions"]

    def _chain(self, where: str, session: str, decision: Any) -> Iterator[Fault]:
        for asset, digest in decision["manifests"].items():
            row = self.lake.get(digest, {"asset": "", "partition": "", "content_sha256": ""})
            held = (row["asset"], row["partition"], row["content_sha256"])
            if held != (asset, session, decision["outputs"][asset]):
                yield Fault("DECISION", where, f"its {asset} is not here with the values that it names", (digest,))
        behind = self._behind(decision)
        lacking = sorted(CHAIN - {self.lake[digest]["asset"] for digest in behind if digest in self.lake})
        lacking += [] if behind & self.described else ["any body as received"]
        lacking += sorted({"code", "environment"} - set(decision["versions"]))
        if lacking:
            yield Fault(
                "CHAIN", where, f"it does not rest on {', '.join(lacking)}", tuple(decision["manifests"].values())
            )

    def _behind(self, decision: Any) -> set[str]:
        """Manifests and bodies that a decision rests on."""
        behind, waiting = set[str](), list(decision["manifests"].values())
        while waiting:
            digest = waiting.pop()
            waiting += [] if digest in behind else self.sources.get(digest, [])
            behind.add(digest)
        return behind

    def answers(self) -> Iterator[Fault]:
        """Each answer of a language model behind a decision, and its question, were in the log before the decision."""
        calls: dict[tuple[str, str] | None, int] = {}
        for seq, body in self.entries["llm_call"].values():
            call = (body["request_sha256"], body["answer_sha256"])
            calls[call] = min(seq, calls.get(call, seq))
        found = set[str]()
        for session in sorted(set(self.summary["sessions"]) & set(self.entries["decision"])):
            decided, decision = self.entries["decision"][session]
            tables = [one for one in self._behind(decision) if self.lake.get(one, {}).get("asset") == ASKED]
            for digest in sorted({body for one in tables for body in self.sources[one]} - set(self.lake)):
                pair = _asked(_unpacked(self.read(f"store/blobs/{digest[:2]}/{digest}.gz")).decode())
                if pair is not None and calls.get(pair, decided) >= decided:
                    yield Fault(
                        "ANSWER", f"decision {session}", f"the log did not hold the answer in {digest}", (digest,)
                    )
                found |= {digest} if pair is not None else set()
        what = f"{len(found)} of language models, each in the log before what rests on it"
        self.told["answers"] = what if found else "of language models: none"

    def contents(self) -> Iterator[Fault]:
        """The folder says what it is, and holds nothing else."""
        sessions = self.summary["sessions"]
        intents = [body for _, body in self.entries["order_intent"].values() if body["session"] in sessions]
        expected = {
            "format": FORMAT,
            "kind": PROOF if "order" in self.summary else EXPORT,
            "sessions": sorted(set(sessions)),
        }
        expected |= {"order": self.summary["order"]} if "order" in self.summary else {}
        expected |= {"origin": self.head.origin, "size": self.head.size, "root": self.head.root.hex()}
        counts = {
            "entries": len(self.seen),
            "orders": len(intents),
            "objects": len(self.lake),
            "heads": len(self.notes) - 1,
        }
        expected["counts"] = counts | {"bodies": sum(name.startswith("store/blobs/") for name in self.files)}
        known = expected.get("order") is None or expected["order"] in [body["client_order_id"] for body in intents]
        if (
            self.read(SUMMARY).decode() != summary_text(expected)
            or set(sessions) - set(self.entries["decision"])
            or not known
        ):
            yield Fault("SUMMARY", SUMMARY, "it does not say what is here")
        for name in sorted(set(self.files) - self.used):
            yield Fault("EXTRA", name, "nothing here names this file")
        digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(self.files.items())}
        digests.pop(SUMS, None)
        listed = self.read(SUMS).decode()
        for name, digest in digests.items():
            if f"{digest}  {name}\n" not in listed:
                yield Fault("FILE", name, f"it is not the file that {SUMS} lists")
        if listed != sums_text(digests):
            yield Fault("FILE", SUMS, "it does not list the files that are here")
        self.told["contents"] = f"{len(self.files)} files, as listed"

    def rests_on(self, fault: Fault) -> dict[str, Any]:
        """What cannot be trusted because of a fault: entries from `since` on, objects made from what it touches, orders."""
        found, waiting = set[str](), list(fault.touches)
        users: dict[str, list[str]] = {}
        for manifest, sources in self.sources.items():
            for source in sources:
                users.setdefault(source, []).append(manifest)
        while waiting:
            digest = waiting.pop()
            waiting += [] if digest in found else users.get(digest, [])
            found.add(digest)
        decided = {
            key for key, (_, body) in self.entries["decision"].items() if found & set(body["manifests"].values())
        }
        since = None if fault.entry is None else max(size for size in self.good if size <= fault.entry)
        orders = [
            name
            for name, (seq, body) in self.entries["order_intent"].items()
            if body["session"] in decided or (since is not None and seq >= since)
        ]
        objects = [
            f"{self.lake[digest]['asset']} {self.lake[digest]['partition']}" for digest in found if digest in self.lake
        ]
        return {"since": since, "objects": sorted(objects), "orders": sorted(orders)}


def summary_text(summary: Mapping[str, Any]) -> str:
    """What the folder is, as it stands in export.json."""
    return json.dumps(summary, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def sums_text(digests: Mapping[str, str]) -> str:
    """The list of all files as `sha256sum --check` reads it. `digests`: path -> SHA-256 in hex."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def _unpacked(data: bytes) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        body = unpack.decompress(data, BODY_BYTES_MAX)
    except zlib.error:
        return b""
    return body if unpack.eof and not unpack.unused_data else b""


def _asked(text: str) -> tuple[str, str] | None:
    """Hashes of question and answer of one try of a language model; None for another body, and for a try without an answer."""
    parts, at, read = dict[str, str](), 1, json.JSONDecoder().raw_decode
    while text[at : at + 1] == '"':
        name, begin = read(text, at)
        end = read(text, begin + 1)[1]
        parts[name] = text[begin + 1 : end]
        at = end + 1
    if not {"attempt", "request", "answer"} <= set(parts) or parts["answer"] == "null":
        return None
    return sha256(parts["request"].encode()).hex(), sha256(parts["answer"].encode()).hex()


def _batch_problem(
    seq: int, batch: Any, decided: tuple[int, Any] | None, intents: Sequence[tuple[int, Any] | None]
) -> str | None:
    known = [intent for intent in intents if intent is not None and intent[0] > seq]
    if len(known) != len(intents):
        return "an order has no intent after it"
    if decided is None or decided[0] >= seq:
        return "there is no decision before it"
    orders = json.dumps([body for _, body in known], sort_keys=True, separators=(",", ":"))
    digests = {sha256(orders.encode()).hex(), batch["batch_sha256"]}
    if len(digests | ({decided[1]["facts"]["batch_sha256"]} if intents else set())) != 1:
        return "its orders are not those that were approved"
    if intents and {decided[1]["facts"]["verdict"], batch["verdict"]} != {"APPROVED"}:
        return "its orders do not have the verdict APPROVED"
    return None


def report(audit: Audit) -> list[str]:
    """The check in lines for people."""
    lines = [
        f"{'OK' if name in audit.told else 'FAULT':<7}{name:<11}{audit.told.get(name, '')}".rstrip() for name in GROUPS
    ]
    for place, fault in enumerate(audit.faults[:SHOWN]):
        lines.append(f"{'' if place else 'first':<7}{fault.code} {fault.where}: {fault.message}")
    if len(audit.faults) > SHOWN:
        lines.append(f"       and {len(audit.faults) - SHOWN} more")
    if audit.faults:
        rests = audit.rests_on(audit.faults[0])
        lines += [] if rests["since"] is None else [f"       entries from {rests['since']} on cannot be trusted"]
        for what in ("objects", "orders"):
            names = rests[what]
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines += [f"       {len(names)} {what} rest on it: {', '.join(names[:SHOWN])}{more}"] if names else []
    if not any(key.kind == LOG for key in audit.given):
        lines.append(f"NOTE   keys       {OWN_KEYS}")
    return [*lines, f"NOTE   not shown  {LIMITS[0]}", f"{'':<18}{LIMITS[1]}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Checks an audit export or the proof of an order.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument(
        "--key", action="append", default=[], help="a public key that you have from elsewhere; may be repeated"
    )
    given = parser.parse_args(arguments)
    try:
        audit = Audit(given.folder, given.key)
    except CannotCheck as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    print("\n".join(report(audit)))
    return 1 if audit.faults else 0


if __name__ == "__main__":
    sys.exit(main())
