"""Cancel-all (RC-80): asks the broker for the end of its open orders until it names none, and tells the ledger.

Proven by the broker's own report, never by its answers. Not here: the halt flag (`halt`), the sending (`sending`).
"""

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from marketbot_resources.errors import BrokerError, MarketbotError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import TERMINAL_STATES, Acknowledgement, BrokerPort, OrderState, Side, utc_text
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import order_state, record_event

ROUNDS_MAX = 3
SECONDS_MAX = 60.0
PAUSES = (1.0, 1.0, 2.0, 2.0, 4.0)  # seconds after each round; the last one repeats
LATER = dt.timedelta(seconds=1)
BOTH = frozenset(Side)
BUYS = frozenset({Side.BUY})
Wait = Callable[[float], dt.datetime]


@dataclass(frozen=True, slots=True)
class CancelReport:
    """Client order ids that the broker canceled, and those that it still works after the last round, sorted.

    `ended`: those that ended otherwise meanwhile, filled for one; the next session books what they did. `untold`: what went
    wrong when the ledger was told, empty when nothing did.
    """

    canceled: tuple[str, ...]
    left: tuple[str, ...]
    ended: tuple[str, ...] = ()
    untold: str = ""


def cancel_open(
    ledger: Ledger,
    broker: BrokerPort,
    at: dt.datetime,
    sides: Collection[Side] = BOTH,
    *,
    wait: Wait | None = None,
) -> CancelReport:
    """Cancels the open orders of these sides from a second after instant `at` on, in the order of their ids, in rounds.

    `wait` lets seconds pass and tells the instant after them: rounds follow for 60 seconds; without it there are three at once.
    What was sent at `at` is there a moment later, and a clock that stands still must not hide it. An order that fills
    meanwhile stays filled. Raises BrokerError when the broker cannot tell in the end what is open.
    """
    desk = _Canceling(ledger, broker, frozenset(sides), at + LATER)
    waited, start = 0.0, at
    for n in range(ROUNDS_MAX if wait is None else int(SECONDS_MAX)):
        desk.round()
        if desk.open == ():
            break
        pause = PAUSES[min(n, len(PAUSES) - 1)]
        gone = max(
            waited, (desk.at - LATER - start).total_seconds()
        )  # by a clock that stands still, what was waited for
        if wait is not None and gone + pause > SECONDS_MAX:
            break
        if wait is not None:
            waited, desk.at = waited + pause, wait(pause) + LATER
    desk.look_after()
    if desk.open is None:
        raise BrokerError(f"cancel-all: expected the broker to tell what is open, found: {desk.why}")
    return CancelReport(tuple(sorted(desk.canceled)), desk.open, tuple(sorted(desk.ended)), desk.untold)


@dataclass(slots=True)
class _Canceling:
    """What is known so far. `open`: ids that the broker last named, None when it could not tell; `why` it could not."""

    ledger: Ledger
    broker: BrokerPort
    sides: frozenset[Side]
    at: dt.datetime
    open: tuple[str, ...] | None = None
    why: str = ""
    untold: str = ""
    seen: set[str] = field(default_factory=set)
    answers: dict[str, Acknowledgement] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    def round(self) -> None:
        """Asks what is open, for the end of each of it, and again what is open; what is not any more has ended as was said."""
        self._look()
        for name in self.open or ():
            self._hear(name, partial(self.broker.cancel, name, self.at))
        if self.open:
            self._look()
        self._settle()

    def look_after(self) -> None:
        """What was open and is not: where no answer said how it ended, the broker is asked for the order itself."""
        for name in sorted(self._gone() - set(self.answers)):
            self._hear(name, partial(self.broker.find, name))
        self._settle()

    def _look(self) -> None:
        try:
            orders = self.broker.report(self.at, self.at).open_orders
        except MarketbotError as error:
            self.open, self.why = None, str(error)
            return
        self.open = tuple(sorted({order.client_order_id for order in orders if order.side in self.sides}))
        self.seen |= set(self.open)
        self.answers = {
            name: answer for name, answer in self.answers.items() if name not in self.open
        }  # it was not true

    def _gone(self) -> set[str]:
        return set() if self.open is None else self.seen - set(self.open)

    def _hear(self, name: str, question: Callable[[], Acknowledgement | None]) -> None:
        """One question; a broker that does not answer leaves the order to the next round and to the report."""
        try:
            answer = question()
        except MarketbotError:
            return
        if answer is not None and answer.client_order_id == name and answer.state in TERMINAL_STATES:
            self.answers[name] = answer

    def _settle(self) -> None:
        for name in sorted(self._gone() & set(self.answers) - self.canceled - self.ended):
            answer = self.answers[name]
            (self.canceled if answer.state is OrderState.CANCELED else self.ended).add(name)
            try:
                _tell(self.ledger, name, answer, self.at)
            except MarketbotError as error:  # the next order must be asked for all the same
                self.untold = self.untold or str(error)


def _tell(ledger: Ledger, name: str, answer: Acknowledgement, at: dt.datetime) -> None:
    """The order's new state; an order that is not ours, or has ended in the ledger, is left alone."""
    state = order_state(ledger, name)
    if state is not None and state not in TERMINAL_STATES:
        told = redactor().text(answer.reason)
        record_event(
            ledger,
            name,
            answer.state,
            {"broker_order_id": answer.broker_order_id, "reason": told, "at": utc_text(at)},
        )
