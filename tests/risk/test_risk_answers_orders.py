"""What the controls on orders answer, field by field: RC-01 to RC-17, 20, 21, 24 to 26, 33. Numbers by hand from the calm book.

A calm order: 100 dollars a share, an average daily value of 50 million, 1.2 % of daily volatility, 1,000,000 of NAV.
"""

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from risk_world import (
    MANDATE,
    NAMES,
    SESSION,
    answers,
    batch,
    book_state,
    inputs,
    leg,
    order,
    trade,
    tweaked,
)
from whole_answers import BUYS, holding, of, shows

from marketbot_assets.book.state import Lot, Rung, StopHit
from marketbot_assets.risk import order_controls, permission_controls, size_controls
from marketbot_assets.risk.trade_facts import Filled, SentOrder
from marketbot_resources.model import Order, Side, Status

SALE = (order("MBA", "SELL", 100),)
AT = dt.datetime(2018, 12, 11, 15, 0, tzinfo=dt.UTC)


FAILS = {
    **{"RC-01": "REJECT_BATCH", "RC-02": "REJECT_ORDER", "RC-03": "REJECT_BATCH", "RC-04": "REJECT_ORDER"},
    **{"RC-05": "REJECT_BATCH", "RC-06": "REJECT_ORDER", "RC-07": "REJECT_ORDER", "RC-08": "REJECT_BATCH"},
    **{"RC-09": "REJECT_BATCH", "RC-10": "SHRINK", "RC-11": "SHRINK", "RC-12": "REJECT_ORDER", "RC-13": "HALT"},
    **{"RC-14": "HALT", "RC-15": "HALT", "RC-16": "REJECT_ORDER", "RC-17": "REJECT_BATCH", "RC-20": "REJECT_BATCH"},
    **{"RC-21": "REJECT_ORDER", "RC-24": "REJECT_ORDER", "RC-25": "REJECT_ORDER", "RC-26": "SHRINK", "RC-33": "SHRINK"},
}


def test_what_a_control_answers_when_it_cannot_judge() -> None:
    """The list of controls: size bugs and bad fields reject the batch, repetition halts, the rest drops or shrinks."""
    tables = (order_controls.ORDER_CONTROLS, size_controls.SIZE_CONTROLS, permission_controls.PERMISSION_CONTROLS)
    assert {rule.id: rule.fail.name for table in tables for rule, _ in table} == FAILS


# --- RC-01, 05, 07, 08, 10, 13, 16 ---


def test_an_order_of_no_known_name_is_named() -> None:
    """RC-01: one bad of two; a name that is no instrument has no collar, no participation and no grid."""
    strange = order("MBD", "BUY", 10, instrument="MBZ")
    found = answers(order_controls.identity, inputs(), (strange, *SALE))[""]
    assert shows(found, Status.REJECT_BATCH, 1.0, 0.0, ("mb1-mbd-buy",), 0.0)
    assert shows(answers(order_controls.identity, inputs(), batch())[""], Status.PASS, 0.0, 0.0, keep=0.0)
    for test in (
        order_controls.collar,
        order_controls.participation,
        order_controls.tick_lot,
        size_controls.quantity,
        size_controls.expected_cost,
    ):
        assert [(r.key, r.status) for r in answers(test, inputs(), (strange,)).values()] == [("", Status.PASS)]


@pytest.mark.parametrize("name", ["MBA", "MBD"])
def test_an_order_at_a_stale_price_is_dropped(name: str) -> None:
    """RC-05: one session old where none may be; the first instrument as well."""
    facts = inputs(price_age_sessions=of(name, 1.0, 0.0))
    orders = (order(name, "BUY", 10), order("MBB", "SELL", 10))
    found = answers(order_controls.freshness, facts, orders)
    key = f"mb1-{name.lower()}-buy"
    assert set(found) == {key, "book"}
    assert shows(found[key], Status.REJECT_ORDER, 1.0, 0.0, (key,), 0.0)
    assert found[key].unit == "sessions"
    assert shows(found["book"], Status.PASS, 0.02 if name == "MBA" else 0.0, 0.10)


def test_a_held_name_without_price_counts_at_what_was_paid() -> None:
    """RC-05: 200 shares bought at 150 are 3 % of NAV; without an entry price the share is not known."""
    facts = inputs(price=of("MBB", float("nan"), 100.0), fx_rates={"USD": 1.0, "EUR": 1.0, "JPY": 1.0})
    lots = (Lot("MBB", Decimal(200), 150.0, 150.0, 0.0, SESSION),)
    found = answers(order_controls.freshness, inputs(price=facts.price, book=book_state(lots=lots)), batch())
    assert shows(found["book"], Status.PASS, 0.03, 0.10)
    assert shows(found["unpriced"], Status.SHRINK, None, None, BUYS, 0.0)
    found = answers(order_controls.freshness, inputs(price=facts.price), batch())
    assert shows(found["book"], Status.REJECT_BATCH, None, 0.10)
    found = answers(order_controls.freshness, inputs(price=facts.price), SALE)
    assert shows(found["unpriced"], Status.WARN, None, None, (), 0.0)
    assert found["book"].status is Status.WARN


def test_what_an_open_order_sells_is_still_held() -> None:
    """RC-05: 200 shares, all in an open sale: 2 % of NAV is stale; shares that an open order buys are held, too."""
    stale = of("MBB", 1.0, 0.0)
    facts = inputs(price_age_sessions=stale, open_quantity=holding(MBB=-200))
    assert shows(answers(order_controls.freshness, facts)["book"], Status.PASS, 0.02, 0.10)
    buying = inputs(price=of("MBD", float("nan"), 100.0), open_quantity=holding(MBD=10))
    assert answers(order_controls.freshness, buying)["unpriced"].status is Status.WARN


def test_a_stale_rate_matters_where_it_is_used() -> None:
    """RC-05: yen are listed or held, francs are neither; a conversion at a stale rate has no age."""
    found = answers(order_controls.freshness, inputs(stale_currencies=frozenset({"JPY"})), batch())
    assert shows(found["rates"], Status.SHRINK, None, None, BUYS, 0.0)
    assert set(answers(order_controls.freshness, inputs(stale_currencies=frozenset({"CHF"})), batch())) == {"book"}
    found = answers(order_controls.freshness, inputs(stale_currencies=frozenset({"EUR"})), batch())
    assert shows(found["mb1-fx-eur-buy"], Status.REJECT_ORDER, None, 0.0, ("mb1-fx-eur-buy",), 0.0)


def test_a_limit_beyond_its_collar_is_dropped() -> None:
    """RC-07: 4 % beyond the close, 2.5 * 1.2 % allowed; the first name as well, and a sale downwards."""
    for name in ("MBA", "MBD"):
        found = answers(order_controls.collar, inputs(), (order(name, "BUY", 10, "104"), order("MBB", "SELL", 10)))
        key = f"mb1-{name.lower()}-buy"
        assert set(found) == {key}
        assert shows(found[key], Status.REJECT_ORDER, 0.04, 0.03, (key,), 0.0)
    (sale,) = answers(order_controls.collar, inputs(), (order("MBA", "SELL", 10, "96"),)).values()
    assert shows(sale, Status.REJECT_ORDER, 0.04, 0.03, ("mb1-mba-sell",), 0.0)


@pytest.mark.parametrize(
    ("name", "sigma", "fund", "width"),
    [("MBD", 0.0, 0.0, 0.02), ("MBD", 0.05, 0.0, 0.05), ("MBD", 0.05, 1.0, 0.03), ("MBD", 0.05, float("nan"), 0.03)],
)
def test_the_width_of_a_collar(name: str, sigma: float, fund: float, width: float) -> None:
    """RC-07: at least 2 %, at most 5 %, of a fund 3 %, of what may be one 3 %; a buy without sigma has none."""
    facts = inputs(sigma_daily=np.full(12, sigma), is_fund=np.full(12, fund))
    (found,) = answers(order_controls.collar, facts, (order(name, "BUY", 10),)).values()
    assert shows(found, Status.PASS, 0.0, width)
    for bad in (float("nan"), float("inf"), -0.01):
        facts = inputs(sigma_daily=np.full(12, bad))
        (buy,) = answers(order_controls.collar, facts, (order(name, "BUY", 10),)).values()
        assert shows(buy, Status.REJECT_ORDER, 0.0, None, ("mb1-mbd-buy",), 0.0)
        (sale,) = answers(order_controls.collar, facts, SALE).values()
        assert shows(sale, Status.PASS, 0.0, 0.02)


def test_the_size_of_an_order() -> None:
    """RC-08: 2 % of 6 %; 9 % sold is cut to two thirds, bought it is a bug; without a NAV everything is one."""
    (calm,) = answers(order_controls.order_value, inputs(), (order("MBA", "BUY", 200),)).values()
    assert shows(calm, Status.PASS, 0.02, 0.06)
    facts = inputs(positions=holding(MBA=900))
    (cut,) = answers(order_controls.order_value, facts, (order("MBA", "SELL", 900),)).values()
    assert shows(cut, Status.SHRINK, 0.09, 0.06, ("mb1-mba-sell",), 2 / 3)
    (bug,) = answers(order_controls.order_value, facts, (order("MBA", "BUY", 900),)).values()
    assert shows(bug, Status.REJECT_BATCH, 0.09, 0.06, ("mb1-mba-buy",), 2 / 3)
    (none,) = answers(order_controls.order_value, inputs(nav=float("nan")), SALE).values()
    assert shows(none, Status.REJECT_BATCH, None, 0.06, ("mb1-mba-sell",), 0.0)
    assert shows(answers(order_controls.order_value, inputs())[""], Status.PASS, None, 0.06)


def test_the_share_of_the_volume() -> None:
    """RC-10: two buys of 10,000 in the first name are 2 % of 1,000,000, half of it may stay; 1.5 % is noted."""
    pair = (order("MBA", "BUY", 100), order("MBA", "BUY", 110, client_order_id="x", leg="y"), order("MBB", "SELL", 10))
    pair += (order("MBD", "BUY", 10),)
    found = answers(order_controls.participation, inputs(adv=of("MBA", 1e6, 5e7)), pair)
    assert set(found) == {"MBA BUY"}
    assert shows(found["MBA BUY"], Status.SHRINK, 0.021, 0.02, ("mb1-mba-buy", "x"), 0.01 / 0.021)
    found = answers(order_controls.participation, inputs(adv=of("MBA", 1e6, 5e7)), (order("MBA", "BUY", 150),))
    assert shows(found["MBA BUY"], Status.WARN, 0.015, 0.02, (), 0.01 / 0.015)
    assert shows(answers(order_controls.participation, inputs(), batch())[""], Status.PASS, None, 0.02)
    for changes in ({"adv": of("MBA", 0.0, 5e7)}, {"adv_observations": of("MBA", 14.0, 20.0)}):
        found = answers(order_controls.participation, inputs(**changes), SALE)
        assert shows(found["MBA SELL"], Status.SHRINK, None, 0.02, ("mb1-mba-sell",), 0.0)
    tiny = answers(order_controls.participation, inputs(adv=of("MBA", 0.5, 5e7)), SALE)["MBA SELL"]
    assert shows(tiny, Status.SHRINK, 20_000.0, 0.02, ("mb1-mba-sell",), 5e-7)
    exact = inputs(adv_observations=of("MBA", 15.0, 20.0))
    assert set(answers(order_controls.participation, exact, SALE)) == {""}


@pytest.mark.parametrize(
    ("shares", "changes", "is_exit"),
    [
        (200, {}, False),
        (610, {}, True),
        (600, {}, False),
        (200, {"rung": Rung.TO_CASH}, True),
        (200, {"rung": Rung.SCALED}, False),
        (200, {"stop_hits": (StopHit("MBA", "RC-62", 80.0, 85.0),)}, True),
        (200, {"stop_hits": (StopHit("MBB", "RC-62", 80.0, 85.0),)}, False),
    ],
)
def test_an_exit_takes_more_of_the_volume(shares: int, changes: dict[str, object], is_exit: bool) -> None:
    """RC-10: 5 % of the volume: an ordinary sale keeps a fifth, an exit all; 20 % leave half of an exit."""
    book = book_state(**changes)
    facts = inputs(positions=holding(MBA=shares), adv=of("MBA", 200_000.0, 5e7), book=book)
    (found,) = answers(order_controls.participation, facts, SALE).values()
    if is_exit:
        assert shows(found, Status.PASS, None, 0.02)
    else:
        assert shows(found, Status.SHRINK, 0.05, 0.02, ("mb1-mba-sell",), 0.2)
    facts = inputs(positions=holding(MBA=shares), adv=of("MBA", 50_000.0, 5e7), book=book)
    (found,) = answers(order_controls.participation, facts, SALE).values()
    assert found.limit == (0.10 if is_exit else 0.02)
    assert found.keep == pytest.approx(0.5 if is_exit else 0.05)


def test_duplicates_are_counted() -> None:
    """RC-13: an id that was sent and another one that is open; an ordinary batch has none."""
    facts = inputs(sent_client_order_ids=frozenset({"mb1-mbd-buy"}), open_client_order_ids=("mb1-mba-sell",))
    assert shows(answers(order_controls.duplicate, facts, batch())[""], Status.HALT, 2.0, 0.0)
    assert shows(answers(order_controls.duplicate, inputs(), batch())[""], Status.PASS, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "quantity", "limit", "step", "status"),
    [("MBA", "100", "100.005", "1", Status.REJECT_ORDER), ("MBA", "10.5", "100", "1", Status.SHRINK),
     ("MBA", "10", "100", "0", Status.REJECT_ORDER), ("MBA", "10.5", "100.005", "1", Status.REJECT_ORDER)],
)  # fmt: skip
def test_an_order_off_the_grid(name: str, quantity: str, limit: str, step: str, status: Status) -> None:
    """RC-16: off the tick, off the lot, a lot that is not known, off both: only a lot can be cut."""
    facts = inputs(quantity_step=(Decimal(step), *inputs().quantity_step[1:]))
    (found,) = answers(order_controls.tick_lot, facts, (order(name, "BUY", quantity, limit),)).values()
    assert shows(found, status, 1.0, 0.0, ("mb1-mba-buy",), float(status is Status.SHRINK))


def test_one_unit_of_base_currency_is_enough() -> None:
    """RC-16: one share at 1.00 may be sold, one at 0.99 not."""
    for price, status in ((1.0, Status.PASS), (0.99, Status.REJECT_ORDER)):
        facts = inputs(price=of("MBA", price, 100.0))
        (found,) = answers(order_controls.tick_lot, facts, (order("MBA", "SELL", 1, str(price)),)).values()
        assert found.status is status
    assert shows(answers(order_controls.tick_lot, inputs(), batch())[""], Status.PASS, 0.0, 0.0)


# --- RC-09, 11, 14, 15, 20, 26, 33 ---


def test_the_quantity_of_an_order() -> None:
    """RC-09: 5 % wanted of the first name are 500 shares, 200 are held: 1,050 at most; 5 % of the volume are 25,000."""
    (calm,) = answers(size_controls.quantity, inputs(), (order("MBA", "BUY", 210),)).values()
    assert (calm.key, shows(calm, Status.PASS, 0.2, 1.0)) == ("mb1-mba-buy held and wanted", True)
    (bug,) = answers(size_controls.quantity, inputs(), (order("MBA", "BUY", 1155), *SALE)).values()
    assert shows(bug, Status.REJECT_BATCH, 1.1, 1.0, ("mb1-mba-buy",), 0.0)
    (thin,) = answers(size_controls.quantity, inputs(adv=of("MBA", 4e5, 5e7)), (order("MBA", "BUY", 300),)).values()
    assert (thin.key, shows(thin, Status.REJECT_BATCH, 1.5, 1.0, ("mb1-mba-buy",), 0.0)) == (
        "mb1-mba-buy the average daily volume", True,
    )  # fmt: skip
    half = inputs(adv=of("MBA", 1000.0, 5e7))
    (bug,) = answers(size_controls.quantity, half, (order("MBA", "BUY", 1),)).values()
    assert shows(bug, Status.REJECT_BATCH, 2.0, 1.0, ("mb1-mba-buy",), 0.0)
    for adv in (0.0, float("inf"), float("nan")):
        (gone,) = answers(size_controls.quantity, inputs(adv=of("MBA", adv, 5e7)), (order("MBA", "BUY", 1),)).values()
        assert shows(gone, Status.REJECT_ORDER, None, 1.0, ("mb1-mba-buy",), 0.0)
    unknown = inputs(trade=trade(target=np.full(12, float("nan"))))
    (sale,) = answers(size_controls.quantity, unknown, SALE).values()
    assert shows(sale, Status.PASS, 100 / 300, 1.0)


def test_the_days_that_a_sale_takes() -> None:
    """RC-11: 30,000 of a name of 250,000 a day take 1.2 days, one is allowed, half a day is noted, 20,000 take 0.8."""
    assert shows(answers(size_controls.liquidation, inputs())[""], Status.PASS, 0.004, 1.0)
    found = answers(size_controls.liquidation, inputs(adv=of("MBB", 2.5e5, 5e7)), (*batch(), order("MBB", "BUY", 100)))
    assert set(found) == {"MBB", "book in one day", "whole book"}
    assert shows(found["MBB"], Status.SHRINK, 1.2, 1.0, ("mb1-mbb-buy",), 0.5)
    assert shows(found["book in one day"], Status.PASS, 0.005, 0.05)
    assert found["book in one day"].unit == "fraction of NAV"
    found = answers(size_controls.liquidation, inputs(adv=of("MBB", 2.5e5, 5e7)))
    assert shows(found["MBB"], Status.WARN, 0.8, 1.0)
    gone = inputs(adv=of("MBB", 100.0, 5e7), trade=trade(ended=frozenset({"MBB"})))
    assert shows(answers(size_controls.liquidation, gone)[""], Status.PASS, 0.004, 1.0)


def test_a_short_name_takes_days_too() -> None:
    """RC-11: 20,000 sold short of a name of 250,000 a day: 0.8 days, and nothing of it within the first."""
    facts = inputs(positions=holding(MBB=-200), adv=of("MBB", 2.5e4, 5e7))
    found = answers(size_controls.liquidation, facts)
    assert shows(found["MBB"], Status.WARN, 8.0, 1.0)
    assert (found["book in one day"].observed, found["whole book"].observed) == pytest.approx((0.0175, 0.0125))


def test_a_name_of_unknown_volume_is_noted_once_nothing_is_bought() -> None:
    """RC-11: the days are not known; with buys they go, with a sale alone it says so."""
    facts = inputs(adv=of("MBB", float("nan"), 5e7))
    assert shows(answers(size_controls.liquidation, facts, batch())["MBB"], Status.SHRINK, None, 1.0, BUYS, 0.0)
    assert shows(answers(size_controls.liquidation, facts, SALE)["MBB"], Status.WARN, None, 1.0, (), 0.0)


def test_orders_are_counted_with_what_was_sent() -> None:
    """RC-14: four orders in shares, a leg, three that were sent; 12 names have 24."""
    facts = inputs(trade=trade(sent=(SentOrder("x", "MBB", Side.SELL, "P", 1),) * 3))
    found = answers(size_controls.order_count, facts, batch())
    assert shows(found["names"], Status.PASS, 7.0, 24.0)
    assert shows(found["session"], Status.PASS, 8.0, 200.0)
    assert (found["names"].message, found["names"].unit) == ("", "orders")
    for sent, status in ((15, Status.PASS), (16, Status.WARN), (20, Status.WARN), (21, Status.HALT)):
        facts = inputs(trade=trade(sent=(SentOrder("x", "MBB", Side.SELL, "P", 1),) * sent))
        assert shows(answers(size_controls.order_count, facts, batch())["names"], status, 4.0 + sent, 24.0)


def test_repetition_is_counted() -> None:
    """RC-15: an ordinary batch; one beside a part that was sent; exits; fills of one and a half times the plan."""
    found = answers(size_controls.repeats, inputs(), batch())
    assert shows(found["batches"], Status.PASS, 1.0, 1.0)
    assert shows(found["exit legs"], Status.PASS, 0.0, 3.0)
    assert shows(found["flips"], Status.PASS, 0.0, 0.0)
    assert shows(found["filled of planned"], Status.PASS, 0.0, 1.2)
    assert [r.unit for r in found.values()] == ["batches", "orders", "names", "ratio"]
    sent = trade(sent=(SentOrder("x", "MBB", Side.SELL, "T", 1), SentOrder("y", "MBA", Side.SELL, "P", 1)))
    found = answers(size_controls.repeats, inputs(trade=sent), (*batch(), order("MBA", "SELL", 1, leg="P")))
    assert shows(found["batches"], Status.HALT, 2.0, 1.0)
    assert shows(found["exit legs"], Status.PASS, 2.0, 3.0)
    fills = (Filled("x", "MBD", Side.SELL, 150.0, 100.0, 80.0, AT), Filled("y", "MBD", Side.BUY, 1.0, 1.0, 80.0, AT))
    found = answers(size_controls.repeats, inputs(trade=trade(fills=fills)), (order("MBD", "SELL", 1),))
    assert shows(found["flips"], Status.HALT, 1.0, 0.0)
    assert shows(found["filled of planned"], Status.HALT, 151 / 101, 1.2)
    unplanned = (Filled("x", "MBA", Side.SELL, 1.0, 0.0, 80.0, AT),)
    found = answers(size_controls.repeats, inputs(trade=trade(fills=unplanned)))
    assert shows(found["filled of planned"], Status.HALT, None, 1.2)


def test_one_change_of_direction_is_fine() -> None:
    """RC-15: bought yesterday, sold now."""
    fills = (Filled("x", "MBA", Side.BUY, 100.0, 100.0, 80.0, AT),)
    assert shows(answers(size_controls.repeats, inputs(trade=trade(fills=fills)), SALE)["flips"], Status.PASS, 0.0, 0.0)


def test_conversions_do_not_flip() -> None:
    """RC-15: three legs of one currency, two changes of direction."""
    legs = tuple(leg("EUR", side, 1, client_order_id=f"mb1-fx-{n}", leg=f"fx-{n}") for n, side in enumerate(
        ("BUY", "SELL", "BUY")))  # fmt: skip
    assert answers(size_controls.repeats, inputs(), legs)["flips"].observed == 0.0


def test_the_shares_that_are_left() -> None:
    """RC-20: 150 of 200 and 100 of 200 sold leave 50 at least; one too many is missing; a short name that is not sold is noted."""
    pair = (order("MBA", "SELL", 100), order("MBB", "SELL", 150), order("MBD", "BUY", 10))
    (calm,) = answers(size_controls.oversell, inputs(), pair).values()
    assert (shows(calm, Status.PASS, 50.0, 0.0), calm.headroom) == (True, 50.0)
    (bug,) = answers(size_controls.oversell, inputs(), (order("MBA", "SELL", 201), order("MBB", "SELL", 1))).values()
    assert (bug.key, shows(bug, Status.REJECT_BATCH, -1.0, 0.0), bug.headroom) == ("MBA", True, -1.0)
    (short,) = answers(size_controls.oversell, inputs(positions=holding(MBA=-5)), pair[2:]).values()
    assert (short.key, shows(short, Status.WARN, -5.0, 0.0), short.headroom) == ("MBA", True, -5.0)
    assert shows(answers(size_controls.oversell, inputs())[""], Status.PASS, None, 0.0)


@pytest.mark.parametrize(
    ("wanted", "sigma", "hard", "status", "observed", "keep"),
    [
        (order("MBA", "BUY", 200), 0.012, 30.0, Status.PASS, 3.5 + 2.4, 1.0),
        (order("MBL", "BUY", 200), 0.012, 30.0, Status.PASS, 2.5 + 2.4, 1.0),
        (order("MBH", "BUY", 200), 0.012, 30.0, Status.PASS, 7.5 + 2.0 + 2.4, 1.0),
        (order("MBD", "BUY", 200, currency="CHF"), 0.0, 30.0, Status.SHRINK, None, 0.0),
        (order("MBD", "BUY", 0), 0.012, 30.0, Status.PASS, 3.5, 1.0),
        (order("MBD", "BUY", 200), 0.0, 30.0, Status.PASS, 3.5, 1.0),
        (order("MBD", "BUY", 200), -0.012, 30.0, Status.SHRINK, None, 0.0),
        (order("MBD", "BUY", 200), 0.0025, 3.8, Status.SHRINK, 4.0, 0.36),
        (order("MBD", "BUY", 200), 0.012, 3.0, Status.SHRINK, 5.9, 0.0),
        (order("MBD", "BUY", 200), 0.0, 3.0, Status.SHRINK, 3.5, 0.0),
        (order("MBA", "SELL", 200), 0.012, 3.0, Status.WARN, 5.9, 1.0),
    ],
)  # fmt: skip
def test_the_cost_of_an_order(
    wanted: Order, sigma: float, hard: float, status: Status, observed: float | None, keep: float
) -> None:
    """RC-26: spread and fee, conversion, and 0.012 * sqrt(20,000 / 50,000,000) = 2.4 basis points; impact falls by the root."""
    mandate = tweaked(tweaked(MANDATE, "limits.expected_cost_bps.hard", hard), "limits.expected_cost_bps.warn", hard)
    facts = inputs(sigma_daily=np.full(12, sigma))
    (found,) = answers(size_controls.expected_cost, facts, (wanted,), mandate).values()
    ids = (wanted.client_order_id,) if status is Status.SHRINK else ()
    assert shows(found, status, observed, hard, ids, keep)


def test_a_currency_without_fees_costs_the_worst() -> None:
    """RC-26: francs are not listed: 11.5 of Hong Kong and 2 for the conversion, at no volatility."""
    facts = inputs(sigma_daily=np.zeros(12), fx_rates={"USD": 1.0, "EUR": 1.25, "JPY": 0.01, "CHF": 1.0})
    (found,) = answers(size_controls.expected_cost, facts, (order("MBD", "BUY", 200, currency="CHF"),)).values()
    assert shows(found, Status.PASS, 13.5, 30.0)


def issuers(*same: str) -> dict[str, object]:
    return {"trade": trade(issuer=tuple("One" if name in same else name for name in NAMES))}


def test_the_listings_of_one_issuer() -> None:
    """RC-33: 2 % held and 2 % bought, or sold short, are 4 %; what was sold whole or is bought anew counts as well."""
    mandate = tweaked(tweaked(MANDATE, "limits.position.hard", 0.03), "limits.position.warn", 0.03)
    found = answers(size_controls.issuer, inputs(**issuers("MBC", "MBD")), batch(), mandate)["One"]
    assert shows(found, Status.SHRINK, 0.04, 0.03, ("mb1-mbd-buy",), 0.5)
    short = inputs(**issuers("MBC", "MBD"), positions=holding(MBC=200, MBD=-200))
    assert shows(answers(size_controls.issuer, short)["One"], Status.PASS, 0.04, 0.05)
    new = answers(size_controls.issuer, inputs(**issuers("MBD", "MBF")), (order("MBD", "BUY", 200),))
    assert shows(new["One"], Status.PASS, 0.02, 0.05)
    gone = answers(size_controls.issuer, inputs(**issuers("MBA", "MBD")), (order("MBA", "SELL", 200),))
    assert shows(gone["One"], Status.PASS, 0.0, 0.05)
    assert shows(answers(size_controls.issuer, inputs())[""], Status.PASS, 0.0, 0.05)
