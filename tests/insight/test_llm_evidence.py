"""Views earn their weight by hand-computed coefficients, of one version, of what the model could not know, and never by noise."""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from marketbot_assets.insight.evidence import (
    SESSIONS_KEPT,
    Said,
    calibration,
    due,
    extended,
    newey_west_error,
    rule_of,
    worth,
)
from marketbot_assets.insight.name_views import Origin, name_views, origin_of
from marketbot_assets.insight.schema import LLM_EVIDENCE
from marketbot_assets.normalization.window import MarketWindow
from marketbot_resources.mandate_llm import Evidence

VERSION = "local:m@f1#views-1"
RULE = Evidence()
NAMES = tuple(f"N{n}" for n in range(8))
Row = tuple[str, float, float]


def sentiments(
    rows: list[Row], *, source: str = "llm", version: str = VERSION, contaminated: bool = False
) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["subject", "score", "confidence"])
    return frame.assign(kind="SENTIMENT", source=source, version=version, contaminated=contaminated)


def listed(
    names: tuple[str, ...] = NAMES, sector: str = "Tech", country: str = "US", inside: bool = True
) -> pd.DataFrame:
    return pd.DataFrame({"instrument": list(names), "sector": sector, "country": country, "in_universe": inside})


def window(returns: np.ndarray, names: tuple[str, ...] = NAMES) -> MarketWindow:
    days = tuple(dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(len(returns)))
    ones = np.ones_like(returns)
    return MarketWindow(days, names, ones, ones, ones, ones, ones, ones, returns, returns, ones, ones.astype(bool))


def record(ics: list[float], **changes: object) -> pd.DataFrame:
    """LLM_EVIDENCE rows of these coefficients, one per day."""
    days = pd.Series(pd.date_range("2020-01-01", periods=len(ics)), dtype="datetime64[ms]")
    frame = pd.DataFrame(
        {"session": days, "judged_on": days, "source": "llm", "version": VERSION, "names": 30, "ic": ics}
    )
    counts = {f"{what}_{third}": 0 for third in ("low", "mid", "high") for what in ("views", "hits")}
    return frame.assign(**{"contaminated": False, **counts, **changes})


# --- one view per name ---

VIEWS: tuple[tuple[str, list[Row], float, float], ...] = (
    (
        "all three levels",
        [("A", 0.8, 0.5), ("Tech", -0.4, 1.0), ("US", 1.0, 0.2)],
        (0.4 - 0.2 + 0.05) / 1.75,
        1.05 / 1.75,
    ),
    ("its own alone", [("A", -0.6, 0.5)], -0.3, 0.5),
    ("its country alone", [("US", 0.5, 1.0)], 0.5, 1.0),
    ("neutral is said", [("A", 0.0, 1.0)], 0.0, 1.0),
    ("nothing said", [("B", 1.0, 1.0), ("Energy", 1.0, 1.0)], math.nan, math.nan),
    ("no number", [("A", math.nan, 1.0), ("Tech", 1.0, math.inf)], math.nan, math.nan),
    ("out of range", [("A", 1.5, 1.0), ("Tech", 1.0, -0.1), ("US", 0.2, 1.0)], 0.2, 1.0),
)


@pytest.mark.parametrize(("what", "rows", "view", "confidence"), VIEWS, ids=[row[0] for row in VIEWS])
def test_a_names_view_is_the_mean_of_what_was_said(what: str, rows: list[Row], view: float, confidence: float) -> None:
    """Levels weigh 1, 1/2 and 1/4; a level of which nothing was said does not dilute; silence is no zero."""
    made = name_views(sentiments(rows), listed(("A",)))
    np.testing.assert_allclose([made.view[0], made.confidence[0]], [view, confidence], rtol=1e-12)


def test_themes_and_risk_on_move_no_name() -> None:
    """Only sentiments count, even where a theme is called like a sector."""
    said = sentiments([("Tech", 1.0, 1.0), ("market", 1.0, 1.0)]).assign(kind=["THEME", "RISK_ON"])
    assert np.isnan(name_views(said, listed(("A",))).view).all()


def test_the_weakest_origin_counts_and_a_mixture_is_a_version_of_its_own() -> None:
    """One row of rules makes the views those of rules; no row at all, or no mark, is contaminated."""
    mixed = pd.concat([sentiments([("A", 1, 1)]), sentiments([("B", 1, 1)], source="repaired", version="z")])
    assert origin_of(mixed) == Origin("repaired", f"{VERSION} + z", False)
    assert origin_of(pd.concat([mixed, sentiments([("C", 1, 1)], source="fallback", contaminated=True)])).by_rules
    assert origin_of(mixed.iloc[:0]) == Origin("fallback", "", True)
    assert origin_of(mixed.drop(columns="contaminated")).contaminated


# --- one session's coefficient ---


def test_only_what_could_be_traded_counts() -> None:
    """Views of row 0 with a horizon of 2: rows 2 and 3. Rows 0 and 1 are over before an order fills, row 4 is later.

    Ranks of views 1..8 against outcomes with the last two swapped: rho = 1 - 6 * (1 + 1) / (8 * 63) = 0.976190.
    """
    returns = np.zeros((5, 8))
    returns[2], returns[3] = np.arange(8) / 100, np.arange(8) / 100
    returns[3, 6:] = [0.09, 0.055]
    returns[[0, 1, 4]] = -np.arange(8) / 2
    said = Said(dt.date(2020, 1, 1), sentiments([(name, n / 10, 1.0) for n, name in enumerate(NAMES, 1)]), listed())
    assert extended(None, [said], window(returns[:3]), 2).empty
    (row,) = extended(None, [said], window(returns[:4]), 2).to_dict("records")
    assert row["ic"] == pytest.approx(1 - 12 / 504, rel=1e-12)
    assert (row["names"], row["session"], row["judged_on"]) == (
        8,
        pd.Timestamp("2020-01-01"),
        pd.Timestamp("2020-01-04"),
    )
    (late,) = extended(None, [said], window(returns), 2).to_dict("records")
    assert (late["ic"], late["judged_on"]) == (row["ic"], pd.Timestamp("2020-01-05"))


@pytest.mark.parametrize(("known", "names", "is_known"), [(8, 8, True), (7, 7, False)])
def test_fewer_than_eight_names_are_no_coefficient(known: int, names: int, is_known: bool) -> None:
    """The row stays, without a number; a name without outcome, or outside of the universe, does not count."""
    returns = np.tile(np.arange(9) / 100, (4, 1))
    returns[2, known:] = np.nan
    every = (*NAMES, "N8")
    said = Said(dt.date(2020, 1, 1), sentiments([(name, n / 10, 1.0) for n, name in enumerate(every)]), listed(every))
    (row,) = extended(None, [said], window(returns, every), 2).to_dict("records")
    assert (row["names"], math.isfinite(row["ic"])) == (names, is_known)
    outside = replace(said, instruments=listed(every).assign(in_universe=[False, *[True] * 8]))
    assert extended(None, [outside], window(returns, every), 2)["names"].iloc[0] == names - 1


def test_hits_are_counted_by_confidence() -> None:
    """Outcome -4 .. 4 without 0: a view of 1 hits above the mean; confidence of exactly 1/3 or 2/3 is the upper third."""
    returns = np.zeros((3, 8))
    returns[2] = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 100 + 0.07  # a market that rises hits nothing
    sure = [0.0, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 1.0, 1.0]
    rows = [(name, 0.0 if name == "N7" else 1.0, c) for name, c in zip(NAMES, sure, strict=True)]
    said = Said(dt.date(2020, 1, 1), sentiments(rows), listed())
    found = calibration(extended(None, [said], window(returns), 1), VERSION)
    # N0 has confidence 0: score * confidence is 0, no side was taken; N7 is neutral
    assert found == {"low": (1, 0.0), "mid": (2, 0.0), "high": (3, 1.0)}
    assert math.isnan(calibration(extended(None, [said], window(returns), 1), "another")["low"][1])


def test_what_is_due_is_the_newest_session_whose_horizon_ended_and_what_was_missed() -> None:
    """Horizon 5: of sessions 0 .. 29 the views of 23 are judged at 29, and those of up to ten before it that are not judged yet."""
    days = tuple(dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(30))
    assert due(None, days, RULE) == days[13:24]
    judged = record([0.0] * 23)  # days 0 .. 22
    assert due(judged, days, RULE) == (days[23],)
    assert due(None, days[:6], RULE) == ()
    assert due(None, days[:7], RULE) == (days[0],)


def test_a_restart_and_a_repeat_give_what_one_run_gives() -> None:
    """Day by day, all at once, twice: the same rows; the oldest go beyond a thousand."""
    rng = np.random.default_rng(3)
    whole = window(rng.normal(0, 0.01, (40, 8)))
    every = [
        Said(day, sentiments([(n, float(rng.uniform(-1, 1)), 0.5) for n in NAMES]), listed()) for day in whole.sessions
    ]
    daily: pd.DataFrame | None = None
    for end in range(40):
        sliced, wanted = whole.upto(end, 81), due(daily, whole.sessions[: end + 1], RULE)
        daily = extended(daily, [one for one in every if one.session in wanted], sliced, 5)
        again = extended(daily, [one for one in every if one.session in wanted], sliced, 5)
        pd.testing.assert_frame_equal(daily, again, check_exact=True)
    assert daily is not None
    assert len(daily) == 40 - 6
    once = extended(None, every, whole, 5)
    pd.testing.assert_frame_equal(daily.drop(columns="judged_on"), once.drop(columns="judged_on"), check_exact=True)
    assert list(once.columns) == [column.name for column in LLM_EVIDENCE.columns]
    old = record([0.1] * SESSIONS_KEPT).assign(
        session=pd.date_range("2010-01-01", periods=SESSIONS_KEPT).astype("datetime64[ms]")
    )
    assert len(extended(old, every, whole, 5)) == SESSIONS_KEPT


# --- what a record is worth ---


def test_newey_west_by_hand() -> None:
    """(1, 2, 3, 4): deviations -1.5 -.5 .5 1.5; g0 = 5/4, g1 = 1.25/4, g2 = -1.5/4. Lag 1: 5/4 + g1 = 1.5625, over 3.

    Lag 2: 5/4 + 2 * (2/3 g1 + 1/3 g2) = 1.41666.., over 3. An alternating series has no smaller error than an independent one.
    """
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert newey_west_error(values, 0) == pytest.approx(math.sqrt(1.25 / 3), rel=1e-14)
    assert newey_west_error(values, 1) == pytest.approx(math.sqrt(1.5625 / 3), rel=1e-14)
    assert newey_west_error(values, 2) == pytest.approx(math.sqrt(17 / 12 / 3), rel=1e-14)
    assert newey_west_error(np.array([1.0, -1.0] * 5), 4) == pytest.approx(math.sqrt(1 / 9), rel=1e-14)
    assert math.isnan(newey_west_error(values[:1], 4))


def test_a_record_by_hand() -> None:
    """80 sessions of 0.04 and 0.08 in turn: mean 0.06, g0 = 0.0004, error 0.02 / sqrt(79); shrunk 0.06 * 80 / 200 = 0.024."""
    found = worth(record([0.04, 0.08] * 40), VERSION, RULE)
    error = 0.02 / math.sqrt(79)
    assert (found.sessions, found.mean_ic) == (80, pytest.approx(0.06))
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == (pytest.approx(0.024 - 2.5 * error), pytest.approx(0.024 + 2.5 * error))
    assert found.weight == pytest.approx((0.024 - 2.5 * error) / 0.05)
    assert "earns" in found.reason
    assert "80 sessions" in found.reason


def test_only_what_overlaps_makes_the_error_larger() -> None:
    """A horizon of one session overlaps with nothing, however coefficients cluster.

    Of two sessions, two lags: g1 = (79 - 2) / 80 * g0, g2 = (78 - 4) / 80 * g0, with weights 2/3 and 1/3.
    """
    clustered = record([0.04] * 40 + [0.08] * 40)
    one, two = (worth(clustered, VERSION, RULE.model_copy(update={"horizon_sessions": h})) for h in (1, 2))
    assert one.standard_error == pytest.approx(0.02 / math.sqrt(79))
    assert two.standard_error == pytest.approx(0.02 * math.sqrt((1 + 2 * (2 / 3 * 77 / 80 + 1 / 3 * 74 / 80)) / 79))


NOTHING: tuple[tuple[str, pd.DataFrame], ...] = (
    ("one session too few", record([0.9] * 59)),
    ("another version", record([0.9] * 80, version="local:m@f2#views-1")),
    ("rules", record([0.9] * 80, source="fallback")),
    ("a perfect oracle before its cut-off", record([1.0] * 900, contaminated=True)),
    ("no coefficient", record([math.nan] * 80)),
    ("no row", record([])),
    ("worse than chance", record([-0.9] * 80)),
    ("infinite", record([math.inf] * 80)),
)


@pytest.mark.parametrize(("what", "frame"), NOTHING, ids=[row[0] for row in NOTHING])
def test_nothing_else_earns_a_weight(what: str, frame: pd.DataFrame) -> None:
    """L8: exactly this version, exactly what it could not know, enough of it, and better than chance."""
    assert worth(frame, VERSION, RULE).weight == 0.0
    assert worth(frame, VERSION, RULE).reason


def test_enough_of_it_is_the_stated_number() -> None:
    """The 60th session counts; a contaminated past adds nothing and takes nothing."""
    mixed = pd.concat([record([1.0] * 500, contaminated=True), record([0.5] * 60)])
    assert worth(record([0.5] * 60), VERSION, RULE).weight == 1.0
    assert worth(mixed, VERSION, RULE) == worth(record([0.5] * 60), VERSION, RULE)


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1, 1), min_size=0, max_size=120),
    st.floats(0, 0.5),
    st.integers(1, 10),
    st.sampled_from([math.nan, math.inf, -math.inf]),
)
def test_more_evidence_never_weighs_less(ics: list[float], more: float, horizon: int, garbage: float) -> None:
    """In [0, 1] always; better coefficients throughout weigh at least as much; what is no number changes nothing."""
    rule = RULE.model_copy(update={"horizon_sessions": horizon, "sessions_min": 20})
    found = worth(record(ics), VERSION, rule)
    assert 0.0 <= found.weight <= 1.0
    assert worth(record([ic + more for ic in ics]), VERSION, rule).weight >= found.weight - 1e-9
    assert worth(record([*ics, garbage]), VERSION, rule).weight == found.weight
    assert worth(record(ics[::-1]), VERSION, rule).weight == pytest.approx(found.weight, abs=1e-9)
    longer = worth(record(ics * 2), VERSION, rule.model_copy(update={"horizon_sessions": 1}))
    shorter = worth(record(ics), VERSION, rule.model_copy(update={"horizon_sessions": 1}))
    assert longer.weight >= shorter.weight - 1e-9


def coefficients(rng: np.random.Generator, sessions: int, skill: float, persistence: float) -> np.ndarray:
    """(sessions,) rank correlations of 30 names' views with their returns of the next five sessions, which overlap."""
    returns = rng.standard_normal((sessions + 6, 30))
    total = np.vstack([np.zeros((1, 30)), np.cumsum(returns, axis=0)])
    came = (total[5:] - total[:-5])[:sessions] / math.sqrt(5)
    views = rng.standard_normal((sessions, 30))
    for row in range(1, sessions):
        views[row] = persistence * views[row - 1] + math.sqrt(1 - persistence**2) * views[row]
    views = skill * came + math.sqrt(1 - skill**2) * views
    a, b = (rankdata(x, axis=1) - 15.5 for x in (views, came))
    return np.asarray((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def test_skill_earns_a_weight_and_noise_does_not() -> None:
    """An information coefficient of 0.1 has half of its weight after 250 sessions and nearly all after 750.

    Of 400 models of noise that hardly change their mind over 250 sessions, asked every fifth session, fewer than one in ten ever
    weighs anything, and of such sessions fewer than one in fifty.
    """
    rng = np.random.default_rng(11)
    skilled = [worth(record(list(coefficients(rng, n, 0.1, 0.5))), VERSION, RULE).weight for n in (250, 750)]
    assert skilled[0] > 0.4
    assert skilled[1] > 0.9
    days = []
    for _ in range(400):
        ics = coefficients(rng, 250, 0.0, 0.95)
        days.append([earned(ics[:n]) > 0.0 for n in range(60, 251, 5)])
    found = np.array(days)
    assert found.any(axis=1).mean() < 0.04
    assert found.mean() < 0.01


def earned(ics: np.ndarray) -> float:
    """The rule again, from the mandate's numbers: what `worth` must give (compared below), without its frames."""
    n, apart = len(ics), ics - ics.mean()
    gamma = [float(apart[k:] @ apart[: n - k]) / n for k in range(9)]
    spread = max(gamma[0] + 2 * sum((1 - k / 9) * gamma[k] for k in range(1, 9)), gamma[0])
    return float(np.clip((ics.mean() * n / (n + 120) - 2.5 * math.sqrt(spread / (n - 1))) / 0.05, 0, 1))


def test_the_rule_written_twice_is_one_rule() -> None:
    """The campaign above asks the slow twin; on records with and without skill both agree."""
    rng = np.random.default_rng(5)
    for skill in (0.0, 0.1, 0.3, 0.6):
        ics = coefficients(rng, 120, skill, 0.9)
        assert worth(record(list(ics)), VERSION, RULE).weight == pytest.approx(earned(ics), abs=1e-12)


def test_without_a_models_section_the_defaults_judge() -> None:
    """Rules are judged in every home."""
    from test_insight import MANDATE

    assert rule_of(MANDATE) == Evidence()
