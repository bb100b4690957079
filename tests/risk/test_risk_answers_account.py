"""What the controls on cash and the account answer, field by field: RC-18, 19, 22, 23. Numbers by hand.

Dollars cost 3.5 basis points, funds 2.5, euros 7.5, a conversion 2; a euro is 1.25 dollars; 98 % of the cash may be spent and
95 % of a planned sale.
"""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import (
    MANDATE,
    NAMES,
    OPENS,
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
from whole_answers import BUYS, holding, shows

from marketbot_assets.book.state import Lot, StopHit
from marketbot_assets.risk import account_controls, funding
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.funding import Flow, flows
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import project
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, Order, Side, Status

CASH = tweaked(MANDATE, "account.type", "cash")
AVOID, NOTE = tweaked(MANDATE, "account.tax_mode", "avoid"), tweaked(MANDATE, "account.tax_mode", "note")
EARLY, MIDDLE, LATE = OPENS["XTKS"], OPENS["XETR"], OPENS["XNYS"]
SALE = (order("MBA", "SELL", 100),)
BUY = (order("MBD", "BUY", 200),)


def with_cash(**amounts: str) -> RiskInputs:
    return inputs(cash={currency: Decimal(amount) for currency, amount in amounts.items()})


def amounts(
    orders: tuple[Order, ...], currency: str, mandate: Mandate = MANDATE
) -> dict[str, tuple[dt.datetime, float]]:
    found: list[Flow] = flows(project(inputs(), orders, mandate), currency)
    return {flow.order_id: (flow.at, pytest.approx(flow.amount, rel=1e-12, abs=1e-9)) for flow in found}


# --- RC-18 ---


def test_the_money_of_a_batch() -> None:
    """Buys at the limit with costs, 95 % of a sale on a margin account, nothing of it on a cash account, legs on both sides."""
    dollars = {
        "mb1-fx-eur-buy": (EARLY, -10_125 * 1.0002),
        "mb1-mba-sell": (LATE, 9_500.0),
        "mb1-mbd-buy": (LATE, -20_000 * 1.00035),
        "mb1-mbl-buy": (LATE, -10_000 * 1.00025),
    }
    assert amounts(batch(), "USD") == dollars
    assert amounts(batch(), "USD", CASH) == {**dollars, "mb1-mba-sell": (LATE, 0.0)}
    assert amounts(batch(), "EUR") == {"mb1-fx-eur-buy": (EARLY, 10_125.0), "mb1-mbh-buy": (MIDDLE, -10_000 * 1.00075)}
    assert amounts(batch(), "JPY") == {}
    (flow,) = flows(project(inputs(), (order("MBD", "BUY", 1, side=None),), MANDATE), "USD")
    assert np.isnan(flow.amount)


def test_a_sweep_waits_for_the_sale_that_it_converts() -> None:
    """Euros of a sale in Frankfurt are converted after it; buys, sales in other currencies and other legs do not matter."""
    sweep = leg("EUR", "SELL", 1000)
    other = leg("EUR", "SELL", 10, client_order_id="z", leg="y", send_until=LATE)
    late = order("MBH", "BUY", 1, send_until=LATE)
    strange = order("MBH", "BUY", 1, side=None, client_order_id="q", leg="q", send_until=LATE)
    orders = (sweep, order("MBG", "SELL", 10), order("MBA", "SELL", 10), late, strange)
    assert amounts(orders, "EUR")["mb1-fx-eur-sell"] == (MIDDLE, -1_250.0)
    assert amounts(orders, "USD")["mb1-fx-eur-sell"] == (MIDDLE, 1_250 * 0.9998)
    assert amounts((sweep, other, late), "EUR")["mb1-fx-eur-sell"] == (EARLY, -1_250.0)
    assert amounts((sweep, other), "EUR")["z"] == (LATE, -12.5)
    assert amounts((replace(sweep, send_until=LATE), order("MBG", "SELL", 10)), "EUR")["mb1-fx-eur-sell"][0] == LATE


@pytest.mark.parametrize(
    ("cash", "mandate", "currency", "hand", "status"),
    [
        ({"USD": "860000"}, MANDATE, "USD", 842_800.0, Status.PASS),
        ({"USD": "-1000"}, MANDATE, "USD", -1_000.0, Status.WARN),
        ({"EUR": "8000"}, MANDATE, "EUR", 10_000.0, Status.PASS),
        ({"EUR": "8000"}, CASH, "EUR", 9_800.0, Status.PASS),
        ({"CHF": "0"}, MANDATE, "CHF", 0.0, Status.PASS),
        ({"CHF": "5"}, MANDATE, "CHF", None, Status.WARN),
        ({"USD": "0.5"}, MANDATE, "USD", 0.49, Status.PASS),
        ({}, MANDATE, "USD", 0.0, Status.PASS),
    ],
)
def test_the_cash_on_hand(
    cash: dict[str, str], mandate: Mandate, currency: str, hand: float | None, status: Status
) -> None:
    """98 % of the base cash; on a margin account other cash in full; a debt in full; an unknown rate is noted."""
    found = answers(funding.cash, with_cash(**cash), (), mandate)[currency]
    assert shows(found, status, 0.0, None if hand is None else hand / 1e6)
    assert bool(found.message) == (status is Status.WARN)


@pytest.mark.parametrize(
    ("cash", "opened", "told", "currency", "hand"),
    [
        ("860000", {"MBD": 100}, {"USD": Decimal(10_100)}, "USD", 842_800 - 10_100 * 1.00035),
        ("860000", {"MBD": 100}, {}, "USD", 842_800 - 10_000 * 1.05 * 1.00035),
        ("860000", {"MBD": 100, "MBB": -50}, {}, "USD", 842_800 - 10_000 * 1.05 * 1.00035),
        ("860000", {"MBD": -100}, {"USD": Decimal(10_100)}, "USD", 842_800.0),
        ("860000", {"MBG": 100}, {}, "USD", 842_800.0),
        ("860000", {"MBG": 100}, {}, "EUR", 0.0),
        ("5000", {"MBD": 100}, {}, "USD", 0.0),
        ("-1000", {"MBD": 100}, {}, "USD", -1_000.0),
    ],
)
def test_what_open_buys_may_still_cost(
    cash: str, opened: dict[str, int], told: dict[str, Decimal], currency: str, hand: float
) -> None:
    """Their limits with costs, else the close and the widest collar of 5 %; they take what is there and make no debt."""
    facts = inputs(cash={"USD": Decimal(cash), "EUR": Decimal(0)}, open_quantity=holding(**opened), open_buys=told)
    found = answers(funding.cash, facts)[currency]
    assert shows(found, Status.PASS if hand >= 0 else Status.WARN, 0.0, hand / 1e6)


def test_what_open_buys_cost_is_not_known_without_the_kind_of_a_name() -> None:
    """A reserve that cannot be computed leaves nothing to spend."""
    facts = inputs(open_quantity=holding(MBD=100), is_fund=np.full(12, float("nan")))
    assert shows(answers(funding.cash, facts)["USD"], Status.WARN, 0.0, None)
    assert shows(answers(funding.cash, facts, BUY)["USD"], Status.SHRINK, 0.020007, None, ("mb1-mbd-buy",), 0.0)


def test_the_worst_wave_counts() -> None:
    """9,800 of dollars: 10,127.025 for a leg in Tokyo's wave, 20,007 more in New York's, where a sale pays 9,500."""
    orders = (*BUY, order("MBH", "BUY", 100), order("MBG", "SELL", 10), leg("EUR", "BUY", "8100"), *SALE)
    need, have = 10_127.025 + 20_007, 9_800 + 9_500
    found = answers(funding.cash, with_cash(USD="10000"), orders)
    assert set(found) == {"USD", "EUR", "mb1-fx-eur-buy"}
    ids = ("mb1-fx-eur-buy", "mb1-mbd-buy", "mb1-mbh-buy")
    assert shows(found["USD"], Status.SHRINK, need / 1e6, have / 1e6, ids, have / need)
    assert shows(found["EUR"], Status.PASS, 0.0100075, 0.010125 + 0.95 * 0.001)
    assert shows(found["mb1-fx-eur-buy"], Status.PASS, 0.010125, 0.0100075 * 1.05)
    found = answers(funding.cash, with_cash(USD="10000"), (orders[1], *orders[3:]))["USD"]
    ids = ("mb1-fx-eur-buy", "mb1-mbh-buy")
    assert shows(found, Status.SHRINK, 0.010127025, 0.0098, ids, 9_800 / 10_127.025)


def test_a_sale_on_a_cash_account_is_no_spending() -> None:
    """It pays for nothing and is never cut for it."""
    found = answers(funding.cash, with_cash(USD="10000"), (*BUY, *SALE), CASH)["USD"]
    assert shows(found, Status.SHRINK, 0.020007, 0.0098, ("mb1-mbd-buy",), 9_800 / 20_007)


def test_a_foreign_buy_without_a_leg_spends_no_dollars() -> None:
    """It is not cut for what dollars lack; one with a leg is."""
    found = answers(funding.cash, with_cash(USD="10000"), (*BUY, order("MBH", "BUY", 100)))["USD"]
    assert shows(found, Status.SHRINK, 0.020007, 0.0098, ("mb1-mbd-buy",), 9_800 / 20_007)


def test_a_little_money_in_is_money_in() -> None:
    """Half a dollar from a leg: nothing is spent in dollars."""
    found = answers(funding.cash, with_cash(USD="10000", EUR="100"), (leg("EUR", "SELL", "0.4"),))
    assert shows(found["USD"], Status.PASS, 0.0, 0.0098)
    assert shows(found["EUR"], Status.PASS, 5e-7, 1.25e-4)
    found = answers(funding.cash, with_cash(USD="10000", EUR="100"), (leg("EUR", "SELL", "0.4"), *BUY))
    have = 9_800 + 0.5 * 0.9998
    assert shows(found["USD"], Status.SHRINK, 0.020007, have / 1e6, ("mb1-mbd-buy",), have / 20_007)


def test_a_leg_without_a_side_moves_nothing() -> None:
    """It waits for no sale and pays for nobody: RC-01 refuses it."""
    orders = (leg("EUR", "BUY", 10, side=None), order("MBG", "SELL", 10))
    assert amounts(orders, "EUR") == {"mb1-fx-eur-buy": (EARLY, 0.0), "mb1-mbg-sell": (MIDDLE, 950.0)}
    assert set(answers(funding.cash, inputs(), orders)) == {"USD", "EUR"}


def test_a_buy_without_a_limit_is_never_paid() -> None:
    """What it costs is not known: nothing of it stays. The wave after it is judged once it is gone."""
    orders = (order("MBD", "BUY", 1, limit_price=None, send_until=EARLY), order("MBF", "BUY", 1))
    found = answers(funding.cash, inputs(), orders)["USD"]
    assert shows(found, Status.SHRINK, None, 0.8428, ("mb1-mbd-buy",), 0.0)


@pytest.mark.parametrize(
    ("euros", "wanted", "allowed"),
    [
        ("0", "8100", 10_007.5 * 1.05),
        ("0", "9000", 10_007.5 * 1.05),
        ("-1000", "9000", 11_257.5 * 1.05),
        ("500", "8100", 10_507.875),
    ],
)
def test_a_leg_pays_for_buys_and_debts(euros: str, wanted: str, allowed: float) -> None:
    """RC-18: a twentieth more than 100 shares at 80 euros with costs, and than what is owed; cash there changes nothing."""
    orders = (order("MBH", "BUY", 100), order("MBG", "SELL", 10), *BUY, leg("EUR", "BUY", wanted))
    found = answers(funding.cash, with_cash(USD="860000", EUR=euros), orders)["mb1-fx-eur-buy"]
    value = 1.25 * float(wanted)
    if value <= allowed:
        assert (shows(found, Status.PASS, value / 1e6, allowed / 1e6), found.message) == (True, "")
    else:
        assert shows(found, Status.SHRINK, value / 1e6, allowed / 1e6, ("mb1-fx-eur-buy",), allowed / value)


def test_a_leg_for_nothing_goes() -> None:
    """RC-18: no buy and no debt in its currency; one whose quantity cannot be read; none is asked of a sale of currency."""
    found = answers(funding.cash, inputs(), (leg("EUR", "BUY", 10), leg("JPY", "SELL", 10)))
    assert set(found) == {"USD", "EUR", "JPY", "mb1-fx-eur-buy"}
    assert shows(found["mb1-fx-eur-buy"], Status.SHRINK, 1.25e-5, 0.0, ("mb1-fx-eur-buy",), 0.0)
    found = answers(funding.cash, inputs(), (leg("EUR", "BUY", "NaN"), order("MBH", "BUY", 1)))["mb1-fx-eur-buy"]
    assert shows(found, Status.SHRINK, None, 0.000100075 * 1.05, ("mb1-fx-eur-buy",), 0.0)


# --- RC-19, 22, 23 ---


@pytest.mark.parametrize(("unsettled", "have"), [("2000", 8_000 + 999.8), ("12000", 999.8)])
def test_settled_cash_and_conversions_pay(unsettled: str, have: float) -> None:
    """RC-19: 100 shares need 10,003.50; 800 euros give 999.80; the sale gives nothing, and what waits makes no debt."""
    waiting = trade(unsettled={"USD": Decimal(unsettled)})
    facts = replace(with_cash(USD="10000", EUR="1000"), trade=waiting)
    orders = (order("MBD", "BUY", 100), leg("EUR", "SELL", 800), *SALE)
    found = answers(account_controls.settlement, facts, orders, CASH)
    assert set(found) == {"USD"}
    assert shows(found["USD"], Status.SHRINK, 0.0100035, have / 1e6, ("mb1-mbd-buy",), have / 10_003.5)
    (lent,) = answers(account_controls.settlement, facts, orders).values()
    assert (shows(lent, Status.PASS, None, None), bool(lent.message)) == (True, True)


def test_a_currency_that_nobody_spends_needs_no_rate() -> None:
    """RC-19: five francs lie there."""
    found = answers(account_controls.settlement, with_cash(USD="100000", CHF="5"), BUY, CASH)
    assert set(found) == {""}
    assert shows(found[""], Status.PASS, None, None)
    found = answers(account_controls.settlement, inputs(), (order("MBD", "BUY", 1, limit_price=None),), CASH)
    assert shows(found["USD"], Status.SHRINK, None, 0.86, ("mb1-mbd-buy",), 0.0)


@pytest.mark.parametrize(
    "waiting", [None, (), {"USD": None}, {"USD": Decimal("NaN")}, {"USD": Decimal(1), "EUR": None}]
)
def test_unsettled_sales_that_cannot_be_read_are_no_zero(waiting: object) -> None:
    """RC-19: it raises, which fails the control."""
    with pytest.raises(TypeError, match="unsettled"):
        answers(account_controls.settlement, inputs(trade=trade(unsettled=waiting)), BUY)


LOSING = (Lot("MBA", Decimal(200), 101.0, 101.0, 0.0, SESSION),)


def washes(orders: tuple[Order, ...], mandate: Mandate = AVOID, /, **changes: object) -> ControlResult:
    same = trade(issuer=tuple("One" if name in ("MBA", "MBD") else name for name in NAMES))
    return answers(account_controls.wash_sale, inputs(book=book_state(**changes), trade=same), orders, mandate)[""]


def test_a_loss_beside_a_buy_in_one_batch() -> None:
    """RC-22: the losing sale is the one that washes, its own conversion and a buy of another issuer are not."""
    orders = (*SALE, *BUY, leg("EUR", "SELL", 1), order("MBF", "BUY", 1))
    assert shows(washes(orders, lots=LOSING), Status.REJECT_ORDER, 1.0, 0.0, ("mb1-mba-sell",), 0.0)
    assert shows(washes(orders, NOTE, lots=LOSING), Status.WARN, 1.0, 0.0, (), 0.0)
    assert shows(washes(orders, MANDATE, lots=LOSING), Status.PASS, 1.0, 0.0, (), 0.0)
    assert shows(washes(SALE, lots=LOSING), Status.PASS, 0.0, 0.0, (), 0.0)
    assert shows(washes(SALE, bought=(("MBD", SESSION),)), Status.REJECT_ORDER, 1.0, 0.0, ("mb1-mba-sell",), 0.0)


def test_a_protective_buy_is_no_exit() -> None:
    """RC-22: only a sale may be forced; a buy after a loss waits, whatever its leg or stop is called."""
    lost = {"sold_at_loss": (("MBD", SESSION - dt.timedelta(days=30)),)}
    hit = (StopHit("MBD", "RC-62", 80.0, 85.0),)
    orders = (order("MBD", "BUY", 10, leg="P"),)
    assert shows(washes(orders, stop_hits=hit, **lost), Status.REJECT_ORDER, 1.0, 0.0, ("mb1-mbd-buy",), 0.0)
    older = {"sold_at_loss": (("MBD", SESSION - dt.timedelta(days=31)),)}
    assert shows(washes(orders, **older), Status.PASS, 0.0, 0.0, (), 0.0)


@pytest.mark.parametrize("unknown", [{"bought": None}, {"sold_at_loss": None}])
def test_sales_go_on_when_nobody_knows_what_was_traded(unknown: dict[str, object]) -> None:
    """RC-22: sales alone are noted, with a buy the control cannot judge."""
    assert shows(washes(SALE, **unknown), Status.WARN, None, None)
    with pytest.raises(TypeError, match="traded lately"):
        washes(BUY, **unknown)


def test_the_margin_that_is_left() -> None:
    """RC-23: 17 % of NAV in shares, a quarter of it bound; at seven times NAV the buys go, a book with sales alone goes on."""
    found = answers(account_controls.intraday_margin, inputs(), batch())
    assert (shows(found["excess"], Status.PASS, 0.9575, 0.0, (), 0.0), found["excess"].headroom) == (
        True,
        pytest.approx(0.9575),
    )
    assert shows(found["round trips"], Status.PASS, 0.0, 0.0, (), 0.0)
    assert [r.unit for r in found.values()] == ["fraction of NAV", "orders"]
    seven = tweaked(MANDATE, "limits.round_trips.maintenance", 7.0)
    found = answers(account_controls.intraday_margin, inputs(), batch(), seven)
    assert shows(found["excess"], Status.REJECT_ORDER, -0.19, 0.0, BUYS, 0.0)
    ten = tweaked(MANDATE, "limits.round_trips.maintenance", 10.0)
    assert shows(
        answers(account_controls.intraday_margin, inputs(), SALE, ten)["excess"], Status.PASS, -0.3, 0.0, (), 0.0
    )
    short = inputs(positions=holding(MBA=-200, MBB=200))
    assert answers(account_controls.intraday_margin, short)["excess"].observed == pytest.approx(0.99)


def test_what_is_opened_and_closed_in_one_session() -> None:
    """RC-23: both sides of one name: the buy goes; both sides of a currency are no round trip; an open sale is none, either."""
    both = (order("MBA", "BUY", 10), *SALE, *BUY)
    found = answers(account_controls.intraday_margin, inputs(), both)["round trips"]
    assert shows(found, Status.REJECT_ORDER, 1.0, 0.0, ("mb1-mba-buy",), 0.0)
    legs = (leg("EUR", "BUY", 10), leg("EUR", "SELL", 10))
    opened = tuple(
        OpenOrder(f"x{n}", name, side, Decimal(1), None, "EUR")
        for n, (name, side) in enumerate((("FX:EUR", Side.BUY), ("MBA", Side.SELL)))
    )
    facts = inputs(trade=trade(open_orders=opened))
    assert shows(
        answers(account_controls.intraday_margin, facts, (*legs, *SALE))["round trips"], Status.PASS, 0.0, 0.0, (), 0.0
    )
