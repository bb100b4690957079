"""What a backtest has been through: each rule at its limit, what is not known passes nothing, the line that reports show."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_promotion import GOOD, ONE, record

from marketbot_assets.research import promotion
from marketbot_assets.research import tested as record_of
from marketbot_assets.research.tested import Runs, Size
from marketbot_assets.research.tested_parts import verdict

RETURNS = record(2.0)
COLUMN = RETURNS[:, None]
WORSE = [0.0] * 19
FULL = Runs(costly=record(1.5), sizes=[Size(10, record(1.2)), Size(100, record(-1.0))], random=WORSE)


def judged(returns: np.ndarray = RETURNS, runs: Runs | None = FULL, llm: str = "none", columns=COLUMN, search=ONE):  # type: ignore[no-untyped-def]
    return record_of.judge(returns, search, columns, backtest="b" * 64, llm=llm, runs=runs)


def test_a_good_record_passes_every_row_and_the_first_line_says_so() -> None:
    found = judged()
    assert (found.failed, found.open, len(found.rows)) == ((), (), 11)
    assert record_of.first_line(found) == "PASSED all 11 tests against overfitting (1 trial on record)."
    assert [told[3] for told in found.told()] == [True] * 11


def test_the_first_line_says_what_was_not_tested_and_what_failed() -> None:
    assert record_of.first_line(None).startswith("NOT TESTED against overfitting")
    part = record_of.first_line(judged(runs=None))
    assert part == (
        "TESTED IN PART against overfitting: 8 of 11 passed; not tested: doubled costs, capacity, random signal "
        "(1 trial on record)."
    )
    bad = record_of.first_line(judged(runs=None, llm="asked x:y"))
    assert bad.startswith("FAILED 1 of 11 tests against overfitting: language models; not tested: doubled costs")


def test_an_answer_is_out_of_date_once_more_was_tried() -> None:
    """Its count was true then: with more trials the best of them must take a higher bar, so the line says no PASSED first."""
    found = judged()
    assert record_of.first_line(found, 1) == record_of.first_line(found)
    later = record_of.first_line(found, 30)
    assert later.startswith(
        "OUT OF DATE: tested against overfitting when 1 trial was on record, and now there are 30; "
    )
    assert later.endswith(record_of.first_line(found))
    assert 'class="banner bad"' in verdict(later, found.told())
    assert 'class="banner bad"' not in verdict(f"Best point: {record_of.first_line(found, 1)}", found.told())
    assert record_of.first_line(None, 30) == record_of.first_line(None)


@pytest.mark.parametrize(
    ("runs", "failed"),
    [
        (replace(FULL, costly=record(0.0) - 1e-6), ["doubled costs"]),
        (replace(FULL, costly=record(1.5)[1:]), ["doubled costs"]),  # it halted: not the same sessions
        (replace(FULL, costly=np.full(1008, math.nan)), ["doubled costs"]),
        (replace(FULL, sizes=[Size(10, record(1.0 + 1e-9))]), []),  # half of 2 is 1
        (replace(FULL, sizes=[Size(10, record(1.0 - 1e-9))]), ["capacity"]),
        (replace(FULL, sizes=[Size(100, record(2.0))]), ["capacity"]),  # 10 times is not there
        (replace(FULL, sizes=[Size(10, np.full(1008, math.nan))]), ["capacity"]),
        (replace(FULL, random=[*WORSE[1:], 9.0]), ["random signal"]),  # p = (1 + 1) / 20 = 0.10
        (replace(FULL, random=WORSE[1:]), ["random signal"]),  # p = 1 / 19 = 0.053
        (replace(FULL, random=[*WORSE, math.nan]), ["random signal"]),
    ],
)
def test_each_row_of_further_backtests_at_its_limit(runs: Runs, failed: list[str]) -> None:
    assert list(judged(runs=runs).failed) == failed


NAN, ZERO = np.full(1008, math.nan), np.zeros(1008)


@pytest.mark.parametrize(
    "returns", [NAN, ZERO, record(2.0, sessions=2), np.array([])], ids=["nan", "zero", "two", "none"]
)
def test_what_is_not_known_passes_nothing(returns: np.ndarray) -> None:
    """Only the count, the models and, for a long one, the length say nothing of the returns."""
    found = judged(returns, columns=None, runs=Runs(costly=returns, sizes=[Size(10, returns)], random=WORSE))
    passed = {row.name for row in found.rows if row.passed}
    assert passed <= {"trials", "language models", "sessions", "backtest overfitting"}
    assert "deflated Sharpe" in found.failed


@pytest.mark.parametrize(
    ("returns", "why"),
    [
        (np.array([]), "0 returns, 3 are needed"),
        (np.array([0.01]), "1 returns, 3 are needed"),
        (np.full(300, 0.001), "returns that do not vary"),
        (np.array([0.01, math.nan, 0.02, 0.01]), "a return that is no number"),
        (np.array([0.01, math.inf, 0.02, 0.01]), "a return that is no number"),
    ],
)
def test_a_ratio_that_is_not_known_says_why(returns: np.ndarray, why: str) -> None:
    """Too short, constant, not a number: the row of the deflated ratio says which, and has not passed."""
    row = {row.name: row for row in judged(returns, columns=None).rows}["deflated Sharpe"]
    assert (row.value, row.passed) == (f"not known: {why}", False)
    lost = {row.name: row for row in judged(search=replace(ONE, variance=math.nan)).rows}["deflated Sharpe"]
    assert lost.value == "not known at a ratio of 2 per year: the ratios of the trials on record are not all known"
    assert lost.passed is False


@pytest.mark.parametrize("ratio", [-1.0, 0.0, 0.8, 0.9, 1.0, 1.5, 2.5])
@pytest.mark.parametrize("count", [1, 2, 40, 4000])
def test_the_rules_are_those_of_the_gate(ratio: float, count: int) -> None:
    """Rows that the gate knows, too, say what it says."""
    search = replace(ONE, count=count, variance=0.002, records=count, overfitting=0.1 if count > 2 else math.nan)
    gate = {h.name: h.passed for h in promotion.judge_record(replace(GOOD, returns=record(ratio)), search).tests}
    own = {row.name: row.passed for row in judged(record(ratio), search=search).rows}
    shared = {
        "trials": "trials", "sessions": "sessions", "deflated Sharpe": "deflated Sharpe", "minimum length": "length",
        "backtest overfitting": "overfitting", "block bootstrap": "block bootstrap",
    }  # fmt: skip
    assert {name: own[name] for name in shared} == {name: gate[other] for name, other in shared.items()}


def test_counts_beside_the_count_by_hand() -> None:
    """2 % and -1 % in turn: 0.5 % over 1.50075 % has no skew and no tails, so 1 + (1.644854 / 0.333167)^2 = 25.4 sessions would
    show it; the same upside down never does. Two columns without correlation are two trials by either count.
    """
    turn, slow = np.tile([0.02, -0.01], 500), np.tile([0.01, 0.01, -0.01, -0.01], 250)
    rows = {row.name: row.value for row in judged(turn, columns=np.column_stack([turn, slow]), runs=None).rows}
    assert rows["sessions"] == "1000; 26 show a ratio like this one to be above 0"
    assert rows["trials"] == "1; over these data 2 unlike by clusters, 2.0 by correlation"
    worse = {row.name: row.value for row in judged(-turn, runs=None).rows}
    assert worse["sessions"] == "1000; no number of them shows a ratio like this one to be above 0"
    assert judged(ZERO, runs=None).rows[2].value == "1008"


def slow_paths(columns: np.ndarray) -> list[float]:
    """By hand: 6 blocks, every pair tested, the best of the rest chosen; path p takes the p-th pair that tests a block."""
    rows, groups = len(columns), [list(part) for part in np.array_split(np.arange(len(columns)), 6)]
    embargo = math.ceil(rows / 100)
    chosen, told = list(itertools.combinations(range(6), 2)), {}
    for pair in chosen:
        train = [t for t in range(rows) if all(t + 1 < groups[g][0] or t > groups[g][-1] + 1 + embargo for g in pair)]
        part = columns[train]
        ratios = part.mean(axis=0) / part.std(axis=0, ddof=1)
        told[pair] = int(ratios.argmax())
    found = []
    for path in range(5):
        returns = np.empty(rows)
        for group in range(6):
            pair = [pair for pair in chosen if group in pair][path]
            returns[groups[group]] = columns[groups[group], told[pair]]
        found.append(math.sqrt(252) * returns.mean() / returns.std(ddof=1))
    return found


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), rows=st.integers(40, 130), trials=st.integers(1, 6))
def test_paths_of_the_choice_are_those_of_a_slow_one(seed: int, rows: int, trials: int) -> None:
    columns = np.random.default_rng(seed).normal(0.0005, 0.01, size=(rows, trials))
    np.testing.assert_allclose(record_of.picked_paths(columns), slow_paths(columns), rtol=1e-9, atol=1e-12)


def test_the_best_of_worthless_trials_does_not_pass_and_a_true_one_among_them_does() -> None:
    worthless = np.column_stack([record(0.0, seed) for seed in range(30)])
    noise = judged(worthless[:, 0], columns=worthless)
    assert "cross-validation" in noise.failed
    true = np.column_stack([worthless, record(3.0, 99)])
    assert "cross-validation" not in judged(true[:, -1], columns=true).failed


def test_it_comes_back_from_the_ledger_as_it_was_and_nothing_else_does() -> None:
    found = judged(runs=None)
    assert record_of.tested_of(found.facts()) == found
    for damaged in ({**found.facts(), "trials": 7}, {**found.facts(), "more": 1}, {"rows": 1}, {}):
        with pytest.raises(ValueError, match="tested: expected"):
            record_of.tested_of(damaged)
