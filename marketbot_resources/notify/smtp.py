"""E-mail over SMTP (RFC 5321): STARTTLS or TLS with the certificate checked; plain text to this machine alone.

The acknowledgement is the server's 250 to the end of the data: from there on the message is the server's.
"""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from marketbot_resources.notify.port import ANSWER_MAX, TIMEOUT_SECONDS, Acknowledged, Message, NotDelivered

_PERMANENT = range(500, 600)
# 421: the server goes away; 552: mailbox full. Both may be mended by waiting.
_PASSING = (552,)


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """One mailbox's way out. `security`: starttls, tls or plain. Without `user` nobody logs in."""

    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    timeout: float = TIMEOUT_SECONDS

    def send(self, message: Message) -> Acknowledged | NotDelivered:
        """One connection, one message to all recipients; refused by one of them, it counts as not delivered."""
        try:
            with self._connected() as server:
                return self._sent(server, message)
        except smtplib.SMTPAuthenticationError as error:
            return NotDelivered(f"the server refused user and password: {_said(error)}", lasting=True)
        except smtplib.SMTPResponseException as error:
            lasting = error.smtp_code in _PERMANENT and error.smtp_code not in _PASSING
            return NotDelivered(_said(error), lasting=lasting)
        except smtplib.SMTPNotSupportedError as error:
            return NotDelivered(str(error)[:ANSWER_MAX], lasting=True)
        except ssl.SSLCertVerificationError as error:
            return NotDelivered(f"its certificate is not trusted: {error.verify_message}", lasting=True)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return NotDelivered(f"{type(error).__name__}: {error}"[:ANSWER_MAX])

    def _connected(self) -> smtplib.SMTP:
        """Connected, encrypted where that is asked for, and logged in. Raises what smtplib raises; no socket is left open then."""
        name = self.sender.partition("@")[2]  # else smtplib asks the network for the machine's own name
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, name, timeout=self.timeout, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self.host, self.port, name, timeout=self.timeout)
        try:
            server.ehlo()
            if self.security == "starttls":
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server

    def _sent(self, server: smtplib.SMTP, message: Message) -> Acknowledged | NotDelivered:
        steps: tuple[tuple[Callable[[], tuple[int, bytes]], str], ...] = (
            (lambda: server.mail(self.sender), self.sender),
            *((lambda name=name: server.rcpt(name), name) for name in self.to),  # type: ignore[misc]
        )
        for ask, who in steps:
            code, said = ask()
            if code not in (250, 251):
                return NotDelivered(f"{who}: {_answer(code, said)}", lasting=code in _PERMANENT)
        code, said = server.data(self._mail(message).as_bytes(policy=SMTP))
        if code != 250:
            return NotDelivered(_answer(code, said), lasting=code in _PERMANENT and code not in _PASSING)
        return Acknowledged(_answer(code, said))

    def _mail(self, message: Message) -> EmailMessage:
        """The mail. Its Message-ID is made of the message's name: readers that see it twice show it once."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.title, self.sender, ", ".join(self.to)
        mail["Message-ID"] = f"<{message.name}@{self.sender.partition('@')[2]}>"
        mail["Date"], mail["Auto-Submitted"] = formatdate(), "auto-generated"
        mail.set_content(message.text)
        return mail


def _said(error: smtplib.SMTPResponseException) -> str:
    return _answer(error.smtp_code, error.smtp_error)


def _answer(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:ANSWER_MAX]
