"""Hosts of their own on this machine: network namespaces behind a bridge, processes on them, and cables that are cut.

Used by `tools/sweep_nodes.py`. It needs root and the program `ip`. Not here: what runs on the hosts.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRIDGE, NODES = "mbsweep0", ("mbsweep1", "mbsweep2")
NET, START_SECONDS_MAX = "10.253.77", 60.0
HERE = f"{NET}.1"
ADDRESSES = dict(zip(NODES, (f"{NET}.11", f"{NET}.12"), strict=True))
USED: list[float] = []  # CPU seconds of the nodes' processes that ended


def lacking() -> str | None:
    """Why no namespaces can be made here; None when they can."""
    if os.geteuid() != 0:
        return "expected root, which may make network namespaces"
    if shutil.which("ip") is None:
        return "expected the program ip (iproute2)"
    tried = subprocess.run(["ip", "netns", "add", "mbsweepx"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", "mbsweepx"], capture_output=True)
    return None if tried.returncode == 0 else f"no network namespace: {tried.stderr.strip()}"


def ip(*words: str) -> None:
    """The program `ip`."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def network() -> Iterator[None]:
    """A bridge with the sender at .1 and a namespace each at .11 and .12, taken away at the end."""
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{HERE}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for node, address in ADDRESSES.items():
            ip("netns", "add", node)
            ip("link", "add", f"v{node}", "type", "veth", "peer", "name", "eth0", "netns", node)
            ip("link", "set", f"v{node}", "master", BRIDGE, "up")
            ip("-n", node, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", node, "link", "set", "eth0", "up")
            ip("-n", node, "link", "set", "lo", "up")
        yield
    finally:
        for node in NODES:  # a link that its namespace takes along goes later than the next run begins
            subprocess.run(["ip", "link", "del", f"v{node}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", node], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


def cut(node: str) -> None:
    """Cuts the cable of a node: packets are lost, nobody is told."""
    ip("link", "set", f"v{node}", "nomaster")


def mend(node: str) -> None:
    """Plugs the cable in again, while the node is there."""
    subprocess.run(["ip", "link", "set", f"v{node}", "master", BRIDGE], capture_output=True)


@contextmanager
def on_node(
    node: str, ready: str, module: str, *words: str, more: Mapping[str, str] | None = None, hidden: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process group on a node, up when its log says `ready`; it is ended with all its children.

    `more`: environment variables; `hidden`: a folder of this machine that is empty there.
    """
    keep = ("PATH", "HOME", "LANG", "MARKETBOT_MANDATE")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {"PYTHONPATH": str(ROOT)}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment |= more or {}
    inside = [sys.executable, "-m", f"distributed.cli.{module}", *words]
    if hidden is not None:  # `ip netns exec` gives every program mounts of its own
        inside = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden), *inside]
    with tempfile.TemporaryDirectory(prefix="mbnode-") as folder, (Path(folder) / "log").open("wb") as log:
        command = ["ip", "netns", "exec", node, *inside]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            until = time.monotonic() + START_SECONDS_MAX
            while ready not in (Path(folder) / "log").read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((Path(folder) / "log").read_text(errors="replace")[-2000:])
                time.sleep(0.1)
            yield process
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kills a process group that we started, and notes what it used."""
    import psutil

    try:
        whole = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        USED.append(sum(sum(one.cpu_times()[:4]) for one in whole if one.is_running()))
    except psutil.Error:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(timeout=30)
