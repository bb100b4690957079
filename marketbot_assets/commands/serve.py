"""`serve`: the process that answers by HTTP, on this machine unless told otherwise. Not here: what it answers (`serving`)."""

import ipaddress
import json
import os
import socket
import threading
from dataclasses import dataclass

import click

from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import SetupError, UsageError
from marketbot_resources.tokens import Tokens

NICE = 10
CONNECTIONS_MAX, HEAD_BYTES_MAX, IDLE_SECONDS, GRACE_SECONDS = 256, 16 * 1024, 10, 5
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and for whom. `beyond`: other machines may reach it; `proxy`: whose word about the caller is believed."""

    host: str
    port: int
    beyond: bool
    names: tuple[str, ...]
    proxy: str | None
    rate: int


def serve(listening: Listening, *, as_json: bool) -> int:
    """Says where it is, then serves until SIGTERM or SIGINT. Raises SetupError with one line."""
    hosts = host_names(listening)
    try:
        import uvicorn

        from marketbot_assets.serving.app import make_app
        from marketbot_assets.serving.doors import Rules
        from marketbot_assets.serving.protocol import PatientProtocol
        from marketbot_assets.serving.views import status_view
    except ImportError as error:
        raise SetupError(f"serve: expected the extra `api`, found no {error.name}; install marketbot[api]") from error
    good = [one for one in Tokens(settings.home()).every() if one.good(machine_now())]
    doors = make_app(settings.home(), machine_now, Rules(hosts, per_second=float(listening.rate)))
    listener = _listener(listening)
    config = uvicorn.Config(
        doors,  # type: ignore[arg-type]
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=listening.proxy is not None,
        forwarded_allow_ips=listening.proxy or "",
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    os.nice(NICE)  # a run goes first
    host, port = listener.getsockname()[:2]
    view = {"address": f"http://{f'[{host}]' if ':' in host else host}:{port}", "tokens": len(good)}
    click.echo(json.dumps(view) if as_json else _told(view))
    threading.Thread(target=doors.warm, args=(status_view,), daemon=True).start()
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _told(view: dict[str, object]) -> str:
    none = "" if view["tokens"] else "\nno token is good yet: marketbot token create NAME --scope read"
    return f"serving {view['address']}, {view['tokens']} good tokens; TLS is for a proxy in front{none}"


def host_names(listening: Listening) -> frozenset[str]:
    """The host names that requests may ask for. Raises UsageError for an address that others reach, without `--open`."""
    try:
        address = ipaddress.ip_address(listening.host)
    except ValueError as error:
        raise UsageError(f"serve: expected --host as an IP address, found {listening.host!r}") from error
    if not address.is_loopback and not listening.beyond:
        raise UsageError(
            f"serve: {listening.host} can be reached from other machines; say --open if a TLS proxy is in front"
        )
    if listening.proxy is not None:
        try:
            ipaddress.ip_address(listening.proxy)
        except ValueError as error:
            raise UsageError(f"serve: expected --proxy as an IP address, found {listening.proxy!r}") from error
    for name in listening.names:
        if not name or not all(c.isalnum() or c in ".-" for c in name) or not name.isascii():
            raise UsageError(f"serve: expected --name as a host name, found {name!r}")
    own = set() if address.is_unspecified else {f"[{address}]" if address.version == 6 else str(address)}
    return LOOPBACK_NAMES | own | {name.lower() for name in listening.names}


def _listener(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((listening.host, listening.port))
        opened.listen(128)
    except (OSError, OverflowError) as error:
        opened.close()
        raise SetupError(f"serve: expected to listen on {listening.host}:{listening.port}, found: {error}") from error
    return opened
