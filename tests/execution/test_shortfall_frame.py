"""SHORTFALL rows against numbers computed by hand: what each order was, cost, and why a number is missing."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from marketbot_assets.execution.schema import SHORTFALL
from marketbot_assets.execution.shortfall_frame import (
    CLOSE,
    NO_BAR,
    NO_PLAN,
    NO_QUOTE,
    NO_RATE,
    OPEN,
    OVERFILLED,
    RATE,
    Prices,
    Traded,
    is_over,
    last_day,
    shortfall_frame,
)
from marketbot_resources.closures import NO_CLOSURES
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.model import Execution, Kind, Order, OrderType, Side

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
DECIDED, SESSION = dt.date(2018, 12, 12), dt.date(2018, 12, 13)
CUTOFF = dt.datetime(2018, 12, 13, 23, 15, tzinfo=dt.UTC)
NIGHT, OPENING = dt.datetime(2018, 12, 12, 23, 15, tzinfo=dt.UTC), dt.datetime(2018, 12, 13, 14, 28, tzinfo=dt.UTC)
FILLED_AT = dt.datetime(2018, 12, 13, 14, 30, tzinfo=dt.UTC)


def order(**changes: object) -> Order:
    made = Order(
        client_order_id="o1", session=DECIDED, batch_no=1, leg="T", kind=Kind.EQUITY, instrument="MBA", mic="XNYS",
        side=Side.BUY, quantity=Decimal(1000), limit_price=Decimal(52), currency="USD", send_from=NIGHT, send_until=OPENING,
        reason="target",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def leg(**changes: object) -> Order:
    changes = {"send_until": NIGHT, **changes}
    return order(kind=Kind.FX, leg="F", instrument="FX:GBP", mic="", currency="GBP", limit_price=None, **changes)


def fill(price: str, quantity: int, **changes: object) -> Execution:
    made = Execution(
        execution_id=f"{price}x{quantity}", client_order_id="o1", kind=Kind.EQUITY, instrument="MBA", side=Side.BUY,
        quantity=Decimal(quantity), price=Decimal(price), currency="USD", fee=Decimal(0), tax=Decimal(0), executed_at=FILLED_AT,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


PRICES = Prices(
    bars={("MBA", SESSION): (50.10, 50.60)},
    rates={(DECIDED, "USD"): 1.0, (SESSION, "USD"): 1.0, (DECIDED, "GBP"): 1.25, (SESSION, "GBP"): 1.30},
    adv={"MBA": 10_000_000.0},
    sigma_daily={"MBA": 0.02},
    funds=frozenset(),
    ratio={},
)
TWO = [fill("50.20", 600, fee=Decimal(3)), fill("50.30", 200, fee=Decimal(1))]


def row(
    given: Order | None = None,
    fills: list[Execution] | None = None,
    *,
    prices: Prices = PRICES,
    states: dict[str, str] | None = None,
    plan: dict[str, object] | None = None,
    open_ids: frozenset[str] = frozenset(),
) -> dict[str, object]:
    """The only row of one order."""
    planned = {"client_order_id": "o1", "reference_price": 50.0, "cost_bps": 3.5} if plan is None else plan
    traded = Traded(
        [given or order()], pd.DataFrame([planned] if planned else [], columns=["client_order_id", "reference_price", "cost_bps"]),
        states or {}, TWO if fills is None else fills, open_ids, CUTOFF, "paper",
    )  # fmt: skip
    frame = shortfall_frame(traded, prices, SESSION, MANDATE)
    SHORTFALL.pandera_schema.validate(frame)
    (found,) = frame.to_dict("records")
    return {str(name): value for name, value in found.items()}


def numbers(found: dict[str, object], *names: str) -> list[float]:
    return [float(found[name]) for name in names]  # type: ignore[arg-type]


def test_an_order_in_all_its_parts() -> None:
    """The vector of 304 = 60.8 bp: of the trading cost of 100 the model's spread is .6 * 3.5 bp and its impact 2 % sqrt(v / ADV).

    v = 800 * 50.10 = 40,080: spread 8.4168, impact 40,080 * .02 * sqrt(.004008) = 50.748..., the rest 40.83...; realised
    (100 + 4) / 40,080 = 25.948 bp against 3.5 + 12.6618 bp of the model.
    """
    found = row()
    assert (found["state"], found["arrival"], found["reason"], found["environment"]) == ("PARTIAL", OPEN, "", "paper")
    assert numbers(found, "delay", "opportunity", "fees", "taxes", "total", "total_bps", "total_base", "fx_base") == [
        80.0, 120.0, 4.0, 0.0, 304.0, 60.8, 304.0, 0.0,
    ]  # fmt: skip
    impact = 40_080 * 0.02 * math.sqrt(40_080 / 1e7)
    assert numbers(found, "spread", "impact", "residual") == pytest.approx([8.4168, impact, 100 - 8.4168 - impact])
    assert numbers(found, "realised_bps", "model_bps") == pytest.approx([104 / 4.008, 3.5 + impact / 4.008])
    assert numbers(found, "decision_price", "arrival_price", "average_price", "close_price", "filled") == [
        50.0, 50.10, 50.225, 50.60, 800.0,
    ]  # fmt: skip


STATES = [
    ([fill("50.20", 1000)], {}, "FILLED", 0.0),
    ([], {}, "UNFILLED", 600.0),
    ([], {"o1": "ACKED"}, "UNFILLED", 600.0),
    ([], {"o1": "REJECTED"}, "REJECTED", 600.0),
    ([], {"o1": "APPROVED"}, "NOT_SENT", 600.0),
    ([], {"o1": "UNKNOWN"}, "UNKNOWN", 600.0),
    (TWO, {"o1": "REJECTED"}, "PARTIAL", 120.0),
]


@pytest.mark.parametrize(("fills", "states", "state", "opportunity"), STATES)
def test_what_became_of_it(fills: list[Execution], states: dict[str, str], state: str, opportunity: float) -> None:
    """Fills say more than answers; what did not trade missed .60 a share, whoever refused it."""
    found = row(fills=fills, states=states)
    assert (found["state"], found["opportunity"]) == (state, opportunity)


def test_an_order_that_never_filled_costs_only_its_opportunity() -> None:
    """1000 at 50, close 50.60: 600 = 120 bp, no other part; nothing is compared with the model."""
    found = row(fills=[])
    assert numbers(found, "delay", "spread", "impact", "residual", "fees", "total", "total_bps") == [
        0.0, 0.0, 0.0, 0.0, 0.0, 600.0, 120.0,
    ]  # fmt: skip
    assert math.isnan(numbers(found, "realised_bps")[0])
    assert found["reason"] == ""


UNKNOWN = [
    ({"plan": {}}, NO_PLAN, ("delay", "total", "decision_price", "expected_bps")),
    ({"prices": replace(PRICES, bars={})}, NO_BAR, ("delay", "opportunity", "total", "realised_bps", "spread")),
    ({"prices": replace(PRICES, bars={("MBA", SESSION): (math.nan, 50.6)})}, NO_BAR, ("delay", "realised_bps", "residual")),
    ({"prices": replace(PRICES, rates={})}, NO_RATE, ("total_base", "fx_base", "rate", "impact")),
    ({"given": order(type=OrderType.LIMIT)}, NO_QUOTE, ("delay", "realised_bps", "arrival_price")),
    ({"fills": [fill("50.20", 1001)]}, OVERFILLED, ("delay", "total")),
    ({"prices": replace(PRICES, adv={})}, "", ("impact", "residual", "model_bps")),
    ({"plan": {"client_order_id": "o1", "reference_price": math.nan, "cost_bps": 3.5}}, NO_PLAN, ("total",)),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason", "missing"), UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_is_not_known_says_why(changes: dict[str, object], reason: str, missing: tuple[str, ...]) -> None:
    """A number without its price is null, never zero, and the row gives the reason."""
    found = row(**changes)  # type: ignore[arg-type]
    assert found["reason"] == reason
    assert [name for name in missing if not math.isnan(numbers(found, name)[0])] == []


def test_the_total_needs_no_arrival() -> None:
    """An intraday limit: arrival is not known, delay and trading together are: 180 + 120 + 4."""
    assert numbers(row(order(type=OrderType.LIMIT)), "total") == [304.0]


def test_an_order_on_the_close_arrives_at_the_close() -> None:
    """LIMIT_ON_CLOSE: arrival 50.60, delay 800 * .60 = 480, trading 40,180 - 40,480 = -300."""
    closing = order(type=OrderType.LIMIT_ON_CLOSE, send_until=dt.datetime(2018, 12, 13, 20, 45, tzinfo=dt.UTC))
    found = row(closing)
    assert (found["arrival"], found["delay"]) == (CLOSE, 480.0)
    assert sum(numbers(found, "spread", "impact", "residual")) == pytest.approx(-300.0)


def test_another_currency_has_its_rate_apart() -> None:
    """In GBP at 1.25, then 1.30: total 304 + taxes 40 = 344 -> 430; .05 * (40,180 + 200 * 50.60 + 4 + 40) = 2,517.20."""
    foreign = order(currency="GBP")
    fills = [replace(x, currency="GBP", tax=Decimal(20)) for x in TWO]
    found = row(foreign, fills)
    assert numbers(found, "total", "total_base", "fx_base", "rate") == pytest.approx([344.0, 430.0, 2517.2, 1.25])
    assert numbers(found, "model_bps")[0] == pytest.approx(7.5 + 50 + 200 * math.sqrt(40_080 * 1.25 / 1e7))


def test_a_currency_leg_is_measured_from_the_rate() -> None:
    """10,000 GBP bought at 1.2525 against a rate of 1.25: 25 base, 20 bp; the model says 2 bp, the rest 22.50."""
    changes = {"kind": Kind.FX, "instrument": "FX:GBP", "currency": "GBP"}
    plan: dict[str, object] = {"client_order_id": "o1", "reference_price": 1.25, "cost_bps": 2.0}
    found = row(leg(quantity=Decimal(10_000)), [fill("1.2525", 10_000, **changes)], plan=plan)
    assert (found["arrival"], found["order_type"], found["state"]) == (RATE, "FX", "FILLED")
    assert numbers(found, "delay", "spread", "impact", "residual", "total", "total_base", "fx_base") == pytest.approx(
        [0.0, 2.5, 0.0, 22.5, 25.0, 25.0, 0.0]
    )
    assert numbers(found, "realised_bps", "model_bps") == pytest.approx([20.0, 2.0])


def test_a_split_between_decision_and_fill() -> None:
    """2:1: 1000 at 50 are 2000 at 25; 2000 @ 25.05, arrival 25.05: delay 100, nothing else."""
    split = replace(PRICES, ratio={"o1": Decimal(2)}, bars={("MBA", SESSION): (25.05, 25.3)})
    found = row(fills=[fill("25.05", 2000)], prices=split)
    assert (found["state"], found["quantity"]) == ("FILLED", Decimal(2000))
    assert numbers(found, "decision_price", "delay", "total", "total_bps") == [25.0, 100.0, 100.0, 20.0]


def test_fills_of_another_side_or_name_are_not_its_fills() -> None:
    """They are counted where fills without an order of ours are."""
    strangers = [replace(TWO[0], side=Side.SELL), replace(TWO[1], instrument="MBB")]
    assert row(fills=strangers)["filled"] == 0.0


def test_worked_orders_wait() -> None:
    """Open at the broker, or its session not closed yet: a row without parts, so that nothing is counted twice."""
    found = row(open_ids=frozenset({"o1"}))
    assert (found["state"], math.isnan(numbers(found, "total")[0])) == ("WORKING", True)
    tokyo = order(mic="XTKS", send_until=dt.datetime(2018, 12, 13, 23, 58, tzinfo=dt.UTC))
    assert row(tokyo)["state"] == "WORKING"
    assert last_day(tokyo, NO_CLOSURES) == dt.date(2018, 12, 14)


@pytest.mark.parametrize(
    ("cutoff", "over"),
    [
        (dt.datetime(2018, 12, 13, 20, 59, 59, tzinfo=dt.UTC), False),
        (dt.datetime(2018, 12, 13, 21, 0, tzinfo=dt.UTC), True),
    ],
)
def test_an_order_is_over_when_its_session_has_closed(cutoff: dt.datetime, over: bool) -> None:
    """New York closes at 16:00, 21:00 UTC in December."""
    assert is_over(order(), frozenset(), cutoff, NO_CLOSURES) is over
