"""From what broker, ledger and quality rules say to the facts of the order controls."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.near_events import NearEvent
from marketbot_assets.portfolio.eligibility import Market
from marketbot_assets.risk.trade_build import Traffic, differences, filled, next_session
from marketbot_resources.closures import NO_CLOSURES, expanded
from marketbot_resources.model import Execution, Kind, Side

AT = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)


def market(*events: NearEvent) -> Market:
    """Rates and events; nothing else is asked for."""
    rates = {"USD": 1.0, "EUR": 1.25}
    nothing = pd.DataFrame()
    return Market(
        nothing, None, nothing, nothing, None, (), np.zeros(0), np.zeros(0), rates, (), events=events  # type: ignore[arg-type]
    )  # fmt: skip


def fill(order: str, name: str, shares: str, price: str, minutes: int = 0, currency: str = "USD") -> Execution:
    kind = Kind.FX if name.startswith("FX") else Kind.EQUITY
    at = AT + dt.timedelta(minutes=minutes)
    return Execution(
        f"{order}-{minutes}",
        order,
        kind,
        name,
        Side.BUY,
        Decimal(shares),
        Decimal(price),
        currency,
        Decimal(0),
        Decimal(0),
        at,
    )


def test_fills_of_one_order_are_one() -> None:
    """RC-15: shares add up, the price is their mean in base currency, legs stay out; the later order comes last."""
    fills = (fill("b", "MBB", "10", "8", 9, "EUR"), fill("a", "MBA", "30", "100"), fill("a", "MBA", "10", "104", 1),
             fill("f", "FX:EUR", "100", "1.25", 2, "EUR"))  # fmt: skip
    planned = {"a": Decimal(50), "b": Decimal(10), "c": Decimal(7)}
    one, two = filled(Traffic(fills=fills, planned=planned), market())
    assert (one.client_order_id, one.quantity, one.planned, one.price) == ("a", 40.0, 50.0, 101.0)
    assert (two.client_order_id, two.quantity, two.planned, two.price) == ("b", 10.0, 10.0, 10.0)
    assert one.executed_at == AT + dt.timedelta(minutes=1)


def test_a_fill_that_nobody_planned_is_unknown() -> None:
    """RC-15: NaN, which no comparison passes."""
    (found,) = filled(Traffic(fills=(fill("a", "MBA", "1", "1"),)), market())
    assert np.isnan(found.planned)


@pytest.mark.parametrize(
    ("kind", "applied", "planned"), [("SPLIT", True, 100.0), ("SPLIT", False, 50.0), ("RENAME", True, 50.0)]
)
def test_a_split_makes_the_plan_larger(kind: str, applied: bool, planned: float) -> None:
    """RC-15: 50 shares that were planned before a split of 2 for 1 are filled as 100."""
    event = NearEvent("MBA", kind, AT.date(), 2.0, applied)
    traffic = Traffic(fills=(fill("a", "MBA", "100", "50"),), planned={"a": Decimal(50)})
    assert filled(traffic, market(event))[0].planned == planned


def test_differences_are_fractions() -> None:
    """RC-06: basis points of the rule of two vendors become fractions; 0 may be a single vendor and is left out."""
    rows = [
        ("providers_agree", "MBA", 150.0),
        ("providers_agree", "MBB", 0.0),
        ("providers_agree", "MBC", float("nan")),
        ("closes_move_plausibly", "MBD", 0.3),
    ]
    found = differences(pd.DataFrame(rows, columns=["rule", "subject", "observed"]))
    assert set(found) == {"MBA", "MBC"}
    assert found["MBA"] == pytest.approx(0.015)
    assert np.isnan(found["MBC"])


def test_the_next_session_is_the_exchange_s_own() -> None:
    """RC-04: over a weekend, a half day and a closure that no calendar knows."""
    friday = dt.datetime(2018, 12, 21, 23, 15, tzinfo=dt.UTC)
    eve = next_session("XNYS", friday, NO_CLOSURES)
    assert (eve.session, eve.closes_at) == (dt.date(2018, 12, 24), dt.datetime(2018, 12, 24, 18, 0, tzinfo=dt.UTC))
    closed = next_session("XNYS", friday, expanded({"XNYS": (dt.date(2018, 12, 24),)}))
    assert closed.session == dt.date(2018, 12, 26)
    assert next_session("XTKS", friday, NO_CLOSURES).session == dt.date(2018, 12, 25)
