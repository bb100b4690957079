"""The last return of a listing that ended: by what was paid, by the acquirer's shares, or by rule; never before it was known."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.action_effects import LEFT_MIN, price_effects
from marketbot_assets.normalization.build_window import build_base_returns, build_window
from marketbot_assets.normalization.window import MarketWindow

T = 10
DAYS = [dt.date(2018, 1, 1) + dt.timedelta(days=n) for n in range(T)]
CUTOFFS = [dt.datetime(d.year, d.month, d.day, 22, tzinfo=dt.UTC) for d in DAYS]
NAMES, CURRENCIES = ["A", "B", "L"], {"A": "USD", "B": "USD", "L": "GBP"}
LAST = 4  # A trades in sessions 0 to 4, at 100 and at last 80; B at 50 and from session 5 on at 60; L in pounds


def instants(values: list[dt.datetime]) -> pd.Series:
    return pd.Series(pd.to_datetime(values, utc=True)).astype("datetime64[us, UTC]")


def prices(mic: str = "XNYS") -> pd.DataFrame:
    rows = [("A", n, 80.0 if n == LAST else 100.0) for n in range(LAST + 1)]
    rows += [("B", n, 50.0 if n < 5 else 60.0) for n in range(T)] + [("L", n, 7.0) for n in range(T)]
    frame = pd.DataFrame(rows, columns=["instrument", "day", "close"])
    frame["session"] = pd.to_datetime([DAYS[n] for n in frame["day"]]).astype("datetime64[ms]")
    frame["known_at"] = instants([CUTOFFS[n] - dt.timedelta(hours=1) for n in frame["day"]])
    levels = {name: frame["close"] for name in ("open", "high", "low", "price_level")}
    return frame.assign(**levels, volume=1.0, quarantine=False, mic=mic)


def told(*rows: tuple[str, int, float, float, str, int]) -> pd.DataFrame:
    """(kind, ex day, amount, ratio, other, day known) of A."""
    frame = pd.DataFrame(rows, columns=["kind", "ex", "amount", "ratio", "other", "known"])
    frame["ex_session"] = pd.to_datetime([DAYS[n] for n in frame["ex"]]).astype("datetime64[ms]")
    frame["known_at"] = instants([CUTOFFS[n] - dt.timedelta(hours=8) for n in frame["known"]])
    return frame.assign(instrument="A")


FX = pd.DataFrame(
    {"session": pd.to_datetime(DAYS[:1]).astype("datetime64[ms]"), "currency": ["GBP"], "rate": [1.25],
     "known_at": instants([CUTOFFS[0] - dt.timedelta(hours=3)])}
)  # fmt: skip


def window(actions: pd.DataFrame, mic: str = "XNYS", start: int = 0, upto: int = T) -> MarketWindow:
    axes = {"instruments": NAMES, "currencies": CURRENCIES, "base": "USD", "sessions": DAYS[start:upto],
            "cutoffs": CUTOFFS[start:upto]}  # fmt: skip
    made = build_window(prices(mic), actions, FX, **axes)  # type: ignore[arg-type]
    np.testing.assert_array_equal(build_base_returns(prices(mic), actions, FX, **axes), made.base_return)  # type: ignore[arg-type]
    return made


CASES = {
    "paid": (("DELISTING", 5, 60.0, 0.0, "VOLUNTARY", 3), "XNYS", -0.25),
    "worthless": (("DELISTING", 5, 0.0, 0.0, "BANKRUPTCY", 3), "XNYS", LEFT_MIN - 1.0),
    "unknown in New York": (("DELISTING", 5, math.nan, 0.0, "UNKNOWN", 3), "XNYS", -0.30),
    "unknown at Nasdaq": (("DELISTING", 5, math.nan, 0.0, "BANKRUPTCY", 3), "XNAS", -0.55),
    "acquired for an unknown price": (("DELISTING", 5, math.nan, 0.0, "ACQUIRED", 3), "XNAS", 0.0),
    "transfer": (("DELISTING", 5, 0.0, 0.0, "TRANSFER", 3), "XNYS", 0.0),
    "merger for cash": (("MERGER", 5, 88.0, 0.0, "B", 3), "XNYS", 0.10),
    "merger for shares": (("MERGER", 5, 10.0, 1.25, "B", 3), "XNYS", 85 / 80 - 1.0),  # 10 + 1.25 * 60
    "merger for shares in pounds": (("MERGER", 5, 0.0, 3.0, "L", 3), "XNYS", 0.0),
    "merger with a stranger": (("MERGER", 5, 0.0, 3.0, "somebody", 3), "XNYS", 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_return(name: str) -> None:
    """In the session of the end, over the last close; the total loses nothing before and earns nothing after."""
    row, mic, expected = CASES[name]
    made = window(told(row), mic)
    assert made.total_return[5, 0] == pytest.approx(expected, abs=1e-12)
    assert made.total_return[[1, 2, 3, 4, 6, 7, 8, 9], 0] == pytest.approx([0.0, 0.0, 0.0, -0.2, 0.0, 0.0, 0.0, 0.0])
    unknown = math.isnan(row[2]) and expected < 0.0
    assert made.close[5:, 0] == pytest.approx([80.0 * (1.0 + expected) if unknown else 80.0] * 5)
    assert not made.fresh[5:, 0].any()


def test_an_unknown_end_is_corrected_when_its_value_is_known() -> None:
    """-30 % by rule in session 5, then from 56 to 14 in session 7; a later version of the same changes nothing more."""
    rows = [("DELISTING", 5, math.nan, 0.0, "UNKNOWN", 3), ("DELISTING", 5, math.nan, 0.0, "BANKRUPTCY", 6),
            ("DELISTING", 5, 14.0, 0.0, "BANKRUPTCY", 7), ("DELISTING", 5, 1.0, 0.0, "BANKRUPTCY", 8)]  # fmt: skip
    made = window(told(*rows))
    assert made.total_return[5:, 0] == pytest.approx([-0.30, 0.0, 14 / 56 - 1.0, 0.0, 0.0])


@pytest.mark.parametrize("name", CASES)
def test_an_end_changes_nothing_before_it_was_known(name: str) -> None:
    """Told in session 7 of an ex session 5: rows 5 and 6 stay as they were decided on, row 7 has the last return."""
    row, mic, expected = CASES[name]
    late = window(told((*row[:5], 7)), mic)
    assert late.total_return[5:7, 0].tolist() == [0.0, 0.0]
    assert late.total_return[7, 0] == pytest.approx(expected, abs=1e-12)
    for end in range(2, T + 1):
        np.testing.assert_array_equal(
            window(told(row), mic, upto=end).total_return, window(told(row), mic).total_return[:end]
        )


@pytest.mark.parametrize("name", CASES)
def test_a_slice_of_a_longer_window_is_the_window_of_the_slice(name: str) -> None:
    """Levels and returns do not depend on where the window starts, the level of a name that ended before it included."""
    row, mic, _ = CASES[name]
    whole = window(told(row), mic)
    for start in range(1, T - 1):
        part = window(told(row), mic, start=start)
        np.testing.assert_array_equal(part.close, whole.close[start:])
        np.testing.assert_array_equal(part.total_return[1:], whole.total_return[start + 1 :])


def test_what_explains_a_price() -> None:
    """Only a split changes the number of shares; only dividends and spin-offs pay on the ex session; unknown pays nothing."""
    kinds = ["CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPLIT", "SPIN_OFF", "SPIN_OFF", "MERGER", "RENAME", "DELISTING"]
    frame = pd.DataFrame(
        {
            "kind": kinds,
            "amount": [1.0, 2.0, 0.0, 3.0, math.nan, 5.0, 0.0, 6.0],
            "ratio": [1.0, 1, 4, 0.5, 0.5, 0, 1, 0],
        }
    )
    ratio, paid = price_effects(frame)
    assert ratio.tolist() == [1, 1, 4, 1, 1, 1, 1, 1]
    assert paid.tolist() == [1, 2, 0, 3, 0, 0, 0, 0]
