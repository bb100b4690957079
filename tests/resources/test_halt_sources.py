"""The halt flag of many sources: any that is on halts, the most severe counts, and what cannot be read halts."""

import sqlite3
import threading
import time
from itertools import product
from pathlib import Path

import pytest

from marketbot_resources.halt import HaltFlag, HaltSwitch, combined, understood
from marketbot_resources.halt_sources import Bounded, SqliteRow, open_halt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import HaltLevel

OFF = HaltFlag("off", "")
UNREADABLE = HaltFlag("unreadable", "x")
ORDER = ("off", "no-new-runs", "reduce-only", "flatten", "halt", "cancel-all")  # as docs/reference.md lists the levels


def on(level: str) -> HaltFlag:
    return HaltFlag("on", level, HaltLevel(level))


FLAGS = {"off": OFF, "unreadable": UNREADABLE, **{word: on(word) for word in ORDER[1:]}}


@pytest.mark.parametrize(("first", "second"), list(product(FLAGS, FLAGS)))
def test_the_most_severe_of_two_counts(first: str, second: str) -> None:
    """RC-80: by the documented order; unreadable is as severe as halt, so that cancel-all beside it still cancels."""
    found = combined([("file HALT", FLAGS[first]), ("row", FLAGS[second])])
    rank = {**{word: n for n, word in enumerate(ORDER)}, "unreadable": ORDER.index("halt")}
    worst = max(rank[first], rank[second])
    assert rank[found.word if found.word != "on" else "halt"] == worst
    assert (found.status == "off") is (first == second == "off")
    if second not in ("off",):
        assert "row: " in found.reason, "the source is named"
    if first not in ("off",):
        assert found.reason.startswith(FLAGS[first].reason), "the file's own reason stands as it is"


@pytest.mark.parametrize(
    ("level", "word"),
    [
        ("off", "off"),
        *((level.value, "on" if level is HaltLevel.HALT else level.value) for level in HaltLevel),
        *(
            (odd, "unreadable")
            for odd in ("", "OFF", "Off", " off", "on", "HALT", "resume", None, 0, False, b"off", 1.0)
        ),
    ],
)
def test_only_known_words_are_understood(level: object, word: str) -> None:
    """RC-80: an unknown word was meant to say something."""
    assert understood(level, "why").word == word


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    SqliteLedger(tmp_path / "ledger.sqlite").append("k", "1", {})
    return tmp_path / "ledger.sqlite"


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


SET = "update halt set level = 'halt', reason = 'why'"  # the line of docs/reference.md


def test_the_row_is_set_by_the_documented_line(ledger: Path) -> None:
    """RC-80: a ledger of before gets the row, off; the log stays as it was."""
    head, switch = SqliteLedger(ledger).head(), open_halt(ledger.parent)
    assert switch.read() == OFF
    execute(ledger, SET)
    assert switch.read() == HaltFlag("on", "database row: why")
    assert dict(switch.each())["file HALT"] == OFF
    execute(ledger, "update halt set level = 'off'")
    assert open_halt(ledger.parent).read() == OFF
    assert SqliteLedger(ledger).head() == head
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert f'sqlite3 ledger.sqlite "{SET}"' in text


@pytest.mark.parametrize(
    "statement",
    [
        "delete from halt",
        "update halt set level = 'stop everything'",
        "update halt set level = ''",
        "update halt set level = 7",
        "update halt set level = x'6f6666'",
        "alter table halt drop column reason",
        "alter table halt rename to other; ",
    ],
)
def test_an_odd_row_halts(ledger: Path, statement: str) -> None:
    """RC-80: a row that is gone or says what no one knows; a table that is gone is a ledger of before, and gets it again."""
    switch = open_halt(ledger.parent)
    assert switch.read() == OFF
    execute(ledger, statement)
    expected = "off" if "rename" in statement else "unreadable"
    assert switch.read().status == expected


def test_a_home_without_ledger_has_no_row(tmp_path: Path) -> None:
    """Nothing was sent from it; asking makes no file."""
    assert open_halt(tmp_path).read() == OFF
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_halts(tmp_path: Path) -> None:
    """RC-80: unreadable."""
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 20)
    assert open_halt(tmp_path).read().status == "unreadable"


def test_a_locked_row_halts_until_it_is_free(ledger: Path) -> None:
    """RC-80: someone holds the file for longer than the source has; afterwards it is read again by itself."""
    source = Bounded(SqliteRow(ledger), 0.3)
    assert source.read() == OFF
    holder = sqlite3.connect(ledger, isolation_level=None)
    holder.execute("begin exclusive")
    started = time.monotonic()
    assert source.read().status == "unreadable"
    assert time.monotonic() - started < 1.5
    holder.execute("rollback")
    holder.close()
    assert Bounded(SqliteRow(ledger), 10).read() == OFF


class Slow:
    """Answers when it is let go."""

    name = "slow"

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), 0

    def read(self) -> HaltFlag:
        self.asked += 1
        self.go.wait(20)
        return OFF


def test_a_source_that_does_not_answer_halts_and_is_not_asked_twice() -> None:
    """RC-80: late is unreadable; one question at a time, so that no threads pile up; it recovers by itself."""
    slow = Slow()
    source = Bounded(slow, 0.05)
    assert [source.read().status for _ in range(3)] == ["unreadable"] * 3
    assert slow.asked == 1
    slow.go.set()
    late = Bounded(slow, 10)
    assert late.read() == OFF
    for _ in range(100):
        if source.read() == OFF:
            break
    assert source.read() == OFF


def test_the_first_question_has_more_time() -> None:
    """It loads a client; the ones before orders do not."""
    slow = Slow()
    threading.Timer(0.3, slow.go.set).start()
    assert Bounded(slow, 0.01, first=10).read() == OFF


class Broken:
    name = "broken"

    def read(self) -> HaltFlag:
        raise RuntimeError("password=hunter2hunter2 is wrong")


def test_a_source_that_fails_halts_without_telling_secrets(tmp_path: Path) -> None:
    """RC-80, S2: what went wrong is told, not the secret in it."""
    for source in (Broken(), Bounded(Broken(), 10)):
        flag = HaltSwitch(tmp_path, [source]).read()
        assert flag.status == "unreadable"
        assert "hunter2" not in flag.reason
        assert "broken: " in flag.reason


def test_resuming_clears_the_file_alone(ledger: Path) -> None:
    """RC-80: what a DBA set stays set."""
    execute_once = open_halt(ledger.parent)
    execute_once.read()
    execute(ledger, SET)
    execute_once.set("a doubt", HaltLevel.REDUCE_ONLY)
    assert execute_once.read() == HaltFlag("on", "a doubt; database row: why", HaltLevel.HALT)
    execute_once.clear()
    assert execute_once.read() == HaltFlag("on", "database row: why", HaltLevel.HALT)


def test_a_ledger_elsewhere_without_its_address_halts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RC-80: the row exists and cannot be asked; an address that is none cannot be asked either."""
    monkeypatch.delenv("MARKETBOT_LEDGER", raising=False)
    (tmp_path / "ledger.postgres").write_text("database x on y:5432\n", encoding="utf-8")
    assert open_halt(tmp_path).read().status == "unreadable"
    monkeypatch.setenv("MARKETBOT_LEDGER", "nothing that is an address")
    assert open_halt(tmp_path).read().status == "unreadable"
