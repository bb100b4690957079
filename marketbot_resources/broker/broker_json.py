"""Strict reading of a broker's JSON: numbers are exact decimals, texts are bounded, anything else is a BrokerError. Pure.

Refused: bodies that are not UTF-8 JSON, keys that occur twice, NaN and Infinity, numbers of insane size, naive instants.
Not here: what a field means (an adapter), the data providers' reader (`market.vendor_json`).
"""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal

from marketbot_resources.errors import BrokerError
from marketbot_resources.market.vendor_json import shown, words

TEXT_MAX = 500
_DIGITS_MAX = 40
_LARGEST = Decimal(10) ** 15

Row = Mapping[str, object]


def read(broker: str, body: bytes) -> object:
    """The value of a body: objects, lists, texts, booleans, None, and every number as Decimal. Raises BrokerError."""
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_constant,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BrokerError(f"{broker}: expected strict JSON, found: {words(body)}") from error


def row_of(broker: str, value: object) -> Row:
    """An object. Raises BrokerError."""
    if not isinstance(value, dict):
        raise BrokerError(f"{broker}: expected an object, found {shown(value)}")
    return value


def rows_of(broker: str, value: object) -> list[Row]:
    """A list of objects. Raises BrokerError."""
    if not isinstance(value, list):
        raise BrokerError(f"{broker}: expected a list, found {shown(value)}")
    return [row_of(broker, item) for item in value]


def text(row: Row, name: str) -> str:
    """A field that is a printable text and not empty. Raises BrokerError."""
    value = row.get(name)
    if not isinstance(value, str) or not value or len(value) > TEXT_MAX or not value.isprintable():
        raise BrokerError(f"field {name}: expected a text, found {shown(value)}")
    return value


def number(row: Row, name: str) -> Decimal:
    """A field that is a finite number, in quotes or not. Raises BrokerError."""
    found = number_or_none(row, name)
    if found is None:
        raise BrokerError(f"field {name}: expected a number, found none")
    return found


def number_or_none(row: Row, name: str) -> Decimal | None:
    """A field that is a finite number, or null or missing. Raises BrokerError for anything else."""
    value = row.get(name)
    if value is None or isinstance(value, Decimal):
        return value
    if isinstance(value, str) and 0 < len(value) <= _DIGITS_MAX and value.isascii():
        try:
            found = Decimal(value)
        except ArithmeticError:
            found = Decimal("NaN")
        if found.is_finite() and abs(found) <= _LARGEST:
            return found
    raise BrokerError(f"field {name}: expected a number, found {shown(value)}")


def instant(row: Row, name: str) -> dt.datetime:
    """A field that is an instant with its offset, in UTC. Raises BrokerError."""
    value = row.get(name)
    try:
        found = dt.datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise BrokerError(f"field {name}: expected an instant, found {shown(value)}") from error
    if found.tzinfo is None:
        raise BrokerError(f"field {name}: expected an instant with its offset, found {shown(value)}")
    return found.astimezone(dt.UTC)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _number(literal: str) -> Decimal:
    value = Decimal(literal) if len(literal) <= _DIGITS_MAX else None
    if value is None or not abs(value) <= _LARGEST:
        raise ValueError("a number of insane size")
    return value


def _constant(literal: str) -> Decimal:
    raise ValueError(literal)
