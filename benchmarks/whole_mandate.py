"""Problems with every limit of the mandate as files of plain arrays, so that any environment can read them.

Not here: who makes them (`whole_days`).
"""

from pathlib import Path

import numpy as np
from plain_problem import Cone, Funding, PlainProblem, Tail, Wave

PLAIN = (
    *("mu", "root", "specific", "cost_buy", "cost_sell", "now", "lower", "upper"),
    *("rows", "row_bounds", "buy_rows", "buy_bounds"),
)


def save(problem: PlainProblem, path: Path) -> None:
    """One problem as .npz."""
    arrays = {name: getattr(problem, name) for name in PLAIN} | {"aversion": np.array(problem.risk_aversion)}
    for i, cone in enumerate(problem.cones):
        arrays |= {
            f"cone{i}root": cone.root,
            f"cone{i}specific": cone.specific,
            f"cone{i}radius": np.array(cone.radius),
        }
    for i, tail in enumerate(problem.tails):
        arrays |= {f"tail{i}returns": tail.returns, f"tail{i}numbers": np.array([tail.share, tail.bound])}
    if problem.top is not None:
        arrays["top"] = np.array(problem.top)
    of = problem.funding
    if of is not None:
        arrays |= {"base": np.array(of.base), "funds": np.array([of.bound, of.leg_cost])}
        arrays |= {"owing": np.array([c for c, _ in of.debts], dtype=str), "owed": np.array([d for _, d in of.debts])}
        for i, wave in enumerate(of.waves):
            numbers = {
                "currency": np.array(wave.currency),
                "buys": wave.buys,
                "sells": wave.sells,
                "cash": np.array(wave.cash),
            }
            arrays |= {f"wave{i}{name}": value for name, value in numbers.items()}
    np.savez(path, **arrays)


def load(path: Path) -> PlainProblem:
    """What `save` wrote."""
    with np.load(path) as stored:
        a = {name: stored[name] for name in stored.files}
    cones = tuple(
        Cone(a[f"cone{i}root"], a[f"cone{i}specific"], float(a[f"cone{i}radius"]))
        for i in range(_count(a, "cone", "root"))
    )
    tails = tuple(
        Tail(a[f"tail{i}returns"], *(float(x) for x in a[f"tail{i}numbers"]))
        for i in range(_count(a, "tail", "returns"))
    )
    funding = None
    if "base" in a:
        waves = tuple(
            Wave(str(a[f"wave{i}currency"]), a[f"wave{i}buys"], a[f"wave{i}sells"], float(a[f"wave{i}cash"]))
            for i in range(_count(a, "wave", "buys"))
        )
        debts = tuple((str(c), float(d)) for c, d in zip(a["owing"], a["owed"], strict=True))
        funding = Funding(str(a["base"]), waves, debts, float(a["funds"][0]), float(a["funds"][1]))
    top = (int(a["top"][0]), float(a["top"][1])) if "top" in a else None
    plain = {name: a[name] for name in PLAIN}
    return PlainProblem(
        **plain,
        risk_aversion=float(a["aversion"]),
        cones=cones,
        top=top,
        tails=tails,
        funding=funding,
    )


def _count(arrays: dict[str, np.ndarray], start: str, end: str) -> int:
    return sum(name.startswith(start) and name.endswith(end) for name in arrays)
