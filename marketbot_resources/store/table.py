"""What a stored table is: its columns with types, units and ranges, and the key that sorts it and is unique.

A stage's `schema.py` holds `Table`s. The store casts to `arrow_schema`, the blocking checks validate with `pandera_schema`;
both come from the one description, so they cannot drift apart. Not here: reading and writing (`resource`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandera.pandas as pandera
    import pyarrow as pa

DECIMAL_PRECISION, DECIMAL_SCALE = 28, 10


@dataclass(frozen=True)
class Column:
    """One column. `kind`: text, number, integer, flag, date, instant, decimal, numbers (a list of floats).

    `at_least` and `at_most` are inclusive; a null is legal only where `nullable` (a float's NaN counts as null).
    """

    name: str
    kind: str
    description: str
    nullable: bool = False
    at_least: float | None = None
    at_most: float | None = None
    one_of: Collection[str] | None = None


@dataclass(frozen=True)
class Table:
    """A table's contract: asset name, what one row is, sort key, columns in order."""

    asset: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        assert len(names) == len(set(names)), f"{self.asset}: a column is named twice"
        assert set(self.key) <= set(names), f"{self.asset}: the key names unknown columns"
        object.__setattr__(self, "names", frozenset(names))

    @cached_property
    def arrow_schema(self) -> "pa.Schema":
        """The fixed Arrow schema; instants are microseconds UTC, dates are date32."""
        import pyarrow as pa

        types = {
            "text": pa.string(),
            "number": pa.float64(),
            "integer": pa.int64(),
            "flag": pa.bool_(),
            "date": pa.date32(),
            "instant": pa.timestamp("us", tz="UTC"),
            "decimal": pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            "numbers": pa.list_(pa.float64()),
        }
        return pa.schema([pa.field(c.name, types[c.kind], nullable=c.nullable) for c in self.columns])

    @cached_property
    def pandera_schema(self) -> "pandera.DataFrameSchema":
        """The strict pandera schema of a frame as the reader returns it."""
        import pandera.pandas as pandera

        columns = {c.name: pandera.Column(checks=_checks(c), nullable=c.nullable) for c in self.columns}
        return pandera.DataFrameSchema(columns, strict=True, unique=list(self.key), name=self.asset)


def _checks(column: Column) -> "list[pandera.Check]":
    import pandera.pandas as pandera

    checks = [_KIND_CHECK[column.kind]()]
    if column.at_least is not None:
        checks.append(pandera.Check.ge(column.at_least))
    if column.at_most is not None:
        checks.append(pandera.Check.le(column.at_most))
    if column.one_of is not None:
        checks.append(pandera.Check.isin(sorted(column.one_of)))
    return checks


def _kind_check(name: str, test: str) -> "pandera.Check":
    import pandas as pd
    import pandera.pandas as pandera

    tests = {
        "number": pd.api.types.is_float_dtype,
        "integer": pd.api.types.is_integer_dtype,
        "flag": pd.api.types.is_bool_dtype,
        "date": pd.api.types.is_datetime64_dtype,
        "instant": lambda s: isinstance(s.dtype, pd.DatetimeTZDtype),
        "text": lambda s: pd.api.types.is_string_dtype(s) or pd.api.types.is_object_dtype(s),
        "object": pd.api.types.is_object_dtype,
    }
    return pandera.Check(lambda series: bool(tests[test](series)), name=f"is_{name}", error=f"expected {name}")


_KIND_CHECK = {
    "text": lambda: _kind_check("text", "text"),
    "number": lambda: _kind_check("number", "number"),
    "integer": lambda: _kind_check("integer", "integer"),
    "flag": lambda: _kind_check("flag", "flag"),
    "date": lambda: _kind_check("date", "date"),
    "instant": lambda: _kind_check("instant", "instant"),
    "decimal": lambda: _kind_check("decimal", "object"),
    "numbers": lambda: _kind_check("numbers", "object"),
}
