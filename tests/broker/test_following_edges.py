"""Following an order, edge by edge: which end is final, whose fate is in doubt, how much a person is told."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from told_account import ACCOUNT, DAYS, OPEN, ToldBroker, ToldHome, fill, order

from marketbot_resources.broker.following import FINAL, Followed, follow, has_open_orders
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.model import Acknowledgement, OrderState

S = OrderState


class Wordy(ToldBroker):
    """Gives every answer a reason of 900 letters."""

    def find(self, client_order_id: str) -> Acknowledgement | None:
        state = self.states.get(client_order_id)
        return None if state is None else Acknowledgement(client_order_id, state, "b", "x" * 900)


def home_of(path: Path, sent: dict[str, OrderState], told: dict[str, OrderState], broker: ToldBroker) -> ToldHome:
    """One session whose orders stand in the states `sent`; the broker says `told`."""
    made = ToldHome(path / "home", broker)
    made.snapshot(DAYS[0])
    made.send([order(name) for name in sorted(sent)], S.SENDING)
    made.broker.states = {name: state for name, state in sent.items() if state is not S.SENDING}
    look(made)
    made.broker.states = dict(told)
    return made


def look(home: ToldHome, halt: HaltSwitch | None = None) -> Followed:
    return follow(home.ledger, home.broker, ACCOUNT, OPEN + dt.timedelta(hours=1), halt=halt)


@pytest.mark.parametrize(
    ("sent", "told", "final"),
    [
        (S.ACKED, S.ACKED, False),
        (S.ACKED, S.FILLED, True),
        (S.PARTIAL, S.REJECTED, False),  # an end that is not believed is none
        (S.CANCELED, S.ACKED, True),  # it had ended, and its end was noted then
        (S.SENDING, S.EXPIRED, True),
    ],
)
def test_an_end_is_final_when_both_say_so(tmp_path: Path, sent: OrderState, told: OrderState, final: bool) -> None:
    """P9: `order_final` stands for an end that the broker tells and the ledger has."""
    home = home_of(tmp_path, {"o1": sent}, {"o1": told}, ToldBroker())
    look(home)
    assert (home.ledger.get(FINAL, "o1") is not None) is final


def test_a_word_that_comes_after_an_end_is_not_final(tmp_path: Path) -> None:
    """The ledger says canceled, the broker says that it works: nobody calls that the end."""
    home = ToldHome(tmp_path / "home", ToldBroker())
    home.snapshot(DAYS[0])
    home.send([order("o1")], S.CANCELED)
    home.broker.states = {"o1": S.ACKED}
    look(home)
    assert home.ledger.get(FINAL, "o1") is None


def test_only_what_was_sent_without_an_answer_is_in_doubt(tmp_path: Path) -> None:
    """An order that the broker works is none; one order that is open is enough to follow."""
    home = home_of(tmp_path, {"o1": S.ACKED, "o2": S.SENDING, "o3": S.FILLED}, {}, ToldBroker())
    found = look(home)
    assert found.in_doubt == ("o2",)
    assert [one.order.client_order_id for one in found.working] == ["o1", "o2"]
    assert has_open_orders(home.ledger, ACCOUNT)
    home.broker.states = {"o1": S.FILLED, "o2": S.FILLED, "o3": S.FILLED}
    look(home)
    assert not has_open_orders(home.ledger, ACCOUNT)


@pytest.mark.parametrize(("strays", "more"), [(3, ""), (4, " and 1 more"), (6, " and 3 more")])
def test_a_person_is_told_of_three_and_how_many_more(tmp_path: Path, strays: int, more: str) -> None:
    """The flag's reason stays one line that can be read."""
    home = home_of(tmp_path, {"o1": S.ACKED}, {"o1": S.ACKED}, ToldBroker())
    home.broker.fills += [(OPEN, fill(f"x{n}", "by-hand")) for n in range(strays)]
    switch = HaltSwitch(tmp_path)
    look(home, switch)
    reason = switch.read().reason
    assert reason.count("execution x") == 3
    assert reason.endswith(f"no order of ours has this id{more}")


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    """500 letters of what a broker says are kept."""
    home = home_of(tmp_path, {"o1": S.SENDING}, {"o1": S.ACKED}, Wordy())
    look(home)
    assert home.ledger.entries("order_event", "o1/")[-1].body["reason"] == "x" * 500


def test_a_fill_of_an_order_that_is_no_longer_watched_is_ours(tmp_path: Path) -> None:
    """Only the newest batches are asked for; the ledger knows the older orders, and whose side they took."""
    home = ToldHome(tmp_path / "home", ToldBroker())
    home.snapshot(DAYS[0])
    for number, day in enumerate(DAYS[:5]):
        home.send([order(f"o{number}", day=day)], S.ACKED)
    home.broker.fills += [(OPEN, fill("x1", "o0"))]
    assert look(home).strays == ()
    home.broker.fills += [(OPEN, fill("x2", "o0", "1"))]
    assert [text for text in look(home).strays if "filled 101 of 100" in text]


@pytest.mark.parametrize(("days", "watched_still"), [(7, True), (6, False), (20, True)])
def test_an_order_that_waits_for_a_closed_exchange_stays_watched(
    tmp_path: Path, days: int, watched_still: bool
) -> None:
    """Its window ends with the newest batch's session (December 17th) or later, five batches on; others of its batch are let go."""
    home = ToldHome(tmp_path / "home", ToldBroker())
    home.snapshot(DAYS[0])
    until = dt.datetime(2018, 12, 10, 23, 55, tzinfo=dt.UTC) + dt.timedelta(days=days)
    home.send([replace(order("o1", mic="XTKS"), send_until=until), order("o2", instrument="MBB")])
    for number, day in enumerate(DAYS[1:], start=3):
        home.send([order(f"o{number}", day=day)])
    home.broker.states = {f"o{number}": S.ACKED for number in range(1, 9)}
    found = [one.order.client_order_id for one in look(home).working]
    assert found == (["o1"] if watched_still else []) + ["o5", "o6", "o7"]
    home.broker.states |= {f"o{number}": S.FILLED for number in range(5, 8)}
    look(home)
    assert has_open_orders(home.ledger, ACCOUNT) is watched_still
