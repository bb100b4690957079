"""Prints what the promotion gate does with worthless signals, a planted one, and labels shuffled in time.

python benchmarks/promotion.py [--signals 1000] [--sessions 2520] [--names 50] [--sharpe 2.5] [--worlds 20]

Signals last and cost nothing to trade: the hardest case for the gate. The second table plants a signal of ratio 1 that is the only
trial of its search, in so many worlds.
"""

import argparse
import time

import numpy as np

from marketbot_assets.research.null_campaign import evidence_of, run_campaign, world
from marketbot_assets.research.promotion import judge_record, searched
from marketbot_assets.research.sharpe_statistics import expected_maximum, moments, per_year
from marketbot_resources.model import SESSIONS_PER_YEAR

SEED = 2014
CONFIDENT = 1.6449  # standard errors of a one-sided 95 %


def main() -> None:
    """Runs both parts and prints their numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("signals", 1000), ("sessions", 2520), ("names", 50), ("worlds", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--sharpe", type=float, default=2.5)
    asked = parser.parse_args()
    begun = time.process_time()
    found = run_campaign(SEED, asked.signals, asked.sessions, asked.names, sharpe_per_year=asked.sharpe)
    print(f"worthless signals          {found.signals}, {found.sessions} sessions out of sample, {asked.names} names")
    print(f"promoted                   {found.promoted} ({found.promoted / found.signals:.2%})")
    print(f"promoted if each alone     {found.alone} ({found.alone / found.signals:.2%})")
    print(f"best worthless ratio       {found.best_sharpe:.2f} per year; overfitting {found.overfitting:.2f}")
    for name, count in found.passed.items():
        print(f"  passed {name:<17} {count} of {found.signals}")
    print(
        f"planted ratio {asked.sharpe:g}         {found.planted_sharpe:.2f} found, promoted: {found.planted.promoted}"
    )
    for test in found.planted.tests:
        print(f"  {'pass' if test.passed else 'FAIL'} {test.name}: {test.told}")
    shuffled = found.shuffled
    error = shuffled.std(ddof=1) / np.sqrt(len(shuffled))
    print(
        f"shuffled labels            mean ratio {shuffled.mean():+.4f} (error {error:.4f}), deviation {shuffled.std(ddof=1):.3f}"
    )
    print(f"  by theory                0 with deviation {np.sqrt(SESSIONS_PER_YEAR / found.sessions):.3f}; ", end="")
    print(f"{found.inside:.1%} within the 95 % interval of {found.interval:.3f}; planted {shuffled[-1]:+.3f}")
    years = (expected_maximum(asked.signals) + CONFIDENT) ** 2
    print(f"a ratio of 1 among {asked.signals} trials needs about {years:.0f} years out of sample")
    alone(asked.worlds, asked.sessions, asked.names)
    print(f"{time.process_time() - begun:.0f} CPU seconds")


def alone(worlds: int, sessions: int, names: int) -> None:
    """A planted ratio of 1 as the only trial."""
    only = searched(1, 0.0, None, includes=True, records=1)
    ratios, promoted = [], 0
    for number in range(worlds):
        made = world(SEED + 1 + number, sessions, names, 1.0)
        one = evidence_of(made, made.hidden, number, 0.0)
        ratios.append(per_year(moments(one.returns).sharpe))
        promoted += judge_record(one, only).promoted
    error = np.std(ratios, ddof=1) / np.sqrt(worlds)
    print(f"planted ratio 1, alone     mean {np.mean(ratios):.3f} found (error {error:.3f}), ", end="")
    print(f"promoted in {promoted} of {worlds} worlds")


if __name__ == "__main__":
    main()
