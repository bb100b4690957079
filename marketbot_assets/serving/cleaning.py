"""Nothing that leaves holds a secret or the number of an account: masked in values, in pages, and once more in bytes.

Not here: what looks like a secret (`redaction` and `secret_patterns` of the resources).
"""

import itertools
import re
from collections.abc import Iterable, Mapping

from marketbot_assets.commands.views_cli import json_value
from marketbot_resources.redaction import Redactor
from marketbot_resources.secret_patterns import MASK

_NUMBERS = itertools.count()


class Cleaner:
    """Masks known secrets, what looks like one, and account numbers wherever they stand as a word. `number`: its own."""

    def __init__(self, secrets: Iterable[str], accounts: Iterable[str]) -> None:
        names = sorted({name for name in accounts if name}, key=lambda name: (-len(name), name))
        self.number = next(_NUMBERS)
        self._redactor = Redactor([*secrets, *names])
        word = "|".join(map(re.escape, names))
        self._account = re.compile(rf"(?<![0-9A-Za-z])(?:{word})(?![0-9A-Za-z])", re.IGNORECASE) if names else None

    def text(self, text: str) -> str:
        """A page or a message without them."""
        return self.accounts(self._redactor.text(text))

    def value(self, view: object) -> object:
        """A view as JSON values without them: keys, too, where a key is an account."""
        return self._value(self._redactor.json(json_value(view)))

    def body(self, data: bytes) -> bytes:
        """The last look at bytes on their way out: as they are, unless something was missed."""
        if not self._redactor.holds_secret(data) and (self._account is None or not self._account.search(_text(data))):
            return data
        return self.text(_text(data)).encode("utf-8", "surrogateescape")

    def accounts(self, text: str) -> str:
        """A text with the accounts alone masked."""
        return text if self._account is None else self._account.sub(MASK, text)

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.accounts(value)
        if isinstance(value, Mapping):
            return {self.accounts(str(key)): self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return value


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
