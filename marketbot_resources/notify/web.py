"""Slack's incoming webhook, and the heartbeat to an outside watcher: one HTTP request, no redirect, HTTP 200 acknowledges.

Addresses are secrets: no message of ours holds one.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from marketbot_resources.notify.port import ANSWER_MAX, TIMEOUT_SECONDS, Acknowledged, Message, NotDelivered

_PASSING = (408, 425, 429)
_BODY_MAX = 4096
_TEXT_MAX = 3500


def refusal_of(address: str) -> str:
    """Why an address is not asked, or "": https, or this machine for tests."""
    try:
        parts = urlsplit(address)
        fine = (parts.scheme == "https" and parts.hostname) or (
            parts.scheme == "http" and parts.hostname == "127.0.0.1"
        )
    except ValueError:
        return "its address cannot be read"
    return "" if fine else "its address is not https"


@dataclass(frozen=True, slots=True)
class SlackTransport:
    """A channel behind an incoming webhook."""

    address: str = field(repr=False)
    timeout: float = TIMEOUT_SECONDS

    def send(self, message: Message) -> Acknowledged | NotDelivered:
        """Posts the message as plain text, with its blocks if it has some: nothing in it mentions anybody or becomes a link."""
        text = f"{message.title}\n{message.text}"[:_TEXT_MAX]
        plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body: dict[str, object] = {"text": plain, "mrkdwn": False, "unfurl_links": False}
        if message.blocks:
            body |= {"blocks": list(message.blocks)}
        return asked("POST", self.address, body, self.timeout)


def asked(method: str, address: str, body: dict[str, object] | None, timeout: float) -> Acknowledged | NotDelivered:
    """One request. HTTP 200 acknowledges; 4xx lasts, but for those that ask to come again."""
    import httpx

    refused = refusal_of(address)
    if refused:
        return NotDelivered(refused, lasting=True)
    try:
        with (
            httpx.Client(
                timeout=timeout, follow_redirects=False, trust_env=False, verify=address.startswith("https")
            ) as client,
            client.stream(method, address, json=body) as answer,
        ):
            said = _beginning(answer)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return NotDelivered(f"no answer: {type(error).__name__}")
    code = answer.status_code
    told = f"HTTP {code} {said}".strip()
    if code == httpx.codes.OK:
        return Acknowledged(told)
    return NotDelivered(told, lasting=300 <= code < 500 and code not in _PASSING)


def _beginning(answer: "object") -> str:
    """The first line of an answer's body, without control characters."""
    import httpx

    assert isinstance(answer, httpx.Response)
    got = bytearray()
    for piece in answer.iter_bytes():
        got += piece
        if len(got) >= _BODY_MAX:
            break
    text = bytes(got[:_BODY_MAX]).decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:ANSWER_MAX]
