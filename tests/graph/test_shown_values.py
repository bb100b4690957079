"""How values stand on an asset's page: exact decimals without exponents, money to the cent, small numbers to six digits."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from marketbot_assets import lineage, pages


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Decimal("0E-10"), "0"), (Decimal("45.5200000000"), "45.52"), (Decimal("107570.0000000000"), "107570"),
        (Decimal("1E+3"), "1000"), (Decimal("-0.0000010000"), "-0.000001"), (dt.date(2018, 12, 24), "2018-12-24"),
    ],
)  # fmt: skip
def test_a_preview_shows_decimals_as_people_write_them(value: object, cell: str) -> None:
    frame = pd.DataFrame({"a": pd.Series([value], dtype=object)})
    assert lineage.preview(frame) == f"| a |\n|---|\n| {cell} |"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(185345.1384929434, 185345.14), (1234567.891, 1234567.89), (-1.2561081676, -1.25611), (1e-7, 1e-7)],
)
def test_numbers_are_rounded_for_the_eye(value: float, shown: float) -> None:
    assert lineage._shown(value) == shown


def test_the_reconciliation_says_what_is_not_equal() -> None:
    """Counts per outcome, and a row per difference."""
    rows = [("CASH", "USD", Decimal(1), Decimal(1), "match"), ("POSITION", "MBX", Decimal(2), Decimal(3), "break")]
    shown = pages.reconciliation(pd.DataFrame(rows, columns=["kind", "key", "ours", "broker", "outcome"]))
    assert (shown["outcome match"], shown["outcome break"]) == (1, 1)
    assert "| POSITION | MBX | 2 | 3 | break |" in str(shown["not equal"])
    assert "USD" not in str(shown["not equal"])
