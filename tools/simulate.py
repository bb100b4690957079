"""`make simulate SEEDS=1,2,3 [SESSIONS=252]`: years of trading between misbehaving ports, the real code in the middle.

Prints a row per seed and a table of what went wrong how often; exit 1 when an invariant failed, with the command for it.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HARNESS = Path(__file__).parents[1] / "tests" / "simulation"
HEAD = "| seed | sessions | attempts | orders | fills | ledger entries | approved | rejected | halted | undecided | CPU s |"


def seeds_of(text: str) -> list[int]:
    """`1,2,5-8` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def one(seed: int, sessions: int) -> tuple[object, str, float]:
    """(tally or None, what failed, CPU seconds) of a seed."""
    sys.path.insert(0, str(HARNESS))
    from sim_invariants import Violation
    from sim_run import simulate

    begun = time.process_time()
    try:
        return simulate(seed, sessions), "", time.process_time() - begun
    except Violation as error:
        return None, str(error), time.process_time() - begun


def told(results: Iterator[tuple[object, str, float]], seeds: Sequence[int]) -> int:
    """Prints rows as they come, then the totals; the number of seeds that failed."""
    faults: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    failed = 0
    print(HEAD, "|---" * 11 + "|", sep="\n")
    for seed, (tally, why, spent) in zip(seeds, results, strict=True):
        totals["CPU s"] += round(spent)
        if tally is None:
            failed += 1
            print(f"| {seed} | FAILED: {why}", flush=True)
            continue
        ends = tally.ends  # type: ignore[attr-defined]
        numbers = {name: getattr(tally, name) for name in ("sessions", "attempts", "orders", "fills", "entries")}
        verdicts = {name: ends[name] for name in ("APPROVED", "REJECTED", "HALT", "no decision")}
        totals.update({**numbers, **verdicts})
        faults += tally.faults  # type: ignore[attr-defined]
        cells = [seed, *numbers.values(), *verdicts.values(), f"{spent:.1f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\n{len(seeds)} seeds, {failed} failed")
    print("\n".join(f"| {name} | {count} |" for name, count in totals.items()))
    print("\n| fault | times |\n|---|---|")
    print("\n".join(f"| {name} | {count} |" for name, count in sorted(faults.items())))
    return failed


def main(words: Sequence[str]) -> int:
    """Exit code: 0 when every invariant held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", help="1,2,3 or 0-499")
    parser.add_argument("--sessions", type=int, default=252, help="per seed, a multiple of 7 (252)")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args(words)
    seeds = seeds_of(asked.seeds)
    if asked.processes == 1:
        return 1 if told((one(seed, asked.sessions) for seed in seeds), seeds) else 0
    with ProcessPoolExecutor(asked.processes) as pool:
        return 1 if told(pool.map(one, seeds, [asked.sessions] * len(seeds)), seeds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
