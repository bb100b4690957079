"""Columns kept as bodies: the bits come back, in 32 bits only where nothing is lost; an altered or foreign body is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from marketbot_assets.features import column_file
from marketbot_assets.features import expression as e
from marketbot_assets.features.engine import build
from marketbot_assets.features.plan import plan_of
from marketbot_resources.errors import StoreError

FROM = ["a" * 64, "b" * 64]


@settings(max_examples=25, deadline=None)
@given(arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True, width=64)))
def test_the_bits_come_back(values: np.ndarray) -> None:
    """Whatever the numbers are; only the sign and payload of a NaN are not kept."""
    found = column_file.decode(column_file.encode(values, FROM), FROM).astype(np.float64)
    known = ~np.isnan(values)
    assert found[known].tobytes() == values[known].tobytes()
    assert np.isnan(found[~known]).all()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(0.5, "<f4"), (16777216.0, "<f4"), (16777217.0, "<f8"), (0.1, "<f8"), (1e300, "<f8"), (float("nan"), "<f4")],
)
def test_thirty_two_bits_where_nothing_is_lost(value: float, kind: str) -> None:
    """24 binary digits fit; one number that does not fit takes the whole matrix to 64 bits."""
    found = column_file.decode(column_file.encode(np.array([[1.0, value]]), FROM), FROM)
    assert found.dtype == np.dtype(kind)
    assert found.shape == (1, 2)
    assert not found.flags.writeable


def test_every_altered_byte_is_found() -> None:
    """One bit anywhere, a body cut short, an empty one."""
    body = column_file.encode(np.arange(6.0).reshape(2, 3), FROM)
    for place in range(len(body)):
        altered = bytearray(body)
        altered[place] ^= 1
        with pytest.raises(StoreError, match="altered"):
            column_file.decode(bytes(altered), FROM)
    for cut in (body[:-1], body[:40], b""):
        with pytest.raises(StoreError, match="altered"):
            column_file.decode(cut, FROM)


@pytest.mark.parametrize("other", [[], FROM[:1], FROM[::-1], [*FROM, "c" * 64]])
def test_a_body_made_from_other_contents_is_refused(other: list[str]) -> None:
    """The contents, their number and their order."""
    with pytest.raises(StoreError, match="other contents"):
        column_file.decode(column_file.encode(np.ones((1, 1)), FROM), other)


def test_a_build_reads_a_kept_column_as_it_lies() -> None:
    """Matrices of 32 bits and columns out of a wider one give the bits of a copy in 64 bits."""
    x = np.round(np.random.default_rng(2).random((700, 9)) * 1024) / 8
    x[5, 3] = x[300:420, 4] = np.nan
    tree = e.given("x")
    plan = plan_of([e.deviation(tree, 20, 1), e.rank(tree, 30, 1), tree - e.lag(tree, 3)], frozenset())
    kept = column_file.decode(column_file.encode(x, FROM), FROM)
    assert kept.dtype == np.dtype("<f4")
    expected = build(plan, {"x": np.ascontiguousarray(x[:, 2:7])}, 1000).values
    assert np.array_equal(build(plan, {"x": kept[:, 2:7]}, 1000).values, expected, equal_nan=True)
