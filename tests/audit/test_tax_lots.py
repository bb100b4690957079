"""Tax lots: the tax offices' own examples, corporate actions by hand, and slow ledgers that keep every single share."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tax_world import ONE, START, D, action, day, slow_fifo, told, trade

from marketbot_assets.audit.tax_lots import METHODS, LotBook
from marketbot_assets.audit.tax_matching import matches
from marketbot_assets.audit.tax_moves import Move, Opening, Rate, by_day, shared
from marketbot_assets.audit.tax_rows import is_long
from marketbot_resources.errors import HaltError

UK = "section-104"


def uk(moves: list[Move]) -> LotBook:
    joined = by_day(moves)
    return LotBook("USD", UK, matches=matches(joined)).run(joined)


# The tax offices' examples


def test_hmrc_helpsheet_284_example_3() -> None:
    """HS284 example 3, Lobster plc: a pool of 6,280 for 1,500 shares; gains of 329 and 300 in whole pounds."""
    book = uk(
        [
            trade("a", "BUY", dt.date(2015, 4, 1), 1000, 4000, 150),
            trade("b", "BUY", dt.date(2018, 9, 1), 500, 2050, 80),
            trade("c", "SELL", dt.date(2023, 5, 1), 700, 3360, 100),
            trade("d", "SELL", dt.date(2024, 2, 1), 400, 2080, 105),
        ]
    )
    assert told(book) == [
        ("", 700, D(3260), D("2930.67"), D("329.33")),
        ("", 400, D(1975), D("1674.66"), D("300.34")),
    ]
    assert [lot.cost for lot in book.lots["X"]] == [D("1674.67")]


def test_hmrc_helpsheet_284_example_2() -> None:
    """HS284 example 2, Mesopotamia plc: 500 of 4,000 sold are matched with the buy 12 days later, a loss of 100."""
    book = uk(
        [
            trade("a", "BUY", dt.date(2020, 3, 1), 9500, 9500),
            trade("b", "SELL", dt.date(2020, 8, 30), 4000, 6000),
            trade("c", "BUY", dt.date(2020, 9, 11), 500, 850),
        ]
    )
    assert told(book) == [("c", 500, D(750), D(850), D(-100)), ("", 3500, D(5250), D(3500), D(1750))]
    assert book.held() == {"X": 6000}
    assert [one.matched for one in book.disposals] == ["bought within 30 days after", "average of the pool"]


@pytest.mark.parametrize(("gap", "cost"), [(0, 30), (1, 30), (30, 30), (31, 10)])
def test_section_104_window(gap: int, cost: int) -> None:
    """TCGA 1992 s105, s106A(5): the same day and the 30 days after it; on day 31 the pool's cost counts."""
    book = uk(
        [
            trade("a", "BUY", START, 10, 100),
            trade("b", "SELL", day(100), 1, 50),
            trade("c", "BUY", day(100 + gap), 1, 30),
        ]
    )
    assert [one.lot.cost for one in book.disposals] == [cost]


def test_section_104_same_day_goes_before_thirty_days() -> None:
    """Two sales and a buy: the sale of the buy's own day has the first choice, although the other sale is older."""
    book = uk(
        [
            trade("a", "BUY", START, 10, 100),
            trade("b", "SELL", day(100), 2, 40),
            trade("c", "SELL", day(110), 2, 60),
            trade("d", "BUY", day(110), 3, 90),
        ]
    )
    assert told(book) == [
        ("d", 1, D(20), D(30), D(-10)),
        ("", 1, D(20), D(10), D(10)),
        ("d", 2, D(60), D(60), D(0)),
    ]


def test_section_104_counts_a_split_between_sale_and_buy() -> None:
    """10 sold before a 3 for 1 split are matched with 30 bought after it; 20 bought match 20/3 of the old ones."""
    moves: list[Move] = [
        trade("a", "BUY", START, 100, 1000),
        trade("b", "SELL", day(100), 10, 90),
        action("SPLIT", day(105), 90, ratio=D(3), received=D(270)),
        trade("c", "BUY", day(110), 30, 120),
    ]
    book = uk(moves)
    assert told(book) == [("c", 10, D(90), D(120), D(-30))]
    assert book.held() == {"X": 300 - 30 + 30}


def test_a_split_between_two_buys_of_a_day_keeps_them_apart() -> None:
    """4 bought before a 3 for 1 split and 3 after it, on one day, are 15 shares that cost 30."""
    split = action("SPLIT", START, 4, ratio=D(3), received=D(12))
    book = uk([trade("a", "BUY", START, 4, 24), split, trade("b", "BUY", START, 3, 6)])
    assert book.held() == {"X": 15}
    assert [(lot.quantity, lot.cost) for lot in book.lots["X"]] == [(12, 24), (3, 6)]


def test_a_split_between_a_buy_and_a_sale_of_a_day() -> None:
    """1 bought, 3 for 1, 3 sold and 3 bought, all on one day: the sale takes the first buy, the second one stays."""
    split = action("SPLIT", START, 1, ratio=D(3), received=D(3))
    book = uk([trade("a", "BUY", START, 1, 9), split, trade("b", "SELL", START, 3, 9), trade("c", "BUY", START, 3, 6)])
    assert (book.held(), told(book)) == ({"X": 3}, [("a", 3, D(9), D(9), D(0))])


def wash(moves: list[Move]) -> LotBook:
    return LotBook("USD", "fifo", wash_days=30).run(moves)


@pytest.mark.parametrize(
    ("cost", "sold", "bought", "basis"),
    [(1000, 750, 800, 1050), (100, 80, 90, 110), (100, 80, 70, 90)],
    ids=["Publication 550", "1.1091-2 example 1", "1.1091-2 example 2"],
)
def test_irs_basis_of_the_replacement(cost: int, sold: int, bought: int, basis: int) -> None:
    """IRS Publication 550 and Treasury regulation 1.1091-2: no loss is deducted, the new shares' basis takes it in."""
    book = wash(
        [
            trade("a", "BUY", START, 100, cost),
            trade("b", "SELL", day(200), 100, sold),
            trade("c", "BUY", day(217), 100, bought),
        ]
    )
    (loss,) = book.disposals
    assert (loss.gain_base, loss.disallowed_base, loss.replaced_by) == (sold - cost, cost - sold, ["c"])
    (lot,) = book.lots["X"]
    assert lot.cost_base is not None
    assert lot.cost_base + lot.carried_base == basis
    assert lot.holding_from == day(217 - 200)


def test_irs_more_sold_than_bought() -> None:
    """Publication 550: 100 sold at a loss of 1,000, 75 bought in the 30 days before: 750 are lost, 250 deducted."""
    book = wash(
        [
            trade("a", "BUY", dt.date(2009, 9, 24), 100, 5000),
            trade("b", "BUY", dt.date(2009, 12, 18), 50, 2750),
            trade("c", "BUY", dt.date(2009, 12, 28), 25, 1125),
            trade("d", "SELL", dt.date(2010, 1, 7), 100, 4000),
        ]
    )
    (loss,) = book.disposals
    assert (loss.gain_base, loss.disallowed_base, loss.replaced_by) == (-1000, 750, ["b", "c"])
    assert [lot.carried_base for lot in book.lots["X"]] == [500, 250]


def test_irs_rest_of_the_same_lot_replaces_nothing() -> None:
    """Revenue Ruling 56-602: half of one lot sold at a loss 19 days later; what is left is no replacement."""
    book = wash([trade("a", "BUY", START, 200, 2000), trade("b", "SELL", day(19), 100, 900)])
    assert [one.disallowed_base for one in book.disposals] == [0]


@pytest.mark.parametrize(("gap", "lost"), [(-31, 0), (-30, 10), (30, 10), (31, 0)])
def test_wash_window(gap: int, lost: int) -> None:
    """26 USC 1091(a): 30 days before and 30 days after the sale, and no day more."""
    moves: list[Move] = [trade("a", "BUY", START, 10, 100), trade("b", "SELL", day(200), 10, 90)]
    moves.insert(1 if gap < 0 else 2, trade("c", "BUY", day(200 + gap), 10, 80))
    assert [one.disallowed_base for one in wash(moves).disposals] == [lost]


def test_wash_in_two_chains_and_over_a_split() -> None:
    """A loss moves on twice; a 2 for 1 split in between makes 20 new shares replace 10 old ones."""
    moves: list[Move] = [
        trade("a", "BUY", START, 10, 100),
        trade("b", "SELL", day(100), 10, 60),
        action("SPLIT", day(105), 0, ratio=D(2), received=D(0)),
        trade("c", "BUY", day(110), 20, 80),
        trade("d", "SELL", day(120), 20, 70),
        trade("e", "BUY", day(130), 30, 90),
    ]
    book = wash(moves)
    assert [(one.gain_base, one.disallowed_base) for one in book.disposals] == [(-40, 40), (-50, 50)]
    assert [(lot.quantity, lot.carried_base) for lot in book.lots["X"]] == [(20, 50), (10, 0)]


@pytest.mark.parametrize(
    ("bought", "sold", "long"),
    [
        (dt.date(2008, 2, 6), dt.date(2009, 2, 6), False),  # Publication 550's own example
        (dt.date(2008, 2, 6), dt.date(2009, 2, 7), True),
        (dt.date(2020, 2, 28), dt.date(2021, 2, 28), False),
        (dt.date(2020, 2, 28), dt.date(2021, 3, 1), True),
        (dt.date(2019, 2, 28), dt.date(2020, 2, 29), False),
        (dt.date(2019, 2, 28), dt.date(2020, 3, 1), True),
    ],
    ids=str,
)
def test_more_than_a_year(bought: dt.date, sold: dt.date, long: bool) -> None:
    """IRS Publication 550, holding period: it begins on the day after; leap days by hand."""
    assert is_long(bought, sold) is long


# Methods and corporate actions, by hand


def test_fifo_and_average() -> None:
    """10 at 10.00 and 10 at 20.00 with a fee of 1 each; 15 sold for 30.00 less 3: oldest first, or at 15.10."""
    moves: list[Move] = [
        trade("a", "BUY", START, 10, 100, 1),
        trade("b", "BUY", day(1), 10, 200, 1),
        trade("c", "SELL", day(2), 15, 450, 3),
    ]
    assert told(LotBook("USD", "fifo").run(moves)) == [
        ("a", 10, D(298), D(101), D(197)),
        ("b", 5, D(149), D("100.50"), D("48.50")),
    ]
    assert told(LotBook("USD", "average").run(moves)) == [
        ("a", 10, D(298), D(151), D(147)),
        ("b", 5, D(149), D("75.50"), D("73.50")),
    ]


def test_base_currency_at_each_day() -> None:
    """Bought at 1.10 and sold at 1.20 for the same price: no gain in the currency, 10 % less 1/11 in base."""
    book = LotBook("USD", "fifo").run(
        [
            trade("a", "BUY", START, 1, 100, rate=Rate(D("1.1"), START)),
            trade("b", "SELL", day(1), 1, 100, rate=Rate(D("1.2"), day(1))),
        ]
    )
    (one,) = book.disposals
    assert (one.gain, one.gain_base, one.rate_on, one.lot.rate_on) == (0, D("10.00"), day(1), START)


def test_unknown_rate_is_no_rate() -> None:
    """A day without a fixing before it: the gain in base currency is unknown, not the amount at 1."""
    book = LotBook("USD", "fifo").run(
        [trade("a", "BUY", START, 1, 100, rate=Rate(None, None)), trade("b", "SELL", day(1), 1, 110)]
    )
    assert (book.disposals[0].gain, book.disposals[0].gain_base) == (10, None)


@pytest.mark.parametrize("method", METHODS)
def test_basis_of_an_opening_is_unknown_never_zero(method: str) -> None:
    """Shares held before the first session: no cost, no gain, whatever the method; a pool with them has no cost either."""
    opening = Opening("X", START, D(10), "USD", D(50), D(50))
    moves: list[Move] = [opening, trade("a", "BUY", day(1), 10, 100), trade("b", "SELL", day(60), 15, 300)]
    book = LotBook("USD", method).run(moves)
    first = book.disposals[0]
    assert (first.lot.cost, first.gain, first.lot.cost_base, first.gain_base) == (None, None, None, None)
    known = [one.lot.cost for one in book.disposals[1:]]
    assert known == ([50] if method == "fifo" else [] if method == UK else [None])
    valued = LotBook("USD", method, at_value=True).run(moves)
    assert sum(one.lot.cost or 0 for one in valued.disposals) == (100 if method == "fifo" else D("112.50"))


def test_split_pays_the_fraction() -> None:
    """7 shares, 3 for 2: 10.5; the half share goes for 6.00 and takes 3.33 of 70.00 with it."""
    moves: list[Move] = [
        trade("a", "BUY", START, 7, 70),
        action("SPLIT", day(1), 7, ratio=D("1.5"), received=D(10), in_lieu=D("6.00")),
    ]
    book = LotBook("USD", "fifo").run(moves)
    assert told(book) == [("a", D("0.5"), D(6), D("3.33"), D("2.67"))]
    (lot,) = book.lots["X"]
    assert (lot.quantity, lot.cost, lot.acquired_on) == (10, D("66.67"), START)


def test_spin_off_shares_the_basis_by_value() -> None:
    """A fifth of the value goes to the new shares, with the old date; of 2.5 new shares the half goes for cash."""
    moves: list[Move] = [
        trade("a", "BUY", START, 10, 100),
        action(
            "SPIN_OFF",
            day(9),
            10,
            ratio=D("0.25"),
            received=D(2),
            other="Y",
            in_lieu=D(5),
            part_moved=D("0.2"),
        ),
    ]
    book = LotBook("USD", "fifo").run(moves)
    assert told(book) == [("a", D("0.5"), D(5), D(4), D(1))]
    (old,), (new,) = book.lots["X"], book.lots["Y"]
    assert (old.quantity, old.cost, new.quantity, new.cost, new.acquired_on) == (10, 80, 2, 16, START)


def test_spin_off_of_unknown_value_leaves_both_unknown() -> None:
    """Nobody knows how much of the basis went over."""
    spin = action("SPIN_OFF", day(9), 10, ratio=D(1), received=D(10), other="Y")
    book = LotBook("USD", "fifo").run([trade("a", "BUY", START, 10, 100), spin])
    assert [lot.cost for name in ("X", "Y") for lot in book.lots[name]] == [None, None]


def test_merger_for_shares_and_cash() -> None:
    """A quarter of the value comes in cash: it disposes of a quarter of the basis; the rest goes over with the old date."""
    moves: list[Move] = [
        trade("a", "BUY", START, 10, 100),
        action("MERGER", day(9), 10, cash=D(50), ratio=D(2), received=D(20), other="Y", part_moved=D("0.75")),
    ]
    book = LotBook("USD", "fifo").run(moves)
    assert [(one.event, one.proceeds, one.lot.cost, one.gain) for one in book.disposals] == [("MERGER", 50, 25, 25)]
    (new,) = book.lots["Y"]
    assert (new.quantity, new.cost, new.acquired_on, book.held()) == (20, 75, START, {"Y": 20})


def test_shares_received_go_first_by_their_old_date() -> None:
    """Y bought on day 5; X of day 0 becomes Y on day 9 and goes first. Paid in euros, a cost in dollars gives no gain in euros."""
    merger = action("MERGER", day(9), 10, ratio=D(1), received=D(10), other="Y", part_moved=D(1))
    own = replace(trade("b", "BUY", day(5), 10, 50), instrument="Y")
    sale = replace(trade("c", "SELL", day(20), 10, 120), instrument="Y", currency="EUR")
    book = LotBook("USD", "fifo").run([trade("a", "BUY", START, 10, 100), own, merger, sale])
    (one,) = book.disposals
    assert (one.lot.executions, one.gain, one.gain_base) == (("a",), None, D(20))


def test_spin_off_takes_its_part_of_a_carried_loss() -> None:
    """A loss of 40 carried by 10 shares: a fifth of it goes over, 8 and 32, and none is lost."""
    spin = action("SPIN_OFF", day(120), 10, ratio=D(1), received=D(10), other="Y", part_moved=D("0.2"))
    sale = trade("b", "SELL", day(100), 10, 60)
    book = wash([trade("a", "BUY", START, 10, 100), sale, trade("c", "BUY", day(110), 10, 50), spin])
    assert [lot.carried_base for name in ("X", "Y") for lot in book.lots[name]] == [32, 8]


@pytest.mark.parametrize(("kind", "cash", "gain"), [("DELISTING", 0, -100), ("MERGER", 130, 30)])
def test_end_for_cash(kind: str, cash: int, gain: int) -> None:
    """Worthless shares are a loss of all; a takeover for cash is a sale."""
    book = LotBook("USD", "fifo").run([trade("a", "BUY", START, 10, 100), action(kind, day(9), 10, cash=D(cash))])
    assert [(one.event, one.gain) for one in book.disposals] == [(kind, gain)]
    assert book.held() == {}


def test_dividends_are_not_in_the_gains() -> None:
    """Ordinary and special dividends stand in their own table."""
    kinds = ("CASH_DIVIDEND", "SPECIAL_DIVIDEND")
    paid = [action(kind, day(9), 10, cash=D(7)) for kind in kinds]
    book = LotBook("USD", "fifo").run([trade("a", "BUY", START, 10, 100), *paid])
    assert [(one.happening.kind, one.amount_base) for one in book.dividends] == [(kind, 7) for kind in kinds]
    assert book.disposals == []


def test_more_sold_than_held_is_refused() -> None:
    """No lot, no row."""
    with pytest.raises(HaltError, match="expected lots of 11 shares"):
        LotBook("USD", "fifo").run([trade("a", "BUY", START, 10, 100), trade("b", "SELL", day(1), 11, 100)])


# Slow ledgers


@st.composite
def trades(draw: st.DrawFn) -> list[tuple[str, str, int, int, int]]:
    """(name, side, day, shares, price in cents), oldest first, never short."""
    found, held, on = [], 0, 0
    for n in range(draw(st.integers(2, 12))):
        on += draw(st.sampled_from([0, 1, 5, 16, 29, 31]))
        side = draw(st.sampled_from(["BUY", "SELL"])) if held else "BUY"
        count = draw(st.integers(1, held if side == "SELL" else 9))
        held += count if side == "BUY" else -count
        found.append((f"t{n}", side, on, count, draw(st.integers(900, 1100))))
    return found


def as_moves(found: list[tuple[str, str, int, int, int]]) -> list[Move]:
    return [
        trade(name, side, day(on), count, D(count * price) / 100, rate=ONE) for name, side, on, count, price in found
    ]


@given(trades(), st.sampled_from([None, 30]))
@settings(max_examples=80)
def test_fifo_and_wash_sales_are_those_of_single_shares(
    found: list[tuple[str, str, int, int, int]], wash_days: int | None
) -> None:
    """Per sale and lot: shares, cost, carried and disallowed losses to the cent as when every share is kept on its own."""
    slow: dict[tuple[str, str], list[int]] = {}
    for one in slow_fifo(found, wash_days):
        sums = slow.setdefault((one.sale, one.share.name), [0, 0, 0, 0])
        for n, number in enumerate((1, one.share.cost, one.share.carried, one.disallowed)):
            sums[n] += number
    ours: dict[tuple[str, str], list[Decimal]] = {}
    for row in LotBook("USD", "fifo", wash_days=wash_days).run(as_moves(found)).disposals:
        sums_ours = ours.setdefault((row.references[0], row.lot.executions[0]), [D(0)] * 4)
        numbers = (
            row.lot.quantity,
            (row.lot.cost or D(-1)) * 100,
            row.lot.carried_base * 100,
            row.disallowed_base * 100,
        )
        for n, number in enumerate(numbers):
            sums_ours[n] += number
    assert {key: [int(n) for n in sums] for key, sums in ours.items()} == slow


@given(trades(), st.sampled_from(METHODS), st.lists(st.integers(0, 30), max_size=3))
@settings(max_examples=80)
def test_no_cent_is_lost(found: list[tuple[str, str, int, int, int]], method: str, splits: list[int]) -> None:
    """Costs of all rows and open lots are what was paid, proceeds what was got, shares what is held; splits change no cost."""
    moves, held, factor = [], 0, 1
    for n, (name, side, on, count, price) in enumerate(found):
        if n in splits and held:
            moves.append(action("SPLIT", day(on), held, ratio=D(3), received=D(held * 3)))
            factor, held = factor * 3, held * 3
        shares = count * factor
        held += shares if side == "BUY" else -shares
        moves.append(trade(name, side, day(on), shares, D(count * price) / 100, D("0.37")))
    book = uk(moves) if method == UK else LotBook("USD", method).run(moves)
    bought = [move.net for move in moves if getattr(move, "side", "") == "BUY"]
    sold = [move.net for move in moves if getattr(move, "side", "") == "SELL"]
    lots = [*(one.lot for one in book.disposals), *(lot for own in book.lots.values() for lot in own)]
    assert sum(lot.cost or 0 for lot in lots) == sum(bought)
    assert sum(lot.cost_base or 0 for lot in lots) == sum(bought)
    assert sum(one.proceeds for one in book.disposals) == sum(sold)
    assert sum(book.held().values()) == held


def slow_pool(found: list[tuple[str, str, int, int, int]]) -> dict[str, Fraction]:
    """Section 104 by the text of the law, on whole days: day of sale -> cost of what was sold, in cents."""
    buys: dict[int, list[Fraction]] = {}
    sales: dict[int, int] = {}
    for _, side, on, count, price in found:
        if side == "BUY":
            own = buys.setdefault(on, [Fraction(0), Fraction(0)])
            own[0] += count
            own[1] += count * price
        else:
            sales[on] = sales.get(on, 0) + count
    cost: dict[int, Fraction] = dict.fromkeys(sales, Fraction(0))
    each = {on: own[1] / own[0] for on, own in buys.items()}
    for window in (range(1), range(1, 31)):
        for on in sorted(sales):
            for gap in window:
                own = buys.get(on + gap, [Fraction(0), Fraction(0)])
                shares = min(Fraction(sales[on]), own[0])
                if shares:
                    sales[on] -= int(shares)
                    own[0] -= shares
                    cost[on] += shares * each[on + gap]
    pool, paid = Fraction(0), Fraction(0)
    for on in sorted({*buys, *sales}):
        if on in buys:
            pool, paid = pool + buys[on][0], paid + buys[on][0] * each[on]
        if sales.get(on):
            part = paid * sales[on] / pool
            cost[on], pool, paid = cost[on] + part, pool - sales[on], paid - part
    return {str(day(on)): amount for on, amount in cost.items()}


@given(trades())
@settings(max_examples=80)
def test_section_104_is_the_law_on_whole_days(found: list[tuple[str, str, int, int, int]]) -> None:
    """The cost of each day's sales, within a cent per row that was rounded."""
    book, expected = uk(as_moves(found)), slow_pool(found)
    ours: dict[str, Decimal] = {}
    for row in book.disposals:
        ours[str(row.on)] = ours.get(str(row.on), D(0)) + (row.lot.cost or D(-1)) * 100
    assert set(ours) == set(expected)
    assert all(abs(Fraction(ours[on]) - expected[on]) <= len(book.disposals) + len(found) for on in expected)


@given(st.integers(-(10**6), 10**6), st.lists(st.integers(1, 10**4), min_size=1, max_size=8))
@settings(max_examples=60)
def test_shares_of_an_amount_add_up(cents: int, parts: list[int]) -> None:
    """Each part is the exact share within a cent per step, the sum is exact."""
    amount = D(cents) / 100
    found = shared(amount, [D(part) for part in parts], "USD")
    assert sum(found) == amount
    exact = [Fraction(cents, 100) * part / sum(parts) for part in parts]
    assert all(abs(Fraction(own) - want) <= Fraction(len(parts), 100) for own, want in zip(found, exact, strict=True))
