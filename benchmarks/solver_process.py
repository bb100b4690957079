"""One competitor in a process of its own, in its own environment: problems come as files, times and answers go back.

python benchmarks/solver_process.py MODULE CLASS    then one JSON request per line on standard input

A request names a mode and the files of some days. The first day is not timed: a warm start begins there, and it warms caches and
compilers up (`warmed`: a slow competitor's are by now). The process times each later day by itself. Not here: who asks, and what
is compared (`optimizer`).
"""

import importlib
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ENOUGH_SECONDS, REPEATS_MAX = 0.05, 20


class Competition:
    """A competitor and how its answers are timed."""

    def __init__(self, module: str, name: str) -> None:
        self._module = importlib.import_module(module)
        self._competitor = getattr(self._module, name)()

    def answer(self, request: dict) -> dict:
        """The median-ready times of each timed day, seconds; weights go to the file `out`."""
        days = [self._module.load(Path(path)) for path in request["days"]]
        cpu: list[list[float]] = [[] for _ in days[1:]]
        wall: list[list[float]] = [[] for _ in days[1:]]
        spent, weights = 0.0, []
        for _ in range(REPEATS_MAX):
            weights, times = self._once(days, request["mode"], warmed=bool(request["warmed"]))
            for place, (used, passed) in enumerate(times):
                cpu[place].append(used)
                wall[place].append(passed)
            spent += sum(used for used, _ in times)
            if spent >= ENOUGH_SECONDS:
                break
        np.save(request["out"], np.array(weights))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"cpu": cpu, "wall": wall, "peak": peak, "note": getattr(self._competitor, "note", "")}

    def _once(self, days: list, mode: str, *, warmed: bool) -> tuple[list, list[tuple[float, float]]]:
        one = self._competitor
        solve = one.cold if mode == "cold" else one.warm
        if mode == "cold" and not warmed:
            one.cold(one.prepare(days[0]))
        if mode != "cold":
            one.begin(one.prepare(days[0]))
        weights, times = [], []
        for day in days[1:]:
            data = one.prepare(day)
            used, passed = time.process_time(), time.perf_counter()
            found = solve(data)
            times.append((time.process_time() - used, time.perf_counter() - passed))
            weights.append(found)
        return weights, times


def main() -> None:
    """Answers until standard input ends. What libraries print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    competition = Competition(*sys.argv[1:3])
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        try:
            said = competition.answer(json.loads(line))
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        print(json.dumps(said), file=channel, flush=True)


if __name__ == "__main__":
    main()
