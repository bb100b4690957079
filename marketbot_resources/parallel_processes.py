"""Tasks on processes of this machine, by the standard library's pool. A killed process is replaced and its tasks run again.

Children are spawned, not forked (numeric libraries have threads), run one task at a time on one thread, and end with their parent,
however that ends. Not here: what goes to a worker and comes back (`parallel`).
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from marketbot_resources.errors import WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import DEATHS_MAX, THREADS, Pool, Reply, Result, Task, call, prepared, result_of


class Processes(Pool):
    """So many processes, started for each list of tasks and ended with it."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def finished(self, function: Task, arguments: Sequence[Json]) -> Iterator[tuple[int, Result]]:
        """As `Pool.finished`. A killed process breaks the library's pool: what was not done begins again in a new one."""
        name, texts, sender = prepared(function, arguments)
        left, barren = dict(enumerate(texts)), 0
        while left:
            before = len(left)
            with _executor(min(self.workers, len(left))) as pool:
                sent = {pool.submit(call, name, text, sender): place for place, text in left.items()}
                try:
                    for place, reply in _replies(sent):
                        del left[place]
                        yield place, result_of(reply, name, place)
                finally:
                    pool.shutdown(cancel_futures=True)
            barren = barren + 1 if len(left) == before else 0
            if barren == DEATHS_MAX:
                places = ", ".join(str(place) for place in list(left)[:10])
                raise WorkError(
                    f"{name}: expected {len(left)} more results, found that processes died {DEATHS_MAX} times before any of "
                    f"them was there (memory?); arguments {places}{' and more' if len(left) > 10 else ''} are not done"
                )


def _replies(sent: dict[Future[Reply], int]) -> Iterator[tuple[int, Reply]]:
    """Replies as they come; what a broken pool took with it is left out."""
    for future in as_completed(sent):
        error = future.exception()
        if error is None:
            yield sent[future], future.result()
        elif not isinstance(error, BrokenProcessPool):
            raise error


def _executor(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=begin)


def begin() -> None:
    """In a new process: one thread per numeric library, and an end when the parent ends."""
    for variable in THREADS:
        os.environ[variable] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
