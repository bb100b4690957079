"""Two programs that share nothing with the project read what it gives away: Go's log packages, and one written from the RFC."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from export_forgery import Folder, edit, entry_with_leaf, signed_by_another
from export_world import World
from services import Go

FOREIGN = Path(__file__).parents[1] / "foreign"


@pytest.fixture(scope="session")
def verify_go(go: Go, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of golang.org/x/mod/sumdb."""
    return go.build(FOREIGN / "verify.go", tmp_path_factory.mktemp("go") / "verify")


def second(folder: Path) -> subprocess.CompletedProcess[str]:
    """The second implementation, which sees the standard library alone."""
    command = [sys.executable, "-I", "-S", str(FOREIGN / "second.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def with_go(program: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Go's packages, with the keys that the folder names."""
    keys = (folder / "vkey.txt").read_text(encoding="utf-8").split()
    return subprocess.run([program, str(folder), *keys], capture_output=True, text=True, check=False)


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_second_implementation_agrees(exported: Path, proven: Path) -> None:
    """Every root, every tile, every proof, from the definitions of RFC 6962."""
    assert said(second(exported)) == "export: 343 entries, 6 heads"
    assert said(second(proven)) == f"proof: {len(list((proven / 'entries').iterdir()))} entries of 343"


def test_the_second_implementation_finds_changes(exported: Path, world: World, tmp_path: Path) -> None:
    """It is no rubber stamp."""
    for number, forge in enumerate((entry_with_leaf, edit("tile/1/000.p/1", lambda data: data[::-1]))):
        folder = copy(exported, world, tmp_path / str(number))
        forge(folder)
        assert second(folder.path).returncode != 0


@pytest.mark.go
def test_go_agrees(verify_go: Path, exported: Path, proven: Path) -> None:
    """note.Open opens every head; tlog recomputes every root, proves every entry and every pair of heads from our tiles."""
    assert said(with_go(verify_go, exported)) == "export: 343 entries, 6 heads"
    assert said(with_go(verify_go, proven)) == f"proof: {len(list((proven / 'entries').iterdir()))} entries of 343"


@pytest.mark.go
def test_go_finds_changes(verify_go: Path, exported: Path, world: World, tmp_path: Path) -> None:
    """An entry with its leaf, a tile, a head of another key."""
    forgeries = (entry_with_leaf, edit("tile/1/000.p/1", lambda data: data[::-1]), signed_by_another)
    for number, forge in enumerate(forgeries):
        folder = copy(exported, world, tmp_path / str(number))
        forge(folder)
        assert with_go(verify_go, folder.path).returncode == 1


def copy(exported: Path, world: World, place: Path) -> Folder:
    return Folder(Path(shutil.copytree(exported, place)), world)


def test_the_second_implementation_is_short_and_its_own() -> None:
    """A hundred lines at most, nothing but the standard library."""
    text = (FOREIGN / "second.py").read_text(encoding="utf-8")
    imported = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert text.count("\n") <= 100
    assert imported <= set(sys.stdlib_module_names)
