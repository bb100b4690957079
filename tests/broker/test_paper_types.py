"""The paper account works every order type: when it is decided, what a split does to it, how orders share a day's volume."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from paper_world import CLOSED, OPEN, OPENED, SENT, TUESDAY, WEDNESDAY, D, HandMarket, mandate, order

from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.fill_rules import Bar
from marketbot_resources.model import Order, OrderState, OrderType, Side
from marketbot_resources.paper import PaperAccount

T = OrderType
CLOSE = dt.datetime(2018, 12, 11, 21, 0, tzinfo=dt.UTC)
MANDATE = mandate()


def market(volume: float = 1e6) -> HandMarket:
    """Open 10, high 11, low 9, close 10.50 on Tuesday."""
    found = HandMarket()
    found.bars["A", TUESDAY] = Bar("A", TUESDAY, 10.0, 11.0, 9.0, 10.5, volume, OPEN)
    return found


def account(known: HandMarket, shares: int = 1000) -> PaperAccount:
    return PaperAccount(MANDATE, known, cash={"USD": D(1_000_000)}, shares={"A": D(shares)}, opened_at=OPENED)


def of(
    kind: OrderType, side: Side, limit: str | None = None, *, number: str = "1", quantity: str = "100", **prices: str
) -> Order:
    plain = order(side, quantity, limit, number=number)
    return replace(plain, type=kind, **{name: D(text) for name, text in prices.items()})  # type: ignore[arg-type]


# spread share 0.6 of 3.5 bps: 2.1 bps against us; impact 0 with sigma 0
CASES: list[tuple[Order, str, dt.datetime]] = [
    (of(T.LIMIT_ON_OPEN, Side.BUY, "10.50"), "10.00", OPEN),
    (of(T.MARKET_ON_OPEN, Side.BUY), "10.00", OPEN),
    (of(T.LIMIT_ON_CLOSE, Side.BUY, "10.60"), "10.50", CLOSE),
    (of(T.MARKET_ON_CLOSE, Side.SELL), "10.50", CLOSE),
    (of(T.LIMIT, Side.BUY, "9.20"), "9.20", CLOSE),
    (of(T.MARKET, Side.SELL), "10.00", CLOSE),
    (of(T.STOP, Side.SELL, stop_price="9.50"), "9.50", CLOSE),
    (of(T.TRAILING_STOP, Side.SELL, trail="0.02"), "9.80", CLOSE),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_orders_are_decided_at_their_auction_or_at_the_close(case: int) -> None:
    """Opening orders at the open; closing and day orders at the close, before which nothing of them is told."""
    sent, price, at = CASES[case]
    found = account(market())
    assert found.submit(sent, SENT).state is OrderState.ACKED
    assert found.report(OPENED, at - dt.timedelta(microseconds=1)).executions == ()
    (fill,) = found.report(OPENED, CLOSED).executions
    assert abs(fill.price - D(price)) <= D("0.01")  # the spread, to the tick
    assert (fill.executed_at, fill.quantity, fill.side) == (at, D(100), sent.side)


def test_a_day_order_that_meets_nothing_ends_with_the_day() -> None:
    """DAY: EXPIRED after the close with its reason, and not worked on Wednesday."""
    known = market()
    known.bars["A", WEDNESDAY] = Bar("A", WEDNESDAY, 5.0, 5.0, 5.0, 5.0, 1e6, OPEN)
    found = account(known)
    found.submit(of(T.LIMIT, Side.BUY, "8.99"), SENT)
    found.advance(CLOSED + dt.timedelta(days=1))
    answer = found.find("o1")
    assert answer is not None
    assert answer.state is OrderState.EXPIRED
    assert "beyond the limit 8.99" in answer.reason


def test_a_day_order_can_be_canceled_until_the_close() -> None:
    """At noon it still works."""
    found = account(market())
    found.submit(of(T.LIMIT, Side.BUY, "9.20"), SENT)
    answer = found.cancel("o1", OPEN + dt.timedelta(hours=2))
    assert answer is not None
    assert answer.state is OrderState.CANCELED
    assert found.report(OPENED, CLOSED).executions == ()


def test_day_and_closing_orders_share_the_volume_of_the_day() -> None:
    """2 % of 10,000 shares: 150 by the first, 50 by the second, nothing for the third; the record keeps it."""
    known = market(volume=10_000.0)
    found = account(known)
    for number in "123":
        found.submit(of(T.MARKET_ON_CLOSE, Side.SELL, number=number, quantity="150"), SENT)
    fills = {e.client_order_id: e.quantity for e in found.report(OPENED, CLOSED).executions}
    assert fills == {"o1": D(150), "o2": D(50)}
    again = PaperAccount.from_record(found.to_record(), MANDATE, known)
    assert again.to_record() == found.to_record()
    assert found.to_record()["taken"] == {"A": ["2018-12-11", "200"]}


def test_a_split_adjusts_every_price() -> None:
    """Two for one before the open: limit, stop and quantity follow, a trail stays; 4.75 of 9.50 is met at the new low of 4.50."""
    known = HandMarket()
    known.bars["A", TUESDAY] = Bar("A", TUESDAY, 5.0, 5.5, 4.5, 5.25, 1e6, OPEN)
    known.happen("SPLIT", ratio=2.0)
    found = account(known)
    found.submit(of(T.STOP, Side.SELL, stop_price="9.50"), SENT)
    found.submit(of(T.STOP_LIMIT, Side.SELL, "9.00", number="2", stop_price="9.40"), SENT)
    found.submit(of(T.TRAILING_STOP, Side.SELL, number="3", trail="0.04"), SENT)
    fills = {e.client_order_id: (e.quantity, e.price) for e in found.report(OPENED, CLOSED).executions}
    assert fills == {"o1": (D(200), D("4.75")), "o2": (D(200), D("4.70")), "o3": (D(200), D("4.80"))}


def test_a_bracket_enters_and_is_stopped_on_one_bar() -> None:
    """In at 10, out at the stop of 9.50: no shares stay, both fills are told."""
    found = account(market(), shares=0)
    found.submit(of(T.BRACKET, Side.BUY, "10.20", stop_price="9.50", take_profit="10.80"), SENT)
    report = found.report(OPENED, CLOSED)
    assert [(e.execution_id, e.side, e.quantity) for e in report.executions] == [
        ("o1-1", Side.BUY, 100),
        ("o1-2", Side.SELL, 100),
    ]
    assert report.positions == {}


def test_slices_pay_what_the_line_from_open_to_close_says() -> None:
    """T1 ends half an hour into six and a half, T2 three and a quarter: 10 + 0.5 / 13 = 10.04 and 10.25, with the spread."""
    found = account(market())
    for number, minutes in (("1", 30), ("2", 195)):
        child = of(T.LIMIT, Side.BUY, "11.00", number=number)
        found.submit(replace(child, leg=f"T{number}", send_until=OPEN + dt.timedelta(minutes=minutes)), SENT)
    fills = {e.client_order_id: e.price for e in found.report(OPENED, CLOSED).executions}
    assert fills == {"o1": D("10.04"), "o2": D("10.25")}


REFUSED = [
    (of(T.LIMIT, Side.BUY), "expected a positive limit"),
    (of(T.STOP, Side.SELL, stop_price="9.505"), "not a multiple of the tick"),
    (of(T.MARKET, Side.BUY, "10"), "has a limit_price"),
    (of(T.TRAILING_STOP, Side.SELL, trail="1"), "trail"),
    (of(T.BRACKET, Side.SELL, "10", stop_price="11", take_profit="9"), "buy back"),
    (of(T.BRACKET, Side.BUY, "10", stop_price="10", take_profit="11"), "bracket"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_a_senseless_order_is_refused(case: int) -> None:
    """REJECTED with a reason, never another order."""
    sent, reason = REFUSED[case]
    answer = account(market()).submit(sent, SENT)
    assert answer.state is OrderState.REJECTED
    assert reason in answer.reason


def test_the_file_keeps_every_type(tmp_path: Path) -> None:
    """A process that ends between submit and close loses nothing: prices, type and the volume that was taken."""
    known = market()
    sent = [
        of(T.STOP, Side.SELL, stop_price="9.50"),
        of(T.TRAILING_STOP, Side.SELL, number="2", trail="0.02"),
        of(T.LIMIT_ON_CLOSE, Side.BUY, "10.60", number="3"),
        of(T.BRACKET, Side.BUY, "10.20", number="4", stop_price="9.50", take_profit="10.80"),
    ]
    memory = account(known)
    path = tmp_path / "broker.sqlite"
    PaperBroker(path, MANDATE, lambda since, until: known).seed({"USD": Decimal(1_000_000)}, {"A": D(1000)}, OPENED)
    for one in sent:
        memory.submit(one, SENT)
        PaperBroker(path, MANDATE, lambda since, until: known).submit(one, SENT)
    told = PaperBroker(path, MANDATE, lambda since, until: known).report(OPENED, CLOSED)
    assert told == memory.report(OPENED, CLOSED)
    assert len(told.executions) == 5
