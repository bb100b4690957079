"""What was told of a corporate action must show in the price; what contradicts it is refused or told of."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.action_rules import delistings_are_told, ends_match_last_prices
from marketbot_assets.normalization.quality import bar_findings, flag_quarantine

FIRST = pd.Timestamp("2018-10-01")
EX = 40


def bars(closes: list[float]) -> pd.DataFrame:
    close = np.array(closes)
    days = pd.Series([FIRST + pd.Timedelta(days=n) for n in range(len(close))]).astype("datetime64[ms]")
    known = (days.dt.tz_localize("UTC") + pd.Timedelta(hours=21)).astype("datetime64[us, UTC]")
    levels = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    return pd.DataFrame(
        {"session": days, "instrument": "X", "known_at": known, "quarantine": False, **levels, "volume": 1e6}
    )


def told(kind: str, amount: float, ratio: float = 1.0, other: str = "", ex: int = EX) -> pd.DataFrame:
    day = pd.Series([FIRST + pd.Timedelta(days=ex)]).astype("datetime64[ms]")
    known = (day.dt.tz_localize("UTC") - pd.Timedelta(days=9)).astype("datetime64[us, UTC]")
    row = {"instrument": "X", "kind": kind, "amount": amount, "ratio": ratio, "other": other}
    return pd.DataFrame([row]).assign(ex_session=day, known_at=known)


def outcomes(closes: list[float], actions: pd.DataFrame, rule: str, start: int = EX - 5) -> list[str]:
    """Outcome of one rule per bar from `start` on, flags fed back."""
    every, found = bars(closes), []
    past = every.iloc[:start]
    for at in range(start, len(every)):
        new = every.iloc[[at]].reset_index(drop=True)
        findings = bar_findings(new, past, actions, new["session"].iloc[0].date())
        found.append(str(findings.set_index("rule").loc[rule, "outcome"]))
        past = pd.concat([past, flag_quarantine(new, findings)], ignore_index=True)
    return found


def path(before: float, after: float, count: int = 6) -> list[float]:
    """A calm path that steps from one level to another at EX."""
    wave = [1.0 + 0.005 * math.sin(n) for n in range(EX + count)]
    return [(before if n < EX else after) * w for n, w in enumerate(wave)]


@pytest.mark.parametrize("kind", ["SPECIAL_DIVIDEND", "SPIN_OFF"])
def test_a_distribution_that_shows_in_the_price_passes(kind: str) -> None:
    """100 falls to 70 when 30 are distributed: no rule rejects the bar. Without the action it is a jump that nobody explains."""
    actions = told(kind, 30.0, 0.5, "B" if kind == "SPIN_OFF" else "")
    for rule in ("payouts_match_price_jumps", "closes_move_plausibly", "spin_offs_have_a_value"):
        assert set(outcomes(path(100.0, 70.0), actions, rule)) == {"pass"}
    assert outcomes(path(100.0, 70.0), told(kind, 30.0, ex=900), "closes_move_plausibly")[5] == "quarantine"


@pytest.mark.parametrize("kind", ["SPECIAL_DIVIDEND", "SPIN_OFF"])
def test_a_distribution_that_does_not_show_is_refused(kind: str) -> None:
    """12 of 100 are said to go and the price stays: refused until ten bars stand there; 30 for good, by the rule on jumps."""
    found = outcomes(path(100.0, 100.0, 13), told(kind, 12.0, 0.5), "payouts_match_price_jumps")
    assert found == ["pass"] * 5 + ["quarantine"] * 10 + ["warn"] + ["pass"] * 2
    assert set(outcomes(path(100.0, 100.0, 13), told(kind, 30.0, 0.5), "closes_move_plausibly")[5:]) == {"quarantine"}


def test_a_spin_off_of_unknown_value_is_refused_until_it_is_known() -> None:
    """The fall cannot be told from a loss; a later version that tells the value opens the name again."""
    unknown, rule = told("SPIN_OFF", math.nan, 0.5, "B"), "spin_offs_have_a_value"
    assert outcomes(path(100.0, 85.0), unknown, rule) == ["pass"] * 5 + ["quarantine"] * 6
    later = told("SPIN_OFF", 15.0, 0.5, "B")
    later["known_at"] += pd.Timedelta(days=10)
    both = pd.concat([unknown, later], ignore_index=True)
    assert set(outcomes(path(100.0, 85.0), both, rule)) == {"pass"}


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (told("DELISTING", math.nan, 0.0, "BANKRUPTCY"), "quarantine"),
        (told("MERGER", 100.0, 0.0, "B"), "quarantine"),
        (told("DELISTING", 0.0, 0.0, "TRANSFER"), "pass"),
        (told("RENAME", 0.0, 1.0, "NEW"), "pass"),
    ],
)
def test_a_bar_of_a_listing_that_has_ended_is_refused(actions: pd.DataFrame, expected: str) -> None:
    """A symbol that is used again is not the old instrument; before the end nothing is refused."""
    found = outcomes(path(100.0, 100.0), actions, "bars_end_with_the_listing")
    assert found == ["pass"] * 5 + [expected] * 6


def test_a_deal_price_far_from_the_last_close_is_told_of() -> None:
    """A cash merger at 42 on a last close of 40 passes, one at 4200 (a wrong unit) warns; unknown values are not judged."""
    panel, day = bars([40.0] * EX), FIRST + pd.Timedelta(days=EX)
    rows = [told("MERGER", 42.0, 0.0, "B"), told("MERGER", 4200.0, 0.0, "B"), told("DELISTING", 41.0, 0.0, "ACQUIRED")]
    assert [ends_match_last_prices(panel, row, day)[0][2] for row in rows] == ["pass", "warn", "pass"]
    assert ends_match_last_prices(panel, rows[0], day)[0][3] == pytest.approx(0.05)
    for silent in (
        told("DELISTING", math.nan, 0.0, "ACQUIRED"),
        told("MERGER", 10.0, 0.5, "B"),
        told("MERGER", 9.0, 0.0, ex=90),
    ):
        assert ends_match_last_prices(panel, silent, day) == []
    assert ends_match_last_prices(panel.iloc[:0], rows[0], day)[0][2] == "quarantine"  # what cannot be measured


def test_a_listing_that_is_over_without_an_action_is_told_of() -> None:
    """Its value is by rule until someone says what was paid."""
    listed = pd.DataFrame({"instrument": ["X", "Y", "Z"], "delisted_on": [FIRST, FIRST, pd.NaT]})
    found = delistings_are_told(listed, told("DELISTING", 0.0, 0.0, "BANKRUPTCY"), FIRST + pd.Timedelta(days=1))
    assert [(row[1], row[2]) for row in found] == [("X", "pass"), ("Y", "warn")]
    assert delistings_are_told(listed, told("MERGER", 1.0), pd.Timestamp(dt.date(2018, 10, 1))) == []
