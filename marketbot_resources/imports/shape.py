"""Rows of a user's file in the columns of a raw table: renamed, typed, completed by stated rules, or refused. Pure.

Rules of completion: `source_id` is MIC:ticker; a bar is known at its exchange's close and BAR_LAG, an action at the open of its ex
session, a rate at 15:00 UTC of its date, a listing at the open of its first session, unless the file says otherwise. The price
level is the close, unless the source adjusted that. A missing number stays missing. Nothing is repaired: a date or number that
cannot be read refuses the file.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marketbot_resources import calendars
from marketbot_resources.errors import UsageError
from marketbot_resources.imports.forms import DAY, DECIMAL, FLAG, INSTANT, KNOWN_AT, NUMBER, TEXT, Form
from marketbot_resources.market.venues import VENUES
from marketbot_resources.model import listing_id

BAR_LAG = dt.timedelta(minutes=15)
FIXING_HOUR = 15


@dataclass(frozen=True)
class Reading:
    """How a file is read: `columns` (raw name -> the file's name), `constants` (raw name -> one value for all rows).

    `drop_closed`: rows of days on which the exchange is closed are left out; `drop_contradicting`: all rows of a key of which two
    say different things are left out, since which of them is right is not ours to say. Otherwise they refuse the file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    drop_closed: bool = False
    drop_contradicting: bool = False


@dataclass(frozen=True)
class Shaped:
    """Rows in the form's columns, and how many were left out because their exchange was closed on that day."""

    rows: pa.Table
    closed: int


def shape(batch: pa.Table, form: Form, how: Reading, first_row: int) -> Shaped:
    """One batch. `first_row`: number of its first row in the file, from 1. Raises UsageError that names column and row."""
    given = _renamed(batch, form, how)
    count = batch.num_rows
    columns: dict[str, pa.Array] = {}
    for name, kind in form.types.items():
        if name in given:
            columns[name] = typed(given[name], kind, name, first_row)
    _complete(columns, given, form, count, first_row)
    table = pa.table({name: columns[name] for name in form.types})
    return _on_sessions(table, given, form, how, first_row)


def _renamed(batch: pa.Table, form: Form, how: Reading) -> dict[str, pa.ChunkedArray]:
    """The columns of the file under our names; a column that is not ours is left out."""
    wanted = {*form.types, *form.needs, "ticker", "mic"}
    strangers = sorted({*how.columns, *how.constants} - wanted)
    if strangers:
        raise UsageError(f"import {form.kind}: expected one of {', '.join(sorted(wanted))}, found {strangers[0]}")
    lower = {name.strip().lower(): name for name in batch.column_names}
    given: dict[str, pa.ChunkedArray] = {}
    for name in wanted:
        theirs = how.columns.get(name)
        if theirs is not None and theirs not in batch.column_names:
            raise UsageError(
                f"import {form.kind}: expected column {theirs} for {name}, found {', '.join(batch.column_names)}"
            )
        found = theirs or lower.get(name)
        if name in how.constants:
            given[name] = pa.chunked_array([pa.repeat(how.constants[name], batch.num_rows)])
        elif found is not None:
            given[name] = batch[found]
    missing = [
        name for name in form.needs if name not in given and not (name in ("ticker", "mic") and "source_id" in given)
    ]
    if missing:
        raise UsageError(
            f"import {form.kind}: expected a column {missing[0]}, found {', '.join(batch.column_names)}; "
            f"name it with --column {missing[0]}=THEIRS or give it with --set {missing[0]}=VALUE"
        )
    return given


def typed(values: pa.ChunkedArray, kind: pa.DataType, name: str, first_row: int) -> pa.Array:
    """One column in its type, without chunks; text is read as ISO dates, plain numbers, true or false.

    Raises UsageError that names column and row.
    """
    flat = values.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    try:
        return _cast(flat, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        place = _first_bad(flat, kind)
        found = "" if place is None else f" in row {first_row + place}: {flat[place].as_py()!r:.60}"
        raise UsageError(f"import: expected {_WORDS[kind]} in {name}, found another value{found}") from error


_WORDS = {
    TEXT: "text", NUMBER: "a number", FLAG: "true or false", DAY: "a date like 2018-12-24",
    INSTANT: "an instant like 2018-12-24T21:00:00Z", DECIMAL: "a decimal number",
}  # fmt: skip


def _cast(flat: pa.Array, kind: pa.DataType) -> pa.Array:
    text = pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type)
    if kind == DAY:
        if text:
            short = pc.utf8_slice_codeunits(flat.cast(pa.string()), 0, 10)
            return short.cast(DAY)
        return flat.cast(pa.timestamp("us")).cast(DAY) if pa.types.is_timestamp(flat.type) else flat.cast(DAY)
    if kind == INSTANT:
        if text:
            return flat.cast(pa.string()).cast(pa.timestamp("us", tz="UTC"))
        if not (pa.types.is_timestamp(flat.type) and flat.type.tz):
            raise pa.ArrowInvalid("an instant without zone")
        return flat.cast(INSTANT)
    if kind == NUMBER and text:
        return pc.utf8_trim_whitespace(flat.cast(pa.string())).cast(NUMBER)
    if kind == DECIMAL and not text:
        return flat.cast(pa.string()).cast(DECIMAL)
    return flat.cast(kind)


def _first_bad(flat: pa.Array, kind: pa.DataType) -> int | None:
    low, high = 0, len(flat)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(flat.slice(low, middle - low), kind)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low if len(flat) else None


def _complete(
    columns: dict[str, pa.Array], given: Mapping[str, pa.ChunkedArray], form: Form, count: int, first_row: int
) -> None:
    """Fills what the file does not have."""
    if "source_id" in form.types and "source_id" not in columns:
        mic, ticker = (typed(given[name], TEXT, name, first_row) for name in ("mic", "ticker"))
        columns["source_id"] = _by_pair(mic, ticker, listing_id)
    for name, value in form.fills.items():
        if name not in columns:
            columns[name] = pa.repeat(pa.scalar(value).cast(form.types[name]), count)
    derived: Mapping[str, Callable[[], pa.Array]] = {
        "name": lambda: columns["ticker"],
        "issuer": lambda: columns["name"],
        "country": lambda: _country(columns["mic"]),
        "price_level": lambda: _level(columns["close"], columns["close_adjusted_by_source"]),
        KNOWN_AT: lambda: _known_at(columns, given, form, first_row),
    }
    for name, kind in form.types.items():
        if name not in columns:
            columns[name] = derived[name]() if name in derived else pa.nulls(count, kind)


def _by_pair(left: pa.Array, right: pa.Array, make: Callable[[str, str], str]) -> pa.Array:
    """`make` of two text columns, called once per distinct pair; null where one is null."""
    keys = pc.binary_join_element_wise(left, right, "\x1f").dictionary_encode()
    made = [None if key is None else make(*key.split("\x1f", 1)) for key in keys.dictionary.to_pylist()]
    return pa.array(made, type=TEXT).take(keys.indices)


def _country(mic: pa.Array) -> pa.Array:
    codes = mic.dictionary_encode()
    unknown = sorted(set(codes.dictionary.to_pylist()) - set(VENUES))
    if unknown:
        raise UsageError(
            f"import: expected a column country for exchange {unknown[0]}, found none; give --set country=XX"
        )
    return pa.array([VENUES[name].country for name in codes.dictionary.to_pylist()], type=TEXT).take(codes.indices)


def _level(close: pa.Array, adjusted: pa.Array) -> pa.Array:
    """The close where the source did not adjust it, else unknown."""
    return pc.if_else(adjusted, pa.scalar(None, NUMBER), close)


def _known_at(
    columns: Mapping[str, pa.Array], given: Mapping[str, pa.ChunkedArray], form: Form, first_row: int
) -> pa.Array:
    """When a row became knowable, by the rule of its kind."""
    if form.kind == "fx":
        return _plus(
            columns["session"],
            lambda mic, day: dt.datetime(day.year, day.month, day.day, FIXING_HOUR, tzinfo=dt.UTC),
            None,
        )
    mic = typed(given["mic"], TEXT, "mic", first_row)
    if form.kind == "prices":
        return _plus(columns["session"], lambda name, day: calendars.close_at(name, day) + BAR_LAG, mic)
    if form.kind == "corporate_actions":
        return _plus(columns["ex_session"], calendars.open_at, mic)
    return _plus(columns["listed_on"], calendars.open_at, mic)


def _plus(days: pa.Array, instant: Callable[[str, dt.date], dt.datetime], mics: pa.Array | None) -> pa.Array:
    """The instant of each (exchange, day), computed once per pair; null for a day on which the exchange is closed."""
    day = np.where(days.is_null().to_numpy(False), -1, days.cast(pa.int32()).fill_null(-1).to_numpy()).astype(np.int64)
    codes = mics.dictionary_encode() if mics is not None else None
    names = codes.dictionary.to_pylist() if codes is not None else [""]
    place = (
        codes.indices.fill_null(0).to_numpy().astype(np.int64) if codes is not None else np.zeros(len(day), np.int64)
    )
    pairs, inverse = np.unique(place * (1 << 32) + (day + 1), return_inverse=True)
    made: list[dt.datetime | None] = []
    for pair in pairs:
        number = int(pair % (1 << 32)) - 1
        made.append(None if number < 0 else _instant(instant, names[int(pair >> 32)], number))
    return pa.array(made, type=INSTANT).take(pa.array(inverse))


def _instant(instant: Callable[[str, dt.date], dt.datetime], mic: str, number: int) -> dt.datetime | None:
    day = dt.date(1970, 1, 1) + dt.timedelta(days=number)
    if mic and not calendars.is_session(mic, day):
        return None
    return instant(mic, day)


def _on_sessions(
    table: pa.Table, given: Mapping[str, pa.ChunkedArray], form: Form, how: Reading, first_row: int
) -> Shaped:
    """Refuses empty cells that may not be empty; rows of days on which the exchange is closed are refused or left out."""
    closed = 0
    unknown = pc.is_null(table[KNOWN_AT]).combine_chunks()
    if pc.any(unknown).as_py():
        place = pc.index(unknown, True).as_py()
        if not how.drop_closed:
            row = {name: table[name][place].as_py() for name in form.key}
            raise UsageError(
                f"import {form.kind}: expected days on which the exchange trades, found {row} in row {first_row + place}; "
                "mend the file or leave such rows out with --drop-closed"
            )
        closed = int(pc.sum(unknown).as_py())
        table = table.filter(pc.invert(unknown))
    required = [
        name for name in form.types if name in {*form.key, *form.needs, KNOWN_AT} and form.types[name] != NUMBER
    ]
    for name in required:
        if table[name].null_count:
            place = pc.index(pc.is_null(table[name]).combine_chunks(), True).as_py()
            raise UsageError(
                f"import {form.kind}: expected a value of {name} in every row, found none in row {first_row + place}"
            )
    return Shaped(table, closed)
