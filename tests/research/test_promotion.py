"""The promotion gate: each hurdle at its limit, and nothing passes that is not known."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from marketbot_assets.research import null_tests as null
from marketbot_assets.research.promotion import (
    Decision,
    Evidence,
    Shadow,
    evidence_of,
    judge_record,
    judge_shadow,
    searched,
    shadow_of,
)
from marketbot_assets.research.sharpe_statistics import moments, per_year
from marketbot_assets.research.signal_trial import book_of, evaluate

SESSIONS = 1008


def record(ratio_per_year: float, seed: int = 3, sessions: int = SESSIONS) -> np.ndarray:
    """Normal returns whose own ratio is exactly this one, deviation 1 %."""
    drawn = np.random.default_rng(seed).standard_normal(sessions)
    drawn = (drawn - drawn.mean()) / drawn.std(ddof=1)
    return 0.01 * (drawn + ratio_per_year / math.sqrt(252))


GOOD = Evidence("a" * 64, "d" * 64, record(2.0), record(1.5), np.full(5, 1.8), 0.8, 800, 1000, 0.1, False)
ONE = searched(1, 0.0, None, includes=True, records=1)
SHADOW = Shadow(record(1.0, 4, 80), record(1.0, 4, 80) + record(0.0, 5, 80) / 10)


def failed(decision: Decision) -> list[str]:
    return [hurdle.name for hurdle in decision.tests if not hurdle.passed]


def test_a_good_record_is_promoted_and_says_why() -> None:
    """Ratio 2 over four years, the first trial: every hurdle is passed and told."""
    decision = judge_record(GOOD, ONE)
    assert decision.promoted
    assert len(decision.reasons) == len(decision.tests) == 11
    assert json.loads(json.dumps(decision.facts()))["promoted"] is True
    assert judge_shadow(GOOD, ONE, SHADOW).promoted


NAN = math.nan


@pytest.mark.parametrize(
    ("changes", "hurdles"),
    [
        ({"contaminated": True}, ["clean"]),
        ({"returns": record(2.0, sessions=251), "costly": record(2.0, sessions=251)}, ["sessions"]),
        ({"returns": record(2.0, sessions=252), "costly": record(2.0, sessions=252)}, []),
        ({"returns": record(0.80)}, ["deflated Sharpe", "block bootstrap"]),
        ({"returns": record(-2.0)}, ["deflated Sharpe", "length", "block bootstrap"]),
        ({"returns": np.zeros(SESSIONS)}, ["deflated Sharpe", "length", "block bootstrap"]),
        ({"returns": np.full(SESSIONS, NAN)}, ["deflated Sharpe", "length", "block bootstrap"]),
        ({"costly": record(0.0) - 1e-6}, ["doubled costs"]),
        ({"costly": record(1.5)[1:]}, ["doubled costs"]),
        ({"costly": np.full(SESSIONS, math.inf)}, ["doubled costs"]),
        ({"paths": np.array([0.0, 1, 1, 1, 1])}, []),
        ({"paths": np.array([-0.3, 1, 1, 1, 1])}, ["paths"]),  # 5th percentile of five: -0.3 + 0.2 x 1.3 = -0.04
        ({"paths": np.full(4, 2.0)}, ["paths"]),
        ({"paths": np.array([2.0, 2, 2, 2, NAN])}, ["paths"]),
        ({"paths": np.zeros(5)}, ["paths"]),
        ({"interval_hits": 750}, []),
        ({"interval_hits": 749}, ["calibration"]),
        ({"interval_hits": 851}, ["calibration"]),
        ({"interval_hits": 80, "interval_count": 99}, ["calibration"]),
        ({"interval_hits": 1001}, ["calibration"]),
        ({"interval_level": NAN}, ["calibration"]),
        ({"shuffled": 1.64}, []),  # 3.2905 x sqrt(252 / 1008) = 1.6453
        ({"shuffled": -1.65}, ["shuffled labels"]),
        ({"shuffled": NAN}, ["shuffled labels"]),
    ],
)
def test_each_hurdle_at_its_limit(changes: dict[str, object], hurdles: list[str]) -> None:
    """What lies beyond it, or is not known, refuses by its own name."""
    decision = judge_record(replace(GOOD, **changes), ONE)  # type: ignore[arg-type]
    assert failed(decision) == hurdles
    assert decision.promoted is (not hurdles)


def noise(trials: int, sessions: int = SESSIONS) -> np.ndarray:
    return 0.01 * np.random.default_rng(11).standard_normal((sessions, trials))


@pytest.mark.parametrize(
    ("search", "hurdles"),
    [
        ((0, NAN, None, False), ["trials", "deflated Sharpe", "length", "overfitting"]),
        ((1, 0.0, None, False), ["trials", "overfitting"]),
        ((2, NAN, None, True), ["deflated Sharpe", "overfitting"]),
        ((2, 0.0, None, True), ["overfitting"]),
        ((2, 0.0, np.column_stack([GOOD.returns]), True), ["overfitting"]),
        ((2, 0.0, np.column_stack([GOOD.returns, noise(1)]), True), []),
        ((2, 0.0, np.column_stack([GOOD.returns, noise(1)])[:23], True), ["overfitting"]),
        ((2, 0.0, np.column_stack([GOOD.returns, np.full(SESSIONS, NAN)]), True), ["overfitting"]),
        ((2, 0.0, GOOD.returns[:, None], True, 1), []),
        ((2, 0.0, GOOD.returns[:, None], True, 2), ["overfitting"]),
        ((1, 0.0, None, False, 1), ["trials", "overfitting"]),
        ((30, 0.0, noise(30), True), ["overfitting"]),
        ((5000, 0.0, np.column_stack([GOOD.returns, noise(3)]), True), ["deflated Sharpe"]),
    ],
    ids=[
        "none",
        "not counted",
        "no variance",
        "no returns",
        "own alone",
        "two",
        "short",
        "nan",
        "same record",
        "two records",
        "not its own",
        "noise",
        "many",
    ],
)
def test_the_search_behind_a_record(
    search: tuple[int, float, np.ndarray | None, bool, int], hurdles: list[str]
) -> None:
    """The count of trials raises the bar; a search that is not known refuses."""
    count, variance, returns, includes, *records = search
    made = searched(count, variance, returns, includes=includes, records=records[0] if records else count)
    found = failed(judge_record(GOOD, made))
    assert [name for name in found if name != "length"] == [name for name in hurdles if name != "length"]
    assert "length" not in hurdles or "length" in found


def test_trials_that_hardly_differ_set_no_lower_bar() -> None:
    """A hundred near copies vary by nothing: the variance of worthless records, 1 / (T - 1), takes its place."""
    bar = math.sqrt(1 / (SESSIONS - 1)) * 2.530602668  # expected maximum of a hundred, by the paper's formula
    strong = (2.0 / math.sqrt(252) - bar) * math.sqrt(SESSIONS - 1)
    decision = judge_record(
        GOOD, searched(100, 1e-9, np.column_stack([GOOD.returns, noise(3)]), includes=True, records=100)
    )
    told = next(hurdle for hurdle in decision.tests if hurdle.name == "deflated Sharpe")
    assert told.passed is (strong > 1.6449) is False


@pytest.mark.parametrize(
    ("shadow", "hurdles"),
    [
        (Shadow(SHADOW.returns[:59], SHADOW.expected[:59]), ["shadow"]),
        (Shadow(SHADOW.returns[:60], SHADOW.expected[:60]), []),
        (Shadow(SHADOW.returns - 0.001, SHADOW.expected), ["tracking"]),
        (Shadow(SHADOW.returns + 0.001, SHADOW.expected), ["tracking"]),
        (Shadow(SHADOW.returns, SHADOW.expected[1:]), ["tracking"]),
        (Shadow(np.full(80, NAN), SHADOW.expected), ["tracking"]),
        (Shadow(np.array([]), np.array([])), ["shadow", "tracking"]),
    ],
    ids=["59", "60", "worse", "better", "other sessions", "unknown", "none"],
)
def test_a_shadow_must_be_long_and_like_its_backtest(shadow: Shadow, hurdles: list[str]) -> None:
    """Sixty sessions, mean difference within two standard errors; better than the backtest is not like it, either."""
    assert failed(judge_shadow(GOOD, ONE, shadow)) == hurdles


def test_no_test_is_no_promotion() -> None:
    """An empty decision promotes nothing."""
    assert not Decision(()).promoted


def test_evidence_survives_its_file() -> None:
    """To the bit; other forms are refused, as is a number that is none."""
    data = GOOD.to_bytes()
    back = evidence_of(data)
    assert back.to_bytes() == data
    assert judge_record(back, ONE) == judge_record(GOOD, ONE)
    assert shadow_of(SHADOW.to_bytes()).to_bytes() == SHADOW.to_bytes()
    for broken in (
        b"{}",
        data[:-1],
        data.replace(b'"contaminated":false', b'"contaminated":0'),
        data.replace(b"[0.8,", b"["),
    ):
        with pytest.raises(ValueError, match=r"evidence|canonical"):
            evidence_of(broken)
    with pytest.raises(ValueError, match="JSON"):
        replace(GOOD, returns=np.array([NAN])).to_bytes()
    with pytest.raises(ValueError, match="shadow"):
        shadow_of(b"{}")


# --- null tests and the smallest model ---


def test_books_by_hand() -> None:
    """Scores 1 2 3 weigh -1/2, 0, 1/2; ties share; two names, or equal scores, are no book; an unknown name has no weight."""
    scores = np.array([[1.0, 2, 3, NAN], [5, 5, 9, 9], [1, 2, NAN, NAN], [4, 4, 4, 4]])
    assert null.rank_weights(scores).tolist() == [[-0.5, 0, 0.5, 0], [-0.25, -0.25, 0.25, 0.25], [0] * 4, [0] * 4]
    book = book_of(scores, np.array([[0.02, 0.5, 0.04, NAN], [0.01, 0.01, 0.03, 0.03], [1, 1, 1, 1], [1, 1, 1, 1]]))
    assert book.earned.tolist() == pytest.approx([0.01, 0.01, 0.0, 0.0])
    # Traded: 1; |.25| + |.25| + |.25| + |.25| = 1; 1 to close; 0. Ten basis points of each.
    assert book.after(np.ones(4), 10).tolist() == pytest.approx([0.009, 0.009, -0.001, 0.0])
    # Turned round in the second row: from -.5 0 .5 0 to .25 .25 -.25 -.25: .75 + .25 + .75 + .25 = 2.
    assert book.after(np.array([1.0, -1, -1, -1]), 10).tolist() == pytest.approx([0.009, -0.012, -0.001, 0.0])
    assert np.isnan(book_of(scores[:1], np.array([[NAN, 0, 0, 0]])).earned).all()


def test_another_order_of_sessions() -> None:
    """Every session once, by a seed; about half of them turned round."""
    order, sign = null.null_order(400, 1)
    assert sorted(order.tolist()) == list(range(400)) != order.tolist()
    assert set(sign.ravel().tolist()) == {-1.0, 1.0}
    assert abs(int(sign.sum())) <= 78, "3.9 deviations of 20"
    again = null.null_order(400, 1)
    assert (order == again[0]).all()
    assert (sign == again[1]).all()


def test_a_name_that_rises_throughout_is_not_taken_for_a_leak() -> None:
    """Constant scores of names with a drift of their own earn in any order of time; turned round by chance they earn nothing."""
    drift = np.linspace(-0.002, 0.002, 20)
    returns = drift + 0.01 * np.random.default_rng(8).standard_normal((SESSIONS, 20))
    scores = np.tile(drift, (SESSIONS, 1))
    found = evaluate(scores, returns, cost_bps=0.0, spec_sha256="a" * 64, data_sha256="d" * 64, seed=4)
    assert per_year(moments(found.returns).sharpe) > 5.0
    assert abs(found.shuffled) < null.sharpe_interval(len(found.returns), 0.999)


def test_the_stationary_bootstrap_draws_blocks() -> None:
    """Rows go on by one, wrapped round, except where a block begins: on average once in `block` rows; each row equally often."""
    rows = null.stationary_rows(5, 50, 10.0, 2000)
    goes_on = (np.diff(rows, axis=1) % 50 == 1).mean()
    assert goes_on == pytest.approx(0.9 + 0.1 / 50, abs=0.005)
    counts = np.bincount(rows.ravel(), minlength=50) / rows.size
    assert counts.tolist() == pytest.approx([1 / 50] * 50, rel=0.1)
    assert (np.diff(null.stationary_rows(5, 50, 1e12, 3), axis=1) % 50 == 1).all()
    with pytest.raises(ValueError, match="blocks"):
        null.stationary_rows(1, 10, 0.5, 1)


def test_the_bootstrap_rejects_noise_at_its_level() -> None:
    """Of 300 worthless records p <= 0.05 in about 5 %, p <= 0.5 in about half; a strong one has the least p there is."""
    found = np.array([null.bootstrap_p(np.random.default_rng(n).standard_normal(250), 1, draws=99) for n in range(300)])
    assert 0.02 <= (found <= 0.05).mean() <= 0.09
    assert 0.4 <= (found <= 0.5).mean() <= 0.6
    assert null.bootstrap_p(record(6.0), 1, draws=99) == 0.01
    assert math.isnan(null.bootstrap_p(np.zeros(250), 1))


def test_the_interval_of_a_worthless_ratio() -> None:
    """Lo (2002): 1.96 x sqrt(252 / 252) for a year; simulation agrees."""
    assert null.sharpe_interval(252, 0.95) == pytest.approx(1.959964, abs=1e-6)
    drawn = np.random.default_rng(2).standard_normal((2000, 252))
    ratios = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * math.sqrt(252)
    assert (np.abs(ratios) <= 1.959964).mean() == pytest.approx(0.95, abs=0.015)


def test_a_signal_is_learnt_on_the_past_alone() -> None:
    """A perfect signal with the sign turned over is turned back; what happens later changes nothing before; the seed shuffles."""
    returns = noise(8, 400)
    kept = {"cost_bps": 1.0, "spec_sha256": "a", "data_sha256": "d", "seed": 1}
    found = evaluate(-returns, returns, **kept)  # type: ignore[arg-type]
    assert per_year(moments(found.returns).sharpe) > 5
    assert len(found.returns) == 300
    assert (found.paths > 5).all()
    assert abs(found.shuffled) < null.sharpe_interval(300, 0.999)
    changed = returns.copy()
    changed[350:] *= -3
    other = evaluate(-returns, changed, **kept)  # type: ignore[arg-type]
    assert other.returns[:250].tolist() == found.returns[:250].tolist()
    assert (found.costly <= found.returns).all()
    unknown = returns.copy()
    unknown[200, 3] = NAN
    assert not judge_record(evaluate(-returns, unknown, **kept), ONE).promoted  # type: ignore[arg-type]


def test_an_evaluation_is_the_same_twice() -> None:
    """The same inputs give the same bytes."""
    scores, returns = null.random_signals(1, 300, 6), noise(6, 300)
    made = [
        evaluate(scores, returns, cost_bps=5, spec_sha256="a", data_sha256="d", seed=1).to_bytes() for _ in range(2)
    ]
    assert hashlib.sha256(made[0]).hexdigest() == hashlib.sha256(made[1]).hexdigest()
