"""The window is what a slow loop over known rows makes, and no later row changes an earlier one."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.build_window import BLOCK, build_base_returns, build_macro, build_window
from marketbot_assets.normalization.window import MarketWindow

T = 12
DAYS = [dt.date(2018, 1, 1) + dt.timedelta(days=n) for n in range(T)]
CUTOFFS = [dt.datetime(d.year, d.month, d.day, 22, tzinfo=dt.UTC) for d in DAYS]
NAMES = ["A", "B"]
CURRENCIES = {"A": "USD", "B": "GBP"}
FIELDS = (
    "open",
    "high",
    "low",
    "close",
    "price_level",
    "volume",
    "total_return",
    "base_return",
    "fx",
    "fresh",
)


class Bar(NamedTuple):
    """One bar by day number; `hour` counts from midnight of its day and may lie days later."""

    name: str
    day: int
    close: float
    hour: int = 21
    quarantine: bool = False


class Event(NamedTuple):
    """One version of a split (ratio) or dividend (amount) with an ex day, known at noon of day `known`."""

    name: str
    ex: int
    kind: str
    value: float
    known: int = -30


def instant(day: int, hour: int) -> dt.datetime:
    return dt.datetime(2018, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day, hours=hour)


def instants(values: Sequence[dt.datetime]) -> pd.Series:
    return pd.Series(pd.to_datetime(list(values), utc=True)).astype("datetime64[us, UTC]")


def dates(values: Sequence[int]) -> pd.Series:
    return pd.Series([pd.Timestamp(2018, 1, 1) + pd.Timedelta(days=n) for n in values], dtype="datetime64[ms]")


def bars(rows: Sequence[Bar]) -> pd.DataFrame:
    close = np.array([row.close for row in rows], dtype=float)
    return pd.DataFrame(
        {
            "session": dates([row.day for row in rows]),
            "instrument": pd.Series([row.name for row in rows], dtype="str"),
            "known_at": instants([instant(row.day, row.hour) for row in rows]),
            "quarantine": np.array([row.quarantine for row in rows], dtype=bool),
            "open": close * 1.01,
            "high": close * 1.1,
            "low": close * 0.9,
            "close": close,
            "price_level": close * 2.0,
            "volume": np.floor(close) + 1.0,
        }
    )


def events(rows: Sequence[Event]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": pd.Series([row.name for row in rows], dtype="str"),
            "ex_session": dates([row.ex for row in rows]),
            "kind": pd.Series([row.kind for row in rows], dtype="str"),
            "ratio": np.array([row.value if row.kind == "SPLIT" else 1.0 for row in rows], dtype=float),
            "amount": np.array([0.0 if row.kind == "SPLIT" else row.value for row in rows], dtype=float),
            "known_at": instants([instant(row.known, 12) for row in rows]),
        }
    )


FX = pd.DataFrame(
    {
        "session": dates(range(T)),
        "currency": pd.Series(["GBP"] * T, dtype="str"),
        "rate": [1.2 + 0.01 * n for n in range(T)],
        "known_at": instants([instant(n, 15) for n in range(T)]),
    }
)


def window(
    prices: pd.DataFrame, actions: pd.DataFrame | None = None, fx: pd.DataFrame = FX, start: int = 0, upto: int = T
) -> MarketWindow:
    return build_window(
        prices,
        events([]) if actions is None else actions,
        fx,
        instruments=NAMES,
        currencies=CURRENCIES,
        base="USD",
        sessions=DAYS[start:upto],
        cutoffs=CUTOFFS[start:upto],
    )


def test_split_and_dividend_leave_the_total_return_alone() -> None:
    """A 4:1 split and a dividend are no loss: 100 -> 25 and 100 -> 98 with 2 paid are both 0 %."""
    split = window(bars([Bar("A", 0, 100.0), Bar("A", 1, 25.0)]), events([Event("A", 1, "SPLIT", 4.0)]))
    paid = window(bars([Bar("A", 0, 100.0), Bar("A", 1, 98.0)]), events([Event("A", 1, "CASH_DIVIDEND", 2.0)]))
    assert split.total_return[1, 0] == paid.total_return[1, 0] == 0.0


def test_an_event_between_two_bars_counts_on_the_next_bar() -> None:
    """An ex date on which the name did not trade belongs to its next bar."""
    made = window(bars([Bar("A", 0, 100.0), Bar("A", 3, 50.0)]), events([Event("A", 2, "SPLIT", 2.0)]))
    assert made.total_return[3, 0] == 0.0
    assert made.total_return[1:3, 0].tolist() == [0.0, 0.0]


def test_two_sessions_that_land_together_compound() -> None:
    """A bar known after the cutoff falls into the next session and compounds with that session's own."""
    made = window(bars([Bar("A", 0, 100.0), Bar("A", 1, 110.0, hour=23), Bar("A", 2, 121.0)]))
    assert not made.fresh[1, 0]
    assert made.total_return[2, 0] == pytest.approx(0.21, abs=1e-15)
    assert made.volume[2, 0] == 111.0 + 122.0
    assert (made.open[2, 0], made.high[2, 0], made.low[2, 0]) == (110.0 * 1.01, 121.0 * 1.1, 110.0 * 0.9)


def test_quarantined_and_missing_bars_are_absent() -> None:
    """A rejected bar, a missing, zero or negative close move neither the level nor the return."""
    bad = [Bar("A", 1, 9000.0, quarantine=True), Bar("A", 2, np.nan), Bar("A", 3, 0.0), Bar("A", 4, -1.0)]
    made = window(bars([Bar("A", 0, 100.0), *bad, Bar("A", 5, 101.0)]))
    assert made.close[:6, 0].tolist() == [100.0] * 5 + [101.0]
    assert made.fresh[:6, 0].tolist() == [True, False, False, False, False, True]
    assert made.total_return[5, 0] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("before", "after", "known"), [(0.002, 11.92, False), (1.0, 10.0, True), (1.0, 10.001, False), (9.0, 0.002, True)]
)
def test_more_than_ten_times_is_no_return(before: float, after: float, known: bool) -> None:
    """A ticker that is used again earns nothing, its level counts from then on; a fall is believed, and what a split explains."""
    made = window(bars([Bar("A", 0, before), Bar("A", 1, after), Bar("A", 2, after * 1.01)]))
    assert made.close[1, 0] == after
    assert (
        made.total_return[1, 0] == pytest.approx(after / before - 1.0) if known else np.isnan(made.total_return[1, 0])
    )
    assert made.total_return[2, 0] == pytest.approx(0.01)
    told = window(bars([Bar("A", 0, before), Bar("A", 1, after)]), events([Event("A", 1, "SPLIT", before / after)]))
    assert told.total_return[1, 0] == pytest.approx(0.0, abs=1e-12)


def test_what_an_overlay_mends_is_believed() -> None:
    """A close a hundred times too low that was used, and its correction a day later: both moves count, so the level is whole."""
    rows = [Bar("A", 0, 100.0), Bar("A", 1, 1.0), Bar("A", 1, 100.0, hour=40)]
    made = window(bars(rows).assign(overlay=[0, 0, 1]))
    assert made.total_return[1:3, 0] == pytest.approx([-0.99, 99.0])


def test_base_return_multiplies_price_and_rate() -> None:
    """A flat price in pounds earns what the pound earns."""
    made = window(bars([Bar("B", n, 10.0) for n in range(3)]))
    assert made.base_return[2, 1] == pytest.approx(1.22 / 1.21 - 1.0, abs=1e-15)


def test_a_bar_that_comes_after_a_newer_one_changes_nothing() -> None:
    """A late bar or a restated one of a closed session does not rewrite what was decided upon."""
    plain = [Bar("A", 0, 100.0), Bar("A", 2, 110.0), Bar("A", 3, 121.0)]
    late = window(bars([*plain, Bar("A", 1, 50.0, hour=21 + 48), Bar("A", 2, 999.0, hour=21 + 24)]))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(late, name), getattr(window(bars(plain)), name), err_msg=name)


def test_an_event_announced_after_the_cutoff_changes_no_past_return() -> None:
    """A split that becomes known two sessions late leaves the return that was decided upon."""
    prices = bars([Bar("A", 0, 100.0), Bar("A", 1, 50.0), Bar("A", 4, 51.0)])
    made = window(prices, events([Event("A", 1, "SPLIT", 2.0, known=3)]))
    assert made.total_return[1, 0] == -0.5
    assert made.total_return[4, 0] == pytest.approx(0.02)


def test_the_last_known_version_of_an_event_counts_once() -> None:
    """A corrected dividend replaces the first announcement instead of being paid twice."""
    versions = [Event("A", 3, "CASH_DIVIDEND", 35.5, known=0), Event("A", 3, "CASH_DIVIDEND", 0.5, known=2)]
    made = window(bars([Bar("A", 2, 100.0), Bar("A", 3, 100.0)]), events(versions))
    assert made.total_return[3, 0] == pytest.approx(0.005)


def test_an_old_bar_is_no_fresh_bar_of_the_first_row() -> None:
    """A name that last traded before the window has a level in row 0, but neither freshness nor volume."""
    made = window(bars([Bar("A", 0, 100.0), Bar("B", 8, 7.0)]), start=8)
    assert made.close[0].tolist() == [100.0, 7.0]
    assert made.fresh[0].tolist() == [False, True]
    assert made.volume[0].tolist() == [0.0, 8.0]


def test_a_row_that_does_not_say_when_it_was_known_is_never_used() -> None:
    """A missing instant counts as never, not as always."""
    prices = bars([Bar("A", 0, 100.0), Bar("A", 1, 110.0)])
    prices.loc[1, "known_at"] = pd.NaT
    assert window(prices).close[:, 0].tolist() == [100.0] * T


def test_the_newest_fixing_counts_even_if_an_older_one_comes_later() -> None:
    """A rate of yesterday that is published again tomorrow does not replace today's."""
    again = FX.iloc[[1]].reset_index(drop=True).assign(rate=9.0, known_at=instants([instant(3, 16)]))
    rates = window(bars([Bar("B", 0, 10.0)]), fx=pd.concat([FX, again], ignore_index=True)).fx[:, 1]
    np.testing.assert_array_equal(rates, FX["rate"].to_numpy())


def test_no_rate_means_no_base_return() -> None:
    """Without a fixing the rate and the base return are NaN, never 1 or 0."""
    made = window(bars([Bar("A", 0, 1.0), Bar("A", 1, 1.0), Bar("B", 0, 1.0), Bar("B", 1, 1.0)]), fx=FX.iloc[:0])
    assert np.isnan(made.fx[:, 1]).all()
    assert np.isnan(made.base_return[:, 1]).all()
    assert made.base_return[1, 0] == 0.0


def naive(rows: Sequence[Bar], versions: Sequence[Event]) -> dict[str, np.ndarray]:
    """Every field by plain loops over the bars of one name after the other."""
    made = {name: np.full((T, 2), np.nan) for name in FIELDS if name not in ("fx", "fresh")}
    made["volume"], made["fresh"] = np.zeros((T, 2)), np.zeros((T, 2), dtype=bool)
    for column, name in enumerate(NAMES):
        cells: dict[int, list[tuple[Bar, float | None]]] = {}
        last: Bar | None = None
        landing = [(lands(row), row) for row in rows if row.name == name and not row.quarantine]
        ordered = sorted((at, row.day, row.hour, row) for at, row in landing if at is not None)
        for at, _, _, row in ordered:
            if last is not None and row.day <= last.day:
                continue
            factor = None if last is None else growth(last, row, at, [v for v in versions if v.name == name])
            cells.setdefault(at, []).append((row, None if factor is not None and factor > 10.0 else factor))
            last = row
        if 0 in cells:
            cells[0] = [(cells[0][-1][0], None)]
        fill(made, column, cells)
    rates = np.column_stack([np.ones(T), FX["rate"].to_numpy()])
    made["fx"] = rates
    made["base_return"][1:] = (1 + made["total_return"][1:]) * rates[1:] / rates[:-1] - 1
    return made


def lands(row: Bar) -> int | None:
    return next((n for n, at in enumerate(CUTOFFS) if instant(row.day, row.hour) <= at), None)


def growth(last: Bar, row: Bar, at: int, versions: Sequence[Event]) -> float:
    ratio, paid = 1.0, 0.0
    for ex, kind in {(v.ex, v.kind) for v in versions if last.day < v.ex <= row.day}:
        known = [v for v in versions if (v.ex, v.kind) == (ex, kind) and instant(v.known, 12) <= CUTOFFS[at]]
        if known:
            value = max(known, key=lambda v: v.known).value
            ratio, paid = (ratio * value, paid) if kind == "SPLIT" else (ratio, paid + value)
    return (row.close * ratio + paid) / last.close


def fill(made: dict[str, np.ndarray], column: int, cells: dict[int, list[tuple[Bar, float | None]]]) -> None:
    for at in range(T):
        here = cells.get(at, [])
        if here:
            closes = [row.close for row, _ in here]
            made["open"][at:, column] = closes[0] * 1.01
            made["high"][at:, column] = max(close * 1.1 for close in closes)
            made["low"][at:, column] = min(close * 0.9 for close in closes)
            made["close"][at:, column] = closes[-1]
            made["price_level"][at:, column] = closes[-1] * 2.0
            landed = [row for row, _ in here if at > 0 or row.day >= 0]
            made["fresh"][at, column] = bool(landed)
            made["volume"][at, column] = sum(np.floor(row.close) + 1.0 for row in landed)
            factors = [factor for _, factor in here if factor is not None]
            if factors:
                made["total_return"][at, column] = np.prod(factors) - 1.0
        elif any(earlier < at for earlier in cells):
            made["total_return"][at, column] = 0.0


ROWS = st.lists(
    st.builds(
        Bar,
        st.sampled_from(NAMES),
        st.integers(-2, T - 1),
        st.floats(1, 1000),
        st.sampled_from([5, 21, 22, 23, 30, 55, 80]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
    unique_by=lambda row: (row.name, row.day, row.hour),
)
VERSIONS = st.lists(
    st.builds(
        Event,
        st.sampled_from(NAMES),
        st.integers(-1, T),
        st.sampled_from(["SPLIT", "CASH_DIVIDEND"]),
        st.sampled_from([0.5, 2.0, 3.0]),
        st.integers(-3, T),
    ),
    max_size=8,
    unique_by=lambda row: (row.name, row.ex, row.kind, row.known),
)


@settings(max_examples=100, deadline=None)
@given(ROWS, VERSIONS)
def test_window_equals_the_slow_twin(rows: list[Bar], versions: list[Event]) -> None:
    """Against plain loops: late, restated, rejected and doubled bars, events known early, late and in versions."""
    made, expected = window(bars(rows), events(versions)), naive(rows, versions)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(made, name), expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(ROWS, VERSIONS, st.integers(1, T - 1), st.integers(0, 1000))
def test_the_future_changes_no_earlier_row(rows: list[Bar], versions: list[Event], cut: int, seed: int) -> None:
    """Rows known by a cutoff, in any order, give the same bits as the longer window cut there."""
    prices, actions = bars(rows), events(versions)
    known = [
        frame[frame["known_at"] <= CUTOFFS[cut - 1]].sample(frac=1.0, random_state=seed)
        for frame in (prices, actions, FX)
    ]
    whole, short = window(prices, actions), window(*known, upto=cut)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(short, name), err_msg=name)


@settings(max_examples=40, deadline=None)
@given(ROWS, VERSIONS, st.integers(0, T - 2))
def test_where_a_window_starts_changes_no_later_row(rows: list[Bar], versions: list[Event], start: int) -> None:
    """A window that starts later holds the same bits from its second row on, and the same close in its first.

    Only a range carried from the first row may differ: of bars that landed there together it is the last one's.
    """
    prices, actions = bars(rows), events(versions)
    whole, late = window(prices, actions), window(prices, actions, start=start)
    np.testing.assert_array_equal(whole.close[start], late.close[0])
    since = np.maximum.accumulate(late.fresh[1:], axis=0)
    for name in FIELDS:
        long, short = getattr(whole, name)[start + 1 :], getattr(late, name)[1:]
        told = since if name in ("open", "high", "low") else np.ones_like(since)
        np.testing.assert_array_equal(long[told], short[told], err_msg=name)


@settings(max_examples=30, deadline=None)
@given(ROWS, VERSIONS)
def test_the_short_way_to_base_returns_gives_the_same_bits(rows: list[Bar], versions: list[Event]) -> None:
    """`build_base_returns` is the window's base return, computed without the rest."""
    made = build_base_returns(
        bars(rows),
        events(versions),
        FX,
        instruments=NAMES,
        currencies=CURRENCIES,
        base="USD",
        sessions=DAYS,
        cutoffs=CUTOFFS,
    )
    np.testing.assert_array_equal(made, window(bars(rows), events(versions)).base_return)


@pytest.mark.parametrize("build", [build_window, build_base_returns], ids=["window", "base returns"])
def test_what_stands_beside_an_instrument_changes_none_of_its_numbers(build) -> None:  # type: ignore[no-untyped-def]
    """Instruments are worked off in blocks: a column is that of the instrument alone, at every edge of a block."""
    names = [f"N{n:03d}" for n in range(2 * BLOCK + 3)]
    prices = bars([Bar(x, day, 10.0 + n * 0.37 + day * (n % 5)) for day in range(3, T) for n, x in enumerate(names)])
    actions = events([Event(x, 5 + n % 3, "SPLIT" if n % 2 else "CASH_DIVIDEND", 2.0) for n, x in enumerate(names)])
    fx = pd.DataFrame({"session": dates([0]), "currency": "GBP", "rate": [1.3], "known_at": instants([instant(0, 1)])})
    currencies = {name: ("USD", "GBP")[n % 2] for n, name in enumerate(names)}

    def built(of: list[str]) -> list[np.ndarray]:
        told = {"instruments": of, "currencies": currencies, "base": "USD", "sessions": DAYS, "cutoffs": CUTOFFS}
        made = build(prices, actions, fx, **told)
        return [made] if isinstance(made, np.ndarray) else [getattr(made, field) for field in FIELDS]

    whole = built(names)
    for column in (0, 1, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, len(names) - 1):
        for every, alone in zip(whole, built([names[column]]), strict=True):
            assert every[:, column].tobytes() == alone[:, 0].tobytes()
    assert np.isfinite(whole[-1][4:].astype(float)).all()


def test_revisions_of_macro_count_from_their_release() -> None:
    """A revised value replaces the first one only once it was published; an old period's revision does not."""
    frame = pd.DataFrame(
        {
            "series": "CPI",
            "period": dates([0, 1, 1, 0]),
            "value": [1.0, 2.0, 2.5, 9.0],
            "known_at": instants([instant(n, 21) for n in (0, 2, 4, 6)]),
        }
    )
    for rows in (frame, frame.iloc[::-1]):
        made = build_macro(rows, DAYS[:8], CUTOFFS[:8]).series["CPI"]
        assert made.tolist() == [1.0, 1.0, 2.0, 2.0, 2.5, 2.5, 2.5, 2.5]


def test_macro_before_its_first_release_is_unknown() -> None:
    """No value is carried backwards to sessions before it was published."""
    frame = pd.DataFrame(
        {"series": ["VIX"], "period": dates([-9]), "value": [20.0], "known_at": instants([instant(3, 21)])}
    )
    made = build_macro(frame, DAYS[:5], CUTOFFS[:5]).series["VIX"]
    np.testing.assert_array_equal(made, [np.nan, np.nan, np.nan, 20.0, 20.0])
