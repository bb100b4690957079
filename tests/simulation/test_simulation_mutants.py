"""The harness itself: six faults planted in the product, one at a time, are found within a few seeds, by the invariant that should.

What is planted replaces a function by a worse one for the length of one test; nothing else of the product is touched.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
import sim_faults
import sim_platform
import sim_twin
from sim_invariants import Violation
from sim_run import BLOCK, simulate

from marketbot_assets import submit
from marketbot_assets.book.fills import executions_of
from marketbot_assets.execution import gate
from marketbot_assets.portfolio import order_plan
from marketbot_resources.halt import OFF, HaltFlag, HaltSwitch
from marketbot_resources.model import Execution, Order

SEEDS, SESSIONS = 24, BLOCK
SHORT = ("blind resend", "fills booked twice", "gate off")
Plant = Callable[[pytest.MonkeyPatch], None]


def blind_resend(patch: pytest.MonkeyPatch) -> None:
    """The broker takes doubles, the adapter says it does not: what got no answer is sent once more at once."""
    real = sim_twin.Twin.__init__

    def boast(self: sim_twin.Twin, *args: object, dedupes: bool) -> None:
        real(self, *args, dedupes=False)  # type: ignore[arg-type]
        self.capabilities = replace(self.capabilities, dedupes_client_id=True)

    patch.setattr(sim_twin.Twin, "__init__", boast)


def ids_from_quantity(patch: pytest.MonkeyPatch) -> None:
    """An order's id follows from its size, and a run that died asks the world again instead of serving what it had."""
    real, put = order_plan.to_orders, sim_faults.FaultyStore.put

    def named(*args: object, **kwargs: object) -> tuple[Order, ...]:
        made = real(*args, **kwargs)  # type: ignore[arg-type]
        return tuple(replace(o, client_order_id=f"{o.client_order_id[:20]}{o.quantity}") for o in made)

    def forgetful(self: sim_faults.FaultyStore, asset: str, session: dt.date, value: object) -> object:
        self._kept.pop((asset, session), None)
        return put(self, asset, session, value)

    patch.setattr("marketbot_assets.decision.to_orders", named)
    patch.setattr(sim_faults.FaultyStore, "put", forgetful)
    patch.setattr(sim_faults.FaultyStore, "get", lambda self, asset, session: _served(self, asset, session))


def _served(store: sim_faults.FaultyStore, asset: str, session: dt.date) -> object | None:
    return None if asset == "account_snapshot" else store._kept.get((asset, session))


def fills_twice(patch: pytest.MonkeyPatch) -> None:
    """What the broker tells twice is booked twice."""

    def twice(fills: pd.DataFrame) -> tuple[Execution, ...]:
        return tuple(fill for fill in executions_of(fills) for _ in range(2))

    patch.setattr(sim_platform, "executions_of", twice)


def gate_off(patch: pytest.MonkeyPatch) -> None:
    """The last-line gate finds no faults."""
    patch.setattr(gate, "faults", lambda orders, facts: ())
    patch.setitem(sim_faults.OFTEN, "account moves after the decision", 0.5)


def halt_ignored(patch: pytest.MonkeyPatch) -> None:
    """Sending reads the halt flag as off."""
    real = submit.submit

    class Deaf(HaltSwitch):
        def read(self) -> HaltFlag:
            return HaltFlag(OFF, "")

    patch.setitem(sim_faults.OFTEN, "operator halts while orders are sent", 0.2)
    patch.setattr(submit, "submit", lambda read, desk: real(read, replace(desk, halt=Deaf(desk.halt.home))))


def reconciliation_ignored(patch: pytest.MonkeyPatch) -> None:
    """Book and broker differ and nobody minds."""
    patch.setitem(sim_faults.OFTEN, "fill told after the position moved", 0.3)
    patch.setattr(sim_platform, "is_clean", lambda found: True)
    patch.setattr(sim_platform, "breaks_of", lambda found: ())


PLANTED: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "blind resend": (blind_resend, ("I1",)),
    "ids from quantity": (ids_from_quantity, ("P1", "I1", "I4")),
    "fills booked twice": (fills_twice, ("I2/I3", "I8")),
    "gate off": (gate_off, ("G6",)),
    "halt flag ignored": (halt_ignored, ("HALT",)),
    "reconciliation ignored": (reconciliation_ignored, ("I2/I3", "F09")),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long) for name in sorted(PLANTED)],
)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within `SEEDS` seeds, and by an invariant that speaks of it."""
    plant, expected = PLANTED[name]
    plant(monkeypatch)
    seed, told = _first_violation()
    assert told.split(":")[0] in expected, told
    assert f"SEEDS={seed} SESSIONS={SESSIONS}" in told


def _first_violation() -> tuple[int, str]:
    for seed in range(100, 100 + SEEDS):
        try:
            simulate(seed, SESSIONS)
        except Violation as found:
            return seed, str(found)
    return 0, f"nothing found in {SEEDS} seeds"
