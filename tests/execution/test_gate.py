"""The last-line gate: every ceiling at its boundary, every fact missing or senseless, and it never raises."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.execution.gate import faults
from marketbot_assets.execution.gate_facts import GateFacts
from marketbot_assets.execution.gate_orders import place
from marketbot_resources.model import Kind, OpenOrder, Order, Side, batch_sha256

SESSION = dt.date(2018, 12, 11)
NOW = dt.datetime(2018, 12, 11, 23, 0, tzinfo=dt.UTC)
NAMES = frozenset(f"MB{n}" for n in range(300))
SECOND = dt.timedelta(seconds=1)


def order(number: int = 1, **changes: object) -> Order:
    """100 shares at a limit of 101, last close 100: 1.01 % of a NAV of a million."""
    facts: dict[str, object] = {
        "client_order_id": f"mb1-{number:03d}",
        "session": SESSION,
        "batch_no": 1,
        "leg": "T",
        "kind": Kind.EQUITY,
        "instrument": f"MB{number}",
        "mic": "XNYS",
        "side": Side.BUY,
        "quantity": Decimal(100),
        "limit_price": Decimal(101),
        "currency": "USD",
        "send_from": NOW - dt.timedelta(minutes=5),
        "send_until": NOW + dt.timedelta(hours=12),
        "reason": "test",
    }
    return Order(**{**facts, **changes})  # type: ignore[arg-type]


def sell(number: int = 1, shares: str = "100", **changes: object) -> Order:
    return order(number, side=Side.SELL, quantity=Decimal(shares), limit_price=Decimal(99), **changes)


def leg(amount: str, side: Side = Side.BUY, currency: str = "EUR", **changes: object) -> Order:
    facts: dict[str, object] = {
        "leg": "F",
        "kind": Kind.FX,
        "instrument": f"FX:{currency}",
        "mic": "",
        "currency": currency,
    }
    return order(900, **{**facts, "side": side, "quantity": Decimal(amount), "limit_price": None, **changes})


def facts(*orders: Order, **changes: Any) -> GateFacts:
    try:
        digest = batch_sha256(orders)
    except (AttributeError, TypeError):
        digest = "none"
    shares = {name: Decimal(10_000) for name in sorted(NAMES)}
    known: dict[str, Any] = {
        "session": SESSION,
        "now": NOW,
        "verdict": "APPROVED",
        "approved_sha256": digest,
        "frozen_sha256": digest,
        "halt_status": "off",
        "nav": 1_000_000.0,
        "reference_price": dict.fromkeys(NAMES, 100.0),
        "fx": {"USD": 1.0, "EUR": 1.25, "GBP": 1.5},
        "price_age": {**dict.fromkeys(NAMES, 0.0), "FX:EUR": 0.0, "FX:GBP": 1.0},
        "decided_positions": shares,
        "broker_positions": dict(shares),
        "open_orders": (),
        "already_sent": frozenset(),
        "known_instruments": NAMES,
        "environment": "paper",
        "broker_at": NOW,
    }
    return GateFacts(**{**known, **changes})


def ask(*orders: Order, **changes: Any) -> tuple[str, ...]:
    return faults(orders, facts(*orders, **changes))


def held(**shares: int) -> dict[str, Any]:
    """The broker's positions and those decided upon."""
    return {
        which: {name: Decimal(n) for name, n in shares.items()} for which in ("broker_positions", "decided_positions")
    }


def open_order(**changes: Any) -> OpenOrder:
    known = {"client_order_id": "mb1-x", "instrument": "MB9", "side": Side.SELL, "remaining": Decimal(10)}
    return OpenOrder(**{**known, "limit_price": Decimal(90), "currency": "USD", **changes})


def many(count: int, build: Callable[..., Order], **changes: object) -> tuple[Order, ...]:
    return tuple(build(number, **changes) for number in range(count))


def test_a_sound_batch_may_be_sent() -> None:
    """Buys, sells, legs and an empty batch pass."""
    assert ask(order(1), sell(2), leg("1000"), leg("1000", Side.SELL, "GBP", client_order_id="mb1-901")) == ()
    assert ask() == ()


BOUNDARIES: list[tuple[str, tuple[Order, ...], dict[str, Any], str]] = [
    # what, orders, facts, a word of the fault ("" = passes). NAV a million, last close 100
    ("200 orders", many(200, sell, shares="1"), {}, ""),
    ("201 orders", many(201, sell, shares="1"), {}, "201 orders"),
    ("value just inside", (order(limit_price=Decimal("100"), quantity=Decimal("699.99")),), {}, ""),
    ("value at 7 %", (order(limit_price=Decimal("100"), quantity=Decimal(700)),), {}, ""),
    ("value just beyond", (order(limit_price=Decimal("100"), quantity=Decimal("700.0000000001")),), {}, "value of 0.07"),
    ("value at the limit price", (order(limit_price=Decimal("105"), quantity=Decimal(667)),), {}, "value of 0.07"),
    ("sell at the close", (sell(shares="700"),), {}, ""),
    ("sell beyond", (sell(shares="701"),), {}, "value of 0.0701"),
    ("value in currency", (order(currency="EUR", limit_price=Decimal(100), quantity=Decimal(560)),), {}, ""),
    ("beyond in currency", (order(currency="EUR", limit_price=Decimal(100), quantity=Decimal(561)),), {}, "value of"),
    ("buys at 25 %", many(5, order, quantity=Decimal(500), limit_price=Decimal(100)), {}, ""),
    ("buys beyond", (*many(5, order, quantity=Decimal(500), limit_price=Decimal(100)), order(6, quantity=Decimal(1))), {},
     "found buys of 0.250101"),
    ("full exit", many(20, sell, shares="500"), {}, ""),
    ("gross at 150 %", many(30, sell, shares="500"), {}, ""),
    ("gross beyond", (*many(30, sell, shares="500"), sell(31, "1")), {}, "all orders of 1.5001"),
    ("buy limit at 6 %", (order(limit_price=Decimal("106")),), {}, ""),
    ("buy limit beyond", (order(limit_price=Decimal("106.0000000001")),), {}, "found limit 106"),
    ("buy limit below", (order(limit_price=Decimal("50")),), {}, ""),
    ("sell limit at 6 %", (replace(sell(), limit_price=Decimal(94)),), {}, ""),
    ("sell limit beyond", (replace(sell(), limit_price=Decimal("93.9999999999")),), {}, "found limit 93"),
    ("price one session old", (order(),), {"price_age": {"MB1": 1.0}}, ""),
    ("price just under two", (order(),), {"price_age": {"MB1": math.nextafter(2.0, 0.0)}}, ""),
    ("price two sessions old", (order(),), {"price_age": {"MB1": 2.0}}, "2.0 sessions old"),
    ("price of tomorrow", (order(),), {"price_age": {"MB1": -1.0}}, "-1.0 sessions old"),
    ("rate two sessions old", (leg("10"),), {"price_age": {"FX:EUR": 2}}, "2 sessions old"),
    ("sell all", (sell(shares="600"),), held(MB1=600), ""),
    ("oversell", (sell(shares="601"),), held(MB1=600),
     "sells of 601 shares of MB1, limit 600"),
    ("sell what is not held", (sell(),), {"broker_positions": {}, "decided_positions": {}}, "position in MB1"),
    ("leg at 25 %", (leg("200000"),), {}, ""),
    ("leg beyond", (leg("200000.01"),), {}, "value of 0.25"),
    ("large conversion home", (leg("800000", Side.SELL),), {}, ""),
    ("window opens now", (order(send_from=NOW),), {}, ""),
    ("window opens later", (order(send_from=NOW + SECOND),), {}, "window"),
    ("window closes now", (order(send_until=NOW),), {}, ""),
    ("window closed", (order(send_until=NOW - SECOND),), {}, "window"),
    ("other session", (order(session=SESSION - dt.timedelta(days=1)),), {}, "expected session"),
    ("market order", (order(limit_price=None),), {}, "at a limit"),
    ("leg with limit", (leg("10", limit_price=Decimal(1)),), {}, "at a limit"),
    ("leg of another currency", (leg("10", instrument="FX:GBP"),), {}, "at a limit"),
    ("leg without its mark", (leg("10", leg="T"),), {}, "at a limit"),
    ("shares with a leg's mark", (order(leg="F"),), {}, "at a limit"),
    ("unknown shares", (order(instrument="XX"),), {"reference_price": {"XX": 100.0}, "price_age": {"XX": 0}}, "known"),
    ("quantity zero", (order(quantity=Decimal(0)),), {}, "above 0"),
    ("quantity negative", (order(quantity=Decimal(-1)),), {}, "above 0"),
    ("quantity NaN", (order(quantity=Decimal("NaN")),), {}, "the quantity"),
    ("quantity infinite", (order(quantity=Decimal("Infinity")),), {}, "the quantity"),
    ("quantity a text", (order(quantity="100"),), {}, "number"),
    ("limit NaN", (order(limit_price=Decimal("NaN")),), {}, "the limit"),
    ("side a text", (order(side="BUY"),), {}, "expected"),
    ("no id", (order(client_order_id=""),), {}, "expected an id"),
    ("twice the id", (order(1), order(2, client_order_id="mb1-001")), {}, "mb1-001 2 times"),
    ("twice the place", (order(1), order(2, instrument="MB1")), {}, "MB1|BUY 2 times"),
    ("both sides", (order(1), sell(2, instrument="MB1")), {}, "MB1 2 times"),
    ("other side open", (order(),), {"open_orders": (open_order(instrument="MB1"),)}, "MB1|BUY open"),
    ("both legs", (leg("1000"), leg("1000", Side.SELL, client_order_id="mb1-901")), {}, ""),
    ("id open", (order(),), {"open_orders": (open_order(client_order_id="mb1-001"),)}, "mb1-001 open"),
    ("place open", (order(),), {"open_orders": (open_order(instrument="MB1", side=Side.BUY),)}, "MB1|BUY open"),
    ("other order open", (order(),), {"open_orders": (open_order(),)}, ""),
    ("leg open", (order(),), {"open_orders": (open_order(instrument="FX:EUR", currency="EUR"),)}, ""),
    ("unknown order open", (order(),), {"open_orders": (open_order(instrument="XX"),)}, "known names"),
    ("remainder NaN", (order(),), {"open_orders": (open_order(remaining=Decimal("NaN")),)}, "remains"),
    ("remainder negative", (order(),), {"open_orders": (open_order(remaining=Decimal(-1)),)}, "open orders"),
    ("id sent", (order(),), {"already_sent": frozenset({"mb1-001"})}, "sent already"),
    ("place sent", (order(),), {"already_sent": frozenset({place("MB1", Side.BUY)})}, "sent already"),
    ("other side sent", (order(),), {"already_sent": frozenset({place("MB1", Side.SELL)})}, ""),
    ("verdict in other letters", (order(),), {"verdict": "approved"}, "verdict"),
    ("rejected", (order(),), {"verdict": "REJECTED"}, "verdict"),
    ("halted", (order(),), {"halt_status": "on"}, "halt flag"),
    ("halt unreadable", (order(),), {"halt_status": "unreadable"}, "halt flag"),
    ("other approved batch", (order(),), {"approved_sha256": "0" * 64}, "approved batch"),
    ("other frozen batch", (order(),), {"frozen_sha256": "0" * 64}, "approved batch"),
    ("NAV zero", (order(),), {"nav": 0.0}, "NAV"),
    ("NAV negative", (order(),), {"nav": -1e6}, "NAV"),
    ("unknown holding", (order(),), held(XX=1), "found 1 shares of XX"),
    ("short", (order(),), held(MB1=-1), "found -1 shares"),
    ("a share more", (order(),), {"broker_positions": {"MB1": Decimal(1)}, "decided_positions": {}}, "expected 0 shares of MB1"),
    ("a share less", (order(),), {"broker_positions": {}, "decided_positions": {"MB1": Decimal(1)}}, "expected 1 shares of MB1"),
    ("own fill", (order(),), {"broker_positions": {"MB1": Decimal(1)}, "decided_positions": {}, "own_fills": {"MB1": 1}}, ""),
    ("own sale", (order(),), {"broker_positions": {}, "decided_positions": {"MB1": Decimal(5)}, "own_fills": {"MB1": -5}}, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "changes", "fault"), [case[1:] for case in BOUNDARIES], ids=[c[0] for c in BOUNDARIES]
)
def test_boundaries(orders: tuple[Order, ...], changes: dict[str, Any], fault: str) -> None:
    """Each ceiling just inside, at and just outside: at the limit passes, beyond it does not, and the fault says what."""
    found = ask(*orders, **changes)
    if fault:
        assert any(fault in text for text in found), found
    else:
        assert found == ()


def test_open_sells_count_against_the_position() -> None:
    """Shares that an open order sells are not free, also when it is a name's other order."""
    free = {"broker_positions": {"MB1": 100, "MB9": 5}, "decided_positions": {"MB1": 100, "MB9": 5}}
    sale = open_order(instrument="MB1", remaining=Decimal(30))
    assert any(
        "sells of 71 shares of MB1, limit 70" in text for text in ask(sell(1, "71"), open_orders=(sale,), **free)
    )
    within = ask(sell(1, "70"), open_orders=(sale,), **free)
    buy = open_order(instrument="MB1", side=Side.BUY, remaining=Decimal(30))
    bought = ask(sell(1, "100"), open_orders=(buy,), **free)
    assert len(bought) == 1
    assert "expected a new order, found MB1|SELL open" in bought[0]
    assert all("sells of" not in text for text in within)


def test_a_part_of_the_batch_is_judged_by_the_whole() -> None:
    """What was sent before counts in the totals; hash and count are the batch's; a stranger is refused."""
    batch = many(5, order, quantity=Decimal(500), limit_price=Decimal(100))
    assert faults(batch[3:], facts(*batch, batch=batch)) == ()
    assert faults(batch[3:], facts(*batch)) != ()
    larger = (*batch, order(6, quantity=Decimal(1)))
    assert any("found buys of 0.250101" in text for text in faults(larger[:1], facts(*larger, batch=larger)))
    assert any("approved orders" in text for text in faults((order(9),), facts(*batch, batch=batch)))
    changed = replace(batch[4], quantity=Decimal(499))
    assert any("approved orders" in text for text in faults((changed,), facts(*batch, batch=batch)))
    assert any("2 times" in text for text in faults((batch[0], batch[0]), facts(*batch, batch=batch)))


@pytest.mark.parametrize("ulps", [0, 1])
def test_one_ulp_beyond_a_ceiling_is_beyond(ulps: int) -> None:
    """Values are exact: a price one unit in the last place higher breaks the ceiling."""
    price = math.nextafter(100.0, 200.0) if ulps else 100.0
    single = order(quantity=Decimal(700), limit_price=Decimal(100))
    assert (ask(single, reference_price={"MB1": price}) == ()) is (ulps == 0)


JUNK: tuple[Any, ...] = (
    None, math.nan, math.inf, -math.inf, -1.0, "", "junk", b"x", True, [], object(), Decimal("NaN"), np.nan, np.array([1.0, 2.0]),
    dt.date.min, NOW.replace(tzinfo=None), {"MB1": None}, {"MB1": math.nan}, {"MB1": -math.inf}, {"MB1": "1"}, {"MB1": True},
)  # fmt: skip


@pytest.mark.parametrize("junk", JUNK, ids=[f"{n} {type(j).__name__}" for n, j in enumerate(JUNK)])
@pytest.mark.parametrize("name", [f.name for f in fields(GateFacts)])
def test_every_fact_missing_or_senseless_is_a_fault(name: str, junk: Any) -> None:
    """G3: fail closed over every field."""
    orders = (order(1), sell(2), leg("1000"))
    if name == "batch" and junk is None:
        return
    assert faults(orders, replace(facts(*orders), **{name: junk})) != ()


@pytest.mark.parametrize("name", ["reference_price", "fx", "price_age"])
@pytest.mark.parametrize("junk", [None, math.nan, math.inf, -math.inf, -1.0, "1", True, object(), Decimal("sNaN")])
def test_every_number_missing_or_senseless_is_a_fault(name: str, junk: Any) -> None:
    """One bad number in a mapping, or none, is enough."""
    key = "USD" if name == "fx" else "MB1"
    known = getattr(facts(), name)
    assert ask(order(), **{name: {**known, key: junk}}) != ()
    assert ask(order(), **{name: {k: v for k, v in known.items() if k != key}}) != ()


@pytest.mark.parametrize(
    "junk", [None, 1, "order", object(), math.nan, (order(), None), ("order",), {"a": order()}, "x"]
)
def test_orders_that_are_none_are_a_fault(junk: Any) -> None:
    """Something else than orders is never sent."""
    assert faults(junk, facts()) != ()
    assert faults((), None) != ()  # type: ignore[arg-type]
    assert faults((), object.__new__(GateFacts)) != ()


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __format__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __str__  # type: ignore[assignment]


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.text(max_size=5),
    st.decimals(),
    st.binary(max_size=3),
    st.datetimes(),
    st.dates(),
    st.dictionaries(
        st.sampled_from(["MB1", "USD", "FX:EUR"]), st.one_of(st.none(), st.floats(), st.decimals()), max_size=3
    ),
    st.tuples(st.sampled_from([order(), open_order(), None])),
    st.frozensets(st.text(max_size=3), max_size=2),
    st.builds(Hostile),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_faults_never_raises_and_finds_junk(data: st.DataObject) -> None:
    """Arbitrary junk in any fields of facts and orders gives faults, never an exception."""
    of_facts = data.draw(st.dictionaries(st.sampled_from([f.name for f in fields(GateFacts)]), ANYTHING, max_size=4))
    of_order = data.draw(st.dictionaries(st.sampled_from([f.name for f in fields(Order)]), ANYTHING, max_size=4))
    junk = replace(order(), **of_order)
    choices = ((junk,), [junk, junk], (junk, order(2)))
    found = faults(choices[data.draw(st.integers(0, 2))], replace(facts(order()), **of_facts))
    assert isinstance(found, tuple)
    assert all(type(text) is str for text in found)


@settings(max_examples=200, deadline=None)
@given(orders=ANYTHING, known=ANYTHING)
def test_faults_never_raises_on_junk_arguments(orders: Any, known: Any) -> None:
    """Neither argument needs to be what it should."""
    assert faults(orders, known) != ()


@pytest.mark.parametrize(
    ("word", "buys", "sells"),
    [
        ("off", True, True),
        ("no-new-runs", True, True),
        ("reduce-only", False, True),
        ("flatten", False, True),
        ("on", False, False),
        ("cancel-all", False, False),
        ("unreadable", False, False),
        ("", False, False),
    ],
)
def test_the_gate_knows_the_halt_levels(word: str, buys: bool, sells: bool) -> None:
    """RC-80: two levels let a wave of sells go, none of them a wave with a buy."""
    bought, sold = order(1), sell(2)
    assert (ask(bought, halt_status=word) == ()) is buys
    assert (ask(sold, halt_status=word) == ()) is sells
    assert (ask(bought, sold, halt_status=word) == ()) is buys


@pytest.mark.parametrize("word", ["", "live", "PAPER", None, 1])
def test_the_gate_knows_whose_money_it_is(word: Any) -> None:
    """RC-82: anything but a paper account is a fault."""
    assert any("broker" in text for text in ask(order(1), environment=word))


@pytest.mark.parametrize("permitted", ["paper", "live", "", "LIVE", None, True])
@pytest.mark.parametrize("told", ["paper", "live", "", "LIVE", None, True])
def test_live_money_moves_where_it_is_permitted_and_said(told: Any, permitted: Any) -> None:
    """RC-82: the broker's word must be the permitted one, and that one must be a word for money."""
    found = ask(order(1), environment=told, permitted_environment=permitted)
    assert (found == ()) is ((told, permitted) in {("paper", "paper"), ("live", "live")})


@pytest.mark.parametrize(
    ("seconds", "good"), [(0, True), (30, True), (-30, True), (30.001, False), (-30.001, False), (86_400, False)]
)
def test_the_gate_compares_the_clocks(seconds: float, good: bool) -> None:
    """RC-83: half a minute either way, at each wave."""
    at = NOW + dt.timedelta(seconds=seconds)
    assert (ask(order(1), broker_at=at) == ()) is good


@pytest.mark.parametrize("at", [NOW.replace(tzinfo=None), NOW.date(), "2018-12-11T23:00:00Z", 1.0, None], ids=str)
def test_a_clock_that_cannot_be_read_is_a_fault(at: Any) -> None:
    """RC-83, G3: an instant without zone, a day, a text, a number, nothing."""
    assert ask(order(1), broker_at=at) != ()


def test_the_gate_stands_alone() -> None:
    """G6: nothing of the risk stage, the portfolio or the optimizer, at most 200 lines; its parts import the model alone."""
    import marketbot_assets.execution.gate as module

    folder, found = Path(str(module.__file__)).parent, set[str]()
    for name, most in (("gate.py", 200), ("gate_facts.py", 50), ("gate_orders.py", 80)):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count("\n") <= most, name
        imported = [line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))]
        found |= {line for line in imported if "marketbot" in line}
    own = {"marketbot_assets.execution.gate_facts", "marketbot_assets.execution.gate_orders"}
    assert found == {"marketbot_resources.model", *own}
