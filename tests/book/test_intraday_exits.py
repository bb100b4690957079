"""Quotes of the day may only ever take a held name out, and only when two good ones in a row say so."""

import datetime as dt
import math
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.book.intraday_exits import crossed_stops
from marketbot_assets.book.state import Lot, StopHit
from marketbot_assets.book.stops import judge_stops
from marketbot_resources.mandate import Mandate

DAY = dt.date(2018, 12, 14)
CLOSE, ATR = {"A": 90.0, "B": 50.0}, {"A": 1.0, "B": 1.0}  # A: stop 85 (15 % below 100); B: stop 42.5
LOTS = [Lot("A", Decimal(7), 100.0, 100.0, 0.0, DAY), Lot("B", Decimal(3), 50.0, 50.0, 0.0, DAY)]
NAN, INF = math.nan, math.inf
Quote = tuple[int, float, float]


def at(minute: int) -> pd.Timestamp:
    return pd.Timestamp("2018-12-14 15:00", tz="UTC") + pd.Timedelta(minutes=minute)


def quotes(*rows: Quote, name: str = "A", age: int = 10, session: str | None = "2018-12-14") -> pd.DataFrame:
    """Quotes of (minute, bid, ask), known `age` seconds after they were quoted."""
    frame = pd.DataFrame(
        [[name, bid, ask, bid, at(minute), at(minute) + pd.Timedelta(seconds=age)] for minute, bid, ask in rows],
        columns=["instrument", "bid", "ask", "last", "quoted_at", "known_at"],
    )
    return frame.assign(session=pd.Timestamp(session) if session else pd.NaT)


def hits(frame: pd.DataFrame, mandate: Mandate, **more: object) -> list[str]:
    facts = {"close": CLOSE, "atr20": ATR, **more}
    return list(crossed_stops(frame, LOTS, rules=mandate.stops, **facts)["instrument"])  # type: ignore[arg-type]


def test_two_quotes_in_a_row_below_the_stop_sell_all_that_is_held(mandate: Mandate) -> None:
    """RC-62 at 85: bids of 84.9 and 84.8; the row names both instants and the whole lot."""
    row = crossed_stops(
        quotes((0, 86.0, 86.1), (5, 84.9, 85.0), (10, 84.8, 84.9)), LOTS, CLOSE, ATR, mandate.stops
    ).iloc[0]
    assert (row["instrument"], row["quantity"], row["control"], row["bid"]) == ("A", 7, "RC-62", 84.8)
    assert row["level"] == pytest.approx(85.0)
    assert (row["first_quoted_at"], row["quoted_at"]) == (at(5), at(10))
    assert row["reason"] == "RC-62: bids 84.9 and 84.8 below 85"


def test_a_bounce_does_not_call_it_off(mandate: Mandate) -> None:
    """Once two quotes have broken the stop, later ones change nothing: the same row comes out of the longer day."""
    broken = quotes((0, 84.0, 84.1), (5, 84.0, 84.1))
    later = pd.concat([broken, quotes((10, 95.0, 95.1), (15, 80.0, 80.1))])
    first, second = (crossed_stops(frame, LOTS, CLOSE, ATR, mandate.stops) for frame in (broken, later))
    pd.testing.assert_frame_equal(first, second)


LOW: Quote = (5, 84.0, 84.1)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (quotes((0, 84.0, 84.1)), "one quote"),
        (quotes((0, 84.0, 84.1), (0, 84.0, 84.1)), "one quote told twice"),
        (quotes((0, 84.0, 84.1), (5, 85.0, 85.1)), "the second is at the level"),
        (quotes((0, 84.0, 84.1), (5, 86.0, 86.1), (10, 84.0, 84.1)), "one above in between"),
        (quotes((0, 84.0, 84.1), (5, NAN, 84.1), (10, 84.0, 84.1)), "one without bid in between"),
        (quotes((0, 84.0, 84.1), (5, 84.0, NAN)), "no ask"),
        (quotes((0, 84.0, 84.1), (5, 0.0, 84.1)), "nobody bids"),
        (quotes((0, 84.0, 84.1), (5, 84.0, 83.9)), "crossed"),
        (quotes((0, 84.0, 84.1), (5, 84.0, INF)), "no number"),
        (quotes((0, 71.9, 72.1), (5, 71.9, 72.1)), "more than 20 % below the last close: a split or a bad print"),
        (quotes((0, 84.0, 120.0), (5, 84.0, 120.0)), "an ask far from the last close"),
        (quotes((0, 84.0, 84.1), LOW, age=121), "older than 120 seconds when they came"),
        (quotes((0, 84.0, 84.1), LOW, age=-1), "known before it was quoted"),
        (quotes((0, 84.0, 84.1), LOW, session=None), "outside of the exchange's hours"),
        (pd.concat([quotes((0, 84.0, 84.1), session="2018-12-13"), quotes(LOW)]), "not of one session"),
        (quotes((0, 84.0, 84.1), LOW, name="C"), "not held"),
        (quotes((0, 84.0, 84.1), LOW).iloc[:0], "no quotes at all"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_less_sells_nothing(frame: pd.DataFrame, why: str, mandate: Mandate) -> None:
    """Fail closed: no exit on a print that could be wrong."""
    assert hits(frame, mandate) == [], why


@pytest.mark.parametrize(
    "facts",
    [{"close": {"B": 50.0}}, {"close": {"A": NAN}}, {"atr20": {}}, {"atr20": {"A": NAN}}, {"atr20": {"A": -1.0}},
     {"unjudged": {"A"}}],
)  # fmt: skip
def test_what_is_unknown_of_the_day_before_sells_nothing(facts: dict[str, object], mandate: Mandate) -> None:
    """No last close, no ATR, or an ex date today: the close will judge."""
    frame = quotes((0, 84.0, 84.1), LOW)
    assert hits(frame, mandate) == ["A"]
    assert hits(frame, mandate, **facts) == []


@pytest.mark.parametrize("other", [(5, 84.95, 85.2), (5, 85.5, 85.6), (5, -1.0, 84.0), (5, NAN, 84.0)], ids=str)
def test_quotes_that_contradict_each_other_break_nothing(other: Quote, mandate: Mandate) -> None:
    """Two answers for one instant, known at once: the one that breaks nothing counts, whichever came first."""
    frame = quotes((0, 84.0, 84.1), (5, 84.0, 84.1), other)
    found = [hits(part, mandate) for part in (frame, frame.iloc[::-1])]
    assert found[0] == found[1] == (["A"] if other[1] == 84.95 else [])


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ABC"), st.integers(0, 30), st.floats(-5, 120) | st.sampled_from([NAN, INF]),
            st.floats(-1, 3) | st.just(NAN),
        ),
        max_size=25,
    )
)  # fmt: skip
def test_only_held_names_leave_and_only_below_their_level(rows: list[tuple[str, int, float, float]]) -> None:
    """Whatever is quoted: at most one row per lot, all of it, with two different quotes whose bids lie below the level."""
    from pathlib import Path

    from marketbot_resources.mandate import parse_mandate

    rules = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")).stops
    frame = pd.concat(
        [quotes((m, bid, bid + spread), name=name) for name, m, bid, spread in rows] or [quotes(LOW).iloc[:0]]
    )
    found = crossed_stops(frame, LOTS, CLOSE, ATR, rules)
    held = {lot.instrument: lot.quantity for lot in LOTS}
    assert found["instrument"].is_unique
    for row in found.itertuples():
        assert held[row.instrument] == row.quantity
        assert row.first_quoted_at < row.quoted_at
        own = frame[
            (frame["instrument"] == row.instrument) & frame["quoted_at"].isin([row.first_quoted_at, row.quoted_at])
        ]
        assert all((own["bid"] < row.level).groupby(own["quoted_at"]).any())
    pd.testing.assert_frame_equal(found, crossed_stops(frame.iloc[::-1], LOTS, CLOSE, ATR, rules))


def test_a_quoted_hit_counts_like_one_of_the_close_before(mandate: Mandate) -> None:
    """The next state keeps it although the close recovered, until the lot is sold; a name sold meanwhile is forgotten."""
    hit = StopHit("A", "RC-62", 84.8, 85.0)
    kept = judge_stops(
        LOTS, {"A": 95.0, "B": 50.0}, ATR, mandate.stops, previous=(hit, StopHit("C", "RC-62", 1.0, 2.0))
    )
    assert kept == (hit,)
