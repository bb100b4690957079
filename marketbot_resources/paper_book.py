"""The paper account's books: cash per currency, shares per instrument, and what a fill does to them. Pure.

Not here: the account and its orders (`paper`).
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from marketbot_resources.fillmodel import cash_changes
from marketbot_resources.model import Execution, Kind


def add(book: dict[str, Decimal], name: str, amount: Decimal) -> None:
    """Adds an amount to one entry; what is not there yet is 0."""
    book[name] = book.get(name, Decimal(0)) + amount


def book_fill(
    execution: Execution, cash: dict[str, Decimal], shares: dict[str, Decimal], base_currency: str, *, sign: int
) -> None:
    """Books a fill, or takes it back (`sign` -1)."""
    if execution.kind is Kind.EQUITY:
        add(shares, execution.instrument, sign * execution.side.sign * execution.quantity)
    for currency, _, amount in cash_changes(execution, base_currency):
        add(cash, currency, sign * amount)


def without_zeros(book: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The entries that are not 0, sorted by name."""
    return {name: book[name] for name in sorted(book) if book[name] != 0}


def decimals(record: object) -> dict[str, Decimal]:
    """A book out of JSON values. Raises AttributeError or ArithmeticError for anything else."""
    return {name: Decimal(text) for name, text in cast("Mapping[str, str]", record).items()}
