"""What asset pages say of the session before: which rows came and went, what changed most, and that it stays short."""

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.change_pages import Moved, apart, changed, since
from marketbot_assets.next_pages import links, onward
from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.store.index import STATIC, IndexRow, Origin, Read
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Column, Table

TABLE = Table(
    "things",
    "one thing",
    ("session", "name"),
    (
        Column("session", "date", "of which session"),
        Column("name", "text", "what it is"),
        Column("weight", "number", "fraction", nullable=True),
        Column("shares", "decimal", "count", nullable=True),
        Column("note", "text", "why"),
    ),
)
DAYS = [dt.date(2018, 12, 20 + n) for n in range(3)]


def frame(day: int, *rows: tuple[str, float, str | None, str]) -> pd.DataFrame:
    told = [(pd.Timestamp(DAYS[day]), name, weight, Decimal(n) if n else None, note) for name, weight, n, note in rows]
    return pd.DataFrame(told, columns=[column.name for column in TABLE.columns])


CASES = {
    "nothing": ((("a", 0.5, "1", "x"),), (("a", 0.5, "1", "x"),), (), (), {}),
    "came and went": ((("a", 0.5, "1", "x"),), (("b", 0.5, "1", "x"),), (("b",),), (("a",),), {}),
    "the largest by size": (
        (("a", 0.5, "10", "x"), ("b", 0.2, "10", "x")),
        (("a", 0.4, "11", "x"), ("b", 0.25, "7", "y")),
        (),
        (),
        {"weight": (2, "a", 0.5, 0.4), "shares": (2, "b", Decimal(10), Decimal(7)), "note": (1, "b", "x", "y")},
    ),
    "unknown and unknown are the same": (
        (("a", math.nan, None, "x"),),
        (("a", math.nan, None, "x"),),
        (),
        (),
        {},
    ),
    "what became unknown is the largest": (
        (("a", 0.1, "1", "x"), ("b", 0.3, "1", "x")),
        (("a", 0.9, "1", "x"), ("b", math.nan, "1", "x")),
        (),
        (),
        {"weight": (2, "b", 0.3, None)},
    ),
    "the order of rows is nothing": (
        (("a", 0.1, "1", "x"), ("b", 0.3, "2", "y")),
        (("b", 0.3, "2.0", "y"), ("a", 0.1, "1", "x")),
        (),
        (),
        {},
    ),
    "empty before": ((), (("a", 0.1, "1", "x"),), (("a",),), (), {}),
    "both empty": ((), (), (), (), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_are_matched_by_key_without_the_session(case: str) -> None:
    """Came, went, and per column how many changed and where most."""
    old, new, came, went, moved = CASES[case]
    found = apart(frame(0, *old), frame(1, *new), TABLE)
    assert (found.came, found.went) == (came, went)
    assert {one.column: _plain(one) for one in found.moved} == moved


def _plain(one: Moved) -> tuple[object, ...]:
    new = None if isinstance(one.new, float) and math.isnan(one.new) else one.new
    return (one.rows, one.at[0], one.old, new)


NAMES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 3), max_size=8)


@given(NAMES, NAMES)
def test_came_went_and_changed_are_what_sets_say(old: dict[str, int], new: dict[str, int]) -> None:
    """Beside an independent count: set differences of the keys, and how many common ones differ."""
    before, after = (
        frame(day, *((name, float(value), "1", "x") for name, value in one.items()))
        for day, one in enumerate((old, new))
    )
    found = apart(before, after, TABLE)
    assert {key[0] for key in found.came} == set(new) - set(old)
    assert {key[0] for key in found.went} == set(old) - set(new)
    differ = {name: abs(new[name] - old[name]) for name in set(old) & set(new) if old[name] != new[name]}
    assert [one.rows for one in found.moved] == ([len(differ)] if differ else [])
    for one in found.moved:
        assert differ[str(one.at[0])] == max(differ.values())


def commit(
    lake: Lake, day: int, rows: pd.DataFrame, table: Table = TABLE, *, reads: tuple[Read, ...] = (), code: str = "c1"
) -> IndexRow:
    origin = Origin("run", code, "2018-12-24T00:00:00Z", {"mandate_content_sha256": "m"})
    return lake.commit(rows, table, DAYS[day].isoformat(), reads=reads, blobs=(), origin=origin)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_a_page_tells_rows_code_and_inputs(lake: Lake) -> None:
    """The partition before, not the newest of another one; the first has none; inputs by what they hold."""
    read = [Read("prices", f"2018-12-2{n}", "f", f"content{n}", "m") for n in range(2)]
    same = Read("mandate", STATIC, "f", "always", "m")
    rows = [
        frame(0, ("a", 0.5, "1", "x")),
        frame(1, ("a", 0.25, "1", "x | [l](http://evil.example)"), ("b", 0.1, "1", "")),
    ]
    first = commit(lake, 0, rows[0], reads=(read[0], same))
    second = commit(lake, 1, rows[1], reads=(read[1], same), code="c2")
    assert since(lake, first, rows[0], TABLE) == ""
    assert changed(lake, first, rows[0], TABLE) == {}
    told = since(lake, second, rows[1], TABLE)
    assert told.startswith("Since 2018-12-20: 1 rows came, 0 went, 2 columns changed in the others.")
    assert "came: b" in told
    assert "| weight | 1 | a | 0.5 | 0.25 |" in told
    assert "- code: c1 then, c2 now" in told
    assert "- mandate: the same" in told
    assert "- inputs with the same content: mandate" in told
    assert "- inputs with other content: prices" in told
    assert "`x / [l](http://evil.example)`" in told  # text of strangers is a code span
    third = commit(lake, 2, frame(1, ("a", 0.25, "1", "x")), reads=())
    assert since(lake, third, lake.load(third), TABLE).startswith("Since 2018-12-21: ")
    assert since(lake, first, rows[0], TABLE) == ""


def test_a_page_stays_short_whatever_changed(lake: Lake) -> None:
    """Thousands of rows are counted, hundreds are named by their first, long text by its length: below 20 KB."""
    for count, words in ((300, "300 rows came, 300 went"), (2_001, "2001 rows then, 2001 now; too large")):
        rows = [frame(n, *((f"{n}{'x' * 300}{i}", 0.1, "1", "y" * 5_000) for i in range(count))) for n in (0, 1)]
        commit(lake, 0, rows[0])
        told = since(lake, commit(lake, 1, rows[1]), rows[1], TABLE)
        assert words in told
        assert len(told.encode()) < 20_000


def test_what_cannot_be_read_is_told(lake: Lake) -> None:
    """A damaged object of the session before fails nothing: the page says that it cannot tell."""
    first, rows = commit(lake, 0, frame(0, ("a", 0.5, "1", "x"))), frame(1, ("b", 0.5, "1", "x"))
    second = commit(lake, 1, rows)
    path = lake.home / "store" / first.uri
    path.chmod(0o600)
    path.write_bytes(b"other")
    told = since(Lake(lake.home, read_only=True), second, rows, TABLE)
    assert told.startswith("Since 2018-12-20: cannot be told")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("session", "name", "weight"), "columns that came: note, shares; rows"),  # another version stored less
        (("session", "weight", "shares", "note"), "columns that came: name; rows"),  # not even the key of today
        (("session", "name", "weight", "shares", "note", "old"), "columns that went: old; rows"),
    ],
)
def test_a_table_of_another_version_fails_nothing(lake: Lake, columns: tuple[str, ...], words: str) -> None:
    """The first session after an upgrade: what was stored before has other columns."""
    was = {column.name: column for column in TABLE.columns} | {"old": Column("old", "text", "gone since")}
    then = Table("things", "one thing", ("session",), tuple(was[name] for name in columns))
    rows = frame(0, ("a", 0.5, "1", "x")).assign(old="x")[list(columns)]
    commit(lake, 0, rows, then)
    after = frame(1, ("b", 0.5, "1", "x"))
    told = since(lake, commit(lake, 1, after), after, TABLE)
    assert told.startswith("Since 2018-12-20: 1 rows then, 1 now; another table then, ")
    assert words in told


ADDRESSES = {
    "http://127.0.0.1:8787": "http://127.0.0.1:8787",
    "https://Desk.example/": "https://desk.example",
    "https://[::1]:9": "https://[::1]:9",
    "": None,
}


@pytest.mark.parametrize("given_", ADDRESSES)
def test_links_lead_to_the_pages_or_to_files(given_: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an address to the server of pages; without one to the home's files."""
    monkeypatch.setenv("MARKETBOT_PAGES_URL", given_)
    base = ADDRESSES[given_]
    assert settings.pages_url() == base
    found = {name: str(value.value) for name, value in links(tmp_path, "S").items()}  # type: ignore[union-attr]
    files = {"report": f"{tmp_path}/reports/S.html", "dossiers": f"{tmp_path}/dossiers/S/index.html"}
    assert found == ({"report": f"{base}/reports/S", "dossiers": f"{base}/orders?session=S"} if base else files)


@pytest.mark.parametrize(
    "odd",
    [
        "desk",
        "ftp://desk",
        "http://",
        "http://u:hunter2@desk",
        "http://desk/x",
        "http://desk?q",
        "javascript:alert(1)",
        "http://d:99999",
    ],
)
def test_another_address_is_refused_and_fails_no_session(
    odd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The setting says what it expects, without the value, which may hold a password; pages go on with files."""
    monkeypatch.setenv("MARKETBOT_PAGES_URL", odd)
    with pytest.raises(HomeError, match="MARKETBOT_PAGES_URL") as told:
        settings.pages_url()
    assert "hunter2" not in str(told.value)
    assert set(links(tmp_path, "S")) == {"report", "dossiers"}


def test_commands_name_the_very_object(lake: Lake) -> None:
    """Blast radius by the file's hash; replay of its session; an order's reason where rows are about orders."""
    row = commit(lake, 0, frame(0, ("a", 0.5, "1", "x")))
    told = {stage: str(onward(lake.home, row, stage)["next"].value) for stage in ("risk", "ingestion")}  # type: ignore[union-attr]
    assert f"`marketbot blast-radius {row.file_sha256[:16]}`" in told["risk"]
    assert "`marketbot replay --session 2018-12-20`" in told["ingestion"]
    assert ("marketbot explain" in told["risk"], "marketbot explain" in told["ingestion"]) == (True, False)
