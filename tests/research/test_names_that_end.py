"""Listings that end in the middle of a range: decided on without look-ahead, left where there is time, valued by rule where not."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from research_world import START, loop, sessions

from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.corporate_actions import RETURN_ELSEWHERE, RETURN_NEW_YORK
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Side

COUNT, TOLD, EX, LATER = 11, 5, 7, 9
SESSIONS = sessions(START, COUNT)


@pytest.fixture(scope="module")
def plain(world: Tables, mandate: Mandate) -> list[Day]:
    return list(loop(world, mandate, COUNT)[0])


@pytest.fixture(scope="module")
def names(plain: list[Day], world: Tables) -> dict[str, str]:
    """Four US names held when the news comes, and what will become of them."""
    us = set(world.instruments.loc[world.instruments["mic"].isin(["XNYS", "XNAS"]), "instrument"])
    held = [name for name in sorted(plain[TOLD].rolled.valuation.holdings.shares) if name in us]
    return dict(zip(("silent", "bankrupt", "cash", "shares", "acquirer"), held, strict=False))


@pytest.fixture(scope="module")
def days(world: Tables, mandate: Mandate, names: dict[str, str]) -> list[Day]:
    """The same range in a world in which four names end on session EX."""

    def known(place: int) -> pd.Timestamp:
        return pd.Timestamp(computed_cutoff(mandate.schedule, SESSIONS[place]) - dt.timedelta(hours=2))

    last = world.prices[world.prices["session"] < pd.Timestamp(SESSIONS[EX])].groupby("instrument")["close"].last()
    rows = [
        ("silent", "DELISTING", np.nan, 0.0, "UNKNOWN", EX),
        ("silent", "DELISTING", 0.1 * last[names["silent"]], 0.0, "BANKRUPTCY", LATER),
        ("bankrupt", "DELISTING", np.nan, 0.0, "BANKRUPTCY", TOLD),
        ("cash", "MERGER", 1.02 * last[names["cash"]], 0.0, "somebody", TOLD),
        ("shares", "MERGER", 0.0, last[names["shares"]] / last[names["acquirer"]], names["acquirer"], TOLD),
    ]
    told = pd.DataFrame(rows, columns=["who", "kind", "amount", "ratio", "other", "at"])
    told["instrument"] = [names[who] for who in told["who"]]
    told["known_at"] = pd.Series([known(at) for at in told["at"]]).astype("datetime64[us, UTC]")
    told = told.assign(ex_session=pd.Timestamp(SESSIONS[EX]), currency="USD", synthetic=True)
    told["ex_session"] = told["ex_session"].astype(world.corporate_actions["ex_session"].dtype)
    columns = list(world.corporate_actions.columns)
    dead = {names[who] for who in ("silent", "bankrupt", "cash", "shares")}
    over = (world.prices["session"] >= pd.Timestamp(SESSIONS[EX])) & world.prices["instrument"].isin(dead)
    ended = world.instruments["delisted_on"].where(
        ~world.instruments["instrument"].isin(dead), pd.Timestamp(SESSIONS[EX - 1])
    )
    changed = replace(
        world,
        prices=world.prices[~over].reset_index(drop=True),
        corporate_actions=pd.concat([world.corporate_actions, told[columns]], ignore_index=True),
        instruments=world.instruments.assign(delisted_on=ended),
    )
    return list(loop(changed, mandate, COUNT)[0])


def test_nobody_knows_before_it_was_told(days: list[Day], plain: list[Day]) -> None:
    """Up to the session before the news, decisions are those of a world in which nothing ends, the dead in the universe."""
    assert len(days) == COUNT
    for ours, theirs in zip(days[:TOLD], plain[:TOLD], strict=True):
        assert ours.decision.batch == theirs.decision.batch
        assert ours.state == theirs.state


def test_orders_in_what_ends(days: list[Day], names: dict[str, str]) -> None:
    """From the news on no buys; the bankrupt one is sold; from the last decision before the end on no order at all."""
    dying = {names[who] for who in ("bankrupt", "cash", "shares")}
    for place in range(TOLD, COUNT):
        orders = [order for order in days[place].decision.batch if order.instrument in dying]
        assert all(order.side is Side.SELL for order in orders)
        if place >= EX - 1:
            assert orders == []
    assert any(o.instrument == names["bankrupt"] and o.leg == "P" for o in days[TOLD].decision.batch)
    held = [day.rolled.valuation.holdings.shares for day in days]
    assert held[EX - 1].get(names["bankrupt"], 0) == 0
    assert names["silent"] not in {order.instrument for day in days[EX:] for order in day.decision.batch}


def test_what_is_held_at_the_end(days: list[Day], names: dict[str, str], world: Tables) -> None:
    """Mergers pay and deliver on the ex session; the silent one is valued by rule until its value is known, then it is gone."""
    shares, after = days[EX - 1].rolled.valuation, days[EX].rolled.valuation
    gone = {names["cash"], names["shares"]}
    assert {*gone, names["silent"]} <= set(shares.holdings.shares)
    assert gone & set(after.holdings.shares) == set()
    assert {e.kind for e in days[EX].rolled.events if e.instrument in gone} <= {"MERGER"}
    mic = world.instruments.set_index("instrument")["mic"][names["silent"]]
    kept = 1.0 + (RETURN_NEW_YORK if mic == "XNYS" else RETURN_ELSEWHERE)
    for place in range(EX, LATER):
        value = days[place].rolled.valuation
        assert value.prices[names["silent"]] == pytest.approx(kept * shares.prices[names["silent"]])
        assert value.unpriced == ()
    assert names["silent"] not in days[LATER].rolled.valuation.holdings.shares
    paid = [e for e in days[LATER].rolled.events if e.instrument == names["silent"]]
    assert [e.kind for e in paid] == ["DELISTING"]
    assert float(paid[0].amount) == pytest.approx(0.1 * shares.values[names["silent"]], rel=0.05)


def test_the_book_goes_on(days: list[Day], names: dict[str, str]) -> None:
    """Shares that wait for their payment do not stop the rest: every session is approved and others are still traded."""
    assert {day.decision.judgement.verdict for day in days[EX:]} == {"APPROVED"}
    assert any(order.side is Side.BUY for day in days[EX:LATER] for order in day.decision.batch)
