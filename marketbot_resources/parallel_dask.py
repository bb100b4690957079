"""Tasks on a Dask cluster: one that is there (tcp:// or tls://), or one of processes on this machine. Extra `dask`.

Dask runs a task again whose worker died, and gives up on one that took several workers with it. A lost scheduler ends the list of
tasks with one line. Not here: what goes to a worker and comes back (`parallel`), starting a cluster of several machines.
"""

import importlib.util
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketbot_resources import settings
from marketbot_resources.errors import UsageError, WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import DEATHS_MAX, THREADS, Pool, Result, Task, call, prepared, result_of

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster, Security

CONNECT_SECONDS, LOOK_SECONDS, IDLE_SECONDS = 15.0, 2.0, 120.0
WINDOW_MIN, WINDOW_PER_WORKER = 32, 4
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


class Cluster(Pool):
    """Tasks on the cluster of a client. `where`: its address, for people; `idle_seconds`: how long it may have no worker at all."""

    def __init__(self, client: "Client", where: str, own: "LocalCluster | None" = None) -> None:
        self.client, self._where, self._own, self.idle_seconds = client, where, own, IDLE_SECONDS

    def finished(self, function: Task, arguments: Sequence[Json]) -> Iterator[tuple[int, Result]]:
        """As `Pool.finished`. A few tasks per worker are under way; a result is taken from the cluster as soon as it is there."""
        name, texts, sender = prepared(function, arguments)
        batch, todo, sent = uuid.uuid4().hex, list(enumerate(texts))[::-1], dict["Future", int]()
        try:
            while todo or sent:
                while todo and len(sent) < self._window():
                    place, text = todo.pop()
                    key = f"{name}-{batch}-{place}"
                    sent[self.client.submit(call, name, text, sender, key=key, pure=False)] = place
                for future in self._done(list(sent), name, len(todo)):
                    place = sent.pop(future)
                    yield place, result_of(self._reply(future, name, place), name, place)
        finally:
            if sent and self.client.status == "running":
                self.client.cancel(list(sent), force=True)

    def close(self) -> None:
        """Ends the client, and the cluster where this pool started it."""
        self.client.close(timeout=CONNECT_SECONDS)
        if self._own is not None:
            self._own.close(timeout=CONNECT_SECONDS)

    def _window(self) -> int:
        return max(WINDOW_MIN, WINDOW_PER_WORKER * len(self._workers()))

    def _workers(self) -> dict[str, Any]:
        return dict(self.client.scheduler_info(n_workers=-1).get("workers", {}))

    def _done(self, futures: "list[Future]", name: str, unsent: int) -> "list[Future]":
        """Those of which the outcome is known, at least one. Raises WorkError when the cluster is lost or has no workers."""
        from concurrent.futures import CancelledError

        from distributed import wait

        alone_since: float | None = None
        while True:
            try:
                with self.client.as_current():
                    return list(wait(futures, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
            except CancelledError as error:
                raise self._lost(name, len(futures) + unsent) from error
            except TimeoutError:
                pass
            if self.client.status != "running":
                raise self._lost(name, len(futures) + unsent)
            now = time.monotonic()
            alone_since = None if self._workers() else (now if alone_since is None else alone_since)
            if alone_since is not None and now - alone_since > self.idle_seconds:
                raise WorkError(
                    f"{name}: expected workers at {self._where}, found none for {self.idle_seconds:.0f} s; "
                    f"{len(futures) + unsent} tasks are not done"
                )

    def _reply(self, future: "Future", name: str, place: int) -> Any:
        """What the worker said. Raises WorkError when Dask itself gave the task up."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return future.result(timeout=CONNECT_SECONDS)
        except KilledWorker as error:
            took = error.allowed_failures + 1
            raise WorkError(
                f"{name}: argument {place} took {took} workers with it (memory?); it is not done"
            ) from error
        except (CancelledError, TimeoutError, OSError) as error:
            raise self._lost(name, 1) from error

    def _lost(self, name: str, left: int) -> WorkError:
        return WorkError(
            f"{name}: expected the scheduler at {self._where}, found that it is gone; what was finished is kept, "
            f"{left} tasks are not done: start it and give the same command again"
        )


def local_cluster(workers: int) -> Cluster:
    """A cluster of processes on this machine, one thread each, ended with the pool.

    It listens on 127.0.0.1 and takes only who has its keys, which live as long as it: other users of this machine are kept out.
    """
    _installed()
    import dask
    from distributed import Client, LocalCluster, Security

    with dask.config.set(_config()):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=Security.temporary(),
            dashboard_address=None,
            worker_dashboard_address=None,
            env=dict.fromkeys(THREADS, "1"),
            silence_logs="CRITICAL",
        )
        return Cluster(Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False), "this machine", cluster)


def existing_cluster(address: str) -> Cluster:
    """The cluster behind a scheduler's address. Raises UsageError in one line when it does not answer."""
    _installed()
    import dask
    from distributed import Client

    security = _security() if address.startswith("tls://") else None
    try:
        with dask.config.set(_config()):
            return Cluster(Client(address, timeout=CONNECT_SECONDS, security=security, set_as_default=False), address)
    except (OSError, TimeoutError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(f"workers: expected a Dask scheduler at {address}, found: {why}") from error


def _config() -> dict[str, object]:
    return {"distributed.scheduler.allowed-failures": DEATHS_MAX, "distributed.comm.timeouts.connect": CONNECT_SECONDS}


def _installed() -> None:
    if importlib.util.find_spec("distributed") is None:
        raise UsageError(
            "workers: expected the library distributed, found none; install the extra dask: marketbot[dask]"
        )


def _security() -> "Security":
    """The keys of a tls:// cluster: ca.pem, cert.pem and key.pem in the folder that MARKETBOT_DASK_TLS names."""
    from distributed import Security

    given = settings.variable("MARKETBOT_DASK_TLS")
    folder = Path(given) if given else None
    if folder is None or not all((folder / name).is_file() for name in TLS_FILES):
        raise UsageError(f"MARKETBOT_DASK_TLS: expected a folder with {', '.join(TLS_FILES)}, found {given or 'none'}")
    ca, cert, key = (str(folder / name) for name in TLS_FILES)
    return Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
