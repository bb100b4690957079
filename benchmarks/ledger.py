"""The ledger at a million entries: appending, proving, verifying, and explaining one order of them in a fresh process.

python benchmarks/ledger.py            a million entries; writes benchmarks/LEDGER.md
python benchmarks/ledger.py --quick    twenty thousand entries; writes nothing

Peers of appending are the same records through a bare SHA-256 loop and through SQLite without a tree, interleaved. Every row is a
fresh process. Not here: how a child is measured (`measure`).
"""

import argparse
import hashlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import CHECKOUT, Sample, median_said, middle, run_child, say, table

RESULTS = Path(__file__).parent / "LEDGER.md"
WHOLE, QUICK = 1_000_000, 20_000
BATCH, SINGLES, PROOFS = 1_000, 300, 2_000
SESSIONS = ("2018-12-12", "2018-12-13")
COLD_TARGET = 1.0
SAID_BY_LEDGER = ("seconds", "single_s", "prove_s", "check_s")


def orders(count: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Intents of made-up orders as the ledger keeps them, each under an id of the real form."""
    for n in range(count):
        name = "mb1-" + hashlib.sha256(str(n).encode()).hexdigest()[:26]
        yield (
            "order_intent",
            name,
            {
                "client_order_id": name,
                "session": "2017-01-03",
                "batch_no": 1,
                "leg": "T",
                "kind": "EQUITY",
                "instrument": f"MB{n % 500:010d}",
                "mic": "XNYS",
                "side": "BUY" if n % 2 else "SELL",
                "quantity": str(n % 900 + 1),
                "limit_price": f"{n % 400 + 1}.25",
                "currency": "USD",
                "send_from": "2017-01-03T22:45:00Z",
                "send_until": "2017-01-04T14:28:00Z",
                "reason": "towards the target",
            },
        )


def records(count: int) -> Iterator[list[tuple[str, str, bytes]]]:
    """The same as record bytes, in batches; without fractions, plain JSON is canonical and ten times as quick to make."""
    batch = []
    for kind, key, body in orders(count):
        record = json.dumps({"body": body, "key": key, "kind": kind}, sort_keys=True, separators=(",", ":"))
        batch.append((kind, key, record.encode()))
        if len(batch) == BATCH:
            yield batch
            batch = []


# --- children ---------------------------------------------------------------------------------------------------------


def timed(
    batches: Iterator[list[tuple[str, str, bytes]]], each: Callable[[list[tuple[str, str, bytes]]], object]
) -> float:
    """Seconds inside `each`, the making of the records left out."""
    spent = 0.0
    for batch in batches:
        begun = time.perf_counter()
        each(batch)
        spent += time.perf_counter() - begun
    return spent


def child_bare(folder: str, count: str) -> None:
    """A SHA-256 of every record and nothing else."""
    found: list[bytes] = []
    say(
        {
            "seconds": timed(
                records(int(count)), lambda b: found.extend(hashlib.sha256(b"\0" + r).digest() for _, _, r in b)
            )
        }
    )


def child_plain(folder: str, count: str) -> None:
    """SQLite with the same table and durability, without hashes or tree."""
    connection = sqlite3.connect(Path(folder) / "plain.sqlite", isolation_level=None)
    connection.execute(
        "create table entry(seq integer primary key, kind text, key text, record blob, unique(kind, key))"
    )

    def insert(batch: list[tuple[str, str, bytes]]) -> None:
        connection.execute("begin immediate")
        connection.executemany("insert into entry(kind, key, record) values (?,?,?)", batch)
        connection.execute("commit")

    say({"seconds": timed(records(int(count)), insert)})


def child_ledger(folder: str, count: str) -> None:
    """The ledger, in batches; then single durable appends and proofs against it."""
    from marketbot_resources.ledger import merkle
    from marketbot_resources.ledger.sqlite import SqliteLedger

    ledger = SqliteLedger(Path(folder) / "ledger.sqlite")
    seconds = timed(records(int(count)), ledger._append)
    begun = time.perf_counter()
    for n in range(SINGLES):
        ledger.append("note", f"{folder}/{n}", {"n": n})
    single = (time.perf_counter() - begun) / SINGLES
    size, rng, made = ledger.size(), random.Random(1), []
    root = ledger.root(size)
    begun = time.perf_counter()
    for _ in range(PROOFS):
        index = rng.randrange(size)
        made.append((index, merkle.inclusion_proof(index, size, ledger.node)))
    proving = (time.perf_counter() - begun) / PROOFS
    leaves = [ledger.node(0, index) for index, _ in made]
    begun = time.perf_counter()
    good = [merkle.verify_inclusion(leaf, n, size, p, root) for leaf, (n, p) in zip(leaves, made, strict=True)]
    checking = (time.perf_counter() - begun) / PROOFS
    assert all(good)
    longest = max(len(proof) for _, proof in made)
    say({"seconds": seconds, "single_s": single, "prove_s": proving, "check_s": checking, "hashes": longest})


def child_home(folder: str, count: str) -> None:
    """A home with two sessions whose ledger then takes the orders of many others; its head is signed."""
    import os

    os.environ["MARKETBOT_HOME"] = folder
    sys.path.insert(0, str(CHECKOUT / "tests" / "graph"))
    from graph_world import Home

    from marketbot_resources.wiring import MandateResource, NotaryResource

    home = Home(Path(folder))
    for session in SESSIONS:
        assert home.run(session)
    lake = home.lake
    for batch in records(int(count)):
        lake.ledger._append(batch)
    head = NotaryResource().open(lake, MandateResource().load()).checkpoint()
    say({"size": head.size, "order": lake.ledger.entries("batch_frozen")[-1].body["orders"][0]["client_order_id"]})


def child_examine(folder: str, count: str) -> None:
    """Every row and node of the big ledger read and recomputed."""
    from marketbot_resources.ledger.examine import examine
    from marketbot_resources.ledger.sqlite import SqliteLedger

    begun = time.perf_counter()
    found = examine(SqliteLedger(Path(folder) / "ledger.sqlite"))
    assert not found.faults
    say({"seconds": time.perf_counter() - begun, "size": found.tree.size})


# --- the benchmark ----------------------------------------------------------------------------------------------------


def measured(folder: Path, count: int, repetitions: int) -> tuple[dict[str, list[Sample]], str]:
    """Samples by row, and the order that was explained."""
    samples: dict[str, list[Sample]] = {}

    def child(row: str, mode: str, where: Path, *, keep: bool = False) -> Sample:
        where.mkdir(parents=True, exist_ok=True)
        sample = run_child([__file__, "--child", mode, str(where), str(count)], log=folder / "log", environment={})
        samples.setdefault(row, []).append(sample)
        print(f"{row}: {sample.wall:.1f} s wall, {sample.cpu:.1f} s CPU", flush=True)
        if not keep:
            shutil.rmtree(where)
        return sample

    for n in range(repetitions):
        child("SHA-256 alone", "bare", folder / f"bare{n}")
        child("SQLite without a tree", "plain", folder / f"plain{n}")
        child("the ledger", "ledger", folder / f"ledger{n}")
    home = folder / "home"
    order = str(child("home", "home", home, keep=True).said["order"])
    child("examine", "examine", home, keep=True)
    for n in range(max(3, repetitions)):
        for row, words in {
            "explain": ["explain", order, "--json"],
            "prove": ["prove", order, "--json", "--out", str(folder / f"proof{n}")],
            "version": ["--version"],
        }.items():
            sample = run_child(
                ["-m", "marketbot_assets.cli", *words], log=folder / "log", environment={"MARKETBOT_HOME": str(home)}
            )
            samples.setdefault(row, []).append(sample)
            print(f"{row}: {sample.wall:.2f} s wall, {sample.cpu:.2f} s CPU", flush=True)
    return samples, order


def written(samples: dict[str, list[Sample]], count: int, repetitions: int) -> str:
    """The page."""
    bare = median_said(samples["SHA-256 alone"], "seconds")
    plain = median_said(samples["SQLite without a tree"], "seconds")
    ours, single, prove, check = (median_said(samples["the ledger"], name) for name in SAID_BY_LEDGER)
    against = f"{ours / plain:.2f} x SQLite without a tree, {ours / bare:.1f} x SHA-256 alone"
    disk = f"{single / (ours / count):.0f} x the same in a batch: the disk"
    hashes, examined = samples["the ledger"][-1].said["hashes"], samples["examine"][-1].said["size"]
    rows = [
        ("append, per entry in batches of 1,000", f"{ours / count * 1e6:.1f} us", against),
        ("append, one durable entry", f"{single * 1e3:.2f} ms", disk),
        ("inclusion proof from the stored nodes", f"{prove * 1e6:.0f} us", f"at most {hashes} hashes"),
        ("check of an inclusion proof", f"{check * 1e6:.0f} us", f"{check / prove:.2f} x making it"),
        ("every row and node recomputed", f"{median_said(samples['examine'], 'seconds'):.1f} s", f"{examined} entries"),
    ]
    cold = []
    for name in ("explain", "prove"):
        mid = middle(samples[name])
        outcome = "met" if mid.wall < COLD_TARGET else f"missed, {mid.wall / COLD_TARGET:.2f} x"
        what = f"`marketbot {name} ORDER`, a fresh process"
        cold.append((what, f"{mid.wall:.2f} s", f"{mid.peak:.0f} MiB", f"< {COLD_TARGET:.0f} s", outcome))
    start = middle(samples["version"])
    return "\n".join(
        [
            "# The ledger",
            "",
            "Written by `.venv/bin/python benchmarks/ledger.py`; absolute times belong to the machine, ratios are what counts.",
            f"{count:,} entries; appending {repetitions} times, interleaved with its peers; medians.",
            "",
            table(("what", "measured", "against"), rows),
            "",
            f"One order of {count:,}; its home holds two sessions. Starting the command line takes {start.wall:.2f} s of it.",
            "",
            table(("what", "wall", "peak", "limit", "outcome"), cold),
            "",
        ]
    )


def main() -> None:
    """The command line; `--child` is how the benchmark calls itself."""
    if sys.argv[1:2] == ["--child"]:
        mode, *words = sys.argv[2:]
        CHILDREN[mode](*words)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="marketbot-ledger-"))
    count, repetitions = (QUICK, 1) if given.quick else (WHOLE, given.repetitions)
    try:
        samples, order = measured(folder, count, repetitions)
        text = written(samples, count, repetitions)
        print(text, *_lines(samples, order), sep="\n")
        if not given.quick:
            RESULTS.write_text(text, encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lines(samples: dict[str, list[Sample]], order: str) -> Sequence[str]:
    """One JSON line per row."""
    found = []
    for name, each in samples.items():
        mid = middle(each)
        facts = {"cpu_s": round(mid.cpu, 2), "wall_s": round(mid.wall, 2), "peak_mib": round(mid.peak, 1)}
        found.append(json.dumps({"benchmark": "ledger", "row": name, "order": order, **facts, **dict(mid.said)}))
    return found


CHILDREN: dict[str, Callable[[str, str], None]] = {
    "bare": child_bare,
    "plain": child_plain,
    "ledger": child_ledger,
    "home": child_home,
    "examine": child_examine,
}

if __name__ == "__main__":
    main()
