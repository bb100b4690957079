"""Users' own files: accepted rows are exactly what the file says, a refusal names column and row, nothing is stored half."""

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from marketbot_resources.errors import UsageError
from marketbot_resources.imports.forms import FORMS
from marketbot_resources.imports.keep import ENTRY, import_file
from marketbot_resources.imports.listings import listings_of
from marketbot_resources.imports.provider import ImportProvider
from marketbot_resources.imports.shape import Reading
from marketbot_resources.ledger.opening import open_ledger
from marketbot_resources.rows import arrow_rows
from marketbot_resources.store.objects import LocalObjects

AT = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
END = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
HEADER = "ticker,mic,currency,session,open,high,low,close,volume"
ROWS = (
    "AAA,XNYS,USD,2018-12-21,10,11,9,10.5,1000",
    "AAA,XNYS,USD,2018-12-24,10.5,10.6,9.9,10,900",  # half day: closes 18:00 UTC
    "BBB,XLON,GBX,2018-12-21,500,510,490,505.5,70",  # half day of London: 12:30 UTC
    "BBB,XLON,GBX,2019-01-02,500,510,490,,70",
)


class Place:
    """One home's store and ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = LocalObjects(path / "store")
        path.mkdir(exist_ok=True)
        self.ledger = open_ledger(path)
        self.provider = ImportProvider(self.objects, self.ledger)

    def bring(self, path: Path, kind: str = "prices", at: dt.datetime = AT, **how):  # type: ignore[no-untyped-def]
        table = how.pop("table", None)
        return import_file(path, kind, Reading(**how), objects=self.objects, ledger=self.ledger, at=at, table=table)

    def rows(self, since: dt.datetime | None = None, until: dt.datetime = END, kind: str = "prices") -> list[dict]:
        method = {"prices": "prices", "instruments": "instruments", "macro": "series"}[kind]
        given = (until,) if kind == "instruments" else (since, until)
        types = FORMS[kind].types
        tables = [
            arrow_rows(body.content, types, (), parser=body.parser, asked={}, where="x")
            for body in getattr(self.provider, method)(*given).bodies
        ]
        return pa.concat_tables(tables).to_pylist()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


def written(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def as_csv(path: Path) -> Path:
    return written(path / "bars.csv", *ROWS)


def as_gzip(path: Path) -> Path:
    file = path / "bars.csv.gz"
    file.write_bytes(gzip.compress(as_csv(path).read_bytes()))
    return file


def as_parquet(path: Path) -> Path:
    file = path / "bars.parquet"
    parquet.write_table(csv.read_csv(as_csv(path)), file)
    return file


def as_duckdb(path: Path) -> Path:
    file = path / "bars.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"create table bars as select * from read_csv('{as_csv(path)}')")
    return file


@pytest.mark.parametrize("made", [as_csv, as_gzip, as_parquet, as_duckdb])
def test_every_form_gives_the_same_rows(made: Callable[[Path], Path], place: Place, tmp_path: Path) -> None:
    """Values as in the file, ids from exchange and ticker, known a quarter of an hour after the close, half days honoured."""
    table = {"table": "bars"} if made is as_duckdb else {}
    kept = place.bring(made(tmp_path), **table)
    assert (kept.rows, kept.closed, kept.repeated, kept.contradicting) == (4, 0, 0, 0)
    found = place.rows()
    assert [(r["source_id"], str(r["session"]), r["close"], r["currency"]) for r in found] == [
        ("listing:XLON:BBB", "2018-12-21", 505.5, "GBX"),
        ("listing:XNYS:AAA", "2018-12-21", 10.5, "USD"),
        ("listing:XNYS:AAA", "2018-12-24", 10.0, "USD"),
        ("listing:XLON:BBB", "2019-01-02", None, "GBX"),
    ]
    assert [r["known_at"].strftime("%m-%d %H:%M") for r in found] == [
        "12-21 16:45",
        "12-21 21:15",
        "12-24 18:15",
        "01-02 16:45",
    ]
    assert {(r["synthetic"], r["close_adjusted_by_source"]) for r in found} == {(False, False)}
    assert [r["price_level"] for r in found] == [505.5, 10.5, 10.0, None]


def test_the_same_file_twice_is_one_import(place: Place, tmp_path: Path) -> None:
    """The ledger names it once; a home elsewhere gets the same bytes."""
    first, again = (place.bring(as_csv(tmp_path)) for _ in range(2))
    other = Place(tmp_path / "other").bring(as_csv(tmp_path))
    assert (first.added, again.added, again.seq) == (True, False, first.seq)
    assert other.objects == first.objects
    assert len(place.ledger.entries(ENTRY)) == 1


@pytest.mark.parametrize(
    ("row", "how", "message"),
    [
        ("CCC,XNYS,USD,2018-13-01,1,1,1,1,1", {}, r"a date .* in session, .* in row 2: '2018-13-01'"),
        ("CCC,XNYS,USD,2018-12-21,1,1,1,12a,1", {}, r"a number in close, .* in row 2: '12a'"),
        ("CCC,XNYS,USD,2018-12-25,1,1,1,1,1", {}, r"days on which the exchange trades, .*2018, 12, 25.* in row 2; .*--drop-closed"),
        ("CCC,XNYS,USD,2018-12-22,1,1,1,1,1", {}, "days on which the exchange trades"),
        ("CCC,,USD,2018-12-21,1,1,1,1,1", {}, "source_id in every row, found none in row 2|exchange trades"),
        ("CCC,XNYS,,2018-12-21,1,1,1,1,1", {}, "currency in every row, found none in row 2"),
        (",XNYS,USD,2018-12-21,1,1,1,1,1", {}, "source_id in every row, found none in row 2"),
        ("AAA,XNYS,USD,2018-12-21,10,11,9,10.6,1000", {}, r"one row per source_id, session, found 1 .*AAA.*--drop-contradicting"),
        ("CCC,NOPE,USD,2018-12-21,1,1,1,1,1", {}, "MIC of a known exchange, found 'NOPE'"),
        ("CCC,XNYS,USD,2018-12-21,1,1,1,1,1", {"columns": {"close": "last"}}, "expected column last for close"),
        ("CCC,XNYS,USD,2018-12-21,1,1,1,1,1", {"columns": {"price": "close"}}, "expected one of .*, found price"),
        ("CCC,XNYS,USD,2018-12-21,1,1,1,1,1", {"constants": {"synthetic": "perhaps"}}, "true or false in synthetic"),
    ],
)  # fmt: skip
def test_a_bad_row_refuses_the_file(row: str, how: dict, message: str, place: Place, tmp_path: Path) -> None:
    """One line that names what was expected, what was found and where; the home is as before."""
    with pytest.raises(UsageError, match=message) as failure:
        place.bring(written(tmp_path / "bars.csv", ROWS[0], row), **how)
    assert "\n" not in str(failure.value)
    assert place.ledger.entries(ENTRY) == []
    assert not list((place.path).rglob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bars.xls", b"x", "a file that ends in"),
        ("bars.csv", b"", "readable bars.csv|column ticker"),
        ("bars.csv", HEADER.encode() + b"\n", "expected rows in bars.csv, found none"),
        ("bars.csv", b"session,close\n2018-12-21,1\n", "expected a column (ticker|mic|currency)"),
        ("bars.csv", b"close,close\n1,1\n", "every column of bars.csv once"),
        ("bars.csv", HEADER.encode() + b"\nAAA,XNYS\n", "readable bars.csv"),
        ("bars.csv", b"\xff\xfe\x00", "readable bars.csv|column"),
        ("bars.csv.gz", b"not gzip", "readable bars.csv.gz"),
        ("bars.parquet", b"PAR1 not", "readable bars.parquet"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, content: bytes, message: str, place: Place, tmp_path: Path) -> None:
    """Another form, an empty file, a broken one."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        place.bring(tmp_path / name)


def test_a_duckdb_table_that_is_not_there(place: Place, tmp_path: Path) -> None:
    """A wrong name, a name that is no name, a missing option: one line each."""
    file = as_duckdb(tmp_path)
    for table, message in (("other", "expected table other"), ("bars; drop table bars", "name of a table")):
        with pytest.raises(UsageError, match=message):
            place.bring(file, table=table)
    with pytest.raises(UsageError, match="expected --table with a DuckDB file"):
        place.bring(file)
    with pytest.raises(UsageError, match="expected --table with a DuckDB file"):
        place.bring(as_csv(tmp_path), table="bars")


def test_rows_may_be_left_out_on_request(place: Place, tmp_path: Path) -> None:
    """Closed days and contradicting rows go only when asked; all rows of a contradicting key go; what was left out is counted."""
    file = written(
        tmp_path / "bars.csv",
        *ROWS[:2],
        ROWS[0],
        "AAA,XNYS,USD,2018-12-24,10.5,10.6,9.9,10.2,900",
        "AAA,XNYS,USD,2018-12-25,1,1,1,1,1",
    )
    kept = place.bring(file, drop_closed=True, drop_contradicting=True)
    assert (kept.rows, kept.closed, kept.repeated, kept.contradicting) == (1, 1, 1, 2)
    assert [str(r["session"]) for r in place.rows()] == ["2018-12-21"]


def test_windows_are_disjoint_and_complete(place: Place, tmp_path: Path) -> None:
    """since < known_at <= until."""
    place.bring(as_csv(tmp_path))
    middle = dt.datetime(2018, 12, 21, 21, 15, tzinfo=dt.UTC)
    early, late = place.rows(None, middle), place.rows(middle, dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert [len(early), len(late)] == [2, 2]
    assert early + late == place.rows()


def test_a_later_import_counts_from_its_instant(place: Place, tmp_path: Path) -> None:
    """Of two imports of one key the later is served; between sessions it is news of the instant at which it came, once."""
    place.bring(as_csv(tmp_path))
    mended = written(tmp_path / "mended.csv", ROWS[0].replace("10.5", "10.4"))
    place.bring(mended, at=AT + dt.timedelta(days=1))
    whole = {(r["source_id"], str(r["session"])): r["close"] for r in place.rows()}
    assert whole["listing:XNYS:AAA", "2018-12-21"] == 10.4
    assert len(whole) == 4
    day = [r for r in place.rows(AT + dt.timedelta(hours=12), AT + dt.timedelta(hours=36))]
    assert [(r["close"], r["known_at"]) for r in day] == [(10.4, AT + dt.timedelta(days=1))]
    assert place.rows(AT + dt.timedelta(hours=36), END) == []


def test_listings_follow_from_a_price_file(tmp_path: Path, place: Place) -> None:
    """One per exchange and ticker, listed on its first session, with the file's sector."""
    header = HEADER + ",sector"
    file = written(tmp_path / "bars.csv", *(f"{row},energy" for row in ROWS), header=header)
    rows = listings_of([csv.read_csv(file)], Reading())
    place.bring(file)
    import_file(file, "instruments", Reading(), objects=place.objects, ledger=place.ledger, at=AT, rows=rows)
    found = {r["source_id"]: r for r in place.rows(kind="instruments")}
    assert set(found) == {"listing:XNYS:AAA", "listing:XLON:BBB"}
    london = found["listing:XLON:BBB"]
    assert (str(london["listed_on"]), london["sector"], london["country"], london["currency"]) == (
        "2018-12-21",
        "energy",
        "GB",
        "GBX",
    )


def test_a_macro_row_needs_its_release(place: Place, tmp_path: Path) -> None:
    """A series without known_at would leak: refused; with one, two vintages of a period are two rows."""
    file = written(tmp_path / "m.csv", "CPI,2018-11-01,1.5", header="series,period,value")
    with pytest.raises(UsageError, match="expected a column known_at"):
        place.bring(file, kind="macro")
    file = written(
        tmp_path / "m.csv",
        "CPI,2018-11-01,1.5,2018-12-12T13:30:00Z",
        "CPI,2018-11-01,1.6,2019-01-11T13:30:00Z",
        header="series,period,value,known_at",
    )
    place.bring(file, kind="macro")
    assert [r["value"] for r in place.rows(kind="macro")] == [1.5, 1.6]
    assert [r["value"] for r in place.rows(kind="macro", until=dt.datetime(2018, 12, 31, tzinfo=dt.UTC))] == [1.5]


def test_forms_are_the_raw_tables() -> None:
    """An import has exactly the columns and types of the raw table that it fills, and its key."""
    from marketbot_assets.ingestion import schema

    for table in schema.TABLES:
        form = FORMS.get(table.asset.removeprefix("raw_"))
        if form is not None:
            raw = [field for field in table.arrow_schema if field.name not in ("source", "blob_sha256")]
            assert {field.name: field.type for field in raw} == dict(form.types), table.asset
            assert set(form.key) == set(table.key) - {"source"}, table.asset


PRICE = st.one_of(st.none(), st.floats(min_value=1e-6, max_value=1e9, allow_nan=False))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 4), PRICE), unique_by=lambda t: t[:2], min_size=1))
def test_numbers_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    """Any finite number, to the last bit, and a missing one as missing."""
    path = tmp_path_factory.mktemp("numbers")
    lines = [f"{t},XNYS,USD,2018-12-1{d},,,,{'' if p is None else repr(p)}," for t, d, p in rows]
    place = Place(path / "home")
    place.bring(written(path / "bars.csv", *lines))
    found = {(r["source_id"][-1], r["session"].day - 10): r["close"] for r in place.rows()}
    assert found == {(t, d): p for t, d, p in rows}
