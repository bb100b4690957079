"""Other channels (SMS, chat, push) by the optional library Apprise, which is loaded only when a channel asks for it."""

import warnings
from dataclasses import dataclass, field

from marketbot_resources.notify.port import Acknowledged, Message, NotDelivered

_ACCEPTED = "accepted by apprise"


@dataclass(frozen=True, slots=True)
class AppriseTransport:
    """Addresses in Apprise's own form, which are secrets. Files, plug-ins of others and logs of the library are off."""

    addresses: tuple[str, ...] = field(repr=False)

    def send(self, message: Message) -> Acknowledged | NotDelivered:
        """The library tells only whether every address took it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its plug-ins import what newer Pythons deprecate
            return self._sent(message)

    def _sent(self, message: Message) -> Acknowledged | NotDelivered:
        try:
            import apprise
        except ImportError:
            return NotDelivered("apprise is not installed: install the extra apprise", lasting=True)
        try:
            asset = apprise.AppriseAsset(async_mode=False, plugin_paths=[], storage_mode="memory")
            target = apprise.Apprise(asset=asset)
            if not all([target.add(address) for address in self.addresses]):
                return NotDelivered("an address is none that apprise understands", lasting=True)
            fine = target.notify(body=message.text, title=message.title, body_format="text")
        except Exception as error:  # the edge to a library of a hundred services
            return NotDelivered(f"apprise: {type(error).__name__}")
        return Acknowledged(_ACCEPTED) if fine else NotDelivered("apprise: not every address took it")
