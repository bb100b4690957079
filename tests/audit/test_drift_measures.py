"""Drift is measured by published definitions, judged by stated bounds, and says since when; what is not known is never ok."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
from report_world import example, framed, the_mandate
from scipy.stats import ks_2samp
from test_drift import forecasts, window

from marketbot_assets.audit import drift_parts
from marketbot_assets.audit.drift import carried, due, forecast_outcome
from marketbot_assets.audit.drift_measures import ABOVE, BELOW, EITHER, SHOWN, FeatureMeasure, Measure, measured
from marketbot_assets.audit.report_drift import counts, drift_page
from marketbot_assets.audit.schema import DRIFT
from marketbot_assets.execution.schema import SHORTFALL
from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_assets.risk.feature_drift import compared_features, has_drifted, population_stability, section_of

NAN = math.nan
MANDATE = the_mandate()


def test_psi_by_hand() -> None:
    """Fifths of 0..9 hold two each, all of now lies in the last: with half a name added p = 1/15 four times and 11/15, q = 1/5."""
    before, now = np.arange(10.0), np.array([8.0, 8.5, 9.0, 9.5, 10.0])
    expected = 4 * (1 / 5 - 1 / 15) * math.log(3.0) + (11 / 15 - 1 / 5) * math.log(11 / 3)
    assert population_stability(now, before) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(1.2789, abs=5e-5)
    assert population_stability(before, before) == 0.0


def features(values: list[float]) -> pd.DataFrame:
    names = [f"N{n:02d}" for n in range(len(values))]
    return pd.DataFrame({"session": pd.Timestamp("2018-12-03"), "instrument": names, "a": values, "complete": True})


def test_ks_is_the_largest_distance_of_the_two_distributions() -> None:
    """A slow walk over all points finds the same distance, and the p is that of Kolmogorov's distribution."""
    draws = np.random.default_rng(3)
    now, past = draws.normal(size=40), [draws.exponential(size=40) for _ in range(3)]
    (found,) = compared_features(section_of(features(list(now))), [section_of(features(list(x))) for x in past])
    z = [(x - x.mean()) / x.std() for x in (now, *past)]
    before = np.concatenate(z[1:])
    slow = max(abs(sum(v <= x for v in z[0]) / 40 - sum(v <= x for v in before) / 120) for x in [*z[0], *before])
    assert found.ks == pytest.approx(slow, abs=1e-12)
    assert found.drift.ks_p == pytest.approx(ks_2samp(z[0], before, method="asymp").pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("side", "observed", "state"),
    [
        (ABOVE, 1.0, "ok"), (ABOVE, math.nextafter(1.0, 2.0), "watch"), (ABOVE, 2.0, "watch"), (ABOVE, 2.1, "drifted"),
        (EITHER, -1.0, "ok"), (EITHER, -1.5, "watch"), (EITHER, -2.1, "drifted"), (EITHER, 2.1, "drifted"),
        (ABOVE, NAN, "unknown"), (ABOVE, math.inf, "unknown"), (SHOWN, 9.0, ""),
    ],
)  # fmt: skip
def test_a_state_follows_from_number_and_bounds(side: str, observed: float, state: str) -> None:
    """Equal to a bound is within it; what is no number is unknown."""
    assert Measure("data", "x", observed, side, 1.0, 2.0).state == state


def test_low_is_bad_where_it_is_said_and_too_little_is_unknown() -> None:
    """Coverage of 0.80 between bounds 0.85 and 0.75 is watched; nothing is judged on too little or without a bound."""
    assert [Measure("data", "x", x, BELOW, 0.85, 0.75).state for x in (0.85, 0.8, 0.7)] == ["ok", "watch", "drifted"]
    assert Measure("data", "x", 0.9, BELOW, 0.85, 0.75, enough=False).state == "unknown"
    assert Measure("data", "x", 0.9, BELOW, 0.85, NAN).state == "unknown"


def test_since_when_a_state_stands() -> None:
    """The first session of the same state in a row; another state begins anew; an older frame tells nothing."""
    judged = forecast_outcome([], window([[0.0] * 4]))
    old = judged[["kind", "session", "message"]]

    def day(observed: float, session: str, before: pd.DataFrame | None) -> pd.DataFrame:
        return measured(
            judged, [Measure("data", "x", observed, ABOVE, 1.0, 2.0), Measure("llm", "x", 0.0)], session, before
        )

    first = day(5.0, "2018-12-03", old)
    second = day(6.0, "2018-12-04", first)
    third = day(1.5, "2018-12-05", second)
    DRIFT.pandera_schema.validate(third)
    told = [frame[(frame["name"] == "x") & (frame["part"] == "data")].iloc[0] for frame in (first, second, third)]
    assert [(row["state"], row["since"]) for row in told] == [
        ("drifted", "2018-12-03"),
        ("drifted", "2018-12-03"),
        ("watch", "2018-12-05"),
    ]
    assert third.loc[third["part"] == "llm", "since"].tolist() == [""]


def test_features_and_rc_89_say_the_same() -> None:
    """A feature is drifted exactly where the rule of RC-89 says so, and the share is the one that it judges."""
    draws = np.random.default_rng(1)
    shape = {name: draws.normal(size=50) for name in "abcd"}
    base = features([0.0] * 50).drop(columns="a")
    past = [base.assign(**{k: draws.permutation(v) for k, v in shape.items()}) for _ in range(5)]
    now = base.assign(**{**shape, "d": np.r_[np.full(49, 0.0), 1.0]})
    found = compared_features(section_of(now), [section_of(one) for one in past])
    rows = drift_parts.feature_measures(found, 5, 50, MANDATE)
    states = {one.measure.name: one.state for one in rows if isinstance(one, FeatureMeasure)}
    rules = MANDATE.limits.drift
    moved = [one.drift.feature for one in found if has_drifted(one.drift, rules.psi, rules.ks_p)]
    assert moved == ["d"] == [name for name, state in states.items() if state == "drifted"]
    share = rows[-1]
    assert isinstance(share, Measure)
    assert (share.observed, share.state) == (0.25, "drifted")
    young = drift_parts.feature_measures(found, 4, 50, MANDATE)
    assert {one.state for one in young} == {"unknown"}


def test_interval_and_qlike_by_hand() -> None:
    """Horizon 2, variance of A exact, of B a quarter, of C four times: QLIKE (0 + 4 - ln 4 - 1 + 1/4 + ln 4 - 1) / 3 = 0.75."""
    moves = [[0.0] * 4, [0.02, 0.02, 0.02, NAN], [-0.02, 0.02, -0.02, 0.0]]
    exact = math.sqrt(2 * 0.02**2 / (2 / 252))
    frame = forecasts(0.0, 0.0, 0.0, 0.0).assign(volatility=[exact, exact / 2, exact * 2, 0.1], uncertainty=0.0)
    row = forecast_outcome([(dt.date(2018, 10, 1), frame)], window(moves), 2).iloc[0]
    assert row["qlike"] == pytest.approx((4 - math.log(4) - 1 + 0.25 + math.log(4) - 1) / 3)
    # A and C return -0.0004, within 1.645 deviations of 0.0283 and 0.0566; B 0.0404, beyond 1.645 * 0.01414 = 0.0233
    assert row["coverage"] == pytest.approx(2 / 3)


def test_the_book_is_compared_with_what_was_forecast_of_it_then() -> None:
    """Returns of +-1 % in turn give 0.01 * sqrt(20 / 19) * sqrt(252) a year; forecasts of a half and of seven halves of 0.1
    have the root mean square 0.25. Of fewer than 20 forecasts nothing is said.
    """
    nav, history = 100.0, [("s00", 100.0)]
    for n in range(20):
        nav *= 1.01 if n % 2 else 0.99
        history.append((f"s{n + 1:02d}", nav))
    judged = forecast_outcome([], window([[0.0] * 4]), nav_history=history, volatility_ex_ante=0.01)
    found = {one.name: one for one in drift_parts.forecast_measures(judged, [0.05, 0.35] * 10)}["book_volatility"]
    assert found.observed == pytest.approx(0.01 * math.sqrt(20 / 19 * 252) / 0.25)
    assert found.state == "ok"
    few = {one.name: one for one in drift_parts.forecast_measures(judged, [0.05] * 19)}["book_volatility"]
    assert (few.state, few.message) == ("unknown", "19 of 20 sessions forecast the volatility")


def test_a_session_is_judged_once_and_kept() -> None:
    """Rows judged before are carried on as they were; only sessions after them are due."""
    days = window([[0.01, 0.0, 0.02, -0.01]] * 5)
    past = [(day, forecasts(4, 3, 2, 1)) for day in days.sessions]
    first = forecast_outcome(past[:1], days, 2)
    assert [str(row["session"]) for row in carried(first)] == ["2018-10-01"]
    assert due(first, days.sessions, 2) == days.sessions[1:3]
    assert due(None, days.sessions, 2) == days.sessions[:3]
    later = forecast_outcome(past, window([[0.5, 0.1, 0.0, 0.2]] * 5), 2, before=first)
    kinds = later[later["kind"] == "FORECAST"].set_index("session")
    assert list(kinds.index) == ["2018-10-01", "2018-10-02", "2018-10-03"]
    assert kinds.loc["2018-10-01", "outcome"] == first["outcome"][0] != kinds.loc["2018-10-02", "outcome"]
    assert carried(first.drop(columns="qlike")) == []


def test_errors_of_means_count_overlaps() -> None:
    """Of 84 values over horizons of 21 the error is at least that of four; independent values keep theirs."""
    values = np.tile([0.1, -0.1], 42)
    assert drift_parts.mean_error(values, 21) >= values.std(ddof=1) / 2 - 1e-12
    assert drift_parts.mean_error(values, 1) == pytest.approx(values.std(ddof=1) / math.sqrt(84), rel=0.01)
    assert math.isnan(drift_parts.mean_error(values[:1], 21))


def shortfalls() -> pd.DataFrame:
    """Two orders of 100 at 10 and 20: one whole, one half filled at a cost of 3 a share, none refused."""
    known = {
        "decided_on": pd.Timestamp("2018-12-03"),
        "environment": "paper",
        "currency": "USD",
        "side": "BUY",
        "order_type": "LOO",
        "rate": 1.0,
        "quantity": 100,
    }
    parts = {f"{name}": 0.0 for name in ("delay", "spread", "impact", "residual", "opportunity", "fees", "taxes")}
    rows = [
        {**known, **parts, "client_order_id": "a", "state": "FILLED", "filled": 100.0, "decision_price": 10.0, "delay": 3.0,
         "total": 3.0, "realised_bps": 30.0, "model_bps": 20.0},
        {**known, **parts, "client_order_id": "b", "state": "PARTIAL", "filled": 50.0, "decision_price": 20.0, "fees": 6.0,
         "total": 6.0, "realised_bps": 44.0, "model_bps": 30.0},
        {**known, "environment": "live", "client_order_id": "c", "state": "REJECTED", "filled": NAN, "decision_price": 20.0},
    ]  # fmt: skip
    return framed(SHORTFALL, rows)


def test_execution_by_hand() -> None:
    """Paper alone: filled 2,000 of 3,000; shortfall 9 of 3,000 = 30 bp of which delay 10; over the model 12 bp with error 2."""
    waits = {"cutoff_to_sent": [60.0, 70.0], "sent_to_ack": []}
    found = {one.name: one for one in drift_parts.execution_measures([shortfalls()], "paper", waits, MANDATE)}
    assert found["fill_ratio"].observed == pytest.approx(2 / 3)
    assert found["fill_ratio"].state == "drifted"
    assert (found["shortfall_bps"].observed, found["shortfall_delay_bps"].observed) == (
        pytest.approx(30.0),
        pytest.approx(10.0),
    )
    assert (found["cost_over_model_bps"].observed, found["cost_over_model_bps"].error) == (12.0, 2.0)
    assert found["cost_over_model_bps"].state == "drifted"  # beyond the larger of 5 bp and two errors
    assert found["refused_share"].observed == 0.0
    assert (found["cutoff_to_sent_seconds"].observed, found["cutoff_to_sent_seconds"].state) == (70.0, "ok")
    assert found["sent_to_ack_seconds"].state == "unknown"
    live = {one.name: one for one in drift_parts.execution_measures([shortfalls()], "live", {}, MANDATE)}
    assert (live["refused_share"].observed, live["refused_share"].state) == (1.0, "drifted")
    assert {one.state for one in drift_parts.execution_measures([], "paper", {}, MANDATE)} == {"unknown", ""}


def test_data_by_hand() -> None:
    """Of three names of the universe one has no bar for six sessions; of 2 x 2 values one is missing, a session before none was."""
    known = window([[0.0] * 4] * 7)
    known.fresh[1:, 2] = False
    full = features([1.0, 2.0]).assign(b=[1.0, 2.0])
    now = full.assign(b=[1.0, NAN])
    found = {
        one.name: one for one in drift_parts.data_measures(known, np.array([True, True, True, False]), now, [full])
    }
    assert (found["priced_share"].observed, found["priced_share"].state) == (pytest.approx(2 / 3), "drifted")
    assert (found["oldest_price_sessions"].observed, found["oldest_price_sessions"].state) == (6.0, "drifted")
    assert (found["features_missing"].observed, found["features_missing"].threshold) == (0.25, 0.05)


def test_language_models_by_hand() -> None:
    """Of five tries two were refused and one failed: 2 of 4 answers. Without any there is no row at all."""
    layers = ("", "", "schema", "numbers", "timeout")
    rows = [
        {
            "knowledge_cutoff": pd.Timestamp("2018-01-01"),
            "attempt": n + 1,
            "outcome": outcome,
            "cost_usd": 0,
            "layer": layer,
            "drifted": n == 0,
            "version": "p:m@f#1",
        }
        for n, (outcome, layer) in enumerate(
            zip(("ACCEPTED", "ACCEPTED", "REFUSED", "REFUSED", "FAILED"), layers, strict=True)
        )
    ]
    tries = framed(LLM_ANSWERS, rows)
    found = {one.name: one for one in drift_parts.llm_measures([(dt.date(2018, 12, 3), tries)], None, MANDATE)}
    assert (found["refused_share"].observed, found["refused_share"].message) == (0.5, "numbers 1, schema 1")
    assert (found["failed_share"].observed, found["failed_share"].state) == (0.2, "watch")
    assert (found["changed_answers"].observed, found["changed_answers"].state) == (1.0, "drifted")
    assert found["information_coefficient"].state == "unknown"
    assert drift_parts.llm_measures([(dt.date(2018, 12, 3), tries.iloc[:0])], None, MANDATE) == []


def test_the_page_shows_states_and_frames_of_before_there_were_any() -> None:
    """Counts by hand; an old frame beside a new one gives no error and no state."""
    frame = example().drift
    assert counts(frame) == {"drifted": 2, "watch": 1, "unknown": 1, "ok": 1}
    old = frame[["kind", "session", "horizon_sessions", "names", "rank_ic", "message"]]
    assert counts(old) == dict.fromkeys(("drifted", "watch", "unknown", "ok"), 0)
    page = drift_page([("2018-12-13", old), ("2018-12-14", frame)], True)
    for words in (
        "share drifted",
        "RC-89 warns",
        "2018-12-12",
        "Partly simulated data",
        "no time of an answer is kept",
    ):
        assert words in page
    assert "<script" not in page
    assert "forecasts alone" in drift_page([("2018-12-14", old)], False)
