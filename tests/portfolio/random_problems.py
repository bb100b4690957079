"""Seeded random problems of the optimizer, mostly awkward ones. Plain numpy; nothing of the project is imported.

A problem is a plain draw with up to a dozen twists; every bound starts from a book that keeps it, unless a twist says otherwise.
Not here: what a problem is and how an answer is measured (`plain_problem`).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from plain_problem import Cone, Floats, Funding, PlainProblem, Tail, Wave

Draw = Callable[[PlainProblem, np.random.Generator], PlainProblem]
SIZES, SHARES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 150), (0.04, 0.06, *(0.12,) * 5, 0.15, 0.14, 0.01)


def random_problem(seed: int) -> PlainProblem:
    """The problem of a seed; the same on every machine that has this numpy."""
    rng = np.random.default_rng([20181128, seed])
    names = list(TWISTS)
    chosen: list[str] = []
    for kind, most in ((WORLD, 2), (BOOK, 1), (LIMITS, 6)):
        count = int(rng.integers(0, most + 1))
        chosen += [draw.__name__ for draw in rng.permutation(np.array(kind))[:count]]
    chosen += [draw.__name__ for draw, share in BREAKERS if rng.random() < share]
    chosen.sort(key=names.index)  # limits start from a finished world, what breaks a limit comes last
    problem = plain(seed, rng)
    for name in chosen:
        problem = TWISTS[name](problem, rng)
    return replace(problem, twists=tuple(chosen))


def plain(seed: int, rng: np.random.Generator) -> PlainProblem:
    """A book under a cap with one budget row, factor risk, costs on both sides."""
    n, k = int(rng.choice(SIZES, p=SHARES)), int(rng.integers(0, 9))
    cap = float(rng.choice([0.05, 0.1, 0.3, 1.0]))
    root = rng.normal(0.0, 0.1, (k, n)) * rng.uniform(0.2, 1.5, (k, 1))
    anchor = rng.uniform(0.0, 1.0, n) * (rng.random(n) < 0.7)
    anchor *= min(cap, 0.9 / max(float(anchor.sum()), 1e-9))
    now = anchor * rng.uniform(0.0, 1.0, n) * (rng.random(n) < 0.6)
    return PlainProblem(
        seed=seed,
        twists=(),
        mu=rng.normal(0.05, 0.08, n),
        root=root,
        specific=rng.uniform(0.1, 0.5, n) ** 2,
        risk_aversion=float(10 ** rng.uniform(-1.5, 1.2)),
        cost_buy=rng.uniform(0.0, 0.01, n),
        cost_sell=rng.uniform(0.0, 0.01, n),
        now=now,
        lower=np.zeros(n),
        upper=np.full(n, cap),
        rows=np.ones((1, n)),
        row_bounds=np.ones(1),
        buy_rows=np.zeros((0, n)),
        buy_bounds=np.zeros(0),
        anchor=anchor,
    )


def _with_rows(p: PlainProblem, rows: Floats, slack: float | Floats) -> PlainProblem:
    """Rows that the anchor keeps with so much slack."""
    bounds = rows @ p.anchor + slack
    return replace(p, rows=np.vstack([p.rows, rows]), row_bounds=np.concatenate([p.row_bounds, bounds]))


def _groups(rng: np.random.Generator, n: int, count: int) -> Floats:
    return np.asarray(rng.integers(0, count, n)[None, :] == np.arange(count)[:, None], dtype=float)


def _slack(rng: np.random.Generator, count: int) -> Floats:
    return np.asarray(rng.choice([1e-6, 1e-3, 0.02, 0.2], count))


# --- the world -------------------------------------------------------------------------------------------------------


def zero_covariance(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """No risk at all: a linear program."""
    return replace(p, root=np.zeros_like(p.root), specific=np.zeros(p.size))


def no_specific_risk(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Factor risk alone, for all names or for some."""
    return replace(p, specific=np.where(rng.random(p.size) < rng.choice([0.3, 1.0]), 0.0, p.specific))


def duplicates(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Every name is a copy of one of a few."""
    of = rng.integers(0, max(p.size // 3, 1), p.size)
    specific = p.specific[of] * float(rng.choice([0.0, 1e-12, 1.0]))
    return replace(
        p, mu=p.mu[of], root=p.root[:, of], specific=specific, cost_buy=p.cost_buy[of], cost_sell=p.cost_sell[of]
    )


def equal_returns(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """All names promise the same."""
    return replace(p, mu=np.full(p.size, float(rng.choice([-0.05, 0.0, 0.05]))))


def tiny_costs(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Costs of nearly or exactly nothing."""
    size = float(rng.choice([0.0, 1e-12, 1e-8]))
    return replace(p, cost_buy=size * p.cost_buy, cost_sell=size * p.cost_sell)


def huge_costs(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Trading costs more than it can bring, for all or half of the names."""
    factor = np.where(rng.random(p.size) < rng.choice([0.5, 1.0]), float(rng.choice([1e2, 1e4])), 1.0)
    return replace(p, cost_buy=factor * p.cost_buy, cost_sell=factor * p.cost_sell)


def extreme_aversion(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Risk hardly counts or is all that counts."""
    return replace(p, risk_aversion=float(rng.choice([1e-6, 1e-3, 1e3, 1e5])))


# --- the book --------------------------------------------------------------------------------------------------------


def outside_caps(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Yesterday's book lies above the caps or below the floors of some names."""
    now = np.where(rng.random(p.size) < 0.4, p.upper * rng.uniform(1.0, 3.0, p.size), p.now)
    floor = np.where(rng.random(p.size) < 0.2, 0.5 * p.anchor, p.lower)
    return replace(p, now=now, lower=np.maximum(p.lower, np.minimum(floor, p.upper)))


def some_fixed(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Some or all names cannot move."""
    fixed = rng.random(p.size) < rng.choice([0.3, 1.0])
    return replace(p, lower=np.where(fixed, p.anchor, p.lower), upper=np.where(fixed, p.anchor, p.upper))


def no_buys(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Nothing may be bought."""
    upper = np.maximum(np.minimum(p.upper, p.now), p.lower)
    return replace(p, upper=upper, anchor=np.minimum(p.anchor, upper))


def cap_bound(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Everything is worth having and the caps stop it."""
    return replace(p, mu=np.abs(p.mu) + 10.0 * p.risk_aversion, row_bounds=np.full(len(p.rows), 1.0 + p.upper.sum()))


def floor_of_weights(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Shorts are allowed down to a small floor."""
    return replace(p, lower=np.minimum(p.lower, -0.05 * rng.random(p.size)))


# --- limits ----------------------------------------------------------------------------------------------------------


def sectors(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Disjoint groups with a cap each."""
    rows = _groups(rng, p.size, int(rng.integers(1, 12)))
    return _with_rows(p, rows, _slack(rng, len(rows)))


def sectors_of_one(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Every name is a sector of its own."""
    return _with_rows(p, np.eye(p.size), _slack(rng, p.size))


def overlapping(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Sectors, countries, currencies, one row twice, one of zeros."""
    rows = np.vstack([_groups(rng, p.size, 4), _groups(rng, p.size, 5), _groups(rng, p.size, 2)])
    rows = np.vstack([rows, rows[:1], np.zeros((1, p.size))])
    slack = _slack(rng, len(rows))
    slack[-2], slack[-1] = slack[0], 0.0
    return _with_rows(p, rows, slack)


def stress_rows(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Losses under scenarios, of both signs, and a band on a factor."""
    losses = rng.normal(0.3, 0.2, (int(rng.integers(1, 8)), p.size))
    band = rng.normal(0.0, 1.0, (1, p.size))
    return _with_rows(p, np.vstack([losses, band, -band]), _slack(rng, len(losses) + 2))


def buy_rows(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Turnover of the day, and of one group."""
    rows = np.vstack([np.ones(p.size), (rng.random(p.size) < 0.5).astype(float)])
    bounds = rows @ np.maximum(p.anchor - p.now, 0.0) + _slack(rng, 2)
    return replace(p, buy_rows=rows, buy_bounds=bounds)


def cones(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """The objective's own volatility, another estimator's, the sum of squares; each or some, tight or loose."""
    anchor = p.lower + float(rng.choice([0.2, 0.5, 1.0])) * (p.anchor - p.lower)
    days = int(rng.choice([3, 40, 80]))
    stacked = np.vstack([p.root, np.diag(np.sqrt(p.specific))])
    other = rng.normal(0.0, 1.0, (days, len(stacked))) @ (1.2 * stacked) / np.sqrt(days)
    none, nothing = np.zeros((0, p.size)), np.zeros(0)
    own = (p.root, p.specific) if rng.random() < 0.5 else (stacked, nothing)
    squares = (none, np.ones(p.size)) if rng.random() < 0.5 else (np.eye(p.size), nothing)
    drafts = [Cone(root, specific, 0.0) for root, specific in (own, (other, nothing), squares) if rng.random() < 0.6]
    made = [replace(x, radius=max(x.left(anchor) * float(rng.choice([1.0001, 1.05, 1.5])), 1e-3)) for x in drafts]
    return replace(p, cones=tuple(made), anchor=anchor)


def top(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """The largest few together."""
    count = int(rng.choice([1, 2, 10, 60]))
    largest = float(np.sort(p.anchor)[::-1][:count].sum())
    return replace(p, top=(count, largest + float(rng.choice([1e-6, 1e-3, 0.05]))))


def tail(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Expected shortfall over a short history."""
    days = int(rng.choice([1, 20, 100]))
    returns = rng.normal(0.0, 0.01, (days, 3)) @ rng.normal(0.7, 0.5, (3, p.size)) + rng.normal(
        0.0, 0.01, (days, p.size)
    )
    draft = Tail(returns, float(rng.choice([0.025, 0.1])), 0.0)
    bound = draft.left(p.anchor) + float(rng.choice([1e-6, 1e-4, 1e-2]))
    return replace(p, tails=(replace(draft, bound=bound),))


def funding(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Waves of three currencies, debts in some, collars on both sides."""
    currencies = rng.choice(["EUR", "GBP", "USD"], p.size)
    buy, sell = (
        1.0 + rng.uniform(0.0, 0.05, p.size),
        float(rng.choice([0.0, 0.95])) * (1.0 - rng.uniform(0, 0.05, p.size)),
    )
    late = rng.random(p.size) < 0.5
    waves = []
    for currency in ("EUR", "GBP", "USD"):
        mine = currencies == currency
        cash = 0.0 if currency == "USD" else float(rng.choice([-0.02, 0.0, 0.05]))
        for members in (mine & ~late, mine):
            waves.append(Wave(currency, np.where(members, buy, 0.0), np.where(members, sell, 0.0), cash))
    debts = tuple((c, max(-next(w.cash for w in waves if w.currency == c), 0.0)) for c in ("EUR", "GBP"))
    draft = Funding("USD", tuple(waves), debts, 0.0, float(rng.choice([0.0, 2e-4])))
    return replace(p, funding=replace(draft, bound=draft.left(p.anchor, p.now) + float(rng.choice([1e-6, 1e-3, 0.1]))))


# --- what cannot be kept ---------------------------------------------------------------------------------------------


def no_interior(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Some bounds are met by no book with slack: the sum must be exactly the anchor's."""
    ones = np.ones((1, p.size))
    return _with_rows(p, np.vstack([ones, -ones]), 0.0)


def unplanned(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """Rows whose bounds nobody checked: between the least and the most that the bounds of the names allow, of both signs."""
    rows = rng.normal(0.0, 1.0, (int(rng.integers(1, 4)), p.size))
    least, most = (np.sort([rows * p.lower, rows * p.upper], axis=0)[side].sum(axis=1) for side in (0, 1))
    bounds = least + rng.uniform(0.02, 0.6, len(rows)) * (most - least)
    return replace(p, rows=np.vstack([p.rows, rows]), row_bounds=np.concatenate([p.row_bounds, bounds]))


def infeasible(p: PlainProblem, rng: np.random.Generator) -> PlainProblem:
    """One limit lies below what any book within the bounds of its names can reach."""
    kind, short = str(rng.choice(["row", "buys", "cone", "top", "band", "zero row"])), float(rng.choice([1e-4, 0.05]))
    if kind == "row":
        row = rng.uniform(0.5, 1.5, (1, p.size))
        least = float(row[0] @ p.lower)
    elif kind == "band":
        row = rng.normal(0.0, 1.0, (1, p.size))
        least = float(np.minimum(row[0] * p.lower, row[0] * p.upper).sum())
    elif kind == "zero row":
        row, least = np.zeros((1, p.size)), 0.0
    elif kind == "buys":
        lower = np.minimum(np.maximum(p.lower, p.now + 0.02), p.upper)
        forced = float(np.maximum(lower - p.now, 0.0).sum())
        rows, bounds = np.vstack([p.buy_rows, np.ones((1, p.size))]), np.append(p.buy_bounds, forced - short)
        return replace(p, lower=lower, buy_rows=rows, buy_bounds=bounds, surely_infeasible=True)
    elif kind == "cone":
        lower = np.minimum(np.maximum(p.lower, 0.01), p.upper)
        radius = 0.5 * float(np.linalg.norm(np.maximum(lower, 0.0)))
        if radius == 0.0:
            return p
        small = Cone(np.zeros((0, p.size)), np.ones(p.size), radius)
        return replace(p, lower=lower, cones=(*p.cones, small), surely_infeasible=True)
    else:
        lower = np.minimum(np.maximum(p.lower, 0.01), p.upper)
        return replace(p, lower=lower, top=(3, float(np.sort(lower)[::-1][:3].sum()) - short), surely_infeasible=True)
    return replace(
        p, rows=np.vstack([p.rows, row]), row_bounds=np.append(p.row_bounds, least - short), surely_infeasible=True
    )


WORLD: tuple[Draw, ...] = (
    *(zero_covariance, no_specific_risk, duplicates, equal_returns),
    *(tiny_costs, huge_costs, extreme_aversion),
)
BOOK: tuple[Draw, ...] = (outside_caps, some_fixed, no_buys, cap_bound, floor_of_weights)
LIMITS: tuple[Draw, ...] = (
    *(cones, sectors, sectors_of_one, overlapping),
    *(stress_rows, buy_rows, top, tail, funding),
)
BREAKERS: tuple[tuple[Draw, float], ...] = ((no_interior, 0.04), (unplanned, 0.1), (infeasible, 0.07))
TWISTS: dict[str, Draw] = {draw.__name__: draw for draw in (*WORLD, *BOOK, *LIMITS, *(draw for draw, _ in BREAKERS))}
