"""What of a problem stays from day to day, laid out for the compiled search: rows, roots, roots of cones. Pure.

It holds for every problem of the very same arrays; forecasts, book, costs and bounds may change.
Not here: the search for today's numbers (`solve`), the proof, which reads the problem itself (`certificate`).
"""

from dataclasses import dataclass, field

import numpy as np

from marketbot_assets.portfolio.structured.problem import Floats, StructuredProblem


@dataclass(frozen=True, slots=True)
class Prepared:
    """`up`, `down` (m, n): rows on weights, then on buys. `root` (k, n), contiguous. `curve` (n,): own variance in the utility.

    `masks` (1, k), `specifics` (1, n): which rows of the root and which own variances the utility has.
    """

    problem: StructuredProblem
    up: Floats
    down: Floats
    root: Floats
    curve: Floats
    least: float
    most: float
    masks: Floats
    specifics: Floats
    _roots: dict[int, Floats] = field(default_factory=dict)

    def fits(self, problem: StructuredProblem) -> bool:
        """Whether the problem has the arrays that this was made of."""
        own, both, buys = self.problem, len(problem.row_bounds), len(problem.buy_bounds)
        return (
            problem.root is own.root
            and problem.specific is own.specific
            and problem.risk_aversion == own.risk_aversion
            and problem.cones is own.cones
            and len(own.row_bounds) == both
            and len(own.buy_bounds) == buys
            and (not both or problem.rows is own.rows)
            and (not buys or problem.buy_rows is own.buy_rows)
        )

    def cone_root(self, number: int) -> Floats:
        """The root of a cone with at most n rows and the same norm for all weights."""
        if number not in self._roots:
            root = np.asarray(self.problem.cones[number].root, dtype=float)
            tall = len(root) > root.shape[1]
            self._roots[number] = np.asarray(np.linalg.qr(root, mode="r")) if tall else root
        return self._roots[number]


def prepare(problem: StructuredProblem) -> Prepared:
    """The layout of a problem. The problem's arrays must not be written to while it is in use."""
    blocks = [np.asarray(rows, dtype=float) for rows in (problem.rows, problem.buy_rows) if len(rows)]
    n, both = len(problem.now), len(problem.row_bounds)
    up = np.concatenate(blocks) if len(blocks) > 1 else np.ascontiguousarray(blocks[0]) if blocks else np.zeros((0, n))
    down = up
    if len(problem.buy_bounds):
        down = up.copy()
        down[both:] = 0.0
    root = np.ascontiguousarray(problem.root, dtype=float)
    curve = problem.risk_aversion * problem.specific
    return Prepared(
        problem, up, down, root, curve, float(curve.min()), float(curve.max()), np.ones((1, len(root))),
        problem.specific[None],
    )  # fmt: skip
