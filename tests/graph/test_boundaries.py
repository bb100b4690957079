"""kill -9 at every boundary of a daily run, then the same session again: one book, one set of digests, no order twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from boundary_world import boundaries_of, run_again, run_and_die
from graph_invariants import assert_sound
from graph_world import NEXT, Home

from marketbot_resources.ledger.examine import examine
from marketbot_resources.store.inspection import index_faults, store_faults

pytestmark = pytest.mark.graph
SAMPLE, CHUNKS = 0, 10
READS = ("broker find", "broker report", "halt read")


@pytest.fixture(scope="module")
def boundaries(base: Home, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every boundary of the session, counted in a run that ends well."""
    return boundaries_of(base.copy(tmp_path_factory.mktemp("counted") / "home"))


def spread(names: Sequence[str], count: int) -> list[int]:
    """Boundary numbers: the last submission, which is the most dangerous, and some evenly spread ones."""
    dangerous = ("broker submit",)
    last = {name: number for number, name in enumerate(names, start=1) if name in dangerous}
    step = len(names) // (count + 1)
    return sorted({*last.values(), *range(step, step * count + 1, step)})


def assert_as_if_nothing_had_been(home: Home, undisturbed: Home) -> None:
    assert home.contents() == undisturbed.contents()
    assert home.at_broker() == undisturbed.at_broker()
    assert home.filled() == undisturbed.filled()
    assert home.end(NEXT).state == undisturbed.end(NEXT).state == "sent"
    assert_sound(home)
    lake = home.lake
    assert [*examine(lake.ledger).faults, *index_faults(lake), *store_faults(lake, contents=False)] == []
    assert lake.ledger.checkpoints()[-1][0] == lake.ledger.size(), "the whole ledger is signed"


def test_the_boundaries_are_those_of_a_whole_run(boundaries: list[str]) -> None:
    """Objects, index, ledger, broker, signer: what is counted is what a run writes, asks and signs."""
    kinds = {name.split(" ")[0] for name in boundaries}
    assert kinds == {"put", "index", "ledger", "broker", "notary", "halt"}
    assert boundaries.count("notary") == 2
    assert boundaries.index("notary") < boundaries.index("broker submit")
    assert len(boundaries) > 150


def test_killed_at_some_boundaries_a_run_ends_as_if_nothing_had_been(
    boundaries: list[str], base: Home, undisturbed: Home, tmp_path: Path
) -> None:
    """The most dangerous boundary, and a spread of `SAMPLE` others; the campaign takes them all."""
    for number in spread(boundaries, SAMPLE):
        home = base.copy(tmp_path / str(number))
        run_and_die(home, number, after=True)
        assert run_again(home), f"boundary {number}: {boundaries[number - 1]}"
        assert_as_if_nothing_had_been(home, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_killed_at_every_boundary_a_run_ends_as_if_nothing_had_been(
    chunk: int, boundaries: list[str], base: Home, undisturbed: Home, tmp_path: Path
) -> None:
    """The campaign: before the first boundary and after each that leaves something behind; mere questions leave nothing."""
    numbers = [0, *(n for n, name in enumerate(boundaries, start=1) if name not in READS)]
    for number in numbers[chunk::CHUNKS]:
        home = base.copy(tmp_path / str(number))
        run_and_die(home, max(number, 1), after=number > 0)
        assert run_again(home), f"boundary {number}: {boundaries[number - 1]}"
        assert_as_if_nothing_had_been(home, undisturbed)
        shutil.rmtree(home.path)
    print(f"{len(numbers[chunk::CHUNKS])} of {len(numbers)} kills, {len(boundaries)} boundaries")
