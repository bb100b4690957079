"""A mail server and a webhook server on this machine, real protocols, which fail on request.

with MailServer(user="u", password="p") as mail: mail.fault = "450 busy at rcpt"; ...; assert mail.mails == []
with HookServer() as hook: hook.faults = ["500", "hang"]; ...; assert len(hook.posts) == 1
"""

import datetime as dt
import email
import email.policy
import http.server
import ipaddress
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG_SECONDS = 20.0


class MailServer:
    """SMTP by aiosmtpd. `faults`: one per message, then none: `busy rcpt`, `no such rcpt`, `refused data`, `drop after data`."""

    def __init__(self, user: str = "", password: str = "", context: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.taken: list[EmailMessage] = []  # also those whose acknowledgement got lost
        self.at: list[float] = []
        self.faults: list[str] = []
        self.user, self.password = user, password
        secured = {"tls_context": context, "require_starttls": True} if context else {}
        asks = (
            {"authenticator": self._knows, "auth_required": True, "auth_require_tls": context is not None}
            if user
            else {}
        )
        self._controller = Controller(self, hostname="127.0.0.1", port=0, **secured, **asks)

    def __enter__(self) -> Self:
        # the controller's own check connects to the port it was given; it is told which one is free
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._controller.port = free.getsockname()[1]
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def _knows(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, told: object) -> AuthResult:
        assert isinstance(told, LoginPassword)
        known = (told.login.decode(), told.password.decode()) == (self.user, self.password)
        return AuthResult(success=known, handled=False)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: list[str]) -> str:  # noqa: N802
        fault = self.faults[0] if self.faults else ""
        if fault in ("busy rcpt", "no such rcpt"):
            self.faults.pop(0)
            return "450 try again later" if fault == "busy rcpt" else "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused data":
            return "554 looks like spam"
        content = envelope.content
        assert isinstance(content, bytes)
        if b"\n" in content.replace(b"\r\n", b""):
            return "554 bare newline"  # what servers of today refuse (RFC 5321 2.3.8)
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.taken.append(mail)
        if fault == "drop after data":
            assert server.transport is not None
            server.transport.abort()
            return "250 never heard"
        self.mails.append(mail)
        self.at.append(time.time())
        return f"250 queued as {len(self.mails)}"


class HookServer:
    """A webhook. `faults`: one per request, then none: a status, `hang`, `reset`, `drop` (takes it, no answer), `redirect`."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.at: list[float] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.gate = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/services/T0SECRET/B0SECRET/hookpath1234567"

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                owner.serve(self, body)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def serve(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            self.requests.append((handler.command, handler.path))
            fault = self.faults.pop(0) if self.faults else ""
        if fault == "hang":
            self.gate.wait(HANG_SECONDS)
            return
        if fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        if fault == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if not fault or fault == "drop":
            told = json.loads(body) if body else {}
            with self._lock:
                self.posts.append(str(told.get("text", told)))
                self.at.append(time.time())
            if fault == "drop":
                handler.connection.shutdown(socket.SHUT_RDWR)
                handler.close_connection = True
                return
        answer = b"ok" if not fault else b"invalid_payload"
        handler.send_response(200 if not fault else int(fault))
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """(a server's context, the file that trusts it) for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail for tests")])
    today = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today)
        .not_valid_after(today + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "mail.pem", folder / "mail.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem
