"""Whole days of the order protocol before Interactive Brokers' gateway with random faults, over HTTP: nothing twice or lost."""

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest
from ibkr_world import IbkrWorld, ibkr_world
from paper_world import CLOSED, MONDAY, OPEN, OPENED, SENT, D, order

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.sending import freeze_batch, send_batch
from marketbot_resources.broker.settling import Baseline
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import Order, OrderState
from marketbot_resources.sessions import order_state

FAULTS = "accept_504:0.12,accept_html:0.04,accept_silent:0.08,accept_truncated:0.04,late:0.12,lost:0.08,lost_504:0.04,paced:0.04," \
         "question:0.1,question_silent:0.03,question_unknown:0.04,refused:0.04"  # fmt: skip
BEFORE = Baseline(OPENED, {"A": D(50)})
KINDS = {
    "refuses doubles": {"dedupes": True, "resend": False},
    "takes doubles": {"dedupes": False, "resend": False},
    "takes doubles, sent again when settled": {"dedupes": False, "resend": True},
}
ORDERS, RUNS, HALF_HOUR = 8, 6, dt.timedelta(minutes=30)
NOT_THERE = {OrderState.REJECTED, OrderState.EXPIRED}


def day(path: Path, seed: int, *, dedupes: bool, resend: bool) -> Counter[str]:
    """One evening's batch, sent in up to six runs, and the session after it; how the orders ended."""
    path.mkdir()
    orders = [order(number=str(n), quantity="10", instrument=f"S{n}") for n in range(ORDERS)]
    with ibkr_world(path, seed=seed, faults=FAULTS, dedupes=dedupes) as world:
        ledger = SqliteLedger(path / "ledger.sqlite")
        freeze_batch(ledger, "acc", MONDAY, orders, {})
        at = SENT
        for _ in range(RUNS):
            at = _run(ledger, world, orders, at, BEFORE if resend else None) + HALF_HOUR
            world.pass_to(at)
        for number in range(ORDERS):
            world.control(do="price", at=OPEN.isoformat(), symbol=f"S{number}", price="10", volume="1000")
        world.pass_to(CLOSED)
        return _judged(ledger, world, orders, seed)


def _run(
    ledger: SqliteLedger, world: IbkrWorld, orders: list[Order], start: dt.datetime, resend: Baseline | None
) -> dt.datetime:
    clock = [start]

    def wait(seconds: float) -> None:
        clock[0] += dt.timedelta(seconds=seconds)
        world.pass_to(clock[0])

    timing = Timing(lambda: clock[0], wait, lambda: clock[0])
    send_batch(ledger, world.reopened(), orders, account="acc", session=MONDAY, timing=timing,
               halt=lambda: HaltFlag("off", ""), gate=lambda _: (), resend=resend)  # fmt: skip
    return clock[0]


def _judged(ledger: SqliteLedger, world: IbkrWorld, orders: list[Order], seed: int) -> Counter[str]:
    """What our side believes against what really arrived: the ledger is never wrong, and what it does not know is found."""
    truth, ends = world.truth(), Counter[str]()
    really, broker = truth["by_client_id"], world.reopened()
    assert max(really.values(), default=0) <= 1, (seed, really)
    for each in orders:
        name = each.client_order_id
        state, there, found = order_state(ledger, name), really.get(name, 0), broker.find(name)
        ends[str(state)] += 1
        assert (found is not None) == bool(there), (seed, name)
        assert found is None or found.state is OrderState.FILLED, (seed, name, found)
        if state is OrderState.ACKED:
            assert there, (seed, name, "believed to be there")
        elif state in NOT_THERE:
            assert not there, (seed, name, state)
    report = broker.report(OPENED, CLOSED)
    bought = sum(really.values())
    assert report.cash == {"USD": D(10000) - 100 * bought}, seed
    assert sum(report.positions.values()) - 50 == 10 * bought, seed
    assert report.open_orders == (), seed
    return ends


def check(path: Path, seeds: range, kind: str) -> None:
    ends = sum((day(path / str(seed), seed, **KINDS[kind]) for seed in seeds), Counter[str]())
    assert sum(ends.values()) == ORDERS * len(seeds)
    assert ends[OrderState.ACKED] >= 0.4 * ORDERS * len(seeds), ends
    print(f"{kind}: {len(seeds)} days of {ORDERS} orders, 0 doubles, 0 lost; {dict(ends)}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_day(kind: str, tmp_path: Path) -> None:
    """F03 to F05: one day of 8 orders, whatever becomes of their answers."""
    check(tmp_path, range(3, 4), kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_many_days(kind: str, tmp_path: Path) -> None:
    check(tmp_path, range(100, 130), kind)
