"""What following the orders knows beside the broker's report: what belongs to a session, and which orders still work. Pure.

Not here: asking the broker and writing down (`broker.following`, `broker.hearing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.model import AccountEvent, Bust, Execution, Order, OrderState


@dataclass(frozen=True, slots=True)
class Heard:
    """What belongs to one session, by instant and id. `busted`: facts of an execution that was taken back, where they are known.

    `late`: execution ids of an instant that an earlier session had covered; `withdrawn`: told once, not named any more.
    """

    executions: tuple[Execution, ...]
    events: tuple[AccountEvent, ...]
    busts: tuple[Bust, ...]
    busted: Mapping[str, Execution]
    late: frozenset[str]
    withdrawn: frozenset[str]


@dataclass(frozen=True, slots=True)
class Working:
    """An order that has not ended by our ledger; `remaining`: its quantity less the fills that were heard."""

    order: Order
    state: OrderState
    remaining: Decimal
