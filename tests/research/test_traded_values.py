"""What a backtest says was traded: without a limit at the last close; protective stops and the rest of slices do not count."""

import dataclasses
from decimal import Decimal

import pandas as pd
import pytest
from research_world import loop, mandate_with

from marketbot_assets import pages
from marketbot_assets.research.details import prevented
from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_assets.research.outcomes import outcomes, traded
from marketbot_resources.model import Kind, Order, Side

AT_CLOSE = mandate_with(
    execution={
        "targets": "market_on_close",
        "exits": "market_on_close",
        "allowed": ["market_on_close", "limit_on_open"],
    }
)


@pytest.fixture(scope="module")
def day(world: Tables) -> Day:
    """The first session of a book that buys at the market."""
    return next(loop(world, AT_CLOSE, 1)[0])


def closes_in_base(day: Day) -> dict[str, float]:
    window = day.known.window
    return dict(zip(window.instruments, (window.close[-1] * window.fx[-1]).tolist(), strict=True))


def test_orders_at_the_market_have_a_value(day: Day) -> None:
    worth, orders = closes_in_base(day), [o for o in day.decision.batch if o.kind is Kind.EQUITY]
    assert orders
    assert all(order.limit_price is None and order.side is Side.BUY for order in orders)
    expected = sum(float(order.quantity) * worth[order.instrument] for order in orders) / day.state.nav
    row = outcomes([day]).iloc[0]
    assert expected > 0.01
    assert row["buys"] == pytest.approx(expected, rel=1e-12)
    assert row["sells"] == 0.0


@pytest.mark.parametrize("leg", ["S", "TC"])
def test_what_waits_or_is_counted_already_is_not_counted(day: Day, leg: str) -> None:
    first = next(o for o in day.decision.batch if o.kind is Kind.EQUITY)
    other = dataclasses.replace(first, leg=leg, client_order_id="z" * 20)
    assert traded(with_batch(day, (*day.decision.batch, other)), Side.BUY) == traded(day, Side.BUY)


def test_what_a_control_prevented_has_a_value(day: Day) -> None:
    """An order at the market that was cut to one share: planned and left, at the close."""
    first = next(o for o in day.decision.batch if o.kind is Kind.EQUITY)
    cut = dataclasses.replace(first, quantity=Decimal(1))
    change = (first.client_order_id, first.quantity, cut.quantity, "RC-12")
    judgement = dataclasses.replace(
        day.decision.judgement,
        planned=day.decision.judgement.planned,
        approved=tuple(cut if o is first else o for o in day.decision.batch),
        changes=(change,),
    )
    found = list(prevented(dataclasses.replace(day, decision=dataclasses.replace(day.decision, judgement=judgement))))
    each = closes_in_base(day)[first.instrument] / day.state.nav
    ((control, name, planned, left),) = found
    assert (control, name) == ("RC-12", first.instrument)
    assert (planned, left) == pytest.approx((float(first.quantity) * each, each))


def with_batch(day: Day, batch: tuple[Order, ...]) -> Day:
    judgement = dataclasses.replace(day.decision.judgement, approved=batch)
    return dataclasses.replace(day, decision=dataclasses.replace(day.decision, judgement=judgement))


def test_the_page_of_a_plan_counts_the_same_orders(day: Day) -> None:
    planned = [p for p in day.decision.planned if p.kind == Kind.EQUITY.value]
    guard = dataclasses.replace(planned[0], leg="S", side="SELL")
    rest = dataclasses.replace(planned[0], leg="TC")
    rows = [dataclasses.asdict(p) for p in (*planned, guard, rest)]
    frame = pd.DataFrame(rows)
    shown = pages.orders(frame, day.known.instruments)
    assert shown["buys"] == pytest.approx(sum(p.value_base for p in planned))
    assert shown["sells"] == 0.0
