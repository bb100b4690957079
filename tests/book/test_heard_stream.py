"""F06, F07, F08: whatever the order, the doubles and the delays in which fills are told, the book holds each of them once."""

import datetime as dt
import os
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from told_account import ACCOUNT, DAYS, D, ToldBroker, ToldHome, cutoff, fill, order

from marketbot_assets.book.fills import executions_of, fills_of
from marketbot_assets.book.positions import Holdings, roll_positions
from marketbot_resources.broker.following import follow
from marketbot_resources.model import Bust, OrderState, Side

NAMES = ("MBA", "MBB", "MBC")
SHARES = 1000
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
SHORT, LONG = 12, 10_000


class Stream(RuleBasedStateMachine):
    """A broker whose fills come late, twice and in any order, beside a list of what really happened.

    The list is the reference: what was visible at an instant and not taken back, added up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.broker = ToldBroker(states={})
        self.home = ToldHome(Path(self.folder.name), self.broker)
        self.home.snapshot(DAYS[0])
        orders = [order(f"o{n}", Side.BUY, "500", instrument=name) for n, name in enumerate(NAMES)]
        self.home.send(orders)
        self.home.end(DAYS[0])
        self.broker.states |= {each.client_order_id: OrderState.ACKED for each in orders}
        self.day, self.number, self.now = 0, 0, cutoff(DAYS[0])
        start = {name: D(SHARES) for name in NAMES}
        self.held = Holdings(start, {"USD": D(1_000_000)})
        self.truth: list[tuple[dt.datetime, str, str, Decimal]] = []  # visible from, id, name, signed shares
        self.told: set[str] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    def at(self, hours: float) -> dt.datetime:
        """An instant after everything that was looked at, before the next cutoff."""
        left = (cutoff(DAYS[self.day + 1]) - self.now).total_seconds()
        return self.now + dt.timedelta(seconds=left * hours)

    @precondition(lambda self: self.day + 1 < len(DAYS))
    @rule(
        name=st.integers(0, 2),
        shares=st.integers(1, 20),
        hours=st.floats(0.01, 0.9),
        delay=st.integers(0, 40),
        place=st.integers(0, 99),
    )
    def fills(self, name: int, shares: int, hours: float, delay: int, place: int) -> None:
        """One execution, told after up to forty hours, at any place of the list."""
        at = self.at(hours)
        self.number += 1
        told = fill(f"e{self.number}", f"o{name}", str(shares), at=at, instrument=NAMES[name])
        seen = at + dt.timedelta(hours=delay)
        self.broker.fills.insert(place % (len(self.broker.fills) + 1), (seen, told))
        self.truth.append((seen, told.execution_id, NAMES[name], D(shares)))

    @precondition(lambda self: self.broker.fills)
    @rule(place=st.integers(0, 99))
    def doubles(self, place: int) -> None:
        """The broker tells an execution twice."""
        self.broker.fills.append(self.broker.fills[place % len(self.broker.fills)])

    @precondition(lambda self: self.day + 1 < len(DAYS))
    @rule(
        name=st.integers(0, 2),
        state=st.sampled_from([OrderState.PARTIAL, OrderState.CANCELED, OrderState.DONE_FOR_DAY]),
    )
    def moves_on(self, name: int, state: OrderState) -> None:
        """Partial, then canceled; fills may still come."""
        self.broker.states[f"o{name}"] = state

    @precondition(lambda self: self.day + 1 < len(DAYS) and self.truth)
    @rule(place=st.integers(0, 99), hours=st.floats(0.01, 0.9))
    def takes_back(self, place: int, hours: float) -> None:
        """A bust of an execution that was visible by then, once."""
        seen, name, instrument, shares = self.truth[place % len(self.truth)]
        at = self.at(hours)
        if name in self.told or not seen <= self.now or not name.startswith("e"):
            return
        self.told.add(name)
        self.broker.busts.append((at, Bust(name, "", "erroneous", at)))
        self.truth.append((at, f"bust {name}", instrument, -shares))

    @precondition(lambda self: self.day + 1 < len(DAYS))
    @rule(hours=st.floats(0.1, 0.5))
    def looks(self, hours: float) -> None:
        """Following between two sessions."""
        self.now = self.at(hours)
        follow(self.home.ledger, self.broker, ACCOUNT, self.now)

    @precondition(lambda self: self.day + 1 < len(DAYS))
    @rule(again=st.booleans(), skipped=st.booleans())
    def decides(self, again: bool, skipped: bool) -> None:
        """The next session takes the account; it may do so twice, and it may end skipped: then it booked nothing."""
        self.day += 1
        day = DAYS[self.day]
        self.now = cutoff(day)
        frame = self.home.snapshot(day)
        if again:
            assert self.home.snapshot(day).equals(frame)
        self.home.end(day, "skipped" if skipped else "sent")
        if not skipped:
            fills = executions_of(fills_of(frame))
            self.held, _ = roll_positions(self.held, fills, (), base_currency="USD", closes_before={})
            self.sure = day

    @precondition(lambda self: self.day + 1 == len(DAYS))
    @rule()
    def rests(self) -> None:
        """The last session is over."""

    sure = DAYS[0]

    @invariant()
    def the_book_is_what_was_visible(self) -> None:
        """Exact, after every step."""
        if self.now != cutoff(self.sure):
            return
        expected = {name: D(SHARES) for name in NAMES}
        for seen, _, name, shares in self.truth:
            if seen <= self.now:
                expected[name] += shares
        assert self.held.shares == {name: shares for name, shares in expected.items() if shares}


def run(examples: int, steps: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Stream,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )


def test_fills_in_any_order_add_up() -> None:
    run(SHORT, 15)


@pytest.mark.long
def test_ten_thousand_streams_of_fills_add_up() -> None:
    """The campaign; SEQUENCES sets another number."""
    run(int(os.environ.get("SEQUENCES", LONG)), 25)
