"""Worthless signals through the promotion gate; a planted one; labels shuffled in time."""

import math

import numpy as np
import pytest

from marketbot_assets.research.null_campaign import Campaign, evidence_of, lasting_scores, run_campaign, world
from marketbot_assets.research.promotion import judge_record, searched
from marketbot_assets.research.sharpe_statistics import moments, per_year
from marketbot_assets.research.signal_trial import book_of

SEED = 2014


def holds(found: Campaign) -> None:
    """What must be true of every campaign: at most 5 % promoted, and ratios on shuffled labels as theory has them."""
    assert found.promoted <= 0.05 * found.signals
    assert found.alone <= 0.05 * found.signals + 2 * math.sqrt(0.05 * 0.95 * found.signals)
    n = len(found.shuffled)
    deviation = math.sqrt(252 / found.sessions)  # Lo (2002) at ratio 0
    assert abs(found.shuffled.mean()) <= 3.3 * deviation / math.sqrt(n)
    assert found.shuffled.std(ddof=1) == pytest.approx(deviation, rel=3.3 / math.sqrt(2 * n))
    assert found.inside == pytest.approx(0.95, abs=3.3 * math.sqrt(0.05 * 0.95 / n))
    assert abs(found.shuffled[-1]) <= 3.3 * deviation, "the planted signal, too"


@pytest.fixture(scope="module")
def short() -> Campaign:
    return run_campaign(SEED, 60, 1260, 12, sharpe_per_year=5.0)


def test_sixty_worthless_signals(short: Campaign) -> None:
    """None is promoted among sixty, about 5 % of them when each counts as the only one; shuffled labels show nothing."""
    holds(short)
    assert short.promoted == 0
    assert short.best_sharpe > 0.8, "the best of sixty looks good: that is the trap"


def test_the_planted_signal_is_found(short: Campaign) -> None:
    """Among sixty worthless ones, by every hurdle."""
    assert short.planted.promoted, short.planted.reasons
    assert short.planted_sharpe == pytest.approx(5.0, abs=3.3 * math.sqrt(252 / short.sessions))


def test_the_gate_without_a_count_would_promote_noise() -> None:
    """The best of sixty, judged as if it were the only trial, passes the deflated ratio; judged as one of sixty it does not."""
    made = world(SEED, 756, 8, 0.0)
    found = [evidence_of(made, lasting_scores(number, 756, 8), number, 0.0) for number in range(60)]
    best = max(found, key=lambda one: moments(one.returns).sharpe)
    ratios = [moments(one.returns).sharpe for one in found]
    told = []
    for count, variance in ((1, 0.0), (60, float(np.var(ratios, ddof=1)))):
        decision = judge_record(best, searched(count, variance, None, includes=True, records=count))
        told.append(next(hurdle.passed for hurdle in decision.tests if hurdle.name == "deflated Sharpe"))
    assert told == [True, False]


def test_the_world_earns_what_is_planted() -> None:
    """Over 40 worlds of four years the hidden score's book earns its ratio; without one, nothing; scores last as they should."""
    for planted in (0.0, 1.0):
        ratios = []
        for seed in range(40):
            made = world(seed, 1008, 20, planted)
            ratios.append(per_year(moments(book_of(made.hidden, made.returns).earned).sharpe))
        assert float(np.mean(ratios)) == pytest.approx(planted, abs=3.3 * 0.5 / math.sqrt(40))
    scores = lasting_scores(1, 4000, 10)
    assert float(np.corrcoef(scores[1:].ravel(), scores[:-1].ravel())[0, 1]) == pytest.approx(0.98, abs=0.01)
    assert float(scores.var()) == pytest.approx(1.0, abs=0.2)


@pytest.mark.long
def test_a_thousand_worthless_signals(capsys: pytest.CaptureFixture[str]) -> None:
    """The same with a thousand signals and a planted ratio of 2.5; prints its numbers."""
    found = run_campaign(SEED, 1000, 2520, 50, sharpe_per_year=2.5)
    with capsys.disabled():
        print(f"\n{found.promoted} of {found.signals} promoted, {found.alone} if each were alone; ", end="")
        print(f"planted: {found.planted.promoted}; shuffled {found.shuffled.mean():+.4f}, {found.inside:.1%} inside")
    holds(found)
    assert found.planted.promoted, found.planted.reasons
