"""Sessions of the default mandate as optimizer problems: of the sample world's own book, and of a made-up world of 500 names.

A day is a small JSON file that says where its inputs come from; `problem_from` builds it. Runs in the project's environment.
python benchmarks/whole_days.py FOLDER DAY.json...    writes each as plain arrays (`whole_mandate`) beside it
"""

import datetime as dt
import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import whole_mandate
from clarabel_form import OPTIMAL, reference
from measure import CHECKOUT
from plain_problem import Cone, Floats, Funding, PlainProblem, Tail, Wave

from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import problem_of
from marketbot_assets.portfolio.funding import Funding as FundingLimit
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limit import ConeLimit, LinearLimit, ShortfallLimit, TopLimit
from marketbot_assets.portfolio.target import Problem
from marketbot_resources.mandate import Mandate, parse_mandate

MOVABLE = 1e-9
MADE_UP_NAMES, MADE_UP_SEED = 500, 11


def mandate() -> Mandate:
    return parse_mandate((CHECKOUT / "mandate.yaml").read_text(encoding="utf-8"))


def problem_from(path: Path) -> Problem:
    """The problem that a day's file describes."""
    said = json.loads(path.read_text(encoding="utf-8"))
    inputs = stored_inputs(said["home"], said["session"]) if "home" in said else made_up_inputs(said)
    rules = mandate()
    return problem_of(inputs, facts_of(inputs, rules), rules)


def stored_inputs(home: str, session: str) -> PortfolioInputs:
    """What the optimizer of a stored session read."""
    from marketbot_assets.rebuild import inputs
    from marketbot_resources.store.lake import open_lake
    from marketbot_resources.store.reader import Reader

    lake = open_lake(Path(home))
    return inputs(Reader(lake, dt.date.fromisoformat(session), allowed=None), lake.ledger)


def made_up_inputs(said: dict) -> PortfolioInputs:
    """Seeded inputs of 500 names in five currencies, or the same world some days later with another book."""
    import conftest

    inputs = conftest.random_inputs(MADE_UP_SEED, n=said["names"], invested=0.7)
    if "weights" not in said:
        return inputs
    with np.load(said["weights"]) as stored:
        weights, mu, price = stored["weights"], stored["mu"], stored["price"]
    shares = []
    for i, weight in enumerate(weights):
        lot = float(inputs.quantity_step[i])
        count = int(weight * inputs.nav / (price[i] * inputs.fx[i] * lot))
        shares.append(Decimal(count) * inputs.quantity_step[i])
    value = sum(float(s) * p * r for s, p, r in zip(shares, price, inputs.fx, strict=True))
    cash = {"USD": Decimal(repr(round(inputs.nav - float(value), 2)))}
    return replace(inputs, positions=tuple(shares), price=price, expected_return=mu, cash=cash)


def plain(problem: Problem) -> PlainProblem:
    """Every limit of the mandate as arrays, written from DESIGN's statement; names that cannot move are fixed.

    RC-44 takes part only where the best book without it breaks it: that is what the readable form does, and kind to the peers.
    """
    facts, limits, rule = problem.facts, problem.limits, problem.mandate.portfolio
    bounds, n = limits.bounds, len(facts.weights_now)
    rows = [x for x in limits.limits if isinstance(x, LinearLimit) and not x.on_buys]
    buys = [x for x in limits.limits if isinstance(x, LinearLimit) and x.on_buys]
    top = next((x for x in limits.limits if isinstance(x, TopLimit)), None)
    of = next((x for x in limits.limits if isinstance(x, FundingLimit)), None)
    made = PlainProblem(
        mu=facts.expected_return,
        root=facts.factor_root,
        specific=facts.specific,
        risk_aversion=rule.risk_aversion,
        cost_buy=rule.cost_amortization_per_year * facts.cost_buy,
        cost_sell=rule.cost_amortization_per_year * facts.cost_sell,
        now=limits.weights_now,
        lower=bounds.lower,
        upper=np.where(bounds.upper - bounds.lower > MOVABLE, bounds.upper, bounds.lower),
        rows=np.array([x.row for x in rows]),
        row_bounds=np.array([x.bound - x.rounding for x in rows]),
        buy_rows=np.array([x.row for x in buys]).reshape(-1, n),
        buy_bounds=np.array([x.bound for x in buys]),
        cones=tuple(_cone(x, n) for x in limits.limits if isinstance(x, ConeLimit)),
        top=None if top is None else (top.count, top.bound),
        funding=None if of is None else _funding(of),
    )
    tails = tuple(Tail(x.returns, x.tail, x.bound) for x in limits.limits if isinstance(x, ShortfallLimit))
    found = reference(made)
    assert found.status == OPTIMAL, "the best book of a benchmark's day is known"
    broken = any(tail.left(found.weights) > tail.bound for tail in tails)
    return replace(made, tails=tails) if broken else made


def _cone(limit: ConeLimit, n: int) -> Cone:
    if limit.root.shape == (n, n) and np.array_equal(limit.root, np.eye(n)):
        return Cone(np.zeros((0, n)), np.ones(n), limit.radius)
    return Cone(limit.root, np.zeros(0), limit.radius)


def _funding(of: FundingLimit) -> Funding:
    waves = tuple(Wave(w.currency, w.buys, w.sells, w.cash) for w in of.waves)
    return Funding(of.base, waves, of.debts, of.bound, of.leg_cost)


def stored_days(home: Path, sessions: list[str], folder: Path) -> list[Path]:
    """Files of the sessions of a home."""
    paths = []
    for session in sessions:
        path = folder / f"stored-{session}.json"
        path.write_text(json.dumps({"home": str(home), "session": session}), encoding="utf-8")
        whole_mandate.save(plain(problem_from(path)), path.with_suffix(".npz"))
        paths.append(path)
    return paths


def made_up_days(count: int, folder: Path, *, names: int = MADE_UP_NAMES) -> list[Path]:
    """Files of days in a row: yesterday's best book is today's, prices and forecasts have moved."""
    rng, said, paths = np.random.default_rng(MADE_UP_SEED), {"names": names}, []
    inputs = made_up_inputs(said)
    mu, price = inputs.expected_return, inputs.price
    for number in range(count):
        path = folder / f"made-up-{names}-{number}.json"
        path.write_text(json.dumps(said), encoding="utf-8")
        problem = plain(problem_from(path))
        whole_mandate.save(problem, path.with_suffix(".npz"))
        paths.append(path)
        moved = np.exp(0.01 * rng.standard_normal(names))
        mu, price = mu + 0.002 * rng.standard_normal(names), price * moved
        weights: Floats = np.maximum(reference(problem).weights, 0.0) * moved
        book = folder / f"book-{names}-{number + 1}.npz"
        np.savez(book, weights=np.where(weights > 1e-6, weights, 0.0), mu=mu, price=price)
        said = {"names": names, "weights": str(book)}
    return paths


def main() -> None:
    """`stored HOME FOLDER SESSION...` or `made-up COUNT FOLDER`."""
    if sys.argv[1] == "stored":
        stored_days(Path(sys.argv[2]), sys.argv[4:], Path(sys.argv[3]))
    else:
        made_up_days(int(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
