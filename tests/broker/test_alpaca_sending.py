"""The order protocol through the real adapter over real HTTP, on a real ledger, against an Alpaca that misbehaves by seed."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca_world import AlpacaWorld
from paper_world import CLOSED, MINUTE, MONDAY, OPEN, OPENED, order

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.following import follow
from marketbot_resources.broker.hearing import begin_hearing
from marketbot_resources.broker.sending import freeze_batch, send_batch
from marketbot_resources.errors import HaltError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import Order, OrderState, OrderType, Side

SPEC = ("accept_504=0.1,accept_reset=0.1,truncate=0.05,html=0.05,lose=0.1,lose_504=0.05,late=0.1,error_live=0.05,reject=0.05,"
        "rate_limit=0.05,get_503=0.1,get_429=0.05,repeat=on")  # fmt: skip
COUNT, RUNS_MAX = 10, 12


def batch() -> list[Order]:
    """Ten orders of which every buy can be paid and every sell is held."""
    sides = [Side.BUY if number % 2 else Side.SELL for number in range(COUNT)]
    return [order(side, "5", "10.50" if side is Side.BUY else "9", number=str(n)) for n, side in enumerate(sides)]


def play(path: Path, seed: int, *, dedupes: bool) -> tuple[dict[str, OrderState], AlpacaWorld]:
    """Runs the sending until nothing is left or the session's windows are over, one process after the other."""
    world = AlpacaWorld(path, dedupes=dedupes, faults=SPEC, seed=seed)
    ledger, orders = SqliteLedger(path / "ledger.sqlite"), batch()
    freeze_batch(ledger, "acc", MONDAY, orders, {"verdict": "APPROVED"})

    def wait(seconds: float) -> None:
        world.do(do="advance", seconds=seconds)

    timing = Timing(lambda: world.server.truth.now, wait, lambda: world.server.truth.now)
    states: dict[str, OrderState] = {}
    for _ in range(RUNS_MAX):
        try:
            report = send_batch(
                ledger, world.reopened(), orders, account="acc", session=MONDAY, timing=timing,
                halt=lambda: HaltFlag("off", ""), gate=lambda _: (),
            )  # fmt: skip
            states = report.states
        except HaltError:
            wait(60)
            continue
        if not report.halted and not report.waiting:
            break
        wait(60)
    return states, world


def check(path: Path, seed: int, *, dedupes: bool) -> None:
    states, world = play(path, seed, dedupes=dedupes)
    try:
        world.price(10.0)
        world.server.faults.chances = {}
        world.pass_to(CLOSED)
        told = world.told()  # also of what came late
        came = Counter(told["by_client_id"])
        assert all(count == 1 for count in came.values()), f"seed {seed}: sent twice {came}"
        believed = {name for name, state in states.items() if state is OrderState.ACKED}
        assert believed <= set(came), f"seed {seed}: believed and not there {believed - set(came)}"
        unsent = {name for name, state in states.items() if state in (OrderState.REJECTED, OrderState.EXPIRED)}
        assert not unsent & set(came), f"seed {seed}: given up and there {unsent & set(came)}"
        report = world.reopened().report(OPENED, CLOSED)
        assert {"USD": Decimal(told["cash"])} == report.cash
        assert report.positions.get("A", Decimal(0)) == Decimal(told["positions"].get("AAA", "0"))
        filled = Counter({f.client_order_id: f.quantity for f in report.executions})
        assert set(filled) == set(came), f"seed {seed}: fills lost {set(came) ^ set(filled)}"
        assert all(OPEN <= fill.executed_at <= CLOSED for fill in report.executions)
    finally:
        world.close()


@pytest.mark.parametrize("dedupes", [True, False], ids=["dedupes", "does_not"])
@pytest.mark.parametrize("seed", range(6))
def test_no_order_is_sent_twice_and_none_is_lost(seed: int, dedupes: bool, tmp_path: Path) -> None:
    """F03 to F06: after any mixture of faults each order is at the broker at most once and the books agree to the cent."""
    check(tmp_path, seed, dedupes=dedupes)


def test_a_refusal_does_not_outrun_an_earlier_attempt(tmp_path: Path) -> None:
    """Seed 149: a late order was sent again, the second was refused, the first arrived: it was given up and there."""
    check(tmp_path, 149, dedupes=True)


@pytest.mark.long
@pytest.mark.parametrize("dedupes", [True, False], ids=["dedupes", "does_not"])
@pytest.mark.parametrize("block", range(10))
def test_campaign(block: int, dedupes: bool, tmp_path: Path) -> None:
    """The same over 200 seeds for each kind of broker."""
    for seed in range(100 + block * 20, 120 + block * 20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check(folder, seed, dedupes=dedupes)


def slices() -> list[Order]:
    """40 and 60 shares within the session, then what they leave to the closing auction."""
    at = [OPEN, OPEN + 30 * MINUTE, OPEN + 60 * MINUTE, OPEN + 375 * MINUTE]
    facts = zip(("T1", "T2", "TC"), ("40", "60", "100"), at, at[1:], strict=False)
    return [
        replace(order(number=leg, quantity=shares, type=OrderType.LIMIT_ON_CLOSE if leg == "TC" else OrderType.LIMIT),
                leg=leg, send_from=begin, send_until=end)
        for leg, shares, begin, end in facts
    ]  # fmt: skip


def test_the_closing_auction_takes_what_slices_left(tmp_path: Path) -> None:
    """Over HTTP: 40 and 25 filled, one of them while it is still open; 35 go out and the sender knows them as its own."""
    world = AlpacaWorld(tmp_path, dedupes=True)
    try:
        ledger, orders = SqliteLedger(tmp_path / "ledger.sqlite"), slices()
        freeze_batch(ledger, "acc", MONDAY, orders, {"verdict": "APPROVED"})
        timing = Timing(lambda: world.server.truth.now, lambda s: None, lambda: world.server.truth.now)

        def send() -> dict[str, OrderState]:
            report = send_batch(
                ledger, world.reopened(), orders, account="acc", session=MONDAY, timing=timing,
                halt=lambda: HaltFlag("off", ""), gate=lambda _: (),
            )  # fmt: skip
            assert not report.halted
            return report.states

        for number, filled in (("T1", "40"), ("T2", "25")):
            world.pass_to(OPEN + (1 if number == "T1" else 31) * MINUTE)
            assert send()[f"o{number}"] is OrderState.ACKED
            world.do(do="fill", client_order_id=f"o{number}", qty=filled, price="10")
        world.pass_to(OPEN + 61 * MINUTE)
        assert send()["oTC"] is OrderState.ACKED
        rows = {name: world.server.truth.by_client_id(name)[0] for name in ("oT1", "oT2", "oTC")}
        assert [(rows[n]["status"], Decimal(rows[n]["qty"])) for n in rows] == [
            ("filled", 40), ("canceled", 60), ("new", 35)
        ]  # fmt: skip
        begin_hearing(ledger, OPENED)
        ledger.append("session_cutoff", MONDAY.isoformat(), {"cutoff_at": OPENED.isoformat()})
        found = follow(ledger, world.reopened(), "acc", OPEN + 62 * MINUTE)
        assert [(w.order.client_order_id, w.remaining) for w in found.working] == [("oTC", 35)]
        world.do(do="fill", client_order_id="oTC", qty="35", price="10")
        found = follow(ledger, world.reopened(), "acc", OPEN + 63 * MINUTE)
        assert (found.strays, found.working, len(found.report.executions)) == ((), (), 3)
        assert sum(fill.quantity for fill in found.report.executions) == 100
    finally:
        world.close()
