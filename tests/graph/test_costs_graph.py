"""Costs in the whole graph: every order's shortfall, the same bits again, nothing from later sessions, one truth with the fills."""

import datetime as dt
import math

import pytest
from graph_world import FIRST, NEXT, SECOND, Home

from marketbot_assets import cost_facts
from marketbot_assets.replay import Replay, tables
from marketbot_resources.store.content import canonical
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.reader import Reader


def test_each_approved_order_ends_once(undisturbed: Home) -> None:
    """Every order of a session stands once among those that ended, or is still worked in the newest session."""
    sent = [name for day in (FIRST, SECOND) for name in undisturbed.frame("orders", day)["client_order_id"]]
    last = undisturbed.frame("shortfall", NEXT)
    over = [
        name
        for day in (SECOND, NEXT)
        for name, state in undisturbed.frame("shortfall", day)[["client_order_id", "state"]].itertuples(index=False)
        if state != "WORKING"
    ]
    working = list(last.loc[last["state"] == "WORKING", "client_order_id"])
    assert len(over) > 10
    assert sorted(over + working) == sorted(sent)
    assert len(undisturbed.frame("shortfall", FIRST)) == 0


@pytest.mark.parametrize("day", [SECOND, NEXT])
def test_costs_of_orders_are_those_of_their_fills(undisturbed: Home, day: str) -> None:
    """An order filled in one session: price, fees and taxes of its fills against the plan, as `execution_costs` has them.

    That table counts at the session's rate, this one at the decision's.
    """
    costs = undisturbed.frame("execution_costs", day).groupby("client_order_id")["total_base"].sum()
    rows = undisturbed.frame("shortfall", day)
    done = rows[rows["state"] == "FILLED"]
    assert len(done) > 3
    for row in done.itertuples(index=False):
        parts = math.fsum((row.delay, row.spread, row.impact, row.residual, row.opportunity, row.fees, row.taxes))
        assert parts == pytest.approx(row.total, abs=1e-6)
        now = row.rate + row.fx_base / (
            row.filled * row.average_price * (1 if row.side == "BUY" else -1) + row.fees + row.taxes
        )
        assert row.total * now == pytest.approx(costs[row.client_order_id], rel=1e-6, abs=1e-6)


def test_paper_fills_follow_the_model_and_charge_nothing(undisturbed: Home) -> None:
    """Ticks round the fills: within 1 basis point of the model on average; the factor of a paper account is exactly 1."""
    frame = undisturbed.frame("cost_calibration", NEXT)
    orders = frame[frame["kind"] == "ORDER"]
    assert set(frame["environment"]) == {"paper"}
    assert len(orders) > 5
    assert abs(float((orders["realised_bps"] - orders["model_bps"]).mean())) < 1.0
    assert set(frame.loc[frame["kind"] == "BUCKET", "multiple"]) == {1.0}
    told = undisturbed.frame("target_explanation", NEXT)
    assert set(told.loc[told["kind"] == "INSTRUMENT", "cost_multiple"]) == {1.0}


@pytest.mark.parametrize("asset", ["cost_calibration", "shortfall"])
def test_they_are_rebuilt_bit_for_bit(undisturbed: Home, asset: str) -> None:
    """From the versions in their manifests, as `marketbot replay` does."""
    (found,) = Replay(undisturbed.lake).some(NEXT, (asset,))
    assert (found.version.asset, found.outcome) == (asset, "equal")


@pytest.mark.parametrize("asset", ["cost_calibration", "shortfall"])
def test_later_sessions_change_nothing(undisturbed: Home, asset: str) -> None:
    """A reader of SECOND in a home that holds NEXT gives what SECOND stored: nothing after its cutoff is read."""
    lake = undisturbed.lake
    read = Reader(lake, dt.date.fromisoformat(SECOND), allowed=None)
    again = canonical(getattr(cost_facts, asset)(read, lake.ledger), tables()[asset])
    assert again.equals(canonical(undisturbed.frame(asset, SECOND), tables()[asset]))
    assert {each.part for each in read.reads} <= {FIRST, SECOND, STATIC}
