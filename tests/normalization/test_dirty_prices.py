"""Real errors of real vendors are caught; real markets are left alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skfolio.datasets import load_sp500_dataset

from marketbot_assets.normalization.quality import bar_findings, flag_quarantine, recent_bars

FOLDER = Path(__file__).parents[2] / "../shared/data/dirty_prices"
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


def load(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(bars, cash dividends and splits) of one vendor file, oldest first."""
    table = pd.read_csv(FOLDER / f"{name}.csv")
    day = pd.Series(pd.to_datetime(table.iloc[:, 0].str[:10]).astype("datetime64[ms]"))
    at = (day.dt.tz_localize("UTC") + pd.Timedelta(hours=21)).astype("datetime64[us, UTC]")
    bars = pd.DataFrame({"session": day, "instrument": "X", "known_at": at, "quarantine": False})
    for field in ("Open", "High", "Low", "Close", "Volume"):
        bars[field.lower()] = table[field].astype(float)
    paid = table["Dividends"].astype(float)
    actions = pd.DataFrame(
        {"instrument": "X", "ex_session": day, "kind": "CASH_DIVIDEND", "ratio": 1.0, "amount": paid}
    )
    actions = actions.assign(known_at=at - pd.Timedelta(days=9))[paid > 0]
    return bars.sort_values("session", ignore_index=True), actions if len(actions) else NO_ACTIONS


def outcomes(bars: pd.DataFrame, actions: pd.DataFrame, start: int, rule: str) -> dict[str, str]:
    """Outcome of one rule per day from bar `start` on, with the flags fed back; passes left out."""
    past, found = bars.iloc[:start], {}
    for at in range(start, len(bars)):
        new = bars.iloc[[at]].reset_index(drop=True)
        day = new["session"].iloc[0].date()
        findings = bar_findings(new, recent_bars(past, day), actions, day)
        outcome = str(findings.set_index("rule").loc[rule, "outcome"])
        if outcome != "pass":
            found[str(day)] = outcome
        past = pd.concat([past, flag_quarantine(new, findings)], ignore_index=True)
    return found


@pytest.mark.shared_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/data/dirty_prices beside the project")
@pytest.mark.parametrize(
    ("name", "rule", "bad"),
    [
        # pence for pounds: the whole block on the other unit is refused, not only its first day
        (
            "AET-L-1d-100x-error",
            "closes_move_plausibly",
            [f"2022-05-{day:02d}" for day in (9, 10, 11, 12, 13, 16, 17, 18, 19)],
        ),
        # a 5:1 split that the file applies a day before it says so
        ("4063-T-1d-bad-stock-split", "closes_move_plausibly", ["2023-03-29", "2023-03-30", "2023-03-31"]),
        # dividends in pence on prices in pounds
        ("REL-L-1d-bad-div", "closes_move_plausibly", ["2022-04-28", "2022-04-29"]),
    ],
)
def test_vendor_errors_are_quarantined_and_their_repair_is_not(name: str, rule: str, bad: list[str]) -> None:
    """The first days of each error are closed; the repaired file passes the same rule."""
    bars, actions = load(name)
    fixed, right = load(f"{name}-fixed")
    first = int((bars["session"] == pd.Timestamp(bad[0])).to_numpy().argmax())
    found = outcomes(bars.iloc[: first + len(bad)], actions, max(1, first - 3), rule)
    assert found == dict.fromkeys(bad, "quarantine")
    assert outcomes(fixed.iloc[: first + len(bad)], right, max(1, first - 3), rule) == {}


@pytest.mark.shared_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/data/dirty_prices beside the project")
def test_a_price_ten_thousand_times_too_small_is_quarantined() -> None:
    """A reverse split of 1:10,000 that was applied to one day of the past: that day is refused."""
    bars, _ = load("ALPHA-PA-1d-bad-stock-split")
    at = int((bars["session"] == pd.Timestamp("2023-05-08")).to_numpy().argmax())
    found = outcomes(bars.iloc[: at + 1], NO_ACTIONS, at, "closes_move_plausibly")
    assert found == {"2023-05-08": "quarantine"}


@pytest.mark.shared_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/data/dirty_prices beside the project")
def test_a_dividend_counted_twice_is_told_of() -> None:
    """The same dividend on two days in a row warns; the repaired file does not."""
    rule = "dividends_are_not_doubled"
    for name, expected in (("KAP-IL-1d-bad-div", {"2022-07-13": "warn"}), ("KAP-IL-1d-bad-div-fixed", {})):
        bars, actions = load(name)
        at = int((bars["session"] == pd.Timestamp("2022-07-13")).to_numpy().argmax())
        assert outcomes(bars.iloc[: at + 2], actions, at - 2, rule) == expected


@pytest.mark.shared_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/data/dirty_prices beside the project")
@pytest.mark.parametrize("name", ["CALM-1d-no-bad-divs", "IBE-MC-1d-no-bad-divs"])
def test_right_prices_stay_untouched(name: str) -> None:
    """The controls pass around each of their dividends."""
    bars, actions = load(name)
    ex = [int((bars["session"] == day).to_numpy().argmax()) for day in actions["ex_session"]]
    for at in [place for place in ex if place >= 60]:
        upto = bars.iloc[at - 60 : at + 3].reset_index(drop=True)
        assert outcomes(upto, actions, 59, "closes_move_plausibly") == {}
        assert outcomes(upto, actions, 60, "dividends_are_not_doubled") == {}


def test_a_real_crash_closes_no_name_and_a_real_jump_one_session() -> None:
    """Real closes of 20 names: not one flag from February to April 2020, and one day for a fall by 29 %."""
    closes = load_sp500_dataset()
    assert replay(closes.loc["2019-11-20":"2020-04-15"], start="2020-02-20") == []
    assert replay(closes.loc["2013-10-10":"2014-01-24"], start="2014-01-13") == [("2014-01-16", "BBY")]


def replay(closes: pd.DataFrame, *, start: str) -> list[tuple[str, str]]:
    """(day, name) of every flag from `start` on, with the flags fed back as the asset does."""
    rng = np.random.default_rng(3)
    frames, flags = [], []
    for stamp, row in closes.iterrows():
        close = row.to_numpy(dtype=float)
        at = pd.Series([stamp.tz_localize("UTC")] * len(close)).astype("datetime64[us, UTC]")
        new = pd.DataFrame(
            {
                "session": pd.Series([stamp] * len(close), dtype="datetime64[ms]"),
                "instrument": pd.Series(list(closes.columns), dtype="str"),
                "known_at": at,
                "volume": rng.integers(1_000_000, 2_000_000, len(close)).astype(float),
                "quarantine": False,
                **{field: close for field in ("open", "high", "low", "close")},
            }
        )
        if stamp >= pd.Timestamp(start):
            recent = recent_bars(pd.concat(frames, ignore_index=True), stamp.date())
            new = flag_quarantine(new, bar_findings(new, recent, NO_ACTIONS, stamp.date()))
            flags += [(str(stamp.date()), str(name)) for name in new.loc[new["quarantine"], "instrument"]]
        frames.append(new)
    return flags
