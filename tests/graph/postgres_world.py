"""A home whose ledger and index lie in PostgreSQL, and a door to the server that kills it at a chosen message. No statements."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from graph_world import Home
from services import Postgres

from marketbot_resources.migrations.migrate import install
from marketbot_resources.store import lake as lakes

DOWN_SECONDS = 0.3


class Door:
    """Hands bytes on between clients and the server; at the chosen message of a client the server dies, with every connection.

    `kill_at`: the number of the message, from 1 on; 0: never. `after`: the server has answered, and the answer is lost.
    `stays_down`: nobody starts the server again here.
    """

    def __init__(self, server: Postgres) -> None:
        self.server, self.seen, self.killed = server, 0, False
        self.kill_at, self.after, self.stays_down = 0, False, False
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._starter: threading.Thread | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def arm(self, kill_at: int, *, after: bool = False, stays_down: bool = False) -> None:
        """From here on messages are counted anew."""
        with self._lock:
            self.seen, self.killed = 0, False
            self.kill_at, self.after, self.stays_down = kill_at, after, stays_down

    def up(self) -> None:
        """Waits for the server, and starts it where it stayed down."""
        if self._starter is not None:
            self._starter.join()
            self._starter = None
        elif self.killed:
            self.server.start()
        self.killed = False

    def close(self) -> None:
        self._listener.close()
        self._hang_up()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server.ports[0]), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                with self._lock:
                    self.seen += 1
                    now = self.seen == self.kill_at
                if now and not self.after:
                    self._kill()
                    return
                server.sendall(data)
        for one in (client, server):
            one.close()

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self.after and self.kill_at and self.seen >= self.kill_at and not self.killed:
                    self._kill()
                    return
                client.sendall(data)
        for one in (client, server):
            one.close()

    def _kill(self) -> None:
        with self._lock:
            if self.killed:
                return
            self.killed = True
        self.server.kill()
        self._hang_up()
        if not self.stays_down:
            self._starter = threading.Thread(target=self._start_later)
            self._starter.start()

    def _start_later(self) -> None:
        time.sleep(DOWN_SECONDS)
        self.server.start()

    def _hang_up(self) -> None:
        with self._lock:
            found, self._open = self._open, set()
        for one in found:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def installed(server: Postgres) -> str:
    """The name of a new database with our schemas, whose writers may log in."""
    name = server.database()
    install(server.url("postgres", name))
    for role in ("ledger_writer", "index_writer"):
        server.login(role)
    return name


def copied(server: Postgres, database: str) -> str:
    """The name of a new database that is a copy."""
    name = f"{database}_{server._databases}"
    server._databases += 1
    server.execute(f"create database {name} template {database}")
    return name


def addresses(server: Postgres, database: str, port: int | None = None) -> dict[str, str]:
    """The variables that put ledger and index there."""
    roles = {"MARKETBOT_LEDGER": "ledger_writer", "MARKETBOT_INDEX": "index_writer"}
    return {
        name: server.url(role, database).replace(f":{server.ports[0]}/", f":{port or server.ports[0]}/")
        for name, role in roles.items()
    }


@contextlib.contextmanager
def closing_lakes(home: Home) -> Iterator[None]:
    """Afterwards this process has no connection for the home."""
    try:
        yield
    finally:
        lake = lakes._LAKES.pop(Path(home.path).resolve(), None)
        if lake is not None:
            lake.ledger.close()  # type: ignore[attr-defined]
            lake.index.close()
