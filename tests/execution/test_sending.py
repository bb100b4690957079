"""The order protocol on a real ledger, against brokers that behave and brokers that do not: nothing is ever sent twice."""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketbot_assets.execution.schema import SUBMISSIONS
from marketbot_assets.execution.submission_frame import submission_frame
from marketbot_resources.broker.sending import SendReport, freeze_batch, send_batch
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.errors import BrokerError, Equivocation, HaltError, LedgerError
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import RECORD_BYTES_MAX, Json, Receipt, canonical_json
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import (
    AccountReport,
    Acknowledgement,
    HaltLevel,
    Kind,
    Order,
    OrderState,
    Side,
    order_record,
)
from marketbot_resources.paper import PaperAccount
from marketbot_resources.sessions import frozen_batch, order_state

SESSION = dt.date(2018, 12, 11)
NOW = dt.datetime(2018, 12, 11, 23, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
OFF = HaltFlag("off", "")
ACKED, REJECTED, UNKNOWN, SENDING = OrderState.ACKED, OrderState.REJECTED, OrderState.UNKNOWN, OrderState.SENDING
APPROVED, EXPIRED = OrderState.APPROVED, OrderState.EXPIRED


class Killed(BaseException):
    """The process dies here."""


def order(name: str, side: Side = Side.BUY, kind: Kind = Kind.EQUITY, **changes: object) -> Order:
    is_fx = kind is Kind.FX
    facts: dict[str, object] = {
        "client_order_id": f"mb1-{name}",
        "session": SESSION,
        "batch_no": 1,
        "leg": "F" if is_fx else "T",
        "kind": kind,
        "instrument": "FX:EUR" if is_fx else f"MB{name}",
        "mic": "" if is_fx else "XNYS",
        "side": side,
        "quantity": Decimal(100),
        "limit_price": None if is_fx else Decimal("20.5"),
        "currency": "EUR" if is_fx else "USD",
        "send_from": NOW - HOUR,
        "send_until": NOW + 10 * HOUR,
        "reason": "test",
    }
    return Order(**{**facts, **changes})  # type: ignore[arg-type]


BATCH = (order("a"), order("b", Side.SELL), order("c"), order("d", kind=Kind.FX))
SENT_ORDER = ["mb1-d", "mb1-b", "mb1-a", "mb1-c"]


@dataclass
class Twin:
    """A broker as the tests need it: `moods` says how it treats an order; `accepted` counts what really reached it.

    Moods: accept, reject, break_after (accepts, then raises), lose (raises, nothing arrived), late (raises; arrives after the
    question), other_id (accepts, but answers about another order), no_state (accepts, answers SENDING), silent (None).
    """

    ledger: Ledger
    dedupes_client_id: bool = True
    moods: dict[str, str] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    states: dict[str, OrderState] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return replace(PaperAccount.capabilities, dedupes_client_id=self.dedupes_client_id)

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        name = order.client_order_id
        assert order_state(self.ledger, name) is SENDING, "SENDING is durable before the broker hears of the order"
        self.submitted.append(name)
        mood = self.moods.get(name, "accept")
        if mood == "lose":
            raise BrokerError("connection reset")
        if mood == "late":
            self.late.append(name)
            raise TimeoutError("no answer in time")
        if mood == "reject":
            self.states[name] = REJECTED
            return Acknowledgement(name, REJECTED, f"B{name}", "no")
        self._accept(name)
        if mood == "break_after":
            raise ValueError("bad JSON")
        if mood == "silent":
            return None  # type: ignore[return-value]
        answer = Acknowledgement(name, ACKED, f"B{name}", "")
        changes: dict[str, dict[str, Any]] = {"other_id": {"client_order_id": "mb1-z"}, "no_state": {"state": SENDING}}
        return replace(answer, **changes.get(mood, {}))

    def _accept(self, name: str) -> None:
        if not (self.dedupes_client_id and name in self.states):
            self.accepted[name] += 1
            self.states[name] = ACKED

    def find(self, client_order_id: str) -> Acknowledgement | None:
        state = self.states.get(client_order_id)
        if state is None and client_order_id in self.late:
            self.late.remove(client_order_id)
            self._accept(client_order_id)
        return None if state is None else Acknowledgement(client_order_id, state, f"B{client_order_id}", "")

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        raise AssertionError("not asked for")

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        raise AssertionError("not asked for")


def passes(_: Sequence[Order]) -> tuple[str, ...]:
    return ()


def send(ledger: Ledger, broker: Any, orders: Sequence[Order] = BATCH, **changes: Any) -> SendReport:
    known: dict[str, Any] = {"session": SESSION, "now": lambda: NOW, "halt": lambda: OFF, "gate": passes}
    return send_batch(ledger, broker, orders, **{**known, **changes})


def frozen(path: Path, orders: Sequence[Order] = BATCH) -> Ledger:
    ledger = SqliteLedger(path / "ledger.sqlite")
    freeze_batch(ledger, "acc", SESSION, orders, {"verdict": "APPROVED"})
    return ledger


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


@pytest.mark.parametrize("mood", ["break_after", "other_id", "no_state", "silent"])
@pytest.mark.parametrize("dedupes", [True, False])
def test_an_odd_answer_is_looked_up_once(tmp_path: Path, mood: str, dedupes: bool) -> None:
    """P6, P7: UNKNOWN is recorded, then the broker's own view; the order arrived, so the rest goes."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, dedupes, {"mb1-b": mood})
    report = send(ledger, broker)
    assert [e.body["state"] for e in ledger.entries("order_event", "mb1-b/")] == ["SENDING", "UNKNOWN", "ACKED"]
    assert report.end_state() == ("sent", "4 orders: 4 ACKED")
    assert broker.submitted == SENT_ORDER
    assert set(broker.accepted.values()) == {1}


@pytest.mark.parametrize("mood", ["lose", "late"])
@pytest.mark.parametrize("dedupes", [True, False])
def test_a_lost_order_stops_the_rest(tmp_path: Path, mood: str, dedupes: bool) -> None:
    """An unknown fate ends the run. The next one sends the same id again only to a broker that refuses doubles."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, dedupes, {"mb1-b": mood})
    report = send(ledger, broker)
    assert broker.submitted == ["mb1-d", "mb1-b"]
    assert report.states == {"mb1-a": APPROVED, "mb1-b": UNKNOWN, "mb1-c": APPROVED, "mb1-d": ACKED}
    assert report.end_state()[0] == "halted"
    assert "mb1-b" in report.end_state()[1]
    broker.moods.clear()
    if dedupes or mood == "late":
        assert send(ledger, broker).end_state() == ("sent", "4 orders: 4 ACKED")
        assert set(broker.accepted.values()) == {1}
    else:
        with pytest.raises(HaltError, match="mb1-b"):
            send(ledger, broker)
        assert broker.submitted == ["mb1-d", "mb1-b"]


def test_a_broker_that_cannot_be_asked(tmp_path: Path) -> None:
    """Without the broker's view the order stays UNKNOWN; the next run refuses to start while it cannot ask."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, True, {"mb1-d": "break_after"})

    def broken(_: str) -> Acknowledgement | None:
        raise ConnectionError

    broker.find = broken  # type: ignore[method-assign]
    assert send(ledger, broker).states["mb1-d"] is UNKNOWN
    with pytest.raises(HaltError, match="mb1-d"):
        send(ledger, broker)
    broker.find = lambda name: Acknowledgement("mb1-z", ACKED, "B", "")  # type: ignore[method-assign]
    with pytest.raises(HaltError, match="about mb1-z"):
        send(ledger, broker)
    assert broker.submitted == ["mb1-d"]


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


def test_a_lost_order_whose_window_closed_is_not_sent_again(tmp_path: Path) -> None:
    """Nothing is sent after its window, not even what may be sent again; the record says what was tried."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, True, {"mb1-d": "lose"})
    send(ledger, broker)
    report = send(ledger, broker, now=lambda: NOW + 11 * HOUR)
    assert broker.submitted == ["mb1-d"]
    assert set(report.states.values()) == {EXPIRED}
    assert report.outcomes["mb1-d"].reason == "too late to send again; the broker does not know the order"
    assert report.outcomes["mb1-d"].submitted_at == NOW
    assert report.end_state() == ("sent", "4 orders: 4 EXPIRED")


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
        def append(self, kind: str, key: str, body: Any) -> Receipt:
            raise LedgerError("disk full")

    with pytest.raises(LedgerError):
        send(Full(tmp_path / "ledger.sqlite"), broker)
    assert broker.submitted == []


def test_two_runs_at_once_send_once(tmp_path: Path) -> None:
    """Of two runs that send the same batch, one takes an order's next place in the ledger, the other stops."""
    ledger = frozen(tmp_path)
    broker = Twin(ledger, dedupes_client_id=False)
    started = []

    class Racing(SqliteLedger):
        def append(self, kind: str, key: str, body: Any) -> Receipt:
            if not started:
                started.append(key)
                send(ledger, broker)
            return super().append(kind, key, body)

    with pytest.raises(LedgerError, match="another run"):
        send(Racing(tmp_path / "ledger.sqlite"), broker)
    assert broker.submitted == SENT_ORDER
    assert set(broker.accepted.values()) == {1}


class Fuse:
    """Counts calls and dies at one of them, before or after it takes effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.left, self.after, self.calls = at, after, 0

    def run(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.left and not self.after:
            raise Killed
        dies = self.calls == self.left
        try:
            return call()
        finally:
            if dies:
                raise Killed


class FusedLedger(SqliteLedger):
    fuse: Fuse

    def append(self, kind: str, key: str, body: Any) -> Receipt:
        return self.fuse.run(lambda: super(FusedLedger, self).append(kind, key, body))


class FusedBroker:
    def __init__(self, twin: Twin, fuse: Fuse) -> None:
        self.twin, self.fuse, self.capabilities = twin, fuse, twin.capabilities

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        return self.fuse.run(lambda: self.twin.submit(order, at))

    def find(self, client_order_id: str) -> Acknowledgement | None:
        return self.fuse.run(lambda: self.twin.find(client_order_id))


def run_with(path: Path, twin: Twin, fuse: Fuse, orders: Sequence[Order] = BATCH) -> SendReport:
    """One whole run, freezing included, that dies where the fuse says."""
    ledger = FusedLedger(path / "ledger.sqlite")
    ledger.fuse = fuse
    freeze_batch(ledger, "acc", SESSION, orders, {})
    return send(ledger, FusedBroker(twin, fuse), orders)


MOODS: tuple[dict[str, str], ...] = (
    {},
    {"mb1-b": "reject"},
    {"mb1-b": "break_after", "mb1-a": "other_id"},
    {"mb1-a": "no_state", "mb1-d": "reject"},
)


def calls_of(path: Path, moods: dict[str, str]) -> tuple[int, dict[str, OrderState]]:
    """How many points a run without a crash has, and what it ends with."""
    path.mkdir()
    fuse = Fuse(0, after=False)
    report = run_with(path, Twin(SqliteLedger(path / "ledger.sqlite"), True, moods), fuse)
    return fuse.calls, report.states


def in_doubt(twin: Twin) -> set[str]:
    return {name for name in SENT_ORDER if order_state(twin.ledger, name) in (SENDING, UNKNOWN)}


@pytest.mark.parametrize(
    ("dedupes", "moods"), [(True, MOODS[0]), (True, MOODS[2]), (False, MOODS[1]), (False, MOODS[3])], ids=str
)
def test_a_crash_at_any_point_sends_nothing_twice(tmp_path: Path, moods: dict[str, str], dedupes: bool) -> None:
    """Every ledger append and broker call is a place to die, before and after it; the next run ends as if nothing had been."""
    calls, expected = calls_of(tmp_path / "whole", moods)
    assert calls >= 1 + 4 + 3 * 4
    refused = set()
    for point in range(1, calls + 1):
        for after in (False, True):
            path = tmp_path / f"{point}{after}"
            path.mkdir()
            twin = Twin(SqliteLedger(path / "ledger.sqlite"), dedupes, moods)
            with pytest.raises(Killed):
                run_with(path, twin, Fuse(point, after=after))
            before = list(twin.submitted)
            if not dedupes and (lost := in_doubt(twin) - set(twin.states)):
                with pytest.raises(HaltError, match=" ".join(sorted(lost))):
                    run_with(path, twin, Fuse(0, after=False))
                assert twin.submitted == before
                assert in_doubt(twin) == lost, "an order that arrived is settled before the run stops"
                refused.add(point)
                continue
            report = run_with(path, twin, Fuse(0, after=False))
            assert report.states == expected
            assert all(count == 1 for count in Counter(twin.submitted).values())
            assert twin.accepted == Counter({n: 1 for n in SENT_ORDER if expected[n] is ACKED})
            assert first_fault(twin.ledger) is None
    assert bool(refused) is not dedupes


SEEDS = range(200)


def campaign(path: Path, seed: int) -> tuple[Twin, dict[str, OrderState]]:
    """Random batches, moods, halts and crashes, run again and again until a run ends in peace or needs a person."""
    rng = random.Random(seed)
    orders = tuple(
        order(f"{n}", rng.choice(list(Side)), send_until=NOW + rng.choice([-1, 1, 2]) * HOUR)
        for n in range(rng.randint(0, 5))
    )
    moods = ["accept", "accept", "reject", "break_after", "lose", "late", "other_id", "no_state", "silent"]
    twin = Twin(SqliteLedger(path / "ledger.sqlite"), rng.random() < 0.6)
    for _ in range(30):
        twin.moods = {o.client_order_id: rng.choice(moods) for o in orders}
        fuse = Fuse(rng.choice([0, rng.randint(1, 20)]), after=rng.random() < 0.5)
        ledger = FusedLedger(path / "ledger.sqlite")
        ledger.fuse = fuse
        halted = rng.random() < 0.2
        try:
            freeze_batch(ledger, "acc", SESSION, orders, {})
            flag = HaltFlag("on", "drill") if halted else OFF
            report = send(ledger, FusedBroker(twin, fuse), orders, halt=lambda flag=flag: flag)
        except Killed:
            continue
        except HaltError:
            assert not twin.dedupes_client_id, seed
            break
        if report.end_state()[0] == "sent":
            assert not set(report.states.values()) & {APPROVED, SENDING, UNKNOWN}, seed
            break
    return twin, {o.client_order_id: order_state(twin.ledger, o.client_order_id) or APPROVED for o in orders}


@pytest.mark.parametrize("block", range(5))
def test_campaign(tmp_path: Path, block: int) -> None:
    """Whatever happens: no order reaches the broker twice, and the ledger never says less than the broker knows."""
    for seed in list(SEEDS)[block::5]:
        path = tmp_path / str(seed)
        path.mkdir()
        twin, states = campaign(path, seed)
        assert all(count == 1 for count in twin.accepted.values()), seed
        for name, state in states.items():
            known = twin.states.get(name)
            assert state in (known, SENDING, UNKNOWN) if known else state not in (ACKED, REJECTED), (seed, name, state)
            events = [str(e.body["state"]) for e in twin.ledger.entries("order_event", f"{name}/")]
            assert events.count("SENDING") >= twin.submitted.count(name), seed
            if not twin.dedupes_client_id:
                assert twin.submitted.count(name) <= 1, seed
        assert first_fault(twin.ledger) is None


def test_bodies_hold_plain_values(tmp_path: Path) -> None:
    """Money as text, instants as RFC 3339: every body of the protocol survives a trip through JSON."""
    ledger = frozen(tmp_path)
    send(ledger, Twin(ledger, moods={"mb1-a": "break_after"}))
    for kind in ("batch_frozen", "order_intent", "order_event"):
        for entry in ledger.entries(kind):
            body: Json = json.loads(canonical_json(entry.body))
            assert body == entry.body
