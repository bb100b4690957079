"""Halt levels and halts of class C through the whole graph: what the broker holds afterwards decides."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from graph_invariants import assert_sound
from graph_world import AFTER, NEXT, Between, Home

from marketbot_assets.commands.halt import halt_now, resume_now
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, HaltLevel
from marketbot_resources.wiring import BrokerResource, Ports

pytestmark = pytest.mark.graph
LAST = "2018-12-18"


@pytest.fixture
def here(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The base, as the home of commands in this process."""
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    return home


def test_flatten_cancels_buys_sells_everything_and_cancel_all_leaves_nothing(here: Home) -> None:
    """RC-80: through plan, verdict and gate: after flatten only sells, of every held name; then cancel-all: none open."""
    view = halt_now("fire drill", HaltLevel.FLATTEN)
    assert (view["halted"], view["problem"], view["open_orders"]) == (True, "", [])
    assert view["canceled"] != []
    canceled = set(map(str, view["canceled"]))  # type: ignore[call-overload]
    states = {e.key.rsplit("/", 1)[0]: e.body["state"] for e in here.lake.ledger.entries("order_event")}
    assert {states[name] for name in canceled} == {"CANCELED"}
    assert here.run(NEXT)
    assert here.verdict(NEXT) == "APPROVED"
    held = here.frame("positions", NEXT)
    names = set(held.loc[held["kind"] == "POSITION", "instrument"])
    sent = here.sent(NEXT).values()
    assert {body["instrument"] for body in sent if body["kind"] == "EQUITY"} == names
    assert {body["side"] for body in sent} == {"SELL"}
    assert here.frame("replay_check", NEXT)["same"].all()
    view = halt_now("stop", HaltLevel.CANCEL_ALL)
    assert (view["problem"], view["open_orders"]) == ("", [])
    assert len(view["canceled"]) == len(names)  # type: ignore[arg-type]
    assert HaltSwitch(here.path).read().word == "cancel-all"
    assert_sound(here)


@pytest.mark.long
def test_no_new_runs_begins_no_session_and_reduce_only_buys_nothing(here: Home) -> None:
    """RC-80: a session that was refused leaves no cutoff and runs later; then reductions alone."""
    halt_now("later", HaltLevel.NO_NEW_RUNS)
    assert not here.run(NEXT)
    assert here.lake.ledger.get("session_cutoff", NEXT) is None
    halt_now("careful", HaltLevel.REDUCE_ONLY)
    assert here.run(NEXT)
    assert here.verdict(NEXT) == "APPROVED"
    assert "the halt flag is reduce-only" in here.said(NEXT, "RC-80")
    assert {side for _, side in here.trades(NEXT)} <= {"SELL"}
    assert resume_now("fine")["resumed"] is True
    assert here.run(AFTER)
    assert "BUY" in {side for _, side in here.trades(AFTER)}
    assert_sound(here)


class _ByHand(Between):
    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told = self._broker.report(since, until)
        first, *rest = told.executions or (None,)
        return told if first is None else replace(told, executions=(replace(first, client_order_id="by-hand"), *rest))


class ByHandBroker(BrokerResource):
    """It says of one of our fills that its order was someone else's."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _ByHand(super().open(mandate, ports))


@pytest.mark.long
def test_a_fill_without_an_order_of_ours_halts_until_an_operator_resumes(here: Home) -> None:
    """RC-66, RC-74, G8: book and broker agree on every share, yet nothing is sent, also in the next session; then `resume`."""
    assert here.run(NEXT, {"broker": ByHandBroker()})
    assert here.verdict(NEXT) == "HALT"
    assert "by-hand" in here.said(NEXT, "RC-66")
    assert (here.sent(NEXT), here.end(NEXT).state) == ({}, "halted")
    assert here.run(AFTER)
    assert "halted, class C" in here.said(AFTER, "RC-74")
    assert (here.sent(AFTER), here.end(AFTER).state) == ({}, "halted")
    assert resume_now("the broker corrected the id")["resumed"] is True
    assert here.run(LAST)
    assert here.verdict(LAST) == "APPROVED"
    rows = here.frame("risk_verdict", LAST)
    closed = rows[(rows["kind"] == "BREACH") & (rows["control"] == "RC-66")].iloc[0]
    assert (closed["status"], closed["opened"], closed["halt_class"]) == ("PASS", NEXT, "C")
    assert all(here.frame("replay_check", session)["same"].all() for session in (NEXT, AFTER, LAST))
