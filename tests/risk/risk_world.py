"""A small world for the risk tests: twelve names, a calm book, an ordinary batch that passes every control."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from marketbot_assets.book.state import BookState, Forecast, Rung
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import OptimizerAnswer, RiskInputs
from marketbot_assets.risk.model_facts import ModelFacts
from marketbot_assets.risk.operation_facts import FeatureDrift, FillQuality, OperationFacts, TradeCost
from marketbot_assets.risk.projection import Projection, project
from marketbot_assets.risk.trade_facts import NextSession, TradeFacts
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import Kind, Order, Side

SESSION = dt.date(2018, 12, 11)
CUTOFF = dt.datetime(2018, 12, 11, 22, 45, tzinfo=dt.UTC)
OPENS = {
    "XTKS": CUTOFF + dt.timedelta(hours=1),
    "XETR": CUTOFF + dt.timedelta(hours=9),
    "XNYS": CUTOFF + dt.timedelta(hours=15),
}
NAV = 1_000_000.0
NAMES = tuple(f"MB{letter}" for letter in "ABCDEFGHIJKL")
#          mic,    currency, country, sector,      fund, lot,  tick,   price
LISTINGS = {
    "MBA": ("XNYS", "USD", "US", "TECHNOLOGY", False, "1", "0.01", 100.0),
    "MBB": ("XNYS", "USD", "US", "TECHNOLOGY", False, "1", "0.01", 100.0),
    "MBC": ("XNYS", "USD", "US", "HEALTH", False, "1", "0.01", 100.0),
    "MBD": ("XNYS", "USD", "US", "HEALTH", False, "1", "0.01", 100.0),
    "MBE": ("XNYS", "USD", "US", "ENERGY", False, "1", "0.01", 100.0),
    "MBF": ("XNYS", "USD", "US", "ENERGY", False, "1", "0.01", 100.0),
    "MBG": ("XETR", "EUR", "DE", "STAPLES", False, "1", "0.01", 80.0),
    "MBH": ("XETR", "EUR", "DE", "STAPLES", False, "1", "0.01", 80.0),
    "MBI": ("XTKS", "JPY", "JP", "INDUSTRIALS", False, "100", "1", 1000.0),
    "MBJ": ("XTKS", "JPY", "JP", "INDUSTRIALS", False, "100", "1", 1000.0),
    "MBK": ("XNYS", "USD", "US", "FUND", True, "1", "0.01", 100.0),
    "MBL": ("XNYS", "USD", "US", "FUND", True, "1", "0.01", 100.0),
}
FX = {"USD": 1.0, "EUR": 1.25, "JPY": 0.01}
# Every held name is worth 2 % of NAV at the last close: 20,000 in base currency.
HELD = {"MBA": 200, "MBB": 200, "MBC": 200, "MBE": 200, "MBG": 200, "MBI": 2000, "MBK": 200}


def default_mandate() -> Mandate:
    """The mandate that the project ships."""
    return parse_mandate(Path(__file__).parents[2].joinpath("mandate.yaml").read_text(encoding="utf-8"))


MANDATE = default_mandate()


def tweaked(mandate: Mandate, path: str, value: object) -> Mandate:
    """The mandate with one field (dotted Python names) replaced, unvalidated so that limits may sit anywhere."""
    head, _, rest = path.partition(".")
    inner = tweaked(getattr(mandate, head), rest, value) if rest else value  # type: ignore[arg-type]
    return mandate.model_copy(update={head: inner})


def book_state(**changes: object) -> BookState:
    """A full book without drawdown."""
    state = BookState(
        session=SESSION, nav=NAV, inception_high=NAV, reference_high=NAV, drawdown=0.0, drawdown_inception=0.0,
        rung=Rung.FULL, multiple=1.0, sessions_in_rung=30, sessions_since_step=30, rearms=(), halt_class="", no_buys="",
        sessions_since_build=3, nav_history=(NAV,) * 6, turnover=(0.01,) * 20, lots=(), stop_hits=(), blocked=(), passive=(),
        forecast=Forecast(0.004, 0.002),
    )  # fmt: skip
    return replace(state, **changes)  # type: ignore[arg-type]


def drawn_down(depth: float, rung: Rung, **changes: object) -> BookState:
    """A book `depth` below its reference high."""
    high = NAV / (1.0 - depth)
    state = book_state(
        reference_high=high, inception_high=high, drawdown=depth, drawdown_inception=depth, rung=rung, multiple=0.25
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def factor_model(names: tuple[str, ...] = NAMES, **changes: object) -> FactorModel:
    """One market factor; daily volatility near 1.2 %; three windows."""
    rng = np.random.default_rng(7)
    n, days = len(names), 300
    returns = 0.008 * rng.standard_normal((days, 1)) + 0.008 * rng.standard_normal((days, n))
    beta = np.linspace(0.8, 1.2, n)
    moves = np.outer([-0.30, -0.50, -0.18], beta)
    model = FactorModel(
        session=SESSION, instruments=names, factors=("market",), exposures=beta[:, None], factor_covariance=np.array([[0.02]]),
        specific_variance=np.full(n, 0.04), returns=returns, observations=np.full(n, 300.0), beta=beta,
        sigma_daily=np.full(n, 0.012), ewma_halflife=33, ledoit_wolf_sessions=252, shrinkage=0.1, shrink_variance=1.4e-4,
        index_vol_20d=0.2, scenarios=("H2008L", "H2008", "WORST5"), scenario_kinds=("crash", "bear", "budget"),
        scenario_returns=moves, scenario_proxied=np.zeros((3, n), dtype=np.bool_),
        scenario_factor_returns=0.9 * moves, scenario_paths=np.stack([0.5 * moves, 1.1 * moves, moves], axis=1),
        scenario_years=np.array([0.19, 1.41, 0.02]),
    )  # fmt: skip
    return replace(model, **changes)  # type: ignore[arg-type]


def model_facts(**changes: object) -> ModelFacts:
    """Scores that hardly moved since the session before; an equal benchmark; no language-model tilt."""
    n = len(NAMES)
    scores = np.linspace(-1.5, 1.5, n)
    facts = ModelFacts(
        scores=scores, scores_before=scores + 0.01, llm_tilt=np.zeros(n), llm_influence=None, benchmark=np.full(n, 1.0 / n)
    )  # fmt: skip
    return replace(facts, **changes)  # type: ignore[arg-type]


def trade(**changes: object) -> TradeFacts:
    """Old listings of one issuer each, no event, nothing sent, nothing filled; targets of 5 % of NAV."""
    n = len(NAMES)
    day = dt.date(2018, 12, 12)
    facts = TradeFacts(
        cutoff=CUTOFF, listed_on=(dt.date(2000, 1, 3),) * n, ticker=tuple(name[-1] for name in NAMES),
        name=tuple(f"Company {name[-1]}" for name in NAMES), issuer=tuple(f"Issuer {name[-1]}" for name in NAMES),
        ended=frozenset(), ending=frozenset(), price_level=np.array([LISTINGS[name][7] for name in NAMES]),
        history_sessions=np.full(n, 300.0), move=np.full(n, 0.01), target=np.full(n, 0.05),
        next_sessions={mic: NextSession(day, at, at + dt.timedelta(hours=6)) for mic, at in OPENS.items()},
        price_difference={}, quotes={}, events=(), open_orders=(), sent=(), fills=(), unsettled={},
    )  # fmt: skip
    return replace(facts, **changes)  # type: ignore[arg-type]


def operations(**changes: object) -> OperationFacts:
    """An ordinary session: one clean fill, nothing open, everything reconciled, the model in force."""
    scores = tuple(sorted(MANDATE.portfolio.score_weights))
    facts = OperationFacts(
        session=SESSION, environment="paper", clock_skew_seconds=0.0, fills=(FillQuality("e1", "MBA", 2.0, -0.01, -0.002),),
        overfills=(), unknown_fills=(), cash_differences=(), overdue_orders=(), pnl_unexplained=0.5,
        trades=(TradeCost("e1", "MBA", 3.0, 3.5),), breaches=(), operator=False, other_sessions=(), heartbeat_sessions=1,
        refused_in_a_row=0, refused=0, sent=4, model_spec="a" * 64, mandate_spec="a" * 64, model_scores=scores,
        features=("instrument", *scores), drift=(FeatureDrift("momentum_12_1", 0.05, 0.4),), drift_sessions=10,
    )  # fmt: skip
    return replace(facts, **changes)  # type: ignore[arg-type]


def inputs(mandate: Mandate = MANDATE, **changes: object) -> RiskInputs:
    """The calm book: seven names of 2 % each, the rest in cash."""
    rows = [LISTINGS[name] for name in NAMES]
    n = len(NAMES)
    facts = RiskInputs(
        session=SESSION, mandate_sha256=mandate.sha256, instruments=NAMES, known=frozenset(NAMES), mic=tuple(r[0] for r in rows),
        currency=tuple(r[1] for r in rows), country=tuple(r[2] for r in rows), sector=tuple(r[3] for r in rows),
        is_fund=np.array([r[4] for r in rows]), quantity_step=tuple(Decimal(r[5]) for r in rows),
        tick_size=tuple(Decimal(r[6]) for r in rows), price=np.array([r[7] for r in rows]), price_age_sessions=np.zeros(n),
        fx_rates=dict(FX), stale_currencies=frozenset(), adv=np.full(n, 5e7), adv_observations=np.full(n, 20.0),
        sigma_daily=np.full(n, 0.012), positions=tuple(Decimal(HELD.get(name, 0)) for name in NAMES),
        open_quantity=(Decimal(0),) * n, open_client_order_ids=(), cash={"USD": Decimal("860000")}, nav=NAV, book=book_state(),
        factor_model=factor_model(), coverage_universe=1.0, coverage_held=1.0, quality_halts=(), quarantined=frozenset(),
        incomplete=frozenset(), breaks=(), halt_flag="off", ledger_ready=True,
        optimizer=OptimizerAnswer("optimal", "mean_variance", 1e-9), rebalance=True, sent_client_order_ids=frozenset(),
        unknown_broker_instruments=(), models=model_facts(), trade=trade(),
        operations=operations(),
    )  # fmt: skip
    return replace(facts, **changes)  # type: ignore[arg-type]


def order(name: str, side: str, quantity: float | str, limit: str | None = None, /, **changes: object) -> Order:
    """An equity order at the last close unless `limit` says otherwise."""
    mic, currency, *_, price = LISTINGS[name]
    made = Order(
        client_order_id=f"mb1-{name.lower()}-{side.lower()}", session=SESSION, batch_no=1, leg=side.lower(), kind=Kind.EQUITY,
        instrument=name, mic=mic, side=Side(side), quantity=Decimal(quantity), limit_price=Decimal(limit or str(price)),
        currency=currency, send_from=CUTOFF, send_until=OPENS[mic], reason="target",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def leg(currency: str, side: str, quantity: float | str, /, **changes: object) -> Order:
    """A conversion of `currency` against the base, before the first open."""
    made = Order(
        client_order_id=f"mb1-fx-{currency.lower()}-{side.lower()}", session=SESSION, batch_no=1, leg=f"fx-{side.lower()}",
        kind=Kind.FX, instrument=f"FX:{currency}", mic="", side=Side(side), quantity=Decimal(quantity), limit_price=None,
        currency=currency, send_from=CUTOFF, send_until=OPENS["XTKS"], reason="funds",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def batch() -> tuple[Order, ...]:
    """An ordinary batch: two buys at home, one in Frankfurt with its leg, one sell."""
    return (
        order("MBD", "BUY", 200),
        order("MBL", "BUY", 100),
        order("MBH", "BUY", 100),
        leg("EUR", "BUY", "8100"),
        order("MBA", "SELL", 100),
    )


def buys(orders: tuple[Order, ...]) -> tuple[Order, ...]:
    """Equity buys of a batch."""
    return tuple(o for o in orders if o.kind is Kind.EQUITY and o.side is Side.BUY)


def answers(
    test: Callable[[Projection], tuple[ControlResult, ...]],
    facts: RiskInputs,
    orders: tuple[Order, ...] = (),
    mandate: Mandate = MANDATE,
) -> dict[str, ControlResult]:
    """Key -> answer of one control."""
    with np.errstate(all="ignore"):
        return {result.key: result for result in test(project(facts, orders, mandate))}


def crashes(loss: float, days: int = 4) -> FactorModel:
    """300 sessions in which nothing moves but for some on which every name loses the same."""
    returns = np.zeros((300, len(NAMES)))
    returns[::40][:days] = -loss
    return factor_model(returns=returns)
