"""`marketbot llm status` and `llm probe`: what is shown of a home, and every way in which they cannot start."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from calls_world import BAD, DAY, NEXT_DAY, ROOT, Scripted, World, failed, mandate_of, mandate_text, model, said
from click.testing import CliRunner

from marketbot_assets.cli import commands
from marketbot_assets.commands.llm import NOBODY, probe_lines, probe_now, status_lines, status_now
from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_resources.errors import UsageError
from marketbot_resources.model import plain
from marketbot_resources.store.index import Origin

CHAIN = (model("one"), model("two", provider="anthropic"))
KEY = "sk-0123456789abcdef0123"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A home whose mandate asks two models; the key of the first is there."""
    path = tmp_path / "mandate.yaml"
    path.write_text(mandate_text(*CHAIN), encoding="utf-8")
    for name, value in (("MARKETBOT_HOME", tmp_path / "home"), ("MARKETBOT_MANDATE", path), ("OPENAI_API_KEY", KEY)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return World(tmp_path / "home", mandate_of(*CHAIN))


def store(world: World, port: Scripted, *, next_day: bool = False) -> None:
    """A session's tries as its asset stores them."""
    day = NEXT_DAY if next_day else DAY
    rows = world.rows(world.ask(port, day, fresh=True))
    world.lake.commit(rows, LLM_ANSWERS, day.isoformat(), reads=[], blobs=[], origin=Origin("test", "0", "", {}))


def test_the_status_of_two_sessions(world: World) -> None:
    """A repaired answer, then two failures: counts, rates, budget of the newest session's day, versions, incidents, no key."""
    store(world, Scripted([said(BAD), said()]))
    store(world, Scripted([failed(may_cost=True), failed()]), next_day=True)
    view = status_now(20)
    sessions = cast("list[dict[str, Any]]", view["sessions"])
    first, second = sessions
    names = ("session", "tries", "accepted", "repaired", "refused", "failed", "tokens_in", "tokens_out", "drifted")
    assert [first[name] for name in names] == ["2018-12-12", 2, 1, 1, 1, 0, 2000, 200, False]
    assert [second[name] for name in names] == ["2018-12-13", 2, 0, 0, 0, 2, 0, 0, False]
    assert first["cost_usd"] == Decimal("0.026")
    rates = {"accepted": 0.5, "refused": 0.5, "failed": 0.5, "repaired": 1.0, "fallback": 0.0, "sessions": 2}
    assert view["rates"] == rates  # no llm_context is stored here: nothing fell back
    budget = view["budget"]
    assert isinstance(budget, dict)
    assert budget["day"] == NEXT_DAY
    assert budget["spent"] == second["cost_usd"] > 0
    assert budget["left"] == 1 - budget["spent"]
    lines = status_lines(view)
    assert lines[0] == (
        "openai one: key present; knows until 2018-01-01; openai:one-2018@fp1; no baseline: marketbot llm probe"
    )
    assert lines[1].startswith("anthropic two: no key: set ANTHROPIC_API_KEY; ")
    assert "budget of 2018-12-13: 1.0 US dollars" in lines[2]
    assert lines[-1].startswith("2018-12-13 LLM_PROVIDER: no model answered (openai one: timeout; anthropic two:")
    result = CliRunner().invoke(commands, ["llm", "status", "--json"], standalone_mode=False)
    told = json.loads(result.stdout)
    assert told["sessions"][0]["cost_usd"] == plain(Decimal("0.026"))
    assert KEY not in result.stdout + "".join(lines)
    assert len(status_now(1)["sessions"]) == 1  # type: ignore[arg-type]


def test_a_home_that_asks_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a section llm: said in one line; a probe cannot start."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(ROOT / "mandate.yaml"))
    view = status_now(20)
    assert (view["asks"], view["chain"], view["budget"], view["sessions"]) == (False, [], None, [])
    assert status_lines(view) == [NOBODY]
    with pytest.raises(UsageError, match="section llm"):
        probe_now(None)


def test_a_probe_without_a_key_records_nothing(world: World) -> None:
    """The model of which the key is missing: one refused call, no baseline, exit 1; the other is not asked."""
    view = probe_now("two")
    assert not view["fine"]
    (line,) = probe_lines(view)
    assert line.startswith("anthropic:two: nothing recorded: pack 1: no_key: ")
    assert world.bodies("llm_probe") == []
    (call,) = world.bodies("llm_call")
    assert (call["purpose"], call["model"], call["session"]) == ("probe", "two", NEXT_DAY.isoformat())
    assert CliRunner().invoke(commands, ["llm", "probe", "--model", "two"], standalone_mode=False).return_value == 1
    with pytest.raises(UsageError, match="expected one of one, two, found three"):
        probe_now("three")


def test_nothing_was_ever_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a home: one clear line."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no book yet"):
        status_now(1)
    with pytest.raises(UsageError, match="no book yet"):
        probe_now(None)


def test_a_local_model_needs_no_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is said to be there when none is asked for."""
    local = {"provider": "local", "address": "http://127.0.0.1:9/v1"}
    path = world.folder.parent / "local.yaml"
    path.write_text(mandate_text(model("own", **local)), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    assert status_lines(status_now(20))[0].startswith("local own http://127.0.0.1:9/v1: needs no key; knows until")
