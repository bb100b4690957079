"""Faults from one seed: when the process dies, when a port raises, how the broker treats an order. All counted by kind.

A boundary is one call through a port; the process may die before or after it. Not here: what must hold then (`sim_invariants`).
"""

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import LedgerError, SignerRefused
from marketbot_resources.halt import UNREADABLE, HaltFlag, HaltSwitch
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Fence, Receipt
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import Schedule
from marketbot_resources.notary import Notarized

T = TypeVar("T")
OFTEN: dict[str, float] = {}  # kind -> chance instead of its own, for tests that wait for one kind


class Crash(BaseException):
    """The process dies here; nothing of ours may catch it."""


class Faults:
    """What goes wrong in one simulation. `storm`: whether anything may go wrong at present."""

    def __init__(self, seed: int) -> None:
        self._seed, self._streams = seed, dict[str, random.Random]()
        self.counts: Counter[str] = Counter()
        self.storm = False
        self._seen, self._die_at, self._after, self._dead = 0, 0, False, False

    def stream(self, port: str) -> random.Random:
        """The generator of one port: what happens at one does not move what happens at another."""
        return self._streams.setdefault(port, random.Random(f"{self._seed}|{port}"))

    def maybe(self, kind: str, chance: float) -> bool:
        """Whether a fault of this kind happens now."""
        happens = self.stream(kind).random() < OFTEN.get(kind, chance) and self.storm
        self.counts[kind] += happens
        return happens

    def revive(self) -> None:
        """A dead process is started again."""
        self._dead = False

    def begin_attempt(self, *, most: int) -> None:
        """Decides at which boundary this attempt dies, if at all."""
        draw, self._dead = self.stream("crash"), False
        dies, self._after, self._seen = draw.random() < 0.35, draw.random() < 0.5, 0
        self._die_at = draw.randint(1, most) if dies and self.storm else 0

    def cross(self, name: str, call: Callable[[], T]) -> T:
        """Runs a call through a port; the process dies before or after it at its number; a dead one calls no more."""
        if self._dead:
            raise Crash(name)
        self._seen += 1
        mine = self._seen == self._die_at
        if mine and not self._after:
            self._die(name)
        made = call()
        if mine:
            self._die(name)
        return made

    def _die(self, name: str) -> None:
        self._die_at, self._dead = 0, True
        self.counts["crash"] += 1
        raise Crash(name)


class VirtualClock:
    """The clock port; time passes when somebody waits or a call takes its time."""

    live = True

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)

    def at_cutoff(self, session: dt.date) -> dt.datetime:
        """The computed cutoff of a session."""
        return computed_cutoff(self._schedule, session)

    def begin(self, session: dt.date) -> None:
        """Moves to the cutoff of a session, never back."""
        self.at = max(self.at, self.at_cutoff(session))

    def now(self, session: dt.date) -> dt.datetime:
        return self.at

    def sending(self, session: dt.date) -> dt.datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        assert 0.0 <= seconds <= 3_600.0, f"a wait of {seconds} seconds"
        self.at += dt.timedelta(seconds=seconds)


class FaultyLedger(SqliteLedger):
    """The real ledger, whose writes fail before or after they are durable and are boundaries."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._faults = faults
        super().__init__(path)

    def _append(self, records: Sequence[tuple[str, str, bytes]], fence: Fence | None = None) -> list[Receipt]:
        if self._faults.maybe("ledger refuses", 0.004):
            raise LedgerError("ledger: the database is down")
        made = self._faults.cross(f"ledger {records[0][0]}", lambda: super(FaultyLedger, self)._append(records, fence))
        if self._faults.maybe("ledger lost its answer", 0.002):
            raise LedgerError("ledger: the connection was lost after the commit")
        return made


class FaultyHalt(HaltSwitch):
    """The real switch, sometimes unreadable, sometimes raising."""

    def __init__(self, home: Path, faults: Faults) -> None:
        super().__init__(home)
        self._faults = faults

    def read(self) -> HaltFlag:
        if self._faults.maybe("halt flag unreadable", 0.004):
            return HaltFlag(UNREADABLE, "the disk does not answer")
        return self._faults.cross("halt read", super().read)


class FaultyNotary:
    """A notary that keeps heads; it may refuse or not answer."""

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger, self._faults = ledger, faults

    def checkpoint(self) -> Notarized:
        if self._faults.maybe("signer away", 0.01):
            raise LedgerError("signer: no answer")
        if self._faults.maybe("signer refused", 0.002):
            raise SignerRefused("the head does not continue the last one")
        size, root = self._faults.cross("notary", self._ledger.head)
        return Notarized(size, root, "", {})


class FaultyStore:
    """What the platform keeps between runs: written whole or not at all, never changed."""

    def __init__(self, faults: Faults) -> None:
        self._faults, self._kept = faults, dict[tuple[str, dt.date], object]()

    def put(self, asset: str, session: dt.date, value: T) -> T:
        """Keeps a value once and gives what is kept. Raises OSError when the disk is full."""
        if (asset, session) not in self._kept:
            if self._faults.maybe("disk full", 0.01):
                raise OSError(28, "No space left on device")
            self._faults.cross(f"put {asset}", lambda: self._kept.setdefault((asset, session), value))
        return self._kept[asset, session]  # type: ignore[return-value]

    def get(self, asset: str, session: dt.date) -> object | None:
        return self._kept.get((asset, session))
