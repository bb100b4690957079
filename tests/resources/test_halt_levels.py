"""The halt flag's levels: what the file says, what cannot be understood, when a session may begin, and that no command loosens."""

import datetime as dt
import json
from pathlib import Path

import pytest

from marketbot_assets.commands.halt import may_set
from marketbot_resources.broker.account import refuse_new_run
from marketbot_resources.errors import SessionRefused
from marketbot_resources.halt import HaltFlag, HaltSwitch
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import HaltLevel
from marketbot_resources.sessions import record_cutoff

DAY = dt.date(2018, 12, 11)
NO_NEW_RUNS, REDUCE_ONLY, FLATTEN, HALT, CANCEL_ALL = HaltLevel


@pytest.mark.parametrize("level", list(HaltLevel))
def test_a_level_is_read_as_it_was_set(tmp_path: Path, level: HaltLevel) -> None:
    """RC-80: the word is the level's, but `on` for the default one."""
    switch = HaltSwitch(tmp_path)
    switch.set("a drill", level)
    assert switch.read() == HaltFlag("on", "a drill", level)
    assert switch.read().word == ("on" if level is HALT else level.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"reason": "old"}', "on"),
        ('{"reason": "x", "level": "halt"}', "on"),
        ('{"reason": "x", "level": "flatten"}', "flatten"),
        ('{"reason": "x", "level": "FLATTEN"}', "unreadable"),
        ('{"reason": "x", "level": "off"}', "unreadable"),
        ('{"reason": "x", "level": null}', "unreadable"),
        ('{"reason": "x", "level": 3}', "unreadable"),
        ('{"reason": "x", "level": ["flatten"]}', "unreadable"),
        ('{"level": "reduce-only"}', "unreadable"),
        ('["reduce-only"]', "unreadable"),
        ('"reduce-only"', "unreadable"),
        ("reduce-only", "unreadable"),
        ("", "unreadable"),
    ],
)
def test_what_cannot_be_understood_sends_nothing(tmp_path: Path, text: str, word: str) -> None:
    """RC-80: a file of before the levels halts as it did; an unknown level is unreadable, which sends nothing."""
    (tmp_path / "HALT").write_text(text, encoding="utf-8")
    assert HaltSwitch(tmp_path).read().word == word


def test_no_new_runs_refuses_a_session_that_has_not_begun(tmp_path: Path) -> None:
    """RC-80: a session with a cutoff is in progress; the other levels let a session be decided, to be refused or reduced."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    with pytest.raises(SessionRefused, match="no-new-runs"):
        refuse_new_run(ledger, HaltFlag("on", "x", NO_NEW_RUNS), DAY)
    for flag in (
        HaltFlag("off", ""),
        HaltFlag("unreadable", "x"),
        *(HaltFlag("on", "x", each) for each in list(HaltLevel)[1:]),
    ):
        refuse_new_run(ledger, flag, DAY)
    record_cutoff(ledger, DAY, dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC))
    refuse_new_run(ledger, HaltFlag("on", "x", NO_NEW_RUNS), DAY)


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        (HaltFlag("off", ""), set(HaltLevel)),
        (HaltFlag("on", "x", NO_NEW_RUNS), set(HaltLevel)),
        (HaltFlag("on", "x", REDUCE_ONLY), {REDUCE_ONLY, FLATTEN, HALT, CANCEL_ALL}),
        (HaltFlag("on", "x", FLATTEN), {FLATTEN, HALT, CANCEL_ALL}),
        (HaltFlag("on", "x", HALT), {HALT, CANCEL_ALL, FLATTEN}),
        (HaltFlag("on", "x", CANCEL_ALL), {CANCEL_ALL, FLATTEN}),
        (HaltFlag("unreadable", "x"), {HALT, CANCEL_ALL}),
    ],
    ids=lambda value: getattr(value, "word", "levels"),
)
def test_a_command_never_loosens_the_flag(before: HaltFlag, allowed: set[HaltLevel]) -> None:
    """RC-80: `resume` and its conditions are the only way to let more go; FLATTEN only sells."""
    assert {level for level in HaltLevel if may_set(before, level)} == allowed


def test_the_file_names_level_and_reason(tmp_path: Path) -> None:
    """Anyone can read and write it."""
    HaltSwitch(tmp_path).set("token=abc0123456789abcdef leaked", REDUCE_ONLY)
    told = json.loads((tmp_path / "HALT").read_text(encoding="utf-8"))
    assert told["level"] == "reduce-only"
    assert "abc0123456789abcdef" not in told["reason"]
