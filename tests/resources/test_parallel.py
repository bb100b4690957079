"""Pools: the same results in each place, in order; a killed worker loses nothing; what cannot be sent or trusted is refused."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import parallel_tasks as tasks
import pytest
from server_process import ended

from marketbot_resources.errors import UsageError, WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import (
    ARGUMENT_BYTES_MAX,
    REFUSED,
    RESULT_BYTES_MAX,
    Here,
    Pool,
    Result,
    Task,
    call,
    fingerprint,
    named,
    open_pool,
    result_of,
    written,
)


class Backwards(Pool):
    """Ends tasks in the opposite order."""

    def finished(self, function: Task, arguments: object) -> Iterator[tuple[int, Result]]:
        assert isinstance(arguments, list)
        for place in range(len(arguments))[::-1]:
            yield place, function(arguments[place])


def test_results_come_in_the_order_of_the_arguments() -> None:
    """Whatever ends first; none is lost, none comes twice."""
    assert list(Backwards().results(tasks.square, [3, 1, 2])) == [9, 1, 4]
    assert dict(Backwards().finished(tasks.square, [3, 1, 2])) == {0: 9, 1: 1, 2: 4}
    assert list(Here().results(tasks.square, [])) == []


VALUES: list[Json] = [
    None,
    True,
    0,
    -1,
    2**53 + 1,
    0.1,
    5e-324,
    -0.0,
    math.inf,
    "",
    "ü\n\x00",
    [1, [2.5]],
    {"a": {"b": None}},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_an_argument_and_a_result_keep_every_bit(value: Json) -> None:
    """JSON there and back: floats to the last bit, signs of zero, big integers, any text."""
    (found,) = Here().results(tasks.echo, [value])
    assert repr(found) == repr(value)


def test_bytes_are_a_result() -> None:
    """A table goes as bytes, and as many as are promised."""
    assert list(Here().results(tasks.large, [0, 3])) == [b"", b"\0\0\0"]


def test_what_is_too_large_is_refused() -> None:
    """Arguments and results are small: paths and hashes, not tables."""
    with pytest.raises(UsageError, match="argument 1: expected at most 1048576 bytes, found 1048577; send a path"):
        written(["", "x" * (ARGUMENT_BYTES_MAX - 1)])
    with pytest.raises(WorkError, match=r"argument 0 failed: WorkError: expected a result of at most 67108864 bytes"):
        list(Here().results(tasks.large, [RESULT_BYTES_MAX + 1]))


@pytest.mark.parametrize("value", [object, {1}, b"bytes", [Path("p")]], ids=["type", "set", "bytes", "path"])
def test_only_json_is_sent(value: object) -> None:
    """No object travels, so nothing has to be unpickled."""
    with pytest.raises(UsageError, match="argument 0: expected JSON"):
        list(Here().results(tasks.echo, [value]))


def inner() -> Callable[[Json], Json]:
    def hidden(value: Json) -> Json:
        return value

    return hidden


@pytest.mark.parametrize(
    "function", [lambda v: v, inner(), len, Path.exists], ids=["lambda", "inner", "builtin", "method"]
)
def test_only_a_function_of_a_module_is_sent(function: Task) -> None:
    """A worker imports it by name, and the hash of the code covers its source."""
    with pytest.raises(UsageError, match="expected a function of a module, found"):
        list(Here().results(function, [1]))


def test_a_function_is_named_by_its_module() -> None:
    """The name that a worker imports."""
    assert named(tasks.square) == "parallel_tasks:square"


def test_a_task_that_raises_ends_the_list_with_one_line() -> None:
    """What was finished before stays with the caller; a pure function would raise again, so it is not repeated."""
    taken = []
    with pytest.raises(WorkError, match=r"^parallel_tasks:fails: argument 0 failed: ValueError: no answer for 7$"):
        taken += list(Here().results(tasks.fails, [7, 8]))
    with pytest.raises(WorkError, match="TypeError: Object of type set is not JSON"):
        list(Here().results(tasks.answers_an_object, [1]))


@pytest.mark.parametrize("name", ["code", "numpy", "python", "a library that we lack"])
def test_a_worker_with_other_code_or_libraries_refuses(name: str) -> None:
    """Each fact of the sender counts, and the line names what differs."""
    own = fingerprint("parallel_tasks")
    reply = call("parallel_tasks:square", "3", {**own, name: "other"})
    assert reply[0] == REFUSED
    with pytest.raises(
        WorkError, match=rf"expected a worker of the same release and libraries, found .*{name} .* for other;"
    ):
        result_of(reply, "parallel_tasks:square", 0)


def test_the_code_of_a_task_covers_both_packages_and_its_own_module(tmp_path: Path) -> None:
    """A module outside of the packages is part of the hash: another one has another hash; one of ours is covered already."""
    assert fingerprint("parallel_tasks")["code"] != fingerprint("test_parallel")["code"]
    ours = {fingerprint(f"marketbot_resources.{name}")["code"] for name in ("parallel", "errors")}
    assert len(ours) == 1
    assert set(fingerprint("parallel_tasks")) >= {"code", "python", "numpy", "numba", "scipy", "pandas"}


@pytest.mark.parametrize(
    "word",
    [
        "",
        "here",
        "processes",
        "processes:",
        "processes:0",
        "processes:1000",
        "processes:-1",
        "dask:",
        "dask:x",
        "tcp:host",
        "http://h",
    ],
)
def test_any_other_word_is_refused(word: str) -> None:
    """One line that names the words there are."""
    with pytest.raises(UsageError, match="expected local, processes:N, dask:N, tcp://HOST:PORT or tls://HOST:PORT"):
        open_pool(word)


def test_processes_give_the_same_bits_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    """Two processes, one of which is killed: all results are there, in order, equal to those of this process to the bit."""
    arguments: list[Json] = [[1, ""], [2, str(tmp_path / "flag")], [3, ""]]
    with open_pool("processes:2") as pool:
        assert list(pool.results(tasks.floats_of_a_mortal, arguments)) == [tasks.floats(seed) for seed in (1, 2, 3)]
    assert (tmp_path / "flag").exists(), "one was killed"


@pytest.mark.long
def test_a_task_that_always_kills_its_process_is_given_up() -> None:
    """After three deaths without a result: one line that names what is not done."""
    with (
        open_pool("processes:1") as pool,
        pytest.raises(WorkError, match=r"expected 2 more results, found that .* arguments 0, 1 are"),
    ):
        list(pool.results(tasks.kills_its_process, [1, 2]))


@pytest.mark.long
def test_what_was_done_before_a_failure_is_kept(tmp_path: Path) -> None:
    """A caller that stores each result as it comes has those before the failure."""
    arguments: list[Json] = [[0, str(tmp_path), "a"], [0, str(tmp_path / "lacking"), "b"]]
    with open_pool("processes:1") as pool:
        coming = pool.finished(tasks.slow, arguments)
        assert next(coming) == (0, "a")
        with pytest.raises(WorkError, match="argument 1 failed: FileNotFoundError"):
            next(coming)


@pytest.mark.long
def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed has no time to end anybody: no process stays behind it."""
    script = (
        "import sys, parallel_tasks as tasks\n"
        "from marketbot_resources.parallel import open_pool\n"
        "if __name__ == '__main__':\n"
        "    list(open_pool('processes:1').results(tasks.slow, [[60, sys.argv[1], 'pid']]))\n"
    )
    (tmp_path / "parent.py").write_text(script, encoding="utf-8")
    path = f"{Path(__file__).parents[2]}:{Path(__file__).parent}"
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)], env={**os.environ, "PYTHONPATH": path}
    )
    pid = tmp_path / "pid"
    wait(lambda: pid.exists() and pid.read_text(encoding="ascii").endswith("\n"))
    child = int(pid.read_text(encoding="ascii"))
    assert not ended(child)
    parent.kill()
    parent.wait()
    wait(lambda: ended(child))


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, "a minute is over"
        time.sleep(0.05)


@pytest.mark.long
def test_processes_run_on_one_thread() -> None:
    """Threads change the last bits of a sum, and two processes of two threads are four."""
    with open_pool("processes:1") as pool:
        assert list(pool.results(tasks.threads_and_names, [0])) == [
            ["MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
        ]


def test_features_of_blocks_are_those_of_the_whole() -> None:
    """Instrument-wise features: blocks of 7 of 40 instruments, put side by side, are the features of all, to the bit."""
    edges = [*range(0, 40, 7), 40]
    blocks: list[Json] = [[5, 40, first, last] for first, last in pairwise(edges)]
    parts = [
        np.frombuffer(part, dtype=float).reshape(3, -1) for part in Here().results(tasks.block_of_features, blocks)
    ]
    whole = np.frombuffer(tasks.block_of_features([5, 40, 0, 40]), dtype=float).reshape(3, 40)
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()
