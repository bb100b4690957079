"""Starts one process of marketbot in its container: `start.py ROLE`, or asks how it is: `start.py health`.

code | webserver | daemon | together (the two before in one process) | api | migrate | command WORDS...

Each has the product's own reader (`marketbot_resources.secrets`) look for its secrets, puts those that Dagster or the interface
must find in their environment there, lays Dagster's configuration beside its instance, waits for the databases by itself, and
becomes the process. The keys of runs and their children it does not touch: they read their files themselves. What is wrong is one
line on stderr and exit code 78; no line ever holds a secret. Not here: making secrets (`setup.py`).
"""

import os
import re
import shutil
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

APP = Path(__file__).resolve().parents[1]
CONFIGURATION_ERROR = 78  # EX_CONFIG of sysexits.h
WAIT_SECONDS, PAUSE_SECONDS, CONNECT_SECONDS = 180.0, 2.0, 5
HEARTBEAT_SECONDS_MAX = 240
MACHINE_CODE, MACHINE_CODE_HERE = APP / "numba_cache", Path("/tmp/numba")
ROLE_FILE = Path("/tmp/role")
DAGSTER, LEDGER, INDEX = "DAGSTER_POSTGRES_URL", "MARKETBOT_LEDGER", "MARKETBOT_INDEX"
ADMIN, LEDGER_READER, INDEX_READER = "MARKETBOT_ADMIN_URL", "MARKETBOT_LEDGER_READER", "MARKETBOT_INDEX_READER"
STORE, ENDPOINT = "MARKETBOT_STORE", "AWS_ENDPOINT_URL"
_READY = {
    DAGSTER: "select to_regclass('public.event_logs')",
    LEDGER: "select to_regclass('ledger.entry')",
    INDEX: "select to_regclass('store.lake_index')",
}


class Unready(Exception):
    """What is missing, in one line without secrets."""


@dataclass(frozen=True, slots=True)
class Role:
    """How a process is started, and whose secrets it is given in its environment (`process`).

    `needs`: without these it does not start. `runs`: databases of the runs, which it waits for and does not hand on; those in
    `may` only where they are set. `home`: it holds the installation's state.
    """

    process: str
    needs: tuple[str, ...]
    command: str
    runs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    home: bool = False


_PAGES = {"webserver": "3000/server_info", "together": "3000/server_info", "api": "8787/v1/health"}
_PLACE = {"bind": "0.0.0.0", "workspace": "deploy/workspace.yaml"}
ROLES: Mapping[str, Role] = {
    "code": Role(
        "code",
        (DAGSTER,),
        "dagster api grpc -m marketbot_assets.definitions -h {bind} -p 4000 --location-name marketbot",
        runs=(LEDGER,),
        may=(INDEX,),
        home=True,
    ),
    "webserver": Role("webserver", (DAGSTER,), "dagster-webserver -w {workspace} -h {bind} -p 3000"),
    "daemon": Role("daemon", (DAGSTER,), "dagster-daemon run -w {workspace}"),
    "together": Role("webserver", (DAGSTER,), "python deploy/together.py -w {workspace} -h {bind} -p 3000"),
    "api": Role(
        "api", (LEDGER,), "python -m marketbot_assets.cli serve --host {bind} --open --port 8787", may=(INDEX,)
    ),
    "migrate": Role("migrate", (ADMIN, DAGSTER, LEDGER, LEDGER_READER), "dagster instance migrate"),
    "command": Role("code", (), "python -m marketbot_assets.cli", home=True),
}


def secrets_of(process: str) -> dict[str, str]:
    """Variable -> value of one process, by the product's own reader and its rules. Raises Unready with its line."""
    sys.path[:0] = [str(APP)] if str(APP) not in sys.path else []
    from marketbot_resources.errors import HomeError
    from marketbot_resources.secrets import Process, found

    try:
        return found(Process(process))
    except HomeError as error:
        raise Unready(str(error)) from error


def plain_url(url: str) -> str:
    """The address as libpq takes it: Dagster's names SQLAlchemy's driver, too."""
    return re.sub(r"^postgresql\+\w+://", "postgresql://", url)


def place(url: str) -> str:
    """User, host and database, without the password."""
    parts = urlsplit(plain_url(url))
    return f"{parts.username}@{parts.hostname}{parts.path}"


def wait_for(url: str, query: str | None, seconds: float, hint: str) -> None:
    """Returns once the database answers and `query` gives a value. Raises Unready after so many seconds."""
    import psycopg

    end, said = time.monotonic() + seconds, "no answer"
    while True:
        try:
            with psycopg.connect(plain_url(url), connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
                row = connection.execute(query).fetchone() if query else (True,)
                if row and row[0] is not None:
                    return
                said = "no schema yet"
        except psycopg.Error as error:
            said = _first_line(error, url)
        if time.monotonic() > end:
            raise Unready(f"database {place(url)}: expected it within {seconds:.0f} s, found: {said}; {hint}")
        time.sleep(PAUSE_SECONDS)


def _first_line(error: Exception, url: str) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    password = urlsplit(plain_url(url)).password
    return line.replace(password, "***") if password else line


def lay_out(role: Role, environment: dict[str, str]) -> None:
    """Dagster's configuration beside its instance: in the home where there is one, else in the container's own folder."""
    home = Path(environment.get("MARKETBOT_HOME") or "/state")
    instance = home / "dagster" if role.home else Path("/tmp/dagster")
    environment["DAGSTER_HOME"] = str(instance)
    if DAGSTER not in environment:
        return
    try:
        instance.mkdir(parents=True, exist_ok=True)
        fresh = instance / f".dagster.yaml.{os.getpid()}"
        shutil.copyfile(APP / "deploy" / "dagster.postgres.yaml", fresh)
        fresh.replace(instance / "dagster.yaml")
    except OSError as error:
        raise Unready(
            f"home: expected to write {instance}, found: {error.strerror}; is the volume writable?"
        ) from error


def lay_out_machine_code(environment: dict[str, str]) -> None:
    """The image's machine code of the solvers, where numba may write; without room it is compiled anew by each process."""
    if not MACHINE_CODE.is_dir():
        return
    if not MACHINE_CODE_HERE.exists():
        fresh = MACHINE_CODE_HERE.with_name(f"numba.{os.getpid()}")
        try:
            shutil.copytree(MACHINE_CODE, fresh)
            fresh.rename(MACHINE_CODE_HERE)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
    environment["NUMBA_CACHE_DIR"] = str(MACHINE_CODE_HERE)


def migrate(environment: Mapping[str, str]) -> None:
    """Makes databases and roles where they are missing, the schemas, and the passwords that the secrets name."""
    import psycopg
    from psycopg import sql

    from marketbot_resources.ledger.postgres import install

    admin = urlsplit(environment[ADMIN])
    names = [name for name in (DAGSTER, LEDGER, LEDGER_READER, INDEX, INDEX_READER) if environment.get(name)]
    urls = [urlsplit(plain_url(environment[name])) for name in names]
    bases = {url.path.lstrip("/") for url in urls}
    with psycopg.connect(environment[ADMIN], autocommit=True) as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        if urls[0].username not in roles:
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(str(urls[0].username))))
        there = {row[0] for row in connection.execute("select datname from pg_database")}
        for base in sorted(bases - there):
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(base)))
        connection.execute(
            sql.SQL("alter database {} owner to {}").format(
                sql.Identifier(urls[0].path.lstrip("/")), sql.Identifier(str(urls[0].username))
            )
        )
    install(admin._replace(path=urls[1].path).geturl())
    with psycopg.connect(environment[ADMIN], autocommit=True) as connection:
        for base in sorted(bases):
            connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(base)))
        for url in urls:
            connection.execute(
                sql.SQL("alter role {} login password {}").format(
                    sql.Identifier(str(url.username)), sql.Literal(str(url.password))
                )
            )
            connection.execute(
                sql.SQL("grant connect on database {} to {}").format(
                    sql.Identifier(url.path.lstrip("/")), sql.Identifier(str(url.username))
                )
            )


def make_bucket(environment: Mapping[str, str], seconds: float) -> None:
    """The store's bucket on a server of our own; Amazon's are made by the template, with their locks. Raises Unready."""
    address = urlsplit(environment.get(STORE, ""))
    if address.scheme != "s3" or not environment.get(ENDPOINT):
        return
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    end = time.monotonic() + seconds
    while True:
        try:
            client = boto3.session.Session().client("s3")
            if address.netloc not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=address.netloc)
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > end:
                said = type(error).__name__
                raise Unready(
                    f"bucket {address.netloc}: expected it within {seconds:.0f} s, found: {said}; is s3 up?"
                ) from error
        time.sleep(PAUSE_SECONDS)


def start(name: str, words: Sequence[str]) -> NoReturn:
    """Prepares the role and becomes its process. Raises Unready."""
    role = ROLES.get(name)
    if role is None:
        raise Unready(f"expected one of {', '.join(ROLES)}, found {name!r}")
    environment = os.environ.copy()
    for variable, value in secrets_of(role.process).items():
        environment[variable] = environment.get(variable, "").strip() or value
    known = {
        **(secrets_of("run") if role.runs else {}),
        **{name: value for name, value in environment.items() if value},
    }
    wanted = (*role.needs, *role.runs)
    if missing := [variable for variable in wanted if not known.get(variable)]:
        raise Unready(f"expected the secrets {', '.join(missing)}, found none; run deploy/setup.py")
    lay_out(role, environment)
    if role.home:
        lay_out_machine_code(environment)
    if name != "command":
        ROLE_FILE.write_text(name, encoding="ascii")
    seconds = float(environment.get("MARKETBOT_WAIT_SECONDS") or WAIT_SECONDS)
    if name == "migrate":
        wait_for(environment[ADMIN], None, seconds, "is postgres up?")
        migrate(environment)
        make_bucket(environment, seconds)
        for variable in (ADMIN, LEDGER_READER, INDEX_READER):
            environment.pop(variable, None)
    else:
        for variable in (*wanted, *(one for one in role.may if known.get(one))):
            wait_for(known[variable], _READY[variable], seconds, "is postgres up, and has migrate ended?")
    os.chdir(APP)
    places = {key: environment.get(f"MARKETBOT_{key.upper()}") or value for key, value in _PLACE.items()}
    command = [*role.command.format(**places).split(), *words]
    if name != "command":
        print(f"{name}: starting", flush=True)
    os.execvpe(command[0], command, environment)


def health() -> None:
    """Asks the process of this container as its callers would. Raises Unready, OSError."""
    name = ROLE_FILE.read_text(encoding="ascii")
    if name == "code":
        import grpc  # type: ignore[import-untyped]
        from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

        with grpc.insecure_channel("127.0.0.1:4000") as channel:
            asked = health_pb2.HealthCheckRequest(service="DagsterApi")
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=10)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unready("code server: not serving")
    if name in ("daemon", "together"):
        url = os.environ.get(DAGSTER) or secrets_of(ROLES[name].process)[DAGSTER]
        old = f"select 1 from daemon_heartbeats where timestamp > localtimestamp - interval '{HEARTBEAT_SECONDS_MAX} s' limit 1"
        wait_for(url, old, 0, "no heartbeat of the daemon")
    if name in _PAGES:
        with urllib.request.urlopen(f"http://127.0.0.1:{_PAGES[name]}", timeout=10) as answer:
            answer.read(1)


def main(words: Sequence[str]) -> int:
    """0 when healthy; a started role does not return; 78 with one line when it cannot start."""
    try:
        if words[:1] == ["health"]:
            health()
            return 0
        start(words[0] if words else "", words[1:])
    except Unready as error:
        print(f"marketbot: {error}", file=sys.stderr)
        return CONFIGURATION_ERROR
    except Exception as error:
        print(f"marketbot: {words[0] if words else 'start'}: {type(error).__name__}", file=sys.stderr)
        return 1 if words[:1] == ["health"] else CONFIGURATION_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
