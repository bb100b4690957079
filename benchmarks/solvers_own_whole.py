"""Ours on problems with every limit of the mandate: the structured solver and the readable form, as the platform calls them."""

from functools import cache
from pathlib import Path

import whole_days
from mean_variance import Floats

from marketbot_assets.portfolio.structured.adapter import structured
from marketbot_assets.portfolio.structured.problem import Solution
from marketbot_assets.portfolio.structured.solve import solve
from marketbot_assets.portfolio.target import OPTIMAL, Problem


@cache
def load(path: Path) -> Problem:
    """The problem of a day's file; the peers read the arrays beside it."""
    return whole_days.problem_from(path.with_suffix(".json"))


class WholeStructured:
    """Arrays in, certified weights out; the mandate's limits were put into arrays beforehand, as the peers' were."""

    leaves_out = ""
    note = ""

    def prepare(self, problem: Problem) -> object:
        return structured(problem)

    def cold(self, problem: object) -> Floats:
        return self._weights(solve(problem))

    begin = cold

    def warm(self, problem: object) -> Floats:
        return self._weights(solve(problem, self._yesterday))

    def _weights(self, found: Solution) -> Floats:
        assert found.status == OPTIMAL, f"{found.status}, gap {found.gap:.1e}, residual {found.residual:.1e}"
        self._yesterday = found.multipliers
        self.note = f"{found.steps} steps"
        return found.weights


class Readable:
    """The project's cvxpy form, from the mandate's limits to weights."""

    leaves_out = ""

    def prepare(self, problem: Problem) -> Problem:
        return problem

    def cold(self, problem: Problem) -> Floats:
        from marketbot_assets.portfolio.optimizer import mean_variance

        answer = mean_variance(problem)
        assert answer.status == OPTIMAL, answer.status
        return answer.weights


class Platform:
    """The structured solver from the mandate's limits to weights and duals: the other side of `Readable`."""

    leaves_out = ""

    def prepare(self, problem: Problem) -> Problem:
        return problem

    def cold(self, problem: Problem) -> Floats:
        from marketbot_assets.portfolio.structured.adapter import structured_mean_variance

        return structured_mean_variance(problem).weights
