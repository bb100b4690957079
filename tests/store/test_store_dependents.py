"""What depends on what, for any store: the walk against a naive one, and what it costs."""

import random
from pathlib import Path

import pandas as pd
import pytest

from marketbot_resources.store.closure import closure, closures
from marketbot_resources.store.dependents import all_dependents, dependents
from marketbot_resources.store.index import BlobRow, IndexRow, Origin, read_of
from marketbot_resources.store.lake import Lake, manifest_key
from marketbot_resources.store.objects import LocalObjects
from marketbot_resources.store.table import Column, Table

DAYS = ("static", "2018-01-02", "2018-01-03", "2018-01-04")


def table(number: int) -> Table:
    return Table(f"asset{number}", "row", ("name",), (Column("name", "text", "n"),))


def grown(path: Path, seed: int) -> tuple[Lake, list[IndexRow], dict[str, set[str]]]:
    """A store of 30 random versions, several of them of one place, and what each was made from."""
    draw, lake = random.Random(seed), Lake(path)
    rows: list[IndexRow] = []
    made: dict[str, set[str]] = {}
    for number in range(30):
        inputs = draw.sample(rows, min(len(rows), draw.randint(0, 3)))
        blobs = [f"{number:064x}"] if draw.random() < 0.3 else []
        frame = pd.DataFrame({"name": [str(number)]})
        part = draw.choice(DAYS)
        asset = table(draw.randint(0, 9))
        origin = Origin("run", "code", str(number), {})
        row = lake.commit(frame, asset, part, reads=[read_of(r) for r in inputs], blobs=blobs, origin=origin)
        lake.index.add_blobs([BlobRow(b, "p", "p://", 200, "t", 1, "", "run", asset.asset, part) for b in blobs])
        rows.append(row)
        made[row.manifest_sha256] = {r.manifest_sha256 for r in inputs} | set(blobs)
    return lake, rows, made


def naive(made: dict[str, set[str]], starts: set[str]) -> set[str]:
    known = set(starts)
    while more := {name for name, sources in made.items() if name not in known and sources & known}:
        known |= more
    return known - starts


@pytest.mark.parametrize("seed", range(4))
def test_dependents_are_those_of_the_naive_walk(tmp_path: Path, seed: int) -> None:
    """From every object, every body, pairs of objects and an unknown hash; each once, after what it was made from."""
    lake, rows, made = grown(tmp_path, seed)
    names = [row.manifest_sha256 for row in rows]
    bodies = sorted({name for sources in made.values() for name in sources} - set(names))
    assert bodies
    pairs = [{names[0], names[3]}, {names[-1], names[5]}]
    for starts in [*({name} for name in [*names, *bodies]), *pairs, {"f" * 64}]:
        found = [row.manifest_sha256 for row in dependents(lake, starts)]
        assert sorted(found) == sorted(naive(made, starts))
        places = [(row.part != "static", row.part) for row in dependents(lake, starts)]
        assert places == sorted(places)
        for place, name in enumerate(found):
            same = [n for n in found[place:] if part_of(rows, n) == part_of(rows, name)]
            assert made[name].isdisjoint(same)


def part_of(rows: list[IndexRow], name: str) -> str:
    return next(row.part for row in rows if row.manifest_sha256 == name)


def folder(lake: Lake) -> Path:
    """Where the objects of a local lake lie."""
    assert isinstance(lake.objects, LocalObjects)
    return lake.objects.root


class Counting(LocalObjects):
    """Notes which objects are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def get(self, key: str, expected_sha256: str) -> bytes:
        self.read.append(key)
        return super().get(key, expected_sha256)


def test_only_what_is_younger_is_read(tmp_path: Path) -> None:
    """What a late object is used for costs the manifests from its own on, each once; an object of the middle more."""
    lake, rows, _ = grown(tmp_path, 2)
    for place in (29, 20, 5):
        lake.objects = Counting(folder(lake))
        dependents(lake, [rows[place].manifest_sha256])
        assert lake.objects.read == [manifest_key(r.asset, r.part, r.manifest_sha256) for r in rows[place:]]


def test_an_unreadable_manifest_is_named(tmp_path: Path) -> None:
    """What an altered or missing manifest used is not known: it is named and left out, with what depends on it through it."""
    lake, rows, made = grown(tmp_path, 1)
    start = next(row for row in rows if len(naive(made, {row.manifest_sha256})) > 3)
    victim = next(row for row in rows if start.manifest_sha256 in made[row.manifest_sha256])
    path = folder(lake) / manifest_key(victim.asset, victim.part, victim.manifest_sha256)
    path.unlink()
    found = all_dependents(lake, [start.manifest_sha256])
    without = {name: sources for name, sources in made.items() if name != victim.manifest_sha256}
    assert {row.manifest_sha256 for row in found.rows} == naive(without, {start.manifest_sha256})
    assert [row.manifest_sha256 for row in found.unreadable] == [victim.manifest_sha256]


@pytest.mark.parametrize("seed", range(3))
def test_closures_of_several_are_their_closures_together(tmp_path: Path, seed: int) -> None:
    """Walking down from several objects at once finds what walking from each finds, each once, with its inputs."""
    lake, rows, made = grown(tmp_path, seed)
    last = {row.manifest_sha256: row for row in rows[-5:]}
    together = closures(lake, list(last.values()), whole=True)
    apart = {link.row.manifest_sha256: link for row in last.values() for link in closure(lake, row, whole=True)}
    assert {link.row.manifest_sha256: link for link in together} == apart
    assert len(together) == len(apart)
    for link in together:
        assert set(link.reads) | set(link.blobs) == made[link.row.manifest_sha256]
        assert len(link.reads) == len(link.inputs)
