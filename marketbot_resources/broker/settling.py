"""An order in doubt: how the broker is asked for it, what its answer must say, when it may be sent again, when it is over.

A broker that takes one id at most once may be sent the same id again. Of another one nothing is assumed before its lateness
has passed: an order may become live until then, and only its own records of orders, executions and positions, all three
without a trace of the order, show that it never came. Not here: the recording of any of it (`sending`, `sessions`).
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.broker.order_states import ANSWERS
from marketbot_resources.model import Acknowledgement, BrokerPort, Kind, Order, plain
from marketbot_resources.redaction import redactor

LOOKUP_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 29.0)
NEVER_ARRIVED = "never arrived"
_REASON_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class View:
    """The broker's answer about an order. `why`: what is wrong with it, empty when it can be used or the order is unknown there.

    `mismatch`: the order of which the broker speaks instead of ours.
    """

    answer: Acknowledgement | None
    why: str = ""
    mismatch: Acknowledgement | None = None

    @property
    def absent(self) -> bool:
        """The broker was asked and does not know the order."""
        return self.answer is None and not self.why


@dataclass(frozen=True, slots=True)
class Baseline:
    """Shares per instrument that the account held at the instant `at`, before any order of a batch: what its positions must
    still show, but for the batch's own fills, if an order never came.
    """

    at: dt.datetime
    positions: Mapping[str, Decimal]


def judged(order: Order, answer: object) -> View:
    """What an answer is worth: it must be about this order, echo its fields where it echoes any, and name a known state."""
    if not isinstance(answer, Acknowledgement):
        return View(None, f"answered {type(answer).__name__}")
    if answer.client_order_id != order.client_order_id:
        return View(None, f"answered about {_short(answer.client_order_id)}", answer)
    if why := _differs(order, answer):
        return View(None, why, answer)
    if answer.state not in ANSWERS:
        return View(None, _short(f"answered with state {answer.state}: {answer.reason}"))
    return View(answer)


def asked(broker: BrokerPort, order: Order) -> View:
    """One question to the broker; whatever breaks is an answer that cannot be used."""
    try:
        found = broker.find(order.client_order_id)
    except Exception as error:
        return View(None, failure(error))
    return View(None) if found is None else judged(order, found)


def failure(error: Exception) -> str:
    """An exception in one bounded line without secrets: half a secret would not be recognised."""
    return _short(f"{type(error).__name__}: {error}")


def is_over(order: Order, attempt_at: dt.datetime, lateness_max: dt.timedelta, now: dt.datetime) -> bool:
    """Whether an order that the broker does not know can no longer come: window and lateness have passed."""
    return now > max(order.send_until, attempt_at + lateness_max)


def leaves_no_trace(
    broker: BrokerPort, order: Order, baseline: Baseline, ours: Collection[str], now: dt.datetime
) -> bool:
    """Whether open orders, executions and positions of the broker show nothing of an order. `ours`: the batch's other ids.

    A currency leg always may have left one: cash moves for many reasons. So does what the broker does not answer.
    """
    if order.kind is not Kind.EQUITY:
        return False
    others = frozenset(ours) - {order.client_order_id}
    try:
        report = broker.report(baseline.at, now)
        told = [(o.client_order_id, o.instrument) for o in report.open_orders]
        told += [(e.client_order_id, e.instrument) for e in report.executions]
        if any(
            name == order.client_order_id or name not in others for name, place in told if place == order.instrument
        ):
            return False
        if any(name == order.client_order_id for name, _ in told):
            return False
        expected = baseline.positions.get(order.instrument, Decimal(0))
        expected += sum(
            (e.side.sign * e.quantity for e in report.executions if e.instrument == order.instrument), Decimal(0)
        )
        return report.positions.get(order.instrument, Decimal(0)) == expected
    except Exception:
        return False


def _differs(order: Order, answer: Acknowledgement) -> str:
    """The first field that the broker echoes differently; None in the answer means that it does not echo it."""
    for name in ("instrument", "side", "quantity", "limit_price"):
        told, mine = getattr(answer, name), getattr(order, name)
        if told is not None and told != mine:
            return f"confirmed {name} {_text(told)}, expected {_text(mine)}"
    return ""


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) and value.is_finite() else _short(str(value))


def _short(text: str) -> str:
    return redactor().text(text)[:_REASON_LENGTH_MAX]
