"""One step of the book: parts agree with each other, and turnover, build-up and halts are carried."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from marketbot_assets.book.positions import Holdings, Valuation, roll_positions, value_positions
from marketbot_assets.book.protective_exits import exits_due
from marketbot_assets.book.schema import PROTECTIVE_EXITS
from marketbot_assets.book.state import BookState, Rung, StopHit
from marketbot_assets.book.step import opening_state, step_book
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution, Kind, Side

DAYS = decision_sessions("XNYS", dt.date(2018, 10, 1), dt.date(2019, 6, 28))


def fill(side: Side, quantity: int, price: str, name: str = "A", currency: str = "USD", order: str = "o") -> Execution:
    at = dt.datetime(2018, 10, 2, 13, 30, tzinfo=dt.UTC)
    numbers = (Decimal(quantity), Decimal(price), currency, Decimal(0), Decimal(0), at)
    return Execution(f"{order}{name}{side}", order, Kind.EQUITY, name, side, *numbers)


class Book:
    """Holdings and state moved together, as the assets do."""

    def __init__(self, mandate: Mandate, cash: str = "1000000") -> None:
        self.mandate = mandate
        self.holdings = Holdings({}, {"USD": Decimal(cash)})
        self.state = opening_state(DAYS[0], float(cash))
        self.place = 0

    def value(self, close: dict[str, float]) -> Valuation:
        currencies = {name: "GBP" if name == "L" else "USD" for name in self.holdings.shares}
        return value_positions(self.holdings, close, {"GBP": 1.25}, currencies, base_currency="USD")

    def step(self, close: dict[str, float], *fills: Execution, atr: float = 1.0, **facts: object) -> BookState:
        self.place += 1
        self.holdings, _ = roll_positions(self.holdings, fills, (), base_currency="USD", closes_before={})
        usual = {"index_vol_20d": 0.15, "clean": True, "operator_rearm": False, "protective_ids": frozenset()}
        self.state = step_book(
            self.state,
            session=DAYS[self.place],
            valuation=self.value(close),
            fills=fills,
            actions=(),
            close=close,
            atr20=dict.fromkeys(close, atr),
            decision_sessions=DAYS,
            mandate=self.mandate,
            **{**usual, **facts},  # type: ignore[arg-type]
        )
        return self.state


def test_a_book_in_cash_stays_as_it_opened(mandate: Mandate) -> None:
    """Without trades only session, NAV history and turnover move on; the build-up has not begun."""
    book = Book(mandate)
    state = book.step({})
    assert state == replace(
        opening_state(DAYS[1], 1e6),
        nav_history=(1e6, 1e6),
        turnover=(0.0,),
        sessions_in_rung=1,
        sessions_since_step=1,
    )


def test_a_stop_is_hit_blocked_and_exited(mandate: Mandate) -> None:
    """Bought at 100, closes at 84: below 85. The whole lot is due, the name is blocked, the sell is no turnover."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 400, "100"))
    state = book.step({"A": 84.0})
    assert state.stop_hits == (StopHit("A", "RC-62", 84.0, 85.0),)
    assert state.blocked == (("A", DAYS[12]),)
    exits = exits_due(state)
    PROTECTIVE_EXITS.pandera_schema.validate(exits)
    assert exits[["instrument", "quantity", "control"]].to_numpy().tolist() == [["A", Decimal(400), "RC-62"]]
    state = book.step({"A": 86.0}, fill(Side.SELL, 300, "84"))
    assert state.stop_hits == (StopHit("A", "RC-62", 84.0, 85.0),)
    assert exits_due(state)["quantity"].tolist() == [Decimal(100)]
    assert state.turnover[-1] == 0.0
    state = book.step({"A": 86.0}, fill(Side.SELL, 100, "86"))
    assert (state.stop_hits, state.lots, state.sessions_since_build) == ((), (), 0)
    assert state.blocked == (("A", DAYS[13]),)
    PROTECTIVE_EXITS.pandera_schema.validate(exits_due(state))


def test_a_protective_order_that_filled_blocks_its_name(mandate: Mandate) -> None:
    """Sold within the session by the broker's stop, the close above its level: blocked as after a hit, and no turnover."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 400, "100"))
    state = book.step({"A": 99.0}, fill(Side.SELL, 400, "85", order="s"), protective_ids={"s"}, stopped_ids={"s"})
    assert (state.stop_hits, state.lots, state.turnover[-1]) == ((), (), 0.0)
    assert state.blocked == (("A", DAYS[12]),)


def test_turnover_is_half_of_what_was_chosen(mandate: Mandate) -> None:
    """Buys and sells in base currency, halved, over NAV; protective orders are left out; 20 sessions are kept."""
    book = Book(mandate)
    state = book.step({"A": 100.0, "L": 8.0}, fill(Side.BUY, 400, "100"), fill(Side.BUY, 1000, "8", "L", "GBP"))
    assert state.turnover == (pytest.approx(0.5 * (40_000 + 10_000) / 1e6),)
    chosen, cure = fill(Side.SELL, 100, "100", order="x"), fill(Side.SELL, 50, "100", order="y")
    state = book.step({"A": 100.0, "L": 8.0}, chosen, cure, protective_ids={"y"})
    assert state.turnover[-1] == pytest.approx(0.5 * 10_000 / 1e6)
    for _ in range(30):
        state = book.step({"A": 100.0, "L": 8.0})
    assert state.turnover == (0.0,) * 20


def test_sells_to_cash_are_no_turnover(mandate: Mandate) -> None:
    """What the ladder orders does not use up the month's turnover; a buy would."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 9000, "100"))
    state = book.step({"A": 86.0}, atr=3.0)
    assert state.rung is Rung.TO_CASH
    assert book.step({"A": 86.0}, fill(Side.SELL, 5000, "86"), atr=3.0).turnover[-1] == 0.0


def test_a_name_sold_with_its_currency_still_counts(mandate: Mandate) -> None:
    """Nothing in pounds is left, yet the sell of the session is turnover at the session's rate."""
    book = Book(mandate)
    book.step({"L": 8.0}, fill(Side.BUY, 1000, "8", "L", "GBP"))
    book.holdings = Holdings(book.holdings.shares, {"USD": Decimal(990_000), "GBP": Decimal(-8000)})
    state = book.step({"L": 8.0}, fill(Side.SELL, 1000, "8", "L", "GBP"))
    assert book.holdings == Holdings({}, {"USD": Decimal(990_000)})
    assert state.turnover[-1] == pytest.approx(0.5 * 10_000 / 990_000)


def test_the_build_up_is_counted_from_cash(mandate: Mandate) -> None:
    """Sessions since the book last started from cash, not since it was opened."""
    book = Book(mandate)
    seen = [book.step({}).sessions_since_build, book.step({"A": 9.0}, fill(Side.BUY, 5, "9")).sessions_since_build]
    seen.append(book.step({"A": 9.0}).sessions_since_build)
    seen.append(book.step({"A": 9.0}, fill(Side.SELL, 5, "9")).sessions_since_build)
    assert seen == [0, 1, 2, 0]


def test_a_days_loss_halts_until_the_books_are_clean(mandate: Mandate) -> None:
    """-4.5 % on the day: class B; it stays while the reconciliation has breaks and goes with the first clean session."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 9000, "100"))
    state = book.step({"A": 95.0})
    assert state.halt_class == "B"
    assert state.no_buys.startswith("RC-61")
    assert book.step({"A": 95.0}, clean=False).halt_class == "B"
    state = book.step({"A": 95.0})
    assert state.halt_class == ""
    assert "week" in state.no_buys


def test_class_c_covers_everything(mandate: Mandate) -> None:
    """-18 % in a day: HALT class C, not B."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 9000, "100"))
    state = book.step({"A": 80.0})
    assert (state.rung, state.halt_class, state.multiple) == (Rung.HALT, "C", 0.0)
    assert state.risk_reducing_only


def test_a_heavy_name_is_counted(mandate: Mandate) -> None:
    """RC-31 counts sessions above 6 % of NAV."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 700, "100"))
    assert book.step({"A": 100.0}).passive == (("A", 2),)
    assert book.step({"A": 84.5}).passive == ()


def test_sessions_and_lots_must_follow(mandate: Mandate) -> None:
    """A session twice, or lots that do not add up to the positions, stop the book."""
    book = Book(mandate)
    book.step({"A": 100.0}, fill(Side.BUY, 400, "100"))
    book.place -= 1
    with pytest.raises(HaltError, match="session after"):
        book.step({"A": 100.0})
    book.holdings = Holdings({"A": Decimal(399)}, book.holdings.cash)
    with pytest.raises(HaltError, match=r"lots that add up.*A"):
        book.step({"A": 100.0})


def test_a_traded_currency_needs_a_rate(mandate: Mandate) -> None:
    """Turnover of unknown size is not taken as zero."""
    book = Book(mandate)
    with pytest.raises(HaltError, match="rate of CHF"):
        book.step({"A": 1.0}, fill(Side.BUY, 1, "1", "A", "CHF"), fill(Side.SELL, 1, "1", "A", "CHF", order="z"))


def test_opening_needs_money() -> None:
    """A book cannot open on nothing."""
    for nav in (0.0, float("nan")):
        with pytest.raises(HaltError, match="open the book"):
            opening_state(DAYS[0], nav)


def test_an_exit_needs_its_lot() -> None:
    """A hit without a lot is a contradiction, not an order of zero."""
    state = replace(opening_state(DAYS[0], 1e6), stop_hits=(StopHit("A", "RC-62", 1.0, 2.0),))
    with pytest.raises(HaltError, match="lot of A"):
        exits_due(state)
