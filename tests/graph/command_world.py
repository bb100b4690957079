"""`marketbot run` in this process, and what a session leaves: for campaigns that run it a hundred times. No statements."""

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from graph_world import Home

from marketbot_assets import cli

SET_BY_COMMANDS = ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_DISABLE_TELEMETRY")


@dataclass(frozen=True)
class Seen:
    """What a session leaves: orders and fills at the broker, and the content of every object."""

    orders: dict[str, dict[str, Any]]
    fills: list[str]
    contents: dict[tuple[str, str], str]


def seen(home: Home) -> Seen:
    return Seen(home.at_broker(), home.filled(), home.contents())


def sent_once(home: Home) -> bool:
    """Whether no order was sent twice: SENDING stands in the ledger before the socket is opened, and a second one of an order only
    after the broker was asked and did not know it (the paper broker takes an id once, as those do that are sent to again).
    """
    ledger = home.lake.ledger
    asked = [(entry.key.split("/")[0], entry.seq) for entry in ledger.entries("order_lookup")]
    last: dict[str, int] = {}
    for entry in ledger.entries("order_event"):
        name = entry.key.split("/")[0]
        if entry.body["state"] != "SENDING":
            continue
        if name in last and not any(one == name and last[name] < seq < entry.seq for one, seq in asked):
            return False
        last[name] = entry.seq
    return len(last) == len(home.at_broker())


def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands set is put back at the end of the test."""
    for name in SET_BY_COMMANDS:
        monkeypatch.setenv(name, os.environ.get(name, "50"))


def command(session: str) -> tuple[int, str]:
    """Exit code and what it said, on stdout only where it failed. What would be a traceback for people is raised."""
    told, said, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["marketbot", "run", "--session", session]
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as end:
        return int(end.code or 0), said.getvalue() + (told.getvalue() if end.code else "")
    finally:
        sys.argv = before
    raise AssertionError("the command has no end")
