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
from marketbot_assets.portfolio.structured.prepared import Prepared, prepare
from marketbot_assets.portfolio.structured.problem import (
    INFEASIBLE,
    NOT_CONVERGED,
    OPTIMAL,
    UNPROVEN,
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
EMPTY = np.zeros(0)


@dataclass(slots=True)
class _State:
    """What the search works on: stacked rows and roots, multipliers, where names stand. `first`: the first proximal curvature."""

    problem: StructuredProblem
    prepared: Prepared
    up: Floats
    down: Floats
    bound: Floats
    roots: Floats
    root_now: Floats
    masks: Floats
    specifics: Floats
    extra: Floats
    proximal: bool
    f: Floats
    y: Floats
    moved: Floats
    centre: Floats
    plain: int
    cones: list[int] = field(default_factory=list)
    prices: Floats = field(default_factory=lambda: EMPTY)
    cut: list[cuts.Cut] = field(default_factory=list)
    steps: int = 0
    value: float = np.inf
    error: float = np.inf

    def weights(self) -> Floats:
        problem = self.problem
        return np.minimum(np.maximum(problem.now + self.moved, problem.lower), problem.upper)


def solve(
    problem: StructuredProblem,
    start: Multipliers | None = None,
    *,
    prepared: Prepared | None = None,
    tolerance: float = GAP_TOLERANCE,
    prove: bool = True,
) -> Solution:
    """The optimal weights with their proof; `start`: the multipliers of an earlier solve of a similar problem.

    `prepared`: what `prepare` made of a problem with the same arrays; made anew when it does not fit. Without `prove` the answer
    is `unproven` and nothing may be traded on it: for measurements against solvers that prove nothing.
    Never raises for a problem of finite numbers and matching shapes: the status says whether the answer may be used.
    """
    if len(problem.now) == 0 or np.count_nonzero(problem.lower > problem.upper):
        return _trivial(problem, INFEASIBLE)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kept = prepared if prepared is not None and prepared.fits(problem) else prepare(problem)
        return _solve(_state(problem, kept, start), tolerance, prove)


def _solve(state: _State, tolerance: float, prove: bool) -> Solution:
    first = state.extra
    proof: Solution | None = None
    for _ in range(ROUNDS_MAX):
        _search(state)
        if not state.value >= LEAST_UTILITY or state.steps > STEPS_IN_ALL:
            return _failed(state)
        weights = state.weights()
        if _grow(state, weights):
            continue
        if not prove and not state.proximal:
            return Solution(weights, _multipliers(state), UNPROVEN, np.nan, np.inf, np.inf, np.inf, state.steps)
        proof = _proved(state, weights, tolerance)
        if proof.status == OPTIMAL or not state.proximal:
            break
        if float(np.max(np.abs(weights - state.centre) * (state.extra > 0.0))) == 0.0:
            break
        state.centre = weights
        if state.error <= CUT_TOLERANCE:
            state.extra = np.maximum(CURVE_SHRINKS * state.extra, CURVE_LEAST * first)
    return proof if proof is not None and proof.status == OPTIMAL else _failed(state)


def _state(problem: StructuredProblem, prepared: Prepared, start: Multipliers | None) -> _State:
    now, split, n = problem.now, len(problem.row_bounds), len(problem.now)
    plain = split + len(problem.buy_bounds)
    bound, y = np.zeros(plain), np.zeros(plain)
    if split:
        np.subtract(problem.row_bounds, prepared.up[:split].dot(now), bound[:split])
    if plain > split:
        bound[split:] = problem.buy_bounds
    extra = np.zeros(n)
    proximal = not prepared.least > max(CURVE_FLAT * prepared.most, CURVE_PLAIN)
    if proximal:
        extra = _extra(problem, prepared.curve)
        proximal = bool(extra.any())
    root_now = prepared.root.dot(now)
    state = _State(
        problem, prepared, prepared.up, prepared.down, bound, prepared.root, root_now, prepared.masks, prepared.specifics,
        extra, proximal, root_now, y, np.zeros(n), now, plain,
    )  # fmt: skip
    if proximal:
        state.centre = np.minimum(np.maximum(now, problem.lower), problem.upper)
    _begin(state, start)
    return state


def _usual_curve(problem: StructuredProblem, curve: Floats) -> float:
    """A curvature that is neither steep nor flat for these names: their own, or reward over room."""
    size = float(np.max(np.abs(problem.mu - problem.mu.mean()), initial=0.0)) + float(problem.cost_buy.mean())
    width = float(np.max(problem.upper - problem.lower, initial=0.0))
    return max(float(np.median(curve)), size / width if width > 0.0 else 1.0, 1e-6)


def _extra(problem: StructuredProblem, curve: Floats) -> Floats:
    """(n,) proximal curvature of the names whose own is too flat for a stable step."""
    usual = _usual_curve(problem, curve)
    return np.where(curve < CURVE_FLAT * usual, CURVE_SHARE * usual, 0.0)


def _begin(state: _State, start: Multipliers | None) -> None:
    """Multipliers to begin with: the exposures of today's book and no prices, or those of `start`."""
    if start is None or len(start.factors) != len(state.f):
        state.f = state.f.copy()
    else:
        state.f = start.factors.copy()
    if start is None:
        return
    problem = state.problem
    split = len(problem.row_bounds)
    if len(start.rows) == split and len(start.buys) == state.plain - split:
        state.y[:split], state.y[split:] = start.rows, start.buys
    if problem.cones:
        for number, price in enumerate(start.cones[: len(problem.cones)].tolist()):
            if price > 0.0:
                _add_cone(state, number, price)
    if problem.top is not None or problem.tails or problem.funding is not None:
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
        root = state.prepared.cone_root(number)
        state.roots = np.ascontiguousarray(np.vstack([state.roots, root]))
        state.root_now = np.concatenate([state.root_now, root.dot(problem.now)])
        state.masks = np.hstack([state.masks, np.zeros((len(state.masks), len(root)))])
        state.f = np.concatenate([state.f, root.dot(state.weights())])
        mask = np.concatenate([mask, np.ones(len(root))])
    specific = cone.specific if len(cone.specific) else np.zeros(n)
    state.masks = np.concatenate([state.masks, mask[None]])
    state.specifics = np.concatenate([state.specifics, specific[None]])
    state.cones.append(number)
    state.prices = np.append(state.prices, price)


def _search(state: _State) -> None:
    problem, extra = state.problem, state.extra
    worth, constant = problem.mu, 0.0
    if state.proximal:
        pull = extra * state.centre
        worth, constant = worth + pull, -0.5 * float(pull.dot(state.centre))
    constant += float(worth.dot(problem.now))
    radius = np.array([problem.cones[number].radius for number in state.cones]) if state.cones else EMPTY
    steps, state.error, value = search(
        worth - problem.cost_buy, worth + problem.cost_sell, problem.now, problem.lower, problem.upper,
        float(problem.risk_aversion), state.roots, state.root_now, state.masks, state.specifics, extra, radius,
        state.up, state.down, state.bound, state.f, state.y, state.prices, state.moved, KERNEL_TOLERANCE, STEPS_MAX,
        LEAST_UTILITY - constant,
    )  # fmt: skip
    state.steps += steps
    state.value = value + constant


def _grow(state: _State, weights: Floats) -> bool:
    """Adds the cones and rows that these weights break; False when none is."""
    problem, grown = state.problem, False
    for number, cone in enumerate(problem.cones):
        if number not in state.cones and certificate.norm(cone, weights) > cone.radius + CONE_TOLERANCE:
            _add_cone(state, number, 0.0)
            grown = True
    if problem.top is None and problem.funding is None and not problem.tails:
        return grown
    for cut in list(cuts.broken(problem, weights, CUT_TOLERANCE)):
        known = any(
            c.kind == cut.kind and c.number == cut.number and np.array_equal(c.shares, cut.shares) for c in state.cut
        )
        if not known:
            _add_cut(state, cut, 0.0)
            grown = True
    return grown


def _multipliers(state: _State) -> Multipliers:
    problem, plain = state.problem, state.plain
    split = len(problem.row_bounds)
    cone_prices = np.zeros(len(problem.cones))
    if state.cones:
        cone_prices[state.cones] = state.prices
    prices = state.y[plain:]
    n, factors = len(problem.now), len(problem.root)
    top, top_price, waves, funding = EMPTY, 0.0, EMPTY, 0.0
    if problem.top is not None:
        top, top_price = cuts.mixed(state.cut, prices, cuts.TOP, 0, n)
    tails = [cuts.mixed(state.cut, prices, cuts.TAIL, k, len(tail.returns))[0] for k, tail in enumerate(problem.tails)]
    if problem.funding is not None:
        waves, funding = cuts.mixed(state.cut, prices, cuts.FUNDING, 0, len(problem.funding.waves))
    return Multipliers(
        state.y[:split].copy(), state.y[split:plain].copy(), cone_prices, top, top_price, tuple(tails), waves, funding,
        state.f[:factors].copy(),
    )  # fmt: skip


def _proved(state: _State, weights: Floats, tolerance: float) -> Solution:
    """The answer with its proof; weights that break a limit by a hair are drawn towards the lower bounds."""
    problem, multipliers = state.problem, _multipliers(state)
    worst, objective, dual = certificate.proof(problem, weights, multipliers)
    if worst > RESIDUAL_TOLERANCE:
        drawn = ((weights + share * (problem.lower - weights)) for share in REPAIRS)
        weights = next((w for w in drawn if certificate.residual(problem, w) <= RESIDUAL_TOLERANCE), weights)
        worst, objective, dual = certificate.proof(problem, weights, multipliers)
    gap = (dual - objective) / (certificate.OBJECTIVE_FLOOR + abs(objective))
    good = abs(gap) <= tolerance and worst <= RESIDUAL_TOLERANCE
    return Solution(weights, multipliers, OPTIMAL if good else NOT_CONVERGED, objective, dual, gap, worst, state.steps)


def _failed(state: _State) -> Solution:
    """No answer: infeasible when the multipliers prove it, else not converged."""
    problem, found, weights = state.problem, _multipliers(state), state.weights()
    total = float(found.rows.sum() + found.buys.sum() + found.cones.sum() + found.top_price + found.funding)
    total += sum(float(price.sum()) for price in found.tails)
    scaled = replace(
        found, rows=found.rows / total, buys=found.buys / total, cones=found.cones / total, top=found.top / total,
        top_price=found.top_price / total, tails=tuple(p / total for p in found.tails), waves=found.waves / total,
        funding=found.funding / total,
    ) if total > 0.0 else found  # fmt: skip
    bound = certificate.upper_bound(problem, weights, scaled, share=0.0)
    status = INFEASIBLE if bound < -RESIDUAL_TOLERANCE else NOT_CONVERGED
    worst = certificate.residual(problem, weights)
    return Solution(weights, scaled, status, float("nan"), bound, float("inf"), worst, state.steps)


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
