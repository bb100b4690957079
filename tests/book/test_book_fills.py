"""Executions are counted once; anything that the broker contradicts itself about stops the book."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from marketbot_assets.book.fills import executions_of, fills_of
from marketbot_assets.book.schema import FILLS
from marketbot_assets.ingestion.snapshot import snapshot_frame
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import AccountReport, Execution, Kind, Side

CUTOFF = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)


def fill(number: str, at: dt.datetime = OPEN, **changes: object) -> Execution:
    facts = {
        "execution_id": number,
        "client_order_id": f"o-{number}",
        "kind": Kind.EQUITY,
        "instrument": "MBA",
        "side": Side.BUY,
        "quantity": Decimal(100),
        "price": Decimal("12.34"),
        "currency": "USD",
        "fee": Decimal("0.17"),
        "tax": Decimal(0),
        "executed_at": at,
    }
    return Execution(**{**facts, **changes})  # type: ignore[arg-type]


def snapshot(*fills: Execution) -> pd.DataFrame:
    report = AccountReport(CUTOFF, {"USD": Decimal(5)}, {}, (), fills, ())
    return snapshot_frame(report, CUTOFF, "off", "", ())


def test_executions_survive_the_trip() -> None:
    """What the broker reported is what the book counts, in the order in which it happened."""
    late, early = fill("a", OPEN + dt.timedelta(hours=1)), fill("b", side=Side.SELL, tax=Decimal("1.5"))
    frame = fills_of(snapshot(late, early))
    FILLS.pandera_schema.validate(frame)
    assert list(frame["execution_id"]) == ["a", "b"]
    assert executions_of(frame) == (early, late)


def test_no_executions_give_an_empty_table() -> None:
    """A session without fills has a table with the right types and no rows."""
    frame = fills_of(snapshot())
    FILLS.pandera_schema.validate(frame)
    assert executions_of(frame) == ()


def test_the_same_execution_counts_once() -> None:
    """A broker that repeats itself does not double the position."""
    assert len(fills_of(snapshot(fill("a"), fill("a")))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(99)},
        {"price": Decimal("12.35")},
        {"fee": Decimal(0)},
        {"side": Side.SELL},
        {"client_order_id": "o-other"},
    ],
)
def test_two_versions_of_one_execution_stop(changes: dict[str, object]) -> None:
    """One id with two contents cannot be trusted."""
    with pytest.raises(BrokerError, match="twice and differently"):
        fills_of(snapshot(fill("a"), fill("a", **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(0)},
        {"quantity": Decimal(-5)},
        {"price": Decimal("NaN")},
        {"price": None},
        {"fee": Decimal("-0.01")},
        {"tax": None},
    ],
)
def test_impossible_numbers_stop(changes: dict[str, object]) -> None:
    """A quantity, price or cost that is missing or has the wrong sign is refused."""
    with pytest.raises(BrokerError, match="known and not negative"):
        fills_of(snapshot(fill("a", **changes)))


def test_an_execution_after_the_cutoff_stops() -> None:
    """Nothing of the future enters the book."""
    with pytest.raises(BrokerError, match="up to the cutoff"):
        fills_of(snapshot(fill("a", CUTOFF + dt.timedelta(microseconds=1))))
