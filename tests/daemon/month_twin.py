"""The same month without disturbance: each decided session once, in one process, at the cutoffs that the month recorded.

`python month_twin.py MONTH TWIN`, also while the month goes on: a session that the month skipped does not happen; one whose
runs were killed while they sent dies at the first order that the month's broker never took. Then broker and orders of both
must be the same. Its own alerts go to the month's mail server while that is there.
"""

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

from graph_world import Between, Home, Killed
from month_facts import Facts

from marketbot_resources.clock import SEND_DELAY, Clock
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Acknowledgement, Order
from marketbot_resources.wiring import BrokerResource, ClockResource, Ports


class Standing:
    """A live clock that stands at one instant."""

    live = True

    def __init__(self, at: dt.datetime) -> None:
        self._at = at

    def now(self, session: dt.date) -> dt.datetime:
        return self._at

    def sending(self, session: dt.date) -> dt.datetime:
        return self._at + SEND_DELAY

    def wait(self, seconds: float) -> None:
        return None


class StandingClock(ClockResource):
    """`at`: ISO instant."""

    at: str

    def open(self) -> Clock:
        return Standing(dt.datetime.fromisoformat(self.at))


class _Stopping(Between):
    names: frozenset[str] = frozenset()

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        if order.client_order_id not in self.names:
            raise Killed("submissions")
        return self._broker.submit(order, at)


class StoppingBroker(BrokerResource):
    """The run dies when it hands over an order that is none of `names`; the broker does not hear of that one."""

    names: list[str]

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        made = _Stopping(super().open(mandate, ports))
        made.names = frozenset(self.names)
        return made


def live_again(month: Facts, folder: Path) -> Facts:
    """Runs the month's decided sessions in a home below `folder`; those that it has lived are not run again."""
    twin, lived = Home(folder / "home"), Facts(folder).ends()
    cutoffs = {entry.key: str(entry.body["cutoff_at"]) for entry in month.ledger("session_cutoff")}
    broker, batches = (
        month.at_broker(),
        {e.key.split("/")[1]: len(e.body["orders"]) for e in month.ledger("batch_frozen")},
    )
    for day, end in sorted(month.ends().items()):
        if end["state"] == "skipped" or day in lived:
            continue
        clock = StandingClock(at=cutoffs[day])
        taken = sorted(name for name, order in broker.items() if order["session"] == day)
        if len(taken) < batches.get(day, 0):
            with contextlib.suppress(Killed):
                twin.run(day, {"clock": clock, "broker": StoppingBroker(names=taken)})
        else:
            assert twin.run(day, {"clock": clock}), f"{day}: the undisturbed run failed"
    return Facts(folder)


def differences(month: Facts, twin: Facts) -> list[str]:
    """Orders, executions and account that are not the same at both brokers.

    Of a month that goes on, what the twin has not lived yet does not count: executions of the last session's orders, the account.
    """
    last, whole = max(twin.ends()), set(twin.ends()) >= decided(month)
    names = {name for name, order in month.at_broker().items() if order["session"] <= last}
    done = {name for name in names if whole or month.at_broker()[name]["session"] < last}
    found = []
    for what, ours, theirs in (
        ("order", {k: v for k, v in month.at_broker().items() if k in names}, twin.at_broker()),
        ("execution", executed(month, done), executed(twin, done)),
    ):
        found += [f"{what} {key}: only in the month" for key in sorted(set(ours) - set(theirs))]
        found += [f"{what} {key}: only in the twin" for key in sorted(set(theirs) - set(ours))]
        found += [f"{what} {key}: differs" for key in sorted(set(ours) & set(theirs)) if ours[key] != theirs[key]]
    mine, other = month.account(), twin.account()
    parts = ("cash", "shares") if whole else ()
    return found + [f"account: {part} differs" for part in parts if mine.get(part) != other.get(part)]


def decided(facts: Facts) -> set[str]:
    """Sessions that ended otherwise than skipped."""
    return {day for day, end in facts.ends().items() if end["state"] != "skipped"}


def executed(facts: Facts, orders: set[str]) -> dict[str, dict[str, Any]]:
    """Executions of these orders. A currency is converted at the instant of its order, which is no decision: left out there."""
    found = {name: body for name, body in facts.executions().items() if body["client_order_id"] in orders}
    return {
        name: {part: value for part, value in body.items() if part != "executed_at" or body["kind"] != "FX"}
        for name, body in found.items()
    }


def main() -> int:
    """0: both are the same."""
    month, folder = Facts(Path(sys.argv[1])), Path(sys.argv[2])
    os.environ["MARKETBOT_MANDATE"] = str(month.folder / "mandate.yaml")
    found = differences(month, live_again(month, folder))
    print("\n".join(found) or "the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
