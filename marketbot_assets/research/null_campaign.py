"""Worthless signals by the hundred through the promotion gate, a planted one among them, labels shuffled in time. Pure.

The world is simulated: names share a market and have fat tails (Student's t, 4 degrees of freedom); scores last, as those of real
signals do; one hidden score moves returns, the planted signal. Costs are 0 unless they are given: what is worthless gets every
chance. Not here: the gate (`promotion`), one signal's evidence (`signal_trial`).
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.research.null_tests import random_signals, sharpe_interval
from marketbot_assets.research.promotion import Decision, Evidence, judge_record, searched
from marketbot_assets.research.sharpe_statistics import moments, per_year, variance_of_trials
from marketbot_assets.research.signal_trial import evaluate
from marketbot_resources.model import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
MARKET_DEVIATION, OWN_DEVIATION = 0.010, 0.015
TAIL_DEGREES = 4
LASTING = 0.98
SHUFFLED_CONFIDENCE = 0.95
COUNTED = ("deflated Sharpe", "length", "overfitting")


@dataclass(frozen=True, slots=True)
class World:
    """`returns`, `hidden`: (sessions, names); the hidden score is known before the returns of its row."""

    returns: Floats
    hidden: Floats


@dataclass(frozen=True, slots=True)
class Campaign:
    """What became of the signals. `promoted`: by the rule, with the true count; `alone`: as if each were the only one that was ever
    tried; `passed`: hurdle -> worthless signals that passed it by the rule; `shuffled`: (signals,) ratios per year against labels
    in another order; `inside`: share of them within `interval` of 0; `planted`: the decision on the planted signal among them all,
    and `planted_sharpe` its ratio per year out of sample.
    """

    signals: int
    sessions: int
    promoted: int
    alone: int
    passed: Mapping[str, int]
    best_sharpe: float
    overfitting: float
    shuffled: Floats
    interval: float
    inside: float
    planted: Decision
    planted_sharpe: float


def lasting_scores(seed: int, sessions: int, names: int) -> Floats:
    """(sessions, names) scores of variance 1 that last: each is LASTING times the one before and something new."""
    drawn = random_signals(seed, sessions, names)
    made = np.empty_like(drawn)
    made[0] = drawn[0]
    for row in range(1, sessions):
        made[row] = LASTING * made[row - 1] + math.sqrt(1.0 - LASTING**2) * drawn[row]
    return made


def world(seed: int, sessions: int, names: int, sharpe_per_year: float) -> World:
    """Returns whose hidden score earns about this ratio per year by its book of ranks, before costs."""
    chance = np.random.default_rng([seed, 1])
    market = MARKET_DEVIATION * chance.standard_normal((sessions, 1))
    scale = OWN_DEVIATION / math.sqrt(TAIL_DEGREES / (TAIL_DEGREES - 2))
    own = scale * chance.standard_t(TAIL_DEGREES, (sessions, names))
    hidden = lasting_scores(seed + 1_000_003, sessions, names)
    # A book of ranks of normal scores z: ratio per session = strength x correlation(rank, z) x sqrt(names) / deviation.
    ranks = math.sqrt(3.0 / math.pi)
    strength = sharpe_per_year / math.sqrt(SESSIONS_PER_YEAR) * OWN_DEVIATION / (ranks * math.sqrt(names))
    return World(market + own + strength * hidden, hidden)


def run_campaign(
    seed: int, signals: int, sessions: int, names: int, *, sharpe_per_year: float, cost_bps: float = 0.0
) -> Campaign:
    """`signals` worthless signals and the planted one, all trials of one search over one world."""
    made = world(seed, sessions, names, sharpe_per_year)
    scores = (lasting_scores(seed * 100_000 + number, sessions, names) for number in range(signals))
    found = [evidence_of(made, one, number, cost_bps) for number, one in enumerate(scores)]
    planted = evidence_of(made, made.hidden, signals, cost_bps)
    everyone = [*found, planted]
    ratios = [moments(one.returns).sharpe for one in everyone]
    returns = np.column_stack([one.returns for one in everyone])
    search = searched(len(everyone), variance_of_trials(ratios), returns, includes=True, records=len(everyone))
    first = replace(search, count=1, variance=0.0, records=1)
    decisions = [judge_record(one, search) for one in found]
    shuffled = np.array([one.shuffled for one in everyone])
    interval = sharpe_interval(len(planted.returns), SHUFFLED_CONFIDENCE)
    return Campaign(
        signals=signals,
        sessions=len(planted.returns),
        promoted=sum(decision.promoted for decision in decisions),
        alone=sum(_else_good(d) and judge_record(one, first).promoted for one, d in zip(found, decisions, strict=True)),
        passed=Counter(hurdle.name for decision in decisions for hurdle in decision.tests if hurdle.passed),
        best_sharpe=per_year(max(ratios[:-1])),
        overfitting=search.overfitting,
        shuffled=shuffled,
        interval=interval,
        inside=float((np.abs(shuffled) <= interval).mean()),
        planted=judge_record(planted, search),
        planted_sharpe=per_year(ratios[-1]),
    )


def _else_good(decision: Decision) -> bool:
    """Whether everything passed that does not ask how many trials there were: only then the count decides."""
    return all(hurdle.passed for hurdle in decision.tests if hurdle.name not in COUNTED)


def evidence_of(made: World, scores: Floats, number: int, cost_bps: float) -> Evidence:
    """Evidence of the `number`-th signal of a world."""
    name = f"{number:064x}"
    return evaluate(scores, made.returns, cost_bps=cost_bps, spec_sha256=name, data_sha256="simulated", seed=number)
