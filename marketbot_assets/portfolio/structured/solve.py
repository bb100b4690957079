"""The structured solver: which rows and cones take part, the compiled search, repair, proof. Pure.

Cones, the ten largest, expected shortfall and funding enter only once an answer breaks them. Names without own variance get a
proximal term that vanishes at the answer (Rockafellar 1976), so that a linear program is solved, too. An answer is `optimal` only
when plain numpy finds (dual value - utility) / (1e-3 + |utility|) <= `tolerance` and no limit broken by more than 1e-9.
Not here: the compiled search (`kernel`, `cones`), the proof (`certificate`), the mandate's problem (`adapter`).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from marketbot_assets.portfolio.structured import certificate, cuts
from marketbot_assets.portfolio.structured.cones import search
from marketbot_assets.portfolio.structured.problem import (
    INFEASIBLE,
    NOT_CONVERGED,
    OPTIMAL,
    Cone,
    Floats,
    Multipliers,
    Solution,
    StructuredProblem,
)

GAP_TOLERANCE, RESIDUAL_TOLERANCE = 2e-8, 1e-9
KERNEL_TOLERANCE, CUT_TOLERANCE, CONE_TOLERANCE = 1e-13, 1e-10, 2e-10
ROUNDS_MAX, STEPS_MAX, STEPS_IN_ALL = 300, 200, 5000
LEAST_UTILITY = -1e6
CURVE_PLAIN, CURVE_FLAT, CURVE_SHARE, CURVE_SHRINKS, CURVE_LEAST = 1e-3, 1e-3, 0.1, 0.3, 0.01
REPAIRS = (1e-9, 1e-8, 1e-7)


@dataclass
class _State:
    """What the search works on: stacked rows and roots, multipliers, where names stand."""

    problem: StructuredProblem
    up: Floats
    down: Floats
    bound: Floats
    roots: Floats
    masks: Floats
    specifics: Floats
    extra: Floats
    f: Floats
    y: Floats
    moved: Floats
    centre: Floats
    cones: list[int] = field(default_factory=list)
    prices: Floats = field(default_factory=lambda: np.zeros(0))
    cut: list[cuts.Cut] = field(default_factory=list)
    steps: int = 0
    value: float = np.inf
    error: float = np.inf

    @property
    def plain(self) -> int:
        return len(self.problem.row_bounds) + len(self.problem.buy_bounds)

    @property
    def weights(self) -> Floats:
        problem = self.problem
        return np.minimum(np.maximum(problem.now + self.moved, problem.lower), problem.upper)


def solve(
    problem: StructuredProblem, start: Multipliers | None = None, *, tolerance: float = GAP_TOLERANCE
) -> Solution:
    """The optimal weights with their proof; `start`: the multipliers of an earlier solve of a similar problem.

    Never raises for a problem of finite numbers and matching shapes: the status says whether the answer may be used.
    """
    if len(problem.now) == 0 or bool((problem.lower > problem.upper).any()):
        return _trivial(problem, INFEASIBLE)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _solve(_state(problem, start), tolerance)


def _solve(state: _State, tolerance: float) -> Solution:
    first = state.extra
    proof: Solution | None = None
    for _ in range(ROUNDS_MAX):
        _search(state)
        if not state.value >= LEAST_UTILITY or state.steps > STEPS_IN_ALL:
            return _failed(state)
        weights = state.weights
        if _grow(state, weights):
            continue
        proof = _proved(state, weights, tolerance)
        still = float(np.max(np.abs(weights - state.centre) * (state.extra > 0.0), initial=0.0))
        if proof.status == OPTIMAL or still == 0.0:
            break
        state.centre = weights
        if state.error <= CUT_TOLERANCE:
            state.extra = np.maximum(CURVE_SHRINKS * state.extra, CURVE_LEAST * first)
    return proof if proof is not None and proof.status == OPTIMAL else _failed(state)


def _state(problem: StructuredProblem, start: Multipliers | None) -> _State:
    now, blocks = problem.now, [(problem.rows, True), (problem.buy_rows, False)]
    kept = [(np.asarray(rows, dtype=float), both) for rows, both in blocks if len(rows)]
    n = len(now)
    up = np.ascontiguousarray(np.concatenate([rows for rows, _ in kept])) if kept else np.zeros((0, n))
    both = len(problem.row_bounds)
    if len(problem.buy_bounds):
        down = up.copy()
        down[both:] = 0.0
    else:
        down = up
    bound = np.concatenate([problem.row_bounds, problem.buy_bounds])
    if both:
        bound[:both] -= up[:both] @ now
    root = np.ascontiguousarray(problem.root, dtype=float)
    curve = problem.risk_aversion * problem.specific
    state = _State(
        problem, up, down, bound, root, np.ones((1, len(root))), problem.specific[None], _extra(problem, curve),
        root @ now, np.zeros(len(bound)), np.zeros(n), np.minimum(np.maximum(now, problem.lower), problem.upper),
    )  # fmt: skip
    if start is not None:
        _warm(state, start)
    return state


def _usual_curve(problem: StructuredProblem, curve: Floats) -> float:
    """A curvature that is neither steep nor flat for these names: their own, or reward over room."""
    size = float(np.max(np.abs(problem.mu - problem.mu.mean()), initial=0.0)) + float(problem.cost_buy.mean())
    width = float(np.max(problem.upper - problem.lower, initial=0.0))
    return max(float(np.median(curve)), size / width if width > 0.0 else 1.0, 1e-6)


def _extra(problem: StructuredProblem, curve: Floats) -> Floats:
    """(n,) proximal curvature of the names whose own is too flat for a stable step."""
    least = float(curve.min())
    if least > max(CURVE_FLAT * float(curve.max()), CURVE_PLAIN):
        return np.zeros_like(curve)
    usual = _usual_curve(problem, curve)
    return np.where(curve < CURVE_FLAT * usual, CURVE_SHARE * usual, 0.0)


def _warm(state: _State, start: Multipliers) -> None:
    problem = state.problem
    split = len(problem.row_bounds)
    if len(start.rows) == split and len(start.buys) == len(problem.buy_bounds):
        state.y[:split], state.y[split:] = start.rows, start.buys
    if len(start.factors) == len(state.f):
        state.f = start.factors.copy()
    for number, price in enumerate(start.cones[: len(problem.cones)]):
        if price > 0.0:
            _add_cone(state, number, float(price))
    for cut, price in cuts.restart(problem, start):
        _add_cut(state, cut, price)


def _add_cut(state: _State, cut: cuts.Cut, price: float) -> None:
    state.cut.append(cut)
    state.up, state.down = np.vstack([state.up, cut.up]), np.vstack([state.down, cut.down])
    state.bound, state.y = np.append(state.bound, cut.bound), np.append(state.y, price)


def _add_cone(state: _State, number: int, price: float) -> None:
    cone, problem = state.problem.cones[number], state.problem
    n, size = len(problem.now), len(state.roots)
    mask = np.zeros(size)
    if cone.root is problem.root:
        mask[: len(problem.root)] = 1.0
    elif len(cone.root):
        root = cone.root if len(cone.root) <= n else np.asarray(np.linalg.qr(cone.root, mode="r"))
        state.roots = np.ascontiguousarray(np.vstack([state.roots, root]))
        state.masks = np.hstack([state.masks, np.zeros((len(state.masks), len(root)))])
        state.f = np.concatenate([state.f, root @ state.weights])
        mask = np.concatenate([mask, np.ones(len(root))])
    specific = cone.specific if len(cone.specific) else np.zeros(n)
    state.masks = np.vstack([state.masks, mask])
    state.specifics = np.vstack([state.specifics, specific])
    state.cones.append(number)
    state.prices = np.append(state.prices, price)


def _search(state: _State) -> None:
    problem, extra = state.problem, state.extra
    pull = extra * state.centre
    worth = problem.mu + pull
    constant = float(worth @ problem.now) - 0.5 * float(pull @ state.centre)
    radius = np.array([problem.cones[number].radius for number in state.cones])
    steps, state.error, value = search(
        worth - problem.cost_buy, worth + problem.cost_sell, problem.now, problem.lower, problem.upper,
        float(problem.risk_aversion), state.roots, state.roots @ problem.now, state.masks, state.specifics, extra, radius,
        state.up, state.down, state.bound, state.f, state.y, state.prices, state.moved, KERNEL_TOLERANCE, STEPS_MAX,
        LEAST_UTILITY - constant,
    )  # fmt: skip
    state.steps += int(steps)
    state.value = float(value) + constant


def _grow(state: _State, weights: Floats) -> bool:
    """Adds the cones and rows that these weights break; False when none is."""
    problem, grown = state.problem, False
    for number, cone in enumerate(problem.cones):
        if number not in state.cones and _norm(cone, weights) > cone.radius + CONE_TOLERANCE:
            _add_cone(state, number, 0.0)
            grown = True
    for cut in list(cuts.broken(problem, weights, CUT_TOLERANCE)):
        known = any(
            c.kind == cut.kind and c.number == cut.number and np.array_equal(c.shares, cut.shares) for c in state.cut
        )
        if not known:
            _add_cut(state, cut, 0.0)
            grown = True
    return grown


def _norm(cone: Cone, weights: Floats) -> float:
    seen = cone.root @ weights if len(cone.root) else np.zeros(0)
    own = float(cone.specific @ (weights * weights)) if len(cone.specific) else 0.0
    return float(np.sqrt(float(seen @ seen) + own))


def _multipliers(state: _State) -> Multipliers:
    problem, plain = state.problem, state.plain
    split = len(problem.row_bounds)
    cone_prices = np.zeros(len(problem.cones))
    cone_prices[state.cones] = state.prices
    prices = state.y[plain:]
    top, top_price = cuts.mixed(state.cut, prices, cuts.TOP, 0, len(problem.now) if problem.top is not None else 0)
    tails = [cuts.mixed(state.cut, prices, cuts.TAIL, k, len(tail.returns))[0] for k, tail in enumerate(problem.tails)]
    size = len(problem.funding.waves) if problem.funding is not None else 0
    waves, funding = cuts.mixed(state.cut, prices, cuts.FUNDING, 0, size)
    return Multipliers(
        rows=state.y[:split].copy(), buys=state.y[split:plain].copy(), cones=cone_prices, top=top, top_price=top_price,
        tails=tuple(tails), waves=waves, funding=funding, factors=state.f[: len(problem.root)].copy(),
    )  # fmt: skip


def _proved(state: _State, weights: Floats, tolerance: float) -> Solution:
    """The answer with its proof; weights that break a limit by a hair are drawn towards the lower bounds."""
    problem, multipliers = state.problem, _multipliers(state)
    worst = certificate.residual(problem, weights)
    if worst > RESIDUAL_TOLERANCE:
        drawn = ((weights + share * (problem.lower - weights)) for share in REPAIRS)
        weights = next((w for w in drawn if certificate.residual(problem, w) <= RESIDUAL_TOLERANCE), weights)
        worst = certificate.residual(problem, weights)
    objective = certificate.utility(problem, weights)
    dual = certificate.upper_bound(problem, weights, multipliers)
    gap = (dual - objective) / (certificate.OBJECTIVE_FLOOR + abs(objective))
    good = abs(gap) <= tolerance and worst <= RESIDUAL_TOLERANCE
    return Solution(weights, multipliers, OPTIMAL if good else NOT_CONVERGED, objective, dual, gap, worst, state.steps)


def _failed(state: _State) -> Solution:
    """No answer: infeasible when the multipliers prove it, else not converged."""
    problem, found = state.problem, _multipliers(state)
    total = float(found.rows.sum() + found.buys.sum() + found.cones.sum() + found.top_price + found.funding)
    total += sum(float(price.sum()) for price in found.tails)
    scaled = replace(
        found, rows=found.rows / total, buys=found.buys / total, cones=found.cones / total, top=found.top / total,
        top_price=found.top_price / total, tails=tuple(p / total for p in found.tails), waves=found.waves / total,
        funding=found.funding / total,
    ) if total > 0.0 else found  # fmt: skip
    bound = certificate.upper_bound(problem, state.weights, scaled, share=0.0)
    status = INFEASIBLE if bound < -RESIDUAL_TOLERANCE else NOT_CONVERGED
    worst = certificate.residual(problem, state.weights)
    return Solution(state.weights, scaled, status, float("nan"), bound, float("inf"), worst, state.steps)


def _trivial(problem: StructuredProblem, status: str) -> Solution:
    """No names; or `status`: bounds that exclude each other, numbers that are none."""
    none = Multipliers(
        np.zeros(len(problem.row_bounds)), np.zeros(len(problem.buy_bounds)), np.zeros(len(problem.cones)),
        np.zeros(len(problem.now)), 0.0, tuple(np.zeros(len(t.returns)) for t in problem.tails),
        np.zeros(len(problem.funding.waves) if problem.funding is not None else 0), 0.0, np.zeros(len(problem.root)),
    )  # fmt: skip
    weights = problem.lower.copy()
    worst = certificate.residual(problem, weights) if len(weights) == 0 else float("inf")
    good = worst <= RESIDUAL_TOLERANCE
    return Solution(
        weights,
        none,
        OPTIMAL if good else status,
        0.0 if good else float("nan"),
        0.0,
        0.0 if good else float("inf"),
        worst,
        0,
    )
