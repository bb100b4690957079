"""OPTIMIZER.md: every competitor's figures, and the targets. Ratios are what counts; milliseconds belong to the machine."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from measure import table

HEAD = (
    "problem",
    "names",
    "mode",
    "competitor",
    "CPU ms",
    "wall ms",
    "x ours",
    "peak MiB",
    "gap",
    "violation",
    "remarks",
)
RAW = ("Clarabel", "PIQP", "OSQP")
CVXPY, OURS = "cvxpy with parameters", "structured (ours)"
GAP_TARGET, VIOLATION_TARGET = 2e-8, 1e-9


class Line(Protocol):
    """One row of `optimizer`."""

    group: str
    size: int
    mode: str
    name: str
    leaves_out: str
    note: str
    missing: str
    peak: float
    gap: float
    violation: float
    cpu: list[float]

    def middle(self, name: str) -> float: ...


def written(rows: Sequence[Line], versions: Mapping[str, str], rounds: int) -> str:
    """The whole file."""
    named = (
        "clarabel",
        "piqp",
        "osqp",
        "cvxpy",
        "skfolio",
        "pyportfolioopt",
        "riskfolio-lib",
        "cvxportfolio",
        "numpy",
        "pandas",
    )
    found = ", ".join(f"{name} {versions.get(name, 'absent')}" for name in named)
    return "\n".join(
        [
            "# The optimizer and its peers",
            "",
            "Written by `.venv/bin/python benchmarks/optimizer.py`; absolute times belong to the machine, ratios are what counts.",
            "",
            f"Every competitor is a process of its own that times itself; measured rounds (here {rounds}) alternate between "
            "them, medians of all days, thread pools pinned to one. "
            "`x ours`: CPU time over that of the structured solver in the same rows.",
            "`peak MiB`: the most that the competitor's process has held so far (sizes run in ascending order).",
            "`gap`: |best - utility| / (1e-3 + |best|), the best from Clarabel at 1e-10; `violation`: the most that a limit is "
            "broken; both the worst of all answers, as the competitor handed them out.",
            "Peers run at tolerance 1e-8 (OSQP 1e-7 with polishing) on an objective scaled by 1,000.",
            "`cold`: nothing known; libraries build their model anew, raw solvers get finished matrices and set up. `next day`: "
            "new forecasts and yesterday's best book; the risk model stays, which spares the peers a factorization.",
            "Ours includes the proof (gap and residual recomputed in numpy), which no peer gives; `structured, proof left out` is "
            "the same search without it, as the peers are timed. Its layout of the risk model and the rows is kept for the next "
            "day, too. "
            "With every limit of the mandate: 65 names are days of "
            "the sample world's own book, 500 names a made-up world of five currencies.",
            "`Clarabel, cones once broken` is told to leave cones and tails out until the best book breaks one, as ours does; "
            "its remark is of the last day, its "
            "time the median of days with and without.",
            "There, `from the mandate's limits` includes what turns limits into arrays and duals back; skfolio, PyPortfolioOpt, "
            "Riskfolio-Lib and cvxportfolio have no limits on buys alone, no funding by waves and no two volatility estimators at "
            "once, PIQP and OSQP no cones.",
            "",
            f"Peers' environment: {found}.",
            "",
            table(HEAD, [cells(row, rows) for row in rows]),
            "",
            "Against the targets:",
            "",
            table(("problem", "names", "mode", "target", "measured", "outcome"), judged(rows)),
            "",
        ]
    )


def ours(row: Line, rows: Sequence[Line]) -> float:
    """CPU seconds of the structured solver on the same problem, NaN when it has none."""
    same = ("group", "size", "mode")
    mine = [x for x in rows if x.name == OURS and all(getattr(x, name) == getattr(row, name) for name in same)]
    return mine[0].middle("cpu") if mine and mine[0].cpu else math.nan


def cells(row: Line, rows: Sequence[Line]) -> list[str]:
    """One line of the table."""
    start = [row.group, f"{row.size:,}", row.mode, row.name]
    if row.missing:
        return [*start, *["-"] * 6, row.missing]
    cpu = row.middle("cpu")
    figures = [f"{1e3 * cpu:.3f}", f"{1e3 * row.middle('wall'):.3f}", f"{cpu / ours(row, rows):.1f}", f"{row.peak:.0f}"]
    remarks = "; ".join(text for text in (f"leaves out: {row.leaves_out}" if row.leaves_out else "", row.note) if text)
    return [*start, *figures, f"{row.gap:.0e}", f"{row.violation:.0e}", remarks]


def judged(rows: Sequence[Line]) -> list[list[str]]:
    """Every target of the optimizer's rows that these rows can judge."""
    lines = []
    for row in rows:
        if row.name != OURS:
            continue
        same = {
            x.name: x.middle("cpu")
            for x in rows
            if x.cpu and not x.missing and (x.group, x.size, x.mode) == (row.group, row.size, row.mode)
        }
        start = [row.group, f"{row.size:,}", row.mode]
        if OURS not in same:
            lines.append([*start, "an answer", row.missing, "missed"])
            continue
        raw = min((same[name] for name in RAW if name in same), default=math.nan)
        for name, theirs, factor in targets(row, raw, same.get(CVXPY, math.nan)):
            ratio = theirs / same[OURS]
            lines.append([*start, f">= {factor} x {name}", f"{ratio:.1f} x", "met" if ratio >= factor else "missed"])
        for name, value, limit in (("gap", row.gap, GAP_TARGET), ("violation", row.violation, VIOLATION_TARGET)):
            lines.append([*start, f"{name} <= {limit:.0e}", f"{value:.0e}", "met" if value <= limit else "missed"])
    return lines


def targets(row: Line, raw: float, cvxpy: float) -> list[tuple[str, float, int]]:
    """(peer, its seconds, how many times ours it should take at least)."""
    if row.group == "mean-variance":
        factors = (30, 150) if row.mode == "next day" else (4, 25)
        return [("the best raw solver", raw, factors[0]), (CVXPY, cvxpy, factors[1])]
    if row.group == "with a volatility cap":
        return [("the best cone solver", raw, 50)] if row.mode == "next day" else []
    return []
