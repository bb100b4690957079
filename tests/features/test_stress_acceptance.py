"""The factor version against the replay on real names: betas from before each window, factors from within it.

Twenty US names of the packaged closes, in equal weights, in the weights in which the default mandate holds them, and in two hundred
random books. Factors hold the names themselves, as in the platform; once more with each name left out of its own factors.
"""

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from marketbot_assets.backtest import tables_until
from marketbot_assets.features.past import Past, Universe, past_of
from marketbot_assets.features.scenarios import by_factors, scenario_returns
from marketbot_assets.features.stress_factors import StressFactors, estimate_stress_factors, ridge_betas
from marketbot_assets.features.stress_windows import WINDOWS, Window
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.history import History
from marketbot_assets.research.loop import opening_account, run_days
from marketbot_resources.calendars import computed_cutoff, decision_sessions
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.wiring import Ports

BY_NAME = {window.name: window for window in WINDOWS}
# Largest error allowed, fraction of the book; what beta alone misses by in equal weights, as the stress library states it.
TARGETS = {"H2008": (0.03, 0.037), "H2011": (0.03, 0.008), "H2020": (0.03, 0.031), "H2022": (0.05, 0.116)}
FIRST_DECISION, DECISIONS = dt.date(2018, 10, 1), 8


@dataclass(frozen=True)
class Case:
    """One window: returns of the twenty names by replay, by factors, by beta alone."""

    replay: Floats
    factors: Floats
    beta: Floats


@lru_cache(maxsize=1)
def real() -> tuple[tuple[str, ...], Past, Universe]:
    """Tickers, the whole past, sectors; size and value are not known so far back."""
    from marketbot_resources.market.listings import real_listings
    from marketbot_resources.market.sample_world import real_closes

    closes, index = real_closes()
    listings = {listing.ticker: listing for listing in real_listings() if listing.kind == "EQUITY"}
    tickers = tuple(sorted(listings))
    own, count = closes[list(tickers)], len(tickers)
    past = past_of(
        [stamp.date() for stamp in own.index],
        own.pct_change(fill_method=None).to_numpy(dtype=float),
        index.reindex(own.index).to_numpy(dtype=float),
    )
    yes, unknown = np.ones(count, dtype=bool), np.full(count, np.nan)
    return tickers, past, Universe(tuple(listings[t].sector for t in tickers), yes, yes, unknown, unknown)


def upto(past: Past, row: int) -> Past:
    return past_of(past.sessions[:row], past.base_returns[:row], past.index[:row])


def plain_beta(past: Past) -> Floats:
    """Ordinary least squares on 252 sessions."""
    returns, market = past.base_returns[-252:], past.index_returns()[-252:]
    return np.array([np.cov(market, own)[0, 1] / np.var(market, ddof=1) for own in returns.T])


@lru_cache(maxsize=8)
def case(name: str, *, left_out: bool = False) -> Case:
    """One window as seen from its first day: betas end before it, only the factors' returns are of it.

    `left_out`: each name's factors are made without it, its betas estimated to these, one estimate per name.
    """
    window, (_, past, universe) = BY_NAME[name], real()
    start, end = past.after(window.start), past.after(window.end)
    rows = np.arange(start, end)
    index_return = float(past.index[end - 1] / past.index[start - 1] - 1.0)
    beta = plain_beta(upto(past, start))
    if left_out:
        made = np.array([unseen(past, universe, n, rows, window) for n in range(len(beta))])
    else:
        made = by_factors(before_window(past, universe, rows), window, window.index_return, rows)
    return Case(np.prod(1.0 + past.base_returns[rows], axis=0) - 1.0, made, beta * index_return)


def before_window(past: Past, universe: Universe, rows: NDArray[np.intp]) -> StressFactors:
    """Betas estimated on what ended before the window, with the factor returns of before and within it."""
    beta = np.ones(len(universe.sector))
    before = estimate_stress_factors(upto(past, int(rows[0])), universe, beta, np.empty(0, dtype=np.intp))
    within = estimate_stress_factors(upto(past, int(rows[-1]) + 1), universe, beta, np.union1d(before.rows, rows))
    columns = [within.names.index(name) for name in before.names]
    return replace(before, rows=within.rows, returns=within.returns[:, columns])


def unseen(past: Past, universe: Universe, n: int, rows: NDArray[np.intp], window: Window) -> float:
    """One name's factor version where no factor holds the name."""
    hidden = past.base_returns.copy()
    hidden[:, n] = np.nan
    made = before_window(past_of(past.sessions, hidden, past.index), universe, rows)
    last = np.nan_to_num(made.returns[(made.rows >= rows[0] - 500) & (made.rows < rows[0])])
    centre = np.array([[1.0 if f in ("market", f"sector {universe.sector[n]}") else 0.0 for f in made.names]])
    own = past.base_returns[rows[0] - 500 : rows[0], [n]]
    betas = ridge_betas(own, last[:-2] + last[1:-1] + last[2:], centre, np.ones(len(made.names)))
    return float(by_factors(replace(made, betas=betas), window, window.index_return, rows)[0])


@lru_cache(maxsize=1)
def mandate_book() -> Floats:
    """Weights of the twenty names after eight decisions of the default mandate from cash, fractions of NAV."""
    mandate = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
    last = decision_sessions(mandate.calendar, FIRST_DECISION, FIRST_DECISION + dt.timedelta(days=30))[DECISIONS - 1]
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, last), lambda body: "")
    history = History(tables, mandate, FIRST_DECISION, last)
    for day in run_days(history, mandate, opening_account(mandate, history)):
        held = day.rolled.valuation.weights()
    names = dict(zip(tables.instruments["ticker"], tables.instruments["instrument"], strict=True))
    weights = np.array([float(held.get(names[ticker], 0.0)) for ticker in real()[0]])
    return weights


def miss(weights: Floats, found: Case) -> tuple[float, float]:
    """(factor version less replay, beta alone less replay), fraction of the book's whole."""
    return float(weights @ (found.factors - found.replay)), float(weights @ (found.beta - found.replay))


@pytest.mark.parametrize("name", TARGETS)
def test_equal_weights(name: str) -> None:
    """Within 3 percentage points, 5 in 2022; beta alone misses by what the library says."""
    target, published = TARGETS[name]
    factors, beta = miss(np.full(20, 0.05), case(name))
    assert abs(beta) == pytest.approx(published, abs=0.001)
    assert abs(factors) <= target


@pytest.mark.parametrize("name", TARGETS)
def test_the_book_of_the_default_mandate(name: str) -> None:
    """The same for what the mandate holds of these names, which is not equal, in fractions of NAV as held.

    Scaled up to a full book, 2008 misses by 3.6 points (the factor version loses more than the replay).
    """
    weights = mandate_book()
    assert (weights > 0.0).sum() >= 8
    assert 0.2 < weights.sum() < 0.7
    assert abs(miss(weights, case(name))[0]) <= TARGETS[name][0]
    assert abs(miss(weights / weights.sum(), case(name))[0]) <= 0.04


@pytest.mark.parametrize("name", TARGETS)
def test_random_books(name: str) -> None:
    """Two hundred random books: the root mean square error is below that of beta alone."""
    books = np.random.default_rng(0).dirichlet(np.full(20, 2.0), 200)
    errors = np.array([miss(weights, case(name)) for weights in books])
    factors, beta = np.sqrt((errors**2).mean(axis=0))
    assert factors < 0.75 * beta


@pytest.mark.parametrize("name", TARGETS)
def test_equal_weights_without_a_name_in_its_own_factors(name: str) -> None:
    """The harder question: no basket and no sort holds the name whose return it explains. The same targets."""
    assert abs(miss(np.full(20, 0.05), case(name, left_out=True))[0]) <= TARGETS[name][0]


def test_replay_is_the_names_own_history() -> None:
    """The platform's replay on the same data is the compounded return."""
    _, past, universe = real()
    made = scenario_returns(past, np.ones(20), past.sessions[-1], universe)
    for name in TARGETS:
        k = made.names.index(name)
        np.testing.assert_allclose(made.returns[k], case(name).replay, rtol=1e-12)
        assert not made.proxied[k].any()
