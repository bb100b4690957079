"""Rules on whole tables: gaps, coverage, rates, macro, keys, the future. Ages are counted by hand from real calendars."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization import table_rules as rules
from marketbot_assets.normalization.currencies import stale_currencies

CUTOFF = dt.datetime(2018, 12, 26, 23, 15, tzinfo=dt.UTC)  # the Wednesday after Christmas
BEFORE = dt.datetime(2018, 12, 24, 23, 15, tzinfo=dt.UTC)
UNIVERSE = pd.DataFrame({"instrument": ["A", "B"], "mic": ["XNYS", "XLON"]})


def bar_frame(rows: list[tuple[str, str, float, bool]]) -> pd.DataFrame:
    """(instrument, session, close, quarantined)."""
    return pd.DataFrame(
        {
            "instrument": [row[0] for row in rows],
            "mic": ["XTKS" if row[0].startswith("JP") else "XNYS" for row in rows],
            "session": pd.to_datetime([row[1] for row in rows]),
            "close": [row[2] for row in rows],
            "quarantine": [row[3] for row in rows],
            "known_at": pd.to_datetime([row[1] for row in rows], utc=True),
        }
    )


@pytest.mark.parametrize(
    ("session", "age", "outcome"),
    [("2018-12-26", 0, "pass"), ("2018-12-24", 1, "warn"), ("2018-12-21", 2, "warn"), ("2018-12-20", 3, "quarantine")],
)
def test_gaps_count_sessions_of_the_own_exchange(session: str, age: int, outcome: str) -> None:
    """New York was closed on the 25th; London on the 25th and 26th, so its bar of the 24th is no gap."""
    panel = bar_frame([("A", session, 1.0, False), ("B", "2018-12-24", 1.0, False)])
    found = rules.bars_have_no_gaps(panel, UNIVERSE, CUTOFF)
    assert [(name, out, observed) for _, name, out, observed, _, _ in found] == [("A", outcome, age), ("B", "pass", 0)]


def test_a_rejected_or_empty_bar_closes_no_gap() -> None:
    """Only a usable bar counts; a name that never had one is closed."""
    panel = bar_frame(
        [("A", "2018-12-26", 1.0, True), ("A", "2018-12-24", np.nan, False), ("A", "2018-12-20", 1.0, False)]
    )
    found = rules.bars_have_no_gaps(panel, UNIVERSE, CUTOFF)
    assert [(row[2], row[3]) for row in found[:1]] == [("quarantine", 3)]
    assert found[1][2] == "quarantine"
    assert np.isnan(found[1][3])


@pytest.mark.parametrize(
    ("landed", "outcome"), [(100, "pass"), (98, "pass"), (97, "warn"), (50, "warn"), (49, "halt"), (0, "halt")]
)
def test_coverage_halts_below_a_half(landed: int, outcome: str) -> None:
    """Below 98 % of the bars due is a warning, below half of them no session."""
    universe = pd.DataFrame({"instrument": [f"N{n:03d}" for n in range(100)], "mic": "XNYS"})
    bars = bar_frame([(f"N{n:03d}", "2018-12-26", 1.0 if n < landed else np.nan, False) for n in range(100)])
    assert [row[2:4] for row in rules.universe_is_covered(bars, universe, CUTOFF, BEFORE)] == [(outcome, landed / 100)]


def test_coverage_expects_nothing_from_a_closed_exchange() -> None:
    """London did not trade between the cutoffs: its missing bar is not due."""
    bars = bar_frame([("A", "2018-12-26", 1.0, False)])
    assert rules.universe_is_covered(bars, UNIVERSE, CUTOFF, BEFORE)[0][2:4] == ("pass", 1.0)


def rates(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "currency": [row[0] for row in rows],
            "session": pd.to_datetime([row[1] for row in rows]),
            "rate": [row[2] for row in rows],
            "known_at": pd.to_datetime([row[1] for row in rows], utc=True),
        }
    )


@pytest.mark.parametrize(
    ("session", "age", "outcome"),
    [
        ("2018-12-26", 0, "pass"),
        ("2018-12-24", 0, "pass"),
        ("2018-12-20", 2, "pass"),
        ("2018-12-19", 3, "quarantine"),
    ],
)
def test_rates_over_christmas_are_fresh(session: str, age: int, outcome: str) -> None:
    """The euro's fixing is closed on the 25th and 26th; a third TARGET day without a rate is too many."""
    assert rules.fx_is_fresh(rates([("GBP", session, 1.3)]), ["GBP"], CUTOFF)[0][2:4] == (outcome, age)


def test_a_withdrawn_currency_says_since_when() -> None:
    """The ECB's last rouble rate is of 2022-03-01; an old rate of it is no technical fault."""
    found = rules.fx_is_fresh(
        rates([("RUB", "2022-03-01", 0.008)]), ["RUB"], dt.datetime(2022, 3, 4, 22, tzinfo=dt.UTC)
    )
    assert found[0][2:4] == ("quarantine", 3.0)
    assert found[0][5] == "the newest rate is 3 TARGET days old; the ECB publishes none since 2022-03-01"


@pytest.mark.parametrize(
    ("last", "outcome"), [(1.30, "pass"), (1.40, "pass"), (1.41, "quarantine"), (np.nan, "quarantine")]
)
def test_rates_move_plausibly(last: float, outcome: str) -> None:
    """More than 8 % in one fixing, or no number, closes the currency."""
    fx = rates([("GBP", "2018-12-21", 1.3), ("GBP", "2018-12-24", last)])
    assert rules.fx_moves_plausibly(fx.iloc[::-1], ["GBP"])[0][2] == outcome
    again = pd.concat([fx, fx], ignore_index=True)  # a source that serves its overlap again tells nothing new
    assert rules.fx_moves_plausibly(again, ["GBP"])[0][2] == outcome


def test_a_currency_or_series_that_was_never_seen_is_no_pass() -> None:
    """What is missing altogether gets a finding, too."""
    empty = rates([("EUR", "2018-12-24", 1.1)])
    macro = pd.DataFrame({"series": ["VIX"], "period": pd.to_datetime(["2018-12-24"])})
    assert rules.fx_is_fresh(empty, ["GBP"], CUTOFF)[0][2] == "quarantine"
    assert rules.fx_moves_plausibly(empty, ["GBP"])[0][2] == "quarantine"
    assert [(row[1], row[2]) for row in rules.macro_is_fresh(macro, CUTOFF)] == [
        ("SP500", "quarantine"),
        ("VIX", "pass"),
    ]


def test_old_macro_series_warn() -> None:
    """A daily series whose newest value is older than ten days is told of."""
    periods = pd.to_datetime(["2018-12-16", "2018-12-15"])
    macro = pd.DataFrame({"series": ["SP500", "VIX"], "period": periods})
    assert [row[2:4] for row in rules.macro_is_fresh(macro, CUTOFF)] == [("pass", 10.0), ("warn", 11.0)]


def test_rows_from_the_future_halt() -> None:
    """A row known after the cutoff, or at no stated time, in any table."""
    fine = pd.DataFrame({"known_at": pd.to_datetime([CUTOFF, BEFORE], utc=True)})
    late = pd.DataFrame({"known_at": pd.to_datetime([CUTOFF + dt.timedelta(microseconds=1), pd.NaT], utc=True)})
    assert rules.no_row_from_the_future({"fx": fine}, CUTOFF)[0][2] == "pass"
    found = rules.no_row_from_the_future({"fx": fine, "prices": late}, CUTOFF)[0]
    assert found[2:4] == ("halt", 2.0)
    assert found[5] == "not known at the cutoff: 2 of prices"


def test_double_keys_halt() -> None:
    """Two bars of one name and session."""
    one = bar_frame([("A", "2018-12-26", 1.0, False)])
    assert rules.keys_are_unique(one)[0][2] == "pass"
    assert rules.keys_are_unique(pd.concat([one, one]))[0][2] == "halt"


DAY = dt.date(2018, 12, 27)


@pytest.mark.parametrize(
    ("fixing", "rate", "stale"),
    [
        ("2018-12-27", 1.3, {}),
        ("2018-12-24", 1.3, {}),
        ("2018-12-21", 1.3, {}),
        ("2018-12-20", 1.3, {"GBP": 3}),
        ("2018-12-17", 1.3, {"GBP": 6}),
        ("2017-12-27", 1.3, {"GBP": 255}),
        ("2018-12-27", np.nan, {"GBP": None}),
        ("2018-12-27", np.inf, {"GBP": None}),
        ("2018-12-27", 0.0, {"GBP": None}),
        ("2018-12-28", 1.3, {"GBP": None}),
    ],
)
def test_stale_currencies_count_target_days(fixing: str, rate: float, stale: dict[str, int | None]) -> None:
    """More than two days with a fixing since the newest usable one; none, or one of the future, is worse than an old one."""
    assert stale_currencies(rates([("GBP", fixing, rate)]), ["GBP"], DAY, 2) == stale


def test_every_currency_asked_for_is_judged() -> None:
    """A currency that no row speaks of is stale, whatever others there are."""
    assert stale_currencies(rates([("EUR", "2018-12-27", 1.1)]), ["GBP", "EUR"], DAY, 2) == {"GBP": None}


@pytest.mark.parametrize(
    ("landed", "outcome"), [(20, "pass"), (18, "pass"), (17, "warn"), (22, "pass"), (23, "warn"), (40, "warn")]
)
def test_row_counts_drift_against_the_sessions_before(landed: int, outcome: str) -> None:
    """20 names a day for two weeks: two more or fewer pass, three warn; a bar sent twice counts once."""
    days = [str(day.date()) for day in pd.bdate_range("2018-12-10", periods=10)]
    rows = [(f"N{n:02d}", day, 1.0, False) for day in days for n in range(20)]
    last = [(f"N{n:02d}", "2018-12-26", 1.0, False) for n in range(landed)]
    tokyo = [(f"JP{n}", day, 1.0, False) for day in days for n in range(30)]  # closed today: no drift
    found = rules.row_counts_are_steady(bar_frame([*rows, *tokyo, *last, *last[:3]]), dt.date(2018, 12, 26))
    assert [row[2:4] for row in found] == [(outcome, pytest.approx(landed / 20 - 1.0))]


@pytest.mark.parametrize(
    ("gbp", "outcome"), [(1.25, "pass"), (1.25 * (1 + 1e-7), "quarantine"), (np.nan, "quarantine")]
)
def test_a_rate_closes_the_triangle(gbp: float, outcome: str) -> None:
    """One euro is 1.10 dollars and 0.88 pounds: a pound is 1.25 dollars, and nothing else."""
    session = pd.to_datetime(["2018-12-24"] * 2)
    raw = pd.DataFrame({"session": session, "currency": ["USD", "GBP"], "units_per_eur": [1.10, 0.88]})
    fx = pd.DataFrame({"session": session, "currency": ["GBP", "EUR"], "rate": [gbp, 1.10]})
    found = {row[1]: row[2] for row in rules.rates_triangulate(fx, raw, ["EUR", "GBP", "JPY"], "USD")}
    assert found == {"EUR": "pass", "GBP": outcome, "JPY": "pass"}


def test_a_value_known_before_its_day_is_early() -> None:
    """Where the day begins first, at UTC+14, is the limit; a value of the day after is a leak or a wrong date."""
    known = pd.to_datetime(["2018-12-23T10:00Z", "2018-12-23T09:59Z", "2018-12-26T00:00Z"], utc=True)
    macro = pd.DataFrame({"series": ["A", "B", "B"], "period": pd.to_datetime(["2018-12-24"] * 3), "known_at": known})
    assert [(row[1], row[2], row[3]) for row in rules.macro_is_not_early(macro)] == [
        ("A", "pass", 0),
        ("B", "quarantine", 1),
    ]
