"""What a score was worth: hand-made tables, slow twins, what may not be known, and a page that stands alone."""

import datetime as dt
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from marketbot_assets.research import factor_evaluation as facts
from marketbot_assets.research import factor_evaluation_measures as measures
from marketbot_assets.research.factor_evaluation import ALL, HIGH, LOW, NEUTRAL, Panel, evaluate, number, of
from marketbot_assets.research.factor_evaluation_charts import by_strength
from marketbot_assets.research.factor_evaluation_report import Range, by_chance, factor_page
from marketbot_assets.research.schema import FACTOR_EVALUATION

NAN = math.nan
TEN = np.arange(1.0, 11.0)


def drawn(seed: int, sessions: int, names: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((sessions, names))


@pytest.mark.parametrize(
    ("horizon", "delay", "expected"),
    [
        (1, 0, [0.2, -0.5, 0.1, NAN]),
        (2, 0, [-0.4, -0.45, NAN, NAN]),
        (1, 1, [-0.5, 0.1, NAN, NAN]),
        (2, 1, [-0.45, NAN, NAN, NAN]),
        (4, 1, [NAN, NAN, NAN, NAN]),
    ],
)
def test_outcomes_compound_the_sessions_after_the_delay(horizon: int, delay: int, expected: list[float]) -> None:
    """1.2 x 0.5 - 1 = -0.4; 0.5 x 1.1 - 1 = -0.45; what has not come yet is not known."""
    returns = np.array([[0.1], [0.2], [-0.5], [0.1]])
    np.testing.assert_allclose(measures.forward_returns(returns, horizon, delay)[:, 0], expected, atol=1e-15)


def test_an_outcome_with_a_hole_is_not_known() -> None:
    """One unknown session makes the whole horizon unknown, and no other."""
    returns = np.array([[0.1], [NAN], [0.3], [0.4]])
    assert np.isnan(measures.forward_returns(returns, 2, 0)[:, 0]).tolist() == [True, False, True, True]


@given(st.integers(0, 2**32 - 1), st.integers(0, 7), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_outcome_reads_nothing_before_the_delay_has_passed(seed: int, row: int, horizon: int, delay: int) -> None:
    """Whatever came up to the session in which orders trade changes no outcome of the score."""
    returns = drawn(seed, 16, 3) / 100.0
    other = returns.copy()
    other[: row + delay + 1] = 9.0
    one, two = (measures.forward_returns(side, horizon, delay)[row:] for side in (returns, other))
    np.testing.assert_array_equal(one[:1], two[:1])


def test_rank_correlations_are_spearmans_over_names_that_both_know() -> None:
    """Against scipy, session by session, with ties and holes; fewer than eight names say nothing."""
    first, second = np.round(drawn(1, 30, 14), 1), np.round(drawn(2, 30, 14), 1)
    first[drawn(3, 30, 14) > 0.9] = NAN
    second[drawn(5, 30, 14) > 1.2] = NAN
    second[4] = 1.0
    second[5, :7] = NAN
    first[5] = drawn(4, 1, 14)[0]
    found = measures.rank_correlations(first, second)
    for row in range(30):
        both = np.isfinite(first[row]) & np.isfinite(second[row])
        if row == 4 or both.sum() < 8:
            assert np.isnan(found[row])
        else:
            assert found[row] == pytest.approx(spearmanr(first[row, both], second[row, both]).statistic, abs=1e-12)
    assert np.isnan(found[5])


@pytest.mark.parametrize("names", [10, 11, 13, 27, 50])
def test_quantiles_are_those_of_qcut(names: int) -> None:
    """Without equal scores the parts are pandas' own."""
    scores = drawn(names, 3, names)
    for row, numbers in zip(scores, measures.quantile_numbers(scores), strict=True):
        assert numbers.tolist() == (pd.qcut(row, 5, labels=False) + 1).tolist()


def test_quantiles_of_too_few_names_and_of_equal_scores() -> None:
    """Nine names are too few for five parts of two; equal scores are in one part, never torn apart."""
    nine = np.append(np.arange(9.0), NAN)[None, :]
    assert np.isnan(measures.quantile_numbers(nine)).all()
    assert set(measures.quantile_numbers(np.ones((1, 10)))[0]) == {3.0}


def test_quantile_returns_by_hand() -> None:
    """Ten names, scores 1 to 10, returns 1 % to 10 %: two per part, means 1.5, 3.5, 5.5, 7.5, 9.5 %, less 5.5 % for all."""
    numbers = measures.quantile_numbers(TEN[None, :])
    assert numbers[0].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    found = measures.quantile_returns(numbers, TEN[None, :] / 100.0)
    np.testing.assert_allclose(found[0], [-0.04, -0.02, 0.0, 0.02, 0.04], atol=1e-15)
    ahead = TEN[None, :] / 100.0
    ahead[0, 8:] = NAN
    assert np.isnan(measures.quantile_returns(numbers, ahead)[0, 4])


def test_turnover_and_autocorrelation_by_hand() -> None:
    """Names 1 and 10 change places: one of two is new at each end; rank correlation 1 - 6 x 162 / 990 = 0.0182."""
    after = TEN.copy()
    after[[0, 9]] = after[[9, 0]]
    scores = np.vstack([TEN, after, after])
    numbers = measures.quantile_numbers(scores)
    for part in (1, 5):
        np.testing.assert_array_equal(measures.quantile_turnover(numbers, part, 1), [NAN, 0.5, 0.0])
    assert measures.quantile_turnover(numbers, 3, 1)[1] == 0.0
    lasting = measures.rank_autocorrelation(scores, 1)
    np.testing.assert_allclose(lasting, [NAN, 1.0 - 6.0 * 162.0 / 990.0, 1.0], atol=1e-12)
    np.testing.assert_array_equal(measures.quantile_turnover(numbers, 1, 5), [NAN] * 3)


def test_the_error_of_a_mean_allows_for_overlap() -> None:
    """A slow twin: Bartlett's weights up to 2 (h - 1) lags, and never below that of n / h values apart."""
    values, horizon = np.convolve(drawn(7, 64, 1)[:, 0], np.ones(3), mode="valid"), 3
    n, apart = len(values), values - values.mean()
    total = sum(apart[i] ** 2 for i in range(n)) / n
    for lag in range(1, 2 * (horizon - 1) + 1):
        total += 2.0 * (1.0 - lag / 5.0) * sum(apart[i] * apart[i - lag] for i in range(lag, n)) / n
    least = values.std(ddof=1) / math.sqrt(n / horizon)
    found = measures.estimate(values, horizon)
    assert found.error == pytest.approx(max(math.sqrt(total / (n - 1)), least), rel=1e-12)
    assert found.t == pytest.approx(values.mean() / found.error)
    assert (found.observations, found.apart) == (62, 20)
    assert found.error > 1.4 * values.std(ddof=1) / math.sqrt(n)


@pytest.mark.parametrize(("count", "horizon", "known"), [(19, 1, False), (20, 1, True), (24, 5, False), (25, 5, True)])
def test_a_mean_over_too_little_is_not_known(count: int, horizon: int, known: bool) -> None:
    """Twenty sessions and five horizons that do not overlap are needed; holes do not count."""
    values = np.concatenate([drawn(5, count, 1)[:, 0], [NAN, math.inf]])
    found = measures.estimate(values, horizon)
    assert (found.known, found.observations) == (known, count)
    if not known:
        assert all(math.isnan(value) for value in (found.mean, found.sd, found.error, found.t, found.ratio))


def test_a_constant_has_no_t() -> None:
    """A mean without spread has no error, so no t, however large it is."""
    found = measures.estimate(np.full(30, 0.5))
    assert found.mean == 0.5
    assert math.isnan(found.t)
    assert math.isnan(found.ratio)


def test_within_groups_by_hand() -> None:
    """Means 2 and 10 are taken off; a name without peers and one of an unknown sector say nothing."""
    values = np.array([[1.0, 3.0, 9.0, 11.0, 5.0, 7.0, 8.0]])
    found = measures.within_groups(values, ("a", "a", "b", "b", "c", "FUND", "FUND"), ("FUND",))
    np.testing.assert_array_equal(found, [[-1.0, 1.0, -1.0, 1.0, NAN, NAN, NAN]])
    values[0, 1] = NAN
    assert np.isnan(measures.within_groups(values, ("a", "a", "b", "b", "c", "d", "d"))[0, 0])


def test_coverage_by_hand() -> None:
    """Two of three names of the universe; a score outside of it does not count; no universe, no share."""
    scores = np.array([[1.0, NAN, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    universe = np.array([[True, True, True, False], [False] * 4])
    np.testing.assert_array_equal(measures.coverage(scores, universe), [2.0 / 3.0, NAN])


def test_pairwise_correlations_are_spearmans() -> None:
    """Against scipy over whole sessions, across the borders of blocks of sessions."""
    scores = [drawn(seed, 70, 12) for seed in (1, 2)]
    scores.append(-scores[0])
    means, sessions = measures.pairwise_correlations(scores)
    slow = np.mean([spearmanr(a, b).statistic for a, b in zip(scores[0], scores[1], strict=True)])
    assert means[0, 1] == pytest.approx(slow, abs=1e-12)
    assert means[0, 2] == pytest.approx(-1.0, abs=1e-12)
    assert (sessions == 70).all()
    few, _ = measures.pairwise_correlations([one[:, :7] for one in scores])
    assert np.isnan(few).all()


def test_the_share_of_a_books_variance() -> None:
    """A multiple explains all, an orthogonal one nothing, a constant and too few sessions are not known."""
    spread = np.tile([1.0, -1.0, 1.0, -1.0], 20)
    across = np.tile([1.0, 1.0, -1.0, -1.0], 20)
    assert measures.variance_share(3.0 * spread + 0.1, spread)[0] == pytest.approx(1.0)
    assert measures.variance_share(spread + across, spread)[0] == pytest.approx(0.5)
    assert measures.variance_share(across, spread)[0] == pytest.approx(0.0)
    assert math.isnan(measures.variance_share(np.zeros(80), spread)[0])
    late = np.where(np.arange(80) < 21, NAN, spread)
    assert math.isnan(measures.variance_share(late, spread)[0])
    assert measures.variance_share(late, spread)[1] == 59


def test_a_regime_is_judged_by_its_own_past() -> None:
    """Doubled moves at the end are a storm, halved ones are calm; with too short a past, or a hole in it, nobody knows."""
    moves = 0.01 * np.where(np.arange(400.0) % 2, 1.0, -1.0) * (1.0 + 0.2 * np.sin(np.arange(400) / 9.0))
    for factor, expected in ((2.0, 1.0), (0.5, 0.0)):
        levels = np.asarray(
            100.0 * np.cumprod(1.0 + np.where(np.arange(400) > 375, factor, 1.0) * moves), dtype=np.float64
        )
        assert measures.above_usual_volatility(levels) == expected
    assert math.isnan(measures.above_usual_volatility(levels[-272:]))
    levels[-200] = NAN
    assert math.isnan(measures.above_usual_volatility(levels))


def example(seed: int = 0, sessions: int = 80, names: int = 20) -> Panel:
    """`planted` nearly knows the return of the session after next, `worthless` nothing, `flat` tells no names apart."""
    returns = 0.01 * drawn(seed, sessions, names)
    planted = np.vstack([returns[2:], np.full((2, names), NAN)]) + 0.003 * drawn(seed + 2, sessions, names)
    days = pd.bdate_range("2018-01-02", periods=sessions)
    return Panel(
        sessions=tuple(day.date() for day in days),
        instruments=tuple(f"I{place:03d}" for place in range(names)),
        scores={"planted": planted, "worthless": drawn(seed + 1, sessions, names), "flat": np.ones((sessions, names))},
        returns=returns,
        universe=np.ones((sessions, names), dtype=bool),
        sectors=tuple("ab"[place % 2] for place in range(names)),
        stormy=(np.arange(sessions) % 2).astype(float),
        book=np.full(sessions, NAN),
    )


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return evaluate(example())


def test_a_planted_score_is_found_and_a_flat_one_is_not_known(found: pd.DataFrame) -> None:
    """Its coefficient is scipy's; gone a session later; seen in sectors and regimes, too; the table keeps its schema."""
    FACTOR_EVALUATION.pandera_schema.validate(found, lazy=True)
    panel = example()
    slow = [spearmanr(panel.scores["planted"][row], panel.returns[row + 2]).statistic for row in range(78)]
    for variant, rows in ((ALL, slow), (HIGH, slow[1::2]), (LOW, slow[::2])):
        key = ("planted", facts.IC, 1, variant, "")
        assert number(found, key) == pytest.approx(np.mean(rows), abs=1e-12)
        assert number(found, key, "sd") == pytest.approx(np.std(rows, ddof=1), abs=1e-12)
        assert number(found, key, "observations") == len(rows)
    assert number(found, ("planted", facts.IC, 1, NEUTRAL, "")) > 0.8
    for lag in (1, 3):
        ahead = lag + facts.DELAY
        slow = [spearmanr(panel.scores["worthless"][r], panel.returns[r + ahead]).statistic for r in range(80 - ahead)]
        assert number(found, ("worthless", facts.DECAY, 1, ALL, f"{lag:03d}")) == pytest.approx(
            np.mean(slow), abs=1e-12
        )
    assert number(found, ("planted", facts.MONOTONICITY, 1, ALL, "")) == 1.0
    assert number(found, ("planted", facts.SPREAD, 1, ALL, ""), "t") > 20.0
    assert abs(number(found, ("planted", facts.DECAY, 1, ALL, "002"), "t")) < 3.0
    assert abs(number(found, ("worthless", facts.IC, 1, ALL, ""), "t")) < 3.0
    rows = of(found, "flat", facts.IC)
    assert rows
    assert all(math.isnan(float(str(row["mean"]))) and str(row["message"]).startswith("not known") for row in rows)
    assert by_strength(found, 1) == ["planted", "worthless", "flat"]


def test_no_number_without_enough_names_or_sessions() -> None:
    """Seven names, or nineteen sessions: no coefficient, quantile or spread has a value, and each says why."""
    judged = (facts.IC, facts.DECAY, facts.QUANTILE, facts.SPREAD, facts.MONOTONICITY, facts.TURNOVER, facts.CROWDING)
    for small in (example(names=7), example(sessions=19)):
        rows = evaluate(small)
        rows = rows[rows["measure"].isin(judged)]
        assert rows["mean"].isna().all()
        assert (rows["message"] != "").all()


def test_a_name_outside_of_the_universe_takes_no_part(found: pd.DataFrame) -> None:
    """Scores of names that the universe does not hold change nothing but the coverage of nobody."""
    panel = example()
    inside = np.ones(panel.universe.shape, dtype=bool)
    inside[:, 15:] = False
    absurd = {name: np.where(inside, one, 1e9) for name, one in panel.scores.items()}
    cut = evaluate(replace(panel, universe=inside))
    pd.testing.assert_frame_equal(cut, evaluate(replace(panel, universe=inside, scores=absurd)))
    assert not cut.equals(found)


def test_the_opposite_score_has_the_opposite_worth(found: pd.DataFrame) -> None:
    """Coefficients and spreads change sign, turnover changes ends, stability stays."""
    panel = example()
    turned = evaluate(replace(panel, scores={name: -one for name, one in panel.scores.items()}))
    for measure in (facts.IC, facts.SPREAD, facts.DECAY, facts.MONOTONICITY):
        both = [frame[(frame["measure"] == measure)]["mean"].to_numpy() for frame in (found, turned)]
        np.testing.assert_allclose(both[0], -both[1], atol=1e-12)
    ends = [(found, facts.TOP), (turned, facts.BOTTOM)]
    assert len({number(f, ("worthless", facts.TURNOVER, 5, ALL, end)) for f, end in ends}) == 1


def test_the_books_share_is_of_the_session_in_which_the_spread_was_earned() -> None:
    """A book that is the spread itself, in the session in which it was earned: all of its variance."""
    panel = example()
    came = measures.forward_returns(panel.returns, 1, facts.DELAY)
    earned = measures.quantile_returns(measures.quantile_numbers(panel.scores["worthless"]), came)
    book = np.full(len(panel.sessions), NAN)
    book[2:] = (earned[:, -1] - earned[:, 0])[:-2]
    share = evaluate(replace(panel, book=book))
    assert number(share, ("worthless", facts.VARIANCE_SHARE, 1, ALL, "")) == pytest.approx(1.0)
    assert number(share, ("worthless", facts.VARIANCE_SHARE, 1, ALL, ""), "observations") == 78


def test_the_page_stands_alone_and_tells_what_is_not_known(found: pd.DataFrame) -> None:
    """Tables of three kinds, a tear sheet per score, whole SVG, nothing from elsewhere, and how much luck to expect."""
    page = factor_page(found, Range(dt.date(2018, 1, 2), dt.date(2018, 4, 23), 80, 1, True))
    for word in (
        "Information",
        "Returns",
        "Turnover",
        "Coverage and crowding",
        "Partly simulated data",
        "planted",
        "n/a",
    ):
        assert word in page
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 3 + 4 * 3
    for chart in charts:
        ET.fromstring(chart)
    assert not re.search(r"https?://|<script|<link|@import", page)
    judged, large, chance = by_chance(found, 1)
    assert (judged, large) == (2, 1)
    assert chance == pytest.approx(0.0455 * 2)
