"""Trees and proofs are those of RFC 6962: published vectors, every small size, and nothing wrong is ever accepted."""

from collections.abc import Sequence

import naive_merkle as naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.ledger import merkle

SIZES = 129

# The eight leaves, roots and proofs of the reference tests of Certificate Transparency.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
# (leaf, size, proof)
INCLUSION = [
    (0, 1, []),
    (0, 2, [LEAF_1]),
    (1, 2, [ROOTS[0]]),
    (2, 3, [ROOTS[1]]),
    (1, 5, [ROOTS[0], NODE_2_3, LEAF_4]),
    (0, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
    (5, 8, [LEAF_4, NODE_6_7, ROOTS[3]]),
]
# (old, new, proof)
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
    (2, 5, [NODE_2_3, LEAF_4]),
    (6, 7, [NODE_4_5, LEAF_6, ROOTS[3]]),
    (6, 8, [NODE_4_5, NODE_6_7, ROOTS[3]]),
]


def tree_of(data: Sequence[bytes]) -> merkle.Tree:
    tree = merkle.Tree()
    for each in data:
        tree.append(merkle.leaf_hash(each))
    return tree


def many(count: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(count)]


TREE = tree_of(many(SIZES))


def test_roots_are_the_published_ones() -> None:
    """The empty tree and the trees of one to eight leaves have the roots of the reference tests."""
    assert merkle.EMPTY_ROOT.hex() == merkle.Tree().root().hex() == EMPTY
    tree = tree_of(LEAVES)
    assert [tree.root(size).hex() for size in range(9)] == [EMPTY, *ROOTS]
    assert [tree_of(LEAVES[:size]).root().hex() for size in range(9)] == [EMPTY, *ROOTS]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    """Made and verified as in the reference tests."""
    found = merkle.inclusion_proof(index, size, tree_of(LEAVES).node)
    assert [digest.hex() for digest in found] == proof
    assert merkle.verify_inclusion(
        naive.sha256(b"\x00" + LEAVES[index]), index, size, found, bytes.fromhex(ROOTS[size - 1])
    )


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, proof: list[str]) -> None:
    """Made and verified as in the reference tests."""
    found = merkle.consistency_proof(old, new, tree_of(LEAVES).node)
    assert [digest.hex() for digest in found] == proof
    assert merkle.verify_consistency(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), found)


def test_every_inclusion_proof_of_small_trees() -> None:
    """Every leaf of every size: the proof is that of the definition, and verifies for its own leaf only."""
    data = many(SIZES)
    for size in range(1, SIZES + 1):
        root = naive.head(data[:size])
        assert TREE.root(size) == root
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, TREE.node)
            leaf = naive.sha256(b"\x00" + data[index])
            assert merkle.verify_inclusion(leaf, index, size, proof, root), (index, size)
            other = naive.sha256(b"\x00" + data[(index + 1) % SIZES])
            assert not merkle.verify_inclusion(other, index, size, proof, root), (index, size)


def test_every_consistency_proof_of_small_trees() -> None:
    """Every pair of sizes verifies, and with no other root."""
    data = many(SIZES)
    roots = [naive.head(data[:size]) for size in range(SIZES + 1)]
    for new in range(SIZES + 1):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, TREE.node)
            assert merkle.verify_consistency(old, new, roots[old], roots[new], proof), (old, new)
            assert not merkle.verify_consistency(old, new, EMPTY.encode()[:32], roots[new], proof), (old, new)
            assert not merkle.verify_consistency(old, new, roots[old], roots[(new + 1) % SIZES], proof) or old == 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 21, 64, 100])
def test_proofs_are_those_of_the_definition(size: int) -> None:
    """Hash by hash against PATH and PROOF of RFC 6962."""
    data = many(size)
    tree = tree_of(data)
    for index in range(size):
        assert merkle.inclusion_proof(index, size, tree.node) == naive.path(index, data)
    for old in range(1, size):
        assert merkle.consistency_proof(old, size, tree.node) == naive.proof(old, data)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (7, 3)])
def test_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    """Asking for it is a mistake; offering one is refused."""
    with pytest.raises(ValueError, match="expected a leaf"):
        merkle.inclusion_proof(index, size, TREE.node)
    assert not merkle.verify_inclusion(TREE.node(0, 0), index, size, [], TREE.node(0, 0))


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_no_proof_towards_the_past(old: int, new: int) -> None:
    """A tree is never consistent with a smaller one."""
    with pytest.raises(ValueError, match="expected an old size"):
        merkle.consistency_proof(old, new, TREE.node)
    assert not merkle.verify_consistency(old, new, TREE.root(3), TREE.root(3), [])


def test_the_empty_tree_begins_every_tree_but_under_its_own_root_alone() -> None:
    """Size 0 needs no hashes, and has one root."""
    assert merkle.verify_consistency(0, 5, bytes.fromhex(EMPTY), TREE.root(5), [])
    assert not merkle.verify_consistency(0, 5, TREE.root(1), TREE.root(5), [])
    assert not merkle.verify_consistency(0, 5, bytes.fromhex(EMPTY), TREE.root(5), [TREE.root(5)])
    assert not merkle.verify_consistency(5, 5, TREE.root(5), TREE.root(5), [TREE.root(5)])


def bent(draw: st.DrawFn, proof: list[bytes], spare: bytes) -> list[bytes]:
    """The proof with one bit turned, one hash less, one more, or two in the other order."""
    ways = ["more"] + (["bit", "less"] if proof else []) + (["swap"] if len(proof) > 1 else [])
    way, place = draw(st.sampled_from(ways)), draw(st.integers(0, max(0, len(proof) - 1)))
    if way == "bit":
        bit = draw(st.integers(0, 255))
        turned = (int.from_bytes(proof[place], "big") ^ 1 << bit).to_bytes(32, "big")
        return [*proof[:place], turned, *proof[place + 1 :]]
    if way == "less":
        return [*proof[:place], *proof[place + 1 :]]
    if way == "swap":
        return [*proof[:-2], proof[-1], proof[-2]]
    more = draw(st.sampled_from([spare, b"", *proof]))
    return [*proof[:place], more, *proof[place:]]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_bent_inclusion_proof_is_refused(data: st.DataObject) -> None:
    """Any turned bit, missing or added hash."""
    size = data.draw(st.integers(1, SIZES))
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, TREE.node)
    wrong = st.composite(lambda draw: bent(draw, proof, TREE.root(size)))()
    leaf, root = TREE.node(0, index), TREE.root(size)
    assert not merkle.verify_inclusion(leaf, index, size, data.draw(wrong), root)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_bent_consistency_proof_is_refused(data: st.DataObject) -> None:
    """Any turned bit, missing or added hash."""
    new = data.draw(st.integers(1, SIZES))
    old = data.draw(st.integers(1, new))
    proof = merkle.consistency_proof(old, new, TREE.node)
    wrong = st.composite(lambda draw: bent(draw, proof, TREE.root(new)))()
    assert not merkle.verify_consistency(old, new, TREE.root(old), TREE.root(new), data.draw(wrong))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, SIZES), st.integers(1, SIZES), st.integers(0, SIZES - 1), st.integers(0, SIZES - 1))
def test_a_proof_holds_for_its_own_index_alone(size: int, other_size: int, index: int, other: int) -> None:
    """The same leaf under another number, or in a tree of another root, is refused."""
    index, other = index % size, other % size
    proof = merkle.inclusion_proof(index, size, TREE.node)
    leaf = TREE.node(0, index)
    assert merkle.verify_inclusion(leaf, other, size, proof, TREE.root(size)) is (other == index)
    if other_size != size:
        assert not merkle.verify_inclusion(leaf, index, size, proof, TREE.root(other_size))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, SIZES), st.integers(1, SIZES), st.integers(1, SIZES))
def test_a_consistency_proof_holds_for_its_own_root_alone(a: int, b: int, other: int) -> None:
    """The root of another size is refused on either side."""
    old, new = min(a, b), max(a, b)
    proof = merkle.consistency_proof(old, new, TREE.node)
    if other != old:
        assert not merkle.verify_consistency(old, new, TREE.root(other), TREE.root(new), proof)
    if other != new:
        assert not merkle.verify_consistency(old, new, TREE.root(old), TREE.root(other), proof)
