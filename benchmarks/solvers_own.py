"""Our structured solver on the standard problem, arrays in and certified weights out. Same interface as in `solvers_raw`."""

from dataclasses import replace

import numpy as np
from mean_variance import AVERSION, CAP, SECTOR_CAP, SECTORS, Floats, MeanVariance

from marketbot_assets.portfolio.structured.prepared import Prepared, prepare
from marketbot_assets.portfolio.structured.problem import Cone, Solution, StructuredProblem
from marketbot_assets.portfolio.structured.solve import solve

load = MeanVariance.load


class Structured:
    """The dual solver; every answer carries a gap and a residual that were recomputed from scratch, and that is timed, too."""

    leaves_out = ""
    note = ""

    def __init__(self) -> None:
        self._layout: Prepared | None = None

    def prepare(self, day: MeanVariance) -> StructuredProblem:
        """Today's arrays; what did not change since the layout was made is the same object."""
        n = day.size
        problem = StructuredProblem(
            mu=day.mu,
            root=day.root,
            specific=day.specific,
            risk_aversion=AVERSION,
            cost_buy=day.cost,
            cost_sell=day.cost,
            now=day.now,
            lower=np.zeros(n),
            upper=np.full(n, CAP),
            rows=np.vstack([np.ones(n), day.sectors]),
            row_bounds=np.concatenate([[1.0], np.full(SECTORS, SECTOR_CAP)]),
            cones=() if day.vol is None else (Cone(day.root, day.vol, day.specific),),
        )
        old = None if self._layout is None else self._layout.problem
        same = ("root", "specific", "rows")
        if old is None or not all(np.array_equal(getattr(problem, name), getattr(old, name)) for name in same):
            return problem
        cones = old.cones if [c.radius for c in old.cones] == [c.radius for c in problem.cones] else problem.cones
        return replace(problem, root=old.root, specific=old.specific, rows=old.rows, cones=cones)

    def cold(self, problem: StructuredProblem) -> Floats:
        return self._weights(solve(problem))

    def begin(self, problem: StructuredProblem) -> Floats:
        """Yesterday: the risk model and the rows are laid out once, as the peers' are."""
        self._layout = prepare(problem)
        return self.cold(problem)

    def warm(self, problem: StructuredProblem) -> Floats:
        """Starts from yesterday's multipliers."""
        return self._weights(solve(problem, self._yesterday, prepared=self._layout))

    def _weights(self, found: Solution) -> Floats:
        """Only what is proven."""
        assert found.status == "optimal", f"{found.status}, gap {found.gap:.1e}, residual {found.residual:.1e}"
        self._yesterday = found.multipliers
        self.note = f"{found.steps} steps"
        return found.weights


class Unproven(Structured):
    """The same search; the proof is left to whoever measures, as with the peers."""

    def cold(self, problem: StructuredProblem) -> Floats:
        return self._taken(solve(problem, prove=False))

    def begin(self, problem: StructuredProblem) -> Floats:
        self._layout = prepare(problem)
        return self.cold(problem)

    def warm(self, problem: StructuredProblem) -> Floats:
        return self._taken(solve(problem, self._yesterday, prepared=self._layout, prove=False))

    def _taken(self, found: Solution) -> Floats:
        self._yesterday = found.multipliers
        self.note = f"{found.steps} steps"
        return found.weights
