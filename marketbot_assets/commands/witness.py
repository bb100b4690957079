"""`witness`: serves a witness on one address until it is told to stop. Not here: what it cosigns (`witness` of the resources)."""

import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import click

from marketbot_resources.clock import machine_now
from marketbot_resources.errors import SetupError, UsageError
from marketbot_resources.witness import Witness, open_witness, parse_logs
from marketbot_resources.witness_http import WitnessServer


def witness(state: str, logs: Sequence[str], listen: str, name: str, *, as_json: bool) -> int:
    """Says who it is and where, then serves until SIGTERM or SIGINT. Raises SetupError with one line."""
    address = _address(listen)
    if not name or "+" in name or not name.isprintable() or " " in name:
        raise UsageError(f"witness: expected a name without blanks and plus signs, found {name!r}")
    with open_witness(Path(state).absolute(), parse_logs(logs, "--log"), _seconds, name) as opened:
        if not opened.logs():
            raise UsageError(
                "witness: expected the public key of at least one log: --log VKEY, or a file `logs` in its state"
            )
        try:
            server = WitnessServer(address, opened)
        except OSError as error:
            raise SetupError(f"witness: expected to listen on {listen}, found: {error.strerror or error}") from error
        with server:
            _stop_on_signal(server)
            _announce(opened, server, state, as_json=as_json)
            server.serve_forever(poll_interval=0.2)
    return 0


def _seconds() -> int:
    return int(machine_now().timestamp())


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65_535:
        raise UsageError(f"witness: expected --listen like 127.0.0.1:8087, found {listen!r}")
    return host, int(port)


def _stop_on_signal(server: WitnessServer) -> None:
    def stop(number: int, frame: object) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for the loop that this signal has interrupted

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _announce(opened: Witness, server: WitnessServer, state: str, *, as_json: bool) -> None:
    logs = sorted({key.name for key in opened.logs()})
    if as_json:
        view = {"address": server.url, "logs": logs, "state": str(Path(state).absolute()), "vkey": opened.vkey.text}
        click.echo(json.dumps(view, sort_keys=True))
    else:
        click.echo(f"witness {opened.vkey.text}\non      {server.url}\nfor     {', '.join(logs)}")
