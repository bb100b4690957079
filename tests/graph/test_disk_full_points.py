"""F32 on a real file system: a disk that fills up, or has no inode left, at twenty points of a session, and while orders go out.

The home with store, index, ledger, the paper broker's file and Dagster's runs lies on a file system in memory of a chosen size.
Mounting needs root; `tests/commands/test_disk_full.py` limits the size of files where nobody may mount.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_world import Seen, command, keep_environment, seen, sent_once
from graph_invariants import assert_sound
from graph_world import NEXT, Home
from postgres_world import closing_lakes

from marketbot_resources.ledger.record import SENDING_FENCE, Fence, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.store.inspection import store_faults

pytestmark = [pytest.mark.graph, pytest.mark.long]
PAGE, ROOM, FILES = 4096, 1024**3, 100_000
# what there is room for when the session begins, as a share of what it adds; each line is one home
CHAINS = [
    [("files", 0.0), ("files", 0.3), ("files", 0.7)],
    *([("bytes", (place + 4 * step) / 20) for step in range(5)] for place in range(2)),
    [("bytes", (2 + 4 * step) / 20) for step in range(4)],
    [("bytes", share) for share in (0.15, 0.55, 0.97)],
]
# the append at which nothing more fits: what it writes, its number in that run, the session's orders at the broker afterwards
SENDING = [
    [("SENDING", 1, 0), ("answer", 1, 1), ("SENDING", 8, 8)],  # the third run looks up one order and sends seven
    [("answer", 5, 5), ("UNKNOWN", 1, 5), ("session_end", 1, 16)],  # the second one begins with the order in doubt
]


@dataclass(frozen=True)
class Disk:
    """A file system in memory at a folder."""

    folder: Path

    def resize(self, *, size: int = ROOM, inodes: int = FILES) -> None:
        """Another limit, in bytes and files; without one there is room."""
        subprocess.run(
            ["mount", "-o", f"remount,size={size},nr_inodes={inodes}", str(self.folder)],
            check=True,
            capture_output=True,
        )

    def used(self) -> tuple[int, int]:
        """Bytes and files."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def fill(self) -> None:
        """Not one more page."""
        self.resize(size=self.used()[0])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM},nr_inodes={FILES},mode=700", "marketbot-test", str(folder)],
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        pytest.skip(f"nobody may mount here: {made.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_at_twenty_points(
    base: Home, undisturbed: Home, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and exit 1 or 2, no torn object; with room the same command ends with the same orders, none twice.

    Each home's disk is made larger several times, and is full again each time, before it has room.
    """
    keep_environment(monkeypatch)
    wanted, outcomes = seen(undisturbed), []
    more = needed(base, disk, wanted, monkeypatch)
    print(f"a session adds {more[0]} bytes in {more[1]} files", flush=True)
    for points in CHAINS:
        with placed(base, disk, monkeypatch) as home:
            before = disk.used()
            for what, share in points:
                if what == "files":
                    disk.resize(inodes=before[1] + 1 + int(share * more[1]))
                else:
                    disk.resize(size=before[0] + max(PAGE, int(share * more[0]) // PAGE * PAGE))
                outcomes.append(one_point(home))
                print(f"{len(outcomes)}: room for {share:.0%} of the {what}: {outcomes[-1]}", flush=True)
            disk.resize()
            goes_on(home, wanted)
    assert len(outcomes) == 20
    assert sum(told.startswith("failed") for told in outcomes) >= 15


@contextlib.contextmanager
def placed(base: Home, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A copy of the base on the disk, which is empty again afterwards."""
    disk.resize()
    home = base.copy(disk.folder / "home")
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    try:
        with closing_lakes(home):
            yield home
    finally:
        disk.resize()
        shutil.rmtree(home.path)


def needed(base: Home, disk: Disk, wanted: Seen, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many bytes and files a session adds when there is room."""
    with placed(base, disk, monkeypatch) as home:
        before = disk.used()
        assert command(NEXT) == (0, "")
        assert seen(home) == wanted
        after = disk.used()
    return after[0] - before[0], after[1] - before[1]


def one_point(home: Home) -> str:
    """A run without room."""
    before = len(home.sent(NEXT))
    code, said = command(NEXT)
    lines = [line for line in said.splitlines() if line.startswith(("marketbot: ", f"{NEXT} failed: "))]
    assert code in (0, 1, 2), said
    assert "Traceback" not in said, said
    assert [str(fault) for fault in store_faults(home.lake, contents=False)] == []
    told = f"{len(home.sent(NEXT)) - before} more orders at the broker"
    return f"failed with {told}; {lines[-1] if lines else said.strip()[-200:]}" if code else "went through"


def goes_on(home: Home, wanted: Seen) -> None:
    """The same command, with room."""
    assert command(NEXT) == (0, "")
    assert home.end(NEXT).state == "sent"
    assert seen(home) == wanted
    assert sent_once(home)
    assert_sound(home)
    assert [str(fault) for fault in store_faults(home.lake, contents=False)] == []


def test_a_disk_that_fills_up_while_orders_go_out(
    base: Home, undisturbed: Home, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ledger, index and store are on the full disk; Dagster's history and the broker, which is outside, are not.

    No order reaches the broker without its SENDING on the disk; one whose answer was not written is looked up and not sent again.
    """
    keep_environment(monkeypatch)
    wanted = seen(undisturbed)
    for number, points in enumerate(SENDING):
        with placed(base, disk, monkeypatch) as home:
            elsewhere(home, tmp_path / f"elsewhere-{number}", "dagster", "broker.sqlite")
            for what, at, orders in points:
                with full_at(disk, what, at, monkeypatch) as filled:
                    told = one_point(home)
                print(f"no room for {what} {at}: {told}", flush=True)
                assert filled == [at]
                assert told.startswith("failed")
                assert "disk is full; it is not recorded" in told
                assert len(home.sent(NEXT)) == orders
                assert written_as_sending(home) == set(home.at_broker())
                disk.resize()
            goes_on(home, wanted)


def elsewhere(home: Home, folder: Path, *names: str) -> None:
    """Moves parts of a home to another disk; links stand in their places."""
    folder.mkdir()
    for name in names:
        if (home.path / name).exists():
            shutil.move(home.path / name, folder / name)
        elif name == "dagster":
            (folder / name).mkdir()
        (home.path / name).symlink_to(folder / name)


@contextlib.contextmanager
def full_at(disk: Disk, what: str, at: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The disk has no room from the append on that is a sender's `at`-th of a kind or order's state; yields [at] once it came."""
    append, count, sending, filled = SqliteLedger._append, 0, False, list[int]()

    def fills(
        self: SqliteLedger, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None
    ) -> list[Receipt]:
        nonlocal count, sending
        for kind, _, data in records:
            sending |= kind == SENDING_FENCE  # before it the broker's answers to earlier sessions are noted
            count += sending and what in (kind, said_of_order(data) if kind == "order_event" else "")
        if count == at and not filled:
            filled.append(count)
            disk.fill()
        return append(self, records, fence)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "_append", fills)
        yield filled


def said_of_order(data: bytes) -> str:
    """SENDING, UNKNOWN, or that it is a broker's answer."""
    return next((state for state in ("SENDING", "UNKNOWN") if f'"{state}"'.encode() in data), "answer")


def written_as_sending(home: Home) -> set[str]:
    """Client order ids of what the ledger on the disk says of orders that were about to be sent."""
    entries = SqliteLedger(home.path / "ledger.sqlite", read_only=True).entries("order_event")
    return {entry.key.split("/")[0] for entry in entries if entry.body["state"] == "SENDING"}
