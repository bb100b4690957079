"""What `doctor` says of tokens and of the address of pages."""

import datetime as dt
from pathlib import Path

import pytest

from marketbot_assets.commands.doctor_pages import page_findings
from marketbot_resources.tokens import Scope, Tokens

NOW = dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC)
# (scope, made so many days ago, good for so many days, revoked) -> whether it is fine, and a part of what is said
CASES = {
    "lasts": ([("read", 1, 90, False)], True, "1 read, 0 operator good; none ends within a week"),
    "ends in six days": ([("read", 84, 90, False)], False, "the last read token ends 2026-01-26 12:00 UTC"),
    "ends in seven days": ([("read", 83, 90, False)], True, "1 read"),
    "another lasts": ([("read", 84, 90, False), ("read", 1, 90, False)], True, "2 read"),
    "of another scope": ([("read", 1, 90, False), ("operator", 88, 90, False)], False, "the last operator token ends"),
    "over": ([("operator", 100, 90, False)], False, "the last operator token ended 2026-01-10 12:00 UTC"),
    "over, then a new one": ([("operator", 100, 90, False), ("operator", 9, 90, False)], True, "1 operator"),
    "revoked on purpose": ([("read", 84, 90, True)], True, "0 read"),
}


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETBOT_PAGES_URL", raising=False)
    return Tokens(tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_a_scope_that_was_used_has_a_token_for_another_week(case: str, tokens: Tokens) -> None:
    """Told in time, before a chart or a switch stops answering."""
    made, fine, told = CASES[case]
    for n, (scope, ago, days, revoked) in enumerate(made):
        tokens.create(f"t{n}", Scope(scope), days, NOW - dt.timedelta(days=ago))
        if revoked:
            tokens.revoke(f"t{n}", NOW)
    (found,) = page_findings(NOW)
    assert (found.name, found.good) == ("tokens", fine)
    assert told in found.found


def test_a_home_without_tokens_is_told_nothing(tokens: Tokens) -> None:
    """Nobody needs the interface."""
    assert page_findings(NOW) == []


def test_a_file_that_others_may_read_is_told(tokens: Tokens, tmp_path: Path) -> None:
    """The reason, and how to mend it."""
    tokens.create("t", Scope.READ, 9, NOW)
    (tmp_path / "api" / "tokens.json").chmod(0o644)
    (found,) = page_findings(NOW)
    assert (found.name, found.good) == ("tokens", False)


def test_the_address_of_pages(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good one is shown, another is told without its value."""
    monkeypatch.setenv("MARKETBOT_PAGES_URL", "https://desk.example")
    assert [(one.name, one.good) for one in page_findings(NOW)] == [("pages", True)]
    monkeypatch.setenv("MARKETBOT_PAGES_URL", "https://me:hunter2@desk.example")
    (found,) = page_findings(NOW)
    assert (found.name, found.good, "hunter2" in found.found) == ("pages", False, False)
