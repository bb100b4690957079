"""`marketbot serve` with what stands around it in earnest: nginx with TLS in front, a PostgreSQL ledger that it may only read."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from server_process import Server
from services import Postgres
from serving_world import BEGAN, HOST, Served
from views_world import FIRST

from marketbot_resources.clock import machine_now
from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.opening import read_ledger
from marketbot_resources.ledger.postgres import PostgresLedger, install
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.tokens import Scope, Tokens

ROOT = Path(__file__).parents[2]
NAME = "desk.example"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.graph, pytest.mark.long]


class Nginx(Server):
    """The proxy of docs/api.md, with a certificate that it makes itself."""

    def __init__(self, behind: str) -> None:
        super().__init__("nginx", 1)
        certificate = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", f"/CN={NAME}"]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate]
        subprocess.run(
            [*made, "-addext", f"subjectAltName=DNS:{NAME}"], cwd=self.folder, check=True, capture_output=True
        )
        text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
        place = text[text.index("location / {") :].partition("```")[0].replace("http://127.0.0.1:8787", behind)
        paths = "".join(f"{kind}_temp_path t_{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        tls = f"listen 127.0.0.1:{self.ports[0]} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;"
        (self.folder / "nginx.conf").write_text(
            f"pid nginx.pid; error_log stderr; events {{}} http {{ {paths} access_log off; server {{ {tls} {place} }} }}"
        )

    def command(self) -> list[str]:
        return [str(NGINX), "-p", str(self.folder), "-c", "nginx.conf", "-g", "daemon off; master_process off;"]

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[0])) == 0


class Caller(http.client.HTTPSConnection):
    """A connection to 127.0.0.1 that believes this one certificate, for the name `NAME`."""

    def __init__(self, port: int, certificate: Path) -> None:
        super().__init__(NAME, port, timeout=60, context=ssl.create_default_context(cafile=str(certificate)))

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        self.sock = self._context.wrap_socket(plain, server_hostname=NAME)  # type: ignore[attr-defined]


@contextmanager
def serving(home: Path) -> Iterator[str]:
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "serve", "--port", "0", "--json"]
    more = ["--name", NAME, "--proxy", "127.0.0.1"]
    process = subprocess.Popen([*command, *more], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield str(json.loads(process.stdout.readline())["address"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_behind_nginx_with_tls(finished: Path, tmp_path: Path) -> None:
    """The documented configuration: TLS, a Secure cookie, a stop; another name and plain HTTP are refused."""
    home = tmp_path / "home"
    shutil.copytree(finished, home)
    token = {scope: Tokens(home).create(scope.value, scope, 1, machine_now())[1] for scope in Scope}
    with serving(home) as behind, Nginx(behind) as proxy:
        certificate = proxy.folder / "cert.pem"

        def ask(method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, bytes]:
            """(status, Set-Cookie, body)."""
            with closing(Caller(proxy.ports[0], certificate)) as caller:
                told = {name.replace("_", "-"): value for name, value in headers.items()}
                caller.request(method, path, body or None, told)
                answer = caller.getresponse()
                return answer.status, answer.headers.get("Set-Cookie", ""), answer.read()

        status, _, body = ask("GET", "/v1/health")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert ask("GET", "/v1/status")[0] == 401
        assert ask("GET", "/v1/status", Authorization=f"Bearer {token[Scope.READ]}")[0] == 200
        status, cookie, _ = ask("POST", "/login", f"token={token[Scope.READ]}", Origin=f"https://{NAME}", Host=NAME)
        assert status == 303
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=strict"))
        assert ask("GET", "/alerts", Cookie=cookie.partition(";")[0])[0] == 200
        assert ask("GET", "/v1/health", Host="evil.example")[0] == 421
        status, _, body = ask(
            "POST", "/v1/halt", '{"reason": "drill"}', Authorization=f"Bearer {token[Scope.OPERATOR]}"
        )
        assert (status, json.loads(body)["halted"]) == (200, True)
        with closing(http.client.HTTPSConnection("127.0.0.1", proxy.ports[0], timeout=20)) as stranger:
            with pytest.raises(ssl.SSLCertVerificationError):
                stranger.request("GET", "/")
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.ports[0], timeout=20)) as plain:
            plain.request("GET", "/v1/health")
            answer = plain.getresponse()
            assert (answer.status, b"HTTPS port" in answer.read()) == (400, True)
    assert (home / "HALT").exists()


@pytest.mark.postgres
def test_a_ledger_in_postgres_with_a_role_that_only_selects(
    finished: Path, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Role ledger_reader of the product's own schema: views and pages answer; nothing can be appended; a stop still stops."""
    home, database = tmp_path / "home", postgres.database()
    shutil.copytree(finished, home)
    install(postgres.url("postgres", database))
    for role in ("ledger_writer", "ledger_reader"):
        postgres.login(role)
    old, new = (
        SqliteLedger(home / "ledger.sqlite", read_only=True),
        PostgresLedger(postgres.url("ledger_writer", database)),
    )
    for row in old.rows(0):
        entry = row.entry()
        new.append(entry.kind, entry.key, entry.body)
    head = old.head()
    assert new.head() == head
    new.close()
    (home / "ledger.sqlite").unlink()
    monkeypatch.setenv("MARKETBOT_HOME", str(home))
    monkeypatch.setenv("MARKETBOT_LEDGER", postgres.url("ledger_reader", database))
    with pytest.raises(LedgerError):
        read_ledger(home).append("operator_action", "x", {})
    world = Served(home)
    for path in (
        "status",
        "positions",
        "controls",
        "alerts",
        "decisions",
        f"decisions/{FIRST}",
        "reports",
        "audit?q=order",
    ):
        assert world.get(f"/v1/{path}").status == 200, path
    assert world.get("/v1/status").json["ledger"]["whole"]
    told = world.get("/v1/status", host=HOST).json["ledger"]
    assert (told["size"], told["root"]) == head
    stop = world.ask("POST", "/v1/halt", "operator", body=b'{"reason":"drill"}')
    assert (stop.status, stop.json["halted"]) == (200, True)
    assert stop.json["problem"]  # the flag is set, the ledger could not be told
    assert (home / "HALT").exists()
    assert world.at == BEGAN
    world.close()
