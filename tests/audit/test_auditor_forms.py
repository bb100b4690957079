"""What the standalone verifier takes for one form: records, base64, notes, keys, proofs; against other implementations."""

import base64
import struct

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.auditor_log import (
    parse_bundle,
    parse_key,
    parse_note,
    parse_proof,
    parse_record,
    root_of,
    roots_by_proof,
    tile_levels,
    unbase64,
)
from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.merkle import Tree, inclusion_proof, leaf_hash
from marketbot_resources.ledger.note import Checkpoint, new_key, sign_checkpoint
from marketbot_resources.ledger.record import is_canonical

BROKEN = (ValueError, ArithmeticError, LookupError, TypeError)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def encoded(body: object) -> bytes:
    return rfc8785.dumps({"kind": "k", "key": "x", "body": body})  # type: ignore[dict-item]


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_every_canonical_record_is_one(body: object) -> None:
    """Whatever RFC 8785 writes is read back."""
    kind, key, _ = parse_record(encoded(body))
    assert (kind, key) == ("k", "x")


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=8, max_size=8))
def test_every_double_has_one_form(raw: bytes) -> None:
    """The library of RFC 8785 and the verifier write every number alike."""
    (value,) = struct.unpack("d", raw)
    if value == value and abs(value) != float("inf"):
        parse_record(encoded(value))


@pytest.mark.parametrize(
    "body",
    [
        *(b"1.0", b"1e5", b"0.10", b"-0", b"1E-7", b"1e-07", b"NaN", b"Infinity", b"9007199254740993", b"1e400", b"01"),
        *(b"1152921504606846976", b'"\\u0041"', b'"\\/"', b'"\\ud800"', b"{}x", b"[1, 2]", b'{"b":1,"a":2}'),
        *(b'{"a":1,"a":1}', b'{"\\uffff":1,"\xf0\x90\x80\x80":2}', b"[" * 50_000),
    ],
)
def test_other_forms_are_refused(body: bytes) -> None:
    """Two byte strings never say the same; and nothing makes the reader fall over."""
    with pytest.raises((*BROKEN, RecursionError)):
        parse_record(b'{"body":' + body + b',"key":"x","kind":"k"}')


@settings(max_examples=200, deadline=None)
@given(VALUES, st.data())
def test_it_agrees_with_the_platform_on_changed_records(body: object, data: st.DataObject) -> None:
    """A byte of a canonical record is replaced: both say yes, or both say no."""
    record = bytearray(encoded(body))
    record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        ours = parse_record(bytes(record)) is not None
    except (*BROKEN, RecursionError):
        ours = False
    assert ours == (
        b'"key":"' in record and b'"kind":"' in record and b'{"body":' in record and platform(bytes(record))
    )


def platform(record: bytes) -> bool:
    try:
        return is_canonical(record)
    except (*BROKEN, LedgerError, RecursionError):
        return False


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", " QQ==", "QQ=", "Q-==", "QUJD=", "é==="])
def test_base64_has_one_form(text: str) -> None:
    """Spare bits, blanks and other alphabets are refused, which a plain decoder lets pass."""
    with pytest.raises(ValueError, match=r".*"):
        unbase64(text)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=70))
def test_base64_of_anything_is_read(data: bytes) -> None:
    """The inverse of the encoder."""
    assert unbase64(base64.b64encode(data).decode()) == data


def test_notes_that_are_none() -> None:
    """A good head is read; cut, padded or with another number form it is refused."""
    key = new_key("log.example")
    note = sign_checkpoint(Checkpoint("log.example", 12, bytes(32)), key)
    assert parse_note("x", note.encode()).size == 12
    changed = [note[:-1], note + "\n", note.replace("\n12\n", "\n012\n"), note.replace("\n12\n", "\n-1\n")]
    changed += [note.replace("\u2014", "-"), note.replace("\n\n", "\n"), "", note.replace("\n12\n", "\n\u0661\n")]
    for text in changed:
        with pytest.raises(BROKEN):
            parse_note("x", text.encode())
    for text in (key.public.text[:-4], key.public.text.replace("+", "-"), key.public.text.replace("log", "lag")):
        with pytest.raises(BROKEN):
            parse_key(text)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.data())
def test_one_proof_gives_both_roots(size: int, data: st.DataObject) -> None:
    """The root of the leaves up to the proven one and the root of all; a proof for another place gives neither."""
    tree = Tree()
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    for leaf in leaves:
        tree.append(leaf)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, size, tree.node)
    assert roots_by_proof(leaves[index], index, size, path) == (tree.root(index + 1), tree.root(size))
    assert root_of(tile_levels(leaves), index + 1) == tree.root(index + 1)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        try:
            assert roots_by_proof(leaves[index], other, size, path)[1] != tree.root(size)
        except ValueError:
            pass
    for wrong in (path[:-1], [*path, bytes(32)]):
        if len(wrong) != len(path):
            with pytest.raises((ValueError, AssertionError)):
                assert roots_by_proof(leaves[index], index, size, wrong)[1] == tree.root(size)


def test_bundles_and_proofs_that_are_none() -> None:
    """Another number of entries, a length that reaches beyond the end, another header."""
    assert parse_bundle(b"\0\2ab\0\0", 2) == [b"ab", b""]
    for data, count in ((b"\0\2ab", 2), (b"\0\3ab", 1), (b"\0", 1), (b"", 1), (b"\0\1ab", 1)):
        with pytest.raises(ValueError, match="bundle"):
            parse_bundle(data, count)
    for text in (
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v2\nindex 1\n\n",
        "c2sp.org/tlog-proof@v1\nindex 01\n\n",
    ):
        with pytest.raises(BROKEN):
            parse_proof(text)
