"""Costs in the whole graph: every order's shortfall, the same bits again, nothing from later sessions, one truth with the fills."""

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import pytest
from graph_world import FIRST, NEXT, SECOND, Home

from marketbot_assets import cost_facts, session_facts
from marketbot_assets.decision import inputs_of, risk_of
from marketbot_assets.portfolio.calibration import NO_MULTIPLES, CostMultiples
from marketbot_assets.portfolio.target_frame import target_of
from marketbot_assets.replay import Replay, tables
from marketbot_resources.errors import StoreError
from marketbot_resources.model import Side
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


def test_the_decision_charges_what_live_fills_ask_for(undisturbed: Home) -> None:
    """From the facts of a session to optimizer, plan and verdict: dollars bought at twice 3.5 basis points, all else as written."""
    lake = undisturbed.lake
    read = Reader(lake, dt.date.fromisoformat(NEXT), allowed=None)
    known, mandate = session_facts.situation(read, lake.ledger), read.mandate()
    plain = inputs_of(known, mandate)
    dear = inputs_of(replace(known, multiples=CostMultiples({("USD", Side.BUY): 2.0})), mandate)
    dollars = [ccy == "USD" and not fund for ccy, fund in zip(plain.currency, plain.is_fund, strict=True)]
    extra = [3.5 if mine else 0.0 for mine in dollars]
    assert any(dollars)
    assert (dear.cost_buy - plain.cost_buy) * 1e4 == pytest.approx(extra, abs=1e-9)
    assert dear.cost_sell == pytest.approx(plain.cost_sell)
    assert [float(x) for x in dear.multiples()[0]] == [2.0 if mine else 1.0 for mine in dollars]
    target = target_of(read.read("target_portfolio"), plain.instruments)
    judged = risk_of(replace(known, multiples=CostMultiples({("USD", Side.BUY): 2.0})), target, mandate, rebalance=True)
    assert dict(judged.cost_multiples) == {("USD", Side.BUY): 2.0}


def test_a_decision_from_before_there_was_a_calibration_had_none(undisturbed: Home) -> None:
    """Pinned versions without one: the costs as written. On the newest versions a missing one is an error, not a 1."""
    lake, day = undisturbed.lake, dt.date.fromisoformat(NEXT)
    assert session_facts.multiples(Reader(lake, day, allowed=None, pins={})) == NO_MULTIPLES
    with pytest.raises(StoreError, match="cost_calibration"):
        session_facts.multiples(Reader(lake, day + dt.timedelta(days=30), allowed=None))
    assert set(session_facts.multiples(Reader(lake, day, allowed=None)).factors.values()) == {1.0}


@pytest.mark.long
def test_orders_over_the_holidays_wait_and_end_once(tmp_path: Path) -> None:
    """Frankfurt and Tokyo are closed when New York decides: such orders are carried as worked, then end in one session alone."""
    home, days = Home(tmp_path / "home"), ("2018-12-20", "2018-12-21", "2018-12-24", "2018-12-26", "2018-12-27")
    assert all(home.run(day) for day in days)
    frames = [home.frame("shortfall", day) for day in days]
    over = [name for frame in frames for name in frame.loc[frame["state"] != "WORKING", "client_order_id"]]
    waited = {name for frame in frames[:-1] for name in frame.loc[frame["state"] == "WORKING", "client_order_id"]}
    sent = [name for day in days[:-1] for name in home.frame("orders", day)["client_order_id"]]
    working = list(frames[-1].loc[frames[-1]["state"] == "WORKING", "client_order_id"])
    assert waited & set(over)
    assert sorted(over + working) == sorted(sent)
    late = frames[-1][frames[-1]["client_order_id"].isin(waited)]
    assert (late["decided_on"] < "2018-12-26").all()
    found = Replay(home.lake).some(days[-1], ("shortfall", "cost_calibration"))
    assert {item.outcome for item in found} == {"equal"}
