"""Users' files as batches of Arrow rows: CSV (also gzip-compressed), Parquet, a table of a DuckDB file. Nothing is interpreted.

CSV cells come as text, so that `shape` alone says what a date or a number is. A file is read in batches: memory stays bounded.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from marketbot_resources.errors import SetupError, UsageError

BATCH_ROWS = 262_144
_FORMS = ".csv, .csv.gz, .parquet, .duckdb"


def batches(path: Path, table: str | None = None) -> Iterator[pa.Table]:
    """The rows of a file, in its order. `table`: of a DuckDB file. Raises UsageError in one line."""
    name = path.name.lower()
    if not path.is_file():
        raise UsageError(f"import: expected a file, found nothing at {path}")
    if (table is not None) != name.endswith((".duckdb", ".db")):
        raise UsageError(f"import: expected --table with a DuckDB file and with no other, found {path.name}")
    try:
        if name.endswith((".csv", ".csv.gz")):
            yield from _csv(path)
        elif name.endswith((".parquet", ".pq")):
            yield from _parquet(path)
        elif table is not None:
            yield from _duckdb(path, table)
        else:
            raise UsageError(f"import: expected a file that ends in {_FORMS}, found {path.name}")
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise UsageError(f"import: expected a readable {path.name}, found: {' '.join(str(error).split())}") from error


def _csv(path: Path) -> Iterator[pa.Table]:
    from pyarrow import csv

    with pa.input_stream(str(path), compression="detect") as stream:
        header = stream.read(1 << 16).split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    names = [cell.strip().strip('"') for cell in header.rstrip("\r").split(",")]
    if len(set(names)) != len(names):
        raise UsageError(f"import: expected every column of {path.name} once, found {sorted(names)}")
    text = csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, null_values=[""], strings_can_be_null=True
    )
    with pa.input_stream(str(path), compression="detect") as stream:
        for batch in csv.open_csv(stream, csv.ReadOptions(block_size=16 << 20), convert_options=text):
            yield pa.Table.from_batches([batch])


def _parquet(path: Path) -> Iterator[pa.Table]:
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(BATCH_ROWS):
        yield pa.Table.from_batches([batch])


def _duckdb(path: Path, table: str) -> Iterator[pa.Table]:
    try:
        import duckdb
    except ImportError as error:
        raise SetupError("import: a DuckDB file needs the extra `duckdb`: pip install 'marketbot[duckdb]'") from error
    if not all(part.isidentifier() for part in table.split(".")):
        raise UsageError(f"import: expected --table with the name of a table, found {table!r}")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("set autoinstall_known_extensions=false; set autoload_known_extensions=false")
            quoted = ".".join(f'"{part}"' for part in table.split("."))
            reader = connection.sql(f"select * from {quoted}").to_arrow_reader(BATCH_ROWS)
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except duckdb.Error as error:
        raise UsageError(
            f"import: expected table {table} in {path.name}, found: {' '.join(str(error).split())}"
        ) from error
