"""One run at a time sends for an account: who gets the token, who is refused, who takes over, and that only the newest counts."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sending_world import ACKED, NOW, OFF, SENT_ORDER, SESSION, Hours, Twin, frozen, send

from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.fencing import TIME_TO_LIVE, last_sign_of_life, newest_token, single_flight
from marketbot_resources.errors import AlreadySending, StaleToken
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence
from marketbot_resources.ledger.sqlite import SqliteLedger

MOMENT = dt.timedelta(microseconds=1)


def flight(ledger: Ledger, at: dt.datetime = NOW, account: str = "acc") -> Any:
    return single_flight(ledger, account, SESSION, machine_now=lambda: at)


def numbers(ledger: Ledger) -> list[str]:
    return [entry.key for entry in ledger.entries("sending_fence")]


def test_tokens_count_up_per_account(tmp_path: Path) -> None:
    """RC-81: each acquisition is one more; accounts do not touch each other."""
    ledger = frozen(tmp_path)
    for number in range(1, 12):
        with flight(ledger) as fence:
            assert fence == Fence("acc", number)
            newest = newest_token(ledger, "acc")
            assert newest is not None
            assert newest.key == f"acc/{number}"
    with flight(ledger, account="other") as fence, flight(ledger):
        assert fence == Fence("other", 1)
    assert newest_token(ledger, "ac") is None
    assert numbers(ledger) == [*(f"acc/{n}" for n in range(1, 12)), "other/1", "acc/12"]


def test_a_living_holder_is_left_alone(tmp_path: Path) -> None:
    """RC-81, F34: one clear line for the second, before anything is written; afterwards the way is free at once."""
    ledger = frozen(tmp_path)
    with flight(ledger):
        for age in (dt.timedelta(0), TIME_TO_LIVE - MOMENT, -dt.timedelta(hours=5)):
            with pytest.raises(
                AlreadySending, match=r"^account acc: another run is sending, since 2018-.*; leave it"
            ) as told:
                with flight(ledger, NOW + age):
                    pass
            assert "\n" not in str(told.value)
    assert numbers(ledger) == ["acc/1"]
    with flight(ledger) as fence:
        assert fence.number == 2


def test_a_silent_holder_is_followed(tmp_path: Path) -> None:
    """F35: after the time to live the next token is taken without the lock, and the old one appends nothing any more."""
    ledger = frozen(tmp_path)
    later = NOW + TIME_TO_LIVE
    with flight(ledger) as old:
        with flight(ledger, later) as new:
            assert (old.number, new.number) == (1, 2)
            with pytest.raises(StaleToken):
                ledger.append("order_event", "mb1-a/1", {"state": "SENDING"}, old)
            ledger.append("order_event", "mb1-a/1", {"state": "SENDING"}, new)
            with pytest.raises(AlreadySending), flight(ledger, later):
                pass
    with pytest.raises(AlreadySending), flight(ledger, later):
        pass  # the lock is free, but its newest holder never had it and may live
    with flight(ledger, later + TIME_TO_LIVE) as fence:
        assert fence.number == 3


def test_signs_of_life_are_the_holders_own(tmp_path: Path) -> None:
    """Its token and what it appended for its batch, by the machine's clock; what others appended does not count."""
    ledger = frozen(tmp_path)
    with flight(ledger) as fence:
        newest = newest_token(ledger, "acc")
        assert newest is not None
        assert last_sign_of_life(ledger, "acc", newest) == NOW
        signs = [
            ("order_event", "mb1-a/1", 1, 30),
            ("order_lookup", "mb1-b/1", 1, 20),
            ("order_event", "mb1-c/1", 2, 50),
        ]
        for kind, key, number, seconds in signs:
            at = (NOW + dt.timedelta(seconds=seconds)).isoformat()
            ledger.append(kind, key, {"state": "ACKED", "fence": number, "machine_at": at}, fence)
        ledger.append("order_event", "mb1-d/1", {"state": "ACKED"})
        assert last_sign_of_life(ledger, "acc", newest) == NOW + dt.timedelta(seconds=30)


def test_two_that_take_over_at_once(tmp_path: Path) -> None:
    """Of two that follow a silent holder one gets the token."""
    ledger, later = frozen(tmp_path), NOW + TIME_TO_LIVE
    started = []

    class Racing(SqliteLedger):
        def _append(self, records: Any, fence: Any = None) -> Any:
            if not started:
                started.append(flight(ledger, later).__enter__())
            return super()._append(records, fence)

    with flight(ledger), pytest.raises(AlreadySending, match="took over its sending at this moment"):
        with flight(Racing(tmp_path / "ledger.sqlite"), later):
            pass
    assert [fence.number for fence in started] == [2]
    assert numbers(ledger) == ["acc/1", "acc/2"]


def test_a_second_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """F34: a run that starts while another sends says so and sends nothing."""
    ledger, refused = frozen(tmp_path), []
    broker = Twin(ledger, dedupes_client_id=False)

    def halt() -> HaltFlag:
        if len(broker.submitted) == len(SENT_ORDER):
            return OFF
        with pytest.raises(AlreadySending) as told:
            send(SqliteLedger(tmp_path / "ledger.sqlite"), broker)
        refused.append(str(told.value))
        return OFF

    assert send(ledger, broker, halt=halt).end_state() == ("sent", "4 orders: 4 ACKED")
    assert (broker.submitted, len(refused) > 3) == (SENT_ORDER, True)
    assert numbers(ledger) == ["acc/1"]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_run_that_was_taken_over_from_sends_nothing_more(tmp_path: Path, after: int) -> None:
    """F35: it hangs between two orders, another run ends the batch; when it goes on it stops before the broker is called."""
    ledger, hours = frozen(tmp_path), Hours()
    broker = Twin(ledger, dedupes_client_id=False)
    second = SqliteLedger(tmp_path / "ledger.sqlite")

    def halt() -> HaltFlag:
        if len(broker.submitted) == after and hours.at == NOW:
            hours.wait(TIME_TO_LIVE.total_seconds())
            assert send(second, broker, timing=hours.timing).end_state() == ("sent", "4 orders: 4 ACKED")
        return OFF

    with pytest.raises(StaleToken):
        send(ledger, broker, timing=hours.timing, halt=halt)
    assert broker.submitted == SENT_ORDER
    assert set(broker.accepted.values()) == {1}


def test_a_run_that_hung_after_its_record_does_not_send(tmp_path: Path) -> None:
    """F35: SENDING is durable, then the process stands still for longer than its token is respected: it must not go on."""
    ledger = frozen(tmp_path)
    broker, instants = Twin(ledger), iter([NOW] * 3 + [NOW + TIME_TO_LIVE] * 9)
    timing = Timing(lambda: NOW, lambda _: None, lambda: next(instants))
    with pytest.raises(StaleToken, match="mb1-d: this run stood still before it was sent"):
        send(ledger, broker, timing=timing)
    assert broker.submitted == []
    assert send(ledger, broker).states["mb1-d"] is ACKED


def test_nothing_to_send_takes_no_token(tmp_path: Path) -> None:
    """A run over a batch that is through leaves no trace."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)
    send(ledger, broker)
    head = ledger.head()
    with flight(ledger):
        send(SqliteLedger(tmp_path / "ledger.sqlite"), broker)
    assert (numbers(ledger), broker.submitted) == (["acc/1", "acc/2"], SENT_ORDER)
    assert ledger.size() == head[0] + 1
