"""The shadow book by hand: which target is held when, what moving costs, and that two equal targets never differ."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.audit.schema import SHADOW_BOOK
from marketbot_assets.audit.shadow_book import HeldTarget, held_targets, shadow_row
from marketbot_assets.normalization.window import MarketWindow

NAMES = ("A", "B")
COSTS = (np.array([0.001, 0.002]), np.array([0.003, 0.004]))


def day(number: int) -> dt.date:
    return dt.date(2020, 1, 1) + dt.timedelta(days=number)


def window(returns: list[list[float]]) -> MarketWindow:
    base = np.array(returns, dtype=float)
    ones = np.ones_like(base)
    days = tuple(day(n) for n in range(len(base)))
    return MarketWindow(days, NAMES, ones, ones, ones, ones, ones, ones, base, base, ones, ones.astype(bool))


def target(a: float, b: float, without: tuple[float, float] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"instrument": ["A", "B", "CASH"], "weight_target": [a, b, 1 - a - b]})
    return frame if without is None else frame.assign(weight_without_llm=[*without, 1 - sum(without)])


def played(
    targets: list[pd.DataFrame], returns: list[list[float]], *, contaminated: bool = False
) -> list[pd.DataFrame]:
    """The rows of every session, as a home makes them one by one."""
    rows: list[pd.DataFrame] = []
    for end in range(len(returns)):
        before = rows[-1] if rows else None
        now, earlier = held_targets([(day(n), targets[n]) for n in range(max(0, end - 5), end)], before)
        known = window(returns[: end + 1])
        rows.append(shadow_row(before, now, earlier, known, costs=COSTS, nav=1000.0, contaminated=contaminated))
    return rows


def test_a_target_is_held_from_the_close_after_its_own() -> None:
    """Target of session 0 trades at the close of 1 and earns row 2: 0.5 * 10 % of A less 0.5 * 0.1 % for buying it.

    Without views half is in B: 0.5 * -10 % less 0.5 * 0.2 %. Row 0 and 1, however large, are earned by nobody.
    """
    rows = played([target(0.5, 0.0, (0.0, 0.5))] * 3, [[9.0, 9.0], [9.0, 9.0], [0.1, -0.1]])
    assert [row["message"].iloc[0] for row in rows] == ["both books open, in cash", "no target was traded yet", ""]
    last = rows[2].iloc[0]
    assert (last["decided_on"], last["opened_on"]) == (pd.Timestamp(day(0)), pd.Timestamp(day(0)))
    assert (last["cost_with"], last["cost_without"]) == (pytest.approx(0.0005), pytest.approx(0.001))
    assert last["nav_with"] == pytest.approx(1000 * 0.9995 * 1.05)
    assert last["nav_without"] == pytest.approx(1000 * 0.999 * 0.95)
    assert last["difference_bps"] == pytest.approx((0.9995 * 1.05 - 0.999 * 0.95) * 1e4)
    assert last["cumulated_bps"] == pytest.approx((0.9995 * 1.05 / (0.999 * 0.95) - 1) * 1e4)
    assert last["influence"] == pytest.approx(1.0)


@pytest.mark.parametrize("without", [None, (float("nan"), float("nan"))], ids=["no column", "no number"])
def test_a_target_solved_once_is_held_by_both_books(without: tuple[float, float] | None) -> None:
    """Without views there is one target: 0.5 * 10 % of A less 0.5 * 0.1 % for buying it in either book, and no difference."""
    solved_once = target(0.5, 0.0, without)
    last = played([solved_once] * 3, [[0.0, 0.0], [0.0, 0.0], [0.1, -0.1]])[2].iloc[0]
    assert last["nav_with"] == last["nav_without"] == pytest.approx(1000 * 0.9995 * 1.05)
    assert (last["influence"], last["difference_bps"], last["cumulated_bps"]) == (0.0, 0.0, 0.0)


def test_views_that_close_every_position_are_not_a_single_solve() -> None:
    """Zeros are weights: without views the book stood in cash."""
    last = played([target(0.5, 0.0, (0.0, 0.0))] * 3, [[0.0, 0.0], [0.0, 0.0], [0.1, -0.1]])[2].iloc[0]
    assert (last["nav_without"], last["influence"]) == (1000.0, pytest.approx(0.5))


def test_moving_costs_what_changes() -> None:
    """From half A to half B: 0.5 sold at 0.3 % and 0.5 bought at 0.2 %; an unchanged target costs nothing."""
    still = [[0.0, 0.0]] * 5
    rows = played([target(0.5, 0.0), target(0.0, 0.5), target(0.0, 0.5), target(0.0, 0.5)], still)
    assert [row["cost_with"].iloc[0] for row in rows] == pytest.approx([0.0, 0.0, 0.0005, 0.0025, 0.0])
    assert rows[-1]["nav_with"].iloc[0] == pytest.approx(1000 * 0.9995 * 0.9975)


def test_a_skipped_session_is_earned_by_what_was_held() -> None:
    """No row on session 2: the next one earns rows 2 and 3, with the target known before the last row."""
    two = played([target(1.0, 0.0)] * 2, [[0.0, 0.0]] * 2)[-1]
    now, earlier = held_targets([(day(0), target(1.0, 0.0)), (day(1), target(0.0, 1.0))], two)
    assert now is not None
    assert (now.session, earlier) == (day(0), None)
    later = window([[0.0, 0.0], [0.0, 0.0], [0.1, 0.0], [0.1, 0.0]])
    row = shadow_row(two, now, earlier, later, costs=COSTS, nav=5.0, contaminated=False).iloc[0]
    assert row["nav_with"] == pytest.approx(1000 * 0.999 * 1.21)


def test_what_is_not_known_earns_nothing_and_a_mark_stays() -> None:
    """An unknown return or weight, and a row too long ago, change neither value; contaminated is passed on."""
    rows = played([target(0.5, float("nan"))] * 3, [[0.0, 0.0], [0.0, 0.0], [np.nan, 0.3]], contaminated=True)
    last = rows[-1].iloc[0]
    assert last["nav_with"] == pytest.approx(999.5)
    assert bool(last["contaminated"])
    old = rows[-1].assign(session=pd.Timestamp("2001-01-01"))
    held = HeldTarget(day(0), target(1.0, 0.0))
    lost = shadow_row(old, held, None, window([[0.5, 0.5]]), costs=COSTS, nav=1.0, contaminated=False).iloc[0]
    assert (lost["nav_with"], "too long ago" in lost["message"]) == (last["nav_with"], True)


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(-0.3, 0.3)), min_size=3, max_size=6),
    st.booleans(),
)
def test_two_equal_targets_never_differ(days: list[tuple[float, float, float]], named: bool) -> None:
    """Without influence, with or without the column, both books are one, to the bit; every row fits its table."""
    targets = [target(a, b, (a, b) if named else None) for a, b, _ in days]
    for row in played(targets, [[r, -r] for _, _, r in days]):
        one = row.iloc[0]
        assert (one["nav_with"], one["difference_bps"], one["cumulated_bps"], one["influence"]) == (
            one["nav_without"], 0.0, 0.0, 0.0,
        )  # fmt: skip
        SHADOW_BOOK.pandera_schema.validate(row)
