"""Whole decisions across the day on which a product bar begins: funds are bought before it, then only sold."""

import datetime as dt
from dataclasses import fields, replace

import pandas as pd
from research_world import loop, mandate_with

from marketbot_assets.research.history import Tables
from marketbot_resources.model import Side

LISTINGS = {
    "XNYS": ["BAC", "GE", "JNJ", "JPM", "KO", "PG", "WMT", "XOM"],
    "XNAS": ["AAPL", "MSFT"],
    "BATS": ["MTUM", "QUAL", "SIZE", "USMV", "VLUE"],
}
BAR = dt.date(2018, 1, 1)


def only(world: Tables, names: set[str]) -> Tables:
    """The world of some instruments."""
    tables = {field.name: getattr(world, field.name) for field in fields(world)}
    kept = {
        name: table[table["instrument"].isin(names)].reset_index(drop=True)
        for name, table in tables.items()
        if isinstance(table, pd.DataFrame) and "instrument" in table
    }
    return replace(world, **kept)


def test_a_fund_is_bought_until_its_bar_begins_and_sold_after_it(world: Tables) -> None:
    """EU-KID over ten sessions around 2018-01-01: plan and verdict agree, the reason is on each fund, sales go on."""
    mandate = mandate_with(jurisdiction={"residence": "DE", "client": "retail"}, universe={"listings": LISTINGS})
    listed = world.instruments
    few = [ticker in LISTINGS.get(mic, []) for mic, ticker in zip(listed["mic"], listed["ticker"], strict=True)]
    names = set(listed["instrument"][few])
    days = list(loop(only(world, names), mandate, 10, first=dt.date(2017, 12, 27))[0])
    sides: dict[tuple[bool, Side], int] = {}
    for day in days:
        barred = day.known.session >= BAR
        inputs = day.decision.inputs
        funds = {name for name, flag in zip(inputs.instruments, inputs.is_fund, strict=True) if flag}
        reasons = [why for why, flag in zip(inputs.reasons, inputs.is_fund, strict=True) if flag]
        assert len(funds) == 5
        assert all(why.startswith("RC-03 EU-KID") for why in reasons) is barred
        assert not any("EU-KID" in why for why, flag in zip(inputs.reasons, inputs.is_fund, strict=True) if not flag)
        for order in day.decision.batch:
            if order.instrument in funds:
                sides[barred, order.side] = sides.get((barred, order.side), 0) + 1
    assert sides[False, Side.BUY] > 0
    assert sides[True, Side.SELL] > 0
    assert (True, Side.BUY) not in sides
    assert any(order.side is Side.BUY for day in days if day.known.session >= BAR for order in day.decision.batch)
