"""Orders after their run: when they are followed, when a later window is served, and that it is given up for good."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from standing_clock import Standing
from told_account import ACCOUNT, DAYS, MANDATE, ToldBroker, ToldHome, cutoff, order

from marketbot_assets.automation_orders import Due, follow_minutes, order_sensor, orders_due, waiting_orders
from marketbot_assets.definitions import build_definitions
from marketbot_assets.jobs import order_following
from marketbot_resources.broker.following import quiet_since
from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.clock import Clock
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, OrderState
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import BrokerResource, ClockResource, MandateResource, Ports

FIRST = DAYS[0]
EVENING = dt.datetime(2018, 12, 11, 0, 0, tzinfo=dt.UTC)  # 19:00 in New York: its auction orders are taken from here on
OPENING, CLOSING = EVENING + dt.timedelta(hours=14, minutes=28), EVENING + dt.timedelta(hours=20, minutes=50)
MINUTE = dt.timedelta(minutes=1)
LATER = replace(order("later"), send_from=EVENING, send_until=OPENING)
CLOSE = replace(order("close"), send_from=EVENING + dt.timedelta(hours=15), send_until=CLOSING)
FOLLOW = Due("order_following", f"following-{int((EVENING - MINUTE).timestamp()) // 60}")


def due(now: dt.datetime | None, *orders: Order, is_open: bool = False, running: bool = False) -> Due | str:
    return orders_due(now=now, waiting={FIRST: orders} if orders else {}, is_open=is_open, running=running)


def test_only_the_live_clock_follows_and_one_run_at_a_time() -> None:
    assert "live clock only" in str(due(None, LATER, is_open=True))
    assert "one run at a time" in str(due(EVENING, LATER, is_open=True, running=True))
    assert due(EVENING) == "no order is open and none waits for its window"


@pytest.mark.parametrize(
    ("now", "key"),
    [
        (EVENING - MINUTE, None), (EVENING, f"later-{FIRST}-{EVENING.isoformat()}"),
        (OPENING, f"later-{FIRST}-{EVENING.isoformat()}"), (OPENING + MINUTE, f"later-{FIRST}-over"),
    ],
)  # fmt: skip
def test_a_window_is_served_once_and_given_up_once(now: dt.datetime, key: str | None) -> None:
    """From its first to its last instant one run; after it one that ends the orders unsent."""
    found = due(now, LATER)
    assert found == (Due("later_window", key, FIRST) if key else "no order is open and none waits for its window")


def test_two_windows_are_two_runs_and_nothing_is_given_up_while_one_is_ahead() -> None:
    keys = [due(at, LATER, CLOSE) for at in (EVENING, CLOSE.send_from, CLOSING + MINUTE)]
    assert [one.key if isinstance(one, Due) else one for one in keys] == [
        f"later-{FIRST}-{EVENING.isoformat()}", f"later-{FIRST}-{CLOSE.send_from.isoformat()}", f"later-{FIRST}-over",
    ]  # fmt: skip
    assert isinstance(due(OPENING + MINUTE, LATER, CLOSE), str)


def test_open_orders_are_followed_each_minute_while_others_wait() -> None:
    assert due(EVENING - MINUTE, LATER, is_open=True) == FOLLOW
    assert due(EVENING - MINUTE, is_open=True) == FOLLOW
    assert due(EVENING, LATER, is_open=True) == Due("later_window", f"later-{FIRST}-{EVENING.isoformat()}", FIRST)
    keys = {due(EVENING + n * dt.timedelta(seconds=20), is_open=True) for n in range(6)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("minutes", "every"), [(None, 1), (-1.0, 1), (0.0, 1), (9.9, 1), (10.0, 2), (59.9, 2), (60.0, 5), (900.0, 5)]
)
def test_orders_that_do_not_change_are_looked_at_less_often(minutes: float | None, every: int) -> None:
    """None: in doubt, or not known; below zero: the broker's clock is ahead."""
    assert follow_minutes(None if minutes is None else minutes * MINUTE) == every


@pytest.mark.parametrize(("quiet", "looks"), [(EVENING, 10 + 25 + 169), (None, 901)])
def test_a_night_of_open_orders(quiet: dt.datetime | None, looks: int) -> None:
    """By hand, minutes 0 to 900: 0 to 9; 10, 12 .. 58; 60, 65 .. 900. Each minute where it is not known how long they stand."""
    ticks = [EVENING + n * MINUTE for n in range(901)]
    found = [orders_due(now=at, waiting={}, is_open=True, running=False, quiet=quiet) for at in ticks]
    keys = {one.key for one in found if isinstance(one, Due)}
    assert len(keys) == looks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToldHome:
    """A decided session with a frozen batch: one order at the broker, one whose window opens in the evening."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    made = ToldHome(tmp_path, ToldBroker(states={"o1": OrderState.PARTIAL}))
    made.snapshot(FIRST)
    freeze_batch(made.ledger, ACCOUNT, FIRST, [order("o1"), LATER], {"verdict": "APPROVED"})
    return made


def test_what_waits_is_what_opens_later_and_was_never_sent(home: ToldHome) -> None:
    """Not what a dead run left of its own window, not what was sent, nothing of a session that has ended or was refused."""
    assert waiting_orders(home.ledger, ACCOUNT) == {FIRST: (LATER,)}
    home.ledger.append("order_event", "later/1", {"state": "SENDING", "at": ""})
    assert waiting_orders(home.ledger, ACCOUNT) == {FIRST: ()}
    home.end(FIRST)
    assert waiting_orders(home.ledger, ACCOUNT) == {}
    freeze_batch(home.ledger, ACCOUNT, DAYS[1], [], {"verdict": "REJECTED"})
    assert waiting_orders(home.ledger, ACCOUNT) == {}


def test_quiet_is_since_the_newest_change_and_never_while_an_order_is_in_doubt(home: ToldHome) -> None:
    def say(key: str, state: str, at: str) -> dt.datetime | None:
        home.ledger.append("order_event", key, {"state": state, "at": at})
        return quiet_since(home.ledger, ACCOUNT)

    assert quiet_since(home.ledger, ACCOUNT) is None
    assert say("o1/1", "SENDING", "2018-12-10T23:20:00Z") is None
    assert say("o1/2", "ACKED", "2018-12-10T23:20:01Z") == dt.datetime(2018, 12, 10, 23, 20, 1, tzinfo=dt.UTC)
    assert say("later/1", "SENDING", "2018-12-11T00:00:00Z") is None
    assert say("later/2", "UNKNOWN", "2018-12-11T00:00:01Z") is None
    assert say("later/3", "ACKED", "2018-12-11T00:00:02Z") == EVENING + dt.timedelta(seconds=2)
    assert say("o1/3", "FILLED", "") is None


class At(ClockResource):
    """Hours after the first cutoff."""

    hours: float

    def open(self) -> Clock:
        return Standing(cutoff(FIRST) + dt.timedelta(hours=self.hours))


class Told(BrokerResource):
    """A broker that has filled the first order."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return ToldBroker(states={"o1": OrderState.FILLED})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(instance: dg.DagsterInstance, hours: float) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance,
        resources={"store": StoreResource(), "mandate_file": MandateResource(), "clock": At(hours=hours)},
    )
    found = order_sensor(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_the_sensor_follows_then_serves_the_window_then_gives_up(home: ToldHome, instance: dg.DagsterInstance) -> None:
    """Off by default. Each answer names a job of the definitions; `later_window` gets its session's partition."""
    assert order_sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert isinstance(tick(instance, 0.1), dg.SkipReason)  # nothing was sent yet, the window is ahead
    home.ledger.append("order_event", "o1/1", {"state": "ACKED", "at": ""})
    found = [tick(instance, hours) for hours in (0.5, 1.0, 16.0)]
    assert [(one.job_name, one.partition_key) for one in found if isinstance(one, dg.RunRequest)] == [
        ("order_following", None), ("later_window", FIRST.isoformat()), ("later_window", FIRST.isoformat()),
    ]  # fmt: skip
    assert isinstance(found[1], dg.RunRequest)
    assert isinstance(found[2], dg.RunRequest)
    assert found[1].run_key != found[2].run_key
    names = {job.name for job in build_definitions().jobs or ()}
    assert {"order_following", "later_window"} <= names


def test_the_job_follows_and_halts_for_what_nobody_sent(home: ToldHome, instance: dg.DagsterInstance) -> None:
    """The op asks the broker through the real following and writes the order's end into the ledger."""
    home.ledger.append("order_event", "o1/1", {"state": "ACKED", "at": ""})
    resources = {"broker": Told(), "clock": At(hours=15.0)}
    job = build_definitions(resources).resolve_job_def(order_following.name)
    assert job.execute_in_process(instance=instance).success
    assert [entry.body["state"] for entry in home.ledger.entries("order_event", "o1/")] == ["ACKED", "FILLED"]
    assert MANDATE.account.id == ACCOUNT
