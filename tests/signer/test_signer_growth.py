"""The signer's one rule for any two sizes of any log: what continues its head is signed, everything else is not."""

import base64
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signer_world import naive_root, signers

from marketbot_resources.errors import LedgerError, SignerConflict, SignerRefused
from marketbot_resources.ledger.merkle import Tree, consistency_proof
from marketbot_resources.ledger.note import Checkpoint
from marketbot_resources.signer import Signer, Standing

SIZES = st.integers(0, 40)
ORIGIN = "marketbot.test/ledger"


def leaves(count: int, fork: int = 1_000) -> list[bytes]:
    """Leaf hashes of a log, another history from entry `fork` on."""
    return [hashlib.sha256(b"\0" + (b"a" if n < fork else b"b") + bytes([n])).digest() for n in range(count)]


def grown(count: int, fork: int = 1_000) -> Tree:
    tree = Tree()
    for leaf in leaves(count, fork):
        tree.append(leaf)
    return tree


def signed(signer: Signer, tree: Tree, old: int, new: int, fork: int = 1_000) -> Standing:
    return signer.sign(
        Checkpoint(ORIGIN, new, naive_root(leaves(new, fork))), old, consistency_proof(old, new, tree.node)
    )


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES)
def test_any_later_head_of_the_same_log_is_signed(first: int, second: int) -> None:
    """For every pair of sizes: the larger after the smaller is signed, the smaller after the larger is refused."""
    old, new = sorted((first, second))
    with tempfile.TemporaryDirectory() as folder:
        signer, tree = Signer(Path(folder) / "s"), grown(new)
        vkeys = [key.text for key in signer.create(ORIGIN).keys]
        start = signed(signer, tree, 0, old)
        end = signed(signer, tree, old, new)
        assert signers(str(end.note), vkeys) == vkeys
        root = base64.b64encode(naive_root(leaves(new))).decode()
        assert str(end.note).startswith(f"{ORIGIN}\n{new}\n{root}\n\n")
        if old < new:
            with pytest.raises(SignerRefused, match=f"at least the {new} entries"):
                signed(signer, tree, 0, old)
        else:
            assert start == end
        assert signer.standing() == end


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.data())
def test_no_head_of_another_history_is_signed(old: int, more: int, data: st.DataObject) -> None:
    """A log that differs in any entry that was signed gets no signature, whatever honest proof its own tree gives."""
    fork = data.draw(st.integers(0, old - 1))
    with tempfile.TemporaryDirectory() as folder:
        signer, other = Signer(Path(folder) / "s"), grown(old + more, fork)
        signer.create(ORIGIN)
        kept = signed(signer, grown(old), 0, old)
        with pytest.raises(SignerRefused):
            signed(signer, other, old, old + more, fork)
        assert signer.standing() == kept


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_no_bent_proof_is_accepted(old: int, more: int, data: st.DataObject) -> None:
    """A proof with a hash missing, doubled, swapped, altered or from another size is refused."""
    tree, new = grown(old + more), old + more
    proof = consistency_proof(old, new, tree.node)
    bent = list(proof)
    where = data.draw(st.integers(0, len(bent)))
    match data.draw(st.sampled_from(["add", "drop", "flip", "empty"])):
        case "add":
            bent.insert(where, data.draw(st.binary(min_size=32, max_size=32)))
        case "drop":
            del bent[where:]
        case "flip" if where < len(bent):
            bent[where] = bytes([bent[where][0] ^ 1]) + bent[where][1:]
        case _:
            bent = []
    with tempfile.TemporaryDirectory() as folder:
        signer = Signer(Path(folder) / "s")
        signer.create(ORIGIN)
        kept = signed(signer, tree, 0, old)
        head = Checkpoint(ORIGIN, new, tree.root(new))
        if bent == proof:
            assert signer.sign(head, old, bent).head == head
            return
        with pytest.raises(SignerRefused, match="does not continue"):
            signer.sign(head, old, bent)
        believed = data.draw(st.integers(0, 60).filter(lambda size: size != old))
        with pytest.raises(SignerConflict) as conflict:
            signer.sign(head, believed, proof)
        assert conflict.value.size == old
        assert isinstance(conflict.value, LedgerError)
        assert signer.standing() == kept
