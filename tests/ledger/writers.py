"""Processes that append to one ledger at once. A program of its own, because a test process has threads and must not fork.

crowd KIND WHERE PROCESSES EACH   forked writers that use the ledger which their parent has opened; prints their receipts
kills KIND WHERE KILLS SEED       two writers at a time, ended by SIGKILL at random moments; prints what was acknowledged
"""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger

ACK_SECONDS_MAX, LIFE_SECONDS_MAX = 20.0, 0.06
CHILD_SECONDS_MAX, CROWD_SECONDS_MAX = 60, 120


def opened(kind: str, where: str) -> Ledger:
    return SqliteLedger(Path(where)) if kind == "sqlite" else PostgresLedger(where)


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """(process, what it writes): `work` gets the pipe's end, and the process ends with it."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(CHILD_SECONDS_MAX)  # a writer that hangs ends, and its test with it
            os.close(ours)
            work(theirs)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    return pid, ours


def said(pipe: int) -> list[str]:
    """All whole lines until the other end is closed."""
    with os.fdopen(pipe, encoding="utf-8") as stream:
        text = stream.read()
    return text[: text.rfind("\n") + 1].splitlines()


def crowd(kind: str, where: str, processes: int, each: int) -> list[object]:
    """[key, seq, hash, added] of every receipt; every process appends its own entries and those that all append."""
    signal.alarm(CROWD_SECONDS_MAX)
    ledger = opened(kind, where)
    ledger.append("parent", "before", {})

    def write(name: int, pipe: int) -> None:
        for n in range(each):
            keys = (f"{name}-{n}", f"common-{n}")
            for key, got in zip(keys, ledger.append_all([("k", key, {}) for key in keys]), strict=True):
                os.write(pipe, json.dumps([key, got.seq, got.hash, got.added]).encode() + b"\n")

    writers = [forked(lambda pipe, name=name: write(name, pipe)) for name in range(processes)]  # type: ignore[misc]
    lines = [line for _, pipe in writers for line in said(pipe)]
    codes = [os.waitpid(pid, 0)[1] for pid, _ in writers]
    assert codes == [0] * processes, codes
    ledger.append("parent", "after", {})
    return [json.loads(line) for line in lines]


def batch(name: str, step: int) -> list[str]:
    """Keys that a writer appends together: one to three of its own, sometimes one that both append."""
    own = [f"{name}-{step}-{part}" for part in range(1 + step % 3)]
    return [*own, f"common-{step}"] if step % 4 == 0 else own


def write_on(kind: str, where: str, name: str, step: int, pipe: int) -> None:
    """Appends until killed; says (step, numbers) of each batch after it is durable."""
    ledger = opened(kind, where)
    while True:
        receipts = ledger.append_all([("k", key, {"key": key}) for key in batch(name, step)])
        os.write(pipe, json.dumps([step, [receipt.seq for receipt in receipts]]).encode() + b"\n")
        step += 1


def kills(kind: str, where: str, count: int, seed: int) -> dict[str, object]:
    """A writer that is killed begins again at the first batch that was not acknowledged."""
    chance, begun = random.Random(seed), time.monotonic()
    opened(kind, where).size()  # imports what the writers need, once
    following = {"a": 0, "b": 0}
    acked: list[tuple[str, int]] = []
    for _ in range(count // 2):
        pair = {
            name: forked(lambda pipe, name=name: write_on(kind, where, name, following[name], pipe))  # type: ignore[misc]
            for name in following
        }
        ready = select.select([pipe for _, pipe in pair.values()], [], [], ACK_SECONDS_MAX)[0]
        time.sleep(chance.random() * LIFE_SECONDS_MAX)
        for pid, _ in pair.values():
            os.kill(pid, signal.SIGKILL)
        assert ready, f"nobody appended anything in {ACK_SECONDS_MAX} s"
        for name, (pid, pipe) in pair.items():
            assert os.waitpid(pid, 0)[1] == signal.SIGKILL, f"writer {name} ended by itself"
            for line in said(pipe):
                step, numbers = json.loads(line)
                acked += zip(batch(name, step), numbers, strict=True)
                following[name] = step + 1
    return {"acked": acked, "steps": following, "seconds": round(time.monotonic() - begun, 1)}


if __name__ == "__main__":
    command, *rest, first, second = sys.argv[1:]
    print(json.dumps({"crowd": crowd, "kills": kills}[command](*rest, int(first), int(second))))  # type: ignore[operator]
