"""What the book remembers of its trades: last buys, last losses, sales; and when their cash is there."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from marketbot_assets.book.state import Sale
from marketbot_assets.book.step import opening_state
from marketbot_assets.book.trades import buy_days, last_days, loss_days, sales
from marketbot_assets.portfolio.eligibility import Account, free_cash
from marketbot_assets.portfolio.settlement import settlement_sessions, unsettled
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.model import Execution, Kind, Side

AT = dt.datetime(2018, 12, 11, 15, 0, tzinfo=dt.UTC)
DAY = AT.date()


def fill(
    name: str, side: Side, quantity: str, price: str, at: dt.datetime = AT, fee: str = "1", tax: str = "0"
) -> Execution:
    return Execution(
        f"x-{name}-{side}-{quantity}-{price}", "mb1", Kind.EQUITY, name, side, Decimal(quantity), Decimal(price), "USD",
        Decimal(fee), Decimal(tax), at,
    )  # fmt: skip


def leg() -> Execution:
    return Execution(
        "x-leg", "mb1", Kind.FX, "FX:EUR", Side.SELL, Decimal(5), Decimal("1.1"), "EUR", Decimal(0), Decimal(0), AT
    )


def test_the_newest_day_of_each_name_is_kept_for_a_month() -> None:
    """RC-22: sorted by name; a day 31 days back still counts, one of 32 days does not."""
    before = (("MBA", DAY - dt.timedelta(days=31)), ("MBB", DAY - dt.timedelta(days=32)), ("MBC", DAY))
    days = {"MBC": DAY - dt.timedelta(days=1), "MBD": DAY}
    assert last_days(before, days, DAY) == (("MBA", DAY - dt.timedelta(days=31)), ("MBC", DAY), ("MBD", DAY))


def test_what_is_a_buy_and_what_a_loss() -> None:
    """RC-22: a sale below its entry or of unknown entry loses; a sale at its entry and a conversion do not."""
    fills = (
        fill("MBA", Side.BUY, "1", "9"), fill("MBB", Side.SELL, "1", "9.99"), fill("MBC", Side.SELL, "1", "10"),
        fill("MBD", Side.SELL, "1", "10"), leg(),
    )  # fmt: skip
    assert buy_days(fills) == {"MBA": DAY}
    assert loss_days(fills, {"MBB": 10.0, "MBC": 10.0}) == {"MBB": DAY, "MBD": DAY}


def test_sales_bring_their_price_less_costs() -> None:
    """RC-19: two fills of one instant are one sale; after two weeks it is forgotten."""
    old = Sale("MBZ", AT - dt.timedelta(days=14), "USD", Decimal(5))
    gone = Sale("MBY", AT - dt.timedelta(days=15), "USD", Decimal(5))
    fills = (
        fill("MBA", Side.SELL, "10", "9", tax="0.5"), fill("MBA", Side.SELL, "5", "8"), fill("MBB", Side.BUY, "1", "9"), leg(),
    )  # fmt: skip
    assert sales((old, gone), fills, DAY, "USD") == (Sale("MBA", AT, "USD", Decimal("127.50")), old)


@pytest.mark.parametrize(
    ("mic", "day", "sessions"),
    [("XNYS", "2024-05-28", 1), ("XNAS", "2024-05-24", 2), ("XNYS", "2017-09-05", 2), ("XNYS", "2017-09-01", 3),
     ("XETR", "2024-05-28", 2), ("XLON", "2014-10-06", 2), ("XLON", "2014-10-03", 3)],
)  # fmt: skip
def test_the_cycle_is_that_of_the_day(mic: str, day: str, sessions: int) -> None:
    """RC-19: T+1 in the United States since 2024-05-28, T+2 since 2017-09-05; T+2 in Europe since 2014-10-06."""
    assert settlement_sessions(mic, dt.date.fromisoformat(day)) == sessions


def sale(day: int, month: int = 12, year: int = 2018) -> Sale:
    return Sale("MBA", dt.datetime(year, month, day, 15, 0, tzinfo=dt.UTC), "USD", Decimal(100))


@pytest.mark.parametrize(
    ("sold", "cutoff", "waits"),
    [
        (sale(11), (2018, 12, 11), True),  # T+2: settles on the 13th, buys are for the 12th
        (sale(11), (2018, 12, 12), False),
        (sale(4), (2018, 12, 5), True),  # the 5th was a day of mourning: T+2 is Friday, the 7th, buys are for the 6th
        (sale(4), (2018, 12, 6), False),
        (sale(3, 6, 2024), (2024, 6, 3), False),  # T+1
    ],
)
def test_a_sale_settles_by_sessions(sold: Sale, cutoff: tuple[int, int, int], waits: bool) -> None:
    """RC-19: counted in sessions of the own exchange up to the session that the buys are for."""
    at = dt.datetime(*cutoff, 23, 15, tzinfo=dt.UTC)
    assert unsettled((sold,), {"MBA": "XNYS"}, at) == ({"USD": Decimal(100)} if waits else {})
    assert unsettled((sold,), {}, at) == {"USD": Decimal(100)}


@pytest.mark.parametrize(("kind", "free"), [("margin", "1000"), ("cash", "600")])
def test_a_plan_on_a_cash_account_spends_what_has_settled(kind: str, free: str) -> None:
    """RC-19: what a sale will bring is no cash yet, and no debt either."""
    mandate = parse_mandate(Path(__file__).parents[2].joinpath("mandate.yaml").read_text(encoding="utf-8"))
    mandate = mandate.model_copy(update={"account": mandate.account.model_copy(update={"type": kind})})
    account = Account({}, {}, {"USD": Decimal(1000), "EUR": Decimal(5)}, 1e6, opening_state(DAY, 1e6), {})
    found = free_cash(account, mandate, {"USD": Decimal(400), "EUR": Decimal(9)})
    assert found == {"USD": Decimal(free), "EUR": Decimal(5 if kind == "margin" else 0)}
