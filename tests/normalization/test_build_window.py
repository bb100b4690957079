"""The window is what a slow loop over known bars makes, and no later row changes an earlier one."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.build_window import build_macro, build_window

DAYS = [dt.date(2018, 1, 1) + dt.timedelta(days=n) for n in range(12)]
CUTOFFS = [dt.datetime(d.year, d.month, d.day, 22, tzinfo=dt.UTC) for d in DAYS]
NAMES = ["A", "B"]


def bars(rows: list[tuple[str, int, float, int, bool]]) -> pd.DataFrame:
    """(instrument, own day, close, hour at which it was known, quarantined)."""
    frame = pd.DataFrame(
        {
            "session": [pd.Timestamp(DAYS[day]) for _, day, _, _, _ in rows],
            "instrument": [name for name, *_ in rows],
            "known_at": [CUTOFFS[day] + dt.timedelta(hours=hour - 22) for _, day, _, hour, _ in rows],
            "quarantine": [bad for *_, bad in rows],
            **{f: [close for _, _, close, _, _ in rows] for f in ("open", "high", "low", "close", "price_level")},
            "volume": 100.0,
        }
    )
    frame["known_at"] = pd.to_datetime(frame["known_at"], utc=True).astype("datetime64[us, UTC]")
    return frame


NO_ACTIONS = pd.DataFrame(
    {
        "instrument": pd.Series([], dtype="str"),
        "ex_session": pd.Series([], dtype="datetime64[ms]"),
        "ratio": [],
        "amount": [],
    }
)
FX = pd.DataFrame(
    {
        "session": [pd.Timestamp(day) for day in DAYS],
        "currency": "GBP",
        "rate": [1.2 + 0.01 * n for n in range(len(DAYS))],
        "known_at": pd.to_datetime([at - dt.timedelta(hours=7) for at in CUTOFFS], utc=True).astype(
            "datetime64[us, UTC]"
        ),
    }
)


def window(frame: pd.DataFrame, actions: pd.DataFrame = NO_ACTIONS, upto: int = len(DAYS), start: int = 0):  # type: ignore[no-untyped-def]
    return build_window(
        frame,
        actions,
        FX,
        instruments=NAMES,
        currencies={"A": "USD", "B": "GBP"},
        base="USD",
        sessions=DAYS[start:upto],
        cutoffs=CUTOFFS[start:upto],
    )


def action(name: str, day: int, kind: str, amount: float, ratio: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": [name],
            "ex_session": [pd.Timestamp(DAYS[day])],
            "kind": [kind],
            "ratio": [ratio],
            "amount": [amount],
        }
    )


def test_split_and_dividend_leave_the_total_return_alone() -> None:
    """A 4:1 split and a dividend are no loss: 100 -> 25 and 100 -> 98 with 2 paid are both 0 %."""
    split = window(bars([("A", 0, 100.0, 21, False), ("A", 1, 25.0, 21, False)]), action("A", 1, "SPLIT", 0.0, 4.0))
    paid = window(
        bars([("A", 0, 100.0, 21, False), ("A", 1, 98.0, 21, False)]), action("A", 1, "CASH_DIVIDEND", 2.0, 1.0)
    )
    assert split.total_return[1, 0] == paid.total_return[1, 0] == 0.0


def test_an_event_between_two_bars_counts_on_the_next_bar() -> None:
    """An ex date on which the name did not trade belongs to its next bar."""
    made = window(bars([("A", 0, 100.0, 21, False), ("A", 3, 50.0, 21, False)]), action("A", 2, "SPLIT", 0.0, 2.0))
    assert made.total_return[3, 0] == 0.0
    assert made.total_return[1:3, 0].tolist() == [0.0, 0.0]


def test_two_sessions_that_land_together_compound() -> None:
    """A bar known after the cutoff falls into the next session and compounds with that session's own."""
    made = window(bars([("A", 0, 100.0, 21, False), ("A", 1, 110.0, 23, False), ("A", 2, 121.0, 21, False)]))
    assert not made.fresh[1, 0]
    assert made.total_return[2, 0] == pytest.approx(0.21, abs=1e-15)
    assert made.volume[2, 0] == 200.0


def test_quarantined_and_missing_bars_are_absent() -> None:
    """A rejected bar neither moves the level nor the return."""
    made = window(bars([("A", 0, 100.0, 21, False), ("A", 1, 9000.0, 21, True), ("A", 2, 101.0, 21, False)]))
    assert made.close[:3, 0].tolist() == [100.0, 100.0, 101.0]
    assert made.total_return[2, 0] == pytest.approx(0.01)


def test_base_return_multiplies_price_and_rate() -> None:
    """A flat price in pounds earns what the pound earns."""
    made = window(bars([("B", n, 10.0, 21, False) for n in range(3)]))
    assert made.base_return[2, 1] == pytest.approx(1.22 / 1.21 - 1.0, abs=1e-15)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(0, 11),
        st.floats(1, 1000),
        st.sampled_from([5, 21, 22, 23, 30]),
        st.booleans(),
    ),
    min_size=2,
    max_size=25,
    unique_by=lambda row: (row[0], row[1]),
)


def naive(frame: pd.DataFrame, actions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Closes and total returns by plain loops over bars in the order of their own sessions."""
    close, total = np.full((12, 2), np.nan), np.full((12, 2), np.nan)
    for column, name in enumerate(NAMES):
        last, last_day, growth = None, None, {}
        seen_first = None
        for row in frame[(frame["instrument"] == name) & ~frame["quarantine"]].sort_values("session").itertuples():
            target = next((n for n, at in enumerate(CUTOFFS) if row.known_at <= at), None)
            if target is None:
                continue
            if last is not None and target > 0:
                due = actions[
                    (actions["instrument"] == name)
                    & (actions["ex_session"] > last_day)
                    & (actions["ex_session"] <= row.session)
                ]
                growth[target] = (
                    growth.get(target, 1.0) * (row.close * due["ratio"].prod() + due["amount"].sum()) / last
                )
            seen_first = target if seen_first is None else seen_first
            last, last_day = row.close, row.session
            close[target:, column] = row.close
        for n in range(12):
            if n in growth:
                total[n, column] = growth[n] - 1.0
            elif seen_first is not None and n > seen_first:
                total[n, column] = 0.0
    return close, total


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_window_equals_the_slow_twin(rows: list[tuple[str, int, float, int, bool]]) -> None:
    """Against plain loops, for bars whose own sessions become known in order."""
    frame = bars(rows)
    ordered = frame.sort_values(["instrument", "session"])
    if not all(group["known_at"].is_monotonic_increasing for _, group in ordered.groupby("instrument")):
        return
    actions = action("A", 5, "SPLIT", 0.0, 2.0)
    close, total = naive(frame, actions)
    made = window(frame, actions)
    np.testing.assert_array_equal(made.close, close)
    np.testing.assert_allclose(made.total_return, total, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 11), st.randoms(use_true_random=False))
def test_the_future_changes_no_earlier_row(
    rows: list[tuple[str, int, float, int, bool]], cut: int, shuffle: object
) -> None:
    """Truncating the input at a cutoff gives the same bits as cutting the longer window; the order of rows does not count."""
    frame = bars(rows)
    known = frame[frame["known_at"] <= CUTOFFS[cut - 1]].sample(frac=1.0, random_state=1)
    whole, short = window(frame), window(known, upto=cut)
    for name in ("open", "high", "low", "close", "volume", "total_return", "base_return", "fx", "fresh"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(short, name), err_msg=name)


def test_revisions_of_macro_count_from_their_release() -> None:
    """A revised value replaces the first one only once it was published; an old period's revision does not."""
    release = [CUTOFFS[n] - dt.timedelta(hours=1) for n in (0, 2, 4, 6)]
    frame = pd.DataFrame(
        {
            "series": "CPI",
            "period": pd.to_datetime([DAYS[0], DAYS[1], DAYS[1], DAYS[0]]),
            "value": [1.0, 2.0, 2.5, 9.0],
            "known_at": pd.to_datetime(release, utc=True).astype("datetime64[us, UTC]"),
        }
    )
    made = build_macro(frame, DAYS[:8], CUTOFFS[:8]).series["CPI"]
    assert made.tolist() == [1.0, 1.0, 2.0, 2.0, 2.5, 2.5, 2.5, 2.5]
