"""BookState survives its table and the store's bytes exactly; a damaged table is refused."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.book.frames import state_frame, state_of
from marketbot_assets.book.schema import BOOK_STATE
from marketbot_assets.book.state import BookState, Lot, Rung, Sale, StopHit
from marketbot_assets.book.step import opening_state
from marketbot_resources.errors import HaltError
from marketbot_resources.store.content import canonical, decode, encode

DAY = dt.date(2018, 12, 11)
numbers = st.floats(-1e12, 1e12, allow_nan=False)
dates = st.dates(dt.date(2000, 1, 1), dt.date.max)
names = st.lists(st.sampled_from([f"MB{c}" for c in "ABCDEFGH"]), unique=True, max_size=6).map(sorted)
counts = st.integers(0, 10_000)
instants = st.integers(0, 2 * 10**9).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))


@st.composite
def states(draw):  # type: ignore[no-untyped-def]
    lots = tuple(
        Lot(name, Decimal(draw(st.integers(1, 10**9))) / 10, draw(numbers), draw(numbers), draw(numbers), draw(dates))
        for name in draw(names)
    )
    hits = tuple(
        StopHit(name, draw(st.sampled_from(["RC-62", "RC-63"])), draw(numbers), draw(numbers)) for name in draw(names)
    )
    return BookState(
        draw(dates),
        *[draw(numbers) for _ in range(5)],
        draw(st.sampled_from(list(Rung))),
        draw(numbers),
        draw(counts),
        draw(counts),
        tuple(draw(st.lists(dates, max_size=3))),
        draw(st.sampled_from(["", "B", "C"])),
        draw(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)),
        draw(counts),
        tuple(draw(st.lists(numbers, max_size=6))),
        tuple(draw(st.lists(numbers, max_size=20))),
        lots,
        hits,
        tuple((name, draw(dates)) for name in draw(names)),
        tuple((name, draw(counts)) for name in draw(names)),
        bought=tuple((name, draw(dates)) for name in draw(names)),
        sold_at_loss=tuple((name, draw(dates)) for name in draw(names)),
        unsettled=tuple(Sale(name, draw(instants), "EUR", Decimal(draw(counts)) / 100) for name in draw(names)),
    )


def stored(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it comes back from the store's bytes."""
    return decode(encode(canonical(frame, BOOK_STATE)), BOOK_STATE.arrow_schema).to_pandas(date_as_object=False)


@settings(max_examples=30, deadline=None)
@given(state=states())
def test_a_state_survives_the_store(state: BookState) -> None:
    """Every field comes back equal, floats to the bit, also through Parquet; row order does not matter."""
    frame = state_frame(state, facts={"index_vol_20d": 0.2}, unjudged={"MBA": "no close this session"})
    assert state_of(frame) == state
    assert state_of(stored(frame)) == state
    assert state_of(frame.iloc[::-1]) == state


def test_the_table_keeps_its_contract() -> None:
    """The frame passes the schema and carries the session's context beside the state."""
    frame = state_frame(opening_state(DAY, 1e6), facts={"index_vol_20d": 0.2}, unjudged={"MBA": "ATR20 is unknown"})
    BOOK_STATE.pandera_schema.validate(frame)
    rows = {(item, name): (number, text) for item, name, number, text in frame.itertuples(index=False)}
    assert rows["fact.index_vol_20d", ""] == (0.2, "")
    assert rows["unjudged", "MBA"][1] == "ATR20 is unknown"
    assert rows["rung", ""][1] == "FULL"


def test_the_same_state_gives_the_same_bytes() -> None:
    """Nothing but the state decides the bytes."""
    state = opening_state(DAY, 1e6)
    one, two = (encode(canonical(state_frame(state), BOOK_STATE)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("item", ["rung", "nav", "session", "nav_history.00", "lot.extreme", "stop.level", "multiple"])
def test_a_missing_fact_stops(item: str) -> None:
    """A state with a hole is no state."""
    state = opening_state(DAY, 1e6)
    lots, hits = (Lot("MBA", Decimal(5), 1.0, 2.0, 0.0, DAY),), (StopHit("MBA", "RC-62", 1.0, 2.0),)
    whole = BookState(**{name: getattr(state, name) for name in BookState.__slots__} | {  # type: ignore[attr-defined]
        "lots": lots, "stop_hits": hits, "nav_history": (1.0, 2.0)})  # fmt: skip
    frame = state_frame(whole)
    with pytest.raises(HaltError, match="every fact of the state"):
        state_of(frame[frame["item"] != item])


@pytest.mark.parametrize(("item", "column", "value"), [("rung", "text", "FINE"), ("sessions_in_rung", "number", 1.5)])
def test_an_unreadable_fact_stops(item: str, column: str, value: object) -> None:
    """A word or count that means nothing is refused."""
    frame = state_frame(opening_state(DAY, 1e6))
    frame.loc[frame["item"] == item, column] = value
    with pytest.raises(HaltError, match="every fact of the state"):
        state_of(frame)
