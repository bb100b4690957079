"""L1, L7: reading without a session is impossible by the interface, and a session's reader shows nothing of a later one."""

import ast
import datetime as dt
import inspect
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from research_world import ROOT

from marketbot_assets import rebuild, rebuild_data
from marketbot_resources.sessions import record_cutoff
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.table import Column, Table

COLUMNS = (Column("name", "text", "n"), Column("value", "number", "v"), Column("known_at", "instant", "k"))
PRICES, FEATURES = Table("prices", "row", ("name",), COLUMNS), Table("features", "row", ("name",), COLUMNS)
HISTORY = Table("price_history", "row", ("name",), COLUMNS)
DAYS = [dt.date(2018, 1, 2), dt.date(2018, 1, 3), dt.date(2018, 1, 4)]
FUTURE = 1000.0
READS = {"read", "previous", "panel", "each", "as_of", "behind", "has", "previous_session", "mandate", "remember"}
PATHS = ("rebuild.py", "rebuild_data.py", "panels.py", "session_facts.py")


def cutoff(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 22, tzinfo=dt.UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three sessions; whatever was known after the second one's cutoff is at least FUTURE, one such row in its own partition."""
    lake = Lake(tmp_path)

    def commit(table: Table, part: str, rows: list[tuple[str, float, dt.datetime]]) -> None:
        frame = pd.DataFrame(rows, columns=["name", "value", "known_at"])
        lake.commit(frame, table, part, reads=[], blobs=[], origin=Origin("run", "code", "2018-01-05T00:00:00Z", {}))

    commit(HISTORY, "static", [("a", 1.0, cutoff(DAYS[0] - dt.timedelta(days=1)))])
    for number, day in enumerate(DAYS):
        record_cutoff(lake.ledger, day, cutoff(day))
        value = FUTURE if number == 2 else 2.0 + number
        late = [("late", FUTURE, cutoff(day) + dt.timedelta(microseconds=1))] if number == 1 else []
        commit(PRICES, day.isoformat(), [("a", value, cutoff(day)), *late])
        commit(FEATURES, day.isoformat(), [("a", value, cutoff(day))])
    return lake


def frames(read: Reader) -> Iterator[pd.DataFrame]:
    """Whatever a reader gives of later sessions' assets, by every method that gives rows."""
    for asset in ("prices", "features"):
        yield from (read.read(asset), read.panel(asset), read.panel(asset, 1), read.panel(asset, with_session=False))
        yield from (frame for _, frame in read.each(asset, 99))
        previous = read.previous(asset)
        assert previous is not None
        yield previous


def test_a_reader_shows_no_later_partition(lake: Lake) -> None:
    """L7: a feature of tomorrow's close cannot be built: no method of a session's reader gives a row of a later session."""
    read = Reader(lake, DAYS[1], allowed=None)
    seen = [value for frame in frames(read) for value in frame.loc[frame["name"] == "a", "value"]]
    assert set(seen) == {1.0, 2.0, 3.0}
    assert set(Reader(lake, DAYS[2], allowed=None).panel("prices")["value"]) == {1.0, 2.0, 3.0, FUTURE}


def test_as_of_gives_what_was_known_to_the_microsecond(lake: Lake) -> None:
    """A row known at the cutoff is there, one known a microsecond later is not, even in the session's own partition."""
    known = Reader(lake, DAYS[1], allowed=None).as_of("prices")
    assert sorted(known["value"]) == [1.0, 2.0, 3.0]
    assert known["known_at"].max() == pd.Timestamp(cutoff(DAYS[1]))


def test_no_reader_without_a_session_and_no_other_session_than_its_own() -> None:
    """The session has no default, and no method takes a session, an instant or a cutoff of the caller's choice.

    `blob` takes a hash, which no future can be read by: a body is found by what is in it.
    """
    assert inspect.signature(Reader.__init__).parameters["session"].default is inspect.Parameter.empty
    public = {name for name, _ in inspect.getmembers(Reader, inspect.isfunction) if not name.startswith("_")}
    assert public == READS | {"sessions_since", "blob"}
    for name in READS:
        taken = set(inspect.signature(getattr(Reader, name)).parameters) - {"self"}
        assert taken <= {"asset", "lookback_sessions", "with_session", "name", "since", "make"}, name


def test_what_is_computed_gets_a_reader_and_nothing_else() -> None:
    """Every function of the graph takes a reader, the ledger and at most a body; its modules do not know the store itself."""
    every = {**rebuild.REBUILDS, **rebuild_data.REBUILDS, **rebuild_data.HISTORIES}
    for name, function in every.items():
        assert list(inspect.signature(function).parameters)[:2] == ["read", "ledger"], name
    for path in (ROOT / "marketbot_assets" / name for name in PATHS):
        names = {
            node.module
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
        assert not {"marketbot_resources.store.lake", "marketbot_resources.store.objects"} & names, path.name
