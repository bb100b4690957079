"""Bar rules catch what is wrong, leave true moves alone, and neither lock a name for good nor get used to an error."""

import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.quality import bar_findings, flag_quarantine, recent_bars
from marketbot_assets.normalization.schema import DATA_QUALITY

NAMES = [f"N{n:02d}" for n in range(12)]
DAYS = pd.bdate_range("2018-01-01", periods=90)
HISTORY = 60
RNG = np.random.default_rng(7)
RETURNS = RNG.normal(0.0, 0.01, (len(DAYS), len(NAMES)))
VOLUMES = RNG.integers(900_000, 1_100_000, (len(DAYS), len(NAMES))).astype(float)
PRICES = 100.0 * np.exp(np.cumsum(RETURNS, axis=0))
OHLC = ("open", "high", "low", "close")
NO_ACTIONS = pd.DataFrame(
    {
        "instrument": pd.Series([], dtype="str"),
        "ex_session": pd.Series([], dtype="datetime64[ms]"),
        "kind": pd.Series([], dtype="str"),
        "ratio": np.array([], dtype=float),
        "amount": np.array([], dtype=float),
        "known_at": pd.Series([], dtype="datetime64[us, UTC]"),
    }
)


def bars(day: int, levels: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Bars of all names on one day; `levels` multiplies all prices of a name."""
    close = PRICES[day] * np.array([(levels or {}).get(name, 1.0) for name in NAMES])
    return pd.DataFrame(
        {
            "session": pd.Series([DAYS[day]] * len(NAMES), dtype="datetime64[ms]"),
            "instrument": pd.Series(NAMES, dtype="str"),
            "open": close * 0.999,
            "high": close * 1.005,
            "low": close * 0.995,
            "close": close,
            "volume": VOLUMES[day],
            "known_at": pd.Series([DAYS[day].tz_localize("UTC") + pd.Timedelta(hours=21)] * len(NAMES)).astype(
                "datetime64[us, UTC]"
            ),
            "quarantine": False,
        }
    )


def action(name: str, day: int, kind: str, value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": [name],
            "ex_session": pd.Series([DAYS[day]], dtype="datetime64[ms]"),
            "kind": [kind],
            "ratio": [value if kind == "SPLIT" else 1.0],
            "amount": [0.0 if kind == "SPLIT" else value],
            "known_at": pd.Series([DAYS[0].tz_localize("UTC")]).astype("datetime64[us, UTC]"),
        }
    )


PAST = pd.concat([bars(day) for day in range(HISTORY)], ignore_index=True)


def judge(
    frame: pd.DataFrame, actions: pd.DataFrame = NO_ACTIONS, past: pd.DataFrame = PAST
) -> tuple[pd.DataFrame, dict[tuple[str, str], str]]:
    """The flagged bars, and the outcomes that are no pass by rule and name."""
    day = frame["session"].iloc[0].date()
    findings = bar_findings(frame, recent_bars(past, day), actions, day)
    bad = findings[findings["outcome"] != "pass"]
    outcomes = {(rule, name): out for rule, name, out in zip(bad["rule"], bad["subject"], bad["outcome"], strict=True)}
    return flag_quarantine(frame, findings), outcomes


def replay(level: Callable[[int], float], days: int, actions: pd.DataFrame = NO_ACTIONS) -> list[bool]:
    """Whether N00 is flagged on each of `days` days after HISTORY, with the flags fed back as the asset does."""
    past, flags = PAST, []
    for day in range(HISTORY, HISTORY + days):
        flagged, _ = judge(bars(day, {"N00": level(day - HISTORY)}), actions, past)
        flags.append(bool(flagged["quarantine"].iloc[0]))
        assert not flagged["quarantine"].iloc[1:].any()
        past = pd.concat([past, flagged], ignore_index=True)
    return flags


def test_clean_bars_pass_every_rule() -> None:
    """One finding per rule and name, all of them measured, none of them bad."""
    day = DAYS[HISTORY].date()
    findings = bar_findings(bars(HISTORY), recent_bars(PAST, day), NO_ACTIONS, day)
    DATA_QUALITY.pandera_schema.validate(findings)
    assert len(findings) == findings["rule"].nunique() * len(NAMES)
    assert set(findings["outcome"]) == {"pass"}
    assert findings["observed"].notna().all()
    assert set(findings["message"]) == {""}


@pytest.mark.parametrize("field", [*OHLC, "volume"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_what_cannot_be_measured_is_quarantined(field: str, value: float) -> None:
    """A missing, infinite or negative number in any field closes that name and no other."""
    frame = bars(HISTORY)
    frame.loc[3, field] = value
    flagged, _ = judge(frame)
    assert flagged.loc[flagged["quarantine"], "instrument"].tolist() == ["N03"]


@pytest.mark.parametrize(
    ("field", "factor", "rule", "outcome"),
    [
        ("close", 1.03, "bars_respect_ohlc_order", "warn"),
        ("open", 1.50, "bars_respect_ohlc_order", "quarantine"),
        ("low", 0.01, "bars_have_plausible_ranges", "quarantine"),
        ("high", 9.00, "bars_have_plausible_ranges", "quarantine"),
        ("close", 0.79, "closes_move_plausibly", "quarantine"),
        ("volume", 0.0, "volumes_are_present", "warn"),
        ("volume", 100.0, "volumes_are_present", "warn"),
        ("volume", 0.01, "volumes_are_present", "warn"),
    ],
)
def test_one_bad_field_gives_its_outcome(field: str, factor: float, rule: str, outcome: str) -> None:
    """Each rule answers to the error it is there for."""
    frame = bars(HISTORY)
    frame.loc[3, field] *= factor
    assert judge(frame)[1][(rule, "N03")] == outcome


def test_a_true_jump_costs_one_session() -> None:
    """A fall by 26 % that stays is accepted by the second bar on the new level, not held against the name for months."""
    assert replay(lambda n: 0.74, 6) == [True, False, False, False, False, False]


def test_a_single_bad_tick_costs_one_session() -> None:
    """A false price that is gone the next day leaves no trace."""
    assert replay(lambda n: 1.4 if n == 0 else 1.0, 4) == [True, False, False, False]


@pytest.mark.parametrize("unit", [100.0, 0.01, 0.1, 1000.0])
def test_a_wrong_unit_is_never_accepted(unit: float) -> None:
    """Pence for pounds stays rejected however long it lasts; the right unit is accepted at once."""
    assert replay(lambda n: unit if n < 14 else 1.0, 16) == [True] * 14 + [False, False]


@pytest.mark.parametrize("ratio", [0.5, 1 / 3, 1 / 1.5, 5.0])
def test_a_missed_split_is_held_for_ten_sessions(ratio: float) -> None:
    """Two weeks for the provider to announce it; then it counts as a move that really happened."""
    assert replay(lambda n: ratio, 12) == [True] * 10 + [False, False]


def test_a_split_announced_late_frees_the_name() -> None:
    """As soon as the split is known the rejected level is explained."""
    split = action("N00", HISTORY, "SPLIT", 4.0)
    first, _ = judge(bars(HISTORY, {"N00": 0.25}))
    past = pd.concat([PAST, first], ignore_index=True)
    then, outcomes = judge(bars(HISTORY + 1, {"N00": 0.25}), split, past)
    assert first["quarantine"].iloc[0]
    assert not then["quarantine"].iloc[0]
    assert outcomes == {}


def test_a_split_without_its_jump_is_quarantined() -> None:
    """An announced split that the price does not show is as wrong as a jump without a split."""
    _, outcomes = judge(bars(HISTORY), action("N00", HISTORY, "SPLIT", 2.0))
    assert outcomes[("splits_match_price_jumps", "N00")] == "quarantine"


@pytest.mark.parametrize(("paid", "flagged"), [(0.5, False), (1.5, False), (150.0, True)])
def test_a_dividend_in_the_wrong_unit_is_quarantined(paid: float, flagged: bool) -> None:
    """A dividend a hundred times too large makes an impossible return; it is never accepted by waiting."""
    flags = replay(lambda n: 1.0, 12, action("N00", HISTORY, "CASH_DIVIDEND", paid))
    assert flags == [flagged] * 12


def test_a_large_dividend_that_the_price_shows_passes() -> None:
    """A special dividend of 40 % with a fall by 40 % is a return of nothing."""
    paid = 0.4 * PRICES[HISTORY - 1, 0]
    assert replay(lambda n: 0.6, 3, action("N00", HISTORY, "CASH_DIVIDEND", paid)) == [False, False, False]


def test_a_dividend_that_repeats_itself_within_a_week_warns() -> None:
    """The same payment on two days in a row is probably one payment."""
    first, again = (action("N00", HISTORY - 1 + n, "CASH_DIVIDEND", 5.0 + n) for n in range(2))
    _, outcomes = judge(bars(HISTORY), pd.concat([first, again], ignore_index=True))
    assert outcomes == {("dividends_are_not_doubled", "N00"): "warn"}
    assert judge(bars(HISTORY), again)[1] == {}


def test_identical_bars_warn_then_close() -> None:
    """One repeated bar warns, the third closes the name."""
    past, outcomes = PAST, []
    for n in range(4):
        again = bars(HISTORY - 1).assign(session=bars(HISTORY + n)["session"])
        flagged, found = judge(again, past=past)
        outcomes.append(found.get(("closes_are_not_repeated", "N05"), "pass"))
        past = pd.concat([past, flagged], ignore_index=True)
    assert outcomes == ["warn", "warn", "quarantine", "quarantine"]


def test_a_crash_of_most_names_closes_none_and_hides_no_error() -> None:
    """On a day on which most names fall by a quarter, falls are warned of, a price in the wrong unit is still rejected."""
    levels = {name: 0.75 + 0.01 * (n % 4) for n, name in enumerate(NAMES)}
    flagged, outcomes = judge(bars(HISTORY, levels))
    assert not flagged["quarantine"].any()
    assert set(outcomes.values()) == {"warn"}
    flagged, _ = judge(bars(HISTORY, {**levels, "N00": 75.0, "N01": 0.0075, "N02": 1.3}))
    assert flagged.loc[flagged["quarantine"], "instrument"].tolist() == ["N00", "N01", "N02"]


def test_the_first_bars_of_a_name_confirm_each_other() -> None:
    """A name without any earlier bar is closed for one session, then open."""
    past = PAST[PAST["instrument"] != "N00"]
    first, _ = judge(bars(HISTORY), past=past)
    assert first.loc[first["quarantine"], "instrument"].tolist() == ["N00"]
    second, outcomes = judge(bars(HISTORY + 1), past=pd.concat([past, first], ignore_index=True))
    assert not second["quarantine"].any()
    assert outcomes == {("closes_move_plausibly", "N00"): "warn"}


def test_a_session_without_bars_has_no_findings() -> None:
    """A day on which nothing landed is no error of a bar rule."""
    findings = bar_findings(bars(HISTORY).iloc[:0], PAST, NO_ACTIONS, dt.date(2018, 4, 1))
    DATA_QUALITY.pandera_schema.validate(findings)
    assert findings.empty


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(NAMES), st.floats(0.2, 5.0))
def test_the_order_of_rows_changes_nothing(seed: int, name: str, level: float) -> None:
    """Findings follow from the set of rows, and a name's own error changes no other name's findings."""
    frame, day = bars(HISTORY, {name: level}), DAYS[HISTORY].date()
    actions = pd.concat([action("N00", HISTORY, "SPLIT", 2.0), action("N00", HISTORY, "CASH_DIVIDEND", 1.0)])
    plain = bar_findings(frame, PAST, actions, day)
    shuffled = [part.sample(frac=1.0, random_state=seed) for part in (frame, PAST, actions)]
    pd.testing.assert_frame_equal(plain, bar_findings(*shuffled, day))
    clean = bar_findings(bars(HISTORY), PAST, actions, day)
    others = (plain["subject"] != name) & (plain["rule"] != "moves_fit_the_market")  # measured against all names
    pd.testing.assert_frame_equal(plain[others], clean[others])


def test_a_move_apart_from_the_market_is_told_of() -> None:
    """A fall by 18 % in a quiet market warns and is usable; 9 % is below what is asked about."""
    frame = bars(HISTORY, {"N03": 0.82, "N05": 0.91})
    flagged, outcomes = judge(frame)
    assert outcomes == {("moves_fit_the_market", "N03"): "warn"}
    assert not flagged["quarantine"].any()


@pytest.mark.parametrize(("sessions", "outcome"), [(4, "pass"), (5, "warn"), (14, "warn"), (15, "quarantine")])
def test_a_close_that_stands_still_is_stale(sessions: int, outcome: str) -> None:
    """Other numbers of the bar may move: a close that is the same for weeks is carried forward, not traded."""
    past = PAST.copy()
    last = past["session"].isin(DAYS[HISTORY - sessions : HISTORY]) & (past["instrument"] == "N02")
    past.loc[last, "close"] = 100.0
    past.loc[last, ["low", "open", "high"]] = [99.0, 100.0, 101.0]
    frame = bars(HISTORY)
    frame.loc[2, ["open", "high", "low", "close"]] = [100.0, 101.0, 99.0, 100.0]
    assert judge(frame, past=past)[1].get(("closes_are_not_stale", "N02"), "pass") == outcome


@pytest.mark.parametrize(("turnover", "sessions"), [(1.0, 10), (5.0, 10), (7.0, 1)])
def test_a_crash_on_its_turnover_is_no_missed_split(turnover: float, sessions: int) -> None:
    """A fall by 52 % counts as true after one session if value and shares traded are both six times the usual."""
    past, flags = PAST, []
    for day in range(HISTORY, HISTORY + 12):
        frame = bars(day, {"N00": 0.48})
        if day == HISTORY:
            frame.loc[0, "volume"] *= turnover / 0.48
        flagged, _ = judge(frame, past=past)
        flags.append(bool(flagged["quarantine"].iloc[0]))
        past = pd.concat([past, flagged], ignore_index=True)
    assert flags == [True] * sessions + [False] * (12 - sessions)
