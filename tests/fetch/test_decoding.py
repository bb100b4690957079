"""Unpacking while it arrives: what a whole-body unpacker gives, for any split, and never more than the bound."""

import gzip
import itertools
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_resources.errors import ProviderError
from marketbot_resources.fetch.decoding import BodyDecoder


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PACKED = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "deflate raw": raw_deflate,
}


def unpack(encoding: str, chunks: list[bytes], bytes_max: int = 1 << 20) -> bytes:
    decoder = BodyDecoder(encoding.removesuffix(" raw"), bytes_max)
    for chunk in chunks:
        decoder.feed(chunk)
    return decoder.finish()


@given(
    st.sampled_from(sorted(PACKED)), st.binary(max_size=2000) | st.just(bytes(300_000)), st.lists(st.integers(0, 4000))
)
def test_any_split_gives_the_body(encoding: str, body: bytes, cuts: list[int]) -> None:
    """Where the network cuts a packed body makes no difference."""
    packed = PACKED[encoding](body)
    places = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    assert unpack(encoding, [packed[a:b] for a, b in itertools.pairwise(places)]) == body


@pytest.mark.parametrize("size", [65535, 65536, 65537, 65800, 131073, 131330])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate raw"])
def test_what_the_unpacker_still_holds_comes_out(encoding: str, size: int) -> None:
    """All of the input may be taken in while output is still to come: at the border of the steps."""
    assert unpack(encoding, [PACKED[encoding](bytes(size))]) == bytes(size)


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_cut_body_is_never_a_body(body: bytes, data: st.DataObject) -> None:
    """Every proper beginning of a packed body is refused, but for no byte at all."""
    for encoding in ("gzip", "deflate", "deflate raw"):
        packed = PACKED[encoding](body)
        cut = data.draw(st.integers(1, len(packed) - 1))
        with pytest.raises(ProviderError, match="missing"):
            unpack(encoding, [packed[:cut]])
    assert unpack("gzip", []) == b""


@given(st.binary(min_size=30, max_size=300), st.data())
def test_an_altered_gzip_body_is_refused_or_the_same(body: bytes, data: st.DataObject) -> None:
    """The checksum at the end of gzip finds what the network did; only bits without a meaning may change."""
    packed = bytearray(gzip.compress(body))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = unpack("gzip", [bytes(packed)])
    except ProviderError:
        return
    assert found == body


def test_members_follow_each_other_and_nothing_else_does() -> None:
    """RFC 1952: gzip members are joined; other bytes behind the end are refused."""
    assert unpack("gzip", [gzip.compress(b"a") + gzip.compress(b"b")]) == b"ab"
    assert unpack("gzip", [gzip.compress(b"a"), gzip.compress(b"b")]) == b"ab"
    for packed, encoding in ((gzip.compress(b"a") + b"junk", "gzip"), (zlib.compress(b"a") + b"x", "deflate")):
        with pytest.raises(ProviderError):
            unpack(encoding, [packed])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "identity, gzip", "x" * 500])
def test_other_encodings_are_refused(encoding: str) -> None:
    """What was not offered is not read; the reason stays short."""
    with pytest.raises(ProviderError, match="gzip, deflate or plain") as caught:
        BodyDecoder(encoding, 10)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "deflate raw"])
def test_the_bound_is_exact(encoding: str) -> None:
    """A body of the bound passes, one byte more does not."""
    body = bytes(range(256)) * 40
    assert unpack(encoding, [PACKED[encoding](body)], len(body) + (100 if not encoding else 0)) == body
    with pytest.raises(ProviderError, match=f"at most {len(body) - 1} bytes"):
        unpack(encoding, [PACKED[encoding](body)], len(body) - 1)


def test_a_bomb_takes_no_memory() -> None:
    """100 MB in 100 kB, in one chunk, with a bound of 1 MB: less than 3 MB are ever held."""
    bomb = gzip.compress(bytes(100_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError, match="at most 1000000 bytes"):
            unpack("gzip", [bomb], 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_what_never_unpacks_to_anything_is_bounded_too() -> None:
    """Empty members without end have an endless size on the wire and none unpacked."""
    with pytest.raises(ProviderError, match="larger"):
        unpack("gzip", [gzip.compress(b"")] * 1000, 5000)
