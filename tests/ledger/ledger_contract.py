"""The contract of the ledger port as numbered cases: each takes a shelf, which gives as many empty ledgers as it asks for.

Hashes are written out with hashlib over bytes written out by hand; roots come from `naive_merkle`.
"""

import datetime as dt
import hashlib
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import naive_merkle as naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_shelves import Growing, Shelf

from marketbot_resources.errors import Equivocation, LedgerError, StaleToken
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.examine import examine
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Json, Receipt, Row

EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ORDER = b'{"body":{"quantity":"5"},"key":"o1","kind":"order_intent"}'
RECORD_BYTES_MAX, NAME_BYTES_MAX = 65_535, 1_000
TEXT = st.text(st.characters(exclude_categories=("Cs",)))
NAME = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
EDGES = "aZ_%*\\\"'\x01\x7fäß\ud7ff\ue000\uffff\U00010000\U0010ffff"


class Case(Protocol):
    __name__: str

    def __call__(self, shelf: Shelf) -> None: ...


CASES: dict[str, Case] = {}


def case(check: Callable[[Shelf], None]) -> Callable[[Shelf], None]:
    CASES[check.__name__] = check
    return check


def few(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Hypothesis with so many examples, each of which writes to a disk."""
    return settings(max_examples=number, deadline=None)


def leaf(data: bytes) -> str:
    return hashlib.sha256(b"\x00" + data).hexdigest()


def fill(ledger: Ledger, count: int) -> list[bytes]:
    """Appends entries and gives their bytes."""
    ledger.append_all([("fill", f"f{n}", {"n": n}) for n in range(count)])
    return [b'{"body":{"n":%d},"key":"f%d","kind":"fill"}' % (n, n) for n in range(count)]


@case
def c01_an_empty_ledger_has_the_empty_root(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    assert (ledger.size(), ledger.head()) == (0, (0, EMPTY_ROOT))
    assert ledger.root(0).hex() == EMPTY_ROOT
    assert (ledger.get("fill", "f"), ledger.entries("fill"), ledger.checkpoints()) == (None, [], [])
    assert (list(ledger.rows()), list(ledger.nodes())) == ([], [])
    assert ledger.append_all([]) == []


@case
def c02_an_entry_is_its_canonical_bytes(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    assert ledger.append("order_intent", "o1", {"quantity": "5"}) == Receipt(0, leaf(ORDER), added=True)
    assert list(ledger.rows()) == [Row(0, "order_intent", "o1", ORDER, bytes.fromhex(leaf(ORDER)))]
    entry = ledger.get("order_intent", "o1")
    assert entry is not None
    assert (entry.seq, entry.kind, entry.key, entry.body, entry.hash) == (
        0,
        "order_intent",
        "o1",
        {"quantity": "5"},
        leaf(ORDER),
    )
    assert ledger.head() == (1, leaf(ORDER))


@case
def c03_the_same_again_is_the_entry_that_exists(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    first = ledger.append("k", "a", {"x": 1, "y": [1.5, None, True]})
    fill(ledger, 3)
    again = ledger.append("k", "a", {"y": [1.5, None, True], "x": 1})
    assert (again.seq, again.hash, first.added, again.added) == (first.seq, first.hash, True, False)
    assert ledger.size() == 4


@case
def c04_another_body_under_the_same_key_is_refused(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    ledger.append("order_intent", "o1", {"quantity": "5"})
    with pytest.raises(Equivocation, match=r"^ledger: order_intent o1 exists with another body") as failure:
        ledger.append("order_intent", "o1", {"quantity": "6"})
    assert "\n" not in str(failure.value)
    assert ledger.head() == (1, leaf(ORDER))
    assert ledger.append("order_event", "o1", {"quantity": "6"}).seq == 1


@case
def c05_a_batch_keeps_its_order(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    ledger.append("k", "c", {})
    names = ["d", "a", "c", "b", "a", "e"]
    receipts = ledger.append_all([("k", name, {}) for name in names])
    assert [receipt.seq for receipt in receipts] == [1, 2, 0, 3, 2, 4]
    assert [receipt.added for receipt in receipts] == [True, True, False, True, False, True]
    assert [receipt.hash for receipt in receipts] == [
        leaf(b'{"body":{},"key":"%s","kind":"k"}' % n.encode()) for n in names
    ]
    assert [entry.key for entry in ledger.entries("k")] == ["c", "d", "a", "b", "e"]


@case
def c06_a_batch_is_all_or_nothing(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    data = fill(ledger, 5)
    bad: list[dict[str, Json]] = [{"n": 7}, {"n": float("nan")}]
    for body in bad:
        batch: list[tuple[str, str, dict[str, Json]]] = [("k", "new", {}), ("fill", "f3", body), ("k", "newer", {})]
        with pytest.raises(LedgerError):
            ledger.append_all(batch)
        assert ledger.entries("k") == []
        assert ledger.head() == (5, naive.head(data).hex())
    with pytest.raises(Equivocation):
        ledger.append_all([("k", "new", {}), ("k", "new", {"other": 1})])
    assert ledger.append("k", "new", {}).seq == 5
    assert examine(ledger).faults == ()


@case
def c07_what_is_no_plain_json_is_refused(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    values: list[object] = [
        *(float("nan"), float("inf"), float("-inf"), 2**53, -(2**53), Decimal("1.5"), b"bytes", dt.date(2018, 1, 2)),
        *({1, 2}, {1: "x"}, {None: "x"}, "\ud800", {"\udfff": 1}, object(), deep),
    ]
    for value in values:
        with pytest.raises(LedgerError, match=r"^ledger: expected"):
            ledger.append("report", "r", {"x": value})  # type: ignore[dict-item]
    assert ledger.size() == 0


@case
def c08_an_entry_has_a_largest_size(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    bare = len('{"body":{"x":""},"key":"r1","kind":"report"}')
    with pytest.raises(LedgerError, match="at most 65535 bytes, found 65536 in report r1"):
        ledger.append("report", "r1", {"x": "a" * (RECORD_BYTES_MAX + 1 - bare)})
    ledger.append("report", "r1", {"x": "a" * (RECORD_BYTES_MAX - bare)})
    ledger.append("report", "r2", {"x": "ä" * ((RECORD_BYTES_MAX - bare) // 2)})
    assert [len(row.record) for row in ledger.rows()] == [
        RECORD_BYTES_MAX,
        RECORD_BYTES_MAX - (RECORD_BYTES_MAX - bare) % 2,
    ]


@case
def c09_kind_and_key_can_be_indexed(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    for kind, key in (
        ("k", "a\0b"),
        ("\0", "a"),
        ("k", "x" * NAME_BYTES_MAX),
        ("k" * NAME_BYTES_MAX, "ä"),
        ("k", "ä" * 500),
    ):
        with pytest.raises(LedgerError, match="expected a kind and key of at most 1000 bytes without NUL"):
            ledger.append(kind, key, {})
    noise = random.Random(5)
    longest = "".join(
        chr(noise.randrange(0x10000, 0x10FFFF)) for _ in range(249)
    )  # four bytes each, nothing to compress
    assert ledger.append("k", longest, {}).added
    assert ledger.append("", "", {}).added
    assert [entry.key for entry in ledger.entries("k", longest)] == [longest]


@case
def c10_any_text_comes_back(shelf: Shelf) -> None:
    json = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | TEXT
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    )

    @few(12)
    @given(st.dictionaries(st.tuples(NAME, NAME), st.dictionaries(TEXT, json, max_size=3), max_size=8))
    def check(contents: dict[tuple[str, str], dict[str, Json]]) -> None:
        ledger = shelf.fresh()()
        ledger.append_all([(kind, key, body) for (kind, key), body in contents.items()])
        for (kind, key), body in contents.items():
            entry = ledger.get(kind, key)
            assert entry is not None
            assert (entry.kind, entry.key, entry.body) == (kind, key, body)
        assert examine(ledger).faults == ()

    check()
    ledger = shelf.fresh()()
    ledger.append("numbers", "", {"x": [2.0**53, -6.902139520895246e16, 1e21, 5e-324, -0.0, 2**53 - 1]})
    assert ledger.entries("numbers")[0].body == {"x": [2.0**53, -6.902139520895246e16, 1e21, 5e-324, 0, 2**53 - 1]}
    assert examine(ledger).faults == ()
    ledger = shelf.fresh()()
    ledger.append("k", "\"'\\\x01\x7f\u2028", {"nul": "\0", "\0": "𝄞"})
    assert next(ledger.rows()).record == (
        b'{"body":{"\\u0000":"\xf0\x9d\x84\x9e","nul":"\\u0000"},"key":"\\"\'\\\\\\u0001\x7f\xe2\x80\xa8","kind":"k"}'
    )


@case
def c11_a_prefix_is_plain_text(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    keys = ["a_b/1", "axb/1", "a%b/1", "a*b/1", "a\\b/1", "A_b/1", "a_b", "a_", "b", "ab[c]", "abc"]
    ledger.append_all([("order_event", key, {}) for key in keys] + [("other", "a_b/2", {})])
    for prefix in ("a_b/", "a%", "a*", "a\\", "a_", "a[", "ab[", "a_b/1", "a_b/12", "", "A", "B"):
        assert [entry.key for entry in ledger.entries("order_event", prefix)] == [
            k for k in keys if k.startswith(prefix)
        ]


@case
def c12_a_prefix_may_end_anywhere_in_unicode(shelf: Shelf) -> None:
    word = st.text(st.sampled_from(EDGES), max_size=3)

    @few(12)
    @given(st.lists(word, unique=True, max_size=15), st.lists(word, max_size=8))
    def check(keys: list[str], prefixes: list[str]) -> None:
        ledger = shelf.fresh()()
        ledger.append_all([("k", key, {}) for key in keys])
        for prefix in [*prefixes, *EDGES]:
            assert [entry.key for entry in ledger.entries("k", prefix)] == [k for k in keys if k.startswith(prefix)]

    check()


@case
def c13_entries_come_in_the_order_of_appending(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    for key in ("b", "B", "ä", "a", "10", "9"):
        ledger.append("k", key, {})
        ledger.append("other", key, {})
    assert [(entry.seq, entry.key) for entry in ledger.entries("k")] == [
        *((0, "b"), (2, "B"), (4, "ä"), (6, "a"), (8, "10"), (10, "9"))
    ]


@case
def c14_the_root_is_that_of_a_tree_in_memory(shelf: Shelf) -> None:
    @few(10)
    @given(st.lists(st.lists(st.integers(0, 60), max_size=9), max_size=7))
    def check(batches: list[list[int]]) -> None:
        ledger, tree = shelf.fresh()(), merkle.Tree()
        data: list[bytes] = []
        for batch in batches:
            ledger.append_all([("k", str(n), {}) for n in batch])
            for n in batch:
                record = b'{"body":{},"key":"%d","kind":"k"}' % n
                if record not in data:
                    data.append(record)
                    tree.append(naive.sha256(b"\x00" + record))
            assert ledger.head() == (len(data), naive.head(data).hex()) == (tree.size, tree.root().hex())
        assert [ledger.root(size) for size in range(len(data))] == [
            naive.head(data[:size]) for size in range(len(data))
        ]
        assert {(level, place): digest for level, place, digest in ledger.nodes()} == naive.complete(data)

    check()


@case
def c15_proofs_from_stored_nodes_verify(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    data = fill(ledger, 77)

    @few(40)
    @given(st.integers(1, 77), st.integers(1, 77), st.integers(0, 76))
    def check(a: int, b: int, index: int) -> None:
        old, new = min(a, b), max(a, b)
        between = merkle.consistency_proof(old, new, ledger.node)
        assert merkle.verify_consistency(old, new, naive.head(data[:old]), naive.head(data[:new]), between)
        path = merkle.inclusion_proof(index % new, new, ledger.node)
        assert merkle.verify_inclusion(
            naive.sha256(b"\x00" + data[index % new]), index % new, new, path, naive.head(data[:new])
        )

    check()


@case
def c16_a_node_that_is_not_there_is_said(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    fill(ledger, 5)
    for level, place in ((0, 5), (1, 2), (3, 0)):
        with pytest.raises(LedgerError, match=f"expected node {place} of level {level}, found none"):
            ledger.node(level, place)
    with pytest.raises(LedgerError, match="expected node"):
        ledger.root(6)


@case
def c17_a_checkpoint_is_kept_once(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    fill(ledger, 3)
    for size in (3, 1, 2, 3):
        ledger.keep_checkpoint(size, f"log\n{size}\nroot\n\n— log ä\n")
    assert ledger.checkpoints() == [(size, f"log\n{size}\nroot\n\n— log ä\n") for size in (1, 2, 3)]
    with pytest.raises(Equivocation, match=r"^ledger: a checkpoint of size 2 exists with another text$"):
        ledger.keep_checkpoint(2, "another")
    assert len(ledger.checkpoints()) == 3
    assert ledger.size() == 3


@case
def c18_rows_come_in_pages(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    data = fill(ledger, 2_003)
    assert [row.record for row in ledger.rows()] == data
    for first, last in ((0, 0), (0, 1), (5, 1_003), (999, 2_000), (1_000, None), (2_002, 2_003), (2_003, None), (7, 3)):
        assert [row.seq for row in ledger.rows(first, last)] == list(range(2_003))[first:last]
    assert len(list(ledger.nodes())) == len(naive.complete(data))


@case
def c19_rows_can_be_read_while_others_append(shelf: Shelf) -> None:
    opened = shelf.fresh()
    reader, writer = opened(), opened()
    fill(writer, 1_500)
    found = []
    for row in reader.rows():
        if row.seq in (0, 900):
            writer.append("k", str(row.seq), {})
        found.append(row.seq)
    assert found == list(range(1_502))
    assert examine(Growing(reader, writer)).faults == ()
    assert reader.size() == 1_502 + 8


@case
def c20_a_ledger_opened_again_is_the_same(shelf: Shelf) -> None:
    opened = shelf.fresh()
    data = fill(opened(), 9)
    first, second = opened(), opened()
    assert first.head() == second.head() == (9, naive.head(data).hex())
    assert first.append("k", "a", {}).seq == 9
    assert not second.append("k", "a", {}).added
    assert second.append("k", "b", {}).seq == 10
    with pytest.raises(Equivocation):
        first.append("k", "b", {"x": 1})


@case
def c21_it_equals_a_dictionary_that_never_forgets(shelf: Shelf) -> None:
    @few(10)
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=12))
    def check(calls: list[tuple[str, int]]) -> None:
        ledger, twin = shelf.fresh()(), dict[str, int]()
        for key, value in calls:
            if twin.get(key, value) != value:
                with pytest.raises(Equivocation):
                    ledger.append("k", key, {"v": value})
            else:
                assert ledger.append("k", key, {"v": value}).added is (key not in twin)
                twin.setdefault(key, value)
        assert {entry.key: entry.body["v"] for entry in ledger.entries("k")} == twin
        assert examine(ledger).faults == ()

    check()


def token(ledger: Ledger, number: int, account: str = "acc") -> Fence:
    """Takes the number-th token of an account, as a sender does."""
    ledger.append("sending_fence", f"{account}/{number}", {"holder": f"{account} {number}"})
    return Fence(account, number)


@case
def c22_the_newest_token_appends(shelf: Shelf) -> None:
    opened = shelf.fresh()
    ledger, other = opened(), opened()
    first = token(ledger, 1)
    assert ledger.append("order_event", "o1/1", {"state": "SENDING"}, first) == Receipt(
        1, leaf(b'{"body":{"state":"SENDING"},"key":"o1/1","kind":"order_event"}'), added=True
    )
    assert not other.append("order_event", "o1/1", {"state": "SENDING"}, first).added
    receipts = ledger.append_all([("k", name, {}) for name in "abc"], first)
    assert [(receipt.seq, receipt.added) for receipt in receipts] == [(2, True), (3, True), (4, True)]
    with pytest.raises(Equivocation, match="order_event o1/1 exists with another body"):
        ledger.append("order_event", "o1/1", {"state": "ACKED"}, first)
    assert ledger.size() == 5
    assert examine(ledger).faults == ()


@case
def c23_a_stale_token_appends_nothing(shelf: Shelf) -> None:
    opened = shelf.fresh()
    ledger, other = opened(), opened()
    first = token(ledger, 1)
    ledger.append("order_event", "o1/1", {}, first)
    second = token(other, 2)
    told = r"^ledger: token 1 of account acc is not the newest; another run sends its orders$"
    for entries in ([("order_event", "o1/2", {})], [("order_event", "o1/1", {})], [("k", "a", {}), ("k", "b", {})]):
        with pytest.raises(StaleToken, match=told):
            ledger.append_all(entries, first)
    assert ledger.size() == 3
    assert other.append("order_event", "o1/2", {}, second).seq == 3
    assert ledger.append("k", "without a fence", {}).seq == 4


@case
def c24_a_token_is_of_one_account_and_must_exist(shelf: Shelf) -> None:
    ledger = shelf.fresh()()
    mine, deeper = token(ledger, 1), token(ledger, 2, "acc/1")
    token(ledger, 10), token(ledger, 1, "account")
    for unknown in (Fence("acc", 0), Fence("acc", 2), Fence("acc/1", 1), Fence("ac", 1), Fence("acc/", 1)):
        with pytest.raises(StaleToken):
            ledger.append("k", "a", {}, unknown)
    assert ledger.append("k", "a", {}, mine).added
    assert ledger.append("k", "b", {}, deeper).added


@case
def c25_one_holder_at_a_time(shelf: Shelf) -> None:
    opened = shelf.fresh()
    one, two = opened(), opened()
    with one.alone("sending/acc") as mine:
        with two.alone("sending/acc") as theirs, two.alone("sending/other") as elsewhere:
            assert (mine, theirs, elsewhere) == (True, False, True)
        with one.alone("sending/acc") as again:
            assert not again, "not even the holder has it twice"
        assert two.append("k", "a", {}).added, "appending needs no lock"
    with two.alone("sending/acc") as theirs:
        assert theirs
    with pytest.raises(KeyError), one.alone("sending/acc"):
        raise KeyError
    with two.alone("sending/acc") as theirs:
        assert theirs
