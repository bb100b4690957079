"""An audit export is checked alone, and whatever is changed in it is found: by table, and by any single bit."""

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from export_forgery import FORGERIES, SIZE, Folder, added, rotated
from export_world import ORIGIN, SESSIONS, Command, World, refresh_sums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketbot_assets.commands.export import verify_export, verify_export_lines
from marketbot_resources.auditor import Audit, CannotCheck, report
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.note import new_key

NOT_EVIDENCE = ("README.txt", "verify.py")


@pytest.fixture
def folder(world: World, exported: Path, tmp_path: Path) -> Folder:
    """A copy to be forged."""
    return Folder(shutil.copytree(exported, tmp_path / "export"), world)


def test_a_good_export_holds(exported: Path, world: World) -> None:
    """Every check has something to say and none finds a fault; with the log's key there is no word about the folder's own."""
    view = verify_export(str(exported), world.key.public.text)
    assert view["fine"], view["faults"]
    lines = verify_export_lines(view)
    assert [line[:7].rstrip() for line in lines[:8]] == ["OK"] * 8
    assert lines[1].startswith(f"OK     log        {SIZE} entries, whole, up to {SIZE}; root ")
    assert "3 of sessions, 6 orders" in lines[5]
    assert not any("prove nothing" in line for line in lines)
    assert "the values inside Parquet files" in "\n".join(lines)


def test_without_a_key_it_says_what_that_means(exported: Path) -> None:
    """The folder's own key proves nothing about where the folder comes from."""
    audit = Audit(exported)
    assert audit.faults == []
    assert any("prove nothing about where it comes from" in line for line in report(audit))


def test_a_wrong_key_is_a_fault(exported: Path) -> None:
    """Nothing here was signed by the key that the auditor has, so every order rests on it."""
    audit = Audit(exported, [new_key(ORIGIN).public.text])
    assert audit.faults[0].code == "SIGNATURE"
    assert len(audit.rests_on(audit.faults[0])["orders"]) == 6


@pytest.mark.parametrize(
    "key", ["", "nonsense", "a+b+c", f"{ORIGIN}+00000000+AfuMLCNTMIAXcq/SZwzIqNAgbeqLyWxPipRuFKnAOHm5"]
)
def test_a_malformed_key_is_no_check(exported: Path, key: str) -> None:
    """It never falls back to the folder's own key."""
    with pytest.raises(CannotCheck):
        Audit(exported, [key])
    with pytest.raises(UsageError):
        verify_export(str(exported), key)


@pytest.mark.parametrize("name", FORGERIES)
def test_every_forgery_is_found(folder: Folder, name: str) -> None:
    """Also when the forger makes the list of hashes fit; the code of the first fault says what was done."""
    forge, code = FORGERIES[name]
    forge(folder)
    refresh_sums(folder.path)
    audit = Audit(folder.path)
    assert [fault.code for fault in audit.faults][:1] == [code], audit.faults[:3]
    lines = report(audit)
    assert any(line.startswith(f"first  {code} ") for line in lines)
    assert any(line.startswith("FAULT  ") for line in lines)


def test_a_rejected_batch_is_no_fault(folder: Folder) -> None:
    """A session may end without orders: its batch is empty, whatever the verdict and the hash that was looked at."""
    empty = hashlib.sha256(b"[]").hexdigest()
    body = {"session": SESSIONS[0], "verdict": "REJECTED", "orders": [], "batch_sha256": empty}
    added("batch_frozen", f"paper-1/{SESSIONS[0]}/2", body)(folder)
    assert Audit(folder.path).faults == []


def test_two_roots_of_one_size_are_named(folder: Folder) -> None:
    """A signer who signed both has told two stories."""
    FORGERIES["anchor: another root of the same size"][0](folder)
    assert "EQUIVOCATION" in [fault.code for fault in Audit(folder.path).faults]


def test_what_rests_on_a_fault_is_named(folder: Folder, world: World) -> None:
    """Bytes as received of the second session: its own orders and those of the third rest on them, not those of the first."""
    raw = json.loads(folder.first(f"store/manifests/raw_prices/{SESSIONS[1]}/*.json").read_text(encoding="utf-8"))
    (name,) = raw["blobs"]
    (folder.path / "store/blobs" / name[:2] / f"{name}.gz").unlink()
    audit = Audit(folder.path)
    rests = audit.rests_on(audit.faults[0])
    assert rests["orders"] == sorted(world.orders[2:])
    assert f"risk_verdict {SESSIONS[2]}" in rests["objects"]
    assert not any(what.endswith(SESSIONS[0]) for what in rests["objects"])
    assert "4 orders rest on it" in "\n".join(report(audit))


def test_what_was_signed_before_a_fault_still_holds(folder: Folder, world: World) -> None:
    """An entry of the last session is changed: only what no good head covers cannot be trusted."""
    folder.edit("tile/entries/001.p/87", lambda data: data[:-10] + b"x" + data[-9:])
    audit = Audit(folder.path)
    sizes = sorted(int(path.stem) for path in (folder.path / "checkpoints").iterdir())
    assert audit.faults[0].code == "LEAF"
    assert audit.rests_on(audit.faults[0]) == {"since": sizes[-2], "objects": [], "orders": []}


def test_files_that_are_no_evidence_are_listed(folder: Folder) -> None:
    """The text for people, the verifier's copy and the list itself: a change that nobody covered up is found."""
    for name in (*NOT_EVIDENCE, "SHA256SUMS"):
        before = (folder.path / name).read_bytes()
        (folder.path / name).write_bytes(before[:50] + b"#" + before[51:])
        assert [fault.code for fault in Audit(folder.path).faults][:1] == ["FILE"], name
        (folder.path / name).write_bytes(before)
    assert Audit(folder.path).faults == []


def test_the_list_is_one_that_sha256sum_reads(exported: Path) -> None:
    """An auditor without Python can check it."""
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=exported, check=False).returncode == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bit_is_found(exported: Path, data: st.DataObject) -> None:
    """One bit of any file is found; also when the list of hashes is made to fit, unless the file is no evidence."""
    flip_and_check(exported, data)


def flip_and_check(folder: Path, data: st.DataObject) -> None:
    """No evidence are the text for people, the verifier's copy, and how a body is packed; what it says unpacked is."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    path = folder / data.draw(st.sampled_from(names), label="file")
    before, sums = path.read_bytes(), (folder / "SHA256SUMS").read_bytes()
    at, bit = data.draw(st.integers(0, len(before) - 1), label="byte"), data.draw(st.integers(0, 7), label="bit")
    after = before[:at] + bytes([before[at] ^ 1 << bit]) + before[at + 1 :]
    path.write_bytes(after)
    try:
        assert Audit(folder).faults
        if path.name not in (*NOT_EVIDENCE, "SHA256SUMS") and not same_body(path, before, after):
            refresh_sums(folder)
            assert Audit(folder).faults
    finally:
        path.write_bytes(before)
        (folder / "SHA256SUMS").write_bytes(sums)


def same_body(path: Path, before: bytes, after: bytes) -> bool:
    """Whether a packed body says the same in other bytes, such as another time in the header of gzip."""
    try:
        return path.suffix == ".gz" and gzip.decompress(before) == gzip.decompress(after)
    except (OSError, EOFError, zlib.error):
        return False


def test_a_key_that_a_signed_log_names_is_trusted(folder: Folder, world: World) -> None:
    """After a rotation the old key vouches for the new one when it signed the entry that names it, and only then."""
    newer, old = new_key(ORIGIN), world.key.public.text
    for first, expected in ((world.key, []), (newer, ["SIGNATURE"])):
        rotated(folder, first, newer)
        assert [fault.code for fault in Audit(folder.path, [old]).faults][:1] == expected
        assert Audit(folder.path, [newer.public.text]).faults == []


def test_exports_are_equal_byte_for_byte(world: World, marketbot: Command, tmp_path: Path, exported: Path) -> None:
    """The same sessions, twice, as an archive: no trace of time, machine or owner; and the same files as in a folder."""
    paths = [tmp_path / name for name in ("one.tar", "two.tar")]
    for path in paths:
        said = marketbot(world.home, "export-audit", SESSIONS[0], SESSIONS[-1], "--out", str(path))
        assert said.code == 0, said.err
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as archive:
        files = {m.name.partition("/")[2]: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    assert files == {p.relative_to(exported).as_posix(): p.read_bytes() for p in exported.rglob("*") if p.is_file()}
    said = marketbot(world.home, "verify", "--export", str(paths[0]), "--key", world.key.public.text)
    assert (said.code, said.out.count("OK ")) == (0, 8)


def test_verify_of_a_forged_export_is_exit_1(world: World, marketbot: Command, folder: Folder) -> None:
    """The command says the same as the standalone verifier."""
    FORGERIES["entry: edited"][0](folder)
    said = marketbot(world.home, "verify", "--export", str(folder.path))
    assert said.code == 1
    assert said.out.splitlines() == report(Audit(folder.path))
    told = json.loads(marketbot(world.home, "verify", "--export", str(folder.path), "--json").out)
    assert (told["fine"], told["faults"][0]["code"], told["key_source"]) == (False, "LEAF", "folder")


def test_a_part_of_the_sessions(world: World, marketbot: Command, tmp_path: Path) -> None:
    """One session: the whole log, and the evidence behind its decision alone, earlier sessions' data included."""
    out = tmp_path / "part"
    said = marketbot(world.home, "export-audit", SESSIONS[1], SESSIONS[1], "--out", str(out), "--json")
    told = json.loads(said.out)
    assert (told["sessions"], told["counts"]["orders"], told["size"]) == ([SESSIONS[1]], 2, SIZE)
    assert Audit(out).faults == []
    assert {path.name for path in (out / "store/prices").iterdir()} == set(SESSIONS[:2])
    assert {path.name for path in (out / "store/orders").iterdir()} == {SESSIONS[1]}


@pytest.mark.parametrize(
    "arguments",
    [("2018-12-15", "2018-12-20"), ("2018-12-14", "2018-12-12"), ("yesterday", "2018-12-12"), ("20181212", "20181214")],
)
def test_no_such_sessions(world: World, marketbot: Command, arguments: tuple[str, str]) -> None:
    """None decided, the wrong way round, no dates: exit 2, one line, nothing written."""
    said = marketbot(world.home, "export-audit", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert not (world.home / "exports").exists()


@pytest.mark.parametrize("what", ["none", "folder", "file", "other.tar"])
def test_what_is_no_export_is_exit_2(world: World, marketbot: Command, tmp_path: Path, what: str) -> None:
    """Nothing there, an empty folder, some file, an archive of something else."""
    place = tmp_path / what
    if what == "folder":
        place.mkdir()
    elif what == "file":
        place.write_text("no archive", encoding="utf-8")
    elif what == "other.tar":
        with tarfile.open(place, "w") as archive:
            archive.add(world.home / "index.sqlite", "other/index.sqlite")
    said = marketbot(world.home, "verify", "--export", str(place))
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
