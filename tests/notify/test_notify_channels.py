"""Channels against real servers that fail on request: what acknowledges, what does not and why, and that no secret is told."""

import ssl
from pathlib import Path

import pytest
from alert_servers import HookServer, MailServer, certificate

from marketbot_resources.alert_codes import raised
from marketbot_resources.mandate_notification import Channel
from marketbot_resources.notify.opening import open_channel
from marketbot_resources.notify.port import Acknowledged, Message, NotDelivered
from marketbot_resources.notify.smtp import SmtpTransport
from marketbot_resources.notify.text import message_of
from marketbot_resources.notify.web import SlackTransport
from marketbot_resources.redaction import Redactor, environment_secrets

MESSAGE = Message("[marketbot] CRITICAL HALT_C", "a <b> & c\nzwei Größen", "marketbot.0123")
USER, PASSWORD = "bot@example.org", "correct-horse-battery"


def mailbox(port: int, security: str = "plain", user: str = "", password: str = "") -> SmtpTransport:
    to = ("me@example.org", "you@example.org")
    return SmtpTransport("127.0.0.1", port, security, "bot@example.org", to, user, password, timeout=5.0)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    context, pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return context


def test_a_mail_arrives_with_its_acknowledgement() -> None:
    """The server's own 250; both recipients, text as it was written, an id that does not change."""
    with MailServer() as server:
        assert mailbox(server.port).send(MESSAGE) == Acknowledged("250 queued as 1")
    (mail,) = server.mails
    assert (mail["Subject"], mail["To"]) == (MESSAGE.title, "me@example.org, you@example.org")
    assert mail["Message-ID"] == "<marketbot.0123@example.org>"
    assert mail.get_content().strip().splitlines() == MESSAGE.text.splitlines()


def test_starttls_and_a_password(trusted: ssl.SSLContext) -> None:
    """Encrypted before anything is said, with a certificate that is checked; a wrong password lasts."""
    with MailServer(USER, PASSWORD, trusted) as server:
        assert isinstance(mailbox(server.port, "starttls", USER, PASSWORD).send(MESSAGE), Acknowledged)
        wrong = mailbox(server.port, "starttls", USER, "wrong-horse-battery").send(MESSAGE)
        plain = mailbox(server.port).send(MESSAGE)
    assert isinstance(wrong, NotDelivered)
    assert wrong.lasting
    assert "refused user and password" in wrong.reason
    assert isinstance(plain, NotDelivered)
    assert len(server.mails) == 1


def test_a_certificate_that_nobody_signed_ends_it(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    with MailServer(context=context) as server:
        told = mailbox(server.port, "starttls").send(MESSAGE)
    assert isinstance(told, NotDelivered)
    assert told.lasting
    assert server.taken == []


def test_a_server_without_starttls_gets_nothing() -> None:
    """No fall-back to plain text: a password would be readable."""
    with MailServer() as server:
        told = mailbox(server.port, "starttls", USER, PASSWORD).send(MESSAGE)
    assert isinstance(told, NotDelivered)
    assert server.taken == []


@pytest.mark.parametrize(
    ("fault", "said", "lasting"),
    [
        ("busy rcpt", "450", False),
        ("no such rcpt", "550", True),
        ("refused data", "554", True),
        ("drop after data", "", False),
    ],
)
def test_what_a_mail_server_answers(fault: str, said: str, lasting: bool) -> None:
    with MailServer() as server:
        server.faults = [fault]
        told = mailbox(server.port).send(MESSAGE)
    assert isinstance(told, NotDelivered)
    assert said in told.reason
    assert (told.lasting, server.mails) == (lasting, [])


def test_a_port_where_nobody_listens() -> None:
    with MailServer() as server:
        port = server.port
    assert isinstance(mailbox(port).send(MESSAGE), NotDelivered)
    gone = SlackTransport(f"http://127.0.0.1:{port}/hook", timeout=0.5).send(MESSAGE)
    assert isinstance(gone, NotDelivered)
    assert not gone.lasting


def test_a_webhook_takes_plain_text() -> None:
    """Nothing in a message can mention a channel or hide a link."""
    with HookServer() as hook:
        assert SlackTransport(hook.address).send(MESSAGE) == Acknowledged("HTTP 200 ok")
        SlackTransport(hook.address).send(Message("t", "<!channel> <http://127.0.0.1|here>", "n"))
    assert hook.posts[0] == "[marketbot] CRITICAL HALT_C\na &lt;b&gt; &amp; c\nzwei Größen"
    assert "<" not in hook.posts[1]


@pytest.mark.parametrize(
    ("fault", "lasting"),
    [("400", True), ("404", True), ("429", False), ("500", False), ("503", False), ("redirect", True), ("hang", False),
     ("reset", False), ("drop", False)],
)  # fmt: skip
def test_what_a_webhook_answers(fault: str, lasting: bool) -> None:
    """Only 200 acknowledges; a redirect is not followed; no reason names the address."""
    with HookServer() as hook:
        hook.faults = [fault]
        told = SlackTransport(hook.address, timeout=0.3).send(MESSAGE)
        assert len(hook.requests) == 1
    assert isinstance(told, NotDelivered)
    assert told.lasting is lasting
    assert "hookpath" not in told.reason


@pytest.mark.parametrize(
    "address", ["http://hooks.example.org/x", "ftp://127.0.0.1/x", "file:///x", "https://", "no address", "http://[::1"]
)
def test_an_address_that_is_not_https_is_never_asked(address: str) -> None:
    told = open_channel(Channel(name="ops", kind="slack"), {"MARKETBOT_SLACK_WEBHOOK": address}).send(MESSAGE)
    assert isinstance(told, NotDelivered)
    assert told.lasting


def test_a_channel_may_have_a_secret_of_its_own() -> None:
    """By its name; the common one serves the others."""
    with HookServer() as own, HookServer() as common:
        given = {"MARKETBOT_SLACK_WEBHOOK": common.address, "MARKETBOT_SLACK_WEBHOOK_ON_CALL": own.address}
        for name in ("on-call", "ops"):
            open_channel(Channel(name=name, kind="slack"), given).send(MESSAGE)
        assert (len(own.posts), len(common.posts)) == (1, 1)


@pytest.mark.parametrize("given", [{"MARKETBOT_SMTP_USER": "u"}, {"MARKETBOT_SMTP_PASSWORD": "p"}])
def test_half_a_login_is_none(given: dict[str, str]) -> None:
    told = {"name": "m", "kind": "smtp", "host": "127.0.0.1", "security": "plain", "from": "a@b.c", "to": ["a@b.c"]}
    assert isinstance(open_channel(Channel.model_validate(told), given).send(MESSAGE), NotDelivered)


def test_addresses_of_channels_are_secrets() -> None:
    """Whole and without their host, in everything that is recorded or logged; also each of several."""
    hook = "https://hooks.example.org/services/T0AAAA/B0BBBB/longlonglong"
    beat, others = "https://beat.example.org/ping/0123-4567", "tgram://token123456/42 mailto://u:pw12345@h.org"
    names = ("MARKETBOT_SLACK_WEBHOOK_OPS", "MARKETBOT_HEARTBEAT_URL", "MARKETBOT_APPRISE_URLS")
    known = Redactor(environment_secrets(dict(zip(names, (hook, beat, others), strict=True))))
    for secret in (hook, beat, *others.split(), "services/T0AAAA/B0BBBB/longlonglong", "ping/0123-4567"):
        assert secret not in known.text(f"ConnectError: {secret} did not answer")


def test_apprise_needs_addresses() -> None:
    """The library is not even loaded."""
    told = open_channel(Channel(name="sms", kind="apprise"), {"MARKETBOT_APPRISE_URLS": " "}).send(MESSAGE)
    assert isinstance(told, NotDelivered)
    assert told.lasting
    assert "MARKETBOT_APPRISE_URLS" in told.reason


@pytest.mark.long
def test_apprise_is_told_of_what_it_cannot_read_and_takes_what_it_can() -> None:
    """By its JSON channel to this machine; loading its hundred plug-ins takes seconds."""
    channel = Channel(name="sms", kind="apprise")
    with HookServer() as hook:
        address = hook.address.replace("http://", "json://")
        told = open_channel(channel, {"MARKETBOT_APPRISE_URLS": address}).send(MESSAGE)
        assert isinstance(told, Acknowledged)
        hook.faults = ["500"]
        assert isinstance(open_channel(channel, {"MARKETBOT_APPRISE_URLS": address}).send(MESSAGE), NotDelivered)
        assert len(hook.requests) == 2
    unread = open_channel(channel, {"MARKETBOT_APPRISE_URLS": "nonsense"}).send(MESSAGE)
    assert isinstance(unread, NotDelivered)
    assert unread.lasting


def test_a_message_of_hostile_text_stays_one_mail() -> None:
    """Line ends and control characters in what others wrote make no header and no second mail."""
    bad = raised("STOP_HIT", "x\r\nBcc: all@example.org", "2018-12-11", "y\r\n.\r\nMAIL FROM:<z@example.org>\x00")
    with MailServer() as server:
        assert isinstance(mailbox(server.port).send(message_of([bad], (1, "00"))), Acknowledged)
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
