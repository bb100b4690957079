"""Servers that any test may ask for by a fixture, and the marks that skip such tests where a program is missing.

This file also puts its folder on the path: `from services import Postgres` works in every test.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from services import S3, Go, Postgres, Redis, lacking

# A property takes as long as a busy machine needs: a time limit would make it fail by chance.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

for _name in ("MARKETBOT_LEDGER", "MARKETBOT_INDEX", "MARKETBOT_STORE"):
    os.environ.pop(_name, None)  # tests write: never into the database or bucket of somebody who runs them
MARKS = ("postgres", "s3", "redis", "go")  # each the name of a fixture, too
ALONE = ("model",)
HEAVY = (
    "graph",
    "commands",
    "simulation",
    "research",
    "portfolio",
)  # folders whose files take longest: they begin first
MEMORY_DISK, ROOM_BYTES = Path("/dev/shm"), 6 << 30  # what the homes of a run take at once, several times over


def pytest_configure(config: pytest.Config) -> None:
    """Homes and servers lie on a disk in memory where one has room: a commit is as durable to whoever is killed, and waits less.

    A campaign, and whoever names a TMPDIR, keeps the disk.
    """
    if "TMPDIR" not in os.environ and not _is_campaign(config) and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY_DISK)  # also of the workers and of what tests start


def _is_campaign(config: pytest.Config) -> bool:
    return "long" in str(config.getoption("-m")) or bool(os.environ.get("MARKETBOT_LONG"))


def _has_room() -> bool:
    """Whether programs can be run there, and both it and the machine have room."""
    try:
        told = os.statvfs(MEMORY_DISK)
        memory = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1].split()[0]
    except (OSError, IndexError):
        return False
    return not told.f_flag & os.ST_NOEXEC and min(told.f_bavail * told.f_frsize, int(memory) * 1024) > ROOM_BYTES


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """The folder of a test that passed is emptied, yet its path is not given again: a process keeps open homes by path."""
    folder = (getattr(item, "funcargs", None) or {}).get("tmp_path")
    yield
    if folder is not None:
        folder.mkdir(exist_ok=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever asks for a server has its mark; whoever has a mark is skipped where the program is missing; campaigns wait."""
    items.sort(key=lambda item: item.path.parent.name not in HEAVY)
    asked = _is_campaign(config)
    for item in items:
        if item.get_closest_marker("long") and not asked:
            item.add_marker(pytest.mark.skip(reason="a campaign: make campaign"))
        for mark in (*MARKS, *ALONE):
            if mark in MARKS and mark in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
            reason = lacking(mark) if item.get_closest_marker(mark) else None
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL, one per worker. A test that stops or kills it starts it again, whatever happens."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A running S3 store, one per worker. A test that stops or kills it starts it again, whatever happens."""
    with S3() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A running Redis, one per worker. A test that stops or kills it starts it again, whatever happens."""
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def go() -> Go:
    """The Go compiler."""
    return Go()
