"""Which mandate a session's run may take: on a real store and ledger, without running sessions."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from marketbot_assets.commands.mandate import approve_now
from marketbot_assets.ingestion.parse_mandate import mandate_frame
from marketbot_assets.ingestion.schema import MANDATE
from marketbot_resources.errors import LedgerError, MandateError, StoreError, UsageError
from marketbot_resources.governance import admit, approve, effective_session, in_force, is_signed, take
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import compare
from marketbot_resources.notary import Notary
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.store.lake import Lake

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
DAYS = [dt.date(2018, 12, day) for day in (12, 13, 14, 17, 18)]


def capped(hard: float, *more: tuple[str, str]) -> Mandate:
    """The default mandate with another position cap."""
    text = TEXT.replace("{target: 0.0475, warn: 0.0490, hard: 0.0500}", f"{{hard: {hard}}}")
    for old, new in more:
        assert old in text
        text = text.replace(old, new)
    return parse_mandate(text)


TIGHT, PLAIN, LOOSE, LOOSER = (capped(hard) for hard in (0.04, 0.05, 0.06, 0.07))


class Book:
    """A home of which only mandates, cutoffs and decisions are written."""

    def __init__(self, path: Path) -> None:
        self.lake = Lake(path)
        self.path = path

    def run(self, day: dt.date, mandate: Mandate, *, decides: bool = True) -> str:
        """The first step of a session's run, then its cutoff; returns what became of the mandate."""
        admitted = admit(self.lake, day, mandate)
        self.store(mandate, day.isoformat())
        take(self.lake, admitted)
        if decides:
            self.lake.ledger.append("session_cutoff", day.isoformat(), {"session": day.isoformat()})
        return admitted.direction

    def store(self, mandate: Mandate, run: str) -> None:
        self.lake.commit(mandate_frame(mandate), MANDATE, STATIC, reads=[], blobs=[], origin=Origin(run, "x", "", {}))

    def approve(self, mandate: Mandate, *, signed: bool = True) -> Entry:
        standing = in_force(self.lake)
        assert standing is not None
        changes = compare(parse_mandate(standing.text), mandate)
        entry = approve(self.lake, standing, mandate, changes, "because")
        if signed:
            self.sign()
        return entry

    def sign(self) -> None:
        signer = SignerProcess(self.path / "signer")
        Notary(self.lake.ledger, self.lake.index, signer, [], "marketbot.paper-1/ledger").checkpoint()

    def kinds(self) -> list[tuple[str, str]]:
        """(direction of the change, session that took it), in order."""
        changes = {e.body["n"]: e.body for e in self.lake.ledger.entries("mandate_change")}
        taken = self.lake.ledger.entries("mandate_in_force")
        return [(str(changes[e.body["change"]]["direction"]), str(e.body["session"])) for e in taken]

    def refused(self, day: dt.date, mandate: Mandate) -> str:
        before = self.lake.ledger.size()
        with pytest.raises(MandateError) as caught:
            admit(self.lake, day, mandate)
        assert self.lake.ledger.size() == before
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """A home that decided its first session under a position cap of 5 %."""
    found = Book(tmp_path / "home")
    assert found.run(DAYS[0], PLAIN) == "first"
    return found


def test_the_first_mandate_is_taken_and_recorded(book: Book) -> None:
    """Whatever it says; the entries name its hash, the session and the stored version."""
    standing = in_force(book.lake)
    assert standing is not None
    assert (standing.sha256, standing.since) == (PLAIN.sha256, "2018-12-12")
    assert parse_mandate(standing.text) == PLAIN
    (change,), (taken,) = (book.lake.ledger.entries(kind) for kind in ("mandate_change", "mandate_in_force"))
    assert (change.body["direction"], change.body["operator"], change.body["old_sha256"]) == ("first", "run", "")
    assert taken.body["mandate_sha256"] == change.body["new_sha256"] == PLAIN.sha256


def test_the_same_mandate_leaves_no_entry(book: Book) -> None:
    """Nothing changes, nothing is written."""
    assert book.run(DAYS[1], PLAIN) == "neutral"
    assert book.kinds() == [("first", "2018-12-12")]


def test_a_tightening_is_taken_at_once_and_recorded(book: Book) -> None:
    """G7: no one is asked; the change is in the ledger with each key."""
    assert book.run(DAYS[1], TIGHT) == "tighter"
    assert book.kinds() == [("first", "2018-12-12"), ("tighter", "2018-12-13")]
    body = book.lake.ledger.entries("mandate_change")[-1].body
    changes = body["changes"]
    assert isinstance(changes, Sequence)
    assert {"path": "limits.RC-30_position.hard", "old": "0.05", "new": "0.04", "direction": "tighter"} in changes
    assert body["effective_session"] == "2018-12-13"


def test_a_loosening_without_record_is_refused_by_name(book: Book) -> None:
    """One line: the keys, the mandate in force, what to do; nothing is written."""
    said = book.refused(DAYS[1], LOOSE)
    assert "limits.RC-30_position.hard" in said
    assert PLAIN.sha256[:12] in said
    assert "marketbot mandate approve --reason" in said
    standing = in_force(book.lake)
    assert standing is not None
    assert standing.sha256 == PLAIN.sha256


def test_a_signed_record_lets_the_next_session_take_it(book: Book) -> None:
    """Not the session whose cutoff is recorded, not before it is signed, and the session after it is free."""
    entry = book.approve(LOOSE, signed=False)
    assert entry.body["effective_session"] == "2018-12-13"
    assert "not signed" in book.refused(DAYS[1], LOOSE)
    book.sign()
    assert is_signed(book.lake.ledger, entry)
    assert "counts from session 2018-12-13" in book.refused(DAYS[0], LOOSE)
    assert book.run(DAYS[1], LOOSE) == "looser"
    assert book.kinds() == [("first", "2018-12-12"), ("looser", "2018-12-13")]
    assert book.run(DAYS[2], LOOSE) == "neutral"


def test_a_record_is_for_one_change_once(book: Book) -> None:
    """Another loosening, or the same one after a tightening in between, needs a record of its own."""
    book.approve(LOOSE)
    assert "without a change record" in book.refused(DAYS[1], LOOSER)
    book.run(DAYS[1], LOOSE)
    assert book.run(DAYS[2], PLAIN) == "tighter"
    assert "without a change record" in book.refused(DAYS[3], LOOSE)
    book.approve(LOOSE)
    assert book.run(DAYS[3], LOOSE) == "looser"


def test_a_tightening_before_it_is_taken_ends_a_record(book: Book) -> None:
    """The record was about the mandate that was in force when it was written."""
    book.approve(LOOSE)
    book.run(DAYS[1], TIGHT)
    assert "without a change record" in book.refused(DAYS[2], LOOSE)


def test_tighter_in_one_key_and_looser_in_another_is_refused(book: Book) -> None:
    """Only the loosened keys are named."""
    said = book.refused(DAYS[1], capped(0.04, ("halt: {at: 0.15}", "halt: {at: 0.16}")))
    assert "ladder.halt.at" in said
    assert "RC-30" not in said


@pytest.mark.parametrize(("old", "new"), [("market: sample", "market: synthetic"), ("id: paper-1", "id: paper-2")])
def test_what_is_neither_needs_a_record(book: Book, old: str, new: str) -> None:
    """Another provider, another account: unknown counts as looser."""
    assert "without a change record" in book.refused(DAYS[1], capped(0.05, (old, new)))


def test_a_forged_head_is_no_signature(book: Book) -> None:
    """A checkpoint that the log's key did not sign does not make a record count."""
    book.sign()
    entry = book.approve(LOOSE, signed=False)
    size, note = book.lake.ledger.checkpoints()[-1]
    root = book.lake.ledger.root(entry.seq + 1)
    lines = note.split("\n")
    forged = "\n".join([lines[0], str(entry.seq + 1), base64.b64encode(root).decode(), *lines[3:]])
    book.lake.ledger.keep_checkpoint(entry.seq + 1, forged)
    assert size < entry.seq + 1
    with pytest.raises(LedgerError, match="does not hold"):
        admit(book.lake, DAYS[1], LOOSE)


def test_a_lost_text_of_the_mandate_in_force_stops(book: Book) -> None:
    """Without the text nothing can be compared: fail closed."""
    row = book.lake.index.newest("mandate", STATIC)
    assert row is not None
    path = book.path / "store" / row.uri
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(StoreError):
        admit(Lake(book.path), DAYS[1], TIGHT)


def test_a_home_from_before_such_entries_compares_with_what_it_decided_with(tmp_path: Path) -> None:
    """The newest stored mandate is in force; the first run records it, a loosening is refused."""
    book = Book(tmp_path / "home")
    book.store(PLAIN, "old")
    book.lake.ledger.append("decision", "2018-12-12", {"session": "2018-12-12"})
    assert "without a change record" in book.refused(DAYS[1], LOOSE)
    assert book.run(DAYS[1], PLAIN) == "neutral"
    assert book.kinds() == [("neutral", "2018-12-13")]
    assert "without a change record" in book.refused(DAYS[2], LOOSE)


def without(book: Book, key: str) -> None:
    """A home whose mandate in force was written before the key existed: this code cannot read it any more."""
    plain = json.loads(PLAIN.canonical())
    del plain[key]
    text = json.dumps(plain, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    frame = mandate_frame(PLAIN).assign(mandate_sha256=digest, canonical_json=text)
    row = book.lake.commit(frame, MANDATE, STATIC, reads=[], blobs=[], origin=Origin("old", "x", "", {}))
    facts = {"mandate_sha256": digest, "manifest_sha256": row.manifest_sha256, "session": "2018-12-12", "change": 1}
    book.lake.ledger.append("mandate_in_force", "000002", facts)


def test_a_limit_that_an_update_adds_is_taken(book: Book) -> None:
    """What had no limit before has one now: tighter."""
    without(book, "loss_rules")
    assert book.run(DAYS[1], PLAIN) == "tighter"


def test_another_key_that_an_update_adds_is_approved_by_the_command(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without a direction needs the record, which can be signed although the old text is not read any more."""
    without(book, "cadence")
    assert "cadence" in book.refused(DAYS[1], PLAIN)
    path = tmp_path / "mandate.yaml"
    path.write_bytes(PLAIN.canonical())
    monkeypatch.setenv("MARKETBOT_HOME", str(book.path))
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    told = approve_now("after an update")
    assert (told["needed"], told["effective_session"]) == (True, "2018-12-13")
    assert book.run(DAYS[1], PLAIN) == "looser"
    assert approve_now("nothing is left to approve")["needed"] is False


def test_a_record_that_cannot_be_signed_does_not_count(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signer is gone: the command says so and the run goes on refusing."""
    path = tmp_path / "mandate.yaml"
    path.write_bytes(LOOSE.canonical())
    monkeypatch.setenv("MARKETBOT_HOME", str(book.path))
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    monkeypatch.setenv("MARKETBOT_SIGNER_COMMAND", str(tmp_path / "no-signer"))
    with pytest.raises(LedgerError, match="recorded but not signed"):
        approve_now("because")
    assert "not signed" in book.refused(DAYS[1], LOOSE)


def test_a_run_that_died_before_its_record_is_asked_again(book: Book) -> None:
    """The stored mandate is not in force before the ledger says so."""
    admit(book.lake, DAYS[1], TIGHT)
    book.store(TIGHT, "died")
    standing = in_force(book.lake)
    assert standing is not None
    assert standing.sha256 == PLAIN.sha256
    assert book.run(DAYS[1], PLAIN) == "neutral"


def test_the_effective_session_follows_the_last_cutoff(tmp_path: Path, book: Book) -> None:
    """A day without trading is skipped; without a book it is go-live; a calendar that is over has none."""
    assert effective_session(Lake(tmp_path / "new").ledger, PLAIN) == dt.date(2018, 10, 1)
    for day in DAYS[1:3]:
        book.run(day, PLAIN)
    assert effective_session(book.lake.ledger, PLAIN) == dt.date(2018, 12, 17)
    over = capped(0.05, ("last_session: 2022-12-28", "last_session: 2018-12-14"))
    with pytest.raises(UsageError, match="expected a session after"):
        effective_session(book.lake.ledger, over)


def test_a_change_of_hundreds_of_keys_fits_an_entry(book: Book) -> None:
    """Long values are cut and keys beyond the first hundred counted; the hashes pin the rest."""
    tickers = json.dumps([f"T{n:05d}" for n in range(9_000)])
    wide = capped(0.05, ("[AAPL, AMD, MSFT, PEP]", tickers))
    entry = book.approve(wide)
    assert entry.body["changes_count"] == 1
    assert len(json.dumps(entry.body)) < 2_000
