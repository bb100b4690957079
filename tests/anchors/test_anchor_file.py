"""A folder as an anchor: exact names, read-only files, and what it shows when someone has changed it."""

import stat
from pathlib import Path

import pytest
from anchor_world import ORIGIN, Log, forked, log

from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.errors import AnchorError, Equivocation
from marketbot_resources.ledger.note import new_key

FOLDER = ORIGIN.replace("/", "_")


def put(folder: Path, ours: Log, size: int) -> str:
    return open_anchor(f"file:{folder}").publish(ours.note(size), ours.vkey, ours.prove(size))


def test_names_modes_and_contents(tmp_path: Path) -> None:
    """One file per size, sorted by name as by size, read-only; the public key beside; nothing else is left."""
    ours = log()
    for size in (9, 10):
        put(tmp_path, ours, size)
    files = {path.name: path.read_text() for path in (tmp_path / FOLDER).iterdir()}
    assert files == {
        "000000000009.txt": ours.note(9),
        "000000000010.txt": ours.note(10),
        "vkey": f"{ours.vkey.text}\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / FOLDER).iterdir()} == {0o444}


def test_every_public_key_stays(tmp_path: Path) -> None:
    """A later key lies beside the first one; no file is written twice."""
    ours = log()
    later = Log(new_key(ORIGIN), 40)
    put(tmp_path, ours, 1)
    for size in (2, 3):
        put(tmp_path, later, size)
    put(tmp_path, ours, 4)
    keys = {path.name: path.read_text() for path in (tmp_path / FOLDER).glob("vkey*")}
    assert keys == {"vkey": f"{ours.vkey.text}\n", f"vkey-{later.vkey.key_id.hex()}": f"{later.vkey.text}\n"}


def replaced(path: Path, text: bytes) -> None:
    path.unlink()
    path.write_bytes(text)


def test_a_changed_file_is_shown_as_it_is(tmp_path: Path) -> None:
    """Nothing is believed or hidden: the caller sees the other text and checks its signature."""
    ours = log()
    put(tmp_path, ours, 3)
    path = tmp_path / FOLDER / "000000000003.txt"
    other = forked(ours, 1).note(3)
    replaced(path, other.encode())
    anchor = open_anchor(f"file:{tmp_path}")
    assert anchor.notes(ours.vkey) == [other]
    with pytest.raises(Equivocation, match="another root for 3 entries"):
        put(tmp_path, ours, 3)
    for junk in (b"", b"\xff\xfe nonsense", b"x" * 100_000, ours.note(3)[:-9].encode()):
        replaced(path, junk)
        (shown,) = anchor.notes(ours.vkey)
        assert shown == junk.decode(errors="replace")[:65_536]
        with pytest.raises(AnchorError, match="did not sign"):
            put(tmp_path, ours, 3)


def test_other_files_are_no_notes(tmp_path: Path) -> None:
    """Only names of twelve digits are notes."""
    ours = log()
    put(tmp_path, ours, 3)
    for name in ("README.txt", "3.txt", "000000000004.txt.bak", ".new-abc"):
        (tmp_path / FOLDER / name).write_text("x")
    assert open_anchor(f"file:{tmp_path}").notes(ours.vkey) == [ours.note(3)]


def test_the_folder_is_the_operators(tmp_path: Path) -> None:
    """A disk that is not mounted is noticed, not replaced by a folder on this one."""
    ours = log()
    with pytest.raises(AnchorError, match="expected a folder, found none; mount or make it"):
        put(tmp_path / "unmounted", ours, 3)
    assert not (tmp_path / "unmounted").exists()


def test_logs_do_not_mix(tmp_path: Path) -> None:
    """Two logs have two folders; two whose names fall together are refused; a name that is no folder is refused."""
    first, second, clash = log(origin="a/b"), log(origin="a/c"), log(origin="a_b")
    put(tmp_path, first, 3)
    put(tmp_path, second, 5)
    anchor = open_anchor(f"file:{tmp_path}")
    assert (anchor.notes(first.vkey), anchor.notes(second.vkey)) == ([first.note(3)], [second.note(5)])
    with pytest.raises(AnchorError, match="expected the log a_b"):
        put(tmp_path, clash, 3)
    for name in ("..", ".", "../x"):
        with pytest.raises(AnchorError, match="names a folder"):
            put(tmp_path, log(origin=name), 3)


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    """What the system refuses is said with its reason."""
    (tmp_path / FOLDER).write_text("x")
    with pytest.raises(AnchorError, match="found: "):
        put(tmp_path, log(), 3)
