"""Many random problems through both solvers, and what came of it.

python tests/portfolio/random_campaign.py FIRST COUNT [--cases FOLDER]    from the root of the checkout; prints a summary

A problem is settled when both solvers agree on status and objective, or when the structured one says `not_converged`, which is
what makes the chain of methods take its second solver. Anything else is a disagreement, and so is a broken limit.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from clarabel_form import INFEASIBLE, OPTIMAL, UNKNOWN, Reply, reference
from plain_problem import Floats, PlainProblem
from random_problems import random_problem

from marketbot_assets.portfolio import funding
from marketbot_assets.portfolio.structured.problem import Cone, Solution, StructuredProblem, Tail, Top
from marketbot_assets.portfolio.structured.solve import solve

AGREEMENT, BROKEN = 1e-7, 1e-9
AGREED, INSIDE = "agreed", "agreed within the reference's own gap"
FALLBACK, UNJUDGED, DISAGREED = "fallback taken", "no reference", "DISAGREED"


@dataclass(frozen=True)
class Outcome:
    """One problem: its kind, what Clarabel said, how far apart, how much a limit is broken, steps taken."""

    seed: int
    twists: tuple[str, ...]
    kind: str
    reference: str
    structured: str
    distance: float
    violation: float
    steps: int
    why: str = ""


def structured(problem: PlainProblem) -> StructuredProblem:
    """The same problem in the types of the structured solver."""
    of = problem.funding
    waves = () if of is None else tuple(funding.Wave(w.currency, w.buys, w.sells, w.cash) for w in of.waves)
    return StructuredProblem(
        mu=problem.mu,
        root=problem.root,
        specific=problem.specific,
        risk_aversion=problem.risk_aversion,
        cost_buy=problem.cost_buy,
        cost_sell=problem.cost_sell,
        now=problem.now,
        lower=problem.lower,
        upper=problem.upper,
        rows=problem.rows,
        row_bounds=problem.row_bounds,
        buy_rows=problem.buy_rows,
        buy_bounds=problem.buy_bounds,
        cones=tuple(Cone(cone.root, cone.radius, cone.specific) for cone in problem.cones),
        top=None if problem.top is None else Top(*problem.top),
        tails=tuple(Tail(tail.returns, tail.count, tail.bound) for tail in problem.tails),
        funding=None if of is None else funding.Funding(of.base, waves, of.debts, of.bound, of.leg_cost),
    )


def outcome(problem: PlainProblem) -> Outcome:
    """Both solvers on one problem. The measures of objective and violation are those of `plain_problem`."""
    known, found = reference(problem), solve(structured(problem))
    distance = violation = 0.0
    if found.status == OPTIMAL:
        violation = problem.violation(found.weights)
        if known.status == OPTIMAL:
            here = problem.objective(found.weights)
            distance = abs(here - known.objective) / (1e-3 + abs(known.objective))
    kind, why = judged(problem, known, found, distance, violation)
    said = (known.status, found.status, distance, violation, found.steps)
    return Outcome(problem.seed, problem.twists, kind, *said, why)


def judged(problem: PlainProblem, known: Reply, found: Solution, distance: float, violation: float) -> tuple[str, str]:
    """The kind of an outcome, and why it is a disagreement. NaN counts as one."""
    if found.status not in (OPTIMAL, INFEASIBLE, "not_converged"):
        return DISAGREED, f"unknown status {found.status}"
    if not violation <= BROKEN:
        return DISAGREED, f"a limit is broken by {violation:.1e}"
    if found.status == OPTIMAL and problem.surely_infeasible:
        return DISAGREED, "no book can keep all limits"
    if found.status == "not_converged":
        return FALLBACK, ""
    if known.status == UNKNOWN:
        return UNJUDGED, ""
    if known.status != found.status:
        return DISAGREED, f"{found.status}, the reference says {known.status}"
    if not distance <= AGREEMENT:
        # Costs of 100 in a utility of 1e-3 are more than Clarabel can resolve: its own bounds then say what it knows.
        if known.objective <= found.objective <= known.dual:
            return INSIDE, ""
        if not known.exact and not found.objective > known.dual + AGREEMENT * (1e-3 + abs(known.dual)):
            return UNJUDGED, ""
        return DISAGREED, f"objectives are {distance:.1e} apart"
    return AGREED, ""


def campaign(seeds: Iterable[int]) -> list[Outcome]:
    """The outcomes of many seeds, in order."""
    return [outcome(random_problem(seed)) for seed in seeds]


def summary(found: Sequence[Outcome]) -> str:
    """Counts, the worst figures, and every problem that is not settled."""
    kinds, statuses = Counter(x.kind for x in found), Counter((x.reference, x.structured) for x in found)
    lines = [f"{len(found)} problems: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())]
    lines += [f"  reference {known}, structured {ours}: {count}" for (known, ours), count in statuses.most_common()]
    optimal = [x for x in found if x.reference == x.structured == OPTIMAL]
    if optimal:
        distances, steps = [x.distance for x in optimal], [x.steps for x in optimal]
        lines.append(f"  objectives apart: median {np.median(distances):.1e}, worst {max(distances):.1e}")
        lines.append(f"  worst violation {max(x.violation for x in optimal):.1e}")
        lines.append(f"  steps: median {np.median(steps):.0f}, most {max(steps)}")
    lines += ["  fallback by twist: " + ", ".join(f"{n} {name}" for name, n in by_twist(found, FALLBACK)[:8])]
    lines += [f"  no reference: seeds {' '.join(str(x.seed) for x in found if x.kind == UNJUDGED)}"]
    lines += [f"  seed {x.seed} {' '.join(x.twists)}: {x.why}" for x in found if x.kind == DISAGREED]
    return "\n".join(lines)


def by_twist(found: Sequence[Outcome], kind: str) -> list[tuple[str, int]]:
    """How often each twist was part of an outcome of this kind."""
    return Counter(name for x in found if x.kind == kind for name in x.twists).most_common()


# --- small cases of a disagreement -----------------------------------------------------------------------------------


def smaller(problem: PlainProblem) -> Iterable[PlainProblem]:
    """The problem with one part less: a limit, a row, half of the names, one name."""
    for name, nothing in (("cones", ()), ("top", None), ("tails", ()), ("funding", None)):
        if getattr(problem, name):
            yield replace(problem, **{name: nothing})
    for index in range(len(problem.cones)):
        yield replace(problem, cones=problem.cones[:index] + problem.cones[index + 1 :])
    for rows, bounds in (("rows", "row_bounds"), ("buy_rows", "buy_bounds")):
        for index in range(len(getattr(problem, bounds))):
            left = {name: np.delete(getattr(problem, name), index, axis=0) for name in (rows, bounds)}
            yield replace(problem, **left)
    if len(problem.root):
        yield without_factors(problem, problem.root[:-1])
    half, everyone = problem.size // 2, range(problem.size)
    parts = [[*everyone[:half]], [*everyone[half:]], *([i for i in everyone if i != left] for left in everyone)]
    for kept in parts:
        if 0 < len(kept) < problem.size:
            yield of_names(problem, kept)


def without_factors(problem: PlainProblem, root: Floats) -> PlainProblem:
    """Another factor root, also in the cone that shares it."""
    cones = tuple(replace(cone, root=root) if cone.root is problem.root else cone for cone in problem.cones)
    return replace(problem, root=root, cones=cones)


def of_names(problem: PlainProblem, kept: Sequence[int]) -> PlainProblem:
    """The same limits over fewer names."""
    names = ("mu", "specific", "cost_buy", "cost_sell", "now", "lower", "upper")
    cut = {name: getattr(problem, name)[kept] for name in names}
    cut |= {name: getattr(problem, name)[:, kept] for name in ("rows", "buy_rows", "root")}
    cones = tuple(
        replace(
            cone,
            root=cut["root"] if cone.root is problem.root else cone.root[:, kept],
            specific=cone.specific[kept] if len(cone.specific) else cone.specific,
        )
        for cone in problem.cones
    )
    tails = tuple(replace(tail, returns=tail.returns[:, kept]) for tail in problem.tails)
    of = problem.funding
    if of is not None:
        of = replace(of, waves=tuple(replace(w, buys=w.buys[kept], sells=w.sells[kept]) for w in of.waves))
    return replace(problem, **cut, cones=cones, tails=tails, funding=of)


def shrunk(problem: PlainProblem, rounds: int = 60) -> PlainProblem:
    """The smallest problem found by leaving parts out that still disagrees for a reason of the same kind."""
    # A part less may make a problem feasible that was not by construction.
    problem = replace(problem, surely_infeasible=False)
    reason = outcome(problem).why.split(" ")[0]
    for _ in range(rounds):
        step = next((x for x in smaller(problem) if _disagrees(x, reason)), None)
        if step is None:
            break
        problem = step
    return problem


def _disagrees(problem: PlainProblem, reason: str) -> bool:
    found = outcome(problem)
    return found.kind == DISAGREED and found.why.split(" ")[0] == reason


def plainly(value: object) -> object:
    """Arrays and dataclasses as JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [plainly(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plainly(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def write_case(found: Outcome, folder: Path) -> None:
    """One disagreement as a file: what was found, and the smallest problem that shows it."""
    problem = random_problem(found.seed)
    small = problem if problem.surely_infeasible else shrunk(problem)
    content = {"found": plainly(found), "shrunk_names": small.size, "problem": plainly(small)}
    (folder / f"seed-{found.seed}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Exit 1 when a problem is not settled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--cases", type=Path, help="folder for disagreements")
    given = parser.parse_args(arguments)
    found = campaign(range(given.first, given.first + given.count))
    print(summary(found))
    wrong = [x for x in found if x.kind == DISAGREED]
    if given.cases is not None:
        given.cases.mkdir(parents=True, exist_ok=True)
        for one in wrong:
            write_case(one, given.cases)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
