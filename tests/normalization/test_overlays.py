"""Overlays: versioned, known from the cutoff after their acceptance on, beside the bar as received and never in its place."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.build_window import build_window
from marketbot_assets.normalization.overlays import (
    as_entries,
    corrected_actions,
    corrected_bars,
    current_bars,
    overlay_rows,
    with_corrected,
)
from marketbot_assets.normalization.quality import judged_bars
from marketbot_assets.normalization.schema import CORPORATE_ACTIONS, PRICE_OVERLAYS, PRICES

DAYS = [dt.date(2018, 12, day) for day in (10, 11, 12, 13, 14)]
CUTOFFS = [dt.datetime(2018, 12, day.day, 23, tzinfo=dt.UTC) for day in DAYS]
NO_ACTIONS = CORPORATE_ACTIONS.arrow_schema.empty_table().to_pandas()


def bar(
    day: int, close: float, *, known: int | None = None, quarantine: bool = False, overlay: int = 0
) -> dict[str, object]:
    """One bar of X, known two hours before the cutoff of a day, its own by default."""
    at = CUTOFFS[day if known is None else known] - dt.timedelta(hours=2)
    return {
        "session": pd.Timestamp(DAYS[day]),
        "instrument": "X",
        "source": "p",
        "mic": "XNYS",
        "currency": "USD",
        "open": close,
        "high": close,
        "low": close,
        "close": close,
        "volume": 1000.0,
        "price_level": 2.0 * close,
        "close_adjusted_by_source": False,
        "known_at": at,
        "quarantine": quarantine,
        "overlay": overlay,
        "synthetic": False,
        "synthetic_fields": "",
    }


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    made = pd.DataFrame(list(rows), columns=[column.name for column in PRICES.columns])
    made["known_at"] = pd.to_datetime(made["known_at"], utc=True).astype("datetime64[us, UTC]")
    return made.astype({"session": "datetime64[ms]", "overlay": "int64", "quarantine": bool})


def body(day: int, field: str, version: int, proposed: float) -> dict[str, object]:
    told = {"found": 1.0, "rule": "prices_in_another_unit", "author": "Ada", "reason": "seen on the exchange's page"}
    return {
        "instrument": "X",
        "session": DAYS[day].isoformat(),
        "field": field,
        "version": version,
        "proposed": proposed,
        **told,
    }


def window(bars: pd.DataFrame, sessions: int) -> dict[str, np.ndarray]:
    made = build_window(
        bars,
        NO_ACTIONS,
        pd.DataFrame({"currency": [], "session": [], "rate": [], "known_at": []}),
        instruments=["X"],
        currencies={"X": "USD"},
        base="USD",
        sessions=DAYS[:sessions],
        cutoffs=CUTOFFS[:sessions],
    )
    return {name: getattr(made, name)[:, 0] for name in ("close", "total_return", "volume", "fresh")}


def test_an_acceptance_counts_from_the_next_cutoff_on() -> None:
    """Ledger: cutoff 10th (entry 3), accepted (5), cutoff 11th (8), accepted (9). Session 11 knows the first one alone."""
    accepted = [(5, body(0, "close", 1, 10.0)), (9, body(0, "close", 2, 11.0))]
    cutoffs = [(3, CUTOFFS[0]), (8, CUTOFFS[1]), (12, CUTOFFS[2])]
    assert overlay_rows(accepted, cutoffs, until=3).empty
    at_11 = overlay_rows(accepted, cutoffs, until=8)
    assert at_11["version"].tolist() == [1]
    assert at_11["known_at"].tolist() == [CUTOFFS[1]]
    at_12 = overlay_rows(accepted, cutoffs, until=12)
    assert at_12["known_at"].tolist() == [CUTOFFS[1], CUTOFFS[2]]
    for rows in (at_12, overlay_rows([], cutoffs, until=12)):
        PRICE_OVERLAYS.pandera_schema.validate(rows)


def test_a_corrected_bar_stands_beside_the_one_received() -> None:
    """The last version's values in the current bar, known when the overlay was; the level of rules moves with the close."""
    panel = frame(bar(0, 5.0), bar(1, 500.0, quarantine=True))
    overlays = overlay_rows([(5, body(1, "close", 1, 5.1)), (6, body(1, "open", 1, 5.2))], [(7, CUTOFFS[3])], until=7)
    before = panel.copy()
    made = corrected_bars(panel, overlays)
    pd.testing.assert_frame_equal(panel, before)
    PRICES.pandera_schema.validate(made)
    row = made.iloc[0]
    assert (len(made), row["close"], row["open"], row["high"], row["overlay"]) == (1, 5.1, 5.2, 500.0, 1)
    assert row["price_level"] == pytest.approx(10.2)
    assert row["known_at"] == CUTOFFS[3]
    assert not row["quarantine"]
    second = overlay_rows([(8, body(1, "close", 2, 5.3))], [(9, CUTOFFS[4])], until=9)
    again = corrected_bars(pd.concat([panel, made], ignore_index=True), second).iloc[0]
    assert (again["close"], again["open"], again["overlay"]) == (5.3, 5.2, 2)
    with pytest.raises(AssertionError, match="expected a bar of that session"):
        corrected_bars(panel.iloc[:1], overlays)


def test_which_bar_holds() -> None:
    """The last usable overlay, else the first usable bar, else the last one that was received."""
    rejected = [bar(0, 9.0, quarantine=True), bar(0, 8.0, known=1, quarantine=True)]
    usable = [bar(0, 5.0, known=2), bar(0, 6.0, known=3)]
    overlaid = [bar(0, 5.5, known=3, overlay=1), bar(0, 5.6, known=4, overlay=2)]
    wrong = bar(0, 0.0, known=4, overlay=3, quarantine=True)
    for rows, close in ((rejected, 8.0), ([*rejected, *usable], 5.0), ([*rejected, *usable, *overlaid, wrong], 5.6)):
        for order in (rows, rows[::-1]):
            assert current_bars(frame(*order))["close"].tolist() == [close]


def test_an_overlay_on_a_rejected_bar_is_that_session_s_bar_from_then_on() -> None:
    """Sessions 2 and 3 landed in pence; the overlay of session 3 is known in session 4 and sets the level there, not before."""
    bars = [bar(0, 5.0), bar(1, 5.1), bar(2, 520.0, quarantine=True), bar(3, 530.0, quarantine=True)]
    overlaid = bar(3, 5.3, known=4, overlay=1)
    before, after = window(frame(*bars), 4), window(frame(*bars, overlaid), 5)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][:4], values)
    assert after["close"].tolist() == [5.0, 5.1, 5.1, 5.1, 5.3]
    assert after["total_return"][4] == pytest.approx(5.3 / 5.1 - 1.0)


def test_an_overlay_supersedes_a_usable_print_from_the_session_that_learns_of_it() -> None:
    """A wrong close that passed and is still the newest level: corrected as a return of the session that learned of it,
    without volume and without a fresh bar, so no stop fires on a correction; earlier rows stay what was read."""
    bars = [bar(0, 5.0), bar(1, 5.5)]
    overlaid = bar(1, 5.05, known=2, overlay=1)
    before, after = window(frame(*bars), 2), window(frame(*bars, overlaid), 3)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][:2], values)
    assert after["close"].tolist() == [5.0, 5.5, 5.05]
    assert after["total_return"][2] == pytest.approx(5.05 / 5.5 - 1.0)
    assert (after["volume"][2], after["fresh"][2]) == (0.0, False)
    again = window(frame(*bars, overlaid, bar(1, 5.04, known=3, overlay=2), bar(3, 5.1)), 4)
    assert again["close"].tolist() == [5.0, 5.5, 5.05, 5.1]
    assert again["total_return"][3] == pytest.approx(5.1 / 5.05 - 1.0)
    assert again["fresh"].tolist() == [True, True, False, True]


def test_an_overlay_on_a_closed_history_changes_no_window() -> None:
    """Once a newer bar was used the past is not rewritten: that return was decided upon."""
    bars = [bar(0, 5.0), bar(1, 5.5), bar(2, 5.1)]
    for name, values in window(frame(*bars), 4).items():
        np.testing.assert_array_equal(window(frame(*bars, bar(1, 5.05, known=3, overlay=1)), 4)[name], values)


def test_a_repeat_without_overlay_never_supersedes() -> None:
    """A bar sent again is no correction."""
    bars = [bar(0, 5.0), bar(1, 5.5)]
    for name, values in window(frame(*bars), 3).items():
        np.testing.assert_array_equal(window(frame(*bars, bar(1, 5.05, known=2)), 3)[name], values)


def test_a_corrected_bar_must_be_possible_and_may_jump() -> None:
    """Someone vouches for a jump; nobody can vouch for a price of zero. The next bar is measured against the corrected one."""
    recent = frame(*(bar(day, 5.0) for day in range(3)))
    corrected = frame(bar(3, 2.0, known=4, overlay=1))
    restatements = pd.DataFrame(
        {"source": [], "known_source": [], "field": [], "relative_difference": [], "instrument": []}
    )
    bars, _ = judged_bars(frame(bar(4, 2.05)), corrected, recent, restatements, NO_ACTIONS, DAYS[4])
    assert bars["quarantine"].tolist() == [False, False]
    zero = corrected.assign(low=0.0)
    bars, found = judged_bars(frame(bar(4, 5.05)), zero, recent, restatements, NO_ACTIONS, DAYS[4])
    assert bars["quarantine"].tolist() == [True, False]
    assert ("bars_have_positive_prices", "quarantine") in set(zip(found["rule"], found["outcome"], strict=True))


def test_corrected_splits_and_dividends_are_later_versions() -> None:
    """A phantom dividend becomes one of 0, a missing split an event of its own; of a received and a corrected one the latter."""
    accepted = [(1, body(1, "dividend", 1, 0.0)), (2, body(2, "split", 1, 4.0))]
    made = corrected_actions(overlay_rows(accepted, [(3, CUTOFFS[2])], until=3), {"X": "USD"})
    CORPORATE_ACTIONS.pandera_schema.validate(made)
    assert list(zip(made["kind"], made["amount"], made["ratio"], strict=True)) == [
        ("CASH_DIVIDEND", 0.0, 1.0),
        ("SPLIT", 0.0, 4.0),
    ]
    received = made.iloc[:1].assign(amount=0.7)
    assert with_corrected(received, made)["amount"].tolist() == [0.0, 0.0]
    assert with_corrected(received, made.iloc[:0]).equals(received)


def test_versions_count_up_per_session() -> None:
    """A second acceptance is version 2 of its session and version 1 of another."""
    rows = [("X", pd.Timestamp(DAYS[n]), "close", 1.0, 2.0, "r", "why") for n in (0, 1)]
    names = ["instrument", "session", "field", "found", "proposed", "rule", "reason"]
    proposal = pd.DataFrame(rows, columns=names)
    known = overlay_rows([(1, body(0, "open", 1, 3.0))], [(2, CUTOFFS[0])], until=2)
    entries = as_entries(proposal, known, author="Ada", reason="because")
    assert [(entry["session"], entry["version"]) for entry in entries] == [("2018-12-10", 2), ("2018-12-11", 1)]
    assert {(entry["author"], entry["reason"]) for entry in entries} == {("Ada", "because")}
