"""One seed: storms and quiet weather, sessions that die and start again, the invariants after every step, a tally at the end.

Every block of seven sessions is four of storm and three of quiet weather, at whose end everything must be well again.
"""

import datetime as dt
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sim_faults import Crash, Faults
from sim_invariants import Invariants, Violation
from sim_platform import Simulated
from sim_world import World

from marketbot_assets import submit
from marketbot_resources.errors import Equivocation, MarketbotError
from marketbot_resources.mandate import Mandate

BLOCK, STORM, ATTEMPTS_MAX = 7, 4, 4
BOUNDARIES = 70
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one seed saw. `ends`: sessions by verdict; `faults`: by kind; `refusals`: why attempts ended early."""

    seed: int
    sessions: int
    attempts: int
    orders: int
    fills: int
    entries: int
    faults: Counter[str]
    ends: Counter[str]
    refusals: tuple[str, ...]


def commit() -> str:
    """The commit of the code that runs, short; `unknown` outside of a checkout."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return asked.stdout.strip() or "unknown"


def simulate(seed: int, sessions: int) -> Tally:
    """Runs one seed. Raises Violation, with everything that is needed to see it again, for the first invariant that fails."""
    assert sessions % BLOCK == 0, f"expected whole blocks of {BLOCK} sessions, found {sessions}"
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as home:
        faults, world = Faults(seed), World(seed, sessions)
        if seed % 4 == 1:
            world.mandate = with_resend(world.mandate)
        sim = Simulated(world, Path(home), faults, dedupes=seed % 2 == 0)
        real = submit.machine_now
        submit.machine_now = lambda: sim.clock.at  # what stands still for a minute gave no sign of life
        try:
            return _Run(seed, sessions, sim, faults, world).go()
        finally:
            submit.machine_now = real


def with_resend(mandate: Mandate) -> Mandate:
    """An order without a trace at a broker that takes doubles is sent again once its lateness has passed."""
    return mandate.model_copy(update={"broker": mandate.broker.model_copy(update={"resend": True})})


class _Run:
    def __init__(self, seed: int, sessions: int, sim: Simulated, faults: Faults, world: World) -> None:
        self._seed, self._count, self._sim, self._faults, self._world = seed, sessions, sim, faults, world
        self._invariants = Invariants(sim)
        self._attempts = 0
        self._ends: Counter[str] = Counter()

    def go(self) -> Tally:
        for place, day in enumerate(self._world.sessions[: self._count]):
            attempt = 0
            try:
                self._weather(place, day)
                while attempt < ATTEMPTS_MAX:
                    attempt += 1
                    if self._attempt(day):
                        break
                self._invariants.session(day)
                if place % BLOCK == BLOCK - 1:
                    self._invariants.alive(day)
            except Exception as error:
                raise self._told(day, attempt, error) from error
            kept = self._sim.store.get("book", day)
            self._ends[kept.decision.judgement.verdict if kept is not None else "no decision"] += 1  # type: ignore[attr-defined]
        try:
            self._invariants.whole()
        except Violation as error:
            raise self._told(self._world.sessions[self._count - 1], 0, error) from error
        return self._tally()

    def _weather(self, place: int, day: dt.date) -> None:
        """What happens between two sessions: people at the desk, fees, and the operator in the morning."""
        sim, faults = self._sim, self._faults
        faults.storm = place % BLOCK < STORM and place > 0
        if not faults.storm:
            sim.twin.undo()
        sim.twin.settle()
        sim.clock.begin(day)
        if faults.maybe("human", 0.03):
            sim.twin.human(untold=faults.stream("human").random() < 0.5)
        if faults.maybe("charge", 0.05):
            sim.twin.charge(faults.stream("charge").choice(sim.fees))
        sim.operate(day)

    def _attempt(self, day: dt.date) -> bool:
        """One attempt; whether it came to its end."""
        self._attempts += 1
        self._faults.begin_attempt(most=BOUNDARIES)
        try:
            self._sim.run(day)
            ended = True
        except Crash:
            ended = False
        except Equivocation as error:
            raise Violation(f"P1: the same session decided or sent otherwise: {error}") from error
        except (MarketbotError, OSError) as error:
            self._sim.refusals.append(f"{day} {type(error).__name__}: {error}")
            ended = False
        self._faults.revive()
        self._sim.clock.at += dt.timedelta(minutes=5)
        self._sim.twin.settle()
        self._invariants.step(day)
        return ended

    def _told(self, day: dt.date, attempt: int, error: Exception) -> Violation:
        again = f"make simulate SEEDS={self._seed} SESSIONS={self._count}"
        what = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
        where = f"seed {self._seed}, session {day}, attempt {attempt}, commit {commit()}"
        return Violation(f"{what}\n  {where}\n  again: {again}")

    def _tally(self) -> Tally:
        sim = self._sim
        fills = sum(1 for _, fact in sim.twin.log if hasattr(fact, "execution_id"))
        return Tally(
            self._seed, self._count, self._attempts, len(sim.twin.attempts), fills, sim.ledger.size(),
            +self._faults.counts, self._ends, tuple(sim.refusals),
        )  # fmt: skip
