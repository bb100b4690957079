"""A builder of random but seeded portfolio inputs: 65 names, 5 currencies, stress scenarios, a book if asked for."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.features.model import FactorModel
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_resources.mandate import Mandate, parse_mandate

SESSION = dt.date(2018, 12, 11)
CUTOFF = dt.datetime(2018, 12, 11, 22, 45, tzinfo=dt.UTC)
MARKETS = (
    ("USD", "US", "XNYS", 1.0, "1", "0.01", 15),
    ("GBP", "GB", "XLON", 1.25, "1", "0.001", 8),
    ("EUR", "DE", "XETR", 1.13, "1", "0.01", 4),
    ("JPY", "JP", "XTKS", 0.009, "100", "1", 0),
    ("HKD", "HK", "XHKG", 0.128, "500", "0.01", 1),
)
COSTS = {"USD": 3.5, "GBP": 9.5, "EUR": 9.5, "JPY": 10.5, "HKD": 13.5}
TAX_BUY, TAX_SELL = {"GBP": 50.0, "HKD": 10.0}, {"HKD": 10.0}
SECTORS = ("ENERGY", "FINANCIALS", "HEALTH", "IT", "MATERIALS", "STAPLES", "UTILITIES", "FUND")


def book_state(**changes: object) -> BookState:
    """A book in full swing, drawdown 2 %."""
    state = BookState(
        session=SESSION,
        nav=1e6,
        inception_high=1.02e6,
        reference_high=1.02e6,
        drawdown=0.02,
        drawdown_inception=0.02,
        rung=Rung.FULL,
        multiple=1.0,
        sessions_in_rung=30,
        sessions_since_step=30,
        rearms=(),
        halt_class="",
        no_buys="",
        sessions_since_build=40,
        nav_history=(1e6,),
        turnover=(0.01,) * 20,
        lots=(),
        stop_hits=(),
        blocked=(),
        passive=(),
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def factor_model(rng: np.random.Generator, n: int, wild: float = 1.0) -> FactorModel:
    """Random risk of n names with a market factor; `wild` multiplies every volatility."""
    k, days = 6, 400
    names = tuple(f"MB{i:04d}" for i in range(n))
    exposures = rng.normal(0, 0.5, (n, k))
    exposures[:, 0] = rng.uniform(0.5, 1.4, n)
    root = rng.normal(0, 0.05, (k, k))
    covariance = root @ root.T + np.diag([0.02, *[0.003] * (k - 1)])
    specific = rng.uniform(0.02, 0.08, n)
    covariance, specific = covariance * wild**2, specific * wild**2
    returns = rng.multivariate_normal(np.zeros(k), covariance / 252, days) @ exposures.T
    returns = returns + rng.normal(0, 1, (days, n)) * np.sqrt(specific / 252)
    losses = np.array([0.15, 0.30, 0.35, 0.50, 0.13])[:, None] * exposures[:, 0] + rng.normal(0, 0.08, (5, n))
    return FactorModel(
        session=SESSION,
        instruments=names,
        factors=tuple(f"F{i}" for i in range(k)),
        exposures=exposures,
        factor_covariance=covariance,
        specific_variance=specific,
        returns=returns,
        observations=np.full(n, float(days)),
        beta=exposures[:, 0],
        sigma_daily=returns.std(axis=0),
        ewma_halflife=33,
        ledoit_wolf_sessions=252,
        shrinkage=0.1,
        shrink_variance=float(returns.var()),
        index_vol_20d=0.2,
        scenarios=("H1998", "H2008L", "H2020", "H2008", "WORST5"),
        scenario_kinds=("crash", "crash", "crash", "bear", "budget"),
        scenario_returns=-losses,
        scenario_proxied=np.zeros((5, n), dtype=np.bool_),
        scenario_factor_returns=-0.9 * losses,
        scenario_paths=-losses[:, None, :],
        scenario_years=np.array([0.1, 0.2, 0.1, 1.4, 0.02]),
    )


def random_inputs(
    seed: int, *, n: int = 65, invested: float = 0.0, nav: float = 1e6, wild: float = 1.0
) -> PortfolioInputs:
    """Seeded inputs. `invested`: share of NAV spread over a random third of the names; the rest is base cash."""
    rng = np.random.default_rng(seed)
    model = factor_model(rng, n, wild)
    market = [MARKETS[int(i)] for i in rng.choice(5, n, p=[0.4, 0.15, 0.15, 0.15, 0.15])]
    sector = [SECTORS[int(i)] for i in rng.integers(0, len(SECTORS), n)]
    rate = np.array([m[3] for m in market])
    price = np.round(rng.uniform(20, 200, n) * np.where(rate < 0.05, 20.0, 1.0), 0)
    shares = [Decimal(0)] * n
    if invested > 0.0:
        chosen = rng.choice(n, max(n // 3, 1), replace=False)
        parts = rng.dirichlet(np.ones(len(chosen))) * invested
        for i, part in zip(chosen, parts, strict=True):
            step = Decimal(market[i][4])
            shares[i] = Decimal(int(part * nav / (price[i] * rate[i] * float(step)))) * step
    value = float(sum(float(s) * p * r for s, p, r in zip(shares, price, rate, strict=True)))
    cost_buy = np.array([COSTS[m[0]] + TAX_BUY.get(m[0], 0.0) for m in market]) * 1e-4
    cost_sell = np.array([COSTS[m[0]] + TAX_SELL.get(m[0], 0.0) for m in market]) * 1e-4
    until = tuple(CUTOFF + dt.timedelta(hours=m[6] if m[6] > 0 else 2) for m in market)
    return PortfolioInputs(
        session=SESSION,
        environment="test",
        account="paper-1",
        batch_no=1,
        instruments=model.instruments,
        sector=tuple(sector),
        country=tuple(m[1] for m in market),
        currency=tuple(m[0] for m in market),
        mic=tuple(m[2] for m in market),
        is_fund=np.array([s == "FUND" for s in sector]),
        quantity_step=tuple(Decimal(m[4]) for m in market),
        tick_size=tuple(Decimal(m[5]) for m in market),
        price=price,
        fx=rate,
        adv=rng.uniform(5e6, 2e8, n),
        sigma_daily=model.sigma_daily,
        cost_buy=cost_buy,
        cost_sell=cost_sell,
        expected_return=rng.normal(0.04, 0.03, n),
        factor_model=model,
        positions=tuple(shares),
        open_quantity=(Decimal(0),) * n,
        cash={"USD": Decimal(repr(round(nav - value, 2)))},
        fx_rates={m[0]: m[3] for m in MARKETS},
        nav=nav,
        can_buy=np.ones(n, dtype=np.bool_),
        can_trade=np.ones(n, dtype=np.bool_),
        force_exit=np.zeros(n, dtype=np.bool_),
        reasons=("",) * n,
        send_from=(CUTOFF,) * n,
        send_until=until,
        fx_send_from=CUTOFF,
        fx_send_until=min(until),
        rebalance=True,
        book=book_state(),
    )


@pytest.fixture(scope="session")
def mandate() -> Mandate:
    """The mandate that the project ships."""
    return parse_mandate(Path(__file__).parents[2].joinpath("mandate.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def build() -> Callable[..., PortfolioInputs]:
    """The builder `random_inputs`."""
    return random_inputs


@pytest.fixture(scope="session")
def state() -> Callable[..., BookState]:
    """The builder `book_state`."""
    return book_state
