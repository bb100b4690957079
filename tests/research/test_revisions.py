"""F16 in the loop: whatever history a vendor revises later, decisions taken before replay bit for bit."""

import datetime as dt

import pandas as pd
import pytest
from research_world import loop

from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_assets.research.outcomes import outcomes
from marketbot_assets.research.worlds import perturbed
from marketbot_resources.mandate import Mandate

REVISIONS = 1000
TABLES = ("prices", "corporate_actions", "fx", "macro", "fundamentals")


def revised(world: Tables, at: dt.datetime) -> Tables:
    """The world in which 1,000 rows and more that were known at an instant are told anew after it, with other values."""
    known = {name: getattr(world, name) for name in TABLES}
    past = {name: frame[frame["known_at"] <= at] for name, frame in known.items()}
    future = {name: frame[frame["known_at"] > at] for name, frame in known.items()}
    told = perturbed(past, at, seed=16, revisions=300)
    assert sum(len(told[name]) - len(past[name]) for name in TABLES) >= REVISIONS
    both = {name: pd.concat([told[name], future[name]], ignore_index=True) for name in TABLES}
    return Tables(instruments=world.instruments, **both)


def same(ours: list[Day], theirs: list[Day]) -> None:
    """Equal rows, fills, books, features and batches, bit for bit."""
    pd.testing.assert_frame_equal(outcomes(ours), outcomes(theirs), check_exact=True)
    for one, other in zip(ours, theirs, strict=True):
        assert one.decision.judgement.batch_approved_sha256 == other.decision.judgement.batch_approved_sha256
        assert one.decision.batch == other.decision.batch
        assert (one.fills, one.state) == (other.fills, other.state)
        assert one.decision.target.weights.tobytes() == other.decision.target.weights.tobytes()
        pd.testing.assert_frame_equal(one.known.features, other.known.features, check_exact=True)


def replayed(world: Tables, mandate: Mandate, first: dt.date, count: int, middle: int) -> None:
    days = list(loop(world, mandate, count, first=first)[0])
    assert len(days) == count, f"the book halted after {days[-1].state.session}"
    same(list(loop(revised(world, days[-1].known.cutoff), mandate, count, first=first)[0]), days)
    again = list(loop(revised(world, days[middle].known.cutoff), mandate, count, first=first)[0])
    same(again[: middle + 1], days[: middle + 1])
    later = again[middle + 1 :], days[middle + 1 :]
    assert not all(a.known.features.equals(b.known.features) for a, b in zip(*later, strict=True)), (
        "revisions were not seen"
    )


def test_decisions_replay_after_revisions(world: Tables, mandate: Mandate) -> None:
    """Four decisions: no difference after 1,000 revisions that came later; the second half sees those that came in the middle."""
    replayed(world, mandate, dt.date(2019, 5, 15), count=4, middle=1)


@pytest.mark.long
def test_250_decisions_replay_after_1000_revisions(world: Tables, mandate: Mandate) -> None:
    """F16: 250 decisions after 1,000 revisions, no difference, and the first half after 1,000 that came in the middle."""
    replayed(world, mandate, dt.date(2018, 9, 24), count=250, middle=124)
