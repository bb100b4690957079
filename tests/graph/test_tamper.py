"""The tamper matrix: whoever changes the past is found out, by the right name, and each row says what protects it.

`hashes`: the store and the ledger contradict themselves. `signer`: they are consistent, but not what was signed. `anchor`: even the
signer's key and state were taken; only what is kept outside of the home tells.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anchor_world import WitnessProcess
from attacker import Attacker
from graph_world import NEXT, SECOND, Home
from services import S3, Postgres

from marketbot_assets.commands.verify import verify
from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.merkle import consistency_proof
from marketbot_resources.ledger.note import new_key
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.migrations.migrate import install
from marketbot_resources.notary import log_keys

pytestmark = pytest.mark.graph
Attack = Callable[[Attacker], None]


def edit_body(a: Attacker) -> None:
    a.edit(a.number_of("decision"), leaf=False)


def edit_body_and_leaf(a: Attacker) -> None:
    a.edit(a.number_of("decision"), leaf=True)


def edit_body_leaf_and_nodes(a: Attacker) -> None:
    a.edit(a.number_of("decision"), leaf=True)
    a.rebuild_nodes()


def delete_entry(a: Attacker) -> None:
    a.sql("delete from {t}entry where seq = ?", (a.number_of("decision"),))


def delete_and_renumber(a: Attacker) -> None:
    seq = a.number_of("decision")
    a.sql("delete from {t}entry where seq = ?", (seq,))
    for number in range(seq + 1, a.size() + 1):
        a.sql("update {t}entry set seq = ? where seq = ?", (number - 1, number))
    a.rebuild_nodes()


def swap_entries(a: Attacker) -> None:
    seq = a.number_of("decision")
    for before, after in ((seq, 900_000), (seq + 1, seq), (900_000, seq + 1)):
        a.sql("update {t}entry set seq = ? where seq = ?", (after, before))
    a.rebuild_nodes()


def cut_tail(a: Attacker) -> None:
    size = a.size() - 10
    a.sql("delete from {t}entry where seq >= ?", (size,))
    a.sql("delete from {t}checkpoint where size > ?", (size,))
    a.rebuild_nodes()


def change_kind(a: Attacker) -> None:
    a.sql("update {t}entry set kind = 'note' where seq = ?", (a.number_of("decision"),))


def change_key(a: Attacker) -> None:
    a.sql("update {t}entry set key = '1999-01-01' where seq = ?", (a.number_of("decision"),))


def change_leaf(a: Attacker) -> None:
    a.sql("update {t}entry set leaf = ? where seq = ?", (bytes(32), a.number_of("decision")))


def change_node(a: Attacker) -> None:
    a.sql("update {t}node set hash = ? where level = 2 and place = 3", (bytes(32),))


def change_checkpoint(a: Attacker) -> None:
    a.sql("update {t}checkpoint set note = replace(note, 'marketbot', 'marketbox')")


def change_checkpoint_size(a: Attacker) -> None:
    a.sql("update {t}checkpoint set size = size + 1 where size = (select max(size) from {t}checkpoint)")


def replace_object(a: Attacker) -> None:
    a.overwrite(a.object_path("prices", SECOND), a.object_path("fx", SECOND).read_bytes())


def remove_object(a: Attacker) -> None:
    a.object_path("prices", SECOND).unlink()


def replace_object_consistently(a: Attacker) -> None:
    a.replace_consistently("prices", SECOND, a.object_path("prices", NEXT).read_bytes())


def swap_manifests(a: Attacker) -> None:
    one, two = a.manifest_path("prices", SECOND), a.manifest_path("prices", NEXT)
    first, second = one.read_bytes(), two.read_bytes()
    a.overwrite(one, second)
    a.overwrite(two, first)


def swap_manifests_in_index(a: Attacker) -> None:
    one, two = a.row("prices", SECOND), a.row("fx", SECOND)
    for row, other in ((one, two), (two, one)):
        a.index.execute(
            "update lake_index set manifest_sha256 = ? where seq = ?", (other["manifest_sha256"], row["seq"])
        )


def remove_manifest(a: Attacker) -> None:
    a.manifest_path("prices", SECOND).unlink()


def alter_body(a: Attacker) -> None:
    a.alter_body("raw_prices")


def remove_body(a: Attacker) -> None:
    a.body_path("raw_prices").unlink()


def delete_index_row(a: Attacker) -> None:
    a.index.execute("delete from lake_index where seq = ?", (a.row("prices", SECOND)["seq"],))


def change_index_column(a: Attacker) -> None:
    a.index.execute("update lake_index set code_version = 'x' where seq = ?", (a.row("prices", SECOND)["seq"],))


def change_body_description(a: Attacker) -> None:
    a.index.execute("update blob_index set fetched_at = '2018-01-01T00:00:00Z' where seq = 1")


LEDGER_ATTACKS = (
    edit_body,
    edit_body_and_leaf,
    edit_body_leaf_and_nodes,
    delete_entry,
    delete_and_renumber,
    swap_entries,
    cut_tail,
    change_kind,
    change_key,
    change_leaf,
    change_node,
    change_checkpoint,
    change_checkpoint_size,
)
MATRIX: list[tuple[Attack, str, str]] = [
    (edit_body, "LEAF", "hashes"),
    (edit_body_and_leaf, "ROOT", "signer"),
    (edit_body_leaf_and_nodes, "ROOT", "signer"),
    (delete_entry, "GAP", "hashes"),
    (delete_and_renumber, "ROOT", "signer"),
    (swap_entries, "ROOT", "signer"),
    (cut_tail, "TRUNCATED", "signer"),
    (change_kind, "COLUMN", "hashes"),
    (change_key, "COLUMN", "hashes"),
    (change_leaf, "LEAF", "hashes"),
    (change_node, "NODE", "hashes"),
    (change_checkpoint, "CHECKPOINT", "signer"),
    (change_checkpoint_size, "CHECKPOINT", "signer"),
    (replace_object, "OBJECT", "hashes"),
    (remove_object, "OBJECT_MISSING", "hashes"),
    (replace_object_consistently, "INDEX_ROW", "hashes"),
    (swap_manifests, "MANIFEST", "hashes"),
    (swap_manifests_in_index, "INDEX_ROW", "hashes"),
    (remove_manifest, "MANIFEST_MISSING", "hashes"),
    (alter_body, "BODY", "hashes"),
    (remove_body, "BODY_MISSING", "hashes"),
    (delete_index_row, "INDEX_MISSING", "hashes"),
    (change_index_column, "INDEX_ROW", "hashes"),
    (change_body_description, "INDEX_ROW", "hashes"),
]


@pytest.fixture
def victim(undisturbed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Three sessions, to be attacked; the command line's home."""
    home = undisturbed.copy(tmp_path / "victim")
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    return home


@pytest.fixture
def attacker(victim: Home) -> Iterator[Attacker]:
    """Someone with all rights on its ledger, index and store."""
    found = Attacker(victim.path)
    yield found
    found.close()


@pytest.fixture
def moved(victim: Home, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attacker]:
    """The same home with its ledger in PostgreSQL, entry by entry; someone is its superuser."""
    import psycopg

    database = postgres.database()
    install(postgres.url("postgres", database))
    postgres.login("ledger_writer")
    url = postgres.url("ledger_writer", database)
    ledger, before = PostgresLedger(url), SqliteLedger(victim.path / "ledger.sqlite")
    ledger._append([(row.kind, row.key, row.record) for row in before.rows()])
    for size, note in before.checkpoints():
        ledger.keep_checkpoint(size, note)
    assert ledger.head() == before.head()
    (victim.path / "ledger.sqlite").unlink()
    monkeypatch.setenv("MARKETBOT_LEDGER", url)
    with psycopg.connect(postgres.url("postgres", database), autocommit=True) as connection:
        found = Attacker(victim.path, connection)
        yield found
        found.close()
    ledger.close()


def codes(*, anchors: tuple[str, ...] = (), roots: tuple[str, ...] = ()) -> list[str]:
    return [str(fault["code"]) for fault in verify(anchors, roots, None, contents=False)["faults"]]  # type: ignore[attr-defined]


def test_an_honest_home_has_no_fault(victim: Home) -> None:
    """The matrix would prove nothing if an honest home had faults."""
    view = verify((), (), None)
    assert view["faults"] == []
    assert view["signed"] == view["ledger"]["size"] > 100  # type: ignore[index]
    assert (view["not_signed"], view["not_sealed"], view["anchored"]) == (0, 0, 0)
    assert view["unreferenced"] == []


@pytest.mark.parametrize(("attack", "code", "protected_by"), MATRIX, ids=[a.__name__ for a, _, _ in MATRIX])
def test_every_attack_without_the_signer_is_named(
    attacker: Attacker, attack: Attack, code: str, protected_by: str
) -> None:
    """The first fault has the right name. What the signer protects would pass once the attacker has its key."""
    attack(attacker)
    assert codes()[0] == code
    if protected_by == "signer":
        attacker.rebuild_nodes()
        attacker.forge()
        assert "ROOT" not in codes()


SHORT = (edit_body_leaf_and_nodes, delete_and_renumber, cut_tail, change_checkpoint)
ON_POSTGRES = [
    pytest.param(*row, id=row[0].__name__, marks=[] if row[0] in SHORT else pytest.mark.long)
    for row in MATRIX
    if row[0] in LEDGER_ATTACKS
]


@pytest.mark.parametrize(("attack", "code", "protected_by"), ON_POSTGRES)
def test_every_attack_on_postgres_is_named(moved: Attacker, attack: Attack, code: str, protected_by: str) -> None:
    """The same names for the same attacks by a superuser, triggers and constraints off."""
    assert codes() == []
    attack(moved)
    assert codes()[0] == code
    if protected_by == "signer":
        moved.rebuild_nodes()
        moved.forge()
        assert "ROOT" not in codes()


def roll_back(home: Home, yesterday: Home) -> None:
    """The ledger, the index and the store as they were a session ago; broker and signer as they are."""
    for name in ("ledger.sqlite", "index.sqlite"):
        shutil.copy(yesterday.path / name, home.path / name)
    shutil.rmtree(home.path / "store")
    shutil.copytree(yesterday.path / "store", home.path / "store")


def test_a_restored_backup_is_named_and_cannot_trade(victim: Home, base: Home) -> None:
    """F47: yesterday's databases contradict the signer's own head; a run signs nothing, sends nothing and halts."""
    sent = victim.at_broker()
    roll_back(victim, base)
    assert codes() == ["TRUNCATED"]
    assert not victim.run(NEXT)
    assert HaltSwitch(victim.path).read().status == "on"
    assert "signer" in str(victim.lake.ledger.entries("run_failed")[-1].body["reason"])
    assert victim.at_broker() == sent
    assert victim.lake.ledger.get("session_end", NEXT) is None
    assert victim.lake.ledger.size() > 0
    assert codes()[0] in ("ROOT", "TRUNCATED")


@pytest.fixture
def locked_bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with Object Lock on a real S3 server."""
    settings = {"ENDPOINT_URL": s3.endpoint, "ACCESS_KEY_ID": s3.access_key, "SECRET_ACCESS_KEY": s3.secret}
    for name, value in (settings | {"DEFAULT_REGION": s3.region}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return s3.bucket(lock=True)


@pytest.fixture(params=["file", "witness", pytest.param("s3", marks=pytest.mark.s3)])
def anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes an anchor outside of the home for a log's key; gives its spec."""
    if request.param == "file":
        (tmp_path / "anchor").mkdir()
        yield lambda vkey: f"file:{tmp_path / 'anchor'}"
    elif request.param == "s3":
        bucket = request.getfixturevalue("locked_bucket")
        yield lambda vkey: f"s3://{bucket}/heads?mode=COMPLIANCE&days=1"
    else:
        with contextlib.ExitStack() as stack:

            def start(vkey: str) -> str:
                witness = stack.enter_context(WitnessProcess(tmp_path / "witness", vkey))
                return f"witness:{witness.address}#{witness.vkey}"

            yield start


def anchored(home: Home, place: Callable[[str], str], newest: int) -> str:
    """Publishes the home's kept heads up to the `newest`-last one; gives the anchor's spec."""
    ledger, key = home.lake.ledger, log_keys(home.lake.ledger)[0]
    spec = place(key.text)
    for size, note in ledger.checkpoints()[: newest or None]:
        open_anchor(spec).publish(note, key, lambda old, size=size: consistency_proof(old, size, ledger.node))
    return spec


def forge_all(attacker: Attacker, seq: int) -> None:
    """One entry changed, and everything in the home made to fit: nodes, checkpoints, signer."""
    attacker.edit(seq, leaf=True)
    attacker.rebuild_nodes()
    attacker.forge()


def test_with_the_signers_key_only_an_anchor_tells(
    victim: Home, attacker: Attacker, anchor: Callable[[str], str]
) -> None:
    """The home itself looks whole to `verify` and says that nothing outside protects it; any one anchor names the change."""
    spec = anchored(victim, anchor, 0)
    assert codes(anchors=(spec,)) == []
    forge_all(attacker, attacker.number_of("decision"))
    assert [code for code in codes() if code != "DECISION"] == []
    assert verify((), (), None, contents=False)["anchors"] == []
    found = verify((spec,), (), None, contents=False)
    assert found["faults"][0]["code"] == "ROOT"  # type: ignore[index]
    assert str(found["faults"][0]["message"]).startswith("anchor ")  # type: ignore[index]


def test_what_lies_after_the_last_anchored_head_is_named_as_not_anchored(
    victim: Home, attacker: Attacker, anchor: Callable[[str], str]
) -> None:
    """An anchor protects up to its newest head, no further, and `verify` says how far that is."""
    spec = anchored(victim, anchor, -1)
    last, size = victim.lake.ledger.checkpoints()[-2][0], victim.lake.ledger.size()
    assert last < size
    forge_all(attacker, size - 1)
    found = verify((spec,), (), None, contents=False)
    assert [fault["code"] for fault in found["faults"] if fault["code"] == "ROOT"] == []  # type: ignore[attr-defined]
    assert (found["anchored"], found["not_anchored"]) == (last, size - last)
    forge_all(attacker, last - 1)
    assert "ROOT" in codes(anchors=(spec,))


def test_a_root_noted_elsewhere_is_an_anchor(victim: Home, attacker: Attacker) -> None:
    """The size and root of a notification in someone's mailbox are enough."""
    size, root = victim.lake.ledger.head()
    assert codes(roots=(f"{size}:{root}",)) == []
    forge_all(attacker, attacker.number_of("decision"))
    assert "ROOT" in codes(roots=(f"{size}:{root}",))


def test_a_new_key_is_not_the_old_one(victim: Home, attacker: Attacker, tmp_path: Path) -> None:
    """Whoever replaces the signer's key cannot make the anchor's heads his own, nor the key that an auditor noted."""
    (tmp_path / "anchor").mkdir()
    spec = anchored(victim, lambda vkey: f"file:{tmp_path / 'anchor'}", 0)
    noted = log_keys(victim.lake.ledger)[0].text
    fresh = new_key(log_keys(victim.lake.ledger)[0].name)
    (victim.path / "signer" / "key").chmod(0o600)
    (victim.path / "signer" / "key").write_text(fresh.text + "\n")
    (victim.path / "signer" / "vkey").write_text(fresh.public.text + "\n")
    attacker.forge()
    assert "ANCHOR" in codes(anchors=(spec,))
    given = verify((), (), noted, contents=False)["faults"]
    assert {fault["code"] for fault in given} >= {"CHECKPOINT"}  # type: ignore[attr-defined]
