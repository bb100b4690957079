"""What fills cost, against numbers computed by hand."""

import datetime as dt
import math
from decimal import Decimal

import pandas as pd
import pytest

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import FILLS
from marketbot_assets.execution.costs import AMBIGUOUS, OTHER_ORDER, UNCOSTED, UNPLANNED, UNPRICED, execution_costs
from marketbot_assets.execution.schema import EXECUTION_COSTS

AT = pd.Timestamp(dt.datetime(2018, 12, 12, 14, 30, tzinfo=dt.UTC))
RATES = {"USD": 1.0, "GBP": 1.25, "EUR": 1.12}
COLUMNS = ["client_order_id", "instrument", "side", "reference_price", "cost_bps"]


def fill(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "execution_id": "e1",
        "client_order_id": "o1",
        "order_kind": "EQUITY",
        "instrument": "MBA",
        "side": "BUY",
        "quantity": Decimal(100),
        "price": Decimal("20.10"),
        "currency": "USD",
        "fee": Decimal("1.50"),
        "tax": Decimal(0),
        "executed_at": AT,
    }
    return {**row, **changes}


def plan(**changes: object) -> dict[str, object]:
    row = {"client_order_id": "o1", "instrument": "MBA", "side": "BUY", "reference_price": 20.0, "cost_bps": 12.0}
    return {**row, **changes}


def costs(fills: list[dict[str, object]], plans: list[dict[str, object]]) -> list[dict[str, object]]:
    frame = execution_costs(rows_frame(FILLS, fills), pd.DataFrame(plans, columns=COLUMNS), RATES)
    EXECUTION_COSTS.pandera_schema.validate(frame)
    return frame.to_dict("records")


CASES = [
    # change of fill, change of plan: value, slippage bps, fee, tax, total (base)
    ({}, {}, (2010.0, 50.0, 1.5, 0.0, 11.5)),
    ({"price": Decimal("19.90")}, {}, (1990.0, -50.0, 1.5, 0.0, -8.5)),
    ({"side": "SELL"}, {"side": "SELL"}, (2010.0, -50.0, 1.5, 0.0, -8.5)),
    ({"side": "SELL", "price": Decimal("19.90")}, {"side": "SELL"}, (1990.0, 50.0, 1.5, 0.0, 11.5)),
    ({"currency": "GBP", "fee": Decimal(2), "tax": Decimal("10.05")}, {}, (2512.5, 50.0, 2.5, 12.5625, 27.5625)),
    (
        {"order_kind": "FX", "instrument": "FX:EUR", "currency": "EUR", "price": Decimal("1.1220"), "fee": Decimal("0.03")},
        {"instrument": "FX:EUR", "reference_price": 1.12},
        (112.2, 0.002 / 1.12 * 1e4, 0.03, 0.0, 0.23),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fill_changes", "plan_changes", "expected"), CASES)
def test_costs_by_hand(
    fill_changes: dict[str, object], plan_changes: dict[str, object], expected: tuple[float, ...]
) -> None:
    """Slippage is positive when worse, on both sides; a leg's price is a rate and its fee is base currency."""
    (row,) = costs([fill(**fill_changes)], [plan(**plan_changes)])
    names = ("value_base", "slippage_bps", "fee_base", "tax_base", "total_base")
    assert [row[name] for name in names] == pytest.approx(list(expected), rel=1e-9)
    assert (row["expected_bps"], row["reason"]) == (12.0, "")


@pytest.mark.parametrize(
    ("plans", "reason"),
    [
        ([], UNPLANNED),
        ([plan(client_order_id="o2")], UNPLANNED),
        ([plan(), plan(reference_price=21.0)], AMBIGUOUS),
        ([plan(instrument="MBB")], OTHER_ORDER),
        ([plan(side="SELL")], OTHER_ORDER),
        ([plan(reference_price=math.nan)], UNPRICED),
        ([plan(reference_price=0.0)], UNPRICED),
        ([plan(reference_price=math.inf)], UNPRICED),
    ],
)
def test_a_fill_without_usable_plan_keeps_its_row(plans: list[dict[str, object]], reason: str) -> None:
    """What the plan would say is null, what the fill itself says stays, and the reason is told."""
    (row,) = costs([fill()], plans)
    assert row["reason"] == reason
    assert all(math.isnan(row[name]) for name in ("decision_price", "slippage_bps", "total_base"))  # type: ignore[arg-type]
    assert (row["fill_price"], row["value_base"], row["fee_base"]) == (20.1, 2010.0, 1.5)


def test_a_plan_without_expected_cost_says_so() -> None:
    """The slippage is known all the same."""
    (row,) = costs([fill()], [plan(cost_bps=math.nan)])
    assert row["reason"] == UNCOSTED
    assert row["slippage_bps"] == pytest.approx(50.0)


@pytest.mark.parametrize("rate", [None, math.nan, math.inf, 0.0, -1.0])
def test_a_missing_rate_leaves_nulls(rate: float | None) -> None:
    """No value in base currency without a rate; the slippage in basis points needs none."""
    rates = {} if rate is None else {"USD": rate}
    row = execution_costs(rows_frame(FILLS, [fill()]), pd.DataFrame([plan()]), rates).iloc[0]
    assert math.isnan(row["value_base"])
    assert math.isnan(row["fee_base"])
    assert math.isnan(row["total_base"])
    assert row["slippage_bps"] == pytest.approx(50.0)
    assert row["reason"] == "no rate of USD"


def test_no_fills_and_partial_fills() -> None:
    """An empty session gives an empty table; every execution of one order has its own row."""
    assert costs([], []) == []
    rows = costs([fill(execution_id="b", quantity=Decimal(60)), fill(execution_id="a", quantity=Decimal(40))], [plan()])
    assert [(row["execution_id"], row["value_base"]) for row in rows] == [
        ("a", pytest.approx(804.0)),
        ("b", pytest.approx(1206.0)),
    ]
