"""How much and how often: RC-09, 11, 14, 15, 20, 26, 33, and the account's RC-19, 22, 23, on both sides of every limit."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, NAV, SESSION, batch, book_state, inputs, leg, order, trade, tweaked

from marketbot_assets.book.state import Lot, StopHit
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.trade_facts import Filled, SentOrder
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, Order, Side, Status

AT = dt.datetime(2018, 12, 11, 15, 0, tzinfo=dt.UTC)


def answers(
    control: str, facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate = MANDATE
) -> list[ControlResult]:
    found = run_controls(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    return [result for result in found if result.control == control]


def status(control: str, facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate = MANDATE) -> Status:
    return max(result.status for result in answers(control, facts, orders, mandate))


def kept(facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate = MANDATE) -> dict[str, Decimal]:
    judged = judge(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    assert judged.verdict == "APPROVED", [r for r in judged.results if r.status > Status.WARN]
    return {o.instrument: o.quantity for o in judged.approved}


def with_value(name: str, value: float, field: str) -> np.ndarray:
    source = inputs() if hasattr(inputs(), field) else trade()
    return np.array([value if n == name else v for n, v in zip(NAMES, getattr(source, field), strict=True)])


@pytest.mark.parametrize(("quantity", "good"), [("300", True), ("301", False)])
def test_an_order_is_about_as_large_as_what_is_wanted(quantity: str, good: bool) -> None:
    """RC-09: 2 % of NAV wanted are 200 shares at 100; 1.5 times that."""
    facts = inputs(trade=trade(target=with_value("MBD", 0.02, "target")))
    expected = Status.PASS if good else Status.REJECT_BATCH
    assert status("RC-09", facts, (order("MBD", "BUY", quantity),)) is expected


@pytest.mark.parametrize(("target", "shares", "good"), [(0.0, 200, True), (np.nan, 200, True), (0.0, 301, False)])
def test_an_exit_is_about_as_large_as_what_is_held(target: float, shares: int, good: bool) -> None:
    """RC-09: 200 shares are held, none is wanted; a held name of unknown weight may be sold."""
    facts = inputs(trade=trade(target=with_value("MBA", target, "target")))
    assert (status("RC-09", facts, (order("MBA", "SELL", shares),)) is Status.PASS) == good


@pytest.mark.parametrize(
    ("adv", "expected"),
    [
        (400_000.0, Status.PASS),
        (399_999.0, Status.REJECT_BATCH),
        (0.0, Status.REJECT_ORDER),
        (np.nan, Status.REJECT_ORDER),
    ],
)
def test_a_buy_of_a_tenth_of_the_volume_is_a_bug(adv: float, expected: Status) -> None:
    """RC-09: 20,000 are 5 % of 400,000; a sale is for RC-10 to cut."""
    assert status("RC-09", inputs(adv=with_value("MBD", adv, "adv")), (order("MBD", "BUY", 200),)) is expected
    assert status("RC-09", inputs(adv=with_value("MBA", adv, "adv")), (order("MBA", "SELL", 200),)) is Status.PASS


def test_a_size_bug_leaves_the_sales() -> None:
    """RC-09: the batch is rejected, its reductions remain, also beside a leg that pays for nothing."""
    facts = inputs(trade=trade(target=with_value("MBD", 0.001, "target")))
    orders = (order("MBD", "BUY", 200), order("MBA", "SELL", 100), leg("JPY", "BUY", "10000"))
    assert kept(facts, orders) == {"MBA": Decimal(100)}


@pytest.mark.parametrize(
    ("adv", "expected"),
    [(800_000.0, Status.PASS), (799_990.0, Status.WARN), (400_000.0, Status.WARN), (399_990.0, Status.SHRINK)],
)
def test_a_name_is_sold_within_a_day(adv: float, expected: Status) -> None:
    """RC-11: 200 shares held and 200 bought are 40,000; a tenth of 400,000 a day sells them in one day, of 800,000 in half."""
    facts = inputs(adv=with_value("MBB", adv, "adv"))
    (found,) = [r for r in answers("RC-11", facts, (order("MBB", "BUY", 200),)) if r.key in ("MBB", "")] or [None]
    assert found is not None
    assert found.status is expected


def test_an_illiquid_buy_is_cut_to_a_day() -> None:
    """RC-11: 20,000 held of a name of 250,000 a day: 5,000 more make one day, whatever RC-10 says."""
    mandate = tweaked(tweaked(tweaked(MANDATE, "universe.floor.adv_usd", 1.0), "limits.participation.hard", 1.0),
                      "limits.participation.target", 1.0)  # fmt: skip
    mandate = tweaked(tweaked(mandate, "limits.order_quantity.adv", 1.0), "limits.expected_cost_bps.hard", 1000.0)
    facts = inputs(adv=with_value("MBB", 250_000.0, "adv"))
    assert kept(facts, (order("MBB", "BUY", 100),), mandate) == {"MBB": Decimal(50)}


def test_a_book_that_cannot_be_sold_buys_nothing() -> None:
    """RC-11: 5 % of NAV may take longer than a day, nothing longer than three; sales and shares that wait for payment pass."""
    orders = (order("MBD", "BUY", 100), order("MBA", "SELL", 100))
    slow = inputs(adv=with_value("MBB", 60_000.0, "adv"))
    assert kept(slow, orders) == {"MBA": Decimal(100)}
    assert status("RC-11", slow, orders[1:]) is Status.WARN
    assert kept(replace(slow, trade=trade(ended=frozenset({"MBB"}))), orders) == {
        "MBA": Decimal(100),
        "MBD": Decimal(100),
    }
    day = {r.key: r for r in answers("RC-11", inputs(adv=np.full(12, 100_000.0)), ())}
    assert day["book in one day"].observed == pytest.approx(7 * 0.01)
    assert day["whole book"].observed == 0.0


@pytest.mark.parametrize(
    ("sent", "expected"), [(158, Status.PASS), (159, Status.WARN), (198, Status.WARN), (199, Status.HALT)]
)
def test_a_session_has_at_most_200_orders(sent: int, expected: Status) -> None:
    """RC-14: what was sent counts; from four fifths on it is noted, beyond the limit nothing goes."""
    loose = tweaked(MANDATE, "limits.order_count.per_name", 100)
    facts = inputs(trade=trade(sent=(SentOrder("x", "MBB", Side.SELL, "P", 1),) * sent))
    assert status("RC-14", facts, (order("MBD", "BUY", 1), leg("EUR", "BUY", 1)), loose) is expected


@pytest.mark.parametrize(
    ("sent", "expected"), [(17, Status.PASS), (18, Status.WARN), (22, Status.WARN), (23, Status.HALT)]
)
def test_there_are_at_most_two_orders_per_name(sent: int, expected: Status) -> None:
    """RC-14: twelve names have 24 orders, with what was sent; legs are no names; four fifths are 19.2."""
    facts = inputs(trade=trade(sent=(SentOrder("x", "MBB", Side.SELL, "P", 1),) * sent))
    orders = (order("MBD", "BUY", 1), order("MBA", "SELL", 1), leg("EUR", "BUY", 1))
    (found,) = [r for r in answers("RC-14", facts, orders) if r.key == "names"]
    assert (found.status, found.limit) == (expected, 24.0)


def test_a_session_is_rebalanced_once() -> None:
    """RC-15: a second batch, or one decided anew after a part of it was sent, halts; exits that were sent do not count."""
    again = (SentOrder("x", "MBB", Side.SELL, "T", 1),)
    assert status("RC-15", inputs(trade=trade(sent=again)), batch()) is Status.HALT
    assert status("RC-15", inputs(trade=trade(sent=again)), ()) is Status.PASS
    exits = (SentOrder("x", "MBB", Side.SELL, "P", 1),)
    assert status("RC-15", inputs(trade=trade(sent=exits)), batch()) is Status.PASS
    assert status("RC-15", inputs(), (*batch(), order("MBF", "BUY", 1, batch_no=2))) is Status.HALT
    assert judge(inputs(trade=trade(sent=again)), batch(), MANDATE).approved == ()


@pytest.mark.parametrize(("legs", "expected"), [(2, Status.PASS), (3, Status.HALT)])
def test_a_name_has_few_exit_legs(legs: int, expected: Status) -> None:
    """RC-15: three protective orders in one name, with this one."""
    sent = (SentOrder("x", "MBA", Side.SELL, "P", 1),) * legs
    assert status("RC-15", inputs(trade=trade(sent=sent)), (order("MBA", "SELL", 1, leg="P"),)) is expected


def fill(name: str, side: Side, shares: float = 100.0, planned: float = 100.0, price: float = 100.0) -> Filled:
    return Filled(f"mb1-{name}-{side}-{shares}", name, side, shares, planned, price, AT)


TURNS = [
    ((), Status.PASS),
    ((Side.SELL,), Status.PASS),
    ((Side.BUY,), Status.PASS),
    ((Side.SELL, Side.SELL), Status.PASS),
    ((Side.BUY, Side.SELL), Status.HALT),
    ((Side.SELL, Side.BUY, Side.SELL), Status.HALT),
]


@pytest.mark.parametrize(("sides", "expected"), TURNS)
def test_a_name_turns_once_a_day(sides: tuple[Side, ...], expected: Status) -> None:
    """RC-15: fills since the session before and a buy now; sold and bought back is one turn, bought, sold and bought two."""
    fills = tuple(fill("MBD", side) for side in sides)
    assert status("RC-15", inputs(trade=trade(fills=fills)), (order("MBD", "BUY", 1),)) is expected


@pytest.mark.parametrize(
    ("filled", "expected"),
    [(120.0, Status.PASS), (np.nextafter(120.0, 200), Status.PASS), (120.000001, Status.HALT)],
)
def test_fills_are_about_as_large_as_planned(filled: float, expected: Status) -> None:
    """RC-15: 1.2 times the planned value, over all orders."""
    assert status("RC-15", inputs(trade=trade(fills=(fill("MBD", Side.BUY, filled),))), ()) is expected


def test_fills_weigh_by_their_value() -> None:
    """RC-15: 150 of 100 planned shares at 1 beside 100 of 100 at 99 are 1.005 of the plan."""
    fills = (fill("MBD", Side.BUY, 150.0, price=1.0), fill("MBA", Side.SELL, price=99.0))
    (found,) = [r for r in answers("RC-15", inputs(trade=trade(fills=fills)), ()) if r.key == "filled of planned"]
    assert found.observed == pytest.approx(1.005)


@pytest.mark.parametrize(("shares", "expected"), [(200, Status.PASS), (201, Status.REJECT_BATCH)])
def test_open_sells_are_no_longer_there(shares: int, expected: Status) -> None:
    """RC-20: 300 shares less the 100 that an open order sells."""
    held = tuple(Decimal(300 if n == "MBA" else 0) for n in NAMES)
    opened = tuple(Decimal(-100 if n == "MBA" else 0) for n in NAMES)
    facts = inputs(positions=held, open_quantity=opened)
    assert status("RC-20", facts, (order("MBA", "SELL", shares),)) is expected


def test_an_oversell_is_never_bypassed() -> None:
    """RC-20, G5: a batch of sales alone is rejected for it, and the honest sales remain."""
    orders = (
        order("MBA", "SELL", 150),
        order("MBA", "SELL", 60, client_order_id="other", leg="x"),
        order("MBB", "SELL", 10),
    )
    assert status("RC-20", inputs(), orders) is Status.REJECT_BATCH
    assert kept(inputs(), orders) == {"MBB": Decimal(10)}


# 0.012 * sqrt(20,000 / ADV) and 3.5 basis points: 30 at ADV = 20,000 * (0.012 / 0.00265)^2 = 410,110.36.
EDGE = 20_000 * (0.012 / 0.00265) ** 2
WARN_EDGE = 20_000 * (0.012 / 0.00165) ** 2


@pytest.mark.parametrize(
    ("adv", "expected"),
    [(WARN_EDGE * 1.0001, Status.PASS), (WARN_EDGE * 0.9999, Status.WARN), (EDGE * 1.0001, Status.WARN),
     (EDGE * 0.9999, Status.SHRINK), (np.nan, Status.SHRINK)],
)  # fmt: skip
def test_a_buy_is_not_too_dear(adv: float, expected: Status) -> None:
    """RC-26: half-spread and fee of 3.5 basis points and the square-root impact; a sale is only noted."""
    assert status("RC-26", inputs(adv=with_value("MBD", adv, "adv")), (order("MBD", "BUY", 200),)) is expected
    sale = status("RC-26", inputs(adv=with_value("MBA", adv, "adv")), (order("MBA", "SELL", 200),))
    assert sale is min(expected, Status.WARN)


def test_a_dear_buy_is_cut_to_what_it_may_cost() -> None:
    """RC-26: a fourth of the shares has half the impact; with 23.5 basis points at 200 shares and a limit of 13.5, 50 are left."""
    mandate = tweaked(tweaked(MANDATE, "limits.expected_cost_bps.hard", 13.5), "limits.expected_cost_bps.warn", 13.5)
    mandate = tweaked(tweaked(mandate, "universe.floor.adv_usd", 1.0), "limits.participation.hard", 1.0)
    mandate = tweaked(mandate, "limits.participation.target", 1.0)
    facts = inputs(adv=with_value("MBD", 20_000 * (0.012 / 0.0020) ** 2, "adv"))
    assert kept(facts, (order("MBD", "BUY", 200),), mandate) == {"MBD": Decimal(50)}


def test_tax_and_conversion() -> None:
    """RC-26: a conversion costs 2 basis points more, a stamp duty of 50 stays out."""
    taxed = MANDATE.costs_bps.model_copy(update={"tax_buy": {"EUR": 50.0}})
    facts = inputs(sigma_daily=np.full(12, 0.0))
    (found,) = answers("RC-26", facts, (order("MBH", "BUY", 100),), tweaked(MANDATE, "costs_bps", taxed))
    assert (found.status, found.observed) == (Status.PASS, 9.5)


@pytest.mark.parametrize(
    ("factor", "expected", "observed"),
    [(1.0, Status.PASS, 9.5), (2.0, Status.PASS, 17.0), (3.8, Status.SHRINK, 30.5), (np.nan, Status.SHRINK, None)],
)
def test_the_factor_of_live_fills_is_charged(factor: float, expected: Status, observed: float | None) -> None:
    """RC-26: 7.5 basis points carry the factor, the conversion of 2 does not; an unknown factor lets nothing be bought."""
    factors = {("EUR", Side.BUY): factor, ("EUR", Side.SELL): 9.0}
    facts = inputs(sigma_daily=np.full(12, 0.0), cost_multiples=factors)
    (found,) = answers("RC-26", facts, (order("MBH", "BUY", 100),))
    assert (found.status, found.observed) == (expected, observed)


def test_the_factor_is_on_impact_too() -> None:
    """RC-26: 3.5 and 2.4 basis points twice."""
    facts = inputs(adv=with_value("MBD", 5e7, "adv"), cost_multiples={("USD", Side.BUY): 2.0})
    (found,) = answers("RC-26", facts, (order("MBD", "BUY", 200),))
    assert found.observed == pytest.approx(2 * (3.5 + 120 * np.sqrt(20_000 / 5e7)))


@pytest.mark.parametrize(
    ("shares", "expected"), [(290, Status.PASS), (291, Status.WARN), (300, Status.WARN), (301, Status.SHRINK)]
)
def test_share_classes_are_one_name(shares: int, expected: Status) -> None:
    """RC-33: 2 % held in one class of the issuer and as much bought in the other as 5 % allow."""
    issuer = tuple("Issuer B" if n == "MBD" else name for n, name in zip(NAMES, trade().issuer, strict=True))
    facts = inputs(trade=trade(issuer=issuer))
    assert status("RC-33", facts, (order("MBD", "BUY", shares),)) is expected
    assert status("RC-33", inputs(), (order("MBD", "BUY", shares),)) is Status.PASS


def test_unknown_issuers_are_one_name() -> None:
    """RC-33: two names without an issuer share 5 %; with sales alone a passive breach is noted."""
    issuer = tuple("" if n in ("MBB", "MBD") else name for n, name in zip(NAMES, trade().issuer, strict=True))
    assert status("RC-33", inputs(trade=trade(issuer=issuer)), (order("MBD", "BUY", 301),)) is Status.SHRINK
    big = tuple(Decimal(600 if n in ("MBB", "MBD") else 0) for n in NAMES)
    facts = inputs(trade=trade(issuer=issuer), positions=big)
    assert status("RC-33", facts, (order("MBB", "SELL", 10),)) is Status.WARN


CASH = tweaked(MANDATE, "account.type", "cash")


@pytest.mark.parametrize(
    ("unsettled", "expected"), [("849996.50", Status.PASS), ("849996.5005", Status.PASS), ("849996.51", Status.SHRINK)]
)
def test_a_cash_account_waits_for_settlement(unsettled: str, expected: Status) -> None:
    """RC-19: 860,000 of cash less what has not settled pays for 100 shares at 100 with 3.5 basis points, within 1e-9 of NAV."""
    facts = inputs(trade=trade(unsettled={"USD": Decimal(unsettled)}))
    assert status("RC-19", facts, (order("MBD", "BUY", 100),), CASH) is expected
    assert status("RC-19", facts, (order("MBD", "BUY", 100),)) is Status.PASS
    assert status("RC-19", facts, (order("MBA", "SELL", 100),), CASH) is Status.PASS


def test_buys_shrink_to_the_settled_cash() -> None:
    """RC-19: half of what two equal buys need has settled; planned sales and unsettled ones pay for none of it."""
    facts = inputs(trade=trade(unsettled={"USD": Decimal("849990")}))
    orders = (order("MBD", "BUY", 100), order("MBF", "BUY", 100), order("MBA", "SELL", 200))
    assert kept(facts, orders, CASH) == {"MBA": Decimal(200), "MBD": Decimal(50), "MBF": Decimal(50)}


def test_a_foreign_buy_waits_for_its_own_currency() -> None:
    """RC-19: euros of a sale that has not settled pay for nothing, a conversion from settled dollars does."""
    facts = inputs(cash={"USD": Decimal(860_000), "EUR": Decimal(9000)}, trade=trade(unsettled={"EUR": Decimal(9000)}))
    buy = order("MBH", "BUY", 100)
    assert status("RC-19", facts, (buy,), CASH) is Status.SHRINK
    assert status("RC-19", facts, (buy, leg("EUR", "BUY", "8100")), CASH) is Status.PASS


def lots(entry: float) -> tuple[Lot, ...]:
    return (Lot("MBA", Decimal(200), entry, entry, 0.0, SESSION),)


AVOID, NOTE = tweaked(MANDATE, "account.tax_mode", "avoid"), tweaked(MANDATE, "account.tax_mode", "note")


@pytest.mark.parametrize(
    ("days", "entry", "washes"), [(30, 101.0, True), (31, 101.0, False), (0, 101.0, True), (5, 100.0, False)]
)
def test_a_loss_after_a_buy_is_a_wash_sale(days: int, entry: float, washes: bool) -> None:
    """RC-22: sold below its entry within 30 days of a buy: counted, noted or refused, by the account's mode."""
    book = book_state(lots=lots(entry), bought=(("MBA", SESSION - dt.timedelta(days=days)),))
    facts, orders = inputs(book=book), (order("MBA", "SELL", 100),)
    (found,) = answers("RC-22", facts, orders)
    assert (found.status, found.observed) == (Status.PASS, float(washes))
    assert status("RC-22", facts, orders, NOTE) is (Status.WARN if washes else Status.PASS)
    assert status("RC-22", facts, orders, AVOID) is (Status.REJECT_ORDER if washes else Status.PASS)


def test_an_exit_is_never_held_back_for_tax() -> None:
    """RC-22: a stop's exit and a protective leg go, and are recorded."""
    book = book_state(lots=lots(101.0), bought=(("MBA", SESSION),))
    protective = (order("MBA", "SELL", 100, leg="P"),)
    assert status("RC-22", inputs(book=book), protective, AVOID) is Status.WARN
    hit = replace(book, stop_hits=(StopHit("MBA", "RC-62", 80.0, 85.0),))
    assert status("RC-22", inputs(book=hit), (order("MBA", "SELL", 100),), AVOID) is Status.WARN
    unknown = replace(book, bought=None)
    assert status("RC-22", inputs(book=unknown), (order("MBA", "SELL", 100),), AVOID) is Status.WARN


@pytest.mark.parametrize(("days", "washes"), [(30, True), (31, False)])
def test_a_buy_after_a_loss_is_a_wash_sale(days: int, washes: bool) -> None:
    """RC-22: also of the issuer's other listing, and of a listing that is gone from the book."""
    lost = (("MBD", SESSION - dt.timedelta(days=days)),)
    for name in ("MBD", "MBF"):
        issuer = tuple("one" if n in ("MBD", "MBF") else i for n, i in zip(NAMES, trade().issuer, strict=True))
        facts = inputs(book=book_state(sold_at_loss=lost), trade=trade(issuer=issuer))
        expected = Status.REJECT_ORDER if washes else Status.PASS
        assert status("RC-22", facts, (order(name, "BUY", 10),), AVOID) is expected
    assert status("RC-22", inputs(book=book_state(sold_at_loss=lost)), (order("MBF", "BUY", 10),), AVOID) is Status.PASS


@pytest.mark.parametrize(
    ("leg_", "stop", "regime", "nav", "expected"),
    [
        ("T", False, "intraday_margin", NAV, Status.REJECT_ORDER),
        ("P", False, "intraday_margin", NAV, Status.WARN),
        ("T", True, "intraday_margin", NAV, Status.WARN),
        ("P", False, "pdt_legacy", NAV, Status.WARN),
        ("P", False, "pdt_legacy", 25_000.0, Status.WARN),
        ("P", False, "pdt_legacy", 24_999.0, Status.REJECT_ORDER),
        ("P", True, "pdt_legacy", 24_999.0, Status.WARN),
    ],
)
def test_a_session_does_not_close_what_it_opens(
    leg_: str, stop: bool, regime: str, nav: float, expected: Status
) -> None:
    """RC-23: a sale of what an open order still buys waits, unless it is an exit; under the old rule only a stop goes."""
    mandate = tweaked(MANDATE, "account.margin_regime", regime)
    buying = OpenOrder("mb1-x", "MBA", Side.BUY, Decimal(10), Decimal(100), "USD")
    book = book_state(stop_hits=(StopHit("MBA", "RC-62", 80.0, 85.0),) if stop else ())
    facts = inputs(nav=nav, book=book, trade=trade(open_orders=(buying,)))
    found = {r.key: r.status for r in answers("RC-23", facts, (order("MBA", "SELL", 10, leg=leg_),), mandate)}
    assert found["round trips"] is expected


@pytest.mark.parametrize(("rate", "good"), [(1.0, True), (1.0 / 0.16, True), (7.0, False)])
def test_the_margin_is_kept(rate: float, good: bool) -> None:
    """RC-23: 14 % held and 2 % bought of shares: the maintenance rate under which nothing is left is 1 / 0.16."""
    mandate = tweaked(MANDATE, "limits.round_trips.maintenance", rate)
    found = status("RC-23", inputs(), (order("MBD", "BUY", 200),), mandate)
    assert found is (Status.PASS if good else Status.REJECT_ORDER)
    assert status("RC-23", inputs(), (order("MBA", "SELL", 10),), mandate) is Status.PASS
