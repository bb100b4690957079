"""The order protocol on a real ledger, against brokers that behave and brokers that do not: nothing is ever sent twice."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sending_world import (
    ACKED,
    APPROVED,
    BATCH,
    EXPIRED,
    HOUR,
    NOW,
    OFF,
    SENT_ORDER,
    SESSION,
    Twin,
    frozen,
    order,
    send,
)

from marketbot_assets.execution.schema import SUBMISSIONS
from marketbot_assets.execution.submission_frame import submission_frame
from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.errors import BrokerError, Equivocation, HaltError, LedgerError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.record import RECORD_BYTES_MAX, Fence, Json, Receipt, canonical_json
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import HaltLevel, Order, order_record
from marketbot_resources.sessions import frozen_batch


def test_a_batch_is_frozen_once(tmp_path: Path) -> None:
    """P1: the same batch again changes nothing; another one under the same key is an equivocation."""
    ledger = frozen(tmp_path)
    head = ledger.head()
    again = freeze_batch(ledger, "acc", SESSION, BATCH[::-1], {"verdict": "APPROVED"})
    assert (again.added, ledger.head()) == (False, head)
    entry = frozen_batch(ledger, "acc", SESSION)
    assert entry is not None
    assert entry.hash == again.hash
    assert entry.body["orders"] == [{"client_order_id": f"mb1-{name}"} for name in "abcd"]
    assert (entry.body["count"], entry.body["verdict"]) == (4, "APPROVED")
    for each in BATCH:
        intent = ledger.get("order_intent", each.client_order_id)
        assert intent is not None
        assert intent.body == order_record(each)
    for other in (BATCH[:3], (replace(BATCH[0], quantity=Decimal(99)), *BATCH[1:])):
        with pytest.raises(Equivocation, match="batch_frozen"):
            freeze_batch(ledger, "acc", SESSION, other, {"verdict": "APPROVED"})
    with pytest.raises(Equivocation, match="batch_frozen"):
        freeze_batch(ledger, "acc", SESSION, BATCH, {"verdict": "REJECTED"})
    assert ledger.head() == head


def test_an_order_belongs_to_one_batch(tmp_path: Path) -> None:
    """The same id in another account's batch collides unless the order is the same in every field."""
    ledger = frozen(tmp_path)
    with pytest.raises(Equivocation, match="order_intent mb1-a"):
        freeze_batch(ledger, "other", SESSION, (replace(BATCH[0], quantity=Decimal(7)),), {})


@pytest.mark.parametrize(
    ("orders", "facts", "message"),
    [
        ((order("a", session=SESSION - dt.timedelta(days=1)),), {}, "mb1-a"),
        ((order("a", batch_no=2),), {}, "batch 2"),
        ((order("a"), order("a")), {}, "mb1-a"),
        ((), {"count": 3}, "count"),
    ],
)
def test_what_cannot_be_frozen(tmp_path: Path, orders: Any, facts: Any, message: str) -> None:
    """Orders of another session or batch, twins, and facts that would hide the batch's own."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    with pytest.raises(HaltError, match=message):
        freeze_batch(ledger, "acc", SESSION, orders, facts)
    assert ledger.head()[0] == 0


def test_two_hundred_orders_fit(tmp_path: Path) -> None:
    """The largest batch stays well below the largest body of the ledger."""
    ledger = frozen(tmp_path, [order(f"{n:026d}", reason="x" * 500) for n in range(200)])
    entry = frozen_batch(ledger, "acc", SESSION)
    assert entry is not None
    assert len(canonical_json(entry.body)) < RECORD_BYTES_MAX / 4
    assert len(ledger.entries("order_intent")) == 200


def test_a_good_day(tmp_path: Path) -> None:
    """Legs, sells, buys; everything acknowledged; a second run sends nothing."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)
    report = send(ledger, broker)
    assert broker.submitted == SENT_ORDER
    assert report.states == {f"mb1-{name}": ACKED for name in "abcd"}
    assert report.end_state() == ("sent", "4 orders: 4 ACKED")
    head = ledger.head()
    again = send(ledger, broker)
    assert (again, broker.submitted, ledger.head()) == (report, SENT_ORDER, head)
    frame = submission_frame(BATCH, report.outcomes)
    SUBMISSIONS.pandera_schema.validate(frame)
    assert list(frame["broker_order_id"]) == [f"Bmb1-{name}" for name in "abcd"]
    assert {at.to_pydatetime() for at in frame["submitted_at"]} == {NOW}
    assert first_fault(ledger) is None


def test_no_orders(tmp_path: Path) -> None:
    """A batch of zero orders is sent, and nobody is asked."""
    ledger = frozen(tmp_path, ())
    report = send(ledger, Twin(ledger), (), gate=lambda _: ("never asked",))
    assert report.end_state() == ("sent", "0 orders")
    SUBMISSIONS.pandera_schema.validate(submission_frame((), report.outcomes))


def test_a_refusal_is_final_and_the_rest_goes(tmp_path: Path) -> None:
    """REJECTED is an answer, not a doubt."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, moods={"mb1-b": "reject"})
    report = send(ledger, broker)
    assert report.end_state() == ("sent", "4 orders: 3 ACKED, 1 REJECTED")
    assert report.outcomes["mb1-b"].reason == "no"
    assert send(ledger, broker).states == report.states
    assert broker.submitted == SENT_ORDER


@pytest.mark.parametrize("found", [("one fault.",), ["one fault."], None, "fault"])
def test_a_fault_of_the_gate_stops_everything(tmp_path: Path, found: Any) -> None:
    """G6: asked once per wave with what is about to be sent; anything but no faults sends nothing."""
    ledger, asked = frozen(tmp_path), []
    broker = Twin(ledger)

    def gate(orders: Sequence[Order]) -> tuple[str, ...]:
        asked.append([o.client_order_id for o in orders])
        return found

    report = send(ledger, broker, gate=gate)
    assert asked == [SENT_ORDER]
    assert broker.submitted == []
    assert "fault" in " ".join(report.faults) or "no answer" in " ".join(report.faults)
    assert report.end_state()[0] == "halted"
    assert set(report.states.values()) == {APPROVED}
    assert send(ledger, broker).end_state() == ("sent", "4 orders: 4 ACKED")


def test_a_gate_that_breaks_is_a_fault(tmp_path: Path) -> None:
    """No answer is no permission."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)

    def gate(_: Sequence[Order]) -> tuple[str, ...]:
        raise BrokerError("no report")

    report = send(ledger, broker, gate=gate)
    assert broker.submitted == []
    assert "no report" in report.end_state()[1]


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("status", ["on", "unreadable", "raises", "OFF"])
def test_the_halt_flag_is_read_before_each_order(tmp_path: Path, after: int, status: str) -> None:
    """RC-80: from the moment it is set no further order goes; what is left stays APPROVED and can go later."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)

    def halt() -> HaltFlag:
        if len(broker.submitted) < after:
            return OFF
        if status == "raises":
            raise OSError
        return HaltFlag(status, "operator")

    report = send(ledger, broker, halt=halt)
    assert broker.submitted == SENT_ORDER[:after]
    assert report.end_state()[0] == "halted"
    assert Counter(report.states.values()) == Counter({ACKED: after, APPROVED: 4 - after})
    assert all(ledger.entries("order_event", f"{name}/") == [] for name in SENT_ORDER[after:])
    assert send(ledger, broker).end_state()[0] == "sent"
    assert broker.submitted == SENT_ORDER


@pytest.mark.parametrize("level", [HaltLevel.REDUCE_ONLY, HaltLevel.FLATTEN])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_selling_level_lets_sells_go_and_ends_buys_unsent(tmp_path: Path, after: int, level: HaltLevel) -> None:
    """RC-80: from the moment it is set no buy goes, neither of shares nor of currency; the gate sees none, either."""
    ledger = frozen(tmp_path)
    broker, seen = Twin(ledger), []

    def halt() -> HaltFlag:
        return OFF if len(broker.submitted) < after else HaltFlag("on", "operator", level)

    def gate(wave: Sequence[Order]) -> tuple[str, ...]:
        seen.append([o.client_order_id for o in wave])
        return ()

    report = send(ledger, broker, halt=halt, gate=gate)
    sent = [name for n, name in enumerate(SENT_ORDER) if n < after or name == "mb1-b"]
    assert broker.submitted == sent
    assert seen == [SENT_ORDER if after else ["mb1-b"]]
    assert report.end_state() == ("sent", f"4 orders: {len(sent)} ACKED, {4 - len(sent)} EXPIRED" if len(sent) < 4 else
                                  "4 orders: 4 ACKED")  # fmt: skip
    reasons = {report.outcomes[name].reason for name in SENT_ORDER if name not in sent}
    assert reasons <= {f"halt flag {level.value}: operator"}
    send(ledger, broker)
    assert broker.submitted == sent, "they stay ended when the flag is gone"


def test_no_new_runs_lets_a_run_in_progress_end(tmp_path: Path) -> None:
    """RC-80: this level is for runs that have not begun."""
    ledger = frozen(tmp_path)
    report = send(ledger, Twin(ledger), halt=lambda: HaltFlag("on", "later", HaltLevel.NO_NEW_RUNS))
    assert report.end_state() == ("sent", "4 orders: 4 ACKED")


@pytest.mark.parametrize("level", [HaltLevel.HALT, HaltLevel.CANCEL_ALL])
def test_the_other_levels_send_nothing(tmp_path: Path, level: HaltLevel) -> None:
    """RC-80: today's halt and cancel-all."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)
    assert send(ledger, broker, halt=lambda: HaltFlag("on", "stop", level)).end_state()[0] == "halted"
    assert broker.submitted == []


@pytest.mark.parametrize(
    ("refused", "sent", "state"),
    [
        (("d", "b"), 4, "sent"),
        (("d", "b", "a"), 3, "halted"),
        (("b", "a", "c"), 4, "halted"),
        (("d", "b", "c"), 4, "sent"),
    ],
    ids=str,
)
def test_three_refusals_in_a_row_stop_the_batch(
    tmp_path: Path, refused: tuple[str, ...], sent: int, state: str
) -> None:
    """RC-90: sent in the order d, b, a, c; what is left after the third refusal is not sent."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, moods={f"mb1-{name}": "reject" for name in refused})
    report = send(ledger, broker)
    assert broker.submitted == SENT_ORDER[:sent]
    assert report.end_state()[0] == state
    assert ("refused 3 orders in a row" in report.end_state()[1]) is (state == "halted")


def test_windows(tmp_path: Path) -> None:
    """Too late is EXPIRED, too early waits for a later run, the bounds belong to the window."""
    orders = (
        order("early", send_from=NOW + dt.timedelta(seconds=1)),
        order("first", send_from=NOW),
        order("last", send_until=NOW),
        order("late", send_until=NOW - dt.timedelta(seconds=1)),
    )
    ledger = frozen(tmp_path, orders)
    broker = Twin(ledger)
    report = send(ledger, broker, orders)
    assert report.states == {"mb1-early": APPROVED, "mb1-first": ACKED, "mb1-last": ACKED, "mb1-late": EXPIRED}
    assert report.waiting == ("mb1-early",)
    assert report.outcomes["mb1-late"].reason == "too late to send"
    assert report.outcomes["mb1-late"].submitted_at is None
    later = send(ledger, broker, orders, now=lambda: NOW + HOUR)
    assert (later.waiting, later.states["mb1-early"]) == ((), ACKED)
    assert broker.submitted == ["mb1-first", "mb1-last", "mb1-early"]


def test_the_gate_is_asked_for_every_wave(tmp_path: Path) -> None:
    """A window that opens while a run is sending makes a second wave; one that closes meanwhile is not used."""
    orders = (order("a"), order("b", send_from=NOW + HOUR), order("c", send_until=NOW))
    ledger, asked = frozen(tmp_path, orders), []
    broker = Twin(ledger)

    def gate(wave: Sequence[Order]) -> tuple[str, ...]:
        asked.append([o.client_order_id for o in wave])
        return ()

    report = send(ledger, broker, orders, now=lambda: NOW + HOUR if broker.submitted else NOW, gate=gate)
    assert asked == [["mb1-a", "mb1-c"], ["mb1-b"]]
    assert report.states == {"mb1-a": ACKED, "mb1-b": ACKED, "mb1-c": EXPIRED}


def test_nothing_goes_without_its_record(tmp_path: Path) -> None:
    """RC-84: an order without intent, with another one, of another session, or twice stops before the broker is asked."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)
    for orders in (
        (*BATCH, order("x")),
        (replace(BATCH[0], quantity=Decimal(101)),),
        (order("a", session=SESSION + dt.timedelta(days=1)),),
        (BATCH[0], BATCH[0]),
    ):
        with pytest.raises(HaltError):
            send(ledger, broker, orders)
    with pytest.raises(HaltError, match="expected session"):
        send(ledger, broker, session=SESSION + dt.timedelta(days=1))
    assert (broker.submitted, ledger.entries("order_event")) == ([], [])


def test_a_full_disk_sends_nothing(tmp_path: Path) -> None:
    """RC-84: without a durable SENDING no order goes."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger)

    class Full(SqliteLedger):
        def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
            raise LedgerError("disk full")

    with pytest.raises(LedgerError):
        send(Full(tmp_path / "ledger.sqlite"), broker)
    assert broker.submitted == []


def test_bodies_hold_plain_values(tmp_path: Path) -> None:
    """Money as text, instants as RFC 3339: every body of the protocol survives a trip through JSON."""
    ledger = frozen(tmp_path)
    send(ledger, Twin(ledger, moods={"mb1-a": "break_after"}))
    for kind in ("batch_frozen", "order_intent", "order_event"):
        for entry in ledger.entries(kind):
            body: Json = json.loads(canonical_json(entry.body))
            assert body == entry.body
