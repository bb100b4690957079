"""One run of sending: what it may still send, what is in doubt, and why it stopped. Used by `sending` alone.

Every entry is appended under the run's token, so that a run which was taken over from stops at its next one, before the broker
is called. Not here: freezing and the order of waves (`sending`), what an answer is worth and when a doubt is over (`settling`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from marketbot_resources.broker.fencing import SIGN, TIME_TO_LIVE
from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.broker.remainder import Slice, remainder
from marketbot_resources.broker.settling import (
    LOOKUP_SECONDS,
    NEVER_ARRIVED,
    Baseline,
    View,
    asked,
    failure,
    is_over,
    judged,
    leaves_no_trace,
)
from marketbot_resources.errors import StaleToken
from marketbot_resources.halt import HaltFlag
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Json
from marketbot_resources.model import (
    SELLING_LEVELS,
    TERMINAL_STATES,
    Acknowledgement,
    BrokerPort,
    HaltLevel,
    Kind,
    Order,
    OrderState,
    Side,
    plain,
    utc_text,
)
from marketbot_resources.order_slices import CLOSE_LEG, siblings
from marketbot_resources.sessions import as_sent, check_newest, last_attempt, order_events, record_event, state_of

HALT_OFF = "off"
FOLLOWING = "following"
REJECTS_MAX = 3
UNKNOWN_MAX = 2
PERMITTING = frozenset({HALT_OFF, HaltLevel.NO_NEW_RUNS.value})
TOO_LATE = "too late to send"
TO_AUCTION = "the closing auction takes what slices left"
NO_ANSWER = "the run that sent it ended without the broker's answer"
NO_MORE: Mapping[str, Json] = MappingProxyType({})
_GROUPS = ((Kind.FX, Side.SELL), (Kind.FX, Side.BUY), (Kind.EQUITY, Side.SELL), (Kind.EQUITY, Side.BUY))


@dataclass(frozen=True, slots=True)
class Timing:
    """The clocks of a run: `now` of sending, `wait` seconds of it, `machine_now` of the machine, by which runs know each other.

    `time_to_live`: how long a run that shows no sign of life keeps others away.
    """

    now: Callable[[], dt.datetime]
    wait: Callable[[float], None]
    machine_now: Callable[[], dt.datetime]
    time_to_live: dt.timedelta = TIME_TO_LIVE


@dataclass(slots=True)
class Desk:
    """`left`: orders that this run may still send; `again`: those of them that an earlier run sent; `doubtful`: sent, unknown."""

    ledger: Ledger
    broker: BrokerPort
    fence: Fence
    timing: Timing
    halt: Callable[[], HaltFlag]
    batch: tuple[Order, ...]
    resend: Baseline | None
    left: dict[str, Order] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    doubtful: dict[str, Order] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    halted: str = ""
    refused: int = 0

    def settle(self, orders: Sequence[Order]) -> None:
        """Sorts out what earlier runs left: sent orders stay alone, orders in doubt are looked up at the broker."""
        for frozen in sorted(orders, key=lambda order: order.client_order_id):
            order = as_sent(self.ledger, frozen)
            name, state = order.client_order_id, self._state(order)
            if state is OrderState.APPROVED:
                self.left[name] = order
            if state not in IN_DOUBT or self.halted:
                continue
            if state is OrderState.SENDING:
                self._event(name, OrderState.UNKNOWN, "", NO_ANSWER)
            age = (self.timing.now() - last_attempt(self.ledger, name)).total_seconds()
            view = self._look_up(order, (0.0, *(LOOKUP_SECONDS if age <= sum(LOOKUP_SECONDS) else ())))
            if self._known(order, view) or self.halted:
                continue
            if self._may_go_again(order, view):
                self.left[name] = order
                self.again.add(name)
            else:
                self._doubt(order)

    def expire(self) -> None:
        """Ends the orders whose window has closed; one that is in doubt stays so until its next session."""
        at = self.timing.now()
        for order in [order for order in self.left.values() if at > order.send_until]:
            self._drop(order, TOO_LATE)

    def drop_buys(self) -> None:
        """Ends the orders that the halt flag's level does not let go; other levels stop the sending itself (`send`)."""
        flag = read_flag(self.halt)
        if flag.word in SELLING_LEVELS:
            for order in [order for order in self.left.values() if order.side is Side.BUY]:
                self._drop(order, f"halt flag {flag.word}: {flag.reason}")

    def open_now(self) -> list[Order]:
        """The orders whose window is open, in the order in which they are sent."""
        at = self.timing.now()
        wave = [order for order in self.left.values() if order.send_from <= at]
        return sorted(wave, key=lambda order: (_GROUPS.index((order.kind, order.side)), order.client_order_id))

    def fitted(self) -> list[Order]:
        """The orders of `open_now`; what takes the rest of slices only once they have ended, for what they left."""
        for order in self.open_now():
            if order.leg == CLOSE_LEG and order.kind is Kind.EQUITY and self._permitted(order) is not None:
                self._fit(order)
        return self.open_now()

    def _fit(self, order: Order) -> None:
        """Ends the slices of an order and cuts it down to what they left; one that an earlier run sent goes again as it was."""
        name, slices = order.client_order_id, siblings(order, self.batch)
        for child in slices:
            if child.client_order_id in self.left and child.client_order_id not in self.again:
                self._drop(self.left[child.client_order_id], TO_AUCTION)
        known = [Slice(child, self._state(child), self._first_sent(child)) for child in slices]
        left = remainder(self.broker, order, known, now=self.timing.now, wait=self.timing.wait)
        for one in known:
            told = left.ended.get(one.order.client_order_id)
            if told is not None and one.state not in TERMINAL_STATES:
                self._event(told.client_order_id, told.state, told.broker_order_id, told.reason, {"by": FOLLOWING})
        if not left.quantity > 0:
            self._drop(order, left.why)
        elif name not in self.again:
            self.left[name] = replace(order, quantity=left.quantity)
        elif not order.quantity <= left.quantity:
            self._drop(order, f"its slices left {plain(left.quantity)}, it was sent for {plain(order.quantity)}")

    def _first_sent(self, order: Order) -> dt.datetime | None:
        bodies = [event.body for event in order_events(self.ledger, order.client_order_id)]
        sent = [str(body["at"]) for body in bodies if body["state"] == OrderState.SENDING.value]
        return dt.datetime.fromisoformat(sent[0]) if sent else None

    def send(self, wave: Sequence[Order]) -> None:
        """Sends the orders one by one until the halt flag, a storm of refusals or too many doubts stop it."""
        for order in wave:
            if order.client_order_id not in self.left:
                continue
            if lock := self._locked_by(order):
                self._drop(order, f"its name is locked: the fate of order {lock} is unknown")
                continue
            at = self._permitted(order)
            if at is not None:
                del self.left[order.client_order_id]
                self._send(order, at)
            if self.halted:
                return

    def _send(self, order: Order, at: dt.datetime) -> None:
        """One attempt, and a second one at a broker that takes an id at most once, if no earlier run had its own."""
        view = self._attempt(order, at)
        if self._known(order, view) or self.halted:
            return
        if order.client_order_id not in self.again and self._may_go_again(order, view):
            again_at = self._permitted(order)
            if again_at is not None:
                view = self._attempt(order, again_at)
                if self._known(order, view):
                    return
        self._doubt(order)

    def _attempt(self, order: Order, at: dt.datetime) -> View:
        """SENDING becomes durable, the broker is called once, and asked when its answer says nothing."""
        name, begun = order.client_order_id, self.timing.machine_now()
        earlier = last_attempt(self.ledger, name) if self._state(order) in IN_DOUBT else None
        size: dict[str, Json] = {"quantity": plain(order.quantity)} if order.leg == CLOSE_LEG else {}
        self._append(name, OrderState.SENDING, {"at": utc_text(at), **size})
        if not begun <= self.timing.machine_now() < begun + self.timing.time_to_live:
            raise StaleToken(f"order {name}: this run stood still before it was sent; another run may send by now")
        check_newest(self.ledger, self.fence)
        answer: Acknowledgement | None = None
        try:
            answer = self.broker.submit(order, at)
            view = judged(order, answer)
        except Exception as error:
            view = View(None, failure(error))
        settled = earlier is None or self.timing.now() > earlier + self.broker.capabilities.lateness_max
        if view.answer is not None and view.answer.state is OrderState.REJECTED and not settled:
            view = View(None, f"an earlier attempt may still arrive; this one was refused: {view.answer.reason}")
        if view.answer is not None:
            self._count(view.answer)
            return view
        self._event(name, OrderState.UNKNOWN, "", view.why)
        if view.mismatch:
            self._stop(order, view)
            return view
        return self._look_up(order, LOOKUP_SECONDS)

    def _look_up(self, order: Order, pauses: Sequence[float]) -> View:
        """Asks until the broker knows the order; each vain question is recorded, which is a sign of life, too."""
        view = View(None)
        for pause in pauses:
            if pause:
                self.timing.wait(pause)
            view = asked(self.broker, order)
            if view.answer is not None:
                return view
            known = self.ledger.entries("order_lookup", f"{order.client_order_id}/")
            body = {"answer": view.why or "not known", "at": utc_text(self.timing.now()), **self._signed()}
            self.ledger.append("order_lookup", f"{order.client_order_id}/{len(known) + 1}", body, self.fence)
            if view.mismatch:
                self._stop(order, view)
                return view
        return view

    def _known(self, order: Order, view: View) -> bool:
        """Records the broker's word, or that the order's time is over without it; False while its fate is unknown."""
        if view.answer is not None:
            told = view.answer
            self._event(order.client_order_id, told.state, told.broker_order_id, told.reason)
            return True
        lateness, at = self.broker.capabilities.lateness_max, self.timing.now()
        if view.absent and is_over(order, last_attempt(self.ledger, order.client_order_id), lateness, at):
            reason = f"{NEVER_ARRIVED}: the broker does not know the order"
            self._event(order.client_order_id, OrderState.EXPIRED, "", reason)
            return True
        return False

    def _may_go_again(self, order: Order, view: View) -> bool:
        """Whether an order that the broker does not know may be sent again without becoming two."""
        if not view.absent:
            return False
        if self.broker.capabilities.dedupes_client_id is True:
            return True
        at = self.timing.now()
        settled = last_attempt(self.ledger, order.client_order_id) + self.broker.capabilities.lateness_max
        return (
            self.resend is not None
            and at > settled
            and leaves_no_trace(self.broker, order, self.resend, [o.client_order_id for o in self.batch], at)
        )

    def _permitted(self, order: Order) -> dt.datetime | None:
        """The instant at which an order may go now, after the halt flag and its window were looked at; else None."""
        flag = read_flag(self.halt)
        if flag.word in SELLING_LEVELS and order.side is Side.BUY:
            self._drop(order, f"halt flag {flag.word}: {flag.reason}")
            return None
        if flag.word not in PERMITTING | SELLING_LEVELS:
            self.halted = f"halt flag {flag.word}: {flag.reason}"
            return None
        at = self.timing.now()
        if at > order.send_until:
            self._drop(order, TOO_LATE)
            return None
        return at

    def _locked_by(self, order: Order) -> str:
        """The order in doubt that keeps this one back: of its name, or the conversion that pays for a buy; empty if none."""
        for name, other in self.doubtful.items():
            pays = other.kind is Kind.FX and (other.side is Side.SELL or other.currency == order.currency)
            if other.instrument == order.instrument or (pays and order.side is Side.BUY):
                return name
        return ""

    def _count(self, answer: Acknowledgement) -> None:
        self.refused = self.refused + 1 if answer.state is OrderState.REJECTED else 0
        if self.refused >= REJECTS_MAX:
            self.halted = f"the broker refused {self.refused} orders in a row, the last: {answer.reason}"

    def _doubt(self, order: Order) -> None:
        self.doubtful[order.client_order_id] = order
        if len(self.doubtful) >= UNKNOWN_MAX and not self.halted:
            names = ", ".join(sorted(self.doubtful))
            why = order_events(self.ledger, order.client_order_id)[-1].body.get("reason", "")
            self.halted = f"the fate of orders {names} is unknown (the last: {why}); the rest was not sent"

    def _stop(self, order: Order, view: View) -> None:
        self.doubtful[order.client_order_id] = order
        self.halted = f"order {order.client_order_id}: the broker {view.why}; the rest was not sent"

    def _drop(self, order: Order, why: str) -> None:
        """Takes an order out of this run: one that was never sent ends, one in doubt stays in doubt."""
        self.left.pop(order.client_order_id, None)
        if self._state(order) in IN_DOUBT:
            self._doubt(order)
        else:
            self._event(order.client_order_id, OrderState.EXPIRED, "", why)

    def _state(self, order: Order) -> OrderState:
        return state_of(order_events(self.ledger, order.client_order_id))

    def _event(
        self, name: str, state: OrderState, broker_order_id: str, reason: str, more: Mapping[str, Json] = NO_MORE
    ) -> None:
        at = utc_text(self.timing.now())
        self._append(name, state, {"broker_order_id": broker_order_id, "reason": reason, "at": at, **more})

    def _append(self, name: str, state: OrderState, facts: dict[str, Json]) -> None:
        record_event(self.ledger, name, state, {**facts, **self._signed()}, self.fence)

    def _signed(self) -> dict[str, Json]:
        return {"fence": self.fence.number, SIGN: utc_text(self.timing.machine_now())}


def read_flag(halt: Callable[[], HaltFlag]) -> HaltFlag:
    """The halt flag now; one that cannot be read counts as set."""
    try:
        return halt()
    except Exception as error:
        return HaltFlag("unreadable", f"halt flag cannot be read: {type(error).__name__}")
