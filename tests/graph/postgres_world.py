"""A home whose ledger and index lie in PostgreSQL, and a door to the server that kills it at a chosen message. No statements."""

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graph_world import Home
from services import Postgres

from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.migrations.migrate import install
from marketbot_resources.store import lake as lakes

DOWN_SECONDS = 0.3
EVERY, APPEND, ADD, EVENT = "any message", "ledger append", "index write", "Dagster's events"
WRITES = {APPEND: rb"\.append", ADD: rb"store\.add_", EVENT: rb"INSERT INTO event_logs"}
PREPARED = rb"_pg3_\d+"  # what psycopg calls a statement that it sends by name


class Spoken:
    """What one connection's messages do; statements that were prepared are known by their names."""

    def __init__(self) -> None:
        self._named: dict[bytes, set[str]] = {}

    def does(self, data: bytes) -> set[str]:
        """The kinds of one piece of what a client sends."""
        found = {EVERY} | {kind for kind, words in WRITES.items() if re.search(words, data)}
        for name, text in re.findall(rb"P....(" + PREPARED + rb")\0([^\0]*)\0", data, re.DOTALL):
            self._named[name] = {kind for kind, words in WRITES.items() if re.search(words, text)}
        for name in re.findall(rb"B....\0(" + PREPARED + rb")\0", data, re.DOTALL):
            found |= self._named.get(name, set())
        return found


class Door:
    """Hands bytes on between clients and the server; at the chosen message of a client the server dies, with every connection.

    `kill_at`: the number of the message among those of `what`, from 1 on; 0: never. `after`: the server has answered, and the
    answer is lost. `stays_down`: nobody starts the server again here. `counts`: messages so far, by what they do.
    """

    def __init__(self, server: Postgres) -> None:
        self.server, self.killed = server, False
        self.counts: Counter[str] = Counter()
        self.what, self.kill_at, self.after, self.stays_down = EVERY, 0, False, False
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._doomed: socket.socket | None = None
        self._starter: threading.Thread | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def arm(self, kill_at: int, what: str = "", *, after: bool = False, stays_down: bool = False) -> None:
        """From here on messages are counted anew."""
        with self._lock:
            self.counts, self.killed, self._doomed = Counter(), False, None
            self.what, self.kill_at, self.after, self.stays_down = what or EVERY, kill_at, after, stays_down

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
        spoken = Spoken()
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                found = spoken.does(data)
                with self._lock:
                    self.counts.update(found)
                    now = self.what in found and self.counts[self.what] == self.kill_at
                    self._doomed = server if now and self.after else self._doomed
                if now and not self.after:
                    self._kill()
                    return
                server.sendall(data)
        hang_up(client, server)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self._doomed is server and not self.killed:
                    self._kill()
                    return
                client.sendall(data)
        hang_up(client, server)

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
        hang_up(*found)


def hang_up(*ends: socket.socket) -> None:
    """Ends connections so that the other side hears it: to close a socket that another thread reads tells nobody."""
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def installed(server: Postgres) -> str:
    """The name of a new database with our schemas, whose writers may log in."""
    name = server.database()
    install(server.url("postgres", name))
    for role in ("ledger_writer", "index_writer"):
        server.login(role)
    return name


def copied(server: Postgres, database: str) -> str:
    """The name of a new database that is a copy; whoever still holds the first one is sent away.

    The checkpoint is needed: a copied sequence that had numbers in advance gives some of them twice when the server dies before it.
    """
    server.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")
    name = f"{database}_{server._databases}"
    server._databases += 1
    server.execute(f"create database {name} template {database}")
    server.execute("checkpoint")
    return name


def of_dagster(server: Postgres) -> str:
    """The name of a new database that Dagster's role owns."""
    name = server.database()
    server.login("dagster")
    server.execute(f"alter database {name} owner to dagster")
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
            if isinstance(lake.ledger, PostgresLedger):
                lake.ledger.close()
            lake.index.close()
