"""Costs learnt from live fills: the factor by hand, its bounds, what never counts, and where it is charged."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.portfolio.calibration import (
    BOUNDED,
    FEW,
    OFF,
    ORDERS_KEPT,
    UNREAL,
    USED,
    CostMultiples,
    Market,
    Measured,
    calibration_frame,
    factor,
    measured,
    multiples_of,
)
from marketbot_assets.portfolio.eligibility import linear_costs
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import costs
from marketbot_assets.portfolio.fallback import solve_target
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.order_plan import plan_orders
from marketbot_assets.portfolio.schema import COST_CALIBRATION
from marketbot_assets.portfolio.target import Target
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_portfolio import Calibration
from marketbot_resources.model import Execution, Kind, Order, OrderType, Side

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
RULE = Calibration()
DAY = dt.date(2018, 12, 13)
AT = dt.datetime(2018, 12, 13, 14, 30, tzinfo=dt.UTC)


def found(
    realised: list[float], model: list[float], rule: Calibration = RULE, *, live: bool = True
) -> tuple[float, str]:
    told = factor(np.array(realised), np.array(model), rule, live=live)
    return told.multiple, told.reason


FACTORS = [
    # realised, model, multiple, reason: shrunk (n ratio + 20) / (n + 20)
    ([8.0] * 20, [4.0] * 20, 1.5, USED),  # ratio 2
    ([8.0] * 80, [4.0] * 80, 1.8, USED),
    ([4.0] * 20, [4.0] * 20, 1.0, USED),
    ([1.0] * 20, [4.0] * 20, 1.0, BOUNDED),  # cheaper than the model: ignored, floor 1
    ([-3.0] * 20, [4.0] * 20, 1.0, BOUNDED),
    ([80.0] * 100, [4.0] * 100, 3.0, BOUNDED),  # ratio 20
    ([8.0] * 19, [4.0] * 19, 1.0, FEW),
    ([], [], 1.0, FEW),
]


@pytest.mark.parametrize(("realised", "model", "multiple", "reason"), FACTORS, ids=range(len(FACTORS)))
def test_factor_by_hand(realised: list[float], model: list[float], multiple: float, reason: str) -> None:
    """The prior 1 weighs 20 orders; bounds and the least number of orders hold."""
    assert found(realised, model) == (pytest.approx(multiple, abs=1e-12), reason)


def test_a_floor_below_one_lets_costs_fall() -> None:
    """Ratio .25 over 20 orders: (5 + 20) / 40 = .625; with a floor of .7 it ends there."""
    assert found([1.0] * 20, [4.0] * 20, RULE.model_copy(update={"floor": 0.5})) == (0.625, USED)
    assert found([1.0] * 20, [4.0] * 20, RULE.model_copy(update={"floor": 0.7})) == (0.7, BOUNDED)


def test_what_is_off_or_not_live_charges_the_mandate() -> None:
    """Paper fills follow the model: they are exactly 1, whatever they say."""
    dear = ([40.0] * 100, [4.0] * 100)
    assert found(*dear, live=False) == (1.0, UNREAL)
    assert found(*dear, RULE.model_copy(update={"enabled": False})) == (1.0, OFF)


def test_one_wild_fill_moves_little() -> None:
    """Of 25 orders at the model's 4 one costs 1000: its gap of 996 is cut to 5 bp; ratio (100 + 5) / 100, shrunk 46.25 / 45."""
    told = factor(np.array([4.0] * 24 + [1000.0]), np.full(25, 4.0), RULE, live=True)
    assert (told.ratio, told.multiple) == (pytest.approx(1.05), pytest.approx((25 * 1.05 + 20) / 45))
    assert told.realised_bps == pytest.approx(43.84), "the mean that is shown is not cut"


def test_standard_error_by_hand() -> None:
    """Gaps of -1 and +1 around twice the model: sd of realised - 2 model is sqrt(20/19), over sqrt(20) and a mean of 4."""
    told = factor(np.array([7.0, 9.0] * 10), np.full(20, 4.0), RULE, live=True)
    assert (told.ratio, told.standard_error) == (pytest.approx(2.0), pytest.approx(1 / math.sqrt(19) / 4))


numbers = st.floats(-500, 5000, allow_nan=False)
series = st.lists(st.tuples(numbers, st.floats(0.1, 200)), min_size=0, max_size=60)


@given(series, st.randoms(use_true_random=False))
def test_order_changes_nothing_and_bounds_hold(pairs: list[tuple[float, float]], random: object) -> None:
    """Bit for bit the same factor, ratio and error for any order of the same orders, always within the mandate's bounds."""
    rule = Calibration(floor=0.6, ceiling=2.5)
    first = factor(np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]), rule, live=True)
    random.shuffle(pairs)  # type: ignore[attr-defined]
    again = factor(np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]), rule, live=True)
    assert str(again) == str(first), "repr of a float is exact"
    assert 0.6 <= first.multiple <= 2.5


# --- measurements ---
MARKET = Market({("MBA", DAY): (50.0, 50.8)}, {"MBA": 1e7}, {"MBA": 0.02}, {"USD": 1.0, "GBP": 1.25}, frozenset())


def order(**changes: object) -> Order:
    made = Order(
        client_order_id="o1", session=dt.date(2018, 12, 12), batch_no=1, leg="T", kind=Kind.EQUITY, instrument="MBA",
        mic="XNYS", side=Side.BUY, quantity=Decimal(1000), limit_price=Decimal(52), currency="USD", send_from=AT, send_until=AT,
        reason="target",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def fill(price: str, quantity: int, **changes: object) -> tuple[Execution, dt.date]:
    made = Execution(
        execution_id=f"{price}x{quantity}", client_order_id="o1", kind=Kind.EQUITY, instrument="MBA", side=Side.BUY,
        quantity=Decimal(quantity), price=Decimal(price), currency="USD", fee=Decimal(0), tax=Decimal(0), executed_at=AT,
    )  # fmt: skip
    return replace(made, **changes), DAY  # type: ignore[arg-type]


def told(
    fills: list[tuple[Execution, dt.date]], given_order: Order | None = None, market: Market = MARKET
) -> tuple[Measured, ...]:
    return measured(fills, {"o1": given_order or order()}, market, MANDATE, "live")


def test_an_order_is_measured_against_the_auction() -> None:
    """800 at 50.00 open: 600 @ 50.05, 200 @ 50.10, fee 4: (50 + 4) / 40,000 = 13.5 bp; model 3.5 + 200 sqrt(.004) bp."""
    (row,) = told([fill("50.05", 600, fee=Decimal(3)), fill("50.10", 200, fee=Decimal(1), tax=Decimal(9))])
    assert (row.realised_bps, row.model_bps) == (pytest.approx(13.5), pytest.approx(3.5 + 200 * math.sqrt(0.004)))
    assert (row.bucket, row.side, row.key) == ("USD", Side.BUY, "o1/2018-12-13")


def test_volume_is_compared_in_base_currency() -> None:
    """800 at 50.00 GBP are 50,000 USD of the 10,000,000 traded: 7.5 + 200 sqrt(.005) bp."""
    (row,) = told([fill("50.05", 800, currency="GBP")], order(currency="GBP"))
    assert (row.bucket, row.model_bps) == ("GBP", pytest.approx(7.5 + 200 * math.sqrt(0.005)))


def test_a_sale_below_the_auction_costs() -> None:
    """400 @ 49.90 against 50: 20 bp."""
    (row,) = told([fill("49.90", 400, side=Side.SELL)], order(side=Side.SELL))
    assert row.realised_bps == pytest.approx(20.0)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.integers(2, 5))
def test_splitting_a_fill_changes_nothing(sizes: list[int], pieces: int) -> None:
    """The same shares at the same prices, told in more pieces."""
    whole = [fill(f"50.0{n}", size * pieces) for n, size in enumerate(sizes)]
    cut = [fill(f"50.0{n}", size, execution_id=f"{n}/{k}") for n, size in enumerate(sizes) for k in range(pieces)]
    assert told(whole) == told(cut)


IGNORED = [
    ({}, {"type": OrderType.LIMIT}, MARKET),
    ({}, {}, replace(MARKET, auctions={})),
    ({}, {}, replace(MARKET, adv={"MBA": math.nan})),
    ({}, {}, replace(MARKET, sigma_daily={})),
    ({}, {}, replace(MARKET, rates={})),
    ({"kind": Kind.FX, "instrument": "FX:GBP"}, {}, MARKET),
    ({"side": Side.SELL}, {}, MARKET),
    ({"client_order_id": "stranger"}, {}, MARKET),
]


@pytest.mark.parametrize(("fill_changes", "order_changes", "market"), IGNORED, ids=range(len(IGNORED)))
def test_what_cannot_be_measured_is_left_out(
    fill_changes: dict[str, object], order_changes: dict[str, object], market: Market
) -> None:
    """No quote, no bar, no volume, no volatility, no rate, a leg, a stranger's fill."""
    assert told([fill("50.05", 100, **fill_changes)], order(**order_changes), market) == ()


def test_an_order_on_the_close_is_measured_against_it() -> None:
    """50.90 against 50.80: 19.685 bp."""
    (row,) = told([fill("50.90", 10)], order(type=OrderType.LIMIT_ON_CLOSE))
    assert row.realised_bps == pytest.approx(0.1 / 50.8 * 1e4)


# --- the table ---
def row(
    n: int, realised: float = 8.0, environment: str = "live", bucket: str = "USD", side: Side = Side.BUY
) -> Measured:
    return Measured(f"o{n:04d}/2018", bucket, side, environment, DAY + dt.timedelta(days=n), realised, 4.0)


def test_environments_are_never_one_series() -> None:
    """20 live orders at twice the model and 200 paper ones at 40 times it: 1.5 on a live account, 1 on paper."""
    rows = [row(n) for n in range(20)] + [row(1000 + n, 160.0, "paper") for n in range(200)]
    live, paper = (calibration_frame(None, rows, MANDATE, name) for name in ("live", "paper"))
    COST_CALIBRATION.pandera_schema.validate(live)
    assert multiples_of(live).factors["USD", Side.BUY] == 1.5
    assert set(multiples_of(paper).factors.values()) == {1.0}
    assert {pair: x for pair, x in multiples_of(live).factors.items() if x != 1.0} == {("USD", Side.BUY): 1.5}


@pytest.mark.parametrize("environment", ["", "paper", "backtest", "Live"])
def test_only_an_account_that_says_live_teaches(environment: str) -> None:
    """Unknown is not live."""
    rows = [row(n, environment=environment) for n in range(50)]
    assert set(multiples_of(calibration_frame(None, rows, MANDATE, environment)).factors.values()) == {1.0}


def test_state_is_carried_and_each_order_counts_once() -> None:
    """Session by session or at once: the same table; told again, or told otherwise later, changes nothing."""
    rows = [row(n) for n in range(30)]
    at_once = calibration_frame(None, rows, MANDATE, "live")
    frame = None
    for n in range(0, 30, 7):
        frame = calibration_frame(frame, rows[n : n + 7], MANDATE, "live")
    assert frame is not None
    assert frame.equals(at_once)
    again = calibration_frame(frame, [replace(row(0), realised_bps=9999.0), row(3)], MANDATE, "live")
    assert again.equals(frame)


def test_the_newest_orders_are_kept() -> None:
    """Older ones fall out, per environment, bucket and side."""
    rows = [row(n, 80.0) for n in range(ORDERS_KEPT)] + [row(ORDERS_KEPT + n, 4.0) for n in range(ORDERS_KEPT)]
    frame = calibration_frame(None, rows, MANDATE, "live")
    assert len(frame[frame["kind"] == "ORDER"]) == ORDERS_KEPT
    assert multiples_of(frame).factors["USD", Side.BUY] == 1.0


# --- where it is charged ---
def test_linear_costs_carry_the_factor_but_tax_and_conversion() -> None:
    """GBP buy: 7.5 * 2 + 2 + 50; sell 7.5 * 3 + 2; the fund 2.5 stays; USD sell 3.5."""
    factors = CostMultiples({("GBP", Side.BUY): 2.0, ("GBP", Side.SELL): 3.0})
    buy, sell = linear_costs(MANDATE, ("GBP", "USD", "USD"), np.array([False, True, False]), factors)
    assert buy * 1e4 == pytest.approx([67.0, 2.5, 3.5])
    assert sell * 1e4 == pytest.approx([24.5, 2.5, 3.5])


def test_impact_carries_the_factor(build: Callable[..., PortfolioInputs], mandate: Mandate) -> None:
    """The impact that is added to the linear cost doubles for buys and trebles for sales."""
    plain = build(3)
    n = len(plain.instruments)
    dear = replace(plain, calibrated=(np.full(n, 2.0), np.full(n, 3.0)))
    before, after = costs(plain, mandate), costs(dear, mandate)
    assert after[0] - plain.cost_buy == pytest.approx(2 * (before[0] - plain.cost_buy))
    assert after[1] - plain.cost_sell == pytest.approx(3 * (before[1] - plain.cost_sell))
    assert (before[0] > plain.cost_buy).all()


def test_the_explanation_says_which_cost_was_used(build: Callable[..., PortfolioInputs], mandate: Mandate) -> None:
    """Per name the cost in the direction of the move and the factor in it."""
    plain = build(3, invested=0.6)
    n = len(plain.instruments)
    dear = replace(plain, calibrated=(np.full(n, 2.0), np.full(n, 3.0)))
    weights = dear.weights_now()
    weights[0] += 0.01
    held = int(np.flatnonzero(dear.weights_now() > 0.005)[-1])
    weights[held] -= 0.005
    target = Target(
        weights=weights, weights_now=dear.weights_now(), cash_weight=0.5, method="risk_parity", status="optimal",
        objective=0.0, residual=0.0, limits=(), failures=(), no_buys="", solver="",
    )  # fmt: skip
    rows, (buy, sell) = explain(dear, target, mandate), costs(dear, mandate)
    assert (rows[0].cost_bps, rows[0].cost_multiple) == (pytest.approx(buy[0] * 1e4), 2.0)
    assert (rows[held].cost_bps, rows[held].cost_multiple) == (pytest.approx(sell[held] * 1e4), 3.0)


def test_dearer_trades_are_fewer(build: Callable[..., PortfolioInputs], mandate: Mandate) -> None:
    """The optimizer hears of it: with every cost three times as high it trades less, and no plan charges less than before."""
    plain = build(5, invested=0.6)
    three = np.full(len(plain.instruments), 3.0)
    dear = replace(plain, cost_buy=3 * plain.cost_buy, cost_sell=3 * plain.cost_sell, calibrated=(three, three))
    cheap, less = solve_target(plain, mandate), solve_target(dear, mandate)
    assert (cheap.method, less.method) == ("mean_variance", "mean_variance")
    turnover = [float(np.abs(found.weights - found.weights_now).sum()) for found in (cheap, less)]
    assert turnover[1] < turnover[0] - 1e-4
    bought = [{p.instrument: p.cost_bps for p in plan_orders(x, t, mandate)} for x, t in ((plain, cheap), (dear, less))]
    both = [name for name in sorted(bought[0].keys() & bought[1].keys()) if not name.startswith("FX:")]
    assert both
    assert all(bought[1][name] > 2.5 * bought[0][name] for name in both)
