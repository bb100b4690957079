"""Tasks on a Dask cluster: one that is there (tcp:// or tls://), or one of processes on this machine. Extra `dask`.

Dask runs a task again whose worker died or whose cable is cut (its scheduler notices a silent line after the 30 seconds of
`distributed.comm.timeouts.tcp`, a silent worker after `distributed.scheduler.worker-ttl`), and gives up on one that took several
workers with it. A lost or silent scheduler ends the list of tasks with one line. Every wait has an end but that for a running task.
Not here: what goes to a worker and comes back (`parallel`), starting a cluster of several machines.
"""

import importlib.util
import logging
import math
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

CONNECT_SECONDS, LOOK_SECONDS, IDLE_SECONDS, SILENT_SECONDS = 15.0, 2.0, 120.0, 60.0
FETCH_SECONDS = (5.0, 10.0, 20.0, 40.0, 60.0)  # of a result that is there: each try; in between the others are taken
FETCH_SECONDS_MAX = 900.0
WINDOW_MIN, WINDOW_PER_WORKER = 32, 4
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


class Cluster(Pool):
    """Tasks on the cluster of a client. `where`: its address, for people; `idle_seconds`: how long it may have no worker at all;
    `silent_seconds`: how long its scheduler may not answer.
    """

    def __init__(self, client: "Client", where: str, own: "LocalCluster | None" = None) -> None:
        self.client, self._where, self._own = client, where, own
        self.idle_seconds, self.silent_seconds = IDLE_SECONDS, SILENT_SECONDS

    def finished(self, function: Task, arguments: Sequence[Json]) -> Iterator[tuple[int, Result]]:
        """As `Pool.finished`. A few tasks per worker are under way; a result is taken from the cluster as soon as it is there."""
        name, texts, sender = prepared(function, arguments)
        batch, todo, sent = uuid.uuid4().hex, list(enumerate(texts))[::-1], dict["Future", int]()
        tried = dict[
            int, tuple[float, int]
        ]()  # place -> when its result was first tried to fetch in vain, and how often
        try:
            while todo or sent:
                window = self._window() if todo else 0
                while todo and len(sent) < window:
                    place, text = todo.pop()
                    key = f"{name}-{batch}-{place}"
                    sent[self.client.submit(call, name, text, sender, key=key, pure=False)] = place
                for future in self._done(list(sent), name, len(todo)):
                    reply = self._reply(future, name, sent[future], len(sent) + len(todo), tried)
                    if reply is not None:
                        place = sent.pop(future)
                        yield place, result_of(reply, name, place)
        finally:
            if sent and self.client.status == "running":
                self.client.cancel(list(sent), force=True)

    def close(self) -> None:
        """Ends the client, and the cluster where this pool started it."""
        self.client.close(timeout=CONNECT_SECONDS)
        if self._own is not None:
            self._own.close(timeout=CONNECT_SECONDS)

    def _window(self) -> int:
        return max(WINDOW_MIN, WINDOW_PER_WORKER * (self._workers() or 0))

    def _workers(self) -> int | None:
        """How many there are; None when the scheduler does not say."""
        scheduler = self.client.scheduler
        if scheduler is None:
            return None
        try:
            told = self.client.sync(scheduler.identity, n_workers=-1, callback_timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return None
        return len(told.get("workers", {}))

    def _done(self, futures: "list[Future]", name: str, unsent: int) -> "list[Future]":
        """Those of which the outcome is known, at least one. Raises WorkError when the cluster is lost or has no workers."""
        from concurrent.futures import CancelledError

        from distributed import wait

        left, alone_since, silent_since = len(futures) + unsent, math.inf, math.inf
        while True:
            try:
                with self.client.as_current():
                    return list(wait(futures, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED").done)
            except CancelledError as error:
                raise self._lost(name, left) from error
            except TimeoutError:
                pass
            asked = time.monotonic()
            workers = self._workers()
            if self.client.status != "running":
                raise self._lost(name, left)
            now = time.monotonic()
            silent_since = min(silent_since, asked) if workers is None else math.inf
            alone_since = min(alone_since, now) if workers == 0 else math.inf
            if now - silent_since > self.silent_seconds:
                raise self._lost(name, left)
            if now - alone_since > self.idle_seconds:
                raise WorkError(
                    f"{name}: expected workers at {self._where}, found none for {self.idle_seconds:.0f} s; what was finished "
                    f"is kept, {left} tasks are not done: start workers and give the same command again"
                )

    def _reply(self, future: "Future", name: str, place: int, left: int, tried: dict[int, tuple[float, int]]) -> Any:
        """What the worker said; None when its result is not here yet, as when it was lost with its worker and runs again.

        Raises WorkError when Dask itself gave the task up, the scheduler is lost, or a result cannot be fetched again and again.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        if future.status == "pending":
            tried.pop(place, None)
            return None
        first, times = tried.get(place, (time.monotonic(), 0))
        try:
            return future.result(timeout=FETCH_SECONDS[min(times, len(FETCH_SECONDS) - 1)])
        except KilledWorker as error:
            took = error.allowed_failures + 1
            raise WorkError(
                f"{name}: argument {place} took {took} workers with it (memory?); it is not done"
            ) from error
        except TimeoutError as error:
            if self._workers() is None:
                raise self._lost(name, left) from error
            tried[place] = (first, times + 1)
            if time.monotonic() - first > FETCH_SECONDS_MAX:
                raise WorkError(
                    f"{name}: expected the result of argument {place} from its worker, found none for "
                    f"{FETCH_SECONDS_MAX:.0f} s; what was finished is kept, {left} tasks are not done: look which worker at "
                    f"{self._where} does not answer, end it, and give the same command again"
                ) from error
            return None
        except (CancelledError, OSError) as error:
            raise self._lost(name, left) from error

    def _lost(self, name: str, left: int) -> WorkError:
        return WorkError(
            f"{name}: expected the scheduler at {self._where}, found that it is gone or does not answer; what was finished is "
            f"kept, {left} tasks are not done: see that it runs and can be reached, and give the same command again"
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

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told in one line, by us
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
    """The keys of a tls:// cluster: ca.pem, cert.pem and key.pem in the folder that MARKETBOT_DASK_TLS names; without that variable
    those of Dask's own configuration (`distributed.comm.tls`). Both sides are proven.
    """
    from distributed import Security

    given = settings.variable("MARKETBOT_DASK_TLS")
    if not given:
        own = Security(require_encryption=True)
        if own.tls_ca_file and own.tls_client_cert and own.tls_client_key:
            return own
    folder = Path(given) if given else None
    if folder is None or not all((folder / name).is_file() for name in TLS_FILES):
        raise UsageError(
            f"MARKETBOT_DASK_TLS: expected a folder with {', '.join(TLS_FILES)}, or ca-file, client.cert and client.key under "
            f"distributed.comm.tls of Dask's configuration, found {given or 'neither'}"
        )
    ca, cert, key = (str(folder / name) for name in TLS_FILES)
    return Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
