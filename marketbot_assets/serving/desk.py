"""Where requests look: the home's store opened to be read only, one computation at a time, answers kept while nothing changed.

A run is never held up: SQLite refuses every write here, a lock of the reader lasts as long as one query, and however many
ask, two threads compute. Not here: what is shown (`views`, `pages`).
"""

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar, cast

from marketbot_assets.commands.home import load_mandate, reading
from marketbot_assets.serving.cleaning import Cleaner
from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.halt import FILE_NAME
from marketbot_resources.store.index_opening import has_index
from marketbot_resources.store.lake import Lake

T = TypeVar("T")
Clock = Callable[[], dt.datetime]
_Mark = tuple[Hashable, Hashable]
KEPT_SECONDS, RUNNING_SECONDS = 15.0, 2.0
WAIT_SECONDS = 20.0
NO_BOOK = "no book yet; run `marketbot run` first"


class Busy(MarketbotError):
    """Others ask for more than one computation at a time can give; later it may be free."""


class _Lane:
    """One computation at a time, and its newest answers."""

    def __init__(self, most: int) -> None:
        self.lock, self.most = threading.Lock(), most
        self.lake: Lake | None = None
        self.kept: OrderedDict[Hashable, tuple[_Mark, float, object]] = OrderedDict()


class Desk:
    """Views of one home. `quick`: small views, `slow`: those that read and hash a session's evidence again."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._quick, self._slow, self._mark = _Lane(128), _Lane(16), _Lane(1)
        self._naming, self._cleaner = threading.Lock(), cast("tuple[Hashable, Cleaner] | None", None)

    def view(self, key: Hashable, make: Callable[[Lake], T], *, slow: bool = False) -> T:
        """What `make` gives of the home as it is now, or gave a moment ago.

        An answer is kept for KEPT_SECONDS while ledger and store stay the same, for RUNNING_SECONDS while a run changes them, and
        never across a change of halt flag or mandate. Raises UsageError before anything was run, Busy when the wait for others is
        too long, what `make` raises.
        """
        lane, arrived, mark = self._slow if slow else self._quick, self._clock().timestamp(), self._marked()
        known = lane.kept.get(key)
        if known is None or not _fresh(known, mark, arrived):
            with _held(lane):
                known = lane.kept.get(key)
                # what others began to compute after this request came is as new as what it would compute itself
                if known is None or not (_fresh(known, mark, arrived) or known[1] > arrived):
                    lake, at = self._lake(lane), self._clock().timestamp()
                    with reading(lake):
                        made = make(lake)
                    lane.kept[key] = known = (mark, at, made)
                    lane.kept.move_to_end(key)
                    while len(lane.kept) > lane.most:
                        lane.kept.popitem(last=False)
        return cast("T", known[2])

    def cleaner(self) -> Cleaner:
        """Masks this installation's secrets and accounts, as its settings and its mandate name them now. Raises MandateError."""
        key = (tuple(settings.secrets()), settings.live_accounts(), _mandate_mark())
        with self._naming:
            if self._cleaner is None or self._cleaner[0] != key:
                accounts = {load_mandate().account.id, *settings.live_accounts()}
                self._cleaner = (key, Cleaner(key[0], accounts))
            return self._cleaner[1]

    def guard(self) -> Cleaner:
        """The same for what tells nothing of the book: without a mandate that can be read it knows the settings' accounts alone."""
        try:
            return self.cleaner()
        except MarketbotError:
            return Cleaner(settings.secrets(), settings.live_accounts())

    def _marked(self) -> _Mark:
        """(what must not be told late: halt flag and mandate, what changes all through a run: ledger and store)."""
        with self._mark.lock:
            lake = self._lake(self._mark)
            told = _stat(self._home / FILE_NAME), _mandate_mark()
            return told, (lake.ledger.size(), lake.index.size())

    def _lake(self, lane: _Lane) -> Lake:
        if not has_index(self._home):
            raise UsageError(NO_BOOK)
        if lane.lake is None:
            lane.lake = Lake(self._home, read_only=True)
        return lane.lake


def _fresh(known: tuple[_Mark, float, object], mark: _Mark, at: float) -> bool:
    (told, data), age = known[0], at - known[1]
    return told == mark[0] and 0 <= age < (KEPT_SECONDS if data == mark[1] else RUNNING_SECONDS)


class _held:  # noqa: N801
    """A lane for oneself, within WAIT_SECONDS."""

    def __init__(self, lane: _Lane) -> None:
        self._lock = lane.lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Busy("too much is being computed; ask again later")

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def _stat(path: Path) -> Hashable:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _mandate_mark() -> Hashable:
    return settings.mandate_path(), _stat(settings.mandate_path())
