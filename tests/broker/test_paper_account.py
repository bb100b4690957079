"""The paper account: cases beyond the port's contract, conservation of cash, and agreement with our own book to the cent."""

import datetime as dt
import itertools
import json
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import (
    CLOSED,
    MINUTE,
    OPEN,
    OPENED,
    SENT,
    TUESDAY,
    WEDNESDAY,
    D,
    HandMarket,
    currency_order,
    mandate,
    order,
)

from marketbot_assets.book.positions import Holdings, roll_positions
from marketbot_resources import calendars
from marketbot_resources.corporate_actions import KINDS
from marketbot_resources.errors import BrokerError, HaltError
from marketbot_resources.model import Acknowledgement, OrderState, Side
from marketbot_resources.paper import PaperAccount
from marketbot_resources.paper_market import TabularMarket

MANDATE = mandate()
DAY = dt.timedelta(days=1)


def opened(market: HandMarket, shares: dict[str, Decimal] | None = None) -> PaperAccount:
    held = {"A": D(50)} if shares is None else shares
    return PaperAccount(MANDATE, market, cash={"USD": D(10000)}, shares=held, opened_at=OPENED)


def state(account: PaperAccount, number: str) -> Acknowledgement:
    found = account.find(f"o{number}")
    assert found is not None
    return found


def test_an_odd_lot_may_empty_a_position() -> None:
    """150 shares of lot 100 may be sold whole, a part of the lot may not."""
    market = HandMarket()
    market.trade("T", TUESDAY, 1000.0)
    account = opened(market, {"T": D(150)})
    facts = dict(instrument="T", mic="XTKS", currency="JPY", limit="990")
    assert account.submit(order(Side.SELL, "50", **facts), SENT).state is OrderState.REJECTED  # type: ignore[arg-type]
    assert account.submit(order(Side.SELL, "150", number="2", **facts), SENT).state is OrderState.ACKED  # type: ignore[arg-type]
    assert account.report(OPENED, CLOSED).positions == {}


def test_a_split_may_end_an_order() -> None:
    """What a split leaves of an order is less than a lot: it expires and says so."""
    market = HandMarket()
    market.closes["A"] = 10.0
    market.happen("SPLIT", ratio=0.1)
    market.trade("A", TUESDAY, 100.0)
    account = opened(market)
    account.submit(order(Side.BUY, "9", "12"), SENT)
    account.advance(CLOSED)
    assert (state(account, "1").state, state(account, "1").reason) == (
        OrderState.EXPIRED, "the split of 2018-12-11 leaves less than a lot or a tick",
    )  # fmt: skip


def test_an_order_after_the_split_is_not_adjusted() -> None:
    """An order that came after the ex open is already in new shares, even if the account has not advanced yet."""
    market = HandMarket()
    market.happen("SPLIT", ratio=2.0)
    market.trade("A", WEDNESDAY, 5.0)
    account = opened(market)
    account.submit(order(Side.SELL, "10", "4"), OPEN + MINUTE)
    report = account.report(OPENED, CLOSED + DAY)
    assert [fill.quantity for fill in report.executions] == [D(10)]
    assert report.positions == {"A": D(90)}


def test_a_sell_of_more_than_a_reverse_split_left_expires() -> None:
    """Shares never become negative."""
    market = HandMarket()
    market.happen("SPLIT", ratio=0.5)
    market.trade("A", WEDNESDAY, 20.0)
    account = opened(market)
    account.submit(order(Side.SELL, "40", "4"), OPEN + MINUTE)
    report = account.report(OPENED, CLOSED + DAY)
    assert report.positions == {"A": D(25)}
    assert (state(account, "1").state, state(account, "1").reason) == (OrderState.EXPIRED, "sells 40, held are 25")


def test_a_fraction_without_a_price_is_an_error() -> None:
    """Money is never guessed."""
    market = HandMarket()
    market.happen("SPLIT", ratio=0.3)
    with pytest.raises(HaltError, match="close before the split"):
        opened(market, {"A": D(1)}).advance(CLOSED)


def test_what_is_announced_late_is_not_booked() -> None:
    """Only events known by the end of the window in which they take effect count, as in our book."""
    market = HandMarket()
    market.happen("CASH_DIVIDEND", amount=1.0, known_at=CLOSED + MINUTE)
    account = opened(market)
    account.advance(CLOSED)
    assert account.report(OPENED, CLOSED + DAY).events == ()


def test_funds_and_currencies_have_their_own_costs() -> None:
    """A London buy of 1000 * 2: spread 4.5 bps = 2.0009 -> 2.001; fee 3 bps, stamp duty 50 bps of 2001."""
    market = HandMarket()
    market.trade("L", TUESDAY, 2.0)
    account = opened(market)
    account.submit(order(quantity="1000", limit="2.01", instrument="L", mic="XLON", currency="GBP"), SENT)
    (fill,) = account.report(OPENED, CLOSED).executions
    assert (fill.price, fill.fee, fill.tax) == (D("2.001"), D("0.60"), D("10.00"))  # 0.6003; 10.005, half to even


def test_an_unpriced_currency_is_refused() -> None:
    """The mandate names no cost: the order is refused at once, not stopped in its auction."""
    market = HandMarket()
    market.listings["A"] = replace(market.listings["A"], currency="CHF")
    answer = opened(market).submit(order(currency="CHF"), SENT)
    assert answer.state is OrderState.REJECTED
    assert "CHF" in answer.reason


def test_a_record_goes_on_where_it_was_written() -> None:
    """Through JSON and back nothing is lost that the account needs."""
    market = HandMarket()
    market.rates["GBP"] = 1.25
    market.trade("A", TUESDAY, 10.0)
    account = opened(market)
    account.submit(currency_order(), SENT)
    account.submit(order(), SENT)
    account.submit(order(instrument="X", number="2"), SENT)
    text = json.dumps(account.to_record())
    again = PaperAccount.from_record(json.loads(text), MANDATE, market)
    assert json.dumps(again.to_record()) == text
    assert [again.find(f"o{n}") for n in (1, 2, 9)] == [account.find(f"o{n}") for n in (1, 2, 9)]
    mine, other = account.report(SENT + MINUTE, CLOSED), again.report(SENT + MINUTE, CLOSED)
    assert mine == other
    with pytest.raises(BrokerError, match="record"):
        PaperAccount.from_record({"cash": {}}, MANDATE, market)


DAYS = calendars.sessions("XNYS", TUESDAY, dt.date(2018, 12, 28))
ORDER = st.tuples(
    st.sampled_from(["A", "T", "L"]), st.sampled_from(list(Side)), st.integers(1, 900), st.integers(-3, 6)
)
EVENT = st.tuples(
    st.sampled_from(["A", "T", "L"]),
    st.sampled_from(["CASH_DIVIDEND", "SPLIT", *KINDS]),
    st.sampled_from([0.1, 0.3, 1.5, 2.0, 3.0]),
)
SESSION = st.tuples(st.lists(ORDER, max_size=4), st.lists(EVENT, max_size=2), st.sampled_from([900.0, 20_000.0, 1e6]))


@settings(max_examples=120, deadline=None)
@given(st.lists(SESSION, min_size=1, max_size=6), st.booleans())
def test_the_book_rolls_to_the_same_cent(plan: list, split_calls: bool) -> None:
    """Whatever is ordered and whatever happens: our book, rolled over the reports, has the broker's cash and shares."""
    market = HandMarket()
    market.sigma = 0.01
    market.rates.update(GBP=1.27, JPY=0.0089)
    prices = {"A": 10.07, "T": 1003.5, "L": 2.113}
    market.closes.update(prices)
    account = opened(market, {"A": D(333), "T": D(700), "L": D(51)})
    book, since = Holdings({"A": D(333), "T": D(700), "L": D(51)}, {"USD": D(10000)}), OPENED
    moved: dict[str, Decimal] = {"USD": D(10000)}
    for number, (orders, events, volume) in enumerate(plan):
        day, until = DAYS[number], OPENED + DAY * ((DAYS[number] - OPENED.date()).days)
        actions = {
            (name, kind): value for name, kind, value in events if calendars.is_session(market.listings[name].mic, day)
        }
        for (name, kind), value in actions.items():
            amount, ratio = {"SPLIT": (0.0, value), "SPIN_OFF": (value, 0.3), "RENAME": (0.0, 1.0),
                             "MERGER": (value, 0.7 if value < 2.0 else 0.0)}.get(kind, (value, 1.0))  # fmt: skip
            heir = {"RENAME": "NEW", "DELISTING": "UNKNOWN"}.get(kind, "F" if name == "A" else "")
            amount = math.nan if kind in ("SPIN_OFF", "DELISTING") and value == 3.0 else amount
            market.happen(kind, instrument=name, ex=day, known_at=since, amount=amount, ratio=ratio, other=heir)
        for name, price in prices.items():
            if calendars.is_session(market.listings[name].mic, day):
                market.trade(name, day, price, volume)
        for leg, (name, side, quantity, ticks) in enumerate(orders):
            listing = market.listings[name]
            limit = (D(str(prices[name])) // listing.tick_size + side.sign * ticks) * listing.tick_size
            sent = order(side, str(quantity * listing.quantity_step), str(limit), number=f"{number}-{leg}", instrument=name,
                         mic=listing.mic, currency=listing.currency, send_until=until)  # fmt: skip
            account.submit(sent, since + MINUTE)
        account.submit(currency_order(Side.BUY, "12.34", number=f"{number}-fx"), since + MINUTE)
        if split_calls:
            account.advance(since + (until - since) / 3)
        report = account.report(since, until)
        ours = market.actions(since, until)
        book, booked = roll_positions(book, report.executions, ours, base_currency="USD", closes_before=prices)
        assert (dict(report.positions), dict(report.cash)) == (book.shares, book.cash)
        assert sorted(booked, key=lambda e: (e.effective_at, e.event_id)) == list(report.events)
        for fill in report.executions:  # by hand: price times quantity and costs, each rounded on its own
            value = (fill.quantity * fill.price).quantize(D(1) if fill.currency == "JPY" else D("0.01"))
            if fill.instrument.startswith("FX:"):
                moved[fill.currency] = moved.get(fill.currency, D(0)) + fill.side.sign * fill.quantity
                moved["USD"] -= fill.side.sign * value
            else:
                moved[fill.currency] = moved.get(fill.currency, D(0)) - fill.side.sign * value - fill.fee - fill.tax
        for event in report.events:
            moved[event.currency] = moved.get(event.currency, D(0)) + event.amount
        assert {c: a for c, a in moved.items() if a} == dict(report.cash)
        assert all(quantity > 0 for quantity in report.positions.values())
        since = until
    assert account.report(since, since).open_orders == ()


def tables() -> dict[str, pd.DataFrame]:
    days = calendars.sessions("XNYS", dt.date(2018, 11, 1), dt.date(2018, 12, 12))
    close = [100.0 + n for n in range(len(days))]
    known = [calendars.close_at("XNYS", day) + 15 * MINUTE for day in days]
    prices = pd.DataFrame(
        {
            "session": pd.to_datetime(list(days)), "instrument": "A", "mic": "XNYS", "currency": "USD", "open": close,
            "high": close, "low": close, "close": close, "volume": [1000.0 + 10 * n for n in range(len(days))], "known_at": known,
        }
    )  # fmt: skip
    actions = pd.DataFrame(
        {
            "instrument": ["A", "A"], "ex_session": pd.to_datetime([TUESDAY, dt.date(2018, 12, 8)]),
            "kind": ["CASH_DIVIDEND", "CASH_DIVIDEND"], "amount": [0.5, 0.25], "ratio": [1.0, 1.0], "currency": "USD", "other": "",
            "known_at": [OPENED, CLOSED],
        }
    )  # fmt: skip
    fx = pd.DataFrame(
        {
            "session": pd.to_datetime([dt.date(2018, 12, 7), dt.date(2018, 12, 10), dt.date(2018, 12, 6)]),
            "currency": "GBP", "rate": [1.27, 1.26, 9.9],
            "known_at": [OPENED - 3 * DAY, OPENED, OPENED + MINUTE],
        }
    )  # fmt: skip
    instruments = pd.DataFrame(
        {
            "instrument": ["A"], "mic": ["XNYS"], "currency": ["USD"], "kind": ["FUND"], "quantity_step": [D(1)],
            "tick_size": [D("0.01")],
        }
    )  # fmt: skip
    return {"prices": prices, "actions": actions, "fx": fx, "instruments": instruments}


def tabular(**changed: pd.DataFrame) -> TabularMarket:
    frames = {**tables(), **changed}
    return TabularMarket(frames["prices"], frames["actions"], frames["fx"], frames["instruments"], base_currency="USD")


def test_tabular_facts() -> None:
    """Listings, bars, closes and rates as the tables say; what they do not say is None."""
    market = tabular()
    listing = market.listing("A")
    assert listing is not None
    assert (listing.mic, listing.is_fund, listing.tick_size) == ("XNYS", True, D("0.01"))
    found = market.bar("A", TUESDAY)
    assert found is not None
    assert (found.open, found.volume, found.opened_at) == (126.0, 1260.0, OPEN)  # the 27th session since 1 November
    assert market.close_before("A", TUESDAY) == 125.0
    assert market.bar("A", dt.date(2018, 12, 8)) is None
    assert (market.listing("B"), market.bar("B", TUESDAY), market.close_before("B", TUESDAY)) == (None, None, None)
    assert market.close_before("A", dt.date(2018, 11, 1)) is None
    assert (market.rate("USD", OPENED), market.rate("JPY", OPENED)) == (1.0, None)
    assert market.rate("GBP", OPENED - MINUTE) == 1.27
    assert market.rate("GBP", OPENED) == 1.26
    assert market.rate("GBP", OPENED + DAY) == 1.26  # an older fixing that came late changes nothing
    assert market.rate("GBP", OPENED - 4 * DAY) is None


def test_tabular_liquidity() -> None:
    """20 bars before the session: closes 106 to 125, volumes 1060 to 1250; four bars are too few; a split changes units."""
    market = tabular()
    closes = [106.0 + n for n in range(20)]
    returns = [b / a - 1 for a, b in itertools.pairwise(closes)]
    mean = sum(returns) / 19
    sigma, adv = market.liquidity("A", TUESDAY)
    assert sigma == pytest.approx((sum((r - mean) ** 2 for r in returns) / 18) ** 0.5, rel=1e-12)
    assert adv == 1155.0
    days = calendars.sessions("XNYS", dt.date(2018, 11, 1), dt.date(2018, 12, 12))
    assert market.liquidity("A", days[4]) == (None, None)
    assert market.liquidity("A", days[5])[1] == 1020.0
    assert market.liquidity("B", TUESDAY) == (None, None)
    frames = tables()
    after = frames["prices"]["session"] >= pd.Timestamp("2018-12-03")
    frames["prices"].loc[after, "close"] /= 4
    frames["prices"].loc[after, "volume"] *= 4
    split = frames["actions"].head(1).assign(kind="SPLIT", ratio=4.0, amount=0.0, ex_session=pd.Timestamp("2018-12-03"))
    adjusted = tabular(prices=frames["prices"], actions=split).liquidity("A", TUESDAY)
    assert adjusted[0] == pytest.approx(sigma, rel=1e-9)
    assert adjusted[1] == pytest.approx(4 * 1155.0)


def test_tabular_actions() -> None:
    """(after, until] by the ex session's own open; what is not known at `until` is left out; a Saturday counts on Monday."""
    market = tabular()
    assert [a.amount for a in market.actions(OPEN - DAY * 2, OPEN)] == [0.5]
    assert [a.amount for a in market.actions(OPEN - DAY * 2, CLOSED)] == [0.25, 0.5]
    assert market.actions(OPEN, CLOSED) == ()
    assert market.actions(OPEN - DAY, CLOSED)[0].effective_at == OPEN
    stranger = tables()["actions"].assign(instrument="B")
    with pytest.raises(BrokerError, match="known listing"):
        tabular(actions=stranger).actions(OPEN, CLOSED)


def test_tabular_versions_of_an_action() -> None:
    """A dividend that was corrected before its ex session is paid as corrected; a counterpart that is not listed is none."""
    known = tables()["actions"].head(1)
    corrected = known.assign(amount=0.6, known_at=OPENED + DAY / 2)
    late = known.assign(amount=0.7, known_at=OPENED + 2 * DAY)
    market = tabular(actions=pd.concat([late, corrected, known], ignore_index=True))
    assert [a.amount for a in market.actions(OPENED, CLOSED)] == [0.6]
    merged = known.assign(kind="MERGER", other="stranger")
    assert [a.other for a in tabular(actions=merged).actions(OPENED, CLOSED)] == [""]


def test_tabular_ignores_order_and_repeats() -> None:
    """Rows in any order give the same market; of two bars of one session the first known counts."""
    frames = tables()
    late = frames["prices"].assign(close=1.0, open=1.0, known_at=frames["prices"]["known_at"] + DAY)
    mixed = pd.concat([late, frames["prices"]]).sample(frac=1.0, random_state=np.random.RandomState(1))
    market = tabular(prices=mixed)
    assert market.bar("A", TUESDAY) == tabular().bar("A", TUESDAY)
    assert market.liquidity("A", TUESDAY) == tabular().liquidity("A", TUESDAY)
