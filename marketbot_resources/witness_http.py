"""The witness's door: HTTP on one address, with a bound on every size, time and number of connections. Standard library only.

POST /add-checkpoint is C2SP tlog-witness. GET /checkpoint/<sha256 of the origin in hex> is ours: the last cosigned note of a
log, so that a verifier can ask what the witness has seen. Not here: what is cosigned (`witness`).
"""

import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from marketbot_resources.errors import MarketbotError
from marketbot_resources.witness import REQUEST_BYTES_MAX, Answer, Witness

CONNECTIONS_MAX = 32
READ_SECONDS, CONNECTION_SECONDS = 10.0, 60.0
ADD, SHOW = "/add-checkpoint", "/checkpoint/"


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness until `shutdown`. Raises OSError when the address is not to be had."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._open: dict[Any, float] = {}
        super().__init__(address, _Door)

    @property
    def url(self) -> str:
        """Its address."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Binds without asking a name server who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, when one is free within a second."""
        if not self._slots.acquire(timeout=1.0):
            super().shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Ends a connection and frees its place."""
        super().shutdown_request(request)
        if self._open.pop(request, None) is not None:
            self._slots.release()

    def service_actions(self) -> None:
        """Cuts connections that have lasted too long, however little they say at a time."""
        oldest = time.monotonic() - CONNECTION_SECONDS
        for request, since in list(self._open.items()):
            if since < oldest:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is one line."""
        print(f"witness: a connection broke: {sys.exc_info()[1]}", file=sys.stderr, flush=True)


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "marketbot-witness", ""
    timeout = READ_SECONDS
    disable_nagle_algorithm = True
    server: WitnessServer

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path != ADD:
            self._say(Answer(404, f"expected {ADD}\n"))
            return
        self._say(self._asked(lambda: self.server.witness.add_checkpoint(body)))

    def do_GET(self) -> None:
        if not self.path.startswith(SHOW):
            self._say(Answer(404, f"expected {SHOW}<sha256 of the origin in hex>\n"))
            return
        self._say(self._asked(lambda: self.server.witness.checkpoint(self.path[len(SHOW) :])))

    def _asked(self, ask: Any) -> Answer:
        try:
            answer: Answer = ask()
        except MarketbotError as error:
            return Answer(500, "the witness cannot use its state; its operator knows why\n", about=str(error))
        return answer

    def _body(self) -> bytes | None:
        """The request's body; None when the answer is given already."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._say(Answer(411, "expected a Content-Length\n"), last=True)
        elif len(length) > 9 or int(length) > REQUEST_BYTES_MAX:
            self._say(Answer(413, f"expected at most {REQUEST_BYTES_MAX} bytes\n"), last=True)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    def _say(self, answer: Answer, *, last: bool = False) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        if last:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if answer.about:
            print(f"witness: {answer.status} {answer.about!a}", file=sys.stderr, flush=True)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what matters is said with the answer."""
