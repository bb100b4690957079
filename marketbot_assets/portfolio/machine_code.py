"""Compiles the solvers and the operators of features once and keeps the machine code, so that the first session need not.

The installation calls `python -m marketbot_assets.portfolio.machine_code`. Not here: the solvers (`structured`, `parity_kernel`).
"""

from dataclasses import replace

import numpy as np

from marketbot_assets.features import machine_code as feature_code
from marketbot_assets.portfolio.risk_parity import parity_weights
from marketbot_assets.portfolio.structured.problem import Cone, StructuredProblem, Top
from marketbot_assets.portfolio.structured.solve import solve


def compile_all() -> None:
    """One small problem of each kind: plain, with a cone and the sum of the largest; risk parity; the operators of features."""
    n = 6
    root, specific, cost = np.full((2, n), 0.1), np.full(n, 0.04), np.full(n, 0.001)
    plain = StructuredProblem(
        np.linspace(0.02, 0.12, n), root, specific, 5.0, cost, cost, np.zeros(n), np.zeros(n), np.full(n, 0.3)
    )
    solve(replace(plain, rows=np.ones((1, n)), row_bounds=np.array([0.9])))
    solve(replace(plain, cones=(Cone(np.eye(n), 0.2),), top=Top(3, 0.5)))
    parity_weights(root, specific, np.full(n, 1.0 / n))
    feature_code.compile_all()


if __name__ == "__main__":
    compile_all()
