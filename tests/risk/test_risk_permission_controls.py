"""Whether an order may exist at all: RC-02, 03, 04, 06, 12, 17, 21, 24, 25, on both sides of every limit."""

import dataclasses
import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import CUTOFF, LISTINGS, MANDATE, NAMES, OPENS, SESSION, batch, inputs, leg, order, trade, tweaked

from marketbot_assets.book.state import StopHit
from marketbot_assets.normalization.near_events import NearEvent
from marketbot_assets.risk import permission_controls
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import ReconciliationBreak, RiskInputs
from marketbot_assets.risk.listing_classes import classes_of
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, Order, Side, Status

ROUND_TRIP = (order("MBD", "BUY", 100), order("MBA", "SELL", 100))


def of(name: str, value: object, field: str) -> dict[str, object]:
    """One fact of one name, all others as they are."""
    values = [value if n == name else v for n, v in zip(NAMES, getattr(trade(), field), strict=True)]
    whole = getattr(trade(), field)
    return {field: np.array(values) if isinstance(whole, np.ndarray) else tuple(values)}


def answers(
    control: str, facts: RiskInputs, orders: tuple[Order, ...] = ROUND_TRIP, mandate: Mandate = MANDATE
) -> list[ControlResult]:
    found = run_controls(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    return [result for result in found if result.control == control]


def status(
    control: str, facts: RiskInputs, orders: tuple[Order, ...] = ROUND_TRIP, mandate: Mandate = MANDATE
) -> Status:
    return max(result.status for result in answers(control, facts, orders, mandate))


def sent(facts: RiskInputs, orders: tuple[Order, ...] = ROUND_TRIP, mandate: Mandate = MANDATE) -> list[str]:
    """Instruments of the approved batch."""
    judged = judge(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    assert judged.verdict == "APPROVED"
    return sorted(o.instrument for o in judged.approved)


BOTH, BUY_GONE, SELL_GONE = ["MBA", "MBD"], ["MBA"], ["MBD"]
TRADABLE = [
    ({}, {}, BOTH),
    (of("MBD", SESSION, "listed_on"), {}, BUY_GONE),  # RC-03: too young
    (of("MBA", SESSION, "listed_on"), {}, BOTH),
    (of("MBA", SESSION + dt.timedelta(days=1), "listed_on"), {}, SELL_GONE),
    ({"ended": frozenset({"MBA"})}, {}, SELL_GONE),
    ({"ending": frozenset({"MBA"})}, {}, BOTH),
    ({"ending": frozenset({"MBD"})}, {}, BUY_GONE),
    ({}, {"quarantined": frozenset({"MBA"})}, SELL_GONE),
]


@pytest.mark.parametrize(("changes", "more", "left"), TRADABLE)
def test_what_cannot_be_traded_is_not_sent(
    changes: dict[str, object], more: dict[str, object], left: list[str]
) -> None:
    """RC-02: no order without a listing on this session and one after it; a listing that is known to end is only sold."""
    assert sent(inputs(trade=trade(**changes), **more)) == left


@pytest.mark.parametrize("word", ["D", "XNYS:D", "Issuer D", "Company D", "MBD"])
def test_a_name_on_the_list_is_neither_bought_nor_sold(word: str) -> None:
    """RC-03: by ticker, exchange and ticker, issuer, name or our own id."""
    mandate = tweaked(MANDATE, "restricted.names", (word,))
    assert sent(inputs(), ROUND_TRIP, mandate) == BUY_GONE
    mandate = tweaked(MANDATE, "restricted.names", (word.replace("D", "A"),))
    assert sent(inputs(), ROUND_TRIP, mandate) == SELL_GONE


@pytest.mark.parametrize("word", ["XNAS:D", "d", "Issuer", ""])
def test_other_words_restrict_nothing(word: str) -> None:
    """RC-03: a listing of another exchange, other letters, a part of a name."""
    assert sent(inputs(), ROUND_TRIP, tweaked(MANDATE, "restricted.names", (word,))) == BOTH


@pytest.mark.parametrize(("days", "left"), [(90, BOTH), (89, BUY_GONE), (0, BUY_GONE)])
def test_a_young_listing_is_not_bought(days: int, left: list[str]) -> None:
    """RC-03: 90 days since the first session; what a spin-off brought may be sold at any age."""
    young = SESSION - dt.timedelta(days=days)
    assert sent(inputs(trade=trade(**of("MBD", young, "listed_on")))) == left
    assert sent(inputs(trade=trade(**of("MBA", young, "listed_on")))) == BOTH


@pytest.mark.parametrize("restricted", [None, "GE", 5])
def test_without_a_list_nothing_is_sent(restricted: object) -> None:
    """RC-03: a list that is missing or no list rejects the batch, with its sales."""
    for path in ("restricted", "restricted.names", "restricted.classes"):
        mandate = tweaked(MANDATE, path, restricted)
        facts = replace(inputs(), mandate_sha256=MANDATE.sha256)
        found = run_controls(facts, ROUND_TRIP, mandate)
        assert max(r.status for r in found if r.control == "RC-03") is Status.REJECT_BATCH


CLASSES = [
    ("ProShares UltraPro QQQ", True, {"leveraged"}),
    ("Direxion Daily Semiconductor Bull 3X Shares", True, {"leveraged"}),
    ("ProShares Short S&P500", True, {"inverse"}),
    ("ProShares UltraShort 20+ Year Treasury", True, {"leveraged", "inverse"}),
    ("iPath S&P 500 VIX Short-Term Futures ETN", True, {"etn"}),
    ("iShares Short-Term Corporate Bond ETF", True, set()),
    ("PIMCO Enhanced Short Maturity Active ETF", True, set()),
    ("JPMorgan Ultra-Short Income ETF", True, set()),
    ("Vanguard S&P 500 ETF", True, set()),
    ("Churchill Capital Acquisition Corp IV", False, {"spac"}),
    ("Short Brothers plc", False, set()),
    ("Bear Stearns Companies", False, set()),
    ("General Electric Company", False, set()),
]


@pytest.mark.parametrize(("name", "is_fund", "expected"), CLASSES)
def test_a_class_is_told_by_the_words_of_a_name(name: str, is_fund: bool, expected: set[str]) -> None:
    """RC-03: names of listings that exist."""
    assert classes_of(name, "XNYS", is_fund=is_fund) == expected
    assert classes_of(name, "OTCM", is_fund=is_fund) == expected | {"otc"}


def test_a_restricted_class_is_not_bought_but_sold() -> None:
    """RC-03: a leveraged fund leaves the book and does not come back; without the class in the list it is an ordinary fund."""
    orders = (order("MBL", "BUY", 100), order("MBK", "SELL", 100))
    for name, left in (("MBL", ["MBK"]), ("MBK", ["MBK", "MBL"])):
        assert sent(inputs(trade=trade(**of(name, "Direxion Daily Bull 3X", "name"))), orders) == left
    loose = tweaked(MANDATE, "restricted.classes", ("inverse",))
    assert sent(inputs(trade=trade(**of("MBL", "Direxion Daily Bull 3X", "name"))), orders, loose) == ["MBK", "MBL"]


CLOSE = OPENS["XNYS"] + dt.timedelta(hours=6)
TICK = dt.timedelta(microseconds=1)
WINDOWS = [
    ({}, BOTH),
    ({"send_until": CLOSE}, BOTH),
    ({"send_until": CLOSE + TICK}, BUY_GONE),
    ({"send_from": CUTOFF - TICK}, BUY_GONE),
    ({"send_until": OPENS["XNYS"] + dt.timedelta(days=1)}, BUY_GONE),
]


@pytest.mark.parametrize(("changes", "left"), WINDOWS)
def test_a_window_ends_in_the_next_session(changes: dict[str, object], left: list[str]) -> None:
    """RC-04: after the cutoff, before the close of the next session of the own exchange."""
    assert sent(inputs(), (order("MBD", "BUY", 100, **changes), order("MBA", "SELL", 100))) == left


def test_no_order_for_a_day_on_which_the_exchange_is_closed() -> None:
    """RC-04: a closure that the user knows of, and an exchange whose session is not known; a leg needs no exchange of its own."""
    day = trade().next_sessions["XNYS"].session
    closed = MANDATE.calendar.model_copy(update={"closures": {"XNYS": (day,)}})
    assert sent(inputs(), (*ROUND_TRIP, order("MBG", "SELL", 100)), tweaked(MANDATE, "calendar", closed)) == ["MBG"]
    known = {mic: found for mic, found in trade().next_sessions.items() if mic != "XNYS"}
    assert sent(inputs(trade=trade(next_sessions=known)), (*ROUND_TRIP, order("MBG", "SELL", 100))) == ["MBG"]
    late = leg("EUR", "BUY", "8100", send_until=CLOSE + TICK)
    assert status("RC-04", inputs(), (order("MBH", "BUY", 100), late)) is Status.REJECT_ORDER
    assert status("RC-04", inputs(), batch()) is Status.PASS


def ulps(limit: float) -> list[tuple[float, bool]]:
    """A unit in the last place below, at, above the limit, and beyond the tolerance of 1e-9."""
    return [(np.nextafter(limit, 0), True), (limit, True), (np.nextafter(limit, 1), True), (limit + 2e-9, False)]


@pytest.mark.parametrize(("apart", "good"), [*ulps(0.02), (-0.03, False), (np.nan, False)])
def test_two_vendors_must_agree_on_a_close(apart: float, good: bool) -> None:
    """RC-06: 2 %; beyond it the name is neither bought nor sold."""
    for name, left in (("MBD", BUY_GONE), ("MBA", SELL_GONE)):
        assert sent(inputs(trade=trade(price_difference={name: apart}))) == (BOTH if good else left)


@pytest.mark.parametrize(("apart", "good"), ulps(0.01))
def test_of_a_fund_vendors_must_agree_more_closely(apart: float, good: bool) -> None:
    """RC-06: 1 % for a fund, noted from half of it on."""
    orders = (order("MBL", "BUY", 100), order("MBA", "SELL", 100))
    assert sent(inputs(trade=trade(price_difference={"MBL": apart})), orders) == (["MBA", "MBL"] if good else ["MBA"])
    for seen, expected in ((0.005, Status.PASS), (0.005 + 2e-9, Status.WARN)):
        assert status("RC-06", inputs(trade=trade(price_difference={"MBL": seen})), orders) is expected


def test_one_vendor_is_said_to_be_one() -> None:
    """RC-06, RC-12, RC-02: what is not checked is said, not passed over."""
    for control, words in (("RC-06", "not checked"), ("RC-12", "no quote"), ("RC-02", "not checked")):
        (result,) = answers(control, inputs())
        assert result.status is Status.PASS
        assert words in result.message


def quote(width: float) -> tuple[float, float]:
    return 100.0 * (1 - width / 2), 100.0 * (1 + width / 2)


@pytest.mark.parametrize(
    ("width", "expected"),
    [(0.0024, Status.PASS), (0.0026, Status.WARN), (0.00499999, Status.WARN), (0.0050001, Status.REJECT_ORDER)],
)
def test_nothing_is_bought_at_a_wide_spread(width: float, expected: Status) -> None:
    """RC-12: 25 and 50 basis points of the mid price; a sale keeps its limit."""
    assert status("RC-12", inputs(trade=trade(quotes={"MBD": quote(width)}))) is expected
    assert status("RC-12", inputs(trade=trade(quotes={"MBA": quote(width)}))) is min(expected, Status.WARN)
    assert sent(inputs(trade=trade(quotes={"MBA": quote(0.2)}))) == BOTH


def test_an_order_has_no_type_but_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """RC-17: shares at a limit, conversions without; a new field of an order, or another schedule, rejects the batch."""
    assert status("RC-17", inputs(), batch()) is Status.PASS
    assert status("RC-17", inputs(), (order("MBD", "BUY", 1, limit_price=None),)) is Status.REJECT_BATCH
    assert status("RC-17", inputs(), (leg("EUR", "BUY", 1, limit_price=Decimal(1)),)) is Status.REJECT_BATCH
    assert status("RC-17", inputs(), batch(), tweaked(MANDATE, "schedule.execute", "market")) is Status.REJECT_BATCH
    assert {field.name for field in dataclasses.fields(Order)} == permission_controls.ORDER_FIELDS
    fewer = permission_controls.ORDER_FIELDS - {"reason"}
    monkeypatch.setattr(permission_controls, "ORDER_FIELDS", fewer)
    assert status("RC-17", inputs(), batch()) is Status.REJECT_BATCH


def open_(name: str, side: Side) -> OpenOrder:
    return OpenOrder("mb1-other", name, side, Decimal(10), Decimal(90), LISTINGS[name][1])


@pytest.mark.parametrize(
    ("name", "side", "left"),
    [("MBD", Side.SELL, BUY_GONE), ("MBD", Side.BUY, BOTH), ("MBA", Side.BUY, SELL_GONE), ("MBC", Side.BUY, BOTH)],
)
def test_nobody_trades_with_himself(name: str, side: Side, left: list[str]) -> None:
    """RC-21: an open order of the other side in the same name; its own side is for RC-13."""
    assert sent(inputs(trade=trade(open_orders=(open_(name, side),)))) == left


def test_a_batch_has_one_side_per_name() -> None:
    """RC-21, RC-23: of both sides of one name in one batch the sale goes."""
    orders = (order("MBA", "BUY", 10), *ROUND_TRIP)
    assert status("RC-21", inputs(), orders) is Status.REJECT_ORDER
    assert status("RC-23", inputs(), orders) is Status.REJECT_ORDER
    judged = judge(inputs(), orders, MANDATE)
    assert [(o.instrument, o.side) for o in judged.approved] == [("MBA", Side.SELL), ("MBD", Side.BUY)]


def event(name: str, *, applied: bool, kind: str = "SPLIT") -> NearEvent:
    return NearEvent(name, kind, SESSION, 2.0, applied)


@pytest.mark.parametrize("kind", ["SPLIT", "RENAME", "MERGER", "DELISTING"])
def test_no_order_meets_an_event_that_is_not_booked(kind: str) -> None:
    """RC-24: an event ahead stops buys and sales of its name; one that is booked stops them while the broker's shares differ."""
    assert sent(inputs(trade=trade(events=(event("MBA", applied=False, kind=kind),)))) == SELL_GONE
    assert sent(inputs(trade=trade(events=(event("MBD", applied=False, kind=kind),)))) == BUY_GONE
    booked = trade(events=(event("MBA", applied=True, kind=kind),))
    assert sent(inputs(trade=booked)) == BOTH
    differs = (ReconciliationBreak("MBA", "100 shares more", False),)
    assert status("RC-24", inputs(trade=booked, breaks=differs)) is Status.REJECT_ORDER
    explained = (ReconciliationBreak("MBA", "the split", True),)
    assert status("RC-24", inputs(trade=booked, breaks=explained)) is Status.PASS


def test_an_exit_that_waits_for_an_event_stops_no_buys() -> None:
    """RC-62 with RC-24: a stop whose name may not be ordered today is due again tomorrow; other names are bought."""
    state = replace(inputs().book, stop_hits=(StopHit("MBA", "RC-62", 80.0, 85.0),))
    facts = inputs(book=state, trade=trade(events=(event("MBA", applied=False),)))
    assert sent(facts) == SELL_GONE


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (0.15, Status.PASS),
        (-0.15, Status.PASS),
        (0.15 + 2e-9, Status.WARN),
        (0.20, Status.WARN),
        (np.nextafter(0.2, 1), Status.WARN),
        (0.20 + 2e-9, Status.REJECT_ORDER),
        (-0.20 - 2e-9, Status.REJECT_ORDER),
        (np.nan, Status.REJECT_ORDER),
    ],
)
def test_a_jump_without_event_is_not_bought(move: float, expected: Status) -> None:
    """RC-24: 15 % is noted, more than 20 % is not bought; an exit after such a day goes on."""
    assert status("RC-24", inputs(trade=trade(**of("MBD", move, "move")))) is expected
    assert status("RC-24", inputs(trade=trade(**of("MBA", move, "move")))) <= Status.WARN
    assert sent(inputs(trade=trade(**of("MBA", move, "move")))) == BOTH


FLOORS = [
    ("adv", 5_000_000.0, True),
    ("adv", 4_999_999.0, False),
    ("history_sessions", 250.0, True),
    ("history_sessions", 249.0, False),
    ("price_level", 5.0, True),
    ("price_level", 4.99, False),
    ("price_level", np.nan, False),
]


@pytest.mark.parametrize(("field", "value", "good"), FLOORS)
def test_nothing_is_bought_below_the_floor(field: str, value: float, good: bool) -> None:
    """RC-25: traded value, age and price by the risk stage's own count; the same name may be sold."""

    def facts(name: str) -> RiskInputs:
        if field == "adv":
            return inputs(adv=np.array([value if n == name else 5e7 for n in NAMES]))
        return inputs(trade=trade(**of(name, value, field)))

    assert status("RC-25", facts("MBD")) is (Status.PASS if good else Status.REJECT_ORDER)
    assert status("RC-25", facts("MBA")) is Status.PASS


@pytest.mark.parametrize(("lot", "good"), [("100", True), ("101", False)])
def test_a_lot_is_not_too_big(lot: str, good: bool) -> None:
    """RC-25: 100 shares at 100 are 1 % of NAV."""
    steps = tuple(Decimal(lot) if n == "MBD" else Decimal(LISTINGS[n][5]) for n in NAMES)
    found = status("RC-25", inputs(quantity_step=steps), (order("MBD", "BUY", lot),))
    assert found is (Status.PASS if good else Status.REJECT_ORDER)


def test_a_cheap_listing_abroad_has_no_floor() -> None:
    """RC-25: the floor on prices is for US listings, London quotes below 5 every day."""
    facts = inputs(trade=trade(**of("MBH", 0.5, "price_level")))
    assert status("RC-25", facts, batch()) is Status.PASS
