"""One pure function over a list of small arguments: in this process, on processes of this machine, or on a Dask cluster.

An argument is JSON (a path, a hash, a mandate's text, a range of dates), a result is JSON or bytes: neither tables nor objects
travel, so the three places give the same results to the bit, and nothing is unpickled that this code did not send. A task whose
worker dies runs again elsewhere; one that raises is not repeated. Every task says which code and libraries sent it, and a worker
with others refuses it. What the caller has taken from `finished` stays, whatever happens to the rest.
Not here: what a task computes, where its results are kept. A Dask scheduler is trusted like this machine (docs/scale.md).
"""

import hashlib
import inspect
import json
import os
import platform
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Self

from marketbot_resources.errors import UsageError, WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.libraries import versions

Result = Json | bytes
Task = Callable[[Json], Result]
Reply = tuple[str, str | bytes]
DONE_JSON, DONE_BYTES, FAILED, REFUSED = "json", "bytes", "failed", "refused"
ARGUMENT_BYTES_MAX, RESULT_BYTES_MAX, TEXT_MAX = 1 << 20, 64 << 20, 400
DEATHS_MAX = 3
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_PACKAGES = ("marketbot_assets", "marketbot_resources")


class Pool(ABC):
    """A place where tasks run. Use it in a `with` statement."""

    @abstractmethod
    def finished(self, function: Task, arguments: Sequence[Json]) -> Iterator[tuple[int, Result]]:
        """(place of its argument, result) of each task as it ends, in no order.

        `function` is a public function of a module. Raises WorkError with one line when a task fails, its workers die again and
        again, a worker has other code, or the cluster is lost; UsageError for what cannot be sent.
        """

    def results(self, function: Task, arguments: Sequence[Json]) -> Iterator[Result]:
        """The results in the order of the arguments, each as soon as those before it are there. Raises as `finished`."""
        held: dict[int, Result] = {}
        following = 0
        for place, result in self.finished(function, arguments):
            held[place] = result
            while following in held:
                yield held.pop(following)
                following += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027
        """Ends what the pool started; a cluster that was there stays."""


class Here(Pool):
    """Tasks one after the other in this process."""

    def finished(self, function: Task, arguments: Sequence[Json]) -> Iterator[tuple[int, Result]]:
        """As `Pool.finished`, in order."""
        name, texts, sender = prepared(function, arguments)
        for place, text in enumerate(texts):
            yield place, result_of(call(name, text, sender), name, place)


def open_pool(where: str = "local") -> Pool:
    """The pool that a word names: `local`, `processes:N`, `dask:N` (a cluster on this machine), `tcp://HOST:PORT`, `tls://HOST:PORT`.

    Raises UsageError for any other word, a missing library, or a cluster that does not answer.
    """
    kind, _, rest = where.partition(":")
    if where == "local":
        return Here()
    if kind in ("processes", "dask") and rest.isascii() and rest.isdigit() and 1 <= int(rest[:4]) <= 512:
        if kind == "processes":
            from marketbot_resources.parallel_processes import Processes

            return Processes(int(rest))
        from marketbot_resources.parallel_dask import local_cluster

        return local_cluster(int(rest))
    if kind in ("tcp", "tls") and rest.startswith("//"):
        from marketbot_resources.parallel_dask import existing_cluster

        return existing_cluster(where)
    raise UsageError(
        f"workers: expected local, processes:N, dask:N, tcp://HOST:PORT or tls://HOST:PORT, found {where[:80]!r}"
    )


# --- what goes to a worker and comes back -----------------------------------------------------------------------------


def prepared(function: Task, arguments: Sequence[Json]) -> tuple[str, list[str], Mapping[str, str]]:
    """(name, arguments as text, code and libraries of the sender) of a list of tasks. Raises UsageError for what cannot be sent."""
    return named(function), written(arguments), fingerprint(module_of(function))


def named(function: Task) -> str:
    """module:name of a function that a worker can import. Raises UsageError for a lambda, a method, a script's own, a builtin."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    home = sys.modules.get(module)
    found = getattr(home, name, None) if name.isidentifier() else None
    if module == "__main__" or found is not function or getattr(home, "__file__", None) is None:
        raise UsageError(f"expected a function of a module, found {name or function!r} of {module or 'nothing'}")
    return f"{module}:{name}"


def module_of(function: Task) -> str:
    """The module in which a function stands."""
    return function.__module__


def written(arguments: Sequence[Json]) -> list[str]:
    """The arguments as JSON text. Raises UsageError for what is no JSON, or is so large that its path should be sent instead."""
    texts = []
    for place, argument in enumerate(arguments):
        try:
            text = json.dumps(argument, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise UsageError(f"argument {place}: expected JSON, found: {error}") from error
        if len(text) > ARGUMENT_BYTES_MAX:
            raise UsageError(
                f"argument {place}: expected at most {ARGUMENT_BYTES_MAX} bytes, found {len(text)}; send a path"
            )
        texts.append(text)
    return texts


def call(name: str, argument: str, sender: Mapping[str, str]) -> Reply:
    """What a worker does with one task: compares code and libraries with the sender's, runs the function on one thread, answers.

    It raises nothing: the answer says what went wrong.
    """
    from threadpoolctl import threadpool_limits

    for variable in THREADS:
        os.environ.setdefault(variable, "1")
    module, _, function = name.partition(":")
    try:
        different = _difference(sender, fingerprint(module))
        if different:
            return REFUSED, f"{socket.gethostname()}, process {os.getpid()}: {different}"
        task: Task = getattr(import_module(module), function)
        with threadpool_limits(1):
            return _encoded(task(json.loads(argument)))
    except Exception as error:  # the edge to a worker: whatever a task raises is told to the sender
        return FAILED, f"{type(error).__name__}: {' '.join(str(error).split())[:TEXT_MAX]}"


def _encoded(result: Result) -> Reply:
    reply = (DONE_BYTES, result) if isinstance(result, bytes) else (DONE_JSON, json.dumps(result, sort_keys=True))
    size = len(reply[1])
    if size > RESULT_BYTES_MAX:
        raise WorkError(
            f"expected a result of at most {RESULT_BYTES_MAX} bytes, found {size}; store it and return its path"
        )
    return reply


def result_of(reply: Reply, name: str, place: int) -> Result:
    """The result that a reply holds. Raises WorkError for a failure or a refusal."""
    kind, value = reply
    if kind == REFUSED:
        raise WorkError(
            f"{name}: expected a worker of the same release and libraries, found {value!s}; install it there"
        )
    if kind == FAILED:
        raise WorkError(f"{name}: argument {place} failed: {value!s}")
    if isinstance(value, bytes):
        return value
    result: Json = json.loads(value)
    return result


def _difference(sender: Mapping[str, str], own: Mapping[str, str]) -> str:
    names = sorted({*sender, *own})
    return ", ".join(
        f"{n} {own.get(n, 'none')} for {sender.get(n, 'none')}" for n in names if own.get(n) != sender.get(n)
    )


@lru_cache(maxsize=64)
def fingerprint(module: str) -> Mapping[str, str]:
    """What decides the bits of a result: the source of both packages and of the module (16 hex digits), Python, libraries.

    It is taken once per process; a worker whose files were replaced must be started again.
    """
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted((p for package in _PACKAGES for p in (root / package).rglob("*.py")), key=str):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    if module.partition(".")[0] not in _PACKAGES:
        digest.update(_source(import_module(module)))
    return {"code": digest.hexdigest()[:16], "python": platform.python_version(), **versions()}


def _source(module: ModuleType) -> bytes:
    file = inspect.getsourcefile(module)
    if file is None:
        raise UsageError(f"{module.__name__}: expected a module with source, found none")
    return Path(file).read_bytes()
