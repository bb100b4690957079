"""A channel of the mandate with its secrets becomes a transport; what is missing makes one that never sends and says why."""

from collections.abc import Mapping

from marketbot_resources.mandate_notification import Channel
from marketbot_resources.notify.others import AppriseTransport
from marketbot_resources.notify.port import TIMEOUT_SECONDS, Closed, Transport
from marketbot_resources.notify.smtp import SmtpTransport
from marketbot_resources.notify.web import SlackTransport, refusal_of
from marketbot_resources.settings import APPRISE_URLS, SLACK_WEBHOOK, SMTP_PASSWORD, SMTP_USER


def own_name(variable: str, channel: str) -> str:
    """The variable that serves one channel alone and comes before the common one: two webhooks need two."""
    return f"{variable}_{channel.upper().replace('-', '_')}"


def open_channel(channel: Channel, environ: Mapping[str, str], timeout: float = TIMEOUT_SECONDS) -> Transport:
    """The transport of a channel. `environ`: the variables of notification (`settings.notifier_variables`)."""

    def secret(name: str) -> str:
        return (environ.get(own_name(name, channel.name)) or environ.get(name) or "").strip()

    if channel.kind == "smtp":
        assert channel.sender is not None, "the mandate's own check"
        user, password = secret(SMTP_USER), secret(SMTP_PASSWORD)
        if bool(user) != bool(password):
            return Closed(f"expected {SMTP_USER} and {SMTP_PASSWORD} in the environment, found one of them")
        return SmtpTransport(
            channel.host, channel.port, channel.security, channel.sender, channel.to, user, password, timeout
        )
    if channel.kind == "slack":
        address = secret(SLACK_WEBHOOK)
        if not address:
            return Closed(f"expected a webhook in the environment, found none: set {SLACK_WEBHOOK}")
        return Closed(refusal_of(address)) if refusal_of(address) else SlackTransport(address, timeout)
    addresses = tuple(secret(APPRISE_URLS).split())
    return (
        AppriseTransport(addresses)
        if addresses
        else Closed(f"expected addresses in the environment: set {APPRISE_URLS}")
    )
