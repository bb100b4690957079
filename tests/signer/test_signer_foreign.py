"""What the signer hands out is read by a tool that is not ours: Go's own reader of signed notes."""

import subprocess
from pathlib import Path

import pytest
from services import Go
from signer_world import ORIGIN, Home

from marketbot_resources.ledger.note import COSIGNATURE_V1, cosign, new_key


@pytest.fixture(scope="module")
def open_note(go: Go, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return go.build(Path(__file__).parent / "open_note.go", tmp_path_factory.mktemp("go") / "open_note")


def test_go_opens_every_note(open_note: Path, tmp_path: Path) -> None:
    """One key, two keys during a change, the new key after it, a witness's line beside; never an altered text."""
    home = Home(tmp_path)
    old = home.signer.create(ORIGIN).text

    def opened(note: str, *vkeys: str) -> str:
        done = subprocess.run([open_note, *vkeys], input=note.encode(), capture_output=True, timeout=30, check=False)
        return done.stdout.decode()

    def text(size: int) -> str:
        return home.checkpoint(size).text

    home.grow(5)
    first = home.sign(2)
    assert opened(first, old) == f"1\n{text(2)}"
    new = home.signer.rotate().text
    both = home.sign(3)
    assert opened(both, old, new) == f"2\n{text(3)}"
    assert opened(both, old) == opened(both, new) == f"1\n{text(3)}"
    last = home.sign(5)
    assert opened(last, new) == f"1\n{text(5)}"
    assert opened(last, old) == "note has no verifiable signatures\n"
    assert opened(first.replace("\n2\n", "\n3\n"), old).startswith("invalid signature for key")
    line = cosign(last, new_key("witness.test/w1", COSIGNATURE_V1), 1_545_692_400)
    assert opened(f"{last}{line}\n", new) == f"1\n{text(5)}"
