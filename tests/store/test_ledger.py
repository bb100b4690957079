"""The ledger only grows, answers a repeated append with what it has, refuses another body, and shows every alteration."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import Equivocation, LedgerError
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.merkle import EMPTY_ROOT
from marketbot_resources.ledger.sqlite import SqliteLedger


def test_append_is_idempotent_and_equivocation_is_refused(tmp_path: Path) -> None:
    """The same body returns the same entry; another body under the same key is an error."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    first = ledger.append("order_intent", "o1", {"quantity": "5"})
    again = ledger.append("order_intent", "o1", {"quantity": "5"})
    assert (first.seq, first.hash, first.added, again.added) == (again.seq, again.hash, True, False)
    with pytest.raises(Equivocation, match="o1"):
        ledger.append("order_intent", "o1", {"quantity": "6"})
    assert ledger.head() == (1, first.hash)


def test_chain_starts_at_genesis_and_verifies(tmp_path: Path) -> None:
    """An empty ledger has the genesis root; a whole chain verifies."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    assert ledger.head() == (0, EMPTY_ROOT.hex())
    for number in range(5):
        ledger.append("fill", f"f{number}", {"n": number})
    assert first_fault(ledger) is None
    assert [entry.body["n"] for entry in ledger.entries("fill")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update entry set record = x'7b7d' where seq = 3", "entry 3"),
        ("update entry set key = 'other' where seq = 2", "entry 2"),
        ("delete from entry where seq = 3", "expected entry 3"),
        ("update entry set leaf = zeroblob(32) where seq = 1", "entry 1"),
    ],
)
def test_every_alteration_is_found(tmp_path: Path, statement: str, found: str) -> None:
    """Someone with the file and without the triggers still cannot change an entry unseen."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    for number in range(5):
        ledger.append("fill", f"f{number}", {"n": number})
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute(statement)
    connection.execute("drop trigger entry_keeps")
    connection.execute("drop trigger entry_stays")
    connection.execute(statement)
    connection.commit()
    connection.close()
    problem = first_fault(ledger)
    assert problem is not None
    assert found in problem


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": float("inf")}, {"x": 2**60}, {"x": "a" * 70_000}])
def test_what_is_no_plain_json_is_refused(tmp_path: Path, body: dict[str, float]) -> None:
    """NaN, infinities, big integers and big bodies never enter the ledger."""
    with pytest.raises(LedgerError):
        SqliteLedger(tmp_path / "ledger.sqlite").append("report", "r", body)


def test_prefix_is_plain_text(tmp_path: Path) -> None:
    """A prefix with wildcard characters matches itself only."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.append("order_event", "a_b/1", {})
    ledger.append("order_event", "axb/1", {})
    assert [entry.key for entry in ledger.entries("order_event", "a_b/")] == ["a_b/1"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=25))
def test_ledger_equals_a_dictionary_that_never_forgets(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, int]]
) -> None:
    """Against a plain dictionary: same content, same refusals."""
    ledger = SqliteLedger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    twin: dict[str, int] = {}
    for key, value in calls:
        if twin.get(key, value) != value:
            with pytest.raises(Equivocation):
                ledger.append("k", key, {"v": value})
        else:
            assert ledger.append("k", key, {"v": value}).added is (key not in twin)
            twin.setdefault(key, value)
    assert {entry.key: entry.body["v"] for entry in ledger.entries("k")} == twin
    assert first_fault(ledger) is None


def _append_many(path: str, name: str) -> None:
    ledger = SqliteLedger(Path(path))
    for number in range(1000):
        ledger.append("fill", f"{name}-{number}", {"n": number})


def test_two_writers_and_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two processes append, both are killed: the numbers are gapless and whole."""
    context = multiprocessing.get_context("fork")
    for attempt in range(3):
        writers = [
            context.Process(target=_append_many, args=(str(tmp_path / "l.sqlite"), f"{attempt}-{n}")) for n in range(2)
        ]
        for writer in writers:
            writer.start()
        writers[0].join(0.4)
        for writer in writers:
            writer.kill()
            writer.join()
    ledger = SqliteLedger(tmp_path / "l.sqlite")
    assert first_fault(ledger) is None
    assert ledger.head()[0] == len(ledger.entries("fill")) > 0
