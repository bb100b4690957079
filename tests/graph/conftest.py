"""Homes that several tests start from: made once, copied by each test."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "anchors"))  # witnesses as a user starts them
sys.path.append(str(Path(__file__).parents[1] / "store"))  # buckets that misbehave

from graph_world import FIRST, NEXT, ROOT, SECOND, Home
from shared_homes import home_of, one_thread

Write = Callable[..., None]


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """See `one_thread`."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two sessions from cash: a book with shares in three currencies and orders at the broker. Copy it, do not run in it."""
    return Home(home_of(tmp_path_factory, FIRST, SECOND))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The base and its next session, with nothing wrong. Copy it, do not run in it."""
    return Home(home_of(tmp_path_factory, FIRST, SECOND, NEXT))


@pytest.fixture
def home(base: Home, tmp_path: Path) -> Home:
    """The base, to be disturbed."""
    return base.copy(tmp_path / "home")


@pytest.fixture
def write_mandate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """write_mandate(old, new): from here on the mandate says something else."""

    def write(old: str, new: str) -> None:
        text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
        assert text.count(old) == 1
        path = tmp_path / "mandate.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        monkeypatch.setenv("MARKETBOT_MANDATE", str(path))

    return write
