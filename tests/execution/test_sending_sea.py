"""2,000 days at a broker that misbehaves: no order twice, none lost, positions and cash to the cent."""

import datetime as dt
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from sending_sea import ORDERS, Day, day, fast_folder

from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.model import OrderState
from marketbot_resources.sessions import order_events, order_state

KINDS = {
    "refuses doubles": {"dedupes": True, "resend": False},
    "takes doubles": {"dedupes": False, "resend": False},
    "takes doubles, sent again when settled": {"dedupes": False, "resend": True},
}
SHORT, LONG, BLOCKS = 8, 2_000, 10


def check(seed: int, found: Day) -> Counter[str]:
    """Duplicates and losses are none; how the orders ended."""
    sea, ends = found.sea, Counter[str]()
    assert max(sea.arrived.values(), default=0) <= 1, (seed, sea.arrived)
    cash, positions = Decimal(0), dict[str, Decimal]()
    for each in found.orders:
        name = each.client_order_id
        state, events = order_state(found.ledger, name), order_events(found.ledger, name)
        assert state is not None
        assert state not in (OrderState.SENDING, OrderState.UNKNOWN), (seed, name)
        assert (sea.arrived[name] == 1) == (state is OrderState.FILLED), (seed, name, state)
        assert (sea.states.get(name) is OrderState.REJECTED) == (state is OrderState.REJECTED), (seed, name, state)
        ends[state.value if events else "never sent"] += 1
        if state is OrderState.FILLED:
            assert each.limit_price is not None
            cash -= each.side.sign * each.quantity * each.limit_price
            positions[each.instrument] = each.side.sign * each.quantity
    assert (sea.cash, sea.positions, sea.on_its_way) == (cash, positions, []), seed
    assert sum(ends.values()) == ORDERS
    return ends


def campaign(seeds: range, kind: str) -> str:
    ends, deaths, runs = Counter[str](), 0, 0
    with fast_folder() as folder:
        for seed in seeds:
            found = day(Path(folder), seed, **KINDS[kind])
            ends += check(seed, found)
            deaths, runs = deaths + found.deaths, runs + found.runs
            if seed % 50 == 0:
                assert first_fault(found.ledger) is None
            (Path(folder) / f"{seed}.sqlite").unlink()
    assert deaths > len(seeds) / 4, "deaths happen"
    assert ends["FILLED"] > 0.6 * ORDERS * len(seeds), "most orders get through"
    return f"{kind}: {len(seeds)} days, {deaths} deaths in {runs} runs, 0 doubles, 0 lost; {dict(ends)}"


@pytest.mark.parametrize("kind", KINDS)
def test_some_days_at_sea(kind: str) -> None:
    """Whatever the broker does and wherever the sender dies."""
    campaign(range(SHORT), kind)


def test_a_lateness_that_is_not_true_shows() -> None:
    """The judge is awake: a broker that accepts later than it admits to gets orders twice where they are sent again."""
    doubles = 0
    with fast_folder() as folder:
        for seed in range(24):
            found = day(Path(folder), seed, dedupes=False, resend=True, told=dt.timedelta(0))
            doubles += sum(count - 1 for count in found.sea.arrived.values())
    assert doubles > 0


@pytest.mark.long
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_days_at_sea(kind: str, block: int) -> None:
    """The campaign: 2,000 seeds of 20 orders for each kind of broker."""
    print(campaign(range(block * LONG // BLOCKS, (block + 1) * LONG // BLOCKS), kind))
