"""Our structured solver on the standard problem, arrays in and certified weights out. Same interface as in `solvers_raw`."""

import numpy as np
from mean_variance import AVERSION, CAP, SECTOR_CAP, SECTORS, Floats, MeanVariance

from marketbot_assets.portfolio.structured.problem import Cone, Solution, StructuredProblem
from marketbot_assets.portfolio.structured.solve import solve

load = MeanVariance.load


class Structured:
    """The dual solver; every answer carries a gap and a residual that were recomputed from scratch, and that is timed, too."""

    leaves_out = ""
    note = ""

    def prepare(self, day: MeanVariance) -> StructuredProblem:
        n = day.size
        return StructuredProblem(
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

    def cold(self, problem: StructuredProblem) -> Floats:
        return self._weights(solve(problem))

    begin = cold

    def warm(self, problem: StructuredProblem) -> Floats:
        """Starts from yesterday's multipliers."""
        return self._weights(solve(problem, self._yesterday))

    def _weights(self, found: Solution) -> Floats:
        assert found.status == "optimal", f"{found.status}, gap {found.gap:.1e}, residual {found.residual:.1e}"
        self._yesterday = found.multipliers
        self.note = f"{found.steps} steps"
        return found.weights
