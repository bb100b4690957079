"""The notary seals, signs and anchors, in that order; a key or history that does not fit stops it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marketbot_resources.anchors.file import FileAnchor
from marketbot_resources.errors import AnchorError, Equivocation, LedgerError, SignerRefused
from marketbot_resources.ledger.note import VerifyKey, open_note, parse_checkpoint, split_note
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.notary import ANCHOR_FAILED, LOG_KEY, Notary, log_keys, origin_of
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.index_sqlite import SqliteIndex
from marketbot_resources.store.seal import KIND, row_sha256

ORIGIN = origin_of("test")


def row(name: str) -> IndexRow:
    return IndexRow(name, "2018-12-12", "f" * 64, "c" * 64, f"{name}/x", 1, 2, "s" * 64, "m" * 64, "run", "code", "")


class Office:
    """A ledger, an index, a signer's folder and an anchor's folder."""

    def __init__(self, folder: Path) -> None:
        self.signer, self.heads = SignerProcess(folder / "signer"), folder / "heads"
        self.heads.mkdir(parents=True)
        self.ledger, self.index = SqliteLedger(folder / "ledger.sqlite"), SqliteIndex(folder / "index.sqlite")
        self.folder = folder

    def notary(self, *anchors: FileAnchor) -> Notary:
        return Notary(self.ledger, self.index, self.signer, anchors or [FileAnchor(self.heads)], ORIGIN)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "office")


def test_a_head_covers_every_index_row_and_stands_at_the_anchor(office: Office) -> None:
    """Rows are sealed first; the note's root is the ledger's; the anchor keeps that very note; a second call changes nothing."""
    office.index.add(row("prices"))
    found = office.notary().checkpoint()
    sealed = office.ledger.entries(KIND)[0].body
    assert sealed["rows"] == [row_sha256(1, row("prices"))]
    head = parse_checkpoint(split_note(found.note)[0])
    assert (head.origin, head.size, head.root.hex()) == (ORIGIN, *office.ledger.head())
    assert FileAnchor(office.heads).notes(log_keys(office.ledger)[0]) == [found.note]
    assert list(found.anchored.values()) == [""]
    assert office.notary().checkpoint() == found
    office.index.add(row("fx"))
    assert office.notary().checkpoint().size > found.size


def test_a_new_key_is_an_entry_of_the_head_that_both_keys_sign(office: Office) -> None:
    """A10: the old key vouches for the new one; later heads are signed by the new key alone."""
    office.notary().checkpoint()
    old = log_keys(office.ledger)[0]
    new = office.signer.rotate()
    office.index.add(row("prices"))
    both = office.notary().checkpoint()
    entry = office.ledger.get(LOG_KEY, new.key_id.hex())
    assert entry is not None
    assert entry.seq < both.size
    assert open_note(both.note, [old, new])[1] == [old, new]
    office.index.add(row("fx"))
    later = office.notary().checkpoint()
    assert open_note(later.note, [old, new])[1] == [new]
    assert log_keys(office.ledger) == [new, old]


def test_a_lost_key_is_not_replaced_unseen(office: Office) -> None:
    """Without the signer's folder nothing is signed: a fresh key would begin another log under the old name."""
    office.notary().checkpoint()
    (office.folder / "signer").rename(office.folder / "gone")
    office.index.add(row("prices"))
    with pytest.raises(LedgerError, match="restore the signer's folder"):
        office.notary().checkpoint()


class Failing(FileAnchor):
    """An anchor that cannot be reached."""

    def publish(self, note: str, key: VerifyKey, prove: Callable[[int], list[bytes]]) -> str:
        raise AnchorError("nobody is there")


def test_an_anchor_that_fails_is_noted_and_does_not_stop(office: Office) -> None:
    """The head is signed all the same; the ledger says which anchor failed and why."""
    found = office.notary(Failing(office.heads)).checkpoint()
    assert list(found.anchored.values()) == ["nobody is there"]
    (noted,) = office.ledger.entries(ANCHOR_FAILED)
    assert noted.body["problem"] == "nobody is there"


def test_another_history_is_refused_by_signer_and_anchor(office: Office, tmp_path: Path) -> None:
    """A ledger begun anew under the same signer, and one signed anew under the same key at another anchor's head."""
    office.index.add(row("prices"))
    office.notary().checkpoint()
    other = Office(tmp_path / "other")
    other.signer = office.signer
    other.ledger.append("note", "another", {"history": True})
    other.ledger.append("note", "and", {"more": True})
    with pytest.raises(SignerRefused):
        other.notary().checkpoint()
    forger = Office(tmp_path / "forger")
    (office.folder / "signer" / "key").rename(tmp_path / "key")
    forger.signer.create(ORIGIN)
    (forger.folder / "signer" / "key").write_bytes((tmp_path / "key").read_bytes())
    (forger.folder / "signer" / "vkey").write_bytes((office.folder / "signer" / "vkey").read_bytes())
    forger.ledger.append("note", "another", {"history": True})
    with pytest.raises(Equivocation):
        forger.notary(FileAnchor(office.heads)).checkpoint()
