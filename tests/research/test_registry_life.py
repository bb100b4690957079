"""A process killed at any write of a model's life, from registration to its end: the next one goes on, nothing is lost or twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import registry_life as life
from services import Postgres

from marketbot_assets.insight.model_states import State, What
from marketbot_assets.model_registry import ModelRegistry
from marketbot_assets.model_trials import trials
from marketbot_resources.ledger.examine import examine
from marketbot_resources.migrations.migrate import install
from marketbot_resources.store.inspection import named
from marketbot_resources.store.lake import Lake

ROOT = Path(__file__).parents[2]


def lives(home: Path, step: int) -> str:
    command = [sys.executable, "-W", "error", life.__file__, str(home), str(step)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    points, other = json.loads(done.stdout)
    assert other == []
    lake = Lake(home)
    events = ModelRegistry(lake, "undisturbed").events()
    moves = [event.to for event in events if event.what is What.MOVED]
    assert moves == [State.SHADOW, State.CHAMPION, State.RETIRED]
    assert [event.what for event in events].count(What.ROLLED_BACK) == 1
    assert len(trials(lake.ledger, "undisturbed")) == 1
    assert examine(lake.ledger).faults == ()
    assert named(lake) <= {key for key, _ in lake.objects.listing()}
    return f"{points} points, every {step}th: {len(range(1, points + 1, step))} kills"


def test_a_life_survives_kills(tmp_path: Path) -> None:
    """SQLite, some of the points."""
    lives(tmp_path / "home", 9)


@pytest.mark.long
def test_a_life_survives_a_kill_at_every_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite, all of them; prints its numbers."""
    told = lives(tmp_path / "home", 1)
    with capsys.disabled():
        print(f"\nSQLite: {told}")


@pytest.mark.long
def test_a_life_survives_a_kill_at_every_point_on_postgres(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ledger in PostgreSQL."""
    name = postgres.database()
    install(postgres.url("postgres", name))
    postgres.login("ledger_writer")
    monkeypatch.setenv("MARKETBOT_LEDGER", postgres.url("ledger_writer", name))
    told = lives(tmp_path / "home", 1)
    # 43 slots, ten events and a trial each
    assert postgres.execute("select count(*) >= 473 from ledger.entry", name) == [(True,)]
    with capsys.disabled():
        print(f"\nPostgreSQL: {told}")
