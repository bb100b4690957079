"""Proposals equal what vendors' errors were fixed to by hand; right data get none."""

import market_sets as sets
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.repair import COLUMNS, propose, standing_jumps, with_ids

DAYS = pd.bdate_range("2018-01-01", periods=120)
PRICES = ["open", "high", "low", "close"]


def history(seed: int = 1) -> pd.DataFrame:
    """120 bars of one name around 50, daily moves of 1 %, a million shares a day."""
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(DAYS))))
    frame = pd.DataFrame({"session": DAYS, "instrument": "X", "open": close * 0.999, "high": close * 1.005})
    volume = rng.integers(900_000, 1_100_000, len(DAYS))
    return sets.bars_of(frame.assign(low=close * 0.994, close=close, volume=volume))


def event(day: int, kind: str, value: float) -> pd.DataFrame:
    split = kind == "SPLIT"
    row = {"instrument": "X", "kind": kind, "ratio": value if split else 1.0, "amount": 0.0 if split else value}
    frame = pd.DataFrame({**row, "ex_session": DAYS[[day]].astype("datetime64[ms]")})
    return frame.assign(known_at=pd.Timestamp("2017-12-01", tz="UTC").as_unit("us"))


def applied(bars: pd.DataFrame, proposals: pd.DataFrame) -> pd.DataFrame:
    made = bars.set_index("session").copy()
    for row in proposals.itertuples():
        made.loc[row.session, row.field] = row.proposed
    return made


@pytest.mark.parametrize(
    "name",
    [
        "1398-HK-1d-bad-div",
        "4063-T-1d-bad-stock-split",
        "AET-L-1d-100x-error",
        "ALPHA-PA-1d-bad-stock-split",
        "KAP-IL-1d-bad-div",
        "REL-L-1d-bad-div",
    ],
)
@pytest.mark.shared_data
@pytest.mark.skipif(not sets.SHARED.is_dir(), reason=sets.MISSING)
def test_proposals_equal_the_fixed_file(name: str) -> None:
    """Each value that the fixed file changes is proposed within 1e-3 of it, and no other value is touched."""
    bars, actions, broken = sets.dirty(name)
    _, _, fixed = sets.dirty(f"{name}-fixed")
    proposals = propose(bars, actions, split_adjusted=True)
    ours = applied(broken.reset_index(), proposals)[list(fixed.columns)]
    gap = (ours - fixed).abs() / fixed.abs().where(fixed != 0.0, 1.0)
    assert float(gap.max().max()) <= 1e-3
    changed = (broken - fixed).abs() > 1e-3 * fixed.abs()
    assert int(changed.to_numpy().sum()) == len(proposals)
    for row in proposals.itertuples():
        assert row.found == pytest.approx(broken.loc[row.session, row.field], rel=1e-12)


@pytest.mark.parametrize("name", ["CALM-1d-no-bad-divs", "IBE-MC-1d-no-bad-divs"])
@pytest.mark.shared_data
@pytest.mark.skipif(not sets.SHARED.is_dir(), reason=sets.MISSING)
def test_right_files_get_no_proposal(name: str) -> None:
    """The controls stay as they are, uneven and tiny dividends included."""
    bars, actions, _ = sets.dirty(name)
    assert propose(bars, actions, split_adjusted=True).empty


@pytest.mark.shared_data
@pytest.mark.skipif(not sets.SHARED.is_dir(), reason=sets.MISSING)
def test_the_four_splits_of_apple_are_found_and_its_crash_is_not() -> None:
    """Raw prices without events: AAPL's splits of 2000, 2005, 2014 and 2020 by their ratios, and bad highs and lows."""
    found = propose(sets.raw_bars("aapl"), sets.NO_ACTIONS)
    splits = [(str(row.session.date()), row.proposed) for row in found[found["field"] == "split"].itertuples()]
    assert splits == [("2000-06-21", 2.0), ("2005-02-28", 2.0), ("2014-06-09", 7.0), ("2020-08-31", 4.0)]
    single = found[found["field"] != "split"]
    assert set(single["field"]) <= {"high", "low"}
    assert np.isclose(np.abs(np.log10(single["found"] / single["proposed"])), 1.0).all()


def test_clean_bars_with_a_split_and_dividends_get_no_proposal() -> None:
    """An announced split that the prices show, and dividends that they do not contradict, are no errors."""
    bars = history()
    bars.loc[60:, PRICES] /= 4.0
    actions = pd.concat([event(60, "SPLIT", 4.0), event(20, "CASH_DIVIDEND", 0.4), event(80, "CASH_DIVIDEND", 0.1)])
    assert propose(bars, actions).empty
    assert propose(history(), actions[1:]).empty
    assert list(propose(bars.iloc[:0], actions).columns) == list(COLUMNS)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 100), st.integers(1, 15), st.sampled_from([100.0, 0.01, 10.0, 0.1, 1000.0]), st.integers(0, 99))
def test_a_block_in_another_unit_comes_back(start: int, length: int, unit: float, seed: int) -> None:
    """Whatever block of bars stands in another unit, the proposals restore it exactly and touch no other bar."""
    clean = history(seed)
    broken = clean.copy()
    broken.loc[start : start + length - 1, PRICES] *= unit
    found = propose(broken, sets.NO_ACTIONS)
    mended = applied(broken, found)
    np.testing.assert_allclose(mended[PRICES].to_numpy(), clean[PRICES].to_numpy(), rtol=1e-9)
    assert len(found) == 4 * min(length, len(DAYS) - start)
    assert set(found["rule"]) == {"prices_in_another_unit"}


@pytest.mark.parametrize("field", PRICES)
@pytest.mark.parametrize("unit", [100.0, 0.1])
def test_one_price_of_a_bar_in_another_unit(field: str, unit: float) -> None:
    """That price alone is proposed, also on the newest bar, where nothing comes after it."""
    for day in (60, len(DAYS) - 1):
        bars = history()
        bars.loc[day, field] *= unit
        (row,) = propose(bars, sets.NO_ACTIONS).itertuples()
        assert (row.session, row.field, row.rule) == (DAYS[day], field, "price_in_another_unit")
        assert row.proposed == pytest.approx(history().loc[day, field])


@settings(max_examples=40, deadline=None)
@given(st.integers(30, 100), st.sampled_from([2.0, 3.0, 5.0, 10.0, 0.2, 0.5]), st.integers(0, 99))
def test_a_split_that_no_one_told_of_is_proposed(day: int, ratio: float, seed: int) -> None:
    """A lasting jump by a usual ratio at the usual turnover: the split with its ex session; told of, there is nothing to do."""
    bars = history(seed)
    bars.loc[day:, PRICES] /= ratio
    bars.loc[day:, "volume"] *= ratio
    found = propose(bars, sets.NO_ACTIONS)
    assert [(r.session, r.field, r.proposed) for r in found.itertuples()] == [
        (DAYS[day], "split", pytest.approx(ratio))
    ]
    assert propose(bars, event(day, "SPLIT", ratio)).empty


def test_a_split_applied_two_days_late_is_mended() -> None:
    """Bars between the ex session and the day on which the source began to apply it stand on the old scale."""
    clean = history()
    clean.loc[60:, PRICES] /= 5.0
    clean.loc[60:, "volume"] *= 5.0
    broken = clean.copy()
    broken.loc[60:61, PRICES] *= 5.0
    broken.loc[60:61, "volume"] /= 5.0
    found = propose(broken, event(60, "SPLIT", 5.0))
    assert set(found["rule"]) == {"split_applied_wrongly"}
    columns = [*PRICES, "volume"]
    np.testing.assert_allclose(applied(broken, found)[columns].to_numpy(), clean[columns].to_numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("paid", "others", "expected"),
    [
        (40.0, [0.4, 0.41], [0.40]),  # pence on a price in pounds: the price did not fall by four fifths
        (0.004, [0.4, 0.41], [0.40]),  # a hundredth of what it always pays
        (0.004, [0.4, 0.02], []),  # of an uneven payer nothing follows
        (0.4, [0.4, 0.41], []),
    ],
)
def test_dividends_in_another_unit(paid: float, others: list[float], expected: list[float]) -> None:
    """Too large for the price, or too small beside steady others."""
    events = [event(60, "CASH_DIVIDEND", paid), *(event(20 + 70 * n, "CASH_DIVIDEND", v) for n, v in enumerate(others))]
    found = propose(history(), pd.concat(events))
    assert found["proposed"].tolist() == pytest.approx(expected)


def test_a_special_dividend_that_the_price_shows_stays() -> None:
    """Two fifths of the price paid out, and the price fell by as much."""
    bars = history()
    paid = 0.4 * float(bars["close"].iloc[59])
    bars.loc[60:, PRICES] -= paid
    assert propose(bars, event(60, "CASH_DIVIDEND", paid)).empty


def test_a_missing_dividend_is_read_from_the_adjusted_close() -> None:
    """The source's adjusted close steps by a dividend that it does not list."""
    bars = history()
    factor = np.where(np.arange(len(bars)) < 60, 1.0 - 0.5 / bars["close"].iloc[59], 1.0)
    adjusted = bars.assign(adj_close=bars["close"] * factor)
    found = propose(adjusted, sets.NO_ACTIONS)
    assert [(r.session, r.field, r.rule) for r in found.itertuples()] == [(DAYS[60], "dividend", "dividend_is_missing")]
    assert found["proposed"].iloc[0] == pytest.approx(0.5)
    assert propose(adjusted, event(60, "CASH_DIVIDEND", 0.5)).empty


def test_a_bad_print_without_a_factor_gets_no_proposal() -> None:
    """Nobody knows what a close that is 37 % off should have been."""
    bars = history()
    bars.loc[60, "close"] *= 1.37
    assert propose(bars, sets.NO_ACTIONS).empty


def test_a_level_that_stands_may_be_accepted_as_it_is() -> None:
    """Three rejected bars that agree: the last close is proposed unchanged, for someone who knows that it is true."""
    bars = history()
    bars.loc[117:, PRICES] *= 0.1
    bars.loc[117:, "quarantine"] = True
    found = standing_jumps(bars)
    assert found["proposed"].tolist() == [bars["close"].iloc[-1]]
    assert found["rule"].tolist() == ["jump_is_true"]
    assert standing_jumps(bars.iloc[:-1]).empty
    bars.loc[118, "close"] *= 3.0
    assert standing_jumps(bars).empty


def test_an_id_follows_from_what_is_proposed() -> None:
    """One id per error of a name; another value has another id."""
    bars = history()
    bars.loc[60:63, PRICES] *= 100.0
    first = with_ids(propose(bars, sets.NO_ACTIONS))
    assert first["proposal"].nunique() == 1
    assert with_ids(propose(bars.sample(frac=1.0, random_state=1), sets.NO_ACTIONS)).equals(first)
    bars.loc[60, "open"] *= 1.001
    assert set(with_ids(propose(bars, sets.NO_ACTIONS))["proposal"]) != set(first["proposal"])
