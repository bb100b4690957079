"""The port of a channel: a message goes out and is acknowledged, or not, and then why. One contract, every kind keeps it.

Not here: which channel an alert takes, how often it is tried (`delivery`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from marketbot_resources.ledger.record import Json

TIMEOUT_SECONDS = 10.0
ANSWER_MAX = 200


@dataclass(frozen=True, slots=True)
class Message:
    """What people read. `title`: one line; `text`: lines; `name`: the same message has the same name, whoever sends it again.

    `html`: the text again for mailboxes that show it, or ""; `blocks`: the same for Slack (Block Kit), or none.
    """

    title: str
    text: str
    name: str
    html: str = ""
    blocks: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The channel took the message. `answer`: its own words, like an SMTP 250 with the queue's id."""

    answer: str


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """The channel did not take it, or it is not known. `lasting`: asking again helps nothing until someone changes the set-up."""

    reason: str
    lasting: bool = False


class Transport(Protocol):
    """One channel, opened with its secrets."""

    def send(self, message: Message) -> Acknowledged | NotDelivered:
        """Sends one message within TIMEOUT_SECONDS per step of the protocol; raises nothing that the world can cause."""
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """A channel that cannot be opened, for a reason that lasts."""

    reason: str

    def send(self, message: Message) -> Acknowledged | NotDelivered:
        """Never sends."""
        return NotDelivered(self.reason, lasting=True)
