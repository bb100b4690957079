"""RC-66, RC-67, RC-68: every class of difference, what it is called, and whether it is booked, locks its name or halts."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest
from told_account import DAYS, OPEN, D, cutoff, fill, order

from marketbot_assets.book.average_price import average_prices
from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.reconciliation import (
    NOTHING,
    Record,
    adopt_explained,
    averages_of,
    is_clean,
    locked_names,
    reconcile,
)
from marketbot_assets.book.schema import DELTAS, MATCH, RECONCILIATION
from marketbot_assets.ingestion.snapshot import snapshot_frame
from marketbot_resources.heard import Heard, Working
from marketbot_resources.model import (
    AccountEvent,
    AccountReport,
    Bust,
    Execution,
    OpenOrder,
    Order,
    OrderState,
    OrderType,
    Side,
)

CUTOFF = cutoff(DAYS[1])
OURS = Holdings({"MBA": D(100), "MBB": D(50)}, {"USD": D(5000)})
SAME = {"positions": {"MBA": D(100), "MBB": D(50)}, "cash": {"USD": D(5000)}}
INTENTS = {each.client_order_id: each for each in (order("o1"), order("o2", Side.SELL, "40", instrument="MBB"))}
KNOWN = ("MBA", "MBB", "MBC", "MBD")
NAV = 100_000.0


def compare(
    ours: Holdings = OURS,
    *,
    positions: dict[str, Decimal] | None = None,
    cash: dict[str, Decimal] | None = None,
    opened: tuple[OpenOrder, ...] = (),
    fills: tuple[Execution, ...] = (),
    events: tuple[AccountEvent, ...] = (),
    busts: tuple[Bust, ...] = (),
    prices: dict[str, Decimal] | None = None,
    working: tuple[Working, ...] = (),
    late: frozenset[str] = frozenset(),
    withdrawn: frozenset[str] = frozenset(),
    busted: dict[str, Execution] | None = None,
    record: Record = NOTHING,
    orders: dict[str, Order] | None = None,
) -> pd.DataFrame:
    """The book against a report that says the same but for what is given."""
    report = AccountReport(
        CUTOFF, cash or SAME["cash"], SAME["positions"] if positions is None else positions, opened, fills, events,
        "paper", CUTOFF, busts, prices or {},
    )  # fmt: skip
    heard = Heard(fills, events, busts, busted or {}, late, withdrawn)
    snapshot = snapshot_frame(report, CUTOFF, "off", "", (), (), heard, working)
    known = replace(record, orders=INTENTS if orders is None else orders, traded=record.traded or frozenset({"MBC"}))
    frame = reconcile(ours, snapshot, nav=NAV, fx={"USD": 1.0}, known_instruments=KNOWN, record=known)
    RECONCILIATION.pandera_schema.validate(frame)
    return frame


def opened(
    name: str = "o1", *, instrument: str = "MBA", side: Side = Side.BUY, left: str = "100", limit: str = "10"
) -> OpenOrder:
    return OpenOrder(name, instrument, side, D(left), D(limit), "USD")


def works(name: str = "o1", left: str = "100") -> Working:
    return Working(INTENTS[name], OrderState.ACKED, D(left))


def dividend(amount: str, name: str = "MBA", quantity: str = "0", kind: str = "DIVIDEND") -> AccountEvent:
    return AccountEvent(f"{name}-{kind}-{amount}", kind, name, "USD", D(amount), D(quantity), OPEN)


BRACKET = {"o1": replace(INTENTS["o1"], type=OrderType.BRACKET)}
# what differs, (kind, key, class, outcome) of the one row that does
CASES = {
    "a share more at the broker": (
        {"positions": {"MBA": D(101), "MBB": D(50)}},
        ("POSITION", "MBA", "unexplained_position", "break"),
    ),
    "a share less": ({"positions": {"MBA": D(99), "MBB": D(50)}}, ("POSITION", "MBA", "vanished_position", "break")),
    "all of it gone": ({"positions": {"MBB": D(50)}}, ("POSITION", "MBA", "vanished_position", "break")),
    "a name that we never held": (
        {"positions": {**SAME["positions"], "MBC": D(1)}},
        ("POSITION", "MBC", "unexplained_position", "break"),
    ),
    "a name that nobody knows": (
        {"positions": {**SAME["positions"], "MBX": D(1)}},
        ("POSITION", "MBX", "unexplained_position", "break"),
    ),
    "cash beyond the tolerance": ({"cash": {"USD": D("5005.01")}}, ("CASH", "USD", "cash_break", "break")),
    "another currency": ({"cash": {"USD": D(5000), "EUR": D(2)}}, ("CASH", "EUR", "cash_break", "break")),
    "a dividend explains all": ({"cash": {"USD": D(5085)}, "events": (dividend("85"),)}, ("CASH", "USD", "event", "explained")),
    "a dividend explains all of what would be small enough": (
        {"cash": {"USD": D("5000.40")}, "events": (dividend("0.40"),)},
        ("CASH", "USD", "event", "explained"),
    ),
    "a fee and interest explain all": (
        {"cash": {"USD": D(4990)}, "events": (dividend("-12", "", kind="FEE"), dividend("2", "", kind="INTEREST"))},
        ("CASH", "USD", "event", "explained"),
    ),
    "only one of two events would": (
        {"cash": {"USD": D(5085)}, "events": (dividend("85"), dividend("30", "MBB"))},
        ("CASH", "USD", "ambiguous", "break"),
    ),
    "events of another amount": ({"cash": {"USD": D(5085)}, "events": (dividend("60"),)}, ("CASH", "USD", "cash_break", "break")),
    "shares by a split that we do not know": (
        {"positions": {"MBA": D(200), "MBB": D(50)}, "events": (dividend("0", quantity="100", kind="SPLIT"),)},
        ("POSITION", "MBA", "event", "break"),
    ),
    "a fill of ours that is not booked yet": (
        {"positions": {"MBA": D(130), "MBB": D(50)}, "record": Record(unbooked=(fill("e1", quantity="30"),))},
        ("POSITION", "MBA", "missed_fill", "explained"),
    ),
    "two fills, either of which would do": (
        {"positions": {"MBA": D(130), "MBB": D(50)},
         "record": Record(unbooked=(fill("e1", quantity="30"), fill("e2", quantity="30")))},
        ("POSITION", "MBA", "ambiguous", "break"),
    ),
    "a fill or an event would do": (
        {
            "positions": {"MBA": D(130), "MBB": D(50)}, "record": Record(unbooked=(fill("e1", quantity="30"),)),
            "events": (dividend("0", quantity="30", kind="TRANSFER"),),
        },
        ("POSITION", "MBA", "ambiguous", "break"),
    ),
    "an order by hand in a name that we hold": ({"opened": (opened("x"),)}, ("ORDER", "x", "orphan_order", "break")),
    "an order by hand in a name that we may buy": (
        {"opened": (opened("x", instrument="MBC"),)},
        ("ORDER", "x", "orphan_order", "break"),
    ),
    "an order by hand in another name": ({"opened": (opened("x", instrument="MBD"),)}, ("ORDER", "x", "orphan_order", "locked")),
    "an order by hand in a currency": ({"opened": (opened("x", instrument="FX:EUR"),)}, ("ORDER", "x", "orphan_order", "break")),
    "an order of ours that vanished": ({"working": (works(),)}, ("ORDER", "o1", "vanished_order", "locked")),
    "an order that had ended": ({"opened": (opened(),)}, ("ORDER", "o1", "ambiguous", "break")),
    "an order on the other side": (
        {"opened": (opened(side=Side.SELL),), "working": (works(),)},
        ("ORDER", "o1", "orphan_order", "break"),
    ),
    "an order of another size": ({"opened": (opened(left="90"),), "working": (works(),)}, ("ORDER", "o1", "orphan_order", "break")),
    "an order at another limit": (
        {"opened": (opened(limit="10.01"),), "working": (works(),)},
        ("ORDER", "o1", "orphan_order", "break"),
    ),
    "a fill of no order": ({"fills": (fill("e1", "by-hand"),)}, ("FILL", "e1", "unknown_fill", "break")),
    "a fill of another order": ({"fills": (fill("e1", "o2"),)}, ("FILL", "e1", "unknown_fill", "break")),
    "a fill beyond the order": ({"fills": (fill("e1", quantity="101"),)}, ("FILL", "e1", "overfill", "break")),
    "a fill beyond it with an earlier one": (
        {"fills": (fill("e2", quantity="41"),), "record": Record(earlier=(fill("e1", quantity="60"),))},
        ("FILL", "e2", "overfill", "break"),
    ),
    "a fill told late": ({"fills": (fill("e1"),), "late": frozenset({"e1"})}, ("FILL", "e1", "missed_fill", "explained")),
    "a fill withdrawn": ({"fills": (fill("e1"),), "withdrawn": frozenset({"e1"})}, ("FILL", "e1", "ambiguous", "break")),
    "a fill taken back": (
        {"busts": (Bust("e0", "e1", "", OPEN),), "busted": {"e0": fill("e0")}},
        ("FILL", "bust:e0", "bust", "break"),
    ),
    "a fill taken back that we never had": ({"busts": (Bust("e0", "", "", OPEN),)}, ("FILL", "bust:e0", "bust", "break")),
    "another mean price": (
        {"prices": {"MBA": D("10.11")}, "record": Record(averages={"MBA": D(10)})},
        ("PRICE", "MBA", "price_break", "locked"),
    ),
}  # fmt: skip
FINE = {
    "nothing": {},
    "an order that works on both sides": {"opened": (opened(),), "working": (works(),)},
    "what is left after a partial fill": {"opened": (opened(left="70"),), "working": (works(left="70"),)},
    "a bracket's exit under its entry's id": {"opened": (opened(side=Side.SELL),), "orders": BRACKET},
    "a whole fill": {"fills": (fill("e1"),)},
    "two fills that add up": {"fills": (fill("e2", quantity="40"),), "record": Record(earlier=(fill("e1", quantity="60"),))},
    "the same fill told before": {"fills": (fill("e1"),), "record": Record(earlier=(fill("e1"),))},
    "a fill that stands for one taken back": {
        "fills": (fill("e2"),), "record": Record(earlier=()),
    },
    "a mean price with its fees": {"prices": {"MBA": D("10.09")}, "record": Record(averages={"MBA": D(10)})},
    "a mean price that we do not know": {"prices": {"MBA": D(99)}},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_class_of_every_difference(name: str) -> None:
    """One row says what it is; a break is not clean, a lock and what is proven are."""
    given, expected = CASES[name]
    frame = compare(**given)  # type: ignore[arg-type]
    rows = frame[frame["delta"] != MATCH]
    found = list(rows[["kind", "key", "delta", "outcome"]].itertuples(index=False, name=None))
    assert found == [expected]
    assert rows["message"].iloc[0]
    assert is_clean(frame) == (expected[3] != "break")
    assert set(locked_names(frame)) == (set(rows["instrument"]) if expected[3] == "locked" else set())


@pytest.mark.parametrize("name", FINE)
def test_what_is_no_difference(name: str) -> None:
    frame = compare(**FINE[name])  # type: ignore[arg-type]
    assert set(frame["delta"]) == {MATCH}
    assert sorted(frame["key"]) == ["MBA", "MBB", "USD"]


def test_every_class_has_a_case() -> None:
    assert {expected[2] for _, expected in CASES.values()} | {MATCH} == set(DELTAS)


def test_a_split_between_order_and_fill_is_not_judged_here() -> None:
    """Quantities of before and after it are other units: neither overfill nor another size; RC-66 knows the ratio."""
    ours = Holdings({"MBA": D(200), "MBB": D(50)}, OURS.cash)
    frame = compare(
        ours, positions={"MBA": D(200), "MBB": D(50)}, events=(dividend("0", quantity="100", kind="SPLIT"),),
        fills=(fill("e1", quantity="200"),), opened=(opened(left="150", limit="5"),), working=(works(),),
    )  # fmt: skip
    assert set(frame["delta"]) == {MATCH}


def test_a_late_fill_that_leaves_a_difference_proves_nothing() -> None:
    frame = compare(positions={"MBA": D(150), "MBB": D(50)}, fills=(fill("e1"),), late=frozenset({"e1"}))
    told = frame.set_index(["kind", "key"])["delta"]
    assert (told["POSITION", "MBA"], told["FILL", "e1"]) == ("unexplained_position", "ambiguous")


def test_too_many_locks_halt() -> None:
    """Five names may be locked, a tenth of NAV at most; one more of either and all of them are breaks."""
    names = tuple(f"MBZ{n}" for n in range(6))
    orders = tuple(opened(name.lower(), instrument=name) for name in names)
    assert is_clean(compare(opened=orders[:5]))
    assert not is_clean(compare(opened=orders))
    worth = Record(averages={"MBA": D(10)}, values={"MBA": 0.1 * NAV})
    assert is_clean(compare(prices={"MBA": D(20)}, record=worth))
    for value in (0.1001 * NAV, float("nan"), float("inf")):
        frame = compare(prices={"MBA": D(20)}, record=replace(worth, values={"MBA": value}))
        assert not is_clean(frame)
        assert "are locked" in frame.loc[frame["kind"] == "PRICE", "message"].iloc[0]


def test_what_events_explain_is_adopted_once() -> None:
    """The next session begins with the broker's cash; then there is no difference any more. Shares are never adopted."""
    frame = compare(cash={"USD": D(5085)}, events=(dividend("85"),))
    adopted = adopt_explained(OURS, frame)
    assert adopted == Holdings(OURS.shares, {"USD": D(5085)})
    assert set(compare(adopted, cash={"USD": D(5085)})["delta"]) == {MATCH}
    late = compare(fills=(fill("e1"),), late=frozenset({"e1"}))
    assert adopt_explained(OURS, late) == OURS


def test_a_table_of_before_the_classes_stays_readable() -> None:
    """Without class, instrument and mean price: clean or not, nothing locked, no mean price."""
    old = compare().drop(columns=["delta", "instrument", "average"])
    assert is_clean(old)
    assert averages_of(old) == {}
    assert locked_names(old) == {}
    assert adopt_explained(OURS, old) == OURS


BUY, SELL = Side.BUY, Side.SELL
# mean before, fills (side, shares, price), shares held after, mean after
MEANS = {
    "bought from nothing": (None, [(BUY, 100, "10")], 100, "10"),
    "twice from nothing": (None, [(BUY, 100, "10"), (BUY, 300, "12")], 400, "11.5"),
    "more of a known mean": ("10", [(BUY, 100, "13")], 300, "11"),
    "more of an unknown mean": (None, [(BUY, 100, "13")], 300, None),
    "a sale changes nothing": ("10", [(SELL, 50, "99")], 50, "10"),
    "sold out": ("10", [(SELL, 50, "99")], 0, None),
    "sold out and bought anew": ("10", [(SELL, 50, "99"), (BUY, 20, "7")], 20, "7"),
    "nothing happened": ("10", [], 50, "10"),
}


@pytest.mark.parametrize("name", MEANS)
def test_our_mean_price(name: str) -> None:
    before, moves, held, expected = MEANS[name]
    fills = [
        fill(f"e{n}", side=side, quantity=str(shares), price=price) for n, (side, shares, price) in enumerate(moves)
    ]
    known = {} if before is None else {"MBA": D(before)}
    found = average_prices(known, fills, {"MBA": D(held)})
    assert found == ({} if expected is None else {"MBA": D(expected)})
    assert average_prices(known, fills, {"MBA": D(held)}, changed={"MBA"}) == {}


def test_the_mean_price_is_carried_in_the_table() -> None:
    frame = compare(record=Record(averages={"MBA": D(10)}, fills=(fill("e1", quantity="50", price="16"),)))
    assert averages_of(frame) == {"MBA": D(13)}
