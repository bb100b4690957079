"""What the paper broker does, as numbered cases: each takes a fresh account and the market behind it.

The contract that every broker keeps stands in broker_contract.py.

Seed: 10000 USD and 50 shares of A, opened at Monday's cutoff. Costs of the default mandate: USD 3.5 bps, of which 60 % move
the price and 40 % are a fee; fx 2 bps. Expected values are written out by hand.
"""

import datetime as dt
from collections.abc import Callable
from typing import Protocol

import pytest
from paper_world import CLOSED, MINUTE, OPEN, OPENED, SENT, TUESDAY, WEDNESDAY, D, HandMarket, currency_order, order

from marketbot_resources.model import BrokerPort, OrderState, Side

CASH, SHARES = {"USD": D(10000)}, {"A": D(50)}


class Case(Protocol):
    __name__: str

    def __call__(self, broker: BrokerPort, market: HandMarket) -> None: ...


CASES: dict[str, Case] = {}


def case(check: Callable[[BrokerPort, HandMarket], None]) -> Callable[[BrokerPort, HandMarket], None]:
    CASES[check.__name__] = check
    return check


@case
def c01_reports_its_seed(broker: BrokerPort, market: HandMarket) -> None:
    report = broker.report(OPENED, CLOSED)
    assert (report.as_of_at, report.cash, report.positions) == (CLOSED, CASH, SHARES)
    assert (report.open_orders, report.executions, report.events) == ((), (), ())


@case
def c02_a_buy_fills_in_the_next_auction(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    answer = broker.submit(order(), SENT)
    assert (answer.client_order_id, answer.state, answer.reason) == ("o1", OrderState.ACKED, "")
    before = broker.report(OPENED, OPEN - MINUTE)
    assert [(o.client_order_id, o.remaining, o.limit_price) for o in before.open_orders] == [("o1", D(100), D("10.50"))]
    assert before.executions == ()
    after = broker.report(OPEN - MINUTE, CLOSED)
    (fill,) = after.executions
    # 10 * (1 + 0.6 * 3.5 / 10000) = 10.0021 -> 10.00; fee 1000 * 0.4 * 3.5 / 10000 = 0.14
    assert (fill.execution_id, fill.price, fill.fee, fill.tax, fill.executed_at) == (
        "o1-1",
        D(10),
        D("0.14"),
        D(0),
        OPEN,
    )
    assert (after.cash, after.positions, after.open_orders) == ({"USD": D("8999.86")}, {"A": D(150)}, ())
    found = broker.find("o1")
    assert found is not None
    assert found.state is OrderState.FILLED


@case
def c03_windows_tell_everything_once(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    broker.submit(order(), SENT)
    assert len(broker.report(OPENED, CLOSED).executions) == 1
    assert len(broker.report(OPENED, CLOSED).executions) == 1  # asked again
    assert broker.report(CLOSED, CLOSED + MINUTE).executions == ()
    assert broker.report(OPEN, CLOSED).executions == ()  # since is excluded
    assert len(broker.report(OPEN - MINUTE, OPEN).executions) == 1  # until is included


@case
def c04_the_same_order_twice_is_one_order(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    first = broker.submit(order(), SENT)
    assert broker.submit(order(), SENT + MINUTE) == first == broker.find("o1")
    assert broker.report(OPENED, CLOSED).positions == {"A": D(150)}
    assert broker.submit(order(), CLOSED + MINUTE).state is OrderState.FILLED


@case
def c05_an_id_with_other_fields_is_refused(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    broker.submit(order(), SENT)
    other = broker.submit(order(quantity="200"), SENT)
    assert other.state is OrderState.REJECTED
    assert "other fields" in other.reason
    found = broker.find("o1")
    assert found is not None
    assert found.state is OrderState.ACKED
    assert broker.report(OPENED, CLOSED).positions == {"A": D(150)}


@case
def c06_an_unknown_order_is_not_found(broker: BrokerPort, market: HandMarket) -> None:
    assert broker.find("o1") is None


@case
def c07_sells_of_more_than_held_are_refused(broker: BrokerPort, market: HandMarket) -> None:
    assert broker.submit(order(Side.SELL, "51", "9"), SENT).state is OrderState.REJECTED
    assert broker.submit(order(Side.SELL, "30", "9", number="2"), SENT).state is OrderState.ACKED
    refused = broker.submit(order(Side.SELL, "21", "9", number="3"), SENT)
    assert (refused.state, refused.reason) == (OrderState.REJECTED, "sells 21, held and not yet offered are 20")
    assert broker.submit(order(Side.SELL, "20", "9", number="4"), SENT).state is OrderState.ACKED


@case
def c08_an_open_beyond_the_limit_expires(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.51)
    broker.submit(order(), SENT)
    report = broker.report(OPENED, CLOSED)
    found = broker.find("o1")
    assert found is not None
    assert (found.state, found.reason) == (OrderState.EXPIRED, "auction price 10.51 is beyond the limit 10.50")
    assert (report.cash, report.positions, report.open_orders) == (CASH, SHARES, ())


@case
def c09_without_a_bar_it_expires(broker: BrokerPort, market: HandMarket) -> None:
    broker.submit(order(), SENT)
    broker.report(OPENED, CLOSED)
    found = broker.find("o1")
    assert found is not None
    assert (found.state, found.reason) == (OrderState.EXPIRED, "the listing did not trade")


@case
def c10_a_partial_fill_stays_and_the_rest_expires(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0, volume=3049.0)  # 2 % are 60.98 shares
    broker.submit(order(), SENT)
    report = broker.report(OPENED, CLOSED)
    found = broker.find("o1")
    assert found is not None
    assert (found.state, found.reason) == (OrderState.EXPIRED, "participation limit: 60 of 100 filled")
    assert [fill.quantity for fill in report.executions] == [D(60)]
    assert (report.positions, report.open_orders) == ({"A": D(110)}, ())


@case
def c11_a_currency_leg_fills_at_once(broker: BrokerPort, market: HandMarket) -> None:
    market.rates["GBP"] = 1.25
    answer = broker.submit(currency_order(), SENT)
    assert answer.state is OrderState.FILLED
    report = broker.report(OPENED, CLOSED)
    # 1000 * 1.25 * 1.0002 = 1250.25
    assert report.cash == {"GBP": D(1000), "USD": D("8749.75")}
    assert [(fill.price, fill.executed_at) for fill in report.executions] == [(D("1.25025"), SENT)]


@case
def c12_a_currency_leg_at_the_cutoff_is_told_after_it(broker: BrokerPort, market: HandMarket) -> None:
    market.rates["GBP"] = 1.25
    assert broker.report(OPENED, OPENED).executions == ()
    broker.submit(currency_order(), OPENED)
    assert broker.report(OPENED - MINUTE, OPENED).cash == CASH  # the account of that instant, as it was told
    assert len(broker.report(OPENED, CLOSED).executions) == 1


@case
def c13_currency_without_a_rate_is_refused(broker: BrokerPort, market: HandMarket) -> None:
    answer = broker.submit(currency_order(), SENT)
    assert (answer.state, answer.reason) == (OrderState.REJECTED, "no reference rate of GBP is known")
    assert broker.report(OPENED, CLOSED).cash == CASH


@case
def c14_a_closed_window_refuses(broker: BrokerPort, market: HandMarket) -> None:
    market.rates["GBP"] = 1.25
    assert broker.submit(order(send_until=SENT), SENT).state is OrderState.ACKED
    late = broker.submit(order(number="2", send_until=SENT - MINUTE), SENT)
    assert (late.state, late.reason) == (OrderState.REJECTED, "the window closed at 2018-12-10T23:15:00Z")


@case
def c15_a_dividend_goes_to_who_held_before(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    market.happen("CASH_DIVIDEND", amount=0.335)
    broker.submit(order(), SENT)
    report = broker.report(OPENED, CLOSED)
    (event,) = report.events
    assert (event.event_id, event.kind, event.amount) == ("A|2018-12-11|CASH_DIVIDEND", "DIVIDEND", D("16.75"))
    assert (event.quantity, event.effective_at) == (D(0), OPEN)
    assert report.cash == {"USD": D("9016.61")}  # 8999.86 + 50 * 0.335


@case
def c16_a_split_pays_its_fraction(broker: BrokerPort, market: HandMarket) -> None:
    market.closes["A"] = 10.0
    market.happen("SPLIT", ratio=0.25)
    report = broker.report(OPENED, CLOSED)
    # 50 * 0.25 = 12.5; half a new share at 10 / 0.25 = 40
    assert (report.positions, report.cash) == ({"A": D(12)}, {"USD": D(10020)})
    assert [(e.event_id, e.kind, e.quantity, e.amount) for e in report.events] == [
        ("A|2018-12-11|SPLIT", "SPLIT", D(-38), D(20))
    ]


@case
def c17_a_split_adjusts_open_orders(broker: BrokerPort, market: HandMarket) -> None:
    market.happen("SPLIT", ratio=4.0)
    market.trade("A", TUESDAY, 2.5)
    broker.submit(order(Side.SELL, "10", "10.02"), SENT)  # 10.02 / 4 = 2.505, a sell rounds up: 2.51
    broker.submit(order(Side.SELL, "10", "9.99", number="2"), SENT)  # 2.4975 -> 2.50
    broker.submit(order(Side.BUY, "10", "10.03", number="3"), SENT)  # 2.5075 -> 2.50
    report = broker.report(OPENED, CLOSED)
    assert [(f.client_order_id, f.quantity, f.price) for f in report.executions] == [
        ("o2", D(40), D("2.50")),
        ("o3", D(40), D("2.50")),
    ]
    assert report.positions == {"A": D(200)}


@case
def c17b_an_end_pays_and_cancels_open_orders(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    market.trade("F", TUESDAY, 40.0)
    market.closes["A"] = 10.0
    market.happen("MERGER", amount=4.0, ratio=0.3, other="F")
    broker.submit(order(Side.SELL, "10", "9.99"), SENT)
    report = broker.report(OPENED, CLOSED)
    assert (report.executions, report.open_orders) == ((), ())
    # 50 of A: 200 in cash, 15 of F
    assert (report.positions, report.cash) == ({"F": D(15)}, {"USD": D(10200)})
    assert [(e.event_id, e.kind, e.quantity, e.amount) for e in report.events] == [
        ("A|2018-12-11|MERGER", "MERGER", D(-50), D(200)),
        ("A|2018-12-11|MERGER|F", "MERGER", D(15), D(0)),
    ]
    ended = broker.find("o1")
    assert ended is not None
    assert (ended.state, ended.reason) == (OrderState.EXPIRED, "the listing ended on 2018-12-11")
    assert broker.report(OPENED, OPENED).positions == {"A": D(50)}  # of then


@case
def c17c_a_spin_off_leaves_open_orders_as_they_are(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 7.0)
    market.happen("SPIN_OFF", amount=3.0, ratio=0.5, other="F")
    broker.submit(order(quantity="10", limit="10.50"), SENT)
    report = broker.report(OPENED, CLOSED)
    assert [(f.quantity, f.price) for f in report.executions] == [(D(10), D("7.00"))]
    assert report.positions == {"A": D(60), "F": D(25)}  # the bought ones came without the right


@case
def c18_time_does_not_go_back(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    market.trade("A", WEDNESDAY, 9.0)
    broker.report(OPENED, CLOSED)
    broker.submit(order(), SENT)  # Tuesday's auction has passed
    assert broker.report(OPENED, CLOSED).executions == ()
    fills = broker.report(CLOSED, CLOSED + dt.timedelta(days=1)).executions
    assert [(f.price, f.executed_at) for f in fills] == [(D("9.00"), OPEN + dt.timedelta(days=1))]


@case
def c19_a_bar_that_comes_late_is_told_once(broker: BrokerPort, market: HandMarket) -> None:
    broker.submit(order(), SENT)
    during = OPEN + MINUTE
    assert len(broker.report(OPENED, during).open_orders) == 1  # the bar may still come
    market.trade("A", TUESDAY, 10.0)
    (fill,) = broker.report(during, CLOSED).executions
    assert fill.executed_at == during + dt.timedelta(microseconds=1)


REFUSED = {
    "unknown instrument": (dict(instrument="X"), "unknown instrument X"),
    "currency": (dict(currency="EUR"), "A trades in USD on XNYS, the order says EUR on XNYS"),
    "exchange": (dict(mic="XNAS"), "A trades in USD on XNYS, the order says USD on XNAS"),
    "fraction": (dict(quantity="1.5"), "quantity 1.5 is not a multiple of the lot 1"),
    "lot": (dict(instrument="T", mic="XTKS", currency="JPY", quantity="150"), "quantity 150 is not a multiple of the lot 100"),
    "tick": (dict(limit="10.505"), "limit 10.505 is not a multiple of the tick 0.01"),
    "no limit": (dict(limit=None), "expected a positive limit, found None"),
    "nothing": (dict(quantity="0"), "expected a positive quantity, found 0"),
}  # fmt: skip


@case
def c20_what_cannot_work_is_refused(broker: BrokerPort, market: HandMarket) -> None:
    for number, (fields, reason) in enumerate(REFUSED.values()):
        answer = broker.submit(order(number=f"r{number}", **fields), SENT)  # type: ignore[arg-type]
        assert (answer.state, answer.reason) == (OrderState.REJECTED, reason)
        assert broker.find(f"or{number}") == answer
    report = broker.report(OPENED, CLOSED)
    assert (report.cash, report.positions, report.open_orders) == (CASH, SHARES, ())


@case
def c21_a_naive_instant_is_an_error(broker: BrokerPort, market: HandMarket) -> None:
    from marketbot_resources.errors import BrokerError

    with pytest.raises(BrokerError, match="time zone"):
        broker.submit(order(), SENT.replace(tzinfo=None))


@case
def c22_an_open_order_is_canceled(broker: BrokerPort, market: HandMarket) -> None:
    market.trade("A", TUESDAY, 10.0)
    broker.submit(order(), SENT)
    broker.submit(order(Side.SELL, "30", "9", number="2"), SENT)
    answer = broker.cancel("o1", SENT + MINUTE)
    assert answer is not None
    assert (answer.client_order_id, answer.state, answer.reason) == ("o1", OrderState.CANCELED, "canceled as asked")
    assert broker.find("o1") == broker.cancel("o1", SENT + 2 * MINUTE) == answer
    assert broker.submit(order(), SENT + 2 * MINUTE) == answer, "its id is used up"
    assert [o.client_order_id for o in broker.report(OPENED, SENT + 2 * MINUTE).open_orders] == ["o2"]
    report = broker.report(OPENED, CLOSED)
    assert [fill.client_order_id for fill in report.executions] == ["o2"]
    assert report.positions == {"A": D(20)}


@case
def c23_a_canceled_sell_frees_its_shares(broker: BrokerPort, market: HandMarket) -> None:
    broker.submit(order(Side.SELL, "50", "9"), SENT)
    assert broker.submit(order(Side.SELL, "1", "9", number="2"), SENT).state is OrderState.REJECTED
    broker.cancel("o1", SENT)
    assert broker.submit(order(Side.SELL, "50", "9", number="3"), SENT).state is OrderState.ACKED


@case
def c24_once_its_auction_has_begun_an_order_is_not_canceled(broker: BrokerPort, market: HandMarket) -> None:
    broker.submit(order(), SENT)
    before = broker.cancel("o1", OPEN)
    assert before is not None
    assert before.state is OrderState.ACKED, "its bar has not come, its auction is over"
    market.trade("A", TUESDAY, 10.0)
    assert broker.report(OPENED, CLOSED).positions == {"A": D(150)}
    after = broker.cancel("o1", CLOSED)
    assert after is not None
    assert after.state is OrderState.FILLED


@case
def c25_an_unknown_order_cannot_be_canceled(broker: BrokerPort, market: HandMarket) -> None:
    assert broker.cancel("o1", SENT) is None
    assert broker.report(OPENED, CLOSED).open_orders == ()


@case
def c26_it_says_whose_money_it_is_and_its_time(broker: BrokerPort, market: HandMarket) -> None:
    report = broker.report(OPENED, CLOSED)
    assert (report.environment, report.broker_at) == ("paper", CLOSED)
