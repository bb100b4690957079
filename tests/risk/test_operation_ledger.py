"""What the verdict reads of the ledger: other sessions begun, the last end, the broker's answers; never what came later."""

import datetime as dt
from pathlib import Path

import pytest
from risk_world import MANDATE

from marketbot_assets.operations import alerts_unheard, answers, beats_unheard, flight
from marketbot_resources.alert_codes import raised
from marketbot_resources.delivery import record
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.sessions import record_cutoff, record_end
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = (dt.date(2018, 12, day) for day in (7, 10, 11, 12))


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(Lake(tmp_path), TUESDAY, allowed=None)


@pytest.fixture
def ledger(read: Reader) -> Ledger:
    return read._lake.ledger


def begin(ledger: Ledger, *days: dt.date) -> None:
    for day in days:
        record_cutoff(ledger, day, dt.datetime(day.year, day.month, day.day, 23, 15, tzinfo=dt.UTC))


def freeze(ledger: Ledger, day: dt.date, *names: str) -> None:
    orders = [{"client_order_id": name} for name in names]
    ledger.append(
        "batch_frozen", f"{MANDATE.account.id}/{day.isoformat()}/1", {"orders": orders, "verdict": "APPROVED"}
    )


def tell(ledger: Ledger, name: str, *states: str) -> None:
    for state in states:
        n = len(ledger.entries("order_event", f"{name}/")) + 1
        ledger.append("order_event", f"{name}/{n}", {"state": state, "at": "2018-12-10T23:16:00Z"})


def test_the_first_session_has_no_other_and_no_last_end(read: Reader, ledger: Ledger) -> None:
    """RC-81, RC-85."""
    begin(ledger, TUESDAY)
    assert flight(read, ledger, MANDATE) == ((), 0)
    assert answers(read, ledger, MANDATE) == []


def test_the_age_of_the_last_end_counts_decision_sessions(read: Reader, ledger: Ledger) -> None:
    """RC-85: Friday to Tuesday are two sessions; a skipped Monday is no end."""
    begin(ledger, FRIDAY, MONDAY, TUESDAY)
    record_end(ledger, FRIDAY, "sent", "")
    record_end(ledger, MONDAY, "skipped", "")
    assert flight(read, ledger, MANDATE) == ((), 2)


def test_a_session_that_another_run_began_is_seen(read: Reader, ledger: Ledger) -> None:
    """RC-81: an earlier one without an end, and any later one."""
    begin(ledger, FRIDAY, MONDAY, TUESDAY, WEDNESDAY)
    record_end(ledger, FRIDAY, "rejected", "")
    record_end(ledger, WEDNESDAY, "sent", "")
    assert flight(read, ledger, MANDATE)[0] == ("2018-12-10", "2018-12-12")


def test_what_came_after_the_batch_was_frozen_is_not_seen(read: Reader, ledger: Ledger) -> None:
    """Law 1: a replay of the session, much later, sees what the decision saw."""
    begin(ledger, MONDAY)
    record_end(ledger, MONDAY, "sent", "")
    begin(ledger, TUESDAY)
    before = flight(read, ledger, MANDATE)
    freeze(ledger, TUESDAY, "t")
    record_end(ledger, TUESDAY, "sent", "")
    begin(ledger, WEDNESDAY)
    assert flight(read, ledger, MANDATE) == before == ((), 1)


def test_answers_come_in_the_order_of_sending(read: Reader, ledger: Ledger) -> None:
    """RC-90: the first answer counts, an order that was never sent is none, one in doubt was not refused."""
    begin(ledger, MONDAY)
    freeze(ledger, MONDAY, "a", "b", "c", "d")
    tell(ledger, "c", "SENDING", "REJECTED")
    tell(ledger, "a", "SENDING", "UNKNOWN", "REJECTED")
    tell(ledger, "d", "SENDING", "UNKNOWN")
    tell(ledger, "b", "EXPIRED")
    record_end(ledger, MONDAY, "sent", "")
    begin(ledger, TUESDAY)
    assert answers(read, ledger, MANDATE) == [True, True, False]


TOLD = MANDATE.model_copy(
    update={
        "notification": Notification.model_validate(
            {"channels": [{"name": "ops", "kind": "slack", "severity_min": "ERROR"}], "heartbeat": {}}
        )
    }
)


def raise_alert(ledger: Ledger, code: str, day: dt.date) -> str:
    alert = raised(code, "x", day.isoformat(), "m")
    assert record(ledger, [alert]) == [alert]
    return alert.key


def test_alerts_of_sessions_before_that_nobody_took_are_facts(read: Reader, ledger: Ledger) -> None:
    """RC-92: what stood in the ledger at the cutoff, whatever is written later; own, old and small ones do not count."""
    begin(ledger, FRIDAY - dt.timedelta(days=2))
    raise_alert(ledger, "HALT_C", FRIDAY - dt.timedelta(days=2))
    begin(ledger, FRIDAY - dt.timedelta(days=1), FRIDAY, MONDAY)
    lost, taken = raise_alert(ledger, "HALT_C", MONDAY), raise_alert(ledger, "HALT_A", MONDAY)
    raise_alert(ledger, "STOP_HIT", MONDAY)
    raise_alert(ledger, "HALT_B", TUESDAY)
    facts = {"channel": "ops", "at": "2018-12-10T23:20:00Z", "answer": "HTTP 200"}
    ledger.append("alert_sent", taken, {**facts, "alerts": [taken]})
    begin(ledger, TUESDAY)
    assert alerts_unheard(read, ledger, TOLD) == (lost,)
    ledger.append("alert_sent", lost, {**facts, "alerts": [lost]})
    assert alerts_unheard(read, ledger, TOLD) == (lost,)
    assert alerts_unheard(read, ledger, MANDATE) == ()


def test_an_end_that_the_watcher_did_not_take_is_a_fact(read: Reader, ledger: Ledger) -> None:
    """RC-85: the newest end before the cutoff; one that nobody has told yet is none."""
    begin(ledger, MONDAY)
    record_end(ledger, MONDAY, "sent", "")
    assert beats_unheard(read, ledger, TOLD) == ()
    ledger.append("heartbeat", f"{MONDAY}/1", {"acknowledged": False, "answer": "", "at": "2018-12-10T23:20:00Z"})
    begin(ledger, TUESDAY)
    assert beats_unheard(read, ledger, TOLD) == ("2018-12-10",)
    assert beats_unheard(read, ledger, MANDATE) == ()
    ledger.append("heartbeat", f"{MONDAY}/2", {"acknowledged": True, "answer": "", "at": "2018-12-10T23:21:00Z"})
    assert beats_unheard(read, ledger, TOLD) == ("2018-12-10",)
