"""The proof of one order is checked alone, anywhere, and whatever is changed in it is found."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cryptography
import pytest
from export_forgery import flip, replaced
from export_world import ORIGIN, SESSIONS, Command, World, refresh_sums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_export import flip_and_check

from marketbot_assets.commands.parcel import verifier_source
from marketbot_resources.anchors.file import FileAnchor
from marketbot_resources.auditor import Audit, report
from marketbot_resources.ledger.note import (
    COSIGNATURE_V1,
    Checkpoint,
    cosign,
    new_key,
    sign_checkpoint,
    with_signatures,
)

RUN = "import runpy, sys; sys.path.append(sys.argv[1]); sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture
def folder(proven: Path, tmp_path: Path) -> Path:
    """A copy to be forged."""
    return Path(shutil.copytree(proven, tmp_path / "proof"))


def test_a_good_proof_holds(proven: Path, world: World) -> None:
    """Its entries, all orders of its batch, the closure of its decision; and what it is stands in export.json."""
    audit = Audit(proven, [world.key.public.text])
    assert audit.faults == []
    summary = json.loads((proven / "export.json").read_text(encoding="utf-8"))
    assert (summary["kind"], summary["order"], summary["sessions"]) == ("proof", world.orders[2], [SESSIONS[1]])
    kinds = {json.loads(path.read_bytes())["kind"] for path in (proven / "entries").iterdir()}
    story = {"session_cutoff", "decision", "batch_frozen", "order_intent", "order_event", "order_final"}
    assert kinds == story | {"log_key", "index_rows"}
    assets = {path.name for path in (proven / "store").iterdir()} - {"blobs", "manifests"}
    assert {"mandate", "raw_prices", "prices", "features", "forecasts", "risk_verdict", "orders"} <= assets
    assert {path.name for path in (proven / "store/orders").iterdir()} == {SESSIONS[1]}
    bodies = {f"{name} of marketbot" for name in ("code", "environment")} | {"caps: 0.05"}
    bodies |= {f"AAPL {session} 100" for session in SESSIONS[:2]}
    assert summary["counts"]["bodies"] == len(bodies)


def test_it_is_checked_anywhere_with_cryptography_alone(folder: Path, tmp_path: Path, world: World) -> None:
    """No environment, no site-packages, no marketbot: one file, this Python and the package cryptography."""
    packages = tmp_path / "packages"
    packages.mkdir()
    site = Path(cryptography.__file__).parents[1]
    for name in ("cryptography", "cffi", *(path.name for path in site.glob("_cffi_backend*"))):
        (packages / name).symlink_to(site / name)
    elsewhere = tmp_path / "far" / "away"
    elsewhere.mkdir(parents=True)
    proof = folder.rename(elsewhere / "proof")
    command = [sys.executable, "-I", "-S", "-c", RUN, str(packages), str(proof / "verify.py")]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == report(Audit(proof))
    keyed = [*command, str(proof), "--key", new_key(ORIGIN).public.text]
    assert subprocess.run(keyed, env={}, cwd="/", capture_output=True, check=False).returncode == 1
    for missing in (["--key", "nonsense"], [str(tmp_path)]):
        done = subprocess.run([*command, *missing], env={}, cwd="/", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    bare = [sys.executable, "-I", "-S", str(proof / "verify.py")]
    done = subprocess.run(bare, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cryptography" in done.stderr


def test_the_verifier_is_one_file_of_nothing_but_the_standard_library(proven: Path) -> None:
    """And it is the one of this version."""
    source = (proven / "verify.py").read_text(encoding="utf-8")
    assert source == verifier_source()
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.lstrip().startswith(("import ", "from "))
    }
    assert imported <= set(sys.stdlib_module_names) | {"cryptography"}
    assert "cryptography" in imported


def entry(kind: str, number: int = 0) -> Callable[[Path], str]:
    """The path of an entry of a kind."""

    def find(folder: Path) -> str:
        names = sorted((folder / "entries").iterdir(), key=lambda path: int(path.stem))
        found = [path for path in names if json.loads(path.read_bytes())["kind"] == kind]
        return f"entries/{found[number].name}"

    return find


def with_proof(name: str) -> str:
    return name.replace("entries/", "proofs/").replace(".json", ".tlog-proof")


def order_gone(folder: Path) -> None:
    """The other order of the batch, with its proof."""
    name = entry("order_intent", 1)(folder)
    (folder / name).unlink()
    (folder / with_proof(name)).unlink()


def event_of_another(folder: Path) -> None:
    """An event that is not in the log, with the proof of one that is."""
    name = entry("order_event")(folder)
    path = folder / name
    path.write_bytes(path.read_bytes().replace(b"SENDING", b"UNKNOWN"))


def fork(folder: Path, world: World) -> None:
    """The log's key signs another history for the first head."""
    size = min(int(path.stem) for path in (folder / "checkpoints").iterdir())
    note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), world.key)
    (folder / f"checkpoints/{size}.txt").write_text(note, encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("order_intent", replaced(b'"quantity":"5"', b'"quantity":"7"'), "LEAF"),
        ("decision", replaced(b"APPROVED", b"REJECTED"), "LEAF"),
        ("batch_frozen", flip(60), "LEAF"),
        ("session_cutoff", lambda data: data[:-1], "LEAF"),
        ("log_key", flip(90), "LEAF"),
        ("index_rows", flip(50), "LEAF"),
    ],
)
def test_a_changed_entry_is_found(folder: Path, kind: str, change: Callable[[bytes], bytes], code: str) -> None:
    """Whatever an entry is made to say, it is no longer the one in the signed log."""
    path = folder / entry(kind)(folder)
    path.write_bytes(change(path.read_bytes()))
    refresh_sums(folder)
    assert Audit(folder).faults[0].code == code


@pytest.mark.parametrize(
    "name", ["order_intent", "decision", "batch_frozen", "session_cutoff", "log_key", "index_rows"]
)
def test_a_missing_entry_is_found(folder: Path, name: str) -> None:
    """Also with its proof."""
    path = entry(name)(folder)
    (folder / path).unlink()
    (folder / with_proof(path)).unlink()
    refresh_sums(folder)
    assert Audit(folder).faults


def test_other_changes_of_a_proof_are_found(folder: Path, world: World, tmp_path: Path) -> None:
    """Proofs, heads, orders of the batch, the store and what export.json says."""
    decision = with_proof(entry("decision")(folder))
    cases: list[tuple[Callable[[Path], object], str]] = [
        (lambda place: (place / decision).unlink(), "PROOF"),
        (lambda place: edited(place, decision, flip(60)), "LEAF"),
        (lambda place: edited(place, decision, replaced(b"index 3", b"index 4")), "PROOF"),
        (lambda place: edited(place, decision, replaced(b"proof@v1", b"proof@v2")), "PROOF"),
        (lambda place: edited(place, decision, lambda data: data[:-8]), "PROOF"),
        (lambda place: fork(place, world), "ROOT"),
        (event_of_another, "LEAF"),
        (order_gone, "BATCH"),
        (
            lambda place: edited(place, "export.json", replaced(world.orders[2].encode(), world.orders[0].encode())),
            "SUMMARY",
        ),
        (lambda place: edited(place, "export.json", replaced(b'"proof"', b'"export"')), "ENTRIES"),
        (lambda place: edited(place, "vkey.txt", flip(70)), "KEY"),
        (lambda place: next(place.glob("store/mandate/*/*")).unlink(), "OBJECT_MISSING"),
        (lambda place: next(place.glob("store/blobs/*/*")).unlink(), "BODY_MISSING"),
    ]
    for number, (change, code) in enumerate(cases):
        place = Path(shutil.copytree(folder, tmp_path / f"case{number}"))
        change(place)
        refresh_sums(place)
        assert Audit(place).faults[0].code == code, (number, Audit(place).faults[:2])


def edited(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    before = (folder / name).read_bytes()
    assert change(before) != before
    (folder / name).write_bytes(change(before))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bit_is_found(proven: Path, data: st.DataObject) -> None:
    """One bit of any file is found; also when the list of hashes is made to fit, unless the file is no evidence."""
    flip_and_check(proven, data)


def test_the_default_place_and_what_is_told(world: World, marketbot: Command, tmp_path: Path) -> None:
    """proofs/<order> in the home, again over itself; the beginning of an id is enough; the text says how to check it."""
    home = Path(shutil.copytree(world.home, tmp_path / "home"))
    name = world.orders[2]
    for _ in range(2):
        said = marketbot(home, "prove", name[:12])
        assert said.code == 0, said.err
    place = home / "proofs" / name
    assert "before it was sent" in said.out
    assert f"python {place}/verify.py" in said.out
    assert Audit(place).faults == []
    assert marketbot(home, "verify", "--export", str(place)).code == 0


def test_what_is_not_ours_is_not_replaced(world: World, marketbot: Command, tmp_path: Path) -> None:
    """A folder with other files, a proof in which something was changed, a file: exit 2, one line, nothing touched."""
    out = tmp_path / "place"
    out.mkdir()
    assert marketbot(world.home, "prove", world.orders[0], "--out", str(out)).code == 0
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "file.tar").write_text("mine", encoding="utf-8")
    for place in (out, tmp_path / "file", tmp_path / "file.tar"):
        said = marketbot(world.home, "prove", world.orders[0], "--out", str(place))
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), place
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "file.tar", "mandate.yaml", "place"]


@pytest.mark.parametrize("order", ["mb1-zzzzzz", "zzzzzz", "mb1-"])
def test_an_unknown_order_is_exit_2(world: World, marketbot: Command, order: str) -> None:
    """One line."""
    said = marketbot(world.home, "prove", order)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)


def test_what_is_not_signed_is_not_proven(world: World, marketbot: Command, tmp_path: Path) -> None:
    """An order after the last head: exit 1 and how to mend it. An event after it: named, and left out."""
    home = Path(shutil.copytree(world.home, tmp_path / "home"))
    late, known = "mb1-late000000000000000000000", world.orders[-1]
    ledger = World(home, world.key).lake.ledger
    ledger.append("order_event", f"{known}/3", {"state": "FILLED"})
    ledger.append("order_intent", late, {"client_order_id": late, "session": SESSIONS[-1]})
    said = marketbot(home, "prove", late)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "`marketbot run` signs" in said.err
    told = json.loads(marketbot(home, "prove", known, "--out", str(tmp_path / "known"), "--json").out)
    assert told["not_covered"] == [f"order_event {known}/3"]
    assert Audit(tmp_path / "known").faults == []
    said = marketbot(home, "export-audit", *SESSIONS[:2], "--out", str(tmp_path / "all"))
    assert "not signed  2 newer entries" in said.out
    assert Audit(tmp_path / "all").faults == []


def test_a_home_that_never_signed(tmp_path: Path, marketbot: Command) -> None:
    """Exit 1, one line; and no home at all is exit 2."""
    world = World(tmp_path / "home", new_key(ORIGIN))
    world.lake.ledger.append("order_intent", "mb1-abcdefgh", {"session": SESSIONS[0]})
    for arguments in (("prove", "mb1-abcdefgh"), ("export-audit", *SESSIONS[:2])):
        said = marketbot(world.home, *arguments)
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        assert marketbot(tmp_path / "none", *arguments).code == 2


@pytest.mark.parametrize("what", ["object", "body", "entry", "index"])
def test_a_damaged_home_is_not_given_away(world: World, marketbot: Command, tmp_path: Path, what: str) -> None:
    """An altered object, body, entry or row: exit 1, one line, nothing is left behind."""
    home = Path(shutil.copytree(world.home, tmp_path / "home"))
    damage(home, what)
    for arguments in (("prove", world.orders[2]), ("export-audit", *SESSIONS[:2])):
        said = marketbot(home, *arguments, "--out", str(tmp_path / "out" / "place"))
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1), said.err
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def damage(home: Path, what: str) -> None:
    if what in ("object", "body"):
        path = next((home / "store").glob({"object": f"risk_verdict/{SESSIONS[1]}/*", "body": "blobs/*/*"}[what]))
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1])
        return
    name, table, change = {
        "entry": ("ledger.sqlite", "entry", f"update entry set record = x'7b7d' where key = '{SESSIONS[1]}'"),
        "index": ("index.sqlite", "lake_index", "delete from lake_index where asset = 'mandate'"),
    }[what]
    connection = sqlite3.connect(home / name)
    for trigger in ("keeps", "stays"):
        connection.execute(f"drop trigger {table}_{trigger}")
    connection.execute(change)
    connection.commit()
    connection.close()


def test_heads_of_anchors_come_along(world: World, marketbot: Command, tmp_path: Path) -> None:
    """What a file anchor keeps is in the proof; with a witness's key its cosignature is checked; a silent anchor is named."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    anchor, witness = FileAnchor(shelf), new_key("witness.example", COSIGNATURE_V1)
    for size, note in world.lake.ledger.checkpoints():
        cosigned = with_signatures(note, [cosign(note, witness, 1_545_000_000 + size)])
        anchor.publish(cosigned, world.key.public, lambda old: [])
    out = tmp_path / "proof"
    gone = f"file:{tmp_path}/gone"
    said = marketbot(world.home, "prove", world.orders[2], "--out", str(out), anchors=(f"file:{shelf}", gone))
    assert said.code == 0
    assert f"anchor      {gone}: " in said.out
    assert len(list((out / "anchors").rglob("*.txt"))) == 2
    assert Audit(out).faults == []
    assert Audit(out, [witness.public.text]).faults == []
    assert [f.code for f in Audit(out, [new_key("witness.example", COSIGNATURE_V1).public.text]).faults] == [
        "SIGNATURE"
    ]
    path = next((out / "anchors").rglob("*.txt"))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\u2014 witness.example ", "\u2014 witness.example A", 1), encoding="utf-8")
    refresh_sums(out)
    assert Audit(out, [witness.public.text]).faults


def test_an_export_of_an_anchored_home_knows_of_cut_entries(world: World, marketbot: Command, tmp_path: Path) -> None:
    """The home was put back to an earlier state; an anchor keeps a head that knows more."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    later = make_later(world, tmp_path / "later")
    FileAnchor(shelf).publish(later, world.key.public, lambda old: [])
    out = tmp_path / "export"
    said = marketbot(world.home, "export-audit", *SESSIONS[:2], "--out", str(out), anchors=(f"file:{shelf}",))
    assert said.code == 0
    assert [fault.code for fault in Audit(out).faults] == ["TRUNCATED"]


def make_later(world: World, home: Path) -> str:
    """The head of the same home after more entries."""
    shutil.copytree(world.home, home)
    lake = World(home, world.key).lake
    lake.ledger.append("operator_action", "later", {"n": 1})
    return World(home, world.key).notary(lake).checkpoint().note
