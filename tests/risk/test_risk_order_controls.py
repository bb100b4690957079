"""Controls on single orders and on cash: boundaries, statuses, what becomes of the batch."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import (
    CUTOFF,
    MANDATE,
    NAMES,
    NAV,
    OPENS,
    batch,
    book_state,
    buys,
    drawn_down,
    inputs,
    leg,
    order,
    tweaked,
)

from marketbot_assets.book.state import Lot, Rung, StopHit
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Side, Status


def status(facts: RiskInputs, orders: tuple[Order, ...], control: str, mandate: Mandate = MANDATE) -> Status:
    return max(r.status for r in run_controls(facts, orders, mandate) if r.control == control)


def at(name: str, values: object, value: object) -> tuple[object, ...]:
    return tuple(value if n == name else v for n, v in zip(NAMES, values, strict=True))  # type: ignore[call-overload]


BAD_FIELDS = [
    {"instrument": "MBZ"}, {"quantity": Decimal(0)}, {"quantity": Decimal(-1)}, {"quantity": Decimal("NaN")},
    {"quantity": 100.0}, {"limit_price": None}, {"limit_price": Decimal(0)}, {"limit_price": Decimal("Infinity")},
    {"session": CUTOFF.date().replace(day=10)}, {"client_order_id": ""}, {"mic": "XLON"}, {"currency": "EUR"},
    {"side": None}, {"kind": None}, {"send_until": CUTOFF},
]  # fmt: skip


@pytest.mark.parametrize("changes", BAD_FIELDS, ids=str)
def test_a_malformed_order_rejects_the_whole_batch(changes: dict[str, object]) -> None:
    """RC-01: a corrupt order means that upstream is corrupt: not even the reductions go."""
    orders = (order("MBD", "BUY", 100, **changes), order("MBA", "SELL", 100))
    assert status(inputs(), orders, "RC-01") is Status.REJECT_BATCH
    judged = judge(inputs(), orders, MANDATE)
    assert (judged.verdict, judged.approved) == ("REJECTED", ())


@pytest.mark.parametrize(
    "changes",
    [{"unknown_broker_instruments": ("XYZ",)}, {"known": frozenset(NAMES) - {"MBD"}}, {"known": frozenset(NAMES) - {"MBB"}},
     {"mandate_sha256": "0" * 64}],
    ids=["unknown at the broker", "ordered and unknown", "held and unknown", "another mandate"],
)  # fmt: skip
def test_unknown_names_reject_the_whole_batch(changes: dict[str, object]) -> None:
    """RC-01: nothing is sent while a name or the mandate is not what the inputs say."""
    assert judge(inputs(**changes), batch(), MANDATE).verdict == "REJECTED"


@pytest.mark.parametrize(
    "changes",
    [{"currency": "USD"}, {"limit_price": Decimal(1)}, {"instrument": "FX:JPY"}, {"currency": "CHF"}],
    ids=str,
)
def test_a_conversion_names_a_known_foreign_currency(changes: dict[str, object]) -> None:
    """RC-01: a leg converts against the base, without limit, into a currency that the book knows."""
    assert status(inputs(), (leg("EUR", "BUY", 10, **changes),), "RC-01") is Status.REJECT_BATCH


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0.0, Status.PASS), (1.0, Status.REJECT_ORDER), (-1.0, Status.REJECT_ORDER), (np.nan, Status.REJECT_ORDER)],
)
def test_an_order_needs_a_fresh_price(age: float, expected: Status) -> None:
    """RC-05: the price must be of the last session of the own exchange."""
    ages = np.where(np.array(NAMES) == "MBD", age, 0.0)
    facts = inputs(price_age_sessions=ages)
    assert status(facts, batch(), "RC-05") is expected
    judged = judge(facts, batch(), MANDATE)
    assert judged.verdict == "APPROVED"
    assert ("MBD" in {o.instrument for o in judged.approved}) == (expected is Status.PASS)


def test_a_held_name_without_price_allows_no_buys_but_other_exits() -> None:
    """RC-05: no buys, no order in the name, the sells of others still go."""
    prices = np.where(np.array(NAMES) == "MBB", np.nan, inputs().price)
    lots = (Lot("MBB", Decimal(200), 100.0, 100.0, 0.0, CUTOFF.date()),)
    facts = inputs(price=prices, book=book_state(lots=lots))
    judged = judge(facts, (*batch(), order("MBB", "SELL", 100)), MANDATE)
    assert judged.verdict == "APPROVED"
    assert [(o.instrument, o.side) for o in judged.approved] == [("MBA", Side.SELL)]


def test_a_stale_rate_allows_no_buys_and_no_order_in_its_currency() -> None:
    """RC-05: a stale rate touches every value; sells in other currencies still go, with no leg left over."""
    facts = inputs(stale_currencies=frozenset({"EUR"}))
    judged = judge(facts, (*batch(), order("MBG", "SELL", 100)), MANDATE)
    assert judged.verdict == "APPROVED"
    assert [(o.instrument, o.side) for o in judged.approved] == [("MBA", Side.SELL)]


@pytest.mark.parametrize(("share", "sent"), [(0.10, 5), (0.10 + 1e-6, 1)])
def test_a_stale_book_rejects_what_adds_risk(share: float, sent: int) -> None:
    """RC-05: more than 10 % of NAV without a fresh price: the batch is rejected, reductions in fresh names remain."""
    stale = ("MBB", "MBC", "MBE", "MBG", "MBI")
    facts = inputs(price_age_sessions=np.array([float(name in stale) for name in NAMES]))
    facts = replace(facts, nav=0.10 / share * NAV)
    assert len(judge(facts, batch(), MANDATE).approved) == sent


COLLARS = [
    ("MBD", 0.012, "103.00", True),
    ("MBD", 0.012, "103.01", False),
    ("MBD", 0.001, "102.00", True),
    ("MBD", 0.001, "102.01", False),
    ("MBD", 0.05, "105.00", True),
    ("MBD", 0.05, "105.01", False),
    ("MBL", 0.05, "103.00", True),
    ("MBL", 0.05, "103.01", False),
]


@pytest.mark.parametrize(("name", "sigma", "limit", "good"), COLLARS)
def test_a_buy_limit_stays_inside_its_collar(name: str, sigma: float, limit: str, good: bool) -> None:
    """RC-07: min(max(2 %, 2.5 sigma), 5 %), funds 3 %."""
    facts = inputs(sigma_daily=np.full(12, sigma))
    judged = judge(facts, (order(name, "BUY", 10, limit),), MANDATE)
    assert judged.verdict == "APPROVED"
    assert len(judged.approved) == good


@pytest.mark.parametrize(
    ("limit", "sigma", "good"),
    [("97.00", 0.012, True), ("96.99", 0.012, False), ("98.00", np.nan, True), ("97.99", np.nan, False)],
)
def test_a_sell_limit_stays_inside_its_collar(limit: str, sigma: float, good: bool) -> None:
    """RC-07: the same downwards; without sigma a reduction gets the tightest collar."""
    facts = inputs(sigma_daily=np.full(12, sigma))
    assert len(judge(facts, (order("MBA", "SELL", 10, limit),), MANDATE).approved) == good


@pytest.mark.parametrize(
    ("shares", "expected"), [(500, Status.PASS), (501, Status.WARN), (600, Status.WARN), (601, Status.REJECT_BATCH)]
)
def test_a_fat_finger_rejects_the_whole_batch(shares: int, expected: Status) -> None:
    """RC-08: 5 % of NAV is noted, more than 6 % is a size bug: nothing of such a batch goes."""
    orders = (order("MBD", "BUY", shares), order("MBA", "SELL", 10))
    assert status(inputs(), orders, "RC-08") is expected
    assert (judge(inputs(), orders, MANDATE).verdict == "REJECTED") == (expected is Status.REJECT_BATCH)


def test_a_big_exit_is_cut_to_the_largest_order() -> None:
    """RC-08: a reduction is bounded by the position, so it is cut to 6 % and goes on next session."""
    shares = tuple(Decimal(900) if name == "MBA" else Decimal(0) for name in NAMES)
    facts = inputs(positions=shares, cash={"USD": Decimal(910_000)})
    assert [o.quantity for o in judge(facts, (order("MBA", "SELL", 900),), MANDATE).approved] == [Decimal(600)]


@pytest.mark.parametrize(
    ("adv", "observations", "kept"),
    [
        (20_000 / 0.02, 20.0, 200),
        (20_000 / 0.0201, 20.0, 99),
        (5e7, 15.0, 200),
        (5e7, 14.0, 0),
        (np.nan, 20.0, 0),
        (0.0, 20.0, 0),
        (5e7, np.nan, 0),
    ],
)
def test_a_buy_takes_a_small_part_of_the_volume(adv: float, observations: float, kept: int) -> None:
    """RC-10: beyond 2 % of the average daily value it is cut to 1 %; without 15 observations there is no buy."""
    thin = tweaked(MANDATE, "universe.floor.adv_usd", 1.0)
    facts = inputs(thin, adv=np.full(12, adv), adv_observations=np.full(12, observations))
    judged = judge(facts, (order("MBD", "BUY", 200),), thin)
    assert judged.verdict == "APPROVED"
    assert sum(o.quantity for o in judged.approved) == kept


@pytest.mark.parametrize(("adv", "kept"), [(20_000 / 0.10, 200), (20_000 / 0.11, 181), (np.nan, 200)])
def test_an_exit_may_take_more_of_the_volume(adv: float, kept: int) -> None:
    """RC-10: a stop's exit takes up to 10 %; an unknown volume does not hold it back."""
    hit = StopHit("MBA", "RC-62", 80.0, 85.0)
    facts = inputs(adv=np.full(12, adv), book=book_state(stop_hits=(hit,)))
    assert sum(o.quantity for o in judge(facts, (order("MBA", "SELL", 200),), MANDATE).approved) == kept
    ordinary = replace(facts, book=book_state())
    assert sum(o.quantity for o in judge(ordinary, (order("MBA", "SELL", 200),), MANDATE).approved) < kept


TWINS = [
    ({}, (order("MBD", "BUY", 10), order("MBD", "BUY", 10))),
    ({}, (order("MBD", "BUY", 10), order("MBD", "BUY", 10, client_order_id="other"))),
    ({"sent_client_order_ids": frozenset({"mb1-mbd-buy"})}, (order("MBD", "BUY", 10),)),
    ({"open_client_order_ids": ("mb1-mba-sell",)}, (order("MBA", "SELL", 10),)),
]


@pytest.mark.parametrize(("changes", "orders"), TWINS, ids=["id twice", "leg twice", "sent", "open"])
def test_a_duplicate_halts(changes: dict[str, object], orders: tuple[Order, ...]) -> None:
    """RC-13: an order that exists already must be impossible: HALT, also for sells in a deep drawdown."""
    assert judge(inputs(**changes), orders, MANDATE).verdict == "HALT"
    deep = inputs(**changes, book=drawn_down(0.13, Rung.TO_CASH))
    assert judge(deep, orders, MANDATE).verdict == "HALT"


@pytest.mark.parametrize(
    ("name", "quantity", "limit", "kept"),
    [("MBD", "100.5", "100", "100"), ("MBJ", "150", "1000", "100"), ("MBJ", "50", "1000", None), ("MBD", "100", "100.005", None),
     ("MBJ", "100", "1000.5", None), ("MBD", "1", "100", "1")],
)  # fmt: skip
def test_orders_stand_on_the_grid(name: str, quantity: str, limit: str, kept: str | None) -> None:
    """RC-16: whole lots (the rest is cut off), limits on the tick, else the order is dropped."""
    cash = {"USD": Decimal(800_000), "JPY": Decimal(10_000_000)}
    judged = judge(inputs(cash=cash), (order(name, "BUY", quantity, limit),), MANDATE)
    assert judged.verdict == "APPROVED"
    assert [o.quantity for o in judged.approved] == ([Decimal(kept)] if kept else [])


def test_crumbs_are_dropped() -> None:
    """RC-16: an order worth less than one unit of base currency is not sent."""
    facts = inputs(price=np.full(12, 0.5), tick_size=(Decimal("0.01"),) * 12)
    assert judge(facts, (order("MBA", "SELL", 1, "0.50"),), MANDATE).approved == ()


def spare(dollars: str, **other: str) -> RiskInputs:
    """The book with little cash; its NAV does not matter for RC-18."""
    return inputs(cash={"USD": Decimal(dollars), **{c: Decimal(a) for c, a in other.items()}})


LOOSE = tweaked(MANDATE, "limits.cash_floor", MANDATE.limits.cash_floor.model_copy(update={"hard": -1.0, "warn": -1.0}))


def kept(facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate = LOOSE) -> dict[str, Decimal]:
    judged = judge(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    assert judged.verdict == "APPROVED", [r for r in judged.results if r.status > Status.WARN]
    return {o.client_order_id.removeprefix("mb1-"): o.quantity for o in judged.approved}


def test_buys_are_paid_by_98_percent_of_the_cash() -> None:
    """RC-18: 100 shares at 100 and 3.5 bp need 10,003.50; 98 % of 10,207.66 is just enough."""
    assert kept(spare("10207.66"), (order("MBD", "BUY", 100),)) == {"mbd-buy": Decimal(100)}
    assert kept(spare("10207.64"), (order("MBD", "BUY", 100),)) == {"mbd-buy": Decimal(99)}


def test_buys_shrink_pro_rata() -> None:
    """RC-18: half the cash that two equal buys need leaves about half of each."""
    left = kept(spare("10207.66"), (order("MBD", "BUY", 100), order("MBF", "BUY", 100)))
    assert left == {"mbd-buy": Decimal(50), "mbf-buy": Decimal(50)}


def test_planned_sells_pay_on_a_margin_account_only() -> None:
    """RC-18: 95 % of sells that open no later pay for buys; on a cash account they do not."""
    orders = (order("MBD", "BUY", 100), order("MBA", "SELL", 200))
    assert kept(spare("0"), orders) == {"mba-sell": Decimal(200), "mbd-buy": Decimal(100)}
    cash_account = tweaked(LOOSE, "account.type", "cash")
    assert kept(spare("0"), orders, cash_account) == {"mba-sell": Decimal(200)}


def test_later_sells_do_not_pay_for_earlier_buys() -> None:
    """RC-18: a sell in New York cannot pay for a buy that opens before it."""
    early = order("MBD", "BUY", 100, send_until=OPENS["XTKS"])
    assert kept(spare("0"), (early, order("MBA", "SELL", 200))) == {"mba-sell": Decimal(200)}


def test_a_foreign_buy_needs_its_own_currency() -> None:
    """RC-18: dollars pay for euros only through a leg, and cash in euros pays without one."""
    buy = order("MBH", "BUY", 100)
    assert kept(spare("100000"), (buy,)) == {}
    assert kept(spare("100000"), (buy, leg("EUR", "BUY", "8100"))) == {
        "mbh-buy": Decimal(100),
        "fx-eur-buy": Decimal(8100),
    }
    assert kept(spare("0", EUR="8100"), (buy,)) == {"mbh-buy": Decimal(100)}
    assert kept(spare("0", EUR="4060"), (buy,)) == {"mbh-buy": Decimal(50)}


def test_a_leg_shrinks_with_the_buys_that_it_pays() -> None:
    """DESIGN: dependent FX legs follow; a leg whose buys are gone is gone, one that covers a debt stays that large."""
    facts = inputs(incomplete=frozenset({"MBH"}))
    assert "fx-eur-buy" not in kept(facts, batch())
    debt = inputs(incomplete=frozenset({"MBH"}), cash={"USD": Decimal(860_000), "EUR": Decimal(-1000)})
    assert kept(debt, (order("MBH", "BUY", 100), leg("EUR", "BUY", "9100")))["fx-eur-buy"] == Decimal(1000)


def test_a_conversion_for_its_own_sake_is_cut() -> None:
    """RC-18: a leg is worth what it pays for and 5 % at most."""
    left = kept(inputs(), (order("MBH", "BUY", 100), leg("EUR", "BUY", "80000")))
    assert left["fx-eur-buy"] == Decimal("8406.30")


def test_a_leg_back_converts_what_is_there() -> None:
    """RC-18: cash and 95 % of the planned sells of its currency may be converted back, no more."""
    orders = (order("MBG", "SELL", 100), leg("EUR", "SELL", "7600"))
    assert kept(spare("0"), orders) == {"mbg-sell": Decimal(100), "fx-eur-sell": Decimal(7600)}
    assert kept(spare("0"), (orders[0], leg("EUR", "SELL", "8000")))["fx-eur-sell"] == Decimal(7600)


def test_the_ordinary_batch_passes_whole() -> None:
    """RC-18 and all others: an ordinary day shrinks nothing."""
    judged = judge(inputs(), batch(), MANDATE)
    assert (judged.verdict, len(judged.rounds), judged.changes, len(buys(judged.approved))) == ("APPROVED", 1, (), 3)


def test_an_open_buy_keeps_its_cash() -> None:
    """RC-18: cash that an open buy may still cost is not there for the next buy, nor for a sweep of its currency."""
    waiting = inputs(
        open_quantity=tuple(Decimal(1000 if name == "MBJ" else 0) for name in NAMES),
        open_client_order_ids=("mb1-waiting",),
        cash={"USD": Decimal("860000"), "JPY": Decimal("1050000")},
        open_buys={"JPY": Decimal("1000000")},
    )
    sweep = leg("JPY", "SELL", 1_040_000)
    seen = {r.key: r for r in run_controls(waiting, (sweep,), MANDATE) if r.control == "RC-18"}
    assert seen["JPY"].status is Status.SHRINK
    small = leg("JPY", "SELL", 40_000)
    seen = {r.key: r for r in run_controls(waiting, (small,), MANDATE) if r.control == "RC-18"}
    assert seen["JPY"].status is Status.PASS


def test_an_odd_lot_may_be_sold_whole() -> None:
    """RC-16: 20 shares of a lot of 100, left by a split, can leave the book; a part of them cannot."""
    held = inputs(positions=tuple(Decimal(20 if name == "MBI" else 0) for name in NAMES))
    assert status(held, (order("MBI", "SELL", 20),), "RC-16") is Status.PASS
    assert status(held, (order("MBI", "SELL", 10),), "RC-16") is Status.SHRINK
    assert status(held, (order("MBI", "BUY", 20),), "RC-16") is Status.SHRINK
