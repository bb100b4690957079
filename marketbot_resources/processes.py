"""Which process is it, and does it still live: a name that a later process with the same number does not share.

Host, its start, space of process numbers (containers have their own), number and start, from Linux's /proc; elsewhere nothing is
known. Not here: who may send (the ledger's fence).
"""

import os
import socket
from pathlib import Path

BOOT, SPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
START_FIELD = (
    19  # field 22 of /proc/PID/stat, counted after the name in brackets: start in ticks since the machine's start
)


def myself() -> str:
    """The process that calls: host/boot/space/number/start; empty where /proc is not there."""
    started = _started(os.getpid())
    return "" if started is None else f"{_machine()}/{_space()}/{os.getpid()}/{started}"


def lives(name: str) -> bool | None:
    """Whether the process of that name still runs; None when that cannot be known: no name, another host or another container."""
    parts = name.rsplit("/", 3)
    if len(parts) != 4 or not parts[2].isdigit() or not BOOT.exists():
        return None
    machine, space, number, start = parts
    if machine.split("/")[0] != socket.gethostname():
        return None
    if machine != _machine():
        return False  # the machine has started anew since
    return _started(int(number)) == start if space == _space() else None


def _machine() -> str:
    return f"{socket.gethostname()}/{BOOT.read_text(encoding='ascii').strip()}"


def _space() -> str:
    try:
        return os.readlink(SPACE)
    except OSError:
        return ""


def _started(number: int) -> str | None:
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[START_FIELD]
