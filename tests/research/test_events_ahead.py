"""RC-24 in the loop: no order is planned across a rename or a split, and the session after it goes on as before."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from research_world import START, loop, sessions

from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Status

COUNT, EX = 9, 7
SESSIONS = sessions(START, COUNT)


def ordered(day: Day) -> set[str]:
    return {o.instrument for o in day.decision.orders if o.kind is Kind.EQUITY}


@pytest.fixture(scope="module")
def plain(world: Tables, mandate: Mandate) -> list[Day]:
    return list(loop(world, mandate, COUNT)[0])


@pytest.fixture(scope="module")
def renamed(world: Tables, mandate: Mandate, plain: list[Day]) -> list[Day]:
    """The same range in which every US name with an order before session EX is renamed with that session."""
    us = set(world.instruments.loc[world.instruments["mic"].isin(["XNYS", "XNAS", "BATS"]), "instrument"])
    names = sorted(ordered(plain[EX - 1]) & us)
    told = pd.DataFrame({"instrument": names})
    told = told.assign(
        ex_session=pd.Timestamp(SESSIONS[EX]), kind="RENAME", amount=np.nan, ratio=1.0, currency="USD", other="NEW",
        known_at=pd.Timestamp(SESSIONS[0], tz="UTC"), synthetic=True,
    )  # fmt: skip
    columns = list(world.corporate_actions.columns)
    told = told[columns].astype(world.corporate_actions.dtypes.to_dict())
    actions = pd.concat([world.corporate_actions, told], ignore_index=True)
    return list(loop(replace(world, corporate_actions=actions), mandate, COUNT)[0])


def test_no_order_across_an_event(plain: list[Day], renamed: list[Day], world: Tables) -> None:
    """Up to two sessions before the event decisions are the same; on the eve nothing is ordered in its names, then again."""
    names = {event.instrument for event in renamed[EX - 1].decision.risk.trade.events if not event.applied}
    assert len(names) >= 2
    for ours, theirs in zip(renamed[: EX - 1], plain, strict=False):
        assert ours.decision.batch == theirs.decision.batch
    assert names <= ordered(plain[EX - 1])
    assert not names & ordered(renamed[EX - 1])
    assert {event.applied for event in renamed[EX].decision.risk.trade.events} == {True}
    assert names & (ordered(renamed[EX]) | ordered(renamed[EX + 1]))


def test_the_verdict_has_nothing_to_refuse(renamed: list[Day]) -> None:
    """The plan knows the guard: RC-24 and the other controls on orders pass on every day, and the fills are those planned."""
    for day in renamed:
        found = {r.control: r for r in day.decision.judgement.results}
        for control in ("RC-02", "RC-03", "RC-04", "RC-09", "RC-11", "RC-14", "RC-15", "RC-17", "RC-20", "RC-21", "RC-24",
                        "RC-25", "RC-26", "RC-33"):  # fmt: skip
            assert found[control].status is Status.PASS, found[control]
    shares = [
        r for day in renamed for r in day.decision.judgement.results if r.key == "filled of planned" and r.observed
    ]
    assert len(shares) >= COUNT - 2
    assert all(0.0 < r.observed <= 1.0 + 1e-9 for r in shares if r.observed is not None)
