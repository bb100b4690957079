"""Whoever owns the database, all its defences off, still changes nothing unseen before the last checkpoint that someone keeps."""

import sqlite3
from collections.abc import Callable

import naive_merkle as naive
import pytest
from ledger_shelves import Shelf, SqliteShelf

from marketbot_resources.ledger.examine import check_head, examine, first_fault
from marketbot_resources.ledger.note import Checkpoint

COUNT, KEPT = 20, 13
DATA = [b'{"body":{"n":%d},"key":"f%d","kind":"fill"}' % (n, n) for n in range(COUNT)]
FORGED = b'{"body":{"n":9999},"key":"f3","kind":"fill"}'
Forge = Callable[[Shelf], list[str]]


def leaf(data: bytes) -> bytes:
    return naive.sha256(b"\x00" + data)


def records(*data: bytes, leaves: bool = True, first: int = 3) -> Forge:
    """Other records from entry 3 on, with their leaf hashes or without."""

    def statements(shelf: Shelf) -> list[str]:
        return [
            f"update $entry set record = {shelf.blob(each)}"
            + (f", leaf = {shelf.blob(leaf(each))}" if leaves else "")
            + f" where seq = {first + n}"
            for n, each in enumerate(data)
        ]

    return statements


def plain(*statements: str) -> Forge:
    return lambda shelf: list(statements)


def whole(shelf: Shelf) -> list[str]:
    """The perfect forgery: another record, its leaf, and every node above it."""
    nodes = naive.complete([*DATA[:3], FORGED, *DATA[4:]])
    return records(FORGED)(shelf) + [
        f"update $node set hash = {shelf.blob(digest)} where level = {level} and place = {place}"
        for (level, place), digest in nodes.items()
    ]


def tail(count: int) -> list[str]:
    """A clean cut: the last entries, their nodes, and the number of entries where it is stored."""
    return [f"delete from $entry where seq >= {count}"] + [
        f"delete from $node where level = {level} and (place + 1) * {1 << level} > {count}" for level in range(1, 6)
    ]


# name, statements, first fault in the ledger itself (None: it looks whole), what the head of KEPT entries contradicts
ATTACKS: list[tuple[str, Forge, str | None, str | None]] = [
    ("record", records(FORGED, leaves=False), "LEAF", "ROOT"),
    ("leaf", plain("update $entry set leaf = (select leaf from $entry where seq = 4) where seq = 3"), "LEAF", None),
    ("record and leaf", records(FORGED), "NODE", "ROOT"),
    ("record, leaf and all nodes", whole, None, "ROOT"),
    ("kind", plain("update $entry set kind = 'other' where seq = 3"), "COLUMN", None),
    ("key", plain("update $entry set key = 'other' where seq = 3"), "COLUMN", None),
    ("key in the record", records(FORGED.replace(b"f3", b"f99")), "COLUMN", "ROOT"),
    ("order of fields", records(b'{"key":"f3","kind":"fill","body":{"n":3}}'), "RECORD", "ROOT"),
    ("blanks", records(DATA[3].replace(b":3", b": 3")), "RECORD", "ROOT"),
    ("a field twice", records(DATA[3].replace(b'"n":3', b'"n":4,"n":3')), "RECORD", "ROOT"),
    ("a further field", records(DATA[3].replace(b'"fill"', b'"fill","z":1')), "RECORD", "ROOT"),
    ("no number", records(DATA[3].replace(b":3", b":NaN")), "RECORD", "ROOT"),
    ("a huge number", records(DATA[3].replace(b":3", b":1" + b"0" * 5000)), "RECORD", "ROOT"),
    ("no JSON", records(b"\xff\x00garbage"), "RECORD", "ROOT"),
    ("JSON without end", records(b"[" * 60_000), "RECORD", "ROOT"),
    ("an array", records(b"[1]"), "RECORD", "ROOT"),
    ("no body", records(b'{"body":[],"key":"f3","kind":"fill"}'), "RECORD", "ROOT"),
    ("an entry less", plain("delete from $entry where seq = 3"), "GAP", "TRUNCATED"),
    ("the first entry less", plain("delete from $entry where seq = 0"), "GAP", "TRUNCATED"),
    ("a number jumped", plain("update $entry set seq = 1000 where seq = 19"), "GAP", None),
    (
        "an entry less, the rest renumbered",
        plain(
            "delete from $entry where seq = 3",
            "update $entry set seq = -seq where seq > 3",
            "update $entry set seq = -seq - 1 where seq < 0",
        ),
        None,
        "ROOT",
    ),
    (
        "two entries swapped",
        plain(
            "update $entry set seq = -1 where seq = 3",
            "update $entry set seq = 3 where seq = 6",
            "update $entry set seq = 6 where seq = -1",
        ),
        "NODE",
        "ROOT",
    ),
    (
        "a node",
        plain("update $node set hash = (select leaf from $entry where seq = 0) where level = 2 and place = 1"),
        "NODE",
        None,
    ),
    ("a node less", plain("delete from $node where level = 2 and place = 1"), "NODE", None),
    ("a level less", plain("delete from $node where level = 4"), "NODE", None),
    ("a node more", plain("insert into $node select 5, 0, leaf from $entry where seq = 0"), "NODE", None),
    ("the tail", plain("delete from $entry where seq >= 8"), None, "TRUNCATED"),
    ("the tail with its nodes", plain(*tail(8)), None, "TRUNCATED"),
    ("everything", plain(*tail(0)), None, "TRUNCATED"),
]
# Faults that depend on what the database stores beside the entries: the number of entries is a row in PostgreSQL.
DIFFERENT = {
    ("an entry less, the rest renumbered", "sqlite"): "NODE",
    ("an entry less, the rest renumbered", "postgres"): "TRUNCATED",
    ("the tail", "sqlite"): "NODE",
    ("the tail", "postgres"): "TRUNCATED",
    ("the tail with its nodes", "postgres"): "TRUNCATED",
    ("everything", "postgres"): "TRUNCATED",
}


def kept() -> Checkpoint:
    """The head that someone else keeps."""
    return Checkpoint("log", KEPT, naive.head(DATA[:KEPT]))


@pytest.mark.parametrize(("name", "forge", "inside", "outside"), ATTACKS, ids=[attack[0] for attack in ATTACKS])
def test_every_attack_is_found(name: str, forge: Forge, inside: str | None, outside: str | None, shelf: Shelf) -> None:
    """By the ledger itself or by a head that someone else keeps, under the right name."""
    opened = shelf.fresh()
    opened().append_all([("fill", f"f{n}", {"n": n}) for n in range(COUNT)])
    before = examine(opened())
    assert (before.faults, check_head(before.tree, kept(), "the witness")) == ((), None)
    shelf.attack(*forge(shelf))
    found = examine(opened())
    codes = [fault.code for fault in found.faults]
    assert codes[:1] == [code for code in [DIFFERENT.get((name, shelf.address()[0]), inside)] if code]
    against = check_head(found.tree, kept(), "the witness")
    assert (against.code if against else None) == outside
    assert (first_fault(opened()) is None) is (codes == [])
    assert all("\n" not in fault.message for fault in found.faults)


def test_a_cut_that_mends_the_stored_size_is_found_by_a_kept_head_alone(postgres_shelf: Shelf) -> None:
    """What the number of entries in PostgreSQL shows, its owner can mend, too."""
    opened = postgres_shelf.fresh()
    opened().append_all([("fill", f"f{n}", {"n": n}) for n in range(COUNT)])
    postgres_shelf.attack(*tail(8), "update $head set size = 8")
    found = examine(opened())
    fault = check_head(found.tree, kept(), "the witness")
    assert (found.faults, found.tree.size) == ((), 8)
    assert fault is not None
    assert (fault.code, fault.message) == ("TRUNCATED", "the witness knows 13 entries, the ledger holds 8")


def test_what_comes_after_the_last_kept_head_can_be_forged(shelf: Shelf) -> None:
    """The limit of the design: therefore a checkpoint leaves the house before the first order and after the close."""
    opened = shelf.fresh()
    opened().append_all([("fill", f"f{n}", {"n": n}) for n in range(COUNT)])
    shelf.attack(*tail(KEPT), f"update $head set size = {KEPT}" if shelf.address()[0] == "postgres" else "select 1")
    assert opened().append("fill", "f13", {"n": 1_000_000}).seq == KEPT
    found = examine(opened())
    assert (found.faults, check_head(found.tree, kept(), "the witness")) == ((), None)


def test_the_same_entry_twice_is_found(sqlite_shelf: SqliteShelf) -> None:
    """Where the table was made anew without its unique key."""
    opened = sqlite_shelf.fresh()
    opened().append_all([("fill", f"f{n}", {"n": n}) for n in range(3)])
    sqlite_shelf.attack(
        "create table other as select * from entry",
        "drop table entry",
        "alter table other rename to entry",
        "insert into entry select 3, kind, key, record, leaf from entry where seq = 1",
    )
    (first, *_) = examine(opened()).faults
    assert (first.code, first.where, first.message) == ("DOUBLE", "entry 3", "fill f1 is recorded twice")


@pytest.mark.parametrize(("table", "column"), [("entry", "seq"), ("node", "level"), ("checkpoint", "size")])
def test_sqlite_refuses_what_is_no_insert(table: str, column: str, sqlite_shelf: SqliteShelf) -> None:
    """Its triggers, which hold against mistakes; whoever owns the file can take them off."""
    ledger = sqlite_shelf.fresh()()
    ledger.append_all([("fill", "f0", {}), ("fill", "f1", {})])
    ledger.keep_checkpoint(1, "note")
    connection = sqlite3.connect(sqlite_shelf.address()[1], isolation_level=None)
    for statement in (f"delete from {table}", f"update {table} set {column} = 7"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
    connection.close()
    assert first_fault(ledger) is None
    assert ledger.checkpoints() == [(1, "note")]
