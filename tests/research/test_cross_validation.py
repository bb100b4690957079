"""Purging, embargo and paths against slow definitions; symmetric cross-validation against a loop."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.research import cross_validation as cv
from marketbot_assets.research.overfitting import backtest_overfitting, median_overfitting


def overlaps(train: int, test: int, horizon: int, embargo: int) -> bool:
    """Whether two label intervals touch, or the training row begins within the embargo after the test's label."""
    touch = max(train, test) <= min(train + horizon, test + horizon)
    return touch or test + horizon < train <= test + horizon + embargo


@given(st.integers(12, 60), st.integers(3, 6), st.integers(1, 2), st.integers(0, 7), st.integers(0, 5))
@settings(max_examples=40)
def test_no_training_row_knows_a_test_label(rows: int, groups: int, tested: int, horizon: int, embargo: int) -> None:
    """Exactly the rows that touch no tested row's label, nor its embargo, are trained on; every block is tested equally often."""
    splits = cv.combinatorial_splits(rows, groups, tested, horizon=horizon, embargo=embargo)
    assert len(splits) == math.comb(groups, tested)
    times = np.zeros(rows, dtype=int)
    for split in splits:
        times[split.test] += 1
        allowed = [t for t in range(rows) if not any(overlaps(t, int(u), horizon, embargo) for u in split.test)]
        assert split.train.tolist() == allowed
    assert set(times.tolist()) == {math.comb(groups - 1, tested - 1)}


def test_by_hand() -> None:
    """Ten rows, block 4..5, labels two ahead: 2 and 3 end inside; 6 and 7 begin before the block's labels end; 8 is embargo."""
    assert cv.purged(10, [np.array([4, 5])], 2, 1).tolist() == [0, 1, 9]
    assert cv.purged(10, [np.array([4, 5])], 0, 0).tolist() == [0, 1, 2, 3, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("groups", "tested", "splits", "paths"), [(6, 2, 15, 5), (6, 1, 6, 1), (10, 2, 45, 9), (5, 3, 10, 6)]
)
def test_the_numbers_of_splits_and_paths(groups: int, tested: int, splits: int, paths: int) -> None:
    """Lopez de Prado (2018), section 12.3: 6 blocks of which 2 are tested make 15 splits and 5 paths."""
    assert len(cv.combinatorial_splits(60, groups, tested, horizon=0, embargo=0)) == splits
    made = cv.paths(groups, tested)
    assert len(made) == cv.path_count(groups, tested) == paths
    used = [(split, group) for path in made for group, split in enumerate(path)]
    assert len(set(used)) == len(used) == splits * tested
    chosen = list(combinations(range(groups), tested))
    assert all(group in chosen[split] for split, group in used)


def test_paths_put_each_test_in_its_place() -> None:
    """Each split's returns are 1000 x split + row: a path has its own row numbers, from a split that tested them."""
    splits = cv.combinatorial_splits(23, 5, 2, horizon=1, embargo=1)
    made = cv.path_returns(23, 5, 2, [1000.0 * n + split.test for n, split in enumerate(splits)])
    assert made.shape == (4, 23)
    assert (made % 1000 == np.arange(23)).all()
    for path in made:
        assert all(row in splits[int(value // 1000)].test for row, value in enumerate(path))
    assert len({tuple(path) for path in made.tolist()}) == 4


def test_paths_refuse_what_does_not_fit() -> None:
    """A split whose returns are too few, or missing, is no path; a NaN in a path has no ratio."""
    splits = cv.combinatorial_splits(20, 4, 2, horizon=0, embargo=0)
    tested = [np.ones(len(split.test)) for split in splits]
    with pytest.raises(ValueError, match="split 5"):
        cv.path_returns(20, 4, 2, tested[:-1])
    with pytest.raises(ValueError, match="split 0"):
        cv.path_returns(20, 4, 2, [tested[0][1:], *tested[1:]])
    assert np.isnan(cv.path_sharpes(np.array([[0.1, math.nan, 0.2, 0.3]]))).all()


@pytest.mark.parametrize(("groups", "tested"), [(4, 0), (4, 4), (1, 1), (40, 20)])
def test_choices_that_are_none(groups: int, tested: int) -> None:
    """No test, no training, or more choices than anybody waits for."""
    with pytest.raises(ValueError, match="splits"):
        cv.combinatorial_splits(100, groups, tested, horizon=0, embargo=0)


def test_walk_forward_never_trains_on_the_future() -> None:
    """Twenty rows from 8 on, three at a time, labels two ahead, embargo one: trained on rows that end three before the test."""
    splits = cv.walk_forward(20, 8, 3, horizon=2, embargo=1)
    assert np.concatenate([split.test for split in splits]).tolist() == list(range(8, 20))
    for split in splits:
        assert split.train.tolist() == list(range(int(split.test[0]) - 3))
    assert cv.embargo_of(1000) == 10
    assert cv.embargo_of(1001) == 11


def slow(returns: np.ndarray, count: int) -> tuple[float, list[float]]:
    """(probability, logits) by the definition, one choice at a time."""
    parts = np.array_split(np.arange(len(returns)), count)
    logits = []
    for chosen in combinations(range(count), count // 2):
        rows = np.concatenate([parts[b] for b in chosen])
        rest = np.concatenate([parts[b] for b in range(count) if b not in chosen])
        inside, outside = (returns[r].mean(axis=0) / returns[r].std(axis=0, ddof=1) for r in (rows, rest))
        order = sorted(outside)
        rank = (order.index(outside[inside.argmax()]) + 1) / (returns.shape[1] + 1)
        logits.append(math.log(rank / (1 - rank)))
    return sum(x <= 0 for x in logits) / len(logits), logits


@given(st.integers(0, 2**31), st.sampled_from([4, 6, 8]), st.integers(2, 7), st.sampled_from([0.0, 0.01, 5.0]))
@settings(max_examples=20)
def test_symmetric_cross_validation_is_the_slow_one(seed: int, count: int, trials: int, level: float) -> None:
    """The sums over blocks give what the definition gives, also when returns lie far from zero."""
    returns = 0.01 * np.random.default_rng(seed).standard_normal((67, trials)) + level
    found, (probability, logits) = backtest_overfitting(returns, count), slow(returns, count)
    assert found.probability == pytest.approx(probability)
    assert found.logits.tolist() == pytest.approx(logits)
    order = np.random.default_rng(seed).permutation(trials)
    assert backtest_overfitting(returns[:, order], count).probability == pytest.approx(probability)


def test_noise_is_overfitted_and_skill_is_not() -> None:
    """1,000 sessions, 100 trials, ten blocks: noise near one half on average, one real trial of ratio 1.9 far below."""
    noise, skill = [], []
    for seed in range(6):
        returns = 0.01 * np.random.default_rng(seed).standard_normal((1000, 100))
        noise.append(backtest_overfitting(returns, 10).probability)
        returns[:, 0] += 0.01 * 1.9 / math.sqrt(252)
        skill.append(backtest_overfitting(returns, 10).probability)
    assert 0.25 < float(np.mean(noise)) < 0.65
    assert float(np.mean(skill)) < 0.30
    assert float(np.mean(skill)) < float(np.mean(noise)) - 0.1


def test_a_ruler_is_never_overfitted() -> None:
    """A trial that is better in every block is picked always and ranks first; its mirror image always loses."""
    base = np.tile([0.01, -0.01], 60)
    returns = np.column_stack([base, base + 0.02, base - 0.02])
    found = backtest_overfitting(returns, 6)
    assert (found.probability, found.loss, found.choices) == (0.0, 0.0, 20)
    assert found.logits.tolist() == pytest.approx([math.log(0.75 / 0.25)] * 20)
    assert backtest_overfitting(returns - 0.05, 6).loss == 1.0
    assert median_overfitting(returns, (4, 6)) == 0.0


@given(st.integers(0, 2**31), st.sampled_from([0.3, 0.7, 3.0, 7.0]))
@settings(max_examples=15)
def test_a_trial_with_more_leverage_is_the_same_trial(seed: int, leverage: float) -> None:
    """Its ratio is the same but for rounding, which must not decide its rank: copies and multiples of them give the same logits."""
    returns = 0.01 * np.random.default_rng(seed).standard_normal((80, 3))
    copies = backtest_overfitting(np.column_stack([returns, returns]), 6)
    multiples = backtest_overfitting(np.column_stack([returns, leverage * returns]), 6)
    assert multiples.logits.tolist() == pytest.approx(copies.logits.tolist(), abs=1e-12)
    steep = np.column_stack([returns, 1e-7 * returns[:, 0] - 0.01])  # a ratio of -100,000 makes no ties of the others
    assert backtest_overfitting(steep, 6).logits.tolist() == pytest.approx(slow(steep, 6)[1])


def test_equal_trials_share_their_rank() -> None:
    """Trials that never trade: every ratio is 0, the rank is the middle one, which counts as overfitted."""
    assert backtest_overfitting(np.zeros((40, 3)), 4).probability == 1.0
    constant = np.column_stack([np.full(40, 0.01), np.full(40, 0.02)])
    assert backtest_overfitting(constant, 4).logits.tolist() == [0.0] * 6


@pytest.mark.parametrize(
    ("returns", "count"),
    [
        (np.zeros((40, 1)), 4),
        (np.zeros((7, 3)), 4),
        (np.zeros((40, 3)), 5),
        (np.zeros((400, 3)), 18),
        (np.full((40, 3), math.nan), 4),
        (np.full((40, 3), math.inf), 4),
    ],
    ids=["one trial", "too short", "odd", "too many blocks", "nan", "infinite"],
)
def test_what_cannot_be_judged_is_refused(returns: np.ndarray, count: int) -> None:
    """Nothing is concluded from it."""
    with pytest.raises(ValueError, match="overfitting: expected"):
        backtest_overfitting(returns, count)
